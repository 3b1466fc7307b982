//! What has been said so far, in a few words of memory: states are compared and hashed by the million.
//!
//! Messages are never taken back: what was said once can be heard at any later time, or never. So a state is what every
//! node has said, what its rules make it remember, and nothing of who has heard what.

use std::hash::{Hash, Hasher};
use symbolon_core::agree::rules::Shown;

/// Operators of the cluster.
pub(crate) const NODES: usize = 4;
/// Lives: one for each node, and a second for the one that restarts.
pub(crate) const LIVES: usize = NODES + 1;
/// Where the second life stands.
pub(crate) const SECOND: usize = NODES;
/// Rounds that fit, counted from 0: two bits of 16 for each, and the round after the last is needed, too.
pub(crate) const ROUNDS_MAX: u32 = 6;

/// One of the two things that are voted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    A,
    B,
}

pub(crate) const VALUES: [Value; 2] = [Value::A, Value::B];

impl Value {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A set of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values(u8);

impl Values {
    pub(crate) const ALL: Self = Self(3);

    pub(crate) fn insert(&mut self, value: Value) {
        self.0 |= 1 << value as u8;
    }

    pub(crate) fn contains(self, value: Value) -> bool {
        self.0 & (1 << value as u8) != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Value> {
        VALUES.into_iter().filter(move |value| self.contains(*value))
    }
}

impl FromIterator<Value> for Values {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        let mut set = Self::default();
        values.into_iter().for_each(|value| set.insert(value));
        set
    }
}

/// At most one value for each round: two bits a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByRound(u16);

impl ByRound {
    pub(crate) fn get(self, round: u32) -> Option<Value> {
        match (self.0 >> (2 * round)) & 3 {
            0 => None,
            1 => Some(Value::A),
            _ => Some(Value::B),
        }
    }

    /// Says a value for a round in which nothing was said yet.
    pub(crate) fn say(&mut self, round: u32, value: Value) {
        assert!(self.get(round).is_none() && round <= ROUNDS_MAX + 1, "one word a round, in few rounds");
        self.0 |= (value as u16 + 1) << (2 * round);
    }

    /// The highest round below `end`, and what was said in it.
    pub(crate) fn last_below(self, end: u32) -> Option<(u32, Value)> {
        let below = self.0 & ((1 << (2 * end)) - 1);
        let round = below.checked_ilog2()? / 2;
        self.get(round).map(|value| (round, value))
    }

    pub(crate) fn last(self) -> Option<(u32, Value)> {
        self.last_below(ROUNDS_MAX + 1)
    }

    fn swapped(self) -> Self {
        Self(((self.0 & 0x5555) << 1) | ((self.0 & 0xaaaa) >> 1))
    }
}

/// A certificate's round and value, or none: four bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Best(u8);

impl Best {
    pub(crate) fn of(round: u32, value: Value) -> Self {
        Self(((round as u8 + 1) << 1) | value as u8)
    }

    pub(crate) fn get(self) -> Option<(u32, Value)> {
        let round = u32::from(self.0 >> 1).checked_sub(1)?;
        Some((round, VALUES[usize::from(self.0 & 1)]))
    }

    fn swapped(self) -> Self {
        if self.0 == 0 { self } else { Self(self.0 ^ 1) }
    }
}

/// For each round from 1 on whether its `NEWROUND` was sent, and the certificate that it shows: five bits a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked(u32);

impl Asked {
    const SENT: u32 = 1 << 4;

    fn at(round: u32) -> u32 {
        5 * (round - 1)
    }

    /// The certificate shown in `NEWROUND(round)`, if that was sent.
    pub(crate) fn get(self, round: u32) -> Option<Best> {
        let bits = self.0 >> Self::at(round);
        (bits & Self::SENT != 0).then_some(Best((bits & 15) as u8))
    }

    pub(crate) fn say(&mut self, round: u32, best: Best) {
        assert!(self.highest() < round && round <= ROUNDS_MAX, "NEWROUNDs only go up");
        self.0 |= (Self::SENT | u32::from(best.0)) << Self::at(round);
    }

    /// The highest round asked for; 0 for none.
    pub(crate) fn highest(self) -> u32 {
        self.0.checked_ilog2().map_or(0, |bit| bit / 5 + 1)
    }

    fn swapped(self) -> Self {
        let mut swapped = Self(0);
        for round in 1..=self.highest() {
            if let Some(best) = self.get(round) {
                swapped.say(round, best.swapped());
            }
        }
        swapped
    }
}

/// What one node has said and remembers, from its start to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) votes: ByRound,
    pub(crate) commits: ByRound,
    /// In the rounds that it leads.
    pub(crate) proposals: ByRound,
    pub(crate) asked: Asked,
    /// The certificate of the highest round that it holds.
    pub(crate) best: Best,
    /// The value that it gave its partial signature for, having decided it: the first of these.
    pub(crate) signed: ByRound,
}

impl Life {
    pub(crate) fn signed(&self) -> Option<Value> {
        self.signed.get(0)
    }

    pub(crate) fn sign(&mut self, value: Value) {
        self.signed.say(0, value);
    }

    /// What its `NEWROUND(round)` shows, if it was sent. Its last vote then is its highest vote below: it cast none below
    /// afterwards (rule 1), and had not been in a higher round before.
    pub(crate) fn shown(&self, round: u32) -> Option<Shown<Value>> {
        let best = self.asked.get(round)?;
        Some(Shown { best: best.get(), last: self.votes.last_below(round) })
    }

    /// Everything in one number: 48 bits of words, 30 of `NEWROUND`s, 4 of a certificate, 2 of a signature.
    fn bits(&self) -> u128 {
        let Self { votes, commits, proposals, asked, best, signed } = *self;
        let words = u128::from(votes.0) | u128::from(commits.0) << 16 | u128::from(proposals.0) << 32;
        words | u128::from(asked.0) << 48 | u128::from(best.0) << 80 | u128::from(signed.0) << 84
    }

    fn swapped(&self) -> Self {
        Self {
            votes: self.votes.swapped(),
            commits: self.commits.swapped(),
            proposals: self.proposals.swapped(),
            asked: self.asked.swapped(),
            best: self.best.swapped(),
            signed: self.signed.swapped(),
        }
    }
}

impl Hash for Life {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.bits());
    }
}

/// What the whole cluster has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    pub(crate) lives: [Life; LIVES],
    /// The node that has restarted: its first life is over, the second has begun.
    pub(crate) restarted: Option<u8>,
}

impl State {
    /// The same with the values' names exchanged.
    pub(crate) fn swapped(&self) -> Self {
        Self { lives: self.lives.map(|life| life.swapped()), restarted: self.restarted }
    }

    /// The same with two nodes' names exchanged.
    pub(crate) fn exchanged(mut self, one: usize, other: usize) -> Self {
        self.lives.swap(one, other);
        self.restarted = self.restarted.map(|node| match usize::from(node) {
            node if node == one => other as u8,
            node if node == other => one as u8,
            _ => node,
        });
        self
    }

    /// All lives of a node so far.
    pub(crate) fn lives_of(&self, node: usize) -> impl Iterator<Item = &Life> {
        let second = self.is_restarted(node).then_some(&self.lives[SECOND]);
        std::iter::once(&self.lives[node]).chain(second)
    }

    pub(crate) fn is_restarted(&self, node: usize) -> bool {
        self.restarted.is_some_and(|restarted| usize::from(restarted) == node)
    }
}

#[test]
fn words_of_rounds_are_kept_apart() {
    let mut said = ByRound::default();
    assert_eq!(said.last(), None);
    said.say(0, Value::B);
    said.say(3, Value::A);
    assert_eq!((said.get(0), said.get(1), said.get(3)), (Some(Value::B), None, Some(Value::A)));
    assert_eq!((said.last(), said.last_below(3)), (Some((3, Value::A)), Some((0, Value::B))));
    assert_eq!(said.swapped().last(), Some((3, Value::A.other())));
    let mut asked = Asked::default();
    asked.say(2, Best::of(1, Value::B));
    asked.say(4, Best::default());
    assert_eq!((asked.highest(), asked.get(1), asked.get(4)), (4, None, Some(Best::default())));
    assert_eq!(asked.get(2).and_then(Best::get), Some((1, Value::B)));
    assert_eq!(asked.swapped().get(2).and_then(Best::get), Some((1, Value::A)));
    assert_eq!(asked.swapped().swapped(), asked);
}
