//! The libp2p swarm: TCP with noise and yamux, QUIC, the wire's behaviour, pings, and limits.

use crate::config::{Config, LISTEN_MAX, StartError};
use crate::{crowd, wire};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, dcutr, identify, noise, ping, quic, relay, tcp, yamux};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, TcpListener};
use std::num::NonZeroU8;
use std::time::Duration;
use types::ShareIndex;

/// Connections of one peer. Two that cross are usual; the rest are dead ones that are not closed yet.
const CONNECTIONS_PER_PEER_MAX: u32 = 8;
/// Longest handshake; a stranger who says nothing holds one so long.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Streams in negotiation on one connection: two of the wire, one ping each way, what identify and hole punching say,
/// and from a relay a circuit of each of 21 peers at the same moment.
pub(crate) const NEGOTIATING_MAX: usize = 32;
/// Streams of one yamux connection. The wire needs four, a relay's connection one for each circuit. What this number
/// really bounds is what may be on its way: yamux lets the windows of a connection's streams grow up to 1 GiB together,
/// less 256 KiB for each stream allowed, and the limit itself is out of reach. 4096 less 8 leaves them 2 MiB. That is
/// memory; it is also how much bulk can stand in the sockets before a frame that must not wait: 2 MiB are 80 ms of a
/// 200 Mbit/s line, and enough to fill such a line over 80 ms.
const YAMUX_STREAMS_MAX: usize = 4096 - 8;
/// Streams of one QUIC connection: as above, and at a relay's two crossing circuits to each of 21 peers.
const QUIC_STREAMS_MAX: u32 = 64;
/// What identify says that this is.
const IDENTIFY: &str = "/symbolon/1";
/// All addresses of a peer are dialed at once; the first that answers is used.
const DIALS_AT_ONCE: NonZeroU8 = NonZeroU8::MAX;

/// All behaviours of a node. The last three are there only if the node has relays.
#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "NetworkEvent")]
pub(crate) struct Network {
    crowd: crowd::Behaviour,
    limits: connection_limits::Behaviour,
    wire: wire::Behaviour,
    ping: ping::Behaviour,
    relay: Toggle<relay::client::Behaviour>,
    punch: Toggle<dcutr::Behaviour>,
    identify: Toggle<identify::Behaviour>,
}

/// All events of a node's behaviours.
pub(crate) enum NetworkEvent {
    Wire(wire::WireEvent),
    Ping(ping::Event),
    Relay(relay::client::Event),
    Punch(dcutr::Event),
    Identify(Box<identify::Event>),
}

impl From<wire::WireEvent> for NetworkEvent {
    fn from(event: wire::WireEvent) -> Self {
        Self::Wire(event)
    }
}

impl From<ping::Event> for NetworkEvent {
    fn from(event: ping::Event) -> Self {
        Self::Ping(event)
    }
}

impl From<relay::client::Event> for NetworkEvent {
    fn from(event: relay::client::Event) -> Self {
        Self::Relay(event)
    }
}

impl From<dcutr::Event> for NetworkEvent {
    fn from(event: dcutr::Event) -> Self {
        Self::Punch(event)
    }
}

impl From<identify::Event> for NetworkEvent {
    fn from(event: identify::Event) -> Self {
        Self::Identify(event.into())
    }
}

impl From<Infallible> for NetworkEvent {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Makes the swarm and listens. `peers`: all operators but this one.
pub(crate) fn build(
    config: &Config,
    peers: BTreeMap<PeerId, ShareIndex>,
    relays: BTreeSet<PeerId>,
) -> Result<Swarm<Network>, StartError> {
    let transport = |e: &dyn std::error::Error| StartError::Transport(e.to_string());
    let with_relays = !relays.is_empty();
    let wire = wire::Behaviour::new(config.me, peers, relays, &config.protocol);
    let ping = pings(Duration::from_millis(config.limits.silence_ms_max));
    let mut swarm = SwarmBuilder::with_existing_identity(config.identity.keypair())
        .with_tokio()
        .with_tcp(tcp_config(), noise::Config::new, yamux_config)
        .map_err(|e| transport(&e))?
        .with_quic_config(quic_config)
        .with_dns()
        .map_err(|e| transport(&e))?
        .with_relay_client(noise::Config::new, yamux_config)
        .map_err(|e| transport(&e))?
        .with_behaviour(|key, relay| Network {
            crowd: crowd::Behaviour::default(),
            limits: limits(),
            wire,
            ping,
            relay: with_relays.then_some(relay).into(),
            punch: with_relays.then(|| dcutr::Behaviour::new(key.public().to_peer_id())).into(),
            identify: with_relays.then(|| identities(key)).into(),
        })
        .map_err(|e| transport(&e))?
        .with_swarm_config(|swarm| {
            swarm
                .with_dial_concurrency_factor(DIALS_AT_ONCE)
                .with_max_negotiating_inbound_streams(NEGOTIATING_MAX)
        })
        .with_connection_timeout(HANDSHAKE_MAX)
        .build();
    listen(&mut swarm, &config.listen)?;
    Ok(swarm)
}

/// Listens on all of these addresses, none of which may be in use.
pub(crate) fn listen<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    addresses: &[Multiaddr],
) -> Result<(), StartError> {
    if addresses.len() > LISTEN_MAX {
        return Err(StartError::ListenMany { have: addresses.len() });
    }
    for address in addresses {
        let refused = |reason: String| StartError::Listen { address: address.clone(), reason };
        check_port(address).map_err(|e| refused(e.to_string()))?;
        swarm.listen_on(address.clone()).map_err(|e| refused(e.to_string()))?;
    }
    Ok(())
}

/// Whether nobody listens on a TCP port yet.
///
/// libp2p listens with `SO_REUSEPORT`, so two nodes of one user could share a port and each get half of the
/// connections. A listener of the standard library does without, so it is refused where another one is.
/// The wildcard of IPv6 is not tried: that listener would also want the port of IPv4.
fn check_port(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Part::Ip4(ip)) => IpAddr::V4(ip),
        Some(Part::Ip6(ip)) if !ip.is_unspecified() => IpAddr::V6(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Part::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

pub(crate) fn limits() -> connection_limits::Behaviour {
    connection_limits::Behaviour::new(
        ConnectionLimits::default().with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX)),
    )
}

/// Four pings within the silence that is borne; the hub, not the ping, decides who is dead.
pub(crate) fn pings(silence: Duration) -> ping::Behaviour {
    ping::Behaviour::new(ping::Config::new().with_interval(silence / 4).with_timeout(silence))
}

/// Says what the other side looks like from here, and nothing of where this node listens; remembers nobody's addresses.
pub(crate) fn identities(key: &Keypair) -> identify::Behaviour {
    let config = identify::Config::new(IDENTIFY.to_owned(), key.public());
    let config = config.with_agent_version(IDENTIFY.to_owned()).with_hide_listen_addrs(true);
    identify::Behaviour::new(config.with_cache_size(0))
}

pub(crate) fn tcp_config() -> tcp::Config {
    tcp::Config::new().nodelay(true)
}

pub(crate) fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(YAMUX_STREAMS_MAX);
    config
}

pub(crate) fn quic_config(mut config: quic::Config) -> quic::Config {
    config.max_concurrent_stream_limit = QUIC_STREAMS_MAX;
    config
}
