//! Validators run by the world itself, which never miss.

use super::{Event, FEE_RECIPIENT, ORDINARY_BLOCK, World};
use crate::curve::Symbolic;
use types::aggregate::SignedAggregate;
use types::attestation::SingleAttestation;
use types::selection::SUBCOMMITTEES;
use types::sync::SyncCommitteeMessage;
use types::{DomainType, Root, Signature, SigningRoot, Slot, ValidatorIndex};

impl World {
    fn is_ordinary(&self, who: ValidatorIndex) -> bool {
        who.0 >= u64::from(self.setup.validators)
    }

    /// A slot begins: they attest for the slot before, and propose.
    pub(super) fn ordinary(&mut self, slot: Slot) {
        let next = slot.next();
        self.push(self.spec.slot_start(next), usize::MAX, Event::Ordinary(next));
        if !self.setup.plain {
            self.push(self.spec.attestation_due(slot), usize::MAX, Event::OrdinarySync(slot));
            self.push(self.spec.aggregate_due(slot), usize::MAX, Event::OrdinaryContributions(slot));
        }
        let previous = Slot(slot.0.saturating_sub(1));
        for who in self
            .chain
            .committee(previous)
            .into_iter()
            .filter(|who| self.is_ordinary(*who))
            .collect::<Vec<_>>()
        {
            let head = self.chain.head();
            let data = self.chain.vote(previous, head).data(0);
            let epoch = data.target.epoch;
            let root = SigningRoot::of(&self.spec, DomainType::BeaconAttester, epoch, Root::of(&data));
            let signature = self.ordinary_signature(who, &root);
            let single = SingleAttestation { committee_index: 0, attester_index: who, data, signature };
            self.chain.attest(&Symbolic, self.now, &single).expect("ordinary validators attest rightly");
        }
        if slot > Slot(0) && self.is_ordinary(self.chain.proposer(slot)) {
            self.push(self.now.after(ORDINARY_BLOCK), usize::MAX, Event::OrdinaryBlock(slot));
        }
    }

    fn ordinary_signature(&self, who: ValidatorIndex, root: &SigningRoot) -> Signature {
        Symbolic.sign(&self.chain.validators()[who.0 as usize], root)
    }

    pub(super) fn ordinary_block(&mut self, slot: Slot) {
        let proposer = self.chain.proposer(slot);
        let epoch = self.spec.epoch_of(slot);
        let randao = self.ordinary_signature(proposer, &SigningRoot::randao(&self.spec, epoch));
        let head = self.chain.head();
        let block = self.chain.produce(&Symbolic, slot, head, randao, Root::ZERO, FEE_RECIPIENT);
        let root = SigningRoot::of(&self.spec, DomainType::BeaconProposer, epoch, block.root);
        let signature = self.ordinary_signature(proposer, &root);
        self.import(&block, &signature).expect("ordinary validators propose rightly");
    }

    /// Sync committee members vote for the head that is there a third into the slot.
    pub(super) fn ordinary_sync(&mut self, slot: Slot) {
        let beacon_block_root = self.chain.head();
        let root = SigningRoot::sync_message(&self.spec, slot, beacon_block_root);
        for duty in self.chain.sync_duties(self.spec.epoch_of(slot.next())) {
            let validator_index = duty.validator_index;
            if !self.is_ordinary(validator_index) {
                continue;
            }
            let signature = self.ordinary_signature(validator_index, &root);
            let message = SyncCommitteeMessage { slot, beacon_block_root, validator_index, signature };
            let taken = self.chain.take_sync_message(&Symbolic, self.now, &message);
            taken.expect("ordinary validators vote rightly");
        }
    }

    /// In a subcommittee of the jar everybody may contribute.
    pub(super) fn ordinary_contributions(&mut self, slot: Slot) {
        let head = self.chain.head();
        for place in 0..SUBCOMMITTEES {
            let members = self.chain.subcommittee(slot, place);
            let Some(who) = members.into_iter().find(|who| self.is_ordinary(*who)) else { continue };
            let Some(aggregate) = self.chain.contribution(&Symbolic, (slot, place), head, self.now) else {
                continue;
            };
            let proof = SigningRoot::sync_selection_proof(&self.spec, slot, place);
            let selection_proof = self.ordinary_signature(who, &proof);
            let object = aggregate.proof_root(who, selection_proof);
            let (domain, epoch) = (DomainType::ContributionAndProof, self.spec.epoch_of(slot));
            let signature = self.ordinary_signature(who, &SigningRoot::of(&self.spec, domain, epoch, object));
            let signed = SignedAggregate { aggregator_index: who, aggregate, selection_proof, signature };
            let taken = self.chain.take_aggregate(&Symbolic, self.now, &signed);
            taken.expect("ordinary validators contribute rightly");
        }
    }
}
