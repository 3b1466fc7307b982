//! `dvt-dkg define`: a new definition from a creator's decisions.

use crate::network;
use anyhow::{Context as _, ensure};
use cluster::Version;
use cluster::define::{NewAddresses, NewDefinition, TARGET_GAS_LIMIT};
use cluster::definition::Definition;
use cluster::enr::Enr;
use keys::files::{PUBLIC, write_new};
use std::path::PathBuf;
use std::time::SystemTime;
use types::{ClusterSize, Gwei};

/// Gwei in an ETH.
const GWEI: u64 = 1_000_000_000;

/// What `dvt-dkg define` is told.
#[derive(Clone, Debug)]
pub struct DefineConfig {
    /// The format: v1.10 or v1.11.
    pub version: Version,
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
    let (network, _) = network::choose(config.network.as_deref(), config.network_config.as_deref())?;
    let operators = config.operators.iter().map(|enr| Enr::parse(enr).with_context(|| enr.clone()));
    let withdrawals = one_each(&config.withdrawal_addresses, config.validators, "--withdrawal-address")?;
    let fees = one_each(&config.fee_recipient_addresses, config.validators, "--fee-recipient-address")?;
    let addresses = |(withdrawal, fee_recipient)| NewAddresses { fee_recipient, withdrawal };
    let new = NewDefinition {
        version: config.version,
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

/// A format that definitions are made in, as a flag names it.
pub fn parse_version(text: &str) -> Result<Version, String> {
    let version = text.parse().ok().filter(|version| *version >= Version::V1_10);
    version.ok_or_else(|| format!("{text:?} is read only or unknown: v1.10.0 or v1.11.0"))
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

/// One value for all validators, or one for each.
pub(crate) fn one_each(given: &[String], validators: usize, flag: &str) -> anyhow::Result<Vec<String>> {
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
