//! Exits: what the client signs is this operator's approval.

use crate::objects::{HALF, exit};
use crate::world::{STRANGER_INDEX, index, world};
use serde_json::json;
use ssz::Encode as _;
use symbolon_core::approve::NotApproved;
use symbolon_core::{Answer, Ask, Refusal};
use types::{Epoch, ValidatorIndex, ValidatorNo};

const POOL: &str = "/eth/v1/beacon/pool/voluntary_exits";

#[tokio::test]
async fn an_exit_reaches_core_under_the_validators_number() {
    let world = world();
    world.post(POOL, json!(exit(index(1)))).await.taken();
    let (validator, index) = (ValidatorNo(1), ValidatorIndex(index(1)));
    assert_eq!(world.asks(), [Ask::Exit { validator, index, epoch: Epoch(7), half: HALF }]);
    assert!(world.forwarded().is_empty(), "the chain hears of it when enough operators approve");
}

#[tokio::test]
async fn a_refused_exit_is_said_why_beside_its_twin() {
    let world = world();
    let body = json!(exit(index(0)));
    let half = Refusal::BadHalf(ValidatorNo(0));
    let known = Refusal::WrongIndex {
        validator: ValidatorNo(0),
        known: ValidatorIndex(10),
        named: ValidatorIndex(11),
    };
    let later = NotApproved::LaterExit { validator: ValidatorNo(0), approved: Epoch(8) };
    let table = [(half, 400), (known, 400), (later.into(), 400), (Refusal::JournalFailed, 503)];
    for (refusal, code) in table {
        world.answer(Answer::Refused(refusal.clone()));
        world.post(POOL, body.clone()).await.refused(code, &refusal.to_string());
        world.answer(Answer::PartlyRefused(vec![(0, refusal.clone())]));
        world.post(POOL, body.clone()).await.refused(code, &refusal.to_string());
    }
    world.answer(Answer::PartlyRefused(Vec::new()));
    world.post(POOL, body.clone()).await.refused(500, "without saying why");
    world.asks();
    world.post(POOL, json!(exit(STRANGER_INDEX))).await.refused(400, "index 99 is none of this cluster's");
    world.post(POOL, json!([exit(index(0))])).await.refused(400, "not a SignedVoluntaryExit");
    world
        .post_ssz("electra", POOL, exit(index(0)).as_ssz_bytes())
        .await
        .refused(415, "application/json only");
    assert!(world.asks().is_empty());
    world.post(POOL, body).await.taken();
}
