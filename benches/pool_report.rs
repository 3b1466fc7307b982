//! What does a large pool cost: to look at it, to report a frame, to sign a head, to start again?
//!
//! A hundred thousand validators in a thousand clusters of four out of five hundred operators, a million delegators. Looks and
//! reports are measured as an office writes them: decided, applied, hashed, durable on the disk; a report with the shares it
//! mints and the tree of claims. A head hashes the whole state. A start reads the snapshot, and replays what came after it:
//! as many payments as there are before the next snapshot is due.
//!
//! How large it all is, in bytes, is printed beside the times.

mod pool;

use coordinator::canonical;
use coordinator::key::CoordinatorKey;
use coordinator::ledger::Sealed;
use coordinator::office::Office;
use coordinator::text::Label;
use criterion::{Criterion, criterion_group, criterion_main};
use pool::large::{Frame, Size, office};
use pool::{PAYMENTS, address};
use serde_json::json;
use std::hint::black_box;
use std::time::{Duration, Instant};
use types::{Root, Wei};

const SIZE: Size = Size { validators: 100_000, delegators: 1_000_000, clusters: 1_000, operators: 500 };
/// Observations of payments after the snapshot.
const TAIL: u32 = 400;

fn named(what: &str) -> String {
    format!("{what}/validators={},delegators={}", SIZE.validators, SIZE.delegators)
}

#[expect(clippy::print_stdout, reason = "a bench says what it measures")]
fn say(what: &str, value: u64, unit: &str) {
    println!("{:<72}{value} {unit}", named(what));
}

/// What the process has in memory, by Linux's word.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// What is seen, and how long it took to have it in the log.
fn seen(office: &mut Office, at: u64, kind: &str, body: &str) -> (Sealed, Duration) {
    let (kind, body) = (Label::new(kind).unwrap(), body.to_owned());
    let began = Instant::now();
    let sealed = office.observe(at, kind, body).unwrap();
    (sealed, began.elapsed())
}

/// A frame; how long its look and its report took.
fn frame(office: &mut Office) -> [Duration; 2] {
    let frame = Frame::next(office.ledger().unwrap().state(), SIZE);
    seen(office, frame.at, "finalized", &frame.finalized);
    let (_, look) = seen(office, frame.at, "look", &frame.look);
    let (_, report) = seen(office, frame.at, "report", &frame.report);
    [look, report]
}

fn sizes(office: &mut Office) {
    let frame = Frame::next(office.ledger().unwrap().state(), SIZE);
    seen(office, frame.at, "finalized", &frame.finalized);
    for (kind, body) in [("look", &frame.look), ("report", &frame.report)] {
        let (sealed, _) = seen(office, frame.at, kind, body);
        say(&format!("office::{kind}/part=observation"), body.len() as u64, "bytes");
        say(&format!("office::{kind}/part=entry"), sealed.bytes().len() as u64, "bytes");
    }
    say("office::state", canonical::bytes(office.ledger().unwrap().state()).len() as u64, "bytes");
    say("office::memory", resident_kib() / 1_024, "MiB");
}

fn frames(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut office = office(folder.path(), SIZE);
    sizes(&mut office);
    let mut group = c.benchmark_group("office");
    group.sample_size(10);
    for (at, name) in [(0, "look"), (1, "report")] {
        group.bench_function(named(name), |b| {
            b.iter_custom(|times| (0..times).map(|_| frame(&mut office)[at]).sum());
        });
    }
    group.bench_function(named("head"), |b| b.iter(|| office.ledger().unwrap().head()));
    group.finish();
}

fn open(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut office = office(folder.path(), SIZE);
    office.close().unwrap();
    let at = office.ledger().unwrap().at();
    for no in 0..TAIL {
        let payment = |one: u32| {
            let reference = json!({"hash": Root([9; 32]), "index": no * PAYMENTS + one});
            let eth = Wei::from_eth("0.5").unwrap();
            json!(["payment", {"reference": reference, "payer": address(0x11, no * PAYMENTS + one), "eth": eth}])
        };
        let body = json!((0..PAYMENTS).map(payment).collect::<Vec<_>>()).to_string();
        seen(&mut office, at, "many", &body);
    }
    drop(office);
    let mut group = c.benchmark_group("office");
    group.sample_size(10);
    group.bench_function(format!("{},tail={}", named("open"), TAIL * PAYMENTS), |b| {
        b.iter_with_large_drop(|| {
            let key = CoordinatorKey::load(folder.path()).unwrap();
            black_box(Office::open(folder.path(), key).unwrap())
        });
    });
    group.finish();
}

criterion_group!(benches, frames, open);
criterion_main!(benches);
