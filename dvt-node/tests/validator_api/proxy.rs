//! Reading the chain is passed on, nothing else is.

use crate::world::{respond, world};
use axum::body::Body;
use axum::http::{Method, Request, header};
use dvt_node::validator_api::Noticed;
use serde_json::json;

#[tokio::test]
async fn reading_the_chain_is_passed_on_with_its_query() {
    for path in [
        "/eth/v1/beacon/genesis",
        "/eth/v1/config/spec",
        "/eth/v1/config/fork_schedule",
        "/eth/v1/config/deposit_contract",
        "/eth/v1/node/syncing",
        "/eth/v1/node/version",
        "/eth/v1/beacon/headers/head",
        "/eth/v1/beacon/headers?slot=3",
        "/eth/v2/beacon/blocks/head",
        "/eth/v1/beacon/states/head/finality_checkpoints",
        "/eth/v2/debug/beacon/heads",
        "/eth/v1/beacon/pool/sync_committees",
        "/eth/v1/beacon/pool/voluntary_exits",
        "/eth/v1/beacon/rewards/blocks/head",
    ] {
        let world = world();
        assert_eq!(world.get(path).await.ok()["data"]["asked"], path);
        assert_eq!(world.forwarded_once(), (Method::GET, path.to_owned(), String::new()));
        assert!(world.noticed.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn status_content_type_and_the_apis_headers_are_kept() {
    let world = world();
    world.chain().script.push_back(Ok(respond(206, "application/octet-stream", vec![1_u8, 2, 3])));
    let accept = "application/octet-stream;q=1,application/json;q=0.9";
    let request = Request::get("/eth/v1/node/health").header(header::ACCEPT, accept);
    let got = world.call(request.header("x-secret", "1").body(Body::empty()).unwrap()).await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (206, &[1_u8, 2, 3][..]));
    assert_eq!(got.headers[header::CONTENT_TYPE], "application/octet-stream");
    assert_eq!(got.headers["eth-consensus-version"], "deneb");
    assert!(!got.headers.contains_key(header::SERVER));
    let asked = world.forwarded();
    assert_eq!(asked[0].headers[header::ACCEPT], accept);
    assert_eq!(asked[0].headers.len(), 1, "nothing else of the client's goes on");
}

#[tokio::test]
async fn the_beacon_nodes_errors_are_passed_on_as_the_apis() {
    let world = world();
    let path = "/eth/v1/beacon/headers/head";
    let script = [
        respond(404, "application/json", r#"{"code":404,"message":"no such header"}"#),
        respond(502, "text/html", "<h1>nginx</h1>"),
        respond(101, "text/html", ""),
        respond(7, "text/html", ""),
    ];
    world.chain().script.extend(script.into_iter().map(Ok));
    world.get(path).await.refused(404, "no such header");
    world.get(path).await.refused(502, "nginx");
    world.get(path).await.refused(502, "ends no request");
    world.get(path).await.refused(502, "ends no request");
    world.chain().down = true;
    world.get(path).await.refused(503, "no beacon node answers");
    world.chain().down = false;
    world.get(path).await.ok();
}

#[tokio::test]
async fn everything_else_is_501_and_counted() {
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/eth"),
        ("GET", "/eth/v1"),
        ("GET", "/eth/v1/validator/unheard_of"),
        ("GET", "/eth/v9/validator/blocks/1"),
        ("GET", "/eth/v1/VALIDATOR/attestation_data"),
        ("GET", "/eth/v1/%76alidator/attestation_data"),
        ("GET", "/eth/v1/beacon/../validator/attestation_data"),
        ("GET", "/eth/v1/beacon/%2e%2e/validator/x"),
        ("GET", "/eth/v1//validator/x"),
        ("GET", "/eth/v1/beacon/states/head/validators/"),
        ("GET", "/eth/vx/beacon/genesis"),
        ("GET", "/eth/v1/validator/prepare_beacon_proposer"),
        ("POST", "/eth/v1/beacon/genesis"),
        ("POST", "/eth/v1/beacon/blocks"),
        ("POST", "/eth/v1/beacon/pool/attestations"),
        ("POST", "/eth/v1/validator/aggregate_and_proofs"),
        ("GET", "/eth/v1/validator/beacon_committee_selections"),
        ("POST", "/eth/v1/validator/attestation_data"),
        ("DELETE", "/eth/v1/beacon/genesis"),
        ("PATCH", "/eth/v2/beacon/blocks"),
    ] {
        let world = world();
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        world.call(request).await.refused(501, "does not serve");
        assert_eq!(*world.noticed.lock().unwrap(), [Noticed::UnknownRoute], "{method} {path}");
        assert!(world.forwarded().is_empty(), "{method} {path}");
    }
}

#[tokio::test]
async fn states_that_are_not_written_plainly_are_refused() {
    let world = world();
    for state in ["head%2F..", "%2e%2e", "a%00b", "..", "a%3Fb"] {
        let path = format!("/eth/v1/beacon/states/{state}/validators");
        world.get(&path).await.refused(400, "characters");
    }
    assert!(world.forwarded().is_empty());
}

#[tokio::test]
async fn what_others_have_signed_is_passed_on_as_it_is() {
    for path in [
        "/eth/v2/beacon/pool/attester_slashings",
        "/eth/v1/beacon/pool/proposer_slashings",
        "/eth/v1/beacon/pool/bls_to_execution_changes",
    ] {
        let world = world();
        world.post(path, json!({ "any": "thing" })).await.ok();
        world.post_ssz("fulu", path, vec![1, 2, 3]).await.ok();
        let [json, ssz] = <[_; 2]>::try_from(world.forwarded()).unwrap();
        assert_eq!((json.path_and_query.as_str(), &json.body[..]), (path, &br#"{"any":"thing"}"#[..]));
        assert_eq!(json.headers[header::CONTENT_TYPE], "application/json");
        assert_eq!((ssz.path_and_query.as_str(), &ssz.body[..]), (path, &[1_u8, 2, 3][..]));
        assert_eq!(ssz.headers[header::CONTENT_TYPE], "application/octet-stream");
        assert_eq!(ssz.headers["eth-consensus-version"], "fulu");
    }
}
