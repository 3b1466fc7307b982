//! What sync committees sign.
//!
//! Source: consensus-specs Altair.

use crate::sizes::{Sizes, containers};
use crate::{Root, Signature, Slot, ValidatorIndex};
use ssz::BitVector;

containers! {
    /// The committee's signature over the parent block, as a block carries it.
    #[derive(Default)]
    #[serde(bound = "")]
    pub struct SyncAggregate<P: Sizes> {
        /// Who signed.
        pub sync_committee_bits: BitVector<P::SyncCommittee>,
        /// Their aggregate.
        pub sync_committee_signature: Signature,
    }

    /// One member's vote for a block.
    #[derive(Copy, Default)]
    pub struct SyncCommitteeMessage {
        /// Slot.
        pub slot: Slot,
        /// The block; its root is what is signed.
        pub beacon_block_root: Root,
        /// Who signs.
        pub validator_index: ValidatorIndex,
        /// By the member.
        pub signature: Signature,
    }

    /// A subcommittee's votes, aggregated.
    #[derive(Default)]
    #[serde(bound = "")]
    pub struct SyncCommitteeContribution<P: Sizes> {
        /// Slot.
        pub slot: Slot,
        /// The block voted for.
        pub beacon_block_root: Root,
        /// Which subcommittee.
        #[serde(with = "serde_utils::quoted_u64")]
        pub subcommittee_index: u64,
        /// Who signed.
        pub aggregation_bits: BitVector<P::SyncSubcommittee>,
        /// Their aggregate.
        pub signature: Signature,
    }

    /// A contribution and the proof that its sender was chosen.
    #[derive(Default)]
    #[serde(bound = "")]
    pub struct ContributionAndProof<P: Sizes> {
        /// Who aggregated.
        pub aggregator_index: ValidatorIndex,
        /// What.
        pub contribution: SyncCommitteeContribution<P>,
        /// Over the [`SyncAggregatorSelectionData`].
        pub selection_proof: Signature,
    }

    /// A contribution and proof, signed.
    #[derive(Default)]
    #[serde(bound = "")]
    pub struct SignedContributionAndProof<P: Sizes> {
        /// What was signed.
        pub message: ContributionAndProof<P>,
        /// By the aggregator.
        pub signature: Signature,
    }

    /// What the selection proof of a sync aggregator signs.
    #[derive(Copy, Default)]
    pub struct SyncAggregatorSelectionData {
        /// Slot.
        pub slot: Slot,
        /// Which subcommittee.
        #[serde(with = "serde_utils::quoted_u64")]
        pub subcommittee_index: u64,
    }
}
