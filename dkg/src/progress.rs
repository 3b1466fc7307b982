//! What the operator sees of a ceremony while it runs: a bar on a terminal, lines elsewhere.

use crate::ceremony::Step;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use types::{ClusterSize, ShareIndex};

/// Steps that everybody goes through.
const STEPS: u64 = 7;

/// The ceremony's progress.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    size: ClusterSize,
    lines: bool,
    last: Option<(Step, usize)>,
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
        Self { bar, size, lines: !terminal && !quiet, last: None }
    }

    /// Who has said its word in a step.
    pub fn show(&mut self, step: Step, done: &[ShareIndex]) {
        if self.last == Some((step, done.len())) {
            return;
        }
        self.last = Some((step, done.len()));
        let waiting: Vec<_> = self
            .size
            .indices()
            .filter(|index| !done.contains(index))
            .map(|index| index.to_string())
            .collect();
        let text = if waiting.is_empty() {
            format!("{step}: everybody")
        } else {
            format!("{step}: waiting for operator {}", waiting.join(", "))
        };
        let before = number(step) * self.size.operators() as u64;
        self.bar.set_position(before + done.len() as u64);
        self.say(&text);
    }

    /// A line beside the bar.
    #[expect(clippy::print_stderr, reason = "progress of a command that people watch")]
    pub fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
        if self.lines {
            eprintln!("{text}");
        }
    }

    /// The end.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
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
