//! The one spelling of whatever is hashed or stored: JSON without whitespace, fields in the order of their declaration,
//! amounts as decimal texts, maps sorted by key.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The most bytes that are read: sixty-four clusters of twenty-two operators with every check take less than 2 MiB.
pub const BYTES_MAX: usize = 4 << 20;

/// Why bytes are not read.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// More than anything of ours has.
    #[error("{have} bytes, at most {BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        have: usize,
    },
    /// Not JSON, or not of this shape, or with values that are refused.
    #[error("not read: {0}")]
    Json(#[from] serde_json::Error),
    /// The same content is spelled in another way.
    #[error("not canonical: written again, these bytes are others from byte {at} on")]
    NotCanonical {
        /// The first byte that differs, from 0.
        at: usize,
    },
}

/// The bytes of a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // The types of this room have maps with text keys only and no serializer of their own that can fail.
    serde_json::to_vec(value).expect("nothing here can fail to be written")
}

/// Reads what [`encode`] wrote, and nothing else. Errors: too long; no such value; another spelling of one.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > BYTES_MAX {
        return Err(DecodeError::TooLong { have: bytes.len() });
    }
    let value = serde_json::from_slice(bytes)?;
    let again = encode(&value);
    if again != bytes {
        let same = again.iter().zip(bytes).take_while(|(one, other)| one == other).count();
        return Err(DecodeError::NotCanonical { at: same });
    }
    Ok(value)
}

/// Integers of 256 bits as decimal texts.
pub(super) mod decimal {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(number: &U256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(de::Error::custom("an amount is decimal digits"));
        }
        U256::from_str_radix(&text, 10).map_err(|_| de::Error::custom("an amount has more than 256 bits"))
    }
}

/// Amounts of wei as decimal texts.
pub(super) mod wei {
    use super::decimal;
    use serde::{Deserializer, Serializer};
    use types::Wei;

    pub(crate) fn serialize<S: Serializer>(amount: &Wei, serializer: S) -> Result<S::Ok, S::Error> {
        decimal::serialize(&amount.0, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Wei, D::Error> {
        decimal::deserialize(deserializer).map(Wei)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use types::{Gwei, Wei};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Amounts {
        bond: Bond,
        stake: Gwei,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Bond(#[serde(with = "wei")] Wei);

    #[test]
    fn one_value_has_one_spelling() {
        let value = Amounts { bond: Bond(Wei::from_eth("1.5").unwrap()), stake: Gwei(u64::MAX) };
        let text = r#"{"bond":"1500000000000000000","stake":"18446744073709551615"}"#;
        assert_eq!(encode(&value), text.as_bytes());
        assert_eq!(decode::<Amounts>(text.as_bytes()).unwrap(), value);
        for other in [
            r#"{"bond":"1500000000000000000", "stake":"18446744073709551615"}"#,
            r#"{"stake":"18446744073709551615","bond":"1500000000000000000"}"#,
            r#"{"bond":"01500000000000000000","stake":"18446744073709551615"}"#,
        ] {
            assert!(matches!(decode::<Amounts>(other.as_bytes()), Err(DecodeError::NotCanonical { .. })));
        }
        for no in [
            r#"{"bond":"","stake":"1"}"#,
            r#"{"bond":"+1","stake":"1"}"#,
            r#"{"bond":"0x1","stake":"1"}"#,
            r#"{"bond":"1","stake":"1","more":"1"}"#,
        ] {
            assert!(matches!(decode::<Amounts>(no.as_bytes()), Err(DecodeError::Json(_))), "{no}");
        }
        let long = vec![b' '; BYTES_MAX + 1];
        assert!(matches!(decode::<Amounts>(&long), Err(DecodeError::TooLong { .. })));
    }
}
