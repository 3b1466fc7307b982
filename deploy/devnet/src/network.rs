//! The parameters of the toy chain's network.

use cluster::network::Network;
use types::spec::{ForkEpoch, SlotTiming};
use types::{ChainSpec, Epoch, Fork, ForkVersion, Preset, Root};

/// Name, as deposit files have it.
pub const NAME: &str = "symbolon-devnet";

/// Slots of an epoch unless told, as in the minimal preset.
pub const SLOTS_PER_EPOCH: u64 = 8;

/// Last byte of all fork versions: no public network's.
const MARK: u8 = 0x51;

/// Root of the validators at genesis: any constant, for it only keeps networks apart.
const VALIDATORS_ROOT: Root = Root([0x67; 32]);

/// The network: minimal preset, all forks up to Electra from the start.
///
/// - `genesis_time_s`: Unix time of slot 0. The beacon API knows whole seconds only.
pub fn spec(genesis_time_s: u64, seconds_per_slot: u64) -> ChainSpec {
    let forks = [(Fork::Capella, 3), (Fork::Deneb, 4), (Fork::Electra, 5)];
    let row =
        |(fork, number)| ForkEpoch { fork, version: ForkVersion([number, 0, 0, MARK]), epoch: Epoch(0) };
    ChainSpec {
        name: NAME.to_owned(),
        preset: Preset::Minimal,
        genesis_time_ms: genesis_time_s.saturating_mul(1000),
        slot_ms: seconds_per_slot.saturating_mul(1000),
        slots_per_epoch: SLOTS_PER_EPOCH,
        genesis_fork_version: ForkVersion([0, 0, 0, MARK]),
        genesis_validators_root: VALIDATORS_ROOT,
        forks: forks.into_iter().map(row).collect(),
        timing: SlotTiming::default(),
        chain_id: u64::from(MARK),
    }
}

/// The same for keys that were made for a public network: their deposits and registrations name its genesis fork.
///
/// Nothing that is signed here means anything there: every other fork version, and the genesis root, are the devnet's.
pub fn spec_of(network: &Network, genesis_time_s: u64, seconds_per_slot: u64) -> ChainSpec {
    ChainSpec {
        genesis_fork_version: network.fork_version,
        chain_id: network.chain_id,
        ..spec(genesis_time_s, seconds_per_slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_obeys_the_rules_of_a_network_and_is_at_electra() {
        let spec = spec(1_700_000_000, 2);
        let file = serde_json::to_vec(&spec).unwrap();
        assert_eq!(ChainSpec::from_config_json(&file), Ok(spec.clone()));
        assert_eq!(spec.fork_at(Epoch(0)).fork, Fork::Electra);
    }
}
