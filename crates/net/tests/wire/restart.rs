//! Operators who die, come back, or fall silent.

use crate::cluster::{Node, Over, config, eventually, identity, index, pair};
use crate::proxy::{Proxy, port_of, with_port};
use net::{Config, DownReason, Limits, SendError};

async fn a_node_that_restarts_on_its_port_is_linked_again(over: Over) {
    let (mut one, mut two) = pair(over).await;
    one.send(2, "before");
    assert_eq!(two.frame(1).await, "before");
    let port = port_of(&two.handle.listening()[0]);
    // Dropped, not shut down: nobody says farewell.
    drop(two);
    one.down(2).await;
    assert_eq!(one.handle.send(index(2), "lost".into()), Err(SendError::NotConnected(index(2))));

    let again = Config { listen: vec![with_port(over, port)], ..config(2, 2) };
    let mut started = None;
    eventually("the port is free again", || {
        started = net::start(again.clone()).ok();
        started.is_some()
    })
    .await;
    let (handle, events) = started.unwrap();
    let mut two = Node { me: 2, handle, events };
    one.up(2).await;
    two.up(1).await;
    one.send(2, "after");
    two.send(1, "after");
    assert_eq!(two.frame(1).await, "after");
    assert_eq!(one.frame(2).await, "after");
    assert_eq!(one.handle.counts(index(2)).links, 2);
}

#[tokio::test]
async fn a_node_that_restarts_on_its_port_is_linked_again_over_tcp() {
    a_node_that_restarts_on_its_port_is_linked_again(Over::Tcp).await;
}

#[tokio::test]
async fn a_node_that_restarts_on_its_port_is_linked_again_over_quic() {
    a_node_that_restarts_on_its_port_is_linked_again(Over::Quic).await;
}

/// `listener` and `dialer`, linked through a line that can go dead.
async fn through_proxy(listener: u8, dialer: u8, silence_ms_max: u64) -> (Node, Node, Proxy) {
    let limits = Limits { silence_ms_max, ..config(1, 2).limits };
    let there = Config { listen: vec![Over::Tcp.any_port()], limits, ..config(listener, 2) };
    let mut there = Node::start(there);
    let proxy = Proxy::to(&there.address().await).await;
    let mut here = Node::start(Config { limits, ..config(dialer, 2) });
    here.handle.add_address(index(listener), proxy.address.clone()).unwrap();
    here.up(listener).await;
    there.up(dialer).await;
    here.send(listener, "hello");
    assert_eq!(there.frame(dialer).await, "hello");
    (there, here, proxy)
}

#[tokio::test]
async fn a_dead_line_is_noticed_by_both_though_nobody_closed_it() {
    let (mut there, mut here, proxy) = through_proxy(1, 2, 2_000).await;
    proxy.freeze();
    assert_eq!(there.down(2).await, DownReason::Silent);
    assert_eq!(here.down(1).await, DownReason::Silent);
}

#[tokio::test]
async fn a_new_life_takes_the_place_of_a_dead_one_at_once() {
    for (listener, dialer) in [(1, 2), (2, 1)] {
        // Silence is borne for ever here: only the new link can tell that the old one is dead.
        let (mut there, dead, proxy) = through_proxy(listener, dialer, 600_000).await;
        proxy.freeze();
        let mut reborn = Node::start(config(dialer, 2));
        reborn.handle.add_address(index(listener), there.handle.listening()[0].clone()).unwrap();
        assert_eq!(there.down(dialer).await, DownReason::Replaced, "leader is {}", listener.min(dialer));
        there.up(dialer).await;
        reborn.up(listener).await;
        there.send(dialer, "welcome back");
        assert_eq!(reborn.frame(listener).await, "welcome back");
        drop(dead);
    }
}

#[tokio::test]
async fn the_same_key_gives_the_same_name() {
    let one = Node::start(config(1, 2));
    assert_eq!(one.handle.peer_id(index(2)), Some(identity(2).peer_id()));
    assert_eq!(one.handle.peer_id(index(1)), None, "nobody is its own peer");
}
