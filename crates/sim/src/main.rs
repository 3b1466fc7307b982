//! `sim`: runs worlds in a jar, and says what was covered and what was found.

use clap::Parser;
use sim::plan::Plan;
use sim::report::Report;
use sim::seeds;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs whole clusters under seeds: virtual clocks, a seeded network, disks that lose what was not synced, villains, and
/// judges that know nothing of the code. Exit status 1 if a judge found something, a run panicked, or too little occurred
/// to say so.
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
    let Some(path) = &args.plan else {
        return if many(&args, Plan::draw, complain) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
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
    say(&format!("{}trace {}\n", seeds::story(&run, usize::MAX), run.trace));
    if run.found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs seeds, says what came of them, and gives whether all is well.
///
/// - `draw`: the plan of a seed. `complain`: is told what is not well.
fn many(args: &Args, draw: impl Fn(u64) -> Plan + Sync, complain: impl Fn(&str) + Sync) -> bool {
    let jobs = args.jobs.max(1);
    let mut report = Report::default();
    std::thread::scope(|scope| {
        // Every `jobs`th seed.
        let part = |job| (args.first + job..args.first.saturating_add(args.seeds)).step_by(jobs as usize);
        let (draw, complain) = (&draw, &complain);
        let job = |job| move || seeds::run(part(job), draw, complain);
        let parts: Vec<_> = (0..jobs).map(|number| scope.spawn(job(number))).collect();
        for part in parts {
            report.merge(part.join().expect("a run that panics is caught"));
        }
    });
    say(&if args.json { format!("{}\n", report.to_json()) } else { format!("{:#}\n", report.to_json()) });
    let thin = if args.any_coverage { Vec::new() } else { report.thin() };
    thin.iter().for_each(|what| complain(&format!("too seldom: {what}\n")));
    report.failed().is_empty() && thin.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::setup::Flaw;
    use std::sync::Mutex;

    #[test]
    fn a_seed_that_panics_is_named_and_fails_and_the_others_run() {
        let args = Args { jobs: 2, ..Args::parse_from(["sim", "--seeds", "5", "--any-coverage", "--json"]) };
        let complaints = Mutex::new(String::new());
        let complain = |text: &str| complaints.lock().unwrap().push_str(text);
        assert!(many(&args, Plan::draw, complain), "{complaints:?}");
        let ran = Mutex::new(Vec::new());
        let draw = |seed| {
            ran.lock().unwrap().push(seed);
            let mut plan = Plan::draw(seed);
            plan.setup.flaw = (seed == 2).then_some(Flaw::Panics);
            plan
        };
        assert!(!many(&args, draw, complain));
        ran.lock().unwrap().sort_unstable();
        assert_eq!(*ran.lock().unwrap(), [0, 1, 2, 3, 4]);
        let complaints = complaints.into_inner().unwrap();
        assert!(complaints.starts_with("seed 2 fails; least plan:\noperators "), "{complaints}");
        assert!(
            complaints.ends_with("\npanic: a duty has ended, and a test wants a panic\n"),
            "{complaints}"
        );
    }
}
