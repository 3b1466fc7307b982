//! What a loss moves: incidents, and what follows from them in the books of bonds and money, in the same entry.
//!
//! ```text
//! settled   bonds are taken, in order; the reserve's part is due in shares; debts are written against bonds
//! repaid    new bond, or rewards  ->  who had paid, in the opposite order; a bond that gets something back pays its own debts
//! ```
//!
//! What bonds pay lies where bonds lie. People send it to the pool, where it is seen as cover, or as a payment for the reserve.
//! What rewards pay is in the pool already, as the operators' shares: of it, what goes back to a bond is its operator's to
//! claim, so no ETH has to move. What an operator owes is the same in the books of bonds
//! and of incidents.

use super::bonds;
use super::deposits;
use super::incidents::{self, Flow, Holders};
use super::operators::{OperatorId, Reason};
use super::pool::{self, OPERATORS_HOLDER, RESERVE_HOLDER};
use super::reports;
use super::state::{ActRefusal, Event, Refusal, State};
use std::collections::{BTreeSet, VecDeque};
use types::{ClusterId, Epoch, ValidatorIndex, Wei};

/// Where what an operator pays of its debts comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A deposit of bond, which the book of bonds has.
    Bond,
    /// Its rewards, which the operators' account has in shares.
    Rewards,
}

impl State {
    /// What a fault, or what one has cost, leads to.
    pub(super) fn see_incident(&self, at: u64, seen: &incidents::Seen) -> Result<Vec<Event>, Refusal> {
        self.follow(at, &seen.command())
    }

    /// What somebody's wish about an incident leads to.
    pub(super) fn about_incident(&self, at: u64, wish: &incidents::Wish) -> Result<Vec<Event>, Refusal> {
        self.follow(at, &wish.command())
    }

    /// Governance says that an incident was none. It moves no money.
    pub(super) fn dismiss(&self, at: u64, incident: u64, reason: &Reason) -> Result<Vec<Event>, ActRefusal> {
        let command = incidents::Command::Dismiss { incident, reason: reason.clone() };
        let events = self.incident(at, &self.incidents, &command)?;
        Ok(events.into_iter().map(|event| Event::Incidents(Box::new(event))).collect())
    }

    /// What a deposit of bond, or the payment of a claim, leads to.
    pub(super) fn see_bond(&self, at: u64, seen: &bonds::Sighting) -> Result<Vec<Event>, Refusal> {
        let events = self.with_bond_facts(|facts| self.bonds.see(facts, seen))?;
        let pays = |event: &bonds::Event| matches!(event, bonds::Event::Deposited { repaid, .. } if *repaid != Wei::ZERO);
        if !events.iter().any(pays) {
            return Ok(events.into_iter().map(Event::Bonds).collect());
        }
        let mut books = Books::of(self);
        events.into_iter().for_each(|event| books.bond(event));
        books.repay(at, Source::Bond)
    }

    /// What operators pay of their debts out of rewards, before they keep anything.
    ///
    /// - `paid`: who, and how much, at most what it owes. In this order: the first ones' creditors are paid first.
    /// - In the books: of bonds and of incidents, debts fall; of reports, what goes back to a bond is for its operator to claim;
    ///   of money, what goes to delegators and reserve is due from the operators' account until the next report.
    /// - Errors: more than is owed; no such operator.
    pub(super) fn repaid(&self, at: u64, paid: &[(OperatorId, Wei)]) -> Result<Vec<Event>, Refusal> {
        let mut books = Books::of(self);
        for (operator, amount) in paid {
            let owed = books.bonds.account(*operator).debt;
            if *amount > owed {
                let (operator, amount) = (*operator, *amount);
                return Err(incidents::Refusal::NotOwed { operator, amount, owed }.into());
            }
            books.order(&bonds::Order::Credit(*operator, *amount))?;
        }
        books.repay(at, Source::Rewards)
    }

    /// What a command of the book of incidents leads to, in all books that it moves.
    fn follow(&self, at: u64, command: &incidents::Command) -> Result<Vec<Event>, Refusal> {
        let happened = self.incident(at, &self.incidents, command)?;
        let mut flow = Flow::default();
        for event in &happened {
            flow = flow.with(&event.flow())?;
        }
        let mut events = if happened.iter().all(|event| event.orders().is_empty()) {
            happened.into_iter().map(|event| Event::Incidents(Box::new(event))).collect()
        } else {
            Books::of(self).obey(happened)?
        };
        if flow.from_reserve != Wei::ZERO {
            let (holder, eth) = (RESERVE_HOLDER, flow.from_reserve);
            events.extend(self.spend(at, pool::Command::Forgive { holder, eth })?);
        }
        Ok(events)
    }

    fn incident(
        &self,
        at: u64,
        book: &incidents::State,
        command: &incidents::Command,
    ) -> Result<Vec<incidents::Event>, incidents::Refusal> {
        let ours = |index: ValidatorIndex| {
            let (_, validator) = self.deposits.by_index(index)?;
            (!validator.is_foreign()).then_some(validator)
        };
        let members = |cluster: ClusterId, epoch: Epoch| {
            let members = self.clusters.get(cluster)?.members_at(epoch)?;
            Some(members.operators.iter().copied().collect::<BTreeSet<_>>())
        };
        let facts = incidents::Facts {
            finalized: self.chain.finalized.epoch,
            spec: &self.network,
            fee_recipient: self.charter.fee_recipient,
            terms: self.policy.terms().losses,
            cluster_of: &|index| ours(index).map(|validator| validator.cluster),
            members: &members,
            holders: &|index, epoch| self.holders(ours(index)?, epoch),
            missed: &|index| self.exits.missed(index),
            bond: &|operator| self.bonds.account(operator).bond,
            reserve: self.money.reserve(),
            pooled: self.money.rate().pooled,
        };
        incidents::decide(book, &facts, at, command)
    }

    /// Who had which share of a validator's key in an epoch. Public shares are kept of the newest sharing only.
    fn holders(&self, validator: &deposits::Validator, epoch: Epoch) -> Option<Holders> {
        let cluster = self.clusters.get(validator.cluster)?;
        let members = cluster.members_at(epoch)?;
        let newest = cluster.members.last().map(|members| members.generation);
        let size = members.size().filter(|_| newest == Some(members.generation))?;
        let shares = members.operators.iter().copied().zip(validator.shares.iter().copied()).collect();
        Some(Holders { size, shares })
    }
}

/// The books as they are in the middle of an entry, and what has happened so far.
struct Books<'a> {
    state: &'a State,
    incidents: incidents::State,
    /// Accounts only.
    bonds: bonds::State,
    events: Vec<Event>,
    /// Who owes less by how much in the book of bonds, and not yet in that of incidents.
    paid: VecDeque<(OperatorId, Wei)>,
}

impl<'a> Books<'a> {
    /// Cost: all incidents and all accounts.
    fn of(state: &'a State) -> Self {
        let bonds = bonds::State { accounts: state.bonds.accounts.clone(), ..bonds::State::default() };
        Self { state, incidents: state.incidents.clone(), bonds, events: Vec::new(), paid: VecDeque::new() }
    }

    fn incident(&mut self, event: incidents::Event) {
        let fits = incidents::apply(&mut self.incidents, &event);
        fits.expect("what was decided on this book fits it");
        self.events.push(Event::Incidents(Box::new(event)));
    }

    /// Something of accounts: neither a claim nor its payment.
    fn bond(&mut self, event: bonds::Event) {
        let fits = self.bonds.apply(&event);
        fits.expect("what was decided on these accounts fits them");
        if let bonds::Event::Deposited { seen: bonds::Deposited { operator, .. }, repaid }
        | bonds::Event::Credited { operator, repaid, .. } = &event
            && *repaid != Wei::ZERO
        {
            self.paid.push_back((*operator, *repaid));
        }
        self.events.push(Event::Bonds(event));
    }

    /// What has happened in the book of incidents, with what follows from each in that of bonds.
    fn obey(mut self, happened: Vec<incidents::Event>) -> Result<Vec<Event>, Refusal> {
        for event in happened {
            let orders = event.orders();
            self.incident(event);
            for order in &orders {
                self.order(order)?;
            }
        }
        Ok(self.events)
    }

    fn order(&mut self, order: &bonds::Order) -> Result<(), Refusal> {
        let events = self.state.with_bond_facts(|facts| self.bonds.order(facts, order))?;
        events.into_iter().for_each(|event| self.bond(event));
        Ok(())
    }

    /// Rewards pay back what an operator's bond has paid: its own debts first, the rest it can claim.
    fn credit(&mut self, operator: OperatorId, amount: Wei) -> Result<(), Refusal> {
        let debt = self.bonds.account(operator).debt.min(amount);
        if debt != Wei::ZERO {
            self.order(&bonds::Order::Credit(operator, debt))?;
        }
        let known = self.state.operators.get(operator);
        let to = known.expect("who was in a cluster is an operator for ever").reward;
        let eth = Wei(amount.0 - debt.0);
        if eth != Wei::ZERO {
            self.events.push(Event::Reports(Box::new(reports::Event::Repaid { to, eth })));
        }
        Ok(())
    }

    /// What was paid goes to whom it is owed, until nothing is left of it, and everything that has happened.
    ///
    /// A bond that gets something back pays its own debts with it. That comes to an end: who owes has an empty bond, and only
    /// a bond with something in it can pay for others, so nobody is owed something by whom it owes, nor in a circle of more.
    fn repay(mut self, at: u64, source: Source) -> Result<Vec<Event>, Refusal> {
        let mut flow = Flow::default();
        while let Some((operator, amount)) = self.paid.pop_front() {
            let command = incidents::Command::Repay { operator, amount };
            for event in self.state.incident(at, &self.incidents, &command)? {
                flow = flow.with(&event.flow())?;
                let orders = event.orders();
                self.incident(event);
                for order in &orders {
                    match (source, order) {
                        (Source::Rewards, bonds::Order::Credit(who, amount)) => self.credit(*who, *amount)?,
                        _ => self.order(order)?,
                    }
                }
            }
        }
        let (holder, eth) = (OPERATORS_HOLDER, flow.to_pool);
        let moves = [
            (eth, pool::Command::Forgive { holder, eth }),
            (flow.to_reserve, pool::Command::Restore { eth: flow.to_reserve }),
        ];
        for (amount, moves) in moves {
            // What a bond pays is sent by people, and counted when it is seen.
            if source == Source::Rewards && amount != Wei::ZERO {
                self.events.extend(self.state.spend(at, moves)?);
            }
        }
        Ok(self.events)
    }
}

#[cfg(test)]
mod tests;
