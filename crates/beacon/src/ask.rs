//! What is asked of the beacon nodes, but for blocks.

use crate::client::{Beacon, Inner};
use crate::error::ApiError;
use crate::json::{
    BlockRoot, Data, Duties, FinalityCheckpoints, Genesis, Liveness, OfState, SyncDuty, SyncStatus,
    ValidatorInfo, ValidatorsRequest, Version,
};
use crate::limits::LIST_LEN_MAX;
use crate::node::{Call, Node, Reply};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::pin::pin;
use types::duty::{AttesterDuty, ProposerDuty};
use types::{AttestationData, Checkpoint, Epoch, PublicKey, Root, Slot, ValidatorIndex};

/// The rule that an answer breaks, if it breaks one.
type Checked = Result<(), String>;

/// `Err` with the rule unless it holds.
fn rule(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Inner {
    /// Asks for `{"data": T}` and checks it.
    async fn ask_data<T: DeserializeOwned>(
        &self,
        call: Call,
        check: impl Fn(&T) -> Checked,
    ) -> Result<T, ApiError> {
        let read = |node: &Node, reply: Reply| {
            let Data { data } = reply.json(node)?;
            check(&data).map_err(|broken| node.wrong(&broken))?;
            Ok(data)
        };
        self.ask_quick(call, read).await
    }

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

    fn probe(&self, path: impl Into<String>) -> Call {
        self.within(self.limits.probe_bps, self.get(path))
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

fn check_attestation_data(data: &AttestationData, slot: Slot, epoch: Epoch) -> Checked {
    rule(data.slot == slot, || format!("attestation data of slot {}, asked for {slot}", data.slot))?;
    rule(data.index == 0, || format!("attestation data of committee {}, asked for 0", data.index))?;
    rule(data.target.epoch == epoch, || {
        format!("target of epoch {}, the slot is of epoch {epoch}", data.target.epoch)
    })?;
    rule(data.source.epoch <= epoch, || {
        format!("source of epoch {} after the target's {epoch}", data.source.epoch)
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
    /// The chain's beginning, as the first node tells it. See [`Beacon::check_network`] for all nodes'.
    pub async fn genesis(&self) -> Result<Genesis, ApiError> {
        let call = self.0.get("/eth/v1/beacon/genesis");
        self.0.ask_data(call, |_: &Genesis| Ok(())).await
    }

    /// Asks every node for its genesis, and asks those of another network no more.
    ///
    /// - Returns each node's label and `Ok`, or `Body` with the difference to our network's parameters; a node that
    ///   cannot be asked keeps its place.
    pub async fn check_network(&self) -> Vec<(String, Result<(), ApiError>)> {
        let call = self.0.get("/eth/v1/beacon/genesis");
        let mut answers = pin!(self.0.ask_all(&self.0.nodes, &call));
        let mut outcomes = Vec::new();
        while let Some((node, answer)) = answers.next().await {
            let genesis = answer.and_then(|reply| node.success(reply)?.json::<Data<Genesis>>(node));
            let outcome = genesis.and_then(|genesis| {
                let checked = self.check_genesis(&genesis.data);
                node.health().set_foreign(checked.is_err());
                checked.map_err(|difference| node.wrong(&difference))
            });
            outcomes.push((node.label().to_owned(), outcome));
        }
        outcomes
    }

    fn check_genesis(&self, genesis: &Genesis) -> Checked {
        let spec = &self.0.spec;
        let root = genesis.genesis_validators_root;
        rule(root == spec.genesis_validators_root, || {
            format!("another network: genesis_validators_root {root}, ours {}", spec.genesis_validators_root)
        })?;
        let version = genesis.genesis_fork_version;
        rule(version == spec.genesis_fork_version, || {
            format!("another network: genesis_fork_version {version}, ours {}", spec.genesis_fork_version)
        })?;
        let (time, ours) = (genesis.genesis_time, spec.genesis_time_ms / 1_000);
        rule(time == ours, || format!("another network: genesis_time {time}, ours {ours}"))
    }

    /// The node's configuration: an object of names and values.
    pub async fn config_spec(&self) -> Result<Value, ApiError> {
        let call = self.0.get("/eth/v1/config/spec");
        self.0.ask_data(call, |spec: &Value| rule(spec.is_object(), || "no object".to_owned())).await
    }

    /// Name and version of the best node.
    pub async fn version(&self) -> Result<String, ApiError> {
        let call = self.0.get("/eth/v1/node/version");
        let version: Version = self.0.ask_data(call, |_| Ok(())).await?;
        Ok(version.version)
    }

    /// How far the best node has synced: one that follows the head before others, then the highest head.
    ///
    /// Asks all nodes, and learns how fast and how well they are: call it about once a slot.
    pub async fn syncing(&self) -> Result<SyncStatus, ApiError> {
        let inner = &self.0;
        let call = inner.probe("/eth/v1/node/syncing");
        let start = inner.now();
        let mut answers = pin!(inner.ask_all(inner.in_order(), &call));
        let mut best: Result<SyncStatus, ApiError> = Err(ApiError::NoNode);
        while let Some((node, answer)) = answers.next().await {
            match answer.and_then(|reply| node.success(reply)?.json::<Data<SyncStatus>>(node)) {
                Ok(Data { data: status }) => {
                    inner.note_heard(node);
                    node.health().probed(inner.now().since(start).0, status.is_ready());
                    let rank = |status: &SyncStatus| (status.is_ready(), status.head_slot);
                    if best.as_ref().ok().map(rank) < Some(rank(&status)) {
                        best = Ok(status);
                    }
                }
                Err(error) => {
                    inner.note_error(node, &error);
                    best = best.map_err(|told| told.or(error));
                }
            }
        }
        best
    }

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

    /// What to attest in a slot, for committee 0: from Electra on for all committees.
    ///
    /// - Errors: `Body` also for another slot, another committee, a target that is not the slot's epoch, and a source
    ///   after it.
    pub async fn attestation_data(&self, slot: Slot) -> Result<AttestationData, ApiError> {
        let call = self.0.get(format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index=0"));
        let call = self.0.within(self.0.limits.attestation_bps, call);
        let epoch = self.0.spec.epoch_of(slot);
        self.0.ask_data(call, |data| check_attestation_data(data, slot, epoch)).await
    }

    /// Whether any node knows a block. All are asked at once, and the first yes is the answer.
    ///
    /// - Errors: if no node says yes or no.
    pub async fn knows_block(&self, root: Root) -> Result<bool, ApiError> {
        let inner = &self.0;
        let call = inner.probe(format!("/eth/v1/beacon/headers/{root}"));
        let mut answers = pin!(inner.ask_all(inner.in_order(), &call));
        let mut told = Err(ApiError::NoNode);
        while let Some((node, answer)) = answers.next().await {
            let answer = answer.and_then(|reply| node.success(reply)?.json::<Data<BlockRoot>>(node));
            let answer = answer.and_then(|header| {
                let same = header.data.root == root;
                rule(same, || format!("header of {}, asked for {root}", header.data.root))
                    .map_err(|broken| node.wrong(&broken))
            });
            match answer {
                Ok(()) => {
                    inner.note_heard(node);
                    return Ok(true);
                }
                Err(error) if error.is_not_found() => told = Ok(false),
                Err(error) => {
                    inner.note_error(node, &error);
                    told = told.map_err(|earlier: ApiError| earlier.or(error));
                }
            }
        }
        told
    }

    /// The head's block root: what members of a sync committee sign.
    pub async fn head_root(&self) -> Result<Root, ApiError> {
        let call = self.0.get("/eth/v1/beacon/blocks/head/root");
        let call = self.0.within(self.0.limits.attestation_bps, call);
        let root: BlockRoot = self.0.ask_data(call, |_| Ok(())).await?;
        Ok(root.root)
    }

    /// The final checkpoint, as the head's state has it.
    pub async fn finalized(&self) -> Result<Checkpoint, ApiError> {
        let call = self.0.get("/eth/v1/beacon/states/head/finality_checkpoints");
        let checkpoints: FinalityCheckpoints = self.0.ask_data(call, |_| Ok(())).await?;
        Ok(checkpoints.finalized)
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
