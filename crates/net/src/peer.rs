//! What the hub knows of one peer: its connections, its link, when and where to dial it next.

use crate::config::Limits;
use crate::events::{DownReason, Heard, Room, Route};
use crate::handle::PeerState;
use crate::lane::Lanes;
use crate::link::{BulkDoor, BulkLane, Wish, bulk_lane};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::ConnectionId;
use rand_core::{OsRng, RngCore};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

/// How long a relayed link is let be before the peer's own addresses are tried again. A dial costs next to nothing, and
/// what made the direct way fail is often gone in minutes.
const STRAIGHTEN: Duration = Duration::from_secs(60);

/// What the hub knows of a connection that is not condemned.
pub(crate) struct Connection {
    pub(crate) route: Route,
    /// Where the stream for bulk goes; taken when it has opened, or cannot.
    pub(crate) bulk_door: Option<BulkDoor>,
    /// The lane behind that door; taken by the link.
    pub(crate) bulk: Option<BulkLane>,

    /// Ticks since a ping was answered, or since it was established.
    pub(crate) silent_ticks: u64,
    /// Ticks since it was established.
    pub(crate) age_ticks: u64,
}

impl Connection {
    pub(crate) fn new(route: Route) -> Self {
        let (door, lane) = bulk_lane();
        Self { route, bulk_door: Some(door), bulk: Some(lane), silent_ticks: 0, age_ticks: 0 }
    }
}

/// The connection that carries frames.
pub(crate) struct Standing {
    pub(crate) connection: ConnectionId,
    pub(crate) route: Route,
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
    /// The way to try next, where there are two: that of the last link, and the other one after a failure.
    pub(crate) way: Route,
    /// Our wish, where we follow.
    pub(crate) wish: Wish,
    pub(crate) heard: mpsc::Sender<Heard>,
    pub(crate) rooms_in: Lanes<Room>,
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
            way: Route::Direct,
            wish: Wish { life: OsRng.next_u64(), lost: 0 },
            heard,
            rooms_in: Lanes::each(|lane| Room::new(limits.lane(lane).bytes_max)),
            turn: Arc::default(),
        }
    }

    /// Waits longer after every attempt.
    pub(crate) fn dial_later(&mut self, limits: &Limits) {
        self.dial_at = Instant::now() + Duration::from_millis(wait_ms(self.attempts, limits));
        self.attempts = self.attempts.saturating_add(1);
    }

    pub(crate) fn links_on(&self, connection: ConnectionId) -> bool {
        self.link.as_ref().is_some_and(|link| link.connection == connection)
    }

    /// Whether it is time to dial, if there is anywhere to dial to: there is no link, or one that could be straighter.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let wanting = match &self.link {
            None => self.connections.is_empty(),
            Some(link) => link.route == Route::Relayed && !self.addresses.is_empty(),
        };
        wanting && self.dialing.is_none() && self.dial_at <= now
    }

    /// Lets a relayed link be for a while.
    pub(crate) fn straighten_later(&mut self) {
        self.dial_at = Instant::now() + STRAIGHTEN;
    }

    /// Whom to dial: the peer itself, or the ways to it through relays. The latter never while a link stands.
    pub(crate) fn targets(&mut self, circuits: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let relayed = match self.way {
            _ if self.link.is_some() || circuits.is_empty() => false,
            _ if self.addresses.is_empty() => true,
            Route::Direct => false,
            Route::Relayed => true,
        };
        if relayed { circuits } else { self.direct_targets() }
    }

    /// What was tried did not work.
    pub(crate) fn try_the_other_way(&mut self) {
        self.way = match self.way {
            Route::Direct => Route::Relayed,
            Route::Relayed => Route::Direct,
        };
    }

    /// All addresses but those where somebody else answered, or all if that leaves none.
    fn direct_targets(&mut self) -> Vec<Multiaddr> {
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

/// How long to wait after so many attempts: twice as long each time, up to a limit, and never exactly as long as the
/// other side does.
pub(crate) fn wait_ms(attempts: u32, limits: &Limits) -> u64 {
    let doubled = limits.redial_ms_min.saturating_mul(1 << attempts.min(16));
    let wait_ms = doubled.min(limits.redial_ms_max);
    wait_ms - OsRng.next_u64() % (wait_ms / 2 + 1)
}

pub(crate) fn without_peer(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Part::P2p(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(addresses: Vec<Multiaddr>) -> Peer {
        let state = Arc::new(PeerState::new(libp2p::PeerId::random(), &Limits::default()));
        Peer::new(state, addresses, mpsc::channel(1).0, &Limits::default())
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    fn linked(mut peer: Peer, route: Route) -> Peer {
        let connection = ConnectionId::new_unchecked(1);
        let wish = peer.wish;
        let verdict = oneshot::channel().0;
        peer.link = Some(Standing { connection, route, wish, since: Instant::now(), verdict });
        peer.straighten_later();
        peer
    }

    #[test]
    fn the_direct_way_and_the_relays_take_turns() {
        let (direct, circuits) = (vec![address(1)], vec![address(7), address(8)]);
        let mut both = peer(direct.clone());
        for _ in 0..2 {
            assert_eq!(both.targets(circuits.clone()), direct);
            both.try_the_other_way();
            assert_eq!(both.targets(circuits.clone()), circuits);
            assert_eq!(both.targets(Vec::new()), direct, "without a reservation there is one way");
            both.try_the_other_way();
        }
        let mut hidden = peer(Vec::new());
        for _ in 0..2 {
            assert_eq!(hidden.targets(circuits.clone()), circuits);
            hidden.try_the_other_way();
        }
        assert_eq!(hidden.targets(Vec::new()), Vec::<Multiaddr>::new());
    }

    #[test]
    fn only_a_relayed_link_is_straightened_and_after_a_while() {
        let (soon, later) = (Instant::now(), Instant::now() + STRAIGHTEN + STRAIGHTEN);
        let mut relayed = linked(peer(vec![address(1)]), Route::Relayed);
        assert!(!relayed.is_due(soon) && relayed.is_due(later));
        relayed.way = Route::Relayed;
        assert_eq!(relayed.targets(vec![address(7)]), vec![address(1)], "never by another circuit");
        assert!(!linked(peer(Vec::new()), Route::Relayed).is_due(later), "there is nowhere to dial to");
        assert!(!linked(peer(vec![address(1)]), Route::Direct).is_due(later));
    }
}
