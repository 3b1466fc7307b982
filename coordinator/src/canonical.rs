//! Canonical bytes: one value, one text, so that its hash means something.
//!
//! JSON without white space, fields in the order of their declaration, maps in the order of their keys, enums in
//! snake_case around what they hold, amounts and other large numbers as decimal digits in quotes, bytes as lower-case hex
//! after `0x`. What is read is written again and must be the same, so there is no second spelling of anything.

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use thiserror::Error;
use types::Root;

/// Why bytes are not the canonical bytes of a value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CanonicalError {
    /// Not JSON, or not that of such a value.
    #[error("not readable: {0}")]
    Unreadable(String),
    /// More than anything of this kind has.
    #[error("{have} bytes, at most {most}")]
    TooLong {
        /// Bytes found.
        have: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// Another spelling than the one.
    #[error("not canonical from byte {at} on")]
    NotCanonical {
        /// The first byte that differs.
        at: usize,
    },
}

/// The canonical bytes of a value of this crate.
pub fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    // Writing to memory fails only for maps whose keys are no text, and no type of this crate has one.
    serde_json::to_vec(value).expect("keys of maps are text")
}

/// Their SHA-256.
pub fn hash<T: Serialize>(value: &T) -> Root {
    Root(Sha256::digest(bytes(value)).into())
}

/// The same for bytes from outside: not more than `most` of them are read. Errors: more; see [`read`].
pub fn read_at_most<T: Serialize + DeserializeOwned>(text: &[u8], most: usize) -> Result<T, CanonicalError> {
    let have = text.len();
    if have > most { Err(CanonicalError::TooLong { have, most }) } else { read(text) }
}

/// Reads a value from its canonical bytes. Errors: not such a value; not its canonical bytes.
pub fn read<T: Serialize + DeserializeOwned>(text: &[u8]) -> Result<T, CanonicalError> {
    let value: T =
        serde_json::from_slice(text).map_err(|error| CanonicalError::Unreadable(error.to_string()))?;
    let again = bytes(&value);
    if again == text {
        return Ok(value);
    }
    let at = again.iter().zip(text).position(|(one, other)| one != other);
    Err(CanonicalError::NotCanonical { at: at.unwrap_or(again.len().min(text.len())) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use types::{Address, Gwei};

    #[test]
    fn there_is_one_spelling() {
        let map: BTreeMap<Address, Gwei> =
            [(Address([0xab; 20]), Gwei(1)), (Address([1; 20]), Gwei(u64::MAX))].into();
        let text = bytes(&map);
        assert_eq!(read::<BTreeMap<Address, Gwei>>(&text), Ok(map));
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("\":\"1\"}"), "{text}");
        let (one, other) = text.trim_matches(['{', '}']).split_once(',').unwrap();
        for second in [
            text.replace(':', ": "),
            text.replace("\"1\"", "\"01\""),
            text.replace("\"1\"", "\"\\u0031\""),
            text.replace("ab", "AB"),
            format!("{text}\n"),
            format!("{{{other},{one}}}"),
            format!("{{{one},{one},{other}}}"),
        ] {
            let read = read::<BTreeMap<Address, Gwei>>(second.as_bytes());
            assert!(matches!(read, Err(CanonicalError::NotCanonical { .. })), "{second}: {read:?}");
        }
        let cut = read::<BTreeMap<Address, Gwei>>(&text.as_bytes()[1..]);
        assert!(matches!(cut, Err(CanonicalError::Unreadable(_))));
        let (have, most) = (text.len(), text.len() - 1);
        let long = read_at_most::<BTreeMap<Address, Gwei>>(text.as_bytes(), most);
        assert_eq!(long, Err(CanonicalError::TooLong { have, most }));
        assert!(read_at_most::<BTreeMap<Address, Gwei>>(text.as_bytes(), have).is_ok());
    }
}
