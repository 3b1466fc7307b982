//! What can be asked of the book from outside: by whoever has shares, and by what is seen.

use super::command::{Amount, Command, Payment};
use crate::ledger::chain::Reference;
use serde::{Deserialize, Serialize};
use types::{Address, Wei};

/// What somebody wishes with shares. They are those of whoever signs it: nothing else is said of whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To give some away.
    Transfer {
        /// To whom.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// To have ETH for some.
    Request(Amount),
    /// To be paid what this request came to.
    Claim(u64),
}

impl Wish {
    /// The command, if this is who signed.
    pub fn of(self, owner: Address) -> Command {
        match self {
            Self::Transfer { to, amount } => Command::Transfer { owner, to, amount },
            Self::Request(amount) => Command::Request { owner, amount },
            Self::Claim(request) => Command::Claim { owner, request },
        }
    }
}

/// A payment of the pool that a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenPayout {
    /// Which payout it is.
    pub payout: u64,
    /// The payment.
    pub payment: Reference,
    /// To whom.
    pub to: Address,
    /// How much.
    pub eth: Wei,
}

/// What was seen on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A delegator paid.
    Payment(Payment),
    /// A block paid the pool's fee recipient.
    Rewards(Payment),
    /// Somebody paid for a loss.
    Cover(Payment),
    /// The pool paid.
    PaidOut(SeenPayout),
}

impl Seen {
    /// The command.
    pub fn command(self) -> Command {
        match self {
            Self::Payment(payment) => Command::Payment(payment),
            Self::Rewards(payment) => Command::Rewards(payment),
            Self::Cover(payment) => Command::Cover(payment),
            Self::PaidOut(SeenPayout { payout, payment, to, eth }) => {
                Command::PaidOut { payout, payment, to, eth }
            }
        }
    }

    /// What the chain names it by.
    pub fn reference(&self) -> Reference {
        match self {
            Self::Payment(payment) | Self::Rewards(payment) | Self::Cover(payment) => payment.reference,
            Self::PaidOut(paid) => paid.payment,
        }
    }
}
