//! secp256k1 as the cluster files use it: node keys, and signatures that give their signer's key back.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
use std::fmt;
use thiserror::Error;
use types::{Address, NodeSignature, Root};

/// Bytes of a recoverable signature: `r || s || v`.
pub const SIGNATURE_LEN: usize = 65;

/// A node's public key: a compressed point of secp256k1, known to be on the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey([u8; 33]);

impl NodeKey {
    /// Takes a compressed point.
    ///
    /// - Errors: [`KeyError`] if it is none.
    /// - Cost: one square root in the field.
    pub fn new(bytes: [u8; 33]) -> Result<Self, KeyError> {
        VerifyingKey::from_sec1_bytes(&bytes).map(|_| Self(bytes)).map_err(|_| KeyError)
    }

    /// The compressed point.
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }
}

impl NodeKey {
    /// Whether `signature` is this key's over `digest`.
    ///
    /// High `s` does not verify: what is signed has one signature by a key that signs as RFC 6979 says.
    /// Cost: one double scalar multiplication.
    pub fn verifies(&self, digest: Root, signature: &NodeSignature) -> bool {
        let Ok(key) = VerifyingKey::from_sec1_bytes(&self.0) else { return false };
        let Ok(signature) = Signature::from_slice(signature.as_ref()) else { return false };
        signature.normalize_s() == signature && key.verify_prehash(&digest.0, &signature).is_ok()
    }

    /// The execution-layer address of the key: what a signature that gives its signer back gives.
    ///
    /// Cost: one square root in the field, and a hash.
    pub fn address(&self) -> Address {
        let key =
            VerifyingKey::from_sec1_bytes(&self.0).expect("a node's key was read as a point of the curve");
        address(&key)
    }
}

impl From<&VerifyingKey> for NodeKey {
    fn from(key: &VerifyingKey) -> Self {
        let mut bytes = [0; 33];
        bytes.copy_from_slice(key.to_sec1_point(true).as_bytes());
        Self(bytes)
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes are no point of secp256k1.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a compressed point of secp256k1")]
pub struct KeyError;

/// Why a signature gives no key back.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RecoverError {
    /// Not 65 bytes.
    #[error("a signature of {have} bytes, where 65 are wanted")]
    Length {
        /// Bytes found.
        have: usize,
    },
    /// The last byte is not 0, 1, 27 or 28.
    #[error("recovery byte {v}, where 0, 1, 27 or 28 is wanted")]
    RecoveryByte {
        /// The byte.
        v: u8,
    },
    /// No key could have made it.
    #[error("no key can have made this signature")]
    NoKey,
}

/// The key that made `signature` over `digest`.
///
/// - `signature`: `r || s || v`; nodes write `v` as 0 or 1, browser wallets as 27 or 28.
/// - Any well-formed signature gives *some* key: the caller compares it.
/// - Cost: one double scalar multiplication.
pub fn recover(digest: Root, signature: &[u8]) -> Result<VerifyingKey, RecoverError> {
    let (rs, v) = match signature {
        [rs @ .., v] if signature.len() == SIGNATURE_LEN => (rs, *v),
        _ => return Err(RecoverError::Length { have: signature.len() }),
    };
    let parity = match v {
        0 | 27 => false,
        1 | 28 => true,
        _ => return Err(RecoverError::RecoveryByte { v }),
    };
    let rs = Signature::from_slice(rs).map_err(|_| RecoverError::NoKey)?;
    let id = RecoveryId::new(parity, false);
    VerifyingKey::recover_from_prehash(&digest.0, &rs, id).map_err(|_| RecoverError::NoKey)
}

/// The execution-layer address of a key: the last 20 bytes of the Keccak-256 of its coordinates.
pub fn address(key: &VerifyingKey) -> Address {
    let point = key.to_sec1_point(false);
    Address(alloy_primitives::Address::from_raw_public_key(&point.as_bytes()[1..]).into_array())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::{SigningKey, signature::hazmat::PrehashSigner};

    #[test]
    fn a_key_verifies_its_own_low_signature_over_what_it_signed_and_nothing_else() {
        let signer = SigningKey::from_slice(&[7; 32]).unwrap();
        let other = SigningKey::from_slice(&[8; 32]).unwrap();
        let key = NodeKey::from(signer.verifying_key());
        let made: Signature = signer.sign_prehash(&[1; 32]).unwrap();
        let low = made.normalize_s();
        let bytes = |signature: Signature| NodeSignature(signature.to_bytes().into());
        assert!(key.verifies(Root([1; 32]), &bytes(low)));
        assert!(!key.verifies(Root([2; 32]), &bytes(low)));
        assert!(!NodeKey::from(other.verifying_key()).verifies(Root([1; 32]), &bytes(low)));
        let (r, s) = low.split_scalars();
        let high = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
        assert!(!key.verifies(Root([1; 32]), &bytes(high)), "the same signature in its other form");
        assert!(!key.verifies(Root([1; 32]), &NodeSignature([0; 64])));
    }

    #[test]
    fn a_nodes_address_is_the_one_that_its_signatures_give_back() {
        let signer = SigningKey::from_slice(&[7; 32]).unwrap();
        let (signature, id) = signer.sign_prehash_recoverable(&[1; 32]);
        let mut bytes = [0; SIGNATURE_LEN];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = id.to_byte();
        let recovered = recover(Root([1; 32]), &bytes).unwrap();
        assert_eq!(NodeKey::from(signer.verifying_key()).address(), address(&recovered));
    }
}
