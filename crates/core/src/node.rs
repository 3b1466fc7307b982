//! An operator's whole mind: every duty of every slot, one machine.
//!
//! It finds the instance that an event belongs to and lets the duty speak; it starts duties when their slot
//! begins and forgets them when an epoch has passed. Bounds: duties of one epoch back and one slot ahead, and
//! [`EARLY_MAX`] messages per operator that came before their slot.

use crate::agree::Timers;
use crate::duty::attest::Attest;
use crate::duty::propose::Propose;
use crate::duty::{Desk, Event, Purpose, Tickets, View};
use crate::journal::{History, Journal};
use crate::schedule::Schedule;
use crate::{Answer, Ask, Input, Output, Refusal, RequestId, Ticket};
use std::collections::{BTreeMap, VecDeque};
use types::wire::{Instance, Kind, Message, Verified};
use types::{
    Address, ChainSpec, Checkpoint, ClusterSize, Generation, Machine, Millis, PublicKey, Root, ShareIndex,
    Slot,
};

/// A peer's clock may run ahead of ours by this much before its messages count as early (rule H1).
pub const CLOCK_AHEAD: Millis = Millis(500);

/// Messages kept per operator until their slot begins or its duties are known: one slot's messages of all kinds.
pub const EARLY_MAX: usize = 64;

/// One of the cluster's validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Its key.
    pub group_key: PublicKey,
    /// Whom its blocks pay.
    pub fee_recipient: Address,
}

/// What a node is built from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `n` and `t`.
    pub size: ClusterSize,
    /// This operator.
    pub me: ShareIndex,
    /// Which sharing of the keys.
    pub generation: Generation,
    /// The network.
    pub spec: ChainSpec,
    /// In the lock's order.
    pub validators: Vec<Validator>,
    /// Of agreement.
    pub timers: Timers,
    /// When this process started: it does not vote in what may have begun before (rule 11).
    pub started: Millis,
}

/// A duty that runs.
#[derive(Debug)]
enum Duty {
    Attest(Attest),
    Propose(Propose),
}

impl Duty {
    fn handle(&mut self, desk: &mut Desk<'_>, event: Event) {
        match self {
            Self::Attest(duty) => duty.handle(desk, event),
            Self::Propose(duty) => duty.handle(desk, event),
        }
    }

    fn wake_at(&self, spec: &ChainSpec) -> Option<Millis> {
        match self {
            Self::Attest(duty) => duty.wake_at(spec),
            Self::Propose(duty) => duty.wake_at(spec),
        }
    }

    fn outcome(&mut self, over: bool) -> Option<crate::Outcome> {
        match self {
            Self::Attest(duty) => duty.story.outcome(over),
            Self::Propose(duty) => duty.story.outcome(over),
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct Node {
    setup: Setup,
    /// Up to here this process only follows (rule 11); `None` if it started before genesis with an empty journal.
    follow_until: Option<Slot>,
    view: View,
    journal: Journal,
    schedule: Schedule,
    tickets: Tickets,
    duties: BTreeMap<Instance, Duty>,
    early: BTreeMap<ShareIndex, VecDeque<Verified>>,
    /// The last slot whose duties were begun.
    begun: Option<Slot>,
    out: VecDeque<Output>,
    now: Millis,
}

impl Node {
    /// Starts a node.
    ///
    /// - `histories`: what the journal on disk holds, one per validator.
    pub fn new(setup: Setup, histories: Vec<History>) -> Self {
        let keys: Vec<_> = setup.validators.iter().map(|validator| validator.group_key).collect();
        let journal = Journal::new(keys.clone(), histories);
        let at_start = setup.spec.slot_at(setup.started).map(Slot::next);
        let follow_until = at_start.max(journal.slot_max());
        let mut view = View::default();
        view.present.insert(setup.me);
        Self {
            follow_until,
            view,
            journal,
            schedule: Schedule::new(keys),
            tickets: Tickets::default(),
            duties: BTreeMap::new(),
            early: BTreeMap::new(),
            begun: None,
            out: VecDeque::new(),
            now: setup.started,
            setup,
        }
    }

    /// Whether a message is worth the cost of checking its signatures: inside the window, of our generation.
    pub fn wants(&self, message: &Message) -> bool {
        let instance = message.instance();
        instance.generation == self.setup.generation && self.in_window(instance.slot)
    }

    /// Up to here the node only follows what others decide.
    pub fn follow_until(&self) -> Option<Slot> {
        self.follow_until
    }

    /// H1: not before the slot's start - 0.5 s (one slot more is kept for later), not older than one epoch.
    fn in_window(&self, slot: Slot) -> bool {
        let spec = &self.setup.spec;
        let current = spec.slot_at(self.now.after(CLOCK_AHEAD)).unwrap_or(Slot(0));
        slot <= current.next() && slot.0 + spec.slots_per_epoch >= current.0
    }

    fn has_begun(&self, slot: Slot) -> bool {
        self.now.after(CLOCK_AHEAD) >= self.setup.spec.slot_start(slot)
    }

    /// The node's own things for one event of a duty, and the duties beside them.
    fn lend(&mut self) -> (Desk<'_>, &mut BTreeMap<Instance, Duty>) {
        let desk = Desk {
            now: self.now,
            setup: &self.setup,
            view: &self.view,
            journal: &mut self.journal,
            tickets: &mut self.tickets,
            out: &mut self.out,
        };
        (desk, &mut self.duties)
    }

    fn with(&mut self, instance: Instance, event: Event) {
        let (mut desk, duties) = self.lend();
        let Some(duty) = duties.get_mut(&instance) else { return };
        duty.handle(&mut desk, event);
        let outcome = duty.outcome(false);
        self.out.extend(outcome.map(Output::Outcome));
    }

    fn with_all(&mut self, event: impl Fn() -> Event) {
        for instance in self.duties.keys().copied().collect::<Vec<_>>() {
            self.with(instance, event());
        }
    }

    fn instance(&self, slot: Slot, kind: Kind) -> Instance {
        Instance::new(self.setup.generation, slot, kind)
    }

    /// Begins the duties of a slot that are known and have not begun.
    fn begin(&mut self, slot: Slot) {
        let follow_only = self.follow_until.is_some_and(|until| slot <= until);
        let attesters = self.schedule.attesters(&self.setup.spec, slot).to_vec();
        let proposer = self.schedule.proposer(&self.setup.spec, slot).cloned();
        let (attest, propose) = (self.instance(slot, Kind::Attest), self.instance(slot, Kind::Propose));
        let (mut desk, duties) = self.lend();
        let mut fresh = Vec::new();
        if let Some(due) = proposer
            && !duties.contains_key(&propose)
        {
            let duty = Propose::new(&mut desk, propose, &due, follow_only);
            duties.insert(propose, Duty::Propose(duty));
            fresh.push(propose);
        }
        if !attesters.is_empty() && !duties.contains_key(&attest) {
            let duty = Attest::new(&desk, attest, &attesters, follow_only);
            duties.insert(attest, Duty::Attest(duty));
            fresh.push(attest);
        }
        let head = self.view.head;
        for instance in fresh {
            self.with(instance, Event::Presence);
            self.with(instance, Event::Tick);
            if let Some((head_slot, root)) = head.filter(|(head_slot, _)| *head_slot == slot) {
                self.with(instance, Event::Input(Input::Head { slot: head_slot, root }));
            }
        }
    }

    /// Begins what is due now, asks for duties, forgets what is over.
    fn turn(&mut self) {
        let spec = &self.setup.spec;
        for epoch in self.schedule.ask(self.now, spec) {
            self.out.push_back(Output::FetchDuties { epoch });
        }
        let Some(slot) = spec.slot_at(self.now) else { return };
        let known = self.schedule.knows(spec, slot);
        if self.begun != Some(slot) && known {
            self.begin(slot);
            self.begun = Some(slot);
            self.retell_early();
        }
        let oldest = Slot(slot.0.saturating_sub(self.setup.spec.slots_per_epoch));
        let keep = self.duties.split_off(&Instance::new(Generation(0), oldest, Kind::Attest));
        for (_, mut duty) in std::mem::replace(&mut self.duties, keep) {
            self.out.extend(duty.outcome(true).map(Output::Outcome));
        }
    }

    fn retell_early(&mut self) {
        for (_, messages) in std::mem::take(&mut self.early) {
            for message in messages {
                self.peer(message);
            }
        }
    }

    fn peer(&mut self, message: Verified) {
        if !self.wants(message.message()) {
            return;
        }
        let instance = message.message().instance();
        let kind = if instance.kind == Kind::Randao { Kind::Propose } else { instance.kind };
        let home = Instance { kind, ..instance };
        if !self.duties.contains_key(&home) {
            let known = self.schedule.knows(&self.setup.spec, instance.slot);
            if !self.has_begun(instance.slot) || !known {
                return self.keep_early(message);
            }
            self.begin(instance.slot);
        }
        self.with(home, Event::Input(Input::Peer(message)));
    }

    fn keep_early(&mut self, message: Verified) {
        let kept = self.early.entry(message.sender()).or_default();
        if kept.len() == EARLY_MAX {
            kept.pop_front();
        }
        kept.push_back(message);
    }

    fn ask(&mut self, request: RequestId, ask: Ask) {
        let (slot, kind) = match &ask {
            Ask::Vote { slot } | Ask::Attestations { slot, .. } => (*slot, Kind::Attest),
            Ask::Block { slot, .. } | Ask::SignedBlock { slot, .. } => (*slot, Kind::Propose),
        };
        if self.has_begun(slot) && self.in_window(slot) {
            self.begin(slot);
        }
        let instance = self.instance(slot, kind);
        if self.duties.contains_key(&instance) {
            return self.with(instance, Event::Input(Input::Ask { request, ask }));
        }
        let answer = Answer::Refused(Refusal::NoDuty(slot));
        self.out.push_back(Output::Reply { request, answer });
    }

    fn presence(&mut self, peer: ShareIndex, up: bool) {
        let changed = if up { self.view.present.insert(peer) } else { self.view.present.remove(&peer) };
        if !changed {
            return;
        }
        self.with_all(|| Event::Presence);
        if up {
            self.with_all(|| Event::Reconnected(peer));
        }
    }

    fn head(&mut self, slot: Slot, root: Root) {
        self.view.know(root);
        if self.view.head.is_none_or(|(highest, _)| slot >= highest) {
            self.view.head = Some((slot, root));
        }
        self.with(self.instance(slot, Kind::Attest), Event::Input(Input::Head { slot, root }));
    }

    fn finalized(&mut self, checkpoint: Checkpoint) {
        if self.view.finalized.is_none_or(|finalized| checkpoint.epoch > finalized.epoch) {
            self.view.finalized = Some(checkpoint);
        }
    }

    fn result(&mut self, ticket: Ticket, input: Input) {
        let Some((instance, purpose)) = self.tickets.redeem(ticket) else { return };
        if instance.kind == Kind::Randao {
            return self.randao_result(instance, purpose, input);
        }
        // A duty that is over still settles its journal ticket, so that no permit lingers.
        if let (None, Purpose::Journal) = (self.duties.get(&instance), &purpose) {
            self.journal.settle(ticket, false);
        }
        self.with(instance, Event::Result(purpose, input));
    }

    fn randao_result(&mut self, instance: Instance, purpose: Purpose, input: Input) {
        let home = Instance { kind: Kind::Propose, ..instance };
        let (mut desk, duties) = self.lend();
        let Some(Duty::Propose(duty)) = duties.get_mut(&home) else { return };
        duty.randao_result(&mut desk, purpose, input);
    }
}

impl Machine for Node {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Millis, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => self.with_all(|| Event::Tick),
            Input::Duties { epoch, attesters, proposers } => {
                self.schedule.tell(epoch, attesters, proposers);
                self.retell_early();
            }
            Input::Head { slot, root } => self.head(slot, root),
            Input::BeaconVote { slot, vote } => {
                if let Some(vote) = &vote {
                    self.view.know(vote.beacon_block_root);
                }
                let event = Event::Input(Input::BeaconVote { slot, vote });
                self.with(self.instance(slot, Kind::Attest), event);
            }
            Input::Block { slot, block } => {
                self.with(self.instance(slot, Kind::Propose), Event::Input(Input::Block { slot, block }));
            }
            Input::Header { root, known } => {
                if known {
                    self.view.know(root);
                }
                self.with_all(|| Event::Input(Input::Header { root, known }));
            }
            Input::Finalized(checkpoint) => self.finalized(checkpoint),
            Input::Peer(message) => self.peer(message),
            Input::Presence { peer, up } => self.presence(peer, up),
            Input::Ask { request, ask } => self.ask(request, ask),
            Input::Journaled { ticket, .. }
            | Input::Signed { ticket, .. }
            | Input::Combined { ticket, .. }
            | Input::GroupVerified { ticket, .. }
            | Input::Submitted { ticket, .. } => self.result(ticket, input),
        }
        self.turn();
    }

    fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    fn wake_at(&self) -> Option<Millis> {
        let spec = &self.setup.spec;
        let next_slot = spec.slot_at(self.now).map(|slot| spec.slot_start(slot.next()));
        let schedule = Some(self.schedule.wake_at(self.now, spec));
        let duties = self.duties.values().filter_map(|duty| duty.wake_at(spec)).min();
        [next_slot, schedule, duties].into_iter().flatten().min()
    }
}
