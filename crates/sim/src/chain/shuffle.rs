//! Who is due when: committees and proposers, all drawn from the seed.

use super::Chain;
use sha2::{Digest as _, Sha256};
use types::duty::{AttesterDuty, ProposerDuty};
use types::{Epoch, Slot, ValidatorIndex};

impl Chain {
    pub(super) fn hash(&self, label: &str, number: u64) -> u64 {
        let mut hasher = Sha256::new();
        hasher.update(label);
        hasher.update(self.genesis.seed.to_le_bytes());
        hasher.update(number.to_le_bytes());
        let digest = hasher.finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("8 of 32 bytes"))
    }

    /// Who proposes in a slot.
    pub fn proposer(&self, slot: Slot) -> ValidatorIndex {
        ValidatorIndex(self.hash("proposer", slot.0) % self.genesis.validators.len() as u64)
    }

    /// The one committee of a slot, in order.
    pub fn committee(&self, slot: Slot) -> Vec<ValidatorIndex> {
        let spec = self.spec();
        let epoch = spec.epoch_of(slot);
        let count = self.genesis.validators.len() as u64;
        let mut order: Vec<u64> = (0..count).collect();
        order.sort_by_key(|index| (self.hash("committee", epoch.0 ^ (index << 32)), *index));
        let place = slot.0 % spec.slots_per_epoch;
        let of_slot = |position: u64| position % spec.slots_per_epoch == place;
        order
            .iter()
            .zip(0..)
            .filter(|(_, at)| of_slot(*at))
            .map(|(index, _)| ValidatorIndex(*index))
            .collect()
    }

    /// Attestations of an epoch.
    pub fn attesters(&self, epoch: Epoch) -> Vec<AttesterDuty> {
        let first = self.spec().epoch_start(epoch).0;
        let slots = (first..first + self.spec().slots_per_epoch).map(Slot);
        slots.flat_map(|slot| self.committee_duties(slot)).collect()
    }

    fn committee_duties(&self, slot: Slot) -> Vec<AttesterDuty> {
        let committee = self.committee(slot);
        let length = committee.len() as u64;
        let duty = |(validator_index, place): (ValidatorIndex, u64)| AttesterDuty {
            pubkey: self.genesis.validators[validator_index.0 as usize],
            validator_index,
            committee_index: 0,
            committee_length: length,
            committees_at_slot: 1,
            validator_committee_index: place,
            slot,
        };
        committee.into_iter().zip(0..).map(duty).collect()
    }

    /// Blocks of an epoch. The genesis slot has its block.
    pub fn proposers(&self, epoch: Epoch) -> Vec<ProposerDuty> {
        let first = self.spec().epoch_start(epoch).0;
        let slots = (first..first + self.spec().slots_per_epoch).filter(|slot| *slot > 0).map(Slot);
        let duty = |slot| {
            let validator_index = self.proposer(slot);
            let pubkey = self.genesis.validators[validator_index.0 as usize];
            ProposerDuty { pubkey, validator_index, slot }
        };
        slots.map(duty).collect()
    }
}
