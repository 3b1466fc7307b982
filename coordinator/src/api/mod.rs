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
//! GET / /clusters /operators /reports ...     pages for people; GET /events their updates
//! ```
//!
//! Every error below `/v1` is `{"code", "message"}`. Answers are never cached by who stands between.

mod board;
mod errors;
mod news;
mod pages;
mod read;
mod write;

pub use errors::ApiError;
pub use news::News;
pub use pages::{follow, record, watch_duty};

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
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use types::Millis;

/// Requests that are worked on at once; others wait. Each holds a body of at most a mebibyte, those with locks more.
const REQUESTS_MAX: usize = 64;
/// Locks that are read at once. All operators of a cluster may deliver theirs at the end of a ceremony; one is verified, and
/// the others hear that it is there.
const LOCKS_MAX: usize = 4;
/// For a request to come in whole and be answered: a replayed signature and two syncs take milliseconds, the largest lock some
/// seconds.
const REQUEST_WAIT: Duration = Duration::from_secs(30);

/// The office, as handlers share it: many read, one writes.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    office: RwLock<Office>,
    news: watch::Sender<News>,
    site: pages::Site,
}

impl Shared {
    /// For an office that is open.
    pub fn new(office: Office) -> Self {
        let news = watch::Sender::new(News::of(&office));
        Self(Arc::new(Inner { office: RwLock::new(office), news, site: pages::Site::default() }))
    }

    /// Works with the office on a thread that may wait for the disk. Whoever waits for news hears of what has changed.
    ///
    /// - Errors: 500 if a handler has panicked before: what the ledger knows may be half of something, and a restart
    ///   replays what is on the disk.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Office) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let shared = self.clone();
        let work = move || {
            let mut office = shared.0.office.write().map_err(|_| poisoned())?;
            let worked = work(&mut office);
            shared.0.news.send_if_modified(|news| news.follow(&office));
            worked
        };
        let worked = tokio::task::spawn_blocking(work).await;
        worked.map_err(|_| ApiError::internal("the request's work has panicked"))?
    }

    /// Looks at the office on a thread that may wait; others may look at the same time. Errors: as of [`Self::with`].
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Office) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let shared = self.clone();
        let looked = tokio::task::spawn_blocking(move || look(&*shared.read()?)).await;
        looked.map_err(|_| ApiError::internal("the request's work has panicked"))?
    }

    /// What changes from now on.
    pub fn news(&self) -> watch::Receiver<News> {
        self.0.news.subscribe()
    }

    /// The coordinator stops: who waits for news waits no longer.
    pub fn stop(&self) {
        self.0.news.send_modify(News::end);
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, Office>, ApiError> {
        self.0.office.read().map_err(|_| poisoned())
    }
}

fn poisoned() -> ApiError {
    ApiError::internal("the office has panicked before; start it again")
}

/// Unix seconds by this machine's clock.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Milliseconds since the Unix epoch by this machine's clock.
pub fn now_ms() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Millis(since.ok().and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or_default())
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
        .fallback(pages::or_written)
        .method_not_allowed_fallback(write::request)
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .layer(from_fn(in_time))
        .layer(limits)
        // Beside the limits, so that readers of pages take no place of who writes.
        .merge(pages::router())
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
