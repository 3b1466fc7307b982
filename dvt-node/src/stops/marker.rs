//! The file that says why a node signs nothing: `signing-stopped.json` in the data folder. It outlives the process.

use anyhow::Context as _;
use cluster::folder::SIGNING_STOPPED;
use keys::files::{PUBLIC, WriteError, replace};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use types::{Millis, PublicKey};

/// What it holds. Times are Unix time in milliseconds, of when this node saw it first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// Validators that the chain has slashed.
    #[serde(default)]
    pub slashed: BTreeMap<PublicKey, u64>,
    /// Validators whose keys sign elsewhere.
    #[serde(default)]
    pub doppelgangers: BTreeMap<PublicKey, u64>,
    /// Another process ran with the node key.
    #[serde(default)]
    pub second_instance: Option<u64>,
    /// Slashed validators of which the operator knows: they stop nothing any more.
    #[serde(default)]
    pub acknowledged: BTreeSet<PublicKey>,
}

impl Marker {
    /// Where it lies.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(SIGNING_STOPPED)
    }

    /// Reads it; without a file nothing is stopped and nothing acknowledged.
    ///
    /// - Errors: a file that cannot be read. It may say that signing is stopped, so no node starts beside it.
    pub fn read(data_dir: &Path) -> anyhow::Result<Self> {
        let path = Self::path(data_dir);
        let name = || format!("{} does not say why signing was stopped", path.display());
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(name),
        }
    }

    /// Writes it in the place of the one before, durable.
    pub fn write(&self, data_dir: &Path) -> Result<(), WriteError> {
        let mut text = serde_json::to_vec_pretty(self).expect("maps with keys of text are JSON");
        text.push(b'\n');
        replace(&Self::path(data_dir), &text, PUBLIC)
    }

    /// Whether it stops anything.
    pub fn is_stopped(&self) -> bool {
        !self.slashed.is_empty() || !self.doppelgangers.is_empty() || self.second_instance.is_some()
    }

    /// Adds slashed validators; those acknowledged are left out. Whether any is new.
    pub fn slash(&mut self, keys: impl IntoIterator<Item = PublicKey>, now: Millis) -> bool {
        let before = self.slashed.len();
        for key in keys.into_iter().filter(|key| !self.acknowledged.contains(key)) {
            self.slashed.entry(key).or_insert(now.0);
        }
        self.slashed.len() > before
    }

    /// Adds doppelgangers. Whether any is new.
    pub fn double(&mut self, keys: impl IntoIterator<Item = PublicKey>, now: Millis) -> bool {
        let before = self.doppelgangers.len();
        for key in keys {
            self.doppelgangers.entry(key).or_insert(now.0);
        }
        self.doppelgangers.len() > before
    }

    /// What is left of it when its operator resumes: slashed validators are acknowledged, all else is forgotten.
    pub fn resumed(&self) -> Self {
        let acknowledged = self.acknowledged.iter().chain(self.slashed.keys()).copied().collect();
        Self { acknowledged, ..Self::default() }
    }
}
