//! The seal: a small file beside the database that says what the database must hold.
//!
//! sled takes damage in its file for a write that a power cut tore: it drops what comes after and opens with an older
//! state, or with none, without a word. For promises that is the worst answer. So each batch of rows carries a count and
//! a digest of all rows after it, its [`Tip`], and once the batch is durable the same is written here. A database that
//! holds fewer batches than the seal says, or other rows, was damaged, and the journal does not open. A crash between the
//! two writes leaves a database that is ahead of its seal; that is no damage.
//!
//! ```text
//! record, at 4096 bytes times (batches mod 16)  batches (8, little endian) | digest (32) | SHA-256 of both, first 8
//! ```
//!
//! The file is synced every eighth time, so a power cut can tear what was written since, and never all sixteen places: the
//! seal is some batches behind then. The batches themselves were synced, each before anybody was told. A journal whose whole
//! folder was taken back to an older state is not found out: nothing in the folder can tell.

use rustix::fs::fdatasync;
use sha2::{Digest as _, Sha256};
use ssz_derive::{Decode, Encode};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Places for records, in turn: twice as many as are written between two syncs, so that the last synced one stays.
const PLACES: u64 = 16;
/// Apart by what a disk writes at once, so that one torn write spoils one record.
const PLACE_LEN: u64 = 4096;
/// Batches from one sync of the file to the next.
const SYNCED_EVERY: u64 = 8;
/// Bytes of a record.
pub const RECORD_LEN: usize = 48;
const CHECKED_LEN: usize = 40;

/// Of a set of rows: their SHA-256, each over key and value, joined by exclusive or. It says whether a disk has kept
/// them all, at the cost of the rows that change. Against somebody who chooses rows it is no defence, and need not be: whoever
/// can write to the folder can write the seal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[ssz(struct_behaviour = "transparent")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// A row comes, or goes.
    pub(super) fn flip(&mut self, key: &[u8], value: &[u8]) {
        let row = Sha256::new().chain_update((key.len() as u64).to_le_bytes()).chain_update(key);
        for (mine, byte) in self.0.iter_mut().zip(row.chain_update(value).finalize()) {
            *mine ^= byte;
        }
    }
}

/// Where a history of rows stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Tip {
    /// Batches since the journal was first sealed.
    pub batches: u64,
    /// Of all rows.
    pub digest: Digest,
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
                let newest = (0..PLACES).filter_map(|place| read(&file, place)).max_by_key(|tip| tip.batches);
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

    /// Writes where the rows stand now; durable with the next sync.
    pub(super) fn write(&self, tip: &Tip) -> io::Result<()> {
        self.file.write_all_at(&record(tip), tip.batches % PLACES * PLACE_LEN)
    }

    /// Writes where the rows stand now, and syncs if it is time.
    pub(super) fn press(&self, tip: &Tip) -> io::Result<()> {
        self.write(tip)?;
        match tip.batches.is_multiple_of(SYNCED_EVERY) {
            true => self.sync(),
            false => Ok(()),
        }
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
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
    let tip = Tip { batches, digest: Digest(bytes[8..CHECKED_LEN].try_into().ok()?) };
    (record(&tip) == *bytes).then_some(tip)
}

fn read(file: &File, place: u64) -> Option<Tip> {
    let mut bytes = [0; RECORD_LEN];
    file.read_exact_at(&mut bytes, place * PLACE_LEN).ok()?;
    parse(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(batches: u64) -> Tip {
        Tip { batches, digest: Digest([batches as u8; 32]) }
    }

    #[test]
    fn the_newest_record_is_found_and_if_it_is_torn_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal");
        let (seal, found) = Seal::open(&path).unwrap();
        assert_eq!(found, Found::Nothing);
        for batches in 0..=39 {
            seal.press(&tip(batches)).unwrap();
            assert_eq!(Seal::open(&path).unwrap().1, Found::Sealed(tip(batches)));
        }
        // Torn from the newest back: what was synced last is the one before the last place that a power cut can hurt.
        for batches in (25..=39).rev() {
            seal.file.write_all_at(&[0xa5; 20], batches % PLACES * PLACE_LEN).unwrap();
            assert_eq!(Seal::open(&path).unwrap().1, Found::Sealed(tip(batches - 1)));
        }
        seal.file.write_all_at(&[0xa5; 20], 24 % PLACES * PLACE_LEN).unwrap();
        assert_eq!(Seal::open(&path).unwrap().1, Found::Unreadable);
    }

    #[test]
    fn the_digest_is_that_of_the_set_whatever_came_and_went() {
        let of = |rows: &[(&[u8], &[u8])]| {
            let mut digest = Digest::default();
            rows.iter().for_each(|(key, value)| digest.flip(key, value));
            digest
        };
        let [a, b, c]: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b"1"), (b"a", b"2")];
        assert_eq!(of(&[a, b]), of(&[b, a]));
        assert_eq!(of(&[a, b, a, c]), of(&[b, c]));
        assert_ne!(of(&[a]), of(&[c]));
        assert_ne!(of(&[(b"a", b"bc")]), of(&[(b"ab", b"c")]));
    }
}
