//! How far the computation of a step is, for whoever watches.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Validators that are done, of those that the computation under way is about.
///
/// The machine writes it and never reads it: what it does depends on nothing here. A step of thousands of validators takes
/// longer than people wait without a sign, and a machine that computes answers nothing.
#[derive(Debug, Default)]
pub struct Effort {
    done: AtomicUsize,
    of: AtomicUsize,
}

impl Effort {
    /// Begins a computation on so many validators.
    pub(super) fn begin(&self, of: usize) {
        self.done.store(0, Ordering::Relaxed);
        self.of.store(of, Ordering::Relaxed);
    }

    /// Counts validators that are done.
    pub(super) fn advance(&self, count: usize) {
        self.done.fetch_add(count, Ordering::Relaxed);
    }

    /// How many are done, and of how many: equal when nothing is computed.
    pub fn seen(&self) -> (usize, usize) {
        let of = self.of.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed).min(of), of)
    }
}
