//! What takes effect only after a delay, because a stolen key could say it.

use super::OperatorId;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;
use types::Address;

/// Newest alarms of an operator that are kept; the log has all.
pub const ALARMS_MAX: usize = 32;

/// What a manager says that will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Announcement {
    /// Another address will be the manager.
    Manager(Address),
    /// Rewards and bond will be paid to another address.
    Reward(Address),
    /// The operator will leave.
    Leave,
}

impl Announcement {
    /// What of the operator it changes.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Manager(_) => Kind::Manager,
            Self::Reward(_) => Kind::Reward,
            Self::Leave => Kind::Leave,
        }
    }
}

/// What an announcement changes. One of each can be pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Who speaks for the operator.
    Manager,
    /// Who is paid.
    Reward,
    /// Whether it stays.
    Leave,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manager => "manager",
            Self::Reward => "reward",
            Self::Leave => "leave",
        })
    }
}

/// Not the name of a kind.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("an announcement is of a manager, a reward or a leave")]
pub struct NoKind;

impl FromStr for Kind {
    type Err = NoKind;
    fn from_str(text: &str) -> Result<Self, NoKind> {
        let known = [Self::Manager, Self::Reward, Self::Leave];
        known.into_iter().find(|kind| kind.to_string() == text).ok_or(NoKind)
    }
}

/// An announcement that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// What will be.
    pub what: Announcement,
    /// Unix seconds of the announcement.
    pub at: u64,
    /// From when on it can take effect: Unix seconds.
    pub ready_at: u64,
}

/// What everybody in the operator's clusters should see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// Unix seconds.
    pub at: u64,
    /// What it is about.
    pub cause: AlarmCause,
}

/// Why there is an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmCause {
    /// Something was announced: if its owner does not know of it, the manager's key is stolen.
    Announced(Announcement),
    /// It was called off.
    CalledOff(Kind),
    /// It took effect.
    Effected(Announcement),
    /// Governance has put in another manager, instead of this one.
    ManagerReplaced(Address),
}

/// Who called something off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The operator's manager.
    Manager,
    /// Governance.
    Governance,
}

/// An announcement of an operator, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of {
    /// Whose.
    pub operator: OperatorId,
    /// Of what.
    pub kind: Kind,
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of operator {}", self.kind, self.operator)
    }
}
