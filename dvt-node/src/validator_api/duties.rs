//! What the client is told of its duties, and what it tells that this node acknowledges without doing it.

use super::errors::{ApiError, Reply};
use super::proxy;
use super::request::{JsonBody, Segment, number};
use super::{Dropped, Duties, Noticed, Shared, Upstream};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use types::{Epoch, ValidatorIndex};

/// What has been said in the log, so that it is said once.
#[derive(Debug, Default)]
pub(crate) struct Warned(AtomicBool);

/// `POST duties/attester/{epoch}`: the chain's, with client keys.
pub(crate) async fn attester<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    epoch: Segment,
    body: JsonBody,
) -> Reply {
    let epoch: Epoch = number("epoch", epoch)?;
    let indices = indices(body)?;
    desk.seats.learn(&desk.upstream, &indices).await?;
    if let Some(stranger) = indices.iter().find(|index| desk.seats.by_index(**index).is_none()) {
        return Err(ApiError::bad(format_args!(
            "validator index {stranger} is none of this cluster's: give this node's validator client only the \
             keystores of this operator's halves"
        )));
    }
    let path = format!("/eth/v1/validator/duties/attester/{epoch}");
    desk.forward_keyed(Method::POST, path, json!(indices).to_string().into()).await
}

/// `GET duties/proposer/{epoch}`: the chain's, all of them, with client keys for ours.
pub(crate) async fn proposer<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    epoch: Segment,
    uri: Uri,
) -> Reply {
    let _: Epoch = number("epoch", epoch)?;
    desk.forward_keyed(Method::GET, proxy::plain(uri.path())?.to_owned(), Bytes::new()).await
}

/// `POST duties/sync/{epoch}`: none, so that the client does nothing whose result nobody could use.
pub(crate) async fn sync(epoch: Segment, body: JsonBody) -> Reply {
    let _: Epoch = number("epoch", epoch)?;
    indices(body)?;
    Ok(proxy::json_reply(&json!({ "execution_optimistic": false, "data": [] })))
}

/// `POST liveness/{epoch}`: nobody is live. A restarting client would see its own cluster's signatures, and refuse.
pub(crate) async fn liveness(epoch: Segment, body: JsonBody) -> Reply {
    let _: Epoch = number("epoch", epoch)?;
    let dead = |index| json!({ "index": index, "is_live": false });
    let data: Vec<_> = indices(body)?.into_iter().map(dead).collect();
    Ok(proxy::json_reply(&json!({ "data": data })))
}

/// A list of validator indices.
fn indices(body: JsonBody) -> Result<Vec<ValidatorIndex>, ApiError> {
    serde_json::from_value(body.json)
        .map_err(|error| ApiError::bad(format_args!("the body is not a list of validator indices: {error}")))
}

/// Taken note of, and dropped: the node prepares proposers itself, and registrations come from the ceremony.
pub(crate) async fn acknowledge(body: JsonBody) -> Reply {
    body.list()?;
    Ok(StatusCode::OK.into_response())
}

/// `POST aggregate_and_proofs`.
pub(crate) async fn drop_aggregates<D: Duties, U: Upstream>(desk: Shared<D, U>, body: JsonBody) -> Reply {
    drop_all(desk, body, Dropped::Aggregates)
}

/// `POST contribution_and_proofs`.
pub(crate) async fn drop_contributions<D: Duties, U: Upstream>(desk: Shared<D, U>, body: JsonBody) -> Reply {
    drop_all(desk, body, Dropped::Contributions)
}

/// `POST pool/sync_committees`.
pub(crate) async fn drop_sync_messages<D: Duties, U: Upstream>(desk: Shared<D, U>, body: JsonBody) -> Reply {
    drop_all(desk, body, Dropped::SyncMessages)
}

fn drop_all<D: Duties, U: Upstream>(State(desk): Shared<D, U>, body: JsonBody, what: Dropped) -> Reply {
    let messages: Vec<Value> = body.list()?;
    for _ in &messages {
        (desk.notice)(Noticed::Dropped(what));
    }
    if !messages.is_empty() && !desk.dropped.0.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            ?what,
            "validator client is not in distributed mode: its aggregates cannot be combined"
        );
    }
    Ok(StatusCode::OK.into_response())
}

/// `POST *_selections`.
pub(crate) async fn selections() -> Reply {
    Err(ApiError::not_served("this node does not combine selection proofs: no aggregation duties are done"))
}
