//! The nodes of a pool, and who is killed when.

use crate::faults::flags::FaultFlags;
use crate::faults::full_disk;
use crate::front::BeaconFault;
use crate::operators::{Around, Operator};
use crate::process::{Process, stop_all};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A node is up within seconds, and with ten thousand validators, whose lock all nodes verify at the same time, in a minute or
/// two; some times that on a busy machine.
const NODE_START_MAX: Duration = Duration::from_secs(600);

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
    /// Slots of an epoch of the toy chain.
    pub slots_per_epoch: u64,
    /// Validators of others in the toy chain's sync committees.
    pub strangers: u64,
    /// Who is killed when.
    pub kills: Vec<Kill>,
    /// Beacon nodes of each operator.
    pub beacon_nodes: usize,
    /// Whose beacon node fails when.
    pub beacon_faults: Vec<BeaconFault>,
    /// What happens to nodes and the lines between them.
    pub faults: FaultFlags,
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

/// How a node is started, again and again.
#[derive(Clone, Debug)]
struct Launch {
    operator: Operator,
    around: Around,
    network: PathBuf,
    log: PathBuf,
}

impl Launch {
    fn start(&self) -> anyhow::Result<Process> {
        let name = format!("node of operator {}", self.operator.number);
        let command = self.operator.node(&self.around, &self.network)?;
        Ok(match self.around.bears_full_disk {
            true => Process::start_heard(&name, full_disk::bearing(&command), &self.log)?,
            false => Process::start(&name, command, &self.log)?,
        })
    }
}

/// Nodes that run.
#[derive(Debug)]
pub struct Nodes {
    running: BTreeMap<usize, Process>,
    launches: BTreeMap<usize, Launch>,
    kills: Vec<Kill>,
    /// The most memory that a node of each operator has held, of those that have ended or were looked at.
    memory: BTreeMap<usize, u64>,
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
        let (mut running, mut launches) = (BTreeMap::new(), BTreeMap::new());
        for (place, operator) in operators.iter().enumerate() {
            let launch = Launch {
                operator: operator.clone(),
                around: around(place),
                network: network.to_owned(),
                log: run_dir.join(format!("node-{}.log", operator.number)),
            };
            running.insert(operator.number, launch.start()?);
            launches.insert(operator.number, launch);
        }
        for operator in operators {
            let address = ("127.0.0.1", operator.api_port);
            let process = running.get_mut(&operator.number).context("every operator has a node")?;
            process.wait_ready(NODE_START_MAX, async || TcpStream::connect(address).await.is_ok()).await?;
        }
        Ok(Self { running, launches, kills: kills.to_vec(), memory: BTreeMap::new() })
    }

    /// Kills those whose slot has come; notices those that have ended by themselves.
    pub async fn turn(&mut self, slot: u64) -> anyhow::Result<()> {
        let (due, later): (Vec<_>, Vec<_>) = self.kills.iter().partition(|kill| kill.slot <= slot);
        self.kills = later;
        for kill in due {
            if self.kill(kill.operator).await {
                tracing::info!(operator = kill.operator, slot, "node killed");
            }
        }
        self.running.values_mut().try_for_each(|process| Ok(process.check()?))
    }

    /// Kills an operator's node; whether it ran.
    pub async fn kill(&mut self, operator: usize) -> bool {
        match self.take(operator) {
            Some(process) => {
                process.kill().await;
                true
            }
            None => false,
        }
    }

    /// Starts the node of an operator that does not run, and does not wait for it.
    pub fn start_again(&mut self, operator: usize) -> anyhow::Result<()> {
        let launch = self.launches.get(&operator);
        let launch = launch.with_context(|| format!("there is no operator {operator}"))?;
        self.running.insert(operator, launch.start()?);
        Ok(())
    }

    /// The process of an operator's node; `None` if it does not run.
    pub fn id(&self, operator: usize) -> Option<u32> {
        self.running.get(&operator).and_then(Process::id)
    }

    /// Hands out an operator's node, which may end from now on.
    pub fn take(&mut self, operator: usize) -> Option<Process> {
        self.look_at_memory();
        self.running.remove(&operator)
    }

    /// The most memory, in bytes, that a node of each operator has held at any time, however often it was started.
    pub fn memory(&mut self) -> &BTreeMap<usize, u64> {
        self.look_at_memory();
        &self.memory
    }

    fn look_at_memory(&mut self) {
        for (operator, process) in &self.running {
            let most = self.memory.entry(*operator).or_default();
            *most = process.memory_peak().unwrap_or(0).max(*most);
        }
    }

    /// Logs of all nodes, the killed ones included.
    pub fn logs(&self) -> Vec<PathBuf> {
        self.launches.values().map(|launch| launch.log.clone()).collect()
    }

    /// Ends them all.
    pub async fn stop(self) {
        stop_all(self.running.into_values()).await;
    }
}
