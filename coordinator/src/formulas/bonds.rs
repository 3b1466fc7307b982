//! What operators put up: bonds by number of keys, what of a bond is free, and how much a coalition moves with it.
//!
//! ```text
//! required(n) = sum of per_key over keys 1..=n
//! claimable   = max(0, bond + rewards - required - locked - debt)
//! leverage    = stake / bonds            of whoever controls the stake: with threshold signing, t operators
//! ```
//!
//! Bonds of policies are gwei, amounts on accounts wei. Nothing here is rounded but [`BondCurve::keys_covered`], down.
//!
//! Sources: Lido's CSM `BondCurves` and `Accounting` and its 2026 operator types; Rocket Pool's RPIP-42 (`base_bond_array`,
//! `reduced_bond`); for leverage the discussion of delegation pools on ethresear.ch (11815).

use super::ratio::{Ratio, RatioError};
use super::wide::{self, ETH_GWEI, WideError};
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{Gwei, Wei};

/// A curve has a handful of steps; more are a mistake.
pub const STEPS_MAX: usize = 32;
/// What any key may cost: a whole validator of the largest kind (EIP-7251).
pub const PER_KEY_MAX: Gwei = Gwei(2048 * ETH_GWEI);

/// From a key on, what each costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BondStep {
    /// The first key of the step, from 1.
    pub from_key: u32,
    /// Bond of each key until the next step.
    pub per_key: Gwei,
}

const fn step(from_key: u32, milli_eth: u64) -> BondStep {
    BondStep { from_key, per_key: Gwei(milli_eth * (ETH_GWEI / 1000)) }
}

/// The curves of the field, by name. Data: a policy names one, or brings its own.
pub const CURVES: [(&str, &[BondStep]); 7] = [
    // Lido CSM, permissionless.
    ("csm-default", &[step(1, 2400), step(2, 1300)]),
    // Lido CSM, identified community stakers.
    ("csm-ics", &[step(1, 1500), step(2, 1300)]),
    // Lido, identified clusters of four operators.
    ("csm-idvtc", &[step(1, 1500), step(2, 500)]),
    // Lido CSM, compounding validators of 2048 ETH.
    ("csm-0x02", &[step(1, 32_000), step(2, 30_000)]),
    // Lido's curated module, version 2, professional operators: 11 ETH, seventeen keys at 0.1, then 0.7.
    ("cmv2-pto", &[step(1, 11_000), step(2, 100), step(19, 700)]),
    // Rocket Pool, Saturn 1: 4, 8, then 4 more for each.
    ("rocketpool-saturn-1", &[step(1, 4000)]),
    // Rocket Pool, Saturn 2: 4, 8, then 1.5 more for each.
    ("rocketpool-saturn-2", &[step(1, 4000), step(3, 1500)]),
];

/// Why steps are no curve.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CurveError {
    /// It begins elsewhere than at the first key.
    #[error("a curve begins at key 1, this one at {have:?}")]
    Begin {
        /// The first step's key, if there is a step.
        have: Option<u32>,
    },
    /// Steps out of order.
    #[error("a step at key {next} follows one at {before}")]
    Order {
        /// One step.
        before: u32,
        /// The next.
        next: u32,
    },
    /// Too many steps.
    #[error("{have} steps, at most {STEPS_MAX}")]
    TooManySteps {
        /// Steps found.
        have: usize,
    },
    /// A key too dear.
    #[error("a key of {have} gwei is dearer than a validator can be")]
    TooDear {
        /// Its price.
        have: Gwei,
    },
}

/// Bond by number of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<BondStep>", into = "Vec<BondStep>")]
pub struct BondCurve {
    steps: Vec<BondStep>,
}

impl BondCurve {
    /// Errors: no step at key 1; steps out of order; too many; a key dearer than [`PER_KEY_MAX`].
    pub fn new(steps: Vec<BondStep>) -> Result<Self, CurveError> {
        let have = steps.first().map(|step| step.from_key);
        if have != Some(1) {
            return Err(CurveError::Begin { have });
        }
        if steps.len() > STEPS_MAX {
            return Err(CurveError::TooManySteps { have: steps.len() });
        }
        if let Some(pair) = steps.windows(2).find(|pair| pair[1].from_key <= pair[0].from_key) {
            return Err(CurveError::Order { before: pair[0].from_key, next: pair[1].from_key });
        }
        match steps.iter().find(|step| step.per_key > PER_KEY_MAX) {
            Some(step) => Err(CurveError::TooDear { have: step.per_key }),
            None => Ok(Self { steps }),
        }
    }

    /// One of [`CURVES`].
    pub fn named(name: &str) -> Option<Self> {
        let (_, steps) = CURVES.iter().find(|(known, _)| *known == name)?;
        Some(Self { steps: steps.to_vec() })
    }

    /// The bond for `keys` keys. Exact. Cost: the steps.
    pub fn required(&self, keys: u32) -> Wei {
        let ends = self.steps.iter().skip(1).map(|step| step.from_key - 1).chain([u32::MAX]);
        let of = |(step, end): (&BondStep, u32)| {
            let count = keys.min(end).saturating_sub(step.from_key - 1);
            // 32 bits of keys times 42 bits of gwei, of few steps.
            wide::wei(step.per_key).0 * U256::from(count)
        };
        Wei(self.steps.iter().zip(ends).map(of).fold(U256::ZERO, |sum, part| sum + part))
    }

    /// The largest number of keys that a bond is enough for. Cost: 32 times [`Self::required`].
    pub fn keys_covered(&self, bond: Wei) -> u32 {
        // Required bond never falls with the number of keys, so bisect: `low` is covered, above `high` nothing is.
        let (mut low, mut high) = (0, u32::MAX);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.required(middle) <= bond { low = middle } else { high = middle - 1 }
        }
        low
    }

    /// Keys that a bond is not enough for.
    pub fn unbonded(&self, keys: u32, bond: Wei) -> u32 {
        keys.saturating_sub(self.keys_covered(bond))
    }
}

impl TryFrom<Vec<BondStep>> for BondCurve {
    type Error = CurveError;
    fn try_from(steps: Vec<BondStep>) -> Result<Self, CurveError> {
        Self::new(steps)
    }
}

impl From<BondCurve> for Vec<BondStep> {
    fn from(curve: BondCurve) -> Self {
        curve.steps
    }
}

/// An operator's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BondAccount {
    /// What it has put up.
    pub bond: Wei,
    /// Rewards that are its own and not paid out.
    pub rewards: Wei,
    /// What is held back: for faults that are not decided, for the time in which they can come to light.
    pub locked: Wei,
    /// What it owes after losses beyond its bond.
    pub debt: Wei,
}

impl BondAccount {
    /// What the operator may take, given what its keys require; nothing if that is more than it has.
    pub fn claimable(&self, required: Wei) -> Result<Wei, WideError> {
        let have = wide::add(self.bond, self.rewards)?;
        let held = wide::total([required, self.locked, self.debt])?;
        Ok(Wei(have.0.saturating_sub(held.0)))
    }
}

/// Why leverage cannot be told.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LeverageError {
    /// Stake with nothing put up for it has no leverage, it is a gift.
    #[error("stake of {stake} wei with no bond")]
    NoBond {
        /// The stake.
        stake: Wei,
    },
    /// A coalition of more operators than there are, or of none.
    #[error("a coalition of {threshold} of {operators} operators")]
    NoCoalition {
        /// Operators that it takes.
        threshold: usize,
        /// Operators that there are.
        operators: usize,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// How many times its own bond somebody moves: `stake / bond`, where `stake` counts the bond if it is staked too.
pub fn leverage(bond: Wei, stake: Wei) -> Result<Ratio, LeverageError> {
    Ratio::new(stake.0, bond.0).map_err(|_: RatioError| LeverageError::NoBond { stake })
}

/// The leverage of the worst coalition that can sign: the `threshold` operators of a cluster with the least bonds.
///
/// Fewer than `threshold` operators move nothing. Errors: no such coalition; no bond.
pub fn coalition_leverage(bonds: &[Wei], threshold: usize, stake: Wei) -> Result<Ratio, LeverageError> {
    let operators = bonds.len();
    if threshold == 0 || threshold > operators {
        return Err(LeverageError::NoCoalition { threshold, operators });
    }
    let mut least = bonds.to_vec();
    least.sort_unstable();
    least.truncate(threshold);
    leverage(wide::total(least)?, stake)
}

/// How much of a loss a bond covers, at most all of it. Without a loss it covers all.
pub fn covered(bond: Wei, loss: Wei) -> Ratio {
    Ratio::new(bond.0, loss.0).map_or(Ratio::ONE, |part| part.min(Ratio::ONE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn eth(text: &str) -> Wei {
        Wei::from_eth(text).unwrap()
    }

    fn curve() -> impl Strategy<Value = BondCurve> {
        let steps = prop::collection::vec((1u32..20, 1u64..5 * ETH_GWEI), 1..6);
        steps.prop_map(|steps| {
            let mut key = 1;
            let step = |(length, per_key): (u32, u64)| {
                let step = BondStep { from_key: key, per_key: Gwei(per_key) };
                key += length;
                step
            };
            BondCurve::new(steps.into_iter().map(step).collect()).unwrap()
        })
    }

    /// Key by key.
    fn slow(curve: &BondCurve, keys: u32) -> Wei {
        let price = |key: u32| curve.steps.iter().rev().find(|step| step.from_key <= key).unwrap().per_key;
        wide::total((1..=keys).map(|key| wide::wei(price(key)))).unwrap()
    }

    proptest! {
        #[test]
        fn the_bond_is_the_sum_of_its_keys(curve in curve(), keys in 0u32..150) {
            prop_assert_eq!(curve.required(keys), slow(&curve, keys));
        }

        #[test]
        fn a_bond_covers_as_many_keys_as_it_pays_for_and_no_more(
            curve in curve(),
            bond in 0u64..1000 * ETH_GWEI,
            keys in 0u32..300,
        ) {
            let bond = wide::wei(Gwei(bond));
            let covered = curve.keys_covered(bond);
            prop_assert!(curve.required(covered) <= bond);
            prop_assert!(curve.required(covered + 1) > bond);
            prop_assert_eq!(curve.unbonded(keys, bond), keys.saturating_sub(covered));
        }

        #[test]
        fn nothing_is_claimable_that_something_holds(
            bond: u64,
            rewards: u64,
            locked: u64,
            debt: u64,
            required: u64,
        ) {
            let wei = |amount: u64| Wei(U256::from(amount));
            let account =
                BondAccount { bond: wei(bond), rewards: wei(rewards), locked: wei(locked), debt: wei(debt) };
            let claimable = account.claimable(wei(required)).unwrap();
            let held = u128::from(locked) + u128::from(debt) + u128::from(required);
            let have = u128::from(bond) + u128::from(rewards);
            prop_assert_eq!(claimable.0, U256::from(have.saturating_sub(held)));
        }

        #[test]
        fn no_coalition_that_can_sign_moves_more_with_its_bonds(
            bonds in prop::collection::vec(1u64.., 4..8),
            mask: u8,
            stake: u64,
        ) {
            let bonds: Vec<Wei> = bonds.into_iter().map(|bond| Wei(U256::from(bond))).collect();
            let some = bonds.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1).map(|(_, bond)| *bond);
            let some: Vec<Wei> = some.collect();
            if some.len() >= 3 {
                let theirs = leverage(wide::total(some).unwrap(), Wei(U256::from(stake))).unwrap();
                prop_assert!(theirs <= coalition_leverage(&bonds, 3, Wei(U256::from(stake))).unwrap());
            }
        }
    }

    #[test]
    fn the_fields_curves_are_what_their_projects_say() {
        let required = |name: &str, keys: u32| BondCurve::named(name).unwrap().required(keys);
        for (name, keys, want) in [
            ("csm-default", 1, "2.4"),
            ("csm-default", 3, "5"),
            ("csm-ics", 2, "2.8"),
            ("csm-idvtc", 4, "3"),
            ("csm-0x02", 2, "62"),
            ("cmv2-pto", 1, "11"),
            ("cmv2-pto", 18, "12.7"),
            ("cmv2-pto", 19, "13.4"),
            ("cmv2-pto", 20, "14.1"),
        ] {
            assert_eq!(required(name, keys), eth(want), "{name}, {keys} keys");
        }
        for (_, steps) in CURVES {
            assert!(BondCurve::new(steps.to_vec()).is_ok());
        }
    }

    #[test]
    fn steps_that_are_no_curve_are_refused_also_when_read() {
        assert_eq!(BondCurve::new(Vec::new()), Err(CurveError::Begin { have: None }));
        assert_eq!(BondCurve::new(vec![step(2, 1)]), Err(CurveError::Begin { have: Some(2) }));
        let back = vec![step(1, 1), step(5, 1), step(5, 2)];
        assert_eq!(BondCurve::new(back.clone()), Err(CurveError::Order { before: 5, next: 5 }));
        assert!(serde_json::from_str::<BondCurve>(&serde_json::to_string(&back).unwrap()).is_err());
        let dear = BondStep { from_key: 1, per_key: Gwei(PER_KEY_MAX.0 + 1) };
        assert_eq!(BondCurve::new(vec![dear]), Err(CurveError::TooDear { have: dear.per_key }));
        let many = (1..).map(|key| step(key, 1)).take(STEPS_MAX + 1).collect();
        assert_eq!(BondCurve::new(many), Err(CurveError::TooManySteps { have: STEPS_MAX + 1 }));
        let curve = BondCurve::named("cmv2-pto").unwrap();
        let json = serde_json::to_string(&curve).unwrap();
        assert_eq!(serde_json::from_str::<BondCurve>(&json).unwrap(), curve);
    }

    #[test]
    fn the_worst_coalition_is_the_one_with_the_least_at_stake() {
        let bonds = ["4", "1", "2", "8"].map(eth);
        assert_eq!(coalition_leverage(&bonds, 3, eth("70")), Ok(Ratio::of(10, 1).unwrap()));
        let none = coalition_leverage(&bonds, 5, eth("70"));
        assert_eq!(none, Err(LeverageError::NoCoalition { threshold: 5, operators: 4 }));
        assert_eq!(
            coalition_leverage(&[Wei::ZERO; 4], 3, eth("1")),
            Err(LeverageError::NoBond { stake: eth("1") })
        );
        assert_eq!(covered(eth("1"), Wei::ZERO), Ratio::ONE);
    }
}
