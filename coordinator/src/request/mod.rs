//! How somebody writes to a coordinator: a request that a wallet has signed.
//!
//! ```text
//! incoming   method, path, body, nonce, expiry, signature; and, said beside it, the pool and who signed
//! checks     the pool is ours; the signature is that signer's, over all of it, for our chain;
//!            not expired, nor valid for longer than five minutes; a nonce higher than the signer's last
//! ```
//!
//! The signature covers the whole body, so nothing of a batch can be left out or added. A nonce may be any number above
//! the last one: a clock in milliseconds does. What is kept is [`Request`]; from it anybody recovers the signer again.
//!
//! Contract wallets (EIP-1271) cannot write: see [`WalletSignature`].

pub mod messages;
pub mod signature;

pub use messages::Message;
pub use signature::{SignatureError, WalletSignature};

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;
use types::{Address, Root};

/// How long a request may be valid, in seconds: long enough for a person and a slow clock, and a request that was held
/// back is void before anybody has forgotten it.
pub const VALID_MAX_S: u64 = 300;
/// Longest body, in bytes, unless its route takes more: deposit data of a thousand validators, or the largest policy, with room.
pub const BODY_LEN_MAX: usize = 1 << 20;
/// Longest path, in bytes: the longest of the routes has two hashes in it.
pub const PATH_LEN_MAX: usize = 256;

/// Why a request is refused, whatever it asks for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RequestRefusal {
    /// For another pool.
    #[error("the request is for pool {have}, this is pool {want}")]
    WrongPool {
        /// The pool it names.
        have: Root,
        /// This pool.
        want: Root,
    },
    /// Signed by another key, or something else was signed: another chain's domain, another body.
    #[error(
        "the signature is not {claimed}'s: over this request, on chain {chain_id}, it gives {recovered}; another key \
         signed, or something else was signed"
    )]
    UnknownSigner {
        /// Who is said to have signed.
        claimed: Address,
        /// Whose signature it would be.
        recovered: Address,
        /// The chain of this pool, which is signed as well.
        chain_id: u64,
    },
    /// Not a signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Too late.
    #[error("the request expired at {expiry}, it is {now}")]
    Expired {
        /// Unix seconds at which it did.
        expiry: u64,
        /// Unix seconds now.
        now: u64,
    },
    /// Valid for too long.
    #[error(
        "the request expires at {expiry}, at most {VALID_MAX_S} seconds ahead are allowed and it is {now}"
    )]
    TooFarAhead {
        /// Unix seconds at which it would expire.
        expiry: u64,
        /// Unix seconds now.
        now: u64,
    },
    /// Sent before, or overtaken by a later one.
    #[error("{signer} has used nonce {last}, {nonce} is not higher")]
    Replayed {
        /// Whose.
        signer: Address,
        /// The request's.
        nonce: Nonce,
        /// The last that was used.
        last: Nonce,
    },
    /// A body too long.
    #[error("a body of {have} bytes, at most {most}")]
    BodyTooLong {
        /// Its length.
        have: usize,
        /// What its route takes.
        most: usize,
    },
    /// A path too long.
    #[error("a path of {have} bytes, at most {PATH_LEN_MAX}")]
    PathTooLong {
        /// Its length.
        have: usize,
    },
}

/// A number that only rises, for each signer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(#[serde(with = "serde_utils::quoted_u64")] pub u64);

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is kept of a request. Pool, chain and signer are not in it: the log has them already, or they follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method of HTTP, in capitals.
    pub method: String,
    /// The path, without host and query.
    pub path: String,
    /// The body, to the byte.
    pub body: String,
    /// Higher than any that the signer has used.
    pub nonce: Nonce,
    /// Unix seconds after which it is void.
    pub expiry: u64,
    /// By the signer, over [`Request::digest`].
    pub signature: WalletSignature,
}

impl Request {
    /// What its signer signs.
    pub fn digest(&self, pool: Root, chain_id: u64) -> Root {
        let Self { method, path, body, nonce, expiry, signature: _ } = self;
        Message::Request { method, path, body: body.as_bytes(), pool, nonce: nonce.0, expiry: *expiry }
            .digest(chain_id)
    }

    /// Whose key signed it for this pool. Nearly any signature gives somebody. Cost: one double scalar multiplication.
    pub fn recover(&self, pool: Root, chain_id: u64) -> Result<Address, SignatureError> {
        self.signature.signer(self.digest(pool, chain_id))
    }

    /// Who signed it, if it is valid now.
    ///
    /// - `signer`: what [`Self::recover`] says. `body_len_max`: what its route takes. `last`: the highest nonce that a signer
    ///   has used.
    /// - Errors: too long; expired, or valid for too long; no signature; a nonce that is not higher.
    pub fn valid(
        &self,
        signer: Result<Address, SignatureError>,
        now: u64,
        body_len_max: usize,
        last: impl Fn(Address) -> Option<Nonce>,
    ) -> Result<Address, RequestRefusal> {
        let (path, body, expiry) = (self.path.len(), self.body.len(), self.expiry);
        if path > PATH_LEN_MAX {
            return Err(RequestRefusal::PathTooLong { have: path });
        }
        if body > body_len_max {
            return Err(RequestRefusal::BodyTooLong { have: body, most: body_len_max });
        }
        if expiry < now {
            return Err(RequestRefusal::Expired { expiry, now });
        }
        if expiry - now > VALID_MAX_S {
            return Err(RequestRefusal::TooFarAhead { expiry, now });
        }
        let signer = signer?;
        match last(signer) {
            Some(last) if self.nonce <= last => {
                Err(RequestRefusal::Replayed { signer, nonce: self.nonce, last })
            }
            _ => Ok(signer),
        }
    }
}

/// A request as it comes in: with what its sender says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// For which pool.
    pub pool: Root,
    /// Who signed.
    pub signer: Address,
    /// The request.
    pub request: Request,
}

impl Incoming {
    /// Whether what its sender says is so: this pool, and a signature of that signer for this chain. Returns the signer.
    pub fn claims(&self, pool: Root, chain_id: u64) -> Result<Address, RequestRefusal> {
        if self.pool != pool {
            return Err(RequestRefusal::WrongPool { have: self.pool, want: pool });
        }
        let recovered = self.request.recover(pool, chain_id)?;
        if recovered != self.signer {
            return Err(RequestRefusal::UnknownSigner { claimed: self.signer, recovered, chain_id });
        }
        Ok(recovered)
    }
}

#[cfg(test)]
mod tests;
