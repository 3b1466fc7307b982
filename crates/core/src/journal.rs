//! Rows, histories and permits: what this operator promised never to contradict.
//!
//! A [`Permit`] is the right to add this node's half to one signature over one root. Only this module can make
//! one, and it makes one only for rows that are reported durable (or for messages that cannot be slashed).
//! `keys` consumes it. It cannot be copied.

use types::{Epoch, PublicKey, SigningRoot, Slot, ValidatorNo};

/// What a row promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A block.
    Block {
        /// Its slot.
        slot: Slot,
    },
    /// An attestation.
    Attestation {
        /// Source epoch.
        source: Epoch,
        /// Target epoch.
        target: Epoch,
    },
}

/// One row of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The validator's group key: rows survive a change of shares.
    pub key: PublicKey,
    /// What is promised.
    pub promise: Promise,
    /// Of the message; `None` for an imported row, which then equals nothing.
    pub root: Option<SigningRoot>,
}

/// The right to sign one root for one validator.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    validator: ValidatorNo,
    root: SigningRoot,
}

impl Permit {
    /// A permit that no journal stands behind, for tests of what consumes one.
    #[cfg(feature = "test-permits")]
    pub const fn for_test(validator: ValidatorNo, root: SigningRoot) -> Self {
        Self { validator, root }
    }

    /// For whom.
    pub const fn validator(&self) -> ValidatorNo {
        self.validator
    }

    /// For what.
    pub const fn root(&self) -> SigningRoot {
        self.root
    }
}

/// EIP-3076's rules, by name.
pub mod rule {
    use thiserror::Error;
    use types::{Epoch, Slot};

    /// Which condition a candidate breaks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
    pub enum Rule {
        /// Another block in this slot, or a slot at or below the lowest kept.
        #[error("a block of slot {slot} when one of slot {journal} was signed")]
        Block {
            /// The candidate's slot.
            slot: Slot,
            /// The journal's.
            journal: Slot,
        },
        /// Another vote for the same target.
        #[error("a second vote for target epoch {target}")]
        DoubleVote {
            /// The candidate's target.
            target: Epoch,
        },
        /// The candidate surrounds a vote, or is surrounded by one.
        #[error(
            "vote {source_epoch}->{target} and signed vote {journal_source}->{journal_target} surround each other"
        )]
        Surround {
            /// The candidate's source.
            source_epoch: Epoch,
            /// The candidate's target.
            target: Epoch,
            /// The journal's source.
            journal_source: Epoch,
            /// The journal's target.
            journal_target: Epoch,
        },
        /// Below the watermark of what was once signed.
        #[error("epoch {epoch} is below the journal's watermark {watermark}")]
        Watermark {
            /// The candidate's epoch.
            epoch: Epoch,
            /// The journal's.
            watermark: Epoch,
        },
        /// Source after target.
        #[error("source epoch {source_epoch} is after target epoch {target}")]
        SourceAfterTarget {
            /// The candidate's source.
            source_epoch: Epoch,
            /// The candidate's target.
            target: Epoch,
        },
    }
}
