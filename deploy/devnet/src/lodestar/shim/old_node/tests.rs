//! One test per rule.

use super::*;
use axum::http::HeaderMap;
use bytes::Bytes;

/// A request of today's client, with the headers it sends.
fn asked(method: Method, target: &str, body: &str) -> Asked {
    let accept = HeaderValue::from_static("application/octet-stream;q=1,application/json;q=0.9");
    let mut headers = HeaderMap::from_iter([(header::ACCEPT, accept)]);
    if method == Method::POST {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONSENSUS_VERSION, HeaderValue::from_static(FORK));
    }
    Asked::new(method, &target.parse().unwrap(), &headers, Bytes::from(body.to_owned()))
}

fn ask(asked: &Asked) -> Result<Asked, Refusal> {
    DIALECT.rule(asked).ask(&DIALECT, asked, &mut Memory::default())
}

fn target(asked: &Asked) -> String {
    ask(asked).unwrap().target()
}

fn answer(asked: &Asked, answered: Answered) -> Answered {
    DIALECT.rule(asked).answer(&DIALECT, asked, answered, &mut Memory::default())
}

fn ok(body: Value) -> Answered {
    Answered::of_json(StatusCode::OK, &body)
}

/// An error as the old node words it.
fn old_error(status: u16, message: &str) -> Answered {
    let body = json!({"statusCode": status, "error": "Internal Server Error", "message": message});
    Answered::of_json(StatusCode::from_u16(status).unwrap(), &body)
}

#[test]
fn a_v3_block_is_asked_as_v2_and_comes_back_as_v3() {
    let request = asked(
        Method::GET,
        "/eth/v3/validator/blocks/7?randao_reveal=0xaa&graffiti=0x612062&fee_recipient=0xcc&builder_boost_factor=0",
        "",
    );
    assert_eq!(target(&request), "/eth/v2/validator/blocks/7?randao_reveal=0xaa&graffiti=a%20b");
    assert_eq!(ask(&request).unwrap().header(&header::ACCEPT), "application/json");
    let reply =
        answer(&request, ok(json!({"data": {"slot": "7"}, "version": "capella", "block_value": "12"})));
    let wanted = json!({
        "version": "capella", "execution_payload_blinded": false, "execution_payload_value": "12",
        "consensus_block_value": "0", "data": {"slot": "7"}
    });
    assert_eq!(reply.json(), wanted);
    let header = |name: &str| reply.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("eth-consensus-version"), "capella");
    assert_eq!(header("eth-execution-payload-blinded"), "false");
    assert_eq!(header("eth-execution-payload-value"), "12");
    assert_eq!(header("eth-consensus-block-value"), "0");
}

#[test]
fn what_is_signed_goes_to_v1_as_the_same_bytes() {
    let routes = [
        "beacon/blocks",
        "beacon/blinded_blocks",
        "beacon/pool/attestations",
        "beacon/pool/attester_slashings",
        "validator/aggregate_and_proofs",
    ];
    for route in routes {
        let body = r#"[ {"signature":"0xaa" ,"message":{}} ]"#;
        let request = asked(Method::POST, &format!("/eth/v2/{route}?broadcast_validation=gossip"), body);
        let question = ask(&request).unwrap();
        assert_eq!((question.target(), question.body), (format!("/eth/v1/{route}"), Bytes::from(body)));
    }
}

#[test]
fn publishing_without_the_right_fork_is_a_bad_request() {
    for fork in [None, Some("electra")] {
        let mut request = asked(Method::POST, "/eth/v2/beacon/pool/attestations", "[]");
        request.headers.remove(CONSENSUS_VERSION);
        if let Some(fork) = fork {
            request.headers.insert(CONSENSUS_VERSION, HeaderValue::from_static(fork));
        }
        assert_eq!(ask(&request).unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}

#[test]
fn publishing_again_is_success() {
    let messages = [
        ("/eth/v2/beacon/blocks", "BLOCK_ERROR_ALREADY_KNOWN"),
        ("/eth/v2/beacon/blocks", "PublishError.Duplicate"),
        ("/eth/v2/beacon/pool/attestations", "ATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN"),
        (
            "/eth/v2/beacon/pool/attestations",
            "Multiple errors on submitPoolAttestations\nATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN\nATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN",
        ),
        (
            "/eth/v1/validator/contribution_and_proofs",
            "SYNC_COMMITTEE_ERROR_SYNC_COMMITTEE_AGGREGATOR_ALREADY_KNOWN",
        ),
    ];
    for (path, message) in messages {
        let reply = answer(&asked(Method::POST, path, "[]"), old_error(500, message));
        assert_eq!(reply.status, StatusCode::OK, "{message}");
    }
}

#[test]
fn refused_objects_are_bad_requests_and_other_troubles_stay() {
    let request = asked(Method::POST, "/eth/v2/beacon/pool/attestations", "[]");
    let mixed = "Multiple errors on submitPoolAttestations\nATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN\nATTESTATION_ERROR_INVALID_SIGNATURE";
    let reply = answer(&request, old_error(500, mixed));
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        reply.json(),
        json!({"code": 400, "message": "ATTESTATION_ERROR_INVALID_SIGNATURE", "failures": []})
    );
    let block = answer(
        &asked(Method::POST, "/eth/v2/beacon/blocks", "{}"),
        old_error(500, "BLOCK_ERROR_REPEAT_PROPOSAL"),
    );
    assert_eq!(block.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer(&request, old_error(503, "Node is syncing")).status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer(&request, old_error(500, "out of memory")).status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer(&request, old_error(500, "")).status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn an_aggregate_is_asked_as_v1_and_comes_back_with_its_fork() {
    let request = asked(
        Method::GET,
        "/eth/v2/validator/aggregate_attestation?attestation_data_root=0xaa&slot=9&committee_index=1",
        "",
    );
    assert_eq!(target(&request), "/eth/v1/validator/aggregate_attestation?attestation_data_root=0xaa&slot=9");
    let reply = answer(&request, ok(json!({"data": {"aggregation_bits": "0x0f"}})));
    assert_eq!(reply.json(), json!({"version": "capella", "data": {"aggregation_bits": "0x0f"}}));
    assert_eq!(reply.headers[CONSENSUS_VERSION], "capella");
    let none = answer(&request, old_error(500, "No attestation for slot=9"));
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[test]
fn attestations_of_pool_and_block_are_read_from_v1() {
    let pool = asked(Method::GET, "/eth/v2/beacon/pool/attestations?slot=3", "");
    assert_eq!(target(&pool), "/eth/v1/beacon/pool/attestations?slot=3");
    let block = asked(Method::GET, "/eth/v2/beacon/blocks/head/attestations", "");
    assert_eq!(target(&block), "/eth/v1/beacon/blocks/head/attestations");
    assert_eq!(answer(&block, ok(json!({"data": []}))).json(), json!({"version": "capella", "data": []}));
}

#[test]
fn no_contribution_is_not_found() {
    let request = asked(Method::GET, "/eth/v1/validator/sync_committee_contribution?slot=1", "");
    assert_eq!(target(&request), "/eth/v1/validator/sync_committee_contribution?slot=1");
    let reply = answer(&request, old_error(500, "No contribution available"));
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}

#[test]
fn validators_are_asked_for_in_the_query() {
    let body = r#"{"ids":["0xaa","7"],"statuses":["active","pending_queued"]}"#;
    let question = ask(&asked(Method::POST, "/eth/v1/beacon/states/head/validators", body)).unwrap();
    let wanted = "/eth/v1/beacon/states/head/validators?id=0xaa&id=7&status=active_ongoing&status=active_exiting\
                  &status=active_slashed&status=pending_queued";
    assert_eq!((question.method.clone(), question.target()), (Method::GET, wanted.to_owned()));
    assert!(question.body.is_empty() && question.header(&header::CONTENT_TYPE).is_empty());
    let all = asked(Method::POST, "/eth/v1/beacon/states/head/validators", "{}");
    assert_eq!(target(&all), "/eth/v1/beacon/states/head/validators");
}

#[test]
fn balances_are_read_from_the_validators() {
    let path = "/eth/v1/beacon/states/head/validator_balances";
    let post = asked(Method::POST, path, r#"["1","2"]"#);
    let get = asked(Method::GET, &format!("{path}?id=1&id=2"), "");
    for request in [post, get] {
        let question = ask(&request).unwrap();
        let wanted = "/eth/v1/beacon/states/head/validators?id=1&id=2";
        assert_eq!((question.method.clone(), question.target()), (Method::GET, wanted.to_owned()));
        let rows = json!([{"index": "1", "balance": "32", "status": "active_ongoing", "validator": {}}]);
        let reply = answer(&request, ok(json!({"data": rows, "execution_optimistic": false})));
        assert_eq!(reply.json()["data"], json!([{"index": "1", "balance": "32"}]));
    }
}

#[test]
fn no_body_can_smuggle_a_query() {
    for body in [r#"{"ids":["1&id=2"]}"#, r#"{"ids":"1"}"#, r#"{"ids":[{}]}"#, "nonsense"] {
        let request = asked(Method::POST, "/eth/v1/beacon/states/head/validators", body);
        assert_eq!(ask(&request).unwrap_err().status, StatusCode::BAD_REQUEST, "{body}");
    }
}

#[test]
fn the_wrong_committees_of_the_old_node_are_not_passed_on() {
    let refusal = ask(&asked(Method::GET, "/eth/v1/beacon/states/head/committees", "")).unwrap_err();
    assert_eq!(refusal.status, StatusCode::NOT_IMPLEMENTED);
}

#[test]
fn proposers_of_the_next_epoch_get_its_slots() {
    let request = asked(Method::GET, "/eth/v1/validator/duties/proposer/3", "");
    let wrong = json!({"data": [{"slot": "4", "validator_index": "1"}, {"slot": "5", "validator_index": "9"}], "dependent_root": "0x"});
    let reply = answer(&request, ok(wrong));
    let right = json!([{"slot": "6", "validator_index": "1"}, {"slot": "7", "validator_index": "9"}]);
    assert_eq!((&reply.json()["data"], &reply.json()["dependent_root"]), (&right, &json!("0x")));
}

#[test]
fn liveness_is_asked_the_old_way() {
    let request = asked(Method::POST, "/eth/v1/validator/liveness/5", r#"["1","2"]"#);
    let question = ask(&request).unwrap();
    assert_eq!(
        (question.method.clone(), question.target()),
        (Method::GET, "/eth/v1/validator/liveness?indices=1&indices=2&epoch=5".into())
    );
    let reply = answer(&request, ok(json!({"data": [{"index": 1, "epoch": 5, "is_live": true}]})));
    assert_eq!(reply.json(), json!({"data": [{"index": "1", "is_live": true}]}));
}

#[test]
fn selections_are_not_implemented() {
    for kind in ["beacon_committee", "sync_committee"] {
        let request = asked(Method::POST, &format!("/eth/v1/validator/{kind}_selections"), "[]");
        assert_eq!(ask(&request).unwrap_err().status, StatusCode::NOT_IMPLEMENTED);
    }
}

#[test]
fn syncing_has_all_of_todays_fields() {
    let request = asked(Method::GET, "/eth/v1/node/syncing", "");
    let reply =
        answer(&request, ok(json!({"data": {"head_slot": "1", "sync_distance": "0", "is_syncing": false}})));
    let wanted = json!({"head_slot": "1", "sync_distance": "0", "is_syncing": false, "is_optimistic": false, "el_offline": false});
    assert_eq!(reply.json()["data"], wanted);
}

#[test]
fn topics_are_asked_one_by_one_and_unknown_ones_refused() {
    let request = asked(Method::GET, "/eth/v1/events?topics=head,block_gossip&topics=chain_reorg", "");
    let question = ask(&request).unwrap();
    assert_eq!(question.target(), "/eth/v1/events?topics=head&topics=chain_reorg");
    assert_eq!(question.header(&header::ACCEPT), "text/event-stream");
    assert_eq!(target(&asked(Method::GET, "/eth/v1/events?topics=block_gossip", "")), "/eth/v1/events");
    for query in ["?topics=head,nonsense", ""] {
        let refusal = ask(&asked(Method::GET, &format!("/eth/v1/events{query}"), "")).unwrap_err();
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    }
}

#[test]
fn ssz_is_refused_with_the_statuses_that_make_clients_fall_back() {
    let mut request = asked(Method::POST, "/eth/v1/validator/duties/attester/3", "x");
    request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    assert_eq!(ask(&request).unwrap_err().status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let mut request = asked(Method::GET, "/eth/v2/debug/beacon/states/head", "");
    request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/octet-stream"));
    assert_eq!(ask(&request).unwrap_err().status, StatusCode::NOT_ACCEPTABLE);
}

#[test]
fn errors_are_worded_as_today() {
    let request = asked(Method::GET, "/eth/v1/unheard/of", "");
    let reply = answer(&request, old_error(404, "Route GET:/eth/v1/unheard/of not found"));
    assert_eq!(reply.json(), json!({"code": 404, "message": "Route GET:/eth/v1/unheard/of not found"}));
    let plain = Answered { body: Bytes::from("gateway"), ..old_error(502, "") };
    assert_eq!(answer(&request, plain).json(), json!({"code": 502, "message": "gateway"}));
}

#[test]
fn replies_about_the_chain_say_version_and_finality() {
    let request = asked(Method::GET, "/eth/v2/beacon/blocks/head", "");
    let reply =
        answer(&request, ok(json!({"version": "capella", "execution_optimistic": false, "data": {}})));
    assert_eq!(reply.headers[CONSENSUS_VERSION], "capella");
    assert_eq!(reply.json()["finalized"], json!(false));
    let duties = asked(Method::POST, "/eth/v1/validator/duties/attester/3", "[]");
    let body = json!({"execution_optimistic": false, "data": []});
    assert_eq!(answer(&duties, ok(body.clone())).json(), body, "duties have no such mark");
}

#[test]
fn genesis_names_the_networks_version_not_that_of_its_first_fork() {
    let request = asked(Method::GET, "/eth/v1/beacon/genesis", "");
    let old = json!({"data": {"genesis_time": "7", "genesis_fork_version": "0x03000001"}});
    let reply = answer(&request, ok(old)).json();
    assert_eq!(reply["data"]["genesis_fork_version"], "0x00000001");
    assert_eq!(reply["data"]["genesis_time"], "7");
}
