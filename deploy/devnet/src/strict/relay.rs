//! The mock relay's process, and what the operators' nodes and beacon nodes are told of it.

use super::site::Site;
use crate::ports::free_port;
use crate::process::{Process, ProcessError};
use axum::http::HeaderName;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};
use thiserror::Error;

/// How long it may take to come up, beside a compiler.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// It bids in every other slot, so that a run has builders' blocks and local ones.
const PERIOD: &str = "2";
/// In which header a beacon node's front names its operator's builder.
const BUILDER_HEADER: HeaderName = HeaderName::from_static("x-symbolon-builder");

/// Why there is no relay.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The process is not running as wanted.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// No port is free, or its log cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Its first line does not say where it is.
    #[error("the relay did not say where it is: {0:?}")]
    Ready(String),
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    /// The process.
    pub process: Process,
    url: String,
}

#[derive(Deserialize)]
struct Ready {
    url: String,
    pubkey: String,
}

impl Relay {
    /// Starts a relay that asks the beacon node at `beacon_url` what payloads must be.
    pub async fn start(site: &Site, beacon_url: &str, log: &Path) -> Result<Self, RelayError> {
        let mut command = site.node("relay.mjs");
        command.args(["--beacon-node", beacon_url, "--period", PERIOD]);
        let mut process = Process::start("relay", command, log)?;
        let said = || fs::read_to_string(log).unwrap_or_default();
        process.wait_ready(READY_WITHIN, async || said().contains('\n')).await?;
        let text = said();
        let line = text.lines().next().unwrap_or_default();
        let Ready { url, pubkey } =
            serde_json::from_str(line).map_err(|_| RelayError::Ready(line.to_owned()))?;
        Ok(Self { process, url: url.replacen("http://", &format!("http://{pubkey}@"), 1) })
    }
}

/// Where each operator's node is the builder of its beacon nodes.
#[derive(Debug, Default)]
pub struct Builders {
    relay: Option<String>,
    ports: Vec<u16>,
}

impl Builders {
    /// For this many operators; none without a relay.
    pub fn new(relay: Option<&Relay>, operators: usize) -> io::Result<Self> {
        let Some(relay) = relay else { return Ok(Self::default()) };
        let ports = (0..operators).map(|_| free_port()).collect::<io::Result<_>>()?;
        Ok(Self { relay: Some(relay.url.clone()), ports })
    }

    /// Flags of an operator's node. `place`: from 0.
    pub fn flags(&self, place: usize) -> Vec<String> {
        let Some((relay, port)) = self.relay.as_ref().zip(self.ports.get(place)) else { return Vec::new() };
        let pairs = [("--builder-relay", relay.clone()), ("--builder-listen", format!("127.0.0.1:{port}"))];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// Headers that an operator's fronts add. `place`: from 0.
    pub fn headers(&self, place: usize) -> Vec<(HeaderName, String)> {
        let port = self.ports.get(place);
        port.map(|port| (BUILDER_HEADER, format!("http://127.0.0.1:{port}"))).into_iter().collect()
    }
}
