//! Answers as nodes give them, and each rule that one can break.

use super::super::*;
use crate::ledger::chain::Finalized;
use crate::ledger::deposits::{PendingDeposit, SeenValidator};
use serde_json::{Value, json};
use std::io::Read;
use types::{Address, Epoch, Gwei, PublicKey, Root, Signature, Slot, ValidatorIndex, ValidatorStatus};

pub(super) fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 48])
}

fn scope() -> Scope {
    Scope {
        address: Address([0xaa; 20]),
        keys: [key(1), key(2)].into(),
        indices: [11, 12].map(ValidatorIndex).into(),
        contracts: None,
        slots_per_epoch: 32,
    }
}

fn read(question: &Question, answer: &str) -> Result<Said, Wrong> {
    question.read(&scope(), &mut answer.as_bytes())
}

fn asked(keys: &[u8]) -> Question {
    Question::Validators { slot: Slot(64), keys: keys.iter().map(|byte| key(*byte)).collect() }
}

fn validator(byte: u8, index: u64) -> Value {
    json!({
        "index": index.to_string(), "balance": "32000000001", "status": "active_ongoing",
        "validator": {
            "pubkey": key(byte), "withdrawal_credentials": Root([3; 32]), "effective_balance": "32000000000",
            "slashed": false, "activation_eligibility_epoch": "4", "activation_epoch": "5",
            "exit_epoch": "18446744073709551615", "withdrawable_epoch": "18446744073709551615",
        },
    })
}

fn of_state(data: Value) -> Value {
    json!({"execution_optimistic": false, "finalized": true, "data": data})
}

fn deposit(byte: u8, slot: u64) -> Value {
    json!({
        "pubkey": key(byte), "withdrawal_credentials": Root([3; 32]), "amount": "1000000000",
        "signature": Signature([7; 96]), "slot": slot.to_string(),
    })
}

#[test]
fn questions_go_where_the_api_has_them() {
    assert_eq!(Question::Finality.path(), "/eth/v1/beacon/states/head/finality_checkpoints");
    assert_eq!(Question::Finality.body(), None);
    let question = asked(&[1]);
    assert_eq!(question.path(), "/eth/v1/beacon/states/64/validators");
    assert_eq!(question.body(), Some(format!(r#"{{"ids":["{}"]}}"#, key(1))));
    let pending = Question::Pending { slot: Slot(64) };
    assert_eq!(pending.path(), "/eth/v1/beacon/states/64/pending_deposits");
    assert_eq!([&Question::Finality, &question, &pending].map(|one| one.is_long()), [false, false, true]);
}

#[test]
fn the_finalized_checkpoint_is_read_and_not_believed_of_an_optimistic_node() {
    let checkpoint = |epoch: &str| json!({"epoch": epoch, "root": Root([9; 32])});
    let mut answer = json!({"execution_optimistic": false, "finalized": false, "data": {
        "finalized": checkpoint("7"), "current_justified": checkpoint("8"), "previous_justified": checkpoint("8"),
    }});
    let seen = Finalized { epoch: Epoch(7), root: Root([9; 32]) };
    assert_eq!(read(&Question::Finality, &answer.to_string()), Ok(Said::Finality(seen)));
    answer["execution_optimistic"] = json!(true);
    assert_eq!(read(&Question::Finality, &answer.to_string()), Err(Wrong::Optimistic));
    answer["data"]["finalized"]["epoch"] = json!("-7");
    assert!(matches!(read(&Question::Finality, &answer.to_string()), Err(Wrong::Shape(_))));
}

#[test]
fn validators_are_read_with_the_epochs_of_their_life() {
    let mut exiting = validator(2, 12);
    exiting["status"] = json!("active_exiting");
    exiting["validator"]["exit_epoch"] = json!("9");
    exiting["validator"]["withdrawable_epoch"] = json!("265");
    let answer = of_state(json!([exiting, validator(1, 11)])).to_string();
    let Ok(Said::Validators(found)) = read(&asked(&[1, 2]), &answer) else { panic!("no validators") };
    let seen = SeenValidator {
        pubkey: key(1),
        index: ValidatorIndex(11),
        credentials: Root([3; 32]),
        balance: Gwei(32_000_000_001),
        effective_balance: Gwei(32_000_000_000),
        status: ValidatorStatus::ActiveOngoing,
        slashed: false,
        activation: Some(Epoch(5)),
        exit: None,
        withdrawable: None,
    };
    assert_eq!(found[&key(1)], seen);
    let other = found[&key(2)];
    assert_eq!((other.exit, other.withdrawable), (Some(Epoch(9)), Some(Epoch(265))));
    assert_eq!(read(&asked(&[1, 2]), &of_state(json!([])).to_string()), Ok(Said::Validators([].into())));
}

#[test]
fn the_order_of_fields_does_not_matter_and_more_of_them_are_read_over() {
    let shuffled = format!(
        r#"{{"version":"gloas","data":[{{"validator":{{"slashed":false,"effective_balance":"32000000000",
        "withdrawable_epoch":"18446744073709551615","exit_epoch":"18446744073709551615","activation_epoch":"5",
        "new":[{{"deep":null}}],"withdrawal_credentials":"{}","pubkey":"{}"}},"status":"active_ongoing",
        "balance":"32000000001","index":"11"}}],"finalized":true,"dependent":{{}},"execution_optimistic":false}} "#,
        Root([3; 32]),
        key(1),
    );
    let plain = read(&asked(&[1]), &of_state(json!([validator(1, 11)])).to_string());
    assert!(plain.is_ok());
    assert_eq!(read(&asked(&[1]), &shuffled), plain);
}

#[test]
fn an_answer_to_something_else_or_twice_is_refused() {
    let said = |entries: Value| read(&asked(&[1, 2]), &of_state(entries).to_string());
    assert_eq!(said(json!([validator(3, 11)])), Err(Wrong::NotAsked { pubkey: key(3) }));
    let twice = |byte: u8, index| Err(Wrong::Twice { pubkey: key(byte), index: ValidatorIndex(index) });
    assert_eq!(said(json!([validator(1, 11), validator(1, 12)])), twice(1, 12));
    assert_eq!(said(json!([validator(1, 11), validator(2, 11)])), twice(2, 11));
}

#[test]
fn what_is_not_final_or_not_verified_is_refused_wherever_it_says_so() {
    for (optimistic, finalized, want) in
        [(true, true, Wrong::Optimistic), (true, false, Wrong::Optimistic), (false, false, Wrong::NotFinal)]
    {
        let one = format!(r#"{{"data":[],"finalized":{finalized},"execution_optimistic":{optimistic}}}"#);
        assert_eq!(read(&asked(&[1]), &one), Err(want.clone()));
        let other = format!(r#"{{"execution_optimistic":{optimistic},"finalized":{finalized},"data":[]}}"#);
        assert_eq!(read(&Question::Pending { slot: Slot(64) }, &other), Err(want));
    }
}

#[test]
fn another_shape_is_refused_and_named() {
    let good = of_state(json!([validator(1, 11)])).to_string();
    assert!(read(&asked(&[1]), &good).is_ok());
    let changes = [
        (r#""index":"11""#, r#""index":1.1"#),
        (r#""index":"11""#, r#""index":"0x0b""#),
        (r#""balance":"32000000001","#, ""),
        (r#""balance":"32000000001""#, r#""balance":"18446744073709551616""#),
        ("active_ongoing", "active_forever"),
        (r#""slashed":false"#, r#""slashed":"false""#),
        (r#""finalized":true"#, r#""finalized":"true""#),
        (r#""finalized":true"#, r#""final":true"#),
        (r#","finalized":true"#, r#","finalized":true,"finalized":true"#),
        (r#""execution_optimistic":false,"#, ""),
        (r#""data":["#, r#""dates":["#),
        (r#""data":["#, r#""data":[],"data":["#),
        ("[{", "[null,{"),
        ("}]", "}"),
    ];
    for (from, to) in changes {
        let other = good.replace(from, to);
        assert_ne!(other, good, "{from}");
        let read = read(&asked(&[1]), &other);
        assert!(matches!(read, Err(Wrong::Shape(_))), "{to}: {read:?}");
    }
    for other in ["", "null", "[]", "{}", "7", r#"{"data":{}}"#, r#"{"code":404,"message":"no state"}"#] {
        assert!(matches!(read(&asked(&[1]), other), Err(Wrong::Shape(_))), "{other}");
    }
    for end in 0..good.len() {
        assert!(matches!(read(&asked(&[1]), &good[..end]), Err(Wrong::Shape(_))), "cut at {end}");
    }
    assert!(matches!(read(&asked(&[1]), &format!("{good}{good}")), Err(Wrong::Shape(_))), "two answers");
}

#[test]
fn of_the_queue_only_the_pool_s_deposits_are_kept_in_their_order() {
    let answer = of_state(json!([deposit(9, 1), deposit(2, 3), deposit(1, 2), deposit(9, 4), deposit(2, 3)]));
    let one = |byte: u8, slot| PendingDeposit {
        pubkey: key(byte),
        credentials: Root([3; 32]),
        amount: Gwei(1_000_000_000),
        signature: Signature([7; 96]),
        slot: Slot(slot),
    };
    let read = read(&Question::Pending { slot: Slot(64) }, &answer.to_string());
    assert_eq!(read, Ok(Said::Pending(vec![one(2, 3), one(1, 2), one(2, 3)])));
}

/// A queue of so many deposits for others, that is made while it is read.
struct Queue {
    left: usize,
    entry: Vec<u8>,
    text: Vec<u8>,
}

impl Read for Queue {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.text.is_empty() && self.left > 0 {
            self.left -= 1;
            self.text.clone_from(&self.entry);
            self.text.extend(if self.left == 0 { &b"]}"[..] } else { &b","[..] });
        }
        let len = into.len().min(self.text.len());
        into[..len].copy_from_slice(&self.text[..len]);
        self.text.drain(..len);
        Ok(len)
    }
}

#[test]
fn a_queue_longer_than_any_memory_for_it_is_read_over() {
    let entry = deposit(9, 1).to_string().into_bytes();
    let text = br#"{"execution_optimistic":false,"finalized":true,"data":["#.to_vec();
    let mut queue = Queue { left: 100_000, entry, text };
    let read = Question::Pending { slot: Slot(64) }.read(&scope(), &mut queue);
    assert_eq!((read, queue.left), (Ok(Said::Pending(Vec::new())), 0));
}
