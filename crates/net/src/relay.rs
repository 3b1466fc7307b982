//! A relay: carries encrypted bytes between operators that cannot reach each other (circuit relay v2).
//!
//! ```text
//!   operator 1 ==TCP or QUIC==> relay <==TCP or QUIC== operator 2       both dial the relay, nobody dials them
//!       \\________ noise, the wire ___________________//                what goes through: bytes of their own handshake
//! ```
//!
//! - **Who**: exactly the keys it is told. The handshake proves a key; any other is refused when the connection is
//!   established, before a stream is negotiated, and counted. Whether two of them belong to one cluster is theirs to
//!   say: each operator's node takes its own cluster's operators only ([`crate::start`]).
//! - **What it sees**: who is connected from where, who talks to whom, how much and when. Not a word of it.
//! - **What it holds**: its node key. No share, no lock, no journal.
//! - **What it costs**: everything below has a limit. A circuit costs two buffers of 8 KiB and the windows of two
//!   streams, 256 KiB each unless the line is long.

use crate::config::{self, Identity, IdentityError, peer_id};
use crate::crowd;
use crate::handle::count;
use crate::swarm::{self, NEGOTIATING_MAX};
use futures::StreamExt;
use libp2p::allow_block_list::{self, AllowedPeers, NotAllowed};
use libp2p::connection_limits;
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::{ConnectionDenied, ListenError, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, identify, noise, ping, relay};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Keys that one relay serves: some 250 clusters of four. It bounds reservations, and what is remembered of each key.
pub const SERVED_MAX: usize = 1024;
/// Reservations of one operator: a node that reconnects may come before its old connection is found dead.
const RESERVATIONS_PER_OPERATOR: usize = 2;
/// Circuits of one operator: two that cross, to each of 21 peers.
const CIRCUITS_PER_OPERATOR: usize = 2 * 21;
/// Circuits at one time: all pairs of a cluster of 22 four times over, and 512 MiB of windows if all of them are stuck.
const CIRCUITS_MAX: usize = 1024;
/// Longest life of a circuit. A link is meant to stand for ever, and one that is cut comes back in moments but loses the
/// frames on their way. A week makes that rare, and still ends what no one remembers.
const CIRCUIT_DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bytes of a circuit, both ways together. A thousand validators' messages are 300 MB a week and peer; payloads of
/// 12 MiB twice an hour are 4 GiB a week. This is a dozen times as much.
const CIRCUIT_BYTES_MAX: u64 = 64 << 30;
/// Life of a reservation; nodes renew it when three quarters have passed.
const RESERVATION_DURATION: Duration = Duration::from_secs(3600);
/// Reservations that an operator may ask for in a burst, and how often one more: a node whose line flaps is let in again.
const RESERVATION_RATE: (NonZeroU32, Duration) =
    (NonZeroU32::new(32).expect("32 > 0"), Duration::from_secs(5));
/// Circuits that an operator may ask for in a burst, and how often one more. A node tries each of 21 peers that are away
/// every five seconds at most, so this is twice what it needs.
const CIRCUIT_RATE: (NonZeroU32, Duration) =
    (NonZeroU32::new(128).expect("128 > 0"), Duration::from_millis(100));
/// Longest handshake: five round trips, one of them lost, on a line with half a second each way. Strangers hold their places
/// so long, and who is late tries again.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long a ping may take. The second in a row that takes longer ends the connection: within some 12 s, far below the
/// minute after which a node's request for a circuit to a dead peer times out, and its reservation with it.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Events that wait to be heard; those for which there is no room are not told.
const NOTICES: usize = 256;

/// All that a relay needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The relay's own key. No operator's.
    pub identity: Identity,
    /// Compressed secp256k1 keys of the operators it serves, at most [`SERVED_MAX`]; who is named twice is served once.
    pub operators: Vec<[u8; 33]>,
    /// Where to listen, at most [`LISTEN_MAX`](crate::LISTEN_MAX).
    pub listen: Vec<Multiaddr>,
}

/// Why a relay does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// It would serve nobody, or more than it can.
    #[error("{have} keys to serve, a relay serves 1 to {SERVED_MAX}")]
    Served {
        /// Keys given.
        have: usize,
    },
    /// An operator's key is none.
    #[error("key {no} to serve: {source}")]
    PublicKey {
        /// Counted from 1.
        no: usize,
        /// Why.
        source: IdentityError,
    },
    /// The relay's key is one that it serves.
    #[error("the relay's own key is that of an operator; a relay has a key of its own")]
    OperatorsKey,
    /// Nowhere to listen: nobody could come.
    #[error("a relay needs an address to listen on")]
    NoListen,
    /// Its sockets.
    #[error(transparent)]
    Sockets(#[from] config::StartError),
}

/// Something that happened at a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It listens here; the address ends with its id, as operators need it.
    Listening(Multiaddr),
    /// An operator can be reached through it now.
    Reserved {
        /// Who.
        operator: PeerId,
    },
    /// An operator asked for a reservation beyond its limits.
    ReservationRefused {
        /// Who.
        operator: PeerId,
    },
    /// Two operators talk through it.
    CircuitOpened {
        /// Who asked for it.
        from: PeerId,
        /// To whom.
        to: PeerId,
    },
    /// A circuit was not opened: its end has no reservation, or it is beyond a limit.
    CircuitRefused {
        /// Who asked for it.
        from: PeerId,
        /// To whom.
        to: PeerId,
    },
    /// They do not any more.
    CircuitClosed {
        /// Who had asked for it.
        from: PeerId,
        /// To whom.
        to: PeerId,
    },
    /// Somebody whom it does not serve was refused.
    Stranger {
        /// Who.
        id: PeerId,
        /// From where.
        from: Multiaddr,
    },
}

/// What a relay has counted since its start, and what stands now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operators that are connected now.
    pub connected: u64,
    /// Circuits that are open now.
    pub circuits: u64,
    /// Circuits opened.
    pub circuits_opened: u64,
    /// Circuits refused.
    pub circuits_refused: u64,
    /// Reservations made; renewals are not counted.
    pub reservations: u64,
    /// Reservations refused.
    pub reservations_refused: u64,
    /// Connections refused, because nobody told the relay to serve that key.
    pub strangers: u64,
    /// Connections turned away unheard, because too many handshakes had begun and not ended.
    pub turned_away: u64,
}

#[derive(Debug, Default)]
struct Shared {
    connected: AtomicU64,
    circuits_closed: AtomicU64,
    circuits_opened: AtomicU64,
    circuits_refused: AtomicU64,
    reservations: AtomicU64,
    reservations_refused: AtomicU64,
    strangers: AtomicU64,
    turned_away: AtomicU64,
    listening: Mutex<Vec<Multiaddr>>,
}

/// A running relay. Clones are the same; when the last is dropped, it ends.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: PeerId,
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    _abort: DropGuard,
}

impl Handle {
    /// What libp2p calls the relay.
    pub fn id(&self) -> PeerId {
        self.0.id
    }

    /// Where it listens, each address with its id. Grows until every [`Event::Listening`] has come.
    pub fn listening(&self) -> Vec<Multiaddr> {
        self.0.shared.listening.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has counted.
    pub fn counts(&self) -> Counts {
        let shared = &self.0.shared;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Closed first: a circuit is opened before it is closed.
        let closed = read(&shared.circuits_closed);
        let circuits_opened = read(&shared.circuits_opened);
        Counts {
            connected: read(&shared.connected),
            circuits: circuits_opened.saturating_sub(closed),
            circuits_opened,
            circuits_refused: read(&shared.circuits_refused),
            reservations: read(&shared.reservations),
            reservations_refused: read(&shared.reservations_refused),
            strangers: read(&shared.strangers),
            turned_away: read(&shared.turned_away),
        }
    }

    /// Ends the relay, its connections and all circuits, and frees its ports.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        if let Some(task) = self.0.task.lock().await.take()
            && let Err(e) = task.await
        {
            tracing::error!("the relay's task did not end well: {e}");
        }
    }
}

/// What happens at a relay. Nobody has to listen: what finds no room is not told.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next event; `None` when the relay has ended and everything was taken.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// Starts a relay.
///
/// - Needs a tokio runtime with time and I/O; everything runs there until [`Handle::shutdown`], or until the last
///   [`Handle`] is dropped.
/// - Errors: see [`StartError`].
pub fn start(config: Config) -> Result<(Handle, Events), StartError> {
    let served = served(&config)?;
    let id = config.identity.peer_id();
    let mut swarm = build(&config, &served)?;
    swarm::listen(&mut swarm, &config.listen)?;
    let shared = Arc::new(Shared::default());
    let (notices, events) = mpsc::channel(NOTICES);
    let stop = CancellationToken::new();
    let task = Task { swarm, id, shared: Arc::clone(&shared), notices };
    let task = tokio::spawn(task.run(stop.clone()));
    let inner = Inner { id, shared, stop: stop.clone(), task: Some(task).into(), _abort: stop.drop_guard() };
    Ok((Handle(Arc::new(inner)), Events(events)))
}

fn served(config: &Config) -> Result<BTreeSet<PeerId>, StartError> {
    let mut served = BTreeSet::new();
    for (at, key) in config.operators.iter().enumerate() {
        let id = peer_id(key).map_err(|source| StartError::PublicKey { no: at + 1, source })?;
        served.insert(id);
    }
    if !(1..=SERVED_MAX).contains(&served.len()) {
        return Err(StartError::Served { have: served.len() });
    }
    if served.contains(&config.identity.peer_id()) {
        return Err(StartError::OperatorsKey);
    }
    if config.listen.is_empty() { Err(StartError::NoListen) } else { Ok(served) }
}

/// All behaviours of a relay. The gate stands before those that speak.
#[derive(NetworkBehaviour)]
struct Behaviours {
    crowd: crowd::Behaviour,
    limits: connection_limits::Behaviour,
    gate: allow_block_list::Behaviour<AllowedPeers>,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    relay: relay::Behaviour,
}

fn build(config: &Config, served: &BTreeSet<PeerId>) -> Result<Swarm<Behaviours>, config::StartError> {
    let transport = |e: &dyn std::error::Error| config::StartError::Transport(e.to_string());
    let mut gate = allow_block_list::Behaviour::default();
    for id in served {
        gate.allow_peer(*id);
    }
    let swarm = SwarmBuilder::with_existing_identity(config.identity.keypair())
        .with_tokio()
        .with_tcp(swarm::tcp_config(), noise::Config::new, swarm::yamux_config)
        .map_err(|e| transport(&e))?
        .with_quic_config(swarm::quic_config)
        .with_behaviour(|key| Behaviours {
            crowd: crowd::Behaviour::default(),
            limits: swarm::limits(),
            gate,
            ping: swarm::pings(SILENCE_MAX),
            identify: swarm::identities(key),
            relay: relay::Behaviour::new(key.public().to_peer_id(), limits(served.len())),
        })
        .map_err(|e| transport(&e))?
        .with_swarm_config(|swarm| swarm.with_max_negotiating_inbound_streams(NEGOTIATING_MAX))
        .with_connection_timeout(HANDSHAKE_MAX)
        .build();
    Ok(swarm)
}

fn limits(served: usize) -> relay::Config {
    let none = relay::Config {
        // The library lets a peer have one more than it is told, and counts a renewal against the total.
        max_reservations: served * (RESERVATIONS_PER_OPERATOR + 1) + 1,
        max_reservations_per_peer: RESERVATIONS_PER_OPERATOR,
        reservation_duration: RESERVATION_DURATION,
        reservation_rate_limiters: Vec::new(),
        max_circuits: CIRCUITS_MAX,
        max_circuits_per_peer: CIRCUITS_PER_OPERATOR,
        max_circuit_duration: CIRCUIT_DURATION_MAX,
        max_circuit_bytes: CIRCUIT_BYTES_MAX,
        circuit_src_rate_limiters: Vec::new(),
    };
    // By key alone: several operators may well come from behind one address.
    none.reservation_rate_per_peer(RESERVATION_RATE.0, RESERVATION_RATE.1)
        .circuit_src_per_peer(CIRCUIT_RATE.0, CIRCUIT_RATE.1)
}

/// The task that owns the swarm.
struct Task {
    swarm: Swarm<Behaviours>,
    id: PeerId,
    shared: Arc<Shared>,
    notices: mpsc::Sender<Event>,
}

impl Task {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                event = self.swarm.select_next_some() => self.on_swarm(event),
            }
        }
    }

    fn notice(&self, event: Event) {
        if self.notices.try_send(event).is_err() {
            tracing::trace!("an event of the relay was not heard");
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehavioursEvent>) {
        match event {
            SwarmEvent::Behaviour(BehavioursEvent::Relay(event)) => self.on_relay(event),
            SwarmEvent::Behaviour(BehavioursEvent::Ping(event)) => self.on_ping(&event),
            SwarmEvent::ConnectionEstablished { .. } | SwarmEvent::ConnectionClosed { .. } => {
                let connected = self.swarm.connected_peers().count();
                self.shared.connected.store(connected as u64, Ordering::Relaxed);
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                peer_id: Some(id),
                error: ListenError::Denied { cause },
                ..
            } => self.on_denied(id, send_back_addr, cause),
            SwarmEvent::IncomingConnectionError {
                peer_id: None, error: ListenError::Denied { .. }, ..
            } => count(&self.shared.turned_away, 1),
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.swarm.remove_external_address(&address);
                let named = self.named(address);
                self.listening().retain(|known| *known != named);
            }
            SwarmEvent::ListenerClosed { reason: Err(e), .. } => tracing::error!("a listener closed: {e}"),
            // The enum is libp2p's and open; what is left needs no answer.
            _ => {}
        }
    }

    fn on_denied(&self, id: PeerId, from: Multiaddr, cause: ConnectionDenied) {
        // Any other denial is that of a limit.
        if cause.downcast::<NotAllowed>().is_ok() {
            count(&self.shared.strangers, 1);
            self.notice(Event::Stranger { id, from });
        }
    }

    fn named(&self, address: Multiaddr) -> Multiaddr {
        address.with(Part::P2p(self.id))
    }

    fn listening(&self) -> MutexGuard<'_, Vec<Multiaddr>> {
        self.shared.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_listening(&mut self, address: Multiaddr) {
        let named = self.named(address.clone());
        {
            let mut listening = self.listening();
            // A wildcard listens on every interface; a reservation's answer has room for some twenty of them.
            if listening.len() >= config::LISTEN_MAX || listening.contains(&named) {
                return;
            }
            listening.push(named.clone());
        }
        // Without one of these a relay would answer reservations with no address, and nodes would refuse them.
        self.swarm.add_external_address(address);
        self.notice(Event::Listening(named));
    }

    fn on_ping(&mut self, event: &ping::Event) {
        if event.result.is_err() {
            self.swarm.close_connection(event.connection);
        }
    }

    fn on_relay(&self, event: relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id: operator, renewed: false } => {
                count(&self.shared.reservations, 1);
                self.notice(Event::Reserved { operator });
            }
            relay::Event::ReservationReqDenied { src_peer_id: operator, .. } => {
                count(&self.shared.reservations_refused, 1);
                self.notice(Event::ReservationRefused { operator });
            }
            relay::Event::CircuitReqAccepted { src_peer_id: from, dst_peer_id: to } => {
                count(&self.shared.circuits_opened, 1);
                self.notice(Event::CircuitOpened { from, to });
            }
            relay::Event::CircuitReqDenied { src_peer_id: from, dst_peer_id: to, .. } => {
                count(&self.shared.circuits_refused, 1);
                self.notice(Event::CircuitRefused { from, to });
            }
            relay::Event::CircuitClosed { src_peer_id: from, dst_peer_id: to, .. } => {
                count(&self.shared.circuits_closed, 1);
                self.notice(Event::CircuitClosed { from, to });
            }
            // Renewals, time-outs, and what the library has marked to go.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn identity(byte: u8) -> Identity {
        Identity::from_secret(Zeroizing::new([byte; 32])).unwrap()
    }

    fn refused(change: impl FnOnce(&mut Config)) -> StartError {
        let mut config = Config {
            identity: identity(9),
            operators: vec![identity(1).public_key(), identity(2).public_key()],
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        };
        assert_eq!(served(&config).unwrap().len(), 2);
        change(&mut config);
        served(&config).unwrap_err()
    }

    #[test]
    fn a_relay_that_could_serve_nobody_does_not_start() {
        assert!(matches!(refused(|c| c.operators.clear()), StartError::Served { have: 0 }));
        assert!(matches!(refused(|c| c.listen.clear()), StartError::NoListen));
        assert!(matches!(refused(|c| c.operators[1] = [0; 33]), StartError::PublicKey { no: 2, .. }));
    }

    #[test]
    fn a_relay_has_a_key_that_is_no_operators() {
        assert!(matches!(refused(|c| c.identity = identity(2)), StartError::OperatorsKey));
    }

    #[test]
    fn an_operator_of_two_clusters_is_one() {
        let twice = vec![identity(1).public_key(); SERVED_MAX + 1];
        let config = Config {
            identity: identity(9),
            operators: twice,
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        };
        assert_eq!(served(&config).unwrap().len(), 1);
    }
}
