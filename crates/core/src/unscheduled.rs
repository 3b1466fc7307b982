//! Questions of the validator client about slots whose duties are not known yet.
//!
//! A client asks for an epoch as soon as it knows its own duties, which may be before this node knows them; and a node
//! that has just started knows none. Such a question waits for the duties, at most a slot.

use crate::{Ask, RequestId};
use std::collections::VecDeque;
use types::{Millis, Slot};

/// Questions that wait: one for each slot of an epoch of 32 and each kind of selection proofs, twice.
const ASKS_MAX: usize = 128;

/// A question that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) request: RequestId,
    pub(crate) ask: Ask,
    /// Whose duties it waits for.
    pub(crate) slot: Slot,
    /// When it is given up.
    pub(crate) until: Millis,
}

/// The questions, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unscheduled(VecDeque<Waiting>);

impl Unscheduled {
    /// Keeps a question; returns the oldest where there are too many.
    pub(crate) fn keep(&mut self, waiting: Waiting) -> Option<Waiting> {
        let crowded = self.0.len() == ASKS_MAX;
        let oldest = if crowded { self.0.pop_front() } else { None };
        self.0.push_back(waiting);
        oldest
    }

    /// Takes all of them; those that go on waiting are kept again.
    pub(crate) fn take(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.0).into()
    }

    /// When the first is given up.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        self.0.iter().map(|waiting| waiting.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_when_too_many_wait() {
        let waiting = |number: u64| Waiting {
            request: RequestId(number),
            ask: Ask::Vote { slot: Slot(number) },
            slot: Slot(number),
            until: Millis(number),
        };
        let mut unscheduled = Unscheduled::default();
        let full = ASKS_MAX as u64;
        assert!((0..full).all(|number| unscheduled.keep(waiting(number)).is_none()));
        assert_eq!(unscheduled.keep(waiting(full)).map(|oldest| oldest.request), Some(RequestId(0)));
        assert_eq!(unscheduled.wake_at(), Some(Millis(1)));
        assert_eq!(unscheduled.take().len(), ASKS_MAX);
        assert_eq!(unscheduled.wake_at(), None);
    }
}
