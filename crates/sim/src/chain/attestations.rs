//! Attestations: single ones come in, blocks carry them by the committee.

use super::{Chain, Rejection, field};
use crate::curve::Curve;
use ssz::BitVector;
use std::collections::BTreeMap;
use types::attestation::{AttestationElectra, SingleAttestation};
use types::sizes::Minimal;
use types::{AttestationData, Checkpoint, DomainType, Root, Signature, SigningRoot, Slot, ValidatorIndex};

impl Chain {
    pub(super) fn pack(
        &self,
        curve: &impl Curve,
        data: &AttestationData,
        votes: &BTreeMap<ValidatorIndex, Signature>,
    ) -> Option<AttestationElectra<Minimal>> {
        let committee = self.committee(data.slot);
        let fresh = |who: &ValidatorIndex| !self.included.contains_key(&(data.slot, *who));
        let votes: BTreeMap<_, _> = votes.iter().filter(|(who, _)| fresh(who)).collect();
        let signatures: Vec<_> = votes.values().map(|signature| **signature).collect();
        let signature = curve.aggregate(&signatures)?;
        let mut aggregation_bits = ssz_types::BitList::with_capacity(committee.len()).ok()?;
        for (position, who) in committee.iter().enumerate() {
            aggregation_bits.set(position, votes.contains_key(who)).ok()?;
        }
        let mut committee_bits = BitVector::new();
        committee_bits.set(0, true).ok()?;
        Some(AttestationElectra { aggregation_bits, data: *data, signature, committee_bits })
    }

    /// Takes an attestation into the pool.
    ///
    /// - `now`: the chain's slot; attestations of later slots are refused.
    pub fn attest(
        &mut self,
        curve: &impl Curve,
        now: Slot,
        attestation: &SingleAttestation,
    ) -> Result<(), Rejection> {
        let result = self.check_attestation(curve, now, attestation);
        match &result {
            Ok(()) => {
                let votes = self.pool.entry(attestation.data).or_default();
                votes.insert(attestation.attester_index, attestation.signature);
            }
            Err(rejection) => self.rejected.push(rejection.clone()),
        }
        result
    }

    fn check_attestation(
        &mut self,
        curve: &impl Curve,
        now: Slot,
        attestation: &SingleAttestation,
    ) -> Result<(), Rejection> {
        let data = &attestation.data;
        field("committee", attestation.committee_index == 0 && data.index == 0)?;
        self.check_data(now, data)?;
        let member = self.committee(data.slot).contains(&attestation.attester_index);
        field("attester", member)?;
        let key = self.genesis.validators[attestation.attester_index.0 as usize];
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

    pub(super) fn attestation_root(&self, data: &AttestationData) -> SigningRoot {
        SigningRoot::of(self.spec(), DomainType::BeaconAttester, data.target.epoch, Root::of(data))
    }

    /// Whether a validator's attestation of a slot is in a block, and names the chain's own head for that slot.
    pub fn attested(&self, slot: Slot, who: ValidatorIndex) -> Option<&AttestationData> {
        self.included.get(&(slot, who))
    }
}
