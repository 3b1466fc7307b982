//! Files of others as inputs: each file, and each part of those that are JSON.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// Longest file that is taken, in bytes: no file of a cluster in the vectors is longer, and long ones slow fuzzing down.
const FILE_LEN_MAX: u64 = 64 << 10;
/// Shortest text inside JSON that is an input of its own: shorter ones are names and numbers.
const TEXT_LEN_MIN: usize = 40;

/// All inputs in a folder, at any depth, in an order that does not depend on the disk; none if it is absent.
pub fn inputs(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut found = BTreeSet::new();
    if folder.is_dir() {
        collect(folder, &mut found)?;
    }
    Ok(found.into_iter().collect())
}

fn collect(folder: &Path, found: &mut BTreeSet<Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        if kind.is_dir() {
            collect(&entry.path(), found)?;
        } else if kind.len() <= FILE_LEN_MAX {
            let bytes = fs::read(entry.path())?;
            if let Ok(value) = serde_json::from_slice::<Value>(&bytes) {
                parts(&value, found);
            }
            found.insert(bytes);
        }
    }
    Ok(())
}

/// Objects and texts of a document, at any depth: files hold entries, entries hold node records and signatures.
fn parts(value: &Value, found: &mut BTreeSet<Vec<u8>>) {
    match value {
        Value::Object(fields) => {
            found.insert(value.to_string().into_bytes());
            fields.values().for_each(|field| parts(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| parts(item, found)),
        Value::String(text) if text.len() >= TEXT_LEN_MIN => {
            found.insert(text.clone().into_bytes());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
