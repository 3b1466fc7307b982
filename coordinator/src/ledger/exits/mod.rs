//! Exits: which validators leave, who has signed it, how far it is, and who is late.
//!
//! ```text
//! requested -> collecting -> signed -> broadcast -> seen -> exited -> withdrawn
//!     \____________\___________\__________________/
//!        by operators alone, by a slashing, by the withdrawal address (EIP-7002)
//! ```
//!
//! **Which.** As many as withdrawals need beyond what is there, expected, or exiting already; in the order of
//! [`crate::formulas::exits`]. Governance asks for others, and those of clusters that end are asked for without demand.
//!
//! **Signed.** A request names the validator, the epoch that is signed, and a deadline. Each operator's partial signature is
//! verified when it comes, under that operator's public share; a bad one is refused by name and takes nothing away from the
//! others. With `t` they are combined, the result is verified under the validator's key, and the exit can be given to any
//! beacon node. It is valid for ever: exits are signed under Capella's fork (EIP-7044). Shares of another generation do not
//! combine; a partial signature of a newer one begins the collection anew.
//!
//! **Other ways.** The pool's withdrawal address can ask the chain ([`call`]); it ignores requests without a word, so only a
//! state that has the exit counts. Operators can always exit a validator of their own; the book then finds it on the chain.
//!
//! **Late.** Who has signed is not late, whatever the others do. Whose signature is missing at the deadline is delinquent
//! until the exit is seen and for the policy's cooldown after it.
//!
//! Sources: Lido's validator exit bus and its penalties; EIP-7002, EIP-7044.

mod apply;
mod asked;
mod command;
mod decide;
mod plan;

pub use apply::{Corrupt, apply};
pub use asked::{Seen, Triggered, Wish};
pub use command::{Asked, Cluster, Command, Event, Facts, SeenExit, Staked, Standing, Validator, Whole, Why};
pub use decide::{Refusal, decide};
pub use plan::PLAN_MAX;

use super::incidents::{MissedExit, Place};
use super::operators::OperatorId;
use crate::formulas::exits::{ExitError, PREDEPLOY, REQUEST_LEN, Withdrawal, request, request_fee};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::{Address, Epoch, Generation, PublicKey, Root, Signature, ValidatorIndex, Wei};

/// The most requests of the withdrawal address for one validator that are kept: more do not help.
pub const TRIGGERS_MAX: usize = 16;

/// How far an exit is. Never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nobody has signed.
    Requested,
    /// Some have signed.
    Collecting,
    /// Its key has signed.
    Signed,
    /// A beacon node was given it.
    Broadcast,
    /// The chain has it.
    Seen,
    /// No more duties.
    Exited,
    /// Its balance is withdrawn.
    Withdrawn,
}

/// Whether it is signed in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lateness {
    /// In time, as far as was looked.
    InTime,
    /// Delayed: shown.
    Delayed,
    /// Beyond the deadline.
    Delinquent,
}

/// An exit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exit {
    /// How it began.
    pub asked: Asked,
    /// How far it is.
    pub stage: Stage,
    /// Whether it is late.
    pub lateness: Lateness,
    /// The sharing of the partial signatures.
    pub generation: Generation,
    /// Partial signatures, verified.
    pub partials: BTreeMap<Place, Signature>,
    /// The validator's signature, verified.
    pub signature: Option<Signature>,
    /// Transactions by which the withdrawal address asked the chain.
    pub triggers: BTreeSet<Root>,
    /// Exit epoch and withdrawable epoch, once the chain has them.
    pub epochs: Option<[Epoch; 2]>,
    /// Who did not sign by the deadline.
    pub missing: BTreeSet<OperatorId>,
}

impl Exit {
    /// What is signed.
    pub fn message(&self) -> VoluntaryExit {
        VoluntaryExit { epoch: self.asked.epoch, validator_index: self.asked.validator }
    }

    /// The signed exit, for any beacon node, while the chain does not have it.
    pub fn to_broadcast(&self) -> Option<SignedVoluntaryExit> {
        let signature = self.signature.filter(|_| self.stage < Stage::Seen)?;
        Some(SignedVoluntaryExit { message: self.message(), signature })
    }
}

/// Everything the book knows. Changed by [`apply`] only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub(crate) exits: BTreeMap<ValidatorIndex, Exit>,
    /// Until when operators stay delinquent after their exits have come, in seconds since 1970.
    pub(crate) cooling: BTreeMap<OperatorId, u64>,
    /// How often operators were delinquent.
    pub(crate) strikes: BTreeMap<OperatorId, u32>,
}

impl State {
    /// All exits, those that are over included: nothing exits twice.
    pub fn exits(&self) -> &BTreeMap<ValidatorIndex, Exit> {
        &self.exits
    }

    /// Whether a finalized state had another exit epoch for a validator: the chain never tells another.
    pub fn contradicts(&self, validator: ValidatorIndex, exit: Epoch) -> bool {
        let known = self.exits.get(&validator).and_then(|known| known.epochs);
        known.is_some_and(|[was, _]| was != exit)
    }

    /// Signed exits that the chain does not have: to be given to beacon nodes, again and again.
    pub fn to_broadcast(&self) -> impl Iterator<Item = SignedVoluntaryExit> + '_ {
        self.exits.values().filter_map(Exit::to_broadcast)
    }

    /// Whether an operator is delinquent: no new stake, half the rewards.
    ///
    /// - `now`: in seconds since 1970. Cost: all exits.
    pub fn is_delinquent(&self, operator: OperatorId, now: u64) -> bool {
        self.delinquent(now).contains(&operator)
    }

    /// All who are delinquent, at a time in seconds since 1970. Cost: all exits.
    pub fn delinquent(&self, now: u64) -> BTreeSet<OperatorId> {
        let waited_for = self.exits.values().filter(|exit| exit.stage < Stage::Seen);
        let cooling = self.cooling.iter().filter(|(_, until)| now < **until).map(|(operator, _)| *operator);
        waited_for.flat_map(|exit| exit.missing.iter().copied()).chain(cooling).collect()
    }

    /// How often an operator was delinquent.
    pub fn strikes(&self, operator: OperatorId) -> u32 {
        self.strikes.get(&operator).copied().unwrap_or_default()
    }

    /// What the book of incidents is told of an exit that did not come.
    pub fn missed(&self, validator: ValidatorIndex) -> Option<MissedExit> {
        let exit = self.exits.get(&validator).filter(|exit| exit.lateness == Lateness::Delinquent)?;
        let Asked { epoch, deadline, .. } = exit.asked;
        Some(MissedExit { epoch, deadline, missing: exit.missing.clone() })
    }
}

/// What the pool's withdrawal address sends to have a validator exit, without any of its operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The contract.
    pub to: Address,
    /// The request.
    pub data: [u8; REQUEST_LEN],
    /// The fee while no more is asked for: what is sent beyond it is lost, what is below it is refused.
    pub fee: Wei,
}

/// The call by which the withdrawal address asks for an exit (EIP-7002).
///
/// - `excess`: requests above the target so far, of the contract's storage.
/// - Errors: a fee beyond all ETH.
pub fn call(validator: &PublicKey, excess: u64) -> Result<Call, ExitError> {
    Ok(Call { to: PREDEPLOY, data: request(validator, Withdrawal::Full), fee: request_fee(excess)? })
}

#[cfg(test)]
mod tests;
