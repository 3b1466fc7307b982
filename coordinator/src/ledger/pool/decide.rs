//! Whether a command is obeyed, and what follows from it. Nothing changes here.

use super::command::{Amount, Command, Event, Payment, Payout, PayoutReason, Rules};
use super::queue::OPEN_MAX;
use super::{OBSERVED_MAX, State, is_held, is_nobody, may_collect, report};
use crate::formulas::rebase::RebaseError;
use crate::formulas::shares::{ShareError, Shares};
use crate::formulas::wide::{self, WideError};
use crate::ledger::chain::Reference;
use thiserror::Error;
use types::{Address, Epoch, Gwei, Wei};

/// Why a command is refused. It changes nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// A payment that was counted.
    #[error("payment {} of {} was counted", .reference.index, .reference.hash)]
    Counted {
        /// Which.
        reference: Reference,
    },
    /// Nothing is moved, or more than there is in the world.
    #[error("{eth} wei are no amount: more than nothing, at most {OBSERVED_MAX}")]
    NoAmount {
        /// How much.
        eth: Wei,
    },
    /// No shares are asked for.
    #[error("no shares are asked for")]
    NoShares,
    /// Shares would be nobody's.
    #[error("nobody has the key of {account}")]
    Nobody {
        /// The account.
        account: Address,
    },
    /// The books hold no shares in this account.
    #[error("the shares of {account} are not the books' to give")]
    NotHeld {
        /// Which.
        account: Address,
    },
    /// A closed pool does not name who would get shares.
    #[error("the pool's definition does not name {account}")]
    NotNamed {
        /// Who.
        account: Address,
    },
    /// What the ledger of shares refuses.
    #[error(transparent)]
    Shares(#[from] ShareError),
    /// A request of too little or too much.
    #[error("a request of {eth} wei, it may be from {min} to {max}")]
    RequestSize {
        /// What its shares are worth.
        eth: Wei,
        /// The least.
        min: Wei,
        /// The most.
        max: Wei,
    },
    /// Too many wait.
    #[error("{OPEN_MAX} requests wait")]
    QueueFull,
    /// No such request, or it is claimed.
    #[error("there is no request {request}, or it is claimed")]
    NoRequest {
        /// Which.
        request: u64,
    },
    /// Somebody else's.
    #[error("request {request} is not of {owner}")]
    NotOwner {
        /// Which.
        request: u64,
        /// Who asked.
        owner: Address,
    },
    /// Its turn has not come.
    #[error("request {request} is not served yet")]
    NotServed {
        /// Which.
        request: u64,
    },
    /// No such payout, or it is done.
    #[error("there is no payout {payout}, or it is done")]
    NoPayout {
        /// Which.
        payout: u64,
    },
    /// Not what is to be paid: another amount, or to another.
    #[error("payout {payout} is not of {eth} wei to {to}")]
    OtherPayout {
        /// Which.
        payout: u64,
        /// To whom it was.
        to: Address,
        /// How much it was.
        eth: Wei,
    },
    /// Deposits of more than is free for them.
    #[error("{wanted} wei for deposits, {free} are free for them")]
    NotFree {
        /// Asked for.
        wanted: Wei,
        /// Free.
        free: Wei,
    },
    /// More sent or given up than was planned.
    #[error("{wanted} wei, {planned} are planned")]
    NotPlanned {
        /// Told.
        wanted: Wei,
        /// Planned.
        planned: Wei,
    },
    /// A report that is not later than the last one.
    #[error("a report of epoch {epoch}, the last one is of {last}")]
    NotLater {
        /// The last one's.
        last: Epoch,
        /// This one's.
        epoch: Epoch,
    },
    /// A report before the first deposit: there is nobody whom it is for.
    #[error("nobody has shares yet")]
    NobodyHasShares,
    /// More deposits arrived than were on their way.
    #[error("{arrived} wei arrived, {transient} were on their way")]
    ArrivedTooMuch {
        /// Arrived.
        arrived: Wei,
        /// On their way.
        transient: Wei,
    },
    /// Fees of more than everything.
    #[error("fees of {sum_bp} basis points are more than 10000")]
    FeeOfMoreThanAll {
        /// Their sum.
        sum_bp: u16,
    },
    /// What no honest report comes to, or what cannot be computed.
    #[error(transparent)]
    Report(#[from] RebaseError),
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// What follows from a command: what happens, in order, or why nothing does.
///
/// - `now`: seconds since 1970.
/// - [`super::apply`] takes what is decided here, if nothing was applied in between.
/// - Cost: a report costs some hundred steps and all requests it serves; planning costs all requests that wait.
pub fn decide(state: &State, rules: &Rules<'_>, now: u64, command: &Command) -> Result<Vec<Event>, Refusal> {
    let event = match command {
        Command::Payment(payment) => paid(state, rules, payment)?,
        Command::Rewards(payment) => Event::Rewarded(*observed(state, payment)?),
        Command::Cover(payment) => Event::Covered(*observed(state, payment)?),
        Command::PaidOut { payout, payment, to, eth } => {
            let due = *state.payouts.get(payout).ok_or(Refusal::NoPayout { payout: *payout })?;
            uncounted(state, *payment)?;
            if (due.to, due.eth) != (*to, *eth) {
                return Err(Refusal::OtherPayout { payout: *payout, to: *to, eth: *eth });
            }
            Event::PaidOut { payout: *payout, payment: *payment }
        }
        Command::Transfer { owner, to, amount } => transferred(state, rules, *owner, *to, *amount)?,
        Command::Request { owner, amount } => requested(state, rules, now, *owner, *amount)?,
        Command::Claim { owner, request } => claimed(state, *owner, *request)?,
        Command::Plan(amount) => {
            let (wanted, free) = (amount_of(*amount)?, state.depositable(rules)?);
            if wanted > free {
                return Err(Refusal::NotFree { wanted, free });
            }
            Event::Planned(*amount)
        }
        Command::Unplan(amount) => planned(state, *amount).map(|()| Event::Unplanned(*amount))?,
        Command::Send(amount) => planned(state, *amount).map(|()| Event::Sent(*amount))?,
        Command::Report(report) => Event::Reported(report::settle(state, rules, report)?.1),
        Command::Give { from, to, eth } => given(state, *from, *to, *eth)?,
    };
    Ok(vec![event])
}

fn uncounted(state: &State, reference: Reference) -> Result<(), Refusal> {
    if state.counted.contains(&reference) { Err(Refusal::Counted { reference }) } else { Ok(()) }
}

/// A payment that counts: an amount, and not counted before.
fn observed<'a>(state: &State, payment: &'a Payment) -> Result<&'a Payment, Refusal> {
    uncounted(state, payment.reference)?;
    let eth = payment.eth;
    if eth == Wei::ZERO || eth > OBSERVED_MAX { Err(Refusal::NoAmount { eth }) } else { Ok(payment) }
}

/// As much as the pool has room for buys shares; what does not is owed back.
fn paid(state: &State, rules: &Rules<'_>, payment: &Payment) -> Result<Event, Refusal> {
    let Payment { reference, payer, eth } = *observed(state, payment)?;
    let within = eth.min(wide::wei(rules.intake_room));
    let buys = may_hold(rules, payer).is_ok() && within >= rules.payment_min;
    let shares = if buys { quote(state, within)? } else { Shares::ZERO };
    let pooled = if shares == Shares::ZERO { Wei::ZERO } else { within };
    Ok(Event::Paid { reference, payer, pooled, shares, refund: wide::sub(eth, pooled)? })
}

/// The shares that an amount buys; none where it buys none for a reason that is the amount's or the pool's.
fn quote(state: &State, eth: Wei) -> Result<Shares, WideError> {
    match state.shares.quote(eth) {
        Ok(shares) => Ok(shares),
        Err(ShareError::Wide(error)) => Err(error),
        Err(
            ShareError::LessThanAShare { .. }
            | ShareError::FirstTooSmall { .. }
            | ShareError::NoPrice { .. }
            | ShareError::TooFew { .. }
            | ShareError::Dead,
        ) => Ok(Shares::ZERO),
    }
}

/// Whether an account may get shares: somebody has it, and a closed pool names it.
fn may_hold(rules: &Rules<'_>, account: Address) -> Result<(), Refusal> {
    if is_nobody(account) {
        return Err(Refusal::Nobody { account });
    }
    let named = rules.named.is_none_or(|named| named.contains(&account));
    if named { Ok(()) } else { Err(Refusal::NotNamed { account }) }
}

/// The shares of an amount, which the owner has.
fn owned(state: &State, owner: Address, amount: Amount) -> Result<Shares, Refusal> {
    // Nobody signs for these; whoever says so is not believed.
    if is_nobody(owner) {
        return Err(Refusal::Nobody { account: owner });
    }
    let have = state.shares.shares(owner);
    let need = match amount {
        Amount::Shares(shares) => shares,
        Amount::Eth(_) if have == Shares::ZERO => return Err(Refusal::NoShares),
        Amount::Eth(eth) => quote(state, eth)?,
    };
    if need == Shares::ZERO {
        return Err(Refusal::NoShares);
    }
    if need > have {
        return Err(ShareError::TooFew { account: owner, have, need }.into());
    }
    Ok(need)
}

fn transferred(
    state: &State,
    rules: &Rules<'_>,
    from: Address,
    to: Address,
    amount: Amount,
) -> Result<Event, Refusal> {
    may_hold(rules, to)?;
    Ok(Event::Transferred { from, to, shares: owned(state, from, amount)? })
}

/// As many shares as are worth the amount, rounded down, and no more than there are: who is given them does not get what
/// the others have. A closed pool need not name who has earned them.
fn given(state: &State, from: Address, to: Address, eth: Wei) -> Result<Event, Refusal> {
    if !is_held(from) || from == to {
        return Err(Refusal::NotHeld { account: from });
    }
    if !may_collect(to) {
        return Err(Refusal::Nobody { account: to });
    }
    let shares = quote(state, eth)?.min(state.shares.shares(from));
    if shares == Shares::ZERO { Err(Refusal::NoShares) } else { Ok(Event::Given { from, to, shares }) }
}

fn requested(
    state: &State,
    rules: &Rules<'_>,
    now: u64,
    owner: Address,
    amount: Amount,
) -> Result<Event, Refusal> {
    let shares = owned(state, owner, amount)?;
    let eth = state.rate().eth_of(shares)?;
    let (min, max) = (rules.request_min, rules.request_max);
    if eth < min || eth > max || eth == Wei::ZERO {
        return Err(Refusal::RequestSize { eth, min, max });
    }
    if state.queue.waiting() >= OPEN_MAX {
        return Err(Refusal::QueueFull);
    }
    Ok(Event::Requested { request: state.queue.next(), owner, shares, eth, at: now })
}

fn claimed(state: &State, owner: Address, number: u64) -> Result<Event, Refusal> {
    let request = state.queue.request(number).ok_or(Refusal::NoRequest { request: number })?;
    if request.owner != owner {
        return Err(Refusal::NotOwner { request: number, owner });
    }
    if !state.queue.is_served(number) {
        return Err(Refusal::NotServed { request: number });
    }
    Ok(Event::Claimed { request: number, payout: state.payout_next })
}

fn amount_of(amount: Gwei) -> Result<Wei, Refusal> {
    let eth = wide::wei(amount);
    if eth == Wei::ZERO { Err(Refusal::NoAmount { eth }) } else { Ok(eth) }
}

fn planned(state: &State, amount: Gwei) -> Result<(), Refusal> {
    let (wanted, planned) = (amount_of(amount)?, state.books.planned);
    if wanted > planned { Err(Refusal::NotPlanned { wanted, planned }) } else { Ok(()) }
}

/// The payout that a refund is.
pub(super) fn refund(reference: Reference, to: Address, eth: Wei) -> Payout {
    Payout { to, eth, why: PayoutReason::Refund(reference) }
}
