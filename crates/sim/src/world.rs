//! The world: persons, a queue of events, and the seed that orders them.

use crate::chain::{Chain, Genesis};
use crate::client::Client;
use crate::curve::{Curve as _, Symbolic};
use crate::disk::Disk;
use crate::judges::{Sight, Violation, duties, journal, slashable};
use crate::network::Network;
use crate::person::{Person, Side};
use crate::villains::{Habit, equivocator, mute};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use symbolon_core::agree::Timers;
use symbolon_core::node::{Node, Setup as NodeSetup, Validator};
use symbolon_core::{
    Ask, CombineJob, Combined, Input, Outcome, Output, RequestId, SignJob, Submission, Ticket, To,
};
use types::attestation::SingleAttestation;
use types::block::ProposedBlock;
use types::duty::AttesterDuty;
use types::offer::Offer;
use types::wire::{self, Instance, Message, Verified};
use types::{
    Address, ChainSpec, DomainType, Generation, Machine as _, Millis, PublicKey, Root, ShareIndex, Signature,
    SigningRoot, Slot, ValidatorIndex, ValidatorNo,
};

pub use crate::setup::Setup;

/// The cluster's id in the jar.
const CLUSTER: Root = Root([0xc1; 32]);
/// Whom blocks pay in the jar.
const FEE_RECIPIENT: Address = Address([0xfe; 20]);
/// Nodes start this long before genesis, so that nobody counts as restarted.
const LEAD: Millis = Millis(10_000);
/// An ordinary validator's block is there this long after its slot began.
const ORDINARY_BLOCK: Millis = Millis(30);

/// What is in the queue.
#[derive(Debug)]
enum Event {
    /// A message arrives.
    Frame { from: usize, frame: Vec<u8> },
    /// A result arrives at the person who wished for it, if it still lives that life.
    Input { life: u64, input: Input },
    /// The payload of another operator's block arrives.
    Contents { slot: Slot, root: Root },
    /// A write is on the disk, if its writer still lives that life.
    Synced { life: u64, ticket: Ticket },
    /// A machine wants to be woken.
    Wake,
    /// The person's beacon node learns of a block.
    Head { slot: Slot, root: Root },
    /// The person's validator client acts on a slot's attestation deadline.
    AttestDeadline(Slot),
    /// A slot begins at the person's validator client.
    SlotStart(Slot),
    /// Ordinary validators attest for the slot before. Not for any person.
    Ordinary(Slot),
    /// An ordinary validator proposes. Not for any person.
    OrdinaryBlock(Slot),
    /// The person's process dies.
    Crash,
    /// The person's process starts.
    Start,
}

/// A line of a run's story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Millis,
    /// Who.
    pub who: ShareIndex,
    /// What, in words.
    pub what: String,
}

/// The world.
#[derive(Debug)]
pub struct World {
    setup: Setup,
    /// The chain.
    pub chain: Chain,
    spec: ChainSpec,
    persons: Vec<Person>,
    network: Network,
    queue: BTreeMap<(Millis, u64), (usize, Event)>,
    sequence: u64,
    now: Millis,
    trace: Sha256,
    slashable: slashable::Slashable,
    journal: journal::Journal,
    asked: BTreeSet<(usize, Slot)>,
    /// Blocks with their payloads, and who holds them.
    contents: BTreeMap<Root, (ProposedBlock, BTreeSet<usize>)>,
    /// When the block of a slot was imported.
    arrivals: BTreeMap<Slot, Millis>,
    /// When each operator first held a group signature of an instance.
    pub signed: BTreeMap<(Instance, ShareIndex), Millis>,
    /// Operators for which there is evidence, with how much.
    pub evidence: BTreeMap<ShareIndex, usize>,
    /// How duties ended, by operator.
    pub outcomes: Vec<(ShareIndex, Outcome)>,
    /// The story so far.
    pub story: Vec<Line>,
}

impl World {
    /// A world just before its genesis.
    pub fn new(setup: Setup) -> Self {
        let spec = setup.spec();
        let count = setup.validators + setup.ordinary;
        let validators = (0..count).map(|number| Symbolic.group_key(ValidatorNo(number))).collect();
        let chain = Chain::new(Genesis { spec: spec.clone(), validators, seed: setup.seed });
        let network = Network::new(setup.delay, ChaCha8Rng::seed_from_u64(setup.seed));
        let mut world = Self {
            slashable: slashable::Slashable::new(spec.clone(), setup.size.threshold()),
            persons: people(&setup),
            chain,
            network,
            queue: BTreeMap::new(),
            sequence: 0,
            now: Millis(spec.genesis_time_ms - LEAD.0),
            trace: Sha256::new(),
            journal: journal::Journal::default(),
            asked: BTreeSet::new(),
            contents: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            signed: BTreeMap::new(),
            evidence: BTreeMap::new(),
            outcomes: Vec::new(),
            story: Vec::new(),
            spec,
            setup,
        };
        if world.setup.parted {
            world.part(Millis(0), Millis(u64::MAX / 2));
        }
        for person in 0..world.persons.len() {
            if world.setup.habits[world.persons[person].operator.position()] != Habit::Mute {
                world.push(world.now, person, Event::Start);
            }
        }
        world.push(world.spec.slot_start(Slot(0)), usize::MAX, Event::Ordinary(Slot(0)));
        world
    }

    /// The network of the chain.
    pub const fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The time.
    pub const fn now(&self) -> Millis {
        self.now
    }

    /// Parts those who stand left from those who stand right, for a while.
    pub fn part(&mut self, from: Millis, until: Millis) {
        let right = |(number, person): (usize, &Person)| (person.stands == Side::Right).then_some(number);
        let side = self.persons.iter().enumerate().filter_map(right).collect();
        self.network.partitions.push(crate::network::Partition { side, from, until });
    }

    /// An operator's process dies, and starts again if `back` is given.
    pub fn kill(&mut self, operator: ShareIndex, at: Millis, back: Option<Millis>) {
        for number in 0..self.persons.len() {
            if self.persons[number].operator == operator {
                self.push(at, number, Event::Crash);
                if let Some(back) = back {
                    self.push(back, number, Event::Start);
                }
            }
        }
    }

    /// Runs until a slot begins.
    pub fn run_to(&mut self, slot: Slot) {
        let end = self.spec.slot_start(slot);
        while let Some((&(at, _), _)) = self.queue.first_key_value() {
            if at >= end {
                break;
            }
            let ((at, _), (person, event)) = self.queue.pop_first().expect("just seen");
            self.now = at;
            self.step(person, event);
        }
        self.now = end;
    }

    /// What the judges of safety have found so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.slashable.violations.iter().chain(&self.journal.violations).cloned().collect()
    }

    /// Duties of the cluster that are due in these slots and not in the chain.
    pub fn missed(&self, slots: std::ops::RangeInclusive<u64>) -> Vec<Violation> {
        let ours = |who: ValidatorIndex| who.0 < u64::from(self.setup.validators);
        duties::missed(&self.chain, slots, ours)
    }

    /// A hash of everything that happened, in order.
    pub fn trace_hash(&self) -> Root {
        Root(self.trace.clone().finalize().into())
    }

    /// When a slot's block was imported: beacon nodes know the head then, each after its own delay.
    pub fn imported(&self, slot: Slot) -> Option<Millis> {
        self.arrivals.get(&slot).copied()
    }

    fn push(&mut self, at: Millis, person: usize, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (person, event));
    }

    fn tell(&mut self, person: usize, what: impl FnOnce() -> String) {
        let who = self.persons[person].operator;
        self.story.push(Line { at: self.now, who, what: what() });
    }

    fn step(&mut self, person: usize, event: Event) {
        self.trace.update(self.now.0.to_le_bytes());
        self.trace.update((person as u64).to_le_bytes());
        match event {
            Event::Ordinary(slot) => self.ordinary(slot),
            Event::Crash => self.crash(person),
            Event::Start => self.start(person),
            Event::Frame { from, frame } => self.frame(person, from, &frame),
            Event::Contents { slot, root } => self.hold(person, slot, root),
            Event::Input { life, input } if life == self.persons[person].life => self.input(person, input),
            Event::Synced { life, ticket } if life == self.persons[person].life => {
                self.synced(person, ticket);
            }
            Event::Input { .. } | Event::Synced { .. } => {}
            Event::OrdinaryBlock(slot) => self.ordinary_block(slot),
            Event::Wake => {
                self.persons[person].wake = None;
                self.input(person, Input::Tick);
            }
            Event::Head { slot, root } => {
                self.input(person, Input::Head { slot, root, dependent: None });
                self.client_attests(person, slot);
            }
            Event::AttestDeadline(slot) => self.client_attests(person, slot),
            Event::SlotStart(slot) => self.slot_start(person, slot),
        }
    }

    fn start(&mut self, person: usize) {
        let keys: Vec<PublicKey> =
            (0..self.setup.validators).map(|number| Symbolic.group_key(ValidatorNo(number))).collect();
        let validators =
            keys.iter().map(|key| Validator { group_key: *key, fee_recipient: FEE_RECIPIENT }).collect();
        let setup = NodeSetup {
            size: self.setup.size,
            me: self.persons[person].operator,
            generation: Generation(0),
            spec: self.spec.clone(),
            validators,
            relays: BTreeSet::new(),
            timers: Timers::default(),
            started: self.now,
        };
        let histories = self.persons[person].disk.histories(&keys);
        self.persons[person].node = Some(Node::new(setup, histories));
        self.persons[person].life += 1;
        self.meet(person);
        self.input(person, Input::Tick);
        let slot = self.spec.slot_at(self.now).map_or(Slot(0), Slot::next);
        self.push(self.spec.slot_start(slot), person, Event::SlotStart(slot));
    }

    /// Connections between a person who has come up and all others who are.
    fn meet(&mut self, person: usize) {
        for other in self.audience(person) {
            let (me, them) = (self.persons[person].operator, self.persons[other].operator);
            self.input(person, Input::Presence { peer: them, up: true });
            self.input(other, Input::Presence { peer: me, up: true });
        }
    }

    fn crash(&mut self, person: usize) {
        let others = self.audience(person);
        let me = self.persons[person].operator;
        self.persons[person].node = None;
        self.persons[person].disk.crash();
        self.tell(person, || "dies".into());
        for other in others {
            self.input(other, Input::Presence { peer: me, up: false });
        }
    }

    fn audience(&self, person: usize) -> Vec<usize> {
        let me = &self.persons[person];
        let listens = |(number, other): (usize, &Person)| {
            let hears = number != person && other.node.is_some() && me.talks_with(other);
            (hears && other.operator != me.operator).then_some(number)
        };
        self.persons.iter().enumerate().filter_map(listens).collect()
    }

    fn input(&mut self, person: usize, input: Input) {
        let now = self.now;
        let Some(node) = self.persons[person].node.as_mut() else { return };
        node.handle(now, input);
        while let Some(output) = self.persons[person].node.as_mut().and_then(types::Machine::poll) {
            self.grant(person, output);
        }
        let wake = self.persons[person].node.as_ref().and_then(types::Machine::wake_at);
        let planned = self.persons[person].wake;
        if let Some(at) = wake.map(|at| at.max(now))
            && planned.is_none_or(|planned| at < planned || planned < now)
        {
            self.persons[person].wake = Some(at);
            self.push(at, person, Event::Wake);
        }
    }

    fn soon(&mut self, person: usize, input: Input) {
        let life = self.persons[person].life;
        self.push(self.now, person, Event::Input { life, input });
    }

    fn grant(&mut self, person: usize, output: Output) {
        match output {
            Output::FetchDuties { epoch } => {
                let ours = self.setup.validators as usize;
                let attesters = self.chain.attesters(epoch);
                let attesters = attesters.into_iter().filter(|duty| (duty.validator_index.0 as usize) < ours);
                let attesters = Some(attesters.collect());
                let proposers = Some(self.chain.proposers(epoch));
                let sync = Some(Vec::new());
                self.soon(person, Input::Duties { epoch, attesters, proposers, sync });
            }
            Output::FetchVote { slot } => {
                let head = self.head_of(person);
                let votes = vec![self.chain.vote(slot, head)];
                self.soon(person, Input::BeaconVote { slot, votes });
            }
            Output::FetchBlock { slot, randao } => {
                let block = self.produce(person, slot, randao);
                let blinded = block.blind(self.spec.preset).expect("a block that was just made");
                self.contents.insert(block.root, (block, BTreeSet::from([person])));
                let offer = Offer::new(blinded, None).ok();
                self.soon(person, Input::Block { slot, offer });
            }
            Output::SendContents { instance, root } => self.send_contents(person, instance.slot, root),
            Output::FetchAggregates { kind, slot, .. } => {
                self.soon(person, Input::Aggregates { kind, slot, aggregates: Vec::new() });
            }
            // Nobody approves anything in this world.
            Output::Subscribe { .. } | Output::Keep(_) => {}
            Output::FetchHeader { root } => {
                let known = self.chain.block(&root).is_some();
                self.soon(person, Input::Header { root, known });
            }
            Output::Send { to, message } => self.send(person, to, message),
            Output::Journal { ticket, rows } => {
                self.persons[person].disk.write(ticket, rows);
                let life = self.persons[person].life;
                self.push(self.now.after(self.setup.sync), person, Event::Synced { life, ticket });
            }
            Output::Sign { ticket, jobs } => {
                let operator = self.persons[person].operator;
                let results = jobs.into_iter().map(|job| complete(operator, job)).collect();
                self.soon(person, Input::Signed { ticket, results });
            }
            Output::Combine { ticket, jobs } => {
                let results = jobs.iter().map(|job| combine(self.setup.size.threshold(), job)).collect();
                self.soon(person, Input::Combined { ticket, results });
            }
            Output::VerifyGroup { ticket, key, root, signature } => {
                let valid = Symbolic.verify(&key, &root, &signature);
                self.soon(person, Input::GroupVerified { ticket, valid });
            }
            Output::Submit { ticket, submission } => self.submit(person, ticket, submission),
            Output::Reply { request, answer } => self.reply(person, request, &answer),
            Output::Evidence { author, .. } => {
                *self.evidence.entry(author).or_default() += 1;
                self.tell(person, || format!("has evidence against #{author}"));
            }
            Output::Fault { peer, fault, .. } => self.tell(person, || format!("blames #{peer}: {fault:?}")),
            Output::Outcome(outcome) => {
                let who = self.persons[person].operator;
                self.tell(person, || format!("{}: {:?}", outcome.instance, outcome.ending));
                self.outcomes.push((who, outcome));
            }
        }
    }

    /// The branch that a person's beacon node knows: blocks that are older than its delay.
    fn head_of(&self, person: usize) -> Root {
        let delay = self.persons[person].head_delay;
        let mut root = self.chain.head();
        while root != self.chain.origin() {
            let record = self.chain.block(&root).expect("a branch ends at genesis");
            if self.imported_at(record.slot).after(delay) <= self.now {
                break;
            }
            root = record.parent;
        }
        root
    }

    fn imported_at(&self, slot: Slot) -> Millis {
        self.arrivals.get(&slot).copied().unwrap_or(Millis(0))
    }

    fn produce(&mut self, person: usize, slot: Slot, randao: Signature) -> ProposedBlock {
        let head = self.head_of(person);
        let me = &self.persons[person];
        let mut graffiti = [0; 32];
        graffiti[0] = me.operator.get();
        graffiti[1] = me.side as u8;
        self.chain.produce(&Symbolic, slot, head, randao, Root(graffiti), FEE_RECIPIENT)
    }

    /// The payload of an own block goes to everybody, behind all messages.
    fn send_contents(&mut self, person: usize, slot: Slot, root: Root) {
        for other in self.audience(person) {
            let at = self.network.arrival(self.now, person, other);
            self.push(at, other, Event::Contents { slot, root });
        }
    }

    fn hold(&mut self, person: usize, slot: Slot, root: Root) {
        if let Some((_, holders)) = self.contents.get_mut(&root) {
            holders.insert(person);
        }
        self.input(person, Input::Contents { slot, root });
    }

    fn send(&mut self, person: usize, to: To, message: Message) {
        let me = &self.persons[person];
        let (operator, honest) = (me.operator, me.honest);
        let sealed = wire::seal(message, &CLUSTER, &me.key());
        let sight = Sight::Sent { at: self.now, author: operator, honest, message: sealed.message() };
        self.slashable.see(sight);
        self.journal.see(sight);
        let frame = sealed.message().to_frame();
        self.trace.update(Sha256::digest(&frame));
        self.tell(person, || describe(sealed.message(), to));
        for other in self.audience(person) {
            if to == To::All || to == To::One(self.persons[other].operator) {
                let arrival = self.network.arrival(self.now, person, other);
                self.push(arrival, other, Event::Frame { from: person, frame: frame.clone() });
            }
        }
        if to == To::All {
            self.hear(person, sealed);
        }
    }

    /// Own messages come back at once, before anything else happens to the machine.
    fn hear(&mut self, person: usize, message: Verified) {
        let now = self.now;
        if let Some(node) = self.persons[person].node.as_mut() {
            node.handle(now, Input::Peer(message));
        }
    }

    fn frame(&mut self, person: usize, from: usize, frame: &[u8]) {
        let sender = self.persons[from].operator;
        let Some(node) = self.persons[person].node.as_ref() else { return };
        let message = wire::decode(frame).expect("nodes in the jar speak the wire's language");
        if !node.wants(&message) {
            return;
        }
        let key = self.persons[person].key();
        let verified = wire::verify(message, sender, self.setup.size, &CLUSTER, &key);
        let verified = verified.expect("nodes in the jar sign what they send");
        self.input(person, Input::Peer(verified));
    }

    fn synced(&mut self, person: usize, ticket: Ticket) {
        let Some(rows) = self.persons[person].disk.sync(ticket) else { return };
        if self.persons[person].honest {
            let operator = self.persons[person].operator;
            self.journal.see(Sight::Durable { at: self.now, operator, rows: &rows });
        }
        self.input(person, Input::Journaled { ticket, durable: true });
    }

    fn submit(&mut self, person: usize, ticket: Ticket, submission: Submission) {
        let slot = self.spec.slot_at(self.now).unwrap_or(Slot(0));
        let operator = self.persons[person].operator;
        let mut taken = true;
        match submission {
            Submission::Attestations(attestations) => {
                let slots: BTreeSet<_> = attestations.iter().map(|signed| signed.data.slot).collect();
                for signed in attestations {
                    let single = SingleAttestation {
                        committee_index: signed.duty.committee_index,
                        attester_index: signed.duty.validator_index,
                        data: signed.data,
                        signature: signed.signature,
                    };
                    let instance = Instance::new(Generation(0), signed.data.slot, wire::Kind::Attest);
                    self.signed.entry((instance, operator)).or_insert(self.now);
                    taken &= self.chain.attest(&Symbolic, slot, &single).is_ok();
                }
                for slot in slots {
                    self.tell(person, || format!("attest@{slot}: submits the signature"));
                }
            }
            Submission::SyncMessages(_) | Submission::Aggregates(_) | Submission::Exit(_) => taken = false,
            Submission::Block { offer, signature } => {
                let (slot, root) = (offer.block().slot, offer.block().root);
                let instance = Instance::new(Generation(0), slot, wire::Kind::Propose);
                self.signed.entry((instance, operator)).or_insert(self.now);
                self.tell(person, || format!("propose@{slot}: submits the block"));
                // Who holds the payload publishes it; to the others' beacon nodes it comes from there.
                let held = self.contents.get(&root).filter(|(_, holders)| holders.contains(&person));
                taken = match held.map(|(block, _)| block.clone()) {
                    Some(block) => self.import(&block, &signature),
                    None => self.chain.block(&root).is_some(),
                };
            }
        }
        self.soon(person, Input::Submitted { ticket, taken });
    }

    fn import(&mut self, block: &ProposedBlock, signature: &Signature) -> bool {
        let slot = self.spec.slot_at(self.now).unwrap_or(Slot(0));
        match self.chain.propose(&Symbolic, slot, block, signature) {
            Ok(()) => {}
            Err(crate::chain::Rejection::Known) => return true,
            Err(_) => return false,
        }
        self.arrivals.insert(block.slot, self.now);
        for person in 0..self.persons.len() {
            let at = self.now.after(self.persons[person].head_delay);
            self.push(at, person, Event::Head { slot: block.slot, root: block.root });
        }
        true
    }

    fn slot_start(&mut self, person: usize, slot: Slot) {
        let next = slot.next();
        self.push(self.spec.slot_start(next), person, Event::SlotStart(next));
        if self.persons[person].node.is_none() {
            return;
        }
        // The machine's own tick for this slot comes first, as it would from a punctual clock.
        self.input(person, Input::Tick);
        let due = self.spec.attestation_due(slot);
        self.push(due, person, Event::AttestDeadline(slot));
        let proposer = self.chain.proposer(slot);
        if slot > Slot(0) && proposer.0 < u64::from(self.setup.validators) {
            let validator = ValidatorNo(proposer.0 as u32);
            let (request, ask) = self.persons[person].client.propose(&self.spec, slot, validator);
            self.input(person, Input::Ask { request, ask });
        }
    }

    fn client_attests(&mut self, person: usize, slot: Slot) {
        if self.persons[person].node.is_none()
            || self.due(slot).is_empty()
            || !self.asked.insert((person, slot))
        {
            return;
        }
        let (request, ask) = self.persons[person].client.attest(slot);
        self.input(person, Input::Ask { request, ask });
    }

    /// The cluster's attesters of a slot.
    fn due(&self, slot: Slot) -> Vec<(ValidatorNo, AttesterDuty)> {
        let duties = self.chain.attesters(self.spec.epoch_of(slot));
        let ours = |duty: AttesterDuty| {
            let number = u32::try_from(duty.validator_index.0).ok()?;
            (duty.slot == slot && number < self.setup.validators).then_some((ValidatorNo(number), duty))
        };
        duties.into_iter().filter_map(ours).collect()
    }

    fn reply(&mut self, person: usize, request: RequestId, answer: &symbolon_core::Answer) {
        let chain = &self.chain;
        let (spec, validators) = (&self.spec, self.setup.validators);
        let due = |slot: Slot| {
            let duties = chain.attesters(spec.epoch_of(slot)).into_iter();
            let ours =
                duties.filter(|duty| duty.slot == slot && duty.validator_index.0 < u64::from(validators));
            ours.map(|duty| (ValidatorNo(duty.validator_index.0 as u32), duty)).collect()
        };
        let next: Option<(RequestId, Ask)> = self.persons[person].client.answer(spec, request, answer, due);
        if let symbolon_core::Answer::Refused(refusal) = answer {
            let words = refusal.to_string();
            self.tell(person, || format!("refuses its client: {words}"));
        }
        if let Some((request, ask)) = next {
            self.soon(person, Input::Ask { request, ask });
        }
    }

    /// Ordinary validators propose and attest without fail.
    fn ordinary(&mut self, slot: Slot) {
        let next = slot.next();
        self.push(self.spec.slot_start(next), usize::MAX, Event::Ordinary(next));
        let ours = u64::from(self.setup.validators);
        let previous = Slot(slot.0.saturating_sub(1));
        for who in self.chain.committee(previous).into_iter().filter(|who| who.0 >= ours) {
            let head = self.chain.head();
            let data = self.chain.vote(previous, head).data(0);
            let epoch = data.target.epoch;
            let root = SigningRoot::of(&self.spec, DomainType::BeaconAttester, epoch, Root::of(&data));
            let key = self.chain.validators()[who.0 as usize];
            let signature = Symbolic.sign(&key, &root);
            let single = SingleAttestation { committee_index: 0, attester_index: who, data, signature };
            self.chain.attest(&Symbolic, slot, &single).expect("ordinary validators attest rightly");
        }
        if slot > Slot(0) && self.chain.proposer(slot).0 >= ours {
            self.push(self.now.after(ORDINARY_BLOCK), usize::MAX, Event::OrdinaryBlock(slot));
        }
    }

    fn ordinary_block(&mut self, slot: Slot) {
        let proposer = self.chain.proposer(slot);
        let key = self.chain.validators()[proposer.0 as usize];
        let epoch = self.spec.epoch_of(slot);
        let randao = Symbolic.sign(&key, &SigningRoot::randao(&self.spec, epoch));
        let head = self.chain.head();
        let block = self.chain.produce(&Symbolic, slot, head, randao, Root::ZERO, FEE_RECIPIENT);
        let root = SigningRoot::of(&self.spec, DomainType::BeaconProposer, epoch, block.root);
        let signature = Symbolic.sign(&key, &root);
        assert!(self.import(&block, &signature), "ordinary validators propose rightly");
    }
}

/// One person per honest operator, two per equivocator, one without a node per mute.
fn people(setup: &Setup) -> Vec<Person> {
    let mut people = Vec::new();
    for (operator, habit) in setup.size.indices().zip(&setup.habits) {
        let stands = if setup.right.contains(&operator) { Side::Right } else { Side::Left };
        let head_delay = setup.head_delays.get(operator.position()).copied().unwrap_or_default();
        let mut person = Person {
            operator,
            side: Side::Both,
            stands,
            honest: true,
            node: None,
            disk: Disk::default(),
            client: Client::new(operator),
            head_delay,
            life: 0,
            wake: None,
        };
        match habit {
            Habit::Honest => people.push(person),
            Habit::Mute => {
                mute::silence(&mut person);
                people.push(person);
            }
            Habit::Equivocator => {
                let second = equivocator::second_face(&mut person, Millis(setup.slot_ms), setup.loud);
                people.extend([person, second]);
            }
        }
    }
    people
}

fn complete(operator: ShareIndex, job: SignJob) -> Result<Signature, symbolon_core::journal::Permit> {
    let SignJob { permit, half } = job;
    let validator = permit.validator();
    if !Symbolic.verify(&Symbolic.half_key(validator, operator), &permit.root(), &half) {
        return Err(permit);
    }
    Ok(Symbolic.sign(&Symbolic.share_key(validator, operator), &permit.root()))
}

fn combine(threshold: usize, job: &CombineJob) -> Combined {
    let good = |(index, signature): &&(ShareIndex, Signature)| {
        Symbolic.verify(&Symbolic.share_key(job.validator, *index), &job.root, signature)
    };
    let count = job.partials.iter().filter(good).count();
    let culprits = job.partials.iter().filter(|partial| !good(partial)).map(|(index, _)| *index).collect();
    let key = Symbolic.group_key(job.validator);
    Combined { signature: (count >= threshold).then(|| Symbolic.sign(&key, &job.root)), culprits }
}

/// A message in words, for transcripts.
fn describe(message: &Message, to: To) -> String {
    let short = |root: &Root| hex::encode(&root.0[..4]);
    let instance = message.instance();
    let what = match message {
        Message::Vote(vote) => {
            format!("votes {} in round {}", short(&vote.signed.statement.hash), vote.signed.statement.round)
        }
        Message::Cert(quorum) => {
            format!(
                "relays a certificate for {} of round {}",
                short(&quorum.statement.hash),
                quorum.statement.round
            )
        }
        Message::Commit(signed) => {
            format!("commits {} in round {}", short(&signed.statement.hash), signed.statement.round)
        }
        Message::Decided(quorum) => format!("shows that {} is decided", short(&quorum.statement.hash)),
        Message::NewRound(new_round) => format!("asks for round {}", new_round.signed.statement.round),
        Message::Proposal(proposal) => {
            let statement = proposal.signed.statement;
            format!("proposes {} in round {}", short(&statement.hash), statement.round)
        }
        Message::Partial(partials) => format!("sends {} partial signatures", partials.partials.len()),
        Message::Contents(answer) => format!("sends the contents of {}", short(&answer.id.hash)),
        Message::Fetch(id) => format!("asks for the value {}", short(&id.hash)),
        Message::Value(answer) => format!("sends the value {}", short(&answer.id.hash)),
    };
    match to {
        To::All => format!("{instance}: {what}"),
        To::One(peer) => format!("{instance}: {what} to #{peer}"),
    }
}
