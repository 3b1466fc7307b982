//! What the book is told and asked, by which rules, and what comes of it.

use super::conflict::{Conflict, Holders};
use crate::formulas::losses::{Debts, Party, Step};
use crate::formulas::wide::{self, WideError};
use crate::ledger::bonds::Order;
use crate::ledger::operators::{OperatorId, Reason};
use crate::ledger::policy;
use crate::ledger::reports::Evidence;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use types::{Address, ChainSpec, ClusterId, Epoch, Gwei, Root, Slot, ValidatorIndex, Wei};

/// A validator that was slashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slashing {
    /// Which.
    pub validator: ValidatorIndex,
    /// The epoch of the fault: of the later of the two messages. Who was in the cluster then is responsible.
    pub fault: Epoch,
    /// The epoch in which a block had the evidence.
    pub slashed: Epoch,
    /// When it can be withdrawn; then no more penalties come.
    pub withdrawable: Epoch,
    /// What it counted for.
    pub effective: Gwei,
    /// What the whistleblower got. Not the pool's loss; shown.
    pub whistleblower: Gwei,
}

/// A block of the pool that paid somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Theft {
    /// The proposer.
    pub validator: ValidatorIndex,
    /// The block's slot.
    pub slot: Slot,
    /// Its root.
    pub block_root: Root,
    /// Who was paid.
    pub paid_to: Address,
    /// How much.
    pub amount: Wei,
}

/// A cluster that did not do its duties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Downtime {
    /// Which.
    pub cluster: ClusterId,
    /// The first epoch. Who was in the cluster then is responsible.
    pub from: Epoch,
    /// The last.
    pub until: Epoch,
    /// What it cost.
    pub cost: Gwei,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A validator was slashed.
    Slashing(Slashing),
    /// A block paid somebody else.
    Theft(Theft),
    /// A cluster was down.
    Downtime(Downtime),
    /// An exit that was asked for did not come in time; the book of exits knows of it.
    MissedExit(ValidatorIndex),
}

/// What the book is told, and what it is asked. Who may ask is decided before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Something was seen. It need not be final: what is stopped by it must be stopped at once.
    Open {
        /// What.
        fault: Fault,
        /// The answers that it was read from; none of an exit that did not come, of which the log has everything.
        evidence: Evidence,
    },
    /// What a finalized state says that a slashing has cost so far.
    Look {
        /// Which incident.
        incident: u64,
        /// The state's epoch.
        epoch: Epoch,
        /// All penalties: the initial one, the correlated one, and missed duties since.
        lost: Gwei,
    },
    /// Who is guilty of a slashing.
    Prove {
        /// Which incident.
        incident: u64,
        /// The evidence.
        conflict: Box<Conflict>,
    },
    /// The loss is final: somebody pays.
    Settle {
        /// Which incident.
        incident: u64,
    },
    /// Governance says that it was none.
    Dismiss {
        /// Which incident.
        incident: u64,
        /// Why.
        reason: Reason,
    },
    /// An operator has paid some of what it owes: of its rewards, or with new bond. The book of bonds has counted it.
    Repay {
        /// Who.
        operator: OperatorId,
        /// How much.
        amount: Wei,
    },
}

/// An exit that did not come, as the book of exits has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedExit {
    /// When it was asked for: who was in the cluster then is responsible.
    pub epoch: Epoch,
    /// When it should have come, in seconds since 1970.
    pub deadline: u64,
    /// Whose partial signature is missing.
    pub missing: BTreeSet<OperatorId>,
}

/// What policy, chain and the other books say when a command is decided.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The last finalized epoch.
    pub finalized: Epoch,
    /// The network.
    pub spec: &'a ChainSpec,
    /// Where rewards of blocks go.
    pub fee_recipient: Address,
    /// Whether a cluster stands for a fault of some, what faults cost besides what they took, how long governance may object.
    pub terms: policy::Losses,
    /// Whose validator it is.
    pub cluster_of: &'a dyn Fn(ValidatorIndex) -> Option<ClusterId>,
    /// Who was in a cluster in an epoch.
    pub members: &'a dyn Fn(ClusterId, Epoch) -> Option<BTreeSet<OperatorId>>,
    /// Who had which share of a validator's key in an epoch.
    pub holders: &'a dyn Fn(ValidatorIndex, Epoch) -> Option<Holders>,
    /// Exits that did not come.
    pub missed: &'a dyn Fn(ValidatorIndex) -> Option<MissedExit>,
    /// All of an operator's bond, locked or not.
    pub bond: &'a dyn Fn(OperatorId) -> Wei,
    /// What is in the reserve for losses.
    pub reserve: Wei,
    /// What delegators have in the pool now.
    pub pooled: Wei,
}

/// A fault, once for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// A validator is slashed once.
    Slashing(ValidatorIndex),
    /// A block.
    Theft(Root),
    /// A cluster, from an epoch on.
    Downtime(ClusterId, Epoch),
    /// A validator, by when it should have exited.
    MissedExit(ValidatorIndex, u64),
}

/// An incident as it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Its number: they are counted from 0.
    pub incident: u64,
    /// What was seen.
    pub fault: Fault,
    /// What it is known by.
    pub key: Key,
    /// Whose.
    pub cluster: ClusterId,
    /// The epoch that decides who is responsible.
    pub epoch: Epoch,
    /// Who was in the cluster then.
    pub members: BTreeSet<OperatorId>,
    /// Who is guilty, as far as is known: all members where nothing is.
    pub guilty: BTreeSet<OperatorId>,
    /// SHA-256 of the canonical list of answers.
    pub evidence: Root,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// An incident begins.
    Opened(Box<Opened>),
    /// A cluster gets no stake and signs nothing more: all its nodes stop.
    Frozen(ClusterId),
    /// It may go on.
    Thawed(ClusterId),
    /// The pool serves no withdrawals: nobody leaves before a loss that is known.
    QueueHeld,
    /// It serves them again.
    QueueReleased,
    /// A slashing costs so much so far.
    Seen {
        /// Which incident.
        incident: u64,
        /// The state's epoch.
        epoch: Epoch,
        /// All penalties.
        lost: Gwei,
    },
    /// Operators are guilty, and not all members any more.
    Proven {
        /// Which incident.
        incident: u64,
        /// All that are known to be.
        guilty: BTreeSet<OperatorId>,
    },
    /// Somebody pays a part of a loss.
    Paid {
        /// Which incident.
        incident: u64,
        /// Who, and how much.
        step: Step,
    },
    /// The loss is paid, and some may be owed.
    Closed {
        /// Which incident.
        incident: u64,
        /// All of it.
        loss: Wei,
        /// Who owes what to whom from now on.
        debts: Debts,
    },
    /// It was none.
    Dismissed {
        /// Which incident.
        incident: u64,
        /// Why.
        reason: Reason,
    },
    /// Somebody paid some of what it owes.
    Repaid {
        /// Of which incident.
        incident: u64,
        /// Who.
        operator: OperatorId,
        /// How much.
        amount: Wei,
        /// To whom.
        to: Vec<Step>,
    },
}

impl Event {
    /// What the event is in the book of bonds, which must take it in this order.
    ///
    /// A part of a loss is taken from a bond, and what is owed besides is its debt: a bond that owes is empty. What goes
    /// back to another bond is credited there.
    pub fn orders(&self) -> Vec<Order> {
        match self {
            Self::Paid { step: Step { party: Party::Faulty(who) | Party::Cluster(who), amount }, .. } => {
                vec![Order::Penalise(*who, *amount)]
            }
            Self::Closed { debts, .. } => {
                debts.debtors().map(|(who, owed)| Order::Penalise(who, owed)).collect()
            }
            Self::Repaid { to, .. } => {
                let credit = |step: &Step| match step.party {
                    Party::Cluster(who) => Some(Order::Credit(who, step.amount)),
                    Party::Faulty(_) | Party::Reserve | Party::Delegators => None,
                };
                to.iter().filter_map(credit).collect()
            }
            Self::Paid { step: Step { party: Party::Reserve | Party::Delegators, .. }, .. }
            | Self::Opened(_)
            | Self::Frozen(_)
            | Self::Thawed(_)
            | Self::QueueHeld
            | Self::QueueReleased
            | Self::Seen { .. }
            | Self::Proven { .. }
            | Self::Dismissed { .. } => Vec::new(),
        }
    }

    /// What the event moves between pool and reserve. What comes to the pool is sent there, and its book counts it as cover
    /// when that is seen.
    pub fn flow(&self) -> Flow {
        match self {
            Self::Paid { step: Step { party, amount }, .. } => match party {
                Party::Faulty(_) | Party::Cluster(_) => Flow { to_pool: *amount, ..Flow::default() },
                Party::Reserve => Flow { to_pool: *amount, from_reserve: *amount, ..Flow::default() },
                Party::Delegators => Flow::default(),
            },
            Self::Repaid { to, .. } => {
                let back = |party: Party| {
                    let steps = to.iter().filter(|step| step.party == party);
                    steps.fold(Wei::ZERO, |sum, step| Wei(sum.0.saturating_add(step.amount.0)))
                };
                let (to_pool, to_reserve) = (back(Party::Delegators), back(Party::Reserve));
                Flow { to_pool, to_reserve, ..Flow::default() }
            }
            Self::Opened(_)
            | Self::Frozen(_)
            | Self::Thawed(_)
            | Self::QueueHeld
            | Self::QueueReleased
            | Self::Seen { .. }
            | Self::Proven { .. }
            | Self::Closed { .. }
            | Self::Dismissed { .. } => Flow::default(),
        }
    }
}

/// What events move between pool and reserve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Into the pool, for its delegators.
    pub to_pool: Wei,
    /// Into the reserve.
    pub to_reserve: Wei,
    /// Out of the reserve.
    pub from_reserve: Wei,
}

impl Flow {
    /// Both together.
    pub(in crate::ledger) fn with(&self, more: &Self) -> Result<Self, WideError> {
        Ok(Self {
            to_pool: wide::add(self.to_pool, more.to_pool)?,
            to_reserve: wide::add(self.to_reserve, more.to_reserve)?,
            from_reserve: wide::add(self.from_reserve, more.from_reserve)?,
        })
    }
}
