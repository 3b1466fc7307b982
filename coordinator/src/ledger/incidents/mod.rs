//! Incidents: what went wrong, who is responsible, and who pays.
//!
//! ```text
//! open      slashing | theft of a block's rewards | downtime | missed exit         evidence: hashes of what it was read from
//! slashing  freezes the cluster and holds the queue of withdrawals, at once
//! look      what a slashing has cost so far
//! prove     who signed two messages that contradict each other
//! settle    loss final -> bonds of the guilty -> bonds of the cluster, if the policy says so -> reserve -> delegators
//! repay     what the guilty owe, from their rewards or new bonds: delegators first, then reserve, then the others' bonds
//! dismiss   governance: it was none
//! ```
//!
//! **Who.** Responsible is who was in the cluster in the epoch *of the fault*, whoever is in it when the fault comes to
//! light. All of them are guilty until evidence names some: then these. Of a missed exit it is those whose signature
//! is missing.
//!
//! **When.** A slashing is open from the moment it is seen, final or not, because what it stops must stop at once; it is
//! settled when a state that is finalized has told its cost at or after its withdrawable epoch, so no penalty comes later.
//! Bonds of the responsible must stay until then ([`State::holds`]), also those whose lock is over. Other faults can be
//! settled after a time in which governance may object.
//!
//! **How much.** The steps of a waterfall are the loss, to the wei. Delegators have borne a slashing's loss already, by the
//! reports: what bonds and reserve pay comes to the pool as cover.
//!
//! **Bunker.** While a slashing is open the pool serves no withdrawals, so nobody leaves before a loss that is known. Source:
//! Lido's oracle, associated slashings.

mod apply;
mod asked;
mod command;
mod conflict;
mod decide;
mod place;

pub use apply::{Corrupt, apply};
pub use asked::{Seen, SeenLoss, Told, Wish};
pub use command::{Command, Downtime, Event, Facts, Fault, Flow, Key, MissedExit, Opened, Slashing, Theft};
pub use conflict::{Conflict, ConflictError, Holders, Messages};
pub use decide::{Refusal, decide};
pub use place::{NoPlace, Place};

use crate::formulas::losses::{Debts, Step};
use crate::formulas::wide::{self, WideError};
use crate::ledger::operators::OperatorId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{ClusterId, Epoch, Gwei, Wei};

/// How far an incident is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its loss is not final, or not paid.
    Open,
    /// Its loss is paid, and this is owed.
    Owed(Debts),
}

/// An incident that is open, or that somebody owes for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// How it began; who is guilty as far as is known.
    pub opened: Opened,
    /// Whether evidence has named the guilty.
    pub proven: bool,
    /// The last look at a slashing: its epoch, and what it had cost.
    pub seen: Option<(Epoch, Gwei)>,
    /// What was paid.
    pub steps: Vec<Step>,
    /// How far it is.
    pub stage: Stage,
}

impl Incident {
    fn is_open_slashing(&self) -> bool {
        matches!((&self.opened.fault, &self.stage), (Fault::Slashing(_), Stage::Open))
    }

    /// What is owed for it.
    pub fn debts(&self) -> Option<&Debts> {
        match &self.stage {
            Stage::Open => None,
            Stage::Owed(debts) => Some(debts),
        }
    }
}

/// Everything the book knows. Changed by [`apply`] only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub(crate) next: u64,
    /// Those that are open, and those that somebody owes for.
    pub(crate) incidents: BTreeMap<u64, Incident>,
    /// All faults that are, or were, incidents and not dismissed.
    pub(crate) known: BTreeSet<Key>,
    pub(crate) frozen: BTreeSet<ClusterId>,
    pub(crate) held: bool,
    pub(crate) moved: Flow,
}

impl State {
    /// The next incident's number.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Incidents that are open, or that somebody owes for, by number.
    pub fn incidents(&self) -> &BTreeMap<u64, Incident> {
        &self.incidents
    }

    /// Whether a cluster is frozen.
    pub fn is_frozen(&self, cluster: ClusterId) -> bool {
        self.frozen.contains(&cluster)
    }

    /// Whether the pool serves no withdrawals.
    pub fn holds_queue(&self) -> bool {
        self.held
    }

    /// The first open incident for which an operator's bond must stay, locked or not: it may have to pay.
    pub fn holds(&self, operator: OperatorId) -> Option<u64> {
        self.open().find(|(_, incident)| incident.opened.members.contains(&operator)).map(|(no, _)| no)
    }

    /// The first open incident of a cluster.
    pub fn open_of(&self, cluster: ClusterId) -> Option<u64> {
        self.open().find(|(_, incident)| incident.opened.cluster == cluster).map(|(no, _)| no)
    }

    fn open(&self) -> impl Iterator<Item = (u64, &Incident)> {
        let open = self.incidents.iter().filter(|(_, incident)| incident.stage == Stage::Open);
        open.map(|(number, incident)| (*number, incident))
    }

    /// All that was ever moved between bonds, pool and reserve. What came to the pool out of bonds is
    /// `to_pool - from_reserve`, what came to the reserve `to_reserve`: people send it, and it is counted when it is seen.
    pub fn moved(&self) -> &Flow {
        &self.moved
    }

    /// What an operator owes, for all incidents. Cost: all incidents.
    pub fn owed(&self, operator: OperatorId) -> Result<Wei, WideError> {
        wide::total(self.incidents.values().filter_map(Incident::debts).map(|debts| debts.owed(operator)))
    }

    /// What everybody owes. Cost: all incidents.
    pub fn debts(&self) -> Result<BTreeMap<OperatorId, Wei>, WideError> {
        let mut all: BTreeMap<OperatorId, Wei> = BTreeMap::new();
        for (operator, owed) in self.incidents.values().filter_map(Incident::debts).flat_map(Debts::debtors) {
            let sum = all.entry(operator).or_default();
            *sum = wide::add(*sum, owed)?;
        }
        Ok(all)
    }

    /// Whether another slashing than this is open, and of which clusters.
    fn other_slashings(&self, incident: u64) -> impl Iterator<Item = ClusterId> + '_ {
        let others = self.incidents.iter().filter(move |(number, _)| **number != incident);
        others.filter(|(_, one)| one.is_open_slashing()).map(|(_, one)| one.opened.cluster)
    }

    /// Looks at everything for what cannot be. Cost: all incidents. For who reads a stored state, and for tests; [`apply`]
    /// keeps to it between entries of a log.
    pub fn audit(&self) -> Result<(), Corrupt> {
        let frozen: BTreeSet<_> = self.other_slashings(u64::MAX).collect();
        if frozen != self.frozen || self.held == frozen.is_empty() {
            return Err(Corrupt::Stopped);
        }
        for (number, incident) in &self.incidents {
            if *number >= self.next || !self.known.contains(&incident.opened.key) {
                return Err(Corrupt::Number { have: *number, next: self.next });
            }
            incident.debts().map_or(Ok(Wei::ZERO), Debts::total)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
