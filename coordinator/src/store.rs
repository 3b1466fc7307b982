//! The log on disk: entries in order, each durable before it counts, and the heads that were published. The only file here that imports sled.
//!
//! - An entry is durable after `flush()` *and* `fdatasync` on sled's file, as in the journal of a node (ADR 0004).
//! - sled opens after damage with an older state. So a file beside the database, the *tip*, says how many entries were made
//!   durable; a database with fewer does not open. What the entries say is proved by their hash chain, which is the ledger's
//!   matter: here they are bytes.
//! - A folder is locked against a second process: two coordinators that append to one log would fork it.

use rustix::fs::{FlockOperation, fdatasync, flock, fsync};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// sled's cache. An entry has a kilobyte or two and is read once, at the start.
const CACHE_BYTES: u64 = 8 << 20;
/// How long sled may take to let go of a database after its handle is dropped.
const CLOSING_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks at whether it has.
const CLOSING_POLL: Duration = Duration::from_millis(5);

/// Longest entry: an observation ([`crate::ledger::entry::SEEN_LEN_MAX`]), and as much again for what follows from it. A lock
/// with its keys ([`crate::ledger::ceremonies::LOCK_LEN_MAX`]) has a tenth of it.
pub const ENTRY_LEN_MAX: usize = 96 << 20;

const ENTRIES: &str = "entries";
const HEADS: &str = "heads";
const TIP: &str = "tip";
const SNAPSHOT: &str = "snapshot";

/// Why the log does not open, or takes no entry.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder, or a file in it, could not be made, read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no log, and none was to be made.
    #[error("there is no coordinator's log in {0}")]
    Absent(PathBuf),
    /// Another process has it.
    #[error("{0} is in use by another process: a log has one coordinator")]
    InUse(PathBuf),
    /// The database says no.
    #[error("the log does not open, read or write: {0}")]
    Database(#[from] sled::Error),
    /// What was written could not be made durable.
    #[error("the log could not be synced: {0}")]
    Sync(io::Error),
    /// Entries that were durable are gone.
    #[error(
        "the log in {path} is damaged: it holds {have} entries, {durable} were made durable; bring back a copy"
    )]
    RolledBack {
        /// Its folder.
        path: PathBuf,
        /// Entries that it holds.
        have: u64,
        /// Entries that its tip names.
        durable: u64,
    },
    /// The tip is gone or is no number, though there are entries.
    #[error("the log in {0} is damaged: its file `tip` is gone or is no number; bring back a copy")]
    NoTip(PathBuf),
    /// An entry is missing between others.
    #[error("the log in {path} is damaged: entry {seq} is missing")]
    Gap {
        /// Its folder.
        path: PathBuf,
        /// Which entry.
        seq: u64,
    },
    /// Longer than [`ENTRY_LEN_MAX`].
    #[error("an entry of {len} bytes, it may have {ENTRY_LEN_MAX}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// A write failed before: what is on the disk is not known until the log is opened again.
    #[error("the log failed before and takes no entries until the coordinator is started again")]
    Failed,
}

/// The open log.
#[derive(Debug)]
pub struct LogStore {
    database: sled::Db,
    entries: sled::Tree,
    heads: sled::Tree,
    file: File,
    folder: PathBuf,
    len: u64,
    failed: bool,
    _lock: File,
}

impl LogStore {
    /// Opens the log of a folder, or makes it.
    ///
    /// - `folder`: made if absent, for the owner only; locked against a second process as long as this lives.
    pub fn open_or_make(folder: &Path) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
        Self::open_locked(folder)
    }

    /// Opens the log of a folder.
    ///
    /// - Errors: `Absent` if there is none; nothing is made then.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let there = folder.join("sled").join("db").try_exists().map_err(at(folder))?;
        if there { Self::open_locked(folder) } else { Err(StoreError::Absent(folder.to_owned())) }
    }

    fn open_locked(folder: &Path) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        let database = open_database(&folder.join("sled"))?;
        let path = folder.join("sled").join("db");
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(at(&path))?;
        let (entries, heads) = (database.open_tree(ENTRIES)?, database.open_tree(HEADS)?);
        let (len, failed) = (0, false);
        let mut store =
            Self { database, entries, heads, file, folder: folder.to_owned(), len, failed, _lock: lock };
        store.len = store.count()?;
        store.check_tip()?;
        for folder in [&folder.join("sled"), folder] {
            sync_folder(folder)?;
        }
        Ok(store)
    }

    /// How many entries there are, if none is missing between others.
    fn count(&self) -> Result<u64, StoreError> {
        let mut len = 0;
        for key in self.entries.iter().keys() {
            if *key? != key_of(len) {
                return Err(StoreError::Gap { path: self.folder.clone(), seq: len });
            }
            len += 1;
        }
        Ok(len)
    }

    fn check_tip(&self) -> Result<(), StoreError> {
        let path = self.folder.join(TIP);
        let durable = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse::<u64>().ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (self.len == 0).then_some(0),
            Err(error) => return Err(at(&path)(error)),
        };
        match durable {
            None => Err(StoreError::NoTip(self.folder.clone())),
            Some(durable) if self.len < durable => {
                Err(StoreError::RolledBack { path: self.folder.clone(), have: self.len, durable })
            }
            // One more than the tip says: the power failed between the two.
            Some(_) => self.write_tip(),
        }
    }

    /// How many entries there are.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries from a number on, in order.
    pub fn entries_from(&self, seq: u64) -> impl Iterator<Item = Result<Vec<u8>, StoreError>> + use<> {
        self.entries.range(key_of(seq)..).values().map(|value| Ok(value?.to_vec()))
    }

    /// One entry; `None` beyond the last.
    pub fn entry(&self, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.entries.get(key_of(seq))?.map(|value| value.to_vec()))
    }

    /// Makes an entry durable. Returns its number.
    ///
    /// - Errors: after one nothing is taken any more; the entry may be there or not when the log is opened again.
    /// - Cost: two syncs.
    pub fn append(&mut self, entry: &[u8]) -> Result<u64, StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        if entry.len() > ENTRY_LEN_MAX {
            return Err(StoreError::TooLong { len: entry.len() });
        }
        self.failed = true;
        let seq = self.len;
        self.entries.insert(key_of(seq), entry)?;
        self.sync()?;
        self.len += 1;
        self.write_tip()?;
        self.failed = false;
        Ok(seq)
    }

    /// Writes over an entry, as only a broken disk does.
    #[cfg(test)]
    pub(crate) fn put(&self, seq: u64, entry: &[u8]) {
        self.entries.insert(key_of(seq), entry).unwrap();
        self.sync().unwrap();
    }

    /// Keeps what was said of the log at a size, durably: a head, and who has signed it.
    pub fn keep_head(&mut self, size: u64, head: &[u8]) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        self.heads.insert(key_of(size), head)?;
        self.sync()
    }

    /// What was said of the log at a size.
    pub fn head(&self, size: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.heads.get(key_of(size))?.map(|value| value.to_vec()))
    }

    /// What was said of the log at the largest size.
    pub fn last_head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.heads.last()?.map(|(_, value)| value.to_vec()))
    }

    /// All that was said of the log from a size on, by size.
    pub fn heads_from(&self, size: u64) -> impl Iterator<Item = Result<Vec<u8>, StoreError>> {
        self.heads.range(key_of(size)..).values().map(|value| Ok(value?.to_vec()))
    }

    /// Keeps a snapshot in the place of the last, durably.
    pub fn keep_snapshot(&self, snapshot: &[u8]) -> Result<(), StoreError> {
        self.replace(SNAPSHOT, snapshot)
    }

    /// The last snapshot, if there is one.
    pub fn snapshot(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.folder.join(SNAPSHOT);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.database.flush()?;
        fdatasync(&self.file).map_err(|error| StoreError::Sync(error.into()))
    }

    fn write_tip(&self) -> Result<(), StoreError> {
        self.replace(TIP, format!("{}\n", self.len).as_bytes())
    }

    /// Writes a file: another first, which then takes its name, so that there is always a whole one.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (path, fresh) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        let open = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh);
        let mut file = open.map_err(at(&fresh))?;
        file.write_all(bytes).map_err(at(&fresh))?;
        fsync(&file).map_err(|error| StoreError::Sync(error.into()))?;
        std::fs::rename(&fresh, &path).map_err(at(&path))?;
        sync_folder(&self.folder)
    }
}

/// Big-endian, so that sled's order is the log's.
fn key_of(seq: u64) -> [u8; 8] {
    seq.to_be_bytes()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File { path, source }
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let directory = File::open(folder).map_err(at(folder))?;
    fsync(&directory).map_err(|error| StoreError::Sync(error.into()))
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = open.map_err(at(&path))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| StoreError::InUse(folder.to_owned()))?;
    Ok(file)
}

/// Opens sled's database in a folder that this process has locked.
///
/// sled keeps a lock of its own until its background threads have gone. The folder's lock says that no other process is
/// there, so whoever has sled's is on the way out, and is waited for.
fn open_database(folder: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let begin = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if error.to_string().starts_with("could not acquire lock")
                    && begin.elapsed() < CLOSING_MAX =>
            {
                std::thread::sleep(CLOSING_POLL);
            }
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(store: &LogStore) -> Vec<Vec<u8>> {
        store.entries_from(0).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn entries_are_there_again_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("log");
        assert!(matches!(LogStore::open(&folder), Err(StoreError::Absent(_))));
        assert!(!folder.exists(), "looking makes nothing");
        let mut store = LogStore::open_or_make(&folder).unwrap();
        // More than 256, so that the order of little-endian keys would be another.
        let entries: Vec<_> = (0..300u32).map(|number| number.to_string().into_bytes()).collect();
        for (seq, entry) in (0..).zip(&entries) {
            assert_eq!(store.append(entry).unwrap(), seq);
        }
        assert_eq!(all(&store), entries);
        drop(store);
        let store = LogStore::open(&folder).unwrap();
        assert_eq!((store.len(), all(&store)), (300, entries));
        assert_eq!(store.entry(299).unwrap().unwrap(), b"299");
        assert_eq!(store.entry(300).unwrap(), None);
    }

    #[test]
    fn a_log_has_one_coordinator() {
        let folder = tempfile::tempdir().unwrap();
        let store = LogStore::open_or_make(folder.path()).unwrap();
        assert!(matches!(LogStore::open_or_make(folder.path()), Err(StoreError::InUse(_))));
        drop(store);
        LogStore::open_or_make(folder.path()).unwrap();
    }

    #[test]
    fn a_database_that_lost_entries_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = LogStore::open_or_make(folder.path()).unwrap();
        store.append(b"first").unwrap();
        store.append(b"second").unwrap();
        store.entries.remove(key_of(1)).unwrap();
        drop(store);
        let error = LogStore::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::RolledBack { have: 1, durable: 2, .. }), "{error}");
        std::fs::write(folder.path().join(TIP), "no number").unwrap();
        assert!(matches!(LogStore::open(folder.path()), Err(StoreError::NoTip(_))));
        std::fs::remove_file(folder.path().join(TIP)).unwrap();
        assert!(matches!(LogStore::open(folder.path()), Err(StoreError::NoTip(_))));
    }

    #[test]
    fn a_gap_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = LogStore::open_or_make(folder.path()).unwrap();
        for entry in [b"a", b"b", b"c"] {
            store.append(entry).unwrap();
        }
        store.entries.remove(key_of(1)).unwrap();
        drop(store);
        assert!(matches!(LogStore::open(folder.path()), Err(StoreError::Gap { seq: 1, .. })));
    }

    #[test]
    fn a_power_cut_before_the_tip_keeps_the_entry() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = LogStore::open_or_make(folder.path()).unwrap();
        store.append(b"first").unwrap();
        store.append(b"second").unwrap();
        drop(store);
        std::fs::write(folder.path().join(TIP), "1\n").unwrap();
        let mut store = LogStore::open(folder.path()).unwrap();
        assert_eq!(store.append(b"third").unwrap(), 2);
        drop(store);
        assert_eq!(std::fs::read_to_string(folder.path().join(TIP)).unwrap(), "3\n");
    }

    #[test]
    fn an_entry_too_long_is_refused_and_the_log_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = LogStore::open_or_make(folder.path()).unwrap();
        let error = store.append(&vec![0; ENTRY_LEN_MAX + 1]).unwrap_err();
        assert!(matches!(error, StoreError::TooLong { .. }));
        assert_eq!(store.append(b"fits").unwrap(), 0);
    }
}
