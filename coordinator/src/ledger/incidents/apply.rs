//! What an event changes. An event that cannot have been decided on this state is a corrupt log, and changes nothing.

use super::command::{Event, Key, Opened};
use super::{Incident, Stage, State};
use crate::formulas::losses::{Debts, Step};
use crate::formulas::wide::{self, WideError};
use crate::ledger::operators::OperatorId;
use thiserror::Error;
use types::{ClusterId, Wei};

/// Why an event cannot have happened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Corrupt {
    /// A number that is not the next, or names no incident that this can happen to.
    #[error("incident {have}, the next is {next}")]
    Number {
        /// The event's.
        have: u64,
        /// The state's next.
        next: u64,
    },
    /// A fault that is known.
    #[error("the fault {key:?} is known")]
    Known {
        /// Which.
        key: Key,
    },
    /// A cluster that is frozen already, or is not.
    #[error("cluster {cluster} is frozen already, or is not")]
    Freeze {
        /// Which.
        cluster: ClusterId,
    },
    /// A queue that is held already, or is not; or what is stopped is not what slashings stop.
    #[error("what is stopped is not what open slashings stop")]
    Stopped,
    /// A look that is not later, or finds less.
    #[error("a look at incident {incident} is not later, or finds less")]
    Look {
        /// Which.
        incident: u64,
    },
    /// Guilty who were not there, or nobody.
    #[error("nobody, or somebody who was not in the cluster, is guilty of incident {incident}")]
    Guilty {
        /// Which.
        incident: u64,
    },
    /// Steps of another loss.
    #[error("{have} wei were paid for incident {incident}, the loss is {want}")]
    Loss {
        /// Which.
        incident: u64,
        /// The steps together.
        have: Wei,
        /// The loss.
        want: Wei,
    },
    /// Somebody pays another part than it owes, or to others.
    #[error("what {operator} pays for incident {incident} is not what it owes, or goes to others")]
    Repaid {
        /// Which.
        incident: u64,
        /// Who.
        operator: OperatorId,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// Changes the state by one event. Errors: the event cannot have been decided on this state, which is then as it was.
pub fn apply(state: &mut State, event: &Event) -> Result<(), Corrupt> {
    match event {
        Event::Opened(opened) => open(state, opened),
        Event::Frozen(cluster) => stop(state.frozen.insert(*cluster), *cluster),
        Event::Thawed(cluster) => stop(state.frozen.remove(cluster), *cluster),
        Event::QueueHeld => hold(state, true),
        Event::QueueReleased => hold(state, false),
        Event::Seen { incident, epoch, lost } => {
            let found = opened(state, *incident)?;
            if found.seen.is_some_and(|(last, least)| last >= *epoch || least > *lost) {
                return Err(Corrupt::Look { incident: *incident });
            }
            found.seen = Some((*epoch, *lost));
            Ok(())
        }
        Event::Proven { incident, guilty } => {
            let found = opened(state, *incident)?;
            if guilty.is_empty() || !guilty.is_subset(&found.opened.members) {
                return Err(Corrupt::Guilty { incident: *incident });
            }
            (found.opened.guilty, found.proven) = (guilty.clone(), true);
            Ok(())
        }
        Event::Paid { incident, step } => {
            let moved = state.moved.with(&event.flow())?;
            opened(state, *incident)?.steps.push(*step);
            state.moved = moved;
            Ok(())
        }
        Event::Closed { incident, loss, debts } => close(state, *incident, *loss, debts),
        Event::Dismissed { incident, .. } => {
            let key = opened(state, *incident)?.opened.key;
            state.incidents.remove(incident);
            state.known.remove(&key);
            Ok(())
        }
        Event::Repaid { incident, operator, amount, to } => {
            let moved = state.moved.with(&event.flow())?;
            repay(state, *incident, *operator, *amount, to)?;
            state.moved = moved;
            Ok(())
        }
    }
}

fn open(state: &mut State, opened: &Opened) -> Result<(), Corrupt> {
    let unknown = Corrupt::Number { have: opened.incident, next: state.next };
    let next = state.next.checked_add(1).filter(|_| opened.incident == state.next).ok_or(unknown)?;
    if opened.guilty.is_empty() || !opened.guilty.is_subset(&opened.members) {
        return Err(Corrupt::Guilty { incident: opened.incident });
    }
    if !state.known.insert(opened.key) {
        return Err(Corrupt::Known { key: opened.key });
    }
    state.next = next;
    let incident =
        Incident { opened: opened.clone(), proven: false, seen: None, steps: Vec::new(), stage: Stage::Open };
    state.incidents.insert(opened.incident, incident);
    Ok(())
}

fn opened(state: &mut State, incident: u64) -> Result<&mut Incident, Corrupt> {
    let unknown = Corrupt::Number { have: incident, next: state.next };
    state.incidents.get_mut(&incident).filter(|found| found.stage == Stage::Open).ok_or(unknown)
}

fn stop(changed: bool, cluster: ClusterId) -> Result<(), Corrupt> {
    if changed { Ok(()) } else { Err(Corrupt::Freeze { cluster }) }
}

fn hold(state: &mut State, held: bool) -> Result<(), Corrupt> {
    if state.held == held {
        return Err(Corrupt::Stopped);
    }
    state.held = held;
    Ok(())
}

fn close(state: &mut State, incident: u64, want: Wei, debts: &Debts) -> Result<(), Corrupt> {
    let found = opened(state, incident)?;
    let have = wide::total(found.steps.iter().map(|step| step.amount))?;
    if have != want || debts.total()? > want {
        return Err(Corrupt::Loss { incident, have, want });
    }
    if debts.settled() {
        state.incidents.remove(&incident);
    } else {
        found.stage = Stage::Owed(debts.clone());
    }
    Ok(())
}

fn repay(
    state: &mut State,
    incident: u64,
    operator: OperatorId,
    amount: Wei,
    to: &[Step],
) -> Result<(), Corrupt> {
    let unknown = Corrupt::Number { have: incident, next: state.next };
    let found = state.incidents.get_mut(&incident).ok_or(unknown)?;
    let mut debts = found.debts().ok_or(unknown)?.clone();
    let repayment = debts.repay(operator, amount)?;
    if repayment.kept != Wei::ZERO || amount == Wei::ZERO || repayment.paid != to {
        return Err(Corrupt::Repaid { incident, operator });
    }
    if debts.settled() {
        state.incidents.remove(&incident);
    } else {
        found.stage = Stage::Owed(debts);
    }
    Ok(())
}
