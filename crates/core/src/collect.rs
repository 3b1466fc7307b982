//! Partial signatures on their way to signatures.
//!
//! One [`Collect`] per instance. It stores what operators send, at most one partial per operator and item, and says
//! which items can be combined: those whose signing root is known and that have `t` partials not
//! known to be bad. Nothing is verified here: combining is optimistic, blame comes back with the result.
//! Partials of operators that were caught lately are left out, unless others do not make up the number soon ([`Doubt`]).
//!
//! Bound: operators x due items partials; partials for items that are not due are refused.

use crate::{CombineJob, Combined};
use std::collections::{BTreeMap, BTreeSet};
use types::wire::{Item, PartialSignature};
use types::{Millis, ShareIndex, Signature, SigningRoot};

/// Whose partials are not combined as long as others are enough, and who may still send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Operators that were caught lately.
    pub caught: BTreeSet<ShareIndex>,
    /// Operators worth waiting for, before a caught one's partial is tried.
    pub awaited: BTreeSet<ShareIndex>,
    /// For how long, from when `t` partials were here with those of caught operators.
    pub patience: Millis,
}

/// What one signature has come to.
#[derive(Debug, Default)]
struct Entry {
    root: Option<SigningRoot>,
    /// In order of arrival.
    partials: Vec<(ShareIndex, Signature)>,
    bad: BTreeSet<ShareIndex>,
    /// Whose partials are in the job that is out, or that was answered last: another job needs another partial.
    tried: BTreeSet<ShareIndex>,
    combining: bool,
    signature: Option<Signature>,
    /// Since when there are enough only with those of caught operators.
    doubted: Option<Millis>,
}

/// Whether an item can be combined.
enum Enough {
    No,
    /// Not before then, unless another partial comes.
    HeldUntil(Millis),
    /// At least `t` partials.
    Yes(Vec<(ShareIndex, Signature)>),
}

impl Entry {
    /// Partials to combine, at least `threshold`: of operators that nothing is held against if they are enough; of all
    /// that have not proved bad here, once nobody is left to wait for or it has taken too long.
    fn enough(&mut self, now: Millis, threshold: usize, doubt: &Doubt) -> Enough {
        let good = self.partials.iter().filter(|(index, _)| !self.bad.contains(index));
        let trusted: Vec<_> =
            good.clone().filter(|(index, _)| !doubt.caught.contains(index)).copied().collect();
        if trusted.len() >= threshold {
            return Enough::Yes(trusted);
        }
        let all: Vec<_> = good.copied().collect();
        if all.len() < threshold {
            return Enough::No;
        }
        let has_come = |index: &ShareIndex| self.partials.iter().any(|(from, _)| from == index);
        let waits = doubt.awaited.difference(&doubt.caught).any(|index| !has_come(index));
        let until = self.doubted.get_or_insert(now).after(doubt.patience);
        if waits && now < until { Enough::HeldUntil(until) } else { Enough::Yes(all) }
    }
}

/// The partial signatures of one instance.
#[derive(Debug)]
pub struct Collect {
    threshold: usize,
    entries: BTreeMap<Item, Entry>,
    /// When something can be combined, whoever sends nothing more.
    held_until: Option<Millis>,
}

impl Collect {
    /// For the items due, whose roots come with [`Collect::set_root`].
    pub fn new(threshold: usize, due: impl IntoIterator<Item = Item>) -> Self {
        let entries = due.into_iter().map(|item| (item, Entry::default())).collect();
        Self { threshold, entries, held_until: None }
    }

    /// One more item is due.
    pub fn expect(&mut self, item: Item) {
        self.entries.entry(item).or_default();
    }

    /// Tells what an item's partials are over.
    pub fn set_root(&mut self, item: Item, root: SigningRoot) {
        if let Some(entry) = self.entries.get_mut(&item) {
            entry.root = Some(root);
        }
    }

    /// Takes an operator's partials; a second one for the same item is not counted.
    pub fn add(&mut self, from: ShareIndex, partials: &[PartialSignature]) {
        for partial in partials {
            let Some(entry) = self.entries.get_mut(&partial.item) else { continue };
            if entry.partials.iter().all(|(index, _)| *index != from) {
                entry.partials.push((from, partial.signature));
            }
        }
    }

    /// Items that can be combined now; each partial that arrives later makes one more try possible.
    pub fn ready(&mut self, now: Millis, doubt: &Doubt) -> Vec<(Item, CombineJob)> {
        let threshold = self.threshold;
        self.held_until = None;
        let mut jobs = Vec::new();
        for (&item, entry) in &mut self.entries {
            let Some(root) = entry.root else { continue };
            if entry.combining || entry.signature.is_some() {
                continue;
            }
            let partials = match entry.enough(now, threshold, doubt) {
                Enough::No => continue,
                Enough::HeldUntil(until) => {
                    self.held_until = Some(self.held_until.map_or(until, |held| held.min(until)));
                    continue;
                }
                Enough::Yes(partials) => partials,
            };
            let operators: BTreeSet<_> = partials.iter().map(|(index, _)| *index).collect();
            if operators.is_subset(&entry.tried) {
                continue;
            }
            entry.combining = true;
            entry.tried = operators;
            jobs.push((item, CombineJob { validator: item.validator, root, partials }));
        }
        jobs
    }

    /// When to ask again what is ready, though nothing has come: by what was held back the last time.
    pub const fn wake_at(&self) -> Option<Millis> {
        self.held_until
    }

    /// Takes the result of a job.
    pub fn combined(&mut self, item: Item, result: &Combined) {
        let Some(entry) = self.entries.get_mut(&item) else { return };
        entry.combining = false;
        entry.bad.extend(&result.culprits);
        entry.signature = entry.signature.or(result.signature);
    }

    /// The validator's signature, once there is one.
    pub fn signature(&self, item: Item) -> Option<Signature> {
        self.entries.get(&item)?.signature
    }

    /// Whether an item is due.
    pub fn is_due(&self, item: Item) -> bool {
        self.entries.contains_key(&item)
    }

    /// Items due.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        self.entries.keys().copied()
    }

    /// How many items have their signature.
    pub fn done(&self) -> usize {
        self.entries.values().filter(|entry| entry.signature.is_some()).count()
    }

    /// How many items are due.
    pub fn due(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Root, ValidatorNo};

    const NOW: Millis = Millis(100);
    const FIRST: Item = Item::of(ValidatorNo(0));

    fn index(number: u8) -> ShareIndex {
        ShareIndex::new(number).unwrap()
    }

    fn partial(byte: u8) -> [PartialSignature; 1] {
        [PartialSignature { item: FIRST, signature: Signature([byte; 96]) }]
    }

    fn collect() -> Collect {
        let mut collect = Collect::new(2, [FIRST]);
        collect.set_root(FIRST, SigningRoot::compute(Root::ZERO, Root::ZERO));
        collect
    }

    #[test]
    fn two_partials_by_one_operator_count_once() {
        let mut collect = collect();
        collect.add(index(1), &partial(1));
        collect.add(index(1), &partial(2));
        assert!(collect.ready(NOW, &Doubt::default()).is_empty());
        collect.add(index(2), &partial(3));
        let jobs = collect.ready(NOW, &Doubt::default());
        assert_eq!(jobs[0].1.partials, [(index(1), Signature([1; 96])), (index(2), Signature([3; 96]))]);
        assert!(collect.ready(NOW, &Doubt::default()).is_empty(), "one job at a time");
    }

    #[test]
    fn a_culprit_is_left_out_and_the_next_partial_tries_again() {
        let mut collect = collect();
        collect.add(index(1), &partial(1));
        collect.add(index(2), &partial(2));
        assert_eq!(collect.ready(NOW, &Doubt::default()).len(), 1);
        collect.combined(FIRST, &Combined { signature: None, culprits: vec![index(2)] });
        assert!(collect.ready(NOW, &Doubt::default()).is_empty(), "nothing new to try");
        collect.add(index(3), &partial(3));
        let jobs = collect.ready(NOW, &Doubt::default());
        assert_eq!(jobs[0].1.partials.iter().map(|(who, _)| who.get()).collect::<Vec<_>>(), [1, 3]);
        let signature = Signature([9; 96]);
        collect.combined(FIRST, &Combined { signature: Some(signature), culprits: vec![] });
        assert_eq!((collect.done(), collect.due()), (1, 1));
        collect.add(index(4), &partial(4));
        assert!(collect.ready(NOW, &Doubt::default()).is_empty(), "done is done");
    }

    fn doubt(caught: &[u8], awaited: &[u8]) -> Doubt {
        let set = |numbers: &[u8]| numbers.iter().copied().map(index).collect();
        Doubt { caught: set(caught), awaited: set(awaited), patience: Millis(10) }
    }

    fn operators(jobs: &[(Item, CombineJob)]) -> Vec<u8> {
        jobs.iter().flat_map(|(_, job)| &job.partials).map(|(index, _)| index.get()).collect()
    }

    #[test]
    fn a_caught_operators_partial_waits_for_those_who_may_still_send() {
        let mut collect = collect();
        let doubt = doubt(&[1], &[2, 3]);
        collect.add(index(1), &partial(1));
        collect.add(index(2), &partial(2));
        assert!(collect.ready(NOW, &doubt).is_empty(), "the third may still send");
        collect.add(index(3), &partial(3));
        assert_eq!(operators(&collect.ready(NOW, &doubt)), [2, 3]);
    }

    #[test]
    fn others_are_waited_for_so_long_and_no_longer() {
        let mut collect = collect();
        let doubt = doubt(&[1], &[2, 3]);
        collect.add(index(1), &partial(1));
        assert!(collect.ready(NOW, &doubt).is_empty());
        assert_eq!(collect.wake_at(), None, "nothing is held back, there are too few");
        collect.add(index(2), &partial(2));
        assert!(collect.ready(NOW, &doubt).is_empty());
        assert_eq!(collect.wake_at(), Some(Millis(110)));
        assert!(collect.ready(Millis(109), &doubt).is_empty());
        assert_eq!(collect.wake_at(), Some(Millis(110)), "from when there were enough");
        assert_eq!(operators(&collect.ready(Millis(110), &doubt)), [1, 2]);
        assert_eq!(collect.wake_at(), None);
    }

    #[test]
    fn a_caught_operators_partial_is_used_when_nobody_else_is_left() {
        let mut collect = collect();
        collect.add(index(1), &partial(1));
        collect.add(index(2), &partial(2));
        assert!(collect.ready(NOW, &doubt(&[1], &[1, 2, 3])).is_empty());
        assert_eq!(operators(&collect.ready(NOW, &doubt(&[1], &[1, 2]))), [1, 2]);
    }

    #[test]
    fn those_left_out_are_tried_when_a_trusted_one_proves_bad() {
        let mut collect = collect();
        let doubt = doubt(&[1], &[1, 2, 3]);
        (1..=3).for_each(|number| collect.add(index(number), &partial(number)));
        assert_eq!(operators(&collect.ready(NOW, &doubt)), [2, 3]);
        collect.combined(FIRST, &Combined { signature: None, culprits: vec![index(3)] });
        assert_eq!(operators(&collect.ready(NOW, &doubt)), [1, 2], "everybody has spoken");
        collect.combined(FIRST, &Combined { signature: None, culprits: vec![index(1)] });
        assert!(collect.ready(NOW, &doubt).is_empty());
    }

    #[test]
    fn partials_for_items_not_due_take_no_room() {
        let mut collect = collect();
        let foreign = PartialSignature { item: Item::of(ValidatorNo(7)), signature: Signature::ZERO };
        collect.add(index(1), &[foreign]);
        assert_eq!(collect.entries.len(), 1);
        assert!(collect.entries[&FIRST].partials.is_empty());
    }
}
