//! Balances, deposits, rewards and blocks, of a chain that has them.
//!
//! Of the past only the states of epochs' first slots are kept.

use super::node::{BeaconNode, World};
use super::reads::{self, FAR_FUTURE};
use super::reply::{Refusal, Reply, of_state, parse, read};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use sim::chain::registry::{Account, Registry};
use std::collections::BTreeSet;
use std::sync::Arc;
use types::{Epoch, Root, Slot, ValidatorIndex, ValidatorStatus};

type Node = State<Arc<BeaconNode>>;

/// Validators of the state that an id names; `None` on a chain without balances.
///
/// - Errors: a state that is not kept.
pub(super) fn accounts(world: &World, id: &str) -> Result<Option<Vec<Account>>, Refusal> {
    let Some(registry) = world.chain.registry() else { return Ok(None) };
    match boundary(world, id)? {
        None => Ok(Some(registry.accounts().to_vec())),
        Some(epoch) => kept(registry, epoch).map(|(accounts, _)| Some(accounts.to_vec())),
    }
}

fn kept(
    registry: &Registry,
    epoch: Epoch,
) -> Result<(&[Account], &[sim::chain::registry::Deposit]), Refusal> {
    registry.at(epoch).ok_or_else(|| Refusal::absent(format!("the chain is not at epoch {epoch} yet")))
}

/// The epoch whose first slot's state an id names; `None` for the head's.
fn boundary(world: &World, id: &str) -> Result<Option<Epoch>, Refusal> {
    let chain = &world.chain;
    let slot = match id {
        "head" => return Ok(None),
        "genesis" => Slot(0),
        "finalized" | "justified" => chain.spec().epoch_start(chain.finalized().epoch),
        slot if !slot.starts_with("0x") => Slot(parse("state", slot)?),
        root => return Err(Refusal::absent(format!("balances of state {root} are not kept"))),
    };
    let epoch = chain.spec().epoch_of(slot);
    if chain.spec().epoch_start(epoch) != slot {
        return Err(Refusal::absent(format!("slot {slot} begins no epoch: its balances are not kept")));
    }
    Ok(Some(epoch))
}

/// The epoch of the state that an id names.
pub(super) fn epoch(world: &World, id: &str) -> Epoch {
    let head = world.chain.block(&world.chain.head()).map_or(Slot(0), |block| block.slot);
    boundary(world, id).ok().flatten().unwrap_or_else(|| world.chain.spec().epoch_of(head))
}

/// A validator's status, as the beacon API spells it.
pub(super) fn status(account: &Account, epoch: Epoch) -> &'static str {
    match account.status(epoch) {
        ValidatorStatus::PendingInitialized => "pending_initialized",
        ValidatorStatus::PendingQueued => "pending_queued",
        ValidatorStatus::ActiveOngoing => "active_ongoing",
        ValidatorStatus::ActiveExiting => "active_exiting",
        ValidatorStatus::ActiveSlashed => "active_slashed",
        ValidatorStatus::ExitedUnslashed => "exited_unslashed",
        ValidatorStatus::ExitedSlashed => "exited_slashed",
        ValidatorStatus::WithdrawalPossible => "withdrawal_possible",
        ValidatorStatus::WithdrawalDone => "withdrawal_done",
    }
}

/// A validator of a list.
pub(super) fn entry(account: &Account, at: usize, status: &str) -> Value {
    let when = |epoch: Option<Epoch>| epoch.map_or_else(|| FAR_FUTURE.to_owned(), |epoch| epoch.to_string());
    json!({
        "index": at.to_string(),
        "balance": account.balance,
        "status": status,
        "validator": {
            "pubkey": account.pubkey,
            "withdrawal_credentials": account.credentials,
            "effective_balance": account.effective,
            "slashed": account.slashed,
            "activation_eligibility_epoch": when(account.eligible),
            "activation_epoch": when(account.activation),
            "exit_epoch": when(account.exit),
            "withdrawable_epoch": when(account.withdrawable),
        },
    })
}

fn registry(world: &World) -> Result<&Registry, Refusal> {
    world.chain.registry().ok_or_else(|| Refusal::absent("this chain has no balances"))
}

/// `GET /eth/v1/beacon/states/{id}/pending_deposits`.
pub(super) async fn pending(State(node): Node, Path(id): Path<String>) -> Reply {
    let mut world = node.world();
    let block = reads::state(&mut world, &id)?;
    let registry = registry(&world)?;
    let waiting: Vec<_> = match boundary(&world, &id)? {
        None => registry.pending().copied().collect(),
        Some(epoch) => kept(registry, epoch)?.1.to_vec(),
    };
    let entry = |deposit: &sim::chain::registry::Deposit| {
        json!({
            "pubkey": deposit.pubkey,
            "withdrawal_credentials": deposit.credentials,
            "amount": deposit.amount,
            "signature": deposit.signature,
            "slot": deposit.slot,
        })
    };
    of_state(reads::is_final(&world, &block), waiting.iter().map(entry).collect())
}

#[derive(Deserialize)]
pub(super) struct OfEpoch {
    epoch: Option<u64>,
}

/// `GET /eth/v1/beacon/states/{id}/randao`.
pub(super) async fn randao(State(node): Node, Path(id): Path<String>, Query(query): Query<OfEpoch>) -> Reply {
    let mut world = node.world();
    let block = reads::state(&mut world, &id)?;
    let slot = world.chain.block(&block).map_or(Slot(0), |block| block.slot);
    let now = node.spec().epoch_of(slot);
    let epoch = query.epoch.map_or(now, Epoch);
    if epoch > now {
        return Err(Refusal::bad(format!("epoch {epoch} is after the state's, {now}")));
    }
    of_state(reads::is_final(&world, &block), json!({ "randao": world.chain.randao(epoch) }))
}

/// `GET /eth/v1/beacon/states/{id}/sync_committees`.
pub(super) async fn sync_committees(
    State(node): Node,
    Path(id): Path<String>,
    Query(query): Query<OfEpoch>,
) -> Reply {
    let mut world = node.world();
    let block = reads::state(&mut world, &id)?;
    let epoch = query.epoch.map_or_else(|| epoch(&world, &id), Epoch);
    let seats = world.chain.sync_committee(epoch);
    let members = json!({ "validators": seats, "validator_aggregates": [seats] });
    of_state(reads::is_final(&world, &block), members)
}

/// `POST /eth/v1/beacon/rewards/attestations/{epoch}`.
pub(super) async fn attestation_rewards(
    State(node): Node,
    Path(epoch): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let epoch = Epoch(parse("epoch", &epoch)?);
    let who: BTreeSet<ValidatorIndex> = read(&headers, &body)?;
    let world = node.world();
    let paid = registry(&world)?.paid(epoch);
    let paid = paid.ok_or_else(|| Refusal::absent(format!("epoch {epoch} is not paid yet")))?;
    let is_final = epoch.0 + 2 <= world.chain.finalized().epoch.0;
    let ideal = paid.ideal.iter().map(|(effective, [source, target, head])| {
        json!({
            "effective_balance": effective, "head": head.to_string(), "target": target.to_string(),
            "source": source.to_string(), "inclusion_delay": "0", "inactivity": "0",
        })
    });
    let asked = paid.totals.iter().filter(|(index, _)| who.is_empty() || who.contains(index));
    let totals = asked.map(|(index, [source, target, head])| {
        json!({
            "validator_index": index, "head": head.to_string(), "target": target.to_string(),
            "source": source.to_string(), "inclusion_delay": "0", "inactivity": "0",
        })
    });
    let (ideal, totals): (Vec<_>, Vec<_>) = (ideal.collect(), totals.collect());
    of_state(is_final, json!({ "ideal_rewards": ideal, "total_rewards": totals }))
}

/// `POST /eth/v1/beacon/rewards/sync_committee/{id}`. This chain pays nothing for sync committees, to anybody.
pub(super) async fn sync_rewards(
    State(node): Node,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let who: BTreeSet<ValidatorIndex> = read(&headers, &body)?;
    let world = node.world();
    let block = reads::block(&world, &id)?;
    let slot = world.chain.block(&block).map_or(Slot(0), |block| block.slot);
    let seats = world.chain.sync_committee(node.spec().epoch_of(slot));
    let members = seats.iter().filter(|seat| who.contains(seat));
    let rewards = members.map(|seat| json!({ "validator_index": seat, "reward": "0" })).collect();
    of_state(reads::is_final(&world, &block), rewards)
}

/// `GET /eth/v2/beacon/blocks/{id}`: as it was handed in.
pub(super) async fn block(State(node): Node, Path(id): Path<String>) -> Reply {
    let world = node.world();
    let root: Root = reads::block(&world, &id)?;
    let block = world.blocks.get(&root).cloned();
    let block = block.ok_or_else(|| Refusal::absent(format!("the body of block {root} is not kept")))?;
    let version = node.spec().fork_at(Epoch(0)).fork.to_string();
    let body = json!({
        "version": version, "execution_optimistic": false, "finalized": reads::is_final(&world, &root),
        "data": block,
    });
    Ok(axum::response::IntoResponse::into_response(axum::Json(body)))
}
