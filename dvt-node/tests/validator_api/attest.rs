//! Attestations: the agreed vote out, halves in.

use crate::duties::duty;
use crate::world::{CAPELLA, DENEB, ELECTRA, FULU, STRANGER_INDEX, World, index, world};
use serde_json::{Value, json};
use ssz::{Decode as _, Encode as _};
use symbolon_core::guard::Rule;
use symbolon_core::{Answer, Ask, HalfAttestation, Refusal};
use types::attestation::{Attestation, SingleAttestation};
use types::{AttestationData, BeaconVote, Checkpoint, Epoch, Root, Signature, Slot, ValidatorNo};

const POOL: &str = "/eth/v2/beacon/pool/attestations";

fn vote(slot: Slot) -> BeaconVote {
    let checkpoint = |epoch: u64| Checkpoint { epoch: Epoch(epoch), root: Root([epoch as u8; 32]) };
    BeaconVote {
        slot,
        index: 0,
        beacon_block_root: Root([3; 32]),
        source: checkpoint(1),
        target: checkpoint(slot.0 / 8),
    }
}

fn half(number: u8) -> Signature {
    Signature([number + 1; 96])
}

fn handed(number: u8, data: AttestationData) -> HalfAttestation {
    HalfAttestation { validator: ValidatorNo(number.into()), data, half: half(number) }
}

fn single(attester: u64, number: u8, data: AttestationData) -> Value {
    json!({
        "committee_index": "1", "attester_index": attester.to_string(), "data": data, "signature": half(number),
    })
}

/// `bits`: the committee's, with the bit that ends them.
fn member(bits: &str, number: u8, data: AttestationData) -> Value {
    json!({ "aggregation_bits": bits, "data": data, "signature": half(number) })
}

/// Validator 0 is third of five in committee 1 of a slot, validator 1 first of committee 0.
fn capella() -> World {
    let world = world();
    world.chain().duties = vec![duty(0, CAPELLA, 1, 2), duty(1, CAPELLA, 0, 0)];
    world
}

#[tokio::test]
async fn the_vote_carries_the_committee_before_electra_and_0_from_then_on() {
    for (slot, committee, index) in [(CAPELLA, 3, 3), (DENEB, 2, 2), (ELECTRA, 3, 0)] {
        let world = world();
        world.answer(Answer::Vote(vote(slot)));
        let path = format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index={committee}");
        let got = world.get(&path).await.ok();
        assert_eq!(got, json!({ "data": vote(slot).data(index) }));
        assert_eq!(world.asks(), [Ask::Vote { slot }]);
    }
}

#[tokio::test]
async fn a_question_without_its_parameters_is_refused() {
    let world = world();
    let data = "/eth/v1/validator/attestation_data";
    for (query, words) in [
        ("", "no slot"),
        ("?slot=x&committee_index=0", "invalid slot"),
        ("?slot=-1&committee_index=0", "invalid slot"),
        ("?slot=3", "no committee_index"),
        ("?slot=3&committee_index=x", "invalid committee_index"),
        ("?slot=65&committee_index=x", "invalid committee_index"),
    ] {
        world.get(&format!("{data}{query}")).await.refused(400, words);
    }
    assert!(world.asks().is_empty());
    world.answer(Answer::Vote(vote(ELECTRA)));
    world.get(&format!("{data}?slot=65")).await.ok();
}

#[tokio::test]
async fn a_refusal_is_the_clients_or_the_clusters() {
    let slot = ELECTRA;
    let roots = (Root([1; 32]), Root([2; 32]));
    for (refusal, code) in [
        (Refusal::NotDue(ValidatorNo(0)), 400),
        (Refusal::NoDuty(slot), 400),
        (Refusal::NothingAgreed(slot), 400),
        (Refusal::NotAgreed { signed: roots.0, agreed: roots.1 }, 400),
        (Refusal::Slashable(Rule::Target { target: Epoch(1), journal: Epoch(2) }), 400),
        (Refusal::BadHalf(ValidatorNo(0)), 400),
        (Refusal::JournalFailed, 503),
        (Refusal::Stopped(symbolon_core::stop::Reason::Clock), 503),
        (Refusal::TooLate(slot), 503),
    ] {
        let world = world();
        let words = refusal.to_string();
        world.answer(Answer::Refused(refusal.clone()));
        world.get("/eth/v1/validator/attestation_data?slot=65").await.refused(code, &words);

        world.answer(Answer::Refused(refusal.clone()));
        let body = json!([single(index(0), 0, vote(slot).data(0))]);
        let json = world.post(POOL, body.clone()).await.refused(code, &words);
        assert_eq!(json["failures"], json!([{ "index": 0, "message": words }]));

        world.answer(Answer::PartlyRefused(vec![(0, refusal)]));
        let json = world.post(POOL, body.clone()).await.refused(code, &words);
        assert_eq!(json["failures"][0]["index"], 0);

        world.post(POOL, body).await.taken();
    }
}

#[tokio::test]
async fn a_core_that_is_gone_or_confused_is_no_panic() {
    let world = world();
    let data = "/eth/v1/validator/attestation_data?slot=65";
    let body = json!([single(index(0), 0, vote(ELECTRA).data(0))]);
    world.mind.answers.lock().unwrap().extend([None, None]);
    world.get(data).await.refused(503, "stopping");
    world.post(POOL, body.clone()).await.refused(503, "stopping");
    world.get(data).await.refused(500, "something else");
    world.answer(Answer::Vote(vote(ELECTRA)));
    world.post(POOL, body.clone()).await.refused(500, "something else");
    // A position that was never handed in names nobody.
    world.answer(Answer::PartlyRefused(vec![(7, Refusal::JournalFailed)]));
    world.post(POOL, body).await.taken();
}

#[tokio::test]
async fn single_attestations_reach_core_exactly_as_signed_slot_by_slot() {
    for (fork, slot) in [("electra", ELECTRA), ("fulu", FULU)] {
        let world = world();
        // A wrong index is core's to see.
        let (first, second) = (vote(slot).data(5), vote(slot.next()).data(0));
        let body =
            json!([single(index(1), 1, second), single(index(0), 0, first), single(index(1), 1, first)]);
        world.post_of(fork, POOL, body).await.taken();
        assert_eq!(
            world.asks(),
            [
                Ask::Attestations { slot, halves: vec![handed(0, first), handed(1, first)] },
                Ask::Attestations { slot: slot.next(), halves: vec![handed(1, second)] },
            ]
        );
    }
}

#[tokio::test]
async fn an_attestation_before_electra_is_found_by_committee_and_bit() {
    let world = capella();
    let (one, other) = (vote(CAPELLA).data(1), vote(CAPELLA).data(0));
    let body = json!([member("0x24", 0, one), member("0x21", 1, other)]);
    world.post_of("capella", POOL, body).await.taken();
    let halves = vec![handed(0, one), handed(1, other)];
    assert_eq!(world.asks(), [Ask::Attestations { slot: CAPELLA, halves }]);
    assert_eq!(world.chain().duties_asked, 1, "the epoch's committees were asked for once");
}

#[tokio::test]
async fn bits_that_name_none_of_ours_are_refused_beside_their_twin() {
    let data = vote(CAPELLA).data(1);
    let elsewhere = AttestationData { slot: Slot(4), ..data };
    let committee = AttestationData { index: 0, ..data };
    for (item, words) in [
        (member("0x20", 0, data), "exactly one aggregation bit"),
        (member("0x25", 0, data), "exactly one aggregation bit"),
        (member("0x28", 0, data), "none of this cluster's"),
        (member("0x44", 0, data), "none of this cluster's"),
        (member("0x24", 0, elsewhere), "none of this cluster's"),
        (member("0x24", 0, committee), "none of this cluster's"),
        (member("0x00", 0, data), "not an Attestation"),
        (member("0x", 0, data), "not an Attestation"),
        (json!({ "data": data }), "not an Attestation"),
        (single(index(0), 0, data), "not an Attestation"),
    ] {
        let world = capella();
        let body = json!([item, member("0x24", 0, data)]);
        let json = world.post_of("capella", POOL, body).await.refused(400, words);
        assert_eq!(json["failures"].as_array().unwrap().len(), 1, "{json}");
        assert_eq!(json["failures"][0]["index"], 0);
        assert_eq!(world.asks(), [Ask::Attestations { slot: CAPELLA, halves: vec![handed(0, data)] }]);
    }
}

#[tokio::test]
async fn committees_that_a_reorganisation_changed_are_asked_for_again_once_a_request() {
    let world = capella();
    let data = vote(CAPELLA).data(1);
    world.post_of("capella", POOL, json!([member("0x24", 0, data)])).await.taken();
    world.chain().duties = vec![duty(0, CAPELLA, 1, 4)];
    world.post_of("capella", POOL, json!([member("0x30", 0, data)])).await.taken();
    assert_eq!(world.chain().duties_asked, 2);
    let strangers: Vec<_> = (0..20).map(|_| member("0x22", 0, data)).collect();
    world.post_of("capella", POOL, json!(strangers)).await.refused(400, "20 refused");
    assert_eq!(world.chain().duties_asked, 3);
}

#[tokio::test]
async fn a_beacon_node_that_is_down_is_no_fault_of_the_client() {
    let world = capella();
    world.chain().down = true;
    let data = vote(CAPELLA).data(1);
    let body = json!([member("0x24", 0, data)]);
    world.post_of("capella", POOL, body.clone()).await.refused(503, "no beacon node answers");
    let singles = json!([single(index(0), 0, vote(ELECTRA).data(0))]);
    world.post(POOL, singles.clone()).await.refused(503, "no beacon node answers");
    world.chain().down = false;
    world.post_of("capella", POOL, body).await.taken();
    world.post(POOL, singles.clone()).await.taken();
    // What is known needs no beacon node.
    world.chain().down = true;
    world.post(POOL, singles).await.taken();
}

#[tokio::test]
async fn failures_name_places_in_the_request_not_in_what_core_saw() {
    let world = world();
    let data = vote(ELECTRA).data(0);
    let not_agreed = Refusal::NotAgreed { signed: Root([1; 32]), agreed: Root([2; 32]) };
    world.answer(Answer::PartlyRefused(vec![(1, not_agreed.clone())]));
    let body = json!([
        single(STRANGER_INDEX, 9, data),
        single(index(0), 0, data),
        { "garbage": 1 },
        single(index(1), 1, data)
    ]);
    let json = world.post(POOL, body).await.refused(400, "3 refused");
    let failures = json["failures"].as_array().unwrap();
    let places: Vec<_> = failures.iter().map(|failure| failure["index"].as_u64().unwrap()).collect();
    assert_eq!(places, [0, 2, 3]);
    assert_eq!(failures[2]["message"], not_agreed.to_string());
    assert_eq!(world.asks().len(), 1);
    assert_eq!(world.chain().validators_asked, 1, "one stranger or many, the chain is asked once");
}

#[tokio::test]
async fn one_wrong_attestation_makes_it_the_clients_fault_whatever_else_failed() {
    let world = world();
    let data = vote(ELECTRA).data(0);
    let ours = single(index(0), 0, data);
    world.answer(Answer::Refused(Refusal::JournalFailed));
    world.post(POOL, json!([ours.clone(), single(STRANGER_INDEX, 9, data)])).await.refused(400, "2 refused");
    world.answer(Answer::Refused(Refusal::JournalFailed));
    world.post(POOL, json!([ours])).await.refused(503, "1 refused");
}

#[tokio::test]
async fn the_vote_is_ssz_for_who_wants_that_more() {
    let world = world();
    world.answer(Answer::Vote(vote(ELECTRA)));
    let got = world.get_ssz("/eth/v1/validator/attestation_data?slot=65&committee_index=2").await;
    assert_eq!(AttestationData::from_ssz_bytes(&got.ssz()).unwrap(), vote(ELECTRA).data(0));
}

#[tokio::test]
async fn attestations_in_ssz_are_those_in_json() {
    let world = world();
    let data = vote(ELECTRA).data(0);
    let items = [single(index(0), 0, data), single(index(1), 1, data)];
    let list: Vec<SingleAttestation> = serde_json::from_value(json!(items)).unwrap();
    world.post_ssz("electra", POOL, list.as_ssz_bytes()).await.taken();
    let halves = vec![handed(0, data), handed(1, data)];
    assert_eq!(world.asks(), [Ask::Attestations { slot: ELECTRA, halves }]);

    let world = capella();
    let data = vote(CAPELLA).data(1);
    let list: Vec<Attestation> = serde_json::from_value(json!([member("0x24", 0, data)])).unwrap();
    world.post_ssz("capella", POOL, list.as_ssz_bytes()).await.taken();
    assert_eq!(world.asks(), [Ask::Attestations { slot: CAPELLA, halves: vec![handed(0, data)] }]);
}

#[tokio::test]
async fn an_attestation_of_another_fork_than_the_header_says_is_refused_beside_its_twin() {
    for (named, slot, good) in
        [("electra", ELECTRA, true), ("fulu", ELECTRA, false), ("fulu", FULU, true), ("electra", FULU, false)]
    {
        let world = world();
        let got = world.post_of(named, POOL, json!([single(index(0), 0, vote(slot).data(0))])).await;
        if good {
            got.taken()
        } else {
            drop(got.refused(400, &format!("Eth-Consensus-Version is {named}")))
        }
        assert_eq!(world.asks().len(), usize::from(good));
    }
}

#[tokio::test]
async fn the_fork_has_to_be_named_and_known() {
    let world = world();
    let body = json!([single(index(0), 0, vote(ELECTRA).data(0))]);
    for (fork, words) in [("phase0", "unknown Eth-Consensus-Version"), ("", "unknown"), ("gloas", "unknown")]
    {
        world.post_of(fork, POOL, body.clone()).await.refused(400, words);
    }
    let request = axum::http::Request::post(POOL).body(body.to_string().into()).unwrap();
    world.call(request).await.refused(400, "no Eth-Consensus-Version");
    assert!(world.asks().is_empty());
    world.post_of("Electra", POOL, body).await.taken();
}

#[tokio::test]
async fn attestations_of_a_great_many_slots_are_refused() {
    let world = world();
    let body = |slots: u64| {
        let items = (0..slots).map(|slot| single(index(0), 0, vote(Slot(FULU.0 + slot)).data(0)));
        json!(items.collect::<Vec<_>>())
    };
    world.post_of("fulu", POOL, body(65)).await.refused(400, "more than 64 slots");
    assert!(world.asks().is_empty());
    world.post_of("fulu", POOL, body(64)).await.taken();
    assert_eq!(world.asks().len(), 64);
}

#[tokio::test]
async fn reading_the_pool_is_passed_on() {
    let world = world();
    world.get("/eth/v2/beacon/pool/attestations?slot=1").await.ok();
    assert_eq!(world.forwarded_once().1, "/eth/v2/beacon/pool/attestations?slot=1");
}
