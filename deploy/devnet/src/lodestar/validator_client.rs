//! A validator client: one process with the keystores of one operator, or of the ordinary validators.

use super::{beacon_node::BeaconNodeError, genesis::Keystores, http_client, site::Site};
use crate::ports::free_port;
use crate::process::{Process, ProcessError};
use serde_json::Value;
use std::{path::Path, time::Duration};

/// How long it may take to decrypt its keys and reach its beacon node.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// What a validator client is told.
#[derive(Clone, Debug)]
pub struct Orders<'a> {
    /// Its name: of its data folder and log, and the graffiti of its blocks. At most 32 bytes, fit for a file name.
    pub name: &'a str,
    /// Folder with nothing but its EIP-2335 keystores.
    pub keystores: &'a Path,
    /// File with their password.
    pub password_file: &'a Path,
    /// How many keystores there are.
    pub keys: usize,
    /// Its beacon node, or what stands in for one.
    pub beacon_url: &'a str,
    /// Where priority fees go, `0x` and 40 digits.
    pub fee_recipient: &'a str,
}

impl<'a> Orders<'a> {
    /// Orders to run `keystores` at `beacon_url`, fees to an address nobody has.
    pub fn new(name: &'a str, keystores: &'a Keystores, beacon_url: &'a str) -> Self {
        Self {
            name,
            keystores: &keystores.dir,
            password_file: &keystores.password_file,
            keys: keystores.pubkeys.len(),
            beacon_url,
            fee_recipient: "0x000000000000000000000000000000000000fee5",
        }
    }
}

/// A running validator client.
#[derive(Debug)]
pub struct ValidatorClient {
    /// The process; `log()` names its log file.
    pub process: Process,
}

impl ValidatorClient {
    /// Starts a validator client and waits until it has all its keys and knows its chain.
    ///
    /// Readiness is asked at its keymanager API (loopback, free port), which opens after it has read the chain's
    /// genesis from its beacon node. Its data goes to the run's folder `<name>`, which must be new.
    ///
    /// - Errors: see [`BeaconNodeError`]; one that cannot reach its beacon node is `NotReady`.
    /// - Cost: about 3 s; 150 MB of memory.
    pub async fn start(site: &Site, orders: &Orders<'_>) -> Result<Self, BeaconNodeError> {
        let (mut process, port) = Self::spawn(site, orders)?;
        let (client, url) = (http_client()?, format!("http://127.0.0.1:{port}/eth/v1/keystores"));
        let ready = async || {
            let Ok(reply) = client.get(&url).send().await else { return false };
            let keys = reply.json::<Value>().await.unwrap_or_default();
            keys["data"].as_array().is_some_and(|keys| keys.len() == orders.keys)
        };
        process.wait_ready(READY_WITHIN, ready).await?;
        Ok(Self { process })
    }

    /// Starts the process and gives the port of its keymanager API.
    fn spawn(site: &Site, orders: &Orders<'_>) -> Result<(Process, u16), BeaconNodeError> {
        let port = free_port()?;
        let mut command = site.lodestar("validator", orders.name);
        command.arg("--importKeystores").arg(orders.keystores);
        command.arg("--importKeystoresPassword").arg(orders.password_file);
        command.args(["--beaconNodes", orders.beacon_url]);
        command.args(["--suggestedFeeRecipient", orders.fee_recipient, "--graffiti", orders.name]);
        command.args(["--keymanager", "--keymanager.authEnabled", "false"]);
        command.args(["--keymanager.address", "127.0.0.1", "--keymanager.port", &port.to_string()]);
        let log = site.run().join(format!("{}.log", orders.name));
        Ok((Process::start(orders.name, command, &log)?, port))
    }

    /// Looks whether it still runs.
    ///
    /// - Errors: [`ProcessError::Ended`] with the end of its log.
    pub fn check(&mut self) -> Result<(), ProcessError> {
        self.process.check()
    }
}
