//! Points of BLS12-381, typed by what is known of them.
//!
//! - [`G1`], [`G2`] (and their affine forms): in the subgroup of prime order `r`, infinity included. Every way to
//!   make one checks or keeps that, so arithmetic on them needs no further check.
//! - [`UncheckedG2`]: on the curve, subgroup unknown. What a peer sent, and sums of such. It pairs with nothing
//!   and enters no multi-scalar multiplication until [`UncheckedG2Affine::check`] has turned it into a [`G2Affine`].
//!
//! Costs on one core at 2.3 GHz: uncompress G2 0.034 ms, subgroup check 0.058 ms (G2), hash to G2 0.20 ms, full
//! multiplication 0.19 ms (G2), one equation of two pairings 0.9 ms.
//!
//! # Security
//! All scalars here are public. Secret multiplications are `keys`' own.

use crate::raw;
use crate::scalar::Scalar;
use blst::{BLST_ERROR, blst_fp12, blst_p1, blst_p1_affine, blst_p2, blst_p2_affine};
use std::fmt;
use std::ops::{Add, AddAssign, Mul, Neg, Sub};
use thiserror::Error;

/// Ethereum's domain separation tag: public keys in G1, proofs of possession.
pub const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Why bytes are not the point they should be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, PartialOrd, Ord)]
pub enum PointError {
    /// Wrong flag bits, a coordinate not below the field's modulus, or infinity with other bits set.
    #[error("not the compressed form of a point")]
    Encoding,
    /// No point of the curve has this x.
    #[error("not on the curve")]
    NotOnCurve,
    /// On the curve, but not of order `r`.
    #[error("not in the subgroup")]
    NotInGroup,
    /// The neutral element, which is nobody's key.
    #[error("the point at infinity")]
    Infinity,
}

impl PointError {
    fn of(error: BLST_ERROR) -> Self {
        match error {
            BLST_ERROR::BLST_POINT_NOT_ON_CURVE => Self::NotOnCurve,
            BLST_ERROR::BLST_POINT_NOT_IN_GROUP => Self::NotInGroup,
            BLST_ERROR::BLST_PK_IS_INFINITY => Self::Infinity,
            BLST_ERROR::BLST_SUCCESS
            | BLST_ERROR::BLST_BAD_ENCODING
            | BLST_ERROR::BLST_AGGR_TYPE_MISMATCH
            | BLST_ERROR::BLST_VERIFY_FAIL
            | BLST_ERROR::BLST_BAD_SCALAR => Self::Encoding,
        }
    }
}

/// One text for both groups: a projective and an affine type, and what they have in common.
macro_rules! group {
    ($(#[$doc:meta])* $point:ident, $(#[$affine_doc:meta])* $affine:ident, $raw:ident, $blst:ident,
     $blst_affine:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq)]
        pub struct $point($blst);

        $(#[$affine_doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq)]
        pub struct $affine($blst_affine);

        impl $point {
            /// The standard generator.
            pub fn generator() -> Self {
                Self(raw::$raw::generator())
            }

            /// The neutral element.
            pub fn infinity() -> Self {
                Self::default()
            }

            /// Takes a point that the caller computed with blst.
            ///
            /// # Security
            /// The caller vouches that it is in the subgroup: made from points of this type, the generator or a
            /// hash. Nothing is checked; bytes from outside go through `uncompress`.
            pub fn vouched(point: $blst) -> Self {
                Self(point)
            }

            /// The point as blst has it.
            pub fn as_blst(&self) -> &$blst {
                &self.0
            }

            /// Whether it is the neutral element.
            pub fn is_infinity(&self) -> bool {
                *self == Self::default()
            }

            /// `2 self`.
            pub fn double(&self) -> Self {
                Self(raw::$raw::double(&self.0))
            }

            /// `k self` for a short public `k`: time grows with the length of `k`.
            pub fn multiply_short(&self, k: u64) -> Self {
                Self(raw::$raw::multiply_short(&self.0, k))
            }

            /// Affine coordinates, at the cost of one inversion.
            pub fn to_affine(&self) -> $affine {
                $affine(raw::$raw::to_affine(&self.0))
            }

            /// Affine coordinates of many points, at the cost of one inversion for all.
            pub fn all_to_affine(points: &[Self]) -> Vec<$affine> {
                let points: Vec<_> = points.iter().map(|point| point.0).collect();
                raw::$raw::all_to_affine(&points).into_iter().map($affine).collect()
            }

            /// The compressed form, at the cost of one inversion.
            pub fn compress(&self) -> [u8; $len] {
                self.to_affine().compress()
            }

            /// The sum of small integers times points: Straus' joint doubling over signed digits.
            ///
            /// - Cost: as many doublings as the longest integer has bits, and about a third of the bits as additions.
            pub fn small_sum(terms: &[(i128, $affine)]) -> Self {
                Self($raw::small_sum(terms.iter().map(|(k, point)| (*k, point.0))))
            }
        }

        impl $affine {
            /// The standard generator.
            pub fn generator() -> Self {
                $point::generator().to_affine()
            }

            /// The point in compressed bytes, infinity included.
            ///
            /// - Errors: `Encoding`, `NotOnCurve`, `NotInGroup`.
            pub fn uncompress(bytes: &[u8; $len]) -> Result<Self, PointError> {
                let point = raw::$raw::uncompress(bytes).map_err(PointError::of)?;
                if raw::$raw::in_group(&point) { Ok(Self(point)) } else { Err(PointError::NotInGroup) }
            }

            /// The compressed form.
            pub fn compress(&self) -> [u8; $len] {
                raw::$raw::compress(&self.0)
            }

            /// Whether it is the neutral element.
            pub fn is_infinity(&self) -> bool {
                raw::$raw::is_infinity(&self.0)
            }

            /// Projective coordinates.
            pub fn to_projective(&self) -> $point {
                $point(raw::$raw::from_affine(&self.0))
            }

            /// The point as blst has it.
            pub fn as_blst(&self) -> &$blst_affine {
                &self.0
            }

            /// The sum of `points[i]` times the first `bits` of the little-endian `coefficients[i]`, whole bytes of them.
            pub(crate) fn multiply_many(points: &[Self], coefficients: &[[u8; 16]], bits: usize) -> $point {
                let points: Vec<_> = points.iter().map(|point| point.0).collect();
                $point(raw::$raw::multiply_many(&points, coefficients, bits))
            }
        }

        impl From<$affine> for $point {
            fn from(point: $affine) -> Self {
                point.to_projective()
            }
        }

        impl Add for $point {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(raw::$raw::add(&self.0, &other.0))
            }
        }

        impl Add<$affine> for $point {
            type Output = Self;
            fn add(self, other: $affine) -> Self {
                Self(raw::$raw::add_affine(&self.0, &other.0))
            }
        }

        impl AddAssign for $point {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl Neg for $point {
            type Output = Self;
            fn neg(self) -> Self {
                Self(raw::$raw::negate(&self.0))
            }
        }

        impl Sub for $point {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                self + -other
            }
        }

        impl Mul<Scalar> for $point {
            type Output = Self;
            fn mul(self, k: Scalar) -> Self {
                Self(raw::$raw::multiply(&self.0, &k.to_blst()))
            }
        }

        impl fmt::Debug for $point {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.to_affine(), f)
            }
        }

        impl fmt::Debug for $affine {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x")?;
                self.compress().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        mod $raw {
            use super::*;

            /// Straus: one run of doublings for all terms, an addition at each digit that is not 0.
            ///
            /// Right for any points of the curve: only complete additions and doublings.
            pub(super) fn small_sum(terms: impl Iterator<Item = (i128, $blst_affine)>) -> $blst {
                let rows: Vec<_> = terms.map(|(k, point)| (signed_digits(k), point, negate(&point))).collect();
                let len = rows.iter().map(|(digits, ..)| digits.len()).max().unwrap_or(0);
                // Nothing is doubled or added to before the first digit that is not 0.
                let mut sum: Option<$blst> = None;
                let plus_one = |sum: Option<$blst>, point: &$blst_affine| match sum {
                    Some(sum) => raw::$raw::add_affine(&sum, point),
                    None => raw::$raw::from_affine(point),
                };
                for place in (0..len).rev() {
                    sum = sum.map(|sum| raw::$raw::double(&sum));
                    for (digits, plus, minus) in &rows {
                        match digits.get(place) {
                            Some(1) => sum = Some(plus_one(sum, plus)),
                            Some(-1) => sum = Some(plus_one(sum, minus)),
                            Some(_) | None => {}
                        }
                    }
                }
                sum.unwrap_or_default()
            }

            fn negate(point: &$blst_affine) -> $blst_affine {
                let negative = raw::$raw::negate(&raw::$raw::from_affine(point));
                // From affine coordinates z is 1, and 0 only for infinity, whose coordinates are 0 in both forms.
                $blst_affine { x: negative.x, y: negative.y }
            }
        }
    };
}

group!(
    /// A point of G1, or infinity.
    G1,
    /// A point of G1, or infinity, in affine coordinates.
    G1Affine, p1, blst_p1, blst_p1_affine, 48
);
group!(
    /// A point of G2, or infinity.
    G2,
    /// A point of G2, or infinity, in affine coordinates.
    G2Affine, p2, blst_p2, blst_p2_affine, 96
);

impl G2Affine {
    /// Takes a point that the caller knows to be in the subgroup.
    pub(crate) const fn vouched(point: blst_p2_affine) -> Self {
        Self(point)
    }

    /// `x.c1 || x.c0 || y.c1 || y.c0`, big endian.
    pub fn serialize(&self) -> [u8; 192] {
        raw::p2_serialize(&self.0)
    }
}

/// A point of the curve that G2 lies on; whether it is in G2 is not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct UncheckedG2(blst_p2);

/// The same in affine coordinates: what uncompressing gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct UncheckedG2Affine(blst_p2_affine);

impl UncheckedG2 {
    /// The sum of small integers times points, as [`G2::small_sum`].
    pub fn small_sum(terms: &[(i128, UncheckedG2Affine)]) -> Self {
        Self(p2::small_sum(terms.iter().map(|(k, point)| (*k, point.0))))
    }

    /// `k self` if it is in G2; otherwise some point outside.
    pub fn multiply(&self, k: Scalar) -> Self {
        Self(raw::p2::multiply(&self.0, &k.to_blst()))
    }

    /// Affine coordinates, at the cost of one inversion.
    pub fn to_affine(&self) -> UncheckedG2Affine {
        UncheckedG2Affine(raw::p2::to_affine(&self.0))
    }

    /// Affine coordinates of many points, at the cost of one inversion for all.
    pub fn all_to_affine(points: &[Self]) -> Vec<UncheckedG2Affine> {
        let points: Vec<_> = points.iter().map(|point| point.0).collect();
        raw::p2::all_to_affine(&points).into_iter().map(UncheckedG2Affine).collect()
    }
}

impl UncheckedG2Affine {
    /// A point of the curve in compressed bytes, infinity included.
    ///
    /// - Errors: `Encoding`, `NotOnCurve`.
    pub fn uncompress(bytes: &[u8; 96]) -> Result<Self, PointError> {
        raw::p2::uncompress(bytes).map(Self).map_err(PointError::of)
    }

    /// The compressed form.
    pub fn compress(&self) -> [u8; 96] {
        raw::p2::compress(&self.0)
    }

    /// The point, once it is known to be on the curve and in the subgroup.
    ///
    /// - Errors: `NotInGroup`.
    pub fn check(&self) -> Result<G2Affine, PointError> {
        if raw::p2::in_group(&self.0) { Ok(G2Affine(self.0)) } else { Err(PointError::NotInGroup) }
    }
}

impl From<G2Affine> for UncheckedG2Affine {
    fn from(point: G2Affine) -> Self {
        Self(point.0)
    }
}

/// The message's point in G2, under Ethereum's [`DST`].
pub fn hash_to_g2(message: &[u8]) -> G2 {
    hash_to_g2_under(DST, message)
}

/// The message's point in G2 under another domain separation tag; for vectors, not for signatures.
pub fn hash_to_g2_under(dst: &[u8], message: &[u8]) -> G2 {
    G2(raw::hash_to_g2(message, dst))
}

/// Whether the product of the pairings `e(P_i, Q_i)` is 1.
///
/// - Pairs with infinity contribute the factor 1. No pairs: true.
/// - Cost: one Miller loop per pair, one final exponentiation.
pub fn product_is_one(pairs: &[(G1Affine, G2Affine)]) -> bool {
    let proper = pairs.iter().filter(|(p, q)| !p.is_infinity() && !q.is_infinity());
    let (p, q): (Vec<_>, Vec<_>) = proper.map(|(p, q)| (p.0, q.0)).unzip();
    p.is_empty() || raw::miller_loop(&p, &q).final_exp() == blst_fp12::default()
}

/// Digits -1, 0 and 1 of the non-adjacent form, lowest first: at most every second one is not 0.
fn signed_digits(k: i128) -> Vec<i8> {
    let sign = if k < 0 { -1 } else { 1 };
    let mut rest = k.unsigned_abs();
    let mut digits = Vec::new();
    while rest != 0 {
        let digit = match rest & 3 {
            1 => 1,
            3 => -1,
            _ => 0,
        };
        // Shifting first keeps the carry of a digit -1 inside the type.
        rest = (rest >> 1) + u128::from(digit < 0);
        digits.push(digit * sign);
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(digits: &[i8]) -> i128 {
        digits.iter().rev().fold(0, |sum, digit| 2 * sum + i128::from(*digit))
    }

    proptest! {
        #[test]
        fn signed_digits_add_up_and_no_two_neighbours_are_set(k in -(1i128 << 120)..(1i128 << 120)) {
            let digits = signed_digits(k);
            prop_assert_eq!(value(&digits), k);
            prop_assert!(digits.windows(2).all(|pair| pair[0] == 0 || pair[1] == 0));
        }

        #[test]
        fn small_sums_are_sums_of_full_multiplications(
            ks in prop::collection::vec(-(1i128 << 90)..(1i128 << 90), 0..6),
        ) {
            let point = |i: usize| G2::generator().multiply_short(i as u64);
            let terms: Vec<_> = ks.iter().enumerate().map(|(i, k)| (*k, point(i).to_affine())).collect();
            let slow = ks.iter().enumerate().fold(G2::infinity(), |sum, (i, k)| sum + point(i) * Scalar::from(*k));
            prop_assert_eq!(G2::small_sum(&terms), slow);
        }

        #[test]
        fn short_multiplications_are_full_ones(k: u64, shift in 0u32..64) {
            let k = k >> shift;
            prop_assert_eq!(G1::generator().multiply_short(k), G1::generator() * Scalar::from(k));
            prop_assert_eq!(G2::generator().multiply_short(k), G2::generator() * Scalar::from(k));
        }

        #[test]
        fn many_multiplications_at_once_are_the_same_one_by_one(len in 0usize..70, seed: u64, bytes in 1usize..=16) {
            let whole = |i: usize| (u128::from(seed) << 64) + u128::from(seed).wrapping_mul(i as u128 + 1);
            let scalar = |i: usize| whole(i) & (u128::MAX >> (128 - 8 * bytes));
            let points: Vec<_> = (1..=len as u64).map(|i| G1::generator().multiply_short(i).to_affine()).collect();
            let coefficients: Vec<_> = (0..len).map(|i| whole(i).to_le_bytes()).collect();
            let slow = points.iter().enumerate().fold(G1::infinity(), |sum, (i, point)| {
                sum + point.to_projective() * Scalar::from(scalar(i))
            });
            prop_assert_eq!(G1Affine::multiply_many(&points, &coefficients, 8 * bytes), slow);
        }
    }

    #[test]
    fn pairing_is_bilinear_and_infinity_pairs_to_one() {
        let (a, b) = (Scalar::from(17u64), Scalar::from(99u64));
        let p = (G1::generator() * a).to_affine();
        let q = (G2::generator() * b).to_affine();
        let back = (-(G1::generator() * (a * b))).to_affine();
        assert!(product_is_one(&[(p, q), (back, G2Affine::generator())]));
        assert!(!product_is_one(&[(p, q), (back, q)]));
        assert!(!product_is_one(&[(p, q)]));
        assert!(product_is_one(&[(p, G2Affine::default()), (G1Affine::default(), q)]));
        assert!(product_is_one(&[]));
    }

    #[test]
    fn infinity_survives_every_form() {
        let infinity = G2::infinity();
        assert_eq!(infinity.compress()[0], 0xc0);
        assert_eq!(G2Affine::uncompress(&infinity.compress()), Ok(infinity.to_affine()));
        let point = G2::generator();
        let affine = G2::all_to_affine(&[infinity, point, infinity]);
        assert_eq!(affine, [G2Affine::default(), G2Affine::generator(), G2Affine::default()]);
        assert_eq!(point - point, infinity);
        assert_eq!(G2::small_sum(&[(5, G2Affine::default()), (-3, G2Affine::default())]), infinity);
    }
}
