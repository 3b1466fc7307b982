//! A pool on a strict chain of current forks: distributed validators, and ordinary ones that the beacon node plays.
//!
//! ```text
//! client -> dvt-node -> strict beacon node (ordinary validators inside)
//! ```

use crate::clock::{now, wait_until};
use crate::exits::{Exit, approve};
use crate::front::Fronts;
use crate::network;
use crate::npm::{Installation, default_root};
use crate::operators::{self, Around, Made, Operator};
use crate::outcomes::Latencies;
use crate::pool::{Nodes, Orders};
use crate::process::{Process, stop_all};
use crate::report::Report;
use crate::sim_chain::start_clients;
use crate::strict::beacon_node::{BeaconNode, GenesisValidator, Orders as ChainOrders};
use crate::strict::judge::Judgement;
use crate::strict::oracle::Oracle;
use crate::strict::relay::{Builders, Relay};
use crate::strict::site::{PACKAGES, Site};
use anyhow::{Context as _, ensure};
use cluster::folder;
use cluster::lock::Lock;
use std::path::PathBuf;
use types::{ChainSpec, ClusterSize, Fork, ForkVersion, Root, Slot};

/// Genesis fork version of the minimal configuration, which deposits and registrations are signed for.
const GENESIS_VERSION: ForkVersion = ForkVersion([0, 0, 0, 1]);
/// From the beacon node's start to genesis: nodes and clients must be up before, on two busy cores.
const LEAD_S: u64 = 25;
/// Attestations are judged by their flags, which the blocks of the next two slots settle; one more for a late block.
const EXTRA_SLOTS: u64 = 3;

/// The oracle asks from this slot on, the fifth of epoch 2: rewards of epoch 0 are known, and there are blocks to ask for.
pub const ORACLE_SLOT: u64 = 20;

/// What the strict chain is asked for beside the pool.
#[derive(Clone, Debug)]
pub struct StrictOrders {
    /// At genesis.
    pub fork: Fork,
    /// Validators that are not the cluster's.
    pub ordinary: usize,
    /// Whether every route of operator 1's node is compared with the beacon node's.
    pub oracle: bool,
    /// Whether a relay bids in every other slot.
    pub builder: bool,
    /// Who leaves when.
    pub exits: Vec<Exit>,
}

/// Runs a pool and judges it from the beacon node's own states.
pub async fn run(orders: &Orders, strict: StrictOrders) -> anyhow::Result<Report> {
    let size = ClusterSize::new_safe(orders.operators, orders.threshold)?;
    let root = orders.lodestar_dir.clone().map_or_else(default_root, Ok)?;
    let installation = Installation::ready(&root, &PACKAGES).await?;
    let site = Site::open(&installation, &orders.run_dir.join("strict"))?;

    let operators = operators::make(&orders.run_dir, orders.operators).await?;
    let draft = orders.run_dir.join("network-draft.json");
    let drafted = ChainSpec {
        genesis_fork_version: GENESIS_VERSION,
        ..network::spec(now().0 / 1000, orders.seconds_per_slot)
    };
    std::fs::write(&draft, serde_json::to_vec_pretty(&drafted)?)?;
    let made =
        operators::ceremony(&orders.run_dir, &operators, orders.threshold, orders.validators, &draft).await?;
    tracing::info!(ms = made.ceremony_ms, "keys made");

    let chain = ChainOrders {
        cluster: genesis_validators(&operators[0], &made)?,
        ordinary: strict.ordinary,
        fork: strict.fork,
        genesis_time_s: now().0 / 1000 + LEAD_S,
        seconds_per_slot: orders.seconds_per_slot,
        builder_by_request: strict.builder,
    };
    let node = BeaconNode::start(&site, &chain, &orders.run_dir.join("strict-node.log")).await?;
    ensure!(node.spec.genesis_fork_version == GENESIS_VERSION, "the strict chain has another genesis");
    let relay = match strict.builder {
        true => Some(Relay::start(&site, node.url(), &orders.run_dir.join("relay.log")).await?),
        false => None,
    };
    let builders = Builders::new(relay.as_ref(), operators.len())?;
    let asked = (operators.len(), orders.beacon_nodes);
    let fronts =
        Fronts::start(node.url(), asked, &orders.beacon_faults, |place| builders.headers(place)).await?;
    let around =
        |place| Around { beacon_urls: fronts.urls(place), flags: builders.flags(place), ..Around::default() };
    let nodes = Nodes::start(&orders.run_dir, &operators, around, &node.network, &orders.kills).await?;
    let clients = start_clients(&orders.run_dir, &operators)?;
    let logs = nodes.logs();
    let ask = || {
        let log = orders.run_dir.join("oracle.log");
        Oracle::start(&site, &operators[0], &made.keys, node.url(), &log)
    };
    let cast = Cast { nodes, fronts, clients, operators: &operators, exits: &strict.exits };
    let played = play(orders, &node, cast, strict.oracle.then_some(&ask)).await;
    stop_all([node.process].into_iter().chain(relay.map(|relay| relay.process))).await;
    report(orders, size, &made, played?, &logs)
}

/// Who plays.
struct Cast<'a> {
    nodes: Nodes,
    fronts: Fronts,
    clients: Vec<Process>,
    operators: &'a [Operator],
    exits: &'a [Exit],
}

/// What a run showed.
struct Played {
    judgement: Judgement,
    differing: Vec<String>,
}

/// The ceremony's keys, with the credentials that it signed deposits for.
fn genesis_validators(operator: &Operator, made: &Made) -> anyhow::Result<Vec<GenesisValidator>> {
    let lock = Lock::parse(&std::fs::read(operator.data_dir.join(folder::LOCK))?)?;
    let deposits = lock.deposits().context("a lock of ours has its deposits")?;
    let credentials = |key| {
        let of_key = deposits.iter().find(|deposit| deposit.message.public_key == key);
        of_key.map_or(Root::ZERO, |deposit| deposit.message.withdrawal_credentials)
    };
    let validator = |key| GenesisValidator { pubkey: key, withdrawal_credentials: credentials(key) };
    Ok(made.keys.iter().copied().map(validator).collect())
}

/// Slot after slot, then the judgement.
async fn play(
    orders: &Orders,
    node: &BeaconNode,
    mut cast: Cast<'_>,
    ask: Option<&impl Fn() -> anyhow::Result<Oracle>>,
) -> anyhow::Result<Played> {
    let spec = &node.spec;
    let mut oracle = None;
    ensure!(now() < spec.slot_start(Slot(0)), "the nodes came up after genesis: the machine is too busy");
    for slot in 0..=orders.slots + EXTRA_SLOTS {
        wait_until(spec.slot_start(Slot(slot))).await;
        cast.nodes.turn(slot).await?;
        cast.fronts.turn(slot);
        cast.clients.iter_mut().try_for_each(Process::check)?;
        approve(cast.exits, cast.operators, orders.threshold, spec, slot).await?;
        if slot == ORACLE_SLOT {
            oracle = ask.map(|ask| ask()).transpose()?;
        }
        if let Some(judged) = slot.checked_sub(EXTRA_SLOTS).filter(|judged| *judged > 0) {
            tell(node, judged).await;
        }
    }
    let differing = match oracle {
        Some(oracle) => oracle.differing().await?,
        None => Vec::new(),
    };
    // The last block of a run may still be on its way: its slot must pass.
    wait_until(spec.slot_start(Slot(orders.slots + EXTRA_SLOTS + 1))).await;
    let judgement = node.judge(1, orders.slots).await?;
    cast.nodes.stop().await;
    stop_all(cast.clients).await;
    Ok(Played { judgement, differing })
}

/// Logs what became of a slot.
async fn tell(node: &BeaconNode, slot: u64) {
    match node.judge(slot, slot).await {
        Ok(Judgement { duties, .. }) => tracing::info!(
            slot,
            block = duties.propose.done == duties.propose.due,
            attested = duties.attest.done,
            due = duties.attest.due,
            "slot"
        ),
        Err(error) => tracing::warn!(%error, "look again next slot"),
    }
}

fn report(
    orders: &Orders,
    size: ClusterSize,
    made: &Made,
    Played { judgement, differing }: Played,
    logs: &[PathBuf],
) -> anyhow::Result<Report> {
    let duties = &judgement.duties;
    Ok(Report {
        operators: orders.operators,
        threshold: orders.threshold,
        validators: orders.validators,
        chain: "strict",
        fork: judgement.fork,
        slots: orders.slots,
        ceremony_ms: made.ceremony_ms,
        finalized_epoch: judgement.finalized_epoch,
        attest: duties.attest.count(),
        propose: duties.propose.count(),
        others: duties.others().to_vec(),
        excused: duties.excused(),
        latencies: Latencies::read(logs.iter().map(PathBuf::as_path))?,
        killed_at: orders.kills.iter().map(|kill| kill.slot).min(),
        inexcusable: duties.missed_before(orders.excused_from(size.faults())),
        wrong: Vec::new(),
        slashable: judgement.slashable.len(),
        rejected: judgement.refused(),
        differing,
        facts: judgement.facts,
    })
}
