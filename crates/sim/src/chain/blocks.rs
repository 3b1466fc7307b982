//! Blocks: made, checked, and taken onto the chain.

use super::{Chain, Record, Rejection, Slashing, field};
use crate::curve::Curve;
use sha2::{Digest as _, Sha256};
use ssz::{Decode as _, Encode as _};
use ssz_types::VariableList;
use types::block::body::{BeaconBlock, BodyElectra};
use types::block::{BlockShape, ProposedBlock};
use types::operations::SignedVoluntaryExit;
use types::payload::Withdrawal;
use types::sizes::Minimal;
use types::{
    Address, AttestationData, DomainType, Epoch, Millis, Root, Signature, SigningRoot, Slot, ValidatorIndex,
};

/// Attestations of a block: Electra's limit.
const ATTESTATIONS_MAX: usize = 8;

/// What a block brings, checked.
struct Cargo {
    votes: Vec<(ValidatorIndex, AttestationData)>,
    exits: Vec<SignedVoluntaryExit>,
    slashings: Vec<Slashing>,
    withdrawals: Vec<Withdrawal>,
    /// Number and hash of the execution layer's block.
    executed: (u64, Root),
    /// The sync committee's bits, for the slot before.
    sync: Vec<bool>,
}

impl Chain {
    /// A block on `head` for a slot, with all attestations and exits that wait, and the sync committee's votes.
    pub fn produce(
        &self,
        curve: &impl Curve,
        slot: Slot,
        head: Root,
        randao: Signature,
        graffiti: Root,
        fee_recipient: Address,
    ) -> ProposedBlock {
        // After slots without a block some are too old by now.
        let oldest = self.oldest_attested(slot);
        let waiting = self.pool.iter().filter(|(data, _)| oldest <= data.slot && data.slot < slot);
        let packed: Vec<_> = waiting.filter_map(|(data, votes)| self.pack(curve, data, votes)).collect();
        let newest = packed.len().saturating_sub(ATTESTATIONS_MAX);
        let body = BodyElectra::<Minimal> {
            randao_reveal: randao,
            graffiti,
            attestations: VariableList::new(packed[newest..].to_vec()).expect("within Electra's limit"),
            voluntary_exits: VariableList::new(self.pack_exits()).expect("within the specification's limit"),
            sync_aggregate: self.pack_sync(curve, slot, head),
            attester_slashings: VariableList::new(self.pack_slashings()).expect("within Electra's limit"),
            execution_payload: self.payload(slot, head, fee_recipient),
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
        now: Millis,
        block: &ProposedBlock,
        signature: &Signature,
    ) -> Result<(), Rejection> {
        let checked = self.check_block(curve, now, block, signature);
        let result = checked.map(|cargo| self.import(block, &cargo));
        self.note(result)
    }

    fn check_block(
        &mut self,
        curve: &impl Curve,
        now: Millis,
        block: &ProposedBlock,
        signature: &Signature,
    ) -> Result<Cargo, Rejection> {
        if self.blocks.contains_key(&block.root) {
            return Err(Rejection::Known);
        }
        if block.slot > self.slot_at(now, block.slot)? {
            return Err(Rejection::Slot(block.slot));
        }
        field("proposer", block.proposer_index == self.proposer(block.slot))?;
        let Some(parent) = self.blocks.get(&block.parent_root) else {
            return Err(Rejection::Parent(block.parent_root));
        };
        field("slot", parent.slot < block.slot)?;
        field("epoch", self.registry.is_none() || self.begun <= self.spec().epoch_of(block.slot))?;
        if block.parent_root != self.head {
            return Err(Rejection::Stale(block.parent_root));
        }
        field("state root", block.state_root == self.state_root(block.parent_root, block.slot))?;
        let (who, epoch) = (block.proposer_index, self.spec().epoch_of(block.slot));
        let root = SigningRoot::of(self.spec(), DomainType::BeaconProposer, epoch, block.root);
        self.check_signature(curve, who, &root, signature, "the proposer")?;
        let reveal = SigningRoot::randao(self.spec(), epoch);
        self.check_signature(curve, who, &reveal, &block.randao_reveal, "the RANDAO reveal")?;
        self.begin(block.slot);
        self.check_cargo(curve, block)
    }

    fn check_cargo(&mut self, curve: &impl Curve, block: &ProposedBlock) -> Result<Cargo, Rejection> {
        let decoded = BeaconBlock::<BodyElectra<Minimal>>::from_ssz_bytes(&block.ssz.0)
            .map_err(|_| Rejection::Field { field: "body" })?;
        let mut votes = Vec::new();
        for packed in decoded.body.attestations.iter() {
            field("attestation slot", packed.data.slot < block.slot)?;
            let voters = self.check_aggregate(curve, block.slot, packed)?;
            votes.extend(voters.into_iter().map(|who| (who, packed.data)));
        }
        let payload = &decoded.body.execution_payload;
        let expected = self.payload(block.slot, block.parent_root, payload.fee_recipient);
        field("execution payload", self.registry.is_none() || *payload == expected)?;
        let (withdrawals, executed) =
            (payload.withdrawals.to_vec(), (payload.block_number, payload.block_hash));
        let slashings = decoded.body.attester_slashings.to_vec();
        for slashing in &slashings {
            self.check_slashing(curve, block.slot, slashing)?;
        }
        let exits = decoded.body.voluntary_exits.to_vec();
        for exit in &exits {
            self.check_exit(curve, block.slot, exit).map_err(|rejection| match rejection {
                // A block that is known is no mistake; one with an exit that is in the chain already is.
                Rejection::Known => Rejection::Field { field: "exit" },
                other => other,
            })?;
        }
        let sync = self.check_sync(curve, block.slot, block.parent_root, &decoded.body.sync_aggregate)?;
        Ok(Cargo { votes, exits, slashings, withdrawals, executed, sync })
    }

    fn import(&mut self, block: &ProposedBlock, cargo: &Cargo) {
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
        for (who, data) in &cargo.votes {
            self.included.entry((data.slot, *who)).or_insert(*data);
        }
        self.import_exits(block.slot, &cargo.exits);
        self.executed.insert(block.root, cargo.executed);
        self.mix(self.spec().epoch_of(block.slot), &block.randao_reveal);
        self.settle_block(block.slot, &cargo.slashings, &cargo.withdrawals);
        self.synced.insert(Slot(block.slot.0.saturating_sub(1)), cargo.sync.clone());
        let oldest = self.oldest_attested(block.slot);
        self.pool.retain(|data, _| data.slot >= oldest);
        self.messages = self.messages.split_off(&(oldest, Root::ZERO));
        self.contributions = self.contributions.split_off(&(oldest, Root::ZERO));
    }

    /// The first slot whose attestations a block may carry.
    fn oldest_attested(&self, block: Slot) -> Slot {
        Slot(block.0.saturating_sub(self.spec().slots_per_epoch))
    }

    /// Whether a slot has its block.
    pub fn has_block(&self, slot: Slot) -> bool {
        slot > Slot(0) && self.blocks[&self.ancestor(self.head, slot)].slot == slot
    }
}
