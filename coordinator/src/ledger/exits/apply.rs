//! What an event changes. An event that cannot have been decided on this state is a corrupt log, and changes nothing.

use super::command::{Asked, Event};
use super::{Exit, Lateness, Stage, State, TRIGGERS_MAX};
use crate::ledger::operators::OperatorId;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Generation, ValidatorIndex};

/// Why an event cannot have happened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Corrupt {
    /// An exit that is there already.
    #[error("the exit of validator {validator} is there already")]
    Known {
        /// Which.
        validator: ValidatorIndex,
    },
    /// An exit that is not there.
    #[error("there is no exit of validator {validator}")]
    Unknown {
        /// Which.
        validator: ValidatorIndex,
    },
    /// Not from where it is.
    #[error("the exit of validator {validator} is {stage:?}, to which this cannot happen")]
    Stage {
        /// Which.
        validator: ValidatorIndex,
        /// How far it is.
        stage: Stage,
    },
    /// A partial signature that is there, or of an older sharing.
    #[error("a partial signature for validator {validator} that is there already, or is older than those")]
    Partial {
        /// Which.
        validator: ValidatorIndex,
    },
    /// A transaction that was counted, or one too many.
    #[error("a transaction for validator {validator} that was counted, or one too many")]
    Trigger {
        /// Which.
        validator: ValidatorIndex,
    },
    /// Late before it was, or twice.
    #[error("validator {validator} is {have:?} already, or nobody is missing")]
    Late {
        /// Which.
        validator: ValidatorIndex,
        /// How late it is.
        have: Lateness,
    },
}

/// Changes the state by one event. Errors: the event cannot have been decided on this state, which is then as it was.
pub fn apply(state: &mut State, event: &Event) -> Result<(), Corrupt> {
    match event {
        Event::Asked(asked) => begin(state, asked)?,
        Event::Contributed { validator, generation, place, signature } => {
            let exit = of(state, *validator, Stage::Requested..Stage::Signed)?;
            let same = exit.generation == *generation;
            if exit.generation > *generation || (same && exit.partials.contains_key(place)) {
                return Err(Corrupt::Partial { validator: *validator });
            }
            if !same {
                exit.partials.clear();
                exit.generation = *generation;
            }
            exit.partials.insert(*place, *signature);
            exit.stage = Stage::Collecting;
        }
        Event::Signed { validator, signature } => {
            let exit = of(state, *validator, Stage::Collecting..Stage::Signed)?;
            (exit.stage, exit.signature) = (Stage::Signed, Some(*signature));
        }
        Event::Broadcast { validator } => {
            of(state, *validator, Stage::Signed..Stage::Broadcast)?.stage = Stage::Broadcast;
        }
        Event::Triggered { validator, tx } => {
            let exit = of(state, *validator, Stage::Requested..Stage::Seen)?;
            if exit.triggers.len() >= TRIGGERS_MAX || !exit.triggers.insert(*tx) {
                return Err(Corrupt::Trigger { validator: *validator });
            }
        }
        Event::Seen { validator, exit, withdrawable, cooled_at } => {
            let found = of(state, *validator, Stage::Requested..Stage::Seen)?;
            (found.stage, found.epochs) = (Stage::Seen, Some([*exit, *withdrawable]));
            for operator in found.missing.clone() {
                let until = state.cooling.entry(operator).or_default();
                *until = (*until).max(*cooled_at);
            }
        }
        Event::Exited { validator } => {
            of(state, *validator, Stage::Seen..Stage::Exited)?.stage = Stage::Exited;
        }
        Event::Withdrawn { validator } => {
            of(state, *validator, Stage::Exited..Stage::Withdrawn)?.stage = Stage::Withdrawn;
        }
        Event::Delayed { validator } => {
            late(state, *validator, Lateness::InTime..Lateness::Delayed)?.lateness = Lateness::Delayed;
        }
        Event::Delinquent { validator, missing } => strike(state, *validator, missing)?,
    }
    Ok(())
}

fn begin(state: &mut State, asked: &Asked) -> Result<(), Corrupt> {
    let validator = asked.validator;
    if state.exits.contains_key(&validator) {
        return Err(Corrupt::Known { validator });
    }
    let exit = Exit {
        asked: *asked,
        stage: Stage::Requested,
        lateness: Lateness::InTime,
        generation: Generation::default(),
        partials: BTreeMap::new(),
        signature: None,
        triggers: BTreeSet::new(),
        epochs: None,
        missing: BTreeSet::new(),
    };
    state.exits.insert(validator, exit);
    Ok(())
}

fn strike(
    state: &mut State,
    validator: ValidatorIndex,
    missing: &BTreeSet<OperatorId>,
) -> Result<(), Corrupt> {
    let exit = late(state, validator, Lateness::InTime..Lateness::Delinquent)?;
    if missing.is_empty() {
        return Err(Corrupt::Late { validator, have: exit.lateness });
    }
    (exit.lateness, exit.missing) = (Lateness::Delinquent, missing.clone());
    for operator in missing {
        let strikes = state.strikes.entry(*operator).or_default();
        *strikes = strikes.saturating_add(1);
    }
    Ok(())
}

/// An exit that is as far as that.
fn of(
    state: &mut State,
    validator: ValidatorIndex,
    stages: std::ops::Range<Stage>,
) -> Result<&mut Exit, Corrupt> {
    let exit = state.exits.get_mut(&validator).ok_or(Corrupt::Unknown { validator })?;
    if stages.contains(&exit.stage) {
        return Ok(exit);
    }
    Err(Corrupt::Stage { validator, stage: exit.stage })
}

/// An exit that is not signed, and as late as that.
fn late(
    state: &mut State,
    validator: ValidatorIndex,
    lateness: std::ops::Range<Lateness>,
) -> Result<&mut Exit, Corrupt> {
    let exit = of(state, validator, Stage::Requested..Stage::Signed)?;
    if lateness.contains(&exit.lateness) {
        return Ok(exit);
    }
    Err(Corrupt::Late { validator, have: exit.lateness })
}
