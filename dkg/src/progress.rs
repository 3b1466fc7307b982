//! What the operator sees of a ceremony while it runs: a bar on a terminal, lines elsewhere; and what a board is told.

use crate::board::Reporter;
use crate::ceremony::{Coming, Effort, Step};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use types::{ClusterSize, ShareIndex};

/// Steps that everybody goes through.
const STEPS: u64 = 7;
/// How often a long computation is told of: often enough that nobody takes it for a standstill, and a ceremony of ten
/// thousand validators leaves some dozens of lines.
const EVERY: Duration = Duration::from_secs(5);

/// The ceremony's progress.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    size: ClusterSize,
    lines: bool,
    last: String,
    /// While it is held, computations are told of.
    watching: Option<Sender<()>>,
    /// Tells a board too.
    reporter: Option<Reporter>,
}

/// What speaks beside the bar, from any thread.
#[derive(Clone, Debug)]
pub struct Voice {
    bar: ProgressBar,
    lines: bool,
}

impl Voice {
    /// A line beside the bar.
    pub fn say(&self, text: &str) {
        say(&self.bar, self.lines, text);
    }
}

impl Progress {
    /// Shows on standard error, or nothing if `quiet`.
    pub fn new(size: ClusterSize, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target =
            if terminal && !quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(STEPS * size.operators() as u64), target);
        let style = ProgressStyle::with_template("{elapsed_precise} [{bar:32}] {pos}/{len} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, size, lines: !terminal && !quiet, last: String::new(), watching: None, reporter: None }
    }

    /// What speaks beside the bar.
    pub fn voice(&self) -> Voice {
        Voice { bar: self.bar.clone(), lines: self.lines }
    }

    /// From here on tells a board too.
    pub fn report_by(&mut self, reporter: Reporter) {
        self.reporter = Some(reporter);
    }

    /// From here on tells how far computations are, which the machine writes down in `effort`.
    pub fn watch(&mut self, effort: Arc<Effort>) {
        let (watching, ended) = channel();
        self.watching = Some(watching);
        let (bar, lines) = (self.bar.clone(), self.lines);
        let watch = move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(EVERY) {
                let (done, of) = effort.seen();
                if done < of {
                    say(&bar, lines, &format!("computing: {done} of {of} validators"));
                }
            }
        };
        // Without the thread the ceremony is the same, only quieter.
        drop(std::thread::Builder::new().name("progress".into()).spawn(watch));
    }

    /// Who has said its word in a step, and whose words are on their way.
    pub fn show(&mut self, step: Step, done: &[ShareIndex], coming: &[Coming]) {
        let waiting = || self.size.indices().filter(|index| !done.contains(index));
        if let Some(reporter) = &self.reporter {
            reporter.show(step, waiting());
        }
        let waiting: Vec<_> = waiting().map(|index| awaited(index, coming)).collect();
        let text = if waiting.is_empty() {
            format!("{step}: everybody")
        } else {
            format!("{step}: waiting for operator {}", waiting.join(", "))
        };
        let before = number(step) * self.size.operators() as u64;
        self.bar.set_position(before + done.len() as u64);
        if self.last != text {
            self.say(&text);
            self.last = text;
        }
    }

    /// A line beside the bar.
    pub fn say(&self, text: &str) {
        self.voice().say(text);
    }

    /// The end.
    pub fn finish(&mut self) {
        self.watching = None;
        self.bar.finish_and_clear();
    }
}

#[expect(clippy::print_stderr, reason = "progress of a command that people watch")]
fn say(bar: &ProgressBar, lines: bool, text: &str) {
    bar.set_message(text.to_owned());
    if lines {
        eprintln!("{text}");
    }
}

/// An operator that is waited for, and how much of its message is here.
fn awaited(index: ShareIndex, coming: &[Coming]) -> String {
    match coming.iter().find(|coming| coming.from == index) {
        Some(Coming { parts, of, .. }) => format!("{index} ({parts} of {of} parts)"),
        None => index.to_string(),
    }
}

const fn number(step: Step) -> u64 {
    match step {
        Step::Gather => 0,
        Step::Round1 => 1,
        Step::Echo => 2,
        Step::Round2 => 3,
        Step::Seal => 4,
        Step::Lock => 5,
        Step::Done | Step::Farewell | Step::Complaint => 6,
    }
}
