//! A block with a signature, as it is published.

use super::{BlockError, BlockShape, ProposedBlock};
use crate::{Fork, Preset, Signature};
use serde_json::{Value, json};
use ssz::{SszDecoderBuilder, SszEncoder};

/// A block and a signature over it. Whose and whether it verifies is `crypto`'s to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBlockParts {
    /// What was signed.
    pub block: ProposedBlock,
    /// The signature.
    pub signature: Signature,
}

impl SignedBlockParts {
    /// Reads the SSZ of a signed block; strict as [`ProposedBlock::decode`].
    pub fn from_ssz(shape: BlockShape, ssz: &[u8]) -> Result<Self, BlockError> {
        let (block, signature) = split(ssz).map_err(|error| BlockError::ssz(shape.fork, error))?;
        Ok(Self { block: shape.decode(block)?, signature })
    }

    /// Reads the beacon API's JSON of a signed block.
    pub fn from_json(shape: BlockShape, json: &Value) -> Result<Self, BlockError> {
        let signature = json["signature"].as_str().ok_or_else(|| missing(shape.fork, "signature"))?;
        let signature = signature.parse().map_err(|error| BlockError::json(shape.fork, error))?;
        let message = json.get("message").ok_or_else(|| missing(shape.fork, "message"))?;
        Ok(Self { block: ProposedBlock::from_json(shape, message)?, signature })
    }

    /// The SSZ of the signed block.
    pub fn to_ssz(&self) -> Vec<u8> {
        let block = &self.block.ssz.0;
        let fixed_len = ssz::BYTES_PER_LENGTH_OFFSET + Signature::LEN;
        let mut bytes = Vec::with_capacity(fixed_len + block.len());
        let mut encoder = SszEncoder::container(&mut bytes, fixed_len);
        encoder.append_parameterized(false, |buffer| buffer.extend_from_slice(block));
        encoder.append(&self.signature);
        encoder.finalize();
        bytes
    }

    /// The beacon API's JSON of the signed block.
    pub fn to_json(&self, preset: Preset) -> Result<Value, BlockError> {
        Ok(json!({ "message": self.block.to_json(preset)?, "signature": self.signature }))
    }
}

/// Reads the beacon API's JSON of a signed full block, without blobs.
pub fn signed_block_from_json(
    preset: Preset,
    fork: Fork,
    json: &Value,
) -> Result<SignedBlockParts, BlockError> {
    SignedBlockParts::from_json(BlockShape::full(preset, fork), json)
}

/// Reads the SSZ of a signed full block, without blobs.
pub fn signed_block_from_ssz(preset: Preset, fork: Fork, ssz: &[u8]) -> Result<SignedBlockParts, BlockError> {
    SignedBlockParts::from_ssz(BlockShape::full(preset, fork), ssz)
}

/// The beacon API's JSON of a signed block, without blobs.
pub fn signed_block_to_json(preset: Preset, signed: &SignedBlockParts) -> Result<Value, BlockError> {
    signed.to_json(preset)
}

/// The SSZ of a signed block, without blobs.
pub fn signed_block_to_ssz(signed: &SignedBlockParts) -> Vec<u8> {
    signed.to_ssz()
}

/// A field that the JSON lacks.
pub(super) fn missing(fork: Fork, field: &str) -> BlockError {
    BlockError::json(fork, format!("no {field}"))
}

/// The parts of `{message, signature}`: any signed container of variable length has this form.
fn split(ssz: &[u8]) -> Result<(&[u8], Signature), ssz::DecodeError> {
    let mut builder = SszDecoderBuilder::new(ssz);
    builder.register_anonymous_variable_length_item()?;
    builder.register_type::<Signature>()?;
    let mut decoder = builder.build()?;
    let message = decoder.decode_next_with(Ok)?;
    Ok((message, decoder.decode_next()?))
}
