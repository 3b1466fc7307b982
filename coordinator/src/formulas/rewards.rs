//! What the specification pays for attestations: what a cluster's earnings are measured against.
//!
//! ```text
//! per_increment = floor( 1 ETH * 64 / isqrt(total) )                      in gwei; total: all active stake, in gwei
//! ideal         = floor( increments * per_increment * (14 + 26 + 14) / 64 )
//! ```
//!
//! `increments` are ETH of effective balance, summed over the epochs in which it had duties. The chain pays the ideal when
//! everybody attests, and less for each who does not; it rounds down in each epoch, here it is done once. So with the least
//! `total` of a frame the ideal is a bound that nobody's attestations earn more than. With more stake it falls, as yields
//! do. Blocks and sync committees are a lottery and are not in it.
//!
//! Source: consensus-specs, Altair: `get_base_reward`, `get_flag_index_deltas`.

use super::slashing::INCREMENT;
use types::Gwei;

/// `BASE_REWARD_FACTOR`.
pub const BASE_REWARD_FACTOR: u64 = 64;
/// `WEIGHT_DENOMINATOR`.
pub const WEIGHT_DENOMINATOR: u64 = 64;
/// `TIMELY_SOURCE_WEIGHT`, `TIMELY_TARGET_WEIGHT` and `TIMELY_HEAD_WEIGHT` together.
pub const ATTESTATION_WEIGHT: u64 = 14 + 26 + 14;

/// The base reward of an ETH of effective balance, for one epoch. A total below an ETH counts as one, as on the chain.
pub fn per_increment(total: Gwei) -> Gwei {
    let root = total.0.max(INCREMENT.0).isqrt();
    Gwei(INCREMENT.0 * BASE_REWARD_FACTOR / root)
}

/// What attestations earn at most. Saturates beyond all ETH.
///
/// - `increments`: ETH of effective balance, summed over epochs.
pub fn ideal_attestations(increments: u64, total: Gwei) -> Gwei {
    // 64 + 22 + 6 bits at most: a base reward is below 2^22.
    let weighted =
        u128::from(increments) * u128::from(per_increment(total).0) * u128::from(ATTESTATION_WEIGHT);
    Gwei(u64::try_from(weighted / u128::from(WEIGHT_DENOMINATOR)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An epoch's rewards of a validator as the specification rounds them, with everybody attesting.
    fn of_one_epoch(increments: u64, total: Gwei) -> u64 {
        let base_reward = increments * per_increment(total).0;
        [14, 26, 14].into_iter().map(|weight| base_reward * weight / WEIGHT_DENOMINATOR).sum()
    }

    #[test]
    fn a_validator_of_32_eth_earns_what_it_does_on_mainnet() {
        // 35 million ETH: 64 * 10^9 / isqrt(35 * 10^15) = 342.
        let total = Gwei(35_000_000 * INCREMENT.0);
        assert_eq!(per_increment(total), Gwei(342));
        assert_eq!(ideal_attestations(32, total), Gwei(9234));
        assert_eq!(per_increment(Gwei(0)), per_increment(INCREMENT));
        assert_eq!(ideal_attestations(u64::MAX, Gwei(0)), Gwei(u64::MAX));
    }

    proptest! {
        #[test]
        fn epochs_rounded_one_by_one_earn_no_more_and_hardly_less(
            increments in 1u64..=2048,
            epochs in 1u64..1000,
            total in 1u64..1 << 27,
        ) {
            let total = Gwei(total * INCREMENT.0);
            let (ideal, slow) =
                (ideal_attestations(increments * epochs, total).0, of_one_epoch(increments, total) * epochs);
            prop_assert!(slow <= ideal && ideal - slow <= 3 * epochs);
        }

        #[test]
        fn with_more_stake_each_eth_earns_less(increments in 1u64..=2048, total: u32, more: u32) {
            let [less, more] =
                [u64::from(total), u64::from(total) + u64::from(more)].map(|eth| Gwei(eth * INCREMENT.0));
            prop_assert!(ideal_attestations(increments, more) <= ideal_attestations(increments, less));
        }
    }
}
