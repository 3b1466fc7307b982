//! What operators say, and take: statements about the others of a cluster, and claims of what was earned.

use super::State;
use super::decide::Refusal;
use super::event::Event;
use crate::ledger::operators::OperatorId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{Address, ClusterId, Wei};

/// What an operator saw of the others of its cluster in a frame. Whom it leaves out it has seen do everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Which frame: that of the next report.
    pub frame: u64,
    /// Verified partial signatures, by whose they are. More than were due count as all of them.
    pub seen: BTreeMap<OperatorId, u64>,
}

impl State {
    /// What a statement leads to: it takes the place of an earlier one of the same operator.
    ///
    /// - `members`: the cluster's operators; `signer`: who says it, if it is one of them.
    /// - Errors: by nobody of the cluster; of a frame that is reported, or of one that is not the next; of somebody else than
    ///   the others.
    pub fn say(
        &self,
        cluster: ClusterId,
        members: &[OperatorId],
        operator: OperatorId,
        statement: &Statement,
    ) -> Result<Event, Refusal> {
        if !members.contains(&operator) {
            return Err(Refusal::NotInCluster { operator, cluster });
        }
        if statement.frame != self.next {
            return Err(Refusal::StatementFrame { have: statement.frame, next: self.next });
        }
        if let Some(stranger) = statement.seen.keys().find(|of| !members.contains(of)) {
            return Err(Refusal::NotInCluster { operator: *stranger, cluster });
        }
        if statement.seen.contains_key(&operator) {
            return Err(Refusal::OfItself { operator });
        }
        Ok(Event::Stated { cluster, operator, statement: statement.clone() })
    }

    /// That an account takes so much of what it earned. Errors: nothing, or more than it can.
    pub fn claim(&self, account: Address, eth: Wei) -> Result<Event, Refusal> {
        let claimable = self.claimable(account);
        if eth == Wei::ZERO || eth > claimable {
            return Err(Refusal::NotClaimable { account, eth, claimable });
        }
        Ok(Event::Claimed { account, eth })
    }
}
