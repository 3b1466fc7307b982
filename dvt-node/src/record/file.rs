//! A record's file: a head of 8 bytes, then entries, each behind its length and before the check of all bytes so far.
//!
//! ```text
//! head   "symbrec", version
//! entry  length (4) | body | first 8 bytes of check_i,   check_i = SHA-256(check_(i-1) | body), check_0 = SHA-256(head)
//! ```
//!
//! So an entry that was changed, lost or moved is noticed where it is. The check is no signature: whoever can write the
//! file can write another.

use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Write};
use thiserror::Error;
use types::wire::FRAME_LEN_MAX;

/// Version of the files written here; a reader takes no other, for a machine of another version would not do the same.
pub const RECORD_VERSION: u8 = 2;

const MAGIC: &[u8; 7] = b"symbrec";

/// No entry is longer: the longest frame of a peer, and as much again for what a client or a beacon node says at once.
pub const ENTRY_LEN_MAX: usize = 2 * FRAME_LEN_MAX;

/// Bytes of the check that are written: enough to notice every accident.
const CHECK_LEN: usize = 8;

/// Bytes around an entry's body.
pub(super) const FRAMING_LEN: usize = 4 + CHECK_LEN;

/// Why a file cannot be read as a record.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system's reason.
    #[error("cannot read the record: {0}")]
    Io(#[from] io::Error),
    /// Another file, or an empty one.
    #[error("not a record of a node: it does not begin as one")]
    NoRecord,
    /// Of another version.
    #[error("a record of version {version}, this program reads version {RECORD_VERSION}")]
    Version {
        /// Its version.
        version: u8,
    },
    /// Not even its beginning is there.
    #[error("the record ends before its beginning is complete")]
    NoStart,
    /// Bytes were changed.
    #[error("the record is damaged: entry {entry}, at byte {at}, is not what was written")]
    Damaged {
        /// Which entry, from 0.
        entry: u64,
        /// Where it begins.
        at: u64,
    },
}

/// The check of all bytes so far.
#[derive(Debug)]
struct Check([u8; 32]);

impl Check {
    fn of_head(head: &[u8]) -> Self {
        Self(Sha256::digest(head).into())
    }

    fn next(&mut self, body: &[u8]) -> [u8; CHECK_LEN] {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(body);
        self.0 = hasher.finalize().into();
        *self.0.first_chunk().expect("32 bytes begin with 8")
    }
}

/// Writes a record's bytes.
#[derive(Debug)]
pub(super) struct Writing<W> {
    out: W,
    check: Check,
    /// Bytes written.
    pub(super) len: u64,
}

impl<W: Write> Writing<W> {
    /// Writes the head.
    pub(super) fn begin(mut out: W) -> io::Result<Self> {
        let head = head();
        out.write_all(&head)?;
        Ok(Self { out, check: Check::of_head(&head), len: head.len() as u64 })
    }

    pub(super) fn entry(&mut self, body: &[u8]) -> io::Result<()> {
        let len = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(body)?;
        self.out.write_all(&self.check.next(body))?;
        self.len += (FRAMING_LEN + body.len()) as u64;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn head() -> [u8; 8] {
    let mut head = [RECORD_VERSION; 8];
    head[..MAGIC.len()].copy_from_slice(MAGIC);
    head
}

/// Reads a record's bytes, entry by entry.
#[derive(Debug)]
pub struct Reading<R> {
    file: R,
    check: Check,
    entry: u64,
    at: u64,
}

impl<R: Read> Reading<R> {
    /// Reads the head.
    ///
    /// - Errors: `NoRecord`, `Version`, `Io`.
    pub fn begin(mut file: R) -> Result<Self, FileError> {
        let mut head = [0; 8];
        if !fill(&mut file, &mut head)? || !head.starts_with(MAGIC) {
            return Err(FileError::NoRecord);
        }
        match head[MAGIC.len()] {
            RECORD_VERSION => Ok(Self { file, check: Check::of_head(&head), entry: 0, at: 8 }),
            version => Err(FileError::Version { version }),
        }
    }

    /// The next entry's body; `None` where the file ends, be it inside of an entry.
    ///
    /// - Errors: `Damaged`, `Io`.
    pub fn next_entry(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let damaged = FileError::Damaged { entry: self.entry, at: self.at };
        let mut len = [0; 4];
        if !fill(&mut self.file, &mut len)? {
            return Ok(None);
        }
        let len = u32::from_le_bytes(len) as usize;
        if len > ENTRY_LEN_MAX {
            return Err(damaged);
        }
        let mut body = Vec::new();
        let wanted = len + CHECK_LEN;
        (&mut self.file).take(wanted as u64).read_to_end(&mut body)?;
        if body.len() < wanted {
            return Ok(None);
        }
        let check = body.split_off(len);
        if self.check.next(&body)[..] != check {
            return Err(damaged);
        }
        self.entry += 1;
        self.at += (FRAMING_LEN + len) as u64;
        Ok(Some(body))
    }
}

/// Reads as many bytes as there is room for; `false` if there are fewer.
fn fill(file: &mut impl Read, room: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(room) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
