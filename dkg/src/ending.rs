//! How a ceremony without keys ends at its operator: whose fault it is or for whom was waited, in words and in the exit status;
//! what is kept as evidence, and what stays on disk.

use crate::ceremony::{Cause, Fault, Rejection, Setup, Step};
use crate::evidence_file::{self, named};
use crate::state::{Over, State};
use cluster::Definition;
use keys::files::{PUBLIC, WriteError, write_new};
use std::collections::BTreeSet;
use std::path::Path;
use thiserror::Error;
use types::{Millis, ShareIndex};

/// Exit status of a ceremony that ended by somebody's fault, with evidence.
pub const EXIT_CULPRIT: u8 = 3;
/// Exit status of a ceremony that waited for somebody until its deadline.
pub const EXIT_SILENCE: u8 = 4;
/// Exit status of a ceremony that failed in any other way.
const EXIT_FAILURE: u8 = 1;

/// A ceremony that made no keys.
#[derive(Clone, Debug, Error)]
#[error("{words}")]
pub struct NoKeys {
    words: String,
    exit_status: u8,
}

impl NoKeys {
    /// What the program ends with: [`EXIT_CULPRIT`], [`EXIT_SILENCE`], or 1.
    pub const fn exit_status(&self) -> u8 {
        self.exit_status
    }

    /// Of an attempt that was over already.
    pub fn again(over: Over, attempt: u32) -> Self {
        let next = attempt.saturating_add(1);
        let words = format!(
            "attempt {attempt} at this definition is over, the next is --attempt {next}; it ended with: {}",
            over.words
        );
        Self { words, exit_status: over.exit_status }
    }
}

/// What the shell knows of a ceremony when it ends.
#[derive(Debug)]
pub struct Ending<'a> {
    /// What was approved.
    pub definition: &'a Definition,
    /// Which ceremony.
    pub setup: &'a Setup,
    /// Where evidence goes.
    pub data_dir: &'a Path,
    /// Who has a link.
    pub linked: &'a BTreeSet<ShareIndex>,
    /// How long the step under way has waited, in this process.
    pub waited: Millis,
    /// This operator has signed the lock: a peer may have its keys.
    pub lock_signed: bool,
}

/// An end in words, its evidence kept, the records not yet erased.
#[derive(Debug)]
pub struct Told {
    words: String,
    exit_status: u8,
    rest: Rest,
    attempt: u32,
}

/// What is to become of the records.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// The same attempt can go on.
    GoesOn,
    /// It cannot, but a peer may hold its keys.
    Doubtful,
    /// Nobody has keys of it, and nobody will.
    Over,
}

impl Told {
    /// Erases the records, but only where going on makes no sense and no peer can have the lock.
    pub fn settle(self, state: &State) -> NoKeys {
        let Self { mut words, exit_status, rest, attempt } = self;
        let (folder, next) = (state.folder().display(), attempt.saturating_add(1));
        match rest {
            Rest::GoesOn => {
                words.push_str(&format!("; the records are kept in {folder}, start again to go on"));
            }
            Rest::Doubtful => words.push_str(&format!(
                "; this operator had signed the lock, so the records are kept in {folder}: start again if another operator \
                 holds keys of this attempt, else the next try is --attempt {next}"
            )),
            Rest::Over => {
                let over = Over { words: words.clone(), exit_status };
                words.push_str(&format!("; the next try is --attempt {next}"));
                if let Err(error) = state.end(&over) {
                    words.push_str(&format!("; the ceremony's seed could not be erased: {error:#}"));
                }
            }
        }
        NoKeys { words: format!("the ceremony made no keys: {words}"), exit_status }
    }
}

impl Ending<'_> {
    /// Keeps the evidence, and says whose fault it is or for whom was waited.
    pub fn tell(&self, cause: &Cause) -> Told {
        let (words, exit_status) = match cause {
            Cause::Faults(faults) => (self.faults(faults), EXIT_CULPRIT),
            Cause::Silence { step, operators } => (self.silence(*step, operators), EXIT_SILENCE),
            Cause::ZeroKey => (cause.to_string(), EXIT_FAILURE),
        };
        let rest = match cause {
            Cause::Silence { .. } => Rest::GoesOn,
            Cause::Faults(_) | Cause::ZeroKey if self.lock_signed => Rest::Doubtful,
            Cause::Faults(_) | Cause::ZeroKey => Rest::Over,
        };
        Told { words, exit_status, rest, attempt: self.setup.attempt }
    }

    fn faults(&self, faults: &[Fault]) -> String {
        let one = |fault: &Fault| {
            let who = named(self.definition, fault.culprit);
            format!("{who}: {}; {}", fault.evidence, self.keep(fault))
        };
        faults.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    /// Writes the evidence. What an earlier run has kept is as good.
    fn keep(&self, fault: &Fault) -> String {
        let path = self.data_dir.join(evidence_file::name(self.setup.ceremony_id(), fault.culprit));
        let file = evidence_file::render(self.definition, self.setup, fault);
        match write_new(&path, file.as_bytes(), PUBLIC) {
            Ok(()) | Err(WriteError::Exists(_)) => format!("evidence in {}", path.display()),
            Err(error) => format!("evidence not kept: {error}"),
        }
    }

    fn silence(&self, step: Step, operators: &[(ShareIndex, Option<Rejection>)]) -> String {
        let one = |(operator, last): &(ShareIndex, Option<Rejection>)| {
            let link = if self.linked.contains(operator) { "its link is up" } else { "no link to it" };
            let last = last.as_ref().map(|why| format!(", it sent {why}")).unwrap_or_default();
            format!("{}, {link}{last}", named(self.definition, *operator))
        };
        let who: Vec<_> = operators.iter().map(one).collect();
        let seconds = self.waited.0.div_ceil(1000);
        format!("silence in {step}: waited {seconds} s for {}", who.join("; "))
    }
}
