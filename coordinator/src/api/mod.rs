//! The coordinator over HTTP: whoever has signed may write, everybody may read.
//!
//! ```text
//! POST PUT DELETE /v1/...                     a request; X-Pool, X-Signer, X-Nonce, X-Expiry, X-Signature beside the body
//! GET /v1/pool /v1/state /v1/state/{book}     what is so now
//! GET /v1/nonces/{address}                    the highest nonce that an address has used
//! GET /v1/head /v1/heads/{size}               how long the log is, signed; who has countersigned
//! POST /v1/heads/{size}/signatures            {"signature"}: an operator, or a guardian, has seen the same
//! GET /v1/ceremonies/{cluster}                a ceremony: what is to be signed, who is there, who is missing
//! PUT /v1/ceremonies/{cluster}/presence       a node of the cluster says how far it is; signed, and not in the log
//! GET /v1/log?from&count                      stored entries, a line each
//! GET /v1/log/{seq}/proof?size                that an entry is in the log
//! GET /v1/log/consistency?from&to             that a longer log begins with a shorter one
//! GET /v1/health                              whether the disk takes entries
//! ```
//!
//! Every error is `{"code", "message"}`. Answers are never cached by who stands between.

mod board;
mod errors;
mod read;
mod write;

pub use errors::ApiError;

use crate::board::WORD_LEN_MAX;
use crate::ledger::ceremonies::LOCK_LEN_MAX;
use crate::ledger::routes::LOCK_PATH;
use crate::office::Office;
use crate::request::BODY_LEN_MAX;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use axum::routing::{any, get, post, put};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;

/// Requests that are worked on at once; others wait. Each holds a body of at most a mebibyte, those with locks more.
const REQUESTS_MAX: usize = 64;
/// Locks that are read at once. All operators of a cluster may deliver theirs at the end of a ceremony; one is verified, and
/// the others hear that it is there.
const LOCKS_MAX: usize = 4;
/// For a request to come in whole and be answered: a replayed signature and two syncs take milliseconds, the largest lock some
/// seconds.
const REQUEST_WAIT: Duration = Duration::from_secs(30);

/// The office, as handlers share it.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Office>>);

impl Shared {
    /// For an office that is open.
    pub fn new(office: Office) -> Self {
        Self(Arc::new(Mutex::new(office)))
    }

    /// Works with the office on a thread that may wait for the disk.
    ///
    /// - Errors: 500 if a handler has panicked before: what the ledger knows may be half of something, and a restart
    ///   replays what is on the disk.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Office) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let shared = self.clone();
        let worked = tokio::task::spawn_blocking(move || work(&mut *shared.lock()?));
        worked.await.map_err(|_| ApiError::internal("the request's work has panicked"))?
    }

    fn lock(&self) -> Result<MutexGuard<'_, Office>, ApiError> {
        self.0.lock().map_err(|_| ApiError::internal("the office has panicked before; start it again"))
    }
}

/// Unix seconds by this machine's clock.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The routes.
pub fn router(shared: Shared) -> Router {
    let limits = ServiceBuilder::new().layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX));
    let words = DefaultBodyLimit::max(WORD_LEN_MAX);
    let locks = any(write::request)
        .layer::<_, Infallible>(DefaultBodyLimit::max(LOCK_LEN_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(LOCKS_MAX));
    Router::new()
        .route("/v1/health", get(read::health))
        .route("/v1/pool", get(read::pool))
        .route("/v1/state", get(read::state))
        .route("/v1/state/{book}", get(read::book))
        .route("/v1/nonces/{address}", get(read::nonce))
        .route("/v1/head", get(read::head))
        .route("/v1/heads/{size}", get(read::published))
        .route("/v1/heads/{size}/signatures", post(write::countersign))
        .route("/v1/log", get(read::log))
        .route("/v1/log/consistency", get(read::consistency))
        .route("/v1/log/{seq}/proof", get(read::inclusion))
        .route("/v1/ceremonies/{cluster}", get(board::notice))
        .route("/v1/ceremonies/{cluster}/presence", put(board::presence).layer(words))
        .route(LOCK_PATH, locks)
        .fallback(any(write::request))
        .method_not_allowed_fallback(write::request)
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .layer(from_fn(in_time))
        .layer(limits)
        .with_state(shared)
}

/// Ends a request that takes too long, and keeps answers out of caches.
async fn in_time(request: axum::extract::Request, next: Next) -> axum::response::Response {
    let mut response = match tokio::time::timeout(REQUEST_WAIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "the request did not come in time").into_response()
        }
    };
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
