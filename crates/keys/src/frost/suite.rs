//! The ciphersuite: FROST's key generation on BLS12-381 G1 with SHA-256.
//!
//! Scalars are 32 big-endian bytes as in EIP-2333, points 48 bytes compressed: a public share made here is an
//! Ethereum public key. Only the key generation runs over it; signing is BLS.

use super::curve::{Point, PointError, Scalar, hash_to_scalar};
use frost_core::{Ciphersuite, Field, FieldError, Group, GroupError};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Numbers modulo `r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalarField;

/// G1 of BLS12-381.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct G1;

/// FROST(BLS12-381 G1, SHA-256). Hashes to scalars are `hash_to_field` of RFC 9380, each with its own tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bls12381G1Sha256;

impl Field for ScalarField {
    type Scalar = Scalar;
    type Serialization = [u8; 32];

    fn zero() -> Scalar {
        Scalar::ZERO
    }

    fn one() -> Scalar {
        Scalar::from_u64(1)
    }

    fn invert(scalar: &Scalar) -> Result<Scalar, FieldError> {
        scalar.invert().ok_or(FieldError::InvalidZeroScalar)
    }

    /// Uniform: 64 random bytes reduced, a bias below 2^-256.
    fn random<R: RngCore + CryptoRng>(rng: &mut R) -> Scalar {
        let mut wide = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut *wide);
        Scalar::reduce(&*wide)
    }

    fn serialize(scalar: &Scalar) -> [u8; 32] {
        scalar.to_be_bytes()
    }

    fn little_endian_serialize(scalar: &Scalar) -> [u8; 32] {
        let mut bytes = scalar.to_be_bytes();
        bytes.reverse();
        bytes
    }

    fn deserialize(bytes: &[u8; 32]) -> Result<Scalar, FieldError> {
        Scalar::from_be_bytes(bytes).ok_or(FieldError::MalformedScalar)
    }
}

impl Group for G1 {
    type Field = ScalarField;
    type Element = Point;
    type Serialization = [u8; 48];

    /// One: every [`Point`] was checked to lie in the group of prime order.
    fn cofactor() -> Scalar {
        ScalarField::one()
    }

    fn identity() -> Point {
        Point::identity()
    }

    fn generator() -> Point {
        Point::generator()
    }

    fn serialize(element: &Point) -> Result<[u8; 48], GroupError> {
        if element.is_identity() {
            return Err(GroupError::InvalidIdentityElement);
        }
        Ok(element.to_bytes())
    }

    fn deserialize(bytes: &[u8; 48]) -> Result<Point, GroupError> {
        match Point::from_bytes(bytes) {
            Ok(point) if point.is_identity() => Err(GroupError::InvalidIdentityElement),
            Ok(point) => Ok(point),
            Err(PointError::NotOnCurve) => Err(GroupError::MalformedElement),
            Err(PointError::NotInGroup) => Err(GroupError::InvalidNonPrimeOrderElement),
        }
    }
}

macro_rules! tag {
    ($purpose:literal) => {
        concat!("FROST-BLS12381G1-SHA256-v1", $purpose).as_bytes()
    };
}

fn hash(tag: &[u8], message: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(tag).chain_update(message).finalize().into()
}

impl Ciphersuite for Bls12381G1Sha256 {
    const ID: &'static str = "FROST-BLS12381G1-SHA256-v1";
    type Group = G1;
    type HashOutput = [u8; 32];
    type SignatureSerialization = [u8; 80];

    fn H1(m: &[u8]) -> Scalar {
        hash_to_scalar(tag!("rho"), m)
    }

    fn H2(m: &[u8]) -> Scalar {
        hash_to_scalar(tag!("chal"), m)
    }

    fn H3(m: &[u8]) -> Scalar {
        hash_to_scalar(tag!("nonce"), m)
    }

    fn H4(m: &[u8]) -> [u8; 32] {
        hash(tag!("msg"), m)
    }

    fn H5(m: &[u8]) -> [u8; 32] {
        hash(tag!("com"), m)
    }

    fn HDKG(m: &[u8]) -> Option<Scalar> {
        Some(hash_to_scalar(tag!("dkg"), m))
    }

    fn HID(m: &[u8]) -> Option<Scalar> {
        Some(hash_to_scalar(tag!("id"), m))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_hash_has_a_context_of_its_own() {
        type S = Bls12381G1Sha256;
        let scalars = [S::H1(b"m"), S::H2(b"m"), S::H3(b"m"), S::HDKG(b"m").unwrap(), S::HID(b"m").unwrap()];
        let mut seen: BTreeSet<[u8; 32]> = scalars.iter().map(ScalarField::serialize).collect();
        seen.insert(S::H4(b"m"));
        seen.insert(S::H5(b"m"));
        assert_eq!(seen.len(), 7);
    }

    #[test]
    fn the_identity_is_neither_written_nor_read() {
        assert_eq!(G1::serialize(&G1::identity()), Err(GroupError::InvalidIdentityElement));
        let mut identity = [0; 48];
        identity[0] = 0xc0;
        assert!(matches!(G1::deserialize(&identity), Err(GroupError::InvalidIdentityElement)));
    }

    #[test]
    fn scalars_and_keys_are_those_of_ethereum() {
        // The secret key 1 has the generator as its public key; EIP-2333 writes it big-endian.
        let mut one = [0; 32];
        one[31] = 1;
        let scalar = ScalarField::deserialize(&one).unwrap();
        let key = blst::min_pk::SecretKey::from_bytes(&one).unwrap().sk_to_pk();
        assert_eq!(G1::serialize(&(G1::generator() * scalar)).unwrap(), key.to_bytes());
        assert_eq!(ScalarField::little_endian_serialize(&scalar)[0], 1);
    }
}
