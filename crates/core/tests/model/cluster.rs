//! The cluster as a state machine: every step that the rules allow one node next, whatever it has heard so far.
//!
//! A node may act on all that has been said, or on any part of it, as late as it likes; so delay, loss and every order of
//! arrival are in the model without any network. What a Byzantine node may have said counts as said, to whomever it helps:
//! it votes and commits for both values in all rounds, and asks for all of them. It never takes a step itself.
//!
//! Every question of what the rules allow goes to `symbolon_core::agree::rules`. Here stands only what one step changes.

use super::promises;
use super::state::{Best, LIVES, Life, NODES, ROUNDS_MAX, SECOND, State, VALUES, Value, Values};
use stateright::{Model, Property};
use std::collections::BTreeMap;
use std::sync::RwLock;
use symbolon_core::agree::rules::{Rulebook, Standing, Tally, follow_until, follows};
use symbolon_core::mutants::Rules;
use types::wire::{Instance, Kind};
use types::{ClusterSize, Generation, Slot};

/// The slot of the one duty. Node 0 leads round 0, 4, ...; node 1 rounds 1, 5, ...
const SLOT: Slot = Slot(4);

/// What a node finds when it starts again in the middle of the duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    /// Its clock is two slots behind, so that it believes in a duty that had not begun.
    pub(crate) clock_behind: bool,
    /// Its journal is gone.
    pub(crate) journal_lost: bool,
}

impl Restart {
    pub(crate) const PROPER: Self = Self { clock_behind: false, journal_lost: false };
}

/// One step of one node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Vote(u32, Value),
    /// A certificate is seen, and committed where rule 5 says so.
    Certificate(u32, Value),
    Propose(u32, Value),
    /// `NEWROUND`: its timer ended, or it was pulled.
    Ask(u32),
    /// A decision is seen; the journal took the value; the partial signature is out.
    Sign(Value),
    /// The first life ends, the second begins.
    Restart,
}

/// Which cluster, with which faults.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) book: Rulebook,
    rules: Rules,
    size: ClusterSize,
    instance: Instance,
    /// No node asks for a round above.
    pub(crate) rounds_end: u32,
    pub(crate) byzantine: Option<usize>,
    /// Whether the Byzantine node has said everything, or nothing.
    speaks: bool,
    restart: Option<Restart>,
    /// What was said before.
    begin: State,
    /// Answers of rule 9 by question.
    pub(crate) answers: RwLock<BTreeMap<u128, Values>>,
}

impl Cluster {
    /// Four honest nodes of which none ever stops.
    pub(crate) fn new(kind: Kind, rounds_end: u32, rules: Rules) -> Self {
        assert!(rounds_end < ROUNDS_MAX - 1, "after the last round there are two more, for the recovery");
        let size = ClusterSize::new_safe(NODES, 3).expect("three of four");
        Self {
            book: Rulebook::new(size, kind, rules),
            rules,
            size,
            instance: Instance::new(Generation(0), SLOT, kind),
            rounds_end,
            byzantine: None,
            speaks: true,
            restart: None,
            begin: State::default(),
            answers: RwLock::default(),
        }
    }

    pub(crate) fn with_byzantine(self, node: usize) -> Self {
        Self { byzantine: Some(node), ..self }
    }

    /// Any honest node may restart, once, at any time. One that does nothing afterwards has crashed.
    pub(crate) fn with_restart(self, restart: Restart) -> Self {
        Self { restart: Some(restart), ..self }
    }

    /// All honest nodes have voted for this value in round 0.
    pub(crate) fn after_first_votes(self, value: Value) -> Self {
        let mut begin = self.begin;
        for node in self.honest() {
            begin.lives[node].votes.say(0, value);
        }
        Self { begin, ..self }
    }

    /// The same cluster, whose Byzantine node says nothing, with as many rounds as fit.
    pub(crate) fn silenced(&self) -> Self {
        let Self { book, rules, size, instance, byzantine, restart, begin, .. } = *self;
        let (rounds_end, speaks, answers) = (ROUNDS_MAX, false, RwLock::default());
        Self { book, rules, size, instance, rounds_end, byzantine, speaks, restart, begin, answers }
    }

    pub(crate) fn is_byzantine(&self, node: usize) -> bool {
        self.byzantine == Some(node)
    }

    pub(crate) fn leader(&self, round: u32) -> usize {
        self.instance.leader(round, self.size).position()
    }

    pub(crate) fn rounds(&self) -> impl Iterator<Item = u32> + use<> {
        self.book.first_round()..=self.rounds_end
    }

    /// Nodes that keep to the rules.
    fn honest(&self) -> impl Iterator<Item = usize> {
        (0..NODES).filter(|node| !self.is_byzantine(*node))
    }

    /// How many more faults agreement lives with (`f`; a restart counts, rule 11); `None` if there are more already.
    pub(crate) fn faults_left(&self, faulty: usize) -> Option<usize> {
        usize::from(self.size.faults()).checked_sub(faulty)
    }

    /// How many nodes have done something, in any of their lives.
    pub(crate) fn count(&self, state: &State, done: impl Fn(&Life) -> bool) -> usize {
        let honest = self.honest().filter(|node| state.lives_of(*node).any(&done)).count();
        honest + usize::from(self.byzantine.is_some() && self.speaks)
    }

    /// Whether the votes that were cast make a certificate.
    pub(crate) fn is_certified(&self, state: &State, round: u32, value: Value) -> bool {
        self.book.is_certificate(self.count(state, |life| life.votes.get(round) == Some(value)))
    }

    /// Rule 6, but for `t` partials: those are given for decided values only, so they decide nothing new.
    pub(crate) fn is_decided(&self, state: &State, value: Value) -> bool {
        self.rounds().any(|round| self.is_decided_in(state, round, value))
    }

    pub(crate) fn is_decided_in(&self, state: &State, round: u32, value: Value) -> bool {
        let equal = self.count(state, |life| life.commits.get(round) == Some(value));
        self.book.is_decision(Tally::Commits { equal }) || self.is_fast(state, round, value)
    }

    /// The fast path.
    pub(crate) fn is_fast(&self, state: &State, round: u32, value: Value) -> bool {
        let equal = self.count(state, |life| life.votes.get(round) == Some(value));
        self.book.is_decision(Tally::Votes { round, equal })
    }

    /// Whether partial signatures for this value combine.
    pub(crate) fn is_signed(&self, state: &State, value: Value) -> bool {
        self.is_enough(self.count(state, |life| life.signed() == Some(value)))
    }

    /// Whether so many partial signatures make a signature: `t`.
    pub(crate) fn is_enough(&self, partials: usize) -> bool {
        partials >= self.size.threshold()
    }

    /// Where a life stands. It enters a round the moment it could: until it acts on that, nobody can tell.
    pub(crate) fn standing(&self, state: &State, life: usize) -> Standing {
        let Life { votes, proposals, asked, best, .. } = state.lives[life];
        let asked = asked.highest();
        let certified = best.get().map_or(0, |(round, _)| round);
        let entered = if self.is_entered(state, asked) { asked } else { 0 };
        let round = certified.max(entered).max(self.book.first_round());
        Standing {
            round,
            asked,
            voted: votes.last().map(|(round, _)| round),
            proposed: proposals.last().map_or(0, |(round, _)| round),
            decided: state.lives[life].signed().is_some(),
            silent: life == SECOND && self.is_silent(state),
        }
    }

    /// Rule 11, as the second life finds it at its start.
    fn is_silent(&self, state: &State) -> bool {
        let (Some(restart), Some(node)) = (self.restart, state.restarted) else { return false };
        let at_start = Slot(if restart.clock_behind { SLOT.0 - 2 } else { SLOT.0 });
        let signed = state.lives[usize::from(node)].signed().filter(|_| !restart.journal_lost);
        follows(follow_until(self.rules, Some(at_start), signed.map(|_| SLOT)), SLOT)
    }

    /// Rule 7: whether the journal takes this value: it is what stands there already, or nothing does.
    fn is_journaled(&self, state: &State, life: usize, value: Value) -> bool {
        let lost = self.restart.is_some_and(|restart| restart.journal_lost);
        let earlier = state.restarted.filter(|_| life == SECOND && !lost);
        let rows = [Some(life), earlier.map(usize::from)].into_iter().flatten();
        rows.filter_map(|life| state.lives[life].signed()).all(|row| row == value)
    }

    /// What a node may vote for in the round that it is in.
    fn votable(&self, state: &State, round: u32) -> Values {
        let leader = self.leader(round);
        if round == 0 {
            return Values::ALL;
        }
        if self.is_byzantine(leader) {
            return self.proposable(state, round);
        }
        state.lives_of(leader).filter_map(|life| life.proposals.get(round)).collect()
    }

    /// What a leader may propose.
    pub(crate) fn proposable(&self, state: &State, round: u32) -> Values {
        if self.book.opens(round) { Values::ALL } else { self.justified(state, round) }
    }

    /// Whether the `NEWROUND`s that a proposal of this round takes have been sent.
    pub(crate) fn may_lead(&self, state: &State, round: u32) -> bool {
        self.book.opens(round) || self.is_entered(state, round)
    }

    /// Whether `q` nodes have asked for a round.
    pub(crate) fn is_entered(&self, state: &State, round: u32) -> bool {
        round > self.book.first_round()
            && self.book.is_entered(self.count(state, |life| life.asked.get(round).is_some()))
    }

    /// Rule 8: whether `f+1` authors of `NEWROUND`s pull to this round those who have heard of it.
    fn is_pulling(&self, state: &State, round: u32) -> bool {
        let mut reached = vec![round; usize::from(self.byzantine.is_some())];
        for node in self.honest() {
            let asked = |life: &Life| (round..=self.rounds_end).find(|at| life.asked.get(*at).is_some());
            reached.extend(state.lives_of(node).filter_map(asked).min());
        }
        // Whoever has heard only of the lowest of these is pulled the least far.
        reached.sort_unstable();
        (1..=reached.len()).any(|heard| self.book.pulled_to(reached[..heard].iter().copied()) == round)
    }

    /// All steps that are open to one life.
    fn steps(&self, state: &State, node: usize, life: usize, steps: &mut Vec<(usize, Step)>) {
        for value in VALUES.into_iter().filter(|value| self.is_decided(state, *value)) {
            steps.push((life, Step::Sign(value)));
        }
        let standing = self.standing(state, life);
        if standing.silent {
            return; // What it learns it shows to nobody.
        }
        let ends = |round: &u32| *round <= self.rounds_end;
        if let Some(round) = standing.votes_in() {
            steps.extend(self.votable(state, round).iter().map(|value| (life, Step::Vote(round, value))));
        }
        if let Some(round) = standing.proposes_in().filter(|round| self.leader(*round) == node) {
            let values = self.proposable(state, round);
            steps.extend(values.iter().map(|value| (life, Step::Propose(round, value))));
        }
        for round in self.rounds() {
            for value in VALUES.into_iter().filter(|value| self.is_certified(state, round, *value)) {
                steps.push((life, Step::Certificate(round, value)));
            }
        }
        let next = standing.asks_next().filter(ends);
        steps.extend(next.map(|round| (life, Step::Ask(round))));
        for round in (standing.frontier() + 1..=self.rounds_end).filter(|round| Some(*round) != next) {
            if self.is_pulling(state, round) {
                steps.push((life, Step::Ask(round)));
            }
        }
    }

    /// The state after a step of one life, or `None` if it changes nothing.
    pub(crate) fn after(&self, state: &State, life: usize, step: Step) -> Option<State> {
        let mut next = *state;
        let standing = self.standing(state, life);
        let one = &mut next.lives[life];
        match step {
            Step::Vote(round, value) => one.votes.say(round, value),
            Step::Propose(round, value) => one.proposals.say(round, value),
            Step::Ask(round) => one.asked.say(round, one.best),
            Step::Certificate(round, value) => {
                if one.best.get().is_none_or(|(best, _)| best < round) {
                    one.best = Best::of(round, value);
                }
                if standing.commits_in(round) && one.commits.get(round).is_none() {
                    one.commits.say(round, value);
                }
            }
            Step::Sign(value) => {
                if one.signed().is_none() && self.is_journaled(state, life, value) {
                    one.sign(value);
                }
            }
            Step::Restart => {
                // Nobody else can see what it held, and it never acts again.
                one.best = Best::default();
                next.restarted = Some(life as u8);
            }
        }
        (next != *state).then_some(next)
    }

    /// The same state under the names that come first in order: values can be exchanged, and nodes that are alike.
    ///
    /// No rule looks at which of two values it is, or at which node, but for who leads. Of two certificates of one round
    /// the lower value is taken; that is not symmetric, but those are a broken promise already. Leaders above the last
    /// round occur in `recovery` only, where whatever any of them may propose has to end the duty.
    fn named(&self, state: State) -> State {
        [state, state.swapped()].map(|named| self.sorted(named)).into_iter().min().expect("there are two")
    }

    /// Whether a node leads no round up to the last, and is honest: those are alike.
    fn is_like_others(&self, node: usize) -> bool {
        !self.is_byzantine(node) && (1..=self.rounds_end).all(|round| self.leader(round) != node)
    }

    fn sorted(&self, mut state: State) -> State {
        let key = |state: &State, node: usize| (state.lives[node], state.is_restarted(node));
        for one in (0..NODES).filter(|node| self.is_like_others(*node)) {
            for other in (one + 1..NODES).filter(|node| self.is_like_others(*node)) {
                if key(&state, other) < key(&state, one) {
                    state = state.exchanged(one, other);
                }
            }
        }
        state
    }
}

impl Model for Cluster {
    type State = State;
    type Action = (usize, Step);

    fn init_states(&self) -> Vec<State> {
        vec![self.named(self.begin)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Self::Action>) {
        for node in self.honest() {
            let life = if state.is_restarted(node) { SECOND } else { node };
            self.steps(state, node, life, actions);
            if self.restart.is_some() && state.restarted.is_none() {
                actions.push((node, Step::Restart));
            }
        }
    }

    fn next_state(&self, state: &State, (life, step): Self::Action) -> Option<State> {
        self.after(state, life, step).map(|next| self.named(next))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::properties(self)
    }
}

const _: () = assert!(LIVES == SECOND + 1, "the second life stands last");
