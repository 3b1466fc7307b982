//! One run: where its files are, how long its slots are, and the command lines that both decide.

use crate::npm::{Installation, Packages};
use crate::process::tail;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};
use thiserror::Error;
use tokio::process::Command;

/// Lodestar itself. Its native parts are snappy and c-kzg.
pub const PACKAGES: Packages = Packages {
    name: "1.5.1",
    manifest: include_str!("../../lodestar/package.json"),
    lock: None,
    rebuild: true,
};

/// The program that is both beacon node and validator client, below the installation.
const PROGRAM: &str = "node_modules/@chainsafe/lodestar/lib/index.js";

/// Loaded into every Node process.
const PRELOAD: (&str, &str) = ("preload.cjs", include_str!("../../lodestar/preload.cjs"));

/// The preset of every process of the chain: small containers, 8 slots an epoch.
pub(crate) const PRESET: &str = "minimal";

/// Why a script of ours did not do its work.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// A file could not be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Node could not be started or the script failed.
    #[error("script {script} failed:\n{tail}")]
    Failed {
        /// Its file name.
        script: &'static str,
        /// What it said last.
        tail: String,
    },
    /// It ended well, but what it printed is not what we expect.
    #[error("script {script} printed something unexpected: {source}")]
    Reply {
        /// Its file name.
        script: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// One run's folder and clock.
#[derive(Clone, Debug)]
pub struct Site {
    installation: Installation,
    run: PathBuf,
    slot_s: u64,
}

impl Site {
    /// Prepares the folder `run`, made if it is not there, for a chain with slots of `slot_s` seconds.
    ///
    /// - Errors: [`ScriptError::File`].
    pub fn open(installation: Installation, run: &Path, slot_s: u64) -> Result<Self, ScriptError> {
        fs::create_dir_all(run).map_err(at(run))?;
        // Children get absolute paths: their working folder is not ours to assume.
        let run = run.canonicalize().map_err(at(run))?;
        let site = Self { installation, run, slot_s };
        site.write(PRELOAD.0, PRELOAD.1)?;
        Ok(site)
    }

    /// The run's folder, absolute.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Seconds a slot.
    pub fn slot_s(&self) -> u64 {
        self.slot_s
    }

    /// Writes a file of the run and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, ScriptError> {
        let path = self.run.join(name);
        fs::write(&path, text).map_err(at(&path))?;
        Ok(path)
    }

    /// A command line of Lodestar: `lodestar <verb>` with the chain's parameters, which all processes must share.
    ///
    /// - `data`: the process' own data folder below the run's; it should not exist yet.
    pub(crate) fn lodestar(&self, verb: &str, data: &str) -> Command {
        let mut command = self.node();
        command.arg(self.installation.dir().join(PROGRAM)).arg(verb);
        command.arg("--dataDir").arg(self.run.join(data));
        command.args(["--network", "dev", "--params.SECONDS_PER_SLOT", &self.slot_s.to_string()]);
        for fork in ["ALTAIR", "BELLATRIX", "CAPELLA"] {
            command.args([format!("--params.{fork}_FORK_EPOCH"), "0".into()]);
        }
        // The merge lies before genesis; voluntary exits are allowed after two epochs instead of 64.
        command.args(["--params.TERMINAL_TOTAL_DIFFICULTY", "0", "--params.SHARD_COMMITTEE_PERIOD", "2"]);
        command
    }

    /// Runs a script of ours with an order in a file, and reads the JSON it prints.
    pub(crate) async fn script<Reply: DeserializeOwned>(
        &self,
        (name, text): (&'static str, &str),
        order: &impl Serialize,
    ) -> Result<Reply, ScriptError> {
        let reply_error = |source| ScriptError::Reply { script: name, source };
        let script = self.write(name, text)?;
        let order = serde_json::to_string_pretty(order).map_err(reply_error)?;
        let order = self.write(&format!("{name}.order.json"), &order)?;
        let log = self.run.join(format!("{name}.log"));
        let stderr = fs::File::create(&log).map_err(at(&log))?;
        let mut command = self.node();
        command.arg(script).arg(order).stdin(Stdio::null()).stderr(stderr).kill_on_drop(true);
        let output = command.output().await;
        let output =
            output.map_err(|source| ScriptError::Failed { script: name, tail: source.to_string() })?;
        if !output.status.success() {
            return Err(ScriptError::Failed { script: name, tail: tail(&log) });
        }
        serde_json::from_slice(&output.stdout).map_err(reply_error)
    }

    /// The folder that scripts load packages from.
    pub(crate) fn libraries(&self) -> &Path {
        self.installation.dir()
    }

    fn node(&self) -> Command {
        let mut command = Command::new("node");
        command.arg("--require").arg(self.run.join(PRELOAD.0));
        // Settings of the caller's own Node programs are not meant for these.
        command.env_remove("NODE_OPTIONS").env("LODESTAR_PRESET", PRESET);
        command
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ScriptError {
    let path = path.to_owned();
    |source| ScriptError::File { path, source }
}
