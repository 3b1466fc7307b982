//! Plans as texts, and texts as plans.

use super::{Bound, Plan, SLOTS};
use crate::client::Selecting;
use crate::clock::Clock;
use crate::network::{Delay, Weather};
use crate::setup::Setup;
use crate::villains::Habit;
use std::fmt;
use std::str::FromStr;
use types::{ClusterSize, Millis, ShareIndex};

/// What is wrong with a line that begins with no known word, or goes on with what does not belong there.
const UNKNOWN: &str = "unknown word, or not what follows it";

impl Selecting {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::InSlot, Self::SlotAhead, Self::EpochAhead, Self::Never];

    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InSlot => "in-slot",
            Self::SlotAhead => "slot-ahead",
            Self::EpochAhead => "epoch-ahead",
            Self::Never => "never",
        }
    }
}

impl Plan {
    /// A plan with nothing in it but the size that numbered lines name, each with one word and a number.
    pub(crate) fn of_size<'a>(
        lines: impl Iterator<Item = (&'a str, usize)>,
    ) -> Result<Self, (usize, &'static str)> {
        let [mut operators, mut threshold, mut validators] = [4_usize, 3, 1];
        let mut last = 0;
        for (line, number) in lines {
            let words: Vec<_> = line.split_whitespace().collect();
            let value = || words.get(1).and_then(|word| word.parse().ok()).ok_or((number, UNKNOWN));
            match words.first().copied() {
                Some("operators") => operators = value()?,
                Some("threshold") => threshold = value()?,
                Some("validators") => validators = value()?,
                _ => continue,
            }
            last = number;
        }
        ClusterSize::new(operators, threshold).map_err(|_| (last, "no cluster has that size"))?;
        let validators = u32::try_from(validators).map_err(|_| (last, "too many validators"))?;
        let setup = Setup::new(operators, threshold, validators);
        Ok(Self { setup, faults: Vec::new(), bound: Bound::Within, slots: SLOTS })
    }

    /// Takes a line of a text.
    pub(crate) fn word(&mut self, words: &[&str]) -> Result<(), &'static str> {
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        let numbers: Vec<i64> = rest.iter().filter_map(|word| word.parse().ok()).collect();
        let unsigned: Vec<u64> = numbers.iter().filter_map(|number| u64::try_from(*number).ok()).collect();
        let size = self.setup.size;
        let place = || {
            let number = unsigned.first().and_then(|number| u8::try_from(*number).ok());
            let index = number.and_then(ShareIndex::new).filter(|index| size.contains(*index));
            index.ok_or("no such operator")
        };
        let setup = &mut self.setup;
        match (*first, &unsigned[..]) {
            ("operators" | "threshold" | "validators", [_]) => {}
            ("ordinary", [count]) => setup.ordinary = u32::try_from(*count).map_err(|_| UNKNOWN)?,
            ("seed", [seed]) => setup.seed = *seed,
            ("delay", [min_ms, max_ms]) if min_ms <= max_ms => {
                setup.delay = Delay { min_ms: *min_ms, max_ms: *max_ms };
            }
            ("weather", &[lost, doubled, overtaking]) => {
                setup.weather = Weather { lost, doubled, overtaking }
            }
            ("sync", [ms]) => setup.sync = Millis(*ms),
            ("heads", delays) if delays.len() == rest.len() => {
                setup.head_delays = delays.iter().map(|ms| Millis(*ms)).collect();
            }
            ("clock", _) => {
                let &[_, ahead_ms, drift_ppm] = &numbers[..] else { return Err(UNKNOWN) };
                let (place, since) = (place()?.position(), Millis(setup.spec().genesis_time_ms));
                setup.clocks.resize(size.operators(), Clock::default());
                setup.clocks[place] = Clock { ahead_ms, drift_ppm, since };
            }
            ("habit", [_]) => {
                let place = place()?.position();
                setup.habits[place] = rest.get(1).ok_or(UNKNOWN)?.parse()?;
            }
            ("mute", [_]) => setup.habits[place()?.position()] = Habit::Mute,
            ("equivocator", [_]) => setup.habits[place()?.position()] = Habit::Equivocator,
            ("right", [_]) => {
                let operator = place()?;
                setup.right.insert(operator);
            }
            ("parted", []) => setup.parted = true,
            ("loud", []) => setup.loud = true,
            ("plain", []) => setup.plain = true,
            ("eager", []) => setup.eager = true,
            ("born", []) => setup.born = true,
            ("slots", [slots]) => self.slots = *slots,
            ("within", []) => self.bound = Bound::Within,
            ("beyond", []) => self.bound = Bound::Beyond,
            ("selects", [_]) => {
                let place = place()?.position();
                let habit = Selecting::ALL.into_iter().find(|one| rest.get(1) == Some(&one.name()));
                let habit = habit.ok_or("not a time at which clients ask for selection proofs")?;
                setup.selecting.resize(size.operators(), Selecting::InSlot);
                setup.selecting[place] = habit;
            }
            ("fault", _) => {
                place()?;
                self.faults.push(rest.join(" ").parse()?);
            }
            _ => return Err(UNKNOWN),
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = crate::scenario::ScenarioError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |(line, reason)| crate::scenario::ScenarioError { line, reason };
        let mut plan = Self::of_size(text.lines().zip(1..)).map_err(error)?;
        for (line, number) in text.lines().zip(1..) {
            let words: Vec<_> = line.split_whitespace().collect();
            plan.word(&words).map_err(|reason| error((number, reason)))?;
        }
        Ok(plan)
    }
}

impl fmt::Display for Plan {
    /// Of the setup what [`Plan::draw`] draws.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setup, faults, bound, slots } = self;
        let indices = || setup.size.indices();
        writeln!(f, "operators {}\nthreshold {}", setup.size.operators(), setup.size.threshold())?;
        writeln!(f, "validators {}\nordinary {}", setup.validators, setup.ordinary)?;
        writeln!(f, "seed {}\ndelay {} {}", setup.seed, setup.delay.min_ms, setup.delay.max_ms)?;
        let Weather { lost, doubled, overtaking } = setup.weather;
        writeln!(f, "weather {lost} {doubled} {overtaking}\nsync {}", setup.sync.0)?;
        let heads: Vec<_> = setup.head_delays.iter().map(|delay| delay.0.to_string()).collect();
        if !heads.is_empty() {
            writeln!(f, "heads {}", heads.join(" "))?;
        }
        for (index, clock) in indices().zip(&setup.clocks) {
            writeln!(f, "clock {index} {} {}", clock.ahead_ms, clock.drift_ppm)?;
        }
        for (index, selecting) in indices().zip(&setup.selecting) {
            writeln!(f, "selects {index} {}", selecting.name())?;
        }
        for index in &setup.right {
            writeln!(f, "right {index}")?;
        }
        for (word, said) in [
            ("parted", setup.parted),
            ("loud", setup.loud),
            ("plain", setup.plain),
            ("eager", setup.eager),
            ("born", setup.born),
        ] {
            if said {
                writeln!(f, "{word}")?;
            }
        }
        for (index, habit) in indices().zip(&setup.habits).filter(|(_, habit)| **habit != Habit::Honest) {
            writeln!(f, "habit {index} {}", habit.name())?;
        }
        for fault in faults {
            writeln!(f, "fault {fault}")?;
        }
        let bound = match bound {
            Bound::Within => "within",
            Bound::Beyond => "beyond",
        };
        writeln!(f, "slots {slots}\n{bound}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_reads_back_as_the_same_run() {
        for seed in 0..200 {
            let plan = Plan::draw(seed);
            let text = plan.to_string();
            let read: Plan = text.parse().unwrap();
            assert_eq!(read.to_string(), text, "seed {seed}");
        }
        let plan = Plan::draw(7);
        let read: Plan = plan.to_string().parse().unwrap();
        assert_eq!(read.run().trace, plan.run().trace);
    }

    #[test]
    fn what_is_no_plan_is_refused_by_line() {
        for (text, line) in [
            ("operators 4\nthreshold 1", 2),
            ("operators x", 1),
            ("seed 1\nfault 9 crash 1 sign 5", 2),
            ("fault 2 crush 1 sign 5", 1),
            ("habit 2 rude", 1),
            ("heads 1 two", 1),
        ] {
            let error = text.parse::<Plan>().unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
        }
    }
}
