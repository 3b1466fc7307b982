//! The pool's policy: every number that governance may choose, as one document.
//!
//! A policy is replaced as a whole: its numbers depend on each other, and whoever signs it has read what will be true, not
//! a difference to something that may have changed meanwhile. [`Terms`] are the document; a [`Policy`] is one whose rules
//! hold, and nothing else is read.
//!
//! Operator types are data. The tables of Lido's modules and of Rocket Pool are policies in `coordinator/tests/policies`.

mod check;
mod operator_type;

pub use check::{
    BOND_LOCK_EPOCHS_MAX, DELAY_MAX_S, DELAY_MIN_S, FRAME_EPOCHS_MAX, NAMED_MAX, OPERATOR_TYPES_MAX,
    PolicyError, SIZES_MAX,
};
pub use operator_type::{
    COMMISSION_STEPS_MAX, Commission, CommissionError, CommissionStep, Curve, NoCurve, OperatorType,
};

use crate::formulas::concentration::SelfLimit;
use crate::formulas::participation::Unearned;
use crate::formulas::ratio::{BasisPoints, Ratio};
use crate::formulas::rebase::Bounds;
use crate::formulas::saturation::Saturation;
use crate::text::Label;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{Address, ClusterSize, Gwei, Wei};

pub use crate::formation::{Dimension, Diversity};

/// Numbers of a cluster that the pool takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// `n`.
    pub operators: u8,
    /// `t`.
    pub threshold: u8,
}

/// What one operator gets at most. Governance may set another limit on stake for an operator, never a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorCaps {
    /// Stake of all the clusters that it is in.
    pub stake: Gwei,
    /// Clusters.
    pub clusters: u32,
}

/// How clusters are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formation {
    /// Seconds that operators have to answer, once a cluster of theirs is drawn.
    pub answer_s: u64,
}

/// Who gets which part of rewards before delegators do. What is left is the delegators'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeSplit {
    /// The operators of a cluster, together.
    pub operators: BasisPoints,
    /// The pool's treasury.
    pub pool: BasisPoints,
    /// The reserve, which pays for losses before delegators do.
    pub reserve: BasisPoints,
}

/// How often the pool reports, and what no report goes beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reports {
    /// Epochs from one report to the next.
    pub frame_epochs: u32,
    /// What is no honest report.
    pub bounds: Bounds,
}

/// How a new validator's ETH is sent: a first part that shows whose it is, and the rest once that is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepositSplit {
    /// First, while nobody knows what the key's operators have signed.
    pub first: Gwei,
    /// Then.
    pub rest: Gwei,
}

/// What becomes of those who do not exit when they are asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exits {
    /// Seconds after which an exit is delayed: it is shown.
    pub delayed_s: u64,
    /// Seconds after which its operators are delinquent: no new stake, half the rewards.
    pub delinquent_s: u64,
    /// Seconds for which they stay so after the exit has come.
    pub cooldown_s: u64,
}

/// When an operator does too little for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strikes {
    /// By how much performance may be below the network's before a frame is a strike.
    pub leeway: BasisPoints,
    /// So many strikes,
    pub max: u8,
    /// in so many frames, are too many.
    pub frames: u8,
}

/// What is kept aside, in parts of all that delegators have in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserves {
    /// Liquid, for withdrawals.
    pub liquid: BasisPoints,
    /// For losses; when it is full, its part of the fees goes to the delegators.
    pub losses: BasisPoints,
}

/// Who may delegate, and how much at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegations {
    /// Who may have shares, by address; nothing: everybody.
    pub named: Option<BTreeSet<Address>>,
    /// The least payment that buys shares.
    pub payment_min: Wei,
    /// The least withdrawal request, so that the queue cannot be filled with nothing.
    pub request_min: Wei,
    /// The most of one, so that one does not hold up all others.
    pub request_max: Wei,
    /// Seconds that a request is old at a report's time before it is served: nobody leaves on a report that he knew of.
    pub request_age_min_s: u64,
}

/// Who pays for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Losses {
    /// Whether all operators of a cluster stand for a fault of some, after these.
    pub cluster_stands: bool,
    /// Where that goes which a free rider does not earn.
    pub unearned: Unearned,
}

/// What bonds may back besides the pool's clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// Which part of an operator's bond services outside may take, together.
    pub of_bond: BasisPoints,
    /// How much one service may take of all operators' bonds: what fails with it fails at once.
    pub one_service: Gwei,
}

/// Lido's operator types: community staking, identified clusters, curated operators.
const LIDO: &str = include_str!("../../../policies/lido.json");
/// Rocket Pool's.
const ROCKETPOOL: &str = include_str!("../../../policies/rocketpool.json");
/// Friends who stake together, without bonds. Who they are is to be filled in.
const SQUAD: &str = include_str!("../../../policies/squad.json");

/// A policy to begin with, by name: `lido`, `rocketpool`, `squad`.
///
/// Source: the bond tables that these systems have published; caps, fees and delays are to be looked at by who founds a pool.
pub fn preset(name: &str) -> Option<Policy> {
    let text = match name {
        "lido" => LIDO,
        "rocketpool" => ROCKETPOOL,
        "squad" => SQUAD,
        _ => return None,
    };
    Some(serde_json::from_str(text).expect("a test reads each of them"))
}

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Clusters that the pool takes.
    pub sizes: Vec<Size>,
    /// What one operator gets at most.
    pub operator_caps: OperatorCaps,
    /// Kinds of operators.
    pub operator_types: Vec<OperatorType>,
    /// What is taken of rewards.
    pub fees: FeeSplit,
    /// What a cluster's size does to its reward.
    pub saturation: Saturation,
    /// How much stake those who can sign together may move with their bonds, `stake / bonds`. Nothing: no limit.
    pub leverage_max: Option<Ratio>,
    /// In what operators of a cluster must differ. That they are of different entities, or all of one, is no choice of it.
    pub diversity: BTreeMap<Dimension, Diversity>,
    /// How clusters are formed.
    pub formation: Formation,
    /// How the pool reports.
    pub reports: Reports,
    /// How much of the network's stake it wants at most.
    pub self_limit: SelfLimit,
    /// Seconds between an operator's announcement, of another address or that it leaves, and its effect.
    pub announcement_s: u64,
    /// Epochs for which a bond stays after its operator has left a cluster.
    pub bond_lock_epochs: u64,
    /// How deposits are split.
    pub deposit: DepositSplit,
    /// What becomes of late exits.
    pub exits: Exits,
    /// What becomes of bad performance.
    pub strikes: Strikes,
    /// Who may delegate.
    pub delegations: Delegations,
    /// What is kept aside.
    pub reserves: Reserves,
    /// Who pays for losses.
    pub losses: Losses,
    /// What bonds may back outside.
    pub exposure: Exposure,
}

/// Terms whose rules hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Terms", into = "Terms")]
pub struct Policy(Terms);

impl Policy {
    /// Errors: the first rule that is broken.
    pub fn new(terms: Terms) -> Result<Self, PolicyError> {
        check::check(&terms)?;
        Ok(Self(terms))
    }

    /// The document.
    pub fn terms(&self) -> &Terms {
        &self.0
    }

    /// The operator type of this name.
    pub fn operator_type(&self, name: &Label) -> Option<&OperatorType> {
        self.0.operator_types.iter().find(|known| known.name == *name)
    }

    /// The sizes of clusters that the pool takes.
    pub fn sizes(&self) -> impl Iterator<Item = ClusterSize> + '_ {
        let size = |size: &Size| ClusterSize::new_safe(size.operators.into(), size.threshold.into()).ok();
        self.0.sizes.iter().filter_map(size)
    }
}

impl TryFrom<Terms> for Policy {
    type Error = PolicyError;
    fn try_from(terms: Terms) -> Result<Self, PolicyError> {
        Self::new(terms)
    }
}

impl From<Policy> for Terms {
    fn from(policy: Policy) -> Self {
        policy.0
    }
}

#[cfg(test)]
pub(crate) mod tests;
