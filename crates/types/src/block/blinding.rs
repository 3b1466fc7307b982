//! Full and blinded bodies, and the way from one to the other.
//!
//! A payload and its header have one hash tree root, so a block and its blinded form have one too: whoever signed one
//! has signed the other. Source: ethereum/builder-specs, `BlindedBeaconBlockBody`.

use super::body::{
    BlindedBodyCapella, BlindedBodyDeneb, BlindedBodyElectra, Body, BodyCapella, BodyDeneb, BodyElectra,
};
use crate::Root;
use crate::payload::{ExecutionPayloadCapella, ExecutionPayloadDeneb, ExecutionRequests, KzgCommitments};
use crate::sizes::{Sizes, Ssz};
use serde::de::DeserializeOwned;

/// A body that has a blinded form; a blinded one is its own.
pub trait Blind: Body {
    /// The form with the payload's header.
    type Blinded: Blinded;
    /// The same body with the payload's header in the payload's place.
    fn blind(self) -> Self::Blinded;
}

/// A body with a payload's header: what a block says when its payload is elsewhere.
pub trait Blinded: Body {
    /// The form with the payload.
    type Full: Body;
    /// The payload.
    type Payload: Ssz + DeserializeOwned;
    /// Hash tree root of the header: that of the payload.
    fn payload_header_root(&self) -> Root;
    /// Commitments to blobs; `None` before Deneb.
    fn blob_kzg_commitments(&self) -> Option<&KzgCommitments>;
    /// Requests of the execution layer; `None` before Electra.
    fn execution_requests(&self) -> Option<&ExecutionRequests>;
    /// The same body with this payload in the header's place. Whether it is the header's is the caller's to check.
    fn unblind(self, payload: Self::Payload) -> Self::Full;
}

macro_rules! blinding {
    (
        $full:ident, $blinded:ident, $payload:ident,
        commitments: $commitments:expr, requests: $requests:expr $(, $extra:ident)*
    ) => {
        impl<P: Sizes> Blind for $full<P> {
            type Blinded = $blinded<P>;

            fn blind(self) -> $blinded<P> {
                $blinded {
                    execution_payload_header: self.execution_payload.header(),
                    randao_reveal: self.randao_reveal,
                    eth1_data: self.eth1_data,
                    graffiti: self.graffiti,
                    proposer_slashings: self.proposer_slashings,
                    attester_slashings: self.attester_slashings,
                    attestations: self.attestations,
                    deposits: self.deposits,
                    voluntary_exits: self.voluntary_exits,
                    sync_aggregate: self.sync_aggregate,
                    bls_to_execution_changes: self.bls_to_execution_changes,
                    $($extra: self.$extra,)*
                }
            }
        }

        impl<P: Sizes> Blind for $blinded<P> {
            type Blinded = Self;

            fn blind(self) -> Self {
                self
            }
        }

        impl<P: Sizes> Blinded for $blinded<P> {
            type Full = $full<P>;
            type Payload = $payload<P>;

            fn payload_header_root(&self) -> Root {
                Root::of(&self.execution_payload_header)
            }

            fn blob_kzg_commitments(&self) -> Option<&KzgCommitments> {
                let commitments: fn(&Self) -> Option<&KzgCommitments> = $commitments;
                commitments(self)
            }

            fn execution_requests(&self) -> Option<&ExecutionRequests> {
                let requests: fn(&Self) -> Option<&ExecutionRequests> = $requests;
                requests(self)
            }

            fn unblind(self, payload: $payload<P>) -> $full<P> {
                $full {
                    execution_payload: payload,
                    randao_reveal: self.randao_reveal,
                    eth1_data: self.eth1_data,
                    graffiti: self.graffiti,
                    proposer_slashings: self.proposer_slashings,
                    attester_slashings: self.attester_slashings,
                    attestations: self.attestations,
                    deposits: self.deposits,
                    voluntary_exits: self.voluntary_exits,
                    sync_aggregate: self.sync_aggregate,
                    bls_to_execution_changes: self.bls_to_execution_changes,
                    $($extra: self.$extra,)*
                }
            }
        }
    };
}

blinding!(BodyCapella, BlindedBodyCapella, ExecutionPayloadCapella, commitments: |_| None, requests: |_| None);
blinding!(
    BodyDeneb, BlindedBodyDeneb, ExecutionPayloadDeneb,
    commitments: |body| Some(&body.blob_kzg_commitments), requests: |_| None,
    blob_kzg_commitments
);
blinding!(
    BodyElectra, BlindedBodyElectra, ExecutionPayloadDeneb,
    commitments: |body| Some(&body.blob_kzg_commitments), requests: |body| Some(&body.execution_requests),
    blob_kzg_commitments, execution_requests
);
