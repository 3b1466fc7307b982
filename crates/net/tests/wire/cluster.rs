//! Nodes for tests.

use bytes::Bytes;
use net::{Config, Event, Events, Handle, Identity, Limits, Multiaddr, PeerSpec, Protocol, Route};
use std::time::Duration;
use types::{Root, ShareIndex};
use zeroize::Zeroizing;

/// Turns a hang into a failure. Far above anything that a loaded machine needs.
const HANG: Duration = Duration::from_secs(180);

/// Which transport a test runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Quic,
}

impl Over {
    pub(crate) fn any_port(self) -> Multiaddr {
        let text = match self {
            Self::Tcp => "/ip4/127.0.0.1/tcp/0",
            Self::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        };
        text.parse().unwrap()
    }
}

pub(crate) fn index(no: u8) -> ShareIndex {
    ShareIndex::new(no).unwrap()
}

/// The key of operator `no`, from 1.
pub(crate) fn identity(no: u8) -> Identity {
    Identity::from_secret(Zeroizing::new([no; 32])).unwrap()
}

/// A cluster's wire.
pub(crate) fn protocol(scope: u8) -> Protocol {
    Protocol::new("node", 1, Root([scope; 32])).unwrap()
}

/// Operator `me` of `n`, who knows nobody's address and listens nowhere.
pub(crate) fn config(me: u8, n: u8) -> Config {
    let spec = |no| PeerSpec { public_key: identity(no).public_key(), addresses: Vec::new() };
    Config {
        identity: identity(me),
        peers: (1..=n).map(spec).collect(),
        me: index(me),
        listen: Vec::new(),
        relays: Vec::new(),
        protocol: protocol(7),
        limits: Limits { redial_ms_max: 500, ..Limits::default() },
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) me: u8,
    pub(crate) handle: Handle,
    pub(crate) events: Events,
}

impl Node {
    pub(crate) fn start(config: Config) -> Self {
        let me = config.me.get();
        let (handle, events) = net::start(config).unwrap();
        Self { me, handle, events }
    }

    /// Operator `me` of `n`, listening on a port that the system chose. Returns the port's address, too.
    pub(crate) async fn listening(me: u8, n: u8, over: Over) -> (Self, Multiaddr) {
        let mut node = Self::start(Config { listen: vec![over.any_port()], ..config(me, n) });
        let address = node.address().await;
        (node, address)
    }

    /// The first address this node listens on.
    pub(crate) async fn address(&mut self) -> Multiaddr {
        self.until(|event| match event {
            Event::Listening(address) => Some(address),
            _ => None,
        })
        .await
    }

    pub(crate) async fn next(&mut self) -> Event {
        let event = tokio::time::timeout(HANG, self.events.next()).await;
        event.unwrap_or_else(|_| panic!("node {} hangs", self.me)).expect("the wire runs")
    }

    /// Takes events until one is the wanted.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.next().await) {
                return found;
            }
        }
    }

    pub(crate) async fn up(&mut self, peer: u8) {
        self.up_by(peer).await;
    }

    /// Waits for the link of a peer, and tells how it travels.
    pub(crate) async fn up_by(&mut self, wanted: u8) -> Route {
        self.until(|event| match event {
            Event::Up { peer, route } if peer == index(wanted) => Some(route),
            _ => None,
        })
        .await
    }

    pub(crate) async fn down(&mut self, wanted: u8) -> net::DownReason {
        self.until(|event| match event {
            Event::Down { peer, reason } if peer == index(wanted) => Some(reason),
            _ => None,
        })
        .await
    }

    /// The next frame of a peer; events of others are passed over, a fall of its link is not.
    pub(crate) async fn frame(&mut self, wanted: u8) -> Bytes {
        self.until(|event| match event {
            Event::Frame { peer, frame } if peer == index(wanted) => Some(frame),
            Event::Down { peer, reason } if peer == index(wanted) => panic!("link fell: {reason}"),
            _ => None,
        })
        .await
    }

    /// The next bulk frame of a peer, as [`Node::frame`].
    pub(crate) async fn bulk(&mut self, wanted: u8) -> Bytes {
        self.until(|event| match event {
            Event::Bulk { peer, frame } if peer == index(wanted) => Some(frame),
            Event::Down { peer, reason } if peer == index(wanted) => panic!("link fell: {reason}"),
            _ => None,
        })
        .await
    }

    pub(crate) fn send(&self, peer: u8, frame: impl Into<Bytes>) {
        self.handle.send(index(peer), frame.into()).unwrap();
    }

    pub(crate) fn streams(&self, peer: u8) -> u64 {
        self.handle.counts(index(peer)).streams
    }
}

/// `n` nodes that all listen and all dial each other.
pub(crate) async fn mesh(n: u8, over: Over) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut addresses = Vec::new();
    for me in 1..=n {
        let (node, address) = Node::listening(me, n, over).await;
        nodes.push(node);
        addresses.push(address);
    }
    for node in &nodes {
        for peer in (1..=n).filter(|peer| *peer != node.me) {
            node.handle.add_address(index(peer), addresses[usize::from(peer) - 1].clone()).unwrap();
        }
    }
    for node in &mut nodes {
        let mut missing: Vec<u8> = (1..=n).filter(|peer| *peer != node.me).collect();
        while !missing.is_empty() {
            match node.next().await {
                Event::Up { peer, .. } => missing.retain(|other| *other != peer.get()),
                Event::Down { peer, reason } => panic!("{peer} flaps: {reason}"),
                _ => {}
            }
        }
    }
    nodes
}

/// Two nodes that both listen and both dial.
pub(crate) async fn pair(over: Over) -> (Node, Node) {
    let mut nodes = mesh(2, over).await;
    let second = nodes.pop().unwrap();
    (nodes.pop().unwrap(), second)
}

/// Waits for something that no event tells of, as long as a hang takes.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
