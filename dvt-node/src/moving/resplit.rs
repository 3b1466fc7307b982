//! `dvt-node resplit`: moves a fresh random number from one half of each share to the other.
//!
//! `v + d` and `w - d` make the same share, so nothing changes for anybody else; what was stolen of one old half is worth
//! nothing beside the other new one. An imported operator, whose keystores hold whole shares, is split by it.

use crate::moving::both_halves::{BothHalves, BothHalvesArgs};
use crate::moving::export::HISTORY;
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use keys::files::PUBLIC;
use keys::keystores::{Passwords, read_folder, write_folder_with};
use keys::store::{NodeStore, ReplaceError, StoredHalf};
use keys::{NodeHalf, Shift, VcHalf};
use rand_core::OsRng;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use types::{Generation, PublicKey};

/// What `dvt-node resplit` is told.
#[derive(Clone, Debug, Default, Args)]
pub struct ResplitArgs {
    /// Where the halves are now.
    #[command(flatten)]
    pub halves: BothHalvesArgs,
    /// The folder of new keystores to make, for the validator client.
    #[arg(long)]
    pub out: PathBuf,
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
            "{}: take the old ones from it, import {HISTORY} and give it these before the node starts",
            self.keystores.display()
        )
    }
}

/// Makes new halves: the client's in a new folder first, then the node's in the place of the old.
///
/// - Whenever it is interrupted, the store in the data folder fits the old keystores or the new ones, which are both
///   there. Started again, it says which.
pub fn resplit(args: &ResplitArgs) -> anyhow::Result<Resplit> {
    let out = &args.out;
    if out.symlink_metadata().is_ok() {
        return after_another(args);
    }
    // The journal in it stays open to the end: a running node would go on with the old halves.
    let old = BothHalves::open(&args.halves)?;
    let data = &old.data;
    let (mut clients, mut nodes) = (Vec::new(), Vec::new());
    for (validator, (client, node)) in data.cluster.validators.iter().zip(&old.pairs) {
        let (client, node) = shift(client, node)?;
        let share = node.share_key(&client.public())?;
        ensure!(share == validator.public_shares[data.me.position()], "new halves make another share");
        clients.push(client);
        nodes.push(StoredHalf { group_key: validator.public_key, half: node });
    }
    // The client's own protection is by key, and these are new to it.
    let keys: Vec<PublicKey> = clients.iter().map(VcHalf::public).collect();
    let history = old.history(&keys).to_json().into_bytes().into();
    write_folder_with(out, &clients, vec![(HISTORY.to_owned(), history, PUBLIC)])?;
    // What cannot be read back must not take the place of what can.
    let read_back = read_folder(out, &Passwords::Beside)?;
    let same = read_back.iter().map(|one| one.secret.public()).eq(keys);
    ensure!(
        same,
        "{} does not read back as written; remove it, the old halves are as they were",
        out.display()
    );
    let store = NodeStore { cluster: data.cluster.id, generation: Generation(0), halves: nodes };
    let path = data.path.join(NodeStore::file_name(Generation(0)));
    match store.replace(&path, &data.password(&old.reading)?, &mut OsRng) {
        Ok(()) => Ok(Resplit { validators: clients.len(), keystores: out.clone() }),
        Err(error @ ReplaceError::NotSynced(_)) => Err(error).with_context(|| {
            format!(
                "{} fit the node's new halves; keep the old ones too until it has started again",
                out.display()
            )
        }),
        Err(error) => Err(error).with_context(|| {
            format!("the node's halves are as they were: remove {} and keep the old keystores", out.display())
        }),
    }
}

/// The new folder is there already: says what came of the run that made it.
fn after_another(args: &ResplitArgs) -> anyhow::Result<Resplit> {
    let fits = |keystores: &PathBuf| {
        BothHalves::open(&BothHalvesArgs { keystores: keystores.clone(), ..args.halves.clone() })
    };
    let (old, new) = (&args.halves.keystores, &args.out);
    match fits(new) {
        Ok(both) => Ok(Resplit { validators: both.pairs.len(), keystores: new.clone() }),
        Err(error) => {
            fits(old).context(format!(
                "{} exists already, and it does not fit either: {error:#}",
                new.display()
            ))?;
            bail!(
                "{} exists already and does not fit the node's halves, {} do: remove the former and start again",
                new.display(),
                old.display()
            )
        }
    }
}

/// Moves a random number from one half to the other.
fn shift(client: &VcHalf, node: &NodeHalf) -> anyhow::Result<(VcHalf, NodeHalf)> {
    let d = Shift::random(&mut OsRng);
    Ok((client.resplit(&d)?, node.resplit(&d)?))
}
