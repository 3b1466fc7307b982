//! One check for many signatures over one root: a random linear combination, and bisection when it fails.
//!
//! Only public data pass here. Each signature is checked to be in the group by itself: on the combination alone
//! that check would be unsound.

use crate::curve::{HashPoint, generator};
use blst::min_pk::{PublicKey, Signature};
use blst::{MultiPoint, blst_fp12, blst_p1_affine, blst_p2_affine};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// Bits of a coefficient: a wrong signature passes with a chance of 2^-127 (the lowest bit is set).
const COEFFICIENT_BITS: usize = 128;

/// Says of each signature over `hash` whether it verifies under its key.
///
/// - `signatures`: checked to be in the group and finite. Keys likewise.
/// - `seed`: 32 bytes that whoever made the signatures could not know.
/// - Returns one `bool` per entry, in order.
/// - Cost: one pairing check if all are good; about `2 log2(len)` more for each bad one.
pub(crate) fn check_many(
    hash: &HashPoint,
    signatures: &[(PublicKey, Signature)],
    seed: [u8; 32],
) -> Vec<bool> {
    let mut check = Check { hash: hash.affine(), coefficients: ChaCha20Rng::from_seed(seed) };
    let mut good = vec![false; signatures.len()];
    check.bisect(signatures, &mut good);
    good
}

struct Check {
    hash: blst_p2_affine,
    coefficients: ChaCha20Rng,
}

impl Check {
    fn bisect(&mut self, signatures: &[(PublicKey, Signature)], good: &mut [bool]) {
        if signatures.is_empty() {
            return;
        }
        if self.holds(signatures) {
            good.fill(true);
            return;
        }
        if signatures.len() == 1 {
            return;
        }
        let middle = signatures.len() / 2;
        let (left, right) = signatures.split_at(middle);
        let (good_left, good_right) = good.split_at_mut(middle);
        self.bisect(left, good_left);
        self.bisect(right, good_right);
    }

    /// `e(sum c_i PK_i, H) == e(G1, sum c_i S_i)` with fresh coefficients.
    fn holds(&mut self, signatures: &[(PublicKey, Signature)]) -> bool {
        let (keys, points): (Vec<PublicKey>, Vec<Signature>) = signatures.iter().copied().unzip();
        let coefficients = self.draw(signatures.len());
        let key: blst_p1_affine =
            keys.as_slice().mult(&coefficients, COEFFICIENT_BITS).to_public_key().into();
        let point: blst_p2_affine =
            points.as_slice().mult(&coefficients, COEFFICIENT_BITS).to_signature().into();
        // A pairing with infinity is not computed: the single checks below it decide.
        if key == blst_p1_affine::default() || point == blst_p2_affine::default() {
            return false;
        }
        let left = blst_fp12::miller_loop(&self.hash, &key);
        let right = blst_fp12::miller_loop(&point, &generator());
        blst_fp12::finalverify(&left, &right)
    }

    fn draw(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count * COEFFICIENT_BITS / 8];
        self.coefficients.fill_bytes(&mut bytes);
        bytes.iter_mut().step_by(COEFFICIENT_BITS / 8).for_each(|lowest| *lowest |= 1);
        bytes
    }
}
