//! How a question is asked: one node after the other, or all at once, and what an answer says of its node.

use crate::client::Inner;
use crate::error::ApiError;
use crate::json::Data;
use crate::node::{Call, Node, Reply};
use futures::stream::{FuturesUnordered, Stream};
use serde::de::DeserializeOwned;
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

    /// Asks one node after the other until one answers with what `read` takes.
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
        let mut told = ApiError::NoNode;
        for node in self.in_order() {
            let answer = match node.call(&call).await.and_then(|reply| node.success(reply)) {
                Ok(reply) => read(Arc::clone(node), reply).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => {
                    self.note_answer(node);
                    return Ok(answer);
                }
                Err(error) => {
                    tracing::debug!(node = node.label(), path = call.path(), %error, "no good answer");
                    self.note_error(node, &error);
                    told = told.or(error);
                }
            }
        }
        Err(told)
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

impl Call {
    /// The path without its query: what may be logged of any request.
    pub(crate) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }
}
