//! A disk in the jar: what was not synced before a crash may be gone, a part of it or all.

use rand_core::RngCore;
use std::collections::BTreeMap;
use symbolon_core::Ticket;
use symbolon_core::journal::{History, Row};
use types::PublicKey;

/// The journal's disk of one node.
#[derive(Debug, Default)]
pub struct Disk {
    durable: BTreeMap<PublicKey, History>,
    pending: BTreeMap<Ticket, Vec<Row>>,
    /// A copy of what was durable at some time.
    backup: BTreeMap<PublicKey, History>,
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

    /// A write fails: nothing of it is kept.
    pub fn fail(&mut self, ticket: Ticket) {
        self.pending.remove(&ticket);
    }

    /// The power fails: of what was not synced some whole writes are there, of the next one its first rows, and no more.
    ///
    /// Gives what was kept.
    pub fn crash(&mut self, rng: &mut impl RngCore) -> Vec<Row> {
        let written: Vec<Row> = std::mem::take(&mut self.pending).into_values().flatten().collect();
        let kept = match written.len() as u64 {
            0 => 0,
            count => rng.next_u64() % (count + 1),
        };
        let kept = &written[..kept as usize];
        for row in kept {
            self.durable.entry(row.key).or_default().append(row);
        }
        kept.to_vec()
    }

    /// Keeps a copy of what is durable now.
    pub fn back_up(&mut self) {
        self.backup = self.durable.clone();
    }

    /// Somebody restores the copy over a disk that is ahead of it.
    pub fn roll_back(&mut self) {
        self.durable = self.backup.clone();
    }

    /// Rows from elsewhere: a record of another system, imported.
    pub fn import(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            self.durable.entry(row.key).or_default().append(&row);
        }
    }

    /// What a restarted node reads, for keys in the lock's order.
    pub fn histories(&self, keys: &[PublicKey]) -> Vec<History> {
        keys.iter().map(|key| self.durable.get(key).copied().unwrap_or_default()).collect()
    }
}
