//! `dvt-node export`: an operator moves out, with everything that Obol's software asks for.
//!
//! Obol's keystores hold whole shares, so both halves are joined here. The data folder is marked before anything leaves
//! it: a node of ours and one of theirs with the same share would get the validators slashed.

use crate::data_folder::{DataFolder, Reading};
use crate::interchange::{Interchange, Record};
use crate::journal::Journal;
use anyhow::{Context as _, ensure};
use clap::Args;
use cluster::folder;
use cluster::lock::Lock;
use cluster::network::{Network, Networks};
use keys::SecretShare;
use keys::files::{PUBLIC, sync_folder, write_new};
use keys::identity::KEY_FILE;
use keys::keystores::{OpenedKeystore, Passwords, read_folder, write_folder};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use types::{ClusterId, PublicKey};

/// The history that goes along: EIP-3076, by the keys of the shares.
pub const HISTORY: &str = "slashing-protection.json";

/// What `dvt-node export` is told.
#[derive(Clone, Debug, Default, Args)]
pub struct ExportArgs {
    /// The folder to make, in the form of Obol's .charon.
    #[arg(long)]
    pub obol: PathBuf,
    /// The operator's data folder; its node must not run.
    #[arg(long, env = "SYMBOLON_DATA_DIR")]
    pub data_dir: PathBuf,
    /// The validator client's keystores and their passwords.
    #[arg(long)]
    pub keystores: PathBuf,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long)]
    pub network_config: Option<PathBuf>,
    /// The password of the node's halves; without it, the file that was made with them.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// The cluster.
    pub cluster: ClusterId,
    /// Shares written.
    pub validators: usize,
    /// Where.
    pub obol: PathBuf,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, validators, obol } = self;
        write!(f, "{validators} whole shares of cluster {cluster} in {}", obol.display())?;
        write!(
            f,
            "\nno node of ours starts in the data folder any more: remove it when the other software runs"
        )?;
        write!(f, "\nthe validator client must drop its old keystores and import {HISTORY} with the new ones")
    }
}

/// Writes the folder, whole or not at all.
pub fn export(args: &ExportArgs) -> anyhow::Result<Exported> {
    let out = &args.obol;
    ensure!(out.symlink_metadata().is_err(), "{} exists already: nothing is overwritten", out.display());
    let reading = Reading::of_both_halves(&args.network_config, &args.password_file);
    let data = DataFolder::read(&args.data_dir, &reading)?;
    // Open, and so locked: no node runs in this folder meanwhile.
    let journal = Journal::open(&data.path.join(folder::JOURNAL), data.cluster.id)?;
    let shares = join(&data, &reading, &args.keystores)?;
    let history = history(&data, &journal);

    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = out.file_name().with_context(|| format!("{} is no name of a folder", out.display()))?;
    let staging = parent.join(format!(".{}.tmp", name.to_string_lossy()));
    DirBuilder::new()
        .mode(0o700)
        .create(&staging)
        .with_context(|| format!("cannot make {}", staging.display()))?;
    let written = fill(&staging, &data, &shares, &history).and_then(|()| {
        mark(&data.path)?;
        renameat_with(CWD, &staging, CWD, out, RenameFlags::NOREPLACE)
            .with_context(|| format!("cannot make {}", out.display()))?;
        Ok(sync_folder(parent)?)
    });
    if written.is_err() {
        // What is left of a failed try holds whole shares: it must not stay.
        let _ = std::fs::remove_dir_all(&staging);
    }
    written?;
    Ok(Exported { cluster: data.cluster.id, validators: shares.len(), obol: out.clone() })
}

/// Both halves of each validator, in the lock's order, as the share that the lock names.
fn join(data: &DataFolder, reading: &Reading, keystores: &Path) -> anyhow::Result<Vec<SecretShare>> {
    let halves = data.halves(reading)?;
    let opened = read_folder(keystores, &Passwords::Beside)?;
    let mut by_key: BTreeMap<PublicKey, OpenedKeystore> =
        opened.into_iter().map(|one| (one.secret.public(), one)).collect();
    let mut shares = Vec::new();
    for (number, (half, validator)) in halves.iter().zip(&data.cluster.validators).enumerate() {
        let client_key = half.vc_key(&validator.public_shares[data.me.position()])?;
        let keystore = by_key.remove(&client_key).with_context(|| {
            format!("{} lacks the client's half of validator {number}, {client_key}", keystores.display())
        })?;
        shares.push(keystore.secret.into_imported_half().join(half)?);
    }
    Ok(shares)
}

/// What the journal promised, by the keys that Obol's validator client signs with.
fn history(data: &DataFolder, journal: &Journal) -> Interchange {
    let groups: Vec<_> = data.cluster.validators.iter().map(|one| one.public_key).collect();
    let histories: Vec<_> = groups.iter().copied().zip(journal.histories(&groups)).collect();
    let mut history = Interchange::export(&histories, data.spec.genesis_validators_root);
    let shares: BTreeMap<PublicKey, PublicKey> = data
        .cluster
        .validators
        .iter()
        .map(|one| (one.public_key, one.public_shares[data.me.position()]))
        .collect();
    // A validator that never signed has an empty record: whoever imports this must find that nothing is missing.
    let silent = shares.keys().filter(|group| history.records.iter().all(|record| record.key != **group));
    let silent: Vec<_> =
        silent.map(|key| Record { key: *key, blocks: vec![], attestations: vec![] }).collect();
    history.records.extend(silent);
    for record in &mut history.records {
        record.key = shares[&record.key];
    }
    history
}

fn fill(
    staging: &Path,
    data: &DataFolder,
    shares: &[SecretShare],
    history: &Interchange,
) -> anyhow::Result<()> {
    data.operator.key().write_new(&staging.join(KEY_FILE))?;
    write_folder(&staging.join(folder::KEYSTORES), shares)?;
    write_new(&staging.join(HISTORY), history.to_json().as_bytes(), PUBLIC)?;
    let lock: &Lock = &data.lock;
    let networks = Networks::public().with(Network::from(&data.spec));
    let network =
        networks.by_fork_version(data.cluster.fork_version).context("the network was just added")?;
    for file in lock.deposit_files(network).unwrap_or_default() {
        write_new(&staging.join(&file.name), file.json.as_bytes(), PUBLIC)?;
    }
    write_new(&staging.join(folder::DEFINITION), lock.definition().to_json().as_bytes(), PUBLIC)?;
    write_new(&staging.join(folder::LOCK), lock.to_json().as_bytes(), PUBLIC)?;
    Ok(())
}

/// From here on no node starts in this folder.
fn mark(data_dir: &Path) -> anyhow::Result<()> {
    let path = data_dir.join(folder::EXPORTED);
    if path.exists() {
        return Ok(());
    }
    let words = "This operator's part of the cluster was exported for other software. Two nodes with the same share \
                 get validators slashed, so none starts here any more; to come back, import the other's folder \
                 and history into a new data folder.\n";
    Ok(write_new(&path, words.as_bytes(), PUBLIC)?)
}
