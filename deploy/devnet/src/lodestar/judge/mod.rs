//! What the chain says about the duties of distributed validators.
//!
//! [`judge`] is a pure function over a [`Record`] of what a beacon node's API said; [`watch`] fetches the record. Both
//! know nothing of the software that did the duties.
//!
//! A proposal is done when the canonical block of its slot is its proposer's. An attestation is done when a canonical
//! block carries it. It is *excused* when it is not carried and nobody ordinary was in its committee: this beacon node
//! packs aggregates only, and distributed validators behind clients of this age cannot aggregate, so nobody could have
//! brought it in. Attestations are judged once their inclusion window has passed. A sync committee message is done when
//! the next slot's block has its bit, and is not due where that block is not there.

pub mod watch;

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Epoch, Slot, ValidatorIndex};

/// A committee of one slot, members in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    /// Its slot.
    pub slot: Slot,
    /// Its index in the slot.
    pub index: u64,
    /// Its members; an attestation's bits are in this order.
    pub members: Vec<ValidatorIndex>,
}

/// Everybody's duties of one epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochDuties {
    /// All committees.
    pub committees: Vec<Committee>,
    /// The proposer of each slot.
    pub proposers: BTreeMap<Slot, ValidatorIndex>,
    /// Who sits where in the sync committee.
    pub sync: BTreeMap<u64, ValidatorIndex>,
}

/// An attestation of one committee as a block carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Slot attested in.
    pub slot: Slot,
    /// Committee.
    pub index: u64,
    /// SSZ bitlist of the members that signed.
    pub bits: Vec<u8>,
}

/// A block of the canonical chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Who proposed it.
    pub proposer: ValidatorIndex,
    /// Attestations it carries.
    pub attestations: Vec<Carried>,
    /// Bits of the sync committee's members that voted for its parent.
    pub sync_bits: Vec<u8>,
}

/// What the beacon node said about the chain up to a moment.
#[derive(Clone, Debug)]
pub struct Record {
    /// Slots of an epoch, and of an attestation's inclusion window.
    pub slots_per_epoch: u64,
    /// The slot of that moment, not over yet.
    pub now: Slot,
    /// Duties by epoch.
    pub duties: BTreeMap<Epoch, EpochDuties>,
    /// The canonical chain without its genesis block.
    pub chain: BTreeMap<Slot, Block>,
    /// Last finalized epoch.
    pub finalized: Epoch,
}

/// Why a record cannot be judged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JudgeError {
    /// The record has a gap.
    #[error("the duties of epoch {epoch} were not recorded")]
    NoDuties {
        /// Which.
        epoch: Epoch,
    },
    /// The duties name no such committee.
    #[error("a block carries an attestation of slot {slot}, committee {index}, which does not exist")]
    NoCommittee {
        /// Slot attested in.
        slot: Slot,
        /// Committee.
        index: u64,
    },
    /// Bits that are not for this committee.
    #[error("a block carries bits for {have} members of slot {slot}, committee {index}, which has {want}")]
    Bits {
        /// Slot attested in.
        slot: Slot,
        /// Committee.
        index: u64,
        /// Members by the bits; 0 for bits without an end mark.
        have: usize,
        /// Members by the duties.
        want: usize,
    },
}

/// Attestation duties counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attested {
    /// Duties judged: `done + excused + missed`.
    pub due: u64,
    /// In the chain.
    pub done: u64,
    /// Not in the chain, and nobody could have brought them in.
    pub excused: u64,
    /// Not in the chain.
    pub missed: u64,
}

/// Proposal duties counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proposed {
    /// Duties judged: `done + missed`.
    pub due: u64,
    /// In the chain.
    pub done: u64,
    /// Not in the chain.
    pub missed: u64,
}

/// Sync committee messages counted, one for each seat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Synced {
    /// Duties judged: `done + missed`.
    pub due: u64,
    /// In the chain.
    pub done: u64,
    /// Not in the chain.
    pub missed: u64,
}

/// One duty that was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// Its slot.
    pub slot: Slot,
    /// Whose.
    pub validator: ValidatorIndex,
}

/// The judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Attestations.
    pub attest: Attested,
    /// Proposals.
    pub propose: Proposed,
    /// Sync committee messages.
    pub sync: Synced,
    /// Last finalized epoch.
    pub finalized_epoch: Epoch,
    /// Sync committee messages that were missed.
    pub missed_syncs: Vec<Miss>,
    /// Attestations that were missed.
    pub missed_attestations: Vec<Miss>,
    /// Proposals that were missed.
    pub missed_proposals: Vec<Miss>,
}

/// Counts the duties of `distributed` validators from slot `from` on, and which of them the chain shows done.
///
/// - Proposals are judged up to the slot before `record.now`, attestations up to one epoch before that.
/// - Errors: see [`JudgeError`]; a record with gaps is never judged leniently.
pub fn judge(
    record: &Record,
    distributed: &BTreeSet<ValidatorIndex>,
    from: Slot,
) -> Result<Judgement, JudgeError> {
    let seen = seen_attesting(record)?;
    let mut judgement = Judgement { finalized_epoch: record.finalized, ..Judgement::default() };
    for slot in from.0..record.now.0 {
        let slot = Slot(slot);
        let duties = record.duties_of(slot)?;
        judgement.count_proposal(slot, duties, distributed, record);
        judgement.count_syncs(slot, distributed, record)?;
        if slot.0 + record.slots_per_epoch < record.now.0 {
            judgement.count_attestations(slot, duties, distributed, &seen);
        }
    }
    Ok(judgement)
}

impl Record {
    fn duties_of(&self, slot: Slot) -> Result<&EpochDuties, JudgeError> {
        let epoch = Epoch(slot.0 / self.slots_per_epoch);
        self.duties.get(&epoch).ok_or(JudgeError::NoDuties { epoch })
    }
}

impl Judgement {
    fn count_proposal(
        &mut self,
        slot: Slot,
        duties: &EpochDuties,
        distributed: &BTreeSet<ValidatorIndex>,
        record: &Record,
    ) {
        // Genesis is nobody's block.
        let Some(&validator) = duties.proposers.get(&slot).filter(|_| slot > Slot(0)) else { return };
        if !distributed.contains(&validator) {
            return;
        }
        self.propose.due += 1;
        if record.chain.get(&slot).is_some_and(|block| block.proposer == validator) {
            self.propose.done += 1;
        } else {
            self.propose.missed += 1;
            self.missed_proposals.push(Miss { slot, validator });
        }
    }

    /// Messages of a slot, by the block of the next: its committee is that block's.
    fn count_syncs(
        &mut self,
        slot: Slot,
        distributed: &BTreeSet<ValidatorIndex>,
        record: &Record,
    ) -> Result<(), JudgeError> {
        let Some(block) = record.chain.get(&slot.next()).filter(|_| slot > Slot(0)) else { return Ok(()) };
        let committee = &record.duties_of(slot.next())?.sync;
        for (seat, &validator) in committee.iter().filter(|(_, member)| distributed.contains(member)) {
            self.sync.due += 1;
            let byte = usize::try_from(*seat / 8).ok().and_then(|at| block.sync_bits.get(at));
            if byte.is_some_and(|byte| byte & (1 << (seat % 8)) != 0) {
                self.sync.done += 1;
            } else {
                self.sync.missed += 1;
                self.missed_syncs.push(Miss { slot, validator });
            }
        }
        Ok(())
    }

    fn count_attestations(
        &mut self,
        slot: Slot,
        duties: &EpochDuties,
        distributed: &BTreeSet<ValidatorIndex>,
        seen: &BTreeSet<(Slot, ValidatorIndex)>,
    ) {
        for committee in duties.committees.iter().filter(|committee| committee.slot == slot) {
            let somebody_aggregates = committee.members.iter().any(|member| !distributed.contains(member));
            for &validator in committee.members.iter().filter(|member| distributed.contains(member)) {
                self.attest.due += 1;
                if seen.contains(&(slot, validator)) {
                    self.attest.done += 1;
                } else if somebody_aggregates {
                    self.attest.missed += 1;
                    self.missed_attestations.push(Miss { slot, validator });
                } else {
                    self.attest.excused += 1;
                }
            }
        }
    }
}

/// Who attested in which slot, by all canonical blocks.
fn seen_attesting(record: &Record) -> Result<BTreeSet<(Slot, ValidatorIndex)>, JudgeError> {
    let mut seen = BTreeSet::new();
    for carried in record.chain.values().flat_map(|block| &block.attestations) {
        let (slot, index) = (carried.slot, carried.index);
        let mut committees = record.duties_of(slot)?.committees.iter();
        let Some(committee) = committees.find(|known| known.slot == slot && known.index == index) else {
            return Err(JudgeError::NoCommittee { slot, index });
        };
        let (have, want) = (bitlist_len(&carried.bits), committee.members.len());
        if have != Some(want) {
            return Err(JudgeError::Bits { slot, index, have: have.unwrap_or(0), want });
        }
        let signed = |place: usize| carried.bits[place / 8] & (1 << (place % 8)) != 0;
        seen.extend((0..want).filter(|&place| signed(place)).map(|place| (slot, committee.members[place])));
    }
    Ok(seen)
}

/// Length of an SSZ bitlist: the place of its highest set bit. `None` without one in the last byte.
fn bitlist_len(bits: &[u8]) -> Option<usize> {
    let last = *bits.last()?;
    let place = last.checked_ilog2()?;
    Some((bits.len() - 1) * 8 + usize::try_from(place).ok()?)
}

#[cfg(test)]
mod tests;
