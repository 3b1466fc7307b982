//! What each book is told of the others when it decides.

use super::deposits::{self, Limit, Split};
use super::operators::{OperatorId, Standing};
use super::policy::DepositSplit;
use super::pool::{self, Fees, OPERATORS_HOLDER, RESERVE_HOLDER};
use super::state::State;
use super::{bonds, ceremonies, clusters, operators};
use crate::formulas::allocation::{self, Credentials};
use crate::formulas::ratio::BasisPoints;
use crate::formulas::wide::{GWEI_WEI, WideError};
use cluster::deposit::withdrawal_credentials;
use cluster::{Network, Networks};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{Address, ClusterId, Gwei, Root, Wei};

/// Why there are no rules for deposits.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DepositRulesError {
    /// A charter whose withdrawals go nowhere.
    #[error(transparent)]
    Credentials(#[from] deposits::CharterError),
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

impl State {
    pub(super) fn with_operator_facts<R>(&self, at: u64, ask: impl FnOnce(&operators::Facts<'_>) -> R) -> R {
        let bond = |id| self.free_bond(id).unwrap_or(Wei::ZERO);
        ask(&operators::Facts {
            at,
            pool: self.pool,
            chain_id: self.charter.network.chain_id,
            policy: &self.policy,
            seat: &|address| self.office(address),
            bond: &bond,
            clusters: &|id| self.bonds.account(id).keys.len(),
            held: &|id| self.incidents.holds(id),
        })
    }

    pub(super) fn with_bond_facts<R>(&self, ask: impl FnOnce(&bonds::Facts<'_>) -> R) -> R {
        ask(&bonds::Facts {
            policy: &self.policy,
            finalized: self.chain.finalized.epoch,
            operator: &|id| self.operators.get(id),
            held: &|id| self.incidents.holds(id),
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
            incident_open: self.deposits.is_loss_pending() || self.incidents.holds_queue(),
        })
    }

    pub(super) fn with_cluster_facts<R>(&self, ask: impl FnOnce(&clusters::Facts<'_>) -> R) -> R {
        ask(&clusters::Facts {
            policy: &self.policy,
            finalized: self.chain.finalized.epoch,
            stake_max: match self.charter.credentials {
                Credentials::Execution => allocation::ACTIVATION,
                Credentials::Compounding => allocation::COMPOUNDING_MAX,
            },
            operator: &|id| self.operators.get(id),
        })
    }

    /// What a cluster's lock is decided by. Errors: there is no such cluster.
    pub(super) fn with_ceremony_facts<R>(
        &self,
        cluster: ClusterId,
        ask: impl FnOnce(&ceremonies::Facts<'_>) -> R,
    ) -> Result<R, clusters::Refusal> {
        let outline = self.calls.outlines.get(&cluster).ok_or(clusters::Refusal::Unknown(cluster))?;
        let networks = Networks::public().with(Network::from(&self.charter.network));
        Ok(ask(&ceremonies::Facts { cluster, networks: &networks, deposit: outline.deposit }))
    }

    /// Which of these operators a signer manages. If none, it is named itself: a book that is told of a stranger says so.
    pub(super) fn managed(&self, members: &[OperatorId], signer: Address) -> OperatorId {
        let manages = |id: &&OperatorId| self.operators.get(**id).is_some_and(|one| one.manager == signer);
        members.iter().find(manages).copied().unwrap_or(signer)
    }

    /// Where the pool's validators pay to.
    pub fn credentials(&self) -> Root {
        let compounding = self.charter.credentials == Credentials::Compounding;
        withdrawal_credentials(self.charter.withdrawal_address, compounding)
    }

    /// What deposits are decided by, at a time in Unix seconds. Errors: a charter whose withdrawals go nowhere; numbers that
    /// do not fit.
    pub fn with_deposit_rules<R>(
        &self,
        at: u64,
        ask: impl FnOnce(&deposits::Rules<'_>) -> R,
    ) -> Result<R, DepositRulesError> {
        let charter = &self.charter;
        let credentials = self.credentials();
        let DepositSplit { first: predeposit, rest } = self.policy.terms().deposit;
        let clusters = self.cluster_limits(at);
        let (depositable, guardians) =
            (self.money.depositable(&self.money_rules()?)?, &self.governance.guardians);
        Ok(ask(&deposits::Rules {
            charter: deposits::Charter::new(charter.network.genesis_fork_version, credentials)?,
            slots_per_epoch: self.network.slots_per_epoch,
            split: Split { predeposit, rest },
            guardians: guardians.set(),
            guardians_needed: guardians.needed().into(),
            clusters: &clusters,
            depositable,
            stopped: self.governance.deposits_paused.is_some(),
        }))
    }

    /// Clusters that get stake, and how much, at a time in Unix seconds: those that no slashing has frozen, and all of whose
    /// operators are active, not paused, not late with an exit, and within their limits. Cost: all clusters and exits.
    pub fn cluster_limits(&self, at: u64) -> BTreeMap<ClusterId, Limit> {
        let (late, stakes) = (self.exits.delinquent(at), self.clusters.stakes());
        let fits = |id: &OperatorId| {
            self.with_cluster_facts(|facts| {
                self.operators.get(*id).is_some_and(|operator| {
                    let stake = stakes.get(id).copied().unwrap_or_default();
                    let stopped = operator.paused() || late.contains(id);
                    operator.standing == Standing::Active && !stopped && stake <= facts.stake_cap(operator)
                })
            })
        };
        let open = self.clusters.clusters.iter().filter(|(_, cluster)| cluster.stage.is_open());
        let open = open.filter(|(id, _)| !self.incidents.is_frozen(**id));
        let sound = open.filter(|(_, cluster)| cluster.operators().iter().all(fits));
        let limit = |cluster: &clusters::Cluster| {
            let size = cluster.members.last()?.size()?;
            Some(Limit { size, validators_max: cluster.keys.into(), stake_max: cluster.stake })
        };
        sound.filter_map(|(id, cluster)| Some((*id, limit(cluster)?))).collect()
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
        let have = self.money.reserve();
        let full = Wei(reserves.losses.ratio().ceil_of(self.money.rate().pooled.0)?);
        let reserve = if have < full { fees.reserve } else { BasisPoints::ZERO };
        Ok(Fees {
            operators: (fees.operators, OPERATORS_HOLDER),
            treasury: (fees.pool, self.charter.treasury),
            reserve: (reserve, RESERVE_HOLDER),
        })
    }
}
