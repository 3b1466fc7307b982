//! `dvt-node slashing-protection` on the data folder of one operator.

mod operator;

use cluster::folder;
use dvt_node::cli;
use dvt_node::moving::interchange::{Interchange, Record, SignedAttestation, SignedBlock};
use dvt_node::moving::slashing_protection::{export, import};
use operator::Operator;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use symbolon_core::journal::{Promise, Row};
use types::{Epoch, PublicKey, Root, SigningRoot, Slot};

const FILE: &str = "history.json";
const STRANGER: PublicKey = PublicKey([0x99; 48]);

fn record(key: PublicKey, slot: u64, (source, target): (u64, u64)) -> Record {
    let attestation = SignedAttestation { source: Epoch(source), target: Epoch(target), signing_root: None };
    let block = SignedBlock { slot: Slot(slot), signing_root: None };
    Record { key, blocks: vec![block], attestations: vec![attestation] }
}

fn write(operator: &Operator, root: Root, records: Vec<Record>) {
    let file = Interchange { genesis_validators_root: root, records };
    fs::write(operator.path(FILE), file.to_json()).unwrap();
}

fn refused<T: std::fmt::Debug>(result: anyhow::Result<T>, words: &str) {
    let said = format!("{:#}", result.unwrap_err());
    assert!(said.contains(words), "{said}");
}

/// Slot of the last block, highest source, highest target, by validator.
fn watermarks(operator: &Operator) -> Vec<Option<(u64, u64, u64)>> {
    let of = |history: symbolon_core::journal::History| {
        let (block, last) = (history.block?, history.attestation?);
        Some((block.slot.0, last.source_max.0, last.target_max.0))
    };
    operator.histories().into_iter().map(of).collect()
}

#[test]
fn records_under_group_share_and_client_key_bind_their_validator_and_others_are_named() {
    let operator = Operator::new();
    let [one, two] = &operator.validators[..] else { panic!("two validators") };
    let foreign = two.shares[1];
    let records = vec![
        record(one.group, 10, (1, 2)),
        record(one.shares[0], 30, (2, 3)),
        record(one.client, 20, (1, 5)),
        record(foreign, 99, (98, 99)),
        record(STRANGER, 99, (98, 99)),
    ];
    write(&operator, operator.spec().genesis_validators_root, records);
    let imported = import(&operator.config(FILE), operator.now()).unwrap();
    assert_eq!(watermarks(&operator), [Some((30, 2, 5)), None]);
    assert_eq!((imported.found, imported.raised), ([one.group].into(), [one.group].into()));
    assert_eq!((imported.missing, imported.foreign), (vec![two.group], [foreign, STRANGER].into()));
    assert_eq!(imported.client_keys_unknown, None);
    let again = import(&operator.config(FILE), operator.now()).unwrap();
    assert_eq!((again.found, again.raised), ([one.group].into(), [].into()));
}

#[test]
fn without_the_halves_the_rest_is_imported_and_the_reason_is_said() {
    let operator = Operator::new();
    fs::remove_file(operator.store()).unwrap();
    let [one, two] = &operator.validators[..] else { panic!("two validators") };
    let root = operator.spec().genesis_validators_root;
    write(&operator, root, vec![record(one.client, 20, (1, 5))]);
    refused(import(&operator.config(FILE), operator.now()), "its client's keys are unknown: ");
    assert!(!operator.path(folder::JOURNAL).exists());
    write(&operator, root, vec![record(one.client, 20, (1, 5)), record(two.shares[0], 7, (1, 2))]);
    let imported = import(&operator.config(FILE), operator.now()).unwrap();
    assert_eq!(watermarks(&operator), [None, Some((7, 1, 2))]);
    assert_eq!(imported.foreign, [one.client].into());
    assert!(imported.to_string().contains("keys are unknown"));
    assert!(imported.client_keys_unknown.unwrap().contains("node-halves-0.bin"));
}

#[test]
fn another_network_the_far_future_and_strangers_are_refused_and_nothing_is_written() {
    let operator = Operator::new();
    let key = operator.validators[0].group;
    let ours = operator.spec().genesis_validators_root;
    for (root, record, words) in [
        (Root([1; 32]), record(key, 1, (1, 2)), "genesis validators root"),
        (ours, record(key, 1, (1, u64::MAX)), "the validator would be silent"),
        (ours, record(STRANGER, 1, (1, 2)), "no record of this cluster's validators"),
    ] {
        write(&operator, root, vec![record]);
        refused(import(&operator.config(FILE), operator.now()), words);
        assert!(!operator.path(folder::JOURNAL).exists(), "{words}");
    }
    refused(import(&operator.config("no-such-file"), operator.now()), "cannot read ");
}

#[test]
fn a_running_node_is_left_alone() {
    let operator = Operator::new();
    let running = operator.journal();
    write(
        &operator,
        operator.spec().genesis_validators_root,
        vec![record(operator.validators[0].group, 1, (1, 2))],
    );
    refused(import(&operator.config(FILE), operator.now()), "in use by another process");
    refused(export(&operator.config("out.json")), "in use by another process");
    assert!(!operator.path("out.json").exists());
    drop(running);
    assert_eq!(watermarks(&operator), [None, None]);
}

#[test]
fn an_export_overwrites_nothing_and_makes_no_journal() {
    let operator = Operator::new();
    refused(export(&operator.config(FILE)), "no node has run on this folder");
    assert!(!operator.path(folder::JOURNAL).exists() && !operator.path(FILE).exists());
    drop(operator.journal());
    fs::write(operator.path(FILE), "another's").unwrap();
    refused(export(&operator.config(FILE)), "exists already");
    assert_eq!(fs::read(operator.path(FILE)).unwrap(), b"another's");
}

#[test]
fn what_was_promised_goes_from_one_folder_to_the_next_by_commands() {
    let (old, new) = (Operator::new(), Operator::new());
    let key = old.validators[1].group;
    let root = Some(SigningRoot::compute(Root([1; 32]), Root::ZERO));
    let vote = Promise::Attestation { source: Epoch(8), target: Epoch(9) };
    let block = Promise::Block { slot: Slot(300) };
    old.promise(&[
        Row { key, slot: Slot(300), promise: block, root },
        Row { key, slot: Slot(299), promise: vote, root },
    ]);
    let run = |command: &str, data_dir: &Operator| {
        let file = old.path(FILE).into_os_string();
        let words = ["dvt-node", "slashing-protection", command, "--json", "--data-dir"].map(OsString::from);
        cli::run(words.into_iter().chain([data_dir.path("").into(), "--file".into(), file]))
    };
    assert_eq!(run("export", &old), ExitCode::SUCCESS);
    assert_eq!(run("export", &old), ExitCode::FAILURE, "the file is there");
    assert_eq!(run("import", &new), ExitCode::SUCCESS, "the same validators, in another cluster");
    assert_eq!(watermarks(&new), [None, Some((300, 8, 9))]);
    let exported = Interchange::parse(&fs::read(old.path(FILE)).unwrap()).unwrap();
    assert_eq!(exported.records[0].attestations[0].signing_root, root.map(|root| root.root()));
}
