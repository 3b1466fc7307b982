//! Aggregates and contributions: the agreed ones out, halves in; who is not in distributed mode keeps working.

use crate::objects::{
    AGGREGATE, CONTRIBUTION, HEAD, aggregated, attestation, contributed, contribution, data, told,
};
use crate::world::{ELECTRA, STRANGER_INDEX, index, world};
use dvt_node::validator_api::{Dropped, Noticed};
use serde_json::{Value, json};
use ssz::Encode as _;
use symbolon_core::{Answer, Ask, HalfAggregate, Refusal};
use types::aggregate::Aggregate;
use types::wire::{Item, Kind};
use types::{Root, ValidatorNo};

const PROOFS: &str = "/eth/v2/validator/aggregate_and_proofs";
const CONTRIBUTIONS: &str = "/eth/v1/validator/contribution_and_proofs";

/// Both kinds: where they are asked for, what core is asked, what it answers, and that in the API's JSON.
fn questions() -> [(String, Ask, Aggregate, Value); 2] {
    let subject = Root::of(&data(ELECTRA));
    let (attested, contributed) = (json!(attestation(2)), json!(contribution(1)));
    let of = |kind, place, subject| Ask::Aggregate { kind, slot: ELECTRA, place, subject };
    [
        (
            format!(
                "/eth/v2/validator/aggregate_attestation?attestation_data_root={subject}&slot=65&committee_index=2"
            ),
            of(Kind::Aggregate, 2, subject),
            AGGREGATE.from_json(&attested).unwrap(),
            json!({ "version": "electra", "data": attested }),
        ),
        (
            format!(
                "/eth/v1/validator/sync_committee_contribution?slot=65&subcommittee_index=1&beacon_block_root={HEAD}"
            ),
            of(Kind::Contribute, 1, HEAD),
            CONTRIBUTION.from_json(&contributed).unwrap(),
            json!({ "data": contributed }),
        ),
    ]
}

#[tokio::test]
async fn the_agreed_aggregate_is_served_in_json_and_in_ssz() {
    for (path, ask, aggregate, json) in questions() {
        let world = world();
        for _ in 0..2 {
            world.answer(Answer::Aggregate(aggregate.clone()));
        }
        let got = world.get(&path).await;
        assert_eq!(got.ok(), json);
        let version = json.get("version").map(|version| version.as_str().unwrap().as_bytes());
        let told = |got: &crate::world::Got| {
            got.headers.get("eth-consensus-version").map(|value| value.as_bytes().to_vec())
        };
        assert_eq!(told(&got).as_deref(), version);
        let got = world.get_ssz(&path).await;
        assert_eq!(got.ssz(), &aggregate.ssz.0[..]);
        assert_eq!(told(&got).as_deref(), version);
        assert_eq!(world.asks(), [ask.clone(), ask]);
        assert!(world.forwarded().is_empty());
    }
}

#[tokio::test]
async fn what_the_cluster_has_no_answer_to_is_asked_of_the_chain() {
    for (path, ..) in questions() {
        for refusal in [
            Refusal::NotDistributed,
            Refusal::NoDuty(ELECTRA),
            Refusal::NoAggregate { slot: ELECTRA, place: 2 },
        ] {
            let world = world();
            world.answer(Answer::Refused(refusal));
            assert_eq!(world.get(&path).await.ok()["data"]["asked"], path);
            assert_eq!(world.forwarded_once().1, path);
        }
        let world = world();
        world.answer(Answer::Refused(Refusal::TooLate(ELECTRA)));
        world.get(&path).await.refused(503, "did not agree in time");
        world.get(&path).await.refused(500, "something else");
        assert!(world.forwarded().is_empty());
    }
}

#[tokio::test]
async fn a_question_without_its_parameters_is_refused() {
    let world = world();
    for (path, ..) in questions() {
        let (route, query) = path.split_once('?').unwrap();
        let pairs: Vec<_> = query.split('&').collect();
        for missing in &pairs {
            let rest: Vec<_> = pairs.iter().filter(|pair| pair != &missing).copied().collect();
            let name = missing.split_once('=').unwrap().0;
            let without = world.get(&format!("{route}?{}", rest.join("&"))).await;
            without.refused(400, &format!("no {name}"));
            let wrong = world.get(&format!("{route}?{}&{name}=x", rest.join("&"))).await;
            wrong.refused(400, &format!("invalid {name}"));
        }
    }
    assert!(world.asks().is_empty() && world.forwarded().is_empty());
}

#[tokio::test]
async fn signed_aggregates_reach_core_exactly_as_signed_from_json_and_from_ssz() {
    let half =
        |number, part, signed| HalfAggregate { item: Item { validator: ValidatorNo(number), part }, signed };
    let list = vec![aggregated(index(1), 0), aggregated(index(0), 2)];
    let halves = vec![half(1, 0, told(AGGREGATE, &list[0])), half(0, 0, told(AGGREGATE, &list[1]))];
    let world = world();
    world.post(PROOFS, json!(list)).await.taken();
    world.post_ssz("electra", PROOFS, list.as_ssz_bytes()).await.taken();
    let asked = Ask::SignedAggregates { kind: Kind::Aggregate, slot: ELECTRA, halves };
    assert_eq!(world.asks(), [asked.clone(), asked]);

    // One member may aggregate in several subcommittees.
    let list = vec![contributed(index(1), 3), contributed(index(1), 0)];
    let halves = vec![half(1, 3, told(CONTRIBUTION, &list[0])), half(1, 0, told(CONTRIBUTION, &list[1]))];
    world.post(CONTRIBUTIONS, json!(list)).await.taken();
    world.post_ssz("electra", CONTRIBUTIONS, list.as_ssz_bytes()).await.taken();
    let asked = Ask::SignedAggregates { kind: Kind::Contribute, slot: ELECTRA, halves };
    assert_eq!(world.asks(), [asked.clone(), asked]);
}

#[tokio::test]
async fn one_bad_aggregate_costs_only_itself() {
    let world = world();
    let refused = Refusal::WrongProof(ValidatorNo(1));
    world.answer(Answer::PartlyRefused(vec![(1, refused.clone())]));
    let body = json!([
        aggregated(STRANGER_INDEX, 0),
        aggregated(index(0), 0),
        { "garbage": 1 },
        aggregated(index(1), 1)
    ]);
    let json = world.post(PROOFS, body).await.refused(400, "3 refused");
    let failures: Vec<_> =
        json["failures"].as_array().unwrap().iter().map(|one| one["index"].clone()).collect();
    assert_eq!(failures, [0, 2, 3]);
    assert_eq!(json["failures"][2]["message"], refused.to_string());
    world
        .post(CONTRIBUTIONS, json!([contributed(index(0), 4)]))
        .await
        .refused(400, "subcommittee 4 does not exist");
    world.post(CONTRIBUTIONS, json!([contributed(index(0), 256)])).await.refused(400, "subcommittee 256");
    world.post(CONTRIBUTIONS, json!([contributed(index(0), 3)])).await.taken();
}

#[tokio::test]
async fn what_a_client_outside_distributed_mode_signs_is_acknowledged_dropped_and_counted() {
    for (path, what, list) in [
        (PROOFS, Dropped::Aggregates, json!([aggregated(index(0), 0), aggregated(index(1), 1)])),
        (CONTRIBUTIONS, Dropped::Contributions, json!([contributed(index(0), 0), contributed(index(1), 1)])),
    ] {
        let world = world();
        world.answer(Answer::Refused(Refusal::NotDistributed));
        world.post(path, list.clone()).await.taken();
        assert_eq!(std::mem::take(&mut *world.noticed.lock().unwrap()), [Noticed::Dropped(what); 2]);
        // What else is wrong is said all the same.
        let also = Refusal::NotDue(ValidatorNo(1));
        world.answer(Answer::PartlyRefused(vec![(0, Refusal::NotDistributed), (1, also.clone())]));
        let json = world.post(path, list.clone()).await.refused(400, &also.to_string());
        assert_eq!(json["failures"], json!([{ "index": 1, "message": also.to_string() }]));
        assert_eq!(*world.noticed.lock().unwrap(), [Noticed::Dropped(what)]);
        assert!(world.forwarded().is_empty());
        world.post(path, list).await.taken();
    }
}
