//! Keys and signatures as points, and Ethereum's verification of them.
//!
//! Ciphersuite `BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_`: keys in G1, signatures in G2. With `H` the hash to
//! G2, a signature `S` by key `P` over `m` holds when `e(P, H(m)) = e(g1, S)`.
//! Source: draft-irtf-cfrg-bls-signature-05, sections 2.7, 2.8 and 3.3; consensus-specs, phase 0, BLS signatures.

use crate::check::{Checker, Claim};
use crate::point::{G1, G1Affine, G2, G2Affine, PointError, UncheckedG2Affine, hash_to_g2, product_is_one};
use std::fmt;
use thiserror::Error;
use types::{PublicKey, Signature, SigningRoot};

/// A public key that has passed `KeyValidate`: on the curve, in the subgroup, not infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKeyPoint {
    point: G1Affine,
    bytes: PublicKey,
}

impl PublicKeyPoint {
    /// Reads and checks a key; done once per key, when a lock is loaded.
    ///
    /// - Errors: which rule is broken.
    pub fn parse(bytes: &PublicKey) -> Result<Self, PointError> {
        let point = G1Affine::uncompress(&bytes.0)?;
        if point.is_infinity() { Err(PointError::Infinity) } else { Ok(Self { point, bytes: *bytes }) }
    }

    /// The key of a point in G1.
    ///
    /// - Errors: `Infinity`.
    pub fn new(point: G1) -> Result<Self, PointError> {
        let point = point.to_affine();
        let bytes = PublicKey(point.compress());
        if point.is_infinity() { Err(PointError::Infinity) } else { Ok(Self { point, bytes }) }
    }

    /// The keys of many points, at the cost of one inversion for all.
    ///
    /// - Errors: `Infinity` if any of them is.
    pub fn of_all(points: &[G1]) -> Result<Vec<Self>, PointError> {
        let key = |point: G1Affine| {
            let bytes = PublicKey(point.compress());
            if point.is_infinity() { Err(PointError::Infinity) } else { Ok(Self { point, bytes }) }
        };
        G1::all_to_affine(points).into_iter().map(key).collect()
    }

    /// The compressed key.
    pub const fn bytes(&self) -> PublicKey {
        self.bytes
    }

    /// The point.
    pub const fn point(&self) -> &G1Affine {
        &self.point
    }
}

impl TryFrom<&PublicKey> for PublicKeyPoint {
    type Error = PointError;
    fn try_from(bytes: &PublicKey) -> Result<Self, PointError> {
        Self::parse(bytes)
    }
}

impl fmt::Debug for PublicKeyPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.bytes, f)
    }
}

/// A signature in G2, infinity included (an aggregate may be that; [`verify`] never accepts it).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignaturePoint {
    point: G2Affine,
    bytes: Signature,
}

impl SignaturePoint {
    /// Reads a signature and checks the subgroup.
    ///
    /// - Errors: `Encoding`, `NotOnCurve`, `NotInGroup`.
    pub fn parse(bytes: &Signature) -> Result<Self, PointError> {
        Ok(Self { point: G2Affine::uncompress(&bytes.0)?, bytes: *bytes })
    }

    /// The signature of a point in G2.
    pub fn new(point: G2Affine) -> Self {
        Self { point, bytes: Signature(point.compress()) }
    }

    /// A point and its own bytes, which the caller has verified.
    pub(crate) const fn vouched(point: G2Affine, bytes: Signature) -> Self {
        Self { point, bytes }
    }

    /// The compressed signature.
    pub const fn bytes(&self) -> Signature {
        self.bytes
    }

    /// The point.
    pub const fn point(&self) -> &G2Affine {
        &self.point
    }

    /// Whether it is the neutral element.
    pub fn is_infinity(&self) -> bool {
        self.point.is_infinity()
    }
}

impl fmt::Debug for SignaturePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.bytes, f)
    }
}

/// A point of the curve that somebody calls a signature; its subgroup is not checked yet.
#[derive(Clone, Copy, Debug)]
pub struct UncheckedSignature(UncheckedG2Affine);

impl UncheckedSignature {
    /// Reads a signature without the subgroup check.
    ///
    /// - Errors: `Encoding`, `NotOnCurve`.
    pub fn parse(bytes: &Signature) -> Result<Self, PointError> {
        UncheckedG2Affine::uncompress(&bytes.0).map(Self)
    }

    /// Takes a point of the curve.
    pub const fn new(point: UncheckedG2Affine) -> Self {
        Self(point)
    }

    /// The signature, once it is in the subgroup.
    ///
    /// - Errors: `NotInGroup`.
    pub fn check(&self) -> Result<SignaturePoint, PointError> {
        self.0.check().map(SignaturePoint::new)
    }

    /// The compressed form.
    pub fn bytes(&self) -> Signature {
        Signature(self.0.compress())
    }

    /// The point.
    pub const fn point(&self) -> &UncheckedG2Affine {
        &self.0
    }
}

impl From<SignaturePoint> for UncheckedSignature {
    fn from(signature: SignaturePoint) -> Self {
        Self(signature.point.into())
    }
}

/// Whether `signature` over `message` is by `key`.
///
/// - A signature that does not parse, is outside the subgroup or is infinity does not verify.
/// - Cost: one hash to G2, one subgroup check, two pairings (1.1 ms).
/// - Source: draft-irtf-cfrg-bls-signature-05, 2.7 `CoreVerify`.
pub fn verify(key: &PublicKeyPoint, message: &[u8], signature: &Signature) -> bool {
    let Ok(signature) = SignaturePoint::parse(signature) else { return false };
    verify_hashed(key, &hash_to_g2(message).to_affine(), &signature)
}

/// Whether `signature` over a signing root is by the key with these bytes: for a key that is met once.
///
/// - A key that does not parse verifies nothing.
/// - Cost: that of [`verify`], and a subgroup check of the key.
pub fn verify_root(key: &PublicKey, root: &SigningRoot, signature: &Signature) -> bool {
    PublicKeyPoint::parse(key).is_ok_and(|key| verify(&key, root.as_ref(), signature))
}

/// The same for a message that is already hashed to G2, by [`hash_to_g2`].
pub fn verify_hashed(key: &PublicKeyPoint, message: &G2Affine, signature: &SignaturePoint) -> bool {
    product_is_one(&[(key.point, *message), (minus_generator(), signature.point)])
}

/// Why signatures do not aggregate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AggregateError {
    /// There is none.
    #[error("no signatures to aggregate")]
    Empty,
    /// One of them is not in G2.
    #[error("signature at position {position}: {error}")]
    Point {
        /// Where in the list, from 0.
        position: usize,
        /// What is wrong with it.
        error: PointError,
    },
}

/// The sum of signatures.
///
/// - Errors: `Empty`; `Point` for the first that is not in G2 (infinity is).
/// - Source: draft-irtf-cfrg-bls-signature-05, 2.8 `Aggregate`.
pub fn aggregate(signatures: &[Signature]) -> Result<Signature, AggregateError> {
    if signatures.is_empty() {
        return Err(AggregateError::Empty);
    }
    let mut sum = G2::infinity();
    for (position, bytes) in signatures.iter().enumerate() {
        let signature =
            SignaturePoint::parse(bytes).map_err(|error| AggregateError::Point { position, error })?;
        sum = sum + signature.point;
    }
    Ok(Signature(sum.compress()))
}

/// Whether `signature` is the sum of signatures by all `keys` over one `message`.
///
/// - No keys: false. Safe only for keys whose possession is proved (deposits are).
/// - Cost: one hash to G2, two pairings.
/// - Source: draft-irtf-cfrg-bls-signature-05, 3.3.4 `FastAggregateVerify`.
pub fn fast_aggregate_verify(keys: &[PublicKeyPoint], message: &[u8], signature: &Signature) -> bool {
    let sum = keys.iter().fold(G1::infinity(), |sum, key| sum + key.point);
    // Keys that cancel leave infinity, under which infinity would sign everything.
    let Ok(key) = PublicKeyPoint::new(sum) else { return false };
    verify(&key, message, signature)
}

/// Whether `signature` is the sum of signatures of each key over its own message.
///
/// - No pairs: false. Equal messages are fine: possession of the keys is proved.
/// - Cost: one hash and one pairing per pair, one pairing more.
/// - Source: draft-irtf-cfrg-bls-signature-05, 2.9 `CoreAggregateVerify`.
pub fn aggregate_verify(pairs: &[(PublicKeyPoint, &[u8])], signature: &Signature) -> bool {
    let Ok(signature) = SignaturePoint::parse(signature) else { return false };
    if pairs.is_empty() {
        return false;
    }
    let hashed = pairs.iter().map(|(key, message)| (key.point, hash_to_g2(message).to_affine()));
    let all: Vec<_> = hashed.chain([(minus_generator(), signature.point)]).collect();
    product_is_one(&all)
}

/// Whether every one of these signatures verifies on its own, in one check.
///
/// - None: false, so that an empty list proves nothing. Infinity does not verify.
/// - `seed`: fresh randomness that no signer could foresee.
/// - Cost: one hash and one pairing per distinct message, one pairing more, two multi-scalar multiplications.
/// - Soundness: a false statement passes with probability at most `2^-128`; see [`crate::check`].
pub fn batch_verify(claims: &[(PublicKeyPoint, &[u8], Signature)], seed: [u8; 32]) -> bool {
    let mut checker = Checker::new(seed);
    let parsed: Result<Vec<_>, _> =
        claims.iter().map(|(_, _, signature)| SignaturePoint::parse(signature)).collect();
    let Ok(signatures) = parsed else { return false };
    let whole = claims.iter().zip(&signatures);
    let claims: Vec<_> = whole
        .map(|((key, message, _), signature)| Claim { message: checker.message(message), key, signature })
        .collect();
    !claims.is_empty() && checker.all_hold(&claims)
}

/// `-g1`, the other side of every verification.
pub(crate) fn minus_generator() -> G1Affine {
    (-G1::generator()).to_affine()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::Scalar;
    use types::{ChainSpec, Epoch};

    fn key_and_signature(secret: u64, message: &[u8]) -> (PublicKeyPoint, Signature) {
        let secret = Scalar::from(secret);
        let key = PublicKeyPoint::new(G1::generator() * secret).unwrap();
        (key, Signature((hash_to_g2(message) * secret).compress()))
    }

    #[test]
    fn a_root_verifies_under_the_bytes_of_its_key_and_no_others() {
        let spec = ChainSpec::builtin("hoodi").unwrap();
        let (root, other) = (SigningRoot::randao(&spec, Epoch(1)), SigningRoot::randao(&spec, Epoch(2)));
        let (key, signature) = key_and_signature(5, root.as_ref());
        assert!(verify_root(&key.bytes(), &root, &signature));
        assert!(!verify_root(&key.bytes(), &other, &signature));
        assert!(!verify_root(&key_and_signature(6, b"").0.bytes(), &root, &signature));
        assert!(!verify_root(&PublicKey([0xff; 48]), &root, &signature), "no key verifies nothing");
    }

    #[test]
    fn keys_that_cancel_accept_nothing() {
        let (key, _) = key_and_signature(5, b"m");
        let minus = PublicKeyPoint::new(-key.point().to_projective()).unwrap();
        assert!(!fast_aggregate_verify(&[key, minus], b"m", &Signature::INFINITY));
    }

    #[test]
    fn a_key_is_parsed_from_its_own_bytes_and_infinity_is_no_key() {
        let (key, _) = key_and_signature(5, b"m");
        assert_eq!(PublicKeyPoint::parse(&key.bytes()), Ok(key));
        assert_eq!(PublicKeyPoint::new(G1::infinity()), Err(PointError::Infinity));
        let infinity = PublicKey(G1::infinity().compress());
        assert_eq!(PublicKeyPoint::parse(&infinity), Err(PointError::Infinity));
    }

    #[test]
    fn errors_swapped_between_two_signatures_of_a_batch_are_seen() {
        let (a, by_a) = key_and_signature(5, b"a");
        let (b, by_b) = key_and_signature(9, b"a");
        let error = G2::generator();
        let wrong = |signature: &Signature, error: G2| {
            let point = SignaturePoint::parse(signature).unwrap();
            Signature((error + *point.point()).compress())
        };
        assert!(batch_verify(&[(a, b"a", by_a), (b, b"a", by_b)], [7; 32]));
        let swapped = [(a, &b"a"[..], wrong(&by_a, error)), (b, &b"a"[..], wrong(&by_b, -error))];
        assert!(!batch_verify(&swapped, [7; 32]), "a plain sum of both would verify");
        assert!(!batch_verify(&[], [7; 32]));
    }
}
