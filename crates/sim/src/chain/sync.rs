//! The sync committee's votes: single ones come in, beacon nodes add them up by subcommittee, blocks carry the sum of
//! what contributors published.

use super::{Chain, Pooled, Rejection, field};
use crate::curve::Curve;
use ssz::{BitVector, Encode as _};
use types::aggregate::{Aggregate, AggregateShape};
use types::selection::subcommittee_len;
use types::sizes::Minimal;
use types::sync::{SyncAggregate, SyncCommitteeContribution, SyncCommitteeMessage};
use types::{Millis, Root, Signature, SigningRoot, Slot, ValidatorIndex};

impl Chain {
    /// Takes a sync committee member's vote into the pool.
    pub fn take_sync_message(
        &mut self,
        curve: &impl Curve,
        now: Millis,
        message: &SyncCommitteeMessage,
    ) -> Result<(), Rejection> {
        let result = self.check_sync_message(curve, now, message);
        if result.is_ok() {
            let SyncCommitteeMessage { slot, beacon_block_root, validator_index, signature } = *message;
            let votes = self.messages.entry((slot, beacon_block_root)).or_default();
            votes.entry(validator_index).or_insert(Pooled { signature, at: now });
        }
        self.note(result)
    }

    fn check_sync_message(
        &self,
        curve: &impl Curve,
        now: Millis,
        message: &SyncCommitteeMessage,
    ) -> Result<(), Rejection> {
        let SyncCommitteeMessage { slot, beacon_block_root, validator_index, signature } = message;
        self.check_current(now, *slot)?;
        self.check_sync_head(*slot, beacon_block_root)?;
        field("member", self.sync_voters(*slot).contains(validator_index))?;
        let root = SigningRoot::sync_message(self.spec(), *slot, *beacon_block_root);
        self.check_signature(curve, *validator_index, &root, signature, "a sync committee member")
    }

    fn check_sync_head(&self, slot: Slot, head: &Root) -> Result<(), Rejection> {
        field("head", self.blocks.get(head).is_some_and(|head| head.slot <= slot))
    }

    /// The contribution that a beacon node makes for a subcommittee's aggregator: of everything it has.
    ///
    /// - `seen`: it has what reached the pool by then.
    /// - Returns `None` where it has nothing.
    pub fn contribution(
        &self,
        curve: &impl Curve,
        (slot, subcommittee_index): (Slot, u64),
        beacon_block_root: Root,
        seen: Millis,
    ) -> Option<Aggregate> {
        let votes = self.messages.get(&(slot, beacon_block_root))?;
        let mut aggregation_bits = BitVector::new();
        let mut signatures = Vec::new();
        for (seat, who) in self.subcommittee(slot, subcommittee_index).into_iter().enumerate() {
            let Some(vote) = votes.get(&who).filter(|vote| vote.at <= seen) else { continue };
            aggregation_bits.set(seat, true).ok()?;
            signatures.push(vote.signature);
        }
        let signature = curve.aggregate(&signatures)?;
        let sum = SyncCommitteeContribution::<Minimal> {
            slot,
            beacon_block_root,
            subcommittee_index,
            aggregation_bits,
            signature,
        };
        let shape = AggregateShape::Contribution { preset: self.spec().preset };
        Some(shape.decode(&sum.as_ssz_bytes()).expect("just encoded"))
    }

    pub(super) fn check_contribution(
        &self,
        curve: &impl Curve,
        contribution: &SyncCommitteeContribution<Minimal>,
    ) -> Result<(), Rejection> {
        let SyncCommitteeContribution { slot, beacon_block_root, subcommittee_index, .. } = contribution;
        self.check_sync_head(*slot, beacon_block_root)?;
        let members = self.subcommittee(*slot, *subcommittee_index);
        let bits = contribution.aggregation_bits.iter();
        let voters: Vec<_> =
            members.into_iter().zip(bits).filter(|(_, bit)| *bit).map(|(who, _)| who).collect();
        field("contribution bits", !voters.is_empty())?;
        let what = (*slot, *beacon_block_root);
        self.check_sync_sum(curve, &voters, what, &contribution.signature, "a contribution")
    }

    fn check_sync_sum(
        &self,
        curve: &impl Curve,
        voters: &[ValidatorIndex],
        (slot, head): (Slot, Root),
        signature: &Signature,
        whose: &'static str,
    ) -> Result<(), Rejection> {
        let keys = voters.iter().map(|who| self.key(*who)).collect::<Result<Vec<_>, _>>()?;
        let root = SigningRoot::sync_message(self.spec(), slot, head);
        let valid = curve.verify_aggregate(&keys, &root, signature);
        if valid { Ok(()) } else { Err(Rejection::Signature(whose)) }
    }

    /// The fullest contribution of each subcommittee is kept for the next block.
    pub(super) fn keep_contribution(&mut self, contribution: SyncCommitteeContribution<Minimal>) {
        let place = (contribution.slot, contribution.beacon_block_root);
        let kept = self.contributions.entry(place).or_default();
        let votes = contribution.aggregation_bits.num_set_bits();
        let fuller =
            |other: &SyncCommitteeContribution<Minimal>| other.aggregation_bits.num_set_bits() >= votes;
        if !kept.get(&contribution.subcommittee_index).is_some_and(fuller) {
            kept.insert(contribution.subcommittee_index, contribution);
        }
    }

    /// The votes of the slot before for the parent, for a block of `slot`.
    pub(super) fn pack_sync(&self, curve: &impl Curve, slot: Slot, parent: Root) -> SyncAggregate<Minimal> {
        let voted = Slot(slot.0.saturating_sub(1));
        let mut sum =
            SyncAggregate { sync_committee_signature: Signature::INFINITY, ..SyncAggregate::default() };
        let Some(kept) = self.contributions.get(&(voted, parent)) else { return sum };
        let seats = subcommittee_len(self.spec().preset);
        for contribution in kept.values() {
            let first = (contribution.subcommittee_index * seats) as usize;
            for (seat, _) in contribution.aggregation_bits.iter().enumerate().filter(|(_, bit)| *bit) {
                sum.sync_committee_bits
                    .set(first + seat, true)
                    .expect("a subcommittee's seat is the committee's");
            }
        }
        let signatures: Vec<_> = kept.values().map(|contribution| contribution.signature).collect();
        sum.sync_committee_signature = curve.aggregate(&signatures).unwrap_or(Signature::INFINITY);
        sum
    }

    /// A block's sum of votes of the slot before for its parent: the bits, if everybody named signed.
    pub(super) fn check_sync(
        &self,
        curve: &impl Curve,
        slot: Slot,
        parent: Root,
        sum: &SyncAggregate<Minimal>,
    ) -> Result<Vec<bool>, Rejection> {
        let voted = Slot(slot.0.saturating_sub(1));
        let bits: Vec<bool> = sum.sync_committee_bits.iter().collect();
        let committee = self.sync_voters(voted);
        let voters: Vec<_> =
            committee.iter().zip(&bits).filter(|(_, bit)| **bit).map(|(who, _)| *who).collect();
        let signature = &sum.sync_committee_signature;
        if voters.is_empty() {
            field("empty sync aggregate", *signature == Signature::INFINITY)?;
        } else {
            self.check_sync_sum(curve, &voters, (voted, parent), signature, "a sync aggregate")?;
        }
        Ok(bits)
    }

    /// Whether the next slot's block has a member's vote of this slot, on all its seats; `None` if that slot has no
    /// block, or its member is none.
    pub fn sync_voted(&self, slot: Slot, who: ValidatorIndex) -> Option<bool> {
        let bits = self.synced.get(&slot)?;
        let seats: Vec<bool> = self
            .sync_voters(slot)
            .iter()
            .zip(bits)
            .filter(|(member, _)| **member == who)
            .map(|(_, bit)| *bit)
            .collect();
        (!seats.is_empty()).then(|| seats.into_iter().all(|bit| bit))
    }
}
