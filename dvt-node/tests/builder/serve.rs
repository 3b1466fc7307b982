//! Registrations, status, bad requests, bad lists; and what is never shown.

use crate::world::{
    Counted, FakeRelay, Seen, build, config, offer, registration, secret, spec, text, until, validator,
    world, world_of,
};
use axum::body::Body;
use axum::http::Request;
use dvt_node::builder::{BLOCK_LEN_MAX, BuilderConfig, BuilderError, RELAYS_MAX, REQUESTS_MAX};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;
use types::builder::SignedValidatorRegistrationV1;
use types::{Address, PublicKey};

const VALIDATORS: &str = "/eth/v1/builder/validators";

/// A registration of a validator client, under the key of its half.
fn clients_own() -> Vec<u8> {
    let mut own = serde_json::to_value(registration()).unwrap();
    own["message"]["pubkey"] = json!(secret(99).public());
    json!([own]).to_string().into_bytes()
}

#[tokio::test]
async fn relays_hear_the_clusters_registrations_and_never_the_clients() {
    let relays = [FakeRelay::without_bid(1).await, FakeRelay::without_bid(2).await];
    let world = world(&relays.each_ref());
    assert_eq!(world.post(VALIDATORS, "electra", clients_own(), "application/json").await.status, 200);
    for relay in &relays {
        let seen = relay.seen();
        assert_eq!((seen.len(), seen[0].path.as_str()), (1, VALIDATORS));
        let told: Value = serde_json::from_slice(&seen[0].body).unwrap();
        assert_eq!(told, json!([registration()]));
    }
    assert_eq!(world.builder.register().await, 2);
    assert_eq!(relays[0].asked(VALIDATORS), 2);
}

#[tokio::test]
async fn beacon_nodes_hear_the_same_registrations_unasked() {
    let relay = FakeRelay::without_bid(1).await;
    // Any server that takes what it is given will do for a beacon node.
    let node = FakeRelay::start(2, |_| Some(text(200, ""))).await;
    let url = node.url.replace(&format!("{}@", secret(2).public()), "");
    let beacon = beacon::Beacon::new(vec![url], Arc::new(spec()), beacon::Limits::default()).unwrap();
    let keeping = tokio::spawn(world(&[&relay]).builder.clone().keep_registered(beacon));
    let register = "/eth/v1/validator/register_validator";
    until(|| node.asked(register) > 0 && relay.asked(VALIDATORS) > 0).await;
    keeping.abort();
    let seen = node.seen().into_iter().find(|seen| seen.path == register).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), json!([registration()]));
}

#[tokio::test]
async fn relays_hear_what_operators_have_approved_since_the_ceremony_and_nothing_older() {
    let relay = FakeRelay::start(1, |_| Some(text(200, ""))).await;
    let world = world(&[&relay]);
    let of_lock: SignedValidatorRegistrationV1 =
        serde_json::from_value(json!(registration())).expect("one form for both");
    let stated = |after: i64| {
        let mut signed = of_lock;
        signed.message.timestamp = signed.message.timestamp.saturating_add_signed(after);
        signed.message.fee_recipient = Address([9; 20]);
        signed
    };
    let mut stranger = stated(1);
    stranger.message.pubkey = PublicKey([3; 48]);
    for (learned, told) in
        [(vec![stated(-1), stranger], of_lock), (vec![stated(7)], stated(7)), (vec![stated(6)], stated(7))]
    {
        world.builder.learn(learned);
        assert_eq!(world.builder.register().await, 1);
        let seen = relay.seen();
        let body: Value = serde_json::from_slice(&seen.last().unwrap().body).unwrap();
        assert_eq!(body, json!([told]));
    }
}

#[tokio::test]
async fn one_relay_that_takes_the_registrations_is_enough_and_none_is_an_error() {
    let no = |_: &Seen| Some(text(400, "no"));
    let refusing = FakeRelay::start(1, no).await;
    let taking = FakeRelay::without_bid(2).await;
    let mixed = world(&[&refusing, &taking]);
    assert_eq!(mixed.post(VALIDATORS, "electra", b"[]".to_vec(), "application/json").await.status, 200);
    let alone = world(&[&refusing]);
    assert_eq!(alone.post(VALIDATORS, "electra", b"[]".to_vec(), "application/json").await.status, 502);
    let without = world_of(config(&[&taking]), None);
    let answer = without.post(VALIDATORS, "electra", clients_own(), "application/json").await;
    assert_eq!(answer.status, 503);
    assert!(answer.message().contains("no builder registrations"));
    assert_eq!(taking.asked(VALIDATORS), 1, "what the client signed did not stand in");
}

#[tokio::test]
async fn the_proxy_is_well_while_one_relay_is() {
    let down = FakeRelay::start(1, |_| Some(text(500, "down"))).await;
    let up = FakeRelay::without_bid(2).await;
    let status = "/eth/v1/builder/status";
    assert_eq!(world(&[&down, &up]).get(status).await.status, 200);
    let answer = world(&[&down]).get(status).await;
    assert_eq!(answer.status, 503);
    assert!(answer.message().contains("down"));
}

#[tokio::test]
async fn requests_that_the_api_does_not_know_are_refused_in_its_own_words() {
    let relay = FakeRelay::without_bid(1).await;
    let world = world(&[&relay]);
    for path in ["/", "/eth/v1/builder", "/eth/v3/builder/blinded_blocks", "/eth/v1/node/version"] {
        assert_eq!(world.get(path).await.status, 404);
        assert!(!world.get(path).await.message().is_empty());
    }
    let answer = world.get("/eth/v2/builder/blinded_blocks").await;
    assert_eq!((answer.status, answer.message().is_empty()), (405, false));
    let long = vec![b' '; BLOCK_LEN_MAX + 1];
    let answer = world.post("/eth/v2/builder/blinded_blocks", "electra", long, "application/json").await;
    assert_eq!((answer.status, answer.message().is_empty()), (413, false));
    let unnamed = Request::post("/eth/v2/builder/blinded_blocks").body(Body::from("{}")).unwrap();
    assert_eq!(world.send(unnamed).await.status, 400);
    assert!(relay.seen().is_empty());
}

#[tokio::test]
async fn more_requests_than_there_are_seats_are_turned_away() {
    // A relay that never answers holds every seat.
    let silent = FakeRelay::start(1, |_| None).await;
    let world = world(&[&silent]);
    let held: Vec<_> = (0..REQUESTS_MAX)
        .map(|_| {
            let app = world.app.clone();
            let request = Request::get("/eth/v1/builder/status").body(Body::empty()).unwrap();
            tokio::spawn(tower::ServiceExt::oneshot(app, request))
        })
        .collect();
    until(|| silent.seen().len() == REQUESTS_MAX).await;
    assert_eq!(world.get("/eth/v1/builder/status").await.status, 503);
    held.iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn an_address_is_shown_without_its_path_and_query() {
    let answer = |seen: &Seen| Some(text(400, &format!("no {}", seen.path)));
    let relay = FakeRelay::start(1, answer).await;
    let secret_address = format!("{}/path-1?id=token-2", relay.url);
    let config = BuilderConfig { relays: vec![SecretString::from(secret_address)], ..config(&[]) };
    let printed = format!("{config:?}");
    let world = world_of(config, Some(registration()));
    let answer = world.get("/eth/v1/builder/status").await;
    assert_eq!(relay.seen()[0].path, "/path-1/eth/v1/builder/status?id=token-2");
    for shown in [answer.message(), format!("{:?}", world.builder), printed] {
        assert!(!shown.contains("path-1") && !shown.contains("token-2"), "{shown}");
    }
}

#[tokio::test]
async fn a_list_of_relays_with_a_mistake_is_refused_by_its_place() {
    let relay = FakeRelay::offering(1, &offer(1, "1")).await;
    let good = SecretString::from(relay.url.as_str());
    let new = |relays: Vec<SecretString>| {
        let config = BuilderConfig { relays, ..config(&[]) };
        build(config, &[validator(None)], Counted::default()).map(|builder| builder.relay_keys())
    };
    assert_eq!(new(vec![good.clone()]), Ok(vec![secret(1).public()]));
    let twice = new(vec![good.clone(), good.clone()]).unwrap_err();
    assert!(matches!(twice, BuilderError::Twice { position: 2, .. }));
    let many = new(vec![good.clone(); RELAYS_MAX + 1]);
    assert_eq!(many, Err(BuilderError::TooMany { have: RELAYS_MAX + 1 }));
    let no_key = SecretString::from("https://relay.example/secret-1");
    let error = new(vec![good.clone(), no_key]).unwrap_err();
    assert!(matches!(error, BuilderError::Address { position: 2, .. }), "{error}");
    assert!(!error.to_string().contains("secret-1"));
    let no_point = SecretString::from(format!("https://0x{}@relay.example", "11".repeat(48)));
    assert!(matches!(new(vec![no_point]), Err(BuilderError::Key { position: 1, .. })));
}
