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

use crate::client::Selecting;
use crate::network::Delay;
use crate::villains::Habit;
use crate::world::{Setup, World};
use std::fmt::Write as _;
use std::str::FromStr;
use thiserror::Error;
use types::{Millis, ShareIndex, Slot};

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
    setup: Setup,
    kind: String,
    slot: Slot,
    kills: Vec<(ShareIndex, Slot)>,
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let mut numbers = [4, 3, 1];
        let mut scenario =
            Self { setup: Setup::new(4, 3, 1), kind: String::new(), slot: Slot(0), kills: Vec::new() };
        let lines = || text.lines().take_while(|line| *line != RULE).zip(1..);
        for (line, number) in lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let reason = "unknown word, or not what follows it";
            let error = || ScenarioError { line: number, reason };
            let value = || words.get(1).and_then(|word| word.parse::<usize>().ok()).ok_or_else(error);
            match words.first().copied() {
                Some("operators") => numbers[0] = value()?,
                Some("threshold") => numbers[1] = value()?,
                Some("validators") => numbers[2] = value()?,
                _ => {}
            }
        }
        scenario.setup = Setup::new(numbers[0], numbers[1], numbers[2] as u32);
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
            index.filter(|index| self.setup.size.contains(*index)).ok_or("no such operator")
        };
        match (*first, &numbers[..]) {
            ("#" | "operators" | "threshold" | "validators", _) => {}
            ("ordinary", [count]) => self.setup.ordinary = *count as u32,
            ("seed", [seed]) => self.setup.seed = *seed,
            ("delay", [min_ms, max_ms]) if min_ms <= max_ms => {
                self.setup.delay = Delay { min_ms: *min_ms, max_ms: *max_ms };
            }
            ("heads", delays) => self.setup.head_delays = delays.iter().map(|ms| Millis(*ms)).collect(),
            ("mute", [_]) => self.setup.habits[operator(numbers.first())?.position()] = Habit::Mute,
            ("equivocator", [_]) => {
                self.setup.habits[operator(numbers.first())?.position()] = Habit::Equivocator;
            }
            ("right", [_]) => {
                let operator = operator(numbers.first())?;
                self.setup.right.insert(operator);
            }
            ("parted", []) => self.setup.parted = true,
            ("loud", []) => self.setup.loud = true,
            ("plain", []) => self.setup.plain = true,
            ("selects", [_]) => {
                let place = operator(numbers.first())?.position();
                let habit = match rest.get(1) {
                    Some(&"in-slot") => Selecting::InSlot,
                    Some(&"slot-ahead") => Selecting::SlotAhead,
                    Some(&"epoch-ahead") => Selecting::EpochAhead,
                    Some(&"never") => Selecting::Never,
                    _ => return Err("not a time at which clients ask for selection proofs"),
                };
                self.setup.selecting.resize(self.setup.size.operators(), Selecting::InSlot);
                self.setup.selecting[place] = habit;
            }
            ("kill", [_, slot]) => {
                let operator = operator(numbers.first())?;
                self.kills.push((operator, Slot(*slot)));
            }
            ("show", [slot]) => {
                self.kind = rest[0].to_owned();
                self.slot = Slot(*slot);
            }
            _ => return Err("unknown word, or not what follows it"),
        }
        Ok(())
    }

    /// Runs the world to two slots after the shown one and tells what happened in it.
    pub fn transcript(&self) -> String {
        let mut world = World::new(self.setup.clone());
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
