//! What is checked of every state, from outside: what has been said is counted, and nobody is asked why.

use super::cluster::Cluster;
use super::state::{State, VALUES, Value};
use stateright::{Expectation, Model as _, Property};
use std::collections::BTreeSet;

pub(crate) const ONE_CERTIFICATE: &str = "one certificate per round";
pub(crate) const ONE_DECISION: &str = "one decided value";
pub(crate) const ONE_SIGNATURE: &str = "no group signature on two values";
pub(crate) const NOT_LOST: &str = "no duty lost for good with at most f faults";
const DONE: &str = "a group signature is made";
const FAST: &str = "all first votes are equal";
const LATE: &str = "the last round decides";

/// The promises, and signs that they were tried: a signature, a fast decision, a decision of the last round.
pub(crate) fn properties(cluster: &Cluster) -> Vec<Property<Cluster>> {
    let mut properties = vec![
        Property::always(ONE_CERTIFICATE, |cluster: &Cluster, state| {
            cluster.rounds().all(|round| !both(|value| cluster.is_certified(state, round, value)))
        }),
        Property::always(ONE_DECISION, |cluster, state| !both(|value| cluster.is_decided(state, value))),
        Property::always(ONE_SIGNATURE, |cluster, state| !both(|value| cluster.is_signed(state, value))),
        Property::always(NOT_LOST, Cluster::recovers),
        Property::sometimes(DONE, |cluster, state| either(|value| cluster.is_signed(state, value))),
        Property::sometimes(FAST, |cluster: &Cluster, state: &State| {
            let first = cluster.book.first_round();
            either(|value| cluster.is_fast(state, first, value))
        }),
    ];
    if cluster.rounds_end > cluster.book.first_round() {
        properties.push(Property::sometimes(LATE, |cluster, state| {
            either(|value| cluster.is_decided_in(state, cluster.rounds_end, value))
        }));
    }
    properties
}

impl Cluster {
    /// The names of the signs.
    pub(crate) fn signs(&self) -> BTreeSet<&'static str> {
        let properties = self.properties();
        let signs = properties.iter().filter(|property| property.expectation == Expectation::Sometimes);
        signs.map(|property| property.name).collect()
    }
}

fn both(is: impl Fn(Value) -> bool) -> bool {
    VALUES.into_iter().all(is)
}

fn either(is: impl Fn(Value) -> bool) -> bool {
    VALUES.into_iter().any(is)
}
