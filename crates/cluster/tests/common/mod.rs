//! Finds the vectors of the cluster file format.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// `$SYMBOLON_VECTORS`, or the folder beside the workspace.
pub(crate) fn folder() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let beside = above.map(|folder| folder.join("shared/vectors")).find(|folder| folder.is_dir());
    let root = std::env::var_os("SYMBOLON_VECTORS").map(PathBuf::from).or(beside).unwrap_or_default();
    let folder = root.join("obol");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no vectors at {}", folder.display());
    None
}

/// Every JSON file in one folder of the vectors, by name.
pub(crate) fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{kind} has vectors");
    files
}

/// Definitions and locks of the vectors that are meant to be read.
pub(crate) fn clusters(folder: &Path) -> Vec<PathBuf> {
    let kinds = ["golden", "real", "examples", "synthetic"];
    let mut all: Vec<PathBuf> = kinds.iter().flat_map(|kind| files(folder, kind)).collect();
    for version in ["synthetic/synthetic-v1.8-hoodi", "synthetic/synthetic-v1.11-hoodi"] {
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cluster-"))
        };
        all.extend(files(folder, version).into_iter().filter(named));
    }
    all
}

pub(crate) fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path.as_ref()).unwrap()).unwrap()
}

pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is a string in {value}"))
}

pub(crate) fn bytes(value: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(value, field).trim_start_matches("0x")).unwrap()
}

pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
