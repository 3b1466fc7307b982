//! A toy beacon chain with Electra's shapes, strict about every signature and root it is given.
//!
//! It has one branch; a beacon node that lags is modelled by the head it is asked with. Committees and proposers
//! follow from a seed. Justification and finality follow the real rules in their plainest form: an epoch whose
//! target has two thirds of all validators in blocks is justified when the next epoch begins, and the one before is
//! final if it was justified too. What counts as done is what is in a block, never what a node says of itself.
//!
//! - `shuffle`: who is due when. `finality`: what to vote for, and what votes justify.
//! - `blocks`: made, checked, imported. `attestations`: what comes in between blocks.

mod attestations;
mod blocks;
mod finality;
mod shuffle;

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use thiserror::Error;
use types::block::BlockError;
use types::{
    AttestationData, ChainSpec, Checkpoint, Epoch, PublicKey, Root, Signature, Slot, ValidatorIndex,
};

/// What a chain begins with.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Network; its preset is minimal and its only fork Electra.
    pub spec: ChainSpec,
    /// Keys of all validators, by index.
    pub validators: Vec<PublicKey>,
    /// Of committees and proposers.
    pub seed: u64,
}

/// A block in the chain.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its slot.
    pub slot: Slot,
    /// Its parent.
    pub parent: Root,
    /// State after it.
    pub state_root: Root,
    /// Its proposer.
    pub proposer: ValidatorIndex,
}

/// Why something is not taken. Each names the broken rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Rejection {
    /// A block in the chain already.
    #[error("already known")]
    Known,
    /// Bytes that are no block.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A field that is not what the chain says.
    #[error("{field} is not what the chain says")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// A slot in the future, or too old.
    #[error("slot {0} is not due")]
    Slot(Slot),
    /// A signature that does not verify.
    #[error("the signature of {0} does not verify")]
    Signature(&'static str),
    /// The parent is not in the chain.
    #[error("unknown parent {0}")]
    Parent(Root),
    /// The parent is in the chain, but not its head any more.
    #[error("parent {0} is not the head")]
    Stale(Root),
}

/// The chain.
#[derive(Debug)]
pub struct Chain {
    genesis: Genesis,
    blocks: BTreeMap<Root, Record>,
    head: Root,
    origin: Root,
    /// Justified checkpoint in force in each epoch, fixed when the epoch is first asked about.
    sources: BTreeMap<Epoch, Checkpoint>,
    finalized: Checkpoint,
    /// Attestations waiting for a block.
    pool: BTreeMap<AttestationData, BTreeMap<ValidatorIndex, Signature>>,
    /// Attestations in blocks: slot, validator, and the target voted for.
    included: BTreeMap<(Slot, ValidatorIndex), AttestationData>,
    rejected: Vec<Rejection>,
}

impl Chain {
    /// A chain with nothing but its genesis block, which every node knows.
    pub fn new(genesis: Genesis) -> Self {
        let origin = Root(Sha256::digest(b"genesis block").into());
        let record = Record {
            slot: Slot(0),
            parent: Root::ZERO,
            state_root: Root(Sha256::digest(b"genesis state").into()),
            proposer: ValidatorIndex(0),
        };
        Self {
            genesis,
            blocks: BTreeMap::from([(origin, record)]),
            head: origin,
            origin,
            sources: BTreeMap::new(),
            finalized: Checkpoint::default(),
            pool: BTreeMap::new(),
            included: BTreeMap::new(),
            rejected: Vec::new(),
        }
    }

    /// The network.
    pub const fn spec(&self) -> &ChainSpec {
        &self.genesis.spec
    }

    /// Keys of all validators, by index.
    pub fn validators(&self) -> &[PublicKey] {
        &self.genesis.validators
    }

    /// The head's root.
    pub const fn head(&self) -> Root {
        self.head
    }

    /// A block of the chain.
    pub fn block(&self, root: &Root) -> Option<&Record> {
        self.blocks.get(root)
    }

    /// The finalized checkpoint.
    pub const fn finalized(&self) -> Checkpoint {
        self.finalized
    }

    /// Everything that was refused so far, in order.
    pub fn rejected(&self) -> &[Rejection] {
        &self.rejected
    }

    /// The genesis block's root.
    pub const fn origin(&self) -> Root {
        self.origin
    }
}

fn field(field: &'static str, holds: bool) -> Result<(), Rejection> {
    if holds { Ok(()) } else { Err(Rejection::Field { field }) }
}
