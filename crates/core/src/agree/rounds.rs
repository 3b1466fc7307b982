//! What was said in the rounds that are kept: the first word of each author, per round and type.

use super::authors::Authors;
use std::collections::{BTreeMap, BTreeSet};
use types::wire::{NewRound, Quorum, QuorumSignature, Signed, Statement, Step};
use types::{Millis, Root, ShareIndex};

/// Messages of rounds farther ahead than this are set aside (rule 13).
pub(super) const ROUNDS_AHEAD: u32 = 2;
/// Rounds below the current one that are still counted: stragglers of up to some seconds. What is older is
/// followed by relayed certificates and decisions, which need no memory.
pub(super) const ROUNDS_BEHIND: u32 = 4;

/// One round.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) votes: BTreeMap<ShareIndex, Signed>,
    pub(super) commits: BTreeMap<ShareIndex, Signed>,
    pub(super) new_rounds: BTreeMap<ShareIndex, NewRound>,
    /// The leader's first valid proposal; its justification is in `new_rounds`.
    pub(super) proposal: Option<Signed>,
    /// When `q` `NEWROUND`s were first held.
    pub(super) quorum_at: Option<Millis>,
    /// Whether the round's certificate was seen, relayed, and answered with a commit where rule 5 says so.
    pub(super) certified: bool,
    /// Authors already named for two votes, commits, `NEWROUND`s or proposals of this round.
    accused: BTreeSet<(ShareIndex, Step)>,
}

/// How a statement relates to what its author said before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The first of its round and type.
    First,
    /// Said before, or a second word by one who was named for that already.
    Known,
    /// Rule 12: another word than the first, which is given here.
    Second(Signed),
}

impl Round {
    /// Counts a vote if it is its author's first (rule 12).
    pub(super) fn vote(&mut self, vote: &Signed) -> Word {
        let word = self.weigh(vote);
        if word == Word::First {
            self.votes.insert(vote.author, *vote);
        }
        word
    }

    /// Counts a commit if it is its author's first.
    pub(super) fn commit(&mut self, commit: &Signed) -> Word {
        let word = self.weigh(commit);
        if word == Word::First {
            self.commits.insert(commit.author, *commit);
        }
        word
    }

    /// How a statement relates to its author's first one here. A second word is reported once.
    pub(super) fn weigh(&mut self, signed: &Signed) -> Word {
        let step = signed.statement.step;
        let first = match step {
            Step::Vote => self.votes.get(&signed.author).copied(),
            Step::Commit => self.commits.get(&signed.author).copied(),
            Step::NewRound => self.new_rounds.get(&signed.author).map(|new_round| new_round.signed),
            Step::Proposal => self.proposal.filter(|proposal| proposal.author == signed.author),
            Step::Partial | Step::Boot => None,
        };
        match first {
            None => Word::First,
            Some(first) if first.statement == signed.statement => Word::Known,
            Some(first) if self.accused.insert((signed.author, step)) => Word::Second(first),
            Some(_) => Word::Known,
        }
    }

    /// Authors whose counted vote here is for `hash`.
    pub(super) fn voters(&self, hash: &Root) -> Authors {
        let equal = self.votes.values().filter(|vote| vote.statement.hash == *hash);
        equal.map(|vote| vote.author).collect()
    }

    /// How many counted votes the most frequent value has.
    pub(super) fn most_votes(&self) -> usize {
        self.votes.values().map(|vote| self.voters(&vote.statement.hash).len()).max().unwrap_or(0)
    }
}

/// The signatures of everybody who made this very statement.
pub(super) fn quorum(said: &BTreeMap<ShareIndex, Signed>, statement: Statement) -> Quorum {
    let equal = said.values().filter(|signed| signed.statement == statement);
    let signatures =
        equal.map(|signed| QuorumSignature { author: signed.author, signature: signed.signature });
    Quorum { statement, signatures: signatures.collect() }
}

/// The rounds that are kept: the first one always (the fast path is late or early), and those near the
/// current one.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    kept: BTreeMap<u32, Round>,
}

impl Rounds {
    pub(super) fn get(&self, round: u32) -> Option<&Round> {
        self.kept.get(&round)
    }

    pub(super) fn at(&mut self, round: u32) -> &mut Round {
        self.kept.entry(round).or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Round> {
        self.kept.values()
    }

    /// Forgets rounds below `lowest`, but for the first.
    pub(super) fn forget(&mut self, first: u32, lowest: u32) {
        self.kept.retain(|round, _| *round == first || *round >= lowest);
    }

    /// Authors who signed that they voted for `hash`, in any kept round: by a vote, or in a `NEWROUND`.
    pub(super) fn backers(&self, hash: &Root) -> Authors {
        let mut backers = Authors::default();
        for round in self.iter() {
            backers = backers.union(round.voters(hash));
            for new_round in round.new_rounds.values() {
                if new_round.last.iter().any(|last| last.hash == *hash) {
                    backers.insert(new_round.signed.author);
                }
            }
        }
        backers
    }

    /// Whether any kept message names `hash`.
    pub(super) fn name(&self, hash: &Root) -> bool {
        self.iter().any(|round| {
            let shown = |one: &NewRound| {
                one.last.iter().any(|last| last.hash == *hash)
                    || one.best.iter().any(|best| best.statement.hash == *hash)
            };
            round.voters(hash).len() > 0
                || round.proposal.is_some_and(|proposal| proposal.statement.hash == *hash)
                || round.new_rounds.values().any(shown)
        })
    }
}
