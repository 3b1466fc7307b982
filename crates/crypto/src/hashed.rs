//! Roots hashed to the curve once, for whoever signs, combines and checks them.
//!
//! Hashing takes more than a signature takes to make. A slot's root is signed, its partial signatures are combined, and
//! the result is checked, all within a second ([`RecentRoots`]). A ceremony signs some roots with every new key, and
//! then holds everybody's partial signature of each and the signature that they make: all are claims about one point.

use crate::check::{Checker, Claim};
use crate::combine::{CombineError, first};
use crate::lagrange::{At, Coefficients};
use crate::point::{G2, G2Affine, hash_to_g2};
use crate::recent::Recent;
use crate::signature::{PublicKeyPoint, SignaturePoint};
use types::{ShareIndex, SigningRoot, Threshold};

/// Roots that [`RecentRoots`] keeps: more than a slot of ten thousand validators has, and a quarter of a megabyte.
pub const RECENT_ROOTS: usize = 1024;

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

/// The roots hashed lately; each is hashed once as long as it is kept.
///
/// Bound: [`RECENT_ROOTS`], the oldest goes first.
#[derive(Debug)]
pub struct RecentRoots(Recent<SigningRoot, G2Affine>);

impl Default for RecentRoots {
    fn default() -> Self {
        Self(Recent::new(RECENT_ROOTS))
    }
}

impl RecentRoots {
    /// A root and its point, and whether it had to be hashed.
    ///
    /// - Cost: of [`HashedRoot::of`] for a new one.
    pub fn hash(&self, root: &SigningRoot) -> (HashedRoot, bool) {
        if let Some(point) = self.0.get(root) {
            return (HashedRoot { root: *root, point }, false);
        }
        let hashed = HashedRoot::of(root);
        self.0.keep(hashed.root, hashed.point);
        (hashed, true)
    }

    /// Keeps nothing any more: for measurements, which repeat a root that a node meets once.
    pub fn forget(&self) {
        self.0.forget();
    }
}

/// Which signatures over one root do not hold: their positions, in order, and no other. For halves of a validator client.
///
/// - Infinity verifies under no key.
/// - `seed`: fresh randomness that no signer could foresee.
/// - Cost if all are good: two pairings, two multi-scalar multiplications; each bad one adds some checks to find it.
/// - Soundness: a wrong signature passes with probability at most `2^-64`; see [`crate::check`]. A half that did would make a
///   partial signature that is wrong, and nothing that is signed: whoever combines it checks the result with `2^-128`.
pub fn find_bad(
    root: &HashedRoot,
    signatures: &[(&PublicKeyPoint, SignaturePoint)],
    seed: [u8; 32],
) -> Vec<usize> {
    let mut checker = Checker::light(seed);
    let message = checker.hashed(&root.root.root().0, root.point);
    let is_finite = |place: &usize| !signatures[*place].1.is_infinity();
    let (finite, mut bad): (Vec<usize>, Vec<usize>) = (0..signatures.len()).partition(is_finite);
    let claim =
        |place: &usize| Claim { message, key: signatures[*place].0, signature: &signatures[*place].1 };
    let claims: Vec<_> = finite.iter().map(claim).collect();
    bad.extend(checker.find_false(&claims).into_iter().map(|found| finite[found]));
    bad.sort_unstable();
    bad
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
                    if let Some((_, key, signature)) = wrong.filter(|(root, ..)| *root == at) {
                        signatures[key].1 = signature;
                    }
                    HashedClaims { root: &roots[at], signatures }
                })
                .collect();
            all_hold(&claims, [7; 32])
        };
        assert!(claims(None) && all_hold(&[], [7; 32]));
        for root in 0..2 {
            for (key, secret) in secrets.into_iter().enumerate() {
                for wrong in [signed(&roots[root], 1), signed(&roots[1 - root], secret)] {
                    assert!(!claims(Some((root, key, wrong))));
                }
                let infinity = SignaturePoint::parse(&Signature::INFINITY).unwrap();
                assert!(!claims(Some((root, key, infinity))));
            }
        }
    }

    #[test]
    fn bad_signatures_are_found_and_no_others() {
        let (root, secrets) = (hashed(1), [5, 9, 13, 17]);
        let keys = secrets.map(key);
        let mut signatures: Vec<_> =
            keys.iter().zip(secrets).map(|(key, secret)| (key, signed(&root, secret))).collect();
        assert!(find_bad(&root, &signatures, [7; 32]).is_empty() && find_bad(&root, &[], [7; 32]).is_empty());
        signatures[1].1 = SignaturePoint::parse(&Signature::INFINITY).unwrap();
        signatures[3].1 = signed(&hashed(2), 17);
        assert_eq!(find_bad(&root, &signatures, [7; 32]), [1, 3]);
    }

    #[test]
    fn a_recent_root_is_hashed_once_and_the_oldest_is_forgotten() {
        let root = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
            SigningRoot::lock_hash(Root(bytes))
        };
        let recent = RecentRoots::default();
        assert_eq!(recent.hash(&root(0)), (HashedRoot::of(&root(0)), true));
        assert_eq!(recent.hash(&root(0)), (HashedRoot::of(&root(0)), false));
        (1..RECENT_ROOTS).for_each(|number| assert!(recent.hash(&root(number)).1));
        assert!(!recent.hash(&root(0)).1, "as many as are kept");
        assert!(recent.hash(&root(RECENT_ROOTS)).1);
        assert!(recent.hash(&root(0)).1, "one more");
        assert!(!recent.hash(&root(2)).1);
        recent.forget();
        assert!(recent.hash(&root(2)).1);
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
