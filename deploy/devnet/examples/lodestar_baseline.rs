//! The chain of real clients without any distributed node: a check of everything around the node.
//!
//! Eight of 64 validators are called distributed. Four validator clients have two of their whole keys each and reach
//! the beacon node through two shims back to back; one more has the other 56 keys and reaches it directly. The judge
//! has to find no duty missed.
//!
//! ```text
//! cargo run -p devnet --example lodestar_baseline -- --slots 52
//! ```

use anyhow::{Context, ensure};
use clap::Parser;
use devnet::lodestar::{
    beacon_node::BeaconNode,
    engine::Engine,
    genesis::{Genesis, GenesisValidator, Keystores},
    judge::{Judgement, judge, watch::Watch},
    shim::Shim,
    site::{PACKAGES, Site},
    validator_client::{Orders, ValidatorClient},
};
use devnet::npm::{Installation, default_root};
use devnet::process::stop_all;
use futures::future::try_join_all;
use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use types::{Epoch, Slot, ValidatorIndex};

const OPERATORS: usize = 4;
const KEYS_PER_OPERATOR: usize = 2;
const ORDINARY_KEYS: usize = 56;

#[derive(Parser)]
struct Options {
    /// Where Lodestar is installed, or will be.
    #[arg(long)]
    lodestar_dir: Option<PathBuf>,
    /// Folder for the run's files; must be new.
    #[arg(long)]
    run_dir: PathBuf,
    /// Seconds a slot.
    #[arg(long, default_value_t = 4)]
    slot_s: u64,
    /// Slots to run.
    #[arg(long, default_value_t = 52)]
    slots: u64,
    /// Seconds from the start to genesis.
    #[arg(long, default_value_t = 40)]
    lead_s: u64,
}

/// Everything that runs.
struct Devnet {
    _engine: Engine,
    _shims: Vec<Shim>,
    node: BeaconNode,
    clients: Vec<ValidatorClient>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    let options = Options::parse();
    let root = options.lodestar_dir.clone().map_or_else(default_root, Ok)?;
    let site = Site::open(Installation::ready(&root, &PACKAGES).await?, &options.run_dir, options.slot_s)?;
    let (keys, genesis) = prepare(&site, options.lead_s).await?;
    let devnet = start(&site, &keys, &genesis).await?;
    let judgement = run(&devnet, &options).await;
    stop_all(
        [devnet.node.process].into_iter().chain(devnet.clients.into_iter().map(|client| client.process)),
    )
    .await;
    let judgement = judgement?;
    tracing::info!(judgement = serde_json::to_string(&judgement)?, "judged");
    ensure!(judgement.attest.missed == 0 && judgement.propose.missed == 0, "duties were missed");
    ensure!(judgement.attest.done > 0 && judgement.propose.done > 0, "nothing was due");
    ensure!(judgement.finalized_epoch >= Epoch(2), "finality did not advance");
    Ok(())
}

/// Keystores of each operator, then the ordinary ones; genesis has them in this order.
async fn prepare(site: &Site, lead_s: u64) -> anyhow::Result<(Vec<Keystores>, Genesis)> {
    let mut keys = Vec::new();
    for operator in 1..=OPERATORS {
        let name = format!("keys-{operator}");
        keys.push(site.write_keystores(&name, &name, KEYS_PER_OPERATOR).await?);
    }
    keys.push(site.write_keystores("keys-ordinary", "ordinary", ORDINARY_KEYS).await?);
    let pubkeys = keys.iter().flat_map(|keystores| &keystores.pubkeys);
    let validators: Vec<_> = pubkeys.map(|&pubkey| GenesisValidator::ordinary(pubkey)).collect();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let genesis = site.write_genesis(now_s + lead_s, &validators).await?;
    Ok((keys, genesis))
}

async fn start(site: &Site, keys: &[Keystores], genesis: &Genesis) -> anyhow::Result<Devnet> {
    let engine = Engine::start().await?;
    let node = BeaconNode::start(site, genesis, &engine).await?;
    let (mut shims, mut urls) = (Vec::new(), Vec::new());
    for _ in 0..OPERATORS {
        let today = Shim::for_old_node(node.url()).await?;
        let old = Shim::for_old_client(&today.url()).await?;
        urls.push(old.url());
        shims.extend([today, old]);
    }
    urls.push(node.url().to_owned());
    let names: Vec<String> =
        (1..=OPERATORS).map(|i| format!("operator-{i}")).chain(["ordinary".into()]).collect();
    let orders: Vec<Orders<'_>> =
        names.iter().zip(keys).zip(&urls).map(|((name, keys), url)| Orders::new(name, keys, url)).collect();
    let clients = try_join_all(orders.iter().map(|orders| ValidatorClient::start(site, orders))).await?;
    tracing::info!(beacon_node = node.url(), "everything runs");
    Ok(Devnet { _engine: engine, _shims: shims, node, clients })
}

/// Watches slot by slot, then judges.
async fn run(devnet: &Devnet, options: &Options) -> anyhow::Result<Judgement> {
    let distributed = (0..(OPERATORS * KEYS_PER_OPERATOR) as u64).map(ValidatorIndex).collect();
    let mut watch = Watch::begin(devnet.node.url()).await?;
    ensure!(watch.now() == Slot(0), "the clients came up after genesis; give them a longer --lead-s");
    loop {
        let head = watch.look().await;
        match head {
            Ok(head) => tracing::info!(now = watch.now().0, head = head.0, "slot"),
            Err(error) => tracing::warn!(%error, "look again next slot"),
        }
        if watch.now() > Slot(options.slots) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(options.slot_s)).await;
    }
    watch.look().await.context("last look")?;
    Ok(judge(&watch.record(), &distributed, Slot(0))?)
}
