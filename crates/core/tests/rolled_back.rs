//! A node comes back with an older journal than it signed by: four nodes, of which one is restored from a backup.
//!
//! Two validators vote once each in an epoch; then a new branch moves the first one's duty behind the second one's slot. The
//! restored node has no row for the first one's vote, and the others have.

mod net;

use net::{CLUSTER, Key, index};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use symbolon_core::agree::Timers;
use symbolon_core::journal::{History, Journal, Promise, Row};
use symbolon_core::mutants::{Mutant, Rules};
use symbolon_core::node::{Node, Setup, Validator};
use symbolon_core::{Answer, Ask, Combined, HalfAttestation, Input, Output, Refusal, RequestId, Ticket, To};
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
                let combined = Combined { signature: Some(Signature([9; 96])), culprits: vec![] };
                return Some(Input::Combined { ticket, results: vec![combined; jobs.len()] });
            }
            Output::Submit { ticket, .. } => return Some(Input::Submitted { ticket, taken: true }),
            Output::Reply { answer, .. } => operator.answers.push(answer),
            Output::RolledBack { until, .. } => operator.alarms.push(until),
            _ => {}
        }
        None
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

/// The first validator's vote is signed by all. The branch changes; the last operator's node is ended and comes back with
/// this disk, and then the slot comes in which both validators are due.
fn come_back(cluster: &mut Cluster, disk: impl FnOnce(&Operator) -> BTreeMap<PublicKey, History>) {
    cluster.decide(slot(1));
    (1..=4).for_each(|number| assert_eq!(cluster.attest(number, slot(1), &[0]), Some(Answer::Accepted)));
    assert!(cluster.signed(RESTORED, 0, slot(1)));
    let disk = disk(&cluster.operators[&RESTORED]);
    cluster.duties = vec![due(0, slot(5)), due(1, slot(5))];
    cluster.restore(RESTORED, disk);
    cluster.now = spec().slot_start(slot(2));
    cluster.start(RESTORED);
}

fn empty(_: &Operator) -> BTreeMap<PublicKey, History> {
    BTreeMap::new()
}

/// A statement of the restored operator, as another one would show it.
fn statement(slot: Slot, kind: Kind, author: usize) -> Signed {
    let instance = Instance::new(Generation(0), slot, kind);
    let hash = Root([3; 32]);
    let statement = Statement { instance, step: Step::Partial, round: 0, hash, extra: Root::ZERO };
    wire::sign(statement, &CLUSTER, &Key(index(author)))
}

fn imported(key: PublicKey, source: u64, target: u64) -> Row {
    let promise = Promise::Attestation { source: Epoch(source), target: Epoch(target) };
    Row { key, slot: spec().epoch_start(Epoch(target)), promise, root: None }
}

#[test]
fn without_what_others_hold_a_restored_node_signs_a_second_vote_for_one_target() {
    // It is lost on the way, or the restored node takes no notice of it.
    for (deaf, rules) in [(true, Rules::default()), (false, Rules::without(Mutant::HeldIgnored))] {
        let mut cluster = Cluster::new();
        (cluster.deaf, cluster.rules) = (deaf, rules);
        come_back(&mut cluster, empty);
        cluster.decide(slot(5));
        assert_eq!(cluster.attest(RESTORED, slot(5), &[0, 1]), Some(Answer::Accepted));
        assert!(cluster.signed(RESTORED, 0, slot(1)) && cluster.signed(RESTORED, 0, slot(5)));
        assert_eq!(cluster.alarms(RESTORED), []);
    }
}

#[test]
fn shown_what_it_signed_a_restored_node_signs_nothing_more_for_that_target_and_alarms_once() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, empty);
    // Three have shown the same; the first of them was enough.
    assert_eq!(cluster.alarms(RESTORED), [slot(3)]);
    cluster.decide(slot(5));
    let Some(Answer::PartlyRefused(refused)) = cluster.attest(RESTORED, slot(5), &[0, 1]) else { panic!() };
    // What could be slashed for everybody due is not even agreed to here.
    let nothing = |number| (number, Refusal::NothingAgreed(slot(5)));
    assert_eq!(refused, [nothing(0), nothing(1)]);
    assert!(!cluster.signed(RESTORED, 0, slot(5)) && !cluster.signed(RESTORED, 1, slot(5)));
    (1..=3).for_each(|number| drop(cluster.attest(number, slot(5), &[1])));
    assert!((1..=3).all(|number| cluster.signed(number, 1, slot(5))), "the others go on without it");
}

#[test]
fn what_was_shown_is_on_the_disk_and_outlives_the_next_restart_among_strangers_to_it() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, empty);
    let disk = cluster.operators[&RESTORED].disk.clone();
    for key in KEYS {
        let History { block, attestation } = disk[&key];
        assert_eq!((block.unwrap().slot, block.unwrap().root), (slot(3), None));
        let last = attestation.unwrap();
        assert_eq!((last.source_max, last.target_max, last.root), (Epoch(EPOCH - 1), Epoch(EPOCH), None));
    }
    cluster.deaf = true;
    cluster.restore(RESTORED, disk);
    cluster.start(RESTORED);
    cluster.decide(slot(5));
    assert!(matches!(cluster.attest(RESTORED, slot(5), &[0, 1]), Some(Answer::PartlyRefused(_))));
    assert!(!cluster.signed(RESTORED, 0, slot(5)));
}

#[test]
fn a_node_with_its_whole_journal_is_shown_the_same_and_goes_on() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, |operator| operator.disk.clone());
    assert_eq!(cluster.alarms(RESTORED), []);
    cluster.decide(slot(5));
    let answer = cluster.attest(RESTORED, slot(5), &[0, 1]);
    assert!(matches!(&answer, Some(Answer::PartlyRefused(refused)) if refused.len() == 1), "{answer:?}");
    assert!(!cluster.signed(RESTORED, 0, slot(5)), "its row forbids it");
    assert!(cluster.signed(RESTORED, 1, slot(5)));
}

#[test]
fn in_the_next_epoch_a_restored_node_signs_again() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, empty);
    let disk = &cluster.operators[&RESTORED].disk;
    let mut journal = Journal::new(KEYS.to_vec(), KEYS.map(|key| disk[&key]).to_vec());
    for (source, target, passes) in
        [(EPOCH - 1, EPOCH, false), (EPOCH - 2, EPOCH + 1, false), (EPOCH, EPOCH + 1, true)]
    {
        let promise = Promise::Attestation { source: Epoch(source), target: Epoch(target) };
        let slot = spec().epoch_start(Epoch(target));
        let root = SigningRoot::recorded(Root([8; 32]));
        let candidate = symbolon_core::journal::Candidate { validator: ValidatorNo(0), slot, promise, root };
        assert_eq!(
            journal.promise(Ticket(1), &[candidate]).rows.len(),
            usize::from(passes),
            "{source}..{target}"
        );
    }
}

#[test]
fn what_was_promised_before_it_came_out_is_not_signed_any_more() {
    for slow in [false, true] {
        let mut cluster = Cluster::new();
        cluster.deaf = true;
        come_back(&mut cluster, empty);
        if slow {
            cluster.operators.get_mut(&RESTORED).unwrap().slow = Some(VecDeque::new());
        }
        cluster.decide(slot(5));
        cluster.deaf = false;
        let proof = Message::Held(statement(slot(1), Kind::Attest, RESTORED));
        let shown = wire::seal(proof, &CLUSTER, &Key(index(2)));
        assert!(cluster.operators[&RESTORED].node.as_ref().unwrap().wants(shown.message()));
        cluster.input(RESTORED, Input::Peer(shown));
        assert_eq!(cluster.alarms(RESTORED), [slot(6)], "everything that has begun");
        for (ticket, _) in cluster.operators.get_mut(&RESTORED).unwrap().slow.take().into_iter().flatten() {
            cluster.input(RESTORED, Input::Journaled { ticket, durable: true });
        }
        let until = slot(6);
        let refusal = Refusal::RolledBack { until };
        assert_eq!(
            cluster.ask(RESTORED, Ask::Vote { slot: slot(5) }),
            Some(Answer::Refused(refusal.clone()))
        );
        let refused = vec![(0, refusal.clone()), (1, refusal)];
        assert_eq!(cluster.attest(RESTORED, slot(5), &[0, 1]), Some(Answer::PartlyRefused(refused)));
        assert!(!cluster.signed(RESTORED, 0, slot(5)) && !cluster.signed(RESTORED, 1, slot(5)));
    }
}

#[test]
fn a_process_that_slept_in_a_snapshot_is_shown_what_came_after_it() {
    let mut cluster = Cluster::new();
    cluster.decide(slot(1));
    // It never restarted: its memory and its disk are of one time, and its own clock is as late.
    let proof = Message::Held(statement(slot(4), Kind::Attest, RESTORED));
    cluster.input(RESTORED, Input::Peer(wire::seal(proof, &CLUSTER, &Key(index(2)))));
    assert_eq!(cluster.alarms(RESTORED), [slot(4)]);
}

#[test]
fn no_peer_can_make_a_journal_rise_by_what_its_node_did_not_sign_or_by_old_words_twice() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, |operator| operator.disk.clone());
    let node = cluster.operators[&RESTORED].node.as_ref().unwrap();
    let wants = |signed| node.wants(&Message::Held(signed));
    assert!(!wants(statement(slot(3), Kind::Attest, 2)), "another operator's");
    assert!(!wants(statement(slot(1), Kind::Attest, RESTORED)), "there is a row");
    assert!(!wants(statement(Slot(0), Kind::Attest, RESTORED)));
    assert!(
        wants(statement(slot(2), Kind::Attest, RESTORED))
            && wants(statement(Slot(1), Kind::Propose, RESTORED))
    );
    let mut forged = statement(slot(3), Kind::Attest, RESTORED);
    forged.signature.0[0] ^= 1;
    let size = ClusterSize::new_safe(4, 3).unwrap();
    let at_the_door = wire::verify(Message::Held(forged), index(2), size, &CLUSTER, &Key(index(RESTORED)));
    assert_eq!(at_the_door, Err(wire::FrameError::Signature(index(RESTORED))));
    // One that has risen covers whatever is older, today and in later epochs.
    let mut cluster = Cluster::new();
    come_back(&mut cluster, empty);
    cluster.now = spec().slot_start(slot(40));
    for shown in [slot(1), slot(3), Slot(7)] {
        for kind in [Kind::Attest, Kind::Propose] {
            let proof = Message::Held(statement(shown, kind, RESTORED));
            cluster.input(RESTORED, Input::Peer(wire::seal(proof, &CLUSTER, &Key(index(2)))));
        }
    }
    assert_eq!(cluster.alarms(RESTORED), [slot(3)]);
}

#[test]
fn a_journal_that_only_imports_fill_rises_once_if_they_are_older_and_never_if_they_are_not() {
    for (target, rises) in [(EPOCH - 1, true), (EPOCH, false)] {
        let mut cluster = Cluster::new();
        let file: BTreeMap<_, _> = KEYS
            .into_iter()
            .map(|key| {
                let mut history = History::default();
                history.append(&imported(key, target - 1, target));
                (key, history)
            })
            .collect();
        come_back(&mut cluster, |_| file);
        assert_eq!(cluster.alarms(RESTORED).len(), usize::from(rises), "{target}");
    }
}

#[test]
fn one_statement_of_each_kind_is_kept_and_the_newest_is_shown_first_of_all() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, |operator| operator.disk.clone());
    cluster.decide(slot(5));
    cluster.attest(RESTORED, slot(5), &[1]);
    let node = cluster.operators.get_mut(&1).unwrap().node.as_mut().unwrap();
    for up in [false, true] {
        node.handle(cluster.now, Input::Presence { peer: index(RESTORED), up });
    }
    let mut sent = Vec::new();
    while let Some(output) = node.poll() {
        if let Output::Send { to: To::One(peer), message } = output {
            sent.push((peer, message));
        }
    }
    let shown = |(_, message): &&(ShareIndex, Message)| matches!(message, Message::Held(_));
    assert_eq!(sent.iter().filter(shown).count(), 1);
    let (peer, first) = &sent[0];
    let Message::Held(signed) = first else { panic!("{first:?}") };
    assert_eq!(
        (*peer, signed.author, signed.statement.instance.slot),
        (index(RESTORED), index(RESTORED), slot(5))
    );
}
