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
