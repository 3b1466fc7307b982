//! Fake servers: real sockets on loopback, answers by the test.
#![allow(dead_code, reason = "each test file uses its part")]

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A request as the fake saw it.
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

type Script = Arc<dyn Fn(&Seen) -> Response + Send + Sync>;
type Log = Arc<Mutex<Vec<Seen>>>;

/// A fake server; it stops with its test's runtime.
pub(crate) struct Fake {
    pub(crate) url: String,
    log: Log,
}

impl Fake {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Log::default();
        let router = Router::new().fallback(answer).with_state((Arc::new(script) as Script, log.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, log }
    }

    /// A server that gives one answer to everything.
    pub(crate) async fn of(code: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        Self::start(move |_| text(code, body.clone())).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }
}

async fn answer(State((script, log)): State<(Script, Log)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 26).await.unwrap();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let seen = Seen { method: parts.method, path, headers: parts.headers, body };
    log.lock().unwrap().push(seen.clone());
    script(&seen)
}

pub(crate) fn json(value: Value) -> Response {
    Json(value).into_response()
}

pub(crate) fn text(code: u16, body: impl Into<String>) -> Response {
    (StatusCode::from_u16(code).unwrap(), body.into()).into_response()
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
