//! Signatures in the jar: a trait that the chain checks with, and a symbolic scheme for many seeds.
//!
//! Symbolic signatures are hashes of (key, root): deterministic and unique like BLS signatures, and as good as
//! unforgeable here, because a villain is only given its own shares. A run over them exercises every rule of the
//! protocol at a thousandth of the cost; scenario tests and the devnet run over real curves.

use sha2::{Digest, Sha256};
use types::{PublicKey, ShareIndex, Signature, SigningRoot, ValidatorNo};

/// What a chain needs of a signature scheme.
pub trait Curve {
    /// Whether a signature is by a key over a root.
    fn verify(&self, key: &PublicKey, root: &SigningRoot, signature: &Signature) -> bool;
    /// Adds signatures up; `None` if one of them is no signature, or there are none.
    fn aggregate(&self, signatures: &[Signature]) -> Option<Signature>;
    /// Whether a sum of signatures over one root is by all these keys.
    fn verify_aggregate(&self, keys: &[PublicKey], root: &SigningRoot, signature: &Signature) -> bool;
}

/// The symbolic scheme.
#[derive(Clone, Copy, Debug, Default)]
pub struct Symbolic;

fn expand<const N: usize>(label: &[u8], parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    for (counter, chunk) in bytes.chunks_mut(32).enumerate() {
        let mut hasher = Sha256::new();
        hasher.update(label);
        hasher.update([counter as u8]);
        parts.iter().for_each(|part| hasher.update(part));
        chunk.copy_from_slice(&hasher.finalize()[..chunk.len()]);
    }
    bytes
}

impl Symbolic {
    /// A validator's key.
    pub fn group_key(self, validator: ValidatorNo) -> PublicKey {
        PublicKey(expand(b"group", &[&validator.0.to_le_bytes()]))
    }

    /// The key of an operator's share of it.
    pub fn share_key(self, validator: ValidatorNo, operator: ShareIndex) -> PublicKey {
        PublicKey(expand(b"share", &[&validator.0.to_le_bytes(), &[operator.get()]]))
    }

    /// The key of the validator client's half of a share.
    pub fn half_key(self, validator: ValidatorNo, operator: ShareIndex) -> PublicKey {
        PublicKey(expand(b"half", &[&validator.0.to_le_bytes(), &[operator.get()]]))
    }

    /// A key's signature over a root.
    pub fn sign(self, key: &PublicKey, root: &SigningRoot) -> Signature {
        self.sign_bytes(key, root.as_ref())
    }

    /// A key's signature over a root's bytes.
    pub fn sign_bytes(self, key: &PublicKey, root: &[u8]) -> Signature {
        Signature(expand(b"signature", &[key.as_ref(), root]))
    }
}

impl Curve for Symbolic {
    fn verify(&self, key: &PublicKey, root: &SigningRoot, signature: &Signature) -> bool {
        self.sign(key, root) == *signature
    }

    fn aggregate(&self, signatures: &[Signature]) -> Option<Signature> {
        let sum = signatures.iter().fold([0; 96], |mut sum, signature| {
            // Not XOR: a member with two seats signs twice, and that must not cancel.
            sum.iter_mut().zip(signature.0).for_each(|(sum, byte)| *sum = u8::wrapping_add(*sum, byte));
            sum
        });
        (!signatures.is_empty()).then_some(Signature(sum))
    }

    fn verify_aggregate(&self, keys: &[PublicKey], root: &SigningRoot, signature: &Signature) -> bool {
        let signatures: Vec<_> = keys.iter().map(|key| self.sign(key, root)).collect();
        self.aggregate(&signatures) == Some(*signature)
    }
}
