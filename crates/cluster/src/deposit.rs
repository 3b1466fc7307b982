//! Deposits: what a validator's key signs to be funded, and the files that are uploaded to fund it.
//!
//! Source: consensus-specs, phase 0 (`DepositMessage`, `DepositData`); the file format is the staking deposit CLI's.

use crate::{
    Network, Version, hash,
    json::{self, JsonError},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{
    Address, DomainType, ForkVersion, Gwei, PublicKey, Root, Signature, SigningRoot, domain::compute_domain,
};

/// One ETH in gwei, and the least a deposit may be.
pub const ETH: Gwei = Gwei(1_000_000_000);
/// What activates a validator, and the most a validator that does not compound can stake.
pub const ACTIVATION: Gwei = Gwei(32 * ETH.0);
/// The most a compounding validator can stake (EIP-7251).
pub const COMPOUNDING_MAX: Gwei = Gwei(2048 * ETH.0);
/// First byte of the withdrawal credentials of a validator that pays to nobody before its key says to whom.
pub const BLS_PREFIX: u8 = 0;
/// First byte of the withdrawal credentials of a validator that pays to an address.
pub const ADDRESS_PREFIX: u8 = 1;
/// First byte of the withdrawal credentials of a validator that also compounds (EIP-7251).
pub const COMPOUNDING_PREFIX: u8 = 2;
/// Largest deposit file: 65536 entries of some 900 bytes.
pub const DEPOSIT_BYTES_MAX: usize = 64 << 20;
/// The version of the deposit CLI whose form the files have; upload pages ask for it.
const CLI_VERSION: &str = "2.7.0";

/// Why deposit amounts are refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AmountError {
    /// The deposit contract takes no less than 1 ETH.
    #[error("a deposit of {gwei} gwei, the least is 1 ETH")]
    TooSmall {
        /// The amount.
        gwei: u64,
    },
    /// More than the validator can stake.
    #[error("a deposit of {gwei} gwei, the most is {max} gwei")]
    TooLarge {
        /// The amount.
        gwei: u64,
        /// The most for this kind of validator.
        max: u64,
    },
    /// All deposits together would not activate the validator.
    #[error("deposits sum to {gwei} gwei, less than 32 ETH")]
    Sum {
        /// The sum.
        gwei: u64,
    },
}

/// Checks stated deposit amounts; none are fine, they stand for [`default_amounts`].
pub fn check_amounts(amounts: &[Gwei], compounding: bool) -> Result<(), AmountError> {
    amounts.iter().try_for_each(|amount| check_amount(*amount, compounding))?;
    let sum = amounts.iter().fold(0_u64, |sum, amount| sum.saturating_add(amount.0));
    if !amounts.is_empty() && sum < ACTIVATION.0 { Err(AmountError::Sum { gwei: sum }) } else { Ok(()) }
}

/// Checks one amount: at least 1 ETH, at most what a validator of this kind can stake.
pub fn check_amount(amount: Gwei, compounding: bool) -> Result<(), AmountError> {
    let max = if compounding { COMPOUNDING_MAX } else { ACTIVATION };
    if amount < ETH {
        return Err(AmountError::TooSmall { gwei: amount.0 });
    }
    if amount > max {
        return Err(AmountError::TooLarge { gwei: amount.0, max: max.0 });
    }
    Ok(())
}

/// The amounts of a definition that states none: a small deposit to prove the key, then the whole.
pub fn default_amounts(version: Version, compounding: bool) -> Vec<Gwei> {
    let eth: &[u64] = match (version.has_deposit_amounts(), compounding) {
        (false, _) => &[32],
        (true, false) => &[1, 32],
        (true, true) => &[1, 8, 32, 256],
    };
    eth.iter().map(|amount| Gwei(amount * ETH.0)).collect()
}

/// Withdrawal credentials: type 0x01 (or 0x02 for a compounding validator), 11 zero bytes, the address.
pub fn withdrawal_credentials(address: Address, compounding: bool) -> Root {
    let mut bytes = [0; 32];
    bytes[0] = if compounding { COMPOUNDING_PREFIX } else { ADDRESS_PREFIX };
    bytes[12..].copy_from_slice(&address.0);
    Root(bytes)
}

/// What a validator's key signs to be funded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepositMessage {
    /// The validator's key.
    pub public_key: PublicKey,
    /// Who gets the money back: see [`withdrawal_credentials`].
    pub withdrawal_credentials: Root,
    /// How much.
    pub amount: Gwei,
}

impl DepositMessage {
    /// The hash tree root.
    pub fn root(&self) -> Root {
        hash::container(&self.roots())
    }

    /// What is signed: under the network's genesis fork, whatever fork is in force.
    pub fn signing_root(&self, genesis: ForkVersion) -> SigningRoot {
        SigningRoot::compute(self.root(), compute_domain(DomainType::Deposit, genesis, Root::ZERO))
    }

    fn roots(&self) -> [Root; 3] {
        [
            hash::fixed_bytes(&self.public_key.0, PublicKey::LEN),
            self.withdrawal_credentials,
            hash::uint64(self.amount.0),
        ]
    }
}

/// A deposit and its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedDeposit {
    /// What was signed.
    pub message: DepositMessage,
    /// By the validator's key over the signing root.
    pub signature: Signature,
}

impl SignedDeposit {
    /// The hash tree root of `DepositData`, as the deposit contract wants it.
    pub fn data_root(&self) -> Root {
        let [key, credentials, amount] = self.message.roots();
        hash::container(&[key, credentials, amount, hash::fixed_bytes(&self.signature.0, Signature::LEN)])
    }
}

/// One deposit file: all validators' deposits of one amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositFile {
    /// `deposit-data.json` for 32 ETH, else `deposit-data-<x>eth.json`.
    pub name: String,
    /// The content.
    pub json: String,
}

/// The files for a cluster's deposits: one per distinct amount, ascending, entries sorted by key.
pub fn files(deposits: &[SignedDeposit], network: &Network) -> Vec<DepositFile> {
    let mut by_amount: BTreeMap<Gwei, Vec<&SignedDeposit>> = BTreeMap::new();
    for deposit in deposits {
        by_amount.entry(deposit.message.amount).or_default().push(deposit);
    }
    let file = |(amount, mut deposits): (Gwei, Vec<&SignedDeposit>)| {
        deposits.sort_by_key(|deposit| deposit.message.public_key);
        let entries: Vec<Entry> = deposits.into_iter().map(|deposit| Entry::of(deposit, network)).collect();
        DepositFile { name: file_name(amount), json: json::write(&entries) }
    };
    by_amount.into_iter().map(file).collect()
}

/// The file's name for deposits of this amount, in ETH with as few decimals as it takes.
pub fn file_name(amount: Gwei) -> String {
    if amount == ACTIVATION {
        return "deposit-data.json".to_owned();
    }
    let (eth, gwei) = (amount.0 / ETH.0, amount.0 % ETH.0);
    let decimals = format!("{gwei:09}");
    match decimals.trim_end_matches('0') {
        "" => format!("deposit-data-{eth}eth.json"),
        decimals => format!("deposit-data-{eth}.{decimals}eth.json"),
    }
}

/// An entry of a deposit file, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositEntry {
    /// The deposit.
    pub deposit: SignedDeposit,
    /// The network it is for.
    pub fork_version: ForkVersion,
    /// The network's name.
    pub network_name: String,
    /// The root the file claims for the message.
    pub stated_message_root: Root,
    /// The root the file claims for the deposit data.
    pub stated_data_root: Root,
}

/// Reads a deposit file.
///
/// - `bytes`: at most [`DEPOSIT_BYTES_MAX`].
/// - Nothing is verified: see [`crate::check::check_deposits`].
pub fn parse_file(bytes: &[u8]) -> Result<Vec<DepositEntry>, JsonError> {
    let entries: Vec<Entry> = json::read(bytes, DEPOSIT_BYTES_MAX)?;
    Ok(entries.into_iter().map(DepositEntry::from).collect())
}

/// Hex without `0x`, as the deposit CLI writes it; reading takes both.
#[derive(Deserialize)]
#[serde(transparent)]
struct Bare<T>(T);

impl<T: AsRef<[u8]>> Serialize for Bare<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

#[derive(Serialize, Deserialize)]
struct Entry {
    pubkey: Bare<PublicKey>,
    withdrawal_credentials: Bare<Root>,
    amount: u64,
    signature: Bare<Signature>,
    deposit_message_root: Bare<Root>,
    deposit_data_root: Bare<Root>,
    fork_version: Bare<ForkVersion>,
    network_name: String,
    deposit_cli_version: String,
}

impl Entry {
    fn of(deposit: &SignedDeposit, network: &Network) -> Self {
        Self {
            pubkey: Bare(deposit.message.public_key),
            withdrawal_credentials: Bare(deposit.message.withdrawal_credentials),
            amount: deposit.message.amount.0,
            signature: Bare(deposit.signature),
            deposit_message_root: Bare(deposit.message.root()),
            deposit_data_root: Bare(deposit.data_root()),
            fork_version: Bare(network.fork_version),
            network_name: network.name.clone(),
            deposit_cli_version: CLI_VERSION.to_owned(),
        }
    }
}

impl From<Entry> for DepositEntry {
    fn from(entry: Entry) -> Self {
        let message = DepositMessage {
            public_key: entry.pubkey.0,
            withdrawal_credentials: entry.withdrawal_credentials.0,
            amount: Gwei(entry.amount),
        };
        Self {
            deposit: SignedDeposit { message, signature: entry.signature.0 },
            fork_version: entry.fork_version.0,
            network_name: entry.network_name,
            stated_message_root: entry.deposit_message_root.0,
            stated_data_root: entry.deposit_data_root.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_the_shortest_decimal_of_their_amount() {
        for (gwei, name) in [
            (32_000_000_000, "deposit-data.json"),
            (1_000_000_000, "deposit-data-1eth.json"),
            (31_500_000_000, "deposit-data-31.5eth.json"),
            (31_999_999_999, "deposit-data-31.999999999eth.json"),
            (2_048_000_000_000, "deposit-data-2048eth.json"),
        ] {
            assert_eq!(file_name(Gwei(gwei)), name);
        }
    }

    #[test]
    fn each_rule_on_amounts_refuses_what_breaks_only_it() {
        let check = |eth: &[f64], compounding| {
            let amounts: Vec<Gwei> = eth.iter().map(|eth| Gwei((eth * 1e9) as u64)).collect();
            check_amounts(&amounts, compounding)
        };
        assert_eq!(check(&[], false), Ok(()));
        assert_eq!(check(&[1.0, 31.0], false), Ok(()));
        assert_eq!(check(&[16.0, 16.0], false), Ok(()));
        assert_eq!(check(&[2048.0], true), Ok(()));
        assert_eq!(check(&[0.5, 32.0], false), Err(AmountError::TooSmall { gwei: 500_000_000 }));
        let max = 32_000_000_000;
        assert_eq!(check(&[33.0], false), Err(AmountError::TooLarge { gwei: 33_000_000_000, max }));
        assert!(matches!(check(&[2049.0], true), Err(AmountError::TooLarge { .. })));
        assert_eq!(check(&[1.0, 8.0], true), Err(AmountError::Sum { gwei: 9_000_000_000 }));
    }
}
