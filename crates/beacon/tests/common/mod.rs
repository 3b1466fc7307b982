//! Mock beacon nodes: real sockets on loopback, answers by the test.
#![allow(dead_code, reason = "each test file uses its part")]

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use beacon::{Beacon, Limits};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use types::spec::{ForkEpoch, SlotTiming};
use types::{ChainSpec, Epoch, Fork, ForkVersion, Preset, Root};

/// A request as a mock saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }
}

/// What a mock does with a request.
pub(crate) enum Answer {
    Json(u16, Value),
    Text(u16, String),
    Full(Response),
    /// Answers once the test gives a permit; each is for one answer.
    Held(Arc<Semaphore>, Value),
    /// Takes the request and never answers.
    Hang,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Json(200, value)
    }
}

type Script = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

#[derive(Clone)]
struct Shared {
    script: Script,
    log: Arc<Mutex<Vec<Seen>>>,
    count: watch::Sender<usize>,
}

/// A mock beacon node; it stops with its test's runtime.
pub(crate) struct Mock {
    pub(crate) url: String,
    log: Arc<Mutex<Vec<Seen>>>,
    count: watch::Receiver<usize>,
}

impl Mock {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::<Mutex<Vec<Seen>>>::default();
        let (sender, count) = watch::channel(0);
        let shared = Shared { script: Arc::new(script), log: log.clone(), count: sender };
        let router = Router::new().fallback(answer).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, log, count }
    }

    /// A node that gives one answer to everything.
    pub(crate) async fn of(answer: Value) -> Self {
        Self::start(move |_| answer.clone().into()).await
    }

    /// A node that refuses everything.
    pub(crate) async fn refusing(code: u16, message: &str) -> Self {
        let body = serde_json::json!({"code": code, "message": message});
        Self::start(move |_| Answer::Json(code, body.clone())).await
    }

    pub(crate) async fn hanging() -> Self {
        Self::start(|_| Answer::Hang).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, requests: usize) {
        self.count.clone().wait_for(|count| *count >= requests).await.unwrap();
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 26).await.unwrap();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let seen = Seen { method: parts.method, path, headers: parts.headers, body };
    shared.log.lock().unwrap().push(seen.clone());
    shared.count.send_modify(|count| *count += 1);
    match (shared.script)(&seen) {
        Answer::Json(code, json) => (StatusCode::from_u16(code).unwrap(), Json(json)).into_response(),
        Answer::Text(code, text) => (StatusCode::from_u16(code).unwrap(), text).into_response(),
        Answer::Full(response) => response,
        Answer::Held(gate, json) => {
            gate.acquire().await.unwrap().forget();
            Json(json).into_response()
        }
        Answer::Hang => std::future::pending().await,
    }
}

/// A body that brings what the test sends, in the chunks in which it sends it, and ends when the sender is dropped.
pub(crate) fn live_body() -> (mpsc::UnboundedSender<&'static str>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel::<&'static str>();
    let chunks = futures::stream::unfold(receiver, |mut receiver| async move {
        let chunk = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(Bytes::from(chunk)), receiver))
    });
    (sender, Body::from_stream(chunks))
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

pub(crate) const DENEB_EPOCH: u64 = 10;
pub(crate) const ELECTRA_EPOCH: u64 = 20;

/// A minimal chain: 8 slots an epoch; Capella, then Deneb and Electra.
pub(crate) fn spec() -> ChainSpec {
    let fork = |fork, epoch| ForkEpoch { fork, version: ForkVersion([fork as u8; 4]), epoch: Epoch(epoch) };
    ChainSpec {
        name: "mock".to_owned(),
        preset: Preset::Minimal,
        genesis_time_ms: 1_600_000_000_000,
        slot_ms: 12_000,
        slots_per_epoch: 8,
        genesis_fork_version: ForkVersion([9; 4]),
        genesis_validators_root: Root([8; 32]),
        forks: vec![
            fork(Fork::Capella, 0),
            fork(Fork::Deneb, DENEB_EPOCH),
            fork(Fork::Electra, ELECTRA_EPOCH),
        ],
        timing: SlotTiming::default(),
        chain_id: 1,
    }
}

/// Waits of two minutes for what should come, so that a busy machine proves nothing; short rests.
pub(crate) fn patient() -> Limits {
    let patient = 100_000;
    Limits {
        connect_bps: patient,
        probe_bps: patient,
        attestation_bps: patient,
        query_bps: patient,
        block_bps: patient,
        list_bps: patient,
        submit_bps: patient,
        forward_bps: patient,
        hedge_bps: patient,
        hedge_long_bps: patient,
        hedge_floor_ms: 0,
        view_bps: patient,
        view_floor_ms: 0,
        floor_ms: 0,
        retry_ms: 1,
        retry_ms_max: 1,
        ..Limits::default()
    }
}

pub(crate) fn beacon(nodes: &[&Mock]) -> Beacon {
    with_limits(nodes, patient())
}

pub(crate) fn with_limits(nodes: &[&Mock], limits: Limits) -> Beacon {
    Beacon::new(nodes.iter().map(|node| &node.url), Arc::new(spec()), limits).unwrap()
}
