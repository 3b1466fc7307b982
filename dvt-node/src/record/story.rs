//! A slot as a scenario: the setting of a world like it, and what happened in it. Of other operators it has what this one
//! heard, when it came.

use super::start::Start;
use std::fmt::Write as _;
use types::{ChainSpec, Millis, ShareIndex, Slot};

/// The duty that a slot is about, as transcripts name it.
const VOTE: &str = "attest";

/// The story of a slot, as it is heard.
pub(super) struct Story {
    slot: Slot,
    /// What lines about the slot's duties have behind the duty's name.
    mark: String,
    from: Millis,
    until: Millis,
    /// The vote, where there is one; else the first duty that is named.
    kind: Option<String>,
    lines: String,
}

impl Story {
    pub(super) fn new(spec: &ChainSpec, slot: Slot) -> Self {
        let (from, until) = (spec.slot_start(slot), spec.slot_start(slot.next()));
        Self { slot, mark: format!("@{slot}: "), from, until, kind: None, lines: String::new() }
    }

    /// Takes a line, if it names the slot's duties, or names none and falls into the slot.
    pub(super) fn tell(&mut self, at: Millis, who: ShareIndex, what: &str) {
        let duty = what.split_once(&self.mark).map(|(kind, _)| kind);
        let shown = duty.is_some() || !what.contains('@') && (self.from..self.until).contains(&at);
        if !shown {
            return;
        }
        if self.kind.is_none() || duty == Some(VOTE) {
            self.kind = duty.map(str::to_owned);
        }
        let ms = i128::from(at.0) - i128::from(self.from.0);
        writeln!(self.lines, "{ms:>6} ms  #{who}  {what}").expect("a text takes everything");
    }

    /// The whole of it; says so where there is nothing.
    pub(super) fn text(self, start: &Start) -> String {
        let Self { slot, kind, lines, .. } = self;
        let setup = &start.setup;
        // In the jar time begins at slot 0, and no world has to run for years: the same slot of its second epoch.
        let in_jar = slot.0 % setup.spec.slots_per_epoch + setup.spec.slots_per_epoch;
        let (operators, threshold) = (setup.size.operators(), setup.size.threshold());
        let heard = if lines.is_empty() { ": nothing" } else { "" };
        format!(
            "# Slot {slot} as operator {} of cluster {} has seen it{heard}.\noperators {operators}\nthreshold {threshold}\n\
             validators {}\nshow {} {in_jar}\n----\n{lines}",
            setup.me,
            start.cluster,
            setup.validators.len(),
            kind.as_deref().unwrap_or(VOTE),
        )
    }
}
