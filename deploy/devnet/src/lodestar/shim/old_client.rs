//! Rules for an old validator client in front of today's API.

use super::message::{
    Answered, Asked, CONSENSUS_VERSION, Dialect, FORK, Memory, Refusal, Rule, graffiti_hex, same_reply,
    same_request,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tree_hash::TreeHash;
use types::{AttestationData, Root, Slot};

const BLINDED: HeaderName = HeaderName::from_static("eth-execution-payload-blinded");

/// Committees a slot can have on any network.
const COMMITTEES_MAX: u64 = 64;

/// Old client, today's API.
pub static DIALECT: Dialect = Dialect {
    rules: &[
        Rule { method: Method::GET, path: "/eth/v2/validator/blocks/{}", ask: block_v3, answer: block_v2 },
        Rule { method: Method::POST, path: "/eth/v1/beacon/blocks", ask: publish_v2, answer: same_reply },
        Rule {
            method: Method::POST,
            path: "/eth/v1/beacon/blinded_blocks",
            ask: publish_v2,
            answer: same_reply,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/beacon/pool/attestations",
            ask: publish_v2,
            answer: same_reply,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/validator/aggregate_and_proofs",
            ask: publish_v2,
            answer: same_reply,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v1/validator/attestation_data",
            ask: same_request,
            answer: note_data,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v1/validator/aggregate_attestation",
            ask: aggregate_v2,
            answer: aggregate_v1,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v1/beacon/states/{}/validators",
            ask: post_validators,
            answer: same_reply,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v1/validator/liveness",
            ask: post_liveness,
            answer: old_liveness,
        },
    ],
    otherwise: Rule { method: Method::GET, path: "", ask: same_request, answer: same_reply },
    ask: want_json,
    answer: same_reply,
};

/// The old client says it takes anything, but it reads JSON only.
fn want_json(asked: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    let events = asked.path.ends_with("/events");
    let accept = if events { "text/event-stream" } else { "application/json" };
    asked.headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    Ok(())
}

/// v2 of a path, with the fork in a header where v1 left it to be seen from the slot.
fn publish_v2(asked: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    asked.path = asked.path.replacen("/v1/", "/v2/", 1);
    asked.headers.insert(CONSENSUS_VERSION, HeaderValue::from_static(FORK));
    Ok(())
}

fn block_v3(asked: &mut Asked, at: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    asked.path = format!("/eth/v3/validator/blocks/{}", at[0]);
    // The old client says its graffiti as text, and an empty one for none.
    asked.query.retain(|(name, value)| name != "graffiti" || !value.is_empty());
    for (_, value) in asked.query.iter_mut().filter(|(name, _)| name == "graffiti") {
        *value = graffiti_hex(value);
    }
    Ok(())
}

/// `{version, execution_payload_value, .., data}` becomes `{version, data, block_value}`.
fn block_v2(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    if !answered.status.is_success() {
        return;
    }
    let mut reply = answered.json();
    let blinded = answered.headers.get(BLINDED).is_some_and(|value| value == "true");
    if blinded || reply["execution_payload_blinded"] == json!(true) {
        *answered = Answered::error(StatusCode::INTERNAL_SERVER_ERROR, "blinded blocks have no place in v2");
        return;
    }
    let value = match reply["execution_payload_value"].take() {
        Value::String(wei) => wei,
        _ => "0".into(),
    };
    answered
        .set_json(&json!({"version": reply["version"], "data": reply["data"].take(), "block_value": value}));
}

/// Notes which data the client was given, for `aggregate_v2`.
fn note_data(_: &Asked, _: &[&str], answered: &mut Answered, memory: &mut Memory) {
    if let Ok(data) = serde_json::from_value::<AttestationData>(answered.json()["data"].take()) {
        memory.note(data);
    }
}

/// v2 wants the committee, which v1 left to be seen from the data's root: so it is looked up among what we gave.
///
/// The old client asks for data once a slot and puts each of its committees into it.
fn aggregate_v2(asked: &mut Asked, _: &[&str], memory: &mut Memory) -> Result<(), Refusal> {
    asked.path = "/eth/v2/validator/aggregate_attestation".into();
    let root = asked.value("attestation_data_root").and_then(|text| text.parse::<Root>().ok());
    let slot = asked.value("slot").and_then(|text| text.parse::<u64>().ok());
    let (Some(root), Some(slot)) = (root, slot) else {
        return Err(Refusal::bad("attestation_data_root and slot are needed"));
    };
    let with_index =
        |data: AttestationData| (0..COMMITTEES_MAX).map(move |index| AttestationData { index, ..data });
    let mut candidates = memory.given(Slot(slot)).flat_map(with_index);
    let Some(found) = candidates.find(|data| data.tree_hash_root().0 == root.0) else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "no attestation data with this root was asked for"));
    };
    asked.query.push(("committee_index".into(), found.index.to_string()));
    Ok(())
}

/// v1 names no version.
fn aggregate_v1(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    if answered.status.is_success() {
        let data = answered.json()["data"].take();
        answered.set_json(&json!({"data": data}));
    }
}

/// Long lists of keys go into a body today.
fn post_validators(asked: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    let (ids, statuses) = (asked.values("id"), asked.values("status"));
    let lists = [("ids", ids), ("statuses", statuses)];
    let body: serde_json::Map<String, Value> = lists
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| (name.into(), json!(list)))
        .collect();
    asked.method = Method::POST;
    asked.query.clear();
    asked.set_json(&Value::Object(body));
    Ok(())
}

fn post_liveness(asked: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    let epoch = asked.value("epoch").ok_or_else(|| Refusal::bad("epoch is needed"))?;
    let indices = asked.values("indices");
    asked.method = Method::POST;
    asked.path = format!("/eth/v1/validator/liveness/{epoch}");
    asked.query.clear();
    asked.set_json(&json!(indices));
    Ok(())
}

/// The old reply repeats the epoch and writes indices as numbers.
fn old_liveness(asked: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    if !answered.status.is_success() {
        return;
    }
    let number = |text: &str| text.parse::<u64>().ok();
    let epoch = asked.value("epoch").as_deref().and_then(number);
    let rows: Vec<Value> = answered.json()["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let index = row["index"].as_str().and_then(number);
            json!({"index": index, "epoch": epoch, "is_live": row["is_live"]})
        })
        .collect();
    answered.set_json(&json!({"data": rows}));
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderMap;
    use bytes::Bytes;

    fn asked(method: Method, target: &str, body: &str) -> Asked {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("*/*"))]);
        Asked::new(method, &target.parse().unwrap(), &headers, Bytes::from(body.to_owned()))
    }

    fn ask(asked: &Asked, memory: &mut Memory) -> Result<Asked, Refusal> {
        DIALECT.rule(asked).ask(&DIALECT, asked, memory)
    }

    fn answer(asked: &Asked, answered: Answered, memory: &mut Memory) -> Answered {
        DIALECT.rule(asked).answer(&DIALECT, asked, answered, memory)
    }

    fn ok(body: Value) -> Answered {
        Answered::of_json(StatusCode::OK, &body)
    }

    #[test]
    fn a_v2_block_is_asked_as_v3_and_comes_back_as_v2() {
        let request = asked(Method::GET, "/eth/v2/validator/blocks/7?randao_reveal=0xaa&graffiti=", "");
        let question = ask(&request, &mut Memory::default()).unwrap();
        assert_eq!(question.target(), "/eth/v3/validator/blocks/7?randao_reveal=0xaa");
        let worded = asked(Method::GET, "/eth/v2/validator/blocks/7?graffiti=a%20b", "");
        let wanted = format!("/eth/v3/validator/blocks/7?graffiti=0x612062{}", "00".repeat(29));
        assert_eq!(ask(&worded, &mut Memory::default()).unwrap().target(), wanted);
        assert_eq!(question.header(&header::ACCEPT), "application/json");
        let reply = ok(json!({
            "version": "capella", "execution_payload_blinded": false, "execution_payload_value": "12",
            "consensus_block_value": "3", "data": {"slot": "7", "body": {"graffiti": "0x"}}
        }));
        let reply = answer(&request, reply, &mut Memory::default());
        let wanted = json!({"version": "capella", "data": {"slot": "7", "body": {"graffiti": "0x"}}, "block_value": "12"});
        assert_eq!(reply.json(), wanted);
    }

    #[test]
    fn a_blinded_block_is_not_passed_off_as_a_full_one() {
        let request = asked(Method::GET, "/eth/v2/validator/blocks/7", "");
        let by_body = ok(json!({"version": "capella", "execution_payload_blinded": true, "data": {}}));
        let mut by_header = ok(json!({"version": "capella", "data": {}}));
        by_header.set_header(BLINDED, "true");
        for reply in [by_body, by_header] {
            let reply = answer(&request, reply, &mut Memory::default());
            assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
        }
    }

    #[test]
    fn an_error_instead_of_a_block_passes_as_it_is() {
        let request = asked(Method::GET, "/eth/v2/validator/blocks/7", "");
        let error = Answered::error(StatusCode::SERVICE_UNAVAILABLE, "no agreement");
        let reply = answer(&request, error.clone(), &mut Memory::default());
        assert_eq!((reply.status, reply.body), (error.status, error.body));
    }

    #[test]
    fn what_is_signed_goes_to_v2_with_the_fork_and_the_same_bytes() {
        let routes = [
            "beacon/blocks",
            "beacon/blinded_blocks",
            "beacon/pool/attestations",
            "validator/aggregate_and_proofs",
        ];
        for route in routes {
            let body = r#"[ {"signature":"0xaa" ,"message":{}} ]"#;
            let question =
                ask(&asked(Method::POST, &format!("/eth/v1/{route}"), body), &mut Memory::default()).unwrap();
            assert_eq!(question.target(), format!("/eth/v2/{route}"));
            assert_eq!(question.header(&CONSENSUS_VERSION), "capella");
            assert_eq!(question.body, body);
        }
    }

    #[test]
    fn an_aggregate_is_asked_for_the_committee_of_its_root() {
        let data = AttestationData { slot: Slot(9), index: 0, ..AttestationData::default() };
        let mut memory = Memory::default();
        let fetch = asked(Method::GET, "/eth/v1/validator/attestation_data?slot=9&committee_index=0", "");
        assert_eq!(
            ask(&fetch, &mut memory).unwrap().target(),
            "/eth/v1/validator/attestation_data?slot=9&committee_index=0"
        );
        answer(&fetch, ok(json!({"data": data})), &mut memory);

        let wanted = AttestationData { index: 3, ..data };
        let target = format!(
            "/eth/v1/validator/aggregate_attestation?attestation_data_root=0x{}&slot=9",
            hex::encode(wanted.tree_hash_root())
        );
        let request = asked(Method::GET, &target, "");
        let question = ask(&request, &mut memory).unwrap();
        assert_eq!(question.path, "/eth/v2/validator/aggregate_attestation");
        assert_eq!(question.value("committee_index").as_deref(), Some("3"));
        assert_eq!(question.value("slot").as_deref(), Some("9"));
        let reply = answer(
            &request,
            ok(json!({"version": "capella", "data": {"aggregation_bits": "0x0f"}})),
            &mut memory,
        );
        assert_eq!(reply.json(), json!({"data": {"aggregation_bits": "0x0f"}}));
    }

    #[test]
    fn an_aggregate_of_unknown_data_is_not_found() {
        let target =
            format!("/eth/v1/validator/aggregate_attestation?attestation_data_root={}&slot=9", Root::ZERO);
        let refusal = ask(&asked(Method::GET, &target, ""), &mut Memory::default()).unwrap_err();
        assert_eq!(refusal.status, StatusCode::NOT_FOUND);
        let refusal =
            ask(&asked(Method::GET, "/eth/v1/validator/aggregate_attestation", ""), &mut Memory::default());
        assert_eq!(refusal.unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn remembered_data_is_bounded() {
        let mut memory = Memory::default();
        for slot in 0..1000 {
            memory.note(AttestationData { slot: Slot(slot), ..AttestationData::default() });
        }
        assert_eq!((memory.given(Slot(935)).count(), memory.given(Slot(936)).count()), (0, 1));
    }

    #[test]
    fn validators_are_asked_for_in_a_body() {
        let request = asked(
            Method::GET,
            "/eth/v1/beacon/states/head/validators?id=0xaa&id=0xbb,7&status=active_ongoing",
            "",
        );
        let question = ask(&request, &mut Memory::default()).unwrap();
        assert_eq!(
            (question.method.clone(), question.target()),
            (Method::POST, "/eth/v1/beacon/states/head/validators".into())
        );
        assert_eq!(
            question.json().unwrap(),
            json!({"ids": ["0xaa", "0xbb", "7"], "statuses": ["active_ongoing"]})
        );
        assert_eq!(question.header(&header::CONTENT_TYPE), "application/json");
        let all =
            ask(&asked(Method::GET, "/eth/v1/beacon/states/head/validators", ""), &mut Memory::default())
                .unwrap();
        assert_eq!(all.json().unwrap(), json!({}));
    }

    #[test]
    fn liveness_is_posted_and_answered_in_the_old_form() {
        let request = asked(Method::GET, "/eth/v1/validator/liveness?indices=1&indices=2&epoch=5", "");
        let question = ask(&request, &mut Memory::default()).unwrap();
        assert_eq!(
            (question.method.clone(), question.target()),
            (Method::POST, "/eth/v1/validator/liveness/5".into())
        );
        assert_eq!(question.json().unwrap(), json!(["1", "2"]));
        let reply =
            answer(&request, ok(json!({"data": [{"index": "1", "is_live": true}]})), &mut Memory::default());
        assert_eq!(reply.json(), json!({"data": [{"index": 1, "epoch": 5, "is_live": true}]}));
    }

    #[test]
    fn everything_else_passes_with_its_method_path_query_and_body() {
        let request = asked(Method::POST, "/eth/v1/validator/duties/attester/3?x=1", r#"["4"]"#);
        let question = ask(&request, &mut Memory::default()).unwrap();
        assert_eq!(
            (question.method.clone(), question.target()),
            (Method::POST, "/eth/v1/validator/duties/attester/3?x=1".into())
        );
        assert_eq!(question.body, r#"["4"]"#);
        let events =
            ask(&asked(Method::GET, "/eth/v1/events?topics=head", ""), &mut Memory::default()).unwrap();
        assert_eq!(events.header(&header::ACCEPT), "text/event-stream");
    }
}
