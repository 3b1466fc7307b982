//! Heads: what a log was at some size, signed by the coordinator and countersigned by operators.
//!
//! Replaying shows that a log is right as far as it goes. A head shows how far it goes: a log that lacks entries, or has
//! others, does not fit it. Two heads of one size that differ are a proof against whoever signed both.

use super::log::{Corrupt, Ledger, Prepared, Replay, Why};
use crate::request::{Message, SignatureError, WalletSignature};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Address, Root};

/// What a log was at some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The pool's id.
    pub pool: Root,
    /// How many entries.
    pub size: u64,
    /// The root of the tree over their hashes.
    pub root: Root,
    /// The hash of the last.
    pub last: Root,
    /// The hash of the state that they lead to.
    pub state: Root,
    /// Unix seconds of the last.
    pub at: u64,
}

impl Head {
    /// What is signed, by the coordinator and by operators alike.
    pub fn digest(&self, chain_id: u64) -> Root {
        let Self { pool, size, root, last, state, at } = *self;
        Message::Head { pool, size, root, last, state, at }.digest(chain_id)
    }

    /// Whose signatures these are. What is no signature at all is nobody's.
    pub fn signers(&self, chain_id: u64, signatures: &[WalletSignature]) -> BTreeSet<Address> {
        let digest = self.digest(chain_id);
        signatures.iter().filter_map(|signature| signature.signer(digest).ok()).collect()
    }

    /// Whether both cannot be true: one log, one size, two stories.
    pub fn contradicts(&self, other: &Self) -> bool {
        self.pool == other.pool && self.size == other.size && self != other
    }
}

/// A head, signed by the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// The head.
    pub head: Head,
    /// By the coordinator's key of that time, over [`Head::digest`].
    pub signature: WalletSignature,
}

/// Why a log is not the one of its heads.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AuditError {
    /// The log is corrupt.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// Its end is cut off.
    #[error("the log has {have} entries, a signed head says that it has had {want}")]
    Truncated {
        /// Entries.
        have: u64,
        /// Entries that there were.
        want: u64,
    },
    /// It is another log.
    #[error("with {size} entries the log is not what the head says: {}", .have.differences(.want))]
    Differs {
        /// Entries.
        size: u64,
        /// The log's head.
        have: Box<Head>,
        /// The signed one.
        want: Box<Head>,
    },
    /// A head that somebody else signed.
    #[error("the head of {size} entries is signed by {recovered}, the coordinator was {coordinator}")]
    NotTheCoordinator {
        /// Entries.
        size: u64,
        /// Whose signature it would be.
        recovered: Address,
        /// Whose it must be.
        coordinator: Address,
    },
    /// No signature at all.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Head {
    /// The names of the fields that differ.
    fn differences(&self, other: &Self) -> String {
        let fields = [
            ("pool", self.pool == other.pool),
            ("size", self.size == other.size),
            ("root", self.root == other.root),
            ("last entry", self.last == other.last),
            ("state", self.state == other.state),
            ("time", self.at == other.at),
        ];
        let differ: Vec<_> = fields.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect();
        differ.join(", ")
    }
}

/// Replays a log and checks that every head is its head at that size, signed by the coordinator of that time.
///
/// Errors: the first entry that is corrupt; a head that the log does not fit, or does not reach.
pub fn audit<B: AsRef<[u8]>>(
    log: impl IntoIterator<Item = B>,
    heads: &[SignedHead],
) -> Result<Ledger, AuditError> {
    let mut audit = Audit::new(Replay::default(), heads);
    for stored in log {
        audit.next(stored.as_ref())?;
    }
    audit.done()
}

/// An audit on its way.
#[derive(Clone, Debug)]
pub struct Audit {
    replay: Replay,
    /// Heads that are to come, by size.
    heads: BTreeMap<u64, Vec<SignedHead>>,
    /// Up to this size, heads are compared but for the state.
    stateless: u64,
}

impl Audit {
    /// Of a log that is replayed, against heads of it. Those of what was replayed before are not looked at.
    pub fn new(replay: Replay, heads: &[SignedHead]) -> Self {
        let mut by_size = BTreeMap::<u64, Vec<SignedHead>>::new();
        for signed in heads {
            by_size.entry(signed.head.size).or_default().push(*signed);
        }
        if let Some(ledger) = replay.ledger() {
            by_size = by_size.split_off(&(ledger.tree().size() + 1));
        }
        Self { replay, heads: by_size, stateless: 0 }
    }

    /// Of an office's own log: of the state the last head only is compared. The others name the same entries, from which
    /// the state follows; to hash it for each would cost more than to replay the log.
    pub fn of_own(replay: Replay, heads: &[SignedHead]) -> Self {
        let audit = Self::new(replay, heads);
        let last = audit.heads.last_key_value().map_or(0, |(size, _)| *size);
        Self { stateless: last.saturating_sub(1), ..audit }
    }

    /// Takes the next stored entry. Cost: for an entry that a head ends with, the hash of the whole state.
    pub fn next(&mut self, stored: &[u8]) -> Result<(), AuditError> {
        self.replay.next(stored)?;
        self.compare()
    }

    /// The same with an entry that was read, or could not be.
    pub fn take(&mut self, prepared: Result<Prepared, Why>) -> Result<(), AuditError> {
        self.replay.take(prepared)?;
        self.compare()
    }

    fn compare(&mut self) -> Result<(), AuditError> {
        let Some(ledger) = self.replay.ledger() else { return Ok(()) };
        let size = ledger.tree().size();
        let heads = self.heads.remove(&size).unwrap_or_default();
        heads.iter().try_for_each(|signed| fits(ledger, signed, size > self.stateless))
    }

    /// The ledger. Errors: there was no entry; a head that the log does not reach.
    pub fn done(self) -> Result<Ledger, AuditError> {
        let ledger = self.replay.done()?;
        let have = ledger.tree().size();
        match self.heads.into_iter().next() {
            // A log has a first entry, so no head is of none.
            Some((0, heads)) => {
                let want = Box::new(heads[0].head);
                Err(AuditError::Differs { size: 0, have: Box::new(ledger.head()), want })
            }
            Some((want, _)) => Err(AuditError::Truncated { have, want }),
            None => Ok(ledger),
        }
    }
}

fn fits(ledger: &Ledger, signed: &SignedHead, with_state: bool) -> Result<(), AuditError> {
    let (want, size) = (signed.head, signed.head.size);
    let have = if with_state { ledger.head() } else { ledger.head_with(want.state) };
    if have != want {
        return Err(AuditError::Differs { size, have: Box::new(have), want: Box::new(want) });
    }
    let recovered = signed.signature.signer(want.digest(ledger.state().charter.network.chain_id))?;
    let coordinator = ledger.state().governance.coordinator;
    if recovered != coordinator {
        return Err(AuditError::NotTheCoordinator { size, recovered, coordinator });
    }
    Ok(())
}
