//! Addresses where somebody else answers, and wires that have another name.

use crate::cluster::{Node, Over, config, index, protocol};
use net::{Config, Event, Failure};

#[tokio::test]
async fn another_key_behind_an_address_is_refused_and_told() {
    // Operator 3 answers where operator 2 should.
    let (mut three, address) = Node::listening(3, 3, Over::Tcp).await;
    let mut one = Node::start(config(1, 3));
    one.handle.add_address(index(2), address.clone()).unwrap();
    let (peer, reason) = one
        .until(|event| match event {
            Event::Unreachable { peer, reason } => Some((peer, reason)),
            Event::Up { peer, .. } => panic!("linked to {peer}"),
            _ => None,
        })
        .await;
    let found = one.handle.peer_id(index(3)).unwrap();
    assert_eq!((peer, reason), (index(2), Failure::WrongPeer { address: address.clone(), found }));
    assert!(!one.handle.is_up(index(2)) && !three.handle.is_up(index(1)));

    // The same door under its right name opens.
    one.handle.add_address(index(3), address).unwrap();
    one.up(3).await;
    three.up(1).await;
}

#[tokio::test]
async fn an_address_where_somebody_else_answers_does_not_hide_the_right_one() {
    let (_three, wrong) = Node::listening(3, 3, Over::Tcp).await;
    let (mut two, right) = Node::listening(2, 3, Over::Quic).await;
    let mut spec = config(1, 3);
    spec.peers[1].addresses = vec![wrong, right];
    let mut one = Node::start(spec);
    one.up(2).await;
    two.up(1).await;
}

#[tokio::test]
async fn our_own_address_is_no_peer() {
    let (mut one, address) = Node::listening(1, 2, Over::Tcp).await;
    one.handle.add_address(index(2), address).unwrap();
    let reason = one
        .until(|event| match event {
            Event::Unreachable { reason, .. } => Some(reason),
            Event::Up { .. } => panic!("linked to itself"),
            _ => None,
        })
        .await;
    assert_eq!(reason, Failure::NoAnswer("no address but our own".to_owned()));
}

#[tokio::test]
async fn wires_of_two_clusters_do_not_mix() {
    // The same two operators, who serve two clusters with the same keys.
    let (mut two, address) = Node::listening(2, 2, Over::Tcp).await;
    let mut one = Node::start(Config { protocol: protocol(8), ..config(1, 2) });
    one.handle.add_address(index(2), address.clone()).unwrap();
    let reason = one
        .until(|event| match event {
            Event::Unreachable { reason, .. } => Some(reason),
            Event::Up { .. } => panic!("two clusters were mixed"),
            _ => None,
        })
        .await;
    assert_eq!(reason, Failure::OtherProtocol);
    drop(one);

    let mut one = Node::start(config(1, 2));
    one.handle.add_address(index(2), address).unwrap();
    one.up(2).await;
    let up = two.until(|event| match event {
        Event::Up { peer, .. } => Some(peer),
        _ => None,
    });
    assert_eq!(up.await, index(1));
    assert_eq!(two.handle.counts(index(1)).links, 1);
}

#[tokio::test]
async fn a_closed_port_is_told_with_its_address() {
    let mut one = Node::start(config(1, 2));
    one.handle.add_address(index(2), "/ip4/127.0.0.1/tcp/1".parse().unwrap()).unwrap();
    let reason = one
        .until(|event| match event {
            Event::Unreachable { reason, .. } => Some(reason),
            _ => None,
        })
        .await;
    let text = reason.to_string();
    assert!(matches!(reason, Failure::NoAnswer(_)) && text.contains("/ip4/127.0.0.1/tcp/1"), "{text}");
}
