//! The pages over HTTP, and their updates.
//!
//! ```text
//! GET /                        any page of crate::pages::Place
//! GET /find?what               to the page of an address, a cluster or a report
//! GET /events?page             Server-Sent Events: sections of a page that have become others, as they stand in it
//! GET /pages/style.css ...     what pages are shown with
//! ```
//!
//! A page takes the office's lock to read, for as long as it is made. It is made at most [`RENDERS_MAX`] at a time, beside the
//! API's own places; what a reader takes slowly is a text that is made already, or an update that waits to be fetched.

use super::{ApiError, News, Shared, in_time, now, write};
use crate::ledger::{Entry, Sealed};
use crate::office::Office;
use crate::pages::{self, Digest, Facts, Page, Place, Strips, Sums};
use crate::request::BODY_LEN_MAX;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{from_fn, map_response};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use futures::stream::{self, Stream};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use types::{ClusterId, Epoch, ValidatorIndex};

/// Pages that are made at once. Making one is work of one core, under a lock that who writes waits for; so readers take a few
/// threads, and the others stay free.
const RENDERS_MAX: usize = 4;
/// Who takes updates at once. Each has a connection, the sections that it was sent, up to some hundred kilobytes, and in the
/// worst case a page that nobody else reads, made each [`PACE`] in one of [`RENDERS_MAX`] places: a small machine bears that
/// beside the API. The next is told to come later.
pub(super) const LISTENERS_MAX: usize = 100;
/// The least between two updates of one page: people read no faster.
const PACE: Duration = Duration::from_secs(1);
/// The most between two looks at a page: what was a minute ago is then two minutes ago.
const REFRESH: Duration = Duration::from_secs(60);
/// So often somebody who waits hears that the connection stands.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// After which a browser may ask for updates again, in seconds.
const RETRY_AFTER_S: &str = "60";
/// Entries of the log that are read at once: some megabytes.
const ENTRIES_AT_ONCE: usize = 256;
/// How often entries are read before a page is made: a log that was not read yet holds nobody up.
const READS_MAX: usize = 16;

/// What pages remember.
#[derive(Debug)]
pub(super) struct Site {
    digest: RwLock<Digest>,
    /// Of a log with so many entries.
    sums: Mutex<Option<(u64, Arc<Sums>)>>,
    strips: RwLock<Strips>,
    renders: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            digest: RwLock::default(),
            sums: Mutex::default(),
            strips: RwLock::default(),
            renders: Arc::new(Semaphore::new(RENDERS_MAX)),
            listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
        }
    }
}

/// A page's lock that a panic has left: what it guards may be half of something.
fn broken<T>(_: T) -> ApiError {
    ApiError::internal("the pages have panicked before; start the coordinator again")
}

impl Site {
    /// The sums of a state. Only who comes first computes them.
    fn sums(&self, office: &Office) -> Result<Arc<Sums>, ApiError> {
        let (state, entries) = (office.ledger()?.state(), office.entries_len());
        let mut kept = self.sums.lock().map_err(broken)?;
        match &*kept {
            Some((of, sums)) if *of == entries => Ok(Arc::clone(sums)),
            _ => Ok(Arc::clone(&kept.insert((entries, Arc::new(Sums::of(state)))).1)),
        }
    }
}

/// The pages' routes.
pub(super) fn router() -> Router<Shared> {
    let pages = [
        "/",
        "/clusters",
        "/clusters/{id}",
        "/operators",
        "/operators/{address}",
        "/delegators/{address}",
        "/ceremonies/{id}",
        "/reports",
        "/reports/{frame}",
        "/incidents",
    ];
    let pages = pages.into_iter().fold(Router::new(), |router, path| router.route(path, get(page)));
    pages
        .route("/find", get(find))
        .route("/events", get(events))
        .route("/pages/style.css", get(async || file("text/css; charset=utf-8", pages::STYLE)))
        .route("/pages/live.js", get(async || file("text/javascript; charset=utf-8", pages::SCRIPT)))
        .route("/pages/icon.svg", get(async || file("image/svg+xml", pages::ICON)))
        .method_not_allowed_fallback(write::request)
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .layer(map_response(guarded))
        .layer(from_fn(in_time))
}

/// What a browser may do with an answer.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(pages::POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, text).into_response()
}

fn html(status: StatusCode, document: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], document).into_response()
}

/// `GET` of a page.
async fn page(State(shared): State<Shared>, uri: Uri) -> Response {
    let Some(place) = Place::of(uri.path()) else {
        let why = format!("{} is the page of nothing.", uri.path());
        return answer(shared.page(|_| Err(why)).await);
    };
    answer(shared.shown(place).await)
}

/// `GET /find?what`.
async fn find(State(shared): State<Shared>, Query(Wanted { what }): Query<Wanted>) -> Response {
    let found = shared.page(move |facts| {
        let state = facts.state;
        let is_operator = |address| {
            let operators = &state.operators.operators;
            operators.contains_key(&address) || operators.values().any(|one| one.manager == address)
        };
        let found = Place::find(&what, is_operator, |id| state.clusters.get(id).is_some());
        found.ok_or_else(|| format!("{what:?} is no address, no cluster's id and no report's number."))
    });
    match found.await {
        Ok((Ok(place), _)) => Redirect::to(&place.to_string()).into_response(),
        Ok((Err(why), pool)) => answer(Ok((Err(why), pool))),
        Err(error) => answer(Err(error)),
    }
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    what: String,
}

/// A page; or that there is none, or can be none now.
fn answer(made: Result<(Result<Page, String>, String), ApiError>) -> Response {
    match made {
        Ok((Ok(page), pool)) => html(StatusCode::OK, page.document(&pool)),
        Ok((Err(why), pool)) => html(StatusCode::NOT_FOUND, pages::missing(&why).document(&pool)),
        Err(error) => html(error.status(), pages::failed(&error.to_string()).document("The pool")),
    }
}

/// Where no route leads: a page that says so to who reads, an error of the API to everybody else.
pub(super) async fn or_written(
    shared: State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let reads = method == Method::GET || method == Method::HEAD;
    if reads && uri.path() != "/v1" && !uri.path().starts_with("/v1/") {
        return guarded(page(shared, uri).await).await;
    }
    write::request(shared, method, uri, headers, body).await.into_response()
}

impl Shared {
    /// The page of a place, or that there is none, in words; with the pool's name.
    pub(crate) async fn shown(&self, place: Place) -> Result<(Result<Page, String>, String), ApiError> {
        self.page(move |facts| pages::page(facts, &place)).await
    }

    /// Makes something of the facts, on a thread that may wait; with the pool's name.
    async fn page<T: Send + 'static>(
        &self,
        make: impl FnOnce(&Facts<'_>) -> T + Send + 'static,
    ) -> Result<(T, String), ApiError> {
        let permit = Arc::clone(&self.0.site.renders).acquire_owned().await.map_err(broken)?;
        let shared = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let _one_of_few = permit;
            shared.read_on(READS_MAX)?;
            shared.facts(now(), make)
        });
        made.await.map_err(|_| ApiError::internal("the page's work has panicked"))?
    }

    fn facts<T>(&self, now: u64, make: impl FnOnce(&Facts<'_>) -> T) -> Result<(T, String), ApiError> {
        let site = &self.0.site;
        let (digest, strips) = (site.digest.read().map_err(broken)?, site.strips.read().map_err(broken)?);
        let office = self.read()?;
        let (ledger, sums) = (office.ledger()?, site.sums(&office)?);
        let published = office.published_last()?;
        let by = published.iter().flat_map(|one| one.countersigned.keys().copied()).collect();
        let facts = Facts {
            state: ledger.state(),
            entries: office.entries_len(),
            at: ledger.at(),
            now,
            digest: &digest,
            sums: &sums,
            strips: &strips,
            head: published.as_ref().map(|one| (&one.signed, &by)),
            entry: &|seq| entries(&office, seq, 1).ok()?.pop(),
            notice: &|cluster: ClusterId| office.notice(now, cluster).ok().flatten(),
        };
        Ok((make(&facts), ledger.state().charter.name.to_string()))
    }

    /// Reads on in the log, some entries at a time, so that nobody who writes waits for long. Whether all is read.
    fn read_on(&self, reads_max: usize) -> Result<bool, ApiError> {
        let mut digest = self.0.site.digest.write().map_err(broken)?;
        for _ in 0..reads_max {
            let more = {
                let office = self.read()?;
                if digest.entries() >= office.entries_len() {
                    return Ok(true);
                }
                office.entries(digest.entries(), ENTRIES_AT_ONCE)?
            };
            for entry in more {
                digest.take(&sealed(&entry)?.entry);
            }
        }
        Ok(false)
    }
}

fn entries(office: &Office, from: u64, count: usize) -> Result<Vec<Entry>, ApiError> {
    office.entries(from, count)?.iter().map(|entry| Ok(sealed(entry)?.entry)).collect()
}

fn sealed(entry: &[u8]) -> Result<Sealed, ApiError> {
    // What stands in an office's log has been replayed.
    serde_json::from_slice(entry).map_err(ApiError::internal)
}

/// Keeps what pages know of the log up to date, until the coordinator stops: the first who reads after a start does not wait.
pub async fn follow(shared: Shared) {
    let mut news = shared.news();
    loop {
        let reader = shared.clone();
        let read = tokio::task::spawn_blocking(move || reader.read_on(1)).await;
        match read {
            Ok(Ok(false)) => continue,
            Ok(Ok(true)) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the pages read no further");
                return;
            }
            Err(_) => return,
        }
        if news.changed().await.is_err() || news.borrow_and_update().is_over() {
            return;
        }
    }
}

/// Somebody asks a beacon node from now on who is on duty.
pub fn watch_duty(shared: &Shared) -> Result<(), ApiError> {
    shared.0.site.strips.write().map_err(broken)?.watch();
    Ok(())
}

/// Keeps what a beacon node said of an epoch; see [`Strips::record`].
pub fn record(
    shared: &Shared,
    epoch: Epoch,
    asked: &BTreeMap<ValidatorIndex, ClusterId>,
    said: &BTreeMap<ValidatorIndex, bool>,
) -> Result<(), ApiError> {
    shared.0.site.strips.write().map_err(broken)?.record(epoch, asked, said);
    shared.0.news.send_modify(News::answered);
    Ok(())
}

#[derive(Deserialize)]
struct Of {
    page: String,
}

/// `GET /events?page`.
async fn events(State(shared): State<Shared>, Query(Of { page }): Query<Of>) -> Response {
    let Some(place) = Place::of(&page) else {
        return html(StatusCode::NOT_FOUND, pages::missing("No page has this path.").document("The pool"));
    };
    let Ok(permit) = Arc::clone(&shared.0.site.listeners).try_acquire_owned() else {
        let why = "As many readers as can be take updates already. The page is complete without them.";
        let full = html(StatusCode::SERVICE_UNAVAILABLE, pages::failed(why).document("The pool"));
        return ([(header::RETRY_AFTER, RETRY_AFTER_S)], full).into_response();
    };
    let listener =
        Listener { news: shared.news(), shared, place, sent: BTreeMap::new(), last: None, _permit: permit };
    Sse::new(updates(listener)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// Somebody who has a page open.
struct Listener {
    shared: Shared,
    news: watch::Receiver<News>,
    place: Place,
    sent: BTreeMap<&'static str, String>,
    /// When it was looked at the page last.
    last: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

/// Updates as they are fetched: nothing is made for who fetches nothing. It ends when there is no such page any more, or the
/// coordinator stops; a browser comes again.
fn updates(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        loop {
            listener.wait().await?;
            let (page, _) = listener.shared.shown(listener.place).await.ok()?;
            if let Some(changed) = page.ok()?.changed(&mut listener.sent) {
                let event = Event::default().event("sections").json_data(changed).ok()?;
                return Some((Ok(event), listener));
            }
        }
    })
}

impl Listener {
    /// Waits until it is worth looking again; the first time not at all. `None` when the coordinator stops.
    async fn wait(&mut self) -> Option<()> {
        if let Some(last) = self.last {
            // A refresh is no error.
            if let Ok(changed) = tokio::time::timeout(REFRESH, self.news.changed()).await {
                changed.ok()?;
            }
            if !self.news.borrow().is_over() {
                tokio::select! {
                    () = tokio::time::sleep_until(last + PACE) => {}
                    over = self.news.wait_for(News::is_over) => drop(over),
                }
            }
        }
        self.last = Some(Instant::now());
        (!self.news.borrow_and_update().is_over()).then_some(())
    }
}

#[cfg(test)]
mod tests;
