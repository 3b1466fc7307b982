//! Which bids a beacon node gets to see, and which not.

use crate::world::{
    FULU, FakeRelay, Offer, PARENT, SLOT, VALIDATOR, config, header_path, offer, registration, secret, text,
    world, world_of,
};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::{body::Body, http::Request};
use dvt_node::builder::{BuilderConfig, Fate};
use std::time::Duration;
use types::{Fork, PublicKey, RelayBid, Root, Slot, Wei};

#[tokio::test]
async fn the_best_bid_wins_and_is_kept_for_the_proposal() {
    let low = FakeRelay::offering(1, &offer(1, "0.1")).await;
    let high = FakeRelay::offering(2, &offer(2, "0.3")).await;
    let none = FakeRelay::without_bid(3).await;
    let middle = FakeRelay::offering(4, &offer(4, "0.2")).await;
    let world = world(&[&low, &high, &none, &middle]);
    let answer = world.header().await;
    assert_eq!(answer.status, 200);
    let best = offer(2, "0.3").signed();
    assert_eq!(answer.json(), best.to_json());
    assert_eq!(answer.headers["eth-consensus-version"], "electra");
    assert_eq!(world.builder.bids().of(best.block_hash), Some(best));
    assert_eq!(world.builder.bids().of(offer(4, "0.2").signed().block_hash), None, "nobody was shown it");
    assert_eq!(world.fates(), [Fate::Best, Fate::Outbid, Fate::Outbid, Fate::NoBid]);
    assert_eq!(low.seen()[0].path, header_path(SLOT, PARENT, VALIDATOR));
}

#[tokio::test]
async fn of_equal_bids_the_first_in_the_list_wins() {
    let relays = [FakeRelay::offering(2, &offer(2, "1")).await, FakeRelay::offering(1, &offer(1, "1")).await];
    let world = world(&[&relays[0], &relays[1]]);
    assert_eq!(world.header().await.json(), offer(2, "1").signed().to_json());
}

#[tokio::test]
async fn who_takes_ssz_only_gets_ssz() {
    let relay = FakeRelay::offering(1, &offer(1, "1")).await;
    let world = world(&[&relay]);
    for (accept, ssz) in [
        ("application/octet-stream", true),
        ("application/octet-stream;q=1.0,application/json;q=0.9", false),
        ("*/*", false),
    ] {
        let request = Request::get(header_path(SLOT, PARENT, VALIDATOR)).header(header::ACCEPT, accept);
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.headers[header::CONTENT_TYPE] == "application/octet-stream", ssz, "{accept}");
        let read = if ssz {
            RelayBid::from_ssz(Fork::Electra, &answer.body)
        } else {
            RelayBid::from_json(&answer.json())
        };
        assert_eq!(read, Ok(offer(1, "1").signed()));
    }
}

/// A bid that is nearly right, beside a good one that pays less: how it is counted.
async fn refused(near: Offer) -> Fate {
    let villain = FakeRelay::offering(1, &near).await;
    let honest = FakeRelay::offering(2, &offer(2, "0.001")).await;
    let world = world_of(
        BuilderConfig { min_bid: Wei::from_eth("0.001").unwrap(), ..config(&[&villain, &honest]) },
        Some(registration()),
    );
    assert_eq!(world.header().await.json(), offer(2, "0.001").signed().to_json(), "{near:?}");
    assert_eq!(world.builder.bids().of(near.header.block_hash), None);
    let fates = world.fates();
    assert_eq!(fates.len(), 2);
    assert_eq!(fates[0], Fate::Best);
    fates[1]
}

#[tokio::test]
async fn a_forged_bid_is_refused_and_counted() {
    assert_eq!(refused(Offer { signer: 3, ..offer(1, "9") }).await, Fate::Forged);
}

#[tokio::test]
async fn a_bid_that_was_changed_after_it_was_signed_is_forged() {
    let signed = offer(1, "0.1").signed();
    let mut json = signed.to_json();
    json["data"]["message"]["value"] = "9000000000000000000".into();
    let answer = move |_: &_| Some(axum::Json(json.clone()).into_response());
    let relay = FakeRelay::start(1, answer).await;
    let world = world(&[&relay]);
    assert_eq!(world.header().await.status, 204);
    assert_eq!(world.fates(), [Fate::Forged]);
}

#[tokio::test]
async fn a_bid_under_another_key_than_the_lists_is_refused() {
    // Signed in its own name by a relay that this operator has not listed.
    let strangers = Offer { relay: secret(3).public(), signer: 3, ..offer(1, "9") };
    assert_eq!(refused(strangers).await, Fate::Unfit);
}

#[tokio::test]
async fn a_bid_that_pays_nothing_or_too_little_is_refused() {
    assert_eq!(refused(offer(1, "0")).await, Fate::TooLow);
    assert_eq!(refused(offer(1, "0.000999999999999999")).await, Fate::TooLow);
}

#[tokio::test]
async fn a_bid_for_another_parent_slot_or_fork_is_refused() {
    let good = offer(1, "9");
    let mut parent = good.clone();
    parent.header.parent_hash = Root([0xb2; 32]);
    let mut early = good.clone();
    early.header.timestamp -= 12;
    let mut late = good.clone();
    late.header.timestamp += 1;
    let fulu = Offer { fork: Fork::Fulu, ..good };
    for near in [parent, early, late, fulu] {
        assert_eq!(refused(near).await, Fate::Unfit);
    }
}

#[tokio::test]
async fn after_a_fork_bids_are_of_it() {
    let mut fulu = Offer { fork: Fork::Fulu, ..offer(1, "1") };
    fulu.header.timestamp = 1_000 + 12 * FULU.0;
    let relay = FakeRelay::offering(1, &fulu).await;
    let world = world(&[&relay]);
    let answer = world.get(&header_path(FULU, PARENT, VALIDATOR)).await;
    assert_eq!(answer.json(), fulu.signed().to_json());
    assert_eq!(answer.headers["eth-consensus-version"], "fulu");
}

#[tokio::test]
async fn without_a_good_bid_there_is_none() {
    type Row = (fn() -> Option<Response>, Fate);
    let answers: [Row; 4] = [
        (|| Some(text(204, "")), Fate::NoBid),
        (|| Some(text(500, "down")), Fate::Failed),
        (|| Some(text(200, "{}")), Fate::Failed),
        (|| None, Fate::Late),
    ];
    for (answer, fate) in answers {
        let relay = FakeRelay::start(1, move |_| answer()).await;
        let short = Duration::from_millis(if fate == Fate::Late { 50 } else { 60_000 });
        let world = world_of(BuilderConfig { header_wait: short, ..config(&[&relay]) }, None);
        let answer = world.header().await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{fate:?}");
        assert_eq!(world.fates(), [fate]);
    }
}

#[tokio::test]
async fn relays_are_asked_for_our_validators_only() {
    let relay = FakeRelay::offering(1, &offer(1, "1")).await;
    let world = world(&[&relay]);
    let stranger = world.get(&header_path(SLOT, PARENT, PublicKey([0xa8; 48]))).await;
    assert_eq!(stranger.status, 400);
    assert!(stranger.message().contains("no validator of this cluster"), "{}", stranger.message());
    for path in [
        "/eth/v1/builder/header/x/0x00/0x00".to_owned(),
        header_path(SLOT, PARENT, VALIDATOR).replace("0xb1", "0x"),
        header_path(Slot(u64::MAX), PARENT, VALIDATOR) + "0",
    ] {
        assert_eq!(world.get(&path).await.status, 400, "{path}");
    }
    assert!(relay.seen().is_empty());
}
