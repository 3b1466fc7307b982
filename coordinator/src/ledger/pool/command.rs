//! What the book is told and asked, by which rules, and what comes of it.

use crate::formulas::ratio::BasisPoints;
use crate::formulas::rebase::Bounds;
use crate::formulas::shares::{Rate, Shares};
use crate::ledger::chain::Reference;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use types::{Address, Epoch, Gwei, Wei};

/// A payment into the pool's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// Which.
    pub reference: Reference,
    /// Who paid.
    pub payer: Address,
    /// How much.
    pub eth: Wei,
}

/// How much of an account: in ETH at the present rate, or in shares, which do not rebase (a wrapped unit is a share).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// The shares of so much ETH, rounded down.
    Eth(Wei),
    /// So many shares.
    Shares(Shares),
}

/// What a finalized state of the chain says, since the report before. Observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The state's epoch; later than that of the report before.
    pub epoch: Epoch,
    /// The time of the state's slot, in seconds since 1970.
    pub at: u64,
    /// Balances of the pool's validators.
    pub balance: Gwei,
    /// Deposits that are no longer on their way: in a validator's balance, or lost to a validator that is not the pool's.
    pub arrived: Gwei,
    /// What validators' withdrawals brought to the pool's address.
    pub withdrawn: Gwei,
}

/// What the book is told (observations), and what it is asked. Who may ask is decided before: `owner` signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// A delegator paid.
    Payment(Payment),
    /// A block paid the pool's fee recipient. The payer is told for the record only.
    Rewards(Payment),
    /// Bonds, a guarantee or an insurance paid for a loss. No shares, no fee: the next report gives it to all.
    Cover(Payment),
    /// A payout was seen on the chain.
    PaidOut {
        /// Which.
        payout: u64,
        /// By what payment.
        payment: Reference,
        /// To whom.
        to: Address,
        /// How much.
        eth: Wei,
    },
    /// An owner gives shares away.
    Transfer {
        /// Whose.
        owner: Address,
        /// To whom.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// An owner asks for ETH.
    Request {
        /// Whose.
        owner: Address,
        /// How much.
        amount: Amount,
    },
    /// An owner takes what a request came to.
    Claim {
        /// Whose.
        owner: Address,
        /// Which request.
        request: u64,
    },
    /// Deposits are planned.
    Plan(Gwei),
    /// Planned deposits are given up.
    Unplan(Gwei),
    /// Planned deposits were seen sent.
    Send(Gwei),
    /// What the chain says.
    Report(Report),
    /// The books give away shares that they hold until it is known whose they are: those of [`super::OPERATORS_HOLDER`] and
    /// [`super::RESERVE_HOLDER`].
    Give {
        /// Out of which account.
        from: Address,
        /// To whom.
        to: Address,
        /// How much.
        eth: Wei,
    },
}

/// Parts of the rewards, and who gets them, in new shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// The operators' part, and the account from which it is divided.
    pub operators: (BasisPoints, Address),
    /// The treasury's, which also gets what rounding leaves over.
    pub treasury: (BasisPoints, Address),
    /// That of the insurance reserve.
    pub reserve: (BasisPoints, Address),
}

/// What policy and the other books say when a command is decided.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// How much more the pool may take in, by its limit on its share of all stake.
    pub intake_room: Gwei,
    /// The least that buys shares.
    pub payment_min: Wei,
    /// Of a closed pool, the delegators that its definition names. Others neither buy shares nor are given any.
    pub named: Option<&'a BTreeSet<Address>>,
    /// The least of a withdrawal request, so that the queue cannot be filled with nothing.
    pub request_min: Wei,
    /// The most of one, so that one does not hold up all others.
    pub request_max: Wei,
    /// How old a request is, at the report's time, before it is served: nobody leaves on a report that he knew of.
    pub request_age_min_s: u64,
    /// The part of all that is pooled that stays in the buffer.
    pub reserve: BasisPoints,
    /// Parts of the rewards.
    pub fees: Fees,
    /// What no honest report goes beyond.
    pub bounds: Bounds,
    /// Whether a slashing, or another fault whose loss is not yet known, is open.
    pub incident_open: bool,
}

/// Something that is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payout {
    /// To whom.
    pub to: Address,
    /// How much.
    pub eth: Wei,
    /// For what.
    pub why: PayoutReason,
}

/// For what something is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutReason {
    /// A withdrawal request.
    Claim(u64),
    /// A payment, or the part of it that bought no shares.
    Refund(Reference),
}

/// A request that a report served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// Which.
    pub request: u64,
    /// What it comes to.
    pub eth: Wei,
}

/// What a report comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// What the chain says.
    pub report: Report,
    /// Rewards of blocks that it counts.
    pub rewards: Wei,
    /// Cover that it counts.
    pub cover: Wei,
    /// Requests that it serves, in the queue's order.
    pub served: Vec<Served>,
    /// New shares: of operators, treasury, reserve.
    pub fees: [(Address, Shares); 3],
    /// Shares and ETH after it.
    pub after: Rate,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A payment bought shares, or is owed back, or both in parts.
    Paid {
        /// Which.
        reference: Reference,
        /// Who paid.
        payer: Address,
        /// What bought shares.
        pooled: Wei,
        /// The shares.
        shares: Shares,
        /// What is owed back.
        refund: Wei,
    },
    /// A block's payment waits for a report.
    Rewarded(Payment),
    /// A payment for a loss waits for a report.
    Covered(Payment),
    /// A payout is done.
    PaidOut {
        /// Which.
        payout: u64,
        /// By what payment.
        payment: Reference,
    },
    /// Shares moved.
    Transferred {
        /// Whose they were.
        from: Address,
        /// Whose they are.
        to: Address,
        /// How many.
        shares: Shares,
    },
    /// A request was made.
    Requested {
        /// Its number: they are counted from 0.
        request: u64,
        /// Whose.
        owner: Address,
        /// Its shares.
        shares: Shares,
        /// What they are worth: it gets no more.
        eth: Wei,
        /// When, in seconds since 1970.
        at: u64,
    },
    /// A request's ETH is to be paid, once.
    Claimed {
        /// Which.
        request: u64,
        /// The payout's number.
        payout: u64,
    },
    /// ETH is set aside for deposits.
    Planned(Gwei),
    /// It is free again.
    Unplanned(Gwei),
    /// It is on its way.
    Sent(Gwei),
    /// A report was counted.
    Reported(Reported),
    /// Shares that the books held are somebody's, or another account's of the books.
    Given {
        /// Who held them.
        from: Address,
        /// Whose they are.
        to: Address,
        /// How many.
        shares: Shares,
    },
}
