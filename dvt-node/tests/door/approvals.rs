//! Approvals of registrations through the node's own routes, with real halves and shares.

use crate::world::{World, instance, operator, refused, spec, taken, world};
use serde_json::{Value, json};
use types::approval::{Notice, RegistrationStatement, registration_root};
use types::wire::{Kind, Message, PartialSignature, Partials, Statement, Step, ValueAnswer, ValueId};
use types::{Address, Slot, ValidatorNo};

const APPROVED: Address = Address([0xaa; 20]);
const ROUTE: &str = "/symbolon/v1/registrations";

/// Of both validators, stated in this slot.
fn statement(slot: Slot) -> RegistrationStatement {
    RegistrationStatement {
        validators: vec![ValidatorNo(0), ValidatorNo(1)],
        fee_recipient: APPROVED,
        gas_limit: 60_000_000,
        timestamp_s: spec().slot_start(slot).0 / 1000,
    }
}

/// This operator's approval; of the second validator with the half of operator `by`.
async fn approve(world: &World, statement: &RegistrationStatement, by: u8) -> (u16, Value) {
    let half = |(place, by): (usize, u8)| {
        let keys = &world.keys[place];
        keys.half(by, &registration_root(&spec(), &statement.registration(keys.group_key())))
    };
    let body = json!({ "statement": statement, "halves": [half((0, 1)), half((1, by))] });
    world.post(ROUTE, "application/json", body.to_string()).await
}

/// Another operator approves, with its whole shares.
fn hear(world: &World, from: u8, slot: Slot, statement: &RegistrationStatement) {
    let (instance, hash) = (instance(slot, Kind::Registration), statement.hash());
    let value = Notice::Statement(statement.clone()).to_value();
    world.hear(from, Message::Value(ValueAnswer { id: ValueId { instance, hash }, value }));
    let partial = |(number, keys): (u32, &crate::world::Keys)| {
        let root = registration_root(&spec(), &statement.registration(keys.group_key()));
        PartialSignature { item: ValidatorNo(number).into(), signature: keys.share(from, &root) }
    };
    let partials: Vec<_> = (0..).zip(&world.keys).map(partial).collect();
    let extra = Partials::extra(&partials);
    let said = Statement { instance, step: Step::Partial, round: 0, hash, extra };
    world.hear(from, Message::Partial(Partials { signed: said.unsigned(operator(from)), partials }));
}

async fn list(world: &World) -> Value {
    let (status, json) = world.get(ROUTE).await;
    assert_eq!(status, 200, "{json}");
    json["data"].clone()
}

#[tokio::test]
async fn a_lone_half_of_another_approves_nothing_and_the_twin_of_all_halves_does() {
    let slot = Slot(41);
    let (world, said) = (world(slot, Default::default()), statement(slot));
    let got = approve(&world, &said, 2).await;
    refused(&got, 400, "validator-client key for validator 1");
    assert_eq!(got.1["failures"][0]["index"], 1);
    assert!(world.partials_sent(Kind::Registration).is_empty());
    refused(&world.post(ROUTE, "application/json", "{}").await, 400, "not an approval of a statement");

    taken(&approve(&world, &said, 1).await);
    let sent = world.partials_sent(Kind::Registration);
    for (place, partial) in sent.iter().enumerate() {
        let keys = &world.keys[place];
        let root = registration_root(&spec(), &said.registration(keys.group_key()));
        assert_eq!(partial.signature, keys.share(1, &root), "the half is completed to the share's");
    }
    assert_eq!(sent.len(), 2);
    let waiting = &list(&world).await["statements"][0];
    assert_eq!((&waiting["id"], &waiting["approved_by"]), (&json!(said.hash()), &json!({ "1": 2 })));
    assert_eq!(waiting["statement"], json!(said));
}

#[tokio::test]
async fn with_enough_operators_the_groups_registration_counts() {
    let slot = Slot(41);
    let (world, said) = (world(slot, Default::default()), statement(slot));
    hear(&world, 3, slot, &said);
    taken(&approve(&world, &said, 1).await);
    assert_eq!(list(&world).await["registered"], json!([]), "two of three");
    hear(&world, 4, slot, &said);
    let after = list(&world).await;
    assert_eq!((&after["statements"], &after["threshold"]), (&json!([]), &json!(3)));
    for (place, keys) in world.keys.iter().enumerate() {
        let entry = &after["registered"][place];
        let message = said.registration(keys.group_key());
        assert_eq!(entry["newest"]["message"], json!(message));
        let signature = keys.group(&registration_root(&spec(), &message));
        assert_eq!(entry["newest"]["signature"], json!(signature), "by the whole key, which nobody has");
    }
    refused(&approve(&world, &said, 1).await, 400, "is not newer");
}

#[tokio::test]
async fn exits_that_nobody_approves_are_none() {
    let world = world(Slot(41), Default::default());
    let (status, json) = world.get("/symbolon/v1/exits").await;
    let none = json!({ "operator": 1, "operators": 4, "threshold": 3, "exits": [] });
    assert_eq!((status, &json["data"]), (200, &none));
}
