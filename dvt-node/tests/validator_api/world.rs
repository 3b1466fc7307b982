//! A beacon node that knows group keys only, a core that writes down what it is asked, and the server between them.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use bytes::Bytes;
use dvt_node::validator_api::{
    Api, Duties, ForwardRequest, ForwardResponse, Noticed, Seat, Upstream, UpstreamError, ValidatorEntry,
    router,
};
use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use symbolon_core::{Answer, Ask};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use types::block::BlockContents;
use types::duty::{AttesterDuty, SyncDuty};
use types::{ChainSpec, Epoch, Millis, Preset, PublicKey, Root, Slot, ValidatorIndex, ValidatorNo};

/// First slots of the forks in [`spec`].
pub(crate) const CAPELLA: Slot = Slot(3);
pub(crate) const DENEB: Slot = Slot(33);
pub(crate) const ELECTRA: Slot = Slot(65);
pub(crate) const FULU: Slot = Slot(97);

/// Minimal sizes, epochs of 8 slots, a fork every 4 epochs.
pub(crate) fn spec() -> ChainSpec {
    let mut spec = ChainSpec::builtin("hoodi").unwrap();
    spec.preset = Preset::Minimal;
    spec.slots_per_epoch = 8;
    for (place, row) in spec.forks.iter_mut().enumerate() {
        row.epoch = Epoch(4 * place as u64);
    }
    spec
}

pub(crate) fn group_key(number: u8) -> PublicKey {
    PublicKey([0xa0 + number; 48])
}

pub(crate) fn client_key(number: u8) -> PublicKey {
    PublicKey([0xb0 + number; 48])
}

pub(crate) fn share_key(number: u8) -> PublicKey {
    PublicKey([0x80 + number; 48])
}

/// A validator of the chain that is not ours, with index 99.
pub(crate) const STRANGER: PublicKey = PublicKey([0x91; 48]);
pub(crate) const STRANGER_INDEX: u64 = 99;

/// Index of a validator of ours on the chain.
pub(crate) const fn index(number: u8) -> u64 {
    10 + number as u64
}

/// What the chain knows.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) validators: Vec<(u64, PublicKey)>,
    pub(crate) duties: Vec<AttesterDuty>,
    pub(crate) members: Vec<SyncDuty>,
    /// What the next requests are answered, whatever they ask.
    pub(crate) script: VecDeque<Result<ForwardResponse, UpstreamError>>,
    pub(crate) forwarded: Vec<ForwardRequest>,
    /// How often the chain was asked for validators and for duties.
    pub(crate) validators_asked: usize,
    pub(crate) duties_asked: usize,
    pub(crate) events: Option<mpsc::UnboundedReceiver<Bytes>>,
    pub(crate) down: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct BeaconNode(pub(crate) Arc<Mutex<Chain>>);

pub(crate) fn respond(status: u16, kind: &'static str, body: impl Into<Bytes>) -> ForwardResponse {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::SERVER, HeaderValue::from_static("a beacon node"));
    headers.insert("eth-consensus-version", HeaderValue::from_static("deneb"));
    ForwardResponse { status, headers, body: body.into() }
}

impl Chain {
    fn entry(&self, id: &str) -> Option<Value> {
        let named = |(index, key): &&(u64, PublicKey)| id == index.to_string() || id == key.to_string();
        self.validators.iter().find(named).map(entry)
    }

    fn entries(&self, ids: &[String]) -> Value {
        if ids.is_empty() {
            return self.validators.iter().map(entry).collect();
        }
        ids.iter().filter_map(|id| self.entry(id)).collect()
    }

    fn answer(&self, request: &ForwardRequest) -> ForwardResponse {
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((&request.path_and_query, ""));
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let last = path.rsplit('/').next().unwrap();
        let data = if path.contains("/states/") && last.starts_with("validator") {
            let of_query = query.split('&').filter_map(|pair| pair.strip_prefix("id=")).map(str::to_owned);
            let list = body.get("ids").unwrap_or(&body).as_array().cloned().unwrap_or_default();
            let of_body = list.iter().map(|id| id.as_str().unwrap().to_owned());
            self.entries(&of_query.chain(of_body).collect::<Vec<_>>())
        } else if path.contains("/validators/") {
            let Some(entry) = self.entry(last) else {
                return respond(404, "application/json", r#"{"code":404,"message":"validator not found"}"#);
            };
            entry
        } else if path.contains("/duties/attester/") {
            let wanted: Vec<ValidatorIndex> = serde_json::from_value(body).unwrap();
            json!(
                self.duties.iter().filter(|duty| wanted.contains(&duty.validator_index)).collect::<Vec<_>>()
            )
        } else if path.contains("/duties/proposer/") {
            let duty = |(index, key): &(u64, PublicKey)| json!({ "pubkey": key, "validator_index": index.to_string(), "slot": "8" });
            self.validators.iter().map(duty).collect()
        } else if path.contains("/duties/sync/") {
            let wanted: Vec<ValidatorIndex> = serde_json::from_value(body).unwrap();
            json!(
                self.members.iter().filter(|duty| wanted.contains(&duty.validator_index)).collect::<Vec<_>>()
            )
        } else if path.contains("/liveness/") {
            // Everybody was seen.
            let seen = |index: &Value| json!({ "index": index, "is_live": true });
            body.as_array().unwrap().iter().map(seen).collect()
        } else {
            json!({ "asked": request.path_and_query })
        };
        let root = Root([7; 32]);
        let body = json!({ "dependent_root": root, "execution_optimistic": false, "data": data });
        respond(200, "application/json", body.to_string())
    }
}

fn entry((index, key): &(u64, PublicKey)) -> Value {
    json!({
        "index": index.to_string(), "balance": "32", "status": "active_ongoing", "pubkey": key,
        "activation_epoch": "7",
        "validator": { "pubkey": key, "slashed": false },
    })
}

impl Upstream for BeaconNode {
    async fn validators(&self, keys: &[PublicKey]) -> Result<Vec<ValidatorEntry>, UpstreamError> {
        let mut chain = self.0.lock().unwrap();
        chain.validators_asked += 1;
        if chain.down {
            return Err(down());
        }
        let ours = chain.validators.iter().filter(|(_, key)| keys.contains(key));
        Ok(ours.map(|(index, key)| ValidatorEntry { index: ValidatorIndex(*index), pubkey: *key }).collect())
    }

    async fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<Vec<AttesterDuty>, UpstreamError> {
        let mut chain = self.0.lock().unwrap();
        chain.duties_asked += 1;
        if chain.down {
            return Err(down());
        }
        let due =
            |duty: &&AttesterDuty| Epoch(duty.slot.0 / 8) == epoch && indices.contains(&duty.validator_index);
        Ok(chain.duties.iter().filter(due).cloned().collect())
    }

    async fn forward(&self, request: ForwardRequest) -> Result<ForwardResponse, UpstreamError> {
        let mut chain = self.0.lock().unwrap();
        chain.forwarded.push(request.clone());
        if chain.down {
            return Err(down());
        }
        chain.script.pop_front().unwrap_or_else(|| Ok(chain.answer(&request)))
    }

    async fn forward_stream(
        &self,
        path_and_query: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, UpstreamError>>, UpstreamError> {
        assert_eq!(path_and_query, "/eth/v1/events?topics=head");
        let events = self.0.lock().unwrap().events.take();
        Ok(events.ok_or_else(down)?.map(Ok).boxed())
    }
}

pub(crate) fn down() -> UpstreamError {
    UpstreamError { status: 503, message: "no beacon node answers".to_owned() }
}

/// Core, as far as the server can tell: answers in the order given, then `Accepted`.
#[derive(Clone, Debug)]
pub(crate) struct Mind {
    pub(crate) answers: Arc<Mutex<VecDeque<Option<Answer>>>>,
    pub(crate) asks: Arc<Mutex<Vec<Ask>>>,
    /// Each answer takes one; plenty unless a test takes them away.
    pub(crate) gate: Arc<Semaphore>,
}

impl Duties for Mind {
    async fn ask(&self, ask: Ask) -> Option<Answer> {
        self.asks.lock().unwrap().push(ask);
        let _turn = self.gate.acquire().await.unwrap();
        self.answers.lock().unwrap().pop_front().unwrap_or(Some(Answer::Accepted))
    }
}

pub(crate) struct World {
    pub(crate) app: Router,
    pub(crate) node: BeaconNode,
    pub(crate) mind: Mind,
    pub(crate) noticed: Arc<Mutex<Vec<Noticed>>>,
    /// What the clock says; the middle of the first slot of Electra unless a test sets it.
    pub(crate) now: Arc<Mutex<Millis>>,
    pub(crate) contents: Arc<Mutex<Option<BlockContents>>>,
}

/// Validators 0, 1 and 2 are ours; 0 and 1 are on the chain already.
pub(crate) fn world() -> World {
    let chain = Chain {
        validators: vec![(index(0), group_key(0)), (index(1), group_key(1)), (STRANGER_INDEX, STRANGER)],
        ..Chain::default()
    };
    let node = BeaconNode(Arc::new(Mutex::new(chain)));
    let mind = Mind {
        answers: Arc::default(),
        asks: Arc::default(),
        gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
    };
    let noticed = Arc::new(Mutex::new(Vec::new()));
    let contents: Arc<Mutex<Option<BlockContents>>> = Arc::default();
    let seat = |number: u8| Seat {
        number: ValidatorNo(number.into()),
        group_key: group_key(number),
        client_key: client_key(number),
        share_key: share_key(number),
    };
    let found = contents.clone();
    let told = noticed.clone();
    let now = Arc::new(Mutex::new(spec().slot_start(ELECTRA).after(Millis(6_000))));
    let clock = now.clone();
    let app = router(Api {
        seats: (0..3).map(seat).collect(),
        upstream: node.clone(),
        spec: Arc::new(spec()),
        duties: mind.clone(),
        contents: Box::new(move |root| {
            let found = found.lock().unwrap().clone();
            found.filter(|contents| contents.block.root == *root)
        }),
        notice: Box::new(move |what| told.lock().unwrap().push(what)),
        now: Box::new(move || *clock.lock().unwrap()),
    });
    World { app, node, mind, noticed, now, contents }
}

/// What current clients say that they take.
const SSZ_RATHER: &str = "application/octet-stream;q=1,application/json;q=0.9";

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json", "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The JSON of a success.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }

    /// The SSZ of a success.
    pub(crate) fn ssz(&self) -> Vec<u8> {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/octet-stream");
        self.body.to_vec()
    }

    /// A success without a body.
    pub(crate) fn taken(&self) {
        assert_eq!((self.status, self.body.len()), (StatusCode::OK, 0), "{self:?}");
    }

    /// An error in the API's form that says `words`.
    pub(crate) fn refused(&self, code: u16, words: &str) -> Value {
        assert_eq!(self.status.as_u16(), code, "{self:?}");
        let json = self.json();
        assert_eq!(json["code"], code, "{json}");
        assert!(json["message"].as_str().unwrap().contains(words), "{json} does not say {words}");
        json
    }
}

impl World {
    pub(crate) async fn call(&self, request: Request<Body>) -> Got {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Got { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.call(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// As a client asks that takes JSON too, but rather SSZ.
    pub(crate) async fn get_ssz(&self, path: &str) -> Got {
        self.call(Request::get(path).header(header::ACCEPT, SSZ_RATHER).body(Body::empty()).unwrap()).await
    }

    /// SSZ sent, and SSZ wanted.
    pub(crate) async fn post_ssz(&self, fork: &str, path: &str, body: Vec<u8>) -> Got {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::ACCEPT, SSZ_RATHER)
            .header("eth-consensus-version", fork);
        self.call(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.post_bytes(path, "application/json", "electra", body.to_string()).await
    }

    pub(crate) async fn post_of(&self, fork: &str, path: &str, body: Value) -> Got {
        self.post_bytes(path, "application/json", fork, body.to_string()).await
    }

    pub(crate) async fn post_bytes(&self, path: &str, kind: &str, fork: &str, body: impl Into<Body>) -> Got {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, kind)
            .header("eth-consensus-version", fork)
            .body(body.into());
        self.call(request.unwrap()).await
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.mind.answers.lock().unwrap().push_back(Some(answer));
    }

    pub(crate) fn asks(&self) -> Vec<Ask> {
        std::mem::take(&mut self.mind.asks.lock().unwrap())
    }

    pub(crate) fn forwarded(&self) -> Vec<ForwardRequest> {
        std::mem::take(&mut self.chain().forwarded)
    }

    /// Method, path and body of the one request that was passed on.
    pub(crate) fn forwarded_once(&self) -> (Method, String, String) {
        let mut forwarded = self.forwarded();
        assert_eq!(forwarded.len(), 1, "{forwarded:?}");
        let one = forwarded.remove(0);
        (one.method, one.path_and_query, String::from_utf8(one.body.to_vec()).unwrap())
    }

    pub(crate) fn chain(&self) -> std::sync::MutexGuard<'_, Chain> {
        self.node.0.lock().unwrap()
    }
}
