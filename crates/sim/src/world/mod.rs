//! The world: persons, a queue of events, and the seed that orders them.
//!
//! - `persons`: who comes up, dies, and hears what. `grant`: what nodes wish for. `strike`: what goes wrong.
//! - `post`: what is said, and how it gets there. `beacon_side`: the beacon nodes. `client_side`: the validator clients.
//! - `ordinary`: validators that the world runs itself.

mod beacon_side;
mod client_side;
mod grant;
mod ordinary;
mod persons;
mod post;
mod strike;

use crate::chain::{Chain, Genesis};
use crate::curve::Symbolic;
use crate::fault::Fault;
use crate::judges::duties::{self, Duty};
use crate::judges::{Bench, Sight, Violation};
use crate::network::{Arrival, Network};
use crate::person::{Person, Side};
use crate::villains::Habit;
use persons::people;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::rc::Rc;
use symbolon_core::{DependentRoots, Input, Outcome, Ticket};
use types::block::ProposedBlock;
use types::wire::{Instance, Kind};
use types::{
    Address, ChainSpec, Epoch, Millis, Root, ShareIndex, SigningRoot, Slot, ValidatorIndex, ValidatorNo,
};

pub use crate::setup::Setup;

/// The cluster's id in the jar.
const CLUSTER: Root = Root([0xc1; 32]);
/// Whom blocks pay in the jar.
const FEE_RECIPIENT: Address = Address([0xfe; 20]);
/// Nodes start this long before genesis, so that nobody counts as restarted.
const LEAD: Millis = Millis(10_000);
/// The seed's second stream: what is drawn there changes nothing in the network's.
const WHIMS: u64 = 1;
/// An ordinary validator's block is there this long after its slot began.
const ORDINARY_BLOCK: Millis = Millis(30);

/// What is in the queue.
#[derive(Debug)]
enum Event {
    /// A message arrives.
    Frame { from: usize, arrival: Arrival, frame: Rc<[u8]> },
    /// A result arrives at the person who wished for it, if it still lives that life.
    Input { life: u64, input: Box<Input> },
    /// The payload of another operator's block arrives.
    Contents { from: usize, arrival: Arrival, slot: Slot, root: Root },
    /// A link to another person can be made again.
    Reconnect { other: usize },
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
    /// The person's validator client acts on a slot's aggregation deadline.
    AggregateDue(Slot),
    /// The person's operator wants a validator to leave.
    Exit { validator: ValidatorNo, epoch: Epoch },
    /// An epoch's duties are drawn anew. Not for any person.
    Reshuffle(Epoch),
    /// Ordinary validators attest for the slot before. Not for any person.
    Ordinary(Slot),
    /// An ordinary validator proposes. Not for any person.
    OrdinaryBlock(Slot),
    /// Ordinary sync committee members vote. Not for any person.
    OrdinarySync(Slot),
    /// Ordinary sync committee members contribute. Not for any person.
    OrdinaryContributions(Slot),
    /// The person's process dies.
    Crash,
    /// The person's process starts.
    Start,
    /// The person's process dies, and an old disk is put in.
    Relapse,
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
    /// What villains and disks draw from.
    whims: ChaCha8Rng,
    /// Faults that have not struck.
    coming: Vec<Fault>,
    struck: Vec<(Fault, Slot)>,
    judges: Bench,
    asked: BTreeSet<(usize, Slot)>,
    /// When the block of a slot was imported.
    arrivals: BTreeMap<Slot, Millis>,
    /// Blocks with their payloads, and who holds them.
    contents: BTreeMap<Root, (ProposedBlock, BTreeSet<usize>)>,
    /// When each operator first held a group signature of an instance.
    pub signed: BTreeMap<(Instance, ShareIndex), Millis>,
    /// Operators for which there is evidence, with how much.
    pub evidence: BTreeMap<ShareIndex, usize>,
    /// Doppelgangers that operators believe in: there are none in the jar.
    pub false_alarms: Vec<(ShareIndex, Epoch, BTreeSet<ValidatorNo>)>,
    /// Frames that the door refused.
    pub turned_away: u64,
    /// How duties ended, by operator.
    pub outcomes: Vec<(ShareIndex, Outcome)>,
    /// The story so far.
    pub story: Vec<Line>,
    /// Whether none is told: telling takes a third of a run's time.
    hushed: bool,
}

impl World {
    /// A world just before its genesis.
    pub fn new(setup: Setup) -> Self {
        let spec = setup.spec();
        let count = setup.validators + setup.ordinary;
        let validators = (0..count).map(|number| Symbolic.group_key(ValidatorNo(number))).collect();
        let chain = Chain::new(Genesis { spec: spec.clone(), validators, strangers: 0, seed: setup.seed });
        let network = Network::new(setup.delay, setup.weather, ChaCha8Rng::seed_from_u64(setup.seed));
        let mut whims = ChaCha8Rng::seed_from_u64(setup.seed);
        whims.set_stream(WHIMS);
        let mut world = Self {
            judges: Bench::new(CLUSTER, &spec, setup.size),
            whims,
            coming: Vec::new(),
            struck: Vec::new(),
            persons: people(&setup),
            chain,
            network,
            queue: BTreeMap::new(),
            sequence: 0,
            now: Millis(spec.genesis_time_ms - LEAD.0),
            trace: Sha256::new(),
            asked: BTreeSet::new(),
            arrivals: BTreeMap::new(),
            contents: BTreeMap::new(),
            signed: BTreeMap::new(),
            evidence: BTreeMap::new(),
            false_alarms: Vec::new(),
            turned_away: 0,
            outcomes: Vec::new(),
            story: Vec::new(),
            hushed: false,
            spec,
            setup,
        };
        if world.setup.parted {
            world.part(Millis(0), Millis(u64::MAX / 2));
        }
        for person in 0..world.persons.len() {
            if world.setup.habits[world.persons[person].operator.position()] != Habit::Mute {
                world.push(world.now, person, Event::Start);
                world.push(world.spec.slot_start(Slot(0)), person, Event::SlotStart(Slot(0)));
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

    /// An operator wants a validator to leave, not before an epoch.
    pub fn exit(&mut self, operator: ShareIndex, at: Millis, validator: ValidatorNo, epoch: Epoch) {
        for number in 0..self.persons.len() {
            if self.persons[number].operator == operator {
                self.push(at, number, Event::Exit { validator, epoch });
            }
        }
    }

    /// A reorganisation draws the duties of an epoch anew, before it begins.
    pub fn reshuffle(&mut self, at: Millis, epoch: Epoch) {
        self.push(at, usize::MAX, Event::Reshuffle(epoch));
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
        self.judges.violations()
    }

    /// The same, each with the judge's name.
    pub fn found(&self) -> Vec<(&'static str, Violation)> {
        let found = self.judges.found().into_iter();
        found.flat_map(|(judge, list)| list.iter().map(move |one| (judge, one.clone()))).collect()
    }

    /// What is seen goes to all judges.
    fn saw(&mut self, sight: Sight<'_>) {
        self.judges.see(sight);
    }

    /// The most that an honest node has on its mind, as the length of its description in bytes.
    pub fn mind_len(&self) -> usize {
        let honest = self.persons.iter().filter(|person| person.honest);
        honest.filter_map(|person| Some(format!("{:?}", person.node.as_ref()?).len())).max().unwrap_or(0)
    }

    /// Duties of the cluster in these slots, as the chain knows them.
    pub fn duties(&self, slots: RangeInclusive<u64>) -> Vec<Duty> {
        let ours = |who| self.roster().number(who).is_some();
        let key = |who: ValidatorIndex| self.chain.validators()[who.0 as usize];
        let proof = |who, root: &SigningRoot| Symbolic.sign(&key(who), root);
        let mut duties = duties::due(&self.chain, slots, ours, Some(&proof));
        duties.retain(|duty| !self.setup.plain || matches!(duty.kind, Kind::Attest | Kind::Propose));
        duties
    }

    /// Duties of the cluster that are due in these slots and not in the chain.
    pub fn missed(&self, slots: RangeInclusive<u64>) -> Vec<Violation> {
        duties::missed(&self.duties(slots))
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

    /// No story is told from now on.
    pub const fn hush(&mut self) {
        self.hushed = true;
    }

    fn tell(&mut self, person: usize, what: impl FnOnce() -> String) {
        if self.hushed {
            return;
        }
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
            Event::Frame { from, arrival, frame } => {
                if self.network.delivers(from, person, arrival) {
                    self.frame(person, from, &frame);
                }
            }
            Event::Contents { from, arrival, slot, root } => {
                if self.network.delivers(from, person, arrival) {
                    self.hold(person, slot, root);
                }
            }
            Event::Reconnect { other } => self.reconnect(person, other),
            Event::Relapse => self.relapse(person),
            Event::Input { life, input } if life == self.persons[person].life => {
                self.input(person, *input);
            }
            Event::Synced { life, ticket } if life == self.persons[person].life => {
                self.synced(person, ticket);
            }
            Event::Input { .. } | Event::Synced { .. } => {}
            Event::OrdinaryBlock(slot) => self.ordinary_block(slot),
            Event::Wake => {
                self.persons[person].wake = None;
                self.input(person, Input::Tick);
            }
            Event::Head { slot, root } => self.head_comes(person, slot, root),
            Event::AttestDeadline(slot) => self.client_attests(person, slot),
            Event::AggregateDue(slot) => self.client_aggregates(person, slot),
            Event::Exit { validator, epoch } => self.client_exits(person, validator, epoch),
            Event::Reshuffle(epoch) => self.reshuffled(epoch),
            Event::OrdinarySync(slot) => self.ordinary_sync(slot),
            Event::OrdinaryContributions(slot) => self.ordinary_contributions(slot),
            Event::SlotStart(slot) => self.slot_start(person, slot),
        }
    }

    /// A person's beacon node tells of a block.
    fn head_comes(&mut self, person: usize, slot: Slot, root: Root) {
        if self.is_dead(person) {
            return;
        }
        let epoch = self.spec.epoch_of(slot);
        let dependent = Some(DependentRoots {
            previous: self.chain.attester_dependent_root(root, epoch),
            current: self.chain.attester_dependent_root(root, epoch.next()),
        });
        self.input(person, Input::Head { slot, root, dependent });
        self.client_attests(person, slot);
    }
}
