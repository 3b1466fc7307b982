//! The beacon node's process: the whole network but for the cluster.

use super::site::Site;
use crate::lodestar::http_client;
use crate::process::{Process, ProcessError};
use crate::{ports::free_port, strict::judge::Judgement};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use thiserror::Error;
use types::{ChainSpec, Fork, PublicKey, Root, spec::SpecError};

/// How long the API may take to open: 1 s on an idle machine, many times that beside a compiler.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a judgement may take: it counts over all slots.
const JUDGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no beacon node, or no judgement of it.
#[derive(Debug, Error)]
pub enum BeaconNodeError {
    /// The process is not running as wanted.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A file could not be written or read, or no port is free.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Its network file is not a network's.
    #[error("the strict node's network: {0}")]
    Network(#[from] SpecError),
    /// It does not answer what it should.
    #[error("the strict node: {0}")]
    Http(#[from] reqwest::Error),
    /// The keys could not be written as JSON.
    #[error("keys: {0}")]
    Keys(#[from] serde_json::Error),
}

/// A validator of the cluster, active from genesis on, with 32 ETH.
#[derive(Clone, Debug, Serialize)]
pub struct GenesisValidator {
    /// Its key. No deposit signature is needed.
    pub pubkey: PublicKey,
    /// Its withdrawal credentials, first byte included.
    pub withdrawal_credentials: Root,
}

/// What a chain is to be.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The cluster's validators, who come first.
    pub cluster: Vec<GenesisValidator>,
    /// How many other validators the node plays itself.
    pub ordinary: usize,
    /// At genesis: Electra or Fulu.
    pub fork: Fork,
    /// Unix seconds of slot 0.
    pub genesis_time_s: u64,
    /// Length of a slot.
    pub seconds_per_slot: u64,
    /// Whether each request names the builder that is asked for it.
    pub builder_by_request: bool,
}

/// A running beacon node.
#[derive(Debug)]
pub struct BeaconNode {
    /// The process; its log has one JSON object a line.
    pub process: Process,
    /// The chain's parameters.
    pub spec: ChainSpec,
    /// The file that has them.
    pub network: PathBuf,
    http: reqwest::Client,
    url: String,
}

impl BeaconNode {
    /// Starts the node and waits until its API answers.
    ///
    /// - `log`: receives what it prints.
    /// - Errors: see [`BeaconNodeError`].
    /// - Cost: about a second; 200 MB of memory.
    pub async fn start(site: &Site, orders: &Orders, log: &Path) -> Result<Self, BeaconNodeError> {
        let port = free_port()?;
        let (keys, network) = (site.dir().join("keys.json"), site.dir().join("network.json"));
        fs::write(&keys, serde_json::to_vec_pretty(&orders.cluster)?)?;
        let mut command = site.node("main.mjs");
        command.arg("--keys").arg(&keys).arg("--network-out").arg(&network);
        for (flag, value) in [
            ("--port", port.to_string()),
            ("--ordinary", orders.ordinary.to_string()),
            ("--fork", orders.fork.to_string()),
            ("--genesis-time", orders.genesis_time_s.to_string()),
            ("--seconds-per-slot", orders.seconds_per_slot.to_string()),
        ] {
            command.args([flag, &value]);
        }
        if orders.builder_by_request {
            command.arg("--builder-by-request");
        }
        let mut process = Process::start("strict beacon node", command, log)?;
        let url = format!("http://127.0.0.1:{port}");
        let (http, version) = (http_client()?, format!("{url}/eth/v1/node/version"));
        let ready = async || http.get(&version).send().await.is_ok_and(|reply| reply.status().is_success());
        process.wait_ready(READY_WITHIN, ready).await?;
        let told =
            http.get(format!("{url}/symbolon/network")).send().await?.error_for_status()?.bytes().await?;
        let spec = ChainSpec::from_config_json(&told)?;
        Ok(Self { process, spec, network, http, url })
    }

    /// Where its API is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What became of the cluster's duties in the slots `from` to `to`.
    pub async fn judge(&self, from: u64, to: u64) -> Result<Judgement, BeaconNodeError> {
        let url = format!("{}/symbolon/judge?from={from}&to={to}", self.url);
        Ok(self.http.get(url).timeout(JUDGE_TIMEOUT).send().await?.error_for_status()?.json().await?)
    }
}
