//! The containers of blocks, full and blinded, fork by fork.
//!
//! Source: consensus-specs Capella, Deneb, Electra; ethereum/builder-specs for blinded blocks. Fulu's are Electra's.

use crate::attestation::{Attestation, AttestationElectra};
use crate::operations::{
    AttesterSlashing, BeaconBlockHeader, Deposit, Eth1Data, ProposerSlashing, SignedBlsToExecutionChange,
    SignedVoluntaryExit,
};
use crate::payload::{
    ExecutionPayloadCapella, ExecutionPayloadDeneb, ExecutionPayloadHeaderCapella,
    ExecutionPayloadHeaderDeneb, ExecutionRequests, KzgCommitments,
};
use crate::sizes::{AttestersPerCommittee, Sizes, Ssz, containers};
use crate::sync::SyncAggregate;
use crate::{Address, Root, Signature, Slot, ValidatorIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ssz_types::VariableList;
use std::fmt::Debug;
use typenum::{U1, U2, U8, U16, U128};

/// What all bodies have in common.
pub trait Body: Ssz + Serialize + DeserializeOwned + Clone + Debug + Default + PartialEq + Eq {
    /// Whether it carries a payload's header instead of the payload.
    const BLINDED: bool;
    /// The RANDAO reveal.
    fn randao_reveal(&self) -> Signature;
    /// The proposer's words.
    fn graffiti(&self) -> Root;
    /// Whom the payload pays.
    fn fee_recipient(&self) -> Address;
    /// Hash of the execution block.
    fn payload_block_hash(&self) -> Root;
}

containers! {
    /// A block. `B`: one of the bodies below.
    #[derive(Default)]
    #[serde(bound = "")]
    pub struct BeaconBlock<B: Body> {
        /// Slot.
        pub slot: Slot,
        /// Who proposes.
        pub proposer_index: ValidatorIndex,
        /// Parent block.
        pub parent_root: Root,
        /// State after the block.
        pub state_root: Root,
        /// Everything else.
        pub body: B,
    }

    /// A block with its proposer's signature.
    #[derive(Default)]
    #[serde(bound = "")]
    pub struct SignedBeaconBlock<B: Body> {
        /// What was signed.
        pub message: BeaconBlock<B>,
        /// By the proposer.
        pub signature: Signature,
    }
}

impl<B: Body> BeaconBlock<B> {
    /// The block's header; it has the block's hash tree root.
    pub fn header(&self) -> BeaconBlockHeader {
        BeaconBlockHeader {
            slot: self.slot,
            proposer_index: self.proposer_index,
            parent_root: self.parent_root,
            state_root: self.state_root,
            body_root: Root::of(&self.body),
        }
    }
}

macro_rules! body {
    (
        $(#[$doc:meta])*
        $name:ident, blinded: $blinded:literal,
        slashings: $slashings:ty, attestations: $attestations:ty, $payload:ident: $payload_type:ty
        $(, $(#[$extra_doc:meta])* $extra:ident: $extra_type:ty)*
    ) => {
        containers! {
            $(#[$doc])*
            #[derive(Default)]
            #[serde(bound = "")]
            pub struct $name<P: Sizes> {
                /// The proposer's signature over the epoch.
                pub randao_reveal: Signature,
                /// Vote on the deposit contract.
                pub eth1_data: Eth1Data,
                /// The proposer's words.
                pub graffiti: Root,
                /// Up to `MAX_PROPOSER_SLASHINGS`.
                pub proposer_slashings: VariableList<ProposerSlashing, U16>,
                /// Up to `MAX_ATTESTER_SLASHINGS` of the fork.
                pub attester_slashings: $slashings,
                /// Up to `MAX_ATTESTATIONS` of the fork.
                pub attestations: $attestations,
                /// Up to `MAX_DEPOSITS`.
                pub deposits: VariableList<Deposit, U16>,
                /// Up to `MAX_VOLUNTARY_EXITS`.
                pub voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
                /// The sync committee's votes for the parent.
                pub sync_aggregate: SyncAggregate<P>,
                /// The execution layer's part.
                pub $payload: $payload_type,
                /// Up to `MAX_BLS_TO_EXECUTION_CHANGES`.
                pub bls_to_execution_changes: VariableList<SignedBlsToExecutionChange, U16>,
                $($(#[$extra_doc])* pub $extra: $extra_type,)*
            }
        }

        impl<P: Sizes> Body for $name<P> {
            const BLINDED: bool = $blinded;

            fn randao_reveal(&self) -> Signature {
                self.randao_reveal
            }

            fn graffiti(&self) -> Root {
                self.graffiti
            }

            fn fee_recipient(&self) -> Address {
                self.$payload.fee_recipient
            }

            fn payload_block_hash(&self) -> Root {
                self.$payload.block_hash
            }
        }
    };
}

body!(
    /// Body of a block of Capella.
    BodyCapella, blinded: false,
    slashings: VariableList<AttesterSlashing<AttestersPerCommittee>, U2>, attestations: VariableList<Attestation, U128>,
    execution_payload: ExecutionPayloadCapella<P>
);
body!(
    /// Body of a blinded block of Capella.
    BlindedBodyCapella, blinded: true,
    slashings: VariableList<AttesterSlashing<AttestersPerCommittee>, U2>, attestations: VariableList<Attestation, U128>,
    execution_payload_header: ExecutionPayloadHeaderCapella
);
body!(
    /// Body of a block of Deneb.
    BodyDeneb, blinded: false,
    slashings: VariableList<AttesterSlashing<AttestersPerCommittee>, U2>, attestations: VariableList<Attestation, U128>,
    execution_payload: ExecutionPayloadDeneb<P>,
    /// Commitments to the blobs.
    blob_kzg_commitments: KzgCommitments
);
body!(
    /// Body of a blinded block of Deneb.
    BlindedBodyDeneb, blinded: true,
    slashings: VariableList<AttesterSlashing<AttestersPerCommittee>, U2>, attestations: VariableList<Attestation, U128>,
    execution_payload_header: ExecutionPayloadHeaderDeneb,
    /// Commitments to the blobs.
    blob_kzg_commitments: KzgCommitments
);
body!(
    /// Body of a block of Electra and Fulu.
    BodyElectra, blinded: false,
    slashings: VariableList<AttesterSlashing<P::AttestersPerSlot>, U1>,
    attestations: VariableList<AttestationElectra<P>, U8>,
    execution_payload: ExecutionPayloadDeneb<P>,
    /// Commitments to the blobs.
    blob_kzg_commitments: KzgCommitments,
    /// Requests of the execution layer.
    execution_requests: ExecutionRequests
);
body!(
    /// Body of a blinded block of Electra and Fulu.
    BlindedBodyElectra, blinded: true,
    slashings: VariableList<AttesterSlashing<P::AttestersPerSlot>, U1>,
    attestations: VariableList<AttestationElectra<P>, U8>,
    execution_payload_header: ExecutionPayloadHeaderDeneb,
    /// Commitments to the blobs.
    blob_kzg_commitments: KzgCommitments,
    /// Requests of the execution layer.
    execution_requests: ExecutionRequests
);
