//! Bids that were handed to the beacon node: kept, so that a leader can show the bid of the block it proposes.
//!
//! Bound: [`BIDS_MAX`] bids.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use types::{PublicKey, RelayBid, Root, Slot};

/// Bids that are kept: a slot of ours has one for each question of a beacon node, so these are many slots'.
pub const BIDS_MAX: usize = 32;

/// A bid, and who made it.
#[derive(Clone, Debug)]
struct Held {
    bid: RelayBid,
    relays: Vec<PublicKey>,
}

/// Bids by the hash of their execution block; the oldest slot goes first.
#[derive(Debug, Default)]
pub struct Bids(Mutex<BTreeMap<(Slot, Root), Held>>);

impl Bids {
    /// Keeps a bid for a slot. `relays`: all that offered this very header.
    pub fn keep(&self, slot: Slot, bid: RelayBid, relays: Vec<PublicKey>) {
        let mut bids = self.lock();
        bids.insert((slot, bid.block_hash), Held { bid, relays });
        while bids.len() > BIDS_MAX {
            bids.pop_first();
        }
    }

    /// The bid for an execution block, if it was handed out here.
    pub fn of(&self, block_hash: Root) -> Option<RelayBid> {
        self.held(block_hash).map(|held| held.bid)
    }

    /// Who offered an execution block, if its bid was handed out here.
    pub(crate) fn relays_of(&self, block_hash: Root) -> Option<Vec<PublicKey>> {
        self.held(block_hash).map(|held| held.relays)
    }

    fn held(&self, block_hash: Root) -> Option<Held> {
        // The latest slot's, should a relay ever offer one block twice.
        self.lock().iter().rev().find(|((_, of), _)| *of == block_hash).map(|(_, held)| held.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Slot, Root), Held>> {
        // A panic elsewhere leaves a whole map: insertions are the only change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssz::Encode as _;
    use types::builder::{BuilderBidCapella, SignedBuilderBid};
    use types::{Fork, Signature};

    fn bid(block_hash: Root, relay: u8) -> RelayBid {
        let mut message =
            BuilderBidCapella { pubkey: PublicKey([relay; 48]), ..BuilderBidCapella::default() };
        message.header.block_hash = block_hash;
        let signed = SignedBuilderBid { message, signature: Signature::ZERO };
        RelayBid::from_ssz(Fork::Capella, &signed.as_ssz_bytes()).unwrap()
    }

    #[test]
    fn a_bid_is_found_by_its_block_until_many_later_ones_have_come() {
        let bids = Bids::default();
        let hash = |slot: u64| Root([slot as u8; 32]);
        let last = BIDS_MAX as u64 + 2;
        for slot in 1..=last {
            bids.keep(Slot(slot), bid(hash(slot), 7), vec![PublicKey([7; 48])]);
        }
        assert_eq!(bids.lock().len(), BIDS_MAX);
        assert_eq!(bids.of(hash(1)), None);
        assert_eq!(bids.of(hash(2)), None);
        assert_eq!(bids.of(hash(3)), Some(bid(hash(3), 7)));
        assert_eq!(bids.relays_of(hash(last)), Some(vec![PublicKey([7; 48])]));
        bids.keep(Slot(last), bid(hash(last), 8), vec![]);
        assert_eq!(bids.of(hash(last)), Some(bid(hash(last), 8)), "asked again, the new answer counts");
    }
}
