//! Block contents: a full block with its blobs and proofs, as beacon nodes produce and publish it from Deneb on.
//!
//! Blobs and proofs are opaque here. They are bound to the block by its `blob_kzg_commitments`, and the beacon node
//! that publishes them checks them. Capella's blocks and blinded ones have none and come bare; one pair of types
//! speaks for both forms. Source: beacon-APIs `Deneb.BlockContents`, `Fulu.BlockContents`.

use super::signed::missing;
use super::{BlockError, BlockShape, ProposedBlock, SignedBlockParts};
use crate::bytes::KzgCommitment;
use crate::wire::Value as Bytes;
use crate::{Fork, Preset, Root, Signature};
use serde_json::{Value, json};
use ssz::{SszDecoderBuilder, SszEncoder};
use thiserror::Error;

/// Length of a blob in bytes: `FIELD_ELEMENTS_PER_BLOB * BYTES_PER_FIELD_ELEMENT`.
pub const BLOB_LEN: usize = 4096 * 32;
/// Most blobs of a block: `MAX_BLOB_COMMITMENTS_PER_BLOCK`.
pub const BLOBS_MAX: usize = 4096;
/// Proofs of a blob from Fulu on: `CELLS_PER_EXT_BLOB`.
pub const CELLS_PER_BLOB: usize = 128;
/// Length of a proof in bytes: compressed G1, like a commitment.
pub(super) const PROOF_LEN: usize = KzgCommitment::LEN;

/// Blobs of a block and their proofs, opaque, one after the other. Shared: they may be megabytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecars {
    kzg_proofs: Bytes,
    blobs: Bytes,
}

impl Default for Sidecars {
    fn default() -> Self {
        Self { kzg_proofs: Vec::new().into(), blobs: Vec::new().into() }
    }
}

impl Sidecars {
    /// How many blobs there are.
    pub fn len(&self) -> usize {
        self.blobs.0.len() / BLOB_LEN
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blobs.0.is_empty()
    }

    /// - Errors: `Sidecars` for more than [`BLOBS_MAX`] blobs, for parts of one, and for another number of proofs
    ///   than one a blob, or [`CELLS_PER_BLOB`] a blob from Fulu on.
    pub(super) fn new(fork: Fork, kzg_proofs: Vec<u8>, blobs: Vec<u8>) -> Result<Self, BlockError> {
        let count = blobs.len() / BLOB_LEN;
        let proofs_per_blob = if fork >= Fork::Fulu { CELLS_PER_BLOB } else { 1 };
        if !blobs.len().is_multiple_of(BLOB_LEN) {
            return Err(BlockError::Sidecars("blobs of another length than a blob's"));
        }
        if count > BLOBS_MAX {
            return Err(BlockError::Sidecars("more blobs than a block can have"));
        }
        if kzg_proofs.len() != count * proofs_per_blob * PROOF_LEN {
            return Err(BlockError::Sidecars("another number of proofs than the blobs ask for"));
        }
        Ok(Self { kzg_proofs: kzg_proofs.into(), blobs: blobs.into() })
    }

    fn from_json(fork: Fork, json: &Value) -> Result<Self, BlockError> {
        let kzg_proofs = hex_items::<PROOF_LEN>(fork, json, "kzg_proofs", BLOBS_MAX * CELLS_PER_BLOB)?;
        let blobs = hex_items::<BLOB_LEN>(fork, json, "blobs", BLOBS_MAX)?;
        Self::new(fork, kzg_proofs, blobs)
    }

    fn kzg_proofs_json(&self) -> Value {
        self.kzg_proofs.0.chunks(PROOF_LEN).map(hex_text).collect()
    }

    fn blobs_json(&self) -> Value {
        self.blobs.0.chunks(BLOB_LEN).map(hex_text).collect()
    }
}

fn hex_text(bytes: &[u8]) -> Value {
    Value::String(format!("0x{}", hex::encode(bytes)))
}

pub(super) fn hex_items<const LEN: usize>(
    fork: Fork,
    json: &Value,
    field: &str,
    items_max: usize,
) -> Result<Vec<u8>, BlockError> {
    let items = json[field].as_array().ok_or_else(|| missing(fork, field))?;
    if items.len() > items_max {
        return Err(BlockError::Sidecars("more proofs or blobs than a block can have"));
    }
    // No capacity ahead: few bytes of JSON could ask for a great deal of it.
    let mut bytes = Vec::new();
    for item in items {
        let text = item.as_str().ok_or_else(|| missing(fork, field))?;
        let item = hex::decode(text.strip_prefix("0x").unwrap_or(text));
        let item = item.map_err(|error| BlockError::json(fork, error))?;
        if item.len() != LEN {
            return Err(BlockError::Sidecars("a proof or blob of another length"));
        }
        bytes.extend_from_slice(&item);
    }
    Ok(bytes)
}

/// What a beacon node produces: an unsigned block, with its blobs where its shape has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockContents {
    /// The block.
    pub block: ProposedBlock,
    /// Its blobs and their proofs; empty where the shape has none.
    pub sidecars: Sidecars,
}

/// What is published: a signed block, with its blobs where its shape has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBlockContents {
    /// The signed block.
    pub signed: SignedBlockParts,
    /// Its blobs and their proofs; empty where the shape has none.
    pub sidecars: Sidecars,
}

/// Why contents are not those of an agreed block. Each names the broken rule.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ContentsError {
    /// A block without its payload.
    #[error("the block is blinded: its payload is missing")]
    Blinded,
    /// A block of another fork, whose root may be the same.
    #[error("a block of {have}, agreed was one of {want}")]
    OtherFork {
        /// Of the contents.
        have: Fork,
        /// Agreed.
        want: Fork,
    },
    /// Another block.
    #[error("block {have}, agreed was {want}")]
    OtherBlock {
        /// Root of the contents' block.
        have: Root,
        /// Agreed.
        want: Root,
    },
    /// Blobs are missing, or too many.
    #[error("{have} blobs, the block commits to {want}")]
    Blobs {
        /// That are there.
        have: usize,
        /// Commitments.
        want: usize,
    },
}

impl BlockContents {
    /// Whether these are the contents of `agreed`, full or blinded: the same block, with as many blobs as it commits to.
    ///
    /// - Whether each blob and proof fits its commitment is said by the beacon node that publishes them.
    /// - Errors: which rule is broken. Nothing is hashed.
    pub fn belongs_to(&self, agreed: &ProposedBlock) -> Result<(), ContentsError> {
        let block = &self.block;
        if block.blinded {
            return Err(ContentsError::Blinded);
        }
        if block.fork != agreed.fork {
            return Err(ContentsError::OtherFork { have: block.fork, want: agreed.fork });
        }
        if block.root != agreed.root {
            return Err(ContentsError::OtherBlock { have: block.root, want: agreed.root });
        }
        if self.sidecars.len() != block.blob_count {
            return Err(ContentsError::Blobs { have: self.sidecars.len(), want: block.blob_count });
        }
        Ok(())
    }

    /// Reads SSZ: `{block, kzg_proofs, blobs}`, or a bare block where [`BlockShape::has_sidecars`] says no.
    pub fn from_ssz(shape: BlockShape, ssz: &[u8]) -> Result<Self, BlockError> {
        let (block, sidecars) = split(shape, ssz)?;
        Ok(Self { block: shape.decode(block)?, sidecars })
    }

    /// Reads the beacon API's JSON, of the same forms.
    pub fn from_json(shape: BlockShape, json: &Value) -> Result<Self, BlockError> {
        if !shape.has_sidecars() {
            return Ok(Self { block: ProposedBlock::from_json(shape, json)?, sidecars: Sidecars::default() });
        }
        let block = json.get("block").ok_or_else(|| missing(shape.fork, "block"))?;
        let sidecars = Sidecars::from_json(shape.fork, json)?;
        Ok(Self { block: ProposedBlock::from_json(shape, block)?, sidecars })
    }

    /// SSZ, in the form of the block's shape.
    pub fn to_ssz(&self) -> Vec<u8> {
        join(&self.block, self.block.ssz.0.to_vec(), &self.sidecars)
    }

    /// The beacon API's JSON, in the form of the block's shape.
    pub fn to_json(&self, preset: Preset) -> Result<Value, BlockError> {
        let block = self.block.to_json(preset)?;
        Ok(wrap(&self.block, "block", block, &self.sidecars))
    }

    /// The same with a signature.
    pub fn sign(self, signature: Signature) -> SignedBlockContents {
        let signed = SignedBlockParts { block: self.block, signature };
        SignedBlockContents { signed, sidecars: self.sidecars }
    }
}

impl SignedBlockContents {
    /// Reads SSZ: `{signed_block, kzg_proofs, blobs}`, or a bare signed block where [`BlockShape::has_sidecars`]
    /// says no.
    pub fn from_ssz(shape: BlockShape, ssz: &[u8]) -> Result<Self, BlockError> {
        let (signed, sidecars) = split(shape, ssz)?;
        Ok(Self { signed: SignedBlockParts::from_ssz(shape, signed)?, sidecars })
    }

    /// Reads the beacon API's JSON, of the same forms.
    pub fn from_json(shape: BlockShape, json: &Value) -> Result<Self, BlockError> {
        if !shape.has_sidecars() {
            let signed = SignedBlockParts::from_json(shape, json)?;
            return Ok(Self { signed, sidecars: Sidecars::default() });
        }
        let signed = json.get("signed_block").ok_or_else(|| missing(shape.fork, "signed_block"))?;
        let sidecars = Sidecars::from_json(shape.fork, json)?;
        Ok(Self { signed: SignedBlockParts::from_json(shape, signed)?, sidecars })
    }

    /// SSZ, in the form of the block's shape.
    pub fn to_ssz(&self) -> Vec<u8> {
        join(&self.signed.block, self.signed.to_ssz(), &self.sidecars)
    }

    /// The beacon API's JSON, in the form of the block's shape.
    pub fn to_json(&self, preset: Preset) -> Result<Value, BlockError> {
        let signed = self.signed.to_json(preset)?;
        Ok(wrap(&self.signed.block, "signed_block", signed, &self.sidecars))
    }
}

/// Whether a block travels with blobs; its preset does not matter for that.
fn travels_with_sidecars(block: &ProposedBlock) -> bool {
    block.shape(Preset::Mainnet).has_sidecars()
}

fn wrap(block: &ProposedBlock, name: &str, json: Value, sidecars: &Sidecars) -> Value {
    if !travels_with_sidecars(block) {
        return json;
    }
    json!({ name: json, "kzg_proofs": sidecars.kzg_proofs_json(), "blobs": sidecars.blobs_json() })
}

fn join(block: &ProposedBlock, block_ssz: Vec<u8>, sidecars: &Sidecars) -> Vec<u8> {
    if !travels_with_sidecars(block) {
        return block_ssz;
    }
    let fixed_len = 3 * ssz::BYTES_PER_LENGTH_OFFSET;
    let variable_len = block_ssz.len() + sidecars.kzg_proofs.0.len() + sidecars.blobs.0.len();
    let mut bytes = Vec::with_capacity(fixed_len + variable_len);
    let mut encoder = SszEncoder::container(&mut bytes, fixed_len);
    encoder.append_parameterized(false, |buffer| buffer.extend_from_slice(&block_ssz));
    encoder.append(&sidecars.kzg_proofs);
    encoder.append(&sidecars.blobs);
    encoder.finalize();
    bytes
}

/// The block's bytes, signed or not, and its blobs.
fn split(shape: BlockShape, ssz: &[u8]) -> Result<(&[u8], Sidecars), BlockError> {
    if !shape.has_sidecars() {
        return Ok((ssz, Sidecars::default()));
    }
    let [block, kzg_proofs, blobs] = three(ssz).map_err(|error| BlockError::ssz(shape.fork, error))?;
    Ok((block, Sidecars::new(shape.fork, kzg_proofs.to_vec(), blobs.to_vec())?))
}

fn three(ssz: &[u8]) -> Result<[&[u8]; 3], ssz::DecodeError> {
    let mut builder = SszDecoderBuilder::new(ssz);
    for _ in 0..3 {
        builder.register_anonymous_variable_length_item()?;
    }
    let mut decoder = builder.build()?;
    Ok([decoder.decode_next_with(Ok)?, decoder.decode_next_with(Ok)?, decoder.decode_next_with(Ok)?])
}
