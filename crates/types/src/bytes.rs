//! Fixed-length byte strings. They carry bytes only: whether a key is on the curve is `crypto`'s to say.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// Why text is not a byte string of the wanted length.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HexError {
    /// Not hexadecimal.
    #[error("not hexadecimal")]
    NotHex,
    /// Hexadecimal, but of another length.
    #[error("{have} bytes instead of {want}")]
    Length {
        /// Bytes found.
        have: usize,
        /// Bytes wanted.
        want: usize,
    },
}

/// Decodes hex with or without `0x` into exactly `N` bytes.
pub fn hex_array<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bytes = hex::decode(digits).map_err(|_| HexError::NotHex)?;
    let have = bytes.len();
    bytes.try_into().map_err(|_| HexError::Length { have, want: N })
}

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// All bytes zero.
            pub const ZERO: Self = Self([0; $len]);
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ZERO
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = HexError;
            fn from_str(text: &str) -> Result<Self, HexError> {
                hex_array(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl ssz::Encode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }
            fn ssz_fixed_len() -> usize {
                $len
            }
            fn ssz_bytes_len(&self) -> usize {
                $len
            }
            fn ssz_append(&self, buf: &mut Vec<u8>) {
                buf.extend_from_slice(&self.0);
            }
        }

        impl ssz::Decode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }
            fn ssz_fixed_len() -> usize {
                $len
            }
            fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, ssz::DecodeError> {
                let array = bytes
                    .try_into()
                    .map_err(|_| ssz::DecodeError::InvalidByteLength { len: bytes.len(), expected: $len })?;
                Ok(Self(array))
            }
        }

        impl tree_hash::TreeHash for $name {
            fn tree_hash_type() -> tree_hash::TreeHashType {
                tree_hash::TreeHashType::Vector
            }
            fn tree_hash_packed_encoding(&self) -> tree_hash::PackedEncoding {
                unreachable!("byte vectors are never packed")
            }
            fn tree_hash_packing_factor() -> usize {
                unreachable!("byte vectors are never packed")
            }
            fn tree_hash_root(&self) -> tree_hash::Hash256 {
                tree_hash::merkle_root(&self.0, 0)
            }
        }
    };
}

fixed_bytes!(
    /// A hash tree root, or any other 32-byte hash.
    Root, 32
);
fixed_bytes!(
    /// A BLS public key: compressed G1.
    PublicKey, 48
);
fixed_bytes!(
    /// A BLS signature: compressed G2.
    Signature, 96
);
fixed_bytes!(
    /// An execution-layer address.
    Address, 20
);
fixed_bytes!(
    /// A fork's version.
    ForkVersion, 4
);
fixed_bytes!(
    /// A node's ECDSA signature over secp256k1: `r || s`, low `s`.
    NodeSignature, 64
);
fixed_bytes!(
    /// A KZG commitment to a blob: compressed G1.
    KzgCommitment, 48
);
fixed_bytes!(
    /// A bloom filter of logs.
    LogsBloom, 256
);

impl From<tree_hash::Hash256> for Root {
    fn from(hash: tree_hash::Hash256) -> Self {
        Self(hash.0)
    }
}

impl Root {
    /// The hash tree root of any container.
    pub fn of(value: &impl tree_hash::TreeHash) -> Self {
        value.tree_hash_root().into()
    }
}

impl Signature {
    /// The compressed point at infinity: what an empty aggregate is, and what no validator ever signs.
    pub const INFINITY: Self = {
        let mut bytes = [0; 96];
        bytes[0] = 0xc0;
        Self(bytes)
    };
}
