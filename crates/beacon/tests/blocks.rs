//! Blocks as nodes make them: both forms, and every way in which one is not what was asked for.

mod common;

use axum::body::Body;
use axum::response::Response;
use beacon::{ApiError, Limits, ProducedBlock};
use common::{Answer, DENEB_EPOCH, ELECTRA_EPOCH, Mock, beacon, patient, with_limits};
use serde_json::{Value, json};
use types::block::body::{BeaconBlock, BlindedBodyDeneb, BodyCapella, BodyDeneb, BodyElectra};
use types::block::{BLOB_LEN, BlockContents, BlockShape, ProposedBlock, Sidecars};
use types::sizes::Minimal;
use types::{Fork, Preset, Root, Signature, Slot};

const CAPELLA: Slot = Slot(5);
const DENEB: Slot = Slot(DENEB_EPOCH * 8);
const ELECTRA: Slot = Slot(ELECTRA_EPOCH * 8 + 7);
const RANDAO: Signature = Signature([7; 96]);

fn bare(slot: Slot) -> Value {
    match slot {
        CAPELLA => {
            let body = BodyCapella::<Minimal> { randao_reveal: RANDAO, ..Default::default() };
            serde_json::to_value(BeaconBlock { slot, body, ..Default::default() })
        }
        DENEB => {
            let body = BodyDeneb::<Minimal> { randao_reveal: RANDAO, ..Default::default() };
            serde_json::to_value(BeaconBlock { slot, body, ..Default::default() })
        }
        _ => {
            let body = BodyElectra::<Minimal> { randao_reveal: RANDAO, ..Default::default() };
            serde_json::to_value(BeaconBlock { slot, body, ..Default::default() })
        }
    }
    .unwrap()
}

fn blob() -> String {
    format!("0x{}", "5a".repeat(BLOB_LEN))
}

/// A whole answer of the API, with a blob where there may be one.
fn reply(slot: Slot, version: &str) -> Value {
    let block = bare(slot);
    let proof = format!("0x{}", "6b".repeat(48));
    let data = match slot {
        CAPELLA => block,
        _ => json!({"block": block, "kzg_proofs": [proof], "blobs": [blob()]}),
    };
    json!({
        "version": version, "execution_payload_blinded": false, "execution_payload_value": "12345",
        "consensus_block_value": "678", "data": data,
    })
}

async fn produce(slot: Slot, reply: Value) -> Result<ProducedBlock, ApiError> {
    beacon(&[&Mock::of(reply).await]).produce_block(slot, &RANDAO, None, None).await
}

async fn broken(slot: Slot, reply: Value) -> String {
    match produce(slot, reply).await {
        Err(ApiError::Body(rule)) => rule,
        other => panic!("no broken rule but {other:?}"),
    }
}

#[tokio::test]
async fn a_block_of_capella_comes_bare() {
    let produced = produce(CAPELLA, reply(CAPELLA, "capella")).await.unwrap();
    assert_eq!((produced.block.fork, produced.block.blinded), (Fork::Capella, false));
    assert_eq!(produced.block.to_json(Preset::Minimal).unwrap(), bare(CAPELLA));
    assert!(produced.contents.is_empty());
    assert_eq!(produced.payload_value.as_deref(), Some("12345"));
    assert_eq!(produced.block_value.as_deref(), Some("678"));
}

#[tokio::test]
async fn a_block_of_deneb_and_later_comes_with_its_blobs() {
    for (slot, version, fork) in [(DENEB, "deneb", Fork::Deneb), (ELECTRA, "electra", Fork::Electra)] {
        let reply = reply(slot, version);
        let produced = produce(slot, reply.clone()).await.unwrap();
        assert_eq!((produced.block.fork, produced.contents.len()), (fork, 1));
        let shape = BlockShape::full(Preset::Minimal, fork);
        let contents = produced.into_contents();
        assert_eq!(contents, BlockContents::from_json(shape, &reply["data"]).unwrap());
        assert_eq!(contents.to_json(Preset::Minimal).unwrap(), reply["data"]);
    }
}

#[tokio::test]
async fn the_request_asks_for_a_local_block() {
    let node = Mock::of(reply(CAPELLA, "capella")).await;
    let graffiti = Root([0x11; 32]);
    beacon(&[&node]).produce_block(CAPELLA, &RANDAO, Some(graffiti), None).await.unwrap();
    let wanted = format!(
        "/eth/v3/validator/blocks/5?randao_reveal={RANDAO}&builder_boost_factor=0&graffiti={graffiti}"
    );
    assert_eq!(node.only().path, wanted);
    beacon(&[&node]).produce_block(CAPELLA, &RANDAO, None, None).await.unwrap();
    assert!(!node.seen()[1].path.contains("graffiti"), "the node's own words");
}

/// An answer with headers, and without the fields of that name in its body.
async fn with_headers(headers: &'static [(&'static str, &'static str)], body: Value) -> Mock {
    Mock::start(move |_| {
        let response = Response::builder();
        let response =
            headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
        Answer::Full(response.body(Body::from(body.to_string())).unwrap())
    })
    .await
}

#[tokio::test]
async fn fork_and_values_may_be_in_headers_alone() {
    let headers = &[
        ("Eth-Consensus-Version", "deneb"),
        ("Eth-Execution-Payload-Blinded", "false"),
        ("Eth-Execution-Payload-Value", "9"),
        ("Eth-Consensus-Block-Value", "8"),
    ];
    let node = with_headers(headers, json!({"data": reply(DENEB, "deneb")["data"]})).await;
    let produced = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, None).await.unwrap();
    assert_eq!(produced.block.fork, Fork::Deneb);
    assert_eq!((produced.payload_value.as_deref(), produced.block_value.as_deref()), (Some("9"), Some("8")));
}

#[tokio::test]
async fn a_blinded_block_is_refused_whoever_says_it() {
    let mut blinded = reply(DENEB, "deneb");
    blinded["execution_payload_blinded"] = json!(true);
    assert_eq!(broken(DENEB, blinded).await, "a blinded block, asked for a full one");
    for says in [&[("Eth-Execution-Payload-Blinded", "true")], &[("Eth-Execution-Payload-Blinded", "True")]] {
        let node = with_headers(says, reply(DENEB, "deneb")).await;
        let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, None).await;
        assert!(matches!(refused, Err(ApiError::Body(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_block_of_another_fork_is_refused() {
    assert_eq!(broken(DENEB, reply(DENEB, "capella")).await, "a block of capella, slot 80 is of deneb");
    assert_eq!(broken(DENEB, reply(DENEB, "fulu")).await, "a block of fulu, slot 80 is of deneb");
    broken(DENEB, reply(DENEB, "bellatrix")).await;
    let mut nameless = reply(DENEB, "deneb");
    nameless.as_object_mut().unwrap().remove("version");
    let rule = broken(DENEB, nameless).await;
    assert_eq!(rule, "neither version nor Eth-Consensus-Version names the fork");
    let node = with_headers(&[("Eth-Consensus-Version", "electra")], reply(DENEB, "deneb")).await;
    let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, None).await;
    assert_eq!(refused, Err(ApiError::Body("a block of electra, slot 80 is of deneb".to_owned())));
    let node = with_headers(&[("Eth-Consensus-Version", "osaka")], reply(DENEB, "deneb")).await;
    let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, None).await;
    assert_eq!(refused, Err(ApiError::Body("unknown fork \"osaka\"".to_owned())));
}

#[tokio::test]
async fn a_block_that_was_not_asked_for_is_refused() {
    let mut late = reply(DENEB, "deneb");
    late["data"]["block"]["slot"] = json!("81");
    assert_eq!(broken(DENEB, late).await, "a block of slot 81, asked for 80");
    let mut other = reply(DENEB, "deneb");
    other["data"]["block"]["body"]["randao_reveal"] = json!(Signature([8; 96]));
    assert_eq!(broken(DENEB, other).await, "a block with another randao_reveal than the one sent");
}

#[tokio::test]
async fn blobs_and_forms_that_do_not_fit_are_refused() {
    let changes: [fn(&mut Value); 7] = [
        |data| data["kzg_proofs"] = json!([]),
        |data| data["blobs"] = json!([blob(), blob()]),
        |data| data["blobs"] = json!(["0x00"]),
        |data| data["blobs"] = json!("none"),
        |data| *data = data["block"].clone(),
        |data| *data = json!(null),
        |data| data["block"]["body"] = json!({}),
    ];
    for change in changes {
        let mut wrong = reply(DENEB, "deneb");
        change(&mut wrong["data"]);
        broken(DENEB, wrong).await;
    }
    let mut wrapped = reply(CAPELLA, "capella");
    wrapped["data"] = json!({"block": wrapped["data"], "kzg_proofs": [], "blobs": []});
    broken(CAPELLA, wrapped).await;
}

/// The answer's SSZ, with headers that say what it is.
async fn in_ssz(contents: &BlockContents, headers: &'static [(&'static str, &'static str)]) -> Mock {
    let ssz = contents.to_ssz();
    Mock::start(move |_| {
        let response = Response::builder().header("content-type", "application/octet-stream");
        let response =
            headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
        Answer::Full(response.body(Body::from(ssz.clone())).unwrap())
    })
    .await
}

fn contents(slot: Slot, fork: Fork) -> BlockContents {
    let reply = reply(slot, &fork.to_string());
    BlockContents::from_json(BlockShape::full(Preset::Minimal, fork), &reply["data"]).unwrap()
}

#[tokio::test]
async fn ssz_is_asked_for_first_and_read_as_the_same_block() {
    for (slot, fork, headers) in [
        (CAPELLA, Fork::Capella, &[("Eth-Consensus-Version", "capella"), ("Eth-Consensus-Block-Value", "8")]),
        (DENEB, Fork::Deneb, &[("Eth-Consensus-Version", "deneb"), ("Eth-Consensus-Block-Value", "8")]),
        (ELECTRA, Fork::Electra, &[("Eth-Consensus-Version", "electra"), ("Eth-Consensus-Block-Value", "8")]),
    ] {
        let contents = contents(slot, fork);
        let node = in_ssz(&contents, headers).await;
        let produced = beacon(&[&node]).produce_block(slot, &RANDAO, None, None).await.unwrap();
        assert_eq!(node.only().header("accept"), "application/octet-stream;q=1,application/json;q=0.9");
        assert_eq!((produced.payload_value.clone(), produced.block_value.as_deref()), (None, Some("8")));
        assert_eq!(produced.into_contents(), contents);
    }
}

#[tokio::test]
async fn ssz_that_is_no_such_block_is_refused() {
    let deneb = contents(DENEB, Fork::Deneb);
    for (headers, rule) in [
        (&[][..], "neither version nor Eth-Consensus-Version names the fork"),
        (&[("Eth-Consensus-Version", "electra")], "a block of electra, slot 80 is of deneb"),
        (
            &[("Eth-Consensus-Version", "deneb"), ("Eth-Execution-Payload-Blinded", "true")],
            "a blinded block, asked for a full one",
        ),
    ] {
        let node = in_ssz(&deneb, headers).await;
        let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, None).await;
        assert_eq!(refused, Err(ApiError::Body(rule.to_owned())));
    }
    // The bytes of another form than the headers say.
    let headers = &[("Eth-Consensus-Version", "deneb"), ("Eth-Execution-Payload-Blinded", "true")];
    let node = in_ssz(&deneb, headers).await;
    let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, Some(100)).await;
    assert!(matches!(refused, Err(ApiError::Body(_))), "{refused:?}");
    let node = in_ssz(&deneb, &[("Eth-Consensus-Version", "deneb")]).await;
    let refused = beacon(&[&node]).produce_block(Slot(DENEB.0 + 1), &RANDAO, None, None).await;
    assert_eq!(refused, Err(ApiError::Body("a block of slot 80, asked for 81".to_owned())));
}

fn blinded() -> (ProposedBlock, Value) {
    let body = BlindedBodyDeneb::<Minimal> { randao_reveal: RANDAO, ..Default::default() };
    let json = serde_json::to_value(BeaconBlock { slot: DENEB, body, ..Default::default() }).unwrap();
    let block = ProposedBlock::from_json(BlockShape::blinded(Preset::Minimal, Fork::Deneb), &json).unwrap();
    (block, json)
}

#[tokio::test]
async fn a_builders_block_comes_only_if_it_was_asked_for_and_says_so() {
    let (block, json) = blinded();
    let reply = json!({"version": "deneb", "execution_payload_blinded": true, "data": json});
    let ssz = BlockContents { block: block.clone(), sidecars: Sidecars::default() };
    let headers = &[("Eth-Consensus-Version", "deneb"), ("Eth-Execution-Payload-Blinded", "true")];
    for node in [Mock::of(reply).await, in_ssz(&ssz, headers).await] {
        let produced = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, Some(90)).await.unwrap();
        assert!(produced.block.blinded && produced.contents.is_empty());
        assert_eq!(produced.block, block);
        assert!(node.only().path.ends_with("&builder_boost_factor=90"));
        let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, None).await;
        assert_eq!(refused, Err(ApiError::Body("a blinded block, asked for a full one".to_owned())));
    }
    // And the node's own block is as good when a builder's would do.
    let node = in_ssz(&contents(DENEB, Fork::Deneb), &[("Eth-Consensus-Version", "deneb")]).await;
    let produced = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, Some(90)).await.unwrap();
    assert!(!produced.block.blinded);
}

#[tokio::test]
async fn header_and_body_that_differ_about_blindness_are_refused() {
    let node = with_headers(&[("Eth-Execution-Payload-Blinded", "true")], reply(DENEB, "deneb")).await;
    let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None, Some(100)).await;
    let Err(ApiError::Body(rule)) = refused else { panic!("{refused:?}") };
    assert_eq!(rule, "a blinded block by the header or by the body, and a full one by the other");
}

#[tokio::test]
async fn a_second_node_makes_no_block_while_the_first_has_time() {
    let first = Mock::of(reply(CAPELLA, "capella")).await;
    let second = Mock::of(reply(CAPELLA, "capella")).await;
    // Other questions go to both at once; blocks are waited for two minutes.
    let limits = Limits { hedge_bps: 0, ..patient() };
    let beacon = with_limits(&[&first, &second], limits);
    beacon.produce_block(CAPELLA, &RANDAO, None, None).await.unwrap();
    assert_eq!((first.seen().len(), second.seen().len()), (1, 0));
}

#[tokio::test]
async fn the_next_node_makes_the_block_when_the_first_hangs() {
    let first = Mock::hanging().await;
    let second = Mock::of(reply(CAPELLA, "capella")).await;
    let beacon = with_limits(&[&first, &second], Limits { hedge_long_bps: 1, ..patient() });
    let produced = beacon.produce_block(CAPELLA, &RANDAO, None, None).await.unwrap();
    assert_eq!(produced.block.slot, CAPELLA);
}

#[tokio::test]
async fn the_next_node_makes_the_block_when_the_first_lies() {
    let first = Mock::of(reply(CAPELLA, "deneb")).await;
    let second = Mock::of(reply(CAPELLA, "capella")).await;
    let produced = beacon(&[&first, &second]).produce_block(CAPELLA, &RANDAO, None, None).await.unwrap();
    assert_eq!(produced.block.slot, CAPELLA);
}
