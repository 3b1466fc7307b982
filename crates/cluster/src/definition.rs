//! The cluster definition: what its operators agree to before there is a key.
//!
//! Reading is lax where the format is (signatures of any length, addresses in any letters, opaque identifiers)
//! and strict where hashing needs it: every string and list is bounded by what its hash allows. Verification is
//! [`crate::check`]'s.

use crate::{
    Enr, EnrError, JsonError, NodeKey, Version,
    deposit::{AmountError, DepositMessage, check_amounts, default_amounts, withdrawal_credentials},
    hash, json, k1,
    registration::Registration,
    text::{AddressText, Hex, Text},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{Address, ClusterSize, ForkVersion, Gwei, PublicKey, Root, ValidatorNo, operators::SizeError};

mod file;
pub(crate) use file::{DefinitionFile, VersionProbe};

/// Largest file: 65536 validators are some 12 MiB. The format's reference reads no more over HTTP.
pub const DEFINITION_BYTES_MAX: usize = 16 << 20;
/// Operators that the definition's hash allows; how many make a cluster is [`ClusterSize`]'s to say.
pub const OPERATORS_LIMIT: usize = 256;
/// Validators that the definition's hash allows.
pub const VALIDATORS_LIMIT: usize = 65536;
/// Deposit amounts that the definition's hash allows.
pub const AMOUNTS_LIMIT: usize = 256;
/// Owners' signatures that the hash of v1.11 allows in one field.
pub const SIGNATURES_LIMIT: usize = 32;
/// The gas limit of registrations where none is asked for.
pub const GAS_LIMIT_FALLBACK: u64 = 30_000_000;

const NAME_MAX: usize = 256;
const UUID_MAX: usize = 64;
const VERSION_MAX: usize = 16;
const TIMESTAMP_MAX: usize = 32;
const ALGORITHM_MAX: usize = 32;
const PROTOCOL_MAX: usize = 256;

/// A wallet's signature: 65 bytes, from v1.11 on any multiple of them, empty if there is none.
pub type WalletSignature = Hex<{ SIGNATURES_LIMIT * k1::SIGNATURE_LEN }>;

/// Why a file is no cluster definition, or the definition of a lock is none.
#[derive(Debug, Error)]
pub enum DefinitionError {
    /// Not JSON of this shape, or too large.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A version we do not read.
    #[error("unsupported version {version:?}: this software reads v1.5.0 to v1.11.0")]
    UnsupportedVersion {
        /// The version in the file, shortened.
        version: String,
    },
    /// The stated number is not the length of the list.
    #[error("num_validators is {stated}, but {have} validators are listed")]
    ValidatorCount {
        /// The number in the file.
        stated: u64,
        /// The length of the list.
        have: usize,
    },
    /// A list longer than its hash allows.
    #[error("{have} {what}, at most {max} are allowed")]
    TooMany {
        /// Which list.
        what: &'static str,
        /// Its length.
        have: usize,
        /// The limit.
        max: usize,
    },
    /// A signature that this version's hash has no place for.
    #[error("{whose} has {have} bytes, which {version} does not allow")]
    SignatureLength {
        /// Which signature.
        whose: String,
        /// Its length.
        have: usize,
        /// The definition's version.
        version: Version,
    },
    /// An operator's node record is refused.
    #[error("ENR of operator {operator}: {error}")]
    Enr {
        /// The operator, from 1.
        operator: usize,
        /// Which rule it breaks.
        error: EnrError,
    },
    /// The deposit amounts break a rule.
    #[error(transparent)]
    Amounts(#[from] AmountError),
}

impl DefinitionError {
    /// The rule that is broken, named as [`crate::Check`]s are.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Json(_) => "json",
            Self::UnsupportedVersion { .. } => "version",
            Self::ValidatorCount { .. } => "validator_count",
            Self::TooMany { .. } => "list_limits",
            Self::SignatureLength { .. } => "signature_lengths",
            Self::Enr { .. } => "operator_enrs",
            Self::Amounts(_) => "deposit_amounts",
        }
    }
}

/// Who made the definition. Without an address, nobody in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creator {
    /// The creator's wallet.
    #[serde(default)]
    pub address: AddressText,
    /// The wallet's signature over the config hash.
    #[serde(default)]
    pub config_signature: WalletSignature,
}

/// One operator of the cluster. Without an address and signatures it is unsigned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// The operator's wallet.
    pub address: AddressText,
    /// The operator's node; `None` before it has joined.
    pub enr: Option<Enr>,
    /// The wallet's signature over the config hash.
    pub config_signature: WalletSignature,
    /// The wallet's signature over the node record.
    pub enr_signature: WalletSignature,
}

impl Operator {
    /// An operator known by its node alone.
    pub fn unsigned(enr: Enr) -> Self {
        Self { enr: Some(enr), ..Self::default() }
    }

    /// The record's text, empty before the node has joined.
    pub fn enr_text(&self) -> &str {
        self.enr.as_ref().map_or("", Enr::as_str)
    }
}

/// Where one validator's money goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorAddresses {
    /// Takes priority fees.
    #[serde(default, rename = "fee_recipient_address")]
    pub fee_recipient: AddressText,
    /// Takes withdrawals: the deposit and its rewards.
    #[serde(default, rename = "withdrawal_address")]
    pub withdrawal: AddressText,
}

/// A cluster definition. Immutable but for [`Definition::set_operator`] and [`Definition::set_creator`].
///
/// Node records and signatures change the definition hash only; addresses change the config hash as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    pub(crate) fields: Fields,
    pub(crate) stated: StatedHashes,
}

/// What is hashed. Bounds of lists and signatures hold: made by [`Definition::parse`] and [`crate::define`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) name: Text<NAME_MAX>,
    pub(crate) creator: Creator,
    pub(crate) operators: Vec<Operator>,
    pub(crate) uuid: Text<UUID_MAX>,
    pub(crate) version: Version,
    pub(crate) timestamp: Text<TIMESTAMP_MAX>,
    pub(crate) threshold: u64,
    pub(crate) validators: Vec<ValidatorAddresses>,
    pub(crate) dkg_algorithm: Text<ALGORITHM_MAX>,
    pub(crate) fork_version: ForkVersion,
    /// `None` is written `null`; it hashes like an empty list.
    pub(crate) deposit_amounts: Option<Vec<Gwei>>,
    pub(crate) consensus_protocol: Text<PROTOCOL_MAX>,
    pub(crate) target_gas_limit: u64,
    pub(crate) compounding: bool,
}

/// The hashes a file claims to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatedHashes {
    pub(crate) config: Hex<32>,
    pub(crate) definition: Hex<32>,
}

impl Definition {
    /// Reads a definition of v1.5 to v1.11.
    ///
    /// - `bytes`: JSON, at most [`DEFINITION_BYTES_MAX`].
    /// - Hashes and signatures are not verified, but for those inside of ENRs: see [`Definition::check`].
    /// - Errors: [`DefinitionError`] names the broken rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, DefinitionError> {
        let probe: VersionProbe = json::read(bytes, DEFINITION_BYTES_MAX)?;
        let version = probe.version()?;
        let file: DefinitionFile = json::read(bytes, DEFINITION_BYTES_MAX)?;
        file.into_definition(version)
    }

    /// The file: hashes recomputed, byte for byte as the format's reference writes it.
    pub fn to_json(&self) -> String {
        json::write(self)
    }

    /// The root of what was agreed to: all but ENRs and signatures.
    pub fn config_hash(&self) -> Root {
        hash::container(&self.fields.config_roots(false))
    }

    /// The root of the whole definition, its config hash included.
    pub fn definition_hash(&self) -> Root {
        let mut roots = self.fields.config_roots(true);
        roots.push(self.config_hash());
        hash::container(&roots)
    }

    /// The cluster's name, possibly empty.
    pub fn name(&self) -> &str {
        self.fields.name.as_str()
    }

    /// Its random identifier; opaque.
    pub fn uuid(&self) -> &str {
        self.fields.uuid.as_str()
    }

    /// When it was made; opaque.
    pub fn timestamp(&self) -> &str {
        self.fields.timestamp.as_str()
    }

    /// The format's version.
    pub fn version(&self) -> Version {
        self.fields.version
    }

    /// Who made it.
    pub fn creator(&self) -> &Creator {
        &self.fields.creator
    }

    /// The operators, share index 1 first.
    pub fn operators(&self) -> &[Operator] {
        &self.fields.operators
    }

    /// The operators' node keys, share index 1 first; `None` for those that have not joined.
    pub fn node_keys(&self) -> impl Iterator<Item = Option<NodeKey>> {
        self.fields.operators.iter().map(|operator| operator.enr.as_ref().map(Enr::key))
    }

    /// Where the validators' money goes, in order of validators.
    pub fn validators(&self) -> &[ValidatorAddresses] {
        &self.fields.validators
    }

    /// Shares needed to sign, as stated: [`Definition::size`] says whether it is possible.
    pub fn threshold(&self) -> u64 {
        self.fields.threshold
    }

    /// Operators and threshold, if they make a cluster.
    pub fn size(&self) -> Result<ClusterSize, SizeError> {
        let threshold = usize::try_from(self.fields.threshold).unwrap_or(usize::MAX);
        ClusterSize::new(self.fields.operators.len(), threshold)
    }

    /// How the key is made: `default`, `frost` or `pedersen`.
    pub fn dkg_algorithm(&self) -> &str {
        self.fields.dkg_algorithm.as_str()
    }

    /// The consensus protocol the definition asks for; empty for the software's own.
    pub fn consensus_protocol(&self) -> &str {
        self.fields.consensus_protocol.as_str()
    }

    /// The network, by its genesis fork version.
    pub fn fork_version(&self) -> ForkVersion {
        self.fields.fork_version
    }

    /// The deposit amounts as stated; empty for the version's defaults.
    pub fn stated_amounts(&self) -> &[Gwei] {
        self.fields.deposit_amounts.as_deref().unwrap_or_default()
    }

    /// The amounts deposits are signed for: distinct, ascending, defaults filled in.
    pub fn deposit_amounts(&self) -> Vec<Gwei> {
        let stated = self.stated_amounts();
        let mut amounts = if stated.is_empty() {
            default_amounts(self.fields.version, self.fields.compounding)
        } else {
            stated.to_vec()
        };
        amounts.sort_unstable();
        amounts.dedup();
        amounts
    }

    /// The gas limit of builder registrations.
    pub fn gas_limit(&self) -> u64 {
        match self.fields.target_gas_limit {
            0 => GAS_LIMIT_FALLBACK,
            limit => limit,
        }
    }

    /// Whether validators compound: withdrawal credentials 0x02 and balances up to 2048 ETH.
    pub fn compounding(&self) -> bool {
        self.fields.compounding
    }

    /// The deposits one validator's key signs, by ascending amount.
    ///
    /// - `key`: the validator's group key.
    /// - `None` if there is no such validator, or it has no withdrawal address.
    pub fn deposit_messages(&self, validator: ValidatorNo, key: PublicKey) -> Option<Vec<DepositMessage>> {
        let address = self.addresses(validator)?.withdrawal.address()?;
        let withdrawal_credentials = withdrawal_credentials(address, self.fields.compounding);
        let message = |amount| DepositMessage { public_key: key, withdrawal_credentials, amount };
        Some(self.deposit_amounts().into_iter().map(message).collect())
    }

    /// The builder registration one validator's key signs.
    ///
    /// - `key`: the validator's group key.
    /// - `timestamp_s`: the network's genesis time for a new key.
    /// - `None` if there is no such validator, or it has no fee recipient.
    pub fn registration(
        &self,
        validator: ValidatorNo,
        key: PublicKey,
        timestamp_s: u64,
    ) -> Option<Registration> {
        let fee_recipient = self.addresses(validator)?.fee_recipient.address()?;
        Some(Registration { fee_recipient, gas_limit: self.gas_limit(), timestamp_s, public_key: key })
    }

    fn addresses(&self, validator: ValidatorNo) -> Option<&ValidatorAddresses> {
        self.fields.validators.get(usize::try_from(validator.0).ok()?)
    }

    /// Replaces one operator's entry, as when its node joins or its wallet signs.
    ///
    /// - `position`: from 0.
    /// - Errors: `SignatureLength` if this version has no place for its signatures, `TooMany` if nobody stands there.
    pub fn set_operator(&mut self, position: usize, operator: Operator) -> Result<(), DefinitionError> {
        let have = self.fields.operators.len();
        check_operator(self.fields.version, position, &operator)?;
        let Some(entry) = self.fields.operators.get_mut(position) else {
            return Err(DefinitionError::TooMany { what: "operators", have: position + 1, max: have });
        };
        *entry = operator;
        self.restate();
        Ok(())
    }

    /// Replaces the creator, as when its wallet signs.
    ///
    /// - Errors: `SignatureLength` if this version has no place for the signature.
    pub fn set_creator(&mut self, creator: Creator) -> Result<(), DefinitionError> {
        check_signature(
            self.fields.version,
            || "the creator's signature".to_owned(),
            &creator.config_signature,
        )?;
        self.fields.creator = creator;
        self.restate();
        Ok(())
    }

    /// Wraps fields whose bounds hold, stating their true hashes.
    pub(crate) fn of(fields: Fields) -> Self {
        let mut definition = Self { fields, stated: StatedHashes::default() };
        definition.restate();
        definition
    }

    fn restate(&mut self) {
        self.stated =
            StatedHashes { config: self.config_hash().0.into(), definition: self.definition_hash().0.into() };
    }
}

impl Fields {
    /// The leaves of the config hash, or with `full` those of the definition hash before its last.
    fn config_roots(&self, full: bool) -> Vec<Root> {
        let operators: Vec<Root> =
            self.operators.iter().map(|operator| self.operator_root(operator, full)).collect();
        let validators: Vec<Root> = self.validators.iter().map(ValidatorAddresses::root).collect();
        let mut roots = vec![
            hash::byte_list(self.uuid.as_str().as_bytes(), UUID_MAX),
            hash::byte_list(self.name.as_str().as_bytes(), NAME_MAX),
            hash::byte_list(self.version.as_str().as_bytes(), VERSION_MAX),
            hash::byte_list(self.timestamp.as_str().as_bytes(), TIMESTAMP_MAX),
            hash::uint64(self.validators.len() as u64),
            hash::uint64(self.threshold),
            hash::byte_list(self.dkg_algorithm.as_str().as_bytes(), ALGORITHM_MAX),
            hash::fixed_bytes(&self.fork_version.0, ForkVersion::LEN),
            hash::list(&operators, OPERATORS_LIMIT),
            self.creator_root(full),
            hash::list(&validators, VALIDATORS_LIMIT),
        ];
        if self.version.has_deposit_amounts() {
            let amounts: Vec<u64> = self.deposit_amounts.iter().flatten().map(|gwei| gwei.0).collect();
            roots.push(hash::uint64_list(&amounts, AMOUNTS_LIMIT));
        }
        if self.version.has_consensus_protocol() {
            roots.push(hash::byte_list(self.consensus_protocol.as_str().as_bytes(), PROTOCOL_MAX));
        }
        if self.version.has_gas_limit_and_compounding() {
            roots.push(hash::uint64(self.target_gas_limit));
            roots.push(hash::boolean(self.compounding));
        }
        roots
    }

    fn operator_root(&self, operator: &Operator, full: bool) -> Root {
        let address = address_root(&operator.address);
        if !full {
            return address;
        }
        hash::container(&[
            address,
            hash::byte_list(operator.enr_text().as_bytes(), crate::enr::ENR_LEN_MAX),
            self.signature_root(&operator.config_signature),
            self.signature_root(&operator.enr_signature),
        ])
    }

    fn creator_root(&self, full: bool) -> Root {
        let address = address_root(&self.creator.address);
        if !full {
            return address;
        }
        hash::container(&[address, self.signature_root(&self.creator.config_signature)])
    }

    fn signature_root(&self, signature: &WalletSignature) -> Root {
        if self.version.has_signature_lists() {
            hash::signature_list(signature.as_bytes(), SIGNATURES_LIMIT)
        } else {
            hash::fixed_bytes(signature.as_bytes(), k1::SIGNATURE_LEN)
        }
    }
}

impl ValidatorAddresses {
    fn root(&self) -> Root {
        hash::container(&[address_root(&self.fee_recipient), address_root(&self.withdrawal)])
    }
}

fn address_root(address: &AddressText) -> Root {
    hash::fixed_bytes(&address.address().unwrap_or_default().0, Address::LEN)
}

fn check_signature(
    version: Version,
    whose: impl FnOnce() -> String,
    signature: &WalletSignature,
) -> Result<(), DefinitionError> {
    let have = signature.as_bytes().len();
    let hashable = if version.has_signature_lists() {
        have.is_multiple_of(k1::SIGNATURE_LEN)
    } else {
        have <= k1::SIGNATURE_LEN
    };
    if hashable { Ok(()) } else { Err(DefinitionError::SignatureLength { whose: whose(), have, version }) }
}

fn check_operator(version: Version, position: usize, operator: &Operator) -> Result<(), DefinitionError> {
    let whose = |which: &str| format!("the {which} signature of operator {}", position + 1);
    check_signature(version, || whose("config"), &operator.config_signature)?;
    check_signature(version, || whose("ENR"), &operator.enr_signature)
}

pub(crate) fn check_len(what: &'static str, have: usize, max: usize) -> Result<(), DefinitionError> {
    if have > max { Err(DefinitionError::TooMany { what, have, max }) } else { Ok(()) }
}
