//! The one task that owns the swarm: who is dialed when, which connection is the link, who is silent.

use crate::config::{ADDRESSES_MAX, LISTEN_MAX, Limits};
use crate::events::{DownReason, Event, Failure, Heard, Route};
use crate::handle::{NewAddress, Shared, count};
use crate::lane::Lane;
use crate::link::{self, Link, Wish};
use crate::peer::{Connection, Peer, Standing, without_peer};
use crate::relays::Relay;
use crate::swarm::{Network, NetworkEvent};
use crate::wire::{NotAnOperator, Opened, WireEvent};
use futures::StreamExt;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, Swarm, ping};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use types::ShareIndex;

/// How often the hub looks at its clock. The first wait before dialing again is a small multiple of it.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// A link that stood so long shows that dialing works, so the next wait is short again.
const STEADY: Duration = Duration::from_secs(10);
/// Results of tasks on their way to the hub. A task waits for its turn.
pub(crate) const REPORTS: usize = 64;

/// What a task tells the hub.
pub(crate) enum Report {
    /// A greeting went well; for the leader, up to GO.
    Greeted { peer: ShareIndex, connection: ConnectionId, stream: Stream, wish: Wish },
    /// It did not.
    NotGreeted { peer: ShareIndex, connection: ConnectionId, error: String },
    /// A link is over.
    Ended { peer: ShareIndex, connection: ConnectionId },
}

/// See the module.
pub(crate) struct Hub {
    pub(crate) swarm: Swarm<Network>,
    pub(crate) me: ShareIndex,
    pub(crate) limits: Limits,
    pub(crate) peers: BTreeMap<ShareIndex, Peer>,
    pub(crate) by_id: BTreeMap<PeerId, ShareIndex>,
    pub(crate) relays: BTreeMap<PeerId, Relay>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) notices: mpsc::Sender<Event>,
    pub(crate) wishes: mpsc::Receiver<NewAddress>,
    pub(crate) reports: mpsc::Receiver<Report>,
    pub(crate) reporter: mpsc::Sender<Report>,
    pub(crate) greetings: JoinSet<()>,
    pub(crate) links: JoinSet<()>,
    /// Ends everything in order.
    pub(crate) goodbye: CancellationToken,
    /// Ends everything at once.
    pub(crate) abort: CancellationToken,
}

impl Hub {
    /// Runs until it is told to end, or nobody listens any more.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        // A node that got no processor for a while has not waited for its peers all that time.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (abort, goodbye) = (self.abort.clone(), self.goodbye.clone());
        loop {
            tokio::select! {
                () = abort.cancelled() => return,
                () = goodbye.cancelled() => break,
                () = self.notices.closed() => return,
                event = self.swarm.select_next_some() => self.on_swarm(event),
                Some(report) = self.reports.recv() => self.on_report(report),
                Some(wish) = self.wishes.recv() => self.on_address(wish),
                Some(_) = self.greetings.join_next() => {}
                Some(_) = self.links.join_next() => {}
                _ = tick.tick() => self.on_tick(),
            }
        }
        self.farewell().await;
    }

    /// Lets every link write what waits and hear that it was read, within a bound.
    async fn farewell(mut self) {
        self.greetings.abort_all();
        self.reports.close();
        for peer in self.peers.values() {
            peer.state.shut_any();
        }
        let deadline = tokio::time::sleep(link::FAREWELL + link::FAREWELL);
        tokio::pin!(deadline);
        while !self.links.is_empty() {
            tokio::select! {
                () = self.abort.cancelled() => return,
                () = &mut deadline => return,
                _ = self.links.join_next() => {}
                _ = self.swarm.select_next_some() => {}
            }
        }
    }

    /// Tells what may be missed: the queue holds the first of them when nobody reads.
    pub(crate) fn notice(&self, event: Event) {
        if self.notices.try_send(event).is_err() {
            tracing::trace!("a notice of the wire was not heard");
        }
    }

    // --- the swarm's events

    fn on_behaviour(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Wire(event) => self.on_wire(event),
            NetworkEvent::Ping(event) => self.on_ping(&event),
            NetworkEvent::Relay(event) => self.on_relay_event(&event),
            NetworkEvent::Identify(event) => self.on_identify(&event),
            // The connection that it makes comes to us as any other does.
            NetworkEvent::Punch(event) => match event.result {
                Ok(_) => tracing::debug!(peer = %event.remote_peer_id, "a hole was punched"),
                Err(error) => tracing::debug!(peer = %event.remote_peer_id, %error, "no hole was punched"),
            },
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<NetworkEvent>) {
        let Some(event) = self.on_relay(event) else { return };
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let route = if endpoint.is_relayed() { Route::Relayed } else { Route::Direct };
                self.on_established(peer_id, connection_id, route);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.on_closed(peer_id, connection_id);
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error: ListenError::Denied { cause },
                ..
            } => {
                if let Ok(NotAnOperator(id)) = cause.downcast() {
                    count(&self.shared.strangers, 1);
                    self.notice(Event::Stranger { id, from: send_back_addr });
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id: Some(id), error } => {
                self.on_dial_error(id, connection_id, error);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.shared.listening().retain(|known| *known != address);
            }
            SwarmEvent::ListenerClosed { reason: Err(e), .. } => tracing::error!("a listener closed: {e}"),
            // The enum is libp2p's and open; what is left needs no answer.
            _ => {}
        }
    }

    fn on_listening(&mut self, address: Multiaddr) {
        {
            let mut listening = self.shared.listening();
            // A wildcard listens on every interface; more of them than this are not worth telling.
            if listening.len() >= LISTEN_MAX * LISTEN_MAX || listening.contains(&address) {
                return;
            }
            listening.push(address.clone());
        }
        self.notice(Event::Listening(address));
    }

    fn on_established(&mut self, id: PeerId, connection: ConnectionId, route: Route) {
        let Some(peer) = self.by_id.get(&id).and_then(|index| self.peers.get_mut(index)) else { return };
        if peer.dialing == Some(connection) {
            peer.dialing = None;
            peer.shunned.clear();
        }
        peer.connections.insert(connection, Connection::new(route));
    }

    fn on_closed(&mut self, id: PeerId, connection: ConnectionId) {
        let Some(index) = self.by_id.get(&id).copied() else { return };
        let Some(peer) = self.peers.get_mut(&index) else { return };
        if peer.connections.remove(&connection).is_none() {
            return;
        }
        if peer.links_on(connection) {
            // What it has brought may still be read; nothing more goes out.
            peer.state.shut(connection);
            self.lost(index);
        } else if peer.link.is_none() && peer.connections.is_empty() {
            peer.dial_later(&self.limits);
        }
    }

    fn on_dial_error(&mut self, id: PeerId, connection: ConnectionId, error: DialError) {
        let Some(index) = self.by_id.get(&id).copied() else { return };
        let Some(peer) = self.peers.get_mut(&index) else { return };
        if peer.dialing != Some(connection) {
            return;
        }
        peer.dialing = None;
        if peer.link.is_none() {
            peer.dial_later(&self.limits);
            peer.try_the_other_way();
        }
        let reason = match error {
            DialError::WrongPeerId { obtained, address } => {
                peer.shun(&address);
                Failure::WrongPeer { address: without_peer(&address), found: obtained }
            }
            DialError::LocalPeerId { address } => {
                peer.shun(&address);
                Failure::WrongPeer { address: without_peer(&address), found: *self.swarm.local_peer_id() }
            }
            other => Failure::NoAnswer(sentence(&other)),
        };
        if peer.link.is_none() && peer.connections.is_empty() {
            tracing::debug!("operator {index} is not reached: {reason}");
            self.notice(Event::Unreachable { peer: index, reason });
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        let Some(peer) = self.by_id.get(&event.peer).and_then(|index| self.peers.get_mut(index)) else {
            if event.result.is_ok() {
                self.on_relay_pong(event.peer, event.connection);
            }
            return;
        };
        let links = peer.links_on(event.connection);
        // A failed ping needs no answer here: the ticks go on.
        if let (Ok(rtt), Some(connection)) = (&event.result, peer.connections.get_mut(&event.connection)) {
            connection.silent_ticks = 0;
            if links {
                peer.state.set_rtt(*rtt);
            }
        }
    }

    // --- greetings and links

    fn on_wire(&mut self, event: WireEvent) {
        let WireEvent { peer: index, connection, lane, opened } = event;
        let Some(peer) = self.peers.get_mut(&index) else { return };
        let Some(known) = peer.connections.get_mut(&connection) else { return };
        if lane == Lane::Bulk {
            let door = known.bulk_door.take();
            match (opened, door) {
                (Opened::Stream(stream), Some(door)) => {
                    count(&peer.state.counts.streams, 1);
                    door.open(stream);
                }
                (Opened::OtherProtocol, _) => tracing::debug!("operator {index} takes no bulk"),
                (Opened::Failed(error), _) => {
                    tracing::debug!("no lane for bulk to operator {index}: {error}")
                }
                (Opened::Stream(_), None) => {}
            }
            return;
        }
        match opened {
            Opened::Stream(stream) => {
                count(&peer.state.counts.streams, 1);
                let asked = Greeting { peer: index, connection, stream };
                let ours = (index < self.me).then_some(peer.wish);
                let bound = Duration::from_millis(self.limits.silence_ms_max);
                self.greetings.spawn(asked.run(ours, bound, self.reporter.clone()));
            }
            Opened::OtherProtocol => self.fail(index, connection, Failure::OtherProtocol),
            Opened::Failed(error) => self.fail(index, connection, Failure::Greeting(error)),
        }
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Greeted { peer, connection, stream, wish } => {
                self.on_greeted(peer, connection, stream, wish);
            }
            Report::NotGreeted { peer, connection, error } => {
                self.fail(peer, connection, Failure::Greeting(error));
            }
            Report::Ended { peer: index, connection } => {
                let links = self.peers.get(&index).is_some_and(|peer| peer.links_on(connection));
                self.close(index, connection);
                if links {
                    self.lost(index);
                }
            }
        }
    }

    fn on_greeted(&mut self, index: ShareIndex, connection: ConnectionId, stream: Stream, wish: Wish) {
        let leads = self.me < index;
        let Some(peer) = self.peers.get_mut(&index) else { return };
        let Some(route) = peer.connections.get(&connection).map(|connection| connection.route) else {
            return;
        };
        if let Some(standing) = peer.link.take() {
            let straighter = route == Route::Direct && standing.route == Route::Relayed;
            // Only the leader chooses. The follower has heard its GO, which is the newer choice.
            if leads && !straighter && !wish.supersedes(standing.wish) {
                peer.link = Some(standing);
                self.close(index, connection);
                return;
            }
            peer.state.shut(standing.connection);
            let _ = standing.verdict.send(DownReason::Replaced);
            self.close(index, standing.connection);
        }
        self.install(index, connection, stream, wish);
    }

    fn install(&mut self, index: ShareIndex, connection: ConnectionId, stream: Stream, wish: Wish) {
        let Some(peer) = self.peers.get_mut(&index) else { return };
        let Some(known) = peer.connections.get_mut(&connection) else { return };
        // A connection becomes a link once; a second time it would have no lane for bulk.
        let bulk = known.bulk.take().unwrap_or_else(|| link::bulk_lane().1);
        let route = known.route;
        let (sender, verdict) = oneshot::channel();
        peer.link = Some(Standing { connection, route, wish, since: Instant::now(), verdict: sender });
        peer.way = route;
        peer.straighten_later();
        let leads = self.me < index;
        if !leads {
            peer.wish = wish;
        }
        let link = Link {
            connection,
            route,
            stream,
            bulk,
            leads,
            peer: Arc::clone(&peer.state),
            heard: peer.heard.clone(),
            rooms_in: peer.rooms_in.clone(),
            limits: self.limits,
            verdict,
            goodbye: self.goodbye.clone(),
        };
        let task = run_link(link, index, Arc::clone(&peer.turn), self.reporter.clone());
        self.links.spawn(task);
    }

    /// A connection came to nothing. It is told only if nothing better is there or on its way.
    fn fail(&mut self, index: ShareIndex, connection: ConnectionId, reason: Failure) {
        let Some(peer) = self.peers.get_mut(&index) else { return };
        let known = peer.connections.contains_key(&connection);
        if !known || peer.links_on(connection) {
            return;
        }
        let alone = peer.link.is_none() && peer.connections.len() == 1;
        if alone {
            peer.try_the_other_way();
        }
        self.close(index, connection);
        if alone {
            tracing::debug!("operator {index} is not linked: {reason}");
            self.notice(Event::Unreachable { peer: index, reason });
        }
    }

    /// The link is gone: our next wish is a new one.
    fn lost(&mut self, index: ShareIndex) {
        let Some(peer) = self.peers.get_mut(&index) else { return };
        let Some(standing) = peer.link.take() else { return };
        peer.wish.lost = peer.wish.lost.saturating_add(1);
        if standing.since.elapsed() >= STEADY {
            peer.attempts = 0;
        }
        peer.dial_later(&self.limits);
    }

    /// Forgets a connection and has the swarm close it. That may take the swarm long where the peer is dead.
    fn close(&mut self, index: ShareIndex, connection: ConnectionId) {
        let Some(peer) = self.peers.get_mut(&index) else { return };
        if peer.connections.remove(&connection).is_none() {
            return;
        }
        self.swarm.close_connection(connection);
        if peer.link.is_none() && peer.connections.is_empty() {
            peer.dial_later(&self.limits);
        }
    }

    // --- time

    fn on_tick(&mut self) {
        let now = Instant::now();
        let limit_ticks = self.limits.silence_ms_max.div_ceil(TICK.as_millis() as u64);
        let indices: Vec<ShareIndex> = self.peers.keys().copied().collect();
        for index in indices {
            self.watch(index, limit_ticks);
            self.dial_if_due(index, now);
        }
        self.tick_relays(now);
    }

    /// Condemns connections that are silent, or that became no link in time.
    fn watch(&mut self, index: ShareIndex, limit_ticks: u64) {
        let Some(peer) = self.peers.get_mut(&index) else { return };
        let link = peer.link.as_ref().map(|link| link.connection);
        let mut condemned = Vec::new();
        for (id, connection) in &mut peer.connections {
            connection.silent_ticks += 1;
            connection.age_ticks += 1;
            let late = link != Some(*id) && connection.age_ticks > limit_ticks;
            if late || connection.silent_ticks > limit_ticks {
                condemned.push(*id);
            }
        }
        for id in condemned {
            if link == Some(id) {
                self.silence(index, id);
            } else {
                self.fail(index, id, Failure::Greeting("not in time".to_owned()));
            }
        }
    }

    fn silence(&mut self, index: ShareIndex, connection: ConnectionId) {
        let Some(peer) = self.peers.get_mut(&index) else { return };
        peer.state.shut(connection);
        let Some(standing) = peer.link.as_mut() else { return };
        let (unused, _) = oneshot::channel();
        let _ = std::mem::replace(&mut standing.verdict, unused).send(DownReason::Silent);
        self.close(index, connection);
        self.lost(index);
    }

    fn dial_if_due(&mut self, index: ShareIndex, now: Instant) {
        let due = self.peers.get(&index).filter(|peer| peer.is_due(now));
        let Some(id) = due.map(|peer| peer.state.id) else { return };
        let circuits = self.circuits_to(id);
        let Some(peer) = self.peers.get_mut(&index) else { return };
        let targets = peer.targets(circuits);
        if targets.is_empty() {
            return;
        }
        if peer.link.is_some() {
            peer.straighten_later();
        }
        // A new port each time: two dials that cross on their listening ports would be one TCP connection
        // with two dialers. The swarm may still hold a connection that we have condemned.
        let options = DialOpts::peer_id(id)
            .condition(PeerCondition::Always)
            .addresses(targets)
            .allocate_new_port()
            .build();
        let connection = options.connection_id();
        peer.dialing = Some(connection);
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_error(id, connection, error);
        }
    }

    fn on_address(&mut self, wish: NewAddress) {
        let Some(peer) = self.peers.get_mut(&wish.peer) else { return };
        peer.addresses.retain(|known| *known != wish.address);
        peer.shunned.retain(|known| *known != wish.address);
        if peer.addresses.len() >= ADDRESSES_MAX {
            peer.addresses.remove(0);
        }
        peer.addresses.push(wish.address);
        peer.attempts = 0;
        peer.way = Route::Direct;
        peer.dial_at = Instant::now();
        self.dial_if_due(wish.peer, Instant::now());
    }
}

/// A fresh stream to greet on.
struct Greeting {
    peer: ShareIndex,
    connection: ConnectionId,
    stream: Stream,
}

impl Greeting {
    /// `ours`: our wish, where we follow.
    async fn run(self, ours: Option<Wish>, bound: Duration, reporter: mpsc::Sender<Report>) {
        let Self { peer, connection, mut stream } = self;
        let greeting = async {
            match ours {
                Some(wish) => link::answer(&mut stream, wish).await.map(|()| wish),
                None => link::greet(&mut stream).await,
            }
        };
        let report = match tokio::time::timeout(bound, greeting).await {
            Ok(Ok(wish)) => Report::Greeted { peer, connection, stream, wish },
            Ok(Err(e)) => Report::NotGreeted { peer, connection, error: e.to_string() },
            Err(_) => Report::NotGreeted { peer, connection, error: "not in time".to_owned() },
        };
        // Nobody to report to: the wire has ended.
        let _ = reporter.send(report).await;
    }
}

/// A link from its first to its last event.
async fn run_link(mut link: Link, index: ShareIndex, turn: Arc<Mutex<()>>, reporter: mpsc::Sender<Report>) {
    let _turn = turn.lock_owned().await;
    let (connection, state, heard) = (link.connection, Arc::clone(&link.peer), link.heard.clone());
    let began = link.begin().await;
    let stood = began.is_some();
    let mut reason = None;
    if let Some(outbox) = began
        && heard.send(Heard::Up(link.route)).await.is_ok()
    {
        reason = link.carry(outbox).await;
    }
    state.shut(connection);
    let _ = reporter.send(Report::Ended { peer: index, connection }).await;
    if stood && let Some(reason) = reason {
        tracing::debug!("the link to operator {index} fell: {reason}");
        let _ = heard.send(Heard::Down(reason)).await;
    }
}

/// A dial's error in one line.
pub(crate) fn sentence(error: &DialError) -> String {
    let tried = match error {
        DialError::Transport(tried) => tried,
        // The swarm leaves out the addresses that it listens on itself.
        DialError::NoAddresses => return "no address but our own".to_owned(),
        _ => return error.to_string(),
    };
    let each: Vec<String> =
        tried.iter().map(|(address, e)| format!("{}: {e}", without_peer(address))).collect();
    format!("no answer ({})", each.join("; "))
}
