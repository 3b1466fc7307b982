//! How a duty ended: the facts that its story gathers, and the closed list of endings.

use crate::{Ending, Outcome};
use types::Millis;
use types::wire::Instance;

/// What a duty remembers of itself, for its outcome.
#[derive(Debug)]
pub(crate) struct Story {
    instance: Instance,
    value_at: Option<Millis>,
    signed_at: Option<Millis>,
    round: Option<u32>,
    refused: bool,
    taken: Option<bool>,
    done: usize,
    due: usize,
    told: bool,
}

impl Story {
    pub(crate) fn new(instance: Instance) -> Self {
        Self {
            instance,
            value_at: None,
            signed_at: None,
            round: None,
            refused: false,
            taken: None,
            done: 0,
            due: 0,
            told: false,
        }
    }

    pub(crate) const fn instance(&self) -> Instance {
        self.instance
    }

    /// The value to agree on was first at hand here.
    pub(crate) fn value_at(&mut self, now: Millis) {
        self.value_at.get_or_insert(now);
    }

    /// A signature was combined.
    pub(crate) fn signed_at(&mut self, now: Millis) {
        self.signed_at = Some(now);
    }

    pub(crate) fn decided(&mut self, round: u32) {
        self.round = Some(round);
    }

    /// The guard refused every validator.
    pub(crate) fn refused(&mut self) {
        self.refused = true;
    }

    /// A beacon node took a submission, or none did.
    pub(crate) fn submitted(&mut self, taken: bool) {
        self.taken = Some(self.taken.unwrap_or(true) && taken);
    }

    pub(crate) fn progress(&mut self, (done, due): (usize, usize)) {
        (self.done, self.due) = (done, due);
    }

    /// The outcome, once: when everything is done and taken, or when time is `over`.
    pub(crate) fn outcome(&mut self, over: bool) -> Option<Outcome> {
        let complete = self.done == self.due && self.taken == Some(true);
        if self.told || !(complete || over) {
            return None;
        }
        self.told = true;
        Some(Outcome {
            instance: self.instance,
            due: self.due,
            done: self.done,
            latency_ms: self.value_at.zip(self.signed_at).map(|(from, to)| to.since(from).0),
            round: self.round,
            ending: self.ending(),
        })
    }

    fn ending(&self) -> Ending {
        if self.done > 0 && self.taken != Some(true) {
            Ending::NotTaken
        } else if self.done == self.due {
            Ending::Done
        } else if self.done > 0 {
            Ending::Partly
        } else if self.refused {
            Ending::Refused
        } else if self.round.is_some() {
            Ending::TooFewPartials
        } else if self.value_at.is_some() {
            Ending::NotAgreed
        } else {
            Ending::NoValue
        }
    }
}
