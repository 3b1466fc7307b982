//! Duties, and what there is to sign.

use super::node::BeaconNode;
use super::publish::on_blocking_thread;
use super::reply::{Refusal, Reply, data, parse, read, taken};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use sim::chain::SYNC_PERIOD_EPOCHS;
use std::collections::BTreeSet;
use std::sync::Arc;
use types::block::{BlockContents, ProposedBlock, Sidecars};
use types::selection::SUBCOMMITTEES;
use types::{Address, Epoch, Root, Slot, ValidatorIndex};

type Node = State<Arc<BeaconNode>>;

/// What a toy block is worth, in wei: it carries no transactions.
const VALUE_WEI: &str = "0";

/// `POST /eth/v1/validator/duties/attester/{epoch}`.
pub(super) async fn attester_duties(
    State(node): Node,
    Path(epoch): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let epoch = near(&node, &epoch)?;
    let who: BTreeSet<ValidatorIndex> = read(&headers, &body)?;
    let (mut duties, dependent_root) =
        node.look(|chain| (chain.attesters(epoch), chain.attester_dependent_root(chain.head(), epoch)));
    duties.retain(|duty| who.contains(&duty.validator_index));
    dependent(dependent_root, json!(duties))
}

/// `GET /eth/v{1,2}/validator/duties/proposer/{epoch}`.
pub(super) async fn proposer_duties(State(node): Node, Path(epoch): Path<String>) -> Reply {
    let epoch = near(&node, &epoch)?;
    let (duties, dependent_root) =
        node.look(|chain| (chain.proposers(epoch), chain.last_before(chain.head(), epoch)));
    dependent(dependent_root, json!(duties))
}

/// `POST /eth/v1/validator/duties/sync/{epoch}`: of this period and the next.
pub(super) async fn sync_duties(
    State(node): Node,
    Path(epoch): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let epoch = Epoch(parse("epoch", &epoch)?);
    let now = node.spec().epoch_of(node.now().unwrap_or_default());
    if epoch.0 / SYNC_PERIOD_EPOCHS > now.0 / SYNC_PERIOD_EPOCHS + 1 {
        return Err(Refusal::bad(format!("epoch {epoch} is too far ahead: the chain is at epoch {now}")));
    }
    let who: BTreeSet<ValidatorIndex> = read(&headers, &body)?;
    let mut duties = node.look(|chain| chain.sync_duties(epoch));
    duties.retain(|duty| who.contains(&duty.validator_index));
    Ok(Json(json!({ "execution_optimistic": false, "data": duties })).into_response())
}

fn dependent(dependent_root: Root, duties: Value) -> Reply {
    let body = json!({ "dependent_root": dependent_root, "execution_optimistic": false, "data": duties });
    Ok(Json(body).into_response())
}

/// An epoch whose duties are known: up to the next.
fn near(node: &BeaconNode, epoch: &str) -> Result<Epoch, Refusal> {
    let epoch = Epoch(parse("epoch", epoch)?);
    let now = node.spec().epoch_of(node.now().unwrap_or_default());
    if epoch > now.next() {
        return Err(Refusal::bad(format!("epoch {epoch} is too far ahead: the chain is at epoch {now}")));
    }
    Ok(epoch)
}

#[derive(Deserialize)]
pub(super) struct DataQuery {
    slot: u64,
    #[serde(default)]
    committee_index: u64,
}

/// `GET /eth/v1/validator/attestation_data`. From Electra on the committee does not matter.
pub(super) async fn attestation_data(State(node): Node, Query(query): Query<DataQuery>) -> Reply {
    if query.committee_index != 0 {
        return Err(Refusal::bad(format!("committee {}, there is only one", query.committee_index)));
    }
    let vote = node.vote(Slot(query.slot)).map_err(Refusal::bad)?;
    data(json!(vote.data(0)))
}

#[derive(Deserialize)]
pub(super) struct BlockQuery {
    randao_reveal: String,
    graffiti: Option<String>,
}

/// `GET /eth/v3/validator/blocks/{slot}`: always a full block, with contents that carry no blobs.
pub(super) async fn produce_block(
    State(node): Node,
    Path(slot): Path<String>,
    Query(query): Query<BlockQuery>,
) -> Reply {
    let slot = Slot(parse("slot", &slot)?);
    let randao = parse("randao_reveal", &query.randao_reveal)?;
    let graffiti =
        query.graffiti.as_deref().map_or(Ok(Root::ZERO), |graffiti| parse("graffiti", graffiti))?;
    let block = node.produce(slot, randao, graffiti).map_err(Refusal::bad)?;
    block_reply(&node, block)
}

fn block_reply(node: &BeaconNode, block: ProposedBlock) -> Reply {
    let version = block.fork.to_string();
    let contents = BlockContents { block, sidecars: Sidecars::default() };
    let contents = contents.to_json(node.spec().preset).map_err(Refusal::bad)?;
    let headers = [
        ("eth-consensus-version", version.clone()),
        ("eth-execution-payload-blinded", "false".to_owned()),
        ("eth-execution-payload-value", VALUE_WEI.to_owned()),
        ("eth-consensus-block-value", VALUE_WEI.to_owned()),
    ];
    let body = json!({
        "version": version,
        "execution_payload_blinded": false,
        "execution_payload_value": VALUE_WEI,
        "consensus_block_value": VALUE_WEI,
        "data": contents,
    });
    Ok((headers, Json(body)).into_response())
}

#[derive(Deserialize)]
struct Preparation {
    validator_index: ValidatorIndex,
    fee_recipient: Address,
}

/// `POST /eth/v1/validator/prepare_beacon_proposer`. The toy chain never forgets them.
pub(super) async fn prepare_proposers(State(node): Node, headers: HeaderMap, body: Bytes) -> Reply {
    let preparations: Vec<Preparation> = read(&headers, &body)?;
    let mut world = node.world();
    let count = world.chain.validators().len() as u64;
    let ours = preparations.into_iter().filter(|one| one.validator_index.0 < count);
    world.fee_recipients.extend(ours.map(|one| (one.validator_index, one.fee_recipient)));
    taken()
}

/// Subscriptions: there are no subnets, but the body has to be a list.
pub(super) async fn subscribe(headers: HeaderMap, body: Bytes) -> Reply {
    let _: Vec<Value> = read(&headers, &body)?;
    taken()
}

/// `POST /eth/v1/validator/liveness/{epoch}`: live is who has an attestation of the epoch in a block.
pub(super) async fn liveness(
    State(node): Node,
    Path(epoch): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let epoch = near(&node, &epoch)?;
    let who: BTreeSet<ValidatorIndex> = read(&headers, &body)?;
    let first = node.spec().epoch_start(epoch).0;
    let slots = first..first.saturating_add(node.spec().slots_per_epoch);
    let entries = node.look(|chain| {
        let live = |who| slots.clone().any(|slot| chain.attested(Slot(slot), who).is_some());
        let entry = |who: &ValidatorIndex| json!({ "index": who, "is_live": live(*who) });
        who.iter().map(entry).collect()
    });
    data(entries)
}

#[derive(Deserialize)]
pub(super) struct AggregateQuery {
    attestation_data_root: String,
    slot: u64,
    committee_index: u64,
}

/// `GET /eth/v2/validator/aggregate_attestation`.
pub(super) async fn aggregate(State(node): Node, Query(query): Query<AggregateQuery>) -> Reply {
    let (slot, root) = (Slot(query.slot), parse("attestation_data_root", &query.attestation_data_root)?);
    let found = on_blocking_thread({
        let node = Arc::clone(&node);
        move || (query.committee_index == 0).then(|| node.aggregate(slot, root)).flatten()
    });
    let aggregate = found.await?.ok_or_else(|| Refusal::absent("no such attestations in the pool"))?;
    let version = node.spec().fork_at(node.spec().epoch_of(slot)).fork.to_string();
    let body = json!({ "version": version, "data": aggregate.to_json() });
    Ok(([("eth-consensus-version", version)], Json(body)).into_response())
}

#[derive(Deserialize)]
pub(super) struct ContributionQuery {
    slot: u64,
    subcommittee_index: u64,
    beacon_block_root: String,
}

/// `GET /eth/v1/validator/sync_committee_contribution`.
pub(super) async fn contribution(State(node): Node, Query(query): Query<ContributionQuery>) -> Reply {
    let head = parse("beacon_block_root", &query.beacon_block_root)?;
    if query.subcommittee_index >= SUBCOMMITTEES {
        let index = query.subcommittee_index;
        return Err(Refusal::bad(format!("subcommittee {index}, there are {SUBCOMMITTEES}")));
    }
    let found =
        on_blocking_thread(move || node.contribution(Slot(query.slot), query.subcommittee_index, head));
    let contribution = found.await?.ok_or_else(|| Refusal::absent("no such sync messages in the pool"))?;
    data(contribution.to_json())
}
