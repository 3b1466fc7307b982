//! A villain without a key of the cluster: it speaks perfect libp2p.

use crate::cluster::{Node, Over, index, mesh, protocol};
use futures::StreamExt;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, StreamProtocol, Swarm, SwarmBuilder, identify, identity, noise, ping, relay, tcp, yamux,
};
use net::Event;
use tokio::task::JoinSet;

#[derive(NetworkBehaviour)]
pub(crate) struct Everything {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) stream: libp2p_stream::Behaviour,
    relay: relay::client::Behaviour,
}

/// A node that speaks whatever libp2p speaks, under the given key.
pub(crate) fn speaker(key: identity::Keypair) -> Swarm<Everything> {
    SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_quic()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| Everything {
            identify: identify::Behaviour::new(identify::Config::new("/stranger/1".into(), key.public())),
            ping: ping::Behaviour::default(),
            stream: libp2p_stream::Behaviour::new(),
            relay,
        })
        .unwrap()
        .build()
}

/// Dials, tries everything, and returns when it was thrown out.
async fn knock(stranger: &mut Swarm<Everything>, node: &Node, address: Multiaddr) {
    let id = node.handle.peer_id(index(1)).unwrap();
    let wire = StreamProtocol::try_from_owned(protocol(7).to_string()).unwrap();
    let mut attempts = JoinSet::new();
    stranger.dial(address).unwrap();
    loop {
        match stranger.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => {
                let (mut control, wire) = (stranger.behaviour().stream.new_control(), wire.clone());
                attempts.spawn(async move { control.open_stream(id, wire).await.is_ok() });
            }
            SwarmEvent::Behaviour(EverythingEvent::Identify(identify::Event::Received { .. })) => {
                panic!("a stranger was told who we are");
            }
            SwarmEvent::Behaviour(EverythingEvent::Ping(ping::Event { result: Ok(_), .. })) => {
                panic!("a stranger's ping was answered");
            }
            SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => break,
            _ => {}
        }
    }
    let opened = attempts.try_join_next().is_some_and(|opened| opened.unwrap());
    assert!(!opened, "a stranger got a stream");
}

async fn a_stranger_gets_nothing_and_disturbs_nobody(over: Over) {
    let mut nodes = mesh(2, over).await;
    let mut two = nodes.pop().unwrap();
    let mut one = nodes.pop().unwrap();
    let address = one.handle.listening()[0].clone();
    let mut stranger = speaker(identity::Keypair::generate_secp256k1());
    let id = *stranger.local_peer_id();
    for knocks in 1..=3 {
        knock(&mut stranger, &two, address.clone()).await;
        let seen = one
            .until(|event| match event {
                Event::Stranger { id, .. } => Some(id),
                Event::Down { reason, .. } => panic!("disturbed: {reason}"),
                _ => None,
            })
            .await;
        assert_eq!(seen, id);
        assert_eq!(one.handle.strangers(), knocks);
        one.send(2, "still here");
        assert_eq!(two.frame(1).await, "still here");
    }
    assert_eq!(one.handle.counts(index(2)).links, 1);
}

#[tokio::test]
async fn a_stranger_gets_nothing_and_disturbs_nobody_over_tcp() {
    a_stranger_gets_nothing_and_disturbs_nobody(Over::Tcp).await;
}

#[tokio::test]
async fn a_stranger_gets_nothing_and_disturbs_nobody_over_quic() {
    a_stranger_gets_nothing_and_disturbs_nobody(Over::Quic).await;
}
