//! What a validator is due to do, as the beacon API tells it. SSZ has the fields in the order in which validator clients
//! that ask for it read them (Lodestar's codecs; the API's specification names none).

use crate::{PublicKey, Slot, ValidatorIndex};
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};

/// A validator's attestation of an epoch (`POST /eth/v1/validator/duties/attester/{epoch}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct AttesterDuty {
    /// The validator's key (the group key, on our side of the validator API).
    pub pubkey: PublicKey,
    /// The validator's index.
    pub validator_index: ValidatorIndex,
    /// Which committee of the slot.
    #[serde(with = "serde_utils::quoted_u64")]
    pub committee_index: u64,
    /// How many members that committee has.
    #[serde(with = "serde_utils::quoted_u64")]
    pub committee_length: u64,
    /// How many committees the slot has.
    #[serde(with = "serde_utils::quoted_u64")]
    pub committees_at_slot: u64,
    /// The validator's place in its committee.
    #[serde(with = "serde_utils::quoted_u64")]
    pub validator_committee_index: u64,
    /// When.
    pub slot: Slot,
}

/// A block to propose (`GET /eth/v1/validator/duties/proposer/{epoch}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct ProposerDuty {
    /// When.
    pub slot: Slot,
    /// The validator's index.
    pub validator_index: ValidatorIndex,
    /// The validator's key.
    pub pubkey: PublicKey,
}

/// A validator's places in the sync committee of an epoch (`POST /eth/v1/validator/duties/sync/{epoch}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct SyncDuty {
    /// The validator's key.
    pub pubkey: PublicKey,
    /// The validator's index.
    pub validator_index: ValidatorIndex,
    /// Its places in the committee; one validator may have several.
    #[serde(with = "serde_utils::quoted_u64_vec")]
    pub validator_sync_committee_indices: Vec<u64>,
}
