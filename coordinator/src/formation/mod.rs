//! Forms clusters: whoever has the same call and the same randomness forms the same ones, and can prove them right or wrong.
//!
//! ```text
//! call        candidates, rules, the pool's stake, clusters wanted, the epoch of the seed     published, in the log
//! commitment  = SHA-256( the call's canonical bytes, candidates sorted by address )
//! seed        = RANDAO mix of that epoch, once it is finalized; the epoch is later than the call's
//! order       = shuffle( candidates, mix, commitment )
//! proposal    = the first formation in that order with most clusters; each rule with its numbers; who is left and why
//! accepted    by every operator before a deadline, by the hash of the definition; or fallen, and by whom
//! ```
//!
//! What a coordinator can choose it has to choose before it can know the seed: another list, rule, number or epoch is
//! another commitment and so another order, unrelated to the first. What is left to it is seen by everybody: to publish a
//! call and not to answer it, or to publish many. The proposers of an epoch's last slots can turn its mix a few times, each
//! time for the price of a block.
//!
//! - [`call`]: what is called for, and what it is bound by.
//! - [`rule`]: the rules of a cluster, as numbers. [`proposal`]: what a call came to, and the same again to compare.
//! - [`judge`]: the same rules counted without the search. [`accept`]: what becomes of a proposed cluster.
//!
//! Limits of the search, and what "first" means, are told at its head, in `search`; the shuffle's at its own, in `shuffle`.

pub mod accept;
mod board;
pub mod call;
pub mod judge;
pub mod proposal;
pub mod rule;
mod search;
mod shuffle;
#[cfg(test)]
mod tests;

pub use call::{Call, Candidate, Delegation, PoolStake, Rules, Terms};
pub use proposal::{Proposal, ProposedCluster, Shortfall};
pub use rule::{Check, Dimension, Diversity, Rule};
pub use search::STEPS_MAX;

use serde::{Deserialize, Serialize};
use types::{Epoch, Root};

/// Randomness of the beacon chain that nobody had when the call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// Of which epoch.
    pub epoch: Epoch,
    /// `get_randao_mix(state, epoch)` of a finalized state that is past this epoch: no block changes it any more.
    pub mix: Root,
}
