//! A pool's board, as an operator's program uses it: fetch what was approved, say how far it is, deliver what came of it.
//!
//! The ceremony does not depend on it. What is fetched is taken only if it hashes to what the operator has approved; what is
//! said is said beside the ceremony, and a board that does not answer is tried again; what came of it is delivered when all
//! operators have their files, or later by `dvt-dkg deliver`.

use crate::ceremony::Step;
use crate::progress::Voice;
use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cluster::{Definition, Lock, PoolRequest, folder};
use keys::files::{PUBLIC, write_new};
use keys::identity::{KEY_FILE, NodeKey};
use remote::board::{Board, BoardError, Notice, Receipt, SignedRequest, lock_path, presence_path};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use types::{Address, Root, ShareIndex};

/// How often a node speaks though nothing is new: a board forgets who is silent for ten minutes.
const EVERY: Duration = Duration::from_secs(60);
/// Between two tries at a board that does not answer.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two words: whatever changes meanwhile is in the next.
const GAP: Duration = Duration::from_millis(500);
/// How long what is signed is valid, in seconds: half of what a pool allows, so that either clock may be ahead.
const VALID_S: u64 = 150;

/// Where a definition comes from, and where the lock goes.
#[derive(Clone, Debug)]
pub struct BoardTerms {
    /// The board.
    pub board: Arc<Board>,
    /// How long it is tried to deliver the lock to a board that does not answer.
    pub patience: Duration,
}

/// What became of a lock that was to be delivered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Delivery {
    /// The pool has taken it.
    #[error("the pool has taken the lock")]
    Taken,
    /// The pool had it.
    #[error("the pool has the lock already")]
    Had,
    /// It was not delivered: why.
    #[error("the lock is not delivered: {0}; dvt-dkg deliver does it later")]
    Not(String),
}

impl From<Receipt> for Delivery {
    fn from(receipt: Receipt) -> Self {
        match receipt {
            Receipt::Taken => Self::Taken,
            Receipt::Had => Self::Had,
        }
    }
}

/// A node's word, as the board takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    step: &'static str,
    waiting_for: Vec<u8>,
    done: bool,
}

/// What a request is signed for. It does not change.
#[derive(Clone, Copy, Debug)]
struct Addressee {
    pool: Root,
    chain_id: u64,
}

/// A definition, before its hash is compared.
#[derive(Clone, Debug)]
pub(crate) enum Approved {
    /// In a file.
    File(PathBuf),
    /// From a board, to be kept here.
    Fetched(Box<Definition>, PathBuf),
}

impl Approved {
    /// The definition of this hash: the one that was kept, or the board's.
    pub(crate) async fn at_board(board: &Board, hash: Root, data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(folder::fetched_definition(hash));
        if path.exists() {
            return Ok(Self::File(path));
        }
        Ok(Self::Fetched(Box::new(fetch(board, hash).await?), path))
    }

    /// Where it is, or will be.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Fetched(_, path) => path,
        }
    }

    /// Reads it. Errors: it is not there, or is none.
    pub(crate) fn read(&self) -> anyhow::Result<Definition> {
        match self {
            Self::File(path) => {
                let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                Definition::parse(&bytes).with_context(|| path.display().to_string())
            }
            Self::Fetched(definition, _) => Ok((**definition).clone()),
        }
    }

    /// Keeps what was fetched: a restart needs no board.
    pub(crate) fn keep(&self) -> anyhow::Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Fetched(definition, path) => Ok(write_new(path, definition.to_json().as_bytes(), PUBLIC)?),
        }
    }
}

/// The definition of this hash from a board. Errors: no answer; it has none; it has another.
async fn fetch(board: &Board, approved: Root) -> anyhow::Result<Definition> {
    let label = board.label();
    let notice = board.notice(approved).await;
    let notice = notice.with_context(|| format!("no definition from the board at {label}"))?;
    let definition = Definition::parse(notice.definition.as_bytes());
    let definition = definition.with_context(|| format!("the definition of the board at {label}"))?;
    let have = definition.definition_hash();
    ensure!(
        have == approved,
        "the board at {label} hands out a definition with hash {have}, approved was {approved}"
    );
    Ok(definition)
}

/// A node at a board: what it sends is signed with its key.
#[derive(Debug)]
pub struct Desk {
    board: Arc<Board>,
    key: NodeKey,
    address: Address,
    cluster: Root,
    nonce: AtomicU64,
}

impl Desk {
    /// For the node of a data folder.
    ///
    /// - `cluster`: the hash of the definition.
    /// - Errors: the folder has no node key.
    pub fn new(board: Arc<Board>, data_dir: &Path, cluster: Root) -> anyhow::Result<Self> {
        let key = NodeKey::load(&data_dir.join(KEY_FILE))?;
        let address = cluster::NodeKey::new(key.public())?.address();
        Ok(Self { board, key, address, cluster, nonce: AtomicU64::new(0) })
    }

    /// Scheme, host and port of the board.
    pub fn label(&self) -> &str {
        self.board.label()
    }

    /// Milliseconds of the clock, and above all before: a pool wants nonces to rise, also over a restart.
    fn next_nonce(&self) -> u64 {
        let clock = now().as_millis() as u64;
        let next = |last: u64| Some(clock.max(last + 1));
        let last = self.nonce.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(clock);
        clock.max(last + 1)
    }

    fn sign(&self, to: Addressee, method: &str, path: String, body: Bytes) -> SignedRequest {
        let Addressee { pool, chain_id } = to;
        let (nonce, expiry) = (self.next_nonce(), now().as_secs() + VALID_S);
        let request = PoolRequest { method, path: &path, body: &body, pool, nonce, expiry };
        let mut signature = self.key.sign_prehash_recoverable(&request.digest(chain_id).0);
        // Wallets count from 27.
        signature[64] += 27;
        SignedRequest { path, body, pool, signer: self.address, nonce, expiry, signature }
    }

    async fn addressee(&self) -> Result<Addressee, BoardError> {
        let Notice { pool, chain_id, .. } = self.board.notice(self.cluster).await?;
        Ok(Addressee { pool, chain_id })
    }

    async fn say(&self, word: &Word, known: &mut Option<Addressee>) -> Result<(), BoardError> {
        let to = match known {
            Some(known) => *known,
            None => *known.insert(self.addressee().await?),
        };
        let Word { step, waiting_for, done } = word;
        let body = json!({ "step": step, "waiting_for": waiting_for, "done": done }).to_string();
        let request = self.sign(to, Board::SAY, presence_path(self.cluster), body.into());
        self.board.say(&request).await
    }

    /// Delivers the lock of this cluster. Tried again until `patience` is over while the board does not answer.
    ///
    /// - `lock`: the file, to the byte.
    pub async fn deliver(&self, lock: Bytes, patience: Duration) -> Result<Receipt, BoardError> {
        let until = Instant::now() + patience;
        loop {
            match self.deliver_once(lock.clone()).await {
                Err(error) if error.passes() && Instant::now() + AGAIN < until => sleep(AGAIN).await,
                done => return done,
            }
        }
    }

    async fn deliver_once(&self, lock: Bytes) -> Result<Receipt, BoardError> {
        let to = self.addressee().await?;
        self.board.deliver(&self.sign(to, Board::DELIVER, lock_path(self.cluster), lock)).await
    }

    /// After a ceremony: delivers what it has left, if everybody has its files.
    ///
    /// - `missing`: operators that have not said so. The pool's money would go to keys of which perhaps too few have a share,
    ///   so it is left to people.
    pub async fn hand_in(&self, data_dir: &Path, missing: &[ShareIndex], patience: Duration) -> Delivery {
        if !missing.is_empty() {
            let list: Vec<_> = missing.iter().map(|one| one.get().to_string()).collect();
            return Delivery::Not(format!("operators {} have not confirmed their files", list.join(", ")));
        }
        let path = data_dir.join(folder::LOCK);
        match std::fs::read(&path) {
            Ok(lock) => match self.deliver(lock.into(), patience).await {
                Ok(receipt) => receipt.into(),
                Err(error) => Delivery::Not(error.to_string()),
            },
            Err(error) => Delivery::Not(format!("cannot read {}: {error}", path.display())),
        }
    }
}

/// Delivers the lock of a data folder: `dvt-dkg deliver`.
pub async fn deliver_folder(board: Arc<Board>, data_dir: &Path) -> anyhow::Result<(Root, Delivery)> {
    let path = data_dir.join(folder::LOCK);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lock = Lock::parse(&bytes).with_context(|| path.display().to_string())?;
    let desk = Desk::new(board, data_dir, lock.definition().definition_hash())?;
    let receipt = desk.deliver(bytes.into(), Duration::ZERO).await;
    let receipt = receipt.with_context(|| format!("the board at {} has not taken the lock", desk.label()))?;
    Ok((lock.lock_hash(), receipt.into()))
}

/// What tells the board, as the ceremony's thread has it. It never waits.
#[derive(Debug)]
pub struct Reporter(watch::Sender<Option<Word>>);

impl Reporter {
    /// Begins to tell the board of a node, in the background, as long as the reporter lives. Needs a runtime.
    pub fn start(desk: Arc<Desk>, voice: Voice) -> Self {
        let (words, heard) = watch::channel(None);
        tokio::spawn(speak(desk, heard, voice));
        Self(words)
    }

    /// The ceremony is in this step here, and waits for these.
    pub fn show(&self, step: Step, waiting: impl IntoIterator<Item = ShareIndex>) {
        let waiting_for = waiting.into_iter().map(ShareIndex::get).collect();
        let word = Some(Word { step: name(step), waiting_for, done: is_done(step) });
        self.0.send_if_modified(|last| {
            let other = *last != word;
            *last = word;
            other
        });
    }
}

/// A step as a board calls it.
const fn name(step: Step) -> &'static str {
    match step {
        Step::Gather => "gather",
        Step::Round1 => "round1",
        Step::Echo => "echo",
        Step::Round2 => "round2",
        Step::Seal => "seal",
        Step::Lock => "lock",
        Step::Done => "done",
        Step::Farewell => "farewell",
        Step::Complaint => "complaint",
    }
}

/// Whether this operator's files are on disk.
const fn is_done(step: Step) -> bool {
    matches!(step, Step::Done | Step::Farewell)
}

/// Says each word, and the last one again from time to time. A board that does not answer is complained of once.
async fn speak(desk: Arc<Desk>, mut words: watch::Receiver<Option<Word>>, voice: Voice) {
    let (mut known, mut complained) = (None, false);
    while words.wait_for(Option::is_some).await.is_ok() {
        let word = words.borrow_and_update().clone();
        let said = match &word {
            Some(word) => desk.say(word, &mut known).await,
            None => Ok(()),
        };
        let (pause, rest) = match said {
            Ok(()) => (GAP, EVERY),
            Err(error) => {
                if !std::mem::replace(&mut complained, true) {
                    let label = desk.label();
                    voice.say(&format!(
                        "the board at {label} is not told: {error}; the ceremony goes on without it"
                    ));
                }
                (AGAIN, Duration::ZERO)
            }
        };
        sleep(pause).await;
        // A word that is new, or the same again; and nothing once the ceremony is over.
        if let Ok(Err(_)) = timeout(rest, words.changed()).await {
            return;
        }
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::OsRng;

    fn desk(folder: &Path) -> Desk {
        NodeKey::create_new(&folder.join(KEY_FILE), &mut OsRng).unwrap();
        // Nobody listens there.
        Desk::new(Arc::new(Board::new("http://127.0.0.1:1").unwrap()), folder, Root([7; 32])).unwrap()
    }

    #[test]
    fn nonces_rise_also_within_a_millisecond() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path());
        let nonces: Vec<_> = (0..1_000).map(|_| desk.next_nonce()).collect();
        assert!(nonces.windows(2).all(|pair| pair[0] < pair[1]));
        let clock = now().as_millis() as u64;
        assert!(nonces[0].abs_diff(clock) < 60_000, "by the clock, so that a restart goes on above");
    }

    #[tokio::test]
    async fn a_lock_that_not_all_have_is_left_to_people() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path());
        let missing = [ShareIndex::new(2).unwrap(), ShareIndex::new(4).unwrap()];
        let withheld = desk.hand_in(folder.path(), &missing, Duration::ZERO).await;
        let words = "operators 2, 4 have not confirmed their files".to_owned();
        assert_eq!(withheld, Delivery::Not(words));
        std::fs::write(folder.path().join(folder::LOCK), "{}").unwrap();
        let Delivery::Not(words) = desk.hand_in(folder.path(), &[], Duration::ZERO).await else {
            panic!("nobody was there to take it")
        };
        assert!(words.contains("no connection"), "{words}");
    }
}
