//! Networks a cluster can be made for. In the files a network is its genesis fork version, nothing else.

use types::{ChainSpec, ForkVersion};

/// What a cluster's files need to know of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Name, as in deposit files.
    pub name: String,
    /// Version at genesis: the network's identity.
    pub fork_version: ForkVersion,
    /// Chain id of the execution layer, for EIP-712.
    pub chain_id: u64,
    /// Unix time of genesis in seconds: the timestamp of the first builder registrations.
    pub genesis_time_s: u64,
}

impl Network {
    /// Whether deposits there are worth money, so that a zero address is never meant.
    pub fn holds_money(&self) -> bool {
        matches!(self.name.as_str(), "mainnet" | "gnosis")
    }
}

impl From<&ChainSpec> for Network {
    fn from(spec: &ChainSpec) -> Self {
        Self {
            name: spec.name.clone(),
            fork_version: spec.genesis_fork_version,
            chain_id: spec.chain_id,
            genesis_time_s: spec.genesis_time_ms / 1000,
        }
    }
}

/// Name, genesis fork version, chain id, genesis time.
const PUBLIC: [(&str, [u8; 4], u64, u64); 6] = [
    ("mainnet", [0x00, 0x00, 0x00, 0x00], 1, 1_606_824_023),
    ("sepolia", [0x90, 0x00, 0x00, 0x69], 11_155_111, 1_655_733_600),
    ("hoodi", [0x10, 0x00, 0x09, 0x10], 560_048, 1_742_213_400),
    ("gnosis", [0x00, 0x00, 0x00, 0x64], 100, 1_638_993_340),
    ("chiado", [0x00, 0x00, 0x00, 0x6f], 10_200, 1_665_396_300),
    ("goerli", [0x00, 0x00, 0x10, 0x20], 5, 1_616_508_000),
];

/// The networks known here: the public ones, and those an operator adds.
#[derive(Clone, Debug)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// The public networks.
    pub fn public() -> Self {
        let network = |(name, version, chain_id, genesis_time_s): (&str, [u8; 4], u64, u64)| Network {
            name: name.to_owned(),
            fork_version: ForkVersion(version),
            chain_id,
            genesis_time_s,
        };
        Self(PUBLIC.into_iter().map(network).collect())
    }

    /// One more network; it hides those of the same name or fork version.
    pub fn with(mut self, network: Network) -> Self {
        self.0.insert(0, network);
        self
    }

    /// The network of this name; `prater` is an old name of `goerli`.
    pub fn by_name(&self, name: &str) -> Option<&Network> {
        let name = if name == "prater" { "goerli" } else { name };
        self.0.iter().find(|network| network.name == name)
    }

    /// The network with this genesis fork version.
    pub fn by_fork_version(&self, version: ForkVersion) -> Option<&Network> {
        self.0.iter().find(|network| network.fork_version == version)
    }

    /// Their names, those added first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|network| network.name.as_str())
    }
}

impl Default for Networks {
    fn default() -> Self {
        Self::public()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_added_hides_the_public_one_of_its_fork_version() {
        let mine = Network {
            name: "devnet".to_owned(),
            fork_version: ForkVersion::ZERO,
            chain_id: 1337,
            genesis_time_s: 0,
        };
        let networks = Networks::public().with(mine.clone());
        assert_eq!(networks.by_fork_version(ForkVersion::ZERO), Some(&mine));
        assert_eq!(networks.by_name("prater").map(|network| network.chain_id), Some(5));
        assert_eq!(networks.by_name("olympic"), None);
    }
}
