//! What the book is told and asked, by which rules, and what comes of it.

use crate::formulas::exits::{Candidate, Liquidity};
use crate::formulas::wide::WideError;
use crate::ledger::incidents::Place;
use crate::ledger::operators::OperatorId;
use crate::ledger::policy;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{
    ChainSpec, ClusterId, ClusterSize, Epoch, Generation, Gwei, PublicKey, Root, Signature, ValidatorIndex,
    ValidatorStatus,
};

/// Why a validator exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Withdrawals need its ETH.
    Demand,
    /// Its cluster did too little for too long.
    Strikes,
    /// Governance wants it.
    Governance,
    /// Nobody asked: `t` of its operators wanted it.
    Own,
    /// It was slashed.
    Slashed,
}

/// A validator's exit, as a finalized state has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenExit {
    /// When it has no more duties.
    pub exit: Epoch,
    /// When its balance can be withdrawn.
    pub withdrawable: Epoch,
    /// How it does.
    pub status: ValidatorStatus,
    /// Whether it was slashed.
    pub slashed: bool,
}

/// What the book is told, and what it is asked. Who may ask is decided before: `operator` signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Ask for the exits of clusters that end, and for as many others as withdrawals need.
    Plan,
    /// Ask for one.
    Ask {
        /// Of which validator.
        validator: ValidatorIndex,
        /// Why: strikes or governance.
        why: Why,
    },
    /// An operator signs an exit that was asked for.
    Partial {
        /// Who.
        operator: OperatorId,
        /// Its place in the cluster.
        place: Place,
        /// Of which validator.
        validator: ValidatorIndex,
        /// With its share of which sharing.
        generation: Generation,
        /// Over the exit's signing root.
        signature: Signature,
    },
    /// The signed exit was given to a beacon node.
    Broadcast {
        /// Of which validator.
        validator: ValidatorIndex,
    },
    /// The pool's withdrawal address was seen to ask the chain for the exit (EIP-7002).
    Triggered {
        /// Of which validator.
        validator: ValidatorIndex,
        /// The transaction. The chain ignores a request that it does not like without a word.
        tx: Root,
    },
    /// What a finalized state says of validators that exit. That it is later than the last is told before.
    Look {
        /// The state's epoch.
        epoch: Epoch,
        /// Those that have an exit epoch.
        validators: BTreeMap<ValidatorIndex, SeenExit>,
    },
    /// Say who is late.
    Review,
}

/// A validator that has been activated, as other books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Its key.
    pub pubkey: PublicKey,
    /// Whose.
    pub cluster: ClusterId,
    /// When it got duties.
    pub activation: Epoch,
    /// What it has: what its exit brings.
    pub balance: Gwei,
    /// The public shares of its key, by the operators' places, of the cluster's generation.
    pub shares: Vec<PublicKey>,
}

/// A cluster, as other books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its numbers.
    pub size: ClusterSize,
    /// Which sharing of its keys its operators have.
    pub generation: Generation,
    /// Its operators, in their order.
    pub operators: Vec<OperatorId>,
}

/// A validator that has been activated, as a plan is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staked {
    /// Which, whose, and what its exit brings.
    pub candidate: Candidate,
    /// When it got duties.
    pub activation: Epoch,
}

/// Where a cluster stands among those that are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The kind of operators it has, a number of the policy's table.
    pub kind: u32,
    /// Validators above a target that the pool enforces.
    pub over_forced: u32,
    /// Validators above a target that it wishes for.
    pub over_soft: u32,
    /// If all of its validators are to exit: why.
    pub ends: Option<Why>,
}

/// All that a plan chooses from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// All validators that have been activated.
    pub staked: Vec<Staked>,
    /// All clusters that have some.
    pub clusters: BTreeMap<ClusterId, Standing>,
    /// By kind of operators, the stake above the kind's share.
    pub over_share: BTreeMap<u32, Gwei>,
    /// What withdrawals wait for, what is there, and what rewards will bring until exits would; not what is exiting.
    pub liquidity: Liquidity,
}

/// What policy, chain and the other books say when a command is decided. What is asked of one validator costs no other.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The last finalized epoch.
    pub finalized: Epoch,
    /// The network.
    pub spec: &'a ChainSpec,
    /// What becomes of those who are late.
    pub terms: policy::Exits,
    /// A validator that has been activated.
    pub validator: &'a dyn Fn(ValidatorIndex) -> Option<Validator>,
    /// A cluster.
    pub cluster: &'a dyn Fn(ClusterId) -> Option<Cluster>,
    /// What a plan chooses from. Only a plan asks.
    pub whole: &'a dyn Fn() -> Result<Whole, WideError>,
}

/// An exit that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Of which validator.
    pub validator: ValidatorIndex,
    /// Its key.
    pub pubkey: PublicKey,
    /// Whose.
    pub cluster: ClusterId,
    /// Why.
    pub why: Why,
    /// The epoch that is signed, so that all sign the same: the last finalized one, so the exit is valid at once.
    pub epoch: Epoch,
    /// When, in seconds since 1970.
    pub at: u64,
    /// From then on it is delayed.
    pub delayed_at: u64,
    /// From then on its operators are delinquent.
    pub deadline: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// An exit is asked for; or, where nobody asked, it was found on the chain.
    Asked(Asked),
    /// An operator has signed; its signature is verified.
    Contributed {
        /// Of which validator.
        validator: ValidatorIndex,
        /// Which sharing: signatures of an older one do not count any more.
        generation: Generation,
        /// Whose place.
        place: Place,
        /// The signature.
        signature: Signature,
    },
    /// The exit is signed by the validator's key, and verified: it can be given to any beacon node.
    Signed {
        /// Of which validator.
        validator: ValidatorIndex,
        /// The signature.
        signature: Signature,
    },
    /// It was given to one.
    Broadcast {
        /// Of which validator.
        validator: ValidatorIndex,
    },
    /// The withdrawal address has asked the chain for it.
    Triggered {
        /// Of which validator.
        validator: ValidatorIndex,
        /// The transaction.
        tx: Root,
    },
    /// The chain has the exit.
    Seen {
        /// Of which validator.
        validator: ValidatorIndex,
        /// When it has no more duties.
        exit: Epoch,
        /// When its balance can be withdrawn.
        withdrawable: Epoch,
        /// Until when those who were delinquent for it stay so, in seconds since 1970.
        cooled_at: u64,
    },
    /// It has no more duties.
    Exited {
        /// Which validator.
        validator: ValidatorIndex,
    },
    /// Its balance is withdrawn.
    Withdrawn {
        /// Which validator.
        validator: ValidatorIndex,
    },
    /// It is not signed, and it is late.
    Delayed {
        /// Of which validator.
        validator: ValidatorIndex,
    },
    /// It is not signed, and those whose signature is missing get no stake and half the rewards. A strike for each.
    Delinquent {
        /// Of which validator.
        validator: ValidatorIndex,
        /// Who.
        missing: BTreeSet<OperatorId>,
    },
}
