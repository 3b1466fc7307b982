//! The server over HTTP: what it serves, what it refuses, and that refusals count.

use super::*;
use crate::clock;
use crate::curve::Bls;
use crate::network;
use keys::derive::derive_master;
use keys::{SecretShare, VcHalf};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sim::chain::{Chain, Genesis};
use types::attestation::SingleAttestation;
use types::block::{BlockContents, BlockShape};
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
        let chain = Chain::new(Genesis { spec, validators, seed: 1 });
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
    assert_eq!(site.get("/eth/v2/validator/aggregate_attestation").await.0, StatusCode::NOT_FOUND);
    let (code, body) = site.post("/eth/v1/beacon/blocks", "electra", &json!({})).await;
    assert_eq!((code, body["code"].as_u64()), (StatusCode::NOT_IMPLEMENTED, Some(501)));
}
