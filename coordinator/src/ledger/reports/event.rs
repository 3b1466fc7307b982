//! What a report comes to.

use super::command::{Duties, Net};
use super::wish::Statement;
use crate::formulas::decimal;
use crate::formulas::ratio::Ratio;
use crate::formulas::shares::Rate;
use crate::ledger::columns::amounts;
use crate::ledger::operators::{Application, OperatorId};
use crate::ledger::pool;
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{Address, ClusterId, Epoch, Gwei, Root, Slot, ValidatorIndex, Wei};

/// By what stake is counted: who holds it, and in what operators of a cluster are to differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Who stands behind an operator.
    Entity,
    /// Where its node stands.
    Country,
    /// In whose network.
    HostingAs,
    /// Software of the execution layer.
    ExecutionClient,
    /// Software of the consensus layer.
    ConsensusClient,
    /// The validator client.
    ValidatorClient,
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Entity,
        Self::Country,
        Self::HostingAs,
        Self::ExecutionClient,
        Self::ConsensusClient,
        Self::ValidatorClient,
    ];

    /// What an operator has there, as it says itself.
    pub fn of(self, application: &Application) -> String {
        let setup = &application.setup;
        match self {
            Self::Entity => application.entity.to_string(),
            Self::Country => setup.country.to_string(),
            Self::HostingAs => format!("AS{}", setup.hosting_as),
            Self::ExecutionClient => setup.execution_client.to_string(),
            Self::ConsensusClient => setup.consensus_client.to_string(),
            Self::ValidatorClient => setup.validator_client.to_string(),
        }
    }
}

/// Why balances changed: four kinds of things that are never netted against each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Categories {
    /// Earned: attestations, blocks, sync committees.
    pub rewards: Gwei,
    /// Lost by missed duties.
    pub missed: Gwei,
    /// Lost because the chain did not finalize.
    pub leaked: Gwei,
    /// Lost by being slashed.
    pub slashed: Gwei,
}

/// What an operator got of a cluster's reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Who.
    pub operator: OperatorId,
    /// What it did of what was due, as the others say.
    pub participation: Ratio,
    /// What it earned.
    pub earned: Wei,
}

/// What a cluster's frame came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterReport {
    /// Balances of its validators that have one.
    #[serde(with = "amounts")]
    pub balances: BTreeMap<ValidatorIndex, Gwei>,
    /// Effective balance with duties.
    pub stake: Gwei,
    /// Why its balances changed.
    pub categories: Categories,
    /// Its duties.
    pub duties: Duties,
    /// What its attestations earned.
    pub attested: Gwei,
    /// What the specification would have paid for all of them.
    pub ideal: Gwei,
    /// How full it is: 1 is saturated. Nothing where the pool has no stake.
    pub saturation: Ratio,
    /// What its operators could earn together.
    pub reward: Wei,
    /// What they earned, in the cluster's order.
    pub parts: Vec<Part>,
    /// Whether it did too little, against the network.
    pub strike: bool,
}

impl ClusterReport {
    /// What its attestations earned of what the specification would have paid; nothing where nothing would have been paid.
    pub fn effectiveness(&self) -> Option<Ratio> {
        Ratio::of(self.attested.0, self.ideal.0).ok()
    }
}

/// What an operator earned in all its clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earned {
    /// Where it goes.
    pub to: Address,
    /// What pays its debts, first.
    pub repaid: Wei,
    /// What it can claim.
    pub kept: Wei,
}

/// Whose the frame's result is. All parts together are the result, to the wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// The delegators'. They alone lose; what others pay for it comes later, from incidents.
    pub delegators: Net,
    /// The pool's treasury: its part of the fee, and what operator types get less than the operators' part.
    pub pool: Wei,
    /// The reserve's: its part of the fee, what nobody earned, and what rounding left over.
    pub reserve: Wei,
    /// What operators can claim.
    pub operators: Wei,
    /// What paid operators' debts.
    pub debts: Wei,
}

/// What of the operators' part of the fee is not theirs after all. Both are in [`Parts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unearned {
    /// The treasury's: what operator types get less than the operators' part.
    pub pool: Wei,
    /// The reserve's: what nobody earned, and what rounding left over.
    pub reserve: Wei,
}

/// What would be left if the costliest of all clusters were slashed as a whole, and nobody paid for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stress {
    /// Which one.
    pub cluster: ClusterId,
    /// What it would cost, with the penalty that grows with what falls together.
    pub loss: Gwei,
    /// What 10^27 shares would be worth.
    #[serde(with = "decimal")]
    pub share_rate: U256,
}

/// How few hold how much of the pool's stake, by one dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// The fewest that together have more than a third.
    pub third: u32,
    /// More than a half.
    pub half: u32,
    /// At least two thirds.
    pub two_thirds: u32,
    /// The Herfindahl-Hirschman index: 1 is a monopoly.
    pub hhi: Ratio,
    /// The largest.
    pub largest: String,
}

/// What a report comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// Its number.
    pub frame: u64,
    /// The state's slot.
    pub slot: Slot,
    /// Its epoch.
    pub epoch: Epoch,
    /// The root of its block.
    pub block_root: Root,
    /// The slot's time, in seconds since 1970.
    pub at: u64,
    /// SHA-256 of the canonical list of the beacon node's answers.
    pub evidence: Root,
    /// Balances of all validators.
    pub balance: Gwei,
    /// Deposits that are no longer on their way.
    pub arrived: Gwei,
    /// What withdrawals brought to the pool's address.
    pub withdrawn: Gwei,
    /// Deposits that ended in a validator that is not the pool's.
    pub lost: Gwei,
    /// Why balances changed.
    pub categories: Categories,
    /// Rewards of blocks.
    pub el_rewards: Wei,
    /// `rewards - missed - leaked - slashed - lost + el_rewards`.
    pub result: Net,
    /// What the fee was taken of: all gain, if the consensus layer gained.
    pub gain: Wei,
    /// Whose the result is.
    pub parts: Parts,
    /// What of the operators' part they did not earn.
    pub unearned: Unearned,
    /// By cluster.
    pub clusters: BTreeMap<ClusterId, ClusterReport>,
    /// By operator: of those who earned something.
    pub operators: BTreeMap<OperatorId, Earned>,
    /// The root of the tree of all that operators have ever earned; nothing if nobody has.
    pub claims: Option<Root>,
    /// Shares and ETH after it.
    pub after: Rate,
    /// What 10^27 shares are worth.
    #[serde(with = "decimal")]
    pub share_rate: U256,
    /// What they would be worth after the worst; nothing where there is no stake.
    pub stress: Option<Stress>,
    /// How few hold how much.
    pub concentration: BTreeMap<Axis, Figures>,
    /// Clusters with too many strikes: their validators are to exit.
    pub ejected: BTreeSet<ClusterId>,
}

impl Reported {
    /// What the book of money is told: it must come to the same.
    pub fn money(&self) -> pool::Report {
        pool::Report {
            epoch: self.epoch,
            at: self.at,
            balance: self.balance,
            arrived: self.arrived,
            withdrawn: self.withdrawn,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A report was counted.
    Reported(Box<Reported>),
    /// An operator has said what it saw of the others, for the next report.
    Stated {
        /// In which cluster.
        cluster: ClusterId,
        /// Who says it.
        operator: OperatorId,
        /// Of which frame, and what.
        statement: Statement,
    },
    /// What an operator earned paid what it owed this account's.
    Repaid {
        /// Whose claim it is.
        to: Address,
        /// How much.
        eth: Wei,
    },
    /// An account has taken some of what it earned.
    Claimed {
        /// Whose.
        account: Address,
        /// How much.
        eth: Wei,
    },
}
