//! What can be asked of the book from outside: by operators and guardians, and by what is seen.

use super::command::{Command, SentDeposit};
use serde::{Deserialize, Serialize};
use types::{Address, Root};

/// What somebody wishes who has signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To vouch for a batch, as a guardian.
    Approve {
        /// Which.
        batch: u64,
        /// The deposit contract's root that was checked against.
        deposit_root: Root,
        /// What the batch sends ([`super::Batch::keys_hash`]).
        keys_hash: Root,
    },
}

impl Wish {
    /// The command, if this is who signed.
    pub fn of(&self, signer: Address) -> Command {
        match self {
            Self::Approve { batch, deposit_root, keys_hash } => Command::Approve {
                guardian: signer,
                batch: *batch,
                deposit_root: *deposit_root,
                keys_hash: *keys_hash,
            },
        }
    }
}

/// That a batch is not sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenUp {
    /// Which.
    pub batch: u64,
    /// The deposit contract's root in a finalized state.
    pub deposit_root: Root,
}

/// What the coordinator has seen, or does at a time that it chooses: what a batch has is not its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There is money for a batch.
    Plan,
    /// A batch is not sent any more.
    GivenUp(GivenUp),
    /// A deposit was sent.
    Sent(SentDeposit),
}

impl Seen {
    /// The command.
    pub fn command(&self) -> Command {
        match self {
            Self::Plan => Command::Plan,
            Self::GivenUp(GivenUp { batch, deposit_root }) => {
                Command::GiveUp { batch: *batch, deposit_root: *deposit_root }
            }
            Self::Sent(deposit) => Command::Sent(*deposit),
        }
    }
}
