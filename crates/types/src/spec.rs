//! A network's parameters: slot timing, forks, genesis root, preset.
//!
//! They come from a built-in table or a file the operator names, never from a beacon node alone.

use crate::{Epoch, ForkVersion, Millis, Root, Slot};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Forks whose containers we know, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fork {
    /// Withdrawals.
    Capella,
    /// Blobs.
    Deneb,
    /// One attestation root per slot (EIP-7549), compounding validators.
    Electra,
    /// Data availability sampling; blocks as in Electra.
    Fulu,
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Capella => "capella",
            Self::Deneb => "deneb",
            Self::Electra => "electra",
            Self::Fulu => "fulu",
        })
    }
}

/// Sizes of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Every public network's but Gnosis's.
    Mainnet,
    /// Small sizes, for development chains.
    Minimal,
    /// Gnosis and Chiado: mainnet's sizes but for 8 withdrawals a block.
    Gnosis,
}

/// One row of a fork schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkEpoch {
    /// Which fork.
    pub fork: Fork,
    /// Its version.
    pub version: ForkVersion,
    /// When it starts.
    pub epoch: Epoch,
}

/// When things happen inside a slot, in basis points of it. Gloas changes the numbers, not the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotTiming {
    /// Attestations are due.
    pub attestation_bps: u64,
    /// Aggregates are due.
    pub aggregate_bps: u64,
}

impl Default for SlotTiming {
    fn default() -> Self {
        Self { attestation_bps: 3333, aggregate_bps: 6667 }
    }
}

/// A network's parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainSpec {
    /// Name, as in deposit files.
    pub name: String,
    /// Container sizes.
    pub preset: Preset,
    /// Unix time of slot 0, in milliseconds.
    pub genesis_time_ms: u64,
    /// Length of a slot in milliseconds.
    pub slot_ms: u64,
    /// Slots of an epoch.
    pub slots_per_epoch: u64,
    /// Version at genesis: the network's identity in deposits and registrations.
    pub genesis_fork_version: ForkVersion,
    /// Root of the validators at genesis.
    pub genesis_validators_root: Root,
    /// Forks in order of epoch; the first row is what the chain starts with or has long passed.
    pub forks: Vec<ForkEpoch>,
    /// When things are due inside a slot.
    #[serde(default)]
    pub timing: SlotTiming,
    /// Chain id of the execution layer, for EIP-712.
    pub chain_id: u64,
}

impl ChainSpec {
    /// When a slot starts.
    pub fn slot_start(&self, slot: Slot) -> Millis {
        Millis(self.genesis_time_ms.saturating_add(slot.0.saturating_mul(self.slot_ms)))
    }

    /// The point `bps` basis points into a slot.
    pub fn slot_point(&self, slot: Slot, bps: u64) -> Millis {
        self.slot_start(slot).after(Millis(self.slot_ms.saturating_mul(bps) / 10_000))
    }

    /// When a slot's attestations are due.
    pub fn attestation_due(&self, slot: Slot) -> Millis {
        self.slot_point(slot, self.timing.attestation_bps)
    }

    /// The slot at a time; `None` before genesis.
    pub fn slot_at(&self, now: Millis) -> Option<Slot> {
        let elapsed = now.0.checked_sub(self.genesis_time_ms)?;
        Some(Slot(elapsed / self.slot_ms))
    }

    /// The epoch of a slot.
    pub fn epoch_of(&self, slot: Slot) -> Epoch {
        Epoch(slot.0 / self.slots_per_epoch)
    }

    /// The first slot of an epoch.
    pub fn epoch_start(&self, epoch: Epoch) -> Slot {
        Slot(epoch.0.saturating_mul(self.slots_per_epoch))
    }

    /// The fork in force in an epoch: the last row that has begun, or the first row before any has.
    pub fn fork_at(&self, epoch: Epoch) -> ForkEpoch {
        assert!(!self.forks.is_empty(), "a network has at least one fork");
        *self.forks.iter().rev().find(|row| row.epoch <= epoch).unwrap_or(&self.forks[0])
    }
}
