//! A relay's signed bid, whatever its fork: what it offers, and whether a block is the one it is for.
//!
//! A builder's block pays the builder; that it pays the proposer too is promised by the relay, in the bid that names
//! the payload's header. So an operator takes such a block with its bid only: of a relay on its list, signed by that
//! relay, for this very header. Source: ethereum/builder-specs, `SignedBuilderBid`; Fulu's is Electra's.

use crate::block::{BlockShape, ProposedBlock};
use crate::builder::{BuilderBidCapella, BuilderBidDeneb, BuilderBidElectra, SignedBuilderBid};
use crate::sizes::Ssz;
use crate::wire::Value as Bytes;
use crate::{
    ChainSpec, DomainType, Epoch, Fork, Preset, PublicKey, Root, Signature, SigningRoot, Wei, payload,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

/// Longest SSZ of a bid in bytes. Its longest part are deposit requests, of 192 bytes and at least 50,000 gas each: a
/// block of 250 million gas has 5,000 of them at most.
pub const BID_LEN_MAX: usize = 1 << 20;

/// Why bytes or JSON are not a bid.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BidReadError {
    /// Not the SSZ of a bid of that fork.
    #[error("not the SSZ of a {fork} bid: {reason}")]
    Ssz {
        /// Fork it was read as.
        fork: Fork,
        /// What the decoder says.
        reason: String,
    },
    /// Not the JSON of a bid.
    #[error("not the JSON of a bid: {reason}")]
    Json {
        /// What the reader says.
        reason: String,
    },
    /// Longer than any bid of a block within its gas limit.
    #[error("{have} bytes, a bid has at most {BID_LEN_MAX}")]
    TooLong {
        /// Its length.
        have: usize,
    },
    /// The first byte names no fork.
    #[error("unknown fork tag {0}")]
    Tag(u8),
    /// Bytes without even a tag.
    #[error("nothing is no bid")]
    Empty,
}

/// Why a bid is not for a block. Each names the broken rule.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BidError {
    /// Of another fork.
    #[error("a bid of {bid}, the block is of {block}")]
    OtherFork {
        /// The bid's.
        bid: Fork,
        /// The block's.
        block: Fork,
    },
    /// For another payload.
    #[error("a bid for the payload header {bid}, the block has {block}")]
    OtherHeader {
        /// Root of the bid's header.
        bid: Root,
        /// Root of the block's.
        block: Root,
    },
    /// For other blobs.
    #[error("a bid for other commitments to blobs than the block's")]
    OtherCommitments,
    /// For other requests of the execution layer.
    #[error("a bid for other execution requests than the block's")]
    OtherRequests,
}

/// A relay's bid and its signature. Whether the signature verifies is `crypto`'s to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayBid {
    /// Which fork's container it is.
    pub fork: Fork,
    /// The relay's key, as the bid says.
    pub relay: PublicKey,
    /// What the proposer is paid, as the relay promises.
    pub value: Wei,
    /// Parent of the execution block.
    pub parent_hash: Root,
    /// Hash of the execution block.
    pub block_hash: Root,
    /// Unix time of the payload's slot, in seconds.
    pub timestamp_s: u64,
    /// Hash tree root of the payload's header, computed.
    pub payload_header_root: Root,
    /// Hash tree root of the commitments to its blobs, computed; from Deneb on.
    pub blob_kzg_commitments_root: Option<Root>,
    /// Hash tree root of its requests of the execution layer, computed; from Electra on.
    pub execution_requests_root: Option<Root>,
    /// Hash tree root of what is signed, computed.
    pub message_root: Root,
    /// By the relay.
    pub signature: Signature,
    /// The signed bid's SSZ.
    ssz: Bytes,
}

impl RelayBid {
    /// Reads the SSZ of a signed bid. Strict: what it takes is the one encoding of that bid.
    ///
    /// - Errors: `Ssz`, `TooLong`.
    pub fn from_ssz(fork: Fork, ssz: &[u8]) -> Result<Self, BidReadError> {
        if ssz.len() > BID_LEN_MAX {
            return Err(BidReadError::TooLong { have: ssz.len() });
        }
        (Codec::of_fork(fork).from_ssz)(fork, ssz)
    }

    /// Reads the builder API's JSON: `{"version", "data": {"message", "signature"}}`.
    ///
    /// - Errors: `Json`, also for a version that is none of our forks; `TooLong`.
    pub fn from_json(json: &Value) -> Result<Self, BidReadError> {
        let field = |name: &str| {
            json.get(name).ok_or_else(|| BidReadError::Json { reason: format!("it has no {name}") })
        };
        let fork: Fork = serde_json::from_value(field("version")?.clone()).map_err(BidReadError::json)?;
        (Codec::of_fork(fork).from_json)(fork, field("data")?)
    }

    /// The SSZ of the signed bid.
    pub fn ssz(&self) -> &[u8] {
        &self.ssz.0
    }

    /// The builder API's JSON.
    pub fn to_json(&self) -> Value {
        json!({ "version": self.fork, "data": (Codec::of_fork(self.fork).to_json)(&self.ssz.0) })
    }

    /// The form in which operators send it to each other: a byte for the fork, then the SSZ.
    pub fn to_value(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(1 + self.ssz.0.len());
        bytes.push(BlockShape::full(Preset::Mainnet, self.fork).tag());
        bytes.extend_from_slice(&self.ssz.0);
        bytes.into()
    }

    /// Reads what [`RelayBid::to_value`] wrote; strict as [`RelayBid::from_ssz`].
    pub fn from_value(value: &[u8]) -> Result<Self, BidReadError> {
        let Some((&tag, ssz)) = value.split_first() else { return Err(BidReadError::Empty) };
        let shape = BlockShape::of_tag(Preset::Mainnet, tag).filter(|shape| !shape.blinded);
        let Some(shape) = shape else { return Err(BidReadError::Tag(tag)) };
        Self::from_ssz(shape.fork, ssz)
    }

    /// What the relay signs: under the network's genesis fork, whatever fork is in force.
    pub fn signing_root(&self, spec: &ChainSpec) -> SigningRoot {
        SigningRoot::of(spec, DomainType::ApplicationBuilder, Epoch(0), self.message_root)
    }

    /// Whether this is the bid for a block, full or blinded.
    ///
    /// - Says nothing of who signed it, nor of what it offers.
    /// - Errors: which rule is broken. Nothing is hashed.
    pub fn matches(&self, block: &ProposedBlock) -> Result<(), BidError> {
        if self.fork != block.fork {
            return Err(BidError::OtherFork { bid: self.fork, block: block.fork });
        }
        if self.payload_header_root != block.payload_header_root {
            let (bid, block) = (self.payload_header_root, block.payload_header_root);
            return Err(BidError::OtherHeader { bid, block });
        }
        if self.blob_kzg_commitments_root != block.blob_kzg_commitments_root {
            return Err(BidError::OtherCommitments);
        }
        if self.execution_requests_root != block.execution_requests_root {
            return Err(BidError::OtherRequests);
        }
        Ok(())
    }
}

impl BidReadError {
    fn json(error: serde_json::Error) -> Self {
        Self::Json { reason: error.to_string() }
    }
}

/// What a bid says, whatever its container.
struct Terms {
    relay: PublicKey,
    value: Wei,
    parent_hash: Root,
    block_hash: Root,
    timestamp_s: u64,
    payload_header_root: Root,
    blob_kzg_commitments_root: Option<Root>,
    execution_requests_root: Option<Root>,
}

/// One fork's bid.
trait Message: Ssz + Serialize + DeserializeOwned {
    fn terms(&self) -> Terms;
}

macro_rules! message {
    ($name:ty, commitments: $commitments:expr, requests: $requests:expr) => {
        impl Message for $name {
            fn terms(&self) -> Terms {
                let commitments: fn(&Self) -> Option<Root> = $commitments;
                let requests: fn(&Self) -> Option<Root> = $requests;
                Terms {
                    relay: self.pubkey,
                    value: Wei(self.value),
                    parent_hash: self.header.parent_hash,
                    block_hash: self.header.block_hash,
                    timestamp_s: self.header.timestamp,
                    payload_header_root: Root::of(&self.header),
                    blob_kzg_commitments_root: commitments(self),
                    execution_requests_root: requests(self),
                }
            }
        }
    };
}

fn commitments_root(commitments: &payload::KzgCommitments) -> Option<Root> {
    Some(Root::of(commitments))
}

message!(BuilderBidCapella, commitments: |_| None, requests: |_| None);
message!(
    BuilderBidDeneb, commitments: |bid| commitments_root(&bid.blob_kzg_commitments), requests: |_| None
);
message!(
    BuilderBidElectra,
    commitments: |bid| commitments_root(&bid.blob_kzg_commitments),
    requests: |bid| Some(Root::of(&bid.execution_requests))
);

/// What the containers of one fork can do.
struct Codec {
    from_ssz: fn(Fork, &[u8]) -> Result<RelayBid, BidReadError>,
    from_json: fn(Fork, &Value) -> Result<RelayBid, BidReadError>,
    to_json: fn(&[u8]) -> Value,
}

impl Codec {
    const fn of_fork(fork: Fork) -> Self {
        match fork {
            Fork::Capella => Self::of::<BuilderBidCapella>(),
            Fork::Deneb => Self::of::<BuilderBidDeneb>(),
            Fork::Electra | Fork::Fulu => Self::of::<BuilderBidElectra>(),
        }
    }

    const fn of<M: Message>() -> Self {
        Self { from_ssz: from_ssz::<M>, from_json: from_json::<M>, to_json: to_json::<M> }
    }
}

fn from_ssz<M: Message>(fork: Fork, ssz: &[u8]) -> Result<RelayBid, BidReadError> {
    let bid = <SignedBuilderBid<M> as ssz::Decode>::from_ssz_bytes(ssz);
    let bid = bid.map_err(|error| BidReadError::Ssz { fork, reason: format!("{error:?}") })?;
    Ok(read(fork, &bid, ssz.to_vec()))
}

fn from_json<M: Message>(fork: Fork, json: &Value) -> Result<RelayBid, BidReadError> {
    let bid: SignedBuilderBid<M> = serde::Deserialize::deserialize(json).map_err(BidReadError::json)?;
    let ssz = ssz::Encode::as_ssz_bytes(&bid);
    if ssz.len() > BID_LEN_MAX {
        return Err(BidReadError::TooLong { have: ssz.len() });
    }
    Ok(read(fork, &bid, ssz))
}

fn to_json<M: Message>(ssz: &[u8]) -> Value {
    let bid = <SignedBuilderBid<M> as ssz::Decode>::from_ssz_bytes(ssz);
    let bid = bid.expect("a bid's bytes were read once already");
    serde_json::to_value(bid).expect("plain structs serialize into memory")
}

fn read<M: Message>(fork: Fork, bid: &SignedBuilderBid<M>, ssz: Vec<u8>) -> RelayBid {
    let terms = bid.message.terms();
    RelayBid {
        fork,
        relay: terms.relay,
        value: terms.value,
        parent_hash: terms.parent_hash,
        block_hash: terms.block_hash,
        timestamp_s: terms.timestamp_s,
        payload_header_root: terms.payload_header_root,
        blob_kzg_commitments_root: terms.blob_kzg_commitments_root,
        execution_requests_root: terms.execution_requests_root,
        message_root: Root::of(&bid.message),
        signature: bid.signature,
        ssz: ssz.into(),
    }
}
