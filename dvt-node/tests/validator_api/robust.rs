//! Over a real socket, with bodies of every kind: it keeps serving.

use crate::objects::message;
use crate::posts::LISTS;
use crate::world::{ELECTRA, World, down, index, world};
use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use dvt_node::server::{Served, serve};
use dvt_node::validator_api::Noticed;
use futures::channel::mpsc;
use serde_json::json;
use ssz::Encode as _;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use symbolon_core::Ask;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use types::Slot;

/// Of an epoch that is over.
const PAST: [&str; 3] = [
    "/eth/v1/validator/duties/attester/0",
    "/eth/v1/validator/duties/sync/0",
    "/eth/v1/validator/liveness/0",
];

/// Every route that takes a list, or an object.
pub(crate) fn posts() -> impl Iterator<Item = &'static str> {
    LISTS.into_iter().chain(PAST)
}

const BLOCKS: &str = "/eth/v2/beacon/blocks";

/// The server on loopback, and a connection to it.
async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(served(world).await).await.unwrap()
}

async fn served(world: &World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = world.app.clone();
    tokio::spawn(serve(listener, Served::to_few("test", app), CancellationToken::new()));
    address
}

/// Reads lines up to one that has `words`.
async fn read_until(stream: &mut BufReader<TcpStream>, words: &str) {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert_ne!(stream.read_line(&mut line).await.unwrap(), 0, "the answer ended before {words}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_taken() {
    let world = world();
    world.chain().duties = vec![crate::duties::duty(0, Slot(65), 1, 2)];
    let mut stream = connect(&world).await;
    let head = "POST /eth/v1/validator/duties/attester/8 HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}3\r\n[\"1\r\n3\r\n0\"]\r\n0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&crate::world::client_key(0).to_string()), "{answer}");
    assert_eq!(world.forwarded_once().2, r#"["10"]"#);
}

#[tokio::test]
async fn a_chunked_body_of_ssz_is_taken() {
    let world = world();
    let mut stream = connect(&world).await;
    let head = "POST /eth/v1/beacon/pool/sync_committees HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\
                content-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let body = vec![message(ELECTRA, index(0)), message(ELECTRA, index(1))].as_ssz_bytes();
    for chunk in body.chunks(100) {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await.unwrap();
        stream.write_all(&[chunk, b"\r\n"].concat()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(matches!(&world.asks()[..], [Ask::SyncMessages { halves, .. }] if halves.len() == 2));
}

#[tokio::test]
async fn an_event_arrives_before_the_stream_ends() {
    let world = world();
    let (events, source) = mpsc::unbounded();
    world.chain().events = Some(source);
    let mut stream = connect(&world).await;
    let request = "GET /eth/v1/events?topics=head HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut stream = BufReader::new(stream);
    read_until(&mut stream, "text/event-stream").await;
    for slot in ["1", "2"] {
        let event = format!("event: head\ndata: {{\"slot\":\"{slot}\"}}\n\n");
        events.unbounded_send(Bytes::from(event)).unwrap();
        read_until(&mut stream, &format!("data: {{\"slot\":\"{slot}\"}}")).await;
        assert!(!events.is_closed(), "the beacon node's stream is still open");
    }
    drop(events);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
}

#[tokio::test]
async fn an_event_stream_that_the_beacon_node_refuses_is_an_error() {
    let world = world();
    let got = world.get("/eth/v1/events?topics=head").await;
    got.refused(503, &down().message);
}

#[tokio::test]
async fn event_streams_beyond_the_limit_are_turned_away_until_one_ends() {
    let world = world();
    let mut open = Vec::new();
    let mut sources = Vec::new();
    for _ in 0..32 {
        let (events, source) = mpsc::unbounded();
        world.chain().events = Some(source);
        sources.push(events);
        let request = Request::get("/eth/v1/events?topics=head").body(Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(world.app.clone(), request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        open.push(response);
    }
    world.get("/eth/v1/events?topics=head").await.refused(503, "more than 32 event streams");
    open.pop();
    world.get("/eth/v1/events?topics=head").await.refused(503, &down().message);
}

#[tokio::test]
async fn garbage_is_answered_and_the_server_lives_on() {
    let world = world();
    let deep = "[".repeat(100_000);
    for path in posts() {
        for garbage in ["", "{", "nul", "\u{0}", "[1,", "\"", deep.as_str(), "{\"ids\":[}", "[\"1\"] x"] {
            let got = world.post_bytes(path, "application/json", "electra", garbage.to_owned()).await;
            got.refused(400, "not JSON");
        }
        for wrong in
            [json!(1), json!("x"), json!([[]]), json!([null]), json!([{}]), json!({}), json!([1e300])]
        {
            let got = world.post(path, wrong).await;
            assert!(got.status.is_client_error() || got.status.is_success(), "{path}: {got:?}");
        }
        let invalid = world.post_bytes(path, "application/json", "electra", vec![0xff, 0xfe]).await;
        invalid.refused(400, "not JSON");
    }
    for garbage in ["", "{", "[]", "1", deep.as_str()] {
        let got = world.post_bytes(BLOCKS, "application/json", "deneb", garbage.to_owned()).await;
        got.refused(400, "not the JSON of a deneb block");
    }
    world.get("/eth/v1/beacon/genesis").await.ok();
}

#[tokio::test]
async fn ssz_that_is_none_is_answered_and_the_server_lives_on() {
    let world = world();
    for path in posts().chain([BLOCKS, "/eth/v2/beacon/blinded_blocks"]) {
        for garbage in [vec![1], vec![0xff; 4], vec![0xff; 500], [&[4, 0, 0, 0][..], &[0xff; 299]].concat()] {
            let kind = "Application/Octet-Stream; v=1";
            let got = world.post_bytes(path, kind, "electra", garbage).await;
            assert!(matches!(got.status.as_u16(), 400 | 415), "{path}: {got:?}");
            assert_eq!(got.json()["code"], got.status.as_u16());
        }
    }
    assert!(world.asks().is_empty() && world.forwarded().is_empty());
    world.get("/eth/v1/beacon/genesis").await.ok();
}

#[tokio::test]
async fn bodies_longer_than_their_route_takes_are_413() {
    let world = world();
    for path in posts() {
        let long = vec![b' '; (8 << 20) + 1];
        assert_eq!(world.post_bytes(path, "application/json", "electra", long).await.status.as_u16(), 413);
    }
    let mut just_right = vec![b' '; 2 << 20];
    just_right[..2].copy_from_slice(b"[]");
    let path = "/eth/v1/validator/prepare_beacon_proposer";
    world.post_bytes(path, "application/json", "electra", just_right).await.taken();
    let block = vec![b' '; (2 << 20) + 1];
    world.post_bytes(BLOCKS, "application/json", "deneb", block).await.refused(400, "not the JSON");
    let block = vec![b' '; (64 << 20) + 1];
    world.post_bytes(BLOCKS, "application/json", "deneb", block).await.refused(413, "");
}

#[tokio::test]
async fn a_body_without_a_content_type_is_read_as_json() {
    let world = world();
    let request = Request::post("/eth/v1/validator/prepare_beacon_proposer").body(Body::from("[]")).unwrap();
    assert!(!request.headers().contains_key(header::CONTENT_TYPE));
    world.call(request).await.taken();
}

#[tokio::test]
async fn requests_beyond_the_limit_are_shed_and_taken_again_later() {
    let world = world();
    world.mind.gate.forget_permits(usize::MAX);
    let path = "/eth/v1/validator/attestation_data?slot=65";
    let waiting: Vec<_> = (0..1024)
        .map(|_| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            tokio::spawn(tower::ServiceExt::oneshot(world.app.clone(), request))
        })
        .collect();
    while world.mind.asks.lock().unwrap().len() < 1024 {
        tokio::task::yield_now().await;
    }
    world.get("/eth/v1/node/syncing").await.refused(503, "more than 1024 requests");
    assert_eq!(*world.noticed.lock().unwrap(), [Noticed::Shed]);
    assert_eq!(world.asks().first(), Some(&Ask::Vote { slot: Slot(65) }));
    world.mind.gate.add_permits(1);
    for response in waiting {
        response.await.unwrap().unwrap();
    }
    world.get("/eth/v1/node/syncing").await.ok();
}

#[tokio::test]
async fn requests_that_do_not_come_give_way_to_one_that_does() {
    for (path, count) in [(BLOCKS, 4), ("/eth/v2/beacon/pool/attestations", 1024)] {
        let world = world();
        let awaited = Arc::new(AtomicUsize::new(0));
        let half = || {
            let (awaited, mut first) = (awaited.clone(), true);
            let bytes = futures::stream::poll_fn(move |_| {
                awaited.fetch_add(usize::from(std::mem::take(&mut first)), Ordering::Relaxed);
                Poll::<Option<Result<Bytes, Infallible>>>::Pending
            });
            Request::post(path)
                .header("eth-consensus-version", "deneb")
                .body(Body::from_stream(bytes))
                .unwrap()
        };
        let halves: Vec<_> =
            (0..count).map(|_| tokio::spawn(tower::ServiceExt::oneshot(world.app.clone(), half()))).collect();
        // Tasks run in the order in which they were made, and these wait for nothing but their bodies.
        while awaited.load(Ordering::Relaxed) < count {
            tokio::task::yield_now().await;
        }
        let got = world.post_bytes(path, "application/json", "deneb", "{").await;
        got.refused(400, "not");
        let first = halves.into_iter().next().unwrap().await.unwrap().unwrap();
        assert_eq!(first.status().as_u16(), 503);
        assert_eq!(*world.noticed.lock().unwrap(), [Noticed::Shed]);
    }
}
