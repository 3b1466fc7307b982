//! A pool on the toy chain: every validator of the chain is distributed.

use crate::beacon_api::{BeaconNode, Server};
use crate::client::selections::Selecting;
use crate::clock::{now, wait_until};
use crate::curve::Bls;
use crate::faults::schedule::Schedule;
use crate::faults::stage::{self, Shown, Stage};
use crate::front::Fronts;
use crate::moving::Obol;
use crate::network;
use crate::operators::{self, Around, FEE_RECIPIENT, Made, Operator, ourselves};
use crate::outcomes::Latencies;
use crate::pool::{Nodes, Orders};
use crate::process::{Process, stop_all};
use crate::report::{Count, Report};
use cluster::network::Network;
use sim::chain::{Chain, Genesis};
use sim::judges::duties;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use types::wire::Kind;
use types::{ChainSpec, ClusterSize, Fork, Millis, Slot};

/// From the chain's start to its slot 0: time for nodes and clients to come up on a busy machine, and for each validator
/// more, since every node verifies the lock and everybody opens its halves.
const LEAD: Millis = Millis(12_000);
const LEAD_PER_VALIDATOR: Millis = Millis(12);
/// All operators are imported within this time.
const IMPORT_MAX: Millis = Millis(600_000);
/// An attestation of the last judged slot is in the block of the next, or of the one after if that one is late.
const EXTRA_SLOTS: u64 = 2;
/// Missed duties that a report names; their number is in it anyway.
const WORDS_MAX: usize = 20;

/// Runs a pool and judges it from the chain.
pub async fn run(orders: &Orders) -> anyhow::Result<Report> {
    let obol = orders.import.as_deref().map(Obol::read).transpose()?;
    let orders = &of_cluster(orders, obol.as_ref());
    let size = ClusterSize::new_safe(orders.operators, orders.threshold)?;
    let public = obol.as_ref().map(Obol::network).transpose()?;
    // Imported keys have signed nothing on this chain, which begins later: by the clock too, however slow the machine is.
    let drafted = if obol.is_some() { now().after(IMPORT_MAX) } else { now() };
    let (draft, draft_path) = write_network(orders, public.as_ref(), "network-draft.json", drafted)?;
    tracing::info!(operators = orders.operators, validators = orders.validators, "keys");
    let (operators, made) = match &obol {
        Some(obol) => obol.import(&orders.run_dir, &draft, &draft_path).await?,
        None => {
            let Orders { run_dir, threshold, validators, .. } = orders;
            let operators = operators::make(run_dir, orders.operators).await?;
            let made = operators::ceremony(run_dir, &operators, *threshold, *validators, &draft_path).await?;
            (operators, made)
        }
    };
    tracing::info!(ms = made.ceremony_ms, imported = obol.is_some(), "keys there");

    let lead = Millis(LEAD.0 + LEAD_PER_VALIDATOR.0 * orders.validators as u64);
    let (spec, network) = write_network(orders, public.as_ref(), "network.json", now().after(lead))?;
    let (validators, strangers) = (made.keys.clone(), orders.strangers);
    let genesis = Genesis { spec: spec.clone(), validators, strangers, seed: 1 };
    let server = Server::start(BeaconNode::new(Chain::new(genesis), Bls::new(&made.keys)?)).await?;
    let asked = (operators.len(), orders.beacon_nodes);
    let fronts = Fronts::start(&server.url(), asked, &orders.beacon_faults, |_| Vec::new()).await?;
    let schedule = Schedule::new(size, orders.faults.strikes(), orders.kills.clone());
    let stage = set_stage(orders, &operators, &fronts, (schedule.clone(), &network)).await?;
    let clients = start_clients(&orders.run_dir, &operators)?;
    let played = play(orders, &spec, &server, (stage, fronts), clients).await?;
    if let Some(obol) = &obol {
        let folders = obol.export(&orders.run_dir, &operators).await?;
        tracing::info!(operators = folders.len(), "exported, and verified");
    }
    report(orders, &schedule, &made, &server, played)
}

/// Starts the nodes, with lines between them if something is to happen to these.
async fn set_stage(
    orders: &Orders,
    operators: &[Operator],
    fronts: &Fronts,
    (schedule, network): (Schedule, &Path),
) -> anyhow::Result<Stage> {
    let links = match orders.faults.weather() {
        Some(weather) => Some(stage::put_between(operators, weather).await?),
        None => None,
    };
    let around = |place| Around {
        beacon_urls: fronts.urls(place),
        bears_full_disk: orders.faults.fills_disk_of(place + 1),
        ..Around::default()
    };
    let nodes = Nodes::start(&orders.run_dir, operators, around, network, &orders.kills).await?;
    Stage::new(&orders.run_dir, operators, (nodes, links), schedule, orders.faults.rolling)
}

/// The numbers of an imported cluster are its own.
fn of_cluster(orders: &Orders, obol: Option<&Obol>) -> Orders {
    let mut orders = orders.clone();
    if let Some(Obol { cluster, .. }) = obol {
        orders.operators = cluster.size.operators();
        orders.threshold = cluster.size.threshold();
        orders.validators = cluster.validators.len();
    }
    orders
}

fn write_network(
    orders: &Orders,
    public: Option<&Network>,
    name: &str,
    genesis: Millis,
) -> anyhow::Result<(ChainSpec, PathBuf)> {
    let (genesis_s, seconds) = (genesis.0.div_ceil(1000), orders.seconds_per_slot);
    let spec = match public {
        Some(public) => network::spec_of(public, genesis_s, seconds),
        None => network::spec(genesis_s, seconds),
    };
    let spec = ChainSpec { slots_per_epoch: orders.slots_per_epoch, ..spec };
    let path = orders.run_dir.join(name);
    std::fs::write(&path, serde_json::to_vec_pretty(&spec)?)?;
    Ok((spec, path))
}

/// A plain validator client for each operator, with its halves.
pub(crate) fn start_clients(run_dir: &Path, operators: &[Operator]) -> anyhow::Result<Vec<Process>> {
    let start = |operator: &Operator| {
        let mut command = ourselves("client")?;
        command.arg("--keystores").arg(operator.client_dir.join(cluster::folder::KEYSTORES));
        command.arg("--url").arg(operator.api_url()).arg("--fee-recipient").arg(FEE_RECIPIENT);
        command.arg("--selections").arg(Selecting::of_operator(operator.number).word());
        let log = run_dir.join(format!("client-{}.log", operator.number));
        Ok(Process::start(&format!("client of operator {}", operator.number), command, &log)?)
    };
    operators.iter().map(start).collect()
}

/// Slot after slot.
async fn play(
    orders: &Orders,
    spec: &ChainSpec,
    server: &Server,
    (mut stage, mut fronts): (Stage, Fronts),
    mut clients: Vec<Process>,
) -> anyhow::Result<Shown> {
    for slot in 0..=orders.slots + EXTRA_SLOTS {
        wait_until(spec.slot_start(Slot(slot))).await;
        stage.turn(slot).await?;
        fronts.turn(slot);
        clients.iter_mut().try_for_each(Process::check)?;
        if let Some(judged) = slot.checked_sub(EXTRA_SLOTS).filter(|judged| *judged > 0) {
            tell_slot(server, judged);
        }
        stage.within(spec, slot, slot <= orders.slots).await?;
    }
    // The last block of a run may still be on its way: its slot must pass.
    wait_until(spec.slot_start(Slot(orders.slots + EXTRA_SLOTS + 1))).await;
    let shown = stage.finish(orders.slots).await;
    stop_all(clients).await;
    Ok(shown)
}

/// The cluster's duties in these slots.
fn due(chain: &Chain, slots: RangeInclusive<u64>) -> Vec<duties::Duty> {
    let ours = chain.validators().len() as u64;
    duties::due(chain, slots, |who| who.0 < ours, None)
}

/// One line a slot: how many duties of each kind are due and done.
fn tell_slot(server: &Server, slot: u64) {
    let duties = server.node().look(|chain| due(chain, slot..=slot));
    let told = duties::count(&duties).into_iter();
    let told: Vec<_> = told.map(|(kind, tally)| format!("{kind} {}/{}", tally.done, tally.due)).collect();
    tracing::info!(slot, duties = told.join(", "), "slot");
}

/// What was handed in for slots in which nothing could be signed, while it could not.
fn breaches(server: &Server, schedule: &Schedule) -> Vec<String> {
    let handed_in = server.node().handed_in().into_iter();
    let silent = |of: Slot, at: Slot| (of.0..=at.0).all(|slot| schedule.silent(slot)) && of <= at;
    let breach = handed_in.filter(|((of, at), _)| silent(*of, *at));
    breach
        .map(|((of, at), count)| {
            format!("{count} signed things for slot {of} were handed in in slot {at}, by too few operators")
        })
        .collect()
}

fn report(
    orders: &Orders,
    schedule: &Schedule,
    made: &Made,
    server: &Server,
    Shown { logs, mut wrong, mut facts }: Shown,
) -> anyhow::Result<Report> {
    let all = server.node().look(|chain| due(chain, 1..=orders.slots));
    let count = duties::count(&all);
    let of = |kind| {
        let duties::Tally { due, done } = count.get(&kind).copied().unwrap_or_default();
        Count { due: due as u64, done: done as u64 }
    };
    let owed: Vec<_> = all.iter().filter(|duty| schedule.owed(duty.slot.0)).copied().collect();
    let inexcusable = duties::missed(&owed);
    wrong.extend(inexcusable.iter().map(ToString::to_string).take(WORDS_MAX));
    wrong.extend(breaches(server, schedule));
    let silent: Vec<_> = (1..=orders.slots).filter(|slot| schedule.silent(*slot)).collect();
    if !silent.is_empty() {
        facts.insert("silent_slots".into(), silent.into());
    }
    let tally = server.node().tally();
    Ok(Report {
        operators: orders.operators,
        threshold: orders.threshold,
        validators: orders.validators,
        chain: "sim",
        fork: Fork::Electra,
        slots: orders.slots,
        ceremony_ms: made.ceremony_ms,
        finalized_epoch: tally.finalized_epoch.0,
        attest: of(Kind::Attest),
        propose: of(Kind::Propose),
        others: [Kind::SyncMessage, Kind::Aggregate, Kind::Contribute]
            .map(|kind| (kind.name(), of(kind)))
            .to_vec(),
        excused: 0,
        latencies: Latencies::read(logs.iter().map(PathBuf::as_path))?,
        killed_at: orders.kills.iter().map(|kill| kill.slot).min(),
        inexcusable: inexcusable.len() as u64,
        wrong,
        slashable: tally.slashable,
        rejected: tally.rejected,
        differing: Vec::new(),
        facts,
    })
}
