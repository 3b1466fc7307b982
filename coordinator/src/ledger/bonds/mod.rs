//! Bonds: what operators have put up, what each unit of it backs, and when it is theirs again.
//!
//! ```text
//! bond      deposits seen on the chain + rewards credited - penalties - claims
//! backing   keys in clusters, priced along the operator type's curve in the order in which they came
//! services  what services outside may take: registered by the operator, with name and amount
//! locks     of clusters and services that were left: until faults made there have come to light
//! debt      penalties beyond the bond; what comes in pays it first
//! free      = claimable = max(0, bond - required(keys) - services - locks - debt)
//! ```
//!
//! A unit of bond backs one thing: whatever is newly backed, locked or taken out comes from what is free. Leaving a cluster
//! frees nothing at once: what its keys no longer require is locked instead, for the policy's window, which is never
//! shorter than that in which a slashing can follow a fault. A penalty takes from the whole bond, locked or not.
//!
//! Claims are paid to the operator's reward address, whoever asks; not while it is paused, nor while another reward address
//! is announced, nor while an incident is open that it may have to pay for.

mod decide;
mod exposure;

pub use decide::{Facts, Held, Order, Refusal};
pub use exposure::Coalition;

use super::chain::Reference;
use super::operators::OperatorId;
use crate::formulas::bonds::{BondAccount, BondCurve};
use crate::formulas::wide::{self, WideError};
use crate::text::Label;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Address, ClusterId, Epoch, Wei};

/// An operator's keys in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Which cluster.
    pub cluster: ClusterId,
    /// How many.
    pub count: u32,
}

/// Why something is locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockReason {
    /// Keys of this cluster were left: a fault made there may come to light.
    Left(ClusterId),
    /// This service was left.
    Quit(Label),
}

/// What is held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Why.
    pub reason: LockReason,
    /// How much.
    pub amount: Wei,
    /// Until this epoch is finalized.
    pub until: Epoch,
}

/// An operator's account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What it has put up.
    pub bond: Wei,
    /// What it owes.
    pub debt: Wei,
    /// What its bond backs, in the order in which it came.
    pub keys: Vec<Keys>,
    /// What services outside may take.
    pub services: BTreeMap<Label, Wei>,
    /// What is held back. Locks that are over go when the next one comes.
    pub locks: Vec<Lock>,
}

impl Account {
    /// Keys in all clusters. Saturates, far beyond any bond.
    pub fn key_count(&self) -> u32 {
        self.keys.iter().fold(0, |sum, keys| sum.saturating_add(keys.count))
    }

    /// What each cluster is backed with, in order: each key costs its step of the curve. Together it is what is required.
    pub fn backing(&self, curve: &BondCurve) -> Vec<(ClusterId, Wei)> {
        let mut before = 0_u32;
        let price = |keys: &Keys| {
            let from = curve.required(before);
            before = before.saturating_add(keys.count);
            (keys.cluster, Wei(curve.required(before).0 - from.0))
        };
        self.keys.iter().map(price).collect()
    }

    /// What services may take, together.
    pub fn exposed(&self) -> Result<Wei, WideError> {
        wide::total(self.services.values().copied())
    }

    /// What is locked, while `finalized` is the latest finalized epoch.
    pub fn locked(&self, finalized: Epoch) -> Result<Wei, WideError> {
        let held = self.locks.iter().filter(|lock| lock.until > finalized);
        wide::total(held.map(|lock| lock.amount))
    }

    /// What backs nothing, is not locked and not owed.
    pub fn free(&self, curve: &BondCurve, finalized: Epoch) -> Result<Wei, WideError> {
        let locked = wide::add(self.locked(finalized)?, self.exposed()?)?;
        let account = BondAccount { bond: self.bond, rewards: Wei::ZERO, locked, debt: self.debt };
        account.claimable(curve.required(self.key_count()))
    }

    fn receive(&mut self, amount: Wei, repaid: Wei) -> Result<(), WideError> {
        self.bond = wide::add(self.bond, wide::sub(amount, repaid)?)?;
        self.debt = wide::sub(self.debt, repaid)?;
        Ok(())
    }
}

/// What is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Whose bond it was.
    pub operator: OperatorId,
    /// Where it goes.
    pub to: Address,
    /// How much.
    pub amount: Wei,
}

/// The book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Accounts of those who have one.
    pub accounts: BTreeMap<OperatorId, Account>,
    /// What was seen on the chain.
    pub seen: BTreeSet<Reference>,
    /// What is to be paid, by number.
    pub claims: BTreeMap<u64, Claim>,
    /// The number of the next claim.
    pub next_claim: u64,
}

/// What an operator's manager, or reward address, wishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To have some of its bond back.
    Withdraw(OperatorId, Wei),
    /// A service outside may take some of its bond.
    Serve(OperatorId, Label, Wei),
    /// It may not any more.
    Quit(OperatorId, Label),
}

/// What the coordinator has seen on the execution layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A deposit of bond.
    Deposited(Deposited),
    /// A claim was paid.
    Paid(Paid),
}

impl Sighting {
    /// Where it happened.
    pub fn reference(&self) -> Reference {
        match self {
            Self::Deposited(seen) => seen.reference,
            Self::Paid(paid) => paid.reference,
        }
    }
}

/// A deposit of bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposited {
    /// For whom.
    pub operator: OperatorId,
    /// How much.
    pub amount: Wei,
    /// Where.
    pub reference: Reference,
}

/// The payment of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paid {
    /// Its number.
    pub claim: u64,
    /// Where.
    pub reference: Reference,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// Bond came in, from the chain.
    Deposited {
        /// What was seen.
        seen: Deposited,
        /// The part of it that pays what the operator owes.
        repaid: Wei,
    },
    /// Bond came in, from rewards.
    Credited {
        /// Whose.
        operator: OperatorId,
        /// How much.
        amount: Wei,
        /// The part of it that pays what the operator owes.
        repaid: Wei,
    },
    /// A loss is paid, or owed.
    Penalised {
        /// Whose.
        operator: OperatorId,
        /// Taken from the bond.
        taken: Wei,
        /// Owed from now on, besides what was.
        owed: Wei,
    },
    /// Bond backs keys.
    Backed {
        /// Whose.
        operator: OperatorId,
        /// Which cluster, and how many more.
        keys: Keys,
    },
    /// Bond backs keys no longer, and is locked.
    Released {
        /// Whose.
        operator: OperatorId,
        /// Which cluster, and how many fewer.
        keys: Keys,
        /// What stays.
        lock: Lock,
        /// The latest finalized epoch: locks until then are over.
        finalized: Epoch,
    },
    /// A service may take more.
    Served {
        /// Whose.
        operator: OperatorId,
        /// Which.
        service: Label,
        /// How much more.
        amount: Wei,
    },
    /// A service was left, and what it could take is locked.
    Quit {
        /// Whose.
        operator: OperatorId,
        /// Which.
        service: Label,
        /// What stays.
        lock: Lock,
        /// The latest finalized epoch: locks until then are over.
        finalized: Epoch,
    },
    /// Bond is to be paid out.
    Claimed {
        /// Its number.
        number: u64,
        /// What is to be paid.
        claim: Claim,
    },
    /// It was paid.
    Paid(Paid),
}

/// An event that does not fit the book: the log is corrupt.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Misfit {
    /// More than there is, or more than fits.
    #[error(transparent)]
    Wide(#[from] WideError),
    /// Keys that are not there.
    #[error("{have} keys in cluster {cluster}, {less} fewer are said to be left")]
    Keys {
        /// Which cluster.
        cluster: ClusterId,
        /// Keys there.
        have: u32,
        /// How many fewer.
        less: u32,
    },
    /// More keys than can be counted.
    #[error("more than 2^32 keys in cluster {0}")]
    TooManyKeys(ClusterId),
    /// A claim that is not there.
    #[error("no claim {0}")]
    NoClaim(u64),
    /// A claim that is there already.
    #[error("claim {0} is there already")]
    ClaimKnown(u64),
    /// Something on the chain that was counted already.
    #[error("log {} of transaction {} was counted already", .0.index, .0.hash)]
    SeenBefore(Reference),
    /// A service that is not served.
    #[error("operator {operator} does not serve {what}")]
    NotServed {
        /// Whose.
        operator: OperatorId,
        /// Which.
        what: Label,
    },
}

impl State {
    /// An operator's account; empty if it has none.
    pub fn account(&self, operator: OperatorId) -> Account {
        self.accounts.get(&operator).cloned().unwrap_or_default()
    }

    /// Applies an event. Errors: it does not fit.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        match event {
            Event::Deposited { seen, repaid } => {
                self.count(seen.reference)?;
                self.of(seen.operator).receive(seen.amount, *repaid)?;
            }
            Event::Credited { operator, amount, repaid } => self.of(*operator).receive(*amount, *repaid)?,
            Event::Penalised { operator, taken, owed } => {
                let account = self.of(*operator);
                account.bond = wide::sub(account.bond, *taken)?;
                account.debt = wide::add(account.debt, *owed)?;
            }
            Event::Backed { operator, keys } => self.of(*operator).back(keys)?,
            Event::Released { operator, keys, lock, finalized } => {
                self.of(*operator).release(keys)?;
                self.of(*operator).lock(lock, *finalized);
            }
            Event::Served { operator, service, amount } => {
                let taken = self.of(*operator).services.entry(service.clone()).or_default();
                *taken = wide::add(*taken, *amount)?;
            }
            Event::Quit { operator, service, lock, finalized } => {
                let (operator, what) = (*operator, service.clone());
                let account = self.of(operator);
                account.services.remove(service).ok_or(Misfit::NotServed { operator, what })?;
                account.lock(lock, *finalized);
            }
            Event::Claimed { number, claim } => {
                let account = self.of(claim.operator);
                account.bond = wide::sub(account.bond, claim.amount)?;
                if self.claims.insert(*number, *claim).is_some() {
                    return Err(Misfit::ClaimKnown(*number));
                }
                self.next_claim = number.saturating_add(1);
            }
            Event::Paid(paid) => {
                self.count(paid.reference)?;
                self.claims.remove(&paid.claim).ok_or(Misfit::NoClaim(paid.claim))?;
            }
        }
        Ok(())
    }

    fn count(&mut self, reference: Reference) -> Result<(), Misfit> {
        if self.seen.insert(reference) { Ok(()) } else { Err(Misfit::SeenBefore(reference)) }
    }

    fn of(&mut self, operator: OperatorId) -> &mut Account {
        self.accounts.entry(operator).or_default()
    }
}

impl Account {
    fn back(&mut self, more: &Keys) -> Result<(), Misfit> {
        match self.keys.iter_mut().find(|keys| keys.cluster == more.cluster) {
            Some(keys) => {
                let count = keys.count.checked_add(more.count);
                keys.count = count.ok_or(Misfit::TooManyKeys(more.cluster))?;
            }
            None => self.keys.push(*more),
        }
        Ok(())
    }

    fn release(&mut self, less: &Keys) -> Result<(), Misfit> {
        let cluster = less.cluster;
        let missing = |have| Misfit::Keys { cluster, have, less: less.count };
        let keys = self.keys.iter_mut().find(|keys| keys.cluster == cluster).ok_or(missing(0))?;
        keys.count = keys.count.checked_sub(less.count).ok_or(missing(keys.count))?;
        self.keys.retain(|keys| keys.count > 0);
        Ok(())
    }

    fn lock(&mut self, lock: &Lock, finalized: Epoch) {
        self.locks.retain(|lock| lock.until > finalized);
        if lock.amount != Wei::ZERO {
            self.locks.push(lock.clone());
        }
    }
}

#[cfg(test)]
mod tests;
