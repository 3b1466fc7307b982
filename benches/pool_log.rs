//! How fast is a pool's log verified, and an office opened again? A million delegators have paid, two hundred payments to an
//! observation, as a block has them.

use coordinator::formulas::allocation::Credentials;
use coordinator::key::CoordinatorKey;
use coordinator::ledger::charter::Charter;
use coordinator::ledger::quorum::Quorum;
use coordinator::ledger::{Audit, AuditError, Ledger, Replay, policy};
use coordinator::office::Office;
use coordinator::text::{Label, Text};
use coordinator::verify;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand_core::OsRng;
use serde_json::json;
use std::hint::black_box;
use std::path::Path;
use types::{Address, ChainSpec, Root, Wei};

/// Payments of an observation.
const PAYMENTS: u32 = 200;
/// Observations of the log that is verified.
const VERIFIED: u32 = 1_000;
/// Observations of the log that an office is opened with.
const OPENED: u32 = 5_000;
/// When the pool is founded, in Unix seconds.
const FOUNDED: u64 = 1_800_000_000;

fn address(kind: u8, no: u32) -> Address {
    let mut address = Address([kind; 20]);
    address.0[..4].copy_from_slice(&no.to_be_bytes());
    address
}

fn charter(coordinator: Address) -> Charter {
    Charter {
        name: Text::new("Meadow").unwrap(),
        network: ChainSpec::builtin("hoodi").unwrap(),
        withdrawal_address: address(0xaa, 0),
        credentials: Credentials::Execution,
        contracts: None,
        fee_recipient: address(0xbb, 0),
        treasury: address(0xcc, 0),
        coordinator,
        governance: Quorum::new(&[address(0xdd, 0)], 1).unwrap(),
        guardians: Quorum::new(&[address(0xee, 0)], 1).unwrap(),
        timelock_s: 86_400,
        policy: policy::preset("lido").unwrap(),
    }
}

/// Payments of delegators who have not paid before.
fn block(no: u32) -> String {
    let payment = |at: u32| {
        let reference = json!({"hash": Root([7; 32]), "index": no * PAYMENTS + at});
        let eth = Wei::from_eth("0.5").unwrap();
        json!(["payment", {"reference": reference, "payer": address(0x11, no * PAYMENTS + at), "eth": eth}])
    };
    json!((0..PAYMENTS).map(payment).collect::<Vec<_>>()).to_string()
}

/// An office with so many payments in its log.
fn office(folder: &Path, blocks: u32) -> Office {
    let key = CoordinatorKey::load_or_create(folder, &mut OsRng).unwrap();
    let charter = charter(key.address());
    let mut office = Office::found(folder, key, charter, FOUNDED).unwrap();
    let mut see = |kind: &str, body: String| {
        office.observe(FOUNDED, Label::new(kind).unwrap(), body).unwrap();
    };
    see("finalized", json!({"epoch": "1000", "root": Root([7; 32])}).to_string());
    see("network-stake", json!({"epoch": "1000", "active": "35000000000000000"}).to_string());
    (0..blocks).for_each(|no| see("many", block(no)));
    office
}

fn log(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let office = office(folder.path(), VERIFIED);
    let entries = office.entries(0, usize::MAX).unwrap();
    let events = u64::from(VERIFIED * PAYMENTS);
    let mut group = c.benchmark_group("ledger");
    group.sample_size(10).throughput(Throughput::Elements(events));
    group.bench_function(format!("verify/events={events},cores=all"), |b| {
        b.iter(|| {
            let read = entries.iter().map(|entry| Ok::<_, AuditError>(entry.clone()));
            verify::finish(Audit::new(Replay::default(), &[]), None, read).unwrap()
        });
    });
    group.bench_function(format!("verify/events={events},cores=1"), |b| {
        b.iter(|| Ledger::replay(&entries).unwrap());
    });
    group.finish();
}

fn open(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut office = office(folder.path(), OPENED);
    office.close().unwrap();
    for no in OPENED..OPENED + 10 {
        office.observe(FOUNDED, Label::new("many").unwrap(), block(no)).unwrap();
    }
    drop(office);
    let delegators = OPENED * PAYMENTS;
    let mut group = c.benchmark_group("office");
    group.sample_size(10);
    group.bench_function(format!("open/delegators={delegators},tail=2000"), |b| {
        b.iter_with_large_drop(|| {
            let key = CoordinatorKey::load(folder.path()).unwrap();
            black_box(Office::open(folder.path(), key).unwrap())
        });
    });
    group.bench_function(format!("head/delegators={delegators}"), |b| {
        let key = CoordinatorKey::load(folder.path()).unwrap();
        let office = Office::open(folder.path(), key).unwrap();
        b.iter(|| office.ledger().unwrap().head());
    });
    group.finish();
}

criterion_group!(benches, log, open);
criterion_main!(benches);
