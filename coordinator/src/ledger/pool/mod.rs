//! The pool's book of money: who has which shares, where the ETH lies, who waits for a withdrawal.
//!
//! ```text
//! payment -> buffer -> planned -> transient -> validators -> (withdrawn) -> buffer
//!         -> refunds -> paid                     request: buffer -> locked -> payable -> paid
//! rewards of blocks -> rewards -> buffer         for losses:  cover -> buffer
//! ```
//!
//! **Shares.** A payment that is observed buys shares for its payer at the rate of the last report. What buys none is owed
//! back: it is below a share, beyond the pool's room, or of somebody whom a closed pool does not name. It is not a gift,
//! because nobody said so, and not forgotten, because it lies at the pool's address: it is a payout due.
//!
//! **Rate.** Only a report changes what a share is worth, but for roundings, which are in favour of who stays. A report says
//! what the chain's finalized state holds. Gains pay a fee in new shares, losses are everybody's, and a report beyond the
//! policy's bounds is refused until governance has looked. Of rewards of blocks a report takes as much as the bounds allow;
//! the rest waits for the next, so a lucky block delays nothing.
//!
//! **Queue.** A request moves shares out of its owner's account, and remembers what they are worth. Requests are served in
//! their order, whole, only by a report, and at its rate, but never better than at the request (Lido's rule: who leaves
//! does not earn while waiting, and who could would wait always). One that is too large for what is there holds up those
//! behind it. While an incident is open nothing is served, also not older requests: stake under a pending slash is not
//! redeemed above what it is worth after it. So every loss that a report tells is shared by all requests not yet served,
//! those made after the fault began among them. A request cannot be taken back: it would be a free option on the rate, and
//! validators may exit for it.
//!
//! **Invariant.** All books together are what came and was gained, less what left and was lost, to the wei; and buffer,
//! planned, transient and validators together are what the shares are worth. Compared after every event.
//!
//! Sources: Lido's `Lido.sol`, `Accounting.sol`, `WithdrawalQueue.sol`, and its oracle's bunker mode.

mod apply;
mod asked;
pub mod books;
mod command;
mod decide;
mod queue;
mod report;

pub use apply::{Corrupt, apply};
pub use asked::{Seen, SeenPayout, Wish};
pub use books::{Books, Flows, Unbalanced};
pub use command::{
    Amount, Command, Event, Fees, Payment, Payout, PayoutReason, Report, Reported, Rules, Served,
};
pub use decide::{Refusal, decide};
pub use queue::{OPEN_MAX, Queue, Request, SERVED_MAX};
pub use report::{Settled, settled};

use super::chain::Reference;
use crate::formulas::exits::Liquidity;
use crate::formulas::shares::{DEAD_HOLDER, Rate, SharePool, Shares};
use crate::formulas::wide::{self, WideError};
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{Address, Epoch, Wei};

/// The account that holds the shares of all requests that wait. Nobody has a key for it.
pub const QUEUE_HOLDER: Address =
    Address([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'q', b'u', b'e', b'u', b'e']);

/// The account of the operators' part of fees, until it is divided among them. Nobody has a key for it.
pub const OPERATORS_HOLDER: Address =
    Address([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'o', b'p', b'e', b'r', b'a', b't', b'o', b'r', b's']);

/// The account of the insurance reserve. Nobody has a key for it: what it pays for is the books' to say.
pub const RESERVE_HOLDER: Address =
    Address([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'r', b'e', b's', b'e', b'r', b'v', b'e']);

/// The most of one observation: more wei than there will be ETH, and so little that no sum of them can overflow.
pub const OBSERVED_MAX: Wei = Wei(U256::from_limbs([0, 1 << 32, 0, 0]));

/// Everything the book knows. Changed by [`apply`] only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub(crate) shares: SharePool,
    pub(crate) books: Books,
    pub(crate) flows: Flows,
    pub(crate) queue: Queue,
    pub(crate) payouts: BTreeMap<u64, Payout>,
    pub(crate) payout_next: u64,
    /// Every payment that was counted, so that none counts twice. It grows by one for each and is never cut: an
    /// observer that starts again from an old block must change nothing.
    pub(crate) counted: BTreeSet<Reference>,
    pub(crate) reported: Option<Epoch>,
}

impl State {
    /// Accounts and the rate. [`QUEUE_HOLDER`] has what waits in the queue.
    pub fn shares(&self) -> &SharePool {
        &self.shares
    }

    /// All shares, and all that is behind them.
    pub fn rate(&self) -> Rate {
        self.shares.rate()
    }

    /// Where the ETH lies.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// What came and went.
    pub fn flows(&self) -> &Flows {
        &self.flows
    }

    /// Withdrawal requests.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What is to be paid, by number: refunds and claims, in the order in which they became due.
    pub fn payouts(&self) -> &BTreeMap<u64, Payout> {
        &self.payouts
    }

    /// Whether a payment was counted.
    pub fn counted(&self, reference: Reference) -> bool {
        self.counted.contains(&reference)
    }

    /// The epoch of the last report.
    pub fn reported(&self) -> Option<Epoch> {
        self.reported
    }

    /// What waits in the queue would get now. Cost: all open requests.
    pub fn queued(&self) -> Result<Wei, WideError> {
        self.queue.worth(self.rate())
    }

    /// What may go into deposits: the buffer without what the queue waits for, and without the reserve.
    ///
    /// The reserve is the policy's part of all that is pooled, rounded up. The queue comes first: it may use up the
    /// reserve, and nothing is deposited before both are whole again.
    pub fn depositable(&self, rules: &Rules<'_>) -> Result<Wei, WideError> {
        let reserve = Wei(rules.reserve.ratio().ceil_of(self.rate().pooled.0)?);
        let kept = wide::add(reserve, self.queued()?)?;
        Ok(Wei(self.books.buffer.0.saturating_sub(kept.0)))
    }

    /// What exits are asked for: the queue, less what is there or on its way.
    ///
    /// - `predicted_rewards`: until exits would arrive; `exiting`: balances of validators that exit already.
    pub fn exit_demand(&self, predicted_rewards: Wei, exiting: Wei) -> Result<Wei, WideError> {
        let queued = self.queued()?;
        Liquidity { queued, buffer: self.books.buffer, predicted_rewards, exiting }.demand()
    }

    /// Looks at everything: the balance, the queue's shares, and what is owed one by one. Cost: all accounts, requests
    /// and payouts. For who reads a stored state, and for tests; [`apply`] keeps to it.
    pub fn audit(&self) -> Result<(), Corrupt> {
        books::balance(&self.books, &self.flows, self.rate().pooled)?;
        self.queue.audit(self.shares.shares(QUEUE_HOLDER), self.books.locked)?;
        let owed = |claims: bool| {
            let due = self.payouts.values().filter(|due| matches!(due.why, PayoutReason::Claim(_)) == claims);
            wide::total(due.map(|due| due.eth))
        };
        for (have, want) in [(owed(true)?, self.books.payable), (owed(false)?, self.books.refunds)] {
            if have != want {
                return Err(Corrupt::Owed { have, want });
            }
        }
        let past = self.payouts.last_key_value().filter(|(id, _)| **id >= self.payout_next);
        past.map_or(Ok(()), |(id, _)| Err(Corrupt::Number { have: *id, next: self.payout_next }))
    }
}

/// Whether an account is one that no key speaks for: its shares would be nobody's.
fn is_nobody(account: Address) -> bool {
    is_held(account) || !may_collect(account)
}

/// Whether the books hold an account's shares, until it is known whose they are.
fn is_held(account: Address) -> bool {
    [OPERATORS_HOLDER, RESERVE_HOLDER].contains(&account)
}

/// Whether an account may be given the shares of a fee: it is somebody's, or the books say what becomes of them.
fn may_collect(account: Address) -> bool {
    ![DEAD_HOLDER, QUEUE_HOLDER, Address::ZERO].contains(&account)
}

/// Numbers of shares together. Errors: more than 256 bits.
fn sum(shares: impl IntoIterator<Item = Shares>) -> Result<Shares, WideError> {
    shares.into_iter().try_fold(U256::ZERO, |sum, more| wide::sum(sum, more.0)).map(Shares)
}
