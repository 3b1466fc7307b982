//! How a reward is split between those who lent, those who vote, the surplus, and the operator.
//!
//! ```text
//! bp = borrowed / (bonded + borrowed)
//! voter   = floor( reward * voter_share * bp )        surplus = floor( reward * surplus_share * bp )
//! node    = floor( reward * ( bonded/(bonded+borrowed) + operator_share * bp ) )
//! lenders = reward - voter - surplus - node           so dust is theirs, and nothing is lost
//! ```
//!
//! Shares are basis points; `bonded` and `borrowed` in one unit, whichever; rewards in wei.
//!
//! Source: Rocket Pool's Saturn 1 (RPIP-46): operator 3.5 %, voters 5 %, surplus 5.5 %, which leaves lenders 86 % of what
//! borrowed ETH earns.

use super::ratio::BasisPoints;
use super::wide::{self, WideError};
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{Gwei, Wei};

/// Parts of what borrowed ETH earns. Data of the pool's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commission {
    /// The operator's.
    pub operator: BasisPoints,
    /// The voters'.
    pub voter: BasisPoints,
    /// The surplus, which pays what comes first.
    pub surplus: BasisPoints,
}

/// Rocket Pool's at Saturn 1.
pub const SATURN_1: Commission = Commission { operator: bp(350), voter: bp(500), surplus: bp(550) };

const fn bp(number: u16) -> BasisPoints {
    match BasisPoints::new(number) {
        Ok(bp) => bp,
        Err(_) => panic!("a constant is a part of a whole"),
    }
}

/// A reward in four parts, in wei; together exactly the reward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RewardSplit {
    /// Those whose ETH was borrowed.
    pub lenders: Wei,
    /// The voters.
    pub voter: Wei,
    /// The surplus.
    pub surplus: Wei,
    /// The operator.
    pub node: Wei,
}

/// Why a reward cannot be split.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CommissionError {
    /// Commissions of more than everything.
    #[error("commissions of {sum_bp} basis points are more than 10000")]
    MoreThanAll {
        /// Their sum.
        sum_bp: u32,
    },
    /// Nothing was staked, so nothing is earned.
    #[error("nothing is bonded and nothing borrowed")]
    NoStake,
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

impl Commission {
    /// Splits a reward. Errors: commissions of more than everything; no stake.
    pub fn split(&self, reward: Wei, bonded: Gwei, borrowed: Gwei) -> Result<RewardSplit, CommissionError> {
        let parts = [self.operator, self.voter, self.surplus].map(|part| u32::from(part.get()));
        let sum_bp = parts.iter().sum();
        let whole_bp = u32::from(BasisPoints::WHOLE.get());
        if sum_bp > whole_bp {
            return Err(CommissionError::MoreThanAll { sum_bp });
        }
        let [bonded, borrowed] = [bonded, borrowed].map(|gwei| U256::from(gwei.0));
        let staked = bonded + borrowed;
        if staked.is_zero() {
            return Err(CommissionError::NoStake);
        }
        // 79 bits at most.
        let den = staked * U256::from(whole_bp);
        let of_borrowed = |bp: u32| borrowed * U256::from(bp);
        let part = |num: U256| wide::mul_div_floor(reward.0, num, den).map(Wei);
        let [operator, voter, surplus] = parts;
        let node = part(bonded * U256::from(whole_bp) + of_borrowed(operator))?;
        let (voter, surplus) = (part(of_borrowed(voter))?, part(of_borrowed(surplus))?);
        let lenders = wide::sub(reward, wide::total([node, voter, surplus])?)?;
        Ok(RewardSplit { lenders, voter, surplus, node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_parts_are_the_reward_and_lenders_get_at_least_theirs(
            reward: u128, bonded: u64, borrowed in 1u64.., parts in prop::array::uniform3(0u16..=3333),
        ) {
            let [operator, voter, surplus] = parts.map(|part| BasisPoints::new(part).unwrap());
            let reward = Wei(U256::from(reward));
            let split =
                Commission { operator, voter, surplus }.split(reward, Gwei(bonded), Gwei(borrowed)).unwrap();
            let all = wide::total([split.lenders, split.voter, split.surplus, split.node]).unwrap();
            prop_assert_eq!(all, reward);
            let kept = 10_000 - parts.iter().map(|part| u64::from(*part)).sum::<u64>();
            let [borrowed, bonded] = [borrowed, bonded].map(U256::from);
            let (num, den) = (borrowed * U256::from(kept), (bonded + borrowed) * U256::from(10_000));
            let due = wide::mul_div_floor(reward.0, num, den).unwrap();
            // Rounding gives them at most a wei of each other part, and takes nothing.
            prop_assert!(split.lenders.0 >= due && split.lenders.0 - due <= U256::from(3));
        }

        #[test]
        fn who_bonds_more_of_the_same_stake_never_gets_less(reward: u64, staked in 2u64.., part: u64) {
            let bonded = part % (staked - 1);
            let node = |bonded: u64| {
                SATURN_1.split(Wei(U256::from(reward)), Gwei(bonded), Gwei(staked - bonded)).unwrap().node
            };
            prop_assert!(node(bonded) <= node(bonded + 1));
        }
    }

    #[test]
    fn commissions_of_more_than_everything_are_refused() {
        let half = BasisPoints::new(5000).unwrap();
        let greedy = Commission { operator: half, voter: half, surplus: BasisPoints::new(1).unwrap() };
        let split = greedy.split(Wei(U256::ONE), Gwei(1), Gwei(1));
        assert_eq!(split, Err(CommissionError::MoreThanAll { sum_bp: 10_001 }));
        assert_eq!(SATURN_1.split(Wei(U256::ONE), Gwei(0), Gwei(0)), Err(CommissionError::NoStake));
    }
}
