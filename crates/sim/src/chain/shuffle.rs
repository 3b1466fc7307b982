//! Who is due when: committees, proposers and sync committees, all drawn from the seed.

use super::Chain;
use sha2::{Digest as _, Sha256};
use types::Root;
use types::duty::{AttesterDuty, ProposerDuty, SyncDuty};
use types::selection::{SUBCOMMITTEES, subcommittee_len};
use types::{Epoch, Slot, ValidatorIndex};

/// Epochs of a sync committee: so few that a run of some dozens of slots sees one follow another.
pub const SYNC_PERIOD_EPOCHS: u64 = 3;

impl Chain {
    fn hash(&self, label: &str, number: u64) -> u64 {
        let mut hasher = Sha256::new();
        hasher.update(label);
        hasher.update(self.genesis.seed.to_le_bytes());
        hasher.update(number.to_le_bytes());
        let digest = hasher.finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("8 of 32 bytes"))
    }

    /// Draws an epoch's committees and proposers anew, as a reorganisation of the block that they stand on does.
    ///
    /// # Panics
    /// If the epoch has begun: what was voted for in it would be wrong afterwards.
    pub fn reshuffle(&mut self, now: Slot, epoch: Epoch) {
        assert!(epoch > self.spec().epoch_of(now), "only an epoch that has not begun is drawn anew");
        *self.shuffles.entry(epoch).or_default() += 1;
    }

    /// What a draw of an epoch is called: its first one, or one after a reorganisation.
    fn draw(&self, label: &str, epoch: Epoch) -> String {
        match self.shuffles.get(&epoch) {
            None => label.to_owned(),
            Some(times) => format!("{label} {times}"),
        }
    }

    /// The block that attester duties of an epoch stand on, on the branch of `head`; another root after each
    /// [`Chain::reshuffle`] of the epoch.
    pub fn attester_dependent_root(&self, head: Root, epoch: Epoch) -> Root {
        let block = self.last_before(head, Epoch(epoch.0.saturating_sub(1)));
        match self.shuffles.get(&epoch) {
            None => block,
            Some(times) => Root(Sha256::digest([&block.0[..], &times.to_le_bytes()].concat()).into()),
        }
    }

    /// The last block before an epoch; the genesis block where there is none.
    pub fn last_before(&self, head: Root, epoch: Epoch) -> Root {
        let first = self.spec().epoch_start(epoch);
        first.0.checked_sub(1).map_or(self.origin, |last| self.ancestor(head, Slot(last)))
    }

    /// Validators that have begun, and not left, by an epoch.
    fn active(&self, epoch: Epoch) -> Vec<u64> {
        let left = |index: &u64| self.exit_epochs.get(&ValidatorIndex(*index)).is_some_and(|at| *at <= epoch);
        let begun = |index: &u64| {
            let account =
                self.registry.as_ref().and_then(|registry| registry.account(ValidatorIndex(*index)));
            account.is_none_or(|account| account.activation.is_some_and(|at| at <= epoch))
        };
        (0..self.genesis.validators.len() as u64).filter(|index| !left(index) && begun(index)).collect()
    }

    /// Who proposes in a slot.
    pub fn proposer(&self, slot: Slot) -> ValidatorIndex {
        let epoch = self.spec().epoch_of(slot);
        let active = self.active(epoch);
        let at = self.hash(&self.draw("proposer", epoch), slot.0) % active.len() as u64;
        ValidatorIndex(active[at as usize])
    }

    /// The one committee of a slot, in order.
    pub fn committee(&self, slot: Slot) -> Vec<ValidatorIndex> {
        let spec = self.spec();
        let epoch = spec.epoch_of(slot);
        let draw = self.draw("committee", epoch);
        let mut order = self.active(epoch);
        order.sort_by_cached_key(|index| (self.hash(&draw, epoch.0 ^ (index << 32)), *index));
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
        self.slots(epoch).flat_map(|slot| self.committee_duties(slot)).collect()
    }

    fn slots(&self, epoch: Epoch) -> impl Iterator<Item = Slot> + use<> {
        let first = self.spec().epoch_start(epoch).0;
        (first..first + self.spec().slots_per_epoch).map(Slot)
    }

    /// Attestations of a slot.
    pub fn committee_duties(&self, slot: Slot) -> Vec<AttesterDuty> {
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
        let duty = |slot| {
            let validator_index = self.proposer(slot);
            let pubkey = self.genesis.validators[validator_index.0 as usize];
            ProposerDuty { pubkey, validator_index, slot }
        };
        self.slots(epoch).filter(|slot| *slot > Slot(0)).map(duty).collect()
    }

    /// The sync committee of an epoch, seat by seat. A validator may have several seats; one that leaves keeps them to
    /// the end of the period, as in the specification.
    pub fn sync_committee(&self, epoch: Epoch) -> Vec<ValidatorIndex> {
        let period = epoch.0 / SYNC_PERIOD_EPOCHS;
        let seats = subcommittee_len(self.spec().preset) * SUBCOMMITTEES;
        let count = self.genesis.validators.len() as u64 + self.genesis.strangers;
        (0..seats).map(|seat| ValidatorIndex(self.hash("sync", (period << 32) | seat) % count)).collect()
    }

    /// The sync committee that votes in a slot: its votes go into the next slot's block, so it is that slot's.
    pub fn sync_voters(&self, slot: Slot) -> Vec<ValidatorIndex> {
        self.sync_committee(self.spec().epoch_of(slot.next()))
    }

    /// The members of a subcommittee that votes in a slot, seat by seat; none of one that does not exist.
    pub fn subcommittee(&self, slot: Slot, index: u64) -> Vec<ValidatorIndex> {
        let seats = subcommittee_len(self.spec().preset) as usize;
        let voters = self.sync_voters(slot);
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        voters.chunks(seats).nth(place).map(<[_]>::to_vec).unwrap_or_default()
    }

    /// Members of an epoch's sync committee, each with all its seats; strangers are left out.
    pub fn sync_duties(&self, epoch: Epoch) -> Vec<SyncDuty> {
        let committee = self.sync_committee(epoch);
        let mut members = committee.clone();
        members.retain(|who| who.0 < self.genesis.validators.len() as u64);
        members.sort_unstable();
        members.dedup();
        let duty = |validator_index: ValidatorIndex| {
            let seats = (0..).zip(&committee).filter(|(_, who)| **who == validator_index);
            SyncDuty {
                pubkey: self.genesis.validators[validator_index.0 as usize],
                validator_index,
                validator_sync_committee_indices: seats.map(|(seat, _)| seat).collect(),
            }
        };
        members.into_iter().map(duty).collect()
    }
}
