//! Numbers as decimal text: how everything that is stored or hashed writes a number of 256 bits that has no type of its own.
//! Amounts of wei write themselves so (`types::Wei`).
//!
//! One number has one text: digits without a leading zero, a sign or a prefix. Anything else is refused when it is read,
//! so that what was read and is written again has the same bytes.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serializer, de};
use thiserror::Error;

/// Why text is not an amount.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecimalError {
    /// Not digits, or a zero before them.
    #[error("not an amount: digits without a leading zero")]
    NotCanonical,
    /// Beyond 256 bits.
    #[error("more than 256 bits")]
    TooLarge,
}

/// Reads a number. Errors: not its one text; more than 256 bits.
pub fn parse(text: &str) -> Result<U256, DecimalError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(DecimalError::NotCanonical);
    }
    U256::from_str_radix(text, 10).map_err(|_| DecimalError::TooLarge)
}

/// Writes a number, for `#[serde(with = ...)]`.
pub fn serialize<S: Serializer>(number: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// Reads a number, for `#[serde(with = ...)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_has_one_text(limbs: [u64; 4]) {
            let number = U256::from_limbs(limbs);
            prop_assert_eq!(parse(&number.to_string()), Ok(number));
            prop_assert_eq!(parse(&format!("0{number}")), Err(DecimalError::NotCanonical));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for no in ["", "00", "01", "-1", "+1", " 1", "1 ", "0x1", "1_0", "1e3", "1.0"] {
            assert_eq!(parse(no), Err(DecimalError::NotCanonical), "{no:?}");
        }
        assert_eq!(parse("0"), Ok(U256::ZERO));
        assert_eq!(parse(&format!("{}0", U256::MAX)), Err(DecimalError::TooLarge));
    }
}
