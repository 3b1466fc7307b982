//! `dvt-node resplit`: moves a fresh random number from one half of each share to the other.
//!
//! `v + d` and `w - d` make the same share, so nothing changes for anybody else; what was stolen of one old half is worth
//! nothing beside the other new one. An imported operator, whose keystores hold whole shares, is split by it.

use crate::data_folder::{DataFolder, Reading};
use crate::journal::Journal;
use anyhow::{Context as _, ensure};
use clap::Args;
use cluster::folder;
use keys::keystores::{OpenedKeystore, Passwords, read_folder, write_folder};
use keys::store::{NodeStore, StoredHalf};
use keys::{NodeHalf, Shift, VcHalf};
use rand_core::OsRng;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use types::{Generation, PublicKey};

/// What `dvt-node resplit` is told.
#[derive(Clone, Debug, Default, Args)]
pub struct ResplitArgs {
    /// The operator's data folder; its node must not run.
    #[arg(long, env = "SYMBOLON_DATA_DIR")]
    pub data_dir: PathBuf,
    /// The validator client's keystores and their passwords.
    #[arg(long)]
    pub keystores: PathBuf,
    /// The folder of new keystores to make, for the validator client.
    #[arg(long)]
    pub out: PathBuf,
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
pub struct Resplit {
    /// How many shares have new halves.
    pub validators: usize,
    /// The client's.
    pub keystores: PathBuf,
}

impl fmt::Display for Resplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shares have new halves; the validator client's are in ", self.validators)?;
        write!(
            f,
            "{}: give it these and take the old ones from it before the node starts",
            self.keystores.display()
        )
    }
}

/// Makes new halves: the client's in a new folder first, then the node's in the place of the old.
///
/// - Whenever it is interrupted, the store in the data folder fits the old keystores or the new ones, which are both there.
pub fn resplit(args: &ResplitArgs) -> anyhow::Result<Resplit> {
    let out = &args.out;
    ensure!(out.symlink_metadata().is_err(), "{} exists already: nothing is overwritten", out.display());
    let reading = Reading::of_both_halves(&args.network_config, &args.password_file);
    let data = DataFolder::read(&args.data_dir, &reading)?;
    // Open, and so locked: a running node would go on with the old halves.
    let _journal = Journal::open(&data.path.join(folder::JOURNAL), data.cluster.id)?;
    let halves = data.halves(&reading)?;
    let opened = read_folder(&args.keystores, &Passwords::Beside)?;
    let mut by_key: BTreeMap<PublicKey, OpenedKeystore> =
        opened.into_iter().map(|one| (one.secret.public(), one)).collect();
    let (mut clients, mut nodes) = (Vec::new(), Vec::new());
    for (number, (half, validator)) in halves.iter().zip(&data.cluster.validators).enumerate() {
        let share = validator.public_shares[data.me.position()];
        let client_key = half.vc_key(&share)?;
        let keystore = by_key.remove(&client_key).with_context(|| {
            let folder = args.keystores.display();
            format!("{folder} lacks the client's half of validator {number}, {client_key}")
        })?;
        let (client, node) = shift(&keystore.secret.into_imported_half(), half)?;
        ensure!(node.share_key(&client.public())? == share, "new halves of validator {number} do not fit");
        clients.push(client);
        nodes.push(StoredHalf { group_key: validator.public_key, half: node });
    }
    write_folder(out, &clients)?;
    // What cannot be read back must not take the place of what can.
    let read_back = read_folder(out, &Passwords::Beside)?;
    let same = read_back.iter().zip(&clients).all(|(one, client)| one.secret.public() == client.public());
    ensure!(same && read_back.len() == clients.len(), "{} does not read back as written", out.display());
    let store = NodeStore { cluster: data.cluster.id, generation: Generation(0), halves: nodes };
    let path = data.path.join(NodeStore::file_name(Generation(0)));
    let replaced = store.replace(&path, &data.password(&reading)?, &mut OsRng);
    replaced.with_context(|| {
        format!("the node's halves are unchanged; remove {} and keep the old keystores", out.display())
    })?;
    Ok(Resplit { validators: clients.len(), keystores: out.clone() })
}

/// Moves a random number from one half to the other; draws again if a half would be the whole share.
fn shift(client: &VcHalf, node: &NodeHalf) -> anyhow::Result<(VcHalf, NodeHalf)> {
    let d = Shift::random(&mut OsRng);
    Ok((client.resplit(&d)?, node.resplit(&d)?))
}
