//! The shell that strikes: nodes and the lines between them, and what happens to both slot by slot.
//!
//! ```text
//! slot's start      what is over by this slot ends; lines are reset
//!   in it           a rolling restart, if it is time
//!   a tenth before  what begins with the next slot
//! its end
//! ```

use super::broken_journal::Damaged;
use super::links::{Links, Weather};
use super::loris::{CONNECTIONS, Loris};
use super::monitor::Monitors;
use super::rolling::Rolling;
use super::schedule::Schedule;
use super::{Fault, full_disk};
use crate::clock::wait_until;
use crate::operators::{Operator, ourselves};
use crate::pool::Nodes;
use crate::process::Process;
use anyhow::Context as _;
use cluster::folder;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use types::{ChainSpec, Slot};

/// When in a slot what begins with the next one strikes, in basis points: what is due in the slot is over by then.
const STRIKE_BP: u64 = 9_000;

/// Nodes, and what happens to them.
#[derive(Debug)]
pub struct Stage {
    run_dir: PathBuf,
    operators: Vec<Operator>,
    nodes: Nodes,
    links: Option<Links>,
    schedule: Schedule,
    rolling: Option<Rolling>,
    monitors: Monitors,
    floods: BTreeMap<usize, Process>,
    lorises: BTreeMap<usize, Loris>,
    damaged: BTreeMap<usize, Damaged>,
    resets: usize,
    refused: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

/// What came of it, beside the chain.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The nodes' logs.
    pub logs: Vec<PathBuf>,
    /// What should not have been.
    pub wrong: Vec<String>,
    /// Figures.
    pub facts: Map<String, Value>,
}

/// Puts a line between each operator and each other, into the files by which nodes find each other.
pub async fn put_between(operators: &[Operator], weather: Weather) -> anyhow::Result<Links> {
    let ports: Vec<_> = operators.iter().map(|operator| operator.wire_port).collect();
    let links = Links::start(&ports, weather).await?;
    for operator in operators {
        let mut entries = Vec::new();
        for other in operators.iter().filter(|other| other.number != operator.number) {
            let port = links.port(operator.number, other.number)?;
            let address = format!("/ip4/127.0.0.1/tcp/{port}").parse()?;
            entries.push(net::peers_file::PeerEntry { enr: other.enr.clone(), addresses: vec![address] });
        }
        let file = operator.data_dir.join(folder::PEERS);
        let written = std::fs::write(&file, net::peers_file::render(&entries));
        written.with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(links)
}

impl Stage {
    /// Nodes that run, before slot 0.
    ///
    /// - `links`: the lines between them, if they are not direct. `rolling`: whether they are restarted in turn.
    pub fn new(
        run_dir: &Path,
        operators: &[Operator],
        (nodes, links): (Nodes, Option<Links>),
        schedule: Schedule,
        rolling: bool,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            run_dir: run_dir.to_owned(),
            operators: operators.to_vec(),
            nodes,
            links,
            schedule,
            rolling: rolling.then(|| Rolling::new(operators.len())),
            monitors: Monitors::new(operators)?,
            floods: BTreeMap::new(),
            lorises: BTreeMap::new(),
            damaged: BTreeMap::new(),
            resets: 0,
            refused: BTreeMap::new(),
            wrong: Vec::new(),
        })
    }

    /// At a slot's beginning: ends what is over, and notices nodes that have ended by themselves.
    pub async fn turn(&mut self, slot: u64) -> anyhow::Result<()> {
        for fault in self.schedule.ending(slot) {
            self.look(&fault, slot).await;
            self.end(&fault).await?;
            tracing::info!(slot, "over: {fault}");
        }
        self.resets += self.links.as_ref().map_or(0, |links| links.reset_some(slot));
        self.nodes.turn(slot).await
    }

    /// Until a tenth before a slot's end: restarts a node, if it is time, and begins what begins with the next slot.
    pub async fn within(&mut self, spec: &ChainSpec, slot: u64, is_judged: bool) -> anyhow::Result<()> {
        if is_judged && let Some(rolling) = &self.rolling {
            wait_until(spec.slot_point(Slot(slot), rolling.phase_bp())).await;
            self.roll(slot).await?;
        }
        wait_until(spec.slot_point(Slot(slot), STRIKE_BP)).await;
        for fault in self.schedule.beginning(slot + 1) {
            self.begin(&fault).await?;
            tracing::info!(slot = slot + 1, "from now on: {fault}");
        }
        Ok(())
    }

    async fn roll(&mut self, slot: u64) -> anyhow::Result<()> {
        let Some(rolling) = &mut self.rolling else { return Ok(()) };
        let is_back = match rolling.awaited() {
            Some((last, since)) => is_back(&self.monitors, last, since, slot).await,
            None => false,
        };
        let Some(operator) = rolling.turn(slot, is_back) else { return Ok(()) };
        self.nodes.kill(operator).await;
        self.nodes.start_again(operator)?;
        tracing::info!(slot, operator, "node killed and started again");
        Ok(())
    }

    async fn begin(&mut self, fault: &Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Down(operators) => {
                for operator in operators {
                    self.nodes.kill(*operator).await;
                }
            }
            Fault::Partition(sides) => {
                self.links.as_ref().context("a partition needs lines")?.divide(sides);
            }
            Fault::Flood(operator) => {
                self.nodes.kill(*operator).await;
                let flood = self.start_flood(*operator)?;
                self.floods.insert(*operator, flood);
            }
            Fault::Loris(operators) => {
                for operator in operators {
                    let port = self.operator(*operator)?.api_port;
                    self.lorises.insert(*operator, Loris::start(port));
                }
            }
            Fault::FullDisk(operator) => full_disk::fill(self.nodes.id(*operator), true)?,
            Fault::BrokenJournal(operator) => {
                self.nodes.kill(*operator).await;
                let damaged = Damaged::make(&self.operator(*operator)?.data_dir.join(folder::JOURNAL))?;
                self.nodes.start_again(*operator)?;
                let node = self.nodes.take(*operator).context("it was just started")?;
                self.wrong.extend(damaged.refused(node).await);
                self.damaged.insert(*operator, damaged);
            }
        }
        Ok(())
    }

    async fn end(&mut self, fault: &Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Down(operators) => operators.iter().try_for_each(|who| self.nodes.start_again(*who)),
            Fault::Partition(_) => {
                self.links.as_ref().context("a partition needs lines")?.divide(&[]);
                Ok(())
            }
            Fault::Flood(operator) => {
                if let Some(flood) = self.floods.remove(operator) {
                    flood.kill().await;
                }
                self.nodes.start_again(*operator)
            }
            Fault::Loris(operators) => {
                self.lorises.retain(|operator, _| !operators.contains(operator));
                Ok(())
            }
            // A journal that could not be written is opened anew, as docs/outcomes.md says.
            Fault::FullDisk(operator) => {
                full_disk::fill(self.nodes.id(*operator), false)?;
                self.nodes.kill(*operator).await;
                self.nodes.start_again(*operator)
            }
            Fault::BrokenJournal(operator) => {
                if let Some(damaged) = self.damaged.remove(operator) {
                    damaged.mend()?;
                }
                self.nodes.start_again(*operator)
            }
        }
    }

    fn start_flood(&self, operator: usize) -> anyhow::Result<Process> {
        let one = self.operator(operator)?;
        let mut command = ourselves("flood")?;
        command.arg("--data-dir").arg(&one.data_dir).arg("--listen").arg(one.address());
        let log = self.run_dir.join(format!("flood-{operator}.log"));
        Ok(Process::start(&format!("flood of operator {operator}"), command, &log)?)
    }

    fn operator(&self, number: usize) -> anyhow::Result<&Operator> {
        let one = self.operators.iter().find(|operator| operator.number == number);
        one.with_context(|| format!("there is no operator {number}"))
    }

    /// Looks, before a fault ends, whether it has struck: nothing is shown by a fault that nobody felt.
    async fn look(&mut self, fault: &Fault, slot: u64) {
        // The last slot is not over at every node.
        let seen = slot.saturating_sub(2);
        let (sides, struck) = match fault {
            Fault::Partition(sides) => (sides.clone(), sides[1..].concat()),
            Fault::Loris(_) => (Vec::new(), Vec::new()),
            Fault::Down(_) | Fault::Flood(_) | Fault::FullDisk(_) | Fault::BrokenJournal(_) => {
                (Vec::new(), fault.impaired())
            }
        };
        let mut witnesses = sides.first().cloned().unwrap_or_else(|| self.numbers());
        witnesses.retain(|witness| !struck.contains(witness));
        let Some(witness) = witnesses.first().copied() else { return };
        match self.monitors.attestations(witness, seen).await {
            None => {
                self.wrong.push(format!("{fault}: operator {witness}'s node does not tell of slot {seen}"))
            }
            Some(account) => {
                for one in self.numbers().into_iter().filter(|one| *one != witness) {
                    let is_missing = account.missing.contains(&one);
                    if is_missing != struck.contains(&one) && (is_missing || account.ending == "done") {
                        let partials = if is_missing { "no partials" } else { "partials" };
                        self.wrong.push(format!("{fault}: {partials} of operator {one} in slot {seen}"));
                    }
                }
            }
        }
        self.look_closer(fault, seen).await;
    }

    /// What shows beside whose partial signatures came.
    async fn look_closer(&mut self, fault: &Fault, seen: u64) {
        match fault {
            Fault::Flood(operator) => {
                for witness in self.numbers().into_iter().filter(|one| one != operator) {
                    let refused = self.monitors.refused(witness, *operator).await.unwrap_or(0);
                    self.refused.insert(format!("{operator} by {witness}"), refused);
                    if refused == 0 {
                        self.wrong.push(format!("{fault}: nothing of it was refused by operator {witness}"));
                    }
                }
            }
            Fault::Loris(operators) => {
                for operator in operators {
                    let opened = self.lorises.get(operator).map_or(0, Loris::opened);
                    if opened < CONNECTIONS {
                        self.wrong
                            .push(format!("{fault}: {opened} of {CONNECTIONS} were begun at {operator}"));
                    }
                }
            }
            // It goes on hearing, and hands in what the others sign.
            Fault::FullDisk(operator) => match self.monitors.attestations(*operator, seen).await {
                Some(account) if account.ending == "done" && account.missing.contains(operator) => {}
                account => {
                    self.wrong.push(format!("{fault}: its node's account of slot {seen} is {account:?}"))
                }
            },
            Fault::Down(_) | Fault::Partition(_) | Fault::BrokenJournal(_) => {}
        }
    }

    fn numbers(&self) -> Vec<usize> {
        self.operators.iter().map(|operator| operator.number).collect()
    }

    /// Ends everything, after so many slots.
    pub async fn finish(mut self, slots: u64) -> Shown {
        let mut facts = Map::new();
        if let Some(rolling) = &self.rolling {
            self.wrong.extend(rolling.wrong(slots));
            facts.insert(
                "rolling".into(),
                json!({ "restarts": rolling.kills(), "most_slots_between": rolling.slowest() }),
            );
        }
        if self.resets > 0 {
            facts.insert("lines_reset".into(), self.resets.into());
        }
        if !self.refused.is_empty() {
            facts.insert("frames_refused".into(), json!(self.refused));
        }
        let memory = self.nodes.memory().iter();
        let memory: Map<_, _> =
            memory.map(|(operator, bytes)| (operator.to_string(), (bytes >> 20).into())).collect();
        facts.insert("node_memory_mib".into(), memory.into());
        let logs = self.nodes.logs();
        self.nodes.stop().await;
        Shown { logs, wrong: self.wrong, facts }
    }
}

/// Whether a node that was killed in a slot has done a duty in full in a later one.
async fn is_back(monitors: &Monitors, operator: usize, since: u64, now: u64) -> bool {
    for slot in since + 1..=now {
        let account = monitors.attestations(operator, slot).await;
        if account.is_some_and(|account| account.is_full(operator)) {
            return true;
        }
    }
    false
}
