//! Many proofs of knowledge in one equation.
//!
//! A proof `(R, mu)` for the commitment `phi` of an author is right when `R + c phi = mu G`, with
//! `c = H(author, phi, R)`. For random `z_i` of 128 bits all of them are, when
//!
//! ```text
//! sum_i z_i R_i + sum_i (z_i c_i) phi_i - (sum_i z_i mu_i) G = 0
//! ```
//!
//! - **Soundness.** Every [`Point`] is of the group of order `r`, so wrong proofs leave differences `d_i G`, not all zero,
//!   and the sum is zero when `sum z_i d_i = 0 (mod r)`: for given other coefficients at most one `z_i` below
//!   `2^128 < r` does that.
//! - **Coefficients** are SHA-256 streams of the seed and of all that is checked. The seed is fresh randomness; binding the
//!   statement keeps even a repeated one from being used against us.
//! - A sum that is not zero does not say which proof is wrong. Whoever wants to know checks each alone, by the equation
//!   that everybody else judges by.
//!
//! Source: Bellare, Garay, Rabin, EUROCRYPT 1998, the small exponents test.

use super::{POINT_LEN, Point, Round1, S, Scalar, identifier};
use frost_core::Ciphersuite as _;
use sha2::{Digest, Sha256};
use types::ShareIndex;

/// Keeps these coefficients apart from any other use of the same seed.
const LABEL: &[u8] = b"symbolon/keys/proofs/v1";

/// Whether every one of these proofs of knowledge is its author's. None: true.
pub(super) fn hold(proofs: &[(ShareIndex, &Round1)], seed: &[u8; 32]) -> bool {
    let statement = statement(proofs, seed);
    let mut terms = Vec::with_capacity(2 * proofs.len() + 1);
    let mut scale = Scalar::ZERO;
    for (number, (author, round1)) in (0_u64..).zip(proofs) {
        let (commitment, proof) = (round1.package.commitment(), round1.package.proof_of_knowledge());
        let z = coefficient(&statement, number);
        terms.push((*proof.R(), z));
        terms.push((commitment.coefficients()[0].value(), z * challenge(*author, &round1.bytes)));
        scale = scale + z * *proof.z();
    }
    terms.push((Point::generator(), Scalar::ZERO - scale));
    Point::public_sum(&terms).is_identity()
}

/// `H(author, phi, R)` of frost-core's `keys::dkg::challenge`.
fn challenge(author: ShareIndex, round1: &[u8]) -> Scalar {
    let (commitments, proof) = round1.split_at(round1.len() - POINT_LEN - super::SCALAR_LEN);
    let id = identifier(author.get()).serialize();
    S::HDKG(&[&id, &commitments[..POINT_LEN], &proof[..POINT_LEN]].concat()).expect("our ciphersuite has it")
}

fn statement(proofs: &[(ShareIndex, &Round1)], seed: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new().chain_update(LABEL).chain_update(seed);
    hasher.update((proofs.len() as u64).to_le_bytes());
    for (author, round1) in proofs {
        hasher.update([author.get()]);
        hasher.update((round1.bytes.len() as u64).to_le_bytes());
        hasher.update(&round1.bytes);
    }
    hasher.finalize().into()
}

/// 128 bits.
fn coefficient(statement: &[u8; 32], number: u64) -> Scalar {
    let digest = Sha256::new().chain_update(statement).chain_update(number.to_le_bytes()).finalize();
    Scalar::reduce(&digest[..16])
}
