//! Duties, and what is acknowledged.

use crate::world::{STRANGER, STRANGER_INDEX, client_key, group_key, index, world};
use dvt_node::validator_api::{Dropped, Noticed};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing::{Event, Level, Metadata, Subscriber, span};
use types::duty::AttesterDuty;
use types::{Slot, ValidatorIndex};

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

#[tokio::test]
async fn nobody_is_in_a_sync_committee_and_nobody_is_live() {
    let world = world();
    let got = world.post("/eth/v1/validator/duties/sync/8", json!(["10"])).await.ok();
    assert_eq!(got, json!({ "execution_optimistic": false, "data": [] }));
    let got = world.post("/eth/v1/validator/liveness/8", json!(["10", "99"])).await.ok();
    let dead = |index: &str| json!({ "index": index, "is_live": false });
    assert_eq!(got, json!({ "data": [dead("10"), dead("99")] }));
    world.post("/eth/v1/validator/liveness/8", json!(["x"])).await.refused(400, "validator indices");
    assert!(world.forwarded().is_empty(), "the chain was not asked");
}

#[tokio::test]
async fn what_the_node_does_itself_is_acknowledged_and_goes_nowhere() {
    let world = world();
    for name in ["prepare_beacon_proposer", "register_validator", "sync_committee_subscriptions"] {
        let path = format!("/eth/v1/validator/{name}");
        world.post(&path, json!([{ "any": "thing" }])).await.taken();
        world.post(&path, json!({})).await.refused(400, "not a list");
    }
    assert!(world.forwarded().is_empty() && world.asks().is_empty());
}

#[tokio::test]
async fn committee_subscriptions_go_to_the_beacon_node() {
    let world = world();
    let path = "/eth/v1/validator/beacon_committee_subscriptions";
    let body = json!([{ "validator_index": "10", "is_aggregator": false }]);
    assert_eq!(world.post(path, body.clone()).await.status.as_u16(), 200);
    let (_, asked, sent) = world.forwarded_once();
    assert_eq!((asked.as_str(), sent), (path, body.to_string()));
}

#[tokio::test]
async fn what_cannot_be_combined_is_acknowledged_dropped_and_counted() {
    let world = world();
    for (path, what) in [
        ("/eth/v2/validator/aggregate_and_proofs", Dropped::Aggregates),
        ("/eth/v1/validator/contribution_and_proofs", Dropped::Contributions),
        ("/eth/v1/beacon/pool/sync_committees", Dropped::SyncMessages),
    ] {
        world.post(path, json!([{}, {}])).await.taken();
        let noticed = std::mem::take(&mut *world.noticed.lock().unwrap());
        assert_eq!(noticed, [Noticed::Dropped(what); 2]);
    }
    assert!(world.forwarded().is_empty() && world.asks().is_empty());
}

#[tokio::test]
async fn selections_are_not_served_yet() {
    let world = world();
    for name in ["beacon_committee_selections", "sync_committee_selections"] {
        let got = world.post(&format!("/eth/v1/validator/{name}"), json!([])).await;
        got.refused(501, "does not combine selection proofs");
    }
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Log(Arc<AtomicUsize>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn what_is_dropped_is_said_once_in_the_log() {
    let log = Log::default();
    let _here = tracing::subscriber::set_default(log.clone());
    // Whoever comes first to a line of the log decides for all threads whether it is of interest, and another test has no
    // subscriber. Once it was passed, it is asked anew here.
    world().post("/eth/v1/beacon/pool/sync_committees", json!([{}])).await.taken();
    tracing::callsite::rebuild_interest_cache();
    log.0.store(0, Ordering::Relaxed);
    let world = world();
    world.post("/eth/v2/validator/aggregate_and_proofs", json!([])).await.taken();
    assert_eq!(log.0.load(Ordering::Relaxed), 0, "nothing was dropped");
    for _ in 0..3 {
        world.post("/eth/v2/validator/aggregate_and_proofs", json!([{}, {}])).await.taken();
        world.post("/eth/v1/beacon/pool/sync_committees", json!([{}])).await.taken();
    }
    assert_eq!(log.0.load(Ordering::Relaxed), 1);
}
