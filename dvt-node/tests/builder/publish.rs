//! A signed blinded block finds the relay that has its payload, and comes back as that payload and no other.

use crate::world::{FULU, FakeRelay, SLOT, Seen, block, offer, secret, text, until, world, yes};
use axum::response::{IntoResponse as _, Response};
use std::sync::atomic::{AtomicUsize, Ordering};
use types::{Preset, Root};

const V1: &str = "/eth/v1/builder/blinded_blocks";
const V2: &str = "/eth/v2/builder/blinded_blocks";

#[tokio::test]
async fn a_signed_block_goes_to_the_relays_that_offered_it_and_to_no_other() {
    let best = offer(1, "0.3");
    // The same block of the same builder, by another relay.
    let same = crate::world::Offer { relay: secret(2).public(), signer: 2, eth: "0.2", ..best.clone() };
    let relays = [
        FakeRelay::offering(1, &best).await,
        FakeRelay::offering(2, &same).await,
        FakeRelay::offering(3, &offer(3, "0.1")).await,
    ];
    let world = world(&relays.each_ref());
    assert_eq!(world.header().await.status, 200);
    let (_, signed, _) = block(SLOT, best.header.block_hash);
    let answer = world.hand_in(2, &signed).await;
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    // The second is told as well, but the answer does not wait for it.
    until(|| relays[1].asked(V2) > 0).await;
    assert_eq!([0, 1, 2].map(|at| relays[at].asked(V2)), [1, 1, 0]);
    let body: serde_json::Value = serde_json::from_slice(&relays[0].seen()[1].body).unwrap();
    assert_eq!(body, signed.to_json(Preset::Minimal).unwrap());
}

#[tokio::test]
async fn a_block_whose_bid_another_operator_has_seen_goes_to_all_relays() {
    let no = |_: &Seen| Some(text(400, "unknown block"));
    let relays = [FakeRelay::start(1, no).await, FakeRelay::without_bid(2).await];
    let world = world(&relays.each_ref());
    let (_, signed, _) = block(FULU, Root([0xee; 32]));
    let ssz = world.post(V2, "fulu", signed.to_ssz(), "application/octet-stream").await;
    assert_eq!(ssz.status, 202);
    until(|| relays.iter().all(|relay| relay.asked(V2) == 1)).await;
}

#[tokio::test]
async fn what_no_relay_takes_is_a_bad_gateway_with_all_their_words() {
    let no = |_: &Seen| Some(text(400, r#"{"code": 400, "message": "unknown block"}"#));
    let relays = [FakeRelay::start(1, no).await, FakeRelay::start(2, no).await];
    let world = world(&relays.each_ref());
    let answer = world.hand_in(2, &block(SLOT, Root([0xee; 32])).1).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.message().matches("unknown block").count(), 2);
}

#[tokio::test]
async fn a_relay_that_fails_in_passing_is_tried_again() {
    let tries = AtomicUsize::new(0);
    let relay = FakeRelay::start(1, move |_| {
        Some(if tries.fetch_add(1, Ordering::SeqCst) < 2 { text(503, "in a moment") } else { yes() })
    })
    .await;
    let world = world(&[&relay]);
    assert_eq!(world.hand_in(2, &block(SLOT, Root([0xee; 32])).1).await.status, 202);
    assert_eq!(relay.asked(V2), 3);
    let relay = FakeRelay::start(1, |_| Some(text(500, "broken"))).await;
    let world = crate::world::world(&[&relay]);
    assert_eq!(world.hand_in(2, &block(SLOT, Root([0xee; 32])).1).await.status, 502);
    assert_eq!(relay.asked(V2), 5, "and not for ever");
}

/// A relay that reveals this and nothing else.
async fn revealing(number: u8, reveal: serde_json::Value) -> FakeRelay {
    let answer = move |seen: &Seen| -> Response {
        if seen.path == V1 { axum::Json(reveal.clone()).into_response() } else { text(404, "") }
    };
    FakeRelay::start(number, move |seen| Some(answer(seen))).await
}

#[tokio::test]
async fn a_revealed_payload_is_passed_on_as_it_is() {
    let (_, signed, reveal) = block(SLOT, Root([0xee; 32]));
    let relay = revealing(1, reveal.clone()).await;
    let world = world(&[&relay]);
    let answer = world.hand_in(1, &signed).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), reveal);
    assert_eq!(world.hand_in(2, &signed).await.status, 202, "an older relay publishes as well");
}

#[tokio::test]
async fn another_payload_than_the_signed_one_is_not_passed_on() {
    let (_, signed, good) = block(SLOT, Root([0xee; 32]));
    let (_, _, other) = block(SLOT, Root([0xef; 32]));
    let (_, _, of_fulu) = block(FULU, Root([0xee; 32]));
    let mut no_blobs = good.clone();
    no_blobs["data"]["blobs_bundle"]["commitments"] = serde_json::json!([format!("0x{}", "01".repeat(48))]);
    for wrong in [other.clone(), of_fulu, no_blobs, serde_json::json!({ "version": "electra" })] {
        let relay = revealing(1, wrong.clone()).await;
        let answer = world(&[&relay]).hand_in(1, &signed).await;
        assert_eq!(answer.status, 502);
        assert!(answer.message().contains("revealed something else"), "{}", answer.message());
    }
    let relays = [revealing(1, other).await, revealing(2, good.clone()).await];
    assert_eq!(world(&relays.each_ref()).hand_in(1, &signed).await.json(), good);
}

#[tokio::test]
async fn what_is_no_signed_blinded_block_reaches_no_relay() {
    let relay = FakeRelay::without_bid(1).await;
    let world = world(&[&relay]);
    let (full, signed, _) = block(SLOT, Root([0xee; 32]));
    let json = signed.to_json(Preset::Minimal).unwrap().to_string().into_bytes();
    let bodies: [(&str, Vec<u8>, &str); 5] = [
        ("electra", b"{}".to_vec(), "application/json"),
        ("electra", b"<".to_vec(), "application/json"),
        ("electra", full.ssz.0.to_vec(), "application/octet-stream"),
        ("deneb", signed.to_ssz(), "application/octet-stream"),
        ("bellatrix", json, "application/json"),
    ];
    for (fork, body, kind) in bodies {
        let answer = world.post(V2, fork, body, kind).await;
        assert_eq!(answer.status, 400, "{fork} {kind}: {}", answer.message());
    }
    let answer = world.hand_in(1, &block(FULU, Root([0xee; 32])).1).await;
    assert_eq!(answer.status, 400, "v1 has ended with Electra");
    assert!(relay.seen().is_empty());
}
