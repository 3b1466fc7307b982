//! Blocks: what a cluster agrees on, and the containers of each fork.

pub mod blinding;
pub mod body;
mod contents;
mod revealed;
mod shape;
mod signed;

pub use contents::{
    BLOB_LEN, BLOBS_MAX, BlockContents, CELLS_PER_BLOB, ContentsError, Sidecars, SignedBlockContents,
};
pub use revealed::{RevealedPayload, UnblindError};
pub use shape::BlockShape;
pub use signed::{
    SignedBlockParts, signed_block_from_json, signed_block_from_ssz, signed_block_to_json,
    signed_block_to_ssz,
};

use crate::wire::Value;
use crate::{Address, Fork, Preset, Root, Signature, Slot, ValidatorIndex};
use thiserror::Error;

/// Why bytes or JSON are not a block.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BlockError {
    /// Not the SSZ of a block of that fork.
    #[error("not the SSZ of a {fork} block: {reason}")]
    Ssz {
        /// Fork it was read as.
        fork: Fork,
        /// What the decoder says.
        reason: String,
    },
    /// Not the JSON of a block of that fork.
    #[error("not the JSON of a {fork} block: {reason}")]
    Json {
        /// Fork it was read as.
        fork: Fork,
        /// What the reader says.
        reason: String,
    },
    /// Blobs and proofs that fit neither each other nor their limits.
    #[error("{0}")]
    Sidecars(&'static str),
    /// The first byte names no fork.
    #[error("unknown fork tag {0}")]
    Tag(u8),
    /// A value without even a tag.
    #[error("an empty value is no block")]
    Empty,
}

/// A block as a cluster agrees on it: what the guard and the checks read, computed from the bytes themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedBlock {
    /// Which fork's container it is.
    pub fork: Fork,
    /// Whether it carries a payload's header instead of the payload.
    pub blinded: bool,
    /// Its slot.
    pub slot: Slot,
    /// Its proposer.
    pub proposer_index: ValidatorIndex,
    /// Its parent.
    pub parent_root: Root,
    /// State after it, as it says.
    pub state_root: Root,
    /// Hash tree root of the body, computed.
    pub body_root: Root,
    /// Hash tree root of the block, computed: the value that is agreed on.
    pub root: Root,
    /// The RANDAO reveal in its body.
    pub randao_reveal: Signature,
    /// The proposer's words in its body.
    pub graffiti: Root,
    /// Whom the execution payload pays.
    pub fee_recipient: Address,
    /// Hash of the execution block, as the payload says.
    pub payload_block_hash: Root,
    /// Hash tree root of the payload's header, computed: that of the payload.
    pub payload_header_root: Root,
    /// How many blobs it commits to.
    pub blob_count: usize,
    /// Hash tree root of its commitments to blobs, computed; from Deneb on.
    pub blob_kzg_commitments_root: Option<Root>,
    /// Hash tree root of its requests of the execution layer, computed; from Electra on.
    pub execution_requests_root: Option<Root>,
    /// The unsigned block's SSZ.
    pub ssz: Value,
}

impl ProposedBlock {
    /// Reads the SSZ of an unsigned full block.
    ///
    /// - Strict: trailing bytes, wrong offsets, lists beyond their limits and padding bits are refused, so what it
    ///   takes is the one encoding of that block.
    /// - Errors: `Ssz`.
    /// - Cost: hashes the whole body, some 10 ms a megabyte.
    pub fn decode(preset: Preset, fork: Fork, ssz: &[u8]) -> Result<Self, BlockError> {
        BlockShape::full(preset, fork).decode(ssz)
    }

    /// Reads the SSZ of an unsigned blinded block; strict as [`ProposedBlock::decode`].
    pub fn decode_blinded(preset: Preset, fork: Fork, ssz: &[u8]) -> Result<Self, BlockError> {
        BlockShape::blinded(preset, fork).decode(ssz)
    }

    /// Reads the beacon API's JSON of an unsigned block.
    pub fn from_json(shape: BlockShape, json: &serde_json::Value) -> Result<Self, BlockError> {
        shape.decode(&shape.ssz_from_json(json)?)
    }

    /// The beacon API's JSON of the unsigned block.
    pub fn to_json(&self, preset: Preset) -> Result<serde_json::Value, BlockError> {
        self.shape(preset).json_from_ssz(&self.ssz.0)
    }

    /// The same block with the payload's header in the payload's place: root and all else stay. A blinded one is its
    /// own.
    ///
    /// - `preset`: the network's. Errors: `Ssz`, for another preset than the block's.
    /// - Cost: as [`ProposedBlock::decode`] for a full block.
    pub fn blind(&self, preset: Preset) -> Result<Self, BlockError> {
        let ssz = self.shape(preset).blind(&self.ssz.0)?;
        Ok(Self { blinded: true, ssz: ssz.into(), ..self.clone() })
    }

    /// Which container it is in. `preset`: the network's.
    pub const fn shape(&self, preset: Preset) -> BlockShape {
        BlockShape { preset, fork: self.fork, blinded: self.blinded }
    }

    /// The form in which operators send it to each other: [`BlockShape::tag`], then the SSZ.
    pub fn to_value(&self) -> Value {
        // The tag is the same for every preset: a cluster's operators know their network.
        let tag = self.shape(Preset::Mainnet).tag();
        let mut bytes = Vec::with_capacity(1 + self.ssz.0.len());
        bytes.push(tag);
        bytes.extend_from_slice(&self.ssz.0);
        bytes.into()
    }

    /// Reads what [`ProposedBlock::to_value`] wrote; strict as [`ProposedBlock::decode`].
    pub fn from_value(preset: Preset, value: &[u8]) -> Result<Self, BlockError> {
        let Some((&tag, ssz)) = value.split_first() else { return Err(BlockError::Empty) };
        let Some(shape) = BlockShape::of_tag(preset, tag) else { return Err(BlockError::Tag(tag)) };
        shape.decode(ssz)
    }
}

impl BlockError {
    fn ssz(fork: Fork, error: ssz::DecodeError) -> Self {
        Self::Ssz { fork, reason: format!("{error:?}") }
    }

    fn json(fork: Fork, error: impl ToString) -> Self {
        Self::Json { fork, reason: error.to_string() }
    }
}

/// The SSZ of an unsigned full block in the beacon API's JSON (snake case, quoted integers, `0x` hex).
pub fn block_json_to_ssz(
    preset: Preset,
    fork: Fork,
    json: &serde_json::Value,
) -> Result<Vec<u8>, BlockError> {
    BlockShape::full(preset, fork).ssz_from_json(json)
}

/// The beacon API's JSON of an unsigned full block in SSZ.
pub fn block_ssz_to_json(preset: Preset, fork: Fork, ssz: &[u8]) -> Result<serde_json::Value, BlockError> {
    BlockShape::full(preset, fork).json_from_ssz(ssz)
}
