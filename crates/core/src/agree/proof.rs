//! What proves itself: certificates, decisions, `NEWROUND`s, proposals. Pure; signatures are already right.

use super::authors::Authors;
use super::rules::{Choice, Rulebook, Shown, Tally};
use types::wire::{Instance, NewRound, Proposal, Quorum, Signed, Step};
use types::{ClusterSize, Root, ShareIndex};

/// Judges the proofs of one instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    pub(super) instance: Instance,
    pub(super) size: ClusterSize,
    pub(super) book: Rulebook,
}

impl Judge {
    pub(super) fn leader(&self, round: u32) -> ShareIndex {
        self.instance.leader(round, self.size)
    }

    pub(super) const fn first_round(&self) -> u32 {
        self.book.first_round()
    }

    /// `q` equal votes of a round.
    pub(super) fn certificate(&self, quorum: &Quorum) -> bool {
        quorum.statement.step == Step::Vote
            && self.equal(quorum).is_some_and(|equal| self.book.is_certificate(equal))
    }

    /// Rule 9 over `NEWROUND`s of one round.
    pub(super) fn choice<'a>(
        &self,
        justification: impl IntoIterator<Item = &'a NewRound, IntoIter: Clone>,
    ) -> Choice<Root> {
        self.book.choice(justification.into_iter().map(shown))
    }

    /// Rule 6.
    pub(super) fn decision(&self, quorum: &Quorum) -> bool {
        let Some(equal) = self.equal(quorum) else { return false };
        match quorum.statement.step {
            Step::Commit => self.book.is_decision(Tally::Commits { equal }),
            Step::Vote => self.book.is_decision(Tally::Votes { round: quorum.statement.round, equal }),
            Step::NewRound | Step::Proposal | Step::Partial | Step::Boot => false,
        }
    }

    /// A `NEWROUND(r)`: its certificate and its last vote are of rounds below `r`, and a last vote in a led
    /// round shows the leader's signed proposal, so that nobody can invent one.
    pub(super) fn new_round(&self, new_round: &NewRound) -> bool {
        let statement = new_round.signed.statement;
        let round = statement.round;
        let proper = statement.instance == self.instance
            && statement.step == Step::NewRound
            && self.size.contains(new_round.signed.author)
            && round > self.first_round();
        let earlier =
            |best: &Quorum| self.certificate(best) && self.book.may_show(round, best.statement.round);
        proper && new_round.best.iter().all(earlier) && self.last_vote(new_round, round)
    }

    /// `PROPOSAL(r)`: by the leader of `r`, and either the opening of a led first round, or following rule 9
    /// from at least `q` `NEWROUND(r)` of distinct authors.
    pub(super) fn proposal(&self, proposal: &Proposal) -> bool {
        let statement = proposal.signed.statement;
        let by_leader = statement.round > 0
            && statement.step == Step::Proposal
            && proposal.signed.author == self.leader(statement.round);
        if !by_leader || self.book.opens(statement.round) {
            return by_leader && proposal.justification.is_empty();
        }
        let mut authors = Authors::default();
        for new_round in &proposal.justification {
            if new_round.signed.statement.round != statement.round || !self.new_round(new_round) {
                return false;
            }
            authors.insert(new_round.signed.author);
        }
        authors.len() == proposal.justification.len()
            && self.book.justifies(proposal.justification.iter().map(shown), &statement.hash)
    }

    fn last_vote(&self, new_round: &NewRound, round: u32) -> bool {
        let Some(last) = new_round.last.first() else { return new_round.proposal.is_empty() };
        let header = new_round.proposal.first();
        self.book.may_claim(round, last.round, header.is_some())
            && header.is_none_or(|header| self.header(header, last.round, last.hash))
    }

    fn header(&self, header: &Signed, round: u32, hash: Root) -> bool {
        let statement = header.statement;
        statement.instance == self.instance
            && statement.step == Step::Proposal
            && (statement.round, statement.hash) == (round, hash)
            && header.author == self.leader(round)
    }

    /// How many signed a statement of this instance; `None` unless all of them are operators, each once.
    fn equal(&self, quorum: &Quorum) -> Option<usize> {
        let authors: Authors = quorum.signatures.iter().map(|one| one.author).collect();
        let proper = quorum.statement.instance == self.instance
            && quorum.statement.extra == Root::ZERO
            && quorum.statement.round >= self.first_round()
            && quorum.signatures.iter().all(|one| self.size.contains(one.author))
            && authors.len() == quorum.signatures.len();
        proper.then_some(authors.len())
    }
}

/// What a `NEWROUND` brings into rule 9.
fn shown(new_round: &NewRound) -> Shown<Root> {
    Shown {
        best: new_round.best.first().map(|best| (best.statement.round, best.statement.hash)),
        last: new_round.last.first().map(|last| (last.round, last.hash)),
    }
}
