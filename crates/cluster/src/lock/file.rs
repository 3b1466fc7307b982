//! The lock's JSON: fields in the order of files, those that a version does not have left out.

use super::*;
use crate::{
    definition::{DefinitionFile, OPERATORS_LIMIT, VersionProbe, check_len},
    text::{AddressText, null_as_default, quoted},
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

/// The part of a lock that says how to read the rest.
#[derive(Deserialize)]
pub(super) struct LockProbe {
    pub(super) cluster_definition: VersionProbe,
}

/// A lock as it stands in a file of any version; fields of other versions are ignored.
#[derive(Deserialize)]
pub(super) struct LockFile {
    cluster_definition: DefinitionFile,
    #[serde(default, deserialize_with = "null_as_default")]
    distributed_validators: Vec<ValidatorFile>,
    #[serde(default)]
    signature_aggregate: Hex<96>,
    #[serde(default)]
    lock_hash: Hex<32>,
    #[serde(default, deserialize_with = "null_as_default")]
    node_signatures: Vec<Hex<SIGNATURE_LEN>>,
}

#[derive(Deserialize)]
struct ValidatorFile {
    #[serde(default)]
    distributed_public_key: Hex<48>,
    #[serde(default, deserialize_with = "null_as_default")]
    public_shares: Vec<Hex<48>>,
    #[serde(default)]
    fee_recipient_address: AddressText,
    #[serde(default, deserialize_with = "null_as_default")]
    deposit_data: DepositFile,
    #[serde(default, deserialize_with = "null_as_default")]
    builder_registration: RegistrationFile,
    #[serde(default, deserialize_with = "null_as_default")]
    partial_deposit_data: Vec<DepositFile>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct DepositFile {
    pubkey: Hex<48>,
    withdrawal_credentials: Hex<32>,
    #[serde(with = "quoted")]
    amount: u64,
    signature: Hex<96>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct RegistrationFile {
    message: MessageFile,
    signature: Hex<96>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct MessageFile {
    fee_recipient: Hex<20>,
    gas_limit: u64,
    timestamp: i64,
    pubkey: Hex<48>,
}

impl LockFile {
    pub(super) fn into_lock(self, version: Version) -> Result<Lock, LockError> {
        check_len("distributed validators", self.distributed_validators.len(), VALIDATORS_LIMIT)?;
        check_len("node signatures", self.node_signatures.len(), OPERATORS_LIMIT)?;
        let definition = self.cluster_definition.into_definition(version)?;
        let validators = self
            .distributed_validators
            .into_iter()
            .enumerate()
            .map(|(number, file)| file.into_validator(number, version));
        Ok(Lock {
            definition,
            validators: validators.collect::<Result<_, _>>()?,
            signature_aggregate: self.signature_aggregate,
            stated_hash: self.lock_hash,
            node_signatures: if version.has_registrations() { self.node_signatures } else { Vec::new() },
        })
    }
}

impl ValidatorFile {
    fn into_validator(self, validator: usize, version: Version) -> Result<Validator, LockError> {
        check_len("public shares of one validator", self.public_shares.len(), SHARES_LIMIT)?;
        check_len("deposits of one validator", self.partial_deposit_data.len(), DEPOSITS_LIMIT)?;
        if !version.has_registrations() && !self.fee_recipient_address.as_str().is_empty() {
            return Err(LockError::FeeRecipient { validator, version });
        }
        let deposits = if version.has_single_deposit() {
            vec![self.deposit_data.into()]
        } else if version.has_deposit_amounts() {
            self.partial_deposit_data.into_iter().map(Deposit::from).collect()
        } else {
            Vec::new()
        };
        let registration = if version.has_registrations() {
            self.builder_registration.into()
        } else {
            LockRegistration::default()
        };
        Ok(Validator {
            public_key: self.distributed_public_key,
            public_shares: self.public_shares,
            deposits,
            registration,
        })
    }
}

impl From<DepositFile> for Deposit {
    fn from(file: DepositFile) -> Self {
        Self {
            public_key: file.pubkey,
            withdrawal_credentials: file.withdrawal_credentials,
            amount: file.amount,
            signature: file.signature,
        }
    }
}

impl From<&Deposit> for DepositFile {
    fn from(deposit: &Deposit) -> Self {
        Self {
            pubkey: deposit.public_key.clone(),
            withdrawal_credentials: deposit.withdrawal_credentials.clone(),
            amount: deposit.amount,
            signature: deposit.signature.clone(),
        }
    }
}

impl From<RegistrationFile> for LockRegistration {
    fn from(file: RegistrationFile) -> Self {
        Self {
            fee_recipient: file.message.fee_recipient,
            gas_limit: file.message.gas_limit,
            timestamp_s: file.message.timestamp,
            public_key: file.message.pubkey,
            signature: file.signature,
        }
    }
}

impl From<&LockRegistration> for RegistrationFile {
    fn from(registration: &LockRegistration) -> Self {
        Self {
            message: MessageFile {
                fee_recipient: registration.fee_recipient.clone(),
                gas_limit: registration.gas_limit,
                timestamp: registration.timestamp_s,
                pubkey: registration.public_key.clone(),
            },
            signature: registration.signature.clone(),
        }
    }
}

/// A validator of a known version, to be written.
struct Versioned<'a>(Version, &'a Validator);

impl Serialize for Versioned<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(version, validator) = self;
        let deposits: Vec<DepositFile> = validator.deposits.iter().map(DepositFile::from).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("distributed_public_key", &validator.public_key)?;
        if !validator.public_shares.is_empty() {
            map.serialize_entry("public_shares", &validator.public_shares)?;
        }
        if let (true, Some(deposit)) = (version.has_single_deposit(), deposits.first()) {
            map.serialize_entry("deposit_data", deposit)?;
        }
        if version.has_registrations() {
            map.serialize_entry("builder_registration", &RegistrationFile::from(&validator.registration))?;
        }
        if version.has_deposit_amounts() && !deposits.is_empty() {
            map.serialize_entry("partial_deposit_data", &deposits)?;
        }
        map.end()
    }
}

impl Serialize for Lock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let version = self.definition.version();
        let validators: Vec<Versioned<'_>> =
            self.validators.iter().map(|validator| Versioned(version, validator)).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("cluster_definition", &self.definition)?;
        map.serialize_entry("distributed_validators", &validators)?;
        map.serialize_entry("signature_aggregate", &self.signature_aggregate)?;
        map.serialize_entry("lock_hash", &self.lock_hash())?;
        if version.has_registrations() {
            map.serialize_entry("node_signatures", &self.node_signatures)?;
        }
        map.end()
    }
}
