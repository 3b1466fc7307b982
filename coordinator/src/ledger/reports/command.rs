//! What a report is told: by the chain, by the policy, and by the other books.

use super::event::Axis;
use super::seen;
use crate::formulas::participation::Statements;
use crate::ledger::chain::Finalized;
use crate::ledger::operators::OperatorId;
use crate::ledger::policy::Policy;
use crate::ledger::pool;
use crate::text::{Label, Text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use types::{
    Address, ChainSpec, ClusterId, ClusterSize, Gwei, Root, Slot, ValidatorIndex, ValidatorStatus, Wei,
};

/// The longest request to a beacon node that is named as evidence, in bytes: a path and its parameters.
pub const REQUEST_LEN_MAX: usize = 256;
/// The most answers that one report rests on: one for every block of a frame of a week, and those for its epochs.
pub const ANSWERS_MAX: usize = 1 << 16;
/// The most validators of a pool's report: as many as the pool may have.
pub const VALIDATORS_MAX: usize = crate::ledger::deposits::VALIDATORS_MAX;
/// More duties than all of Ethereum has in the longest frame; so no product of three counts is beyond 128 bits.
pub const DUTIES_MAX: u64 = 1 << 36;

/// The beacon node's answers that something was read from: what was asked, and the SHA-256 of the answer.
pub type Evidence = BTreeMap<Text<REQUEST_LEN_MAX>, Root>;

/// Duties, or partial signatures for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duties {
    /// Done: a block has them.
    pub made: u64,
    /// Due.
    pub due: u64,
}

/// The chain around the pool, in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// All active stake at the report's slot.
    pub stake: Gwei,
    /// The least that it was in the frame, so that what it makes of ideal rewards is a bound.
    pub stake_min: Gwei,
    /// Attestations of all validators.
    pub duties: Duties,
}

/// A validator of the pool, in the frame. It is read and observed in columns; written by itself it is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SeenValidator {
    /// How it does, at the report's slot.
    pub status: ValidatorStatus,
    /// Whether it was slashed.
    pub slashed: bool,
    /// What it has.
    pub balance: Gwei,
    /// What it counts for.
    pub effective: Gwei,
    /// The pool's deposits that came into its balance. A stranger's are a gift: rewards.
    pub arrived: Gwei,
    /// What withdrawals took out of it, to the pool's address.
    pub swept: Gwei,
    /// ETH of effective balance, summed over the epochs of the frame in which it had duties.
    pub increments: u64,
    /// What its attestations earned, before penalties.
    pub attested: Gwei,
    /// What duties that it missed cost.
    pub missed: Gwei,
    /// What it lost because the chain did not finalize.
    pub leaked: Gwei,
    /// What being slashed cost.
    pub penalised: Gwei,
}

/// A cluster, in the frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenCluster {
    /// Its validators' duties. Each of its operators owes a partial signature for each that is due.
    pub duties: Duties,
    /// Its validators: all that the report before had with a balance, and those that are new.
    #[serde(with = "seen")]
    pub validators: BTreeMap<ValidatorIndex, SeenValidator>,
}

/// What a finalized state, and the blocks up to it, say of a frame. Observed: whoever asks a beacon node can say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Its number: they are counted from 0.
    pub frame: u64,
    /// The state's slot, the first of its epoch.
    pub slot: Slot,
    /// The root of the block that the state is of: the checkpoint's.
    pub block_root: Root,
    /// The chain around the pool.
    pub network: Network,
    /// Deposits that ended in a validator that is not the pool's.
    pub lost: Gwei,
    /// The pool's clusters that have, or had, validators.
    pub clusters: BTreeMap<ClusterId, SeenCluster>,
    /// What all this was read from.
    pub evidence: Evidence,
}

/// An operator's place in a cluster, at the report's slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Who.
    pub operator: OperatorId,
    /// Where its rewards go.
    pub reward: Address,
    /// Its operator type.
    pub operator_type: Label,
    /// The number of its first key in this cluster, from 1, in the order in which its bond backs keys.
    pub first_key: u32,
    /// Its keys in this cluster.
    pub keys: u32,
    /// Whether it is delinquent: half of what it earns is the reserve's.
    pub delinquent: bool,
    /// Who it is and what it runs.
    pub labels: BTreeMap<Axis, String>,
}

/// A cluster, as other books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its numbers.
    pub size: ClusterSize,
    /// Its operators, in their order.
    pub seats: Vec<Seat>,
    /// What its operators have put up for it.
    pub pledge: Wei,
    /// Whose partial signatures its operators saw: verified to be theirs.
    pub statements: Statements,
}

/// What a report is decided by, besides what it says.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// How far the chain is.
    pub finalized: Finalized,
    /// The network.
    pub spec: &'a ChainSpec,
    /// What the book of money comes to with a report: all amounts are divided from what it says.
    pub money: &'a dyn Fn(&pool::Report) -> Result<pool::Settled, pool::Refusal>,
    /// All clusters that have, or had, validators.
    pub clusters: &'a BTreeMap<ClusterId, Cluster>,
    /// What operators owe for losses.
    pub owed: &'a BTreeMap<OperatorId, Wei>,
}

/// Amounts that may be gains or losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Net {
    /// So much more. Nothing is a gain of nothing.
    Gain(Wei),
    /// So much less.
    Loss(Wei),
}

impl Net {
    /// `plus - minus`.
    pub fn of(plus: Wei, minus: Wei) -> Self {
        match plus.0.checked_sub(minus.0) {
            Some(gain) => Self::Gain(Wei(gain)),
            None => Self::Loss(Wei(minus.0 - plus.0)),
        }
    }

    /// Gain and loss; one of them is nothing.
    pub fn sides(self) -> (Wei, Wei) {
        match self {
            Self::Gain(gain) => (gain, Wei::ZERO),
            Self::Loss(loss) => (Wei::ZERO, loss),
        }
    }
}

/// With its sign.
impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gain(gain) => write!(f, "+{gain}"),
            Self::Loss(loss) => write!(f, "-{loss}"),
        }
    }
}
