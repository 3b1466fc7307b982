//! No key in one place: a ceremony and a cluster of real processes, and a search of all that they leave and hold.
//!
//! The ceremony's four operators begin with known seeds, so every secret is computed beforehand by the formulas
//! ([`known`]): the keys `k`, the joint shares `s_i`, the halves `v_i` and `w_i`, and what dealers deal, `f_j(i)`.
//!
//! | searched | holds | never |
//! |---|---|---|
//! | files of an operator's folder | `f_j(i)`, in the records of an unfinished ceremony | `k`, any `s`, any `v` and `w` in the clear |
//! | the validator client's folder | `v_i`, encrypted | `k`, any `s`, `w`, any `v` in the clear |
//! | logs and standard output | nothing | all of them |
//! | frames before encryption | `f_j(i)` to operator `i` alone | `k`, any `s`, `v`, `w` |
//! | bytes on the wire | nothing | all of them |
//! | memory of a ceremony at its seal | its own `s_i`, `v_i`, `w_i`, all `f_j(i)` and `f_i(j)` | `k`, others' `s`, `v`, `w` |
//! | memory of a ceremony with its files written | `f_i(j)`, to say again; `v_i` until the last file | `k`, any `s`, `w`, `f_j(i)` of others |
//! | memory of a node | its own `w_i` | `k`, any `s`, any `v`, others' `w` |
//!
//! The processes are this program in another role ([`a_child_of_this_test_plays_its_role`]): `cli::run` of the real
//! programs, over sockets and disks, with the allocator that each of them has. Frames of the nodes are searched on the
//! wire only, encrypted; what a node could say is bounded by what its memory holds. Memory is read as `/proc` shows it
//! to the same user; where the system forbids that, only that part is left out, in words.

mod allocator;
mod controls;
mod frames;
mod known;
mod pool;
mod process;
mod scan;
mod tap;

use crate::known::OfValidator;
use crate::pool::{OPERATORS, Pool};
use crate::process::{ARGUMENTS, Process, ROLE};
use crate::scan::{Hit, Needles, Secret};
use crate::tap::Tap;
use cluster::folder;
use cluster::lock::Lock;
use keys::keystore::Keystore;
use keys::secret_file::read_password;
use keys::store::NodeStore;
use keys::{SecretShare, VcHalf};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;
use types::{Generation, ShareIndex};

#[global_allocator]
static ALLOCATOR: allocator::OfTheRole = allocator::OfTheRole;

/// One between each two operators.
const LINKS: usize = OPERATORS * (OPERATORS - 1) / 2;

/// Where children begin; as a test of its own it has nothing to do.
#[test]
fn a_child_of_this_test_plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let arguments = std::env::var(ARGUMENTS).unwrap();
    let arguments = std::iter::once(role.clone()).chain(arguments.lines().map(str::to_owned));
    let arguments = arguments.map(OsString::from);
    let code = match role.as_str() {
        "dvt-dkg" => {
            allocator::wipe_from_now_on();
            dkg::cli::run(arguments)
        }
        "dvt-node" => dvt_node::cli::run(arguments),
        "holder" => controls::hold(),
        other => panic!("no role of the name {other}"),
    };
    std::process::exit(i32::from(code != ExitCode::SUCCESS));
}

#[test]
fn no_process_no_file_and_no_wire_ever_has_the_key_or_a_joint_share() {
    let pool = Pool::new();
    let secrets = pool.secrets();
    let all = needles(&secrets, |_| true);
    let mut tally = Tally::default();
    run_ceremony(&pool, &all, &mut tally);
    check_known_secrets(&pool, &secrets);
    run_nodes(&pool, &all, &mut tally);
    search_files("files in the end", &pool, &all, &mut tally);
    let streams: Vec<_> = pool.taps.iter().flat_map(Tap::heard).filter(|stream| !stream.is_empty()).collect();
    assert!(
        streams.len() >= 2 * LINKS * 2,
        "both directions of every link, in the ceremony and of the nodes"
    );
    for stream in &streams {
        tally.search("wire", &all, stream, |_| false);
    }
    tally.print();
}

#[test]
fn frames_hold_neither_key_nor_share_nor_half_and_dealt_parts_go_to_their_owner_alone() {
    let pool = Pool::new();
    let secrets = pool.secrets();
    let all = needles(&secrets, |_| true);
    let said = frames::run(&pool);
    let mut tally = Tally::default();
    let mut private = 0;
    for (from, to, frame) in &said.frames {
        let expected = format!("f_{from}({to})");
        private += usize::from(!all.find(&frame.0).is_empty());
        tally.search("frames", &all, &frame.0, |hit| hit.name.starts_with(&expected));
    }
    assert_eq!(private, 2 * LINKS, "one private frame from everybody to everybody else");
    for (me, record) in &said.records {
        let suffix = format!("({me})");
        tally.search("records", &all, &record.0, |hit| hit.name.contains(&suffix));
    }
    for (_, document) in &said.documents {
        tally.search("documents", &all, document, |_| false);
    }
    tally.print();
}

/// Secrets by name: `k`, `s_i`, `v_i`, `w_i`, `f_j(i)`, and of which validator.
fn needles(secrets: &[OfValidator], keep: impl Fn(&str) -> bool) -> Needles {
    let mut named: Vec<(String, Secret)> = Vec::new();
    for (number, of) in secrets.iter().enumerate() {
        named.push((format!("k of validator {number}"), of.key));
        for (letter, list) in [("s", &of.shares), ("v", &of.clients), ("w", &of.nodes)] {
            let list = list.iter().enumerate();
            named.extend(list.map(|(at, one)| (format!("{letter}_{} of validator {number}", at + 1), *one)));
        }
        for (dealer, row) in of.dealt.iter().enumerate() {
            let row = row.iter().enumerate();
            let name = |to: usize| format!("f_{}({}) of validator {number}", dealer + 1, to + 1);
            named.extend(row.map(|(to, one)| (name(to), *one)));
        }
    }
    Needles::new(named.into_iter().filter(|(name, _)| keep(name)))
}

/// What was searched, what stood where it may, and what stood where it must not.
#[derive(Default)]
struct Tally {
    searched: BTreeMap<&'static str, (usize, usize)>,
    expected: BTreeMap<&'static str, BTreeMap<String, usize>>,
    wrong: Vec<String>,
}

impl Tally {
    fn search(&mut self, place: &'static str, all: &Needles, bytes: &[u8], may: impl Fn(&Hit) -> bool) {
        self.search_part(place, "", all, bytes, may);
    }

    fn search_part(
        &mut self,
        place: &'static str,
        part: &str,
        all: &Needles,
        bytes: &[u8],
        may: impl Fn(&Hit) -> bool,
    ) {
        let (count, len) = self.searched.entry(place).or_default();
        (*count, *len) = (*count + 1, *len + bytes.len());
        for hit in all.find(bytes) {
            if may(&hit) {
                let name = hit.name.split(" of ").next().expect("a split has a first part").to_owned();
                *self.expected.entry(place).or_default().entry(name).or_default() += 1;
            } else {
                self.wrong
                    .push(format!("{place} {part}: {} as {} at {:#x}", hit.name, hit.form, hit.position));
            }
        }
    }

    #[expect(clippy::print_stderr, reason = "what was searched is the test's result")]
    fn print(&self) {
        for (place, (count, len)) in &self.searched {
            eprintln!("searched {place}: {count} pieces, {len} bytes");
        }
        for (place, names) in &self.expected {
            let list = names.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>();
            eprintln!("as designed, in halves of forms, in {place}: {}", list.join(", "));
        }
        assert!(self.wrong.is_empty(), "\n{}\n", self.wrong.join("\n"));
    }
}

/// Runs the ceremony to its end, and searches everybody's memory while all wait for the last one's last file.
fn run_ceremony(pool: &Pool, all: &Needles, tally: &mut Tally) {
    let operators = pool.operators();
    let (last, first) = operators.split_last().unwrap();
    operators.iter().for_each(|me| pool.plant_seed(*me));
    // The last operator writes its lock last of all, finds that something has this name, and compares: a pipe, which
    // has no content until somebody writes. So everybody is done but for one word.
    let pipe = pool.dirs[last.position()].join(folder::LOCK);
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let processes: Vec<_> = operators.iter().map(|me| pool.start_ceremony(*me)).collect();
    processes.iter().for_each(|process| process.wait_for(&["seal: ".to_owned()]));
    search_memory("memory of dvt-dkg at its seal", &operators, &processes, all, tally);
    for process in &processes[..first.len()] {
        process.wait_for(&[format!("done: waiting for operator {last}")]);
    }
    let mut writer = open_when_read(&pipe);
    search_memory("memory of dvt-dkg at its end", &operators, &processes, all, tally);
    search_files("files of the ceremony", pool, all, tally);
    writer.write_all(&std::fs::read(pool.dirs[0].join(folder::LOCK)).unwrap()).unwrap();
    drop(writer);
    processes.into_iter().for_each(Process::finish);
    std::fs::remove_file(&pipe).unwrap();
    std::fs::copy(pool.dirs[0].join(folder::LOCK), &pipe).unwrap();
}

/// Opens a pipe for writing, which succeeds once somebody reads it.
fn open_when_read(pipe: &Path) -> File {
    let (opened, open) = channel();
    let pipe = pipe.to_owned();
    std::thread::spawn(move || opened.send(File::options().write(true).open(pipe)));
    open.recv_timeout(Duration::from_secs(180)).expect("the last operator never wrote its lock").unwrap()
}

/// Reads the memory of all first, so that none has gone far, then searches it.
///
/// The one secret that everybody must hold shows that it was read and searched at all.
fn search_memory(
    place: &'static str,
    operators: &[ShareIndex],
    processes: &[Process],
    all: &Needles,
    tally: &mut Tally,
) {
    let memories: Vec<_> = processes.iter().map(Process::memory).collect();
    for ((me, process), memory) in operators.iter().zip(processes).zip(memories) {
        let Some(regions) = memory else { continue };
        let must = if place.contains("dkg") { format!("f_{me}({me})") } else { format!("w_{me}") };
        for region in regions {
            let part = format!("{} {} {:#x}", process.name, region.name, region.start);
            tally.search_part(place, &part, all, &region.bytes, |hit| may_hold(place, *me, &hit.name));
        }
        assert!(tally.expected[place].contains_key(&must), "{place}: no {must} in {}", process.name);
    }
}

/// Whether the process of this operator may hold a secret.
fn may_hold(place: &str, me: ShareIndex, name: &str) -> bool {
    let own = |letters: &[&str]| letters.iter().any(|letter| name.starts_with(&format!("{letter}_{me} ")));
    let dealt = name.starts_with(&format!("f_{me}("));
    match place {
        "memory of dvt-dkg at its seal" => {
            own(&["s", "v", "w"]) || dealt || (name.starts_with('f') && name.contains(&format!("({me})")))
        }
        "memory of dvt-dkg at its end" => own(&["v"]) || dealt,
        _ => own(&["w"]),
    }
}

/// The formulas' secrets are those that the ceremony has made.
fn check_known_secrets(pool: &Pool, secrets: &[OfValidator]) {
    for (position, dir) in pool.dirs.iter().enumerate() {
        let cluster =
            Lock::parse(&std::fs::read(dir.join(folder::LOCK)).unwrap()).unwrap().cluster().unwrap();
        let password = read_password(&dir.join(folder::NODE_PASSWORD)).unwrap();
        let store = NodeStore::load(&dir.join(NodeStore::file_name(Generation(0))), &password).unwrap();
        for (number, (validator, of)) in cluster.validators.iter().zip(secrets).enumerate() {
            let public = |secret: &Secret| SecretShare::from_be_bytes(secret).unwrap().public();
            assert_eq!(validator.public_key, public(&of.key));
            assert_eq!(validator.public_shares[position], public(&of.shares[position]));
            assert_eq!(store.halves[number].half.public(), public(&of.nodes[position]));
            let half = decrypt(&dir.join(folder::KEYSTORES), number);
            assert_eq!(half.to_be_bytes()[..], of.clients[position]);
            let hits = needles(secrets, |_| true).find(&half.to_be_bytes());
            let name = format!("v_{} of validator {number}", position + 1);
            assert!(!hits.is_empty() && hits.iter().all(|hit| hit.name == name), "{hits:?}");
        }
    }
}

fn decrypt(keystores: &Path, number: usize) -> VcHalf {
    let json = std::fs::read(keystores.join(format!("keystore-{number}.json"))).unwrap();
    let password = std::fs::read_to_string(keystores.join(format!("keystore-{number}.txt"))).unwrap();
    Keystore::parse(&json).unwrap().decrypt_half(&SecretString::from(password)).unwrap()
}

/// Gives every client its keystores, starts the nodes, and searches them once all are connected.
fn run_nodes(pool: &Pool, all: &Needles, tally: &mut Tally) {
    for (dir, client) in pool.dirs.iter().zip(&pool.client_dirs) {
        std::fs::rename(dir.join(folder::KEYSTORES), client.join(folder::KEYSTORES)).unwrap();
    }
    let operators = pool.operators();
    let processes: Vec<_> = operators.iter().map(|me| pool.start_node(*me)).collect();
    for process in &processes {
        let connected = std::iter::repeat_n("operator connected", operators.len() - 1);
        process.wait_for(&connected.chain(["node started"]).map(str::to_owned).collect::<Vec<_>>());
    }
    search_memory("memory of dvt-node", &operators, &processes, all, tally);
}

/// Everything below the pool's root: data folders, clients' folders, logs.
fn search_files(place: &'static str, pool: &Pool, all: &Needles, tally: &mut Tally) {
    let mut open: Vec<PathBuf> = vec![pool.root.path().to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                let text = path.display().to_string();
                let records = place == "files of the ceremony" && text.contains("/ceremony-");
                let bytes = std::fs::read(&path).unwrap();
                tally.search_part(place, &text, all, &bytes, |hit| records && hit.name.starts_with("f_"));
            }
        }
    }
}
