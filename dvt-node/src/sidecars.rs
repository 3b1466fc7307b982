//! Blobs and proofs of blocks that this node's beacon node made: kept until the block is signed.
//!
//! Operators agree on the block alone; what travels beside it stays with the node whose beacon node made it, which
//! publishes it. Bound: `KEPT_MAX` blocks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use types::block::Sidecars;
use types::{Root, Slot};

/// Blocks whose sidecars are kept: those of this slot's rounds and the last one's.
const KEPT_MAX: usize = 4;

/// Sidecars by block; the oldest slot goes first.
#[derive(Debug, Default)]
pub struct Kept(Mutex<BTreeMap<(Slot, Root), Sidecars>>);

impl Kept {
    /// Keeps the sidecars of a block.
    pub fn keep(&self, slot: Slot, block: Root, sidecars: Sidecars) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert((slot, block), sidecars);
        while kept.len() > KEPT_MAX {
            kept.pop_first();
        }
    }

    /// The sidecars of a block, if this node's beacon node made it.
    pub fn of(&self, block: Root) -> Option<Sidecars> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|((_, of), _)| *of == block).map(|(_, sidecars)| sidecars.clone())
    }
}
