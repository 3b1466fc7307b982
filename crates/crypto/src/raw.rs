//! The calls into blst: all unsafe code of this crate.
//!
//! Each function takes and gives whole values, or slices whose lengths it checks itself, and says what blst asks of
//! them. Nothing here knows which group or subgroup a point is in; the types of [`crate::point`] do. All of it
//! runs on the calling thread: blst's own thread pool is not used.

#![allow(unsafe_code)]

use blst::*;

/// Bits of a random coefficient: a false statement passes a check with probability at most `2^-128`.
pub(crate) const COEFFICIENT_BITS: usize = 128;
/// Bits of the group order `r`.
const ORDER_BITS: usize = 255;

/// The same calls for both groups.
macro_rules! group_calls {
    ($(#[$doc:meta])* $name:ident, $point:ident, $affine:ident, $len:literal, $generator:ident, $add:ident,
     $add_affine:ident, $double:ident, $cneg:ident, $mult:ident, $unchecked_mult:ident, $to_affine:ident,
     $all_to_affine:ident, $from_affine:ident, $is_inf:ident, $on_curve:ident, $in_group:ident, $compress:ident,
     $uncompress:ident, $scratch_len:ident, $pippenger:ident) => {
        $(#[$doc])*
        pub(crate) mod $name {
            use super::*;

            /// The group's generator.
            pub(crate) fn generator() -> $point {
                // SAFETY: blst gives a pointer to a constant that lives as long as the program.
                unsafe { *$generator() }
            }

            /// `a + b`; complete: any points of the curve, equal, opposite or infinite.
            pub(crate) fn add(a: &$point, b: &$point) -> $point {
                let mut out = $point::default();
                // SAFETY: three valid, aligned values of the type that blst expects.
                unsafe { $add(&mut out, a, b) };
                out
            }

            /// The same with an affine `b`, about a quarter cheaper.
            pub(crate) fn add_affine(a: &$point, b: &$affine) -> $point {
                let mut out = $point::default();
                // SAFETY: three valid, aligned values of the types that blst expects.
                unsafe { $add_affine(&mut out, a, b) };
                out
            }

            /// `2 a`.
            pub(crate) fn double(a: &$point) -> $point {
                let mut out = $point::default();
                // SAFETY: two valid, aligned values of the type that blst expects.
                unsafe { $double(&mut out, a) };
                out
            }

            /// `-a`.
            pub(crate) fn negate(a: &$point) -> $point {
                let mut out = *a;
                // SAFETY: one valid, aligned value, changed in place.
                unsafe { $cneg(&mut out, true) };
                out
            }

            /// `k a` for `k < r`, by the group's endomorphism: right in the subgroup only.
            pub(crate) fn multiply(a: &$point, k: &blst_scalar) -> $point {
                let mut out = $point::default();
                // SAFETY: valid, aligned values; the scalar has 32 bytes, of which 255 bits are read.
                unsafe { $mult(&mut out, a, k.b.as_ptr(), ORDER_BITS) };
                out
            }

            /// `k a` for a short `k`: time grows with the length of `k`.
            pub(crate) fn multiply_short(a: &$point, k: u64) -> $point {
                let mut out = $point::default();
                let bytes = k.to_le_bytes();
                let bits = (u64::BITS - k.leading_zeros()) as usize;
                // SAFETY: valid, aligned values; at most 64 bits are read of 8 bytes.
                unsafe { $unchecked_mult(&mut out, a, bytes.as_ptr(), bits) };
                out
            }

            /// Affine coordinates, at the cost of one inversion.
            pub(crate) fn to_affine(a: &$point) -> $affine {
                let mut out = $affine::default();
                // SAFETY: two valid, aligned values of the types that blst expects.
                unsafe { $to_affine(&mut out, a) };
                out
            }

            /// Affine coordinates of many points, at the cost of one inversion for all.
            pub(crate) fn all_to_affine(points: &[$point]) -> Vec<$affine> {
                let mut out = vec![$affine::default(); points.len()];
                let Some(first) = points.first() else { return out };
                let list = [std::ptr::from_ref(first), std::ptr::null()];
                // SAFETY: a pointer followed by null means points that lie one after another; both slices have
                // `points.len()` elements, at least one.
                unsafe { $all_to_affine(out.as_mut_ptr(), list.as_ptr(), points.len()) };
                out
            }

            /// From affine coordinates.
            pub(crate) fn from_affine(a: &$affine) -> $point {
                let mut out = $point::default();
                // SAFETY: two valid, aligned values of the types that blst expects.
                unsafe { $from_affine(&mut out, a) };
                out
            }

            /// Whether it is the neutral element.
            pub(crate) fn is_infinity(a: &$affine) -> bool {
                // SAFETY: one valid, aligned value.
                unsafe { $is_inf(a) }
            }

            /// Whether it is on the curve and in the subgroup of order `r`.
            pub(crate) fn in_group(a: &$affine) -> bool {
                // SAFETY: one valid, aligned value, twice.
                unsafe { $on_curve(a) && $in_group(a) }
            }

            /// The compressed form.
            pub(crate) fn compress(a: &$affine) -> [u8; $len] {
                let mut out = [0; $len];
                // SAFETY: blst writes exactly the compressed length, which is the array's.
                unsafe { $compress(out.as_mut_ptr(), a) };
                out
            }

            /// A point of the curve; the subgroup is not checked.
            pub(crate) fn uncompress(bytes: &[u8; $len]) -> Result<$affine, BLST_ERROR> {
                let mut out = $affine::default();
                // SAFETY: blst reads exactly the compressed length, which is the array's.
                match unsafe { $uncompress(&mut out, bytes.as_ptr()) } {
                    BLST_ERROR::BLST_SUCCESS => Ok(out),
                    error => Err(error),
                }
            }

            /// The sum of `points[i]` times the first `bits` of `coefficients[i]` (little endian), which are whole bytes. Right
            /// in the subgroup only: the tables use formulas that small orders break.
            pub(crate) fn multiply_many(
                points: &[$affine],
                coefficients: &[[u8; COEFFICIENT_BITS / 8]],
                bits: usize,
            ) -> $point {
                assert_eq!(points.len(), coefficients.len(), "one coefficient per point");
                assert!(bits.is_multiple_of(8) && bits > 0 && bits <= COEFFICIENT_BITS, "{bits} bits of a coefficient");
                let len = bits / 8;
                let coefficients: Vec<u8> = coefficients.iter().flat_map(|one| &one[..len]).copied().collect();
                let mut out = $point::default();
                let (Some(point), Some(coefficient)) = (points.first(), coefficients.first()) else { return out };
                let point_list = [std::ptr::from_ref(point), std::ptr::null()];
                let coefficient_list = [std::ptr::from_ref(coefficient), std::ptr::null()];
                let count = points.len();
                // SAFETY: the function only computes a length.
                let scratch_len = unsafe { $scratch_len(count) };
                let mut scratch = vec![0u64; scratch_len.div_ceil(size_of::<u64>())];
                // SAFETY: a pointer followed by null means elements that lie one after another: `count` points
                // and `count` coefficients of `bits / 8` bytes, at least one of each; the scratch
                // has the length that blst asked for, aligned to its limbs.
                unsafe {
                    $pippenger(
                        &mut out,
                        point_list.as_ptr(),
                        count,
                        coefficient_list.as_ptr(),
                        bits,
                        scratch.as_mut_ptr(),
                    );
                }
                out
            }
        }
    };
}

group_calls!(
    /// G1: public keys.
    p1, blst_p1, blst_p1_affine, 48, blst_p1_generator, blst_p1_add_or_double, blst_p1_add_or_double_affine,
    blst_p1_double, blst_p1_cneg, blst_p1_mult, blst_p1_unchecked_mult, blst_p1_to_affine, blst_p1s_to_affine,
    blst_p1_from_affine, blst_p1_affine_is_inf, blst_p1_affine_on_curve, blst_p1_affine_in_g1,
    blst_p1_affine_compress, blst_p1_uncompress, blst_p1s_mult_pippenger_scratch_sizeof, blst_p1s_mult_pippenger
);
group_calls!(
    /// G2: messages and signatures.
    p2, blst_p2, blst_p2_affine, 96, blst_p2_generator, blst_p2_add_or_double, blst_p2_add_or_double_affine,
    blst_p2_double, blst_p2_cneg, blst_p2_mult, blst_p2_unchecked_mult, blst_p2_to_affine, blst_p2s_to_affine,
    blst_p2_from_affine, blst_p2_affine_is_inf, blst_p2_affine_on_curve, blst_p2_affine_in_g2,
    blst_p2_affine_compress, blst_p2_uncompress, blst_p2s_mult_pippenger_scratch_sizeof, blst_p2s_mult_pippenger
);

/// `x.c1 || x.c0 || y.c1 || y.c0`, big endian.
pub(crate) fn p2_serialize(a: &blst_p2_affine) -> [u8; 192] {
    let mut out = [0; 192];
    // SAFETY: blst writes exactly 192 bytes.
    unsafe { blst_p2_affine_serialize(out.as_mut_ptr(), a) };
    out
}

/// RFC 9380's `hash_to_curve` of suite `BLS12381G2_XMD:SHA-256_SSWU_RO_` under this domain separation tag.
pub(crate) fn hash_to_g2(message: &[u8], dst: &[u8]) -> blst_p2 {
    let mut out = blst_p2::default();
    // SAFETY: both slices are passed with their lengths; there is no augmentation, so a null of length 0.
    unsafe {
        blst_hash_to_g2(
            &mut out,
            message.as_ptr(),
            message.len(),
            dst.as_ptr(),
            dst.len(),
            std::ptr::null(),
            0,
        );
    }
    out
}

/// The product of Miller loops of `n > 0` pairs, none of which holds infinity.
pub(crate) fn miller_loop(p: &[blst_p1_affine], q: &[blst_p2_affine]) -> blst_fp12 {
    assert_eq!(p.len(), q.len(), "points come in pairs");
    let mut out = blst_fp12::default();
    let (Some(first_p), Some(first_q)) = (p.first(), q.first()) else { return out };
    let p_list = [std::ptr::from_ref(first_p), std::ptr::null()];
    let q_list = [std::ptr::from_ref(first_q), std::ptr::null()];
    // SAFETY: a pointer followed by null means points that lie one after another; both slices have `p.len()`
    // elements, at least one.
    unsafe { blst_miller_loop_n(&mut out, q_list.as_ptr(), p_list.as_ptr(), p.len()) };
    out
}

/// Arithmetic modulo `r`.
pub(crate) mod fr {
    use super::*;

    /// From four little-endian words; reduced.
    pub(crate) fn from_words(words: &[u64; 4]) -> blst_fr {
        let mut out = blst_fr::default();
        // SAFETY: blst reads four words.
        unsafe { blst_fr_from_uint64(&mut out, words.as_ptr()) };
        out
    }

    /// From 32 big-endian bytes below `r`.
    pub(crate) fn from_be_bytes(bytes: &[u8; 32]) -> Option<blst_fr> {
        let mut scalar = blst_scalar::default();
        let mut out = blst_fr::default();
        // SAFETY: blst reads 32 bytes, then one valid, aligned scalar, which is converted once it is below `r`.
        unsafe {
            blst_scalar_from_bendian(&mut scalar, bytes.as_ptr());
            if !blst_scalar_fr_check(&scalar) {
                return None;
            }
            blst_fr_from_scalar(&mut out, &scalar);
        }
        Some(out)
    }

    /// As an integer, little endian.
    pub(crate) fn to_scalar(a: &blst_fr) -> blst_scalar {
        let mut out = blst_scalar::default();
        // SAFETY: two valid, aligned values of the types that blst expects.
        unsafe { blst_scalar_from_fr(&mut out, a) };
        out
    }

    /// `a + b`.
    pub(crate) fn add(a: &blst_fr, b: &blst_fr) -> blst_fr {
        let mut out = blst_fr::default();
        // SAFETY: three valid, aligned values.
        unsafe { blst_fr_add(&mut out, a, b) };
        out
    }

    /// `a - b`.
    pub(crate) fn subtract(a: &blst_fr, b: &blst_fr) -> blst_fr {
        let mut out = blst_fr::default();
        // SAFETY: three valid, aligned values.
        unsafe { blst_fr_sub(&mut out, a, b) };
        out
    }

    /// `a b`.
    pub(crate) fn multiply(a: &blst_fr, b: &blst_fr) -> blst_fr {
        let mut out = blst_fr::default();
        // SAFETY: three valid, aligned values.
        unsafe { blst_fr_mul(&mut out, a, b) };
        out
    }

    /// `1 / a`; 0 for 0.
    pub(crate) fn invert(a: &blst_fr) -> blst_fr {
        let mut out = blst_fr::default();
        // SAFETY: two valid, aligned values.
        unsafe { blst_fr_eucl_inverse(&mut out, a) };
        out
    }
}
