//! How well a beacon node is: what orders the nodes. It is told the time and never asks.

use crate::Limits;
use crate::json::SyncStatus;
use std::collections::VecDeque;
use types::Millis;

/// Latencies that the median is taken of: one slow answer moves nothing, and ten slots later a slow node is known.
const LATENCIES_KEPT: usize = 9;

/// Why a node is set aside: then it is asked only if nobody better is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aside {
    /// Its genesis is another network's: it is never asked.
    Foreign,
    /// It failed or answered nonsense, and rests a while.
    Failing,
    /// It says that it is catching up.
    Syncing,
    /// Its head's payload is not verified yet.
    Optimistic,
    /// Its execution client is out of reach.
    ExecutionOffline,
    /// Its head is too far behind the best of the nodes'.
    Lagging,
}

impl Aside {
    /// All of them, the gravest first.
    pub const ALL: [Self; 6] = [
        Self::Foreign,
        Self::Failing,
        Self::Syncing,
        Self::Optimistic,
        Self::ExecutionOffline,
        Self::Lagging,
    ];

    /// In a word, as a label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Failing => "failing",
            Self::Syncing => "syncing",
            Self::Optimistic => "optimistic",
            Self::ExecutionOffline => "execution_offline",
            Self::Lagging => "lagging",
        }
    }
}

/// How a node is, for people and metrics ([`crate::Beacon::health`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// Scheme, host and port.
    pub label: String,
    /// Why it is set aside, if it is.
    pub aside: Option<Aside>,
    /// Slots that its head was behind at the last probe, as it said itself or as another node's head showed.
    pub lag_slots: u64,
    /// How often it told a head that no more of the nodes told than told another.
    pub disagreements: u64,
    /// Median of its last answers to probes, in ms; `None` before the first.
    pub latency_ms: Option<u64>,
}

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
    /// What speaks against asking it, as it said last; believed until it says otherwise.
    progress: Option<Aside>,
    lag_slots: u64,
    /// Whether its genesis is another network's: then it is never asked.
    foreign: bool,
    /// Whether its genesis is to be asked for: it never was, or the node has failed since and may come back as another.
    unchecked: bool,
    /// How fast it answered probes, oldest first; those are the same for all nodes, other questions go to the best.
    latencies_ms: VecDeque<u64>,
    disagreements: u64,
    /// Whether its stream of heads is open.
    streams: bool,
}

/// A node's place among the others: the least is asked first.
///
/// In this order: resting or not, follows the head or not, failures in a row, latency by powers of two (so that
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
            progress: None,
            lag_slots: 0,
            foreign: false,
            unchecked: true,
            latencies_ms: VecDeque::new(),
            disagreements: 0,
            streams: false,
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
        self.slow(now, limits);
        self.rested = now.after(Millis(limits.back_off_ms(self.failures)));
        self.unchecked = true;
        !std::mem::replace(&mut self.down, true)
    }

    /// Another node was asked later and answered first: it stands behind the others for a while, and is not set
    /// aside.
    pub(crate) fn slow(&mut self, now: Millis, limits: &Limits) {
        self.failures = if now < self.forgiven { self.failures.saturating_add(1) } else { 1 };
        self.forgiven = now.after(Millis(limits.forgive_ms));
    }

    /// It answered a probe: how fast, what it said, and how far its head is behind.
    ///
    /// - `lag_slots`: behind the best of all nodes, or as it says; `lag_slots_least`: that of the least behind. Without
    ///   blocks for a while all nodes are behind their clocks, and none is worse for it.
    pub(crate) fn probed(
        &mut self,
        latency_ms: u64,
        status: &SyncStatus,
        lag_slots: u64,
        lag_slots_least: u64,
        limits: &Limits,
    ) {
        self.lag_slots = lag_slots;
        let lags = lag_slots.saturating_sub(lag_slots_least) > limits.lag_slots_max;
        self.progress = match status {
            SyncStatus { is_syncing: true, .. } => Some(Aside::Syncing),
            SyncStatus { el_offline: true, .. } => Some(Aside::ExecutionOffline),
            SyncStatus { is_optimistic: true, .. } => Some(Aside::Optimistic),
            _ => lags.then_some(Aside::Lagging),
        };
        if self.latencies_ms.len() == LATENCIES_KEPT {
            self.latencies_ms.pop_front();
        }
        self.latencies_ms.push_back(latency_ms);
    }

    /// It told a head that no more of the nodes told than told another.
    pub(crate) fn disagreed(&mut self) {
        self.disagreements = self.disagreements.saturating_add(1);
    }

    /// Its stream of heads is open, or is not.
    pub(crate) fn set_streams(&mut self, streams: bool) {
        self.streams = streams;
    }

    /// Whether its stream of heads is open and it is not set aside: then its word on the head is awaited.
    pub(crate) fn announces(&self, now: Millis) -> bool {
        self.streams && self.aside(now).is_none()
    }

    /// Its genesis is, or is not, another network's. Returns whether it was not, or was.
    pub(crate) fn set_foreign(&mut self, foreign: bool) -> bool {
        self.unchecked = false;
        std::mem::replace(&mut self.foreign, foreign) != foreign
    }

    /// Whether nobody knows of which network it is now.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.unchecked
    }

    /// Whether its genesis is another network's.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Why it is set aside, if it is.
    pub(crate) fn aside(&self, now: Millis) -> Option<Aside> {
        if self.foreign {
            return Some(Aside::Foreign);
        }
        if now < self.rested { Some(Aside::Failing) } else { self.progress }
    }

    /// Its place; `None` if it is of another network.
    pub(crate) fn rank(&self, now: Millis) -> Option<Rank> {
        let latency = self.latency_ms().map_or(0, |ms| u64::BITS - ms.leading_zeros());
        (!self.foreign).then_some((
            now < self.rested,
            self.progress.is_some(),
            self.failures_at(now),
            latency,
        ))
    }

    /// Whether it failed or was slow, and has neither answered well nor been forgiven since.
    pub(crate) fn failed_lately(&self, now: Millis) -> bool {
        self.failures_at(now) > 0
    }

    fn failures_at(&self, now: Millis) -> u32 {
        if now < self.forgiven { self.failures } else { 0 }
    }

    /// For people and metrics.
    pub(crate) fn report(&self, label: &str, now: Millis) -> NodeHealth {
        NodeHealth {
            label: label.to_owned(),
            aside: self.aside(now),
            lag_slots: self.lag_slots,
            disagreements: self.disagreements,
            latency_ms: self.latency_ms(),
        }
    }

    /// The median, the faster of two in the middle.
    fn latency_ms(&self) -> Option<u64> {
        let mut sorted: Vec<u64> = self.latencies_ms.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Slot;

    const READY: SyncStatus = SyncStatus {
        head_slot: Slot(9),
        sync_distance: 0,
        is_syncing: false,
        is_optimistic: false,
        el_offline: false,
    };

    fn after(steps: &[fn(&mut Health)]) -> Health {
        let mut health = Health::new();
        steps.iter().for_each(|step| step(&mut health));
        health
    }

    fn probe(health: &mut Health, latency_ms: u64, status: SyncStatus) {
        health.probed(latency_ms, &status, 0, 0, &Limits::default());
    }

    #[test]
    fn nodes_rank_by_rest_then_sync_then_failures_then_latency() {
        let fail: fn(&mut Health) = |h| _ = h.failed(Millis(0), &Limits::default());
        let order = [
            after(&[|h| probe(h, 3, READY)]),
            after(&[|h| probe(h, 300, READY)]),
            after(&[fail, |h| _ = h.heard()]),
            after(&[|h| probe(h, 1, SyncStatus { is_optimistic: true, ..READY })]),
            after(&[fail]),
        ];
        let ranks: Vec<Rank> = order.iter().map(|h| h.rank(Millis(10)).unwrap()).collect();
        assert!(ranks.is_sorted() && ranks.windows(2).all(|pair| pair[0] != pair[1]), "{ranks:?}");
        assert_eq!(after(&[|h| _ = h.set_foreign(true)]).rank(Millis(10)), None);
    }

    #[test]
    fn a_node_is_set_aside_for_a_reason_until_its_probe_says_otherwise() {
        let mut health = Health::new();
        assert_eq!(health.aside(Millis(0)), None);
        for (status, reason) in [
            (SyncStatus { is_syncing: true, el_offline: true, ..READY }, Some(Aside::Syncing)),
            (SyncStatus { el_offline: true, is_optimistic: true, ..READY }, Some(Aside::ExecutionOffline)),
            (SyncStatus { is_optimistic: true, ..READY }, Some(Aside::Optimistic)),
            (READY, None),
        ] {
            probe(&mut health, 1, status);
            assert_eq!(health.aside(Millis(0)), reason);
        }
        health.failed(Millis(0), &Limits::default());
        assert_eq!(health.aside(Millis(499)), Some(Aside::Failing));
        assert_eq!(health.aside(Millis(500)), None);
        assert!(health.is_unchecked() && health.set_foreign(true));
        assert_eq!(health.aside(Millis(500)), Some(Aside::Foreign));
        assert!(!health.set_foreign(true) && !health.is_unchecked(), "no news");
    }

    #[test]
    fn a_head_lags_if_it_is_further_behind_than_the_best_by_more_than_the_limit() {
        let limits = Limits { lag_slots_max: 2, ..Limits::default() };
        for (lag, least, aside) in [(2, 0, false), (3, 0, true), (40, 38, false), (41, 38, true)] {
            let mut health = Health::new();
            health.probed(1, &READY, lag, least, &limits);
            assert_eq!(health.aside(Millis(0)), aside.then_some(Aside::Lagging), "{lag} {least}");
            assert_eq!(health.report("x", Millis(0)).lag_slots, lag);
        }
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
    fn a_slow_node_stands_behind_and_is_not_set_aside() {
        let mut health = Health::new();
        health.slow(Millis(0), &Limits::default());
        assert_eq!(health.rank(Millis(1)), Some((false, false, 1, 0)));
        assert_eq!(health.aside(Millis(1)), None);
    }

    #[test]
    fn one_slow_answer_does_not_change_the_order() {
        let mut health = Health::new();
        (0..3).for_each(|_| probe(&mut health, 8, READY));
        let before = health.rank(Millis(0));
        probe(&mut health, 400, READY);
        assert_eq!(health.rank(Millis(0)), before);
        (0..8).for_each(|_| probe(&mut health, 40, READY));
        assert!(health.rank(Millis(0)) > before);
        assert_eq!(health.report("x", Millis(0)).latency_ms, Some(40));
    }
}
