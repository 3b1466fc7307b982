//! What proposers and builders say to each other.
//!
//! Source: ethereum/builder-specs Bellatrix to Electra.

use crate::payload::{
    ExecutionPayloadHeaderCapella, ExecutionPayloadHeaderDeneb, ExecutionRequests, KzgCommitments,
};
use crate::sizes::{Ssz, containers};
use crate::{Address, PublicKey, Signature};
use alloy_primitives::U256;

containers! {
    /// A proposer's wishes, told to builders.
    #[derive(Copy, Default)]
    pub struct ValidatorRegistrationV1 {
        /// Whom blocks shall pay.
        pub fee_recipient: Address,
        /// Gas limit wished for.
        #[serde(with = "serde_utils::quoted_u64")]
        pub gas_limit: u64,
        /// Unix time in seconds; the latest counts.
        #[serde(with = "serde_utils::quoted_u64")]
        pub timestamp: u64,
        /// The validator's key.
        pub pubkey: PublicKey,
    }

    /// A proposer's wishes, signed.
    #[derive(Copy, Default)]
    pub struct SignedValidatorRegistrationV1 {
        /// What was signed.
        pub message: ValidatorRegistrationV1,
        /// By the validator.
        pub signature: Signature,
    }

    /// A relay's bid in Capella.
    #[derive(Default)]
    pub struct BuilderBidCapella {
        /// The payload's header.
        pub header: ExecutionPayloadHeaderCapella,
        /// What the proposer is paid, in wei.
        #[serde(with = "serde_utils::quoted_u256")]
        pub value: U256,
        /// The relay's key.
        pub pubkey: PublicKey,
    }

    /// A relay's bid in Deneb.
    #[derive(Default)]
    pub struct BuilderBidDeneb {
        /// The payload's header.
        pub header: ExecutionPayloadHeaderDeneb,
        /// Commitments to its blobs.
        pub blob_kzg_commitments: KzgCommitments,
        /// What the proposer is paid, in wei.
        #[serde(with = "serde_utils::quoted_u256")]
        pub value: U256,
        /// The relay's key.
        pub pubkey: PublicKey,
    }

    /// A relay's bid from Electra on.
    #[derive(Default)]
    pub struct BuilderBidElectra {
        /// The payload's header.
        pub header: ExecutionPayloadHeaderDeneb,
        /// Commitments to its blobs.
        pub blob_kzg_commitments: KzgCommitments,
        /// Requests of the execution layer.
        pub execution_requests: ExecutionRequests,
        /// What the proposer is paid, in wei.
        #[serde(with = "serde_utils::quoted_u256")]
        pub value: U256,
        /// The relay's key.
        pub pubkey: PublicKey,
    }

    /// A relay's bid, signed under [`DomainType::ApplicationBuilder`](crate::DomainType::ApplicationBuilder).
    #[derive(Default)]
    pub struct SignedBuilderBid<B: Ssz> {
        /// What was signed.
        pub message: B,
        /// By the relay.
        pub signature: Signature,
    }
}
