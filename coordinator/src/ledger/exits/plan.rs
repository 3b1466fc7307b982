//! Which exits are asked for: as many as withdrawals need, and not one more.

use super::command::{Asked, Event, Facts, Validator, Why};
use super::decide::Refusal;
use super::{Lateness, Stage, State};
use crate::formulas::exits::{Candidate, Liquidity, Standing, may_exit, order};
use crate::formulas::wide;
use std::collections::BTreeMap;
use types::{ClusterId, Gwei, ValidatorIndex};

/// The most exits of one plan, so that its events stay below a megabyte. The next plan goes on.
pub const PLAN_MAX: usize = 1024;

/// Asks for as many exits as are needed. Errors: nothing is needed, or nothing can exit; a cluster that is not known.
pub(super) fn plan(state: &State, facts: &Facts<'_>, now: u64) -> Result<Vec<Event>, Refusal> {
    let leaving = state.exits.iter().filter(|(_, exit)| exit.stage < Stage::Withdrawn);
    let liquidity = Liquidity {
        queued: facts.queued,
        buffer: facts.buffer,
        predicted_rewards: facts.predicted_rewards,
        exiting: wide::total(leaving.map(|(validator, _)| facts.balance(*validator)))?,
    };
    let stays = |(index, known): (&ValidatorIndex, &Validator)| {
        let candidate = Candidate { index: *index, cluster: known.cluster, balance: known.balance };
        (!state.exits.contains_key(index)).then_some((candidate, known.activation))
    };
    let staying: Vec<_> = facts.validators.iter().filter_map(stays).collect();
    let clusters = standings(state, facts, staying.iter().map(|(candidate, _)| candidate));
    let able = staying.iter().filter(|(_, activation)| may_exit(*activation, facts.finalized));
    let candidates: Vec<_> = able.map(|(candidate, _)| *candidate).collect();
    let chosen = order(liquidity.demand()?, &clusters, facts.over_share, &candidates)?;
    if chosen.is_empty() {
        return Err(Refusal::NothingToAsk);
    }
    chosen.into_iter().take(PLAN_MAX).map(|index| ask(facts, now, index, Why::Demand)).collect()
}

/// What clusters have that does not exit, and how many of their exits are late.
fn standings<'a>(
    state: &State,
    facts: &Facts<'_>,
    staying: impl Iterator<Item = &'a Candidate>,
) -> BTreeMap<ClusterId, Standing> {
    let of = |cluster: &super::Cluster| Standing {
        kind: cluster.kind,
        over_forced: cluster.over_forced,
        over_soft: cluster.over_soft,
        ..Standing::default()
    };
    let mut all: BTreeMap<_, _> = facts.clusters.iter().map(|(id, cluster)| (*id, of(cluster))).collect();
    for candidate in staying {
        if let Some(standing) = all.get_mut(&candidate.cluster) {
            standing.stake = Gwei(standing.stake.0.saturating_add(candidate.balance.0));
            standing.validators = standing.validators.saturating_add(1);
        }
    }
    let late = |exit: &&super::Exit| exit.stage < Stage::Signed && exit.lateness != Lateness::InTime;
    for exit in state.exits.values().filter(late) {
        if let Some(standing) = all.get_mut(&exit.asked.cluster) {
            standing.delayed = standing.delayed.saturating_add(1);
        }
    }
    all
}

/// A request for an exit. Errors: not the pool's.
pub(super) fn ask(
    facts: &Facts<'_>,
    now: u64,
    validator: ValidatorIndex,
    why: Why,
) -> Result<Event, Refusal> {
    let known = facts.validators.get(&validator).ok_or(Refusal::NotOurs { validator })?;
    Ok(Event::Asked(Asked {
        validator,
        pubkey: known.pubkey,
        cluster: known.cluster,
        why,
        epoch: facts.finalized,
        at: now,
        delayed_at: now.saturating_add(facts.terms.delayed_s),
        deadline: now.saturating_add(facts.terms.delinquent_s),
    }))
}
