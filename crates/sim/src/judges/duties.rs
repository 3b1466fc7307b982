//! What was due is in the chain: counted from the chain's own committees and blocks.

use super::Violation;
use crate::chain::Chain;
use std::ops::RangeInclusive;
use types::{Slot, ValidatorIndex};

/// Duties of the cluster's validators over some slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Attestations due.
    pub attest_due: usize,
    /// Attestations in blocks.
    pub attest_done: usize,
    /// Blocks due.
    pub propose_due: usize,
    /// Blocks in the chain.
    pub propose_done: usize,
}

/// Counts the duties of the validators for which `ours` holds.
pub fn count(chain: &Chain, slots: RangeInclusive<u64>, ours: impl Fn(ValidatorIndex) -> bool) -> Count {
    let mut count = Count::default();
    for slot in slots.map(Slot) {
        for who in chain.committee(slot).into_iter().filter(|who| ours(*who)) {
            count.attest_due += 1;
            count.attest_done += usize::from(chain.attested(slot, who).is_some());
        }
        if slot > Slot(0) && ours(chain.proposer(slot)) {
            count.propose_due += 1;
            count.propose_done += usize::from(chain.has_block(slot));
        }
    }
    count
}

/// A violation for each duty that was due and is not in the chain.
pub fn missed(
    chain: &Chain,
    slots: RangeInclusive<u64>,
    ours: impl Fn(ValidatorIndex) -> bool,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for slot in slots.map(Slot) {
        let attesters = chain.committee(slot).into_iter().filter(|who| ours(*who));
        for who in attesters.filter(|who| chain.attested(slot, *who).is_none()) {
            violations.push(Violation { at: None, what: format!("no attestation of {who} for slot {slot}") });
        }
        if slot > Slot(0) && ours(chain.proposer(slot)) && !chain.has_block(slot) {
            violations.push(Violation { at: None, what: format!("no block for slot {slot}") });
        }
    }
    violations
}
