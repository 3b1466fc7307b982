//! `dvt-node import`: an operator of an Obol cluster moves in, with the shares, keystores and history it has.
//!
//! The validator client keeps its keystores, which hold whole shares, so the node's half is zero until `resplit`.
//! What was signed before comes along: the client's EIP-3076 export, whose records are of share keys, becomes rows of the
//! journal under the validators' own keys. Everything is made in a folder aside and then moved in, the lock last; without
//! a lock no node starts.

use crate::data_folder::{Reading, lock_holds, network_of};
use crate::journal::Journal;
use crate::moving::interchange::{Interchange, Rows};
use crate::moving::slashing_protection::{WAIT_EPOCHS, has_begun, read, waiting};
use anyhow::{Context as _, ensure};
use clap::Args;
use cluster::enr::Enr;
use cluster::lock::{Cluster, Lock};
use cluster::{Verdict, folder};
use keys::NodeHalf;
use keys::files::{PUBLIC, sync_folder, write_new};
use keys::identity::{KEY_FILE, NodeKey, NodeKeys};
use keys::keystores::{OpenedKeystore, Passwords, SealedKeystore, read_folder};
use keys::secret_file::{random_hex, read_any, read_password, write_new_secret};
use keys::store::{NodeStore, Protection, StoredHalf};
use net::{Multiaddr, peers_file};
use rand_core::OsRng;
use remote::flags::KeymanagerFlags;
use remote::keymanager::{Keymanager, Push};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use symbolon_core::journal::Row;
use types::{ChainSpec, ClusterId, ClusterSize, Generation, Millis, PublicKey, ShareIndex, Slot};

/// Bytes of a node key's file, white space of an editor included.
const KEY_FILE_LEN_MAX: usize = 128;

/// What `dvt-node import` is told.
#[derive(Clone, Debug, Default, Args)]
pub struct ImportArgs {
    /// The operator's .charon folder: node key, keystores, lock.
    #[arg(long)]
    pub obol: PathBuf,
    /// The data folder to make.
    #[arg(long, env = "SYMBOLON_DATA_DIR")]
    pub data_dir: PathBuf,
    /// What the validator client has signed with these shares: its EIP-3076 export.
    #[arg(long, visible_alias = "slashing-protection")]
    pub history: Option<PathBuf>,
    /// Validators without a history sign nothing for two whole epochs instead.
    #[arg(long)]
    pub no_history: bool,
    /// The cluster lock, if it lies elsewhere.
    #[arg(long)]
    pub lock: Option<PathBuf>,
    /// The keystores and their passwords, if they lie elsewhere.
    #[arg(long)]
    pub keystores: Option<PathBuf>,
    /// Another operator's address, for peers.toml: ENR=MULTIADDR. Repeat for each.
    #[arg(long = "peer", value_parser = net::peers_file::parse_flag)]
    pub peers: Vec<(String, Multiaddr)>,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long)]
    pub network_config: Option<PathBuf>,
    /// Accept signatures that only a contract wallet could make valid.
    #[arg(long)]
    pub allow_contract_wallets: bool,
    /// The password for the node's halves; without it a random one is made.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// The validator client that takes the keystores.
    #[command(flatten)]
    pub keymanager: KeymanagerFlags,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// The cluster's id, its lock hash.
    pub cluster: ClusterId,
    /// Which operator this is, from 1.
    pub operator: u8,
    /// How many validators there are.
    pub validators: usize,
    /// How many of them came with their history.
    pub with_history: usize,
    /// Up to this slot validators without a history sign nothing, if there are any.
    pub waits_until: Option<Slot>,
    /// The data folder.
    pub data_dir: PathBuf,
    /// The validator client that took the keystores.
    pub keymanager: Option<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operator, validators, cluster, data_dir, .. } = self;
        write!(f, "operator {operator} with {validators} validators of cluster {cluster}")?;
        write!(f, "\ndata folder {}", data_dir.display())?;
        write!(f, "\nhistories of {} validators in the journal", self.with_history)?;
        if let Some(until) = self.waits_until {
            write!(f, "\nno history of the others: they sign nothing up to and including slot {until}")?;
        }
        match &self.keymanager {
            Some(client) => write!(f, "\nkeystores taken by the validator client at {client}")?,
            None => write!(f, "\nthe validator client keeps its keystores: point it at the node")?,
        }
        write!(f, "\nthey hold whole shares; dvt-node resplit gives it new ones, of halves")?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}

/// Moves an operator in.
///
/// - Everything is checked, and the data folder is made aside, before a client is handed anything; what a node needs to
///   start appears last. A client that refuses leaves nothing behind, and the same command may be given again.
pub fn import(args: &ImportArgs, now: Millis) -> anyhow::Result<Imported> {
    let client = args.keymanager.client(|path| anyhow::Ok(read_password(path)?))?;
    ensure_free(&args.data_dir)?;
    let import = Import::read(args, now)?;
    let place = Place::claim(&args.data_dir)?;
    import.fill(&place.staging, args)?;
    if let Some(client) = &client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(import.hand_over(client))?;
    }
    place.move_in()?;
    let Import { cluster, me, with_history, waits_until, warnings, .. } = import;
    Ok(Imported {
        cluster: cluster.id,
        operator: me.get(),
        validators: cluster.validators.len(),
        with_history,
        waits_until,
        data_dir: args.data_dir.clone(),
        keymanager: client.map(|client| client.label().to_owned()),
        warnings,
    })
}

/// An Obol operator's folder, read and checked.
#[derive(Debug)]
struct Import {
    lock: Lock,
    cluster: Cluster,
    me: ShareIndex,
    key: NodeKey,
    spec: ChainSpec,
    network: Option<Vec<u8>>,
    peers: String,
    rows: Vec<Row>,
    with_history: usize,
    waits_until: Option<Slot>,
    /// The client's history as it was read.
    history: Option<String>,
    keystores: Vec<SealedKeystore>,
    warnings: Vec<String>,
}

impl Import {
    /// Reads and checks everything.
    ///
    /// - `now`: by which absurd histories are told, and from which keys without one wait.
    /// - Cost: a key derivation for each keystore, on all cores.
    fn read(args: &ImportArgs, now: Millis) -> anyhow::Result<Self> {
        let path = lock_path(args);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let lock = Lock::parse(&bytes).with_context(|| path.display().to_string())?;
        let reading = Reading { network_config: args.network_config.clone(), ..Reading::default() };
        let (spec, network) = network_of(&lock, None, &reading)?;
        let mut warnings = Vec::new();
        for check in lock_holds(&lock, &spec).with_context(|| path.display().to_string())? {
            ensure!(
                args.allow_contract_wallets || check.verdict != Verdict::Unverified,
                "{}: {}: {}; dvt-dkg verify --execution-rpc URL asks one, --allow-contract-wallets goes without",
                path.display(),
                check.name,
                check.detail
            );
            warnings.push(format!("{}: {}", check.name, check.detail));
        }
        let cluster = lock.cluster()?;
        ClusterSize::new_safe(cluster.size.operators(), cluster.size.threshold())?;
        let (key, warning) = read_key(&args.obol.join(KEY_FILE))?;
        warnings.extend(warning);
        let publics: Vec<_> = cluster.nodes.iter().map(|node| *node.as_bytes()).collect();
        let me = NodeKeys::new(&publics)?.index_of(&key.public());
        let me = me.with_context(|| {
            format!("{} is the key of no operator of this cluster", args.obol.join(KEY_FILE).display())
        })?;
        let opened = read_folder(&args.keystores_dir(), &Passwords::Beside)?;
        let keystores: Vec<_> = opened.into_iter().map(sealed).collect();
        check_shares(&cluster, me, &keystores)?;
        let mut import = Self {
            network,
            peers: peers_text(&cluster, &args.peers)?,
            rows: Vec::new(),
            with_history: 0,
            waits_until: None,
            history: None,
            keystores: keystores.into_iter().map(|(_, one)| one).collect(),
            lock,
            cluster,
            me,
            key,
            spec,
            warnings,
        };
        import.take_history(args, now)?;
        Ok(import)
    }

    /// What the journal begins with: the client's history, and a wait for keys that have none.
    fn take_history(&mut self, args: &ImportArgs, now: Millis) -> anyhow::Result<()> {
        let groups: Vec<PublicKey> = self.cluster.validators.iter().map(|one| one.public_key).collect();
        let mut missing = groups.clone();
        if let Some(path) = &args.history {
            let bytes = read(path)?;
            let named = || path.display().to_string();
            let history = Interchange::parse(&bytes).with_context(named)?;
            let mine = self.cluster.validators.iter().map(|one| one.public_shares[self.me.position()]);
            let mut by_key: BTreeMap<PublicKey, PublicKey> = mine.zip(groups.iter().copied()).collect();
            by_key.extend(groups.iter().map(|key| (*key, *key)));
            let found = history.rows(&self.spec, now, |key| by_key.get(&key).copied()).with_context(named)?;
            if !found.foreign.is_empty() {
                let words = "keys that are none of this operator's shares were left out";
                self.warnings.push(format!("{}: {} {words}", path.display(), found.foreign.len()));
            }
            missing = found.missing(&groups);
            self.warn_of_old_records(path, &found, now);
            self.rows = found.rows;
            self.history = Some(String::from_utf8(bytes).with_context(named)?);
        }
        self.with_history = groups.len() - missing.len();
        if !has_begun(&self.spec, now)? {
            // Nothing can have been signed on a network that has not begun.
            missing.clear();
        }
        if let Some(first) = missing.first() {
            ensure!(
                args.no_history,
                "nobody says what {} validators have attested, {first} the first: what their shares have signed must not be \
                 contradicted. Export it from the validator client and name it by --history, or say --no-history \
                 and let them be silent for {WAIT_EPOCHS} whole epochs",
                missing.len()
            );
            let (rows, until) = waiting(&self.spec, now, &missing);
            self.rows.extend(rows);
            self.waits_until = Some(until);
        }
        Ok(())
    }

    /// A history that ends long ago may be an old copy; only the operator can know.
    fn warn_of_old_records(&mut self, path: &Path, found: &Rows, now: Millis) {
        let epoch = self.spec.epoch_of(self.spec.slot_at(now).unwrap_or_default());
        let old = found.attested().filter(|(_, target)| target.0.saturating_add(WAIT_EPOCHS) < epoch.0);
        if let Some((key, target)) = old.min_by_key(|(_, target)| *target) {
            self.warnings.push(format!(
                "{}: the newest record of {key} is of epoch {target}, and it is epoch {epoch}: this must be the client's \
                 export after it was stopped for good",
                path.display()
            ));
        }
    }

    /// Hands the operator's keystores, as they are, to a validator client, with the history that belongs to them.
    async fn hand_over(&self, client: &Keymanager) -> anyhow::Result<()> {
        let pushes = self.keystores.iter();
        let pushes = pushes.map(|one| Push { key: one.key, json: &one.json, password: &one.password });
        let pushes: Vec<Push<'_>> = pushes.collect();
        let taken = client.push(&pushes, self.history.as_deref()).await;
        let failed = || format!("the validator client at {} has not taken the keystores", client.label());
        taken.with_context(failed)?;
        Ok(())
    }

    fn fill(&self, staging: &Path, args: &ImportArgs) -> anyhow::Result<()> {
        self.key.write_new(&staging.join(KEY_FILE))?;
        let (password, protection) = match &args.password_file {
            Some(path) => (read_password(path)?, Protection::SCRYPT),
            None => {
                let password = random_hex(32);
                write_new_secret(&staging.join(folder::NODE_PASSWORD), password.expose_secret().as_bytes())?;
                (password, Protection::RandomPassword)
            }
        };
        let half = |group_key| StoredHalf { group_key, half: NodeHalf::zero_for_import() };
        let halves = self.cluster.validators.iter().map(|one| half(one.public_key)).collect();
        let store = NodeStore { cluster: self.cluster.id, generation: Generation(0), halves };
        let path = staging.join(NodeStore::file_name(Generation(0)));
        store.write_new(&path, &password, protection, &mut OsRng)?;
        let mut journal = Journal::open(&staging.join(folder::JOURNAL), self.cluster.id)?;
        journal.append(&self.rows)?;
        drop(journal);
        if let Some(network) = &self.network {
            write_new(&staging.join(folder::NETWORK), network, PUBLIC)?;
        }
        write_new(&staging.join(folder::PEERS), self.peers.as_bytes(), 0o644)?;
        let definition = self.lock.definition().to_json();
        write_new(&staging.join(folder::DEFINITION), definition.as_bytes(), PUBLIC)?;
        write_new(&staging.join(folder::LOCK), self.lock.to_json().as_bytes(), PUBLIC)?;
        Ok(())
    }
}

impl ImportArgs {
    fn keystores_dir(&self) -> PathBuf {
        self.keystores.clone().unwrap_or_else(|| self.obol.join(folder::KEYSTORES))
    }
}

/// Where everything is made before it is moved in.
const STAGING: &str = ".import.tmp";

/// Refuses a data folder in which anything lies that an import would stand beside.
fn ensure_free(data_dir: &Path) -> anyhow::Result<()> {
    let entries = match std::fs::read_dir(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot read {}", data_dir.display()))?,
    };
    for entry in entries {
        let name = entry?.file_name();
        ensure!(
            name == STAGING || name == "lost+found",
            "{} exists already: an operator is imported into a folder of its own (an import that was interrupted \
             leaves a part of it without {}: then remove it)",
            data_dir.join(&name).display(),
            folder::LOCK
        );
    }
    Ok(())
}

/// A data folder that nobody else works in, with a place aside for what will be in it.
struct Place {
    data_dir: PathBuf,
    staging: PathBuf,
    _lock: File,
}

impl Place {
    fn claim(data_dir: &Path) -> anyhow::Result<Self> {
        make_folder(data_dir)?;
        let lock = File::open(data_dir)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .ok()
            .with_context(|| format!("another process works in {}", data_dir.display()))?;
        ensure_free(data_dir)?;
        let staging = data_dir.join(STAGING);
        // Left over from a crash in this very place: nothing in it is anywhere else in use.
        if staging.exists() {
            std::fs::remove_dir_all(&staging)?;
        }
        make_folder(&staging)?;
        Ok(Self { data_dir: data_dir.to_owned(), staging, _lock: lock })
    }

    /// Moves everything in, the lock last: it is durable only when everything else is.
    fn move_in(&self) -> anyhow::Result<()> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.staging)? {
            names.push(entry?.file_name());
        }
        names.retain(|name| name != folder::LOCK);
        for name in names {
            self.move_one(&name)?;
        }
        sync_folder(&self.data_dir)?;
        self.move_one(folder::LOCK.as_ref())?;
        Ok(sync_folder(&self.data_dir)?)
    }

    fn move_one(&self, name: &OsStr) -> anyhow::Result<()> {
        let (from, to) = (self.staging.join(name), self.data_dir.join(name));
        let moved = renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE);
        moved.with_context(|| format!("cannot make {}", to.display()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left of a failed try is a copy of the node key. Whatever has ended it is being reported.
        let _ = std::fs::remove_dir_all(&self.staging);
    }
}

/// The lock lies in the operator's folder, or beside the folders of all operators, or where the command line says.
fn lock_path(args: &ImportArgs) -> PathBuf {
    let own = args.obol.join(folder::LOCK);
    let beside = args.obol.join("..").join(folder::LOCK);
    match &args.lock {
        Some(path) => path.clone(),
        None if !own.exists() && beside.exists() => beside,
        None => own,
    }
}

/// The node key, and a warning if others could read it where it lies.
fn read_key(path: &Path) -> anyhow::Result<(NodeKey, Option<String>)> {
    let (text, open_to_others) = read_any(path, KEY_FILE_LEN_MAX)?;
    let key = NodeKey::from_hex(&text).with_context(|| path.display().to_string())?;
    let warning = open_to_others.map(|mode| {
        format!("{} has mode {mode:03o}: others than its owner could have read the node key", path.display())
    });
    Ok((key, warning))
}

/// Every validator has exactly one keystore of this operator's share, and every keystore a validator.
fn check_shares(
    cluster: &Cluster,
    me: ShareIndex,
    keystores: &[(PathBuf, SealedKeystore)],
) -> anyhow::Result<()> {
    let mine = cluster.validators.iter().map(|validator| validator.public_shares[me.position()]);
    let mine: BTreeSet<PublicKey> = mine.collect();
    for (path, one) in keystores {
        ensure!(
            mine.contains(&one.key),
            "{} holds {}, which is no share of operator {me}",
            path.display(),
            one.key
        );
    }
    let held: BTreeSet<PublicKey> = keystores.iter().map(|(_, one)| one.key).collect();
    for (number, validator) in cluster.validators.iter().enumerate() {
        let key = validator.public_shares[me.position()];
        ensure!(held.contains(&key), "no keystore holds operator {me}'s share of validator {number}, {key}");
    }
    Ok(())
}

/// The keystore again, without the secret.
fn sealed(opened: OpenedKeystore) -> (PathBuf, SealedKeystore) {
    let OpenedKeystore { path, json, password, secret } = opened;
    (path, SealedKeystore { key: secret.public(), json, password })
}

fn peers_text(cluster: &Cluster, peers: &[(String, Multiaddr)]) -> anyhow::Result<String> {
    let mut entries = Vec::new();
    for (text, address) in peers {
        let enr = Enr::parse(text).with_context(|| format!("--peer {text}"))?;
        ensure!(cluster.nodes.contains(&enr.key()), "--peer {text} is no operator of this cluster");
        peers_file::add(&mut entries, text.clone(), address.clone())?;
    }
    Ok(peers_file::render(&entries))
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make {}", path.display()))
}
