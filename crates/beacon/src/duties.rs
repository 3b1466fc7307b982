//! Our validators, and their duties in an epoch.

use crate::ask::{Checked, rule};
use crate::client::{Beacon, Inner};
use crate::error::ApiError;
use crate::json::{Data, Duties, Liveness, OfState, SyncDuty, ValidatorInfo, ValidatorsRequest};
use crate::limits::LIST_LEN_MAX;
use crate::node::{Call, Node, Reply};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use types::duty::{AttesterDuty, ProposerDuty};
use types::{Epoch, PublicKey, Slot, ValidatorIndex};

impl Inner {
    /// Asks for duties of some validators in an epoch.
    async fn ask_duties<T: DeserializeOwned>(
        &self,
        path: String,
        indices: &[ValidatorIndex],
        check: impl Fn(&T) -> Checked,
    ) -> Result<Duties<T>, ApiError> {
        let call = self.within(self.limits.list_bps, self.post(path, &indices));
        let call = Call { len_max: LIST_LEN_MAX, ..call };
        let read = |node: &Node, reply: Reply| {
            let duties: Duties<T> = reply.json(node)?;
            duties.data.iter().try_for_each(&check).map_err(|broken| node.wrong(&broken))?;
            Ok(duties)
        };
        self.ask_quick(call, read).await
    }

    fn in_epoch(&self, slot: Slot, epoch: Epoch) -> Checked {
        rule(self.spec.epoch_of(slot) == epoch, || format!("a duty of slot {slot}, asked for epoch {epoch}"))
    }
}

fn asked_for(index: ValidatorIndex, asked: &BTreeSet<ValidatorIndex>) -> Checked {
    rule(asked.contains(&index), || format!("a duty of validator {index}, who was not asked for"))
}

fn in_committee(duty: &AttesterDuty) -> Checked {
    let AttesterDuty { committee_index, committees_at_slot, .. } = duty;
    rule(committee_index < committees_at_slot, || {
        format!("committee {committee_index} in a slot of {committees_at_slot}")
    })?;
    let AttesterDuty { validator_committee_index, committee_length, .. } = duty;
    rule(validator_committee_index < committee_length, || {
        format!("place {validator_committee_index} in a committee of {committee_length}")
    })
}

fn read_validators(node: &Node, reply: &Reply, keys: &[PublicKey]) -> Result<Vec<ValidatorInfo>, ApiError> {
    let Data { data } = reply.json::<Data<Vec<Value>>>(node)?;
    let mut missing: BTreeSet<&PublicKey> = keys.iter().collect();
    let mut validators = Vec::with_capacity(data.len());
    for entry in data {
        let entry = ValidatorInfo::from_json(entry);
        let entry = entry.map_err(|error| node.wrong(&format!("not a validator: {error}")))?;
        if !missing.remove(&entry.pubkey) {
            return Err(node.wrong(&format!("validator {} twice, or not asked for", entry.pubkey)));
        }
        validators.push(entry);
    }
    Ok(validators)
}

impl Beacon {
    /// Those of the validators that the head's state has, with index and status.
    ///
    /// - Errors: `Body` also for a validator that was not asked for, and for one told twice.
    pub async fn validators(&self, keys: &[PublicKey]) -> Result<Vec<ValidatorInfo>, ApiError> {
        if keys.is_empty() {
            // To ask for none is to ask for all, a million of them.
            return Ok(Vec::new());
        }
        let ids = Some(keys.iter().map(PublicKey::to_string).collect());
        let request = ValidatorsRequest { ids, statuses: None };
        let call = self.0.post("/eth/v1/beacon/states/head/validators", &request);
        let call = Call { len_max: LIST_LEN_MAX, ..self.0.within(self.0.limits.list_bps, call) };
        self.0.ask_quick(call, |node, reply| read_validators(node, &reply, keys)).await
    }

    /// Attestations due in an epoch.
    ///
    /// - Errors: `Body` also for duties of other epochs or validators, and for places outside their committees.
    pub async fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<Vec<AttesterDuty>, ApiError> {
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.attester_duties_reply(epoch, indices).await?.data)
    }

    /// [`Beacon::attester_duties`] with the block they stand on.
    pub async fn attester_duties_reply(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<Duties<AttesterDuty>, ApiError> {
        let asked: BTreeSet<ValidatorIndex> = indices.iter().copied().collect();
        let check = |duty: &AttesterDuty| {
            self.0.in_epoch(duty.slot, epoch)?;
            asked_for(duty.validator_index, &asked)?;
            in_committee(duty)
        };
        self.0.ask_duties(format!("/eth/v1/validator/duties/attester/{epoch}"), indices, check).await
    }

    /// Places in the sync committee of an epoch, with the block they stand on.
    pub async fn sync_duties_reply(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<OfState<Vec<SyncDuty>>, ApiError> {
        let asked: BTreeSet<ValidatorIndex> = indices.iter().copied().collect();
        let call = self.0.post(format!("/eth/v1/validator/duties/sync/{epoch}"), &indices);
        let call = Call { len_max: LIST_LEN_MAX, ..self.0.within(self.0.limits.list_bps, call) };
        let read = |node: &Node, reply: Reply| {
            let duties: OfState<Vec<SyncDuty>> = reply.json(node)?;
            let mut each = duties.data.iter();
            let checked = each.try_for_each(|duty| asked_for(duty.validator_index, &asked));
            checked.map_err(|broken| node.wrong(&broken))?;
            Ok(duties)
        };
        self.0.ask_quick(call, read).await
    }

    /// All blocks to propose in an epoch.
    ///
    /// - Errors: `Body` also for duties of other epochs, and for two proposers of a slot.
    pub async fn proposer_duties(&self, epoch: Epoch) -> Result<Vec<ProposerDuty>, ApiError> {
        Ok(self.proposer_duties_reply(epoch).await?.data)
    }

    /// [`Beacon::proposer_duties`] with the block they stand on.
    pub async fn proposer_duties_reply(&self, epoch: Epoch) -> Result<Duties<ProposerDuty>, ApiError> {
        let call = self.0.get(format!("/eth/v1/validator/duties/proposer/{epoch}"));
        let read = |node: &Node, reply: Reply| {
            let duties: Duties<ProposerDuty> = reply.json(node)?;
            let mut slots = BTreeSet::new();
            for ProposerDuty { slot, .. } in &duties.data {
                let checked = self
                    .0
                    .in_epoch(*slot, epoch)
                    .and_then(|()| rule(slots.insert(*slot), || format!("two proposers of slot {slot}")));
                checked.map_err(|broken| node.wrong(&broken))?;
            }
            Ok(duties)
        };
        self.0.ask_quick(call, read).await
    }

    /// Which of the validators the best node saw act in an epoch.
    pub async fn liveness(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<Vec<Liveness>, ApiError> {
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let asked: BTreeSet<ValidatorIndex> = indices.iter().copied().collect();
        let call = self.0.post(format!("/eth/v1/validator/liveness/{epoch}"), &indices);
        let call = Call { len_max: LIST_LEN_MAX, ..self.0.within(self.0.limits.list_bps, call) };
        let check = |seen: &Vec<Liveness>| seen.iter().try_for_each(|one| asked_for(one.index, &asked));
        self.0.ask_data(call, check).await
    }
}
