//! Operators: who they are, what they may do, and what nobody can do in their name.
//!
//! ```text
//! applied --vet--> vetted --activate--> active --leave, dismiss--> exiting --depart--> left
//!                  \__________________ paused or not ___________________/
//! apply        anybody who is nothing else in the pool; its node vouches for it
//! vet          governance, after the timelock
//! activate     the manager, once the bond is enough for a first key
//! pause        governance, at once; unpause after the timelock. A paused operator gets no stake, takes nothing out, and
//!              does not leave
//! leave        the manager announces it; dismiss: governance, after the timelock. From there no new stake
//! depart       anybody, once no cluster is left that the operator is in
//! update       the manager: software, hosting, country
//! ```
//!
//! An operator has two addresses from the start, which are never the same: the *manager* speaks for it, and rewards and
//! bond are paid to the *reward* address. An operator's name is the address it applied with, for ever, whoever the manager
//! is now.
//!
//! A manager's key can be stolen. In 2025 that made a cluster of Lido's lose eighty validators, although no share was: the
//! thief could ask for exits. Here the manager announces: another manager, another reward address, that the operator
//! leaves. Each takes effect after the policy's delay and raises an alarm; the manager and governance call it off. A new
//! manager takes the seat by signing itself, so no typing error locks an operator out. Leaving asks for no exit of a
//! validator: it ends new stake, and exits are signed by `t` nodes, whose keys no manager has. When the thief has the only
//! key, governance puts in another manager.

mod announce;
mod decide;
mod profile;

pub use announce::{ALARMS_MAX, Alarm, AlarmCause, Announcement, By, Kind, NoKind, Of, Pending};
pub use decide::{Facts, Refusal};
pub use profile::{Application, Key, NoKey, Record, Setup};

use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Address, Gwei};

/// Longest reason, in bytes: a sentence or two.
pub const REASON_LEN_MAX: usize = 280;

/// An operator's name: the address it applied with.
pub type OperatorId = Address;

/// Why something was done, for people.
pub type Reason = Text<REASON_LEN_MAX>;

/// Where an operator stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It has asked to be one.
    Applied,
    /// Governance has agreed.
    Vetted,
    /// It gets stake.
    Active,
    /// It gets no new stake and is being replaced.
    Exiting,
    /// It is in no cluster any more.
    Left,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Who speaks for it.
    pub manager: Address,
    /// Who is paid.
    pub reward: Address,
    /// What it said when it applied; what it runs now is kept here too.
    pub application: Application,
    /// Unix seconds of its application.
    pub applied_at: u64,
    /// Where it stands.
    pub standing: Standing,
    /// Its own limit on stake, if governance has set one; the policy's binds as well.
    pub stake_cap: Option<Gwei>,
    /// Why it is paused, if it is; wherever it stands, it gets no stake then and takes nothing out.
    pub paused_for: Option<Reason>,
    /// What is announced.
    pub pending: BTreeMap<Kind, Pending>,
    /// The newest alarms, the oldest first.
    pub alarms: Vec<Alarm>,
}

/// The book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// All that ever applied.
    pub operators: BTreeMap<OperatorId, Operator>,
    /// By address, the operators to which it is or was something: every payment asks.
    of: BTreeMap<Address, BTreeSet<OperatorId>>,
}

/// What somebody wishes who signs for an operator, or for nobody yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To be an operator.
    Apply(Box<Application>),
    /// It runs something else, or elsewhere.
    Update(OperatorId, Setup),
    /// It is ready for stake.
    Activate(OperatorId),
    /// Something will be.
    Announce(OperatorId, Announcement),
    /// It will not.
    CallOff(OperatorId, Kind),
    /// Its time has come.
    Effect(OperatorId, Kind),
    /// It is in no cluster any more.
    Depart(OperatorId),
}

/// What governance does with an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is one of the pool.
    Vet,
    /// Another limit on its stake.
    SetStakeCap(Gwei),
    /// Stop.
    Pause(Reason),
    /// Go on.
    Unpause,
    /// Leave.
    Dismiss,
    /// Another manager.
    ReplaceManager(Address),
    /// What was announced does not come.
    CallOff(Kind),
}

/// What happened, to which operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// To whom.
    pub operator: OperatorId,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// It has applied.
    Applied {
        /// Unix seconds.
        at: u64,
        /// What it said.
        application: Box<Application>,
    },
    /// It runs something else.
    Updated(Setup),
    /// It stands elsewhere.
    Stands(Standing),
    /// Governance has stopped it.
    Paused(Reason),
    /// It goes on.
    Unpaused,
    /// Another limit on its stake.
    StakeCapSet(Gwei),
    /// Something will be.
    Announced(Pending),
    /// It will not.
    CalledOff {
        /// What.
        kind: Kind,
        /// Who said so.
        by: By,
        /// Unix seconds.
        at: u64,
    },
    /// It is.
    Effected {
        /// What was announced.
        what: Announcement,
        /// Unix seconds.
        at: u64,
    },
    /// Governance has put in another manager.
    ManagerReplaced {
        /// Who speaks for the operator now.
        manager: Address,
        /// Unix seconds.
        at: u64,
    },
}

/// An event that does not fit the book: the log is corrupt.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Misfit {
    /// Of nobody.
    #[error("no operator {0}")]
    Unknown(OperatorId),
    /// It has applied already.
    #[error("operator {0} is there already")]
    Known(OperatorId),
    /// Nothing of this kind is pending.
    #[error("no {0} is pending")]
    NothingPending(Of),
}

impl State {
    /// The operator with this name.
    pub fn get(&self, operator: OperatorId) -> Option<&Operator> {
        self.operators.get(&operator)
    }

    /// What an address is to operators. Cost: those that it has ever been something to.
    pub fn seat(&self, address: Address) -> Option<super::seat::Seat> {
        use super::seat::Seat;
        let known = self.of.get(&address)?;
        let all = || known.iter().filter_map(|id| Some((*id, self.operators.get(id)?)));
        let manager = all().find(|(_, operator)| operator.manager == address);
        let reward = || all().find(|(_, operator)| operator.reward == address);
        let name = || self.operators.contains_key(&address).then_some(Seat::Founder(address));
        let manager = manager.map(|(id, _)| Seat::Manager(id));
        manager.or_else(|| reward().map(|(id, _)| Seat::Reward(id))).or_else(name)
    }

    /// Applies an event. Errors: it does not fit.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        let id = event.operator;
        if let What::Applied { at, application } = &event.what {
            let operator = Operator {
                manager: id,
                reward: application.reward,
                application: (**application).clone(),
                applied_at: *at,
                standing: Standing::Applied,
                stake_cap: None,
                paused_for: None,
                pending: BTreeMap::new(),
                alarms: Vec::new(),
            };
            let its = [id, operator.reward];
            let before = self.operators.insert(id, operator);
            its.into_iter().for_each(|address| self.note(address, id));
            return before.map_or(Ok(()), |_| Err(Misfit::Known(id)));
        }
        let operator = self.operators.get_mut(&id).ok_or(Misfit::Unknown(id))?;
        operator.apply(id, &event.what)?;
        let its = [operator.manager, operator.reward];
        its.into_iter().for_each(|address| self.note(address, id));
        Ok(())
    }

    fn note(&mut self, address: Address, operator: OperatorId) {
        self.of.entry(address).or_default().insert(operator);
    }
}

impl Operator {
    /// The address that its node's signatures give. Cost: one square root in the field, and a hash.
    pub fn node_address(&self) -> Address {
        self.application.enr.key().0.address()
    }

    /// Whether governance has stopped it.
    pub fn paused(&self) -> bool {
        self.paused_for.is_some()
    }

    fn apply(&mut self, id: OperatorId, what: &What) -> Result<(), Misfit> {
        match what {
            What::Applied { .. } => {}
            What::Updated(setup) => self.application.setup = setup.clone(),
            What::Stands(standing) => self.standing = *standing,
            What::Paused(reason) => self.paused_for = Some(reason.clone()),
            What::Unpaused => self.paused_for = None,
            What::StakeCapSet(cap) => self.stake_cap = Some(*cap),
            What::Announced(pending) => {
                self.pending.insert(pending.what.kind(), *pending);
                self.alarm(pending.at, AlarmCause::Announced(pending.what));
            }
            What::CalledOff { kind, by: _, at } => {
                self.settle(id, *kind)?;
                self.alarm(*at, AlarmCause::CalledOff(*kind));
            }
            What::Effected { what, at } => {
                self.settle(id, what.kind())?;
                match what {
                    Announcement::Manager(manager) => self.manager = *manager,
                    Announcement::Reward(reward) => self.reward = *reward,
                    Announcement::Leave => self.standing = Standing::Exiting,
                }
                self.alarm(*at, AlarmCause::Effected(*what));
            }
            What::ManagerReplaced { manager, at } => {
                // Whatever the old manager has announced was perhaps a thief's.
                self.pending.clear();
                self.alarm(*at, AlarmCause::ManagerReplaced(self.manager));
                self.manager = *manager;
            }
        }
        Ok(())
    }

    fn settle(&mut self, operator: OperatorId, kind: Kind) -> Result<(), Misfit> {
        let pending = self.pending.remove(&kind);
        pending.map(drop).ok_or(Misfit::NothingPending(Of { operator, kind }))
    }

    fn alarm(&mut self, at: u64, cause: AlarmCause) {
        if self.alarms.len() >= ALARMS_MAX {
            self.alarms.remove(0);
        }
        self.alarms.push(Alarm { at, cause });
    }
}

#[cfg(test)]
mod tests;
