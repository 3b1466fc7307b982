//! The operators' part of a frame's gain, and who earns it.
//!
//! ```text
//! pot       = floor(gain * fee)                                                all operators' part
//! reward_c  = floor( made/due * max_pool(pot, stake_c, pledge_c, all stake) )    a cluster's, by the saturation curve
//! part_i    = participation's split of reward_c                               an operator's, by what the others saw
//! half      = floor(part_i / 2), if it is delinquent
//! earned_i  = floor( part_i * commission_i / fee )                             at most part_i
//! ```
//!
//! `commission_i` is the mean of what the operator's type gets for its keys in the cluster. What the type gets less than
//! the fee is the treasury's. What nobody earned is the reserve's: beyond saturation, for duties not done, by free riders if
//! the policy says so, by delinquents, and what rounding left over. So all of it is the pot, to the wei.

use super::command::{Cluster, Facts, Report, Seat};
use super::count::Counted;
use super::decide::Refusal;
use super::event::Part;
use crate::formulas::participation::{participation, split};
use crate::formulas::ratio::{BasisPoints, Ratio};
use crate::formulas::saturation::{PoolStake, pool_reward};
use crate::formulas::wide;
use crate::ledger::operators::OperatorId;
use crate::ledger::policy::{Commission, CommissionStep};
use alloy_primitives::U256;
use std::collections::BTreeMap;
use types::{Address, ClusterId, Gwei, ShareIndex, Wei};

/// What a cluster earned.
#[derive(Clone, Debug)]
pub(super) struct ClusterReward {
    pub(super) saturation: Ratio,
    pub(super) reward: Wei,
    pub(super) parts: Vec<Part>,
}

/// The pot, divided.
#[derive(Clone, Debug, Default)]
pub(super) struct Divided {
    pub(super) clusters: BTreeMap<ClusterId, ClusterReward>,
    /// Before debts.
    pub(super) operators: BTreeMap<OperatorId, (Address, Wei)>,
    pub(super) treasury: Wei,
    pub(super) reserve: Wei,
}

/// Divides the pot. Errors: a policy without an operator's type; numbers that do not fit.
pub(super) fn divide(
    facts: &Facts<'_>,
    report: &Report,
    counted: &BTreeMap<ClusterId, Counted>,
    pot: Wei,
) -> Result<Divided, Refusal> {
    let mut divided = Divided::default();
    let total = Gwei(counted.values().fold(0, |sum, one| sum.saturating_add(one.stake().0)));
    let mut left = pot;
    for (id, cluster) in counted {
        let known = facts.clusters.get(id).ok_or(Refusal::UnknownCluster { cluster: *id })?;
        let duties = report.clusters.get(id).map(|seen| seen.duties).unwrap_or_default();
        let performance = Ratio::of(duties.made, duties.due).unwrap_or(Ratio::ZERO);
        let stake = weight(known, cluster.stake(), total);
        let saturation = facts.policy.terms().saturation;
        let most = if total == Gwei(0) { Wei::ZERO } else { saturation.max_pool(pot, &stake)? };
        let filled = if total == Gwei(0) { Ratio::ZERO } else { saturation.of(&stake)? };
        let reward = pool_reward(performance, most)?;
        left = wide::sub(left, reward)?;
        let parts = parts(facts, known, reward, duties.due, &mut divided)?;
        divided.clusters.insert(*id, ClusterReward { saturation: filled, reward, parts });
    }
    divided.reserve = wide::add(divided.reserve, left)?;
    Ok(divided)
}

/// A cluster in the saturation curve, in wei. A pledge counts up to the stake that it is behind.
fn weight(known: &Cluster, stake: Gwei, total: Gwei) -> PoolStake {
    let stake = wide::wei(stake).0;
    let pledge = known.pledge.0.min(stake);
    PoolStake { stake, pledge, own: pledge, total: wide::wei(total).0 }
}

/// A cluster's reward, divided among its operators; what they do not earn goes to treasury and reserve.
fn parts(
    facts: &Facts<'_>,
    known: &Cluster,
    reward: Wei,
    due: u64,
    divided: &mut Divided,
) -> Result<Vec<Part>, Refusal> {
    let did: BTreeMap<ShareIndex, Ratio> = known
        .size
        .indices()
        .map(|index| (index, participation(known.size, index, due, &known.statements)))
        .collect();
    let shared = split(reward, &did, facts.policy.terms().losses.unearned)?;
    divided.reserve = wide::add(divided.reserve, shared.reserve)?;
    let mut parts = Vec::new();
    for ((index, participation), seat) in did.into_iter().zip(&known.seats) {
        let part = shared.operators.get(&index).copied().unwrap_or_default();
        let standing = if seat.delinquent { Wei(part.0 / U256::from(2)) } else { part };
        let earned = Wei(commission(facts, seat)?.floor_of(standing.0)?);
        divided.reserve = wide::add(divided.reserve, wide::sub(part, standing)?)?;
        divided.treasury = wide::add(divided.treasury, wide::sub(standing, earned)?)?;
        let sum = divided.operators.entry(seat.operator).or_insert((seat.reward, Wei::ZERO));
        sum.1 = wide::add(sum.1, earned)?;
        parts.push(Part { operator: seat.operator, participation, earned });
    }
    Ok(parts)
}

/// The operator's part of its part of the pot: its type's commission of the operators' fee, at most all of it.
fn commission(facts: &Facts<'_>, seat: &Seat) -> Result<Ratio, Refusal> {
    let name = &seat.operator_type;
    let kind = facts.policy.operator_type(name);
    let kind = kind.ok_or_else(|| Refusal::NoSuchType { name: name.clone(), operator: seat.operator })?;
    let fee = U256::from(facts.policy.terms().fees.operators.get());
    let keys = seat.keys.max(1);
    let sum = commission_bp(&kind.commission, seat.first_key.max(1), keys);
    let of_fee = Ratio::new(U256::from(sum), fee * U256::from(keys));
    // Without a fee there is no pot, and nothing of it.
    Ok(of_fee.unwrap_or(Ratio::ZERO).min(Ratio::ONE))
}

/// What an operator type gets for `keys` keys from `first` on: basis points, added up key by key. At most 10000 * 2^32.
pub(super) fn commission_bp(commission: &Commission, first: u32, keys: u32) -> u64 {
    let steps = Vec::<CommissionStep>::from(commission.clone());
    let (first, end) = (u64::from(first), u64::from(first) + u64::from(keys));
    let ends = steps.iter().skip(1).map(|step| u64::from(step.from_key)).chain([u64::MAX]);
    let of_step = |(step, next): (&CommissionStep, u64)| {
        let from = first.max(step.from_key.into());
        end.min(next).saturating_sub(from) * u64::from(BasisPoints::get(step.part))
    };
    steps.iter().zip(ends).map(of_step).sum()
}
