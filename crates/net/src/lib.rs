//! libp2p: the authenticated private wire of one cluster.
//!
//! ```text
//!   Handle::send ----> outbox of peer 1 ---> link 1 writes ==\
//!                 \--> outbox of peer 3 ---> link 3 writes ==\\            one stream a peer,
//!                                                             swarm <====> both ways, over
//!   Events::next <---- inbox of peer 1 <---- link 1 reads ===//            TCP+noise+yamux or QUIC
//!              ^ ^---- inbox of peer 3 <---- link 3 reads ==//
//!              |                                 ^            |
//!              |                                 | verdict    | connections, pings
//!              \------- notices <--------------- hub <--------/
//!
//!   outbox, inbox   bounded in frames and in bytes, one each per peer
//!   notices         bounded; what does not fit is not told
//!   hub, links      one tokio task each
//! ```
//!
//! - **Who**: exactly the operators of the cluster. The handshake proves the other end's key; any other key is
//!   refused when the connection is established, before a single stream is negotiated. A stranger learns our
//!   public key, which the handshake shows to everybody, and nothing else.
//! - **How**: one stream a lane for each peer, both ways, opened once for each connection; frames with their length
//!   before them. Either side may dial. The operator with the lower position leads: it alone says which of
//!   several connections is the link (the words are in `link.rs`), so connections that cross never flap.
//! - **What is promised**: between [`Event::Up`] and [`Event::Down`] the frames of a peer arrive in order and
//!   without gaps. A frame that was taken by [`Handle::send`] arrives unless the link falls. Nothing is repeated
//!   on the next link.
//! - **What it costs**: for each peer at most two queues of [`Limits::queue_bytes_max`], two of
//!   [`Limits::bulk_bytes_max`], an unfinished frame a lane, and the windows of its connections (some 3 MiB a TCP
//!   connection, 15 MB a QUIC one, and less). A consumer that does not read its
//!   [`Events`] stops its peers, not this node; a peer that does not read fills its own outbox, and
//!   [`Handle::send`] says so. A peer that sends more than [`Limits::frames_per_second`], or what the consumer refuses, is
//!   read more slowly, so that no operator can take this one's processor.
//! - **Two lanes**: frames that must not wait, and bulk ([`Handle::send_bulk`]) that may. Each is a stream with queues
//!   of its own, so that a block's payload never stands before a vote.
//! - **Behind NAT**: a node with [`Config::relays`] keeps a reservation at each, is dialed through them by peers that
//!   cannot reach it, and dials so itself. The handshake is between the operators, inside of what the relay carries: the
//!   same gate, the same encryption. When a circuit opens both sides try to punch a hole (DCUtR); a direct connection
//!   takes the relayed one's place, as any newer link does. [`relay`] is the other end of it.
//! - **What is not here**: no discovery, no gossip, and no meaning of a frame. Without relays, no identify either.
//!
//! [`peers_file`] reads and writes `peers.toml`.

mod config;
mod crowd;
mod events;
mod handle;
mod hub;
mod lane;
mod link;
mod pace;
mod peer;
pub mod peers_file;
pub mod relay;
mod relays;
mod swarm;
mod wire;

pub use config::{
    ADDRESSES_MAX, AddressError, Config, FRAME_LEN_LIMIT, Identity, IdentityError, KIND_LEN_MAX, LISTEN_MAX,
    Limits, PeerSpec, Protocol, ProtocolError, StartError, check_address, peer_id,
};
pub use events::{DownReason, Event, Events, Failure, Route};
pub use handle::{AddError, Handle, PeerCounts, SendError};
pub use libp2p::{Multiaddr, PeerId};
pub use relays::{RELAYS_MAX, RelayError};

use handle::{PeerState, Shared};
use hub::Hub;
use peer::Peer;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::ShareIndex;

/// Notices that wait to be heard. Each is rare; a stranger who knocks for ever must not push anything out.
const NOTICES: usize = 256;
/// Addresses on their way to the hub. A cluster's operators move now and then, not all the time.
const WISHES: usize = 64;

/// Starts the wire: listens, and dials every peer until it is linked.
///
/// - Needs a tokio runtime with time and I/O; everything runs there until [`Handle::shutdown`], or until the
///   last [`Handle`] or the [`Events`] are dropped.
/// - Errors: see [`StartError`]; ports in use are found here, unreachable peers are [`Event::Unreachable`] later.
pub fn start(config: Config) -> Result<(Handle, Events), StartError> {
    let operators: Vec<(ShareIndex, PeerId)> = config.check()?;
    let others = operators.iter().filter(|(index, _)| *index != config.me);
    let by_id: BTreeMap<PeerId, ShareIndex> = others.map(|(index, id)| (*id, *index)).collect();
    let relays = relays::named(&config, &operators)?;
    let swarm = swarm::build(&config, by_id.clone(), relays.keys().copied().collect())?;

    let (notices, notices_out) = mpsc::channel(NOTICES);
    let (wishes_in, wishes) = mpsc::channel(WISHES);
    let (reporter, reports) = mpsc::channel(hub::REPORTS);
    let (mut peers, mut states, mut heard) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for ((index, id), spec) in operators.into_iter().zip(config.peers) {
        if index == config.me {
            continue;
        }
        let (inbox, inbox_out) = mpsc::channel(config.limits.queue_frames_max);
        let state = Arc::new(PeerState::new(id, &config.limits));
        peers.insert(index, Peer::new(Arc::clone(&state), spec.addresses, inbox, &config.limits));
        states.insert(index, state);
        heard.push((index, inbox_out));
    }
    let shared = Arc::new(Shared::new(config.limits, states));
    let (goodbye, abort) = (CancellationToken::new(), CancellationToken::new());
    let hub = Hub {
        swarm,
        me: config.me,
        limits: config.limits,
        peers,
        by_id,
        relays,
        shared: Arc::clone(&shared),
        notices,
        wishes,
        reports,
        reporter,
        greetings: JoinSet::new(),
        links: JoinSet::new(),
        goodbye: goodbye.clone(),
        abort: abort.clone(),
    };
    let task = tokio::spawn(hub.run());
    let handle = Handle::new(shared, wishes_in, goodbye, task, abort.drop_guard());
    Ok((handle, Events { notices: notices_out, heard, turn: 0 }))
}
