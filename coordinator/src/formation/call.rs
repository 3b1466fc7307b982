//! A call for clusters: who may be in them, by which rules, and which randomness will decide. It is published before that
//! randomness exists; its hash, the commitment, binds all of it.

use super::rule::{Dimension, Diversity};
use crate::canonical;
use crate::formulas::allocation::{ACTIVATION, COMPOUNDING_MAX};
use crate::formulas::{bonds::BondCurve, ratio::Ratio};
use crate::text::{Country, Entity, Label};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::operators::SizeError;
use types::{Address, ClusterSize, Epoch, Gwei, Root, Wei};

/// The most candidates of a call: the largest networks of operators have some hundreds; each step of the search looks at all.
pub const CANDIDATES_MAX: usize = 1024;
/// The most clusters of a call: each must be accepted by people and then hold a ceremony. More are formed by another call.
pub const DEMAND_MAX: u32 = 64;
/// The most validators of a cluster: the largest ceremony that is made.
pub const KEYS_MAX: u32 = 10_000;
/// The most keys of an operator: about as many validators as Ethereum has.
pub const KEYS_NOW_MAX: u32 = 1 << 20;
/// The most operator types: the field has a handful.
pub const TYPES_MAX: usize = 64;
/// The most entities: those of all candidates, and as many again and more that have no candidate.
pub const ENTITIES_MAX: usize = 4096;
/// The longest wait for the seed: a week of epochs. What a call says of operators is older than that afterwards.
pub const SEED_WAIT_MAX: u64 = 1575;

/// An operator that may be chosen, and what it has and holds when the call is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Its address: no two candidates share one.
    pub operator: Address,
    /// Who stands behind it.
    pub entity: Entity,
    /// Where its node stands.
    pub country: Country,
    /// The autonomous system its node is reached through.
    pub hosting_as: u32,
    /// Its execution client.
    pub execution_client: Label,
    /// Its consensus client.
    pub consensus_client: Label,
    /// Its validator client.
    pub validator_client: Label,
    /// One of [`Rules::operator_types`].
    pub operator_type: Label,
    /// Clusters it is in.
    pub clusters_now: u32,
    /// Clusters it may be in.
    pub clusters_max: u32,
    /// Keys it has a share of.
    pub keys_now: u32,
    /// Its part of the stake of its clusters: of each an `n`-th.
    pub stake_now: Gwei,
    /// What that part may come to.
    pub stake_cap: Gwei,
    /// What it answers for as one of the `t` who move a cluster's stake: of each cluster a `t`-th.
    pub controlled_now: Gwei,
    /// What it has put up.
    pub bond: Wei,
    /// What of that backs nothing yet.
    pub bond_free: Wei,
}

/// Who may delegate to the clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delegation {
    /// Anybody: operators answer for them with bonds.
    Public,
    /// Only delegators that the signed definition names: friends, a family, a treasury. No bond is asked for.
    Private,
}

/// What every cluster must keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// `n`.
    pub operators: u8,
    /// `t`: how many of them sign.
    pub threshold: u8,
    /// Validators of a cluster.
    pub keys: u32,
    /// What they hold together.
    pub stake: Gwei,
    /// `L`: how many times its bond an operator may answer for; at least 1. Without it there is no cap.
    pub leverage_max: Option<Ratio>,
    /// `k`: a cluster or an entity with a `k`-th of the pool's stake is saturated.
    pub pools_wanted: u32,
    /// By what operators of a cluster must differ, and how much.
    pub diversity: BTreeMap<Dimension, Diversity>,
    /// Whether a cluster is of one entity with many nodes, instead of as many entities as nodes.
    pub intra_operator: bool,
    /// Who may delegate.
    pub delegation: Delegation,
    /// What each type of operator puts up, by number of keys.
    pub operator_types: BTreeMap<Label, BondCurve>,
}

/// The pool's stake, by which saturation is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolStake {
    /// All of it: what is staked, and what waits for these clusters.
    pub total: Gwei,
    /// The parts of each entity's operators, whether they are candidates or not. Who is not here has none.
    pub entities: BTreeMap<Entity, Gwei>,
}

/// What a call says, before it is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// When the call is published.
    pub committed_at: Epoch,
    /// The epoch whose RANDAO decides.
    pub seed_epoch: Epoch,
    /// Clusters wanted.
    pub demand: u32,
    /// What they keep to.
    pub rules: Rules,
    /// The pool's stake.
    pub pool: PoolStake,
    /// Who may be chosen, in any order.
    pub candidates: Vec<Candidate>,
}

/// Why there is no such call.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CallError {
    /// Numbers that are no safe cluster.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// All must sign, so whatever a member has in any dimension could stop the cluster.
    #[error("{operators} of {operators} must sign, so no client, host or country may be used even once")]
    NoneMayFail {
        /// `n`, which is also `t`.
        operators: u8,
    },
    /// Too many of something, or none where some are needed.
    #[error("{have} {what}, there may be 1 to {most}")]
    Count {
        /// Of what.
        what: &'static str,
        /// Found.
        have: u64,
        /// Limit.
        most: u64,
    },
    /// Not what so many validators can hold.
    #[error("a stake of {stake} gwei for {keys} validators, each holds 32 to 2048 ETH")]
    StakeOfKeys {
        /// Stake of a cluster.
        stake: Gwei,
        /// Validators of a cluster.
        keys: u32,
    },
    /// No cluster of this stake can be below saturation.
    #[error("a cluster of {stake} gwei is saturated with {limit}, a {pools}-th of {total}")]
    ClusterSaturated {
        /// Stake of a cluster.
        stake: Gwei,
        /// What saturates.
        limit: Gwei,
        /// `k`.
        pools: u32,
        /// The pool's stake.
        total: Gwei,
    },
    /// A dimension that asks for nothing.
    #[error("diversity by {dimension} asks neither for safety nor for liveness")]
    IdleDiversity {
        /// Which.
        dimension: Dimension,
    },
    /// A cap that leaves an operator less than its own bond.
    #[error("a leverage of {cap} is less than 1")]
    LeverageBelowOne {
        /// The cap.
        cap: Ratio,
    },
    /// Randomness that could have been known when the list was made.
    #[error("the seed is of epoch {seed}, the call of epoch {committed}: the seed must be of a later one")]
    SeedNotLater {
        /// When the call is published.
        committed: Epoch,
        /// The epoch of the seed.
        seed: Epoch,
    },
    /// Randomness that is too long in coming.
    #[error("the seed is of epoch {seed}, the call of epoch {committed}: at most {SEED_WAIT_MAX} apart")]
    SeedTooLate {
        /// When the call is published.
        committed: Epoch,
        /// The epoch of the seed.
        seed: Epoch,
    },
    /// A candidate twice.
    #[error("operator {operator} is twice in the list")]
    Twice {
        /// Which.
        operator: Address,
    },
    /// A candidate of a type that the rules do not know.
    #[error("operator {operator} is of type {operator_type}, which the rules do not have")]
    UnknownType {
        /// Which.
        operator: Address,
        /// Its type.
        operator_type: Label,
    },
    /// More keys than there can be.
    #[error("operator {operator} has {have} keys, at most {KEYS_NOW_MAX}")]
    Keys {
        /// Which.
        operator: Address,
        /// Keys it has.
        have: u32,
    },
    /// A `t`-th that is less than an `n`-th.
    #[error("operator {operator} answers for {controlled} gwei, less than its part of {stake}")]
    Controlled {
        /// Which.
        operator: Address,
        /// What it answers for.
        controlled: Gwei,
        /// Its part of the stake.
        stake: Gwei,
    },
    /// More free than there is.
    #[error("of the bond of operator {operator}, {bond} wei, {free} are said to be free")]
    FreeBond {
        /// Which.
        operator: Address,
        /// Its bond.
        bond: Wei,
        /// What of it is free.
        free: Wei,
    },
    /// Operators of an entity that have more than the entity.
    #[error("candidates of entity {entity} have {candidates} gwei, the entity {stated}")]
    EntityStake {
        /// Which.
        entity: Entity,
        /// What its candidates have together.
        candidates: u128,
        /// What the pool says it has.
        stated: Gwei,
    },
}

/// A call that can be answered: its terms make sense, its candidates are sorted by address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Terms", into = "Terms")]
pub struct Call {
    terms: Terms,
    size: ClusterSize,
}

impl Call {
    /// Checks terms and sorts their candidates. Errors: see [`CallError`].
    pub fn new(mut terms: Terms) -> Result<Self, CallError> {
        let size = check_rules(&terms.rules, terms.pool.total)?;
        count("clusters", u64::from(terms.demand), u64::from(DEMAND_MAX))?;
        count("candidates", terms.candidates.len() as u64, CANDIDATES_MAX as u64)?;
        let (committed, seed) = (terms.committed_at, terms.seed_epoch);
        match seed.0.checked_sub(committed.0) {
            None | Some(0) => return Err(CallError::SeedNotLater { committed, seed }),
            Some(wait) if wait > SEED_WAIT_MAX => return Err(CallError::SeedTooLate { committed, seed }),
            Some(_) => (),
        }
        terms.candidates.sort_by_key(|candidate| candidate.operator);
        if let Some(pair) = terms.candidates.windows(2).find(|pair| pair[0].operator == pair[1].operator) {
            return Err(CallError::Twice { operator: pair[0].operator });
        }
        for candidate in &terms.candidates {
            check_candidate(candidate, &terms.rules)?;
        }
        check_entities(&terms)?;
        Ok(Self { terms, size })
    }

    /// What was called for; its candidates are sorted.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// `n` and `t`.
    pub fn size(&self) -> ClusterSize {
        self.size
    }

    /// The call's canonical bytes: what is published.
    pub fn bytes(&self) -> Vec<u8> {
        canonical::bytes(self)
    }

    /// The commitment: SHA-256 of [`Self::bytes`]. It binds the list, the rules, the demand and the seed's epoch.
    pub fn commitment(&self) -> Root {
        canonical::hash(self)
    }

    /// What an entity has at the time of the call.
    pub(super) fn entity_now(&self, entity: &Entity) -> Gwei {
        self.terms.pool.entities.get(entity).copied().unwrap_or_default()
    }
}

impl TryFrom<Terms> for Call {
    type Error = CallError;
    fn try_from(terms: Terms) -> Result<Self, CallError> {
        Self::new(terms)
    }
}

impl From<Call> for Terms {
    fn from(call: Call) -> Self {
        call.terms
    }
}

fn count(what: &'static str, have: u64, most: u64) -> Result<(), CallError> {
    if (1..=most).contains(&have) { Ok(()) } else { Err(CallError::Count { what, have, most }) }
}

fn check_rules(rules: &Rules, total: Gwei) -> Result<ClusterSize, CallError> {
    let size = ClusterSize::new_safe(rules.operators.into(), rules.threshold.into())?;
    let lives = rules.diversity.values().any(|diversity| diversity.liveness);
    if rules.threshold == rules.operators && lives {
        return Err(CallError::NoneMayFail { operators: rules.operators });
    }
    let idle = |diversity: &Diversity| !diversity.safety && !diversity.liveness;
    if let Some((dimension, _)) = rules.diversity.iter().find(|(_, diversity)| idle(diversity)) {
        return Err(CallError::IdleDiversity { dimension: *dimension });
    }
    count("validators", u64::from(rules.keys), u64::from(KEYS_MAX))?;
    count("pools wanted", u64::from(rules.pools_wanted), u64::from(u32::MAX))?;
    count("operator types", rules.operator_types.len() as u64, TYPES_MAX as u64)?;
    let (stake, keys) = (rules.stake, rules.keys);
    let each = |amount: Gwei| u128::from(amount.0) * u128::from(keys);
    if !(each(ACTIVATION)..=each(COMPOUNDING_MAX)).contains(&u128::from(stake.0)) {
        return Err(CallError::StakeOfKeys { stake, keys });
    }
    let (pools, limit) = (rules.pools_wanted, Gwei(total.0 / u64::from(rules.pools_wanted)));
    if stake > limit {
        return Err(CallError::ClusterSaturated { stake, limit, pools, total });
    }
    match rules.leverage_max.filter(|cap| *cap < Ratio::ONE) {
        Some(cap) => Err(CallError::LeverageBelowOne { cap }),
        None => Ok(size),
    }
}

fn check_candidate(candidate: &Candidate, rules: &Rules) -> Result<(), CallError> {
    let operator = candidate.operator;
    if !rules.operator_types.contains_key(&candidate.operator_type) {
        let operator_type = candidate.operator_type.clone();
        return Err(CallError::UnknownType { operator, operator_type });
    }
    if candidate.keys_now > KEYS_NOW_MAX {
        return Err(CallError::Keys { operator, have: candidate.keys_now });
    }
    let (controlled, stake) = (candidate.controlled_now, candidate.stake_now);
    if controlled < stake {
        return Err(CallError::Controlled { operator, controlled, stake });
    }
    let (bond, free) = (candidate.bond, candidate.bond_free);
    if free > bond { Err(CallError::FreeBond { operator, bond, free }) } else { Ok(()) }
}

fn check_entities(terms: &Terms) -> Result<(), CallError> {
    let have = terms.pool.entities.len();
    if have > ENTITIES_MAX {
        return Err(CallError::Count { what: "entities", have: have as u64, most: ENTITIES_MAX as u64 });
    }
    let mut sums = BTreeMap::<&Entity, u128>::new();
    for candidate in &terms.candidates {
        *sums.entry(&candidate.entity).or_default() += u128::from(candidate.stake_now.0);
    }
    for (entity, candidates) in sums {
        let stated = terms.pool.entities.get(entity).copied().unwrap_or_default();
        if candidates > u128::from(stated.0) {
            return Err(CallError::EntityStake { entity: entity.clone(), candidates, stated });
        }
    }
    Ok(())
}
