//! Many seeds, one after the other: what they cover, and a text for each that fails.
//!
//! A seed whose run panics fails as if a judge named [`PANIC`] had found it: the text names the seed, its plan and the
//! panic's message, and the next seed runs.

use crate::plan::{Plan, Run, minimize};
use crate::report::Report;
use std::any::Any;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What finds a run that panics.
pub const PANIC: &str = "panic";

/// Lines of a failed run's story that are shown.
const STORY_LINES: usize = 60;

/// Runs seeds, and sums up what came of them.
///
/// - `draw`: the plan of a seed.
/// - `fail`: is told of each seed that fails, with the least plan that fails for the same judge, and how that ended.
pub fn run(
    seeds: impl IntoIterator<Item = u64>,
    draw: impl Fn(u64) -> Plan,
    mut fail: impl FnMut(&str),
) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let plan = draw(seed);
        let end = attempt(&plan, Plan::run);
        match &end {
            Ok(run) => report.add(&plan, run),
            Err(_) => report.add_panic(seed),
        }
        if let Some(judge) = judge_of(&end) {
            fail(&failure(&plan, judge));
        }
    }
    report
}

/// A run, or the message with which it panicked.
fn attempt(plan: &Plan, run: impl Fn(&Plan) -> Run) -> Result<Run, String> {
    // Nothing that a panic leaves half done is seen again: the plan is not changed by its run, and the world is gone.
    catch_unwind(AssertUnwindSafe(|| run(plan))).map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// The judge that found something first.
fn judge_of(end: &Result<Run, String>) -> Option<&'static str> {
    match end {
        Ok(run) => run.found.first().map(|(judge, _)| *judge),
        Err(_) => Some(PANIC),
    }
}

/// A failed seed, with as little in it as still fails, and how that ended.
fn failure(plan: &Plan, judge: &str) -> String {
    let least = minimize(plan, |smaller| judge_of(&attempt(smaller, Plan::run)) == Some(judge));
    let end = match attempt(&least, Plan::tell) {
        Ok(run) => story(&run, STORY_LINES),
        Err(message) => format!("{PANIC}: {message}\n"),
    };
    format!("seed {} fails; least plan:\n{least}{end}", plan.setup.seed)
}

/// The last lines of a run's story, and what the judges found.
pub fn story(run: &Run, lines: usize) -> String {
    let mut text = String::new();
    let skipped = run.world.story.len().saturating_sub(lines);
    // Writing to a string does not fail.
    for line in &run.world.story[skipped..] {
        let _ = writeln!(text, "{} #{} {}", line.at, line.who, line.what);
    }
    for (judge, violation) in &run.found {
        let _ = writeln!(text, "{judge}: {violation}");
    }
    text
}
