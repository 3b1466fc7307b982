//! Ceremonies: the locks that clusters' keys were made with.
//!
//! ```text
//! cluster accepted -> locked: its keys are registered, with their deposits, in the same entry
//! ```
//!
//! What keys are made of is the cluster's definition, which everybody makes again from the log
//! ([`crate::ledger::State::definition`]). The ceremony itself is between the nodes, and nothing here waits for it.
//!
//! A lock is taken if every check of [`cluster::check`] holds, and if it is of the cluster's definition: that has the pool's
//! network, withdrawal credentials, fee recipient and amounts, as they were when its operators were asked, the cluster's nodes
//! in their places and its threshold. It has the deposits that its keys signed, so the deposits' book need not verify them
//! again.

mod decide;
mod limits;

pub use decide::{Facts, Made, Refusal};
pub use limits::{LOCK_LEN_MAX, LOCK_VALIDATORS_MAX, validators_max};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{ClusterId, Root};

/// The book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Locks of clusters that have one.
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

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
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
    /// A second lock.
    #[error("cluster {0} has a lock already")]
    Locked(ClusterId),
}

impl State {
    /// Applies an event. Errors: it does not fit.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        let Event::Locked { cluster, locked } = event;
        if self.locks.contains_key(cluster) {
            return Err(Misfit::Locked(*cluster));
        }
        self.locks.insert(*cluster, *locked);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
