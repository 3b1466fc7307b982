//! `dvt-node run`: puts the parts together, and takes them apart in order.

use crate::archive::Archive;
use crate::builder::{self, Builder, BuilderConfig};
use crate::chain_side::{ChainSide, Seat};
use crate::clock::now;
use crate::contents::Contents;
use crate::curve::Curve;
use crate::data_folder::{DataFolder, Reading, ensure_may_run};
use crate::engine::{self, Door, Engine, Event};
use crate::journal::{Journal, Writer};
use crate::metrics::Metrics;
use crate::monitor::{self, Monitor, Peer};
use crate::record::{self, RecordConfig, Recorded};
use crate::server::{self, Served, serve};
use crate::stops::{OnDoppelganger, Stops, watch_slashed};
use crate::upstream::BeaconNodes;
use crate::validator_api::{self, Api, Noticed, Tls, Token};
use crate::watch::watch;
use anyhow::{Context as _, ensure};
use axum::Router;
use beacon::{ApiError, Beacon};
use cluster::enr::Enr;
use cluster::folder;
use net::{Identity, Multiaddr, PeerSpec, Protocol};
use rand_core::{OsRng, RngCore as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use symbolon_core::agree::Timers;
use symbolon_core::mutants::Rules;
use symbolon_core::node::{Setup, Validator};
use symbolon_core::{DependentRoots, Input};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::approval::{Kept, Standing};
use types::{Generation, Machine as _, Root, ShareIndex};

/// How often finality is asked for and proposers are prepared: well within every epoch in use.
const HOUSEKEEPING: Duration = Duration::from_secs(6);

/// PEM files of a TLS server.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and those that lead to a known one.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What `dvt-node run` is told.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The operator's data folder.
    pub data_dir: PathBuf,
    /// How to read it.
    pub reading: Reading,
    /// Beacon nodes, best first.
    pub beacon_nodes: Vec<String>,
    /// Where the validator client connects.
    pub validator_api: SocketAddr,
    /// Its TLS, if any.
    pub validator_api_tls: Option<TlsFiles>,
    /// The file of the bearer token that the validator client has to show, if any.
    pub validator_api_token: Option<PathBuf>,
    /// Where the other operators connect.
    pub listen: Vec<Multiaddr>,
    /// Relays to be reached through, each with its `/p2p/`.
    pub relays: Vec<Multiaddr>,
    /// Where metrics and accounts of duties are served, if at all.
    pub metrics: Option<SocketAddr>,
    /// More addresses of operators: their ENR and an address.
    pub peers: Vec<(String, Multiaddr)>,
    /// The proposer's words in blocks that this operator leads.
    pub graffiti: Root,
    /// Blocks of builders, if this operator takes them.
    pub builder: Option<BuilderConfig>,
    /// What a validator whose key signs elsewhere leads to.
    pub on_doppelganger: OnDoppelganger,
    /// Where the machine's inputs are recorded, if at all.
    pub record: Option<RecordConfig>,
}

/// Runs a node until `stop`.
pub async fn run(config: RunConfig, stop: CancellationToken) -> anyhow::Result<()> {
    let started = now();
    let data = DataFolder::read(&config.data_dir, &config.reading)?;
    // The journal first: while it is locked, no other command changes halves, history or marks in this folder.
    let journal = Journal::open(&data.path.join(folder::JOURNAL), data.cluster.id)?;
    ensure_may_run(&config.data_dir)?;
    data.remember_verified();
    let curve = data.curve(&config.reading)?;
    warn_of_unsplit(&curve);
    let keys: Vec<_> = data.cluster.validators.iter().map(|validator| validator.public_key).collect();
    let histories = journal.histories(&keys);
    let spec = Arc::new(data.spec.clone());
    let metrics = Arc::new(Metrics::default());
    let stops = Stops::open(&data.path, keys.clone(), config.on_doppelganger, metrics.clone())?;
    let stops = Arc::new(stops);
    let builder = make_builder(&config, &data, &metrics)?;
    let kept = Arc::new(Contents::default());
    let chain = start_chain_side(&config, &data, kept.clone(), builder.as_deref()).await?;

    let (door, events) = Door::new();
    let writer = start_writer(journal, door.clone())?;
    let api = client_api(&data, &curve, (&chain, kept.clone()), (door.clone(), metrics.clone()))?;
    let (api, tls) = guard(api, &config)?;
    let tasks = TaskTracker::new();
    let servers = Servers::bind(&config).await?;
    let (wire, wire_events) = start_wire(&config, &data)?;
    tracing::info!(
        operator = %data.me,
        cluster = %data.cluster.id,
        name = data.cluster.name,
        validators = keys.len(),
        network = spec.name,
        validator_api = %servers.validator_api.local_addr()?,
        "node started"
    );
    let setup = node_setup(&data, started, builder.as_deref());
    let mut node =
        start_node(record::begin(config.record.as_ref(), &data, setup, histories), started, &stops);
    let (archive, registered) = recall(&mut node, &data, started, (&chain, builder.as_ref()))?;
    let engine = Engine {
        node,
        size: data.size,
        cluster: data.cluster.id,
        operator: data.operator,
        wire: wire.clone(),
        chain: chain.clone(),
        contents: kept,
        spec: spec.clone(),
        journal: writer,
        curve,
        stops: stops.clone(),
        metrics: metrics.clone(),
        archive,
        registered,
        door: door.clone(),
    };
    let mind = tasks.spawn(engine::run(engine, events, stop.clone()));
    let ears = tasks.spawn(until(stop.clone(), hear_wire(wire_events, door.clone(), metrics.clone())));
    let shown = Monitor {
        witness: door.clone(),
        spec,
        validators: keys,
        metrics,
        peers: look_at_peers(&wire, data.size, data.me),
        beacon_nodes: look_at_beacon_nodes(&chain),
    };
    let clock = follow_chain(&tasks, &stop, (chain, stops), (door, shown.metrics.clone()), builder.as_ref());
    servers.serve(&tasks, &stop, (api, tls), builder, monitor::router(shown));
    finish(tasks, &wire, stop, [mind, ears, clock]).await
}

/// Everything that hears of the chain, and tells the loop. Returns the task that watches the clock; it ends when the
/// clock wants a new process.
fn follow_chain(
    tasks: &TaskTracker,
    stop: &CancellationToken,
    (chain, stops): (Arc<ChainSide>, Arc<Stops>),
    (door, metrics): (Door, Arc<Metrics>),
    builder: Option<&Arc<Builder>>,
) -> JoinHandle<()> {
    let (beacon, spec) = (chain.beacon().clone(), chain.spec().clone());
    tasks.spawn(until(stop.clone(), hear_heads(chain.clone(), door.clone())));
    let clock = tasks.spawn(until(stop.clone(), watch(beacon.clone(), spec.clone(), door.clone(), metrics)));
    tasks.spawn(until(stop.clone(), watch_slashed(chain.clone(), spec, stops, door.clone())));
    if let Some(builder) = builder {
        tasks.spawn(until(stop.clone(), builder.clone().keep_registered(beacon)));
    }
    tasks.spawn(until(stop.clone(), keep_house(chain, door)));
    clock
}

/// Everything that listens.
struct Servers {
    validator_api: TcpListener,
    metrics: Option<TcpListener>,
    builder: Option<TcpListener>,
}

impl Servers {
    async fn bind(config: &RunConfig) -> anyhow::Result<Self> {
        let validator_api = bind(config.validator_api, "validator API").await?;
        let metrics = match config.metrics {
            Some(address) => Some(bind(address, "metrics").await?),
            None => None,
        };
        let builder = match &config.builder {
            Some(builder) => Some(bind(builder.listen, "builder API").await?),
            None => None,
        };
        Ok(Self { validator_api, metrics, builder })
    }

    fn serve(
        self,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        (api, tls): (Router, Option<Tls>),
        builder: Option<Arc<Builder>>,
        monitor: Router,
    ) {
        let connections_max = server::CLIENT_CONNECTIONS_MAX;
        let api = Served { what: "validator API", connections_max, tls, routes: api };
        tasks.spawn(serve(self.validator_api, api, stop.clone()));
        if let Some((listener, builder)) = self.builder.zip(builder) {
            tasks.spawn(serve(listener, Served::to_few("builder API", builder.router()), stop.clone()));
        }
        if let Some(listener) = self.metrics {
            tasks.spawn(serve(listener, Served::to_few("metrics", monitor), stop.clone()));
        }
    }
}

fn look_at_peers(wire: &net::Handle, size: types::ClusterSize, me: ShareIndex) -> monitor::Look<Peer> {
    let (wire, others): (_, Vec<_>) = (wire.clone(), size.others(me).collect());
    Box::new(move || Peer::all(&wire, &others))
}

fn look_at_beacon_nodes(chain: &ChainSide) -> monitor::Look<beacon::NodeHealth> {
    let beacon = chain.beacon().clone();
    Box::new(move || beacon.health())
}

fn start_node(mut node: Recorded, started: types::Millis, stops: &Stops) -> Recorded {
    // Before anything else: a node that was stopped starts stopped.
    for input in stops.at_start() {
        node.handle(started, input);
    }
    // Drawn while the journal is locked, so that the process before this one has ended.
    let mut boot = Root::ZERO;
    OsRng.fill_bytes(&mut boot.0);
    node.handle(started, Input::Born { boot });
    if let Some(until) = node.node().follow_until() {
        tracing::info!(%until, "following only, up to this slot: it may have begun before this start");
    }
    node
}

/// Whom blocks pay goes to the beacon nodes and to the relays.
fn registered(chain: Arc<ChainSide>, builder: Option<Arc<Builder>>) -> engine::Registered {
    Box::new(move |standing: &[Standing]| {
        for Standing { newest, .. } in standing {
            chain.pay(newest.message.pubkey, newest.message.fee_recipient);
        }
        if let Some(builder) = &builder {
            builder.learn(standing.iter().map(|one| one.newest));
        }
    })
}

/// Gives the machine what the disk remembers of approvals, and the chain's side whom blocks pay by them. Returns who
/// keeps and who is told what comes of them from now on.
fn recall(
    node: &mut Recorded,
    data: &DataFolder,
    now: types::Millis,
    (chain, builder): (&Arc<ChainSide>, Option<&Arc<Builder>>),
) -> anyhow::Result<(Archive, engine::Registered)> {
    let (archive, kept) = Archive::open(data)?;
    let registered = registered(chain.clone(), builder.cloned());
    for one in kept {
        if let Kept::Registered(standing) = &one {
            registered(standing);
        }
        node.handle(now, Input::Recall(one));
    }
    Ok((archive, registered))
}

/// Waits to be asked to stop, then for everything to end; the wire comes last, so that last words leave.
///
/// - `vital`: what a node is nothing without. If one of them ends by itself the process does, for whoever watches over it
///   to start it anew.
async fn finish(
    tasks: TaskTracker,
    wire: &net::Handle,
    stop: CancellationToken,
    vital: [JoinHandle<()>; 3],
) -> anyhow::Result<()> {
    tasks.close();
    let [mut mind, mut ears, mut clock] = vital;
    tokio::select! {
        () = stop.cancelled() => {}
        _ = &mut mind => {}
        _ = &mut ears => {}
        _ = &mut clock => {}
    }
    let asked = stop.is_cancelled();
    stop.cancel();
    tasks.wait().await;
    wire.shutdown().await;
    tracing::info!("node stopped");
    ensure!(asked, "a part of this node ended by itself, the log says which: start it again");
    Ok(())
}

fn warn_of_unsplit(curve: &Curve) {
    if let validators @ 1.. = curve.unsplit() {
        tracing::warn!(
            validators,
            "the validator client's keystores hold whole shares: whoever steals one has it; see dvt-node resplit"
        );
    }
}

async fn start_chain_side(
    config: &RunConfig,
    data: &DataFolder,
    kept: Arc<Contents>,
    builder: Option<&Builder>,
) -> anyhow::Result<Arc<ChainSide>> {
    let spec = Arc::new(data.spec.clone());
    let seats = data.cluster.validators.iter();
    let seats = seats.map(|one| Seat { group_key: one.public_key, fee_recipient: one.fee_recipient });
    let beacon = Beacon::new(config.beacon_nodes.clone(), spec.clone(), beacon::Limits::default())?;
    let builder = builder.map(Builder::side);
    let chain = ChainSide::new(beacon, spec, seats.collect(), kept, config.graffiti, builder);
    check_network(&chain).await?;
    Ok(chain)
}

fn node_setup(data: &DataFolder, started: types::Millis, builder: Option<&Builder>) -> Setup {
    let validator = |one: &cluster::lock::ClusterValidator| Validator {
        group_key: one.public_key,
        fee_recipient: one.fee_recipient,
    };
    Setup {
        size: data.size,
        me: data.me,
        generation: Generation(0),
        spec: data.spec.clone(),
        validators: data.cluster.validators.iter().map(validator).collect(),
        relays: builder.map(Builder::relay_keys).into_iter().flatten().collect(),
        timers: Timers::default(),
        rules: Rules::default(),
        started,
    }
}

/// The API that the validator client speaks.
fn client_api(
    data: &DataFolder,
    curve: &Curve,
    (chain, kept): (&ChainSide, Arc<Contents>),
    (door, metrics): (Door, Arc<Metrics>),
) -> anyhow::Result<Router> {
    Ok(validator_api::router(Api {
        seats: client_seats(data, curve)?,
        upstream: BeaconNodes(chain.beacon().clone()),
        spec: chain.spec().clone(),
        duties: door,
        contents: find_contents(kept),
        notice: notice(metrics),
        now: Box::new(now),
    }))
}

/// The keys that each validator goes by on both sides of the validator API.
fn client_seats(data: &DataFolder, curve: &Curve) -> anyhow::Result<Vec<validator_api::Seat>> {
    let seat = |(number, one): (u32, &cluster::lock::ClusterValidator)| {
        let number = types::ValidatorNo(number);
        Ok(validator_api::Seat {
            number,
            group_key: one.public_key,
            client_key: curve.client_key(number).context("one half for each validator")?,
            share_key: one.public_shares[data.me.position()],
        })
    };
    (0..).zip(&data.cluster.validators).map(seat).collect()
}

fn find_contents(kept: Arc<Contents>) -> validator_api::FindContents {
    Box::new(move |block| kept.of(*block))
}

fn notice(metrics: Arc<Metrics>) -> validator_api::Notice {
    Box::new(move |noticed| match noticed {
        Noticed::UnknownRoute => metrics.unknown_route(),
        Noticed::Shed => metrics.request_shed(),
        Noticed::Dropped(_) => metrics.message_dropped(),
    })
}

/// A beacon node of another network would let us sign for the wrong one; nothing starts then.
async fn check_network(chain: &ChainSide) -> anyhow::Result<()> {
    let mut answers = 0;
    let mut wrong = Vec::new();
    for (node, answer) in chain.beacon().check_network().await {
        match answer {
            Ok(()) => answers += 1,
            Err(error @ ApiError::Body(_)) => wrong.push(format!("{node}: {error}")),
            Err(error) => tracing::warn!(node, %error, "a beacon node does not answer yet"),
        }
    }
    ensure!(wrong.is_empty() || answers > 0, "no beacon node of this network: {}", wrong.join("; "));
    Ok(())
}

fn start_writer(journal: Journal, door: Door) -> anyhow::Result<Writer> {
    let answer = move |ticket, result: Result<(), &crate::journal::JournalError>| {
        if let Err(error) = &result {
            tracing::error!(%error, "nothing is signed");
        }
        door.send_blocking(Event::Input(Input::Journaled { ticket, durable: result.is_ok() }));
    };
    Writer::start(journal, answer).context("cannot start the journal's thread")
}

fn start_wire(config: &RunConfig, data: &DataFolder) -> anyhow::Result<(net::Handle, net::Events)> {
    let mut entries = data.peers.clone();
    for (enr, address) in &config.peers {
        net::peers_file::add(&mut entries, enr.clone(), address.clone())?;
    }
    let mut peers: Vec<PeerSpec> = data
        .cluster
        .nodes
        .iter()
        .map(|node| PeerSpec { public_key: *node.as_bytes(), addresses: Vec::new() })
        .collect();
    for entry in entries {
        let enr = Enr::parse(&entry.enr).with_context(|| format!("peer {}", entry.enr))?;
        let seat = peers.iter_mut().find(|peer| peer.public_key == *enr.key().as_bytes());
        let seat = seat.with_context(|| format!("peer {} is not an operator of this cluster", entry.enr))?;
        seat.addresses.extend(entry.addresses);
    }
    let wire = net::Config {
        identity: Identity::from_secret(data.operator.key().secret_bytes())?,
        peers,
        me: data.me,
        listen: config.listen.clone(),
        relays: config.relays.clone(),
        protocol: Protocol::new("node", u32::from(types::wire::WIRE_VERSION), data.cluster.id)?,
        limits: net::Limits::default(),
    };
    Ok(net::start(wire)?)
}

/// The builder's proxy, if this operator takes blocks of builders.
fn make_builder(
    config: &RunConfig,
    data: &DataFolder,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<Arc<Builder>>> {
    let Some(config) = &config.builder else { return Ok(None) };
    let metrics = metrics.clone();
    let notice = Box::new(move |noticed: builder::Noticed<'_>| metrics.builder(noticed));
    let spec = Arc::new(data.spec.clone());
    let builder = Builder::new(config.clone(), spec, &data.cluster.validators, notice)?;
    tracing::info!(builder_api = %config.listen, relays = config.relays.len(), "blocks of builders are taken");
    Ok(Some(builder))
}

pub(crate) async fn bind(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot serve the {what} on {address}"))
}

/// Puts the bearer token in front of the validator API, and reads the files of its TLS, as the operator wants it.
fn guard(api: Router, config: &RunConfig) -> anyhow::Result<(Router, Option<Tls>)> {
    let tls = config.validator_api_tls.as_ref();
    let tls = tls.map(|files| Tls::read(&files.certificate, &files.key)).transpose()?;
    let api = match &config.validator_api_token {
        Some(file) => validator_api::guarded(api, Token::read(file)?),
        None => api,
    };
    Ok((api, tls))
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

async fn hear_wire(mut events: net::Events, door: Door, metrics: Arc<Metrics>) {
    while let Some(event) = events.next().await {
        match event {
            net::Event::Up { peer, route } => presence(&door, &metrics, peer, Some(route)).await,
            net::Event::Down { peer, reason } => {
                tracing::info!(%peer, %reason, "operator disconnected");
                presence(&door, &metrics, peer, None).await;
            }
            // No message of this version travels as bulk.
            net::Event::Bulk { peer, frame } => {
                door.send(Event::Bulk(peer, frame)).await;
            }
            net::Event::RelayUp { relay } => {
                tracing::info!(%relay, "reachable through a relay");
                metrics.relay_up(true);
            }
            net::Event::RelayDown { relay, reason } => {
                tracing::warn!(%relay, reason, "not reachable through a relay any more; trying again");
                metrics.relay_up(false);
            }
            net::Event::RelayUnreachable { relay, reason } => {
                tracing::warn!(%relay, reason, "a relay is not reached; trying again");
            }
            net::Event::Frame { peer, frame } => {
                door.send(Event::Frame(peer, frame)).await;
            }
            net::Event::Listening(address) => tracing::info!(%address, "listening for operators"),
            net::Event::Unreachable { peer, reason } => {
                tracing::debug!(%peer, %reason, "operator not reached");
            }
            net::Event::Stranger { id, from } => tracing::warn!(%id, %from, "a stranger was refused"),
        }
    }
    tracing::error!("the wire has ended by itself: no operator is reached until this node is started again");
}

async fn presence(door: &Door, metrics: &Metrics, peer: ShareIndex, route: Option<net::Route>) {
    metrics.peer_up(peer, route);
    if let Some(route) = route {
        tracing::info!(%peer, %route, "operator connected");
    }
    door.send(Event::Input(Input::Presence { peer, up: route.is_some() })).await;
}

async fn hear_heads(chain: Arc<ChainSide>, door: Door) {
    let mut heads = chain.heads();
    while let Some(head) = heads.recv().await {
        // A head whose payload nobody has verified is not voted for; the deadline asks again.
        if head.execution_optimistic {
            continue;
        }
        let roots = head.previous_duty_dependent_root.zip(head.current_duty_dependent_root);
        let dependent = roots.map(|(previous, current)| DependentRoots { previous, current });
        door.send(Event::Input(Input::Head { slot: head.slot, root: head.block, dependent })).await;
    }
}

/// Finality for the checks, and whom our blocks pay for the beacon nodes.
async fn keep_house(chain: Arc<ChainSide>, door: Door) {
    loop {
        if let Ok(checkpoint) = chain.beacon().finalized().await {
            door.send(Event::Input(Input::Finalized(checkpoint))).await;
        }
        chain.prepare().await;
        tokio::time::sleep(HOUSEKEEPING).await;
    }
}
