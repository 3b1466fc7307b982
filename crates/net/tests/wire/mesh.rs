//! Four operators who behave.

use crate::cluster::{Node, Over, eventually, index, mesh, pair};
use bytes::Bytes;
use net::{Event, SendError};

/// Frame `no` of node `from`: short ones, and every tenth a mebibyte.
fn frame(from: u8, no: u32) -> Bytes {
    let len = if no.is_multiple_of(10) { 1 << 20 } else { usize::try_from(no).unwrap() };
    let mut bytes = vec![from; 4 + len];
    bytes[..4].copy_from_slice(&no.to_be_bytes());
    bytes.into()
}

async fn everybody_hears_everybody_in_order(over: Over) {
    const FRAMES: u32 = 21;
    let mut nodes = mesh(4, over).await;
    for node in &nodes {
        for no in 0..FRAMES {
            assert_eq!(node.handle.broadcast(&frame(node.me, no)), []);
        }
    }
    for node in &mut nodes {
        let mut due = [0_u32; 5];
        while due.iter().sum::<u32>() < 3 * FRAMES {
            match node.next().await {
                Event::Frame { peer, frame: got } => {
                    let from = peer.get();
                    let no = &mut due[usize::from(from)];
                    assert_eq!(got, frame(from, *no), "frame {no} of {from}");
                    *no += 1;
                }
                Event::Down { peer, reason } => panic!("{peer} fell: {reason}"),
                _ => {}
            }
        }
    }
    for node in &nodes {
        node.handle.shutdown().await;
    }
}

#[tokio::test]
async fn four_nodes_hear_each_other_in_order_over_tcp() {
    everybody_hears_everybody_in_order(Over::Tcp).await;
}

#[tokio::test]
async fn four_nodes_hear_each_other_in_order_over_quic() {
    everybody_hears_everybody_in_order(Over::Quic).await;
}

async fn a_thousand_messages_need_no_new_stream(over: Over) {
    let (mut one, mut two) = pair(over).await;
    one.send(2, "first");
    two.send(1, "first");
    assert_eq!(two.frame(1).await, "first");
    assert_eq!(one.frame(2).await, "first");
    let before = (one.streams(2), two.streams(1));
    for no in 0..1000_u32 {
        one.send(2, no.to_be_bytes().to_vec());
        assert_eq!(two.frame(1).await, no.to_be_bytes()[..]);
        two.send(1, no.to_be_bytes().to_vec());
        assert_eq!(one.frame(2).await, no.to_be_bytes()[..]);
    }
    let counts = one.handle.counts(index(2));
    assert_eq!((counts.frames_out, counts.frames_in), (1001, 1001));
    assert_eq!((counts.bytes_out, counts.links), (4005, 1));
    // A connection that crossed may have brought its own; a message never does.
    assert!(one.streams(2) <= before.0 + 2 && two.streams(1) <= before.1 + 2);
    assert!(one.streams(2) <= 4 && two.streams(1) <= 4, "two streams for each connection");
}

#[tokio::test]
async fn a_thousand_messages_need_no_new_stream_over_tcp() {
    a_thousand_messages_need_no_new_stream(Over::Tcp).await;
}

#[tokio::test]
async fn a_thousand_messages_need_no_new_stream_over_quic() {
    a_thousand_messages_need_no_new_stream(Over::Quic).await;
}

#[tokio::test]
async fn connections_that_cross_make_one_link_and_never_flap() {
    for _ in 0..8 {
        // `mesh` panics at any fall; `frame` does, too.
        let (mut one, mut two) = pair(Over::Tcp).await;
        for no in 0..50_u32 {
            one.send(2, no.to_be_bytes().to_vec());
            two.send(1, no.to_be_bytes().to_vec());
        }
        for no in 0..50_u32 {
            assert_eq!(one.frame(2).await, no.to_be_bytes()[..]);
            assert_eq!(two.frame(1).await, no.to_be_bytes()[..]);
        }
        assert_eq!(one.handle.counts(index(2)).links, 1);
        assert_eq!(two.handle.counts(index(1)).links, 1);
    }
}

async fn what_was_taken_before_a_shutdown_arrives(over: Over) {
    let (one, mut two) = pair(over).await;
    let big = Bytes::from(vec![9; 1 << 20]);
    for _ in 0..8 {
        one.send(2, big.clone());
    }
    one.send(2, "last");
    let reading = async {
        for _ in 0..8 {
            assert_eq!(two.frame(1).await, big);
        }
        assert_eq!(two.frame(1).await, "last");
        assert_eq!(two.down(1).await, net::DownReason::Closed);
    };
    tokio::join!(one.handle.shutdown(), reading);
    assert_eq!(one.handle.send(index(2), Bytes::new()), Err(SendError::NotConnected(index(2))));
}

#[tokio::test]
async fn what_was_taken_before_a_shutdown_arrives_over_tcp() {
    what_was_taken_before_a_shutdown_arrives(Over::Tcp).await;
}

#[tokio::test]
async fn what_was_taken_before_a_shutdown_arrives_over_quic() {
    what_was_taken_before_a_shutdown_arrives(Over::Quic).await;
}

#[tokio::test]
async fn events_end_after_a_shutdown() {
    let (mut one, two) = pair(Over::Tcp).await;
    two.handle.shutdown().await;
    one.down(2).await;
    one.handle.shutdown().await;
    one.handle.shutdown().await;
    while one.events.next().await.is_some() {}
    drop(two);
}

#[tokio::test]
async fn the_round_trip_is_known_while_the_link_stands() {
    let (mut one, two) = pair(Over::Tcp).await;
    eventually("a ping is answered", || one.handle.rtt(index(2)).is_some()).await;
    assert!(one.handle.is_up(index(2)));
    two.handle.shutdown().await;
    one.down(2).await;
    assert_eq!((one.handle.rtt(index(2)), one.handle.is_up(index(2))), (None, false));
}

#[tokio::test]
async fn one_side_that_cannot_be_dialed_is_linked_all_the_same() {
    for (listener, dialer) in [(1, 2), (2, 1)] {
        let (mut there, address) = Node::listening(listener, 2, Over::Tcp).await;
        let mut here = Node::start(crate::cluster::config(dialer, 2));
        here.handle.add_address(index(listener), address).unwrap();
        here.up(listener).await;
        there.up(dialer).await;
        here.send(listener, "hello");
        assert_eq!(there.frame(dialer).await, "hello");
    }
}
