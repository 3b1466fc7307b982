//! Sync committees: the head that is voted for out, halves in.

use crate::objects::{HALF, HEAD, message};
use crate::world::{ELECTRA, STRANGER_INDEX, index, spec, world};
use serde_json::json;
use ssz::Encode as _;
use symbolon_core::{Answer, Ask, HalfSyncMessage, Refusal};
use types::{Millis, Root, Slot, ValidatorNo};

const POOL: &str = "/eth/v1/beacon/pool/sync_committees";
const ROOT: &str = "/eth/v1/beacon/blocks/head/root";

fn half(number: u32) -> HalfSyncMessage {
    HalfSyncMessage { validator: ValidatorNo(number), beacon_block_root: HEAD, half: HALF }
}

#[tokio::test]
async fn the_head_is_the_one_that_the_cluster_votes_for_in_this_slot() {
    let world = world();
    for _ in 0..2 {
        world.answer(Answer::HeadRoot(HEAD));
    }
    let expected = json!({ "execution_optimistic": false, "finalized": false, "data": { "root": HEAD } });
    assert_eq!(world.get(ROOT).await.ok(), expected);
    *world.now.lock().unwrap() = spec().slot_start(Slot(70)).after(Millis(4_000));
    let got = world.get_ssz(ROOT).await;
    assert_eq!(got.ssz(), HEAD.0);
    assert_eq!(got.headers["eth-execution-optimistic"], "false");
    assert_eq!(world.asks(), [Ask::HeadRoot { slot: ELECTRA }, Ask::HeadRoot { slot: Slot(70) }]);
    assert!(world.forwarded().is_empty());
}

#[tokio::test]
async fn the_head_is_the_chains_where_none_of_ours_is_in_the_committee() {
    let world = world();
    world.answer(Answer::Refused(Refusal::NoDuty(ELECTRA)));
    world.get(ROOT).await.ok();
    assert_eq!(world.forwarded_once().1, ROOT);
    // Another block's root is no business of the cluster's.
    world.get("/eth/v1/beacon/blocks/finalized/root").await.ok();
    assert_eq!(world.asks().len(), 1);
    *world.now.lock().unwrap() = Millis(0);
    world.forwarded();
    world.get(ROOT).await.ok();
    assert_eq!(world.forwarded_once().1, ROOT);
    assert!(world.asks().is_empty(), "there is no slot before genesis");
}

#[tokio::test]
async fn a_head_that_was_not_agreed_on_is_said_so() {
    let world = world();
    world.answer(Answer::Refused(Refusal::TooLate(ELECTRA)));
    world.get(ROOT).await.refused(503, "did not agree in time");
    world.get(ROOT).await.refused(500, "something else");
    assert!(world.forwarded().is_empty());
}

#[tokio::test]
async fn messages_reach_core_slot_by_slot_from_json_and_from_ssz() {
    let world = world();
    let list = vec![message(Slot(66), index(1)), message(ELECTRA, index(0)), message(ELECTRA, index(1))];
    let asked = [
        Ask::SyncMessages { slot: ELECTRA, halves: vec![half(0), half(1)] },
        Ask::SyncMessages { slot: Slot(66), halves: vec![half(1)] },
    ];
    world.post(POOL, json!(list)).await.taken();
    assert_eq!(world.asks(), asked);
    world.post_ssz("electra", POOL, list.as_ssz_bytes()).await.taken();
    assert_eq!(world.asks(), asked);
}

#[tokio::test]
async fn one_bad_message_costs_only_itself() {
    let world = world();
    let not_agreed = Refusal::NotAgreed { signed: Root([1; 32]), agreed: HEAD };
    world.answer(Answer::PartlyRefused(vec![(1, not_agreed.clone())]));
    let body = json!([
        message(ELECTRA, STRANGER_INDEX),
        message(ELECTRA, index(0)),
        { "garbage": 1 },
        message(ELECTRA, index(1)),
    ]);
    let json = world.post(POOL, body).await.refused(400, "3 refused");
    let places: Vec<_> =
        json["failures"].as_array().unwrap().iter().map(|one| one["index"].clone()).collect();
    assert_eq!(places, [0, 2, 3]);
    assert_eq!(json["failures"][2]["message"], not_agreed.to_string());
    world.post(POOL, json!([message(ELECTRA, index(0))])).await.taken();
}
