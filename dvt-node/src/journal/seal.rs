//! The seal: a small file beside the database that says what the database must hold.
//!
//! sled takes damage in its file for a write that a power cut tore: it drops what comes after and opens with an older
//! state, or with none, without a word. For promises that is the worst answer. So each batch of rows carries a count and
//! a digest of all rows after it, its [`Tip`], and once the batch is durable the same is written here. A database that
//! holds fewer batches than the seal says, or other rows, was damaged, and the journal does not open. A crash between the
//! two writes leaves a database that is ahead of its seal, with rows of which nobody was told yet; that is no damage.
//!
//! ```text
//! record, at 0 and at 4096 in turn   batches (8, little endian) | digest (32) | SHA-256 of both, first 8
//! ```
//!
//! Two places, so that a torn write leaves the record before it. A journal whose whole folder was taken back to an older
//! state is not found out: nothing in the folder can tell.

use rustix::fs::fdatasync;
use sha2::{Digest as _, Sha256};
use ssz_derive::{Decode, Encode};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use types::Root;

/// Apart by what a disk writes at once, so that one torn write spoils one record.
const PLACES: [u64; 2] = [0, 4096];
/// Bytes of a record.
pub const RECORD_LEN: usize = 48;
const CHECKED_LEN: usize = 40;

/// Where a history of rows stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Tip {
    /// Batches since the journal was first sealed.
    pub batches: u64,
    /// Of all rows.
    pub digest: Root,
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no file: a new journal, or one of a version without seals.
    Nothing,
    /// The newest record.
    Sealed(Tip),
    /// No record can be read.
    Unreadable,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Seal {
    file: File,
}

impl Seal {
    /// Opens or makes the file, for the owner only.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Found)> {
        let open = |fresh| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(fresh).mode(0o600).open(path)
        };
        match open(false) {
            Ok(file) => {
                let newest =
                    PLACES.iter().filter_map(|place| read(&file, *place)).max_by_key(|tip| tip.batches);
                // A crash while it was made: nothing was sealed yet.
                let empty = if file.metadata()?.len() == 0 { Found::Nothing } else { Found::Unreadable };
                Ok((Self { file }, newest.map_or(empty, Found::Sealed)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok((Self { file: open(true)? }, Found::Nothing))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a tip durable. Where it stood before stays until the next.
    pub(super) fn press(&self, tip: &Tip) -> io::Result<()> {
        let place = PLACES[usize::from(tip.batches % 2 == 1)];
        self.file.write_all_at(&record(tip), place)?;
        Ok(fdatasync(&self.file)?)
    }
}

/// A tip as it is written.
pub fn record(tip: &Tip) -> [u8; RECORD_LEN] {
    let mut record = [0; RECORD_LEN];
    record[..8].copy_from_slice(&tip.batches.to_le_bytes());
    record[8..CHECKED_LEN].copy_from_slice(&tip.digest.0);
    let check = Sha256::digest(&record[..CHECKED_LEN]);
    record[CHECKED_LEN..].copy_from_slice(&check[..RECORD_LEN - CHECKED_LEN]);
    record
}

/// Reads what [`record`] wrote; `None` for bytes whose check is not right.
pub fn parse(bytes: &[u8; RECORD_LEN]) -> Option<Tip> {
    let batches = u64::from_le_bytes(bytes[..8].try_into().ok()?);
    let tip = Tip { batches, digest: Root(bytes[8..CHECKED_LEN].try_into().ok()?) };
    (record(&tip) == *bytes).then_some(tip)
}

fn read(file: &File, place: u64) -> Option<Tip> {
    let mut bytes = [0; RECORD_LEN];
    file.read_exact_at(&mut bytes, place).ok()?;
    parse(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(batches: u64) -> Tip {
        Tip { batches, digest: Root([batches as u8; 32]) }
    }

    #[test]
    fn the_newest_record_is_found_and_if_it_is_torn_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal");
        let (seal, found) = Seal::open(&path).unwrap();
        assert_eq!(found, Found::Nothing);
        for batches in 0..=7 {
            seal.press(&tip(batches)).unwrap();
            assert_eq!(Seal::open(&path).unwrap().1, Found::Sealed(tip(batches)));
        }
        seal.file.write_all_at(&[0xa5; 20], PLACES[1]).unwrap();
        assert_eq!(Seal::open(&path).unwrap().1, Found::Sealed(tip(6)));
        seal.file.write_all_at(&[0xa5; 20], PLACES[0]).unwrap();
        assert_eq!(Seal::open(&path).unwrap().1, Found::Unreadable);
    }
}
