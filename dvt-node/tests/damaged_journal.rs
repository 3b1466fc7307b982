//! A journal whose files were damaged does not open: promises that are lost in silence are worse than a node that is down.
//!
//! Each kind of damage falls on places all over the database's file. sled alone opens after every one of them, with rows
//! missing. Damage that lost nothing may be overlooked.

use dvt_node::journal::{Journal, JournalError};
use std::fs;
use std::path::Path;
use symbolon_core::journal::{History, Promise, Row};
use types::{ClusterId, Epoch, PublicKey, Root, SigningRoot, Slot};

const CLUSTER: ClusterId = Root([7; 32]);
/// The file below a journal's folder that holds the rows.
const DATABASE: &str = "sled/db";
/// Places of damage in a file.
const PLACES: usize = 24;

fn row(target: u64) -> Row {
    Row {
        key: PublicKey([(target % 4) as u8; 48]),
        slot: Slot(target * 32),
        promise: Promise::Attestation { source: Epoch(target - 1), target: Epoch(target) },
        root: Some(SigningRoot::compute(Root([target as u8; 32]), Root::ZERO)),
    }
}

/// A journal with the rows of a hundred epochs, closed; and what it holds.
fn written(at: &Path) -> Vec<(PublicKey, History)> {
    let mut journal = Journal::open(at, CLUSTER).unwrap();
    (1..100).for_each(|target| journal.append(&[row(target)]).unwrap());
    journal.histories_all()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}

type Damage = fn(&mut Vec<u8>, usize);

const DAMAGES: [(&str, Damage); 6] = [
    ("a byte turned over", |bytes, at| bytes[at] ^= 0xff),
    ("noise from there on", |bytes, at| bytes[at..].fill(0xa5)),
    ("noise up to there", |bytes, at| bytes[..=at].fill(0xa5)),
    ("the rest gone", |bytes, at| bytes.truncate(at)),
    ("zeros from there on", |bytes, at| bytes[at..].fill(0)),
    ("a few zeros", |bytes, at| bytes[at..].iter_mut().take(20).for_each(|byte| *byte = 0)),
];

#[test]
fn a_damaged_database_opens_with_all_that_was_promised_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let before = written(&whole);
    let bytes = fs::read(whole.join(DATABASE)).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut refused = 0;
    for (name, damage) in DAMAGES {
        for place in 0..PLACES {
            let (offset, damaged) = (used * place / PLACES, folder.path().join(format!("{name} {place}")));
            copy(&whole, &damaged);
            let mut bytes = bytes.clone();
            damage(&mut bytes, offset);
            fs::write(damaged.join(DATABASE), &bytes).unwrap();
            match Journal::open(&damaged, CLUSTER) {
                Ok(journal) => assert_eq!(journal.histories_all(), before, "{name} at {offset}"),
                Err(_) => refused += 1,
            }
            // What sled has cut off by now is not taken for the whole at the next start.
            if let Ok(journal) = Journal::open(&damaged, CLUSTER) {
                assert_eq!(journal.histories_all(), before, "{name} at {offset}, opened twice");
            }
        }
    }
    assert!(refused > DAMAGES.len() * PLACES / 2, "{refused} of {} damages hurt", DAMAGES.len() * PLACES);
}

#[test]
fn the_error_names_the_folder_and_how_much_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let database = folder.path().join(DATABASE);
    let mut bytes = fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    fs::write(&database, bytes).unwrap();
    let error = Journal::open(folder.path(), CLUSTER).unwrap_err();
    let JournalError::RolledBack { path, have, sealed: 99 } = &error else { panic!("{error}") };
    assert!(path == folder.path() && *have < 99);
    assert!(error.to_string().contains(folder.path().to_str().unwrap()));
}

#[test]
fn a_database_without_its_seal_or_of_another_time_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("journal");
    written(&at);
    let earlier = folder.path().join("earlier");
    copy(&at.join("sled"), &earlier);
    Journal::open(&at, CLUSTER).unwrap().append(&[row(100)]).unwrap();
    let now = folder.path().join("now");
    copy(&at, &now);

    fs::write(at.join("seal"), [0xa5; 8192]).unwrap();
    assert!(matches!(Journal::open(&at, CLUSTER), Err(JournalError::Unsealed { .. })));
    fs::remove_file(at.join("seal")).unwrap();
    assert!(matches!(Journal::open(&at, CLUSTER), Err(JournalError::Unsealed { .. })));

    fs::remove_dir_all(now.join("sled")).unwrap();
    copy(&earlier, &now.join("sled"));
    let opened = Journal::open(&now, CLUSTER);
    assert!(matches!(opened, Err(JournalError::RolledBack { have: 99, sealed: 100, .. })), "{opened:?}");
}
