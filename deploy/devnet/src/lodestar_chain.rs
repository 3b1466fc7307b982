//! A pool on a real Lodestar chain: distributed validators among ordinary ones, real clients on both sides of the nodes.
//!
//! ```text
//! Lodestar VC -> shim -> dvt-node -> shim -> Lodestar BN <- Lodestar VC (ordinary validators)
//! ```

use crate::lodestar::beacon_node::BeaconNode;
use crate::lodestar::engine::Engine;
use crate::lodestar::genesis::{Genesis, GenesisValidator, Keystores};
use crate::lodestar::judge::{Judgement, judge, watch::Watch};
use crate::lodestar::shim::Shim;
use crate::lodestar::site::{PACKAGES, Site};
use crate::lodestar::validator_client::{Orders as ClientOrders, ValidatorClient};
use crate::network;
use crate::npm::{Installation, default_root};
use crate::operators::{self, Around, FEE_RECIPIENT, Made, Operator};
use crate::outcomes::Latencies;
use crate::pool::{Nodes, Orders};
use crate::process::stop_all;
use crate::report::{Count, Report};
use anyhow::{Context as _, ensure};
use cluster::folder;
use cluster::lock::Lock;
use futures::future::try_join_all;
use keys::keystore::{EncryptOptions, Keystore};
use keys::keystores::{Passwords, read_folder};
use rand_core::{OsRng, RngCore as _};
use secrecy::SecretString;
use serde_json::Map;
use std::path::{Path, PathBuf};
use std::time::Duration;
use types::{ChainSpec, ClusterSize, Fork, ForkVersion, Millis, Root, Slot, ValidatorIndex};

/// Validators of the chain: with the minimal preset, two committees of four in every slot.
const VALIDATORS: usize = 64;
/// Genesis fork version of the minimal configuration, which deposits and registrations are signed for.
const GENESIS_VERSION: ForkVersion = ForkVersion([0, 0, 0, 1]);
/// From the beacon node's start to genesis: clients must be up before, on two busy cores.
const LEAD_S: u64 = 60;
/// Rounds of the validator client's keystores: their passwords are random.
const KEYSTORE_ROUNDS: u32 = 1024;
/// Attestations are judged once they can no longer be included: an epoch later.
const INCLUSION_SLOTS: u64 = 9;

/// What stands around the nodes.
struct Surroundings {
    _engine: Engine,
    node: BeaconNode,
    _node_shim: Shim,
    ordinary: ValidatorClient,
}

/// Runs a pool and judges it from the beacon node's own API.
pub async fn run(orders: &Orders) -> anyhow::Result<Report> {
    let size = ClusterSize::new_safe(orders.operators, orders.threshold)?;
    ensure!(
        orders.validators < VALIDATORS,
        "at most {} distributed validators among {VALIDATORS}",
        VALIDATORS - 1
    );
    let root = orders.lodestar_dir.clone().map_or_else(default_root, Ok)?;
    let installation = Installation::ready(&root, &PACKAGES).await?;
    let site = Site::open(installation, &orders.run_dir.join("lodestar"), orders.seconds_per_slot)?;

    let operators = operators::make(&orders.run_dir, orders.operators).await?;
    let draft = orders.run_dir.join("network-draft.json");
    let drafted = ChainSpec {
        genesis_fork_version: GENESIS_VERSION,
        ..network::spec(now_s()?, orders.seconds_per_slot)
    };
    std::fs::write(&draft, serde_json::to_vec_pretty(&drafted)?)?;
    let made =
        operators::ceremony(&orders.run_dir, &operators, orders.threshold, orders.validators, &draft).await?;
    tracing::info!(ms = made.ceremony_ms, "keys made");

    let ordinary = site.write_keystores("keys-ordinary", "ordinary", VALIDATORS - orders.validators).await?;
    let genesis = write_genesis(&site, &operators[0], &made, &ordinary).await?;
    let network = orders.run_dir.join("network.json");
    ensure!(
        genesis.spec.genesis_fork_version == GENESIS_VERSION,
        "Lodestar's minimal chain has another genesis"
    );
    std::fs::write(&network, serde_json::to_vec_pretty(&genesis.spec)?)?;

    let engine = Engine::start().await?;
    let node = BeaconNode::start(&site, &genesis, &engine).await?;
    let node_shim = Shim::for_old_node(node.url()).await?;
    let beacon_urls = vec![node_shim.url()];
    let around = |_| Around { beacon_urls: beacon_urls.clone(), ..Around::default() };
    let nodes = Nodes::start(&orders.run_dir, &operators, around, &network, &orders.kills).await?;
    let around = ClientOrders::new("ordinary", &ordinary, node.url());
    let ordinary = ValidatorClient::start(&site, &around).await?;
    let around = Surroundings { _engine: engine, node, _node_shim: node_shim, ordinary };
    let (shims, clients) = start_clients(&site, orders, &operators).await?;
    let logs = nodes.logs();
    let judgement = play(orders, &around, nodes).await;
    stop_all(clients.into_iter().map(|client| client.process)).await;
    drop(shims);
    stop_all([around.ordinary.process, around.node.process]).await;
    report(orders, size, &made, &judgement?, &logs)
}

fn now_s() -> anyhow::Result<u64> {
    let Millis(now) = crate::clock::now();
    ensure!(now > 0, "the clock stands before 1970");
    Ok(now / 1000)
}

/// The ceremony's keys first, with the credentials that it signed deposits for.
async fn write_genesis(
    site: &Site,
    operator: &Operator,
    made: &Made,
    ordinary: &Keystores,
) -> anyhow::Result<Genesis> {
    let lock = Lock::parse(&std::fs::read(operator.data_dir.join(folder::LOCK))?)?;
    let deposits = lock.deposits().context("a lock of ours has its deposits")?;
    let credentials = |key| {
        let of_key = deposits.iter().find(|deposit| deposit.message.public_key == key);
        of_key.map_or(Root::ZERO, |deposit| deposit.message.withdrawal_credentials)
    };
    let distributed = made
        .keys
        .iter()
        .map(|key| GenesisValidator { pubkey: *key, withdrawal_credentials: credentials(*key) });
    let ordinary = ordinary.pubkeys.iter().map(|key| GenesisValidator::ordinary(*key));
    let validators: Vec<_> = distributed.chain(ordinary).collect();
    Ok(site.write_genesis(now_s()? + LEAD_S, &validators).await?)
}

/// A real validator client for each operator, with its halves only, behind a shim.
async fn start_clients(
    site: &Site,
    orders: &Orders,
    operators: &[Operator],
) -> anyhow::Result<(Vec<Shim>, Vec<ValidatorClient>)> {
    let (mut shims, mut places) = (Vec::new(), Vec::new());
    for operator in operators {
        let shim = Shim::for_old_client(&operator.api_url()).await?;
        let (keystores, password_file) = lodestar_keystores(operator)?;
        places.push((format!("operator-{}", operator.number), keystores, password_file, shim.url()));
        shims.push(shim);
    }
    let client_orders: Vec<_> = places
        .iter()
        .map(|(name, keystores, password_file, url)| ClientOrders {
            name,
            keystores,
            password_file,
            keys: orders.validators,
            beacon_url: url,
            fee_recipient: FEE_RECIPIENT,
        })
        .collect();
    let clients =
        try_join_all(client_orders.iter().map(|orders| ValidatorClient::start(site, orders))).await?;
    Ok((shims, clients))
}

/// The operator's halves again, under one password, as this client takes them.
fn lodestar_keystores(operator: &Operator) -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = operator.client_dir.join("lodestar_keys");
    std::fs::create_dir_all(&folder)?;
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    let password = hex::encode(bytes);
    let password_file = operator.client_dir.join("lodestar-password.txt");
    write_private(&password_file, password.as_bytes())?;
    let password = SecretString::from(password);
    let halves = read_folder(&operator.client_dir.join(folder::KEYSTORES), &Passwords::Beside)?;
    for (number, half) in halves.iter().map(|one| &one.secret).enumerate() {
        let options = EncryptOptions { rounds: KEYSTORE_ROUNDS, ..EncryptOptions::default() };
        let keystore = Keystore::encrypt(half, &password, options, &mut OsRng);
        write_private(&folder.join(format!("keystore-{number}.json")), keystore.to_json().as_bytes())?;
    }
    Ok((folder, password_file))
}

fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(bytes)?)
}

/// Watches slot by slot, then judges.
async fn play(orders: &Orders, around: &Surroundings, mut nodes: Nodes) -> anyhow::Result<Judgement> {
    let distributed = (0..orders.validators as u64).map(ValidatorIndex).collect();
    let mut watch = Watch::begin(around.node.url()).await?;
    ensure!(watch.now() == Slot(0), "the clients came up after genesis: the machine is too busy");
    while watch.now() <= Slot(orders.slots + INCLUSION_SLOTS) {
        match watch.look().await {
            Ok(head) => tracing::info!(now = watch.now().0, head = head.0, "slot"),
            Err(error) => tracing::warn!(%error, "look again next slot"),
        }
        nodes.turn(watch.now().0).await?;
        tokio::time::sleep(Duration::from_secs(orders.seconds_per_slot)).await;
    }
    watch.look().await.context("the last look at the chain")?;
    nodes.stop().await;
    Ok(judge(&watch.record(), &distributed, Slot(0))?)
}

fn report(
    orders: &Orders,
    size: ClusterSize,
    made: &Made,
    judgement: &Judgement,
    logs: &[PathBuf],
) -> anyhow::Result<Report> {
    let (attest, propose) = (&judgement.attest, &judgement.propose);
    let missed = judgement.missed_attestations.iter().chain(&judgement.missed_proposals);
    let missed: Vec<_> = missed.chain(&judgement.missed_syncs).collect();
    let excused_from = orders.excused_from(size.faults());
    let inexcusable = missed.iter().filter(|miss| miss.slot.0 < excused_from).count();
    Ok(Report {
        operators: orders.operators,
        threshold: orders.threshold,
        validators: orders.validators,
        chain: "lodestar",
        fork: Fork::Capella,
        slots: orders.slots,
        ceremony_ms: made.ceremony_ms,
        finalized_epoch: judgement.finalized_epoch.0,
        attest: Count { due: attest.due - attest.excused, done: attest.due - attest.excused - attest.missed },
        propose: Count { due: propose.due, done: propose.done },
        others: vec![("sync_message", Count { due: judgement.sync.due, done: judgement.sync.done })],
        excused: attest.excused,
        latencies: Latencies::read(logs.iter().map(PathBuf::as_path))?,
        killed_at: orders.kills.iter().map(|kill| kill.slot).min(),
        inexcusable: inexcusable as u64,
        wrong: Vec::new(),
        slashable: 0,
        rejected: missed.iter().map(|miss| format!("missed: {miss:?}")).collect(),
        differing: Vec::new(),
        facts: Map::new(),
    })
}
