//! Calls for clusters: who may be in them, what the chain's randomness said, and what became of it.
//!
//! ```text
//! called --seed--> proposal --> asked, cluster by cluster --all accept--> a cluster
//!                                                          \-- one declines, or the deadline passes --> fallen
//! ```
//!
//! The coordinator says how many clusters are wanted, of which size, and which later epoch decides. Everything else of a call
//! is of the state: candidates, what they have and hold, the policy's rules. There is one call at a time, and it stays open
//! until it is answered with the randomness of its epoch: whoever could drop a call could wait for a better one.
//!
//! Governance may choose a cluster instead ([`Chosen`]): friends who wish to be together, a cluster that moves in.
//!
//! What is asked of a cluster's operators is a *definition*, which everybody makes again from an [`Outline`]; its hash is the
//! cluster's id. The search and its proofs are [`crate::formation`]'s.

mod outline;

pub use outline::{Member, Outline};

use crate::formation::call::CallError;
use crate::formation::proposal::{FormError, Proposal};
use crate::formation::{Call, Check, Delegation, accept};
use crate::ledger::operators::OperatorId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{ClusterId, Epoch, Gwei};

/// What the coordinator calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// How many clusters.
    pub clusters: u32,
    /// `n`, one of the policy's sizes.
    pub operators: u8,
    /// `t`, likewise.
    pub threshold: u8,
    /// Validators of each.
    pub keys: u32,
    /// What they may hold together.
    pub stake: Gwei,
    /// The epoch whose randomness decides: later than now.
    pub seed_epoch: Epoch,
    /// Whether each is of one entity with many nodes.
    pub intra_operator: bool,
    /// Who may delegate to them.
    pub delegation: Delegation,
}

/// A cluster that governance has chosen instead of the lot. The same rules hold, and its operators are asked as others are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Its operators; the first gets share 1.
    pub operators: Vec<OperatorId>,
    /// How many of them sign.
    pub threshold: u8,
    /// The validators that it may have.
    pub keys: u32,
    /// The stake that it may have.
    pub stake: Gwei,
}

/// What an operator, or anybody, says of a cluster that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It will hold the ceremony.
    Accept,
    /// It will not.
    Decline,
    /// The deadline has passed: anybody sees that.
    Lapse,
}

/// Everything the book knows. Changed by [`State::apply`] only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The call that waits for its seed.
    pub open: Option<Call>,
    /// What the last call came to.
    pub proposal: Option<Proposal>,
    /// Clusters that were asked for, and the answers.
    pub answers: accept::State,
    /// What their definitions are made of; not of those that have fallen.
    pub outlines: BTreeMap<ClusterId, Outline>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// Clusters are called for.
    Called(Call),
    /// The seed has decided.
    Proposed(Proposal),
    /// A cluster's operators are asked.
    Asked {
        /// What they are asked.
        proposed: accept::Proposed,
        /// What the definition is made of.
        outline: Outline,
    },
    /// They answer, or do not.
    Answered(accept::Event),
}

/// Why something is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// A second call.
    #[error("a call waits for the seed of epoch {0}; there is one at a time, and none is dropped")]
    Open(Epoch),
    /// A seed of nothing.
    #[error("no call waits for a seed")]
    NotCalled,
    /// A seed that a block can still change.
    #[error("the seed of epoch {seed} is fixed once a later epoch is finalized; {finalized} is")]
    NotFixed {
        /// The seed's.
        seed: Epoch,
        /// The last that is finalized.
        finalized: Epoch,
    },
    /// Numbers that the policy does not have.
    #[error("the policy takes no clusters of {operators} with threshold {threshold}")]
    Size {
        /// `n`.
        operators: u8,
        /// `t`.
        threshold: u8,
    },
    /// More validators' stake than the pool's kind of credentials holds.
    #[error("a stake of {stake} gwei for {keys} validators, each may hold {most}")]
    Stake {
        /// The stake.
        stake: Gwei,
        /// Validators.
        keys: u32,
        /// The most of one.
        most: Gwei,
    },
    /// A call that cannot be answered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A seed of another epoch.
    #[error(transparent)]
    Form(#[from] FormError),
    /// What an answer is refused for.
    #[error(transparent)]
    Answer(#[from] accept::Refusal),
    /// Somebody who gets no stake, or leaves, or is of a type for other clusters.
    #[error("operator {0} is no candidate for such a cluster")]
    NoCandidate(OperatorId),
    /// A rule that a chosen cluster breaks.
    #[error("{0}")]
    Rule(Box<Check>),
    /// No ceremony could run.
    #[error("no definition can be made of it: {0}")]
    Definition(String),
}

/// An event that does not fit the book: the log is corrupt.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Misfit {
    /// A second call.
    #[error("a call while another waits for its seed")]
    Open,
    /// A proposal for another call, or for none.
    #[error("a proposal for no open call")]
    NotCalled,
    /// An outline of other operators.
    #[error("cluster {0} is asked for with an outline of other operators")]
    Outline(ClusterId),
    /// An answer that does not fit.
    #[error(transparent)]
    Answer(#[from] accept::Corrupt),
}

impl State {
    /// Whether a call may be made. Errors: another waits for its seed.
    pub(super) fn vacant(&self) -> Result<(), Refusal> {
        match &self.open {
            Some(call) => Err(Refusal::Open(call.terms().seed_epoch)),
            None => Ok(()),
        }
    }

    /// Applies an event. Errors: it does not fit; nothing has changed then.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        match event {
            Event::Called(_) if self.open.is_some() => return Err(Misfit::Open),
            Event::Called(call) => self.open = Some(call.clone()),
            Event::Proposed(proposal) => {
                let called = self.open.as_ref().is_some_and(|call| call.commitment() == proposal.commitment);
                if !called {
                    return Err(Misfit::NotCalled);
                }
                self.open = None;
                self.proposal = Some(proposal.clone());
            }
            Event::Asked { proposed, outline } => {
                let cluster = proposed.definition;
                if outline.operators() != proposed.operators {
                    return Err(Misfit::Outline(cluster));
                }
                accept::apply(&mut self.answers, &accept::Event::Proposed(proposed.clone()))?;
                self.outlines.insert(cluster, outline.clone());
            }
            Event::Answered(event) => {
                accept::apply(&mut self.answers, event)?;
                if let accept::Event::Fallen { definition, .. } = event {
                    self.outlines.remove(definition);
                }
            }
        }
        Ok(())
    }
}
