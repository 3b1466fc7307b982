//! Attestations: single ones come in, beacon nodes add them up, blocks carry them.

use super::{Chain, Pooled, Rejection, field};
use crate::curve::Curve;
use ssz::{BitVector, Encode as _};
use std::collections::{BTreeMap, BTreeSet};
use types::aggregate::{Aggregate, AggregateShape};
use types::attestation::{AttestationElectra, SingleAttestation};
use types::sizes::Minimal;
use types::{
    AttestationData, Checkpoint, DomainType, Epoch, Millis, Root, Signature, SigningRoot, Slot,
    ValidatorIndex, ValidatorNo,
};

impl Chain {
    /// Votes that are not in a block yet, added up.
    pub(super) fn pack(
        &self,
        curve: &impl Curve,
        data: &AttestationData,
        votes: &BTreeMap<ValidatorIndex, Pooled>,
    ) -> Option<AttestationElectra<Minimal>> {
        let fresh = votes.iter().filter(|(who, _)| !self.included.contains_key(&(data.slot, **who)));
        self.add_up(curve, data, fresh.map(|(who, vote)| (*who, vote.signature)).collect())
    }

    fn add_up(
        &self,
        curve: &impl Curve,
        data: &AttestationData,
        votes: BTreeMap<ValidatorIndex, Signature>,
    ) -> Option<AttestationElectra<Minimal>> {
        let committee = self.committee(data.slot);
        let signatures: Vec<_> = votes.values().copied().collect();
        let signature = curve.aggregate(&signatures)?;
        let mut aggregation_bits = ssz_types::BitList::with_capacity(committee.len()).ok()?;
        for (position, who) in committee.iter().enumerate() {
            aggregation_bits.set(position, votes.contains_key(who)).ok()?;
        }
        let mut committee_bits = BitVector::new();
        committee_bits.set(0, true).ok()?;
        Some(AttestationElectra { aggregation_bits, data: *data, signature, committee_bits })
    }

    /// The aggregate that a beacon node makes for a committee's aggregator: of everything it has.
    ///
    /// - `subject`: root of the attestation data. `seen`: it has what reached the pool by then.
    /// - Returns `None` where it has nothing.
    pub fn aggregate(
        &self,
        curve: &impl Curve,
        slot: Slot,
        subject: Root,
        seen: Millis,
    ) -> Option<Aggregate> {
        let mut of_slot = self.pool.iter().filter(|(data, _)| data.slot == slot);
        let (data, votes) = of_slot.find(|(data, _)| Root::of(*data) == subject)?;
        let votes = votes.iter().filter(|(_, vote)| vote.at <= seen);
        let sum = self.add_up(curve, data, votes.map(|(who, vote)| (*who, vote.signature)).collect())?;
        let aggregate = self.attestation_shape(slot).decode(&sum.as_ssz_bytes());
        Some(aggregate.expect("an aggregate of one committee"))
    }

    pub(super) fn attestation_shape(&self, slot: Slot) -> AggregateShape {
        let spec = self.spec();
        AggregateShape::Attestation { preset: spec.preset, fork: spec.fork_at(spec.epoch_of(slot)).fork }
    }

    /// Takes an attestation into the pool.
    ///
    /// - `now`: attestations of later slots are refused.
    pub fn attest(
        &mut self,
        curve: &impl Curve,
        now: Millis,
        attestation: &SingleAttestation,
    ) -> Result<(), Rejection> {
        let result = self.check_attestation(curve, now, attestation);
        if result.is_ok() {
            let votes = self.pool.entry(attestation.data).or_default();
            let vote = Pooled { signature: attestation.signature, at: now };
            votes.entry(attestation.attester_index).or_insert(vote);
        }
        self.note(result)
    }

    fn check_attestation(
        &mut self,
        curve: &impl Curve,
        now: Millis,
        attestation: &SingleAttestation,
    ) -> Result<(), Rejection> {
        let data = &attestation.data;
        field("committee", attestation.committee_index == 0 && data.index == 0)?;
        self.check_data(self.slot_at(now, data.slot)?, data)?;
        let member = self.committee(data.slot).contains(&attestation.attester_index);
        field("attester", member)?;
        let key = self.key(attestation.attester_index)?;
        let valid = curve.verify(&key, &self.attestation_root(data), &attestation.signature);
        if valid { Ok(()) } else { Err(Rejection::Signature("an attester")) }
    }

    pub(super) fn check_data(&mut self, now: Slot, data: &AttestationData) -> Result<(), Rejection> {
        let epoch = self.spec().epoch_of(data.slot);
        if data.slot > now || data.slot.0 + self.spec().slots_per_epoch < now.0 {
            return Err(Rejection::Slot(data.slot));
        }
        let head = self.blocks.get(&data.beacon_block_root);
        field("head", head.is_some_and(|head| head.slot <= data.slot))?;
        field("source", data.source == self.source(epoch))?;
        let boundary = self.ancestor(data.beacon_block_root, self.spec().epoch_start(epoch));
        field("target", data.target == Checkpoint { epoch, root: boundary })
    }

    /// An aggregate as a block or an aggregator has it: its members, if all of them signed.
    pub(super) fn check_aggregate(
        &mut self,
        curve: &impl Curve,
        now: Slot,
        aggregate: &AttestationElectra<Minimal>,
    ) -> Result<Vec<ValidatorIndex>, Rejection> {
        let data = &aggregate.data;
        self.check_data(now, data)?;
        field("data's index", data.index == 0)?;
        let of_first =
            aggregate.committee_bits.num_set_bits() == 1 && aggregate.committee_bits.get(0) == Ok(true);
        field("committee bits", of_first)?;
        let committee = self.committee(data.slot);
        field("aggregation bits", aggregate.aggregation_bits.len() == committee.len())?;
        let bits = aggregate.aggregation_bits.iter();
        let voters: Vec<_> =
            committee.iter().zip(bits).filter(|(_, bit)| *bit).map(|(who, _)| *who).collect();
        field("aggregation bits", !voters.is_empty())?;
        let keys = voters.iter().map(|who| self.key(*who)).collect::<Result<Vec<_>, _>>()?;
        let valid = curve.verify_aggregate(&keys, &self.attestation_root(data), &aggregate.signature);
        if valid { Ok(voters) } else { Err(Rejection::Signature("an aggregate")) }
    }

    pub(super) fn attestation_root(&self, data: &AttestationData) -> SigningRoot {
        SigningRoot::of(self.spec(), DomainType::BeaconAttester, data.target.epoch, Root::of(data))
    }

    /// A validator's attestation of a slot, if a block has it.
    pub fn attested(&self, slot: Slot, who: ValidatorIndex) -> Option<&AttestationData> {
        self.included.get(&(slot, who))
    }

    /// Which of the first validators have an attestation of an epoch in a block.
    pub fn live(&self, epoch: Epoch, validators: u32) -> BTreeSet<ValidatorNo> {
        let first = self.spec().epoch_start(epoch).0;
        let slots = first..first + self.spec().slots_per_epoch;
        let live = |number: &u32| {
            let who = ValidatorIndex(u64::from(*number));
            slots.clone().any(|slot| self.attested(Slot(slot), who).is_some())
        };
        (0..validators).filter(live).map(ValidatorNo).collect()
    }
}
