//! What an address is in a pool. Principals are different: no key has two of these powers, and money goes to none of those
//! who sign for the pool.

use super::operators::OperatorId;
use std::fmt;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seat {
    /// Signs heads of the log and observations.
    Coordinator,
    /// Changes what can be changed, with others.
    Governance,
    /// Vouches for deposits, and stops them.
    Guardian,
    /// Gets back what is withdrawn: the principal.
    Withdrawal,
    /// Gets the rewards of the execution layer.
    FeeRecipient,
    /// Gets the pool's part of the fees.
    Treasury,
    /// Speaks for an operator.
    Manager(OperatorId),
    /// Is paid for an operator.
    Reward(OperatorId),
    /// Named an operator once, and does for ever: that name is not given again.
    Founder(OperatorId),
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("the coordinator's key"),
            Self::Governance => f.write_str("a key of governance"),
            Self::Guardian => f.write_str("a guardian"),
            Self::Withdrawal => f.write_str("the withdrawal address"),
            Self::FeeRecipient => f.write_str("the fee recipient"),
            Self::Treasury => f.write_str("the treasury"),
            Self::Manager(operator) => write!(f, "the manager of operator {operator}"),
            Self::Reward(operator) => write!(f, "the reward address of operator {operator}"),
            Self::Founder(operator) => write!(f, "the name of operator {operator}"),
        }
    }
}
