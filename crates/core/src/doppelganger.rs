//! Whether somebody else signs for our validators: what the chain saw of them against what this cluster sent.
//!
//! For every epoch the beacon nodes are asked which of our validators were *live* in it. One that was, though no operator
//! of this cluster sent a partial signature for it, has a doppelganger: its key signs elsewhere.
//!
//! An alarm stops the node, so it must not be false. What could make it so, and why it does not:
//!
//! - *The others signed and this node did not hear of it.* `t` operators sign; without this one at least `t` of
//!   the `n - 1` others. If `n - t + f` of those were linked without a break, `f` liars taken away, at least one
//!   honest signer was linked, and its partials go to all. With fewer links in an epoch, or a broken one, nothing is asked.
//!   A link that only seems to be up does not count: of whom nothing was heard in one of the epochs, it is not known.
//! - *This node was not there.* Epochs count that began after it had started. A clock that was off begins anew.
//! - *What was signed in the epoch before came late.* A beacon node may count an attestation by the block
//!   that includes it, in the epoch after its own at most. So a partial of the epoch before excuses too, and that epoch
//!   must have been watched as well.
//! - *Something else than an attestation was seen.* Partials of blocks, aggregates, contributions and sync messages
//!   excuse alike. Reveals and selection proofs do not: they alone put nothing on the chain.
//! - *A frame was lost.* For an alarm every frame of every honest signer about this validator must be, in two epochs.
//!
//! What this cannot see: a doppelganger in epochs in which the cluster signs for the same validator, or before two whole
//! epochs have passed since the start; and one bad operator can hide a doppelganger from it by partials that are worth
//! nothing, which are blamed on it where they are combined.
//!
//! Bound: three epochs' sets of validators and operators.

use crate::mutants::{Mutant, Rules};
use std::collections::{BTreeMap, BTreeSet};
use types::wire::{Kind, Message};
use types::{ChainSpec, ClusterSize, Epoch, Millis, ShareIndex, Slot, ValidatorNo};

/// The part of the next epoch, in quarters, after which an epoch is asked about: late signatures are in the chain by
/// then, and beacon nodes answer for the epoch before the current one only.
const ASK_AFTER_QUARTERS: u64 = 3;

/// What one node has seen its cluster send.
#[derive(Debug)]
pub(crate) struct Sightings {
    size: ClusterSize,
    validators: usize,
    /// Since when this node watches.
    since: Millis,
    /// Since when each other operator has been linked without a break.
    linked: BTreeMap<ShareIndex, Millis>,
    /// Other operators of whom anything was heard, by the epoch in which it came.
    heard: BTreeMap<Epoch, BTreeSet<ShareIndex>>,
    /// Validators for which partials came, by the epoch of the slot they are for.
    seen: BTreeMap<Epoch, BTreeSet<ValidatorNo>>,
    /// The slot of the last question.
    asked: Option<Slot>,
    /// The last epoch that was judged.
    judged: Option<Epoch>,
    rules: Rules,
}

impl Sightings {
    /// For a node that has just started.
    pub(crate) fn new(size: ClusterSize, validators: usize, since: Millis) -> Self {
        Self {
            size,
            validators,
            since,
            linked: BTreeMap::new(),
            heard: BTreeMap::new(),
            seen: BTreeMap::new(),
            asked: None,
            judged: None,
            rules: Rules::default(),
        }
    }

    /// The same under these rules.
    pub(crate) fn under(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// The clock was off: epochs that have begun do not count.
    pub(crate) fn begin_anew(&mut self, now: Millis) {
        self.since = now;
    }

    /// A link to another operator came up or went down.
    pub(crate) fn presence(&mut self, now: Millis, peer: ShareIndex, up: bool) {
        if up {
            self.linked.entry(peer).or_insert(now);
        } else {
            self.linked.remove(&peer);
        }
    }

    /// An operator says something, this one included.
    pub(crate) fn hear(&mut self, now: Millis, spec: &ChainSpec, from: ShareIndex, message: &Message) {
        if let Some(slot) = spec.slot_at(now) {
            self.heard.entry(spec.epoch_of(slot)).or_default().insert(from);
        }
        let Message::Partial(partials) = message else { return };
        let instance = partials.signed.statement.instance;
        if !shows_on_chain(instance.kind) {
            return;
        }
        let validators = partials.partials.iter().map(|partial| partial.item.validator);
        let ours = validators.filter(|validator| (validator.0 as usize) < self.validators);
        self.seen.entry(spec.epoch_of(instance.slot)).or_default().extend(ours);
    }

    /// The epoch to ask the beacon nodes about, if it is time: once a slot until it is judged.
    pub(crate) fn ask(&mut self, now: Millis, spec: &ChainSpec) -> Option<Epoch> {
        let slot = spec.slot_at(now)?;
        let current = spec.epoch_of(slot);
        let epoch = Epoch(current.0.checked_sub(1)?);
        let oldest = Epoch(epoch.0.saturating_sub(1));
        self.seen = self.seen.split_off(&oldest);
        self.heard = self.heard.split_off(&oldest);
        let late = slot.0 - spec.epoch_start(current).0 >= spec.slots_per_epoch * ASK_AFTER_QUARTERS / 4;
        let done = self.judged >= Some(epoch) || self.asked == Some(slot);
        if !late || done || !self.watched(spec, epoch) {
            return None;
        }
        self.asked = Some(slot);
        Some(epoch)
    }

    /// The validators that were live in an epoch though nobody here signed for them. Once an epoch.
    pub(crate) fn judge(
        &mut self,
        spec: &ChainSpec,
        epoch: Epoch,
        live: &BTreeSet<ValidatorNo>,
    ) -> BTreeSet<ValidatorNo> {
        if self.judged >= Some(epoch) || !self.watched(spec, epoch) {
            return BTreeSet::new();
        }
        self.judged = Some(epoch);
        let excused = |validator: &ValidatorNo| {
            let epochs = [Some(epoch), epoch.0.checked_sub(1).map(Epoch)];
            let mut seen = epochs.into_iter().flatten().filter_map(|epoch| self.seen.get(&epoch));
            seen.any(|seen| seen.contains(validator))
        };
        live.iter().filter(|validator| !excused(validator)).copied().collect()
    }

    /// Whether enough was heard, without a break, from the start of the epoch before on.
    fn watched(&self, spec: &ChainSpec, epoch: Epoch) -> bool {
        let Some(before) = epoch.0.checked_sub(1).map(Epoch) else { return false };
        if self.rules.break_with(Mutant::UnwatchedJudged) {
            return true;
        }
        let start = spec.slot_start(spec.epoch_start(before));
        let heard_in =
            |peer: &ShareIndex, epoch| self.heard.get(&epoch).is_some_and(|heard| heard.contains(peer));
        let links = self.linked.iter().filter(|(_, since)| **since <= start);
        let linked = links.filter(|(peer, _)| heard_in(peer, before) && heard_in(peer, epoch)).count();
        let needed = self.size.operators() - self.size.threshold() + usize::from(self.size.faults());
        self.since <= start && linked >= needed
    }
}

/// Whether what is signed may make a validator live in a beacon node's eyes.
const fn shows_on_chain(kind: Kind) -> bool {
    match kind {
        Kind::Attest | Kind::Propose | Kind::Aggregate | Kind::Contribute | Kind::SyncMessage => true,
        Kind::Randao | Kind::Selection | Kind::SyncSelection | Kind::Exit | Kind::Registration => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::wire::{Instance, Item, PartialSignature, Partials, Statement, Step, ValueId};
    use types::{Generation, Root, Signature};

    const ME: u8 = 1;

    fn spec() -> ChainSpec {
        ChainSpec::builtin("mainnet").unwrap()
    }

    fn index(number: u8) -> ShareIndex {
        ShareIndex::new(number).unwrap()
    }

    fn at(spec: &ChainSpec, epoch: u64, slot: u64) -> Millis {
        spec.slot_start(Slot(epoch * spec.slots_per_epoch + slot))
    }

    /// 3 of 4 operators, linked with these others since the node started, before epoch 10.
    fn sightings(spec: &ChainSpec, others: &[u8]) -> Sightings {
        let start = at(spec, 9, 31);
        let mut sightings = Sightings::new(ClusterSize::new_safe(4, 3).unwrap(), 2, start);
        for peer in others {
            sightings.presence(start, index(*peer), true);
            for epoch in [10, 11] {
                hear_of(&mut sightings, spec, *peer, epoch);
            }
        }
        sightings
    }

    fn hear_of(sightings: &mut Sightings, spec: &ChainSpec, peer: u8, epoch: u64) {
        let instance = Instance::new(Generation(0), Slot(0), Kind::Attest);
        let anything = Message::Fetch(ValueId { instance, hash: Root::ZERO });
        sightings.hear(at(spec, epoch, 5), spec, index(peer), &anything);
    }

    /// This node hears its own partial, or another's.
    fn sign(sightings: &mut Sightings, spec: &ChainSpec, kind: Kind, epoch: u64, validator: u32) {
        sightings.hear(at(spec, epoch, 4), spec, index(ME), &partial(spec, kind, epoch, validator));
    }

    fn partial(spec: &ChainSpec, kind: Kind, epoch: u64, validator: u32) -> Message {
        let instance = Instance::new(Generation(0), Slot(epoch * spec.slots_per_epoch + 3), kind);
        let item = Item::of(ValidatorNo(validator));
        let partials = vec![PartialSignature { item, signature: Signature::ZERO }];
        let statement =
            Statement { instance, step: Step::Partial, round: 0, hash: Root::ZERO, extra: Root::ZERO };
        Message::Partial(Partials { signed: statement.unsigned(index(ME)), partials })
    }

    fn set(numbers: &[u32]) -> BTreeSet<ValidatorNo> {
        numbers.iter().map(|number| ValidatorNo(*number)).collect()
    }

    #[test]
    fn a_live_validator_for_which_nobody_signed_is_a_doppelganger() {
        let spec = spec();
        let mut sightings = sightings(&spec, &[2, 3]);
        for epoch in [10, 11] {
            sign(&mut sightings, &spec, Kind::Attest, epoch, 0);
        }
        assert_eq!(sightings.ask(at(&spec, 12, 23), &spec), None, "too early");
        assert_eq!(sightings.ask(at(&spec, 12, 24), &spec), Some(Epoch(11)));
        assert_eq!(sightings.ask(at(&spec, 12, 24), &spec), None, "once a slot");
        assert_eq!(sightings.ask(at(&spec, 12, 25), &spec), Some(Epoch(11)), "and again without an answer");
        assert_eq!(sightings.judge(&spec, Epoch(11), &set(&[0, 1])), set(&[1]));
        assert_eq!(sightings.judge(&spec, Epoch(11), &set(&[0, 1])), set(&[]), "once an epoch");
        assert_eq!(sightings.ask(at(&spec, 12, 26), &spec), None);
    }

    #[test]
    fn any_partial_of_the_epoch_or_of_the_one_before_excuses_if_it_shows_on_the_chain() {
        let spec = spec();
        for epoch in [9, 10, 11, 12] {
            for kind in Kind::ALL {
                let mut sightings = sightings(&spec, &[2, 3]);
                sign(&mut sightings, &spec, kind, epoch, 1);
                sightings.ask(at(&spec, 12, 24), &spec).unwrap();
                let found = !sightings.judge(&spec, Epoch(11), &set(&[1])).is_empty();
                let hidden = matches!(
                    kind,
                    Kind::Randao | Kind::Selection | Kind::SyncSelection | Kind::Exit | Kind::Registration
                );
                assert_eq!(found, !(!hidden && (epoch == 10 || epoch == 11)), "{kind} in epoch {epoch}");
            }
        }
    }

    #[test]
    fn an_epoch_that_was_not_watched_whole_is_not_asked_about() {
        let spec = spec();
        let ask = |change: &dyn Fn(&mut Sightings), others: &[u8]| {
            let mut sightings = sightings(&spec, others);
            change(&mut sightings);
            sightings.ask(at(&spec, 12, 24), &spec)
        };
        assert_eq!(ask(&|_| {}, &[2, 3]), Some(Epoch(11)));
        assert_eq!(ask(&|_| {}, &[4]), None, "two of the others may be liars' and the signers'");
        let begun = |epoch, slot| ask(&|one| one.begin_anew(at(&spec, epoch, slot)), &[2, 3, 4]);
        assert_eq!((begun(10, 0), begun(10, 1)), (Some(Epoch(11)), None));
        let torn = |one: &mut Sightings| {
            one.presence(at(&spec, 12, 1), index(3), false);
            one.presence(at(&spec, 12, 1), index(3), true);
        };
        assert_eq!(ask(&torn, &[2, 3]), None);
        assert_eq!(ask(&torn, &[2, 3, 4]), Some(Epoch(11)));
    }

    #[test]
    fn a_link_over_which_nothing_came_in_an_epoch_counts_for_nothing() {
        let spec = spec();
        for silent in [10, 11] {
            let mut sightings = sightings(&spec, &[2]);
            sightings.presence(at(&spec, 9, 31), index(3), true);
            hear_of(&mut sightings, &spec, 3, 21 - silent);
            assert_eq!(sightings.ask(at(&spec, 12, 24), &spec), None, "silent in epoch {silent}");
            hear_of(&mut sightings, &spec, 3, silent);
            assert_eq!(sightings.ask(at(&spec, 12, 24), &spec), Some(Epoch(11)));
        }
    }

    #[test]
    fn a_link_that_breaks_before_the_answer_silences_the_alarm() {
        let spec = spec();
        let mut sightings = sightings(&spec, &[2, 3]);
        assert_eq!(sightings.ask(at(&spec, 12, 24), &spec), Some(Epoch(11)));
        sightings.presence(at(&spec, 12, 24), index(2), false);
        assert_eq!(sightings.judge(&spec, Epoch(11), &set(&[0])), set(&[]));
    }

    #[test]
    fn old_epochs_and_strange_validators_take_no_room() {
        let spec = spec();
        let mut sightings = sightings(&spec, &[2, 3]);
        for epoch in 10..30 {
            sign(&mut sightings, &spec, Kind::Attest, epoch, 7);
            sightings.ask(at(&spec, epoch, 0), &spec);
            assert!(sightings.seen.len() <= 3 && sightings.heard.len() <= 3, "{sightings:?}");
            assert!(sightings.seen.values().all(BTreeSet::is_empty));
        }
    }
}
