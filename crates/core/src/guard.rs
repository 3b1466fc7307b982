//! The guard: may this be signed, given what was signed before? One pure function.
//!
//! EIP-3076's conditions over what the journal keeps of a key: the last signed row, and the highest source,
//! target and block slot ever promised. Everything at or below those watermarks is refused unless it is, to the
//! signing root, what was signed last. That is stricter than the slashing conditions and needs constant space:
//!
//! - *double vote, double block*: the target (slot) must exceed the highest one, or be the same data again;
//! - *surrounding an earlier vote*: needs a source below that vote's, and sources never fall below the highest;
//! - *surrounded by an earlier vote*: needs a target below that vote's, and targets only rise.
//!
//! An imported row carries no root, so it equals nothing, and is only a watermark.

use crate::journal::{History, Promise};
use thiserror::Error;
use types::{Epoch, SigningRoot, Slot};

/// Which condition a candidate breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rule {
    /// Not above the highest block slot, and not the same block again.
    #[error("a block of slot {slot} when one of slot {journal} was promised")]
    Block {
        /// The candidate's slot.
        slot: Slot,
        /// The journal's highest.
        journal: Slot,
    },
    /// Not above the highest target, and not the same vote again.
    #[error("a vote for target epoch {target} when one for target epoch {journal} was promised")]
    Target {
        /// The candidate's target.
        target: Epoch,
        /// The journal's highest.
        journal: Epoch,
    },
    /// Below the highest source: it could surround an earlier vote.
    #[error("a vote from source epoch {vote} when one from source epoch {journal} was promised")]
    Source {
        /// The candidate's source.
        vote: Epoch,
        /// The journal's highest.
        journal: Epoch,
    },
    /// Source after target: no chain asks for that.
    #[error("a vote from source epoch {vote} to the earlier target epoch {target}")]
    SourceAfterTarget {
        /// The candidate's source.
        vote: Epoch,
        /// The candidate's target.
        target: Epoch,
    },
}

/// The guard's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// New and harmless: promise it, then sign.
    Fresh,
    /// Exactly what was promised last: signing it again adds nothing.
    Again,
    /// Could be slashed.
    Refused(Rule),
}

/// Judges a candidate against a key's history.
///
/// - `history`: what was promised for this group key, by any generation of its shares.
/// - `promise`, `root`: what would be signed; the root is computed by the caller from the agreed bytes.
/// - Cost: a few comparisons.
/// - Source: EIP-3076, conditions 2 to 6, in their minimal form.
pub fn judge(history: &History, promise: Promise, root: SigningRoot) -> Verdict {
    match promise {
        Promise::Block { slot } => judge_block(history, slot, root),
        Promise::Attestation { source, target } => judge_attestation(history, source, target, root),
    }
}

fn judge_block(history: &History, slot: Slot, root: SigningRoot) -> Verdict {
    let Some(last) = history.block else { return Verdict::Fresh };
    if slot > last.slot {
        return Verdict::Fresh;
    }
    if slot == last.slot && last.root == Some(root) {
        return Verdict::Again;
    }
    Verdict::Refused(Rule::Block { slot, journal: last.slot })
}

fn judge_attestation(history: &History, source: Epoch, target: Epoch, root: SigningRoot) -> Verdict {
    if source > target {
        return Verdict::Refused(Rule::SourceAfterTarget { vote: source, target });
    }
    let Some(last) = history.attestation else { return Verdict::Fresh };
    if (last.source, last.target, last.root) == (source, target, Some(root)) {
        return Verdict::Again;
    }
    if target <= last.target_max {
        return Verdict::Refused(Rule::Target { target, journal: last.target_max });
    }
    if source < last.source_max {
        return Verdict::Refused(Rule::Source { vote: source, journal: last.source_max });
    }
    Verdict::Fresh
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Row;
    use proptest::prelude::*;
    use types::{PublicKey, Root};

    fn root(byte: u8) -> SigningRoot {
        SigningRoot::compute(Root([byte; 32]), Root::ZERO)
    }

    fn row(promise: Promise, byte: u8) -> Row {
        Row { key: PublicKey::ZERO, slot: Slot(0), promise, root: Some(root(byte)) }
    }

    fn vote(source: u64, target: u64) -> Promise {
        Promise::Attestation { source: Epoch(source), target: Epoch(target) }
    }

    /// The slashing conditions themselves, over everything ever signed.
    fn slashable(signed: &[(Promise, u8)], candidate: (Promise, u8)) -> bool {
        signed.iter().any(|old| match (old.0, candidate.0) {
            (Promise::Block { slot: a }, Promise::Block { slot: b }) => a == b && old.1 != candidate.1,
            (
                Promise::Attestation { source: s1, target: t1 },
                Promise::Attestation { source: s2, target: t2 },
            ) => {
                let double = t1 == t2 && *old != candidate;
                double || (s1 < s2 && t2 < t1) || (s2 < s1 && t1 < t2)
            }
            _ => false,
        })
    }

    fn any_promise() -> impl Strategy<Value = (Promise, u8)> {
        let block = (0u64..6).prop_map(|slot| Promise::Block { slot: Slot(slot) });
        let vote = (0u64..6, 0u64..6).prop_map(|(source, target)| vote(source, target));
        (prop_oneof![block, vote], 0u8..3)
    }

    proptest! {
        #[test]
        fn whatever_is_allowed_is_never_slashable(candidates in prop::collection::vec(any_promise(), 0..40)) {
            let mut history = History::default();
            let mut signed = Vec::new();
            for (promise, byte) in candidates {
                match judge(&history, promise, root(byte)) {
                    Verdict::Refused(_) => {}
                    Verdict::Fresh => {
                        prop_assert!(!slashable(&signed, (promise, byte)));
                        history.append(&row(promise, byte));
                        signed.push((promise, byte));
                    }
                    Verdict::Again => prop_assert!(signed.contains(&(promise, byte))),
                }
            }
        }
    }

    #[test]
    fn rising_votes_and_blocks_pass_and_the_last_one_may_be_repeated() {
        let mut history = History::default();
        for epoch in 1..5 {
            assert_eq!(judge(&history, vote(epoch - 1, epoch), root(1)), Verdict::Fresh);
            history.append(&row(vote(epoch - 1, epoch), 1));
            assert_eq!(judge(&history, vote(epoch - 1, epoch), root(1)), Verdict::Again);
            let other = Verdict::Refused(Rule::Target { target: Epoch(epoch), journal: Epoch(epoch) });
            assert_eq!(judge(&history, vote(epoch - 1, epoch), root(2)), other);
        }
    }

    #[test]
    fn an_imported_row_equals_nothing() {
        let mut history = History::default();
        history.append(&Row { root: None, ..row(Promise::Block { slot: Slot(7) }, 0) });
        assert!(matches!(judge(&history, Promise::Block { slot: Slot(7) }, root(0)), Verdict::Refused(_)));
        assert_eq!(judge(&history, Promise::Block { slot: Slot(8) }, root(0)), Verdict::Fresh);
    }
}
