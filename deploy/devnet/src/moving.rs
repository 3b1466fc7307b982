//! An Obol cluster that moves in before a run, and out after it.
//!
//! `DIR/node0`, `DIR/node1`, ... are the operators' folders; the lock lies in each, or once beside them.

use crate::operators::{Made, Operator, allot, ourselves, output_of};
use anyhow::{Context as _, ensure};
use cluster::folder;
use cluster::lock::{Cluster, Lock};
use cluster::network::{Network, Networks};
use dvt_node::moving::interchange::{Interchange, Record};
use keys::identity::{KEY_FILE, NodeKey};
use keys::keystores::{Passwords, read_folder};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;
use types::{ChainSpec, PublicKey};

/// A cluster as its operators have it.
#[derive(Clone, Debug)]
pub struct Obol {
    dir: PathBuf,
    lock_path: PathBuf,
    lock: Lock,
    /// What the lock describes.
    pub cluster: Cluster,
}

impl Obol {
    /// Reads the lock of a cluster's folder.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let beside = dir.join(folder::LOCK);
        let lock_path = if beside.exists() { beside } else { dir.join("node0").join(folder::LOCK) };
        let bytes =
            std::fs::read(&lock_path).with_context(|| format!("cannot read {}", lock_path.display()))?;
        let lock = Lock::parse(&bytes).with_context(|| lock_path.display().to_string())?;
        let cluster = lock.cluster()?;
        Ok(Self { dir: dir.to_owned(), lock_path, lock, cluster })
    }

    /// The public network that its keys have signed for.
    pub fn network(&self) -> anyhow::Result<Network> {
        let networks = Networks::public();
        let network = networks.by_fork_version(self.cluster.fork_version).cloned();
        network.with_context(|| format!("fork version {} is of no public network", self.cluster.fork_version))
    }

    /// Moves every operator in, by `dvt-node import`.
    ///
    /// - The chain is new, so the history of every share is known: nothing was signed on it. It comes as a file, as that
    ///   of a cluster that has worked would.
    pub async fn import(
        &self,
        run_dir: &Path,
        spec: &ChainSpec,
        network: &Path,
    ) -> anyhow::Result<(Vec<Operator>, Made)> {
        let started = Instant::now();
        let enrs = self.lock.definition().operators().iter().map(|one| one.enr_text().to_owned());
        let operators: Vec<Operator> =
            (1..).zip(enrs).map(|(number, enr)| allot(run_dir, number, enr)).collect::<Result<_, _>>()?;
        for operator in &operators {
            let history = run_dir.join(format!("history-{}.json", operator.number));
            std::fs::write(&history, self.nothing_signed(operator, spec).to_json())?;
            let from = self.dir.join(format!("node{}", operator.number - 1));
            let mut command = ourselves("node")?;
            command.arg("import").arg("--json").arg("--obol").arg(&from).arg("--lock").arg(&self.lock_path);
            command.arg("--data-dir").arg(&operator.data_dir).arg("--history").arg(&history);
            command.arg("--network-config").arg(network);
            for other in operators.iter().filter(|other| other.number != operator.number) {
                command.arg("--peer").arg(format!("{}={}", other.enr, other.address()));
            }
            let done: Value = serde_json::from_slice(&output_of(command, "import").await?)?;
            ensure!(
                done["operator"].as_u64() == u64::try_from(operator.number).ok(),
                "{} is not the folder of operator {}",
                from.display(),
                operator.number
            );
            copy_folder(&from.join(folder::KEYSTORES), &operator.client_dir.join(folder::KEYSTORES))?;
        }
        let keys = self.cluster.validators.iter().map(|one| one.public_key).collect();
        let ceremony_ms = u64::try_from(started.elapsed().as_millis())?;
        Ok((operators, Made { keys, ceremony_ms }))
    }

    fn shares(&self, operator: &Operator) -> impl Iterator<Item = PublicKey> {
        self.cluster.validators.iter().map(|one| one.public_shares[operator.number - 1])
    }

    fn nothing_signed(&self, operator: &Operator, spec: &ChainSpec) -> Interchange {
        let record = |key| Record { key, blocks: Vec::new(), attestations: Vec::new() };
        Interchange {
            genesis_validators_root: spec.genesis_validators_root,
            records: self.shares(operator).map(record).collect(),
        }
    }

    /// Moves every operator out, by `dvt-node export`, and holds what comes out against the rules of Obol's files.
    ///
    /// - Returns the folders.
    pub async fn export(&self, run_dir: &Path, operators: &[Operator]) -> anyhow::Result<Vec<PathBuf>> {
        let out = run_dir.join("exported");
        std::fs::create_dir(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let mut folders = Vec::new();
        for operator in operators {
            let to = out.join(format!("node{}", operator.number - 1));
            let mut command = ourselves("node")?;
            command
                .arg("export")
                .arg("--json")
                .arg("--obol")
                .arg(&to)
                .arg("--data-dir")
                .arg(&operator.data_dir);
            command.arg("--keystores").arg(operator.client_dir.join(folder::KEYSTORES));
            output_of(command, "export").await?;
            let mut command = ourselves("dkg")?;
            command.arg("verify").arg("--json").arg("--lock").arg(to.join(folder::LOCK));
            command.arg("--deposit-data").args(deposit_files(&to)?);
            command.arg("--network-config").arg(operator.data_dir.join(folder::NETWORK));
            output_of(command, "verify").await?;
            self.ensure_shares(operator, &to)?;
            self.ensure_signed(operator, &to.join(dvt_node::moving::export::HISTORY))?;
            folders.push(to);
        }
        Ok(folders)
    }

    /// The keystores that come out must hold this operator's shares, and the node key be the operator's.
    fn ensure_shares(&self, operator: &Operator, folder: &Path) -> anyhow::Result<()> {
        let opened = read_folder(&folder.join(folder::KEYSTORES), &Passwords::Beside)?;
        let same = opened.iter().map(|one| one.secret.public()).eq(self.shares(operator));
        ensure!(same, "{} does not hold the shares of operator {}", folder.display(), operator.number);
        let key = NodeKey::load(&folder.join(KEY_FILE))?;
        let node = self.cluster.nodes[operator.number - 1];
        ensure!(key.public() == *node.as_bytes(), "{} holds another node's key", folder.display());
        Ok(())
    }

    /// The history that goes along must hold what this run has signed, by the shares' keys.
    fn ensure_signed(&self, operator: &Operator, history: &Path) -> anyhow::Result<()> {
        let history = Interchange::parse(&std::fs::read(history)?)?;
        for share in self.shares(operator) {
            let record = history.records.iter().find(|record| record.key == share);
            ensure!(
                record.is_some_and(|record| !record.attestations.is_empty()),
                "operator {} has attested with {share}, and its history does not say so",
                operator.number
            );
        }
        Ok(())
    }
}

fn deposit_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.extend(name.starts_with("deposit-data").then_some(path));
    }
    ensure!(!files.is_empty(), "{} has no deposit files", folder.display());
    Ok(files)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
