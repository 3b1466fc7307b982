//! What a report shows besides money: the worst that could happen, how few hold how much, who did too little.

use super::command::{Duties, Facts, Network};
use super::count::Counted;
use super::decide::Refusal;
use super::event::{Axis, Figures, Stress};
use crate::formulas::concentration::{Concentration, Power};
use crate::formulas::ratio::BasisPoints;
use crate::formulas::rebase::SHARE_RATE_UNIT;
use crate::formulas::shares::Rate;
use crate::formulas::slashing::{self, SlashingError};
use crate::formulas::wide;
use std::collections::BTreeMap;
use types::{ClusterId, Gwei, Wei};

/// What stake is called whose operator does not say.
const UNKNOWN: &str = "unknown";

/// The costliest cluster to be slashed as a whole, the first of those that tie; nothing where there is no stake.
///
/// - `after`: shares and ETH after the report.
/// - Errors: more stake than the network's.
pub(super) fn stress(
    counted: &BTreeMap<ClusterId, Counted>,
    network: &Network,
    after: Rate,
) -> Result<Option<Stress>, Refusal> {
    let mut worst: Option<(ClusterId, Gwei)> = None;
    for (cluster, one) in counted.iter().filter(|(_, one)| !one.staked.is_empty()) {
        let loss = slashing::together(&one.staked, network.stake)
            .map_err(|error: SlashingError| Refusal::Stress { cluster: *cluster, why: error })?;
        if worst.is_none_or(|(_, most)| loss > most) {
            worst = Some((*cluster, loss));
        }
    }
    let Some((cluster, loss)) = worst else { return Ok(None) };
    let pooled = Wei(after.pooled.0.saturating_sub(wide::wei(loss).0));
    let share_rate = Rate { pooled, ..after }.per(SHARE_RATE_UNIT)?;
    Ok(Some(Stress { cluster, loss, share_rate }))
}

/// How few hold how much, by dimension. A cluster's stake counts for its operators in equal parts, rounded down to a gwei.
pub(super) fn concentration(
    facts: &Facts<'_>,
    counted: &BTreeMap<ClusterId, Counted>,
) -> BTreeMap<Axis, Figures> {
    let figures = |dimension: Axis| {
        let stake = counted.iter().filter_map(|(id, one)| Some((facts.clusters.get(id)?, one.stake())));
        let labelled = stake.flat_map(|(cluster, stake)| {
            let part = Gwei(stake.0 / cluster.size.operators() as u64);
            cluster
                .seats
                .iter()
                .map(move |seat| (seat.labels.get(&dimension).map_or(UNKNOWN, String::as_str), part))
        });
        let all = Concentration::of(labelled);
        let fewest = |power| all.nakamoto(power).and_then(|count| u32::try_from(count).ok());
        let figures = Figures {
            third: fewest(Power::StopsFinality)?,
            half: fewest(Power::ChoosesHead)?,
            two_thirds: fewest(Power::Finalizes)?,
            hhi: all.hhi()?,
            largest: all.largest()?.0.to_owned(),
        };
        Some((dimension, figures))
    };
    Axis::ALL.into_iter().filter_map(figures).collect()
}

/// Whether a cluster did less than the network, by more than the leeway. Where nothing was due, nothing was too little.
///
/// ```text
/// made/due + leeway < made/due of the network
/// ```
pub(super) fn strike(cluster: Duties, network: Duties, leeway: BasisPoints) -> bool {
    if cluster.due == 0 || network.due == 0 {
        return false;
    }
    // Counts are at most 2^36, so products of two and 10000 have 86 bits.
    let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
    let whole = u128::from(BasisPoints::WHOLE.get());
    let ours = product(cluster.made, network.due) * whole
        + product(cluster.due, network.due) * u128::from(leeway.get());
    ours < product(network.made, cluster.due) * whole
}
