//! The coordinator's own key: it signs heads and observations, and can move nothing.
//!
//! Whoever steals it can tell lies that anybody finds who replays the log or asks the chain; governance replaces it
//! ([`crate::ledger::governance::Act::RotateCoordinator`]). It is an Ethereum wallet's key, so that everybody can check what it signs.

use crate::request::WalletSignature;
use k256::ecdsa::SigningKey;
use rand_core::{CryptoRng, RngCore};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;
use types::{Address, Root};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The key file's name in a coordinator's folder.
pub const KEY_FILE: &str = "coordinator-key";

/// Longest key file: 64 digits after `0x`, and some white space of an editor.
const FILE_LEN_MAX: u64 = 128;
/// Draws before a source of randomness is given up: one draw in 2^127 is unusable.
const DRAWS_MAX: usize = 8;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error("{path} has mode {mode:o}: it is a key, make it 600")]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// No key in it.
    #[error("{0} holds no key: 64 hex digits are expected, of a number of secp256k1")]
    NotAKey(PathBuf),
}

/// The key.
///
/// # Security
/// One heap cell, wiped when dropped; never cloned; prints as `<redacted>`.
pub struct CoordinatorKey(Box<SigningKey>);

impl fmt::Debug for CoordinatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoordinatorKey(<redacted>)")
    }
}

impl ZeroizeOnDrop for CoordinatorKey {}

impl CoordinatorKey {
    /// Reads the key file of a folder. Errors: [`KeyError`]; a file that others may read is refused.
    pub fn load(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(KEY_FILE);
        let failed = |source| KeyError::File { path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path, mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(FILE_LEN_MAX as usize));
        file.take(FILE_LEN_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text).ok_or(KeyError::NotAKey(path))
    }

    /// Reads the key file of a folder, or makes a fresh key and its file, durable and for the owner only.
    pub fn load_or_create(folder: &Path, rng: &mut (impl RngCore + CryptoRng)) -> Result<Self, KeyError> {
        let path = folder.join(KEY_FILE);
        let failed = |source| KeyError::File { path: path.clone(), source };
        match path.symlink_metadata() {
            Ok(_) => return Self::load(folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let key = Self::generate(rng);
        let digits = Zeroizing::new(hex::encode(Zeroizing::new(<[u8; 32]>::from(key.0.to_bytes()))));
        let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = open.map_err(failed)?;
        file.write_all(digits.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(key)
    }

    /// A fresh key. Panics if `rng` is broken: eight draws in a row unusable.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        for _ in 0..DRAWS_MAX {
            rng.fill_bytes(bytes.as_mut_slice());
            if let Ok(key) = SigningKey::from_slice(bytes.as_slice()) {
                return Self(Box::new(key));
            }
        }
        panic!("the source of randomness is broken: it drew {DRAWS_MAX} unusable keys in a row")
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, bytes.as_mut_slice()).ok()?;
        SigningKey::from_slice(bytes.as_slice()).ok().map(|key| Self(Box::new(key)))
    }

    /// The address that everybody knows it by.
    pub fn address(&self) -> Address {
        cluster::k1::address(self.0.verifying_key())
    }

    /// Signs a digest as wallets do: RFC 6979, low `s`, `v` 27 or 28.
    pub fn sign(&self, digest: Root) -> WalletSignature {
        let (signature, id) = self.0.sign_prehash_recoverable(&digest.0);
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + u8::from(id.is_y_odd());
        WalletSignature::new(bytes).expect("k256 signs with a low s, and v is one of two")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::OsRng;

    #[test]
    fn the_key_is_there_again_and_signs_as_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
        let again = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
        assert_eq!(again.address(), key.address());
        let digest = Root([7; 32]);
        assert_eq!(key.sign(digest).signer(digest), Ok(key.address()));
        assert_eq!(format!("{key:?}"), "CoordinatorKey(<redacted>)");
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY_FILE);
        assert!(matches!(CoordinatorKey::load(folder.path()), Err(KeyError::File { .. })));
        std::fs::write(&path, "11".repeat(32)).unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o640);
        assert!(matches!(CoordinatorKey::load(folder.path()), Err(KeyError::Open { mode: 0o640, .. })));
        mode(0o600);
        CoordinatorKey::load(folder.path()).unwrap();
        let zeros = "00".repeat(32);
        for text in ["", "11", zeros.as_str(), "zz", "\u{e9}"] {
            std::fs::write(&path, text).unwrap();
            let error = CoordinatorKey::load(folder.path()).unwrap_err();
            assert!(matches!(error, KeyError::NotAKey(_)), "{text}: {error}");
        }
    }
}
