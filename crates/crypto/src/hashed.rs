//! Roots hashed to the curve once, for whoever signs, combines and checks them: a ceremony's seal.
//!
//! Hashing takes a third of what a signature takes to make. A ceremony signs some roots with every new key, and then holds
//! everybody's partial signature of each and the signature that they make: all are claims about one point.

use crate::check::{Checker, Claim};
use crate::combine::{CombineError, first};
use crate::lagrange::{At, Coefficients};
use crate::point::{G2, G2Affine, hash_to_g2};
use crate::signature::{PublicKeyPoint, SignaturePoint};
use types::{ShareIndex, SigningRoot, Threshold};

/// A signing root and its point in G2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedRoot {
    root: SigningRoot,
    point: G2Affine,
}

impl HashedRoot {
    /// Hashes a root.
    ///
    /// - Cost: 0.2 ms.
    pub fn of(root: &SigningRoot) -> Self {
        Self { root: *root, point: hash_to_g2(&root.root().0).to_affine() }
    }

    /// The root.
    pub const fn root(&self) -> &SigningRoot {
        &self.root
    }

    /// Its point.
    pub const fn point(&self) -> &G2Affine {
        &self.point
    }
}

/// A statement: everybody of these has signed the root under the key beside.
#[derive(Clone, Debug)]
pub struct HashedClaims<'a> {
    /// What was signed.
    pub root: &'a HashedRoot,
    /// By which keys, and how.
    pub signatures: Vec<(&'a PublicKeyPoint, SignaturePoint)>,
}

/// Whether all of these signatures verify, in one check. None: true.
///
/// - Infinity verifies under no key.
/// - `seed`: fresh randomness that no signer could foresee.
/// - Cost: a pairing for each root, one more, two multi-scalar multiplications; nothing is hashed to the curve.
/// - Soundness: a false statement passes with probability at most `2^-128`; see [`crate::check`].
pub fn all_hold(claims: &[HashedClaims<'_>], seed: [u8; 32]) -> bool {
    let mut checker = Checker::new(seed);
    let mut all = Vec::new();
    for HashedClaims { root, signatures } in claims {
        let message = checker.hashed(&root.root.root().0, root.point);
        all.extend(signatures.iter().map(|(key, signature)| Claim { message, key, signature }));
    }
    all.iter().all(|claim| !claim.signature.is_infinity()) && checker.all_hold(&all)
}

/// Interpolates partial signatures that are known to be in the group, as [`crate::combine()`] does with any.
///
/// - Errors: `TooFew`, `Duplicate`.
/// - Cost: a joint short multiplication, at most one full one.
pub fn combine_checked(
    partials: &[(ShareIndex, SignaturePoint)],
    threshold: Threshold,
) -> Result<SignaturePoint, CombineError> {
    let partials = first(partials, threshold)?;
    let indices: Vec<_> = partials.iter().map(|(index, _)| *index).collect();
    let coefficients = Coefficients::new(&indices, At::Group);
    let numerators = coefficients.numerators().iter();
    let terms: Vec<_> = numerators.zip(partials).map(|(n, (_, partial))| (*n, *partial.point())).collect();
    let sum = G2::small_sum(&terms);
    let sum = coefficients.division().map_or(sum, |division| sum * division);
    Ok(SignaturePoint::new(sum.to_affine()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::combine::combine;
    use crate::point::G1;
    use crate::scalar::Scalar;
    use types::{Root, Signature};

    fn hashed(number: u8) -> HashedRoot {
        HashedRoot::of(&SigningRoot::lock_hash(Root([number; 32])))
    }

    fn key(secret: u64) -> PublicKeyPoint {
        PublicKeyPoint::new(G1::generator() * Scalar::from(secret)).unwrap()
    }

    fn signed(root: &HashedRoot, secret: u64) -> SignaturePoint {
        SignaturePoint::new((root.point().to_projective() * Scalar::from(secret)).to_affine())
    }

    #[test]
    fn all_hold_until_one_does_not() {
        let (roots, keys) = ([hashed(1), hashed(2)], [key(5), key(9), key(13)]);
        let secrets = [5, 9, 13];
        let claims = |wrong: Option<(usize, usize, SignaturePoint)>| -> bool {
            let claims: Vec<_> = (0..2)
                .map(|at| {
                    let mut signatures: Vec<_> = keys
                        .iter()
                        .zip(secrets)
                        .map(|(key, secret)| (key, signed(&roots[at], secret)))
                        .collect();
                    if let Some((root, key, signature)) = wrong.filter(|(root, ..)| *root == at) {
                        assert_eq!(root, at);
                        signatures[key].1 = signature;
                    }
                    HashedClaims { root: &roots[at], signatures }
                })
                .collect();
            all_hold(&claims, [7; 32])
        };
        assert!(claims(None) && all_hold(&[], [7; 32]));
        for root in 0..2 {
            for key in 0..3 {
                for wrong in [signed(&roots[root], 1), signed(&roots[1 - root], secrets[key])] {
                    assert!(!claims(Some((root, key, wrong))));
                }
                let infinity = SignaturePoint::parse(&Signature::INFINITY).unwrap();
                assert!(!claims(Some((root, key, infinity))));
            }
        }
    }

    #[test]
    fn checked_partials_combine_to_what_others_combine_to() {
        let root = hashed(3);
        let all: Vec<_> = (1..=7_u8)
            .map(|index| (ShareIndex::new(index).unwrap(), signed(&root, 3 + 5 * u64::from(index).pow(2))))
            .collect();
        for quorum in [[0, 1, 2], [4, 1, 6], [2, 5, 3]] {
            let points: Vec<_> = quorum.map(|at| all[at]).to_vec();
            let bytes: Vec<_> = points.iter().map(|(index, point)| (*index, point.bytes())).collect();
            let combined = combine_checked(&points, Threshold(3)).unwrap().bytes();
            assert_eq!(combined, combine(&bytes, Threshold(3)).unwrap());
            assert_eq!(combined, signed(&root, 3).bytes(), "the polynomial at zero");
        }
        let few = combine_checked(&all[..2], Threshold(3));
        assert_eq!(few, Err(CombineError::TooFew { have: 2, need: 3 }));
    }
}
