//! That a duty is never lost for good: from each state, once messages arrive, the nodes that have not stopped end it.
//!
//! From here on they hear each other, and nothing else: what a stopped node said last may have reached nobody, and a
//! Byzantine node falls silent, but for what it may already have put into a leader's `NEWROUND`s. They do what is due by
//! messages first, and when nothing is, the timers of all of them end. A node that has not cast its vote of round 0 casts
//! none. Whatever a leader is allowed to propose on the way has to end the duty.

use super::cluster::{Cluster, Step};
use super::state::{NODES, ROUNDS_MAX, State, VALUES, Value};
use symbolon_core::agree::rules::Standing;

/// Steps of one recovery: each node asks, proposes, votes, commits at most once in each round that fits.
const STEPS_MAX: u32 = 200;

impl Cluster {
    /// Whether the duty ends from here, also if another node than those that are faulty already stops now, as long as
    /// no more than `f` are. More faults promise nothing.
    ///
    /// To stop is to take no step any more, so the state of a cluster in which a node has stopped some time ago is
    /// reached without that, too.
    pub(crate) fn recovers(&self, state: &State) -> bool {
        let faulty = (0..NODES).filter(|node| self.is_byzantine(*node) || state.is_restarted(*node)).count();
        match self.faults_left(faulty) {
            None => true,
            Some(0) => self.recovers_without(state, None),
            Some(_) => {
                let stopped = (0..NODES).map(Some).chain([None]);
                stopped.into_iter().all(|stopped| self.recovers_without(state, stopped))
            }
        }
    }

    fn recovers_without(&self, state: &State, stopped: Option<usize>) -> bool {
        let is_awake =
            |node: &usize| !self.is_byzantine(*node) && !state.is_restarted(*node) && stopped != Some(*node);
        let awake: Vec<usize> = (0..NODES).filter(is_awake).collect();
        let mut heard = State::default();
        for node in &awake {
            heard.lives[*node] = state.lives[*node];
        }
        Recovery { loud: self, quiet: self.silenced(), awake }.ends(heard, STEPS_MAX)
    }
}

struct Recovery<'a> {
    /// Where the Byzantine node has said everything.
    loud: &'a Cluster,
    /// Where it has said nothing.
    quiet: Cluster,
    awake: Vec<usize>,
}

impl Recovery<'_> {
    fn ends(&self, mut state: State, steps_left: u32) -> bool {
        for left in (0..steps_left).rev() {
            if let Some(value) = self.known_decision(&state) {
                let signs = |node: &usize| state.lives[*node].signed().is_none_or(|signed| signed == value);
                return self.quiet.is_enough(self.awake.iter().copied().filter(signs).count());
            }
            if let Some((leader, round)) = self.proposer(&state) {
                return self.loud.proposable(&state, round).iter().all(|value| {
                    let next = self.quiet.after(&state, leader, Step::Propose(round, value));
                    next.is_some_and(|next| self.ends(next, left))
                });
            }
            let due = self.by_message(&state).or_else(|| self.by_timer(&state));
            let Some(next) = due else { return false };
            state = next;
        }
        false
    }

    /// What one of them has signed, having the decision; or what they have decided among themselves.
    fn known_decision(&self, state: &State) -> Option<Value> {
        let signed = self.awake.iter().find_map(|node| state.lives[*node].signed());
        signed.or_else(|| VALUES.into_iter().find(|value| self.quiet.is_decided(state, *value)))
    }

    /// Who proposes next, in which round.
    fn proposer(&self, state: &State) -> Option<(usize, u32)> {
        self.awake.iter().find_map(|node| {
            let round = self.quiet.standing(state, *node).proposes_in()?;
            let leads = self.quiet.leader(round) == *node && self.quiet.may_lead(state, round);
            leads.then_some((*node, round))
        })
    }

    /// What follows from messages: certificates that were seen or can be made, pulls, and votes.
    fn by_message(&self, state: &State) -> Option<State> {
        let mut next = *state;
        for round in self.quiet.book.first_round()..=ROUNDS_MAX {
            for value in VALUES {
                let seen = |node: &usize| state.lives[*node].best.get() == Some((round, value));
                if self.quiet.is_certified(state, round, value) || self.awake.iter().any(seen) {
                    self.all_do(&mut next, |_, _| Some(Step::Certificate(round, value)));
                }
            }
        }
        let reached = self.awake.iter().map(|node| state.lives[*node].asked.highest());
        let pulled = self.quiet.book.pulled_to(reached);
        self.all_do(&mut next, |_, standing| (pulled > standing.frontier()).then_some(Step::Ask(pulled)));
        self.all_do(&mut next, |state, standing| {
            let round = standing.votes_in()?;
            let value = state.lives[self.quiet.leader(round)].proposals.get(round)?;
            Some(Step::Vote(round, value))
        });
        (next != *state).then_some(next)
    }

    /// All timers that run end, at once: none starts and ends before the others have been heard.
    fn by_timer(&self, state: &State) -> Option<State> {
        let mut next = *state;
        for node in &self.awake {
            let asks = self.quiet.standing(state, *node).asks_next().filter(|round| *round <= ROUNDS_MAX);
            let asked = asks.and_then(|round| self.quiet.after(&next, *node, Step::Ask(round)));
            next = asked.unwrap_or(next);
        }
        (next != *state).then_some(next)
    }

    fn all_do(&self, state: &mut State, step: impl Fn(&State, Standing) -> Option<Step>) {
        for node in &self.awake {
            let step = step(state, self.quiet.standing(state, *node));
            if let Some(next) = step.and_then(|step| self.quiet.after(state, *node, step)) {
                *state = next;
            }
        }
    }
}
