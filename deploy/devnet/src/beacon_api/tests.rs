//! The server over HTTP: what it serves, what it refuses, and that refusals count.

mod economy;

use super::*;
use crate::clock;
use crate::curve::Bls;
use crate::network;
use keys::derive::derive_master;
use keys::{SecretShare, VcHalf};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sim::chain::{Chain, Genesis};
use types::aggregate::{Aggregate, AggregateShape, SignedAggregate};
use types::attestation::SingleAttestation;
use types::block::{BlockContents, BlockShape};
use types::duty::SyncDuty;
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::sync::SyncCommitteeMessage;
use types::{
    Address, AttestationData, ChainSpec, DomainType, Fork, Preset, Root, Signature, SigningRoot, Slot,
    ValidatorIndex,
};

/// A slot takes so long that the chain stays in it while a test runs.
const SECONDS_PER_SLOT: u64 = 100_000;

/// The slot in which the tests are.
const NOW: Slot = Slot(1);

struct Site {
    server: Server,
    http: Client,
    halves: Vec<VcHalf>,
}

impl Site {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let halves: Vec<_> = (1..=16)
            .map(|seed| derive_master(&[seed; 32]).unwrap())
            .map(SecretShare::into_imported_half)
            .collect();
        let validators: Vec<_> = halves.iter().map(VcHalf::public).collect();
        let genesis = clock::now().0 / 1000 - NOW.0 * SECONDS_PER_SLOT - SECONDS_PER_SLOT / 2;
        let spec = network::spec(genesis, SECONDS_PER_SLOT);
        let curve = Bls::new(&validators).unwrap();
        let chain = Chain::new(Genesis { spec, validators, strangers: 0, seed: 1 });
        let server = Server::start(BeaconNode::new(chain, curve)).await.unwrap();
        Self { server, http: Client::builder().no_proxy().build().unwrap(), halves }
    }

    fn spec(&self) -> &ChainSpec {
        self.server.node().spec()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.http.get(format!("{}{path}", self.server.url())).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn post(&self, path: &str, fork: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.server.url())).json(body);
        let response = request.header("Eth-Consensus-Version", fork).send().await.unwrap();
        (response.status(), response.json().await.unwrap_or_default())
    }

    fn attestation(&self, data: AttestationData, who: ValidatorIndex) -> SingleAttestation {
        let root =
            SigningRoot::of(self.spec(), DomainType::BeaconAttester, data.target.epoch, Root::of(&data));
        let signature = self.halves[who.0 as usize].sign(&root);
        SingleAttestation { committee_index: 0, attester_index: who, data, signature }
    }

    async fn produced(&self) -> BlockContents {
        let proposer = self.server.node().look(|chain| chain.proposer(NOW));
        let reveal = SigningRoot::randao(self.spec(), self.spec().epoch_of(NOW));
        let randao = self.halves[proposer.0 as usize].sign(&reveal);
        let path =
            format!("/eth/v3/validator/blocks/{NOW}?randao_reveal={randao}&graffiti={}", Root([9; 32]));
        let (code, body) = self.get(&path).await;
        assert_eq!(code, StatusCode::OK, "{body}");
        BlockContents::from_json(BlockShape::full(Preset::Minimal, Fork::Electra), &body["data"]).unwrap()
    }

    async fn publish(&self, contents: BlockContents, signer: usize) -> (StatusCode, Value) {
        let root = SigningRoot::of(
            self.spec(),
            DomainType::BeaconProposer,
            self.spec().epoch_of(NOW),
            contents.block.root,
        );
        let signed = contents.sign(self.halves[signer].sign(&root));
        self.post("/eth/v2/beacon/blocks", "electra", &signed.to_json(Preset::Minimal).unwrap()).await
    }
}

#[tokio::test]
async fn attestations_are_refused_one_by_one_and_what_is_right_is_taken() {
    let site = Site::new().await;
    let (code, body) = site.get("/eth/v1/validator/attestation_data?slot=1&committee_index=0").await;
    assert_eq!(code, StatusCode::OK);
    let data: AttestationData = serde_json::from_value(body["data"].clone()).unwrap();
    let committee = site.server.node().look(|chain| chain.committee(NOW));
    let good = site.attestation(data, committee[0]);
    let bad = SingleAttestation { signature: good.signature, ..site.attestation(data, committee[1]) };
    let path = "/eth/v2/beacon/pool/attestations";
    let (code, body) = site.post(path, "electra", &json!([good, bad])).await;
    assert_eq!((code, body["failures"][0]["index"].as_u64()), (StatusCode::BAD_REQUEST, Some(1)));
    assert_eq!(body["failures"].as_array().unwrap().len(), 1);
    // A copy of what is in the pool is taken without another word.
    assert_eq!(site.post(path, "electra", &json!([good])).await.0, StatusCode::OK);
    assert_eq!(site.post(path, "deneb", &json!([good])).await.0, StatusCode::BAD_REQUEST);
    let tally = site.server.node().tally();
    assert_eq!(
        (tally.rejected, tally.slashable),
        (vec!["the signature of an attester does not verify".into()], 0)
    );
}

#[tokio::test]
async fn two_votes_of_one_validator_for_one_target_are_counted_as_slashable() {
    let site = Site::new().await;
    let (_, body) = site.get("/eth/v1/validator/attestation_data?slot=1").await;
    let data: AttestationData = serde_json::from_value(body["data"].clone()).unwrap();
    let who = site.server.node().look(|chain| chain.committee(NOW)[0]);
    let other = AttestationData { beacon_block_root: Root([1; 32]), ..data };
    let list = json!([site.attestation(data, who), site.attestation(other, who)]);
    site.post("/eth/v2/beacon/pool/attestations", "electra", &list).await;
    assert_eq!(site.server.node().tally().slashable, 1);
}

#[tokio::test]
async fn a_block_pays_whom_its_proposer_named_and_becomes_the_head_once() {
    let site = Site::new().await;
    let proposer = site.server.node().look(|chain| chain.proposer(NOW));
    let preparation = json!([{ "validator_index": proposer, "fee_recipient": Address([7; 20]) }]);
    site.post("/eth/v1/validator/prepare_beacon_proposer", "electra", &preparation).await;
    let contents = site.produced().await;
    assert_eq!((contents.block.fee_recipient, contents.block.graffiti), (Address([7; 20]), Root([9; 32])));
    let signer = proposer.0 as usize;
    let stranger = (signer + 1) % site.halves.len();
    assert_eq!(site.publish(contents.clone(), stranger).await.0, StatusCode::BAD_REQUEST);
    let mut heads = site.server.node().heads();
    assert_eq!(site.publish(contents.clone(), signer).await.0, StatusCode::OK);
    assert_eq!(site.publish(contents.clone(), signer).await.0, StatusCode::ACCEPTED);
    assert_eq!(heads.recv().await.unwrap().block, contents.block.root);
    assert!(heads.try_recv().is_err(), "one head");
    let (code, body) = site.get(&format!("/eth/v1/beacon/headers/{}", contents.block.root)).await;
    assert_eq!((code, &body["data"]["header"]["message"]["slot"]), (StatusCode::OK, &json!("1")));
    assert_eq!(body["data"]["header"]["message"]["body_root"], json!(contents.block.body_root));
    assert_eq!(site.server.node().tally().rejected, ["the signature of the proposer does not verify"]);
}

#[tokio::test]
async fn what_is_not_due_is_not_given() {
    let site = Site::new().await;
    let reveal = Signature::INFINITY;
    for path in [
        "/eth/v1/validator/attestation_data?slot=2".to_owned(),
        "/eth/v1/validator/attestation_data?slot=1&committee_index=1".to_owned(),
        "/eth/v1/validator/duties/proposer/2".to_owned(),
        format!("/eth/v3/validator/blocks/2?randao_reveal={reveal}"),
        format!("/eth/v3/validator/blocks/1?randao_reveal={reveal}"),
        "/eth/v1/events?topics=nonsense".to_owned(),
    ] {
        let (code, body) = site.get(&path).await;
        assert_eq!((code, body["code"].as_u64()), (StatusCode::BAD_REQUEST, Some(400)), "{path}: {body}");
    }
}

#[tokio::test]
async fn validators_are_found_by_key_and_index_and_strangers_are_left_out() {
    let site = Site::new().await;
    let key = site.halves[3].public();
    let path = "/eth/v1/beacon/states/head/validators";
    let indices = |body: &Value| {
        let entries = body["data"].as_array().unwrap().iter();
        entries.map(|entry| entry["index"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (_, body) = site.get(&format!("{path}?id={key},5&id=99")).await;
    assert_eq!(indices(&body), ["3", "5"]);
    let (_, body) = site.post(path, "electra", &json!({ "ids": [key, "5"], "statuses": ["active"] })).await;
    assert_eq!(indices(&body), ["3", "5"]);
    let (_, body) = site.post(path, "electra", &json!({ "statuses": ["exited"] })).await;
    assert_eq!(indices(&body), Vec::<String>::new());
    assert_eq!(indices(&site.get(path).await.1).len(), 16);
    assert_eq!(site.get(&format!("{path}?id=0xzz")).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn unknown_reads_are_not_found_and_unknown_writes_are_not_implemented() {
    let site = Site::new().await;
    assert_eq!(site.get("/eth/v9/beacon/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/eth/v1/validator/aggregate_attestation").await.0, StatusCode::NOT_FOUND);
    for path in [
        "/eth/v1/beacon/blocks",
        // For what stands before a beacon node to answer.
        "/eth/v1/validator/beacon_committee_selections",
        "/eth/v1/validator/sync_committee_selections",
    ] {
        let (code, body) = site.post(path, "electra", &json!([])).await;
        assert_eq!((code, body["code"].as_u64()), (StatusCode::NOT_IMPLEMENTED, Some(501)));
    }
}

impl Site {
    fn sign(&self, who: ValidatorIndex, root: &SigningRoot) -> Signature {
        self.halves[who.0 as usize].sign(root)
    }

    /// An aggregate as its aggregator publishes it.
    fn publishes(&self, who: ValidatorIndex, aggregate: Aggregate) -> SignedAggregate {
        let (proof, domain) = match aggregate.shape {
            AggregateShape::Attestation { .. } => {
                (SigningRoot::selection_proof(self.spec(), NOW), DomainType::AggregateAndProof)
            }
            AggregateShape::Contribution { .. } => (
                SigningRoot::sync_selection_proof(self.spec(), NOW, aggregate.place),
                DomainType::ContributionAndProof,
            ),
        };
        let selection_proof = self.sign(who, &proof);
        let object = aggregate.proof_root(who, selection_proof);
        let root = SigningRoot::of(self.spec(), domain, self.spec().epoch_of(NOW), object);
        let signature = self.sign(who, &root);
        SignedAggregate { aggregator_index: who, aggregate, selection_proof, signature }
    }

    /// The one with a wrong signature is named by its place, the other taken, and taken again.
    async fn one_of_two_is_taken(&self, path: &str, bad: Value, good: Value) {
        let (code, body) = self.post(path, "electra", &json!([bad, good])).await;
        assert_eq!(code, StatusCode::BAD_REQUEST, "{body}");
        let failures: Vec<_> =
            body["failures"].as_array().unwrap().iter().map(|one| one["index"].as_u64()).collect();
        assert_eq!(failures, [Some(0)], "{body}");
        assert_eq!(self.post(path, "electra", &json!([good])).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn attestations_come_back_as_an_aggregate_and_their_aggregator_is_checked() {
    let site = Site::new().await;
    let (_, body) = site.get("/eth/v1/validator/attestation_data?slot=1").await;
    let data: AttestationData = serde_json::from_value(body["data"].clone()).unwrap();
    let ask = format!(
        "/eth/v2/validator/aggregate_attestation?attestation_data_root={}&slot=1&committee_index=0",
        Root::of(&data)
    );
    assert_eq!(site.get(&ask).await.0, StatusCode::NOT_FOUND, "nobody has attested");
    let committee = site.server.node().look(|chain| chain.committee(NOW));
    let list: Vec<_> = committee.iter().map(|who| site.attestation(data, *who)).collect();
    assert_eq!(
        site.post("/eth/v2/beacon/pool/attestations", "electra", &json!(list)).await.0,
        StatusCode::OK
    );
    let (code, body) = site.get(&ask).await;
    assert_eq!((code, &body["version"]), (StatusCode::OK, &json!("electra")));
    let shape = AggregateShape::Attestation { preset: Preset::Minimal, fork: Fork::Electra };
    let aggregate = shape.from_json(&body["data"]).unwrap();
    assert_eq!((aggregate.participants, aggregate.subject), (committee.len(), Root::of(&data)));
    let good = site.publishes(committee[0], aggregate);
    let bad = SignedAggregate { selection_proof: good.signature, ..good.clone() };
    let path = "/eth/v2/validator/aggregate_and_proofs";
    site.one_of_two_is_taken(path, bad.to_json(), good.to_json()).await;
    assert_eq!(site.post(path, "deneb", &json!([good.to_json()])).await.0, StatusCode::BAD_REQUEST);
    assert!(site.server.node().look(|chain| chain.aggregated(NOW, committee[0])).is_some());
}

#[tokio::test]
async fn sync_messages_come_back_as_a_contribution_and_its_aggregator_is_checked() {
    let site = Site::new().await;
    let epoch = site.spec().epoch_of(NOW);
    let all = json!((0..16).map(ValidatorIndex).collect::<Vec<_>>());
    let (_, body) = site.post(&format!("/eth/v1/validator/duties/sync/{epoch}"), "electra", &all).await;
    let duties: Vec<SyncDuty> = serde_json::from_value(body["data"].clone()).unwrap();
    assert_eq!(duties.iter().map(|duty| duty.validator_sync_committee_indices.len()).sum::<usize>(), 32);
    let (_, body) = site.get("/eth/v1/beacon/blocks/head/root").await;
    let head: Root = serde_json::from_value(body["data"]["root"].clone()).unwrap();
    let root = SigningRoot::sync_message(site.spec(), NOW, head);
    let message = |duty: &SyncDuty| SyncCommitteeMessage {
        slot: NOW,
        beacon_block_root: head,
        validator_index: duty.validator_index,
        signature: site.sign(duty.validator_index, &root),
    };
    let messages: Vec<_> = duties.iter().map(message).collect();
    let bad = SyncCommitteeMessage { signature: messages[1].signature, ..messages[0] };
    let path = "/eth/v1/beacon/pool/sync_committees";
    site.one_of_two_is_taken(path, json!(bad), json!(messages[0])).await;
    assert_eq!(site.post(path, "electra", &json!(messages)).await.0, StatusCode::OK);

    let ask = |part| {
        format!(
            "/eth/v1/validator/sync_committee_contribution?slot=1&subcommittee_index={part}&beacon_block_root={head}"
        )
    };
    assert_eq!(site.get(&ask(4)).await.0, StatusCode::BAD_REQUEST);
    let (code, body) = site.get(&ask(2)).await;
    assert_eq!(code, StatusCode::OK);
    let contribution =
        AggregateShape::Contribution { preset: Preset::Minimal }.from_json(&body["data"]).unwrap();
    assert_eq!((contribution.participants, contribution.place), (8, 2));
    let who = site.server.node().look(|chain| chain.subcommittee(NOW, 2)[5]);
    let good = site.publishes(who, contribution);
    let bad = SignedAggregate { signature: good.selection_proof, ..good.clone() };
    let path = "/eth/v1/validator/contribution_and_proofs";
    site.one_of_two_is_taken(path, bad.to_json(), good.to_json()).await;
    assert!(site.server.node().look(|chain| chain.contributed(NOW, who, 2)).is_some());
}

#[tokio::test]
async fn an_exit_is_taken_into_a_block_and_its_validator_is_exiting() {
    let site = Site::new().await;
    let message = VoluntaryExit { epoch: types::Epoch(0), validator_index: ValidatorIndex(3) };
    let signature = site.sign(ValidatorIndex(3), &SigningRoot::voluntary_exit(site.spec(), &message));
    let good = SignedVoluntaryExit { message, signature };
    let bad = SignedVoluntaryExit {
        signature: site.sign(ValidatorIndex(4), &SigningRoot::voluntary_exit(site.spec(), &message)),
        ..good
    };
    let path = "/eth/v1/beacon/pool/voluntary_exits";
    assert_eq!(site.post(path, "electra", &json!(bad)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(site.post(path, "electra", &json!(good)).await.0, StatusCode::OK);
    let state = "/eth/v1/beacon/states/head/validators/3";
    assert_eq!(site.get(state).await.1["data"]["status"], json!("active_ongoing"), "not in a block yet");
    let contents = site.produced().await;
    let signer = site.server.node().look(|chain| chain.proposer(NOW)).0 as usize;
    assert_eq!(site.publish(contents, signer).await.0, StatusCode::OK);
    assert_eq!(site.get(state).await.1["data"]["status"], json!("active_exiting"));
    assert_eq!(site.post(path, "electra", &json!(good)).await.0, StatusCode::OK, "known is as good");
}
