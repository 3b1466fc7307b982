//! Versions of the cluster file format, and what tells them apart.

use std::{fmt, str::FromStr};

/// A version we read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// A list of validators' addresses.
    V1_5,
    /// Deposit data in the lock, hashed as leaves of the validator itself.
    V1_6,
    /// Builder registrations and node signatures.
    V1_7,
    /// Deposits of several amounts.
    V1_8,
    /// The consensus protocol's name.
    V1_9,
    /// Gas limit and compounding.
    V1_10,
    /// Signatures of contract wallets.
    V1_11,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 7] =
        [Self::V1_5, Self::V1_6, Self::V1_7, Self::V1_8, Self::V1_9, Self::V1_10, Self::V1_11];

    /// The string in files and hashes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_5 => "v1.5.0",
            Self::V1_6 => "v1.6.0",
            Self::V1_7 => "v1.7.0",
            Self::V1_8 => "v1.8.0",
            Self::V1_9 => "v1.9.0",
            Self::V1_10 => "v1.10.0",
            Self::V1_11 => "v1.11.0",
        }
    }

    /// Whether a definition lists deposit amounts, and a lock one deposit for each of them.
    pub fn has_deposit_amounts(self) -> bool {
        self >= Self::V1_8
    }

    /// Whether a definition names the consensus protocol.
    pub fn has_consensus_protocol(self) -> bool {
        self >= Self::V1_9
    }

    /// Whether a definition has a target gas limit and says whether validators compound.
    pub fn has_gas_limit_and_compounding(self) -> bool {
        self >= Self::V1_10
    }

    /// Whether owners' signatures may be several, concatenated.
    pub fn has_signature_lists(self) -> bool {
        self >= Self::V1_11
    }

    /// Whether a lock has builder registrations and node signatures.
    pub fn has_registrations(self) -> bool {
        self >= Self::V1_7
    }

    /// Whether a lock has exactly one deposit a validator.
    pub fn has_single_deposit(self) -> bool {
        matches!(self, Self::V1_6 | Self::V1_7)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The string names no version we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsupportedVersion;

impl FromStr for Version {
    type Err = UnsupportedVersion;
    fn from_str(text: &str) -> Result<Self, UnsupportedVersion> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnsupportedVersion)
    }
}
