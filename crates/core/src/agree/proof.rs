//! What proves itself: certificates, decisions, `NEWROUND`s, proposals. Pure; signatures are already right.

use super::authors::Authors;
use super::choice::{Choice, choice, plurality};
use crate::mutants::{Mutant, Rules};
use types::wire::{Instance, NewRound, Proposal, Quorum, Signed, Step};
use types::{ClusterSize, ShareIndex};

/// Judges the proofs of one instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    pub(super) instance: Instance,
    pub(super) size: ClusterSize,
    pub(super) rules: Rules,
}

impl Judge {
    pub(super) fn leader(&self, round: u32) -> ShareIndex {
        self.instance.leader(round, self.size)
    }

    pub(super) const fn first_round(&self) -> u32 {
        self.instance.kind.first_round()
    }

    /// `q` equal votes of a round.
    pub(super) fn certificate(&self, quorum: &Quorum) -> bool {
        quorum.statement.step == Step::Vote && self.at_least(quorum, self.votes_needed())
    }

    /// How many equal votes are a certificate: `q`.
    pub(super) fn votes_needed(&self) -> usize {
        self.size.quorum() - usize::from(self.rules.break_with(Mutant::SmallCertificate))
    }

    /// Rule 9 over `NEWROUND`s of one round.
    pub(super) fn choice<'a>(&self, justification: impl IntoIterator<Item = &'a NewRound> + Clone) -> Choice {
        if self.rules.break_with(Mutant::CertificatesIgnored) {
            return plurality(justification);
        }
        choice(justification)
    }

    /// Rule 6: `q` equal commits of one round, or `n` equal votes of the first round (the fast path).
    pub(super) fn decision(&self, quorum: &Quorum) -> bool {
        match quorum.statement.step {
            Step::Commit => self.at_least(quorum, self.size.quorum()),
            Step::Vote => {
                quorum.statement.round == self.first_round() && self.at_least(quorum, self.size.operators())
            }
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
        let earlier = |best: &Quorum| self.certificate(best) && best.statement.round < round;
        proper && new_round.best.iter().all(earlier) && self.last_vote(new_round, round)
    }

    /// `PROPOSAL(r)`: by the leader of `r`, and either the opening of a led first round, or following rule 9
    /// from at least `q` `NEWROUND(r)` of distinct authors.
    pub(super) fn proposal(&self, proposal: &Proposal) -> bool {
        let statement = proposal.signed.statement;
        let by_leader = statement.round > 0
            && statement.step == Step::Proposal
            && proposal.signed.author == self.leader(statement.round);
        if !by_leader || statement.round <= self.first_round() {
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
            && authors.len() >= self.size.quorum()
            && self.choice(&proposal.justification).allows(&statement.hash)
    }

    fn last_vote(&self, new_round: &NewRound, round: u32) -> bool {
        let Some(last) = new_round.last.first() else { return new_round.proposal.is_empty() };
        if last.round < self.first_round() || last.round >= round {
            return false;
        }
        match new_round.proposal.first() {
            None => last.round == 0,
            Some(header) => last.round > 0 && self.header(header, last.round, last.hash),
        }
    }

    fn header(&self, header: &Signed, round: u32, hash: types::Root) -> bool {
        let statement = header.statement;
        statement.instance == self.instance
            && statement.step == Step::Proposal
            && (statement.round, statement.hash) == (round, hash)
            && header.author == self.leader(round)
    }

    fn at_least(&self, quorum: &Quorum, wanted: usize) -> bool {
        let authors: Authors = quorum.signatures.iter().map(|one| one.author).collect();
        quorum.statement.instance == self.instance
            && quorum.statement.extra == types::Root::ZERO
            && quorum.statement.round >= self.first_round()
            && quorum.signatures.iter().all(|one| self.size.contains(one.author))
            && authors.len() == quorum.signatures.len()
            && authors.len() >= wanted
    }
}
