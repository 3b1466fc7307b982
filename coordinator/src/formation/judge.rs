//! Judges stated clusters by the rules alone. It shares no code with the search: it counts anew, one seat at a time, and
//! writes each number down from its definition.

use super::call::{Call, Candidate, Delegation};
use super::proposal::{Proposal, ProposedCluster};
use super::rule::{Check, Dimension, Rule};
use crate::formulas::{bonds, ratio::Ratio, wide};
use crate::text::Entity;
use alloy_primitives::U256;
use thiserror::Error;
use types::{Address, Root, Wei};

/// What is wrong with a proposal.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// It answers another call.
    #[error("the proposal is for call {have}, not {want}")]
    OtherCall {
        /// The call it names.
        have: Root,
        /// The call it is judged by.
        want: Root,
    },
    /// More clusters than wanted, or another number wanted, or fewer and nothing said about it.
    #[error(
        "{have} clusters where {stated} are said to be wanted and {wanted} are; told as a shortfall: {told}"
    )]
    Clusters {
        /// Clusters.
        have: usize,
        /// What the proposal says is wanted.
        stated: u32,
        /// What the call wants.
        wanted: u32,
        /// Whether it tells a shortfall.
        told: bool,
    },
    /// Not the rules' numbers, or not marked as what it is.
    #[error("cluster {cluster} of {have} operators is not of the kind called for")]
    Kind {
        /// Which, from 0.
        cluster: usize,
        /// Its operators.
        have: usize,
    },
    /// Somebody who is no candidate.
    #[error("operator {operator} is no candidate")]
    Unknown {
        /// Who.
        operator: Address,
    },
    /// A rule is broken.
    #[error("cluster {cluster} breaks a rule: {check}")]
    Broken {
        /// Which, from 0.
        cluster: usize,
        /// The rule and its numbers.
        check: Check,
    },
    /// Numbers that are others than stated.
    #[error("cluster {cluster} states other numbers than it has; the first that differs is number {at}")]
    Stated {
        /// Which, from 0.
        cluster: usize,
        /// The place in its list of checks, from 0.
        at: usize,
    },
    /// A candidate is neither in a cluster nor left, or is both or twice left.
    #[error("operator {operator} must be in a cluster or left, once")]
    Left {
        /// Who.
        operator: Address,
    },
}

impl Proposal {
    /// Whether every cluster keeps every rule, and states the numbers that it has. It does not say whether this is what the
    /// seed came to: see [`Self::verify`]. Cost: about the square of the seats.
    pub fn check(&self, call: &Call) -> Result<(), Fault> {
        let want = call.commitment();
        if self.commitment != want {
            return Err(Fault::OtherCall { have: self.commitment, want });
        }
        let (have, stated, wanted) = (self.clusters.len(), self.wanted, call.terms().demand);
        let told = self.shortfall.is_some();
        if stated != wanted || have > wanted as usize || told != (have < wanted as usize) {
            return Err(Fault::Clusters { have, stated, wanted, told });
        }
        for cluster in 0..have {
            judge(call, &self.clusters[..=cluster])?;
        }
        for candidate in &call.terms().candidates {
            let operator = candidate.operator;
            let seated = self.clusters.iter().any(|cluster| cluster.operators.contains(&operator));
            let left = self.left.iter().filter(|left| left.operator == operator).count();
            if left != usize::from(!seated) {
                return Err(Fault::Left { operator });
            }
        }
        let stranger = self.left.iter().find(|left| find(call, left.operator).is_none());
        stranger.map_or(Ok(()), |left| Err(Fault::Unknown { operator: left.operator }))
    }
}

fn find(call: &Call, operator: Address) -> Option<&Candidate> {
    call.terms().candidates.iter().find(|candidate| candidate.operator == operator)
}

/// Judges the last of these clusters; those before it were formed before.
fn judge(call: &Call, clusters: &[ProposedCluster]) -> Result<(), Fault> {
    let rules = &call.terms().rules;
    let (Some(last), Some(cluster)) = (clusters.last(), clusters.len().checked_sub(1)) else { return Ok(()) };
    let mut seated: Vec<Vec<&Candidate>> = Vec::new();
    for cluster in clusters {
        let member = |operator: &Address| find(call, *operator).ok_or(Fault::Unknown { operator: *operator });
        seated.push(cluster.operators.iter().map(member).collect::<Result<_, _>>()?);
    }
    let have = last.operators.len();
    let entity = seated[cluster].first().map(|first| first.entity.clone()).filter(|_| rules.intra_operator);
    let kind = (have, last.threshold, &last.one_entity, last.delegation);
    if kind != (usize::from(rules.operators), rules.threshold, &entity, rules.delegation) {
        return Err(Fault::Kind { cluster, have });
    }
    let checks = numbers(call, &seated);
    if let Some(check) = checks.iter().find(|check| check.have > check.limit) {
        return Err(Fault::Broken { cluster, check: check.clone() });
    }
    if checks != last.checks {
        let same = checks.iter().zip(&last.checks).take_while(|(one, other)| one == other).count();
        return Err(Fault::Stated { cluster, at: same });
    }
    Ok(())
}

/// Every rule of the last cluster, with its numbers.
pub(super) fn numbers(call: &Call, clusters: &[Vec<&Candidate>]) -> Vec<Check> {
    let Some(members) = clusters.last() else { return Vec::new() };
    let rules = &call.terms().rules;
    let (n, t) = (u64::from(rules.operators), u64::from(rules.threshold));
    let saturated = U256::from(call.terms().pool.total.0) / U256::from(rules.pools_wanted);
    let check = |rule, subject: String, have: U256, limit: U256| Check { rule, subject, have, limit };
    let values =
        |of: &dyn Fn(&Candidate) -> String| members.iter().map(|member| of(member)).collect::<Vec<_>>();

    let operators = values(&|member| member.operator.to_string());
    let entities = values(&|member| member.entity.to_string());
    let (operator, times) = fullest(&operators);
    let mut checks = vec![check(Rule::OperatorOnce, operator, U256::from(times), U256::ONE)];
    let (entity, times) = fullest(&entities);
    let mut different: Vec<&Entity> = Vec::new();
    for member in members {
        if different.iter().all(|known| **known != member.entity) {
            different.push(&member.entity);
        }
    }
    checks.push(match rules.intra_operator {
        true => check(Rule::OneEntity, entity, U256::from(different.len()), U256::ONE),
        false => check(Rule::EntityOnce, entity, U256::from(times), U256::ONE),
    });
    for dimension in Dimension::ALL {
        let Some(diversity) = rules.diversity.get(&dimension) else { continue };
        let (value, times) = fullest(&values(&|member| dimension.of(member)));
        let kinds = [
            (diversity.safety, Rule::Safety(dimension), t - 1),
            (diversity.liveness, Rule::Liveness(dimension), n - t),
        ];
        let asked = kinds.into_iter().filter(|(asked, ..)| *asked);
        checks.extend(
            asked.map(|(_, rule, most)| check(rule, value.clone(), U256::from(times), U256::from(most))),
        );
    }
    checks.push(check(Rule::ClusterSaturation, String::new(), U256::from(rules.stake.0), saturated));
    for member in members {
        let seats = clusters.iter().flatten().filter(|other| other.operator == member.operator).count();
        checks.extend(own(call, member, seats as u64));
    }
    for entity in different {
        let seats = clusters.iter().flatten().filter(|other| other.entity == *entity).count() as u64;
        let now = call.terms().pool.entities.get(entity).map_or(0, |stake| stake.0);
        let have = U256::from(now) + part(seats, n, U256::from(rules.stake.0));
        checks.push(check(Rule::EntitySaturation, entity.to_string(), have, saturated));
    }
    checks
}

/// The rules of an operator with `seats` seats.
fn own(call: &Call, member: &Candidate, seats: u64) -> Vec<Check> {
    let rules = &call.terms().rules;
    let subject = member.operator.to_string();
    let check = |rule, have, limit| Check { rule, subject: subject.clone(), have, limit };
    let clusters = u64::from(member.clusters_now) + seats;
    let held =
        U256::from(member.stake_now.0) + part(seats, u64::from(rules.operators), U256::from(rules.stake.0));
    let mut checks = vec![
        check(Rule::Clusters, U256::from(clusters), U256::from(member.clusters_max)),
        check(Rule::StakeCap, held, U256::from(member.stake_cap.0)),
    ];
    if rules.delegation == Delegation::Private {
        return checks;
    }
    if let Some(cap) = rules.leverage_max {
        let answers = U256::from(member.controlled_now.0)
            + part(seats, u64::from(rules.threshold), U256::from(rules.stake.0));
        let have = Wei(answers * wide::GWEI_WEI);
        let limit = wide::mul_div_floor(member.bond.0, cap.num(), cap.den()).unwrap_or(U256::MAX);
        let kept =
            have == Wei::ZERO || bonds::leverage(member.bond, have).is_ok_and(|leverage| leverage <= cap);
        assert!(kept == (have.0 <= limit), "an amount and a fraction say the same of {subject}");
        checks.push(check(Rule::Leverage, have.0, limit));
    }
    let keys = |seats: u64| u64::from(member.keys_now) + seats * u64::from(rules.keys);
    let asked = |seats: u64| {
        let keys = u32::try_from(keys(seats))
            .expect("fewer than 2^20 keys, and 10 000 for each of 64 times 22 seats");
        rules.operator_types.get(&member.operator_type).map_or(U256::ZERO, |curve| curve.required(keys).0)
    };
    checks.push(check(Rule::Bond, asked(seats) - asked(0), member.bond_free.0));
    checks
}

/// `seats` of `whole / of`, rounded up.
fn part(seats: u64, of: u64, whole: U256) -> U256 {
    let part = Ratio::of(seats, of).expect("a cluster has members");
    part.ceil_of(whole).expect("a stake of 64 bits for each of a few hundred seats")
}

/// The value that is there most often, the first by its letters of those that tie, and how often.
fn fullest(values: &[String]) -> (String, usize) {
    let mut best = (String::new(), 0);
    for value in values {
        let times = values.iter().filter(|other| *other == value).count();
        if times > best.1 || (times == best.1 && *value < best.0) {
            best = (value.clone(), times);
        }
    }
    best
}
