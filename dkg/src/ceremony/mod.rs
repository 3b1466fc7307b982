//! The ceremony's mind: n operators make keys that nobody has. Pure; told time, randomness and results.
//!
//! ```text
//! gather -> round1 -> echo -> round2 -> seal -> lock -> (files) -> done
//! ```
//!
//! | step | everybody says | complete when |
//! |---|---|---|
//! | gather | definition hash, attempt | everybody is here, in the same ceremony |
//! | round1 | commitments and proofs of knowledge, of all validators | all parse, all proofs hold |
//! | echo | everybody's round-1 statements, with their signatures | all are the same: round 1 was a broadcast |
//! | round2 | to each other, in private: its shares | all fit their commitments; now the keys exist |
//! | seal | partial signatures on deposits and registrations | all verify; combined, they verify under the new keys |
//! | lock | lock hash, the shares' signatures over it, the node's | all verify |
//! | done | lock hash: "my files are on disk" | all have said so |
//! | farewell | lock hash: "all have, and I need nobody any more" | after the end: told to whoever is there |
//!
//! **Messages.** Everything is signed by its author's node key over ceremony, step, recipient and content
//! ([`wire`]); links are authenticated and confidential. Contents are lists of items under a root, so that one bad
//! item can be shown to others with its author's signature ([`evidence`]), to whom took no part too ([`judge`](mod@judge)).
//!
//! **Restart.** Own messages follow from the seed and from what was heard in completed steps. The seed is durable
//! before the first message, and what was heard in a step before the next step's message goes out ([`Durable`]).
//! So a node killed anywhere says the same again, byte for byte, and its peers take it for a repetition. Whoever
//! says two different things for one step has lied, and both statements prove it.
//!
//! **Ends.** [`Output::Finished`] when all have their files; [`Output::Abort`] when somebody is proved to have
//! done wrong (the evidence goes to all, who judge it themselves) or when the deadline passes: silence is reported,
//! not blamed, since silence towards one peer cannot be proved. After the files are written a deadline only ends the
//! waiting: `Finished` then names who is missing, and the records must be kept to help them. An operator whom nobody
//! misses stays until all others have said farewell ([`Ceremony::unaware`]): one that was killed before it knew of all
//! confirmations must be able to hear them again.
//!
//! **Not done here:** deciding when to start another attempt (a new [`Setup::attempt`], a fresh seed), and erasing
//! seed and records after `Finished` with nobody missing, or after an abort before the lock was signed.

mod batch;
pub mod definition;
pub mod effort;
pub mod evidence;
mod inbox;
pub mod judge;
mod machine;
mod merkle;
pub mod plan;
pub mod record;
pub mod seal;
pub mod wire;
mod work;

pub use definition::{ReadyDefinition, UnfitDefinition};
pub use effort::Effort;
pub use evidence::{Evidence, Fault};
pub use judge::{Verdict, judge};
pub use machine::{Ceremony, ResumeError};
pub use plan::{LOCK_SIGNATURE_LEN, MESSAGES_MAX, Setup, SetupError, VALIDATORS_MAX};
pub use record::{Durable, RecordError};
pub use seal::{
    CeremonyKey, CeremonyPeers, Document, Halves, LockSignature, Outcome, SealedLock, SealedValidator,
    Sealing,
};
pub use wire::{CEREMONY_VERSION, Frame, Rejection};

use ssz_derive::{Decode, Encode};
use std::fmt;
use types::ShareIndex;

/// What is said, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[ssz(enum_behaviour = "tag")]
pub enum Step {
    /// "I am here, for this definition."
    Gather,
    /// Commitments and proofs of knowledge.
    Round1,
    /// What everybody said in round 1.
    Echo,
    /// Private shares.
    Round2,
    /// Partial signatures on deposits and registrations.
    Seal,
    /// Signatures over the lock hash.
    Lock,
    /// "My files are on disk."
    Done,
    /// "Everybody's files are on disk, and I need nothing any more." After the end.
    Farewell,
    /// "The ceremony is over, and this is whose fault it is." At any time.
    Complaint,
}

impl Step {
    /// The step after this one; the last ones have none.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Gather => Some(Self::Round1),
            Self::Round1 => Some(Self::Echo),
            Self::Echo => Some(Self::Round2),
            Self::Round2 => Some(Self::Seal),
            Self::Seal => Some(Self::Lock),
            Self::Lock => Some(Self::Done),
            Self::Done | Self::Farewell | Self::Complaint => None,
        }
    }

    /// Whether what was heard must be durable before the next message goes out.
    pub const fn is_recorded(self) -> bool {
        match self {
            Self::Round1 | Self::Echo | Self::Round2 | Self::Seal | Self::Lock | Self::Done => true,
            Self::Gather | Self::Farewell | Self::Complaint => false,
        }
    }

    const fn tag(self) -> u8 {
        self as u8 + 1
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gather => "gather",
            Self::Round1 => "round 1",
            Self::Echo => "echo",
            Self::Round2 => "round 2",
            Self::Seal => "seal",
            Self::Lock => "lock",
            Self::Done => "done",
            Self::Farewell => "farewell",
            Self::Complaint => "complaint",
        })
    }
}

/// What happens to a ceremony.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The link to an operator is up: it gets everything said so far.
    PeerUp(ShareIndex),
    /// The link is down.
    PeerDown(ShareIndex),
    /// A frame came over the link of this operator.
    Message {
        /// Whose link.
        from: ShareIndex,
        /// The frame.
        frame: Frame,
    },
    /// What [`Output::Persist`] or [`Output::Files`] asked for is on disk, synced.
    Stored(Durable),
}

/// What a ceremony wishes for.
#[derive(Debug)]
pub enum Output {
    /// Send a frame. Links that fail are [`Input::PeerDown`]; everything is said again when they are up.
    Send {
        /// To whom.
        to: ShareIndex,
        /// The frame; confidential.
        frame: Frame,
    },
    /// Append a record to those of this ceremony, sync, and say [`Input::Stored`].
    Persist {
        /// What it is.
        durable: Durable,
        /// The record: secret.
        record: Frame,
    },
    /// Who has said its word in the step that is under way, this operator included.
    Progress {
        /// Which step.
        step: Step,
        /// Who.
        done: Vec<ShareIndex>,
        /// Whose words are here in part.
        coming: Vec<Coming>,
    },
    /// A frame was put aside. Worth a line to the operator.
    Rejected {
        /// Whose.
        from: ShareIndex,
        /// Why.
        why: Rejection,
    },
    /// Write these files, sync, never overwrite; then [`Input::Stored`] with [`Durable::Files`]. Asked again after a
    /// restart: files that are already there, of the same lock hash, are as good as written.
    Files(Outcome),
    /// The ceremony is over and made its keys.
    Finished {
        /// Who has not confirmed its files before the deadline. If any, keep seed and records.
        missing: Vec<ShareIndex>,
    },
    /// The ceremony is over and made nothing.
    Abort {
        /// Why.
        cause: Cause,
        /// This operator has signed the lock, so a peer may have completed it: keep seed and records, from which
        /// this operator's shares can still be had. Otherwise erase them.
        lock_signed: bool,
    },
}

/// A long message that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coming {
    /// Whose.
    pub from: ShareIndex,
    /// Parts of it that are here.
    pub parts: usize,
    /// Of how many.
    pub of: usize,
}

/// Why a ceremony made nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Operators that did wrong, proved; at least one, in order.
    Faults(Vec<Fault>),
    /// Operators that were not heard of before the deadline. Not blame: links fail too.
    Silence {
        /// In which step.
        step: Step,
        /// Who, and why its last frame was put aside, if one was.
        operators: Vec<(ShareIndex, Option<Rejection>)>,
    },
    /// The shares of all operators cancel out: a key of zero. No operator alone can bring it about.
    ZeroKey,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: &[String]| f.write_str(&items.join("; "));
        match self {
            Self::Faults(faults) => {
                let one = |fault: &Fault| format!("operator {}: {}", fault.culprit, fault.evidence);
                list(f, &faults.iter().map(one).collect::<Vec<_>>())
            }
            Self::Silence { step, operators } => {
                write!(f, "silence in {step}: ")?;
                let one = |(operator, last): &(ShareIndex, Option<Rejection>)| match last {
                    Some(why) => format!("operator {operator}, which sent {why}"),
                    None => format!("operator {operator}"),
                };
                list(f, &operators.iter().map(one).collect::<Vec<_>>())
            }
            Self::ZeroKey => f.write_str("the operators' polynomials cancel out"),
        }
    }
}

#[cfg(test)]
mod tests;
