//! What attesters sign, and the vote that a cluster agrees on.

use crate::sizes::{AttestersPerCommittee, Length, Sizes, Ssz, containers};
use crate::{Epoch, Root, Signature, Slot, ValidatorIndex};
use serde::{Deserialize, Serialize};
use ssz::{BitList, BitVector};
use ssz_derive::{Decode, Encode};
use ssz_types::VariableList;
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

containers! {
    /// Votes of one committee, before Electra.
    pub struct Attestation {
        /// Who of the committee; up to `MAX_VALIDATORS_PER_COMMITTEE`.
        pub aggregation_bits: BitList<AttestersPerCommittee>,
        /// The vote.
        pub data: AttestationData,
        /// Their aggregate.
        pub signature: Signature,
    }

    /// Votes of a slot's committees, from Electra on.
    #[serde(bound = "")]
    pub struct AttestationElectra<P: Sizes> {
        /// Who of the committees named below, one after the other.
        pub aggregation_bits: BitList<P::AttestersPerSlot>,
        /// The vote; its index is 0.
        pub data: AttestationData,
        /// Their aggregate.
        pub signature: Signature,
        /// Which committees.
        pub committee_bits: BitVector<P::CommitteesPerSlot>,
    }

    /// One attester's vote as it travels from Electra on.
    #[derive(Copy, Default)]
    pub struct SingleAttestation {
        /// Its committee.
        #[serde(with = "serde_utils::quoted_u64")]
        pub committee_index: u64,
        /// Who.
        pub attester_index: ValidatorIndex,
        /// The vote; its index is 0.
        pub data: AttestationData,
        /// By the attester.
        pub signature: Signature,
    }

    /// A vote with its attesters by index. `N`: most attesters.
    #[derive(Default)]
    #[serde(bound = "")]
    pub struct IndexedAttestation<N: Length> {
        /// Who, ascending.
        pub attesting_indices: VariableList<ValidatorIndex, N>,
        /// The vote.
        pub data: AttestationData,
        /// Their aggregate.
        pub signature: Signature,
    }

    /// An aggregate and the proof that its sender was chosen. `A`: [`Attestation`] or [`AttestationElectra`].
    #[derive(Default)]
    pub struct AggregateAndProof<A: Ssz> {
        /// Who aggregated.
        pub aggregator_index: ValidatorIndex,
        /// What.
        pub aggregate: A,
        /// Over the slot.
        pub selection_proof: Signature,
    }

    /// An aggregate and proof, signed.
    #[derive(Default)]
    pub struct SignedAggregateAndProof<A: Ssz> {
        /// What was signed.
        pub message: AggregateAndProof<A>,
        /// By the aggregator.
        pub signature: Signature,
    }
}

impl Default for Attestation {
    fn default() -> Self {
        Self { aggregation_bits: no_bits(), data: AttestationData::default(), signature: Signature::ZERO }
    }
}

impl<P: Sizes> Default for AttestationElectra<P> {
    fn default() -> Self {
        Self {
            aggregation_bits: no_bits(),
            data: AttestationData::default(),
            signature: Signature::ZERO,
            committee_bits: BitVector::default(),
        }
    }
}

fn no_bits<N: Length>() -> BitList<N> {
    BitList::with_capacity(0).expect("no list is shorter than 0 bits")
}
