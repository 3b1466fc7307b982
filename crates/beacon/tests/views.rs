//! What to attest, as each of several nodes sees it: who is asked, how often, and who is waited for.

mod common;

use beacon::{ApiError, Aside, Beacon, Limits};
use common::{Answer, Mock, beacon, live_body, patient, with_limits};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use types::{Root, Slot};

const SLOT: Slot = Slot(17);

/// A view of a slot of epoch 2.
fn view(slot: Slot, head: u8) -> Value {
    json!({"data": {
        "slot": slot, "index": "0", "beacon_block_root": Root([head; 32]),
        "source": {"epoch": "1", "root": Root::ZERO}, "target": {"epoch": "2", "root": Root::ZERO},
    }})
}

fn slot_of(path: &str) -> Slot {
    let (_, query) = path.split_once("slot=").unwrap();
    Slot(query.split('&').next().unwrap().parse().unwrap())
}

/// A node whose head is the same all the time.
async fn seeing(head: u8) -> Mock {
    Mock::start(move |seen| view(slot_of(&seen.path), head).into()).await
}

async fn heads(beacon: &Beacon, slot: Slot) -> Vec<u8> {
    let views = beacon.attestation_data_views(slot).await.unwrap();
    assert!(views.iter().all(|view| view.slot == slot));
    views.iter().map(|view| view.beacon_block_root.0[0]).collect()
}

fn disagreements(beacon: &Beacon) -> Vec<u64> {
    beacon.health().iter().map(|health| health.disagreements).collect()
}

/// Waits for what comes in its time; a test that waits longer has failed.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it comes within a minute");
}

#[tokio::test]
async fn every_distinct_view_is_told_once_the_best_nodes_first() {
    let nodes = [seeing(1).await, seeing(2).await, seeing(1).await];
    let beacon = beacon(&nodes.each_ref());
    assert_eq!(heads(&beacon, SLOT).await, [1, 2]);
    assert!(nodes.iter().all(|node| node.seen().len() == 1));
    assert_eq!(nodes[0].only().path, "/eth/v1/validator/attestation_data?slot=17&committee_index=0");
}

#[tokio::test]
async fn who_stands_alone_with_a_head_disagrees_and_of_two_both_do() {
    let nodes = [seeing(1).await, seeing(2).await, seeing(1).await];
    let three = beacon(&nodes.each_ref());
    heads(&three, SLOT).await;
    until(async || disagreements(&three) == [0, 1, 0]).await;
    assert!(three.health().iter().all(|health| health.aside.is_none()), "one other head sets nobody aside");
    let two = beacon(&[&nodes[0], &nodes[1]]);
    heads(&two, SLOT).await;
    until(async || disagreements(&two) == [1, 1]).await;
    let same = beacon(&[&nodes[0], &nodes[2]]);
    heads(&same, SLOT).await;
    assert_eq!(disagreements(&same), [0, 0]);
}

#[tokio::test]
async fn callers_of_a_slot_share_one_question_to_each_node() {
    let nodes = [seeing(1).await, seeing(1).await];
    let beacon = beacon(&nodes.each_ref());
    let all = (0..50).map(|_| beacon.attestation_data_views(SLOT));
    for views in futures::future::join_all(all).await {
        assert_eq!(views.unwrap().len(), 1);
    }
    heads(&beacon, SLOT).await;
    assert!(nodes.iter().all(|node| node.seen().len() == 1));
    heads(&beacon, SLOT.next()).await;
    assert!(nodes.iter().all(|node| node.seen().len() == 2), "another slot is another question");
}

#[tokio::test]
async fn what_was_said_before_a_refresh_is_not_told_after_it() {
    let head = Arc::new(AtomicU8::new(1));
    let is = Arc::clone(&head);
    let node = Mock::start(move |seen| view(slot_of(&seen.path), is.load(Ordering::SeqCst)).into()).await;
    let beacon = beacon(&[&node]);
    assert_eq!(heads(&beacon, SLOT).await, [1]);
    head.store(2, Ordering::SeqCst);
    assert_eq!(heads(&beacon, SLOT).await, [1]);
    beacon.forget_views(SLOT);
    assert_eq!(heads(&beacon, SLOT).await, [2]);
}

#[tokio::test]
async fn who_hears_of_a_new_head_finds_no_views_from_before_it() {
    let head = Arc::new(AtomicU8::new(1));
    let is = Arc::clone(&head);
    let (sender, body) = live_body();
    let body = std::sync::Mutex::new(Some(body));
    let node = Mock::start(move |seen| match seen.path.contains("events") {
        true => Answer::Full(axum::response::Response::new(body.lock().unwrap().take().unwrap())),
        false => view(slot_of(&seen.path), is.load(Ordering::SeqCst)).into(),
    })
    .await;
    let beacon = beacon(&[&node]);
    let mut announced = beacon.heads();
    node.wait_for(1).await;
    assert_eq!(heads(&beacon, SLOT).await, [1]);
    head.store(2, Ordering::SeqCst);
    let event = json!({"slot": SLOT, "block": Root([2; 32]), "state": Root::ZERO, "epoch_transition": false});
    sender.send(Box::leak(format!("event: head\ndata: {event}\n\n").into_boxed_str())).unwrap();
    assert_eq!(announced.recv().await.unwrap().block, Root([2; 32]));
    assert_eq!(heads(&beacon, SLOT).await, [2]);
}

#[tokio::test]
async fn the_others_are_waited_for_only_a_short_window() {
    let gate = Arc::new(Semaphore::new(0));
    let (slow_gate, fast) = (Arc::clone(&gate), seeing(1).await);
    let slow = Mock::start(move |seen| Answer::Held(slow_gate.clone(), view(slot_of(&seen.path), 2))).await;
    let beacon = with_limits(&[&slow, &fast], Limits { view_bps: 0, view_floor_ms: 20, ..patient() });
    assert_eq!(heads(&beacon, SLOT).await, [1], "the best node is silent");
    gate.add_permits(1);
    until(async || heads(&beacon, SLOT).await == [2, 1]).await;
    assert_eq!((slow.seen().len(), fast.seen().len()), (1, 1), "late callers hear the late answer");
}

#[tokio::test]
async fn a_node_that_failed_lately_is_asked_and_not_waited_for() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let ill = Mock::start(move |_| match is_broken.load(Ordering::SeqCst) {
        true => Answer::Text(500, "no".to_owned()),
        false => Answer::Hang,
    })
    .await;
    let well = seeing(1).await;
    // The window is two minutes: only what is not waited for ends sooner.
    let beacon = beacon(&[&ill, &well]);
    assert_eq!(heads(&beacon, SLOT).await, [1]);
    broken.store(false, Ordering::SeqCst);
    // Its rest of a millisecond is over.
    until(async || beacon.health()[0].aside.is_none()).await;
    let soon = tokio::time::timeout(Duration::from_secs(60), heads(&beacon, SLOT.next()));
    assert_eq!(soon.await.expect("nobody waits for the node that hangs"), [1]);
    ill.wait_for(2).await;
}

fn syncing(is_optimistic: bool) -> Value {
    json!({"data": {
        "head_slot": "16", "sync_distance": "1", "is_syncing": false, "is_optimistic": is_optimistic,
        "el_offline": false,
    }})
}

#[tokio::test]
async fn nodes_set_aside_are_asked_only_if_nobody_else_has_a_view() {
    let optimistic = Mock::start(|seen| match seen.path.contains("syncing") {
        true => syncing(true).into(),
        false if seen.path.contains("genesis") => Answer::Text(404, "not yet".to_owned()),
        false => view(slot_of(&seen.path), 1).into(),
    })
    .await;
    let well = Mock::start(|seen| match (seen.path.contains("syncing"), seen.path.contains("slot=17")) {
        (true, _) => syncing(false).into(),
        (false, true) => view(slot_of(&seen.path), 2).into(),
        (false, false) => Answer::Text(500, "no".to_owned()),
    })
    .await;
    let beacon = beacon(&[&optimistic, &well]);
    beacon.syncing().await.unwrap();
    assert_eq!(beacon.health()[0].aside, Some(Aside::Optimistic));
    assert_eq!(heads(&beacon, SLOT).await, [2]);
    assert!(optimistic.seen().iter().all(|seen| !seen.path.contains("attestation_data")), "only probed");
    assert_eq!(heads(&beacon, Slot(18)).await, [1]);
}

#[tokio::test]
async fn a_failure_is_told_to_who_waits_and_not_kept() {
    let early = Arc::new(AtomicBool::new(true));
    let is_early = Arc::clone(&early);
    let node = Mock::start(move |seen| match is_early.load(Ordering::SeqCst) {
        true => Answer::Json(400, json!({"code": 400, "message": "slot is in the future"})),
        false => view(slot_of(&seen.path), 1).into(),
    })
    .await;
    let lies = Mock::of(view(Slot(3), 9)).await;
    let beacon = beacon(&[&lies, &node]);
    let refused = beacon.attestation_data_views(SLOT).await;
    assert_eq!(refused, Err(ApiError::Status { code: 400, message: "slot is in the future".to_owned() }));
    early.store(false, Ordering::SeqCst);
    assert_eq!(heads(&beacon, SLOT).await, [1], "and what is of another slot is no view");
}

/// What the first of two nodes does from a slot on.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Refuses,
    Hangs,
    Lies,
    TellsNonsense,
}

#[tokio::test]
async fn whatever_one_of_two_nodes_does_the_others_view_is_told_in_every_slot() {
    for fault in [Fault::Refuses, Fault::Hangs, Fault::Lies, Fault::TellsNonsense] {
        let first = Mock::start(move |seen| {
            let slot = slot_of(&seen.path);
            match fault {
                _ if slot == SLOT => view(slot, 1).into(),
                Fault::Refuses => Answer::Text(503, "gone".to_owned()),
                Fault::Hangs => Answer::Hang,
                Fault::Lies => view(slot, 9).into(),
                Fault::TellsNonsense => view(Slot(0), 9).into(),
            }
        })
        .await;
        let second = seeing(1).await;
        // Only who hangs is not worth waiting for.
        let view_bps = if matches!(fault, Fault::Hangs) { 1 } else { patient().view_bps };
        let limits = Limits { view_bps, ..patient() };
        let beacon = with_limits(&[&first, &second], limits);
        for slot in (SLOT.0..SLOT.0 + 4).map(Slot) {
            let heads = heads(&beacon, slot).await;
            assert!(heads.contains(&1), "{fault:?} at {slot}: {heads:?}");
        }
    }
}
