//! What a call came to: clusters with the numbers of every rule, who was left out and why, and why there are no more.

use super::board::{Board, ENTITIES, Lack, OPERATORS};
use super::call::{Call, Candidate, Delegation};
use super::rule::{self, Check, Rule};
use super::search::{self, Found, STEPS_MAX, Short};
use super::{Seed, shuffle};
use crate::canonical::{self, CanonicalError};
use crate::text::Entity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{Address, Epoch, Root};

/// The most bytes of a proposal that are read: sixty-four clusters of twenty-two operators with every check take less than
/// 2 MiB.
pub const BYTES_MAX: usize = 4 << 20;

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposedCluster {
    /// Its operators; the first has share 1.
    pub operators: Vec<Address>,
    /// How many of them sign.
    pub threshold: u8,
    /// Whose nodes these all are, if they are of one entity.
    pub one_entity: Option<Entity>,
    /// Who may delegate to it.
    pub delegation: Delegation,
    /// Every rule with its numbers, as they are when this cluster and those before it are formed.
    pub checks: Vec<Check>,
}

/// A candidate without a seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Which.
    pub operator: Address,
    /// Why.
    pub why: Why,
}

/// Why a candidate has no seat.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// With a seat it, or its entity, would break a rule: the first, with its numbers.
    #[error("{0}")]
    Barred(Check),
    /// It could have had one, but in no cluster that was formed: it stood further back.
    #[error("not drawn")]
    NotDrawn,
}

/// How many operators a rule keeps from more seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limiting {
    /// The rule.
    pub rule: Rule,
    /// Operators.
    pub operators: u32,
}

/// Why fewer clusters were formed than wanted: what one more would have needed.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shortfall {
    /// Operators have not enough room.
    #[error(
        "{candidates} candidates have room for {filled} of the {seats} seats in {} of {size}{}",
        many(*clusters), in_words(limiting)
    )]
    Seats {
        /// Candidates.
        candidates: u32,
        /// Seats that they can fill.
        filled: u64,
        /// Seats that there would be.
        seats: u64,
        /// Clusters.
        clusters: u32,
        /// `n`.
        size: u8,
        /// What keeps operators from more seats, the most frequent first.
        limiting: Vec<Limiting>,
    },
    /// Too many candidates have something in common.
    #[error(
        "{} {value} is held by {holders} of {candidates} candidates; a cluster of {size} takes {per_cluster}: of the \
         {seats} seats in {} {filled} can be filled", what(*rule), many(*clusters)
    )]
    Alike {
        /// The rule.
        rule: Rule,
        /// What most have in common, for the seats they could fill.
        value: String,
        /// Candidates with room that have it.
        holders: u32,
        /// Candidates with room.
        candidates: u32,
        /// How many of them a cluster takes.
        per_cluster: u32,
        /// `n`.
        size: u8,
        /// Clusters.
        clusters: u32,
        /// Seats that there would be.
        seats: u64,
        /// Seats that can be filled.
        filled: u64,
    },
    /// Entities near saturation have not enough room.
    #[error(
        "{check}; so entity {entity} takes {room} seats, its operators have room for {wide}: of the {seats} seats in \
         {} {filled} can be filled", many(*clusters)
    )]
    Saturated {
        /// The entity that saturation costs the most seats.
        entity: String,
        /// The rule with one seat more.
        check: Check,
        /// Seats that it may get.
        room: u32,
        /// Seats that its operators have room for.
        wide: u32,
        /// Clusters.
        clusters: u32,
        /// Seats that there would be.
        seats: u64,
        /// Seats that can be filled.
        filled: u64,
    },
    /// No entity has enough nodes for a cluster alone.
    #[error(
        "{entities} entities have nodes for {filled} seats in clusters of {size} that are of one entity; the most, \
         {room}, has {entity}"
    )]
    Alone {
        /// Entities.
        entities: u32,
        /// The one that has room for most seats.
        entity: String,
        /// How many.
        room: u32,
        /// `n`.
        size: u8,
        /// Seats that can be filled, in whole clusters.
        filled: u64,
    },
    /// No rule alone, but all together.
    #[error(
        "every arrangement of {} was tried and none keeps every rule; most often, {times} times, {rule} stood in the \
         way", many(*clusters)
    )]
    Together {
        /// Clusters.
        clusters: u32,
        /// The rule that refused most.
        rule: Rule,
        /// How often.
        times: u64,
    },
    /// The search was given up: more clusters may be possible.
    #[error(
        "the search was given up after {steps} steps with {}, more may be possible; most often, {times} times, {rule} \
         stood in the way", many(*formed)
    )]
    Steps {
        /// The limit.
        steps: u32,
        /// What was found.
        formed: u32,
        /// The rule that refused most.
        rule: Rule,
        /// How often.
        times: u64,
    },
}

fn many(clusters: u32) -> String {
    if clusters == 1 { "1 cluster".to_owned() } else { format!("{clusters} clusters") }
}

fn in_words(limiting: &[Limiting]) -> String {
    let words = limiting
        .iter()
        .map(|limiting| format!("; {} of them are limited by {}", limiting.operators, limiting.rule));
    words.collect()
}

fn what(rule: Rule) -> String {
    match rule {
        Rule::Safety(dimension) | Rule::Liveness(dimension) => dimension.to_string(),
        Rule::EntityOnce | Rule::OneEntity | Rule::EntitySaturation => "entity".to_owned(),
        Rule::OperatorOnce
        | Rule::Clusters
        | Rule::StakeCap
        | Rule::Leverage
        | Rule::Bond
        | Rule::ClusterSaturation => "operator".to_owned(),
    }
}

/// Why a call is not answered.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FormError {
    /// Another epoch's randomness.
    #[error("a seed of epoch {have}, the call says {want}")]
    SeedEpoch {
        /// The seed's.
        have: Epoch,
        /// The call's.
        want: Epoch,
    },
}

/// Why a proposal is not what the call and the seed come to.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum VerifyError {
    /// They come to nothing.
    #[error(transparent)]
    Form(#[from] FormError),
    /// A cluster is another.
    #[error("cluster {number} is another")]
    Cluster {
        /// The first that differs, from 0.
        number: usize,
    },
    /// Something else is.
    #[error("{what} differs")]
    Differs {
        /// The first that does.
        what: &'static str,
    },
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The call.
    pub commitment: Root,
    /// What decided.
    pub seed: Seed,
    /// Clusters wanted.
    pub wanted: u32,
    /// Clusters formed.
    pub clusters: Vec<ProposedCluster>,
    /// Candidates without a seat, in the order drawn.
    pub left: Vec<Left>,
    /// Why there are no more clusters, if more were wanted.
    pub shortfall: Option<Shortfall>,
}

impl ProposedCluster {
    /// A cluster of exactly these candidates, chosen by somebody instead of the lot: every rule holds all the same.
    ///
    /// - `call`: of which nobody but these is a candidate, in any order. `members`: their order in the cluster.
    /// - Errors: the first rule that does not hold, with its numbers.
    pub fn by_hand(call: &Call, members: &[Address]) -> Result<Self, Check> {
        let candidates = &call.terms().candidates;
        let of = |id: &Address| candidates.iter().find(|candidate| candidate.operator == *id);
        let members: Vec<&Candidate> = members.iter().filter_map(of).collect();
        Seats::default().cluster(call, &members)
    }
}

impl Proposal {
    /// Forms clusters. The same call and seed always give the same proposal.
    ///
    /// Errors: a seed of another epoch than the call's. That too few clusters can be formed is no error, but the proposal's
    /// [`Shortfall`]. Cost: at most [`STEPS_MAX`] steps of the search.
    pub fn form(call: &Call, seed: Seed) -> Result<Self, FormError> {
        let want = call.terms().seed_epoch;
        if seed.epoch != want {
            return Err(FormError::SeedEpoch { have: seed.epoch, want });
        }
        let commitment = call.commitment();
        let candidates = &call.terms().candidates;
        let order = shuffle::order(candidates.len(), seed.mix, commitment);
        let drawn: Vec<&Candidate> = order.into_iter().map(|at| &candidates[at]).collect();
        let Found { clusters, short } = search::form(call, &drawn, STEPS_MAX);
        let members: Vec<Vec<&Candidate>> =
            clusters.iter().map(|members| members.iter().map(|at| drawn[*at]).collect()).collect();
        let mut seats = Seats::default();
        Ok(Self {
            commitment,
            seed,
            wanted: call.terms().demand,
            clusters: members.iter().map(|members| seats.cluster(call, members).expect(KEPT)).collect(),
            left: drawn.iter().filter_map(|candidate| seats.left(call, candidate)).collect(),
            shortfall: short.map(|short| shortfall(call, &drawn, clusters.len(), short)),
        })
    }

    /// Forms them again and compares. Errors: what differs first.
    pub fn verify(&self, call: &Call, seed: Seed) -> Result<(), VerifyError> {
        let again = Self::form(call, seed)?;
        let Self { commitment, seed, wanted, clusters, left, shortfall } = self;
        let differs = |what| Err(VerifyError::Differs { what });
        if *commitment != again.commitment {
            return differs("the commitment");
        }
        if *seed != again.seed {
            return differs("the seed");
        }
        if *wanted != again.wanted || clusters.len() != again.clusters.len() {
            return differs("the number of clusters");
        }
        if let Some(number) = (0..clusters.len()).find(|at| clusters[*at] != again.clusters[*at]) {
            return Err(VerifyError::Cluster { number });
        }
        if *left != again.left {
            return differs("who is left");
        }
        if *shortfall != again.shortfall { differs("the shortfall") } else { Ok(()) }
    }

    /// The canonical bytes.
    pub fn bytes(&self) -> Vec<u8> {
        canonical::bytes(self)
    }

    /// SHA-256 of [`Self::bytes`]: the proposal's name.
    pub fn hash(&self) -> Root {
        canonical::hash(self)
    }

    /// Reads [`Self::bytes`]. It may say anything: see [`Self::verify`] and [`Self::check`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CanonicalError> {
        canonical::read_at_most(bytes, BYTES_MAX)
    }
}

/// Why no cluster of a formation breaks a rule.
const KEPT: &str = "the search keeps to every rule";

/// Seats given so far.
#[derive(Default)]
struct Seats<'a> {
    operators: BTreeMap<Address, u32>,
    entities: BTreeMap<&'a Entity, u32>,
}

impl<'a> Seats<'a> {
    fn cluster(&mut self, call: &Call, members: &[&'a Candidate]) -> Result<ProposedCluster, Check> {
        let rules = &call.terms().rules;
        let mut checks = rule::cluster_checks(call, members);
        let mut entities: Vec<&Entity> = Vec::new();
        for member in members {
            *self.operators.entry(member.operator).or_default() += 1;
            *self.entities.entry(&member.entity).or_default() += 1;
            if !entities.contains(&&member.entity) {
                entities.push(&member.entity);
            }
        }
        for member in members {
            checks.extend(rule::operator_checks(call, member, self.operators[&member.operator]));
        }
        checks.extend(entities.iter().map(|entity| rule::entity_check(call, entity, self.entities[entity])));
        if let Some(broken) = checks.iter().find(|check| !check.holds()) {
            return Err(broken.clone());
        }
        Ok(ProposedCluster {
            operators: members.iter().map(|member| member.operator).collect(),
            threshold: rules.threshold,
            one_entity: entities.first().filter(|_| rules.intra_operator).map(|entity| (*entity).clone()),
            delegation: rules.delegation,
            checks,
        })
    }

    fn left(&self, call: &Call, candidate: &Candidate) -> Option<Left> {
        let operator = candidate.operator;
        if self.operators.contains_key(&operator) {
            return None;
        }
        let entity = self.entities.get(&candidate.entity).copied().unwrap_or_default();
        let mut checks = rule::operator_checks(call, candidate, 1);
        checks.push(rule::entity_check(call, &candidate.entity, entity + 1));
        let broken = checks.into_iter().find(|check| !check.holds());
        Some(Left { operator, why: broken.map_or(Why::NotDrawn, Why::Barred) })
    }
}

fn shortfall(call: &Call, drawn: &[&Candidate], formed: usize, short: Short) -> Shortfall {
    // At most 64.
    let formed = formed as u32;
    match short {
        Short::Counted(board, lack) => counted(call, drawn, &board, lack, formed + 1),
        Short::Tried(rule, times) => Shortfall::Together { clusters: formed + 1, rule, times },
        Short::Steps(rule, times) => Shortfall::Steps { steps: STEPS_MAX, formed, rule, times },
    }
}

fn counted(call: &Call, drawn: &[&Candidate], board: &Board, lack: Lack, clusters: u32) -> Shortfall {
    let Lack { split: place, filled, seats } = lack;
    let split = &board.splits[place];
    let size = call.terms().rules.operators;
    if place == OPERATORS {
        let candidates = drawn.len() as u32;
        return Shortfall::Seats {
            candidates,
            filled,
            seats,
            clusters,
            size,
            limiting: limiting(board, clusters),
        };
    }
    let groups = 0..split.names.len();
    let largest = |cost: &dyn Fn(usize) -> u32| {
        // The first of those that tie.
        groups
            .clone()
            .rev()
            .max_by_key(|group| cost(*group))
            .expect("there are candidates, so there are groups")
    };
    if place == ENTITIES && call.terms().rules.intra_operator {
        let group = largest(&|group| split.room[group]);
        let (entity, room) = (split.names[group].clone(), split.room[group]);
        return Shortfall::Alone { entities: split.names.len() as u32, entity, room, size, filled };
    }
    let most = split.per_cluster * clusters;
    let unsaturated: u64 = split.wide.iter().map(|wide| u64::from(*wide.min(&most))).sum();
    if place == ENTITIES && unsaturated >= seats {
        let group = largest(&|group| split.wide[group].min(most) - split.room[group].min(most));
        let (room, wide) = (split.room[group], split.wide[group]);
        let of = split.group.iter().position(|of| *of == group).expect("a group has members");
        let check = rule::entity_check(call, &drawn[of].entity, room + 1);
        let entity = split.names[group].clone();
        return Shortfall::Saturated { entity, check, room, wide, clusters, seats, filled };
    }
    let group = largest(&|group| split.room[group].saturating_sub(most));
    let room = &board.splits[OPERATORS].room;
    let holders =
        |fits: &dyn Fn(usize) -> bool| (0..room.len()).filter(|at| room[*at] > 0 && fits(*at)).count();
    Shortfall::Alike {
        rule: split.rule,
        value: split.names[group].clone(),
        holders: holders(&|at| split.group[at] == group) as u32,
        candidates: holders(&|_| true) as u32,
        per_cluster: split.per_cluster,
        size,
        clusters,
        seats,
        filled,
    }
}

/// What keeps operators from a seat in each of `clusters` clusters, the most frequent first.
fn limiting(board: &Board, clusters: u32) -> Vec<Limiting> {
    let mut counts = BTreeMap::<Rule, u32>::new();
    for (room, binding) in board.splits[OPERATORS].room.iter().zip(&board.binding) {
        if let Some(rule) = binding.filter(|_| *room < clusters) {
            *counts.entry(rule).or_default() += 1;
        }
    }
    let mut limiting: Vec<_> =
        counts.into_iter().map(|(rule, operators)| Limiting { rule, operators }).collect();
    // A stable sort: rules that tie stay in their order.
    limiting.sort_by_key(|limiting| std::cmp::Reverse(limiting.operators));
    limiting
}
