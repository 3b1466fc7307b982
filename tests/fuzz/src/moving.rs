//! What an operator moves with, and what is asked of the programs beside: histories, node keys, answers.

use dvt_node::moving::interchange::{Interchange, InterchangeError, Record, SignedAttestation, SignedBlock};
use keys::NodeKey;
use remote::execution::parse_answer;
use remote::keymanager::{parse_exit, parse_list, parse_pushed};
use symbolon_core::guard::{Verdict, judge};
use symbolon_core::journal::{History, Promise};
use types::operations::SignedVoluntaryExit;
use types::{ChainSpec, Epoch, Millis, PublicKey, Root, SigningRoot, Slot};

/// A validator's key; which point it is does not matter here.
const KEY: PublicKey = PublicKey([7; 48]);

fn spec() -> ChainSpec {
    ChainSpec::builtin("hoodi").expect("hoodi is built in")
}

/// Everything in a history is under one validator's key: then whatever it holds, the journal refuses to sign again.
pub(crate) fn interchange(input: &[u8]) -> bool {
    let Ok(read) = Interchange::parse(input) else { return false };
    let written = read.to_json();
    let again = Interchange::parse(written.as_bytes()).expect("what was written is read");
    assert_eq!(again.to_json(), written);
    let spec = ChainSpec { genesis_validators_root: read.genesis_validators_root, ..spec() };
    let rows = match read.rows(&spec, Millis(u64::MAX / 2), |_| Some(KEY)) {
        Ok(told) => told.rows,
        Err(InterchangeError::Future { .. }) => return true,
        Err(error) => panic!("{error}"),
    };
    let mut history = History::default();
    rows.iter().for_each(|row| history.append(row));
    for record in &read.records {
        record.blocks.iter().for_each(|block| refuse(&history, Promise::Block { slot: block.slot }));
        for one in &record.attestations {
            refuse(&history, Promise::Attestation { source: one.source, target: one.target });
        }
    }
    let exported = Interchange::export(&[(KEY, history)], read.genesis_validators_root);
    let back = exported.rows(&spec, Millis(u64::MAX / 2), Some).expect("our own export is taken");
    let mut second = History::default();
    back.rows.iter().for_each(|row| second.append(row));
    let marks = |history: &History| {
        let attestation = history.attestation.map(|last| (last.source_max, last.target_max));
        (history.block.map(|last| last.slot), attestation)
    };
    assert_eq!(marks(&second), marks(&history), "no watermark is lost on the way");
    true
}

fn refuse(history: &History, promise: Promise) {
    let root = SigningRoot::compute(Root([9; 32]), Root::ZERO);
    assert!(matches!(judge(history, promise, root), Verdict::Refused(_)), "{promise:?} was signed before");
}

pub(crate) fn interchanges() -> Vec<Vec<u8>> {
    let record = |byte: u8, slots: &[u64], votes: &[(u64, u64)]| Record {
        key: PublicKey([byte; 48]),
        blocks: slots
            .iter()
            .map(|slot| SignedBlock { slot: Slot(*slot), signing_root: Some(Root([byte; 32])) })
            .collect(),
        attestations: votes
            .iter()
            .map(|(source, target)| SignedAttestation {
                source: Epoch(*source),
                target: Epoch(*target),
                signing_root: None,
            })
            .collect(),
    };
    let file = |records| Interchange { genesis_validators_root: spec().genesis_validators_root, records };
    [
        file(vec![]),
        file(vec![record(1, &[5, 9], &[(1, 2), (2, 3)]), record(2, &[], &[])]),
        file(vec![record(1, &[], &[(5, 4)]), record(1, &[u64::MAX], &[])]),
    ]
    .iter()
    .map(|file| file.to_json().into_bytes())
    .collect()
}

pub(crate) fn node_key(input: &[u8]) -> bool {
    let Ok(key) = NodeKey::from_hex(input) else { return false };
    assert_eq!(hex::encode(key.secret_bytes()).as_bytes(), input.trim_ascii().to_ascii_lowercase());
    true
}

pub(crate) fn node_keys() -> Vec<Vec<u8>> {
    let key = "0123456789abcdef".repeat(4);
    vec![key.clone().into_bytes(), format!(" {}\n", key.to_uppercase()).into_bytes()]
}

pub(crate) fn keymanager_answer(input: &[u8]) -> bool {
    let listed = parse_list(input).is_ok();
    let pushed = parse_pushed(input).is_ok();
    let exit = parse_exit(input).is_ok_and(|exit| {
        let again = serde_json::json!({ "data": exit }).to_string();
        assert_eq!(parse_exit(again.as_bytes()).ok(), Some(exit), "what was written is read");
        true
    });
    listed || pushed || exit
}

pub(crate) fn keymanager_answers() -> Vec<Vec<u8>> {
    let list =
        format!(r#"{{"data":[{{"validating_pubkey":"{KEY}","derivation_path":"","readonly":false}}]}}"#);
    let pushed = r#"{"data":[{"status":"imported","message":""},{"status":"error","message":"no"}]}"#;
    let exit = serde_json::json!({ "data": SignedVoluntaryExit::default() }).to_string();
    vec![list.into_bytes(), pushed.as_bytes().to_vec(), exit.into_bytes()]
}

pub(crate) fn execution_answer(input: &[u8]) -> bool {
    parse_answer(input).is_ok()
}

pub(crate) fn execution_answers() -> Vec<Vec<u8>> {
    [
        r#"{"jsonrpc":"2.0","id":1,"result":"0x88bb0"}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x"}}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mistake that a target is there for: a record that the journal forgets.
    #[test]
    #[should_panic(expected = "was signed before")]
    fn a_forgotten_record_is_found() {
        refuse(&History::default(), Promise::Block { slot: Slot(5) });
    }
}
