//! What happens to a pool on purpose, and what may be missed because of it.
//!
//! - [`flags`]: faults as the command line has them. [`span`]: whom and when. [`schedule`]: which begin and end when, which
//!   slots are owed all the same, and in which nothing can be signed.
//! - [`stage`]: the shell that strikes. One file per fault: `down`, [`rolling`] restarts, [`links`] that are cut, slow or
//!   reset, a [`flood`] of garbage, slow-[`loris`], a [`full_disk`], a [`broken_journal`].
//! - [`monitor`]: what nodes say of themselves. It decides when the next node is restarted, and shows that a fault has
//!   struck; what was done is the chain's to say.

pub mod broken_journal;
pub mod flags;
pub mod flood;
pub mod full_disk;
pub mod links;
pub mod loris;
pub mod monitor;
pub mod rolling;
pub mod schedule;
pub mod span;
pub mod stage;

use span::Span;
use std::fmt;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// These operators' nodes are killed, and started again when it is over.
    Down(Vec<usize>),
    /// These groups of operators do not reach each other.
    Partition(Vec<Vec<usize>>),
    /// This operator's node is replaced by a program that sends garbage under its key.
    Flood(usize),
    /// The validator APIs of these operators' nodes get requests that never end.
    Loris(Vec<usize>),
    /// This operator's disk is full.
    FullDisk(usize),
    /// This operator's node is killed, its journal damaged, and started again.
    BrokenJournal(usize),
}

/// What happens when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// What.
    pub fault: Fault,
    /// When.
    pub span: Span,
}

impl Strike {
    /// `OPERATOR,...@A..B`.
    pub fn down(text: &str) -> Result<Self, String> {
        Self::of_many(text, Fault::Down)
    }

    /// `OPERATOR,...@A..B`.
    pub fn loris(text: &str) -> Result<Self, String> {
        Self::of_many(text, Fault::Loris)
    }

    /// `OPERATOR@A..B`.
    pub fn flood(text: &str) -> Result<Self, String> {
        Self::of_one(text, Fault::Flood)
    }

    /// `OPERATOR@A..B`.
    pub fn full_disk(text: &str) -> Result<Self, String> {
        Self::of_one(text, Fault::FullDisk)
    }

    /// `OPERATOR@A..B`.
    pub fn broken_journal(text: &str) -> Result<Self, String> {
        Self::of_one(text, Fault::BrokenJournal)
    }

    /// `OPERATOR,.../OPERATOR,...@A..B`.
    pub fn partition(text: &str) -> Result<Self, String> {
        let words = || format!("{text:?} is not OPERATOR,.../OPERATOR,...@SLOT..SLOT");
        let (groups, span) = span::split(text).ok_or_else(words)?;
        // Nobody is on two sides.
        span::operators(&groups.replace('/', ",")).ok_or_else(words)?;
        let groups: Vec<_> =
            groups.split('/').map(span::operators).collect::<Option<_>>().ok_or_else(words)?;
        if groups.len() < 2 { Err(words()) } else { Ok(Self { fault: Fault::Partition(groups), span }) }
    }

    fn of_many(text: &str, fault: impl Fn(Vec<usize>) -> Fault) -> Result<Self, String> {
        let words = || format!("{text:?} is not OPERATOR,...@SLOT..SLOT");
        let (who, span) = span::split(text).ok_or_else(words)?;
        Ok(Self { fault: fault(span::operators(who).ok_or_else(words)?), span })
    }

    fn of_one(text: &str, fault: impl Fn(usize) -> Fault) -> Result<Self, String> {
        let words = || format!("{text:?} is not OPERATOR@SLOT..SLOT");
        let (who, span) = span::split(text).ok_or_else(words)?;
        Ok(Self { fault: fault(who.parse().map_err(|_| words())?), span })
    }
}

impl Fault {
    /// Everybody whom it names.
    pub fn operators(&self) -> Vec<usize> {
        match self {
            Self::Down(operators) | Self::Loris(operators) => operators.clone(),
            Self::Partition(groups) => groups.concat(),
            Self::Flood(operator) | Self::FullDisk(operator) | Self::BrokenJournal(operator) => {
                vec![*operator]
            }
        }
    }

    /// Those who count as faulty by it. A node has to bear requests that never end.
    pub fn impaired(&self) -> Vec<usize> {
        match self {
            Self::Partition(_) | Self::Loris(_) => Vec::new(),
            Self::Down(_) | Self::Flood(_) | Self::FullDisk(_) | Self::BrokenJournal(_) => self.operators(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(who) => write!(f, "operators {who:?} down"),
            Self::Partition(groups) => write!(f, "operators divided into {groups:?}"),
            Self::Flood(who) => write!(f, "operator {who} floods the others"),
            Self::Loris(who) => write!(f, "requests that never end at operators {who:?}"),
            Self::FullDisk(who) => write!(f, "disk of operator {who} full"),
            Self::BrokenJournal(who) => write!(f, "journal of operator {who} damaged"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_sides_and_nobody_is_on_two() {
        let groups = vec![vec![1, 2], vec![3, 4]];
        let span = Span { from: 8, to: 14 };
        assert_eq!(Strike::partition("1,2/3,4@8..14"), Ok(Strike { fault: Fault::Partition(groups), span }));
        for wrong in ["1,2@8..14", "1,2/2,3@8..14", "1,2/@8..14", "1/2"] {
            assert!(Strike::partition(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_flood_comes_from_one_operator_and_several_may_be_down() {
        assert!(Strike::flood("3,4@8..14").is_err());
        let span = Span { from: 8, to: 14 };
        assert_eq!(Strike::flood("3@8..14"), Ok(Strike { fault: Fault::Flood(3), span }));
        assert_eq!(Strike::down("3,4@8..14"), Ok(Strike { fault: Fault::Down(vec![3, 4]), span }));
    }
}
