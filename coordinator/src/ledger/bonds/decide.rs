//! What becomes of a wish, a sighting or an order about bonds.

use super::{Account, Claim, Command, Event, Keys, Lock, LockReason, Sighting, State};
use crate::formulas::bonds::BondCurve;
use crate::formulas::wide::{self, WideError};
use crate::ledger::chain::Reference;
use crate::ledger::operators::{Kind, Operator, OperatorId, Standing};
use crate::ledger::policy::Policy;
use crate::text::Label;
use std::fmt;
use thiserror::Error;
use types::{ClusterId, Epoch, Wei};

/// What the book must be told.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The latest finalized epoch.
    pub finalized: Epoch,
    /// The operators.
    pub operator: &'a dyn Fn(OperatorId) -> Option<&'a Operator>,
    /// The open incident for which an operator's bond must stay.
    pub held: &'a dyn Fn(OperatorId) -> Option<u64>,
}

/// What other books do with bonds: clusters back and release, reports credit, incidents penalise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Keys in a cluster are to be backed.
    Back(OperatorId, Keys),
    /// Keys in a cluster are left, in this epoch.
    Release(OperatorId, Keys, Epoch),
    /// Rewards become bond, or somebody pays back what the bond had paid for it. Debts are paid with it first.
    Credit(OperatorId, Wei),
    /// A loss is to be paid.
    Penalise(OperatorId, Wei),
}

/// What there is of a bond, and what holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is free.
    pub free: Wei,
    /// All of it.
    pub bond: Wei,
    /// What backs keys.
    pub required: Wei,
    /// What services may take.
    pub exposed: Wei,
    /// What is locked.
    pub locked: Wei,
    /// What is owed.
    pub debt: Wei,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { free, bond, required, exposed, locked, debt } = self;
        write!(f, "of {bond} wei {free} are free; {required} back keys, services may take {exposed}, ")?;
        write!(f, "{locked} are locked and {debt} owed")
    }
}

/// Why a wish is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// No such operator.
    #[error("there is no operator {0}")]
    Unknown(OperatorId),
    /// The policy has dropped its type.
    #[error("the policy has no operator type {0}")]
    NoSuchType(Label),
    /// Nothing.
    #[error("an amount of nothing")]
    Nothing,
    /// Counted already.
    #[error("log {} of transaction {} was counted already", .0.index, .0.hash)]
    SeenBefore(Reference),
    /// It backs something else, is locked, or owed.
    #[error("{need} wei are needed of the bond: {held}")]
    NotFree {
        /// Asked for.
        need: Wei,
        /// What there is, and what holds it.
        held: Box<Held>,
    },
    /// Not from where it stands.
    #[error("operator {operator} is {standing:?}")]
    Standing {
        /// Whose.
        operator: OperatorId,
        /// Where it stands.
        standing: Standing,
    },
    /// Stopped by governance.
    #[error("operator {0} is paused")]
    Paused(OperatorId),
    /// It may have to pay for something.
    #[error("the bond of operator {operator} is held: incident {incident} is open")]
    Held {
        /// Whose.
        operator: OperatorId,
        /// Which.
        incident: u64,
    },
    /// Where to pay to is about to change.
    #[error("another reward address of operator {0} is announced: nothing is paid until it is settled")]
    RewardPending(OperatorId),
    /// Too many clusters.
    #[error("operator {operator} is in {have} clusters, the policy lets it be in {most}")]
    Clusters {
        /// Whose.
        operator: OperatorId,
        /// How many it is in.
        have: usize,
        /// The policy's number.
        most: u32,
    },
    /// Fewer keys than are left.
    #[error("{have} keys in cluster {cluster}, {less} cannot be left")]
    Keys {
        /// Which cluster.
        cluster: ClusterId,
        /// Keys there.
        have: u32,
        /// How many fewer.
        less: u32,
    },
    /// Too much for services.
    #[error("services could take {have} wei of the operator's bond, the policy lets them take {most}")]
    TooExposed {
        /// With this one.
        have: Wei,
        /// The policy's part of the bond.
        most: Wei,
    },
    /// Too much for one service.
    #[error("service {service} could take {have} wei of the pool's bonds, the policy lets one take {most}")]
    Correlated {
        /// Which.
        service: Label,
        /// With this operator's.
        have: Wei,
        /// The policy's.
        most: Wei,
    },
    /// A service that the operator does not serve.
    #[error("operator {operator} does not serve {service}")]
    NotServed {
        /// Whose.
        operator: OperatorId,
        /// Which.
        service: Label,
    },
    /// No such claim.
    #[error("no claim {0} is to be paid")]
    NoClaim(u64),
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

impl State {
    /// What a wish leads to. Who may wish is the caller's to say.
    pub fn decide(&self, facts: &Facts<'_>, command: &Command) -> Result<Vec<Event>, Refusal> {
        let event = match command {
            Command::Withdraw(operator, amount) => self.withdraw(facts, *operator, *amount)?,
            Command::Serve(operator, service, amount) => self.serve(facts, *operator, service, *amount)?,
            Command::Quit(operator, service) => self.quit(facts, *operator, service)?,
        };
        Ok(vec![event])
    }

    /// What a sighting leads to. What was counted is refused, so nothing is counted twice.
    pub fn see(&self, facts: &Facts<'_>, sighting: &Sighting) -> Result<Vec<Event>, Refusal> {
        let reference = sighting.reference();
        if self.seen.contains(&reference) {
            return Err(Refusal::SeenBefore(reference));
        }
        match sighting {
            Sighting::Deposited(seen) => {
                known(facts, seen.operator)?;
                something(seen.amount)?;
                let repaid = self.account(seen.operator).debt.min(seen.amount);
                Ok(vec![Event::Deposited { seen: *seen, repaid }])
            }
            Sighting::Paid(paid) if self.claims.contains_key(&paid.claim) => Ok(vec![Event::Paid(*paid)]),
            Sighting::Paid(paid) => Err(Refusal::NoClaim(paid.claim)),
        }
    }

    /// What another book's order leads to.
    pub fn order(&self, facts: &Facts<'_>, order: &Order) -> Result<Vec<Event>, Refusal> {
        let event = match order {
            Order::Back(operator, keys) => self.back(facts, *operator, *keys)?,
            Order::Release(operator, keys, left) => self.release(facts, *operator, *keys, *left)?,
            Order::Credit(operator, amount) => {
                known(facts, *operator)?;
                something(*amount)?;
                let repaid = self.account(*operator).debt.min(*amount);
                Event::Credited { operator: *operator, amount: *amount, repaid }
            }
            Order::Penalise(operator, amount) => {
                known(facts, *operator)?;
                something(*amount)?;
                let taken = self.account(*operator).bond.min(*amount);
                Event::Penalised { operator: *operator, taken, owed: wide::sub(*amount, taken)? }
            }
        };
        Ok(vec![event])
    }

    fn withdraw(&self, facts: &Facts<'_>, id: OperatorId, amount: Wei) -> Result<Event, Refusal> {
        let operator = known(facts, id)?;
        something(amount)?;
        running(id, operator)?;
        if let Some(incident) = (facts.held)(id) {
            return Err(Refusal::Held { operator: id, incident });
        }
        if operator.pending.contains_key(&Kind::Reward) {
            return Err(Refusal::RewardPending(id));
        }
        ensure_free(facts, &self.account(id), curve(facts, operator)?, amount)?;
        let claim = Claim { operator: id, to: operator.reward, amount };
        Ok(Event::Claimed { number: self.next_claim, claim })
    }

    fn back(&self, facts: &Facts<'_>, id: OperatorId, keys: Keys) -> Result<Event, Refusal> {
        let operator = known(facts, id)?;
        running(id, operator)?;
        if operator.standing != Standing::Active {
            return Err(Refusal::Standing { operator: id, standing: operator.standing });
        }
        let account = self.account(id);
        let (have, most) = (account.keys.len(), facts.policy.terms().operator_caps.clusters);
        let new = account.keys.iter().all(|other| other.cluster != keys.cluster);
        if new && have >= most as usize {
            return Err(Refusal::Clusters { operator: id, have, most });
        }
        let before = account.key_count();
        let after = before.checked_add(keys.count).filter(|_| keys.count > 0).ok_or(Refusal::Nothing)?;
        let curve = curve(facts, operator)?;
        let need = wide::sub(curve.required(after), curve.required(before))?;
        ensure_free(facts, &account, curve, need)?;
        Ok(Event::Backed { operator: id, keys })
    }

    fn release(&self, facts: &Facts<'_>, id: OperatorId, less: Keys, left: Epoch) -> Result<Event, Refusal> {
        let operator = known(facts, id)?;
        let account = self.account(id);
        let cluster = less.cluster;
        let have = account.keys.iter().find(|keys| keys.cluster == cluster).map_or(0, |keys| keys.count);
        if less.count == 0 || have < less.count {
            return Err(Refusal::Keys { cluster, have, less: less.count });
        }
        let count = account.key_count();
        // The last keys of the curve are no longer required, whichever were left: the sum that is held stays the same.
        let curve = curve(facts, operator)?;
        let amount = wide::sub(curve.required(count), curve.required(count - less.count))?;
        let lock = Lock { reason: LockReason::Left(cluster), amount, until: until(facts, left) };
        Ok(Event::Released { operator: id, keys: less, lock, finalized: facts.finalized })
    }

    fn serve(
        &self,
        facts: &Facts<'_>,
        id: OperatorId,
        service: &Label,
        amount: Wei,
    ) -> Result<Event, Refusal> {
        let operator = known(facts, id)?;
        something(amount)?;
        running(id, operator)?;
        let standing = operator.standing;
        if !matches!(standing, Standing::Vetted | Standing::Active) {
            return Err(Refusal::Standing { operator: id, standing });
        }
        let (account, limits) = (self.account(id), facts.policy.terms().exposure);
        let have = wide::add(account.exposed()?, amount)?;
        let most = Wei(limits.of_bond.floor_of(account.bond.0));
        if have > most {
            return Err(Refusal::TooExposed { have, most });
        }
        let have = wide::add(wide::total(self.exposed_to(service).into_values())?, amount)?;
        let most = wide::wei(limits.one_service);
        if have > most {
            return Err(Refusal::Correlated { service: service.clone(), have, most });
        }
        ensure_free(facts, &account, curve(facts, operator)?, amount)?;
        Ok(Event::Served { operator: id, service: service.clone(), amount })
    }

    fn quit(&self, facts: &Facts<'_>, id: OperatorId, service: &Label) -> Result<Event, Refusal> {
        known(facts, id)?;
        let (service, finalized) = (service.clone(), facts.finalized);
        let Some(amount) = self.account(id).services.get(&service).copied() else {
            return Err(Refusal::NotServed { operator: id, service });
        };
        let lock = Lock { reason: LockReason::Quit(service.clone()), amount, until: until(facts, finalized) };
        Ok(Event::Quit { operator: id, service, lock, finalized })
    }
}

fn known<'a>(facts: &Facts<'a>, id: OperatorId) -> Result<&'a Operator, Refusal> {
    (facts.operator)(id).ok_or(Refusal::Unknown(id))
}

fn running(id: OperatorId, operator: &Operator) -> Result<(), Refusal> {
    if operator.paused() { Err(Refusal::Paused(id)) } else { Ok(()) }
}

fn something(amount: Wei) -> Result<(), Refusal> {
    if amount == Wei::ZERO { Err(Refusal::Nothing) } else { Ok(()) }
}

fn curve<'a>(facts: &Facts<'a>, operator: &Operator) -> Result<&'a BondCurve, Refusal> {
    let name = &operator.application.operator_type;
    let kind = facts.policy.operator_type(name).ok_or_else(|| Refusal::NoSuchType(name.clone()))?;
    Ok(&kind.bond)
}

/// When a lock that begins in an epoch is over.
fn until(facts: &Facts<'_>, from: Epoch) -> Epoch {
    Epoch(from.0.max(facts.finalized.0).saturating_add(facts.policy.terms().bond_lock_epochs))
}

fn ensure_free(facts: &Facts<'_>, account: &Account, curve: &BondCurve, need: Wei) -> Result<(), Refusal> {
    let free = account.free(curve, facts.finalized)?;
    if need <= free {
        return Ok(());
    }
    let held = Held {
        free,
        bond: account.bond,
        required: curve.required(account.key_count()),
        exposed: account.exposed()?,
        locked: account.locked(facts.finalized)?,
        debt: account.debt,
    };
    Err(Refusal::NotFree { need, held: Box::new(held) })
}
