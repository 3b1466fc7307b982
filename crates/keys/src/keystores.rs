//! A folder of EIP-2335 keystores, as ceremonies write them and validator clients read them.
//!
//! `keystore-*.json`, each beside its password in the `.txt` of the same name, or all under one password as the deposit
//! CLI leaves them. Names sort by their numbers: `keystore-2` comes before `keystore-10`.

use crate::files::{NewFile, SECRET, WriteError, write_new_folder};
use crate::keystore::{
    DecryptError, EncryptOptions, KEYSTORE_LEN_MAX, Keystore, KeystoreSecret, ParseError, RANDOM_PASSWORD_LEN,
};
use crate::secret_file::{self, PASSWORD_FILE_LEN_MAX, ReadError};
use crate::share::SecretShare;
use crypto::cores;
use rand_core::OsRng;
use secrecy::{ExposeSecret as _, SecretString};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use types::PublicKey;
use zeroize::Zeroizing;

/// Most keystores read from a folder: as many validators as one cluster is built for.
pub const KEYSTORES_MAX: usize = 10_000;

/// Memory that all derivations of a folder may take at once, in bytes: four of the EIP's scrypt example.
const MEMORY_MAX: u64 = 1 << 30;

/// Why a folder gives no keys.
#[derive(Debug, Error)]
pub enum KeystoresError {
    /// A folder cannot be read, or what is in it is no text.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A keystore or its password cannot be read, or is too long.
    #[error(transparent)]
    File(#[from] ReadError),
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
    #[error("{} and {} hold the same key {key}", first.display(), second.display())]
    Twice {
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What both hold.
        key: PublicKey,
    },
    /// No keystore at all, or more than are read.
    #[error(
        "{} holds {count} files keystore-*.json, 1 to {KEYSTORES_MAX} are read, each with its password in a .txt of the \
         same name",
        path.display()
    )]
    Count {
        /// The folder.
        path: PathBuf,
        /// How many.
        count: usize,
    },
}

/// Where the passwords of a folder's keystores are.
#[derive(Debug)]
pub enum Passwords {
    /// Each in the `.txt` of the same name.
    Beside,
    /// One for all.
    One(SecretString),
}

/// A keystore that was opened.
#[derive(Debug)]
pub struct OpenedKeystore {
    /// Its file.
    pub path: PathBuf,
    /// The file's text.
    pub json: String,
    /// What opened it.
    pub password: SecretString,
    /// What it holds: a whole key, a share or a client's half. The file cannot tell.
    pub secret: SecretShare,
}

/// A keystore that was made, and the password that opens it.
#[derive(Debug)]
pub struct SealedKeystore {
    /// The public key of what it holds.
    pub key: PublicKey,
    /// The file's text.
    pub json: String,
    /// Random.
    pub password: SecretString,
}

/// A keystore that was read and not opened.
struct LockedKeystore {
    path: PathBuf,
    json: String,
    keystore: Keystore,
    password: SecretString,
}

/// Opens every keystore of a folder.
///
/// - Returns them in the order of their names, numbers by value. No two hold one key.
/// - Errors: [`KeystoresError`]; of several bad files the first is named.
/// - Cost: one key derivation a file, about 0.1 s each for PBKDF2 as the EIP has it, on all cores.
pub fn read_folder(folder: &Path, passwords: &Passwords) -> Result<Vec<OpenedKeystore>, KeystoresError> {
    let locked = read_locked(folder, passwords)?;
    let memory = locked.iter().map(|one| one.keystore.memory()).max().unwrap_or_default();
    let threads = usize::try_from(MEMORY_MAX / memory.max(1)).unwrap_or(usize::MAX);
    let opened = cores::map_on(threads, &locked, |one| one.keystore.decrypt(&one.password));
    let mut keystores: Vec<OpenedKeystore> = Vec::with_capacity(locked.len());
    for (LockedKeystore { path, json, password, .. }, secret) in locked.into_iter().zip(opened) {
        match secret {
            Ok(secret) => keystores.push(OpenedKeystore { path, json, password, secret }),
            Err(source) => return Err(KeystoresError::Decrypt { path, source: Box::new(source) }),
        }
    }
    let mut sorted: Vec<(PublicKey, &Path)> =
        keystores.iter().map(|one| (one.secret.public(), one.path.as_path())).collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => {
            let [first, second] = [pair[0].1.to_owned(), pair[1].1.to_owned()];
            Err(KeystoresError::Twice { first, second, key: pair[0].0 })
        }
        None => Ok(keystores),
    }
}

fn read_locked(folder: &Path, passwords: &Passwords) -> Result<Vec<LockedKeystore>, KeystoresError> {
    let read_error = |source| KeystoresError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        paths.extend(is_keystore(&path).then_some(path));
    }
    let count = paths.len();
    if count == 0 || count > KEYSTORES_MAX {
        return Err(KeystoresError::Count { path: folder.to_owned(), count });
    }
    paths.sort_by_cached_key(|path| natural(name(path)));
    paths.into_iter().map(|path| lock_of(path, passwords)).collect()
}

/// Encrypts secrets, each under a random password of its own, which needs no slow derivation.
///
/// - Cost: 1,000 PBKDF2 rounds a secret, about 0.2 ms, on all cores.
pub fn seal<S: KeystoreSecret + Sync>(secrets: &[S]) -> Vec<SealedKeystore> {
    cores::map(secrets, |secret| {
        let password = secret_file::random_hex(RANDOM_PASSWORD_LEN);
        let options = EncryptOptions::of_random_password();
        let keystore = Keystore::encrypt(secret, &password, options, &mut OsRng);
        SealedKeystore { key: secret.public_key(), json: keystore.to_json(), password }
    })
}

/// Writes secrets to a new folder: `keystore-<i>.json` and `.txt`, random passwords, for the owner only.
///
/// - All files are there, or none; nothing is overwritten.
/// - Cost: as of [`seal`], and of [`write_new_folder`].
pub fn write_folder<S: KeystoreSecret + Sync>(path: &Path, secrets: &[S]) -> Result<(), WriteError> {
    write_folder_with(path, secrets, Vec::new())
}

/// The same with further files beside the keystores.
pub fn write_folder_with<S: KeystoreSecret + Sync>(
    path: &Path,
    secrets: &[S],
    mut files: Vec<NewFile>,
) -> Result<(), WriteError> {
    for (number, sealed) in seal(secrets).into_iter().enumerate() {
        files.push((format!("keystore-{number}.json"), sealed.json.into_bytes().into(), SECRET));
        let password = sealed.password.expose_secret().as_bytes().to_vec().into();
        files.push((format!("keystore-{number}.txt"), password, SECRET));
    }
    write_new_folder(path, &files)
}

fn lock_of(path: PathBuf, passwords: &Passwords) -> Result<LockedKeystore, KeystoresError> {
    let json = read(&path, KEYSTORE_LEN_MAX + 1)?;
    let keystore =
        Keystore::parse(&json).map_err(|source| KeystoresError::Parse { path: path.clone(), source })?;
    let json = String::from_utf8(json.to_vec()).map_err(|_| not_text(&path))?;
    let password = match passwords {
        Passwords::One(password) => password.clone(),
        Passwords::Beside => password_of(&path.with_extension("txt"))?,
    };
    Ok(LockedKeystore { path, json, keystore, password })
}

fn password_of(path: &Path) -> Result<SecretString, KeystoresError> {
    let bytes = read(path, PASSWORD_FILE_LEN_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not_text(path))?;
    // Editors end files with a line end; it is no part of a password (EIP-2335 strips control codes anyway).
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// Whoever may read it: keystores are often another's, on a disk that is not ours.
fn read(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, KeystoresError> {
    Ok(secret_file::read_any(path, max)?.0)
}

fn not_text(path: &Path) -> KeystoresError {
    let source = io::Error::new(io::ErrorKind::InvalidData, "not text in UTF-8");
    KeystoresError::Read { path: path.to_owned(), source }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn is_keystore(path: &Path) -> bool {
    name(path).starts_with("keystore-") && name(path).ends_with(".json")
}

/// A name in pieces that sort as people count: runs of digits by their value, then the rest by its letters.
fn natural(name: &str) -> Vec<(u128, String)> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let word = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, from) = rest.split_at(word);
        let digits = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(digits);
        pieces.push((0, text.to_owned()));
        pieces.push((number.parse().unwrap_or(u128::MAX), number.to_owned()));
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::derive_master;

    fn write(folder: &Path, number: usize, seed: u8) -> PublicKey {
        let secret = derive_master(&[seed; 32]).unwrap();
        let options = EncryptOptions { rounds: 1, ..EncryptOptions::default() };
        let keystore = Keystore::encrypt(&secret, &SecretString::from("correct horse"), options, &mut OsRng);
        std::fs::write(folder.join(format!("keystore-{number}.json")), keystore.to_json()).unwrap();
        std::fs::write(folder.join(format!("keystore-{number}.txt")), "correct horse\n").unwrap();
        secret.public()
    }

    #[test]
    fn every_keystore_of_a_folder_is_opened_in_the_order_of_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<_> =
            [10, 2, 0, 1].map(|number| (number, write(folder.path(), number, 1 + number as u8))).into();
        let read = read_folder(folder.path(), &Passwords::Beside).unwrap();
        let public = |wanted| keys.iter().find(|(number, _)| *number == wanted).unwrap().1;
        let found: Vec<_> = read.iter().map(|one| one.secret.public()).collect();
        assert_eq!(found, [0, 1, 2, 10].map(public));
    }

    #[test]
    fn one_password_may_be_for_all() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 0, 1);
        std::fs::remove_file(folder.path().join("keystore-0.txt")).unwrap();
        let error = read_folder(folder.path(), &Passwords::Beside).unwrap_err();
        assert!(error.to_string().contains("keystore-0.txt"), "{error}");
        let one = Passwords::One(SecretString::from("correct horse"));
        assert_eq!(read_folder(folder.path(), &one).unwrap().len(), 1);
    }

    #[test]
    fn a_key_that_lies_there_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 0, 1);
        write(folder.path(), 1, 1);
        let error = read_folder(folder.path(), &Passwords::Beside).unwrap_err();
        assert!(matches!(error, KeystoresError::Twice { .. }), "{error}");
    }

    #[test]
    fn an_empty_folder_and_a_wrong_password_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let read = || read_folder(folder.path(), &Passwords::Beside);
        assert!(matches!(read(), Err(KeystoresError::Count { count: 0, .. })));
        write(folder.path(), 0, 1);
        std::fs::write(folder.path().join("keystore-0.txt"), "wrong").unwrap();
        let error = read().unwrap_err();
        let KeystoresError::Decrypt { source, .. } = error else { panic!("{error}") };
        assert_eq!(*source, DecryptError::WrongPassword);
    }

    #[test]
    fn what_is_written_is_read_back_and_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("validator_keys");
        let secrets = [1, 2, 3].map(|seed| derive_master(&[seed; 32]).unwrap());
        write_folder(&path, &secrets).unwrap();
        let read = read_folder(&path, &Passwords::Beside).unwrap();
        assert!(read.iter().zip(&secrets).all(|(one, secret)| one.secret.public() == secret.public()));
        for entry in std::fs::read_dir(&path).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o400);
        }
        assert!(matches!(write_folder(&path, &secrets), Err(WriteError::Exists(_))));
    }
}
