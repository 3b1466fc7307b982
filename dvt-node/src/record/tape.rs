//! A record on its way to the disk: a bounded buffer, and a thread of its own. The node never waits for it.
//!
//! If the disk is too slow, or the record as long as it may be, the record ends with an entry that says so, and the node
//! goes on without one.

use super::coded::Coded as _;
use super::entry::{End, Entry};
use super::file::{ENTRY_LEN_MAX, FRAMING_LEN, Writing};
use super::start::Start;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread::JoinHandle;
use thiserror::Error;

/// Entries that may wait for the disk: as many as events for the loop, each with what came of it.
const WAITING_MAX: usize = 8192;

/// Bytes that may wait for the disk: four of the longest frames, or some minutes of a thousand validators.
const WAITING_LEN_MAX: usize = 64 << 20;

/// Room for less is none: a slot of one validator takes some 15 KB, and a record begins with its validators.
const ROOM_MIN: u64 = 1 << 20;

/// The names of records in a folder; between them the operator, and when the process started.
const PREFIX: &str = "record-";
const SUFFIX: &str = ".symrec";

/// Why there is no record.
#[derive(Debug, Error)]
pub enum TapeError {
    /// The folder, or a file in it.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Earlier records have taken all that is allowed.
    #[error("the records in {folder} take {have} bytes of at most {len_max}: move them away")]
    Full {
        /// Where they are.
        folder: PathBuf,
        /// What they take.
        have: u64,
        /// What they may.
        len_max: u64,
    },
    /// No thread.
    #[error("cannot start the record's thread: {0}")]
    Thread(io::Error),
}

/// The node's end of a record.
#[derive(Debug)]
pub struct Tape {
    entries: Option<SyncSender<Vec<u8>>>,
    waiting_len: Arc<AtomicUsize>,
    /// Where the thread looks for the last entry, once no more come.
    end: Arc<std::sync::Mutex<End>>,
    thread: Option<JoinHandle<()>>,
}

impl Tape {
    /// Begins a record in a folder, in a new file for its owner only.
    ///
    /// - `len_max`: bytes that all records in the folder may take together. None of them is ever removed here.
    /// - Errors: [`TapeError`].
    pub fn create(folder: &Path, len_max: u64, start: &Start) -> Result<(Self, PathBuf), TapeError> {
        let io = |source| TapeError::Io { path: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let have = records_len(folder).map_err(io)?;
        let room = len_max.saturating_sub(have);
        if room < ROOM_MIN {
            return Err(TapeError::Full { folder: folder.to_owned(), have, len_max });
        }
        let (operator, started) = (start.setup.me, start.setup.started.0);
        let path = folder.join(format!("{PREFIX}{operator}-{started}{SUFFIX}"));
        let file = new_file(&path).map_err(|source| TapeError::Io { path: path.clone(), source })?;
        let tape = Self::start(BufWriter::new(file), room, start).map_err(TapeError::Thread)?;
        Ok((tape, path))
    }

    /// Begins a record of at most `len_max` bytes.
    ///
    /// - Errors: the system has no thread.
    pub fn start(out: impl Write + Send + 'static, len_max: u64, start: &Start) -> io::Result<Self> {
        let (entries, waiting) = mpsc::sync_channel(WAITING_MAX);
        let waiting_len = Arc::new(AtomicUsize::new(0));
        let end = Arc::new(std::sync::Mutex::new(End::Stopped));
        let mut first = Vec::new();
        start.put(&mut first);
        let work = Work { waiting, waiting_len: waiting_len.clone(), len_max };
        let last = end.clone();
        let thread = std::thread::Builder::new().name("record".into()).spawn(move || {
            if let Err(error) = work.write(out, &first, &last) {
                tracing::error!(%error, "the record cannot be written; the node goes on without");
            }
        })?;
        Ok(Self { entries: Some(entries), waiting_len, end, thread: Some(thread) })
    }

    /// Whether entries are still taken.
    pub const fn is_running(&self) -> bool {
        self.entries.is_some()
    }

    /// Hands an entry over; never waits. If there is no room for it, the record ends.
    pub fn put(&mut self, entry: Vec<u8>) {
        let Some(entries) = &self.entries else { return };
        let len = entry.len();
        let waiting = self.waiting_len.fetch_add(len, Ordering::Relaxed);
        if waiting + len > WAITING_LEN_MAX || len > ENTRY_LEN_MAX {
            return self.close(End::Behind);
        }
        match entries.try_send(entry) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(_)) => self.close(End::Behind),
            // The thread has ended by itself, and has said why.
            Err(mpsc::TrySendError::Disconnected(_)) => self.entries = None,
        }
    }

    fn close(&mut self, end: End) {
        tracing::warn!(%end, "the record ends");
        // Nobody panics with this lock.
        *self.end.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = end;
        self.entries = None;
    }
}

impl Drop for Tape {
    /// Waits until what was handed over is written.
    fn drop(&mut self) {
        if self.entries.is_some() {
            if std::thread::panicking() {
                self.close(End::Panicked);
            }
            self.entries = None;
        }
        if let Some(thread) = self.thread.take() {
            // It has logged what it died of.
            let _ = thread.join();
        }
    }
}

/// The thread's end.
struct Work {
    waiting: Receiver<Vec<u8>>,
    waiting_len: Arc<AtomicUsize>,
    len_max: u64,
}

impl Work {
    fn write(self, out: impl Write, first: &[u8], last: &std::sync::Mutex<End>) -> io::Result<()> {
        let mut end = Vec::new();
        let mut file = Writing::begin(out)?;
        file.entry(first)?;
        let full = loop {
            let Some(entry) = self.next(&mut file)? else { break None };
            // The last entry has two bytes.
            if file.len + (entry.len() + 2 * FRAMING_LEN + 2) as u64 > self.len_max {
                tracing::warn!(
                    len = file.len,
                    "the record is as long as it may be; the node goes on without"
                );
                break Some(End::Full);
            }
            file.entry(&entry)?;
            self.waiting_len.fetch_sub(entry.len(), Ordering::Relaxed);
        };
        // No more is taken from here on.
        drop(self.waiting);
        let why = full.unwrap_or_else(|| *last.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        Entry::End(why).put(&mut end);
        file.entry(&end)?;
        file.flush()
    }

    /// The next entry; `None` once no more come. While there is none, all before it are on their way to the disk.
    fn next(&self, file: &mut Writing<impl Write>) -> io::Result<Option<Vec<u8>>> {
        match self.waiting.try_recv() {
            Ok(entry) => return Ok(Some(entry)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => file.flush()?,
        }
        Ok(self.waiting.recv().ok())
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// What all records in a folder take.
fn records_len(folder: &Path) -> io::Result<u64> {
    let mut len = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_record = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if is_record {
            len += entry.metadata()?.len();
        }
    }
    Ok(len)
}
