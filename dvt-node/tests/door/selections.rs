//! Selection proofs: halves in, the validators' own proofs out, and who aggregates by its own half.

use crate::world::{ATTEST, World, index, instance, refused, spec, taken, world};
use futures::poll;
use serde_json::{Value, json};
use std::pin::pin;
use types::aggregate::AggregateShape;
use types::attestation::AttestationElectra;
use types::sizes::Minimal;
use types::wire::Kind;
use types::{Fork, Preset, Root, Signature, SigningRoot};

const SELECTIONS: &str = "/eth/v1/validator/beacon_committee_selections";
const PROOFS: &str = "/eth/v2/validator/aggregate_and_proofs";

fn root() -> SigningRoot {
    SigningRoot::selection_proof(&spec(), ATTEST)
}

fn selection(validator: u32, half: Signature) -> Value {
    json!({ "validator_index": index(validator), "slot": ATTEST, "selection_proof": half })
}

/// What the client asks, until it is answered.
async fn select(world: &World, list: Value) -> (u16, Value) {
    world.post(SELECTIONS, "application/json", list.to_string()).await
}

/// Two other operators' partials of the first validator, which together with this one's are enough.
fn peers_select(world: &World) {
    for from in [2, 3] {
        let partial = world.keys[0].share(from, &root());
        world.partial(from, instance(ATTEST, Kind::Selection), Root::ZERO, partial);
    }
}

#[tokio::test]
async fn a_bad_half_costs_its_validator_and_the_others_proofs_come_back() {
    let world = world(ATTEST, Default::default());
    let right = world.keys[0].half(1, &root());
    // The second validator's proof by its operator's whole share: a client that was given the wrong keystore.
    let list = json!([selection(1, world.keys[1].share(1, &root())), selection(0, right)]);
    let mut asked = pin!(select(&world, list));
    assert!(poll!(asked.as_mut()).is_pending());
    assert_eq!(world.partials_sent(Kind::Selection).len(), 1, "the good half went out, the bad one did not");
    peers_select(&world);
    let proof = world.keys[0].group(&root());
    assert_eq!(asked.await, (200, json!({ "data": [selection(0, proof)] })));
    // The twin: what has combined is answered at once.
    assert_eq!(
        select(&world, json!([selection(0, right)])).await.1["data"][0]["selection_proof"],
        json!(proof)
    );
    let alone = json!([selection(1, world.keys[1].share(1, &root()))]);
    refused(&select(&world, alone).await, 400, "not by this operator's validator-client key");
}

/// A client outside distributed mode puts its own half's proof into its aggregates: nobody can combine those.
#[tokio::test]
async fn an_aggregate_by_a_half_s_own_proof_is_acknowledged_and_leaves_nothing() {
    let world = world(ATTEST, Default::default());
    let mut aggregate = AttestationElectra::<Minimal>::default();
    aggregate.data.slot = ATTEST;
    aggregate.committee_bits.set(0, true).unwrap();
    let shape = AggregateShape::Attestation { preset: Preset::Minimal, fork: Fork::Electra };
    assert!(shape.from_json(&json!(aggregate)).is_ok());
    let half = world.keys[0].half(1, &root());
    let signed = json!([{
        "message": { "aggregator_index": index(0), "aggregate": aggregate, "selection_proof": half },
        "signature": half,
    }]);
    let before = world.marks();
    taken(&world.post(PROOFS, "application/json", signed.to_string()).await);
    assert_eq!(world.marks(), before, "nothing was signed and nothing was said");
    // Once its client is in distributed mode, the same is refused: it is not the validator's proof.
    let mut asked = pin!(select(&world, json!([selection(0, half)])));
    assert!(poll!(asked.as_mut()).is_pending());
    peers_select(&world);
    assert_eq!(asked.await.0, 200);
    let got = world.post(PROOFS, "application/json", signed.to_string()).await;
    refused(&got, 400, "is not the one that the operators' halves combine to");
}
