//! `dvt-dkg combine`: operators who have decided to end a cluster put its keys together again.

use anyhow::{Context as _, ensure};
use clap::Args;
use cluster::{Lock, folder};
use keys::files::{PUBLIC, WriteError, write_new};
use keys::keystores::{OpenedKeystore, Passwords, read_folder, write_folder};
use keys::secret_file::read_password;
use keys::shamir::recover;
use keys::store::NodeStore;
use keys::{NodeHalf, SecretShare};
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use types::{ClusterSize, Generation, PublicKey, ShareIndex, Threshold};

/// What `dvt-dkg combine` is told.
#[derive(Clone, Debug, Args)]
pub struct CombineArgs {
    /// An operator's data folder: the lock and the node's halves. Obol's, without halves, will do. Repeat for each.
    #[arg(long = "data-dir", required = true, num_args = 1..)]
    pub data_dirs: Vec<PathBuf>,
    /// The operators' keystores, in the order of the data folders; validator_keys of each unless named.
    #[arg(long = "keystores", num_args = 1..)]
    pub keystores: Vec<PathBuf>,
    /// The passwords of the nodes' halves, in the order of the data folders; node-password of each unless named.
    #[arg(long = "password-file", num_args = 1..)]
    pub password_files: Vec<PathBuf>,
    /// The cluster lock; that of the first data folder unless named.
    #[arg(long)]
    pub lock: Option<PathBuf>,
    /// The folder of keystores to make, one a validator.
    #[arg(long)]
    pub out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Combined {
    /// The validators' keys, in the lock's order: keystore 0 holds the first.
    pub validators: Vec<PublicKey>,
    /// Whose shares they were made of.
    pub operators: Vec<ShareIndex>,
}

/// One operator's shares, one a validator, in the lock's order.
struct Shares {
    operator: ShareIndex,
    shares: Vec<SecretShare>,
}

/// Puts keys together and writes their keystores, all or none.
pub fn combine(args: &CombineArgs) -> anyhow::Result<Combined> {
    let count = args.data_dirs.len();
    for (given, flag) in [(&args.keystores, "--keystores"), (&args.password_files, "--password-file")] {
        let have = given.len();
        ensure!(have == 0 || have == count, "{have} {flag} for {count} --data-dir: give one each, or none");
    }
    let exists = || WriteError::Exists(args.out.clone());
    ensure!(args.out.symlink_metadata().is_err(), exists());
    let path = args.lock.clone().unwrap_or_else(|| args.data_dirs[0].join(folder::LOCK));
    let lock = read_lock(&path)?;
    let size = lock.definition().size()?;
    let threshold = size.threshold();
    ensure!(count >= threshold, "{count} operators, but it takes {threshold} to give a key back");
    // Held to the end: a node that starts meanwhile finds its folder in use, and later the mark in it.
    let mut stopped = Vec::new();
    let mut all: Vec<Shares> = Vec::new();
    for (number, data_dir) in args.data_dirs.iter().enumerate() {
        ensure_same_cluster(&lock, data_dir)?;
        // A folder that is named twice is found out by whose it is.
        if !args.data_dirs[..number].contains(data_dir) {
            stopped.extend(lock_journal(data_dir)?);
        }
        let keystores = args.keystores.get(number).cloned();
        let keystores = keystores.unwrap_or_else(|| data_dir.join(folder::KEYSTORES));
        let password = args.password_files.get(number).cloned();
        let password = password.unwrap_or_else(|| data_dir.join(folder::NODE_PASSWORD));
        let shares = open(&lock, size, data_dir, &keystores, &password)?;
        if let Some(earlier) = all.iter().position(|one| one.operator == shares.operator) {
            let earlier = args.data_dirs[earlier].display();
            let operator = shares.operator;
            anyhow::bail!("{earlier} and {} are both operator {operator}'s", data_dir.display());
        }
        all.push(shares);
    }
    let operators = all.iter().map(|one| one.operator).collect();
    let keys = keys_of(&lock, size, all)?;
    // Before a whole key leaves: no node starts with a share of it any more.
    args.data_dirs.iter().try_for_each(|data_dir| retire(data_dir))?;
    write_folder(&args.out, &keys)?;
    drop(stopped);
    Ok(Combined { validators: keys.iter().map(SecretShare::public).collect(), operators })
}

fn read_lock(path: &Path) -> anyhow::Result<Lock> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lock = Lock::parse(&bytes).with_context(|| path.display().to_string())?;
    let broken = lock.check_hashes().into_iter().find(|check| !check.holds());
    match broken {
        Some(check) => anyhow::bail!("{}: {}: {}", path.display(), check.name, check.detail),
        None => Ok(lock),
    }
}

/// Marks a data folder of ours, so that no node starts in it.
///
/// - A folder that cannot be written is a copy or another's: nothing runs in it as it is.
fn retire(data_dir: &Path) -> anyhow::Result<()> {
    if !data_dir.join(NodeStore::file_name(Generation(0))).exists() {
        return Ok(());
    }
    match write_new(&data_dir.join(folder::EXPORTED), folder::EXPORTED_WORDS, PUBLIC) {
        Ok(()) | Err(WriteError::Exists(_) | WriteError::NotSynced { .. }) => Ok(()),
        Err(WriteError::Io { source, .. })
            if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Keeps nodes out of a data folder as long as what it returns lives; refuses one in which a node runs.
///
/// - `None` where no node has ever run.
fn lock_journal(data_dir: &Path) -> anyhow::Result<Option<File>> {
    let Ok(lock) = File::open(data_dir.join(folder::JOURNAL).join("lock")) else { return Ok(None) };
    let free = flock(&lock, FlockOperation::NonBlockingLockExclusive);
    free.ok().with_context(|| format!("a node runs in {}: stop the cluster first", data_dir.display()))?;
    Ok(Some(lock))
}

fn ensure_same_cluster(lock: &Lock, data_dir: &Path) -> anyhow::Result<()> {
    let path = data_dir.join(folder::LOCK);
    if path.exists() {
        let other = read_lock(&path)?;
        ensure!(other.lock_hash() == lock.lock_hash(), "{} is of another cluster", path.display());
    }
    Ok(())
}

/// Opens both halves of one operator and joins them; tells from the keys whose they are.
fn open(
    lock: &Lock,
    size: ClusterSize,
    data_dir: &Path,
    keystores: &Path,
    password_file: &Path,
) -> anyhow::Result<Shares> {
    let cluster = lock.cluster()?;
    let path = data_dir.join(NodeStore::file_name(Generation(0)));
    let halves: Vec<NodeHalf> = if path.exists() {
        let store = NodeStore::load(&path, &read_password(password_file)?)
            .with_context(|| path.display().to_string())?;
        ensure!(store.cluster == cluster.id, "{} belongs to another cluster", path.display());
        let stored: Vec<PublicKey> = store.halves.iter().map(|half| half.group_key).collect();
        let wanted: Vec<PublicKey> = cluster.validators.iter().map(|one| one.public_key).collect();
        ensure!(stored == wanted, "{} does not hold the lock's validators", path.display());
        store.halves.into_iter().map(|stored| stored.half).collect()
    } else {
        cluster.validators.iter().map(|_| NodeHalf::zero_for_import()).collect()
    };
    let opened = read_folder(keystores, &Passwords::Beside)?;
    let mut by_key: BTreeMap<PublicKey, OpenedKeystore> =
        opened.into_iter().map(|one| (one.secret.public(), one)).collect();
    let seat = |index: ShareIndex, number: usize| {
        halves[number].vc_key(&cluster.validators[number].public_shares[index.position()]).ok()
    };
    let numbers = 0..halves.len();
    let fits = |index: &ShareIndex| {
        numbers.clone().any(|number| seat(*index, number).is_some_and(|key| by_key.contains_key(&key)))
    };
    let operator = size.indices().find(fits);
    let operator = operator.with_context(|| {
        format!("{} and {} are no operator's two halves", keystores.display(), data_dir.display())
    })?;
    let mut shares = Vec::new();
    for (number, half) in halves.iter().enumerate() {
        let key = seat(operator, number).and_then(|key| by_key.remove(&key));
        let key = key.with_context(|| {
            format!("{} lacks operator {operator}'s keystore of validator {number}", keystores.display())
        })?;
        shares.push(key.secret.into_imported_half().join(half)?);
    }
    Ok(Shares { operator, shares })
}

/// Validator by validator; each key must be the one that the lock names.
fn keys_of(lock: &Lock, size: ClusterSize, all: Vec<Shares>) -> anyhow::Result<Vec<SecretShare>> {
    let threshold = Threshold(u8::try_from(size.threshold())?);
    let mut by_operator: Vec<_> = all.into_iter().map(|one| (one.operator, one.shares.into_iter())).collect();
    let mut keys = Vec::new();
    for (number, group) in lock.group_keys().enumerate() {
        let shares: Option<Vec<_>> =
            by_operator.iter_mut().map(|(operator, shares)| Some((*operator, shares.next()?))).collect();
        let shares = shares.context("every operator has a share of every validator")?;
        let key = recover(&shares, threshold)?;
        ensure!(
            key.public() == group,
            "the shares of validator {number} make {}, the lock says {group}",
            key.public()
        );
        keys.push(key);
    }
    Ok(keys)
}
