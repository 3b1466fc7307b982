//! The desk: what a person has to say, said to the office of a folder, whether it serves or not.
//!
//! ```text
//! said, answered   JSON, a line each, over a socket in the folder: {"observe": ..} or {"call": ..}; {"written": ..} or {"refused": ..}
//! nobody serves    the office is opened, told, and closed
//! ```
//!
//! Only whoever owns the folder reaches the socket. One is heard at a time, and within a while.

use crate::api::{ApiError, Shared, now};
use crate::canonical;
use crate::formation::Delegation;
use crate::formulas::allocation::ACTIVATION;
use crate::key::{CoordinatorKey, KeyError};
use crate::ledger::calls::Wanted;
use crate::ledger::state::Event;
use crate::ledger::{Sealed, State};
use crate::office::{Office, OfficeError, OpenError};
use crate::text::Label;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead as _, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as Caller;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use types::{Epoch, Gwei, Root};

/// The socket, in a coordinator's folder.
pub const SOCKET: &str = "desk.sock";
/// The folder in which it is made, before it is anybody's to reach.
const MAKING: &str = "desk.new";
/// Longest line that is said: a theft with some thousand answers as evidence.
pub const WORD_LEN_MAX: usize = 1 << 20;
/// Longest line of an answer: an entry with all that followed.
const ANSWER_LEN_MAX: u64 = crate::store::ENTRY_LEN_MAX as u64 + 1024;
/// For a line to come or to go, between two processes on one machine.
const LINE_WAIT: Duration = Duration::from_secs(5);
/// For an answer: the office may be at work for others.
const ANSWER_WAIT: Duration = Duration::from_secs(120);

/// Kinds of observations that only a person can make.
pub const PERSONS: [&str; 6] = ["call", "downtime", "given-up", "slashing", "slashing-look", "theft"];
/// Those that are also a person's to make where the charter names no contracts that would say them.
pub const WITHOUT_CONTRACTS: [&str; 8] = [
    "bond-deposited",
    "bond-paid",
    "cover",
    "exit-triggered",
    "paid-out",
    "payment",
    "reserve-paid",
    "rewards",
];

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Word {
    /// Something was seen.
    Observe {
        /// What kind of thing.
        kind: Label,
        /// JSON of it.
        body: String,
    },
    /// Clusters are wanted.
    Call(Wish),
}

/// A call for clusters, as far as a person has to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// How many.
    pub clusters: u32,
    /// `n`.
    pub operators: u8,
    /// `t`.
    pub threshold: u8,
    /// Validators of each.
    pub keys: u32,
    /// What they may hold together: 32 ETH each, if it is not said.
    pub stake: Option<Gwei>,
    /// The epoch whose randomness decides: the first that may, if it is not said.
    pub seed_epoch: Option<Epoch>,
    /// Whether each is of one entity with many nodes.
    pub intra_operator: bool,
    /// Who may delegate to them.
    pub delegation: Delegation,
}

impl Wish {
    /// The call, in an epoch.
    fn wanted(self, epoch: Epoch) -> Wanted {
        let Self { clusters, operators, threshold, keys, intra_operator, delegation, .. } = self;
        let whole = Gwei(ACTIVATION.0.saturating_mul(u64::from(keys)));
        Wanted {
            clusters,
            operators,
            threshold,
            keys,
            stake: self.stake.unwrap_or(whole),
            seed_epoch: self.seed_epoch.unwrap_or(Epoch(epoch.0.saturating_add(1))),
            intra_operator,
            delegation,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// It is in the log.
    Written(Written),
    /// It is not, by this rule.
    Refused(String),
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Root,
    /// What followed.
    pub events: Vec<Event>,
}

impl From<Sealed> for Written {
    fn from(sealed: Sealed) -> Self {
        Self { seq: sealed.entry.seq, hash: sealed.hash, events: sealed.entry.events }
    }
}

/// Why something is not written.
#[derive(Debug, Error)]
pub enum DeskError {
    /// Something that the office sees for itself: nobody's word is taken for it.
    #[error("{0} is not a person's to say: the office observes it")]
    NotAPersons(Label),
    /// A line that is too long.
    #[error("more than {WORD_LEN_MAX} bytes are said at once")]
    TooLong,
    /// Not what can be said here.
    #[error("this cannot be read: {0}")]
    Word(#[from] serde_json::Error),
    /// The office, or its ledger.
    #[error(transparent)]
    Office(#[from] OfficeError),
    /// The office does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It has no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Somebody serves, and does not answer.
    #[error("the office that serves in this folder does not answer: {0}")]
    Silent(io::Error),
    /// The office that serves says no.
    #[error("{0}")]
    Refused(String),
}

/// Whether a kind is a person's to say in this pool.
fn is_a_persons(state: &State, kind: &Label) -> bool {
    let without = state.charter.contracts.is_none() && WITHOUT_CONTRACTS.contains(&kind.as_str());
    without || PERSONS.contains(&kind.as_str())
}

/// Has something written, at a time in Unix seconds. Errors: it is not a person's to say; the rule that it breaks.
pub fn say(office: &mut Office, at: u64, word: Word) -> Result<Written, DeskError> {
    let ledger = office.ledger()?;
    let (kind, body) = match word {
        Word::Observe { kind, body } => (kind, body),
        Word::Call(wish) => {
            let wanted = wish.wanted(ledger.state().epoch_at(at.max(ledger.at())));
            let body = String::from_utf8(canonical::bytes(&wanted)).expect("JSON is text");
            (Label::new("call").expect("a label"), body)
        }
    };
    if !is_a_persons(ledger.state(), &kind) {
        return Err(DeskError::NotAPersons(kind));
    }
    Ok(office.observe(at, kind, body)?.into())
}

/// Says something to the office of a folder: to the one that serves there, or to one that is opened for it and closed.
///
/// - Errors: the rule that it breaks; the office that serves does not answer, so what became of it the log says.
pub fn tell(folder: &Path, word: Word) -> Result<Written, DeskError> {
    match Caller::connect(folder.join(SOCKET)) {
        Ok(caller) => match ask(caller, &word)? {
            Answer::Written(written) => Ok(written),
            Answer::Refused(why) => Err(DeskError::Refused(why)),
        },
        // Nobody listens: an office that was killed leaves its socket. If one serves after all, the log is in use.
        Err(_) => {
            let mut office = Office::open(folder, CoordinatorKey::load(folder)?)?;
            let written = say(&mut office, now(), word)?;
            office.close()?;
            Ok(written)
        }
    }
}

fn ask(mut caller: Caller, word: &Word) -> Result<Answer, DeskError> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    if line.len() > WORD_LEN_MAX {
        return Err(DeskError::TooLong);
    }
    let mut answer = Vec::new();
    let asked = caller
        .set_write_timeout(Some(LINE_WAIT))
        .and_then(|()| caller.set_read_timeout(Some(ANSWER_WAIT)))
        .and_then(|()| caller.write_all(&line))
        .and_then(|()| io::BufReader::new(&caller).take(ANSWER_LEN_MAX).read_until(b'\n', &mut answer));
    asked.map_err(DeskError::Silent)?;
    if answer.pop() != Some(b'\n') {
        return Err(DeskError::Silent(ErrorKind::UnexpectedEof.into()));
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// The socket of an office that serves. It is gone when this is dropped.
#[derive(Debug)]
pub struct Desk {
    listener: UnixListener,
    path: PathBuf,
}

impl Desk {
    /// Makes the socket of a folder anew. Whoever does has the folder's log open, so no other office has one there.
    ///
    /// - Errors: the disk's; a folder whose path is too long for a socket.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let (path, making) = (folder.join(SOCKET), folder.join(MAKING));
        match fs::remove_dir_all(&making) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // A socket has its mode only after it is made, so it is made where nobody else comes.
        DirBuilder::new().mode(0o700).create(&making)?;
        let made = making.join(SOCKET);
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, &path)?;
        let desk = Self { listener, path };
        fs::remove_dir(&making)?;
        Ok(desk)
    }

    /// Hears one after the other, until it is dropped.
    pub async fn serve(self, shared: Shared) {
        loop {
            let heard = match self.listener.accept().await {
                Ok((stream, _)) => hear(stream, &shared).await,
                Err(error) => Err(error),
            };
            if let Err(error) = heard {
                tracing::warn!(%error, "somebody at the desk was not heard");
                // Without a pause a lack of file descriptors would be asked about without end.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "the desk's socket is left behind");
        }
    }
}

/// Hears one, and answers. Errors: it does not speak, or does not listen, in time.
async fn hear(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let mut line = Vec::new();
    let reader = BufReader::new(&mut stream);
    let read = async { reader.take(WORD_LEN_MAX as u64).read_until(b'\n', &mut line).await };
    timeout(LINE_WAIT, read).await??;
    let answer = match answered(line, shared).await {
        Ok(written) => Answer::Written(written),
        Err(why) => Answer::Refused(why),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(LINE_WAIT, stream.write_all(&line)).await?
}

/// What comes of a line. Errors: in words.
async fn answered(line: Vec<u8>, shared: &Shared) -> Result<Written, String> {
    let word = match line.strip_suffix(b"\n") {
        Some(line) => serde_json::from_slice(line).map_err(DeskError::Word),
        None if line.len() == WORD_LEN_MAX => Err(DeskError::TooLong),
        None => Err(DeskError::Word(serde::de::Error::custom("the line has no end"))),
    };
    let word = word.map_err(|error| error.to_string())?;
    let said = shared.with(move |office| match say(office, now(), word) {
        Err(DeskError::Office(
            error @ (OfficeError::Store(_) | OfficeError::Broken | OfficeError::Head(_)),
        )) => Err(ApiError::from(error)),
        said => Ok(said.map_err(|error| error.to_string())),
    });
    let written = said.await.map_err(|error| error.to_string())??;
    tracing::info!(entry = written.seq, events = written.events.len(), "observed at the desk");
    Ok(written)
}

#[cfg(test)]
mod tests;
