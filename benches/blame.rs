//! What does a cheat cost, over an honest slot? One bad partial, one operator that sends nothing else, and `n - t` of them.

mod dealt;

use criterion::{Criterion, criterion_group, criterion_main};
use crypto::hashed::RecentRoots;
use crypto::{Job, settle};
use dealt::{Dealt, slot};
use std::hint::black_box;

const SEED: [u8; 32] = [3; 32];
/// Of 1000 validators.
const ATTESTERS: usize = 32;

fn measure(c: &mut Criterion, name: &str, size: (u8, u8), spoil: impl Fn(usize, &mut Dealt)) {
    let mut slot = slot(ATTESTERS, size, 1);
    slot.iter_mut().enumerate().for_each(|(no, one)| spoil(no, one));
    let jobs: Vec<Job<'_>> = slot.iter().map(Dealt::job).collect();
    let (t, n) = size;
    c.bench_function(&format!("crypto::settle/attesters={ATTESTERS},t={t},n={n},bad={name}"), |b| {
        b.iter(|| {
            let (settled, _) = settle(black_box(&jobs), &RecentRoots::default(), SEED);
            assert!(settled.iter().all(|one| one.signature.is_some()), "t good partials are there");
        });
    });
}

fn blame(c: &mut Criterion) {
    for size in [(3, 4), (7, 10)] {
        measure(c, "none", size, |_, _| {});
        measure(c, "one_partial", size, |no, one| {
            if no == ATTESTERS / 2 {
                one.spoil(2);
            }
        });
        measure(c, "one_operator", size, |_, one| one.spoil(2));
        measure(c, "all_that_may_be", size, |_, one| (1..=size.1 - size.0).for_each(|of| one.spoil(of)));
    }
}

criterion_group!(benches, blame);
criterion_main!(benches);
