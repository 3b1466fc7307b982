//! Partial signatures on their way to signatures.
//!
//! One [`Collect`] per instance. It stores what operators send, at most one partial per operator and item, and says
//! which items can be combined: those whose signing root is known and that have `t` partials not
//! known to be bad. Nothing is verified here: combining is optimistic, blame comes back with the result.
//!
//! Bound: operators x due items partials; partials for items that are not due are refused.

use crate::{CombineJob, Combined};
use std::collections::{BTreeMap, BTreeSet};
use types::wire::{Item, PartialSignature};
use types::{ShareIndex, Signature, SigningRoot};

/// What one signature has come to.
#[derive(Debug, Default)]
struct Entry {
    root: Option<SigningRoot>,
    /// In order of arrival.
    partials: Vec<(ShareIndex, Signature)>,
    bad: BTreeSet<ShareIndex>,
    /// Partials in the job that is out, or that was answered last: another job needs another partial.
    tried: usize,
    combining: bool,
    signature: Option<Signature>,
}

/// The partial signatures of one instance.
#[derive(Debug)]
pub struct Collect {
    threshold: usize,
    entries: BTreeMap<Item, Entry>,
}

impl Collect {
    /// For the items due, whose roots come with [`Collect::set_root`].
    pub fn new(threshold: usize, due: impl IntoIterator<Item = Item>) -> Self {
        let entries = due.into_iter().map(|item| (item, Entry::default())).collect();
        Self { threshold, entries }
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
    pub fn ready(&mut self) -> Vec<(Item, CombineJob)> {
        let threshold = self.threshold;
        let mut jobs = Vec::new();
        for (&item, entry) in &mut self.entries {
            let Some(root) = entry.root else { continue };
            if entry.combining || entry.signature.is_some() || entry.partials.len() == entry.tried {
                continue;
            }
            let good = entry.partials.iter().filter(|(index, _)| !entry.bad.contains(index));
            let partials: Vec<_> = good.copied().collect();
            if partials.len() < threshold {
                continue;
            }
            entry.combining = true;
            entry.tried = entry.partials.len();
            jobs.push((item, CombineJob { validator: item.validator, root, partials }));
        }
        jobs
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
        assert!(collect.ready().is_empty());
        collect.add(index(2), &partial(3));
        let jobs = collect.ready();
        assert_eq!(jobs[0].1.partials, [(index(1), Signature([1; 96])), (index(2), Signature([3; 96]))]);
        assert!(collect.ready().is_empty(), "one job at a time");
    }

    #[test]
    fn a_culprit_is_left_out_and_the_next_partial_tries_again() {
        let mut collect = collect();
        collect.add(index(1), &partial(1));
        collect.add(index(2), &partial(2));
        assert_eq!(collect.ready().len(), 1);
        collect.combined(FIRST, &Combined { signature: None, culprits: vec![index(2)] });
        assert!(collect.ready().is_empty(), "nothing new to try");
        collect.add(index(3), &partial(3));
        let jobs = collect.ready();
        assert_eq!(jobs[0].1.partials.iter().map(|(who, _)| who.get()).collect::<Vec<_>>(), [1, 3]);
        let signature = Signature([9; 96]);
        collect.combined(FIRST, &Combined { signature: Some(signature), culprits: vec![] });
        assert_eq!((collect.done(), collect.due()), (1, 1));
        collect.add(index(4), &partial(4));
        assert!(collect.ready().is_empty(), "done is done");
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
