//! Where new stake goes: how much each cluster may take, who gets the next validators, and deposits out of the buffer.
//!
//! ```text
//! capacity_i  = min( share_limit_i * (total + new), filled_i + available_i )          rounded down
//! min-first   : the least filled first; of c that tie each gets ceil(n/c), never above the next larger or its capacity
//! weighted    : each next one to the lowest (filled + 1) / weight
//! depositable = min( vetted - deposited, added - deposited - unbonded, target - (deposited - withdrawn) )
//! ```
//!
//! Ties go to the first in the list. Everything here counts validators, but for [`batches`], which counts gwei out of a
//! buffer of wei and leaves the rest in it.
//!
//! Sources: Lido's `StakingRouter.sol`, `MinFirstAllocationStrategy.sol`, and `CSModule.sol` for what is depositable;
//! EIP-7251 for deposits of more than 32 ETH; the deposit contract for their least amount.

use super::ratio::BasisPoints;
use super::wide::{self, ETH_GWEI, GWEI_WEI};
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};
use thiserror::Error;
use types::{Gwei, ValidatorIndex, Wei};

/// `MIN_ACTIVATION_BALANCE`: what a validator begins with.
pub const ACTIVATION: Gwei = Gwei(32 * ETH_GWEI);
/// `MAX_EFFECTIVE_BALANCE_ELECTRA`: what a compounding validator can hold and earn on.
pub const COMPOUNDING_MAX: Gwei = Gwei(2048 * ETH_GWEI);
/// `MIN_DEPOSIT_AMOUNT`: the deposit contract takes no less.
pub const DEPOSIT_MIN: Gwei = Gwei(ETH_GWEI);
/// The most validators that one call of [`weighted`] gives away one by one: about as many as Ethereum has.
pub const WEIGHTED_MAX: u64 = 1 << 20;

/// What a cluster has, and what it may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Validators it has.
    pub filled: u64,
    /// Validators it may have; if it has more already, it gets none.
    pub capacity: u64,
}

impl Bucket {
    fn room(self) -> u64 {
        self.capacity.saturating_sub(self.filled)
    }
}

/// What each cluster has after an allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Validators given away: what was asked for, or all room.
    pub allocated: u64,
    /// Validators of each cluster, in the list's order.
    pub filled: Vec<u64>,
}

/// Why validators cannot be given away.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AllocationError {
    /// Lists of two lengths.
    #[error("{weights} weights for {buckets} clusters")]
    Lengths {
        /// Clusters.
        buckets: usize,
        /// Weights.
        weights: usize,
    },
    /// More than is given away one by one.
    #[error("{new} validators at once, at most {WEIGHTED_MAX}")]
    TooMany {
        /// Asked for.
        new: u64,
    },
}

/// What a cluster may have: its limit on the share of all stake, and the keys that are there.
///
/// - `filled`: validators it has; `available`: keys for more; `total`: validators of all; `new`: how many come.
/// - Rounded down, so a share is never more than its limit.
pub fn capacity(share_limit: BasisPoints, filled: u64, available: u64, total: u64, new: u64) -> u64 {
    let share = share_limit.floor_of(U256::from(total) + U256::from(new));
    share.saturating_to::<u64>().min(filled.saturating_add(available))
}

/// Gives `new` validators to the least filled clusters first.
///
/// It comes to the same as giving one by one to the least filled that has room, the first of those that tie; but it takes
/// at most some steps for each pair of clusters.
pub fn min_first(buckets: &[Bucket], new: u64) -> Allocation {
    let mut now = buckets.to_vec();
    let mut left = new;
    while left > 0 {
        let open = || now.iter().filter(|bucket| bucket.room() > 0).map(|bucket| bucket.filled);
        let Some(least) = open().min() else { break };
        let tied = open().filter(|filled| *filled == least).count();
        let next_larger = open().filter(|filled| *filled > least).min().unwrap_or(u64::MAX);
        let part = left.div_ceil(tied as u64).min(next_larger - least);
        let first = now.iter_mut().find(|bucket| bucket.room() > 0 && bucket.filled == least);
        let first = first.expect("`least` is of one that has room");
        let given = part.min(first.room());
        first.filled += given;
        left -= given;
    }
    Allocation { allocated: new - left, filled: now.iter().map(|bucket| bucket.filled).collect() }
}

/// The next validator's claim of a cluster: least `(filled + 1) / weight` first, then the first in the list.
#[derive(Clone, Copy, Debug)]
struct Claim {
    next: u64,
    weight: u64,
    at: usize,
}

impl Ord for Claim {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two) = (
            u128::from(self.next) * u128::from(other.weight),
            u128::from(other.next) * u128::from(self.weight),
        );
        one.cmp(&two).then(self.at.cmp(&other.at))
    }
}

impl PartialOrd for Claim {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Claim {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Claim {}

/// Gives `new` validators one by one, each to the cluster that has least for its weight after it would get it.
///
/// With equal weights it is [`min_first`]. Clusters of no weight get none. One more validator to give away never takes one
/// from a cluster. Errors: lists of two lengths; more than [`WEIGHTED_MAX`].
pub fn weighted(buckets: &[Bucket], weights: &[u64], new: u64) -> Result<Allocation, AllocationError> {
    if weights.len() != buckets.len() {
        return Err(AllocationError::Lengths { buckets: buckets.len(), weights: weights.len() });
    }
    if new > WEIGHTED_MAX {
        return Err(AllocationError::TooMany { new });
    }
    let mut filled: Vec<u64> = buckets.iter().map(|bucket| bucket.filled).collect();
    let claim = |at: usize, filled: u64| {
        let open = filled < buckets[at].capacity && weights[at] > 0;
        open.then(|| Reverse(Claim { next: filled + 1, weight: weights[at], at }))
    };
    let mut claims: BinaryHeap<_> = (0..buckets.len()).filter_map(|at| claim(at, filled[at])).collect();
    let mut allocated = 0;
    while allocated < new {
        let Some(Reverse(Claim { at, .. })) = claims.pop() else { break };
        filled[at] += 1;
        allocated += 1;
        claims.extend(claim(at, filled[at]));
    }
    Ok(Allocation { allocated, filled })
}

/// Keys of an operator, in the order in which they get through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// Keys handed in.
    pub added: u64,
    /// Of these, found good.
    pub vetted: u64,
    /// Of these, deposited for.
    pub deposited: u64,
    /// Of these, withdrawn again.
    pub withdrawn: u64,
    /// Keys that the bond is not enough for ([`super::bonds::BondCurve::unbonded`]).
    pub unbonded: u64,
    /// The most active validators, if there is a limit.
    pub target: Option<u64>,
}

impl KeyCounts {
    /// How many more keys may be deposited for.
    pub fn depositable(&self) -> u64 {
        let vetted = self.vetted.saturating_sub(self.deposited);
        let bonded = self.added.saturating_sub(self.deposited).saturating_sub(self.unbonded);
        let active = self.deposited.saturating_sub(self.withdrawn);
        let targeted = self.target.map_or(u64::MAX, |target| target.saturating_sub(active));
        vetted.min(bonded).min(targeted)
    }
}

/// What kind of withdrawal credentials the pool's validators have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credentials {
    /// `0x01`: 32 ETH, never more.
    #[serde(rename = "0x01")]
    Execution,
    /// `0x02`: from 32 to 2048 ETH.
    #[serde(rename = "0x02")]
    Compounding,
}

/// For whom a deposit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A new validator.
    New,
    /// One that exists and compounds.
    TopUp(ValidatorIndex),
}

/// A deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// For whom.
    pub target: Target,
    /// How much.
    pub amount: Gwei,
}

/// Deposits out of a buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batches {
    /// The deposits; together with `rest` exactly the buffer.
    pub deposits: Vec<Deposit>,
    /// What stays in the buffer.
    pub rest: Wei,
}

/// Cuts a buffer into deposits.
///
/// - `Execution`: 32 ETH each. `Compounding`: first those in `existing` are filled up to [`COMPOUNDING_MAX`] in the list's
///   order, then new ones are begun, each as large as the buffer allows.
/// - `existing`: compounding validators and their balances; not looked at for `Execution`.
/// - `new_max`: how many new validators there are keys and places for.
/// - No deposit is below what the chain takes: [`DEPOSIT_MIN`] for a top-up, [`ACTIVATION`] for a new validator.
pub fn batches(buffer: Wei, kind: Credentials, existing: &[(ValidatorIndex, Gwei)], new_max: u32) -> Batches {
    let mut left = Gwei((buffer.0 / GWEI_WEI).saturating_to::<u64>());
    let mut deposits = Vec::new();
    let mut take = |target: Target, room: Gwei, least: Gwei| {
        let amount = left.min(room);
        let enough = amount >= least;
        if enough {
            left.0 -= amount.0;
            deposits.push(Deposit { target, amount });
        }
        enough
    };
    let most = match kind {
        Credentials::Execution => ACTIVATION,
        Credentials::Compounding => {
            for (index, balance) in existing {
                let room = Gwei(COMPOUNDING_MAX.0.saturating_sub(balance.0));
                take(Target::TopUp(*index), room, DEPOSIT_MIN);
            }
            COMPOUNDING_MAX
        }
    };
    let mut begun = 0;
    while begun < new_max && take(Target::New, most, ACTIVATION) {
        begun += 1;
    }
    let spent = deposits.iter().fold(U256::ZERO, |sum, deposit| sum + wide::wei(deposit.amount).0);
    Batches { deposits, rest: Wei(buffer.0 - spent) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buckets() -> impl Strategy<Value = Vec<Bucket>> {
        let bucket = (0u64..30, 0u64..40).prop_map(|(filled, capacity)| Bucket { filled, capacity });
        prop::collection::vec(bucket, 0..7)
    }

    /// One by one to the least filled.
    fn slow(buckets: &[Bucket], new: u64) -> Allocation {
        let mut now = buckets.to_vec();
        let mut allocated = 0;
        for _ in 0..new {
            let open = now.iter_mut().filter(|bucket| bucket.room() > 0);
            let Some(least) = open.min_by_key(|bucket| bucket.filled) else { break };
            (least.filled, allocated) = (least.filled + 1, allocated + 1);
        }
        Allocation { allocated, filled: now.iter().map(|bucket| bucket.filled).collect() }
    }

    proptest! {
        #[test]
        fn min_first_is_one_by_one_to_the_least_filled(buckets in buckets(), new in 0u64..150) {
            prop_assert_eq!(min_first(&buckets, new), slow(&buckets, new));
        }

        #[test]
        fn equal_weights_are_min_first(buckets in buckets(), new in 0u64..150, weight in 1u64..) {
            let weights = vec![weight; buckets.len()];
            prop_assert_eq!(weighted(&buckets, &weights, new), Ok(min_first(&buckets, new)));
        }

        #[test]
        fn weights_give_within_capacity_and_one_more_takes_from_nobody(
            buckets in buckets(), weights in prop::collection::vec(0u64..5, 7), new in 0u64..150,
        ) {
            let weights = &weights[..buckets.len()];
            let (now, next) =
                (weighted(&buckets, weights, new).unwrap(), weighted(&buckets, weights, new + 1).unwrap());
            let given: u64 =
                now.filled.iter().zip(&buckets).map(|(after, before)| after - before.filled).sum();
            prop_assert_eq!(given, now.allocated);
            let room: u64 = buckets
                .iter()
                .zip(weights)
                .filter(|(_, weight)| **weight > 0)
                .map(|(bucket, _)| bucket.room())
                .sum();
            prop_assert_eq!(now.allocated, new.min(room));
            for (at, bucket) in buckets.iter().enumerate() {
                prop_assert!(now.filled[at] <= bucket.capacity.max(bucket.filled));
                prop_assert!(now.filled[at] <= next.filled[at]);
            }
        }

        #[test]
        fn weights_without_limits_come_to_their_proportion(
            weights in prop::collection::vec(1u64..50, 1..6),
            rounds in 1u64..20,
        ) {
            let sum: u64 = weights.iter().sum();
            let buckets = vec![Bucket { filled: 0, capacity: u64::MAX }; weights.len()];
            let filled = weighted(&buckets, &weights, sum * rounds).unwrap().filled;
            prop_assert_eq!(filled, weights.iter().map(|weight| weight * rounds).collect::<Vec<_>>());
        }

        #[test]
        fn a_share_is_never_above_its_limit(
            bp in 0u16..=10_000,
            filled: u32,
            available: u32,
            total: u32,
            new: u32,
        ) {
            let [filled, available, total, new] = [filled, available, total, new].map(u64::from);
            let limit = BasisPoints::new(bp).unwrap();
            let most = capacity(limit, filled, available, total, new);
            prop_assert!(most * 10_000 <= u64::from(bp) * (total + new));
            prop_assert!(most <= filled + available);
        }

        #[test]
        fn deposits_and_the_rest_are_the_buffer_and_no_deposit_is_one_the_chain_refuses(
            gwei in 0u64..10_000 * ETH_GWEI, wei in 0u64..1_000_000_000, compounding: bool,
            balances in prop::collection::vec(0u64..2100 * ETH_GWEI, 0..5), new_max in 0u32..20,
        ) {
            let kind = if compounding { Credentials::Compounding } else { Credentials::Execution };
            let existing: Vec<_> =
                (0u64..).zip(&balances).map(|(at, balance)| (ValidatorIndex(at), Gwei(*balance))).collect();
            let buffer = Wei(wide::wei(Gwei(gwei)).0 + U256::from(wei));
            let Batches { deposits, rest } = batches(buffer, kind, &existing, new_max);
            let spent = wide::total(deposits.iter().map(|deposit| wide::wei(deposit.amount))).unwrap();
            prop_assert_eq!(wide::add(spent, rest), Ok(buffer));
            for deposit in &deposits {
                let amount = deposit.amount;
                match (deposit.target, kind) {
                    (Target::New, Credentials::Execution) => prop_assert_eq!(amount, ACTIVATION),
                    (Target::New, Credentials::Compounding) => {
                        prop_assert!(amount >= ACTIVATION && amount <= COMPOUNDING_MAX)
                    }
                    (Target::TopUp(_), Credentials::Execution) => {
                        prop_assert!(false, "0x01 is never topped up")
                    }
                    (Target::TopUp(index), Credentials::Compounding) => {
                        prop_assert!(amount >= DEPOSIT_MIN);
                        prop_assert!(amount.0 + balances[index.0 as usize] <= COMPOUNDING_MAX.0);
                    }
                }
            }
            let begun = deposits.iter().filter(|deposit| deposit.target == Target::New).count();
            prop_assert!(begun <= new_max as usize);
            prop_assert!(
                begun == new_max as usize || rest < wide::wei(ACTIVATION),
                "what can be begun is begun"
            );
        }

        #[test]
        fn nothing_is_deposited_for_that_is_not_vetted_bonded_and_within_the_target(
            added in 0u64..100, vetted in 0u64..100, deposited in 0u64..100, withdrawn in 0u64..100,
            unbonded in 0u64..100, target in prop::option::of(0u64..100),
        ) {
            let vetted = vetted.min(added);
            let deposited = deposited.min(vetted);
            let withdrawn = withdrawn.min(deposited);
            let more = KeyCounts { added, vetted, deposited, withdrawn, unbonded, target }.depositable();
            prop_assert!(deposited + more <= vetted);
            prop_assert!(more == 0 || deposited + more + unbonded <= added);
            prop_assert!(more == 0 || target.is_none_or(|target| deposited - withdrawn + more <= target));
        }
    }

    fn buffered(eth: &str, kind: Credentials, existing: &[(ValidatorIndex, Gwei)]) -> (Vec<u64>, Wei) {
        let Batches { deposits, rest } = batches(Wei::from_eth(eth).unwrap(), kind, existing, u32::MAX);
        (deposits.iter().map(|deposit| deposit.amount.0).collect(), rest)
    }

    #[test]
    fn a_buffer_waits_for_whole_deposits() {
        let eth = |text: &str| Wei::from_eth(text).unwrap();
        assert_eq!(buffered("31.999999999", Credentials::Execution, &[]), (vec![], eth("31.999999999")));
        assert_eq!(buffered("64.5", Credentials::Execution, &[]), (vec![32 * ETH_GWEI; 2], eth("0.5")));
        let (amounts, rest) = buffered("33.000000001000000001", Credentials::Compounding, &[]);
        assert_eq!((amounts, rest), (vec![33 * ETH_GWEI + 1], Wei(U256::ONE)));
    }

    #[test]
    fn compounding_validators_are_filled_to_the_gwei_before_new_ones_begin() {
        let near = [
            (ValidatorIndex(7), Gwei(COMPOUNDING_MAX.0 - 3 * ETH_GWEI / 2)),
            (ValidatorIndex(8), Gwei(COMPOUNDING_MAX.0 - 1)),
        ];
        let (amounts, rest) = buffered("2081.5", Credentials::Compounding, &near);
        assert_eq!(amounts, [3 * ETH_GWEI / 2, 2048 * ETH_GWEI, 32 * ETH_GWEI]);
        assert_eq!(rest, Wei::ZERO);
    }

    #[test]
    fn lists_and_numbers_without_meaning_are_refused() {
        let one = [Bucket { filled: 0, capacity: 9 }];
        assert_eq!(weighted(&one, &[], 1), Err(AllocationError::Lengths { buckets: 1, weights: 0 }));
        let new = WEIGHTED_MAX + 1;
        assert_eq!(weighted(&one, &[1], new), Err(AllocationError::TooMany { new }));
    }
}
