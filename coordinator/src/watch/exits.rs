//! Exits: which are asked for, who is late, and what signed ones are given to beacon nodes.
//!
//! ```text
//! exits-plan      a withdrawal waits, or a cluster ends, and exits are needed: at most once a finalized epoch
//! exits-review    somebody is late who was not
//! publish         signed, and on no state that was looked at: to all beacon nodes, once, and again after each look
//! exit-broadcast  a beacon node has taken it
//! ```
//!
//! To publish is an effect and not in the log. Whoever is stopped between it and its observation publishes again, which
//! changes nothing: nodes know the exit by then.

use super::step::{Known, Step, Task, observe};
use crate::ledger::exits::{Seen, Stage};
use crate::ledger::routes::{MANY, MANY_MAX};
use crate::ledger::{Sighting, State, clusters};
use serde_json::{Value, json};
use types::ValidatorIndex;

/// Asks for exits, if any are needed.
pub(super) fn plan(state: &State, at: u64) -> Option<Step> {
    let ends = |cluster: &clusters::Cluster| cluster.stage == clusters::Stage::Exiting;
    let wanted = state.money.queue().open().next().is_some() || state.clusters.clusters.values().any(ends);
    let finalized = state.chain.finalized.epoch;
    // What is asked for later in an epoch is signed over the same epoch: it can as well be asked for together.
    let lately = || state.exits.exits().values().any(|exit| exit.asked.epoch == finalized);
    if !wanted || lately() {
        return None;
    }
    // Most of the time there is nothing to ask for, and that is nobody's trouble.
    state.see(at, &Sighting::Exits(Seen::Plan)).ok()?;
    Some(observe(Task::Exits, "exits-plan", &json!({})))
}

/// Says who is late, if somebody is who was not.
pub(super) fn review(state: &State, at: u64) -> Option<Step> {
    state.see(at, &Sighting::Exits(Seen::Review)).ok()?;
    Some(observe(Task::Review, "exits-review", &json!({})))
}

/// Says what was taken, and publishes what is signed.
pub(super) fn publish(state: &State, known: &Known) -> Option<Step> {
    taken(state, known).or_else(|| {
        let untold = |index: &ValidatorIndex| !known.published.contains_key(index);
        let signed = state.exits.to_broadcast().filter(|exit| untold(&exit.message.validator_index));
        let signed: Vec<_> = signed.take(MANY_MAX).collect();
        (!signed.is_empty()).then_some(Step::Publish(signed))
    })
}

fn taken(state: &State, known: &Known) -> Option<Step> {
    let taken = |index: &ValidatorIndex| known.published.get(index) == Some(&true);
    let exits = state.exits.exits().iter();
    let taken = exits.filter(|(index, exit)| exit.stage == Stage::Signed && taken(index));
    let bodies = taken.map(|(index, _)| json!({ "validator": index })).take(MANY_MAX);
    match &bodies.collect::<Vec<_>>()[..] {
        [] => None,
        [body] => Some(observe(Task::Publish, BROADCAST, body)),
        many => {
            let many: Vec<(&str, &Value)> = many.iter().map(|body| (BROADCAST, body)).collect();
            Some(observe(Task::Publish, MANY, &many))
        }
    }
}

const BROADCAST: &str = "exit-broadcast";
