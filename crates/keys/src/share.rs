//! The split share: `s = v + w mod r`. The validator client signs with `v`, the node adds `w`, neither signs alone.
//!
//! The joint share exists in the ceremony, in an imported cluster's keystores until they are split, and where a person asked
//! for it: `split`, `combine`, `export`. Letters as in the design:
//! `s` the Shamir share, `v` the validator client's half, `w` the node's.

use crate::curve::{HashPoint, SCALAR_LEN, Scalar, key_bytes, key_point};
use blst::min_pk::AggregatePublicKey;
use crypto::hashed::HashedRoot;
use rand_core::{CryptoRng, RngCore};
use std::fmt;
use thiserror::Error;
use types::{PublicKey, Signature, SigningRoot};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Draws before a source of randomness is given up: one draw in 2^254 is unusable, a broken source gives only such.
const DRAWS_MAX: usize = 8;

/// Why bytes are not a secret scalar.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ScalarError {
    /// Zero is the key that everybody knows.
    #[error("a secret key of zero")]
    Zero,
    /// Not below the group order.
    #[error("a secret key that is not below the group order")]
    TooLarge,
    /// Not 32 bytes.
    #[error("a secret key of {have} bytes instead of 32")]
    Length {
        /// Bytes found.
        have: usize,
    },
}

/// Why two public keys cannot be taken apart or put together.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PointError {
    /// Not a point of the group, or infinity.
    #[error("{0} is not a public key")]
    NotAKey(PublicKey),
    /// The result would be infinity: one half would be the whole share, or the share zero.
    #[error("the public key of this half and {0} make the point at infinity")]
    Infinity(PublicKey),
}

/// The shift would make a half zero. Draw another.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("this shift would leave the other half to be the whole share")]
pub struct ShiftError;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// # Security
        /// One heap cell, wiped when dropped; never cloned; prints as `<redacted>`.
        pub struct $name(Scalar);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(<redacted>)"))
            }
        }

        impl Zeroize for $name {
            fn zeroize(&mut self) {
                self.0.zeroize();
            }
        }

        impl ZeroizeOnDrop for $name {}
    };
}

secret!(
    /// A whole share `s`, or any other whole BLS secret key. No duty ever needs one.
    SecretShare
);
secret!(
    /// The validator client's half `v`: what its keystore holds. Never zero.
    VcHalf
);
secret!(
    /// The node's half `w`. Zero only for an imported cluster that has no split yet.
    NodeHalf
);
secret!(
    /// What [`VcHalf::resplit`] and [`NodeHalf::resplit`] move from one half to the other. Never zero.
    Shift
);

macro_rules! nonzero {
    ($name:ident) => {
        impl $name {
            /// Reads 32 big-endian bytes, as in EIP-2333 keys and EIP-2335 keystores.
            ///
            /// - Errors: [`ScalarError`]; zero and numbers not below the group order are refused, never reduced.
            pub fn from_be_bytes(bytes: &[u8]) -> Result<Self, ScalarError> {
                parse_nonzero(bytes).map(Self)
            }

            /// 32 big-endian bytes, in a buffer that is wiped when dropped.
            pub fn to_be_bytes(&self) -> Zeroizing<Box<[u8]>> {
                self.0.to_be_bytes()
            }

            /// Its public key.
            pub fn public(&self) -> PublicKey {
                key_bytes(&self.0.public())
            }
        }
    };
}

nonzero!(SecretShare);
nonzero!(VcHalf);
nonzero!(Shift);

/// Splits a share into a uniform `v` and `w = s - v`.
///
/// - Neither half is zero, so neither equals the share. Same share and same `rng` stream, same halves.
/// - Panics if `rng` is broken: eight draws in a row unusable.
pub fn split(share: SecretShare, rng: &mut (impl RngCore + CryptoRng)) -> (VcHalf, NodeHalf) {
    for _ in 0..DRAWS_MAX {
        let v = Scalar::random(rng);
        let w = share.0.sub(&v);
        if !v.is_zero() && !w.is_zero() {
            return (VcHalf(v), NodeHalf(w));
        }
    }
    panic!("the source of randomness is broken: it drew {DRAWS_MAX} unusable halves in a row")
}

impl SecretShare {
    /// Signs with the whole share: a partial signature of the ceremony's seal.
    ///
    /// # Security
    /// No journal stands before this. Duties are signed by [`crate::signer`] only.
    pub fn sign(&self, root: &SigningRoot) -> Signature {
        sign(&self.0, root)
    }

    /// The same for a root that was hashed before.
    ///
    /// # Security
    /// As of [`SecretShare::sign`]. A [`HashedRoot`] is made of a root of the closed list of domains only.
    pub fn sign_hashed(&self, root: &HashedRoot) -> Signature {
        Signature(HashPoint::of_hashed(root).sign(&self.0).compress())
    }

    /// The sum of many shares' signatures over one root, at the cost of one signature: that of the sum of the shares.
    ///
    /// - Infinity for no shares.
    ///
    /// # Security
    /// As of [`SecretShare::sign`]. The sum of shares is a secret of its own, wiped before this returns.
    pub fn sign_together<'a>(shares: impl IntoIterator<Item = &'a Self>, root: &SigningRoot) -> Signature {
        let sum = shares.into_iter().fold(Scalar::zero(), |sum, share| sum.add(&share.0));
        sign(&sum, root)
    }

    /// A whole key that was computed; `None` for zero.
    pub(crate) fn of_scalar(scalar: Scalar) -> Option<Self> {
        (!scalar.is_zero()).then_some(Self(scalar))
    }

    pub(crate) const fn scalar(&self) -> &Scalar {
        &self.0
    }

    /// The share as the client's half of an import: `v = s`, to stand beside [`NodeHalf::zero_for_import`].
    pub fn into_imported_half(self) -> VcHalf {
        VcHalf(self.0)
    }
}

impl VcHalf {
    /// Signs as a validator client does, with the half it holds. Verifies under [`VcHalf::public`], under no share.
    pub fn sign(&self, root: &SigningRoot) -> Signature {
        sign(&self.0, root)
    }

    /// `v + d`, to stand beside `w - d` of the same `d`.
    ///
    /// - Errors: [`ShiftError`] if that is zero.
    pub fn resplit(&self, d: &Shift) -> Result<Self, ShiftError> {
        nonzero(self.0.add(&d.0)).map(Self)
    }
}

impl VcHalf {
    /// `v + w`: the whole share again, for an export or to give a key back.
    ///
    /// - Whether it is the right one, its public key says: compare it with the lock's public share.
    /// - Errors: [`ScalarError::Zero`].
    ///
    /// # Security
    /// From here on one host has the share. No duty needs it.
    pub fn join(&self, node: &NodeHalf) -> Result<SecretShare, ScalarError> {
        SecretShare::of_scalar(self.0.add(&node.0)).ok_or(ScalarError::Zero)
    }
}

impl NodeHalf {
    /// The half that completes a keystore which holds the whole share: an imported cluster's, until a refresh.
    ///
    /// # Security
    /// With it, whoever has the keystore has the share. The node warns of it at each start.
    pub fn zero_for_import() -> Self {
        Self(Scalar::zero())
    }

    /// Whether it is [`NodeHalf::zero_for_import`].
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Its public key; the compressed point at infinity for the half of an import.
    pub fn public(&self) -> PublicKey {
        key_bytes(&self.0.public())
    }

    /// The key of the validator client's half, `PK(v) = PK(s) - PK(w)`.
    ///
    /// - `share`: this operator's public share, from the lock.
    /// - Errors: [`PointError`].
    /// - Cost: one G1 multiplication.
    pub fn vc_key(&self, share: &PublicKey) -> Result<PublicKey, PointError> {
        let mut point = point_of(share)?;
        point.sub_aggregate(&self.0.public());
        finite(&point, share)
    }

    /// The public share, `PK(s) = PK(v) + PK(w)`: tells whether two halves belong together.
    ///
    /// - `vc_key`: the public key of the client's keystore.
    /// - Errors: [`PointError`].
    pub fn share_key(&self, vc_key: &PublicKey) -> Result<PublicKey, PointError> {
        let mut point = point_of(vc_key)?;
        point.add_aggregate(&self.0.public());
        finite(&point, vc_key)
    }

    /// `w - d`, to stand beside `v + d` of the same `d`.
    ///
    /// - Errors: [`ShiftError`] if that is zero.
    pub fn resplit(&self, d: &Shift) -> Result<Self, ShiftError> {
        nonzero(self.0.sub(&d.0)).map(Self)
    }

    /// `w + delta`: the half after a refresh that adds `delta` to this operator's share; `v` stays.
    ///
    /// - Errors: [`ShiftError`] if that is zero.
    pub fn refresh(&self, delta: &SecretShare) -> Result<Self, ShiftError> {
        nonzero(self.0.add(&delta.0)).map(Self)
    }

    /// For [`crate::store`] only, which knows zero as the mark of an import.
    pub(crate) fn from_stored(bytes: &[u8]) -> Option<Self> {
        Scalar::parse(bytes.try_into().ok()?).map(Self)
    }

    pub(crate) fn to_stored(&self) -> Zeroizing<Box<[u8]>> {
        self.0.to_be_bytes()
    }

    pub(crate) const fn scalar(&self) -> &Scalar {
        &self.0
    }
}

impl Shift {
    /// A uniform shift.
    ///
    /// - Panics if `rng` is broken: eight draws in a row zero.
    pub fn random(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let drawn = (0..DRAWS_MAX).map(|_| Scalar::random(rng)).find(|d| !d.is_zero());
        Self(drawn.expect("eight draws in a row are zero only if the source of randomness is broken"))
    }
}

fn parse_nonzero(bytes: &[u8]) -> Result<Scalar, ScalarError> {
    let array: &[u8; SCALAR_LEN] = bytes.try_into().map_err(|_| ScalarError::Length { have: bytes.len() })?;
    let scalar = Scalar::parse(array).ok_or(ScalarError::TooLarge)?;
    if scalar.is_zero() { Err(ScalarError::Zero) } else { Ok(scalar) }
}

fn nonzero(scalar: Scalar) -> Result<Scalar, ShiftError> {
    if scalar.is_zero() { Err(ShiftError) } else { Ok(scalar) }
}

fn sign(scalar: &Scalar, root: &SigningRoot) -> Signature {
    Signature(HashPoint::of(root).sign(scalar).compress())
}

fn point_of(key: &PublicKey) -> Result<AggregatePublicKey, PointError> {
    let point = key_point(key).ok_or(PointError::NotAKey(*key))?;
    Ok(AggregatePublicKey::from_public_key(&point))
}

fn finite(point: &AggregatePublicKey, other: &PublicKey) -> Result<PublicKey, PointError> {
    let key = key_bytes(point);
    if key_point(&key).is_none() { Err(PointError::Infinity(*other)) } else { Ok(key) }
}
