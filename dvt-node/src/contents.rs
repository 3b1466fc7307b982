//! Payloads and blobs: what belongs to a block that operators agree on in its blinded form.
//!
//! The node whose beacon node made a block sends its contents to all others, behind all messages; whoever holds them can
//! publish the block, and sends them to who asks. Bounds: four blocks of the own beacon nodes, and of each other operator
//! two for this slot and two for each slot beside it: its first words count, so that what was voted for stays.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use types::block::{BlockContents, BlockShape};
use types::wire::{Instance, Value, ValueAnswer, ValueId};
use types::{ChainSpec, Root, ShareIndex, Slot};

/// Blocks of the own beacon nodes: those of this slot's rounds and the last one's.
const OWN_MAX: usize = 4;

/// Blocks of one slot taken from one operator: its own, and one of another operator that it was asked for.
const OTHERS_MAX: usize = 2;

#[derive(Debug, Default)]
struct Held {
    own: BTreeMap<(Slot, Root), BlockContents>,
    others: BTreeMap<(Slot, ShareIndex), Vec<BlockContents>>,
}

impl Held {
    fn of(&self, root: Root) -> Option<&BlockContents> {
        let others = self.others.values().flatten();
        self.own.values().chain(others).find(|contents| contents.block.root == root)
    }
}

/// Contents by block.
#[derive(Debug, Default)]
pub struct Contents {
    held: Mutex<Held>,
    /// Something came.
    news: Notify,
}

impl Contents {
    /// Keeps what the own beacon node has made.
    pub fn keep(&self, slot: Slot, contents: BlockContents) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.own.insert((slot, contents.block.root), contents);
        while held.own.len() > OWN_MAX {
            held.own.pop_first();
        }
    }

    /// Takes what another operator sent for a block of about this slot; its third for one slot counts no more. What is at
    /// hand already is not kept twice.
    ///
    /// - Returns the block's root if the bytes are the contents of that block, in the fork of its slot, with as many
    ///   blobs as it commits to. Whether they are the blobs that it commits to only a beacon node knows.
    /// - Cost: hashes the block, some 10 ms a megabyte: for a thread that may block.
    pub fn take(
        &self,
        spec: &ChainSpec,
        current: Slot,
        from: ShareIndex,
        answer: &ValueAnswer,
    ) -> Option<Root> {
        let slot = answer.id.instance.slot;
        if slot.0.abs_diff(current.0) > 1 {
            return None;
        }
        let shape = BlockShape::full(spec.preset, spec.fork_at(spec.epoch_of(slot)).fork);
        let contents = BlockContents::from_ssz(shape, &answer.value.0).ok()?;
        let root = contents.block.root;
        let whole = contents.belongs_to(&contents.block).is_ok();
        if root != answer.id.hash || contents.block.slot != slot || !whole {
            return None;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.others.retain(|(of, _), _| of.0.abs_diff(current.0) <= 1);
        if held.of(root).is_some() {
            return Some(root);
        }
        let kept = held.others.entry((slot, from)).or_default();
        if kept.len() >= OTHERS_MAX {
            return None;
        }
        kept.push(contents);
        drop(held);
        self.news.notify_waiters();
        Some(root)
    }

    /// The contents of a block, if they are at hand.
    pub fn of(&self, root: Root) -> Option<BlockContents> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.of(root).cloned()
    }

    /// The contents of a block, once they come, within a time.
    pub async fn wait_for(&self, root: Root, within: Duration) -> Option<BlockContents> {
        let come = async {
            loop {
                let news = self.news.notified();
                if let Some(contents) = self.of(root) {
                    return contents;
                }
                news.await;
            }
        };
        tokio::time::timeout(within, come).await.ok()
    }

    /// What is sent to other operators for a block whose contents are at hand.
    pub fn message(&self, instance: Instance, root: Root) -> Option<ValueAnswer> {
        let contents = self.of(root)?;
        let value: Value = contents.to_ssz().into();
        Some(ValueAnswer { id: ValueId { instance, hash: root }, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssz::Encode as _;
    use std::sync::Arc;
    use types::block::body::{BeaconBlock, BodyElectra};
    use types::block::{ProposedBlock, Sidecars};
    use types::sizes::Minimal;
    use types::wire::Kind;
    use types::{Fork, Generation, Preset};

    fn spec() -> ChainSpec {
        let mut spec = ChainSpec::builtin("hoodi").unwrap();
        spec.preset = Preset::Minimal;
        for row in &mut spec.forks {
            row.epoch = types::Epoch(if row.fork <= Fork::Electra { 0 } else { 1_000_000 });
        }
        spec
    }

    fn contents(slot: u64, graffiti: u8) -> BlockContents {
        let mut block = BeaconBlock::<BodyElectra<Minimal>> { slot: Slot(slot), ..Default::default() };
        block.body.graffiti = Root([graffiti; 32]);
        let block = ProposedBlock::decode(Preset::Minimal, Fork::Electra, &block.as_ssz_bytes()).unwrap();
        BlockContents { block, sidecars: Sidecars::default() }
    }

    fn answer(contents: &BlockContents) -> ValueAnswer {
        let instance = Instance::new(Generation(0), contents.block.slot, Kind::Propose);
        let id = ValueId { instance, hash: contents.block.root };
        ValueAnswer { id, value: contents.to_ssz().into() }
    }

    fn operator(number: u8) -> ShareIndex {
        ShareIndex::new(number).unwrap()
    }

    #[test]
    fn contents_of_another_block_than_they_say_are_not_taken() {
        let (spec, kept, one) = (spec(), Contents::default(), contents(7, 1));
        let mut lie = answer(&one);
        lie.id.hash = Root::ZERO;
        assert_eq!(kept.take(&spec, Slot(7), operator(2), &lie), None);
        let mut late = answer(&one);
        late.id.instance.slot = Slot(8);
        assert_eq!(kept.take(&spec, Slot(7), operator(2), &late), None);
        assert_eq!(kept.of(one.block.root), None);
        assert_eq!(kept.take(&spec, Slot(7), operator(2), &answer(&one)), Some(one.block.root));
        assert_eq!(kept.of(one.block.root), Some(one));
    }

    #[test]
    fn one_operator_s_contents_never_push_out_another_s() {
        let (spec, kept) = (spec(), Contents::default());
        let own = contents(7, 0);
        kept.keep(Slot(7), own.clone());
        let honest = contents(7, 1);
        kept.take(&spec, Slot(7), operator(2), &answer(&honest));
        for graffiti in 2..200 {
            let taken = kept.take(&spec, Slot(7), operator(3), &answer(&contents(7, graffiti)));
            assert_eq!(taken.is_some(), graffiti <= 3, "of one operator and slot the first two");
        }
        assert!(kept.of(honest.block.root).is_some() && kept.of(own.block.root).is_some());
        for graffiti in [2, 3] {
            assert!(kept.of(contents(7, graffiti).block.root).is_some(), "what was voted for stays");
        }
        let again = kept.take(&spec, Slot(7), operator(4), &answer(&honest));
        assert_eq!(again, Some(honest.block.root), "known from another operator");
        let more =
            (4..6).map(|graffiti| kept.take(&spec, Slot(7), operator(4), &answer(&contents(7, graffiti))));
        assert!(more.flatten().count() == 2, "and not counted as one of the two");
        assert_eq!(kept.take(&spec, Slot(9), operator(3), &answer(&contents(7, 9))), None, "long over");
        assert!(kept.take(&spec, Slot(9), operator(3), &answer(&contents(9, 9))).is_some());
        assert!(kept.of(honest.block.root).is_none(), "two slots ago");
    }

    #[tokio::test]
    async fn who_waits_for_contents_gets_them_when_they_come_or_nothing_in_time() {
        let (spec, kept, one) = (spec(), Arc::new(Contents::default()), contents(7, 1));
        let root = one.block.root;
        assert_eq!(kept.wait_for(root, Duration::ZERO).await, None);
        let waiting = tokio::spawn({
            let kept = kept.clone();
            async move { kept.wait_for(root, Duration::MAX).await }
        });
        tokio::task::yield_now().await;
        kept.take(&spec, Slot(7), operator(2), &answer(&one));
        assert_eq!(waiting.await.unwrap(), Some(one));
    }
}
