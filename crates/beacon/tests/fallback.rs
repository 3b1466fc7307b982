//! Several nodes: who is asked, when the next one is, and what is told when all fail.

mod common;

use axum::body::Body;
use axum::response::Response;
use beacon::{ApiError, Beacon, Limits, SetupError};
use common::{Answer, Mock, beacon, nobody, patient, spec, with_limits};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use types::Slot;

fn version(name: &str) -> Value {
    json!({"data": {"version": name}})
}

fn data(slot: u64) -> Value {
    let checkpoint = json!({"epoch": "0", "root": types::Root::ZERO});
    json!({"data": {
        "slot": slot.to_string(), "index": "0", "beacon_block_root": types::Root::ZERO,
        "source": checkpoint, "target": checkpoint,
    }})
}

#[tokio::test]
async fn the_next_node_is_asked_when_the_first_refuses() {
    for code in [400, 404, 500, 503, 302] {
        let first = Mock::refusing(code, "no").await;
        let second = Mock::of(version("second")).await;
        assert_eq!(beacon(&[&first, &second]).version().await.unwrap(), "second", "{code}");
        assert_eq!(first.seen().len(), 1);
    }
}

#[tokio::test]
async fn the_next_node_is_asked_when_nobody_is_at_the_first() {
    let second = Mock::of(version("second")).await;
    let urls = [nobody().await, second.url.clone()];
    let beacon = Beacon::new(urls, Arc::new(spec()), patient()).unwrap();
    assert_eq!(beacon.version().await.unwrap(), "second");
}

#[tokio::test]
async fn the_next_node_is_asked_when_the_first_hangs() {
    let first = Mock::hanging().await;
    let second = Mock::of(version("second")).await;
    // A third of a second: 300 basis points of 12 s.
    let limits = Limits { query_bps: 300, ..patient() };
    assert_eq!(with_limits(&[&first, &second], limits).version().await.unwrap(), "second");
    assert_eq!(first.seen().len(), 1);
}

#[tokio::test]
async fn the_next_node_is_asked_when_the_first_stops_amid_its_answer() {
    let first = Mock::start(|_| {
        let (sender, body) = common::live_body();
        sender.send("{\"data\": ").unwrap();
        // The body never ends: its sender is kept for ever.
        std::mem::forget(sender);
        Answer::Full(Response::new(body))
    })
    .await;
    let second = Mock::of(version("second")).await;
    let limits = Limits { query_bps: 300, ..patient() };
    assert_eq!(with_limits(&[&first, &second], limits.clone()).version().await.unwrap(), "second");
    assert_eq!(with_limits(&[&first], limits).version().await, Err(ApiError::Timeout));
}

#[tokio::test]
async fn the_next_node_is_asked_when_the_first_lies() {
    let first = Mock::of(data(8)).await;
    let second = Mock::of(data(7)).await;
    assert_eq!(beacon(&[&first, &second]).attestation_data(Slot(7)).await.unwrap().slot, Slot(7));
    let first = Mock::of(json!({"data": "seven"})).await;
    assert_eq!(beacon(&[&first, &second]).attestation_data(Slot(7)).await.unwrap().slot, Slot(7));
}

#[tokio::test]
async fn the_next_node_is_asked_when_the_first_says_too_much() {
    let max = beacon::limits::BODY_LEN_MAX;
    let long = version(&"x".repeat(max));
    let announced = Mock::of(long.clone()).await;
    let unannounced = Mock::start(move |_| {
        let chunks = [Ok::<_, std::io::Error>(long.to_string())];
        Answer::Full(Response::new(Body::from_stream(futures::stream::iter(chunks))))
    })
    .await;
    let second = Mock::of(version("second")).await;
    for first in [&announced, &unannounced] {
        assert_eq!(beacon(&[first]).version().await, Err(ApiError::TooLong { max }));
        assert_eq!(beacon(&[first, &second]).version().await.unwrap(), "second");
    }
    let overhead = version("").to_string().len();
    let just_fits = Mock::of(version(&"x".repeat(max - overhead))).await;
    assert_eq!(beacon(&[&just_fits]).version().await.unwrap().len(), max - overhead);
}

#[tokio::test]
async fn a_long_refusal_is_cut_and_not_read_to_its_end() {
    let endless = Mock::start(|_| {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>("no ".repeat(1_000)));
        Answer::Full(Response::builder().status(500).body(Body::from_stream(chunks)).unwrap())
    })
    .await;
    let Err(ApiError::Status { code: 500, message }) = beacon(&[&endless]).version().await else {
        panic!("no refusal")
    };
    assert_eq!(message.len(), beacon::limits::MESSAGE_LEN_MAX);
}

#[tokio::test]
async fn a_failing_node_is_set_aside_and_found_well_by_a_probe() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let first = Mock::start(move |seen| match seen.path.contains("syncing") {
        _ if is_broken.load(Ordering::SeqCst) => Answer::Text(502, "bad gateway".to_owned()),
        true => json!({"data": {"head_slot": "1", "sync_distance": "0", "is_syncing": false}}).into(),
        false => version("first").into(),
    })
    .await;
    let second = Mock::start(|seen| match seen.path.contains("syncing") {
        true => json!({"data": {"head_slot": "1", "sync_distance": "0", "is_syncing": true}}).into(),
        false => version("second").into(),
    })
    .await;
    // It rests for hours, so only a probe can bring it back; and its failure is forgotten at once.
    let rest_ms = 1 << 30;
    let limits = Limits { retry_ms: rest_ms, retry_ms_max: rest_ms, forgive_ms: 0, ..patient() };
    let beacon = with_limits(&[&first, &second], limits);
    for _ in 0..3 {
        assert_eq!(beacon.version().await.unwrap(), "second");
    }
    assert_eq!(first.seen().len(), 1, "asked once, then left alone");
    broken.store(false, Ordering::SeqCst);
    assert_eq!(beacon.version().await.unwrap(), "second", "still set aside");
    assert!(beacon.syncing().await.unwrap().is_ready());
    assert_eq!(beacon.version().await.unwrap(), "first");
}

#[tokio::test]
async fn a_node_set_aside_is_asked_when_all_others_fail() {
    let calls = Arc::new(AtomicBool::new(true));
    let first_call = Arc::clone(&calls);
    let first = Mock::start(move |_| match first_call.swap(false, Ordering::SeqCst) {
        true => Answer::Text(500, String::new()),
        false => version("first").into(),
    })
    .await;
    let second = Mock::refusing(503, "syncing").await;
    let rest_ms = 1 << 30;
    let beacon =
        with_limits(&[&first, &second], Limits { retry_ms: rest_ms, retry_ms_max: rest_ms, ..patient() });
    assert!(beacon.version().await.is_err());
    assert_eq!(beacon.version().await.unwrap(), "first");
}

#[tokio::test]
async fn the_most_telling_error_is_returned_with_the_nodes_own_words() {
    let refuses = Mock::start(|_| {
        Answer::Json(503, json!({"code": 503, "message": "Node is\nsyncing", "stacktraces": ["secret path"]}))
    })
    .await;
    let lies = Mock::of(json!({"data": 1})).await;
    let hangs = Mock::hanging().await;
    let limits = Limits { query_bps: 300, ..patient() };
    let error = with_limits(&[&hangs, &lies, &refuses], limits.clone()).version().await.unwrap_err();
    assert_eq!(error, ApiError::Status { code: 503, message: "Node is syncing".to_owned() });
    let error = with_limits(&[&hangs, &lies], limits.clone()).version().await.unwrap_err();
    assert!(matches!(error, ApiError::Body(_)), "{error}");
    assert_eq!(with_limits(&[&hangs], limits).version().await, Err(ApiError::Timeout));
    let missing = Mock::refusing(404, "no such thing").await;
    assert!(beacon(&[&missing]).version().await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Mock::of(version("elsewhere")).await;
    let to = format!("{}/eth/v1/node/version", target.url);
    let node = Mock::start(move |_| {
        let redirect = Response::builder().status(307).header("location", &to).body(Body::empty()).unwrap();
        Answer::Full(redirect)
    })
    .await;
    let error = beacon(&[&node]).version().await.unwrap_err();
    assert!(matches!(error, ApiError::Status { code: 307, .. }), "{error}");
    assert_eq!(target.seen().len(), 0);
}

#[tokio::test]
async fn user_password_path_and_query_of_an_address_are_sent_and_never_shown() {
    let node = Mock::start(|seen| {
        let echo = format!("no route {} for {:?}", seen.path, "pass-word");
        Answer::Json(404, json!({"code": 404, "message": echo}))
    })
    .await;
    let url = node.url.replace("http://", "http://some-user:pass-word@") + "/api-key-1/?token=t-123456";
    let beacon = Beacon::new([&url], Arc::new(spec()), patient()).unwrap();
    let error = beacon.version().await.unwrap_err();
    let request = node.only();
    assert_eq!(request.path, "/api-key-1/eth/v1/node/version?token=t-123456");
    // Basic authorization of some-user:pass-word.
    assert_eq!(request.header("authorization"), "Basic c29tZS11c2VyOnBhc3Mtd29yZA==");
    let shown = format!("{error} {error:?} {beacon:?} {:?}", beacon.labels());
    for secret in ["some-user", "pass-word", "api-key-1", "t-123456"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("no route") && shown.contains(&node.url), "{shown}");
}

#[tokio::test]
async fn an_unreachable_address_is_not_shown_with_its_secrets() {
    let url = nobody().await.replace("http://", "http://some-user:pass-word@") + "/api-key-1?token=t-123456";
    let beacon = Beacon::new([&url], Arc::new(spec()), patient()).unwrap();
    let error = beacon.version().await.unwrap_err();
    assert!(matches!(error, ApiError::Connect(_)), "{error:?}");
    let shown = format!("{error} {error:?}");
    for secret in ["some-user", "pass-word", "api-key-1", "t-123456"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn sets_of_nodes_that_cannot_be_are_refused() {
    let new = |urls: &[String]| Beacon::new(urls, Arc::new(spec()), Limits::default()).map(|_| ());
    let url = "http://127.0.0.1:5052".to_owned();
    assert_eq!(new(&[]), Err(SetupError::NoNodes));
    assert_eq!(new(&vec![url.clone(); 17]), Err(SetupError::TooMany { have: 17, max: 16 }));
    assert_eq!(new(&vec![url.clone(); 16]), Ok(()));
    let error = new(&[url, "ftp://secret@bn".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "beacon node 2: neither http nor https");
}
