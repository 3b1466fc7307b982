//! What attesters sign, and the vote that a cluster agrees on.

use crate::{Epoch, Root, Slot};
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use tree_hash_derive::TreeHash;

/// A checkpoint of finality: an epoch and the root of its boundary block.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    TreeHash,
    Serialize,
    Deserialize,
)]
pub struct Checkpoint {
    /// Epoch.
    pub epoch: Epoch,
    /// Block root at the epoch's boundary.
    pub root: Root,
}

/// What an attester signs.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    TreeHash,
    Serialize,
    Deserialize,
)]
pub struct AttestationData {
    /// Slot attested in.
    pub slot: Slot,
    /// Committee index before Electra, 0 from Electra on.
    #[serde(with = "serde_utils::quoted_u64")]
    pub index: u64,
    /// Head of the chain.
    pub beacon_block_root: Root,
    /// Justified checkpoint.
    pub source: Checkpoint,
    /// Checkpoint of the slot's epoch.
    pub target: Checkpoint,
}

/// What a cluster agrees on once a slot, for all its attesters: [`AttestationData`] without the committee.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    TreeHash,
    Serialize,
    Deserialize,
)]
pub struct BeaconVote {
    /// Slot attested in.
    pub slot: Slot,
    /// 0 up to Fulu; Gloas gives it a meaning.
    #[serde(with = "serde_utils::quoted_u64")]
    pub index: u64,
    /// Head of the chain.
    pub beacon_block_root: Root,
    /// Justified checkpoint.
    pub source: Checkpoint,
    /// Checkpoint of the slot's epoch.
    pub target: Checkpoint,
}

impl BeaconVote {
    /// The vote in what a beacon node answered, whatever committee was asked for.
    pub fn of(data: &AttestationData) -> Self {
        Self {
            slot: data.slot,
            index: 0,
            beacon_block_root: data.beacon_block_root,
            source: data.source,
            target: data.target,
        }
    }

    /// What an attester signs for this vote. `index`: its committee before Electra, 0 from Electra on.
    pub fn data(&self, index: u64) -> AttestationData {
        AttestationData {
            slot: self.slot,
            index,
            beacon_block_root: self.beacon_block_root,
            source: self.source,
            target: self.target,
        }
    }
}
