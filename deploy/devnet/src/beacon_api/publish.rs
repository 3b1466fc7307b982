//! Signed things come in: blocks and attestations.

use super::node::BeaconNode;
use super::reply::{Refusal, Reply, read, taken};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::Value;
use sim::chain::Rejection;
use std::sync::Arc;
use types::Epoch;
use types::attestation::SingleAttestation;
use types::block::{BlockShape, SignedBlockContents};

/// Header that names the fork of a body.
const VERSION_HEADER: &str = "eth-consensus-version";

/// Most attestations of one request: more than any devnet has validators.
const ATTESTATIONS_MAX: usize = 16 << 10;

/// `POST /eth/v2/beacon/blocks`.
pub(super) async fn block(State(node): State<Arc<BeaconNode>>, headers: HeaderMap, body: Bytes) -> Reply {
    check_fork(&node, &headers)?;
    let json: Value = read(&headers, &body)?;
    let spec = node.spec();
    let shape = BlockShape::full(spec.preset, spec.fork_at(Epoch(0)).fork);
    let contents = SignedBlockContents::from_json(shape, &json).map_err(Refusal::bad)?;
    match on_blocking_thread(move || node.publish(&contents.signed)).await? {
        Ok(()) => taken(),
        // The specification's answer for a block that is gossiped and not imported anew.
        Err(Rejection::Known) => Ok(StatusCode::ACCEPTED.into_response()),
        Err(rejection) => Err(refused(&rejection)),
    }
}

/// `POST /eth/v2/beacon/pool/attestations`: what is right is taken, what is wrong is named by its place.
pub(super) async fn attestations(
    State(node): State<Arc<BeaconNode>>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    check_fork(&node, &headers)?;
    let list: Vec<SingleAttestation> = read(&headers, &body)?;
    if list.len() > ATTESTATIONS_MAX {
        return Err(Refusal::bad(format!(
            "{} attestations, at most {ATTESTATIONS_MAX} are taken",
            list.len()
        )));
    }
    let attest_all = move || {
        let results = list.iter().map(|attestation| node.attest(attestation)).enumerate();
        results.filter_map(|(at, result)| Some((at, result.err()?.to_string()))).collect::<Vec<_>>()
    };
    let failures = on_blocking_thread(attest_all).await?;
    if failures.is_empty() {
        return taken();
    }
    tracing::warn!(?failures, "attestations refused");
    Err(Refusal::items(failures))
}

fn refused(rejection: &Rejection) -> Refusal {
    tracing::warn!(%rejection, "block refused");
    Refusal::bad(rejection)
}

fn check_fork(node: &BeaconNode, headers: &HeaderMap) -> Result<(), Refusal> {
    let want = node.spec().fork_at(Epoch(0)).fork.to_string();
    let Some(have) = headers.get(VERSION_HEADER) else {
        return Err(Refusal::bad(format!("no {VERSION_HEADER} header")));
    };
    if have.as_bytes() == want.as_bytes() {
        return Ok(());
    }
    Err(Refusal::bad(format!("{VERSION_HEADER} is {have:?}, the chain is at {want}")))
}

/// Pairings take milliseconds: they stay off the threads that serve.
async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error))
}
