//! Verifying a log with all cores.
//!
//! ```text
//! stored bytes -> read, hashed, signers recovered: on every core, in chunks -> decided and compared: in order, on this thread
//! ```
//!
//! What is compared, and with what, is [`Audit`]'s.

use crate::ledger::entry::{Cause, Sealed};
use crate::ledger::head::AuditError;
use crate::ledger::log::{Prepared, Why};
use crate::ledger::{Audit, Ledger};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{available_parallelism, scope};
use types::Root;

/// Entries that one core takes at a time,
const CHUNK: usize = 64;
/// and after how many bytes of them no more: a look at all validators has megabytes, and is read into ten times as much.
const CHUNK_LEN: usize = 1 << 20;
/// Chunks that wait to be compared, at most, besides the one of each core.
const WAITING: usize = 8;

/// A chunk's number and its entries, or what the disk said.
type Chunk<E> = (u64, Result<Vec<Result<Prepared, Why>>, E>);

/// Takes all further entries of a log into an audit, and ends it.
///
/// - `log`: what is stored, in order, from where the audit is.
/// - `of`: pool and chain of the log, if it was not begun; else they are read from its first entry.
/// - Errors: those of the log's source, and the audit's.
pub fn finish<E: From<AuditError> + Send>(
    mut audit: Audit,
    of: Option<(Root, u64)>,
    mut log: impl Iterator<Item = Result<Vec<u8>, E>> + Send,
) -> Result<Ledger, E> {
    let (pool, chain_id) = match of {
        Some(of) => of,
        None => {
            let Some(first) = log.next().transpose()? else { return Ok(audit.done()?) };
            audit.next(&first)?;
            founded(&first).unwrap_or_default()
        }
    };
    let source = Mutex::new((0_u64, log));
    let cores = available_parallelism().map_or(1, NonZero::get);
    scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        for _ in 0..cores {
            let (sender, source) = (sender.clone(), &source);
            scope.spawn(move || prepare(source, &sender, pool, chain_id));
        }
        drop(sender);
        compare(&mut audit, receiver)
    })?;
    Ok(audit.done()?)
}

/// Pool and chain of a log, by its first entry.
fn founded(first: &[u8]) -> Option<(Root, u64)> {
    match Sealed::read(first).ok()?.entry.cause {
        Cause::Charter(charter) => Some((charter.pool(), charter.network.chain_id)),
        Cause::Request(_) | Cause::Observation(_) => None,
    }
}

/// Reads chunk after chunk, until there is none or nobody wants any.
fn prepare<E>(
    source: &Mutex<(u64, impl Iterator<Item = Result<Vec<u8>, E>>)>,
    sender: &SyncSender<Chunk<E>>,
    pool: Root,
    chain_id: u64,
) {
    loop {
        let (number, stored) = {
            let Ok(mut source) = source.lock() else { return };
            let stored = chunk(&mut source.1);
            source.0 += 1;
            (source.0 - 1, stored)
        };
        if stored.is_empty() {
            return;
        }
        let read = |stored: Result<Vec<u8>, E>| Ok(Prepared::read(&stored?, pool, chain_id));
        if sender.send((number, stored.into_iter().map(read).collect())).is_err() {
            return;
        }
    }
}

/// What one core takes. Nothing: there is no more.
fn chunk<E>(log: &mut impl Iterator<Item = Result<Vec<u8>, E>>) -> Vec<Result<Vec<u8>, E>> {
    let (mut chunk, mut len) = (Vec::new(), 0);
    while chunk.len() < CHUNK && len < CHUNK_LEN {
        let Some(stored) = log.next() else { break };
        len += stored.as_ref().map_or(0, Vec::len);
        chunk.push(stored);
    }
    chunk
}

/// Compares chunks in their order, whatever order they come in.
fn compare<E: From<AuditError>>(audit: &mut Audit, receiver: Receiver<Chunk<E>>) -> Result<(), E> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (number, chunk) in receiver {
        waiting.insert(number, chunk);
        while let Some(chunk) = waiting.remove(&next) {
            for prepared in chunk? {
                audit.take(prepared)?;
            }
            next += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testbed::Pool;
    use crate::ledger::{Replay, SignedHead, audit};
    use crate::test_keys::Wallet;

    /// Some hundreds of entries: more than a chunk for each core and those that wait.
    fn pool() -> Pool {
        let mut pool = Pool::new();
        for epoch in 1..1_000 {
            pool.finalize(epoch);
        }
        pool
    }

    fn on_all_cores(log: &[Vec<u8>], heads: &[SignedHead]) -> Result<Ledger, AuditError> {
        let log = log.iter().map(|entry| Ok::<_, AuditError>(entry.clone()));
        finish(Audit::new(Replay::default(), heads), None, log)
    }

    #[test]
    fn all_cores_find_what_one_finds() {
        let pool = pool();
        let head = pool.ledger.head();
        let signature = Wallet::new(1).sign(head.digest(pool.state().charter.network.chain_id));
        let signed = SignedHead { head, signature };
        let ledger = on_all_cores(&pool.log, &[signed]).unwrap();
        assert_eq!((ledger.head(), ledger.state()), (head, pool.state()));
        for at in [0, 1, 2, 63, 64, 65, 500, 998, 999] {
            let mut log = pool.log.clone();
            let middle = log[at].len() / 2;
            log[at][middle] ^= 1;
            let found = on_all_cores(&log, &[]).unwrap_err();
            assert_eq!(found, audit(&log, &[]).unwrap_err(), "entry {at}");
        }
        for len in [0, 1, 64, 999] {
            let cut = on_all_cores(&pool.log[..len], &[signed]).unwrap_err();
            assert_eq!(cut, audit(&pool.log[..len], &[signed]).unwrap_err(), "{len} entries");
        }
    }

    #[test]
    fn a_core_takes_few_entries_if_they_are_long() {
        let lens = |of: &[usize]| {
            let mut log = of.iter().map(|len| Ok::<_, AuditError>(vec![0; *len]));
            let mut chunks = Vec::new();
            loop {
                match chunk(&mut log).len() {
                    0 => return chunks,
                    len => chunks.push(len),
                }
            }
        };
        assert_eq!(lens(&[1; 130]), [64, 64, 2]);
        assert_eq!(lens(&[CHUNK_LEN, 1, CHUNK_LEN - 1, CHUNK_LEN * 3, 1]), [1, 2, 1, 1]);
        assert_eq!(lens(&[]), [0_usize; 0]);
    }

    #[test]
    fn what_the_disk_says_ends_it_where_it_says_so() {
        #[derive(Debug, PartialEq)]
        enum Error {
            Disk,
            Audit(AuditError),
        }
        impl From<AuditError> for Error {
            fn from(error: AuditError) -> Self {
                Self::Audit(error)
            }
        }
        let pool = pool();
        for at in [0, 1, 700] {
            let failing = pool.log.iter().enumerate();
            let failing =
                failing.map(|(seq, entry)| if seq == at { Err(Error::Disk) } else { Ok(entry.clone()) });
            let found = finish(Audit::new(Replay::default(), &[]), None, failing);
            assert_eq!(found.unwrap_err(), Error::Disk);
        }
    }
}
