//! Clusters: who holds validators together, since when, and how far they are.
//!
//! ```text
//! accepted -> keyed -> active -> exiting -> closed
//!     '---------'---------------> exiting
//! ```
//!
//! A cluster has members by epoch: a fault is of those who were in it *then*. What it may hold is fixed when it begins: so
//! many keys, so much stake. Each of its operators' bonds backs its keys from then on, until it is closed.
//!
//! It gets new stake while all of its operators are active, none is paused, and none has more stake than it may.

mod decide;

pub use decide::{Facts, Refusal};

use super::operators::OperatorId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{ClusterId, ClusterSize, Epoch, Gwei};

/// The most validators of a cluster: the largest ceremony that is made.
pub use crate::formation::call::KEYS_MAX;

/// How far a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its operators are agreed, and their bonds back it.
    Accepted,
    /// It has keys.
    Keyed,
    /// A validator of it has duties.
    Active,
    /// It gets no more stake, and its validators are to exit.
    Exiting,
    /// It holds nothing any more.
    Closed,
}

impl Stage {
    /// Whether another stage may follow.
    fn leads_to(self, next: Self) -> bool {
        match self {
            Self::Accepted => matches!(next, Self::Keyed | Self::Exiting),
            Self::Keyed => matches!(next, Self::Active | Self::Exiting),
            Self::Active => next == Self::Exiting,
            Self::Exiting => next == Self::Closed,
            Self::Closed => false,
        }
    }

    /// Whether it gets new stake, as far as this goes.
    pub fn is_open(self) -> bool {
        match self {
            Self::Accepted | Self::Keyed | Self::Active => true,
            Self::Exiting | Self::Closed => false,
        }
    }
}

/// Who holds it from an epoch on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// How often shares were made anew.
    pub generation: u32,
    /// From when on.
    pub from: Epoch,
    /// Its operators; the first has share 1.
    pub operators: Vec<OperatorId>,
    /// How many of them sign.
    pub threshold: u8,
}

impl Members {
    /// Their numbers. Nothing where they make no cluster, which nobody is admitted with.
    pub fn size(&self) -> Option<ClusterSize> {
        ClusterSize::new_safe(self.operators.len(), self.threshold.into()).ok()
    }
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// How far it is.
    pub stage: Stage,
    /// The validators that it may have.
    pub keys: u32,
    /// The stake that it may have.
    pub stake: Gwei,
    /// Who holds it, the newest last.
    pub members: Vec<Members>,
}

impl Cluster {
    /// Who holds it now. A cluster always has members.
    pub fn operators(&self) -> &[OperatorId] {
        self.members.last().map_or(&[], |members| &members.operators)
    }

    /// Who held it in an epoch; nobody before it began.
    pub fn members_at(&self, epoch: Epoch) -> Option<&Members> {
        self.members.iter().rev().find(|members| members.from <= epoch)
    }

    /// Each operator's part of the stake that it may have: an `n`-th, rounded up.
    pub fn part(&self) -> Gwei {
        Gwei(self.stake.0.div_ceil(self.operators().len().max(1) as u64))
    }
}

/// The book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// All that ever were.
    pub clusters: BTreeMap<ClusterId, Cluster>,
}

/// A cluster that is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// Its id: the hash of its definition.
    pub cluster: ClusterId,
    /// Its operators; the first has share 1.
    pub operators: Vec<OperatorId>,
    /// How many of them sign.
    pub threshold: u8,
    /// The validators that it may have.
    pub keys: u32,
    /// The stake that it may have.
    pub stake: Gwei,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// There is a cluster.
    Accepted {
        /// What it is.
        admission: Admission,
        /// From when on.
        from: Epoch,
    },
    /// It is further.
    Stands {
        /// Which.
        cluster: ClusterId,
        /// How far.
        stage: Stage,
    },
}

/// An event that does not fit the book: the log is corrupt.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Misfit {
    /// One that is there.
    #[error("cluster {0} is there already")]
    Known(ClusterId),
    /// One that is not.
    #[error("no cluster {0}")]
    Unknown(ClusterId),
    /// A stage that cannot follow.
    #[error("cluster {cluster} is {stage:?}, {next:?} cannot follow")]
    Stage {
        /// Which.
        cluster: ClusterId,
        /// How far it is.
        stage: Stage,
        /// What would follow.
        next: Stage,
    },
}

impl State {
    /// A cluster, if it ever was.
    pub fn get(&self, cluster: ClusterId) -> Option<&Cluster> {
        self.clusters.get(&cluster)
    }

    /// The parts of all operators in the stake that clusters may have which are not closed. Cost: all clusters.
    pub fn stakes(&self) -> BTreeMap<OperatorId, Gwei> {
        let mut stakes: BTreeMap<OperatorId, Gwei> = BTreeMap::new();
        for cluster in self.clusters.values().filter(|cluster| cluster.stage != Stage::Closed) {
            for operator in cluster.operators() {
                let stake = stakes.entry(*operator).or_default();
                *stake = Gwei(stake.0.saturating_add(cluster.part().0));
            }
        }
        stakes
    }

    /// The parts of one of them. Cost: all clusters.
    pub fn stake_of(&self, operator: OperatorId) -> Gwei {
        let open = self.clusters.values().filter(|cluster| cluster.stage != Stage::Closed);
        let its = open.filter(|cluster| cluster.operators().contains(&operator));
        Gwei(its.fold(0, |sum, cluster| sum.saturating_add(cluster.part().0)))
    }

    /// Applies an event. Errors: it does not fit.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        match event {
            Event::Accepted { admission, from } => {
                let Admission { cluster, operators, threshold, keys, stake } = admission.clone();
                if self.clusters.contains_key(&cluster) {
                    return Err(Misfit::Known(cluster));
                }
                let members = vec![Members { generation: 0, from: *from, operators, threshold }];
                self.clusters.insert(cluster, Cluster { stage: Stage::Accepted, keys, stake, members });
            }
            Event::Stands { cluster, stage: next } => {
                let found = self.clusters.get_mut(cluster).ok_or(Misfit::Unknown(*cluster))?;
                let stage = found.stage;
                if !stage.leads_to(*next) {
                    return Err(Misfit::Stage { cluster: *cluster, stage, next: *next });
                }
                found.stage = *next;
            }
        }
        Ok(())
    }
}
