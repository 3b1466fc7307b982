//! The libp2p behaviour of the wire: lets in the cluster's peers only, and opens one stream on a connection.
//!
//! Of two operators the one with the lower position leads: it opens the stream, the other takes it. So two
//! connections that cross are told apart by one side alone, and a connection carries one stream, both ways.

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
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use thiserror::Error;
use types::ShareIndex;

/// Why a connection is refused: its other end is no operator of the cluster.
#[derive(Debug, Error)]
#[error("{0} is no operator of this cluster")]
pub(crate) struct NotAnOperator(pub(crate) PeerId);

/// What happened to the stream of a connection.
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
    pub(crate) opened: Opened,
}

/// See the module.
pub(crate) struct Behaviour {
    me: ShareIndex,
    peers: BTreeMap<PeerId, ShareIndex>,
    protocol: StreamProtocol,
    events: VecDeque<WireEvent>,
}

impl Behaviour {
    pub(crate) fn new(me: ShareIndex, peers: BTreeMap<PeerId, ShareIndex>, protocol: StreamProtocol) -> Self {
        Self { me, peers, protocol, events: VecDeque::new() }
    }

    fn admit(&self, peer: PeerId) -> Result<Handler, ConnectionDenied> {
        let Some(index) = self.peers.get(&peer) else {
            return Err(ConnectionDenied::new(NotAnOperator(peer)));
        };
        let role = if self.me < *index { Role::Ask } else { Role::Offer };
        Ok(Handler { role, protocol: self.protocol.clone(), report: None })
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
        self.admit(peer)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        opened: THandlerOutEvent<Self>,
    ) {
        // Only admitted peers have handlers. A handler reports once, so the queue is as long as the connections.
        if let Some(peer) = self.peers.get(&peer).copied() {
            self.events.push_back(WireEvent { peer, connection, opened });
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<WireEvent, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => Poll::Pending,
        }
    }
}

/// Where a connection's end stands.
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
    role: Role,
    protocol: StreamProtocol,
    report: Option<Opened>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Opened;
    type InboundProtocol = Named;
    type OutboundProtocol = Named;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Named> {
        let offered = (self.role == Role::Offer).then(|| self.protocol.clone());
        SubstreamProtocol::new(Named(offered), ())
    }

    /// The hub decides when a connection ends.
    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Named, (), Opened>> {
        if let Some(opened) = self.report.take() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(opened));
        }
        if self.role == Role::Ask {
            self.role = Role::Done;
            let protocol = SubstreamProtocol::new(Named(Some(self.protocol.clone())), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Named, Named>) {
        match event {
            // Two streams may have been negotiated side by side; the first is the one.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. })
                if self.role == Role::Offer =>
            {
                self.role = Role::Done;
                self.report = Some(Opened::Stream(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream, ..
            }) => {
                self.report = Some(Opened::Stream(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.report = Some(match error {
                    StreamUpgradeError::NegotiationFailed => Opened::OtherProtocol,
                    StreamUpgradeError::Timeout => Opened::Failed("timed out".to_owned()),
                    StreamUpgradeError::Io(e) => Opened::Failed(e.to_string()),
                    StreamUpgradeError::Apply(never) => match never {},
                });
            }
            // The enum is libp2p's and open; nothing else in it concerns this wire.
            _ => {}
        }
    }
}

/// Negotiates the wire's name, or none, and hands the raw stream over.
#[derive(Clone, Debug)]
pub(crate) struct Named(Option<StreamProtocol>);

impl UpgradeInfo for Named {
    type Info = StreamProtocol;
    type InfoIter = std::option::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Named {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

impl OutboundUpgrade<Stream> for Named {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
