//! What a ceremony leaves in the operator's data folder.

use crate::ceremony::Outcome;
use anyhow::{Context as _, ensure};
use cluster::folder;
use keys::VcHalf;
use keys::files::{PUBLIC, WriteError, write_new};
use keys::keystore::Keystore;
use keys::keystores::{seal, write_folder};
use keys::secret_file::{random_hex, read_password, write_new_secret};
use keys::store::{NodeStore, Protection, StoredHalf};
use rand_core::OsRng;
use remote::keymanager::{Keymanager, Push};
use secrecy::{ExposeSecret as _, SecretString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::Generation;

/// Where the outcome goes, and what else belongs beside it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The operator's data folder.
    pub data_dir: PathBuf,
    /// The operator's own password for the node's halves; without it a random one is made.
    pub password_file: Option<PathBuf>,
    /// The definition as it was approved.
    pub definition: String,
    /// The network file, where the network is not built in.
    pub network: Option<Vec<u8>>,
    /// Addresses of the other operators.
    pub peers: String,
    /// The validator client that takes its halves; without one they become files.
    pub keymanager: Option<Arc<Keymanager>>,
}

impl Place {
    /// The first file that a finished ceremony would have left here.
    pub fn occupied(&self) -> Option<PathBuf> {
        let names = [folder::LOCK.to_owned(), folder::KEYSTORES.to_owned()];
        let halves = NodeStore::file_name(Generation(0));
        let fixed = names.into_iter().chain([halves]).map(|name| self.data_dir.join(name));
        let deposits = std::fs::read_dir(&self.data_dir).into_iter().flatten().flatten();
        let deposits = deposits.map(|entry| entry.path()).filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("deposit-data"))
        });
        fixed.chain(deposits).find(|path| path.symlink_metadata().is_ok())
    }

    /// Removes what a crash has left of files and folders that never got their names, or had got them just before.
    pub fn tidy(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.data_dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")).is_some_and(is_ours) {
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }?;
            }
        }
        Ok(())
    }

    /// Writes everything, the lock last. What an earlier try of the same ceremony has written stays.
    pub fn write(&self, outcome: Outcome) -> anyhow::Result<()> {
        let Outcome { lock, documents, halves } = outcome;
        self.write_same(folder::DEFINITION, self.definition.as_bytes())?;
        let groups = lock.validators.iter().map(|validator| validator.group);
        let (mut clients, mut nodes) = (Vec::new(), Vec::new());
        for (group_key, halves) in groups.zip(halves) {
            clients.push(halves.vc);
            nodes.push(StoredHalf { group_key, half: halves.node });
        }
        self.write_node_halves(NodeStore {
            cluster: lock.lock_hash,
            generation: Generation(0),
            halves: nodes,
        })?;
        match &self.keymanager {
            Some(client) => hand_over(client, &clients)?,
            None => self.write_keystores(&clients)?,
        }
        if let Some(network) = &self.network {
            self.write_same(folder::NETWORK, network)?;
        }
        let peers = self.data_dir.join(folder::PEERS);
        if !peers.exists() {
            write_new(&peers, self.peers.as_bytes(), 0o644)?;
        }
        for document in documents {
            self.write_same(&document.name, &document.bytes)?;
        }
        Ok(())
    }

    /// Public files follow from the ceremony: one that is there with the same bytes is as good as written.
    fn write_same(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.data_dir.join(name);
        match write_new(&path, bytes, PUBLIC) {
            Err(WriteError::Exists(_)) if std::fs::read(&path).is_ok_and(|found| found == bytes) => Ok(()),
            other => Ok(other?),
        }
    }

    fn write_node_halves(&self, store: NodeStore) -> anyhow::Result<()> {
        let path = self.data_dir.join(NodeStore::file_name(Generation(0)));
        let (password, protection) = self.password()?;
        if path.exists() {
            let found = NodeStore::load(&path, &password).with_context(|| path.display().to_string())?;
            ensure!(found.cluster == store.cluster, "{} belongs to another cluster", path.display());
            return Ok(());
        }
        Ok(store.write_new(&path, &password, protection, &mut OsRng)?)
    }

    fn password(&self) -> anyhow::Result<(SecretString, Protection)> {
        if let Some(path) = &self.password_file {
            return Ok((read_password(path)?, Protection::SCRYPT));
        }
        let path = self.data_dir.join(folder::NODE_PASSWORD);
        if !path.exists() {
            write_new_secret(&path, random_hex(32).expose_secret().as_bytes())?;
        }
        Ok((read_password(&path)?, Protection::RandomPassword))
    }

    fn write_keystores(&self, halves: &[VcHalf]) -> anyhow::Result<()> {
        let path = self.data_dir.join(folder::KEYSTORES);
        if path.exists() {
            return check_keystores(&path, halves);
        }
        Ok(write_folder(&path, halves)?)
    }
}

/// Whether a file or folder of this name, or of this name and more, is written by a ceremony.
fn is_ours(name: &str) -> bool {
    let halves = NodeStore::file_name(Generation(0));
    let names = [
        folder::DEFINITION,
        folder::LOCK,
        folder::NETWORK,
        folder::PEERS,
        folder::NODE_PASSWORD,
        folder::KEYSTORES,
        &halves,
    ];
    let whole =
        |own: &&str| name.strip_prefix(*own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let starts = ["deposit-data", "evidence-", folder::FETCHED_DEFINITION];
    names.iter().any(whole) || starts.iter().any(|start| name.starts_with(start))
}

/// Hands the client its halves. Tried again, it finds those that it took before to be the same.
fn hand_over(client: &Keymanager, halves: &[VcHalf]) -> anyhow::Result<()> {
    let sealed = seal(halves);
    let pushes = sealed.iter().map(|one| Push { key: one.key, json: &one.json, password: &one.password });
    let pushes: Vec<Push<'_>> = pushes.collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let taken = runtime.block_on(client.push(&pushes, None));
    taken.with_context(|| {
        format!("the validator client at {} has not taken its halves; start again to go on", client.label())
    })?;
    Ok(())
}

/// The folder came whole from an earlier try, or it is somebody else's.
fn check_keystores(path: &Path, halves: &[VcHalf]) -> anyhow::Result<()> {
    for (number, half) in halves.iter().enumerate() {
        let file = path.join(format!("keystore-{number}.json"));
        let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
        let keystore = Keystore::parse(&bytes).with_context(|| file.display().to_string())?;
        ensure!(keystore.pubkey == Some(half.public()), "{} is of another ceremony", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_leaves_of_our_files_goes_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let left = [
            ".cluster-definition.json.tmp",
            ".cluster-lock.json.tmp",
            ".network.json.tmp",
            ".peers.toml.tmp",
            ".node-password.00112233445566aa.tmp",
            ".node-halves-0.bin.00112233445566aa.tmp",
            ".deposit-data-31eth.json.tmp",
            ".evidence-00112233-2.json.tmp",
            ".definition-00112233.json.tmp",
        ];
        let others =
            [".notes.tmp", "cluster-lock.json.tmp", ".cluster-lock.json", ".signing-stopped.json.tmp"];
        left.iter().chain(&others).for_each(|name| std::fs::write(at(name), "half").unwrap());
        std::fs::create_dir(at(".validator_keys.tmp")).unwrap();
        std::fs::write(at(".validator_keys.tmp").join("keystore-0.json"), "half").unwrap();
        let place = Place {
            data_dir: folder.path().to_owned(),
            password_file: None,
            definition: String::new(),
            network: None,
            peers: String::new(),
            keymanager: None,
        };
        place.tidy().unwrap();
        assert!(left.iter().all(|name| !at(name).exists()) && !at(".validator_keys.tmp").exists());
        assert!(others.iter().all(|name| at(name).exists()));
        assert_eq!(place.occupied(), None, "nothing in the making takes a place");
    }
}
