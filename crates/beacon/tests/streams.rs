//! Streams of heads, and requests that are passed on.

mod common;

use axum::body::Body;
use axum::response::Response;
use beacon::header::{HeaderMap, HeaderValue};
use beacon::{ApiError, Beacon, ForwardRequest, Head, Limits, Method};
use bytes::Bytes;
use common::{Answer, Mock, beacon, live_body, patient, spec, with_limits};
use futures::StreamExt;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{self, UnboundedSender};
use types::{Root, Slot};

fn event(slot: u64, byte: u8) -> &'static str {
    let root = Root([byte; 32]);
    let data = json!({
        "slot": slot.to_string(), "block": root, "state": root, "epoch_transition": false,
        "previous_duty_dependent_root": root, "current_duty_dependent_root": root, "execution_optimistic": false,
    });
    // Tests are short: their text may live as long as they do.
    Box::leak(format!("event: head\ndata: {data}\n\n").into_boxed_str())
}

fn head(slot: u64, byte: u8) -> Head {
    let root = Root([byte; 32]);
    Head {
        slot: Slot(slot),
        block: root,
        previous_duty_dependent_root: Some(root),
        current_duty_dependent_root: Some(root),
        execution_optimistic: false,
    }
}

type Opened = mpsc::UnboundedReceiver<UnboundedSender<&'static str>>;

/// A node of our network whose streams are the test's to fill: one sender comes for each that is opened.
async fn streaming() -> (Mock, Opened) {
    streaming_in(Root([8; 32])).await
}

/// The same in the network of a genesis.
async fn streaming_in(genesis: Root) -> (Mock, Opened) {
    streaming_of(genesis, 100).await
}

/// The same for a node that says that its head is at a slot.
async fn streaming_at(head_slot: u64) -> (Mock, Opened) {
    streaming_of(Root([8; 32]), head_slot).await
}

async fn streaming_of(genesis: Root, head_slot: u64) -> (Mock, Opened) {
    let (opened, streams) = mpsc::unbounded_channel();
    let opened = Mutex::new(opened);
    let genesis = json!({"data": {
        "genesis_time": "1600000000", "genesis_validators_root": genesis, "genesis_fork_version": "0x09090909",
    }});
    let node = Mock::start(move |seen| {
        if seen.path.contains("genesis") {
            return genesis.clone().into();
        }
        if seen.path.contains("syncing") {
            let head_slot = head_slot.to_string();
            return json!({"data": {"head_slot": head_slot, "sync_distance": "0", "is_syncing": false}})
                .into();
        }
        let (sender, body) = live_body();
        opened.lock().unwrap().send(sender).unwrap();
        Answer::Full(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
    })
    .await;
    (node, streams)
}

#[tokio::test]
async fn heads_come_as_they_are_announced_wherever_chunks_are_cut() {
    let (node, mut streams) = streaming().await;
    let mut heads = beacon(&[&node]).heads();
    let stream = streams.recv().await.unwrap();
    let request = node.only();
    assert_eq!(request.path, "/eth/v1/events?topics=head");
    assert_eq!(request.header("accept"), "text/event-stream");
    let (left, right) = event(1, 1).split_at(100);
    for chunk in [": keep-alive\n\n", left, right, "event: block\ndata: {}\n\n", event(2, 2)] {
        stream.send(chunk).unwrap();
    }
    assert_eq!(heads.recv().await, Some(head(1, 1)));
    assert_eq!(heads.recv().await, Some(head(2, 2)));
}

#[tokio::test]
async fn lines_may_end_as_on_any_system() {
    let (node, mut streams) = streaming().await;
    let mut heads = beacon(&[&node]).heads();
    let stream = streams.recv().await.unwrap();
    for (slot, end) in [(1, "\r\n"), (2, "\r"), (3, "\n")] {
        let text = event(slot, 1).replace('\n', end);
        stream.send(Box::leak(text.into_boxed_str())).unwrap();
        assert_eq!(heads.recv().await, Some(head(slot, 1)), "{end:?}");
    }
}

#[tokio::test]
async fn a_head_that_several_nodes_announce_is_told_once() {
    let (first, mut first_streams) = streaming().await;
    let (second, mut second_streams) = streaming().await;
    let mut heads = beacon(&[&first, &second]).heads();
    let first = first_streams.recv().await.unwrap();
    let second = second_streams.recv().await.unwrap();
    first.send(event(1, 1)).unwrap();
    assert_eq!(heads.recv().await, Some(head(1, 1)));
    second.send(event(1, 1)).unwrap();
    second.send(event(1, 2)).unwrap();
    assert_eq!(heads.recv().await, Some(head(1, 2)), "another block of the slot is another head");
    first.send(event(1, 2)).unwrap();
    first.send(event(2, 3)).unwrap();
    assert_eq!(heads.recv().await, Some(head(2, 3)));
}

#[tokio::test]
async fn a_head_without_dependent_roots_is_told_without_them() {
    let (node, mut streams) = streaming().await;
    let mut heads = beacon(&[&node]).heads();
    let stream = streams.recv().await.unwrap();
    let data = json!({"slot": "1", "block": Root([1; 32]), "state": Root::ZERO, "epoch_transition": false});
    stream.send(Box::leak(format!("event: head\ndata: {data}\n\n").into_boxed_str())).unwrap();
    let told = heads.recv().await.unwrap();
    assert_eq!((told.previous_duty_dependent_root, told.current_duty_dependent_root), (None, None));
}

/// A head whose payload is not verified yet.
fn optimistic(slot: u64, byte: u8) -> &'static str {
    let text = event(slot, byte).replace("\"execution_optimistic\":false", "\"execution_optimistic\":true");
    Box::leak(text.into_boxed_str())
}

#[tokio::test]
async fn a_head_that_is_not_verified_waits_for_a_nodes_word_that_is() {
    let (first, mut first_streams) = streaming().await;
    let (second, mut second_streams) = streaming().await;
    let mut heads = beacon(&[&first, &second]).heads();
    let hasty = first_streams.recv().await.unwrap();
    let well = second_streams.recv().await.unwrap();
    // Once its first head is told, its stream is known to be open.
    well.send(event(1, 1)).unwrap();
    assert_eq!(heads.recv().await, Some(head(1, 1)));
    hasty.send(event(2, 2)).unwrap();
    assert_eq!(heads.recv().await, Some(head(2, 2)));
    hasty.send(optimistic(3, 3)).unwrap();
    hasty.send(event(4, 4)).unwrap();
    assert_eq!(heads.recv().await, Some(head(4, 4)), "the unverified one was passed over");
    well.send(event(3, 3)).unwrap();
    assert_eq!(heads.recv().await, Some(head(3, 3)), "and is told when it is verified");
}

#[tokio::test]
async fn a_head_that_is_not_verified_is_told_if_nobody_else_listens_to_the_chain() {
    let (node, mut streams) = streaming().await;
    let mut heads = beacon(&[&node]).heads();
    let stream = streams.recv().await.unwrap();
    stream.send(optimistic(1, 1)).unwrap();
    let told = heads.recv().await.unwrap();
    assert_eq!(told, Head { execution_optimistic: true, ..head(1, 1) });

    let silent = Mock::refusing(500, "no events").await;
    let mut heads = beacon(&[&node, &silent]).heads();
    let stream = streams.recv().await.unwrap();
    stream.send(optimistic(2, 2)).unwrap();
    assert_eq!(heads.recv().await.unwrap().slot, Slot(2));
}

#[tokio::test]
async fn the_word_of_a_node_that_is_set_aside_waits_too() {
    let (behind, mut behind_streams) = streaming_at(90).await;
    let (well, mut well_streams) = streaming_at(100).await;
    let beacon = beacon(&[&behind, &well]);
    let mut heads = beacon.heads();
    let late = behind_streams.recv().await.unwrap();
    let good = well_streams.recv().await.unwrap();
    good.send(event(1, 1)).unwrap();
    assert_eq!(heads.recv().await, Some(head(1, 1)));
    beacon.probe(|| Slot(100)).await.unwrap();
    late.send(event(2, 2)).unwrap();
    drop(late);
    // It is opened anew: so the first one was read to its end.
    let _late = behind_streams.recv().await.unwrap();
    good.send(event(3, 3)).unwrap();
    assert_eq!(heads.recv().await, Some(head(3, 3)));
}

#[tokio::test]
async fn heads_of_another_network_are_not_told() {
    let (foreign, mut foreign_streams) = streaming_in(Root([7; 32])).await;
    let (ours, mut our_streams) = streaming().await;
    let beacon = beacon(&[&foreign, &ours]);
    let mut heads = beacon.heads();
    let foreign_stream = foreign_streams.recv().await.unwrap();
    beacon.check_network().await;
    foreign_stream.send(event(1, 1)).unwrap();
    drop(foreign_stream);
    // It is opened anew once the last one has been read to its end.
    foreign_streams.recv().await.unwrap();
    our_streams.recv().await.unwrap().send(event(2, 2)).unwrap();
    assert_eq!(heads.recv().await, Some(head(2, 2)));
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_anew() {
    let (node, mut streams) = streaming().await;
    let mut heads = beacon(&[&node]).heads();
    for slot in 1..=3 {
        let stream = streams.recv().await.unwrap();
        stream.send(event(slot, 1)).unwrap();
        assert_eq!(heads.recv().await, Some(head(slot, 1)));
        // The stream ends here, and takes half an event with it.
        stream.send("event: head\ndata: {").unwrap();
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_or_has_no_end_of_line_is_opened_anew() {
    let count = Mutex::new(0);
    let (opened, mut streams) = mpsc::unbounded_channel();
    let node = Mock::start(move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        match *count {
            1 => Answer::Json(503, json!({"code": 503, "message": "starting"})),
            2 => Answer::Text(200, "x".repeat(beacon::sse::LINE_LEN_MAX + 1)),
            _ => {
                let (sender, body) = live_body();
                opened.send(sender).unwrap();
                Answer::Full(Response::new(body))
            }
        }
    })
    .await;
    let mut heads = beacon(&[&node]).heads();
    streams.recv().await.unwrap().send(event(1, 1)).unwrap();
    assert_eq!(heads.recv().await, Some(head(1, 1)));
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_opened_anew() {
    let (node, mut streams) = streaming().await;
    // Four slots without a sign, and no slot at all to wait: the floor alone, 50 ms.
    let limits = Limits { stream_idle_slots: 0, floor_ms: 50, ..patient() };
    let mut heads = with_limits(&[&node], limits).heads();
    let silent = streams.recv().await.unwrap();
    let next = streams.recv().await.unwrap();
    next.send(event(1, 1)).unwrap();
    assert_eq!(heads.recv().await, Some(head(1, 1)));
    drop(silent);
}

#[tokio::test]
async fn events_of_another_shape_are_read_over() {
    let (node, mut streams) = streaming().await;
    let mut heads = beacon(&[&node]).heads();
    let stream = streams.recv().await.unwrap();
    for chunk in ["event: head\ndata: not json\n\n", "event: head\ndata: {\"slot\":\"x\"}\n\n", event(1, 1)] {
        stream.send(chunk).unwrap();
    }
    assert_eq!(heads.recv().await, Some(head(1, 1)));
}

#[tokio::test]
async fn streams_close_when_nobody_listens() {
    let (node, mut streams) = streaming().await;
    let heads = beacon(&[&node]).heads();
    let stream = streams.recv().await.unwrap();
    drop(heads);
    stream.closed().await;
}

fn get(path_and_query: &str) -> ForwardRequest {
    ForwardRequest {
        method: Method::GET,
        path_and_query: path_and_query.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}

#[tokio::test]
async fn a_request_is_passed_on_with_the_headers_that_belong_to_it() {
    let node = Mock::start(|_| {
        let response = Response::builder().header("content-type", "application/octet-stream");
        let response = response.header("eth-consensus-version", "deneb").header("set-cookie", "a=b");
        Answer::Full(response.body(Body::from("\u{0}ssz")).unwrap())
    })
    .await;
    let mut request = get("/eth/v1/beacon/blocks/head/root?x=1");
    for (name, value) in [
        ("accept", "application/octet-stream;q=1,application/json;q=0.9"),
        ("authorization", "Bearer vc"),
        ("host", "vapi.example"),
        ("connection", "close"),
    ] {
        request.headers.insert(name, HeaderValue::from_static(value));
    }
    let response = beacon(&[&node]).forward(request).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"\0ssz"[..]));
    let names: Vec<&str> = response.headers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(response.headers["eth-consensus-version"], "deneb");
    let seen = node.only();
    assert_eq!(seen.path, "/eth/v1/beacon/blocks/head/root?x=1");
    assert_eq!(seen.header("accept"), "application/octet-stream;q=1,application/json;q=0.9");
    assert!(!seen.headers.contains_key("authorization"));
    assert_eq!(format!("http://{}", seen.header("host")), node.url);
}

#[tokio::test]
async fn a_body_is_passed_on_too() {
    let node = Mock::of(json!({"data": []})).await;
    let request = ForwardRequest {
        method: Method::POST,
        headers: HeaderMap::from_iter([(
            beacon::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )]),
        body: Bytes::from_static(b"[\"1\"]"),
        ..get("/eth/v1/validator/duties/sync/0")
    };
    beacon(&[&node]).forward(request).await.unwrap();
    let seen = node.only();
    assert_eq!((seen.method.as_str(), seen.json()), ("POST", json!(["1"])));
    assert_eq!(seen.header("content-type"), "application/json");
}

#[tokio::test]
async fn refusals_are_passed_on_unless_another_node_knows_better() {
    let bad = Mock::refusing(400, "bad id").await;
    let missing = Mock::refusing(404, "not found").await;
    let ill = Mock::refusing(503, "syncing").await;
    let well = Mock::of(json!({"data": 1})).await;
    let path = "/eth/v1/beacon/headers/1";
    let status = async |nodes: &[&Mock]| beacon(nodes).forward(get(path)).await.unwrap().status;
    assert_eq!(status(&[&bad, &well]).await, 400, "the request is wrong for every node");
    assert_eq!(status(&[&missing, &ill, &well]).await, 200);
    assert_eq!(status(&[&missing, &ill]).await, 404);
    let response = beacon(&[&missing]).forward(get(path)).await.unwrap();
    assert_eq!(&response.body[..], br#"{"code":404,"message":"not found"}"#, "in the node's own words");
}

#[tokio::test]
async fn secrets_of_an_address_are_blotted_out_of_refusals() {
    for status in [307, 400, 404, 503] {
        let said = "no /key-1234/eth/v1/x?token=t-123456 for someone:p@ss-word, p%40ss-word";
        let node = Mock::start(move |_| Answer::Text(status, said.to_owned())).await;
        let address = node.url.replace("http://", "http://someone:p%40ss-word@") + "/key-1234?token=t-123456";
        let beacon = Beacon::new([address], Arc::new(spec()), patient()).unwrap();
        let response = beacon.forward(get("/eth/v1/x")).await.unwrap();
        assert_eq!(response.status, status);
        let shown = String::from_utf8(response.body.to_vec()).unwrap();
        assert_eq!(
            shown, "no /<redacted>/eth/v1/x?<redacted> for <redacted>:<redacted>, <redacted>",
            "the rest is in the node's own words"
        );
    }
}

#[tokio::test]
async fn only_paths_of_the_beacon_api_are_passed_on() {
    let node = Mock::of(json!({})).await;
    for path in ["/lighthouse/ui", "/eth/../admin", "eth/v1/x", "http://other.example/eth/v1"] {
        let refused = beacon(&[&node]).forward(get(path)).await;
        assert!(matches!(refused, Err(ApiError::Request(_))), "{path}: {refused:?}");
        assert!(matches!(beacon(&[&node]).forward_stream(path).await, Err(ApiError::Request(_))));
    }
    assert_eq!(node.seen().len(), 0);
}

#[tokio::test]
async fn a_stream_is_passed_on_chunk_by_chunk_from_the_first_node_that_gives_one() {
    let ill = Mock::refusing(503, "syncing").await;
    let (node, mut streams) = streaming().await;
    let path = "/eth/v1/events?topics=head&topics=block";
    let mut stream = beacon(&[&ill, &node]).forward_stream(path).await.unwrap();
    let source = streams.recv().await.unwrap();
    assert_eq!(node.only().path, path);
    for chunk in ["event: he", "ad\n"] {
        source.send(chunk).unwrap();
        assert_eq!(stream.next().await, Some(Ok(Bytes::from(chunk))), "before the next one is sent");
    }
    drop(source);
    assert_eq!(stream.next().await, None);
    let refused = beacon(&[&ill]).forward_stream(path).await;
    assert!(matches!(refused, Err(ApiError::Status { code: 503, .. })));
}

/// What callers need of the futures: to be spawned.
#[tokio::test]
async fn every_question_can_be_a_task() {
    let node = Mock::of(json!({"data": {"version": "first"}})).await;
    let beacon = beacon(&[&node]);
    let of = beacon.clone();
    let version = tokio::spawn(async move { of.version().await });
    assert_eq!(version.await.unwrap().unwrap(), "first");
    let of = beacon.clone();
    tokio::spawn(async move {
        let randao = types::Signature::ZERO;
        let (_, _, _) = tokio::join!(
            of.produce_block(Slot(1), &randao, None, None),
            of.syncing(),
            of.knows_block(Root::ZERO),
        );
        let _ = of.validators(&[types::PublicKey::ZERO]).await;
        let _ = of.submit_exit(json!({})).await;
        let _ = of.forward(get("/eth/v1/x")).await;
        let _ = of.forward_stream("/eth/v1/x").await;
        let _ = of.check_network().await;
    })
    .await
    .unwrap();
}
