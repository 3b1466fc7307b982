//! Blocks: what a cluster agrees on, and the containers of each fork.

use crate::wire::Value;
use crate::{Address, Fork, Preset, Root, Signature, Slot, ValidatorIndex};
use thiserror::Error;

/// Why bytes are not a block.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BlockError {
    /// Not the SSZ of a block of that fork.
    #[error("not a {fork} block: {reason}")]
    Ssz {
        /// Fork it was read as.
        fork: Fork,
        /// What the decoder says.
        reason: String,
    },
    /// The first byte names no fork.
    #[error("unknown fork tag {0}")]
    Tag(u8),
    /// Containers of this fork are not known here yet.
    #[error("{0} blocks are not supported")]
    Unsupported(Fork),
}

/// A block as a cluster agrees on it: what the guard and the checks read, computed from the bytes themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedBlock {
    /// Which fork's container it is.
    pub fork: Fork,
    /// Its slot.
    pub slot: Slot,
    /// Its proposer.
    pub proposer_index: ValidatorIndex,
    /// Its parent.
    pub parent_root: Root,
    /// Hash tree root of the body, computed.
    pub body_root: Root,
    /// Hash tree root of the block, computed: the value that is agreed on.
    pub root: Root,
    /// The RANDAO reveal in its body.
    pub randao_reveal: Signature,
    /// Whom the execution payload pays.
    pub fee_recipient: Address,
    /// The unsigned block's SSZ.
    pub ssz: Value,
}

impl ProposedBlock {
    /// Reads the SSZ of an unsigned block.
    pub fn decode(preset: Preset, fork: Fork, ssz: &[u8]) -> Result<Self, BlockError> {
        let _ = (preset, ssz);
        Err(BlockError::Unsupported(fork))
    }
}
impl ProposedBlock {
    pub fn to_value(&self) -> Value {
        self.ssz.clone()
    }
    pub fn from_value(preset: Preset, bytes: &[u8]) -> Result<Self, BlockError> {
        Self::decode(preset, Fork::Electra, bytes)
    }
}
