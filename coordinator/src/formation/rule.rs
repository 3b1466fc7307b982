//! The rules of a cluster, each as a number that must not be above another.

use super::call::{Call, Candidate, Delegation};
use crate::formulas::decimal;
use crate::formulas::wide;
use crate::text::Entity;
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use types::{ClusterSize, Gwei, Wei};

/// By what operators of a cluster differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The program that follows the execution chain.
    ExecutionClient,
    /// The program that follows the beacon chain.
    ConsensusClient,
    /// The program that holds the keystores.
    ValidatorClient,
    /// The autonomous system of the host.
    HostingAs,
    /// The country of the host.
    Country,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ExecutionClient, Self::ConsensusClient, Self::ValidatorClient, Self::HostingAs, Self::Country];

    /// What a candidate has there.
    pub fn of(self, candidate: &Candidate) -> String {
        match self {
            Self::ExecutionClient => candidate.execution_client.to_string(),
            Self::ConsensusClient => candidate.consensus_client.to_string(),
            Self::ValidatorClient => candidate.validator_client.to_string(),
            Self::HostingAs => format!("AS{}", candidate.hosting_as),
            Self::Country => candidate.country.to_string(),
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExecutionClient => "execution client",
            Self::ConsensusClient => "consensus client",
            Self::ValidatorClient => "validator client",
            Self::HostingAs => "hosting network",
            Self::Country => "country",
        })
    }
}

/// How many members of a cluster may be alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diversity {
    /// Fewer than `t`: those who are alike cannot sign alone.
    pub safety: bool,
    /// At most `n - t`: without those who are alike the others still can.
    pub liveness: bool,
}

impl Diversity {
    /// How many members may be alike: the tighter of the two, where both are asked for.
    ///
    /// The second is the tighter one of every safe size: `2t > n`, so `n - t <= t - 1`. With `n = 3f + 1`, `t = 2f + 1` it
    /// is `f`, against `2f` of the first.
    pub fn limit(self, size: ClusterSize) -> usize {
        let below = if self.safety { size.threshold() - 1 } else { size.operators() };
        let rest = if self.liveness { size.operators() - size.threshold() } else { size.operators() };
        below.min(rest)
    }

    /// The rule that is the tighter of the two.
    pub(super) fn rule(self, dimension: Dimension) -> Rule {
        if self.liveness { Rule::Liveness(dimension) } else { Rule::Safety(dimension) }
    }
}

/// What a cluster must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// No operator has two seats: the most seats of one, at most 1.
    OperatorOnce,
    /// No entity has two seats: the most seats of one, at most 1.
    EntityOnce,
    /// All are of one entity, where the pool wants that: entities, at most 1.
    OneEntity,
    /// Nothing that many have in common can sign: most members with one value, at most `t - 1`.
    Safety(Dimension),
    /// Whatever many have in common can fail: most members with one value, at most `n - t`.
    Liveness(Dimension),
    /// Clusters of an operator, this one included.
    Clusters,
    /// An operator's part of the stake, in gwei: of each cluster an `n`-th.
    StakeCap,
    /// What an operator answers for, in wei: of each cluster a `t`-th; at most `L` times its bond.
    ///
    /// Because `t` members answer for all of a cluster's stake, no `t` of them have together put up less than an `L`-th of
    /// it: the cap on each is a cap on every coalition that can sign.
    Leverage,
    /// What the operator's type asks for its new keys, in wei; at most its free bond.
    Bond,
    /// An entity's part of the stake, in gwei; at most a `k`-th of the pool's.
    EntitySaturation,
    /// The cluster's stake, in gwei; at most a `k`-th of the pool's.
    ClusterSaturation,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OperatorOnce => f.write_str("one seat for an operator"),
            Self::EntityOnce => f.write_str("one seat for an entity"),
            Self::OneEntity => f.write_str("one entity"),
            Self::Safety(dimension) => write!(f, "safety by {dimension}"),
            Self::Liveness(dimension) => write!(f, "liveness by {dimension}"),
            Self::Clusters => f.write_str("clusters of an operator"),
            Self::StakeCap => f.write_str("stake of an operator"),
            Self::Leverage => f.write_str("leverage"),
            Self::Bond => f.write_str("free bond"),
            Self::EntitySaturation => f.write_str("saturation of an entity"),
            Self::ClusterSaturation => f.write_str("saturation of a cluster"),
        }
    }
}

/// A rule with its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Which.
    pub rule: Rule,
    /// About whom or what: an operator, an entity, the value that most members have; nothing for the cluster itself.
    pub subject: String,
    /// The number found, in the rule's unit.
    #[serde(with = "decimal")]
    pub have: U256,
    /// The number allowed.
    #[serde(with = "decimal")]
    pub limit: U256,
}

impl Check {
    /// Whether the rule is kept.
    pub fn holds(&self) -> bool {
        self.have <= self.limit
    }

    fn new(rule: Rule, subject: impl fmt::Display, have: U256, limit: U256) -> Self {
        Self { rule, subject: subject.to_string(), have, limit }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, subject, have, limit } = self;
        let about = if subject.is_empty() { String::new() } else { format!(" of {subject}") };
        write!(f, "{rule}{about}: {have}, at most {limit}")
    }
}

/// `count` parts of a stake that is cut into `of`, in gwei, rounded up once for all of them.
fn parts(stake: Gwei, count: u32, of: usize) -> U256 {
    let whole = U256::from(stake.0) * U256::from(count);
    whole.div_ceil(U256::from(of))
}

/// The rules of one operator that has got `seats` seats. Each number only grows with the seats.
pub(super) fn operator_checks(call: &Call, candidate: &Candidate, seats: u32) -> Vec<Check> {
    let (rules, size) = (&call.terms().rules, call.size());
    let operator = candidate.operator;
    let clusters = U256::from(candidate.clusters_now) + U256::from(seats);
    let stake = U256::from(candidate.stake_now.0) + parts(rules.stake, seats, size.operators());
    let mut checks = vec![
        Check::new(Rule::Clusters, operator, clusters, U256::from(candidate.clusters_max)),
        Check::new(Rule::StakeCap, operator, stake, U256::from(candidate.stake_cap.0)),
    ];
    match rules.delegation {
        Delegation::Private => return checks,
        Delegation::Public => (),
    }
    if let Some(cap) = rules.leverage_max {
        let gwei = U256::from(candidate.controlled_now.0) + parts(rules.stake, seats, size.threshold());
        // A limit of more than 256 bits is more than any stake has.
        let limit = cap.floor_of(candidate.bond.0).unwrap_or(U256::MAX);
        checks.push(Check::new(Rule::Leverage, operator, gwei * wide::GWEI_WEI, limit));
    }
    // Keys are fewer than 2^20 + 64 * 10_000; a call knows the types of its candidates.
    let curve = &rules.operator_types[&candidate.operator_type];
    let more =
        curve.required(candidate.keys_now + seats * rules.keys).0 - curve.required(candidate.keys_now).0;
    let Wei(free) = candidate.bond_free;
    checks.push(Check::new(Rule::Bond, operator, more, free));
    checks
}

/// The rule of an entity whose operators have got `seats` seats together.
pub(super) fn entity_check(call: &Call, entity: &Entity, seats: u32) -> Check {
    let rules = &call.terms().rules;
    let stake = U256::from(call.entity_now(entity).0) + parts(rules.stake, seats, call.size().operators());
    Check::new(Rule::EntitySaturation, entity, stake, saturated(call))
}

/// What saturates a cluster or an entity, in gwei, rounded down.
fn saturated(call: &Call) -> U256 {
    U256::from(call.terms().pool.total.0 / u64::from(call.terms().rules.pools_wanted))
}

/// The rules that look at a cluster alone: who is in it, what they have in common, how large it is.
pub(super) fn cluster_checks(call: &Call, members: &[&Candidate]) -> Vec<Check> {
    let (rules, size) = (&call.terms().rules, call.size());
    let one = U256::ONE;
    let entities = most_common(members.iter().map(|member| member.entity.to_string()));
    let (operator, seats) = most_common(members.iter().map(|member| member.operator.to_string())).most;
    let mut checks = vec![Check::new(Rule::OperatorOnce, operator, seats, one)];
    let (entity, seats) = entities.most;
    checks.push(if rules.intra_operator {
        Check::new(Rule::OneEntity, entity, entities.different, one)
    } else {
        Check::new(Rule::EntityOnce, entity, seats, one)
    });
    for (dimension, diversity) in &rules.diversity {
        let (value, have) = most_common(members.iter().map(|member| dimension.of(member))).most;
        let spared = U256::from(size.operators() - size.threshold());
        if diversity.safety {
            let below = U256::from(size.threshold() - 1);
            checks.push(Check::new(Rule::Safety(*dimension), &value, have, below));
        }
        if diversity.liveness {
            checks.push(Check::new(Rule::Liveness(*dimension), &value, have, spared));
        }
    }
    checks.push(Check::new(Rule::ClusterSaturation, "", U256::from(rules.stake.0), saturated(call)));
    checks
}

/// What most of a list are.
struct Common {
    /// The value that comes up most, the first of those that tie; and how often.
    most: (String, U256),
    /// How many different ones there are.
    different: U256,
}

fn most_common(values: impl Iterator<Item = String>) -> Common {
    let mut counts = BTreeMap::<String, u32>::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let different = U256::from(counts.len());
    let more = |best: (String, u32), next: (String, u32)| if next.1 > best.1 { next } else { best };
    let (value, count) = counts.into_iter().fold((String::new(), 0), more);
    Common { most: (value, U256::from(count)), different }
}
