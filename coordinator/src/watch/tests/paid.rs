//! Answers that a report is made of: blocks, rewards, committees; and each rule that one can break.

use super::super::said::{Attested, Block, Total};
use super::super::*;
use crate::ledger::chain::Executed;
use serde_json::{Value, json};
use types::{Address, Epoch, Gwei, Root, Slot, ValidatorIndex};

const OURS: Address = Address([0xaa; 20]);

fn scope() -> Scope {
    Scope { address: OURS, indices: [11, 12].map(ValidatorIndex).into(), ..Scope::default() }
}

fn read(question: &Question, answer: &Value) -> Result<Said, Wrong> {
    question.read(&scope(), &mut answer.to_string().as_bytes())
}

fn is_final(data: Value) -> Value {
    json!({"version": "fulu", "execution_optimistic": false, "finalized": true, "data": data})
}

fn withdrawal(index: u64, validator: u64, address: Address, amount: u64) -> Value {
    json!({
        "index": index.to_string(), "validator_index": validator.to_string(), "address": address,
        "amount": amount.to_string(),
    })
}

fn block(slot: u64, withdrawals: Value) -> Value {
    let payload = json!({
        "parent_hash": Root([1; 32]), "block_number": "77", "block_hash": Root([6; 32]),
        "withdrawals": withdrawals, "transactions": ["0x02"],
    });
    let body = json!({"randao_reveal": "0x00", "execution_payload": payload, "attestations": [{}]});
    is_final(
        json!({"message": {"slot": slot.to_string(), "proposer_index": "5", "body": body}, "signature": "0x"}),
    )
}

fn slot(slot: u64) -> Question {
    Question::Block { slot: Slot(slot) }
}

/// All of these are refused when they are not final, or not verified.
fn only_if_final(question: &Question, good: &Value) {
    assert!(read(question, good).is_ok(), "{question:?}");
    let mut other = good.clone();
    other["finalized"] = json!(false);
    assert_eq!(read(question, &other), Err(Wrong::NotFinal), "{question:?}");
    other["execution_optimistic"] = json!(true);
    assert_eq!(read(question, &other), Err(Wrong::Optimistic), "{question:?}");
    for field in ["finalized", "execution_optimistic", "data"] {
        let mut other = good.clone();
        other.as_object_mut().unwrap().remove(field);
        assert!(matches!(read(question, &other), Err(Wrong::Shape(_))), "{question:?} without {field}");
    }
    let text = good.to_string();
    for end in 0..text.len() {
        let cut = question.read(&scope(), &mut &text.as_bytes()[..end]);
        assert!(matches!(cut, Err(Wrong::Shape(_))), "{question:?} cut at {end}");
    }
}

#[test]
fn questions_go_where_the_api_has_them() {
    let indices = vec![ValidatorIndex(11), ValidatorIndex(12)];
    let attestations = Question::Attestations { epoch: Epoch(7), indices: indices.clone() };
    assert_eq!(attestations.path(), "/eth/v1/beacon/rewards/attestations/7");
    assert_eq!(attestations.body().unwrap(), r#"["11","12"]"#);
    let sync = Question::Sync { slot: Slot(9), indices };
    assert_eq!(sync.path(), "/eth/v1/beacon/rewards/sync_committee/9");
    assert_eq!(sync.body(), attestations.body());
    let paths = [
        (Question::Active { slot: Slot(9) }, "/eth/v1/beacon/states/9/validators?status=active"),
        (Question::Members { slot: Slot(9) }, "/eth/v1/beacon/states/9/sync_committees"),
        (Question::Root { slot: Slot(9) }, "/eth/v1/beacon/headers/9"),
        (slot(9), "/eth/v2/beacon/blocks/9"),
    ];
    for (question, path) in paths {
        assert_eq!((question.path().as_str(), question.body()), (path, None));
        assert_eq!(question.name().as_str(), path);
    }
    let payload = Question::Payload { root: Root([7; 32]) };
    assert_eq!(payload.path(), format!("/eth/v2/beacon/blocks/{}", Root([7; 32])));
    assert!(attestations.name().as_str().starts_with("/eth/v1/beacon/rewards/attestations/7 "));
    assert_eq!(attestations.name().as_str().len(), attestations.path().len() + 1 + 64);
    assert!(slot(9).may_be_absent() && !payload.may_be_absent() && !attestations.may_be_absent());
}

#[test]
fn a_block_s_withdrawals_to_the_pool_are_added_up() {
    let theirs = Address([0x66; 20]);
    let all = json!([
        withdrawal(4, 11, OURS, 7),
        withdrawal(5, 99, OURS, 100),
        withdrawal(6, 11, theirs, 1000),
        withdrawal(7, 12, OURS, 5),
        withdrawal(8, 11, OURS, 1),
    ]);
    let swept = [(ValidatorIndex(11), Gwei(8)), (ValidatorIndex(12), Gwei(5))].into();
    assert_eq!(
        read(&slot(9), &block(9, all.clone())),
        Ok(Said::Block(Block { withdrawals: Some((4, 8)), swept }))
    );
    assert_eq!(read(&slot(9), &block(9, json!([]))), Ok(Said::Block(Block::default())));
    only_if_final(&slot(9), &block(9, all));
}

#[test]
fn a_block_of_another_slot_shape_or_order_is_refused() {
    assert_eq!(read(&slot(9), &block(8, json!([]))), Err(Wrong::Slot { have: Slot(8), want: Slot(9) }));
    for (next, last) in [(6, 4), (4, 4), (3, 4)] {
        let all = json!([withdrawal(last, 11, OURS, 7), withdrawal(next, 11, OURS, 7)]);
        assert_eq!(read(&slot(9), &block(9, all)), Err(Wrong::Withdrawal { have: next, last }));
    }
    let most = json!([withdrawal(u64::MAX, 1, OURS, 1), withdrawal(0, 1, OURS, 1)]);
    assert!(matches!(read(&slot(9), &block(9, most)), Err(Wrong::Withdrawal { .. })));
    let much = json!([withdrawal(1, 11, OURS, u64::MAX), withdrawal(2, 11, OURS, 1)]);
    assert_eq!(read(&slot(9), &block(9, much)), Err(Wrong::TooMuch));
    // A fork that has no payload in its blocks.
    let mut other = block(9, json!([]));
    other["data"]["message"]["body"].as_object_mut().unwrap().remove("execution_payload");
    assert!(matches!(read(&slot(9), &other), Err(Wrong::Shape(_))));
    let mut blinded = block(9, json!([]));
    let payload = blinded["data"]["message"]["body"]["execution_payload"].as_object_mut().unwrap();
    payload.remove("withdrawals");
    payload.insert("withdrawals_root".to_owned(), json!(Root([1; 32])));
    assert!(matches!(read(&slot(9), &blinded), Err(Wrong::Shape(_))));
}

#[test]
fn the_execution_layer_s_block_is_read_from_a_block() {
    let payload = Question::Payload { root: Root([7; 32]) };
    let executed = Executed { number: 77, hash: Root([6; 32]) };
    assert_eq!(read(&payload, &block(9, json!([]))), Ok(Said::Payload(executed)));
    only_if_final(&payload, &block(9, json!([])));
}

#[test]
fn a_root_is_of_the_slot_and_on_the_chain() {
    let root = Question::Root { slot: Slot(9) };
    let header = |slot: u64, canonical: bool| {
        let message = json!({"slot": slot.to_string(), "proposer_index": "5", "state_root": Root([2; 32])});
        is_final(json!({"root": Root([7; 32]), "canonical": canonical, "header": {"message": message}}))
    };
    assert_eq!(read(&root, &header(9, true)), Ok(Said::Root(Root([7; 32]))));
    assert_eq!(read(&root, &header(8, true)), Err(Wrong::Slot { have: Slot(8), want: Slot(9) }));
    assert_eq!(read(&root, &header(9, false)), Err(Wrong::NotCanonical));
    only_if_final(&root, &header(9, true));
}

#[test]
fn what_attestations_earned_is_read_with_its_sign() {
    let question = Question::Attestations { epoch: Epoch(7), indices: [11, 12].map(ValidatorIndex).to_vec() };
    let total = |index: u64, [head, target, source, inactivity]: [&str; 4]| {
        json!({
            "validator_index": index.to_string(), "head": head, "target": target, "source": source,
            "inclusion_delay": "0", "inactivity": inactivity,
        })
    };
    let ideal = |eth: u64, target: u64| {
        let effective = (eth * 1_000_000_000).to_string();
        json!({"effective_balance": effective, "head": "1", "target": target.to_string(), "source": "1", "inactivity": "0"})
    };
    let rewards = |totals: Value| {
        is_final(
            json!({"ideal_rewards": [ideal(31, 4000), ideal(32, 4100), ideal(1, 130)], "total_rewards": totals}),
        )
    };
    let good = rewards(json!([total(12, ["0", "-4100", "-2200", "-7"]), total(11, ["1", "2", "3", "0"])]));
    let totals = [
        (ValidatorIndex(11), Total { head: 1, target: 2, source: 3, inactivity: 0 }),
        (ValidatorIndex(12), Total { head: 0, target: -4100, source: -2200, inactivity: -7 }),
    ];
    let ideal = Some((Gwei(32_000_000_000), Gwei(4100)));
    assert_eq!(read(&question, &good), Ok(Said::Attestations(Attested { ideal, totals: totals.into() })));
    only_if_final(&question, &good);
    let zeros = ["0"; 4];
    let other = rewards(json!([total(13, zeros)]));
    assert_eq!(read(&question, &other), Err(Wrong::NotAskedIndex { index: ValidatorIndex(13) }));
    let twice = rewards(json!([total(11, zeros), total(11, zeros)]));
    assert_eq!(read(&question, &twice), Err(Wrong::TwiceIndex { index: ValidatorIndex(11) }));
    for wrong in ["", "1.5", "0x1", "--1", "9223372036854775808"] {
        let wrong = rewards(json!([total(11, [wrong, "0", "0", "0"])]));
        assert!(matches!(read(&question, &wrong), Err(Wrong::Shape(_))));
    }
}

#[test]
fn of_a_committee_the_pool_s_members_are_read_and_what_they_earned() {
    let members = Question::Members { slot: Slot(9) };
    let committee = is_final(json!({"validators": ["5", "12", "7", "12"], "validator_aggregates": [["5"]]}));
    assert_eq!(read(&members, &committee), Ok(Said::Members([ValidatorIndex(12)].into())));
    only_if_final(&members, &committee);
    let sync = Question::Sync { slot: Slot(9), indices: vec![ValidatorIndex(12)] };
    let entry = |index: u64, reward: &str| json!({"validator_index": index.to_string(), "reward": reward});
    let pay = is_final(json!([entry(12, "700"), entry(12, "-900")]));
    assert_eq!(read(&sync, &pay), Ok(Said::Sync([(ValidatorIndex(12), -200)].into())), "two places");
    only_if_final(&sync, &pay);
    let other = is_final(json!([entry(11, "700")]));
    assert_eq!(read(&sync, &other), Err(Wrong::NotAskedIndex { index: ValidatorIndex(11) }));
    let most = i64::MAX.to_string();
    let much = is_final(json!([entry(12, &most), entry(12, "1")]));
    assert_eq!(read(&sync, &much), Err(Wrong::TooMuch));
}

#[test]
fn of_all_validators_the_active_are_weighed() {
    let question = Question::Active { slot: Slot(9) };
    let one = |status: &str, gwei: u64| {
        let validator = json!({"pubkey": "0x00", "effective_balance": gwei.to_string()});
        json!({"index": "1", "balance": "9", "status": status, "validator": validator})
    };
    let all = is_final(json!([
        one("active_ongoing", 1),
        one("pending_queued", 10),
        one("active_exiting", 100),
        one("exited_unslashed", 1_000),
        one("active_slashed", 10_000),
        one("withdrawal_done", 100_000),
    ]));
    assert_eq!(read(&question, &all), Ok(Said::Active(Gwei(10_101))));
    only_if_final(&question, &all);
    let much = is_final(json!([one("active_ongoing", u64::MAX), one("active_ongoing", 1)]));
    assert_eq!(read(&question, &much), Err(Wrong::TooMuch));
}
