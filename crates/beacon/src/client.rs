//! All beacon nodes of an operator, and the order in which they are asked.

use crate::error::{ApiError, SetupError};
use crate::limits::{BODY_LEN_MAX, Limits, NODES_MAX};
use crate::node::{Call, Node, Reply};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, Stream};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, redirect};
use serde::Serialize;
use std::sync::Arc;
use std::{fmt, future};
use tokio::time::Instant;
use types::{ChainSpec, Millis};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// All beacon nodes of an operator. Clones share everything.
///
/// A question goes to one node after the other until one answers well, best first: those that are not set aside for
/// their failures, that follow the head, that failed less, that are faster; of equals in the operator's order.
/// A node that fails is set aside, longer each time, and asked in its turn when all others fail too; what is
/// published goes to it all the same, and [`Beacon::syncing`] asks it, so that it is found well again.
#[derive(Clone)]
pub struct Beacon(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) limits: Limits,
    /// Health counts time from here.
    start: Instant,
}

impl fmt::Debug for Beacon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0.nodes).finish()
    }
}

/// Makes ring the TLS provider of the process, unless it has one.
pub(crate) fn install_tls() {
    // An error says that there is one already: any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Beacon {
    /// The beacon nodes at these addresses, in the operator's order. Speaks to none yet.
    ///
    /// - `urls`: `http` or `https`; user, password, path and query are kept and never shown.
    /// - Neither redirects nor proxies of the environment are followed: requests go where the operator says.
    /// - Errors: `NoNodes`, `TooMany`, `Url`; `Client` when `https` is asked for and no root certificates are there.
    pub fn new<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
        spec: Arc<ChainSpec>,
        limits: Limits,
    ) -> Result<Self, SetupError> {
        let urls: Vec<U> = urls.into_iter().collect();
        if urls.is_empty() {
            return Err(SetupError::NoNodes);
        }
        if urls.len() > NODES_MAX {
            return Err(SetupError::TooMany { have: urls.len(), max: NODES_MAX });
        }
        let with_tls = urls.iter().any(|url| Node::is_https(url.as_ref()));
        let http = http_client(&spec, &limits, with_tls)?;
        let node = |(at, url): (usize, &U)| Node::new(at + 1, url.as_ref(), http.clone()).map(Arc::new);
        let nodes = urls.iter().enumerate().map(node).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner { nodes, spec, limits, start: Instant::now() })))
    }

    /// Scheme, host and port of each node, in the operator's order.
    pub fn labels(&self) -> Vec<&str> {
        self.0.nodes.iter().map(|node| node.label()).collect()
    }
}

fn http_client(spec: &ChainSpec, limits: &Limits, with_tls: bool) -> Result<Client, SetupError> {
    install_tls();
    let mut builder = Client::builder()
        .user_agent(concat!("symbolon/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.wait(spec, limits.connect_bps))
        .redirect(redirect::Policy::none())
        .no_proxy();
    if !with_tls {
        // A container without root certificates is fine for plain http.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| SetupError::Client(error.without_url().to_string()))
}

impl Inner {
    pub(crate) fn now(&self) -> Millis {
        Millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// A `GET`, with the limits of a small question.
    pub(crate) fn get(&self, path_and_query: impl Into<String>) -> Call {
        Call {
            method: Method::GET,
            path_and_query: path_and_query.into(),
            headers: HeaderMap::from_iter([(ACCEPT, JSON)]),
            body: None,
            wait: self.limits.wait(&self.spec, self.limits.query_bps),
            len_max: BODY_LEN_MAX,
        }
    }

    /// A `POST` of JSON, with the limits of a small question.
    pub(crate) fn post(&self, path_and_query: impl Into<String>, body: &impl Serialize) -> Call {
        let body = serde_json::to_vec(body).expect("our shapes have string keys and do not fail");
        let headers = HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, JSON)]);
        Call { method: Method::POST, headers, body: Some(Bytes::from(body)), ..self.get(path_and_query) }
    }

    /// The call with a time-out of so many basis points of the slot.
    pub(crate) fn within(&self, bps: u64, call: Call) -> Call {
        Call { wait: self.limits.wait(&self.spec, bps), ..call }
    }

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
}

impl Call {
    /// The path without its query: what may be logged of any request.
    pub(crate) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }
}
