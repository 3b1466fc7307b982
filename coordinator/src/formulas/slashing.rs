//! What a slashing costs since Electra, and how large first-loss bonds must be for it.
//!
//! ```text
//! initial     = effective_balance / 4096                                                   at once
//! correlation = min(3 * slashed, total) / (total / 1 ETH) * (effective_balance / 1 ETH)    4096 epochs later
//! ```
//!
//! All divisions are rounded down, as the chain does. `slashed` is what was slashed of everybody in the 8192 epochs around
//! it. A slashed validator also misses its rewards for 8192 epochs; that is not counted here. Amounts are gwei.
//!
//! The correlation grows with the square of what falls together. So a bond of a constant amount for each key covers small
//! faults and not large ones, and the measure for first-loss bonds is [`largest_cluster`]: all validators of the largest
//! cluster, slashed at once.
//!
//! Source: consensus-specs, Electra: `slash_validator`, `process_slashings`.

use super::wide::ETH_GWEI;
use thiserror::Error;
use types::{Gwei, Preset};

/// `MIN_SLASHING_PENALTY_QUOTIENT_ELECTRA`.
pub const PENALTY_QUOTIENT: u64 = 4096;
/// `PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX`.
pub const CORRELATION_MULTIPLIER: u64 = 3;
/// `EFFECTIVE_BALANCE_INCREMENT`.
pub const INCREMENT: Gwei = Gwei(ETH_GWEI);
/// `EPOCHS_PER_SLASHINGS_VECTOR`: how long a slashed validator waits, and how long bonds stay locked for it.
pub const SLASHINGS_EPOCHS: u64 = 8192;

/// The same of a network: development chains have fewer.
pub fn slashings_epochs(preset: Preset) -> u64 {
    match preset {
        Preset::Mainnet | Preset::Gnosis => SLASHINGS_EPOCHS,
        Preset::Minimal => 64,
    }
}

/// Why a penalty cannot be told.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SlashingError {
    /// A chain with less stake than one increment.
    #[error("a chain with {total} gwei of stake")]
    NoStake {
        /// All stake.
        total: Gwei,
    },
    /// More is slashed than there is.
    #[error("{slashed} gwei slashed of {total}")]
    MoreThanAll {
        /// Slashed.
        slashed: u128,
        /// All stake.
        total: Gwei,
    },
}

/// What a slashing costs at once.
pub fn initial(effective_balance: Gwei) -> Gwei {
    Gwei(effective_balance.0 / PENALTY_QUOTIENT)
}

/// What it costs half-way to its end, when `slashed` was slashed of `total`. At most the effective balance.
///
/// Errors: a chain without stake; more slashed than there is.
pub fn correlation(effective_balance: Gwei, slashed: Gwei, total: Gwei) -> Result<Gwei, SlashingError> {
    if slashed > total {
        return Err(SlashingError::MoreThanAll { slashed: slashed.0.into(), total });
    }
    let increments = total.0 / INCREMENT.0;
    let adjusted = (u128::from(slashed.0) * u128::from(CORRELATION_MULTIPLIER)).min(total.0.into());
    let by_increment = adjusted.checked_div(increments.into()).ok_or(SlashingError::NoStake { total })?;
    // A few gwei more than an ETH, where the total is no whole number of increments.
    let penalty = by_increment * u128::from(effective_balance.0 / INCREMENT.0);
    Ok(Gwei(u64::try_from(penalty).map_or(effective_balance.0, |penalty| penalty.min(effective_balance.0))))
}

/// What it costs when all these validators are slashed together, and nobody else.
///
/// Errors: a chain without stake; more slashed than there is.
pub fn together(effective_balances: &[Gwei], total: Gwei) -> Result<Gwei, SlashingError> {
    let slashed: u128 = effective_balances.iter().map(|balance| u128::from(balance.0)).sum();
    let all = u64::try_from(slashed).ok().map(Gwei).filter(|slashed| *slashed <= total);
    let all = all.ok_or(SlashingError::MoreThanAll { slashed, total })?;
    let mut cost = 0;
    for balance in effective_balances {
        // A balance is all that a validator can lose; so the sum is at most the total.
        let whole = initial(*balance).0 + correlation(*balance, all, total)?.0;
        cost += whole.min(balance.0);
    }
    Ok(Gwei(cost))
}

/// The sizing rule of first-loss bonds: what the costliest of all clusters costs, if it is slashed as a whole. Bonds and
/// reserve should be at least this.
///
/// - `clusters`: the effective balances of each cluster's validators.
/// - Errors: a chain without stake; a cluster larger than the chain.
pub fn largest_cluster(clusters: &[Vec<Gwei>], total: Gwei) -> Result<Gwei, SlashingError> {
    let mut costs = clusters.iter().map(|cluster| together(cluster, total));
    costs.try_fold(Gwei(0), |most, cost| Ok(most.max(cost?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOTAL: Gwei = Gwei(35_000_000 * ETH_GWEI);

    fn balances() -> impl Strategy<Value = Vec<Gwei>> {
        prop::collection::vec((1u64..=2048).prop_map(|eth| Gwei(eth * ETH_GWEI)), 0..60)
    }

    proptest! {
        #[test]
        fn no_penalty_is_more_than_the_validator_has(eth in 0u64..=2048, slashed: u64, total in ETH_GWEI..) {
            let balance = Gwei(eth * ETH_GWEI);
            let slashed = Gwei(slashed % (total + 1));
            prop_assert!(correlation(balance, slashed, Gwei(total)).unwrap() <= balance);
            prop_assert!(initial(balance) <= balance);
        }

        #[test]
        fn more_slashed_never_costs_less(eth in 0u64..=2048, a in 0..TOTAL.0, b in 0..TOTAL.0) {
            let cost = |slashed: u64| correlation(Gwei(eth * ETH_GWEI), Gwei(slashed), TOTAL).unwrap();
            prop_assert!(cost(a.min(b)) <= cost(a.max(b)));
        }

        #[test]
        fn falling_together_never_costs_less_than_falling_alone(one in balances(), other in balances()) {
            let both = [one.clone(), other.clone()].concat();
            let alone = together(&one, TOTAL).unwrap().0 + together(&other, TOTAL).unwrap().0;
            prop_assert!(together(&both, TOTAL).unwrap().0 >= alone);
            let largest = largest_cluster(&[one.clone(), other.clone()], TOTAL).unwrap();
            prop_assert!(
                largest >= together(&one, TOTAL).unwrap() && largest >= together(&other, TOTAL).unwrap()
            );
            prop_assert!(largest <= together(&both, TOTAL).unwrap());
        }

        #[test]
        fn a_group_costs_the_sum_of_its_validators(group in balances()) {
            let slashed = Gwei(group.iter().map(|balance| balance.0).sum());
            let each = group.iter().map(|one| initial(*one).0 + correlation(*one, slashed, TOTAL).unwrap().0);
            prop_assert_eq!(together(&group, TOTAL).unwrap().0, each.sum::<u64>());
        }
    }

    #[test]
    fn from_a_third_of_the_chain_on_everything_is_lost() {
        let third = Gwei(TOTAL.0 / 3 + 1);
        assert_eq!(correlation(Gwei(32 * ETH_GWEI), third, TOTAL), Ok(Gwei(32 * ETH_GWEI)));
        assert_eq!(correlation(Gwei(32 * ETH_GWEI), TOTAL, TOTAL), Ok(Gwei(32 * ETH_GWEI)));
        // Parts of an increment do not count: effective balances have none.
        assert_eq!(correlation(Gwei(65 * ETH_GWEI / 2), TOTAL, TOTAL), Ok(Gwei(32 * ETH_GWEI)));
        // Together with the initial penalty it is still no more than there is.
        let chain = [Gwei(32 * ETH_GWEI); 3];
        assert_eq!(together(&chain, Gwei(96 * ETH_GWEI)), Ok(Gwei(96 * ETH_GWEI)));
    }

    #[test]
    fn a_constant_bond_for_each_key_does_not_cover_a_large_cluster() {
        let bond = |keys: u64| Gwei(keys * ETH_GWEI / 2);
        let cluster = |keys: usize| vec![Gwei(32 * ETH_GWEI); keys];
        assert!(largest_cluster(&[cluster(500)], TOTAL).unwrap() < bond(500));
        assert!(largest_cluster(&[cluster(500), cluster(10_000)], TOTAL).unwrap() > bond(10_000));
    }

    #[test]
    fn chains_that_cannot_be_are_refused() {
        let (slashed, total) = (2 * u128::from(ETH_GWEI), Gwei(ETH_GWEI));
        assert_eq!(together(&[total, total], total), Err(SlashingError::MoreThanAll { slashed, total }));
        assert_eq!(correlation(Gwei(1), Gwei(0), Gwei(5)), Err(SlashingError::NoStake { total: Gwei(5) }));
    }
}
