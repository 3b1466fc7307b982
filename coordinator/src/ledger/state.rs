//! The state: all books together. What is decided here changes nothing; what is applied here was decided.
//!
//! A further book is one field of [`State`], one variant of [`Command`] or [`Sighting`], of [`Event`], of [`Refusal`] and
//! of [`Misfit`], and its routes.

use super::chain::Reference;
use super::charter::Charter;
use super::facts::DepositRulesError;
use super::governance::{self, Act, Outcome};
use super::operators::{self, OperatorId, Order};
use super::policy::Policy;
use super::quorum::Quorum;
use super::report::OtherBalance;
use super::routes::{Role, RouteError};
use super::seat::Seat;
use super::{bonds, calls, ceremonies, chain, clusters, deposits, exits, incidents, pool, reports};
use crate::canonical;
use crate::formation::Seed;
use crate::formulas::wide::WideError;
use crate::request::{Nonce, RequestRefusal};
use crate::text::Label;
use cluster::Lock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::spec::{ForkEpoch, SpecError};
use types::{Address, ChainSpec, ClusterId, Epoch, Gwei, Root, Slot};

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
    /// The network, with the forks that came to be known.
    pub network: ChainSpec,
    /// How far the chain is.
    pub chain: chain::State,
    /// Who governs, and what is proposed.
    pub governance: governance::State,
    /// Operators.
    pub operators: operators::State,
    /// Their bonds.
    pub bonds: bonds::State,
    /// Calls for clusters.
    pub calls: calls::State,
    /// Clusters.
    pub clusters: clusters::State,
    /// Their locks.
    pub ceremonies: ceremonies::State,
    /// Whose the ETH is, and where it lies.
    pub money: pool::State,
    /// Validators, and the deposits that go to them.
    pub deposits: deposits::State,
    /// Validators that exit.
    pub exits: exits::State,
    /// What went wrong, and who pays.
    pub incidents: incidents::State,
    /// What frames of the chain brought, and whose it is.
    pub reports: reports::State,
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
    /// About the signer's shares.
    Shares(pool::Wish),
    /// About validators.
    Deposits(deposits::Wish),
    /// To say whether a cluster shall be.
    Answer(ClusterId, calls::Answer),
    /// About validators that exit.
    Exits(exits::Wish),
    /// About what went wrong.
    Incidents(incidents::Wish),
    /// To have a cluster's keys registered, as its lock has them.
    Deliver(ClusterId, Box<Lock>),
    /// To have these keys registered, if all operators of the cluster say so.
    Offer(ClusterId, Vec<deposits::KeyOffer>),
    /// That a cluster which exits is over.
    CloseCluster(ClusterId),
    /// What the signer's operator saw of the others of a cluster.
    Say(ClusterId, reports::Statement),
    /// What the signer has earned and not taken, in shares.
    ClaimRewards,
}

/// What the coordinator has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// The chain is further.
    Finalized(chain::Finalized),
    /// How much stake the chain has.
    Stake(chain::Stake),
    /// The pool's contracts were listened to.
    Executed(chain::Executed),
    /// Bond moved.
    Bonds(bonds::Sighting),
    /// The pool's ETH moved.
    Money(pool::Seen),
    /// Deposits.
    Deposits(deposits::Seen),
    /// Validators.
    Look(Box<deposits::ObservedLook>),
    /// Validators that exit.
    Exits(exits::Seen),
    /// Something went wrong.
    Incidents(incidents::Seen),
    /// It is time for a report.
    Report(Box<reports::Report>),
    /// Clusters are wanted.
    Call(calls::Wanted),
    /// The seed that a call waits for.
    Seed(Seed),
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
    /// Calls for clusters.
    Calls(Box<calls::Event>),
    /// Clusters.
    Clusters(Box<clusters::Event>),
    /// Locks, and keys by hand.
    Ceremonies(ceremonies::Event),
    /// The pool's ETH, and shares.
    Money(Box<pool::Event>),
    /// Validators, and deposits.
    Deposits(Box<deposits::Event>),
    /// Exits.
    Exits(Box<exits::Event>),
    /// Incidents.
    Incidents(Box<incidents::Event>),
    /// Reports.
    Reports(Box<reports::Event>),
    /// A fork came to be known.
    ForkAdded(ForkEpoch),
    /// Of many sightings, one that was refused and changed nothing.
    PassedOver {
        /// Which of them, from 0.
        item: u32,
    },
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
    /// By the book of money.
    #[error(transparent)]
    Money(#[from] pool::Refusal),
    /// By the deposits' book.
    #[error(transparent)]
    Deposits(Box<deposits::Refusal>),
    /// By the clusters' book.
    #[error(transparent)]
    Clusters(#[from] clusters::Refusal),
    /// By the book of calls.
    #[error(transparent)]
    Calls(Box<calls::Refusal>),
    /// By the book of ceremonies.
    #[error(transparent)]
    Ceremonies(Box<ceremonies::Refusal>),
    /// By the book of exits.
    #[error(transparent)]
    Exits(#[from] exits::Refusal),
    /// By the book of incidents.
    #[error(transparent)]
    Incidents(#[from] incidents::Refusal),
    /// By the book of reports.
    #[error(transparent)]
    Reports(Box<reports::Refusal>),
    /// There are no rules for deposits.
    #[error(transparent)]
    DepositRules(#[from] DepositRulesError),
    /// Counted in another book.
    #[error("log {} of transaction {} was counted in another book", .0.index, .0.hash)]
    CountedElsewhere(Reference),
    /// How much the pool may take in is a part of what nobody has seen.
    #[error("the chain's stake was not seen yet, so there is no limit on what the pool takes in")]
    StakeUnknown,
    /// A report of a time that has not come.
    #[error("a report of {report}, it is {at}")]
    ReportOfTomorrow {
        /// Unix seconds of the report's state.
        report: u64,
        /// Unix seconds now.
        at: u64,
    },
    /// A report that tells of a validator what the look at the same state does not.
    #[error(transparent)]
    OtherBalance(Box<OtherBalance>),
    /// Other deposits than those that are no longer on their way.
    #[error(
        "deposits of {told} gwei arrived or are lost in the report, {looked} in the state that was looked at"
    )]
    OtherArrivals {
        /// The report's.
        told: Gwei,
        /// Those of the book of deposits.
        looked: Gwei,
    },
    /// A report of another state than the validators' balances are of.
    #[error("a report of slot {report}; the finalized state that was looked at last is of {looked:?}")]
    NotLookedAt {
        /// The report's.
        report: Slot,
        /// The last that was looked at.
        looked: Option<Slot>,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

impl From<deposits::Refusal> for Refusal {
    fn from(refusal: deposits::Refusal) -> Self {
        Self::Deposits(Box::new(refusal))
    }
}

impl From<calls::Refusal> for Refusal {
    fn from(refusal: calls::Refusal) -> Self {
        Self::Calls(Box::new(refusal))
    }
}

impl From<ceremonies::Refusal> for Refusal {
    fn from(refusal: ceremonies::Refusal) -> Self {
        Self::Ceremonies(Box::new(refusal))
    }
}

impl From<reports::Refusal> for Refusal {
    fn from(refusal: reports::Refusal) -> Self {
        Self::Reports(Box::new(refusal))
    }
}

impl From<calls::Refusal> for ActRefusal {
    fn from(refusal: calls::Refusal) -> Self {
        Self::Calls(Box::new(refusal))
    }
}

/// Why an act cannot be done, when it is proposed or when it is executed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ActRefusal {
    /// By the operators' book.
    #[error(transparent)]
    Operators(#[from] operators::Refusal),
    /// By the bonds' book.
    #[error(transparent)]
    Bonds(#[from] bonds::Refusal),
    /// By the book of calls.
    #[error(transparent)]
    Calls(Box<calls::Refusal>),
    /// By the clusters' book.
    #[error(transparent)]
    Clusters(#[from] clusters::Refusal),
    /// By the deposits' book.
    #[error(transparent)]
    Deposits(#[from] deposits::Refusal),
    /// There are no rules for deposits.
    #[error(transparent)]
    DepositRules(#[from] DepositRulesError),
    /// By the book of exits.
    #[error(transparent)]
    Exits(#[from] exits::Refusal),
    /// By the book of incidents.
    #[error(transparent)]
    Incidents(#[from] incidents::Refusal),
    /// A policy under which whoever objects is heard when somebody has paid.
    #[error(
        "objections within {objection_s} s, and what governance decides takes {timelock_s} s to have an effect"
    )]
    Objection {
        /// The policy's time.
        objection_s: u64,
        /// The timelock.
        timelock_s: u64,
    },
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
    /// A fork that cannot follow, or comes when the chain is past it.
    #[error(transparent)]
    Fork(#[from] SpecError),
    /// A fork of an epoch that is final: what was signed since is not signed under it.
    #[error("a fork at epoch {epoch}, which is finalized")]
    PastFork {
        /// The fork's.
        epoch: Epoch,
    },
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
    /// In the book of money.
    #[error(transparent)]
    Money(#[from] pool::Corrupt),
    /// In the deposits' book.
    #[error(transparent)]
    Deposits(#[from] deposits::Corrupt),
    /// In the clusters' book.
    #[error(transparent)]
    Clusters(#[from] clusters::Misfit),
    /// In the book of calls.
    #[error(transparent)]
    Calls(#[from] calls::Misfit),
    /// In the book of ceremonies.
    #[error(transparent)]
    Ceremonies(#[from] ceremonies::Misfit),
    /// In the book of exits.
    #[error(transparent)]
    Exits(#[from] exits::Corrupt),
    /// In the book of incidents.
    #[error(transparent)]
    Incidents(#[from] incidents::Corrupt),
    /// In the book of reports.
    #[error(transparent)]
    Reports(#[from] reports::Corrupt),
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
            network: charter.network.clone(),
            chain: chain::State::default(),
            governance,
            operators: operators::State::default(),
            bonds: bonds::State::default(),
            calls: calls::State::default(),
            clusters: clusters::State::default(),
            ceremonies: ceremonies::State::default(),
            money: pool::State::default(),
            deposits: deposits::State::default(),
            exits: exits::State::default(),
            incidents: incidents::State::default(),
            reports: reports::State::default(),
            charter,
        }
    }

    /// The state's hash: the SHA-256 of its canonical bytes. Cost: all of the state is written.
    pub fn root(&self) -> Root {
        self.root_and_len().0
    }

    /// The same, and how many bytes they are.
    pub fn root_and_len(&self) -> (Root, u64) {
        canonical::hash_and_len(self)
    }

    /// The canonical bytes of one book, by its name. Nothing: there is none.
    pub fn book(&self, name: &str) -> Option<Vec<u8>> {
        Some(match name {
            "charter" => canonical::bytes(&self.charter),
            "pool" => canonical::bytes(&self.pool),
            "nonces" => canonical::bytes(&self.nonces),
            "policy" => canonical::bytes(&self.policy),
            "network" => canonical::bytes(&self.network),
            "chain" => canonical::bytes(&self.chain),
            "governance" => canonical::bytes(&self.governance),
            "operators" => canonical::bytes(&self.operators),
            "bonds" => canonical::bytes(&self.bonds),
            "calls" => canonical::bytes(&self.calls),
            "clusters" => canonical::bytes(&self.clusters),
            "ceremonies" => canonical::bytes(&self.ceremonies),
            "money" => canonical::bytes(&self.money),
            "deposits" => canonical::bytes(&self.deposits),
            "exits" => canonical::bytes(&self.exits),
            "incidents" => canonical::bytes(&self.incidents),
            "reports" => canonical::bytes(&self.reports),
            _ => return None,
        })
    }

    /// What an address is in the pool, if it is anything.
    pub fn seat(&self, address: Address) -> Option<Seat> {
        self.office(address).or_else(|| self.operators.seat(address))
    }

    /// What an address is, besides what it is to operators.
    pub(super) fn office(&self, address: Address) -> Option<Seat> {
        let governance = &self.governance;
        let seats = [
            (governance.coordinator == address, Seat::Coordinator),
            (governance.keys.has(address), Seat::Governance),
            (governance.guardians.has(address), Seat::Guardian),
            (self.charter.withdrawal_address == address, Seat::Withdrawal),
            (self.charter.fee_recipient == address, Seat::FeeRecipient),
            (self.charter.treasury == address, Seat::Treasury),
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
            Command::Shares(wish) => self.spend(at, wish.of(signer)),
            Command::Deposits(wish) => self.place(at, &wish.of(signer)),
            Command::Answer(cluster, answer) => self.answer(at, signer, *cluster, *answer),
            Command::Exits(wish) => self.sign_exit(at, signer, wish),
            Command::Incidents(wish) => self.about_incident(at, wish),
            Command::Deliver(cluster, lock) => self.deliver(at, *cluster, lock),
            Command::Offer(cluster, keys) => self.offer(at, signer, *cluster, keys),
            Command::CloseCluster(cluster) => self.close_cluster(*cluster),
            Command::Say(cluster, statement) => self.say(signer, *cluster, statement),
            Command::ClaimRewards => self.claim_rewards(at, signer),
        }
    }

    /// What a sighting leads to, at a time in Unix seconds.
    pub fn see(&self, at: u64, sighting: &Sighting) -> Result<Vec<Event>, Refusal> {
        match sighting {
            Sighting::Finalized(seen) => {
                let events = self.chain.decide(self.epoch_at(at), seen)?;
                Ok(events.into_iter().map(Event::Chain).collect())
            }
            Sighting::Stake(seen) => Ok(self.chain.weigh(seen)?.into_iter().map(Event::Chain).collect()),
            Sighting::Executed(seen) => Ok(self.chain.heard(seen)?.into_iter().map(Event::Chain).collect()),
            Sighting::Money(seen) => self.see_money(at, *seen),
            Sighting::Look(look) => self.look(at, &self.deposits.looked_at(look)?),
            Sighting::Deposits(seen) => self.place(at, &seen.command()),
            Sighting::Report(seen) => self.report(at, seen),
            Sighting::Call(wanted) => self.call(at, wanted),
            Sighting::Seed(seed) => self.seed(at, *seed),
            Sighting::Exits(seen) => self.see_exit(at, *seen),
            Sighting::Incidents(seen) => self.see_incident(at, seen),
            Sighting::Bonds(seen) => {
                let reference = seen.reference();
                if self.money.counted(reference) {
                    return Err(Refusal::CountedElsewhere(reference));
                }
                self.see_bond(at, seen)
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
            Act::AddFork(fork) => {
                if fork.epoch <= self.chain.finalized.epoch {
                    return Err(ActRefusal::PastFork { epoch: fork.epoch });
                }
                let mut network = self.network.clone();
                network.forks.push(*fork);
                network.validate()?;
                Ok(vec![Event::ForkAdded(*fork)])
            }
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
            Act::ChooseCluster(chosen) => Ok(self.choose(at, chosen)?),
            Act::WindDownCluster { cluster } => self.wind_down(at, *cluster, exits::Why::Governance),
            Act::ExitValidator { validators } => self.ask_exits(at, validators),
            Act::DismissIncident { incident, reason } => self.dismiss(at, *incident, reason),
            Act::ReleaseValidator { pubkey } => {
                self.look_after(at, &deposits::Command::Release { pubkey: *pubkey })
            }
            Act::CompensateValidator { pubkey } => {
                self.look_after(at, &deposits::Command::Compensate { pubkey: *pubkey })
            }
            Act::ResumeDeposits if self.governance.deposits_paused.is_some() => {
                governance(governance::Event::DepositsResumed)
            }
            Act::ResumeDeposits => Err(ActRefusal::NotPaused),
        }
    }

    /// Whether a policy has the type of everybody who has something in the pool, and leaves governance time to object.
    fn fits(&self, policy: &Policy) -> Result<(), ActRefusal> {
        let (objection_s, timelock_s) = (policy.terms().losses.objection_s, self.governance.timelock_s);
        if objection_s <= timelock_s {
            return Err(ActRefusal::Objection { objection_s, timelock_s });
        }
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

    /// Applies an event. Errors: it does not fit; then the state is worth nothing any more.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        match event {
            Event::Accepted { signer, nonce } => drop(self.nonces.insert(*signer, *nonce)),
            Event::PolicyChanged(policy) => self.policy = (**policy).clone(),
            Event::Chain(event) => self.chain.apply(event),
            Event::Governance(event) => self.governance.apply(event)?,
            Event::Operators(event) => self.operators.apply(event)?,
            Event::Bonds(event) => self.bonds.apply(event)?,
            Event::Calls(event) => self.calls.apply(event)?,
            Event::Clusters(event) => self.clusters.apply(event)?,
            Event::Ceremonies(event) => self.ceremonies.apply(event)?,
            Event::Money(event) => pool::apply(&mut self.money, event)?,
            Event::Deposits(event) => deposits::apply(&mut self.deposits, event)?,
            Event::Exits(event) => exits::apply(&mut self.exits, event)?,
            Event::Incidents(event) => incidents::apply(&mut self.incidents, event)?,
            Event::Reports(event) => reports::apply(&mut self.reports, event)?,
            Event::ForkAdded(fork) => self.network.forks.push(*fork),
            Event::PassedOver { .. } => {}
        }
        Ok(())
    }
}
