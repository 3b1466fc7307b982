//! Validators run by the world itself, which never miss.

use super::{Event, FEE_RECIPIENT, ORDINARY_BLOCK, World};
use crate::curve::Symbolic;
use types::attestation::SingleAttestation;
use types::{DomainType, Root, SigningRoot, Slot};

impl World {
    /// Ordinary validators propose and attest without fail.
    pub(super) fn ordinary(&mut self, slot: Slot) {
        let next = slot.next();
        self.push(self.spec.slot_start(next), usize::MAX, Event::Ordinary(next));
        let ours = u64::from(self.setup.validators);
        let previous = Slot(slot.0.saturating_sub(1));
        for who in self.chain.committee(previous).into_iter().filter(|who| who.0 >= ours) {
            let head = self.chain.head();
            let data = self.chain.vote(previous, head).data(0);
            let epoch = data.target.epoch;
            let root = SigningRoot::of(&self.spec, DomainType::BeaconAttester, epoch, Root::of(&data));
            let key = self.chain.validators()[who.0 as usize];
            let signature = Symbolic.sign(&key, &root);
            let single = SingleAttestation { committee_index: 0, attester_index: who, data, signature };
            self.chain.attest(&Symbolic, slot, &single).expect("ordinary validators attest rightly");
        }
        if slot > Slot(0) && self.chain.proposer(slot).0 >= ours {
            self.push(self.now.after(ORDINARY_BLOCK), usize::MAX, Event::OrdinaryBlock(slot));
        }
    }

    pub(super) fn ordinary_block(&mut self, slot: Slot) {
        let proposer = self.chain.proposer(slot);
        let key = self.chain.validators()[proposer.0 as usize];
        let epoch = self.spec.epoch_of(slot);
        let randao = Symbolic.sign(&key, &SigningRoot::randao(&self.spec, epoch));
        let head = self.chain.head();
        let block = self.chain.produce(&Symbolic, slot, head, randao, Root::ZERO, FEE_RECIPIENT);
        let root = SigningRoot::of(&self.spec, DomainType::BeaconProposer, epoch, block.root);
        let signature = Symbolic.sign(&key, &root);
        assert!(self.import(&block, &signature), "ordinary validators propose rightly");
    }
}
