//! What a run came to, for people and machines.

use crate::outcomes::{Latencies, Spread};
use serde_json::{Map, Value, json};
use types::Fork;

/// Duties of one kind, counted from the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Due by the chain's shuffling, where inclusion is owed.
    pub due: u64,
    /// In the chain.
    pub done: u64,
}

/// A run.
#[derive(Debug)]
pub struct Report {
    /// `n`.
    pub operators: usize,
    /// `t`.
    pub threshold: usize,
    /// Distributed validators.
    pub validators: usize,
    /// Which chain.
    pub chain: &'static str,
    /// Which fork it is at.
    pub fork: Fork,
    /// Slots that were judged.
    pub slots: u64,
    /// How long the ceremony took.
    pub ceremony_ms: u64,
    /// Last finalized epoch.
    pub finalized_epoch: u64,
    /// Attestations.
    pub attest: Count,
    /// Blocks.
    pub propose: Count,
    /// Duties of other kinds, where the chain judges them.
    pub others: Vec<(&'static str, Count)>,
    /// Attestations that nobody could include: their committee had no ordinary member to aggregate.
    pub excused: u64,
    /// From the logs.
    pub latencies: Latencies,
    /// The first slot in which an operator was killed.
    pub killed_at: Option<u64>,
    /// Duties missed that `f` faults cannot excuse: all but those from the `f+1`-th kill on.
    pub inexcusable: u64,
    /// What else should not have been, in words: signatures where none could be made, faults that nobody felt.
    pub wrong: Vec<String>,
    /// Slashable pairs among everything that was handed in.
    pub slashable: usize,
    /// The chain's refusals of what was handed in.
    pub rejected: Vec<String>,
    /// Routes of the beacon API that a node answered otherwise than the beacon node behind it.
    pub differing: Vec<String>,
    /// What else the chain tells.
    pub facts: Map<String, Value>,
}

impl Report {
    /// Whether nothing was missed that `f` faults cannot excuse, and every answer was the beacon node's.
    pub fn ok(&self) -> bool {
        self.attest.due > 0
            && self.inexcusable == 0
            && self.slashable == 0
            && self.differing.is_empty()
            && self.wrong.is_empty()
    }

    const fn missed(&self, count: Count) -> u64 {
        count.due - count.done
    }

    fn duty(&self, kind: &str, count: Count) -> Value {
        let mut duty = Map::new();
        duty.insert("due".into(), count.due.into());
        duty.insert("done".into(), count.done.into());
        duty.insert("missed".into(), self.missed(count).into());
        let spread = self.latencies.spread(kind, |_| true);
        duty.insert("median_ms".into(), spread.map(|spread| spread.median_ms).into());
        duty.insert("p99_ms".into(), spread.map(|spread| spread.p99_ms).into());
        if let Some(killed_at) = self.killed_at {
            let before = self.latencies.spread(kind, |slot| slot < killed_at);
            let after = self.latencies.spread(kind, |slot| slot >= killed_at);
            duty.insert("median_before_ms".into(), before.map(|spread| spread.median_ms).into());
            duty.insert("median_after_ms".into(), after.map(|spread| spread.median_ms).into());
        }
        Value::Object(duty)
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let kinds = [("attest", self.attest), ("propose", self.propose)];
        let kinds = kinds.into_iter().chain(self.others.iter().copied());
        let duties: Map<_, _> =
            kinds.map(|(kind, count)| (kind.to_owned(), self.duty(kind, count))).collect();
        json!({
            "ok": self.ok(),
            "operators": self.operators,
            "threshold": self.threshold,
            "validators": self.validators,
            "chain": self.chain,
            "fork": self.fork,
            "slots": self.slots,
            "ceremony_ms": self.ceremony_ms,
            "finalized_epoch": self.finalized_epoch,
            "duties": duties,
            "excused": self.excused,
            "inexcusable": self.inexcusable,
            "wrong": self.wrong,
            "slashable": self.slashable,
            "rejected": self.rejected,
            "differing": self.differing,
            "facts": self.facts,
        })
    }

    /// For people: one line per duty kind.
    pub fn text(&self) -> String {
        let line = |kind: &str, count: Count| {
            let time = match self.latencies.spread(kind, |_| true) {
                Some(Spread { median_ms, p99_ms }) => format!("{median_ms:>6} ms {p99_ms:>6} ms"),
                None => format!("{:>9} {:>9}", "-", "-"),
            };
            format!("{kind:<12} {:>5} {:>5} {:>6} {time}", count.due, count.done, self.missed(count))
        };
        let head =
            format!("{:<12} {:>5} {:>5} {:>6} {:>9} {:>9}", "duty", "due", "done", "missed", "median", "p99");
        let tail = format!(
            "ceremony {} ms, finalized epoch {}, {} refused by the chain",
            self.ceremony_ms,
            self.finalized_epoch,
            self.rejected.len()
        );
        let mut lines = vec![head, line("attest", self.attest), line("propose", self.propose)];
        lines.extend(self.others.iter().map(|(kind, count)| line(kind, *count)));
        lines.extend(self.differing.iter().map(|route| format!("differs: {route}")));
        lines.extend(self.wrong.iter().map(|words| format!("wrong: {words}")));
        lines.extend(self.facts.iter().map(|(name, fact)| format!("{name}: {fact}")));
        lines.push(tail);
        lines.join("\n")
    }
}
