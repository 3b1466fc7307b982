//! What can be asked of the book from outside: by operators, and by what is seen.

use super::command::Command;
use serde::{Deserialize, Serialize};
use types::{ClusterId, Generation, Root, Signature, ValidatorIndex};

/// What the manager of an operator wishes. Its place is not said: it is the operator's in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To add the operator's partial signature to an exit that was asked for.
    Sign {
        /// Of which cluster.
        cluster: ClusterId,
        /// Of which validator.
        validator: ValidatorIndex,
        /// With its share of which sharing.
        generation: Generation,
        /// Over the exit's signing root.
        signature: Signature,
    },
}

/// A request of the pool's withdrawal address that a block has (EIP-7002).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triggered {
    /// Of which validator.
    pub validator: ValidatorIndex,
    /// The transaction.
    pub tx: Root,
}

/// What the coordinator has seen, or does at a time that it chooses: which exits are asked for, and who is late, is not its
/// choice. What a state has of exits comes with the look at all validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is time to ask for what is needed.
    Plan,
    /// Somebody is late.
    Review,
    /// A beacon node was given a signed exit of this validator.
    Broadcast(ValidatorIndex),
    /// The withdrawal address has asked the chain.
    Triggered(Triggered),
}

impl Seen {
    /// The command.
    pub fn command(self) -> Command {
        match self {
            Self::Plan => Command::Plan,
            Self::Review => Command::Review,
            Self::Broadcast(validator) => Command::Broadcast { validator },
            Self::Triggered(Triggered { validator, tx }) => Command::Triggered { validator, tx },
        }
    }
}
