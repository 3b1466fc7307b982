//! Which exits are asked for: as many as withdrawals need, and not one more.

use super::command::{Asked, Event, Facts, Staked, Whole, Why};
use super::decide::Refusal;
use super::{Lateness, Stage, State};
use crate::formulas::exits::{Standing, may_exit, order};
use crate::formulas::wide;
use std::collections::BTreeMap;
use types::{ClusterId, Gwei, ValidatorIndex};

/// The most exits of one plan, so that its events stay below a megabyte. The next plan goes on.
pub const PLAN_MAX: usize = 1024;

/// Asks for the exits of clusters that end, and for as many others as are needed. Errors: nothing is needed, or nothing can
/// exit; a cluster that is not known.
///
/// Cost: all validators, and the logarithm of clusters for each exit that is needed.
pub(super) fn plan(state: &State, facts: &Facts<'_>, now: u64) -> Result<Vec<Event>, Refusal> {
    let mut whole = (facts.whole)()?;
    let staked = std::mem::take(&mut whole.staked);
    let (leaving, mut staying): (Vec<_>, Vec<_>) =
        staked.into_iter().partition(|one| state.exits.contains_key(&one.candidate.index));
    let able = |one: &Staked| may_exit(facts.spec.preset, one.activation, facts.finalized);
    let ends = |one: &Staked| whole.clusters.get(&one.candidate.cluster).and_then(|cluster| cluster.ends);
    let ending: Vec<_> =
        staying.iter().filter(|one| able(one)).filter_map(|one| Some((*one, ends(one)?))).collect();
    staying.retain(|one| ends(one).is_none() || !able(one));
    let leaving = leaving.iter().filter(|one| is_coming(state, one.candidate.index));
    let coming = leaving.chain(ending.iter().map(|(one, _)| one));
    whole.liquidity.exiting = wide::total(coming.map(|one| wide::wei(one.candidate.balance)))?;
    let clusters = standings(state, &whole, &staying);
    let candidates: Vec<_> = staying.iter().filter(|one| able(one)).map(|one| one.candidate).collect();
    let chosen = order(whole.liquidity.demand()?, &clusters, &whole.over_share, &candidates)?;
    let ending = ending.into_iter().map(|(one, why)| (one.candidate.index, why));
    let asked: Vec<_> = ending.chain(chosen.into_iter().map(|index| (index, Why::Demand))).collect();
    if asked.is_empty() {
        return Err(Refusal::NothingToAsk);
    }
    asked.into_iter().take(PLAN_MAX).map(|(index, why)| ask(facts, now, index, why)).collect()
}

/// Whether what an exit brings is not there yet.
fn is_coming(state: &State, validator: ValidatorIndex) -> bool {
    state.exits.get(&validator).is_some_and(|exit| exit.stage < Stage::Withdrawn)
}

/// What clusters have that does not exit, and how many of their exits are late.
fn standings(state: &State, whole: &Whole, staying: &[Staked]) -> BTreeMap<ClusterId, Standing> {
    let of = |cluster: &super::Standing| Standing {
        kind: cluster.kind,
        over_forced: cluster.over_forced,
        over_soft: cluster.over_soft,
        ..Standing::default()
    };
    let mut all: BTreeMap<_, _> = whole.clusters.iter().map(|(id, cluster)| (*id, of(cluster))).collect();
    for Staked { candidate, .. } in staying {
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
    let known = (facts.validator)(validator).ok_or(Refusal::NotOurs { validator })?;
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
