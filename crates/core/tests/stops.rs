//! A node is stopped at every step of an attestation: whatever was on its way, no signature leaves it. And a peer that is
//! started again.

mod net;

use net::{CLUSTER, Key, index};
use ssz::Encode as _;
use std::collections::{BTreeSet, VecDeque};
use symbolon_core::agree::Timers;
use symbolon_core::journal::History;
use symbolon_core::mutants::Rules;
use symbolon_core::node::{Node, Setup, Validator};
use symbolon_core::stop::Reason;
use symbolon_core::{Answer, Ask, HalfAttestation, Input, Output, Refusal, RequestId, Ticket, To};
use types::approval::RegistrationStatement;
use types::duty::AttesterDuty;
use types::wire::{
    self, Instance, Kind, Message, PartialSignature, Partials, Statement, Step, ValueId, Vote,
};
use types::{
    Address, BeaconVote, ChainSpec, Checkpoint, ClusterSize, Epoch, Generation, Machine as _, Millis,
    PublicKey, Root, Signature, Slot, ValidatorIndex, ValidatorNo,
};

/// The epoch in which everything happens.
const EPOCH: u64 = 20;
const VALIDATOR: ValidatorNo = ValidatorNo(0);
const INDEX: ValidatorIndex = ValidatorIndex(77);
const SIGNATURE: Signature = Signature([6; 96]);

fn spec() -> ChainSpec {
    ChainSpec::builtin("mainnet").unwrap()
}

fn slot(number: u64) -> Slot {
    Slot(EPOCH * spec().slots_per_epoch + number)
}

fn slashed() -> Reason {
    Reason::Slashed([VALIDATOR].into())
}

/// Every reason, and whether a node that is stopped for it goes on to vote.
fn reasons() -> [(Reason, bool); 4] {
    [
        (slashed(), true),
        (Reason::Doppelganger([VALIDATOR].into()), true),
        (Reason::SecondInstance, false),
        (Reason::Clock, false),
    ]
}

/// Operator 1 of four, and what it wishes for.
struct Desk {
    node: Node,
    now: Millis,
    sent: Vec<Message>,
    answers: Vec<Answer>,
    /// Journal tickets that wait, with their number of rows.
    rows: VecDeque<(Ticket, usize)>,
    /// Halves to complete that wait.
    signing: VecDeque<(Ticket, usize)>,
    asked: u64,
    liveness: Vec<Epoch>,
    doppelgangers: Vec<BTreeSet<ValidatorNo>>,
}

impl Desk {
    /// Linked with everybody, since before the epoch before.
    fn new() -> Self {
        let spec = spec();
        let started = spec.slot_start(Slot((EPOCH - 2) * spec.slots_per_epoch));
        let setup = Setup {
            size: ClusterSize::new_safe(4, 3).unwrap(),
            me: index(1),
            generation: Generation(0),
            spec,
            validators: vec![Validator { group_key: PublicKey([1; 48]), fee_recipient: Address([2; 20]) }],
            relays: BTreeSet::new(),
            timers: Timers::default(),
            rules: Rules::default(),
            started,
        };
        let mut desk = Self {
            node: Node::new(setup, vec![History::default()]),
            now: started,
            sent: Vec::new(),
            answers: Vec::new(),
            rows: VecDeque::new(),
            signing: VecDeque::new(),
            asked: 0,
            liveness: Vec::new(),
            doppelgangers: Vec::new(),
        };
        for peer in 2..=4 {
            desk.input(Input::Presence { peer: index(peer), up: true });
        }
        desk
    }

    fn input(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll() {
            match output {
                Output::FetchDuties { epoch } => self.duties(epoch),
                Output::FetchVote { slot } => {
                    self.node.handle(self.now, Input::BeaconVote { slot, votes: vec![vote(slot)] });
                }
                Output::Send { to, message } => {
                    let sealed = wire::seal(message, &CLUSTER, &Key(index(1)));
                    self.sent.push(sealed.message().clone());
                    if to == To::All {
                        self.node.handle(self.now, Input::Peer(sealed));
                    }
                }
                Output::Journal { ticket, rows } => self.rows.push_back((ticket, rows.len())),
                Output::Sign { ticket, jobs } => self.signing.push_back((ticket, jobs.len())),
                Output::Reply { answer, .. } => self.answers.push(answer),
                Output::FetchLiveness { epoch } => self.liveness.push(epoch),
                Output::Doppelgangers { validators, .. } => self.doppelgangers.push(validators),
                _ => {}
            }
        }
    }

    fn duties(&mut self, epoch: Epoch) {
        let due = |number| AttesterDuty {
            pubkey: PublicKey([1; 48]),
            validator_index: INDEX,
            committee_index: 0,
            committee_length: 8,
            committees_at_slot: 1,
            validator_committee_index: 0,
            slot: slot(number),
        };
        let attesters = if epoch == Epoch(EPOCH) { vec![due(1), due(3)] } else { Vec::new() };
        let (attesters, proposers, sync) = (Some(attesters), Some(Vec::new()), Some(Vec::new()));
        self.node.handle(self.now, Input::Duties { epoch, attesters, proposers, sync });
    }

    /// The slot's head comes, and every other operator votes for it.
    fn decide(&mut self, slot: Slot) {
        self.begin(slot);
        let (vote, instance) = (vote(slot), instance(slot));
        let hash = Root::of(&vote);
        for peer in 2..=4 {
            for step in [Step::Vote, Step::Commit] {
                let statement = Statement { instance, step, round: 0, hash, extra: Root::ZERO };
                let signed = statement.unsigned(index(peer));
                let message = match step {
                    Step::Vote => Message::Vote(Vote { signed, value: vec![vote.as_ssz_bytes().into()] }),
                    _ => Message::Commit(signed),
                };
                self.hear(peer, message);
            }
        }
    }

    fn begin(&mut self, slot: Slot) {
        self.now = spec().slot_start(slot).after(Millis(600));
        self.input(Input::Tick);
        self.input(Input::Head { slot, root: Root([7; 32]), dependent: None });
    }

    fn hear(&mut self, peer: usize, message: Message) {
        let sealed = wire::seal(message, &CLUSTER, &Key(index(peer)));
        self.input(Input::Peer(sealed));
    }

    /// The disk and the curves do what they were asked for.
    fn journal(&mut self) -> usize {
        let (ticket, rows) = self.rows.pop_front().expect("a journal wish");
        self.input(Input::Journaled { ticket, durable: true });
        rows
    }

    fn complete(&mut self) {
        let (ticket, jobs) = self.signing.pop_front().expect("a wish to sign");
        self.input(Input::Signed { ticket, results: (0..jobs).map(|_| Ok(SIGNATURE)).collect() });
    }

    fn ask(&mut self, ask: Ask) {
        self.asked += 1;
        self.input(Input::Ask { request: RequestId(self.asked), ask });
    }

    fn attest(&mut self, slot: Slot) {
        let half =
            HalfAttestation { validator: VALIDATOR, data: vote(slot).data(0), half: Signature([5; 96]) };
        // Before Electra the committee stands in what is signed; it is the first one.
        self.ask(Ask::Attestations { slot, halves: vec![half] });
    }

    fn partials(&self, kind: Kind) -> usize {
        let is_partial =
            |message: &&Message| matches!(message, Message::Partial(_)) && message.instance().kind == kind;
        self.sent.iter().filter(is_partial).count()
    }

    fn voted(&self) -> bool {
        self.sent.iter().any(|message| matches!(message, Message::Vote(_)))
    }

    /// The last answer says that the node is stopped, and why.
    fn refused_for(&self, reason: &Reason) {
        assert_eq!(self.answers.last(), Some(&Answer::Refused(Refusal::Stopped(reason.clone()))));
    }
}

fn instance(slot: Slot) -> Instance {
    Instance::new(Generation(0), slot, Kind::Attest)
}

fn vote(slot: Slot) -> BeaconVote {
    let at = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root([epoch as u8; 32]) };
    BeaconVote { slot, index: 0, beacon_block_root: Root([7; 32]), source: at(EPOCH - 1), target: at(EPOCH) }
}

#[test]
fn without_a_stop_the_same_script_sends_a_partial() {
    let mut desk = Desk::new();
    desk.decide(slot(1));
    assert_eq!(desk.journal(), 1);
    desk.ask(Ask::Vote { slot: slot(1) });
    assert_eq!(desk.answers, [Answer::Vote(vote(slot(1)))]);
    desk.attest(slot(1));
    desk.complete();
    assert!(desk.voted());
    assert_eq!((desk.partials(Kind::Attest), desk.answers.last()), (1, Some(&Answer::Accepted)));
}

#[test]
fn stopped_before_the_slot_a_node_promises_nothing_and_votes_only_where_that_does_no_harm() {
    for (reason, votes) in reasons() {
        let mut desk = Desk::new();
        desk.input(Input::Stop(reason.clone()));
        desk.decide(slot(1));
        assert_eq!(desk.voted(), votes, "{reason:?}");
        assert_eq!(desk.journal(), 0, "{reason:?}");
        desk.ask(Ask::Vote { slot: slot(1) });
        desk.refused_for(&reason);
        desk.attest(slot(1));
        desk.refused_for(&reason);
        assert!(desk.signing.is_empty());
        assert_eq!(desk.partials(Kind::Attest), 0);
    }
}

#[test]
fn stopped_while_the_disk_writes_the_permits_are_not_given() {
    for (reason, _) in reasons() {
        let mut desk = Desk::new();
        desk.decide(slot(1));
        desk.ask(Ask::Vote { slot: slot(1) });
        assert_eq!(desk.answers, [Answer::Vote(vote(slot(1)))]);
        desk.input(Input::Stop(reason.clone()));
        desk.ask(Ask::Vote { slot: slot(1) });
        assert_eq!(desk.journal(), 1);
        desk.refused_for(&reason);
        desk.input(Input::Resume(reason.clone()));
        // Even after that: a promise that was held back is not made good in the same slot.
        desk.attest(slot(1));
        let refused = Refusal::Stopped(reason);
        assert_eq!(desk.answers.last(), Some(&Answer::PartlyRefused(vec![(0, refused)])));
        assert!(desk.signing.is_empty());
    }
}

#[test]
fn a_half_that_comes_while_the_disk_writes_waits_for_the_rows() {
    let mut desk = Desk::new();
    desk.decide(slot(1));
    desk.ask(Ask::Vote { slot: slot(1) });
    assert_eq!(desk.answers, [Answer::Vote(vote(slot(1)))], "what is agreed and promised");
    desk.attest(slot(1));
    assert!(
        desk.signing.is_empty() && desk.partials(Kind::Attest) == 0,
        "no permit before the rows are durable"
    );
    assert_eq!(desk.answers.len(), 1, "the client waits");
    assert_eq!(desk.journal(), 1);
    desk.complete();
    assert_eq!((desk.partials(Kind::Attest), desk.answers.last()), (1, Some(&Answer::Accepted)));
}

#[test]
fn a_half_that_waits_for_the_disk_is_refused_if_the_node_stops_the_disk_fails_or_the_slot_ends() {
    let waiting = || {
        let mut desk = Desk::new();
        desk.decide(slot(1));
        desk.attest(slot(1));
        desk
    };
    let refused = |desk: &Desk, refusal| {
        assert_eq!(desk.answers, [Answer::PartlyRefused(vec![(0, refusal)])]);
        assert!(desk.signing.is_empty());
        assert_eq!(desk.partials(Kind::Attest), 0);
    };
    for (reason, _) in reasons() {
        let mut desk = waiting();
        desk.input(Input::Stop(reason.clone()));
        desk.journal();
        refused(&desk, Refusal::Stopped(reason));
    }
    let mut desk = waiting();
    let (ticket, _) = desk.rows.pop_front().unwrap();
    desk.input(Input::Journaled { ticket, durable: false });
    refused(&desk, Refusal::JournalFailed);
    let mut desk = waiting();
    desk.now = spec().slot_start(slot(2));
    assert!(desk.node.wake_at().is_some_and(|at| at <= desk.now));
    desk.input(Input::Tick);
    refused(&desk, Refusal::TooLate(slot(1)));
    assert_eq!(desk.journal(), 1);
    refused(&desk, Refusal::TooLate(slot(1)));
}

#[test]
fn stopped_while_the_curves_work_the_signature_stays_inside() {
    for (reason, _) in reasons() {
        let mut desk = Desk::new();
        desk.decide(slot(1));
        desk.journal();
        desk.attest(slot(1));
        desk.input(Input::Stop(reason.clone()));
        desk.complete();
        assert_eq!(desk.partials(Kind::Attest), 0, "{reason:?}");
        let refused = Refusal::Stopped(reason);
        assert_eq!(desk.answers.last(), Some(&Answer::PartlyRefused(vec![(0, refused)])));
    }
}

#[test]
fn a_partial_that_left_before_is_not_sent_again_while_stopped() {
    let mut desk = Desk::new();
    desk.decide(slot(1));
    desk.journal();
    desk.attest(slot(1));
    desk.complete();
    let again = |desk: &mut Desk| {
        let before = desk.partials(Kind::Attest);
        desk.input(Input::Presence { peer: index(3), up: false });
        desk.input(Input::Presence { peer: index(3), up: true });
        desk.partials(Kind::Attest) - before
    };
    assert_eq!(again(&mut desk), 1);
    desk.input(Input::Stop(slashed()));
    assert_eq!(again(&mut desk), 0);
}

#[test]
fn a_registration_is_signed_on_the_operators_word_whatever_stops_the_node() {
    for (reason, _) in reasons() {
        let mut desk = Desk::new();
        desk.begin(slot(1));
        desk.input(Input::Stop(reason));
        let statement = RegistrationStatement {
            validators: vec![VALIDATOR],
            fee_recipient: Address([3; 20]),
            gas_limit: 60_000_000,
            timestamp_s: desk.now.0 / 1000,
        };
        desk.ask(Ask::Register { statement, halves: vec![Signature([5; 96])] });
        desk.complete();
        assert_eq!((desk.partials(Kind::Registration), desk.answers.last()), (1, Some(&Answer::Accepted)));
    }
}

#[test]
fn an_exit_is_signed_on_the_operators_word_whatever_stops_the_node() {
    for (reason, _) in reasons() {
        let mut desk = Desk::new();
        desk.begin(slot(1));
        desk.input(Input::Stop(reason));
        let half = Signature([5; 96]);
        desk.ask(Ask::Exit { validator: VALIDATOR, index: INDEX, epoch: Epoch(EPOCH - 1), half });
        desk.complete();
        assert_eq!((desk.partials(Kind::Exit), desk.answers.last()), (1, Some(&Answer::Accepted)));
    }
}

#[test]
fn a_clock_that_is_right_again_signs_the_next_slot_and_stays_silent_in_the_last_one() {
    let mut desk = Desk::new();
    desk.input(Input::Stop(Reason::Clock));
    desk.begin(slot(1));
    desk.input(Input::Resume(Reason::Clock));
    desk.begin(slot(1));
    assert!(!desk.voted(), "an agreement that has become silent stays so");
    desk.decide(slot(3));
    assert!(desk.voted());
    assert_eq!(desk.journal(), 1);
    desk.attest(slot(3));
    desk.complete();
    assert_eq!(desk.partials(Kind::Attest), 1);
}

#[test]
fn a_vote_is_held_back_once_the_clock_is_off_in_the_middle_of_a_slot() {
    for (reason, votes) in reasons() {
        let mut desk = Desk::new();
        desk.now = spec().slot_start(slot(1)).after(Millis(600));
        desk.input(Input::Tick);
        desk.input(Input::Stop(reason.clone()));
        desk.input(Input::Head { slot: slot(1), root: Root([7; 32]), dependent: None });
        assert_eq!(desk.voted(), votes, "{reason:?}");
    }
}

/// The first slot of the epoch after, counted like all of them.
const NEXT: u64 = 32;

/// Ticks at the start of every slot up to this one, while the others are heard of.
fn run_to(desk: &mut Desk, number: u64) {
    while desk.now < spec().slot_start(slot(number)) {
        desk.now = desk.now.after(Millis(spec().slot_ms));
        desk.input(Input::Tick);
        let instance = instance(spec().slot_at(desk.now).unwrap());
        for peer in 2..=4 {
            desk.hear(peer, Message::Fetch(ValueId { instance, hash: Root::ZERO }));
        }
    }
}

#[test]
fn a_validator_that_is_live_without_a_partial_is_told_and_one_with_a_partial_is_not() {
    for signed in [false, true] {
        let mut desk = Desk::new();
        if signed {
            let partials = vec![PartialSignature { item: VALIDATOR.into(), signature: SIGNATURE }];
            let (instance, hash) = (instance(slot(1)), Root::of(&vote(slot(1))));
            let extra = Partials::extra(&partials);
            let statement = Statement { instance, step: Step::Partial, round: 0, hash, extra };
            let message = Message::Partial(Partials { signed: statement.unsigned(index(2)), partials });
            run_to(&mut desk, 1);
            desk.hear(2, message);
        }
        run_to(&mut desk, NEXT + 24);
        assert_eq!(desk.liveness.last(), Some(&Epoch(EPOCH)));
        let live = Some([VALIDATOR].into());
        desk.input(Input::Liveness { epoch: Epoch(EPOCH), live });
        let found: Vec<BTreeSet<_>> = if signed { vec![] } else { vec![[VALIDATOR].into()] };
        assert_eq!(desk.doppelgangers, found);
    }
}

#[test]
fn what_is_seen_with_a_wrong_clock_is_no_doppelganger() {
    let mut desk = Desk::new();
    run_to(&mut desk, NEXT + 24);
    assert_eq!(desk.liveness.last(), Some(&Epoch(EPOCH)));
    desk.input(Input::Stop(Reason::Clock));
    let asked = desk.liveness.len();
    desk.input(Input::Liveness { epoch: Epoch(EPOCH), live: Some([VALIDATOR].into()) });
    run_to(&mut desk, NEXT + 26);
    desk.input(Input::Resume(Reason::Clock));
    desk.input(Input::Liveness { epoch: Epoch(EPOCH), live: Some([VALIDATOR].into()) });
    run_to(&mut desk, NEXT + 30);
    assert_eq!((desk.liveness.len(), desk.doppelgangers.len()), (asked, 0));
}

/// Peer 3's link goes down and comes up again, and its process answers the question that follows.
fn meets_again(desk: &mut Desk, boot: u8) {
    for up in [false, true] {
        desk.input(Input::Presence { peer: index(3), up });
    }
    desk.now = desk.now.after(Millis(2_000));
    desk.sent.clear();
    desk.input(Input::Tick);
    let asked = desk.sent.iter().find_map(|message| match message {
        Message::Challenge(challenge) => Some(*challenge),
        _ => None,
    });
    let challenge = asked.expect("who comes back is asked");
    let statement = Statement {
        instance: challenge.instance,
        step: Step::Boot,
        round: 0,
        hash: Root([boot; 32]),
        extra: challenge.nonce,
    };
    desk.hear(3, Message::Boot(statement.unsigned(index(3))));
}

#[test]
fn a_peer_that_was_started_again_is_not_waited_for_in_two_slots_and_one_that_was_only_away_is() {
    for (second_boot, number, is_split) in [(9, 1, true), (9, 3, false), (8, 1, false)] {
        let mut desk = Desk::new();
        desk.input(Input::Born { boot: Root([1; 32]) });
        desk.now = spec().slot_start(slot(0));
        desk.input(Input::Tick);
        meets_again(&mut desk, 8);
        meets_again(&mut desk, second_boot);
        desk.begin(slot(number));
        // One vote each for two values: with both others no quorum can be split yet, with one of them it is.
        let other = BeaconVote { beacon_block_root: Root([8; 32]), ..vote(slot(number)) };
        let (instance, hash) = (instance(slot(number)), Root::of(&other));
        let statement = Statement { instance, step: Step::Vote, round: 0, hash, extra: Root::ZERO };
        let signed = statement.unsigned(index(2));
        desk.hear(2, Message::Vote(Vote { signed, value: vec![other.as_ssz_bytes().into()] }));
        assert!(desk.voted());
        let asks = desk.sent.iter().any(|message| matches!(message, Message::NewRound(_)));
        assert_eq!(asks, is_split, "boot {second_boot}, slot {number}");
    }
}
