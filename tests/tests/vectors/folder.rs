//! Where vectors lie, and how they are read.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Vectors beside the workspace, for when `$SYMBOLON_VECTORS` names no folder.
const BESIDE_THE_WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");

/// The roots to look in, the one that the environment names first.
pub(crate) fn roots() -> Vec<PathBuf> {
    let named = std::env::var_os("SYMBOLON_VECTORS").map(PathBuf::from);
    named.into_iter().chain([PathBuf::from(BESIDE_THE_WORKSPACE)]).collect()
}

/// A subfolder of the vectors; `None`, and a line saying so, where it is absent.
#[allow(clippy::print_stderr, reason = "a skip is only honest when it is seen")]
pub(crate) fn subfolder(name: &str) -> Option<PathBuf> {
    let root = roots().into_iter().next().expect("there is always one root");
    let path = root.join(name);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: no vectors in {}", path.display());
    None
}

/// Everything in a folder, in order of name.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = read.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The name of a file without its folder.
pub(crate) fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("vectors have plain names")
}

/// A file of JSON.
pub(crate) fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A string of an object.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is no string in {value}"))
}

/// Bytes of an object, written in hex.
pub(crate) fn bytes(value: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(value, key).trim_start_matches("0x")).unwrap()
}

/// JSON with its hex in lower case: addresses come in both forms.
pub(crate) fn lower(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("0x") => Value::String(text.to_lowercase()),
        Value::Array(items) => items.iter().map(lower).collect(),
        Value::Object(fields) => fields.iter().map(|(key, field)| (key.clone(), lower(field))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
