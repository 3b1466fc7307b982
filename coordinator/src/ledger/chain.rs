//! How far the chain is, as the coordinator has seen it: the latest finalized checkpoint.
//!
//! Bonds are locked until an epoch is *finalized*: a fault comes to light on the chain, and while the chain does not
//! finalize, nothing is freed. The checkpoint's root is kept, so anybody with a beacon node can check the coordinator's word.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{Epoch, Root};

/// A finalized checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finalized {
    /// Its epoch.
    pub epoch: Epoch,
    /// The root of its block.
    pub root: Root,
}

/// The latest of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The latest.
    pub finalized: Finalized,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The chain has finalized a later checkpoint.
    Finalized(Finalized),
}

/// Why a checkpoint is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Not later than the last.
    #[error("epoch {have} is finalized, {last} was already")]
    NotLater {
        /// What is said to be finalized.
        have: Epoch,
        /// What was.
        last: Epoch,
    },
}

impl State {
    /// What a checkpoint changes. Errors: it is not later than the last.
    pub fn decide(&self, seen: &Finalized) -> Result<Vec<Event>, Refusal> {
        if seen.epoch <= self.finalized.epoch {
            return Err(Refusal::NotLater { have: seen.epoch, last: self.finalized.epoch });
        }
        Ok(vec![Event::Finalized(*seen)])
    }

    /// Applies an event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Finalized(seen) => self.finalized = *seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finalized_only_rises() {
        let mut state = State::default();
        let seen = |epoch| Finalized { epoch: Epoch(epoch), root: Root([9; 32]) };
        state.apply(&state.decide(&seen(5)).unwrap()[0]);
        for epoch in [0, 4, 5] {
            let refusal = Refusal::NotLater { have: Epoch(epoch), last: Epoch(5) };
            assert_eq!(state.decide(&seen(epoch)), Err(refusal));
        }
        state.apply(&state.decide(&seen(6)).unwrap()[0]);
        assert_eq!(state.finalized, seen(6));
    }
}
