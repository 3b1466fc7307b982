//! Ceremonies: what a cluster's keys are made of, and the lock that they were made with.
//!
//! ```text
//! cluster accepted -> defined: anybody can fetch what its operators make keys of
//!                  -> locked:  its keys are registered, with their deposits, in the same entry
//! ```
//!
//! A cluster's id is the hash of its definition, so a definition is the cluster's or it is not, whoever brings it. The
//! ceremony itself is between the nodes, and nothing here waits for it.
//!
//! A lock is taken if every check of [`cluster::check`] holds, and if it is made for this pool: the pool's withdrawal
//! credentials byte for byte, its fee recipient, its deposits' amounts, the cluster's nodes in their places and its
//! threshold. It has the deposits that its keys signed, so the deposits' book need not verify them again.

mod decide;
mod limits;

pub use decide::{Facts, Made, Refusal};
pub use limits::{LOCK_LEN_MAX, LOCK_VALIDATORS_MAX, validators_max};

use cluster::{Definition, Lock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{ClusterId, Root};

/// The book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// What clusters make keys of: the definition's file.
    pub definitions: BTreeMap<ClusterId, String>,
    /// What has come of it.
    pub locks: BTreeMap<ClusterId, Locked>,
}

/// A cluster's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The lock's hash: the cluster's name at its nodes.
    pub lock: Root,
    /// How often shares were made anew.
    pub generation: u32,
}

/// What somebody wishes who has signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To have a cluster's definition where everybody finds it.
    Define(ClusterId, Box<Definition>),
    /// To have a cluster's keys registered, as its lock has them.
    Deliver(ClusterId, Box<Lock>),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// What a cluster makes keys of is known.
    Defined {
        /// Which.
        cluster: ClusterId,
        /// The definition's file, as the format's reference writes it.
        definition: String,
    },
    /// A cluster has keys.
    Locked {
        /// Which.
        cluster: ClusterId,
        /// Its lock.
        locked: Locked,
    },
}

/// An event that does not fit the book: the log is corrupt.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Misfit {
    /// A second definition.
    #[error("cluster {0} is defined already")]
    Defined(ClusterId),
    /// A second lock.
    #[error("cluster {0} has a lock already")]
    Locked(ClusterId),
}

impl State {
    /// Applies an event. Errors: it does not fit.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        match event {
            Event::Defined { cluster, definition } => {
                if self.definitions.contains_key(cluster) {
                    return Err(Misfit::Defined(*cluster));
                }
                self.definitions.insert(*cluster, definition.clone());
            }
            Event::Locked { cluster, locked } => {
                if self.locks.contains_key(cluster) {
                    return Err(Misfit::Locked(*cluster));
                }
                self.locks.insert(*cluster, *locked);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
