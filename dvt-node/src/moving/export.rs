//! `dvt-node export`: an operator moves out, with everything that Obol's software asks for.
//!
//! Obol's keystores hold whole shares, so both halves are joined here. The data folder is marked before anything leaves
//! it: a node of ours and one of theirs with the same share would get the validators slashed.

use crate::data_folder::DataFolder;
use crate::moving::both_halves::{BothHalves, BothHalvesArgs};
use crate::moving::interchange::Interchange;
use anyhow::{Context as _, ensure};
use clap::Args;
use cluster::folder;
use cluster::lock::Lock;
use cluster::network::{Network, Networks};
use keys::SecretShare;
use keys::files::{PUBLIC, Staging, WriteError, write_new};
use keys::identity::KEY_FILE;
use keys::keystores::write_folder;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use types::ClusterId;

/// The history that goes along: EIP-3076, by the keys of the shares.
pub const HISTORY: &str = "slashing-protection.json";

/// What `dvt-node export` is told.
#[derive(Clone, Debug, Default, Args)]
pub struct ExportArgs {
    /// The folder to make, in the form of Obol's .charon.
    #[arg(long)]
    pub obol: PathBuf,
    /// Where both halves are.
    #[command(flatten)]
    pub halves: BothHalvesArgs,
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
    let (out, data_dir) = (&args.obol, &args.halves.data_dir);
    ensure!(out.symlink_metadata().is_err(), WriteError::Exists(out.clone()));
    ensure_may_be_exported(data_dir, out)?;
    let both = BothHalves::open(&args.halves)?;
    let data = &both.data;
    let shares: Vec<SecretShare> =
        both.pairs.iter().map(|(client, node)| client.join(node)).collect::<Result<_, _>>()?;
    let keys: Vec<_> = shares.iter().map(SecretShare::public).collect();
    let staging = Staging::begin(out)?;
    fill(staging.path(), data, &shares, &both.history(&keys))?;
    // Before anything leaves: a crash from here on leaves a folder in which no node starts, and a rerun goes on.
    mark(&data.path)?;
    match staging.finish() {
        Ok(()) | Err(WriteError::NotSynced { .. }) => {}
        Err(error) => {
            // Nothing has left after all.
            std::fs::remove_file(data.path.join(folder::EXPORTED))?;
            return Err(error.into());
        }
    }
    Ok(Exported { cluster: data.cluster.id, validators: shares.len(), obol: out.clone() })
}

/// Refuses a folder whose history is not all there: it would become another's, and look complete.
fn ensure_may_be_exported(data_dir: &Path, out: &Path) -> anyhow::Result<()> {
    let wanted = data_dir.join(folder::HISTORY_WANTED);
    ensure!(
        !wanted.exists(),
        "{}: nobody here knows what these validators have signed; see dvt-node slashing-protection",
        wanted.display()
    );
    let exported = data_dir.join(folder::EXPORTED);
    // An export that was interrupted between the mark and the end may be finished: nothing has left the folder yet.
    ensure!(
        !exported.exists() || Staging::is_left_of(out),
        "{}: exported already, and what was signed since then is not in this journal",
        exported.display()
    );
    let journal = data_dir.join(folder::JOURNAL);
    // Opening would make an empty one, and its export would look as if nothing had ever been signed.
    ensure!(journal.exists(), "{} does not exist: no node has run on this folder", journal.display());
    Ok(())
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
    Ok(write_new(&path, folder::EXPORTED_WORDS, PUBLIC)?)
}
