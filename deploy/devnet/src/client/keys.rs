//! The keys a validator client signs with: EIP-2335 keystores in a folder, each beside its password.

use keys::VcHalf;
use keys::keystore::{DecryptError, Keystore, ParseError};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use types::PublicKey;

/// Most keystores read from a folder: more than any devnet has validators.
const KEYSTORES_MAX: usize = 10_000;

/// Why a folder gives no keys.
#[derive(Debug, Error)]
pub enum KeysError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is no keystore.
    #[error("{}: {source}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: ParseError,
    },
    /// A keystore does not open.
    #[error("{}: {source}", path.display())]
    Decrypt {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: Box<DecryptError>,
    },
    /// Two keystores hold one key: that is how validators are slashed.
    #[error("two keystores hold {0}")]
    Twice(PublicKey),
    /// No keystore at all, or more than are read.
    #[error("{} holds {count} keystores, 1 to {KEYSTORES_MAX} are read", path.display())]
    Count {
        /// The folder.
        path: PathBuf,
        /// How many.
        count: usize,
    },
}

/// Reads `keystore-*.json` of a folder, each with its password from the `.txt` of the same name.
///
/// - Returns the secrets by their public keys. Each may be a half or a whole key: a validator client cannot tell.
/// - Cost: one key derivation per file, about 0.1 s each for PBKDF2 as the EIP has it.
pub fn read_folder(folder: &Path) -> Result<BTreeMap<PublicKey, VcHalf>, KeysError> {
    let read_error = |source| KeysError::Read { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(read_error)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(read_error)?.path();
        paths.extend(is_keystore(&path).then_some(path));
    }
    let count = paths.len();
    if count == 0 || count > KEYSTORES_MAX {
        return Err(KeysError::Count { path: folder.to_owned(), count });
    }
    paths.sort();
    let mut halves = BTreeMap::new();
    for path in paths {
        let half = open(&path)?;
        let key = half.public();
        if halves.insert(key, half).is_some() {
            return Err(KeysError::Twice(key));
        }
    }
    Ok(halves)
}

fn is_keystore(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("keystore-") && name.ends_with(".json")
}

fn open(path: &Path) -> Result<VcHalf, KeysError> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|source| KeysError::Read { path: path.to_owned(), source });
    let json = read(path)?;
    let keystore =
        Keystore::parse(&json).map_err(|source| KeysError::Parse { path: path.to_owned(), source })?;
    let mut password = read(&path.with_extension("txt"))?;
    // Editors end files with a line end; it is no part of a password (EIP-2335 strips control codes anyway).
    while password.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        password.pop();
    }
    let password = String::from_utf8(password).map_err(|_| KeysError::Read {
        path: path.with_extension("txt"),
        source: io::Error::new(io::ErrorKind::InvalidData, "a password that is not UTF-8"),
    })?;
    let opened = keystore.decrypt_half(&SecretString::from(password));
    opened.map_err(|source| KeysError::Decrypt { path: path.to_owned(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::derive::derive_master;
    use keys::keystore::EncryptOptions;
    use rand_core::OsRng;

    fn write(folder: &Path, number: usize, seed: u8) -> PublicKey {
        let half = derive_master(&[seed; 32]).unwrap().into_imported_half();
        let options = EncryptOptions { rounds: 1, ..EncryptOptions::default() };
        let keystore = Keystore::encrypt(&half, &SecretString::from("correct horse"), options, &mut OsRng);
        std::fs::write(folder.join(format!("keystore-{number}.json")), keystore.to_json()).unwrap();
        std::fs::write(folder.join(format!("keystore-{number}.txt")), "correct horse\n").unwrap();
        half.public()
    }

    #[test]
    fn every_keystore_of_a_folder_is_opened_with_its_password() {
        let folder = tempfile::tempdir().unwrap();
        let keys = [1, 2].map(|seed| write(folder.path(), usize::from(seed), seed));
        let read = read_folder(folder.path()).unwrap();
        assert!(keys.iter().all(|key| read.contains_key(key)) && read.len() == 2);
    }

    #[test]
    fn a_key_that_lies_there_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 0, 1);
        write(folder.path(), 1, 1);
        assert!(matches!(read_folder(folder.path()), Err(KeysError::Twice(_))));
    }

    #[test]
    fn an_empty_folder_and_a_wrong_password_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_folder(folder.path()), Err(KeysError::Count { count: 0, .. })));
        write(folder.path(), 0, 1);
        std::fs::write(folder.path().join("keystore-0.txt"), "wrong").unwrap();
        let error = read_folder(folder.path()).unwrap_err();
        let KeysError::Decrypt { source, .. } = error else { panic!("{error}") };
        assert_eq!(*source, DecryptError::WrongPassword);
    }
}
