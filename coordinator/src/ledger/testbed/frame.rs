//! Reports of the chain in a jar: what happened in a frame, as balances show it.

use super::Pool;
use super::jar::Jar;
use crate::formulas::rewards::ideal_attestations;
use crate::formulas::shares::Shares;
use crate::formulas::wide;
use crate::ledger::entry::Sealed;
use crate::ledger::log::AppendError;
use crate::ledger::pool;
use crate::ledger::reports::{self, Duties, Network, Report, Reported, SeenCluster, SeenValidator};
use crate::ledger::state::Event;
use crate::text::Text;
use alloy_primitives::U256;
use serde_json::json;
use std::collections::BTreeMap;
use types::{Address, ClusterId, Epoch, Gwei, Root, Slot, ValidatorStatus};

/// Duties of a validator in a frame, whichever.
pub(crate) const DUE: u64 = 225;

/// What an entry says that a report came to: in the book of reports, and in the book of money.
pub(crate) fn reported(events: &[Event]) -> Option<(&Reported, &pool::Reported)> {
    let reported = events.iter().find_map(|event| match event {
        Event::Reports(event) => match &**event {
            reports::Event::Reported(reported) => Some(&**reported),
            _ => None,
        },
        _ => None,
    });
    let settled = events.iter().find_map(|event| match event {
        Event::Money(event) => match &**event {
            pool::Event::Reported(settled) => Some(settled),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(reported.is_some(), settled.is_some(), "a report is in both books");
    Some((reported?, settled?))
}

/// A report has one set of numbers: those of the book of money, divided by the book of reports.
pub(crate) fn agree(events: &[Event]) {
    let Some((reported, settled)) = reported(events) else { return };
    assert_eq!(reported.money(), settled.report);
    assert_eq!((reported.el_rewards, reported.after), (settled.rewards, settled.after));
    // All fees are parts of the result, and the shares that are minted for them are worth that, rounded down.
    let parts = &reported.parts;
    let fee = wide::total([parts.pool, parts.reserve, parts.operators, parts.debts]).unwrap();
    let minted = settled.fees.iter().fold(U256::ZERO, |sum, (_, shares)| sum + shares.0);
    let worth = settled.after.eth_of(Shares(minted)).unwrap();
    let share = settled.after.eth_of_up(Shares(U256::from(2))).unwrap();
    assert!(worth <= fee && fee.0 - worth.0 <= share.0, "{worth} minted for {fee}");
}

impl Pool {
    /// Seconds since 1970 at the jar's slot.
    pub(crate) fn time_of(&self, slot: u64) -> u64 {
        self.state().network.slot_start(Slot(slot)).0 / 1_000
    }

    /// The chain goes on to the next slot that a report can be of, and is looked at there.
    pub(crate) fn reach(&mut self, jar: &mut Jar) -> Result<(), AppendError> {
        let frame = u64::from(self.state().policy.terms().reports.frame_epochs);
        let (mut epoch, step) = match self.state().reports.last() {
            Some(last) => (last.epoch.0 + frame, frame),
            None => (jar.slot / 32 + 1, 1),
        };
        let looked = self.state().deposits.looked().map_or(0, |slot| slot.0).max(jar.slot);
        while 32 * epoch <= looked || self.time_of(32 * epoch) < self.now {
            epoch += step;
        }
        (jar.slot, self.now) = (32 * epoch, self.time_of(32 * epoch));
        if Epoch(epoch) > self.state().chain.finalized.epoch {
            let root = Root([7; 32]);
            self.see("finalized", &json!({"epoch": epoch.to_string(), "root": root}))?;
        }
        self.look(jar).map(drop)
    }

    /// What happened in the frame that ends with the jar's slot: all duties were done.
    pub(crate) fn frame(&self, jar: &Jar) -> Report {
        let state = self.state();
        let stake = state.chain.stake.map_or(Gwei(32_000_000_000), |stake| stake.active);
        let epoch = jar.slot / 32;
        let epochs = state.reports.last().map_or(0, |last| epoch - last.epoch.0);
        let mut clusters: BTreeMap<ClusterId, SeenCluster> = BTreeMap::new();
        let mut arrived = 0;
        for (pubkey, seen) in &jar.validators {
            let known = state.deposits.validators().get(pubkey).filter(|known| known.index.is_some());
            let Some(known) = known.filter(|_| seen.credentials == self.ours()) else { continue };
            let of = |book: &BTreeMap<_, u64>| book.get(pubkey).copied().unwrap_or_default();
            let before = state.reports.balances().get(&known.cluster).and_then(|all| all.get(&seen.index));
            let (is, was) =
                (seen.balance.0 + of(&jar.swept), before.map_or(0, |gwei| gwei.0) + of(&jar.arrived));
            let (gained, lost) = (is.saturating_sub(was), was.saturating_sub(is));
            let active = seen.status == ValidatorStatus::ActiveOngoing;
            let increments = if active { 32 * epochs } else { 0 };
            let validator = SeenValidator {
                status: seen.status,
                slashed: seen.slashed,
                balance: seen.balance,
                effective: seen.effective_balance,
                arrived: Gwei(of(&jar.arrived)),
                swept: Gwei(of(&jar.swept)),
                increments,
                attested: Gwei(gained).min(ideal_attestations(increments, stake)),
                missed: Gwei(if seen.slashed { 0 } else { lost }),
                leaked: Gwei(0),
                penalised: Gwei(if seen.slashed { lost } else { 0 }),
            };
            arrived += of(&jar.arrived);
            let cluster = clusters.entry(known.cluster).or_default();
            cluster.validators.insert(seen.index, validator);
            let due = cluster.duties.due + if active { DUE } else { 0 };
            cluster.duties = Duties { made: due, due };
        }
        let gone = state.deposits.arrived(state.money.books().transient).unwrap();
        Report {
            frame: state.reports.next(),
            slot: Slot(jar.slot),
            block_root: Root([7; 32]),
            network: Network { stake, stake_min: stake, duties: Duties { made: 99, due: 100 } },
            lost: Gwei(gone.0 - arrived),
            clusters,
            evidence: [(Text::new("/eth/v1/beacon/headers/finalized").unwrap(), Root([3; 32]))].into(),
        }
    }

    /// The coordinator tells of a frame.
    pub(crate) fn tell(&mut self, jar: &mut Jar, report: &Report) -> Result<Sealed, AppendError> {
        let sealed = self.see("report", &serde_json::to_value(report).unwrap())?;
        jar.arrived.clear();
        jar.swept.clear();
        Ok(sealed)
    }

    /// The next report: the chain goes on to it, is looked at, and told.
    pub(crate) fn report(&mut self, jar: &mut Jar) -> Result<Sealed, AppendError> {
        self.reach(jar)?;
        self.tell(jar, &self.frame(jar))
    }

    /// One who signs for an operator says how many partial signatures of others it saw.
    pub(crate) fn say(
        &mut self,
        who: u8,
        cluster: ClusterId,
        seen: &[(Address, u64)],
    ) -> Result<Sealed, AppendError> {
        let seen: BTreeMap<_, _> = seen.iter().copied().collect();
        let body = json!({"frame": self.state().reports.next(), "seen": seen});
        self.send(who, "PUT", &format!("/v1/clusters/{cluster}/statements"), &body)
    }
}
