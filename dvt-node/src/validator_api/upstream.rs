//! What the server needs of the operator's beacon nodes.

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use futures::stream::BoxStream;
use thiserror::Error;
use types::duty::AttesterDuty;
use types::{Epoch, PublicKey, ValidatorIndex};

/// Why the beacon nodes gave no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{status}: {message}")]
pub struct UpstreamError {
    /// The status to pass on: the beacon node's own, else 503 (none reached), 504 (too slow) or 502 (nonsense).
    pub status: u16,
    /// What it said.
    pub message: String,
}

/// A validator as the chain's head state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorEntry {
    /// Its index.
    pub index: ValidatorIndex,
    /// Its key: a group key.
    pub pubkey: PublicKey,
}

/// A request to pass on.
#[derive(Clone, Debug)]
pub struct ForwardRequest {
    /// GET, or POST with a JSON body.
    pub method: Method,
    /// Path with its query, from `/eth/` on.
    pub path_and_query: String,
    /// `accept`, `content-type` and `eth-consensus-version`, where they matter.
    pub headers: HeaderMap,
    /// The body; empty for GET.
    pub body: Bytes,
}

/// A beacon node's answer, whatever its status.
#[derive(Clone, Debug)]
pub struct ForwardResponse {
    /// Its status.
    pub status: u16,
    /// Its headers; only content type and the API's own are passed on.
    pub headers: HeaderMap,
    /// Its body, bounded by the client of the beacon nodes.
    pub body: Bytes,
}

/// The operator's beacon nodes: `beacon::Beacon` in the daemon.
pub trait Upstream: Send + Sync + 'static {
    /// Those of `keys` that the head state knows.
    fn validators(
        &self,
        keys: &[PublicKey],
    ) -> impl Future<Output = Result<Vec<ValidatorEntry>, UpstreamError>> + Send;

    /// Attestations of these validators in an epoch.
    fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> impl Future<Output = Result<Vec<AttesterDuty>, UpstreamError>> + Send;

    /// Passes a request on and gives the answer whole.
    fn forward(
        &self,
        request: ForwardRequest,
    ) -> impl Future<Output = Result<ForwardResponse, UpstreamError>> + Send;

    /// Opens an event stream; bytes come as they come.
    fn forward_stream(
        &self,
        path_and_query: &str,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes, UpstreamError>>, UpstreamError>> + Send;
}
