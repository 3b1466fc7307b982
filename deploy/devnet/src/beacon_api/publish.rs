//! Signed things come in: blocks, attestations, aggregates, what sync committees sign, and exits.

use super::node::BeaconNode;
use super::reply::{Refusal, Reply, read, taken};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::Value;
use sim::chain::{Rejection, Slashing};
use std::sync::Arc;
use types::Epoch;
use types::aggregate::{AggregateShape, SignedAggregate};
use types::attestation::SingleAttestation;
use types::block::{BlockShape, SignedBlockContents};
use types::operations::SignedVoluntaryExit;
use types::sync::SyncCommitteeMessage;

/// Header that names the fork of a body.
const VERSION_HEADER: &str = "eth-consensus-version";

/// Most signed things of one request: more than any devnet has validators.
const LIST_LEN_MAX: usize = 16 << 10;

/// `POST /eth/v2/beacon/blocks`.
pub(super) async fn block(State(node): State<Arc<BeaconNode>>, headers: HeaderMap, body: Bytes) -> Reply {
    check_fork(&node, &headers)?;
    let json: Value = read(&headers, &body)?;
    let spec = node.spec();
    let shape = BlockShape::full(spec.preset, spec.fork_at(Epoch(0)).fork);
    let contents = SignedBlockContents::from_json(shape, &json).map_err(Refusal::bad)?;
    let signed = json.get("signed_block").cloned().unwrap_or_default();
    match on_blocking_thread(move || node.publish(&contents.signed, signed)).await? {
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
    take_list(list, move |attestation| node.attest(attestation)).await
}

/// `POST /eth/v1/beacon/pool/sync_committees`.
pub(super) async fn sync_messages(
    State(node): State<Arc<BeaconNode>>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let list: Vec<SyncCommitteeMessage> = read(&headers, &body)?;
    take_list(list, move |message| node.take_sync_message(message)).await
}

/// `POST /eth/v2/validator/aggregate_and_proofs`.
pub(super) async fn aggregates(
    State(node): State<Arc<BeaconNode>>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    check_fork(&node, &headers)?;
    let spec = node.spec();
    let shape = AggregateShape::Attestation { preset: spec.preset, fork: spec.fork_at(Epoch(0)).fork };
    let list = read_aggregates(shape, &headers, &body)?;
    take_list(list, move |signed| node.take_aggregate(signed)).await
}

/// `POST /eth/v1/validator/contribution_and_proofs`.
pub(super) async fn contributions(
    State(node): State<Arc<BeaconNode>>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let shape = AggregateShape::Contribution { preset: node.spec().preset };
    let list = read_aggregates(shape, &headers, &body)?;
    take_list(list, move |signed| node.take_aggregate(signed)).await
}

fn read_aggregates(
    shape: AggregateShape,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Vec<SignedAggregate>, Refusal> {
    let list: Vec<Value> = read(headers, body)?;
    list.iter().map(|json| shape.signed_from_json(json).map_err(Refusal::bad)).collect()
}

/// `POST /eth/v1/beacon/pool/voluntary_exits`. One that is known is taken again.
pub(super) async fn exit(State(node): State<Arc<BeaconNode>>, headers: HeaderMap, body: Bytes) -> Reply {
    let exit: SignedVoluntaryExit = read(&headers, &body)?;
    match on_blocking_thread(move || node.take_exit(&exit)).await? {
        Ok(()) | Err(Rejection::Known) => taken(),
        Err(rejection) => Err(refused(&rejection)),
    }
}

/// `POST /eth/v2/beacon/pool/attester_slashings`.
pub(super) async fn slashing(State(node): State<Arc<BeaconNode>>, headers: HeaderMap, body: Bytes) -> Reply {
    check_fork(&node, &headers)?;
    let slashing: Slashing = read(&headers, &body)?;
    match on_blocking_thread(move || node.take_slashing(&slashing)).await? {
        Ok(()) => taken(),
        Err(rejection) => Err(refused(&rejection)),
    }
}

/// What is right of a list is taken, what is wrong is named by its place.
async fn take_list<T: Send + 'static>(
    list: Vec<T>,
    take: impl Fn(&T) -> Result<(), Rejection> + Send + 'static,
) -> Reply {
    if list.len() > LIST_LEN_MAX {
        return Err(Refusal::bad(format!("a list of {}, at most {LIST_LEN_MAX} are taken", list.len())));
    }
    let take_all = move || {
        let results = list.iter().map(take).enumerate();
        results.filter_map(|(at, result)| Some((at, result.err()?.to_string()))).collect::<Vec<_>>()
    };
    let failures = on_blocking_thread(take_all).await?;
    if failures.is_empty() {
        return taken();
    }
    tracing::warn!(?failures, "refused");
    Err(Refusal::items(failures))
}

fn refused(rejection: &Rejection) -> Refusal {
    tracing::warn!(%rejection, "refused");
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
pub(super) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error))
}
