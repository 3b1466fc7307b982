//! What the hub knows of one peer: its connections, its link, when and where to dial it next.

use crate::config::Limits;
use crate::events::{DownReason, Heard, Room};
use crate::handle::PeerState;
use crate::link::Wish;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::ConnectionId;
use rand_core::{OsRng, RngCore};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

/// What the hub knows of a connection that is not condemned.
#[derive(Default)]
pub(crate) struct Connection {
    /// Ticks since a ping was answered, or since it was established.
    pub(crate) silent_ticks: u64,
    /// Ticks since it was established.
    pub(crate) age_ticks: u64,
}

/// The connection that carries frames.
pub(crate) struct Standing {
    pub(crate) connection: ConnectionId,
    /// The wish that it fulfils.
    pub(crate) wish: Wish,
    pub(crate) since: Instant,
    pub(crate) verdict: oneshot::Sender<DownReason>,
}

/// What the hub knows of a peer.
pub(crate) struct Peer {
    pub(crate) state: Arc<PeerState>,
    pub(crate) addresses: Vec<Multiaddr>,
    /// Addresses at which somebody else answered; left out until no other is left.
    pub(crate) shunned: Vec<Multiaddr>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) link: Option<Standing>,
    pub(crate) dialing: Option<ConnectionId>,
    pub(crate) dial_at: Instant,
    /// Attempts since a link stood for long.
    pub(crate) attempts: u32,
    /// Our wish, where we follow.
    pub(crate) wish: Wish,
    pub(crate) heard: mpsc::Sender<Heard>,
    pub(crate) room_in: Room,
    /// Held by the task of a link until the last of it was heard, so that links of one peer never overlap.
    pub(crate) turn: Arc<Mutex<()>>,
}

impl Peer {
    pub(crate) fn new(
        state: Arc<PeerState>,
        addresses: Vec<Multiaddr>,
        heard: mpsc::Sender<Heard>,
        limits: &Limits,
    ) -> Self {
        Self {
            state,
            addresses,
            shunned: Vec::new(),
            connections: BTreeMap::new(),
            link: None,
            dialing: None,
            dial_at: Instant::now(),
            attempts: 0,
            wish: Wish { life: OsRng.next_u64(), lost: 0 },
            heard,
            room_in: Room::new(limits.queue_bytes_max),
            turn: Arc::default(),
        }
    }

    /// Waits longer after every attempt, and never exactly as long as the peer does.
    pub(crate) fn dial_later(&mut self, limits: &Limits) {
        let doubled = limits.redial_ms_min.saturating_mul(1 << self.attempts.min(16));
        let wait_ms = doubled.min(limits.redial_ms_max);
        let jitter_ms = OsRng.next_u64() % (wait_ms / 2 + 1);
        self.attempts = self.attempts.saturating_add(1);
        self.dial_at = Instant::now() + Duration::from_millis(wait_ms - jitter_ms);
    }

    pub(crate) fn links_on(&self, connection: ConnectionId) -> bool {
        self.link.as_ref().is_some_and(|link| link.connection == connection)
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.link.is_none()
            && self.dialing.is_none()
            && self.connections.is_empty()
            && !self.addresses.is_empty()
            && self.dial_at <= now
    }

    /// Whom to dial: all addresses but those where somebody else answered, or all if that leaves none.
    pub(crate) fn targets(&mut self) -> Vec<Multiaddr> {
        let wanted: Vec<Multiaddr> =
            self.addresses.iter().filter(|address| !self.shunned.contains(address)).cloned().collect();
        if wanted.is_empty() {
            self.shunned.clear();
            return self.addresses.clone();
        }
        wanted
    }

    /// Leaves out the address where somebody else answered.
    pub(crate) fn shun(&mut self, answered: &Multiaddr) {
        let bare = without_peer(answered);
        let known = self.addresses.iter().find(|address| without_peer(address) == bare);
        if let Some(address) = known.filter(|address| !self.shunned.contains(address)) {
            self.shunned.push(address.clone());
        }
    }
}

pub(crate) fn without_peer(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Part::P2p(_))).collect()
}
