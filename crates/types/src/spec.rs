//! A network's parameters: slot timing, forks, genesis root, preset.
//!
//! They come from a built-in table or a file the operator names, never from a beacon node alone.

use crate::{Epoch, ForkVersion, Millis, Root, Slot};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

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

/// Why parameters make no network. Each names the broken rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SpecError {
    /// Not JSON of a [`ChainSpec`].
    #[error("not a network's parameters: {0}")]
    Json(String),
    /// A slot takes no time.
    #[error("slot_ms is 0: a slot takes time")]
    SlotLength,
    /// An epoch has no slots.
    #[error("slots_per_epoch is 0: an epoch has slots")]
    EpochLength,
    /// A duty would be due after its slot.
    #[error("{bps} basis points of a slot, there are only 10000")]
    Timing {
        /// The number.
        bps: u64,
    },
    /// No forks at all.
    #[error("no forks: a network has at least one")]
    NoForks,
    /// Exits are signed with Capella's version for ever (EIP-7044), so the table has to begin with it.
    #[error("the first fork is {first}, but exits need the version of capella: give it the same epoch")]
    NoCapella {
        /// What the table begins with.
        first: Fork,
    },
    /// Forks out of order, or twice.
    #[error("{fork} at epoch {epoch} does not come after {previous} at epoch {previous_epoch}")]
    ForkOrder {
        /// The later row's fork.
        fork: Fork,
        /// The later row's epoch.
        epoch: Epoch,
        /// The earlier row's fork.
        previous: Fork,
        /// The earlier row's epoch.
        previous_epoch: Epoch,
    },
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
    /// Reads a network file: the JSON of this type, checked by [`ChainSpec::validate`].
    pub fn from_config_json(json: &[u8]) -> Result<Self, SpecError> {
        let spec: Self = serde_json::from_slice(json).map_err(|error| SpecError::Json(error.to_string()))?;
        spec.validate()?;
        Ok(spec)
    }

    /// Whether the parameters make a network: time passes, and forks follow each other from Capella on.
    ///
    /// Several forks may begin in one epoch; the last of them is then in force.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.slot_ms == 0 {
            return Err(SpecError::SlotLength);
        }
        if self.slots_per_epoch == 0 {
            return Err(SpecError::EpochLength);
        }
        for bps in [self.timing.attestation_bps, self.timing.aggregate_bps] {
            if bps > 10_000 {
                return Err(SpecError::Timing { bps });
            }
        }
        let Some(first) = self.forks.first() else { return Err(SpecError::NoForks) };
        if first.fork != Fork::Capella {
            return Err(SpecError::NoCapella { first: first.fork });
        }
        self.forks.windows(2).try_for_each(|rows| in_order(&rows[0], &rows[1]))
    }

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

    /// When a slot's aggregates are due.
    pub fn aggregate_due(&self, slot: Slot) -> Millis {
        self.slot_point(slot, self.timing.aggregate_bps)
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

fn in_order(previous: &ForkEpoch, next: &ForkEpoch) -> Result<(), SpecError> {
    if previous.fork < next.fork && previous.epoch <= next.epoch {
        return Ok(());
    }
    Err(SpecError::ForkOrder {
        fork: next.fork,
        epoch: next.epoch,
        previous: previous.fork,
        previous_epoch: previous.epoch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broken network file and the rule it breaks.
    type Row = (fn(&mut ChainSpec), SpecError);

    #[test]
    fn a_network_file_is_read_as_it_was_written() {
        let spec = ChainSpec::builtin("hoodi").unwrap();
        let json = serde_json::to_vec(&spec).unwrap();
        assert_eq!(ChainSpec::from_config_json(&json), Ok(spec));
        assert!(matches!(ChainSpec::from_config_json(b"{}"), Err(SpecError::Json(_))));
    }

    #[test]
    fn a_network_file_that_breaks_a_rule_is_refused_by_its_name() {
        let order = |fork, epoch, previous, previous_epoch| SpecError::ForkOrder {
            fork,
            epoch: Epoch(epoch),
            previous,
            previous_epoch: Epoch(previous_epoch),
        };
        let rows: [Row; 8] = [
            (|spec| spec.slot_ms = 0, SpecError::SlotLength),
            (|spec| spec.slots_per_epoch = 0, SpecError::EpochLength),
            (|spec| spec.timing.attestation_bps = 10_001, SpecError::Timing { bps: 10_001 }),
            (|spec| spec.timing.aggregate_bps = 10_002, SpecError::Timing { bps: 10_002 }),
            (|spec| spec.forks.clear(), SpecError::NoForks),
            (
                |spec| spec.forks.retain(|row| row.fork != Fork::Capella),
                SpecError::NoCapella { first: Fork::Deneb },
            ),
            (|spec| spec.forks.swap(1, 2), order(Fork::Deneb, 0, Fork::Electra, 2048)),
            (|spec| spec.forks[3].epoch = Epoch(2047), order(Fork::Fulu, 2047, Fork::Electra, 2048)),
        ];
        for (break_rule, expected) in rows {
            let mut spec = ChainSpec::builtin("hoodi").unwrap();
            break_rule(&mut spec);
            let json = serde_json::to_vec(&spec).unwrap();
            assert_eq!(ChainSpec::from_config_json(&json), Err(expected));
        }
    }

    #[test]
    fn the_fork_in_force_is_the_last_that_has_begun() {
        let spec = ChainSpec::builtin("hoodi").unwrap();
        assert_eq!(spec.fork_at(Epoch(0)).fork, Fork::Deneb);
        assert_eq!(spec.fork_at(Epoch(2047)).fork, Fork::Deneb);
        assert_eq!(spec.fork_at(Epoch(2048)).fork, Fork::Electra);
        assert_eq!(spec.fork_at(Epoch(u64::MAX)).fork, Fork::Fulu);
        let late = ChainSpec::builtin("mainnet").unwrap();
        assert_eq!(late.fork_at(Epoch(0)).fork, Fork::Capella, "before the first row");
    }
}
