//! Operators that cannot reach each other, a relay between them, and strangers on both sides of it.

use crate::boaster::keep_running;
use crate::cluster::{Node, Over, config, eventually, identity, index};
use crate::proxy::{Proxy, port_of, with_port};
use crate::stranger::speaker;
use futures::StreamExt;
use libp2p::identity::{self, secp256k1};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use net::relay::{self, Event as RelayEvent};
use net::{Config, Event, Limits, Multiaddr, PeerId, Route};

/// The relay's key is that of nobody in any cluster here.
const RELAY: u8 = 100;

struct Relay {
    handle: relay::Handle,
    events: relay::Events,
    address: Multiaddr,
}

impl Relay {
    /// Serves the operators with these numbers.
    async fn start(served: &[u8], listen: Multiaddr) -> Self {
        let operators = served.iter().map(|no| identity(*no).public_key()).collect();
        let config = relay::Config { identity: identity(RELAY), operators, listen: vec![listen] };
        // The port of a relay that has just ended may take a moment to be free.
        let mut started = None;
        eventually("the relay starts", || {
            started = relay::start(config.clone()).ok();
            started.is_some()
        })
        .await;
        let (handle, mut events) = started.unwrap();
        let Some(RelayEvent::Listening(address)) = events.next().await else { panic!("it listens first") };
        assert_eq!(address.iter().last(), Some(Protocol::P2p(handle.id())));
        Self { handle, events, address }
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(RelayEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.events.next().await.unwrap()) {
                return found;
            }
        }
    }
}

/// Operator `me` of `n`, who has this relay and listens there.
fn behind(relay: &Relay, me: u8, n: u8, listen: &[Over]) -> Node {
    let listen = listen.iter().map(|over| over.any_port()).collect();
    Node::start(Config { relays: vec![relay.address.clone()], listen, ..config(me, n) })
}

async fn reserved(node: &mut Node) -> PeerId {
    node.until(|event| match event {
        Event::RelayUp { relay } => Some(relay),
        _ => None,
    })
    .await
}

/// Both hear each other; no link falls meanwhile.
async fn talk(one: &mut Node, two: &mut Node) {
    one.send(2, "from one");
    two.send(1, "from two");
    assert_eq!(two.frame(1).await, "from one");
    assert_eq!(one.frame(2).await, "from two");
    one.handle.send_bulk(index(2), vec![7; 3 << 20].into()).unwrap();
    assert_eq!(two.bulk(1).await, vec![7; 3 << 20]);
}

async fn two_nodes_that_know_only_a_relay_are_linked(over: Over) {
    let relay = Relay::start(&[1, 2], over.any_port()).await;
    let mut one = behind(&relay, 1, 2, &[]);
    let mut two = behind(&relay, 2, 2, &[]);
    assert_eq!(reserved(&mut one).await, identity(RELAY).peer_id());
    assert_eq!((one.up_by(2).await, two.up_by(1).await), (Route::Relayed, Route::Relayed));
    assert_eq!(one.handle.route(index(2)), Some(Route::Relayed));
    talk(&mut one, &mut two).await;
    let me = Protocol::P2p(identity(1).peer_id());
    let circuit = relay.address.clone().with(Protocol::P2pCircuit).with(me);
    eventually("its address over the relay is told", || one.handle.listening().contains(&circuit)).await;
    let counts = relay.handle.counts();
    assert_eq!((counts.connected, counts.reservations, counts.strangers), (2, 2, 0));
    assert!((1..=2).contains(&counts.circuits), "{counts:?}");
}

#[tokio::test]
async fn two_nodes_that_know_only_a_relay_are_linked_over_tcp() {
    two_nodes_that_know_only_a_relay_are_linked(Over::Tcp).await;
}

#[tokio::test]
async fn two_nodes_that_know_only_a_relay_are_linked_over_quic() {
    two_nodes_that_know_only_a_relay_are_linked(Over::Quic).await;
}

#[tokio::test]
async fn strangers_who_say_nothing_keep_no_operator_out() {
    let relay = Relay::start(&[1, 2], Over::Tcp.any_port()).await;
    let at = (std::net::Ipv4Addr::LOCALHOST, port_of(&relay.address));
    let mut silent = Vec::new();
    for _ in 0..100 {
        // Another address of this machine than the operators'.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(at.into()).await.unwrap());
    }
    eventually("most are turned away", || relay.handle.counts().turned_away == 100 - 32).await;
    let mut one = behind(&relay, 1, 2, &[]);
    let mut two = behind(&relay, 2, 2, &[]);
    assert_eq!((one.up_by(2).await, two.up_by(1).await), (Route::Relayed, Route::Relayed));
    talk(&mut one, &mut two).await;
    assert_eq!(relay.handle.counts().turned_away, 100 - 32, "no operator was");
    drop(silent);
}

#[tokio::test]
async fn a_link_comes_back_when_its_relay_does() {
    let relay = Relay::start(&[1, 2], Over::Tcp.any_port()).await;
    let mut one = behind(&relay, 1, 2, &[]);
    let mut two = behind(&relay, 2, 2, &[]);
    one.up(2).await;
    two.up(1).await;
    let port = port_of(&relay.address);
    relay.handle.shutdown().await;
    for (node, peer) in [(&mut one, 2), (&mut two, 1)] {
        let (mut link, mut reservation) = (true, true);
        while link || reservation {
            match node.next().await {
                Event::Down { .. } => link = false,
                Event::RelayDown { relay, .. } => {
                    assert_eq!(relay, identity(RELAY).peer_id());
                    reservation = false;
                }
                _ => {}
            }
        }
        assert_eq!(node.handle.route(index(peer)), None);
    }
    let _again = Relay::start(&[1, 2], with_port(Over::Tcp, port)).await;
    reserved(&mut one).await;
    assert_eq!((one.up_by(2).await, two.up_by(1).await), (Route::Relayed, Route::Relayed));
    talk(&mut one, &mut two).await;
}

#[tokio::test]
async fn a_relay_that_falls_silent_is_given_up_though_nobody_closed_it() {
    let relay = Relay::start(&[1, 2], Over::Tcp.any_port()).await;
    let line = Proxy::to(&relay.address).await;
    let limits = Limits { silence_ms_max: 2_000, ..config(1, 2).limits };
    let relays = vec![line.address.clone().with(Protocol::P2p(relay.handle.id()))];
    let mut one = Node::start(Config { relays, limits, ..config(1, 2) });
    let mut two = behind(&relay, 2, 2, &[]);
    one.up(2).await;
    two.up(1).await;
    line.freeze();
    let (mut link, mut reservation) = (true, true);
    while link || reservation {
        match one.next().await {
            Event::Down { .. } => link = false,
            Event::RelayDown { .. } => reservation = false,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_second_relay_stands_in_for_the_first() {
    let first = Relay::start(&[1, 2], Over::Tcp.any_port()).await;
    let operators = vec![identity(1).public_key(), identity(2).public_key()];
    let listen = vec![Over::Tcp.any_port()];
    let (_second, mut events) =
        relay::start(relay::Config { identity: identity(RELAY + 1), operators, listen }).unwrap();
    let Some(RelayEvent::Listening(second)) = events.next().await else { panic!("it listens first") };
    let relays = vec![first.address.clone(), second];
    let mut one = Node::start(Config { relays: relays.clone(), ..config(1, 2) });
    let mut two = Node::start(Config { relays, ..config(2, 2) });
    for node in [&mut one, &mut two] {
        let (mut up, mut reservations) = (false, 0);
        while !up || reservations < 2 {
            match node.next().await {
                Event::Up { .. } => up = true,
                Event::RelayUp { .. } => reservations += 1,
                _ => {}
            }
        }
    }
    first.handle.shutdown().await;
    // Whichever relay carried the link: there is one again, or still.
    eventually("linked", || one.handle.is_up(index(2)) && two.handle.is_up(index(1))).await;
}

#[tokio::test]
async fn a_relay_refuses_whom_it_is_not_told_to_serve() {
    // Operator 3 belongs to the cluster, but the relay was not told.
    let mut relay = Relay::start(&[1, 2], Over::Tcp.any_port()).await;
    let mut one = behind(&relay, 1, 3, &[]);
    reserved(&mut one).await;
    let mut stranger = behind(&relay, 3, 3, &[]);
    let seen = relay.until(|event| match event {
        RelayEvent::Stranger { id, .. } => Some(id),
        RelayEvent::Reserved { operator } => {
            assert_eq!(operator, identity(1).peer_id());
            None
        }
        _ => None,
    });
    assert_eq!(seen.await, identity(3).peer_id());
    let counts = relay.handle.counts();
    assert!(counts.strangers >= 1 && counts.reservations == 1 && counts.circuits_opened == 0, "{counts:?}");
    let told = stranger.until(|event| match event {
        Event::RelayUnreachable { reason, .. } => Some(reason),
        Event::RelayUp { .. } => panic!("it was taken"),
        _ => None,
    });
    let told = told.await;
    assert!(told.contains("is it told to serve this node's key?"), "{told}");
    assert!(!stranger.handle.is_up(index(1)));
    assert_eq!(stranger.handle.listening(), Vec::<Multiaddr>::new());
}

#[tokio::test]
async fn a_key_has_three_reservations_and_no_more() {
    let mut relay = Relay::start(&[50], Over::Tcp.any_port()).await;
    for no in 1..=4 {
        let mut node = speaker(keypair(50));
        node.listen_on(relay.address.clone().with(Protocol::P2pCircuit)).unwrap();
        tokio::spawn(keep_running(node));
        let taken = relay.until(|event| match event {
            RelayEvent::Reserved { .. } => Some(true),
            RelayEvent::ReservationRefused { .. } => Some(false),
            _ => None,
        });
        assert_eq!(taken.await, no <= 3, "reservation {no}");
    }
    let counts = relay.handle.counts();
    assert_eq!((counts.reservations, counts.reservations_refused), (3, 1));
}

#[tokio::test]
async fn another_relay_at_the_address_is_told_and_not_used() {
    let relay = Relay::start(&[1, 2], Over::Tcp.any_port()).await;
    let port = port_of(&relay.address);
    let wrong = with_port(Over::Tcp, port).with(Protocol::P2p(identity(RELAY + 1).peer_id()));
    let mut one = Node::start(Config { relays: vec![wrong], ..config(1, 2) });
    let reason = one.until(|event| match event {
        Event::RelayUnreachable { relay, reason } => Some((relay, reason)),
        Event::RelayUp { .. } => panic!("who is this?"),
        _ => None,
    });
    let (id, reason) = reason.await;
    assert_eq!(id, identity(RELAY + 1).peer_id());
    assert!(reason.contains(&identity(RELAY).peer_id().to_string()), "{reason}");
}

/// A key in the hands of whoever it is.
fn keypair(no: u8) -> identity::Keypair {
    let key = secp256k1::SecretKey::try_from_bytes([no; 32]).unwrap();
    identity::Keypair::from(secp256k1::Keypair::from(key))
}

/// Somebody whom the relay serves, since it serves other clusters too, but who is no operator of this one.
#[tokio::test]
async fn a_stranger_through_a_relay_is_refused_by_the_node() {
    let mut relay = Relay::start(&[1, 2, 50], Over::Tcp.any_port()).await;
    let mut one = behind(&relay, 1, 2, &[]);
    let mut two = behind(&relay, 2, 2, &[]);
    one.up(2).await;
    two.up(1).await;
    let mut stranger = speaker(keypair(50));
    let id = *stranger.local_peer_id();
    let victim = one.handle.peer_id(index(2)).unwrap();
    let circuit = relay.address.clone().with(Protocol::P2pCircuit).with(Protocol::P2p(victim));
    stranger.dial(circuit).unwrap();
    let knocking = async {
        // The end of it: refused in the handshake's last step, or the connection closed without a word.
        loop {
            match stranger.select_next_some().await {
                SwarmEvent::OutgoingConnectionError { peer_id: Some(to), .. } if to == victim => break,
                SwarmEvent::ConnectionClosed { peer_id: to, .. } if to == victim => break,
                _ => {}
            }
        }
    };
    let seen = two.until(|event| match event {
        Event::Stranger { id, .. } => Some(id),
        Event::Down { reason, .. } => panic!("disturbed: {reason}"),
        _ => None,
    });
    let ((), seen) = tokio::join!(knocking, seen);
    assert_eq!(seen, id);
    let opened = relay.until(|event| match event {
        RelayEvent::CircuitOpened { from, to } if from == id => Some(to),
        _ => None,
    });
    assert_eq!(opened.await, victim, "the relay let it through");
    assert_eq!((two.handle.strangers(), one.handle.strangers()), (1, 0));
    one.send(2, "still here");
    assert_eq!(two.frame(1).await, "still here");
}

#[tokio::test]
async fn a_relayed_link_becomes_a_direct_one_where_a_hole_can_be_punched() {
    let relay = Relay::start(&[1, 2], Over::Tcp.any_port()).await;
    // Both listen, and neither knows where the other does.
    let mut one = behind(&relay, 1, 2, &[Over::Tcp]);
    let mut two = behind(&relay, 2, 2, &[Over::Tcp]);
    for (node, peer) in [(&mut one, 2), (&mut two, 1)] {
        while node.up_by(peer).await != Route::Direct {}
    }
    talk(&mut one, &mut two).await;
    assert_eq!(one.handle.route(index(2)), Some(Route::Direct));
    eventually("the circuit is closed", || relay.handle.counts().circuits == 0).await;
    assert!(relay.handle.counts().circuits_opened >= 1, "it was the circuit that made it possible");
    // A relay that goes takes nothing with it.
    relay.handle.shutdown().await;
    talk(&mut one, &mut two).await;
}

#[tokio::test]
async fn an_address_that_works_later_takes_the_place_of_the_relay() {
    // What the relay sees of a node over QUIC says nothing of its TCP port: no hole can be punched.
    let relay = Relay::start(&[1, 2], Over::Quic.any_port()).await;
    let mut one = behind(&relay, 1, 2, &[]);
    let mut two = behind(&relay, 2, 2, &[Over::Tcp]);
    let address = two.address().await;
    assert_eq!((one.up_by(2).await, two.up_by(1).await), (Route::Relayed, Route::Relayed));
    one.handle.add_address(index(2), address).unwrap();
    assert_eq!((one.up_by(2).await, two.up_by(1).await), (Route::Direct, Route::Direct));
    talk(&mut one, &mut two).await;
}

#[tokio::test]
async fn a_peer_whose_address_does_not_work_is_reached_through_the_relay() {
    let relay = Relay::start(&[1, 2], Over::Tcp.any_port()).await;
    let mut spec = Config { relays: vec![relay.address.clone()], ..config(1, 2) };
    spec.peers[1].addresses = vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
    let mut one = Node::start(spec);
    let mut two = behind(&relay, 2, 2, &[]);
    assert_eq!((one.up_by(2).await, two.up_by(1).await), (Route::Relayed, Route::Relayed));
    talk(&mut one, &mut two).await;
}
