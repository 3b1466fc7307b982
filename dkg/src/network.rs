//! Which network is meant: a built-in one by its name, or the file of another.

use anyhow::{Context as _, bail};
use cluster::network::{Network, Networks};
use std::path::Path;
use types::{ChainSpec, ForkVersion};

/// Reads a network file; its bytes come along, to be kept beside what was made for it.
pub fn read(path: &Path) -> anyhow::Result<(ChainSpec, Vec<u8>)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = ChainSpec::from_config_json(&bytes).with_context(|| path.display().to_string())?;
    Ok((spec, bytes))
}

/// The public networks, and the one of the file if there is one; it hides the public one of its fork version.
pub fn known(config: Option<&Path>) -> anyhow::Result<Networks> {
    let Some(path) = config else { return Ok(Networks::public()) };
    Ok(Networks::public().with(Network::from(&read(path)?.0)))
}

/// The network of a name or of a file: exactly one of them is given.
pub fn choose(name: Option<&str>, config: Option<&Path>) -> anyhow::Result<Network> {
    match (name, config) {
        (Some(name), None) => {
            let networks = Networks::public();
            let known: Vec<_> = networks.names().collect();
            let network = networks.by_name(name).cloned();
            network.with_context(|| format!("unknown network {name:?}, known are {}", known.join(", ")))
        }
        (None, Some(path)) => Ok(Network::from(&read(path)?.0)),
        _ => bail!("either --network or --network-config names the network"),
    }
}

/// The parameters of the network with this genesis fork version: of the file, or built in.
pub fn spec(version: ForkVersion, config: Option<&Path>) -> anyhow::Result<ChainSpec> {
    let own = config.map(read).transpose()?.map(|(spec, _)| spec);
    let networks = Networks::public();
    let builtin = || networks.by_fork_version(version).and_then(|network| ChainSpec::builtin(&network.name));
    let spec = own.filter(|spec| spec.genesis_fork_version == version).or_else(builtin);
    spec.with_context(|| {
        format!("no network with genesis fork version {version} is known: --network-config names its file")
    })
}
