//! Reports: what a frame of the chain brought, whose it is, and how the pool stands.
//!
//! ```text
//! balances of a finalized state, what was swept, what blocks paid         -> rewards, missed, leaked, slashed: four categories
//! gain * fee, if the consensus layer gained                               -> treasury, reserve, operators
//! operators' pot, by saturation and duties                                -> clusters
//! cluster's reward, by what the others saw of each, by operator type    -> operators
//! operator's earnings                                                     -> debts first, then what it can claim
//! ```
//!
//! **Frames.** Reports have consecutive numbers. Each is of the first slot of an epoch that lies a whole number of the
//! policy's frames after the one before, so nobody chooses the moment; the epoch is finalized, and where the ledger has the
//! checkpoint's root it is that. Every validator that had a balance is in the next report.
//!
//! **Anybody can do it again.** What a report is told is what a beacon node answers, and the hash of each answer is in it;
//! everything else follows from the log. What the balances do not bear out is refused, and so is what goes beyond the
//! policy's bounds: then governance has to look.
//!
//! **Money.** The book of money says what the frame comes to, and mints the fee; here its numbers are divided. There is no
//! second computation that could differ from the first.
//!
//! **Statements.** An operator of a cluster says, before the frame is reported, how many partial signatures of each of the
//! others it saw and verified ([`Statement`]). The `f` highest and lowest are dropped; nobody speaks for itself, and who
//! says nothing has seen everything.
//!
//! **Claims.** What operators can claim is a cumulative tree, by the reward address at the time of each report. A later
//! address does not get what an earlier one was owed. What an account has not taken yet it can take in shares.
//!
//! **Strikes.** A frame in which a cluster did less of its duties than the network, by more than the policy's leeway, is a
//! strike. With too many in too few frames the cluster is ejected: its validators are to exit.
//!
//! The operators' part of the fee is told in wei here, and minted in shares in the book of money, rounded down there: the
//! account that holds them is short of what is claimed by less than a share's worth for each report. What they did not earn
//! of it moves on to treasury and reserve in the same entry. Until it is claimed it is worth what shares are worth; claims
//! are wei, so a loss of the pool can leave the account short, and who claims late then waits for later reports.
//!
//! Sources: Lido's accounting oracle and CSM's performance oracle; Cardano for the curve.

mod apply;
mod command;
mod count;
mod decide;
mod event;
mod figures;
mod reward;
mod seen;
mod wish;

pub use apply::{Corrupt, apply};
pub use command::{
    ANSWERS_MAX, Cluster, DUTIES_MAX, Duties, Evidence, Facts, Net, Network, REQUEST_LEN_MAX, Report, Seat,
    SeenCluster, SeenValidator, VALIDATORS_MAX,
};
pub use decide::{Refusal, decide};
pub use event::{
    Axis, Categories, ClusterReport, Earned, Event, Figures, Part, Parts, Reported, Stress, Unearned,
};
pub use wish::Statement;

use crate::formulas::wide::{self, WideError};
use crate::ledger::operators::OperatorId;
use crate::merkle::claims::Claims;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{Address, ClusterId, Epoch, Gwei, Root, ValidatorIndex, Wei};

/// The last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    /// Its epoch.
    pub epoch: Epoch,
    /// The root of its block.
    pub block_root: Root,
    /// Its slot's time, in seconds since 1970.
    pub at: u64,
}

/// Everything the book knows. Changed by [`apply`] only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub(crate) next: u64,
    pub(crate) last: Option<Last>,
    pub(crate) balances: BTreeMap<ClusterId, BTreeMap<ValidatorIndex, Gwei>>,
    pub(crate) claims: BTreeMap<Address, Wei>,
    /// What of the claims was taken.
    pub(crate) claimed: BTreeMap<Address, Wei>,
    /// What operators say that they saw in the frame that is reported next: by cluster, by whom, of whom.
    pub(crate) statements: BTreeMap<ClusterId, BTreeMap<OperatorId, BTreeMap<OperatorId, u64>>>,
    /// Frames that were strikes, of those that still count.
    pub(crate) strikes: BTreeMap<ClusterId, BTreeSet<u64>>,
}

impl State {
    /// The number of the next report.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The last report.
    pub fn last(&self) -> Option<Last> {
        self.last
    }

    /// Balances at the last report, of validators that had one.
    pub fn balances(&self) -> &BTreeMap<ClusterId, BTreeMap<ValidatorIndex, Gwei>> {
        &self.balances
    }

    /// Their sum. Cost: all validators.
    pub fn balance(&self) -> Result<Wei, WideError> {
        wide::total(self.balances.values().flat_map(BTreeMap::values).map(|balance| wide::wei(*balance)))
    }

    /// What operators' reward addresses have earned in all, claimed or not: the tree's leaves.
    pub fn claims(&self) -> Result<Claims, WideError> {
        claims(self.claims.iter().map(|(account, amount)| (*account, *amount)))
    }

    /// What an account has earned in all.
    pub fn earned(&self, account: Address) -> Wei {
        self.claims.get(&account).copied().unwrap_or_default()
    }

    /// What an account has earned and not taken.
    pub fn claimable(&self, account: Address) -> Wei {
        let of = |book: &BTreeMap<Address, Wei>| book.get(&account).copied().unwrap_or_default();
        // No more is ever taken than was earned: [`apply`] keeps to it.
        Wei(of(&self.claims).0.saturating_sub(of(&self.claimed).0))
    }

    /// What operators of a cluster say that they saw in the frame that is reported next.
    pub fn statements(
        &self,
        cluster: ClusterId,
    ) -> impl Iterator<Item = (OperatorId, &BTreeMap<OperatorId, u64>)> {
        self.statements.get(&cluster).into_iter().flatten().map(|(by, seen)| (*by, seen))
    }

    /// Frames in which a cluster did too little, of those that still count.
    pub fn strikes(&self, cluster: ClusterId) -> usize {
        self.strikes.get(&cluster).map_or(0, BTreeSet::len)
    }
}

fn claims(amounts: impl IntoIterator<Item = (Address, Wei)>) -> Result<Claims, WideError> {
    let mut claims = Claims::default();
    amounts.into_iter().try_for_each(|(account, amount)| claims.add(account, amount))?;
    Ok(claims)
}

#[cfg(test)]
mod tests;
