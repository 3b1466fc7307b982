//! Both halves of an operator's shares, opened beside each other while no node runs: for export and resplit.

use crate::data_folder::{DataFolder, Reading};
use crate::journal::Journal;
use crate::moving::interchange::Interchange;
use anyhow::Context as _;
use clap::Args;
use cluster::folder;
use keys::keystores::{OpenedKeystore, Passwords, read_folder};
use keys::{NodeHalf, VcHalf};
use std::collections::BTreeMap;
use std::path::PathBuf;
use types::PublicKey;

/// Where both halves are.
#[derive(Clone, Debug, Default, Args)]
pub struct BothHalvesArgs {
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
}

/// Both halves of every validator, which make the shares that the lock names.
#[derive(Debug)]
pub struct BothHalves {
    /// The data folder.
    pub data: DataFolder,
    /// Open, and so locked: no node runs in this folder meanwhile.
    pub journal: Journal,
    /// How the folder is read.
    pub reading: Reading,
    /// The client's half and the node's, in the lock's order.
    pub pairs: Vec<(VcHalf, NodeHalf)>,
}

impl BothHalves {
    /// Opens them.
    ///
    /// - Errors: a folder that is not right, a running node, a keystore that is missing or is another share's.
    /// - Cost: a key derivation a keystore, on all cores.
    pub fn open(args: &BothHalvesArgs) -> anyhow::Result<Self> {
        let BothHalvesArgs { data_dir, keystores, network_config, password_file } = args;
        let reading = Reading::of_command(network_config, password_file);
        let data = DataFolder::read(data_dir, &reading)?;
        let journal = Journal::open(&data.path.join(folder::JOURNAL), data.cluster.id)?;
        let opened = read_folder(keystores, &Passwords::Beside)?;
        let mut by_key: BTreeMap<PublicKey, OpenedKeystore> =
            opened.into_iter().map(|one| (one.secret.public(), one)).collect();
        let mut pairs = Vec::new();
        for (number, half) in data.halves(&reading)?.into_iter().enumerate() {
            let share = data.cluster.validators[number].public_shares[data.me.position()];
            let client_key = half.vc_key(&share)?;
            let keystore = by_key.remove(&client_key).with_context(|| {
                let folder = keystores.display();
                format!("{folder} lacks the client's half of validator {number}, {client_key}")
            })?;
            pairs.push((keystore.secret.into_imported_half(), half));
        }
        Ok(Self { data, journal, reading, pairs })
    }

    /// What the journal has promised, under the keys that a validator client signs with.
    ///
    /// - `keys`: in the lock's order.
    pub fn history(&self, keys: &[PublicKey]) -> Interchange {
        let groups: Vec<PublicKey> = self.data.cluster.validators.iter().map(|one| one.public_key).collect();
        let histories: Vec<_> = keys.iter().copied().zip(self.journal.histories(&groups)).collect();
        Interchange::export(&histories, self.data.spec.genesis_validators_root)
    }
}
