//! Files written once, whole, durable, never over another. One process at a time writes into a folder.

use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Readable by everybody, changed by nobody.
pub const PUBLIC: u32 = 0o444;
/// Readable by the owner alone, changed by nobody.
pub const SECRET: u32 = 0o400;

/// A file of a new folder: its name, its content, which is wiped when dropped, and its mode.
pub type NewFile = (String, Zeroizing<Vec<u8>>, u32);

/// Why a file was not written. What was there before is untouched, and nothing is half there.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Something is there already.
    #[error("{0} exists already: nothing is overwritten")]
    Exists(PathBuf),
    /// Everything is there under its name, but a power cut might take it away again.
    #[error("{path} is written, but its folder could not be synced: {source}")]
    NotSynced {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
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
    sync_folder(folder_of(path)).map_err(|source| WriteError::NotSynced { path: path.to_owned(), source })
}

/// Writes a file that has no secret in it, in the place of an older one if there is one: at every moment one of them is
/// there, whole.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WriteError> {
    let temporary = staging(path);
    // Left over from a crash in this very place.
    let _ = std::fs::remove_file(&temporary);
    let written = write_synced(&temporary, bytes, mode).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // It never got its name; the error that is reported is why.
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(|source| WriteError::Io { path: path.to_owned(), source })?;
    sync_folder(folder_of(path)).map_err(|source| WriteError::NotSynced { path: path.to_owned(), source })
}

/// Writes a new folder of files: all of them are there, or none.
///
/// - Cost: three waits for the disk, however many files there are: one for all of them, two for the folder's name.
///   Before Linux 5.8 a disk that fails in the first of them may go unnoticed.
pub fn write_new_folder(path: &Path, files: &[NewFile]) -> Result<(), WriteError> {
    let staging = Staging::begin(path)?;
    fill_folder(staging.path(), files).map_err(failed(path))?;
    staging.finish()
}

/// A folder in the making: beside its name until it is finished, gone if it never is.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    out: PathBuf,
    finished: bool,
}

impl Staging {
    /// Begins a folder that will be `out`, for the owner only. What a crash in this very place has left is removed.
    ///
    /// - Errors: [`WriteError::Exists`] if there is something already.
    pub fn begin(out: &Path) -> Result<Self, WriteError> {
        if out.symlink_metadata().is_ok() {
            return Err(WriteError::Exists(out.to_owned()));
        }
        let folder = staging(out);
        if Self::is_left_of(out) {
            std::fs::remove_dir_all(&folder).map_err(failed(&folder))?;
        }
        DirBuilder::new().mode(0o700).create(&folder).map_err(failed(out))?;
        Ok(Self { folder, out: out.to_owned(), finished: false })
    }

    /// Whether an interrupted run has left something in the making of `out`.
    pub fn is_left_of(out: &Path) -> bool {
        staging(out).symlink_metadata().is_ok()
    }

    /// Where it is made.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Gives it its name, which nobody else may have taken, and makes that durable.
    pub fn finish(mut self) -> Result<(), WriteError> {
        sync_folder(&self.folder).map_err(failed(&self.out))?;
        renameat_with(CWD, &self.folder, CWD, &self.out, RenameFlags::NOREPLACE)
            .map_err(|error| failed(&self.out)(error.into()))?;
        self.finished = true;
        sync_folder(folder_of(&self.out))
            .map_err(|source| WriteError::NotSynced { path: self.out.clone(), source })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            // Whatever has ended it is being reported; the next run in this place tries again.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Nobody reads the folder before it has its name. So its files need no sync of their own: one for the whole file system
/// takes as long as a few of them, and a ceremony of 10,000 validators leaves 20,000 files.
fn fill_folder(folder: &Path, files: &[NewFile]) -> io::Result<()> {
    for (name, bytes, mode) in files {
        write_unsynced(&folder.join(name), bytes, *mode)?;
    }
    Ok(syncfs(File::open(folder)?)?)
}

/// A new file with its bytes on the disk; its name is not yet.
pub(crate) fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_unsynced(path, bytes, mode)?.sync_all()
}

fn write_unsynced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<File> {
    // Its owner must be able to write it once: the mode counts from the next opening on.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Makes a folder's names durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that a path's last name lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
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
        let files = [("a".to_owned(), b"1".to_vec().into(), SECRET)];
        write_new_folder(&keys, &files).unwrap();
        assert!(matches!(write_new_folder(&keys, &files), Err(WriteError::Exists(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_there_already_is_replaced_whole_whatever_a_crash_has_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("approvals");
        std::fs::write(staging(&path), "half").unwrap();
        for content in ["first", "second"] {
            replace(&path, content.as_bytes(), SECRET).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_an_interrupted_run_left_is_removed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("keys");
        let first = Staging::begin(&out).unwrap();
        std::fs::write(first.path().join("secret"), "half").unwrap();
        std::mem::forget(first);
        assert!(Staging::is_left_of(&out));
        let second = Staging::begin(&out).unwrap();
        assert_eq!(std::fs::read_dir(second.path()).unwrap().count(), 0);
        second.finish().unwrap();
        assert!(out.is_dir() && !Staging::is_left_of(&out));
        drop(Staging::begin(&folder.path().join("other")).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "what is not finished is not there");
    }

    #[test]
    fn a_folder_that_cannot_be_filled_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let files =
            [("a".to_owned(), vec![1].into(), SECRET), ("no/such".to_owned(), vec![2].into(), SECRET)];
        assert!(matches!(write_new_folder(&keys, &files), Err(WriteError::Io { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
