//! Files written once, whole, durable, never over another. One process at a time writes into a folder.

use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Readable by everybody, changed by nobody.
pub const PUBLIC: u32 = 0o444;
/// Readable by the owner alone, changed by nobody.
pub const SECRET: u32 = 0o400;

/// Why a file was not written. What was there before is untouched, and nothing is half there.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Something is there already.
    #[error("{0} exists already: nothing is overwritten")]
    Exists(PathBuf),
    /// The disk said no.
    #[error("cannot write {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    move |source| match source.kind() {
        io::ErrorKind::AlreadyExists => WriteError::Exists(path.to_owned()),
        _ => WriteError::Io { path: path.to_owned(), source },
    }
}

/// Writes a new file: to a temporary name, synced, then linked to its own name, and the folder synced.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WriteError> {
    let temporary = staging(path);
    // Left over from a crash in this very place.
    let _ = std::fs::remove_file(&temporary);
    let written = write_synced(&temporary, bytes, mode).and_then(|()| std::fs::hard_link(&temporary, path));
    // It is under its own name by now, or of no use.
    let _ = std::fs::remove_file(&temporary);
    written.map_err(failed(path))?;
    sync_folder(folder_of(path)).map_err(failed(path))
}

/// Writes a new folder of files: all of them are there, or none.
pub fn write_new_folder(path: &Path, files: &[(String, Vec<u8>, u32)]) -> Result<(), WriteError> {
    let temporary = staging(path);
    // Left over from a crash in this very place.
    let _ = std::fs::remove_dir_all(&temporary);
    let written = fill_folder(&temporary, files)
        .and_then(|()| Ok(renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE)?));
    if written.is_err() {
        let _ = std::fs::remove_dir_all(&temporary);
    }
    written.map_err(failed(path))?;
    sync_folder(folder_of(path)).map_err(failed(path))
}

fn fill_folder(folder: &Path, files: &[(String, Vec<u8>, u32)]) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)?;
    for (name, bytes, mode) in files {
        write_synced(&folder.join(name), bytes, *mode)?;
    }
    sync_folder(folder)
}

fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // Its owner must be able to write it once: the mode counts from the next opening on.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a folder's names durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn staging(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder_of(path).join(format!(".{name}.tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock.json");
        write_new(&path, b"first", PUBLIC).unwrap();
        assert!(matches!(write_new(&path, b"second", PUBLIC), Err(WriteError::Exists(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        let keys = folder.path().join("keys");
        let files = [("a".to_owned(), b"1".to_vec(), SECRET)];
        write_new_folder(&keys, &files).unwrap();
        assert!(matches!(write_new_folder(&keys, &files), Err(WriteError::Exists(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_filled_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let files = [("a".to_owned(), vec![1], SECRET), ("no/such".to_owned(), vec![2], SECRET)];
        assert!(matches!(write_new_folder(&keys, &files), Err(WriteError::Io { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
