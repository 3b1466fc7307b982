//! `dvt-node relay`: carries encrypted bytes between operators that cannot reach each other.
//!
//! It needs no cluster of its own: a folder for its node key, and the files or records that name whom it serves. It
//! reads nothing else from these files than the operators' node keys. See `docs/relay.md`.

use crate::run::bind;
use crate::server::{Served, serve};
use anyhow::{Context as _, bail, ensure};
use axum::{Router, routing::get};
use clap::Args;
use cluster::enr::Enr;
use cluster::{Check, Definition, Lock};
use keys::identity::{KEY_FILE, NodeKey};
use net::relay::{Counts, Event, Events, Handle};
use net::{Identity, Multiaddr, relay};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rand_core::OsRng;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What `dvt-node relay` is told.
#[derive(Clone, Debug, Args)]
pub struct RelayArgs {
    /// The relay's own folder; its node key is made there if there is none.
    #[arg(long)]
    pub data_dir: PathBuf,
    /// Where operators connect, as multiaddresses.
    #[arg(long, num_args = 1.., value_name = "MULTIADDR", default_value = "/ip4/0.0.0.0/tcp/3611")]
    pub listen: Vec<Multiaddr>,
    /// Serve the operators of these clusters: cluster locks, or definitions before there is a lock.
    #[arg(long = "allow-lock", num_args = 1.., value_name = "FILE", required_unless_present = "allow_enrs")]
    pub allow_locks: Vec<PathBuf>,
    /// Serve the holders of these node records.
    #[arg(long = "allow-enr", num_args = 1.., value_name = "ENR")]
    pub allow_enrs: Vec<String>,
    /// Where metrics are served.
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
}

/// Runs a relay until `stop`. Prints its addresses, one a line, as operators give them to `--relay`.
///
/// - Errors: files that do not name operators, a folder with an operator's key, ports in use.
pub async fn run(args: RelayArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = match args.metrics {
        Some(address) => Some(bind(address, "metrics").await?),
        None => None,
    };
    let (relay, events) = start(&args)?;
    tracing::info!(id = %relay.id(), "relay started");
    let tasks = TaskTracker::new();
    if let Some(listener) = metrics {
        let relay = relay.clone();
        let routes =
            Router::new().route("/metrics", get(move || async move { metrics_text(relay.counts()) }));
        tasks.spawn(serve(listener, Served::to_few("metrics", routes), stop.clone()));
    }
    tasks.close();
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        // Whoever watches over this process starts it again.
        heard = hear(events) => heard.and_then(|()| bail!("the relay has ended by itself")),
    };
    stop.cancel();
    relay.shutdown().await;
    tasks.wait().await;
    tracing::info!("relay stopped");
    ended
}

fn start(args: &RelayArgs) -> anyhow::Result<(Handle, Events)> {
    let operators = served(args)?;
    let folder = &args.data_dir;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let key = NodeKey::load_or_create(&folder.join(KEY_FILE), &mut OsRng)?;
    let identity = Identity::from_secret(key.secret_bytes())?;
    tracing::info!(keys = operators.len(), "node keys to serve");
    relay::start(relay::Config { identity, operators, listen: args.listen.clone() })
        .with_context(|| format!("the relay of {} does not start", folder.display()))
}

/// The node keys of everybody that is named, each once or more often.
fn served(args: &RelayArgs) -> anyhow::Result<Vec<[u8; 33]>> {
    let mut served = Vec::new();
    for path in &args.allow_locks {
        served.extend(operators_of(path)?);
    }
    for text in &args.allow_enrs {
        let enr = Enr::parse(text).with_context(|| format!("--allow-enr {text}"))?;
        served.push(*enr.key().as_bytes());
    }
    Ok(served)
}

/// The node keys of a lock's or a definition's operators. Its hashes must be what it says, so that a file that was
/// spoilt names nobody; who signed it is for those who run the cluster to verify.
fn operators_of(path: &Path) -> anyhow::Result<Vec<[u8; 33]>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (definition, checks) = match Lock::parse(&bytes) {
        Ok(lock) => (lock.definition().clone(), lock.check_hashes()),
        Err(no_lock) => {
            let definition = Definition::parse(&bytes).with_context(|| {
                format!("{} is no cluster lock ({no_lock}) and no definition", path.display())
            })?;
            let checks = definition.check_hashes();
            (definition, checks)
        }
    };
    let broken: Vec<&Check> = checks.iter().filter(|check| !check.holds()).collect();
    ensure!(
        broken.is_empty(),
        "{} is not what it says: {}",
        path.display(),
        broken.iter().map(|check| format!("{} {}", check.name, check.detail)).collect::<Vec<_>>().join("; ")
    );
    let key = |(key, operator): (Option<cluster::NodeKey>, usize)| {
        let key = key.with_context(|| format!("{}: operator {operator} has no node yet", path.display()))?;
        Ok(*key.as_bytes())
    };
    definition.node_keys().zip(1..).map(key).collect()
}

/// Logs what happens, and prints where the relay listens.
async fn hear(mut events: Events) -> anyhow::Result<()> {
    while let Some(event) = events.next().await {
        match event {
            Event::Listening(address) => writeln!(std::io::stdout(), "{address}")?,
            Event::Reserved { operator } => {
                tracing::info!(%operator, "operator is reachable through this relay")
            }
            Event::ReservationRefused { operator } => tracing::warn!(%operator, "reservation beyond a limit"),
            Event::CircuitOpened { from, to } => tracing::info!(%from, %to, "circuit opened"),
            Event::CircuitClosed { from, to } => tracing::info!(%from, %to, "circuit closed"),
            Event::CircuitRefused { from, to } => tracing::debug!(%from, %to, "circuit refused"),
            Event::Stranger { id, from } => tracing::warn!(%id, %from, "a stranger was refused"),
        }
    }
    Ok(())
}

/// In OpenMetrics' text form.
fn metrics_text(counts: Counts) -> String {
    let mut registry = Registry::with_prefix("symbolon_relay");
    let gauges = [
        ("connected", "Operators connected now", counts.connected),
        ("circuits", "Circuits open now", counts.circuits),
    ];
    for (name, help, value) in gauges {
        registry.register(name, help, ConstGauge::new(value));
    }
    let counters = [
        ("circuits_opened", "Circuits opened", counts.circuits_opened),
        (
            "circuits_refused",
            "Circuits refused: no reservation at the end, or a limit",
            counts.circuits_refused,
        ),
        ("reservations", "Reservations made", counts.reservations),
        ("reservations_refused", "Reservations beyond a limit", counts.reservations_refused),
        ("strangers", "Connections of keys that are not served", counts.strangers),
        ("turned_away", "Connections beyond the limit of handshakes at one time", counts.turned_away),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, ConstCounter::new(value));
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}
