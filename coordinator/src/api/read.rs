//! Reading: the state, the log, and proofs of it.

use super::{ApiError, Shared, now};
use crate::merkle::log_tree::LogTree;
use crate::office::Office;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use types::{Address, Root};

/// Entries of one answer: a few megabytes as a rule.
const ENTRIES_MAX: usize = 1_000;
/// Bytes of one answer's entries, after which the rest is left for the next.
const ENTRIES_LEN_MAX: usize = 16 << 20;

type Reply = Result<Response, ApiError>;

fn json_of(value: &impl Serialize) -> Reply {
    Ok(Json(serde_json::to_value(value).map_err(ApiError::internal)?).into_response())
}

/// `GET /v1/health`.
pub(super) async fn health(State(shared): State<Shared>) -> Reply {
    shared
        .with(|office| {
            let ledger = office.ledger()?;
            let (entries, coordinator) = (ledger.tree().size(), ledger.state().governance.coordinator);
            json_of(&json!({ "entries": entries, "in_office": coordinator == office.address() }))
        })
        .await
}

/// `GET /v1/pool`.
pub(super) async fn pool(State(shared): State<Shared>) -> Reply {
    shared
        .with(|office| {
            let state = office.ledger()?.state();
            json_of(&json!({ "pool": state.pool, "charter": state.charter, "policy": state.policy }))
        })
        .await
}

/// `GET /v1/state`: what a head's state root is the hash of, byte for byte.
pub(super) async fn state(State(shared): State<Shared>) -> Reply {
    shared
        .with(|office| {
            let bytes = crate::canonical::bytes(office.ledger()?.state());
            Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
        })
        .await
}

/// `GET /v1/state/{book}`.
pub(super) async fn book(State(shared): State<Shared>, Path(book): Path<String>) -> Reply {
    shared
        .with(move |office| {
            let book = office.ledger()?.state().book(&book);
            let book = book.ok_or_else(|| ApiError::absent("there is no such book"))?;
            Ok(([(header::CONTENT_TYPE, "application/json")], book).into_response())
        })
        .await
}

/// `GET /v1/nonces/{address}`.
pub(super) async fn nonce(State(shared): State<Shared>, Path(address): Path<String>) -> Reply {
    let address: Address = address.parse().map_err(ApiError::bad)?;
    shared
        .with(move |office| {
            let last = office.ledger()?.state().nonces.get(&address).copied().unwrap_or_default();
            json_of(&json!({ "last": last }))
        })
        .await
}

/// `GET /v1/head`: the newest.
pub(super) async fn head(State(shared): State<Shared>) -> Reply {
    shared.with(|office| json_of(&office.newest_head(now())?)).await
}

/// `GET /v1/heads/{size}`.
pub(super) async fn published(State(shared): State<Shared>, Path(size): Path<u64>) -> Reply {
    shared
        .with(move |office| match office.published(size)? {
            Some(published) => json_of(&published),
            None => Err(ApiError::absent(format_args!("no head of {size} entries was published"))),
        })
        .await
}

#[derive(Deserialize)]
pub(super) struct Range {
    #[serde(default)]
    from: u64,
    count: Option<usize>,
}

/// `GET /v1/log?from&count`: what is stored, a line each.
pub(super) async fn log(State(shared): State<Shared>, Query(range): Query<Range>) -> Reply {
    shared
        .with(move |office| {
            let count = range.count.unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX);
            let mut lines = Vec::new();
            for entry in office.entries_within(range.from, count, ENTRIES_LEN_MAX)? {
                lines.extend(entry);
                lines.push(b'\n');
            }
            Ok(([(header::CONTENT_TYPE, "application/jsonl")], lines).into_response())
        })
        .await
}

#[derive(Deserialize)]
pub(super) struct Size {
    size: Option<u64>,
}

/// `GET /v1/log/{seq}/proof?size`.
pub(super) async fn inclusion(
    State(shared): State<Shared>,
    Path(seq): Path<u64>,
    Query(Size { size }): Query<Size>,
) -> Reply {
    shared
        .with(move |office| {
            let size = size.unwrap_or(tree(office)?.size());
            let proof = tree(office)?.inclusion_proof(seq, size).map_err(ApiError::bad)?;
            proved(office, size, proof, &[("seq", seq)])
        })
        .await
}

#[derive(Deserialize)]
pub(super) struct Between {
    from: u64,
    to: Option<u64>,
}

/// `GET /v1/log/consistency?from&to`.
pub(super) async fn consistency(
    State(shared): State<Shared>,
    Query(Between { from, to }): Query<Between>,
) -> Reply {
    shared
        .with(move |office| {
            let to = to.unwrap_or(tree(office)?.size());
            let proof = tree(office)?.consistency_proof(from, to).map_err(ApiError::bad)?;
            proved(office, to, proof, &[("from", from)])
        })
        .await
}

fn tree(office: &Office) -> Result<&LogTree, ApiError> {
    Ok(office.ledger()?.tree())
}

fn proved(office: &Office, size: u64, proof: Vec<Root>, names: &[(&str, u64)]) -> Reply {
    let root = tree(office)?.root_at(size).map_err(ApiError::bad)?;
    let mut answer = json!({ "size": size, "root": root, "proof": proof });
    for (name, value) in names {
        answer[*name] = Value::from(*value);
    }
    json_of(&answer)
}
