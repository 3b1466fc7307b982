//! The same without a file system of its own, on any machine: what was not synced is lost or torn, sector by sector.
//!
//! The files of the journal are read when they were synced last, and again at the cut. Of whatever differs each sector of
//! the disk has arrived or not, by a seed, and so has the new length of each file. That is all that a disk promises of
//! writes which nobody waited for. The database is synced after each append, and its seal after every eighth; the control
//! syncs nothing after the journal was opened. So this shows what sled makes of torn writes, and the loop device what the kernel does.

use super::{CLUSTER, Left, VALIDATORS, mixed, row, say, surviving_rows};
use dvt_node::journal::{Durability, Journal};
use std::collections::BTreeMap;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// How many cuts the synced journal has to survive.
const CUTS: u64 = 100;
/// How many cuts the control gets.
const CONTROL_CUTS: u64 = 20;
/// What a disk writes whole, or not at all.
const SECTOR_LEN: usize = 512;
/// Appends before a cut, at most: they fill more than one segment of sled's log (512 KiB), so that cuts fall into its turnings too.
const APPENDS_MAX: u64 = 400;
/// Appends from one sync of the seal to the next, the first of them after the opening.
const SEAL_SYNCED_EVERY: u64 = 8;
/// Rows of one append, at most: a slot's.
const ROWS_MAX: u64 = 2 * VALIDATORS;

/// The files of a folder and below it.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn read(folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(read(&path)),
            // A file that is removed meanwhile is not there, with or without the current.
            false => files.extend(fs::read(&path).ok().map(|bytes| (path, bytes))),
        }
    }
    files
}

/// Numbers from a seed, one after the other.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = mixed(self.0);
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Of `of` cases in a hundred.
    fn holds(&mut self, of: u64) -> bool {
        self.below(100) < of
    }
}

/// What is left of a file: each sector is of the one time or of the other.
fn torn(synced: &[u8], last: &[u8], chance: &mut Chance) -> Vec<u8> {
    // Whether most has arrived, or nearly nothing, is as likely as half of it.
    let arrived = [0, 10, 50, 90, 100][chance.below(5) as usize];
    let len = if chance.holds(arrived) { last.len() } else { synced.len() };
    let mut left = synced.to_vec();
    left.resize(len, 0);
    for (number, sector) in left.chunks_mut(SECTOR_LEN).enumerate() {
        let range = number * SECTOR_LEN..(number * SECTOR_LEN + sector.len()).min(last.len());
        let new = last.get(range).unwrap_or_default();
        if chance.holds(arrived) {
            sector[..new.len()].copy_from_slice(new);
        }
    }
    left
}

/// Writes what is left after a cut to a folder.
fn write(left: &Files, from: &Path, to: &Path) {
    for (path, bytes) in left {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Appends, cuts, opens again.
fn cut(durability: Durability, seed: u64) -> Left {
    let mut chance = Chance(mixed(seed));
    let folder = tempfile::Builder::new().prefix("symbolon-power-cut-").tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    // Nothing is asked of this machine's own disk: what would be synced is told by the copies.
    let mut journal = Journal::open_with(&before, CLUSTER, durability).unwrap();
    let mut synced = read(&before);
    let seal = before.join("seal");
    let mut sealed = fs::read(&seal).unwrap();
    let mut acknowledged = 0;
    for append in 1..=chance.below(APPENDS_MAX) {
        let rows = 1 + chance.below(ROWS_MAX);
        journal.append(&(acknowledged..acknowledged + rows).map(row).collect::<Vec<_>>()).unwrap();
        acknowledged += rows;
        if append % SEAL_SYNCED_EVERY == 0 {
            sealed = fs::read(&seal).unwrap();
        }
    }
    if durability == Durability::Played {
        synced = read(&before);
        synced.insert(seal.clone(), sealed);
    }
    let written = fs::read(&seal).unwrap();
    // This one is not acknowledged any more, and its seal would be written when it is durable.
    let rows = 1 + chance.below(ROWS_MAX);
    journal.append(&(acknowledged..acknowledged + rows).map(row).collect::<Vec<_>>()).unwrap();
    let mut last = read(&before);
    last.insert(seal, written);
    drop(journal);
    let left = last.iter().map(|(path, bytes)| {
        let synced = synced.get(path).map_or(&[][..], Vec::as_slice);
        (path.clone(), torn(synced, bytes, &mut chance))
    });
    write(&left.collect(), &before, &after);
    // Of some logs that no sync has ordered sled does not say that they are damaged, but panics: no node starts then either.
    let there = catch_unwind(|| surviving_rows(&after)).unwrap_or_else(|_| Err("sled panics".to_owned()));
    Left { acknowledged, there }
}

#[test]
fn every_acknowledged_row_survives_a_power_cut_that_tears_what_was_not_synced() {
    let mut acknowledged = 0;
    for seed in 0..CUTS {
        let left = cut(Durability::Played, seed);
        acknowledged += left.acknowledged;
        let there = left.there.as_ref().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(*there >= left.acknowledged, "seed {seed}: {left:?}");
    }
    say(&format!("torn, synced: {CUTS} cuts, {acknowledged} acknowledged rows, none lost"));
    let (mut lost, mut shut) = (0, 0);
    for seed in 0..CONTROL_CUTS {
        let left = cut(Durability::FlushOnly, seed);
        lost += left.lost();
        shut += u64::from(left.there.is_err());
    }
    say(&format!(
        "torn, flushed only: {CONTROL_CUTS} cuts, {lost} acknowledged rows lost, {shut} journals did not open"
    ));
    assert!(lost > 0, "a cut that loses nothing without a sync proves nothing");
}
