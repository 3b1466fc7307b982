//! The definition's JSON: fields in the order of files, those of later versions left out.

use super::*;
use crate::text::{null_as_default, quoted};
use serde::{Serializer, ser::SerializeMap};

impl Serialize for Definition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = &self.fields;
        let version = fields.version;
        let operators: Vec<OperatorFile> = fields.operators.iter().map(OperatorFile::from).collect();
        let mut map = serializer.serialize_map(None)?;
        if !fields.name.as_str().is_empty() {
            map.serialize_entry("name", &fields.name)?;
        }
        map.serialize_entry("creator", &fields.creator)?;
        map.serialize_entry("operators", &operators)?;
        map.serialize_entry("uuid", &fields.uuid)?;
        map.serialize_entry("version", version.as_str())?;
        if !fields.timestamp.as_str().is_empty() {
            map.serialize_entry("timestamp", &fields.timestamp)?;
        }
        map.serialize_entry("num_validators", &fields.validators.len())?;
        map.serialize_entry("threshold", &fields.threshold)?;
        map.serialize_entry("validators", &fields.validators)?;
        map.serialize_entry("dkg_algorithm", &fields.dkg_algorithm)?;
        map.serialize_entry("fork_version", &fields.fork_version)?;
        if version.has_deposit_amounts() {
            map.serialize_entry("deposit_amounts", &fields.deposit_amounts)?;
        }
        if version.has_consensus_protocol() {
            map.serialize_entry("consensus_protocol", &fields.consensus_protocol)?;
        }
        if version.has_gas_limit_and_compounding() {
            map.serialize_entry("target_gas_limit", &fields.target_gas_limit)?;
            map.serialize_entry("compounding", &fields.compounding)?;
        }
        map.serialize_entry("config_hash", &self.config_hash())?;
        map.serialize_entry("definition_hash", &self.definition_hash())?;
        map.end()
    }
}

/// The one field that says how to read the others.
#[derive(Deserialize)]
pub(crate) struct VersionProbe {
    #[serde(default)]
    version: String,
}

impl VersionProbe {
    pub(crate) fn version(self) -> Result<Version, DefinitionError> {
        self.version.parse().map_err(|_| DefinitionError::UnsupportedVersion {
            version: self.version.chars().take(VERSION_MAX).collect(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct OperatorFile {
    #[serde(default)]
    address: AddressText,
    #[serde(default)]
    enr: Text<{ crate::enr::ENR_LEN_MAX }>,
    #[serde(default)]
    config_signature: WalletSignature,
    #[serde(default)]
    enr_signature: WalletSignature,
}

impl From<&Operator> for OperatorFile {
    fn from(operator: &Operator) -> Self {
        Self {
            address: operator.address.clone(),
            enr: operator.enr.as_ref().map(|enr| enr.text().clone()).unwrap_or_default(),
            config_signature: operator.config_signature.clone(),
            enr_signature: operator.enr_signature.clone(),
        }
    }
}

#[derive(Deserialize)]
struct AmountFile(#[serde(with = "quoted")] u64);

/// A definition as it stands in a file of any version; fields of later versions are ignored.
#[derive(Deserialize)]
pub(crate) struct DefinitionFile {
    #[serde(default)]
    name: Text<NAME_MAX>,
    #[serde(default, deserialize_with = "null_as_default")]
    creator: Creator,
    #[serde(default, deserialize_with = "null_as_default")]
    operators: Vec<OperatorFile>,
    #[serde(default)]
    uuid: Text<UUID_MAX>,
    #[serde(default)]
    timestamp: Text<TIMESTAMP_MAX>,
    #[serde(default)]
    num_validators: u64,
    #[serde(default)]
    threshold: u64,
    #[serde(default, deserialize_with = "null_as_default")]
    validators: Vec<ValidatorAddresses>,
    #[serde(default)]
    dkg_algorithm: Text<ALGORITHM_MAX>,
    fork_version: ForkVersion,
    #[serde(default)]
    deposit_amounts: Option<Vec<AmountFile>>,
    #[serde(default)]
    consensus_protocol: Text<PROTOCOL_MAX>,
    #[serde(default)]
    target_gas_limit: u64,
    #[serde(default)]
    compounding: bool,
    #[serde(default)]
    config_hash: Hex<32>,
    #[serde(default)]
    definition_hash: Hex<32>,
}

impl DefinitionFile {
    pub(crate) fn into_definition(self, version: Version) -> Result<Definition, DefinitionError> {
        if self.num_validators != self.validators.len() as u64 {
            let (stated, have) = (self.num_validators, self.validators.len());
            return Err(DefinitionError::ValidatorCount { stated, have });
        }
        check_len("validators", self.validators.len(), VALIDATORS_LIMIT)?;
        check_len("operators", self.operators.len(), OPERATORS_LIMIT)?;
        let creator_signature = &self.creator.config_signature;
        check_signature(version, || "the creator's signature".to_owned(), creator_signature)?;
        let fields = Fields {
            name: self.name,
            creator: self.creator,
            operators: operators(version, self.operators)?,
            uuid: self.uuid,
            version,
            timestamp: self.timestamp,
            threshold: self.threshold,
            validators: self.validators,
            dkg_algorithm: self.dkg_algorithm,
            fork_version: self.fork_version,
            deposit_amounts: self
                .deposit_amounts
                .filter(|_| version.has_deposit_amounts())
                .map(|amounts| amounts.into_iter().map(|amount| Gwei(amount.0)).collect()),
            consensus_protocol: if version.has_consensus_protocol() {
                self.consensus_protocol
            } else {
                Text::default()
            },
            target_gas_limit: if version.has_gas_limit_and_compounding() { self.target_gas_limit } else { 0 },
            compounding: version.has_gas_limit_and_compounding() && self.compounding,
        };
        let amounts = fields.deposit_amounts.as_deref().unwrap_or_default();
        check_len("deposit amounts", amounts.len(), AMOUNTS_LIMIT)?;
        check_amounts(amounts, fields.compounding)?;
        let stated = StatedHashes { config: self.config_hash, definition: self.definition_hash };
        Ok(Definition { fields, stated })
    }
}

fn operators(version: Version, files: Vec<OperatorFile>) -> Result<Vec<Operator>, DefinitionError> {
    let operator = |(position, file): (usize, OperatorFile)| {
        let enr = match file.enr.as_str() {
            "" => None,
            text => Some(
                Enr::parse(text).map_err(|error| DefinitionError::Enr { operator: position + 1, error })?,
            ),
        };
        let operator = Operator {
            address: file.address,
            enr,
            config_signature: file.config_signature,
            enr_signature: file.enr_signature,
        };
        check_operator(version, position, &operator)?;
        Ok(operator)
    };
    files.into_iter().enumerate().map(operator).collect()
}
