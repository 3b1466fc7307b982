//! BLS keys from seeds: the tree of EIP-2333.

use crate::share::SecretShare;
use blst::min_pk::SecretKey;
use thiserror::Error;
use zeroize::Zeroizing;

/// Shortest seed that EIP-2333 takes, in bytes.
pub const SEED_LEN_MIN: usize = 32;

/// The seed is shorter than [`SEED_LEN_MIN`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a seed of {have} bytes, at least {SEED_LEN_MIN} are needed")]
pub struct SeedError {
    /// Bytes found.
    pub have: usize,
}

/// `derive_master_SK` of EIP-2333.
///
/// - `seed`: at least 32 bytes with 256 bits of entropy.
/// - Errors: [`SeedError`].
pub fn derive_master(seed: &[u8]) -> Result<SecretShare, SeedError> {
    let master = SecretKey::derive_master_eip2333(seed).map_err(|_| SeedError { have: seed.len() })?;
    Ok(share_of(&master))
}

/// `derive_child_SK` of EIP-2333.
///
/// - `index`: any; the tree has no hardened half.
pub fn derive_child(parent: &SecretShare, index: u32) -> SecretShare {
    let parent = SecretKey::from_bytes(&parent.to_be_bytes()).expect("a share is a secret key");
    share_of(&parent.derive_child_eip2333(index))
}

fn share_of(key: &SecretKey) -> SecretShare {
    let bytes = Zeroizing::new(key.to_bytes());
    SecretShare::from_be_bytes(bytes.as_slice()).expect("EIP-2333 derives no zero and reduces mod r")
}
