//! Strings of the cluster files: bounded text, bounded hex, addresses kept as they were written.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use thiserror::Error;
use types::Address;

/// Why a string of a cluster file was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TextError {
    /// Longer than the format's hashes allow.
    #[error("{have} bytes where at most {max} are allowed")]
    TooLong {
        /// Bytes found.
        have: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not hexadecimal.
    #[error("not hexadecimal")]
    NotHex,
    /// Neither empty nor the 20 bytes of an address.
    #[error("not an address of 20 bytes")]
    NotAnAddress,
}

/// At most `MAX` bytes of UTF-8.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes text that fits.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        if text.len() > MAX {
            return Err(TextError::TooLong { have: text.len(), max: MAX });
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// At most `MAX` bytes, written as lower-case hex after `0x`; no bytes are written as `""`.
///
/// The format leaves lengths to verification: files with signatures of 32 bytes parse, and hash.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hex<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Hex<MAX> {
    /// Takes bytes that fit.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, TextError> {
        let bytes = bytes.into();
        if bytes.len() > MAX {
            return Err(TextError::TooLong { have: bytes.len(), max: MAX });
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the field is unset.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes if there are exactly `N`.
    pub fn exactly<const N: usize>(&self) -> Option<[u8; N]> {
        self.0.as_slice().try_into().ok()
    }

    fn parse(text: &str) -> Result<Self, TextError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        // Decoding allocates half the digits: bound them first.
        if digits.len() > 2 * MAX {
            return Err(TextError::TooLong { have: digits.len() / 2, max: MAX });
        }
        hex::decode(digits).map(Self).map_err(|_| TextError::NotHex)
    }
}

impl<const N: usize> From<[u8; N]> for Hex<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const MAX: usize> fmt::Display for Hex<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "0x{}", hex::encode(&self.0)) }
    }
}

/// An execution-layer address kept in the letters it was written with; or none.
///
/// Hashes use the bytes, so letters matter only to whoever types them: see [`AddressText::checksummed`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AddressText(String);

impl AddressText {
    /// Takes `""`, or 20 bytes of hex in any letters.
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.is_empty() || types::bytes::hex_array::<20>(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(TextError::NotAnAddress)
        }
    }

    /// The address, or `None` if the field is empty.
    pub fn address(&self) -> Option<Address> {
        self.0.parse().ok()
    }

    /// The letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the letters are exactly those of EIP-55.
    pub fn checksummed(&self) -> bool {
        alloy_primitives::Address::parse_checksummed(&self.0, None).is_ok()
    }
}

impl From<Address> for AddressText {
    /// Writes the address with the letters of EIP-55.
    fn from(address: Address) -> Self {
        Self(alloy_primitives::Address::from(address.0).to_checksum(None))
    }
}

macro_rules! text_forms {
    ($name:ident $(<const $max:ident: usize>)?, $text:expr, $parse:expr) => {
        impl $(<const $max: usize>)? fmt::Debug for $name $(<$max>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", $text(self))
            }
        }

        impl $(<const $max: usize>)? Serialize for $name $(<$max>)? {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($text(self).as_ref())
            }
        }

        impl<'de $(, const $max: usize)?> Deserialize<'de> for $name $(<$max>)? {
            /// An absent string and `null` are the empty string.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
                $parse(text.as_str()).map_err(de::Error::custom)
            }
        }
    };
}

text_forms!(Text<const MAX: usize>, Self::as_str, Self::new);
text_forms!(Hex<const MAX: usize>, ToString::to_string, Self::parse);
text_forms!(AddressText, Self::as_str, Self::new);

/// Serde forms of a quoted decimal number, digits only.
pub(crate) mod quoted {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(de::Error::custom("not a decimal number"));
        }
        text.parse().map_err(|_| de::Error::custom("not a decimal number of 64 bits"))
    }
}

/// Reads `null` as the value an absent field has.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_either_case_with_or_without_prefix_and_writes_nothing_as_the_empty_string() {
        for text in [r#""0xABcd""#, r#""abcd""#] {
            let bytes: Hex<2> = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&bytes).unwrap(), r#""0xabcd""#);
        }
        for text in [r#""""#, "null", r#""0x""#] {
            let none: Hex<2> = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&none).unwrap(), r#""""#);
        }
        for text in [r#""0xabc""#, r#""0xzz""#, r#""0xabcdef""#, "5"] {
            assert!(serde_json::from_str::<Hex<2>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_keeps_its_letters_and_knows_whether_they_are_the_checksum() {
        let right = "0x86B8145c98e5BD25BA722645b15eD65f024a87EC";
        let address = AddressText::new(right).unwrap();
        assert!(address.checksummed());
        assert_eq!(AddressText::from(address.address().unwrap()), address);
        for other in [right.to_lowercase(), right.replace('B', "b"), right[2..].to_owned()] {
            let address = AddressText::new(&other).unwrap();
            assert!(!address.checksummed(), "{other}");
            assert_eq!(address.as_str(), other);
        }
        assert_eq!(AddressText::new("0x86B8"), Err(TextError::NotAnAddress));
        assert_eq!(AddressText::default().address(), None);
    }

    #[test]
    fn quoted_numbers_are_digits_of_64_bits() {
        #[derive(Deserialize)]
        struct One(#[serde(with = "quoted")] u64);
        let read = |text: &str| serde_json::from_str::<One>(text).map(|one| one.0).ok();
        assert_eq!(read(r#""18446744073709551615""#), Some(u64::MAX));
        for text in [r#""18446744073709551616""#, r#""+5""#, r#""-5""#, r#"" 5""#, r#""""#, "5"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
