//! An unfinished ceremony on disk: its records, numbered, each durable before the ceremony goes on.
//!
//! ```text
//! ceremony-<id>/record-0, record-1, ...     the seed, then what was heard in each step
//! ceremony-<id>/over                        it ended with a fault: this attempt never speaks again
//! .ceremony-<id>.tmp/                       all is done, and the records are being erased
//! ```
//!
//! A fresh seed under an attempt that has spoken would contradict it, with proof. So the folder goes at once when the
//! files of the keys are everywhere, and a folder that ended otherwise keeps its mark.

use anyhow::Context as _;
use keys::files::{PUBLIC, sync_folder, write_new};
use keys::secret_file::{ReadError, WriteError, read_secret, write_new_secret};
use serde_json::{Value, json};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No record is longer: what 22 operators say of 10,000 validators in a step is below 4 GiB; a file beyond is not ours.
const RECORD_LEN_MAX: usize = 4 << 30;
/// The mark of an attempt that is over.
const OVER: &str = "over";

/// The records of one ceremony.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    next: usize,
}

/// How an attempt ended that made nothing and must not be begun again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// In words.
    pub words: String,
    /// What the program ended with.
    pub exit_status: u8,
}

impl State {
    /// Opens or makes the folder, for the owner only; returns the records that are there, in order.
    ///
    /// What a crash has left of a record that never got its name is removed.
    pub fn open(folder: PathBuf) -> anyhow::Result<(Self, Vec<Zeroizing<Vec<u8>>>)> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        // Its name must be as durable as the seed in it.
        sync_folder(parent_of(&folder))?;
        for path in entries(&folder)? {
            if is_hidden(&path) {
                remove(&path, path.metadata()?.nlink() == 1)?;
            }
        }
        let mut state = Self { folder, next: 0 };
        let mut records = Vec::new();
        while state.path(state.next).exists() {
            records.push(state.read(state.next)?);
            state.next += 1;
        }
        Ok((state, records))
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("record-{number}"))
    }

    fn read(&self, number: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
        let path = self.path(number);
        let len = path.metadata().map_or(0, |metadata| usize::try_from(metadata.len()).unwrap_or(usize::MAX));
        read_secret(&path, len.min(RECORD_LEN_MAX))
    }

    /// Makes a record durable.
    pub fn append(&mut self, record: &[u8]) -> Result<(), WriteError> {
        write_new_secret(&self.path(self.next), record)?;
        self.next += 1;
        Ok(())
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Overwrites and removes all records: the seed gives every share away.
    ///
    /// The folder loses its name first, so that whoever starts again after a crash in between finds no part of it;
    /// [`sweep`] ends what was begun.
    pub fn erase(&self) -> io::Result<()> {
        let doomed = doomed(&self.folder);
        std::fs::rename(&self.folder, &doomed)?;
        sync_folder(parent_of(&self.folder))?;
        destroy(&doomed)
    }

    /// Marks the attempt as over, then overwrites and removes all records. The mark stays: see [`over`].
    pub fn end(&self, over: &Over) -> anyhow::Result<()> {
        let mark = json!({ "ended": over.words, "exit_status": over.exit_status });
        write_new(&self.folder.join(OVER), mark.to_string().as_bytes(), PUBLIC)?;
        Ok(erase_but_mark(&self.folder)?)
    }
}

/// Whether the attempt of a folder is over. Records that a crash has left there are erased.
pub fn over(folder: &Path) -> anyhow::Result<Option<Over>> {
    let path = folder.join(OVER);
    if !path.exists() {
        return Ok(None);
    }
    erase_but_mark(folder)?;
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let mark: Value = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    let words = mark["ended"].as_str().with_context(|| format!("{} says nothing", path.display()))?;
    let exit_status = mark["exit_status"].as_u64().and_then(|status| u8::try_from(status).ok()).unwrap_or(1);
    Ok(Some(Over { words: words.to_owned(), exit_status }))
}

/// Ends an erasure of this folder that a crash has interrupted.
pub fn sweep(folder: &Path) -> io::Result<()> {
    let doomed = doomed(folder);
    if doomed.exists() { destroy(&doomed) } else { Ok(()) }
}

/// The name of a folder that is being erased.
fn doomed(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    parent_of(folder).join(format!(".{name}.tmp"))
}

fn parent_of(folder: &Path) -> &Path {
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn erase_but_mark(folder: &Path) -> io::Result<()> {
    for path in entries(folder)? {
        if !path.ends_with(OVER) {
            remove(&path, true)?;
        }
    }
    sync_folder(folder)
}

fn destroy(folder: &Path) -> io::Result<()> {
    for path in entries(folder)? {
        remove(&path, true)?;
    }
    std::fs::remove_dir(folder)?;
    sync_folder(parent_of(folder))
}

/// - `overwrite`: zeros first. Not where the same bytes have another name that is to stay.
fn remove(path: &Path, overwrite: bool) -> io::Result<()> {
    if overwrite {
        let len = path.metadata()?.len();
        let mut file = OpenOptions::new().write(true).open(path)?;
        io::copy(&mut io::Read::take(io::repeat(0), len), &mut file)?;
        file.flush()?;
        file.sync_all()?;
    }
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("ceremony-00112233")
    }

    fn with_records(folder: &tempfile::TempDir, count: u8) -> State {
        let (mut state, records) = State::open(at(folder)).unwrap();
        assert!(records.is_empty());
        (0..count).for_each(|number| state.append(&[number; 40]).unwrap());
        state
    }

    #[test]
    fn records_come_back_in_order_and_are_gone_when_erased() {
        let folder = tempfile::tempdir().unwrap();
        with_records(&folder, 12);
        let (state, records) = State::open(at(&folder)).unwrap();
        assert_eq!(records.iter().map(|record| record[0]).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
        state.erase().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_record_torn_at_any_byte_is_not_there_and_one_that_has_its_name_is() {
        let whole = [7_u8; 40];
        for kept in 0..=whole.len() {
            let folder = tempfile::tempdir().unwrap();
            with_records(&folder, 2);
            let torn = at(&folder).join(".record-2.0011223344556677.tmp");
            std::fs::write(&torn, &whole[..kept]).unwrap();
            let (mut state, records) = State::open(at(&folder)).unwrap();
            assert_eq!(records.len(), 2);
            assert!(!torn.exists());
            state.append(&whole).unwrap();
            // The crash after the name was given, and before the temporary one was taken away.
            std::fs::hard_link(at(&folder).join("record-2"), &torn).unwrap();
            let (_, records) = State::open(at(&folder)).unwrap();
            assert_eq!(records.last().unwrap().as_slice(), whole);
            assert!(!torn.exists());
        }
    }

    #[test]
    fn an_erasure_that_a_crash_interrupts_leaves_nothing_that_could_be_taken_for_a_ceremony() {
        for gone in 0..=3 {
            let folder = tempfile::tempdir().unwrap();
            with_records(&folder, 3);
            let doomed = doomed(&at(&folder));
            std::fs::rename(at(&folder), &doomed).unwrap();
            (0..gone).for_each(|number| {
                std::fs::remove_file(doomed.join(format!("record-{number}"))).unwrap();
            });
            assert!(!at(&folder).exists());
            sweep(&at(&folder)).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{gone} were gone");
        }
    }

    #[test]
    fn an_attempt_that_is_over_says_so_for_ever_and_keeps_no_seed() {
        let said = Over { words: "operator 2: a bad share".to_owned(), exit_status: 3 };
        for crash in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let state = with_records(&folder, 3);
            assert_eq!(over(&at(&folder)).unwrap(), None);
            state.end(&said).unwrap();
            if crash {
                std::fs::write(at(&folder).join("record-0"), [1; 40]).unwrap();
            }
            assert_eq!(over(&at(&folder)).unwrap().as_ref(), Some(&said));
            assert_eq!(entries(&at(&folder)).unwrap(), [at(&folder).join(OVER)]);
        }
    }
}
