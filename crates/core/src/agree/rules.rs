//! The rules as questions about numbers, without messages and signatures.
//!
//! [`Agree`](super::Agree) asks them before it acts. So does the exhaustive model of this crate's tests, over words of a few
//! bits: what is exhausted there is what runs here. Nothing in this module knows what a hash is; two can be
//! compared, that is all.

pub use super::choice::{Choice, Shown};

use super::choice;
use crate::mutants::{Mutant, Rules};
use types::wire::Kind;
use types::{ClusterSize, Slot};

/// What was counted under one statement, by distinct authors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Equal votes of a round.
    Votes {
        /// Of which round.
        round: u32,
        /// By how many authors.
        equal: usize,
    },
    /// Equal commits of one round.
    Commits {
        /// By how many authors.
        equal: usize,
    },
}

/// The rules of one instance: how many it takes, and what they may do.
#[derive(Clone, Copy, Debug)]
pub struct Rulebook {
    size: ClusterSize,
    first_round: u32,
    rules: Rules,
}

impl Rulebook {
    /// The rules for a cluster and a kind of duty.
    ///
    /// - `rules`: [`Rules::default`], but in tests of tests.
    pub const fn new(size: ClusterSize, kind: Kind, rules: Rules) -> Self {
        Self { size, first_round: kind.first_round(), rules }
    }

    /// The round that the instance begins with: 0, which is open, or 1, which is led.
    pub const fn first_round(&self) -> u32 {
        self.first_round
    }

    /// How many equal votes are a certificate: `q`.
    pub fn votes_needed(&self) -> usize {
        self.size.quorum() - usize::from(self.rules.break_with(Mutant::SmallCertificate))
    }

    /// Rule 5: whether so many equal votes of one round are a certificate.
    pub fn is_certificate(&self, equal: usize) -> bool {
        equal >= self.votes_needed()
    }

    /// Rule 6: `q` equal commits of one round, or `n` equal votes of the first round (the fast path).
    pub fn is_decision(&self, tally: Tally) -> bool {
        match tally {
            Tally::Commits { equal } => equal >= self.size.quorum(),
            Tally::Votes { round, equal } => round == self.first_round && equal >= self.size.operators(),
        }
    }

    /// Rule 2: whether so many votes vouch for a value, since one of their authors is honest: `f+1`.
    pub fn is_vouched(&self, votes: usize) -> bool {
        votes > usize::from(self.size.faults())
    }

    /// Rule 8: the highest round that `f+1` authors asked for, or one above it; 0 for none.
    ///
    /// - `reached`: the highest `NEWROUND` of each author.
    pub fn pulled_to(&self, reached: impl IntoIterator<Item = u32>) -> u32 {
        let mut reached: Vec<u32> = reached.into_iter().collect();
        reached.sort_unstable_by(|a, b| b.cmp(a));
        reached.get(usize::from(self.size.faults())).copied().unwrap_or(0)
    }

    /// Rules 8 and 10: whether so many `NEWROUND`s enter their round, and let its leader propose: `q`.
    pub fn is_entered(&self, held: usize) -> bool {
        held >= self.size.quorum()
    }

    /// Whether a `NEWROUND(asked)` may show a certificate of this round: of a lower one only.
    pub const fn may_show(&self, asked: u32, certificate: u32) -> bool {
        certificate < asked
    }

    /// Whether a `NEWROUND(asked)` may claim a last vote of this round.
    ///
    /// - `header`: whether it shows what that round's leader signed for the hash. Votes of a led round need it, so
    ///   that nobody but the leader can invent one; round 0 has no leader.
    pub const fn may_claim(&self, asked: u32, last: u32, header: bool) -> bool {
        last >= self.first_round && last < asked && header == (last > 0)
    }

    /// Whether a proposal of this round needs no justification: it opens a led first round (rule 3).
    pub const fn opens(&self, round: u32) -> bool {
        round > 0 && round <= self.first_round
    }

    /// Rule 9: what the `NEWROUND`s of one round and distinct authors let its leader propose.
    pub fn choice<H: Copy + Ord>(&self, shown: impl IntoIterator<Item = Shown<H>> + Clone) -> Choice<H> {
        if self.rules.break_with(Mutant::CertificatesIgnored) {
            return choice::plurality(shown);
        }
        if self.rules.break_with(Mutant::LaterVotesFirst) {
            return choice::latest(shown);
        }
        choice::choice(shown)
    }

    /// Rule 9, the voter's side: whether a later round's proposal of `hash` follows from what it shows.
    ///
    /// - `shown`: `NEWROUND`s of that round, valid, of distinct authors.
    pub fn justifies<H: Copy + Ord>(
        &self,
        shown: impl IntoIterator<Item = Shown<H>> + Clone,
        hash: &H,
    ) -> bool {
        self.is_entered(shown.clone().into_iter().count()) && self.choice(shown).allows(hash)
    }
}

/// Where a node stands in an instance: all that its own rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The round it is in.
    pub round: u32,
    /// The highest `NEWROUND` it has sent; 0 for none.
    pub asked: u32,
    /// The round of its last vote.
    pub voted: Option<u32>,
    /// The highest round it has proposed in; 0 for none.
    pub proposed: u32,
    /// Whether it knows a decision.
    pub decided: bool,
    /// Whether it only follows (rule 11), or its part is over.
    pub silent: bool,
}

impl Standing {
    /// The round it is in or has asked for.
    pub fn frontier(&self) -> u32 {
        self.round.max(self.asked)
    }

    /// The round in which it may vote now, if any: only ever the highest asked for or entered, and above the last vote's.
    /// So there is one vote per round, none below a `NEWROUND` sent (rule 1), and the last vote is that of the
    /// highest round.
    pub fn votes_in(&self) -> Option<u32> {
        let round = self.frontier();
        (!self.silent && self.voted.is_none_or(|voted| voted < round)).then_some(round)
    }

    /// Rules 1 and 5: whether a certificate of this round, seen for the first time, makes it commit.
    pub const fn commits_in(&self, round: u32) -> bool {
        !self.silent && self.asked <= round
    }

    /// Rule 8: the round that it asks for when its own round ends, if any: not while another is asked for already, and
    /// not once a decision is known.
    pub const fn asks_next(&self) -> Option<u32> {
        match self.asked > self.round || self.decided || self.silent {
            true => None,
            false => Some(self.round.saturating_add(1)),
        }
    }

    /// Rules 3 and 10: the round in which it may propose now if it leads it and holds what that takes: once each.
    pub fn proposes_in(&self) -> Option<u32> {
        let round = self.frontier();
        (round > 0 && self.proposed < round && !self.silent).then_some(round)
    }
}

/// Rule 11: the last slot in which a node that has started may have spoken before, if there is any.
///
/// - `at_start`: the slot it started in; `None` before genesis.
/// - `journaled`: the highest slot in its journal.
pub fn follow_until(rules: Rules, at_start: Option<Slot>, journaled: Option<Slot>) -> Option<Slot> {
    match rules.break_with(Mutant::VotesAfterRestart) {
        true => None,
        false => at_start.map(Slot::next).max(journaled),
    }
}

/// Rule 11: whether a node only follows in instances of this slot.
pub fn follows(follow_until: Option<Slot>, slot: Slot) -> bool {
    follow_until.is_some_and(|until| slot <= until)
}
