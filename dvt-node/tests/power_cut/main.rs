//! Power cuts: what the journal acknowledged is on the disk, whenever the current goes.
//!
//! A file system of its own lies in an image file behind a loop device. A child process appends rows to a journal
//! there and prints the number of each row that is durable. After some of them the child is killed in whatever it
//! does, and the image is copied as it is: what the file system holds in its caches alone has never reached the image,
//! and is lost as it would be with the power. The copy is mounted, which replays the file system's own journal, and
//! opened.
//!
//! The control does the same without the last sync, and must lose rows; otherwise the cut would cut nothing.
//!
//! Needs root and loop devices; without them it says so and shows nothing. `SYMBOLON_POWER_CUTS` sets the number of
//! cuts of the synced journal. What was not synced may also arrive in parts, in any order: `torn` tries that on any machine.

mod torn;

use dvt_node::journal::{Durability, Journal};
use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use symbolon_core::journal::{Promise, Row};
use tempfile::TempDir;
use types::{ClusterId, Epoch, PublicKey, Root, SigningRoot, Slot};

/// Where the child finds the folder of its journal; its presence makes a process the child.
const FOLDER: &str = "SYMBOLON_POWER_CUT_FOLDER";
/// How the child makes its rows durable: `synced` or `flushed`.
const HOW: &str = "SYMBOLON_POWER_CUT_HOW";
/// Whether the child's journal is at home already, its files made and durable, before it appends so.
const GROWN: &str = "SYMBOLON_POWER_CUT_GROWN";
/// How many cuts the synced journal has to survive.
const CUTS: &str = "SYMBOLON_POWER_CUTS";
/// The first lines that a child prints come from the test's harness; those of acknowledged rows begin so.
const ACKNOWLEDGED: &str = "acknowledged ";
/// The child's own name among the tests.
const CHILD: &str = "the_child_appends_until_it_is_killed";

const CLUSTER: ClusterId = Root([7; 32]);
/// The file system commits nothing by itself while a child lives, so that no commit falls into the copying.
const OPTIONS: &str = "commit=300";
/// Enough for ext4 with its journal, small enough to copy at every cut.
const IMAGE_LEN: u64 = 24 << 20;
/// Cuts of the synced journal unless more are asked for.
const SYNCED_CUTS: u64 = 3;
/// Cuts that the control gets to lose a row.
const CONTROL_CUTS_MAX: u64 = 10;
/// Rows before a cut of a young journal, at most: the cut falls near the making of its files.
const YOUNG_ROWS_MAX: u64 = 120;
/// Rows before a cut of a grown one, at most: its file has grown several times by then. In between `flush()` writes
/// where the file has room already, and that reaches the image.
const GROWN_ROWS_MAX: u64 = 6000;
/// Turns of an empty loop between the last row that is waited for and the kill, at most.
const PHASES: u64 = 500_000;
/// Validators whose rows take turns, so that the database has more than one value to lose.
const VALIDATORS: u64 = 16;

/// The rows in the child's order: each validator's targets rise.
fn row(number: u64) -> Row {
    let mut key = [0xa0; 48];
    key[0] = (number % VALIDATORS) as u8;
    let target = 1 + number / VALIDATORS;
    Row {
        key: PublicKey(key),
        slot: Slot(target * 32),
        promise: Promise::Attestation { source: Epoch(target - 1), target: Epoch(target) },
        root: Some(SigningRoot::compute(Root([number as u8; 32]), Root::ZERO)),
    }
}

/// Not a test of its own: does nothing unless a test has started it.
#[test]
fn the_child_appends_until_it_is_killed() {
    let (Some(folder), Some(how)) = (env::var_os(FOLDER), env::var_os(HOW)) else { return };
    let folder = Path::new(&folder);
    if env::var_os(GROWN).is_some() {
        let mut journal = Journal::open(folder, CLUSTER).unwrap();
        journal.append(&[row(0)]).unwrap();
    }
    let durability = if how == "synced" { Durability::Synced } else { Durability::FlushOnly };
    let mut journal = Journal::open_with(folder, CLUSTER, durability).unwrap();
    let mut out = std::io::stdout().lock();
    for number in 0.. {
        journal.append(&[row(number)]).unwrap();
        writeln!(out, "{ACKNOWLEDGED}{number}").unwrap();
        out.flush().unwrap();
    }
}

/// Runs a tool; what it says where it fails.
fn run(tool: &str, arguments: &[&str]) -> Result<Output, String> {
    let output = Command::new(tool).args(arguments).output().map_err(|error| format!("{tool}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// An image behind a loop device, mounted. Both are given back when it is dropped.
struct Disk {
    device: String,
    place: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Mounts an image at a new folder.
    fn mount(image: &Path, place: PathBuf) -> Result<Self, String> {
        fs::create_dir(&place).map_err(|error| error.to_string())?;
        let found = run("losetup", &["--find", "--show", text(image)])?;
        let device = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        let mut disk = Self { device, place, mounted: false };
        run("mount", &["-t", "ext4", "-o", OPTIONS, &disk.device, text(&disk.place)])?;
        disk.mounted = true;
        Ok(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let place = text(&self.place).to_owned();
        if self.mounted
            && let Err(error) = run("umount", &[&place])
        {
            say(&error);
        }
        if let Err(error) = run("losetup", &["--detach", &self.device]) {
            say(&error);
        }
    }
}

/// Says it past the harness, which shows nothing of tests that pass.
fn say(words: &str) {
    // Whoever closed the error stream does not want to know.
    let _ = writeln!(std::io::stderr(), "power cut: {words}");
}

fn new_image(folder: &Path) -> Result<PathBuf, String> {
    let image = folder.join("disk");
    File::create_new(&image).and_then(|file| file.set_len(IMAGE_LEN)).map_err(|error| error.to_string())?;
    run("mkfs.ext4", &["-q", "-F", text(&image)])?;
    Ok(image)
}

/// Why this machine cannot show a power cut, if it cannot.
fn excuse() -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    new_image(folder.path()).and_then(|image| Disk::mount(&image, folder.path().join("mounted"))).err()
}

/// A child that is killed at the latest when this is dropped.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        // It may be dead already; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a cut has left.
#[derive(Debug)]
struct Left {
    acknowledged: u64,
    /// Rows that are there, counted from the first; or why the journal does not open.
    there: Result<u64, String>,
}

impl Left {
    fn lost(&self) -> u64 {
        self.there.as_ref().map_or(self.acknowledged, |there| self.acknowledged.saturating_sub(*there))
    }
}

/// Cuts the power after a number of acknowledged rows. Of even seeds the journal is young.
fn cut(how: &str, seed: u64) -> Left {
    let grown = seed % 2 == 1;
    let rows = 1 + mixed(seed) % if grown { GROWN_ROWS_MAX } else { YOUNG_ROWS_MAX };
    let folder = tempfile::Builder::new().prefix("symbolon-power-cut-").tempdir().unwrap();
    let image = new_image(folder.path()).unwrap();
    let disk = Disk::mount(&image, folder.path().join("before")).unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture"])
        .env(FOLDER, disk.place.join("journal"))
        .env(HOW, how)
        .envs(grown.then_some((GROWN, "")))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = Child(child.unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut numbers = lines.filter_map(|line| line.ok()?.split_once(ACKNOWLEDGED)?.1.parse::<u64>().ok());
    let reached = numbers.by_ref().find(|number| number + 1 >= rows);
    let reached = reached.expect("the child appends until it is killed");
    // The phase of what the child does next, from the seed too: an append takes about as long as the longest of these.
    (0..mixed(!seed) % PHASES).for_each(|_| std::hint::spin_loop());
    child.0.kill().unwrap();
    // Its last write may still be on its way: a copy taken meanwhile would be a state that no disk ever had.
    child.0.wait().unwrap();
    let after = folder.path().join("after-image");
    fs::copy(&image, &after).unwrap();
    let acknowledged = numbers.last().unwrap_or(reached) + 1;
    drop(disk);
    Left { acknowledged, there: surviving(&after, &folder) }
}

/// How many rows, counted from the first, an image holds.
fn surviving(image: &Path, folder: &TempDir) -> Result<u64, String> {
    let disk = Disk::mount(image, folder.path().join("after"))?;
    surviving_rows(&disk.place.join("journal"))
}

/// How many rows, counted from the first, a journal holds.
fn surviving_rows(folder: &Path) -> Result<u64, String> {
    let journal = Journal::open(folder, CLUSTER).map_err(|error| error.to_string())?;
    let mut there = 0;
    // Each validator's value is that of its last row: the rows are there up to the first that is not.
    let keys: Vec<_> = (0..VALIDATORS).map(|number| row(number).key).collect();
    let targets = journal.histories(&keys).into_iter();
    let targets: Vec<_> =
        targets.map(|history| history.attestation.map_or(0, |last| last.target_max.0)).collect();
    while targets[(there % VALIDATORS) as usize] > there / VALIDATORS {
        there += 1;
    }
    Ok(there)
}

/// A number from a seed (SplitMix64).
fn mixed(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn every_acknowledged_row_survives_a_power_cut_and_without_the_sync_it_does_not() {
    if let Some(excuse) = excuse() {
        return say(&format!("SKIPPED, nothing was shown: {excuse}"));
    }
    let cuts = env::var(CUTS).map_or(SYNCED_CUTS, |cuts| cuts.parse().expect("a number of cuts"));
    let mut acknowledged = 0;
    for seed in 0..cuts {
        let left = cut("synced", seed);
        acknowledged += left.acknowledged;
        let there = left.there.as_ref().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(*there >= left.acknowledged, "seed {seed}: {left:?}");
    }
    say(&format!("synced: {cuts} cuts, {acknowledged} acknowledged rows, none lost"));
    let (mut tried, mut lost, mut shut) = (0, 0, 0);
    // Where many cuts are asked for, the control takes them all, for the numbers.
    let enough = |tried: u64, lost: u64| tried >= cuts && (lost > 0 || tried >= CONTROL_CUTS_MAX);
    while !enough(tried, lost) {
        let left = cut("flushed", tried);
        tried += 1;
        lost += left.lost();
        shut += u64::from(left.there.is_err());
    }
    say(&format!("flushed only: {tried} cuts, {lost} acknowledged rows lost, {shut} journals did not open"));
    assert!(lost > 0, "a cut that loses nothing without a sync proves nothing");
}
