//! What the pool's contracts said, told to the ledger in the chain's order.
//!
//! ```text
//! up to the execution layer's block in the finalized checkpoint's, by root and by hash
//! each log once; then, if there was something or a state is to be looked at: executed up to here
//! ```
//!
//! So every deposit in the blocks up to a state is told before the state is looked at: a deposit that a state has and nobody
//! told of looks like a stranger's. What the ledger refuses (bond for an operator that it does not know) is passed over.

use super::due;
use super::question::Question;
use super::said::Said;
use super::step::{Known, Step, Task, observe};
use crate::ledger::State;
use crate::ledger::chain::Executed;
use types::Millis;

/// Most blocks of one question: nodes and those who sell access to them have limits of some thousands.
const BLOCKS_PER_QUESTION: u64 = 2_000;

/// The execution layer's block of the finalized checkpoint. Errors: what is to be asked, if it is not known yet.
fn last(state: &State, known: &Known) -> Result<Executed, Question> {
    let question = Question::Payload { root: state.chain.finalized.root };
    match known.answers.get(&question) {
        Some(Said::Payload(last)) => Ok(*last),
        _ => Err(question),
    }
}

/// Whether all that was said up to the finalized checkpoint was told: then its state may be looked at.
pub(super) fn is_told(state: &State, known: &Known) -> bool {
    let told = state.chain.executed.map(|executed| executed.number);
    matches!(last(state, known), Ok(last) if told >= Some(last.number))
}

/// What is next.
pub(super) fn next(state: &State, known: &Known) -> Option<Step> {
    let contracts = state.charter.contracts?;
    let ask = |questions| Some(Step::Ask(Task::Contracts, questions));
    let aside = |why: String| Some(Step::SetAside(Task::Contracts, why));
    if state.chain.finalized.epoch.0 == 0 {
        return None;
    }
    let last = match last(state, known) {
        Err(question) => return ask(vec![question]),
        Ok(last) => last,
    };
    let from = state.chain.executed.map_or(contracts.since, |executed| executed.number.saturating_add(1));
    if from > last.number {
        // A vault that is to be made later has said nothing.
        let first = state.chain.executed.is_none().then_some(last);
        return first.map(|last| observe(Task::Contracts, "executed", &last));
    }
    if state.chain.stake.is_none() {
        return aside("the chain's stake was not seen yet, so no payment can be counted".to_owned());
    }
    let addresses = [contracts.vault, contracts.deposits];
    let starts = (from..=last.number).step_by(usize::try_from(BLOCKS_PER_QUESTION).unwrap_or(usize::MAX));
    let range = |from: u64| Question::Logs {
        from,
        to: from.saturating_add(BLOCKS_PER_QUESTION - 1).min(last.number),
        addresses,
    };
    let ranges: Vec<_> = starts.map(range).collect();
    let end = Question::Executed { number: last.number };
    let missing = |one: &&Question| !known.answers.contains_key(*one);
    let questions: Vec<_> = std::iter::once(&end).chain(&ranges).filter(missing).cloned().collect();
    if !questions.is_empty() {
        return ask(questions);
    }
    match known.answers.get(&end) {
        Some(Said::Executed(block)) if block.hash == last.hash => {}
        _ => {
            return aside(format!(
                "the execution node has another block {} than the beacon node",
                last.number
            ));
        }
    }
    tell(state, known, &ranges).or_else(|| {
        let said_something = ranges
            .iter()
            .any(|range| matches!(known.answers.get(range), Some(Said::Logs(logs)) if !logs.is_empty()));
        let needed = said_something || due::look(state).is_some();
        needed.then(|| observe(Task::Contracts, "executed", &last))
    })
}

/// The first log that is not told.
fn tell(state: &State, known: &Known, ranges: &[Question]) -> Option<Step> {
    for question in ranges {
        let Some(Said::Logs(logs)) = known.answers.get(question) else { continue };
        for log in logs {
            if log.is_told(state) || known.refused.contains(&log.reference) {
                continue;
            }
            if let Some(why) = log.wrong(state) {
                return Some(Step::Refuse(log.reference, why));
            }
            let block = Question::Executed { number: log.block };
            let Some(Said::Executed(made)) = known.answers.get(&block) else {
                return Some(Step::Ask(Task::Contracts, vec![block]));
            };
            let slot = state.network.slot_at(Millis(made.at.saturating_mul(1_000))).unwrap_or_default();
            return Some(match log.observation(state, slot) {
                Ok((kind, body)) => {
                    let body = String::from_utf8(body).expect("JSON is text");
                    Step::Tell(log.reference, kind, body)
                }
                Err(why) => Step::Refuse(log.reference, why),
            });
        }
    }
    None
}
