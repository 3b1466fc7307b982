//! What moves in several books at once: money and deposits, clusters and bonds, locks and keys.

use super::ceremonies::{self, Made};
use super::clusters::{self, Admission};
use super::deposits::{self, KeyOffer, Stage};
use super::seat::Seat;
use super::state::{ActRefusal, Event, Refusal, State};
use super::{bonds, pool};
use crate::canonical;
use cluster::Lock;
use std::collections::BTreeSet;
use types::{Address, ClusterId, Gwei};

impl State {
    /// What a payment that was seen leads to. One log of one transaction counts once, in one of the books.
    pub(super) fn see_money(&self, at: u64, seen: pool::Seen) -> Result<Vec<Event>, Refusal> {
        let reference = seen.reference();
        if self.bonds.seen.contains(&reference) {
            return Err(Refusal::CountedElsewhere(reference));
        }
        if let pool::Seen::Payment(_) = seen
            && self.chain.stake.is_none()
        {
            return Err(Refusal::StakeUnknown);
        }
        let mut rules = self.money_rules()?;
        if let pool::Seen::Payment(payment) = seen
            && self.is_principal(payment.payer)
        {
            // For whoever decides in the pool there is no room: what comes from there is owed back.
            rules.intake_room = Gwei(0);
        }
        Ok(moved(pool::decide(&self.money, &rules, at, &seen.command())?))
    }

    /// Whether a key speaks for an operator, governs, guards or coordinates: it delegates nothing. A reward address may.
    fn is_principal(&self, address: Address) -> bool {
        match self.seat(address) {
            Some(Seat::Coordinator | Seat::Governance | Seat::Guardian | Seat::Manager(_)) => true,
            Some(
                Seat::Withdrawal | Seat::FeeRecipient | Seat::Treasury | Seat::Reward(_) | Seat::Founder(_),
            )
            | None => false,
        }
    }

    /// What a command of the book of money leads to.
    pub(super) fn spend(&self, at: u64, command: pool::Command) -> Result<Vec<Event>, Refusal> {
        Ok(moved(pool::decide(&self.money, &self.money_rules()?, at, &command)?))
    }

    /// What a command of the deposits' book leads to, in all books that it moves.
    pub(super) fn place(&self, at: u64, command: &deposits::Command) -> Result<Vec<Event>, Refusal> {
        let further = match command {
            deposits::Command::Register { cluster, keys } => {
                let have = self.deposits.keys_of(*cluster);
                self.clusters.key(*cluster, have, keys.len() as u64)?
            }
            deposits::Command::Plan
            | deposits::Command::GiveUp { .. }
            | deposits::Command::Approve { .. }
            | deposits::Command::Sent(_)
            | deposits::Command::Look(_)
            | deposits::Command::Release { .. }
            | deposits::Command::Compensate { .. } => None,
        };
        let steps =
            self.with_deposit_rules(at, |rules| deposits::decide(&self.deposits, rules, command))??;
        let moves: Vec<_> = steps.iter().filter_map(deposits::Event::moves).collect();
        assert!(moves.len() <= 1, "a command moves money once, so it is decided on the state before it");
        let activated = self.activated(&steps);
        let mut events: Vec<_> = steps.into_iter().map(|step| Event::Deposits(Box::new(step))).collect();
        for moves in moves {
            events.extend(self.spend(at, moves)?);
        }
        let clusters = further.into_iter().chain(activated);
        events.extend(clusters.map(|event| Event::Clusters(Box::new(event))));
        Ok(events)
    }

    /// What a cluster's lock leads to: its keys are registered. That moves no money.
    pub(super) fn deliver(&self, at: u64, cluster: ClusterId, lock: &Lock) -> Result<Vec<Event>, Refusal> {
        let Made { keys, event } = self.with_ceremony_facts(cluster, |facts| {
            self.ceremonies.deliver(facts, lock).map_err(Refusal::from)
        })??;
        let further = self.clusters.key(cluster, self.deposits.keys_of(cluster), keys.len() as u64)?;
        let registered =
            self.with_deposit_rules(at, |rules| deposits::adopt(&self.deposits, rules, cluster, keys))??;
        let keyed = further.map(|event| Event::Clusters(Box::new(event)));
        let events = [Event::Ceremonies(event), Event::Deposits(Box::new(registered))];
        Ok(events.into_iter().chain(keyed).collect())
    }

    /// What keys lead to that a manager brings by hand. Each operator's manager is asked in turn, and each is told at once if
    /// they cannot be registered; with the last of them they are.
    pub(super) fn offer(
        &self,
        at: u64,
        signer: Address,
        cluster: ClusterId,
        keys: &[KeyOffer],
    ) -> Result<Vec<Event>, Refusal> {
        let registered = self.place(at, &deposits::Command::Register { cluster, keys: keys.to_vec() })?;
        let members = self.clusters.get(cluster).map_or(&[][..], clusters::Cluster::operators);
        let operator = self.managed(members, signer);
        let said = self.ceremonies.offer(cluster, members, operator, canonical::hash(&keys))?;
        let agreed = matches!(said, ceremonies::Event::Agreed { .. });
        let follows = registered.into_iter().filter(|_| agreed);
        Ok(std::iter::once(Event::Ceremonies(said)).chain(follows).collect())
    }

    /// Clusters of which the first validator has duties now.
    fn activated(&self, steps: &[deposits::Event]) -> Vec<clusters::Event> {
        let active = steps.iter().filter_map(|step| match step {
            deposits::Event::Lived { pubkey, stage: Stage::Active } => self.deposits.validators().get(pubkey),
            _ => None,
        });
        let clusters: BTreeSet<ClusterId> = active.map(|validator| validator.cluster).collect();
        clusters.into_iter().filter_map(|cluster| self.clusters.activate(cluster)).collect()
    }

    /// What governance says of a validator whose state it has looked at.
    pub(super) fn look_after(&self, at: u64, command: &deposits::Command) -> Result<Vec<Event>, ActRefusal> {
        let steps =
            self.with_deposit_rules(at, |rules| deposits::decide(&self.deposits, rules, command))??;
        Ok(steps.into_iter().map(|step| Event::Deposits(Box::new(step))).collect())
    }

    /// A cluster begins, and the bonds of its operators back it.
    pub(super) fn admit(&self, admission: &Admission) -> Result<Vec<Event>, ActRefusal> {
        let accepted = self.with_cluster_facts(|facts| self.clusters.admit(facts, admission))?;
        let mut events = vec![Event::Clusters(Box::new(accepted))];
        let keys = bonds::Keys { cluster: admission.cluster, count: admission.keys };
        for operator in &admission.operators {
            // Each is there once, so what one backs changes nothing for another.
            let order = bonds::Order::Back(*operator, keys);
            let backed = self.with_bond_facts(|facts| self.bonds.order(facts, &order))?;
            events.extend(backed.into_iter().map(Event::Bonds));
        }
        Ok(events)
    }

    /// A cluster that exits is over, and its operators' bonds are locked from now on instead of backing it.
    pub(super) fn close_cluster(&self, cluster: ClusterId) -> Result<Vec<Event>, Refusal> {
        let closed =
            self.clusters.close(cluster, self.deposits.holding(cluster), self.incidents.open_of(cluster))?;
        let mut events = vec![Event::Clusters(Box::new(closed))];
        let members = self.clusters.get(cluster);
        for operator in members.map_or(&[][..], clusters::Cluster::operators) {
            let account = self.bonds.account(*operator);
            let Some(keys) = account.keys.iter().find(|keys| keys.cluster == cluster) else { continue };
            let order = bonds::Order::Release(*operator, *keys, self.chain.finalized.epoch);
            let released = self.with_bond_facts(|facts| self.bonds.order(facts, &order))?;
            events.extend(released.into_iter().map(Event::Bonds));
        }
        Ok(events)
    }
}

fn moved(events: Vec<pool::Event>) -> Vec<Event> {
    events.into_iter().map(|event| Event::Money(Box::new(event))).collect()
}

#[cfg(test)]
pub(super) mod tests;
