//! How long duties took, from the lines that nodes write about them. Whether they were done is the chain's to say.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use types::wire::Kind;

/// One line of a node's log, as far as it tells of a duty.
#[derive(Debug, Deserialize)]
struct Line {
    message: String,
    instance: String,
    latency_ms: Option<u64>,
}

/// For each duty, what each node measured.
#[derive(Debug, Default)]
pub struct Latencies(BTreeMap<(String, u64), Vec<u64>>);

/// The usual two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Half of the duties were faster.
    pub median_ms: u64,
    /// Nearly all of them were.
    pub p99_ms: u64,
}

impl Latencies {
    /// Reads the logs of nodes; lines that tell of no duty are passed over.
    pub fn read<'a>(logs: impl IntoIterator<Item = &'a Path>) -> std::io::Result<Self> {
        let mut latencies = Self::default();
        for log in logs {
            for line in std::fs::read_to_string(log)?.lines() {
                latencies.take(line);
            }
        }
        Ok(latencies)
    }

    fn take(&mut self, line: &str) {
        let Ok(line) = serde_json::from_str::<Line>(line) else { return };
        let Some((kind, slot)) = line.instance.split_once('@') else { return };
        let (Ok(slot), Some(latency_ms), "duty") = (slot.parse(), line.latency_ms, &*line.message) else {
            return;
        };
        self.0.entry((kind.to_owned(), slot)).or_default().push(latency_ms);
    }

    /// Over the duties of a kind in some slots, of each duty the median over nodes; of a block the longest, which is that of
    /// its leader, who has it a delay before the others.
    pub fn spread(&self, kind: &str, slots: impl Fn(u64) -> bool) -> Option<Spread> {
        let of_kind = self.0.iter().filter(|((of, slot), _)| of == kind && slots(*slot));
        let of_nodes = if kind == Kind::Propose.name() { 100 } else { 50 };
        let mut duties: Vec<u64> = of_kind.filter_map(|(_, nodes)| percentile(nodes, of_nodes)).collect();
        duties.sort_unstable();
        Some(Spread { median_ms: percentile(&duties, 50)?, p99_ms: percentile(&duties, 99)? })
    }
}

/// The smallest value that at least this many percent do not exceed.
fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duty_counts_once_with_the_median_of_its_nodes() {
        let mut latencies = Latencies::default();
        for (instance, ms) in [("attest@3", 10), ("attest@3", 30), ("attest@3", 20), ("attest@4", 50)] {
            let line = format!(
                r#"{{"timestamp":"t","level":"INFO","message":"duty","instance":"{instance}","latency_ms":{ms}}}"#
            );
            latencies.take(&line);
        }
        latencies.take(r#"{"message":"duty","instance":"attest@5"}"#);
        latencies.take(r#"{"message":"node started"}"#);
        latencies.take("no json");
        let all = Spread { median_ms: 20, p99_ms: 50 };
        assert_eq!(latencies.spread("attest", |_| true), Some(all));
        assert_eq!(latencies.spread("attest", |slot| slot == 4).unwrap().median_ms, 50);
        assert_eq!(latencies.spread("propose", |_| true), None);
        for ms in [7, 40, 8] {
            latencies.take(&format!(r#"{{"message":"duty","instance":"propose@3","latency_ms":{ms}}}"#));
        }
        assert_eq!(latencies.spread("propose", |_| true).unwrap().median_ms, 40, "from its leader's block");
    }
}
