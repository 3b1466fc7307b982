//! Thousands of validators: how many requests a beacon node gets for them, and how large these are.

mod common;

use beacon::ApiError;
use common::{Answer, Mock, Seen, beacon};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use types::{Epoch, PublicKey, Root, ValidatorIndex, ValidatorStatus};

const MANY: u64 = 10_000;

fn key(index: u64) -> PublicKey {
    let mut bytes = [0xaa; 48];
    bytes[..8].copy_from_slice(&index.to_be_bytes());
    PublicKey(bytes)
}

fn index_of(key: &str) -> u64 {
    u64::from_str_radix(&key[2..18], 16).unwrap()
}

fn keys(count: u64) -> Vec<PublicKey> {
    (0..count).map(key).collect()
}

fn indices(count: u64) -> Vec<ValidatorIndex> {
    (0..count).map(ValidatorIndex).collect()
}

fn validators<'a>(ids: impl IntoIterator<Item = &'a str>) -> Value {
    let entry = |id: &str| {
        json!({
            "index": index_of(id).to_string(), "balance": "1", "status": "active_ongoing", "validator": {"pubkey": id},
        })
    };
    json!({"data": ids.into_iter().map(entry).collect::<Vec<_>>()})
}

/// Duties in an epoch for all who are asked for; `part`: how many epochs' duties were asked for before.
fn duties(seen: &Seen, dependent_root: Root) -> Value {
    let epoch: u64 = seen.path.rsplit('/').next().unwrap().parse().unwrap();
    let asked = seen.json();
    let duty = |index: &Value| {
        json!({
            "pubkey": key(0), "validator_index": index, "committee_index": "0", "committee_length": "1",
            "committees_at_slot": "1", "validator_committee_index": "0", "slot": (epoch * 8).to_string(),
        })
    };
    let duties: Vec<Value> = asked.as_array().unwrap().iter().map(duty).collect();
    json!({"dependent_root": dependent_root, "execution_optimistic": false, "data": duties})
}

fn answer(seen: &Seen) -> Value {
    let path = seen.path.as_str();
    if path.ends_with("/states/head/validators") {
        let asked = seen.json();
        let ids = asked["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap());
        return validators(ids);
    }
    if path.contains("duties/attester") {
        return duties(seen, Root::ZERO);
    }
    json!({"dependent_root": Root::ZERO, "execution_optimistic": false, "data": []})
}

#[tokio::test]
async fn ten_thousand_validators_cost_a_node_ten_requests_and_three_an_epoch() {
    let node = Mock::start(|seen| answer(seen).into()).await;
    let other = Mock::start(|seen| answer(seen).into()).await;
    let beacon = beacon(&[&node, &other]);
    let found = beacon.validators(&keys(MANY)).await.unwrap();
    assert_eq!(found.len() as u64, MANY);
    assert!(found.iter().all(|one| one.status == ValidatorStatus::ActiveOngoing));
    assert_eq!(node.seen().len(), 10);
    for epoch in [Epoch(4), Epoch(5)] {
        let attesters = beacon.attester_duties(epoch, &indices(MANY)).await.unwrap();
        assert_eq!(attesters.len() as u64, MANY);
        beacon.proposer_duties(epoch).await.unwrap();
        beacon.sync_duties_reply(epoch, &indices(MANY)).await.unwrap();
    }
    assert_eq!((node.seen().len(), other.seen().len()), (10 + 2 * 3, 0));
    let longest = node.seen().iter().map(|seen| seen.body.len()).max().unwrap();
    assert!(longest < 128 << 10, "{longest} bytes in one request");
}

#[tokio::test]
async fn no_more_than_two_batches_are_asked_for_at_once() {
    let gate = Arc::new(Semaphore::new(0));
    let (begun, ended, most) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let node = {
        let (gate, begun, ended, most) = (gate.clone(), begun.clone(), ended.clone(), most.clone());
        Mock::start(move |seen| {
            let running = begun.fetch_add(1, Ordering::SeqCst) + 1 - ended.load(Ordering::SeqCst);
            most.fetch_max(running, Ordering::SeqCst);
            Answer::Held(gate.clone(), answer(seen))
        })
        .await
    };
    let beacon = beacon(&[&node]);
    let asking = tokio::spawn(async move { beacon.validators(&keys(6_000)).await });
    for answered in 0..6 {
        node.wait_for((answered + 2).min(6)).await;
        ended.fetch_add(1, Ordering::SeqCst);
        gate.add_permits(1);
    }
    assert_eq!(asking.await.unwrap().unwrap().len(), 6_000);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_key_given_twice_is_asked_for_once() {
    let node = Mock::start(|seen| answer(seen).into()).await;
    let twice: Vec<PublicKey> = keys(1_000).into_iter().chain(keys(1_000)).collect();
    assert_eq!(beacon(&[&node]).validators(&twice).await.unwrap().len(), 1_000);
    node.only();
}

/// A node without the `POST` for validators.
fn old(code: u16) -> impl Fn(&Seen) -> Answer {
    move |seen| match seen.path.split_once('?') {
        None => Answer::Json(code, json!({"code": code, "message": "no such route"})),
        Some((_, query)) => validators(query.split('&').map(|id| id.strip_prefix("id=").unwrap())).into(),
    }
}

#[tokio::test]
async fn an_older_node_is_asked_in_its_addresses_and_that_is_remembered() {
    for code in [404, 405] {
        let node = Mock::start(old(code)).await;
        let beacon = beacon(&[&node]);
        assert_eq!(beacon.validators(&keys(130)).await.unwrap().len(), 130);
        assert_eq!(node.seen().len(), 1 + 3, "64, 64 and 2 keys");
        assert_eq!(beacon.validators(&keys(130)).await.unwrap().len(), 130);
        assert_eq!(node.seen().len(), 4 + 3);
        assert!(node.seen().iter().all(|seen| seen.path.len() < 8 << 10));
        assert!(beacon.health()[0].aside.is_none());
    }
}

#[tokio::test]
async fn a_state_that_is_not_there_proves_no_older_node() {
    let node = Mock::refusing(404, "state not found").await;
    let beacon = beacon(&[&node]);
    for asked in [2, 4] {
        assert!(beacon.validators(&keys(1)).await.unwrap_err().is_not_found());
        assert_eq!(node.seen().len(), asked, "both ways each time");
    }
}

/// A node that takes no more than 1,000 indices; `root`: what duties stand on, by the number of requests before.
async fn strict(root: impl Fn(usize) -> Root + Send + Sync + 'static) -> Mock {
    let count = AtomicUsize::new(0);
    Mock::start(move |seen| match seen.json().as_array().unwrap().len() {
        ..=1_000 => duties(seen, root(count.fetch_add(1, Ordering::SeqCst))).into(),
        _ => Answer::Text(413, "too large".to_owned()),
    })
    .await
}

#[tokio::test]
async fn a_node_that_finds_the_question_too_long_is_asked_in_parts() {
    let node = strict(|_| Root::ZERO).await;
    let found = beacon(&[&node]).attester_duties(Epoch(4), &indices(2_500)).await.unwrap();
    assert_eq!(found.iter().map(|duty| duty.validator_index).collect::<Vec<_>>(), indices(2_500));
    assert_eq!(node.seen().len(), 1 + 3);
}

#[tokio::test]
async fn parts_that_stand_on_different_blocks_are_no_answer() {
    let node = strict(|part| Root([u8::from(part == 2); 32])).await;
    let answer = beacon(&[&node]).attester_duties(Epoch(4), &indices(2_500)).await;
    let Err(ApiError::Body(rule)) = answer else { panic!("{answer:?}") };
    assert!(rule.starts_with("duties of dependent root"), "{rule}");
}
