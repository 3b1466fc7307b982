//! Which duties are due when: epochs asked for ahead of time, duties by slot.
//!
//! An epoch is asked for when the one before it begins, and again when it begins itself, because a late block
//! may have changed it. What a beacon node could not tell is asked for again soon after it said so: a node that is slow
//! to answer is not asked the same again meanwhile, which would make it slower yet.

use crate::DependentRoots;
use std::collections::BTreeMap;
use types::duty::{AttesterDuty, ProposerDuty, SyncDuty};
use types::{ChainSpec, Epoch, Millis, PublicKey, Slot, ValidatorIndex, ValidatorNo};

/// From an answer that lacks duties to the next question: a few tries within the shortest slot in use (1 s).
const RETRY: Millis = Millis(300);

/// The same for duties that are known and may have changed: an answer may be long, and there is no haste.
const CONFIRM: Millis = Millis(2_000);

/// A question that has no answer after so many slots is taken for lost. Whoever asks beacon nodes gives up in a slot a list.
const LOST_SLOTS: u64 = 8;

/// Duties of an epoch.
#[derive(Debug, Default)]
struct EpochDuties {
    attesters: Option<BTreeMap<Slot, Vec<(ValidatorNo, AttesterDuty)>>>,
    proposers: Option<BTreeMap<Slot, (ValidatorNo, ProposerDuty)>>,
    members: Option<Vec<(ValidatorNo, SyncDuty)>>,
    /// When the beacon nodes were last asked.
    asked: Option<Millis>,
    /// Questions without an answer: one, and one more if there was news meanwhile.
    open: u32,
    /// When an answer last came.
    answered: Millis,
    /// Whether the last question was asked after the epoch had begun.
    asked_begun: bool,
    /// Whether an answer to such a question came.
    confirmed: bool,
    /// Whether it is to be asked for again: a reorganisation may have changed it.
    stale: bool,
    /// Whether that has been asked.
    asked_stale: bool,
}

impl EpochDuties {
    const fn complete(&self) -> bool {
        self.attesters.is_some() && self.proposers.is_some() && self.members.is_some()
    }

    /// When it is asked for again, news aside.
    fn retry_at(&self, spec: &ChainSpec) -> Option<Millis> {
        let asked = self.asked?;
        Some(match self.open {
            0 => self.answered.after(if self.complete() { CONFIRM } else { RETRY }),
            _ => asked.after(Millis(spec.slot_ms.saturating_mul(LOST_SLOTS))),
        })
    }
}

/// The duties of the cluster's validators, by slot.
#[derive(Debug)]
pub struct Schedule {
    validators: BTreeMap<PublicKey, ValidatorNo>,
    indices: BTreeMap<ValidatorNo, ValidatorIndex>,
    epochs: BTreeMap<Epoch, EpochDuties>,
    /// What the duties of the newest head's epoch stand on.
    dependent: Option<(Epoch, DependentRoots)>,
}

impl Schedule {
    /// For validators in the lock's order.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let validators = keys.into_iter().zip(0..).map(|(key, number)| (key, ValidatorNo(number))).collect();
        Self { validators, indices: BTreeMap::new(), epochs: BTreeMap::new(), dependent: None }
    }

    /// Epochs to ask the beacon nodes for now.
    ///
    /// Keeps the last epoch, this one and the next; forgets all others.
    pub fn ask(&mut self, now: Millis, spec: &ChainSpec) -> Vec<Epoch> {
        let current = spec.slot_at(now).map_or(Epoch(0), |slot| spec.epoch_of(slot));
        let oldest = Epoch(current.0.saturating_sub(1));
        self.epochs.retain(|epoch, _| (oldest..=current.next()).contains(epoch));
        let begun = spec.slot_at(now).is_some();
        let wanted = if begun { vec![current, current.next()] } else { vec![current] };
        let due = |epoch: &Epoch| self.ask_one(now, spec, *epoch, begun && *epoch == current);
        wanted.into_iter().filter(due).collect()
    }

    fn ask_one(&mut self, now: Millis, spec: &ChainSpec, epoch: Epoch, begun: bool) -> bool {
        let duties = self.epochs.entry(epoch).or_default();
        if duties.complete() && !duties.stale && (duties.confirmed || !begun) {
            return false;
        }
        let news = (begun && !duties.asked_begun) || (duties.stale && !duties.asked_stale);
        let waited = duties.retry_at(spec).is_none_or(|retry| now >= retry);
        if !waited && !news {
            return false;
        }
        if waited {
            // An answer that comes after all is taken, and counts for the question asked now.
            duties.open = 0;
        }
        duties.asked = Some(now);
        duties.open += 1;
        duties.asked_begun |= begun;
        duties.asked_stale = duties.stale;
        true
    }

    /// A head names the blocks that duties stand on. Others than before, within an epoch: a reorganisation, and what is
    /// known of this epoch and the next is asked for again. Returns whether that is so.
    pub fn head(&mut self, spec: &ChainSpec, slot: Slot, roots: DependentRoots) -> bool {
        let epoch = spec.epoch_of(slot);
        let before = self.dependent.replace((epoch, roots));
        let changed = match before {
            Some((of, known)) if of == epoch => known != roots,
            // The epoch before: what the next one stood on then has become what this one stands on.
            Some((of, known)) if of.next() == epoch => known.current != roots.previous,
            _ => false,
        };
        // The next epoch was asked for before this one had a block: what it stands on may have been late.
        let first = before.is_some_and(|(of, _)| of.next() == epoch);
        for (of, stale) in [(epoch, changed), (epoch.next(), changed || first)] {
            if let Some(duties) = self.epochs.get_mut(&of).filter(|_| stale) {
                (duties.stale, duties.asked_stale) = (true, false);
            }
        }
        changed
    }

    /// Takes an answer. Duties of keys that are not the cluster's are left out.
    pub fn tell(
        &mut self,
        now: Millis,
        epoch: Epoch,
        attesters: Option<Vec<AttesterDuty>>,
        proposers: Option<Vec<ProposerDuty>>,
        members: Option<Vec<SyncDuty>>,
    ) {
        let Some(duties) = self.epochs.get_mut(&epoch) else { return };
        duties.open = duties.open.saturating_sub(1);
        duties.answered = now;
        // With another question open, this may be the answer to the older one.
        if duties.open == 0 && attesters.is_some() && proposers.is_some() && members.is_some() {
            duties.confirmed |= duties.asked_begun;
            duties.stale &= !duties.asked_stale;
        }
        if let Some(attesters) = attesters {
            let mut by_slot: BTreeMap<Slot, Vec<_>> = BTreeMap::new();
            for duty in attesters {
                let Some(validator) = self.validators.get(&duty.pubkey) else { continue };
                self.indices.insert(*validator, duty.validator_index);
                by_slot.entry(duty.slot).or_default().push((*validator, duty));
            }
            duties.attesters = Some(by_slot);
        }
        if let Some(proposers) = proposers {
            let ours = |duty: ProposerDuty| {
                let validator = *self.validators.get(&duty.pubkey)?;
                Some((duty.slot, (validator, duty)))
            };
            duties.proposers = Some(proposers.into_iter().filter_map(ours).collect());
        }
        if let Some(members) = members {
            let ours = |duty: SyncDuty| Some((*self.validators.get(&duty.pubkey)?, duty));
            duties.members = Some(members.into_iter().filter_map(ours).collect());
        }
    }

    /// Whether the slot's duties are known, so that a missing one means that there is none.
    pub fn knows(&self, spec: &ChainSpec, slot: Slot) -> bool {
        self.epochs.get(&spec.epoch_of(slot)).is_some_and(EpochDuties::complete)
    }

    /// Attestations due in a slot.
    pub fn attesters(&self, spec: &ChainSpec, slot: Slot) -> &[(ValidatorNo, AttesterDuty)] {
        let duties = self.epochs.get(&spec.epoch_of(slot)).and_then(|duties| duties.attesters.as_ref());
        duties.and_then(|by_slot| by_slot.get(&slot)).map_or(&[], Vec::as_slice)
    }

    /// The block due in a slot, if it is one of ours.
    pub fn proposer(&self, spec: &ChainSpec, slot: Slot) -> Option<&(ValidatorNo, ProposerDuty)> {
        self.epochs.get(&spec.epoch_of(slot))?.proposers.as_ref()?.get(&slot)
    }

    /// Our members of the sync committee that votes in a slot: what they sign goes into the next slot's block, so at
    /// the end of a period it is the next committee.
    pub fn members(&self, spec: &ChainSpec, slot: Slot) -> &[(ValidatorNo, SyncDuty)] {
        let of = |slot| self.epochs.get(&spec.epoch_of(slot))?.members.as_ref();
        // But at a period's end both epochs have the same committee.
        of(slot.next()).or_else(|| of(slot)).map_or(&[], Vec::as_slice)
    }

    /// Indices of validators on the chain, as far as duties have told them.
    pub const fn indices(&self) -> &BTreeMap<ValidatorNo, ValidatorIndex> {
        &self.indices
    }

    /// When to call [`Schedule::ask`] again.
    pub fn wake_at(&self, now: Millis, spec: &ChainSpec) -> Millis {
        let next_epoch = match spec.slot_at(now) {
            Some(slot) => spec.slot_start(spec.epoch_start(spec.epoch_of(slot).next())),
            None => spec.slot_start(Slot(0)),
        };
        let current = spec.slot_at(now).map_or(Epoch(0), |slot| spec.epoch_of(slot));
        let missing = self.epochs.range(current..).filter(|(epoch, duties)| {
            let unconfirmed = **epoch == current && duties.asked_begun && !duties.confirmed;
            !duties.complete() || duties.stale || unconfirmed
        });
        let retry = missing.filter_map(|(_, duties)| duties.retry_at(spec)).min();
        retry.map_or(next_epoch, |retry| retry.min(next_epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::spec::{ForkEpoch, SlotTiming};
    use types::{Fork, ForkVersion, Preset, Root};

    fn spec() -> ChainSpec {
        let forks = vec![ForkEpoch { fork: Fork::Electra, version: ForkVersion::ZERO, epoch: Epoch(0) }];
        ChainSpec {
            name: "test".into(),
            preset: Preset::Minimal,
            genesis_time_ms: 100_000,
            slot_ms: 1_000,
            slots_per_epoch: 8,
            genesis_fork_version: ForkVersion::ZERO,
            genesis_validators_root: Root::ZERO,
            forks,
            timing: SlotTiming::default(),
            chain_id: 1,
        }
    }

    impl Schedule {
        /// An answer with no duties in it, at a time.
        fn none(&mut self, now: u64, epoch: u64) {
            self.tell(Millis(now), Epoch(epoch), Some(vec![]), Some(vec![]), Some(vec![]));
        }

        /// An answer that lacks one kind of duties.
        fn lack(&mut self, now: u64, epoch: u64) {
            self.tell(Millis(now), Epoch(epoch), Some(vec![]), None, Some(vec![]));
        }
    }

    #[test]
    fn each_epoch_is_asked_for_ahead_and_confirmed_when_it_begins() {
        let (spec, mut schedule) = (spec(), Schedule::new([PublicKey::ZERO]));
        assert_eq!(schedule.ask(Millis(90_000), &spec), [Epoch(0)]);
        schedule.none(90_100, 0);
        assert_eq!(schedule.ask(Millis(99_999), &spec), []);
        assert_eq!(schedule.ask(Millis(100_000), &spec), [Epoch(0), Epoch(1)]);
        schedule.none(102_000, 0);
        schedule.lack(102_000, 1);
        assert_eq!(schedule.ask(Millis(102_299), &spec), []);
        assert_eq!(schedule.ask(Millis(102_300), &spec), [Epoch(1)], "its blocks are missing");
        schedule.none(102_400, 1);
        assert_eq!(schedule.ask(Millis(107_999), &spec), []);
        assert_eq!(schedule.ask(Millis(108_000), &spec), [Epoch(1), Epoch(2)]);
        assert!(schedule.knows(&spec, Slot(15)) && !schedule.knows(&spec, Slot(16)));
    }

    #[test]
    fn a_slow_answer_is_waited_for() {
        let (spec, mut schedule) = (spec(), Schedule::new([PublicKey::ZERO]));
        assert_eq!(schedule.ask(Millis(100_000), &spec), [Epoch(0), Epoch(1)]);
        for now in (100_300..107_900).step_by(300) {
            assert_eq!(schedule.ask(Millis(now), &spec), [], "at {now}");
        }
        assert_eq!(schedule.wake_at(Millis(107_900), &spec), Millis(108_000));
        schedule.lack(107_900, 0);
        assert_eq!(schedule.ask(Millis(108_000), &spec), [Epoch(1), Epoch(2)], "one was lost, one is new");
        assert_eq!(schedule.ask(Millis(108_001), &spec), []);
    }

    #[test]
    fn the_answer_to_the_question_before_an_epoch_does_not_confirm_it() {
        let (spec, mut schedule) = (spec(), Schedule::new([PublicKey::ZERO]));
        assert_eq!(schedule.ask(Millis(99_000), &spec), [Epoch(0)]);
        assert_eq!(schedule.ask(Millis(100_000), &spec), [Epoch(0), Epoch(1)], "it has begun meanwhile");
        schedule.none(100_001, 0);
        schedule.none(100_001, 1);
        assert!(schedule.knows(&spec, Slot(0)));
        assert_eq!(schedule.ask(Millis(103_000), &spec), [], "the second answer is still to come");
        assert_eq!(schedule.ask(Millis(108_000), &spec), [Epoch(1), Epoch(2)], "but not for ever");
        schedule.none(108_001, 1);
        assert_eq!(schedule.ask(Millis(112_000), &spec), []);
    }

    #[test]
    fn duties_of_foreign_keys_are_left_out() {
        let (spec, mut schedule) = (spec(), Schedule::new([PublicKey([1; 48])]));
        schedule.ask(Millis(100_000), &spec);
        let duty = |byte| ProposerDuty {
            pubkey: PublicKey([byte; 48]),
            validator_index: 0.into(),
            slot: Slot(u64::from(byte)),
        };
        schedule.tell(Millis(100_001), Epoch(0), None, Some(vec![duty(1), duty(2)]), None);
        assert!(schedule.proposer(&spec, Slot(1)).is_some());
        assert!(schedule.proposer(&spec, Slot(2)).is_none());
    }

    fn roots(previous: u8, current: u8) -> DependentRoots {
        DependentRoots { previous: Root([previous; 32]), current: Root([current; 32]) }
    }

    #[test]
    fn a_reorganisation_that_changes_duties_makes_them_stale() {
        let (spec, mut schedule) = (spec(), Schedule::new([PublicKey::ZERO]));
        schedule.ask(Millis(100_000), &spec);
        schedule.none(100_001, 0);
        schedule.none(100_001, 1);
        assert!(!schedule.head(&spec, Slot(1), roots(0, 0)), "the first head changes nothing");
        assert!(!schedule.head(&spec, Slot(2), roots(0, 0)));
        assert_eq!(schedule.ask(Millis(102_000), &spec), []);
        assert!(schedule.head(&spec, Slot(2), roots(0, 1)), "another branch");
        assert_eq!(schedule.ask(Millis(102_001), &spec), [Epoch(0), Epoch(1)]);
        assert_eq!(schedule.ask(Millis(102_002), &spec), [], "the answer is on its way");
        schedule.lack(102_002, 0);
        schedule.none(102_002, 1);
        assert_eq!(schedule.wake_at(Millis(102_002), &spec), Millis(104_002));
        assert_eq!(schedule.ask(Millis(104_002), &spec), [Epoch(0)], "a part of it did not come");
        schedule.none(104_003, 0);
        assert_eq!(schedule.ask(Millis(106_003), &spec), []);
        assert!(!schedule.head(&spec, Slot(8), roots(1, 5)), "an epoch passes");
        assert!(schedule.head(&spec, Slot(16), roots(6, 7)), "the branch before it was another");
    }

    #[test]
    fn the_last_slot_of_an_epoch_is_voted_for_by_the_next_committee() {
        let (spec, mut schedule) = (spec(), Schedule::new([PublicKey([1; 48])]));
        schedule.ask(Millis(100_000), &spec);
        let member = |place| SyncDuty {
            pubkey: PublicKey([1; 48]),
            validator_index: 0.into(),
            validator_sync_committee_indices: vec![place],
        };
        schedule.tell(Millis(100_001), Epoch(0), None, None, Some(vec![member(3)]));
        assert_eq!(schedule.members(&spec, Slot(7))[0].1, member(3), "as far as is known");
        schedule.tell(Millis(100_001), Epoch(1), None, None, Some(vec![member(9)]));
        assert_eq!(schedule.members(&spec, Slot(6))[0].1, member(3));
        assert_eq!(schedule.members(&spec, Slot(7))[0].1, member(9));
    }
}
