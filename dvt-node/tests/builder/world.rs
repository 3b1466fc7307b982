//! Relays that answer what a test says, a cluster of one validator, and the proxy between them.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use cluster::lock::ClusterValidator;
use cluster::{Registration, SignedRegistration};
use dvt_node::builder::{Builder, BuilderConfig, BuilderError, Fate, Noticed};
use keys::SecretShare;
use secrecy::SecretString;
use serde_json::{Value, json};
use ssz::Encode as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use types::block::body::{BeaconBlock, BodyElectra};
use types::block::{BlockShape, ProposedBlock, SignedBlockParts};
use types::builder::{BuilderBidElectra, SignedBuilderBid};
use types::payload::ExecutionPayloadHeaderDeneb;
use types::sizes::Minimal;
use types::spec::{ForkEpoch, SlotTiming};
use types::{
    Address, ChainSpec, Epoch, Fork, ForkVersion, Preset, PublicKey, RelayBid, Root, Signature, Slot, Wei,
};

/// The slot that is asked for: Electra's.
pub(crate) const SLOT: Slot = Slot(11);
/// A slot of Fulu.
pub(crate) const FULU: Slot = Slot(80);
/// The cluster's validator.
pub(crate) const VALIDATOR: PublicKey = PublicKey([0xa7; 48]);
/// The execution block to build on.
pub(crate) const PARENT: Root = Root([0xb1; 32]);
/// Longer than any test takes.
const WAIT: Duration = Duration::from_secs(60);

pub(crate) fn spec() -> ChainSpec {
    let fork = |fork, version, epoch| ForkEpoch {
        fork,
        version: ForkVersion([version, 0, 0, 0x51]),
        epoch: Epoch(epoch),
    };
    ChainSpec {
        name: "builder".into(),
        preset: Preset::Minimal,
        genesis_time_ms: 1_000_500,
        slot_ms: 12_000,
        slots_per_epoch: 8,
        genesis_fork_version: ForkVersion([0, 0, 0, 0x51]),
        genesis_validators_root: Root([0x67; 32]),
        forks: vec![fork(Fork::Electra, 5, 0), fork(Fork::Fulu, 6, 10)],
        timing: SlotTiming::default(),
        chain_id: 1,
    }
}

/// The key of a relay, by its number from 1.
pub(crate) fn secret(number: u8) -> SecretShare {
    let mut bytes = [0; 32];
    bytes[31] = number;
    SecretShare::from_be_bytes(&bytes).unwrap()
}

/// An offer before it is signed, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) fork: Fork,
    pub(crate) relay: PublicKey,
    pub(crate) signer: u8,
    pub(crate) eth: &'static str,
    pub(crate) header: ExecutionPayloadHeaderDeneb,
}

/// What relay `number` offers for [`SLOT`].
pub(crate) fn offer(number: u8, eth: &'static str) -> Offer {
    let header = ExecutionPayloadHeaderDeneb {
        parent_hash: PARENT,
        block_hash: Root([0xd0 + number; 32]),
        timestamp: 1_000 + 12 * SLOT.0,
        ..ExecutionPayloadHeaderDeneb::default()
    };
    Offer { fork: Fork::Electra, relay: secret(number).public(), signer: number, eth, header }
}

impl Offer {
    pub(crate) fn signed(&self) -> RelayBid {
        let message = BuilderBidElectra {
            header: self.header.clone(),
            value: Wei::from_eth(self.eth).unwrap().0,
            pubkey: self.relay,
            ..BuilderBidElectra::default()
        };
        let mut bid = SignedBuilderBid { message, signature: Signature::ZERO };
        let read = |bid: &SignedBuilderBid<BuilderBidElectra>| {
            RelayBid::from_ssz(self.fork, &bid.as_ssz_bytes()).unwrap()
        };
        bid.signature = secret(self.signer).sign(&read(&bid).signing_root(&spec()));
        read(&bid)
    }
}

/// A request as a relay saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) body: Bytes,
}

type Script = Arc<dyn Fn(&Seen) -> Option<Response> + Send + Sync>;
type Log = Arc<Mutex<Vec<Seen>>>;

/// A relay; it stops with its test's runtime.
pub(crate) struct FakeRelay {
    pub(crate) url: String,
    log: Log,
}

impl FakeRelay {
    /// A relay under a key. What the script has no answer to is never answered.
    pub(crate) async fn start(
        number: u8,
        script: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}@{}", secret(number).public(), listener.local_addr().unwrap());
        let log = Log::default();
        let router = Router::new().fallback(answer).with_state((Arc::new(script) as Script, log.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, log }
    }

    /// A relay that makes this offer, and takes all else that it is given.
    pub(crate) async fn offering(number: u8, offer: &Offer) -> Self {
        let bid = offer.signed().to_json();
        Self::start(number, move |seen| {
            Some(if seen.path.contains("/header/") { axum::Json(bid.clone()).into_response() } else { yes() })
        })
        .await
    }

    /// A relay without a bid, that takes all else that it is given.
    pub(crate) async fn without_bid(number: u8) -> Self {
        Self::start(number, |seen| Some(if seen.path.contains("/header/") { text(204, "") } else { yes() }))
            .await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// Requests to paths that end like this.
    pub(crate) fn asked(&self, end: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path.ends_with(end)).count()
    }
}

async fn answer(State((script, log)): State<(Script, Log)>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 26).await.unwrap();
    let seen = Seen { path: parts.uri.path_and_query().unwrap().to_string(), body };
    log.lock().unwrap().push(seen.clone());
    match script(&seen) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

/// Waits for what is on its way over loopback.
pub(crate) async fn until(so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT, waiting).await.expect("what is on its way arrives");
}

pub(crate) fn text(code: u16, body: &str) -> Response {
    (StatusCode::from_u16(code).unwrap(), body.to_owned()).into_response()
}

pub(crate) fn yes() -> Response {
    text(202, "")
}

/// What the proxy counted.
pub(crate) type Counted = Arc<Mutex<Vec<(String, Fate)>>>;

/// The proxy between a test and its relays.
pub(crate) struct World {
    pub(crate) builder: Arc<Builder>,
    pub(crate) app: Router,
    counted: Counted,
}

pub(crate) fn config(relays: &[&FakeRelay]) -> BuilderConfig {
    BuilderConfig {
        relays: relays.iter().map(|relay| SecretString::from(relay.url.as_str())).collect(),
        listen: "127.0.0.1:0".parse().unwrap(),
        min_bid: Wei::ZERO,
        header_wait: WAIT,
        boost_factor: 100,
    }
}

pub(crate) fn registration() -> SignedRegistration {
    let message = Registration {
        fee_recipient: Address([0xfe; 20]),
        gas_limit: 60_000_000,
        timestamp_s: 1_700_000_000,
        public_key: VALIDATOR,
    };
    SignedRegistration { message, signature: Signature([5; 96]) }
}

pub(crate) fn validator(registration: Option<SignedRegistration>) -> ClusterValidator {
    ClusterValidator {
        public_key: VALIDATOR,
        public_shares: Vec::new(),
        fee_recipient: Address([0xfe; 20]),
        withdrawal_address: Address([0xfd; 20]),
        gas_limit: 60_000_000,
        registration,
    }
}

pub(crate) fn build(
    config: BuilderConfig,
    validators: &[ClusterValidator],
    counted: Counted,
) -> Result<Arc<Builder>, BuilderError> {
    let notice = Box::new(move |noticed: Noticed<'_>| {
        if let Noticed::Bid { relay, fate } = noticed {
            counted.lock().unwrap().push((relay.to_owned(), fate));
        }
    });
    Builder::new(config, Arc::new(spec()), validators, notice)
}

pub(crate) fn world_of(config: BuilderConfig, registration: Option<SignedRegistration>) -> World {
    let counted = Counted::default();
    let builder = build(config, &[validator(registration)], counted.clone()).unwrap();
    World { app: builder.router(), builder, counted }
}

pub(crate) fn world(relays: &[&FakeRelay]) -> World {
    world_of(config(relays), Some(registration()))
}

/// A response, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The words of an error, which has its own status in it.
    pub(crate) fn message(&self) -> String {
        let json = self.json();
        assert_eq!(json["code"], self.status);
        json["message"].as_str().unwrap().to_owned()
    }
}

impl World {
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 26).await.unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, fork: &str, body: Vec<u8>, kind: &str) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, kind);
        let request = request.header("eth-consensus-version", fork);
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// The beacon node asks for a bid, as it should.
    pub(crate) async fn header(&self) -> Answer {
        self.get(&header_path(SLOT, PARENT, VALIDATOR)).await
    }

    /// How the asking of each relay ended, in any order.
    pub(crate) fn fates(&self) -> Vec<Fate> {
        let mut fates: Vec<Fate> = self.counted.lock().unwrap().iter().map(|(_, fate)| *fate).collect();
        fates.sort();
        fates
    }

    /// Hands a signed blinded block in, as JSON.
    pub(crate) async fn hand_in(&self, version: u8, signed: &SignedBlockParts) -> Answer {
        let json = signed.to_json(Preset::Minimal).unwrap().to_string().into_bytes();
        let path = format!("/eth/v{version}/builder/blinded_blocks");
        self.post(&path, &signed.block.fork.to_string(), json, "application/json").await
    }
}

pub(crate) fn header_path(slot: Slot, parent: Root, validator: PublicKey) -> String {
    format!("/eth/v1/builder/header/{slot}/{parent}/{validator}")
}

/// A full block with this execution block, its signed blinded form, and what a relay reveals of it.
pub(crate) fn block(slot: Slot, block_hash: Root) -> (ProposedBlock, SignedBlockParts, Value) {
    let fork = spec().fork_at(spec().epoch_of(slot)).fork;
    let mut json = serde_json::to_value(BeaconBlock::<BodyElectra<Minimal>>::default()).unwrap();
    json["slot"] = json!(slot);
    json["body"]["execution_payload"]["block_hash"] = json!(block_hash);
    json["body"]["execution_payload"]["transactions"] = json!(["0x0102"]);
    let full = ProposedBlock::from_json(BlockShape::full(Preset::Minimal, fork), &json).unwrap();
    let blinded = full.blind(Preset::Minimal).unwrap();
    let revealed = json!({
        "version": fork,
        "data": {
            "execution_payload": json["body"]["execution_payload"],
            "blobs_bundle": { "commitments": [], "proofs": [], "blobs": [] },
        },
    });
    (full, SignedBlockParts { block: blinded, signature: Signature([3; 96]) }, revealed)
}
