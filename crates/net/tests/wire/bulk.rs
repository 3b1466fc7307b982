//! Bulk beside frames.

use crate::boaster::{as_operator_two, greet, keep_running, lead, operator};
use crate::cluster::{Node, Over, config, eventually, identity, index, pair, protocol};
use crate::proxy::SlowLine;
use bytes::Bytes;
use futures::{AsyncWriteExt, StreamExt};
use libp2p::StreamProtocol;
use libp2p::swarm::SwarmEvent;
use net::{Config, DownReason, Event, Limits, SendError};
use std::pin::pin;

/// A block's payload of the largest kind, each with bytes of its own.
fn payload(no: u8) -> Bytes {
    let mut bytes = vec![no; 12 << 20];
    bytes[..4].copy_from_slice(b"blob");
    bytes.into()
}

#[tokio::test]
async fn a_frame_sent_after_bulk_arrives_before_it_over_a_slow_line() {
    // Nobody is taken for dead here, however long the machine takes.
    let limits = Limits { silence_ms_max: 600_000, ..config(1, 2).limits };
    let there = Config { listen: vec![Over::Tcp.any_port()], limits, ..config(2, 2) };
    let mut there = Node::start(there);
    let line = SlowLine::to(&there.address().await).await;
    let mut here = Node::start(Config { limits, ..config(1, 2) });
    here.handle.add_address(index(2), line.address.clone()).unwrap();
    slowly(&line, async { tokio::join!(here.up(2), there.up(1)) }).await;

    here.handle.send_bulk(index(2), payload(1)).unwrap();
    here.send(2, "a vote");
    let (first, let_through) = slowly(&line, there.next()).await;
    assert_eq!(first, Event::Frame { peer: index(1), frame: "a vote".into() });
    assert!(let_through < payload(1).len() / 2, "the vote came after {let_through} bytes of the payload");
    assert_eq!(
        here.handle.counts(index(2)).bulk_frames_out,
        0,
        "the payload was gone: this line is not slow"
    );
    line.let_through(16 << 20);
    assert_eq!(there.bulk(1).await, payload(1));
    assert_eq!(here.handle.counts(index(2)).links, 1);
}

/// Lets a little more through whenever the line is stuck, until this has come. Returns how much it took, too.
async fn slowly<T>(line: &SlowLine, awaited: impl Future<Output = T>) -> (T, usize) {
    const STEP: usize = 4 << 10;
    let mut awaited = pin!(awaited);
    let mut let_through = 0;
    loop {
        let stuck = async {
            while !line.is_stuck() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            come = &mut awaited => return (come, let_through),
            () = stuck => {
                line.let_through(STEP);
                let_through += STEP;
            }
        }
    }
}

async fn bulk_goes_both_ways_in_order_beside_frames(over: Over) {
    let (mut one, mut two) = pair(over).await;
    for no in 0..4 {
        // A queue holds one of them; the next is taken when there is room.
        eventually("there is room for bulk", || one.handle.send_bulk(index(2), payload(no)).is_ok()).await;
        two.handle.send_bulk(index(1), Bytes::from(vec![no; 1000])).unwrap();
        one.send(2, vec![no]);
        let mut heard = (false, false);
        while heard != (true, true) {
            match two.next().await {
                Event::Bulk { frame, .. } => {
                    assert_eq!(frame, payload(no));
                    heard.0 = true;
                }
                Event::Frame { frame, .. } => {
                    assert_eq!(frame, vec![no]);
                    heard.1 = true;
                }
                Event::Down { reason, .. } => panic!("fell: {reason}"),
                _ => {}
            }
        }
        assert_eq!(one.bulk(2).await, vec![no; 1000]);
    }
    let counts = one.handle.counts(index(2));
    assert_eq!((counts.bulk_frames_out, counts.bulk_bytes_out), (4, 4 * (12 << 20)));
    assert_eq!((counts.bulk_frames_in, counts.bulk_bytes_in), (4, 4000));
    assert_eq!((counts.frames_out, counts.frames_in, counts.links), (4, 0, 1));
}

#[tokio::test]
async fn bulk_goes_both_ways_in_order_beside_frames_over_tcp() {
    bulk_goes_both_ways_in_order_beside_frames(Over::Tcp).await;
}

#[tokio::test]
async fn bulk_goes_both_ways_in_order_beside_frames_over_quic() {
    bulk_goes_both_ways_in_order_beside_frames(Over::Quic).await;
}

async fn bulk_that_was_taken_before_a_shutdown_arrives(over: Over) {
    let (one, mut two) = pair(over).await;
    assert_eq!(one.handle.broadcast_bulk(&payload(3)), []);
    one.send(2, "last");
    let reading = async {
        let mut missing = 2;
        while missing > 0 {
            match two.next().await {
                Event::Bulk { frame, .. } => {
                    assert_eq!(frame, payload(3));
                    missing -= 1;
                }
                Event::Frame { frame, .. } => {
                    assert_eq!(frame, "last");
                    missing -= 1;
                }
                Event::Down { reason, .. } => panic!("fell before everything was heard: {reason}"),
                _ => {}
            }
        }
        assert_eq!(two.down(1).await, DownReason::Closed);
    };
    tokio::join!(one.handle.shutdown(), reading);
    assert_eq!(one.handle.send_bulk(index(2), Bytes::new()), Err(SendError::NotConnected(index(2))));
}

#[tokio::test]
async fn bulk_that_was_taken_before_a_shutdown_arrives_over_tcp() {
    bulk_that_was_taken_before_a_shutdown_arrives(Over::Tcp).await;
}

#[tokio::test]
async fn bulk_that_was_taken_before_a_shutdown_arrives_over_quic() {
    bulk_that_was_taken_before_a_shutdown_arrives(Over::Quic).await;
}

#[tokio::test]
async fn a_queue_of_bulk_is_short_and_its_own() {
    let (one, _two) = pair(Over::Tcp).await;
    let limits = Limits::default();
    let long = Bytes::from(vec![0; limits.bulk_len_max + 1]);
    let error = SendError::TooLong { len: limits.bulk_len_max + 1, max: limits.bulk_len_max };
    assert_eq!(one.handle.broadcast_bulk(&long), [(index(2), error)]);
    // While no other task runs: one payload fills it by its bytes, four small ones by their number.
    assert_eq!(one.handle.send_bulk(index(2), payload(0)), Ok(()));
    let full = Err(SendError::QueueFull(index(2)));
    assert_eq!(one.handle.send_bulk(index(2), payload(1)), full);
    assert_eq!(one.handle.send(index(2), payload(1)), Ok(()), "frames have room of their own");
    for _ in 1..limits.bulk_frames_max {
        assert_eq!(one.handle.send_bulk(index(2), Bytes::new()), Ok(()));
    }
    assert_eq!(one.handle.send_bulk(index(2), Bytes::new()), full);
    assert_eq!(one.handle.counts(index(2)).queue_full, 2);
}

#[tokio::test]
async fn a_peer_without_a_lane_for_bulk_is_linked_and_takes_none() {
    let (mut one, mut three, mut stream) = as_operator_two(config(1, 3).limits).await;
    greet(&mut stream).await;
    one.up(2).await;
    let refused = Err(SendError::NotConnected(index(2)));
    eventually("bulk is refused", || one.handle.send_bulk(index(2), "bulk".into()) == refused).await;
    stream.write_all(b"\0\0\0\x05still").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(one.frame(2).await, "still");
    assert_eq!(one.handle.broadcast_bulk(&"bulk".into()), [(index(2), SendError::NotConnected(index(2)))]);
    assert_eq!(three.bulk(1).await, "bulk");
}

#[tokio::test]
async fn announced_oversize_bulk_ends_the_link_and_names_the_peer() {
    let two = Config { listen: vec![Over::Tcp.any_port()], ..config(2, 2) };
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
    let name = |suffix: &str| StreamProtocol::try_from_owned(format!("{}{suffix}", protocol(7))).unwrap();
    let id = identity(2).peer_id();
    let mut bulk = control.open_stream(id, name("/bulk")).await.unwrap();
    let mut frames = control.open_stream(id, name("")).await.unwrap();
    lead(&mut frames).await;
    two.up(1).await;
    bulk.write_all(b"\0\0\0\x02ok").await.unwrap();
    bulk.flush().await.unwrap();
    assert_eq!(two.bulk(1).await, "ok");
    let max = Limits::default().bulk_len_max;
    let len = u32::try_from(max).unwrap() + 1;
    bulk.write_all(&len.to_be_bytes()).await.unwrap();
    bulk.flush().await.unwrap();
    assert_eq!(two.down(1).await, DownReason::Oversize { len, max });
}
