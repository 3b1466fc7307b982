//! Four nodes, whole: each with its disk and its validator client, and every frame delivered at once.
//!
//! - [`rolled_back`]: a node comes back with an older journal than it signed by.
//! - [`caught`]: an operator has sent a bad partial signature, and what becomes of its good ones.

mod caught;
#[path = "../net/mod.rs"]
mod net;
mod rolled_back;

use net::{CLUSTER, Key, index};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use symbolon_core::agree::Timers;
use symbolon_core::journal::{History, Journal, Promise, Row};
use symbolon_core::mutants::{Mutant, Rules};
use symbolon_core::node::{Node, Setup, Validator};
use symbolon_core::{
    Answer, Ask, CombineJob, Combined, HalfAttestation, Input, Output, Refusal, RequestId, Ticket, To,
};
use types::duty::AttesterDuty;
use types::wire::{self, Instance, Kind, Message, Signed, Statement, Step, Verified};
use types::{
    Address, BeaconVote, ChainSpec, Checkpoint, ClusterSize, Epoch, Generation, Machine as _, Millis,
    PublicKey, Root, ShareIndex, Signature, SigningRoot, Slot, ValidatorIndex, ValidatorNo,
};

/// The epoch in which everything happens.
const EPOCH: u64 = 20;
/// Who is restored.
const RESTORED: usize = 4;
/// Both validators, by their number.
const KEYS: [PublicKey; 2] = [PublicKey([1; 48]), PublicKey([2; 48])];

fn spec() -> ChainSpec {
    ChainSpec::builtin("mainnet").unwrap()
}

fn slot(number: u64) -> Slot {
    Slot(EPOCH * spec().slots_per_epoch + number)
}

/// What there is to vote for in a slot.
fn vote(slot: Slot) -> BeaconVote {
    let at = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root([epoch as u8; 32]) };
    let head = Root([slot.0 as u8; 32]);
    BeaconVote { slot, index: 0, beacon_block_root: head, source: at(EPOCH - 1), target: at(EPOCH) }
}

fn due(validator: usize, slot: Slot) -> AttesterDuty {
    AttesterDuty {
        pubkey: KEYS[validator],
        validator_index: ValidatorIndex(70 + validator as u64),
        committee_index: 0,
        committee_length: 8,
        committees_at_slot: 1,
        validator_committee_index: validator as u64,
        slot,
    }
}

/// An operator: its node while it runs, its disk, its validator client.
#[derive(Default)]
struct Operator {
    node: Option<Node>,
    disk: BTreeMap<PublicKey, History>,
    /// Journal wishes that the disk has not granted, while it is slow.
    slow: Option<VecDeque<(Ticket, Vec<Row>)>>,
    answers: Vec<Answer>,
    alarms: Vec<Slot>,
}

/// Four operators who hear each other at once.
struct Cluster {
    now: Millis,
    duties: Vec<AttesterDuty>,
    operators: BTreeMap<usize, Operator>,
    /// Frames on their way.
    wire: VecDeque<(usize, Verified)>,
    /// Whether what others hold of an operator is lost on the way to it.
    deaf: bool,
    rules: Rules,
    /// Operators whose partials are bad.
    bad: BTreeSet<ShareIndex>,
    /// Every combination that a node has asked for: whose node, and of whose partials.
    combined: Vec<(usize, Vec<u8>)>,
    /// Every attestation partial that left a node: whose, and in which slot.
    partials: BTreeSet<(usize, ValidatorNo, Slot)>,
    asked: u64,
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self {
            now: spec().slot_start(Slot((EPOCH - 2) * spec().slots_per_epoch)),
            duties: vec![due(0, slot(1)), due(1, slot(5))],
            operators: (1..=4).map(|number| (number, Operator::default())).collect(),
            wire: VecDeque::new(),
            deaf: false,
            rules: Rules::default(),
            bad: BTreeSet::new(),
            combined: Vec::new(),
            partials: BTreeSet::new(),
            asked: 0,
        };
        (1..=4).for_each(|number| cluster.start(number));
        cluster
    }

    fn setup(&self, me: usize) -> Setup {
        let validator = |key: PublicKey| Validator { group_key: key, fee_recipient: Address([2; 20]) };
        Setup {
            size: ClusterSize::new_safe(4, 3).unwrap(),
            me: index(me),
            generation: Generation(0),
            spec: spec(),
            validators: KEYS.map(validator).to_vec(),
            relays: BTreeSet::new(),
            timers: Timers::default(),
            rules: self.rules,
            started: self.now,
        }
    }

    /// Starts an operator's node with what is on its disk, and links it with those that run.
    fn start(&mut self, number: usize) {
        let setup = self.setup(number);
        let operator = self.operators.get_mut(&number).unwrap();
        let histories = KEYS.map(|key| operator.disk.get(&key).copied().unwrap_or_default());
        operator.node = Some(Node::new(setup, histories.to_vec()));
        self.input(number, Input::Tick);
        self.link(number, true);
    }

    fn link(&mut self, number: usize, up: bool) {
        for other in (1..=4).filter(|other| *other != number) {
            if self.operators[&other].node.is_some() {
                self.input(other, Input::Presence { peer: index(number), up });
                self.input(number, Input::Presence { peer: index(other), up });
            }
        }
    }

    /// Ends a node, and puts an older disk in the place of its own.
    fn restore(&mut self, number: usize, backup: BTreeMap<PublicKey, History>) {
        self.link(number, false);
        let operator = self.operators.get_mut(&number).unwrap();
        operator.node = None;
        operator.disk = backup;
    }

    fn input(&mut self, number: usize, input: Input) {
        self.handle(number, input);
        while let Some((to, message)) = self.wire.pop_front() {
            let lost = self.deaf && matches!(message.message(), Message::Held(_));
            let sender = message.sender();
            let node = self.operators[&to].node.as_ref();
            if lost || node.is_none_or(|node| !node.wants(message.message())) {
                continue;
            }
            let size = ClusterSize::new_safe(4, 3).unwrap();
            let message = wire::verify(message.into_message(), sender, size, &CLUSTER, &Key(index(to)));
            self.handle(to, Input::Peer(message.unwrap()));
        }
    }

    fn handle(&mut self, number: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let operator = self.operators.get_mut(&number).unwrap();
            let Some(node) = operator.node.as_mut() else { return };
            node.handle(self.now, input);
            while let Some(output) = self.operators.get_mut(&number).unwrap().node.as_mut().unwrap().poll() {
                inputs.extend(self.grant(number, output));
            }
        }
    }

    fn grant(&mut self, number: usize, output: Output) -> Option<Input> {
        let operator = self.operators.get_mut(&number).unwrap();
        match output {
            Output::FetchDuties { epoch } => {
                let attesters = Some(if epoch == Epoch(EPOCH) { self.duties.clone() } else { Vec::new() });
                return Some(Input::Duties { epoch, attesters, proposers: Some(vec![]), sync: Some(vec![]) });
            }
            Output::FetchVote { slot } => return Some(Input::BeaconVote { slot, votes: vec![vote(slot)] }),
            Output::Send { to, message } => return self.send(number, to, message),
            Output::Journal { ticket, rows } => match &mut operator.slow {
                Some(waiting) => waiting.push_back((ticket, rows)),
                None => {
                    rows.iter().for_each(|row| operator.disk.entry(row.key).or_default().append(row));
                    return Some(Input::Journaled { ticket, durable: true });
                }
            },
            Output::Sign { ticket, jobs } => {
                let results = jobs.iter().map(|_| Ok(Signature([number as u8; 96]))).collect();
                return Some(Input::Signed { ticket, results });
            }
            Output::Combine { ticket, jobs } => {
                let results = jobs.iter().map(|job| self.combine(number, job)).collect();
                return Some(Input::Combined { ticket, results });
            }
            Output::Submit { ticket, .. } => return Some(Input::Submitted { ticket, taken: true }),
            Output::Reply { answer, .. } => operator.answers.push(answer),
            Output::RolledBack { until, .. } => operator.alarms.push(until),
            _ => {}
        }
        None
    }

    fn combine(&mut self, number: usize, job: &CombineJob) -> Combined {
        let mut operators: Vec<_> = job.partials.iter().map(|(operator, _)| *operator).collect();
        operators.sort_unstable();
        self.combined.push((number, operators.iter().map(|operator| operator.get()).collect()));
        let (culprits, good): (Vec<_>, Vec<_>) =
            operators.into_iter().partition(|operator| self.bad.contains(operator));
        Combined { signature: (good.len() >= 3).then_some(Signature([9; 96])), culprits }
    }

    fn send(&mut self, from: usize, to: To, message: Message) -> Option<Input> {
        let sealed = wire::seal(message, &CLUSTER, &Key(index(from)));
        if let Message::Partial(partials) = sealed.message() {
            let slot = partials.signed.statement.instance.slot;
            let sent = partials.partials.iter().map(|partial| (from, partial.item.validator, slot));
            self.partials.extend(sent);
        }
        let everybody = self.operators.keys().filter(|number| **number != from);
        let hears = |number: &&usize| to == To::All || to == To::One(index(**number));
        self.wire.extend(everybody.filter(hears).map(|number| (*number, sealed.clone())));
        (to == To::All).then_some(Input::Peer(sealed))
    }

    /// A slot's head comes to every operator: the nodes agree.
    fn decide(&mut self, slot: Slot) {
        self.now = spec().slot_start(slot).after(Millis(600));
        (1..=4).for_each(|number| self.input(number, Input::Tick));
        for number in 1..=4 {
            self.input(number, Input::Head { slot, root: Root([slot.0 as u8; 32]), dependent: None });
        }
    }

    fn ask(&mut self, number: usize, ask: Ask) -> Option<Answer> {
        self.asked += 1;
        self.input(number, Input::Ask { request: RequestId(self.asked), ask });
        self.operators.get_mut(&number).unwrap().answers.pop()
    }

    /// A client attests for these validators, whatever the node has told it.
    fn attest(&mut self, number: usize, slot: Slot, validators: &[u32]) -> Option<Answer> {
        let half = |validator: &u32| HalfAttestation {
            validator: ValidatorNo(*validator),
            data: vote(slot).data(0),
            half: Signature([5; 96]),
        };
        self.ask(number, Ask::Attestations { slot, halves: validators.iter().map(half).collect() })
    }

    fn signed(&self, number: usize, validator: u32, slot: Slot) -> bool {
        self.partials.contains(&(number, ValidatorNo(validator), slot))
    }

    fn alarms(&self, number: usize) -> &[Slot] {
        &self.operators[&number].alarms
    }
}
