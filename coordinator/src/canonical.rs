//! Canonical bytes: one value, one text, so that its hash means something.
//!
//! JSON without white space, fields in the order of their declaration, maps in the order of their keys, enums in
//! snake_case around what they hold, amounts and other large numbers as decimal digits in quotes, bytes as lower-case hex
//! after `0x`. What is read is written again and must be the same, so there is no second spelling of anything.

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::io::{self, BufWriter};
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
    hash_and_len(value).0
}

/// Their SHA-256, and how many they are. Memory: a few kilobytes of them at a time.
pub fn hash_and_len<T: Serialize>(value: &T) -> (Root, u64) {
    let mut hashed = BufWriter::with_capacity(16 << 10, Hashed { hash: Sha256::new(), len: 0 });
    // As in [`bytes`]; what is hashed takes everything.
    serde_json::to_writer(&mut hashed, value).expect("keys of maps are text");
    let Ok(Hashed { hash, len }) = hashed.into_inner() else { unreachable!("a hash takes everything") };
    (Root(hash.finalize().into()), len)
}

/// Takes what is written into a hash.
struct Hashed {
    hash: Sha256,
    len: u64,
}

impl io::Write for Hashed {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        self.hash.update(written);
        self.len += written.len() as u64;
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    let mut same = Same { text, at: 0 };
    let written = serde_json::to_writer(&mut same, &value);
    if written.is_ok() && same.at == text.len() {
        Ok(value)
    } else {
        Err(CanonicalError::NotCanonical { at: same.at })
    }
}

/// Takes what is written if it is this text, as far as it goes; nothing more from the first byte on that differs.
struct Same<'a> {
    text: &'a [u8],
    /// Bytes that were the same.
    at: usize,
}

impl io::Write for Same<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let rest = &self.text[self.at..];
        if rest.starts_with(written) {
            self.at += written.len();
            return Ok(written.len());
        }
        self.at += rest.iter().zip(written).take_while(|(one, other)| one == other).count();
        Err(io::ErrorKind::InvalidData.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use types::{Address, Gwei};

    #[test]
    fn what_is_hashed_are_the_bytes_however_many() {
        for len in [0, 1, 300, 20_000] {
            let value: Vec<Gwei> = (0..len).map(Gwei).collect();
            let want = bytes(&value);
            let hash = Root(Sha256::digest(&want).into());
            assert_eq!(hash_and_len(&value), (hash, want.len() as u64));
        }
    }

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
