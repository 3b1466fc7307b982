//! The cluster lock: what a ceremony made of a definition.
//!
//! Reading keeps whatever lengths hashing can take, so that a bad lock can be shown with all that is wrong with it;
//! verification is [`crate::check`]'s. [`Lock::cluster`] gives typed content to those who run on it.

use crate::{
    Definition, DefinitionError, JsonError, Network, NodeKey, SignedDeposit, SignedRegistration, Version,
    definition::VALIDATORS_LIMIT, deposit::DepositMessage, hash, json, k1::SIGNATURE_LEN, text::Hex,
};
use thiserror::Error;
use types::{
    Address, ClusterId, ClusterSize, ForkVersion, Gwei, PublicKey, Root, Signature, SigningRoot,
    operators::SizeError,
};

mod file;

/// Largest file: 10000 validators of 22 operators with four deposits each are some 55 MB.
pub const LOCK_BYTES_MAX: usize = 64 << 20;
/// Public shares of one validator that its hash allows.
pub const SHARES_LIMIT: usize = 256;
/// Deposits of one validator that its hash allows.
pub const DEPOSITS_LIMIT: usize = 256;

/// Why a file is no cluster lock.
#[derive(Debug, Error)]
pub enum LockError {
    /// Not JSON of this shape, or too large.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Its definition is none, or a list is too long.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// v1.5 and v1.6 have a field for a fee recipient that was never used.
    #[error("validator {validator} has a fee recipient of its own, which {version} does not allow")]
    FeeRecipient {
        /// The validator, from 0.
        validator: usize,
        /// The lock's version.
        version: Version,
    },
}

impl LockError {
    /// The rule that is broken, named as [`crate::Check`]s are.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Json(_) => "json",
            Self::Definition(error) => error.rule(),
            Self::FeeRecipient { .. } => "validator_fee_recipient",
        }
    }
}

/// Why a ceremony's result makes no lock.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BuildError {
    /// Versions before v1.8 are read only.
    #[error("locks of {0} are read only")]
    OldVersion(Version),
    /// Not as many keys as the definition asks for.
    #[error("{have} validators where the definition has {want}")]
    Validators {
        /// Validators given.
        have: usize,
        /// Validators defined.
        want: usize,
    },
    /// Not one public share an operator.
    #[error("validator {validator} has {have} public shares for {want} operators")]
    Shares {
        /// The validator, from 0.
        validator: usize,
        /// Shares given.
        have: usize,
        /// Operators defined.
        want: usize,
    },
    /// More deposits than the format has room for.
    #[error("validator {validator} has {have} deposits, at most {DEPOSITS_LIMIT} are allowed")]
    Deposits {
        /// The validator, from 0.
        validator: usize,
        /// Deposits given.
        have: usize,
    },
    /// A timestamp beyond what the format can write.
    #[error(
        "the registration of validator {validator} is of second {timestamp_s}, beyond the format's range"
    )]
    Timestamp {
        /// The validator, from 0.
        validator: usize,
        /// The timestamp.
        timestamp_s: u64,
    },
}

/// One validator as a ceremony made it.
#[derive(Clone, Debug)]
pub struct NewValidator {
    /// The group key.
    pub public_key: PublicKey,
    /// Public shares, operator 1 first.
    pub public_shares: Vec<PublicKey>,
    /// Deposits, one per distinct amount; written by ascending amount.
    pub deposits: Vec<SignedDeposit>,
    /// The builder registration.
    pub registration: SignedRegistration,
}

/// A deposit as it stands in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deposit {
    pub(crate) public_key: Hex<48>,
    pub(crate) withdrawal_credentials: Hex<32>,
    pub(crate) amount: u64,
    pub(crate) signature: Hex<96>,
}

/// A builder registration as it stands in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LockRegistration {
    pub(crate) fee_recipient: Hex<20>,
    pub(crate) gas_limit: u64,
    /// Signed, because files without a registration have the year 1 here.
    pub(crate) timestamp_s: i64,
    pub(crate) public_key: Hex<48>,
    pub(crate) signature: Hex<96>,
}

/// A distributed validator as it stands in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validator {
    pub(crate) public_key: Hex<48>,
    pub(crate) public_shares: Vec<Hex<48>>,
    /// Exactly one in v1.6 and v1.7, none in v1.5.
    pub(crate) deposits: Vec<Deposit>,
    pub(crate) registration: LockRegistration,
}

/// A cluster lock. Lists are within the bounds of hashing: made by [`Lock::parse`] and [`Lock::unsigned`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    pub(crate) definition: Definition,
    pub(crate) validators: Vec<Validator>,
    pub(crate) signature_aggregate: Hex<96>,
    pub(crate) stated_hash: Hex<32>,
    pub(crate) node_signatures: Vec<Hex<SIGNATURE_LEN>>,
}

impl Lock {
    /// Reads a lock of v1.5 to v1.11.
    ///
    /// - `bytes`: JSON, at most [`LOCK_BYTES_MAX`].
    /// - Nothing is verified but ENRs: see [`Lock::check`].
    /// - Errors: [`LockError`] names the broken rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, LockError> {
        let probe: file::LockProbe = json::read(bytes, LOCK_BYTES_MAX)?;
        let version = probe.cluster_definition.version()?;
        let file: file::LockFile = json::read(bytes, LOCK_BYTES_MAX)?;
        file.into_lock(version)
    }

    /// A lock that nobody has signed yet.
    ///
    /// - `validators`: as many as the definition has, in its order.
    /// - Signatures of deposits and registrations are taken as they are: [`Lock::check`] verifies them.
    pub fn unsigned(definition: Definition, validators: Vec<NewValidator>) -> Result<Self, BuildError> {
        let version = definition.version();
        if !version.has_deposit_amounts() {
            return Err(BuildError::OldVersion(version));
        }
        let (have, want) = (validators.len(), definition.validators().len());
        if have != want {
            return Err(BuildError::Validators { have, want });
        }
        let operators = definition.operators().len();
        let validators =
            validators.into_iter().enumerate().map(|(number, new)| new.into_validator(number, operators));
        let validators = validators.collect::<Result<_, _>>()?;
        let mut lock = Self {
            definition,
            validators,
            signature_aggregate: Hex::default(),
            stated_hash: Hex::default(),
            node_signatures: Vec::new(),
        };
        lock.stated_hash = lock.lock_hash().0.into();
        Ok(lock)
    }

    /// Adds the signatures over the lock hash, which they do not change.
    ///
    /// - `aggregate`: the sum of the signatures by every share of every validator over [`Lock::signing_root`].
    /// - `nodes`: `r || s || v` with `v` 0 or 1, by every node over the lock hash itself, operator 1 first.
    pub fn with_signatures(mut self, aggregate: Signature, nodes: &[[u8; SIGNATURE_LEN]]) -> Self {
        self.signature_aggregate = aggregate.0.into();
        self.node_signatures = nodes.iter().map(|signature| (*signature).into()).collect();
        self
    }

    /// The file: hashes recomputed, byte for byte as the format's reference writes it.
    pub fn to_json(&self) -> String {
        json::write(self)
    }

    /// The root of definition and validators, without the signatures over it.
    pub fn lock_hash(&self) -> Root {
        let version = self.definition.version();
        let validators: Vec<Root> = self.validators.iter().map(|validator| validator.root(version)).collect();
        hash::pair(self.definition.definition_hash(), hash::list(&validators, VALIDATORS_LIMIT))
    }

    /// What every share signs when the ceremony ends: the lock hash, raw.
    pub fn signing_root(&self) -> SigningRoot {
        SigningRoot::lock_hash(self.lock_hash())
    }

    /// What the cluster agreed to.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// How many distributed validators it lists.
    pub fn validators_len(&self) -> usize {
        self.validators.len()
    }

    /// The validators' group keys in order, those that are 48 bytes.
    pub fn group_keys(&self) -> impl Iterator<Item = PublicKey> {
        self.validators.iter().filter_map(|validator| validator.public_key.exactly().map(PublicKey))
    }

    /// All deposits in the form of deposit files: validators' order, ascending amounts.
    ///
    /// - `None` if a field has not its full length, as in locks without deposits.
    pub fn deposits(&self) -> Option<Vec<SignedDeposit>> {
        self.validators.iter().flat_map(|validator| &validator.deposits).map(Deposit::signed).collect()
    }

    /// The deposit files of this cluster.
    ///
    /// - `None` if a deposit is incomplete.
    pub fn deposit_files(&self, network: &Network) -> Option<Vec<crate::deposit::DepositFile>> {
        Some(crate::deposit::files(&self.deposits()?, network))
    }

    /// The content that a node runs on. Call it on a lock whose checks hold.
    ///
    /// - Errors: [`ClusterError`] names what is missing or malformed; a lock whose checks hold has none.
    pub fn cluster(&self) -> Result<Cluster, ClusterError> {
        let definition = &self.definition;
        let size = definition.size()?;
        let node = |(key, operator): (Option<NodeKey>, usize)| key.ok_or(ClusterError::NoNode { operator });
        let nodes = definition.node_keys().zip(1..).map(node).collect::<Result<_, _>>()?;
        let have = self.validators.len();
        if have != definition.validators().len() {
            return Err(ClusterError::Validators { have, want: definition.validators().len() });
        }
        let validator =
            |validator: usize| self.cluster_validator(validator).ok_or(ClusterError::Malformed { validator });
        Ok(Cluster {
            id: self.lock_hash(),
            name: definition.name().to_owned(),
            size,
            fork_version: definition.fork_version(),
            nodes,
            validators: (0..have).map(validator).collect::<Result<_, _>>()?,
        })
    }

    fn cluster_validator(&self, number: usize) -> Option<ClusterValidator> {
        let validator = self.validators.get(number)?;
        let addresses = self.definition.validators().get(number)?;
        let shares = validator.public_shares.iter().map(|share| share.exactly().map(PublicKey));
        Some(ClusterValidator {
            public_key: PublicKey(validator.public_key.exactly()?),
            public_shares: shares.collect::<Option<Vec<_>>>()?,
            fee_recipient: addresses.fee_recipient.address()?,
            withdrawal_address: addresses.withdrawal.address()?,
            gas_limit: self.definition.gas_limit(),
            registration: validator.registration.signed(),
        })
        .filter(|validator| validator.public_shares.len() == self.definition.operators().len())
    }
}

/// Why a lock gives no cluster to run.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ClusterError {
    /// Operators and threshold make no cluster.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// An operator has no node.
    #[error("operator {operator} has no ENR")]
    NoNode {
        /// The operator, from 1.
        operator: usize,
    },
    /// Not as many validators as the definition has.
    #[error("{have} validators where the definition has {want}")]
    Validators {
        /// Validators listed.
        have: usize,
        /// Validators defined.
        want: usize,
    },
    /// A key, share or address has not its length, or there is not one share an operator.
    #[error("validator {validator} has malformed keys or addresses")]
    Malformed {
        /// The validator, from 0.
        validator: usize,
    },
}

/// What a node needs to know of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's name for ever, if this is its first generation.
    pub id: ClusterId,
    /// The name its creator gave it.
    pub name: String,
    /// Operators and threshold.
    pub size: ClusterSize,
    /// The network, by its genesis fork version.
    pub fork_version: ForkVersion,
    /// The operators' nodes, share index 1 first.
    pub nodes: Vec<NodeKey>,
    /// The validators, in the lock's order.
    pub validators: Vec<ClusterValidator>,
}

/// What a node needs to know of one distributed validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterValidator {
    /// The group key.
    pub public_key: PublicKey,
    /// Public shares, share index 1 first; one an operator.
    pub public_shares: Vec<PublicKey>,
    /// Takes priority fees.
    pub fee_recipient: Address,
    /// Takes withdrawals.
    pub withdrawal_address: Address,
    /// The gas limit of registrations.
    pub gas_limit: u64,
    /// The registration that the ceremony signed, if it is complete.
    pub registration: Option<SignedRegistration>,
}

impl NewValidator {
    fn into_validator(mut self, validator: usize, want: usize) -> Result<Validator, BuildError> {
        let have = self.public_shares.len();
        if have != want {
            return Err(BuildError::Shares { validator, have, want });
        }
        let have = self.deposits.len();
        if have > DEPOSITS_LIMIT {
            return Err(BuildError::Deposits { validator, have });
        }
        self.deposits.sort_by_key(|deposit| deposit.message.amount);
        let SignedRegistration { message, signature } = self.registration;
        let timestamp_s = i64::try_from(message.timestamp_s)
            .map_err(|_| BuildError::Timestamp { validator, timestamp_s: message.timestamp_s })?;
        Ok(Validator {
            public_key: self.public_key.0.into(),
            public_shares: self.public_shares.iter().map(|share| share.0.into()).collect(),
            deposits: self.deposits.iter().map(Deposit::from).collect(),
            registration: LockRegistration {
                fee_recipient: message.fee_recipient.0.into(),
                gas_limit: message.gas_limit,
                timestamp_s,
                public_key: message.public_key.0.into(),
                signature: signature.0.into(),
            },
        })
    }
}

impl From<&SignedDeposit> for Deposit {
    fn from(deposit: &SignedDeposit) -> Self {
        Self {
            public_key: deposit.message.public_key.0.into(),
            withdrawal_credentials: deposit.message.withdrawal_credentials.0.into(),
            amount: deposit.message.amount.0,
            signature: deposit.signature.0.into(),
        }
    }
}

impl Deposit {
    /// The typed deposit, if every field has its length.
    pub(crate) fn signed(&self) -> Option<SignedDeposit> {
        let message = DepositMessage {
            public_key: PublicKey(self.public_key.exactly()?),
            withdrawal_credentials: Root(self.withdrawal_credentials.exactly()?),
            amount: Gwei(self.amount),
        };
        Some(SignedDeposit { message, signature: Signature(self.signature.exactly()?) })
    }

    fn roots(&self) -> [Root; 4] {
        [
            hash::fixed_bytes(self.public_key.as_bytes(), PublicKey::LEN),
            hash::fixed_bytes(self.withdrawal_credentials.as_bytes(), Root::LEN),
            hash::uint64(self.amount),
            hash::fixed_bytes(self.signature.as_bytes(), Signature::LEN),
        ]
    }
}

impl LockRegistration {
    /// The typed registration, if every field has its length and it is not of before 1970.
    pub(crate) fn signed(&self) -> Option<SignedRegistration> {
        let message = crate::Registration {
            fee_recipient: Address(self.fee_recipient.exactly()?),
            gas_limit: self.gas_limit,
            timestamp_s: u64::try_from(self.timestamp_s).ok()?,
            public_key: PublicKey(self.public_key.exactly()?),
        };
        Some(SignedRegistration { message, signature: Signature(self.signature.exactly()?) })
    }

    fn root(&self) -> Root {
        let mut message = vec![
            hash::uint64(self.gas_limit),
            hash::uint64(self.timestamp_s.cast_unsigned()),
            hash::fixed_bytes(self.public_key.as_bytes(), PublicKey::LEN),
        ];
        // The format's reference drops the leaf of an absent fee recipient.
        if !self.fee_recipient.is_empty() {
            message.insert(0, hash::fixed_bytes(self.fee_recipient.as_bytes(), Address::LEN));
        }
        let signature = hash::fixed_bytes(self.signature.as_bytes(), Signature::LEN);
        hash::container(&[hash::container(&message), signature])
    }
}

impl Validator {
    fn root(&self, version: Version) -> Root {
        let shares: Vec<Root> = self
            .public_shares
            .iter()
            .map(|share| hash::fixed_bytes(share.as_bytes(), PublicKey::LEN))
            .collect();
        let mut roots = vec![
            hash::fixed_bytes(self.public_key.as_bytes(), PublicKey::LEN),
            hash::list(&shares, SHARES_LIMIT),
        ];
        let deposits: Vec<[Root; 4]> = self.deposits.iter().map(Deposit::roots).collect();
        match version {
            Version::V1_5 => {}
            // The deposit's leaves became the validator's own, and so it stays.
            Version::V1_6 => roots.extend(deposits.concat()),
            Version::V1_7 => roots.extend(deposits.iter().map(|leaves| hash::container(leaves))),
            Version::V1_8 | Version::V1_9 | Version::V1_10 | Version::V1_11 => {
                let each: Vec<Root> = deposits.iter().map(|leaves| hash::container(leaves)).collect();
                roots.push(hash::list(&each, DEPOSITS_LIMIT));
            }
        }
        if version.has_registrations() {
            roots.push(self.registration.root());
        }
        hash::container(&roots)
    }
}
