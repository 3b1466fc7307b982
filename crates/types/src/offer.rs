//! What a leader offers to propose: a block in its blinded form, and a relay's bid where a builder made its payload.
//!
//! The payload and blobs are not part of it: they travel beside, and are bound by the block's root
//! ([`crate::block::BlockContents::belongs_to`]). The bid is bound by the offer's hash, so that nobody can show an offer
//! with its bid to one operator and without it to another.

use crate::bid::RelayBid;
use crate::block::ProposedBlock;
use crate::wire::Value;
use crate::{Preset, Root};
use sha2::{Digest, Sha256};
use ssz::{Decode as _, Encode as _};
use thiserror::Error;

/// Why bytes are no offer. Each names the broken rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OfferError {
    /// Not a list of a block and at most one bid.
    #[error("not a block and at most one bid: {0}")]
    Parts(String),
    /// The first part is no block.
    #[error(transparent)]
    Block(#[from] crate::block::BlockError),
    /// The second part is no bid.
    #[error(transparent)]
    Bid(#[from] crate::bid::BidReadError),
    /// A full block: operators agree on the blinded form.
    #[error("a full block, has to be in its blinded form")]
    NotBlinded,
}

/// What a leader offers to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    block: ProposedBlock,
    bid: Option<RelayBid>,
}

impl Offer {
    /// A block of the own beacon node.
    ///
    /// - `block`: blinded, see [`ProposedBlock::blind`]; `bid`: the relay's, where a builder made the payload.
    /// - Errors: `NotBlinded`.
    pub fn new(block: ProposedBlock, bid: Option<RelayBid>) -> Result<Self, OfferError> {
        if block.blinded { Ok(Self { block, bid }) } else { Err(OfferError::NotBlinded) }
    }

    /// The block, in its blinded form.
    pub const fn block(&self) -> &ProposedBlock {
        &self.block
    }

    /// The relay's bid, where a builder made the payload.
    pub const fn bid(&self) -> Option<&RelayBid> {
        self.bid.as_ref()
    }

    /// What is agreed on: the block's root; with a bid, SHA-256 of the root and the hash of the bid's bytes.
    pub fn hash(&self) -> Root {
        let Some(bid) = &self.bid else { return self.block.root };
        let mut hasher = Sha256::new();
        hasher.update(self.block.root.0);
        hasher.update(Sha256::digest(&bid.to_value().0));
        Root(hasher.finalize().into())
    }

    /// The form in which operators send it to each other: SSZ of a list of one part or two.
    pub fn to_value(&self) -> Value {
        let parts: Vec<Value> =
            std::iter::once(self.block.to_value()).chain(self.bid.as_ref().map(RelayBid::to_value)).collect();
        parts.as_ssz_bytes().into()
    }

    /// Reads what [`Offer::to_value`] wrote; strict.
    ///
    /// - Cost: hashes the blinded block.
    pub fn from_value(preset: Preset, value: &[u8]) -> Result<Self, OfferError> {
        let parts =
            Vec::<Value>::from_ssz_bytes(value).map_err(|error| OfferError::Parts(format!("{error:?}")))?;
        let (block, bid) = match parts.as_slice() {
            [block] => (block, None),
            [block, bid] => (block, Some(RelayBid::from_value(&bid.0)?)),
            _ => return Err(OfferError::Parts(format!("{} parts", parts.len()))),
        };
        Self::new(ProposedBlock::from_value(preset, &block.0)?, bid)
    }
}
