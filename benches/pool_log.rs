//! How fast is a pool's log verified?
//!
//! An event is one thing that happened to somebody, as it is decided and compared: here a payment of one who has not paid
//! before, or a transfer. The log of a pool has two shapes. **Sightings**: two hundred payments in an observation, as a block
//! has them, under one signature; what there is of them is text to be read, written and hashed. **Requests**: a transfer in an
//! entry, each with a wallet's signature, which takes most of the time; what is decided counts as one event.

mod pool;

use coordinator::key::CoordinatorKey;
use coordinator::ledger::{Audit, AuditError, Ledger, Replay};
use coordinator::office::Office;
use coordinator::request::{Incoming, Message, Nonce, Request};
use coordinator::verify;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pool::{FOUNDED, PAYMENTS, address, paid, see};
use rand_core::OsRng;
use serde_json::json;
use types::{Root, Wei};

/// Observations of the log of sightings.
const SIGHTINGS: u32 = 1_000;
/// Transfers of the log of requests.
const REQUESTS: u32 = 20_000;

/// A log of one wallet's transfers.
fn transfers(office: &mut Office) {
    let wallet = CoordinatorKey::generate(&mut OsRng);
    let reference = json!({"hash": Root([8; 32]), "index": 0});
    let eth = Wei::from_eth("1000").unwrap();
    let payment = json!({"reference": reference, "payer": wallet.address(), "eth": eth});
    see(office, FOUNDED, "payment", payment.to_string());
    let state = office.ledger().unwrap().state();
    let (pool, chain_id) = (state.pool, state.charter.network.chain_id);
    for no in 0..REQUESTS {
        let (method, path) = ("POST", "/v1/shares/transfers");
        let body = json!({"to": address(0x44, no), "amount": {"shares": "1000000000000000"}}).to_string();
        let (nonce, expiry) = (u64::from(no) + 1, FOUNDED + 60);
        let message = Message::Request { method, path, body: body.as_bytes(), pool, nonce, expiry };
        let signature = wallet.sign(message.digest(chain_id));
        let (method, path, nonce) = (method.to_owned(), path.to_owned(), Nonce(nonce));
        let request = Request { method, path, body, nonce, expiry, signature };
        office.request(FOUNDED, &Incoming { pool, signer: wallet.address(), request }).unwrap();
    }
}

fn verify(c: &mut Criterion, shape: &str, office: &Office, events: u32) {
    let entries = office.entries(0, usize::MAX).unwrap();
    let mut group = c.benchmark_group("ledger");
    group.sample_size(10).throughput(Throughput::Elements(events.into()));
    group.bench_function(format!("verify/shape={shape},events={events},cores=all"), |b| {
        b.iter(|| {
            let read = entries.iter().map(|entry| Ok::<_, AuditError>(entry.clone()));
            verify::finish(Audit::new(Replay::default(), &[]), None, read).unwrap()
        });
    });
    group.bench_function(format!("verify/shape={shape},events={events},cores=1"), |b| {
        b.iter(|| Ledger::replay(&entries).unwrap());
    });
    group.finish();
}

fn log(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    verify(c, "sightings", &paid(folder.path(), SIGHTINGS), SIGHTINGS * PAYMENTS);
    let folder = tempfile::tempdir().unwrap();
    let mut office = paid(folder.path(), 1);
    transfers(&mut office);
    verify(c, "requests", &office, REQUESTS + PAYMENTS);
}

criterion_group!(benches, log);
criterion_main!(benches);
