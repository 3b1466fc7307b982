//! What does one validator's signature cost to combine? By small integers, with and without a division, and as the
//! textbook has it.

mod dealt;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use crypto::{SignaturePoint, UncheckedSignature, combine_points, plain};
use dealt::{share, slot};
use std::hint::black_box;
use types::Threshold;

/// Quorums: neighbours, one with nothing to divide by, and those that divide.
const QUORUMS: [(u8, &[u8]); 5] = [
    (4, &[1, 2, 3]),
    (4, &[1, 3, 4]),
    (4, &[1, 2, 4]),
    (10, &[1, 2, 3, 4, 5, 6, 7]),
    (10, &[1, 2, 4, 5, 7, 8, 10]),
];

fn name(quorum: &[u8]) -> String {
    let numbers: Vec<_> = quorum.iter().map(u8::to_string).collect();
    format!("quorum={}", numbers.join("+"))
}

fn combine(c: &mut Criterion) {
    for (n, quorum) in QUORUMS {
        let t = u8::try_from(quorum.len()).expect("few operators");
        let dealt = &slot(1, (t, n), 1)[0];
        let bytes = |index: &u8| (share(*index), dealt.partials[usize::from(*index) - 1].1);
        let whole: Vec<_> = quorum.iter().map(bytes).collect();
        let parse = |one: &(_, _)| (one.0, UncheckedSignature::parse(&one.1).expect("good"));
        let points: Vec<_> = whole.iter().map(parse).collect();
        c.bench_function(&format!("crypto::combine_points/{}", name(quorum)), |b| {
            b.iter(|| combine_points(black_box(&points), Threshold(t)));
        });
        let parsed: Vec<_> =
            whole.iter().map(|(i, bytes)| (*i, SignaturePoint::parse(bytes).expect("good"))).collect();
        c.bench_with_input(BenchmarkId::new("crypto::plain::combine", name(quorum)), &parsed, |b, parsed| {
            b.iter(|| plain::combine(black_box(parsed)));
        });
    }
}

criterion_group!(benches, combine);
criterion_main!(benches);
