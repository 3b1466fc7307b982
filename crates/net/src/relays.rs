//! The relays that this node is reached through, and reaches through the peers it cannot reach itself.
//!
//! ```text
//! dial the relay -> it says what our address looks like from there -> reserve -> peers dial RELAY/p2p-circuit/p2p/ME
//!        ^----------------- wait, longer each time ------- connection or reservation lost <---/
//! ```
//!
//! The order matters to hole punching (DCUtR): it starts when a circuit opens, and then both sides must know already
//! what they look like from outside. A relay gets no stream of the wire; what it carries is encrypted between operators.

use crate::config::{AddressError, Config, StartError, check_address};
use crate::events::Event;
use crate::hub::{Hub, TICK, sentence};
use crate::peer::wait_ms;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, relay};
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;
use types::ShareIndex;

/// Relays that one node keeps a reservation at. Two stand in for each other; each is a connection and a dial more.
pub const RELAYS_MAX: usize = 4;

/// Why a relay is of no use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RelayError {
    /// Not the form of an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Whoever answers at an address without a name could call itself the relay.
    #[error("it must end with /p2p/ and the relay's id")]
    NoId,
    /// An operator's key, or our own: who would be the operator could not be told from who relays.
    #[error("{0} is an operator of this cluster; a relay has a key of its own")]
    Operator(PeerId),
    /// Given twice.
    #[error("{0} is given twice")]
    Twice(PeerId),
    /// Too many.
    #[error("more than {RELAYS_MAX} relays")]
    Many,
}

/// Checks the relays of a configuration and names them.
pub(crate) fn named(
    config: &Config,
    operators: &[(ShareIndex, PeerId)],
) -> Result<BTreeMap<PeerId, Relay>, StartError> {
    let mut relays = BTreeMap::new();
    for address in &config.relays {
        let id = id_of(address, operators, &relays)
            .map_err(|source| StartError::Relay { address: address.clone(), source })?;
        relays.insert(id, Relay::new(address.clone()));
    }
    Ok(relays)
}

fn id_of(
    address: &Multiaddr,
    operators: &[(ShareIndex, PeerId)],
    others: &BTreeMap<PeerId, Relay>,
) -> Result<PeerId, RelayError> {
    let id = check_address(address)?.ok_or(RelayError::NoId)?;
    if operators.iter().any(|(_, operator)| *operator == id) {
        return Err(RelayError::Operator(id));
    }
    if others.contains_key(&id) {
        return Err(RelayError::Twice(id));
    }
    if others.len() >= RELAYS_MAX { Err(RelayError::Many) } else { Ok(id) }
}

/// What the hub knows of a relay.
pub(crate) struct Relay {
    /// With its `/p2p/`.
    address: Multiaddr,
    /// Connections that are not condemned, and their ticks since a ping was answered.
    connections: BTreeMap<ConnectionId, u64>,
    dialing: Option<ConnectionId>,
    /// Whether it has said what we look like from there, or that it will not.
    asked: bool,
    /// The reservation, from the moment it is asked for.
    listener: Option<ListenerId>,
    reserved: bool,
    /// When to dial, or to ask for a reservation, again.
    again_at: Instant,
    /// Attempts since a reservation stood.
    attempts: u32,
}

impl Relay {
    fn new(address: Multiaddr) -> Self {
        Self {
            address,
            connections: BTreeMap::new(),
            dialing: None,
            asked: false,
            listener: None,
            reserved: false,
            again_at: Instant::now(),
            attempts: 0,
        }
    }

    fn circuit(&self) -> Multiaddr {
        self.address.clone().with(Part::P2pCircuit)
    }
}

impl Hub {
    /// The ways to a peer through the relays at which this node has a reservation: those are known to work.
    pub(crate) fn circuits_to(&self, id: PeerId) -> Vec<Multiaddr> {
        let standing = self.relays.values().filter(|relay| relay.reserved);
        standing.map(|relay| relay.circuit().with(Part::P2p(id))).collect()
    }

    /// Takes the events that are about a relay, and leaves the others.
    pub(crate) fn on_relay<T>(&mut self, event: SwarmEvent<T>) -> Option<SwarmEvent<T>> {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } if self.is_relay(peer_id) => {
                self.on_relay_connected(peer_id, connection_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } if self.is_relay(peer_id) => {
                self.on_relay_left(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(id), connection_id, error }
                if self.is_relay(id) =>
            {
                self.on_relay_not_reached(id, connection_id, sentence(&error));
            }
            SwarmEvent::ListenerClosed { listener_id, reason, addresses } => {
                let ours = self.relays.iter().find(|(_, relay)| relay.listener == Some(listener_id));
                let Some(id) = ours.map(|(id, _)| *id) else {
                    return Some(SwarmEvent::ListenerClosed { listener_id, reason, addresses });
                };
                self.shared.listening().retain(|known| !addresses.contains(known));
                let reason = reason.err().map_or_else(|| "it was dropped".to_owned(), |e| e.to_string());
                self.on_reservation_lost(id, reason);
            }
            other => return Some(other),
        }
        None
    }

    fn is_relay(&self, id: PeerId) -> bool {
        self.relays.contains_key(&id)
    }

    fn on_relay_connected(&mut self, id: PeerId, connection: ConnectionId) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        if relay.dialing == Some(connection) {
            relay.dialing = None;
        }
        relay.connections.insert(connection, 0);
    }

    fn on_relay_left(&mut self, id: PeerId, connection: ConnectionId) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        if relay.connections.remove(&connection).is_some() && relay.connections.is_empty() {
            relay.asked = false;
            // A reservation that stood, or is being asked for, ends with its listener, which tells why.
            if relay.listener.is_none() {
                self.relay_later(
                    id,
                    "it closed the connection; is it told to serve this node's key?".to_owned(),
                );
            }
        }
    }

    fn on_relay_not_reached(&mut self, id: PeerId, connection: ConnectionId, error: String) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        if relay.dialing == Some(connection) {
            relay.dialing = None;
            self.relay_later(id, error);
        }
    }

    /// A pong of a relay.
    pub(crate) fn on_relay_pong(&mut self, id: PeerId, connection: ConnectionId) {
        let silent = self.relays.get_mut(&id).and_then(|relay| relay.connections.get_mut(&connection));
        if let Some(silent_ticks) = silent {
            *silent_ticks = 0;
        }
    }

    /// The relay has said what we look like from there, or that it does not say such things.
    pub(crate) fn on_identify(&mut self, event: &identify::Event) {
        let id = match event {
            identify::Event::Received { peer_id, .. } | identify::Event::Error { peer_id, .. } => *peer_id,
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => return,
        };
        if let Some(relay) = self.relays.get_mut(&id)
            && !relay.asked
        {
            relay.asked = true;
            self.reserve(id);
        }
    }

    fn reserve(&mut self, id: PeerId) {
        let Some(relay) = self.relays.get_mut(&id).filter(|relay| relay.listener.is_none()) else { return };
        match self.swarm.listen_on(relay.circuit()) {
            Ok(listener) => relay.listener = Some(listener),
            Err(error) => self.relay_later(id, error.to_string()),
        }
    }

    pub(crate) fn on_relay_event(&mut self, event: &relay::client::Event) {
        match event {
            relay::client::Event::ReservationReqAccepted { relay_peer_id, .. } => {
                let Some(relay) = self.relays.get_mut(relay_peer_id) else { return };
                relay.attempts = 0;
                if !std::mem::replace(&mut relay.reserved, true) {
                    self.notice(Event::RelayUp { relay: *relay_peer_id });
                }
            }
            relay::client::Event::OutboundCircuitEstablished { .. }
            | relay::client::Event::InboundCircuitEstablished { .. } => {}
        }
    }

    fn on_reservation_lost(&mut self, id: PeerId, reason: String) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        relay.listener = None;
        if std::mem::replace(&mut relay.reserved, false) {
            self.notice(Event::RelayDown { relay: id, reason: reason.clone() });
        }
        self.relay_later(id, reason);
    }

    /// Waits before the next attempt, and tells of this one if it is the first, second, fourth... that failed in a row.
    fn relay_later(&mut self, id: PeerId, reason: String) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        relay.again_at = Instant::now() + Duration::from_millis(wait_ms(relay.attempts, &self.limits));
        relay.attempts = relay.attempts.saturating_add(1);
        if relay.attempts.is_power_of_two() {
            self.notice(Event::RelayUnreachable { relay: id, reason });
        }
    }

    /// Watches the relays for silence, dials those that are not connected, and asks for reservations that are missing.
    pub(crate) fn tick_relays(&mut self, now: Instant) {
        let limit_ticks = self.limits.silence_ms_max.div_ceil(TICK.as_millis() as u64);
        let ids: Vec<PeerId> = self.relays.keys().copied().collect();
        for id in ids {
            self.watch_relay(id, limit_ticks);
            let Some(relay) = self.relays.get_mut(&id).filter(|relay| relay.again_at <= now) else {
                continue;
            };
            if !relay.connections.is_empty() {
                if relay.asked {
                    self.reserve(id);
                }
            } else if relay.dialing.is_none() {
                self.dial_relay(id);
            }
        }
    }

    fn watch_relay(&mut self, id: PeerId, limit_ticks: u64) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        let mut condemned = Vec::new();
        for (connection, silent_ticks) in &mut relay.connections {
            *silent_ticks += 1;
            if *silent_ticks > limit_ticks {
                condemned.push(*connection);
            }
        }
        for connection in condemned {
            self.swarm.close_connection(connection);
            self.on_relay_left(id, connection);
        }
    }

    fn dial_relay(&mut self, id: PeerId) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        // From the port that we listen on, so that what the relay sees of us is where a peer can knock.
        let options = DialOpts::peer_id(id)
            .condition(PeerCondition::Always)
            .addresses(vec![relay.address.clone()])
            .build();
        let connection = options.connection_id();
        relay.dialing = Some(connection);
        if let Err(error) = self.swarm.dial(options) {
            self.on_relay_not_reached(id, connection, sentence(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Identity, PeerSpec, Protocol};
    use types::Root;
    use zeroize::Zeroizing;

    fn identity(byte: u8) -> Identity {
        Identity::from_secret(Zeroizing::new([byte; 32])).unwrap()
    }

    /// What is wrong with these relays of operator 1 of 2; the address of the one it is said of.
    fn judged(relays: Vec<String>) -> Result<usize, (String, RelayError)> {
        let spec = |byte| PeerSpec { public_key: identity(byte).public_key(), addresses: Vec::new() };
        let config = Config {
            identity: identity(1),
            peers: vec![spec(1), spec(2)],
            me: ShareIndex::new(1).unwrap(),
            listen: Vec::new(),
            relays: relays.iter().map(|text| text.parse().unwrap()).collect(),
            protocol: Protocol::new("node", 1, Root([1; 32])).unwrap(),
            limits: crate::Limits::default(),
        };
        let operators = config.check().unwrap();
        match named(&config, &operators) {
            Ok(relays) => Ok(relays.len()),
            Err(StartError::Relay { address, source }) => Err((address.to_string(), source)),
            Err(other) => panic!("{other}"),
        }
    }

    fn address(byte: u8) -> String {
        format!("/dns4/relay.example/tcp/3611/p2p/{}", identity(byte).peer_id())
    }

    #[test]
    fn relays_have_keys_of_their_own_and_come_once() {
        assert_eq!(judged(vec![address(8), address(9)]), Ok(2));
        let nameless = "/ip4/192.0.2.7/tcp/3611".to_owned();
        assert_eq!(judged(vec![nameless.clone()]), Err((nameless, RelayError::NoId)));
        for operator in [1, 2] {
            let id = identity(operator).peer_id();
            let refused = (address(operator), RelayError::Operator(id));
            assert_eq!(judged(vec![address(8), address(operator)]), Err(refused));
        }
        let twice = (address(8), RelayError::Twice(identity(8).peer_id()));
        assert_eq!(judged(vec![address(8), address(8)]), Err(twice));
        let many = judged((10..=14).map(address).collect());
        assert_eq!(many, Err((address(14), RelayError::Many)));
        let circuit = format!("{}/p2p-circuit", address(8));
        assert!(matches!(judged(vec![circuit]), Err((_, RelayError::Address(AddressError::Form(_))))));
    }
}
