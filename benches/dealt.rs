//! Validators whose secrets everybody knows, and what their operators sign in a slot.

// Each question uses its own part of this module.
#![allow(dead_code)]

use crypto::{G1, G2, Job, PublicKeyPoint, Scalar, SignaturePoint, hash_to_g2};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use types::{Root, ShareIndex, Signature, SigningRoot, Threshold};

/// A validator and the partials of one slot.
pub(crate) struct Dealt {
    pub(crate) root: SigningRoot,
    pub(crate) group_key: PublicKeyPoint,
    pub(crate) public_shares: Vec<PublicKeyPoint>,
    pub(crate) partials: Vec<(ShareIndex, Signature)>,
    pub(crate) threshold: Threshold,
}

/// An operator.
pub(crate) fn share(index: u8) -> ShareIndex {
    ShareIndex::new(index).expect("an operator's number")
}

/// A slot's signing root; another for each committee before Electra.
pub(crate) fn root(number: usize) -> SigningRoot {
    SigningRoot::compute(Root([u8::try_from(number).expect("few roots"); 32]), Root([7; 32]))
}

/// Validators that attest in one slot, `t` of `n`, everybody's partials good, over `roots` roots by turns.
pub(crate) fn slot(attesters: usize, (t, n): (u8, u8), roots: usize) -> Vec<Dealt> {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let points: Vec<_> = (0..roots).map(|number| hash_to_g2(&root(number).root().0)).collect();
    (0..attesters)
        .map(|no| {
            let coefficients: Vec<_> = (0..t).map(|_| scalar(&mut random)).collect();
            let at = |x: u8| {
                let x = Scalar::from(u64::from(x));
                coefficients.iter().rev().fold(Scalar::ZERO, |sum, one| sum * x + *one)
            };
            let key = |secret: Scalar| PublicKeyPoint::new(G1::generator() * secret).expect("not infinity");
            let signed = |secret: Scalar| Signature((points[no % roots] * secret).compress());
            Dealt {
                root: root(no % roots),
                group_key: key(at(0)),
                public_shares: (1..=n).map(|i| key(at(i))).collect(),
                partials: (1..=n).map(|i| (share(i), signed(at(i)))).collect(),
                threshold: Threshold(t),
            }
        })
        .collect()
}

impl Dealt {
    /// As the slot check takes it.
    pub(crate) fn job(&self) -> Job<'_> {
        Job {
            root: self.root,
            group_key: &self.group_key,
            public_shares: &self.public_shares,
            threshold: self.threshold,
            partials: &self.partials,
            own: None,
        }
    }

    /// Makes an operator's partial bad, in a way that only a pairing can tell.
    pub(crate) fn spoil(&mut self, operator: u8) {
        let bytes = &mut self.partials[usize::from(operator) - 1].1;
        let good = SignaturePoint::parse(bytes).expect("a good partial");
        *bytes = Signature((G2::generator() + *good.point()).compress());
    }
}

fn scalar(random: &mut ChaCha20Rng) -> Scalar {
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    bytes[0] &= 0x0f;
    Scalar::from_be_bytes(&bytes).expect("2^252 is below the order")
}
