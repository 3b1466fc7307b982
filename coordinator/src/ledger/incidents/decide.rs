//! Whether a command is obeyed, and what follows from it. Nothing changes here.

use super::command::{Command, Downtime, Event, Facts, Fault, Key, Opened, Slashing};
use super::conflict::{Conflict, ConflictError};
use super::{Incident, Stage, State};
use crate::canonical;
use crate::formulas::allocation::COMPOUNDING_MAX;
use crate::formulas::losses::{Loss, LossError};
use crate::formulas::slashing::{initial, slashings_epochs};
use crate::formulas::wide::{self, WideError};
use crate::ledger::operators::{OperatorId, Reason};
use crate::ledger::reports::{ANSWERS_MAX, Evidence};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Address, ClusterId, Epoch, Gwei, ValidatorIndex, Wei};

/// Why a command is refused. It changes nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// It is, or was, an incident.
    #[error("the fault {key:?} is known")]
    Known {
        /// Which.
        key: Key,
    },
    /// Nobody could look at it again, or it would take too long; or it is of nothing that a beacon node knows.
    #[error(
        "{have} answers of a beacon node, where 1 to {ANSWERS_MAX} are allowed, of an exit that is missed none"
    )]
    Evidence {
        /// How many.
        have: usize,
    },
    /// Not the pool's.
    #[error("validator {index} is of no cluster of the pool")]
    NotOurs {
        /// Which.
        index: ValidatorIndex,
    },
    /// Nobody was in the cluster.
    #[error("nobody was in cluster {cluster} in epoch {epoch}")]
    NoMembers {
        /// Which.
        cluster: ClusterId,
        /// When.
        epoch: Epoch,
    },
    /// A slashing as no chain does it.
    #[error(
        "a fault of epoch {}, slashed in {}, withdrawable in {}: it is slashed afterwards, and waits EPOCHS_PER_SLASHINGS_VECTOR",
        .0.fault, .0.slashed, .0.withdrawable
    )]
    NoSlashing(Slashing),
    /// No effective balance.
    #[error("validator {index} counts for {effective} gwei, which is no effective balance")]
    Effective {
        /// Which.
        index: ValidatorIndex,
        /// What is told.
        effective: Gwei,
    },
    /// A block that paid the pool.
    #[error("the block paid {to}, where rewards of the pool's blocks go")]
    NotStolen {
        /// Whom it paid.
        to: Address,
    },
    /// No epochs, or some that may still change.
    #[error("a downtime from epoch {} until {}, and {finalized} is finalized", .down.from, .down.until)]
    Downtime {
        /// What is told.
        down: Downtime,
        /// The last finalized epoch.
        finalized: Epoch,
    },
    /// It was not asked for, it has come, or there is time.
    #[error("no exit of validator {index} is late")]
    NotMissed {
        /// Which.
        index: ValidatorIndex,
    },
    /// No such incident, or it is over.
    #[error("there is no open incident {incident}")]
    NotOpen {
        /// Which.
        incident: u64,
    },
    /// Of another kind.
    #[error("incident {incident} is no slashing")]
    OtherKind {
        /// Which.
        incident: u64,
    },
    /// A look at something that may still change, or is over.
    #[error("a look at epoch {epoch}: the last was at {last:?}, {finalized} is finalized")]
    LookEpoch {
        /// The look's.
        epoch: Epoch,
        /// The last look's.
        last: Option<Epoch>,
        /// The last finalized epoch.
        finalized: Epoch,
    },
    /// Less than it was, or than a slashing costs at once.
    #[error("a slashing that has cost {lost} gwei; it is {least} at least")]
    LostTooLittle {
        /// What is told.
        lost: Gwei,
        /// What it was, or costs at once.
        least: Gwei,
    },
    /// Evidence that is none.
    #[error(transparent)]
    Conflict(#[from] ConflictError),
    /// Evidence that names nobody who is not named.
    #[error("the evidence names nobody new")]
    NothingNew,
    /// More may come.
    #[error(
        "it is settled once epoch {withdrawable} is finalized and was looked at; the last look was at {seen:?}"
    )]
    NotFinal {
        /// When no more penalties come.
        withdrawable: Epoch,
        /// The last look.
        seen: Option<Epoch>,
    },
    /// Governance may still object.
    #[error("it can be settled from {from} on, it is {now}")]
    TooEarly {
        /// In seconds since 1970.
        from: u64,
        /// Now.
        now: u64,
    },
    /// Nothing, or more than is owed.
    #[error("{operator} pays {amount} wei of {owed} that it owes")]
    NotOwed {
        /// Who.
        operator: OperatorId,
        /// What is paid.
        amount: Wei,
        /// What is owed.
        owed: Wei,
    },
    /// No number is left.
    #[error("there are too many incidents")]
    TooMany,
    /// What cannot be paid.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// What follows from a command: what happens, in order, or why nothing does.
///
/// - `now`: seconds since 1970.
/// - [`super::apply`] takes what is decided here, if nothing was applied in between.
pub fn decide(state: &State, facts: &Facts<'_>, now: u64, command: &Command) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Open { fault, evidence } => open(state, facts, now, fault, evidence),
        Command::Look { incident, epoch, lost } => {
            look(state, facts, *incident, *epoch, *lost).map(|event| vec![event])
        }
        Command::Prove { incident, conflict } => {
            prove(state, facts, *incident, conflict).map(|event| vec![event])
        }
        Command::Settle { incident } => settle(state, facts, now, *incident),
        Command::Dismiss { incident, reason } => dismiss(state, *incident, reason),
        Command::Repay { operator, amount } => repay(state, *operator, *amount),
    }
}

/// What decides who is responsible, and how the fault is known.
struct Place {
    key: Key,
    cluster: ClusterId,
    epoch: Epoch,
    guilty: Option<BTreeSet<OperatorId>>,
}

fn place(facts: &Facts<'_>, now: u64, fault: &Fault) -> Result<Place, Refusal> {
    let cluster_of = |index| (facts.cluster_of)(index).ok_or(Refusal::NotOurs { index });
    match fault {
        Fault::Slashing(seen) => {
            let index = seen.validator;
            let released = seen.slashed.0.checked_add(slashings_epochs(facts.spec.preset));
            let waits = released.is_some_and(|released| released <= seen.withdrawable.0);
            if seen.fault > seen.slashed || !waits {
                return Err(Refusal::NoSlashing(*seen));
            }
            if seen.effective == Gwei(0) || seen.effective > COMPOUNDING_MAX {
                return Err(Refusal::Effective { index, effective: seen.effective });
            }
            let (key, cluster) = (Key::Slashing(index), cluster_of(index)?);
            Ok(Place { key, cluster, epoch: seen.fault, guilty: None })
        }
        Fault::Theft(seen) => {
            if seen.paid_to == facts.fee_recipient {
                return Err(Refusal::NotStolen { to: seen.paid_to });
            }
            let (key, cluster) = (Key::Theft(seen.block_root), cluster_of(seen.validator)?);
            Ok(Place { key, cluster, epoch: facts.spec.epoch_of(seen.slot), guilty: None })
        }
        Fault::Downtime(down) => {
            if down.from > down.until || down.until > facts.finalized {
                return Err(Refusal::Downtime { down: *down, finalized: facts.finalized });
            }
            let key = Key::Downtime(down.cluster, down.from);
            Ok(Place { key, cluster: down.cluster, epoch: down.from, guilty: None })
        }
        Fault::MissedExit(index) => {
            let missed = (facts.missed)(*index).filter(|missed| missed.deadline <= now);
            let missed = missed.ok_or(Refusal::NotMissed { index: *index })?;
            let (key, cluster) = (Key::MissedExit(*index, missed.deadline), cluster_of(*index)?);
            Ok(Place { key, cluster, epoch: missed.epoch, guilty: Some(missed.missing) })
        }
    }
}

fn open(
    state: &State,
    facts: &Facts<'_>,
    now: u64,
    fault: &Fault,
    evidence: &Evidence,
) -> Result<Vec<Event>, Refusal> {
    let have = evidence.len();
    let wanted = if matches!(fault, Fault::MissedExit(_)) { 0..=0 } else { 1..=ANSWERS_MAX };
    if !wanted.contains(&have) {
        return Err(Refusal::Evidence { have });
    }
    let Place { key, cluster, epoch, guilty } = place(facts, now, fault)?;
    if state.known.contains(&key) {
        return Err(Refusal::Known { key });
    }
    if state.next == u64::MAX {
        return Err(Refusal::TooMany);
    }
    let members = (facts.members)(cluster, epoch).filter(|members| !members.is_empty());
    let members = members.ok_or(Refusal::NoMembers { cluster, epoch })?;
    let named: BTreeSet<_> = guilty.unwrap_or_default().intersection(&members).copied().collect();
    let guilty = if named.is_empty() { members.clone() } else { named };
    let evidence = canonical::hash(evidence);
    let incident = state.next;
    let opened = Opened { incident, fault: *fault, key, cluster, epoch, members, guilty, evidence, at: now };
    let mut events = vec![Event::Opened(Box::new(opened))];
    if matches!(fault, Fault::Slashing(_)) {
        events.extend((!state.is_frozen(cluster)).then_some(Event::Frozen(cluster)));
        events.extend((!state.held).then_some(Event::QueueHeld));
    }
    Ok(events)
}

fn opened(state: &State, incident: u64) -> Result<&Incident, Refusal> {
    let found = state.incidents.get(&incident).filter(|found| found.stage == Stage::Open);
    found.ok_or(Refusal::NotOpen { incident })
}

fn slashing(state: &State, incident: u64) -> Result<(&Incident, Slashing), Refusal> {
    let found = opened(state, incident)?;
    match found.opened.fault {
        Fault::Slashing(slashing) => Ok((found, slashing)),
        Fault::Theft(_) | Fault::Downtime(_) | Fault::MissedExit(_) => Err(Refusal::OtherKind { incident }),
    }
}

fn look(state: &State, facts: &Facts<'_>, incident: u64, epoch: Epoch, lost: Gwei) -> Result<Event, Refusal> {
    let (found, slashing) = slashing(state, incident)?;
    let last = found.seen.map(|(epoch, _)| epoch);
    let later = last.is_none_or(|last| last < epoch);
    if !later || epoch < slashing.slashed || epoch > facts.finalized {
        return Err(Refusal::LookEpoch { epoch, last, finalized: facts.finalized });
    }
    let least = found.seen.map_or(initial(slashing.effective), |(_, lost)| lost);
    if lost < least {
        return Err(Refusal::LostTooLittle { lost, least });
    }
    Ok(Event::Seen { incident, epoch, lost })
}

fn prove(state: &State, facts: &Facts<'_>, incident: u64, conflict: &Conflict) -> Result<Event, Refusal> {
    let (found, slashing) = slashing(state, incident)?;
    let named = conflict.guilty(facts.spec, slashing.validator, slashing.fault, facts.holders)?;
    let mut guilty: BTreeSet<_> = named.intersection(&found.opened.members).copied().collect();
    let before = if found.proven { found.opened.guilty.clone() } else { BTreeSet::new() };
    guilty.extend(&before);
    if guilty == before { Err(Refusal::NothingNew) } else { Ok(Event::Proven { incident, guilty }) }
}

/// What an incident costs, once it is final.
fn loss(facts: &Facts<'_>, now: u64, found: &Incident) -> Result<Wei, Refusal> {
    let objected = || {
        let from = found.opened.at.saturating_add(facts.terms.objection_s);
        if now < from { Err(Refusal::TooEarly { from, now }) } else { Ok(()) }
    };
    match found.opened.fault {
        Fault::Slashing(Slashing { withdrawable, .. }) => {
            let last = found.seen.filter(|(epoch, _)| *epoch >= withdrawable);
            let seen = found.seen.map(|(epoch, _)| epoch);
            last.map(|(_, lost)| wide::wei(lost)).ok_or(Refusal::NotFinal { withdrawable, seen })
        }
        Fault::Theft(theft) => {
            objected()?;
            let epoch = facts.spec.epoch_of(theft.slot);
            if epoch > facts.finalized {
                return Err(Refusal::NotFinal { withdrawable: epoch, seen: None });
            }
            Ok(wide::add(theft.amount, facts.terms.theft_extra)?)
        }
        Fault::Downtime(down) => objected().map(|()| wide::wei(down.cost)),
        Fault::MissedExit(_) => objected().map(|()| facts.terms.missed_exit),
    }
}

fn settle(state: &State, facts: &Facts<'_>, now: u64, incident: u64) -> Result<Vec<Event>, Refusal> {
    let found = opened(state, incident)?;
    let amount = loss(facts, now, found)?;
    let bonds = |operators: &mut dyn Iterator<Item = &OperatorId>| -> BTreeMap<OperatorId, Wei> {
        operators.map(|operator| (*operator, (facts.bond)(*operator))).collect()
    };
    let Opened { guilty, members, .. } = &found.opened;
    let others =
        if facts.terms.cluster_stands { bonds(&mut members.difference(guilty)) } else { BTreeMap::new() };
    // What the pool has now is what the loss has left.
    let delegated = wide::add(facts.pooled, amount)?;
    let loss = Loss {
        amount,
        faulty: bonds(&mut guilty.iter()),
        cluster: others,
        reserve: facts.reserve,
        delegated,
    };
    let (steps, debts) = loss.waterfall()?;
    let mut events: Vec<_> = steps.into_iter().map(|step| Event::Paid { incident, step }).collect();
    events.push(Event::Closed { incident, loss: amount, debts });
    events.extend(freed(state, incident, found));
    Ok(events)
}

fn dismiss(state: &State, incident: u64, reason: &Reason) -> Result<Vec<Event>, Refusal> {
    let found = opened(state, incident)?;
    let mut events = vec![Event::Dismissed { incident, reason: reason.clone() }];
    events.extend(freed(state, incident, found));
    Ok(events)
}

/// What goes on when an incident is over: what no other stops.
fn freed(state: &State, incident: u64, found: &Incident) -> Vec<Event> {
    if !found.is_open_slashing() {
        return Vec::new();
    }
    let cluster = found.opened.cluster;
    let others: BTreeSet<_> = state.other_slashings(incident).collect();
    let thawed = (!others.contains(&cluster)).then_some(Event::Thawed(cluster));
    let released = others.is_empty().then_some(Event::QueueReleased);
    thawed.into_iter().chain(released).collect()
}

/// That an operator has paid so much of what it owes: [`Command::Repay`], which needs no facts. Debts are paid in the order
/// of their incidents.
///
/// Errors: nothing, or more than it owes.
fn repay(state: &State, operator: OperatorId, amount: Wei) -> Result<Vec<Event>, Refusal> {
    let owed = state.owed(operator)?;
    if amount == Wei::ZERO || amount > owed {
        return Err(Refusal::NotOwed { operator, amount, owed });
    }
    let (mut left, mut events) = (amount, Vec::new());
    for (incident, found) in &state.incidents {
        let Some(debts) = found.debts() else { continue };
        let amount = debts.owed(operator).min(left);
        if amount != Wei::ZERO {
            left = wide::sub(left, amount)?;
            let to = debts.clone().repay(operator, amount)?.paid;
            events.push(Event::Repaid { incident: *incident, operator, amount, to });
        }
    }
    Ok(events)
}
