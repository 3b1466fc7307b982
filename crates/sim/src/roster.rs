//! The cluster's part of the chain's duties, as its validator clients and its beacon nodes tell them.

use crate::chain::Chain;
use types::duty::{AttesterDuty, SyncDuty};
use types::selection::subcommittee_of;
use types::wire::{Item, Kind};
use types::{Epoch, Slot, ValidatorIndex, ValidatorNo};

/// The duties of the chain's first validators, which are the cluster's.
#[derive(Clone, Copy, Debug)]
pub struct Roster<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// How many of its validators are the cluster's.
    pub validators: u32,
    /// Whether attestations and blocks are all there is.
    pub plain: bool,
}

impl Roster<'_> {
    /// The cluster's number of a validator, if it is the cluster's.
    pub fn number(&self, who: ValidatorIndex) -> Option<ValidatorNo> {
        u32::try_from(who.0).ok().filter(|number| *number < self.validators).map(ValidatorNo)
    }

    /// Attestations of an epoch.
    pub fn epoch_attesters(&self, epoch: Epoch) -> Vec<AttesterDuty> {
        let duties = self.chain.attesters(epoch).into_iter();
        duties.filter(|duty| self.number(duty.validator_index).is_some()).collect()
    }

    /// Members of an epoch's sync committee.
    pub fn epoch_members(&self, epoch: Epoch) -> Vec<SyncDuty> {
        if self.plain {
            return Vec::new();
        }
        let duties = self.chain.sync_duties(epoch).into_iter();
        duties.filter(|duty| self.number(duty.validator_index).is_some()).collect()
    }

    /// Attestations of a slot.
    pub fn attesters(&self, slot: Slot) -> Vec<(ValidatorNo, AttesterDuty)> {
        let duties = self.chain.committee_duties(slot).into_iter();
        duties.filter_map(|duty| Some((self.number(duty.validator_index)?, duty))).collect()
    }

    /// Members of the sync committee that votes in a slot.
    pub fn members(&self, slot: Slot) -> Vec<(ValidatorNo, SyncDuty)> {
        let duties = self.epoch_members(self.chain.spec().epoch_of(slot.next())).into_iter();
        duties.filter_map(|duty| Some((self.number(duty.validator_index)?, duty))).collect()
    }

    /// Who may aggregate in a slot, and where: of [`Kind::Selection`] attesters with committee and its length, of
    /// [`Kind::SyncSelection`] members once for each of their subcommittees.
    pub fn candidates(&self, slot: Slot, kind: Kind) -> Vec<Candidate> {
        if self.plain {
            return Vec::new();
        }
        if kind == Kind::Selection {
            let candidate = |(validator, duty): (ValidatorNo, AttesterDuty)| Candidate {
                item: Item::of(validator),
                index: duty.validator_index,
                place: duty.committee_index,
                members: duty.committee_length,
            };
            return self.attesters(slot).into_iter().map(candidate).collect();
        }
        let preset = self.chain.spec().preset;
        let mut candidates: Vec<Candidate> = Vec::new();
        for (validator, duty) in self.members(slot) {
            for seat in duty.validator_sync_committee_indices {
                let Some(part) = subcommittee_of(preset, seat) else { continue };
                let (item, index) = (Item { validator, part }, duty.validator_index);
                if candidates.iter().all(|other| other.item != item) {
                    let members = types::selection::subcommittee_len(preset);
                    candidates.push(Candidate { item, index, place: u64::from(part), members });
                }
            }
        }
        candidates
    }
}

/// One who may aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Whose, and of which subcommittee.
    pub item: Item,
    /// The validator's index.
    pub index: ValidatorIndex,
    /// Committee or subcommittee.
    pub place: u64,
    /// How many members that has.
    pub members: u64,
}
