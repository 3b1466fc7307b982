//! The plain way: blst's own verification, and the textbook's interpolation. Nothing that signs uses it.
//!
//! It is what [`crate::slot`] is measured against: every partial verified alone, every share multiplied in full. Its
//! answers are the same, so that it is also what results are compared with.

use crate::point::{DST, G2, G2Affine};
use crate::scalar::Scalar;
use crate::signature::{PublicKeyPoint, SignaturePoint};
use blst::BLST_ERROR;
use blst::min_pk::{PublicKey as BlstKey, Signature as BlstSignature};
use types::{ShareIndex, Signature};

/// Miller loops of one verification.
pub const PAIRINGS: usize = 2;

/// blst's own verification of bytes, from beginning to end; the signature, if it holds.
///
/// - Cost: uncompressing, then that of [`verify_point`].
pub fn verify(key: &PublicKeyPoint, message: &[u8], signature: &Signature) -> Option<SignaturePoint> {
    let point = BlstSignature::from_bytes(&signature.0).ok()?;
    // blst has checked the subgroup when the signature holds.
    blst_verify(&point, key, message)
        .then(|| SignaturePoint::vouched(G2Affine::vouched(point.into()), *signature))
}

/// blst's own verification of a point: subgroup check, hash to G2, two pairings. The yardstick's unit.
pub fn verify_point(key: &PublicKeyPoint, message: &[u8], signature: &SignaturePoint) -> bool {
    blst_verify(&BlstSignature::from(*signature.point().as_blst()), key, message)
}

fn blst_verify(point: &BlstSignature, key: &PublicKeyPoint, message: &[u8]) -> bool {
    let key = BlstKey::from(*key.point().as_blst());
    point.verify(true, message, DST, &[], &key, false) == BLST_ERROR::BLST_SUCCESS
}

/// `sum_i lambda_i S_i` as the textbook has it: an inversion and a full multiplication for each share.
///
/// - `partials`: distinct operators; all of them are used.
/// - Cost: a multiplication of G2 for each.
/// - Source: Shamir, *How to share a secret*, 1979.
pub fn combine(partials: &[(ShareIndex, SignaturePoint)]) -> Signature {
    let x = |index: ShareIndex| Scalar::from(u64::from(index.get()));
    let sum = partials.iter().fold(G2::infinity(), |sum, (i, partial)| {
        let others = partials.iter().filter(|(j, _)| j != i);
        let (numerator, denominator) = others
            .fold((Scalar::from(1u64), Scalar::from(1u64)), |(above, below), (j, _)| {
                (above * x(*j), below * (x(*j) - x(*i)))
            });
        let lambda = numerator * denominator.inverse().unwrap_or(Scalar::ZERO);
        sum + partial.point().to_projective() * lambda
    });
    Signature(sum.compress())
}

/// The hash of a message as bytes, for libraries that speak another type: compressed G2.
pub fn hash_bytes(message: &[u8]) -> [u8; 96] {
    crate::point::hash_to_g2(message).compress()
}

/// `point + secret H(message)`: what a node adds to its client's half, here for keys that are no secret.
///
/// - Cost: one hash, one multiplication of G2.
///
/// # Security
/// Not constant-time. For keys made up for a measurement, never for a validator's.
pub fn add_public_half(half: &SignaturePoint, secret: Scalar, message: &[u8]) -> SignaturePoint {
    let sum: G2 = crate::point::hash_to_g2(message) * secret + *half.point();
    SignaturePoint::new(sum.to_affine())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::{G1, PointError, hash_to_g2};

    fn signed(secret: u64, message: &[u8]) -> (PublicKeyPoint, Signature) {
        let secret = Scalar::from(secret);
        let key = PublicKeyPoint::new(G1::generator() * secret).unwrap();
        (key, Signature((hash_to_g2(message) * secret).compress()))
    }

    #[test]
    fn plain_verification_says_what_ours_says() {
        let (key, good) = signed(5, b"m");
        let (_, bad) = signed(6, b"m");
        for signature in [good, bad, Signature::INFINITY, Signature([0x5a; 96])] {
            let ours = crate::verify(&key, b"m", &signature);
            assert_eq!(verify(&key, b"m", &signature).is_some(), ours, "{signature}");
            let point: Result<SignaturePoint, PointError> = SignaturePoint::parse(&signature);
            assert!(point.is_err() || verify_point(&key, b"m", &point.unwrap()) == ours);
        }
        assert_eq!(verify(&key, b"m", &good), SignaturePoint::parse(&good).ok());
    }

    #[test]
    fn shares_of_a_line_make_the_signature_at_zero() {
        // f(x) = 7 + 2 x
        let share = |i: u8| {
            let signature = signed(7 + 2 * u64::from(i), b"m").1;
            (ShareIndex::new(i).unwrap(), SignaturePoint::parse(&signature).unwrap())
        };
        assert_eq!(combine(&[share(2), share(5)]), signed(7, b"m").1);
    }

    #[test]
    fn a_half_and_its_complement_sign_as_the_whole() {
        let half = SignaturePoint::parse(&signed(5, b"m").1).unwrap();
        assert_eq!(add_public_half(&half, Scalar::from(4u64), b"m").bytes(), signed(9, b"m").1);
    }
}
