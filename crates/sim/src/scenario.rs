//! Runs as checked transcripts: a text says what world it is and what to show, and below stands what happened.
//!
//! ```text
//! operators 4
//! threshold 3
//! validators 1
//! ordinary 7
//! heads 0 5 10 15
//! show attest 3
//! ----
//!    45 ms  #1  attest@3: votes 1b2a93c4 in round 0
//! ```
//!
//! Times are since the start of the shown slot. A line `verdict` at the end says what the judges found.

use crate::plan::Plan;
use std::fmt::Write as _;
use std::str::FromStr;
use thiserror::Error;
use types::{ShareIndex, Slot};

/// Separates the setting from the transcript.
pub const RULE: &str = "----";

/// Why a text is no scenario.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {reason}")]
pub struct ScenarioError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A world, and which of its duties to show.
#[derive(Clone, Debug)]
pub struct Scenario {
    plan: Plan,
    kind: String,
    slot: Slot,
    kills: Vec<(ShareIndex, Slot)>,
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let lines = || text.lines().take_while(|line| *line != RULE).zip(1..);
        let error = |(line, reason)| ScenarioError { line, reason };
        let plan = Plan::of_size(lines()).map_err(error)?;
        let mut scenario = Self { plan, kind: String::new(), slot: Slot(0), kills: Vec::new() };
        for (line, number) in lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            scenario.word(&words).map_err(|reason| ScenarioError { line: number, reason })?;
        }
        Ok(scenario)
    }
}

impl Scenario {
    fn word(&mut self, words: &[&str]) -> Result<(), &'static str> {
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        let numbers: Vec<u64> = rest.iter().filter_map(|word| word.parse().ok()).collect();
        let operator = |number: Option<&u64>| {
            let index = number.and_then(|number| u8::try_from(*number).ok()).and_then(ShareIndex::new);
            index.filter(|index| self.plan.setup.size.contains(*index)).ok_or("no such operator")
        };
        match (*first, &numbers[..]) {
            ("#", _) => {}
            ("kill", [_, slot]) => {
                let operator = operator(numbers.first())?;
                self.kills.push((operator, Slot(*slot)));
            }
            ("show", [slot]) => {
                self.kind = rest[0].to_owned();
                self.slot = Slot(*slot);
            }
            _ => self.plan.word(words)?,
        }
        Ok(())
    }

    /// Runs the world to two slots after the shown one and tells what happened in it.
    pub fn transcript(&self) -> String {
        let mut world = self.plan.world();
        for (operator, slot) in &self.kills {
            world.kill(*operator, world.spec().slot_start(*slot), None);
        }
        world.run_to(Slot(self.slot.0 + 2));
        let start = world.spec().slot_start(self.slot);
        let before = world.spec().slot_start(Slot(self.slot.0.saturating_sub(1)));
        let wanted = format!("{}@{}", self.kind, self.slot);
        let proofs = match &*self.kind {
            "propose" => format!("randao@{}", self.slot),
            "aggregate" => format!("selection@{}", self.slot),
            "contribute" => format!("sync_selection@{}", self.slot),
            _ => wanted.clone(),
        };
        let mut text = String::new();
        for line in &world.story {
            let about =
                line.what.starts_with(&wanted) || line.what.starts_with(&proofs) || !line.what.contains('@');
            // Selection proofs may come a slot ahead.
            let early = line.what.starts_with(&proofs) && line.at >= before;
            if about && (line.at >= start || early) {
                let ms = line.at.0 as i64 - start.0 as i64;
                // Writing to a string does not fail.
                let _ = writeln!(text, "{ms:>6} ms  #{}  {}", line.who, line.what);
            }
        }
        let missed = world.missed(self.slot.0..=self.slot.0);
        for violation in world.violations().iter().chain(&missed) {
            let _ = writeln!(text, "judge: {violation}");
        }
        if world.violations().is_empty() && missed.is_empty() {
            text.push_str("judges: nothing slashable, nothing against a journal, nothing missed\n");
        }
        text
    }
}
