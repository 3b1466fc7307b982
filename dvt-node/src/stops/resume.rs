//! `dvt-node resume`: the operator has seen why signing was stopped, and the node may sign again.

use super::Marker;
use crate::data_folder::{DataFolder, Reading};
use crate::journal::Journal;
use clap::Args;
use cluster::folder;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use types::PublicKey;

/// What `dvt-node resume` is told.
#[derive(Clone, Debug, Default, Args)]
pub struct ResumeArgs {
    /// The operator's data folder.
    #[arg(long, env = "SYMBOLON_DATA_DIR")]
    pub data_dir: PathBuf,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long)]
    pub network_config: Option<PathBuf>,
    /// Only show why signing is stopped, and change nothing; the node may run.
    #[arg(long)]
    pub show: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What was found, and what is so now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resumed {
    /// Why signing was stopped, and since when.
    #[serde(flatten)]
    pub found: Marker,
    /// Whether it is stopped still.
    pub stopped: bool,
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, stopped } = self;
        let list =
            |keys: Vec<&PublicKey>| keys.into_iter().map(PublicKey::to_string).collect::<Vec<_>>().join(", ");
        if !found.is_stopped() {
            write!(f, "nothing stops signing here")?;
        }
        if !found.slashed.is_empty() {
            writeln!(f, "slashed by the chain: {}", list(found.slashed.keys().collect()))?;
        }
        if !found.doppelgangers.is_empty() {
            writeln!(f, "signing elsewhere: {}", list(found.doppelgangers.keys().collect()))?;
        }
        if found.second_instance.is_some() {
            writeln!(f, "another process ran with this operator's node key")?;
        }
        match (found.is_stopped(), stopped) {
            (false, _) => Ok(()),
            (true, true) => {
                write!(f, "signing is stopped: see to it, then run dvt-node resume without --show")
            }
            (true, false) => {
                write!(f, "cleared: the next start signs again; slashed validators stop nothing any more")
            }
        }
    }
}

/// Shows why signing is stopped, and lifts it unless only asked to show.
///
/// - Errors: a folder that is not right; a node that runs, unless it is only shown.
pub fn resume(args: &ResumeArgs) -> anyhow::Result<Resumed> {
    let found = Marker::read(&args.data_dir)?;
    if args.show || !found.is_stopped() {
        let stopped = found.is_stopped();
        return Ok(Resumed { found, stopped });
    }
    let data = DataFolder::read(&args.data_dir, &Reading::of_command(&args.network_config, &None))?;
    // As long as this is held no node runs here, and none that runs adds to the file.
    let _held = Journal::open(&data.path.join(folder::JOURNAL), data.cluster.id)?;
    let found = Marker::read(&args.data_dir)?;
    found.resumed().write(&args.data_dir)?;
    Ok(Resumed { found, stopped: false })
}
