//! What the strict node says about the cluster's duties, and what of it counts.

use crate::report::Count;
use serde::Deserialize;
use serde_json::{Map, Value};
use types::Fork;

/// One duty that was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Miss {
    /// When it was due.
    pub slot: u64,
    /// Whose it was.
    pub validator: u64,
}

/// Duties of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Kind {
    /// By the chain's shuffling.
    pub due: u64,
    /// In the chain.
    pub done: u64,
    /// Those that nothing could come of: the block that would have carried them is not there.
    pub excused: u64,
    /// The others.
    pub misses: Vec<Miss>,
}

/// Duties by kind.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Duties {
    /// Source and target timely in the state's participation flags.
    pub attest: Kind,
    /// Blocks of due proposers.
    pub propose: Kind,
    /// Bits of the next slot's sync aggregate.
    pub sync_message: Kind,
    /// Aggregates whose attesters are all in the chain.
    pub aggregate: Kind,
    /// Contributions whose members are all in the chain.
    pub contribute: Kind,
    /// Exits that have an exit epoch.
    pub exit: Kind,
}

/// The judgement, as `GET /symbolon/judge` answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Judgement {
    /// In force at the head.
    pub fork: Fork,
    /// Of the head's state.
    pub finalized_epoch: u64,
    /// By kind.
    pub duties: Duties,
    /// Slashable pairs among everything that was handed in, in words.
    pub slashable: Vec<String>,
    /// What else it tells: blocks by source, subscriptions, refusals.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

impl Duties {
    /// The kinds that reports list beside attestations and blocks.
    pub fn others(&self) -> [(&'static str, Count); 4] {
        [
            ("sync_message", self.sync_message.count()),
            ("aggregate", self.aggregate.count()),
            ("contribute", self.contribute.count()),
            ("exit", self.exit.count()),
        ]
    }

    fn all(&self) -> [&Kind; 6] {
        [&self.attest, &self.propose, &self.sync_message, &self.aggregate, &self.contribute, &self.exit]
    }

    /// Duties missed in slots before `excused_from`.
    pub fn missed_before(&self, excused_from: u64) -> u64 {
        let misses = self.all().into_iter().flat_map(|kind| &kind.misses);
        misses.filter(|miss| miss.slot < excused_from).count() as u64
    }

    /// Duties that nothing could come of.
    pub fn excused(&self) -> u64 {
        self.all().into_iter().map(|kind| kind.excused).sum()
    }
}

impl Kind {
    /// For a report.
    pub fn count(&self) -> Count {
        Count { due: self.due, done: self.done }
    }
}

impl Judgement {
    /// Refusals in words, each kind with its number.
    pub fn refused(&self) -> Vec<String> {
        let counts =
            self.facts.get("refused").and_then(|refused| refused.get("counts")).and_then(Value::as_object);
        counts.into_iter().flatten().map(|(rule, count)| format!("{rule}: {count} times")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judgement() -> Judgement {
        let none = json!({"due": 0, "done": 0, "missed": 0, "excused": 0, "misses": []});
        let sync = json!({"due": 9, "done": 7, "missed": 2, "excused": 4, "misses":
            [{"slot": 3, "validator": 1}, {"slot": 8, "validator": 0, "accepted": 1}]});
        let duties = json!({"attest": none, "propose": none, "sync_message": sync, "aggregate": none,
            "contribute": none, "exit": none});
        let answer = json!({"from": 1, "to": 9, "fork": "fulu", "finalized_epoch": 3, "duties": duties, "slashable": [],
            "refused": {"counts": {"attest: attestation-signature": 2}, "first": []}});
        serde_json::from_value(answer).unwrap()
    }

    #[test]
    fn misses_count_up_to_the_slot_from_which_faults_excuse_them() {
        let duties = judgement().duties;
        assert_eq!(duties.missed_before(u64::MAX), 2);
        assert_eq!(duties.missed_before(8), 1);
        assert_eq!(duties.excused(), 4);
        assert_eq!(duties.others()[0], ("sync_message", Count { due: 9, done: 7 }));
    }

    #[test]
    fn refusals_are_told_with_their_numbers() {
        assert_eq!(judgement().refused(), ["attest: attestation-signature: 2 times"]);
    }
}
