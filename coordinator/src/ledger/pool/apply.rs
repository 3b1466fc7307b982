//! What an event changes. An event that cannot have been decided on this state is a corrupt log, and changes nothing.

use super::books::{self, Books, Flows, Unbalanced};
use super::command::{Event, Payout, PayoutReason, Reported};
use super::decide::refund;
use super::queue::Request;
use super::{QUEUE_HOLDER, State, is_held, is_nobody, may_collect, sum};
use crate::formulas::shares::{ShareError, SharePool, Shares};
use crate::formulas::wide::{self, WideError};
use crate::ledger::chain::Reference;
use thiserror::Error;
use types::{Address, Wei};

/// Why an event cannot have happened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Corrupt {
    /// A payment that was counted.
    #[error("payment {} of {} was counted", .reference.index, .reference.hash)]
    Counted {
        /// Which.
        reference: Reference,
    },
    /// A number that is not the next, or names nothing.
    #[error("number {have}, the next is {next}")]
    Number {
        /// The event's.
        have: u64,
        /// The state's next.
        next: u64,
    },
    /// Shares of, or for, an account that nobody has.
    #[error("nobody has the key of {account}")]
    Nobody {
        /// The account.
        account: Address,
    },
    /// Other shares than the payment buys.
    #[error("{have} shares for a payment that buys {want}")]
    Bought {
        /// The event's.
        have: Shares,
        /// The state's.
        want: Shares,
    },
    /// Shares of the queue that are not those of its requests.
    #[error("the queue holds {have} shares, its requests have {want}")]
    QueueShares {
        /// Of its account.
        have: Shares,
        /// Of its requests.
        want: Shares,
    },
    /// What is owed one by one is not what is set aside.
    #[error("{have} wei are owed one by one, {want} are set aside")]
    Owed {
        /// One by one.
        have: Wei,
        /// Set aside.
        want: Wei,
    },
    /// More or other than a request can get.
    #[error("request {request} is served out of its turn, or with more than it can get")]
    Serves {
        /// Which.
        request: u64,
    },
    /// The ledger of shares refuses it.
    #[error(transparent)]
    Shares(#[from] ShareError),
    /// The books would not come to what came and went.
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// Changes the state by one event. Errors: the event cannot have been decided on this state, which is then as it was.
///
/// Cost: logarithmic, but for a report, which copies all accounts.
pub fn apply(state: &mut State, event: &Event) -> Result<(), Corrupt> {
    match event {
        Event::Paid { reference, payer, pooled, shares, refund } => {
            paid(state, *reference, *payer, [*pooled, *refund], *shares)?;
        }
        Event::Rewarded(payment) => {
            let books = Books { rewards: wide::add(state.books.rewards, payment.eth)?, ..state.books };
            arrived(state, payment.reference, payment.eth, books)?;
        }
        Event::Covered(payment) => {
            let books = Books { cover: wide::add(state.books.cover, payment.eth)?, ..state.books };
            arrived(state, payment.reference, payment.eth, books)?;
        }
        Event::PaidOut { payout, payment } => paid_out(state, *payout, *payment)?,
        Event::Transferred { from, to, shares } => {
            [*from, *to].into_iter().try_for_each(somebody)?;
            state.shares.transfer_shares(*from, *to, *shares)?;
        }
        Event::Requested { request, owner, shares, eth, at } => {
            number(*request, state.queue.next)?;
            somebody(*owner)?;
            state.shares.transfer_shares(*owner, QUEUE_HOLDER, *shares)?;
            state.queue.next += 1;
            let made = Request { owner: *owner, shares: *shares, eth: *eth, at: *at };
            state.queue.requests.insert(*request, made);
        }
        Event::Claimed { request, payout } => claimed(state, *request, *payout)?,
        Event::Planned(amount) => {
            moved(state, wide::wei(*amount), |books| (&mut books.buffer, &mut books.planned))?
        }
        Event::Unplanned(amount) => {
            moved(state, wide::wei(*amount), |books| (&mut books.planned, &mut books.buffer))?;
        }
        Event::Sent(amount) => {
            moved(state, wide::wei(*amount), |books| (&mut books.planned, &mut books.transient))?
        }
        Event::Reported(reported) => counted_report(state, reported)?,
        Event::Given { from, to, shares } => {
            if !is_held(*from) || from == to {
                return Err(Corrupt::Nobody { account: *from });
            }
            if !may_collect(*to) {
                return Err(Corrupt::Nobody { account: *to });
            }
            state.shares.transfer_shares(*from, *to, *shares)?;
        }
    }
    let balanced = books::balance(&state.books, &state.flows, state.rate().pooled);
    assert!(balanced.is_ok(), "every event keeps the books in balance: {balanced:?}");
    Ok(())
}

fn number(have: u64, next: u64) -> Result<(), Corrupt> {
    // The last number is never given out, so that there is always a next.
    if have == next && next < u64::MAX { Ok(()) } else { Err(Corrupt::Number { have, next }) }
}

fn somebody(account: Address) -> Result<(), Corrupt> {
    if is_nobody(account) { Err(Corrupt::Nobody { account }) } else { Ok(()) }
}

fn uncounted(state: &State, reference: Reference) -> Result<(), Corrupt> {
    if state.counted.contains(&reference) { Err(Corrupt::Counted { reference }) } else { Ok(()) }
}

/// Counts a payment that came, with the books after it.
fn arrived(state: &mut State, reference: Reference, eth: Wei, books: Books) -> Result<(), Corrupt> {
    uncounted(state, reference)?;
    let flows = Flows { came: wide::add(state.flows.came, eth)?, ..state.flows };
    books::balance(&books, &flows, state.rate().pooled)?;
    (state.books, state.flows) = (books, flows);
    state.counted.insert(reference);
    Ok(())
}

fn paid(
    state: &mut State,
    reference: Reference,
    payer: Address,
    [pooled, back]: [Wei; 2],
    shares: Shares,
) -> Result<(), Corrupt> {
    uncounted(state, reference)?;
    let next = state.payout_next.checked_add(1).ok_or(Corrupt::Number { have: u64::MAX, next: u64::MAX })?;
    let books = Books {
        buffer: wide::add(state.books.buffer, pooled)?,
        refunds: wide::add(state.books.refunds, back)?,
        ..state.books
    };
    let flows = Flows { came: wide::add(state.flows.came, wide::add(pooled, back)?)?, ..state.flows };
    books::balance(&books, &flows, wide::add(state.rate().pooled, pooled)?)?;
    if pooled != Wei::ZERO || shares != Shares::ZERO {
        somebody(payer)?;
        let want = state.shares.quote(pooled)?;
        if want != shares {
            return Err(Corrupt::Bought { have: shares, want });
        }
        state.shares.deposit(payer, pooled)?;
    }
    (state.books, state.flows) = (books, flows);
    state.counted.insert(reference);
    if back != Wei::ZERO {
        state.payouts.insert(state.payout_next, refund(reference, payer, back));
        state.payout_next = next;
    }
    Ok(())
}

fn paid_out(state: &mut State, payout: u64, payment: Reference) -> Result<(), Corrupt> {
    uncounted(state, payment)?;
    let unknown = Corrupt::Number { have: payout, next: state.payout_next };
    let due = *state.payouts.get(&payout).ok_or(unknown)?;
    let mut books = state.books;
    let book = match due.why {
        PayoutReason::Claim(_) => &mut books.payable,
        PayoutReason::Refund(_) => &mut books.refunds,
    };
    *book = wide::sub(*book, due.eth)?;
    let flows = Flows { left: wide::add(state.flows.left, due.eth)?, ..state.flows };
    books::balance(&books, &flows, state.rate().pooled)?;
    (state.books, state.flows) = (books, flows);
    state.payouts.remove(&payout);
    state.counted.insert(payment);
    Ok(())
}

fn claimed(state: &mut State, request: u64, payout: u64) -> Result<(), Corrupt> {
    number(payout, state.payout_next)?;
    let unknown = Corrupt::Number { have: request, next: state.queue.next };
    let Request { owner, eth, .. } =
        *state.queue.request(request).filter(|_| state.queue.is_served(request)).ok_or(unknown)?;
    moved(state, eth, |books| (&mut books.locked, &mut books.payable))?;
    state.queue.requests.remove(&request);
    state.payouts.insert(payout, Payout { to: owner, eth, why: PayoutReason::Claim(request) });
    state.payout_next += 1;
    Ok(())
}

/// Moves an amount from one book to another.
fn moved(
    state: &mut State,
    amount: Wei,
    between: impl Fn(&mut Books) -> (&mut Wei, &mut Wei),
) -> Result<(), Corrupt> {
    let mut books = state.books;
    let (from, to) = between(&mut books);
    (*from, *to) = (wide::sub(*from, amount)?, wide::add(*to, amount)?);
    books::balance(&books, &state.flows, state.rate().pooled)?;
    state.books = books;
    Ok(())
}

/// All of a report, or nothing of it.
fn counted_report(state: &mut State, reported: &Reported) -> Result<(), Corrupt> {
    let Reported { report, served, fees, after, .. } = reported;
    let late = |last: types::Epoch| Corrupt::Number { have: report.epoch.0, next: last.next().0 };
    if let Some(last) = state.reported.filter(|last| *last >= report.epoch) {
        return Err(late(last));
    }
    for (number, served) in (state.queue.first_open..).zip(served) {
        let request = state.queue.request(number).filter(|request| served.eth <= request.eth);
        if number != served.request || request.is_none() {
            return Err(Corrupt::Serves { request: served.request });
        }
    }
    let (books, flows) = books_after(state, reported)?;
    let burnt = served.iter().filter_map(|served| state.queue.request(served.request));
    let burnt = sum(burnt.map(|request| request.shares))?;
    let mut shares: SharePool = state.shares.clone();
    shares.burn(QUEUE_HOLDER, burnt)?;
    for (collector, fee) in fees {
        if !may_collect(*collector) {
            return Err(Corrupt::Nobody { account: *collector });
        }
        shares.rebase(after.pooled, *collector, *fee)?;
    }
    if shares.rate().shares != after.shares {
        return Err(Corrupt::Bought { have: after.shares, want: shares.rate().shares });
    }
    books::balance(&books, &flows, after.pooled)?;
    (state.books, state.flows, state.shares) = (books, flows, shares);
    state.reported = Some(report.epoch);
    for served in served {
        if let Some(request) = state.queue.requests.get_mut(&served.request) {
            request.eth = served.eth;
        }
        state.queue.first_open = served.request + 1;
    }
    Ok(())
}

/// Where the ETH lies after a report, and what came of it.
fn books_after(state: &State, reported: &Reported) -> Result<(Books, Flows), Corrupt> {
    let Reported { report, rewards, cover, served, .. } = reported;
    let (old, withdrawn) = (&state.books, wide::wei(report.withdrawn));
    let locked = wide::total(served.iter().map(|served| served.eth))?;
    let buffer = wide::total([old.buffer, withdrawn, *rewards, *cover])?;
    let books = Books {
        buffer: wide::sub(buffer, locked)?,
        transient: wide::sub(old.transient, wide::wei(report.arrived))?,
        validators: wide::wei(report.balance),
        locked: wide::add(old.locked, locked)?,
        rewards: wide::sub(old.rewards, *rewards)?,
        cover: wide::sub(old.cover, *cover)?,
        ..*old
    };
    let principal = wide::add(old.validators, wide::wei(report.arrived))?;
    let unified = wide::add(books.validators, withdrawn)?;
    let mut flows = state.flows;
    if unified > principal {
        flows.gained = wide::add(flows.gained, wide::sub(unified, principal)?)?;
    } else {
        flows.lost = wide::add(flows.lost, wide::sub(principal, unified)?)?;
    }
    Ok((books, flows))
}
