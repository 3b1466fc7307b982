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

#[test]
fn a_head_of_a_large_state_is_the_newest_for_a_while() {
    let (_folder, mut office) = office();
    finalize(&mut office, 1..3);
    assert_eq!(office.newest_head(1_000).unwrap().signed.head.size, 3);
    finalize(&mut office, 3..4);
    assert_eq!(office.newest_head(1_000).unwrap().signed.head.size, 4, "a small state is hashed at once");
    office.newest = Some(Newest::of(4, 1_000, 75 * HEAD_BYTES_PER_S));
    finalize(&mut office, 4..6);
    for (now, size) in [(1_000, 4), (1_074, 4), (1_075, 6)] {
        assert_eq!(office.newest_head(now).unwrap().signed.head.size, size, "at {now}");
    }
    office.newest = Some(Newest::of(4, 1_000, 75 * HEAD_BYTES_PER_S));
    assert_eq!(office.newest_head(999).unwrap().signed.head.size, 6, "a clock that was set back");
    assert_eq!(office.head().unwrap().signed.head.size, 6, "who closes has one of now");
}

#[test]
fn a_snapshot_is_kept_after_so_many_bytes_whoever_asks() {
    let (folder, mut office) = office();
    finalize(&mut office, 1..10);
    assert!(!from_snapshot(&office));
    office.untried = SNAPSHOT_LEN - 1;
    finalize(&mut office, 10..11);
    assert_eq!((office.kept, office.untried), (11, 0));
    finalize(&mut office, 11..12);
    assert_eq!(office.kept, 11);
    let head = office.ledger().unwrap().head();
    drop(office);
    let office = reopened(&folder);
    assert!(from_snapshot(&office));
    assert_eq!(office.ledger().unwrap().head(), head);
}

#[test]
fn no_more_bytes_are_read_than_are_asked_for_but_for_one_entry() {
    let (_folder, mut office) = office();
    finalize(&mut office, 1..4);
    let all = office.entries(0, 9).unwrap();
    assert_eq!(all.len(), 4);
    let first = all[0].len() + all[1].len();
    for (len, count) in [(0, 1), (first - 1, 1), (first, 2), (usize::MAX, 4)] {
        assert_eq!(office.entries_within(0, 9, len).unwrap(), all[..count], "{len} bytes");
    }
    assert_eq!(office.entries_within(1, 2, usize::MAX).unwrap(), all[1..3]);
}

#[test]
fn an_entry_that_is_on_the_disk_is_answered_so_though_no_snapshot_can_be_kept() {
    let (_folder, mut office) = office();
    // Something that is no head stands where the next would be kept.
    office.store.keep_head(2, b"damaged").unwrap();
    office.untried = SNAPSHOT_LEN;
    assert!(office.is_snapshot_due());
    finalize(&mut office, 1..2);
    assert_eq!(office.entries_len(), 2);
    assert!(!from_snapshot(&office));
    // With the next it is tried again.
    finalize(&mut office, 2..3);
    assert!(from_snapshot(&office));
}
