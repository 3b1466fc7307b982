//! The chain and its registry of validators, where it has one: deposits in, slashings and withdrawals in blocks, an execution
//! layer's block in each.

use super::registry::{Deposit, Flags, Registry};
use super::{Chain, Rejection, field};
use crate::curve::Curve;
use sha2::{Digest as _, Sha256};
use ssz_types::VariableList;
use std::collections::BTreeSet;
use types::attestation::IndexedAttestation;
use types::operations::AttesterSlashing;
use types::payload::{ExecutionPayloadDeneb, Withdrawal};
use types::sizes::{Minimal, Sizes};
use types::{Address, AttestationData, Epoch, Gwei, Millis, Root, Signature, Slot, ValidatorIndex};

/// Two contradicting attestations, as a block of this chain has them.
pub type Slashing = AttesterSlashing<<Minimal as Sizes>::AttestersPerSlot>;
type Indexed = IndexedAttestation<<Minimal as Sizes>::AttestersPerSlot>;

/// Slashings of a block: Electra's limit.
const SLASHINGS_MAX: usize = 1;

impl Chain {
    /// The chain's validators with their balances; `None` on a chain where all have 32 ETH for ever.
    pub const fn registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    /// A deposit of a block joins the queue.
    ///
    /// # Panics
    /// If the chain has no registry.
    pub fn deposit(&mut self, deposit: Deposit) {
        self.registry.as_mut().expect("a chain with a registry").deposit(deposit);
    }

    /// The number and the hash of the execution layer's block in a block of this chain.
    pub fn executed(&self, block: &Root) -> Option<(u64, Root)> {
        self.executed.get(block).copied()
    }

    /// An epoch's randomness (`get_randao_mix`), as far as blocks have brought it.
    pub fn randao(&self, epoch: Epoch) -> Root {
        self.mixes.range(..=epoch).next_back().map_or(Root::ZERO, |(_, mix)| *mix)
    }

    /// A block's reveal goes into it (`process_randao`).
    pub(super) fn mix(&mut self, epoch: Epoch, reveal: &Signature) {
        let mut mix = self.randao(epoch);
        let hash: [u8; 32] = Sha256::digest(reveal.0).into();
        mix.0.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
        self.mixes.insert(epoch, mix);
    }

    /// Whatever epochs have begun by a slot begin for the registry too. Blocks of earlier epochs come too late from then on.
    ///
    /// - To be called before a block is made.
    pub fn begin(&mut self, slot: Slot) {
        // Justification counts what was included before.
        self.source(self.spec().epoch_of(slot));
        let Some(mut registry) = self.registry.take() else { return };
        let next = self.begun.next();
        for epoch in (next.0..=self.spec().epoch_of(slot).0).map(Epoch) {
            let of = Epoch(epoch.0.saturating_sub(2));
            let last = self.blocks.get(&self.finalized.root).map_or(Slot(0), |block| block.slot);
            let new = registry.begin(epoch, |who| self.flags(of, who), self.finalized.epoch, last);
            for key in new {
                self.indices.insert(key, ValidatorIndex(self.genesis.validators.len() as u64));
                self.genesis.validators.push(key);
            }
            self.begun = epoch;
        }
        self.registry = Some(registry);
    }

    /// What of a validator's attestation of an epoch was right.
    fn flags(&self, epoch: Epoch, who: ValidatorIndex) -> Flags {
        let first = self.spec().epoch_start(epoch).0;
        let mut slots = (first..first + self.spec().slots_per_epoch).map(Slot);
        let found = slots.find_map(|slot| Some((slot, self.attested(slot, who)?)));
        found.map_or_else(Flags::default, |(slot, data)| Flags {
            source: true,
            target: data.target.root == self.ancestor(self.head, Slot(first)),
            head: data.beacon_block_root == self.ancestor(self.head, slot),
        })
    }

    /// The registry after a block.
    pub(super) fn settle_block(&mut self, slot: Slot, slashings: &[Slashing], withdrawals: &[Withdrawal]) {
        let epoch = self.spec().epoch_of(slot);
        let is_first = self.spec().epoch_start(epoch) == slot;
        let Some(registry) = &mut self.registry else { return };
        registry.withdraw(withdrawals);
        for who in slashings.iter().flat_map(both) {
            if let Some(exit) = registry.slash(who, epoch) {
                self.exit_epochs.insert(who, exit);
                self.exits.remove(&who);
            }
        }
        if is_first {
            registry.remember(epoch);
        }
        let slashable = |one: &Slashing| {
            let account = |who| registry.account(who).is_some_and(|account| account.is_slashable(epoch));
            both(one).into_iter().any(account)
        };
        self.slashings.retain(slashable);
    }

    /// Takes two contradicting attestations into the pool.
    pub fn take_slashing(
        &mut self,
        curve: &impl Curve,
        now: Millis,
        slashing: &Slashing,
    ) -> Result<(), Rejection> {
        let slot = self.slot_at(now, Slot(0));
        let result = slot.and_then(|slot| self.check_slashing(curve, slot, slashing));
        if result.is_ok() {
            self.slashings.push(slashing.clone());
        }
        self.note(result)
    }

    pub(super) fn check_slashing(
        &self,
        curve: &impl Curve,
        now: Slot,
        slashing: &Slashing,
    ) -> Result<(), Rejection> {
        let (one, other) = (&slashing.attestation_1, &slashing.attestation_2);
        field("slashing", contradict(&one.data, &other.data))?;
        let epoch = self.spec().epoch_of(now);
        let slashable = |who: &ValidatorIndex| {
            let account = self.registry.as_ref().and_then(|registry| registry.account(*who));
            account.is_some_and(|account| account.is_slashable(epoch))
        };
        field("slashed", both(slashing).iter().any(slashable))?;
        [one, other].into_iter().try_for_each(|attestation| self.check_indexed(curve, attestation))
    }

    fn check_indexed(&self, curve: &impl Curve, attestation: &Indexed) -> Result<(), Rejection> {
        let indices = &attestation.attesting_indices;
        field("attesting indices", !indices.is_empty() && indices.is_sorted_by(|one, next| one < next))?;
        let keys = indices.iter().map(|who| self.key(*who)).collect::<Result<Vec<_>, _>>()?;
        let root = self.attestation_root(&attestation.data);
        let valid = curve.verify_aggregate(&keys, &root, &attestation.signature);
        if valid { Ok(()) } else { Err(Rejection::Signature("a slashing")) }
    }

    /// Slashings for a block.
    pub(super) fn pack_slashings(&self) -> Vec<Slashing> {
        self.slashings.iter().take(SLASHINGS_MAX).cloned().collect()
    }

    /// The execution layer's block on a branch's head: all of it follows from the chain, but for whom it pays.
    pub(super) fn payload(
        &self,
        slot: Slot,
        parent: Root,
        fee_recipient: Address,
    ) -> ExecutionPayloadDeneb<Minimal> {
        let timestamp = self.spec().slot_start(slot).0 / 1000;
        let Some(registry) = &self.registry else {
            return ExecutionPayloadDeneb { fee_recipient, timestamp, ..Default::default() };
        };
        let (number, parent_hash) = self.executed(&parent).unwrap_or_default();
        let block_number = number + 1;
        let mut hasher = Sha256::new();
        hasher.update(b"execution block");
        hasher.update(parent_hash.0);
        hasher.update(block_number.to_le_bytes());
        hasher.update(timestamp.to_le_bytes());
        ExecutionPayloadDeneb {
            parent_hash,
            fee_recipient,
            timestamp,
            block_number,
            block_hash: Root(hasher.finalize().into()),
            withdrawals: VariableList::new(registry.withdrawals(self.spec().epoch_of(slot)))
                .expect("within the preset's limit"),
            ..Default::default()
        }
    }

    /// What of all stake has voted for a target, and all that could: numbers of validators where none have balances.
    pub(super) fn weigh(&self, epoch: Epoch, votes: &BTreeSet<ValidatorIndex>) -> (u64, u64) {
        let Some(registry) = &self.registry else {
            return (votes.len() as u64, self.genesis.validators.len() as u64);
        };
        let of = |who: &ValidatorIndex| registry.account(*who).filter(|account| account.is_active(epoch));
        let voted: u64 = votes.iter().filter_map(of).map(|account| account.effective.0).sum();
        let Gwei(all) = registry.active(epoch);
        (voted, all)
    }
}

/// Double vote, or surround vote (`is_slashable_attestation_data`).
fn contradict(one: &AttestationData, other: &AttestationData) -> bool {
    let double = one != other && one.target.epoch == other.target.epoch;
    double || (one.source.epoch < other.source.epoch && other.target.epoch < one.target.epoch)
}

/// Who is in both.
fn both(slashing: &Slashing) -> Vec<ValidatorIndex> {
    let other: BTreeSet<_> = slashing.attestation_2.attesting_indices.iter().collect();
    slashing.attestation_1.attesting_indices.iter().filter(|who| other.contains(who)).copied().collect()
}
