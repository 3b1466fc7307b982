//! Rules for today's clients in front of an old beacon node.
//!
//! What the old node does not have is answered with the statuses of today's API. Four of its replies are wrong and are put
//! right, or refused, here: see `renumber`, `genesis`, `get_balances` and `refuse_committees`.

use super::message::{
    Answered, Asked, CONSENSUS_VERSION, Dialect, FORK, Memory, Refusal, Rule, graffiti_text, same_reply,
    same_request,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

/// Event topics the old node knows. It breaks on any other.
const OLD_TOPICS: [&str; 11] = [
    "head",
    "block",
    "attestation",
    "voluntary_exit",
    "bls_to_execution_change",
    "finalized_checkpoint",
    "chain_reorg",
    "contribution_and_proof",
    "light_client_optimistic_update",
    "light_client_finality_update",
    "light_client_update",
];

/// Topics of today's API that cannot happen on the old node.
const NEW_TOPICS: [&str; 9] = [
    "block_gossip",
    "single_attestation",
    "attester_slashing",
    "proposer_slashing",
    "payload_attributes",
    "blob_sidecar",
    "data_column_sidecar",
    "execution_payload",
    "payload_attestation_message",
];

/// Of the minimal configuration.
const GENESIS_FORK_VERSION: &str = "0x00000001";

/// How the old node's messages about a refused object begin.
const VERDICTS: [&str; 3] = ["ATTESTATION_ERROR_", "BLOCK_ERROR_", "SYNC_COMMITTEE_"];

/// Statuses by name, and what today's groups of them stand for.
const STATUS_GROUPS: [(&str, &[&str]); 4] = [
    ("pending", &["pending_initialized", "pending_queued"]),
    ("active", &["active_ongoing", "active_exiting", "active_slashed"]),
    ("exited", &["exited_unslashed", "exited_slashed"]),
    ("withdrawal", &["withdrawal_possible", "withdrawal_done"]),
];

/// Today's client, old node.
pub static DIALECT: Dialect = Dialect {
    rules: &[
        Rule { method: Method::GET, path: "/eth/v3/validator/blocks/{}", ask: block_v2, answer: block_v3 },
        Rule { method: Method::POST, path: "/eth/v2/beacon/blocks", ask: publish_v1, answer: published },
        Rule {
            method: Method::POST,
            path: "/eth/v2/beacon/blinded_blocks",
            ask: publish_v1,
            answer: published,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v2/beacon/pool/attestations",
            ask: publish_v1,
            answer: published,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v2/beacon/pool/attester_slashings",
            ask: publish_v1,
            answer: published,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v2/validator/aggregate_and_proofs",
            ask: publish_v1,
            answer: published,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/beacon/pool/sync_committees",
            ask: same_request,
            answer: published,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/validator/contribution_and_proofs",
            ask: same_request,
            answer: published,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/beacon/pool/voluntary_exits",
            ask: same_request,
            answer: published,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v2/beacon/pool/attestations",
            ask: path_v1,
            answer: versioned,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v2/beacon/blocks/{}/attestations",
            ask: path_v1,
            answer: versioned,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v2/validator/aggregate_attestation",
            ask: aggregate_v1,
            answer: aggregate_v2,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v1/validator/sync_committee_contribution",
            ask: same_request,
            answer: absent,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/beacon/states/{}/validators",
            ask: get_validators,
            answer: same_reply,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/beacon/states/{}/validator_balances",
            ask: post_balances,
            answer: balances,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v1/beacon/states/{}/validator_balances",
            ask: get_balances,
            answer: balances,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v1/beacon/states/{}/committees",
            ask: refuse_committees,
            answer: same_reply,
        },
        Rule {
            method: Method::GET,
            path: "/eth/v1/validator/duties/proposer/{}",
            ask: same_request,
            answer: renumber,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/validator/liveness/{}",
            ask: get_liveness,
            answer: new_liveness,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/validator/beacon_committee_selections",
            ask: refuse_selections,
            answer: same_reply,
        },
        Rule {
            method: Method::POST,
            path: "/eth/v1/validator/sync_committee_selections",
            ask: refuse_selections,
            answer: same_reply,
        },
        Rule { method: Method::GET, path: "/eth/v1/node/syncing", ask: same_request, answer: syncing },
        Rule { method: Method::GET, path: "/eth/v1/beacon/genesis", ask: same_request, answer: genesis },
        Rule { method: Method::GET, path: "/eth/v1/events", ask: topics, answer: same_reply },
    ],
    otherwise: Rule { method: Method::GET, path: "", ask: same_request, answer: same_reply },
    ask: json_only,
    answer: envelope,
};

/// The old node reads and writes JSON only.
fn json_only(asked: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    if asked.header(&header::CONTENT_TYPE).starts_with("application/octet-stream") {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this beacon node reads JSON only"));
    }
    let accept = asked.header(&header::ACCEPT);
    let takes = ["json", "*/*", "application/*", "event-stream"].iter().any(|kind| accept.contains(kind));
    if !accept.is_empty() && !takes {
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "this beacon node writes JSON only"));
    }
    asked.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    Ok(())
}

/// Today's errors, version header and finality mark.
fn envelope(asked: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    let mut reply = answered.json();
    if !answered.status.is_success() {
        let said = reply["message"].as_str().map(str::to_owned);
        let message = said.unwrap_or_else(|| String::from_utf8_lossy(&answered.body).into_owned());
        *answered = Answered::error(answered.status, &message);
        return;
    }
    if let Some(version) = reply["version"].as_str() {
        let version = version.to_owned();
        answered.set_header(CONSENSUS_VERSION, &version);
    }
    // "False" says only that nobody has looked.
    let about_chain = asked.path.contains("/beacon/") && reply.get("execution_optimistic").is_some();
    if about_chain && reply.get("finalized").is_none() {
        reply["finalized"] = json!(false);
        answered.set_json(&reply);
    }
}

/// v1 of a path.
fn path_v1(asked: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    asked.path = asked.path.replacen("/v2/", "/v1/", 1);
    Ok(())
}

/// v1 of a path, after the header that v2 demands.
fn publish_v1(asked: &mut Asked, at: &[&str], memory: &mut Memory) -> Result<(), Refusal> {
    match asked.header(&CONSENSUS_VERSION) {
        "" => return Err(Refusal::bad("header Eth-Consensus-Version is needed")),
        FORK => {}
        other => return Err(Refusal::bad(format!("this chain is in {FORK}, not in {other}"))),
    }
    asked.headers.remove(CONSENSUS_VERSION);
    asked.query.clear();
    path_v1(asked, at, memory)
}

fn block_v2(asked: &mut Asked, at: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    asked.path = format!("/eth/v2/validator/blocks/{}", at[0]);
    asked.keep_query(&["randao_reveal", "graffiti"]);
    for (_, value) in asked.query.iter_mut().filter(|(name, _)| name == "graffiti") {
        *value = graffiti_text(value);
    }
    Ok(())
}

/// `{version, data, block_value}` becomes `{version, execution_payload_value, .., data}` with its headers.
fn block_v3(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    if !answered.status.is_success() {
        return;
    }
    let mut reply = answered.json();
    let value = reply["block_value"].as_str().unwrap_or("0").to_owned();
    answered.set_header(HeaderName::from_static("eth-execution-payload-blinded"), "false");
    answered.set_header(HeaderName::from_static("eth-execution-payload-value"), &value);
    // The old node does not reckon what a block earns on the consensus side.
    answered.set_header(HeaderName::from_static("eth-consensus-block-value"), "0");
    answered.set_json(&json!({
        "version": reply["version"],
        "execution_payload_blinded": false,
        "execution_payload_value": value,
        "consensus_block_value": "0",
        "data": reply["data"].take(),
    }));
}

/// Refused objects are 400 today, and objects the node has already are no error.
fn published(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    if answered.status != StatusCode::INTERNAL_SERVER_ERROR {
        return;
    }
    let message = answered.json()["message"].as_str().unwrap_or("").to_owned();
    let lines = message.lines().filter(|line| !line.starts_with("Multiple errors on "));
    let known = |line: &&str| line.ends_with("_ALREADY_KNOWN") || *line == "PublishError.Duplicate";
    let (known, others): (Vec<&str>, Vec<&str>) = lines.partition(known);
    if others.is_empty() && !known.is_empty() {
        *answered = Answered::of_json(StatusCode::OK, &json!({}));
    } else if others.iter().any(|line| VERDICTS.iter().any(|verdict| line.starts_with(verdict))) {
        let error = json!({"code": 400, "message": others.join("; "), "failures": []});
        *answered = Answered::of_json(StatusCode::BAD_REQUEST, &error);
    }
}

fn aggregate_v1(asked: &mut Asked, at: &[&str], memory: &mut Memory) -> Result<(), Refusal> {
    asked.keep_query(&["attestation_data_root", "slot"]);
    path_v1(asked, at, memory)
}

fn aggregate_v2(asked: &Asked, at: &[&str], answered: &mut Answered, memory: &mut Memory) {
    absent(asked, at, answered, memory);
    versioned(asked, at, answered, memory);
}

/// Says the fork, in body and header.
fn versioned(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    if answered.status.is_success() {
        let data = answered.json()["data"].take();
        answered.set_header(CONSENSUS_VERSION, FORK);
        answered.set_json(&json!({"version": FORK, "data": data}));
    }
}

/// Nothing to aggregate is 404 today.
fn absent(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    let message = answered.json()["message"].as_str().unwrap_or("").to_owned();
    if answered.status == StatusCode::INTERNAL_SERVER_ERROR && message.starts_with("No ") {
        *answered = Answered::error(StatusCode::NOT_FOUND, &message);
    }
}

/// A list of the body as a repeated query parameter.
fn list(body: &Value, name: &str, parameter: &str) -> Result<Vec<(String, String)>, Refusal> {
    let items = match &body[name] {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        _ => return Err(Refusal::bad(format!("{name} is not a list"))),
    };
    let text = |item: &Value| match item {
        Value::String(text) if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            Ok(text.clone())
        }
        _ => Err(Refusal::bad(format!("{item} in {name} is not an identifier"))),
    };
    items.iter().map(|item| Ok((parameter.to_owned(), text(item)?))).collect()
}

fn get_validators(asked: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    let body = asked.json()?;
    let statuses = list(&body, "statuses", "status")?.into_iter().flat_map(|(name, status)| {
        let group = STATUS_GROUPS.iter().find(|(group, _)| *group == status);
        let members =
            group.map_or(vec![status.clone()], |(_, members)| members.iter().map(|m| (*m).into()).collect());
        members.into_iter().map(move |member| (name.clone(), member))
    });
    asked.query = list(&body, "ids", "id")?.into_iter().chain(statuses).collect();
    asked.method = Method::GET;
    asked.clear_body();
    Ok(())
}

/// The old node finds no balance by index, so validators are asked for instead.
fn get_balances(asked: &mut Asked, at: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    asked.path = format!("/eth/v1/beacon/states/{}/validators", at[0]);
    Ok(())
}

fn post_balances(asked: &mut Asked, at: &[&str], memory: &mut Memory) -> Result<(), Refusal> {
    asked.query = list(&json!({"ids": asked.json()?}), "ids", "id")?;
    asked.method = Method::GET;
    asked.clear_body();
    get_balances(asked, at, memory)
}

/// Of each validator only index and balance.
fn balances(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    let mut reply = answered.json();
    let Some(rows) = reply["data"].as_array_mut().filter(|_| answered.status.is_success()) else { return };
    for row in rows.iter_mut() {
        *row = json!({"index": row["index"], "balance": row["balance"]});
    }
    answered.set_json(&reply);
}

/// The old node swaps `slot` and `index` in its committees and counts slots from the epoch's start.
fn refuse_committees(_: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    Err(Refusal::new(
        StatusCode::NOT_IMPLEMENTED,
        "the beacon node behind the shim answers this route wrongly",
    ))
}

fn refuse_selections(_: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "only distributed validator middleware answers this"))
}

/// Slots of the epoch that was asked for: for the next epoch the old node gives its proposers the current one's slots.
fn renumber(_: &Asked, at: &[&str], answered: &mut Answered, _: &mut Memory) {
    let mut reply = answered.json();
    let Some(duties) = reply["data"].as_array_mut().filter(|_| answered.status.is_success()) else { return };
    let Ok(epoch) = at[0].parse::<u64>() else { return };
    let first = epoch.saturating_mul(duties.len() as u64);
    for (slot, duty) in (first..).zip(duties.iter_mut()) {
        duty["slot"] = json!(slot.to_string());
    }
    answered.set_json(&reply);
}

fn get_liveness(asked: &mut Asked, at: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    asked.query = list(&json!({"indices": asked.json()?}), "indices", "indices")?;
    asked.query.push(("epoch".into(), at[0].to_owned()));
    asked.method = Method::GET;
    asked.path = "/eth/v1/validator/liveness".into();
    asked.clear_body();
    Ok(())
}

fn new_liveness(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    if !answered.status.is_success() {
        return;
    }
    let reply = answered.json();
    let row =
        |row: &Value| json!({"index": row["index"].to_string().trim_matches('"'), "is_live": row["is_live"]});
    let rows: Vec<Value> = reply["data"].as_array().into_iter().flatten().map(row).collect();
    answered.set_json(&json!({"data": rows}));
}

/// Fields that came later, with the values this chain always has.
fn syncing(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    let mut reply = answered.json();
    let Some(data) = reply["data"].as_object_mut().filter(|_| answered.status.is_success()) else { return };
    data.entry("is_optimistic").or_insert(json!(false));
    data.entry("el_offline").or_insert(json!(false));
    answered.set_json(&reply);
}

/// The old node names the version of the fork in force at slot 0; the field is the network's `GENESIS_FORK_VERSION`,
/// which deposits and registrations are signed for whatever the first fork.
fn genesis(_: &Asked, _: &[&str], answered: &mut Answered, _: &mut Memory) {
    let mut reply = answered.json();
    let Some(data) = reply["data"].as_object_mut().filter(|_| answered.status.is_success()) else { return };
    data.insert("genesis_fork_version".into(), json!(GENESIS_FORK_VERSION));
    answered.set_json(&reply);
}

/// Topics one by one, and only those the old node knows: another would never be answered.
fn topics(asked: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    let wanted = asked.values("topics");
    let (old, others): (Vec<String>, Vec<String>) =
        wanted.into_iter().partition(|topic| OLD_TOPICS.contains(&topic.as_str()));
    if let Some(topic) = others.iter().find(|topic| !NEW_TOPICS.contains(&topic.as_str())) {
        return Err(Refusal::bad(format!("unknown topic {topic}")));
    }
    if old.is_empty() && others.is_empty() {
        return Err(Refusal::bad("topics are needed"));
    }
    asked.headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    asked.query = old.into_iter().map(|topic| ("topics".to_owned(), topic)).collect();
    Ok(())
}

#[cfg(test)]
mod tests;
