//! The state: all books together. What is decided here changes nothing; what is applied here was decided.
//!
//! A further book is one field of [`State`], one variant of [`Command`] or [`Sighting`], of [`Event`], of [`Refusal`] and
//! of [`Misfit`], and its routes.

use super::charter::Charter;
use super::governance::{self, Act, Outcome};
use super::operators::{self, OperatorId, Order};
use super::policy::Policy;
use super::quorum::Quorum;
use super::routes::{Role, RouteError};
use super::seat::Seat;
use super::text::Label;
use super::{bonds, canonical, chain};
use crate::request::{Nonce, RequestRefusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{Address, Root, Wei};

/// The pool, as its log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// What never changes.
    pub charter: Charter,
    /// The hash of it: the pool's id.
    pub pool: Root,
    /// The highest nonce of everybody who has written.
    pub nonces: BTreeMap<Address, Nonce>,
    /// The policy.
    pub policy: Policy,
    /// How far the chain is.
    pub chain: chain::State,
    /// Who governs, and what is proposed.
    pub governance: governance::State,
    /// Operators.
    pub operators: operators::State,
    /// Their bonds.
    pub bonds: bonds::State,
}

/// What somebody wishes who has signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// About the pool.
    Governance(governance::Command),
    /// About an operator.
    Operators(operators::Command),
    /// About a bond.
    Bonds(bonds::Command),
}

/// What the coordinator has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// The chain is further.
    Finalized(chain::Finalized),
    /// Bond moved.
    Bonds(bonds::Sighting),
}

/// What happened, in one of the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A request counts.
    Accepted {
        /// Whose it is.
        signer: Address,
        /// Its nonce: no other up to it counts any more.
        nonce: Nonce,
    },
    /// Another policy.
    PolicyChanged(Box<Policy>),
    /// The chain.
    Chain(chain::Event),
    /// Governance.
    Governance(governance::Event),
    /// Operators.
    Operators(operators::Event),
    /// Bonds.
    Bonds(bonds::Event),
}

/// Why a wish, or a sighting, is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// As a request.
    #[error(transparent)]
    Request(#[from] RequestRefusal),
    /// It leads nowhere.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Not by this signer.
    #[error("{signer} is {}; this is for {wanted:?}", .seat.map_or_else(|| "nobody in the pool".to_owned(), |seat| seat.to_string()))]
    Role {
        /// Who signed.
        signer: Address,
        /// What it is in the pool.
        seat: Option<Seat>,
        /// Who may.
        wanted: &'static [Role],
    },
    /// By governance's book.
    #[error(transparent)]
    Governance(#[from] governance::Refusal),
    /// An act that cannot be done.
    #[error(transparent)]
    Act(#[from] ActRefusal),
    /// By the operators' book.
    #[error(transparent)]
    Operators(#[from] operators::Refusal),
    /// By the bonds' book.
    #[error(transparent)]
    Bonds(#[from] bonds::Refusal),
    /// By the chain's book.
    #[error(transparent)]
    Chain(#[from] chain::Refusal),
}

/// Why an act cannot be done, when it is proposed or when it is executed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ActRefusal {
    /// By the operators' book.
    #[error(transparent)]
    Operators(#[from] operators::Refusal),
    /// A policy that forgets somebody.
    #[error("the policy has no operator type {name}, which operator {operator} is of")]
    TypeInUse {
        /// Which.
        name: Label,
        /// Whose.
        operator: OperatorId,
    },
    /// A key that has another part in the pool.
    #[error("{address} is {seat} already; another key is wanted")]
    Taken {
        /// Which.
        address: Address,
        /// What it is.
        seat: Seat,
    },
    /// Nobody's key.
    #[error("the zero address is nobody's key")]
    Zero,
    /// Nothing to resume.
    #[error("deposits are not stopped")]
    NotPaused,
}

/// An event that does not fit: the log is corrupt.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Misfit {
    /// In governance's book.
    #[error(transparent)]
    Governance(#[from] governance::Misfit),
    /// In the operators' book.
    #[error(transparent)]
    Operators(#[from] operators::Misfit),
    /// In the bonds' book.
    #[error(transparent)]
    Bonds(#[from] bonds::Misfit),
}

impl State {
    /// A new pool.
    pub fn founded(charter: Charter) -> Self {
        let governance = governance::State::new(
            charter.governance.clone(),
            charter.guardians.clone(),
            charter.coordinator,
            charter.timelock_s,
        );
        Self {
            pool: charter.pool(),
            nonces: BTreeMap::new(),
            policy: charter.policy.clone(),
            chain: chain::State::default(),
            governance,
            operators: operators::State::default(),
            bonds: bonds::State::default(),
            charter,
        }
    }

    /// The state's hash: the SHA-256 of its canonical bytes. Cost: all of the state is written.
    pub fn root(&self) -> Root {
        canonical::hash(self)
    }

    /// What an address is in the pool, if it is anything.
    pub fn seat(&self, address: Address) -> Option<Seat> {
        self.office(address).or_else(|| self.operators.seat(address))
    }

    /// What an address is, besides what it is to operators.
    fn office(&self, address: Address) -> Option<Seat> {
        let governance = &self.governance;
        let seats = [
            (governance.coordinator == address, Seat::Coordinator),
            (governance.keys.has(address), Seat::Governance),
            (governance.guardians.has(address), Seat::Guardian),
            (self.charter.withdrawal_address == address, Seat::Withdrawal),
            (self.charter.fee_recipient == address, Seat::FeeRecipient),
        ];
        seats.into_iter().find(|(is, _)| *is).map(|(_, seat)| seat)
    }

    /// What a wish leads to. That its signer may wish it is the route's to say.
    pub fn decide(&self, at: u64, signer: Address, command: &Command) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Governance(command) => self.govern(at, signer, command),
            Command::Operators(command) => {
                let events =
                    self.with_operator_facts(at, |facts| self.operators.decide(facts, signer, command))?;
                Ok(events.into_iter().map(Event::Operators).collect())
            }
            Command::Bonds(command) => {
                let events = self.with_bond_facts(|facts| self.bonds.decide(facts, command))?;
                Ok(events.into_iter().map(Event::Bonds).collect())
            }
        }
    }

    /// What a sighting leads to.
    pub fn see(&self, sighting: &Sighting) -> Result<Vec<Event>, Refusal> {
        match sighting {
            Sighting::Finalized(seen) => Ok(self.chain.decide(seen)?.into_iter().map(Event::Chain).collect()),
            Sighting::Bonds(seen) => {
                let events = self.with_bond_facts(|facts| self.bonds.see(facts, seen))?;
                Ok(events.into_iter().map(Event::Bonds).collect())
            }
        }
    }

    fn govern(&self, at: u64, signer: Address, command: &governance::Command) -> Result<Vec<Event>, Refusal> {
        let steps = self.governance.decide(at, signer, command)?;
        let motion = match command {
            governance::Command::Propose(motion) => Some((motion.id(), &motion.act)),
            governance::Command::Execute(id) => {
                self.governance.open.get(id).map(|proposal| (*id, &proposal.motion.act))
            }
            governance::Command::Cancel(_) | governance::Command::PauseDeposits => None,
        };
        let done = |id| steps.contains(&governance::Event::Closed { id, outcome: Outcome::Executed });
        // What cannot be done is not proposed either; and what could be when it was proposed is asked again.
        let effects = match motion {
            Some((id, act)) => Some(self.act(at, act)?).filter(|_| done(id)),
            None => None,
        };
        Ok(steps.into_iter().map(Event::Governance).chain(effects.into_iter().flatten()).collect())
    }

    /// What an act does.
    fn act(&self, at: u64, act: &Act) -> Result<Vec<Event>, ActRefusal> {
        let order = |operator: &OperatorId, order: Order| {
            let events =
                self.with_operator_facts(at, |facts| self.operators.order(facts, *operator, &order))?;
            Ok(events.into_iter().map(Event::Operators).collect())
        };
        let governance = |event| Ok(vec![Event::Governance(event)]);
        match act {
            Act::ChangePolicy(policy) => {
                self.fits(policy)?;
                Ok(vec![Event::PolicyChanged(policy.clone())])
            }
            Act::VetOperator { operator } => order(operator, Order::Vet),
            Act::SetStakeCap { operator, stake } => order(operator, Order::SetStakeCap(*stake)),
            Act::PauseOperator { operator, reason } => order(operator, Order::Pause(reason.clone())),
            Act::UnpauseOperator { operator } => order(operator, Order::Unpause),
            Act::DismissOperator { operator } => order(operator, Order::Dismiss),
            Act::ReplaceManager { operator, manager } => order(operator, Order::ReplaceManager(*manager)),
            Act::CallOff { operator, what } => order(operator, Order::CallOff(*what)),
            Act::RotateGovernance(keys) => {
                self.vacant(keys, Seat::Governance)?;
                governance(governance::Event::GovernanceRotated(keys.clone()))
            }
            Act::RotateGuardians(keys) => {
                self.vacant(keys, Seat::Guardian)?;
                governance(governance::Event::GuardiansRotated(keys.clone()))
            }
            Act::RotateCoordinator { coordinator } => {
                let address = *coordinator;
                if address == Address::ZERO {
                    return Err(ActRefusal::Zero);
                }
                if let Some(seat) = self.seat(address) {
                    return Err(ActRefusal::Taken { address, seat });
                }
                governance(governance::Event::CoordinatorRotated(address))
            }
            Act::ResumeDeposits if self.governance.deposits_paused.is_some() => {
                governance(governance::Event::DepositsResumed)
            }
            Act::ResumeDeposits => Err(ActRefusal::NotPaused),
        }
    }

    /// Whether a policy has the type of everybody who has something in the pool.
    fn fits(&self, policy: &Policy) -> Result<(), ActRefusal> {
        for (id, operator) in &self.operators.operators {
            let name = &operator.application.operator_type;
            let gone = operator.standing == operators::Standing::Left
                && self.bonds.account(*id) == bonds::Account::default();
            if !gone && policy.operator_type(name).is_none() {
                return Err(ActRefusal::TypeInUse { name: name.clone(), operator: *id });
            }
        }
        Ok(())
    }

    /// Whether keys are nothing but what they shall be.
    fn vacant(&self, keys: &Quorum, shall_be: Seat) -> Result<(), ActRefusal> {
        let taken = |address| self.seat(address).filter(|seat| *seat != shall_be).map(|seat| (address, seat));
        match keys.keys().find_map(taken) {
            Some((address, seat)) => Err(ActRefusal::Taken { address, seat }),
            None => Ok(()),
        }
    }

    fn with_operator_facts<R>(&self, at: u64, ask: impl FnOnce(&operators::Facts<'_>) -> R) -> R {
        let bond = |id| self.free_bond(id).unwrap_or(Wei::ZERO);
        ask(&operators::Facts {
            at,
            pool: self.pool,
            chain_id: self.charter.chain_id,
            policy: &self.policy,
            seat: &|address| self.office(address),
            bond: &bond,
            clusters: &|id| self.bonds.account(id).keys.len(),
        })
    }

    fn with_bond_facts<R>(&self, ask: impl FnOnce(&bonds::Facts<'_>) -> R) -> R {
        ask(&bonds::Facts {
            policy: &self.policy,
            finalized: self.chain.finalized.epoch,
            operator: &|id| self.operators.get(id),
        })
    }

    /// What of an operator's bond is free: also what it may claim. Nothing if there is no such operator.
    pub fn free_bond(&self, operator: OperatorId) -> Option<Wei> {
        let name = &self.operators.get(operator)?.application.operator_type;
        let curve = &self.policy.operator_type(name)?.bond;
        self.bonds.account(operator).free(curve, self.chain.finalized.epoch).ok()
    }

    /// Applies an event. Errors: it does not fit; then the state is worth nothing any more.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        match event {
            Event::Accepted { signer, nonce } => drop(self.nonces.insert(*signer, *nonce)),
            Event::PolicyChanged(policy) => self.policy = (**policy).clone(),
            Event::Chain(event) => self.chain.apply(event),
            Event::Governance(event) => self.governance.apply(event)?,
            Event::Operators(event) => self.operators.apply(event)?,
            Event::Bonds(event) => self.bonds.apply(event)?,
        }
        Ok(())
    }
}
