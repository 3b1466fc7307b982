//! Nobody has more on its mind than its cluster gives reason for, however long it runs.
//!
//! A mind is measured as the length of its description ([`crate::world::World::mind_len`]), which is proportional to its
//! memory, and the same for the same seed.

use super::Violation;
use types::ClusterSize;

/// What a node of no cluster would be allowed.
const MIND_BASE: usize = 1 << 20;
/// And for each pair of operator and validator: what each operator says for each validator in an epoch. Together twice
/// the most that was seen in a thousand runs, villains and faults included, of each size: 1.4 MB of 4 operators with 2
/// validators, 2.1 MB with 4, 2.9 MB of 7 operators with 4.
const MIND_PER_PAIR: usize = 160 << 10;

/// Epochs after which a mind has all that it ever keeps: accounts are kept for three ([`symbolon_core::node::ACCOUNT_EPOCHS`]),
/// and everything else for less.
const FILLED_EPOCHS: usize = 4;
/// The most by which a later part of a run may be above an earlier one: an eighth. Epochs differ by less in who proposes
/// and who is in a committee, once the greatest of several is taken.
const GROWTH_PART: usize = 8;

/// The most that a node may have on its mind at any time.
pub fn mind_max(size: ClusterSize, validators: u32) -> usize {
    MIND_BASE + MIND_PER_PAIR * size.operators() * validators as usize
}

/// Judges one measurement.
pub fn judge(size: ClusterSize, validators: u32, mind_len: usize) -> Option<Violation> {
    let most = mind_max(size, validators);
    let what = || format!("a node has {mind_len} bytes on its mind, and {most} are enough");
    (mind_len > most).then(|| Violation { at: None, what: what() })
}

/// Judges whether a mind grows with time, which a limit that leaves room would notice late.
///
/// - `mind_lens`: one measurement at the end of each epoch, from the first on, of a run in which little goes wrong. With
///   fewer than six nothing can be said.
pub fn judge_growth(mind_lens: &[usize]) -> Option<Violation> {
    let filled = mind_lens.get(FILLED_EPOCHS..).unwrap_or_default();
    let (earlier, later) = filled.split_at(filled.len() / 2);
    let (earlier, later) = (earlier.iter().max()?, later.iter().max()?);
    let what = || format!("minds of {earlier} bytes have grown to {later}");
    (*later > earlier + earlier / GROWTH_PART).then(|| Violation { at: None, what: what() })
}
