//! Finds vectors and runs each file of a folder. Plain functions, so that any test binary can call them.

pub(crate) mod bls;
pub(crate) mod threshold;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What runs of vectors give: how many were run, or a line for each that failed.
pub(crate) type Ran = Result<usize, Vec<String>>;

/// A folder of vectors; `None`, and a printed line, when it is absent.
pub(crate) fn find_folder(name: &str) -> Option<PathBuf> {
    let base = std::env::var_os("SYMBOLON_VECTORS").map(PathBuf::from).or_else(beside_the_workspace);
    let folder = base.map(|base| base.join(name)).filter(|folder| folder.is_dir());
    if folder.is_none() {
        skip(name);
    }
    folder
}

/// The nearest `shared/vectors` above this crate.
fn beside_the_workspace() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/vectors")).find(|folder| folder.is_dir())
}

#[allow(clippy::print_stderr)] // A skip must be seen.
fn skip(name: &str) {
    eprintln!("skip: no vectors in {name}");
}

/// Everything in a folder, by name.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = read.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A JSON file.
pub(crate) fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs every `.json` file of a folder; `case` says what is wrong with it.
pub(crate) fn run_folder(folder: &Path, case: impl Fn(&Value) -> Result<(), String>) -> Ran {
    let runs = entries(folder).into_iter().map(|path| {
        let outcome = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => case(&read_json(&path)).map(|()| 1),
            Some("md") => Ok(0),
            Some(_) | None => Err("not a vector".to_owned()),
        };
        outcome.map_err(|why| vec![format!("{}: {why}", path.display())])
    });
    all(runs)
}

/// Adds the counts of runs, or lists all their failures.
pub(crate) fn all(runs: impl Iterator<Item = Ran>) -> Ran {
    let (mut ran, mut failures) = (0, Vec::new());
    for run in runs {
        match run {
            Ok(more) => ran += more,
            Err(more) => failures.extend(more),
        }
    }
    if failures.is_empty() { Ok(ran) } else { Err(failures) }
}

/// A comparison with a sentence.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(got: T, want: T) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("got {got:?}, want {want:?}")) }
}

/// Hex with or without `0x`.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("text instead of {value}"));
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
}
