//! Requests of the validator client that are passed on as they are.

use crate::client::{Beacon, Inner};
use crate::error::ApiError;
use crate::heads::EVENT_STREAM;
use crate::limits::FORWARD_LEN_MAX;
use crate::node::{Call, Node, Reply};
use bytes::Bytes;
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A request to pass on.
#[derive(Clone, Debug)]
pub struct ForwardRequest {
    /// `GET`, as a rule.
    pub method: Method,
    /// From `/eth/` on.
    pub path_and_query: String,
    /// Of these, [`passes`] says which go on.
    pub headers: HeaderMap,
    /// Empty for none.
    pub body: Bytes,
}

/// The answer, as the node gave it.
#[derive(Clone, Debug)]
pub struct ForwardResponse {
    /// HTTP status, of any kind.
    pub status: u16,
    /// Those that [`passes`] lets through.
    pub headers: HeaderMap,
    /// The body. If the status is no success it is cut to [`crate::limits::REFUSAL_LEN_MAX`], and the secrets of the
    /// node's address are blotted out: a node, or what stands before it, may quote what it was asked.
    pub body: Bytes,
}

/// Bytes of an answer as they come, unbuffered.
pub struct ByteStream(BoxStream<'static, Result<Bytes, ApiError>>);

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByteStream")
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

/// Whether a header goes through, in either direction: those that say what a body is, and the API's own.
///
/// Everything else belongs to one connection (`Host`, `Connection`, `Content-Length`), or to one party
/// (`Authorization`, `Cookie`).
pub fn passes(name: &HeaderName) -> bool {
    name == ACCEPT || name == CONTENT_TYPE || name.as_str().starts_with("eth-")
}

fn passing(headers: &HeaderMap) -> HeaderMap {
    let headers = headers.iter().filter(|(name, _)| passes(name));
    headers.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether another node may know better: the node is unwell, or does not know the thing.
fn ask_another(status: u16) -> bool {
    matches!(status, 404 | 429 | 500..=599)
}

impl Beacon {
    /// Passes a request on to one node after the other, until one gives an answer that others would not better.
    ///
    /// - Returns the first answer but 404, 429 and 5xx; if there is none, the best node's answer.
    /// - Errors: `Request` for paths outside the beacon API, `TooLong` for more than [`FORWARD_LEN_MAX`] bytes; else
    ///   only if no node answers at all.
    pub async fn forward(&self, request: ForwardRequest) -> Result<ForwardResponse, ApiError> {
        let call = self.0.to_forward(request);
        let mut told = ApiError::NoNode;
        let mut fallback = None;
        for node in self.0.in_order() {
            match node.call(&call).await {
                Ok(reply) if ask_another(reply.status) => {
                    if let Err(error) = node.success(reply.clone()) {
                        self.0.note_error(node, &error);
                    }
                    fallback.get_or_insert_with(|| shown(node, reply));
                }
                Ok(reply) => {
                    self.0.note_heard(node);
                    return Ok(shown(node, reply));
                }
                Err(error) => {
                    self.0.note_error(node, &error);
                    told = told.or(error);
                }
            }
        }
        fallback.ok_or(told)
    }

    /// Opens a stream at the best node that gives one, usually `/eth/v1/events?topics=...`; its bytes come unbuffered.
    ///
    /// - The stream ends when the node ends it, breaks with an error when the connection does, and has no limit in
    ///   time or length: who listens may stop by dropping it. It is not opened anew at another node.
    /// - Errors: as for questions, before the first byte.
    pub async fn forward_stream(&self, path_and_query: &str) -> Result<ByteStream, ApiError> {
        let call = self.0.get(path_and_query);
        let call = Call { headers: HeaderMap::from_iter([(ACCEPT, EVENT_STREAM)]), ..call };
        let mut told = ApiError::NoNode;
        for node in self.0.in_order() {
            match node.open(&call).await {
                Ok(response) => return Ok(ByteStream(stream_of(Arc::clone(node), response))),
                Err(error) => {
                    self.0.note_error(node, &error);
                    told = told.or(error);
                }
            }
        }
        Err(told)
    }
}

impl Inner {
    fn to_forward(&self, request: ForwardRequest) -> Call {
        let ForwardRequest { method, path_and_query, headers, body } = request;
        Call {
            method,
            path_and_query,
            headers: passing(&headers),
            body: (!body.is_empty()).then_some(body),
            wait: self.limits.wait(&self.spec, self.limits.forward_bps),
            hedge: Duration::MAX,
            len_max: FORWARD_LEN_MAX,
        }
    }
}

/// The chunks of an open answer; the first error ends it.
fn stream_of(node: Arc<Node>, response: reqwest::Response) -> BoxStream<'static, Result<Bytes, ApiError>> {
    let chunks = stream::unfold(Some(response), move |response| {
        let node = Arc::clone(&node);
        async move {
            let mut response = response?;
            match node.chunk(&mut response).await {
                Ok(chunk) => Some((Ok(chunk?), Some(response))),
                Err(error) => Some((Err(error), None)),
            }
        }
    });
    chunks.boxed()
}

/// The answer as it may be shown.
fn shown(node: &Node, reply: Reply) -> ForwardResponse {
    let Reply { status, headers, body } = reply;
    let body = if (200..300).contains(&status) { body } else { redacted(node, body) };
    ForwardResponse { status, headers: passing(&headers), body }
}

fn redacted(node: &Node, body: Bytes) -> Bytes {
    let text = String::from_utf8_lossy(&body);
    match node.redact(&text) {
        Cow::Borrowed(_) => body,
        Cow::Owned(redacted) => redacted.into(),
    }
}
