//! Who is in a cluster, how many of them must sign, how many may fail.

use crate::bytes::Root;
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use std::fmt;
use thiserror::Error;

/// More operators than any cluster has: bounds every list of operators.
pub const OPERATORS_MAX: u8 = 22;
/// With fewer there is nothing to distribute.
pub const OPERATORS_MIN: u8 = 3;

/// An operator's place in its cluster, `1..=n`: also the `x` at which its share lies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[ssz(struct_behaviour = "transparent")]
pub struct ShareIndex(u8);

impl ShareIndex {
    /// `None` for 0 and beyond [`OPERATORS_MAX`]. Whether it is in a given cluster is [`ClusterSize::contains`]'s to say.
    pub const fn new(index: u8) -> Option<Self> {
        if index == 0 || index > OPERATORS_MAX { None } else { Some(Self(index)) }
    }

    /// The number, from 1.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The position in a list of operators, from 0.
    pub const fn position(self) -> usize {
        self.0 as usize - 1
    }
}

impl fmt::Display for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Shares needed to sign, `t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(pub u8);

/// Which sharing of the same key a share, a partial signature or a journal row belongs to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[ssz(struct_behaviour = "transparent")]
#[serde(transparent)]
pub struct Generation(pub u32);

/// The lock hash of a cluster's first generation: its name for ever.
pub type ClusterId = Root;

/// Why numbers of operators and threshold make no cluster.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SizeError {
    /// Too few or too many operators.
    #[error("{operators} operators, a cluster has {OPERATORS_MIN} to {OPERATORS_MAX}")]
    Operators {
        /// Operators asked for.
        operators: usize,
    },
    /// The threshold is not in `2..=n`.
    #[error("threshold {threshold} of {operators} operators, it must be at least 2 and at most {operators}")]
    Threshold {
        /// Threshold asked for.
        threshold: usize,
        /// Operators asked for.
        operators: usize,
    },
    /// `2t - n <= f`: journals alone would not exclude two conflicting signatures.
    #[error(
        "threshold {threshold} of {operators} operators is unsafe: two quorums could share only {common} \
         operators, all of which may be faulty"
    )]
    Unsafe {
        /// Threshold asked for.
        threshold: u8,
        /// Operators asked for.
        operators: u8,
        /// How few operators two quorums may have in common.
        common: u8,
    },
}

/// Numbers of a cluster: `n` operators of whom `t` must sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterSize {
    operators: u8,
    threshold: u8,
}

impl ClusterSize {
    /// Any `1 < t <= n` with `3 <= n <= 22`: what the ceremony and `verify` take.
    pub fn new(operators: usize, threshold: usize) -> Result<Self, SizeError> {
        let fits = |n: usize| u8::try_from(n).ok().filter(|n| (OPERATORS_MIN..=OPERATORS_MAX).contains(n));
        let Some(n) = fits(operators) else { return Err(SizeError::Operators { operators }) };
        match u8::try_from(threshold) {
            Ok(t) if (2..=n).contains(&t) => Ok(Self { operators: n, threshold: t }),
            _ => Err(SizeError::Threshold { threshold, operators }),
        }
    }

    /// The same, with `2t - n > f` asked for as well: what `define` and `dvt-node run` take.
    pub fn new_safe(operators: usize, threshold: usize) -> Result<Self, SizeError> {
        let size = Self::new(operators, threshold)?;
        let common = (2 * size.threshold).saturating_sub(size.operators);
        if common <= size.faults() {
            return Err(SizeError::Unsafe { threshold: size.threshold, operators: size.operators, common });
        }
        Ok(size)
    }

    /// `n`.
    pub const fn operators(self) -> usize {
        self.operators as usize
    }

    /// `t`: partial signatures that make a signature.
    pub const fn threshold(self) -> usize {
        self.threshold as usize
    }

    /// `f = (n-1)/3`: faulty operators that agreement lives with.
    pub const fn faults(self) -> u8 {
        (self.operators - 1) / 3
    }

    /// `q = ceil(2n/3)`: equal votes that make a certificate.
    pub const fn quorum(self) -> usize {
        (2 * self.operators as usize).div_ceil(3)
    }

    /// Whether an index names one of these operators. An index that was read from bytes may be 0, which names none.
    pub const fn contains(self, index: ShareIndex) -> bool {
        index.0 != 0 && index.0 <= self.operators
    }

    /// All operators, in order.
    pub fn indices(self) -> impl Iterator<Item = ShareIndex> {
        (1..=self.operators).map(ShareIndex)
    }

    /// All operators but one, in order.
    pub fn others(self, me: ShareIndex) -> impl Iterator<Item = ShareIndex> {
        self.indices().filter(move |index| *index != me)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorum_and_faults_are_those_of_the_protocol() {
        for (n, t, q, f) in
            [(3, 2, 2, 0), (4, 3, 3, 1), (5, 4, 4, 1), (7, 5, 5, 2), (10, 7, 7, 3), (22, 15, 15, 7)]
        {
            let size = ClusterSize::new_safe(n, t).unwrap();
            assert_eq!((size.quorum(), size.faults()), (q, f), "n = {n}");
            assert!(2 * q - n > usize::from(f), "two certificates share an honest voter, n = {n}");
        }
    }

    #[test]
    fn a_threshold_that_journals_cannot_guard_is_refused_to_nodes_and_taken_by_the_ceremony() {
        assert_eq!(
            ClusterSize::new_safe(4, 2),
            Err(SizeError::Unsafe { threshold: 2, operators: 4, common: 0 })
        );
        assert!(ClusterSize::new(11, 6).is_ok());
        assert!(ClusterSize::new_safe(11, 6).is_err());
        assert!(ClusterSize::new(2, 2).is_err());
        assert!(ClusterSize::new(23, 16).is_err());
        assert!(ClusterSize::new(4, 1).is_err());
        assert!(ClusterSize::new(4, 5).is_err());
    }

    #[test]
    fn an_index_of_zero_from_the_wire_is_no_operator() {
        let size = ClusterSize::new(4, 3).unwrap();
        let read = |byte| <ShareIndex as ssz::Decode>::from_ssz_bytes(&[byte]).unwrap();
        let known: Vec<u8> = (0..=5).filter(|byte| size.contains(read(*byte))).collect();
        assert_eq!(known, [1, 2, 3, 4]);
    }
}
