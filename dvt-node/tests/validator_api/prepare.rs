//! What clients tell ahead: subscriptions go on, preparations end here.

use crate::objects::{committee_subscription, preparation, registration, sync_subscription};
use crate::world::world;
use serde_json::{Value, json};
use ssz::Encode as _;

const COMMITTEES: &str = "/eth/v1/validator/beacon_committee_subscriptions";
const SUBCOMMITTEES: &str = "/eth/v1/validator/sync_committee_subscriptions";

#[tokio::test]
async fn subscriptions_go_to_the_beacon_node_in_json_whatever_they_came_in() {
    let committee = [10_u64, 1, 4, 65].map(u64::to_le_bytes).concat();
    let committee = [&committee[..], &[1]].concat();
    // One item of variable length, at 4; its list at 20, two numbers long.
    let fixed = [&10_u64.to_le_bytes()[..], &20_u32.to_le_bytes(), &9_u64.to_le_bytes()].concat();
    let sync = [&4_u32.to_le_bytes()[..], &fixed, &[3_u64, 17].map(u64::to_le_bytes).concat()].concat();
    for (path, json, ssz) in
        [(COMMITTEES, committee_subscription(), committee), (SUBCOMMITTEES, sync_subscription(), sync)]
    {
        let world = world();
        let list = json!([json]);
        for got in [world.post(path, list.clone()).await, world.post_ssz("electra", path, ssz).await] {
            assert_eq!(got.status.as_u16(), 200, "{got:?}");
        }
        let forwarded = world.forwarded();
        assert_eq!(forwarded.len(), 2);
        for request in forwarded {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!((request.path_and_query.as_str(), body), (path, list.clone()));
        }
        assert!(world.asks().is_empty());
    }
}

#[tokio::test]
async fn what_the_node_does_itself_is_acknowledged_and_goes_nowhere() {
    let prepared = [&10_u64.to_le_bytes()[..], &[0xfe; 20]].concat();
    let registered = vec![registration()].as_ssz_bytes();
    assert_eq!(registered.len(), 180);
    for (name, item, ssz) in [
        ("prepare_beacon_proposer", preparation(), prepared),
        ("register_validator", json!(registration()), registered),
    ] {
        let world = world();
        let path = format!("/eth/v1/validator/{name}");
        world.post(&path, json!([item, item])).await.taken();
        world.post_ssz("electra", &path, ssz).await.taken();
        world.post(&path, json!({})).await.refused(400, "not a list");
        world.post(&path, json!([{ "any": "thing" }])).await.refused(400, "not a");
        assert!(world.forwarded().is_empty() && world.asks().is_empty());
    }
}
