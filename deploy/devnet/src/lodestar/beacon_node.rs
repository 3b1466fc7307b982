//! The beacon node: one process that is the whole network.

use super::{
    engine::Engine,
    genesis::Genesis,
    http_client,
    site::{ScriptError, Site},
};
use crate::ports::free_port;
use crate::process::{Process, ProcessError};
use std::{io, time::Duration};
use thiserror::Error;

/// How long the REST API may take to open: 5 s on an idle machine, many times that beside a compiler.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Why there is no beacon node.
#[derive(Debug, Error)]
pub enum BeaconNodeError {
    /// The process is not running as wanted.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Its files could not be written.
    #[error(transparent)]
    Files(#[from] ScriptError),
    /// No free port.
    #[error("no free port: {0}")]
    Port(#[from] io::Error),
    /// No HTTP client to ask it with.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A running beacon node.
#[derive(Debug)]
pub struct BeaconNode {
    /// The process; `log()` names its log file.
    pub process: Process,
    url: String,
}

impl BeaconNode {
    /// Starts the beacon node of a site on `genesis` and waits until its API answers.
    ///
    /// - `engine`: has to outlive it.
    /// - Its data goes to the run's folder `beacon-node`, which must not hold data of an earlier chain.
    /// - Errors: see [`BeaconNodeError`].
    /// - Cost: about 5 s; 300 MB of memory.
    pub async fn start(site: &Site, genesis: &Genesis, engine: &Engine) -> Result<Self, BeaconNodeError> {
        let (rest_port, p2p_port) = (free_port()?, free_port()?);
        let jwt = site.write("jwt.hex", &format!("0x{}", "01".repeat(32)))?;
        let mut command = site.lodestar("dev", "beacon-node");
        command.arg("--genesisStateFile").arg(&genesis.file);
        command.args(["--execution.urls", &engine.url()]).arg("--jwt-secret").arg(jwt);
        command.args(["--eth1", "false", "--sync.isSingleNode"]);
        command.args(["--listenAddress", "127.0.0.1", "--port", &p2p_port.to_string()]);
        command.args(["--rest", "--rest.address", "127.0.0.1", "--rest.port", &rest_port.to_string()]);
        command.args(["--rest.namespace", "*"]);
        let mut process = Process::start("beacon node", command, &site.run().join("beacon-node.log"))?;

        let url = format!("http://127.0.0.1:{rest_port}");
        let (client, version) = (http_client()?, format!("{url}/eth/v1/node/version"));
        let ready = async || client.get(&version).send().await.is_ok_and(|reply| reply.status().is_success());
        process.wait_ready(READY_WITHIN, ready).await?;
        Ok(Self { process, url })
    }

    /// Where its API is.
    pub fn url(&self) -> &str {
        &self.url
    }
}
