//! What the benches of a pool's log share: a pool, and what its coordinator sees.

#![allow(dead_code, reason = "each bench uses a part")]

pub(crate) mod large;

use coordinator::formulas::allocation::Credentials;
use coordinator::key::CoordinatorKey;
use coordinator::ledger::charter::Charter;
use coordinator::ledger::policy;
use coordinator::ledger::quorum::Quorum;
use coordinator::office::Office;
use coordinator::text::{Label, Text};
use rand_core::OsRng;
use serde_json::json;
use std::path::Path;
use types::{Address, ChainSpec, Root, Wei};

/// Payments of an observation: about as many as a block could have.
pub(crate) const PAYMENTS: u32 = 200;
/// When the pool is founded, in Unix seconds.
pub(crate) const FOUNDED: u64 = 1_800_000_000;

pub(crate) fn address(kind: u8, no: u32) -> Address {
    let mut address = Address([kind; 20]);
    address.0[..4].copy_from_slice(&no.to_be_bytes());
    address
}

pub(crate) fn charter(coordinator: Address) -> Charter {
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

/// Payments of delegators who have not paid before, in one observation.
pub(crate) fn block(no: u32) -> String {
    let payment = |at: u32| {
        let reference = json!({"hash": Root([7; 32]), "index": no * PAYMENTS + at});
        let (payer, eth) = (address(0x11, no * PAYMENTS + at), Wei::from_eth("0.5").unwrap());
        json!(["payment", {"reference": reference, "payer": payer, "eth": eth}])
    };
    json!((0..PAYMENTS).map(payment).collect::<Vec<_>>()).to_string()
}

/// An office of a pool that was founded.
pub(crate) fn founded(folder: &Path) -> Office {
    let key = CoordinatorKey::load_or_create(folder, &mut OsRng).unwrap();
    let charter = charter(key.address());
    Office::found(folder, key, charter, FOUNDED).unwrap()
}

pub(crate) fn see(office: &mut Office, at: u64, kind: &str, body: String) {
    office.observe(at, Label::new(kind).unwrap(), body).unwrap();
}

/// An office with so many observations of payments in its log.
pub(crate) fn paid(folder: &Path, blocks: u32) -> Office {
    let mut office = founded(folder);
    see(&mut office, FOUNDED, "finalized", json!({"epoch": "1000", "root": Root([7; 32])}).to_string());
    let stake = json!({"epoch": "1000", "active": "35000000000000000"}).to_string();
    see(&mut office, FOUNDED, "network-stake", stake);
    (0..blocks).for_each(|no| see(&mut office, FOUNDED, "many", block(no)));
    office
}
