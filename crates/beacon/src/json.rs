//! The JSON of the beacon API: shapes that the client reads and the validator API's server writes, or the reverse.
//!
//! Integers are quoted, bytes are `0x` hex. Fields that a shape does not name are read over: nodes add their own.
//! Duties are in [`types::duty`], what is signed in the other modules of [`types`].

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use types::attestation::{Attestation, SingleAttestation};
pub use types::duty::SyncDuty;
use types::operations::SignedBeaconBlockHeader;
use types::{
    Address, Checkpoint, Epoch, Fork, ForkVersion, PublicKey, Root, Signature, Slot, ValidatorIndex,
    ValidatorStatus,
};

/// Header that names the fork of a body. Header names are compared without regard to case.
pub const CONSENSUS_VERSION: &str = "eth-consensus-version";
/// Header that says whether a produced block is blinded.
pub const PAYLOAD_BLINDED: &str = "eth-execution-payload-blinded";
/// Header with the execution payload's value in wei.
pub const PAYLOAD_VALUE: &str = "eth-execution-payload-value";
/// Header with the consensus rewards of a block in wei.
pub const BLOCK_VALUE: &str = "eth-consensus-block-value";

/// `{"data": ...}`: nearly every answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data<T> {
    /// What was asked for.
    pub data: T,
}

/// Duties of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duties<T> {
    /// Block that the shuffling stands on: another root means other duties.
    pub dependent_root: Root,
    /// Whether the head's payload is not verified yet.
    #[serde(default)]
    pub execution_optimistic: bool,
    /// The duties.
    pub data: Vec<T>,
}

/// An answer about a state or block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfState<T> {
    /// Whether its payload is not verified yet.
    #[serde(default)]
    pub execution_optimistic: bool,
    /// Whether it is final.
    #[serde(default)]
    pub finalized: bool,
    /// What was asked for.
    pub data: T,
}

/// An answer of a fork's shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// Which fork's.
    pub version: Fork,
    /// What was asked for.
    pub data: T,
}

/// The answer of `GET /eth/v3/validator/blocks/{slot}`. Some nodes say part of it in headers only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducedBlockReply {
    /// Which fork's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Fork>,
    /// Whether the block is blinded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_payload_blinded: Option<bool>,
    /// The payload's value in wei, decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_payload_value: Option<String>,
    /// Consensus rewards in wei, decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consensus_block_value: Option<String>,
    /// The block, or the block with its blobs: `types::block::BlockContents` reads and writes it.
    pub data: Value,
}

/// What went wrong, as the API says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// HTTP status.
    pub code: u16,
    /// In words.
    pub message: String,
    /// What was wrong with single items of a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// What was wrong with one item of a list that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its place in the list, from 0.
    pub index: u64,
    /// In words.
    pub message: String,
}

/// `GET /eth/v1/beacon/genesis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// Unix time in seconds.
    #[serde(with = "serde_utils::quoted_u64")]
    pub genesis_time: u64,
    /// Root of the validators.
    pub genesis_validators_root: Root,
    /// Version at genesis.
    pub genesis_fork_version: ForkVersion,
}

/// `GET /eth/v1/node/version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Name, version and platform of the node.
    pub version: String,
}

/// `GET /eth/v1/node/syncing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStatus {
    /// Slot of the head.
    pub head_slot: Slot,
    /// How many slots the head is behind.
    #[serde(with = "serde_utils::quoted_u64")]
    pub sync_distance: u64,
    /// Whether it is catching up.
    pub is_syncing: bool,
    /// Whether the head's payload is not verified yet. Nodes older than the field do not say.
    #[serde(default)]
    pub is_optimistic: bool,
    /// Whether the execution client is out of reach. Nodes older than the field do not say.
    #[serde(default)]
    pub el_offline: bool,
}

impl SyncStatus {
    /// Whether the node follows the head and can vouch for it: then its answers are worth signing.
    pub fn is_ready(&self) -> bool {
        !self.is_syncing && !self.is_optimistic && !self.el_offline
    }
}

/// `GET /eth/v1/beacon/states/{id}/finality_checkpoints`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalityCheckpoints {
    /// Justified one epoch earlier.
    pub previous_justified: Checkpoint,
    /// Justified.
    pub current_justified: Checkpoint,
    /// Final.
    pub finalized: Checkpoint,
}

/// `GET /eth/v1/beacon/blocks/{id}/root`, and what each block header's answer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRoot {
    /// Hash tree root of the block.
    pub root: Root,
}

/// `GET /eth/v1/beacon/headers/{id}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// Hash tree root of the block.
    pub root: Root,
    /// Whether it is on the chain of the head.
    pub canonical: bool,
    /// The block with its body's root in place of the body, signed.
    pub header: SignedBeaconBlockHeader,
}

/// A validator as the state has it: of an entry `{index, balance, status, validator: {pubkey, slashed, ..}}` what is needed.
///
/// Not the whole entry: ten thousand of those take tens of megabytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "ValidatorEntry")]
pub struct ValidatorInfo {
    /// Its index.
    pub index: ValidatorIndex,
    /// Its key.
    pub pubkey: PublicKey,
    /// Where it is in its life.
    pub status: ValidatorStatus,
    /// Whether its record says that it was slashed.
    pub slashed: bool,
}

#[derive(Deserialize)]
struct ValidatorEntry {
    index: ValidatorIndex,
    status: ValidatorStatus,
    validator: ValidatorRecord,
}

#[derive(Deserialize)]
struct ValidatorRecord {
    pubkey: PublicKey,
    slashed: Option<bool>,
}

impl From<ValidatorEntry> for ValidatorInfo {
    fn from(ValidatorEntry { index, status, validator }: ValidatorEntry) -> Self {
        Self { index, pubkey: validator.pubkey, status, slashed: validator.slashed.unwrap_or_default() }
    }
}

impl ValidatorInfo {
    /// Whether the chain has slashed it. The record says so for ever, the status until its money can be withdrawn.
    pub const fn is_slashed(&self) -> bool {
        self.status.is_slashed() || self.slashed
    }
}

/// The body of `POST /eth/v1/beacon/states/{id}/validators`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorsRequest {
    /// Indices or keys; none asks for all.
    #[serde(default)]
    pub ids: Option<Vec<String>>,
    /// Statuses, or groups of them; none asks for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statuses: Option<Vec<String>>,
}

/// Whom a proposer's payload should pay (`POST /eth/v1/validator/prepare_beacon_proposer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposerPreparation {
    /// Who proposes.
    pub validator_index: ValidatorIndex,
    /// Who is paid.
    pub fee_recipient: Address,
}

/// An attester that asks its node to follow a committee (`POST /eth/v1/validator/beacon_committee_subscriptions`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitteeSubscription {
    /// Who.
    pub validator_index: ValidatorIndex,
    /// Its committee.
    #[serde(with = "serde_utils::quoted_u64")]
    pub committee_index: u64,
    /// How many committees the slot has.
    #[serde(with = "serde_utils::quoted_u64")]
    pub committees_at_slot: u64,
    /// When.
    pub slot: Slot,
    /// Whether it aggregates.
    pub is_aggregator: bool,
}

/// A member of a sync committee that asks its node to follow it
/// (`POST /eth/v1/validator/sync_committee_subscriptions`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSubscription {
    /// Who.
    pub validator_index: ValidatorIndex,
    /// Its places in the committee.
    #[serde(with = "serde_utils::quoted_u64_vec")]
    pub sync_committee_indices: Vec<u64>,
    /// First epoch in which it is no member any more.
    pub until_epoch: Epoch,
}

/// Partial, or combined, proof that an attester is chosen to aggregate
/// (`POST /eth/v1/validator/beacon_committee_selections`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitteeSelection {
    /// Who.
    pub validator_index: ValidatorIndex,
    /// When.
    pub slot: Slot,
    /// Over the slot.
    pub selection_proof: Signature,
}

/// Partial, or combined, proof that a member of a sync committee is chosen to aggregate
/// (`POST /eth/v1/validator/sync_committee_selections`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSelection {
    /// Who.
    pub validator_index: ValidatorIndex,
    /// When.
    pub slot: Slot,
    /// For which subcommittee.
    #[serde(with = "serde_utils::quoted_u64")]
    pub subcommittee_index: u64,
    /// Over slot and subcommittee.
    pub selection_proof: Signature,
}

/// Whether a validator was seen to act in an epoch (`POST /eth/v1/validator/liveness/{epoch}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liveness {
    /// Who.
    pub index: ValidatorIndex,
    /// Whether it was seen.
    pub is_live: bool,
}

/// The data of an event of topic `head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadEvent {
    /// The head's slot.
    pub slot: Slot,
    /// The head.
    pub block: Root,
    /// State after it.
    pub state: Root,
    /// Whether it is the first of its epoch.
    pub epoch_transition: bool,
    /// Block that the duties of its epoch stand on, if the node says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_duty_dependent_root: Option<Root>,
    /// Block that the duties of the next epoch stand on, if the node says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_duty_dependent_root: Option<Root>,
    /// Whether its payload is not verified yet.
    #[serde(default)]
    pub execution_optimistic: bool,
}

/// The body of `POST /eth/v2/beacon/pool/attestations`, in the form of its fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PoolAttestations {
    /// Before Electra: a bit for the attester's place in its committee.
    Bits(Vec<Attestation>),
    /// From Electra on: the attester by its index.
    Single(Vec<SingleAttestation>),
}

impl PoolAttestations {
    /// Reads the body. `fork`: what its `Eth-Consensus-Version` says.
    pub fn from_json(fork: Fork, json: &Value) -> Result<Self, serde_json::Error> {
        match fork {
            Fork::Capella | Fork::Deneb => Vec::deserialize(json).map(Self::Bits),
            Fork::Electra | Fork::Fulu => Vec::deserialize(json).map(Self::Single),
        }
    }
}

/// Reads quoted indices, the body of the duties' requests.
pub fn indices_from_json(json: &Value) -> Result<Vec<ValidatorIndex>, serde_json::Error> {
    Vec::deserialize(json)
}

/// The fork that a header or a `version` names; `None` for one whose containers we do not know.
pub fn fork_from_str(name: &str) -> Option<Fork> {
    [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu].into_iter().find(|fork| fork.to_string() == name)
}

/// Reads any shape from bytes; the error says where it departs.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attestations_are_read_in_the_form_of_their_fork_and_written_back_the_same() {
        let data = json!({
            "slot": "9", "index": "0", "beacon_block_root": Root([1; 32]),
            "source": {"epoch": "0", "root": Root::ZERO}, "target": {"epoch": "1", "root": Root([2; 32])},
        });
        let bits = json!([{"aggregation_bits": "0x0b", "data": data, "signature": Signature([3; 96])}]);
        let single = json!([{
            "committee_index": "1", "attester_index": "7", "data": data, "signature": Signature([3; 96]),
        }]);
        for (fork, right, wrong) in [(Fork::Deneb, &bits, &single), (Fork::Electra, &single, &bits)] {
            let read = PoolAttestations::from_json(fork, right).unwrap();
            assert_eq!(&serde_json::to_value(read).unwrap(), right);
            assert!(PoolAttestations::from_json(fork, wrong).is_err(), "{fork}");
        }
    }

    #[test]
    fn a_slashed_validator_is_one_by_its_record_when_its_status_is_silent() {
        let entry = |status: &str, slashed: Value| {
            let validator = json!({"pubkey": PublicKey([7; 48]), "slashed": slashed});
            let json = json!({"index": "3", "status": status, "validator": validator});
            serde_json::from_value::<ValidatorInfo>(json).unwrap().is_slashed()
        };
        assert!(entry("withdrawal_done", json!(true)) && entry("active_slashed", Value::Null));
        assert!(!entry("withdrawal_done", json!(false)) && !entry("exited_unslashed", Value::Null));
    }

    #[test]
    fn captured_shapes_are_read_and_written_byte_for_byte() {
        fn same<T: Serialize + DeserializeOwned>(text: &str) {
            let shape: T = read(text.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&shape).unwrap(), text);
        }
        let root = Root([0xab; 32]);
        let key = PublicKey([0xcd; 48]);
        same::<Vec<ProposerPreparation>>(
            r#"[{"validator_index":"0","fee_recipient":"0x0000000000000000000000000000000000000000"}]"#,
        );
        same::<CommitteeSubscription>(
            r#"{"validator_index":"0","committee_index":"0","committees_at_slot":"1","slot":"0","is_aggregator":false}"#,
        );
        same::<SyncSubscription>(
            r#"{"validator_index":"0","sync_committee_indices":["8","24"],"until_epoch":"8"}"#,
        );
        same::<HeadEvent>(&format!(
            r#"{{"slot":"1","block":"{root}","state":"{root}","epoch_transition":false,"previous_duty_dependent_root":"{root}","current_duty_dependent_root":"{root}","execution_optimistic":false}}"#
        ));
        same::<Duties<SyncDuty>>(&format!(
            r#"{{"dependent_root":"{root}","execution_optimistic":false,"data":[{{"pubkey":"{key}","validator_index":"3","validator_sync_committee_indices":["0","16"]}}]}}"#
        ));
        same::<ErrorBody>(r#"{"code":415,"message":"json only"}"#);
        same::<ErrorBody>(
            r#"{"code":400,"message":"some failed","failures":[{"index":0,"message":"late"}]}"#,
        );
    }
}
