//! What the owner of a wire can do with it.

use crate::config::{AddressError, Limits, check_address_of};
use crate::events::{Room, Route};
use crate::lane::{Lane, Lanes};
use crate::pace::Pace;
use bytes::Bytes;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use types::ShareIndex;

/// Why a frame was not taken. Frames that are taken reach the peer in order, unless its link falls first.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SendError {
    /// This node itself, or nobody.
    #[error("operator {0} is no peer of this node")]
    NoSuchPeer(ShareIndex),
    /// No link stands. Nothing is kept for a link to come: what was due then is stale by the time it stands.
    #[error("operator {0} is not connected")]
    NotConnected(ShareIndex),
    /// The peer does not read, or the line is slow. The frame is dropped, those that wait stay.
    #[error("the queue of operator {0} is full")]
    QueueFull(ShareIndex),
    /// Longer than the peers take.
    #[error("frame of {len} bytes, at most {max} are taken")]
    TooLong {
        /// Its length.
        len: usize,
        /// Longest taken.
        max: usize,
    },
}

/// Why an address was not added.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AddError {
    /// This node itself, or nobody.
    #[error("operator {0} is no peer of this node")]
    NoSuchPeer(ShareIndex),
    /// It cannot be dialed for this peer.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The wire has shut down, or has 64 such wishes waiting.
    #[error("the wire takes no address now")]
    Busy,
}

/// What has been counted of one peer since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounts {
    /// Frames written.
    pub frames_out: u64,
    /// Their bytes, without the lengths before them.
    pub bytes_out: u64,
    /// Frames read.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Bulk frames written.
    pub bulk_frames_out: u64,
    /// Their bytes.
    pub bulk_bytes_out: u64,
    /// Bulk frames read.
    pub bulk_frames_in: u64,
    /// Their bytes.
    pub bulk_bytes_in: u64,
    /// Frames, bulk or not, refused by [`SendError::QueueFull`].
    pub queue_full: u64,
    /// Streams opened, by either side: two for each connection, however many frames they carry.
    pub streams: u64,
    /// Links that stood.
    pub links: u64,
}

/// One peer, as seen by the handle, the hub and the link.
#[derive(Debug)]
pub(crate) struct PeerState {
    pub(crate) id: PeerId,
    pub(crate) counts: Counters,
    outbox: Mutex<Option<Outbox>>,
    /// Microseconds and one, so that 0 is: not known.
    rtt: AtomicU64,
    /// How fast it is listened to, whatever link it comes by.
    pub(crate) pace: Pace,
}

/// What went through a lane.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) frames_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) frames_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) traffic: Lanes<Traffic>,
    pub(crate) queue_full: AtomicU64,
    pub(crate) streams: AtomicU64,
    pub(crate) links: AtomicU64,
}

/// Adds to a counter of which only the sum matters.
pub(crate) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

/// A frame that waits to be written.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) frame: Bytes,
    /// Given back when the frame is written.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// The way into a standing link.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) connection: ConnectionId,
    pub(crate) route: Route,
    pub(crate) lanes: Lanes<Entrance>,
}

/// The way into one of its lanes.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) queue: mpsc::Sender<Queued>,
    pub(crate) room: Room,
}

impl PeerState {
    pub(crate) fn new(id: PeerId, limits: &Limits) -> Self {
        let pace = Pace::new(limits.frames_per_second, limits.burst_frames);
        Self { id, counts: Counters::default(), outbox: Mutex::new(None), rtt: AtomicU64::new(0), pace }
    }

    fn outbox(&self) -> MutexGuard<'_, Option<Outbox>> {
        // Nothing that holds the lock can panic half way.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self, outbox: Outbox) {
        *self.outbox() = Some(outbox);
    }

    /// Shuts the way into the link of `connection`, if it is still that one. What waits there is still written.
    pub(crate) fn shut(&self, connection: ConnectionId) {
        let mut outbox = self.outbox();
        if outbox.as_ref().is_some_and(|open| open.connection == connection) {
            *outbox = None;
            self.rtt.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn shut_any(&self) {
        *self.outbox() = None;
    }

    pub(crate) fn set_rtt(&self, rtt: Duration) {
        let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
        self.rtt.store(micros.saturating_add(1), Ordering::Relaxed);
    }

    fn push(&self, peer: ShareIndex, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        let outbox = self.outbox();
        let Some(open) = outbox.as_ref() else { return Err(SendError::NotConnected(peer)) };
        let open = open.lanes.of(lane);
        let sent = match open.room.try_take(frame.len()) {
            Some(room) => open.queue.try_send(Queued { frame, _room: room }),
            None => {
                count(&self.counts.queue_full, 1);
                return Err(SendError::QueueFull(peer));
            }
        };
        match sent {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SendError::NotConnected(peer)),
            Err(mpsc::error::TrySendError::Full(_)) => {
                count(&self.counts.queue_full, 1);
                Err(SendError::QueueFull(peer))
            }
        }
    }

    fn counts(&self) -> PeerCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Lanes { frames, bulk } = &self.counts.traffic;
        PeerCounts {
            frames_out: read(&frames.frames_out),
            bytes_out: read(&frames.bytes_out),
            frames_in: read(&frames.frames_in),
            bytes_in: read(&frames.bytes_in),
            bulk_frames_out: read(&bulk.frames_out),
            bulk_bytes_out: read(&bulk.bytes_out),
            bulk_frames_in: read(&bulk.frames_in),
            bulk_bytes_in: read(&bulk.bytes_in),
            queue_full: read(&self.counts.queue_full),
            streams: read(&self.counts.streams),
            links: read(&self.counts.links),
        }
    }
}

/// What handle and hub share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) peers: BTreeMap<ShareIndex, Arc<PeerState>>,
    pub(crate) strangers: AtomicU64,
    listening: Mutex<Vec<Multiaddr>>,
}

impl Shared {
    pub(crate) fn new(limits: Limits, peers: BTreeMap<ShareIndex, Arc<PeerState>>) -> Self {
        Self { limits, peers, strangers: AtomicU64::new(0), listening: Mutex::new(Vec::new()) }
    }

    pub(crate) fn listening(&self) -> MutexGuard<'_, Vec<Multiaddr>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wish that the hub has to fulfil.
#[derive(Debug)]
pub(crate) struct NewAddress {
    pub(crate) peer: ShareIndex,
    pub(crate) address: Multiaddr,
}

/// The sending end of a wire. Clones are the same wire; when the last is dropped without
/// [`Handle::shutdown`], the wire ends at once and what waits is lost.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    wishes: mpsc::Sender<NewAddress>,
    goodbye: CancellationToken,
    hub: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    /// Ends the hub when the last handle goes.
    _abort: DropGuard,
}

impl Handle {
    pub(crate) fn new(
        shared: Arc<Shared>,
        wishes: mpsc::Sender<NewAddress>,
        goodbye: CancellationToken,
        hub: JoinHandle<()>,
        abort: DropGuard,
    ) -> Self {
        let hub = tokio::sync::Mutex::new(Some(hub));
        Self(Arc::new(Inner { shared, wishes, goodbye, hub, _abort: abort }))
    }

    /// Queues a frame for one peer. Never waits.
    ///
    /// Errors: see [`SendError`]; each says that the frame will not be sent.
    pub fn send(&self, peer: ShareIndex, frame: Bytes) -> Result<(), SendError> {
        self.push(peer, Lane::Frames, frame)
    }

    /// Queues a frame for every peer, sharing its bytes. Returns those that will not get it, and why.
    pub fn broadcast(&self, frame: &Bytes) -> Vec<(ShareIndex, SendError)> {
        self.push_all(Lane::Frames, frame)
    }

    /// Queues a bulk frame for one peer: it travels beside the frames of [`Handle::send`] and never holds them up.
    /// Never waits.
    ///
    /// - It arrives as [`Event::Bulk`](crate::Event::Bulk), in no order with frames.
    /// - Errors: see [`SendError`]; each says that the frame will not be sent. The queue is short, so
    ///   [`SendError::QueueFull`] comes early. A peer whose wire has no lane for bulk takes none of it: what waits when
    ///   that turns out is lost, then [`SendError::NotConnected`] says so.
    pub fn send_bulk(&self, peer: ShareIndex, frame: Bytes) -> Result<(), SendError> {
        self.push(peer, Lane::Bulk, frame)
    }

    /// Queues a bulk frame for every peer, sharing its bytes. Returns those that will not get it, and why.
    pub fn broadcast_bulk(&self, frame: &Bytes) -> Vec<(ShareIndex, SendError)> {
        self.push_all(Lane::Bulk, frame)
    }

    /// Says that a peer's frame was no valid one: it is listened to more slowly for a while, down to some frames a second.
    pub fn refused(&self, peer: ShareIndex) {
        if let Some(state) = self.peer(peer) {
            state.pace.refused();
        }
    }

    fn push(&self, peer: ShareIndex, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        let max = self.0.shared.limits.lane(lane).len_max;
        if frame.len() > max {
            return Err(SendError::TooLong { len: frame.len(), max });
        }
        self.peer(peer).ok_or(SendError::NoSuchPeer(peer))?.push(peer, lane, frame)
    }

    fn push_all(&self, lane: Lane, frame: &Bytes) -> Vec<(ShareIndex, SendError)> {
        let peers = self.0.shared.peers.keys().copied();
        let push = |peer| self.push(peer, lane, frame.clone()).err().map(|error| (peer, error));
        peers.filter_map(push).collect()
    }

    /// Adds an address of a peer and dials it soon. The oldest goes when there are too many.
    pub fn add_address(&self, peer: ShareIndex, address: Multiaddr) -> Result<(), AddError> {
        let state = self.peer(peer).ok_or(AddError::NoSuchPeer(peer))?;
        check_address_of(&address, state.id)?;
        self.0.wishes.try_send(NewAddress { peer, address }).map_err(|_| AddError::Busy)
    }

    /// Where this node listens, with the ports the system chose. Grows until every
    /// [`Event::Listening`](crate::Event::Listening) has come.
    pub fn listening(&self) -> Vec<Multiaddr> {
        self.0.shared.listening().clone()
    }

    /// Whether the link to a peer stands.
    pub fn is_up(&self, peer: ShareIndex) -> bool {
        self.peer(peer).is_some_and(|state| state.outbox().is_some())
    }

    /// How the link to a peer travels, while it stands.
    pub fn route(&self, peer: ShareIndex) -> Option<Route> {
        self.peer(peer)?.outbox().as_ref().map(|open| open.route)
    }

    /// The last round trip to a peer whose link stands, as its ping measured it.
    pub fn rtt(&self, peer: ShareIndex) -> Option<Duration> {
        let micros = self.peer(peer)?.rtt.load(Ordering::Relaxed);
        micros.checked_sub(1).map(Duration::from_micros)
    }

    /// What has been counted of a peer; zeros for nobody.
    pub fn counts(&self, peer: ShareIndex) -> PeerCounts {
        self.peer(peer).map(PeerState::counts).unwrap_or_default()
    }

    /// How many connections of strangers were refused.
    pub fn strangers(&self) -> u64 {
        self.0.shared.strangers.load(Ordering::Relaxed)
    }

    /// What libp2p calls a peer.
    pub fn peer_id(&self, peer: ShareIndex) -> Option<PeerId> {
        self.peer(peer).map(|state| state.id)
    }

    /// Writes what waits, closes the links in order and joins every task of this wire.
    ///
    /// Frames that were taken reach every peer that reads them within two seconds; slower peers lose them.
    /// From now on [`Handle::send`] answers [`SendError::NotConnected`].
    pub async fn shutdown(&self) {
        self.0.goodbye.cancel();
        if let Some(hub) = self.0.hub.lock().await.take()
            && let Err(e) = hub.await
        {
            tracing::error!("the wire's task did not end well: {e}");
        }
    }

    fn peer(&self, peer: ShareIndex) -> Option<&PeerState> {
        self.0.shared.peers.get(&peer).map(Arc::as_ref)
    }
}
