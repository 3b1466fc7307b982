//! Logs of the execution layer, as nodes write them, and each rule that one can break.

use super::super::contracts::{Log, Says, abi, topics};
use super::super::*;
use super::chain::Chain;
use crate::ledger::chain::Reference;
use crate::ledger::charter::tests::contracts;
use crate::ledger::testbed::Pool;
use alloy_primitives::U256;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use types::{Address, PublicKey, Root, Slot, Wei};

const KEY: PublicKey = PublicKey([1; 48]);

fn scope() -> Scope {
    Scope { keys: [KEY].into(), contracts: Some(contracts()), ..Scope::default() }
}

fn range(from: u64, to: u64) -> Question {
    Question::Logs { from, to, addresses: [contracts().vault, contracts().deposits] }
}

fn read(answer: &Value) -> Result<Said, Wrong> {
    range(5, 9).read(&scope(), &mut answer.to_string().as_bytes())
}

/// Who paid how much, in the block of a slot.
fn paid(slot: u64, amount: u64) -> (Chain, Reference) {
    let mut chain = Chain::new();
    chain.jar.slot = slot;
    let payer = alloy_primitives::Address::from([0x70; 20]);
    let reference = chain.says(contracts().vault, &abi::Paid { payer, amount: U256::from(amount) });
    (chain, reference)
}

fn said(chain: &Chain) -> Value {
    chain.logs.iter().map(|(_, log)| log.clone()).collect()
}

fn deposit(key: PublicKey, gwei: &[u8]) -> abi::DepositEvent {
    abi::DepositEvent {
        pubkey: key.0.to_vec().into(),
        withdrawal_credentials: vec![2; 32].into(),
        amount: gwei.to_vec().into(),
        signature: vec![3; 96].into(),
        index: vec![0; 8].into(),
    }
}

#[test]
fn questions_are_those_of_the_execution_api() {
    let (method, params) = Question::Executed { number: 26 }.rpc().unwrap();
    assert_eq!((method, params), ("eth_getBlockByNumber", json!(["0x1a", false])));
    let (method, params) = range(5, 26).rpc().unwrap();
    let addresses = json!([contracts().vault, contracts().deposits]);
    let want = json!([{"fromBlock": "0x5", "toBlock": "0x1a", "address": addresses, "topics": [topics()]}]);
    assert_eq!((method, params), ("eth_getLogs", want));
    // The deposit contract's, which everybody knows.
    let deposit = "0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5";
    assert_eq!(topics()[8].to_string(), deposit);
    assert_eq!(topics().into_iter().collect::<BTreeSet<_>>().len(), 9);
    assert_eq!(Question::Finality.rpc(), None);
}

#[test]
fn a_block_is_the_one_that_was_asked_for() {
    let read =
        |answer: Value| Question::Executed { number: 26 }.read(&scope(), &mut answer.to_string().as_bytes());
    let block = json!({"number": "0x1a", "hash": Root([9; 32]), "timestamp": "0x6550000b", "baseFee": "0x7"});
    let Ok(Said::Executed(found)) = read(block.clone()) else { panic!("no block") };
    assert_eq!((found.hash, found.at), (Root([9; 32]), 0x6550_000b));
    let mut other = block.clone();
    other["number"] = json!("0x1b");
    assert_eq!(read(other), Err(Wrong::Number { have: 27, want: 26 }));
    for wrong in
        [json!(26), json!("26"), json!("0x"), json!("0x+1"), json!("0x10000000000000000"), json!(null)]
    {
        let mut other = block.clone();
        other["timestamp"] = wrong;
        assert!(matches!(read(other), Err(Wrong::Shape(_))));
    }
}

#[test]
fn a_log_is_read_with_its_place() {
    let (chain, reference) = paid(7, 3);
    let says = Says::Paid(Address([0x70; 20]), Wei(U256::from(3)));
    assert_eq!(read(&said(&chain)), Ok(Said::Logs(vec![Log { reference, block: 7, says }])));
}

#[test]
fn what_was_collected_reserved_or_asked_for_is_read() {
    let mut chain = Chain::new();
    chain.jar.slot = 7;
    let from = alloy_primitives::Address::from([0x70; 20]);
    let amount = U256::from(3);
    let all = [
        chain.says(contracts().vault, &abi::Collected { from, amount }),
        chain.says(contracts().vault, &abi::Reserved { payer: from, amount }),
        chain.says(contracts().vault, &abi::ExitRequested { pubkey: KEY.0.to_vec().into(), amount: 0 }),
    ];
    let (who, wei) = (Address([0x70; 20]), Wei(amount));
    let says = [Says::Collected(who, wei), Says::Reserved(who, wei), Says::ExitRequested(KEY)];
    let logs = all.into_iter().zip(says).map(|(reference, says)| Log { reference, block: 7, says });
    let logs: Vec<_> = logs.collect();
    assert_eq!(read(&said(&chain)), Ok(Said::Logs(logs.clone())));
    let pool = Pool::new();
    let observed = |log: &Log| log.observation(pool.state(), Slot(11));
    let body = json!({"reference": all[0], "payer": who, "eth": "3"});
    let (kind, said) = observed(&logs[0]).unwrap();
    assert_eq!((kind, serde_json::from_slice::<Value>(&said).unwrap()), ("rewards", body));
    assert_eq!(observed(&logs[1]).unwrap().0, "reserve-paid");
    assert_eq!(observed(&logs[2]), Err(format!("the chain has no validator {KEY} yet")));
    // The deposit contract says nothing of the kind.
    chain.logs.clear();
    chain.says(contracts().deposits, &abi::Collected { from, amount });
    assert_eq!(read(&self::said(&chain)), Ok(Said::Logs(Vec::new())));
}

#[test]
fn a_log_of_another_place_contract_or_order_is_refused() {
    let (chain, _) = paid(7, 3);
    let good = said(&chain);
    let wrong = |change: &dyn Fn(&mut Value)| {
        let mut logs = good.clone();
        change(&mut logs[0]);
        let read = read(&logs);
        assert!(matches!(read, Err(Wrong::Log { .. } | Wrong::Shape(_))), "{read:?}");
    };
    wrong(&|log| log["blockNumber"] = json!("0x4"));
    wrong(&|log| log["blockNumber"] = json!("0xa"));
    wrong(&|log| log["blockNumber"] = json!(null));
    wrong(&|log| log["removed"] = json!(true));
    wrong(&|log| log["address"] = json!(Address([0x66; 20])));
    wrong(&|log| log["data"] = json!("0x00"));
    wrong(&|log| log["data"] = json!("00"));
    wrong(&|log| log["data"] = json!("0xzz"));
    wrong(&|log| log["topics"] = json!([topics()[0]]));
    wrong(&|log| log["topics"] = json!([]));
    wrong(&|log| log["logIndex"] = json!("0x100000000"));
    wrong(&|log| drop(log.as_object_mut().unwrap().remove("transactionHash")));
    let twice = json!([good[0], good[0]]);
    assert_eq!(read(&twice), Err(Wrong::Log { block: 7, index: 0 }));
    let mut later = good[0].clone();
    later["blockNumber"] = json!("0x8");
    assert!(read(&json!([good[0], later])).is_ok());
    assert!(read(&json!([later, good[0]])).is_err(), "out of order");
    let none = Scope { contracts: None, ..scope() };
    assert_eq!(range(5, 9).read(&none, &mut &b"[]"[..]), Err(Wrong::NoContracts));
}

#[test]
fn what_is_not_about_the_pool_is_read_over() {
    let mut chain = Chain::new();
    chain.jar.slot = 7;
    chain.says(contracts().deposits, &deposit(PublicKey([9; 48]), &[0; 8]));
    chain.says(contracts().vault, &deposit(KEY, &[0; 8]));
    let payer = alloy_primitives::Address::from([0x70; 20]);
    chain.says(contracts().deposits, &abi::Paid { payer, amount: U256::from(1) });
    let none =
        abi::PaidOut { payout: U256::from(u64::MAX) + U256::from(1), to: payer, amount: U256::from(1) };
    chain.says(contracts().vault, &none);
    // A part of a balance, a stranger's key, and no key at all.
    let asked = |pubkey: &[u8], amount| abi::ExitRequested { pubkey: pubkey.to_vec().into(), amount };
    for event in [asked(&KEY.0, 1), asked(&[9; 48], 0), asked(&[1; 47], 0), asked(&[], 0)] {
        chain.says(contracts().vault, &event);
    }
    assert_eq!(read(&said(&chain)), Ok(Said::Logs(Vec::new())));
}

#[test]
fn a_deposit_is_named_by_the_root_of_its_data() {
    let mut chain = Chain::new();
    chain.jar.slot = 7;
    chain.says(contracts().deposits, &deposit(KEY, &1_000_000_000_u64.to_le_bytes()));
    let Ok(Said::Logs(logs)) = read(&said(&chain)) else { panic!("no logs") };
    let Says::Deposit(KEY, data_root) = logs[0].says else { panic!("{logs:?}") };
    let message = cluster::deposit::DepositMessage {
        public_key: KEY,
        withdrawal_credentials: Root([2; 32]),
        amount: types::Gwei(1_000_000_000),
    };
    let signature = types::Signature([3; 96]);
    assert_eq!(data_root, cluster::deposit::SignedDeposit { message, signature }.data_root());
    let pool = Pool::new();
    let (kind, body) = logs[0].observation(pool.state(), Slot(11)).unwrap();
    assert_eq!(kind, "sent");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["slot"], &body["tx"]), (&json!("11"), &json!(logs[0].reference.hash)));
    for amount in [&[0; 7][..], &[0; 9]] {
        let mut chain = Chain::new();
        chain.jar.slot = 7;
        chain.says(contracts().deposits, &deposit(KEY, amount));
        assert_eq!(read(&said(&chain)), Err(Wrong::Log { block: 7, index: 0 }));
    }
}
