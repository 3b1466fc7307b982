//! Signing roots: object, fork data, domain, signing root; and the same through a network's table.

use super::{folder, ssz::SIGNING_ROOTS};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use types::domain::{compute_domain, domain_at, fork_data_root};
use types::{ChainSpec, DomainType, Epoch, ForkVersion, Root, SigningRoot, Slot};

#[test]
fn every_signing_root_is_computed_as_others_do() {
    let Some(folder) = folder::subfolder("ssz") else { return };
    let path = folder.join(SIGNING_ROOTS);
    if !path.is_file() {
        return;
    }
    let file = folder::json(&path);
    let cases = file["cases"].as_array().expect("a list of cases");
    assert!(!cases.is_empty(), "no cases");
    for case in cases {
        check(case);
    }
}

fn check(case: &Value) {
    let what = format!("{} of {}", case["domain_type"], case["fork"]);
    let kind = kind_of(case);
    let version: ForkVersion = folder::text(case, "fork_version").parse().unwrap();
    let genesis = root(case, "genesis_validators_root");
    let object = object_root(folder::text(case, "object"));
    assert_eq!(object, root(case, "object_root"), "{what}: object");
    assert_eq!(fork_data_root(version, genesis), root(case, "fork_data_root"), "{what}: fork data");
    let domain = compute_domain(kind, version, genesis);
    assert_eq!(domain, root(case, "domain"), "{what}: domain");
    let signing_root = SigningRoot::compute(object, domain);
    assert_eq!(signing_root.root(), root(case, "signing_root"), "{what}: signing root");
    let Some(spec) = ChainSpec::builtin(folder::text(case, "network")) else { return };
    for epoch in epochs_of(&spec, case) {
        assert_eq!(domain_at(&spec, kind, epoch), domain, "{what}: domain in epoch {epoch}");
        assert_eq!(SigningRoot::of(&spec, kind, epoch, object), signing_root, "{what}: epoch {epoch}");
    }
}

/// Epochs in which the built-in table must give the case's domain.
fn epochs_of(spec: &ChainSpec, case: &Value) -> Vec<Epoch> {
    let last = spec.forks.last().expect("a network has forks").epoch;
    match kind_of(case) {
        DomainType::Deposit | DomainType::ApplicationBuilder | DomainType::VoluntaryExit => {
            vec![Epoch(0), last, last.next()]
        }
        _ => {
            let of_fork = |row: &&types::spec::ForkEpoch| row.fork.to_string() == folder::text(case, "fork");
            spec.forks.iter().find(of_fork).map(|row| row.epoch).into_iter().collect()
        }
    }
}

fn kind_of(case: &Value) -> DomainType {
    let bytes = folder::bytes(case, "domain_type_bytes");
    let known = DomainType::ALL.into_iter().find(|kind| kind.bytes() == bytes[..]);
    known.unwrap_or_else(|| panic!("unknown domain {}", case["domain_type"]))
}

/// The root of what a case names: a number, a hashed word, or a container of another file.
fn object_root(object: &str) -> Root {
    if let Some(slot) = object.strip_prefix("uint64 slot ") {
        return Root::of(&Slot(slot.parse().unwrap()));
    }
    if let Some(epoch) = object.strip_prefix("uint64 epoch ") {
        return Root::of(&Epoch(epoch.parse().unwrap()));
    }
    if object.starts_with("bytes32") {
        let word = object.split('\'').nth(1).expect("sha256('word')");
        return Root(Sha256::digest(word).into());
    }
    let id = object.split_whitespace().next().expect("an id");
    root_of_case(id).unwrap_or_else(|| panic!("no case {id}"))
}

/// The hash tree root of a case, which the test of containers proves.
fn root_of_case(id: &str) -> Option<Root> {
    let file = format!("ssz/{}.json", id.split('.').next()?);
    let files = folder::roots().into_iter().map(|root| root.join(&file)).filter(|path| path.is_file());
    files.map(|path| folder::json(&path)).find_map(|file| {
        let case = file["cases"].as_array()?.iter().find(|case| case["id"] == id)?.clone();
        Some(root(&case, "hash_tree_root"))
    })
}

fn root(value: &Value, key: &str) -> Root {
    folder::text(value, key).parse().unwrap()
}
