//! Judges: they watch a world from outside and know nothing of the code they judge.
//!
//! - [`slashable`]: the group never signs two things that could be slashed.
//! - [`journal`]: no honest node sends a partial signature that its journal did not hold before.
//! - [`exits`]: no honest node signs an exit that its operator did not approve.
//! - [`duties`]: what was due is in the chain when at most `f` operators are faulty.

pub mod duties;
pub mod exits;
pub mod journal;
pub mod slashable;

use std::fmt;
use symbolon_core::journal::Row;
use types::wire::Message;
use types::{Epoch, Millis, ShareIndex, ValidatorNo};

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
