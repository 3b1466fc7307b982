//! Operators with node keys, folders and ports of their own on one machine.
#![allow(dead_code, reason = "each test program uses its part")]

use cluster::folder;
use cluster::lock::Lock;
use dkg::define::{DefineConfig, define};
use dkg::run::{Finished, RunConfig, Source, run};
use keys::NodeSigner;
use keys::identity::{KEY_FILE, NodeKey};
use keys::keystore::Keystore;
use keys::secret_file::read_password;
use keys::store::NodeStore;
use net::Multiaddr;
use rand_core::OsRng;
use secrecy::SecretString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use types::Generation;

/// Operators of one cluster to be, in one temporary folder.
pub(crate) struct Pool {
    _folder: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) dirs: Vec<PathBuf>,
    pub(crate) enrs: Vec<String>,
    pub(crate) addresses: Vec<Multiaddr>,
}

/// `count` operators with node keys and ports of their own.
pub(crate) fn pool(count: usize) -> Pool {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let addresses = listeners.iter().map(|one| format!("/ip4/127.0.0.1/tcp/{}", port(one)).parse().unwrap());
    let addresses = addresses.collect();
    let dirs: Vec<_> = (1..=count).map(|number| root.join(format!("operator{number}"))).collect();
    let enr = |dir: &PathBuf| {
        std::fs::create_dir(dir).unwrap();
        NodeKey::create_new(&dir.join(KEY_FILE), &mut OsRng).unwrap().enr()
    };
    let enrs = dirs.iter().map(enr).collect();
    Pool { _folder: folder, root, dirs, enrs, addresses }
}

impl Pool {
    pub(crate) fn define(&self, name: &str, validators: usize) -> PathBuf {
        let out = self.root.join(format!("{name}.json"));
        let config = DefineConfig {
            version: cluster::Version::V1_10,
            name: name.into(),
            operators: self.enrs.clone(),
            threshold: (2 * self.enrs.len()).div_ceil(3),
            validators,
            withdrawal_addresses: vec!["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".into()],
            fee_recipient_addresses: vec!["0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359".into()],
            network: Some("hoodi".into()),
            network_config: None,
            compounding: false,
            deposit_amounts: vec![1, 31],
            out: out.clone(),
        };
        define(&config).unwrap();
        out
    }

    pub(crate) fn config(&self, position: usize, definition: &Path) -> RunConfig {
        let others = self.enrs.iter().cloned().zip(self.addresses.iter().cloned()).enumerate();
        let others = others.filter(|(other, _)| *other != position).map(|(_, peer)| peer);
        RunConfig {
            definition: Source::File(definition.to_owned()),
            approve: None,
            data_dir: self.dirs[position].clone(),
            listen: vec![self.addresses[position].clone()],
            relays: Vec::new(),
            peers: others.collect(),
            network_config: None,
            password_file: None,
            keymanager: None,
            deadline: Duration::from_secs(120),
            attempt: 0,
            quiet: true,
        }
    }

    /// The program of an operator, with its output kept.
    pub(crate) fn command(&self, position: usize, definition: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dvt-dkg"));
        command.arg("run").arg("--definition").arg(definition).arg("--data-dir").arg(&self.dirs[position]);
        command.arg("--listen").arg(self.addresses[position].to_string());
        for peer in (0..self.dirs.len()).filter(|peer| *peer != position) {
            command.arg("--peer").arg(format!("{}={}", self.enrs[peer], self.addresses[peer]));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) async fn run_all(&self, definition: &Path) -> Vec<anyhow::Result<Finished>> {
        let runs = (0..self.dirs.len()).map(|position| tokio::spawn(run(self.config(position, definition))));
        let mut results = Vec::new();
        for run in runs.collect::<Vec<_>>() {
            results.push(run.await.unwrap());
        }
        results
    }
}

/// The halves of one operator make its public shares.
pub(crate) fn check_halves(dir: &Path, lock: &Lock, position: usize) {
    let cluster = lock.cluster().unwrap();
    let shares: Vec<_> =
        cluster.validators.iter().map(|validator| validator.public_shares[position]).collect();
    let password = read_password(&dir.join(folder::NODE_PASSWORD)).unwrap();
    let store = NodeStore::load(&dir.join(NodeStore::file_name(Generation(0))), &password).unwrap();
    assert_eq!(store.cluster, lock.lock_hash());
    let halves = store.halves.into_iter().map(|stored| stored.half);
    let signer = NodeSigner::new(halves.zip(shares)).unwrap();
    for number in 0..cluster.validators.len() {
        let keystores = dir.join(folder::KEYSTORES);
        let json = std::fs::read(keystores.join(format!("keystore-{number}.json"))).unwrap();
        let password = std::fs::read_to_string(keystores.join(format!("keystore-{number}.txt"))).unwrap();
        let half = Keystore::parse(&json).unwrap().decrypt_half(&SecretString::from(password)).unwrap();
        let number = types::ValidatorNo(u32::try_from(number).unwrap());
        assert_eq!(signer.vc_key(number), Some(half.public()));
    }
}
