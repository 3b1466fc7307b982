//! What a node knows of one duty of one slot: the facts from which its [`crate::Ending`] and the [`crate::Blame`] are read.

use crate::Fault;
use std::collections::{BTreeMap, BTreeSet};
use types::wire::{Instance, Kind};
use types::{ClusterSize, Millis, Root, ShareIndex};

/// Something at this node that stood in a duty's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// The node may only follow here: its process began too late for the slot (rule 11).
    OnlyFollows,
    /// A stop is in force: nothing is signed here.
    Stopped,
    /// The RANDAO reveal that a block needs has not been combined.
    NoReveal,
    /// The slot's vote that this duty stands on has not been agreed on.
    NoVote,
    /// A value that was offered breaks a hard check.
    ValueRefused,
    /// A value that was offered is forbidden by the journal for every validator due.
    ValueSlashable,
    /// The journal could not be written.
    JournalFailed,
    /// The own validator client signed something else than was agreed on, or with another key.
    BadHalf,
    /// The own validator client aggregates by itself, outside distributed mode.
    NotDistributed,
}

impl Obstacle {
    /// In a word, for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnlyFollows => "only_follows",
            Self::Stopped => "stopped",
            Self::NoReveal => "no_reveal",
            Self::NoVote => "no_vote",
            Self::ValueRefused => "value_refused",
            Self::ValueSlashable => "value_slashable",
            Self::JournalFailed => "journal_failed",
            Self::BadHalf => "bad_half",
            Self::NotDistributed => "not_distributed",
        }
    }
}

/// What a node knows of one duty of one slot: for operators who ask whose fault it was. Times are of this node's clock;
/// of what came before the duty had begun here, the time at which it was taken up.
///
/// Size: some 200 bytes for each operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which duty.
    pub instance: Instance,
    /// `n` and `t` of the cluster.
    pub size: ClusterSize,
    /// The operator that tells this.
    pub me: ShareIndex,
    /// When its slot was over: what is said later is late.
    pub over_at: Millis,
    /// Whether its outcome has been told. Until then it may still end otherwise.
    pub is_told: bool,
    /// Signatures due.
    pub due: usize,
    /// Signatures combined.
    pub done: usize,
    /// Signatures due that the journal refused, of the value that was agreed on.
    pub refused: usize,
    /// What stood in the way here.
    pub obstacles: BTreeSet<Obstacle>,
    /// When the own beacon nodes were first asked for a value.
    pub wanted_at: Option<Millis>,
    /// When they first gave one.
    pub own_at: Option<Millis>,
    /// When a value to agree on was first at hand, whoever's it was.
    pub value_at: Option<Millis>,
    /// When it was decided.
    pub decided_at: Option<Millis>,
    /// In which round.
    pub round: Option<u32>,
    /// When the own validator client asked for the value.
    pub asked_at: Option<Millis>,
    /// When the own validator client handed in its first half that fits.
    pub half_at: Option<Millis>,
    /// When the last signature was combined.
    pub signed_at: Option<Millis>,
    /// Submissions that the beacon nodes have answered.
    pub submitted: usize,
    /// Those of them that a beacon node took.
    pub taken: usize,
    /// Operators that were connected at some time before the slot was over, this one included.
    pub present: BTreeSet<ShareIndex>,
    /// What each operator said, this one included; who said nothing is missing.
    pub operators: BTreeMap<ShareIndex, Heard>,
}

/// When an operator said what in one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its first vote: when, in which round, for what.
    pub vote: Option<(Millis, u32, Root)>,
    /// Its first commit: when, for what.
    pub commit: Option<(Millis, Root)>,
    /// Its last wish for another round: when, which.
    pub new_round: Option<(Millis, u32)>,
    /// Its last proposal: when, in which round, what.
    pub proposal: Option<(Millis, u32, Root)>,
    /// Its partial signatures: when the first came, and for how many of the signatures due.
    pub partial: Option<(Millis, usize)>,
    /// Its last mistake.
    pub fault: Option<Fault>,
}

impl Account {
    /// An account before anything has happened. `over_at`: when the slot is over.
    pub fn new(instance: Instance, size: ClusterSize, me: ShareIndex, over_at: Millis) -> Self {
        Self {
            instance,
            size,
            me,
            over_at,
            is_told: false,
            due: 0,
            done: 0,
            refused: 0,
            obstacles: BTreeSet::new(),
            wanted_at: None,
            own_at: None,
            value_at: None,
            decided_at: None,
            round: None,
            asked_at: None,
            half_at: None,
            signed_at: None,
            submitted: 0,
            taken: 0,
            present: BTreeSet::from([me]),
            operators: BTreeMap::new(),
        }
    }

    /// Whether this is a step on the way to a duty, for which nothing is handed to the beacon nodes.
    pub const fn is_step(&self) -> bool {
        match self.instance.kind {
            Kind::Randao | Kind::Selection | Kind::SyncSelection => true,
            Kind::Attest
            | Kind::Propose
            | Kind::Aggregate
            | Kind::Contribute
            | Kind::SyncMessage
            | Kind::Exit
            | Kind::Registration => false,
        }
    }

    /// Whether the operators agreed, or had nothing to agree on.
    pub const fn is_agreed(&self) -> bool {
        self.is_step() || self.decided_at.is_some()
    }

    /// Whether something is due here, or was lost before it could be.
    pub fn is_due(&self) -> bool {
        self.due > 0 || self.obstacles.contains(&Obstacle::NotDistributed)
    }

    /// Whether there is something to tell: also of a vote that only sync committee members stand on.
    pub fn is_of_interest(&self) -> bool {
        let began = self.wanted_at.is_some() || !self.operators.is_empty();
        self.is_due() || (self.instance.kind == Kind::Attest && began)
    }

    /// For how many of the signatures due an operator has sent its partial.
    pub fn partials(&self, operator: ShareIndex) -> usize {
        self.operators.get(&operator).and_then(|heard| heard.partial).map_or(0, |(_, count)| count)
    }

    /// Operators whose part has not come, this one included: of what was agreed on, those that sent fewer partials than
    /// are due; before that, those that said nothing at all while others spoke.
    pub fn missing(&self) -> BTreeSet<ShareIndex> {
        let lacks = |operator: &ShareIndex| {
            if self.is_agreed() {
                return self.partials(*operator) < self.due;
            }
            !self.operators.is_empty() && !self.operators.contains_key(operator)
        };
        self.size.indices().filter(lacks).collect()
    }

    /// An operator's first vote: when, in which round, for what.
    pub fn vote(&self, operator: ShareIndex) -> Option<(Millis, u32, Root)> {
        self.operators.get(&operator)?.vote
    }

    /// Whether an operator was connected or heard in time for this duty.
    pub fn is_present(&self, operator: ShareIndex) -> bool {
        self.present.contains(&operator) || self.operators.contains_key(&operator)
    }

    /// How many operators voted for what, whatever the round.
    pub fn votes(&self) -> BTreeMap<Root, usize> {
        let mut votes = BTreeMap::new();
        for (_, _, hash) in self.operators.values().filter_map(|heard| heard.vote) {
            *votes.entry(hash).or_default() += 1;
        }
        votes
    }

    /// Leaders of the led rounds that somebody reached and in which no proposal of theirs came.
    pub fn silent_leaders(&self) -> BTreeSet<ShareIndex> {
        let reached = |heard: &Heard| {
            let rounds = [heard.new_round.map(|(_, round)| round), heard.vote.map(|(_, round, _)| round)];
            rounds.into_iter().flatten().max()
        };
        let first = self.instance.kind.first_round();
        let last = self.operators.values().filter_map(reached).max().unwrap_or(first);
        // After as many rounds as there are operators, everybody has led.
        let last = last.min(first.saturating_add(u32::from(types::operators::OPERATORS_MAX)));
        let leaders = (first.max(1)..=last).map(|round| self.instance.leader(round, self.size));
        leaders
            .filter(|leader| self.operators.get(leader).is_none_or(|heard| heard.proposal.is_none()))
            .collect()
    }
}
