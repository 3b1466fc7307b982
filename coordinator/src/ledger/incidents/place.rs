//! An operator's place in its cluster, as text and numbers have it.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;
use types::ShareIndex;

/// The place of an operator in its cluster, from 1; written as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Place(pub ShareIndex);

/// A number that is no place in any cluster.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{0} is no place of an operator in a cluster")]
pub struct NoPlace(u8);

impl TryFrom<u8> for Place {
    type Error = NoPlace;
    fn try_from(number: u8) -> Result<Self, NoPlace> {
        ShareIndex::new(number).map(Self).ok_or(NoPlace(number))
    }
}

impl From<Place> for u8 {
    fn from(place: Place) -> Self {
        place.0.get()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
