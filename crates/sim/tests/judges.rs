//! Every half of every judge is able to fail: each is shown what it must find, and beside it what it must not.
//!
//! `tests/mutants.rs` has the judges find broken rules in whole worlds; here are the halves of which a world shows one
//! only, told by hand.

use sim::chain::Rejection;
use sim::curve::Symbolic;
use sim::judges::agreement::Agreement;
use sim::judges::alarms::Alarms;
use sim::judges::journal::Journal;
use sim::judges::slashable::Slashable;
use sim::judges::submissions::Submissions;
use sim::judges::words::Words;
use sim::judges::{Alarm, Sight, bounds, duties};
use sim::person::NodeKey;
use sim::setup::Setup;
use sim::villains::Habit;
use sim::world::World;
use ssz::Encode as _;
use std::collections::BTreeSet;
use symbolon_core::Fault;
use symbolon_core::journal::{Promise, Row};
use types::wire::{
    self, Instance, Item, Kind, LastVote, Message, NewRound, PartialSignature, Partials, Proposal, Quorum,
    QuorumSignature, Signed, Statement, Step, Value, Vote,
};
use types::{
    BeaconVote, ChainSpec, Checkpoint, ClusterId, ClusterSize, DomainType, Epoch, Generation, Millis,
    NodeSignature, Root, ShareIndex, SigningRoot, Slot, ValidatorIndex, ValidatorNo,
};

const A: Root = Root([0xaa; 32]);
const B: Root = Root([0xbb; 32]);
const CLUSTER: ClusterId = Root([0xc1; 32]);
const ATTEST: Instance = Instance { slot: Slot(9), kind: Kind::Attest, generation: Generation(0) };
const PROPOSE: Instance = Instance { kind: Kind::Propose, ..ATTEST };
const VALIDATOR: ValidatorNo = ValidatorNo(1);

fn operator(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

fn size() -> ClusterSize {
    ClusterSize::new_safe(4, 3).unwrap()
}

fn spec() -> ChainSpec {
    World::new(Setup::new(4, 3, 2)).spec().clone()
}

fn sent(message: &Message, author: u8) -> Sight<'_> {
    Sight::Sent { at: Millis(5), author: operator(author), honest: true, message }
}

fn statement(instance: Instance, step: Step, round: u32, hash: Root) -> Statement {
    Statement { instance, step, round, hash, extra: Root::ZERO }
}

fn vote(author: u8, round: u32, hash: Root) -> Message {
    let signed = statement(ATTEST, Step::Vote, round, hash).unsigned(operator(author));
    Message::Vote(Vote { signed, value: Vec::new() })
}

fn commit(author: u8, round: u32, hash: Root) -> Message {
    Message::Commit(statement(ATTEST, Step::Commit, round, hash).unsigned(operator(author)))
}

fn new_round(author: u8, round: u32, best: Vec<Quorum>, last: Root) -> NewRound {
    let last = vec![LastVote { round: 0, hash: last }];
    let extra = NewRound::extra(&best, &last, &[]);
    let said = Statement { extra, ..statement(ATTEST, Step::NewRound, round, Root::ZERO) };
    NewRound { signed: said.unsigned(operator(author)), best, last, proposal: Vec::new() }
}

fn proposal(author: u8, round: u32, hash: Root, justification: Vec<NewRound>) -> Message {
    let extra = Proposal::extra(&justification);
    let said = Statement { extra, ..statement(ATTEST, Step::Proposal, round, hash) };
    Message::Proposal(Proposal { signed: said.unsigned(operator(author)), value: Vec::new(), justification })
}

fn quorum(step: Step, hash: Root, authors: std::ops::RangeInclusive<u8>) -> Quorum {
    let one = |author| QuorumSignature { author: operator(author), signature: NodeSignature([7; 64]) };
    Quorum { statement: statement(ATTEST, step, 0, hash), signatures: authors.map(one).collect() }
}

/// An operator's partial signature for the validator over a value of an agreement.
fn partial(author: u8, instance: Instance, hash: Root, root: &SigningRoot) -> Message {
    let signature = Symbolic.sign(&Symbolic.share_key(VALIDATOR, operator(author)), root);
    let partials = vec![PartialSignature { item: Item::of(VALIDATOR), signature }];
    let said = Statement { extra: Partials::extra(&partials), ..statement(instance, Step::Partial, 0, hash) };
    Message::Partial(Partials { signed: said.unsigned(operator(author)), partials })
}

fn anything() -> SigningRoot {
    SigningRoot::compute(A, B)
}

#[test]
fn the_judge_of_words_finds_every_kind_of_second_word_and_no_other() {
    let found = |first: &Message, second: &Message| {
        let mut judge = Words::default();
        judge.see(sent(first, 1));
        judge.see(sent(second, 1));
        judge.violations.len()
    };
    let root = anything();
    let aggregate = Instance { kind: Kind::Aggregate, ..ATTEST };
    for (first, second) in [
        (vote(1, 0, A), vote(1, 0, B)),
        (commit(1, 0, A), commit(1, 0, B)),
        (proposal(1, 1, A, vec![]), proposal(1, 1, B, vec![])),
        (Message::NewRound(new_round(1, 1, vec![], A)), Message::NewRound(new_round(1, 1, vec![], B))),
        (partial(1, ATTEST, A, &root), partial(1, ATTEST, B, &root)),
        (partial(1, PROPOSE, A, &root), partial(1, PROPOSE, B, &root)),
    ] {
        assert_eq!(found(&first, &second), 1, "{first:?}");
        assert_eq!(found(&first, &first), 0, "the same again");
    }
    for (first, second, why) in [
        (vote(1, 0, A), vote(1, 1, B), "rounds"),
        (vote(1, 0, A), commit(1, 0, B), "steps"),
        (partial(1, ATTEST, A, &root), partial(1, PROPOSE, B, &root), "duties"),
        (partial(1, aggregate, A, &root), partial(1, aggregate, B, &root), "nobody is slashed for it"),
        (proposal(1, 1, A, vec![]), proposal(1, 1, A, vec![new_round(2, 1, vec![], A)]), "more proof"),
    ] {
        assert_eq!(found(&first, &second), 0, "{why}");
    }
    let mut judge = Words::default();
    let [first, second] = [vote(1, 0, A), vote(2, 0, B)];
    judge.see(sent(&first, 1));
    judge.see(sent(&second, 2));
    let villains = vote(1, 0, B);
    judge.see(Sight::Sent { at: Millis(5), author: operator(1), honest: false, message: &villains });
    assert_eq!(judge.violations, [], "operators, and villains");
}

fn agreement(said: &[(u8, Message)]) -> Vec<String> {
    let mut judge = Agreement::new(size());
    said.iter().for_each(|(author, message)| judge.see(sent(message, *author)));
    judge.violations.into_iter().map(|violation| violation.what).collect()
}

/// What these operators say.
fn by(authors: &[u8], say: impl Fn(u8) -> Message) -> Vec<(u8, Message)> {
    authors.iter().map(|author| (*author, say(*author))).collect()
}

#[test]
fn the_judge_of_agreement_finds_two_certificates_of_a_round_and_two_decisions() {
    let votes = |authors: &[u8], round, hash| by(authors, |author| vote(author, round, hash));
    let commits = |authors: &[u8], round, hash| by(authors, |author| commit(author, round, hash));
    let decided = |hash| vec![(1, Message::Decided(quorum(Step::Commit, hash, 1..=3)))];
    for (first, second, words) in [
        (votes(&[1, 2, 3], 1, A), votes(&[1, 2, 4], 1, B), "has certificates in round 1"),
        (commits(&[1, 2, 3], 0, A), commits(&[2, 3, 4], 1, B), "is decided for"),
        (votes(&[1, 2, 3, 4], 0, A), commits(&[2, 3, 4], 1, B), "is decided for"),
        (commits(&[1, 2, 3], 0, A), decided(B), "is decided for"),
    ] {
        let found = agreement(&[first.clone(), second].concat());
        assert!(found.len() == 1 && found[0].contains(words), "{found:?}");
        assert_eq!(agreement(&first), [""; 0]);
    }
    for (first, second, why) in [
        (votes(&[1, 2, 3], 1, A), votes(&[1, 4], 1, B), "no quorum"),
        (votes(&[1, 2, 3], 1, A), votes(&[1, 2, 4], 2, B), "rounds"),
        (votes(&[1, 2, 3, 4], 1, A), commits(&[2, 3, 4], 1, B), "all votes decide in the first round only"),
        (commits(&[1, 2, 3], 0, A), commits(&[3, 4], 1, B), "no quorum"),
    ] {
        assert_eq!(agreement(&[first, second].concat()), [""; 0], "{why}");
    }
}

#[test]
fn the_judge_of_agreement_finds_proofs_that_prove_too_little_and_proposals_against_them() {
    for prove in [Message::Cert, Message::Decided] {
        let found = |last| agreement(&[(1, prove(quorum(Step::Vote, A, 1..=last)))]);
        assert_eq!((found(2).len(), found(3).len()), (1, 0));
    }
    let asks = |hash| vec![new_round(2, 1, vec![quorum(Step::Vote, hash, 1..=3)], hash)];
    assert_eq!(agreement(&[(1, proposal(1, 1, A, asks(A)))]), [""; 0]);
    let found = agreement(&[(1, proposal(1, 1, A, asks(B)))]);
    assert!(found.len() == 1 && found[0].contains("against a certificate"), "{found:?}");
}

/// What operators vote for, from one epoch to another.
fn beacon_vote(source: u64, target: u64, head: Root) -> BeaconVote {
    let at = |epoch| Checkpoint { epoch: Epoch(epoch), root: A };
    BeaconVote {
        slot: Slot(8 * target),
        index: 0,
        beacon_block_root: head,
        source: at(source),
        target: at(target),
    }
}

/// Operators sign for a vote, and one of them shows it, before or afterwards.
fn signed_vote(vote: BeaconVote, authors: &[u8], shown_first: bool) -> Vec<(u8, Message)> {
    let instance = Instance { slot: vote.slot, ..ATTEST };
    let data = Root::of(&vote.data(0));
    let root = SigningRoot::of(&spec(), DomainType::BeaconAttester, vote.target.epoch, data);
    let mut said = by(authors, |author| partial(author, instance, Root::of(&vote), &root));
    let signed = statement(instance, Step::Vote, 0, Root::of(&vote)).unsigned(operator(1));
    let shown = Message::Vote(Vote { signed, value: vec![Value(vote.as_ssz_bytes().into())] });
    said.insert(if shown_first { 0 } else { said.len() }, (1, shown));
    said
}

fn signed_block(slot: u64, block: Root, authors: &[u8]) -> Vec<(u8, Message)> {
    let (spec, slot) = (spec(), Slot(slot));
    let root = SigningRoot::of(&spec, DomainType::BeaconProposer, spec.epoch_of(slot), block);
    by(authors, |author| partial(author, Instance { slot, ..PROPOSE }, block, &root))
}

#[test]
fn the_judge_of_slashings_finds_each_slashable_pair_once_t_operators_have_signed_both() {
    let found = |first: Vec<(u8, Message)>, second: Vec<(u8, Message)>| {
        let mut judge = Slashable::new(spec(), 3);
        [first, second].concat().iter().for_each(|(author, message)| judge.see(sent(message, *author)));
        judge.violations.len()
    };
    let (all, some): (&[u8], &[u8]) = (&[1, 2, 3], &[2, 4]);
    let voted = |source, target, head| signed_vote(beacon_vote(source, target, head), all, true);
    let late = |source, target, head| signed_vote(beacon_vote(source, target, head), all, false);
    let few = |source, target, head| signed_vote(beacon_vote(source, target, head), some, true);
    assert_eq!(found(voted(1, 2, A), voted(1, 2, B)), 1, "two votes for one target");
    assert_eq!(found(voted(1, 4, A), voted(2, 3, A)), 1, "it is surrounded");
    assert_eq!(found(voted(2, 3, A), voted(1, 4, A)), 1, "it surrounds");
    assert_eq!(found(late(1, 2, A), late(1, 2, B)), 1, "shown when it was signed already");
    assert_eq!(found(signed_block(9, A, all), signed_block(9, B, all)), 1, "two blocks of one slot");
    assert_eq!(found(voted(1, 2, A), voted(1, 2, A)), 0, "the same");
    assert_eq!(found(voted(1, 2, A), voted(2, 3, B)), 0, "one after the other");
    assert_eq!(found(voted(1, 2, A), few(1, 2, B)), 0, "too few signed the second");
    assert_eq!(found(signed_block(9, A, all), signed_block(9, B, some)), 0, "too few signed the second");
    assert_eq!(found(signed_block(9, A, all), signed_block(10, B, all)), 0, "blocks of two slots");
}

#[test]
fn the_judge_of_journals_wants_a_row_of_that_operator_for_that_validator_and_root() {
    let root = anything();
    let found = |instance, row: Option<(u8, ValidatorNo, Option<SigningRoot>)>| {
        let mut judge = Journal::default();
        if let Some((who, validator, root)) = row {
            let (key, slot) = (Symbolic.group_key(validator), ATTEST.slot);
            let rows = [Row { key, slot, promise: Promise::Block { slot }, root }];
            judge.see(Sight::Durable { at: Millis(4), operator: operator(who), rows: &rows });
        }
        let message = partial(1, instance, A, &root);
        judge.see(sent(&message, 1));
        judge.violations.len()
    };
    let other = SigningRoot::compute(B, A);
    for instance in [ATTEST, PROPOSE] {
        assert_eq!(found(instance, Some((1, VALIDATOR, Some(root)))), 0);
        assert_eq!(found(instance, None), 1, "no row");
        assert_eq!(found(instance, Some((2, VALIDATOR, Some(root)))), 1, "another operator's");
        assert_eq!(found(instance, Some((1, ValidatorNo(0), Some(root)))), 1, "another validator's");
        assert_eq!(found(instance, Some((1, VALIDATOR, Some(other)))), 1, "another root's");
        assert_eq!(found(instance, Some((1, VALIDATOR, None))), 1, "a record's, which equals nothing");
    }
    assert_eq!(found(Instance { kind: Kind::SyncMessage, ..ATTEST }, None), 0, "nobody is slashed for it");
}

#[test]
fn the_judge_of_submissions_finds_what_no_honest_node_meets_with() {
    let found = |honest, result: Result<(), Rejection>| {
        let mut judge = Submissions::default();
        judge.see(Sight::Submitted { at: Millis(5), author: operator(1), honest, result: &result });
        judge.violations.len()
    };
    let wrong = [
        Rejection::Signature("an attestation"),
        Rejection::Stranger(ValidatorIndex(7)),
        Rejection::Parent(A),
        Rejection::Field { field: "committee" },
    ];
    for rejection in wrong {
        assert_eq!(found(false, Err(rejection.clone())), 0, "a villain");
        assert_eq!(found(true, Err(rejection)), 1);
    }
    let late = [Rejection::Known, Rejection::Slot(Slot(3)), Rejection::Stale(A)];
    let astray = ["head", "source", "target"].map(|field| Rejection::Field { field });
    for rejection in late.into_iter().chain(astray) {
        assert_eq!(found(true, Err(rejection)), 0);
    }
    assert_eq!(found(true, Ok(())), 0);
}

fn alarmed(honest: bool, alarm: Alarm<'_>) -> usize {
    let mut judge = Alarms::new(CLUSTER);
    judge.see(Sight::Alarmed { at: Millis(5), author: operator(1), honest, alarm });
    judge.violations.len()
}

#[test]
fn the_judge_of_alarms_finds_what_is_believed_of_oneself_and_of_the_blameless() {
    let (peer, nobody) = (operator(2), BTreeSet::from([VALIDATOR]));
    for alarm in [Alarm::SecondInstance, Alarm::RolledBack, Alarm::Doppelgangers(&nobody)] {
        assert_eq!((alarmed(true, alarm), alarmed(false, alarm)), (1, 0), "{alarm:?}");
    }
    for fault in [Fault::BadPartial(VALIDATOR), Fault::BadValue, Fault::Unjustified] {
        let found = |honest, blameless| alarmed(honest, Alarm::Fault { peer, blameless, fault });
        assert_eq!((found(true, true), found(true, false), found(false, true)), (1, 0, 0));
    }
    let found = |honest, blameless| alarmed(honest, Alarm::TwoProcesses { peer, blameless });
    assert_eq!((found(true, true), found(true, false), found(false, true)), (1, 0, 0));
}

#[test]
fn the_judge_of_alarms_finds_evidence_that_proves_nothing_even_against_villains() {
    let said = |author: u8, statement| wire::sign(statement, &CLUSTER, &NodeKey(operator(author)));
    let (one, other) = (statement(ATTEST, Step::Vote, 0, A), statement(ATTEST, Step::Vote, 0, B));
    let found = |blameless, first: Signed, second: Signed| {
        alarmed(true, Alarm::Evidence { peer: operator(2), blameless, first: &first, second: &second })
    };
    assert_eq!(found(false, said(2, one), said(2, other)), 0, "proof against a villain");
    assert_eq!(found(true, said(2, one), said(2, other)), 1, "proof, but somebody else has the key");
    let more = Statement { extra: B, ..one };
    assert_eq!(found(false, said(2, one), said(2, more)), 0, "what a word carries is part of it");
    for (second, why) in [
        (said(2, one), "the same"),
        (said(3, other), "another operator's"),
        (said(2, Statement { round: 1, ..other }), "another round"),
        (said(2, Statement { step: Step::Commit, ..other }), "another step"),
        (said(2, Statement { instance: PROPOSE, ..other }), "another agreement"),
        (Signed { statement: other, ..said(2, one) }, "not signed"),
    ] {
        assert_eq!(found(false, said(2, one), second), 1, "{why}");
    }
}

#[test]
fn the_judge_of_duties_misses_every_kind_where_too_few_are_there() {
    let habits = vec![Habit::Honest, Habit::Honest, Habit::Mute, Habit::Mute];
    let mut world = World::new(Setup { habits, ordinary: 8, ..Setup::new(4, 3, 8) });
    world.run_to(Slot(22));
    let counts = duties::count(&world.duties(1..=20));
    let kinds = [Kind::Attest, Kind::Propose, Kind::Aggregate, Kind::Contribute, Kind::SyncMessage];
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), kinds);
    assert!(counts.values().all(|tally| tally.due > 0 && tally.done == 0), "{counts:?}");
    assert_eq!(world.missed(1..=20).len(), counts.values().map(|tally| tally.due).sum::<usize>());
}

#[test]
fn the_judge_of_bounds_finds_one_byte_too_many_and_growth_by_more_than_an_eighth() {
    let most = bounds::mind_max(size(), 2);
    assert_eq!(bounds::judge(size(), 2, most), None);
    assert!(bounds::judge(size(), 2, most + 1).is_some());
    assert!(bounds::mind_max(size(), 3) > most);
    // The first four fill up.
    let filling = [1, 200, 400, 800];
    let growth = |then: &[usize]| bounds::judge_growth(&[&filling, then].concat());
    assert_eq!(growth(&[800, 760, 900, 820]), None);
    assert!(growth(&[800, 760, 901, 820]).is_some());
    assert_eq!((growth(&[]), growth(&[800])), (None, None));
}
