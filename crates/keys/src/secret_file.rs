//! Files that hold secrets: written whole and once, never overwritten, readable by their owner only.

use crate::files::{folder_of, write_synced};
use rand_core::{OsRng, RngCore};
use secrecy::SecretString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Read and write for the owner, nothing for anybody else.
const OWNER_ONLY: u32 = 0o600;

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// No password file is longer: a password is one line.
pub const PASSWORD_FILE_LEN_MAX: usize = 4096;

/// Why a secret file was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Secrets are never overwritten.
    #[error("{path} exists already, and a file with a secret is never overwritten")]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// The path names no file.
    #[error("{path} is not a file name")]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// The disk said no.
    #[error("cannot write {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a secret file was not replaced, or not for certain.
#[derive(Debug, Error)]
pub enum ReplaceError {
    /// Nothing has changed.
    #[error(transparent)]
    Before(WriteError),
    /// The new file is there, and its name may not survive a power cut.
    #[error("{path} is replaced, but its folder could not be synced: {source}")]
    After {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a secret file was not read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Others than its owner may read or write it.
    #[error("{path} has mode {mode:03o} and is open to others than its owner; run: chmod 600 {path}")]
    OpenToOthers {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Longer than anything this file may hold.
    #[error("{path} is longer than {max} bytes")]
    TooLong {
        /// Which.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// A password that is no text, or none at all.
    #[error("{path} is not a password in UTF-8")]
    NotAPassword {
        /// Which.
        path: PathBuf,
    },
    /// The disk said no.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes a new file with mode 0600 and makes it durable, whole or not at all.
///
/// - The bytes go to a temporary file beside it (`.NAME.HEX.tmp`, `O_EXCL`), are synced, and the file gets its name by
///   a hard link, which fails where a file exists; then the folder is synced.
/// - Errors: [`WriteError::Exists`], and nothing is changed; [`WriteError::Io`], and the file may be there or not, but
///   never in part.
/// - A crash in between may leave the temporary file, as private as the other.
pub fn write_new_secret(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let temporary = temporary_beside(path)?;
    if path.symlink_metadata().is_ok() {
        return Err(WriteError::Exists { path: path.to_owned() });
    }
    let written = write_synced(&temporary, bytes, OWNER_ONLY).and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(WriteError::Exists { path: path.to_owned() });
        }
        other => other.map_err(failed)?,
    }
    removed.map_err(failed)?;
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Reads a file that only its owner may read, into memory that is wiped when dropped.
///
/// - `max`: longest file that makes sense here, in bytes.
/// - Errors: [`ReadError`]. The permissions are those of the opened file, not of what the name pointed to before.
pub fn read_secret(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    match read_any(path, max)? {
        (bytes, None) => Ok(bytes),
        (_, Some(mode)) => Err(ReadError::OpenToOthers { path: path.to_owned(), mode }),
    }
}

/// Reads a secret file whoever may read it: one that is not ours, on a disk that may not be writable.
///
/// - Returns its permission bits too if others than its owner may read or write it: whoever calls says so.
pub fn read_any(path: &Path, max: usize) -> Result<(Zeroizing<Vec<u8>>, Option<u32>), ReadError> {
    let failed = |source| ReadError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    // One allocation: a vector that grows would leave copies behind.
    let mut bytes = Zeroizing::new(vec![0; max + 1]);
    let len = fill(file, &mut bytes).map_err(failed)?;
    if len > max {
        return Err(ReadError::TooLong { path: path.to_owned(), max });
    }
    bytes.truncate(len);
    Ok((bytes, (mode & OTHERS != 0).then_some(mode)))
}

/// Reads a password file: its text without the line end.
///
/// - Errors: [`ReadError`]; an empty password is refused.
pub fn read_password(path: &Path) -> Result<SecretString, ReadError> {
    let bytes = read_secret(path, PASSWORD_FILE_LEN_MAX)?;
    let text = std::str::from_utf8(&bytes).ok().map(|text| text.trim_end_matches(['\r', '\n']));
    match text {
        Some(text) if !text.is_empty() => Ok(SecretString::from(text)),
        _ => Err(ReadError::NotAPassword { path: path.to_owned() }),
    }
}

/// Fresh randomness of the operating system as hex digits: a password that needs no slow derivation from 16 bytes on.
pub fn random_hex(len: usize) -> SecretString {
    let mut bytes = Zeroizing::new(vec![0; len]);
    OsRng.fill_bytes(&mut bytes);
    SecretString::from(Zeroizing::new(hex::encode(&*bytes)).as_str())
}

fn fill(mut file: File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Puts a file with a secret in the place of an older one: at every moment one of them is there, whole.
///
/// - Errors: [`ReplaceError::Before`], and the old file is as it was; [`ReplaceError::After`], and the new one is in its
///   place, but a power cut might bring the old one back. A name that is a link is refused.
/// - The old content is overwritten as far as the disk lets it, unless it has another name: then it is a backup.
pub fn replace_secret(path: &Path, bytes: &[u8]) -> Result<(), ReplaceError> {
    let before = |source| ReplaceError::Before(WriteError::Io { path: path.to_owned(), source });
    let temporary = temporary_beside(path).map_err(ReplaceError::Before)?;
    if !path.symlink_metadata().map_err(before)?.is_file() {
        return Err(ReplaceError::Before(WriteError::NotAFile { path: path.to_owned() }));
    }
    // A file that its owner may only read is replaced all the same; it is not overwritten then.
    let old = OpenOptions::new().write(true).open(path).ok();
    let written = write_synced(&temporary, bytes, OWNER_ONLY).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // It never got its name; the error that is reported is why.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(before)?;
    let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|source| ReplaceError::After { path: path.to_owned(), source })?;
    // Beyond the promise: a disk may have kept copies anyway, and what is left is encrypted.
    let _ = old.map(overwrite);
    Ok(())
}

/// Zeros in the place of what is there, if no name leads to it any more.
fn overwrite(mut file: File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.nlink() == 0 {
        io::copy(&mut io::repeat(0).take(metadata.len()), &mut file)?;
        file.sync_all()?;
    }
    Ok(())
}

fn temporary_beside(path: &Path) -> Result<PathBuf, WriteError> {
    let name = path.file_name().ok_or_else(|| WriteError::NotAFile { path: path.to_owned() })?;
    let mut suffix = [0; 8];
    OsRng.fill_bytes(&mut suffix);
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", hex::encode(suffix)));
    Ok(folder_of(path).join(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_written_is_private_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new_secret(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_secret(&path, 6).unwrap().as_slice(), b"secret");
        assert!(matches!(read_secret(&path, 5), Err(ReadError::TooLong { max: 5, .. })));
        assert_eq!(names(folder.path()), ["key"], "no temporary file stays");
    }

    #[test]
    fn nothing_that_exists_is_overwritten_not_even_a_dangling_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("key"), folder.path().join("link"));
        write_new_secret(&path, b"first").unwrap();
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        for path in [&path, &link] {
            assert!(matches!(write_new_secret(path, b"second"), Err(WriteError::Exists { .. })));
        }
        assert_eq!(read_secret(&path, 64).unwrap().as_slice(), b"first");
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn a_file_open_to_others_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new_secret(&path, b"hunter2").unwrap();
        for mode in [0o604, 0o640, 0o620, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_secret(&path, 64).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:03o}")), "{error}");
            assert!(!error.contains("hunter2"));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read_secret(&path, 64).is_ok());
    }

    #[test]
    fn what_is_replaced_is_private_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(
            matches!(replace_secret(&path, b"new"), Err(ReplaceError::Before(_))),
            "there is nothing to replace"
        );
        write_new_secret(&path, b"old content").unwrap();
        let mut kept = File::open(&path).unwrap();
        replace_secret(&path, b"new").unwrap();
        assert_eq!(read_secret(&path, 64).unwrap().as_slice(), b"new");
        let mut old = Vec::new();
        kept.read_to_end(&mut old).unwrap();
        assert_eq!(old, [0; 11], "whoever had the old file open finds zeros");
        assert_eq!(names(folder.path()), ["key"]);
    }

    #[test]
    fn a_backup_a_link_and_a_file_that_is_read_only_are_replaced_with_care() {
        let folder = tempfile::tempdir().unwrap();
        let [path, backup, link] = ["key", "backup", "link"].map(|name| folder.path().join(name));
        write_new_secret(&path, b"old").unwrap();
        fs::hard_link(&path, &backup).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        replace_secret(&path, b"new").unwrap();
        assert_eq!(read_secret(&backup, 64).unwrap().as_slice(), b"old", "another name is a backup");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(
            replace_secret(&link, b"newer"),
            Err(ReplaceError::Before(WriteError::NotAFile { .. }))
        ));
        assert_eq!(read_secret(&path, 64).unwrap().as_slice(), b"new");
    }

    #[test]
    fn a_password_is_its_line_without_the_line_end() {
        use secrecy::ExposeSecret;
        let folder = tempfile::tempdir().unwrap();
        for (name, content, password) in [
            ("a", "correct horse \r\n", Some("correct horse ")),
            ("b", "pass", Some("pass")),
            ("c", "\n", None),
        ] {
            let path = folder.path().join(name);
            write_new_secret(&path, content.as_bytes()).unwrap();
            let read = read_password(&path);
            assert_eq!(read.as_ref().ok().map(ExposeSecret::expose_secret), password, "{name}");
        }
    }
}
