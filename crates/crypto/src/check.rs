//! One check for many signatures, and the search for those that break it.
//!
//! The statement is `e(P_i, H(m_i)) = e(g1, S_i)` for all `i`. With random `c_i` of 128 bits it becomes
//!
//! ```text
//! e(-g1, sum_i c_i S_i) * prod_m e(sum_{i: m_i = m} c_i P_i, H(m)) = 1
//! ```
//!
//! two multi-scalar multiplications and one product of `messages + 1` pairings.
//!
//! - **Soundness.** All `P_i`, `S_i`, `H(m)` have order `r` (their types say so), so a false statement is one
//!   non-zero exponent `d_i`; the check passes when `sum c_i d_i = 0 (mod r)`, which for all other `c` fixed at
//!   most one `c_i` below `2^128 < r` does: probability at most `2^-128` per check. Outside the subgroup this is
//!   unsound (a point of order 13 is lost with probability 1/13), so each signature is checked before it enters.
//! - **Coefficients** are SHA-256 streams of the seed and of everything that is checked: keys, messages, signatures.
//!   The seed is fresh randomness; binding the statement keeps even a repeated seed from being used against us.
//! - **Blame.** A group that fails is halved; when all but the rest of it holds, the rest is known to fail and is not
//!   checked again. One bad claim of `n` costs about `2 log2(n)` checks, `n` bad ones about `n + log2(n)`.
//!
//! Source: Bellare, Garay, Rabin, EUROCRYPT 1998, the small exponents test; Law, Matt, *Finding invalid
//! signatures in pairing-based batches*, 2007, for the search.

use crate::hashed::RecentRoots;
use crate::point::{G1Affine, G2Affine, hash_to_g2, product_is_one};
use crate::raw::COEFFICIENT_BITS;
use crate::signature::{PublicKeyPoint, SignaturePoint, minus_generator};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use types::SigningRoot;

/// Keeps these coefficients apart from any other use of the same seed.
const LABEL: &[u8] = b"symbolon/crypto/check/v1";

/// What checks have cost, counted in operations so that it can be tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Messages hashed to G2 (0.20 ms each).
    pub hashes: usize,
    /// Miller loops (0.3 ms each).
    pub pairings: usize,
    /// Products of pairings compared with 1 (one final exponentiation each, 0.4 ms).
    pub checks: usize,
}

/// One statement: this signature over this message is by this key.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// Of [`Checker::message`].
    pub(crate) message: MessageNo,
    pub(crate) key: &'a PublicKeyPoint,
    pub(crate) signature: &'a SignaturePoint,
}

/// A message's place in a [`Checker`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MessageNo(usize);

/// Checks many statements; hashes each message once and counts what it does.
pub(crate) struct Checker<'r> {
    seed: [u8; 32],
    roots: Option<&'r RecentRoots>,
    /// Of each coefficient.
    bits: usize,
    messages: Vec<(Vec<u8>, G2Affine)>,
    numbers: BTreeMap<Vec<u8>, MessageNo>,
    pub(crate) cost: Cost,
}

impl<'r> Checker<'r> {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let (messages, numbers, cost) = (Vec::new(), BTreeMap::new(), Cost::default());
        Self { seed, roots: None, bits: COEFFICIENT_BITS, messages, numbers, cost }
    }

    /// One with coefficients of half the length, for what is checked once more by others: a false statement passes with
    /// probability `2^-64`.
    pub(crate) fn light(seed: [u8; 32]) -> Self {
        Self { bits: COEFFICIENT_BITS / 2, ..Self::new(seed) }
    }

    /// One that looks roots up among those hashed lately.
    pub(crate) fn with_roots(seed: [u8; 32], roots: &'r RecentRoots) -> Self {
        Self { roots: Some(roots), ..Self::new(seed) }
    }

    /// The message's number; hashed to G2 when it is new.
    pub(crate) fn message(&mut self, message: &[u8]) -> MessageNo {
        if let Some(number) = self.numbers.get(message) {
            return *number;
        }
        self.cost.hashes += 1;
        self.hashed(message, hash_to_g2(message).to_affine())
    }

    /// A root's number; hashed to G2 when nobody has hashed it lately.
    pub(crate) fn root(&mut self, root: &SigningRoot) -> MessageNo {
        let message = &root.root().0;
        let Some(roots) = self.roots else { return self.message(message) };
        if let Some(number) = self.numbers.get(message.as_slice()) {
            return *number;
        }
        let (hashed, new) = roots.hash(root);
        self.cost.hashes += usize::from(new);
        self.hashed(message, *hashed.point())
    }

    /// The number of a message whose point the caller knows.
    pub(crate) fn hashed(&mut self, message: &[u8], point: G2Affine) -> MessageNo {
        let next = MessageNo(self.messages.len());
        let number = *self.numbers.entry(message.to_vec()).or_insert(next);
        if number == next {
            self.messages.push((message.to_vec(), point));
        }
        number
    }

    /// Whether every claim holds. None: true.
    pub(crate) fn all_hold(&mut self, claims: &[Claim<'_>]) -> bool {
        if claims.is_empty() {
            return true;
        }
        let pairs = match claims {
            // A single claim needs no coefficient: its equation is the statement.
            [claim] => vec![
                (minus_generator(), *claim.signature.point()),
                (*claim.key.point(), self.messages[claim.message.0].1),
            ],
            _ => self.folded(claims),
        };
        self.cost.pairings += pairs.len();
        self.cost.checks += 1;
        product_is_one(&pairs)
    }

    /// The pairs of the module's equation.
    fn folded(&self, claims: &[Claim<'_>]) -> Vec<(G1Affine, G2Affine)> {
        let coefficients = self.coefficients(claims);
        let mut keys: BTreeMap<MessageNo, (Vec<G1Affine>, Vec<[u8; 16]>)> = BTreeMap::new();
        for (claim, coefficient) in claims.iter().zip(&coefficients) {
            let (points, factors) = keys.entry(claim.message).or_default();
            points.push(*claim.key.point());
            factors.push(*coefficient);
        }
        let signatures: Vec<_> = claims.iter().map(|claim| *claim.signature.point()).collect();
        let sum = G2Affine::multiply_many(&signatures, &coefficients, self.bits).to_affine();
        let folded_keys = keys.iter().map(|(message, (points, factors))| {
            let key = G1Affine::multiply_many(points, factors, self.bits).to_affine();
            (key, self.messages[message.0].1)
        });
        [(minus_generator(), sum)].into_iter().chain(folded_keys).collect()
    }

    /// Positions of the claims that do not hold, in order; all of them, and no other.
    pub(crate) fn find_false(&mut self, claims: &[Claim<'_>]) -> Vec<usize> {
        self.find_some_false(claims, claims.len()).0
    }

    /// The first claims that do not hold, at most `most`, in order; and how many claims were looked at for that. Of
    /// those beyond nothing is known.
    ///
    /// Groups from left to right: one that holds lets the next be twice as large, one that fails is halved.
    pub(crate) fn find_some_false(&mut self, claims: &[Claim<'_>], most: usize) -> (Vec<usize>, usize) {
        let mut found = Vec::new();
        let mut start = 0;
        let mut size = claims.len();
        // Where a stretch from `start` ends that is known to hold a false claim.
        let mut fails_until = None;
        while start < claims.len() && found.len() < most {
            let end = (start + size).min(fails_until.unwrap_or(claims.len()));
            if fails_until != Some(end) && self.all_hold(&claims[start..end]) {
                start = end;
                size *= 2;
            } else if end - start > 1 {
                fails_until = Some(end);
                size = (end - start) / 2;
            } else {
                found.push(start);
                start = end;
                size = 1;
                fails_until = None;
            }
        }
        (found, start)
    }

    /// A coefficient of 128 bits per claim.
    fn coefficients(&self, claims: &[Claim<'_>]) -> Vec<[u8; 16]> {
        let mut hasher = Sha256::new();
        hasher.update(LABEL);
        hasher.update(self.seed);
        hasher.update((self.messages.len() as u64).to_le_bytes());
        for (message, _) in &self.messages {
            hasher.update((message.len() as u64).to_le_bytes());
            hasher.update(message);
        }
        for claim in claims {
            hasher.update((claim.message.0 as u64).to_le_bytes());
            hasher.update(claim.key.bytes().0);
            hasher.update(claim.signature.bytes().0);
        }
        let statement: [u8; 32] = hasher.finalize().into();
        (0..claims.len() as u64).map(|i| coefficient(&statement, i)).collect()
    }
}

fn coefficient(statement: &[u8; 32], i: u64) -> [u8; 16] {
    let digest: [u8; 32] =
        Sha256::new().chain_update(statement).chain_update(i.to_le_bytes()).finalize().into();
    std::array::from_fn(|byte| digest[byte])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::{G1, G2};
    use crate::scalar::Scalar;
    use proptest::prelude::*;
    use types::{Root, Signature};

    /// Which signatures do not verify, and what it cost to find out.
    fn check_each(
        statements: &[(SigningRoot, PublicKeyPoint, Signature)],
        seed: [u8; 32],
    ) -> (Result<(), Vec<usize>>, Cost) {
        let mut checker = Checker::new(seed);
        let mut bad = Vec::new();
        let mut parsed = Vec::new();
        for (position, (root, key, signature)) in statements.iter().enumerate() {
            match SignaturePoint::parse(signature) {
                Ok(point) if !point.is_infinity() => parsed.push((position, root, key, point)),
                Ok(_) | Err(_) => bad.push(position),
            }
        }
        let claims: Vec<_> = parsed
            .iter()
            .map(|(_, root, key, signature)| Claim {
                message: checker.message(&root.root().0),
                key,
                signature,
            })
            .collect();
        bad.extend(checker.find_false(&claims).into_iter().map(|found| parsed[found].0));
        bad.sort_unstable();
        (if bad.is_empty() { Ok(()) } else { Err(bad) }, checker.cost)
    }

    /// The same over one root.
    fn check_many(
        root: &SigningRoot,
        signatures: &[(PublicKeyPoint, Signature)],
        seed: [u8; 32],
    ) -> Result<(), Vec<usize>> {
        let statements: Vec<_> =
            signatures.iter().map(|(key, signature)| (*root, *key, *signature)).collect();
        check_each(&statements, seed).0
    }

    fn root(n: u8) -> SigningRoot {
        SigningRoot::lock_hash(Root([n; 32]))
    }

    fn signed(root: &SigningRoot, secret: u64) -> (PublicKeyPoint, Signature) {
        let secret = Scalar::from(secret);
        let signature = (hash_to_g2(&root.root().0) * secret).compress();
        (PublicKeyPoint::new(G1::generator() * secret).unwrap(), Signature(signature))
    }

    fn plus(signature: &Signature, error: G2) -> Signature {
        let point = SignaturePoint::parse(signature).unwrap();
        Signature((error + *point.point()).compress())
    }

    #[test]
    fn many_good_signatures_cost_one_check() {
        let statements: Vec<_> = (1..=40)
            .map(|i| {
                let root = root((i % 3) as u8);
                let (key, signature) = signed(&root, i);
                (root, key, signature)
            })
            .collect();
        let (result, cost) = check_each(&statements, [1; 32]);
        assert_eq!(result, Ok(()));
        assert_eq!(cost, Cost { hashes: 3, pairings: 4, checks: 1 });
        assert_eq!(check_many(&root(1), &[], [1; 32]), Ok(()));
    }

    #[test]
    fn infinity_and_bytes_that_are_no_point_are_named_without_a_search() {
        let root = root(1);
        let mut statements: Vec<_> =
            (1..=5).map(|i| signed(&root, i)).map(|(key, signature)| (root, key, signature)).collect();
        statements[1].2 = Signature::INFINITY;
        statements[3].2 = Signature([0x5a; 96]);
        let (result, cost) = check_each(&statements, [1; 32]);
        assert_eq!(result, Err(vec![1, 3]));
        assert_eq!(cost, Cost { hashes: 1, pairings: 2, checks: 1 });
    }

    #[test]
    fn one_bad_signature_is_named_in_logarithmic_cost() {
        let root = root(1);
        let mut signatures: Vec<_> = (1..=64).map(|i| signed(&root, i)).collect();
        signatures[37].1 = plus(&signatures[37].1, G2::generator());
        assert_eq!(check_many(&root, &signatures, [1; 32]), Err(vec![37]));
        let statements: Vec<_> = signatures.iter().map(|(key, signature)| (root, *key, *signature)).collect();
        let (_, cost) = check_each(&statements, [1; 32]);
        assert!(cost.checks <= 1 + 2 * 6, "{cost:?}");
    }

    #[test]
    fn all_bad_signatures_cost_little_more_than_a_check_each() {
        let root = root(1);
        let signatures: Vec<_> = (1..=64)
            .map(|i| signed(&root, i))
            .map(|(key, good)| (root, key, plus(&good, G2::generator())))
            .collect();
        let (result, cost) = check_each(&signatures, [1; 32]);
        assert_eq!(result, Err((0..64).collect()));
        assert!(cost.checks <= 64 + 6, "{cost:?}");
    }

    #[test]
    fn coefficients_differ_with_the_seed_and_with_what_is_checked() {
        let root = root(1);
        let parsed: Vec<_> = (1..=3)
            .map(|i| signed(&root, i))
            .map(|(key, signature)| (key, SignaturePoint::parse(&signature).unwrap()))
            .collect();
        let coefficients = |seed: u8, order: [usize; 2]| {
            let mut checker = Checker::new([seed; 32]);
            let message = checker.message(&root.root().0);
            let claims = order.map(|i| Claim { message, key: &parsed[i].0, signature: &parsed[i].1 });
            checker.coefficients(&claims)
        };
        let first = coefficients(1, [0, 1]);
        assert_ne!(first[0], first[1]);
        assert_eq!(first, coefficients(1, [0, 1]));
        assert_ne!(first, coefficients(2, [0, 1]));
        assert_ne!(
            first[0],
            coefficients(1, [0, 2])[0],
            "another second signature changes the first coefficient"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn exactly_the_bad_ones_are_named(
            kinds in prop::collection::vec(0u8..7, 0..14),
            seed: [u8; 32],
        ) {
            let root = root(9);
            let mut cancel = G2::generator();
            let mut want = Vec::new();
            let mut signatures = Vec::new();
            for (i, kind) in kinds.iter().enumerate() {
                let (key, signature) = signed(&root, i as u64 + 1);
                let signature = match kind {
                    0 => plus(&signature, cancel),
                    1 => signed(&root, 99).1,
                    2 => Signature::INFINITY,
                    3 => Signature([0xff; 96]),
                    _ => signature,
                };
                cancel = -cancel;
                if *kind < 4 {
                    want.push(i);
                }
                signatures.push((key, signature));
            }
            let got = check_many(&root, &signatures, seed).err().unwrap_or_default();
            prop_assert_eq!(got, want);
        }
    }
}
