//! What there is to sign in a slot, but for blocks.

use crate::ask::{Checked, rule};
use crate::client::{Beacon, Inner};
use crate::error::ApiError;
use crate::json::{BlockHeader, BlockRoot, Data, OfState, Versioned};
use crate::node::{Call, Node, Reply};
use serde::Deserialize;
use serde_json::Value;
use types::attestation::{Attestation, AttestationElectra};
use types::sizes::{Gnosis, Mainnet, Minimal, Sizes};
use types::sync::SyncCommitteeContribution;
use types::{AttestationData, Epoch, Fork, Preset, Root, Slot};

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

/// The vote in a pre-Electra aggregate, and whether it is of somebody.
fn read_aggregate(json: &Value) -> Result<(AttestationData, bool), serde_json::Error> {
    let aggregate = Attestation::deserialize(json)?;
    Ok((aggregate.data, aggregate.aggregation_bits.num_set_bits() > 0))
}

/// The vote in an aggregate from Electra on, and whether it is of somebody in this committee and no other.
fn read_electra_aggregate<P: Sizes>(
    json: &Value,
    committee_index: u64,
) -> Result<(AttestationData, bool), serde_json::Error> {
    let aggregate = AttestationElectra::<P>::deserialize(json)?;
    let committees = aggregate.committee_bits.iter().enumerate().filter(|(_, bit)| *bit);
    let committees: Vec<u64> = committees.map(|(index, _)| index as u64).collect();
    let of_somebody = aggregate.aggregation_bits.num_set_bits() > 0;
    Ok((aggregate.data, of_somebody && committees == [committee_index]))
}

/// Slot, subcommittee and block of a contribution, and whether it is of somebody.
fn read_contribution<P: Sizes>(json: &Value) -> Result<(Slot, u64, Root, bool), serde_json::Error> {
    let SyncCommitteeContribution::<P> {
        slot, beacon_block_root, subcommittee_index, aggregation_bits, ..
    } = SyncCommitteeContribution::deserialize(json)?;
    Ok((slot, subcommittee_index, beacon_block_root, aggregation_bits.num_set_bits() > 0))
}

impl Inner {
    /// The question what to attest, for committee 0.
    pub(crate) fn attestation_call(&self, slot: Slot) -> Call {
        let call = self.get(format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index=0"));
        self.within(self.limits.attestation_bps, call)
    }

    /// The answer to it, if it is one.
    pub(crate) fn check_attestation_data(
        &self,
        node: &Node,
        data: AttestationData,
        slot: Slot,
    ) -> Result<AttestationData, ApiError> {
        let checked = check_attestation_data(&data, slot, self.spec.epoch_of(slot));
        checked.map_err(|broken| node.wrong(&broken))?;
        Ok(data)
    }

    fn check_aggregate(
        &self,
        Versioned { version, data }: &Versioned<Value>,
        fork: Fork,
        data_root: Root,
        committee_index: u64,
    ) -> Checked {
        rule(*version == fork, || format!("an aggregate of {version}, asked for {fork}"))?;
        let read = match (fork, self.spec.preset) {
            (Fork::Capella | Fork::Deneb, _) => read_aggregate(data),
            (Fork::Electra | Fork::Fulu, Preset::Mainnet) => {
                read_electra_aggregate::<Mainnet>(data, committee_index)
            }
            (Fork::Electra | Fork::Fulu, Preset::Minimal) => {
                read_electra_aggregate::<Minimal>(data, committee_index)
            }
            (Fork::Electra | Fork::Fulu, Preset::Gnosis) => {
                read_electra_aggregate::<Gnosis>(data, committee_index)
            }
        };
        let (vote, of_committee) = read.map_err(|error| format!("not an aggregate of {fork}: {error}"))?;
        let root = Root::of(&vote);
        rule(root == data_root, || format!("an aggregate of {root}, asked for {data_root}"))?;
        rule(of_committee, || format!("an aggregate of nobody, or not of committee {committee_index} alone"))
    }

    fn check_contribution(&self, data: &Value, asked: (Slot, u64, Root)) -> Checked {
        let read = match self.spec.preset {
            Preset::Mainnet => read_contribution::<Mainnet>(data),
            Preset::Minimal => read_contribution::<Minimal>(data),
            Preset::Gnosis => read_contribution::<Gnosis>(data),
        };
        let (slot, subcommittee, block, of_somebody) =
            read.map_err(|error| format!("not a contribution: {error}"))?;
        rule((slot, subcommittee, block) == asked, || {
            let (asked_slot, asked_subcommittee, asked_block) = asked;
            format!(
                "a contribution of slot {slot}, subcommittee {subcommittee}, block {block}, asked for slot \
                 {asked_slot}, subcommittee {asked_subcommittee}, block {asked_block}"
            )
        })?;
        rule(of_somebody, || "a contribution of nobody".to_owned())
    }

    /// Asks about the head, and takes no answer about one whose payload is not verified.
    async fn ask_head<T>(
        &self,
        path: &str,
        read: impl Fn(&Node, &Reply) -> Result<OfState<T>, ApiError>,
    ) -> Result<T, ApiError> {
        let call = self.within(self.limits.attestation_bps, self.get(path));
        let read = |node: &Node, reply: Reply| {
            let OfState { execution_optimistic, data, .. } = read(node, &reply)?;
            let verified = rule(!execution_optimistic, || "a head that is not verified".to_owned());
            verified.map_err(|broken| node.wrong(&broken))?;
            Ok(data)
        };
        self.ask_quick(call, read).await
    }
}

impl Beacon {
    /// What to attest in a slot, for committee 0: from Electra on for all committees. One node's view; see
    /// [`Beacon::attestation_data_views`] for all.
    ///
    /// - Errors: `Body` also for another slot, another committee, a target that is not the slot's epoch, and a source
    ///   after it.
    pub async fn attestation_data(&self, slot: Slot) -> Result<AttestationData, ApiError> {
        let read = |node: &Node, reply: Reply| {
            let Data { data } = reply.json(node)?;
            self.0.check_attestation_data(node, data, slot)
        };
        self.0.ask_quick(self.0.attestation_call(slot), read).await
    }

    /// The head's block root: what members of a sync committee sign.
    ///
    /// - Errors: `Body` also for a head whose payload is not verified: nobody may sign for it.
    pub async fn head_root(&self) -> Result<Root, ApiError> {
        let read = |node: &Node, reply: &Reply| reply.json::<OfState<BlockRoot>>(node);
        Ok(self.0.ask_head("/eth/v1/beacon/blocks/head/root", read).await?.root)
    }

    /// The head's root and header, with its slot.
    ///
    /// - Errors: `Body` also for a root that is not the header's, and as [`Beacon::head_root`].
    pub async fn head_header(&self) -> Result<BlockHeader, ApiError> {
        let read = |node: &Node, reply: &Reply| {
            let answer = reply.json::<OfState<BlockHeader>>(node)?;
            let (said, root) = (answer.data.root, Root::of(&answer.data.header.message));
            let same = rule(said == root, || format!("header of {root}, said to be of {said}"));
            same.map_err(|broken| node.wrong(&broken))?;
            Ok(answer)
        };
        self.0.ask_head("/eth/v1/beacon/headers/head", read).await
    }

    /// The best aggregate of a vote that a node has gathered, as JSON in the form of the fork.
    ///
    /// - `fork`: the slot's; `data_root`: hash tree root of the [`AttestationData`]; before Electra that is of one
    ///   committee, from Electra on `committee_index` says whose aggregate is wanted.
    /// - Errors: `Body` also for another vote, another fork, another committee, and an aggregate of nobody. `Status`
    ///   404 if no node has one.
    pub async fn aggregate_attestation(
        &self,
        fork: Fork,
        slot: Slot,
        data_root: Root,
        committee_index: u64,
    ) -> Result<(Fork, Value), ApiError> {
        let inner = &self.0;
        let call = inner.get(format!(
            "/eth/v2/validator/aggregate_attestation?attestation_data_root={data_root}&slot={slot}\
             &committee_index={committee_index}"
        ));
        let read = |node: &Node, reply: Reply| {
            let aggregate: Versioned<Value> = reply.json(node)?;
            let checked = inner.check_aggregate(&aggregate, fork, data_root, committee_index);
            checked.map_err(|broken| node.wrong(&broken))?;
            Ok((aggregate.version, aggregate.data))
        };
        inner.ask_quick(inner.within(inner.limits.attestation_bps, call), read).await
    }

    /// The best contribution of a subcommittee that a node has gathered: JSON of a `SyncCommitteeContribution`.
    ///
    /// - Errors: `Body` also for another slot, subcommittee or block, and a contribution of nobody. `Status` 404 if no
    ///   node has one.
    pub async fn sync_contribution(
        &self,
        slot: Slot,
        subcommittee_index: u64,
        block_root: Root,
    ) -> Result<Value, ApiError> {
        let inner = &self.0;
        let call = inner.get(format!(
            "/eth/v1/validator/sync_committee_contribution?slot={slot}\
             &subcommittee_index={subcommittee_index}&beacon_block_root={block_root}"
        ));
        let asked = (slot, subcommittee_index, block_root);
        let call = inner.within(inner.limits.attestation_bps, call);
        inner.ask_data(call, |data: &Value| inner.check_contribution(data, asked)).await
    }
}
