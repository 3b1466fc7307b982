//! A disk in the jar: what was not synced before a crash is gone.

use std::collections::BTreeMap;
use symbolon_core::Ticket;
use symbolon_core::journal::{History, Row};
use types::PublicKey;

/// The journal's disk of one node.
#[derive(Debug, Default)]
pub struct Disk {
    durable: BTreeMap<PublicKey, History>,
    pending: BTreeMap<Ticket, Vec<Row>>,
}

impl Disk {
    /// Takes rows that are not durable yet.
    pub fn write(&mut self, ticket: Ticket, rows: Vec<Row>) {
        self.pending.insert(ticket, rows);
    }

    /// Rows of a write become durable; `None` if a crash has lost them.
    pub fn sync(&mut self, ticket: Ticket) -> Option<Vec<Row>> {
        let rows = self.pending.remove(&ticket)?;
        for row in &rows {
            self.durable.entry(row.key).or_default().append(row);
        }
        Some(rows)
    }

    /// The power fails: what was not synced is gone.
    pub fn crash(&mut self) {
        self.pending.clear();
    }

    /// What a restarted node reads, for keys in the lock's order.
    pub fn histories(&self, keys: &[PublicKey]) -> Vec<History> {
        keys.iter().map(|key| self.durable.get(key).copied().unwrap_or_default()).collect()
    }
}
