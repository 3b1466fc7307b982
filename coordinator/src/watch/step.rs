//! What to do next: ask something, observe something, or wait.

use super::due;
use super::frame::{self, Frame};
use super::heard;
use super::question::{PER_QUESTION, Question};
use super::said::Said;
use super::tally::Tally;
use super::{exits, slashed};
use crate::canonical;
use crate::formation::Seed;
use crate::ledger::chain::{Reference, Stake};
use crate::ledger::deposits::{Look, Seen};
use crate::ledger::reports::Report;
use crate::ledger::{Sighting, State};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use types::operations::SignedVoluntaryExit;
use types::{Slot, ValidatorIndex};

/// Kinds of work. What goes wrong with one does not stop the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// To see what is finalized.
    Finality,
    /// To bring the seed that a call for clusters waits for.
    Seed,
    /// To look at the pool's validators.
    Look,
    /// To weigh the chain's stake.
    Stake,
    /// To report a frame.
    Report,
    /// To hear what the pool's contracts say.
    Contracts,
    /// To see who was slashed.
    Slashing,
    /// To tell what slashings have cost.
    Loss,
    /// To have deposits planned.
    Plan,
    /// To have exits asked for.
    Exits,
    /// To see who is late with an exit.
    Review,
    /// To give signed exits to beacon nodes.
    Publish,
}

/// What was learned. A round ends when nothing is to be done; [`Known::again`] begins the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What was answered.
    pub answers: BTreeMap<Question, Said>,
    /// Tasks that cannot be done in this round, and why.
    pub set_aside: BTreeMap<Task, String>,
    /// Logs of contracts that the ledger refuses.
    pub refused: BTreeSet<Reference>,
    /// Exits that beacon nodes were given since the last look, and whether one has taken it.
    pub published: BTreeMap<ValidatorIndex, bool>,
}

impl Known {
    /// The beginning of a round: what was answered of what is final stays so. That there is no such block does not: a node that
    /// lags says so, too.
    ///
    /// - `set_aside`: what is not tried in it.
    pub fn again(mut self, set_aside: BTreeMap<Task, String>) -> Self {
        self.answers.retain(|question, said| *question != Question::Finality && *said != Said::Nothing);
        Self { set_aside, ..self }
    }

    /// A task's observation is written: what was asked for it has served its purpose.
    pub fn done(&mut self, task: Task) {
        match task {
            // No other work has answers that wait for more of them.
            Task::Look | Task::Stake | Task::Report => {
                self.answers.retain(|question, _| *question == Question::Finality || of_checkpoint(question));
                if task == Task::Look {
                    // An exit that the state does not have is published again.
                    self.published.clear();
                }
            }
            Task::Finality => self.answers.retain(|question, _| !of_checkpoint(question)),
            Task::Contracts => self.answers.retain(|question, _| question.rpc().is_none()),
            Task::Seed
            | Task::Slashing
            | Task::Loss
            | Task::Plan
            | Task::Exits
            | Task::Review
            | Task::Publish => {}
        }
    }
}

/// Whether an answer is of the finalized checkpoint: another checkpoint has another block, and other states are asked.
fn of_checkpoint(question: &Question) -> bool {
    match question {
        Question::Payload { .. }
        | Question::Randao { .. }
        | Question::Slashed { .. }
        | Question::Slashings { .. } => true,
        Question::Finality
        | Question::Validators { .. }
        | Question::Pending { .. }
        | Question::Active { .. }
        | Question::Root { .. }
        | Question::Block { .. }
        | Question::Attestations { .. }
        | Question::Members { .. }
        | Question::Executed { .. }
        | Question::Logs { .. }
        | Question::Sync { .. } => false,
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask these, in any order. If one cannot be answered the task is set aside.
    Ask(Task, Vec<Question>),
    /// Observe this: kind and body. If the ledger refuses it the task is set aside.
    Observe(Task, &'static str, String),
    /// Observe what this log says. If the ledger refuses it, it is refused.
    Tell(Reference, &'static str, String),
    /// This log is refused: it is passed over, and said why once.
    Refuse(Reference, String),
    /// Give these to all beacon nodes, and tell which were taken in [`Known::published`]. Doing it twice changes nothing.
    Publish(Vec<SignedVoluntaryExit>),
    /// Set the task aside for this round.
    SetAside(Task, String),
    /// Wait: there is nothing to do until the chain is further.
    Rest,
}

/// What to do next, at a time in Unix seconds.
///
/// - Whoever does it tells what came of it in `known`, and asks again until it is [`Step::Rest`].
/// - `tally`: of the log up to now.
/// - Cost: all validators; what would be planned; the answers of a frame.
pub fn next(state: &State, tally: &Tally, at: u64, known: &Known) -> Step {
    let tasks = [
        Task::Finality,
        Task::Seed,
        Task::Stake,
        Task::Contracts,
        Task::Slashing,
        Task::Look,
        Task::Report,
        Task::Loss,
        Task::Plan,
        Task::Exits,
        Task::Review,
        Task::Publish,
    ];
    let open = tasks.into_iter().filter(|task| !known.set_aside.contains_key(task));
    let next = |task| match task {
        Task::Finality => finality(state, known),
        Task::Seed => seed(state, known),
        Task::Look => look(state, known),
        Task::Stake => stake(state, known),
        Task::Contracts => heard::next(state, known),
        Task::Report => report(state, tally, known),
        Task::Slashing => slashed::seen(state, tally, known, at),
        Task::Loss => slashed::cost(state, tally, at),
        Task::Plan => plan(state, at),
        Task::Exits => exits::plan(state, at),
        Task::Review => exits::review(state, at),
        Task::Publish => exits::publish(state, known),
    };
    open.filter_map(next).next().unwrap_or(Step::Rest)
}

pub(super) fn observe(task: Task, kind: &'static str, body: &impl Serialize) -> Step {
    Step::Observe(task, kind, spelled(body))
}

fn spelled(body: &impl Serialize) -> String {
    String::from_utf8(canonical::bytes(body)).expect("JSON is text")
}

fn finality(state: &State, known: &Known) -> Option<Step> {
    let Some(Said::Finality(seen)) = known.answers.get(&Question::Finality) else {
        return Some(Step::Ask(Task::Finality, vec![Question::Finality]));
    };
    if seen.epoch <= state.chain.finalized.epoch {
        return None;
    }
    // Whether it can be final at all is the ledger's to say.
    Some(observe(Task::Finality, "finalized", seen))
}

fn seed(state: &State, known: &Known) -> Option<Step> {
    let (epoch, slot) = due::seed(state)?;
    let question = Question::Randao { slot, epoch };
    let Some(Said::Randao(mix)) = known.answers.get(&question) else {
        return Some(Step::Ask(Task::Seed, vec![question]));
    };
    Some(observe(Task::Seed, "seed", &Seed { epoch, mix: *mix }))
}

fn look(state: &State, known: &Known) -> Option<Step> {
    let slot = due::look(state)?;
    if state.charter.contracts.is_some() && !heard::is_told(state, known) {
        // Why not is told of that task.
        return None;
    }
    let questions = looking(state, slot);
    let missing: Vec<_> = questions.iter().filter(|one| !known.answers.contains_key(one)).cloned().collect();
    if !missing.is_empty() {
        return Some(Step::Ask(Task::Look, missing));
    }
    let mut look = Look { slot, finalized: true, validators: Vec::new(), pending: Vec::new() };
    for answer in questions.iter().filter_map(|question| known.answers.get(question)) {
        match answer {
            Said::Validators(found) => look.validators.extend(found.values()),
            Said::Pending(pending) => look.pending.clone_from(pending),
            _ => {}
        }
    }
    Some(observe(Task::Look, "look", &state.deposits.observed(look)))
}

/// What is asked of a state to look at the pool's validators.
fn looking(state: &State, slot: Slot) -> Vec<Question> {
    let keys: Vec<_> = state.deposits.validators().keys().copied().collect();
    if keys.is_empty() {
        return Vec::new();
    }
    let chunks = keys.chunks(PER_QUESTION);
    let validators = chunks.map(|keys| Question::Validators { slot, keys: keys.to_vec() });
    validators.chain([Question::Pending { slot }]).collect()
}

fn stake(state: &State, known: &Known) -> Option<Step> {
    let question = Question::Active { slot: due::stake(state)? };
    let epoch = state.chain.finalized.epoch;
    let Some(Said::Active(active)) = known.answers.get(&question) else {
        return Some(Step::Ask(Task::Stake, vec![question]));
    };
    Some(observe(Task::Stake, "network-stake", &Stake { epoch, active: *active }))
}

fn report(state: &State, tally: &Tally, known: &Known) -> Option<Step> {
    let frame = Frame::due(state)?;
    let questions = frame::plan(state, frame, known);
    if !questions.is_empty() {
        return Some(Step::Ask(Task::Report, questions));
    }
    Some(match frame::fold(state, tally, frame, known) {
        Ok(report) => Step::Observe(Task::Report, "report", report_body(&report)),
        Err(error) => Step::SetAside(Task::Report, error.to_string()),
    })
}

/// The body of the observation of a report.
pub fn report_body(report: &Report) -> String {
    spelled(report)
}

fn plan(state: &State, at: u64) -> Option<Step> {
    // What is planned is sent, and without contracts nobody would see it.
    state.charter.contracts?;
    // Most of the time there is nothing to plan, and that is nobody's trouble.
    state.see(at, &Sighting::Deposits(Seen::Plan)).ok()?;
    Some(observe(Task::Plan, "plan", &json!({})))
}
