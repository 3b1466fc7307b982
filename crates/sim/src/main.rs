//! `sim`: runs worlds in a jar, and says what was covered and what was found.

use clap::Parser;
use sim::plan::{Plan, Run, minimize};
use sim::report::Report;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Lines of a failed run's story that are shown.
const STORY_LINES: usize = 60;

/// Runs whole clusters under seeds: virtual clocks, a seeded network, disks that lose what was not synced, villains, and
/// judges that know nothing of the code. Exit status 1 if a judge found something, or too little occurred to say so.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many run at once.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Runs a plan of a file, as a failed run prints it, and tells its story.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Shows the plan of the first seed, and runs nothing.
    #[arg(long)]
    show: bool,
    /// Does not ask how often each fault and each ending occurred.
    #[arg(long)]
    any_coverage: bool,
    /// The report as one JSON object.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.show {
        say(&Plan::draw(args.first).to_string());
        return ExitCode::SUCCESS;
    }
    let Some(path) = &args.plan else { return many(&args) };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return refuse(&format!("cannot read {}: {error}", path.display())),
    };
    match text.parse() {
        Ok(plan) => one(&plan),
        Err(error) => refuse(&format!("{} is no plan: {error}", path.display())),
    }
}

fn refuse(why: &str) -> ExitCode {
    complain(&format!("error: {why}\n"));
    ExitCode::from(2)
}

/// Where nobody reads there is nobody to tell.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn one(plan: &Plan) -> ExitCode {
    let run = plan.tell();
    say(&format!("{}trace {}\n", story(&run, usize::MAX), run.trace));
    if run.found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The last lines of a run's story, and what the judges found.
fn story(run: &Run, lines: usize) -> String {
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

fn many(args: &Args) -> ExitCode {
    let jobs = args.jobs.max(1);
    let mut report = Report::default();
    std::thread::scope(|scope| {
        let job = |job| move || part(args, job, jobs);
        let parts: Vec<_> = (0..jobs).map(|number| scope.spawn(job(number))).collect();
        for part in parts {
            report.merge(part.join().expect("a run does not panic"));
        }
    });
    say(&if args.json { format!("{}\n", report.to_json()) } else { format!("{:#}\n", report.to_json()) });
    let thin = if args.any_coverage { Vec::new() } else { report.thin() };
    thin.iter().for_each(|what| complain(&format!("too seldom: {what}\n")));
    if report.failed().is_empty() && thin.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every `jobs`th seed.
fn part(args: &Args, job: u64, jobs: u64) -> Report {
    let mut report = Report::default();
    let seeds = (args.first + job..args.first.saturating_add(args.seeds)).step_by(jobs as usize);
    for seed in seeds {
        let plan = Plan::draw(seed);
        let run = plan.run();
        report.add(&plan, &run);
        if !run.found.is_empty() {
            complain(&failure(&plan));
        }
    }
    report
}

/// A failed seed, with as little in it as still fails, and how that ended.
fn failure(plan: &Plan) -> String {
    let judge = |plan: &Plan| plan.run().found.first().map(|(judge, _)| *judge);
    let wanted = judge(plan);
    let least = minimize(plan, |smaller| judge(smaller) == wanted);
    let seed = plan.setup.seed;
    format!("seed {seed} fails; least plan:\n{least}{}", story(&least.tell(), STORY_LINES))
}
