//! What operators approve beside duties, by commands beside a running node: exits and changes of registration.
//!
//! ```text
//! data folder: which validators, which client keys ---+
//! keymanager API, or keystores: the client's half ----+--> checked here --> the node's validator API
//!                                                                  completed, told to all, kept
//! ```
//!
//! The command needs no secret of the node but the key of its halves' counterparts; it joins no halves. What is shown and
//! what is signed come from the same bytes: a node that says one thing and means another gets no half for it.

pub mod exit;
pub mod registration;

use crate::data_folder::{DataFolder, Reading};
use anyhow::{Context as _, bail};
use clap::Args;
use keys::SecretShare;
use keys::keystores::{Passwords, read_folder};
use keys::secret_file::read_password;
use remote::OwnNode;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use types::{PublicKey, ValidatorNo};

/// Where the running node is.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// The validator API of the running node.
    #[arg(long = "node", value_name = "URL", default_value = "http://127.0.0.1:3600")]
    pub url: String,
    /// The bearer token that the node wants, in a file.
    #[arg(long, value_name = "FILE")]
    pub validator_api_token_file: Option<PathBuf>,
}

/// The operator's data folder, read beside a running node.
#[derive(Clone, Debug, Default, Args)]
pub struct FolderArgs {
    /// The operator's data folder.
    #[arg(long, env = "SYMBOLON_DATA_DIR")]
    pub data_dir: PathBuf,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long)]
    pub network_config: Option<PathBuf>,
    /// The password of the node's halves, which tell the client's keys; without it, the file that the ceremony made.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
}

impl NodeArgs {
    fn connect(&self) -> anyhow::Result<OwnNode> {
        let token = self.validator_api_token_file.as_deref().map(read_password).transpose()?;
        Ok(OwnNode::new(&self.url, token)?)
    }
}

/// What the data folder says of this operator's validators.
struct Site {
    data: DataFolder,
    /// The keys that the client signs with, in the lock's order.
    client_keys: Vec<PublicKey>,
}

impl FolderArgs {
    fn read(&self) -> anyhow::Result<Site> {
        let reading = Reading::of_command(&self.network_config, &self.password_file);
        let data = DataFolder::read(&self.data_dir, &reading)?;
        let position = data.me.position();
        let halves = data.halves(&reading)?;
        let seats = halves.iter().zip(&data.cluster.validators);
        let client_keys = seats.map(|(half, one)| half.vc_key(&one.public_shares[position]));
        let client_keys = client_keys.collect::<Result<_, _>>()?;
        Ok(Site { data, client_keys })
    }
}

impl Site {
    /// The validator of a key: its own, or the one that its client has for it.
    fn number(&self, key: &PublicKey) -> anyhow::Result<ValidatorNo> {
        let groups = self.data.cluster.validators.iter().map(|one| one.public_key);
        let found = groups.zip(&self.client_keys).position(|(group, client)| group == *key || client == key);
        let place = found.with_context(|| format!("{key} is no validator of this cluster"))?;
        Ok(ValidatorNo(u32::try_from(place)?))
    }

    fn group_key(&self, validator: ValidatorNo) -> anyhow::Result<PublicKey> {
        let found = self.data.cluster.validators.get(validator.0 as usize);
        Ok(found.with_context(|| format!("the lock has no validator {validator}"))?.public_key)
    }

    /// The client's halves of these validators, from a folder of keystores.
    ///
    /// - Cost: a key derivation for each keystore in the folder.
    fn halves(&self, folder: &Path, validators: &[ValidatorNo]) -> anyhow::Result<Vec<SecretShare>> {
        let opened = read_folder(folder, &Passwords::Beside)?;
        let mut by_key: BTreeMap<PublicKey, SecretShare> =
            opened.into_iter().map(|one| (one.secret.public(), one.secret)).collect();
        let mut halves = Vec::with_capacity(validators.len());
        for validator in validators {
            let key = self.client_keys[validator.0 as usize];
            match by_key.remove(&key) {
                Some(half) => halves.push(half),
                None => bail!(
                    "{} lacks the client's half of validator {validator}, whose key is {key}: is it another operator's \
                     folder, or from before a resplit?",
                    folder.display()
                ),
            }
        }
        Ok(halves)
    }
}

/// Runs a command's questions to their end.
fn ask<T>(questions: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(questions)
}

/// Operators by number, for people.
fn listed(operators: impl IntoIterator<Item = u8>) -> String {
    let names: Vec<String> = operators.into_iter().map(|operator| operator.to_string()).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}
