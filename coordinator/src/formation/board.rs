//! A call as a board of seats: every rule comes down to how often an operator, an entity or a value may still be seated, in
//! this cluster and in all.
//!
//! Candidates are in groups, in several ways at once: each alone, by entity, by what they have in each dimension. A *split*
//! is one such way. Of each group at most `per_cluster` sit in a cluster, and at most `left` more in all.

use super::call::{Call, Candidate};
use super::rule::{self, Rule};
use crate::text::Entity;
use std::collections::{BTreeMap, BTreeSet};

/// One way in which candidates are in groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// The rule that bounds a group's seats in a cluster.
    pub(super) rule: Rule,
    /// Each candidate's group.
    pub(super) group: Vec<usize>,
    /// What each group has in common.
    pub(super) names: Vec<String>,
    /// Seats of a group in one cluster.
    pub(super) per_cluster: u32,
    /// Seats that a group's members have room for.
    pub(super) wide: Vec<u32>,
    /// Seats that the group may get in all: less, if it is an entity near saturation.
    pub(super) room: Vec<u32>,
    /// Of these, what it has not got yet.
    left: Vec<u32>,
    /// Seats of a group in the cluster that is being filled.
    here: Vec<u32>,
}

/// Which seats a split cannot fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    /// The split's place in the list.
    pub(super) split: usize,
    /// Seats that can be filled at most.
    pub(super) filled: u64,
    /// Seats that there are.
    pub(super) seats: u64,
}

/// The place of each split in the list; those of the dimensions follow.
pub(super) const OPERATORS: usize = 0;
pub(super) const ENTITIES: usize = 1;

/// Who sits where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Board {
    pub(super) splits: Vec<Split>,
    /// What keeps each candidate from more seats than it has room for; nothing, if it has room in all clusters wanted.
    pub(super) binding: Vec<Option<Rule>>,
    intra: bool,
    size: u32,
    /// Who sits in the cluster that is being filled, in order.
    seated: Vec<usize>,
}

/// How many seats each operator and entity may get, and why not more.
pub(super) struct Rooms {
    operators: Vec<(u32, Option<Rule>)>,
    entities: BTreeMap<Entity, u32>,
}

impl Rooms {
    /// Of the candidates in the order given. Cost: the rules of each operator for each cluster wanted.
    pub(super) fn new(call: &Call, candidates: &[&Candidate]) -> Self {
        let demand = call.terms().demand;
        // At most 64 times 22.
        let seats = demand * call.size().operators() as u32;
        let entity = |entity: &Entity| (entity.clone(), entity_room(call, entity, seats));
        let different: BTreeSet<&Entity> = candidates.iter().map(|candidate| &candidate.entity).collect();
        Self {
            operators: candidates.iter().map(|candidate| operator_room(call, candidate, demand)).collect(),
            entities: different.into_iter().map(entity).collect(),
        }
    }
}

impl Board {
    /// The board of a call: its candidates in the order given, for so many clusters and no more.
    pub(super) fn new(call: &Call, candidates: &[&Candidate], rooms: &Rooms, clusters: u32) -> Self {
        let rules = &call.terms().rules;
        let room: Vec<u32> = rooms.operators.iter().map(|(room, _)| *room.min(&clusters)).collect();
        let operators = candidates.iter().map(|candidate| candidate.operator.to_string());
        let mut splits = vec![Split::new(Rule::OperatorOnce, 1, operators, &room)];

        // At most 22.
        let size = call.size().operators() as u32;
        let entities = candidates.iter().map(|candidate| candidate.entity.to_string());
        let (entity_rule, entity_seats) =
            if rules.intra_operator { (Rule::OneEntity, size) } else { (Rule::EntityOnce, 1) };
        let mut by_entity = Split::new(entity_rule, entity_seats, entities, &room);
        for (candidate, group) in candidates.iter().zip(by_entity.group.clone()) {
            by_entity.limit(group, rooms.entities[&candidate.entity]);
        }
        splits.push(by_entity);
        for (dimension, diversity) in &rules.diversity {
            let values = candidates.iter().map(|candidate| dimension.of(candidate));
            // At most 22.
            let alike = diversity.limit(call.size()) as u32;
            splits.push(Split::new(diversity.rule(*dimension), alike, values, &room));
        }
        let binding = rooms.operators.iter().map(|(_, binding)| *binding).collect();
        Self { splits, binding, intra: rules.intra_operator, size, seated: Vec::new() }
    }

    /// Candidates by seats they have got, then in the order of the board.
    pub(super) fn fewest_first(&self) -> Vec<usize> {
        let operators = &self.splits[OPERATORS];
        let mut order: Vec<usize> = (0..operators.group.len()).collect();
        // A stable sort: who ties stays in order.
        order.sort_by_key(|at| operators.room[*at] - operators.left[*at]);
        order
    }

    /// Seats of this cluster that are empty.
    pub(super) fn empty(&self) -> usize {
        self.size as usize - self.seated.len()
    }

    /// Which rule, if any, keeps a candidate from the next seat of this cluster.
    pub(super) fn refuses(&self, candidate: usize) -> Option<Rule> {
        let first = self.seated.first();
        let entity = |at: usize| self.splits[ENTITIES].group[at];
        if self.intra && first.is_some_and(|first| entity(*first) != entity(candidate)) {
            return Some(Rule::OneEntity);
        }
        for (place, split) in self.splits.iter().enumerate() {
            let group = split.group[candidate];
            if split.left[group] == 0 {
                // A value's room is that of its operators: one of them has some, or the first split has said no.
                let own = if place == OPERATORS { self.binding[candidate] } else { None };
                return Some(own.unwrap_or(Rule::EntitySaturation));
            }
            if split.here[group] == split.per_cluster {
                return Some(split.rule);
            }
        }
        None
    }

    /// Gives a candidate the next seat.
    pub(super) fn seat(&mut self, candidate: usize) {
        self.seated.push(candidate);
        for split in &mut self.splits {
            let group = split.group[candidate];
            (split.left[group], split.here[group]) = (split.left[group] - 1, split.here[group] + 1);
        }
    }

    /// Takes back the last seat given.
    pub(super) fn unseat(&mut self) {
        let candidate = self.seated.pop().expect("only who was seated is unseated");
        for split in &mut self.splits {
            let group = split.group[candidate];
            (split.left[group], split.here[group]) = (split.left[group] + 1, split.here[group] - 1);
        }
    }

    /// Ends this cluster and begins the next; gives who is in it.
    pub(super) fn close(&mut self) -> Vec<usize> {
        for split in &mut self.splits {
            split.here.fill(0);
        }
        std::mem::take(&mut self.seated)
    }

    /// Undoes [`Self::close`]. The cluster that was begun since must be empty.
    pub(super) fn reopen(&mut self, members: Vec<usize>) {
        assert!(self.seated.is_empty(), "a cluster is reopened when the next has been emptied");
        for split in &mut self.splits {
            for member in &members {
                split.here[split.group[*member]] += 1;
            }
        }
        self.seated = members;
    }

    /// The first split that cannot fill this cluster's empty seats and those of `more` clusters after it.
    ///
    /// Of a group no more can be seated than it has left, and no more than its seats in each cluster. So whatever is said to
    /// lack does; but what does not lack by any split alone may still lack by several together.
    pub(super) fn lacks(&self, more: u32) -> Option<Lack> {
        // A cluster that nobody sits in has not been begun.
        let begun = !self.seated.is_empty();
        let empty = if begun { self.empty() as u64 } else { 0 };
        let seats = u64::from(self.size) * u64::from(more) + empty;
        let lack = |(place, split): (usize, &Split)| {
            let filled = match (self.intra && place == ENTITIES, empty > 0) {
                (true, _) => self.filled_alone(split, empty, more),
                (false, here) => split.filled(here, more),
            };
            (filled < seats).then_some(Lack { split: place, filled, seats })
        };
        self.splits.iter().enumerate().find_map(lack)
    }

    /// Seats that can be filled where each cluster is of one entity: what is left of an entity, in whole clusters.
    fn filled_alone(&self, split: &Split, empty: u64, more: u32) -> u64 {
        let here = self.seated.first().map(|first| split.group[*first]);
        let mut filled = 0;
        let mut clusters = 0;
        for (group, left) in split.left.iter().enumerate() {
            let mut left = u64::from(*left);
            if here == Some(group) {
                filled = left.min(empty);
                left -= filled;
            }
            clusters += left / u64::from(self.size);
        }
        filled + clusters.min(u64::from(more)) * u64::from(self.size)
    }
}

impl Split {
    /// Groups candidates by name. A group's room is that of its members.
    fn new(rule: Rule, per_cluster: u32, names: impl Iterator<Item = String>, room: &[u32]) -> Self {
        let mut known = BTreeMap::<String, usize>::new();
        let mut split = Self {
            rule,
            per_cluster,
            group: Vec::with_capacity(room.len()),
            names: Vec::new(),
            wide: Vec::new(),
            room: Vec::new(),
            left: Vec::new(),
            here: Vec::new(),
        };
        for (name, own) in names.zip(room) {
            let next = known.len();
            let group = *known.entry(name.clone()).or_insert(next);
            if group == next {
                split.names.push(name);
                split.wide.push(0);
            }
            // At most 1024 candidates with 64 seats each.
            split.wide[group] += own;
            split.group.push(group);
        }
        (split.room, split.left) = (split.wide.clone(), split.wide.clone());
        split.here = vec![0; split.room.len()];
        split
    }

    /// Lowers a group's room.
    fn limit(&mut self, group: usize, most: u32) {
        self.room[group] = self.room[group].min(most);
        self.left[group] = self.room[group];
    }

    /// Seats that can be filled: in the cluster that is begun, if there is one, and in `more` after it.
    fn filled(&self, begun: bool, more: u32) -> u64 {
        let of = |(left, here): (&u32, &u32)| {
            let now = if begun { self.per_cluster - here } else { 0 };
            u64::from((self.per_cluster * more + now).min(*left))
        };
        self.left.iter().zip(&self.here).map(of).sum()
    }
}

/// How many seats an operator may get, at most `most`; and which rule keeps it from one more.
fn operator_room(call: &Call, candidate: &Candidate, most: u32) -> (u32, Option<Rule>) {
    let broken = |seats: u32| {
        let checks = rule::operator_checks(call, candidate, seats);
        checks.into_iter().find(|check| !check.holds()).map(|check| check.rule)
    };
    let stop = (1..=most).find_map(|seats| broken(seats).map(|rule| (seats - 1, Some(rule))));
    stop.unwrap_or((most, None))
}

/// How many seats an entity may get, at most `most`.
fn entity_room(call: &Call, entity: &Entity, most: u32) -> u32 {
    let full = |seats: &u32| !rule::entity_check(call, entity, *seats).holds();
    (1..=most).find(full).map_or(most, |seats| seats - 1)
}
