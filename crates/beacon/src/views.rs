//! What to attest in a slot, as each of the nodes sees it; asked once a slot.
//!
//! Nodes of several makes may differ for a moment, and one may lie. Nobody here decides who is right: all distinct
//! answers are told, and the operators' votes break the tie.

use crate::client::{Beacon, Inner};
use crate::error::ApiError;
use crate::json::Data;
use crate::node::{Call, Node};
use futures::stream::{FuturesUnordered, Stream, StreamExt};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::Instant;
use types::{AttestationData, Slot};

/// Slots whose views are kept: the current one, and those that late callers still ask for around its turn.
const SLOTS_KEPT: usize = 4;

/// The views of the last slots that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Views(Mutex<BTreeMap<Slot, watch::Receiver<Seen>>>);

/// What the nodes said of a slot so far.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The good answers, each with its node's place when the question began.
    answers: Vec<(usize, AttestationData)>,
    /// Whether it is time to tell. Answers that come later are told to later callers.
    settled: bool,
    /// Why there is no answer, if there is none.
    told: Option<ApiError>,
}

impl Beacon {
    /// What to attest in a slot, in the view of every node that is not set aside: distinct answers, the best node's
    /// first.
    ///
    /// - All nodes are asked at once. With the first good answer the others are waited for only a short window
    ///   ([`crate::Limits::view_bps`]); one that failed lately is not waited for. Nodes that are set aside are asked if
    ///   nobody else answers well.
    /// - Each node is asked once a slot: callers share the answers, until a new head is announced on
    ///   [`Beacon::heads`] or [`Beacon::forget_views`] is called.
    /// - Errors: as [`Beacon::attestation_data`]; they are told to those who wait, and the next caller asks anew.
    pub async fn attestation_data_views(&self, slot: Slot) -> Result<Vec<AttestationData>, ApiError> {
        let mut seen = self.0.look_at(slot);
        let Ok(seen) = seen.wait_for(|seen| seen.settled).await else {
            // The runtime is shutting down, and the task that asks with it.
            return Err(ApiError::NoNode);
        };
        let mut answers = seen.answers.clone();
        answers.sort_by_key(|(place, _)| *place);
        let mut views: Vec<AttestationData> = Vec::with_capacity(answers.len());
        for (_, data) in answers {
            if !views.contains(&data) {
                views.push(data);
            }
        }
        if views.is_empty() { Err(seen.told.clone().unwrap_or(ApiError::NoNode)) } else { Ok(views) }
    }

    /// Makes the next caller of [`Beacon::attestation_data_views`] ask the nodes anew: a new head has come.
    pub fn forget_views(&self, slot: Slot) {
        self.0.views.slots().remove(&slot);
    }
}

impl Views {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<Slot, watch::Receiver<Seen>>> {
        // Plain values: a panic elsewhere leaves no half-written state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything: what was said before a head came is old.
    pub(crate) fn clear(&self) {
        self.slots().clear();
    }

    /// Forgets a slot, unless it was asked for anew meanwhile.
    fn forget(&self, slot: Slot, seen: &watch::Receiver<Seen>) {
        let mut slots = self.slots();
        if slots.get(&slot).is_some_and(|kept| kept.same_channel(seen)) {
            slots.remove(&slot);
        }
    }
}

impl Inner {
    /// The views of a slot, asked for now unless they have been.
    fn look_at(self: &Arc<Self>, slot: Slot) -> watch::Receiver<Seen> {
        let mut slots = self.views.slots();
        if let Some(seen) = slots.get(&slot) {
            return seen.clone();
        }
        while slots.len() >= SLOTS_KEPT {
            slots.pop_first();
        }
        let (sender, seen) = watch::channel(Seen::default());
        slots.insert(slot, seen.clone());
        // A task of its own, bounded by the time-out: callers that stop waiting take nothing from the others.
        tokio::spawn(collect(Arc::clone(self), slot, sender));
        seen
    }

    /// Asks these nodes at once. Returns their answers' nodes when all have answered; `seen` is settled before, as
    /// soon as the window after the first good answer is over.
    async fn collect_from<'a>(
        &self,
        nodes: &'a [Candidate],
        slot: Slot,
        seen: &watch::Sender<Seen>,
    ) -> Vec<(&'a Arc<Node>, AttestationData)> {
        let call = self.attestation_call(slot);
        let mut answers = pin!(ask_places(nodes, &call));
        let mut awaited = nodes.iter().filter(|candidate| candidate.awaited).count();
        let mut good = Vec::new();
        // Of no moment before the first good answer.
        let mut end = Instant::now();
        loop {
            tokio::select! {
                answer = answers.next() => {
                    let Some((candidate, answer)) = answer else { return good };
                    let node = &candidate.node;
                    awaited -= usize::from(candidate.awaited);
                    let answer = answer.and_then(|Data { data }| self.check_attestation_data(node, data, slot));
                    match &answer {
                        Ok(data) => {
                            if good.is_empty() {
                                end = Instant::now() + self.limits.view(&self.spec);
                            }
                            self.note_answer(node);
                            good.push((node, *data));
                        }
                        Err(error) => {
                            tracing::debug!(node = node.label(), path = call.path(), %error, "no view");
                            self.note_error(node, error);
                        }
                    }
                    seen.send_modify(|seen| seen.hear(candidate.place, answer, awaited));
                }
                () = tokio::time::sleep_until(end), if !good.is_empty() && !seen.borrow().settled => {
                    seen.send_modify(|seen| seen.settled = true);
                }
            }
        }
    }
}

impl Seen {
    /// A node has answered; `awaited`: how many are still waited for.
    fn hear(&mut self, place: usize, answer: Result<AttestationData, ApiError>, awaited: usize) {
        match answer {
            Ok(data) => self.answers.push((place, data)),
            Err(error) => self.told = Some(self.told.take().unwrap_or(ApiError::NoNode).or(error)),
        }
        self.settled |= awaited == 0 && !self.answers.is_empty();
    }
}

/// A node that is asked for its view.
struct Candidate {
    /// Its place among the nodes.
    place: usize,
    node: Arc<Node>,
    aside: bool,
    /// Whether others wait for it: it has not failed lately.
    awaited: bool,
}

/// Asks each for its view.
fn ask_places<'a, 'c>(
    nodes: &'a [Candidate],
    call: &'c Call,
) -> impl Stream<Item = (&'a Candidate, Result<Data<AttestationData>, ApiError>)> + Send + use<'a, 'c> {
    let ask = |candidate: &'a Candidate| async move {
        let node = &candidate.node;
        let answer = node.call(call).await.and_then(|reply| node.success(reply)?.json(node));
        (candidate, answer)
    };
    nodes.iter().map(ask).collect::<FuturesUnordered<_>>()
}

/// Asks the nodes for their views of a slot, and tells `seen`.
async fn collect(inner: Arc<Inner>, slot: Slot, seen: watch::Sender<Seen>) {
    let now = inner.now();
    let candidate = |(place, node): (usize, &Arc<Node>)| {
        let health = node.health();
        let (aside, awaited) = (health.aside(now).is_some(), !health.failed_lately(now));
        Candidate { place, node: Arc::clone(node), aside, awaited }
    };
    let candidates = inner.in_order().into_iter().enumerate().map(candidate);
    let (aside, fit): (Vec<_>, Vec<_>) = candidates.partition(|candidate| candidate.aside);
    let mut good = inner.collect_from(&fit, slot, &seen).await;
    if good.is_empty() {
        good = inner.collect_from(&aside, slot, &seen).await;
    }
    if good.is_empty() {
        inner.views.forget(slot, &seen.subscribe());
    }
    count_disagreements(&good);
    seen.send_modify(|seen| seen.settled = true);
}

/// Notes which nodes told a head that no more of them told than told another.
fn count_disagreements(answers: &[(&Arc<Node>, AttestationData)]) {
    let mut heads = BTreeMap::new();
    for (_, data) in answers {
        *heads.entry(data.beacon_block_root).or_insert(0) += 1;
    }
    for (node, data) in answers {
        let (head, told) = (data.beacon_block_root, heads[&data.beacon_block_root]);
        if heads.iter().any(|(other, times)| *other != head && *times >= told) {
            tracing::debug!(node = node.label(), slot = data.slot.0, %head, "another head than other nodes'");
            node.health().disagreed();
        }
    }
}
