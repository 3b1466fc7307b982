//! Secret scalars of BLS12-381, and the operations with them that blst's safe interface lacks.
//!
//! The only module of the workspace's keys with `unsafe`. Everything that touches a secret here is one of blst's
//! constant-time routines. Source: draft-irtf-cfrg-bls-signature-05, `min_pk` (keys in G1, signatures in G2).
#![allow(unsafe_code)]

use blst::min_pk::{AggregatePublicKey, PublicKey};
use blst::{
    blst_bendian_from_scalar, blst_p1, blst_p2, blst_scalar, blst_scalar_fr_check, blst_scalar_from_be_bytes,
    blst_scalar_from_bendian, blst_sign_pk_in_g1, blst_sk_add_n_check, blst_sk_mul_n_check,
    blst_sk_sub_n_check, blst_sk_to_pk_in_g1,
};
use crypto::hashed::HashedRoot;
use crypto::{G2, hash_to_g2};
use rand_core::{CryptoRng, RngCore};
use std::fmt;
use types::SigningRoot;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a scalar.
pub(crate) const SCALAR_LEN: usize = 32;

/// Random bytes reduced to one scalar: with 64 the bias is below 2^-256.
const WIDE_LEN: usize = 64;

/// A secret number below the group order `r`, zero included.
///
/// # Security
/// It stays in one heap cell from birth to death, so that moving it copies a pointer only; the cell is wiped when
/// dropped.
pub(crate) struct Scalar(Box<blst_scalar>);

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

// The cell's own type wipes itself in its `Drop`.
impl ZeroizeOnDrop for Scalar {}

impl Zeroize for Scalar {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Scalar {
    /// Zero.
    pub(crate) fn zero() -> Self {
        Self(Box::default())
    }

    /// Reads 32 big-endian bytes; `None` if they are not below `r`.
    pub(crate) fn parse(bytes: &[u8; SCALAR_LEN]) -> Option<Self> {
        let mut scalar = Self::zero();
        // SAFETY: `scalar.0` is a valid cell to write; `bytes` are the 32 bytes that are read.
        unsafe { blst_scalar_from_bendian(&mut *scalar.0, bytes.as_ptr()) };
        // SAFETY: reads the cell written above.
        let below_r = unsafe { blst_scalar_fr_check(&*scalar.0) };
        below_r.then_some(scalar)
    }

    /// A uniform scalar.
    pub(crate) fn random(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut wide = Zeroizing::new([0; WIDE_LEN]);
        rng.fill_bytes(wide.as_mut_slice());
        let mut scalar = Self::zero();
        // SAFETY: `scalar.0` is a valid cell to write; exactly `WIDE_LEN` bytes of `wide` are read. The result is
        // reduced mod r; the returned flag only says whether it is non-zero, which callers check where it matters.
        unsafe { blst_scalar_from_be_bytes(&mut *scalar.0, wide.as_ptr(), WIDE_LEN) };
        scalar
    }

    /// 32 big-endian bytes, wiped when dropped.
    pub(crate) fn to_be_bytes(&self) -> Zeroizing<Box<[u8]>> {
        let mut bytes = Zeroizing::new(vec![0; SCALAR_LEN].into_boxed_slice());
        // SAFETY: writes exactly `SCALAR_LEN` bytes into a buffer of that length; reads a valid cell.
        unsafe { blst_bendian_from_scalar(bytes.as_mut_ptr(), &*self.0) };
        bytes
    }

    /// Whether it is zero, in time that does not depend on it.
    pub(crate) fn is_zero(&self) -> bool {
        self.0.b.iter().fold(0, |bits, byte| bits | byte) == 0
    }

    /// `self + other mod r`.
    pub(crate) fn add(&self, other: &Self) -> Self {
        let mut sum = Self::zero();
        // SAFETY: three valid cells, both inputs below r by construction. The flag says non-zero; see `is_zero`.
        unsafe { blst_sk_add_n_check(&mut *sum.0, &*self.0, &*other.0) };
        sum
    }

    /// `self - other mod r`.
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let mut difference = Self::zero();
        // SAFETY: three valid cells, both inputs below r by construction. The flag says non-zero; see `is_zero`.
        unsafe { blst_sk_sub_n_check(&mut *difference.0, &*self.0, &*other.0) };
        difference
    }

    /// `self * other mod r`.
    pub(crate) fn multiply(&self, other: &Self) -> Self {
        let mut product = Self::zero();
        // SAFETY: three valid cells, both inputs below r by construction. The flag says non-zero; see `is_zero`.
        unsafe { blst_sk_mul_n_check(&mut *product.0, &*self.0, &*other.0) };
        product
    }

    /// `self * G1`; the point at infinity for zero.
    pub(crate) fn public(&self) -> AggregatePublicKey {
        let mut point = blst_p1::default();
        // SAFETY: writes a valid point, reads a valid cell. Constant time in the scalar.
        unsafe { blst_sk_to_pk_in_g1(&mut point, &*self.0) };
        point.into()
    }
}

/// `H(m)`: a signing root hashed to G2.
pub(crate) struct HashPoint(G2);

impl HashPoint {
    /// Cost: 0.2 ms.
    pub(crate) fn of(root: &SigningRoot) -> Self {
        Self(hash_to_g2(root.as_ref()))
    }

    /// The point of a root that was hashed before.
    pub(crate) fn of_hashed(root: &HashedRoot) -> Self {
        Self(root.point().to_projective())
    }

    /// `scalar * H(m)`; the point at infinity for zero.
    pub(crate) fn sign(&self, scalar: &Scalar) -> G2 {
        let mut point = blst_p2::default();
        // SAFETY: writes a valid point, reads a valid point and a valid cell. Constant time in the scalar.
        unsafe { blst_sign_pk_in_g1(&mut point, self.0.as_blst(), &*scalar.0) };
        G2::vouched(point)
    }
}

/// The bytes of a public key.
pub(crate) fn key_bytes(key: &AggregatePublicKey) -> types::PublicKey {
    types::PublicKey(key.to_public_key().compress())
}

/// A public key's point: on the curve, in the group, not infinity; `None` otherwise.
pub(crate) fn key_point(key: &types::PublicKey) -> Option<PublicKey> {
    PublicKey::key_validate(key.as_ref()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroizing_a_scalar_leaves_zeros_in_its_cell() {
        let mut scalar = Scalar::parse(&[7; 32]).unwrap();
        assert!(!scalar.is_zero());
        scalar.zeroize();
        assert_eq!(scalar.0.b, [0; 32]);
    }

    #[test]
    fn signing_with_zero_gives_infinity_so_that_adding_it_changes_nothing() {
        let root = SigningRoot::lock_hash(types::Root([9; 32]));
        let point = HashPoint::of(&root).sign(&Scalar::zero());
        assert_eq!(point.compress(), types::Signature::INFINITY.0);
        assert_eq!(Scalar::zero().public().to_public_key().compress()[0], 0xc0);
    }
}
