//! The loop around core: one task owns the [`Node`] and grants its wishes.
//!
//! ```text
//!   net, validator API, beacon nodes, journal, curve --> one bounded channel --> Node::handle
//!   Node::poll --> sealed frames to net; everything that takes time to a task whose result comes back
//! ```
//!
//! Nothing here decides anything: what is signed, when, and for whom is core's.

use crate::archive::Archive;
use crate::chain_side::ChainSide;
use crate::clock::now;
use crate::contents::Contents;
use crate::curve::Curve;
use crate::journal::Writer;
use crate::metrics::Metrics;
use crate::record::Recorded;
use crate::stops::Stops;
use bytes::Bytes;
use keys::identity::Operator;
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use symbolon_core::node::{ExitApproval, Node};
use symbolon_core::{Account, Answer, Ask, Ending, Input, Outcome, Output, RequestId, To, verdict};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use types::approval::{Kept, Standing};
use types::wire::{self, Instance, Message, Signed};
use types::{ChainSpec, ClusterId, ClusterSize, Machine as _, Millis, Root, ShareIndex, Slot};

/// Events that may wait for the loop. A slot of 22 operators is some 500; beyond this, senders wait.
pub const EVENTS_MAX: usize = 4096;

/// The loop looks around so often, though nothing is due.
const WAKE_MAX: Duration = Duration::from_secs(1);

/// What reaches the loop.
#[derive(Debug)]
pub enum Event {
    /// For the machine.
    Input(Input),
    /// A frame of an operator, as it came.
    Frame(ShareIndex, Bytes),
    /// A frame of the lane for payloads.
    Bulk(ShareIndex, Bytes),
    /// A question of the validator client.
    Ask(Ask, oneshot::Sender<Answer>),
    /// What is known of the duties of these slots? Changes nothing.
    Explain(RangeInclusive<Slot>, oneshot::Sender<Explanation>),
    /// Which exits are approved by whom? Changes nothing.
    Exits(oneshot::Sender<Vec<ExitApproval>>),
}

/// What a node knows of the duties of some slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The oldest and the newest slot that anything is known of; `None` before genesis.
    pub kept: Option<(Slot, Slot)>,
    /// Accounts of the slots that were asked about and are kept, in order.
    pub accounts: Vec<Account>,
}

impl Explanation {
    /// Asks a node. Slots that are not kept cost nothing, however many they are.
    pub fn of(node: &mut Node, slots: &RangeInclusive<Slot>) -> Self {
        let kept = node.kept();
        let Some((oldest, newest)) = kept else { return Self::default() };
        let (from, to) = ((*slots.start()).max(oldest), (*slots.end()).min(newest));
        Self { kept, accounts: (from.0..=to.0).flat_map(|slot| node.accounts(Slot(slot))).collect() }
    }
}

/// A way into the loop, for the shells around it.
#[derive(Clone, Debug)]
pub struct Door(mpsc::Sender<Event>);

impl Door {
    /// A door and the loop's end of it.
    pub fn new() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        (Self(sender), receiver)
    }

    /// Hands an event in; waits while the loop is behind. `false`: the loop has ended.
    pub async fn send(&self, event: Event) -> bool {
        self.0.send(event).await.is_ok()
    }

    /// The same from a thread that may block.
    pub fn send_blocking(&self, event: Event) -> bool {
        self.0.blocking_send(event).is_ok()
    }

    /// Asks for the validator client; `None` if the loop has ended.
    pub async fn ask(&self, ask: Ask) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        self.send(Event::Ask(ask, reply)).await;
        answer.await.ok()
    }
}

/// Everything the loop works with.
pub struct Engine {
    /// The machine, and who listens in.
    pub node: Recorded,
    /// `n` and `t`.
    pub size: ClusterSize,
    /// Which cluster.
    pub cluster: ClusterId,
    /// This operator's node key, and everybody's public ones.
    pub operator: Operator,
    /// The wire.
    pub wire: net::Handle,
    /// Beacon nodes.
    pub chain: Arc<ChainSide>,
    /// Payloads and blobs of blocks.
    pub contents: Arc<Contents>,
    /// The network.
    pub spec: Arc<ChainSpec>,
    /// The journal's thread.
    pub journal: Writer,
    /// Curve work.
    pub curve: Arc<Curve>,
    /// Why signing is stopped, on the disk.
    pub stops: Arc<Stops>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What is kept of approvals.
    pub archive: Archive,
    /// Is told of registrations that count from now on.
    pub registered: Registered,
    /// For results of tasks.
    pub door: Door,
}

/// Is told of registrations that count from now on.
pub type Registered = Box<dyn Fn(&[Standing]) + Send>;

/// The loop's own state beside the machine.
struct Loop {
    engine: Engine,
    requests: u64,
    replies: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    /// Own messages, to be handed back before anything else.
    own: VecDeque<wire::Verified>,
}

/// Runs until `stop`.
pub async fn run(engine: Engine, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
    let mut turn = Loop { engine, requests: 0, replies: BTreeMap::new(), own: VecDeque::new() };
    turn.input(Input::Tick);
    let mut ticked = true;
    loop {
        let step = next(&mut events, (turn.engine.node.wake_at(), ticked), &stop).await;
        ticked = matches!(step, Next::Tick);
        match step {
            Next::Tick => turn.input(Input::Tick),
            Next::Event(event) => turn.event(event),
            Next::End => return,
        }
    }
}

/// What the loop does next.
#[derive(Debug)]
enum Next {
    Tick,
    Event(Event),
    End,
}

/// What is due is not put off by a door at which there is always somebody; nor does a machine that always wants to be woken
/// keep everybody out: after a tick it is the door's turn.
async fn next(
    events: &mut mpsc::Receiver<Event>,
    (wake_at, ticked): (Option<Millis>, bool),
    stop: &CancellationToken,
) -> Next {
    let wake = wake_at.map_or(WAKE_MAX, until);
    if wake.is_zero() && !ticked && !stop.is_cancelled() {
        return Next::Tick;
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => Next::End,
        event = events.recv() => event.map_or(Next::End, Next::Event),
        () = tokio::time::sleep(wake) => Next::Tick,
    }
}

fn until(at: Millis) -> Duration {
    Duration::from_millis(at.since(now()).0)
}

impl Loop {
    fn event(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.input(input),
            Event::Frame(peer, frame) => self.frame(peer, &frame),
            Event::Bulk(peer, frame) => self.bulk(peer, frame),
            // Who asked may have hung up; then nobody misses the answer.
            Event::Explain(slots, reply) => {
                let _ = reply.send(Explanation::of(self.engine.node.node_mut(), &slots));
            }
            Event::Exits(reply) => {
                let _ = reply.send(self.engine.node.node().exits());
            }
            Event::Ask(ask, reply) => {
                self.requests += 1;
                let request = RequestId(self.requests);
                self.replies.insert(request, reply);
                self.input(Input::Ask { request, ask });
            }
        }
    }

    /// Shape and window first; signatures, which cost, last.
    fn frame(&mut self, peer: ShareIndex, frame: &[u8]) {
        let message = match wire::decode(frame) {
            Ok(message) => message,
            Err(error) => return self.refuse(peer, &error),
        };
        self.engine.metrics.frame_received(message.name());
        if !self.engine.node.node().wants(&message) {
            return;
        }
        let Engine { size, cluster, operator, .. } = &self.engine;
        match wire::verify(message, peer, *size, cluster, operator) {
            Ok(verified) => self.input(Input::Peer(verified)),
            Err(error) => self.refuse(peer, &error),
        }
    }

    /// The payload behind a block: read beside the loop, for that hashes megabytes.
    fn bulk(&self, peer: ShareIndex, frame: Bytes) {
        let answer = match wire::decode(&frame) {
            Ok(message) if !self.engine.node.node().wants(&message) => return,
            Ok(Message::Contents(answer)) => answer,
            Ok(_) => {
                return self.refuse(peer, &wire::FrameError::Shape("the lane for payloads carries payloads"));
            }
            Err(error) => return self.refuse(peer, &error),
        };
        self.engine.metrics.frame_received("contents");
        let (contents, spec) = (self.engine.contents.clone(), self.engine.spec.clone());
        let (metrics, wire) = (self.engine.metrics.clone(), self.engine.wire.clone());
        let slot = answer.id.instance.slot;
        let current = spec.slot_at(now()).unwrap_or_default();
        self.later(async move {
            let reading = tokio::task::spawn_blocking(move || contents.take(&spec, current, peer, &answer));
            match reading.await.ok().flatten() {
                Some(root) => Input::Contents { slot, root },
                None => {
                    metrics.frame_refused(peer);
                    wire.refused(peer);
                    tracing::debug!(%peer, %slot, "contents of another block than they say");
                    Input::Tick
                }
            }
        });
    }

    /// The payload of a block, if it is still at hand.
    fn send_contents(&self, to: To, instance: Instance, root: Root) {
        let (contents, wire) = (self.engine.contents.clone(), self.engine.wire.clone());
        let metrics = self.engine.metrics.clone();
        tokio::task::spawn_blocking(move || {
            let Some(answer) = contents.message(instance, root) else { return };
            let frame = Bytes::from(Message::Contents(answer).to_frame());
            metrics.frame_sent("contents");
            let failed = match to {
                To::All => wire.broadcast_bulk(&frame),
                To::One(peer) => {
                    wire.send_bulk(peer, frame).err().map(|error| (peer, error)).into_iter().collect()
                }
            };
            for (peer, error) in failed {
                tracing::debug!(%peer, %error, "contents not sent");
            }
        });
    }

    fn refuse(&self, peer: ShareIndex, error: &wire::FrameError) {
        self.engine.metrics.frame_refused(peer);
        self.engine.wire.refused(peer);
        tracing::debug!(%peer, %error, "frame refused");
    }

    fn input(&mut self, input: Input) {
        self.engine.node.handle(now(), input);
        loop {
            while let Some(output) = self.engine.node.poll() {
                self.grant(output);
            }
            let Some(own) = self.own.pop_front() else { return };
            self.engine.node.handle(now(), Input::Peer(own));
        }
    }

    fn grant(&mut self, output: Output) {
        match output {
            Output::Send { to, message } => self.send(to, message),
            Output::Reply { request, answer } => {
                if let Some(reply) = self.replies.remove(&request) {
                    // The client may have hung up; then nobody misses the answer.
                    let _ = reply.send(answer);
                }
            }
            Output::Journal { ticket, rows } => {
                if !self.engine.journal.write(ticket, rows) {
                    tracing::error!("the journal's thread is gone or hopelessly behind: nothing is signed");
                    self.later(async move { Input::Journaled { ticket, durable: false } });
                }
            }
            Output::Sign { ticket, jobs } => {
                let curve = self.engine.curve.clone();
                self.later(async move { Input::Signed { ticket, results: curve.complete(jobs).await } });
            }
            Output::Combine { ticket, jobs } => {
                let curve = self.engine.curve.clone();
                self.later(async move { Input::Combined { ticket, results: curve.combine(jobs).await } });
            }
            Output::VerifyGroup { ticket, key, root, signature } => {
                let curve = self.engine.curve.clone();
                self.later(async move {
                    Input::GroupVerified { ticket, valid: curve.verify(key, root, signature).await }
                });
            }
            Output::SendContents { to, instance, root } => self.send_contents(to, instance, root),
            Output::Evidence { author, first, second } => self.evidence(author, &first, &second),
            Output::Fault { peer, instance, fault } => {
                self.engine.metrics.fault(peer);
                tracing::warn!(%peer, %instance, ?fault, "an operator made a mistake");
            }
            Output::Outcome(outcome) => self.outcome(&outcome),
            Output::Closed(account) => self.engine.metrics.closed(&account),
            Output::Doppelgangers { validators, .. } => {
                self.remember(move |stops| stops.doppelgangers(&validators));
            }
            Output::SecondInstance { shown_by } => {
                tracing::error!(%shown_by, "an operator has shown that another process holds this node key");
                self.remember(|stops| stops.second_instance());
            }
            Output::RolledBack { shown_by, proof, until } => self.rolled_back(shown_by, &proof, until),
            Output::TwoProcesses { peer, first, second } => self.two_processes(peer, &first, &second),
            Output::Keep(kept) => self.keep(kept),
            Output::FetchDuties { .. }
            | Output::FetchVote { .. }
            | Output::FetchBlock { .. }
            | Output::FetchHeader { .. }
            | Output::FetchAggregates { .. }
            | Output::Subscribe { .. }
            | Output::FetchLiveness { .. }
            | Output::Submit { .. } => {
                let chain = self.engine.chain.clone();
                self.later(async move { chain.answer(output).await });
            }
        }
    }

    /// Runs a wish that takes time; its result comes back through the door.
    fn later(&self, work: impl Future<Output = Input> + Send + 'static) {
        let door = self.engine.door.clone();
        tokio::spawn(async move {
            let input = work.await;
            door.send(Event::Input(input)).await;
        });
    }

    /// Writes why signing is stopped, and tells the machine once that is on the disk.
    fn remember(&self, what: impl FnOnce(&Stops) -> Option<Input> + Send + 'static) {
        let stops = self.engine.stops.clone();
        self.later(async move {
            let told = tokio::task::spawn_blocking(move || what(&stops)).await;
            told.ok().flatten().unwrap_or(Input::Tick)
        });
    }

    fn rolled_back(&self, shown_by: ShareIndex, proof: &Signed, until: Slot) {
        self.engine.metrics.journal_rolled_back();
        tracing::error!(
            %shown_by,
            signed = %proof.statement.instance,
            hash = %proof.statement.hash,
            %until,
            "the journal is older than what this operator has signed: restored from a backup or a snapshot? Every validator's \
             watermarks were raised, and nothing is signed up to that slot. If nothing was restored, somebody else holds \
             this node's key"
        );
    }

    fn two_processes(&self, peer: ShareIndex, first: &Signed, second: &Signed) {
        self.engine.metrics.two_processes(peer);
        tracing::error!(
            %peer,
            first = %first.statement.hash,
            first_signature = %first.signature,
            second = %second.statement.hash,
            second_signature = %second.signature,
            "two processes of an operator run with one node key, or somebody else has its key: tell its operator"
        );
    }

    fn send(&mut self, to: To, message: Message) {
        let sealed = wire::seal(message, &self.engine.cluster, &self.engine.operator);
        let frame = Bytes::from(sealed.message().to_frame());
        let name = sealed.message().name();
        self.engine.metrics.frame_sent(name);
        let refused = match to {
            To::All => self.engine.wire.broadcast(&frame),
            To::One(peer) => {
                self.engine.wire.send(peer, frame).err().map(|error| (peer, error)).into_iter().collect()
            }
        };
        for (peer, error) in refused {
            tracing::debug!(%peer, %error, name, "frame not sent");
        }
        if to == To::All {
            self.own.push_back(sealed);
        }
    }

    fn keep(&self, kept: Kept) {
        if let Kept::Registered(standing) = &kept {
            for Standing { newest, .. } in standing {
                let message = &newest.message;
                tracing::info!(
                    key = %message.pubkey,
                    fee_recipient = %message.fee_recipient,
                    gas_limit = message.gas_limit,
                    "operators have approved whom a validator's blocks pay"
                );
            }
            (self.engine.registered)(standing);
        }
        self.engine.archive.keep(kept);
    }

    fn evidence(&self, author: ShareIndex, first: &Signed, second: &Signed) {
        self.engine.metrics.fault(author);
        tracing::error!(
            %author,
            instance = %first.statement.instance,
            first = %first.statement.hash,
            first_signature = %first.signature,
            second = %second.statement.hash,
            second_signature = %second.signature,
            "an operator signed two different things in one place: its key is misused or its node is broken"
        );
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.engine.metrics.outcome(outcome);
        let Outcome { instance, due, done, latency_ms, round, ending } = outcome;
        let name = ending.name();
        if *ending == Ending::Done {
            tracing::info!(%instance, due, done, latency_ms, round, ending = name, "duty");
            return;
        }
        let of_slot = self.engine.node.node_mut().accounts(instance.slot);
        let account = of_slot.iter().find(|account| account.instance == *instance);
        let blame = account.map(|account| verdict(account, &of_slot)).unwrap_or_default();
        let headline = ending.headline();
        tracing::warn!(%instance, due, done, latency_ms, round, ending = name, "duty not done: {headline}. {blame}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the loop does, by the first letters of it.
    async fn steps(events: &mut mpsc::Receiver<Event>, wake_at: Millis, count: usize) -> String {
        let (stop, mut ticked, mut told) = (CancellationToken::new(), true, String::new());
        for _ in 0..count {
            let step = next(events, (Some(wake_at), ticked), &stop).await;
            ticked = matches!(step, Next::Tick);
            told.push(if ticked { 'T' } else { 'E' });
        }
        told
    }

    #[tokio::test]
    async fn what_is_due_is_not_put_off_by_a_door_at_which_there_is_always_somebody() {
        let (door, mut events) = Door::new();
        for _ in 0..8 {
            assert!(door.send(Event::Input(Input::Tick)).await);
        }
        assert_eq!(steps(&mut events, now(), 6).await, "ETETET");
        let later = now().after(Millis(1_000_000));
        assert_eq!(steps(&mut events, later, 3).await, "EEE", "nothing is due");
    }

    #[tokio::test]
    async fn the_loop_ends_when_it_is_stopped_whatever_is_due() {
        let (door, mut events) = Door::new();
        assert!(door.send(Event::Input(Input::Tick)).await);
        let stop = CancellationToken::new();
        stop.cancel();
        for ticked in [false, true] {
            assert!(matches!(next(&mut events, (Some(now()), ticked), &stop).await, Next::End));
        }
    }
}
