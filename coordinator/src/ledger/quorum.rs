//! A set of keys of which some number must agree.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thiserror::Error;
use types::Address;

/// More keys than anybody collects signatures of.
pub const KEYS_MAX: usize = 32;

/// Why keys are no quorum.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum QuorumError {
    /// No keys, or too many.
    #[error("{have} keys, where 1 to {KEYS_MAX} are allowed")]
    Keys {
        /// How many.
        have: usize,
    },
    /// One key twice: whoever has it would count as two.
    #[error("key {key} is there twice")]
    Duplicate {
        /// Which.
        key: Address,
    },
    /// A key that nobody has.
    #[error("the zero address is no key")]
    Zero,
    /// Nobody's agreement, or more than there are.
    #[error("{needed} of {keys} keys are needed; it must be at least 1 and at most all")]
    Needed {
        /// How many must agree.
        needed: u8,
        /// How many there are.
        keys: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    keys: Vec<Address>,
    needed: u8,
}

/// `needed` of some distinct keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Quorum {
    keys: BTreeSet<Address>,
    needed: u8,
}

impl Quorum {
    /// Errors: no keys or too many; a key twice; the zero address; none needed, or more than there are.
    pub fn new(keys: &[Address], needed: u8) -> Result<Self, QuorumError> {
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(QuorumError::Keys { have: keys.len() });
        }
        let mut set = BTreeSet::new();
        for key in keys {
            if *key == Address::ZERO {
                return Err(QuorumError::Zero);
            }
            if !set.insert(*key) {
                return Err(QuorumError::Duplicate { key: *key });
            }
        }
        if needed == 0 || usize::from(needed) > keys.len() {
            return Err(QuorumError::Needed { needed, keys: keys.len() });
        }
        Ok(Self { keys: set, needed })
    }

    /// The keys.
    pub fn set(&self) -> &BTreeSet<Address> {
        &self.keys
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = Address> + '_ {
        self.keys.iter().copied()
    }

    /// How many must agree.
    pub fn needed(&self) -> u8 {
        self.needed
    }

    /// Whether a key is one of them.
    pub fn has(&self, key: Address) -> bool {
        self.keys.contains(&key)
    }

    /// How many of those who agree are among the keys.
    pub fn count(&self, who: &BTreeSet<Address>) -> usize {
        self.keys.intersection(who).count()
    }

    /// Whether enough of the keys agree.
    pub fn agrees(&self, who: &BTreeSet<Address>) -> bool {
        self.count(who) >= usize::from(self.needed)
    }
}

impl TryFrom<Written> for Quorum {
    type Error = QuorumError;
    fn try_from(written: Written) -> Result<Self, QuorumError> {
        Self::new(&written.keys, written.needed)
    }
}

impl From<Quorum> for Written {
    fn from(quorum: Quorum) -> Self {
        Self { keys: quorum.keys.into_iter().collect(), needed: quorum.needed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_some_of_them_agree() {
        let [a, b, c] = [1, 2, 3].map(|byte| Address([byte; 20]));
        let quorum = Quorum::new(&[b, a], 2).unwrap();
        assert!(quorum.agrees(&[a, b].into()) && !quorum.agrees(&[a, c].into()), "strangers do not count");
        assert_eq!(Quorum::new(&[], 1), Err(QuorumError::Keys { have: 0 }));
        let many: Vec<_> = (1..=33).map(|byte| Address([byte; 20])).collect();
        assert_eq!(Quorum::new(&many, 1), Err(QuorumError::Keys { have: 33 }));
        assert_eq!(Quorum::new(&[a, b, a], 2), Err(QuorumError::Duplicate { key: a }));
        assert_eq!(Quorum::new(&[a, Address::ZERO], 1), Err(QuorumError::Zero));
        assert_eq!(Quorum::new(&[a, b], 0), Err(QuorumError::Needed { needed: 0, keys: 2 }));
        assert_eq!(Quorum::new(&[a, b], 3), Err(QuorumError::Needed { needed: 3, keys: 2 }));
        let json = serde_json::to_string(&quorum).unwrap();
        assert_eq!(serde_json::from_str::<Quorum>(&json).unwrap(), quorum);
        assert!(serde_json::from_str::<Quorum>(&json.replace(":2}", ":3}")).is_err());
    }
}
