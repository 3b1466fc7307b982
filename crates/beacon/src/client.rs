//! All beacon nodes of an operator, and the order in which they are asked.

use crate::error::SetupError;
use crate::limits::{BODY_LEN_MAX, LIST_LEN_MAX, Limits, NODES_MAX};
use crate::node::{Call, Node};
use crate::views::Views;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, redirect};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;
use types::{ChainSpec, Millis};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// All beacon nodes of an operator. Clones share everything.
///
/// A question goes to the best node: one that is not set aside for its failures, that follows the head, that failed
/// less, that is faster; of equals the first in the operator's order. When it fails the next is asked, and when it is
/// slow the next is asked too ([`Limits::hedge_bps`]).
/// A node that fails is set aside, longer each time, and asked in its turn when all others fail too; so is one that
/// lags, is optimistic, or has lost its execution client. What is published goes to it all the same, and
/// [`Beacon::probe`] asks it, so that it is found well again.
#[derive(Clone)]
pub struct Beacon(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) limits: Limits,
    /// What to attest, as the nodes see it.
    pub(crate) views: Views,
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
        Ok(Self(Arc::new(Inner { nodes, spec, limits, views: Views::default(), start: Instant::now() })))
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
            hedge: self.limits.hedge(&self.spec, self.limits.hedge_bps),
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

    /// The call as one that costs a node real work: another is not asked too before its time.
    pub(crate) fn costly(&self, call: Call) -> Call {
        Call { hedge: self.limits.hedge(&self.spec, self.limits.hedge_long_bps), ..call }
    }

    /// The call as one for a list with an entry for each of our validators.
    pub(crate) fn long(&self, call: Call) -> Call {
        Call { len_max: LIST_LEN_MAX, ..self.costly(self.within(self.limits.list_bps, call)) }
    }
}
