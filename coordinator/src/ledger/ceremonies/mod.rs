//! Ceremonies: the locks that clusters' keys were made with, and keys that operators have brought by hand.
//!
//! ```text
//! cluster accepted -> locked: its keys are registered, with their deposits, in the same entry
//!                  -> offered, by one operator after the other -> agreed: likewise, when all have offered the same
//! ```
//!
//! What keys are made of is the cluster's definition, which everybody makes again from the log
//! ([`crate::ledger::State::definition`]). The ceremony itself is between the nodes, and nothing here waits for it.
//!
//! A lock is taken if every check of [`cluster::check`] holds, and if it is of the cluster's definition: that has the pool's
//! network, withdrawal credentials, fee recipient and amounts, as they were when its operators were asked, the cluster's nodes
//! in their places and its threshold. It has the deposits that its keys signed, so the deposits' book need not verify them
//! again.
//!
//! Keys without a lock come of no ceremony that anybody else can check: whoever made them may know all of their shares. So they
//! count only when each operator's manager has signed for exactly these.

mod decide;
mod limits;

pub use decide::{Facts, Made, Refusal};
pub use limits::{LOCK_LEN_MAX, LOCK_VALIDATORS_MAX, validators_max};

use super::operators::OperatorId;
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
    /// Keys that operators have offered by hand, until all have offered the same: the hash of what each offered last.
    pub offers: BTreeMap<ClusterId, BTreeMap<OperatorId, Root>>,
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
    /// An operator says which keys are its cluster's.
    Offered {
        /// Of which cluster.
        cluster: ClusterId,
        /// Who.
        operator: OperatorId,
        /// The hash of its keys, in its order.
        keys: Root,
    },
    /// The last operator says the same as all others.
    Agreed {
        /// Of which cluster.
        cluster: ClusterId,
    },
}

/// An event that does not fit the book: the log is corrupt.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Misfit {
    /// A second lock.
    #[error("cluster {0} has a lock already")]
    Locked(ClusterId),
    /// The same offer again.
    #[error("{operator} has offered these keys for cluster {cluster} already")]
    Offered {
        /// Which.
        cluster: ClusterId,
        /// Who.
        operator: OperatorId,
    },
}

impl State {
    /// Applies an event. Errors: it does not fit.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        match *event {
            Event::Locked { cluster, .. } if self.locks.contains_key(&cluster) => {
                return Err(Misfit::Locked(cluster));
            }
            Event::Locked { cluster, locked } => drop(self.locks.insert(cluster, locked)),
            Event::Offered { cluster, operator, keys } if self.offered(cluster, operator) == Some(keys) => {
                return Err(Misfit::Offered { cluster, operator });
            }
            Event::Offered { cluster, operator, keys } => {
                self.offers.entry(cluster).or_default().insert(operator, keys);
            }
            Event::Agreed { cluster } => drop(self.offers.remove(&cluster)),
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
