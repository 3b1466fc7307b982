//! A villain with an operator's key, who announces more than we take, or greets in its own way.

use crate::cluster::{Node, Over, config, index, protocol};
use crate::stranger::{Everything, speaker};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::{self, secp256k1};
use libp2p::swarm::SwarmEvent;
use libp2p::{Stream, StreamProtocol, Swarm};
use net::{DownReason, Event, Failure, Limits};

/// Operator 2 as a villain, who dials operator 1 of three. Operator 1 leads, so the villain is given the stream.
pub(crate) async fn as_operator_two(limits: Limits) -> (Node, Node, Stream) {
    let one = net::Config { listen: vec![Over::Tcp.any_port()], limits, ..config(1, 3) };
    let mut one = Node::start(one);
    let address = one.address().await;
    let mut three = Node::start(config(3, 3));
    three.handle.add_address(index(1), address.clone()).unwrap();
    one.up(3).await;
    three.up(1).await;

    let mut villain = operator(2);
    let wire = StreamProtocol::try_from_owned(protocol(7).to_string()).unwrap();
    let mut incoming = villain.behaviour().stream.new_control().accept(wire).unwrap();
    villain.dial(address).unwrap();
    tokio::spawn(keep_running(villain));
    let (_, stream) = incoming.next().await.unwrap();
    (one, three, stream)
}

/// An operator's key in a villain's hands.
pub(crate) fn operator(no: u8) -> Swarm<Everything> {
    let key = secp256k1::SecretKey::try_from_bytes([no; 32]).unwrap();
    speaker(identity::Keypair::from(secp256k1::Keypair::from(key)))
}

pub(crate) async fn keep_running(mut villain: Swarm<Everything>) {
    loop {
        villain.select_next_some().await;
    }
}

/// Greets as it should, with a fixed wish.
pub(crate) async fn greet(stream: &mut Stream) {
    let mut hello = [0; 16];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"SYMBOLON-WIRE-1\n");
    stream.write_all(&hello).await.unwrap();
    stream.write_all(&[5; 16]).await.unwrap();
    stream.flush().await.unwrap();
    let mut go = [0];
    stream.read_exact(&mut go).await.unwrap();
    assert_eq!(&go, b"!");
}

/// Greets as a leader should.
pub(crate) async fn lead(stream: &mut Stream) {
    stream.write_all(b"SYMBOLON-WIRE-1\n").await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = [0; 32];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[..16], b"SYMBOLON-WIRE-1\n");
    stream.write_all(b"!").await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test]
async fn an_announced_oversize_frame_ends_the_link_and_names_the_peer() {
    let max = 1 << 20;
    let limits = Limits { frame_len_max: max, ..config(1, 3).limits };
    let (mut one, mut three, mut stream) = as_operator_two(limits).await;
    greet(&mut stream).await;
    one.up(2).await;
    stream.write_all(&3_u32.to_be_bytes()).await.unwrap();
    stream.write_all(b"yes").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(one.frame(2).await, "yes");
    let len = u32::try_from(max).unwrap() + 1;
    stream.write_all(&len.to_be_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(one.down(2).await, DownReason::Oversize { len, max });
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "its stream is closed");
    one.send(3, "the others do not notice");
    assert_eq!(three.frame(1).await, "the others do not notice");
}

#[tokio::test]
async fn a_frame_that_never_comes_whole_is_not_heard() {
    let (mut one, _three, mut stream) = as_operator_two(config(1, 3).limits).await;
    greet(&mut stream).await;
    one.up(2).await;
    stream.write_all(&100_u32.to_be_bytes()).await.unwrap();
    stream.write_all(&[1; 99]).await.unwrap();
    stream.close().await.unwrap();
    let heard = one.until(|event| match event {
        Event::Frame { .. } => panic!("heard a frame that was never whole"),
        Event::Down { reason, .. } => Some(reason),
        _ => None,
    });
    assert!(matches!(heard.await, DownReason::Broken(_)));
}

#[tokio::test]
async fn other_words_are_no_greeting() {
    let (mut one, mut three, mut stream) = as_operator_two(config(1, 3).limits).await;
    stream.write_all(b"SYMBOLON-WIRE-2\n0123456789abcdef").await.unwrap();
    stream.flush().await.unwrap();
    let reason = one
        .until(|event| match event {
            Event::Unreachable { peer, reason } => Some((peer, reason)),
            Event::Up { .. } => panic!("linked to who knows what"),
            _ => None,
        })
        .await;
    assert_eq!(reason.0, index(2));
    assert!(matches!(reason.1, Failure::Greeting(_)), "{reason:?}");
    one.send(3, "the others do not notice");
    assert_eq!(three.frame(1).await, "the others do not notice");
}

#[tokio::test]
async fn a_peer_that_greets_and_says_nothing_more_is_given_up() {
    let limits = Limits { silence_ms_max: 2_000, ..config(1, 3).limits };
    let (mut one, _three, stream) = as_operator_two(limits).await;
    let reason = one
        .until(|event| match event {
            Event::Unreachable { peer, reason } if peer == index(2) => Some(reason),
            _ => None,
        })
        .await;
    assert!(matches!(reason, Failure::Greeting(_)), "{reason:?}");
    drop(stream);
}

#[tokio::test]
async fn a_leader_that_opens_no_stream_is_given_up() {
    let limits = Limits { silence_ms_max: 2_000, ..config(2, 2).limits };
    let two = net::Config { listen: vec![Over::Tcp.any_port()], limits, ..config(2, 2) };
    let mut two = Node::start(two);
    let mut villain = operator(1);
    villain.dial(two.address().await).unwrap();
    // It answers every ping, so silence is not what it is given up for.
    tokio::spawn(keep_running(villain));
    let reason = two.until(|event| match event {
        Event::Unreachable { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await, Failure::Greeting("not in time".to_owned()));
}

#[tokio::test]
async fn a_second_stream_on_a_connection_is_dropped() {
    // Operator 1 leads, so the stream is its to open; here it opens two.
    let two = net::Config { listen: vec![Over::Tcp.any_port()], ..config(2, 2) };
    let mut two = Node::start(two);
    let mut villain = operator(1);
    let mut control = villain.behaviour().stream.new_control();
    villain.dial(two.address().await).unwrap();
    loop {
        if let SwarmEvent::ConnectionEstablished { .. } = villain.select_next_some().await {
            break;
        }
    }
    tokio::spawn(keep_running(villain));
    let wire = StreamProtocol::try_from_owned(protocol(7).to_string()).unwrap();
    let id = crate::cluster::identity(2).peer_id();
    let mut first = control.open_stream(id, wire.clone()).await.unwrap();
    lead(&mut first).await;
    two.up(1).await;
    // Refused in negotiation, or closed at once: either way nothing can be heard over it.
    if let Ok(mut second) = control.open_stream(id, wire).await {
        let _ = second.write_all(b"SYMBOLON-WIRE-1\n").await;
        let _ = second.flush().await;
        assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0, "somebody answers");
    }
    first.write_all(b"\0\0\0\x05still").await.unwrap();
    first.flush().await.unwrap();
    assert_eq!(two.frame(1).await, "still");
    assert_eq!(two.streams(1), 1);
}
