//! One certificate for each round, and one decided value: counted from votes and commits that were sent, by villains too.

use super::{Sight, Violation};
use std::collections::{BTreeMap, BTreeSet};
use types::wire::{Instance, Message, Step};
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
        let Sight::Sent { at, author, message, .. } = sight else { return };
        let statement = match message {
            Message::Vote(vote) => vote.signed.statement,
            Message::Commit(signed) => signed.statement,
            // An honest node acts on what it shows, however it came by it.
            Message::Decided(quorum) => {
                return self.decide(at, quorum.statement.instance, quorum.statement.hash);
            }
            _ => return,
        };
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

    fn decide(&mut self, at: Millis, instance: Instance, hash: Root) {
        let before = *self.decided.entry(instance).or_insert(hash);
        self.compare(at, &format!("{instance} is decided"), before, hash);
    }

    fn compare(&mut self, at: Millis, what: &str, before: Root, now: Root) {
        if before != now {
            let what = format!("{what} for {before} and for {now}");
            self.violations.push(Violation { at: Some(at), what });
        }
    }
}
