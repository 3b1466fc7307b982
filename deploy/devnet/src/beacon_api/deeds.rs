//! Whether two signed things of one validator are slashable together.
//!
//! What is counted here was signed by the group's key and published, whether or not the chain took it.

use std::collections::{BTreeMap, BTreeSet};
use types::{AttestationData, Epoch, Root, Slot, ValidatorIndex};

/// A vote as the slashing conditions see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Vote {
    source: Epoch,
    target: Epoch,
    root: Root,
}

impl Vote {
    /// `is_slashable_attestation_data` of the specification, in either order.
    fn slashable_with(&self, other: &Self) -> bool {
        let double = self.target == other.target && self.root != other.root;
        let surrounds = |a: &Self, b: &Self| a.source < b.source && b.target < a.target;
        double || surrounds(self, other) || surrounds(other, self)
    }
}

/// Everything that was published and verified.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    votes: BTreeMap<ValidatorIndex, BTreeSet<Vote>>,
    blocks: BTreeMap<(Slot, ValidatorIndex), BTreeSet<Root>>,
    slashable: usize,
    handed_in: BTreeMap<(Slot, Slot), usize>,
}

impl Deeds {
    /// Something that only a group's signature makes was handed in, good or bad.
    ///
    /// - `of`: the slot that it is for. `at`: the slot in which it came.
    pub(super) fn hand_in(&mut self, of: Slot, at: Slot) {
        *self.handed_in.entry((of, at)).or_default() += 1;
    }

    /// How often something for one slot was handed in in another.
    pub(super) const fn handed_in(&self) -> &BTreeMap<(Slot, Slot), usize> {
        &self.handed_in
    }

    /// A vote whose signature verifies.
    pub(super) fn vote(&mut self, who: ValidatorIndex, data: &AttestationData) {
        let vote = Vote { source: data.source.epoch, target: data.target.epoch, root: Root::of(data) };
        let votes = self.votes.entry(who).or_default();
        if votes.contains(&vote) {
            return;
        }
        self.slashable += votes.iter().filter(|other| other.slashable_with(&vote)).count();
        votes.insert(vote);
    }

    /// A block whose signature verifies.
    pub(super) fn block(&mut self, who: ValidatorIndex, slot: Slot, root: Root) {
        let blocks = self.blocks.entry((slot, who)).or_default();
        if blocks.insert(root) {
            self.slashable += blocks.len() - 1;
        }
    }

    /// Pairs that are slashable.
    pub(super) const fn slashable(&self) -> usize {
        self.slashable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Checkpoint;

    fn data(source: u64, target: u64, head: u8) -> AttestationData {
        let checkpoint = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root::ZERO };
        let beacon_block_root = Root([head; 32]);
        AttestationData {
            beacon_block_root,
            source: checkpoint(source),
            target: checkpoint(target),
            ..Default::default()
        }
    }

    #[test]
    fn double_and_surrounding_votes_count_and_repetitions_do_not() {
        let rows = [
            (data(1, 2, 0), data(1, 2, 0), 0),
            (data(1, 2, 0), data(2, 3, 0), 0),
            (data(1, 2, 0), data(1, 2, 1), 1),
            (data(1, 4, 0), data(2, 3, 0), 1),
            (data(2, 3, 0), data(1, 4, 0), 1),
        ];
        for (first, second, slashable) in rows {
            let mut deeds = Deeds::default();
            deeds.vote(ValidatorIndex(1), &first);
            deeds.vote(ValidatorIndex(1), &second);
            deeds.vote(ValidatorIndex(2), &second);
            assert_eq!(deeds.slashable(), slashable, "{first:?} {second:?}");
        }
    }

    #[test]
    fn two_blocks_of_one_slot_count() {
        let mut deeds = Deeds::default();
        for (slot, root) in [(1, 1), (1, 1), (2, 2), (2, 3)] {
            deeds.block(ValidatorIndex(0), Slot(slot), Root([root; 32]));
        }
        assert_eq!(deeds.slashable(), 1);
    }
}
