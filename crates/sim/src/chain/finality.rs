//! What to vote for, and what such votes make justified and final.

use super::Chain;
use std::collections::BTreeSet;
use types::{BeaconVote, Checkpoint, Epoch, Root, Slot};

impl Chain {
    /// The newest block of the branch below `head` whose slot is at most `slot`.
    pub(super) fn ancestor(&self, head: Root, slot: Slot) -> Root {
        let mut root = head;
        while self.blocks[&root].slot > slot {
            root = self.blocks[&root].parent;
        }
        root
    }

    /// What a beacon node that knows the branch up to `head` answers when asked what to attest.
    pub fn vote(&mut self, slot: Slot, head: Root) -> BeaconVote {
        let epoch = self.spec().epoch_of(slot);
        let head = self.ancestor(head, slot);
        let boundary = self.ancestor(head, self.spec().epoch_start(epoch));
        let source = self.source(epoch);
        let target = Checkpoint { epoch, root: boundary };
        BeaconVote { slot, index: 0, beacon_block_root: head, source, target }
    }

    /// The justified checkpoint in force in an epoch; fixes it, and finality, at the first question.
    pub fn source(&mut self, epoch: Epoch) -> Checkpoint {
        if let Some(source) = self.sources.get(&epoch) {
            return *source;
        }
        let before =
            epoch.0.checked_sub(1).map_or(Checkpoint::default(), |before| self.source(Epoch(before)));
        let source = self.justify(epoch).unwrap_or(before);
        if source != before && before.epoch.next() == source.epoch {
            self.finalized = before;
        }
        self.sources.insert(epoch, source);
        source
    }

    /// The epoch before `epoch`, if two thirds of the validators voted for its target in blocks.
    fn justify(&self, epoch: Epoch) -> Option<Checkpoint> {
        let before = Epoch(epoch.0.checked_sub(1)?);
        let root = self.ancestor(self.head, self.spec().epoch_start(before));
        let target = Checkpoint { epoch: before, root };
        let votes: BTreeSet<_> = self
            .included
            .iter()
            .filter(|(_, data)| data.target == target)
            .map(|((_, who), _)| *who)
            .collect();
        let (voted, all) = self.weigh(before, &votes);
        (before.0 > 0 && voted * 3 >= all * 2).then_some(target)
    }
}
