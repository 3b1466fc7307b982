//! The interchange tests of EIP-3076's authors, file after file, against our rules.
//!
//! What the complete strategy forbids we forbid: nothing slashable is signed. What the minimal strategy allows we allow:
//! nothing more is refused than watermarks demand. Between the two lies what only full histories can tell, and the
//! last promise, which may be signed again.

use dvt_node::moving::interchange::{Interchange, InterchangeError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use symbolon_core::guard::{Verdict, judge};
use symbolon_core::journal::{History, Promise, Row};
use types::{ChainSpec, Epoch, PublicKey, Root, SigningRoot, Slot};

/// When imports happen: a year after genesis, later than all that the vectors speak of.
const NOW: Slot = Slot(365 * 7200);

/// Every file of `$SYMBOLON_VECTORS`, or of the folder beside the workspace.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn cases() -> Option<Vec<Value>> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let beside = above.map(|folder| folder.join("shared/vectors")).find(|folder| folder.is_dir());
    let root = std::env::var_os("SYMBOLON_VECTORS").map(PathBuf::from).or(beside).unwrap_or_default();
    let folder = root.join("eip3076");
    if !folder.is_dir() {
        eprintln!("skipped: no vectors at {}", folder.display());
        return None;
    }
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let cases: Vec<_> = files.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect();
    assert!(!cases.is_empty(), "the folder has vectors");
    Some(cases)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is a string in {value}"))
}

fn number(value: &Value, field: &str) -> u64 {
    text(value, field).parse().unwrap()
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().unwrap_or_else(|| panic!("{field} is a list in {value}"))
}

/// One case: the journal of a node on the case's network.
struct Case {
    name: String,
    spec: ChainSpec,
    histories: BTreeMap<PublicKey, History>,
    /// Signings that were tried; makes a root of its own for those that have none.
    tried: u64,
}

impl Case {
    fn new(case: &Value) -> Self {
        let mut spec = ChainSpec::builtin("mainnet").unwrap();
        spec.genesis_validators_root = text(case, "genesis_validators_root").parse().unwrap();
        Self { name: text(case, "name").to_owned(), spec, histories: BTreeMap::new(), tried: 0 }
    }

    fn import(&mut self, step: &Value) {
        let file = Interchange::parse(step["interchange"].to_string().as_bytes()).unwrap();
        let rows = file.rows(&self.spec, self.spec.slot_start(NOW), Some);
        if step["should_succeed"] == false {
            assert!(matches!(rows, Err(InterchangeError::Network { .. })), "{}", self.name);
            return;
        }
        for row in rows.unwrap().rows {
            self.histories.entry(row.key).or_default().append(&row);
        }
    }

    fn try_sign(&mut self, wish: &Value, slot: Slot, promise: Promise) {
        self.tried += 1;
        let mut unknown = [0xff; 32];
        unknown[..8].copy_from_slice(&self.tried.to_le_bytes());
        let root = wish["signing_root"].as_str().map_or(Root(unknown), |root| root.parse().unwrap());
        let root = SigningRoot::recorded(root);
        let row = Row { key: text(wish, "pubkey").parse().unwrap(), slot, promise, root: Some(root) };
        let history = self.histories.entry(row.key).or_default();
        let passes = !matches!(judge(history, promise, root), Verdict::Refused(_));
        if wish["should_succeed_complete"] == false {
            assert!(!passes, "{}: not safe: {wish}", self.name);
        }
        if wish["should_succeed"] == true {
            assert!(passes, "{}: refused without need: {wish}", self.name);
        }
        if passes {
            history.append(&row);
        }
    }

    fn run(&mut self, step: &Value) {
        self.import(step);
        for wish in items(step, "blocks") {
            let slot = Slot(number(wish, "slot"));
            self.try_sign(wish, slot, Promise::Block { slot });
        }
        for wish in items(step, "attestations") {
            let (source, target) = (Epoch(number(wish, "source_epoch")), Epoch(number(wish, "target_epoch")));
            let slot = self.spec.epoch_start(target);
            self.try_sign(wish, slot, Promise::Attestation { source, target });
        }
    }
}

#[test]
fn nothing_that_full_histories_forbid_passes_and_everything_that_watermarks_allow_does() {
    let Some(cases) = cases() else { return };
    let mut tried = 0;
    for value in cases {
        let mut case = Case::new(&value);
        items(&value, "steps").iter().for_each(|step| case.run(step));
        tried += case.tried;
    }
    assert!(tried > 0, "the vectors try to sign");
}

#[test]
fn files_of_other_writers_say_the_same_when_written_again() {
    let Some(cases) = cases() else { return };
    for case in cases {
        for step in items(&case, "steps") {
            let mut file = Interchange::parse(step["interchange"].to_string().as_bytes()).unwrap();
            file.records.sort_by_key(|record| record.key);
            let again = Interchange::parse(file.to_json().as_bytes());
            assert_eq!(again, Ok(file), "{}", text(&case, "name"));
        }
    }
}
