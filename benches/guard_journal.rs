//! What stands between a decision and a signature? The guard in memory, and the journal's one sync for a slot.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::io::Write as _;
use symbolon_core::Ticket;
use symbolon_core::guard::judge;
use symbolon_core::journal::{Candidate, History, Journal, Promise, Row};
use types::{Epoch, PublicKey, Root, SigningRoot, Slot, ValidatorNo};

/// Of 1000 validators.
const ATTESTERS: u32 = 32;
/// Of 10,000 validators.
const MANY: u32 = 313;
/// Bytes of a row in the journal, with its key.
const ROW_LEN: usize = 160;

fn key(no: u32) -> PublicKey {
    let mut key = PublicKey([7; 48]);
    key.0[..4].copy_from_slice(&no.to_be_bytes());
    key
}

fn root() -> SigningRoot {
    SigningRoot::compute(Root([1; 32]), Root([2; 32]))
}

fn promise(epoch: u64) -> Promise {
    Promise::Attestation { source: Epoch(epoch - 1), target: Epoch(epoch) }
}

fn row(no: u32, epoch: u64) -> Row {
    Row { key: key(no), slot: Slot(epoch * 32), promise: promise(epoch), root: Some(root()) }
}

fn guard(c: &mut Criterion) {
    let mut history = History::default();
    history.append(&row(0, 100));
    let fresh = root();
    c.bench_function("guard::judge/candidates=1", |b| {
        b.iter(|| judge(black_box(&history), promise(101), fresh));
    });
    let candidate = |no| Candidate {
        validator: ValidatorNo(no),
        slot: Slot(101 * 32),
        promise: promise(101),
        root: root(),
    };
    let candidates: Vec<_> = (0..ATTESTERS).map(candidate).collect();
    let new = || Journal::new((0..1000).map(key).collect(), vec![history; 1000]);
    c.bench_function(&format!("journal::promise/candidates={ATTESTERS},validators=1000"), |b| {
        b.iter_batched_ref(
            new,
            |journal| {
                journal.promise(Ticket(1), &candidates);
                journal.settle(Ticket(1), true)
            },
            BatchSize::SmallInput,
        );
    });
}

fn disk(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut journal = dvt_node::journal::Journal::open(folder.path(), Root([7; 32])).expect("a new journal");
    let mut epoch = 100;
    for rows in [1, ATTESTERS, MANY, 1000] {
        c.bench_function(&format!("journal::append/rows={rows}"), |b| {
            b.iter(|| {
                epoch += 1;
                let rows: Vec<_> = (0..rows).map(|no| row(no, epoch)).collect();
                journal.append(black_box(&rows)).expect("the disk takes it");
            });
        });
    }
}

/// What the disk itself takes: the rest of an append is ours.
fn bare_sync(c: &mut Criterion) {
    let mut file = tempfile::tempfile().expect("a temporary file");
    for rows in [1, MANY as usize] {
        let bytes = vec![7; rows * ROW_LEN];
        c.bench_function(&format!("disk::write_and_sync/rows={rows}"), |b| {
            b.iter(|| {
                file.write_all(black_box(&bytes)).expect("the disk takes it");
                file.sync_data().expect("the disk takes it");
            });
        });
    }
}

criterion_group!(benches, guard, disk, bare_sync);
criterion_main!(benches);
