//! Units of time, money and position. Each is a type, so that none can stand for another.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ssz_derive::{Decode, Encode};
use std::fmt;
use thiserror::Error;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[derive(Serialize, Deserialize)]
        #[ssz(struct_behaviour = "transparent")]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "serde_utils::quoted_u64")] pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }

        impl tree_hash::TreeHash for $name {
            fn tree_hash_type() -> tree_hash::TreeHashType {
                u64::tree_hash_type()
            }
            fn tree_hash_packed_encoding(&self) -> tree_hash::PackedEncoding {
                self.0.tree_hash_packed_encoding()
            }
            fn tree_hash_packing_factor() -> usize {
                u64::tree_hash_packing_factor()
            }
            fn tree_hash_root(&self) -> tree_hash::Hash256 {
                self.0.tree_hash_root()
            }
        }
    };
}

number!(
    /// A slot of the beacon chain, counted from genesis.
    Slot
);
number!(
    /// An epoch of the beacon chain, counted from genesis.
    Epoch
);
number!(
    /// A validator's index in the beacon state.
    ValidatorIndex
);
number!(
    /// An amount in gwei (10^-9 ETH).
    Gwei
);

impl Slot {
    /// The slot after this one; saturates at the end of time.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Epoch {
    /// The epoch after this one; saturates at the end of time.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// An amount in wei (10^-18 ETH): what the execution layer counts in, bids of relays among it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wei(pub U256);

/// Digits of an ETH behind the point.
const WEI_DIGITS: usize = 18;

/// Why a text is not an amount of ETH.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EthError {
    /// Not digits, with or without a point between them.
    #[error("not an amount of ETH: digits, and a point between them where there are parts of one")]
    NotDecimal,
    /// Parts of a wei.
    #[error("{have} digits behind the point, an ETH has 18")]
    TooFine {
        /// Digits behind the point.
        have: usize,
    },
    /// Beyond 256 bits of wei.
    #[error("more ETH than 256 bits of wei can hold")]
    TooMuch,
}

impl Wei {
    /// Nothing.
    pub const ZERO: Self = Self(U256::ZERO);

    /// Reads an amount in ETH, as people write it: `0.05`, `1`.
    pub fn from_eth(text: &str) -> Result<Self, EthError> {
        let (whole, parts) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(parts) {
            return Err(EthError::NotDecimal);
        }
        if parts.len() > WEI_DIGITS {
            return Err(EthError::TooFine { have: parts.len() });
        }
        let wei = format!("{whole}{parts:0<WEI_DIGITS$}");
        U256::from_str_radix(&wei, 10).map(Self).map_err(|_| EthError::TooMuch)
    }
}

impl fmt::Display for Wei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// As a text of decimal digits: a number in JSON would lose what is beyond 2^53.
impl Serialize for Wei {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wei {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(de::Error::custom("an amount of wei is decimal digits, as a text"));
        }
        U256::from_str_radix(&text, 10).map(Self).map_err(|_| de::Error::custom("more than 256 bits of wei"))
    }
}

/// Milliseconds: a point in time since the Unix epoch, or a length of time. Machines are told it, never ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The time `length` later; saturates.
    pub fn after(self, length: Millis) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Millis) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A validator's place in its cluster's lock, from 0: how operators name validators to each other.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[ssz(struct_behaviour = "transparent")]
#[serde(transparent)]
pub struct ValidatorNo(pub u32);

impl fmt::Display for ValidatorNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eth_are_read_to_the_wei_and_nothing_finer() {
        let wei = |text| Wei::from_eth(text).map(|wei| wei.to_string());
        for (eth, want) in [
            ("0", "0"),
            ("1", "1000000000000000000"),
            ("0.05", "50000000000000000"),
            ("007.000000000000000001", "7000000000000000001"),
        ] {
            assert_eq!(wei(eth).as_deref(), Ok(want), "{eth}");
        }
        for no in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0x1", "1.2.3", " 1"] {
            assert_eq!(wei(no), Err(EthError::NotDecimal), "{no:?}");
        }
        assert_eq!(wei("0.0000000000000000001"), Err(EthError::TooFine { have: 19 }));
        assert_eq!(wei(&"9".repeat(78)), Err(EthError::TooMuch));
    }

    #[test]
    fn wei_are_written_as_digits_in_quotes_and_read_as_nothing_else() {
        let max = Wei(U256::MAX);
        let json = serde_json::to_string(&max).unwrap();
        assert_eq!(json, format!("\"{}\"", U256::MAX));
        assert_eq!(serde_json::from_str::<Wei>(&json).unwrap(), max);
        for no in ["1", "\"\"", "\"0x1\"", "\"+1\"", "\"1_0\"", "\"-1\"", &format!("\"{}\"", "9".repeat(78))]
        {
            assert!(serde_json::from_str::<Wei>(no).is_err(), "{no}");
        }
    }
}
