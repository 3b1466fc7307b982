//! What is asked: the request on the wire, the answer in the API's exact shape, and every rule an answer can break.

mod common;

use beacon::{ApiError, Beacon, Question};
use common::{Answer, Mock, beacon};
use serde_json::{Value, json};
use types::operations::BeaconBlockHeader;
use types::{
    AttestationData, Checkpoint, Epoch, Fork, ForkVersion, PublicKey, Root, Slot, ValidatorIndex,
    ValidatorStatus,
};

const ROOT: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 48])
}

/// The rule that the node's answer breaks.
fn broken<T: std::fmt::Debug>(answer: Result<T, ApiError>) -> String {
    match answer {
        Err(ApiError::Body(rule)) => rule,
        other => panic!("no broken rule but {other:?}"),
    }
}

async fn node_with(answer: Value) -> (Mock, Beacon) {
    let node = Mock::of(answer).await;
    let beacon = beacon(&[&node]);
    (node, beacon)
}

fn genesis() -> Value {
    json!({"data": {
        "genesis_time": "1600000000",
        "genesis_validators_root": Root([8; 32]),
        "genesis_fork_version": "0x09090909",
    }})
}

#[tokio::test]
async fn genesis_is_read() {
    let (node, beacon) = node_with(genesis()).await;
    let genesis = beacon.genesis().await.unwrap();
    assert_eq!(genesis.genesis_time, 1_600_000_000);
    assert_eq!(genesis.genesis_validators_root, Root([8; 32]));
    assert_eq!(genesis.genesis_fork_version, ForkVersion([9; 4]));
    let request = node.only();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/eth/v1/beacon/genesis"));
    assert_eq!(request.header("accept"), "application/json");
}

#[tokio::test]
async fn a_node_of_another_network_is_not_asked_again() {
    let mut other = genesis();
    other["data"]["genesis_validators_root"] = json!(Root([7; 32]));
    let foreign = Mock::of(other).await;
    let ours = Mock::of(genesis()).await;
    let both = beacon(&[&foreign, &ours]);
    let mut outcomes = both.check_network().await;
    outcomes.sort_by_key(|(label, _)| *label == ours.url);
    assert_eq!(outcomes[1], (ours.url.clone(), Ok(())));
    assert!(broken(outcomes.remove(0).1).starts_with("another network: genesis_validators_root"));
    both.genesis().await.unwrap();
    assert_eq!((foreign.seen().len(), ours.seen().len()), (1, 2));

    let alone = beacon(&[&foreign]);
    alone.check_network().await;
    assert_eq!(alone.genesis().await, Err(ApiError::NoNode));
    assert_eq!(alone.submit_exit(json!({})).await, Err(ApiError::NoNode));
}

#[tokio::test]
async fn configuration_and_version_are_read() {
    let node = Mock::start(|seen| match seen.path.as_str() {
        "/eth/v1/config/spec" => {
            json!({"data": {"PRESET_BASE": "minimal", "BLOBS": [{"EPOCH": "1"}]}}).into()
        }
        "/eth/v1/node/version" => json!({"data": {"version": "Lodestar/v1.5.1"}}).into(),
        other => panic!("{other}"),
    })
    .await;
    let beacon = beacon(&[&node]);
    assert_eq!(beacon.config_spec().await.unwrap()["PRESET_BASE"], "minimal");
    assert_eq!(beacon.version().await.unwrap(), "Lodestar/v1.5.1");
    let (_node, beacon) = node_with(json!({"data": ["PRESET_BASE"]})).await;
    assert_eq!(broken(beacon.config_spec().await), "no object");
}

fn syncing(head_slot: u64, is_syncing: bool, is_optimistic: bool) -> Value {
    json!({"data": {
        "head_slot": head_slot.to_string(), "sync_distance": "1", "is_syncing": is_syncing,
        "is_optimistic": is_optimistic, "el_offline": false,
    }})
}

#[tokio::test]
async fn the_best_synced_node_is_reported_and_asked_first() {
    let data = json!({"data": {"version": "ready"}});
    let (second, data_2) = (data.clone(), data.clone());
    let behind = Mock::start(move |seen| match seen.path.contains("syncing") {
        true => syncing(900, true, false).into(),
        false => data.clone().into(),
    })
    .await;
    let optimistic = Mock::start(move |seen| match seen.path.contains("syncing") {
        true => syncing(950, false, true).into(),
        false => second.clone().into(),
    })
    .await;
    let ready = Mock::start(move |seen| match seen.path.contains("syncing") {
        true => syncing(800, false, false).into(),
        false => data_2.clone().into(),
    })
    .await;
    let beacon = beacon(&[&behind, &optimistic, &ready]);
    let status = beacon.syncing().await.unwrap();
    assert_eq!((status.head_slot, status.is_ready()), (Slot(800), true));
    beacon.version().await.unwrap();
    let asked = |node: &Mock, path: &str| node.seen().iter().filter(|seen| seen.path.contains(path)).count();
    for (node, versions) in [(&behind, 0), (&optimistic, 0), (&ready, 1)] {
        assert_eq!((asked(node, "/node/syncing"), asked(node, "/node/version")), (1, versions));
    }
}

#[tokio::test]
async fn a_node_older_than_the_newer_sync_fields_is_understood() {
    let (_node, beacon) =
        node_with(json!({"data": {"head_slot": "3", "sync_distance": "0", "is_syncing": false}})).await;
    let status = beacon.syncing().await.unwrap();
    assert!(!status.is_optimistic && !status.el_offline && status.is_ready());
}

fn validator(index: u64, byte: u8, status: &str) -> Value {
    json!({"index": index.to_string(), "balance": "32000000000", "status": status, "validator": {
        "pubkey": key(byte), "withdrawal_credentials": ROOT, "effective_balance": "32000000000",
        "slashed": false, "activation_eligibility_epoch": "0", "activation_epoch": "0",
        "exit_epoch": "18446744073709551615", "withdrawable_epoch": "18446744073709551615",
    }})
}

#[tokio::test]
async fn validators_are_asked_by_key_in_a_body() {
    let entry = validator(7, 1, "active_ongoing");
    let answer = json!({"execution_optimistic": false, "finalized": false, "data": [entry]});
    let (node, beacon) = node_with(answer).await;
    let validators = beacon.validators(&[key(1), key(2)]).await.unwrap();
    assert_eq!(validators.len(), 1, "the state has no validator of the second key");
    assert_eq!((validators[0].index, validators[0].pubkey), (ValidatorIndex(7), key(1)));
    assert_eq!(validators[0].status, ValidatorStatus::ActiveOngoing);
    assert!(!validators[0].slashed);
    let request = node.only();
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/eth/v1/beacon/states/head/validators");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.json(), json!({"ids": [key(1), key(2)]}));
}

#[tokio::test]
async fn to_ask_for_no_validators_asks_nobody() {
    let (node, beacon) = node_with(json!({})).await;
    assert_eq!(beacon.validators(&[]).await, Ok(vec![]));
    assert_eq!(beacon.attester_duties(Epoch(0), &[]).await, Ok(vec![]));
    assert_eq!(beacon.liveness(Epoch(0), &[]).await, Ok(vec![]));
    assert_eq!(node.seen().len(), 0);
}

#[tokio::test]
async fn validators_that_were_not_asked_for_or_come_twice_are_refused() {
    for data in [
        json!([validator(1, 3, "active_ongoing")]),
        json!([validator(1, 1, "active_ongoing"), validator(2, 1, "active_ongoing")]),
    ] {
        let (_node, beacon) = node_with(json!({"data": data})).await;
        assert!(broken(beacon.validators(&[key(1)]).await).ends_with("twice, or not asked for"));
    }
    for data in [json!([validator(1, 1, "asleep")]), json!([{"index": "1"}]), json!({}), json!(null)] {
        let (_node, beacon) = node_with(json!({"data": data})).await;
        broken(beacon.validators(&[key(1)]).await);
    }
}

fn attester_duty() -> Value {
    json!({
        "pubkey": key(1), "validator_index": "7", "committee_index": "1", "committee_length": "4",
        "committees_at_slot": "2", "validator_committee_index": "3", "slot": "17",
    })
}

fn duties(data: Value) -> Value {
    json!({"dependent_root": ROOT, "execution_optimistic": false, "data": data})
}

#[tokio::test]
async fn attester_duties_are_asked_by_index() {
    let (node, beacon) = node_with(duties(json!([attester_duty()]))).await;
    let asked = [ValidatorIndex(7), ValidatorIndex(9)];
    let found = beacon.attester_duties(Epoch(2), &asked).await.unwrap();
    assert_eq!(serde_json::to_value(&found).unwrap(), json!([attester_duty()]));
    assert_eq!(beacon.attester_duties_reply(Epoch(2), &asked).await.unwrap().dependent_root, Root([1; 32]));
    let request = &node.seen()[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/eth/v1/validator/duties/attester/2");
    assert_eq!(request.json(), json!(["7", "9"]));
}

#[tokio::test]
async fn attester_duties_out_of_place_are_refused_by_the_rule_they_break() {
    for (field, value, rule) in [
        ("slot", "24", "a duty of slot 24, asked for epoch 2"),
        ("validator_index", "8", "a duty of validator 8, who was not asked for"),
        ("committee_index", "2", "committee 2 in a slot of 2"),
        ("validator_committee_index", "4", "place 4 in a committee of 4"),
    ] {
        let mut duty = attester_duty();
        duty[field] = json!(value);
        let (_node, beacon) = node_with(duties(json!([duty]))).await;
        assert_eq!(broken(beacon.attester_duties(Epoch(2), &[ValidatorIndex(7)]).await), rule);
    }
}

#[tokio::test]
async fn proposer_duties_are_of_their_epoch_and_one_a_slot() {
    let duty = |slot: u64| json!({"pubkey": key(1), "validator_index": "7", "slot": slot.to_string()});
    let (node, beacon) = node_with(duties(json!([duty(16), duty(23)]))).await;
    let found = beacon.proposer_duties(Epoch(2)).await.unwrap();
    assert_eq!(found.iter().map(|duty| duty.slot).collect::<Vec<_>>(), [Slot(16), Slot(23)]);
    assert_eq!(node.only().path, "/eth/v1/validator/duties/proposer/2");
    let (_node, beacon) = node_with(duties(json!([duty(15)]))).await;
    assert_eq!(broken(beacon.proposer_duties(Epoch(2)).await), "a duty of slot 15, asked for epoch 2");
    let (_node, beacon) = node_with(duties(json!([duty(16), duty(16)]))).await;
    assert_eq!(broken(beacon.proposer_duties(Epoch(2)).await), "two proposers of slot 16");
}

#[tokio::test]
async fn sync_duties_and_liveness_are_of_those_asked_for() {
    let duty =
        json!({"pubkey": key(1), "validator_index": "7", "validator_sync_committee_indices": ["0", "16"]});
    let (node, beacon) = node_with(json!({"execution_optimistic": false, "data": [duty]})).await;
    let found = beacon.sync_duties_reply(Epoch(2), &[ValidatorIndex(7)]).await.unwrap();
    assert_eq!(found.data[0].validator_sync_committee_indices, [0, 16]);
    assert_eq!(node.only().path, "/eth/v1/validator/duties/sync/2");
    broken(beacon.sync_duties_reply(Epoch(2), &[ValidatorIndex(8)]).await);

    let (node, beacon) = node_with(json!({"data": [{"index": "7", "is_live": true}]})).await;
    assert!(beacon.liveness(Epoch(2), &[ValidatorIndex(7)]).await.unwrap()[0].is_live);
    assert_eq!(node.only().path, "/eth/v1/validator/liveness/2");
    broken(beacon.liveness(Epoch(2), &[ValidatorIndex(8)]).await);
}

fn attestation_data() -> Value {
    json!({
        "slot": "17", "index": "0", "beacon_block_root": ROOT,
        "source": {"epoch": "1", "root": ROOT}, "target": {"epoch": "2", "root": ROOT},
    })
}

#[tokio::test]
async fn attestation_data_is_asked_for_committee_0() {
    let (node, beacon) = node_with(json!({"data": attestation_data()})).await;
    let data = beacon.attestation_data(Slot(17)).await.unwrap();
    assert_eq!(serde_json::to_value(data).unwrap(), attestation_data());
    assert_eq!(node.only().path, "/eth/v1/validator/attestation_data?slot=17&committee_index=0");
}

#[tokio::test]
async fn attestation_data_that_was_not_asked_for_is_refused_by_the_rule_it_breaks() {
    for (field, value, rule) in [
        ("slot", json!("18"), "attestation data of slot 18, asked for 17"),
        ("index", json!("1"), "attestation data of committee 1, asked for 0"),
        ("target", json!({"epoch": "1", "root": ROOT}), "target of epoch 1, the slot is of epoch 2"),
        ("target", json!({"epoch": "3", "root": ROOT}), "target of epoch 3, the slot is of epoch 2"),
        ("source", json!({"epoch": "3", "root": ROOT}), "source of epoch 3 after the target's 2"),
    ] {
        let mut data = attestation_data();
        data[field] = value;
        let (_node, beacon) = node_with(json!({"data": data})).await;
        assert_eq!(broken(beacon.attestation_data(Slot(17)).await), rule);
    }
}

#[tokio::test]
async fn wrong_shapes_are_refused_and_never_panic() {
    let with = |field: &str, value: Value| {
        let mut data = attestation_data();
        data[field] = value;
        json!({"data": data}).to_string()
    };
    let bodies = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"data": null}"#.to_owned(),
        "{\"data\": ".to_owned(),
        "<html>502</html>".to_owned(),
        "[".repeat(100_000),
        with("slot", json!("-1")),
        with("slot", json!("18446744073709551616")),
        with("beacon_block_root", json!("0x01")),
        with("beacon_block_root", json!("0xé1")),
        with("source", json!(null)),
    ];
    for body in bodies {
        let shown: String = body.chars().take(80).collect();
        let node = Mock::start(move |_| Answer::Text(200, body.clone())).await;
        let rule = broken(beacon(&[&node]).attestation_data(Slot(17)).await);
        assert!(rule.starts_with("not the shape: "), "{shown}: {rule}");
    }
}

#[tokio::test]
async fn a_block_is_known_if_any_node_knows_it() {
    let root = Root([1; 32]);
    let header = json!({"execution_optimistic": false, "finalized": false, "data": {
        "root": ROOT, "canonical": true, "header": {"message": {"slot": "1"}, "signature": "0x"},
    }});
    let knows = Mock::of(header).await;
    let not = Mock::refusing(404, "Block not found").await;
    let hangs = Mock::hanging().await;
    assert_eq!(beacon(&[&not, &hangs, &knows]).knows_block(root).await, Ok(true));
    assert_eq!(knows.only().path, format!("/eth/v1/beacon/headers/{ROOT}"));
    assert_eq!(beacon(&[&not]).knows_block(root).await, Ok(false));
    broken(beacon(&[&knows]).knows_block(Root([2; 32])).await);
    let ill = Mock::refusing(500, "no database").await;
    assert_eq!(beacon(&[&ill, &not]).knows_block(root).await, Ok(false));
    let error = beacon(&[&ill]).knows_block(root).await.unwrap_err();
    assert_eq!(error, ApiError::Status { code: 500, message: "no database".to_owned() });
}

fn header(slot: u64) -> BeaconBlockHeader {
    BeaconBlockHeader { slot: Slot(slot), proposer_index: ValidatorIndex(3), ..Default::default() }
}

fn header_reply(root: Root, optimistic: bool) -> Value {
    let signed = json!({"message": header(17), "signature": types::Signature::ZERO});
    json!({"execution_optimistic": optimistic, "finalized": false, "data": {
        "root": root, "canonical": true, "header": signed,
    }})
}

#[tokio::test]
async fn the_heads_header_is_read_with_its_slot() {
    let root = Root::of(&header(17));
    let (node, beacon) = node_with(header_reply(root, false)).await;
    let head = beacon.head_header().await.unwrap();
    assert_eq!((head.root, head.header.message), (root, header(17)));
    assert_eq!(node.only().path, "/eth/v1/beacon/headers/head");
    let (_node, beacon) = node_with(header_reply(Root::ZERO, false)).await;
    assert!(broken(beacon.head_header().await).starts_with("header of "));
}

#[tokio::test]
async fn a_head_that_is_not_verified_is_no_answer() {
    let root = Root::of(&header(17));
    let (_node, beacon_of) = node_with(header_reply(root, true)).await;
    assert_eq!(broken(beacon_of.head_header().await), "a head that is not verified");
    let head = |optimistic: bool, root: Root| json!({"execution_optimistic": optimistic, "finalized": false, "data": {"root": root}});
    let optimistic = Mock::of(head(true, Root([1; 32]))).await;
    let verified = Mock::of(head(false, Root([2; 32]))).await;
    assert_eq!(broken(beacon(&[&optimistic]).head_root().await), "a head that is not verified");
    assert_eq!(beacon(&[&optimistic, &verified]).head_root().await, Ok(Root([2; 32])));
}

fn electra_aggregate(committees: &str) -> Value {
    json!({
        "aggregation_bits": "0x0305", "data": attestation_data(), "signature": types::Signature([4; 96]),
        "committee_bits": committees,
    })
}

fn data_root() -> Root {
    let data: AttestationData = serde_json::from_value(attestation_data()).unwrap();
    Root::of(&data)
}

#[tokio::test]
async fn aggregates_are_asked_by_vote_and_committee() {
    // Bit 2 of the minimal preset's four committees.
    let aggregate = electra_aggregate("0x04");
    let (node, beacon) = node_with(json!({"version": "electra", "data": aggregate})).await;
    let answer = beacon.aggregate_attestation(Fork::Electra, Slot(17), data_root(), 2).await;
    assert_eq!(answer, Ok((Fork::Electra, aggregate)));
    let path = format!(
        "/eth/v2/validator/aggregate_attestation?attestation_data_root={}&slot=17&committee_index=2",
        data_root()
    );
    assert_eq!(node.only().path, path);
    let bits = json!({"aggregation_bits": "0x0b", "data": attestation_data(), "signature": types::Signature([4; 96])});
    let (_node, beacon) = node_with(json!({"version": "deneb", "data": bits})).await;
    let answer = beacon.aggregate_attestation(Fork::Deneb, Slot(17), data_root(), 0).await;
    assert_eq!(answer, Ok((Fork::Deneb, bits)));
}

#[tokio::test]
async fn aggregates_of_other_votes_forks_and_committees_are_refused() {
    let mut nobody = electra_aggregate("0x04");
    nobody["aggregation_bits"] = json!("0x0004");
    let mut other = electra_aggregate("0x04");
    other["data"]["beacon_block_root"] = json!(Root([9; 32]));
    for (version, data, rule) in [
        ("fulu", electra_aggregate("0x04"), "an aggregate of fulu, asked for electra"),
        ("electra", electra_aggregate("0x02"), "an aggregate of nobody, or not of committee 2 alone"),
        ("electra", electra_aggregate("0x06"), "an aggregate of nobody, or not of committee 2 alone"),
        ("electra", nobody, "an aggregate of nobody, or not of committee 2 alone"),
        ("electra", other, "an aggregate of 0x"),
        ("electra", json!({}), "not an aggregate of electra: "),
        ("electra", electra_aggregate("0x14"), "not an aggregate of electra: "),
    ] {
        let (_node, beacon) = node_with(json!({"version": version, "data": data})).await;
        let broken = broken(beacon.aggregate_attestation(Fork::Electra, Slot(17), data_root(), 2).await);
        assert!(broken.starts_with(rule), "{broken}");
    }
    let node = Mock::refusing(404, "no aggregate").await;
    let answer = beacon(&[&node]).aggregate_attestation(Fork::Electra, Slot(17), data_root(), 2).await;
    assert!(answer.unwrap_err().is_not_found());
}

fn contribution() -> Value {
    json!({
        "slot": "17", "beacon_block_root": ROOT, "subcommittee_index": "3", "aggregation_bits": "0x81",
        "signature": types::Signature([4; 96]),
    })
}

#[tokio::test]
async fn contributions_are_asked_by_subcommittee_and_block() {
    let (node, beacon) = node_with(json!({"data": contribution()})).await;
    assert_eq!(beacon.sync_contribution(Slot(17), 3, Root([1; 32])).await, Ok(contribution()));
    let path = format!(
        "/eth/v1/validator/sync_committee_contribution?slot=17&subcommittee_index=3&beacon_block_root={ROOT}"
    );
    assert_eq!(node.only().path, path);
    for (field, value, rule) in [
        ("slot", json!("18"), "a contribution of slot 18, "),
        ("subcommittee_index", json!("2"), "a contribution of slot 17, subcommittee 2, "),
        ("beacon_block_root", json!(Root([2; 32])), "a contribution of slot 17, subcommittee 3, block 0x02"),
        ("aggregation_bits", json!("0x00"), "a contribution of nobody"),
        ("aggregation_bits", json!("0x0001"), "not a contribution: "),
    ] {
        let mut wrong = contribution();
        wrong[field] = value;
        let (_node, beacon) = node_with(json!({"data": wrong})).await;
        let broken = broken(beacon.sync_contribution(Slot(17), 3, Root([1; 32])).await);
        assert!(broken.starts_with(rule), "{broken}");
    }
}

#[tokio::test]
async fn head_root_and_finality_are_read() {
    let node = Mock::start(|seen| match seen.path.as_str() {
        "/eth/v1/beacon/blocks/head/root" => {
            json!({"execution_optimistic": false, "finalized": false, "data": {"root": ROOT}}).into()
        }
        "/eth/v1/beacon/states/head/finality_checkpoints" => json!({"data": {
            "previous_justified": {"epoch": "1", "root": ROOT},
            "current_justified": {"epoch": "2", "root": ROOT},
            "finalized": {"epoch": "3", "root": ROOT},
        }})
        .into(),
        other => panic!("{other}"),
    })
    .await;
    let beacon = beacon(&[&node]);
    assert_eq!(beacon.head_root().await, Ok(Root([1; 32])));
    assert_eq!(beacon.finalized().await, Ok(Checkpoint { epoch: Epoch(3), root: Root([1; 32]) }));
}

fn looked(path: &str, body: Option<&str>) -> Question {
    let wait = std::time::Duration::from_secs(5);
    Question { path_and_query: path.to_owned(), body: body.map(str::to_owned), len_max: 64, wait }
}

#[tokio::test]
async fn what_the_caller_cannot_read_is_asked_of_the_next_node() {
    let strange = Mock::of(json!({"data": "strange"})).await;
    let good = Mock::of(json!({"data": "good"})).await;
    let both = beacon(&[&strange, &good]);
    let question = looked("/eth/v1/x?y=1", Some(r#"["1"]"#));
    let read = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("good") => Ok(text.len()),
        _ => Err("not good".to_owned()),
    };
    assert_eq!(both.look(&question, read).await, Ok(15));
    let request = strange.only();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/eth/v1/x?y=1"));
    assert_eq!((request.header("content-type"), &request.body[..]), ("application/json", &br#"["1"]"#[..]));
    let alone = beacon(&[&strange]);
    assert_eq!(broken(alone.look(&looked("/eth/v1/x", None), read).await), "not good");
    assert_eq!(strange.seen()[1].method.as_str(), "GET");
}

#[tokio::test]
async fn a_long_answer_is_read_as_it_comes_and_not_beyond_its_limit() {
    let sizes =
        Mock::start(|seen| Answer::Text(200, "x".repeat(seen.path["/eth/v1/".len()..].parse().unwrap())))
            .await;
    let node = beacon(&[&sizes]);
    let count = |reader: &mut dyn std::io::Read| {
        let mut text = String::new();
        reader.read_to_string(&mut text).map_err(|error| error.to_string())
    };
    assert_eq!(node.look_long(&looked("/eth/v1/64", None), count).await, Ok(64));
    let long = node.look_long(&looked("/eth/v1/65", None), count).await;
    assert_eq!(long, Err(ApiError::TooLong { max: 64 }));
    let stops = |_: &mut dyn std::io::Read| Err::<usize, _>("enough".to_owned());
    assert_eq!(broken(node.look_long(&looked("/eth/v1/64", None), stops).await), "enough");
    let refused = beacon(&[&Mock::refusing(404, "no such state").await]);
    let absent = refused.look_long(&looked("/eth/v1/64", None), count).await;
    assert!(absent.unwrap_err().is_not_found());
}
