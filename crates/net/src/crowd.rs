//! How many may stand at the door: handshakes that others have begun and not ended.
//!
//! Whoever connects is a stranger until the handshake has proved its key, and a stranger may say nothing for as long as a
//! handshake may take. So that some of them do not keep out all others, each address has a part of the places only; and
//! once half of all are taken, each has one. A connection cannot be closed before its handshake ends, or the time for
//! it; so nobody's place is given to another.
//!
//! Places of TCP and of QUIC are apart: anybody can write another's address on a datagram.

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::behaviour::ListenFailure;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};

/// Handshakes at one time over one transport. Each costs a socket and some kilobytes.
const HANDSHAKES_MAX: usize = 256;
/// With so many each address may have one more only if it has none.
const CROWD: usize = HANDSHAKES_MAX / 2;
/// Handshakes at one time of one address: all 22 operators of the largest cluster behind one router, and some again.
const HANDSHAKES_PER_ORIGIN_MAX: usize = 32;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    /// An IPv4 address, or the network of an IPv6 address: its first 64 bits, which are one line. None for a circuit of
    /// a relay, which knocks under the relay's name.
    ip: Option<IpAddr>,
    datagrams: bool,
}

impl Origin {
    fn of(address: &Multiaddr) -> Self {
        let ip = address.iter().find_map(|part| match part {
            Part::Ip4(ip) => Some(ip.into()),
            Part::Ip6(ip) => Some(line_of(ip)),
            _ => None,
        });
        let relayed = address.iter().any(|part| part == Part::P2pCircuit);
        let datagrams = address.iter().any(|part| matches!(part, Part::Udp(_)));
        Self { ip: ip.filter(|_| !relayed), datagrams }
    }
}

fn line_of(ip: Ipv6Addr) -> IpAddr {
    ip.to_ipv4_mapped().map_or_else(|| Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(), IpAddr::from)
}

/// A connection was turned away: too many handshakes have begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{of_all} handshakes have begun, {of_origin} of them at this address: it may have {max}")]
struct Crowded {
    of_all: usize,
    of_origin: usize,
    max: usize,
}

/// Counts handshakes by where they come from.
#[derive(Debug, Default)]
pub(crate) struct Behaviour(BTreeMap<ConnectionId, Origin>);

impl Behaviour {
    fn admit(&mut self, id: ConnectionId, origin: Origin) -> Result<(), Crowded> {
        let same = |other: &&Origin| other.datagrams == origin.datagrams;
        let of_all = self.0.values().filter(same).count();
        let of_origin = self.0.values().filter(|other| **other == origin).count();
        let max = match of_all {
            0..CROWD => HANDSHAKES_PER_ORIGIN_MAX,
            CROWD..HANDSHAKES_MAX => 1,
            HANDSHAKES_MAX.. => 0,
        };
        if of_origin >= max {
            return Err(Crowded { of_all, of_origin, max });
        }
        self.0.insert(id, origin);
        Ok(())
    }

    fn leave(&mut self, id: ConnectionId) {
        self.0.remove(&id);
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.admit(id, Origin::of(remote)).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        _peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.leave(id);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _id: ConnectionId,
        _peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) = event {
            self.leave(connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, never: THandlerOutEvent<Self>) {
        match never {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Origin {
        Origin::of(&address.parse().unwrap())
    }

    fn tcp(number: usize) -> Origin {
        of(&format!("/ip4/10.0.{}.{}/tcp/1", number / 256, number % 256))
    }

    /// How many of these are let in.
    fn admitted(door: &mut Behaviour, origins: impl IntoIterator<Item = Origin>) -> usize {
        let first = door.0.last_key_value().map_or(0, |(id, _)| id.to_string().parse::<usize>().unwrap() + 1);
        let ids = (first..).map(ConnectionId::new_unchecked);
        ids.zip(origins).filter(|(id, origin)| door.admit(*id, *origin).is_ok()).count()
    }

    #[test]
    fn one_address_holds_a_part_of_the_places_and_many_leave_one_for_each_that_comes() {
        let mut door = Behaviour::default();
        assert_eq!(admitted(&mut door, vec![tcp(1); 1_000]), HANDSHAKES_PER_ORIGIN_MAX);
        assert_eq!(admitted(&mut door, (2..=4).flat_map(|number| vec![tcp(number); 1_000])), 3 * 32);
        // Half are taken: an address that has none gets one.
        assert_eq!(admitted(&mut door, vec![tcp(4); 10]), 0);
        assert_eq!(admitted(&mut door, (5..100).flat_map(|number| [tcp(number); 10])), 95);
        assert_eq!(admitted(&mut door, (100..1_000).map(tcp)), HANDSHAKES_MAX - 4 * 32 - 95);
        // None of them keeps out who comes in another way.
        let quic = of("/ip4/10.0.0.1/udp/1/quic-v1");
        assert_eq!(admitted(&mut door, vec![quic; 1_000]), HANDSHAKES_PER_ORIGIN_MAX);
    }

    #[test]
    fn who_has_shaken_hands_or_failed_to_stands_there_no_more() {
        let mut door = Behaviour::default();
        assert_eq!(admitted(&mut door, vec![tcp(1); 40]), 32);
        let address = Multiaddr::empty();
        let [first, second] = [0, 1].map(ConnectionId::new_unchecked);
        door.handle_established_inbound_connection(first, PeerId::random(), &address, &address).unwrap();
        door.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
            local_addr: &address,
            send_back_addr: &address,
            error: &libp2p::swarm::ListenError::Aborted,
            connection_id: second,
            peer_id: None,
        }));
        assert_eq!(admitted(&mut door, vec![tcp(1); 40]), 2);
    }

    #[test]
    fn an_ipv6_network_is_one_origin_and_so_are_all_circuits() {
        assert_eq!(of("/ip6/2001:db8:1:2::1/tcp/1"), of("/ip6/2001:db8:1:2:ffff::2/tcp/9"));
        assert_ne!(of("/ip6/2001:db8:1:2::1/tcp/1"), of("/ip6/2001:db8:1:3::1/tcp/1"));
        assert_eq!(of("/ip6/::ffff:10.0.0.1/tcp/1"), tcp(1));
        assert_ne!(of("/ip4/10.0.0.1/udp/1/quic-v1"), tcp(1));
        assert_eq!(of("/ip4/10.0.0.1/tcp/1/p2p-circuit"), of("/ip4/10.0.0.2/tcp/1/p2p-circuit"));
    }
}
