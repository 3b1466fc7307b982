//! How well a beacon node is: what orders the nodes. It is told the time and never asks.

use crate::Limits;
use types::Millis;

/// What is known of one node.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    /// Failures since the last good answer to a question.
    failures: u32,
    /// It is set aside until then.
    rested: Millis,
    /// Its failures are forgotten then.
    forgiven: Millis,
    /// Whether it has said nothing good since its last failure.
    down: bool,
    /// Whether it follows the head, as it said last; believed until it says otherwise.
    synced: bool,
    /// Whether its genesis is another network's: then it is never asked.
    foreign: bool,
    /// How fast it answers probes, smoothed; those are the same for all nodes, other questions go to the best only.
    latency_ms: Option<u64>,
}

/// A node's place among the others: the least is asked first.
///
/// In this order: set aside or not, follows the head or not, failures in a row, latency by powers of two (so that
/// nodes about as fast keep the operator's order).
pub(crate) type Rank = (bool, bool, u32, u32);

impl Health {
    /// A node nothing is known of.
    pub(crate) fn new() -> Self {
        Self {
            failures: 0,
            rested: Millis(0),
            forgiven: Millis(0),
            down: false,
            synced: true,
            foreign: false,
            latency_ms: None,
        }
    }

    /// It answered a question well. Returns whether it was down.
    pub(crate) fn answered(&mut self) -> bool {
        self.failures = 0;
        self.heard()
    }

    /// It is there: it answered a probe, or was told something. Returns whether it was down.
    ///
    /// Its failures stay until they are forgiven: a node may say well how far it is and hang at every real question.
    pub(crate) fn heard(&mut self) -> bool {
        self.rested = Millis(0);
        std::mem::take(&mut self.down)
    }

    /// It failed. Returns whether it was up.
    pub(crate) fn failed(&mut self, now: Millis, limits: &Limits) -> bool {
        self.failures = if now < self.forgiven { self.failures.saturating_add(1) } else { 1 };
        self.rested = now.after(Millis(limits.back_off_ms(self.failures)));
        self.forgiven = now.after(Millis(limits.forgive_ms));
        !std::mem::replace(&mut self.down, true)
    }

    /// It answered a probe: how fast, and whether it follows the head.
    pub(crate) fn probed(&mut self, latency_ms: u64, synced: bool) {
        self.synced = synced;
        // An eighth of the new value: one slow answer moves nothing, eight do.
        self.latency_ms = Some(match self.latency_ms {
            Some(old) => (old.saturating_mul(7).saturating_add(latency_ms)) / 8,
            None => latency_ms,
        });
    }

    /// Its genesis is, or is not, another network's.
    pub(crate) fn set_foreign(&mut self, foreign: bool) {
        self.foreign = foreign;
    }

    /// Whether its genesis is another network's.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Its place; `None` if it is of another network.
    pub(crate) fn rank(&self, now: Millis) -> Option<Rank> {
        let latency = self.latency_ms.map_or(0, |ms| u64::BITS - ms.leading_zeros());
        let failures = if now < self.forgiven { self.failures } else { 0 };
        (!self.foreign).then_some((now < self.rested, !self.synced, failures, latency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[fn(&mut Health)]) -> Health {
        let mut health = Health::new();
        steps.iter().for_each(|step| step(&mut health));
        health
    }

    #[test]
    fn nodes_rank_by_rest_then_sync_then_failures_then_latency() {
        let fail: fn(&mut Health) = |h| _ = h.failed(Millis(0), &Limits::default());
        let order = [
            after(&[|h| h.probed(3, true)]),
            after(&[|h| h.probed(300, true)]),
            after(&[fail, |h| _ = h.heard()]),
            after(&[|h| h.probed(1, false)]),
            after(&[fail]),
        ];
        let ranks: Vec<Rank> = order.iter().map(|h| h.rank(Millis(10)).unwrap()).collect();
        assert!(ranks.is_sorted() && ranks.windows(2).all(|pair| pair[0] != pair[1]), "{ranks:?}");
        assert_eq!(after(&[|h| h.set_foreign(true)]).rank(Millis(10)), None);
    }

    #[test]
    fn a_failing_node_rests_longer_each_time() {
        let limits = Limits { retry_ms: 100, retry_ms_max: 150, ..Limits::default() };
        let mut health = Health::new();
        let resting = |health: &Health, now| health.rank(Millis(now)).unwrap().0;
        assert!(health.failed(Millis(1_000), &limits), "it was up");
        assert!(resting(&health, 1_099) && !resting(&health, 1_100));
        assert!(!health.failed(Millis(1_100), &limits), "it was down");
        assert!(resting(&health, 1_249) && !resting(&health, 1_250), "200 ms, but at most 150");
    }

    #[test]
    fn a_good_answer_or_time_forgives_and_a_probe_only_ends_the_rest() {
        let limits = Limits { forgive_ms: 5_000, ..Limits::default() };
        let mut failed = Health::new();
        failed.failed(Millis(0), &limits);
        let well = Health::new().rank(Millis(0));

        let mut answered = failed.clone();
        assert!(answered.answered());
        assert_eq!(answered.rank(Millis(1)), well);
        assert!(!answered.answered(), "it was up already");

        let mut heard = failed;
        assert!(heard.heard());
        assert_eq!(heard.rank(Millis(1)), Some((false, false, 1, 0)), "behind those that did not fail");
        assert_eq!(heard.rank(Millis(5_000)), well);
    }

    #[test]
    fn one_slow_answer_does_not_change_the_order() {
        let mut health = Health::new();
        health.probed(8, true);
        let before = health.rank(Millis(0));
        health.probed(40, true);
        assert_eq!(health.rank(Millis(0)), before);
        (0..16).for_each(|_| health.probed(40, true));
        assert!(health.rank(Millis(0)) > before);
    }
}
