//! Blocks: the agreed one out, the client's half over it in.

use crate::world::{CAPELLA, DENEB, ELECTRA, FULU, Got, World, world};
use serde_json::{Value, json};
use symbolon_core::{Answer, Ask, Refusal};
use types::block::body::{
    BeaconBlock, BlindedBodyCapella, BlindedBodyDeneb, BlindedBodyElectra, Body, BodyCapella, BodyDeneb,
    BodyElectra,
};
use types::block::{
    BLOB_LEN, BlockContents, BlockShape, ProposedBlock, Sidecars, SignedBlockContents, SignedBlockParts,
};
use types::sizes::Minimal;
use types::{Fork, Preset, Root, Signature, Slot, ValidatorIndex, ValidatorNo};

const PUBLISH: &str = "/eth/v2/beacon/blocks?broadcast_validation=gossip";
const BLINDED: &str = "/eth/v2/beacon/blinded_blocks";
const HALF: Signature = Signature([0x5a; 96]);

/// A block's JSON as the containers themselves write it.
fn json_of<B: Body>(slot: Slot) -> Value {
    let block = BeaconBlock::<B> {
        slot,
        proposer_index: ValidatorIndex(10),
        parent_root: Root([4; 32]),
        ..BeaconBlock::default()
    };
    serde_json::to_value(block).unwrap()
}

/// Fork, slot and the unsigned block's JSON.
fn blocks() -> [(Fork, Slot, Value); 4] {
    [
        (Fork::Capella, CAPELLA, json_of::<BodyCapella<Minimal>>(CAPELLA)),
        (Fork::Deneb, DENEB, json_of::<BodyDeneb<Minimal>>(DENEB)),
        (Fork::Electra, ELECTRA, json_of::<BodyElectra<Minimal>>(ELECTRA)),
        (Fork::Fulu, FULU, json_of::<BodyElectra<Minimal>>(FULU)),
    ]
}

fn proposed(fork: Fork, json: &Value) -> ProposedBlock {
    ProposedBlock::from_json(BlockShape::full(Preset::Minimal, fork), json).unwrap()
}

/// What a client publishes in JSON: the form is the API's, written out here.
fn signed_json(fork: Fork, json: &Value) -> Value {
    let signed = json!({ "message": json, "signature": HALF });
    match fork {
        Fork::Capella => signed,
        Fork::Deneb | Fork::Electra | Fork::Fulu => {
            json!({ "signed_block": signed, "kzg_proofs": [], "blobs": [] })
        }
    }
}

async fn produce(world: &World, slot: Slot, query: &str) -> Got {
    world.get(&format!("/eth/v3/validator/blocks/{slot}?{query}")).await
}

#[tokio::test]
async fn the_agreed_block_is_served_in_its_forks_form() {
    for (fork, slot, json) in blocks() {
        let world = world();
        world.answer(Answer::Block(proposed(fork, &json)));
        // As a client sends it, with words of its own.
        let query = format!(
            "randao_reveal={HALF}&graffiti={}&fee_recipient=0x00&builder_selection=executiononly\
             &builder_boost_factor=0&strict_fee_recipient_check=false&blinded_local=false",
            Root([9; 32])
        );
        let got = produce(&world, slot, &query).await;
        let data = match fork {
            Fork::Capella => json,
            Fork::Deneb | Fork::Electra | Fork::Fulu => {
                json!({ "block": json, "kzg_proofs": [], "blobs": [] })
            }
        };
        let expected = json!({
            "version": fork.to_string(), "execution_payload_blinded": false,
            "execution_payload_value": "0", "consensus_block_value": "0", "data": data,
        });
        assert_eq!(got.ok(), expected);
        for (name, value) in [
            ("eth-consensus-version", fork.to_string().as_str()),
            ("eth-execution-payload-blinded", "false"),
            ("eth-execution-payload-value", "0"),
            ("eth-consensus-block-value", "0"),
        ] {
            assert_eq!(got.headers[name], value);
        }
        assert_eq!(world.asks(), [Ask::Block { slot, randao_half: HALF }]);
    }
}

#[tokio::test]
async fn a_payload_that_this_node_holds_goes_with_its_block() {
    let (fork, slot, json) = blocks()[1].clone();
    let block = proposed(fork, &json);
    let blob = format!("0x{}", "07".repeat(BLOB_LEN));
    let proof = format!("0x{}", "c0".repeat(48));
    let contents = json!({ "block": json, "kzg_proofs": [proof], "blobs": [blob] });
    let shape = BlockShape::full(Preset::Minimal, fork);
    let held = BlockContents::from_json(shape, &contents).unwrap();
    let world = world();
    *world.contents.lock().unwrap() = Some(held);
    world.answer(Answer::Block(block.blind(Preset::Minimal).unwrap()));
    let got = produce(&world, slot, &format!("randao_reveal={HALF}")).await;
    assert_eq!(got.ok()["data"], contents);
}

#[tokio::test]
async fn a_question_without_a_proper_reveal_is_refused_beside_its_twin() {
    let world = world();
    for (query, words) in [
        (String::new(), "no randao_reveal"),
        ("randao_reveal=0x12".to_owned(), "invalid randao_reveal"),
        (format!("randao_reveal={HALF}00"), "invalid randao_reveal"),
        ("randao_reveal=".to_owned(), "invalid randao_reveal"),
        (format!("randao_reveal={HALF}&graffiti=hello"), "invalid graffiti"),
    ] {
        produce(&world, CAPELLA, &query).await.refused(400, words);
    }
    let slot = world.get(&format!("/eth/v3/validator/blocks/x?randao_reveal={HALF}")).await;
    slot.refused(400, "invalid slot");
    assert!(world.asks().is_empty());
    let (fork, slot, json) = blocks()[0].clone();
    world.answer(Answer::Block(proposed(fork, &json)));
    produce(&world, slot, &format!("randao_reveal={HALF}")).await.ok();
}

#[tokio::test]
async fn a_block_that_is_not_there_is_said_why() {
    let world = world();
    let query = format!("randao_reveal={HALF}");
    world.answer(Answer::Refused(Refusal::NoDuty(CAPELLA)));
    produce(&world, CAPELLA, &query).await.refused(400, "no duty");
    world.answer(Answer::Refused(Refusal::TooLate(CAPELLA)));
    produce(&world, CAPELLA, &query).await.refused(503, "did not agree in time");
    world.mind.answers.lock().unwrap().push_back(None);
    produce(&world, CAPELLA, &query).await.refused(503, "stopping");
    produce(&world, CAPELLA, &query).await.refused(500, "something else");
}

#[tokio::test]
async fn a_signed_block_reaches_core_as_its_root_and_half_from_json_and_from_ssz() {
    for (fork, slot, json) in blocks() {
        let world = world();
        let block = proposed(fork, &json);
        let asked = Ask::SignedBlock { slot, root: block.root, half: HALF };
        let name = fork.to_string();
        world.post_of(&name, PUBLISH, signed_json(fork, &json)).await.taken();
        let signed = SignedBlockParts { block, signature: HALF };
        let ssz = SignedBlockContents { signed, sidecars: Sidecars::default() }.to_ssz();
        world.post_bytes(PUBLISH, "application/octet-stream", &name, ssz).await.taken();
        assert_eq!(world.asks(), [asked.clone(), asked]);
    }
}

#[tokio::test]
async fn a_refused_block_is_said_why_beside_its_twin() {
    let world = world();
    let (fork, slot, json) = blocks()[2].clone();
    let body = signed_json(fork, &json);
    let refused = Refusal::NotAgreed { signed: Root([1; 32]), agreed: Root([2; 32]) };
    world.answer(Answer::Refused(refused.clone()));
    world.post(PUBLISH, body.clone()).await.refused(400, &refused.to_string());
    world.answer(Answer::Refused(Refusal::TooLate(slot)));
    world.post(PUBLISH, body.clone()).await.refused(503, "in time");
    let half = Refusal::BadHalf(ValidatorNo(0));
    world.answer(Answer::PartlyRefused(vec![(0, half.clone())]));
    world.post(PUBLISH, body.clone()).await.refused(400, &half.to_string());
    world.answer(Answer::PartlyRefused(Vec::new()));
    world.post(PUBLISH, body.clone()).await.refused(500, "without saying why");
    world.mind.answers.lock().unwrap().push_back(None);
    world.post(PUBLISH, body.clone()).await.refused(503, "stopping");
    world.post(PUBLISH, body).await.taken();
}

#[tokio::test]
async fn what_is_no_block_of_the_named_fork_never_reaches_core() {
    let world = world();
    let (fork, _, json) = blocks()[2].clone();
    let body = signed_json(fork, &json);
    world.post_of("capella", PUBLISH, body.clone()).await.refused(400, "capella block");
    world.post_of("bellatrix", PUBLISH, body.clone()).await.refused(400, "unknown Eth-Consensus-Version");
    world.post(PUBLISH, json!({})).await.refused(400, "no signed_block");
    world.post(PUBLISH, json!([])).await.refused(400, "not the JSON");
    for path in ["/signed_block/signature", "/signed_block/message", "/signed_block/message/body/graffiti"] {
        let mut broken = body.clone();
        *broken.pointer_mut(path).unwrap() = json!("0x00");
        world.post(PUBLISH, broken).await.refused(400, "not the JSON");
    }
    for garbage in [vec![], vec![0; 3], vec![0xff; 500]] {
        let got = world.post_bytes(PUBLISH, "application/octet-stream", "electra", garbage).await;
        got.refused(400, "not the SSZ");
    }
    assert!(world.asks().is_empty());
    world.post(PUBLISH, body).await.taken();
}

#[tokio::test]
async fn the_agreed_block_is_ssz_for_who_wants_that_more() {
    for (fork, slot, json) in blocks() {
        let world = world();
        let block = proposed(fork, &json);
        world.answer(Answer::Block(block.clone()));
        let got = world.get_ssz(&format!("/eth/v3/validator/blocks/{slot}?randao_reveal={HALF}")).await;
        assert_eq!(got.headers["eth-consensus-version"], fork.to_string());
        assert_eq!(got.headers["eth-execution-payload-blinded"], "false");
        let shape = BlockShape::full(Preset::Minimal, fork);
        assert_eq!(BlockContents::from_ssz(shape, &got.ssz()).unwrap().block, block);
    }
}

/// A blinded block of every fork.
fn blinded() -> [(Fork, Slot, ProposedBlock); 4] {
    fn json_of<B: Body>(slot: Slot) -> Value {
        serde_json::to_value(BeaconBlock::<B> { slot, ..BeaconBlock::default() }).unwrap()
    }
    let of = |fork, slot: Slot, json: &Value| {
        let shape = BlockShape::blinded(Preset::Minimal, fork);
        (fork, slot, ProposedBlock::from_json(shape, json).unwrap())
    };
    [
        of(Fork::Capella, CAPELLA, &json_of::<BlindedBodyCapella<Minimal>>(CAPELLA)),
        of(Fork::Deneb, DENEB, &json_of::<BlindedBodyDeneb<Minimal>>(DENEB)),
        of(Fork::Electra, ELECTRA, &json_of::<BlindedBodyElectra<Minimal>>(ELECTRA)),
        of(Fork::Fulu, FULU, &json_of::<BlindedBodyElectra<Minimal>>(FULU)),
    ]
}

#[tokio::test]
async fn a_blinded_block_is_served_and_taken_back_as_such() {
    for (fork, slot, block) in blinded() {
        let world = world();
        let bare = block.to_json(Preset::Minimal).unwrap();
        for _ in 0..2 {
            world.answer(Answer::Block(block.clone()));
        }
        let path = format!("/eth/v3/validator/blocks/{slot}?randao_reveal={HALF}");
        let got = world.get(&path).await;
        assert_eq!((&got.ok()["data"], &got.ok()["execution_payload_blinded"]), (&bare, &json!(true)));
        assert_eq!(got.headers["eth-execution-payload-blinded"], "true");
        assert_eq!(world.get_ssz(&path).await.ssz(), &block.ssz.0[..]);
        world.asks();

        let name = fork.to_string();
        let asked = Ask::SignedBlock { slot, root: block.root, half: HALF };
        let signed = SignedBlockParts { block, signature: HALF };
        world.post_of(&name, BLINDED, json!({ "message": bare, "signature": HALF })).await.taken();
        world.post_ssz(&name, BLINDED, signed.to_ssz()).await.taken();
        assert_eq!(world.asks(), [asked.clone(), asked]);
        // A full block is none.
        let got = world.post_ssz(&name, PUBLISH, signed.to_ssz()).await;
        got.refused(400, "not the SSZ");
        assert!(world.asks().is_empty());
    }
}

#[tokio::test]
async fn a_block_of_another_fork_than_the_header_says_is_refused_beside_its_twin() {
    let world = world();
    let (_, _, json) = blocks()[2].clone();
    let body = signed_json(Fork::Electra, &json);
    world.post_of("fulu", PUBLISH, body.clone()).await.refused(400, "Eth-Consensus-Version is fulu");
    assert!(world.asks().is_empty());
    world.post_of("electra", PUBLISH, body).await.taken();
}
