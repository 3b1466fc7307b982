//! A validator client's keymanager API, as far as keystores are handed over.
#![allow(dead_code, reason = "each test program uses its part")]

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use types::PublicKey;

/// What a client was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) history: Option<String>,
}

/// A client with a token, who takes keystores or says why not. It serves from a thread of its own.
pub(crate) struct FakeClient {
    pub(crate) url: String,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Clone)]
struct Desk {
    token: String,
    answer: Result<&'static str, &'static str>,
    taken: Arc<Mutex<Taken>>,
}

impl FakeClient {
    pub(crate) fn start(token: &str, answer: Result<&'static str, &'static str>) -> Self {
        let taken = Arc::new(Mutex::new(Taken::default()));
        let desk = Desk { token: format!("Bearer {token}"), answer, taken: taken.clone() };
        let routes = Router::new().route("/eth/v1/keystores", post(import).get(list)).with_state(desk);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, routes).await.unwrap();
            });
        });
        Self { url, taken }
    }

    pub(crate) fn taken(&self) -> Taken {
        self.taken.lock().unwrap().clone()
    }
}

fn may(desk: &Desk, headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes() == desk.token.as_bytes())
}

async fn import(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    if !may(&desk, &headers) {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut taken = desk.taken.lock().unwrap();
    let mut statuses = Vec::new();
    for (keystore, password) in
        body["keystores"].as_array().unwrap().iter().zip(body["passwords"].as_array().unwrap())
    {
        let keystore = keys::Keystore::parse(keystore.as_str().unwrap().as_bytes()).unwrap();
        let secret = keystore.decrypt(&password.as_str().unwrap().into()).expect("its password opens it");
        statuses.push(match desk.answer {
            Ok(status) => {
                taken.keys.push(secret.public());
                json!({ "status": status, "message": "" })
            }
            Err(message) => json!({ "status": "error", "message": message }),
        });
    }
    taken.history = body["slashing_protection"].as_str().map(str::to_owned);
    (StatusCode::OK, json!({ "data": statuses }).to_string())
}

async fn list(State(desk): State<Desk>, headers: HeaderMap) -> (StatusCode, String) {
    if !may(&desk, &headers) {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    let keys = desk.taken.lock().unwrap().keys.clone();
    let row = |key: &PublicKey| json!({ "validating_pubkey": key, "derivation_path": "", "readonly": false });
    (StatusCode::OK, json!({ "data": keys.iter().map(row).collect::<Vec<_>>() }).to_string())
}
