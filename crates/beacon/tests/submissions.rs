//! What is published: the request on the wire, to all nodes, and what counts as taken.

mod common;

use beacon::json::{CommitteeSubscription, SyncSubscription};
use beacon::{ApiError, Limits};
use common::{Answer, Mock, beacon, patient, with_limits};
use serde_json::{Value, json};
use types::block::body::{BeaconBlock, BlindedBodyDeneb, BodyDeneb};
use types::block::{BLOB_LEN, BlockShape, SignedBlockContents};
use types::sizes::Minimal;
use types::{Address, Epoch, Fork, Preset, Signature, Slot, ValidatorIndex};

async fn accepting() -> Mock {
    Mock::start(|_| Answer::Text(200, String::new())).await
}

#[tokio::test]
async fn attestations_name_their_fork() {
    let node = accepting().await;
    let body = json!([{"committee_index": "1"}]);
    beacon(&[&node]).submit_attestations(Fork::Electra, body.clone()).await.unwrap();
    let request = node.only();
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/eth/v2/beacon/pool/attestations")
    );
    assert_eq!(request.header("eth-consensus-version"), "electra");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.json(), body);
}

#[tokio::test]
async fn blocks_go_out_after_gossip_checks_as_they_are() {
    let node = accepting().await;
    let body = json!({"signed_block": {"message": {}, "signature": "0x"}, "kzg_proofs": [], "blobs": []});
    beacon(&[&node]).submit_block(Fork::Deneb, body.clone()).await.unwrap();
    let request = node.only();
    assert_eq!(request.path, "/eth/v2/beacon/blocks?broadcast_validation=gossip");
    assert_eq!(request.header("eth-consensus-version"), "deneb");
    assert_eq!(request.body, body.to_string(), "the order of fields is kept");
}

#[tokio::test]
async fn proposers_are_prepared_in_the_shape_of_the_api() {
    let node = accepting().await;
    beacon(&[&node]).prepare_proposers(&[(ValidatorIndex(3), Address([0xab; 20]))]).await.unwrap();
    let request = node.only();
    assert_eq!(request.path, "/eth/v1/validator/prepare_beacon_proposer");
    let wanted = json!([{"validator_index": "3", "fee_recipient": format!("0x{}", "ab".repeat(20))}]);
    assert_eq!(request.json(), wanted);
}

#[tokio::test]
async fn everything_else_that_is_published_goes_to_its_path() {
    let node = accepting().await;
    let beacon = beacon(&[&node]);
    let body = json!([]);
    beacon.submit_blinded_block(Fork::Capella, body.clone()).await.unwrap();
    beacon.submit_aggregates(Fork::Fulu, body.clone()).await.unwrap();
    beacon.submit_sync_messages(body.clone()).await.unwrap();
    beacon.submit_contributions(body.clone()).await.unwrap();
    beacon.submit_exit(body.clone()).await.unwrap();
    beacon.register_validators(body).await.unwrap();
    let subscription = CommitteeSubscription {
        validator_index: ValidatorIndex(1),
        committee_index: 2,
        committees_at_slot: 3,
        slot: Slot(4),
        is_aggregator: true,
    };
    beacon.subscribe_committees(&[subscription]).await.unwrap();
    let subscription = SyncSubscription {
        validator_index: ValidatorIndex(1),
        sync_committee_indices: vec![2],
        until_epoch: Epoch(3),
    };
    beacon.subscribe_sync_committees(&[subscription]).await.unwrap();
    let seen = node.seen();
    let paths: Vec<&str> = seen.iter().map(|request| request.path.as_str()).collect();
    let wanted = [
        "/eth/v2/beacon/blinded_blocks?broadcast_validation=gossip",
        "/eth/v2/validator/aggregate_and_proofs",
        "/eth/v1/beacon/pool/sync_committees",
        "/eth/v1/validator/contribution_and_proofs",
        "/eth/v1/beacon/pool/voluntary_exits",
        "/eth/v1/validator/register_validator",
        "/eth/v1/validator/beacon_committee_subscriptions",
        "/eth/v1/validator/sync_committee_subscriptions",
    ];
    assert_eq!(paths, wanted);
    let versions: Vec<bool> =
        seen.iter().map(|request| request.headers.contains_key("eth-consensus-version")).collect();
    assert_eq!(versions, [true, true, false, false, false, false, false, false]);
}

#[tokio::test]
async fn every_node_is_told_and_one_that_takes_it_is_enough() {
    let refuses = Mock::refusing(400, "invalid signature").await;
    let hangs = Mock::hanging().await;
    let takes = accepting().await;
    let beacon = beacon(&[&refuses, &hangs, &takes]);
    beacon.submit_exit(json!({})).await.unwrap();
    for node in [&refuses, &hangs, &takes] {
        node.wait_for(1).await;
    }
}

#[tokio::test]
async fn a_node_that_is_set_aside_is_told_too() {
    let ill = Mock::refusing(502, "bad gateway").await;
    let well = accepting().await;
    let rest_ms = 1 << 30;
    let beacon =
        with_limits(&[&ill, &well], Limits { retry_ms: rest_ms, retry_ms_max: rest_ms, ..patient() });
    for told in 1..=3 {
        beacon.submit_exit(json!({})).await.unwrap();
        ill.wait_for(told).await;
        well.wait_for(told).await;
    }
}

#[tokio::test]
async fn what_no_node_takes_is_refused_in_a_nodes_words() {
    let refuses = Mock::refusing(400, "invalid signature").await;
    let hangs = Mock::hanging().await;
    let beacon = with_limits(&[&hangs, &refuses], Limits { submit_bps: 300, ..patient() });
    let wanted = ApiError::Status { code: 400, message: "invalid signature".to_owned() };
    assert_eq!(beacon.submit_block(Fork::Deneb, json!({})).await, Err(wanted));
    assert_eq!(
        with_limits(&[&hangs], Limits { submit_bps: 300, ..patient() }).submit_exit(json!({})).await,
        Err(ApiError::Timeout)
    );
}

#[tokio::test]
async fn a_refusal_of_what_is_published_does_not_set_the_node_aside() {
    let first = Mock::start(|seen| match seen.path.as_str() {
        "/eth/v1/node/version" => json!({"data": {"version": "first"}}).into(),
        _ => Answer::Json(500, json!({"code": 500, "message": "Execution builder not enabled"})),
    })
    .await;
    let second = Mock::of(json!({"data": {"version": "second"}})).await;
    let beacon = beacon(&[&first, &second]);
    beacon.register_validators(json!([])).await.unwrap();
    first.wait_for(1).await;
    assert_eq!(beacon.version().await.unwrap(), "first");
}

async fn outcome_of_block(code: u16, body: Value) -> Result<(), ApiError> {
    let node = Mock::start(move |_| Answer::Json(code, body.clone())).await;
    beacon(&[&node]).submit_block(Fork::Deneb, json!({})).await
}

#[tokio::test]
async fn a_block_that_a_node_has_already_is_published() {
    for (code, message) in [
        (200, ""),
        (202, "duplicate block"),
        (202, "The block failed validation, but was successfully broadcast"),
        (500, "BLOCK_ERROR_ALREADY_KNOWN"),
        (400, "duplicate block"),
        (400, "BAD_REQUEST: Rejected: BlockIsAlreadyKnown(0xab)"),
    ] {
        let outcome = outcome_of_block(code, json!({"code": code, "message": message})).await;
        assert_eq!(outcome, Ok(()), "{code} {message}");
    }
}

#[tokio::test]
async fn a_block_refused_for_another_reason_is_not_published() {
    for (code, message) in [
        (400, "BLOCK_ERROR_REPEAT_PROPOSAL"),
        (400, "Slashable: the proposer's other block is already known"),
        (400, "invalid block signature"),
        (500, "internal error"),
        (503, "syncing"),
    ] {
        let outcome = outcome_of_block(code, json!({"code": code, "message": message})).await;
        assert_eq!(outcome, Err(ApiError::Status { code, message: message.to_owned() }));
    }
    // Words of success outside of the node's message are none.
    let hidden = json!({"code": 500, "message": "failed", "stacktraces": ["BLOCK_ERROR_ALREADY_KNOWN"]});
    assert!(outcome_of_block(500, hidden).await.is_err());
}

#[tokio::test]
async fn attestations_are_taken_if_every_item_that_failed_was_known() {
    let failed = |second: &str| {
        json!({"code": 400, "message": "Error processing attestations", "failures": [
            {"index": 0, "message": "ATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN"},
            {"index": 1, "message": second},
        ]})
    };
    for (second, taken) in
        [("ATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN", true), ("ATTESTATION_ERROR_PAST_SLOT", false)]
    {
        let body = failed(second);
        let node = Mock::start(move |_| Answer::Json(400, body.clone())).await;
        let outcome = beacon(&[&node]).submit_attestations(Fork::Deneb, json!([{}, {}])).await;
        assert_eq!(outcome.is_ok(), taken, "{outcome:?}");
    }
}

const PRESET: Preset = Preset::Minimal;

/// A signed block of Deneb: full, with a blob; or blinded.
fn signed(blinded: bool) -> SignedBlockContents {
    let slot = Slot(common::DENEB_EPOCH * 8);
    let shape = BlockShape { preset: PRESET, fork: Fork::Deneb, blinded };
    let signature = Signature([3; 96]);
    let block = if blinded {
        let body = BlindedBodyDeneb::<Minimal>::default();
        serde_json::to_value(BeaconBlock { slot, body, ..Default::default() })
    } else {
        let body = BodyDeneb::<Minimal>::default();
        serde_json::to_value(BeaconBlock { slot, body, ..Default::default() })
    };
    let message = json!({"message": block.unwrap(), "signature": signature});
    let (blob, proof) = (format!("0x{}", "5a".repeat(BLOB_LEN)), format!("0x{}", "6b".repeat(48)));
    let full = json!({"signed_block": message, "kzg_proofs": [proof], "blobs": [blob]});
    SignedBlockContents::from_json(shape, if blinded { &message } else { &full }).unwrap()
}

#[tokio::test]
async fn blocks_go_out_as_ssz() {
    for (blinded, path) in [(false, "blocks"), (true, "blinded_blocks")] {
        let node = accepting().await;
        let contents = signed(blinded);
        beacon(&[&node]).publish_block(contents.clone()).await.unwrap();
        let request = node.only();
        assert_eq!(request.path, format!("/eth/v2/beacon/{path}?broadcast_validation=gossip"));
        assert_eq!(request.header("content-type"), "application/octet-stream");
        assert_eq!(request.header("eth-consensus-version"), "deneb");
        assert_eq!(request.body, contents.to_ssz());
    }
}

#[tokio::test]
async fn a_node_that_takes_no_ssz_gets_json_and_that_is_remembered_of_it_alone() {
    let old = Mock::start(|seen| match seen.header("content-type") {
        "application/json" => Answer::Text(200, String::new()),
        _ => Answer::Json(415, json!({"code": 415, "message": "json only"})),
    })
    .await;
    let contents = signed(false);
    let alone = beacon(&[&old]);
    alone.publish_block(contents.clone()).await.unwrap();
    let [ssz, text] = <[_; 2]>::try_from(old.seen()).unwrap();
    assert_eq!(ssz.body, contents.to_ssz());
    assert_eq!(text.json(), contents.to_json(PRESET).unwrap());
    assert_eq!((&text.path, text.header("eth-consensus-version")), (&ssz.path, "deneb"));
    alone.publish_block(contents.clone()).await.unwrap();
    assert_eq!(old.seen().len(), 3);
    assert_eq!(old.seen()[2].header("content-type"), "application/json");

    let new = accepting().await;
    let both = beacon(&[&old, &new]);
    both.publish_block(contents.clone()).await.unwrap();
    new.wait_for(1).await;
    assert_eq!(new.only().header("content-type"), "application/octet-stream");
    old.wait_for(5).await;
}

#[tokio::test]
async fn a_block_refused_as_ssz_for_another_reason_is_not_sent_again() {
    let node = Mock::refusing(400, "invalid block signature").await;
    let refused = beacon(&[&node]).publish_block(signed(false)).await;
    assert!(matches!(refused, Err(ApiError::Status { code: 400, .. })), "{refused:?}");
    node.only();
    let known = Mock::refusing(400, "duplicate block").await;
    assert_eq!(beacon(&[&known]).publish_block(signed(false)).await, Ok(()));
}

/// A node that refuses these items of every list.
async fn refusing_items(failures: Value) -> Mock {
    let body = json!({"code": 400, "message": "some failed", "failures": failures});
    Mock::start(move |_| Answer::Json(400, body.clone())).await
}

#[tokio::test]
async fn items_that_one_node_or_another_took_are_published() {
    let first =
        refusing_items(json!([{"index": 0, "message": "late"}, {"index": 1, "message": "late"}])).await;
    let second =
        refusing_items(json!([{"index": "1", "message": "no"}, {"index": 2, "message": "no"}])).await;
    let third = refusing_items(json!([{"index": 2, "message": "known"}])).await;
    let list = json!([{}, {}, {}]);
    let outcome = beacon(&[&first, &second]).submit_aggregates(Fork::Electra, list.clone()).await;
    let Err(ApiError::Partly { items, count, message }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((items, count), (vec![1], 3));
    assert!(["late", "no"].contains(&message.as_str()), "{message}");
    let all = beacon(&[&first, &second, &third]);
    assert_eq!(all.submit_aggregates(Fork::Electra, list.clone()).await, Ok(()));
    let down = Mock::refusing(503, "syncing").await;
    let outcome = beacon(&[&down, &first]).submit_sync_messages(list.clone()).await;
    assert!(matches!(outcome, Err(ApiError::Partly { ref items, .. }) if *items == [0, 1]), "{outcome:?}");
    assert!(
        all.health().iter().all(|health| health.aside.is_none()),
        "what it thinks of a list is no failure"
    );
}

#[tokio::test]
async fn a_list_of_which_nothing_was_taken_is_refused_whole() {
    let all = json!([{"index": 0, "message": "late"}, {"index": 1, "message": "late"}]);
    let elsewhere = json!([{"index": 7, "message": "late"}]);
    for failures in [all, elsewhere, json!([{"message": "late"}]), json!([])] {
        let node = refusing_items(failures.clone()).await;
        let outcome = beacon(&[&node]).submit_contributions(json!([{}, {}])).await;
        assert!(matches!(outcome, Err(ApiError::Status { code: 400, .. })), "{failures} {outcome:?}");
    }
}

#[tokio::test]
async fn what_a_node_has_already_is_published_whatever_it_is() {
    for (code, message) in [
        (400, "ATTESTATION_ERROR_AGGREGATOR_ALREADY_KNOWN"),
        (400, "SYNC_COMMITTEE_ERROR_SYNC_COMMITTEE_MESSAGE_KNOWN"),
        (400, "Verification: PriorSyncCommitteeMessageKnown { validator_index: 1 }"),
        (400, "SyncContributionSupersetKnown(0xab)"),
        (500, "VOLUNTARY_EXIT_ERROR_ALREADY_EXISTS"),
    ] {
        let words = json!({"code": code, "message": message});
        let one = Mock::start(move |_| Answer::Json(code, words.clone())).await;
        let item = refusing_items(json!([{"index": 0, "message": message}])).await;
        for node in [&one, &item] {
            let beacon = beacon(&[node]);
            let list = json!([{}, {}]);
            assert_eq!(beacon.submit_aggregates(Fork::Electra, list.clone()).await, Ok(()), "{message}");
            assert_eq!(beacon.submit_sync_messages(list.clone()).await, Ok(()), "{message}");
            assert_eq!(beacon.submit_contributions(list).await, Ok(()), "{message}");
            assert_eq!(beacon.submit_exit(json!({})).await, Ok(()), "{message}");
        }
    }
}
