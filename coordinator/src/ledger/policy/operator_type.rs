//! Kinds of operators: what they put up, what they earn, and what they may do.

use crate::formulas::bonds::{BondCurve, BondStep, CurveError};
use crate::formulas::ratio::BasisPoints;
use crate::text::Label;
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use thiserror::Error;

/// A commission has a handful of steps.
pub const COMMISSION_STEPS_MAX: usize = 8;

/// Bond by number of keys. A document may give the name of one of the field's curves instead of the steps; what is kept is
/// the steps, so that a log means the same for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NamedOrSteps")]
pub struct Curve(BondCurve);

#[derive(Deserialize)]
#[serde(untagged)]
enum NamedOrSteps {
    Named(String),
    Steps(Vec<BondStep>),
}

/// Why there is no such curve.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoCurve {
    /// A name that the field does not know.
    #[error("there is no bond curve {0:?}")]
    Unknown(String),
    /// Steps that make none.
    #[error(transparent)]
    Steps(#[from] CurveError),
}

impl TryFrom<NamedOrSteps> for Curve {
    type Error = NoCurve;
    fn try_from(written: NamedOrSteps) -> Result<Self, NoCurve> {
        match written {
            NamedOrSteps::Named(name) => BondCurve::named(&name).map(Self).ok_or(NoCurve::Unknown(name)),
            NamedOrSteps::Steps(steps) => Ok(Self(BondCurve::new(steps)?)),
        }
    }
}

impl From<BondCurve> for Curve {
    fn from(curve: BondCurve) -> Self {
        Self(curve)
    }
}

impl Deref for Curve {
    type Target = BondCurve;
    fn deref(&self) -> &BondCurve {
        &self.0
    }
}

/// From a key on, what the operator gets of its rewards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommissionStep {
    /// The first key of the step, from 1.
    pub from_key: u32,
    /// The operator's part.
    pub part: BasisPoints,
}

/// Why steps are no commission.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CommissionError {
    /// No steps, or too many.
    #[error("{have} steps, where 1 to {COMMISSION_STEPS_MAX} are allowed")]
    Steps {
        /// How many.
        have: usize,
    },
    /// They begin elsewhere than at the first key, or are out of order.
    #[error("a step at key {key} follows {before} keys that have one")]
    Order {
        /// Its key.
        key: u32,
        /// The key that should have been the last before it, at least.
        before: u32,
    },
}

/// The operator's part of rewards, by key: some pay more for the first keys of an operator than for the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<CommissionStep>", into = "Vec<CommissionStep>")]
pub struct Commission(Vec<CommissionStep>);

impl Commission {
    /// Errors: no step at key 1; steps out of order; too many.
    pub fn new(steps: Vec<CommissionStep>) -> Result<Self, CommissionError> {
        if steps.is_empty() || steps.len() > COMMISSION_STEPS_MAX {
            return Err(CommissionError::Steps { have: steps.len() });
        }
        if steps[0].from_key != 1 {
            return Err(CommissionError::Order { key: steps[0].from_key, before: 0 });
        }
        match steps.windows(2).find(|pair| pair[1].from_key <= pair[0].from_key) {
            Some(pair) => Err(CommissionError::Order { key: pair[1].from_key, before: pair[0].from_key }),
            None => Ok(Self(steps)),
        }
    }

    /// What the operator gets of the rewards of its `key`-th key, from 1.
    pub fn of_key(&self, key: u32) -> BasisPoints {
        let before = self.0.iter().take_while(|step| step.from_key <= key);
        before.last().map_or(self.0[0].part, |step| step.part)
    }
}

impl TryFrom<Vec<CommissionStep>> for Commission {
    type Error = CommissionError;
    fn try_from(steps: Vec<CommissionStep>) -> Result<Self, CommissionError> {
        Self::new(steps)
    }
}

impl From<Commission> for Vec<CommissionStep> {
    fn from(commission: Commission) -> Self {
        commission.0
    }
}

/// A kind of operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorType {
    /// Its name.
    pub name: Label,
    /// What it puts up.
    pub bond: Curve,
    /// What it earns.
    pub commission: Commission,
    /// Whether all operators of a cluster may be one entity.
    pub intra_operator: bool,
    /// Whether everybody may delegate to its clusters. If not, all delegators are named in the cluster's definition.
    pub public_delegation: bool,
}
