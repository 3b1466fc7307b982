//! Translators between the beacon API of 2023 and today's.
//!
//! Lodestar 1.5.1 speaks paths that today's API has dropped. Up to Capella the messages behind them are the same, so a
//! reverse proxy that changes paths, queries, headers and envelopes lets it stand on either side of software that knows
//! only today's API:
//!
//! ```text
//! old validator client -> Shim::for_old_client -> software under test -> Shim::for_old_node -> old beacon node
//! ```
//!
//! What is signed, or is to be signed, passes unchanged: blocks, attestations and proofs are moved from one envelope to
//! another and never edited. The rules are tables: [`old_client`] and [`old_node`].

pub mod message;
pub mod old_client;
pub mod old_node;

use super::http_client;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use message::{Answered, Asked, Dialect, Memory};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle};

/// Largest message in either direction. Capella blocks of a devnet are some kilobytes, its states below 1 MB.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The only route whose answer never ends.
const EVENTS: &str = "/eth/v1/events";

/// Why there is no shim.
#[derive(Debug, Error)]
pub enum ShimError {
    /// No port could be bound.
    #[error("cannot listen on 127.0.0.1: {0}")]
    Listen(#[from] io::Error),
    /// No HTTP client to ask upstream with.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A running translator; ends when dropped.
#[derive(Debug)]
pub struct Shim {
    address: SocketAddr,
    server: JoinHandle<io::Result<()>>,
}

/// What the requests of one translator share.
struct Bridge {
    upstream: String,
    client: reqwest::Client,
    dialect: &'static Dialect,
    memory: Mutex<Memory>,
}

impl Shim {
    /// Starts a translator for one old validator client; `upstream` speaks today's API.
    ///
    /// - One per client: it remembers what that client was told.
    /// - Errors: see [`ShimError`].
    pub async fn for_old_client(upstream: &str) -> Result<Self, ShimError> {
        Self::start(upstream, &old_client::DIALECT).await
    }

    /// Starts a translator in front of an old beacon node at `upstream`; clients speak today's API.
    ///
    /// - Errors: see [`ShimError`].
    pub async fn for_old_node(upstream: &str) -> Result<Self, ShimError> {
        Self::start(upstream, &old_node::DIALECT).await
    }

    async fn start(upstream: &str, dialect: &'static Dialect) -> Result<Self, ShimError> {
        let upstream = upstream.trim_end_matches('/').to_owned();
        let bridge = Bridge { upstream, client: http_client()?, dialect, memory: Mutex::default() };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(handle).with_state(Arc::new(bridge));
        Ok(Self { address, server: tokio::spawn(axum::serve(listener, router).into_future()) })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(State(bridge): State<Arc<Bridge>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return respond(Answered::error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large or was cut short",
        ));
    };
    let asked = Asked::new(parts.method, &parts.uri, &parts.headers, body);
    let rule = bridge.dialect.rule(&asked);
    let question = bridge.with_memory(|memory| rule.ask(bridge.dialect, &asked, memory));
    let question = match question {
        Ok(question) => question,
        Err(refusal) => return respond(Answered::error(refusal.status, &refusal.message)),
    };
    if question.path == EVENTS {
        return respond_events(bridge.clone().events(question));
    }
    let answered = bridge.fetch(&question).await;
    respond(bridge.with_memory(|memory| rule.answer(bridge.dialect, &asked, answered, memory)))
}

impl Bridge {
    fn with_memory<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn request(&self, question: &Asked) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.upstream, question.target());
        let request = self.client.request(question.method.clone(), url).headers(question.headers.clone());
        if question.body.is_empty() { request } else { request.body(question.body.clone()) }
    }

    /// Asks upstream and reads the whole answer.
    async fn fetch(&self, question: &Asked) -> Answered {
        match self.try_fetch(question).await {
            Ok(answered) => answered,
            Err(error) => {
                tracing::debug!(path = question.path, %error, "upstream does not answer");
                Answered::error(StatusCode::BAD_GATEWAY, "the other side of the shim does not answer")
            }
        }
    }

    async fn try_fetch(&self, question: &Asked) -> reqwest::Result<Answered> {
        let reply = self.request(question).send().await?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        Ok(Answered::new(status, &headers, reply.bytes().await?))
    }

    /// Events as they come. The old node sends even the head of its reply only with the first event, so ours does not
    /// wait for it; a subscription to nothing that can happen stays silent.
    fn events(self: Arc<Self>, question: Asked) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let upstream = async move {
            if question.query.is_empty() {
                return stream::pending().boxed();
            }
            match self.request(&question).send().await.and_then(reqwest::Response::error_for_status) {
                Ok(reply) => reply.bytes_stream().map(|part| part.map_err(io::Error::other)).boxed(),
                Err(error) => stream::iter([Err(io::Error::other(error))]).boxed(),
            }
        };
        let opening = stream::iter([Ok(Bytes::from_static(b":\n\n"))]);
        opening.chain(flatten(upstream))
    }
}

fn flatten<S: Stream + Send>(later: impl Future<Output = S> + Send) -> impl Stream<Item = S::Item> + Send {
    stream::once(later).flatten()
}

fn respond(answered: Answered) -> Response {
    (answered.status, answered.headers, answered.body).into_response()
}

fn respond_events(events: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response {
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Body::from_stream(events)).into_response()
}

#[cfg(test)]
mod tests;
