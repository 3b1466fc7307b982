//! Every target over its seeds, the vectors at hand, what once broke it, and mutations of all these: no fuzzer needed.

mod mutations;

use fuzz::{TARGETS, Target, vectors};
use mutations::Mutations;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Mutations for each target: a few seconds for all of them.
const MUTATIONS: usize = 2_000;
/// Targets that do a ceremony's curve work for each input, and mutations for each of these.
const COSTLY: [&str; 2] = ["ceremony_frame", "ceremony_record"];
const MUTATIONS_OF_COSTLY: usize = 60;
/// Inputs that broke something, in a folder for each target.
const CRASHES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crashes");
/// Inputs that the fuzzer has found to reach something, in a folder for each target; `.ci/fuzz --keep` writes them.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
/// Longest of them, and all together, in bytes: they are in the repository for ever.
const KEPT_FILE_LEN_MAX: usize = 8_000;
const KEPT_LEN_MAX: usize = 600_000;
/// Where every reader of what comes from outside is listed, with its target.
const INVENTORY: &str = include_str!("../../../../docs/evidence.md");

/// Files of others: `$SYMBOLON_VECTORS`, else beside the workspace. Absent is a printed skip.
#[allow(clippy::print_stderr, reason = "a skip is only honest when it is seen")]
fn found() -> Vec<Vec<u8>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let root = std::env::var_os("SYMBOLON_VECTORS").map_or(beside, PathBuf::from);
    if !root.is_dir() {
        eprintln!("skipped: no vectors in {}", root.display());
    }
    vectors::inputs(&root).unwrap()
}

/// What a target says of an input that breaks it.
fn broken(target: &Target, input: &[u8]) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).err()?;
    let words = panic.downcast_ref::<String>().cloned();
    let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
    Some(format!("{}: {} on \"{}\"", target.name, words.unwrap_or_default(), input.escape_ascii()))
}

/// The first input that breaks a target: given ones as they are, then mutated.
fn replay(target: &Target, given: &[Vec<u8>]) -> Option<String> {
    let as_they_are = given.iter().find_map(|input| broken(target, input));
    as_they_are.or_else(|| {
        let mut mutations = Mutations::new(0x5eed);
        let count = if COSTLY.contains(&target.name) { MUTATIONS_OF_COSTLY } else { MUTATIONS };
        (0..count).find_map(|_| broken(target, &mutations.of(given)))
    })
}

#[test]
fn every_target_keeps_to_its_properties_on_its_seeds_and_their_mutations() {
    for target in TARGETS {
        assert_eq!(replay(target, &(target.seeds)()), None);
    }
}

#[test]
fn every_target_keeps_to_its_properties_on_the_vectors_and_their_mutations() {
    let found = found();
    if found.is_empty() {
        return;
    }
    for target in TARGETS {
        assert_eq!(replay(target, &found), None);
    }
}

/// The folders of targets in a folder.
fn folders(of: &str) -> Vec<(&'static Target, PathBuf)> {
    let folders = std::fs::read_dir(of).into_iter().flatten().map(|entry| entry.unwrap());
    let named = |folder: std::fs::DirEntry| {
        let name = folder.file_name().into_string().unwrap();
        let target = fuzz::target(&name).unwrap_or_else(|| panic!("there is no target {name:?}"));
        (target, folder.path())
    };
    folders.map(named).collect()
}

#[test]
fn what_once_broke_a_target_breaks_it_no_more() {
    for (target, folder) in folders(CRASHES) {
        for input in vectors::inputs(&folder).unwrap() {
            assert_eq!(broken(target, &input), None);
        }
    }
}

#[test]
fn what_the_fuzzer_has_found_breaks_no_target() {
    let folders = folders(CORPUS);
    let mut len = 0;
    for (target, folder) in &folders {
        let files =
            std::fs::read_dir(folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let files: Vec<_> = files.collect();
        assert!(!files.is_empty(), "nothing is kept of {}", target.name);
        for input in files {
            assert!(input.len() <= KEPT_FILE_LEN_MAX, "{} bytes in one file of {}", input.len(), target.name);
            len += input.len();
            assert_eq!(broken(target, &input), None);
        }
    }
    assert_eq!(folders.len(), TARGETS.len(), "every target has its folder");
    assert!(len <= KEPT_LEN_MAX, "{len} bytes are kept, at most {KEPT_LEN_MAX}");
}

#[test]
fn the_inventory_names_every_target_and_no_other() {
    let (_, after) = INVENTORY.split_once("\n## Hostile inputs\n").expect("the inventory has its heading");
    let section = after.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| faces "));
    let last = rows.map(|row| row.trim_end_matches('|').rsplit('|').next().unwrap());
    let named = last.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let named: std::collections::BTreeSet<_> = named.collect();
    assert_eq!(named, TARGETS.iter().map(|target| target.name).collect());
}

#[test]
fn a_target_that_breaks_on_a_rare_mutation_is_found_out() {
    let planted = Target {
        name: "planted",
        what: "a text with a bad bracket in it",
        run: |input| {
            assert!(!input.starts_with(b"good") || !input.contains(&b'['), "a bracket");
            true
        },
        seeds: || vec![b"good text".to_vec()],
    };
    let report = replay(&planted, &(planted.seeds)()).expect("one mutation in a hundred has a bracket");
    assert!(report.starts_with("planted: a bracket on \"good"), "{report}");
    let sound = Target { run: |_| true, ..planted };
    assert_eq!(replay(&sound, &(sound.seeds)()), None);
}

#[test]
fn targets_have_a_name_each_and_seeds_that_their_parsers_take() {
    assert!(TARGETS.is_sorted_by(|one, next| one.name < next.name));
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        let refused: Vec<_> = seeds.iter().filter(|seed| !(target.run)(seed)).collect();
        let words: Vec<_> = refused.iter().map(|seed| seed.escape_ascii().to_string()).collect();
        assert!(words.is_empty(), "{} refuses {words:?}", target.name);
        assert_eq!(fuzz::target(target.name).map(|found| found.what), Some(target.what));
    }
}
