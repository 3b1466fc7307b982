//! A running node's validator API, as far as approvals go: it says what it is told to, and writes down what it is given.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use dvt_node::validator_api::approvals::{
    Approval, EXITS, ExitEntry, ExitList, REGISTRATIONS, RegistrationList, StatementEntry, Who,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard};
use types::operations::SignedVoluntaryExit;
use types::{Epoch, PublicKey, ValidatorNo};

/// Index of the first validator on the chain.
pub(crate) const FIRST_INDEX: u64 = 1000;

#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) token: Option<String>,
    /// Client keys that the chain knows, in the lock's order.
    pub(crate) known: Vec<PublicKey>,
    pub(crate) exits: Vec<ExitEntry>,
    pub(crate) list: Option<RegistrationList>,
    pub(crate) handed_in: Vec<SignedVoluntaryExit>,
    pub(crate) approved: Vec<Approval>,
    /// What it says to approvals, if not yes.
    pub(crate) refusal: Option<&'static str>,
    /// What a keymanager signs exits with: the half of the first validator.
    pub(crate) signed: Option<SignedVoluntaryExit>,
    pub(crate) keymanager_asked: Vec<String>,
}

type Shared = Arc<Mutex<Desk>>;

/// The server, on a thread of its own.
pub(crate) struct ScriptedNode {
    pub(crate) url: String,
    desk: Shared,
}

pub(crate) fn who() -> Who {
    Who { operator: 1, operators: 4, threshold: 3 }
}

pub(crate) fn exit_entry(validator: u32, epoch: u64, approved_by: &[u8]) -> ExitEntry {
    let (validator, epoch) = (ValidatorNo(validator), Epoch(epoch));
    ExitEntry { validator, epoch, approved_by: approved_by.to_vec(), signed: false, taken: false }
}

impl ScriptedNode {
    pub(crate) fn start(known: Vec<PublicKey>) -> Self {
        let list = RegistrationList { who: who(), statements: Vec::new(), registered: Vec::new() };
        let desk = Arc::new(Mutex::new(Desk { known, list: Some(list), ..Desk::default() }));
        let routes = Router::new()
            .route(EXITS, get(exits))
            .route(REGISTRATIONS, get(registrations).post(approve))
            .route("/eth/v1/beacon/states/head/validators/{key}", get(validator))
            .route("/eth/v1/beacon/pool/voluntary_exits", post(hand_in))
            .route("/eth/v1/validator/{key}/voluntary_exit", post(sign_exit))
            .with_state(desk.clone());
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
        Self { url, desk }
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }
}

fn refuse(code: StatusCode, message: &str) -> (StatusCode, Json<Value>) {
    (code, Json(json!({ "code": code.as_u16(), "message": message })))
}

fn yes(data: &Value) -> (StatusCode, Json<Value>) {
    (StatusCode::OK, Json(json!({ "data": data })))
}

/// Says no to who does not show the token.
fn may(desk: &Desk, headers: &HeaderMap) -> Result<(), (StatusCode, Json<Value>)> {
    let shown = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    match &desk.token {
        Some(token) if shown != Some(format!("Bearer {token}")) => {
            Err(refuse(StatusCode::UNAUTHORIZED, "no token"))
        }
        _ => Ok(()),
    }
}

async fn exits(State(desk): State<Shared>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    let desk = desk.lock().unwrap();
    match may(&desk, &headers) {
        Ok(()) => yes(&json!(ExitList { who: who(), exits: desk.exits.clone() })),
        Err(no) => no,
    }
}

async fn registrations(State(desk): State<Shared>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    let desk = desk.lock().unwrap();
    match may(&desk, &headers) {
        Ok(()) => yes(&json!(desk.list)),
        Err(no) => no,
    }
}

async fn validator(State(desk): State<Shared>, Path(key): Path<String>) -> (StatusCode, Json<Value>) {
    let place = desk.lock().unwrap().known.iter().position(|known| known.to_string() == key);
    match place {
        Some(place) => {
            yes(&json!({ "index": (FIRST_INDEX + place as u64).to_string(), "status": "active_ongoing" }))
        }
        None => refuse(StatusCode::NOT_FOUND, "validator not found"),
    }
}

async fn hand_in(State(desk): State<Shared>, headers: HeaderMap, body: Bytes) -> (StatusCode, Json<Value>) {
    let mut desk = desk.lock().unwrap();
    if let Err(no) = may(&desk, &headers) {
        return no;
    }
    if let Some(words) = desk.refusal {
        return refuse(StatusCode::BAD_REQUEST, words);
    }
    let exit: SignedVoluntaryExit = serde_json::from_slice(&body).unwrap();
    let SignedVoluntaryExit { message, .. } = exit;
    let entry = exit_entry((message.validator_index.0 - FIRST_INDEX) as u32, message.epoch.0, &[1]);
    desk.exits.push(entry);
    desk.handed_in.push(exit);
    (StatusCode::OK, Json(Value::Null))
}

async fn approve(State(desk): State<Shared>, body: Bytes) -> (StatusCode, Json<Value>) {
    let mut desk = desk.lock().unwrap();
    if let Some(words) = desk.refusal {
        return refuse(StatusCode::BAD_REQUEST, words);
    }
    let approval: Approval = serde_json::from_slice(&body).unwrap();
    let statement = approval.statement.clone();
    let (id, count) = (statement.hash(), statement.validators.len());
    let entry = StatementEntry { id, statement, approved_by: [(1, count)].into() };
    desk.list.as_mut().unwrap().statements.push(entry);
    desk.approved.push(approval);
    (StatusCode::OK, Json(Value::Null))
}

/// A keymanager's route, served here too.
async fn sign_exit(
    State(desk): State<Shared>,
    Path(key): Path<String>,
    uri: axum::http::Uri,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let mut desk = desk.lock().unwrap();
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value != "Bearer api-token-0x01") {
        return refuse(StatusCode::FORBIDDEN, "no token");
    }
    desk.keymanager_asked.push(format!("{key}?{}", uri.query().unwrap_or_default()));
    match &desk.signed {
        Some(exit) => yes(&json!(exit)),
        None => refuse(StatusCode::NOT_FOUND, "no such key"),
    }
}
