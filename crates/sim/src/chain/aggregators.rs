//! What aggregators publish: aggregates of attestations, and sync contributions, each with the proof of its aggregator.
//!
//! Every signature is checked: the selection proof and what it wins, the members' sum, and the aggregator's own. They
//! are taken until the middle of the next slot; what comes later would have helped nobody.

use super::{Chain, Rejection, field};
use crate::curve::Curve;
use ssz::Decode as _;
use types::aggregate::{AggregateShape, SignedAggregate};
use types::attestation::AttestationElectra;
use types::selection::{is_aggregator, is_sync_aggregator};
use types::sizes::Minimal;
use types::sync::SyncCommitteeContribution;
use types::{DomainType, Millis, Root, Signature, SigningRoot, Slot, ValidatorIndex};

impl Chain {
    /// Takes an aggregate, or a contribution, from its aggregator.
    pub fn take_aggregate(
        &mut self,
        curve: &impl Curve,
        now: Millis,
        signed: &SignedAggregate,
    ) -> Result<(), Rejection> {
        let result = match signed.aggregate.shape {
            AggregateShape::Attestation { .. } => self.take_attestations(curve, now, signed),
            AggregateShape::Contribution { .. } => self.take_contribution(curve, now, signed),
        };
        self.note(result)
    }

    fn take_attestations(
        &mut self,
        curve: &impl Curve,
        now: Millis,
        signed: &SignedAggregate,
    ) -> Result<(), Rejection> {
        let SignedAggregate { aggregator_index: who, aggregate, selection_proof, .. } = signed;
        let slot = aggregate.slot;
        self.check_current(now, slot)?;
        field("shape", aggregate.shape == self.attestation_shape(slot))?;
        let body = AttestationElectra::<Minimal>::from_ssz_bytes(&aggregate.ssz.0);
        let body = body.map_err(|_| Rejection::Field { field: "aggregate" })?;
        let committee = self.committee(slot);
        field("aggregator", committee.contains(who))?;
        let proof_root = SigningRoot::selection_proof(self.spec(), slot);
        self.check_signature(curve, *who, &proof_root, selection_proof, "a selection proof")?;
        field("selection proof", is_aggregator(committee.len() as u64, selection_proof))?;
        self.check_aggregate(curve, self.slot_at(now, slot)?, &body)?;
        self.check_outer(curve, DomainType::AggregateAndProof, signed)?;
        self.aggregators.insert((slot, *who), *selection_proof);
        Ok(())
    }

    fn take_contribution(
        &mut self,
        curve: &impl Curve,
        now: Millis,
        signed: &SignedAggregate,
    ) -> Result<(), Rejection> {
        let SignedAggregate { aggregator_index: who, aggregate, selection_proof, .. } = signed;
        let (slot, place) = (aggregate.slot, aggregate.place);
        self.check_current(now, slot)?;
        let preset = self.spec().preset;
        field("shape", aggregate.shape == AggregateShape::Contribution { preset })?;
        let body = SyncCommitteeContribution::<Minimal>::from_ssz_bytes(&aggregate.ssz.0);
        let body = body.map_err(|_| Rejection::Field { field: "contribution" })?;
        field("aggregator", self.subcommittee(slot, place).contains(who))?;
        let proof_root = SigningRoot::sync_selection_proof(self.spec(), slot, place);
        self.check_signature(curve, *who, &proof_root, selection_proof, "a sync selection proof")?;
        field("selection proof", is_sync_aggregator(preset, selection_proof))?;
        self.check_contribution(curve, &body)?;
        self.check_outer(curve, DomainType::ContributionAndProof, signed)?;
        self.keep_contribution(body);
        self.contributors.insert((slot, *who, place), *selection_proof);
        Ok(())
    }

    /// The aggregator's own signature, over aggregate and proof.
    fn check_outer(
        &self,
        curve: &impl Curve,
        domain: DomainType,
        signed: &SignedAggregate,
    ) -> Result<(), Rejection> {
        let SignedAggregate { aggregator_index: who, aggregate, selection_proof, signature } = signed;
        let epoch = self.spec().epoch_of(aggregate.slot);
        let object: Root = aggregate.proof_root(*who, *selection_proof);
        let root = SigningRoot::of(self.spec(), domain, epoch, object);
        self.check_signature(curve, *who, &root, signature, "an aggregator")
    }

    /// The selection proof with which a validator's aggregate of a slot was taken, if one was.
    pub fn aggregated(&self, slot: Slot, who: ValidatorIndex) -> Option<Signature> {
        self.aggregators.get(&(slot, who)).copied()
    }

    /// The selection proof with which a validator's contribution for a subcommittee was taken, if one was.
    pub fn contributed(&self, slot: Slot, who: ValidatorIndex, subcommittee: u64) -> Option<Signature> {
        self.contributors.get(&(slot, who, subcommittee)).copied()
    }
}
