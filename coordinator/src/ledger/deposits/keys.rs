//! Keys that clusters offer, and what makes one good: deposits that its key signed, for this pool and for no other.

use crate::formulas::allocation::{ACTIVATION, COMPOUNDING_MAX, Credentials};
use cluster::deposit::{
    self, ADDRESS_PREFIX, AmountError, COMPOUNDING_PREFIX, DepositMessage, SignedDeposit,
};
use crypto::{PointError, PublicKeyPoint};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{Address, ForkVersion, Gwei, PublicKey, Root, Signature};

/// The most keys of one command: at two signatures each some half a second of curve work.
pub const KEYS_MAX: usize = 256;

/// What a pool is, as far as deposits go. Fixed for ever, and good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charter {
    fork_version: ForkVersion,
    credentials: Root,
    kind: Credentials,
}

/// Why withdrawal credentials are refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CharterError {
    /// Neither 0x01 nor 0x02. A validator of kind 0x00 pays to whoever its key names later.
    #[error("withdrawal credentials begin with {prefix:#04x}, only 0x01 and 0x02 pay to an address")]
    Kind {
        /// The first byte.
        prefix: u8,
    },
    /// Not an address after eleven zeros, or the address is nobody's.
    #[error("{credentials} are not eleven zeros and an address")]
    NoAddress {
        /// All of them.
        credentials: Root,
    },
}

impl Charter {
    /// - `fork_version`: the network's at genesis, under which deposits are signed.
    /// - `credentials`: where validators pay to, byte for byte.
    pub fn new(fork_version: ForkVersion, credentials: Root) -> Result<Self, CharterError> {
        let kind = match credentials.0[0] {
            ADDRESS_PREFIX => Credentials::Execution,
            COMPOUNDING_PREFIX => Credentials::Compounding,
            prefix => return Err(CharterError::Kind { prefix }),
        };
        let mut address = Address::ZERO;
        address.0.copy_from_slice(&credentials.0[12..]);
        let compounding = kind == Credentials::Compounding;
        if address == Address::ZERO || deposit::withdrawal_credentials(address, compounding) != credentials {
            return Err(CharterError::NoAddress { credentials });
        }
        Ok(Self { fork_version, credentials, kind })
    }

    /// Where validators pay to.
    pub fn credentials(&self) -> Root {
        self.credentials
    }

    /// Whether validators compound.
    pub fn kind(&self) -> Credentials {
        self.kind
    }

    /// The most that a validator is given.
    pub fn stake_max(&self) -> Gwei {
        match self.kind {
            Credentials::Execution => ACTIVATION,
            Credentials::Compounding => COMPOUNDING_MAX,
        }
    }

    /// A deposit to the pool's credentials.
    pub fn deposit(&self, public_key: PublicKey, amount: Gwei, signature: Signature) -> SignedDeposit {
        let message = DepositMessage { public_key, withdrawal_credentials: self.credentials, amount };
        SignedDeposit { message, signature }
    }
}

/// The amounts of a validator's first two deposits. Data of the pool's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The small one, which is at risk until the validator is proven.
    pub predeposit: Gwei,
    /// The other, so that both activate the validator.
    pub rest: Gwei,
}

/// Lido's: 1 and 31 ETH.
pub const ONE_AND_31: Split = Split { predeposit: deposit::ETH, rest: Gwei(31 * deposit::ETH.0) };

/// Why amounts are refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SplitError {
    /// One of them.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// Both together are more than the validator keeps.
    #[error("deposits of {sum} gwei, a validator of this pool keeps {max}")]
    TooMuch {
        /// Both.
        sum: u64,
        /// What it keeps.
        max: Gwei,
    },
}

impl Split {
    /// Both together. It cannot overflow where [`Self::check`] holds.
    pub fn sum(&self) -> Gwei {
        Gwei(self.predeposit.0.saturating_add(self.rest.0))
    }

    /// Whether the chain takes these deposits, and they activate a validator of this pool.
    pub fn check(&self, charter: &Charter) -> Result<(), SplitError> {
        let compounding = charter.kind == Credentials::Compounding;
        deposit::check_amounts(&[self.predeposit, self.rest], compounding)?;
        let (sum, max) = (self.sum().0, charter.stake_max());
        if sum > max.0 { Err(SplitError::TooMuch { sum, max }) } else { Ok(()) }
    }
}

/// A deposit as a cluster offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// Where the validator would pay to.
    pub credentials: Root,
    /// How much.
    pub amount: Gwei,
    /// By the validator's key.
    pub signature: Signature,
}

/// A key and its first two deposits, as a cluster's ceremony made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyOffer {
    /// The validator's key.
    pub pubkey: PublicKey,
    /// The small deposit.
    pub predeposit: Offered,
    /// The other.
    pub rest: Offered,
}

/// Why a key is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// It is registered, by this or another cluster, or twice in the list.
    #[error("the key is registered already")]
    Known,
    /// No point of the curve that can be a key.
    #[error(transparent)]
    Point(#[from] PointError),
    /// Credentials that are not the pool's.
    #[error("withdrawal credentials {have} are not the pool's")]
    Credentials {
        /// Of the deposit.
        have: Root,
    },
    /// An amount that is not the policy's.
    #[error("a deposit of {have} gwei, the policy says {want}")]
    Amount {
        /// Of the deposit.
        have: Gwei,
        /// Of the policy.
        want: Gwei,
    },
    /// A signature that does not verify.
    #[error("the signature of the deposit of {amount} gwei does not verify")]
    Signature {
        /// Of which deposit.
        amount: Gwei,
    },
}

/// Verifies a key that an offer says is good. Cost: two signatures.
pub(super) fn verify(offer: &KeyOffer, charter: &Charter, split: Split) -> Result<(), KeyError> {
    PublicKeyPoint::parse(&offer.pubkey)?;
    for (offered, want) in [(offer.predeposit, split.predeposit), (offer.rest, split.rest)] {
        let Offered { credentials: have, amount, signature } = offered;
        if have != charter.credentials {
            return Err(KeyError::Credentials { have });
        }
        if amount != want {
            return Err(KeyError::Amount { have: amount, want });
        }
        if !is_signed(&charter.deposit(offer.pubkey, amount, signature), charter) {
            return Err(KeyError::Signature { amount });
        }
    }
    Ok(())
}

/// Whether the validator's key signed a deposit, to whatever credentials. Cost: a pairing check.
pub(super) fn is_signed(deposit: &SignedDeposit, charter: &Charter) -> bool {
    let root = deposit.message.signing_root(charter.fork_version);
    crypto::verify_root(&deposit.message.public_key, &root, &deposit.signature)
}
