//! The published files and roots of the cluster file format: definitions, and what is signed around them.

mod common;

use cluster::{
    Definition, Enr, Network, Networks, Registration, SignedRegistration, Version, deposit, eip712,
    eip712::Message, hash, k1,
};
use common::{bytes, clusters, files, folder, json, name, text};
use serde_json::Value;
use std::fs;
use types::{ForkVersion, Root};

fn definition_of(file: &Value) -> &Value {
    file.get("cluster_definition").unwrap_or(file)
}

#[test]
fn building_blocks_of_hashes_have_the_published_roots() {
    let Some(folder) = folder() else { return };
    for case in json(folder.join("signing/ssz-helpers.json"))["cases"].as_array().unwrap() {
        let arg = case["arg"].as_u64().unwrap() as usize;
        let root = match text(case, "kind") {
            "byte_list" => hash::byte_list(&bytes(case, "input"), arg),
            "bytes_n" => hash::fixed_bytes(&bytes(case, "input"), arg),
            "k1_sig_list" => hash::signature_list(&bytes(case, "input"), arg),
            "uint64_list" => {
                let amounts = case["input"].as_array().unwrap().iter();
                let amounts: Vec<u64> =
                    amounts.map(|amount| amount.as_str().unwrap().parse().unwrap()).collect();
                hash::uint64_list(&amounts, arg)
            }
            kind => panic!("unknown kind {kind}"),
        };
        assert_eq!(root.to_string(), text(case, "root"), "{case}");
    }
}

#[test]
fn every_published_definition_hashes_to_what_it_says() {
    let Some(folder) = folder() else { return };
    let mut seen = 0;
    for path in clusters(&folder) {
        let file = json(&path);
        let file = definition_of(&file);
        let definition = Definition::parse(file.to_string().as_bytes()).unwrap();
        let stale = name(&path).starts_with("hash-mismatch");
        let matches = |field: &str, hash: Root| hash.to_string() == text(file, field);
        assert_eq!(matches("config_hash", definition.config_hash()), !stale, "{path:?}");
        assert_eq!(matches("definition_hash", definition.definition_hash()), !stale, "{path:?}");
        assert!(definition.check_hashes().iter().all(|check| check.holds() != stale), "{path:?}");
        seen += 1;
    }
    assert!(seen >= 20, "{seen} definitions");
}

#[test]
fn definitions_are_written_byte_for_byte_as_they_were_read() {
    let Some(folder) = folder() else { return };
    let mut paths: Vec<_> = files(&folder, "golden");
    paths.retain(|path| name(path).starts_with("cluster_definition"));
    paths.push(folder.join("synthetic/multisig-lengths-v1.11-definition.json"));
    paths.push(folder.join("synthetic/synthetic-v1.8-hoodi/cluster-definition.json"));
    paths.push(folder.join("synthetic/synthetic-v1.11-hoodi/cluster-definition.json"));
    assert!(paths.len() >= 8);
    for path in paths {
        let file = fs::read_to_string(&path).unwrap();
        assert_eq!(Definition::parse(file.as_bytes()).unwrap().to_json(), file, "{path:?}");
    }
}

#[test]
fn checks_of_published_definitions_hold_and_fail_as_their_index_says() {
    let Some(folder) = folder() else { return };
    let networks = Networks::public();
    for path in clusters(&folder) {
        let file = json(&path);
        let definition = Definition::parse(definition_of(&file).to_string().as_bytes()).unwrap();
        let failed: Vec<&str> = definition
            .check(&networks)
            .into_iter()
            .filter(|check| !check.holds())
            .map(|check| check.name)
            .collect();
        let want: &[&str] = match name(&path).as_str() {
            golden if golden.starts_with("cluster_") => {
                &["operator_signatures", "creator_signature", "cluster_numbers"]
            }
            golden if golden.starts_with("multisig") => &["operator_signatures", "creator_signature"],
            "lock-v1.10-mainnet-safe-operator.json" => &["operator_signatures"],
            "hash-mismatch-lock-v1.10.json" => &["config_hash", "definition_hash"],
            _ => &[],
        };
        assert_eq!(failed, want, "{path:?}");
    }
}

#[test]
fn faulty_definitions_fail_by_the_rule_they_break() {
    let Some(folder) = folder() else { return };
    let networks = Networks::public();
    for (file, want) in [
        ("bad_definition_hash.json", "definition_hash"),
        ("operator_config_sig_wrong_signer.json", "operator_signatures"),
    ] {
        let file = json(folder.join("synthetic/negative").join(file));
        let definition = Definition::parse(definition_of(&file).to_string().as_bytes()).unwrap();
        let failed = definition.check(&networks).into_iter().filter(|check| !check.holds());
        assert_eq!(failed.map(|check| check.name).collect::<Vec<_>>(), [want]);
    }
}

#[test]
fn networks_are_those_of_the_list() {
    let Some(folder) = folder() else { return };
    let list = json(folder.join("networks.json"));
    for (name, row) in list.as_object().unwrap() {
        let want = Network {
            name: name.clone(),
            fork_version: text(row, "genesis_fork_version").parse().unwrap(),
            chain_id: row["chain_id"].as_u64().unwrap(),
            genesis_time_s: row["genesis_time"].as_u64().unwrap(),
        };
        assert_eq!(Networks::public().by_name(name), Some(&want));
        assert_eq!(Networks::public().by_fork_version(want.fork_version), Some(&want));
    }
}

#[test]
fn wallets_sign_the_published_digests() {
    let Some(folder) = folder() else { return };
    let file = json(folder.join("signing/eip712.json"));
    for (chain, separator) in file["domain_separators"].as_object().unwrap() {
        assert_eq!(eip712::domain_separator(chain.parse().unwrap()).to_string(), separator.as_str().unwrap());
    }
    for case in file["cases"].as_array().unwrap() {
        let value = text(case, "value");
        let message = match text(case, "primary_type") {
            "CreatorConfigHash" => Message::CreatorConfigHash(value.parse().unwrap()),
            "OperatorConfigHash" => Message::OperatorConfigHash(value.parse().unwrap()),
            "ENR" => Message::Enr(value),
            kind => panic!("unknown type {kind}"),
        };
        let digest = message.digest(case["chain_id"].as_u64().unwrap());
        assert_eq!(digest.to_string(), text(case, "digest"), "{case}");
    }
}

#[test]
fn a_signature_gives_its_key_back_with_either_form_of_the_recovery_byte_and_no_other() {
    let Some(folder) = folder() else { return };
    let case = json(folder.join("signing/k1.json"));
    let digest = text(&case, "digest").parse().unwrap();
    let mut signature = bytes(&case, "signature_rsv");
    let recovered = |signature: &[u8]| {
        k1::recover(digest, signature).map(|key| k1::NodeKey::from(&key).as_bytes().to_vec())
    };
    let key = bytes(&case, "pubkey_compressed");
    let v = signature[64];
    for (byte, same) in [(v, true), (v + 27, true), (v ^ 1, false), ((v ^ 1) + 27, false)] {
        signature[64] = byte;
        assert_eq!(recovered(&signature).unwrap() == key, same, "v = {byte}");
    }
    for byte in (2..=255).filter(|byte| ![27, 28].contains(byte)) {
        signature[64] = byte;
        assert_eq!(recovered(&signature), Err(k1::RecoverError::RecoveryByte { v: byte }));
    }
    assert_eq!(recovered(&signature[..64]), Err(k1::RecoverError::Length { have: 64 }));
    assert_eq!(recovered(&[0; 65]), Err(k1::RecoverError::NoKey));
}

#[test]
fn node_records_give_their_keys_and_broken_ones_are_refused() {
    let Some(folder) = folder() else { return };
    let file = json(folder.join("signing/enr.json"));
    for case in file["cases"].as_array().unwrap() {
        let enr = Enr::parse(text(case, "enr")).unwrap();
        assert_eq!(enr.key().to_string(), text(case, "pubkey"));
        if case["pairs"].as_object().unwrap().len() == 2 {
            assert_eq!(Enr::digest(&enr.key()).to_string(), text(case, "digest"));
            let signature = text(case, "signature").parse().unwrap();
            assert_eq!(Enr::assemble(&enr.key(), &signature).unwrap(), enr);
        }
    }
    for case in file["invalid"].as_array().unwrap() {
        assert!(Enr::parse(text(case, "enr")).is_err(), "{case}");
    }
}

#[test]
fn deposit_files_are_read_and_written_byte_for_byte() {
    let Some(folder) = folder() else { return };
    let networks = Networks::public();
    for path in [
        "deposit/deposit-data-goerli-compounding.json",
        "synthetic/synthetic-v1.8-hoodi/deposit-data-16eth.json",
        "synthetic/synthetic-v1.11-hoodi/deposit-data.json",
        "synthetic/synthetic-v1.11-hoodi/deposit-data-1eth.json",
    ] {
        let file = fs::read_to_string(folder.join(path)).unwrap();
        let mut entries = deposit::parse_file(file.as_bytes()).unwrap();
        let checks = cluster::check::check_deposits(&entries, &networks);
        assert!(checks.iter().all(|check| check.holds()), "{path}: {checks:?}");
        let network = networks.by_name(&entries[0].network_name).unwrap();
        // Sorting is the writer's work.
        let deposits: Vec<_> = entries.iter().rev().map(|entry| entry.deposit).collect();
        let written = deposit::files(&deposits, network);
        assert_eq!(written.len(), 1);
        assert_eq!(written[0].json, file, "{path}");
        assert!(path.ends_with(&written[0].name) || path.contains("goerli"), "{path}: {}", written[0].name);

        entries[0].deposit.signature.0[5] ^= 1;
        entries[0].fork_version = ForkVersion([9; 4]);
        let mut small = entries[1].clone();
        small.deposit.message.amount.0 = 999_999_999;
        entries.extend([entries[1].clone(), small]);
        let failed = cluster::check::check_deposits(&entries, &networks).into_iter();
        let failed: Vec<_> = failed.filter(|check| !check.holds()).map(|check| check.name).collect();
        let all =
            ["deposit_amounts", "deposit_once", "deposit_roots", "deposit_networks", "deposit_signatures"];
        assert_eq!(failed, all);
    }
}

#[test]
fn withdrawal_credentials_are_those_of_the_deposit_file() {
    let Some(folder) = folder() else { return };
    let file = fs::read(folder.join("deposit/deposit-data-goerli-compounding.json")).unwrap();
    let entries = deposit::parse_file(&file).unwrap();
    let inputs = json(folder.join("deposit/inputs-for-deposit-data-goerli-compounding.json"));
    for input in inputs["entries"].as_array().unwrap() {
        let address = text(input, "withdrawal_address").parse().unwrap();
        let want = deposit::withdrawal_credentials(address, true);
        assert!(entries.iter().any(|entry| entry.deposit.message.withdrawal_credentials == want));
    }
}

#[test]
fn builder_registrations_have_the_published_roots_and_json() {
    let Some(folder) = folder() else { return };
    let case = json(folder.join("signing/builder-registration.json"));
    let message: Registration = serde_json::from_value(case["message"].clone()).unwrap();
    assert_eq!(message.root().to_string(), text(&case, "message_root"));
    let fork = text(&case, "fork_version").parse().unwrap();
    assert_eq!(message.signing_root(fork).root().to_string(), text(&case, "signing_root"));

    let file = json(folder.join("signing/builder-specs-signed_validator_registrations.json"));
    let list = &file["value"];
    let signed: Vec<SignedRegistration> = serde_json::from_value(list.clone()).unwrap();
    assert!(!signed.is_empty());
    assert_eq!(&serde_json::to_value(&signed).unwrap(), list);
}

#[test]
fn versions_before_v1_5_and_after_v1_11_are_refused_by_name() {
    let Some(folder) = folder() else { return };
    let golden = json(folder.join("golden/cluster_definition_v1_10_0.json"));
    for version in ["v1.4.0", "v1.12.0", "v1.10.1", "v1.10", "", "V1.10.0"] {
        let mut file = golden.clone();
        file["version"] = version.into();
        let error = Definition::parse(file.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("unsupported version {version:?}")), "{error}");
    }
    for version in Version::ALL {
        let mut file = golden.clone();
        file["version"] = version.as_str().into();
        assert!(Definition::parse(file.to_string().as_bytes()).is_ok(), "{version}");
    }
}
