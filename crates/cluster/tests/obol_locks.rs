//! The published locks of the cluster file format: hashes, bytes, and which check refuses which fault.

mod common;

use cluster::{
    Check, Definition, Lock, Networks, NewValidator,
    definition::{Creator, Operator},
    eip712::Message,
    lock::BuildError,
    text::Hex,
};
use common::{bytes, clusters, files, folder, json, name, text};
use k256::ecdsa::SigningKey;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use types::Signature;

fn locks(folder: &Path) -> Vec<PathBuf> {
    let mut paths = clusters(folder);
    paths.retain(|path| json(path).get("lock_hash").is_some());
    assert!(paths.len() >= 11, "{} locks", paths.len());
    paths
}

fn parse(path: impl AsRef<Path>) -> Lock {
    Lock::parse(&fs::read(path.as_ref()).unwrap()).unwrap()
}

fn failed(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds()).map(|check| check.name).collect()
}

/// The parts a ceremony would have made this lock of.
fn parts(lock: &Lock) -> Vec<NewValidator> {
    let mut deposits = lock.deposits().unwrap();
    // The builder sorts.
    deposits.reverse();
    let part = |validator: cluster::ClusterValidator| NewValidator {
        public_key: validator.public_key,
        public_shares: validator.public_shares,
        deposits: deposits
            .iter()
            .filter(|deposit| deposit.message.public_key == validator.public_key)
            .copied()
            .collect(),
        registration: validator.registration.unwrap(),
    };
    lock.cluster().unwrap().validators.into_iter().map(part).collect()
}

fn signatures(file: &Value) -> (Signature, Vec<[u8; 65]>) {
    let nodes = file["node_signatures"].as_array().unwrap().iter();
    let nodes = nodes.map(|node| types::bytes::hex_array(node.as_str().unwrap()).unwrap());
    (text(file, "signature_aggregate").parse().unwrap(), nodes.collect())
}

#[test]
fn every_published_lock_hashes_to_what_it_says() {
    let Some(folder) = folder() else { return };
    for path in locks(&folder) {
        let stale = name(&path).starts_with("hash-mismatch");
        let lock = parse(&path);
        assert_eq!(lock.lock_hash().0 == *bytes(&json(&path), "lock_hash"), !stale, "{path:?}");
        let want: &[&str] = if stale { &["config_hash", "definition_hash", "lock_hash"] } else { &[] };
        assert_eq!(failed(&lock.check_hashes()), want, "{path:?}");
    }
}

/// Hashes of goldens under versions that nobody published a lock of, as computed by the independent script of the
/// vectors (`obol_hash_check.py`), which holds for every published file.
#[test]
fn versions_without_a_published_lock_hash_as_the_independent_script_says() {
    let Some(folder) = folder() else { return };
    let hash = |golden: &str, edit: &dyn Fn(&mut Value)| {
        let mut file = json(folder.join("golden").join(golden));
        edit(&mut file);
        let lock = Lock::parse(file.to_string().as_bytes()).unwrap();
        let again = Lock::parse(lock.to_json().as_bytes()).unwrap();
        assert_eq!(again.lock_hash(), lock.lock_hash());
        lock.lock_hash().to_string()
    };
    for (golden, version, want) in [
        (
            "cluster_lock_v1_7_0.json",
            "v1.5.0",
            "0xf437572afcce5138cab7cb652abbfafa1fc0c248b1098cb430a275503ceea978",
        ),
        (
            "cluster_lock_v1_7_0.json",
            "v1.6.0",
            "0x5931cc96a335b2dc6d781db06bc9a1e3e41550f2ff3b10dc5c757f225960de86",
        ),
        (
            "cluster_lock_v1_10_0.json",
            "v1.9.0",
            "0x6a2e65973460f2392c797ccee621cdce72dc4eb3536d3afa7a5d0947e2d2adc0",
        ),
    ] {
        assert_eq!(
            hash(golden, &|file| file["cluster_definition"]["version"] = version.into()),
            want,
            "{version}"
        );
    }
    let unset = hash("cluster_lock_v1_10_0.json", &|file| {
        let message = &mut file["distributed_validators"][0]["builder_registration"]["message"];
        message["fee_recipient"] = "".into();
        message["timestamp"] = (-62_135_596_800_i64).into();
    });
    assert_eq!(unset, "0xd12f1eb10d078ff42435f0a33bb5ea0b0a1417befc1d86f1d5a63be52fe77549");
}

#[test]
fn locks_are_written_byte_for_byte_as_they_were_read() {
    let Some(folder) = folder() else { return };
    let mut paths = files(&folder, "golden");
    paths.retain(|path| name(path).starts_with("cluster_lock"));
    paths.push(folder.join("synthetic/synthetic-v1.8-hoodi/cluster-lock.json"));
    paths.push(folder.join("synthetic/synthetic-v1.11-hoodi/cluster-lock.json"));
    assert!(paths.len() >= 5);
    for path in paths {
        let file = fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&path).to_json(), file, "{path:?}");
    }
}

#[test]
fn a_lock_of_other_layout_is_rewritten_with_the_same_hash_and_then_stays_as_it_is() {
    let Some(folder) = folder() else { return };
    for path in locks(&folder) {
        let lock = parse(&path);
        let written = lock.to_json();
        let again = Lock::parse(written.as_bytes()).unwrap();
        assert_eq!(again.lock_hash(), lock.lock_hash(), "{path:?}");
        assert_eq!(again.to_json(), written, "{path:?}");
    }
}

#[test]
fn checks_of_published_locks_hold_and_fail_as_their_index_says() {
    let Some(folder) = folder() else { return };
    let networks = Networks::public();
    for path in locks(&folder) {
        let failed = failed(&parse(&path).check(&networks));
        let random: &[&str] = &[
            "operator_signatures",
            "creator_signature",
            "cluster_size",
            "group_keys",
            "public_shares",
            "share_interpolation",
            "signature_aggregate",
            "node_signatures",
            "builder_registrations",
            "deposit_amounts",
            "deposit_signatures",
            "withdrawal_credentials",
        ];
        let want: &[&str] = match name(&path).as_str() {
            golden if golden.starts_with("cluster_lock") => random,
            "lock-v1.10-mainnet-safe-operator.json" => &["operator_signatures"],
            // What was signed over the lock hash was signed over the stale one.
            "hash-mismatch-lock-v1.10.json" => &[
                "config_hash",
                "definition_hash",
                "lock_hash",
                "signature_aggregate",
                "node_signatures",
                "builder_registrations",
                "deposit_signatures",
            ],
            _ => &[],
        };
        assert_eq!(failed, want, "{path:?}");
    }
}

#[test]
fn each_fault_is_refused_by_the_rule_it_breaks_and_by_what_follows_from_it() {
    let Some(folder) = folder() else { return };
    let networks = Networks::public();
    let faults: [(&str, &[&str]); 9] = [
        ("aggregate_missing_one", &["signature_aggregate"]),
        ("bad_definition_hash", &["definition_hash"]),
        ("bad_registration_sig", &["builder_registrations"]),
        ("duplicate_dv_key", &["group_keys"]),
        ("lock_signed_by_group_keys", &["signature_aggregate"]),
        ("missing_pubshare", &["public_shares", "share_interpolation"]),
        ("node_sig_missing", &["node_signatures"]),
        ("operator_config_sig_wrong_signer", &["operator_signatures"]),
        ("share_off_polynomial", &["share_interpolation"]),
    ];
    let have: Vec<_> = files(&folder, "synthetic/negative");
    assert_eq!(have.len(), faults.len());
    for (path, (fault, want)) in have.iter().zip(faults) {
        assert_eq!(name(path), format!("{fault}.json"));
        assert_eq!(failed(&parse(path).check(&networks)), want, "{fault}");
    }
}

#[test]
fn a_lock_is_built_from_its_parts_byte_for_byte() {
    let Some(folder) = folder() else { return };
    for path in [
        "synthetic/synthetic-v1.8-hoodi/cluster-lock.json",
        "synthetic/synthetic-v1.11-hoodi/cluster-lock.json",
        "real/lock-v1.10-hoodi-compounding.json",
        "real/lock-v1.10-mainnet-safe-operator.json",
    ] {
        let path = folder.join(path);
        let lock = parse(&path);
        let (aggregate, nodes) = signatures(&json(&path));
        let unsigned = Lock::unsigned(lock.definition().clone(), parts(&lock)).unwrap();
        assert_eq!(unsigned.lock_hash(), lock.lock_hash(), "{path:?}");
        assert!(failed(&unsigned.check(&Networks::public())).contains(&"signature_aggregate"));
        let built = unsigned.with_signatures(aggregate, &nodes);
        assert_eq!(built.to_json(), lock.to_json(), "{path:?}");
        assert_eq!(failed(&built.check(&Networks::public())), failed(&lock.check(&Networks::public())));
    }
}

#[test]
fn parts_that_do_not_fit_the_definition_make_no_lock() {
    let Some(folder) = folder() else { return };
    let lock = parse(folder.join("synthetic/synthetic-v1.11-hoodi/cluster-lock.json"));
    let build = |parts| Lock::unsigned(lock.definition().clone(), parts).unwrap_err();
    let mut few = parts(&lock);
    few.pop();
    assert_eq!(build(few), BuildError::Validators { have: 1, want: 2 });
    let mut short = parts(&lock);
    short[1].public_shares.pop();
    assert_eq!(build(short), BuildError::Shares { validator: 1, have: 3, want: 4 });
    let mut late = parts(&lock);
    late[0].registration.message.timestamp_s = u64::MAX;
    assert_eq!(build(late), BuildError::Timestamp { validator: 0, timestamp_s: u64::MAX });
    let old = parse(folder.join("real/lock-v1.7-goerli.json"));
    let error = Lock::unsigned(old.definition().clone(), parts(&old)).unwrap_err();
    assert_eq!(error, BuildError::OldVersion(cluster::Version::V1_7));
}

#[test]
fn what_validators_sign_is_derived_from_the_definition() {
    let Some(folder) = folder() else { return };
    for (path, network) in [
        ("synthetic/synthetic-v1.8-hoodi/cluster-lock.json", "hoodi"),
        ("synthetic/synthetic-v1.11-hoodi/cluster-lock.json", "hoodi"),
        ("real/lock-v1.10-hoodi-compounding.json", "hoodi"),
        ("real/lock-v1.10-mainnet-safe-operator.json", "mainnet"),
    ] {
        let lock = parse(folder.join(path));
        let genesis = Networks::public().by_name(network).unwrap().genesis_time_s;
        for (part, number) in parts(&lock).into_iter().zip(0..) {
            let number = types::ValidatorNo(number);
            let mut signed: Vec<_> = part.deposits.iter().map(|deposit| deposit.message).collect();
            signed.reverse();
            let derived = lock.definition().deposit_messages(number, part.public_key).unwrap();
            assert_eq!(derived, signed, "{path}");
            let derived = lock.definition().registration(number, part.public_key, genesis).unwrap();
            assert_eq!(derived, part.registration.message, "{path}");
        }
        let beyond = types::ValidatorNo(99);
        assert_eq!(lock.definition().deposit_messages(beyond, types::PublicKey::ZERO), None);
    }
}

#[test]
fn deposit_files_of_a_lock_are_those_published_with_it() {
    let Some(folder) = folder() else { return };
    for (folder, count) in [
        (folder.join("synthetic/synthetic-v1.8-hoodi"), 1),
        (folder.join("synthetic/synthetic-v1.11-hoodi"), 2),
    ] {
        let networks = Networks::public();
        let lock = parse(folder.join("cluster-lock.json"));
        let written = lock.deposit_files(networks.by_name("hoodi").unwrap()).unwrap();
        assert_eq!(written.len(), count);
        for file in written {
            assert_eq!(file.json, fs::read_to_string(folder.join(&file.name)).unwrap(), "{}", file.name);
        }
    }
}

/// Applies an edit to the JSON of the good lock and names the checks that fail then.
fn edited(folder: &Path, edit: impl FnOnce(&mut Value)) -> Vec<&'static str> {
    let mut file = json(folder.join("synthetic/synthetic-v1.11-hoodi/cluster-lock.json"));
    edit(&mut file);
    // Hashes are recomputed, so that they are not what fails.
    let lock = Lock::parse(file.to_string().as_bytes()).unwrap();
    let lock = Lock::parse(lock.to_json().as_bytes()).unwrap();
    failed(&lock.check(&Networks::public()))
}

#[test]
fn operators_sign_all_or_none_and_their_creator_with_them() {
    let Some(folder) = folder() else { return };
    let follows = ["signature_aggregate", "node_signatures"];
    let one = edited(&folder, |file| {
        for field in ["address", "config_signature", "enr_signature"] {
            file["cluster_definition"]["operators"][0][field] = "".into();
        }
    });
    assert!(one.contains(&"operator_signatures"), "{one:?}");
    for (field, want) in
        [("config_signature", "operator_signatures"), ("enr_signature", "operator_signatures")]
    {
        let half = edited(&folder, |file| file["cluster_definition"]["operators"][2][field] = "".into());
        assert_eq!(half, [&[want][..], &follows].concat());
    }
    let creator =
        edited(&folder, |file| file["cluster_definition"]["creator"]["config_signature"] = "".into());
    assert_eq!(creator, [&["creator_signature"][..], &follows].concat());
}

#[test]
fn a_creator_may_sign_for_operators_who_do_not() {
    let Some(folder) = folder() else { return };
    let folder = folder.join("synthetic/synthetic-v1.11-hoodi");
    let mut definition = parse(folder.join("cluster-lock.json")).definition().clone();
    let nodes: Vec<_> = definition.operators().iter().map(|operator| operator.enr.clone()).collect();
    for (position, enr) in nodes.into_iter().enumerate() {
        definition.set_operator(position, Operator::unsigned(enr.unwrap())).unwrap();
    }
    let failing = |definition: &Definition| failed(&definition.check(&Networks::public()));
    assert_eq!(
        failing(&definition),
        ["creator_signature"],
        "operators' addresses are part of what was signed"
    );

    let wallet =
        json(folder.join("private.json"))["operator_wallet"][0].as_str().map(hex::decode).unwrap().unwrap();
    let wallet = SigningKey::from_slice(&wallet).unwrap();
    let digest = Message::CreatorConfigHash(definition.config_hash()).digest(560_048);
    let (signature, id) = wallet.sign_prehash_recoverable(&digest.0);
    let address = definition.creator().address.clone();
    for (v, ok) in [(id.to_byte(), true), (id.to_byte() + 27, true), (id.to_byte() ^ 1, false), (29, false)] {
        let signature = [&signature.to_bytes()[..], &[v]].concat();
        let config_signature = Hex::new(signature).unwrap();
        definition.set_creator(Creator { address: address.clone(), config_signature }).unwrap();
        assert_eq!(failing(&definition).is_empty(), ok, "v = {v}");
    }
    let two = Hex::new([7; 130]).unwrap();
    definition.set_creator(Creator { address: address.clone(), config_signature: two }).unwrap();
    assert_eq!(failing(&definition), ["creator_signature"]);
    let uneven = Hex::new([7; 66]).unwrap();
    assert!(definition.set_creator(Creator { address, config_signature: uneven }).is_err());
}

#[test]
fn deposits_and_registrations_must_be_those_the_definition_asks_for() {
    let Some(folder) = folder() else { return };
    let follows = ["signature_aggregate", "node_signatures"];
    let credentials = edited(&folder, |file| {
        let deposit = &mut file["distributed_validators"][0]["partial_deposit_data"][0];
        deposit["withdrawal_credentials"] = format!("0x01{}", "11".repeat(31)).into();
    });
    assert_eq!(credentials, [&follows[..], &["deposit_signatures", "withdrawal_credentials"]].concat());
    let recipient = edited(&folder, |file| {
        let message = &mut file["distributed_validators"][1]["builder_registration"]["message"];
        message["fee_recipient"] = format!("0x{}", "22".repeat(20)).into();
    });
    assert_eq!(recipient, [&follows[..], &["builder_registrations"]].concat());
    let stranger = edited(&folder, |file| {
        let enr = file["cluster_definition"]["operators"][1]["enr"].clone();
        file["cluster_definition"]["operators"][0]["enr"] = enr;
    });
    assert!(stranger.contains(&"operator_enrs") && stranger.contains(&"node_signatures"), "{stranger:?}");
}
