//! What becomes of a proposed cluster: every one of its operators accepts before a deadline, or it falls.
//!
//! ```text
//! propose ──> open ── the last one accepts ──────────────> formed
//!              ├──── one declines ───────────────────────> fallen: who declined
//!              └──── the deadline passes, some are missing > fallen: who has not answered
//! ```
//!
//! An operator accepts a *definition*, by its hash: it says what it will hold a ceremony for, to the last key and address. An
//! answer is final. A cluster that has fallen may be proposed again, with another definition (a later deadline is one); one
//! that is open or formed may not, so of a proposal's cluster there is never more than one.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::operators::{OPERATORS_MAX, OPERATORS_MIN};
use types::{Address, Root};

/// The longest time to answer, in seconds: thirty days. What the call said of operators is too old after that.
pub const ANSWER_MAX: u64 = 30 * 86_400;

/// What is asked of the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Asks a cluster's operators.
    Propose(Proposed),
    /// An operator accepts.
    Accept {
        /// What it accepts.
        definition: Root,
        /// Who: whose signature the request has.
        operator: Address,
    },
    /// An operator declines.
    Decline {
        /// What it declines.
        definition: Root,
        /// Who: whose signature the request has.
        operator: Address,
    },
    /// Somebody has seen that the deadline has passed.
    Lapse {
        /// Of what.
        definition: Root,
    },
}

/// A cluster of a proposal, and what its operators are asked to accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposed {
    /// The hash of the definition: its name in this book.
    pub definition: Root,
    /// [`super::Proposal::hash`].
    pub proposal: Root,
    /// Which of the proposal's clusters, from 0.
    pub cluster: u32,
    /// Its operators, in the order of their shares.
    pub operators: Vec<Address>,
    /// Until when they may answer, in seconds since 1970; at that second it is too late.
    pub deadline: u64,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A cluster's operators are asked.
    Proposed(Proposed),
    /// One has accepted.
    Accepted {
        /// What.
        definition: Root,
        /// Who.
        operator: Address,
    },
    /// All have.
    Formed {
        /// What.
        definition: Root,
    },
    /// Not all have, and will not.
    Fallen {
        /// What.
        definition: Root,
        /// Because of whom.
        because: Because,
    },
}

/// Because of whom a cluster has fallen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// One declined.
    Declined(Address),
    /// These had not answered by the deadline, in the order of their shares.
    Silent(Vec<Address>),
}

/// Where a proposed cluster stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Some have not answered.
    Open,
    /// All have accepted.
    Formed,
    /// It will not be.
    Fallen(Because),
}

/// A proposed cluster with its answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What was asked.
    pub proposed: Proposed,
    /// Who has accepted, in the order of answers.
    pub accepted: Vec<Address>,
    /// Where it stands.
    pub stage: Stage,
}

impl Asked {
    fn silent(&self) -> Vec<Address> {
        let operators = self.proposed.operators.iter();
        operators.filter(|operator| !self.accepted.contains(operator)).copied().collect()
    }

    /// Whether it stands in the way of proposing the same cluster again.
    fn takes(&self, proposal: Root, cluster: u32) -> bool {
        let stands = match self.stage {
            Stage::Open | Stage::Formed => true,
            Stage::Fallen(_) => false,
        };
        stands && (self.proposed.proposal, self.proposed.cluster) == (proposal, cluster)
    }
}

/// The book: proposed clusters by the hash of their definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// All that were ever proposed.
    pub clusters: BTreeMap<Root, Asked>,
}

/// Why a command is refused. Nothing has changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Not a cluster's number of operators.
    #[error("{have} operators, a cluster has {OPERATORS_MIN} to {OPERATORS_MAX}")]
    Operators {
        /// Operators found.
        have: usize,
    },
    /// An operator twice.
    #[error("operator {operator} is asked twice")]
    Twice {
        /// Who.
        operator: Address,
    },
    /// A deadline that is past, or too far ahead.
    #[error("the deadline {deadline} is not within {ANSWER_MAX} seconds after {now}")]
    Deadline {
        /// The deadline.
        deadline: u64,
        /// The time.
        now: u64,
    },
    /// This definition was proposed before.
    #[error("definition {definition} was proposed before")]
    Known {
        /// Which.
        definition: Root,
    },
    /// The same cluster is proposed with another definition, and stands.
    #[error("cluster {cluster} of proposal {proposal} stands with definition {definition}")]
    Stands {
        /// The proposal.
        proposal: Root,
        /// Its cluster.
        cluster: u32,
        /// The definition.
        definition: Root,
    },
    /// Nothing of that name was proposed.
    #[error("no cluster of definition {definition} is proposed")]
    Unknown {
        /// The hash.
        definition: Root,
    },
    /// It is decided already.
    #[error("definition {definition} is not open any more")]
    Closed {
        /// Which.
        definition: Root,
    },
    /// Somebody who is not asked.
    #[error("operator {operator} is not of this cluster")]
    Stranger {
        /// Who.
        operator: Address,
    },
    /// Somebody who has answered.
    #[error("operator {operator} has accepted, and an answer is final")]
    Answered {
        /// Who.
        operator: Address,
    },
    /// An answer that comes too late.
    #[error("it is {now}, the deadline was {deadline}")]
    Late {
        /// The time.
        now: u64,
        /// The deadline.
        deadline: u64,
    },
    /// A deadline that has not passed.
    #[error("it is {now}, the deadline is {deadline}")]
    Early {
        /// The time.
        now: u64,
        /// The deadline.
        deadline: u64,
    },
}

/// An event that cannot have happened: the log is corrupt.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Corrupt {
    /// A definition that is there already.
    #[error("definition {definition} is proposed a second time")]
    Again {
        /// Which.
        definition: Root,
    },
    /// An answer to, or an end of, what is not open.
    #[error("definition {definition} is not open")]
    NotOpen {
        /// Which.
        definition: Root,
    },
    /// An answer of somebody who was not asked, or has answered.
    #[error("operator {operator} does not owe an answer")]
    NotOwed {
        /// Who.
        operator: Address,
    },
    /// Formed, though not all have accepted.
    #[error("{missing} operators have not accepted definition {definition}")]
    Missing {
        /// Which.
        definition: Root,
        /// How many.
        missing: usize,
    },
}

/// What a command leads to, at a time in seconds since 1970. Nothing changes. Errors: the rule that refuses it.
pub fn decide(state: &State, now: u64, command: &Command) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Propose(proposed) => propose(state, now, proposed),
        Command::Accept { definition, operator } => {
            let asked = owed(state, now, *definition, *operator)?;
            let accepted = Event::Accepted { definition: *definition, operator: *operator };
            let last = asked.silent() == [*operator];
            Ok([accepted]
                .into_iter()
                .chain(last.then_some(Event::Formed { definition: *definition }))
                .collect())
        }
        Command::Decline { definition, operator } => {
            owed(state, now, *definition, *operator)?;
            let because = Because::Declined(*operator);
            Ok(vec![Event::Fallen { definition: *definition, because }])
        }
        Command::Lapse { definition } => {
            let asked = open(state, *definition)?;
            let deadline = asked.proposed.deadline;
            if now < deadline {
                return Err(Refusal::Early { now, deadline });
            }
            let because = Because::Silent(asked.silent());
            Ok(vec![Event::Fallen { definition: *definition, because }])
        }
    }
}

fn propose(state: &State, now: u64, proposed: &Proposed) -> Result<Vec<Event>, Refusal> {
    let Proposed { definition, proposal, cluster, operators, deadline } = proposed;
    let have = operators.len();
    if !(usize::from(OPERATORS_MIN)..=usize::from(OPERATORS_MAX)).contains(&have) {
        return Err(Refusal::Operators { have });
    }
    let again = |(at, operator): &(usize, &Address)| operators[..*at].contains(operator);
    if let Some((_, operator)) = operators.iter().enumerate().find(again) {
        return Err(Refusal::Twice { operator: *operator });
    }
    if *deadline <= now || *deadline - now > ANSWER_MAX {
        return Err(Refusal::Deadline { deadline: *deadline, now });
    }
    if state.clusters.contains_key(definition) {
        return Err(Refusal::Known { definition: *definition });
    }
    if let Some((definition, _)) = state.clusters.iter().find(|(_, asked)| asked.takes(*proposal, *cluster)) {
        return Err(Refusal::Stands { proposal: *proposal, cluster: *cluster, definition: *definition });
    }
    Ok(vec![Event::Proposed(proposed.clone())])
}

fn open(state: &State, definition: Root) -> Result<&Asked, Refusal> {
    let asked = state.clusters.get(&definition).ok_or(Refusal::Unknown { definition })?;
    match asked.stage {
        Stage::Open => Ok(asked),
        Stage::Formed | Stage::Fallen(_) => Err(Refusal::Closed { definition }),
    }
}

/// The cluster, if the operator may still answer.
fn owed(state: &State, now: u64, definition: Root, operator: Address) -> Result<&Asked, Refusal> {
    let asked = open(state, definition)?;
    if !asked.proposed.operators.contains(&operator) {
        return Err(Refusal::Stranger { operator });
    }
    if asked.accepted.contains(&operator) {
        return Err(Refusal::Answered { operator });
    }
    let deadline = asked.proposed.deadline;
    if now >= deadline { Err(Refusal::Late { now, deadline }) } else { Ok(asked) }
}

/// Writes an event down. Errors: one that [`decide`] cannot have given; nothing has changed then.
pub fn apply(state: &mut State, event: &Event) -> Result<(), Corrupt> {
    match event {
        Event::Proposed(proposed) => {
            let definition = proposed.definition;
            if state.clusters.contains_key(&definition) {
                return Err(Corrupt::Again { definition });
            }
            let asked = Asked { proposed: proposed.clone(), accepted: Vec::new(), stage: Stage::Open };
            state.clusters.insert(definition, asked);
        }
        Event::Accepted { definition, operator } => {
            let asked = open_mut(state, *definition)?;
            if !asked.silent().contains(operator) {
                return Err(Corrupt::NotOwed { operator: *operator });
            }
            asked.accepted.push(*operator);
        }
        Event::Formed { definition } => {
            let asked = open_mut(state, *definition)?;
            let missing = asked.silent().len();
            if missing > 0 {
                return Err(Corrupt::Missing { definition: *definition, missing });
            }
            asked.stage = Stage::Formed;
        }
        Event::Fallen { definition, because } => {
            let asked = open_mut(state, *definition)?;
            let silent = asked.silent();
            let blamed = match because {
                Because::Declined(operator) => std::slice::from_ref(operator),
                Because::Silent(operators) => operators.as_slice(),
            };
            if let Some(operator) = blamed.iter().find(|operator| !silent.contains(operator)) {
                return Err(Corrupt::NotOwed { operator: *operator });
            }
            asked.stage = Stage::Fallen(because.clone());
        }
    }
    Ok(())
}

fn open_mut(state: &mut State, definition: Root) -> Result<&mut Asked, Corrupt> {
    let asked = state.clusters.get_mut(&definition).filter(|asked| asked.stage == Stage::Open);
    asked.ok_or(Corrupt::NotOpen { definition })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn operator(at: u8) -> Address {
        Address([at; 20])
    }

    fn definition(at: u8) -> Root {
        Root([at; 32])
    }

    fn proposed(at: u8, deadline: u64) -> Proposed {
        Proposed {
            definition: definition(at),
            proposal: Root::ZERO,
            cluster: 0,
            operators: (1..=4).map(operator).collect(),
            deadline,
        }
    }

    fn accept(at: u8, by: u8) -> Command {
        Command::Accept { definition: definition(at), operator: operator(by) }
    }

    fn decline(at: u8, by: u8) -> Command {
        Command::Decline { definition: definition(at), operator: operator(by) }
    }

    fn lapse(at: u8) -> Command {
        Command::Lapse { definition: definition(at) }
    }

    /// Decides and applies. A refusal must have changed nothing, which holds as `decide` cannot.
    fn act(state: &mut State, now: u64, command: &Command) -> Result<Vec<Event>, Refusal> {
        let events = decide(state, now, command)?;
        for event in &events {
            apply(state, event).unwrap();
        }
        Ok(events)
    }

    fn stage(state: &State, at: u8) -> &Stage {
        &state.clusters[&definition(at)].stage
    }

    #[test]
    fn all_accept_and_the_last_one_forms_it() {
        let mut state = State::default();
        act(&mut state, 10, &Command::Propose(proposed(1, 100))).unwrap();
        for by in [3, 1, 4] {
            assert_eq!(act(&mut state, 99, &accept(1, by)).unwrap().len(), 1);
            assert_eq!(*stage(&state, 1), Stage::Open);
        }
        let last = act(&mut state, 99, &accept(1, 2)).unwrap();
        assert_eq!(last[1], Event::Formed { definition: definition(1) });
        assert_eq!(*stage(&state, 1), Stage::Formed);
        assert_eq!(act(&mut state, 100, &lapse(1)), Err(Refusal::Closed { definition: definition(1) }));
    }

    #[test]
    fn it_falls_by_who_declines_or_stays_silent_and_may_be_asked_again() {
        let mut state = State::default();
        act(&mut state, 10, &Command::Propose(proposed(1, 100))).unwrap();
        let again = Command::Propose(proposed(2, 200));
        let stands = Refusal::Stands { proposal: Root::ZERO, cluster: 0, definition: definition(1) };
        assert_eq!(act(&mut state, 10, &again), Err(stands));
        act(&mut state, 20, &accept(1, 1)).unwrap();
        act(&mut state, 20, &decline(1, 2)).unwrap();
        assert_eq!(*stage(&state, 1), Stage::Fallen(Because::Declined(operator(2))));
        act(&mut state, 30, &again).unwrap();
        act(&mut state, 30, &accept(2, 3)).unwrap();
        assert_eq!(act(&mut state, 199, &lapse(2)), Err(Refusal::Early { now: 199, deadline: 200 }));
        assert_eq!(act(&mut state, 200, &accept(2, 1)), Err(Refusal::Late { now: 200, deadline: 200 }));
        act(&mut state, 200, &lapse(2)).unwrap();
        let silent = [1, 2, 4].map(operator).to_vec();
        assert_eq!(*stage(&state, 2), Stage::Fallen(Because::Silent(silent)));
        let known = Refusal::Known { definition: definition(1) };
        assert_eq!(act(&mut state, 300, &Command::Propose(proposed(1, 400))), Err(known));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut state = State::default();
        let with = |change: fn(&mut Proposed)| {
            let mut proposed = proposed(1, 100);
            change(&mut proposed);
            decide(&State::default(), 10, &Command::Propose(proposed)).unwrap_err()
        };
        assert_eq!(with(|proposed| proposed.operators.truncate(2)), Refusal::Operators { have: 2 });
        let many = |proposed: &mut Proposed| proposed.operators = (1..=23).map(operator).collect();
        assert_eq!(with(many), Refusal::Operators { have: 23 });
        let twice = |proposed: &mut Proposed| proposed.operators[3] = operator(1);
        assert_eq!(with(twice), Refusal::Twice { operator: operator(1) });
        assert_eq!(with(|proposed| proposed.deadline = 10), Refusal::Deadline { deadline: 10, now: 10 });
        let deadline = 11 + ANSWER_MAX;
        assert_eq!(
            with(|proposed| proposed.deadline = 11 + ANSWER_MAX),
            Refusal::Deadline { deadline, now: 10 }
        );
        assert_eq!(act(&mut state, 10, &accept(1, 1)), Err(Refusal::Unknown { definition: definition(1) }));
        act(&mut state, 10, &Command::Propose(proposed(1, 10 + ANSWER_MAX))).unwrap();
        assert_eq!(act(&mut state, 20, &accept(1, 5)), Err(Refusal::Stranger { operator: operator(5) }));
        act(&mut state, 20, &accept(1, 1)).unwrap();
        assert_eq!(act(&mut state, 20, &decline(1, 1)), Err(Refusal::Answered { operator: operator(1) }));
    }

    #[test]
    fn events_that_cannot_have_happened_are_named_and_change_nothing() {
        let mut state = State::default();
        act(&mut state, 10, &Command::Propose(proposed(1, 100))).unwrap();
        act(&mut state, 20, &accept(1, 1)).unwrap();
        let before = state.clone();
        let definition = definition(1);
        let fallen = |because| Event::Fallen { definition, because };
        for (event, corrupt) in [
            (Event::Proposed(proposed(1, 100)), Corrupt::Again { definition }),
            (
                Event::Accepted { definition, operator: operator(1) },
                Corrupt::NotOwed { operator: operator(1) },
            ),
            (
                Event::Accepted { definition, operator: operator(9) },
                Corrupt::NotOwed { operator: operator(9) },
            ),
            (Event::Formed { definition }, Corrupt::Missing { definition, missing: 3 }),
            (Event::Formed { definition: Root::ZERO }, Corrupt::NotOpen { definition: Root::ZERO }),
            (fallen(Because::Declined(operator(1))), Corrupt::NotOwed { operator: operator(1) }),
            (
                fallen(Because::Silent(vec![operator(2), operator(9)])),
                Corrupt::NotOwed { operator: operator(9) },
            ),
        ] {
            assert_eq!(apply(&mut state, &event), Err(corrupt));
            assert_eq!(state, before);
        }
    }

    fn commands() -> impl Strategy<Value = Vec<(u64, Command)>> {
        let one = (0u64..6, 0u8..4, 0u8..3, 1u8..6).prop_map(|(wait, kind, at, by)| {
            let command = match kind {
                0 => Command::Propose(proposed(at, 1000)),
                1 => decline(at, by),
                2 => lapse(at),
                _ => accept(at, by),
            };
            (wait, command)
        });
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        /// The slow obvious version reads the whole history for each question.
        #[test]
        fn any_history_ends_as_its_answers_say(commands in commands(), deadline in 1u64..200) {
            let (mut state, mut now, mut history) = (State::default(), 0, Vec::new());
            for (wait, mut command) in commands {
                now += wait;
                if let Command::Propose(proposed) = &mut command {
                    proposed.deadline = deadline;
                }
                let before = state.clone();
                match act(&mut state, now, &command) {
                    Ok(events) => history.extend(events.into_iter().map(|event| (now, event))),
                    Err(_) => prop_assert_eq!(&state, &before),
                }
            }
            for (definition, asked) in &state.clusters {
                let accepted = |by: &Address| {
                    let event = Event::Accepted { definition: *definition, operator: *by };
                    history.iter().filter(|(at, other)| *other == event && *at < deadline).count()
                };
                let all = asked.proposed.operators.iter().all(|by| accepted(by) == 1);
                prop_assert_eq!(all, asked.stage == Stage::Formed);
                let ends = history.iter().filter(|(_, event)| match event {
                    Event::Formed { definition: of } | Event::Fallen { definition: of, .. } => of == definition,
                    Event::Proposed(_) | Event::Accepted { .. } => false,
                });
                prop_assert_eq!(ends.count(), usize::from(asked.stage != Stage::Open));
            }
            let standing = state.clusters.values().filter(|asked| asked.takes(Root::ZERO, 0));
            prop_assert!(standing.count() <= 1);
            let mut again = State::default();
            for (_, event) in &history {
                apply(&mut again, event).unwrap();
            }
            prop_assert_eq!(&again, &state);
            let bytes = crate::canonical::bytes(&state);
            prop_assert_eq!(crate::canonical::read::<State>(&bytes).unwrap(), state);
        }
    }
}
