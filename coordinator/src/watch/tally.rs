//! What has happened since the last report: it is in the log, and not in the state.

use crate::ledger::entry::Cause;
use crate::ledger::incidents::{self, Fault};
use crate::ledger::reports::{self, Report};
use crate::ledger::routes::{self, Seen};
use crate::ledger::state::Event;
use crate::ledger::{Entry, Sighting, deposits, pool};
use std::collections::{BTreeMap, BTreeSet};
use types::{Gwei, PublicKey, ValidatorIndex};

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Deposits that arrived since the last report.
    arrived: BTreeMap<PublicKey, Gwei>,
    /// What reports said that slashed validators lost, in all.
    penalised: BTreeMap<ValidatorIndex, Gwei>,
    /// Slashings, by incident.
    slashings: BTreeMap<u64, ValidatorIndex>,
    /// Those that governance has said were none.
    dismissed: BTreeSet<ValidatorIndex>,
}

impl Tally {
    /// Counts an entry; they come in the log's order.
    pub fn take(&mut self, entry: &Entry) {
        for event in &entry.events {
            match event {
                Event::Money(event) if matches!(**event, pool::Event::Reported(_)) => self.arrived.clear(),
                Event::Reports(event) => {
                    if let reports::Event::Reported(reported) = &**event {
                        self.report(&entry.cause, reported.categories.slashed);
                    }
                }
                Event::Incidents(event) => self.incident(event),
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

    fn incident(&mut self, event: &incidents::Event) {
        match event {
            incidents::Event::Opened(opened) => {
                if let Fault::Slashing(slashing) = opened.fault {
                    self.slashings.insert(opened.incident, slashing.validator);
                }
            }
            incidents::Event::Dismissed { incident, .. } => {
                self.dismissed.extend(self.slashings.get(incident));
            }
            _ => {}
        }
    }

    /// Counts what a report says of those who are slashed.
    ///
    /// - `slashed`: what slashings cost in its frame. Before one has cost something nobody is slashed, and reports are long.
    fn report(&mut self, cause: &Cause, slashed: Gwei) {
        let Cause::Observation(seen) = cause else { return };
        if slashed == Gwei(0) && self.penalised.is_empty() {
            return;
        }
        match routes::seen(&seen.kind, &seen.body) {
            Ok(Seen::One(one)) => self.sighting(&one),
            Ok(Seen::Many(many)) => many.iter().for_each(|one| self.sighting(one)),
            // What an entry has was read before it was written.
            Err(_) => {}
        }
    }

    fn sighting(&mut self, sighting: &Sighting) {
        let Sighting::Report(report) = sighting else { return };
        let Report { clusters, .. } = &**report;
        let all = clusters.values().flat_map(|cluster| &cluster.validators);
        for (index, seen) in all.filter(|(_, seen)| seen.slashed) {
            // In its first frame it missed duties before it was slashed, and nobody can tell them apart.
            let since = self.penalised.get(index).map(|sum| [sum.0, seen.missed.0, seen.leaked.0]);
            let parts = since.unwrap_or_default().into_iter().chain([seen.penalised.0]);
            self.penalised.insert(*index, Gwei(parts.fold(0, u64::saturating_add)));
        }
    }

    /// What reports said that a slashed validator lost since: penalties, and missed duties of later frames. `None` if none
    /// has it.
    pub fn penalised(&self, index: ValidatorIndex) -> Option<Gwei> {
        self.penalised.get(&index).copied()
    }

    /// Whether governance has said that a validator's slashing was none.
    pub fn is_dismissed(&self, index: ValidatorIndex) -> bool {
        self.dismissed.contains(&index)
    }

    /// What arrived in a validator's balance.
    pub fn arrived(&self, pubkey: &PublicKey) -> Gwei {
        self.arrived.get(pubkey).copied().unwrap_or_default()
    }
}
