//! Duties, under the client's keys.

use crate::world::{STRANGER, STRANGER_INDEX, client_key, group_key, index, world};
use serde_json::json;
use ssz::{Decode as _, Encode as _};
use types::duty::{AttesterDuty, SyncDuty};
use types::{Root, Slot, ValidatorIndex};

const ATTESTER: &str = "/eth/v1/validator/duties/attester/8";

pub(crate) fn duty(number: u8, slot: Slot, committee: u64, place: u64) -> AttesterDuty {
    AttesterDuty {
        pubkey: group_key(number),
        validator_index: ValidatorIndex(index(number)),
        committee_index: committee,
        committee_length: 5,
        committees_at_slot: 4,
        validator_committee_index: place,
        slot,
    }
}

#[tokio::test]
async fn attester_duties_are_the_chains_with_client_keys() {
    let world = world();
    world.chain().duties = vec![duty(0, Slot(65), 1, 2), duty(1, Slot(66), 0, 0)];
    let got = world.post(ATTESTER, json!([index(0).to_string(), index(1).to_string()])).await.ok();
    assert_eq!(got["data"][0]["pubkey"], json!(client_key(0)));
    assert_eq!(got["data"][1]["pubkey"], json!(client_key(1)));
    assert_eq!(got["data"][0]["validator_committee_index"], "2");
    assert!(got["dependent_root"].is_string(), "the client needs it");
    let (_, path, body) = world.forwarded_once();
    assert_eq!((path.as_str(), body.as_str()), (ATTESTER, r#"["10","11"]"#));
}

#[tokio::test]
async fn an_index_that_is_not_ours_is_refused_by_its_number() {
    let world = world();
    let list = json!([index(0).to_string(), STRANGER_INDEX.to_string()]);
    world.post(ATTESTER, list).await.refused(400, "index 99 is none of this cluster's");
    world.post(ATTESTER, json!([index(0).to_string()])).await.ok();
}

#[tokio::test]
async fn a_validator_that_enters_the_chain_later_is_learnt_when_asked_for() {
    let world = world();
    let list = json!([index(2).to_string()]);
    world.post(ATTESTER, list.clone()).await.refused(400, "index 12");
    world.chain().validators.push((index(2), group_key(2)));
    world.post(ATTESTER, list.clone()).await.ok();
    let asked = world.chain().validators_asked;
    world.post(ATTESTER, list).await.ok();
    assert_eq!(world.chain().validators_asked, asked, "what is known is not asked for again");
}

#[tokio::test]
async fn proposer_duties_are_all_of_the_chain_with_client_keys_for_ours() {
    for version in ["v1", "v2"] {
        let world = world();
        let path = format!("/eth/{version}/validator/duties/proposer/8");
        let got = world.get(&path).await.ok();
        let keys: Vec<_> =
            got["data"].as_array().unwrap().iter().map(|duty| duty["pubkey"].clone()).collect();
        assert_eq!(keys, [json!(client_key(0)), json!(client_key(1)), json!(STRANGER)]);
        assert_eq!(world.forwarded_once().1, path);
    }
}

#[tokio::test]
async fn epochs_that_are_none_are_refused() {
    let world = world();
    for epoch in ["x", "-1", "99999999999999999999", "%ff", "1%2f2"] {
        let path = format!("/eth/v1/validator/duties/proposer/{epoch}");
        assert_eq!(world.get(&path).await.status.as_u16(), 400, "{epoch}");
        for kind in ["duties/attester", "duties/sync", "liveness"] {
            let path = format!("/eth/v1/validator/{kind}/{epoch}");
            assert_eq!(world.post(&path, json!([])).await.status.as_u16(), 400, "{path}");
        }
    }
    assert!(world.forwarded().is_empty());
}

fn member(number: u8) -> SyncDuty {
    SyncDuty {
        pubkey: group_key(number),
        validator_index: ValidatorIndex(index(number)),
        validator_sync_committee_indices: vec![3, 17],
    }
}

#[tokio::test]
async fn sync_duties_are_the_chains_with_client_keys() {
    let world = world();
    world.chain().members = vec![member(0), member(1)];
    let path = "/eth/v1/validator/duties/sync/8";
    let got = world.post(path, json!(["10"])).await.ok();
    let told = json!({ "pubkey": client_key(0), "validator_index": "10", "validator_sync_committee_indices": ["3", "17"] });
    assert_eq!(got["data"], json!([told]));
    assert_eq!(world.forwarded_once().2, r#"["10"]"#);
    world.post(path, json!(["99"])).await.refused(400, "index 99 is none of this cluster's");
}

#[tokio::test]
async fn duties_in_ssz_are_those_in_json() {
    let world = world();
    world.chain().duties = vec![duty(0, Slot(65), 1, 2), duty(1, Slot(66), 0, 0)];
    world.chain().members = vec![member(0), member(1)];
    let indices = vec![index(0), index(1)].as_ssz_bytes();
    let root = Root([7; 32]).to_string();

    let got = world.post_ssz("electra", ATTESTER, indices.clone()).await;
    assert_eq!(got.headers["eth-consensus-dependent-root"], root, "the client needs it");
    assert_eq!(got.headers["eth-execution-optimistic"], "false");
    let duties = Vec::<AttesterDuty>::from_ssz_bytes(&got.ssz()).unwrap();
    let ours = |number: u8, slot, committee, place| AttesterDuty {
        pubkey: client_key(number),
        ..duty(number, slot, committee, place)
    };
    assert_eq!(duties, [ours(0, Slot(65), 1, 2), ours(1, Slot(66), 0, 0)]);
    // As a client reads it: key, index, committee, its length, committees, place, slot.
    let first = [client_key(0).0.to_vec(), [10_u64, 1, 5, 4, 2, 65].map(u64::to_le_bytes).concat()].concat();
    assert_eq!(got.body[..96], first);

    let got = world.post_ssz("electra", "/eth/v1/validator/duties/sync/8", indices).await;
    let members = Vec::<SyncDuty>::from_ssz_bytes(&got.ssz()).unwrap();
    assert_eq!(members, [0, 1].map(|number| SyncDuty { pubkey: client_key(number), ..member(number) }));

    for version in ["v1", "v2"] {
        let got = world.get_ssz(&format!("/eth/{version}/validator/duties/proposer/8")).await;
        assert_eq!(got.headers["eth-consensus-dependent-root"], root);
        let first = [[8_u64, 10].map(u64::to_le_bytes).concat(), client_key(0).0.to_vec()].concat();
        assert_eq!((got.ssz().len(), &got.body[..64]), (3 * 64, &first[..]), "slot, index, key");
    }
}

#[tokio::test]
async fn of_ours_nobody_is_live_and_of_others_it_is_what_the_chain_says() {
    let world = world();
    let path = "/eth/v1/validator/liveness/8";
    let seen = |index: &str, live: bool| json!({ "index": index, "is_live": live });
    let got = world.post(path, json!(["10", "99", "11"])).await.ok();
    assert_eq!(got, json!({ "data": [seen("10", false), seen("99", true), seen("11", false)] }));
    assert_eq!(world.forwarded_once().2, r#"["99"]"#, "of ours nobody was asked");
    let got = world.post_ssz("electra", path, vec![99_u64, 10].as_ssz_bytes()).await;
    let expected = [&99_u64.to_le_bytes()[..], &[1], &10_u64.to_le_bytes(), &[0]].concat();
    assert_eq!(got.ssz(), expected);
    world.forwarded();
    world.post(path, json!(["10"])).await.ok();
    assert!(world.forwarded().is_empty());
    world.post(path, json!(["x"])).await.refused(400, "not a validator index");
    world.chain().down = true;
    world.post(path, json!(["10"])).await.ok();
    world.post(path, json!(["99"])).await.refused(503, "no beacon node answers");
}
