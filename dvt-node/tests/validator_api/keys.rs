//! Keys are rewritten both ways, and the wrong ones are refused with what to do.

use crate::world::{STRANGER, STRANGER_INDEX, client_key, group_key, index, share_key, world};
use axum::http::{Method, Request, header};
use serde_json::{Value, json};

const VALIDATORS: &str = "/eth/v1/beacon/states/head/validators";

fn keys(json: &Value) -> Vec<String> {
    let text = |entry: &Value| entry["validator"]["pubkey"].as_str().unwrap().to_owned();
    json["data"].as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn a_query_for_client_keys_asks_the_chain_for_group_keys_and_back() {
    let (ours, other) = (client_key(0).to_string(), client_key(1).to_string());
    let forms = [
        format!("{VALIDATORS}?id={ours}&id={other}"),
        format!("{VALIDATORS}?id={ours},{other}"),
        format!("{VALIDATORS}?id={ours}%2C{other}&unknown=1"),
        format!("{VALIDATORS}?id={}&id={}", index(0), index(1)),
    ];
    for form in forms {
        let world = world();
        let json = world.get(&form).await.ok();
        assert_eq!(keys(&json), [ours.clone(), other.clone()], "{form}");
        let (method, asked, _) = world.forwarded_once();
        assert_eq!(method, Method::GET);
        assert!(!asked.contains("0xb") && !asked.contains("unknown"), "{asked}");
    }
}

#[tokio::test]
async fn the_status_filter_is_passed_on() {
    let world = world();
    world.get(&format!("{VALIDATORS}?id=10&status=active_ongoing,pending_queued")).await.ok();
    let (_, asked, _) = world.forwarded_once();
    assert_eq!(asked, format!("{VALIDATORS}?id=10&status=active_ongoing&status=pending_queued"));
    world.get(&format!("{VALIDATORS}?id=10&status=a%26id=99")).await.refused(400, "invalid status");
    assert!(world.forwarded().is_empty());
}

#[tokio::test]
async fn everybody_is_listed_with_client_keys_for_ours_only() {
    let world = world();
    let json = world.get(VALIDATORS).await.ok();
    assert_eq!(keys(&json), [client_key(0).to_string(), client_key(1).to_string(), STRANGER.to_string()]);
    assert_eq!(json["execution_optimistic"], false, "what is beside the data stays");
}

#[tokio::test]
async fn bodies_of_ids_are_rewritten_both_ways() {
    let world = world();
    let ids = json!({ "ids": [client_key(0), index(1).to_string()], "statuses": ["active"] });
    let json = world.post(VALIDATORS, ids).await.ok();
    assert_eq!(keys(&json), [client_key(0).to_string(), client_key(1).to_string()]);
    let (method, asked, body) = world.forwarded_once();
    assert_eq!((method, asked.as_str()), (Method::POST, VALIDATORS));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, json!({ "ids": [group_key(0), index(1).to_string()], "statuses": ["active"] }));

    for path in ["validator_balances", "validator_identities"] {
        let path = format!("/eth/v1/beacon/states/head/{path}");
        let json = world.post(&path, json!([client_key(1)])).await.ok();
        assert_eq!(json["data"][0]["pubkey"], json!(client_key(1)));
        assert_eq!(world.forwarded_once().2, json!([group_key(1)]).to_string());
    }
    world.get(&format!("/eth/v1/beacon/states/head/validator_balances?id={}", client_key(1))).await.ok();
    assert!(world.forwarded_once().1.ends_with(&group_key(1).to_string()));
    assert_eq!(keys(&world.post(VALIDATORS, json!({ "ids": null })).await.ok()).len(), 3);
}

#[tokio::test]
async fn one_validator_is_found_by_client_key_and_by_index() {
    let world = world();
    for id in [client_key(1).to_string(), index(1).to_string()] {
        let json = world.get(&format!("{VALIDATORS}/{id}")).await.ok();
        assert_eq!(json["data"]["validator"]["pubkey"], json!(client_key(1)));
        assert_eq!(json["data"]["index"], index(1).to_string());
    }
    let json = world.get(&format!("{VALIDATORS}/{STRANGER_INDEX}")).await.ok();
    assert_eq!(json["data"]["validator"]["pubkey"], json!(STRANGER));
}

#[tokio::test]
async fn keys_that_no_client_may_hold_are_refused_with_what_to_import() {
    let world = world();
    for (key, words) in [(group_key(0), "group key"), (share_key(0), "whole share")] {
        let one = world.get(&format!("{VALIDATORS}/{key}")).await;
        let listed = world.get(&format!("{VALIDATORS}?id={key}")).await;
        let posted = world.post(VALIDATORS, json!({ "ids": [key] })).await;
        for refused in [one, listed, posted] {
            let json = refused.refused(400, words);
            let message = json["message"].as_str().unwrap();
            assert!(message.contains("import the keystore of this operator's half"), "{message}");
            assert!(message.contains(&client_key(0).to_string()), "{message}");
        }
    }
    assert!(world.forwarded().is_empty(), "the chain was not asked");
    world.get(&format!("{VALIDATORS}/{}", client_key(0))).await.ok();
}

#[tokio::test]
async fn a_key_that_nobody_knows_is_404_with_a_hint_and_absent_from_lists() {
    let world = world();
    let key = client_key(9);
    world.get(&format!("{VALIDATORS}/{key}")).await.refused(404, "another operator's keystore");
    assert_eq!(keys(&world.get(&format!("{VALIDATORS}?id={key}")).await.ok()).len(), 0);
    // Ours, but not on the chain yet: the chain's own words.
    world.get(&format!("{VALIDATORS}/{}", client_key(2))).await.refused(404, "validator not found");
}

#[tokio::test]
async fn ids_that_are_none_are_refused() {
    let world = world();
    for id in ["0x", "0x12", "abc", "-1", "+1", "1%2F2", "0xzz", "99999999999999999999", ""] {
        let got = world.get(&format!("{VALIDATORS}?id={id}")).await;
        got.refused(400, "neither a public key nor an index");
    }
    for body in [json!({ "ids": 1 }), json!({ "ids": [1] }), json!("x"), json!(1), json!({ "ids": ["x"] })] {
        assert_eq!(world.post(VALIDATORS, body).await.status.as_u16(), 400);
    }
    assert!(world.forwarded().is_empty());
}

#[tokio::test]
async fn an_answer_that_cannot_be_rewritten_is_a_bad_gateway() {
    let world = world();
    let ssz = crate::world::respond(200, "application/octet-stream", vec![1_u8, 2]);
    world.chain().script.push_back(Ok(ssz));
    world.get(VALIDATORS).await.refused(502, "not JSON");
    let syncing = r#"{"code":503,"message":"syncing"}"#;
    world.chain().script.push_back(Ok(crate::world::respond(503, "application/json", syncing)));
    world.get(VALIDATORS).await.refused(503, "syncing");
    world.chain().down = true;
    world.get(VALIDATORS).await.refused(503, "no beacon node answers");
    world.chain().down = false;
    world.get(VALIDATORS).await.ok();
}

#[tokio::test]
async fn rewards_are_asked_for_under_group_keys() {
    for path in ["/eth/v1/beacon/rewards/attestations/8", "/eth/v1/beacon/rewards/sync_committee/head"] {
        let world = world();
        world.post(path, json!([client_key(0), "11"])).await.ok();
        assert_eq!(world.forwarded_once().2, json!([group_key(0), "11"]).to_string());
        world.post(path, json!([group_key(0)])).await.refused(400, "group key");
    }
}

#[tokio::test]
async fn balances_and_identities_have_an_ssz_form_and_validators_none() {
    let world = world();
    let balances = "/eth/v1/beacon/states/head/validator_balances";
    let got = world.get_ssz(&format!("{balances}?id={}", client_key(1))).await;
    assert_eq!(got.headers["eth-execution-optimistic"], "false");
    assert_eq!(got.ssz(), [index(1), 32].map(u64::to_le_bytes).concat());

    let ssz_only = |path: &str, body: Value| {
        let request = Request::post(path).header(header::ACCEPT, "application/octet-stream");
        request.header(header::CONTENT_TYPE, "application/json").body(body.to_string().into()).unwrap()
    };
    let got = world.call(ssz_only("/eth/v1/beacon/states/head/validator_identities", json!(["10"]))).await;
    let identity = [&index(0).to_le_bytes()[..], &client_key(0).0, &7_u64.to_le_bytes()].concat();
    assert_eq!(got.ssz(), identity);

    world.forwarded();
    world.call(ssz_only(VALIDATORS, json!({ "ids": ["10"] }))).await.refused(406, "application/json only");
    assert!(world.forwarded().is_empty());
    // Who takes JSON too gets it.
    world.get_ssz(&format!("{VALIDATORS}?id=10")).await.ok();
    world.get_ssz(&format!("{VALIDATORS}/10")).await.ok();
}
