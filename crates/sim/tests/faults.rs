//! A thousand worlds in which things go wrong: the plans that seeds draw.
//!
//! `SYMBOLON_SEEDS=first..end` runs others, without asking what they cover; `sim --seeds N` tells more.

use sim::plan::{Plan, minimize};
use sim::report::Report;
use std::ops::Range;

/// Seeds of the plain test run: enough for every fault at every step.
const SEEDS: Range<u64> = 0..1000;
/// Runs side by side.
const THREADS: u64 = 2;

fn seeds() -> Option<Range<u64>> {
    let text = std::env::var("SYMBOLON_SEEDS").ok()?;
    let (first, end) = text.split_once("..").expect("SYMBOLON_SEEDS=first..end");
    Some(first.parse().unwrap()..end.parse().unwrap())
}

fn run(seeds: impl Iterator<Item = u64>) -> (Report, String) {
    let mut failures = String::new();
    let report = sim::seeds::run(seeds, Plan::draw, |failure| failures.push_str(failure));
    (report, failures)
}

#[test]
fn no_rule_is_broken_and_every_fault_strikes_at_every_step() {
    let chosen = seeds();
    let seeds = chosen.clone().unwrap_or(SEEDS);
    let mut report = Report::default();
    std::thread::scope(|scope| {
        let part = |number| (seeds.start + number..seeds.end).step_by(THREADS as usize);
        let parts: Vec<_> = (0..THREADS).map(part).map(|seeds| scope.spawn(move || run(seeds))).collect();
        for part in parts {
            let (one, failures) = part.join().unwrap();
            assert_eq!(failures, "");
            report.merge(one);
        }
    });
    if chosen.is_none() {
        assert_eq!(report.thin(), Vec::<String>::new(), "{:#}", report.to_json());
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [0, 3, 17, 39] {
        let trace = |seed| Plan::draw(seed).run().trace;
        assert_eq!(trace(seed), trace(seed));
        assert_ne!(trace(seed), trace(seed + 1));
    }
}

#[test]
fn a_minimized_plan_has_nothing_in_it_that_the_failure_does_not_need() {
    let plan =
        (0..).map(Plan::draw).find(|plan| plan.faults.len() > 2 && plan.setup.habits.iter().any(is_bad));
    let plan = plan.unwrap();
    let wanted = plan.faults[1];
    let least = minimize(&plan, |smaller| smaller.faults.contains(&wanted));
    assert_eq!(least.faults, [wanted]);
    assert!(!least.setup.habits.iter().any(is_bad));
    assert!(least.setup.clocks.is_empty() && least.setup.head_delays.is_empty());
}

fn is_bad(habit: &sim::villains::Habit) -> bool {
    *habit != sim::villains::Habit::Honest
}

/// Seed 8710 of long ago, cut down: operator 1 proposes a block, its payload comes to one peer only, who votes, and operator
/// 1 dies. From then on nothing but that block may be proposed.
const CONFIDED: &str = "
operators 4
threshold 3
validators 4
ordinary 3
seed 8710
delay 1 56
weather 22 32 36
sync 1
clock 1 -56 121
clock 2 -28 78
clock 3 -92 125
clock 4 -90 156
selects 1 slot-ahead
selects 2 slot-ahead
selects 3 in-slot
selects 4 in-slot
habit 1 amnesiac
slots 13
within
";

#[test]
fn a_leader_that_dies_before_its_payload_is_with_everybody_costs_no_block() {
    let plan: Plan = CONFIDED.trim_start().parse().unwrap();
    let run = plan.run();
    assert_eq!(run.found, []);
}
