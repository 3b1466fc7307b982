//! Our validators, and their duties in an epoch: few questions, however many validators there are.

use crate::ask::{Checked, rule};
use crate::client::{Beacon, Inner};
use crate::error::ApiError;
use crate::json::{Data, Duties, Liveness, OfState, SyncDuty, ValidatorInfo, ValidatorsRequest};
use crate::limits::{INDICES_PER_REQUEST, KEYS_PER_QUERY, KEYS_PER_REQUEST, REQUESTS_AT_ONCE};
use crate::node::{Node, Reply};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::sync::Arc;
use types::duty::{AttesterDuty, ProposerDuty};
use types::{Epoch, PublicKey, Slot, ValidatorIndex};

const VALIDATORS: &str = "/eth/v1/beacon/states/head/validators";

/// An answer that may come in parts, one for each part of the validators.
trait Parts: DeserializeOwned + Send {
    /// Puts a later part to the earlier ones.
    fn join(&mut self, later: Self) -> Checked;
}

impl<T: DeserializeOwned + Send> Parts for Duties<T> {
    fn join(&mut self, later: Self) -> Checked {
        let (root, other) = (self.dependent_root, later.dependent_root);
        rule(root == other, || format!("duties of dependent root {root}, the rest of {other}"))?;
        self.execution_optimistic |= later.execution_optimistic;
        self.data.extend(later.data);
        Ok(())
    }
}

impl<T: DeserializeOwned + Send> Parts for OfState<Vec<T>> {
    fn join(&mut self, later: Self) -> Checked {
        self.execution_optimistic |= later.execution_optimistic;
        self.finalized &= later.finalized;
        self.data.extend(later.data);
        Ok(())
    }
}

impl<T: DeserializeOwned + Send> Parts for Data<Vec<T>> {
    fn join(&mut self, later: Self) -> Checked {
        self.data.extend(later.data);
        Ok(())
    }
}

impl Inner {
    /// Asks for something of each of some validators: all in one request, or in parts of a node that says that one is
    /// too long (413).
    async fn ask_of_each<T: Parts>(
        &self,
        path: String,
        indices: &[ValidatorIndex],
        check: impl Fn(&T) -> Checked,
    ) -> Result<T, ApiError> {
        let call = self.long(self.post(&path, &indices));
        let (path, call, check) = (&path, &call, &check);
        let read = move |node: &Node, reply: Reply| {
            let part: T = node.success(reply)?.json(node)?;
            check(&part).map_err(|broken| node.wrong(&broken))?;
            Ok(part)
        };
        let one = |node: Arc<Node>| async move {
            let reply = node.call(call).await?;
            let Some((few, rest)) =
                indices.split_at_checked(INDICES_PER_REQUEST).filter(|_| reply.status == 413)
            else {
                return read(&node, reply);
            };
            let mut all = read(&node, node.call(&self.long(self.post(path, &few))).await?)?;
            for few in rest.chunks(INDICES_PER_REQUEST) {
                let part = read(&node, node.call(&self.long(self.post(path, &few))).await?)?;
                all.join(part).map_err(|broken| node.wrong(&broken))?;
            }
            Ok(all)
        };
        self.ask_each(call, one).await
    }

    /// Asks for one batch of validators by `POST`, and by `GET` of nodes older than that.
    async fn ask_validators(&self, keys: &[PublicKey]) -> Result<Vec<ValidatorInfo>, ApiError> {
        let ids = Some(keys.iter().map(PublicKey::to_string).collect());
        let request = ValidatorsRequest { ids, statuses: None };
        let call = &self.long(self.post(VALIDATORS, &request));
        let one = |node: Arc<Node>| async move {
            if !node.lacks_post_validators() {
                let reply = node.call(call).await?;
                // 404 may also mean that there is no such state; then it is said again.
                if !matches!(reply.status, 404 | 405) {
                    return read_validators(&node, &node.success(reply)?, keys);
                }
            }
            let mut found = Vec::new();
            for few in keys.chunks(KEYS_PER_QUERY) {
                let ids: Vec<String> = few.iter().map(|key| format!("id={key}")).collect();
                let call = self.long(self.get(format!("{VALIDATORS}?{}", ids.join("&"))));
                let reply = node.success(node.call(&call).await?)?;
                found.extend(read_validators(&node, &reply, few)?);
            }
            node.set_lacks_post_validators();
            Ok(found)
        };
        self.ask_each(call, one).await
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
    let Data { data: validators } = reply.json::<Data<Vec<ValidatorInfo>>>(node)?;
    let mut missing: BTreeSet<&PublicKey> = keys.iter().collect();
    let wrong = validators.iter().find(|entry| !missing.remove(&entry.pubkey));
    match wrong {
        Some(entry) => Err(node.wrong(&format!("validator {} twice, or not asked for", entry.pubkey))),
        None => Ok(validators),
    }
}

impl Beacon {
    /// Those of the validators that the head's state has, with index and status.
    ///
    /// - Errors: `Body` also for a validator that was not asked for, and for one told twice.
    /// - Cost: a request for each [`KEYS_PER_REQUEST`] keys, [`REQUESTS_AT_ONCE`] at a time; from a node without the
    ///   `POST` of this question one for each [`KEYS_PER_QUERY`].
    pub async fn validators(&self, keys: &[PublicKey]) -> Result<Vec<ValidatorInfo>, ApiError> {
        // To ask for none would be to ask for all, a million of them; no keys make no batches.
        let keys: Vec<PublicKey> = BTreeSet::from_iter(keys.iter().copied()).into_iter().collect();
        let batches: Vec<_> =
            keys.chunks(KEYS_PER_REQUEST).map(|batch| self.0.ask_validators(batch)).collect();
        let found: Vec<Vec<ValidatorInfo>> =
            stream::iter(batches).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
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
        let check = |duties: &Duties<AttesterDuty>| duties.data.iter().try_for_each(check);
        self.0.ask_of_each(format!("/eth/v1/validator/duties/attester/{epoch}"), indices, check).await
    }

    /// Places in the sync committee of an epoch, with the block they stand on.
    pub async fn sync_duties_reply(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<OfState<Vec<SyncDuty>>, ApiError> {
        let asked: BTreeSet<ValidatorIndex> = indices.iter().copied().collect();
        let check = |duties: &OfState<Vec<SyncDuty>>| {
            duties.data.iter().try_for_each(|duty| asked_for(duty.validator_index, &asked))
        };
        self.0.ask_of_each(format!("/eth/v1/validator/duties/sync/{epoch}"), indices, check).await
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
        let check =
            |seen: &Data<Vec<Liveness>>| seen.data.iter().try_for_each(|one| asked_for(one.index, &asked));
        let path = format!("/eth/v1/validator/liveness/{epoch}");
        Ok(self.0.ask_of_each(path, indices, check).await?.data)
    }
}
