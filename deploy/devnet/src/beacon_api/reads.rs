//! Genesis, configuration, states, headers, and the node's own health.

use super::node::{BeaconNode, World, ancestor};
use super::reply::{Refusal, Reply, data, of_state, parse, read};
use super::{config, economy};
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use sim::chain::Chain;
use sim::chain::registry::Account;
use std::collections::BTreeSet;
use std::sync::Arc;
use types::{Checkpoint, Epoch, PublicKey, Root, Signature, Slot, ValidatorIndex};

type Node = State<Arc<BeaconNode>>;

/// Of validators with 32 ETH.
const BALANCE_GWEI: &str = "32000000000";

/// An epoch that never comes.
pub(super) const FAR_FUTURE: &str = "18446744073709551615";

/// `GET /eth/v1/beacon/genesis`.
pub(super) async fn genesis(State(node): Node) -> Reply {
    let spec = node.spec();
    data(json!({
        "genesis_time": (spec.genesis_time_ms / 1000).to_string(),
        "genesis_validators_root": spec.genesis_validators_root,
        "genesis_fork_version": spec.genesis_fork_version,
    }))
}

/// `GET /eth/v1/config/spec`.
pub(super) async fn config_spec(State(node): Node) -> Reply {
    data(config::keys(node.spec()))
}

/// `GET /eth/v1/config/fork_schedule`.
pub(super) async fn fork_schedule(State(node): Node) -> Reply {
    let spec = node.spec();
    let mut previous = spec.genesis_fork_version;
    let mut rows = Vec::new();
    for row in &spec.forks {
        rows.push(fork_json(previous, row.version, row.epoch));
        previous = row.version;
    }
    data(rows.into())
}

fn fork_json(previous: types::ForkVersion, current: types::ForkVersion, epoch: Epoch) -> Value {
    json!({ "previous_version": previous, "current_version": current, "epoch": epoch })
}

/// `GET /eth/v1/config/deposit_contract`.
pub(super) async fn deposit_contract(State(node): Node) -> Reply {
    data(json!({ "chain_id": node.spec().chain_id.to_string(), "address": config::DEPOSIT_CONTRACT }))
}

/// `GET /eth/v1/node/version`.
pub(super) async fn version() -> Reply {
    data(json!({ "version": concat!("Symbolon-devnet/v", env!("CARGO_PKG_VERSION")) }))
}

/// `GET /eth/v1/node/syncing`.
pub(super) async fn syncing(State(node): Node) -> Reply {
    let head = node.look(|chain| chain.block(&chain.head()).map_or(Slot(0), |block| block.slot));
    data(json!({
        "head_slot": head,
        "sync_distance": "0",
        "is_syncing": false,
        "is_optimistic": false,
        "el_offline": false,
    }))
}

/// `GET /eth/v1/node/health`.
pub(super) async fn health() -> Reply {
    super::reply::taken()
}

/// `GET /eth/v1/beacon/states/{id}/root`.
pub(super) async fn state_root(State(node): Node, Path(id): Path<String>) -> Reply {
    let mut world = node.world();
    let block = state(&mut world, &id)?;
    let root = world.chain.block(&block).map(|record| record.state_root);
    of_state(is_final(&world, &block), json!({ "root": root }))
}

/// `GET /eth/v1/beacon/states/{id}/fork`.
pub(super) async fn fork(State(node): Node, Path(id): Path<String>) -> Reply {
    let mut world = node.world();
    let block = state(&mut world, &id)?;
    let rows = &node.spec().forks;
    let last = rows.last().ok_or_else(|| Refusal::absent("no forks"))?;
    let previous = rows.iter().rev().nth(1).map_or(node.spec().genesis_fork_version, |row| row.version);
    of_state(is_final(&world, &block), fork_json(previous, last.version, last.epoch))
}

/// `GET /eth/v1/beacon/states/{id}/finality_checkpoints`.
pub(super) async fn finality(State(node): Node, Path(id): Path<String>) -> Reply {
    let mut world = node.world();
    let block = state(&mut world, &id)?;
    let epoch = world.chain.block(&block).map_or(Epoch(0), |record| node.spec().epoch_of(record.slot));
    let current_justified = world.chain.source(epoch);
    let before = epoch.0.checked_sub(1).map(Epoch);
    let previous_justified = before.map_or(Checkpoint::default(), |before| world.chain.source(before));
    let finalized = world.chain.finalized();
    let checkpoints = json!({
        "previous_justified": previous_justified,
        "current_justified": current_justified,
        "finalized": finalized,
    });
    of_state(is_final(&world, &block), checkpoints)
}

/// The body of the POST form.
#[derive(Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    ids: Option<Vec<String>>,
    #[serde(default)]
    statuses: Option<Vec<String>>,
}

/// `GET /eth/v1/beacon/states/{id}/validators`.
pub(super) async fn validators(
    State(node): Node,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = query.unwrap_or_default().replace("%2C", ",").replace("%2c", ",");
    let of = |name: &str| {
        let values = query.split('&').filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let list: Vec<String> = values.flat_map(|value| value.split(',')).map(str::to_owned).collect();
        (!list.is_empty()).then_some(list)
    };
    list(&node, &id, &Asked { ids: of("id"), statuses: of("status") })
}

/// `POST /eth/v1/beacon/states/{id}/validators`.
pub(super) async fn validators_asked(
    State(node): Node,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let asked: Asked = if body.is_empty() { Asked::default() } else { read(&headers, &body)? };
    list(&node, &id, &asked)
}

/// `GET /eth/v1/beacon/states/{id}/validators/{who}`.
pub(super) async fn validator(State(node): Node, Path((id, who)): Path<(String, String)>) -> Reply {
    let mut world = node.world();
    let block = state(&mut world, &id)?;
    let accounts = economy::accounts(&world, &id)?;
    let found = find(&world.chain, &who)?.filter(|at| accounts.as_ref().is_none_or(|has| *at < has.len()));
    let at = found.ok_or_else(|| Refusal::absent(format!("no validator {who}")))?;
    let status = status(&node, &world, (&id, accounts.as_deref()), at);
    of_state(is_final(&world, &block), entry(&world.chain, accounts.as_deref(), at, status))
}

fn list(node: &BeaconNode, id: &str, asked: &Asked) -> Reply {
    let mut world = node.world();
    let block = state(&mut world, id)?;
    let accounts = economy::accounts(&world, id)?;
    let count = accounts.as_ref().map_or(world.chain.validators().len(), Vec::len);
    let mut places: BTreeSet<usize> = match &asked.ids {
        // An empty list asks for all, like none.
        Some(ids) if !ids.is_empty() => {
            let found: Result<Vec<_>, _> = ids.iter().map(|who| find(&world.chain, who)).collect();
            found?.into_iter().flatten().collect()
        }
        _ => (0..count).collect(),
    };
    places.retain(|at| *at < count);
    let accounts = accounts.as_deref();
    let with_status = places.into_iter().map(|at| (at, status(node, &world, (id, accounts), at)));
    let wanted = with_status.filter(|(_, status)| is_wanted(status, asked.statuses.as_deref()));
    let entries = wanted.map(|(at, status)| entry(&world.chain, accounts, at, status)).collect();
    of_state(is_final(&world, &block), entries)
}

/// Whether a status, or the group that it begins with, is asked for.
fn is_wanted(status: &str, statuses: Option<&[String]>) -> bool {
    let group = status.split('_').next();
    statuses.is_none_or(|wanted| wanted.iter().any(|one| one == status || Some(one.as_str()) == group))
}

/// Active, on its way out, or gone.
fn status(
    node: &BeaconNode,
    world: &World,
    (id, accounts): (&str, Option<&[Account]>),
    at: usize,
) -> &'static str {
    if let Some(accounts) = accounts {
        return economy::status(&accounts[at], economy::epoch(world, id));
    }
    let now = node.spec().epoch_of(node.now().unwrap_or_default());
    match world.chain.exit_epoch(ValidatorIndex(at as u64)) {
        None => "active_ongoing",
        Some(exit) if now < exit => "active_exiting",
        Some(_) => "exited_unslashed",
    }
}

/// A validator's place by key or index; `None` for one that the chain does not have.
fn find(chain: &Chain, who: &str) -> Result<Option<usize>, Refusal> {
    let index = if who.starts_with("0x") {
        let key: PublicKey = parse("key", who)?;
        chain.index_of(&key)
    } else {
        Some(ValidatorIndex(parse("index", who)?))
    };
    let at = index.and_then(|index| usize::try_from(index.0).ok());
    Ok(at.filter(|at| *at < chain.validators().len()))
}

fn entry(chain: &Chain, accounts: Option<&[Account]>, at: usize, status: &str) -> Value {
    if let Some(accounts) = accounts {
        return economy::entry(&accounts[at], at, status);
    }
    let exit = chain.exit_epoch(ValidatorIndex(at as u64)).map(|epoch| epoch.to_string());
    let exit = exit.unwrap_or_else(|| FAR_FUTURE.to_owned());
    json!({
        "index": at.to_string(),
        "balance": BALANCE_GWEI,
        "status": status,
        "validator": {
            "pubkey": chain.validators()[at],
            "withdrawal_credentials": Root::ZERO,
            "effective_balance": BALANCE_GWEI,
            "slashed": false,
            "activation_eligibility_epoch": "0",
            "activation_epoch": "0",
            "exit_epoch": exit,
            "withdrawable_epoch": exit,
        },
    })
}

/// `GET /eth/v1/beacon/headers/{id}`.
pub(super) async fn header(State(node): Node, Path(id): Path<String>) -> Reply {
    let world = node.world();
    let root = block(&world, &id)?;
    let record = world.chain.block(&root).ok_or_else(|| Refusal::absent("no such block"))?;
    let unsigned = (Root::ZERO, Signature::INFINITY);
    let (body_root, signature) = world.headers.get(&root).copied().unwrap_or(unsigned);
    let header = json!({
        "root": root,
        "canonical": true,
        "header": {
            "message": {
                "slot": record.slot,
                "proposer_index": record.proposer,
                "parent_root": record.parent,
                "state_root": record.state_root,
                "body_root": body_root,
            },
            "signature": signature,
        },
    });
    of_state(is_final(&world, &root), header)
}

/// `GET /eth/v1/beacon/blocks/{id}/root`.
pub(super) async fn block_root(State(node): Node, Path(id): Path<String>) -> Reply {
    let world = node.world();
    let root = block(&world, &id)?;
    of_state(is_final(&world, &root), json!({ "root": root }))
}

pub(super) fn is_final(world: &World, root: &Root) -> bool {
    let last = world.chain.finalized().root;
    let slot = |root| world.chain.block(root).map(|record| record.slot);
    *root == world.chain.origin()
        || slot(&last).is_some_and(|last| slot(root).is_some_and(|slot| slot <= last))
}

/// The block that an id names: a word, a slot or a root.
pub(super) fn block(world: &World, id: &str) -> Result<Root, Refusal> {
    let chain = &world.chain;
    match id {
        "head" => Ok(chain.head()),
        "genesis" => Ok(chain.origin()),
        "finalized" => Ok(known(world, chain.finalized().root)),
        root if root.starts_with("0x") => {
            let root = parse("block", root)?;
            chain.block(&root).map(|_| root).ok_or_else(|| Refusal::absent(format!("no block {root}")))
        }
        slot => {
            let slot: Slot = parse::<u64>("block", slot)?.into();
            let root = ancestor(chain, |record| record.slot <= slot);
            let here = chain.block(&root).is_some_and(|record| record.slot == slot);
            here.then_some(root).ok_or_else(|| Refusal::absent(format!("slot {slot} has no block")))
        }
    }
}

/// The block whose state an id names. A slot names the state after its last block.
pub(super) fn state(world: &mut World, id: &str) -> Result<Root, Refusal> {
    if id == "justified" {
        let justified = source(world);
        return Ok(known(world, justified.root));
    }
    let chain = &world.chain;
    match id {
        root if root.starts_with("0x") => {
            let wanted: Root = parse("state", root)?;
            let found = ancestor(chain, |record| record.state_root == wanted);
            let here = chain.block(&found).is_some_and(|record| record.state_root == wanted);
            here.then_some(found).ok_or_else(|| Refusal::absent(format!("no state {wanted}")))
        }
        slot if slot.parse::<u64>().is_ok() => {
            let slot: Slot = parse::<u64>("state", slot)?.into();
            Ok(ancestor(chain, |record| record.slot <= slot))
        }
        word => block(world, word),
    }
}

/// The justified checkpoint of the head's epoch.
fn source(world: &mut World) -> Checkpoint {
    let chain = &mut world.chain;
    let head = chain.block(&chain.head()).map_or(Slot(0), |record| record.slot);
    let epoch = chain.spec().epoch_of(head);
    chain.source(epoch)
}

/// A checkpoint's block; the genesis block for the zero root that stands for it.
fn known(world: &World, root: Root) -> Root {
    if world.chain.block(&root).is_some() { root } else { world.chain.origin() }
}
