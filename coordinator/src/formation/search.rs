//! Finds the first formation in an order that everybody can walk.
//!
//! - Clusters are filled one after the other, their seats too. For each cluster the candidates stand in a line: who has got
//!   fewest seats in this call first, then in the shuffled order. A cluster's members are in the order of its line.
//! - So formations of one number of clusters have an order: where two first differ, the one is before the other whose
//!   member stands further ahead in that cluster's line (both have the same line there, as all before it is the same).
//! - The result has the largest number of clusters, up to the demand, for which there is a formation that keeps every rule;
//!   and of these formations it is the first.
//!
//! The search walks this order depth first, one number of clusters after the other, and leaves out what cannot lead
//! anywhere: where some split of the candidates cannot fill the seats that are left ([`Board::lacks`]); and clusters that
//! were tried to the end where they could have come earlier, because whatever holds them in one order would have held them
//! in another. Both leave the first formation where it is, which the tests compare with a search that leaves out nothing.
//!
//! Whether many rules can be kept together is as hard as colouring a graph, so the number of steps is bounded. When it is
//! used up the result is the best that was found, and says that it may not be the best that there is.

use super::board::{Board, Lack, Rooms};
use super::call::{Call, Candidate, DEMAND_MAX};
use super::rule::Rule;
use std::collections::{BTreeMap, BTreeSet};
use types::operators::OPERATORS_MAX;

/// The most seats that are tried in a search. A step looks at every group of candidates once, some thousand numbers at most,
/// so this is a second or two; shared by the most clusters of a call it is still more than the seats that they have.
pub const STEPS_MAX: u32 = 100_000;
const _: () = assert!(STEPS_MAX / DEMAND_MAX > DEMAND_MAX * OPERATORS_MAX as u32);

/// What a search found. Candidates are named by their place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The clusters, and in each its members.
    pub(super) clusters: Vec<Vec<usize>>,
    /// Why there are no more, if more were wanted.
    pub(super) short: Option<Short>,
}

/// Why no more clusters were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// By counting: one split cannot fill the seats of one cluster more, on this board.
    Counted(Board, Lack),
    /// Everything was tried. The rule that most often stood in the way, and how often.
    Tried(Rule, u64),
    /// The steps were used up; the same.
    Steps(Rule, u64),
}

/// How a walk through part of the order ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Found,
    Nothing,
    Steps,
}

/// Forms as many clusters as it can, up to the call's demand, of candidates in the order given, in at most `steps` steps:
/// for each number of clusters that counting allows an equal part of them.
pub(super) fn form(call: &Call, candidates: &[&Candidate], steps: u32) -> Found {
    let demand = call.terms().demand;
    let rooms = Rooms::new(call, candidates);
    let board = |clusters: u32| Board::new(call, candidates, &rooms, clusters);
    let lacks = |clusters: u32| board(clusters).lacks(clusters);
    let most = (1..=demand).rev().find(|clusters| lacks(*clusters).is_none()).unwrap_or(0);
    let mut short = None;
    let mut best: Vec<Vec<usize>> = Vec::new();
    for clusters in (1..=most).rev() {
        // Known only if steps ran out on the way to more.
        if best.len() > clusters as usize {
            break;
        }
        let mut search = Search {
            board: board(clusters),
            target: clusters as usize,
            steps: steps / most,
            clusters: Vec::new(),
            best: Vec::new(),
            tried: Vec::new(),
            blocked: BTreeMap::new(),
        };
        let ending = search.next_cluster();
        if search.best.len() > best.len() || ending == Ending::Found {
            best = search.best.clone();
        }
        match ending {
            Ending::Found => break,
            Ending::Nothing if matches!(short, Some(Short::Steps(..))) => (),
            Ending::Nothing => short = Some(search.short(Short::Tried)),
            Ending::Steps => short = Some(search.short(Short::Steps)),
        }
    }
    if best.len() == most as usize && most < demand {
        let more = board(most + 1);
        short = more.lacks(most + 1).map(|lack| Short::Counted(more, lack));
    }
    Found { clusters: best, short }
}

struct Search {
    board: Board,
    target: usize,
    steps: u32,
    clusters: Vec<Vec<usize>>,
    /// The most clusters that stood at one time, the first of these.
    best: Vec<Vec<usize>>,
    /// For each cluster that stands or is being filled: what was tried in its place to the end.
    tried: Vec<BTreeSet<Vec<usize>>>,
    blocked: BTreeMap<Rule, u64>,
}

impl Search {
    fn next_cluster(&mut self) -> Ending {
        if self.clusters.len() == self.target {
            return Ending::Found;
        }
        let line = self.board.fewest_first();
        self.tried.push(BTreeSet::new());
        let ending = self.next_seat(&line);
        self.tried.pop();
        ending
    }

    /// Fills the empty seats of the cluster from those in `line`.
    fn next_seat(&mut self, line: &[usize]) -> Ending {
        let empty = self.board.empty();
        if empty == 0 {
            return self.close();
        }
        for (at, candidate) in line.iter().enumerate() {
            if line.len() - at < empty {
                break;
            }
            if let Some(rule) = self.board.refuses(*candidate) {
                self.blame(rule);
                continue;
            }
            if self.steps == 0 {
                return Ending::Steps;
            }
            self.steps -= 1;
            self.board.seat(*candidate);
            // The one that is being filled is not among `clusters`.
            let more = (self.target - self.clusters.len() - 1) as u32;
            let ending = match self.board.lacks(more) {
                Some(lack) => {
                    self.blame(self.board.splits[lack.split].rule);
                    Ending::Nothing
                }
                None => self.next_seat(&line[at + 1..]),
            };
            match ending {
                Ending::Nothing => self.board.unseat(),
                Ending::Found | Ending::Steps => return ending,
            }
        }
        Ending::Nothing
    }

    /// Goes on after a cluster that is full.
    fn close(&mut self) -> Ending {
        let members = self.board.close();
        let mut set = members.clone();
        set.sort_unstable();
        if !self.tried.iter().any(|tried| tried.contains(&set)) {
            self.clusters.push(members.clone());
            if self.clusters.len() > self.best.len() {
                self.best = self.clusters.clone();
            }
            match self.next_cluster() {
                Ending::Nothing => self.clusters.pop(),
                ending @ (Ending::Found | Ending::Steps) => return ending,
            };
            let tried = self.tried.last_mut().expect("a cluster is filled between a push and a pop");
            tried.insert(set);
        }
        self.board.reopen(members);
        Ending::Nothing
    }

    fn blame(&mut self, rule: Rule) {
        *self.blocked.entry(rule).or_default() += 1;
    }

    fn short(&self, of: fn(Rule, u64) -> Short) -> Short {
        let more = |best: (Rule, u64), next: (Rule, u64)| if next.1 > best.1 { next } else { best };
        let blocked = self.blocked.iter().map(|(rule, times)| (*rule, *times));
        // Nothing was found, so something stood in the way; if it was only that a line ended, seats of operators did.
        let (rule, times) = blocked.fold((Rule::OperatorOnce, 0), more);
        of(rule, times)
    }
}
