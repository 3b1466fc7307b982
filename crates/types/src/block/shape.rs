//! Which container a block is in, and what can be done with its bytes.

use super::blinding::{Blind, Blinded as _};
use super::body::{
    BeaconBlock, BlindedBodyCapella, BlindedBodyDeneb, BlindedBodyElectra, Body, BodyCapella, BodyDeneb,
    BodyElectra,
};
use super::{BlockError, ProposedBlock};
use crate::sizes::{Gnosis, Mainnet, Minimal, Sizes};
use crate::{Fork, Preset, Root};
use serde::Deserialize;
use ssz::{Decode as _, Encode as _};

/// Set in the tag of a blinded block.
const BLINDED_BIT: u8 = 0x80;

/// Which container a block is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockShape {
    /// Sizes of its lists.
    pub preset: Preset,
    /// Its fork.
    pub fork: Fork,
    /// Whether it carries a payload's header instead of the payload.
    pub blinded: bool,
}

impl BlockShape {
    /// A full block's.
    pub const fn full(preset: Preset, fork: Fork) -> Self {
        Self { preset, fork, blinded: false }
    }

    /// A blinded block's.
    pub const fn blinded(preset: Preset, fork: Fork) -> Self {
        Self { preset, fork, blinded: true }
    }

    /// Whether a beacon node produces it together with blobs and proofs: full blocks from Deneb on.
    pub fn has_sidecars(self) -> bool {
        self.fork >= Fork::Deneb && !self.blinded
    }

    /// Reads the SSZ of an unsigned block. Strict: what it takes is the one encoding of that block.
    pub fn decode(self, ssz: &[u8]) -> Result<ProposedBlock, BlockError> {
        (self.codec().decode)(self, ssz)
    }

    /// The SSZ of the same block in its blinded form; of a blinded block, its own.
    pub fn blind(self, ssz: &[u8]) -> Result<Vec<u8>, BlockError> {
        (self.codec().blind)(self, ssz)
    }

    /// The SSZ of an unsigned block in the beacon API's JSON.
    pub fn ssz_from_json(self, json: &serde_json::Value) -> Result<Vec<u8>, BlockError> {
        (self.codec().ssz_from_json)(self, json)
    }

    /// The beacon API's JSON of an unsigned block in SSZ.
    pub fn json_from_ssz(self, ssz: &[u8]) -> Result<serde_json::Value, BlockError> {
        (self.codec().json_from_ssz)(self, ssz)
    }

    /// The byte that names fork and blindness between operators.
    pub const fn tag(self) -> u8 {
        let fork = match self.fork {
            Fork::Capella => 0,
            Fork::Deneb => 1,
            Fork::Electra => 2,
            Fork::Fulu => 3,
        };
        if self.blinded { fork | BLINDED_BIT } else { fork }
    }

    /// The shape that a tag names; `None` for a byte that names none.
    pub const fn of_tag(preset: Preset, tag: u8) -> Option<Self> {
        let fork = match tag & !BLINDED_BIT {
            0 => Fork::Capella,
            1 => Fork::Deneb,
            2 => Fork::Electra,
            3 => Fork::Fulu,
            _ => return None,
        };
        Some(Self { preset, fork, blinded: tag & BLINDED_BIT != 0 })
    }

    fn codec(self) -> Codec {
        match self.preset {
            Preset::Mainnet => self.codec_sized::<Mainnet>(),
            Preset::Minimal => self.codec_sized::<Minimal>(),
            Preset::Gnosis => self.codec_sized::<Gnosis>(),
        }
    }

    fn codec_sized<P: Sizes>(self) -> Codec {
        match (self.fork, self.blinded) {
            (Fork::Capella, false) => Codec::of::<BodyCapella<P>>(),
            (Fork::Capella, true) => Codec::of::<BlindedBodyCapella<P>>(),
            (Fork::Deneb, false) => Codec::of::<BodyDeneb<P>>(),
            (Fork::Deneb, true) => Codec::of::<BlindedBodyDeneb<P>>(),
            (Fork::Electra | Fork::Fulu, false) => Codec::of::<BodyElectra<P>>(),
            (Fork::Electra | Fork::Fulu, true) => Codec::of::<BlindedBodyElectra<P>>(),
        }
    }
}

/// What the containers of one shape can do.
struct Codec {
    decode: fn(BlockShape, &[u8]) -> Result<ProposedBlock, BlockError>,
    blind: fn(BlockShape, &[u8]) -> Result<Vec<u8>, BlockError>,
    ssz_from_json: fn(BlockShape, &serde_json::Value) -> Result<Vec<u8>, BlockError>,
    json_from_ssz: fn(BlockShape, &[u8]) -> Result<serde_json::Value, BlockError>,
}

impl Codec {
    const fn of<B: Blind>() -> Self {
        Self {
            decode: decode::<B>,
            blind: blind::<B>,
            ssz_from_json: ssz_from_json::<B>,
            json_from_ssz: json_from_ssz::<B>,
        }
    }
}

pub(super) fn read<B: Body>(shape: BlockShape, ssz: &[u8]) -> Result<BeaconBlock<B>, BlockError> {
    BeaconBlock::from_ssz_bytes(ssz).map_err(|error| BlockError::ssz(shape.fork, error))
}

/// Everything is read from the blinded form, whose root is the block's own: so a payload is hashed once.
fn decode<B: Blind>(shape: BlockShape, ssz: &[u8]) -> Result<ProposedBlock, BlockError> {
    let block = blinded::<B>(shape, ssz)?;
    let (header, body) = (block.header(), &block.body);
    Ok(ProposedBlock {
        fork: shape.fork,
        blinded: B::BLINDED,
        slot: block.slot,
        proposer_index: block.proposer_index,
        parent_root: block.parent_root,
        state_root: block.state_root,
        body_root: header.body_root,
        root: Root::of(&header),
        randao_reveal: body.randao_reveal(),
        graffiti: body.graffiti(),
        fee_recipient: body.fee_recipient(),
        payload_block_hash: body.payload_block_hash(),
        payload_header_root: body.payload_header_root(),
        blob_count: body.blob_kzg_commitments().map_or(0, |commitments| commitments.len()),
        blob_kzg_commitments_root: body.blob_kzg_commitments().map(Root::of),
        execution_requests_root: body.execution_requests().map(Root::of),
        ssz: ssz.to_vec().into(),
    })
}

fn blind<B: Blind>(shape: BlockShape, ssz: &[u8]) -> Result<Vec<u8>, BlockError> {
    Ok(blinded::<B>(shape, ssz)?.as_ssz_bytes())
}

fn blinded<B: Blind>(shape: BlockShape, ssz: &[u8]) -> Result<BeaconBlock<B::Blinded>, BlockError> {
    let BeaconBlock { slot, proposer_index, parent_root, state_root, body } = read::<B>(shape, ssz)?;
    Ok(BeaconBlock { slot, proposer_index, parent_root, state_root, body: body.blind() })
}

fn ssz_from_json<B: Body>(shape: BlockShape, json: &serde_json::Value) -> Result<Vec<u8>, BlockError> {
    let block = BeaconBlock::<B>::deserialize(json).map_err(|error| BlockError::json(shape.fork, error))?;
    Ok(block.as_ssz_bytes())
}

fn json_from_ssz<B: Body>(shape: BlockShape, ssz: &[u8]) -> Result<serde_json::Value, BlockError> {
    let block = read::<B>(shape, ssz)?;
    serde_json::to_value(block).map_err(|error| BlockError::json(shape.fork, error))
}
