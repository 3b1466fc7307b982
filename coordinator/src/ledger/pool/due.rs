//! What reserve and operators owe in shares, and what a report does about it.
//!
//! ```text
//! forgiven:  shares of the holder that are worth what is due are burnt, rounded up: their ETH stays, for all others
//! restored:  shares of the operators' account that are worth what is due become the reserve's, rounded down
//! ```
//!
//! Both are remembered until a report, because only a report changes what a share is worth. Shares are worth what they were
//! before it. What is burnt counts within the report's bound on gains, and what does not fit, or what the holder does not
//! have, stays due.

use super::apply::Corrupt;
use super::{OPERATORS_HOLDER, RESERVE_HOLDER, State, sum};
use crate::formulas::shares::{SharePool, Shares};
use crate::formulas::wide::{self, WideError};
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{Address, Wei};

/// What is due.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    /// By holder: what its shares stand for no more.
    pub forgiven: BTreeMap<Address, Wei>,
    /// What of the operators' account is the reserve's.
    pub restored: Wei,
}

/// Shares that a report takes from an account for what was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// Whose.
    pub from: Address,
    /// How many.
    pub shares: Shares,
    /// What is due no more.
    pub eth: Wei,
}

/// Whether an account can owe shares: nobody has its key, and the books say what becomes of them.
pub(super) fn may_owe(holder: Address) -> bool {
    [RESERVE_HOLDER, OPERATORS_HOLDER].contains(&holder)
}

/// What each holder would have burnt, if the bound did not say otherwise; those first that are first in the map.
pub(super) fn wanted(state: &State) -> Result<Vec<(Address, Shares)>, WideError> {
    let rate = state.rate();
    if rate.pooled == Wei::ZERO {
        return Ok(Vec::new());
    }
    let want = |(holder, due): (&Address, &Wei)| {
        let worth = Shares(wide::mul_div_ceil(due.0, rate.shares.0, rate.pooled.0)?);
        Ok((*holder, worth.min(state.shares.shares(*holder))))
    };
    state.due.forgiven.iter().map(want).collect()
}

/// So many shares of those that are wanted, in their order, and what is due no more for them.
pub(super) fn burnt(
    state: &State,
    wanted: &[(Address, Shares)],
    most: Shares,
) -> Result<Vec<Taken>, WideError> {
    let (mut left, mut burnt) = (most.0, Vec::new());
    for (from, want) in wanted {
        let shares = Shares(want.0.min(left));
        left -= shares.0;
        if shares != Shares::ZERO {
            let due = state.due.forgiven.get(from).copied().unwrap_or_default();
            burnt.push(Taken { from: *from, shares, eth: state.rate().eth_of(shares)?.min(due) });
        }
    }
    Ok(burnt)
}

/// What becomes the reserve's of what the operators' account has left.
pub(super) fn restored(state: &State, burnt: &[Taken]) -> Result<Option<Taken>, WideError> {
    let (rate, due, from) = (state.rate(), state.due.restored, OPERATORS_HOLDER);
    if rate.pooled == Wei::ZERO || due == Wei::ZERO {
        return Ok(None);
    }
    let gone = sum(burnt.iter().filter(|taken| taken.from == from).map(|taken| taken.shares))?;
    let have = Shares(wide::difference(state.shares.shares(from).0, gone.0)?);
    let all = rate.shares_of(due)?;
    let shares = all.min(have);
    let eth = if shares == all { due } else { rate.eth_of(shares)? };
    Ok((shares != Shares::ZERO).then_some(Taken { from, shares, eth }))
}

/// All that a report takes. Errors: more than is due, or than there is; then nothing has changed that counts.
pub(super) fn take(
    due: &mut Due,
    shares: &mut SharePool,
    burnt: &[Taken],
    restored: Option<&Taken>,
) -> Result<(), Corrupt> {
    for taken in burnt {
        let owed = due.forgiven.get(&taken.from).copied().unwrap_or_default();
        match wide::sub(owed, taken.eth)? {
            Wei::ZERO => drop(due.forgiven.remove(&taken.from)),
            rest => drop(due.forgiven.insert(taken.from, rest)),
        }
        shares.burn(taken.from, taken.shares)?;
    }
    if let Some(taken) = restored {
        due.restored = wide::sub(due.restored, taken.eth)?;
        if taken.from != OPERATORS_HOLDER {
            return Err(Corrupt::Nobody { account: taken.from });
        }
        shares.transfer_shares(OPERATORS_HOLDER, RESERVE_HOLDER, taken.shares)?;
    }
    Ok(())
}

/// The largest number up to `limit` for which something holds that holds for all smaller ones; it holds for zero.
pub(super) fn largest(limit: U256, holds: impl Fn(U256) -> bool) -> U256 {
    if holds(limit) {
        return limit;
    }
    // Halved until there is nothing between what holds and what does not.
    let (mut low, mut high) = (U256::ZERO, limit);
    while high - low > U256::ONE {
        let middle = low + (high - low) / U256::from(2);
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}
