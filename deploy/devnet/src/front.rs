//! What stands before a beacon node for one operator: passes everything on, until it is told to fail.
//!
//! Several operators share the devnet's one beacon node, and each may have it twice. A front makes one of these fail for
//! one operator: killed (connections are refused), hung (nothing is answered), or lying about its head.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, future};
use serde_json::Value;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Most bytes of a request: signed blocks with their blobs.
const BODY_LEN_MAX: usize = 64 << 20;
/// Where the lie is told.
const ATTESTATION_DATA: &str = "/eth/v1/validator/attestation_data";

/// How a beacon node fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is gone.
    Killed,
    /// It takes requests and never answers.
    Hung,
    /// It votes for a head that is not the newest.
    Lying,
}

/// `OPERATOR:FAULT@SLOT`: whose first beacon node fails, how, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeaconFault {
    /// From 1.
    pub operator: usize,
    /// How.
    pub fault: Fault,
    /// At its beginning.
    pub slot: u64,
}

impl FromStr for BeaconFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || format!("{text:?} is not OPERATOR:FAULT@SLOT with killed, hung or lying");
        let (operator, rest) = text.split_once(':').ok_or_else(words)?;
        let (fault, slot) = rest.split_once('@').ok_or_else(words)?;
        let fault = match fault {
            "killed" => Fault::Killed,
            "hung" => Fault::Hung,
            "lying" => Fault::Lying,
            _ => return Err(words()),
        };
        let operator = operator.parse().map_err(|_| words())?;
        Ok(Self { operator, fault, slot: slot.parse().map_err(|_| words())? })
    }
}

/// A front that runs.
#[derive(Debug)]
pub struct Front {
    url: String,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    target: String,
    /// What every request is given on its way.
    headers: HeaderMap,
    /// The fault in force, and the head of the votes before it.
    state: Mutex<(Option<Fault>, Option<Value>)>,
    /// Streams end when it fails.
    failed: watch::Sender<bool>,
}

impl Front {
    /// Starts before the beacon node at `target`. `headers`: added to every request.
    pub async fn start(target: &str, headers: &[(HeaderName, String)]) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut added = HeaderMap::new();
        for (name, value) in headers {
            added.insert(name.clone(), HeaderValue::from_str(value)?);
        }
        let shared = Arc::new(Shared {
            http: reqwest::Client::builder().no_proxy().build()?,
            target: target.trim_end_matches('/').to_owned(),
            headers: added,
            state: Mutex::default(),
            failed: watch::Sender::new(false),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let routes = Router::new()
            .fallback(pass)
            .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
            .with_state(Arc::clone(&shared));
        let listening = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "a beacon node's front ended");
            }
        });
        Ok(Self { url, shared, listening })
    }

    /// Where the operator's node finds it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fails from now on.
    pub fn fail(&self, fault: Fault) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(fault);
        if fault != Fault::Lying {
            self.shared.failed.send_replace(true);
        }
        if fault == Fault::Killed {
            self.listening.abort();
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Shared {
    fn fault(&self) -> Option<Fault> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The body of an answer about a vote: remembered while well, told with an old head while lying.
    fn vote(&self, body: Bytes) -> Bytes {
        let Ok(mut json) = serde_json::from_slice::<Value>(&body) else { return body };
        let Some(head) = json.pointer_mut("/data/beacon_block_root") else { return body };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            (Some(Fault::Lying), Some(ref old)) => *head = old.clone(),
            _ => {
                state.1 = Some(head.clone());
                return body;
            }
        }
        json.to_string().into()
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match shared.fault() {
        Some(Fault::Killed) => return gone(),
        Some(Fault::Hung) => return future::pending().await,
        Some(Fault::Lying) | None => {}
    }
    match forward(&shared, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// To who asks over a connection that stood before: there will be no other.
fn gone() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [("connection", "close")]).into_response()
}

async fn forward(shared: &Shared, request: Request) -> anyhow::Result<Response> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let body = axum::body::to_bytes(body, BODY_LEN_MAX).await?;
    let mut headers = parts.headers;
    for own in ["host", "connection", "content-length", "transfer-encoding"] {
        headers.remove(own);
    }
    headers.extend(shared.headers.clone());
    let url = format!("{}{path}", shared.target);
    let answer = shared.http.request(parts.method, url).headers(headers).body(body).send().await?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            response = response.header(name, value);
        }
    }
    if parts.uri.path() == ATTESTATION_DATA {
        return Ok(response.body(Body::from(shared.vote(answer.bytes().await?)))?);
    }
    let mut failed = shared.failed.subscribe();
    let failed = Box::pin(async move { drop(failed.wait_for(|failed| *failed).await) });
    let stream = answer.bytes_stream().take_until(failed);
    Ok(response.body(Body::from_stream(stream))?)
}

/// The fronts of a pool: one beacon node, once or twice for each operator.
#[derive(Debug, Default)]
pub struct Fronts {
    fronts: Vec<Vec<Front>>,
    faults: Vec<BeaconFault>,
}

impl Fronts {
    /// Starts `count` for each of `operators`. `headers`: of an operator's place, from 0.
    pub async fn start(
        target: &str,
        (operators, count): (usize, usize),
        faults: &[BeaconFault],
        headers: impl Fn(usize) -> Vec<(HeaderName, String)>,
    ) -> anyhow::Result<Self> {
        let mut fronts = Vec::new();
        for place in 0..operators {
            let headers = headers(place);
            let starting = (0..count).map(|_| Front::start(target, &headers));
            fronts.push(future::try_join_all(starting).await?);
        }
        Ok(Self { fronts, faults: faults.to_vec() })
    }

    /// The addresses of an operator's, the one that may fail first. `place`: from 0.
    pub fn urls(&self, place: usize) -> Vec<String> {
        self.fronts[place].iter().map(|front| front.url().to_owned()).collect()
    }

    /// Lets those fail whose slot has come.
    pub fn turn(&mut self, slot: u64) {
        let (due, later): (Vec<_>, Vec<_>) = self.faults.iter().partition(|fault| fault.slot <= slot);
        self.faults = later;
        for BeaconFault { operator, fault, .. } in due {
            if let Some(front) = self.fronts.get(operator - 1).and_then(|fronts| fronts.first()) {
                front.fail(fault);
                tracing::info!(operator, ?fault, slot, "beacon node fails");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use serde_json::json;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// A beacon node whose head is new with every question.
    async fn target() -> String {
        let asked = Arc::new(AtomicU64::new(0));
        let vote = move |headers: HeaderMap| {
            let head = asked.fetch_add(1, Ordering::Relaxed);
            let named = headers.get("x-name").and_then(|name| name.to_str().ok()).map(str::to_owned);
            async move { axum::Json(json!({ "data": { "beacon_block_root": head }, "named": named })) }
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route(ATTESTATION_DATA, get(vote));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    async fn vote(front: &Front) -> reqwest::Result<Value> {
        reqwest::get(format!("{}{ATTESTATION_DATA}", front.url())).await?.json().await
    }

    #[tokio::test]
    async fn a_front_passes_on_until_it_lies_about_the_head() {
        let name = (HeaderName::from_static("x-name"), "operator 1".to_owned());
        let front = Front::start(&target().await, &[name]).await.unwrap();
        assert_eq!(vote(&front).await.unwrap()["data"]["beacon_block_root"], 0);
        let second = vote(&front).await.unwrap();
        assert_eq!(
            (&second["data"]["beacon_block_root"], &second["named"]),
            (&json!(1), &json!("operator 1"))
        );
        front.fail(Fault::Lying);
        assert_eq!(vote(&front).await.unwrap()["data"]["beacon_block_root"], 1, "the head is 2 by now");
    }

    #[tokio::test]
    async fn a_killed_front_refuses_and_a_hung_one_is_silent() {
        let target = target().await;
        let killed = Front::start(&target, &[]).await.unwrap();
        killed.fail(Fault::Killed);
        assert!(vote(&killed).await.is_err());
        let hung = Front::start(&target, &[]).await.unwrap();
        hung.fail(Fault::Hung);
        assert!(tokio::time::timeout(Duration::from_millis(50), vote(&hung)).await.is_err());
    }

    #[test]
    fn a_fault_names_operator_kind_and_slot() {
        let fault = BeaconFault { operator: 2, fault: Fault::Hung, slot: 8 };
        assert_eq!("2:hung@8".parse(), Ok(fault));
        for wrong in ["2@8", "2:hung", "x:hung@8", "2:tired@8", "2:hung@x"] {
            assert!(wrong.parse::<BeaconFault>().is_err(), "{wrong}");
        }
    }
}
