//! What the new keys sign before anybody deposits, and what comes of it.

use keys::{NodeHalf, VcHalf};
use types::wire::{Sign, Verify};
use types::{PublicKey, Root, ShareIndex, Signature, SigningRoot, ValidatorNo};

use super::plan::LOCK_SIGNATURE_LEN;

/// A node's signature over the lock hash as it stands in the lock.
pub type LockSignature = [u8; LOCK_SIGNATURE_LEN];

/// The operators' public node keys, as far as a ceremony needs them.
pub trait CeremonyPeers: Verify + Sync {
    /// Whether that is what [`CeremonyKey::sign_lock`] gives with the key of `author`.
    fn verify_lock(&self, author: ShareIndex, lock_hash: &Root, signature: &LockSignature) -> bool;
}

/// An operator's node key, as far as a ceremony needs it.
///
/// Nothing but ceremony statements and the lock hash are signed with it here.
pub trait CeremonyKey: Sign + CeremonyPeers {
    /// `r || s || v` over the lock hash itself (no further hash), `v` 0 or 1; deterministic.
    fn sign_lock(&self, lock_hash: &Root) -> LockSignature;
}

/// A definition, as the ceremony sees it. Pure: the same questions have the same answers at every operator.
pub trait Sealing: Sync {
    /// How many messages each new key signs.
    fn messages(&self) -> usize;
    /// Their signing roots, [`Sealing::messages`] of them: a deposit of each amount, ascending, then the registration.
    fn signing_roots(&self, validator: ValidatorNo, group: &PublicKey) -> Vec<SigningRoot>;
    /// The lock's hash.
    fn lock_hash(&self, validators: &[SealedValidator]) -> Root;
    /// The public files: the lock, deposit data.
    fn documents(&self, lock: &SealedLock) -> Vec<Document>;
}

/// A validator whose key has proved to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValidator {
    /// Its key.
    pub group: PublicKey,
    /// Everybody's public share, in order of operator.
    pub public_shares: Vec<PublicKey>,
    /// By its key, one for each of [`Sealing::signing_roots`].
    pub signatures: Vec<Signature>,
}

/// Everything public that a ceremony makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedLock {
    /// The lock's hash.
    pub lock_hash: Root,
    /// In order.
    pub validators: Vec<SealedValidator>,
    /// The sum of the signatures of all shares of all validators over the lock hash.
    pub signature_aggregate: Signature,
    /// In order of operator.
    pub node_signatures: Vec<LockSignature>,
}

/// A public file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// File name, without a folder.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// This operator's share of one validator, already split.
#[derive(Debug)]
pub struct Halves {
    /// For the validator client's keystore.
    pub vc: VcHalf,
    /// For the node's own store.
    pub node: NodeHalf,
}

/// What must lie on disk before a ceremony is done.
#[derive(Debug)]
pub struct Outcome {
    /// Everything public.
    pub lock: SealedLock,
    /// The files of it.
    pub documents: Vec<Document>,
    /// One for each validator, in order.
    pub halves: Vec<Halves>,
}
