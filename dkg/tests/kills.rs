//! `dvt-dkg run`, real processes, killed with SIGKILL where something has just become durable, and started again.
//!
//! The seeds are made first, by a run that is killed at once. What comes of them undisturbed is the reference: whatever
//! is killed later, the same bytes must come of the same seeds.

mod pool;

use cluster::Networks;
use cluster::check::check_deposits;
use cluster::deposit;
use cluster::folder;
use cluster::lock::Lock;
use keys::store::NodeStore;
use pool::{Pool, check_halves, pool};
use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};
use types::Generation;

const OPERATORS: usize = 4;
const VALIDATORS: usize = 2;
/// What an operator leaves in its folder that is the same whoever wrote it, and however often it began.
const PUBLIC: [&str; 5] =
    [folder::DEFINITION, folder::PEERS, "deposit-data-1eth.json", "deposit-data-31eth.json", folder::LOCK];
/// What becomes durable after the seed, in order: records in the ceremony's folder, then files in the operator's.
const MILESTONES: [Milestone; 15] = [
    Milestone::Record(1),
    Milestone::Record(2),
    Milestone::Record(3),
    Milestone::Record(4),
    Milestone::Record(5),
    Milestone::File(folder::DEFINITION),
    Milestone::File(folder::NODE_PASSWORD),
    Milestone::File("node-halves-0.bin"),
    Milestone::File(folder::KEYSTORES),
    Milestone::File(folder::PEERS),
    Milestone::File("deposit-data-1eth.json"),
    Milestone::File("deposit-data-31eth.json"),
    Milestone::File(folder::LOCK),
    Milestone::Record(6),
    Milestone::Erased,
];
/// Milestones to be hit, so that a test says something: records and files among them.
const MOST: usize = 10;
/// Ceremonies for it. One is enough on a machine that is not busy.
const ROUNDS_MAX: usize = 8;
/// A ceremony takes seconds; a machine that needs longer than this for one step is broken.
const PATIENCE: Duration = Duration::from_secs(240);

#[derive(Clone, Copy, Debug)]
enum Milestone {
    Record(usize),
    File(&'static str),
    Erased,
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn records(dir: &Path) -> Option<PathBuf> {
    names(dir).into_iter().find(|name| name.starts_with("ceremony-")).map(|name| dir.join(name))
}

impl Milestone {
    /// Whether an operator has come this far. Milestones stay true, but for the records, which go at the end.
    fn reached(self, dir: &Path) -> bool {
        match self {
            Self::Record(number) => match records(dir) {
                Some(records) => records.join(format!("record-{number}")).exists(),
                None => Self::Erased.reached(dir),
            },
            Self::File(name) => dir.join(name).exists(),
            Self::Erased => dir.join(folder::LOCK).exists() && records(dir).is_none(),
        }
    }
}

/// Looks again and again; other processes get the processor in between.
fn wait_for(what: &str, mut reached: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < until, "{what} took too long");
        std::thread::yield_now();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    DirBuilder::new().mode(0o700).create(to).unwrap();
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// Operators whose processes come and go.
struct Ceremony {
    pool: Pool,
    definition: PathBuf,
    processes: Vec<Option<Child>>,
}

impl Drop for Ceremony {
    fn drop(&mut self) {
        (0..OPERATORS).for_each(|at| self.kill(at));
    }
}

impl Ceremony {
    fn new() -> Self {
        let pool = pool(OPERATORS);
        let definition = pool.define("kills", VALIDATORS);
        Self { pool, definition, processes: (0..OPERATORS).map(|_| None).collect() }
    }

    fn dir(&self, at: usize) -> &Path {
        &self.pool.dirs[at]
    }

    fn start(&mut self, at: usize) {
        let mut command = self.pool.command(at, &self.definition);
        command.args(["--deadline", "240", "--json"]);
        self.processes[at] = Some(command.spawn().unwrap());
    }

    /// SIGKILL; whether it was still alive does not matter.
    fn kill(&mut self, at: usize) {
        if let Some(mut child) = self.processes[at].take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    fn has_ended(&mut self, at: usize) -> bool {
        self.processes[at].as_mut().is_some_and(|child| child.try_wait().unwrap().is_some())
    }

    /// Waits for all; gives the lock's hash that each of them has printed.
    fn finish(&mut self) -> Vec<String> {
        let finish = |child: &mut Option<Child>| {
            let output = child.take().unwrap().wait_with_output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{words}");
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(json["unconfirmed"], serde_json::json!([]), "{json}");
            json["lock_hash"].as_str().unwrap().to_owned()
        };
        self.processes.iter_mut().map(finish).collect()
    }

    /// Everybody's folder as it is, somewhere else.
    fn save(&self, name: &str) -> Vec<PathBuf> {
        let save = |dir: &PathBuf| {
            let to = dir.with_extension(name);
            copy_folder(dir, &to);
            to
        };
        self.pool.dirs.iter().map(save).collect()
    }

    fn restore(&self, saved: &[PathBuf]) {
        for (dir, from) in self.pool.dirs.iter().zip(saved) {
            std::fs::remove_dir_all(dir).unwrap();
            copy_folder(from, dir);
        }
    }

    /// All four, killed once everybody has its seed; then what comes of these seeds when nobody is killed. In the end the
    /// folders are those of the seeds again.
    fn reference(&mut self) -> Reference {
        (0..OPERATORS).for_each(|at| self.start(at));
        let dirs = self.pool.dirs.clone();
        wait_for("everybody's seed", || dirs.iter().all(|dir| Milestone::Record(0).reached(dir)));
        (0..OPERATORS).for_each(|at| self.kill(at));
        let seeds = self.save("seeds");
        (0..OPERATORS).for_each(|at| self.start(at));
        let hashes = self.finish();
        assert_eq!(hashes, vec![hashes[0].clone(); OPERATORS]);
        let reference = Reference { lock_hash: hashes[0].clone(), seeds, dirs: self.save("made") };
        self.restore(&reference.seeds);
        reference
    }

    /// Kills these operators at each milestone of the first of them, as far as a restart has not come beyond it already.
    ///
    /// - Returns the milestones.
    fn kill_at_every_milestone(&mut self, victims: &[usize], reference: &Reference) -> Vec<String> {
        let watched = self.dir(victims[0]).to_owned();
        let mut hit = Vec::new();
        (0..OPERATORS).filter(|at| !victims.contains(at)).for_each(|at| self.start(at));
        for milestone in MILESTONES {
            if milestone.reached(&watched) {
                continue;
            }
            victims.iter().for_each(|at| self.start(*at));
            wait_for(&format!("{milestone:?}"), || milestone.reached(&watched) || self.has_ended(victims[0]));
            victims.iter().for_each(|at| self.kill(*at));
            assert!(milestone.reached(&watched), "{milestone:?} never came");
            victims.iter().for_each(|at| reference.assert_whole(*at, self.dir(*at)));
            hit.push(format!("{milestone:?}"));
        }
        victims.iter().for_each(|at| self.start(*at));
        hit
    }
}

/// What comes of the seeds undisturbed.
struct Reference {
    lock_hash: String,
    seeds: Vec<PathBuf>,
    dirs: Vec<PathBuf>,
}

impl Reference {
    /// What bears its name is there to the last byte.
    fn assert_whole(&self, at: usize, dir: &Path) {
        for name in PUBLIC {
            if let Ok(found) = std::fs::read(dir.join(name)) {
                assert_eq!(found, std::fs::read(self.dirs[at].join(name)).unwrap(), "{name}");
            }
        }
        let keystores = dir.join(folder::KEYSTORES);
        assert!(!keystores.exists() || names(&keystores).len() == 2 * VALIDATORS);
    }

    /// The same outcome, and nothing beside it.
    fn assert_made(&self, ceremony: &mut Ceremony) {
        assert_eq!(ceremony.finish(), vec![self.lock_hash.clone(); OPERATORS]);
        for at in 0..OPERATORS {
            let dir = ceremony.dir(at);
            let halves = NodeStore::file_name(Generation(0));
            let others = [keys::identity::KEY_FILE, folder::NODE_PASSWORD, folder::KEYSTORES, &halves];
            let wanted: BTreeSet<_> = PUBLIC.into_iter().chain(others).map(str::to_owned).collect();
            assert_eq!(names(dir), wanted, "nothing is left behind");
            self.assert_whole(at, dir);
            let lock = Lock::parse(&std::fs::read(dir.join(folder::LOCK)).unwrap()).unwrap();
            let deposits = ["deposit-data-1eth.json", "deposit-data-31eth.json"];
            let deposits = deposits.map(|name| deposit::parse_file(&std::fs::read(dir.join(name)).unwrap()));
            let deposits: Vec<_> = deposits.into_iter().flat_map(Result::unwrap).collect();
            assert_eq!(deposits.len(), 2 * VALIDATORS);
            let networks = Networks::public();
            for check in [lock.check(&networks), check_deposits(&deposits, &networks)].concat() {
                assert!(check.holds(), "{}: {}", check.name, check.detail);
            }
            check_halves(dir, &lock, at);
        }
    }
}

/// Runs the ceremony of the same seeds with these operators killed wherever something has become durable. A kill may come a
/// little late, and the next thing is durable too; so it is done again until most of what there is has been hit.
fn assert_survives(victims: &[usize]) {
    let mut ceremony = Ceremony::new();
    let reference = ceremony.reference();
    let mut hit = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        hit.extend(ceremony.kill_at_every_milestone(victims, &reference));
        reference.assert_made(&mut ceremony);
        if hit.len() >= MOST {
            return;
        }
        ceremony.restore(&reference.seeds);
    }
    panic!("only {hit:?} of {MILESTONES:?}");
}

#[test]
fn one_operator_killed_at_every_step_and_started_again_makes_the_keys_that_were_begun() {
    assert_survives(&[1]);
}

#[test]
fn two_operators_killed_at_every_step_and_started_again_make_the_keys_that_were_begun() {
    assert_survives(&[0, 2]);
}

#[test]
fn all_operators_killed_at_every_step_and_started_again_make_the_keys_that_were_begun() {
    assert_survives(&[3, 0, 1, 2]);
}
