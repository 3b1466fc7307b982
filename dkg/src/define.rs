//! `dvt-dkg define`: a new definition from a creator's decisions.

use anyhow::{Context as _, bail, ensure};
use cluster::define::{NewAddresses, NewDefinition, TARGET_GAS_LIMIT};
use cluster::definition::Definition;
use cluster::enr::Enr;
use cluster::network::{Network, Networks};
use keys::files::{PUBLIC, write_new};
use std::path::PathBuf;
use std::time::SystemTime;
use types::{ChainSpec, ClusterSize, Gwei};

/// Gwei in an ETH.
const GWEI: u64 = 1_000_000_000;

/// What `dvt-dkg define` is told.
#[derive(Clone, Debug)]
pub struct DefineConfig {
    /// The cluster's name.
    pub name: String,
    /// Operators' ENRs, in order.
    pub operators: Vec<String>,
    /// Shares needed to sign.
    pub threshold: usize,
    /// Validators to make.
    pub validators: usize,
    /// One for all, or one each.
    pub withdrawal_addresses: Vec<String>,
    /// One for all, or one each.
    pub fee_recipient_addresses: Vec<String>,
    /// A built-in network's name.
    pub network: Option<String>,
    /// Or a network's file.
    pub network_config: Option<PathBuf>,
    /// Compounding validators.
    pub compounding: bool,
    /// In whole ETH; empty for the defaults.
    pub deposit_amounts: Vec<u64>,
    /// Where to write.
    pub out: PathBuf,
}

/// A definition that was written.
#[derive(Debug)]
pub struct Defined {
    /// What was written.
    pub definition: Definition,
    /// Its network's name.
    pub network: String,
    /// What the creator should know.
    pub warning: Option<String>,
}

/// Makes and writes a definition; nothing is overwritten.
pub fn define(config: &DefineConfig) -> anyhow::Result<Defined> {
    let network = network(config)?;
    let operators = config.operators.iter().map(|enr| Enr::parse(enr).with_context(|| enr.clone()));
    let withdrawals = one_each(&config.withdrawal_addresses, config.validators, "--withdrawal-address")?;
    let fees = one_each(&config.fee_recipient_addresses, config.validators, "--fee-recipient-address")?;
    let addresses = |(withdrawal, fee_recipient)| NewAddresses { fee_recipient, withdrawal };
    let new = NewDefinition {
        name: config.name.clone(),
        operators: operators.collect::<Result<_, _>>()?,
        threshold: config.threshold,
        validators: withdrawals.into_iter().zip(fees).map(addresses).collect(),
        network: network.clone(),
        deposit_amounts: config.deposit_amounts.iter().map(|eth| Gwei(eth.saturating_mul(GWEI))).collect(),
        compounding: config.compounding,
        target_gas_limit: TARGET_GAS_LIMIT,
        uuid: uuid::Uuid::new_v4(),
        timestamp: time::OffsetDateTime::from(SystemTime::now()).replace_nanosecond(0)?,
    };
    let definition = new.define()?;
    write_new(&config.out, definition.to_json().as_bytes(), PUBLIC)?;
    let warning = warning(definition.size()?);
    Ok(Defined { definition, network: network.name, warning })
}

fn warning(size: ClusterSize) -> Option<String> {
    let alive = size.operators() - usize::from(size.faults());
    (size.threshold() > alive).then(|| {
        format!(
            "any {} of {} operators must sign: the cluster stops when {} are down, though it could live with them",
            size.threshold(),
            size.operators(),
            size.faults()
        )
    })
}

fn network(config: &DefineConfig) -> anyhow::Result<Network> {
    match (&config.network, &config.network_config) {
        (Some(name), None) => {
            let networks = Networks::public();
            let known: Vec<_> = networks.names().collect();
            let network = networks.by_name(name);
            network
                .cloned()
                .with_context(|| format!("unknown network {name:?}, known are {}", known.join(", ")))
        }
        (None, Some(path)) => {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let spec = ChainSpec::from_config_json(&bytes).with_context(|| path.display().to_string())?;
            Ok(Network::from(&spec))
        }
        _ => bail!("either --network or --network-config names the network"),
    }
}

fn one_each(given: &[String], validators: usize, flag: &str) -> anyhow::Result<Vec<String>> {
    if let [one] = given {
        return Ok(vec![one.clone(); validators]);
    }
    ensure!(
        given.len() == validators,
        "{} {flag} for {validators} validators: give one for all, or one each",
        given.len()
    );
    Ok(given.to_vec())
}
