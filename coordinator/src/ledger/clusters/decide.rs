//! What becomes of a wish about a cluster.

use super::{Admission, Cluster, Event, KEYS_MAX, Stage, State};
use crate::formulas::allocation::ACTIVATION;
use crate::ledger::operators::{Operator, OperatorId};
use crate::ledger::policy::Policy;
use thiserror::Error;
use types::{ClusterId, Epoch, Gwei};

/// What the book must be told.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The latest finalized epoch.
    pub finalized: Epoch,
    /// The most that a validator of the pool is given.
    pub stake_max: Gwei,
    /// The operators.
    pub operator: &'a dyn Fn(OperatorId) -> Option<&'a Operator>,
}

/// Why a wish is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// There is one of that id.
    #[error("cluster {0} is there already")]
    Known(ClusterId),
    /// There is none.
    #[error("there is no cluster {0}")]
    Unknown(ClusterId),
    /// Numbers that the policy does not have.
    #[error("the policy takes no clusters of {operators} with threshold {threshold}")]
    Size {
        /// `n`.
        operators: usize,
        /// `t`.
        threshold: u8,
    },
    /// Two seats for one.
    #[error("operator {0} has two seats")]
    Twice(OperatorId),
    /// Nobody.
    #[error("there is no operator {0}")]
    NoOperator(OperatorId),
    /// No validators, or too many.
    #[error("{have} validators, where 1 to {KEYS_MAX} are allowed")]
    Keys {
        /// How many.
        have: u32,
    },
    /// Not what so many validators can hold.
    #[error("a stake of {stake} gwei for {keys} validators, each holds {ACTIVATION} to {stake_max} gwei")]
    Stake {
        /// The stake.
        stake: Gwei,
        /// Validators.
        keys: u32,
        /// The most of one.
        stake_max: Gwei,
    },
    /// More than an operator may have.
    #[error("operator {operator} would have {have} gwei of stake, it may have {most}")]
    OverCap {
        /// Who.
        operator: OperatorId,
        /// With this cluster.
        have: Gwei,
        /// At most.
        most: Gwei,
    },
    /// More keys than the cluster may have.
    #[error("cluster {cluster} would have {have} keys, it may have {most}")]
    TooManyKeys {
        /// Which.
        cluster: ClusterId,
        /// With these.
        have: u64,
        /// At most.
        most: u32,
    },
    /// Not from where it stands.
    #[error("cluster {cluster} is {stage:?}")]
    Stage {
        /// Which.
        cluster: ClusterId,
        /// How far it is.
        stage: Stage,
    },
    /// It holds something still.
    #[error("cluster {cluster} has {have} validators that hold stake, or lost some that nobody has paid for")]
    Holds {
        /// Which.
        cluster: ClusterId,
        /// How many.
        have: usize,
    },
}

impl Facts<'_> {
    /// The stake that an operator may have.
    pub fn stake_cap(&self, operator: &Operator) -> Gwei {
        let most = self.policy.terms().operator_caps.stake;
        operator.stake_cap.map_or(most, |own| own.min(most))
    }
}

impl State {
    /// What an admission leads to. That its operators are active, and that their bonds are free, is the bonds' to say.
    pub fn admit(&self, facts: &Facts<'_>, admission: &Admission) -> Result<Event, Refusal> {
        let Admission { cluster, operators, threshold, keys, stake } = admission;
        if self.clusters.contains_key(cluster) {
            return Err(Refusal::Known(*cluster));
        }
        let size = (operators.len(), usize::from(*threshold));
        if !facts.policy.sizes().any(|known| (known.operators(), known.threshold()) == size) {
            return Err(Refusal::Size { operators: operators.len(), threshold: *threshold });
        }
        let (keys, stake, stake_max) = (*keys, *stake, facts.stake_max);
        if keys == 0 || keys > KEYS_MAX {
            return Err(Refusal::Keys { have: keys });
        }
        let each = |amount: Gwei| u128::from(amount.0) * u128::from(keys);
        if !(each(ACTIVATION)..=each(stake_max)).contains(&u128::from(stake.0)) {
            return Err(Refusal::Stake { stake, keys, stake_max });
        }
        let part = stake.0.div_ceil(operators.len() as u64);
        for (at, id) in operators.iter().enumerate() {
            if operators[..at].contains(id) {
                return Err(Refusal::Twice(*id));
            }
            let operator = (facts.operator)(*id).ok_or(Refusal::NoOperator(*id))?;
            let have = Gwei(self.stake_of(*id).0.saturating_add(part));
            let most = facts.stake_cap(operator);
            if have > most {
                return Err(Refusal::OverCap { operator: *id, have, most });
            }
        }
        Ok(Event::Accepted { admission: admission.clone(), from: facts.finalized })
    }

    /// A cluster that may have keys registered: so many more than `have`. Errors: it is none, has left, or they are too many.
    pub fn key(&self, cluster: ClusterId, have: u64, more: u64) -> Result<Option<Event>, Refusal> {
        let found = self.open(cluster)?;
        let (have, most) = (have.saturating_add(more), found.keys);
        if have > u64::from(most) {
            return Err(Refusal::TooManyKeys { cluster, have, most });
        }
        Ok((found.stage == Stage::Accepted).then_some(Event::Stands { cluster, stage: Stage::Keyed }))
    }

    /// That a validator of a cluster has duties.
    pub fn activate(&self, cluster: ClusterId) -> Option<Event> {
        let keyed = self.get(cluster).is_some_and(|found| found.stage == Stage::Keyed);
        keyed.then_some(Event::Stands { cluster, stage: Stage::Active })
    }

    /// That a cluster gets no more stake. Errors: it is none, or has left.
    pub fn wind_down(&self, cluster: ClusterId) -> Result<Event, Refusal> {
        self.open(cluster).map(|_| Event::Stands { cluster, stage: Stage::Exiting })
    }

    /// That a cluster is over. Errors: it is none, is not to exit, or `holding` of its validators are not over.
    pub fn close(&self, cluster: ClusterId, holding: usize) -> Result<Event, Refusal> {
        let stage = self.get(cluster).ok_or(Refusal::Unknown(cluster))?.stage;
        if stage != Stage::Exiting {
            return Err(Refusal::Stage { cluster, stage });
        }
        if holding > 0 {
            return Err(Refusal::Holds { cluster, have: holding });
        }
        Ok(Event::Stands { cluster, stage: Stage::Closed })
    }

    fn open(&self, cluster: ClusterId) -> Result<&Cluster, Refusal> {
        let found = self.get(cluster).ok_or(Refusal::Unknown(cluster))?;
        let stage = found.stage;
        if stage.is_open() { Ok(found) } else { Err(Refusal::Stage { cluster, stage }) }
    }
}
