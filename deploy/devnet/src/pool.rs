//! The nodes of a pool, and who is killed when.

use crate::front::BeaconFault;
use crate::operators::{Around, Operator};
use crate::process::{Process, stop_all};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A node is up within seconds; ten times that on a busy machine.
const NODE_START_MAX: Duration = Duration::from_secs(60);

/// `OPERATOR@SLOT`: whose node is killed, and in which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// From 1.
    pub operator: usize,
    /// At its beginning.
    pub slot: u64,
}

impl FromStr for Kill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || format!("{text:?} is not OPERATOR@SLOT");
        let (operator, slot) = text.split_once('@').ok_or_else(words)?;
        let operator = operator.parse().map_err(|_| words())?;
        Ok(Self { operator, slot: slot.parse().map_err(|_| words())? })
    }
}

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct Orders {
    /// `n`.
    pub operators: usize,
    /// `t`.
    pub threshold: usize,
    /// Distributed validators.
    pub validators: usize,
    /// Slots to judge.
    pub slots: u64,
    /// Length of a slot.
    pub seconds_per_slot: u64,
    /// Who is killed when.
    pub kills: Vec<Kill>,
    /// Beacon nodes of each operator.
    pub beacon_nodes: usize,
    /// Whose beacon node fails when.
    pub beacon_faults: Vec<BeaconFault>,
    /// Where all files of the run go.
    pub run_dir: PathBuf,
    /// An Obol cluster that moves in, instead of a ceremony.
    pub import: Option<PathBuf>,
    /// Where Lodestar is installed, or will be.
    pub lodestar_dir: Option<PathBuf>,
}

impl Orders {
    /// The first slot in which duties may be missed: the one before the kill that is one too many, because its
    /// attestations need a block of the next.
    pub fn excused_from(&self, faults: u8) -> u64 {
        let mut slots: Vec<u64> = self.kills.iter().map(|kill| kill.slot).collect();
        slots.sort_unstable();
        slots.get(usize::from(faults)).map_or(u64::MAX, |slot| slot.saturating_sub(1))
    }
}

/// Nodes that run.
#[derive(Debug)]
pub struct Nodes {
    running: BTreeMap<usize, Process>,
    logs: Vec<PathBuf>,
    kills: Vec<Kill>,
}

impl Nodes {
    /// Starts every operator's node, and waits until each serves its validator API.
    ///
    /// - `around`: of an operator's place, from 0.
    pub async fn start(
        run_dir: &Path,
        operators: &[Operator],
        around: impl Fn(usize) -> Around,
        network: &Path,
        kills: &[Kill],
    ) -> anyhow::Result<Self> {
        let (mut running, mut logs) = (BTreeMap::new(), Vec::new());
        for (place, operator) in operators.iter().enumerate() {
            let log = run_dir.join(format!("node-{}.log", operator.number));
            let name = format!("node of operator {}", operator.number);
            let command = operator.node(&around(place), network)?;
            running.insert(operator.number, Process::start(&name, command, &log)?);
            logs.push(log);
        }
        for operator in operators {
            let address = ("127.0.0.1", operator.api_port);
            let process = running.get_mut(&operator.number).context("every operator has a node")?;
            process.wait_ready(NODE_START_MAX, async || TcpStream::connect(address).await.is_ok()).await?;
        }
        Ok(Self { running, logs, kills: kills.to_vec() })
    }

    /// Kills those whose slot has come; notices those that have ended by themselves.
    pub async fn turn(&mut self, slot: u64) -> anyhow::Result<()> {
        let (due, later): (Vec<_>, Vec<_>) = self.kills.iter().partition(|kill| kill.slot <= slot);
        self.kills = later;
        for kill in due {
            if let Some(process) = self.running.remove(&kill.operator) {
                process.kill().await;
                tracing::info!(operator = kill.operator, slot, "node killed");
            }
        }
        self.running.values_mut().try_for_each(|process| Ok(process.check()?))
    }

    /// Logs of all nodes, the killed ones included.
    pub fn logs(&self) -> &[PathBuf] {
        &self.logs
    }

    /// Ends them all.
    pub async fn stop(self) {
        stop_all(self.running.into_values()).await;
    }
}
