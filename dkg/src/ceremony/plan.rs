//! What a ceremony is about, and with that the length of everything that is said in it.

use super::{Effort, Step};
use keys::frost::{PrivateShare, round1_len};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use thiserror::Error;
use types::{ClusterSize, Millis, NodeSignature, Root, ShareIndex, Signature, ValidatorNo};

/// More validators than one ceremony makes: with 22 operators everybody's round 1 is then 180 MB.
pub const VALIDATORS_MAX: u32 = 10_000;
/// More messages than one new key signs: deposits of sixteen amounts and registrations.
pub const MESSAGES_MAX: usize = 32;
/// A node's signature over the lock hash as it stands in the lock: `r || s || v`.
pub const LOCK_SIGNATURE_LEN: usize = 65;
/// Longest accusation: one of each operator. The longest evidence is that of a bad partial signature, with everybody's
/// commitments of one validator: 38 kB with 22 operators.
pub(super) const COMPLAINT_LEN_MAX: usize = 1 << 20;
/// Longest accusation that fits into another one, as the proof that it is false: with room for its statement.
pub(super) const SHOWN_LEN_MAX: usize = COMPLAINT_LEN_MAX - 1024;
/// Bytes of content in one frame; well below [`types::wire::FRAME_LEN_MAX`]: what 10,000 validators make four operators say
/// is 2 MB and more, so progress shows, and a broken link repeats little.
pub(super) const PART_LEN: usize = 1 << 20;

/// Validators that are checked together: each costs little more than if all were, and the thousands of a large ceremony
/// make more batches than a machine has cores.
pub(super) const BATCH_LEN: usize = 64;

/// What every operator knows before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Hash of the definition that the operators approved.
    pub definition_hash: Root,
    /// Which try at this definition, from 0. Every attempt has a seed of its own.
    pub attempt: u32,
    /// How many operators, and how many of them sign.
    pub size: ClusterSize,
    /// This operator.
    pub me: ShareIndex,
    /// How many validators.
    pub validators: u32,
    /// When to give up.
    pub deadline: Millis,
}

/// Why a setup makes no ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// No validators, or too many.
    #[error("{0} validators, a ceremony makes 1 to {VALIDATORS_MAX}")]
    Validators(u32),
    /// Nothing to sign, or too much.
    #[error("{0} messages for each validator, a ceremony signs 1 to {MESSAGES_MAX}")]
    Messages(usize),
    /// This operator is not one of the cluster's.
    #[error("operator {0} is not in this cluster")]
    Stranger(ShareIndex),
    /// The node key is another operator's.
    #[error("the node key is that of operator {0}")]
    NodeKey(ShareIndex),
}

impl Setup {
    /// Names the ceremony: SHA-256 of a label, the definition's hash and the attempt.
    pub fn ceremony_id(&self) -> Root {
        let hasher = Sha256::new().chain_update(b"symbolon ceremony 1").chain_update(self.definition_hash.0);
        Root(hasher.chain_update(self.attempt.to_le_bytes()).finalize().into())
    }
}

/// How a message's content is cut into items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) items: usize,
    pub(super) item_len: usize,
}

impl Shape {
    pub(super) const fn len(self) -> usize {
        self.items * self.item_len
    }
}

/// A [`Setup`] that was checked, with what follows from it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) setup: Setup,
    pub(super) ceremony: Root,
    /// What each new key signs: deposits and registrations.
    pub(super) messages: usize,
    pub(super) part_len: usize,
    pub(super) batch_len: usize,
    /// How far a computation is; nothing is decided by it.
    pub(super) effort: Arc<Effort>,
}

impl Plan {
    pub(super) fn new(setup: Setup, messages: usize) -> Result<Self, SetupError> {
        if !(1..=VALIDATORS_MAX).contains(&setup.validators) {
            return Err(SetupError::Validators(setup.validators));
        }
        if !(1..=MESSAGES_MAX).contains(&messages) {
            return Err(SetupError::Messages(messages));
        }
        if !setup.size.contains(setup.me) {
            return Err(SetupError::Stranger(setup.me));
        }
        let (ceremony, effort) = (setup.ceremony_id(), Arc::default());
        Ok(Self { ceremony, setup, messages, part_len: PART_LEN, batch_len: BATCH_LEN, effort })
    }

    pub(super) const fn size(&self) -> ClusterSize {
        self.setup.size
    }

    pub(super) const fn me(&self) -> ShareIndex {
        self.setup.me
    }

    pub(super) fn others(&self) -> impl Iterator<Item = ShareIndex> + use<> {
        self.setup.size.others(self.setup.me)
    }

    pub(super) fn validators(&self) -> impl Iterator<Item = ValidatorNo> + use<> {
        (0..self.setup.validators).map(ValidatorNo)
    }

    /// The shape of a step's content. An accusation is one item of any length.
    pub(super) fn shape(&self, step: Step) -> Option<Shape> {
        let (n, v) = (self.setup.size.operators(), self.setup.validators as usize);
        let (items, item_len) = match step {
            Step::Gather => (1, Root::LEN + size_of::<u32>()),
            Step::Round1 => (v, round1_len(self.setup.size)),
            Step::Echo => (n, Root::LEN + NodeSignature::LEN),
            Step::Round2 => (v, PrivateShare::LEN),
            Step::Seal => (v * self.messages, Signature::LEN),
            Step::Lock => (1, Root::LEN + Signature::LEN + LOCK_SIGNATURE_LEN),
            Step::Done | Step::Farewell => (1, Root::LEN),
            Step::Complaint => return None,
        };
        Some(Shape { items, item_len })
    }

    /// The content of this operator's [`Step::Gather`], and of everybody else's in the same ceremony.
    pub(super) fn hello(&self) -> Vec<u8> {
        [self.setup.definition_hash.0.as_slice(), &self.setup.attempt.to_le_bytes()].concat()
    }
}
