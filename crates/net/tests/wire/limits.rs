//! Queues that end.

use crate::cluster::{Node, Over, config, eventually, index};
use bytes::Bytes;
use net::{AddError, AddressError, Config, Limits, SendError, StartError};

const FRAME: usize = 64 << 10;

/// Bytes of a queue that holds four frames.
const QUEUE: usize = 4 * (FRAME + 64);

/// Two linked nodes with small queues.
async fn narrow(over: Over) -> (Node, Node) {
    let limits = Limits {
        frame_len_max: FRAME,
        queue_frames_max: 100,
        queue_bytes_max: QUEUE,
        bulk_len_max: FRAME,
        bulk_frames_max: 2,
        bulk_bytes_max: QUEUE,
        silence_ms_max: 2_000,
        ..config(1, 2).limits
    };
    let there = Config { listen: vec![over.any_port()], limits, ..config(2, 2) };
    let mut there = Node::start(there);
    let address = there.address().await;
    let mut here = Node::start(Config { limits, ..config(1, 2) });
    here.handle.add_address(index(2), address).unwrap();
    here.up(2).await;
    there.up(1).await;
    (here, there)
}

/// How many such frames are taken before the queue is full, while no other task runs.
fn taken_at_once(node: &Node, frame: &Bytes) -> usize {
    let full = Err(SendError::QueueFull(index(2)));
    let taken = (0..1000).take_while(|_| node.handle.send(index(2), frame.clone()).is_ok()).count();
    assert_eq!(node.handle.send(index(2), frame.clone()), full);
    taken
}

#[tokio::test]
async fn a_queue_is_full_by_its_bytes() {
    let (here, mut there) = narrow(Over::Tcp).await;
    assert_eq!(taken_at_once(&here, &numbered(0)), 4);
    for _ in 0..4 {
        assert_eq!(there.frame(1).await, numbered(0));
    }
}

#[tokio::test]
async fn a_queue_is_full_by_its_frames() {
    let (here, mut there) = narrow(Over::Tcp).await;
    assert_eq!(taken_at_once(&here, &Bytes::new()), 100);
    for _ in 0..100 {
        assert_eq!(there.frame(1).await, "");
    }
}

fn numbered(no: u64) -> Bytes {
    let mut bytes = vec![0; FRAME];
    bytes[..8].copy_from_slice(&no.to_be_bytes());
    bytes.into()
}

/// How much passes before an unread peer stops us, and that what was taken arrives in order when it reads.
async fn an_unread_peer_fills_its_queue_and_no_more(over: Over, windows: u64) {
    let (here, mut there) = narrow(over).await;
    let mut taken = 0;
    // Until 50000 refusals in a row, while the other tasks run, nothing more gets through.
    let mut refused_in_a_row = 0;
    while refused_in_a_row < 50_000 {
        match here.handle.send(index(2), numbered(taken)) {
            Ok(()) => (taken, refused_in_a_row) = (taken + 1, 0),
            Err(e) => {
                assert_eq!(e, SendError::QueueFull(index(2)));
                refused_in_a_row += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    // The outbox and the inbox hold four frames each; one is being written, one read; the rest is in windows.
    let bytes = taken * FRAME as u64;
    assert!(bytes <= 10 * FRAME as u64 + windows, "{bytes} bytes were taken for a peer that reads nothing");
    assert!(here.handle.counts(index(2)).queue_full >= 50_000);
    for no in 0..taken {
        assert_eq!(there.frame(1).await, numbered(no), "frame {no} of {taken}");
    }
    here.send(2, "and on it goes");
    assert_eq!(there.frame(1).await, "and on it goes");
}

#[tokio::test]
async fn an_unread_peer_fills_its_queue_and_no_more_over_tcp() {
    // yamux: 3 MiB; the sockets' own buffers: 6 MiB on this side, 6 MiB on that.
    an_unread_peer_fills_its_queue_and_no_more(Over::Tcp, 15 << 20).await;
}

#[tokio::test]
async fn an_unread_peer_fills_its_queue_and_no_more_over_quic() {
    // quinn: 10 MB a stream to receive, as much to send.
    an_unread_peer_fills_its_queue_and_no_more(Over::Quic, 20 << 20).await;
}

#[tokio::test]
async fn a_consumer_that_reads_nothing_does_not_look_dead() {
    let (mut here, mut there) = narrow(Over::Tcp).await;
    while here.handle.send(index(2), numbered(0)).is_ok() {}
    // Pings go on beside the stream that is stuck: six of them are longer than silence is borne.
    for _ in 0..6 {
        let before = here.handle.rtt(index(2));
        eventually("another ping is answered", || here.handle.rtt(index(2)) != before).await;
    }
    assert!(here.handle.is_up(index(2)) && there.handle.is_up(index(1)));
    // And so does the other direction.
    there.send(1, "I am well");
    assert_eq!(here.frame(2).await, "I am well");
    assert_eq!(there.frame(1).await, numbered(0));
}

#[tokio::test]
async fn a_frame_too_long_is_refused_before_it_is_queued() {
    let (here, mut there) = narrow(Over::Tcp).await;
    let long = Bytes::from(vec![0; FRAME + 1]);
    let error = SendError::TooLong { len: FRAME + 1, max: FRAME };
    assert_eq!(here.handle.send(index(2), long.clone()), Err(error));
    assert_eq!(here.handle.broadcast(&long), [(index(2), error)]);
    here.send(2, Bytes::from(vec![7; FRAME]));
    here.send(2, Bytes::new());
    assert_eq!(there.frame(1).await.len(), FRAME);
    assert_eq!(there.frame(1).await.len(), 0);
}

#[tokio::test]
async fn nothing_is_sent_to_nobody() {
    let one = Node::start(config(1, 3));
    assert_eq!(one.handle.send(index(1), Bytes::new()), Err(SendError::NoSuchPeer(index(1))));
    assert_eq!(one.handle.send(index(4), Bytes::new()), Err(SendError::NoSuchPeer(index(4))));
    assert_eq!(one.handle.send(index(2), Bytes::new()), Err(SendError::NotConnected(index(2))));
    let address = "/ip4/127.0.0.1/tcp/1".parse::<net::Multiaddr>().unwrap();
    assert_eq!(one.handle.add_address(index(4), address), Err(AddError::NoSuchPeer(index(4))));
    let odd = "/ip4/127.0.0.1/udp/1".parse::<net::Multiaddr>().unwrap();
    let error = AddError::Address(AddressError::Form(odd.clone()));
    assert_eq!(one.handle.add_address(index(2), odd), Err(error));
    assert_eq!(one.handle.counts(index(2)), net::PeerCounts::default());
}

#[tokio::test]
async fn a_port_in_use_is_found_at_the_start() {
    let (_one, address) = Node::listening(1, 2, Over::Tcp).await;
    let error = net::start(Config { listen: vec![address.clone()], ..config(2, 2) }).unwrap_err();
    assert!(matches!(error, StartError::Listen { address: at, .. } if at == address));
}

#[tokio::test]
async fn a_wire_that_nobody_holds_ends() {
    let (one, address) = Node::listening(1, 2, Over::Tcp).await;
    drop(one.events);
    // The port is free again once the wire's task has gone.
    let again = Config { listen: vec![address], ..config(2, 2) };
    eventually("the wire ends", || net::start(again.clone()).is_ok()).await;
}
