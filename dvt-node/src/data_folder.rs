//! What an operator's data folder holds, read and checked before anything starts.

use anyhow::{Context as _, bail, ensure};
use cluster::lock::{Cluster, Lock};
use cluster::network::{Network, Networks};
use cluster::{Check, Verdict, folder};
use crypto::{PublicKeyPoint, cores};
use keys::files;
use keys::identity::{KEY_FILE, NodeKey, NodeKeys, Operator};
use keys::secret_file::read_password;
use keys::store::NodeStore;
use keys::{NodeHalf, NodeSigner};
use net::peers_file;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use types::{ChainSpec, ClusterSize, Generation, PublicKey, ShareIndex, Threshold};

use crate::curve::{Curve, ValidatorKeys};

/// A data folder that was read.
#[derive(Debug)]
pub struct DataFolder {
    /// Where it is.
    pub path: PathBuf,
    /// The lock, verified.
    pub lock: Lock,
    /// The cluster that it describes.
    pub cluster: Cluster,
    /// `n` and `t`, safe for signing.
    pub size: ClusterSize,
    /// The network.
    pub spec: ChainSpec,
    /// This operator.
    pub operator: Operator,
    /// Which one it is.
    pub me: ShareIndex,
    /// Addresses of the others.
    pub peers: Vec<peers_file::PeerEntry>,
    /// What [`DataFolder::remember_verified`] writes; `None` if it is there, or if something could not be verified here.
    unremembered: Option<String>,
}

/// How to read it.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// A network that is not built in.
    pub network_config: Option<PathBuf>,
    /// The node halves' password; without it the file that the ceremony made.
    pub password_file: Option<PathBuf>,
    /// Whether the validator client's keystores may lie in the same folder.
    pub same_host: bool,
}

impl Reading {
    /// For commands beside a stopped node: where the client's keystores lie is a matter for one that runs.
    pub fn of_command(network_config: &Option<PathBuf>, password_file: &Option<PathBuf>) -> Self {
        Self { network_config: network_config.clone(), password_file: password_file.clone(), same_host: true }
    }
}

impl DataFolder {
    /// Reads and checks everything but the secrets of validators.
    pub fn read(path: &Path, reading: &Reading) -> anyhow::Result<Self> {
        let keystores = path.join(folder::KEYSTORES);
        if keystores.exists() && !reading.same_host {
            bail!(
                "{} holds the validator client's halves: move it to the client's host, or say --same-host; \
                 whoever reads one disk should not find both halves",
                keystores.display()
            );
        }
        let (lock, bytes) = read_lock(path)?;
        let (spec, _) = network_of(&lock, Some(path), reading)?;
        let unremembered = verify_unless_remembered(path, (&lock, &bytes), &spec)?;
        let cluster = lock.cluster().with_context(|| folder::LOCK.to_owned())?;
        let size = ClusterSize::new_safe(cluster.size.operators(), cluster.size.threshold())?;
        let key = NodeKey::load(&path.join(KEY_FILE))?;
        let publics: Vec<_> = cluster.nodes.iter().map(|key| *key.as_bytes()).collect();
        let keys = NodeKeys::new(&publics)?;
        let me =
            keys.index_of(&key.public()).context("the node key here is none of the cluster's operators'")?;
        let operator = Operator::new(key, me, keys)?;
        let peers = read_peers(path)?;
        Ok(Self { path: path.to_owned(), lock, cluster, size, spec, operator, me, peers, unremembered })
    }

    /// Writes down that the lock was verified, so that the next start need not do it again: with ten thousand validators
    /// that is half a minute on one core.
    ///
    /// - Only while the journal is open: one process at a time writes into a folder.
    /// - A mark that cannot be written costs the next start that time, and nothing else.
    pub fn remember_verified(&self) {
        let Some(mark) = &self.unremembered else { return };
        let path = self.path.join(folder::LOCK_VERIFIED);
        if let Err(error) = files::replace(&path, mark.as_bytes(), files::PUBLIC) {
            tracing::warn!(%error, "the next start verifies the lock again");
        }
    }

    /// The password of the node's halves.
    pub fn password(&self, reading: &Reading) -> anyhow::Result<SecretString> {
        let file = match &reading.password_file {
            Some(path) => path.clone(),
            None => self.path.join(folder::NODE_PASSWORD),
        };
        Ok(read_password(&file)?)
    }

    /// Opens the node halves: one for each of the lock's validators, in its order.
    pub fn halves(&self, reading: &Reading) -> anyhow::Result<Vec<NodeHalf>> {
        let password = self.password(reading)?;
        let path = self.path.join(NodeStore::file_name(Generation(0)));
        let store = NodeStore::load(&path, &password).with_context(|| path.display().to_string())?;
        ensure!(store.cluster == self.cluster.id, "{} belongs to another cluster", path.display());
        let keys: Vec<PublicKey> = store.halves.iter().map(|half| half.group_key).collect();
        let wanted: Vec<PublicKey> = self.cluster.validators.iter().map(|one| one.public_key).collect();
        ensure!(keys == wanted, "{} does not hold the lock's validators", path.display());
        Ok(store.halves.into_iter().map(|stored| stored.half).collect())
    }

    /// Opens the node halves and parses everybody's public keys.
    pub fn curve(&self, reading: &Reading) -> anyhow::Result<std::sync::Arc<Curve>> {
        let halves = self.halves(reading)?;
        let position = self.me.position();
        let shares = self.cluster.validators.iter().map(|one| one.public_shares[position]);
        let signer = NodeSigner::new(halves.into_iter().zip(shares))?;
        let validators = cores::map(&self.cluster.validators, parse_keys);
        let validators = validators.into_iter().collect::<anyhow::Result<_>>()?;
        let threshold = Threshold(u8::try_from(self.size.threshold()).context("a threshold fits a byte")?);
        Curve::new(signer, validators, threshold).context("cannot start the threads for curve work")
    }
}

/// Refuses a folder in which no node may run: its history is elsewhere, or its keys are.
pub fn ensure_may_run(path: &Path) -> anyhow::Result<()> {
    ensure!(
        !path.join(folder::HISTORY_WANTED).exists(),
        "{}: these validators have signed before, and the journal does not know what: run \
         dvt-node slashing-protection import with their client's export, or dvt-node slashing-protection wait",
        path.join(folder::HISTORY_WANTED).display()
    );
    ensure!(
        !path.join(folder::EXPORTED).exists(),
        "{}: this operator's part was given to other software or put together to whole keys, and two with the same \
         keys get validators slashed; to come back, stop the other and run dvt-node import into a new data folder",
        path.join(folder::EXPORTED).display()
    );
    Ok(())
}

/// Whether a lock may be trusted.
///
/// - Returns what could not be verified here: contract wallets' signatures.
/// - Errors: the first check that is broken.
pub fn lock_holds(lock: &Lock, spec: &ChainSpec) -> anyhow::Result<Vec<Check>> {
    let networks = Networks::public().with(Network::from(spec));
    let mut open = Vec::new();
    for check in lock.check(&networks) {
        match check.verdict {
            Verdict::Holds => {}
            Verdict::Unverified => open.push(check),
            Verdict::Broken => bail!("not valid: {}: {}", check.name, check.detail),
        }
    }
    Ok(open)
}

/// Verifies a folder's lock, unless its mark says that it was.
///
/// - Whoever can write a mark can write another lock and other halves, too.
/// - Returns the mark to write.
fn verify_unless_remembered(
    path: &Path,
    (lock, bytes): (&Lock, &[u8]),
    spec: &ChainSpec,
) -> anyhow::Result<Option<String>> {
    let mark = verified_mark(bytes, spec);
    if std::fs::read(path.join(folder::LOCK_VERIFIED)).is_ok_and(|kept| kept == mark.as_bytes()) {
        return Ok(None);
    }
    let open = lock_holds(lock, spec).with_context(|| folder::LOCK.to_owned())?;
    for check in &open {
        tracing::warn!(check = check.name, check.detail, "nobody here has verified a contract's signature");
    }
    Ok(open.is_empty().then_some(mark))
}

/// What says that these bytes of a lock hold on this network, by the rules of this version.
pub fn verified_mark(lock: &[u8], spec: &ChainSpec) -> String {
    let spec = serde_json::to_vec(spec).expect("a network is written as it was read");
    let mut hasher = Sha256::new();
    for part in [b"symbolon/lock-verified/v1".as_slice(), env!("CARGO_PKG_VERSION").as_bytes(), &spec, lock] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    format!("{}\n", hex::encode(hasher.finalize()))
}

fn read_lock(path: &Path) -> anyhow::Result<(Lock, Vec<u8>)> {
    let path = path.join(folder::LOCK);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lock = Lock::parse(&bytes).with_context(|| path.display().to_string())?;
    Ok((lock, bytes))
}

/// The network of `--network-config`, of the folder's own file, or the built-in one that the lock names.
///
/// - Returns the bytes of the file too, if it was one.
pub fn network_of(
    lock: &Lock,
    folder: Option<&Path>,
    reading: &Reading,
) -> anyhow::Result<(ChainSpec, Option<Vec<u8>>)> {
    let version = lock.definition().fork_version();
    let own = folder.map(|folder| folder.join(folder::NETWORK)).filter(|own| own.exists());
    let (spec, file) = match reading.network_config.clone().or(own) {
        Some(file) => {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let spec = ChainSpec::from_config_json(&bytes).with_context(|| file.display().to_string())?;
            (spec, Some(bytes))
        }
        None => {
            let networks = Networks::public();
            let network = networks.by_fork_version(version);
            let network =
                network.with_context(|| format!("no built-in network has genesis fork version {version}"))?;
            let spec = ChainSpec::builtin(&network.name);
            let spec =
                spec.with_context(|| format!("{} is not built in: use --network-config", network.name))?;
            (spec, None)
        }
    };
    ensure!(
        version == spec.genesis_fork_version,
        "the cluster is of the network with genesis fork version {version}, this node is set to {} ({})",
        spec.name,
        spec.genesis_fork_version
    );
    Ok((spec, file))
}

fn read_peers(path: &Path) -> anyhow::Result<Vec<peers_file::PeerEntry>> {
    let path = path.join(folder::PEERS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    peers_file::parse(&text).with_context(|| path.display().to_string())
}

fn parse_keys(validator: &cluster::lock::ClusterValidator) -> anyhow::Result<ValidatorKeys> {
    let group = PublicKeyPoint::parse(&validator.public_key)?;
    let shares = validator.public_shares.iter().map(PublicKeyPoint::parse).collect::<Result<_, _>>()?;
    Ok(ValidatorKeys { group, shares })
}
