//! What stops a node from signing, and what it still does then.
//!
//! While any [`Reason`] is in force the journal promises nothing, permits that were given before are not used, and
//! what comes back signed is not sent. Nothing is signed but what operators approve, exits and registrations: these are
//! made only on the operator's own command, contradict no other signature, and may be what the operator wants to do
//! next.
//!
//! A stopped node goes on to vote, to answer, and to combine what others sign. Votes bind no validator's key, so
//! they can do no harm; without them one node that is stopped for the sake of a slashed validator would count as a fault of
//! the agreement too, and the operators that have cleared theirs would miss duties for it. Two reasons make it silent as
//! well, like a node that only follows (rule 11): with a wrong clock its votes come in other slots than it believes, and
//! with a second process under its node key its votes would contradict that one's.
//!
//! The machine forgets reasons when it ends. Which of them outlive it is the shell's matter.

use std::collections::BTreeSet;
use std::fmt;
use types::ValidatorNo;
use types::wire::Kind;

/// Why nothing is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The chain has slashed these validators: something signed what it must not, and may do so again.
    Slashed(BTreeSet<ValidatorNo>),
    /// These validators act on the chain though nobody of this cluster signed: their keys are in use elsewhere.
    Doppelganger(BTreeSet<ValidatorNo>),
    /// Another process runs with this operator's node key.
    SecondInstance,
    /// The own clock differs from the beacon nodes' by more than a slot.
    Clock,
}

impl fmt::Display for Reason {
    /// What is wrong, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slashed(validators) => write!(
                f,
                "the chain has slashed {}: find out who signed what, then stop this node, run dvt-node resume, and \
                 start it again",
                named(validators)
            ),
            Self::Doppelganger(validators) => write!(
                f,
                "{} signed something that this cluster did not: find where else the keys are and end that, then \
                 stop this node, run dvt-node resume, and start it again",
                named(validators)
            ),
            Self::SecondInstance => f.write_str(
                "another process runs with this operator's node key: end one of the two, then stop this node, run \
                 dvt-node resume, and start it again",
            ),
            Self::Clock => f.write_str(
                "this machine's clock and the beacon nodes' differ by more than a slot: set it right, and signing goes on",
            ),
        }
    }
}

fn named(validators: &BTreeSet<ValidatorNo>) -> String {
    let numbers: Vec<_> = validators.iter().map(|validator| validator.0.to_string()).collect();
    let word = if numbers.len() == 1 { "validator" } else { "validators" };
    format!("{word} {}", numbers.join(", "))
}

/// The reasons in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    slashed: BTreeSet<ValidatorNo>,
    doppelgangers: BTreeSet<ValidatorNo>,
    second_instance: bool,
    clock: bool,
}

impl Stops {
    /// Puts a reason in force; validators add up.
    pub fn stop(&mut self, reason: &Reason) {
        match reason {
            Reason::Slashed(validators) => self.slashed.extend(validators),
            Reason::Doppelganger(validators) => self.doppelgangers.extend(validators),
            Reason::SecondInstance => self.second_instance = true,
            Reason::Clock => self.clock = true,
        }
    }

    /// Takes a reason out of force, for the validators that it names; others stay.
    pub fn resume(&mut self, reason: &Reason) {
        match reason {
            Reason::Slashed(validators) => self.slashed.retain(|one| !validators.contains(one)),
            Reason::Doppelganger(validators) => self.doppelgangers.retain(|one| !validators.contains(one)),
            Reason::SecondInstance => self.second_instance = false,
            Reason::Clock => self.clock = false,
        }
    }

    /// A reason in force, the gravest first.
    pub fn reason(&self) -> Option<Reason> {
        if !self.slashed.is_empty() {
            Some(Reason::Slashed(self.slashed.clone()))
        } else if self.second_instance {
            Some(Reason::SecondInstance)
        } else if !self.doppelgangers.is_empty() {
            Some(Reason::Doppelganger(self.doppelgangers.clone()))
        } else {
            self.clock.then_some(Reason::Clock)
        }
    }

    /// Why nothing of this kind is signed, if so.
    pub fn forbids(&self, kind: Kind) -> Option<Reason> {
        match kind {
            Kind::Exit | Kind::Registration => None,
            Kind::Attest
            | Kind::Propose
            | Kind::Aggregate
            | Kind::Contribute
            | Kind::Randao
            | Kind::SyncMessage
            | Kind::Selection
            | Kind::SyncSelection => self.reason(),
        }
    }

    /// Whether the node takes no part in agreement either.
    pub const fn is_silent(&self) -> bool {
        self.second_instance || self.clock
    }

    /// Whether another process is known to run with this node's key.
    pub const fn has_twin(&self) -> bool {
        self.second_instance
    }

    /// Whether the own clock is off, so that what it says of slots counts for nothing.
    pub const fn clock_is_off(&self) -> bool {
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u32]) -> BTreeSet<ValidatorNo> {
        numbers.iter().map(|number| ValidatorNo(*number)).collect()
    }

    #[test]
    fn every_reason_forbids_everything_but_what_operators_approve_until_it_is_lifted() {
        let table = [
            (Reason::Slashed(set(&[1])), false),
            (Reason::Doppelganger(set(&[1])), false),
            (Reason::SecondInstance, true),
            (Reason::Clock, true),
        ];
        for (reason, silent) in table {
            let mut stops = Stops::default();
            stops.stop(&reason);
            for kind in Kind::ALL {
                let approved = matches!(kind, Kind::Exit | Kind::Registration);
                let why = (!approved).then(|| reason.clone());
                assert_eq!(stops.forbids(kind), why, "{kind}");
            }
            assert_eq!(stops.is_silent(), silent, "{reason:?}");
            stops.stop(&reason);
            stops.resume(&reason);
            assert_eq!(stops, Stops::default(), "{reason:?}");
        }
    }

    #[test]
    fn one_reason_lifted_leaves_the_others_and_the_gravest_is_told() {
        let mut stops = Stops::default();
        let all = [
            Reason::Clock,
            Reason::Doppelganger(set(&[3])),
            Reason::SecondInstance,
            Reason::Slashed(set(&[1])),
        ];
        for reason in &all {
            stops.stop(reason);
            assert_eq!(stops.reason().as_ref(), Some(reason));
        }
        for reason in all.iter().rev() {
            assert_eq!(stops.reason().as_ref(), Some(reason));
            stops.resume(reason);
        }
        assert_eq!(stops.reason(), None);
    }

    #[test]
    fn validators_add_up_and_are_cleared_one_by_one() {
        let mut stops = Stops::default();
        stops.stop(&Reason::Slashed(set(&[1])));
        stops.stop(&Reason::Slashed(set(&[4])));
        stops.resume(&Reason::Doppelganger(set(&[1, 4])));
        assert_eq!(stops.reason(), Some(Reason::Slashed(set(&[1, 4]))));
        stops.resume(&Reason::Slashed(set(&[1])));
        let left = stops.reason().unwrap();
        assert_eq!(left, Reason::Slashed(set(&[4])));
        assert!(left.to_string().contains("slashed validator 4: "), "{left}");
    }
}
