//! How nodes are found unwell and well again, and what the probe says of the own clock.

mod common;

use beacon::{ApiError, Aside, Beacon};
use common::{Answer, Mock, beacon, nobody, patient, spec};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use types::{Root, Slot};

/// What a node says of its progress.
#[derive(Clone, Copy)]
struct Says {
    head_slot: u64,
    sync_distance: u64,
    is_syncing: bool,
    is_optimistic: bool,
    el_offline: bool,
}

const READY: Says =
    Says { head_slot: 100, sync_distance: 0, is_syncing: false, is_optimistic: false, el_offline: false };

impl Says {
    fn json(self) -> Value {
        json!({"data": {
            "head_slot": self.head_slot.to_string(), "sync_distance": self.sync_distance.to_string(),
            "is_syncing": self.is_syncing, "is_optimistic": self.is_optimistic, "el_offline": self.el_offline,
        }})
    }
}

/// A node that says of its progress what the test sets, and its name when it is asked for its version.
async fn saying(name: &'static str, says: Says) -> (Mock, Arc<Mutex<Says>>) {
    let says = Arc::new(Mutex::new(says));
    let now = Arc::clone(&says);
    let node = Mock::start(move |seen| match seen.path.contains("syncing") {
        true => now.lock().unwrap().json().into(),
        false => json!({"data": {"version": name}}).into(),
    })
    .await;
    (node, says)
}

async fn asked_first(beacon: &Beacon) -> String {
    beacon.version().await.unwrap()
}

fn asides(beacon: &Beacon) -> Vec<Option<Aside>> {
    beacon.health().into_iter().map(|health| health.aside).collect()
}

#[tokio::test]
async fn a_node_that_is_behind_or_cannot_vouch_is_set_aside_and_taken_back() {
    let (first, says) = saying("first", READY).await;
    let (second, _) = saying("second", READY).await;
    let beacon = beacon(&[&first, &second]);
    for (unwell, reason) in [
        (Says { head_slot: 97, ..READY }, Aside::Lagging),
        (Says { head_slot: 97, sync_distance: 3, ..READY }, Aside::Lagging),
        (Says { is_syncing: true, ..READY }, Aside::Syncing),
        (Says { is_optimistic: true, ..READY }, Aside::Optimistic),
        (Says { el_offline: true, ..READY }, Aside::ExecutionOffline),
    ] {
        *says.lock().unwrap() = unwell;
        beacon.probe(|| Slot(100)).await.unwrap();
        assert_eq!(asides(&beacon), [Some(reason), None]);
        assert_eq!(asked_first(&beacon).await, "second", "{reason:?}");
        *says.lock().unwrap() = Says { head_slot: 98, ..READY };
        beacon.probe(|| Slot(100)).await.unwrap();
        assert_eq!(asides(&beacon), [None, None], "two slots behind are no lag");
        assert_eq!(asked_first(&beacon).await, "first");
    }
}

#[tokio::test]
async fn health_tells_how_each_node_is() {
    let (first, _) = saying("first", Says { head_slot: 90, ..READY }).await;
    let (second, _) = saying("second", READY).await;
    let beacon = beacon(&[&first, &second]);
    let [unknown, _] = <[_; 2]>::try_from(beacon.health()).unwrap();
    assert_eq!((unknown.label, unknown.aside, unknown.latency_ms), (first.url.clone(), None, None));
    beacon.probe(|| Slot(100)).await.unwrap();
    let health = beacon.health();
    assert_eq!((health[0].aside, health[0].lag_slots), (Some(Aside::Lagging), 10));
    assert_eq!((health[1].aside, health[1].lag_slots), (None, 0));
    assert!(health.iter().all(|health| health.latency_ms.is_some()));
}

#[tokio::test]
async fn a_node_that_answers_nonsense_is_set_aside_and_its_probe_ends_that() {
    let first = Mock::start(|seen| match seen.path.contains("syncing") {
        true => READY.json().into(),
        false => json!({"data": "nonsense"}).into(),
    })
    .await;
    let (second, _) = saying("second", READY).await;
    let rest_ms = 1 << 30;
    let limits = beacon::Limits { retry_ms: rest_ms, retry_ms_max: rest_ms, ..patient() };
    let beacon = common::with_limits(&[&first, &second], limits);
    assert_eq!(asked_first(&beacon).await, "second");
    assert_eq!(asides(&beacon), [Some(Aside::Failing), None]);
    beacon.probe(|| Slot(100)).await.unwrap();
    assert_eq!(asides(&beacon), [None, None]);
    assert_eq!(asked_first(&beacon).await, "second", "but its failure is not forgotten yet");
    let paths: Vec<_> = first.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/eth/v1/node/version", "/eth/v1/node/syncing", "/eth/v1/beacon/genesis"]);
}

fn genesis(root: Root) -> Value {
    json!({"data": {
        "genesis_time": "1600000000", "genesis_validators_root": root, "genesis_fork_version": "0x09090909",
    }})
}

/// A node of which the test sets whether it is there, and of which network.
#[derive(Clone, Copy, PartialEq)]
enum There {
    Ours,
    Away,
    Swapped,
}

#[tokio::test]
async fn a_node_that_comes_back_as_one_of_another_network_is_not_asked() {
    let there = Arc::new(Mutex::new(There::Ours));
    let now = Arc::clone(&there);
    let first = Mock::start(move |seen| {
        let there = *now.lock().unwrap();
        match seen.path.as_str() {
            _ if there == There::Away => Answer::Text(503, "away".to_owned()),
            "/eth/v1/beacon/genesis" if there == There::Swapped => genesis(Root([9; 32])).into(),
            "/eth/v1/beacon/genesis" => genesis(Root([8; 32])).into(),
            // Its clock is that of another network, too.
            "/eth/v1/node/syncing" => Says { head_slot: 900, ..READY }.json().into(),
            _ => json!({"data": {"version": "first"}}).into(),
        }
    })
    .await;
    let (second, _) = saying("second", READY).await;
    let beacon = beacon(&[&first, &second]);
    beacon.probe(|| Slot(900)).await.unwrap();
    assert_eq!((asides(&beacon)[0], asked_first(&beacon).await.as_str()), (None, "first"));

    // It is away for a moment, and somebody notices.
    *there.lock().unwrap() = There::Away;
    assert_eq!(asked_first(&beacon).await, "second");
    *there.lock().unwrap() = There::Swapped;
    let probe = beacon.probe(|| Slot(100)).await.unwrap();
    assert_eq!((probe.best.head_slot, probe.clock_skew_slots), (Slot(100), Some(0)), "it counts for nothing");
    assert_eq!((asides(&beacon)[0], asked_first(&beacon).await.as_str()), (Some(Aside::Foreign), "second"));
    let asked = first.seen().len();
    beacon.probe(|| Slot(100)).await.unwrap();
    assert_eq!(first.seen().len(), asked, "and is not asked any more");

    // Nobody notices that it is swapped back until all are asked again.
    *there.lock().unwrap() = There::Ours;
    assert!(beacon.check_network().await.iter().any(|(_, outcome)| outcome.is_ok()));
    beacon.probe(|| Slot(900)).await.unwrap();
    assert_eq!(asides(&beacon)[0], None);
}

#[tokio::test]
async fn if_all_are_set_aside_the_best_is_asked_all_the_same() {
    let (first, _) = saying("first", Says { is_optimistic: true, ..READY }).await;
    let (second, _) = saying("second", Says { is_syncing: true, ..READY }).await;
    let beacon = beacon(&[&first, &second]);
    beacon.probe(|| Slot(100)).await.unwrap();
    assert_eq!(asides(&beacon), [Some(Aside::Optimistic), Some(Aside::Syncing)]);
    assert_eq!(asked_first(&beacon).await, "first");
}

#[tokio::test]
async fn a_chain_without_blocks_makes_no_node_lag() {
    let behind = Says { head_slot: 60, sync_distance: 40, ..READY };
    let (first, _) = saying("first", behind).await;
    let (second, _) = saying("second", behind).await;
    let beacon = beacon(&[&first, &second]);
    beacon.probe(|| Slot(100)).await.unwrap();
    assert_eq!(asides(&beacon), [None, None]);
    assert_eq!(beacon.health()[0].lag_slots, 40);
}

#[tokio::test]
async fn a_head_from_the_future_sets_nobody_aside() {
    let (lies, _) = saying("lies", Says { head_slot: 1 << 40, ..READY }).await;
    let (well, _) = saying("well", READY).await;
    let beacon = beacon(&[&well, &lies]);
    assert_eq!(beacon.probe(|| Slot(100)).await.unwrap().best.head_slot, Slot(100));
    assert_eq!(asides(&beacon), [None, None]);
    // Without the own clock the nodes' clocks tell.
    assert_eq!(beacon.syncing().await.unwrap().head_slot, Slot(100));
    assert_eq!(asides(&beacon), [None, None]);
}

#[tokio::test]
async fn the_own_clock_is_compared_with_the_nodes_clocks() {
    let (node, says) = saying("node", READY).await;
    let alone = beacon(&[&node]);
    for (head_slot, sync_distance, own, skew) in [
        (100, 0, 100, Some(0)),
        (99, 1, 100, Some(0)),
        (100, 3, 100, Some(3)),
        (105, 0, 100, Some(5)),
        (90, 5, 100, Some(-5)),
        // Empty slots, or a node whose clock is behind: it does not tell.
        (95, 0, 100, None),
        (u64::MAX, u64::MAX, 0, Some(i64::MAX)),
    ] {
        *says.lock().unwrap() = Says { head_slot, sync_distance, ..READY };
        let probe = alone.probe(|| Slot(own)).await.unwrap();
        assert_eq!(probe.clock_skew_slots, skew, "{head_slot} + {sync_distance} at {own}");
    }
    // A slot that begins between question and answer is no skew.
    *says.lock().unwrap() = Says { head_slot: 100, sync_distance: 1, ..READY };
    let ticks = Mutex::new(100);
    let own = || {
        let mut slot = ticks.lock().unwrap();
        *slot += 1;
        Slot(*slot)
    };
    assert_eq!(alone.probe(own).await.unwrap().clock_skew_slots, Some(0));
}

#[tokio::test]
async fn one_node_with_a_wrong_clock_is_outvoted() {
    let (ahead, _) = saying("ahead", Says { head_slot: 100, sync_distance: 900, ..READY }).await;
    let (first, _) = saying("first", READY).await;
    let (second, _) = saying("second", READY).await;
    for nodes in [&[&ahead, &first][..], &[&ahead, &first, &second]] {
        assert_eq!(beacon(nodes).probe(|| Slot(100)).await.unwrap().clock_skew_slots, Some(0));
    }
}

#[tokio::test]
async fn a_probe_that_nobody_answers_is_an_error() {
    let urls = [nobody().await, Mock::refusing(500, "no").await.url];
    let beacon = Beacon::new(urls, Arc::new(spec()), patient()).unwrap();
    assert!(matches!(beacon.probe(|| Slot(0)).await, Err(ApiError::Status { code: 500, .. })));
    let silent = Mock::start(|_| Answer::Text(200, String::new())).await;
    assert!(matches!(common::beacon(&[&silent]).probe(|| Slot(0)).await, Err(ApiError::Body(_))));
}
