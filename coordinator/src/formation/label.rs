//! What operators are told apart by, spelled so that one thing has one name: two spellings of one client would pass as two.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// The longest name: more is no name, and every proof repeats it.
pub const LENGTH_MAX: usize = 64;

/// Why a text is no name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is no {what}")]
pub struct LabelError {
    what: &'static str,
    text: String,
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Errors: a text that is none.
            pub fn new(text: impl Into<String>) -> Result<Self, LabelError> {
                let text: String = text.into();
                let fits: fn(&str) -> bool = $fits;
                if fits(&text) {
                    return Ok(Self(text));
                }
                // What is quoted back is not longer than what would have been taken.
                Err(LabelError { what: $what, text: text.chars().take(LENGTH_MAX).collect() })
            }

            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = LabelError;
            fn try_from(text: String) -> Result<Self, LabelError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(label: $name) -> Self {
                label.0
            }
        }
    };
}

label!(
    /// A client or an operator type: lower-case letters, digits, `-`, `_` and `.`, at most [`LENGTH_MAX`].
    Word,
    "word: lower-case letters, digits, `-`, `_`, `.`, at most 64",
    |text| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        !text.is_empty() && text.len() <= LENGTH_MAX && text.bytes().all(fits)
    }
);
label!(
    /// Who stands behind an operator: printable, at most [`LENGTH_MAX`] bytes, no space at its ends or twice in a row.
    ///
    /// Whether two names are of one entity is for those to say who vet operators.
    Entity,
    "entity: printable, single spaces inside, at most 64 bytes",
    |text| {
        let spaced = text.chars().all(|char| char == ' ' || !char.is_whitespace());
        let trimmed = !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
        let printable = !text.is_empty() && !text.chars().any(char::is_control);
        text.len() <= LENGTH_MAX && spaced && trimmed && printable
    }
);
label!(
    /// A country: two capital letters (ISO 3166-1 alpha-2). Which pairs are countries changes, so any pair is taken.
    Country,
    "country: two capital letters",
    |text| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_one_spelling() {
        for yes in ["geth", "lighthouse", "csm-0x02", "v1.2_x"] {
            assert_eq!(Word::new(yes).unwrap().as_str(), yes);
        }
        for no in ["", "Geth", "geth ", "g\u{e9}th", &"a".repeat(LENGTH_MAX + 1)] {
            assert!(Word::new(no).is_err(), "{no:?}");
        }
        assert!(Entity::new("Chorus One").is_ok() && Entity::new("Z\u{fc}rich Staking").is_ok());
        for no in ["", " a", "a ", "a  b", "a\tb", "a\u{a0}b", "a\u{7f}", &"\u{e9}".repeat(33)] {
            assert!(Entity::new(no).is_err(), "{no:?}");
        }
        assert!(Country::new("DE").is_ok());
        for no in ["de", "D", "DEU", "D1"] {
            assert!(Country::new(no).is_err(), "{no:?}");
        }
        assert!(serde_json::from_str::<Country>("\"de\"").is_err());
        let long = Word::new("A".repeat(10_000)).unwrap_err().to_string();
        assert!(long.len() < 200, "what is refused is not quoted at length");
    }
}
