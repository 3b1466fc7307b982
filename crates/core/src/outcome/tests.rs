//! Stories played through to their ending, and whom it is blamed on. Operator 1 of four tells; three are enough.

use super::*;
use crate::agree::Timers;
use crate::mutants::Rules;
use crate::{Blame, Lack, Part, verdict};
use std::collections::BTreeMap;
use types::wire::{NewRound, Proposal, Statement, Step, Vote};
use types::{ClusterSize, Generation, Root, Slot, ValidatorNo};

const SLOT: Slot = Slot(4);
const A: Root = Root([0xa; 32]);
const B: Root = Root([0xb; 32]);
const DUE: usize = 2;

fn operator(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

fn setup() -> Setup {
    Setup {
        size: ClusterSize::new_safe(4, 3).unwrap(),
        me: operator(1),
        generation: Generation(0),
        spec: ChainSpec::builtin("hoodi").unwrap(),
        validators: Vec::new(),
        relays: BTreeSet::new(),
        timers: Timers::default(),
        rules: Rules::default(),
        started: Millis(0),
    }
}

/// A story, and the times at which it is told: in its slot, and after it.
struct Told {
    story: Story,
    now: Millis,
    late: Millis,
}

impl Told {
    fn of(kind: Kind) -> Self {
        let (setup, instance) = (setup(), Instance::new(Generation(0), SLOT, kind));
        let mut story = Story::new(&setup, instance);
        story.progress((0, DUE));
        let now = setup.spec.slot_start(SLOT).after(Millis(1_000));
        story.met(now, &(1..=4).map(operator).collect());
        Self { story, now, late: setup.spec.slot_start(SLOT.next()) }
    }

    fn attest() -> Self {
        Self::of(Kind::Attest)
    }

    fn statement(&self, step: Step, round: u32, hash: Root) -> Statement {
        Statement { instance: self.story.instance(), step, round, hash, extra: Root::ZERO }
    }

    fn votes_at(mut self, at: Millis, from: &[u8], hash: Root) -> Self {
        for from in from {
            let round = self.story.instance().kind.first_round();
            let signed = self.statement(Step::Vote, round, hash).unsigned(operator(*from));
            self.story.heard(at, operator(*from), &Message::Vote(Vote { signed, value: Vec::new() }));
        }
        self
    }

    fn votes(self, from: &[u8], hash: Root) -> Self {
        let now = self.now;
        self.votes_at(now, from, hash)
    }

    fn commits(mut self, from: &[u8]) -> Self {
        for from in from {
            let signed = self.statement(Step::Commit, 0, A).unsigned(operator(*from));
            self.story.heard(self.now, operator(*from), &Message::Commit(signed));
        }
        self
    }

    fn proposes(mut self, from: u8, round: u32) -> Self {
        let signed = self.statement(Step::Proposal, round, A).unsigned(operator(from));
        let proposal = Proposal { signed, value: Vec::new(), justification: Vec::new() };
        self.story.heard(self.now, operator(from), &Message::Proposal(proposal));
        self
    }

    fn asks_for(mut self, from: u8, round: u32) -> Self {
        let signed = self.statement(Step::NewRound, round, Root::ZERO).unsigned(operator(from));
        let new_round = NewRound { signed, best: Vec::new(), last: Vec::new(), proposal: Vec::new() };
        self.story.heard(self.now, operator(from), &Message::NewRound(new_round));
        self
    }

    fn own_value(self) -> Self {
        self.and(|story, now| {
            story.wanted_at(now);
            story.own_at(now);
        })
    }

    fn decided(self) -> Self {
        self.own_value().votes(&[1, 2, 3, 4], A).and(|story, now| story.decided(now, Some(0)))
    }

    fn client(self) -> Self {
        self.and(|story, now| {
            story.asked_at(now);
            story.half_at(now);
        })
    }

    fn partials(mut self, from: &[u8], count: usize) -> Self {
        for from in from {
            self.story.partials(self.now, operator(*from), count);
        }
        self
    }

    fn combined(self, done: usize) -> Self {
        self.and(|story, now| {
            story.progress((done, DUE));
            story.signed_at(now);
        })
    }

    fn alone_with(mut self, present: &[u8]) -> Self {
        self.story.account.present = present.iter().map(|number| operator(*number)).collect();
        self
    }

    fn blocked(self, obstacle: Obstacle) -> Self {
        self.and(|story, _| story.blocked(obstacle))
    }

    fn and(mut self, tell: impl FnOnce(&mut Story, Millis)) -> Self {
        tell(&mut self.story, self.now);
        self
    }

    fn and_late(mut self, tell: impl FnOnce(&mut Story, Millis)) -> Self {
        tell(&mut self.story, self.late);
        self
    }
}

fn nobody() -> Blame {
    Blame::default()
}

fn me(part: Part) -> Blame {
    Blame { me: Some(part), ..Blame::default() }
}

impl Blame {
    fn and(mut self, operators: &[u8], lack: Lack) -> Self {
        self.others.extend(operators.iter().map(|number| (operator(*number), lack)));
        self
    }
}

type Case = (Told, Ending, Blame);

/// Signed, here at least.
fn once_signed() -> Vec<Case> {
    use Ending::*;
    let bad = |story: &mut Story, _| story.fault(operator(3), Fault::BadPartial(ValidatorNo(0)));
    let full = || Told::attest().decided().client().partials(&[1, 2, 3], DUE);
    vec![
        (full().combined(DUE).and(|story, _| story.submitted(true)), Done, nobody()),
        (
            full().partials(&[4], 1).combined(1).and(|story, _| story.submitted(true)),
            Partly,
            nobody().and(&[4], Lack::NoPartial),
        ),
        (
            full().partials(&[1], 1).partials(&[4], DUE).combined(1).and(|story, _| {
                story.refused(1);
                story.submitted(true);
            }),
            Partly,
            me(Part::Journal),
        ),
        (full().combined(DUE).and(|story, _| story.submitted(false)), NotTaken, me(Part::BeaconNode)),
        (
            full().combined(DUE).and(|story, _| {
                story.submitted(true);
                story.submitted(false);
            }),
            PartlyTaken,
            me(Part::BeaconNode),
        ),
        (
            Told::attest().decided().client().partials(&[1, 3], DUE).alone_with(&[1, 2, 3]).and(bad),
            TooFewPartials,
            nobody().and(&[2, 4], Lack::NoPartial).and(&[3], Lack::BadPartial),
        ),
    ]
}

/// Agreed, and then this operator did not do its part.
fn after_agreement() -> Vec<Case> {
    use Ending::*;
    let late_agreed = || {
        let mut told = Told::attest().own_value().votes(&[1, 2], A);
        told = Told { now: told.late, ..told }.votes(&[3], A);
        told.and(|story, now| story.decided(now, Some(0)))
    };
    vec![
        (
            Told::attest().decided().partials(&[2, 3], DUE),
            ClientSilent,
            me(Part::Client).and(&[4], Lack::NoPartial),
        ),
        (
            Told::attest().decided().partials(&[2, 4], DUE).and_late(Story::asked_at),
            ClientLate,
            me(Part::Client).and(&[3], Lack::NoPartial),
        ),
        (
            Told::attest().decided().partials(&[2, 3, 4], DUE).and(Story::asked_at),
            ClientNoHalf,
            me(Part::Client),
        ),
        (
            Told::attest().decided().partials(&[2, 3, 4], DUE).client().and(|story, _| {
                story.half_refused(&Refusal::NotAgreed { signed: A, agreed: B });
            }),
            ClientBadHalf,
            me(Part::Client),
        ),
        (
            Told::attest().decided().partials(&[2, 3, 4], DUE).client().and(|story, _| {
                story.completed::<(), ()>(&[Ok(()), Err(())]);
            }),
            ClientBadHalf,
            me(Part::Client),
        ),
        (
            Told::of(Kind::Aggregate).and(|story, _| story.half_refused(&Refusal::NotDistributed)),
            NotDistributed,
            me(Part::Client),
        ),
        (late_agreed(), AgreedLate, nobody().and(&[3], Lack::LateVote).and(&[4], Lack::NoVote)),
        (
            Told::attest().decided().and(|story, _| story.refused(DUE)).partials(&[2, 3], DUE),
            Refused,
            me(Part::Journal).and(&[4], Lack::NoPartial),
        ),
        (
            Told::attest().decided().partials(&[2, 3, 4], DUE).blocked(Obstacle::JournalFailed),
            JournalFailed,
            me(Part::Journal),
        ),
        (Told::attest().decided().client().blocked(Obstacle::Stopped), Stopped, me(Part::Stop)),
    ]
}

/// Nothing agreed.
fn before_agreement() -> Vec<Case> {
    use Ending::*;
    let led = || Told::of(Kind::Propose);
    vec![
        (Told::attest().own_value().blocked(Obstacle::ValueSlashable), Refused, me(Part::Journal)),
        (
            Told::attest().own_value().votes(&[2, 3], A).blocked(Obstacle::OnlyFollows),
            OnlyFollowed,
            me(Part::Restart).and(&[4], Lack::NoVote),
        ),
        (Told::of(Kind::SyncMessage).blocked(Obstacle::NoVote), NoVote, nobody()),
        (led().blocked(Obstacle::NoReveal), NoReveal, nobody()),
        (
            Told::attest().own_value().votes(&[1, 2], A).alone_with(&[1, 2]),
            TooFewPresent,
            nobody().and(&[3, 4], Lack::NotConnected),
        ),
        (
            Told::attest().own_value().votes(&[1], A).alone_with(&[1]),
            TooFewPresent,
            me(Part::Network).and(&[2, 3, 4], Lack::NotConnected),
        ),
        (
            Told::attest().and(Story::wanted_at).votes(&[2, 3], A).alone_with(&[1, 2, 3]),
            NoValue,
            me(Part::BeaconNode).and(&[4], Lack::NotConnected),
        ),
        (
            led().proposes(2, 1).votes(&[3], A).blocked(Obstacle::ValueRefused).and(|story, _| {
                story.fault(operator(2), Fault::BadValue);
            }),
            ValueRefused,
            nobody().and(&[2], Lack::BadValue),
        ),
        (led().own_value().blocked(Obstacle::ValueRefused), ValueRefused, me(Part::BeaconNode)),
        (
            Told::attest().own_value().votes(&[1], A).votes(&[2, 3], B),
            ViewsSplit,
            me(Part::BeaconNode).and(&[4], Lack::NoVote),
        ),
        (Told::attest().own_value().votes(&[1, 2], A).votes(&[3, 4], B), ViewsSplit, nobody()),
        (
            Told::attest().own_value().votes(&[1, 2], A).votes(&[3], B).alone_with(&[1, 2, 3]),
            ViewsSplit,
            nobody().and(&[3], Lack::OtherView).and(&[4], Lack::NotConnected),
        ),
        // Slot 4 of four operators: operator 2 leads round 1, operator 3 round 2.
        (led().asks_for(3, 2), LeaderSilent, nobody().and(&[2, 3], Lack::NoProposal)),
        (led().asks_for(2, 4), LeaderSilent, me(Part::BeaconNode).and(&[2, 3, 4], Lack::NoProposal)),
        (led().proposes(2, 1).votes(&[1, 2], A), TooFewVotes, nobody().and(&[3, 4], Lack::NoVote)),
        (
            Told::attest().own_value().votes(&[2, 3], A),
            TooFewVotes,
            me(Part::BeaconNode).and(&[4], Lack::NoVote),
        ),
        (
            Told::attest().own_value().votes(&[1, 2, 3, 4], A).commits(&[1, 2]),
            NotAgreed,
            nobody().and(&[3, 4], Lack::NoCommit),
        ),
        (
            {
                let told = Told::attest().own_value().votes(&[2, 3, 4], A).commits(&[2, 3, 4]);
                let late = told.late;
                told.votes_at(late, &[1], A)
            },
            NotAgreed,
            me(Part::Clock),
        ),
    ]
}

fn stories() -> impl Iterator<Item = Case> {
    once_signed().into_iter().chain(after_agreement()).chain(before_agreement())
}

#[test]
fn every_story_has_its_ending_and_its_blame() {
    for (place, (mut told, ending, blame)) in stories().enumerate() {
        let outcome = told.story.outcome(true).unwrap();
        let account = told.story.account();
        assert_eq!(outcome.ending, ending, "story {place}: {account:?}");
        assert_eq!(verdict(account, std::slice::from_ref(account)), blame, "story {place}, {ending:?}");
        assert!(told.story.outcome(true).is_none(), "an outcome is told once");
    }
}

#[test]
fn every_ending_is_some_storys() {
    let told: BTreeSet<_> = stories().map(|(_, ending, _)| ending).collect();
    assert_eq!(told, Ending::ALL.into());
}

#[test]
fn a_good_duty_is_told_at_once_and_a_lost_one_when_it_is_hopeless() {
    let mut told = Told::attest().decided().client().partials(&[1, 2, 3], DUE).combined(DUE);
    assert!(told.story.outcome(false).is_none(), "no beacon node has it");
    told.story.submitted(true);
    assert_eq!(told.story.outcome(false).unwrap().ending, Ending::Done);

    let spec = setup().spec;
    let next = spec.slot_start(SLOT.next().next());
    for (kind, hopeless) in [(Kind::Propose, true), (Kind::SyncMessage, true), (Kind::Attest, false)] {
        let told = Told::of(kind);
        assert!(!told.story.is_hopeless(Millis(next.0 - 1)));
        assert_eq!(told.story.is_hopeless(next), hopeless, "{kind}");
    }
}

#[test]
fn a_step_has_an_account_and_no_outcome() {
    let mut told = Told::of(Kind::Randao).client().partials(&[1], DUE);
    assert!(told.story.outcome(true).is_none());
    assert_eq!(Ending::of(told.story.account()), Ending::TooFewPartials);
    told = told.combined(DUE);
    assert_eq!(Ending::of(told.story.account()), Ending::Done);
}

#[test]
fn what_stands_on_another_step_takes_over_its_blame() {
    let sync = Told::of(Kind::SyncMessage).blocked(Obstacle::NoVote).story.close();
    let block = Told::of(Kind::Propose).blocked(Obstacle::NoReveal).story.close();
    let randao = Told::of(Kind::Randao).client().partials(&[1, 2], DUE).story.close();
    let attest = Told::attest().and(Story::wanted_at).votes(&[2], A).story.close();
    let slot = [attest, sync.clone(), block.clone(), randao];
    let silent = me(Part::BeaconNode).and(&[3, 4], Lack::NoVote);
    assert_eq!(verdict(&sync, &slot), silent);
    assert_eq!(verdict(&block, &slot), nobody().and(&[3, 4], Lack::NoPartial));
    assert!(verdict(&sync, std::slice::from_ref(&sync)).is_nobody(), "nothing is known of the vote");
}

#[test]
fn before_a_decision_who_said_nothing_is_missing_if_anybody_spoke() {
    let told = Told::attest().own_value();
    assert!(told.story.account().missing().is_empty(), "nobody has spoken");
    let told = told.votes(&[1, 2], A).asks_for(3, 1);
    assert_eq!(told.story.account().missing(), [operator(4)].into());
}

#[test]
fn who_sends_the_rest_later_is_not_missing_any_more() {
    let told = Told::attest().decided().partials(&[1, 2, 3], DUE).partials(&[4], 1);
    assert_eq!(told.story.account().missing(), [operator(4)].into());
    let told = told.partials(&[4], DUE);
    assert!(told.story.account().missing().is_empty());
}

#[test]
fn a_blame_is_a_sentence() {
    let both = me(Part::Client).and(&[2], Lack::NoPartial).and(&[4], Lack::NotConnected);
    assert_eq!(
        both.to_string(),
        "It was this operator too: its validator client; operator 2 sent no partial signature, or too few, operator 4 \
         was not connected."
    );
    assert_eq!(me(Part::Client).to_string(), "It was this operator: its validator client.");
    let others = nobody().and(&[3], Lack::NoVote);
    assert_eq!(others.to_string(), "It was not this operator: operator 3 did not vote.");
    assert_eq!(nobody().to_string(), "No single operator is to blame.");
}

#[test]
fn no_two_endings_share_words() {
    let mut words: BTreeMap<&str, Ending> = BTreeMap::new();
    for ending in Ending::ALL {
        let name = ending.name();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(!ending.headline().ends_with('.') && ending.paragraph().ends_with('.'), "{name}");
        assert!(ending.paragraph().len() > 2 * ending.headline().len(), "{name} is explained");
        for text in [name, ending.headline(), ending.paragraph()] {
            assert_eq!(words.insert(text, ending), None, "{text}");
        }
    }
    assert_eq!(words.len(), 3 * Ending::ALL.len());
}
