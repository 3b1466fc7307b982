//! Slashings: seen in the latest final state, each epoch; what they cost, after each report.
//!
//! ```text
//! slashing        a validator is slashed in the finalized checkpoint's state       the fault: by the block that has the evidence
//! slashing-look   a report is later than the last: penalties and missed duties of all reports since, until it is withdrawable
//! ```
//!
//! **Which block.** The chain says when a slashed validator is withdrawable: `EPOCHS_PER_SLASHINGS_VECTOR` after the epoch
//! of the block, unless the queue of exits is longer than that. So the blocks of one epoch are asked. Behind a long queue
//! the last epochs before the state are; if none of them has it, the fault is of the last of them: who is in the cluster then
//! answers for it, and governance can dismiss the incident for one with the right epoch.
//!
//! What governance has dismissed is not told again: whoever knows better can.
//!
//! Source: consensus-specs, Electra: `slash_validator`, `initiate_validator_exit`.

use super::question::{PER_QUESTION, Question};
use super::said::Said;
use super::step::{Known, Step, Task, observe};
use super::tally::Tally;
use crate::canonical;
use crate::formulas::slashing::{PENALTY_QUOTIENT, slashings_epochs};
use crate::ledger::deposits::{self, SeenValidator};
use crate::ledger::incidents::{self, Fault, Key, SeenLoss, Slashing, Stage, Told};
use crate::ledger::reports::Evidence;
use crate::ledger::{Sighting, State};
use types::{Epoch, Gwei, Slot, ValidatorIndex};

/// `MIN_VALIDATOR_WITHDRAWABILITY_DELAY`: between having no more duties and being withdrawable, if nothing else is longer.
const WITHDRAWABLE_DELAY: u64 = 256;
/// Epochs whose blocks are asked where the chain does not say which it was: more than lie between two rounds, so a block is
/// not there only if nobody watched.
const SEARCH_EPOCHS: u64 = 8;

/// Tells of a slashing that the ledger does not know.
///
/// One that cannot be told stops no other.
pub(super) fn seen(state: &State, tally: &Tally, known: &Known, at: u64) -> Option<Step> {
    let questions = asked(state)?;
    let missing: Vec<_> = questions.iter().filter(|one| !known.answers.contains_key(one)).cloned().collect();
    if !missing.is_empty() {
        return Some(Step::Ask(Task::Slashing, missing));
    }
    let mut aside = None;
    for question in &questions {
        let Some(Said::Slashed(found)) = known.answers.get(question) else { continue };
        let is_new = |index: &ValidatorIndex| {
            !state.incidents.known.contains(&Key::Slashing(*index)) && !tally.is_dismissed(*index)
        };
        for (_, found) in found.iter().filter(|(index, _)| is_new(index)) {
            match tell(state, known, question, found, at) {
                Step::SetAside(task, why) => aside = aside.or(Some(Step::SetAside(task, why))),
                step => return Some(step),
            }
        }
    }
    aside
}

/// Who could have been slashed: all of the pool's that the chain knows and has not paid out.
fn asked(state: &State) -> Option<Vec<Question>> {
    let epoch = state.chain.finalized.epoch;
    if epoch == Epoch(0) {
        return None;
    }
    let slot = state.network.epoch_start(epoch);
    let is_over = |stage| {
        matches!(stage, deposits::Stage::Withdrawn | deposits::Stage::Foreign | deposits::Stage::Compensated)
    };
    let lives = |index: &&ValidatorIndex| {
        state.deposits.by_index(**index).is_some_and(|(_, validator)| !is_over(validator.stage))
    };
    let indices: Vec<_> = state.deposits.by_index.keys().filter(lives).copied().collect();
    let chunks = indices.chunks(PER_QUESTION);
    Some(chunks.map(|indices| Question::Slashed { slot, indices: indices.to_vec() }).collect())
}

fn tell(state: &State, known: &Known, question: &Question, found: &SeenValidator, at: u64) -> Step {
    let index = found.index;
    let aside = |why: String| Step::SetAside(Task::Slashing, why);
    let (Some((pubkey, validator)), Some(withdrawable)) =
        (state.deposits.by_index(index), found.withdrawable)
    else {
        return aside(format!("validator {index} is slashed, and never withdrawable"));
    };
    if pubkey != found.pubkey {
        return aside(format!("validator {index} is {} for the node, for the pool {pubkey}", found.pubkey));
    }
    let mut evidence = Evidence::new();
    evidence.extend(known.answers.get(question).map(|said| (question.name(), canonical::hash(said))));
    let place = match place(state, known, found, withdrawable) {
        Ok(place) => place,
        Err(step) => return step,
    };
    evidence.extend(place.read_from);
    // A look before it was slashed knows better: what it counts for follows its balance.
    let effective = Gwei(found.effective_balance.0.max(validator.effective.0));
    let fault = Slashing {
        validator: index,
        // A vote may be for an epoch that has not come.
        fault: place.fault.min(place.slashed),
        slashed: place.slashed,
        withdrawable,
        effective,
        whistleblower: Gwei(effective.0 / PENALTY_QUOTIENT),
    };
    let told = Told { fault: Fault::Slashing(fault), evidence: evidence.clone() };
    match state.see(at, &Sighting::Incidents(incidents::Seen::Fault(Box::new(told)))) {
        Ok(_) => observe(Task::Slashing, "slashing", &Told { fault, evidence }),
        Err(refusal) => aside(format!("the slashing of validator {index} is refused: {refusal}")),
    }
}

/// When it was.
struct Place {
    fault: Epoch,
    slashed: Epoch,
    read_from: Evidence,
}

/// Looks for the block that has the evidence. Errors: what is to be asked before, or why there is none.
fn place(state: &State, known: &Known, found: &SeenValidator, withdrawable: Epoch) -> Result<Place, Step> {
    let network = &state.network;
    let finalized = state.chain.finalized.epoch;
    let named = Epoch(withdrawable.0.saturating_sub(slashings_epochs(network.preset)));
    let queued = found.exit.is_some_and(|exit| exit.0.saturating_add(WITHDRAWABLE_DELAY) >= withdrawable.0);
    let last = named.min(finalized);
    let epochs = if queued { last.0.saturating_sub(SEARCH_EPOCHS - 1)..=last.0 } else { named.0..=named.0 };
    for epoch in epochs.rev().map(Epoch) {
        let end = network.epoch_start(Epoch(epoch.0 + 1)).0.min(network.epoch_start(finalized).0 + 1);
        let slots = (network.epoch_start(epoch).0..end).map(|slot| Question::Slashings { slot: Slot(slot) });
        let slots: Vec<_> = slots.collect();
        let is_missing = |one: &&Question| !known.answers.contains_key(*one);
        let missing: Vec<_> = slots.iter().filter(is_missing).cloned().collect();
        if !missing.is_empty() {
            return Err(Step::Ask(Task::Slashing, missing));
        }
        for block in slots {
            let Some(said @ Said::Slashings(faults)) = known.answers.get(&block) else { continue };
            if let Some(fault) = faults.get(&found.index) {
                let read_from = [(block.name(), canonical::hash(said))].into();
                return Ok(Place { fault: *fault, slashed: epoch, read_from });
            }
        }
    }
    if queued {
        return Ok(Place { fault: last, slashed: last, read_from: Evidence::new() });
    }
    let why = format!("validator {} was slashed in epoch {named}, and no block there says so", found.index);
    Err(Step::SetAside(Task::Slashing, why))
}

/// Tells what a slashing has cost by the last report, if that is news.
pub(super) fn cost(state: &State, tally: &Tally, at: u64) -> Option<Step> {
    let epoch = state.money.reported()?;
    let mut refused = None;
    for (incident, found) in state.incidents.incidents() {
        let (Fault::Slashing(slashing), Stage::Open) = (found.opened.fault, &found.stage) else { continue };
        let last = found.seen.map(|(epoch, _)| epoch);
        let is_over = last >= Some(slashing.withdrawable);
        if is_over || last >= Some(epoch) || epoch < slashing.slashed {
            continue;
        }
        // A report of the frame in which it was slashed may be to come.
        let Some(lost) = tally.penalised(slashing.validator) else { continue };
        let loss = SeenLoss { incident: *incident, epoch, lost };
        match state.see(at, &Sighting::Incidents(incidents::Seen::Loss(loss))) {
            Ok(_) => return Some(observe(Task::Loss, "slashing-look", &loss)),
            Err(refusal) => refused = refused.or(Some(refusal.to_string())),
        }
    }
    refused.map(|why| Step::SetAside(Task::Loss, why))
}
