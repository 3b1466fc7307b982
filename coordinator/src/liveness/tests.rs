//! A beacon node on a real socket, asked who was on duty.

use super::*;
use crate::key::CoordinatorKey;
use crate::ledger::charter::tests::charter;
use crate::ledger::testbed::Pool;
use crate::ledger::testbed::jar::STAKED;
use crate::pages::Place;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use beacon::Limits;
use rand_core::OsRng;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use types::{ChainSpec, Slot};

/// What a node was asked of liveness: path and body. It is well once it has failed as often as it shall.
#[derive(Clone, Default)]
struct Node {
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    fails: Arc<Mutex<u32>>,
}

async fn answer(State(node): State<Node>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let spec = ChainSpec::builtin("hoodi").unwrap();
    if path == "/eth/v1/beacon/genesis" {
        let genesis = json!({"data": {
            "genesis_time": (spec.genesis_time_ms / 1_000).to_string(),
            "genesis_validators_root": spec.genesis_validators_root,
            "genesis_fork_version": spec.genesis_fork_version,
        }});
        return Json(genesis).into_response();
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let indices: Value = serde_json::from_slice(&body).unwrap();
    node.asked.lock().unwrap().push((path, indices.clone()));
    let mut fails = node.fails.lock().unwrap();
    if *fails > 0 {
        *fails -= 1;
        return (StatusCode::INTERNAL_SERVER_ERROR, "not now").into_response();
    }
    // The first two are live, the third is not, of others it does not know.
    let of = |(at, index): (usize, &Value)| json!({"index": index, "is_live": at < 2});
    let data: Vec<_> = indices.as_array().unwrap().iter().enumerate().map(of).take(3).collect();
    Json(json!({"data": data})).into_response()
}

#[tokio::test]
async fn each_epoch_is_asked_for_once_and_again_only_where_nobody_answered() {
    let (pool, _, cluster) = Pool::staked(charter(), 4);
    let folder = tempfile::tempdir().unwrap();
    let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
    let shared = Shared::new(Office::take_over(folder.path(), key, &pool.log).unwrap());
    let node = Node::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(node.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let beacon = Beacon::new(&[url], Arc::new(pool.state().network.clone()), Limits::default()).unwrap();

    let mut answered = None;
    let at = |slot| pool.state().network.slot_start(Slot(slot));
    let epoch = STAKED + 5;
    let mut news = shared.news();
    // In the first half of an epoch blocks still bring what was done in the one before.
    assert_eq!(watch(&shared, &beacon, &mut answered, at(32 * epoch + 15)).await.unwrap(), Ok(()));
    assert!(node.asked.lock().unwrap().is_empty());
    *node.fails.lock().unwrap() = 1;
    let (of, why) = watch(&shared, &beacon, &mut answered, at(32 * epoch + 16)).await.unwrap().unwrap_err();
    assert_eq!(of, Epoch(epoch - 1));
    assert!(why.contains("500"), "{why}");
    assert!(!news.has_changed().unwrap());
    for slot in [17, 18, 31] {
        assert_eq!(watch(&shared, &beacon, &mut answered, at(32 * epoch + slot)).await.unwrap(), Ok(()));
    }
    assert!(news.has_changed().unwrap(), "who has a page open hears of it");
    news.mark_unchanged();
    let indices: Vec<_> = (1..=4).map(|secret| pool.index(secret).to_string()).collect();
    let once = (format!("/eth/v1/validator/liveness/{}", epoch - 1), json!(indices));
    assert_eq!(*node.asked.lock().unwrap(), [once.clone(), once], "a failure, and an answer");
    assert_eq!(answered, Some(Epoch(epoch - 1)));

    let (page, _) = shared.shown(Place::Cluster(cluster)).await.unwrap();
    let text = page.unwrap().document("Meadow");
    assert!(text.contains("Nothing is watched"), "nobody has said that it watches");
    api::watch_duty(&shared).unwrap();
    let (page, _) = shared.shown(Place::Cluster(cluster)).await.unwrap();
    let text = page.unwrap().document("Meadow");
    assert!(text.contains("2 of 4 live, 1 unknown"), "{text}");
}
