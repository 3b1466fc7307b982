//! How a question is asked: the best node and then the next, or all at once, and what an answer says of its node.

use crate::client::Inner;
use crate::error::ApiError;
use crate::json::Data;
use crate::node::{Call, Node, Reply};
use futures::StreamExt;
use futures::stream::{FuturesUnordered, Stream};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::future;
use std::sync::Arc;

/// The rule that an answer breaks, if it breaks one.
pub(crate) type Checked = Result<(), String>;

/// `Err` with the rule unless it holds.
pub(crate) fn rule(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Inner {
    /// The nodes of this network, best first.
    pub(crate) fn in_order(&self) -> Vec<&Arc<Node>> {
        let now = self.now();
        let ranked = self.nodes.iter().filter_map(|node| Some((node.health().rank(now)?, node)));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, node)| node).collect()
    }

    /// The nodes to ask, best first.
    fn line_up(&self) -> Line<'_> {
        let now = self.now();
        let aside = |node: &Arc<Node>| node.health().aside(now).is_some();
        let nodes: VecDeque<_> = self.in_order().into_iter().map(|node| (aside(node), node)).collect();
        let first_is_aside = nodes.front().is_some_and(|(aside, _)| *aside);
        Line { nodes, first_is_aside }
    }

    /// Asks the best node; the next one when it fails, and also when it is silent for as long as the call's `hedge`.
    /// The first answer that `read` takes counts.
    ///
    /// - Errors: `NoNode`; else the most telling of the nodes' errors: a refusal before a wrong answer before silence.
    pub(crate) async fn ask<T, F>(
        &self,
        call: Call,
        read: impl Fn(Arc<Node>, Reply) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let (call, read) = (&call, &read);
        let one = |node: Arc<Node>| async move {
            let reply = node.call(call).await.and_then(|reply| node.success(reply))?;
            read(node, reply).await
        };
        self.ask_each(call, one).await
    }

    /// [`Inner::ask`] for what takes more than one request of a node. `call`: names the path, and the hedge.
    pub(crate) async fn ask_each<T, F>(
        &self,
        call: &Call,
        one: impl Fn(Arc<Node>) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let mut line = self.line_up();
        let mut next = line.next();
        let mut told = ApiError::NoNode;
        let mut tries = FuturesUnordered::new();
        // Those asked and silent, first asked first.
        let mut silent: Vec<&Arc<Node>> = Vec::new();
        loop {
            if let Some(node) = next.take() {
                silent.push(node);
                let asked = one(Arc::clone(node));
                tries.push(async move { (node, asked.await) });
            }
            tokio::select! {
                answer = tries.next() => {
                    // Nobody is asked any more, and nobody answered well.
                    let Some((node, answer)) = answer else { return Err(told) };
                    match answer {
                        Ok(answer) => {
                            self.note_answer(node);
                            self.note_slow(silent.into_iter().take_while(|asked| !Arc::ptr_eq(asked, node)));
                            return Ok(answer);
                        }
                        Err(error) => {
                            tracing::debug!(node = node.label(), path = call.path(), %error, "no good answer");
                            self.note_error(node, &error);
                            told = told.or(error);
                            silent.retain(|asked| !Arc::ptr_eq(asked, node));
                            next = line.next();
                        }
                    }
                }
                () = tokio::time::sleep(call.hedge), if line.may_hedge() => next = line.next(),
            }
        }
    }

    /// [`Inner::ask`] where reading takes no time worth the name.
    pub(crate) async fn ask_quick<T>(
        &self,
        call: Call,
        read: impl Fn(&Node, Reply) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.ask(call, |node, reply| future::ready(read(&node, reply))).await
    }

    /// Asks all nodes of this network at once; answers come as they are given, also those that say no.
    pub(crate) fn ask_all<'a>(
        &'a self,
        nodes: impl IntoIterator<Item = &'a Arc<Node>>,
        call: &'a Call,
    ) -> impl Stream<Item = (&'a Arc<Node>, Result<Reply, ApiError>)> + Send {
        let calls = nodes.into_iter().map(|node| async move { (node, node.call(call).await) });
        calls.collect::<FuturesUnordered<_>>()
    }

    /// The node answered a question well.
    pub(crate) fn note_answer(&self, node: &Node) {
        if node.health().answered() {
            tracing::info!(node = node.label(), "the beacon node is well again");
        }
    }

    /// The node answered a probe, or took or refused what was published.
    pub(crate) fn note_heard(&self, node: &Node) {
        if node.health().heard() {
            tracing::info!(node = node.label(), "the beacon node is back");
        }
    }

    /// The nodes had not answered when one that was asked after them had.
    fn note_slow<'a>(&self, nodes: impl Iterator<Item = &'a Arc<Node>>) {
        for node in nodes {
            tracing::debug!(node = node.label(), "slower than a node that was asked later");
            node.health().slow(self.now(), &self.limits);
        }
    }

    /// The node gave an error; it counts if it speaks of the node.
    pub(crate) fn note_error(&self, node: &Node, error: &ApiError) {
        if error.blames_node() && node.health().failed(self.now(), &self.limits) {
            tracing::warn!(node = node.label(), %error, "the beacon node fails and is set aside for a while");
        }
    }

    /// Asks for `{"data": T}` and checks it.
    pub(crate) async fn ask_data<T: DeserializeOwned>(
        &self,
        call: Call,
        check: impl Fn(&T) -> Checked,
    ) -> Result<T, ApiError> {
        let read = |node: &Node, reply: Reply| {
            let Data { data } = reply.json(node)?;
            check(&data).map_err(|broken| node.wrong(&broken))?;
            Ok(data)
        };
        self.ask_quick(call, read).await
    }

    pub(crate) fn probe(&self, path: impl Into<String>) -> Call {
        self.within(self.limits.probe_bps, self.get(path))
    }
}

/// Nodes that are still to be asked.
struct Line<'a> {
    /// Whether it is set aside, and the node; best first.
    nodes: VecDeque<(bool, &'a Arc<Node>)>,
    first_is_aside: bool,
}

impl<'a> Line<'a> {
    fn next(&mut self) -> Option<&'a Arc<Node>> {
        self.nodes.pop_front().map(|(_, node)| node)
    }

    /// Whether the next node may be asked though nobody failed: one that is set aside would answer fast and badly.
    fn may_hedge(&self) -> bool {
        self.nodes.front().is_some_and(|(aside, _)| !aside || self.first_is_aside)
    }
}

impl Call {
    /// The path without its query: what may be logged of any request.
    pub(crate) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Beacon;
    use crate::json::SyncStatus;
    use crate::limits::Limits;
    use std::sync::Mutex;
    use std::time::Duration;
    use tokio::time::Instant;
    use types::{ChainSpec, Slot};

    const HEDGE_MS: u64 = 360;

    /// How a node behaves: after how long it answers, and whether well.
    type Script = (u64, bool);

    /// Who was asked, and when.
    type Asked = Vec<(usize, u64)>;

    fn beacon(nodes: usize) -> Beacon {
        let urls: Vec<String> = (1..=nodes).map(|port| format!("http://127.0.0.1:{port}")).collect();
        let spec = Arc::new(ChainSpec::builtin("hoodi").unwrap());
        Beacon::new(urls, spec, Limits::default()).unwrap()
    }

    /// Asks nodes that behave as their scripts say: who answered, after how long, and who was asked when.
    async fn ask(beacon: &Beacon, scripts: &[Script]) -> (Result<usize, ApiError>, u64, Asked) {
        let inner = &beacon.0;
        let start = Instant::now();
        let elapsed_ms = move || u64::try_from(start.elapsed().as_millis()).unwrap();
        let asked = Mutex::new(Vec::new());
        let place = |node: &Node| inner.nodes.iter().position(|other| other.label() == node.label()).unwrap();
        let one = |node: Arc<Node>| {
            let place = place(&node);
            let (after_ms, well) = scripts[place];
            asked.lock().unwrap().push((place, elapsed_ms()));
            async move {
                // The clock is paused: this is when, not how long anybody waits.
                tokio::time::sleep_until(Instant::now() + Duration::from_millis(after_ms)).await;
                if well { Ok(place) } else { Err(ApiError::Status { code: 500, message: place.to_string() }) }
            }
        };
        let call = inner.get("/eth/v1/x");
        assert_eq!(call.hedge, Duration::from_millis(HEDGE_MS));
        let answer = inner.ask_each(&call, one).await;
        let asked = asked.lock().unwrap().clone();
        (answer, elapsed_ms(), asked)
    }

    fn set_optimistic(beacon: &Beacon, place: usize) {
        let (head_slot, sync_distance) = (Slot(1), 0);
        let status = SyncStatus {
            head_slot,
            sync_distance,
            is_syncing: false,
            is_optimistic: true,
            el_offline: false,
        };
        beacon.0.nodes[place].health().probed(1, &status, 0, 0, &beacon.0.limits);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_node_is_asked_too_when_the_best_is_silent() {
        let beacon = beacon(3);
        let hangs = (60_000, true);
        let (answer, after_ms, asked) = ask(&beacon, &[hangs, (10, true), (10, true)]).await;
        assert_eq!((answer, after_ms), (Ok(1), HEDGE_MS + 10));
        assert_eq!(asked, [(0, 0), (1, HEDGE_MS)]);
        let (answer, after_ms, asked) = ask(&beacon, &[hangs, (10, true), (10, true)]).await;
        assert_eq!((answer, after_ms), (Ok(1), 10), "the slow node stands behind now");
        assert_eq!(asked, [(1, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_good_answer_counts_whoever_was_asked_first() {
        let beacon = beacon(2);
        let (answer, after_ms, asked) = ask(&beacon, &[(400, true), (100, true)]).await;
        assert_eq!((answer, after_ms), (Ok(0), 400));
        assert_eq!(asked, [(0, 0), (1, HEDGE_MS)]);
        let (_, _, asked) = ask(&beacon, &[(10, true), (10, true)]).await;
        assert_eq!(asked, [(0, 0)], "it is no slow node");
    }

    #[tokio::test(start_paused = true)]
    async fn a_well_node_is_asked_alone() {
        let (answer, _, asked) = ask(&beacon(2), &[(HEDGE_MS - 1, true), (1, true)]).await;
        assert_eq!((answer, asked), (Ok(0), vec![(0, 0)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_answer_moves_on_at_once_though_others_are_silent() {
        let (answer, after_ms, asked) = ask(&beacon(3), &[(60_000, true), (5, false), (5, true)]).await;
        assert_eq!((answer, after_ms), (Ok(2), HEDGE_MS + 10));
        assert_eq!(asked, [(0, 0), (1, HEDGE_MS), (2, HEDGE_MS + 5)]);
        let (answer, _, asked) = ask(&beacon(3), &[(1, false), (2, false), (900, false)]).await;
        assert_eq!(answer, Err(ApiError::Status { code: 500, message: "0".to_owned() }));
        assert_eq!(asked, [(0, 0), (1, 1), (2, 3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_set_aside_is_asked_only_when_the_others_fail() {
        let beacon = beacon(2);
        set_optimistic(&beacon, 0);
        let (answer, _, asked) = ask(&beacon, &[(1, true), (5_000, true)]).await;
        assert_eq!((answer, asked), (Ok(1), vec![(1, 0)]), "however slow the well one is");
        let (answer, _, asked) = ask(&beacon, &[(1, true), (5, false)]).await;
        assert_eq!((answer, asked), (Ok(0), vec![(1, 0), (0, 5)]));
    }

    #[tokio::test(start_paused = true)]
    async fn if_all_are_set_aside_the_best_is_asked_and_hedged_as_ever() {
        let beacon = beacon(2);
        set_optimistic(&beacon, 0);
        set_optimistic(&beacon, 1);
        let (answer, _, asked) = ask(&beacon, &[(60_000, true), (1, true)]).await;
        assert_eq!((answer, asked), (Ok(1), vec![(0, 0), (1, HEDGE_MS)]));
    }

    #[tokio::test(start_paused = true)]
    async fn costly_questions_wait_longer_before_a_second_node_works_too() {
        let beacon = beacon(1);
        let inner = &beacon.0;
        let long = Duration::from_millis(1_500);
        assert_eq!(inner.costly(inner.get("/eth/v1/x")).hedge, long);
        assert_eq!(inner.long(inner.get("/eth/v1/x")).hedge, long);
    }
}
