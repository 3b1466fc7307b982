//! The journal on disk: what this operator promised never to contradict. The only file that imports sled for it.
//!
//! A row counts as durable after `flush()` *and* `fdatasync` on sled's file: `flush()` alone is
//! `sync_file_range` on Linux, which a power cut undoes (ADR 0004). One writer thread takes all rows that
//! wait, applies them as one batch and syncs it once: a slot costs as much however many validators it has.
//! Constant space: one value per key and kind. A database that is not what its `seal` says does not open.

pub mod rows;
pub mod seal;

use rustix::fs::{FlockOperation, fdatasync, flock, fsync};
use seal::{Digest, Found, Seal, Tip};
use ssz::{Decode as _, Encode as _};
use ssz_derive::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use symbolon_core::Ticket;
use symbolon_core::journal::{History, Row};
use thiserror::Error;
use types::{ClusterId, PublicKey, Root};

/// Version of what is written here: of the rows, and of the digest of them in the seal.
const VERSION: u16 = 2;
/// sled's cache: rows are some 100 bytes, so this holds those of 10,000 validators many times over.
const CACHE_BYTES: u64 = 8 << 20;
/// How long sled may take to let go of a database after its handle is dropped: some milliseconds, on a busy machine more.
const CLOSING_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks at whether it has.
const CLOSING_POLL: Duration = Duration::from_millis(5);
/// Batches of rows that may wait for the disk: more than the duties of an epoch.
const WAITING_MAX: usize = 256;

const META: &str = "meta";
const ROWS: &str = "rows";
/// Among the rows, and shorter than their keys: the tip, in the batch that it counts.
const TIP: &[u8] = b"tip";

/// Why the journal does not open or does not take rows. Without it nothing is signed.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The folder could not be made or read.
    #[error("cannot use {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{0} is in use by another process: two nodes must never run with one operator's keys")]
    InUse(PathBuf),
    /// The database says no.
    #[error("the slashing-protection journal does not open or write: {0}")]
    Database(#[from] sled::Error),
    /// The database could not be made durable.
    #[error("the slashing-protection journal could not be synced: {0}")]
    Sync(io::Error),
    /// Written by another version of this program.
    #[error("the journal has version {have}, this program reads version {VERSION}")]
    Version {
        /// Its version.
        have: u16,
    },
    /// Of another cluster.
    #[error("the journal belongs to cluster {have}, this node runs cluster {want}")]
    Cluster {
        /// Its cluster.
        have: ClusterId,
        /// The node's.
        want: ClusterId,
    },
    /// A write failed before: what is on the disk is not known until the journal is opened again.
    #[error(
        "the slashing-protection journal failed before and takes no rows until the node is started again"
    )]
    Failed,
    /// The database has lost rows that were durable.
    #[error(
        "the slashing-protection journal {path} is damaged: it holds {have} batches of promises, {sealed} were made \
         durable. This node must not sign; docs/moving.md says how a history is brought back"
    )]
    RolledBack {
        /// Its folder.
        path: PathBuf,
        /// Batches that it holds.
        have: u64,
        /// Batches that its seal names.
        sealed: u64,
    },
    /// The database holds other rows than were sealed.
    #[error(
        "the slashing-protection journal {path} is damaged: its rows are not those that were made durable. This node \
         must not sign; docs/moving.md says how a history is brought back"
    )]
    OtherRows {
        /// Its folder.
        path: PathBuf,
    },
    /// The seal is gone, or cannot be read.
    #[error(
        "the slashing-protection journal {path} is damaged: its file `seal` is gone or unreadable. This node must not \
         sign; docs/moving.md says how a history is brought back"
    )]
    Unsealed {
        /// The journal's folder.
        path: PathBuf,
    },
    /// A value that no version of this program wrote.
    #[error("the journal holds a damaged row for validator {0}")]
    Damaged(PublicKey),
}

#[derive(Encode, Decode)]
struct Meta {
    version: u16,
    cluster: Root,
}

/// How a write is made durable. Anything but [`Durability::Synced`] is for showing what it would lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// `flush()` and `fdatasync`.
    Synced,
    /// As synced, but the disk is not asked: for tests that play the disk.
    Played,
    /// `flush()` alone: the control of the power-cut test.
    FlushOnly,
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    database: sled::Db,
    rows: sled::Tree,
    file: File,
    durability: Durability,
    histories: BTreeMap<PublicKey, History>,
    tip: Tip,
    seal: Seal,
    failed: bool,
    _lock: File,
}

impl Journal {
    /// Opens or makes the journal of a cluster.
    ///
    /// - `folder`: made if absent, for the owner only; locked against a second process as long as this lives.
    /// - Errors: [`JournalError`]; a node whose journal does not open must not sign.
    pub fn open(folder: &Path, cluster: ClusterId) -> Result<Self, JournalError> {
        Self::open_with(folder, cluster, Durability::Synced)
    }

    /// The same, with a say in how writes are made durable.
    pub fn open_with(
        folder: &Path,
        cluster: ClusterId,
        durability: Durability,
    ) -> Result<Self, JournalError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Folder { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
        let lock = lock_folder(folder)?;
        let begin = Instant::now();
        let database = open_database(&folder.join("sled"), || {
            std::thread::sleep(CLOSING_POLL);
            begin.elapsed() < CLOSING_MAX
        })?;
        let path = folder.join("sled").join("db");
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(at(&path))?;
        let rows = database.open_tree(ROWS)?;
        let path = folder.join("seal");
        let (seal, found) = Seal::open(&path).map_err(at(&path))?;
        let histories = BTreeMap::new();
        let tip = Tip { batches: 0, digest: Digest::default() };
        let mut journal =
            Self { database, rows, file, durability, histories, tip, seal, failed: false, _lock: lock };
        journal.check_meta(cluster)?;
        journal.load()?;
        journal.check_seal(found, folder)?;
        for folder in [folder.join("sled"), folder.to_owned()] {
            let directory = File::open(&folder).map_err(at(&folder))?;
            fsync(&directory).map_err(|error| JournalError::Sync(error.into()))?;
        }
        Ok(journal)
    }

    fn check_meta(&self, cluster: ClusterId) -> Result<(), JournalError> {
        let Some(bytes) = self.database.get(META)? else {
            let meta = Meta { version: VERSION, cluster };
            self.database.insert(META, meta.as_ssz_bytes())?;
            return self.sync();
        };
        let version = bytes.get(..2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        match Meta::from_ssz_bytes(&bytes) {
            Ok(meta) if meta.version != VERSION => Err(JournalError::Version { have: meta.version }),
            Ok(meta) if meta.cluster != cluster => {
                Err(JournalError::Cluster { have: meta.cluster, want: cluster })
            }
            Ok(_) => Ok(()),
            Err(_) => Err(JournalError::Version { have: version }),
        }
    }

    fn load(&mut self) -> Result<(), JournalError> {
        for entry in self.rows.iter() {
            let (key, value) = entry?;
            if key == TIP {
                continue;
            }
            let (key, kind) = rows::split_key(&key).ok_or(JournalError::Damaged(PublicKey::ZERO))?;
            let history = self.histories.entry(key).or_default();
            rows::read(history, kind, &value).ok_or(JournalError::Damaged(key))?;
        }
        Ok(())
    }

    /// Compares what was loaded with what was durable. A journal that was never sealed is sealed as it is.
    fn check_seal(&mut self, found: Found, folder: &Path) -> Result<(), JournalError> {
        let path = folder.to_owned();
        let digest = digest(&self.histories);
        let tip = match self.rows.get(TIP)? {
            Some(bytes) => Some(Tip::from_ssz_bytes(&bytes).map_err(|_| JournalError::OtherRows { path })?),
            None => None,
        };
        let path = folder.to_owned();
        let have = tip.map_or(0, |tip| tip.batches);
        match found {
            // Batches are counted from the first seal on, so nothing can be missing before it.
            Found::Nothing if have == 0 => {}
            Found::Nothing | Found::Unreadable => return Err(JournalError::Unsealed { path }),
            Found::Sealed(Tip { batches: sealed, .. }) if tip.is_none() || have < sealed => {
                return Err(JournalError::RolledBack { path, have, sealed });
            }
            Found::Sealed(sealed) if have == sealed.batches && tip != Some(sealed) => {
                return Err(JournalError::OtherRows { path });
            }
            Found::Sealed(_) => {}
        }
        if tip.is_some_and(|tip| tip.digest != digest) {
            return Err(JournalError::OtherRows { path });
        }
        self.tip = Tip { batches: have, digest };
        if tip.is_none() {
            self.rows.insert(TIP, self.tip.as_ssz_bytes())?;
            self.sync()?;
        }
        self.seal.write(&self.tip).and_then(|()| self.seal.sync()).map_err(JournalError::Sync)
    }

    /// What is promised for these keys, in their order.
    pub fn histories(&self, keys: &[PublicKey]) -> Vec<History> {
        keys.iter().map(|key| self.histories.get(key).copied().unwrap_or_default()).collect()
    }

    /// All that is promised, by key.
    pub fn histories_all(&self) -> Vec<(PublicKey, History)> {
        self.histories.iter().map(|(key, history)| (*key, *history)).collect()
    }

    /// Makes rows of another program durable, those that raise a watermark: one batch, one sync.
    ///
    /// - Returns the keys of which something rose. What raises nothing leaves the last row as it is, with the signing
    ///   root that lets the same be signed again.
    /// - Errors: [`JournalError`]; the rows may then be durable or not, and importing them again does no harm.
    pub fn import(&mut self, rows: &[Row]) -> Result<BTreeSet<PublicKey>, JournalError> {
        let history = |row: &Row| self.histories.get(&row.key).copied().unwrap_or_default();
        let rising = |row: &&Row| history(row).would_rise(row.promise);
        let rising: Vec<Row> = rows.iter().filter(rising).copied().collect();
        self.append(&rising)?;
        Ok(rising.iter().map(|row| row.key).collect())
    }

    /// Makes rows durable, one batch and one sync, and seals them.
    ///
    /// - Errors: [`JournalError`]; after one nothing is taken any more, and the rows bind this process all the same.
    /// - Cost: the sync, and two hashes a row.
    pub fn append(&mut self, rows: &[Row]) -> Result<(), JournalError> {
        self.commit(rows)?;
        self.seal()
    }

    /// Makes rows durable. They are to be sealed, but who waits for them may be told before.
    fn commit(&mut self, rows: &[Row]) -> Result<(), JournalError> {
        let failed = std::mem::replace(&mut self.failed, true);
        let batch = self.batch(rows);
        if failed {
            return Err(JournalError::Failed);
        }
        self.rows.apply_batch(batch)?;
        self.sync()?;
        self.failed = false;
        Ok(())
    }

    fn seal(&mut self) -> Result<(), JournalError> {
        let pressed = match self.durability {
            Durability::Synced => self.seal.press(&self.tip),
            Durability::Played => self.seal.write(&self.tip),
            Durability::FlushOnly => Ok(()),
        };
        self.failed |= pressed.is_err();
        pressed.map_err(JournalError::Sync)
    }

    /// Takes rows into the histories; what has to be written of them, with the tip after it.
    fn batch(&mut self, rows: &[Row]) -> sled::Batch {
        let mut batch = sled::Batch::default();
        for row in rows {
            let history = self.histories.entry(row.key).or_default();
            if let Some((key, value)) = rows::write(row.key, history, row.promise) {
                self.tip.digest.flip(&key, &value);
            }
            history.append(row);
            let written = rows::write(row.key, history, row.promise);
            let (key, value) = written.expect("the row was just appended");
            self.tip.digest.flip(&key, &value);
            batch.insert(key, value);
        }
        self.tip.batches = self.tip.batches.saturating_add(1);
        batch.insert(TIP, self.tip.as_ssz_bytes());
        batch
    }

    fn sync(&self) -> Result<(), JournalError> {
        self.database.flush()?;
        match self.durability {
            Durability::Synced => fdatasync(&self.file).map_err(|error| JournalError::Sync(error.into())),
            Durability::Played | Durability::FlushOnly => Ok(()),
        }
    }
}

/// Opens sled's database in a folder that this process has locked.
///
/// sled has a lock of its own, which it keeps a moment longer than its handle lives: until its background threads have
/// gone. The folder's lock says that no other process is there, so whoever has sled's is on the way out, and is waited for.
///
/// - `wait`: waits a little; false if that was long enough.
fn open_database(folder: &Path, mut wait: impl FnMut() -> bool) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_locked(&error) && wait() => {}
            result => return result,
        }
    }
}

/// Whether this is sled's way to say that somebody has its lock: an error of no kind of its own.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// Of all rows.
fn digest(histories: &BTreeMap<PublicKey, History>) -> Digest {
    let mut digest = Digest::default();
    for (key, history) in histories {
        for (key, value) in rows::all(*key, history) {
            digest.flip(&key, &value);
        }
    }
    digest
}

fn lock_folder(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = open.map_err(|source| JournalError::Folder { path, source })?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| JournalError::InUse(folder.to_owned()))?;
    Ok(file)
}

/// The writer thread: takes rows, answers when they are durable.
#[derive(Debug)]
pub struct Writer {
    rows: mpsc::SyncSender<(Ticket, Vec<Row>)>,
}

impl Writer {
    /// Starts the thread. `answer` is called with each ticket and whether its rows are durable.
    pub fn start(
        mut journal: Journal,
        answer: impl Fn(Ticket, Result<(), &JournalError>) + Send + 'static,
    ) -> io::Result<Self> {
        let (rows, waiting) = mpsc::sync_channel::<(Ticket, Vec<Row>)>(WAITING_MAX);
        std::thread::Builder::new().name("journal".into()).spawn(move || {
            while let Ok(first) = waiting.recv() {
                let mut tickets = vec![first.0];
                let mut rows = first.1;
                for (ticket, more) in waiting.try_iter() {
                    tickets.push(ticket);
                    rows.extend(more);
                }
                let result = journal.commit(&rows);
                for ticket in tickets {
                    answer(ticket, result.as_ref().copied());
                }
                // Nobody waits for the seal. Without it the next rows are refused.
                if result.is_ok()
                    && let Err(error) = journal.seal()
                {
                    tracing::error!(%error, "the slashing-protection journal takes nothing more");
                }
            }
        })?;
        Ok(Self { rows })
    }

    /// Hands rows to the thread. `false`: they will not be written.
    pub fn write(&self, ticket: Ticket, rows: Vec<Row>) -> bool {
        self.rows.try_send((ticket, rows)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use symbolon_core::journal::Promise;
    use types::{Epoch, SigningRoot, Slot};

    const CLUSTER: ClusterId = Root([7; 32]);

    fn row(target: u64) -> Row {
        Row {
            key: PublicKey([1; 48]),
            slot: Slot(target * 32),
            promise: Promise::Attestation { source: Epoch(target - 1), target: Epoch(target) },
            root: Some(SigningRoot::compute(Root([target as u8; 32]), Root::ZERO)),
        }
    }

    #[test]
    fn what_was_appended_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), CLUSTER).unwrap();
        let block = Row { promise: Promise::Block { slot: Slot(70) }, slot: Slot(70), root: None, ..row(1) };
        journal.append(&[row(1), row(2), block]).unwrap();
        let before = journal.histories(&[row(1).key]);
        drop(journal);
        let journal = Journal::open(folder.path(), CLUSTER).unwrap();
        assert_eq!(journal.histories(&[row(1).key]), before);
        assert_eq!(before[0].attestation.unwrap().root, row(2).root);
        assert_eq!(before[0].block.unwrap().root, None);
        assert_eq!(journal.histories(&[PublicKey([9; 48])]), [History::default()]);
    }

    #[test]
    fn an_import_that_raises_nothing_changes_nothing_and_one_that_does_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), CLUSTER).unwrap();
        journal.append(&[row(5)]).unwrap();
        let before = journal.histories_all();
        let other = PublicKey([2; 48]);
        let imported = |target| Row { root: None, ..row(target) };
        assert_eq!(journal.import(&[imported(3), imported(5)]).unwrap(), [].into());
        assert_eq!(journal.histories_all(), before);
        let source = Promise::Attestation { source: Epoch(9), target: Epoch(1) };
        let rising = [Row { promise: source, ..imported(1) }, Row { key: other, ..imported(2) }];
        assert_eq!(journal.import(&rising).unwrap(), [row(5).key, other].into());
        drop(journal);
        let journal = Journal::open(folder.path(), CLUSTER).unwrap();
        let after = journal.histories_all();
        assert_eq!(after.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [row(5).key, other]);
        let last = after[0].1.attestation.unwrap();
        assert_eq!((last.source_max, last.target_max, last.slot), (Epoch(9), Epoch(5), row(5).slot));
    }

    #[test]
    fn a_journal_that_was_just_closed_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        drop(Journal::open(folder.path(), CLUSTER).unwrap());
        let database = folder.path().join("sled");
        let lock = || {
            let file = File::open(database.join("db")).unwrap();
            flock(&file, FlockOperation::LockExclusive).unwrap();
            file
        };
        // Whoever has sled's lock goes away while it is waited for.
        let mut last_user = Some(lock());
        drop(open_database(&database, || last_user.take().is_some()).unwrap());
        assert!(last_user.is_none());
        // And one that stays is not waited for without end.
        let _stays = lock();
        let mut waits = 3;
        let refused = open_database(&database, || {
            waits -= 1;
            waits > 0
        });
        assert!(refused.is_err());
        assert_eq!(waits, 0);
    }

    #[test]
    fn a_second_process_and_another_cluster_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), CLUSTER).unwrap();
        assert!(matches!(Journal::open(folder.path(), CLUSTER), Err(JournalError::InUse(_))));
        drop(journal);
        let other = Journal::open(folder.path(), Root([8; 32]));
        assert!(matches!(other, Err(JournalError::Cluster { .. })));
    }

    /// Bytes of all files in a folder and below it.
    fn bytes_in(folder: &Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let bytes = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
            inner if inner.is_dir() => bytes_in(&entry.path()),
            file => file.len(),
        };
        entries.map(bytes).sum()
    }

    #[test]
    fn the_disk_stays_constant_over_200_000_rows_of_eight_validators() {
        const VALIDATORS: u8 = 8;
        const EPOCHS: u64 = 25_000;
        /// sled's log comes in segments of this size.
        const SEGMENT_LEN: u64 = 512 << 10;
        /// Those in use, and those that are freed once the next ones are written: a quarter of the rows, kept, would take more.
        const BYTES_MAX: u64 = 8 * SEGMENT_LEN;
        let folder = tempfile::tempdir().unwrap();
        // Whether they are durable makes no difference to the room that they take, and a great one to the test's time.
        let mut journal = Journal::open_with(folder.path(), CLUSTER, Durability::FlushOnly).unwrap();
        let mut largest = [0; 4];
        for target in 1..=EPOCHS {
            let rows: Vec<_> =
                (0..VALIDATORS).map(|first| Row { key: PublicKey([first; 48]), ..row(target) }).collect();
            journal.append(&rows).unwrap();
            if target % 50 == 0 {
                let quarter = usize::try_from((target - 1) * 4 / EPOCHS).unwrap();
                largest[quarter] = bytes_in(folder.path()).max(largest[quarter]);
            }
        }
        assert_eq!(journal.rows.len(), usize::from(VALIDATORS) + 1, "rows and the tip");
        assert!(largest.iter().all(|bytes| *bytes <= BYTES_MAX), "{largest:?}");
        // sled gives segments back in a thread of its own, so one more or less may be there when it is looked at.
        assert!(largest[3] <= largest[2] + SEGMENT_LEN, "it still grows: {largest:?}");
        for _ in 0..10 {
            drop(journal);
            journal = Journal::open(folder.path(), CLUSTER).unwrap();
        }
        let opened_again = bytes_in(folder.path());
        assert!(opened_again <= BYTES_MAX, "{opened_again} bytes after ten more starts");
    }

    #[test]
    fn a_damaged_row_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), CLUSTER).unwrap();
        let mut key = vec![3; 48];
        key.push(rows::KIND_BLOCK);
        journal.rows.insert(key, &[1, 2, 3]).unwrap();
        drop(journal);
        let opened = Journal::open(folder.path(), CLUSTER);
        assert!(matches!(opened, Err(JournalError::Damaged(key)) if key == PublicKey([3; 48])));
    }
}
