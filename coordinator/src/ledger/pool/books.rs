//! Where the pool's ETH lies, to the wei, and by which ways it came and went.

use crate::formulas::wide::{self, WideError};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::Wei;

/// Where the ETH lies. The first four are what shares are worth; the others belong to somebody already, or wait.
///
/// `buffer`, `planned`, `locked`, `payable`, `refunds`, `rewards` and `cover` lie at the pool's addresses on the execution
/// layer; `transient` and `validators` on the consensus layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Books {
    /// Free: the reserve, what the queue will be served from, and what can be deposited.
    pub buffer: Wei,
    /// Set aside for deposits that are planned and not sent.
    pub planned: Wei,
    /// Sent to the deposit contract, and not yet in a validator's balance as far as a report said.
    pub transient: Wei,
    /// Balances of the pool's validators at the last report.
    pub validators: Wei,
    /// Set aside for withdrawal requests that are final and not claimed.
    pub locked: Wei,
    /// Claimed, and not yet seen paid.
    pub payable: Wei,
    /// Owed to payers whose payment, or a part of it, bought no shares; not yet seen paid.
    pub refunds: Wei,
    /// Rewards of the execution layer that no report has counted.
    pub rewards: Wei,
    /// Paid by bonds, guarantees or insurance for losses, and not yet counted by a report.
    pub cover: Wei,
}

impl Books {
    /// What all shares are worth together. Errors: more than 256 bits.
    pub fn pooled(&self) -> Result<Wei, WideError> {
        wide::total([self.buffer, self.planned, self.transient, self.validators])
    }

    /// All of it. Errors: more than 256 bits.
    pub fn all(&self) -> Result<Wei, WideError> {
        let owed = [self.locked, self.payable, self.refunds, self.rewards, self.cover];
        wide::add(self.pooled()?, wide::total(owed)?)
    }
}

/// All that ever came and went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flows {
    /// Observed payments: of delegators, of blocks, and for losses.
    pub came: Wei,
    /// Observed payments to those who claimed, or were refunded.
    pub left: Wei,
    /// What the consensus layer gained in all reports that gained.
    pub gained: Wei,
    /// What it lost in all reports that lost.
    pub lost: Wei,
}

/// Books that do not come to what came and went.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unbalanced {
    /// Something was made or lost.
    #[error("the books hold {have} wei, what came and went leaves {want}")]
    Flows {
        /// All of the books.
        have: Wei,
        /// What came and was gained, less what left and was lost.
        want: Wei,
    },
    /// Shares are worth something else than what lies behind them.
    #[error("{have} wei lie behind the shares, which are worth {want}")]
    Shares {
        /// What lies there.
        have: Wei,
        /// What the shares' ledger says.
        want: Wei,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// Compares the books with what came and went, and with what the shares are worth.
pub fn balance(books: &Books, flows: &Flows, pooled: Wei) -> Result<(), Unbalanced> {
    let have = books.all()?;
    let want = wide::sub(wide::add(flows.came, flows.gained)?, wide::add(flows.left, flows.lost)?)?;
    if have != want {
        return Err(Unbalanced::Flows { have, want });
    }
    let have = books.pooled()?;
    if have == pooled { Ok(()) } else { Err(Unbalanced::Shares { have, want: pooled }) }
}
