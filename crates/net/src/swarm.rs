//! The libp2p swarm: TCP with noise and yamux, QUIC, the wire's behaviour, pings, and limits.

use crate::config::{Config, Limits, StartError};
use crate::wire;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, ping, quic, tcp, yamux};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, TcpListener};
use std::num::NonZeroU8;
use std::time::Duration;
use types::ShareIndex;

/// Connections of one peer. Two that cross are usual; the rest are dead ones that are not closed yet.
const CONNECTIONS_PER_PEER_MAX: u32 = 8;
/// Handshakes of whoever it is at one time. Strangers can hold these; we can still dial our peers.
const HANDSHAKES_MAX: u32 = 64;
/// Longest handshake; a stranger who says nothing holds one so long.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Streams in negotiation on one connection: one of the wire, one ping each way, and some to spare.
const NEGOTIATING_MAX: usize = 8;
/// Streams of one yamux connection. The wire needs three. What this number really bounds is memory: yamux lets
/// the windows of a connection's streams grow up to 1 GiB together, less 256 KiB for each stream allowed, and the
/// limit itself is out of reach. 4096 less 64 leaves them 16 MiB.
const YAMUX_STREAMS_MAX: usize = 4096 - 64;
/// Streams of one QUIC connection: as above, with room to spare.
const QUIC_STREAMS_MAX: u32 = 16;
/// All addresses of a peer are dialed at once; the first that answers is used.
const DIALS_AT_ONCE: NonZeroU8 = NonZeroU8::MAX;

/// All behaviours of a node.
#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "NetworkEvent")]
pub(crate) struct Network {
    limits: connection_limits::Behaviour,
    wire: wire::Behaviour,
    ping: ping::Behaviour,
}

/// All events of a node's behaviours.
pub(crate) enum NetworkEvent {
    Wire(wire::WireEvent),
    Ping(ping::Event),
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

impl From<Infallible> for NetworkEvent {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Makes the swarm and listens. `peers`: all operators but this one.
pub(crate) fn build(
    config: &Config,
    peers: BTreeMap<PeerId, ShareIndex>,
) -> Result<Swarm<Network>, StartError> {
    let transport = |e: &dyn std::error::Error| StartError::Transport(e.to_string());
    let wire = wire::Behaviour::new(config.me, peers, config.protocol.0.clone());
    let network = Network { limits: limits(), wire, ping: pings(&config.limits) };
    let mut swarm = SwarmBuilder::with_existing_identity(config.identity.keypair())
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux_config)
        .map_err(|e| transport(&e))?
        .with_quic_config(quic_config)
        .with_dns()
        .map_err(|e| transport(&e))?
        .with_behaviour(|_| network)
        .map_err(|e| transport(&e))?
        .with_swarm_config(|swarm| {
            swarm
                .with_dial_concurrency_factor(DIALS_AT_ONCE)
                .with_max_negotiating_inbound_streams(NEGOTIATING_MAX)
        })
        .with_connection_timeout(HANDSHAKE_MAX)
        .build();
    for address in &config.listen {
        let refused = |reason: String| StartError::Listen { address: address.clone(), reason };
        check_port(address).map_err(|e| refused(e.to_string()))?;
        swarm.listen_on(address.clone()).map_err(|e| refused(e.to_string()))?;
    }
    Ok(swarm)
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

fn limits() -> connection_limits::Behaviour {
    connection_limits::Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(Some(HANDSHAKES_MAX))
            .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX)),
    )
}

/// Four pings within the silence that is borne; the hub, not the ping, decides who is dead.
fn pings(limits: &Limits) -> ping::Behaviour {
    let silence = Duration::from_millis(limits.silence_ms_max);
    ping::Behaviour::new(ping::Config::new().with_interval(silence / 4).with_timeout(silence))
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(YAMUX_STREAMS_MAX);
    config
}

fn quic_config(mut config: quic::Config) -> quic::Config {
    config.max_concurrent_stream_limit = QUIC_STREAMS_MAX;
    config
}
