//! What does an honest slot cost, from partials to verified signatures? Beside one plain verification, for the ratio.

mod dealt;

use criterion::{Criterion, criterion_group, criterion_main};
use crypto::hashed::{HashedRoot, RecentRoots, find_bad};
use crypto::{Job, SignaturePoint, plain, settle};
use dealt::{Dealt, slot};
use std::hint::black_box;

const SEED: [u8; 32] = [3; 32];

/// Attesters, `t`, `n`, roots: 1000 and 5000 validators, and a slot before Electra with a root for each committee.
const SLOTS: [(usize, u8, u8, usize); 4] = [(32, 3, 4, 1), (157, 3, 4, 1), (32, 7, 10, 1), (32, 3, 4, 16)];

fn slot_check(c: &mut Criterion) {
    let one = &slot(1, (3, 4), 1)[0];
    let (key, partial) = (one.public_shares[0], SignaturePoint::parse(&one.partials[0].1).expect("good"));
    c.bench_function("crypto::plain::verify_point/bare=1", |b| {
        b.iter(|| plain::verify_point(&key, black_box(&one.root.root().0), &partial));
    });
    for (attesters, t, n, roots) in SLOTS {
        let slot = slot(attesters, (t, n), roots);
        let jobs: Vec<Job<'_>> = slot.iter().map(Dealt::job).collect();
        c.bench_function(&format!("crypto::settle/attesters={attesters},t={t},n={n},roots={roots}"), |b| {
            b.iter(|| {
                let (settled, _) = settle(black_box(&jobs), &RecentRoots::default(), SEED);
                assert!(settled.iter().all(|one| one.signature.is_some()), "an honest slot");
            });
        });
    }
    let slot = slot(32, (3, 4), 1);
    let root = HashedRoot::of(&slot[0].root);
    let read = |one: &Dealt| SignaturePoint::parse(&one.partials[0].1).expect("good");
    c.bench_function("crypto::hashed::find_bad/signatures=32", |b| {
        b.iter(|| {
            let halves: Vec<_> = slot.iter().map(|one| (&one.public_shares[0], read(one))).collect();
            assert!(find_bad(&root, black_box(&halves), SEED).is_empty(), "all good");
        });
    });
}

criterion_group!(benches, slot_check);
criterion_main!(benches);
