//! What a report comes to: rewards that are counted, fees, requests that are served.
//!
//! ```text
//! cover first:   the rate before the report is told with it, so that it is nobody's reward and pays no fee
//! rewards:       as much of what waits as keeps the frame within its bounds
//! rate_queue   = (pooled' - rewards * fee) / shares, exactly
//! served:        in order, while there is ETH: min(worth at the request, floor(shares * rate_queue))
//! fee_shares   = of the frame with what is served set aside; rounded down
//! ```
//!
//! Serving takes nothing from who stays: `rate_queue` is what a share is worth after the fee, what is served is no more
//! than that, and the fee's shares are rounded down. Nor is it below the rate before, unless the report tells a loss.

use super::command::{Fees, Report, Reported, Rules, Served};
use super::decide::Refusal;
use super::queue::{Request, SERVED_MAX};
use super::{State, may_collect, sum};
use crate::formulas::ratio::{BasisPoints, Ratio};
use crate::formulas::rebase::{Frame, Rebase, RebaseError, module_part};
use crate::formulas::shares::{Rate, Shares};
use crate::formulas::wide;
use alloy_primitives::U256;
use types::{Address, Wei};

/// A report as this book settles it: what goes into the frame, what it comes to, and the parts of its fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What was before, what the chain says, and what the report counts and serves.
    pub frame: Frame,
    /// What it comes to.
    pub rebase: Rebase,
    /// Parts of the rewards; together they are the frame's fee.
    pub fees: Fees,
}

/// What a report would come to. The book of reports divides these numbers, so both books have them from here.
///
/// Errors: those of the report.
pub fn settled(state: &State, rules: &Rules<'_>, report: &Report) -> Result<Settled, Refusal> {
    settle(state, rules, report).map(|(settled, _)| settled)
}

/// Computes what a report comes to. Errors: not later than the one before; more arrived than was on its way; beyond the
/// bounds even with no reward of a block; a fee that is none.
pub(super) fn settle(
    state: &State,
    rules: &Rules<'_>,
    report: &Report,
) -> Result<(Settled, Reported), Refusal> {
    if let Some(last) = state.reported.filter(|last| *last >= report.epoch) {
        return Err(Refusal::NotLater { last, epoch: report.epoch });
    }
    let (arrived, transient) = (wide::wei(report.arrived), state.books.transient);
    if arrived > transient {
        return Err(Refusal::ArrivedTooMuch { arrived, transient });
    }
    if state.rate().shares == Shares::ZERO {
        return Err(Refusal::NobodyHasShares);
    }
    let fee = fee(&rules.fees)?;
    let cover = state.books.cover;
    let before = state.rate();
    let frame = Frame {
        before: Rate { pooled: wide::add(before.pooled, cover)?, ..before },
        cl_before: state.books.validators,
        deposited: arrived,
        cl_after: wide::wei(report.balance),
        withdrawn: wide::wei(report.withdrawn),
        fee,
        ..Frame::default()
    };
    let frame = with_rewards(frame, state.books.rewards, rules)?;
    let served = serve(state, rules, report, &frame)?;
    let locked = wide::total(served.iter().map(|served| served.eth))?;
    let burnt = sum(served.iter().filter_map(|served| state.queue.request(served.request)).map(shares_of))?;
    let frame = Frame { locked, burnt, ..frame };
    let rebase = frame.settle()?;
    let fees = split(rebase.fee_shares, fee, &rules.fees)?;
    let rewards = frame.el_rewards;
    let reported = Reported { report: *report, rewards, cover, served, fees, after: rebase.after };
    Ok((Settled { frame, rebase, fees: rules.fees }, reported))
}

fn shares_of(request: &Request) -> Shares {
    request.shares
}

/// The part of all rewards that is fee. Errors: more than everything; an account that nobody has.
fn fee(fees: &Fees) -> Result<BasisPoints, Refusal> {
    let parts = [fees.operators, fees.treasury, fees.reserve];
    if let Some((_, account)) = parts.iter().find(|(_, account)| !may_collect(*account)) {
        return Err(Refusal::Nobody { account: *account });
    }
    // Three parts of at most 10000 each.
    let sum_bp = parts.iter().map(|(part, _)| part.get()).sum();
    BasisPoints::new(sum_bp).map_err(|_| Refusal::FeeOfMoreThanAll { sum_bp })
}

/// The frame with as much of the waiting rewards as keeps it within its bounds. Errors: none at all does.
fn with_rewards(frame: Frame, waiting: Wei, rules: &Rules<'_>) -> Result<Frame, RebaseError> {
    let taking = |el_rewards: Wei| {
        let frame = Frame { el_rewards, ..frame };
        frame.settle()?.within(&frame, &rules.bounds).map(|()| frame)
    };
    if let Ok(all) = taking(waiting) {
        return Ok(all);
    }
    let mut best = taking(Wei::ZERO)?;
    // Halved until there is nothing between what is within the bounds and what is not.
    let (mut low, mut high) = (U256::ZERO, waiting.0);
    while high - low > U256::ONE {
        let middle = low + (high - low) / U256::from(2);
        match taking(Wei(middle)) {
            Ok(within) => (low, best) = (middle, within),
            Err(_) => high = middle,
        }
    }
    Ok(best)
}

/// The requests that are served, in their order: whole ones, old enough, while there is ETH.
fn serve(state: &State, rules: &Rules<'_>, report: &Report, frame: &Frame) -> Result<Vec<Served>, Refusal> {
    let mut served = Vec::new();
    if rules.incident_open {
        return Ok(served);
    }
    let rate = queue_rate(frame, &frame.settle()?)?;
    let came = wide::total([frame.withdrawn, frame.el_rewards, state.books.cover])?;
    let mut there = wide::add(state.books.buffer, came)?;
    for (number, request) in state.queue.open().take(SERVED_MAX) {
        let old = request.at.saturating_add(rules.request_age_min_s) <= report.at;
        let eth = request.worth(rate)?;
        let rest = there.0.checked_sub(eth.0);
        // Of a pool that lost everything nobody gets nothing: something may still come back.
        let (true, false, Some(rest)) = (old, eth == Wei::ZERO, rest) else { break };
        there = Wei(rest);
        served.push(Served { request: number, eth });
    }
    Ok(served)
}

/// The rate after the report, before anything is served: exact, because the fee is told in ETH.
fn queue_rate(frame: &Frame, rebase: &Rebase) -> Result<Rate, Refusal> {
    let whole = U256::from(BasisPoints::WHOLE.get());
    let fee = wide::times(rebase.rewards.0, U256::from(frame.fee.get()))?;
    let shares = wide::times(frame.before.shares.0, whole).map(Shares)?;
    let pooled = wide::difference(wide::times(rebase.after.pooled.0, whole)?, fee).map(Wei)?;
    Ok(Rate { shares, pooled })
}

/// Who gets how many of the new shares: operators and reserve rounded down, the treasury the rest.
fn split(minted: Shares, fee: BasisPoints, fees: &Fees) -> Result<[(Address, Shares); 3], Refusal> {
    let part = |bp: BasisPoints| {
        // Where there is no fee nothing is minted.
        let of_fee = Ratio::of(u64::from(bp.get()), u64::from(fee.get())).unwrap_or(Ratio::ZERO);
        module_part(minted, of_fee)
    };
    let (operators, reserve) = (part(fees.operators.0)?, part(fees.reserve.0)?);
    let treasury = wide::difference(wide::difference(minted.0, operators.0)?, reserve.0).map(Shares)?;
    Ok([(fees.operators.1, operators), (fees.treasury.1, treasury), (fees.reserve.1, reserve)])
}
