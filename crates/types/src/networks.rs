//! Public networks, built in: their parameters come from here or from a file, never from a beacon node alone.
//!
//! Sources: eth-clients/{mainnet,hoodi,sepolia} and gnosischain/configs `config.yaml`; epochs of Gnosis's Electra and
//! Fulu from the configuration that Lodestar 1.46 ships. Genesis times are those of the chains, which started when
//! enough deposits had come, not at the earliest time of the configuration.

use crate::spec::{ForkEpoch, SlotTiming};
use crate::{ChainSpec, Epoch, Fork, ForkVersion, Preset, Root};

/// Names that [`ChainSpec::builtin`] knows.
pub const NETWORKS: [&str; 5] = ["mainnet", "hoodi", "sepolia", "gnosis", "chiado"];

/// What tells one network from another.
struct Network {
    genesis_time_s: u64,
    chain_id: u64,
    genesis_fork_version: u32,
    genesis_validators_root: [u8; 32],
    /// Version and epoch of Capella, Deneb, Electra and Fulu.
    forks: [(u32, u64); 4],
}

const MAINNET: Network = Network {
    genesis_time_s: 1_606_824_023,
    chain_id: 1,
    genesis_fork_version: 0x0000_0000,
    genesis_validators_root: root("4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"),
    forks: [(0x0300_0000, 194_048), (0x0400_0000, 269_568), (0x0500_0000, 364_032), (0x0600_0000, 411_392)],
};

const HOODI: Network = Network {
    genesis_time_s: 1_742_213_400,
    chain_id: 560_048,
    genesis_fork_version: 0x1000_0910,
    genesis_validators_root: root("212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"),
    forks: [(0x4000_0910, 0), (0x5000_0910, 0), (0x6000_0910, 2_048), (0x7000_0910, 50_688)],
};

const SEPOLIA: Network = Network {
    genesis_time_s: 1_655_733_600,
    chain_id: 11_155_111,
    genesis_fork_version: 0x9000_0069,
    genesis_validators_root: root("d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078"),
    forks: [(0x9000_0072, 56_832), (0x9000_0073, 132_608), (0x9000_0074, 222_464), (0x9000_0075, 272_640)],
};

const GNOSIS: Network = Network {
    genesis_time_s: 1_638_993_340,
    chain_id: 100,
    genesis_fork_version: 0x0000_0064,
    genesis_validators_root: root("f5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47"),
    forks: [
        (0x0300_0064, 648_704),
        (0x0400_0064, 889_856),
        (0x0500_0064, 1_337_856),
        (0x0600_0064, 1_714_688),
    ],
};

const CHIADO: Network = Network {
    genesis_time_s: 1_665_396_300,
    chain_id: 10_200,
    genesis_fork_version: 0x0000_006f,
    genesis_validators_root: root("9d642dac73058fbf39c0ae41ab1e34e4d889043cb199851ded7095bc99eb4c1e"),
    forks: [(0x0300_006f, 244_224), (0x0400_006f, 516_608), (0x0500_006f, 948_224), (0x0600_006f, 1_353_216)],
};

impl ChainSpec {
    /// A public network's parameters by its name, one of [`NETWORKS`].
    pub fn builtin(name: &str) -> Option<Self> {
        match name {
            "mainnet" => Some(ethereum(name, &MAINNET)),
            "hoodi" => Some(ethereum(name, &HOODI)),
            "sepolia" => Some(ethereum(name, &SEPOLIA)),
            "gnosis" => Some(gnosis(name, &GNOSIS)),
            "chiado" => Some(gnosis(name, &CHIADO)),
            _ => None,
        }
    }
}

fn ethereum(name: &str, network: &Network) -> ChainSpec {
    spec(name, network, Preset::Mainnet, 12_000, 32)
}

fn gnosis(name: &str, network: &Network) -> ChainSpec {
    spec(name, network, Preset::Gnosis, 5_000, 16)
}

fn spec(name: &str, network: &Network, preset: Preset, slot_ms: u64, slots_per_epoch: u64) -> ChainSpec {
    let forks = [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu];
    let rows = forks.into_iter().zip(network.forks);
    ChainSpec {
        name: name.to_owned(),
        preset,
        genesis_time_ms: network.genesis_time_s * 1000,
        slot_ms,
        slots_per_epoch,
        genesis_fork_version: ForkVersion(network.genesis_fork_version.to_be_bytes()),
        genesis_validators_root: Root(network.genesis_validators_root),
        forks: rows
            .map(|(fork, (version, epoch))| ForkEpoch {
                fork,
                version: ForkVersion(version.to_be_bytes()),
                epoch: Epoch(epoch),
            })
            .collect(),
        timing: SlotTiming::default(),
        chain_id: network.chain_id,
    }
}

/// 64 hex digits, read by the compiler: a wrong one does not build.
const fn root(digits: &str) -> [u8; 32] {
    let digits = digits.as_bytes();
    assert!(digits.len() == 64, "a root has 64 digits");
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = 16 * nibble(digits[2 * at]) + nibble(digits[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("not a digit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_network_obeys_the_rules_of_a_network() {
        for name in NETWORKS {
            let spec = ChainSpec::builtin(name).unwrap();
            assert_eq!(spec.name, name);
            assert_eq!(spec.validate(), Ok(()), "{name}");
        }
        assert_eq!(ChainSpec::builtin("goerli"), None);
    }

    /// Times of day that the forks' announcements name: epochs, genesis and slot length agree.
    #[test]
    fn forks_begin_when_they_were_announced() {
        for (name, fork, unix_s) in [
            ("mainnet", Fork::Capella, 1_681_338_455), // 2023-04-12T22:27:35Z
            ("mainnet", Fork::Deneb, 1_710_338_135),   // 2024-03-13T13:55:35Z
            ("mainnet", Fork::Electra, 1_746_612_311), // 2025-05-07T10:05:11Z
            ("mainnet", Fork::Fulu, 1_764_798_551),    // 2025-12-03T21:49:11Z
            ("gnosis", Fork::Capella, 1_690_889_660),  // 2023-08-01T11:34:20Z
            ("gnosis", Fork::Deneb, 1_710_181_820),    // 2024-03-11T18:30:20Z
            ("chiado", Fork::Deneb, 1_706_724_940),    // 2024-01-31T18:15:40Z
            ("chiado", Fork::Fulu, 1_773_653_580),     // 2026-03-16T09:33:00Z
        ] {
            let spec = ChainSpec::builtin(name).unwrap();
            let row = spec.forks.iter().find(|row| row.fork == fork).unwrap();
            let start = spec.slot_start(spec.epoch_start(row.epoch));
            assert_eq!(start.0, unix_s * 1000, "{name} {fork}");
            assert_eq!(spec.fork_at(row.epoch).fork, fork, "{name} {fork}");
        }
    }
}
