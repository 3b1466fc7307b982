//! Entries of the log: what was said, by whom, and what followed.
//!
//! ```text
//! entry   seq, prev, at, cause, events
//! hash    SHA-256(prev || canonical bytes of the entry)
//! prev    the hash of the entry before; zeros in the first
//! leaf    of the log's tree: the hash
//! ```
//!
//! An entry is stored with its hash, so a bit that fell over on a disk is found where it fell.

use super::charter::Charter;
use super::state::Event;
use crate::canonical::{self, CanonicalError};
use crate::request::{Message, Request, SignatureError, WalletSignature};
use crate::text::Label;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use types::{Address, Root};

/// Longest body of an observation, in bytes. A look or a report of as many validators as a pool may have takes some twenty
/// bytes for each in quiet times, and thirty when all of them leave; what is new in a look has four hundred, and the chain
/// lets in some thousands between two looks.
pub const SEEN_LEN_MAX: usize = 48 << 20;

/// What the coordinator has seen, and signs for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// What kind of thing.
    pub kind: Label,
    /// JSON of it, to the byte.
    pub body: String,
    /// By the coordinator's key, over [`Position::digest`].
    pub signature: WalletSignature,
}

impl Observation {
    /// Whose key signed it for this place. Nearly any signature gives somebody. Cost: one double scalar multiplication.
    pub fn recover(&self, position: &Position) -> Result<Address, SignatureError> {
        self.signature.signer(position.digest(&self.kind, &self.body))
    }
}

/// Where in a log an observation goes. It is signed with it, so it counts there and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The pool's id.
    pub pool: Root,
    /// The pool's chain.
    pub chain_id: u64,
    /// The number of the entry.
    pub seq: u64,
    /// The hash of the entry before.
    pub prev: Root,
    /// Unix seconds.
    pub at: u64,
}

impl Position {
    /// What the coordinator's key signs for an observation here.
    pub fn digest(&self, kind: &Label, body: &str) -> Root {
        let Self { pool, chain_id, seq, prev, at } = *self;
        let message =
            Message::Observation { pool, seq, prev, at, kind: kind.as_str(), body: body.as_bytes() };
        message.digest(chain_id)
    }
}

/// Why there is an entry: on whose word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The pool was founded. The first entry, and no other.
    Charter(Box<Charter>),
    /// Somebody has signed a request. Who follows from it.
    Request(Request),
    /// The coordinator has seen something.
    Observation(Observation),
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number, from 0.
    pub seq: u64,
    /// The hash of the entry before.
    pub prev: Root,
    /// Unix seconds by the coordinator's clock. Never less than before.
    pub at: u64,
    /// On whose word.
    pub cause: Cause,
    /// What followed.
    pub events: Vec<Event>,
}

impl Entry {
    /// Its hash.
    pub fn hash(&self) -> Root {
        Root(Sha256::new().chain_update(self.prev).chain_update(canonical::bytes(self)).finalize().into())
    }

    /// With its hash.
    pub fn seal(self) -> Sealed {
        let hash = self.hash();
        Sealed { entry: self, hash }
    }
}

/// An entry with its hash, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The entry.
    pub entry: Entry,
    /// Its hash.
    pub hash: Root,
}

impl Sealed {
    /// The bytes that are stored.
    pub fn bytes(&self) -> Vec<u8> {
        canonical::bytes(self)
    }

    /// Reads what was stored. Errors: other bytes than [`Self::bytes`] writes. Whether the hash fits is replay's to say.
    pub fn read(bytes: &[u8]) -> Result<Self, CanonicalError> {
        canonical::read(bytes)
    }

    /// The same, and the hash that the entry has. What is hashed is the part of the stored bytes that is the entry: there
    /// is no other spelling of it, or it would not have been read.
    pub fn read_hashed(stored: &[u8]) -> Result<(Self, Root), CanonicalError> {
        let sealed = Self::read(stored)?;
        let inner =
            stored.strip_prefix(BEFORE).and_then(|rest| rest.get(..rest.len().checked_sub(AFTER_LEN)?));
        let inner = inner.expect("canonical bytes of a sealed entry begin and end so");
        let hash = Sha256::new().chain_update(sealed.entry.prev).chain_update(inner).finalize();
        Ok((sealed, Root(hash.into())))
    }
}

/// What stands before the entry in what is stored, and how much after it.
const BEFORE: &[u8] = b"{\"entry\":";
const AFTER_LEN: usize = b",\"hash\":\"0x\"}".len() + 64;
