//! What stops this node's signing and outlives its process: the file, the command that clears it, the watch over
//! slashed validators. What a stop means is [`symbolon_core::stop`]'s.
//!
//! A reason is on the disk before core is told of it; only where core has stopped itself already it comes after. Where the
//! disk does not take it, the node stops all the same, and says so.

mod marker;
mod resume;
mod watch;

pub use marker::Marker;
pub use resume::{ResumeArgs, Resumed, resume};
pub use watch::{Statuses, watch_slashed};

use crate::clock::now;
use crate::metrics::Metrics;
use clap::ValueEnum;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use symbolon_core::Input;
use symbolon_core::stop::Reason;
use types::{PublicKey, ValidatorNo};

/// What a validator whose key signs elsewhere leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnDoppelganger {
    /// An error in the log and a metric.
    Warn,
    /// This node also stops signing until its operator resumes.
    #[default]
    Stop,
}

/// The reasons to sign nothing that outlive the process.
#[derive(Debug)]
pub struct Stops {
    data_dir: PathBuf,
    /// Group keys, in the lock's order.
    keys: Vec<PublicKey>,
    on_doppelganger: OnDoppelganger,
    marker: Mutex<Marker>,
    metrics: Arc<Metrics>,
}

impl Stops {
    /// Reads what stopped the process before this one.
    ///
    /// - `keys`: the validators' group keys, in the lock's order.
    /// - Errors: a file that cannot be read; no node should start then.
    pub fn open(
        data_dir: &Path,
        keys: Vec<PublicKey>,
        on_doppelganger: OnDoppelganger,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let marker = Mutex::new(Marker::read(data_dir)?);
        Ok(Self { data_dir: data_dir.to_owned(), keys, on_doppelganger, marker, metrics })
    }

    /// What core is told before anything else, logged.
    pub fn at_start(&self) -> Vec<Input> {
        let marker = self.lock();
        let slashed = self.numbers(marker.slashed.keys());
        let doubled = self.numbers(marker.doppelgangers.keys());
        let reasons = [
            (!slashed.is_empty()).then_some(Reason::Slashed(slashed)),
            (!doubled.is_empty()).then_some(Reason::Doppelganger(doubled)),
            marker.second_instance.map(|_| Reason::SecondInstance),
        ];
        drop(marker);
        let told = |reason| {
            tracing::error!(%reason, "signing is stopped, as it was before this start: nothing is signed");
            self.metrics.signing_stopped(&reason, true);
            Input::Stop(reason)
        };
        reasons.into_iter().flatten().map(told).collect()
    }

    /// Validators that the chain has slashed. What core is told, if any of them is news to the operator. Blocks.
    pub fn slashed(&self, validators: &BTreeSet<ValidatorNo>) -> Option<Input> {
        let keys = self.keys_of(validators);
        let mut marker = self.lock();
        if !marker.slash(keys, now()) {
            return None;
        }
        let reason = Reason::Slashed(self.numbers(marker.slashed.keys()));
        Some(self.stop(&marker, reason))
    }

    /// Validators whose keys sign elsewhere. What core is told, if the operator wants that to stop the node. Blocks.
    pub fn doppelgangers(&self, validators: &BTreeSet<ValidatorNo>) -> Option<Input> {
        let keys = self.keys_of(validators);
        tracing::error!(validators = ?keys, "live in the chain, though nobody of this cluster signed for them: their keys are in use elsewhere");
        self.metrics.doppelgangers(validators.len());
        let mut marker = self.lock();
        if self.on_doppelganger == OnDoppelganger::Warn || !marker.double(keys, now()) {
            return None;
        }
        let reason = Reason::Doppelganger(self.numbers(marker.doppelgangers.keys()));
        Some(self.stop(&marker, reason))
    }

    /// Another process runs with this node's key; core has stopped already. Blocks.
    pub fn second_instance(&self) -> Option<Input> {
        let mut marker = self.lock();
        if marker.second_instance.is_some() {
            return None;
        }
        marker.second_instance = Some(now().0);
        Some(self.stop(&marker, Reason::SecondInstance))
    }

    /// Disk first, then core.
    fn stop(&self, marker: &Marker, reason: Reason) -> Input {
        if let Err(error) = marker.write(&self.data_dir) {
            tracing::error!(%error, "why signing is stopped could not be written: a restart would sign again");
        }
        tracing::error!(%reason, "nothing is signed from now on");
        self.metrics.signing_stopped(&reason, true);
        Input::Stop(reason)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Marker> {
        self.marker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys_of(&self, validators: &BTreeSet<ValidatorNo>) -> Vec<PublicKey> {
        validators.iter().filter_map(|number| self.keys.get(number.0 as usize)).copied().collect()
    }

    fn numbers<'a>(&self, keys: impl Iterator<Item = &'a PublicKey>) -> BTreeSet<ValidatorNo> {
        let number = |key: &PublicKey| {
            let position = self.keys.iter().position(|own| own == key)?;
            Some(ValidatorNo(u32::try_from(position).ok()?))
        };
        keys.filter_map(number).collect()
    }
}
