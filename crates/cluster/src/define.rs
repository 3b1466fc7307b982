//! Making a definition, and judging whether a ceremony may run on one.

use crate::{
    Definition, Enr, Network, Networks, Version,
    check::Check,
    definition::{
        AMOUNTS_LIMIT, Creator, DefinitionError, Fields, Operator, VALIDATORS_LIMIT, ValidatorAddresses,
        check_len,
    },
    deposit::{self, AmountError},
    text::{AddressText, Text, TextError},
};
use std::collections::BTreeMap;
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::{Address, ForkVersion, Gwei, operators::SizeError};
use uuid::Uuid;

/// The gas limit asked for unless the creator says otherwise.
pub const TARGET_GAS_LIMIT: u64 = 60_000_000;

/// What a creator decides about a new cluster.
#[derive(Clone, Debug)]
pub struct NewDefinition {
    /// The format: v1.10, or v1.11 for those who want the newest.
    pub version: Version,
    /// The cluster's name: 1 to 256 bytes.
    pub name: String,
    /// The operators' nodes, share index 1 first; their wallets do not sign.
    pub operators: Vec<Enr>,
    /// Shares needed to sign.
    pub threshold: usize,
    /// One entry a validator: fee recipient and withdrawal address.
    pub validators: Vec<NewAddresses>,
    /// The network.
    pub network: Network,
    /// Deposit amounts in gwei; empty for the defaults.
    pub deposit_amounts: Vec<Gwei>,
    /// Withdrawal credentials 0x02 and balances up to 2048 ETH.
    pub compounding: bool,
    /// The gas limit of builder registrations, [`TARGET_GAS_LIMIT`] unless there is a reason.
    pub target_gas_limit: u64,
    /// Fresh and random: two clusters must not have the same.
    pub uuid: Uuid,
    /// Now.
    pub timestamp: OffsetDateTime,
}

/// The addresses of one validator, as they were typed.
#[derive(Clone, Debug)]
pub struct NewAddresses {
    /// Takes priority fees; EIP-55, or letters of one case.
    pub fee_recipient: String,
    /// Takes withdrawals; exactly EIP-55, because a mistake costs the deposit.
    pub withdrawal: String,
}

/// Why no definition can be made of a creator's decisions.
#[derive(Debug, Error)]
pub enum DefineError {
    /// A string is too long or no address.
    #[error("{what}: {error}")]
    Text {
        /// Which string.
        what: &'static str,
        /// What is wrong with it.
        error: TextError,
    },
    /// A format that is read only.
    #[error("definitions of {0} are read only: new ones are v1.10.0 or v1.11.0")]
    OldVersion(Version),
    /// The timestamp has no RFC 3339 form.
    #[error("the time of making cannot be written: {0}")]
    Timestamp(#[from] time::error::Format),
    /// A deposit amount breaks a rule.
    #[error(transparent)]
    Amounts(#[from] AmountError),
    /// A list is too long.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// Quorums could overlap in faulty operators only, or the numbers make no cluster.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// No ceremony could run on it.
    #[error(transparent)]
    NotReady(#[from] NotReady),
}

/// Why a ceremony must not run on a definition.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotReady {
    /// The cluster has no name.
    #[error("the cluster has no name")]
    NoName,
    /// There is nothing to make keys for.
    #[error("the definition has no validators")]
    NoValidators,
    /// The numbers of operators and threshold make no cluster.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// The fork version is of no network known here.
    #[error("fork version {0} is of no known network")]
    UnknownNetwork(ForkVersion),
    /// The definition asks for key generation we do not have.
    #[error("unknown key generation {0:?}")]
    Algorithm(String),
    /// An operator's node has no record yet.
    #[error("operator {operator} has no ENR yet")]
    NotJoined {
        /// The operator, from 1.
        operator: usize,
    },
    /// Two operators name one node.
    #[error("operators {first} and {second} name the same node")]
    SameNode {
        /// One of them, from 1.
        first: usize,
        /// The other.
        second: usize,
    },
    /// A withdrawal address is missing or not in the letters of EIP-55.
    #[error(
        "withdrawal address {address:?} of validator {validator} must have the upper and lower case letters of \
         EIP-55: copy it from the wallet, letter by letter"
    )]
    WithdrawalAddress {
        /// The validator, from 0.
        validator: usize,
        /// The address.
        address: String,
    },
    /// The withdrawal address is zero, on a network where deposits are worth money.
    #[error("the withdrawal address of validator {validator} is zero: its deposit would be lost")]
    ZeroWithdrawal {
        /// The validator, from 0.
        validator: usize,
    },
    /// A fee recipient is missing, or mixes cases otherwise than EIP-55.
    #[error(
        "fee recipient {address:?} of validator {validator} is missing or mistyped: its letters are not EIP-55's"
    )]
    FeeRecipient {
        /// The validator, from 0.
        validator: usize,
        /// The address.
        address: String,
    },
    /// A hash or signature of the definition does not hold.
    #[error("{name}: {detail}")]
    Check {
        /// Which check failed.
        name: &'static str,
        /// How.
        detail: String,
    },
}

impl NewDefinition {
    /// The definition, without wallets' signatures.
    ///
    /// - Refuses what no ceremony may run on ([`NotReady`]), and thresholds that a node would not run with.
    /// - Cost: some hashes for every validator.
    pub fn define(self) -> Result<Definition, DefineError> {
        if self.version < Version::V1_10 {
            return Err(DefineError::OldVersion(self.version));
        }
        types::ClusterSize::new_safe(self.operators.len(), self.threshold)?;
        check_len("validators", self.validators.len(), VALIDATORS_LIMIT)?;
        check_len("deposit amounts", self.deposit_amounts.len(), AMOUNTS_LIMIT)?;
        deposit::check_amounts(&self.deposit_amounts, self.compounding)?;
        let seconds = self.timestamp.replace_nanosecond(0).unwrap_or(self.timestamp);
        let fields = Fields {
            name: text("name", self.name)?,
            creator: Creator::default(),
            operators: self.operators.into_iter().map(Operator::unsigned).collect(),
            uuid: text("uuid", self.uuid.hyphenated().to_string().to_uppercase())?,
            version: self.version,
            timestamp: text("timestamp", seconds.format(&Rfc3339)?)?,
            threshold: self.threshold as u64,
            validators: self.validators.iter().map(addresses).collect::<Result<_, _>>()?,
            dkg_algorithm: text("dkg_algorithm", "default".to_owned())?,
            fork_version: self.network.fork_version,
            deposit_amounts: Some(self.deposit_amounts).filter(|amounts| !amounts.is_empty()),
            consensus_protocol: Text::default(),
            target_gas_limit: self.target_gas_limit,
            compounding: self.compounding,
        };
        let definition = Definition::of(fields);
        definition.ready(&Networks::public().with(self.network))?;
        Ok(definition)
    }
}

fn text<const MAX: usize>(what: &'static str, text: String) -> Result<Text<MAX>, DefineError> {
    Text::new(text).map_err(|error| DefineError::Text { what, error })
}

fn addresses(typed: &NewAddresses) -> Result<ValidatorAddresses, DefineError> {
    let address =
        |what, text: &str| AddressText::new(text).map_err(|error| DefineError::Text { what, error });
    Ok(ValidatorAddresses {
        fee_recipient: address("fee recipient", &typed.fee_recipient)?,
        withdrawal: address("withdrawal address", &typed.withdrawal)?,
    })
}

impl Definition {
    /// Whether a ceremony may run on this definition; returns its network.
    ///
    /// - Rules: a name, validators, 3 to 22 operators and a threshold, a known network and key generation,
    ///   distinct nodes that have all joined, addresses nobody mistyped, hashes and wallets' signatures that hold.
    /// - Errors: the first broken rule.
    pub fn ready<'a>(&self, networks: &'a Networks) -> Result<&'a Network, NotReady> {
        if self.name().is_empty() {
            return Err(NotReady::NoName);
        }
        if self.validators().is_empty() {
            return Err(NotReady::NoValidators);
        }
        self.size()?;
        if !matches!(self.dkg_algorithm(), "default" | "frost" | "pedersen") {
            return Err(NotReady::Algorithm(self.dkg_algorithm().to_owned()));
        }
        let version = self.fork_version();
        let network = networks.by_fork_version(version).ok_or(NotReady::UnknownNetwork(version))?;
        self.distinct_nodes()?;
        for (validator, addresses) in self.validators().iter().enumerate() {
            addresses.plausible(validator, network)?;
        }
        match self.check(networks).into_iter().find(|check| !check.holds()) {
            Some(Check { name, detail, .. }) => Err(NotReady::Check { name, detail }),
            None => Ok(network),
        }
    }

    fn distinct_nodes(&self) -> Result<(), NotReady> {
        let mut seen = BTreeMap::new();
        for (key, operator) in self.node_keys().zip(1..) {
            let key = key.ok_or(NotReady::NotJoined { operator })?;
            if let Some(first) = seen.insert(key, operator) {
                return Err(NotReady::SameNode { first, second: operator });
            }
        }
        Ok(())
    }
}

impl ValidatorAddresses {
    fn plausible(&self, validator: usize, network: &Network) -> Result<(), NotReady> {
        let fees = self.fee_recipient.as_str();
        let one_case = |text: &str| text == text.to_lowercase() || text[2..] == text[2..].to_uppercase();
        if fees.is_empty() || !(self.fee_recipient.checksummed() || one_case(fees)) {
            return Err(NotReady::FeeRecipient { validator, address: fees.to_owned() });
        }
        if !self.withdrawal.checksummed() {
            let address = self.withdrawal.as_str().to_owned();
            return Err(NotReady::WithdrawalAddress { validator, address });
        }
        if network.holds_money() && self.withdrawal.address() == Some(Address::ZERO) {
            return Err(NotReady::ZeroWithdrawal { validator });
        }
        Ok(())
    }
}
