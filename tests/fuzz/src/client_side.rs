//! The validator API's routes, with requests of any client, and with answers of any beacon node behind them.
//!
//! An input names a route, how its body is written, and what the world beside answers; the rest is the body, or the
//! query of a question. Whatever it is:
//!
//! - there is an answer, and every error is `{code, message}` with the status as its code;
//! - what core is asked is about validators of this cluster.

use crate::posts::LISTS;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request, header};
use bytes::Bytes;
use dvt_node::validator_api::{
    Api, Duties, ForwardRequest, ForwardResponse, Seat, Upstream, UpstreamError, ValidatorEntry, router,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use symbolon_core::stop::Reason;
use symbolon_core::{Answer, Ask, Refusal};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use types::block::body::{BeaconBlock, BodyElectra};
use types::duty::AttesterDuty;
use types::operations::SignedVoluntaryExit;
use types::sizes::Minimal;
use types::sync::SyncCommitteeMessage;
use types::{
    BeaconVote, ChainSpec, Epoch, Millis, Preset, PublicKey, Root, Signature, Slot, ValidatorIndex,
    ValidatorNo,
};

const VALIDATORS: u8 = 3;
/// The first slot of Electra, which the clock shows.
const NOW: Slot = Slot(65);
/// Longest answer that is read whole.
const ANSWER_LEN_MAX: usize = 1 << 20;
/// Letters of a query that is asked: longer ones say nothing new.
const QUERY_LEN_MAX: usize = 512;

/// Routes that take a body beside [`LISTS`].
const OTHER_POSTS: [&str; 5] = [
    "/eth/v2/beacon/blocks",
    "/eth/v2/beacon/blinded_blocks",
    "/eth/v2/beacon/pool/attester_slashings",
    "/eth/v1/beacon/pool/proposer_slashings",
    "/eth/v1/beacon/pool/bls_to_execution_changes",
];
/// How many take a body.
const POSTS: usize = LISTS.len() + OTHER_POSTS.len();
/// Every question; what stands behind the path is the input's.
const GETS: [&str; 12] = [
    "/eth/v1/beacon/states/head/validators?",
    "/eth/v1/beacon/states/head/validators/",
    "/eth/v1/beacon/states/head/validator_balances?",
    "/eth/v1/validator/duties/proposer/",
    "/eth/v1/validator/attestation_data?",
    "/eth/v3/validator/blocks/",
    "/eth/v1/beacon/blocks/head/root?",
    "/eth/v2/validator/aggregate_attestation?",
    "/eth/v1/validator/sync_committee_contribution?",
    "/eth/v1/events?",
    "/eth/v1/node/",
    "/eth/",
];

/// How core and the beacon nodes answer: the low bits of the third byte.
#[derive(Clone, Copy)]
enum Mood {
    Kind,
    Refusing,
    Gone,
    /// Beacon nodes give the body of the request as their answer.
    Echo,
}

impl Mood {
    const fn of(byte: u8) -> Self {
        match byte % 4 {
            0 => Self::Kind,
            1 => Self::Refusing,
            2 => Self::Gone,
            _ => Self::Echo,
        }
    }
}

struct Beside(Mood);

impl Duties for Beside {
    async fn ask(&self, ask: Ask) -> Option<Answer> {
        assert_ours(&ask);
        let answer = match (self.0, &ask) {
            (Mood::Gone, _) => return None,
            (Mood::Refusing, Ask::Attestations { .. } | Ask::SyncMessages { .. }) => {
                Answer::PartlyRefused(vec![(0, Refusal::NoDuty(NOW))])
            }
            (Mood::Refusing, _) => Answer::Refused(Refusal::Stopped(Reason::Clock)),
            (_, Ask::Vote { .. }) => Answer::Vote(BeaconVote::default()),
            (_, Ask::HeadRoot { .. }) => Answer::HeadRoot(Root([3; 32])),
            (_, Ask::Selections { halves, .. }) => {
                Answer::Selections((0..halves.len()).map(|at| (at, Signature([9; 96]))).collect())
            }
            _ => Answer::Accepted,
        };
        Some(answer)
    }
}

/// Core numbers the cluster's validators and knows no other.
fn assert_ours(ask: &Ask) {
    let numbers: Vec<ValidatorNo> = match ask {
        Ask::Attestations { halves, .. } => halves.iter().map(|half| half.validator).collect(),
        Ask::SyncMessages { halves, .. } => halves.iter().map(|half| half.validator).collect(),
        Ask::Selections { halves, .. } => halves.iter().map(|half| half.item.validator).collect(),
        Ask::SignedAggregates { halves, .. } => halves.iter().map(|half| half.item.validator).collect(),
        Ask::Exit { validator, .. } => vec![*validator],
        Ask::Register { statement, halves } => {
            assert_eq!(statement.validators.len(), halves.len(), "a half for each");
            statement.validators.clone()
        }
        Ask::Vote { .. }
        | Ask::Block { .. }
        | Ask::SignedBlock { .. }
        | Ask::HeadRoot { .. }
        | Ask::Aggregate { .. }
        | Ask::Approvals => Vec::new(),
    };
    assert!(numbers.iter().all(|number| number.0 < u32::from(VALIDATORS)), "a stranger's: {ask:?}");
}

const fn key(first: u8, number: u8) -> PublicKey {
    PublicKey([first + number; 48])
}

fn down() -> UpstreamError {
    UpstreamError { status: 503, message: "no beacon node answers".to_owned() }
}

impl Upstream for Beside {
    async fn validators(&self, keys: &[PublicKey]) -> Result<Vec<ValidatorEntry>, UpstreamError> {
        let known = (0..2).map(|number| ValidatorEntry {
            index: ValidatorIndex(10 + u64::from(number)),
            pubkey: key(0xa0, number),
        });
        match self.0 {
            Mood::Gone => Err(down()),
            Mood::Kind | Mood::Refusing | Mood::Echo => {
                Ok(known.filter(|entry| keys.contains(&entry.pubkey)).collect())
            }
        }
    }

    async fn attester_duties(
        &self,
        _: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<Vec<AttesterDuty>, UpstreamError> {
        let duty = |index: &ValidatorIndex| AttesterDuty {
            pubkey: key(0xa0, 0),
            validator_index: *index,
            committee_index: 1,
            committee_length: 8,
            committees_at_slot: 4,
            validator_committee_index: 2,
            slot: NOW,
        };
        if matches!(self.0, Mood::Gone) { Err(down()) } else { Ok(indices.iter().map(duty).collect()) }
    }

    async fn forward(&self, request: ForwardRequest) -> Result<ForwardResponse, UpstreamError> {
        let entry =
            json!({ "index": "10", "status": "active_ongoing", "validator": { "pubkey": key(0xa0, 0) } });
        let kind = json!({ "dependent_root": Root([7; 32]), "execution_optimistic": false, "data": [entry] });
        let (status, body) = match self.0 {
            Mood::Gone => return Err(down()),
            Mood::Refusing => (400, Bytes::from_static(br#"{"code":400,"message":"no"}"#)),
            Mood::Kind => (200, Bytes::from(kind.to_string())),
            Mood::Echo => (200, request.body),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(ForwardResponse { status, headers, body })
    }

    async fn forward_stream(
        &self,
        _: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, UpstreamError>>, UpstreamError> {
        let event = Bytes::from_static(b"event: head\ndata: {}\n\n");
        match self.0 {
            Mood::Kind | Mood::Echo => Ok(futures::stream::iter([Ok(event)]).boxed()),
            Mood::Refusing | Mood::Gone => Err(down()),
        }
    }
}

/// Minimal sizes, epochs of 8 slots, a fork every 4 epochs.
fn spec() -> ChainSpec {
    let mut spec = ChainSpec::builtin("hoodi").expect("hoodi is built in");
    spec.preset = Preset::Minimal;
    spec.slots_per_epoch = 8;
    for (place, row) in spec.forks.iter_mut().enumerate() {
        row.epoch = Epoch(4 * place as u64);
    }
    spec
}

static SPEC: LazyLock<Arc<ChainSpec>> = LazyLock::new(|| Arc::new(spec()));

fn app(mood: Mood) -> Router {
    let seat = |number: u8| Seat {
        number: ValidatorNo(number.into()),
        group_key: key(0xa0, number),
        client_key: key(0xb0, number),
        share_key: key(0x80, number),
    };
    router(Api {
        seats: (0..VALIDATORS).map(seat).collect(),
        upstream: Beside(mood),
        spec: SPEC.clone(),
        duties: Beside(mood),
        contents: Box::new(|_| None),
        notice: Box::new(|_| ()),
        now: Box::new(|| SPEC.slot_start(NOW).after(Millis(6_000))),
    })
}

/// One thread: what reads blocks aside is waited for.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).max_blocking_threads(1).enable_time().build().expect("a runtime of two threads")
});

pub(crate) fn validator_api(input: &[u8]) -> bool {
    let Some((&[route, form, mood], rest)) = input.split_first_chunk::<3>() else { return false };
    let Some(request) = request(route, form, rest) else { return false };
    let app = app(Mood::of(mood));
    RUNTIME.block_on(async {
        let response = app.oneshot(request).await.expect("a router has no errors");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, ANSWER_LEN_MAX).await.expect("an answer to a short question is short");
        if parts.status.is_success() {
            return true;
        }
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (code, message) = (told["code"].as_u64(), told["message"].as_str());
        assert_eq!(code, Some(parts.status.as_u16().into()), "{} of {route}: {told}", parts.status);
        assert!(message.is_some(), "an error without words: {told}");
        false
    })
}

/// What is asked; `None` for a path that no client can ask.
fn request(route: u8, form: u8, rest: &[u8]) -> Option<Request<Body>> {
    let forks = ["electra", "fulu", "deneb", "capella", "altair"];
    let fork = forks[usize::from(form >> 2) % forks.len()];
    let kind = if form & 1 == 0 { "application/json" } else { "application/octet-stream" };
    let accept = if form & 2 == 0 { "application/json" } else { "application/octet-stream;q=1,*/*;q=0.9" };
    let route = usize::from(route) % (POSTS + GETS.len());
    let (builder, body) = match LISTS.iter().chain(&OTHER_POSTS).nth(route) {
        Some(path) => (Request::post(*path).header(header::CONTENT_TYPE, kind), Body::from(rest.to_vec())),
        None => {
            let query = str::from_utf8(rest.get(..QUERY_LEN_MAX.min(rest.len()))?).ok()?;
            (Request::get(format!("{}{query}", GETS[route - POSTS])), Body::empty())
        }
    };
    let builder = builder.header(header::ACCEPT, accept).header("eth-consensus-version", fork);
    builder.body(body).ok()
}

/// A good request of each route.
pub(crate) fn validator_apis() -> Vec<Vec<u8>> {
    let half = Signature([0x5a; 96]);
    let data = json!({
        "slot": "65", "index": "0", "beacon_block_root": Root([3; 32]),
        "source": { "epoch": "0", "root": Root::ZERO }, "target": { "epoch": "8", "root": Root([8; 32]) },
    });
    let vote = json!({ "committee_index": "1", "attester_index": "10", "data": data, "signature": half });
    let selection = json!({ "validator_index": "10", "slot": "65", "selection_proof": half });
    let sync_selection =
        json!({ "validator_index": "10", "slot": "65", "subcommittee_index": "1", "selection_proof": half });
    let message =
        SyncCommitteeMessage { slot: NOW, validator_index: ValidatorIndex(10), ..Default::default() };
    let exit = SignedVoluntaryExit::default();
    let block = json!(BeaconBlock::<BodyElectra<Minimal>> { slot: NOW, ..Default::default() });
    let contents =
        json!({ "signed_block": { "message": block, "signature": half }, "kzg_proofs": [], "blobs": [] });
    let indices = json!(["10", "11"]);
    let keys = json!({ "ids": [key(0xb0, 0), "10"], "statuses": ["active"] });
    let bodies = [
        keys.clone(),
        json!([key(0xb0, 0)]),
        json!([key(0xb0, 1), "99"]),
        indices.clone(),
        indices.clone(),
        indices.clone(),
        json!([{ "validator_index": "10", "committee_index": "1", "committees_at_slot": "4", "slot": "65", "is_aggregator": true }]),
        json!([{ "validator_index": "10", "sync_committee_indices": ["3", "17"], "until_epoch": "9" }]),
        json!([{ "validator_index": "10", "fee_recipient": format!("0x{}", "fe".repeat(20)) }]),
        json!([]),
        json!([vote]),
        json!([]),
        json!([]),
        json!([message]),
        indices.clone(),
        indices,
        json!(exit),
        json!([selection]),
        json!([sync_selection]),
        contents,
    ];
    let posts =
        bodies.iter().zip(0_u8..).map(|(body, route)| [&[route, 0, 0], body.to_string().as_bytes()].concat());
    let first = POSTS as u8;
    let randao = format!("65?randao_reveal={half}");
    let queries = [
        format!("id={}&status=active", key(0xb0, 0)),
        key(0xb0, 0).to_string(),
        "id=10,11".to_owned(),
        "8".to_owned(),
        "slot=65&committee_index=1".to_owned(),
        randao,
        String::new(),
        format!("attestation_data_root={}&slot=65&committee_index=1", Root([3; 32])),
        format!("slot=65&subcommittee_index=1&beacon_block_root={}", Root([3; 32])),
        "topics=head".to_owned(),
        "syncing".to_owned(),
    ];
    let gets = queries.iter().zip(first..).map(|(query, route)| [&[route, 0, 0], query.as_bytes()].concat());
    posts.chain(gets).filter(|input| validator_api(input)).collect()
}
