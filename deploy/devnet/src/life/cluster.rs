//! A cluster of the pool: its ceremony at the pool's board, its nodes, and their clients.

use super::office::Office;
use super::people::People;
use crate::lodestar::http_client;
use crate::operators::{self, Around, Operator, ourselves};
use crate::pool::Nodes;
use crate::process::Process;
use crate::sim_chain::start_clients;
use anyhow::Context as _;
use futures::future::try_join_all;
use keys::identity::KEY_FILE;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use types::{Address, ClusterId, PublicKey};

/// A ceremony of some validators takes seconds; after this something is broken.
const CEREMONY_MAX: Duration = Duration::from_secs(300);

/// What is known of a cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its id: the hash of its definition.
    pub id: ClusterId,
    /// Its operators' managers, in the order of their places.
    pub managers: Vec<Address>,
    /// The operators' folders and ports, likewise.
    pub operators: Vec<Operator>,
    /// Its validators' keys.
    pub keys: Vec<PublicKey>,
    /// Where its files are.
    pub dir: PathBuf,
}

/// What runs of it.
#[derive(Debug)]
pub struct Running {
    /// The nodes, by place from 1.
    pub nodes: Nodes,
    /// The clients, in the same order.
    pub clients: Vec<Process>,
}

impl Cluster {
    /// Holds the ceremony: the operators know the board and the hash that they have approved.
    pub async fn make(
        run_dir: &Path,
        (no, id, managers): (usize, ClusterId, Vec<Address>),
        people: &People,
        office: &Office,
        network: &Path,
    ) -> anyhow::Result<Self> {
        let dir = run_dir.join(format!("cluster-{no}"));
        let mut operators = Vec::new();
        for (place, manager) in (1..).zip(&managers) {
            let person = people.operator(*manager)?;
            let operator = operators::allot(&dir, place, person.enr.clone())?;
            std::fs::create_dir_all(&operator.data_dir)?;
            std::fs::copy(person.dir.join(KEY_FILE), operator.data_dir.join(KEY_FILE))?;
            operators.push(operator);
        }
        let mut processes = Vec::new();
        for operator in &operators {
            let mut command = ourselves("dkg")?;
            command.arg("run").arg("--json").arg("--board").arg(&office.url);
            command.arg("--approve").arg(id.to_string()).arg("--network-config").arg(network);
            command.arg("--data-dir").arg(&operator.data_dir).arg("--listen").arg(operator.address());
            command.arg("--deadline").arg(CEREMONY_MAX.as_secs().to_string());
            for other in operators.iter().filter(|other| other.number != operator.number) {
                command.arg("--peer").arg(format!("{}={}", other.enr, other.address()));
            }
            let log = dir.join(format!("ceremony-{}.log", operator.number));
            processes.push(Process::start(&format!("ceremony {no}.{}", operator.number), command, &log)?);
        }
        try_join_all(processes.into_iter().map(|process| process.finished(CEREMONY_MAX))).await?;
        let keys = operators::hand_out(&operators)?;
        Ok(Self { id, managers, operators, keys, dir })
    }

    /// Starts nodes and clients.
    pub async fn start(&self, beacon_url: &str, network: &Path) -> anyhow::Result<Running> {
        let around = |_| Around { beacon_urls: vec![beacon_url.to_owned()], ..Around::default() };
        let nodes = Nodes::start(&self.dir, &self.operators, around, network, &[]).await?;
        let clients = start_clients(&self.dir, &self.operators)?;
        Ok(Running { nodes, clients })
    }

    /// What the node at a place has counted of each other: partial signatures that came, and those that did not. `None` if it
    /// does not answer.
    pub async fn counted(&self, place: usize) -> Option<BTreeMap<usize, (u64, u64)>> {
        let port = self.operators.get(place - 1)?.metrics_port;
        let url = format!("http://127.0.0.1:{port}/metrics");
        let text = http_client().ok()?.get(url).send().await.ok()?.text().await.ok()?;
        let others = (1..=self.operators.len()).filter(|peer| *peer != place);
        let of = |name: &str, peer: usize| {
            let start = format!("{name}{{peer=\"{peer}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&start));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        };
        let pair = |peer| {
            let came = of("symbolon_partial_latency_seconds_count", peer);
            (peer, (came, of("symbolon_partials_missing_total", peer)))
        };
        Some(others.map(pair).collect())
    }

    /// The place of an operator in it.
    pub fn place(&self, manager: Address) -> anyhow::Result<usize> {
        let found = self.managers.iter().position(|one| *one == manager);
        Ok(1 + found.with_context(|| format!("{manager} is not in cluster {}", self.id))?)
    }
}
