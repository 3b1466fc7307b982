//! Selection proofs: the client's in, the validators' out, as far as they combine.

use crate::objects::{HALF, selection, sync_selection};
use crate::world::{ELECTRA, STRANGER_INDEX, index, world};
use serde_json::{Value, json};
use symbolon_core::{Answer, Ask, HalfSelection, Refusal};
use types::wire::{Item, Kind};
use types::{Signature, Slot, ValidatorNo};

const ATTESTERS: &str = "/eth/v1/validator/beacon_committee_selections";
const MEMBERS: &str = "/eth/v1/validator/sync_committee_selections";

fn half(number: u32, part: u8) -> HalfSelection {
    HalfSelection { item: Item { validator: ValidatorNo(number), part }, half: HALF }
}

/// The validators' own proof, other for each.
fn proof(number: u8) -> Signature {
    Signature([number; 96])
}

fn proven(mut selection: Value, number: u8) -> Value {
    selection["selection_proof"] = json!(proof(number));
    selection
}

#[tokio::test]
async fn combined_proofs_come_back_in_the_requests_order_and_shape() {
    let world = world();
    let next = ELECTRA.next();
    // Core answers slot by slot, in the order of its own.
    world.answer(Answer::Selections(vec![(1, proof(2)), (0, proof(1))]));
    world.answer(Answer::Selections(vec![(0, proof(3))]));
    let list = [selection(next, index(1)), selection(ELECTRA, index(0)), selection(ELECTRA, index(1))];
    let got = world.post(ATTESTERS, json!(list)).await.ok();
    let [third, first, second] = list;
    assert_eq!(got, json!({ "data": [proven(third, 3), proven(first, 1), proven(second, 2)] }));
    let asked = |slot, halves| Ask::Selections { kind: Kind::Selection, slot, halves };
    assert_eq!(world.asks(), [asked(ELECTRA, vec![half(0, 0), half(1, 0)]), asked(next, vec![half(1, 0)])]);
}

#[tokio::test]
async fn a_member_selects_for_each_of_its_subcommittees() {
    let world = world();
    world.answer(Answer::Selections(vec![(0, proof(1)), (1, proof(2))]));
    let list = [sync_selection(ELECTRA, index(1), 3), sync_selection(ELECTRA, index(1), 0)];
    let got = world.post(MEMBERS, json!(list)).await.ok();
    let [first, second] = list;
    assert_eq!(got, json!({ "data": [proven(first, 1), proven(second, 2)] }));
    let halves = vec![half(1, 3), half(1, 0)];
    assert_eq!(world.asks(), [Ask::Selections { kind: Kind::SyncSelection, slot: ELECTRA, halves }]);
    world.post(MEMBERS, json!([sync_selection(ELECTRA, index(1), 4)])).await.refused(400, "subcommittee 4");
}

#[tokio::test]
async fn selections_in_ssz_are_those_in_json() {
    let world = world();
    world.answer(Answer::Selections(vec![(0, proof(1))]));
    let of = |proof: Signature| [&index(0).to_le_bytes()[..], &65_u64.to_le_bytes(), &proof.0].concat();
    let got = world.post_ssz("electra", ATTESTERS, of(HALF)).await;
    assert_eq!(got.ssz(), of(proof(1)));
    world.answer(Answer::Selections(vec![(0, proof(2))]));
    let of = |proof: Signature| {
        let numbers = [index(0), 65, 2].map(u64::to_le_bytes).concat();
        [&numbers[..], &proof.0].concat()
    };
    let got = world.post_ssz("electra", MEMBERS, of(HALF)).await;
    assert_eq!(got.ssz(), of(proof(2)));
    let halves = [vec![half(0, 0)], vec![half(0, 2)]];
    let kinds = [Kind::Selection, Kind::SyncSelection];
    let asked =
        kinds.into_iter().zip(halves).map(|(kind, halves)| Ask::Selections { kind, slot: ELECTRA, halves });
    assert_eq!(world.asks(), asked.collect::<Vec<_>>());
}

#[tokio::test]
async fn what_has_not_combined_is_left_out_and_costs_the_others_nothing() {
    let world = world();
    let list = [
        selection(ELECTRA, index(0)),
        selection(ELECTRA, STRANGER_INDEX),
        selection(ELECTRA, index(1)),
        selection(Slot(66), index(0)),
        json!({ "garbage": 1 }),
    ];
    world.answer(Answer::Selections(vec![(1, proof(2))]));
    world.answer(Answer::Refused(Refusal::TooFewSelections(Slot(66))));
    let got = world.post(ATTESTERS, json!(list)).await.ok();
    assert_eq!(got["data"], json!([proven(list[2].clone(), 2)]));
}

#[tokio::test]
async fn where_nothing_combined_it_is_said_why_part_by_part() {
    let world = world();
    let list = json!([selection(ELECTRA, index(0)), selection(Slot(66), index(0)), selection(ELECTRA, 99)]);
    world.answer(Answer::PartlyRefused(vec![(0, Refusal::BadHalf(ValidatorNo(0)))]));
    world.answer(Answer::Refused(Refusal::TooFewSelections(Slot(66))));
    let json = world.post(ATTESTERS, list).await.refused(400, "3 refused");
    let words: Vec<_> =
        json["failures"].as_array().unwrap().iter().map(|one| one["message"].to_string()).collect();
    for (said, why) in words.iter().zip(["validator-client key", "too few operators", "index 99"]) {
        assert!(said.contains(why), "{said} does not say {why}");
    }
    let one = json!([selection(ELECTRA, index(0))]);
    world.answer(Answer::Refused(Refusal::TooFewSelections(ELECTRA)));
    world.post(ATTESTERS, one.clone()).await.refused(503, "too few operators");
    world.post(ATTESTERS, one.clone()).await.refused(500, "something else");
    world.mind.answers.lock().unwrap().push_back(None);
    world.post(ATTESTERS, one.clone()).await.refused(503, "stopping");
    // A position that was never handed in names nobody.
    world.answer(Answer::Selections(vec![(7, proof(1))]));
    assert_eq!(world.post(ATTESTERS, one).await.ok(), json!({ "data": [] }));
    assert_eq!(world.post(ATTESTERS, json!([])).await.ok(), json!({ "data": [] }));
}

#[tokio::test]
async fn an_epoch_ahead_is_asked_for_at_once() {
    let world = world();
    let slots = 72..104_u64;
    for slot in slots.clone() {
        world.answer(Answer::Selections(vec![(0, proof(slot as u8))]));
    }
    let list: Vec<_> = slots.clone().map(|slot| selection(Slot(slot), index(0))).collect();
    let got = world.post(ATTESTERS, json!(list)).await.ok();
    let expected: Vec<_> = slots.map(|slot| proven(selection(Slot(slot), index(0)), slot as u8)).collect();
    assert_eq!(got["data"], json!(expected));
    assert_eq!(world.asks().len(), 32);
}

#[tokio::test]
async fn ten_thousand_validators_select_for_an_epoch_in_one_request() {
    let world = world();
    let slots = 72..104_u64;
    slots.clone().for_each(|_| world.answer(Answer::Selections(Vec::new())));
    let list: Vec<_> = slots.cycle().take(10_000).map(|slot| selection(Slot(slot), index(0))).collect();
    let body = json!(list);
    assert!(body.to_string().len() > 2 << 20, "longer than other bodies may be");
    world.post(ATTESTERS, body).await.ok();
    let asked: usize = world
        .asks()
        .iter()
        .map(|ask| match ask {
            Ask::Selections { halves, .. } => halves.len(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(asked, 10_000);
}
