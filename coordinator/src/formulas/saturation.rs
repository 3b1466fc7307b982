//! What a pool's size does to its reward: Cardano's curve, the leverage cap of CIP-50, and the split inside a pool.
//!
//! ```text
//! z0 = 1/k    sigma' = min(sigma, z0)    p' = min(pledge/total, z0)
//! max_pool = floor( R/(1+a0) * ( sigma' + p'*a0*( sigma' - p'*(z0-sigma')/z0 )/z0 ) )
//! CIP-50:  sigma' = min(sigma, z0, L*p)
//! performance = beta/sigma_a          blocks (for us: duties) made of all, by active stake of all
//! reward f = floor(performance * max_pool)
//! leader   = f                                              if f <= c
//!          = c + floor( (f-c) * (m + (1-m)*s/sigma) )       s: the leader's own stake
//! member   = 0                                              if f <= c
//!          = floor( (f-c) * (1-m) * t/sigma )               t: the member's stake
//! ```
//!
//! Stakes, pledges and the total are in one unit, whichever; pot, cost and rewards in one as well. Everything is rounded
//! down: what the parts leave over is the reserve's.
//!
//! What the curve promises about the yield of a unit at a fixed pledge: without influence of the pledge (`a0 = 0`) it is
//! flat up to saturation and falls after it. With `a0 > 0` it falls from saturation on too, but *rises a little below it*:
//! the term `p'*(z0-sigma')/z0` takes less from a fuller pool. From where a leverage cap binds
//! on it falls as well. A pool that wants it never to rise sets `a0 = 0`.
//!
//! Source: `maxPool'`, `leaderRew`, `memberRew`, `mkApparentPerformance` of cardano-ledger (Shelley), CIP-50 for the cap.

use super::ratio::{Ratio, RatioError};
use super::wide::{self, WideError};
use alloy_primitives::{U256, U512};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::Wei;

/// The curve's parameters. Data of the pool's policy; Cardano's mainnet has `k = 500`, `a0 = 3/10` and no cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saturation {
    /// `k`: how many pools there should be; a pool is saturated with a `k`-th of the total.
    pub pools_wanted: u32,
    /// `a0`: what a pledge adds.
    pub pledge_influence: Ratio,
    /// `L`: how many times its pledge a pool's stake may count; at least 1.
    pub leverage_max: Option<Ratio>,
}

/// A pool's weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStake {
    /// All that is staked with it, its owners' part included.
    pub stake: U256,
    /// What its owners have promised to stake themselves.
    pub pledge: U256,
    /// What they do.
    pub own: U256,
    /// What is staked with all pools (Cardano: the whole supply).
    pub total: U256,
}

/// Why a reward cannot be computed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SaturationError {
    /// No pools are wanted.
    #[error("saturation is a part of the total for each of 0 pools")]
    NoPools,
    /// A cap that leaves a pool less than its own pledge.
    #[error("a leverage of {cap} is less than 1")]
    LeverageBelowOne {
        /// The cap.
        cap: Ratio,
    },
    /// A part that is more than the whole.
    #[error("{part} of a whole of {whole}")]
    MoreThanWhole {
        /// The part.
        part: U256,
        /// The whole.
        whole: U256,
    },
    /// A margin of more than everything.
    #[error("a margin of {margin} is more than 1")]
    MarginAboveOne {
        /// The margin.
        margin: Ratio,
    },
    /// Numbers beyond 512 bits on the way: `pot * total^3` must fit, which leaves every sum of wei ample room.
    #[error("the pot and the total have too many bits")]
    TooWide,
    /// A fraction of nothing.
    #[error(transparent)]
    Ratio(#[from] RatioError),
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

impl Saturation {
    /// The most that a pool can get of a pot, rounded down; nothing if its owners break their pledge.
    ///
    /// Never more than the pool's part of the total; so the pools together never get more than the pot.
    ///
    /// Errors: parameters without meaning; a pool larger than the total; numbers that do not fit.
    pub fn max_pool(&self, pot: Wei, pool: &PoolStake) -> Result<Wei, SaturationError> {
        self.check(pool)?;
        if pool.own < pool.pledge || pool.stake.is_zero() {
            return Ok(Wei::ZERO);
        }
        self.curve(pot, pool).map(Wei).ok_or(SaturationError::TooWide)
    }

    /// How full a pool is: 1 is saturated. Errors: no pools wanted, no total.
    pub fn of(&self, pool: &PoolStake) -> Result<Ratio, SaturationError> {
        self.check(pool)?;
        let filled = wide::times(pool.stake, U256::from(self.pools_wanted))?;
        Ok(Ratio::new(filled, pool.total)?)
    }

    fn check(&self, pool: &PoolStake) -> Result<(), SaturationError> {
        if self.pools_wanted == 0 {
            return Err(SaturationError::NoPools);
        }
        if let Some(cap) = self.leverage_max.filter(|cap| *cap < Ratio::ONE) {
            return Err(SaturationError::LeverageBelowOne { cap });
        }
        for (part, whole) in [(pool.stake, pool.total), (pool.own, pool.stake)] {
            if part > whole {
                return Err(SaturationError::MoreThanWhole { part, whole });
            }
        }
        Ok(())
    }

    /// The formula over one denominator. With `z = total * den(L)`, in units of `1/(k*z)`:
    ///
    /// ```text
    /// s = min(stake*k*den(L), z, pledge*k*num(L))    p = min(pledge*k*den(L), z)
    /// R * ( s*den(a0)*z^2 + p*num(a0)*(s*z - p*(z-s)) ) / ( (den(a0)+num(a0)) * k * z^3 )
    /// ```
    ///
    /// `None` if a product has more than 512 bits. `s >= p`, because stake is at least the pledge and `L` at least 1; so
    /// no difference is below zero.
    fn curve(&self, pot: Wei, pool: &PoolStake) -> Option<U256> {
        let large = |number: U256| U512::from(number);
        let k = U512::from(self.pools_wanted);
        let (cap_num, cap_den) =
            self.leverage_max.map_or((U256::ONE, U256::ONE), |cap| (cap.num(), cap.den()));
        let (a_num, a_den) = (large(self.pledge_influence.num()), large(self.pledge_influence.den()));
        let z = large(pool.total).checked_mul(large(cap_den))?;
        let scaled = |stake: U256, by: U256| large(stake).checked_mul(k)?.checked_mul(large(by));
        let mut s = scaled(pool.stake, cap_den)?.min(z);
        if self.leverage_max.is_some() {
            s = s.min(scaled(pool.pledge, cap_num)?);
        }
        let p = scaled(pool.pledge, cap_den)?.min(z);
        let z_squared = z.checked_mul(z)?;
        let by_stake = s.checked_mul(a_den)?.checked_mul(z_squared)?;
        let pledged = s.checked_mul(z)?.checked_sub(p.checked_mul(z - s)?)?;
        let by_pledge = p.checked_mul(a_num)?.checked_mul(pledged)?;
        let num = large(pot.0).checked_mul(by_stake.checked_add(by_pledge)?)?;
        let den = a_den.checked_add(a_num)?.checked_mul(k)?.checked_mul(z_squared)?.checked_mul(z)?;
        wide::narrow(num / den)
    }
}

/// What a pool made, against what its active stake let expect: `(made / made_by_all) / (active / active_of_all)`.
///
/// Nothing if it has no active stake, or nobody made anything. It can be more than 1: on Cardano by luck, for us not,
/// where `made_by_all` counts what was due. Errors: more than 256 bits.
pub fn apparent_performance(
    made: u64,
    made_by_all: u64,
    active: U256,
    active_of_all: U256,
) -> Result<Ratio, SaturationError> {
    if active.is_zero() || made_by_all == 0 {
        return Ok(Ratio::ZERO);
    }
    let times = |count: u64, stake: U256| wide::times(U256::from(count), stake);
    Ok(Ratio::new(times(made, active_of_all)?, times(made_by_all, active)?)?)
}

/// A pool's reward: its performance of the most it can get, rounded down.
pub fn pool_reward(performance: Ratio, max_pool: Wei) -> Result<Wei, WideError> {
    performance.floor_of(max_pool.0).map(Wei)
}

/// How a pool's reward is split between its leader and its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSplit {
    /// `f`: the pool's reward.
    pub reward: Wei,
    /// `c`: what the leader is paid first.
    pub cost: Wei,
    /// `m`: the leader's part of the rest; at most 1.
    pub margin: Ratio,
    /// `sigma`: the pool's stake.
    pub stake: U256,
}

impl PoolSplit {
    /// The leader's reward, with its own stake `own`. Errors: a margin above 1, more stake than the pool's.
    pub fn leader(&self, own: U256) -> Result<Wei, SaturationError> {
        self.check(own)?;
        let Some(rest) = self.rest() else { return Ok(self.reward) };
        let (m, den) = (self.margin.num(), self.margin.den());
        let num = wide::sum(wide::times(m, self.stake)?, wide::times(den - m, own)?)?;
        let earned = wide::mul_div_floor(rest, num, wide::times(den, self.stake)?)?;
        Ok(Wei(wide::sum(self.cost.0, earned)?))
    }

    /// A member's reward for its stake. Errors: a margin above 1, more stake than the pool's.
    pub fn member(&self, stake: U256) -> Result<Wei, SaturationError> {
        self.check(stake)?;
        let Some(rest) = self.rest() else { return Ok(Wei::ZERO) };
        let kept = self.margin.den() - self.margin.num();
        let (num, den) = (wide::times(kept, stake)?, wide::times(self.margin.den(), self.stake)?);
        Ok(Wei(wide::mul_div_floor(rest, num, den)?))
    }

    /// What is left after the cost, if anything is.
    fn rest(&self) -> Option<U256> {
        self.reward.0.checked_sub(self.cost.0).filter(|rest| !rest.is_zero())
    }

    fn check(&self, part: U256) -> Result<(), SaturationError> {
        if self.margin > Ratio::ONE {
            return Err(SaturationError::MarginAboveOne { margin: self.margin });
        }
        let whole = self.stake;
        if part > whole { Err(SaturationError::MoreThanWhole { part, whole }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    fn policy(k: u32, a0: &str, leverage: Option<&str>) -> Saturation {
        Saturation { pools_wanted: k, pledge_influence: ratio(a0), leverage_max: leverage.map(ratio) }
    }

    fn pool(stake: u128, pledge: u128, total: u128) -> PoolStake {
        let [stake, pledge, total] = [stake, pledge, total].map(U256::from);
        PoolStake { stake, pledge, own: pledge, total }
    }

    const POT: u128 = 10_000_000_000_000;
    const TOTAL: u128 = 22_000_000_000_000_000;
    const SATURATED: u128 = TOTAL / 500;

    fn reward(policy: &Saturation, stake: u128, pledge: u128) -> U256 {
        policy.max_pool(Wei(U256::from(POT)), &pool(stake, pledge, TOTAL)).unwrap().0
    }

    /// Whether a unit of the larger pool gets no more, but for what rounding down took from the smaller one.
    fn yields_no_more(less: (u128, U256), more: (u128, U256)) -> bool {
        more.1 * U256::from(less.0) <= (less.1 + U256::ONE) * U256::from(more.0)
    }

    prop_compose! {
        /// Two sizes of one pool, the smaller first, and its pledge.
        fn two_sizes()(a in 1u128..TOTAL, b in 1u128..TOTAL, part in 0u128..=1000) -> (u128, u128, u128) {
            (a.min(b), a.max(b), a.min(b) * part / 1000)
        }
    }

    proptest! {
        #[test]
        fn without_influence_of_the_pledge_yield_never_rises_with_size(
            (small, large, pledge) in two_sizes(),
        ) {
            let policy = policy(500, "0", None);
            let (less, more) = (reward(&policy, small, pledge), reward(&policy, large, pledge));
            prop_assert!(yields_no_more((small, less), (large, more)));
        }

        #[test]
        fn from_saturation_on_yield_never_rises_with_size((small, large, pledge) in two_sizes()) {
            let policy = policy(500, "3/10", None);
            let (small, large) = (small.max(SATURATED), large.max(SATURATED));
            let (less, more) = (reward(&policy, small, pledge), reward(&policy, large, pledge));
            prop_assert_eq!(less, more, "a saturated pool gets no more by growing");
            prop_assert!(yields_no_more((small, less), (large, more)));
        }

        #[test]
        fn from_a_cap_that_binds_yield_never_rises_with_size((small, large, pledge) in two_sizes()) {
            let policy = policy(500, "3/10", Some("100"));
            // So little that the cap binds before saturation does; no more than the pool has, which is at least `bound`.
            let pledge = pledge % (SATURATED / 100);
            let bound = (pledge * 100).max(1);
            let (small, large) = (small.max(bound), large.max(bound));
            let (less, more) = (reward(&policy, small, pledge), reward(&policy, large, pledge));
            prop_assert_eq!(less, more, "beyond the cap a pool gets no more by growing");
            prop_assert!(yields_no_more((small, less), (large, more)));
        }

        #[test]
        fn no_pool_gets_more_than_its_part_of_the_pot(
            (stake, _, pledge) in two_sizes(),
            a0 in 0u64..50,
            k in 1u32..1000,
        ) {
            let policy = Saturation {
                pools_wanted: k,
                pledge_influence: Ratio::of(a0, 10).unwrap(),
                leverage_max: None,
            };
            let part = wide::mul_div_floor(U256::from(POT), U256::from(stake), U256::from(TOTAL)).unwrap();
            prop_assert!(reward(&policy, stake, pledge) <= part);
            let capped = Saturation { leverage_max: Some(ratio("17/2")), ..policy };
            prop_assert!(reward(&capped, stake, pledge) <= reward(&policy, stake, pledge));
        }

        #[test]
        fn leader_and_members_never_get_more_than_there_is_and_leave_only_dust(
            reward: u64, cost: u64, margin in 0u64..=1000, stakes in prop::collection::vec(0u64.., 1..8),
        ) {
            let stake = stakes.iter().fold(U256::ONE, |sum, stake| sum + U256::from(*stake));
            let [reward, cost] = [reward, cost].map(|amount| Wei(U256::from(amount)));
            let split = PoolSplit { reward, cost, margin: Ratio::of(margin, 1000).unwrap(), stake };
            let members = stakes.iter().map(|stake| split.member(U256::from(*stake)).unwrap());
            // The leader's own stake is the one that the members do not have.
            let paid = wide::total(members.chain([split.leader(U256::ONE).unwrap()])).unwrap();
            prop_assert!(paid <= reward);
            prop_assert!(reward.0 - paid.0 <= U256::from(stakes.len()));
        }

        #[test]
        fn a_leader_without_a_margin_is_a_member_that_is_paid_its_cost(
            reward: u64, cost: u64, stake in 1u64.., own: u64,
        ) {
            let [reward, cost] = [reward, cost].map(|amount| Wei(U256::from(amount)));
            let own = U256::from(own % stake);
            let split = PoolSplit { reward, cost, margin: Ratio::ZERO, stake: U256::from(stake) };
            let due =
                if reward <= cost { reward } else { wide::add(cost, split.member(own).unwrap()).unwrap() };
            prop_assert_eq!(split.leader(own), Ok(due));
            let all = PoolSplit { margin: Ratio::ONE, ..split };
            prop_assert_eq!(all.leader(own), Ok(reward));
        }

        #[test]
        fn a_member_gets_in_proportion_and_a_larger_margin_never_gives_it_more(
            reward: u64, stake in 1u64.., part in 0u64.., margin in 0u64..1000,
        ) {
            let of = |margin: u64, part: u64| {
                let margin = Ratio::of(margin, 1000).unwrap();
                let split = PoolSplit {
                    reward: Wei(U256::from(reward)),
                    cost: Wei::ZERO,
                    margin,
                    stake: U256::from(stake),
                };
                split.member(U256::from(part)).unwrap()
            };
            let part = part % stake;
            prop_assert!(of(margin, part) <= of(margin, part + 1));
            prop_assert!(of(margin + 1, part) <= of(margin, part));
        }
    }

    #[test]
    fn below_saturation_a_pledge_lets_yield_rise_a_little() {
        let policy = policy(500, "3/10", None);
        let pledge = 100_000_000_000;
        let (half, full) = (reward(&policy, SATURATED / 2, pledge), reward(&policy, SATURATED, pledge));
        assert!(
            !yields_no_more((SATURATED / 2, half), (SATURATED, full)),
            "the exception that the head speaks of"
        );
        // By two parts in a million here.
        assert!(full * U256::from(1_000_000) < half * U256::from(2_000_004));
    }

    #[test]
    fn a_broken_pledge_gets_nothing() {
        let mut pool = pool(SATURATED, SATURATED / 2, TOTAL);
        pool.own -= U256::ONE;
        assert_eq!(policy(500, "3/10", None).max_pool(Wei(U256::from(POT)), &pool), Ok(Wei::ZERO));
    }

    #[test]
    fn parameters_without_meaning_are_refused() {
        let some = pool(2, 1, 4);
        let refuse =
            |policy: Saturation, pool: PoolStake| policy.max_pool(Wei(U256::ONE), &pool).unwrap_err();
        assert_eq!(refuse(policy(0, "0", None), some), SaturationError::NoPools);
        let cap = ratio("99/100");
        assert_eq!(refuse(policy(1, "0", Some("0.99")), some), SaturationError::LeverageBelowOne { cap });
        let (part, whole) = (U256::from(5), U256::from(4));
        assert_eq!(
            refuse(policy(1, "0", None), pool(5, 1, 4)),
            SaturationError::MoreThanWhole { part, whole }
        );
        let huge = PoolStake { total: U256::MAX, ..some };
        assert_eq!(refuse(policy(1, "0", None), huge), SaturationError::TooWide);
    }

    #[test]
    fn performance_is_made_of_due() {
        let perf = |made, all| apparent_performance(made, all, U256::from(1), U256::from(4)).unwrap();
        assert_eq!(perf(25, 100), Ratio::ONE);
        assert_eq!(perf(20, 100), ratio("4/5"));
        assert_eq!(perf(20, 0), Ratio::ZERO);
        assert_eq!(apparent_performance(1, 1, U256::ZERO, U256::ONE), Ok(Ratio::ZERO));
        assert_eq!(pool_reward(ratio("2/3"), Wei(U256::from(100))), Ok(Wei(U256::from(66))));
    }
}
