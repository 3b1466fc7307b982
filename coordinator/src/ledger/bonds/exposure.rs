//! What bonds are worth together: how much a coalition moves with them, and what falls when a service outside does.

use super::State;
use crate::formulas::bonds::{BondCurve, LeverageError, coalition_leverage};
use crate::formulas::ratio::Ratio;
use crate::ledger::operators::OperatorId;
use crate::text::Label;
use std::collections::{BTreeMap, BTreeSet};
use types::{ClusterId, ClusterSize, Gwei, Wei};

/// Those who can sign together for a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coalition<'a> {
    /// Which cluster.
    pub cluster: ClusterId,
    /// All its operators, with the curves of their types.
    pub members: Vec<(OperatorId, &'a BondCurve)>,
    /// How many of them must sign.
    pub size: ClusterSize,
    /// What they sign for.
    pub stake: Gwei,
}

impl State {
    /// What of each operator's bond a service may take.
    pub fn exposed_to(&self, service: &Label) -> BTreeMap<OperatorId, Wei> {
        let of = |(id, account): (&OperatorId, &super::Account)| Some((*id, *account.services.get(service)?));
        self.accounts.iter().filter_map(of).collect()
    }

    /// The clusters that are hit when a service takes all it may, with those of their operators who pay. While they are
    /// fewer than a cluster's threshold, the others still have more at stake than those who could be bought cheaply.
    pub fn hit_by(&self, service: &Label) -> BTreeMap<ClusterId, BTreeSet<OperatorId>> {
        let mut hit: BTreeMap<ClusterId, BTreeSet<OperatorId>> = BTreeMap::new();
        let exposed = self.accounts.iter().filter(|(_, account)| account.services.contains_key(service));
        for (id, account) in exposed {
            for keys in &account.keys {
                hit.entry(keys.cluster).or_default().insert(*id);
            }
        }
        hit
    }

    /// How many times its bonds the worst coalition of a cluster moves: `stake / bonds` of the `t` operators with the least.
    ///
    /// Only what backs this cluster counts: the rest of a bond answers for something else. Fewer than `t` move nothing.
    /// Errors: `t` operators without any bond here; more than 256 bits.
    pub fn leverage(&self, coalition: &Coalition<'_>) -> Result<Ratio, LeverageError> {
        let here = |(id, curve): &(OperatorId, &BondCurve)| {
            let backing = self.account(*id).backing(curve);
            let found = backing.into_iter().find(|(cluster, _)| *cluster == coalition.cluster);
            found.map_or(Wei::ZERO, |(_, amount)| amount)
        };
        let bonds: Vec<_> = coalition.members.iter().map(here).collect();
        let stake = crate::formulas::wide::wei(coalition.stake);
        coalition_leverage(&bonds, coalition.size.threshold(), stake)
    }
}
