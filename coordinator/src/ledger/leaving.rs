//! Who leaves: what the book of exits is told of validators, clusters and money, and what moves with it.

use super::clusters;
use super::deposits::{self, Alarm, Look, SeenValidator};
use super::exits::{self, SeenExit, Staked, Standing, Why};
use super::operators::OperatorId;
use super::state::{ActRefusal, Event, Refusal, State};
use crate::formulas::allocation::ACTIVATION;
use crate::formulas::exits::{ARRIVAL_EPOCHS_MIN, Candidate, Liquidity, may_exit};
use crate::formulas::wide::{self, WideError};
use alloy_primitives::U256;
use std::collections::{BTreeMap, BTreeSet};
use types::{Address, ClusterId, Epoch, Generation, Gwei, PublicKey, ValidatorIndex, Wei};

impl State {
    /// What a finalized state says of validators: their deposits, and their exits, in one entry.
    pub(super) fn look(&self, at: u64, look: &Look) -> Result<Vec<Event>, Refusal> {
        let mut events = self.place(at, &deposits::Command::Look(look.clone()))?;
        let is_later = self.deposits.looked().is_none_or(|last| last < look.slot);
        if !look.finalized || !is_later {
            return Ok(events);
        }
        let ours = self.credentials();
        let believed: BTreeMap<ValidatorIndex, (&SeenValidator, &deposits::Validator)> = look
            .validators
            .iter()
            .filter_map(|seen| Some((seen.index, (seen, self.deposits.believes(seen, ours)?))))
            .collect();
        let alarm = Alarm::Backwards;
        let mut alarmed: BTreeSet<PublicKey> =
            events.iter().filter_map(|event| alarms(event, alarm)).collect();
        let mut validators = BTreeMap::new();
        for (index, (seen, validator)) in &believed {
            let (Some(exit), Some(withdrawable)) = (seen.exit, seen.withdrawable) else { continue };
            if self.exits.contradicts(*index, exit) {
                let pubkey = seen.pubkey;
                if !validator.alarms.contains(&alarm) && alarmed.insert(pubkey) {
                    events.push(Event::Deposits(Box::new(deposits::Event::Alarmed { pubkey, alarm })));
                }
                continue;
            }
            let (status, slashed) = (seen.status, seen.slashed);
            validators.insert(*index, SeenExit { exit, withdrawable, status, slashed });
        }
        // What is told here for the first time is not in the book yet.
        let known = |index: ValidatorIndex| {
            let (seen, validator) = believed.get(&index)?;
            Some(told(seen.pubkey, validator, seen.activation?, seen.balance))
        };
        let command = exits::Command::Look { epoch: self.network.epoch_of(look.slot), validators };
        let exits = self.with_exit_facts(&known, |facts| exits::decide(&self.exits, facts, at, &command))?;
        events.extend(exits.into_iter().map(|event| Event::Exits(Box::new(event))));
        Ok(events)
    }

    /// What the coordinator has seen of exits, or asks for.
    pub(super) fn see_exit(&self, at: u64, seen: exits::Seen) -> Result<Vec<Event>, Refusal> {
        Ok(self.leave(at, &seen.command())?)
    }

    /// An operator's partial signature of an exit, sent by its manager.
    pub(super) fn sign_exit(
        &self,
        at: u64,
        signer: Address,
        wish: &exits::Wish,
    ) -> Result<Vec<Event>, Refusal> {
        let exits::Wish::Sign { cluster, validator, generation, signature } = *wish;
        let of = self.deposits.by_index(validator).map(|(_, known)| known.cluster);
        if of.is_some_and(|of| of != cluster) {
            return Err(exits::Refusal::OtherCluster { validator, cluster }.into());
        }
        let members = self.clusters.get(cluster).and_then(|cluster| cluster.members.last());
        let size = members.and_then(clusters::Members::size);
        let size = size.ok_or(exits::Refusal::UnknownCluster { cluster })?;
        let operators = members.map_or(&[][..], |members| &members.operators);
        let is_signers = |id: &OperatorId| self.operators.get(*id).is_some_and(|one| one.manager == signer);
        let place = size.indices().zip(operators).find(|(_, id)| is_signers(id));
        let (index, operator) = place.ok_or(exits::Refusal::Stranger { signer, cluster })?;
        let (operator, place) = (*operator, super::incidents::Place(index));
        let command = exits::Command::Partial { operator, place, validator, generation, signature };
        Ok(self.leave(at, &command)?)
    }

    /// Exits that governance asks for.
    pub(super) fn ask_exits(
        &self,
        at: u64,
        validators: &BTreeSet<ValidatorIndex>,
    ) -> Result<Vec<Event>, ActRefusal> {
        let have = validators.len();
        if have == 0 || have > exits::PLAN_MAX {
            return Err(exits::Refusal::Asked { have }.into());
        }
        self.ask_each(at, validators.iter().copied(), Why::Governance)
    }

    /// A cluster gets no more stake, and those of its validators that may exit are asked to, as many as one entry has room
    /// for; the next plan goes on. Cost: all validators.
    pub(super) fn wind_down(&self, at: u64, cluster: ClusterId, why: Why) -> Result<Vec<Event>, ActRefusal> {
        let its = self.deposits.validators().values().filter(|validator| validator.cluster == cluster);
        self.wind_down_with(at, cluster, its, why)
    }

    /// The same, of who knows the cluster's validators, in the order of their keys.
    pub(super) fn wind_down_with<'a>(
        &self,
        at: u64,
        cluster: ClusterId,
        its: impl Iterator<Item = &'a deposits::Validator>,
        why: Why,
    ) -> Result<Vec<Event>, ActRefusal> {
        let stands = self.clusters.wind_down(cluster)?;
        let (preset, finalized) = (self.network.preset, self.chain.finalized.epoch);
        let may = |activation| may_exit(preset, activation, finalized);
        let able = its.filter(|one| one.activation.is_some_and(may));
        let staying = |index: &ValidatorIndex| !self.exits.exits().contains_key(index);
        let staying = able.filter_map(|one| one.index).filter(staying).take(exits::PLAN_MAX);
        let mut events = vec![Event::Clusters(Box::new(stands))];
        events.extend(self.ask_each(at, staying, why)?);
        Ok(events)
    }

    fn ask_each(
        &self,
        at: u64,
        validators: impl Iterator<Item = ValidatorIndex>,
        why: Why,
    ) -> Result<Vec<Event>, ActRefusal> {
        let mut events = Vec::new();
        // Each is there once, so what is asked of one changes nothing for another.
        for validator in validators {
            events.extend(self.leave(at, &exits::Command::Ask { validator, why })?);
        }
        Ok(events)
    }

    fn leave(&self, at: u64, command: &exits::Command) -> Result<Vec<Event>, exits::Refusal> {
        let known = |index| {
            let (pubkey, validator) = self.deposits.by_index(index)?;
            let ours = !validator.is_foreign();
            ours.then_some(told(pubkey, validator, validator.activation?, validator.balance))
        };
        let events = self.with_exit_facts(&known, |facts| exits::decide(&self.exits, facts, at, command))?;
        Ok(events.into_iter().map(|event| Event::Exits(Box::new(event))).collect())
    }

    fn with_exit_facts<R>(
        &self,
        validator: &dyn Fn(ValidatorIndex) -> Option<exits::Validator>,
        ask: impl FnOnce(&exits::Facts<'_>) -> R,
    ) -> R {
        let cluster = |id| {
            let members = self.clusters.get(id)?.members.last()?;
            let (generation, operators) = (Generation(members.generation), members.operators.clone());
            Some(exits::Cluster { size: members.size()?, generation, operators })
        };
        ask(&exits::Facts {
            finalized: self.chain.finalized.epoch,
            spec: &self.network,
            terms: self.policy.terms().exits,
            validator,
            cluster: &cluster,
            whole: &|| self.leavable(),
        })
    }

    /// All that a plan of exits chooses from.
    fn leavable(&self) -> Result<exits::Whole, WideError> {
        let staked = self.deposits.validators().values().filter(|validator| !validator.is_foreign());
        let staked = staked.filter_map(|validator| {
            let (index, activation) = (validator.index?, validator.activation?);
            let candidate = Candidate { index, cluster: validator.cluster, balance: validator.balance };
            Some(Staked { candidate, activation })
        });
        let liquidity = Liquidity {
            queued: self.money.queued()?,
            buffer: self.money.books().buffer,
            predicted_rewards: self.predicted_rewards()?,
            exiting: Wei::ZERO,
        };
        // No policy gives kinds of operators shares of the stake.
        let over_share = BTreeMap::new();
        Ok(exits::Whole { staked: staked.collect(), clusters: self.standings(), over_share, liquidity })
    }

    /// What rewards will bring until an exit that is asked for now could: at the pace of the last two reports. Nothing where
    /// there were not two.
    fn predicted_rewards(&self) -> Result<Wei, WideError> {
        let Some(pace) = self.money.pace() else { return Ok(Wei::ZERO) };
        let (epochs, arrival) = (U256::from(pace.epochs), U256::from(ARRIVAL_EPOCHS_MIN));
        wide::mul_div_floor(pace.gained.0, arrival, epochs).map(Wei)
    }

    /// Where clusters stand among those that are asked for exits.
    ///
    /// A target that the pool enforces is the stake that governance gave an operator; one that it wishes for is the policy's.
    fn standings(&self) -> BTreeMap<ClusterId, Standing> {
        let stakes = self.clusters.stakes();
        let open = || self.clusters.clusters.iter().filter(|(_, one)| one.stage != clusters::Stage::Closed);
        let struck = self.exits.exits().values().filter(|exit| exit.asked.why == Why::Strikes);
        let struck: BTreeSet<ClusterId> = struck.map(|exit| exit.asked.cluster).collect();
        let standing = |(id, cluster): (&ClusterId, &clusters::Cluster)| {
            let own = |operator: &OperatorId| self.operators.get(*operator)?.stake_cap;
            let all = self.policy.terms().operator_caps.stake;
            let over = |cap: &dyn Fn(&OperatorId) -> Option<Gwei>| {
                let over = cluster.operators().iter().map(|operator| {
                    let stake = stakes.get(operator).copied().unwrap_or_default();
                    stake.0.saturating_sub(cap(operator).map_or(u64::MAX, |cap| cap.0))
                });
                validators_of(over.max().unwrap_or_default(), cluster.operators().len())
            };
            let why = if struck.contains(id) { Why::Strikes } else { Why::Governance };
            let standing = Standing {
                kind: cluster.operators().first().map_or(0, |operator| self.kind(*operator)),
                over_forced: over(&own),
                over_soft: over(&|_| Some(all)),
                ends: (cluster.stage == clusters::Stage::Exiting).then_some(why),
            };
            (*id, standing)
        };
        open().map(standing).collect()
    }

    /// The number of an operator's type in the policy's table.
    fn kind(&self, operator: OperatorId) -> u32 {
        let kind = self.operators.get(operator).map(|operator| &operator.application.operator_type);
        let types = &self.policy.terms().operator_types;
        let at = types.iter().position(|known| Some(&known.name) == kind);
        at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
    }
}

/// Whose alarm an event is, if it is such a one.
fn alarms(event: &Event, which: Alarm) -> Option<PublicKey> {
    let Event::Deposits(event) = event else { return None };
    match **event {
        deposits::Event::Alarmed { pubkey, alarm } if alarm == which => Some(pubkey),
        _ => None,
    }
}

/// What the book of exits is told of a validator.
fn told(
    pubkey: PublicKey,
    validator: &deposits::Validator,
    activation: Epoch,
    balance: Gwei,
) -> exits::Validator {
    let (cluster, shares) = (validator.cluster, validator.shares.clone());
    exits::Validator { pubkey, cluster, activation, balance, shares }
}

/// So many validators have an operator's stake in excess: of each of them it has an `n`-th.
fn validators_of(stake: u64, operators: usize) -> u32 {
    let all = u128::from(stake).saturating_mul(operators as u128);
    u32::try_from(all.div_ceil(u128::from(ACTIVATION.0))).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
