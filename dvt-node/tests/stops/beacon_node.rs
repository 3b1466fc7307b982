//! A beacon node that knows two validators and says of them what a test wants; of everything else it says 503.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use types::{Epoch, PublicKey};

/// Index of the first validator.
const FIRST: u64 = 40;

type Answers = Arc<Mutex<BTreeMap<String, Value>>>;

pub(crate) struct BeaconNode {
    url: String,
    keys: Vec<PublicKey>,
    answers: Answers,
}

async fn serve(State(answers): State<Answers>, uri: Uri) -> Response {
    match answers.lock().unwrap().get(uri.path()) {
        Some(body) => body.to_string().into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

impl BeaconNode {
    pub(crate) async fn start(keys: &[PublicKey]) -> Self {
        let answers = Answers::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(serve).with_state(answers.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, keys: keys.to_vec(), answers }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// From now on the validators have these statuses, and the record of this one says that it was slashed.
    pub(crate) fn answer(&self, path: &str, statuses: &[&str], slashed: usize) {
        let entry = |(number, (key, status)): (usize, (&PublicKey, &&str))| {
            let validator = json!({ "pubkey": key, "slashed": number == slashed });
            json!({ "index": index(number), "balance": "1", "status": status, "validator": validator })
        };
        let entries: Vec<_> = self.keys.iter().zip(statuses).enumerate().map(entry).collect();
        self.answers.lock().unwrap().insert(path.to_owned(), json!({ "data": entries }));
    }

    /// From now on this is the answer.
    pub(crate) fn say(&self, path: &str, data: &Value) {
        self.answers.lock().unwrap().insert(path.to_owned(), json!({ "data": data }));
    }

    /// From now on these validators were live in an epoch.
    pub(crate) fn live(&self, epoch: Epoch, live: [bool; 2]) {
        let entry = |number: usize| json!({ "index": index(number), "is_live": live[number] });
        let path = format!("/eth/v1/validator/liveness/{epoch}");
        let body = json!({ "data": [entry(0), entry(1)] });
        self.answers.lock().unwrap().insert(path, body);
    }
}

fn index(number: usize) -> String {
    (FIRST + number as u64).to_string()
}
