//! How long lists may be: for the largest cluster they are taken, beyond it refused before anything is made of them.

use crate::objects::{committee_subscription, preparation, registration};
use crate::robust::posts;
use crate::world::{client_key, group_key, world};
use dvt_node::validator_api::{ITEM_LEN_MAX, ITEMS_MAX};
use serde_json::{Value, json};

/// Validators of the largest cluster.
const VALIDATORS: usize = 10_000;

#[tokio::test]
async fn lists_for_ten_thousand_validators_are_taken() {
    let world = world();
    for (name, item) in [
        ("prepare_beacon_proposer", preparation()),
        ("register_validator", json!(registration())),
        ("beacon_committee_subscriptions", committee_subscription()),
    ] {
        let path = format!("/eth/v1/validator/{name}");
        let got = world.post(&path, json!(vec![item; VALIDATORS])).await;
        assert_eq!(got.status.as_u16(), 200, "{path}: {got:?}");
    }
    let sent: Vec<Value> = serde_json::from_str(&world.forwarded_once().2).unwrap();
    assert_eq!(sent.len(), VALIDATORS);
    let ids = vec![json!(client_key(0)); VALIDATORS];
    for list in
        [json!(ids), json!({ "ids": ids, "statuses": null }), json!({ "ids": ids, "statuses": ["active"] })]
    {
        world.post("/eth/v1/beacon/states/head/validators", list).await;
        let sent: Value = serde_json::from_slice(&world.forwarded().pop().unwrap().body).unwrap();
        let (ids, statuses) =
            if sent.is_array() { (&sent, None) } else { (&sent["ids"], sent.get("statuses")) };
        assert_eq!(ids, &json!(vec![json!(group_key(0)); VALIDATORS]));
        assert!(statuses.is_none_or(|statuses| *statuses == json!(["active"])));
    }
}

#[tokio::test]
async fn a_list_of_more_items_than_anybody_needs_is_refused_unread() {
    let world = world();
    let list = json!(vec![json!({}); ITEMS_MAX + 1]);
    for path in posts().filter(|path| !path.ends_with("voluntary_exits")) {
        world.post(path, list.clone()).await.refused(413, "has 20001 items, one list may have 20000");
    }
    for field in ["ids", "statuses"] {
        let got = world.post("/eth/v1/beacon/states/head/validators", json!({ field: list })).await;
        got.refused(413, "has 20001 items");
    }
    let indices = vec![1; 8 * (ITEMS_MAX + 1)];
    world.post_ssz("electra", "/eth/v1/validator/duties/sync/8", indices).await.refused(413, "20001 items");
    assert!(world.forwarded().is_empty() && world.asks().is_empty());
}

#[tokio::test]
async fn an_item_that_is_longer_than_any_is_refused_by_itself() {
    let world = world();
    let mut long = preparation();
    long["beside"] = json!("x".repeat(ITEM_LEN_MAX));
    let got = world.post("/eth/v1/validator/prepare_beacon_proposer", json!([preparation(), long])).await;
    got.refused(400, "an item may have 65536");
}
