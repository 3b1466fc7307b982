//! Snapshots: a state at some size, so that whoever starts again replays only what came after.
//!
//! ```text
//! head as canonical JSON, \n, the tree's leaves (32 bytes each), the state's canonical bytes
//! ```
//!
//! A snapshot is believed only with a head that was signed before for exactly it: tree, state and size. It replaces nothing:
//! the log is there, and verifying replays all of it.

use super::head::{Head, SignedHead};
use super::log::Ledger;
use super::state::State;
use crate::canonical::{self, CanonicalError};
use crate::merkle::log_tree::LogTree;
use crate::request::SignatureError;
use sha2::{Digest, Sha256};
use thiserror::Error;
use types::{Address, Root};

/// Why a snapshot is not believed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// It has no head.
    #[error("a snapshot begins with a line that is its head")]
    NoHead,
    /// A head that cannot be read.
    #[error(transparent)]
    Head(#[from] CanonicalError),
    /// Cut off.
    #[error("the snapshot ends before its state begins")]
    Short,
    /// Of something else than its head says.
    #[error("the snapshot is not what its head says: {0} differs")]
    Differs(&'static str),
    /// A state of another version of this program.
    #[error("the state cannot be read: {0}")]
    State(String),
    /// Not signed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Signed by somebody else.
    #[error("the head is signed by {have}, the coordinator is {want}")]
    NotTheCoordinator {
        /// Whose signature it would be.
        have: Address,
        /// Whose it must be.
        want: Address,
    },
}

/// The head that a snapshot is of, by its own word. Errors: there is none.
pub fn head_of(snapshot: &[u8]) -> Result<Head, SnapshotError> {
    let end =
        snapshot.iter().take(HEAD_LEN_MAX).position(|byte| *byte == b'\n').ok_or(SnapshotError::NoHead)?;
    Ok(canonical::read(&snapshot[..end])?)
}

/// More than any head has.
const HEAD_LEN_MAX: usize = 4096;

impl Ledger {
    /// A snapshot of now. Cost: all of the state is written, and the hashes of all entries.
    ///
    /// - `head`: of now.
    pub fn snapshot(&self, head: &Head) -> Vec<u8> {
        let mut bytes = canonical::bytes(head);
        bytes.push(b'\n');
        self.tree().leaves().iter().for_each(|leaf| bytes.extend(leaf.0));
        bytes.extend(canonical::bytes(self.state()));
        bytes
    }

    /// Goes on from a snapshot.
    ///
    /// - `signed`: the head of it that was published.
    /// - Errors: it is not what that head says, or the head is not the coordinator's. Cost: the state is hashed and read, and
    ///   two hashes for each entry.
    pub fn resume(snapshot: &[u8], signed: &SignedHead) -> Result<Self, SnapshotError> {
        let head = head_of(snapshot)?;
        if head != signed.head {
            return Err(SnapshotError::Differs("the head"));
        }
        let rest = &snapshot[canonical::bytes(&head).len() + 1..];
        let leaves = usize::try_from(head.size).ok().and_then(|size| size.checked_mul(32));
        let (leaves, state) =
            leaves.and_then(|len| rest.split_at_checked(len)).ok_or(SnapshotError::Short)?;
        let mut tree = LogTree::default();
        for leaf in leaves.as_chunks::<32>().0 {
            tree.append_hash(Root(*leaf));
        }
        if tree.root() != head.root {
            return Err(SnapshotError::Differs("the tree"));
        }
        if Root(Sha256::digest(state).into()) != head.state {
            return Err(SnapshotError::Differs("the state"));
        }
        // Its bytes are those that were hashed once, so they are canonical.
        let state: State =
            serde_json::from_slice(state).map_err(|error| SnapshotError::State(error.to_string()))?;
        let have = signed.signature.signer(head.digest(state.charter.network.chain_id))?;
        let want = state.governance.coordinator;
        if have != want {
            return Err(SnapshotError::NotTheCoordinator { have, want });
        }
        Ok(Self::of(state, tree, head.last, head.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testbed::{Pool, address};
    use crate::test_keys::Wallet;

    fn pool() -> (Pool, SignedHead) {
        let mut pool = Pool::new();
        for epoch in 1..40 {
            pool.finalize(epoch);
        }
        pool.team();
        let head = pool.ledger.head();
        let signature = Wallet::new(1).sign(head.digest(pool.state().charter.network.chain_id));
        (pool, SignedHead { head, signature })
    }

    #[test]
    fn who_goes_on_from_a_snapshot_is_where_who_replays_is() {
        let (mut pool, signed) = pool();
        let snapshot = pool.ledger.snapshot(&signed.head);
        assert_eq!(head_of(&snapshot), Ok(signed.head));
        let mut resumed = Ledger::resume(&snapshot, &signed).unwrap();
        assert_eq!((resumed.head(), resumed.tree()), (signed.head, pool.ledger.tree()));
        pool.finalize(40);
        let (mut replay, last) = (super::super::Replay::from(resumed), pool.log.last().unwrap());
        replay.next(last).unwrap();
        resumed = replay.done().unwrap();
        assert_eq!(resumed.head(), pool.ledger.head());
    }

    #[test]
    fn a_snapshot_of_which_any_byte_was_changed_is_not_believed_nor_one_that_was_cut() {
        let (pool, signed) = pool();
        let snapshot = pool.ledger.snapshot(&signed.head);
        for at in (0..snapshot.len()).step_by(37).chain([snapshot.len() - 1]) {
            let mut changed = snapshot.clone();
            changed[at] ^= 1;
            assert!(Ledger::resume(&changed, &signed).is_err(), "byte {at}");
        }
        for len in [0, 1, 100, 4000, snapshot.len() - 1] {
            assert!(Ledger::resume(&snapshot[..len], &signed).is_err(), "{len} bytes");
        }
        let other = SignedHead { head: Head { at: signed.head.at + 1, ..signed.head }, ..signed };
        let differs = SnapshotError::Differs("the head");
        assert_eq!(Ledger::resume(&snapshot, &other).unwrap_err(), differs, "another head of the same size");
        let stranger = Wallet::new(2).sign(signed.head.digest(pool.state().charter.network.chain_id));
        let (have, want) = (address(2), address(1));
        let forged = Ledger::resume(&snapshot, &SignedHead { signature: stranger, ..signed });
        assert_eq!(forged.unwrap_err(), SnapshotError::NotTheCoordinator { have, want });
    }
}
