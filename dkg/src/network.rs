//! Which network is meant: a built-in one by its name, or the file of another.

use anyhow::{Context as _, bail};
use cluster::network::{Network, Networks};
use std::path::Path;
use types::{ChainSpec, ForkVersion};

fn read(path: &Path) -> anyhow::Result<(ChainSpec, Vec<u8>)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = ChainSpec::from_config_json(&bytes).with_context(|| path.display().to_string())?;
    Ok((spec, bytes))
}

/// The public networks, and the one of the file if there is one; it hides the public one of its fork version.
pub fn known(config: Option<&Path>) -> anyhow::Result<Networks> {
    Ok(known_with_file(config)?.0)
}

/// The same, and the bytes of the file as they were read.
pub fn known_with_file(config: Option<&Path>) -> anyhow::Result<(Networks, Option<Vec<u8>>)> {
    let Some(path) = config else { return Ok((Networks::public(), None)) };
    let (spec, bytes) = read(path)?;
    Ok((Networks::public().with(Network::from(&spec)), Some(bytes)))
}

/// The network of a name or of a file: exactly one of them is given. The file's bytes come along.
pub fn choose(name: Option<&str>, config: Option<&Path>) -> anyhow::Result<(Network, Option<Vec<u8>>)> {
    match (name, config) {
        (Some(name), None) => {
            let networks = Networks::public();
            let known: Vec<_> = networks.names().collect();
            let network = networks.by_name(name).cloned();
            let network = network
                .with_context(|| format!("unknown network {name:?}, known are {}", known.join(", ")))?;
            Ok((network, None))
        }
        (None, Some(path)) => {
            let (spec, bytes) = read(path)?;
            Ok((Network::from(&spec), Some(bytes)))
        }
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
