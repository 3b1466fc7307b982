//! Time on the processor: other programs on the machine do not count.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Keeps this process on one core, so that no library spreads its work over several.
///
/// - A system that does not allow it leaves a figure that sums all cores, which is the same work.
pub(super) fn stay_on_one_core() {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let Some(first) = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)) else { return };
    let mut one = CpuSet::new();
    one.set(first);
    let _ = sched_setaffinity(None, &one);
}

/// What this process has used of its processors.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Adds up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stopwatch {
    total: Duration,
    runs: u32,
}

impl Stopwatch {
    /// Does some work, and counts it.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = now();
        let result = work();
        self.total += now().saturating_sub(start);
        self.runs += 1;
        result
    }

    /// Milliseconds a run.
    pub(super) fn mean_ms(&self) -> f64 {
        self.total.as_secs_f64() * 1e3 / f64::from(self.runs.max(1))
    }
}

/// The milliseconds of several runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Laps(Vec<f64>);

impl Laps {
    /// Does some work, and notes how long it took.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let mut watch = Stopwatch::default();
        let result = watch.run(work);
        self.0.push(watch.mean_ms());
        result
    }

    /// The middle one.
    pub(super) fn median_ms(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }
}
