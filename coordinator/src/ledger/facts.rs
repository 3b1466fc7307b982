//! What each book is told of the others when it decides.

use super::operators::OperatorId;
use super::pool::{self, Fees, OPERATORS_HOLDER, RESERVE_HOLDER};
use super::state::State;
use super::{bonds, operators};
use crate::formulas::ratio::BasisPoints;
use crate::formulas::wide::{GWEI_WEI, WideError};
use types::{Gwei, Wei};

impl State {
    pub(super) fn with_operator_facts<R>(&self, at: u64, ask: impl FnOnce(&operators::Facts<'_>) -> R) -> R {
        let bond = |id| self.free_bond(id).unwrap_or(Wei::ZERO);
        ask(&operators::Facts {
            at,
            pool: self.pool,
            chain_id: self.charter.chain_id,
            policy: &self.policy,
            seat: &|address| self.office(address),
            bond: &bond,
            clusters: &|id| self.bonds.account(id).keys.len(),
        })
    }

    pub(super) fn with_bond_facts<R>(&self, ask: impl FnOnce(&bonds::Facts<'_>) -> R) -> R {
        ask(&bonds::Facts {
            policy: &self.policy,
            finalized: self.chain.finalized.epoch,
            operator: &|id| self.operators.get(id),
        })
    }

    /// What of an operator's bond is free: also what it may claim. Nothing if there is no such operator.
    pub fn free_bond(&self, operator: OperatorId) -> Option<Wei> {
        let name = &self.operators.get(operator)?.application.operator_type;
        let curve = &self.policy.operator_type(name)?.bond;
        self.bonds.account(operator).free(curve, self.chain.finalized.epoch).ok()
    }

    /// The rules of the book of money. Errors: numbers that do not fit.
    pub fn money_rules(&self) -> Result<pool::Rules<'_>, WideError> {
        let terms = self.policy.terms();
        let delegations = &terms.delegations;
        Ok(pool::Rules {
            intake_room: self.intake_room(),
            payment_min: delegations.payment_min,
            named: delegations.named.as_ref(),
            request_min: delegations.request_min,
            request_max: delegations.request_max,
            request_age_min_s: delegations.request_age_min_s,
            reserve: terms.reserves.liquid,
            fees: self.fees()?,
            bounds: terms.reports.bounds,
            incident_open: false,
        })
    }

    /// How much more the pool takes in: the policy's part of the chain's stake, less all that is pooled. Nothing while the
    /// chain's stake was not seen.
    pub fn intake_room(&self) -> Gwei {
        let Some(stake) = self.chain.stake else { return Gwei(0) };
        // A pool of more gwei than a word has is beyond any limit.
        let pooled = Gwei(self.money.rate().pooled.0.div_ceil(GWEI_WEI).saturating_to());
        self.policy.terms().self_limit.room(pooled, stake.active)
    }

    /// Parts of the rewards. That of the reserve is the delegators' while the reserve is full.
    fn fees(&self) -> Result<Fees, WideError> {
        let (fees, reserves) = (self.policy.terms().fees, self.policy.terms().reserves);
        let have = self.money.shares().balance(RESERVE_HOLDER);
        let full = Wei(reserves.losses.ratio().ceil_of(self.money.rate().pooled.0)?);
        let reserve = if have < full { fees.reserve } else { BasisPoints::ZERO };
        Ok(Fees {
            operators: (fees.operators, OPERATORS_HOLDER),
            treasury: (fees.pool, self.charter.treasury),
            reserve: (reserve, RESERVE_HOLDER),
        })
    }
}
