//! The coordinator as its own process, and how everybody else writes to it and reads it.

use crate::clock::now;
use crate::lodestar::http_client;
use crate::operators::{ourselves, output_of};
use crate::ports::free_port;
use crate::process::Process;
use anyhow::{Context as _, bail, ensure};
use coordinator::ledger::State;
use coordinator::ledger::governance::{Act, Motion};
use coordinator::request::Message;
use keys::identity::NodeKey;
use rand_core::{OsRng, RngCore as _};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use types::{Address, Root};

/// Pause between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(250);
/// An office is up within seconds; some times that on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// Seconds for which a request is valid.
const VALID_S: u64 = 120;

/// Somebody's key, and the address that it has.
#[derive(Debug)]
pub struct Wallet {
    key: NodeKey,
    /// The address.
    pub address: Address,
}

impl Wallet {
    /// A new one.
    pub fn new() -> anyhow::Result<Self> {
        let key = NodeKey::generate(&mut OsRng);
        let address = cluster::NodeKey::new(key.public())?.address();
        Ok(Self { key, address })
    }

    fn sign(&self, digest: Root) -> [u8; 65] {
        let mut signature = self.key.sign_prehash_recoverable(&digest.0);
        signature[64] += 27;
        signature
    }
}

/// The office, whether its process runs or not.
#[derive(Debug)]
pub struct Office {
    /// Its folder.
    pub dir: PathBuf,
    /// Where it serves.
    pub url: String,
    serve: Vec<String>,
    log: PathBuf,
    http: reqwest::Client,
    pool: Root,
    chain_id: u64,
    nonce: AtomicU64,
}

/// A command of `dvt-coordinator`.
pub fn coordinator(args: &[&str]) -> anyhow::Result<tokio::process::Command> {
    let mut command = ourselves("coordinator")?;
    command.args(args);
    Ok(command)
}

impl Office {
    /// Founds a pool on a charter, in a folder that has the coordinator's key.
    ///
    /// - `watched`: flags that name what is watched.
    pub async fn found(run_dir: &Path, charter: &Path, watched: &[&str]) -> anyhow::Result<Self> {
        let dir = run_dir.join("coordinator");
        let folder = dir.display().to_string();
        let charter = charter.display().to_string();
        output_of(coordinator(&["found", "--data-dir", &folder, "--charter", &charter])?, "found").await?;
        let charter: coordinator::ledger::charter::Charter =
            serde_json::from_slice(&std::fs::read(charter)?)?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let serve =
            ["serve", "--data-dir", &folder, "--listen", &listen].into_iter().chain(watched.iter().copied());
        Ok(Self {
            url: format!("http://{listen}"),
            serve: serve.map(str::to_owned).collect(),
            log: run_dir.join("coordinator.log"),
            http: http_client()?,
            pool: charter.pool(),
            chain_id: charter.network.chain_id,
            nonce: AtomicU64::new(now().0),
            dir,
        })
    }

    /// The pool's id.
    pub const fn pool(&self) -> Root {
        self.pool
    }

    /// Starts the process, and waits until it serves.
    pub async fn open(&self) -> anyhow::Result<Process> {
        let args: Vec<&str> = self.serve.iter().map(String::as_str).collect();
        let mut process = Process::start("coordinator", coordinator(&args)?, &self.log)?;
        let health = format!("{}/v1/health", self.url);
        process.wait_ready(START_MAX, async || self.http.get(&health).send().await.is_ok()).await?;
        Ok(process)
    }

    /// A signed request. Errors: what the office says.
    pub async fn send(&self, by: &Wallet, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let nonce = self.nonce.fetch_add(1, Ordering::Relaxed);
        let (body, expiry) = (body.to_string(), now().0 / 1000 + VALID_S);
        let message =
            Message::Request { method, path, body: body.as_bytes(), pool: self.pool, nonce, expiry };
        let signature = by.sign(message.digest(self.chain_id));
        let request = self.http.request(method.parse()?, format!("{}{path}", self.url)).body(body);
        let answer = request
            .header("Content-Type", "application/json")
            .header("X-Pool", self.pool.to_string())
            .header("X-Signer", by.address.to_string())
            .header("X-Nonce", nonce.to_string())
            .header("X-Expiry", expiry.to_string())
            .header("X-Signature", format!("0x{}", hex::encode(signature)))
            .send()
            .await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{method} {path}: {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// The most common kind of request.
    pub async fn post(&self, by: &Wallet, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(by, "POST", path, body).await
    }

    /// A node's word that it works for a manager.
    pub fn binding(&self, node: &NodeKey, manager: Address) -> types::NodeSignature {
        let enr = node.enr();
        let binding = Message::NodeBinding { pool: self.pool, manager, enr: &enr };
        node.sign_prehash(&binding.digest(self.chain_id).0)
    }

    /// The books.
    pub async fn state(&self) -> anyhow::Result<State> {
        let answer = self.http.get(format!("{}/v1/state", self.url)).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// Waits until the books are as they should be; what was found in them then.
    ///
    /// - Errors: they are not in time, with the last words on why.
    pub async fn until<T>(
        &self,
        what: &str,
        within: Duration,
        mut found: impl FnMut(&State) -> Option<T>,
    ) -> anyhow::Result<T> {
        let (began, mut last) = (Instant::now(), String::new());
        tracing::info!(what, "waiting");
        while began.elapsed() < within {
            match self.state().await {
                Ok(state) => {
                    if let Some(found) = found(&state) {
                        tracing::info!(what, s = began.elapsed().as_secs(), "there");
                        return Ok(found);
                    }
                }
                Err(error) => last = format!("; last: {error:#}"),
            }
            sleep(PAUSE).await;
        }
        bail!("{what}: not within {} s{last}", within.as_secs())
    }

    /// Keys of governance agree on acts, which are then waited for and done, all at once.
    pub async fn govern(&self, keys: &[Wallet], needed: usize, acts: Vec<Act>) -> anyhow::Result<()> {
        let mut waiting = Vec::new();
        for act in acts {
            let mut salt = Root::ZERO;
            OsRng.fill_bytes(&mut salt.0);
            let (waits, motion) = (act.waits(), Motion { act, salt });
            for key in keys.iter().take(needed) {
                self.post(key, "/v1/governance/proposals", &serde_json::to_value(&motion)?).await?;
            }
            waiting.extend(waits.then(|| motion.id()));
        }
        let timelock = self.state().await?.governance.timelock_s;
        if !waiting.is_empty() {
            sleep(Duration::from_secs(timelock + 1)).await;
        }
        for id in waiting {
            let anybody = keys.last().context("governance has keys")?;
            self.post(anybody, &format!("/v1/governance/proposals/{id}/execute"), &json!({})).await?;
        }
        Ok(())
    }
}
