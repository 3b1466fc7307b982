//! Whether a command is obeyed, and what follows from it. Nothing changes here.

use super::command::{Cluster, Command, Event, Facts, SeenExit, Validator, Why};
use super::plan::{PLAN_MAX, ask, plan};
use super::{Exit, Lateness, Stage, State, TRIGGERS_MAX};
use crate::formulas::exits::{ExitError, active_epochs_min, may_exit};
use crate::formulas::wide::WideError;
use crate::ledger::incidents::Place;
use crate::ledger::operators::OperatorId;
use crypto::verify_root;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{
    Address, ClusterId, Epoch, Generation, Root, Signature, Threshold, ValidatorIndex, ValidatorStatus,
};

/// Why a command is refused. It changes nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// No withdrawal needs it, or nothing can exit.
    #[error("no exit is needed, or none can be asked for")]
    NothingToAsk,
    /// None, or too many at once.
    #[error("{have} exits at once, from 1 to {PLAN_MAX} are asked for")]
    Asked {
        /// How many.
        have: usize,
    },
    /// Not the pool's, or never activated.
    #[error("validator {validator} is none of the pool's that were activated")]
    NotOurs {
        /// Which.
        validator: ValidatorIndex,
    },
    /// Of another cluster than the path says.
    #[error("validator {validator} is not of cluster {cluster}")]
    OtherCluster {
        /// Which.
        validator: ValidatorIndex,
        /// The path's.
        cluster: ClusterId,
    },
    /// Not the manager of one of the cluster's operators.
    #[error("{signer} signs for no operator of cluster {cluster}")]
    Stranger {
        /// Who.
        signer: Address,
        /// Which.
        cluster: ClusterId,
    },
    /// A cluster that the other books do not know.
    #[error("there is no cluster {cluster}")]
    UnknownCluster {
        /// Which.
        cluster: ClusterId,
    },
    /// A reason that nobody asks for.
    #[error("nobody asks for an exit because of {why:?}")]
    NoReason {
        /// Which.
        why: Why,
    },
    /// It is asked for already, or it exits.
    #[error("the exit of validator {validator} is asked for, or found, already")]
    Known {
        /// Which.
        validator: ValidatorIndex,
    },
    /// The chain would refuse it.
    #[error("validator {validator} is active from {activation} on: it can exit {least} epochs later")]
    Young {
        /// Which.
        validator: ValidatorIndex,
        /// Since when.
        activation: Epoch,
        /// How long it must have been.
        least: u64,
    },
    /// Nobody asked for it.
    #[error("nobody asked for an exit of validator {validator}")]
    NotAsked {
        /// Which.
        validator: ValidatorIndex,
    },
    /// Too early or too late for that.
    #[error("the exit of validator {validator} is {stage:?}")]
    Stage {
        /// Which.
        validator: ValidatorIndex,
        /// How far it is.
        stage: Stage,
    },
    /// Somebody else has the place, or nobody.
    #[error("{operator} is not at place {place} of the cluster")]
    NotThere {
        /// Who.
        operator: OperatorId,
        /// Where.
        place: Place,
    },
    /// Of a sharing that is not the cluster's.
    #[error("a share of generation {}, the cluster has {}", .have.0, .want.0)]
    Generation {
        /// The signature's.
        have: Generation,
        /// The cluster's.
        want: Generation,
    },
    /// Once is enough.
    #[error("{operator} has signed the exit of validator {validator}")]
    Twice {
        /// Who.
        operator: OperatorId,
        /// Which.
        validator: ValidatorIndex,
    },
    /// Not a partial signature of that operator over that exit.
    #[error("the partial signature of {operator}, at place {place}, does not verify")]
    BadPartial {
        /// Who.
        operator: OperatorId,
        /// Where.
        place: Place,
    },
    /// Public shares that are not of this key: the other books contradict themselves.
    #[error("partial signatures that verify make none of validator {validator}")]
    OtherKey {
        /// Which.
        validator: ValidatorIndex,
    },
    /// The same transaction again, or too many of them.
    #[error("transaction {tx} was counted, or {TRIGGERS_MAX} were")]
    Triggered {
        /// Which.
        tx: Root,
    },
    /// A look at something that may still change.
    #[error("a look at epoch {epoch}, {finalized} is finalized")]
    LookEpoch {
        /// The look's.
        epoch: Epoch,
        /// The last finalized epoch.
        finalized: Epoch,
    },
    /// No exit, or another than a finalized state had.
    #[error("validator {validator} is told to exit in {exit} and to be free in {withdrawable}")]
    NoExit {
        /// Which.
        validator: ValidatorIndex,
        /// What is told.
        exit: Epoch,
        /// What is told.
        withdrawable: Epoch,
    },
    /// Nobody is newly late.
    #[error("nobody is late who was not")]
    NobodyLate,
    /// What the order of exits cannot tell.
    #[error(transparent)]
    Order(#[from] ExitError),
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// What follows from a command: what happens, in order, or why nothing does.
///
/// - `now`: seconds since 1970.
/// - [`super::apply`] takes what is decided here, if nothing was applied in between.
/// - Cost: a partial signature costs two pairings, the one that completes the exit four and a combination.
pub fn decide(state: &State, facts: &Facts<'_>, now: u64, command: &Command) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Plan => plan(state, facts, now),
        Command::Ask { validator, why } => {
            asked(state, facts, now, *validator, *why).map(|event| vec![event])
        }
        Command::Partial { operator, place, validator, generation, signature } => {
            partial(state, facts, *validator, (*operator, *place, *generation), *signature)
        }
        Command::Broadcast { validator } => {
            let exit = open(state, *validator)?;
            if exit.stage != Stage::Signed {
                return Err(Refusal::Stage { validator: *validator, stage: exit.stage });
            }
            Ok(vec![Event::Broadcast { validator: *validator }])
        }
        Command::Triggered { validator, tx } => {
            let exit = open(state, *validator)?;
            if exit.triggers.contains(tx) || exit.triggers.len() >= TRIGGERS_MAX {
                return Err(Refusal::Triggered { tx: *tx });
            }
            Ok(vec![Event::Triggered { validator: *validator, tx: *tx }])
        }
        Command::Look { epoch, validators } => look(state, facts, now, *epoch, validators),
        Command::Review => review(state, facts, now),
    }
}

fn asked(
    state: &State,
    facts: &Facts<'_>,
    now: u64,
    validator: ValidatorIndex,
    why: Why,
) -> Result<Event, Refusal> {
    match why {
        Why::Strikes | Why::Governance => {}
        Why::Demand | Why::Own | Why::Slashed => return Err(Refusal::NoReason { why }),
    }
    if state.exits.contains_key(&validator) {
        return Err(Refusal::Known { validator });
    }
    let known = (facts.validator)(validator).ok_or(Refusal::NotOurs { validator })?;
    if !may_exit(facts.spec.preset, known.activation, facts.finalized) {
        let least = active_epochs_min(facts.spec.preset);
        return Err(Refusal::Young { validator, activation: known.activation, least });
    }
    ask(facts, now, validator, why)
}

/// An exit that the chain does not have.
fn open(state: &State, validator: ValidatorIndex) -> Result<&Exit, Refusal> {
    let exit = state.exits.get(&validator).ok_or(Refusal::NotAsked { validator })?;
    if exit.stage < Stage::Seen { Ok(exit) } else { Err(Refusal::Stage { validator, stage: exit.stage }) }
}

fn of(facts: &Facts<'_>, validator: ValidatorIndex) -> Result<(Validator, Cluster), Refusal> {
    let known = (facts.validator)(validator).ok_or(Refusal::NotOurs { validator })?;
    let cluster = (facts.cluster)(known.cluster);
    let id = known.cluster;
    cluster.map(|cluster| (known, cluster)).ok_or(Refusal::UnknownCluster { cluster: id })
}

fn partial(
    state: &State,
    facts: &Facts<'_>,
    validator: ValidatorIndex,
    (operator, place, have): (OperatorId, Place, Generation),
    signature: Signature,
) -> Result<Vec<Event>, Refusal> {
    let exit = open(state, validator)?;
    if exit.stage >= Stage::Signed {
        return Err(Refusal::Stage { validator, stage: exit.stage });
    }
    let (known, cluster) = of(facts, validator)?;
    let there = cluster.operators.get(place.0.position()) == Some(&operator);
    let share = known.shares.get(place.0.position()).filter(|_| there);
    let share = share.ok_or(Refusal::NotThere { operator, place })?;
    let want = cluster.generation;
    if have != want {
        return Err(Refusal::Generation { have, want });
    }
    let current = exit.generation == want;
    if current && exit.partials.contains_key(&place) {
        return Err(Refusal::Twice { operator, validator });
    }
    let root = cluster::exit::signing_root(facts.spec, &exit.message());
    if !verify_root(share, &root, &signature) {
        return Err(Refusal::BadPartial { operator, place });
    }
    let mut partials = if current { exit.partials.clone() } else { BTreeMap::new() };
    partials.insert(place, signature);
    let mut events = vec![Event::Contributed { validator, generation: want, place, signature }];
    if partials.len() >= cluster.size.threshold() {
        let signature = combine(&partials).filter(|signature| verify_root(&known.pubkey, &root, signature));
        let signature = signature.ok_or(Refusal::OtherKey { validator })?;
        events.push(Event::Signed { validator, signature });
    }
    Ok(events)
}

/// The signature that these make together: as many as there are, which is the threshold.
fn combine(partials: &BTreeMap<Place, Signature>) -> Option<Signature> {
    let all: Vec<_> = partials.iter().map(|(place, signature)| (place.0, *signature)).collect();
    let threshold = Threshold(u8::try_from(all.len()).ok()?);
    crypto::combine(&all, threshold).ok()
}

fn look(
    state: &State,
    facts: &Facts<'_>,
    now: u64,
    epoch: Epoch,
    validators: &BTreeMap<ValidatorIndex, SeenExit>,
) -> Result<Vec<Event>, Refusal> {
    if epoch > facts.finalized {
        return Err(Refusal::LookEpoch { epoch, finalized: facts.finalized });
    }
    let mut events = Vec::new();
    for (validator, seen) in validators {
        one(state, facts, now, epoch, *validator, seen, &mut events)?;
    }
    Ok(events)
}

/// What a state says of one validator: every stage that it has come to, in order.
fn one(
    state: &State,
    facts: &Facts<'_>,
    now: u64,
    epoch: Epoch,
    validator: ValidatorIndex,
    seen: &SeenExit,
    events: &mut Vec<Event>,
) -> Result<(), Refusal> {
    let SeenExit { exit, withdrawable, status, slashed } = *seen;
    let known = state.exits.get(&validator);
    if state.contradicts(validator, exit) || exit == FAR_FUTURE || withdrawable < exit {
        return Err(Refusal::NoExit { validator, exit, withdrawable });
    }
    if known.is_none() {
        events.push(ask(facts, now, validator, if slashed { Why::Slashed } else { Why::Own })?);
    }
    let stage = known.map_or(Stage::Requested, |known| known.stage);
    if stage < Stage::Seen {
        let cooled_at = now.saturating_add(facts.terms.cooldown_s);
        events.push(Event::Seen { validator, exit, withdrawable, cooled_at });
    }
    if stage < Stage::Exited && exit <= epoch {
        events.push(Event::Exited { validator });
    }
    if stage < Stage::Withdrawn && exit <= epoch && status == ValidatorStatus::WithdrawalDone {
        events.push(Event::Withdrawn { validator });
    }
    Ok(())
}

/// `FAR_FUTURE_EPOCH`: a validator that does not exit.
const FAR_FUTURE: Epoch = Epoch(u64::MAX);

fn review(state: &State, facts: &Facts<'_>, now: u64) -> Result<Vec<Event>, Refusal> {
    let mut events = Vec::new();
    for (validator, exit) in state.exits.iter().filter(|(_, exit)| exit.stage < Stage::Signed) {
        let validator = *validator;
        if exit.lateness == Lateness::InTime && now >= exit.asked.delayed_at {
            events.push(Event::Delayed { validator });
        }
        if exit.lateness != Lateness::Delinquent && now >= exit.asked.deadline {
            let missing = missing(facts, validator, exit)?;
            events.push(Event::Delinquent { validator, missing });
        }
    }
    if events.is_empty() { Err(Refusal::NobodyLate) } else { Ok(events) }
}

/// Whose partial signature of the cluster's present sharing is missing.
fn missing(
    facts: &Facts<'_>,
    validator: ValidatorIndex,
    exit: &Exit,
) -> Result<BTreeSet<OperatorId>, Refusal> {
    let (_, cluster) = of(facts, validator)?;
    let signed = |place: Place| exit.generation == cluster.generation && exit.partials.contains_key(&place);
    let operators = cluster.size.indices().zip(&cluster.operators);
    Ok(operators.filter(|(index, _)| !signed(Place(*index))).map(|(_, operator)| *operator).collect())
}
