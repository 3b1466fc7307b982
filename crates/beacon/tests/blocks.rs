//! Blocks as nodes make them: both forms, and every way in which one is not what was asked for.

mod common;

use axum::body::Body;
use axum::response::Response;
use beacon::{ApiError, ProducedBlock};
use common::{Answer, DENEB_EPOCH, ELECTRA_EPOCH, Mock, beacon};
use serde_json::{Value, json};
use types::block::body::{BeaconBlock, BodyCapella, BodyDeneb, BodyElectra};
use types::block::{BLOB_LEN, BlockContents, BlockShape, ProposedBlock};
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
    beacon(&[&Mock::of(reply).await]).produce_block(slot, &RANDAO, None).await
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
    beacon(&[&node]).produce_block(CAPELLA, &RANDAO, Some(graffiti)).await.unwrap();
    let wanted = format!(
        "/eth/v3/validator/blocks/5?randao_reveal={RANDAO}&builder_boost_factor=0&graffiti={graffiti}"
    );
    assert_eq!(node.only().path, wanted);
    beacon(&[&node]).produce_block(CAPELLA, &RANDAO, None).await.unwrap();
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
    let produced = beacon(&[&node]).produce_block(DENEB, &RANDAO, None).await.unwrap();
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
        let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None).await;
        assert!(matches!(refused, Err(ApiError::Body(_))), "{refused:?}");
    }
}

/// The same as a builder's block.
fn blinded_reply(slot: Slot, fork: Fork) -> Value {
    let shape = BlockShape::full(Preset::Minimal, fork);
    let full = ProposedBlock::from_json(shape, &bare(slot)).unwrap();
    let mut reply = reply(slot, &fork.to_string());
    reply["execution_payload_blinded"] = json!(true);
    reply["data"] = full.blind(Preset::Minimal).unwrap().to_json(Preset::Minimal).unwrap();
    reply
}

#[tokio::test]
async fn a_builders_block_comes_blinded_where_it_will_do() {
    for (slot, fork) in [(CAPELLA, Fork::Capella), (DENEB, Fork::Deneb), (ELECTRA, Fork::Electra)] {
        let reply = blinded_reply(slot, fork);
        let node = Mock::of(reply.clone()).await;
        let produced = beacon(&[&node]).produce_block_or_blinded(slot, &RANDAO, None, 90).await.unwrap();
        assert!(produced.block.blinded && produced.contents.is_empty());
        assert_eq!(produced.block.to_json(Preset::Minimal).unwrap(), reply["data"]);
        assert!(node.only().path.ends_with("&builder_boost_factor=90"));
    }
    let node = Mock::of(reply(DENEB, "deneb")).await;
    let own = beacon(&[&node]).produce_block_or_blinded(DENEB, &RANDAO, None, 100).await.unwrap();
    assert_eq!((own.block.blinded, own.contents.len()), (false, 1), "the node's own will do as well");
}

#[tokio::test]
async fn a_block_whose_form_is_said_twice_is_of_one_form() {
    let ask = async |says, reply| {
        let node = with_headers(says, reply).await;
        beacon(&[&node]).produce_block_or_blinded(DENEB, &RANDAO, None, 100).await
    };
    let blinded = blinded_reply(DENEB, Fork::Deneb);
    let yes = &[("Eth-Execution-Payload-Blinded", "true")];
    assert!(ask(yes, blinded.clone()).await.unwrap().block.blinded);
    let mut unsaid = blinded.clone();
    unsaid.as_object_mut().unwrap().remove("execution_payload_blinded");
    assert!(ask(yes, unsaid).await.unwrap().block.blinded);
    for says in [&[("Eth-Execution-Payload-Blinded", "false")], &[("Eth-Execution-Payload-Blinded", "maybe")]]
    {
        assert!(matches!(ask(says, blinded.clone()).await, Err(ApiError::Body(_))), "{says:?}");
    }
    assert!(
        matches!(ask(yes, reply(DENEB, "deneb")).await, Err(ApiError::Body(_))),
        "a full one, called blinded"
    );
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
    let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None).await;
    assert_eq!(refused, Err(ApiError::Body("a block of electra, slot 80 is of deneb".to_owned())));
    let node = with_headers(&[("Eth-Consensus-Version", "osaka")], reply(DENEB, "deneb")).await;
    let refused = beacon(&[&node]).produce_block(DENEB, &RANDAO, None).await;
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

#[tokio::test]
async fn the_next_node_makes_the_block_when_the_first_lies() {
    let first = Mock::of(reply(CAPELLA, "deneb")).await;
    let second = Mock::of(reply(CAPELLA, "capella")).await;
    let produced = beacon(&[&first, &second]).produce_block(CAPELLA, &RANDAO, None).await.unwrap();
    assert_eq!(produced.block.slot, CAPELLA);
}
