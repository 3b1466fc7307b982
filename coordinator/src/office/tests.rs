//! What an office finds when it is opened again.

use super::*;
use crate::ledger::charter::tests::charter;
use rand_core::OsRng;
use serde_json::json;
use tempfile::TempDir;
use types::Root;

fn office() -> (TempDir, Office) {
    let folder = tempfile::tempdir().unwrap();
    let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
    let charter = Charter { coordinator: key.address(), ..charter() };
    let office = Office::found(folder.path(), key, charter, 1_800_000_000).unwrap();
    (folder, office)
}

fn finalize(office: &mut Office, epochs: std::ops::Range<u64>) {
    for epoch in epochs {
        let body = json!({"epoch": epoch.to_string(), "root": Root([7; 32])}).to_string();
        office.observe(1_800_000_000, Label::new("finalized").unwrap(), body).unwrap();
    }
}

fn reopened(folder: &TempDir) -> Office {
    Office::open(folder.path(), CoordinatorKey::load(folder.path()).unwrap()).unwrap()
}

/// How many entries an office was opened with without replaying them.
fn from_snapshot(office: &Office) -> bool {
    office.kept > 0
}

#[test]
fn an_office_that_was_closed_goes_on_from_its_snapshot_and_what_came_after() {
    let (folder, mut office) = office();
    finalize(&mut office, 1..100);
    office.close().unwrap();
    finalize(&mut office, 100..120);
    let head = office.ledger().unwrap().head();
    drop(office);
    let office = reopened(&folder);
    assert!(from_snapshot(&office));
    assert_eq!(office.ledger().unwrap().head(), head);
    let store = office.store;
    assert_eq!(verify_store(&store).unwrap().head(), head, "and so does who replays all of it");
}

#[test]
fn an_office_that_never_closed_replays_all_of_its_log() {
    let (folder, mut office) = office();
    finalize(&mut office, 1..10);
    let head = office.ledger().unwrap().head();
    drop(office);
    let office = reopened(&folder);
    assert!(!from_snapshot(&office));
    assert_eq!(office.ledger().unwrap().head(), head);
}

#[test]
fn a_snapshot_that_is_damaged_or_has_no_head_is_not_used() {
    let (folder, mut office) = office();
    finalize(&mut office, 1..10);
    office.close().unwrap();
    let head = office.ledger().unwrap().head();
    let other = office.ledger().unwrap().snapshot(&Head { size: head.size + 1, ..head });
    drop(office);
    let path = folder.path().join(LOG_FOLDER).join("snapshot");
    let good = std::fs::read(&path).unwrap();
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    for bad in [changed, good[..good.len() / 2].to_vec(), Vec::new(), b"{}\n".to_vec(), other] {
        std::fs::write(&path, bad).unwrap();
        let office = reopened(&folder);
        assert!(!from_snapshot(&office));
        assert_eq!(office.ledger().unwrap().head(), head);
    }
    std::fs::write(&path, good).unwrap();
    assert!(from_snapshot(&reopened(&folder)));
}

#[test]
fn a_log_that_was_changed_behind_a_snapshot_is_found() {
    let (folder, mut office) = office();
    finalize(&mut office, 1..10);
    office.close().unwrap();
    finalize(&mut office, 10..20);
    let mut entries = office.entries(0, 100).unwrap();
    let middle = entries[15].len() / 2;
    entries[15][middle] ^= 1;
    office.store.put(15, &entries[15]);
    drop(office);
    let opened = Office::open(folder.path(), CoordinatorKey::load(folder.path()).unwrap());
    let Err(OpenError::Audit(AuditError::Corrupt(corrupt))) = opened else { panic!("{opened:?}") };
    assert_eq!(corrupt.seq, 15);
}
