//! What does HTTP cost an attestation? The client's question and its halves in, the cluster's attestations out, over
//! sockets of the loopback.
//!
//! The router, its server and the beacon client are the node's own. Between them stands a core that agrees at once and
//! takes halves for signatures: what it does in earnest is measured elsewhere.

use axum::Router;
use axum::routing::post;
use beacon::{Beacon, Limits};
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use dvt_node::validator_api::{
    Api, Duties, ForwardRequest, ForwardResponse, Seat, Upstream, UpstreamError, ValidatorEntry, router,
};
use futures::stream::BoxStream;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use symbolon_core::{Answer, Ask, HalfAttestation};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use types::attestation::SingleAttestation;
use types::duty::AttesterDuty;
use types::{
    BeaconVote, ChainSpec, Checkpoint, Epoch, Fork, Millis, PublicKey, Root, Signature, Slot, ValidatorIndex,
    ValidatorNo,
};

/// Attesters in a slot: of 1000 and of 5000 validators.
const ATTESTERS: [u32; 2] = [32, 157];

fn spec() -> ChainSpec {
    ChainSpec::builtin("mainnet").expect("mainnet is built in")
}

/// A slot of Electra.
fn slot() -> Slot {
    let spec = spec();
    let electra = spec.forks.iter().find(|row| row.fork == Fork::Electra).expect("mainnet has it");
    Slot(spec.epoch_start(electra.epoch).0 + 1)
}

fn vote() -> BeaconVote {
    let target = spec().epoch_of(slot());
    let at = |epoch: u64| Checkpoint { epoch: Epoch(epoch), root: Root([epoch as u8; 32]) };
    BeaconVote {
        slot: slot(),
        index: 0,
        beacon_block_root: Root([3; 32]),
        source: at(target.0 - 1),
        target: at(target.0),
    }
}

fn key(kind: u8, no: u32) -> PublicKey {
    let mut key = PublicKey([kind; 48]);
    key.0[44..].copy_from_slice(&no.to_be_bytes());
    key
}

fn single(no: u32, signature: Signature) -> SingleAttestation {
    SingleAttestation {
        committee_index: u64::from(no % 64),
        attester_index: ValidatorIndex(u64::from(no)),
        data: vote().data(0),
        signature,
    }
}

/// A chain that knows all of ours.
struct Chain(u32);

impl Upstream for Chain {
    async fn validators(&self, keys: &[PublicKey]) -> Result<Vec<ValidatorEntry>, UpstreamError> {
        let entry = |no| ValidatorEntry { index: ValidatorIndex(u64::from(no)), pubkey: key(0xa0, no) };
        Ok((0..self.0).map(entry).filter(|entry| keys.contains(&entry.pubkey)).collect())
    }
    async fn attester_duties(
        &self,
        _epoch: Epoch,
        _indices: &[ValidatorIndex],
    ) -> Result<Vec<AttesterDuty>, UpstreamError> {
        Ok(Vec::new())
    }
    async fn forward(&self, _request: ForwardRequest) -> Result<ForwardResponse, UpstreamError> {
        Err(UpstreamError { status: 503, message: "nothing is forwarded here".into() })
    }
    async fn forward_stream(
        &self,
        _path_and_query: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, UpstreamError>>, UpstreamError> {
        Err(UpstreamError { status: 503, message: "nothing is forwarded here".into() })
    }
}

/// Agrees with itself, and hands in what it is given.
struct Mind(Beacon);

impl Mind {
    async fn submit(&self, halves: &[HalfAttestation]) -> bool {
        let list: Vec<_> = halves.iter().map(|one| single(one.validator.0, one.half)).collect();
        let body = serde_json::to_value(list).expect("attestations are JSON");
        self.0.submit_attestations(Fork::Electra, body).await.is_ok()
    }
}

impl Duties for Mind {
    async fn ask(&self, ask: Ask) -> Option<Answer> {
        match ask {
            Ask::Vote { .. } => Some(Answer::Vote(vote())),
            Ask::Attestations { halves, .. } => self.submit(&halves).await.then_some(Answer::Accepted),
            other => panic!("nobody asks for {other:?}"),
        }
    }
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Takes everything.
async fn beacon_node() -> SocketAddr {
    serve(Router::new().route("/eth/v2/beacon/pool/attestations", post(|_: Bytes| async {}))).await
}

/// The validator API in front of that.
async fn validator_api(attesters: u32) -> SocketAddr {
    let spec = Arc::new(spec());
    let url = format!("http://{}", beacon_node().await);
    let beacon = Beacon::new([url], spec.clone(), Limits::default()).expect("one node");
    let seat = |no| Seat {
        number: ValidatorNo(no),
        group_key: key(0xa0, no),
        client_key: key(0xb0, no),
        share_key: key(0x80, no),
    };
    let now = spec.slot_start(slot()).after(Millis(4_000));
    let api = Api {
        seats: (0..attesters).map(seat).collect(),
        upstream: Chain(attesters),
        spec,
        duties: Mind(beacon),
        contents: Box::new(|_| None),
        notice: Box::new(|_| {}),
        now: Box::new(move || now),
    };
    serve(router(api)).await
}

async fn take(client: &reqwest::Client, url: &str, body: &Value) {
    let request = client.post(url).header("eth-consensus-version", "electra");
    let answer = request.header("content-type", "application/json").body(body.to_string()).send().await;
    let answer = answer.expect("an answer");
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
}

fn api_attest(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    // An error says that there is a provider already: any will do, for nothing here speaks TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    for attesters in ATTESTERS {
        let address = runtime.block_on(validator_api(attesters));
        let data =
            format!("http://{address}/eth/v1/validator/attestation_data?slot={}&committee_index=0", slot().0);
        if attesters == ATTESTERS[0] {
            c.bench_function("validator_api::attestation_data/questions=1", |b| {
                b.iter(|| {
                    runtime.block_on(async {
                        let answer = client.get(&data).send().await.expect("an answer");
                        assert!(answer.status().is_success());
                        answer.bytes().await.expect("a body")
                    })
                });
            });
        }
        let list: Vec<_> = (0..attesters).map(|no| single(no, Signature([no as u8 + 1; 96]))).collect();
        let body = json!(list);
        let pool = format!("http://{address}/eth/v2/beacon/pool/attestations");
        c.bench_function(&format!("validator_api::in_and_out/attesters={attesters}"), |b| {
            b.iter(|| runtime.block_on(take(&client, &pool, &body)));
        });
    }
}

criterion_group!(benches, api_attest);
criterion_main!(benches);
