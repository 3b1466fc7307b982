//! What has happened since the last report: it is in the log, and not in the state.

use crate::ledger::state::Event;
use crate::ledger::{Entry, deposits, pool};
use std::collections::BTreeMap;
use types::{Gwei, PublicKey};

/// Deposits that arrived since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    arrived: BTreeMap<PublicKey, Gwei>,
}

impl Tally {
    /// Counts an entry; they come in the log's order.
    pub fn take(&mut self, entry: &Entry) {
        for event in &entry.events {
            match event {
                Event::Money(event) if matches!(**event, pool::Event::Reported(_)) => self.arrived.clear(),
                Event::Deposits(event) => {
                    if let deposits::Event::Arrived { pubkey, amount, .. } = &**event {
                        let sum = self.arrived.entry(*pubkey).or_default();
                        // The pool's own deposits: all ETH is far below the largest number.
                        *sum = Gwei(sum.0.saturating_add(amount.0));
                    }
                }
                _ => {}
            }
        }
    }

    /// What arrived in a validator's balance.
    pub fn arrived(&self, pubkey: &PublicKey) -> Gwei {
        self.arrived.get(pubkey).copied().unwrap_or_default()
    }
}
