//! Scalars and points of BLS12-381 G1: the only calls into blst's C interface of this module's ciphersuite.
//!
//! blst's safe interface knows keys and signatures, not field and group elements, so this file reaches below
//! it. Every `unsafe` block passes pointers to values that live in the same function, of the exact C type and
//! length; nothing is kept by the other side.
#![allow(unsafe_code)]

use blst::{
    BLST_ERROR, blst_bendian_from_scalar, blst_expand_message_xmd, blst_fr, blst_fr_add, blst_fr_from_scalar,
    blst_fr_from_uint64, blst_fr_inverse, blst_fr_mul, blst_fr_sub, blst_p1, blst_p1_add_or_double,
    blst_p1_affine, blst_p1_affine_in_g1, blst_p1_affine_is_inf, blst_p1_cneg, blst_p1_compress,
    blst_p1_from_affine, blst_p1_generator, blst_p1_is_equal, blst_p1_is_inf, blst_p1_mult,
    blst_p1_uncompress, blst_p1s_mult_pippenger, blst_p1s_mult_pippenger_scratch_sizeof, blst_p1s_to_affine,
    blst_scalar, blst_scalar_fr_check, blst_scalar_from_be_bytes, blst_scalar_from_bendian,
    blst_scalar_from_fr,
};
use std::{
    fmt,
    hint::black_box,
    ops::{Add, Mul, Sub},
    ptr,
};
use zeroize::Zeroizing;

/// Bits of a scalar: `r` lies between 2^254 and 2^255.
const SCALAR_BITS: usize = 255;
/// Bytes of a scalar that takes the short path of [`Point`]'s `Mul`.
const SHORT_LEN: usize = 8;

/// An integer modulo `r`, the order of the group.
///
/// # Security
/// May be secret and must be `Copy` for frost-core, so it cannot wipe itself: whoever holds one for longer than
/// a call holds it inside something that does. `Debug` prints `<redacted>`, `==` takes the same time whatever it finds.
#[derive(Clone, Copy)]
pub struct Scalar(blst_fr);

impl Scalar {
    pub(super) const ZERO: Self = Self(blst_fr { l: [0; 4] });

    /// The scalar of a small number.
    pub(super) fn from_u64(number: u64) -> Self {
        let limbs = [number, 0, 0, 0];
        let mut out = blst_fr::default();
        // SAFETY: `limbs` has the four limbs that are read, `out` is a blst_fr.
        unsafe { blst_fr_from_uint64(&mut out, limbs.as_ptr()) };
        Self(out)
    }

    /// Big-endian bytes of any length, reduced modulo `r`. Uniform from 48 random bytes up.
    pub(super) fn reduce(bytes: &[u8]) -> Self {
        let mut scalar = blst_scalar::default();
        let mut out = blst_fr::default();
        // SAFETY: pointer and length are those of one slice; both outputs are of the C type. The result of
        // `blst_scalar_from_be_bytes` only says whether it is zero; it is always below r.
        unsafe {
            blst_scalar_from_be_bytes(&mut scalar, bytes.as_ptr(), bytes.len());
            blst_fr_from_scalar(&mut out, &scalar);
        }
        Self(out)
    }

    /// 32 big-endian bytes below `r`; `None` otherwise. Zero is taken.
    pub(super) fn from_be_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut scalar = blst_scalar::default();
        let mut out = blst_fr::default();
        // SAFETY: 32 bytes are read, as many as there are; both outputs are of the C type.
        let canonical = unsafe {
            blst_scalar_from_bendian(&mut scalar, bytes.as_ptr());
            let canonical = blst_scalar_fr_check(&scalar);
            blst_fr_from_scalar(&mut out, &scalar);
            canonical
        };
        canonical.then_some(Self(out))
    }

    /// 32 big-endian bytes, as in EIP-2333.
    pub(super) fn to_be_bytes(self) -> [u8; 32] {
        let scalar = self.to_blst();
        let mut out = [0; 32];
        // SAFETY: 32 bytes are written, as many as there are.
        unsafe { blst_bendian_from_scalar(out.as_mut_ptr(), &scalar) };
        out
    }

    /// `1/x`; `None` for zero.
    pub(super) fn invert(self) -> Option<Self> {
        let mut out = blst_fr::default();
        // SAFETY: both are of the C type.
        unsafe { blst_fr_inverse(&mut out, &self.0) };
        (self != Self::ZERO).then_some(Self(out))
    }

    /// Little-endian, wiped when dropped.
    fn to_blst(self) -> blst_scalar {
        let mut scalar = blst_scalar::default();
        // SAFETY: both are of the C type.
        unsafe { blst_scalar_from_fr(&mut scalar, &self.0) };
        scalar
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        let difference = self.0.l.iter().zip(&other.0.l).fold(0, |seen, (a, b)| seen | (a ^ b));
        black_box(difference) == 0
    }
}

impl Eq for Scalar {}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl Add for Scalar {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: all three are of the C type.
        unsafe { blst_fr_add(&mut out, &self.0, &other.0) };
        Self(out)
    }
}

impl Sub for Scalar {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: all three are of the C type.
        unsafe { blst_fr_sub(&mut out, &self.0, &other.0) };
        Self(out)
    }
}

impl Mul for Scalar {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: all three are of the C type.
        unsafe { blst_fr_mul(&mut out, &self.0, &other.0) };
        Self(out)
    }
}

/// A point of G1, the group of prime order `r`. The identity is one of them.
#[derive(Clone, Copy, Debug)]
pub struct Point(blst_p1);

impl Point {
    /// All coordinates zero: blst's point at infinity.
    pub(super) fn identity() -> Self {
        Self(blst_p1::default())
    }

    pub(super) fn generator() -> Self {
        // SAFETY: blst returns a pointer to a constant of its own.
        Self(unsafe { *blst_p1_generator() })
    }

    pub(super) fn is_identity(&self) -> bool {
        // SAFETY: of the C type.
        unsafe { blst_p1_is_inf(&self.0) }
    }

    /// The point as blst has it.
    pub(super) const fn as_blst(&self) -> &blst_p1 {
        &self.0
    }

    /// The sum of public scalars times points, none of which is the identity.
    ///
    /// - Cost: about 15 us a point for some hundreds of them, where a multiplication of its own takes 100.
    ///
    /// # Security
    /// Takes the time that the scalars make it take.
    pub(super) fn public_sum(terms: &[(Self, Scalar)]) -> Self {
        let points: Vec<blst_p1> = terms.iter().map(|(point, _)| point.0).collect();
        let scalars: Vec<[u8; 32]> = terms.iter().map(|(_, scalar)| scalar.to_blst().b).collect();
        let mut affine = vec![blst_p1_affine::default(); points.len()];
        let mut out = blst_p1::default();
        let (Some(point), Some(scalar)) = (points.first(), scalars.first()) else { return Self::identity() };
        let point_list = [ptr::from_ref(point), ptr::null()];
        let scalar_list = [scalar.as_ptr(), ptr::null()];
        // SAFETY: a pointer followed by null means elements that lie one after another: as many points, affine points and
        // scalars of 32 bytes as are told, at least one of each, of which 255 bits are read. The scratch has the length
        // that blst asks for, aligned to its limbs.
        unsafe {
            blst_p1s_to_affine(affine.as_mut_ptr(), point_list.as_ptr(), points.len());
            let affine_list = [affine.as_ptr(), ptr::null()];
            let scratch_len = blst_p1s_mult_pippenger_scratch_sizeof(points.len());
            let mut scratch = vec![0_u64; scratch_len.div_ceil(size_of::<u64>())];
            blst_p1s_mult_pippenger(
                &mut out,
                affine_list.as_ptr(),
                points.len(),
                scalar_list.as_ptr(),
                SCALAR_BITS,
                scratch.as_mut_ptr(),
            );
        }
        Self(out)
    }

    /// Compressed.
    pub(super) fn to_bytes(self) -> [u8; 48] {
        let mut out = [0; 48];
        // SAFETY: 48 bytes are written, as many as there are.
        unsafe { blst_p1_compress(out.as_mut_ptr(), &self.0) };
        out
    }

    /// A compressed point of the group, its only encoding; the identity is taken.
    pub(super) fn from_bytes(bytes: &[u8; 48]) -> Result<Self, PointError> {
        let mut affine = blst_p1_affine::default();
        let mut out = blst_p1::default();
        // SAFETY: 48 bytes are read, as many as there are; `affine` and `out` are of the C type and `affine`
        // is used only after it was filled without an error.
        unsafe {
            if blst_p1_uncompress(&mut affine, bytes.as_ptr()) != BLST_ERROR::BLST_SUCCESS {
                return Err(PointError::NotOnCurve);
            }
            if !blst_p1_affine_is_inf(&affine) && !blst_p1_affine_in_g1(&affine) {
                return Err(PointError::NotInGroup);
            }
            blst_p1_from_affine(&mut out, &affine);
        }
        Ok(Self(out))
    }
}

/// Why bytes are no point of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PointError {
    NotOnCurve,
    NotInGroup,
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: both are of the C type.
        unsafe { blst_p1_is_equal(&self.0, &other.0) }
    }
}

impl Eq for Point {}

impl Add for Point {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let mut out = blst_p1::default();
        // SAFETY: all three are of the C type.
        unsafe { blst_p1_add_or_double(&mut out, &self.0, &other.0) };
        Self(out)
    }
}

impl Sub for Point {
    type Output = Self;
    fn sub(self, mut other: Self) -> Self {
        // SAFETY: of the C type.
        unsafe { blst_p1_cneg(&mut other.0, true) };
        self.add(other)
    }
}

impl Mul<Scalar> for Point {
    type Output = Self;

    /// `scalar` times this point.
    ///
    /// frost-core evaluates commitments at `i^k`: numbers of a few bits, two thirds of a key generation's time
    /// with full ladders. So a scalar below 2^64 is multiplied with as many bits as it has.
    ///
    /// # Security
    /// frost-core has one operator for public and secret scalars. All scalars of 2^64 and more take blst's
    /// constant-time ladder, and which path is taken says only whether a scalar is below 2^64. A secret, which
    /// is uniform modulo `r`, is so with probability below 2^-190, and guessing it would be easier.
    fn mul(self, scalar: Scalar) -> Self {
        let scalar = scalar.to_blst();
        let mut out = blst_p1::default();
        // SAFETY: at most 255 bits are read of 32 bytes; both points are of the C type.
        unsafe { blst_p1_mult(&mut out, &self.0, scalar.b.as_ptr(), bits_to_multiply(&scalar)) };
        Self(out)
    }
}

/// The length of a number below 2^64; 255 for every other.
fn bits_to_multiply(scalar: &blst_scalar) -> usize {
    let (low, high) = scalar.b.split_at(SHORT_LEN);
    let any_high = black_box(high.iter().fold(0, |seen, byte| seen | byte));
    if any_high != 0 {
        return SCALAR_BITS;
    }
    let low = low.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    (u64::BITS - low.leading_zeros()) as usize
}

/// `expand_message_xmd` with SHA-256 to 48 bytes, reduced modulo `r`: `hash_to_field` of RFC 9380 for one scalar.
pub(super) fn hash_to_scalar(tag: &[u8], message: &[u8]) -> Scalar {
    let mut wide = Zeroizing::new([0_u8; 48]);
    // SAFETY: each pointer goes with the length of its own slice.
    unsafe {
        blst_expand_message_xmd(
            wide.as_mut_ptr(),
            wide.len(),
            message.as_ptr(),
            message.len(),
            tag.as_ptr(),
            tag.len(),
        );
    }
    Scalar::reduce(&*wide)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ladder(point: Point, scalar: Scalar) -> Point {
        scalar.to_be_bytes().iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).fold(
            Point::identity(),
            |sum, bit| {
                let double = sum + sum;
                if bit == 1 { double + point } else { double }
            },
        )
    }

    #[test]
    fn short_and_long_products_equal_a_plain_ladder() {
        let base = Point::generator() * Scalar::reduce(&[7; 48]);
        let small = [0, 1, 2, 3, 15, 16, 17, 255, 256, 22_u64.pow(14), u64::MAX - 1, u64::MAX];
        for number in small.map(Scalar::from_u64) {
            assert_eq!(base * number, ladder(base, number));
        }
        let beyond = Scalar::from_u64(u64::MAX) + Scalar::from_u64(1);
        for number in [beyond, Scalar::ZERO - Scalar::from_u64(1), Scalar::reduce(&[9; 64])] {
            assert_eq!(base * number, ladder(base, number));
        }
        assert!((Point::identity() * beyond).is_identity());
    }

    #[test]
    fn only_numbers_below_two_to_the_64_take_the_short_path() {
        let beyond = Scalar::from_u64(u64::MAX) + Scalar::from_u64(1);
        assert_eq!(bits_to_multiply(&beyond.to_blst()), SCALAR_BITS);
        assert_eq!(bits_to_multiply(&Scalar::from_u64(u64::MAX).to_blst()), 64);
        assert_eq!(bits_to_multiply(&Scalar::from_u64(9).to_blst()), 4);
        assert_eq!(bits_to_multiply(&Scalar::ZERO.to_blst()), 0);
    }

    #[test]
    fn r_and_above_are_no_scalars() {
        let minus_one = (Scalar::ZERO - Scalar::from_u64(1)).to_be_bytes();
        assert!(Scalar::from_be_bytes(&minus_one).is_some());
        let mut r = minus_one;
        r[31] += 1;
        assert_eq!(Scalar::from_be_bytes(&r), None);
        assert_eq!(Scalar::from_be_bytes(&[0xff; 32]), None);
    }

    #[test]
    fn a_point_of_the_curve_outside_the_group_is_refused() {
        // The curve's order is r times a cofactor of 125 bits: nearly every point lies outside the group.
        let outside = (0..=u8::MAX).find(|x| {
            let mut bytes = [0; 48];
            bytes[0] = 0x80;
            bytes[47] = *x;
            Point::from_bytes(&bytes) == Err(PointError::NotInGroup)
        });
        assert!(outside.is_some());
        assert_eq!(Point::from_bytes(&[0xff; 48]), Err(PointError::NotOnCurve));
    }

    #[test]
    fn a_scalar_does_not_print() {
        assert_eq!(format!("{:?}", Scalar::reduce(&[5; 48])), "<redacted>");
    }

    proptest! {
        #[test]
        fn scalars_form_a_field(a in any::<[u8; 48]>(), b in any::<[u8; 48]>()) {
            let (a, b) = (Scalar::reduce(&a), Scalar::reduce(&b));
            prop_assert_eq!((a + b) - b, a);
            prop_assert_eq!(Scalar::from_be_bytes(&a.to_be_bytes()), Some(a));
            if let Some(inverse) = b.invert() {
                prop_assert_eq!(a * b * inverse, a);
            }
        }

        #[test]
        fn a_public_sum_is_the_sum_of_its_products(seeds in prop::collection::vec(any::<[u8; 48]>(), 0..40)) {
            let g = Point::generator();
            let term = |seed: &[u8; 48]| (g * Scalar::reduce(&seed[..24]), Scalar::reduce(seed));
            let terms: Vec<_> = seeds.iter().map(term).filter(|(point, _)| !point.is_identity()).collect();
            let slow = terms.iter().fold(Point::identity(), |sum, (point, scalar)| sum + *point * *scalar);
            prop_assert_eq!(Point::public_sum(&terms), slow);
        }

        #[test]
        fn multiplying_distributes_over_adding(a in any::<[u8; 48]>(), b in any::<u64>()) {
            let (a, b) = (Scalar::reduce(&a), Scalar::from_u64(b));
            let g = Point::generator();
            prop_assert_eq!(g * a + g * b, g * (a + b));
            prop_assert_eq!(g * a - g * b, g * (a - b));
            prop_assert_eq!(Point::from_bytes(&(g * a).to_bytes()), Ok(g * a));
        }
    }
}
