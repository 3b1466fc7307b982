//! What operators owe for losses, and how it is paid back.
//!
//! ```text
//! of rewards -> delegators     the shares stay with the books
//!            -> reserve        shares
//!            -> another's bond its reward address can claim it: no ETH has to move
//! ```

use super::incidents;
use super::operators::OperatorId;
use super::pool::{OPERATORS_HOLDER, RESERVE_HOLDER};
use super::report::Following;
use super::reports;
use super::state::{Event, Refusal, State};
use crate::formulas::losses::{Party, Step};
use crate::ledger::bonds;
use types::Wei;

impl State {
    /// That an operator has paid so much of what it owes: its incidents' debts fall, the oldest first. What it paid with, and
    /// where that goes, is for whoever says so to move.
    ///
    /// Errors: nothing, or more than it owes.
    pub fn repaid(&self, operator: OperatorId, amount: Wei) -> Result<Vec<Event>, Refusal> {
        let steps = incidents::repay(&self.incidents, operator, amount)?;
        Ok(steps.into_iter().map(|step| Event::Incidents(Box::new(step))).collect())
    }

    /// That what a bond owes is less, although nothing came into it.
    fn excused(&self, operator: OperatorId, amount: Wei) -> Result<Vec<Event>, Refusal> {
        let amount = amount.min(self.bonds.account(operator).debt);
        if amount == Wei::ZERO {
            return Ok(Vec::new());
        }
        let order = bonds::Order::Credit(operator, amount);
        let events = self.with_bond_facts(|facts| self.bonds.order(facts, &order))?;
        Ok(events.into_iter().map(Event::Bonds).collect())
    }
}

impl Following {
    /// An operator repays out of what it has just earned, which the books hold in shares.
    pub(super) fn repay_of_rewards(
        &mut self,
        at: u64,
        operator: OperatorId,
        amount: Wei,
    ) -> Result<(), Refusal> {
        let excused = self.state.excused(operator, amount)?;
        self.take(excused);
        let repaid = self.state.repaid(operator, amount)?;
        let steps: Vec<Step> = repaid.iter().flat_map(creditors).copied().collect();
        self.take(repaid);
        for Step { party, amount: eth } in steps {
            match party {
                // An operator that is guilty pays, and is paid nothing.
                Party::Delegators | Party::Faulty(_) => {}
                Party::Reserve => self.give(at, OPERATORS_HOLDER, RESERVE_HOLDER, eth)?,
                Party::Cluster(other) => {
                    let other = self.state.operators.get(other);
                    let to = other.expect("who was in a cluster is an operator for ever").reward;
                    self.take(vec![Event::Reports(Box::new(reports::Event::Repaid { to, eth }))]);
                }
            }
        }
        Ok(())
    }
}

fn creditors(event: &Event) -> &[Step] {
    match event {
        Event::Incidents(event) => match &**event {
            incidents::Event::Repaid { to, .. } => to,
            _ => &[],
        },
        _ => &[],
    }
}
