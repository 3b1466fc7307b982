//! What the monitoring port tells of a slot: who was missing, whose fault it was, and for how long it is known.

use crate::world::{
    ATTEST, World, attestation_root, call, honest_vote, instance, refused, spec, taken, world,
};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use symbolon_core::node::ACCOUNT_EPOCHS;
use tower::ServiceExt as _;
use types::wire::Kind;
use types::{Millis, Root, Slot};

async fn ask(world: &World, path: &str) -> (u16, Value) {
    call(world.monitor(), Request::get(path).body(Body::empty()).unwrap()).await
}

/// The attestations of the slot, as the port tells them.
async fn attest(world: &World) -> Value {
    let (status, slot) = ask(world, &format!("/symbolon/v1/duties/{ATTEST}")).await;
    assert_eq!((status, &slot["slot"]), (200, &json!(ATTEST.0)), "{slot}");
    let duties = slot["duties"].as_array().unwrap();
    let [duty] = &duties.iter().filter(|duty| duty["kind"] == "attest").collect::<Vec<_>>()[..] else {
        panic!("one duty of a kind: {slot}")
    };
    (*duty).clone()
}

/// Everybody agrees, 200 ms into the slot.
fn agree(world: &World) {
    world.at(spec().slot_start(ATTEST).after(Millis(200)));
    world.head();
    let vote = honest_vote();
    let value = ssz::Encode::as_ssz_bytes(&vote).into();
    world.peers_vote(instance(ATTEST, Kind::Attest), Root::of(&vote), Some(value));
}

/// The own client signs for both validators.
async fn sign(world: &World) {
    let (vote, root) = (honest_vote(), attestation_root(&honest_vote()));
    for (validator, keys) in (0..).zip(&world.keys) {
        taken(&world.attest(validator, &vote, keys.half(1, &root)).await);
    }
}

/// Another operator's partials come, so long after the slot's start.
fn hear_partials(world: &World, from: u8, ms: u64) {
    world.at(spec().slot_start(ATTEST).after(Millis(ms)));
    let (vote, root) = (honest_vote(), attestation_root(&honest_vote()));
    let signatures: Vec<_> = world.keys.iter().map(|keys| keys.share(from, &root)).collect();
    world.partials(from, instance(ATTEST, Kind::Attest), Root::of(&vote), &signatures);
}

#[tokio::test]
async fn the_operator_that_sent_no_partial_is_named_under_missing() {
    let world = world(ATTEST, Default::default());
    agree(&world);
    sign(&world).await;
    hear_partials(&world, 2, 300);
    hear_partials(&world, 3, 350);
    let duty = attest(&world).await;
    assert_eq!(duty["missing"], json!([4]));
    assert_eq!((&duty["ending"], &duty["due"], &duty["done"]), (&json!("done"), &json!(2), &json!(2)));
    assert_eq!(duty["blame"]["was_it_me"], false);
    assert_eq!(duty["blame"]["operators"], json!([]), "nobody is to blame for what is done");
    let [one, two, _, four] = &duty["operators"].as_array().unwrap()[..] else { panic!("{duty}") };
    assert_eq!((&one["is_me"], &four["is_me"]), (&json!(true), &json!(false)));
    let hash = format!("0x{}", hex::encode(&Root::of(&honest_vote()).0[..4]));
    assert_eq!(four["vote"], json!({ "ms": 200, "round": 0, "hash": hash }));
    assert_eq!(two["partials"], json!({ "ms": 300, "count": 2 }));
    assert_eq!(four["partials"], Value::Null);
    let times = &duty["times_ms"];
    assert_eq!((&times["decided"], &times["combined"]), (&json!(200), &json!(350)));
}

#[tokio::test]
async fn was_it_me_is_answered_for_the_client_and_for_the_others() {
    let silent = world(ATTEST, Default::default());
    agree(&silent);
    hear_partials(&silent, 2, 300);
    hear_partials(&silent, 3, 300);
    let duty = attest(&silent).await;
    assert_eq!((&duty["ending"], &duty["missing"]), (&json!("client_silent"), &json!([1, 4])));
    assert_eq!(duty["blame"]["part"], "validator_client");
    assert_eq!(duty["blame"]["operators"], json!([{ "operator": 4, "lack": "no_partial" }]));

    let left_alone = world(ATTEST, Default::default());
    agree(&left_alone);
    sign(&left_alone).await;
    hear_partials(&left_alone, 2, 300);
    let duty = attest(&left_alone).await;
    assert_eq!((&duty["ending"], &duty["missing"]), (&json!("too_few_partials"), &json!([3, 4])));
    assert_eq!(duty["blame"]["was_it_me"], false);
    let sentence = duty["blame"]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("It was not this operator: operator 3 sent no partial"), "{sentence}");
}

#[tokio::test]
async fn a_slot_is_told_of_until_its_epochs_are_over_and_then_refused_with_words() {
    let world = world(ATTEST, Default::default());
    agree(&world);
    sign(&world).await;
    hear_partials(&world, 2, 300);
    let path = format!("/symbolon/v1/duties/{ATTEST}");
    let kept = ACCOUNT_EPOCHS * spec().slots_per_epoch;
    let mut told = attest(&world).await;
    for later in 1..=kept {
        world.at(spec().slot_start(Slot(ATTEST.0 + later)));
        let now = attest(&world).await;
        assert_eq!(now["is_final"], later > spec().slots_per_epoch, "{later} slots later");
        told["is_final"] = now["is_final"].clone();
        assert_eq!(now, told, "{later} slots later");
    }
    world.at(spec().slot_start(Slot(ATTEST.0 + kept + 1)));
    refused(&ask(&world, &path).await, 404, &format!("accounts go back to slot {}", ATTEST.0 + 1));
}

#[tokio::test]
async fn bad_questions_are_refused_with_words() {
    let world = world(ATTEST, Default::default());
    for (path, code, words) in [
        ("/symbolon/v1/duties/first", 400, "a slot is a number"),
        ("/symbolon/v1/duties/-1", 400, "a slot is a number"),
        ("/symbolon/v1/duties/99999999999999999999", 400, "a slot is a number"),
        ("/symbolon/v1/duties/42", 404, "slot 42 has not begun: the newest is 41"),
        ("/symbolon/v1/duties/3", 404, "slot 3 is not kept: accounts go back to slot"),
        ("/symbolon/v1/duties?from=1&to=33", 400, "at most 32 slots"),
        ("/symbolon/v1/duties?from=9&to=8", 400, "at most 32 slots"),
        ("/symbolon/v1/duties?from=x", 400, "a slot is a number"),
        ("/symbolon/v1/duties?from=1&from=2", 400, "duplicate"),
        ("/symbolon/v1/duties?from=1&to=3", 404, "is not kept"),
        ("/symbolon/v1/duties?from=18446744073709551615", 404, "has not begun"),
        ("/symbolon/v1/validators", 404, "this port has"),
    ] {
        refused(&ask(&world, path).await, code, words);
    }
    let post = Request::post("/symbolon/v1/exits").body(Body::empty()).unwrap();
    refused(&call(world.monitor(), post).await, 405, "GET");
}

#[tokio::test]
async fn a_span_tells_each_slot_in_short() {
    let world = world(ATTEST, Default::default());
    agree(&world);
    sign(&world).await;
    for path in [
        format!("/symbolon/v1/duties?from={ATTEST}&to={ATTEST}"),
        "/symbolon/v1/duties".to_owned(),
        format!("/symbolon/v1/duties?to={ATTEST}"),
        format!("/symbolon/v1/duties?from={ATTEST}"),
    ] {
        let (status, answer) = ask(&world, &path).await;
        assert_eq!((status, &answer["newest"]), (200, &json!(ATTEST.0)), "{path}: {answer}");
        let of_slot = answer["slots"].as_array().unwrap().iter().find(|slot| slot["slot"] == ATTEST.0);
        let duties = of_slot.unwrap()["duties"].as_array().unwrap();
        let duty = duties.iter().find(|duty| duty["kind"] == "attest").unwrap();
        assert_eq!((&duty["ending"], &duty["missing"]), (&json!("too_few_partials"), &json!([2, 3, 4])));
        assert_eq!(duty["operators"], Value::Null, "in short");
    }
}

#[tokio::test]
async fn peers_beacon_nodes_and_exits_are_shown() {
    let world = world(ATTEST, Default::default());
    let (_, peers) = ask(&world, "/symbolon/v1/peers").await;
    assert_eq!(
        peers["peers"],
        json!([
            { "operator": 2, "connected": true, "route": "relayed", "rtt_ms": 1.5 },
            { "operator": 3, "connected": false, "route": null, "rtt_ms": 1.5 },
        ])
    );
    let (_, nodes) = ask(&world, "/symbolon/v1/beacon-nodes").await;
    let node = &nodes["beacon_nodes"][0];
    assert_eq!((&node["aside"], &node["lag_slots"]), (&json!("lagging"), &json!(3)));

    assert_eq!(ask(&world, "/symbolon/v1/exits").await.1, json!({ "exits": [] }));
    let start = spec().epoch_start(crate::world::EPOCH);
    let signature = world.keys[1].share(2, &attestation_root(&honest_vote()));
    world.partials(2, instance(start, Kind::Exit), Root::ZERO, &[signature]);
    let (_, exits) = ask(&world, "/symbolon/v1/exits").await;
    let exit = &exits["exits"][0];
    assert_eq!((&exit["validator"], &exit["epoch"]), (&json!(0), &json!(crate::world::EPOCH.0)));
    assert_eq!((&exit["approved_by"], &exit["signed"]), (&json!([2]), &json!(false)));
    assert_eq!(exit["taken"], json!(false));
}

#[tokio::test]
async fn metrics_tell_how_beacon_nodes_are_by_number() {
    let world = world(ATTEST, Default::default());
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let body = world.monitor().oneshot(request).await.unwrap().into_body();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    for line in [
        "symbolon_beacon_node_aside{node=\"0\",reason=\"lagging\"} 1",
        "symbolon_beacon_node_aside{node=\"0\",reason=\"syncing\"} 0",
        "symbolon_beacon_node_lag_slots{node=\"0\"} 3",
        "symbolon_beacon_node_latency_seconds{node=\"0\"} 0.008",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("5052"), "no address is a label");
}
