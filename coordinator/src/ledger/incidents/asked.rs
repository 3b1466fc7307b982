//! What can be asked of the book from outside: by anybody, and by what is seen.

use super::command::{Command, Fault};
use super::conflict::Conflict;
use crate::ledger::reports::Evidence;
use serde::{Deserialize, Serialize};
use types::{Epoch, Gwei, ValidatorIndex};

/// What somebody wishes, whoever it is: evidence proves itself, and the rest was decided before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To say who is guilty of a slashing.
    Prove {
        /// Which incident.
        incident: u64,
        /// The evidence.
        conflict: Box<Conflict>,
    },
    /// To have a loss paid that is final.
    Settle(u64),
    /// To have an exit that did not come be one.
    Missed(ValidatorIndex),
}

impl Wish {
    /// The command.
    pub fn command(&self) -> Command {
        match self {
            Self::Prove { incident, conflict } => {
                Command::Prove { incident: *incident, conflict: conflict.clone() }
            }
            Self::Settle(incident) => Command::Settle { incident: *incident },
            Self::Missed(validator) => {
                Command::Open { fault: Fault::MissedExit(*validator), evidence: Evidence::new() }
            }
        }
    }
}

/// A fault as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told<T> {
    /// What was seen.
    pub fault: T,
    /// The answers that it was read from.
    pub evidence: Evidence,
}

/// What a finalized state says of a slashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenLoss {
    /// Which incident.
    pub incident: u64,
    /// The state's epoch.
    pub epoch: Epoch,
    /// All penalties: the initial one, the correlated one, and missed duties since.
    pub lost: Gwei,
}

/// What the coordinator has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A slashing, a theft or a downtime.
    Fault(Box<Told<Fault>>),
    /// What a slashing has cost so far.
    Loss(SeenLoss),
}

impl Seen {
    /// The command.
    pub fn command(&self) -> Command {
        match self {
            Self::Fault(told) => {
                let Told { fault, evidence } = &**told;
                Command::Open { fault: *fault, evidence: evidence.clone() }
            }
            Self::Loss(SeenLoss { incident, epoch, lost }) => {
                Command::Look { incident: *incident, epoch: *epoch, lost: *lost }
            }
        }
    }
}
