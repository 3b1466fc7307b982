//! Whatever stands in a file, reading it never panics, and what was read can be hashed, checked and written.

mod common;

use cluster::{Definition, Enr, Lock, Networks, deposit};
use common::{clusters, folder};
use proptest::prelude::*;
use serde_json::Value;
use std::{fs, sync::LazyLock};

static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let Some(folder) = folder() else { return Vec::new() };
    clusters(&folder).into_iter().map(|path| fs::read(path).unwrap()).collect()
});

fn read_everything(bytes: &[u8]) {
    if let Ok(definition) = Definition::parse(bytes) {
        let again = Definition::parse(definition.to_json().as_bytes()).unwrap();
        assert_eq!(again.definition_hash(), definition.definition_hash());
        definition.check(&Networks::public());
        let _ = definition.ready(&Networks::public());
    }
    if let Ok(lock) = Lock::parse(bytes) {
        let again = Lock::parse(lock.to_json().as_bytes()).unwrap();
        assert_eq!(again.lock_hash(), lock.lock_hash());
        let _ = (lock.cluster(), lock.deposits());
    }
    let _ = deposit::parse_file(bytes);
}

/// How many values a JSON document has, containers among them.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(size).sum(),
        Value::Array(list) => list.iter().map(size).sum(),
        _ => 0,
    }
}

/// Replaces the value at a place, counted from the root downwards.
fn replace(value: &mut Value, place: usize, new: Value) {
    if place == 0 {
        *value = new;
        return;
    }
    let inner: Vec<&mut Value> = match value {
        Value::Object(map) => map.values_mut().collect(),
        Value::Array(list) => list.iter_mut().collect(),
        _ => return,
    };
    let mut place = place - 1;
    for inner in inner {
        let size = size(inner);
        if place < size {
            return replace(inner, place, new);
        }
        place -= size;
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!([null])),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<u64>().prop_map(|number| Value::from(number.to_string())),
        any::<bool>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| Value::from(hex::encode(bytes))),
        (0_u32..20).prop_map(|minor| Value::from(format!("v1.{minor}.0"))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_file_with_changed_bytes(
        file in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        len in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        prop_assume!(!FILES.is_empty());
        let mut bytes = FILES[file.index(FILES.len())].clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(len.index(bytes.len()));
        }
        read_everything(&bytes);
    }

    #[test]
    fn a_file_with_changed_values(
        file in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any_value()), 1..4),
    ) {
        prop_assume!(!FILES.is_empty());
        let mut value: Value = serde_json::from_slice(&FILES[file.index(FILES.len())]).unwrap();
        for (place, new) in changes {
            let place = place.index(size(&value));
            replace(&mut value, place, new);
        }
        read_everything(value.to_string().as_bytes());
        if let Some(definition) = value.get("cluster_definition") {
            read_everything(definition.to_string().as_bytes());
        }
    }

    #[test]
    fn a_node_record_of_any_text(text in "(enr:)?[-_=A-Za-z0-9]{0,200}", other in ".*") {
        let _ = (Enr::parse(&text), Enr::parse(&other));
    }
}
