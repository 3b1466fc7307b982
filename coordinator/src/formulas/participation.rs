//! What an operator did of what was due, as the others of its cluster say, and its part of the reward for it.
//!
//! ```text
//! seen_j   = verified partials of the operator that operator j counted, of `expected`         j: all others
//! drop the f highest and the f lowest; participation = sum of the rest / (their number * expected)     an exact ratio
//! part     = floor( reward * participation / n )                                 what is not earned: to the reserve
//!          = floor( reward * participation / sum of all participations )         what is not earned: to the others
//! ```
//!
//! With at most `f` liars the rest lies between what honest operators counted: whoever lies beyond that is dropped, or
//! stands for somebody honest. An operator says nothing about itself. Silence counts as praise, and a count above what was
//! due as all of it; so who is silent can do no more than a liar. Rounding leaves dust, which is the reserve's. Amounts are
//! wei.
//!
//! Own construction: the trimmed mean of Byzantine-tolerant approximate agreement (Dolev et al. 1986) over peers' counts.

use super::ratio::Ratio;
use super::wide::{self, WideError};
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{ClusterSize, ShareIndex, Wei};

/// In what steps participations are compared when a reward is split in proportion to them: 10^-18.
const WEIGHT_UNIT: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// What operators counted: by whom, then of whom, verified partials.
pub type Statements = BTreeMap<ShareIndex, BTreeMap<ShareIndex, u64>>;

/// Where that goes which a free rider does not earn. Data of the pool's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unearned {
    /// To the reserve: nobody gains by speaking ill of another.
    ToReserve,
    /// To the others, in proportion to what they did.
    ToOthers,
}

/// A reward, split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Parts of the operators.
    pub operators: BTreeMap<ShareIndex, Wei>,
    /// What is left: dust, and what nobody earned.
    pub reserve: Wei,
}

/// What an operator did of what was due, as the others say. All of it, where nothing was due.
///
/// - `expected`: partials that were due from it, counted from the chain's duties and not from statements.
pub fn participation(size: ClusterSize, of: ShareIndex, expected: u64, statements: &Statements) -> Ratio {
    let said = |by: ShareIndex| statements.get(&by).and_then(|counts| counts.get(&of)).copied();
    let mut seen: Vec<u64> = size.others(of).map(|by| said(by).unwrap_or(expected).min(expected)).collect();
    seen.sort_unstable();
    let f = usize::from(size.faults());
    // n - 1 others, and n > 3f: at least one is left.
    let rest = &seen[f..seen.len() - f];
    let sum = rest.iter().fold(U256::ZERO, |sum, seen| sum + U256::from(*seen));
    let due = U256::from(expected) * U256::from(rest.len());
    Ratio::new(sum, due).unwrap_or(Ratio::ONE)
}

/// Splits a cluster's reward by what its operators did; the parts and the reserve's together are the reward.
///
/// - `did`: of each operator, at most 1; more counts as 1.
/// - Errors: numbers that do not fit.
pub fn split(reward: Wei, did: &BTreeMap<ShareIndex, Ratio>, unearned: Unearned) -> Result<Split, WideError> {
    let did: BTreeMap<_, _> = did.iter().map(|(who, part)| (*who, (*part).min(Ratio::ONE))).collect();
    let count = U256::from(did.len());
    let weight = |part: &Ratio| part.floor_of(WEIGHT_UNIT);
    let all = did.values().try_fold(U256::ZERO, |sum, part| wide::sum(sum, weight(part)?))?;
    let mut operators = BTreeMap::new();
    for (who, part) in &did {
        let amount = match unearned {
            // Rounded down twice, which is the same as once.
            Unearned::ToReserve => part.floor_of(reward.0)? / count,
            Unearned::ToOthers if all.is_zero() => U256::ZERO,
            Unearned::ToOthers => wide::mul_div_floor(reward.0, weight(part)?, all)?,
        };
        operators.insert(*who, Wei(amount));
    }
    let reserve = wide::sub(reward, wide::total(operators.values().copied())?)?;
    Ok(Split { operators, reserve })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(no: u8) -> ShareIndex {
        ShareIndex::new(no).unwrap()
    }

    fn size(operators: usize) -> ClusterSize {
        ClusterSize::new_safe(operators, (2 * operators).div_ceil(3)).unwrap()
    }

    /// What the others say of operator 1; `None` is silence.
    fn of_first(counts: &[Option<u64>]) -> Statements {
        let said =
            (2..).zip(counts).filter_map(|(by, seen)| Some((index(by), [(index(1), (*seen)?)].into())));
        said.collect()
    }

    fn judged(expected: u64, counts: &[Option<u64>]) -> Ratio {
        participation(size(counts.len() + 1), index(1), expected, &of_first(counts))
    }

    #[test]
    fn one_liar_of_four_is_dropped_whatever_it_says() {
        let half = Ratio::of(1, 2).unwrap();
        for lie in [Some(0), Some(50), Some(100), Some(u64::MAX), None] {
            assert_eq!(judged(100, &[Some(50), Some(50), lie]), half, "{lie:?}");
        }
        assert_eq!(judged(0, &[Some(0), Some(0), Some(0)]), Ratio::ONE, "nothing was due");
    }

    #[test]
    fn what_an_operator_says_of_itself_is_not_heard() {
        let mut statements = of_first(&[Some(10), Some(10), Some(10)]);
        statements.insert(index(1), [(index(1), 100)].into());
        assert_eq!(participation(size(4), index(1), 100, &statements), Ratio::of(1, 10).unwrap());
    }

    #[test]
    fn a_free_rider_earns_less_and_the_policy_says_who_gets_it() {
        let did: BTreeMap<_, _> = [(1, 10), (2, 10), (3, 10), (4, 5)]
            .map(|(no, of)| (index(no), Ratio::of(of, 10).unwrap()))
            .into();
        let parts = |unearned: Unearned| {
            let Split { operators, reserve } = split(Wei(U256::from(7000)), &did, unearned).unwrap();
            let parts: Vec<u64> = operators.values().map(|part| part.0.to()).collect();
            (parts, reserve.0.to::<u64>())
        };
        assert_eq!(parts(Unearned::ToReserve), (vec![1750, 1750, 1750, 875], 875));
        assert_eq!(parts(Unearned::ToOthers), (vec![2000, 2000, 2000, 1000], 0));
        let nobody = did.keys().map(|who| (*who, Ratio::ZERO)).collect();
        let reward = Wei(U256::from(5));
        assert_eq!(split(reward, &nobody, Unearned::ToOthers).unwrap().reserve, reward);
        assert_eq!(split(reward, &BTreeMap::new(), Unearned::ToReserve).unwrap().reserve, reward);
    }

    fn parts() -> impl Strategy<Value = BTreeMap<ShareIndex, Ratio>> {
        prop::collection::vec((0u64..1000, 0u64..1000), 3..9).prop_map(|parts| {
            let part =
                |(no, (a, b)): (u8, (u64, u64))| (index(no), Ratio::of(a.min(b), a.max(b).max(1)).unwrap());
            (1..).zip(parts).map(part).collect()
        })
    }

    proptest! {
        #[test]
        fn liars_and_the_silent_up_to_f_move_it_only_between_what_the_honest_counted(
            operators in 4usize..=13, honest in prop::collection::vec(0u64..=1000, 12),
            lies in prop::collection::vec(prop::option::of(any::<u64>()), 4), expected in 1u64..=1000,
        ) {
            let f = (operators - 1) / 3;
            let honest = &honest[..operators - 1 - f];
            let counts: Vec<_> =
                honest.iter().map(|seen| Some(*seen)).chain(lies[..f].iter().copied()).collect();
            let part = judged(expected, &counts);
            let clamp = |seen: u64| Ratio::of(seen.min(expected), expected).unwrap();
            let (low, high) = (*honest.iter().min().unwrap(), *honest.iter().max().unwrap());
            prop_assert!(part >= clamp(low) && part <= clamp(high), "{part} of {counts:?}");
        }

        #[test]
        fn a_higher_count_never_lowers_it(
            counts in prop::collection::vec(0u64..100, 3..12),
            at: prop::sample::Index,
            more in 0u64..50,
        ) {
            let mut raised = counts.clone();
            raised[at.index(counts.len())] += more;
            let part =
                |counts: &[u64]| judged(100, &counts.iter().map(|seen| Some(*seen)).collect::<Vec<_>>());
            prop_assert!(part(&counts) <= part(&raised));
        }

        #[test]
        fn the_parts_are_the_reward_and_who_did_less_never_gets_more(
            reward: u64,
            did in parts(),
            to_others: bool,
        ) {
            let unearned = if to_others { Unearned::ToOthers } else { Unearned::ToReserve };
            let reward = Wei(U256::from(reward));
            let Split { operators, reserve } = split(reward, &did, unearned).unwrap();
            prop_assert_eq!(
                wide::add(wide::total(operators.values().copied()).unwrap(), reserve),
                Ok(reward)
            );
            for (one, part) in &operators {
                for (other, larger) in &operators {
                    prop_assert!(did[one] > did[other] || part <= larger);
                }
            }
        }

        #[test]
        fn to_the_reserve_nobody_gains_by_anothers_fall(
            reward: u64,
            did in parts(),
            at: prop::sample::Index,
        ) {
            let reward = Wei(U256::from(reward));
            let fallen = *did.keys().nth(at.index(did.len())).unwrap();
            let mut after = did.clone();
            after.insert(fallen, Ratio::ZERO);
            let (before, after) = (
                split(reward, &did, Unearned::ToReserve).unwrap(),
                split(reward, &after, Unearned::ToReserve).unwrap(),
            );
            for (who, part) in before.operators.iter().filter(|(who, _)| **who != fallen) {
                prop_assert_eq!(*part, after.operators[who]);
            }
            prop_assert_eq!(after.operators[&fallen], Wei::ZERO);
        }

        #[test]
        fn to_the_others_only_dust_is_left_when_somebody_did_something(reward: u64, did in parts()) {
            let split = split(Wei(U256::from(reward)), &did, Unearned::ToOthers).unwrap();
            if did.values().any(|part| *part > Ratio::ZERO) {
                prop_assert!(split.reserve.0 < U256::from(did.len()));
            }
        }
    }
}
