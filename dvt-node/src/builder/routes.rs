//! The builder API as the beacon node sees it.
//!
//! Source: ethereum/builder-specs, Bellatrix to Fulu.

use super::auction::Asked;
use super::publish::{PublishError, Version};
use super::{Builder, REGISTER_WAIT};
use crate::server::Seats;
use crate::validator_api::errors::{ApiError, Reply};
use crate::validator_api::request::{Body, Encoding, consensus_version, parse};
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::Value;
use std::sync::Arc;
use types::block::{BlockShape, SignedBlockParts};
use types::{Fork, RelayBid, Slot};

/// Longest body of a signed blinded block: its attestations and slashings in JSON.
pub const BLOCK_LEN_MAX: usize = 4 << 20;
/// Longest list of registrations: some 30,000 validators, for a beacon node may serve others than ours.
pub const REGISTRATIONS_LEN_MAX: usize = 16 << 20;
/// Requests at once: a beacon node has one question a slot, and an operator a few beacon nodes.
pub const REQUESTS_MAX: usize = 64;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

type Shared = State<Arc<Builder>>;

impl Builder {
    /// The server's routes: hand it to [`crate::server::serve()`].
    ///
    /// - Requests beyond [`REQUESTS_MAX`] at once are answered 503, and one that is half here gives way to another
    ///   before; unknown routes 404.
    pub fn router(self: &Arc<Self>) -> Router {
        let register = post(register).layer(DefaultBodyLimit::max(REGISTRATIONS_LEN_MAX));
        Router::new()
            .route("/eth/v1/builder/status", get(status))
            .route("/eth/v1/builder/header/{slot}/{parent_hash}/{pubkey}", get(bid))
            .route("/eth/v1/builder/blinded_blocks", post(reveal))
            .route("/eth/v2/builder/blinded_blocks", post(publish))
            .layer(DefaultBodyLimit::max(BLOCK_LEN_MAX))
            .route("/eth/v1/builder/validators", register)
            .fallback(unknown)
            .method_not_allowed_fallback(other_method)
            .layer(from_fn_with_state(Seats::new(REQUESTS_MAX), one_of_many))
            .with_state(self.clone())
    }
}

async fn one_of_many(State(seats): State<Seats>, request: Request, next: Next) -> Response {
    let shed =
        || ApiError::unavailable(format_args!("more than {REQUESTS_MAX} requests at once")).into_response();
    seats.pass(request, next).await.unwrap_or_else(shed)
}

async fn unknown(method: Method, uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format_args!("the builder API has no {method} {}", uri.path()))
}

async fn other_method(method: Method, uri: Uri) -> ApiError {
    let message = format_args!("{} is not asked with {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// `GET status`: whether a relay is there.
async fn status(State(builder): Shared) -> Reply {
    let wait = builder.config.header_wait;
    let asks = builder.relays.iter().map(|listed| listed.relay.status(wait));
    let answers = futures::future::join_all(asks).await;
    if answers.iter().any(Result::is_ok) {
        return Ok(StatusCode::OK.into_response());
    }
    let said = builder.relays.iter().zip(answers);
    let said: Vec<_> = said
        .filter_map(|(listed, answer)| Some(format!("{}: {}", listed.relay.label(), answer.err()?)))
        .collect();
    Err(ApiError::unavailable(format_args!("no relay is there: {}", said.join("; "))))
}

/// `POST validators`: a sign that the beacon node wants blocks of builders. What relays hear are the cluster's own
/// registrations: those that a validator client signs are under its halves' keys, and worth nothing there.
async fn register(State(builder): Shared, _ignored: Body) -> Reply {
    if builder.registrations().is_empty() {
        return Err(ApiError::unavailable("the cluster's lock has no builder registrations"));
    }
    match builder.register().await {
        0 => Err(ApiError::bad_gateway(format_args!(
            "no relay took the cluster's registrations within {} s",
            REGISTER_WAIT.as_secs()
        ))),
        _ => Ok(StatusCode::OK.into_response()),
    }
}

/// `GET header/{slot}/{parent_hash}/{pubkey}`.
async fn bid(
    State(builder): Shared,
    path: Result<Path<(String, String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Reply {
    let Path((slot, parent_hash, validator)) = path.map_err(|error| ApiError::bad(error.body_text()))?;
    let asked = Asked {
        slot: Slot(parse::<u64>("slot", &slot)?),
        parent_hash: parse("parent_hash", &parent_hash)?,
        validator: parse("pubkey", &validator)?,
    };
    if !builder.validators.contains(&asked.validator) {
        return Err(ApiError::bad(format_args!("{validator} is no validator of this cluster")));
    }
    Ok(match builder.best_bid(asked).await {
        Some(bid) => offer(&bid, wants_ssz(&headers)),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn offer(bid: &RelayBid, as_ssz: bool) -> Response {
    let (kind, body) =
        if as_ssz { (OCTETS, bid.ssz().to_vec()) } else { (JSON, bid.to_json().to_string().into_bytes()) };
    let mut response = ([(header::CONTENT_TYPE, kind)], body).into_response();
    if let Ok(fork) = HeaderValue::from_str(&bid.fork.to_string()) {
        response.headers_mut().insert("eth-consensus-version", fork);
    }
    response
}

/// SSZ only for who wants nothing else: a bid is short.
fn wants_ssz(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds: Vec<&str> = accept.flat_map(|value| value.split(',')).map(kind_of).collect();
    kinds.contains(&"application/octet-stream") && !kinds.contains(&"application/json")
}

fn kind_of(entry: &str) -> &str {
    entry.split(';').next().unwrap_or_default().trim()
}

/// `POST v1/blinded_blocks`: answered with the payload.
async fn reveal(State(builder): Shared, body: Body) -> Reply {
    let signed = read(&builder, body).await?;
    let fork = signed.block.fork;
    if fork >= Fork::Fulu {
        return Err(ApiError::bad(format_args!("blocks of {fork} are handed in by v2 of this call")));
    }
    let json = builder.publish(signed, Version::Reveal).await?;
    Ok(([(header::CONTENT_TYPE, JSON)], json).into_response())
}

/// `POST v2/blinded_blocks`: the relay publishes.
async fn publish(State(builder): Shared, body: Body) -> Reply {
    let signed = read(&builder, body).await?;
    builder.publish(signed, Version::Publish).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn read(builder: &Builder, body: Body) -> Result<SignedBlockParts, ApiError> {
    let fork = consensus_version(&body.headers)?;
    let shape = BlockShape::blinded(builder.spec.preset, fork);
    let reading = tokio::task::spawn_blocking(move || match body.encoding {
        Encoding::Ssz => SignedBlockParts::from_ssz(shape, &body.bytes).map_err(ApiError::bad),
        Encoding::Json => {
            let json: Value = serde_json::from_slice(&body.bytes).map_err(ApiError::bad)?;
            SignedBlockParts::from_json(shape, &json).map_err(ApiError::bad)
        }
    });
    reading.await.map_err(|_| ApiError::internal("reading a block failed"))?
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Block(_) => Self::bad(error),
            PublishError::NotTaken { .. } => Self::bad_gateway(error),
        }
    }
}
