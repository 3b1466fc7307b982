//! Blocks: made, checked, and taken onto the chain.

use super::{Chain, Record, Rejection, field};
use crate::curve::Curve;
use sha2::{Digest as _, Sha256};
use ssz::Encode as _;
use ssz_types::VariableList;
use types::block::body::{BeaconBlock, BodyElectra};
use types::block::{BlockShape, ProposedBlock};
use types::payload::ExecutionPayloadDeneb;
use types::sizes::Minimal;
use types::sync::SyncAggregate;
use types::{
    Address, AttestationData, DomainType, Epoch, Root, Signature, SigningRoot, Slot, ValidatorIndex,
};

/// Attestations of a block: Electra's limit.
const ATTESTATIONS_MAX: usize = 8;

impl Chain {
    /// A block on `head` for a slot, with all attestations that wait.
    pub fn produce(
        &self,
        curve: &impl Curve,
        slot: Slot,
        head: Root,
        randao: Signature,
        graffiti: Root,
        fee_recipient: Address,
    ) -> ProposedBlock {
        let waiting = self.pool.iter().filter(|(data, _)| data.slot < slot);
        let packed: Vec<_> = waiting.filter_map(|(data, votes)| self.pack(curve, data, votes)).collect();
        let newest = packed.len().saturating_sub(ATTESTATIONS_MAX);
        let sync_committee_signature = Signature::INFINITY;
        let execution_payload = ExecutionPayloadDeneb {
            fee_recipient,
            timestamp: self.spec().slot_start(slot).0 / 1000,
            ..Default::default()
        };
        let body = BodyElectra::<Minimal> {
            randao_reveal: randao,
            graffiti,
            attestations: VariableList::new(packed[newest..].to_vec()).expect("within Electra's limit"),
            sync_aggregate: SyncAggregate { sync_committee_signature, ..Default::default() },
            execution_payload,
            ..Default::default()
        };
        let state_root = self.state_root(head, slot);
        let block =
            BeaconBlock { slot, proposer_index: self.proposer(slot), parent_root: head, state_root, body };
        self.shape().decode(&block.as_ssz_bytes()).expect("just encoded")
    }

    fn shape(&self) -> BlockShape {
        let fork = self.spec().fork_at(Epoch(0)).fork;
        BlockShape::full(self.spec().preset, fork)
    }

    fn state_root(&self, parent: Root, slot: Slot) -> Root {
        let mut hasher = Sha256::new();
        hasher.update(self.blocks[&parent].state_root.0);
        hasher.update(slot.0.to_le_bytes());
        Root(hasher.finalize().into())
    }

    /// Takes a block onto the chain.
    pub fn propose(
        &mut self,
        curve: &impl Curve,
        now: Slot,
        block: &ProposedBlock,
        signature: &Signature,
    ) -> Result<(), Rejection> {
        let result = self.check_block(curve, now, block, signature);
        match &result {
            Ok(votes) => self.import(block, votes),
            Err(Rejection::Known) => {}
            Err(rejection) => self.rejected.push(rejection.clone()),
        }
        result.map(|_| ())
    }

    fn check_block(
        &mut self,
        curve: &impl Curve,
        now: Slot,
        block: &ProposedBlock,
        signature: &Signature,
    ) -> Result<Vec<(ValidatorIndex, AttestationData)>, Rejection> {
        if self.blocks.contains_key(&block.root) {
            return Err(Rejection::Known);
        }
        if block.slot > now {
            return Err(Rejection::Slot(block.slot));
        }
        field("proposer", block.proposer_index == self.proposer(block.slot))?;
        let Some(parent) = self.blocks.get(&block.parent_root) else {
            return Err(Rejection::Parent(block.parent_root));
        };
        field("slot", parent.slot < block.slot)?;
        if block.parent_root != self.head {
            return Err(Rejection::Stale(block.parent_root));
        }
        field("state root", block.state_root == self.state_root(block.parent_root, block.slot))?;
        let key = self.genesis.validators[block.proposer_index.0 as usize];
        let epoch = self.spec().epoch_of(block.slot);
        let root = SigningRoot::of(self.spec(), DomainType::BeaconProposer, epoch, block.root);
        if !curve.verify(&key, &root, signature) {
            return Err(Rejection::Signature("the proposer"));
        }
        if !curve.verify(&key, &SigningRoot::randao(self.spec(), epoch), &block.randao_reveal) {
            return Err(Rejection::Signature("the RANDAO reveal"));
        }
        self.check_packed(curve, block)
    }

    fn check_packed(
        &mut self,
        curve: &impl Curve,
        block: &ProposedBlock,
    ) -> Result<Vec<(ValidatorIndex, AttestationData)>, Rejection> {
        let decoded = <BeaconBlock<BodyElectra<Minimal>> as ssz::Decode>::from_ssz_bytes(&block.ssz.0)
            .map_err(|_| Rejection::Field { field: "body" })?;
        let mut votes = Vec::new();
        for packed in decoded.body.attestations.iter() {
            field("attestation slot", packed.data.slot < block.slot)?;
            self.check_data(block.slot, &packed.data)?;
            let committee = self.committee(packed.data.slot);
            field("aggregation bits", packed.aggregation_bits.len() == committee.len())?;
            let bits = packed.aggregation_bits.iter();
            let voters: Vec<_> =
                committee.iter().zip(bits).filter(|(_, bit)| *bit).map(|(who, _)| *who).collect();
            let keys: Vec<_> = voters.iter().map(|who| self.genesis.validators[who.0 as usize]).collect();
            if !curve.verify_aggregate(&keys, &self.attestation_root(&packed.data), &packed.signature) {
                return Err(Rejection::Signature("an aggregate"));
            }
            votes.extend(voters.into_iter().map(|who| (who, packed.data)));
        }
        Ok(votes)
    }

    fn import(&mut self, block: &ProposedBlock, votes: &[(ValidatorIndex, AttestationData)]) {
        // Justification of this epoch counts what was included before it began.
        self.source(self.spec().epoch_of(block.slot));
        let record = Record {
            slot: block.slot,
            parent: block.parent_root,
            state_root: block.state_root,
            proposer: block.proposer_index,
        };
        self.blocks.insert(block.root, record);
        self.head = block.root;
        for (who, data) in votes {
            self.included.entry((data.slot, *who)).or_insert(*data);
        }
        let oldest = Slot(block.slot.0.saturating_sub(self.spec().slots_per_epoch));
        self.pool.retain(|data, _| data.slot >= oldest);
    }

    /// Whether a slot has its block.
    pub fn has_block(&self, slot: Slot) -> bool {
        slot > Slot(0) && self.blocks[&self.ancestor(self.head, slot)].slot == slot
    }
}
