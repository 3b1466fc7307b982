//! The operators of a devnet: their folders, ports and node keys, and the ceremony they hold, each in a process of its own.

use crate::ports::free_port;
use crate::process::Process;
use anyhow::{Context as _, ensure};
use cluster::folder;
use cluster::lock::Lock;
use futures::future::try_join_all;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;
use types::PublicKey;

/// Takes withdrawals of devnet validators: nobody's.
const WITHDRAWAL_ADDRESS: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
/// Takes fees of devnet validators: nobody's.
pub const FEE_RECIPIENT: &str = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";
/// A ceremony of a devnet takes seconds; after this something is broken.
const CEREMONY_MAX: Duration = Duration::from_secs(300);

/// One operator.
#[derive(Clone, Debug)]
pub struct Operator {
    /// From 1.
    pub number: usize,
    /// The node's data folder.
    pub data_dir: PathBuf,
    /// The validator client's folder.
    pub client_dir: PathBuf,
    /// Where its node listens for the others.
    pub wire_port: u16,
    /// Where its node serves the validator API.
    pub api_port: u16,
    /// Where its node serves metrics.
    pub metrics_port: u16,
    /// Its node record.
    pub enr: String,
}

/// What an operator's node works with beside its own things.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Its beacon nodes, best first.
    pub beacon_urls: Vec<String>,
    /// More flags of the node.
    pub flags: Vec<String>,
    /// Whether its disk will be full.
    pub bears_full_disk: bool,
}

/// What the ceremony made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The validators' keys, in the lock's order.
    pub keys: Vec<PublicKey>,
    /// How long it took, processes included.
    pub ceremony_ms: u64,
}

/// This program again, as one of the processes of a devnet.
pub fn ourselves(role: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.arg("process").arg(role);
    Ok(command)
}

/// Folders, ports and node keys for `count` operators below `run_dir`.
pub async fn make(run_dir: &Path, count: usize) -> anyhow::Result<Vec<Operator>> {
    let mut operators = Vec::new();
    for number in 1..=count {
        let data_dir = data_dir(run_dir, number);
        let mut command = ourselves("dkg")?;
        command.arg("identity").arg("--data-dir").arg(&data_dir);
        let enr = String::from_utf8(output_of(command, "identity").await?)?.trim().to_owned();
        operators.push(allot(run_dir, number, enr)?);
    }
    Ok(operators)
}

/// An operator's folders and ports.
pub fn allot(run_dir: &Path, number: usize, enr: String) -> anyhow::Result<Operator> {
    Ok(Operator {
        number,
        data_dir: data_dir(run_dir, number),
        client_dir: run_dir.join(format!("client-{number}")),
        wire_port: free_port()?,
        api_port: free_port()?,
        metrics_port: free_port()?,
        enr,
    })
}

fn data_dir(run_dir: &Path, number: usize) -> PathBuf {
    run_dir.join(format!("operator-{number}"))
}

/// Runs a command to its end; what it printed, or its complaint.
pub async fn output_of(mut command: Command, name: &str) -> anyhow::Result<Vec<u8>> {
    let output = command.output().await?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

impl Operator {
    /// Its address on the wire.
    pub fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.wire_port)
    }

    /// The URL of its node's validator API.
    pub fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }

    fn ceremony(&self, definition: &Path, network: &Path, all: &[Self]) -> anyhow::Result<Command> {
        let mut command = ourselves("dkg")?;
        command.arg("run").arg("--json").arg("--definition").arg(definition);
        command.arg("--data-dir").arg(&self.data_dir).arg("--network-config").arg(network);
        command.arg("--listen").arg(self.address());
        command.arg("--deadline").arg(CEREMONY_MAX.as_secs().to_string());
        for other in all.iter().filter(|other| other.number != self.number) {
            command.arg("--peer").arg(format!("{}={}", other.enr, other.address()));
        }
        Ok(command)
    }

    /// Its node's daemon.
    pub fn node(&self, around: &Around, network: &Path) -> anyhow::Result<Command> {
        let mut command = ourselves("node")?;
        command.arg("run").arg("--data-dir").arg(&self.data_dir).args(&around.flags);
        for url in &around.beacon_urls {
            command.arg("--beacon-node").arg(url);
        }
        command.arg("--validator-api").arg(format!("127.0.0.1:{}", self.api_port));
        command.arg("--metrics").arg(format!("127.0.0.1:{}", self.metrics_port));
        command.arg("--listen").arg(self.address()).arg("--network-config").arg(network);
        command.arg("--graffiti").arg(format!("operator {}", self.number)).arg("--log-format").arg("json");
        Ok(command)
    }
}

/// Holds the ceremony, and gives each validator client its halves.
pub async fn ceremony(
    run_dir: &Path,
    operators: &[Operator],
    threshold: usize,
    validators: usize,
    network: &Path,
) -> anyhow::Result<Made> {
    let definition = run_dir.join("definition.json");
    define(&definition, operators, threshold, validators, network).await?;
    let started = Instant::now();
    let mut processes = Vec::new();
    for operator in operators {
        let command = operator.ceremony(&definition, network, operators)?;
        let log = run_dir.join(format!("ceremony-{}.log", operator.number));
        processes.push(Process::start(&format!("ceremony of operator {}", operator.number), command, &log)?);
    }
    try_join_all(processes.into_iter().map(|process| process.finished(CEREMONY_MAX))).await?;
    let ceremony_ms = u64::try_from(started.elapsed().as_millis())?;
    Ok(Made { keys: hand_out(operators)?, ceremony_ms })
}

/// Gives each validator client its halves; the keys that a ceremony has made.
pub fn hand_out(operators: &[Operator]) -> anyhow::Result<Vec<PublicKey>> {
    for operator in operators {
        std::fs::create_dir_all(&operator.client_dir)?;
        let (from, to) =
            (operator.data_dir.join(folder::KEYSTORES), operator.client_dir.join(folder::KEYSTORES));
        std::fs::rename(from, to)?;
    }
    let first = operators.first().context("a cluster has operators")?;
    let lock = std::fs::read(first.data_dir.join(folder::LOCK))?;
    let cluster = Lock::parse(&lock)?.cluster()?;
    Ok(cluster.validators.iter().map(|one| one.public_key).collect())
}

async fn define(
    out: &Path,
    operators: &[Operator],
    threshold: usize,
    validators: usize,
    network: &Path,
) -> anyhow::Result<()> {
    let mut command = ourselves("dkg")?;
    command.args(["define", "--name", "devnet"]);
    command.args(operators.iter().flat_map(|one| ["--operator-enr".into(), OsString::from(&one.enr)]));
    command.arg("--threshold").arg(threshold.to_string()).arg("--validators").arg(validators.to_string());
    command.args(["--withdrawal-address", WITHDRAWAL_ADDRESS, "--fee-recipient-address", FEE_RECIPIENT]);
    command.arg("--network-config").arg(network).arg("--out").arg(out);
    output_of(command, "define").await?;
    Ok(())
}
