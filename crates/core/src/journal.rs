//! What this operator promised never to contradict: rows, histories, permits.
//!
//! A [`Permit`] is the right to add this node's half to one signature over one root. Only this module can make
//! one, and it makes one only for rows that were reported durable, or for something [`Harmless`], which cannot be slashed.
//! `keys` consumes it; it cannot be copied. So the order guard, journal, sign is a matter of types.
//!
//! ```text
//! promise(candidates) -- guard --> rows (to the disk, one sync) ... durable(ticket) --> permits --> keys
//! ```
//!
//! The history in memory takes a row when it is promised, not when it is durable: a promise whose write failed
//! still binds this process.

use crate::guard::{Rule, Verdict, judge};
use crate::mutants::{Mutant, Rules};
use crate::stop::{Reason, Stops};
use crate::{Refusal, Ticket};
use std::collections::BTreeMap;
use types::approval::registration_root;
use types::builder::ValidatorRegistrationV1;
use types::operations::VoluntaryExit;
use types::wire::{Instance, Kind};
use types::{ChainSpec, DomainType, Epoch, PublicKey, Root, SigningRoot, Slot, ValidatorNo};

/// What a row promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A block.
    Block {
        /// Its slot.
        slot: Slot,
    },
    /// An attestation.
    Attestation {
        /// Source epoch.
        source: Epoch,
        /// Target epoch.
        target: Epoch,
    },
}

/// One row of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The validator's group key: rows survive a change of shares.
    pub key: PublicKey,
    /// The duty's slot; of an imported attestation the first slot of its target, all that is known.
    pub slot: Slot,
    /// What is promised.
    pub promise: Promise,
    /// Of the message; `None` for an imported row, which then equals nothing.
    pub root: Option<SigningRoot>,
}

/// The last block promised for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBlock {
    /// Highest slot.
    pub slot: Slot,
    /// What was signed there, if known.
    pub root: Option<SigningRoot>,
}

/// The last attestation promised for a key, and the watermarks of all before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAttestation {
    /// Highest slot of any row of this node's own; 0 if all were imported.
    pub slot: Slot,
    /// Source of the last row.
    pub source: Epoch,
    /// Target of the last row.
    pub target: Epoch,
    /// Signing root of the last row, if known.
    pub root: Option<SigningRoot>,
    /// Highest source ever.
    pub source_max: Epoch,
    /// Highest target ever.
    pub target_max: Epoch,
}

/// All that the journal keeps of one key: constant space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Blocks.
    pub block: Option<LastBlock>,
    /// Attestations.
    pub attestation: Option<LastAttestation>,
}

impl History {
    /// Takes a row. Watermarks only rise, whatever the order of rows.
    pub fn append(&mut self, row: &Row) {
        match row.promise {
            Promise::Block { slot } => {
                if self.block.is_none_or(|last| slot >= last.slot) {
                    self.block = Some(LastBlock { slot, root: row.root });
                }
            }
            Promise::Attestation { source, target } => {
                let before = self.attestation;
                let source_max = before.map_or(source, |last| last.source_max.max(source));
                let target_max = before.map_or(target, |last| last.target_max.max(target));
                // In an imported row another program spoke, and agreed on nothing with anybody here.
                let own = row.root.map(|_| row.slot);
                let slot = before.map(|last| last.slot).max(own).unwrap_or_default();
                let root = row.root;
                self.attestation =
                    Some(LastAttestation { slot, source, target, root, source_max, target_max });
            }
        }
    }

    /// Whether a promise raises a watermark.
    pub fn would_rise(&self, promise: Promise) -> bool {
        match promise {
            Promise::Block { slot } => self.block.is_none_or(|last| slot > last.slot),
            Promise::Attestation { source, target } => {
                self.attestation.is_none_or(|last| source > last.source_max || target > last.target_max)
            }
        }
    }

    /// The highest slot in which this node promised anything: up to there it may have voted.
    ///
    /// Imported rows do not count. They bind what is signed for their validator, and say nothing of an agreement.
    pub fn slot_max(&self) -> Option<Slot> {
        self.block_slot_max().max(self.attestation_slot_max())
    }

    /// The newest slot of this node's own rows, of attestations or of blocks. `None` for kinds that have no rows.
    pub(crate) fn newest(&self, kind: Kind) -> Option<Slot> {
        match kind {
            Kind::Attest => self.attestation_slot_max(),
            Kind::Propose => self.block_slot_max(),
            Kind::Aggregate
            | Kind::Contribute
            | Kind::Randao
            | Kind::SyncMessage
            | Kind::Selection
            | Kind::SyncSelection
            | Kind::Exit
            | Kind::Registration => None,
        }
    }

    /// The slot of the last block, if it is one of this node's own.
    fn block_slot_max(&self) -> Option<Slot> {
        self.block.filter(|last| last.root.is_some()).map(|last| last.slot)
    }

    /// The highest slot of an attestation of this node's own.
    fn attestation_slot_max(&self) -> Option<Slot> {
        self.attestation.map(|last| last.slot).filter(|slot| *slot > Slot(0))
    }

    /// Whether blocks of this slot, or votes for this target, may still be promised.
    pub(crate) fn is_below(&self, kind: Kind, slot: Slot, target: Epoch) -> bool {
        match kind {
            Kind::Propose => self.block.is_none_or(|last| last.slot < slot),
            Kind::Attest => self.attestation.is_none_or(|last| last.target_max < target),
            Kind::Aggregate
            | Kind::Contribute
            | Kind::Randao
            | Kind::SyncMessage
            | Kind::Selection
            | Kind::SyncSelection
            | Kind::Exit
            | Kind::Registration => false,
        }
    }
}

/// What would be signed for one validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// For whom.
    pub validator: ValidatorNo,
    /// The duty's slot.
    pub slot: Slot,
    /// What it promises.
    pub promise: Promise,
    /// Its signing root, computed here from the agreed bytes.
    pub root: SigningRoot,
}

/// The right to sign one root for one validator. Cannot be copied; `keys` consumes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    validator: ValidatorNo,
    root: SigningRoot,
}

impl Permit {
    /// A permit that no journal stands behind, for tests of what consumes one.
    #[cfg(feature = "test-permits")]
    pub const fn for_test(validator: ValidatorNo, root: SigningRoot) -> Self {
        Self { validator, root }
    }

    /// For whom.
    pub const fn validator(&self) -> ValidatorNo {
        self.validator
    }

    /// For what.
    pub const fn root(&self) -> SigningRoot {
        self.root
    }

    /// The right to sign what nobody can be slashed for: no row.
    pub fn harmless(spec: &ChainSpec, validator: ValidatorNo, what: Harmless) -> Self {
        Self { validator, root: what.root(spec) }
    }
}

/// What a validator signs that nobody can be slashed for. A closed list: the roots are computed here, under domains of
/// their own, so that none of them can be a block's or an attestation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harmless {
    /// The RANDAO reveal of a slot's epoch.
    Randao(Slot),
    /// An attester's selection proof.
    Selection(Slot),
    /// A sync committee member's selection proof.
    SyncSelection {
        /// For which slot.
        slot: Slot,
        /// For which subcommittee.
        subcommittee_index: u64,
    },
    /// A sync committee member's vote.
    SyncMessage {
        /// In which slot.
        slot: Slot,
        /// For which block.
        beacon_block_root: Root,
    },
    /// An aggregate and its proof.
    Aggregate {
        /// Of which slot.
        slot: Slot,
        /// Hash tree root of the container.
        root: Root,
    },
    /// A contribution and its proof.
    Contribution {
        /// Of which slot.
        slot: Slot,
        /// Hash tree root of the container.
        root: Root,
    },
    /// A voluntary exit. Nobody is slashed for it, but it cannot be taken back: `t` operators have to approve.
    Exit(VoluntaryExit),
    /// Whom the validator's blocks shall pay: `t` operators have to approve.
    Registration(ValidatorRegistrationV1),
}

impl Harmless {
    fn root(self, spec: &ChainSpec) -> SigningRoot {
        match self {
            Self::Randao(slot) => SigningRoot::randao(spec, spec.epoch_of(slot)),
            Self::Selection(slot) => SigningRoot::selection_proof(spec, slot),
            Self::SyncSelection { slot, subcommittee_index } => {
                SigningRoot::sync_selection_proof(spec, slot, subcommittee_index)
            }
            Self::SyncMessage { slot, beacon_block_root } => {
                SigningRoot::sync_message(spec, slot, beacon_block_root)
            }
            Self::Aggregate { slot, root } => {
                SigningRoot::of(spec, DomainType::AggregateAndProof, spec.epoch_of(slot), root)
            }
            Self::Contribution { slot, root } => {
                SigningRoot::of(spec, DomainType::ContributionAndProof, spec.epoch_of(slot), root)
            }
            Self::Exit(exit) => SigningRoot::voluntary_exit(spec, &exit),
            Self::Registration(registration) => registration_root(spec, &registration),
        }
    }
}

/// What came of a promise: rows to write, and validators that were refused.
#[derive(Debug)]
pub struct Promised {
    /// To be written with one sync.
    pub rows: Vec<Row>,
    /// Skipped, each with the rule that it would break, or with what stops this node.
    pub refused: Vec<(ValidatorNo, Refusal)>,
}

/// The histories of a cluster's validators, and the permits that wait for the disk.
#[derive(Debug)]
pub struct Journal {
    keys: Vec<PublicKey>,
    histories: Vec<History>,
    pending: BTreeMap<Ticket, Vec<Permit>>,
    stops: Stops,
    /// Up to here rows may be missing.
    lost_until: Option<Slot>,
    rules: Rules,
}

impl Journal {
    /// Starts from what the disk holds.
    ///
    /// - `keys`, `histories`: one per validator, in the lock's order.
    pub fn new(keys: Vec<PublicKey>, histories: Vec<History>) -> Self {
        assert_eq!(keys.len(), histories.len(), "one history per validator");
        Self {
            keys,
            histories,
            pending: BTreeMap::new(),
            stops: Stops::default(),
            lost_until: None,
            rules: Rules::default(),
        }
    }

    /// The same journal under these rules.
    pub(crate) fn under(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Promises nothing and gives no permit from now on.
    pub fn stop(&mut self, reason: &Reason) {
        self.stops.stop(reason);
    }

    /// Takes a reason out of force.
    pub fn resume(&mut self, reason: &Reason) {
        self.stops.resume(reason);
    }

    /// The reasons in force.
    pub const fn stops(&self) -> &Stops {
        &self.stops
    }

    /// The highest slot in which anything was promised for any validator.
    pub fn slot_max(&self) -> Option<Slot> {
        self.histories.iter().filter_map(History::slot_max).max()
    }

    /// What is promised, one history per validator, in the lock's order.
    pub fn histories(&self) -> &[History] {
        &self.histories
    }

    /// Up to which slot every validator is taken to have signed anything, if rows were found missing since the start.
    pub const fn lost_until(&self) -> Option<Slot> {
        self.lost_until
    }

    /// Rows are missing, nobody knows which: from now on every validator may have signed anything up to this slot.
    ///
    /// - Returns rows to be written: a block of this slot, and a vote for its epoch from the epoch before, for each
    ///   validator whose watermarks rise by that. They are like imported ones: equal to nothing.
    /// - What was promised up to this slot and is not signed yet will not be: [`Journal::forbids`].
    pub fn roll_forward(&mut self, spec: &ChainSpec, until: Slot) -> Vec<Row> {
        let target = spec.epoch_of(until);
        let source = Epoch(target.0.saturating_sub(1));
        let vote = (spec.epoch_start(target), Promise::Attestation { source, target });
        let mut rows = Vec::new();
        for (key, history) in self.keys.iter().zip(&mut self.histories) {
            for (slot, promise) in [vote, (until, Promise::Block { slot: until })] {
                if history.would_rise(promise) {
                    let row = Row { key: *key, slot, promise, root: None };
                    history.append(&row);
                    rows.push(row);
                }
            }
        }
        self.lost_until = self.lost_until.max(Some(until));
        rows
    }

    /// Why nothing is signed in an instance, whatever was promised there.
    pub fn forbids(&self, instance: Instance) -> Option<Refusal> {
        let lost = self.lost_until.filter(|until| instance.kind.is_slashable() && instance.slot <= *until);
        let stopped = self.stops.forbids(instance.kind).map(Refusal::Stopped);
        stopped.or(lost.map(|until| Refusal::RolledBack { until }))
    }

    /// What the guard would say, without promising anything.
    pub fn judge(&self, candidate: &Candidate) -> Verdict {
        let verdict = judge(self.history(candidate.validator), candidate.promise, candidate.root);
        // Surrounding needs a lower source, being surrounded a lower target than the highest.
        let lower = match verdict {
            Verdict::Refused(Rule::Source { .. }) => true,
            Verdict::Refused(Rule::Target { target, journal }) => target < journal,
            Verdict::Refused(Rule::Block { .. } | Rule::SourceAfterTarget { .. })
            | Verdict::Fresh
            | Verdict::Again => false,
        };
        if lower && self.rules.break_with(Mutant::SurroundAllowed) { Verdict::Fresh } else { verdict }
    }

    /// Promises all candidates that the guard lets pass; none while this node is stopped. Their permits come with
    /// [`Journal::settle`].
    pub fn promise(&mut self, ticket: Ticket, candidates: &[Candidate]) -> Promised {
        let mut promised = Promised { rows: Vec::new(), refused: Vec::new() };
        let mut permits = Vec::new();
        for candidate in candidates {
            let &Candidate { validator, slot, promise, root } = candidate;
            if let Some(reason) = self.stops.reason() {
                promised.refused.push((validator, Refusal::Stopped(reason)));
                continue;
            }
            match self.judge(candidate) {
                Verdict::Refused(rule) => promised.refused.push((validator, Refusal::Slashable(rule))),
                Verdict::Fresh | Verdict::Again => {
                    let row = Row { key: self.keys[validator.0 as usize], slot, promise, root: Some(root) };
                    self.histories[validator.0 as usize].append(&row);
                    promised.rows.push(row);
                    permits.push(Permit { validator, root });
                }
            }
        }
        self.pending.insert(ticket, permits);
        promised
    }

    /// The disk has answered: the permits of this ticket if every row is durable and nothing stops this node, none
    /// otherwise.
    pub fn settle(&mut self, ticket: Ticket, durable: bool) -> Vec<Permit> {
        let permits = self.pending.remove(&ticket).unwrap_or_default();
        if durable && self.stops.reason().is_none() { permits } else { Vec::new() }
    }

    fn history(&self, validator: ValidatorNo) -> &History {
        &self.histories[validator.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(target: u64, byte: u8) -> Candidate {
        Candidate {
            validator: ValidatorNo(0),
            slot: Slot(target * 32),
            promise: Promise::Attestation { source: Epoch(0), target: Epoch(target) },
            root: SigningRoot::compute(Root([byte; 32]), Root::ZERO),
        }
    }

    fn journal() -> Journal {
        Journal::new(vec![PublicKey::ZERO], vec![History::default()])
    }

    #[test]
    fn no_permit_before_the_rows_are_durable() {
        let mut journal = journal();
        let promised = journal.promise(Ticket(1), &[candidate(1, 1)]);
        assert_eq!(promised.rows.len(), 1);
        assert_eq!(journal.settle(Ticket(2), true), vec![], "another ticket brings nothing");
        let permits = journal.settle(Ticket(1), true);
        assert_eq!(permits.len(), 1);
        assert_eq!(permits[0].root(), candidate(1, 1).root);
        assert_eq!(journal.settle(Ticket(1), true), vec![], "a ticket counts once");
    }

    #[test]
    fn a_failed_write_gives_no_permit_and_still_binds() {
        let mut journal = journal();
        journal.promise(Ticket(1), &[candidate(1, 1)]);
        assert_eq!(journal.settle(Ticket(1), false), vec![]);
        let promised = journal.promise(Ticket(2), &[candidate(1, 2)]);
        assert!(promised.rows.is_empty());
        assert_eq!(promised.refused.len(), 1);
    }

    #[test]
    fn a_stopped_journal_promises_nothing_and_gives_no_permit_for_what_is_durable() {
        let mut journal = journal();
        journal.promise(Ticket(1), &[candidate(1, 1)]);
        journal.stop(&Reason::Clock);
        assert_eq!(journal.settle(Ticket(1), true), vec![]);
        let promised = journal.promise(Ticket(2), &[candidate(2, 1)]);
        assert_eq!(promised.refused, [(ValidatorNo(0), Refusal::Stopped(Reason::Clock))]);
        assert!(promised.rows.is_empty());
        journal.resume(&Reason::Clock);
        assert_eq!(journal.settle(Ticket(2), true), vec![], "what was refused is not given later");
        journal.promise(Ticket(3), &[candidate(2, 2)]);
        assert_eq!(journal.settle(Ticket(3), true).len(), 1, "and binds nothing");
    }

    #[test]
    fn a_lower_imported_row_does_not_lower_a_watermark() {
        let mut history = History::default();
        for (source, target) in [(5, 9), (2, 3)] {
            let promise = Promise::Attestation { source: Epoch(source), target: Epoch(target) };
            history.append(&Row { key: PublicKey::ZERO, slot: Slot(target * 32), promise, root: None });
        }
        let last = history.attestation.unwrap();
        assert_eq!((last.source_max, last.target_max), (Epoch(5), Epoch(9)));
        assert_eq!(history.slot_max(), None, "another program's votes silence nobody here");
    }

    #[test]
    fn an_imported_row_hides_no_vote_of_this_node() {
        let mut history = History::default();
        let row = |target: u64, root| Row {
            key: PublicKey::ZERO,
            slot: Slot(target * 32),
            promise: Promise::Attestation { source: Epoch(target - 1), target: Epoch(target) },
            root,
        };
        history.append(&row(5, Some(candidate(5, 1).root)));
        history.append(&row(9, None));
        assert_eq!(history.slot_max(), Some(Slot(5 * 32)), "up to there a restarted node is silent");
    }
}
