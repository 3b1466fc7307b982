//! What happens on the wire, in bounded queues that one consumer empties.

use crate::config::FRAME_OVERHEAD;
use crate::lane::Lane;
use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use types::ShareIndex;

/// How the bytes of a link travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// From host to host.
    Direct,
    /// Through a relay, which sees how many there are and when, and not what they say.
    Relayed,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        })
    }
}

/// Something that happened.
///
/// Of one peer, in this order and over and over: `Up`, its frames in the order it sent them, `Down`. Bulk frames come
/// in the order they were sent too; between a bulk frame and a frame there is no order but that of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This node listens here.
    Listening(Multiaddr),
    /// The link to a peer stands: frames go both ways.
    Up {
        /// Whose.
        peer: ShareIndex,
        /// How it travels. A direct link takes a relayed one's place when there can be one.
        route: Route,
    },
    /// The link to a peer fell. It is being set up again.
    Down {
        /// Whose.
        peer: ShareIndex,
        /// Why.
        reason: DownReason,
    },
    /// An attempt to set up a link failed. There will be others.
    Unreachable {
        /// Whose.
        peer: ShareIndex,
        /// Why.
        reason: Failure,
    },
    /// A frame of a peer.
    Frame {
        /// Whose.
        peer: ShareIndex,
        /// What it sent.
        frame: Bytes,
    },
    /// A bulk frame of a peer.
    Bulk {
        /// Whose.
        peer: ShareIndex,
        /// What it sent.
        frame: Bytes,
    },
    /// A relay has taken this node's reservation: peers reach this node through it.
    RelayUp {
        /// Which.
        relay: PeerId,
    },
    /// The reservation is gone. It is asked for again.
    RelayDown {
        /// At which relay.
        relay: PeerId,
        /// Why.
        reason: String,
    },
    /// A relay is not reached, or takes no reservation. Told of the first failure in a row, of the second, the fourth, the
    /// eighth and so on; there will be other attempts.
    RelayUnreachable {
        /// Which.
        relay: PeerId,
        /// Why.
        reason: String,
    },
    /// Somebody who is no operator of this cluster connected to us, and was refused.
    Stranger {
        /// Who.
        id: PeerId,
        /// From where.
        from: Multiaddr,
    },
}

/// Why a link fell.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DownReason {
    /// The peer closed it, between two frames.
    #[error("the peer closed the link")]
    Closed,
    /// It ended in the middle of a frame, or a transport failed.
    #[error("the link broke: {0}")]
    Broken(String),
    /// No ping was answered for [`Limits::silence_ms_max`](crate::Limits::silence_ms_max).
    #[error("the peer is silent")]
    Silent,
    /// The peer announced a frame longer than we take.
    #[error("the peer announced a frame of {len} bytes, at most {max} are taken")]
    Oversize {
        /// Announced length.
        len: u32,
        /// Longest taken.
        max: usize,
    },
    /// A newer one took its place: the peer lost it before us, or started anew, or a direct link replaces a relayed one.
    #[error("a newer link took its place")]
    Replaced,
}

/// Why a link was not set up.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Failure {
    /// Somebody else answers there.
    #[error("{address} is answered by {found}, which is another key")]
    WrongPeer {
        /// Where.
        address: Multiaddr,
        /// Who answers.
        found: PeerId,
    },
    /// No address answers.
    #[error("{0}")]
    NoAnswer(String),
    /// It is the right peer, but its wire has another name: another version, kind or cluster.
    #[error("the peer speaks another version or serves another cluster")]
    OtherProtocol,
    /// It connected, but did not greet as agreed, or not in time.
    #[error("no proper greeting: {0}")]
    Greeting(String),
}

/// Room in a queue of frames, counted in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    /// `bytes`: checked by `Limits` to fit a semaphore and a longest frame.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    fn cost(len: usize) -> u32 {
        u32::try_from(len.saturating_add(FRAME_OVERHEAD)).unwrap_or(u32::MAX)
    }

    /// Waits for room. `None` never happens while a link holds the room: nobody closes it.
    pub(crate) async fn take(&self, len: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_many_owned(Self::cost(len)).await.ok()
    }

    /// Room if there is some now.
    pub(crate) fn try_take(&self, len: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_many_owned(Self::cost(len)).ok()
    }
}

/// What one peer's link has to say, in the order it must be heard.
#[derive(Debug)]
pub(crate) enum Heard {
    Up(Route),
    Frame {
        lane: Lane,
        frame: Bytes,
        /// Given back when the consumer takes the frame.
        _room: OwnedSemaphorePermit,
    },
    Down(DownReason),
}

/// The events of a wire. Whoever holds this must empty it: a consumer that does not read stops its peers' frames,
/// not this node's memory. Dropping it stops the node.
#[derive(Debug)]
pub struct Events {
    pub(crate) notices: mpsc::Receiver<Event>,
    pub(crate) heard: Vec<(ShareIndex, mpsc::Receiver<Heard>)>,
    /// Whose turn it is to be asked first.
    pub(crate) turn: usize,
}

impl Events {
    /// The next event; `None` when the wire has shut down and everything was taken.
    ///
    /// Peers are asked in turn, so that one that floods us delays the others by one frame each.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut open = match self.notices.poll_recv(context) {
            Poll::Ready(Some(notice)) => return Poll::Ready(Some(notice)),
            Poll::Ready(None) => false,
            Poll::Pending => true,
        };
        let peers = self.heard.len();
        for step in 0..peers {
            let at = (self.turn + step) % peers;
            let (peer, queue) = &mut self.heard[at];
            match queue.poll_recv(context) {
                Poll::Ready(Some(heard)) => {
                    self.turn = (at + 1) % peers;
                    return Poll::Ready(Some(event_of(*peer, heard)));
                }
                Poll::Ready(None) => {}
                Poll::Pending => open = true,
            }
        }
        if open { Poll::Pending } else { Poll::Ready(None) }
    }
}

fn event_of(peer: ShareIndex, heard: Heard) -> Event {
    match heard {
        Heard::Up(route) => Event::Up { peer, route },
        Heard::Frame { lane: Lane::Frames, frame, _room } => Event::Frame { peer, frame },
        Heard::Frame { lane: Lane::Bulk, frame, _room } => Event::Bulk { peer, frame },
        Heard::Down(reason) => Event::Down { peer, reason },
    }
}
