//! What many runs covered, and what they found.

use crate::fault::{Step, What};
use crate::judges::duties::Tally;
use crate::plan::{Bound, Plan, Run};
use crate::seeds::PANIC;
use crate::villains::Habit;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use symbolon_core::Ending;
use types::wire::Kind;

/// Each fault at each step, and each ending, must have occurred at least so often.
pub const FLOOR: u64 = 10;

/// Sums over runs.
#[derive(Debug, Default)]
pub struct Report {
    seeds: u64,
    struck: BTreeMap<(What, Step), u64>,
    endings: BTreeMap<Ending, u64>,
    habits: BTreeMap<Habit, u64>,
    duties: BTreeMap<(Bound, Kind), Tally>,
    all: BTreeMap<(Bound, Kind), Tally>,
    turned_away: u64,
    evidence: u64,
    mind_len: usize,
    failed: Vec<u64>,
    /// Of these, in which each judge found something.
    found: BTreeMap<&'static str, BTreeSet<u64>>,
}

/// Duties, in the JSON.
#[derive(Debug, Serialize)]
struct Counted {
    bound: &'static str,
    kind: &'static str,
    /// That had to be done.
    due: usize,
    done: usize,
    /// Of all slots, with those in which more than `f` operators were faulty.
    due_in_all: usize,
    done_in_all: usize,
}

/// The JSON.
#[derive(Debug, Serialize)]
struct Written<'a> {
    seeds: u64,
    failed: &'a [u64],
    /// In which of them each judge found something, or a run panicked.
    found: &'a BTreeMap<&'static str, BTreeSet<u64>>,
    thin: Vec<String>,
    duties: Vec<Counted>,
    faults: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    endings: BTreeMap<String, u64>,
    villains: BTreeMap<&'static str, u64>,
    frames_turned_away: u64,
    evidence: u64,
    mind_len_max: usize,
}

fn add(sum: &mut BTreeMap<(Bound, Kind), Tally>, bound: Bound, counts: &BTreeMap<Kind, Tally>) {
    for (kind, count) in counts {
        let tally = sum.entry((bound, *kind)).or_default();
        tally.due += count.due;
        tally.done += count.done;
    }
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, plan: &Plan, run: &Run) {
        self.seeds += 1;
        for struck in &run.struck {
            *self.struck.entry(*struck).or_default() += 1;
        }
        for (ending, count) in &run.endings {
            *self.endings.entry(*ending).or_default() += count;
        }
        for habit in plan.setup.habits.iter().filter(|habit| **habit != Habit::Honest) {
            *self.habits.entry(*habit).or_default() += 1;
        }
        add(&mut self.duties, plan.bound, &run.duties);
        add(&mut self.all, plan.bound, &run.all);
        self.turned_away += run.turned_away;
        self.evidence += run.evidence as u64;
        self.mind_len = self.mind_len.max(run.mind_len);
        if !run.found.is_empty() {
            self.failed.push(plan.setup.seed);
        }
        for (judge, _) in &run.found {
            self.found.entry(judge).or_default().insert(plan.setup.seed);
        }
    }

    /// Adds a seed whose run panicked: it covered nothing.
    pub fn add_panic(&mut self, seed: u64) {
        self.seeds += 1;
        self.failed.push(seed);
        self.found.entry(PANIC).or_default().insert(seed);
    }

    /// Adds what others have added up.
    pub fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        other.struck.into_iter().for_each(|(key, count)| *self.struck.entry(key).or_default() += count);
        other.endings.into_iter().for_each(|(key, count)| *self.endings.entry(key).or_default() += count);
        other.habits.into_iter().for_each(|(key, count)| *self.habits.entry(key).or_default() += count);
        for (sum, more) in [(&mut self.duties, other.duties), (&mut self.all, other.all)] {
            for ((bound, kind), count) in more {
                add(sum, bound, &BTreeMap::from([(kind, count)]));
            }
        }
        self.turned_away += other.turned_away;
        self.evidence += other.evidence;
        self.mind_len = self.mind_len.max(other.mind_len);
        for (judge, seeds) in other.found {
            self.found.entry(judge).or_default().extend(seeds);
        }
        self.failed.extend(other.failed);
        self.failed.sort_unstable();
    }

    /// Seeds in which a judge found something, or whose run panicked.
    pub fn failed(&self) -> &[u64] {
        &self.failed
    }

    /// What has occurred too seldom to say anything about: pairs of fault and step, endings, villains.
    pub fn thin(&self) -> Vec<String> {
        let pairs = What::ALL.iter().flat_map(|what| Step::ALL.iter().map(move |step| (*what, *step)));
        let pairs = pairs.map(|pair| (format!("{} at {}", pair.0, pair.1), self.struck.get(&pair)));
        let endings =
            Ending::ALL.into_iter().map(|ending| (format!("{ending:?}"), self.endings.get(&ending)));
        let habits = Habit::ALL[1..].iter().map(|habit| (habit.name().to_owned(), self.habits.get(habit)));
        let counts = pairs.chain(endings).chain(habits);
        let counts = counts.map(|(name, count)| (name, count.copied().unwrap_or_default()));
        counts.filter(|(_, count)| *count < FLOOR).map(|(name, count)| format!("{name}: {count}")).collect()
    }

    /// As JSON.
    pub fn to_json(&self) -> serde_json::Value {
        let mut faults: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((what, step), count) in &self.struck {
            faults.entry(what.name()).or_default().insert(step.name(), *count);
        }
        let counted = |(&(bound, kind), all): (&(Bound, Kind), &Tally)| {
            let duties = self.duties.get(&(bound, kind)).copied().unwrap_or_default();
            let bound = match bound {
                Bound::Within => "within",
                Bound::Beyond => "beyond",
            };
            let (due_in_all, done_in_all) = (all.due, all.done);
            Counted { bound, kind: kind.name(), due: duties.due, done: duties.done, due_in_all, done_in_all }
        };
        let written = Written {
            seeds: self.seeds,
            failed: &self.failed,
            found: &self.found,
            thin: self.thin(),
            duties: self.all.iter().map(counted).collect(),
            faults,
            endings: self.endings.iter().map(|(ending, count)| (format!("{ending:?}"), *count)).collect(),
            villains: self.habits.iter().map(|(habit, count)| (habit.name(), *count)).collect(),
            frames_turned_away: self.turned_away,
            evidence: self.evidence,
            mind_len_max: self.mind_len,
        };
        serde_json::to_value(written).expect("counts are JSON")
    }
}
