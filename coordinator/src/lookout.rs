//! The lookout: asks beacon nodes what [`crate::watch`] wants to know, and has the office write what comes of it.
//!
//! It works in rounds, one a slot: what is to be done is done, until nothing is. What cannot be done is set aside, tried
//! again ever more seldom, and told once; the office serves meanwhile.

use crate::api::{ApiError, Shared, now};
use crate::ledger::Sealed;
use crate::ledger::chain::Reference;
use crate::office::{Office, OfficeError};
use crate::text::Label;
use crate::watch::frame;
use crate::watch::recount::{Recount, Told, difference};
use crate::watch::step::report_body;
use crate::watch::{Known, Question, Said, Scope, Step, Tally, Task, next};
use beacon::Beacon;
use remote::Execution;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use types::operations::SignedVoluntaryExit;

/// For a short answer: a node may have to compute it from an old state.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// For an answer of hundreds of megabytes.
const LONG_WAIT: Duration = Duration::from_secs(900);
/// The least between two rounds, for networks whose slots are short.
const ROUND_MIN: Duration = Duration::from_millis(100);
/// The most rounds that something which failed is left alone: after 64 slots a node may be well again.
const ROUNDS_ASIDE_MAX: u32 = 64;
/// Entries of the log that are read at once: some megabytes.
const ENTRIES_AT_ONCE: usize = 256;
/// More steps than any round has: if the state does not move, something is wrong with us.
const STEPS_MAX: usize = 100_000;

/// What failed lately, by its task.
#[derive(Debug, Default)]
struct Troubles(BTreeMap<Task, Trouble>);

#[derive(Debug)]
struct Trouble {
    why: String,
    /// How often in a row.
    times: u32,
    again: Instant,
}

/// What is kept between rounds. A restart begins with nothing, and comes to the same.
#[derive(Debug, Default)]
struct Memory {
    known: Known,
    tally: Tally,
    /// Entries of the log that the tally has.
    counted: u64,
}

impl Memory {
    /// A log of a contract is passed over from now on.
    fn refuse(&mut self, reference: Reference, why: &str) {
        tracing::warn!(transaction = %reference.hash, log = reference.index, why, "what a contract said does not count");
        self.known.refused.insert(reference);
    }

    /// Counts what was written since. Errors: the disk's.
    fn count(&mut self, office: &Office) -> Result<(), ApiError> {
        loop {
            let entries = office.entries(self.counted, ENTRIES_AT_ONCE)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                // What stands in an office's log has been replayed.
                let sealed: Sealed = serde_json::from_slice(entry).map_err(ApiError::internal)?;
                self.tally.take(&sealed.entry);
                self.counted += 1;
            }
        }
    }
}

/// Who is asked.
#[derive(Debug)]
pub struct Nodes {
    /// Beacon nodes.
    pub beacon: Beacon,
    /// An execution node, if there is one.
    pub execution: Option<Execution>,
}

/// Watches until it is dropped. What goes wrong is in the log.
pub async fn run(shared: Shared, nodes: Nodes) {
    let execution = nodes.execution.as_ref().map(Execution::label);
    tracing::info!(beacon = nodes.beacon.labels().join(", "), execution, "watching the chain");
    let (mut memory, mut troubles) = (Memory::default(), Troubles::default());
    let mut round = tokio::time::interval(round_length(&shared).await);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        match watch(&shared, &nodes, memory, &mut troubles, round.period()).await {
            Ok(back) => memory = back,
            Err(error) => {
                tracing::error!(%error, "the office does not work, so nothing is watched; start it again");
                return;
            }
        }
    }
}

async fn round_length(shared: &Shared) -> Duration {
    let slot = shared.with(|office| Ok(office.ledger()?.state().network.slot_ms)).await;
    Duration::from_millis(slot.unwrap_or_default()).max(ROUND_MIN)
}

/// One round. Errors: the office's disk.
async fn watch(
    shared: &Shared,
    nodes: &Nodes,
    mut memory: Memory,
    troubles: &mut Troubles,
    period: Duration,
) -> Result<Memory, ApiError> {
    if !is_ours(shared).await? {
        return Ok(memory);
    }
    let foreign = nodes.beacon.check_network().await;
    tracing::trace!(?foreign, "asked for the network");
    memory.known = memory.known.again(troubles.resting());
    for _ in 0..STEPS_MAX {
        let (back, step, scope) = shared.with(move |office| considered(office, memory)).await?;
        memory = back;
        let (task, why) = match step {
            Step::Rest => {
                troubles.well(&memory.known);
                return Ok(memory);
            }
            Step::Ask(task, questions) => {
                match ask(nodes, questions, &Arc::new(scope), &mut memory.known).await {
                    Ok(()) => continue,
                    Err(why) => (task, why),
                }
            }
            Step::Observe(task, kind, body) => match observe(shared, kind, body).await? {
                Ok(()) => {
                    memory.known.done(task);
                    continue;
                }
                Err(why) => (task, why),
            },
            Step::Tell(reference, kind, body) => {
                if let Err(why) = observe(shared, kind, body).await? {
                    memory.refuse(reference, &why);
                }
                continue;
            }
            Step::Refuse(reference, why) => {
                memory.refuse(reference, &why);
                continue;
            }
            Step::Publish(exits) => match publish(nodes, exits, &mut memory.known).await {
                Ok(()) => continue,
                Err(why) => (Task::Publish, why),
            },
            Step::SetAside(task, why) => (task, why),
        };
        troubles.have(task, &why, period);
        memory.known.set_aside.insert(task, why);
    }
    tracing::error!(steps = STEPS_MAX, "a round of watching has no end");
    Ok(memory)
}

/// Whether this office is the pool's coordinator. Another sees nothing.
async fn is_ours(shared: &Shared) -> Result<bool, ApiError> {
    let ours = |office: &mut Office| {
        let address = office.address();
        Ok(office.ledger()?.state().governance.coordinator == address)
    };
    shared.with(ours).await
}

fn considered(office: &mut Office, mut memory: Memory) -> Result<(Memory, Step, Scope), ApiError> {
    memory.count(office)?;
    let state = office.ledger()?.state();
    let (step, scope) = (next(state, &memory.tally, now(), &memory.known), Scope::of(state));
    Ok((memory, step, scope))
}

/// Gives these to all beacon nodes. What they say no to is told, and not given again before the next look. Errors: the first
/// of which no node says yes or no; if none is reached, the others are not tried.
async fn publish(nodes: &Nodes, exits: Vec<SignedVoluntaryExit>, known: &mut Known) -> Result<(), String> {
    let mut failed = Ok(());
    for exit in exits {
        let validator = exit.message.validator_index;
        let body = serde_json::to_value(exit).map_err(|error| error.to_string())?;
        let taken = match nodes.beacon.submit_exit(body).await {
            Ok(()) => {
                tracing::info!(%validator, "a signed exit is published");
                true
            }
            Err(beacon::ApiError::Status { code: 400, message }) => {
                tracing::warn!(%validator, message, "no beacon node takes the signed exit");
                false
            }
            Err(error) => {
                let is_reached = matches!(error, beacon::ApiError::Status { .. });
                failed = failed.and(Err(format!("the exit of validator {validator}: {error}")));
                if is_reached {
                    continue;
                }
                return failed;
            }
        };
        known.published.insert(validator, taken);
    }
    failed
}

/// Asks all of these. Errors: the first that was not answered.
async fn ask(
    nodes: &Nodes,
    questions: Vec<Question>,
    scope: &Arc<Scope>,
    known: &mut Known,
) -> Result<(), String> {
    for question in questions {
        let said = match question.rpc() {
            Some((method, params)) => executed(nodes, &question, scope, method, params).await,
            None => answered(&nodes.beacon, &question, scope).await.map_err(|error| error.to_string()),
        };
        let said = said.map_err(|error| format!("{}: {error}", question.path()))?;
        known.answers.insert(question, said);
    }
    Ok(())
}

/// Asks the execution node.
async fn executed(
    nodes: &Nodes,
    question: &Question,
    scope: &Scope,
    method: &str,
    params: Value,
) -> Result<Said, String> {
    let node = nodes.execution.as_ref().ok_or("no execution node is given (--execution-node)")?;
    let result = node.look(method, params, question.len_max()).await.map_err(|error| error.to_string())?;
    question.read(scope, &mut result.to_string().as_bytes()).map_err(|wrong| wrong.to_string())
}

/// Asks one question. That there is no such thing is an answer where it may be one.
async fn answered(
    beacon: &Beacon,
    question: &Question,
    scope: &Arc<Scope>,
) -> Result<Said, beacon::ApiError> {
    match told(beacon, question, scope).await {
        Err(error) if error.is_not_found() && question.may_be_absent() => Ok(Said::Nothing),
        answer => answer,
    }
}

async fn told(beacon: &Beacon, question: &Question, scope: &Arc<Scope>) -> Result<Said, beacon::ApiError> {
    let (path_and_query, body, len_max) = (question.path(), question.body(), question.len_max());
    let wait = if question.is_long() { LONG_WAIT } else { ANSWER_WAIT };
    let call = beacon::Question { path_and_query, body, len_max, wait };
    if question.is_long() {
        let (question, scope) = (question.clone(), Arc::clone(scope));
        let read = move |answer: &mut dyn std::io::Read| {
            question.read(&scope, answer).map_err(|wrong| wrong.to_string())
        };
        return beacon.look_long(&call, read).await;
    }
    let read = |mut answer: &[u8]| question.read(scope, &mut answer).map_err(|wrong| wrong.to_string());
    beacon.look(&call, read).await
}

/// Makes a report of a log again from what beacon nodes say now, and compares.
///
/// - `log`: read up to the report, `told`.
/// - Returns where they differ first, `None` if they are the same to the byte.
/// - Errors: in words: a question that no node answers; answers that make no report.
pub async fn recount(nodes: &Nodes, log: &Recount, told: &Told) -> Result<Option<String>, String> {
    nodes.beacon.check_network().await;
    let state = log.state().ok_or("a log begins with a charter")?;
    let scope = Arc::new(Scope::of(state));
    let mut known = Known::default();
    for _ in 0..STEPS_MAX {
        let questions = frame::plan(state, told.frame, &known);
        if questions.is_empty() {
            break;
        }
        ask(nodes, questions, &scope, &mut known).await?;
    }
    let report = frame::fold(state, log.tally(), told.frame, &known).map_err(|error| error.to_string())?;
    Ok(difference(&told.body, &report_body(&report)))
}

/// Has an observation written. A refusal is the inner error; the outer one is the disk's.
async fn observe(shared: &Shared, kind: &'static str, body: String) -> Result<Result<(), String>, ApiError> {
    let written = shared.with(move |office| {
        let label = Label::new(kind).expect("kinds of sightings are labels");
        match office.observe(now(), label, body) {
            Ok(sealed) => {
                let entry = sealed.entry.seq;
                tracing::info!(kind, entry, events = sealed.entry.events.len(), "observed");
                Ok(Ok(()))
            }
            // Governance may have given the part to another key since the round began.
            Err(error @ (OfficeError::Refused(_) | OfficeError::NotTheCoordinator { .. })) => {
                Ok(Err(format!("{kind} is refused: {error}")))
            }
            Err(error) => Err(error.into()),
        }
    });
    written.await
}

impl Troubles {
    /// Tasks that are left alone in this round.
    fn resting(&self) -> BTreeMap<Task, String> {
        let now = Instant::now();
        let resting = self.0.iter().filter(|(_, trouble)| trouble.again > now);
        resting.map(|(task, trouble)| (*task, trouble.why.clone())).collect()
    }

    /// A task failed: it is left alone for a while, longer each time. What is new is told.
    fn have(&mut self, task: Task, why: &str, period: Duration) {
        let times = self.0.get(&task).map_or(0, |trouble| trouble.times);
        if self.0.get(&task).is_none_or(|trouble| trouble.why != why) {
            tracing::warn!(?task, why, "cannot be done now, and is tried again");
        }
        let rounds = 1_u32.checked_shl(times).unwrap_or(ROUNDS_ASIDE_MAX).min(ROUNDS_ASIDE_MAX);
        // Half a period less, so that a round which begins a moment early still counts.
        let again = Instant::now() + period * rounds - period / 2;
        self.0.insert(task, Trouble { why: why.to_owned(), times: times.saturating_add(1), again });
    }

    /// A round has ended: what was not set aside in it is well.
    fn well(&mut self, known: &Known) {
        self.0.retain(|task, _| {
            let still = known.set_aside.contains_key(task);
            if !still {
                tracing::info!(?task, "can be done again");
            }
            still
        });
    }
}

#[cfg(test)]
mod tests;
