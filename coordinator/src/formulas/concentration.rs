//! How few hold how much: by operator, client, country, relay, or whatever else stake can be labelled with.
//!
//! ```text
//! Nakamoto coefficient = fewest labels that together have more than 1/3, more than 1/2, at least 2/3
//! HHI                  = sum of (weight / total)^2                     between 1/labels and 1
//! room                 = max(0, floor(stop * network) - pool)
//! ```
//!
//! Nothing is rounded but [`SelfLimit::room`], down. Weights are gwei of effective balance: a validator of 2048 ETH counts
//! sixty-four times one of 32.

use super::ratio::{BasisPoints, Ratio, RatioError};
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::Gwei;

/// What a part of all stake can do. Often told as 33, 50 and 67 percent; these are the protocol's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// More than a third: nothing is finalized without it.
    StopsFinality,
    /// More than a half: its branch is the heaviest.
    ChoosesHead,
    /// Two thirds: it finalizes alone.
    Finalizes,
}

impl Power {
    /// All of them, the smallest first.
    pub const ALL: [Self; 3] = [Self::StopsFinality, Self::ChoosesHead, Self::Finalizes];

    /// Whether `part` of `total` has it.
    fn has(self, part: u128, total: u128) -> bool {
        match self {
            Self::StopsFinality => part * 3 > total,
            Self::ChoosesHead => part * 2 > total,
            Self::Finalizes => part * 3 >= total * 2,
        }
    }
}

/// Stake by label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concentration {
    /// At most 2^64 validators of 2^57 gwei.
    weights: BTreeMap<String, u128>,
    total: u128,
}

impl Concentration {
    /// Adds up stake by label. Who has no label should get one of its own, or one for all unknown.
    pub fn of<L: Into<String>>(stake: impl IntoIterator<Item = (L, Gwei)>) -> Self {
        let mut all = Self::default();
        for (label, weight) in stake {
            *all.weights.entry(label.into()).or_default() += u128::from(weight.0);
            all.total += u128::from(weight.0);
        }
        all
    }

    /// The fewest labels that together have a power; `None` if there is no stake.
    pub fn nakamoto(&self, power: Power) -> Option<usize> {
        let mut sum = 0;
        let counted = (1..).zip(self.by_weight());
        let mut reached = counted.filter(|(_, (_, weight))| {
            sum += weight;
            power.has(sum, self.total)
        });
        reached.next().map(|(count, _)| count).filter(|_| self.total > 0)
    }

    /// The Herfindahl-Hirschman index, exactly; `None` if there is no stake. 1 is a monopoly, 1/k are k equal ones.
    pub fn hhi(&self) -> Option<Ratio> {
        let square = |weight: u128| U256::from(weight) * U256::from(weight);
        let sum = self.weights.values().fold(U256::ZERO, |sum, weight| sum + square(*weight));
        Ratio::new(sum, square(self.total)).ok()
    }

    /// The label with most stake, the first of those that tie, and its part; `None` if there is no stake.
    pub fn largest(&self) -> Option<(&str, Ratio)> {
        let (label, weight) = self.by_weight().into_iter().next()?;
        Some((label, Ratio::new(U256::from(weight), U256::from(self.total)).ok()?))
    }

    /// The heaviest first, then by label.
    fn by_weight(&self) -> Vec<(&str, u128)> {
        let mut all: Vec<_> = self.weights.iter().map(|(label, weight)| (label.as_str(), *weight)).collect();
        all.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        all
    }
}

/// How much of the network's stake the pool wants at most. Data of the pool's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfLimit {
    /// From here on it says so.
    pub warn: BasisPoints,
    /// Here intake stops.
    pub stop: BasisPoints,
}

impl SelfLimit {
    /// How much more the pool takes in. What comes in makes the network larger too; that is left out, so the pool stays
    /// below its limit whether the deposits are new to the network or not.
    pub fn room(&self, pool: Gwei, network: Gwei) -> Gwei {
        let most = self.stop.floor_of(U256::from(network.0)).saturating_to::<u64>();
        Gwei(most.saturating_sub(pool.0))
    }

    /// Whether the pool is so large that it says so. Errors: a network without stake.
    pub fn warns(&self, pool: Gwei, network: Gwei) -> Result<bool, RatioError> {
        Ok(Ratio::of(pool.0, network.0)? >= self.warn.ratio())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(weights: &[u64]) -> Concentration {
        Concentration::of(
            (b'a'..)
                .map(|letter| char::from(letter).to_string())
                .zip(weights.iter().map(|weight| Gwei(*weight))),
        )
    }

    #[test]
    fn exact_thirds_and_halves_are_told_apart_from_more() {
        let coefficients = |weights: &[u64]| Power::ALL.map(|power| of(weights).nakamoto(power));
        // A third stops nothing, a half chooses nothing, two thirds finalize.
        assert_eq!(coefficients(&[1, 1, 1]), [Some(2), Some(2), Some(2)]);
        assert_eq!(coefficients(&[1, 1]), [Some(1), Some(2), Some(2)]);
        assert_eq!(coefficients(&[4, 1, 1]), [Some(1), Some(1), Some(1)]);
        assert_eq!(coefficients(&[10, 10, 10, 10, 10, 10, 10, 10, 10, 10]), [Some(4), Some(6), Some(7)]);
        assert_eq!(coefficients(&[]), [None; 3]);
        assert_eq!(coefficients(&[0, 0]), [None; 3]);
    }

    #[test]
    fn stake_of_one_label_is_added_up() {
        let stake = [("geth", Gwei(3)), ("reth", Gwei(4)), ("geth", Gwei(5))];
        let (label, part) =
            (Concentration::of(stake)).largest().map(|(label, part)| (label.to_owned(), part)).unwrap();
        assert_eq!((label.as_str(), part), ("geth", Ratio::of(2, 3).unwrap()));
        assert_eq!(of(&[7]).hhi(), Some(Ratio::ONE));
        assert_eq!(of(&[1, 1, 1, 1]).hhi(), Some(Ratio::of(1, 4).unwrap()));
        assert_eq!(of(&[]).hhi(), None);
    }

    #[test]
    fn intake_stops_at_the_limit() {
        let limit =
            SelfLimit { warn: BasisPoints::new(1500).unwrap(), stop: BasisPoints::new(2200).unwrap() };
        assert_eq!(limit.room(Gwei(2199), Gwei(10_000)), Gwei(1));
        assert_eq!(limit.room(Gwei(2200), Gwei(10_000)), Gwei(0));
        assert_eq!(limit.room(Gwei(9000), Gwei(10_000)), Gwei(0));
        assert_eq!(limit.warns(Gwei(1499), Gwei(10_000)), Ok(false));
        assert_eq!(limit.warns(Gwei(1500), Gwei(10_000)), Ok(true));
    }

    proptest! {
        #[test]
        fn the_coefficient_is_the_smallest_set_that_has_the_power(
            weights in prop::collection::vec(0u64..50, 1..9),
        ) {
            let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            for power in Power::ALL {
                // Every set of labels.
                let sets = (1u32..1 << weights.len()).filter(|set| {
                    let chosen = weights.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
                    power.has(chosen.map(|(_, weight)| u128::from(*weight)).sum(), total)
                });
                let smallest = sets.map(|set| set.count_ones() as usize).min().filter(|_| total > 0);
                prop_assert_eq!(of(&weights).nakamoto(power), smallest);
            }
        }

        #[test]
        fn the_index_is_between_equal_parts_and_a_monopoly(weights in prop::collection::vec(1u64.., 1..20)) {
            let hhi = of(&weights).hhi().unwrap();
            prop_assert!(hhi <= Ratio::ONE && hhi >= Ratio::of(1, weights.len() as u64).unwrap());
        }

        #[test]
        fn what_is_taken_in_never_goes_over_the_limit(
            pool in 0u64..1 << 60,
            network in 1u64..1 << 60,
            bp in 0u16..=10_000,
        ) {
            let limit = SelfLimit { warn: BasisPoints::ZERO, stop: BasisPoints::new(bp).unwrap() };
            let room = limit.room(Gwei(pool), Gwei(network));
            let part = Ratio::of(pool + room.0, network).unwrap();
            prop_assert!(room.0 == 0 || part <= limit.stop.ratio());
        }
    }
}
