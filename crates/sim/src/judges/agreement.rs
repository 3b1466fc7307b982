//! One certificate for each round, and one decided value: counted from votes and commits that were sent, by villains too.
//! Whoever shows a certificate shows enough votes, and who proposes after one proposes what it is for.

use super::{Sight, Violation};
use std::collections::{BTreeMap, BTreeSet};
use types::wire::{Instance, Message, Proposal, Quorum, Statement, Step};
use types::{ClusterSize, Millis, Root, ShareIndex};

/// The judge.
#[derive(Debug)]
pub struct Agreement {
    size: ClusterSize,
    voices: BTreeMap<(Instance, Step, u32, Root), BTreeSet<ShareIndex>>,
    certified: BTreeMap<(Instance, u32), Root>,
    decided: BTreeMap<Instance, Root>,
    /// What it found.
    pub violations: Vec<Violation>,
}

impl Agreement {
    /// For a cluster.
    pub const fn new(size: ClusterSize) -> Self {
        Self {
            size,
            voices: BTreeMap::new(),
            certified: BTreeMap::new(),
            decided: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Watches.
    pub fn see(&mut self, sight: Sight<'_>) {
        let Sight::Sent { at, author, honest, message } = sight else { return };
        match message {
            Message::Vote(vote) => self.count(at, author, vote.signed.statement),
            Message::Commit(signed) => self.count(at, author, signed.statement),
            Message::Cert(quorum) if honest => self.check_quorum(at, author, quorum),
            Message::Decided(quorum) if honest => {
                self.check_quorum(at, author, quorum);
                self.decide(at, quorum.statement.instance, quorum.statement.hash);
            }
            Message::Proposal(proposal) if honest => self.check_proposal(at, author, proposal),
            _ => {}
        }
    }

    fn count(&mut self, at: Millis, author: ShareIndex, statement: Statement) {
        let (instance, round, hash) = (statement.instance, statement.round, statement.hash);
        let voices = self.voices.entry((instance, statement.step, round, hash)).or_default();
        voices.insert(author);
        let count = voices.len();
        if statement.step == Step::Vote && count >= self.size.quorum() {
            let before = *self.certified.entry((instance, round)).or_insert(hash);
            self.compare(at, &format!("{instance} has certificates in round {round}"), before, hash);
        }
        let first = round == instance.kind.first_round();
        let all_votes = statement.step == Step::Vote && first && count == self.size.operators();
        if all_votes || (statement.step == Step::Commit && count >= self.size.quorum()) {
            self.decide(at, instance, hash);
        }
    }

    fn check_quorum(&mut self, at: Millis, author: ShareIndex, quorum: &Quorum) {
        let authors: BTreeSet<_> = quorum.signatures.iter().map(|one| one.author).collect();
        if authors.len() < self.size.quorum() {
            let (instance, count) = (quorum.statement.instance, authors.len());
            self.find(at, format!("operator {author} takes {count} signatures of {instance} for a quorum"));
        }
    }

    /// The certificate of the highest round in a proposal's justification says what it has to be.
    fn check_proposal(&mut self, at: Millis, author: ShareIndex, proposal: &Proposal) {
        let shown = proposal.justification.iter().flat_map(|new_round| &new_round.best);
        let Some(best) = shown.max_by_key(|quorum| quorum.statement.round) else { return };
        let (instance, hash) = (proposal.signed.statement.instance, proposal.signed.statement.hash);
        if best.statement.hash != hash {
            let what = format!(
                "operator {author} proposes {hash} for {instance} against a certificate that it shows"
            );
            self.find(at, what);
        }
    }

    fn decide(&mut self, at: Millis, instance: Instance, hash: Root) {
        let before = *self.decided.entry(instance).or_insert(hash);
        self.compare(at, &format!("{instance} is decided"), before, hash);
    }

    fn compare(&mut self, at: Millis, what: &str, before: Root, now: Root) {
        if before != now {
            self.find(at, format!("{what} for {before} and for {now}"));
        }
    }

    fn find(&mut self, at: Millis, what: String) {
        self.violations.push(Violation { at: Some(at), what });
    }
}
