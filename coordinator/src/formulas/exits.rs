//! Whose stake comes back: how much is wanted, which validators exit for it, and what the chain asks for a request.
//!
//! ```text
//! demand = max(0, queued - buffer - predicted_rewards - exiting)
//! order  = fewest delayed exits, most above forced target, most above soft target, most above its kind's share,
//!          most stake, most validators; inside a cluster and between equals the lowest index
//! fee    = fake_exponential(1, excess, 17)           wei for each request, by what was asked for before
//! ```
//!
//! Source: Lido's validator exit bus oracle for demand and order; EIP-7002 for fee and request, whose bytes are
//! `pubkey (48) || amount (8, big-endian gwei)`. Its contract ignores what it does not like without a word, so whoever
//! sends a request looks at the chain for its effect.

use super::wide::{self, WideError};
use alloy_primitives::U256;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use thiserror::Error;
use types::{Address, ClusterId, Epoch, Gwei, Preset, PublicKey, ValidatorIndex, Wei};

/// The contract that takes requests (EIP-7002, `WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS`).
pub const PREDEPLOY: Address = Address([
    0x00, 0x00, 0x09, 0x61, 0xef, 0x48, 0x0e, 0xb5, 0x5e, 0x80, 0xd1, 0x9a, 0xd8, 0x35, 0x79, 0xa6, 0x4c,
    0x00, 0x70, 0x02,
]);
/// Bytes of a request.
pub const REQUEST_LEN: usize = PublicKey::LEN + 8;
/// `MAX_WITHDRAWAL_REQUESTS_PER_BLOCK`.
pub const REQUESTS_PER_BLOCK_MAX: u64 = 16;
/// `TARGET_WITHDRAWAL_REQUESTS_PER_BLOCK`: with more in a block the fee rises.
pub const REQUESTS_PER_BLOCK_TARGET: u64 = 2;
/// `WITHDRAWAL_REQUEST_FEE_UPDATE_FRACTION`.
pub const FEE_FRACTION: u64 = 17;
/// `SHARD_COMMITTEE_PERIOD`: how many epochs a validator must have been active before it may exit.
///
/// Source: consensus-specs, `configs/mainnet.yaml`, `configs/minimal.yaml`; gnosischain/configs.
pub const fn active_epochs_min(preset: Preset) -> u64 {
    match preset {
        Preset::Mainnet | Preset::Gnosis => 256,
        Preset::Minimal => 64,
    }
}

/// The least epochs from a signed exit to its ETH: `1 + MAX_SEED_LOOKAHEAD`, `MIN_VALIDATOR_WITHDRAWABILITY_DELAY`. Other
/// exits before it, and the sweep, come on top.
pub const ARRIVAL_EPOCHS_MIN: u64 = 1 + 4 + 256;

/// Why exits or a fee cannot be told.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ExitError {
    /// A validator of a cluster that nobody told of.
    #[error("validator {index} is of cluster {cluster}, which is not among the clusters")]
    UnknownCluster {
        /// Which.
        index: ValidatorIndex,
        /// Its cluster.
        cluster: ClusterId,
    },
    /// A validator told twice.
    #[error("validator {index} is in the list twice")]
    Twice {
        /// Which.
        index: ValidatorIndex,
    },
    /// A fee beyond all ETH.
    #[error("the fee at an excess of {excess} requests has more than 256 bits")]
    FeeTooLarge {
        /// Requests above the target.
        excess: u64,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// What withdrawals ask for, and what is there or on its way without another exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Liquidity {
    /// Asked for by the queue.
    pub queued: Wei,
    /// There.
    pub buffer: Wei,
    /// Expected until exits would arrive.
    pub predicted_rewards: Wei,
    /// Of validators that exit already.
    pub exiting: Wei,
}

impl Liquidity {
    /// What must still exit.
    pub fn demand(&self) -> Result<Wei, WideError> {
        let there = wide::total([self.buffer, self.predicted_rewards, self.exiting])?;
        Ok(Wei(self.queued.0.saturating_sub(there.0)))
    }
}

/// What decides whether a cluster is asked for an exit before others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The kind of operators it has, a number of the policy's table.
    pub kind: u32,
    /// Exits that were asked for and are late. Those who are late already are asked last: it would not bring the ETH.
    pub delayed: u32,
    /// Validators above a target that the pool enforces.
    pub over_forced: u32,
    /// Validators above a target that it wishes for.
    pub over_soft: u32,
    /// Stake of its validators.
    pub stake: Gwei,
    /// Their number.
    pub validators: u32,
}

/// A validator that may exit: active for [`active_epochs_min`], not exiting, not asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub index: ValidatorIndex,
    /// Its cluster.
    pub cluster: ClusterId,
    /// What its exit brings.
    pub balance: Gwei,
}

/// Whether a validator has been active for long enough to exit.
pub fn may_exit(preset: Preset, activation: Epoch, now: Epoch) -> bool {
    activation.0.checked_add(active_epochs_min(preset)).is_some_and(|from| from <= now.0)
}

/// The validators that exit for a demand, in order: as many as are needed and not one more, or all of them.
///
/// After each one its cluster's and kind's numbers are as if it had left, so that the next may be another's.
///
/// - `over_share`: by kind of operators, the stake above the kind's share; none where it is absent.
/// - Errors: a validator of an unknown cluster; one told twice.
/// - Cost: the logarithm of clusters for each exit; all clusters of a kind for each while the kind is above its share.
pub fn order(
    demand: Wei,
    clusters: &BTreeMap<ClusterId, Standing>,
    over_share: &BTreeMap<u32, Gwei>,
    candidates: &[Candidate],
) -> Result<Vec<ValidatorIndex>, ExitError> {
    let mut queues = queues(clusters, candidates)?;
    let (mut clusters, mut over_share) = (clusters.clone(), over_share.clone());
    let rank_of = |cluster: &ClusterId, queue: &Queue, clusters: &Standings, over_share: &OverShare| {
        let (index, _) = queue.first_key_value()?;
        Some((rank(clusters.get(cluster)?, over_share, *index), *cluster))
    };
    let mut ranks: BTreeSet<(Rank, ClusterId)> = queues
        .iter()
        .filter_map(|(cluster, queue)| rank_of(cluster, queue, &clusters, &over_share))
        .collect();
    let (mut chosen, mut brought) = (Vec::new(), Wei::ZERO);
    while brought < demand {
        let Some((_, cluster)) = ranks.pop_first() else { break };
        let Some((index, balance)) = queues.get_mut(&cluster).and_then(Queue::pop_first) else { continue };
        let kind = clusters.get(&cluster).map(|standing| standing.kind);
        let shared = kind.filter(|kind| over_share.get(kind).is_some_and(|over| over.0 > 0));
        if let Some(standing) = clusters.get_mut(&cluster) {
            leave(standing, &mut over_share, balance);
        }
        brought = wide::add(brought, wide::wei(balance))?;
        chosen.push(index);
        if let Some(kind) = shared {
            // The kind's stake is less for all of its clusters.
            let others =
                |(_, other): &(Rank, ClusterId)| clusters.get(other).map(|one| one.kind) != Some(kind);
            ranks.retain(others);
            let its = queues.iter().filter(|(id, _)| clusters.get(id).map(|one| one.kind) == Some(kind));
            ranks.extend(its.filter_map(|(id, queue)| rank_of(id, queue, &clusters, &over_share)));
        } else if let Some(queue) = queues.get(&cluster) {
            ranks.extend(rank_of(&cluster, queue, &clusters, &over_share));
        }
    }
    Ok(chosen)
}

type Standings = BTreeMap<ClusterId, Standing>;
type OverShare = BTreeMap<u32, Gwei>;
type Queue = BTreeMap<ValidatorIndex, Gwei>;
type Rank = (u32, Reverse<u32>, Reverse<u32>, Reverse<Gwei>, Reverse<Gwei>, Reverse<u32>, ValidatorIndex);

/// The least rank exits first.
fn rank(standing: &Standing, over_share: &BTreeMap<u32, Gwei>, index: ValidatorIndex) -> Rank {
    let over = over_share.get(&standing.kind).copied().unwrap_or_default();
    (
        standing.delayed,
        Reverse(standing.over_forced),
        Reverse(standing.over_soft),
        Reverse(over),
        Reverse(standing.stake),
        Reverse(standing.validators),
        index,
    )
}

/// The numbers of a cluster and its kind when one of its validators has left.
fn leave(standing: &mut Standing, over_share: &mut BTreeMap<u32, Gwei>, balance: Gwei) {
    standing.over_forced = standing.over_forced.saturating_sub(1);
    standing.over_soft = standing.over_soft.saturating_sub(1);
    standing.validators = standing.validators.saturating_sub(1);
    standing.stake = Gwei(standing.stake.0.saturating_sub(balance.0));
    if let Some(over) = over_share.get_mut(&standing.kind) {
        *over = Gwei(over.0.saturating_sub(balance.0));
    }
}

/// Candidates by cluster, lowest index first.
fn queues(
    clusters: &BTreeMap<ClusterId, Standing>,
    candidates: &[Candidate],
) -> Result<BTreeMap<ClusterId, Queue>, ExitError> {
    let mut queues: BTreeMap<ClusterId, Queue> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for Candidate { index, cluster, balance } in candidates.iter().copied() {
        if !clusters.contains_key(&cluster) {
            return Err(ExitError::UnknownCluster { index, cluster });
        }
        if !seen.insert(index) {
            return Err(ExitError::Twice { index });
        }
        queues.entry(cluster).or_default().insert(index, balance);
    }
    Ok(queues)
}

/// What the contract asks for a request, in wei, when `excess` requests were made above the target so far.
///
/// ```text
/// fake_exponential(1, excess, 17): about e^(excess/17), by its Taylor series in integers, each term rounded down
/// ```
///
/// Errors: more than 256 bits, from an excess of some three thousand on. Cost: some three times `excess` / 17 terms.
pub fn request_fee(excess: u64) -> Result<Wei, ExitError> {
    let denominator = U256::from(FEE_FRACTION);
    let too_large = |_: WideError| ExitError::FeeTooLarge { excess };
    let (mut term, mut sum, mut i) = (denominator, U256::ZERO, U256::ONE);
    while !term.is_zero() {
        sum = wide::sum(sum, term).map_err(too_large)?;
        term = wide::mul_div_floor(term, U256::from(excess), denominator * i).map_err(too_large)?;
        i += U256::ONE;
    }
    Ok(Wei(sum / denominator))
}

/// The excess after a block with `requests` requests.
pub fn next_excess(excess: u64, requests: u64) -> u64 {
    excess.saturating_add(requests).saturating_sub(REQUESTS_PER_BLOCK_TARGET)
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// The validator's exit.
    Full,
    /// An amount above 32 ETH, of a compounding validator; not zero, which would be an exit.
    Partial(std::num::NonZeroU64),
}

/// The bytes of a request, which the pool's withdrawal address sends to [`PREDEPLOY`] with the fee.
pub fn request(validator: &PublicKey, withdrawal: Withdrawal) -> [u8; REQUEST_LEN] {
    let amount_gwei = match withdrawal {
        Withdrawal::Full => 0,
        Withdrawal::Partial(gwei) => gwei.get(),
    };
    let mut bytes = [0; REQUEST_LEN];
    bytes[..PublicKey::LEN].copy_from_slice(&validator.0);
    bytes[PublicKey::LEN..].copy_from_slice(&amount_gwei.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::Root;

    fn cluster(no: u8) -> ClusterId {
        Root([no; 32])
    }

    fn eth(eth: u64) -> Wei {
        wide::wei(Gwei(eth * wide::ETH_GWEI))
    }

    fn candidate(index: u64, no: u8) -> Candidate {
        Candidate { index: ValidatorIndex(index), cluster: cluster(no), balance: Gwei(32 * wide::ETH_GWEI) }
    }

    /// Two clusters that differ in one thing, the second to exit first though its index is the larger.
    fn first_of(standings: [Standing; 2], over_share: &[(u32, Gwei)]) -> ValidatorIndex {
        let clusters = [(cluster(1), standings[0]), (cluster(2), standings[1])].into();
        let over = over_share.iter().copied().collect();
        let chosen = order(eth(1), &clusters, &over, &[candidate(1, 1), candidate(2, 2)]).unwrap();
        assert_eq!(chosen.len(), 1);
        chosen[0]
    }

    #[test]
    fn each_rule_decides_before_those_after_it() {
        let all =
            Standing { over_forced: 9, over_soft: 9, stake: Gwei(9), validators: 9, ..Standing::default() };
        let (first, second) = (ValidatorIndex(1), ValidatorIndex(2));
        assert_eq!(first_of([Standing::default(); 2], &[]), first, "ties: the lowest index");
        // The other is ahead in all later rules each time.
        let rules = [
            (Standing { delayed: 1, ..all }, Standing::default()),
            (Standing { over_forced: 8, ..all }, Standing { over_forced: 9, ..Standing::default() }),
            (
                Standing { over_forced: 0, over_soft: 8, ..all },
                Standing { over_soft: 9, ..Standing::default() },
            ),
            (Standing { over_forced: 0, over_soft: 0, ..all }, Standing { kind: 1, ..Standing::default() }),
            (
                Standing { over_forced: 0, over_soft: 0, stake: Gwei(8), ..all },
                Standing { stake: Gwei(9), ..Standing::default() },
            ),
            (
                Standing { validators: 8, ..Standing::default() },
                Standing { validators: 9, ..Standing::default() },
            ),
        ];
        for (at, (one, two)) in rules.into_iter().enumerate() {
            let over: &[(u32, Gwei)] = if at == 3 { &[(1, Gwei(1))] } else { &[] };
            assert_eq!(first_of([one, two], over), second, "rule {at}");
        }
    }

    #[test]
    fn exits_are_spread_when_they_make_clusters_equal() {
        let standing = |validators: u32| Standing {
            validators,
            stake: Gwei(u64::from(validators) * 32 * wide::ETH_GWEI),
            ..Standing::default()
        };
        let clusters = [(cluster(1), standing(2)), (cluster(2), standing(3))].into();
        let candidates: Vec<_> =
            [(10, 1), (11, 1), (20, 2), (21, 2), (22, 2)].map(|(index, no)| candidate(index, no)).into();
        let order = order(eth(1000), &clusters, &BTreeMap::new(), &candidates).unwrap();
        assert_eq!(order.iter().map(|index| index.0).collect::<Vec<_>>(), [20, 10, 21, 11, 22]);
    }

    #[test]
    fn lists_that_contradict_themselves_are_refused() {
        let clusters = [(cluster(1), Standing::default())].into();
        let refuse = |candidates: &[Candidate]| order(eth(1), &clusters, &BTreeMap::new(), candidates);
        let (index, unknown) = (ValidatorIndex(5), cluster(2));
        assert_eq!(refuse(&[candidate(5, 2)]), Err(ExitError::UnknownCluster { index, cluster: unknown }));
        assert_eq!(refuse(&[candidate(5, 1), candidate(5, 1)]), Err(ExitError::Twice { index }));
    }

    #[test]
    fn a_young_validator_may_not_exit() {
        for (preset, first) in [(Preset::Mainnet, 266), (Preset::Gnosis, 266), (Preset::Minimal, 74)] {
            assert!(!may_exit(preset, Epoch(10), Epoch(first - 1)));
            assert!(may_exit(preset, Epoch(10), Epoch(first)));
            assert!(!may_exit(preset, Epoch(u64::MAX), Epoch(u64::MAX)), "far future: not activated");
        }
    }

    #[test]
    fn a_request_is_key_and_amount_and_no_amount_is_an_exit() {
        let key = PublicKey([7; 48]);
        assert_eq!(
            hex::encode(request(&key, Withdrawal::Full)),
            format!("{}{}", "07".repeat(48), "00".repeat(8))
        );
        let gwei = std::num::NonZeroU64::new(1_000_000_001).unwrap();
        assert_eq!(request(&key, Withdrawal::Partial(gwei))[48..], [0, 0, 0, 0, 0x3b, 0x9a, 0xca, 0x01]);
        assert_eq!(PREDEPLOY.to_string(), "0x00000961ef480eb55e80d19ad83579a64c007002");
    }

    #[test]
    fn a_fee_beyond_all_numbers_is_refused_and_not_waited_for() {
        assert!(request_fee(2900).is_ok());
        assert_eq!(request_fee(u64::MAX), Err(ExitError::FeeTooLarge { excess: u64::MAX }));
        assert_eq!(next_excess(0, 1), 0);
        assert_eq!(next_excess(5, REQUESTS_PER_BLOCK_MAX), 19);
    }

    prop_compose! {
        fn world()(
            standings in prop::collection::vec((0u32..3, 0u32..3, 0u32..3, 0u32..3, 0u64..4), 1..5),
            candidates in prop::collection::vec((0u8..5, 1u64..64), 0..20),
        ) -> (BTreeMap<ClusterId, Standing>, Vec<Candidate>) {
            let clusters: BTreeMap<_, _> = (0..).zip(&standings).map(|(no, (kind, delayed, forced, soft, stake))| {
                let standing = Standing {
                    kind: *kind, delayed: *delayed, over_forced: *forced, over_soft: *soft,
                    stake: Gwei(*stake), validators: 5,
                };
                (cluster(no), standing)
            }).collect();
            let count = standings.len() as u8;
            let candidates = (0u64..).zip(candidates).map(|(index, (no, eth))| Candidate {
                index: ValidatorIndex(index), cluster: cluster(no % count), balance: Gwei(eth * wide::ETH_GWEI),
            });
            (clusters, candidates.collect())
        }
    }

    proptest! {
        #[test]
        fn as_many_exit_as_are_needed_and_not_one_more(
            (clusters, candidates) in world(),
            demand in 0u64..800,
        ) {
            let over = [(0, Gwei(40 * wide::ETH_GWEI))].into();
            let chosen = order(eth(demand), &clusters, &over, &candidates).unwrap();
            let distinct: BTreeSet<_> = chosen.iter().collect();
            prop_assert_eq!(distinct.len(), chosen.len());
            let brings = |chosen: &[ValidatorIndex]| {
                chosen.iter().fold(0, |sum, index| sum + candidates[index.0 as usize].balance.0)
            };
            let wanted = demand * wide::ETH_GWEI;
            prop_assert!(brings(&chosen) >= wanted || chosen.len() == candidates.len());
            if let Some((_, before)) = chosen.split_last() {
                prop_assert!(brings(before) < wanted);
            }
        }

        #[test]
        fn each_exit_is_the_least_of_all_that_are_left(
            (clusters, candidates) in world(),
            demand in 0u64..800,
            over in prop::collection::btree_map(0u32..3, (0u64..200).prop_map(|eth| Gwei(eth * wide::ETH_GWEI)), 0..3),
        ) {
            let chosen = order(eth(demand), &clusters, &over, &candidates).unwrap();
            let (mut standings, mut over, mut left) = (clusters, over, candidates);
            let mut brought = Wei::ZERO;
            for index in chosen {
                prop_assert!(brought < eth(demand));
                let rank_of = |one: &&Candidate| (rank(&standings[&one.cluster], &over, one.index), one.cluster);
                let least = *left.iter().min_by_key(rank_of).unwrap();
                prop_assert_eq!(least.index, index);
                leave(standings.get_mut(&least.cluster).unwrap(), &mut over, least.balance);
                left.retain(|one| one.index != index);
                brought = wide::add(brought, wide::wei(least.balance)).unwrap();
            }
            prop_assert!(brought >= eth(demand) || left.is_empty());
        }

        #[test]
        fn more_demand_only_adds_to_the_end(
            (clusters, candidates) in world(),
            less in 0u64..800,
            more in 0u64..800,
        ) {
            let of = |demand: u64| order(eth(demand), &clusters, &BTreeMap::new(), &candidates).unwrap();
            let (short, long) = (of(less.min(more)), of(less.max(more)));
            prop_assert!(long.starts_with(&short));
        }

        #[test]
        fn inside_a_cluster_the_lowest_index_goes_first((clusters, candidates) in world()) {
            let chosen = order(eth(1_000_000), &clusters, &BTreeMap::new(), &candidates).unwrap();
            prop_assert_eq!(chosen.len(), candidates.len());
            for id in clusters.keys() {
                let of: Vec<_> =
                    chosen.iter().filter(|index| candidates[index.0 as usize].cluster == *id).collect();
                prop_assert!(of.is_sorted());
            }
        }

        #[test]
        fn demand_is_what_is_missing(queued: u64, buffer: u64, predicted_rewards: u64, exiting: u64) {
            let [a, b, c, d] =
                [queued, buffer, predicted_rewards, exiting].map(|amount| Wei(U256::from(amount)));
            let liquidity = Liquidity { queued: a, buffer: b, predicted_rewards: c, exiting: d };
            let there = u128::from(buffer) + u128::from(predicted_rewards) + u128::from(exiting);
            prop_assert_eq!(
                liquidity.demand(),
                Ok(Wei(U256::from(u128::from(queued).saturating_sub(there))))
            );
        }

        #[test]
        fn the_fee_never_falls_with_the_excess_and_is_at_least_a_wei(excess in 0u64..2000) {
            let (now, next) = (request_fee(excess).unwrap(), request_fee(excess + 1).unwrap());
            prop_assert!(now.0 >= U256::ONE && now <= next);
        }
    }
}
