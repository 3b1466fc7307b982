//! An unfinished ceremony on disk: its records, numbered, each durable before the ceremony goes on.

use keys::files::sync_folder;
use keys::secret_file::{ReadError, WriteError, read_secret, write_new_secret};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No record is longer: what 22 operators say of 10,000 validators in a step is below 4 GiB; a file beyond is not ours.
const RECORD_LEN_MAX: usize = 4 << 30;

/// The records of one ceremony.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    next: usize,
}

impl State {
    /// Opens or makes the folder, for the owner only; returns the records that are there, in order.
    pub fn open(folder: PathBuf) -> anyhow::Result<(Self, Vec<Zeroizing<Vec<u8>>>)> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
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
    pub fn erase(self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let len = path.metadata()?.len();
            let mut file = OpenOptions::new().write(true).open(&path)?;
            io::copy(&mut io::Read::take(io::repeat(0), len), &mut file)?;
            file.flush()?;
            file.sync_all()?;
            std::fs::remove_file(&path)?;
        }
        std::fs::remove_dir(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync_folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_and_are_gone_when_erased() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("ceremony-00112233");
        let (mut state, records) = State::open(at.clone()).unwrap();
        assert!(records.is_empty());
        for number in 0..12_u8 {
            state.append(&[number; 40]).unwrap();
        }
        let (state, records) = State::open(at.clone()).unwrap();
        assert_eq!(records.iter().map(|record| record[0]).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
        state.erase().unwrap();
        assert!(!at.exists());
    }
}
