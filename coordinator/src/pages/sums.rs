//! What pages need of all validators, requests and clusters: counted once for each state, not for each reader.

use crate::ledger::State;
use crate::ledger::deposits::Stage;
use crate::ledger::{clusters, operators};
use std::collections::BTreeMap;
use types::{ClusterId, Gwei, Wei};

/// A cluster's validators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfCluster {
    /// Its validators, by how far they are.
    pub stages: BTreeMap<Stage, u64>,
    /// What they have, as the last look at the chain says.
    pub balance: Gwei,
}

/// Sums of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Validators, by how far they are.
    pub stages: BTreeMap<Stage, u64>,
    /// Validators that get no more money until governance has looked.
    pub held: u64,
    /// By cluster.
    pub of: BTreeMap<ClusterId, OfCluster>,
    /// Clusters, by how far they are.
    pub clusters: BTreeMap<clusters::Stage, u64>,
    /// Operators, by where they stand.
    pub operators: BTreeMap<operators::Standing, u64>,
    /// What all requests that wait would get now; nothing if the numbers do not fit.
    pub queued: Option<Wei>,
    /// Requests that are served and not claimed.
    pub claimable: u64,
}

impl Sums {
    /// Cost: all validators, clusters, operators and requests. Accounts are not looked at: the state has their sum.
    pub fn of(state: &State) -> Self {
        let mut sums = Self { queued: state.money.queued().ok(), ..Self::default() };
        for validator in state.deposits.validators().values() {
            let one = sums.of.entry(validator.cluster).or_default();
            *one.stages.entry(validator.stage).or_default() += 1;
            one.balance.0 = one.balance.0.saturating_add(validator.balance.0);
            *sums.stages.entry(validator.stage).or_default() += 1;
            sums.held += u64::from(validator.is_held());
        }
        for cluster in state.clusters.clusters.values() {
            *sums.clusters.entry(cluster.stage).or_default() += 1;
        }
        for operator in state.operators.operators.values() {
            *sums.operators.entry(operator.standing).or_default() += 1;
        }
        sums.claimable = state.money.queue().claimable().count() as u64;
        sums
    }

    /// All validators.
    pub fn validators(&self) -> u64 {
        self.stages.values().sum()
    }
}
