//! Judges: they watch a world from outside and know nothing of the code they judge.
//!
//! - [`slashable`]: the group never signs two things that could be slashed.
//! - [`journal`]: no honest node sends a partial signature that its journal did not hold before.
//! - [`words`]: no honest node says two things in one place.
//! - [`agreement`]: one certificate for each round, one decided value.
//! - [`submissions`]: no honest node submits a signature that does not verify.
//! - [`alarms`]: no honest node believes in a second process, an old journal or a doppelganger without reason, or blames
//!   the innocent.
//! - [`exits`]: no honest node signs an exit that its operator did not approve.
//! - [`duties`]: what was due is in the chain when at most `f` operators are faulty.
//! - [`bounds`]: nobody's memory grows beyond what its cluster gives reason for.

pub mod agreement;
pub mod alarms;
pub mod bounds;
pub mod duties;
pub mod exits;
pub mod journal;
pub mod slashable;
pub mod submissions;
pub mod words;

use crate::chain::Rejection;
use std::collections::BTreeSet;
use std::fmt;
use symbolon_core::Fault;
use symbolon_core::journal::Row;
use types::wire::{Message, Signed};
use types::{ChainSpec, ClusterId, ClusterSize, Epoch, Millis, ShareIndex, ValidatorNo};

/// What a judge sees.
#[derive(Clone, Copy, Debug)]
pub enum Sight<'a> {
    /// An operator has sent a message, to one or to all.
    Sent {
        /// When.
        at: Millis,
        /// Who.
        author: ShareIndex,
        /// Whether it follows the protocol, as far as the world knows.
        honest: bool,
        /// What.
        message: &'a Message,
    },
    /// Rows became durable at an honest operator.
    Durable {
        /// When.
        at: Millis,
        /// Who.
        operator: ShareIndex,
        /// What.
        rows: &'a [Row],
    },
    /// An operator's client has handed in an exit.
    Approved {
        /// Which operator.
        operator: ShareIndex,
        /// Who is to leave.
        validator: ValidatorNo,
        /// Not before this epoch.
        epoch: Epoch,
    },
    /// A beacon node has answered to a submission.
    Submitted {
        /// When.
        at: Millis,
        /// Whose node handed it in.
        author: ShareIndex,
        /// Whether it follows the protocol.
        honest: bool,
        /// The answer.
        result: &'a Result<(), Rejection>,
    },
    /// An operator's node has told its operator that something is wrong.
    Alarmed {
        /// When.
        at: Millis,
        /// Whose node.
        author: ShareIndex,
        /// Whether it follows the protocol, and has one process and its own journal.
        honest: bool,
        /// What it believes.
        alarm: Alarm<'a>,
    },
}

/// What a node believes of itself or of others.
///
/// - `blameless`: whether the other follows the protocol, and nothing went wrong at it that this could come from.
#[derive(Clone, Copy, Debug)]
pub enum Alarm<'a> {
    /// Another process runs with its key.
    SecondInstance,
    /// Its journal is an old one.
    RolledBack,
    /// Somebody outside signs for these validators: in the jar nobody does.
    Doppelgangers(&'a BTreeSet<ValidatorNo>),
    /// Two processes run with a peer's key.
    TwoProcesses {
        /// Whose.
        peer: ShareIndex,
        /// See above.
        blameless: bool,
    },
    /// A peer has made a mistake.
    Fault {
        /// Who.
        peer: ShareIndex,
        /// See above.
        blameless: bool,
        /// Which.
        fault: Fault,
    },
    /// A peer has said two things in one place.
    Evidence {
        /// Who.
        peer: ShareIndex,
        /// See above.
        blameless: bool,
        /// What it said first.
        first: &'a Signed,
        /// What it said then.
        second: &'a Signed,
    },
}

/// The judges of safety together.
#[derive(Debug)]
pub struct Bench {
    slashable: slashable::Slashable,
    journal: journal::Journal,
    words: words::Words,
    agreement: agreement::Agreement,
    submissions: submissions::Submissions,
    alarms: alarms::Alarms,
    exits: exits::Exits,
}

impl Bench {
    /// For a cluster on a network.
    pub fn new(cluster: ClusterId, spec: &ChainSpec, size: ClusterSize) -> Self {
        Self {
            slashable: slashable::Slashable::new(spec.clone(), size.threshold()),
            journal: journal::Journal::default(),
            words: words::Words::default(),
            agreement: agreement::Agreement::new(size),
            submissions: submissions::Submissions::default(),
            alarms: alarms::Alarms::new(cluster),
            exits: exits::Exits::new(spec.clone()),
        }
    }

    /// All of them watch.
    pub fn see(&mut self, sight: Sight<'_>) {
        self.slashable.see(sight);
        self.journal.see(sight);
        self.words.see(sight);
        self.agreement.see(sight);
        self.submissions.see(sight);
        self.alarms.see(sight);
        self.exits.see(sight);
    }

    /// What they found, by judge.
    pub fn found(&self) -> [(&'static str, &[Violation]); 7] {
        [
            ("slashable", &self.slashable.violations),
            ("journal", &self.journal.violations),
            ("words", &self.words.violations),
            ("agreement", &self.agreement.violations),
            ("submissions", &self.submissions.violations),
            ("alarms", &self.alarms.violations),
            ("exits", &self.exits.violations),
        ]
    }

    /// What they found.
    pub fn violations(&self) -> Vec<Violation> {
        self.found().into_iter().flat_map(|(_, found)| found.iter().cloned()).collect()
    }
}

/// What a judge found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// When, if at a moment.
    pub at: Option<Millis>,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "at {at}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}
