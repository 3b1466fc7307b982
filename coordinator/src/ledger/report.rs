//! A report in the log: what the other books tell it, and what follows from it in them, in one entry.
//!
//! ```text
//! the look   the same slot, validators with the same balances, the same deposits arrived       else refused
//! reports    who earned what                                             its amounts are those of the book of money
//! money      the same report: fee minted, withdrawals served
//! money      what operators did not earn of their part -> treasury, reserve
//! losses     what they owe is repaid out of what they earned
//! clusters   that have too many strikes exit
//! ```

use super::bonds::Account;
use super::deposits::Validator;
use super::exits;
use super::operators::{Operator, OperatorId};
use super::pool::{self, OPERATORS_HOLDER, RESERVE_HOLDER};
use super::reports::{self, Axis, Cluster, Reported, Seat};
use super::state::{Event, Refusal, State};
use crate::formulas::participation::Statements;
use crate::formulas::shares::Shares;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Address, ClusterId, ClusterSize, Epoch, Gwei, ShareIndex, ValidatorIndex, Wei};

/// A report that tells of a validator what the look at the same state does not.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "validator {index} of cluster {cluster}: the report tells {told:?}, the state that was looked at has {looked:?}"
)]
pub struct OtherBalance {
    /// Which.
    pub index: ValidatorIndex,
    /// Whose, as the report or the book of deposits says.
    pub cluster: ClusterId,
    /// Balance and effective balance in the report; nothing: it does not tell of it.
    pub told: Option<[Gwei; 2]>,
    /// Those that were looked at; nothing: the cluster has no such validator.
    pub looked: Option<[Gwei; 2]>,
}

/// An operator's bond behind a cluster.
#[derive(Clone, Copy)]
struct Backed {
    /// The number of its first key there, from 1.
    first_key: u32,
    keys: u32,
    pledge: Wei,
}

/// Clusters as a report is told of them.
struct Seats<'a> {
    state: &'a State,
    /// Who is delinquent.
    late: BTreeSet<OperatorId>,
    backed: BTreeMap<(OperatorId, ClusterId), Backed>,
}

impl Seats<'_> {
    /// A cluster as a report of an epoch is told of it; nothing, if it had not begun.
    fn seated(&self, cluster: ClusterId, epoch: Epoch) -> Option<Cluster> {
        let members = self.state.clusters.get(cluster)?.members_at(epoch)?;
        let size = ClusterSize::new_safe(members.operators.len(), members.threshold.into()).ok()?;
        let seat = |id: &OperatorId| Some(self.seat_of(*id, self.state.operators.get(*id)?, cluster));
        let backed = members.operators.iter().filter_map(|id| self.backed.get(&(*id, cluster)));
        Some(Cluster {
            size,
            seats: members.operators.iter().map(seat).collect::<Option<_>>()?,
            pledge: Wei(backed.fold(Wei::ZERO.0, |sum, one| sum.saturating_add(one.pledge.0))),
            statements: self.state.heard(cluster, &members.operators),
        })
    }

    fn seat_of(&self, id: OperatorId, operator: &Operator, cluster: ClusterId) -> Seat {
        let backed = self.backed.get(&(id, cluster));
        // Who backs nothing here any more would come after all it backs.
        let account = || self.state.bonds.accounts.get(&id).map_or(0, Account::key_count);
        let first_key = backed.map_or_else(|| account().saturating_add(1), |backed| backed.first_key);
        Seat {
            operator: id,
            reward: operator.reward,
            operator_type: operator.application.operator_type.clone(),
            first_key,
            keys: backed.map_or(0, |backed| backed.keys),
            delinquent: self.late.contains(&id),
            labels: Axis::ALL.into_iter().map(|axis| (axis, axis.of(&operator.application))).collect(),
        }
    }
}

/// Events of one entry, and the state after them: what comes later in the entry is decided on that.
pub(super) struct Following {
    pub(super) state: State,
    events: Vec<Event>,
}

impl Following {
    /// Cost: the state is copied.
    fn new(state: &State) -> Self {
        Self { state: state.clone(), events: Vec::new() }
    }

    pub(super) fn take(&mut self, events: Vec<Event>) {
        for event in events {
            let applied = self.state.apply(&event);
            assert!(applied.is_ok(), "what was decided fits the state it was decided on: {applied:?}");
            self.events.push(event);
        }
    }

    /// Gives away what the books hold, as far as it is a share and they hold it.
    pub(super) fn give(&mut self, at: u64, from: Address, to: Address, eth: Wei) -> Result<(), Refusal> {
        match self.state.spend(at, pool::Command::Give { from, to, eth }) {
            Ok(given) => self.take(given),
            Err(Refusal::Money(pool::Refusal::NoShares)) => {}
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }
}

impl State {
    /// What a report leads to, at a time in Unix seconds.
    ///
    /// - Errors: it is not of the state that was looked at last, or tells of it something else than the look did; it is
    ///   refused by the book of reports, or of money.
    /// - Cost: a copy of the state, and what both books cost.
    pub(super) fn report(&self, at: u64, report: &reports::Report) -> Result<Vec<Event>, Refusal> {
        self.of_the_last_look(at, report)?;
        let reported = self.reported(report)?;
        let mut following = Following::new(self);
        following.take(vec![Event::Reports(Box::new(reports::Event::Reported(reported.clone())))]);
        following.take(self.spend(at, pool::Command::Report(reported.money()))?);
        let unearned = reported.unearned;
        following.give(at, OPERATORS_HOLDER, self.charter.treasury, unearned.pool)?;
        following.give(at, OPERATORS_HOLDER, RESERVE_HOLDER, unearned.reserve)?;
        let pays = reported.operators.iter().filter(|(_, earned)| earned.repaid != Wei::ZERO);
        let paid: Vec<_> = pays.map(|(operator, earned)| (*operator, earned.repaid)).collect();
        following.take(following.state.repaid(at, &paid)?);
        let is_open = |id: &ClusterId| self.clusters.get(*id).is_some_and(|found| found.stage.is_open());
        let mut leave: BTreeMap<ClusterId, Vec<&Validator>> = BTreeMap::new();
        leave.extend(reported.ejected.iter().copied().filter(is_open).map(|cluster| (cluster, Vec::new())));
        for validator in self.deposits.validators().values() {
            leave.entry(validator.cluster).and_modify(|its| its.push(validator));
        }
        for (cluster, its) in leave {
            following.take(self.wind_down_with(at, cluster, its.into_iter(), exits::Why::Strikes)?);
        }
        Ok(following.events)
    }

    /// What the book of reports makes of it.
    fn reported(&self, report: &reports::Report) -> Result<Box<Reported>, Refusal> {
        let rules = self.money_rules()?;
        let time = self.network.slot_start(report.slot).0 / 1_000;
        let epoch = self.network.epoch_of(report.slot);
        let seats = self.seats(time);
        let clusters = report.clusters.keys();
        let clusters = clusters.filter_map(|id| Some((*id, seats.seated(*id, epoch)?))).collect();
        let facts = reports::Facts {
            policy: &self.policy,
            finalized: self.chain.finalized,
            spec: &self.network,
            money: &|told| pool::settled(&self.money, &rules, told),
            clusters: &clusters,
            owed: &self.incidents.debts()?,
        };
        Ok(reports::decide(&self.reports, &facts, report)?)
    }

    /// Whether a report is of the state that was looked at last, and tells the same of it.
    fn of_the_last_look(&self, at: u64, report: &reports::Report) -> Result<(), Refusal> {
        let looked = self.deposits.looked();
        if looked != Some(report.slot) {
            return Err(Refusal::NotLookedAt { report: report.slot, looked });
        }
        let time = self.network.slot_start(report.slot).0 / 1_000;
        if time > at {
            return Err(Refusal::ReportOfTomorrow { report: time, at });
        }
        self.same_balances(report)?;
        // Both books move by the same event, and only a report says what has arrived.
        let arrived = self.deposits.arrived(self.money.books().transient);
        let looked = arrived.expect("what is on its way to validators is transient in the book of money");
        let validators = report.clusters.values().flat_map(|seen| seen.validators.values());
        // All ETH is far below the largest number.
        let told = validators.fold(report.lost.0, |sum, one| sum.saturating_add(one.arrived.0));
        let told = Gwei(told);
        if told != looked {
            return Err(Refusal::OtherArrivals { told, looked });
        }
        Ok(())
    }

    /// Whether a report tells of each validator what the look found, and leaves out none that has something.
    fn same_balances(&self, report: &reports::Report) -> Result<(), Refusal> {
        type Balances = BTreeMap<(ClusterId, ValidatorIndex), [Gwei; 2]>;
        let validators = self.deposits.validators().values();
        let with_index = validators.filter_map(|one| Some(((one.cluster, one.index?), one)));
        let looked: Balances = with_index.map(|(key, one)| (key, [one.balance, one.effective])).collect();
        let told: Balances = report
            .clusters
            .iter()
            .flat_map(|(cluster, seen)| seen.validators.iter().map(|one| (*cluster, one)))
            .map(|(cluster, (index, one))| ((cluster, *index), [one.balance, one.effective]))
            .collect();
        let had = looked.iter().filter(|(_, [balance, _])| *balance != Gwei(0));
        let keys: BTreeSet<_> = told.keys().chain(had.map(|(key, _)| key)).collect();
        let differs = keys.into_iter().find(|key| told.get(key) != looked.get(key));
        differs.map_or(Ok(()), |key| {
            let ((cluster, index), told, looked) = (*key, told.get(key).copied(), looked.get(key).copied());
            Err(Refusal::OtherBalance(Box::new(OtherBalance { index, cluster, told, looked })))
        })
    }

    /// Who sits in clusters, at a time in Unix seconds. Cost: all exits, all keys of all bonds.
    fn seats(&self, time: u64) -> Seats<'_> {
        Seats { state: self, late: self.exits.delinquent(time), backed: self.backed() }
    }

    /// What operators' bonds back, by operator and cluster. A bond that has lost something backs what it backed first. Cost:
    /// all keys of all bonds.
    fn backed(&self) -> BTreeMap<(OperatorId, ClusterId), Backed> {
        let mut all = BTreeMap::new();
        for (id, account) in &self.bonds.accounts {
            let operator = self.operators.get(*id);
            let kind = operator.and_then(|one| self.policy.operator_type(&one.application.operator_type));
            let prices = kind.map(|kind| account.backing(&kind.bond)).unwrap_or_default();
            let (mut first_key, mut left) = (1_u32, account.bond);
            for (at, keys) in account.keys.iter().enumerate() {
                let price = prices.get(at).map_or(Wei::ZERO, |(_, price)| *price);
                let pledge = price.min(left);
                left = Wei(left.0 - pledge.0);
                all.insert((*id, keys.cluster), Backed { first_key, keys: keys.count, pledge });
                first_key = first_key.saturating_add(keys.count);
            }
        }
        all
    }

    /// Statements about a cluster, by places in it. Who has no place any more is not heard.
    fn heard(&self, cluster: ClusterId, members: &[OperatorId]) -> Statements {
        let place = |who: &OperatorId| {
            let at = members.iter().position(|member| member == who)?;
            u8::try_from(at + 1).ok().and_then(ShareIndex::new)
        };
        let said = self.reports.statements(cluster).filter_map(|(by, seen)| {
            let seen = seen.iter().filter_map(|(of, count)| Some((place(of)?, *count)));
            Some((place(&by)?, seen.collect()))
        });
        said.collect()
    }

    /// What a statement of one who signs for an operator of a cluster leads to.
    pub(super) fn say(
        &self,
        signer: Address,
        cluster: ClusterId,
        statement: &reports::Statement,
    ) -> Result<Vec<Event>, Refusal> {
        let members = self.clusters.get(cluster).map_or(&[][..], |found| found.operators());
        let said = self.reports.say(cluster, members, self.managed(members, signer), statement)?;
        Ok(vec![Event::Reports(Box::new(said))])
    }

    /// Pays in shares what an account has earned and not taken, as far as the shares are there.
    pub(super) fn claim_rewards(&self, at: u64, account: Address) -> Result<Vec<Event>, Refusal> {
        let (due, rate) = (self.reports.claimable(account), self.money.rate());
        // What is due for losses is not theirs any more.
        let (need, have) = (rate.shares_of(due)?, self.money.operators()?);
        // What is short stays claimable.
        let short = need > have;
        if short && have == Shares::ZERO {
            return Err(pool::Refusal::NoShares.into());
        }
        let eth = if short { rate.eth_of_up(have)?.min(due) } else { due };
        let claimed = self.reports.claim(account, eth)?;
        let mut events = vec![Event::Reports(Box::new(claimed))];
        events.extend(self.spend(at, pool::Command::Give { from: OPERATORS_HOLDER, to: account, eth })?);
        Ok(events)
    }
}

#[cfg(test)]
mod tests;
