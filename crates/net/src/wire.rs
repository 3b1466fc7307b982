//! The libp2p behaviour of the wire: lets in the cluster's peers only, and opens the streams of a connection.
//!
//! Of two operators the one with the lower position leads: it opens the streams, the other takes them. So two
//! connections that cross are told apart by one side alone, and a connection carries one stream a lane, both ways.
//!
//! It is the same gate for connections that came through a relay: what is asked is whose key the handshake proved, and
//! over a relay that handshake is with the operator at the far end. To the relays themselves this node may connect;
//! they may not connect to it, and neither offer nor get a stream of this wire.

use crate::config::Protocol;
use crate::lane::{Lane, Lanes};
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
    StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use thiserror::Error;
use types::ShareIndex;

/// Why a connection is refused: its other end is no operator of the cluster.
#[derive(Debug, Error)]
#[error("{0} is no operator of this cluster")]
pub(crate) struct NotAnOperator(pub(crate) PeerId);

/// What happened to a stream of a connection.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It is open.
    Stream(Stream),
    /// The peer speaks no wire of this name.
    OtherProtocol,
    /// It could not be opened.
    Failed(String),
}

/// Something happened on a connection.
#[derive(Debug)]
pub(crate) struct WireEvent {
    pub(crate) peer: ShareIndex,
    pub(crate) connection: ConnectionId,
    pub(crate) lane: Lane,
    pub(crate) opened: Opened,
}

/// See the module.
pub(crate) struct Behaviour {
    me: ShareIndex,
    peers: BTreeMap<PeerId, ShareIndex>,
    relays: BTreeSet<PeerId>,
    names: Lanes<StreamProtocol>,
    events: VecDeque<WireEvent>,
}

impl Behaviour {
    pub(crate) fn new(
        me: ShareIndex,
        peers: BTreeMap<PeerId, ShareIndex>,
        relays: BTreeSet<PeerId>,
        protocol: &Protocol,
    ) -> Self {
        Self { me, peers, relays, names: protocol.lanes(), events: VecDeque::new() }
    }

    fn admit(&self, peer: PeerId) -> Result<Handler, ConnectionDenied> {
        let Some(index) = self.peers.get(&peer) else {
            return Err(ConnectionDenied::new(NotAnOperator(peer)));
        };
        let role = if self.me < *index { Role::Ask } else { Role::Offer };
        Ok(self.handler(role))
    }

    fn handler(&self, role: Role) -> Handler {
        Handler { roles: Lanes::each(|_| role), names: self.names.clone(), reports: VecDeque::new() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = WireEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if self.relays.contains(&peer) {
            return Ok(self.handler(Role::Done));
        }
        self.admit(peer)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        (lane, opened): THandlerOutEvent<Self>,
    ) {
        // Only operators' handlers report, once a lane, so the queue is as long as the connections are many.
        if let Some(peer) = self.peers.get(&peer).copied() {
            self.events.push_back(WireEvent { peer, connection, lane, opened });
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<WireEvent, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => Poll::Pending,
        }
    }
}

/// Where a lane of a connection's end stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// We lead: ask for the stream at once.
    Ask,
    /// The peer leads: take the stream it opens.
    Offer,
    /// Nothing more to do: the stream is asked for, or taken. A second one is dropped.
    Done,
}

/// One connection's end.
pub(crate) struct Handler {
    roles: Lanes<Role>,
    names: Lanes<StreamProtocol>,
    reports: VecDeque<(Lane, Opened)>,
}

impl Handler {
    fn with_role(&self, role: Role) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| *self.roles.of(*lane) == role)
    }

    fn name(&self, lane: Lane) -> Name {
        Name { lane, protocol: self.names.of(lane).clone() }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = (Lane, Opened);
    type InboundProtocol = Named;
    type OutboundProtocol = Named;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Lane;

    fn listen_protocol(&self) -> SubstreamProtocol<Named> {
        let offered = Lane::ALL.into_iter().filter(|lane| *self.roles.of(*lane) == Role::Offer);
        SubstreamProtocol::new(Named(offered.map(|lane| self.name(lane)).collect()), ())
    }

    /// The hub decides when a connection ends.
    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Named, Lane, (Lane, Opened)>> {
        if let Some(report) = self.reports.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(report));
        }
        if let Some(lane) = self.with_role(Role::Ask) {
            *self.roles.of_mut(lane) = Role::Done;
            let protocol = SubstreamProtocol::new(Named(vec![self.name(lane)]), lane);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Named, Named, (), Lane>) {
        match event {
            // Two streams of a lane may have been negotiated side by side; the first is the one.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (lane, stream),
                ..
            }) if *self.roles.of(lane) == Role::Offer => {
                *self.roles.of_mut(lane) = Role::Done;
                self.reports.push_back((lane, Opened::Stream(stream)));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (lane, stream),
                ..
            }) => {
                self.reports.push_back((lane, Opened::Stream(stream)));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: lane, error }) => {
                let opened = match error {
                    StreamUpgradeError::NegotiationFailed => Opened::OtherProtocol,
                    StreamUpgradeError::Timeout => Opened::Failed("timed out".to_owned()),
                    StreamUpgradeError::Io(e) => Opened::Failed(e.to_string()),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                self.reports.push_back((lane, opened));
            }
            // The enum is libp2p's and open; nothing else in it concerns this wire.
            _ => {}
        }
    }
}

/// What a lane's stream is called.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    lane: Lane,
    protocol: StreamProtocol,
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.protocol.as_ref()
    }
}

/// Negotiates one of these names, and hands the raw stream over with its lane.
#[derive(Clone, Debug)]
pub(crate) struct Named(Vec<Name>);

impl UpgradeInfo for Named {
    type Info = Name;
    type InfoIter = std::vec::IntoIter<Name>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Named {
    type Output = (Lane, Stream);
    type Error = Infallible;
    type Future = Ready<Result<(Lane, Stream), Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: Name) -> Self::Future {
        ready(Ok((name.lane, stream)))
    }
}

impl OutboundUpgrade<Stream> for Named {
    type Output = (Lane, Stream);
    type Error = Infallible;
    type Future = Ready<Result<(Lane, Stream), Infallible>>;

    fn upgrade_outbound(self, stream: Stream, name: Name) -> Self::Future {
        ready(Ok((name.lane, stream)))
    }
}
