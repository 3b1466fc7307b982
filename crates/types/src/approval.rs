//! What operators approve beside duties, and what a node keeps of approvals.
//!
//! A [`RegistrationStatement`] says whom blocks of some validators shall pay from now on. It has a hash, by which it is
//! named; each operator that approves it signs, with its share of each validator, the [`ValidatorRegistrationV1`] that
//! follows from it. Operators tell each other statements, and registrations that are complete, as a [`Notice`].
//! [`Kept`] is what goes to the disk, so that an approval need not be given twice.

use crate::builder::{SignedValidatorRegistrationV1, ValidatorRegistrationV1};
use crate::operators::{Generation, ShareIndex};
use crate::units::{Epoch, Millis, ValidatorNo};
use crate::wire::Value;
use crate::{Address, ChainSpec, DomainType, PublicKey, Root, Signature, SigningRoot};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ssz::{Decode as _, Encode as _};
use ssz_derive::{Decode, Encode};
use thiserror::Error;

/// No gas limit below is approved: blocks of mainnet have been larger since 2021, and builders make none as small.
pub const GAS_LIMIT_MIN: u64 = 15_000_000;

/// No gas limit above is approved: some fifteen times what blocks have in 2026. A digit too many is a mistake.
pub const GAS_LIMIT_MAX: u64 = 1_000_000_000;

/// Validators in one statement: as many as one cluster is built for.
pub const STATEMENT_VALIDATORS_MAX: usize = 10_000;

/// No notice is longer: a registration with its signature takes 180 bytes, for as many validators.
pub const NOTICE_LEN_MAX: usize = 2 << 20;

/// Whom blocks of some validators shall pay. One operator states it, `t` approve it, nobody takes it back.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct RegistrationStatement {
    /// Whose, in order, each once.
    pub validators: Vec<ValidatorNo>,
    /// Whom their blocks shall pay.
    pub fee_recipient: Address,
    /// Gas limit wished for.
    #[serde(with = "serde_utils::quoted_u64")]
    pub gas_limit: u64,
    /// Unix time in seconds when it was stated; of two for one validator the later counts.
    #[serde(rename = "timestamp", with = "serde_utils::quoted_u64")]
    pub timestamp_s: u64,
}

/// Why a statement is none that anybody approves.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum StatementError {
    /// None, too many, not in order, or one twice.
    #[error(
        "a statement lists 1 to {STATEMENT_VALIDATORS_MAX} validators in order, each once; this one lists {have}"
    )]
    Validators {
        /// How many it lists.
        have: usize,
    },
    /// A validator that is not the cluster's.
    #[error("validator {validator} is none of the cluster's {validators}")]
    Stranger {
        /// Which.
        validator: ValidatorNo,
        /// How many the cluster has.
        validators: usize,
    },
    /// Fees paid to nobody are lost.
    #[error("the fee recipient is zero: what blocks earn would be lost")]
    ZeroRecipient,
    /// Outside what makes sense.
    #[error("gas limit {gas_limit} is not between {GAS_LIMIT_MIN} and {GAS_LIMIT_MAX}")]
    GasLimit {
        /// What it says.
        gas_limit: u64,
    },
}

impl RegistrationStatement {
    /// Whether anybody may approve it, whatever the time and the registrations so far.
    ///
    /// - `validators`: how many the cluster has.
    /// - Errors: all of [`StatementError`].
    pub fn check(&self, validators: usize) -> Result<(), StatementError> {
        let have = self.validators.len();
        let listed = self.validators.is_sorted_by(|a, b| a < b);
        if have == 0 || have > STATEMENT_VALIDATORS_MAX || !listed {
            return Err(StatementError::Validators { have });
        }
        if let Some(&validator) = self.validators.iter().find(|one| one.0 as usize >= validators) {
            return Err(StatementError::Stranger { validator, validators });
        }
        if self.fee_recipient == Address::ZERO {
            return Err(StatementError::ZeroRecipient);
        }
        if !(GAS_LIMIT_MIN..=GAS_LIMIT_MAX).contains(&self.gas_limit) {
            return Err(StatementError::GasLimit { gas_limit: self.gas_limit });
        }
        Ok(())
    }

    /// By what operators name it: the hash of its [`Notice`].
    pub fn hash(&self) -> Root {
        Notice::Statement(self.clone()).hash()
    }

    /// When it was stated.
    pub const fn stated(&self) -> Millis {
        Millis(self.timestamp_s.saturating_mul(1000))
    }

    /// The registration of one of its validators.
    pub const fn registration(&self, pubkey: PublicKey) -> ValidatorRegistrationV1 {
        ValidatorRegistrationV1 {
            fee_recipient: self.fee_recipient,
            gas_limit: self.gas_limit,
            timestamp: self.timestamp_s,
            pubkey,
        }
    }
}

/// What is signed of a registration: under the network's genesis fork, whatever fork is in force.
pub fn registration_root(spec: &ChainSpec, registration: &ValidatorRegistrationV1) -> SigningRoot {
    SigningRoot::of(spec, DomainType::ApplicationBuilder, Epoch(0), Root::of(registration))
}

/// What operators tell each other of registrations, as a value that hashes to its name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[ssz(enum_behaviour = "union")]
pub enum Notice {
    /// What is to be approved.
    Statement(RegistrationStatement),
    /// What has been: each proves itself by its validator's signature.
    Complete(Vec<SignedValidatorRegistrationV1>),
}

impl Notice {
    /// SSZ.
    pub fn to_value(&self) -> Value {
        self.as_ssz_bytes().into()
    }

    /// Reads what [`Notice::to_value`] wrote, if it is at most [`NOTICE_LEN_MAX`] bytes and hashes to its name.
    pub fn from_value(hash: &Root, value: &Value) -> Option<Self> {
        if value.0.len() > NOTICE_LEN_MAX {
            return None;
        }
        (hash_of(&value.0) == *hash).then(|| Self::from_ssz_bytes(&value.0).ok()).flatten()
    }

    /// Its name.
    pub fn hash(&self) -> Root {
        hash_of(&self.as_ssz_bytes())
    }
}

/// SHA-256 of a label and the bytes: no other value of the wire has such a hash.
fn hash_of(bytes: &[u8]) -> Root {
    let mut hasher = Sha256::new();
    hasher.update(b"symbolon registration 1");
    hasher.update(bytes);
    Root(hasher.finalize().into())
}

/// The registration that counts for a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The newest that the group has signed.
    pub newest: SignedValidatorRegistrationV1,
    /// When this node learned it; 0 if the ceremony signed it.
    #[serde(rename = "learned_ms", with = "quoted_millis")]
    pub learned: Millis,
    /// The fee recipient before it, if it was another one.
    pub previous: Option<Address>,
}

/// Milliseconds as the JSON of the beacon API has numbers.
mod quoted_millis {
    use crate::Millis;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Millis, to: S) -> Result<S::Ok, S::Error> {
        serde_utils::quoted_u64::serialize(&value.0, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Millis, D::Error> {
        serde_utils::quoted_u64::deserialize(from).map(Millis)
    }
}

/// An operator's approval of an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeptExit {
    /// Who leaves.
    pub validator: ValidatorNo,
    /// Not before this epoch.
    pub epoch: Epoch,
    /// By the operator's share. Not verified yet.
    pub partial: Signature,
}

/// A validator's part of an operator's approval of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeptPartial {
    /// Whose.
    pub validator: ValidatorNo,
    /// By the operator's share. Not verified yet.
    pub partial: Signature,
}

/// A statement that an operator approves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeptStatement {
    /// What is approved.
    pub statement: RegistrationStatement,
    /// For which of its validators.
    pub partials: Vec<KeptPartial>,
}

/// All approvals of one kind of one operator.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeptOf<T: ssz::Encode + ssz::Decode> {
    /// Which sharing of the keys the partials are of.
    pub generation: Generation,
    /// Whose.
    pub operator: ShareIndex,
    /// What it approves.
    pub approvals: Vec<T>,
}

/// An exit that a beacon node has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TakenExit {
    /// Who leaves.
    pub validator: ValidatorNo,
    /// Not before this epoch.
    pub epoch: Epoch,
}

/// What a node keeps on its disk: each takes the place of the one before it of the same sort and operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The exits that an operator approves.
    Exits(KeptOf<KeptExit>),
    /// The statements that an operator approves.
    Statements(KeptOf<KeptStatement>),
    /// All exits that a beacon node has taken: they are not handed in again.
    Taken(Vec<TakenExit>),
    /// Registrations that count: these validators', each in the place of the one before it.
    Registered(Vec<Standing>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> RegistrationStatement {
        RegistrationStatement {
            validators: vec![ValidatorNo(0), ValidatorNo(2)],
            fee_recipient: Address([0xfe; 20]),
            gas_limit: 60_000_000,
            timestamp_s: 1_800_000_000,
        }
    }

    #[test]
    fn a_statement_is_named_by_all_that_it_says() {
        let said = statement();
        let others = [
            RegistrationStatement { validators: vec![ValidatorNo(0)], ..said.clone() },
            RegistrationStatement { fee_recipient: Address([1; 20]), ..said.clone() },
            RegistrationStatement { gas_limit: 60_000_001, ..said.clone() },
            RegistrationStatement { timestamp_s: 1_800_000_001, ..said.clone() },
        ];
        assert!(others.iter().all(|other| other.hash() != said.hash()));
        let notice = Notice::Statement(said.clone());
        assert_eq!(Notice::from_value(&said.hash(), &notice.to_value()), Some(notice.clone()));
        assert_eq!(Notice::from_value(&others[0].hash(), &notice.to_value()), None);
        let complete = Notice::Complete(vec![SignedValidatorRegistrationV1::default()]);
        assert_eq!(Notice::from_value(&complete.hash(), &complete.to_value()), Some(complete));
        let all = |count| Notice::Complete(vec![SignedValidatorRegistrationV1::default(); count]);
        let fits = all(STATEMENT_VALIDATORS_MAX);
        assert_eq!(Notice::from_value(&fits.hash(), &fits.to_value()), Some(fits));
        let long = all(STATEMENT_VALIDATORS_MAX * 2);
        assert_eq!(Notice::from_value(&long.hash(), &long.to_value()), None);
    }

    #[test]
    fn what_makes_no_sense_is_not_approved() {
        let said = statement();
        assert_eq!(said.check(3), Ok(()));
        let stranger = StatementError::Stranger { validator: ValidatorNo(2), validators: 2 };
        assert_eq!(said.check(2), Err(stranger));
        for validators in [vec![], vec![ValidatorNo(1), ValidatorNo(1)], vec![ValidatorNo(1), ValidatorNo(0)]]
        {
            let have = validators.len();
            let wrong = RegistrationStatement { validators, ..said.clone() };
            assert_eq!(wrong.check(3), Err(StatementError::Validators { have }));
        }
        let zero = RegistrationStatement { fee_recipient: Address::ZERO, ..said.clone() };
        assert_eq!(zero.check(3), Err(StatementError::ZeroRecipient));
        for gas_limit in [0, GAS_LIMIT_MIN - 1, GAS_LIMIT_MAX + 1] {
            let wrong = RegistrationStatement { gas_limit, ..said.clone() };
            assert_eq!(wrong.check(3), Err(StatementError::GasLimit { gas_limit }));
        }
    }

    #[test]
    fn a_statement_reads_in_json_as_it_was_written() {
        let text = serde_json::to_string(&statement()).unwrap();
        assert!(
            text.contains(r#""validators":[0,2]"#) && text.contains(r#""gas_limit":"60000000""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<RegistrationStatement>(&text).unwrap(), statement());
    }
}
