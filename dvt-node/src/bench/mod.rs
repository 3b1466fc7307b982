//! `dvt-node bench signing`: what the curve work of one slot costs a node, beside the plain way and another library.
//!
//! Three contenders get the same keys, the same halves and the same bytes of partial signatures, and must give the same
//! signatures. Only the work of the slot is measured, in processor time, on one core.
//!
//! - `made`: the cluster and what arrives. `plain`, `peer`, `ours`: the contenders (a), (b), (c).
//! - `signing`: the command. `report`: what it prints. `clock`, `memory`: how it is measured.

mod clock;
mod made;
pub mod memory;
mod ours;
mod peer;
mod plain;
mod report;
mod signing;
#[cfg(test)]
mod tests;

pub use report::{Caught, Contenders, Report};
pub use signing::{SigningArgs, signing};

use made::Arrived;
use std::collections::BTreeSet;
use types::{ShareIndex, Signature};

/// What is measured.
#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// Measure the curve work of one node in one slot: verifying every partial alone (a), threshold_crypto (b), ours (c).
    ///
    /// Counted for each of the slot's attesters, ceil(validators / 32): checking what the own validator client signed with
    /// its half, adding the node's half, reading the partials of all other operators, and the validator's signature, combined
    /// and verified. (a) verifies the half, every partial and the result alone with blst, and combines with full
    /// multiplications. (b) does the same with threshold_crypto. (c) is what this node does: one check of all halves, combined
    /// unverified, one check of all results, a search when that fails. All partials are at hand when a node's own signing is
    /// done; "dearest quorum" shows (c) when just enough are, and those that combine worst; "without client's halves" what a
    /// node would need whose share is not split, for which there is no half to check.
    ///
    /// Not counted: the network, the node signatures on frames, guard and journal, and parsing public keys, which a node does
    /// when it starts. Times are milliseconds of processor time on one core, the median of the rounds; memory is by how many
    /// bytes the heap grows at most. All three must give equal signatures, or the command fails. Keys come from the seed.
    ///
    /// Example: dvt-node bench signing --validators 1000 --operators 4 --threshold 3 --bad 0.01 --json
    Signing(SigningArgs),
}

/// What came of one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Slot {
    /// The validators' signatures, in order; `None` with fewer than `t` good partials.
    signatures: Vec<Option<Signature>>,
    /// Whose partial for which validator is known to be bad.
    culprits: BTreeSet<(usize, ShareIndex)>,
    /// Miller loops.
    pairings: usize,
}

/// A way to do a slot's work.
trait Contender {
    /// From halves and partials to signatures.
    fn slot(&mut self, arrived: &Arrived) -> anyhow::Result<Slot>;
}
