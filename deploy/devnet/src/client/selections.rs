//! When a client in distributed mode asks for selection proofs, and the proofs it got.
//!
//! It signs with halves of shares, so a proof of its own says nothing: the node has them combined with the other
//! operators'. Real clients ask in the slot, a slot ahead, or for an epoch ahead. What has not combined by then this one
//! asks for again when the slot begins.

use super::api::Selection;
use super::{Client, DutyError};
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use types::selection::{is_aggregator, is_sync_aggregator, subcommittee_len, subcommittee_of};
use types::{Epoch, PublicKey, Signature, SigningRoot, Slot, ValidatorIndex};

/// When a client asks for selection proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Selecting {
    /// When the slot begins.
    InSlot,
    /// When the slot before begins.
    SlotAhead,
    /// In the epoch before, for all its slots at once.
    EpochAhead,
    /// Never: not in distributed mode, so its own signature is the proof.
    Never,
}

impl Selecting {
    /// The habits of a devnet's clients, one operator's after the other: all are mixed, and at any moment at most one of
    /// four has asked so early that the others cannot help yet.
    pub fn of_operator(number: usize) -> Self {
        [Self::InSlot, Self::SlotAhead, Self::EpochAhead, Self::InSlot][number.wrapping_sub(1) % 4]
    }

    /// As the command line has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InSlot => "in-slot",
            Self::SlotAhead => "slot-ahead",
            Self::EpochAhead => "epoch-ahead",
            Self::Never => "never",
        }
    }
}

/// One who may aggregate in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) key: PublicKey,
    pub(super) index: ValidatorIndex,
    pub(super) slot: Slot,
    /// Committee, or subcommittee.
    pub(super) place: u64,
    /// How many members that has.
    members: u64,
    /// Whether of the sync committee.
    of_sync: bool,
}

/// Proofs by slot, whether of the sync committee, validator and place.
pub(super) type Proofs = BTreeMap<(Slot, bool, ValidatorIndex, u64), Signature>;

impl Candidate {
    fn place_of_proof(&self) -> (Slot, bool, ValidatorIndex, u64) {
        // An attester has one proof in a slot, whatever its committee.
        (self.slot, self.of_sync, self.index, if self.of_sync { self.place } else { 0 })
    }
}

impl Client {
    /// Attesters of a slot, as far as their duties are known.
    pub(super) async fn attesters_of(&self, slot: Slot) -> Vec<Candidate> {
        let Some(duties) = self.duties_of(self.spec.epoch_of(slot)).await else { return Vec::new() };
        let of_slot = duties.attesters.iter().filter(|duty| duty.slot == slot);
        let candidate = |duty: &types::duty::AttesterDuty| Candidate {
            key: duty.pubkey,
            index: duty.validator_index,
            slot,
            place: duty.committee_index,
            members: duty.committee_length,
            of_sync: false,
        };
        of_slot.map(candidate).collect()
    }

    /// Members of the sync committee that votes in a slot, which is the next slot's, once for each subcommittee.
    pub(super) async fn contributors_of(&self, slot: Slot) -> Vec<Candidate> {
        let epoch = self.spec.epoch_of(slot.next());
        if epoch > self.spec.epoch_of(self.now().unwrap_or_default()).next() {
            // Nobody tells duties so far ahead; when the slot begins they are known.
            return Vec::new();
        }
        let Some(duties) = self.duties_of(epoch).await else { return Vec::new() };
        let preset = self.spec.preset;
        let mut candidates: Vec<Candidate> = Vec::new();
        for duty in &duties.members {
            for seat in &duty.validator_sync_committee_indices {
                let Some(part) = subcommittee_of(preset, *seat) else { continue };
                let (key, index) = (duty.pubkey, duty.validator_index);
                let (place, members) = (u64::from(part), subcommittee_len(preset));
                let candidate = Candidate { key, index, slot, place, members, of_sync: true };
                if !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
            }
        }
        candidates
    }

    fn own_proof(&self, candidate: &Candidate) -> Option<Signature> {
        let root = if candidate.of_sync {
            SigningRoot::sync_selection_proof(&self.spec, candidate.slot, candidate.place)
        } else {
            SigningRoot::selection_proof(&self.spec, candidate.slot)
        };
        Some(self.halves.get(&candidate.key)?.sign(&root))
    }

    fn known_proof(&self, candidate: &Candidate) -> Option<Signature> {
        let proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        proofs.get(&candidate.place_of_proof()).copied()
    }

    /// Those who aggregate, with their proofs. Asks for those that are not there yet.
    pub(super) async fn aggregators(
        &self,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<(Candidate, Signature)>, DutyError> {
        if self.selecting != Selecting::Never {
            self.ask_for_proofs(&candidates).await?;
        }
        let proof = |candidate: &Candidate| match self.selecting {
            Selecting::Never => self.own_proof(candidate),
            Selecting::InSlot | Selecting::SlotAhead | Selecting::EpochAhead => self.known_proof(candidate),
        };
        let proven = candidates.into_iter().filter_map(|candidate| Some((proof(&candidate)?, candidate)));
        let wins = |proof: &Signature, candidate: &Candidate| {
            if candidate.of_sync {
                is_sync_aggregator(self.spec.preset, proof)
            } else {
                is_aggregator(candidate.members, proof)
            }
        };
        let winners = proven.filter(|(proof, candidate)| wins(proof, candidate));
        Ok(winners.map(|(proof, candidate)| (candidate, proof)).collect())
    }

    /// Asks for the proofs of one kind that are not there yet, all in one request.
    async fn ask_for_proofs(&self, candidates: &[Candidate]) -> Result<(), DutyError> {
        let missing = candidates.iter().filter(|candidate| self.known_proof(candidate).is_none());
        let half = |candidate: &Candidate| {
            Some(Selection {
                validator_index: candidate.index,
                slot: candidate.slot,
                subcommittee_index: candidate.of_sync.then_some(candidate.place),
                selection_proof: self.own_proof(candidate)?,
            })
        };
        let halves: Vec<_> = missing.filter_map(half).collect();
        if halves.is_empty() {
            return Ok(());
        }
        let combined = self.api.select(&halves).await?;
        let now = self.now().unwrap_or_default();
        let oldest = Slot(now.0.saturating_sub(self.spec.slots_per_epoch));
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        *proofs = proofs.split_off(&(oldest, false, ValidatorIndex(0), 0));
        for Selection { slot, subcommittee_index, validator_index, selection_proof } in combined {
            let place =
                (slot, subcommittee_index.is_some(), validator_index, subcommittee_index.unwrap_or(0));
            proofs.insert(place, selection_proof);
        }
        Ok(())
    }

    /// Asks for all slots in a range, of both kinds at once.
    async fn ask_for_slots(&self, slots: std::ops::RangeInclusive<u64>) {
        let (mut attesters, mut members) = (Vec::new(), Vec::new());
        for slot in slots.clone().map(Slot) {
            attesters.extend(self.attesters_of(slot).await);
            members.extend(self.contributors_of(slot).await);
        }
        let (of_attesters, of_members) =
            tokio::join!(self.ask_for_proofs(&attesters), self.ask_for_proofs(&members));
        for error in [of_attesters, of_members].into_iter().filter_map(Result::err) {
            tracing::info!(first = slots.start(), last = slots.end(), %error, "no selection proofs yet");
        }
    }

    /// Asks ahead of time when a slot begins, by habit.
    pub(super) async fn select_early(&self, slot: Slot) {
        match self.selecting {
            Selecting::SlotAhead => self.ask_for_slots(slot.next().0..=slot.next().0).await,
            Selecting::EpochAhead if slot.0 % self.spec.slots_per_epoch == 1 => {
                self.ask_for_epoch(self.spec.epoch_of(slot).next()).await;
            }
            Selecting::InSlot | Selecting::EpochAhead | Selecting::Never => {}
        }
    }

    /// Who asks an epoch ahead asks for the first one too, as soon as its duties are known.
    pub(super) async fn select_at_start(self: Arc<Self>) {
        if self.selecting == Selecting::EpochAhead {
            self.ask_for_epoch(self.spec.epoch_of(self.now().unwrap_or_default())).await;
        }
    }

    async fn ask_for_epoch(&self, epoch: Epoch) {
        let first = self.spec.epoch_start(epoch).0.max(self.now().map_or(0, |now| now.0));
        let last = self.spec.epoch_start(epoch.next()).0.saturating_sub(1);
        self.ask_for_slots(first..=last).await;
    }
}
