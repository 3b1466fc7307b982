//! What becomes of a wish about operators.

use super::{
    Announcement, Application, By, Command, Event, Kind, Of, Operator, OperatorId, Order, Pending, Standing,
    State, What,
};
use crate::ledger::policy::Policy;
use crate::ledger::seat::Seat;
use crate::text::Label;
use thiserror::Error;
use types::{Address, Gwei, Root, Wei};

/// What the book must be told.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Now, in Unix seconds.
    pub at: u64,
    /// The pool's id.
    pub pool: Root,
    /// The pool's chain.
    pub chain_id: u64,
    /// The policy.
    pub policy: &'a Policy,
    /// What an address is in the pool, as far as other books know.
    pub seat: &'a dyn Fn(Address) -> Option<Seat>,
    /// What of an operator's bond backs nothing, is not locked and not owed.
    pub bond: &'a dyn Fn(OperatorId) -> Wei,
    /// Clusters that an operator is in.
    pub clusters: &'a dyn Fn(OperatorId) -> usize,
    /// The open incident that an operator may have to pay for.
    pub held: &'a dyn Fn(OperatorId) -> Option<u64>,
}

/// Why a wish is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// No such operator.
    #[error("there is no operator {0}")]
    Unknown(OperatorId),
    /// An address that has another part in the pool.
    #[error("{address} is {seat}; another address is wanted")]
    Taken {
        /// Which.
        address: Address,
        /// What it is.
        seat: Seat,
    },
    /// Nobody's address.
    #[error("the zero address is nobody's")]
    Zero,
    /// One key for both parts: whoever steals it has both.
    #[error("{0} would be manager and reward address; they are two addresses")]
    SameAddress(Address),
    /// A type that the policy does not have.
    #[error("the policy has no operator type {0}")]
    NoSuchType(Label),
    /// A node that does not know of it.
    #[error("the node's signature does not say that it works for manager {manager} in this pool")]
    NodeDisagrees {
        /// Who applies.
        manager: Address,
    },
    /// One node for two operators.
    #[error("the node of this record is operator {0}'s")]
    NodeTaken(OperatorId),
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
    /// Nothing to end.
    #[error("operator {0} is not paused")]
    NotPaused(OperatorId),
    /// Too little for a first key.
    #[error("a free bond of {have} wei, the first key needs {need}")]
    Bond {
        /// What there is.
        have: Wei,
        /// What its type asks for.
        need: Wei,
    },
    /// Something else was announced.
    #[error("a {of} is pending since {since}: call it off first")]
    Pending {
        /// Of what.
        of: Of,
        /// Unix seconds.
        since: u64,
    },
    /// Nothing was announced.
    #[error("no {0} is pending")]
    NothingPending(Of),
    /// Not yet.
    #[error("the {of} takes effect from {ready_at} on, it is {at}")]
    TooEarly {
        /// Of what.
        of: Of,
        /// Unix seconds from which on.
        ready_at: u64,
        /// Unix seconds now.
        at: u64,
    },
    /// Only the new manager shows that it has its key.
    #[error("the new manager {manager} takes its seat itself")]
    NotTheNewManager {
        /// Who must sign.
        manager: Address,
    },
    /// More than the policy lets anybody have.
    #[error("a cap of {have} gwei, the policy's is {most}")]
    AbovePolicy {
        /// Asked for.
        have: Gwei,
        /// The policy's.
        most: Gwei,
    },
    /// Still in clusters.
    #[error("operator {operator} is in {clusters} clusters")]
    InClusters {
        /// Whose.
        operator: OperatorId,
        /// How many.
        clusters: usize,
    },
    /// It may have to pay for something.
    #[error("operator {operator} stays: incident {incident} is open")]
    Held {
        /// Whose.
        operator: OperatorId,
        /// Which.
        incident: u64,
    },
}

impl State {
    /// What a wish leads to.
    ///
    /// - `by`: who signed; that it is the operator's manager, where one is needed, is the caller's to say.
    pub fn decide(&self, facts: &Facts<'_>, by: Address, command: &Command) -> Result<Vec<Event>, Refusal> {
        let (operator, what) = match command {
            Command::Apply(application) => (by, self.apply_as(facts, by, application)?),
            Command::Update(id, setup) => (*id, self.update(*id, setup)?),
            Command::Activate(id) => (*id, self.activate(facts, *id)?),
            Command::Announce(id, what) => (*id, self.announce(facts, *id, *what)?),
            Command::CallOff(id, kind) => (*id, self.call_off(facts, *id, *kind, By::Manager)?),
            Command::Effect(id, kind) => (*id, self.effect(facts, by, *id, *kind)?),
            Command::Depart(id) => (*id, self.depart(facts, *id)?),
        };
        Ok(vec![Event { operator, what }])
    }

    /// What an order of governance leads to.
    pub fn order(&self, facts: &Facts<'_>, id: OperatorId, order: &Order) -> Result<Vec<Event>, Refusal> {
        let operator = self.known(id)?;
        let standing = operator.standing;
        let refused = Refusal::Standing { operator: id, standing };
        let what = match order {
            Order::Vet if standing == Standing::Applied => What::Stands(Standing::Vetted),
            Order::Vet => return Err(refused),
            Order::SetStakeCap(_) if standing == Standing::Left => return Err(refused),
            Order::SetStakeCap(have) => {
                let most = facts.policy.terms().operator_caps.stake;
                if *have > most {
                    return Err(Refusal::AbovePolicy { have: *have, most });
                }
                What::StakeCapSet(*have)
            }
            Order::Pause(_) if operator.paused() => return Err(Refusal::Paused(id)),
            Order::Pause(reason) => match standing {
                Standing::Vetted | Standing::Active | Standing::Exiting => What::Paused(reason.clone()),
                Standing::Applied | Standing::Left => return Err(refused),
            },
            Order::Unpause if operator.paused() => What::Unpaused,
            Order::Unpause => return Err(Refusal::NotPaused(id)),
            Order::Dismiss if standing < Standing::Exiting => What::Stands(Standing::Exiting),
            Order::Dismiss => return Err(refused),
            Order::ReplaceManager(manager) => {
                self.free(facts, *manager)?;
                What::ManagerReplaced { manager: *manager, at: facts.at }
            }
            Order::CallOff(kind) => self.call_off(facts, id, *kind, By::Governance)?,
        };
        Ok(vec![Event { operator: id, what }])
    }

    fn known(&self, id: OperatorId) -> Result<&Operator, Refusal> {
        self.get(id).ok_or(Refusal::Unknown(id))
    }

    /// Whether an address may become a manager: it is nothing else.
    fn free(&self, facts: &Facts<'_>, address: Address) -> Result<(), Refusal> {
        if address == Address::ZERO {
            return Err(Refusal::Zero);
        }
        match (facts.seat)(address).or_else(|| self.seat(address)) {
            Some(seat) => Err(Refusal::Taken { address, seat }),
            None => Ok(()),
        }
    }

    /// Whether an address may be paid. Operators may share one: of one entity they are paid together.
    fn payable(&self, facts: &Facts<'_>, address: Address) -> Result<(), Refusal> {
        match self.free(facts, address) {
            Err(Refusal::Taken { seat: Seat::Reward(_), .. }) => Ok(()),
            other => other,
        }
    }

    fn apply_as(&self, facts: &Facts<'_>, by: Address, told: &Application) -> Result<What, Refusal> {
        if told.reward == by {
            return Err(Refusal::SameAddress(by));
        }
        self.free(facts, by)?;
        self.payable(facts, told.reward)?;
        if facts.policy.operator_type(&told.operator_type).is_none() {
            return Err(Refusal::NoSuchType(told.operator_type.clone()));
        }
        if !told.node_agrees(facts.pool, facts.chain_id, by) {
            return Err(Refusal::NodeDisagrees { manager: by });
        }
        let key = told.enr.key();
        match self.operators.iter().find(|(_, operator)| operator.application.enr.key() == key) {
            Some((other, _)) => Err(Refusal::NodeTaken(*other)),
            None => Ok(What::Applied { at: facts.at, application: Box::new(told.clone()) }),
        }
    }

    fn update(&self, id: OperatorId, setup: &super::Setup) -> Result<What, Refusal> {
        match self.known(id)?.standing {
            standing @ Standing::Left => Err(Refusal::Standing { operator: id, standing }),
            Standing::Applied | Standing::Vetted | Standing::Active | Standing::Exiting => {
                Ok(What::Updated(setup.clone()))
            }
        }
    }

    fn activate(&self, facts: &Facts<'_>, id: OperatorId) -> Result<What, Refusal> {
        let operator = self.known(id)?;
        if operator.standing != Standing::Vetted {
            return Err(Refusal::Standing { operator: id, standing: operator.standing });
        }
        if operator.paused() {
            return Err(Refusal::Paused(id));
        }
        let name = &operator.application.operator_type;
        let kind = facts.policy.operator_type(name).ok_or_else(|| Refusal::NoSuchType(name.clone()))?;
        let (have, need) = ((facts.bond)(id), kind.bond.required(1));
        if have < need { Err(Refusal::Bond { have, need }) } else { Ok(What::Stands(Standing::Active)) }
    }

    fn announce(&self, facts: &Facts<'_>, id: OperatorId, what: Announcement) -> Result<What, Refusal> {
        let operator = self.known(id)?;
        let of = Of { operator: id, kind: what.kind() };
        if let Some(pending) = operator.pending.get(&of.kind) {
            return Err(Refusal::Pending { of, since: pending.at });
        }
        self.possible(facts, id, what)?;
        let ready_at = facts.at.saturating_add(facts.policy.terms().announcement_s);
        Ok(What::Announced(Pending { what, at: facts.at, ready_at }))
    }

    /// Whether what is announced can be: asked when it is announced, and when it takes effect.
    fn possible(&self, facts: &Facts<'_>, id: OperatorId, what: Announcement) -> Result<(), Refusal> {
        let operator = self.known(id)?;
        match what {
            Announcement::Manager(manager) => self.free(facts, manager),
            Announcement::Reward(reward) if reward == operator.manager => Err(Refusal::SameAddress(reward)),
            Announcement::Reward(reward) => self.payable(facts, reward),
            // Nobody leaves what it was stopped for.
            Announcement::Leave if operator.paused() => Err(Refusal::Paused(id)),
            Announcement::Leave if operator.standing < Standing::Exiting => Ok(()),
            Announcement::Leave => Err(Refusal::Standing { operator: id, standing: operator.standing }),
        }
    }

    fn pending(&self, id: OperatorId, kind: Kind) -> Result<&Pending, Refusal> {
        let of = Of { operator: id, kind };
        self.known(id)?.pending.get(&kind).ok_or(Refusal::NothingPending(of))
    }

    fn call_off(&self, facts: &Facts<'_>, id: OperatorId, kind: Kind, by: By) -> Result<What, Refusal> {
        self.pending(id, kind)?;
        Ok(What::CalledOff { kind, by, at: facts.at })
    }

    fn effect(&self, facts: &Facts<'_>, by: Address, id: OperatorId, kind: Kind) -> Result<What, Refusal> {
        let pending = self.pending(id, kind)?;
        let (at, ready_at) = (facts.at, pending.ready_at);
        if at < ready_at {
            return Err(Refusal::TooEarly { of: Of { operator: id, kind }, ready_at, at });
        }
        match pending.what {
            Announcement::Manager(manager) if manager != by => {
                return Err(Refusal::NotTheNewManager { manager });
            }
            Announcement::Manager(_) | Announcement::Reward(_) | Announcement::Leave => {}
        }
        self.possible(facts, id, pending.what)?;
        Ok(What::Effected { what: pending.what, at })
    }

    fn depart(&self, facts: &Facts<'_>, id: OperatorId) -> Result<What, Refusal> {
        let operator = self.known(id)?;
        if operator.paused() {
            return Err(Refusal::Paused(id));
        }
        let standing = operator.standing;
        if standing != Standing::Exiting {
            return Err(Refusal::Standing { operator: id, standing });
        }
        if let Some(incident) = (facts.held)(id) {
            return Err(Refusal::Held { operator: id, incident });
        }
        match (facts.clusters)(id) {
            0 => Ok(What::Stands(Standing::Left)),
            clusters => Err(Refusal::InClusters { operator: id, clusters }),
        }
    }
}
