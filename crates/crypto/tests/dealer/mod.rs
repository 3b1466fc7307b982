//! A dealer of test keys: polynomials of public scalars, and what their shares sign.

// Each test binary uses its own part of this module.
#![allow(dead_code)]

use crypto::{G1, PublicKeyPoint, Scalar, hash_to_g2};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use types::{Root, ShareIndex, Signature, SigningRoot, Threshold};

/// A share's index.
pub(crate) fn share(index: u8) -> ShareIndex {
    ShareIndex::new(index).unwrap()
}

/// A signing root.
pub(crate) fn root(n: u8) -> SigningRoot {
    SigningRoot::lock_hash(Root([n; 32]))
}

/// A scalar times the hash of a message.
pub(crate) fn sign(secret: Scalar, message: &[u8]) -> Signature {
    Signature((hash_to_g2(message) * secret).compress())
}

/// A validator whose secrets everybody knows.
pub(crate) struct Dealt {
    pub(crate) threshold: Threshold,
    pub(crate) secret: Scalar,
    pub(crate) shares: Vec<Scalar>,
    pub(crate) group_key: PublicKeyPoint,
    pub(crate) public_shares: Vec<PublicKeyPoint>,
}

impl Dealt {
    /// `t` of `n`, from a seed.
    pub(crate) fn new(n: u8, t: u8, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let coefficients: Vec<_> = (0..t).map(|_| random(&mut rng)).collect();
        let at = |x: u8| {
            let x = Scalar::from(u64::from(x));
            coefficients.iter().rev().fold(Scalar::ZERO, |sum, coefficient| sum * x + *coefficient)
        };
        let shares: Vec<_> = (1..=n).map(at).collect();
        Self {
            threshold: Threshold(t),
            secret: at(0),
            group_key: key(at(0)),
            public_shares: shares.iter().map(|share| key(*share)).collect(),
            shares,
        }
    }

    /// An operator's partial signature.
    pub(crate) fn partial(&self, index: u8, root: &SigningRoot) -> (ShareIndex, Signature) {
        (share(index), sign(self.shares[usize::from(index) - 1], &root.root().0))
    }

    /// The partial signatures of these operators.
    pub(crate) fn partials(&self, indices: &[u8], root: &SigningRoot) -> Vec<(ShareIndex, Signature)> {
        indices.iter().map(|index| self.partial(*index, root)).collect()
    }

    /// What the whole key would sign.
    pub(crate) fn whole(&self, root: &SigningRoot) -> Signature {
        sign(self.secret, &root.root().0)
    }
}

/// A secret's public key.
pub(crate) fn key(secret: Scalar) -> PublicKeyPoint {
    PublicKeyPoint::new(G1::generator() * secret).unwrap()
}

/// A scalar below `2^252`.
pub(crate) fn random(rng: &mut ChaCha20Rng) -> Scalar {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes[0] &= 0x0f;
    Scalar::from_be_bytes(&bytes).unwrap()
}
