//! An operator's whole mind: every duty of every slot, one machine.
//!
//! It finds the instance that an event belongs to and lets the duty speak; it starts duties when their slot
//! begins and forgets them when an epoch has passed. Bounds: duties of one epoch back and one slot ahead, selection
//! proofs of two epochs ahead, one approval of each operator for each validator, [`EARLY_MAX`] messages per operator
//! that came before their slot, and accounts of [`ACCOUNT_EPOCHS`] epochs.

mod accounts;
mod approve;
mod begin;
mod duties;

pub use crate::approve::ExitApproval;
pub use accounts::ACCOUNT_EPOCHS;

use crate::agree::Timers;
use crate::agree::rules::follow_until;
use crate::approve::STATED_AHEAD;
use crate::boot::Boots;
use crate::doppelganger::Sightings;
use crate::duty::attest::Attest;
use crate::duty::exit::Exits;
use crate::duty::gather::Gather;
use crate::duty::propose::Propose;
use crate::duty::registration::Registrations;
use crate::duty::select::Select;
use crate::duty::{Board, Desk, Event, Purpose, Tickets, View};
use crate::held::Held;
use crate::journal::{History, Journal};
use crate::mutants::Rules;
use crate::outcome::Story;
use crate::registry::Registry;
use crate::schedule::Schedule;
use crate::unscheduled::{Unscheduled, Waiting};
use crate::{Answer, Ask, DependentRoots, Input, Obstacle, Output, Refusal, RequestId, Ticket};
use accounts::Past;
use approve::is_approved;
use duties::Duties;
use ssz::Encode as _;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::selection::SUBCOMMITTEES;
use types::wire::{Instance, Kind, Message, Verified};
use types::{
    Address, ChainSpec, Checkpoint, ClusterSize, Epoch, Generation, Machine, Millis, PublicKey, Root,
    ShareIndex, Slot,
};

mod protection;

/// A peer's clock may run ahead of ours by this much before its messages count as early (rule H1).
pub const CLOCK_AHEAD: Millis = Millis(500);

/// Messages kept per operator until their slot begins or its duties are known: one slot's messages of all kinds, and
/// the selection proofs of an epoch whose duties are not known yet.
pub const EARLY_MAX: usize = 128;

/// Bytes of them: a blinded block with its justification is less than one mebibyte.
pub const EARLY_LEN_MAX: usize = 4 << 20;

/// Epochs ahead for which selection proofs are taken: clients ask for the next epoch, and clocks differ.
pub const SELECTION_EPOCHS: u64 = 2;

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
    /// Keys of the relays whose builders' blocks are signed; none: local blocks only.
    pub relays: BTreeSet<PublicKey>,
    /// Of agreement.
    pub timers: Timers,
    /// All, but in tests of tests.
    pub rules: Rules,
    /// When this process started: it does not vote in what may have begun before (rule 11).
    pub started: Millis,
}

/// A duty that runs.
#[derive(Debug)]
enum Duty {
    Attest(Box<Attest>),
    Propose(Box<Propose>),
    Select(Box<Select>),
    Gather(Box<Gather>),
}

impl Duty {
    /// Takes an event. `true` if the board has news.
    fn handle(&mut self, desk: &mut Desk<'_>, event: Event) -> bool {
        match self {
            Self::Attest(duty) => return duty.handle(desk, event),
            Self::Select(duty) => return duty.handle(desk, event),
            Self::Propose(duty) => duty.handle(desk, event),
            Self::Gather(duty) => duty.handle(desk, event),
        }
        false
    }

    fn wake_at(&self, spec: &ChainSpec) -> Option<Millis> {
        match self {
            Self::Attest(duty) => duty.wake_at(spec),
            Self::Propose(duty) => duty.wake_at(spec),
            Self::Select(duty) => duty.wake_at(),
            Self::Gather(duty) => duty.wake_at(spec),
        }
    }

    /// The stories that it tells: its own, and that of what lives inside it.
    fn stories(&mut self) -> Vec<&mut Story> {
        match self {
            Self::Attest(duty) => vec![&mut duty.deal.story, &mut duty.sync.story],
            Self::Propose(duty) => vec![&mut duty.deal.story, &mut duty.randao_story],
            Self::Select(duty) => vec![&mut duty.story],
            Self::Gather(duty) => vec![duty.story()],
        }
    }
}

/// The instance whose duty takes care of this one's partials.
const fn home(kind: Kind) -> Kind {
    match kind {
        Kind::Randao => Kind::Propose,
        Kind::SyncMessage => Kind::Attest,
        Kind::Attest
        | Kind::Propose
        | Kind::Aggregate
        | Kind::Contribute
        | Kind::Selection
        | Kind::SyncSelection
        | Kind::Exit
        | Kind::Registration => kind,
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
    board: Board,
    duties: Duties,
    exits: Exits,
    registrations: Registrations,
    early: BTreeMap<ShareIndex, VecDeque<Verified>>,
    unscheduled: Unscheduled,
    past: Past,
    boots: Boots,
    held: Held,
    sightings: Sightings,
    /// The last slot whose duties were begun.
    begun: Option<Slot>,
    /// The last slot at whose beginning what is over was closed.
    closed: Option<Slot>,
    out: VecDeque<Output>,
    now: Millis,
}

impl Node {
    /// Starts a node.
    ///
    /// - `histories`: what the journal on disk holds, one per validator.
    pub fn new(setup: Setup, histories: Vec<History>) -> Self {
        let keys: Vec<_> = setup.validators.iter().map(|validator| validator.group_key).collect();
        let journal = Journal::new(keys.clone(), histories).under(setup.rules);
        let follow_until = follow_until(setup.rules, setup.spec.slot_at(setup.started), journal.slot_max());
        let started = setup.spec.slot_at(setup.started).unwrap_or_default();
        let held = Held::new(setup.me, started, &journal);
        let view = View::new(setup.me, Registry::new(&setup.validators));
        Self {
            follow_until,
            view,
            journal,
            schedule: Schedule::new(keys),
            tickets: Tickets::default(),
            board: Board::default(),
            duties: Duties::default(),
            exits: Exits::new(setup.size.threshold()),
            registrations: Registrations::new(setup.size.threshold()),
            early: BTreeMap::new(),
            unscheduled: Unscheduled::default(),
            past: Past::default(),
            boots: Boots::new(setup.me, setup.generation).under(setup.rules),
            held,
            sightings: Sightings::new(setup.size, setup.validators.len(), setup.started).under(setup.rules),
            begun: None,
            closed: None,
            out: VecDeque::new(),
            now: setup.started,
            setup,
        }
    }

    /// Whether a message is worth the cost of checking its signatures: inside the window, of our generation.
    pub fn wants(&self, message: &Message) -> bool {
        let instance = message.instance();
        if let Message::Held(signed) = message {
            // However long ago it was signed.
            return instance.generation == self.setup.generation && self.proves_loss(signed);
        }
        // The proof of a second process is as good as it was when its answer was given.
        let timeless = matches!(message, Message::Overlap(_));
        let items_max = self.setup.validators.len().saturating_mul(SUBCOMMITTEES as usize);
        let small = !matches!(message, Message::Partial(partials) if partials.partials.len() > items_max);
        instance.generation == self.setup.generation
            && small
            && (timeless || self.in_window(instance.slot, instance.kind))
    }

    /// Up to here the node only follows what others decide.
    pub fn follow_until(&self) -> Option<Slot> {
        self.follow_until
    }

    /// H1: not before the slot's start - 0.5 s (one slot more is kept for later), not older than one epoch. Selection
    /// proofs come ahead of their slot; exits name an epoch that has begun, and statements their time, however long ago.
    fn in_window(&self, slot: Slot, kind: Kind) -> bool {
        let spec = &self.setup.spec;
        let current = spec.slot_at(self.now.after(CLOCK_AHEAD)).unwrap_or(Slot(0));
        let newest = match kind {
            Kind::Selection | Kind::SyncSelection => {
                let epoch = Epoch(spec.epoch_of(current).0.saturating_add(SELECTION_EPOCHS + 1));
                Slot(spec.epoch_start(epoch).0.saturating_sub(1))
            }
            Kind::Registration => spec.slot_at(self.now.after(STATED_AHEAD)).unwrap_or(Slot(0)),
            _ => current.next(),
        };
        slot <= newest && (is_approved(kind) || slot.0 + spec.slots_per_epoch >= current.0)
    }

    fn has_begun(&self, slot: Slot) -> bool {
        self.now.after(CLOCK_AHEAD) >= self.setup.spec.slot_start(slot)
    }

    /// The node's own things for one event of a duty, and the duties beside them.
    fn lend(&mut self) -> (Desk<'_>, &mut Duties) {
        let desk = Desk {
            now: self.now,
            setup: &self.setup,
            view: &mut self.view,
            board: &mut self.board,
            journal: &mut self.journal,
            tickets: &mut self.tickets,
            out: &mut self.out,
        };
        (desk, &mut self.duties)
    }

    fn with(&mut self, instance: Instance, event: Event) {
        let (mut desk, duties) = self.lend();
        let Some(duty) = duties.get_mut(&instance) else { return };
        if let Event::Presence = event {
            let (now, present) = (desk.now, &desk.view.present);
            duty.stories().into_iter().for_each(|story| story.met(now, present));
        }
        let news = duty.handle(&mut desk, event);
        let outcomes: Vec<_> = duty.stories().into_iter().filter_map(|story| story.outcome(false)).collect();
        self.out.extend(outcomes.into_iter().map(Output::Outcome));
        self.duties.set_alarm(&self.setup.spec, &instance);
        if news {
            for kind in [Kind::Aggregate, Kind::Contribute] {
                self.with(Instance { kind, ..instance }, Event::Board);
            }
        }
    }

    fn with_all(&mut self, event: impl Fn() -> Event) {
        for instance in self.duties.instances().copied().collect::<Vec<_>>() {
            self.with(instance, event());
        }
    }

    fn instance(&self, slot: Slot, kind: Kind) -> Instance {
        Instance::new(self.setup.generation, slot, kind)
    }

    /// Begins what is due now, asks for duties, forgets what is over.
    fn turn(&mut self) {
        let spec = &self.setup.spec;
        for epoch in self.schedule.ask(self.now, spec) {
            self.out.push_back(Output::FetchDuties { epoch });
        }
        self.watch_processes();
        self.watch_liveness();
        let spec = &self.setup.spec;
        let Some(slot) = spec.slot_at(self.now) else { return };
        let known = self.schedule.knows(spec, slot);
        if self.begun != Some(slot) && known {
            self.begin(slot);
            self.begun = Some(slot);
            self.retell_early();
        }
        if self.closed != Some(slot) {
            self.close(slot);
            self.closed = Some(slot);
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
        if self.hear_of_processes(&message) || self.hear_of_loss(&message) {
            return;
        }
        self.held.keep(message.sender(), message.message());
        let instance = message.message().instance();
        if is_approved(instance.kind) {
            return self.with_approvals(instance.kind, Event::Input(Input::Peer(message)));
        }
        let home = Instance { kind: home(instance.kind), ..instance };
        let ahead = matches!(instance.kind, Kind::Selection | Kind::SyncSelection);
        if !self.duties.contains(&home) {
            let known = self.schedule.knows(&self.setup.spec, instance.slot);
            if !known || !(ahead || self.has_begun(instance.slot)) {
                return self.keep_early(message);
            }
            if ahead { self.begin_select(instance.slot, instance.kind) } else { self.begin(instance.slot) }
        }
        self.note(instance, &message);
        self.with(home, Event::Input(Input::Peer(message)));
    }

    fn keep_early(&mut self, message: Verified) {
        // Nobody has asked for a value yet.
        if matches!(
            message.message(),
            Message::Fetch(_) | Message::FetchContents(_) | Message::Value(_) | Message::Contents(_)
        ) {
            return;
        }
        let len = |message: &Verified| message.message().ssz_bytes_len();
        let kept = self.early.entry(message.sender()).or_default();
        kept.push_back(message);
        while kept.len() > EARLY_MAX || kept.iter().map(len).sum::<usize>() > EARLY_LEN_MAX {
            kept.pop_front();
        }
    }

    /// The duty that a question is about; `None` if it is about what operators approve.
    fn subject(&self, ask: &Ask) -> Option<Instance> {
        let (slot, kind) = match ask {
            Ask::Vote { slot }
            | Ask::Attestations { slot, .. }
            | Ask::HeadRoot { slot }
            | Ask::SyncMessages { slot, .. } => (*slot, Kind::Attest),
            Ask::Block { slot, .. } | Ask::SignedBlock { slot, .. } => (*slot, Kind::Propose),
            Ask::Selections { kind, slot, .. }
            | Ask::Aggregate { kind, slot, .. }
            | Ask::SignedAggregates { kind, slot, .. } => (*slot, *kind),
            Ask::Exit { .. } | Ask::Register { .. } | Ask::Approvals => return None,
        };
        Some(self.instance(slot, kind))
    }

    /// Keeps a question until its slot's duties are known, or refuses the oldest that waits.
    fn keep_unscheduled(&mut self, waiting: Waiting) {
        if let Some(oldest) = self.unscheduled.keep(waiting) {
            self.refuse_unscheduled(&oldest);
        }
    }

    fn refuse_unscheduled(&mut self, waiting: &Waiting) {
        let answer = Answer::Refused(Refusal::NoDuty(waiting.slot));
        self.out.push_back(Output::Reply { request: waiting.request, answer });
    }

    /// Asks again what waited for duties that are known now, and refuses what has waited long enough.
    fn retell_unscheduled(&mut self) {
        for waiting in self.unscheduled.take() {
            if self.schedule.knows(&self.setup.spec, waiting.slot) {
                self.ask(waiting.request, waiting.ask);
            } else if self.now >= waiting.until {
                self.refuse_unscheduled(&waiting);
            } else {
                self.keep_unscheduled(waiting);
            }
        }
    }

    fn ask(&mut self, request: RequestId, ask: Ask) {
        let Some(instance) = self.subject(&ask) else {
            return self.ask_approval(request, ask);
        };
        let Instance { slot, kind, .. } = instance;
        if let Some(reason) = self.journal.stops().forbids(kind) {
            let stopped = self.duties.get_mut(&instance).map(Duty::stories);
            stopped.into_iter().flatten().for_each(|story| story.blocked(Obstacle::Stopped));
            let answer = Answer::Refused(Refusal::Stopped(reason));
            return self.out.push_back(Output::Reply { request, answer });
        }
        let over = self.setup.spec.slot_start(slot.next()) <= self.now;
        if self.in_window(slot, kind) && !over && !self.schedule.knows(&self.setup.spec, slot) {
            let until = self.now.after(Millis(self.setup.spec.slot_ms));
            return self.keep_unscheduled(Waiting { request, ask, slot, until });
        }
        let event = Event::Input(Input::Ask { request, ask });
        if self.in_window(slot, kind) {
            match kind {
                Kind::Selection | Kind::SyncSelection => self.begin_select(slot, kind),
                _ if self.has_begun(slot) => self.begin(slot),
                _ => {}
            }
        }
        if self.duties.contains(&instance) {
            return self.with(instance, event);
        }
        let answer = Answer::Refused(Refusal::NoDuty(slot));
        self.out.push_back(Output::Reply { request, answer });
    }

    fn presence(&mut self, peer: ShareIndex, up: bool) {
        let changed = if up { self.view.present.insert(peer) } else { self.view.present.remove(&peer) };
        if !changed {
            return;
        }
        if up {
            self.show_held(peer);
        }
        self.sightings.presence(self.now, peer, up);
        self.boots.presence(self.now, peer, up);
        self.with_all(|| Event::Presence);
        if up {
            self.with_all(|| Event::Reconnected(peer));
            for kind in [Kind::Exit, Kind::Registration] {
                self.with_approvals(kind, Event::Reconnected(peer));
            }
        }
    }

    fn head(&mut self, slot: Slot, root: Root, dependent: Option<DependentRoots>) {
        self.view.know(root);
        self.with_all(|| Event::Input(Input::Header { root, known: true }));
        if let Some(roots) = dependent {
            self.schedule.head(&self.setup.spec, slot, roots);
        }
        if self.view.head.is_none_or(|(highest, _)| slot >= highest) {
            self.view.head = Some((slot, root));
        }
        let head = Input::Head { slot, root, dependent };
        self.with(self.instance(slot, Kind::Attest), Event::Input(head));
    }

    fn finalized(&mut self, checkpoint: Checkpoint) {
        if self.view.finalized.is_none_or(|finalized| checkpoint.epoch > finalized.epoch) {
            self.view.finalized = Some(checkpoint);
        }
    }

    fn result(&mut self, ticket: Ticket, input: Input) {
        let Some((instance, purpose)) = self.tickets.redeem(ticket) else { return };
        if is_approved(instance.kind) {
            return self.with_approvals(instance.kind, Event::Result(instance, purpose, input));
        }
        let home = Instance { kind: home(instance.kind), ..instance };
        // A duty that is over still settles its journal ticket, so that no permit lingers.
        if !self.duties.contains(&home) && matches!(purpose, Purpose::Journal) {
            self.journal.settle(ticket, false);
        }
        self.with(home, Event::Result(instance, purpose, input));
    }

    /// Duties came: what was waiting for them is told, and what they change is.
    fn duties(&mut self) {
        let selections: Vec<_> = self
            .duties
            .instances()
            .filter(|instance| matches!(instance.kind, Kind::Selection | Kind::SyncSelection))
            .filter(|instance| !self.has_begun(instance.slot))
            .copied()
            .collect();
        for Instance { slot, kind, .. } in selections {
            self.begin_select(slot, kind);
        }
        for kind in [Kind::Exit, Kind::Registration] {
            self.with_approvals(kind, Event::Tick);
        }
        self.retell_early();
        self.retell_unscheduled();
    }
}

impl Machine for Node {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Millis, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {
                for instance in self.duties.due(self.now) {
                    self.with(instance, Event::Tick);
                }
                self.retell_unscheduled();
            }
            Input::Duties { epoch, attesters, proposers, sync } => {
                self.schedule.tell(self.now, epoch, attesters, proposers, sync);
                self.duties();
            }
            Input::Head { slot, root, dependent } => self.head(slot, root, dependent),
            Input::BeaconVote { slot, votes } => {
                for vote in &votes {
                    self.view.know(vote.beacon_block_root);
                }
                let event = Event::Input(Input::BeaconVote { slot, votes });
                self.with(self.instance(slot, Kind::Attest), event);
            }
            Input::Block { slot, offer } => {
                self.with(self.instance(slot, Kind::Propose), Event::Input(Input::Block { slot, offer }));
            }
            Input::Contents { slot, root } => {
                let event = Event::Input(Input::Contents { slot, root });
                self.with(self.instance(slot, Kind::Propose), event);
            }
            Input::Aggregates { kind, slot, aggregates } => {
                let event = Event::Input(Input::Aggregates { kind, slot, aggregates });
                self.with(self.instance(slot, kind), event);
            }
            Input::Header { root, known } => {
                if known {
                    self.view.know(root);
                }
                self.with_all(|| Event::Input(Input::Header { root, known }));
            }
            Input::Finalized(checkpoint) => self.finalized(checkpoint),
            Input::Recall(kept) => self.recall(kept),
            Input::Peer(message) => {
                if self.wants(message.message()) {
                    let (from, message) = (message.sender(), message.message());
                    self.sightings.hear(self.now, &self.setup.spec, from, message);
                }
                self.peer(message);
            }
            Input::Presence { peer, up } => self.presence(peer, up),
            Input::Ask { request, ask } => self.ask(request, ask),
            Input::Journaled { ticket, .. }
            | Input::Signed { ticket, .. }
            | Input::Combined { ticket, .. }
            | Input::GroupVerified { ticket, .. }
            | Input::Submitted { ticket, .. } => self.result(ticket, input),
            Input::Born { boot } => self.boots.born(boot),
            Input::Stop(reason) => self.stop(&reason),
            Input::Resume(reason) => self.resume(&reason),
            Input::Liveness { epoch, live } => self.liveness(epoch, live),
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
        let duties = self.duties.wake_at();
        let unscheduled = self.unscheduled.wake_at();
        let boots = self.boots.wake_at();
        [next_slot, schedule, duties, unscheduled, boots].into_iter().flatten().min()
    }
}
