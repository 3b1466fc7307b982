//! Who governs, and how: `m` of `n` keys agree on an act, everybody can see it coming, then it takes effect.
//!
//! ```text
//! propose   the first key sends the act with a salt; the others send the same: that is their support
//! adopted   at m supports; an act that waits is scheduled at now + timelock, one that only stops something is done
//! cancel    m keys may take it back before it is executed
//! execute   anybody, from its time on; the act is checked again, against what is true then
//! lapsed    30 days after it was proposed, or could have been executed
//! ```
//!
//! Only keys that are governance's *now* count, whoever supported when. What is adopted stays adopted when keys change.
//! A key has few open proposals at a time, so one that went wild cannot fill the book.
//!
//! Guardians: any one of them stops deposits, at once and alone. That they go on is an act.

mod act;

pub use act::Act;

use super::quorum::Quorum;
use crate::canonical;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Address, Root};

/// How long a proposal waits for support, and an adopted one for execution, in seconds: what was meant a month ago may not
/// be meant any more.
pub const LIFE_S: u64 = 30 * 86_400;
/// Open proposals of one key.
pub const OPEN_PER_KEY_MAX: usize = 8;

/// What is proposed. The salt tells two equal acts apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Motion {
    /// What shall be done.
    pub act: Act,
    /// Anything.
    pub salt: Root,
}

impl Motion {
    /// Its id: the SHA-256 of its canonical bytes, whatever spelling was sent.
    pub fn id(&self) -> Root {
        canonical::hash(self)
    }
}

/// A proposal that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What shall be done.
    pub motion: Motion,
    /// Whose it is.
    pub by: Address,
    /// Unix seconds.
    pub at: u64,
    /// Who supports it.
    pub supporters: BTreeSet<Address>,
    /// Who wants it cancelled.
    pub objectors: BTreeSet<Address>,
    /// From when on it can be executed, once it is adopted: Unix seconds.
    pub ready_at: Option<u64>,
}

impl Proposal {
    /// When it lapses, in Unix seconds.
    pub fn lapses_at(&self) -> u64 {
        self.ready_at.unwrap_or(self.at).saturating_add(LIFE_S)
    }
}

/// How a proposal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Executed,
    /// It was taken back.
    Cancelled,
    /// It was forgotten.
    Lapsed,
}

/// Who stopped deposits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Which guardian.
    pub by: Address,
    /// Unix seconds.
    pub at: u64,
}

/// The book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Who governs.
    pub keys: Quorum,
    /// Who guards deposits.
    pub guardians: Quorum,
    /// Who signs heads and observations.
    pub coordinator: Address,
    /// Seconds between adoption and effect.
    pub timelock_s: u64,
    /// Whether deposits are stopped, and by whom.
    pub deposits_paused: Option<Pause>,
    /// Proposals that can still become something.
    pub open: BTreeMap<Root, Proposal>,
    /// How the others ended.
    pub closed: BTreeMap<Root, Outcome>,
}

/// What somebody wishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A key of governance proposes, or supports what another proposed.
    Propose(Motion),
    /// A key of governance wants it cancelled.
    Cancel(Root),
    /// Anybody: its time has come.
    Execute(Root),
    /// A guardian stops deposits.
    PauseDeposits,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// Somebody proposed.
    Proposed {
        /// Its id.
        id: Root,
        /// What.
        motion: Motion,
        /// Who, and the first to support it.
        by: Address,
        /// Unix seconds.
        at: u64,
    },
    /// Somebody supports.
    Supported {
        /// What.
        id: Root,
        /// Who.
        by: Address,
    },
    /// Enough support.
    Adopted {
        /// What.
        id: Root,
        /// From when on it can be executed: Unix seconds.
        ready_at: u64,
    },
    /// Somebody objects.
    Objected {
        /// To what.
        id: Root,
        /// Who.
        by: Address,
    },
    /// It is over.
    Closed {
        /// What.
        id: Root,
        /// How.
        outcome: Outcome,
    },
    /// Deposits stop.
    DepositsPaused(Pause),
    /// Deposits go on.
    DepositsResumed,
    /// Other keys.
    GovernanceRotated(Quorum),
    /// Other guardians.
    GuardiansRotated(Quorum),
    /// Another key of the coordinator.
    CoordinatorRotated(Address),
}

/// Why a wish is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// No such proposal.
    #[error("there is no proposal {0}")]
    Unknown(Root),
    /// It is over.
    #[error("proposal {id} is over: {outcome:?}")]
    Over {
        /// Which.
        id: Root,
        /// How it ended.
        outcome: Outcome,
    },
    /// It was forgotten.
    #[error("proposal {id} lapsed at {lapsed_at}")]
    Lapsed {
        /// Which.
        id: Root,
        /// Unix seconds.
        lapsed_at: u64,
    },
    /// The same key again.
    #[error("{by} has spoken on proposal {id} already: one key counts once")]
    Twice {
        /// Which.
        id: Root,
        /// Whose.
        by: Address,
    },
    /// Too many of one key.
    #[error("{by} has {OPEN_PER_KEY_MAX} open proposals")]
    TooManyOpen {
        /// Whose.
        by: Address,
    },
    /// Too little support.
    #[error("proposal {id} has the support of {have} keys and needs {need}")]
    NotAdopted {
        /// Which.
        id: Root,
        /// Keys of governance that support it.
        have: usize,
        /// How many must.
        need: u8,
    },
    /// Support enough already.
    #[error("proposal {id} is adopted already; it can be executed from {ready_at} on")]
    Adopted {
        /// Which.
        id: Root,
        /// Unix seconds.
        ready_at: u64,
    },
    /// Too early.
    #[error("proposal {id} can be executed from {ready_at} on, it is {at}")]
    TooEarly {
        /// Which.
        id: Root,
        /// Unix seconds from which on.
        ready_at: u64,
        /// Unix seconds now.
        at: u64,
    },
    /// Stopped already.
    #[error("deposits are stopped already, by {} at {}", .0.by, .0.at)]
    PausedAlready(Pause),
}

/// An event that does not fit the book: the log is corrupt.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Misfit {
    /// Of a proposal that is not open.
    #[error("no open proposal {0}")]
    NotOpen(Root),
    /// Of a proposal that is there already.
    #[error("proposal {0} is there already")]
    Known(Root),
}

impl State {
    /// The book of a new pool.
    pub fn new(keys: Quorum, guardians: Quorum, coordinator: Address, timelock_s: u64) -> Self {
        let (open, closed) = (BTreeMap::new(), BTreeMap::new());
        Self { keys, guardians, coordinator, timelock_s, deposits_paused: None, open, closed }
    }

    /// What a wish leads to. An act that is to be done is said by [`Outcome::Executed`]; what it does is other events'.
    ///
    /// - `by`: who wishes; whether it may is the caller's to say.
    /// - `at`: now, in Unix seconds.
    pub fn decide(&self, at: u64, by: Address, command: &Command) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Propose(motion) => self.propose(at, by, motion),
            Command::Cancel(id) => self.cancel(at, by, *id),
            Command::Execute(id) => self.execute(at, *id),
            Command::PauseDeposits => match self.deposits_paused {
                Some(pause) => Err(Refusal::PausedAlready(pause)),
                None => Ok(vec![Event::DepositsPaused(Pause { by, at })]),
            },
        }
    }

    fn propose(&self, at: u64, by: Address, motion: &Motion) -> Result<Vec<Event>, Refusal> {
        let id = motion.id();
        let mut events = Vec::new();
        let mut supporters = BTreeSet::from([by]);
        if self.open.contains_key(&id) || self.closed.contains_key(&id) {
            let proposal = self.alive(at, id)?;
            if let Some(ready_at) = proposal.ready_at {
                return Err(Refusal::Adopted { id, ready_at });
            }
            if proposal.supporters.contains(&by) {
                return Err(Refusal::Twice { id, by });
            }
            supporters.extend(&proposal.supporters);
            events.push(Event::Supported { id, by });
        } else {
            let lapsed = |(_, proposal): &(&Root, &Proposal)| proposal.lapses_at() < at;
            let own = self.open.iter().filter(|(_, proposal)| proposal.by == by);
            if own.filter(|each| !lapsed(each)).count() >= OPEN_PER_KEY_MAX {
                return Err(Refusal::TooManyOpen { by });
            }
            let over = self.open.iter().filter(lapsed);
            events.extend(over.map(|(id, _)| Event::Closed { id: *id, outcome: Outcome::Lapsed }));
            events.push(Event::Proposed { id, motion: motion.clone(), by, at });
        }
        if self.keys.agrees(&supporters) {
            if motion.act.waits() {
                events.push(Event::Adopted { id, ready_at: at.saturating_add(self.timelock_s) });
            } else {
                events.push(Event::Closed { id, outcome: Outcome::Executed });
            }
        }
        Ok(events)
    }

    fn cancel(&self, at: u64, by: Address, id: Root) -> Result<Vec<Event>, Refusal> {
        let proposal = self.alive(at, id)?;
        if proposal.objectors.contains(&by) {
            return Err(Refusal::Twice { id, by });
        }
        let mut events = vec![Event::Objected { id, by }];
        let objectors = proposal.objectors.iter().copied().chain([by]).collect();
        if self.keys.agrees(&objectors) {
            events.push(Event::Closed { id, outcome: Outcome::Cancelled });
        }
        Ok(events)
    }

    fn execute(&self, at: u64, id: Root) -> Result<Vec<Event>, Refusal> {
        let proposal = self.alive(at, id)?;
        let Some(ready_at) = proposal.ready_at else {
            let (have, need) = (self.keys.count(&proposal.supporters), self.keys.needed());
            return Err(Refusal::NotAdopted { id, have, need });
        };
        if at < ready_at {
            return Err(Refusal::TooEarly { id, ready_at, at });
        }
        Ok(vec![Event::Closed { id, outcome: Outcome::Executed }])
    }

    /// A proposal that can still become something.
    fn alive(&self, at: u64, id: Root) -> Result<&Proposal, Refusal> {
        if let Some(outcome) = self.closed.get(&id) {
            return Err(Refusal::Over { id, outcome: *outcome });
        }
        let proposal = self.open.get(&id).ok_or(Refusal::Unknown(id))?;
        let lapsed_at = proposal.lapses_at();
        if lapsed_at < at { Err(Refusal::Lapsed { id, lapsed_at }) } else { Ok(proposal) }
    }

    /// Applies an event. Errors: it is of a proposal that is not open.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        match event {
            Event::Proposed { id, motion, by, at } => {
                let supporters = BTreeSet::from([*by]);
                let proposal = Proposal {
                    motion: motion.clone(),
                    by: *by,
                    at: *at,
                    supporters,
                    objectors: BTreeSet::new(),
                    ready_at: None,
                };
                if self.open.insert(*id, proposal).is_some() {
                    return Err(Misfit::Known(*id));
                }
            }
            Event::Supported { id, by } => drop(self.open(*id)?.supporters.insert(*by)),
            Event::Adopted { id, ready_at } => self.open(*id)?.ready_at = Some(*ready_at),
            Event::Objected { id, by } => drop(self.open(*id)?.objectors.insert(*by)),
            Event::Closed { id, outcome } => {
                self.open.remove(id).ok_or(Misfit::NotOpen(*id))?;
                self.closed.insert(*id, *outcome);
            }
            Event::DepositsPaused(pause) => self.deposits_paused = Some(*pause),
            Event::DepositsResumed => self.deposits_paused = None,
            Event::GovernanceRotated(keys) => self.keys = keys.clone(),
            Event::GuardiansRotated(guardians) => self.guardians = guardians.clone(),
            Event::CoordinatorRotated(coordinator) => self.coordinator = *coordinator,
        }
        Ok(())
    }

    fn open(&mut self, id: Root) -> Result<&mut Proposal, Misfit> {
        self.open.get_mut(&id).ok_or(Misfit::NotOpen(id))
    }
}

#[cfg(test)]
mod tests;
