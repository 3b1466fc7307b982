//! What a relay reveals for a signed blinded block: the payload, and from Deneb on its blobs.
//!
//! Joined with the blinded block it gives the full one, of the same root, whose signature is the same.
//! Source: ethereum/builder-specs, `submitBlindedBlock` (v1), `ExecutionPayloadAndBlobsBundle`.

use super::blinding::Blinded;
use super::body::{BeaconBlock, BlindedBodyCapella, BlindedBodyDeneb, BlindedBodyElectra};
use super::contents::{PROOF_LEN, hex_items};
use super::shape::read;
use super::signed::missing;
use super::{
    BLOB_LEN, BLOBS_MAX, BlockContents, BlockError, BlockShape, CELLS_PER_BLOB, ProposedBlock, Sidecars,
};
use crate::payload::KzgCommitments;
use crate::sizes::{Gnosis, Mainnet, Minimal, Sizes};
use crate::wire::Value as Bytes;
use crate::{Fork, Preset, Root};
use serde::Deserialize as _;
use serde_json::Value;
use ssz::{Decode as _, Encode as _};
use thiserror::Error;

/// A payload as a relay reveals it, with its blobs. Whose it is, is not said: [`BlockContents::unblind`] checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevealedPayload {
    /// Which fork's container it is.
    pub fork: Fork,
    /// Its sizes.
    pub preset: Preset,
    /// Hash tree root of the payload, computed: that of its header.
    pub payload_header_root: Root,
    /// Hash tree root of the commitments to its blobs, computed; from Deneb on.
    pub blob_kzg_commitments_root: Option<Root>,
    /// Its blobs and their proofs; none before Deneb.
    pub sidecars: Sidecars,
    /// The payload's SSZ.
    ssz: Bytes,
}

/// Why a payload and a blinded block make no full block. Each names the broken rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UnblindError {
    /// There is a payload already.
    #[error("the block is not blinded")]
    Full,
    /// Of another fork or network.
    #[error("a payload of {payload}, the block is of {block}")]
    OtherFork {
        /// The payload's fork.
        payload: Fork,
        /// The block's fork.
        block: Fork,
    },
    /// Another payload than the one whose header was signed.
    #[error("a payload with root {payload}, the block's header has {block}")]
    OtherHeader {
        /// The payload's root.
        payload: Root,
        /// The header's root.
        block: Root,
    },
    /// Blobs of other commitments than those that were signed.
    #[error("blobs of other commitments than the block's")]
    OtherCommitments,
    /// Blobs are missing, or too many.
    #[error("{have} blobs, the block commits to {want}")]
    Blobs {
        /// Revealed.
        have: usize,
        /// Commitments.
        want: usize,
    },
    /// The bytes of one of them.
    #[error(transparent)]
    Block(#[from] BlockError),
}

impl RevealedPayload {
    /// Reads the `data` of a relay's answer: a payload before Deneb, then `{execution_payload, blobs_bundle}`.
    ///
    /// - Errors: `Json`; `Sidecars` for blobs and proofs that fit neither each other nor their limits.
    /// - Cost: hashes the payload, some 10 ms a megabyte.
    pub fn from_json(preset: Preset, fork: Fork, data: &Value) -> Result<Self, BlockError> {
        let codec = Codec::of_network(preset, fork);
        if fork < Fork::Deneb {
            let (ssz, payload_header_root) = (codec.payload_from_json)(fork, data)?;
            let sidecars = Sidecars::default();
            return Ok(Self {
                fork,
                preset,
                payload_header_root,
                blob_kzg_commitments_root: None,
                sidecars,
                ssz,
            });
        }
        let field = |json: &Value, name| json.get(name).cloned().ok_or_else(|| missing(fork, name));
        let (payload, bundle) = (field(data, "execution_payload")?, field(data, "blobs_bundle")?);
        let (ssz, payload_header_root) = (codec.payload_from_json)(fork, &payload)?;
        let commitments = KzgCommitments::deserialize(field(&bundle, "commitments")?);
        let commitments = commitments.map_err(|error| BlockError::json(fork, error))?;
        let kzg_proofs = hex_items::<PROOF_LEN>(fork, &bundle, "proofs", BLOBS_MAX * CELLS_PER_BLOB)?;
        let blobs = hex_items::<BLOB_LEN>(fork, &bundle, "blobs", BLOBS_MAX)?;
        Ok(Self {
            fork,
            preset,
            payload_header_root,
            blob_kzg_commitments_root: Some(Root::of(&commitments)),
            sidecars: Sidecars::new(fork, kzg_proofs, blobs)?,
            ssz,
        })
    }

    /// Whether this is the payload that `blinded` has the header of, with all its blobs.
    ///
    /// - Errors: which rule is broken. Nothing is hashed.
    pub fn belongs_to(&self, blinded: &ProposedBlock) -> Result<(), UnblindError> {
        if !blinded.blinded {
            return Err(UnblindError::Full);
        }
        if self.fork != blinded.fork {
            return Err(UnblindError::OtherFork { payload: self.fork, block: blinded.fork });
        }
        if self.payload_header_root != blinded.payload_header_root {
            let (payload, block) = (self.payload_header_root, blinded.payload_header_root);
            return Err(UnblindError::OtherHeader { payload, block });
        }
        if self.blob_kzg_commitments_root != blinded.blob_kzg_commitments_root {
            return Err(UnblindError::OtherCommitments);
        }
        if self.sidecars.len() != blinded.blob_count {
            return Err(UnblindError::Blobs { have: self.sidecars.len(), want: blinded.blob_count });
        }
        Ok(())
    }
}

impl BlockContents {
    /// Joins a blinded block and its payload: the full block, of the same root, with its blobs.
    ///
    /// - Errors: all of [`UnblindError`]; `Block` for a block of another preset than the payload's.
    /// - Cost: copies the payload; nothing is hashed.
    pub fn unblind(blinded: &ProposedBlock, payload: &RevealedPayload) -> Result<Self, UnblindError> {
        payload.belongs_to(blinded)?;
        let codec = Codec::of_network(payload.preset, payload.fork);
        let ssz = (codec.unblind)(blinded.shape(payload.preset), &blinded.ssz.0, &payload.ssz.0)?;
        let block = ProposedBlock { blinded: false, ssz: ssz.into(), ..blinded.clone() };
        Ok(Self { block, sidecars: payload.sidecars.clone() })
    }
}

/// A payload's SSZ and hash tree root.
type Payload = (Bytes, Root);

/// What payloads of one fork and preset can do.
struct Codec {
    payload_from_json: fn(Fork, &Value) -> Result<Payload, BlockError>,
    /// Blinded block and payload to full block.
    unblind: Unblind,
}

type Unblind = fn(BlockShape, &[u8], &[u8]) -> Result<Vec<u8>, BlockError>;

impl Codec {
    fn of_network(preset: Preset, fork: Fork) -> Self {
        match preset {
            Preset::Mainnet => Self::of_fork::<Mainnet>(fork),
            Preset::Minimal => Self::of_fork::<Minimal>(fork),
            Preset::Gnosis => Self::of_fork::<Gnosis>(fork),
        }
    }

    fn of_fork<P: Sizes>(fork: Fork) -> Self {
        match fork {
            Fork::Capella => Self::of::<BlindedBodyCapella<P>>(),
            Fork::Deneb => Self::of::<BlindedBodyDeneb<P>>(),
            Fork::Electra | Fork::Fulu => Self::of::<BlindedBodyElectra<P>>(),
        }
    }

    const fn of<B: Blinded>() -> Self {
        Self { payload_from_json: payload_from_json::<B>, unblind: unblind::<B> }
    }
}

fn payload_from_json<B: Blinded>(fork: Fork, json: &Value) -> Result<Payload, BlockError> {
    let payload = B::Payload::deserialize(json).map_err(|error| BlockError::json(fork, error))?;
    Ok((payload.as_ssz_bytes().into(), Root::of(&payload)))
}

fn unblind<B: Blinded>(shape: BlockShape, block: &[u8], payload: &[u8]) -> Result<Vec<u8>, BlockError> {
    let payload = B::Payload::from_ssz_bytes(payload).map_err(|error| BlockError::ssz(shape.fork, error))?;
    let BeaconBlock { slot, proposer_index, parent_root, state_root, body } = read::<B>(shape, block)?;
    let full = BeaconBlock { slot, proposer_index, parent_root, state_root, body: body.unblind(payload) };
    Ok(full.as_ssz_bytes())
}
