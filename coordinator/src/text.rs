//! Words: bounded text, labels that are compared, countries. One thing has one name: two spellings of one would pass as two.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Longest label, in bytes: a name, not a sentence.
pub const LABEL_LEN_MAX: usize = 32;

/// Longest name of an entity, in bytes: more is no name, and every proof of a cluster repeats it.
pub const ENTITY_LEN_MAX: usize = 64;

/// Who stands behind an operator. Whether two names are of one entity is for those to say who vet operators.
pub type Entity = Text<ENTITY_LEN_MAX>;

/// Why a word is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TextError {
    /// Nothing, or too much.
    #[error("a text of {have} bytes, where 1 to {max} are allowed")]
    Length {
        /// Bytes found.
        have: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// White space around it, which nobody sees.
    #[error("white space at the ends of a text")]
    Padded,
    /// White space that looks like other white space, or like less.
    #[error("white space other than single spaces in a text")]
    Spaced,
    /// A character that moves a cursor instead of being read.
    #[error("a control character in a text")]
    Control,
    /// Not the letters of a label.
    #[error("{have:?} is no label: a to z, 0 to 9, then also points and hyphens, at most {LABEL_LEN_MAX}")]
    NotALabel {
        /// What was found.
        have: String,
    },
    /// Not a country.
    #[error("{have:?} is no code of ISO 3166-1 alpha-2")]
    NotACountry {
        /// What was found.
        have: String,
    },
}

/// 1 to `MAX` bytes for people to read: no control characters, no white space around it, and single spaces inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Errors: empty or too long; white space around it, or other than single spaces inside; a control character.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        if text.is_empty() || text.len() > MAX {
            return Err(TextError::Length { have: text.len(), max: MAX });
        }
        if text.trim() != text {
            return Err(TextError::Padded);
        }
        if text.chars().any(char::is_control) {
            return Err(TextError::Control);
        }
        if text.contains("  ") || text.chars().any(|char| char != ' ' && char.is_whitespace()) {
            return Err(TextError::Spaced);
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        Self::new(text)
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that is compared, so that it has one spelling: of a client, of an operator type, of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// Errors: not the letters of a label, or too many.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let starts = text.bytes().next().is_some_and(plain);
        let rest = text.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'.');
        if !starts || !rest || text.len() > LABEL_LEN_MAX {
            // The message would be as long as what is refused.
            let have = text.chars().take(LABEL_LEN_MAX).collect();
            return Err(TextError::NotALabel { have });
        }
        Ok(Self(text))
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Label {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        Self::new(text)
    }
}

impl std::str::FromStr for Label {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::new(text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The officially assigned codes of ISO 3166-1 alpha-2.
pub(crate) const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC \
    CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD \
    GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH \
    KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW \
    MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC \
    SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY \
    UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// Where a node stands: a code of ISO 3166-1 alpha-2, in capitals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country(String);

impl Country {
    /// Errors: not an assigned code.
    pub fn new(code: impl Into<String>) -> Result<Self, TextError> {
        let code = code.into();
        if COUNTRIES.split(' ').any(|known| known == code) {
            return Ok(Self(code));
        }
        Err(TextError::NotACountry { have: code.chars().take(LABEL_LEN_MAX).collect() })
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Country {
    type Error = TextError;
    fn try_from(code: String) -> Result<Self, TextError> {
        Self::new(code)
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_one_spelling_also_when_read() {
        assert!(Text::<8>::new("Blüte 1").is_ok());
        assert_eq!(Text::<8>::new(""), Err(TextError::Length { have: 0, max: 8 }));
        assert_eq!(Text::<8>::new("123456789"), Err(TextError::Length { have: 9, max: 8 }));
        assert_eq!(Text::<8>::new(" a"), Err(TextError::Padded));
        assert_eq!(Text::<8>::new("a\u{7}b"), Err(TextError::Control));
        for no in ["a  b", "a\u{a0}b", "a\u{2003}b"] {
            assert_eq!(Text::<8>::new(no), Err(TextError::Spaced));
        }
        assert!(serde_json::from_str::<Text<8>>("\"a\\nb\"").is_err());
        for label in ["geth", "csm-0x02", "1.0"] {
            assert_eq!(Label::new(label).unwrap().as_str(), label);
        }
        for no in ["", "Geth", "-a", "a b", "ä", &"x".repeat(LABEL_LEN_MAX + 1)] {
            assert!(matches!(Label::new(no), Err(TextError::NotALabel { .. })), "{no}");
        }
        assert!(serde_json::from_str::<Label>("\"Geth\"").is_err());
    }

    #[test]
    fn countries_are_those_of_the_standard() {
        let codes: Vec<_> = COUNTRIES.split(' ').collect();
        assert_eq!(codes.len(), 249, "as many as are assigned");
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(Country::new("DE").is_ok());
        for no in ["de", "XX", "EU", "UK", "", "DE ", "D", "DE AE"] {
            assert!(matches!(Country::new(no), Err(TextError::NotACountry { .. })), "{no}");
        }
        assert!(serde_json::from_str::<Country>("\"UK\"").is_err());
    }
}
