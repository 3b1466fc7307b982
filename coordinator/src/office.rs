//! The office: a ledger whose entries are on disk before anybody hears of them.
//!
//! ```text
//! request, observation -> ledger decides -> entry -> store, durable -> answer
//! ```
//!
//! What opens is replayed from its first entry and compared with every head that was ever published, so an office never
//! serves a log that it would not verify for somebody else.

use crate::board::{Board, Notice, WordRefusal};
use crate::canonical;
use crate::key::CoordinatorKey;
use crate::ledger::charter::Charter;
use crate::ledger::head::AuditError;
use crate::ledger::snapshot::{self, SnapshotError};
use crate::ledger::{AppendError, Audit, Head, Ledger, Observation, Replay, Sealed, SignedHead};
use crate::request::{Incoming, WalletSignature};
use crate::store::{LogStore, StoreError};
use crate::text::Label;
use crate::verify;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use thiserror::Error;
use types::{Address, ClusterId};

/// Entries after which a state is kept as a snapshot,
const SNAPSHOT_ENTRIES: u64 = 10_000;
/// or bytes of them: some 80,000 payments, which the next start replays in a second.
const SNAPSHOT_LEN: u64 = 64 << 20;
/// Bytes of the state for each second in which a head is the newest, whatever comes after it. So those who ask take no more
/// than some hundredths of a core, and a pool whose state has less has one of each moment.
const HEAD_BYTES_PER_S: u64 = 4 << 20;

/// The folder of the log in a coordinator's folder.
pub const LOG_FOLDER: &str = "log";

/// Why an office does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log is not what it was.
    #[error("the log does not verify: {0}")]
    Audit(#[from] AuditError),
    /// A snapshot that is not believed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A head that nobody wrote so.
    #[error("the log is damaged: a head that was published cannot be read: {0}")]
    Head(#[from] canonical::CanonicalError),
    /// There is a log already.
    #[error("there is a pool already, of {0} entries: a pool is founded once")]
    Founded(u64),
    /// A pool that cannot be.
    #[error(transparent)]
    Charter(#[from] AppendError),
    /// Founded with another key than this office has.
    #[error("the charter's coordinator is {want}, this folder's key is {have}")]
    OtherKey {
        /// The key's.
        have: Address,
        /// The charter's.
        want: Address,
    },
    /// A log to be taken over that lacks its first entry, or has none.
    #[error("there is nothing to take over: the log is empty")]
    Empty,
}

/// Why something is not written.
#[derive(Debug, Error)]
pub enum OfficeError {
    /// It is refused; nothing has changed.
    #[error(transparent)]
    Refused(#[from] AppendError),
    /// The disk failed: what was decided is not on it, or may be. Only a restart knows.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk failed before.
    #[error("the log's disk has failed; nothing is written or told until the coordinator is started again")]
    Broken,
    /// An observation by an office whose key is not the pool's.
    #[error(
        "the pool's coordinator is {want}, this office's key is {have}: it records requests, and sees nothing"
    )]
    NotTheCoordinator {
        /// This office's.
        have: Address,
        /// The pool's.
        want: Address,
    },
    /// A head on the disk is not what was written.
    #[error("the log is damaged: a head that was published cannot be read: {0}")]
    Head(#[from] canonical::CanonicalError),
    /// There was no head of this size.
    #[error("no head of {0} entries was published")]
    NoHead(u64),
    /// Somebody who countersigns nothing.
    #[error("{0} is no operator's manager and no guardian: its signature says nothing about a head")]
    Stranger(Address),
    /// No signature.
    #[error(transparent)]
    Signature(#[from] crate::request::SignatureError),
    /// A node's word that the board does not take.
    #[error(transparent)]
    Word(#[from] WordRefusal),
}

/// A head with everybody who has signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The head, signed by the coordinator.
    pub signed: SignedHead,
    /// Operators' managers and guardians that saw the same: their signatures over the same digest.
    pub countersigned: BTreeMap<Address, WalletSignature>,
}

/// The office.
#[derive(Debug)]
pub struct Office {
    ledger: Ledger,
    store: LogStore,
    key: CoordinatorKey,
    board: Board,
    broken: bool,
    /// Entries when the last snapshot was kept, or when the office was opened from one.
    kept: u64,
    /// Entries when the last was to be kept, and bytes of those that came after it.
    tried: u64,
    untried: u64,
    /// Bytes of the state when it was hashed last.
    state_len: u64,
    newest: Option<Newest>,
}

/// A head that is the newest from a time until another, in Unix seconds.
#[derive(Clone, Copy, Debug)]
struct Newest {
    size: u64,
    from: u64,
    until: u64,
}

impl Newest {
    /// A head that was made now, of a state of so many bytes.
    fn of(size: u64, now: u64, state_len: u64) -> Self {
        Self { size, from: now, until: now.saturating_add(state_len / HEAD_BYTES_PER_S) }
    }
}

impl Office {
    /// Founds a pool in a folder, at a time in Unix seconds.
    pub fn found(folder: &Path, key: CoordinatorKey, charter: Charter, now: u64) -> Result<Self, OpenError> {
        let (have, want) = (key.address(), charter.coordinator);
        if have != want {
            return Err(OpenError::OtherKey { have, want });
        }
        let (ledger, first) = Ledger::found(charter, now)?;
        let mut store = LogStore::open_or_make(&folder.join(LOG_FOLDER))?;
        if !store.is_empty() {
            return Err(OpenError::Founded(store.len()));
        }
        store.append(&first.bytes())?;
        Ok(Self::of(ledger, store, key, 0))
    }

    /// Opens the office of a folder. Cost: what came after the last snapshot is replayed; without one, the whole log.
    pub fn open(folder: &Path, key: CoordinatorKey) -> Result<Self, OpenError> {
        let store = LogStore::open(&folder.join(LOG_FOLDER))?;
        let (ledger, kept) = match reopen(&store)? {
            Some(ledger) => (ledger, store.len()),
            None => (verify_store(&store)?, 0),
        };
        Ok(Self::of(ledger, store, key, kept))
    }

    /// Takes another coordinator's log over, into a folder that has none.
    ///
    /// - `log`: all entries, as exported. They are verified before the first is written.
    pub fn take_over(folder: &Path, key: CoordinatorKey, log: &[Vec<u8>]) -> Result<Self, OpenError> {
        if log.is_empty() {
            return Err(OpenError::Empty);
        }
        let read = log.iter().map(|entry| Ok::<_, AuditError>(entry.clone()));
        let ledger = verify::finish(Audit::new(Replay::default(), &[]), None, read)?;
        let mut store = LogStore::open_or_make(&folder.join(LOG_FOLDER))?;
        if !store.is_empty() {
            return Err(OpenError::Founded(store.len()));
        }
        for entry in log {
            store.append(entry)?;
        }
        Ok(Self::of(ledger, store, key, 0))
    }

    fn of(ledger: Ledger, store: LogStore, key: CoordinatorKey, kept: u64) -> Self {
        let board = Board::default();
        let (broken, untried, state_len, newest) = (false, 0, 0, None);
        Self { ledger, store, key, board, broken, kept, tried: kept, untried, state_len, newest }
    }

    /// The ledger, unless what it knows may not be on the disk.
    pub fn ledger(&self) -> Result<&Ledger, OfficeError> {
        if self.broken { Err(OfficeError::Broken) } else { Ok(&self.ledger) }
    }

    /// The key's address.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Writes what somebody wishes, at a time in Unix seconds: durable when this returns.
    pub fn request(&mut self, now: u64, incoming: &Incoming) -> Result<Sealed, OfficeError> {
        self.ledger()?;
        let sealed = self.ledger.request(self.not_before(now), incoming)?;
        self.keep(sealed)
    }

    /// Writes what the coordinator has seen.
    pub fn observe(&mut self, now: u64, kind: Label, body: String) -> Result<Sealed, OfficeError> {
        self.ledger()?;
        let (have, want) = (self.address(), self.ledger.state().governance.coordinator);
        if have != want {
            return Err(OfficeError::NotTheCoordinator { have, want });
        }
        let now = self.not_before(now);
        let signature = self.key.sign(self.ledger.position(now).digest(&kind, &body));
        let sealed = self.ledger.observe(now, Observation { kind, body, signature })?;
        self.keep(sealed)
    }

    /// Takes a node's word of how far its ceremony is. It is kept in memory, not in the log.
    pub fn hear(&mut self, now: u64, cluster: ClusterId, incoming: &Incoming) -> Result<(), OfficeError> {
        if self.broken {
            return Err(OfficeError::Broken);
        }
        Ok(self.board.hear(now, self.ledger.state(), cluster, incoming)?)
    }

    /// What can be read of a cluster's ceremony; nothing if the pool has no such cluster and asks for none.
    pub fn notice(&self, now: u64, cluster: ClusterId) -> Result<Option<Notice<'_>>, OfficeError> {
        Ok(self.board.notice(now, self.ledger()?.state(), cluster))
    }

    /// A clock that was set back does not stop the office: time stands still until it has caught up.
    fn not_before(&self, now: u64) -> u64 {
        now.max(self.ledger.at())
    }

    fn keep(&mut self, sealed: Sealed) -> Result<Sealed, OfficeError> {
        // The ledger is ahead of the disk from here on, until the disk says otherwise.
        self.broken = true;
        let stored = sealed.bytes();
        self.store.append(&stored)?;
        self.broken = false;
        self.untried += stored.len() as u64;
        if self.is_snapshot_due()
            && self.address() == self.ledger.state().governance.coordinator
            && let Err(error) = self.head()
        {
            // The entry is on the disk, whatever becomes of what only makes the next start faster.
            tracing::warn!("no snapshot is kept: {error}");
        }
        Ok(sealed)
    }

    fn is_snapshot_due(&self) -> bool {
        self.ledger.tree().size() - self.tried >= SNAPSHOT_ENTRIES || self.untried >= SNAPSHOT_LEN
    }

    /// The head of now, signed and kept.
    ///
    /// - Cost: the first time at a size the whole state is hashed, and one sync.
    pub fn head(&mut self) -> Result<Published, OfficeError> {
        let size = self.ledger()?.tree().size();
        if let Some(published) = self.published(size)? {
            return Ok(published);
        }
        let (have, want) = (self.address(), self.ledger.state().governance.coordinator);
        if have != want {
            return Err(OfficeError::NotTheCoordinator { have, want });
        }
        let (state, len) = self.ledger.state().root_and_len();
        let head = self.ledger.head_with(state);
        let signature = self.key.sign(head.digest(self.ledger.state().charter.network.chain_id));
        let published = Published { signed: SignedHead { head, signature }, countersigned: BTreeMap::new() };
        self.store.keep_head(size, &canonical::bytes(&published))?;
        self.state_len = len;
        if self.is_snapshot_due() {
            self.snapshot(&head);
        }
        Ok(published)
    }

    /// The newest head, at a time in Unix seconds: of now, or of a while ago if the state is large.
    ///
    /// - Cost: [`Self::head`]'s, but once in so long that it does not matter.
    pub fn newest_head(&mut self, now: u64) -> Result<Published, OfficeError> {
        self.ledger()?;
        let fresh = self.newest.filter(|newest| (newest.from..newest.until).contains(&now));
        if let Some(published) = fresh.map(|newest| self.published(newest.size)).transpose()?.flatten() {
            return Ok(published);
        }
        let published = self.head()?;
        self.newest = Some(Newest::of(published.signed.head.size, now, self.state_len));
        Ok(published)
    }

    /// Keeps what the next start goes on from. It may fail: then more is replayed.
    fn snapshot(&mut self, head: &Head) {
        (self.tried, self.untried) = (head.size, 0);
        match self.store.keep_snapshot(&self.ledger.snapshot(head)) {
            Ok(()) => self.kept = head.size,
            Err(error) => tracing::warn!("no snapshot is kept: {error}"),
        }
    }

    /// What is done before the office closes: a head of all that is in the log, and a snapshot of it.
    pub fn close(&mut self) -> Result<(), OfficeError> {
        let head = self.head()?.signed.head;
        if self.kept < head.size {
            self.snapshot(&head);
        }
        Ok(())
    }

    /// The head that was published at a size.
    pub fn published(&self, size: u64) -> Result<Option<Published>, OfficeError> {
        Ok(self.store.head(size)?.map(|bytes| canonical::read(&bytes)).transpose()?)
    }

    /// An operator, or a guardian, says that it has seen the same head.
    ///
    /// - Errors: no such head was published; the signature is nobody's who counts.
    pub fn countersign(&mut self, size: u64, signature: WalletSignature) -> Result<Published, OfficeError> {
        let mut published = self.published(size)?.ok_or(OfficeError::NoHead(size))?;
        let state = self.ledger()?.state();
        let signer = signature.signer(published.signed.head.digest(state.charter.network.chain_id))?;
        let manages = state.operators.operators.values().any(|operator| operator.manager == signer);
        if !manages && !state.governance.guardians.has(signer) {
            return Err(OfficeError::Stranger(signer));
        }
        published.countersigned.insert(signer, signature);
        self.store.keep_head(size, &canonical::bytes(&published))?;
        Ok(published)
    }

    /// The head that was published last, whatever has come since.
    pub fn published_last(&self) -> Result<Option<Published>, OfficeError> {
        Ok(self.store.last_head()?.map(|bytes| canonical::read(&bytes)).transpose()?)
    }

    /// How many entries there are.
    pub fn entries_len(&self) -> u64 {
        self.store.len()
    }

    /// How many words of nodes the board has taken.
    pub fn words(&self) -> u64 {
        self.board.taken()
    }

    /// Stored entries from a number on, at most so many.
    pub fn entries(&self, from: u64, count: usize) -> Result<Vec<Vec<u8>>, OfficeError> {
        self.entries_within(from, count, usize::MAX)
    }

    /// The same, and after so many bytes no more; one in any case, if there is one.
    pub fn entries_within(&self, from: u64, count: usize, len: usize) -> Result<Vec<Vec<u8>>, OfficeError> {
        self.ledger()?;
        let (mut entries, mut left) = (Vec::new(), len);
        for seq in from..from.saturating_add(count as u64).min(self.store.len()) {
            let Some(entry) = self.store.entry(seq)? else { break };
            if entry.len() > left && !entries.is_empty() {
                break;
            }
            left = left.saturating_sub(entry.len());
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// Replays a stored log, and compares it with every head that was published of it.
pub fn verify_store(store: &LogStore) -> Result<Ledger, OpenError> {
    let entries = store.entries_from(0).map(|entry| Ok::<_, OpenError>(entry?));
    verify::finish(Audit::of_own(Replay::default(), &heads(store, 0)?), None, entries)
}

/// Goes on from a store's snapshot, if it has one that a published head is of, and replays what came after.
fn reopen(store: &LogStore) -> Result<Option<Ledger>, OpenError> {
    let Some(snapshot) = store.snapshot()? else { return Ok(None) };
    let resumed = || {
        let size = snapshot::head_of(&snapshot)?.size;
        let of_it = heads(store, size)?.into_iter().find(|signed| signed.head.size == size);
        Ok::<_, OpenError>(Ledger::resume(&snapshot, &of_it.ok_or(SnapshotError::NoHead)?)?)
    };
    let ledger = match resumed() {
        Ok(ledger) => ledger,
        Err(error) => {
            tracing::warn!("the snapshot is not used, and the whole log is replayed: {error}");
            return Ok(None);
        }
    };
    let of = (ledger.state().pool, ledger.state().charter.network.chain_id);
    let size = ledger.tree().size();
    let tail = store.entries_from(size).map(|entry| Ok::<_, OpenError>(entry?));
    verify::finish(Audit::of_own(ledger.into(), &heads(store, size)?), Some(of), tail).map(Some)
}

/// All heads that were published from a size on.
fn heads(store: &LogStore, size: u64) -> Result<Vec<SignedHead>, OpenError> {
    store.heads_from(size).map(|head| Ok(canonical::read::<Published>(&head?)?.signed)).collect()
}

#[cfg(test)]
mod tests;
