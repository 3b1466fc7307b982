//! A toy beacon chain with Electra's shapes, strict about every signature and root it is given.
//!
//! It has one branch; a beacon node that lags is modelled by the head it is asked with. Committees and proposers
//! follow from a seed. Justification and finality follow the real rules in their plainest form: an epoch whose
//! target has two thirds of all validators in blocks is justified when the next epoch begins, and the one before is
//! final if it was justified too. A sync committee serves [`SYNC_PERIOD_EPOCHS`] epochs. What counts as done is what the
//! chain has, in a block or from an aggregator in time, never what a node says of itself.
//!
//! - `shuffle`: who is due when. `finality`: what to vote for, and what votes justify.
//! - `blocks`: made, checked, imported. `attestations`, `sync`, `exits`: what comes in for them.
//! - `aggregators`: aggregates and contributions, with the proofs of who may publish them.
//! - `registry`: balances, for a chain on which a pool has a whole life; `economy`: how blocks change them.

mod aggregators;
mod attestations;
mod blocks;
mod economy;
mod exits;
mod finality;
pub mod registry;
mod shuffle;
mod sync;

pub use economy::Slashing;
pub use exits::EXIT_EPOCHS;
pub use shuffle::SYNC_PERIOD_EPOCHS;

use crate::curve::Curve;
use registry::Registry;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use thiserror::Error;
use types::block::BlockError;
use types::operations::SignedVoluntaryExit;
use types::sizes::Minimal;
use types::sync::SyncCommitteeContribution;
use types::{
    AttestationData, ChainSpec, Checkpoint, Epoch, Millis, PublicKey, Root, Signature, SigningRoot, Slot,
    ValidatorIndex,
};

/// Beacon nodes take what is as much too early: the specification's `MAXIMUM_GOSSIP_CLOCK_DISPARITY`.
const CLOCK_DISPARITY: Millis = Millis(500);

/// What a chain begins with.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Network; its preset is minimal and its only fork Electra.
    pub spec: ChainSpec,
    /// Keys of all validators, by index.
    pub validators: Vec<PublicKey>,
    /// Validators of others, with the indices after these: they have seats in sync committees, as almost all members on a
    /// real network, and do nothing at all.
    pub strangers: u64,
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
    /// A validator that the chain does not have.
    #[error("no validator {0}")]
    Stranger(ValidatorIndex),
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
    indices: BTreeMap<PublicKey, ValidatorIndex>,
    blocks: BTreeMap<Root, Record>,
    head: Root,
    origin: Root,
    /// Justified checkpoint in force in each epoch, fixed when the epoch is first asked about.
    sources: BTreeMap<Epoch, Checkpoint>,
    finalized: Checkpoint,
    /// How often an epoch was drawn anew.
    shuffles: BTreeMap<Epoch, u64>,
    /// Attestations waiting for a block.
    pool: BTreeMap<AttestationData, BTreeMap<ValidatorIndex, Pooled>>,
    /// Attestations in blocks: slot, validator, and the target voted for.
    included: BTreeMap<(Slot, ValidatorIndex), AttestationData>,
    /// Sync committee votes, by slot and head.
    messages: BTreeMap<(Slot, Root), BTreeMap<ValidatorIndex, Pooled>>,
    /// The fullest contribution of each subcommittee, by slot and head.
    contributions: BTreeMap<(Slot, Root), BTreeMap<u64, SyncCommitteeContribution<Minimal>>>,
    /// Bits of the sync committee of a slot, in the next slot's block.
    synced: BTreeMap<Slot, Vec<bool>>,
    /// Whose aggregates were taken, with the selection proof.
    aggregators: BTreeMap<(Slot, ValidatorIndex), Signature>,
    /// Whose contributions were taken for which subcommittee, with the selection proof.
    contributors: BTreeMap<(Slot, ValidatorIndex, u64), Signature>,
    /// Exits waiting for a block.
    exits: BTreeMap<ValidatorIndex, SignedVoluntaryExit>,
    /// From which epoch on a validator is gone.
    exit_epochs: BTreeMap<ValidatorIndex, Epoch>,
    rejected: Vec<Rejection>,
    /// Balances, if validators have any.
    registry: Option<Registry>,
    /// The last epoch that has begun for it.
    begun: Epoch,
    /// The execution layer's block in each block: number and hash.
    executed: BTreeMap<Root, (u64, Root)>,
    /// Contradicting attestations waiting for a block.
    slashings: Vec<Slashing>,
    /// The randomness of each epoch that has a block, as far as it has come.
    mixes: BTreeMap<Epoch, Root>,
}

/// A vote in a pool.
#[derive(Clone, Copy, Debug)]
struct Pooled {
    signature: Signature,
    /// When it came.
    at: Millis,
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
        let indices = (0..).map(ValidatorIndex).zip(&genesis.validators).map(|(index, key)| (*key, index));
        Self {
            indices: indices.collect(),
            genesis,
            blocks: BTreeMap::from([(origin, record)]),
            head: origin,
            origin,
            sources: BTreeMap::new(),
            finalized: Checkpoint::default(),
            shuffles: BTreeMap::new(),
            pool: BTreeMap::new(),
            included: BTreeMap::new(),
            messages: BTreeMap::new(),
            contributions: BTreeMap::new(),
            synced: BTreeMap::new(),
            aggregators: BTreeMap::new(),
            contributors: BTreeMap::new(),
            exits: BTreeMap::new(),
            exit_epochs: BTreeMap::new(),
            rejected: Vec::new(),
            registry: None,
            begun: Epoch(0),
            executed: BTreeMap::new(),
            slashings: Vec::new(),
            mixes: BTreeMap::new(),
        }
    }

    /// A chain whose validators have balances: those of the registry, and more as deposits come.
    ///
    /// - `strangers`, `seed`: as in [`Genesis`].
    pub fn with_registry(spec: ChainSpec, registry: Registry, strangers: u64, seed: u64) -> Self {
        let validators = registry.accounts().iter().map(|account| account.pubkey).collect();
        let chain = Self::new(Genesis { spec, validators, strangers, seed });
        Self { registry: Some(registry), ..chain }
    }

    /// The network.
    pub const fn spec(&self) -> &ChainSpec {
        &self.genesis.spec
    }

    /// Keys of all validators, by index.
    pub fn validators(&self) -> &[PublicKey] {
        &self.genesis.validators
    }

    /// The index of a validator's key.
    pub fn index_of(&self, key: &PublicKey) -> Option<ValidatorIndex> {
        self.indices.get(key).copied()
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

    fn key(&self, who: ValidatorIndex) -> Result<PublicKey, Rejection> {
        let at = usize::try_from(who.0).ok();
        at.and_then(|at| self.genesis.validators.get(at)).copied().ok_or(Rejection::Stranger(who))
    }

    fn check_signature(
        &self,
        curve: &impl Curve,
        who: ValidatorIndex,
        root: &SigningRoot,
        signature: &Signature,
        whose: &'static str,
    ) -> Result<(), Rejection> {
        let key = self.key(who)?;
        if curve.verify(&key, root, signature) { Ok(()) } else { Err(Rejection::Signature(whose)) }
    }

    /// The latest slot that a clock may show. `about`: what is refused before genesis.
    fn slot_at(&self, now: Millis, about: Slot) -> Result<Slot, Rejection> {
        self.spec().slot_at(now.after(CLOCK_DISPARITY)).ok_or(Rejection::Slot(about))
    }

    /// What is of use in its own slot only is taken until the middle of the next.
    fn check_current(&self, now: Millis, slot: Slot) -> Result<(), Rejection> {
        let last = self.spec().slot_point(slot.next(), 5_000);
        let due = slot <= self.slot_at(now, slot)? && now <= last;
        if due { Ok(()) } else { Err(Rejection::Slot(slot)) }
    }

    /// Remembers what was refused. What is known already is nobody's mistake.
    fn note(&mut self, result: Result<(), Rejection>) -> Result<(), Rejection> {
        if let Err(rejection) = &result
            && *rejection != Rejection::Known
        {
            self.rejected.push(rejection.clone());
        }
        result
    }
}

fn field(field: &'static str, holds: bool) -> Result<(), Rejection> {
    if holds { Ok(()) } else { Err(Rejection::Field { field }) }
}
