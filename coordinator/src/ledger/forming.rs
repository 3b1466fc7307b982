//! How clusters come to be: a call from the state, the seed's answer, the operators', and with the last of them the cluster.

use super::calls::{self, Answer, Chosen, Outline, Wanted};
use super::chain::Finalized;
use super::clusters::{Admission, Cluster, Stage};
use super::operators::{Kind, Operator, OperatorId, Standing};
use super::state::{Event, Refusal, State};
use crate::canonical;
use crate::formation::{
    Call, Candidate, Delegation, PoolStake, Proposal, ProposedCluster, Rules, Seed, Terms, accept,
};
use crate::formulas::wide::GWEI_WEI;
use crate::text::Entity;
use cluster::Definition;
use std::collections::BTreeMap;
use types::{Address, ClusterId, Epoch, Gwei, Millis, Root, Wei};

impl State {
    /// Calls for clusters: everything but what is wanted is of the state. Errors: another call is open; no such call can be
    /// answered.
    pub(super) fn call(&self, at: u64, wanted: &Wanted) -> Result<Vec<Event>, Refusal> {
        self.calls.vacant()?;
        let call = Call::new(self.terms(at, wanted)?).map_err(calls::Refusal::from)?;
        Ok(vec![Event::Calls(Box::new(calls::Event::Called(call)))])
    }

    /// What a call of now says. Errors: numbers that policy and charter do not have.
    fn terms(&self, at: u64, wanted: &Wanted) -> Result<Terms, calls::Refusal> {
        let Wanted { operators, threshold, keys, stake, .. } = *wanted;
        let size = (usize::from(operators), usize::from(threshold));
        if !self.policy.sizes().any(|known| (known.operators(), known.threshold()) == size) {
            return Err(calls::Refusal::Size { operators, threshold });
        }
        let most = self.with_cluster_facts(|facts| facts.stake_max);
        if u128::from(stake.0) > u128::from(most.0) * u128::from(keys) {
            return Err(calls::Refusal::Stake { stake, keys, most });
        }
        Ok(Terms {
            committed_at: self.epoch_at(at).max(self.chain.finalized.epoch),
            seed_epoch: wanted.seed_epoch,
            demand: wanted.clusters,
            rules: self.rules(wanted),
            pool: self.pool_stake(wanted),
            candidates: self.candidates(at, wanted),
        })
    }

    /// The epoch of a time in Unix seconds; the first before there was any.
    pub fn epoch_at(&self, at: u64) -> Epoch {
        let slot = self.network.slot_at(Millis(at.saturating_mul(1000)));
        slot.map_or(Epoch(0), |slot| self.network.epoch_of(slot))
    }

    fn rules(&self, wanted: &Wanted) -> Rules {
        let terms = self.policy.terms();
        let curve = |kind: &super::policy::OperatorType| (kind.name.clone(), (*kind.bond).clone());
        Rules {
            operators: wanted.operators,
            threshold: wanted.threshold,
            keys: wanted.keys,
            stake: wanted.stake,
            leverage_max: terms.leverage_max,
            pools_wanted: terms.saturation.pools_wanted,
            diversity: terms.diversity.clone(),
            intra_operator: wanted.intra_operator,
            delegation: wanted.delegation,
            operator_types: terms.operator_types.iter().map(curve).collect(),
        }
    }

    /// What saturation is measured by: what delegators have, or what clusters may hold with those that are wanted, if that is
    /// more.
    fn pool_stake(&self, wanted: &Wanted) -> PoolStake {
        let pooled: u64 = (self.money.rate().pooled.0 / GWEI_WEI).saturating_to();
        let (mut held, mut entities) = (0_u64, BTreeMap::<Entity, Gwei>::new());
        for cluster in self.open_clusters() {
            held = held.saturating_add(cluster.stake.0);
            for operator in cluster.operators().iter().filter_map(|id| self.operators.get(*id)) {
                let sum = entities.entry(operator.application.entity.clone()).or_default();
                sum.0 = sum.0.saturating_add(cluster.part().0);
            }
        }
        let wanted = wanted.stake.0.saturating_mul(u64::from(wanted.clusters));
        PoolStake { total: Gwei(pooled.max(held.saturating_add(wanted))), entities }
    }

    fn open_clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.clusters.values().filter(|cluster| cluster.stage != Stage::Closed)
    }

    /// Everybody who gets stake, is of a type for such clusters, and is not about to leave.
    fn candidates(&self, at: u64, wanted: &Wanted) -> Vec<Candidate> {
        let public = wanted.delegation == Delegation::Public;
        let fits = |operator: &Operator| {
            let kind = self.policy.operator_type(&operator.application.operator_type);
            kind.is_some_and(|kind| {
                kind.public_delegation == public && kind.intra_operator == wanted.intra_operator
            })
        };
        let stays = |operator: &Operator| {
            operator.standing == Standing::Active
                && !operator.paused()
                && !operator.pending.contains_key(&Kind::Leave)
        };
        let all = self.operators.operators.iter();
        let may = all.filter(|(id, operator)| {
            stays(operator) && fits(operator) && !self.exits.is_delinquent(**id, at)
        });
        may.map(|(id, operator)| self.candidate(*id, operator)).collect()
    }

    fn candidate(&self, id: OperatorId, operator: &Operator) -> Candidate {
        let account = self.bonds.account(id);
        let setup = &operator.application.setup;
        let its = self.open_clusters().filter(|cluster| cluster.operators().contains(&id));
        let controlled = its.fold(0_u64, |sum, cluster| {
            let threshold = cluster.members.last().map_or(1, |members| members.threshold.max(1));
            sum.saturating_add(cluster.stake.0.div_ceil(u64::from(threshold)))
        });
        Candidate {
            operator: id,
            entity: operator.application.entity.clone(),
            country: setup.country.clone(),
            hosting_as: setup.hosting_as,
            execution_client: setup.execution_client.clone(),
            consensus_client: setup.consensus_client.clone(),
            validator_client: setup.validator_client.clone(),
            operator_type: operator.application.operator_type.clone(),
            clusters_now: u32::try_from(account.keys.len()).unwrap_or(u32::MAX),
            clusters_max: self.policy.terms().operator_caps.clusters,
            keys_now: account.key_count(),
            stake_now: self.clusters.stake_of(id),
            stake_cap: self.with_cluster_facts(|facts| facts.stake_cap(operator)),
            controlled_now: Gwei(controlled),
            bond_free: self.free_bond(id).unwrap_or(Wei::ZERO),
            bond: account.bond,
        }
    }

    /// The seed of the open call: what it comes to, and its clusters' operators are asked. Errors: there is no call; the seed
    /// is of another epoch, or a block can still change it.
    pub(super) fn seed(&self, at: u64, seed: Seed) -> Result<Vec<Event>, Refusal> {
        let call = self.calls.open.as_ref().ok_or(calls::Refusal::NotCalled)?;
        let Finalized { epoch: finalized, .. } = self.chain.finalized;
        if seed.epoch >= finalized {
            return Err(calls::Refusal::NotFixed { seed: seed.epoch, finalized }.into());
        }
        let proposal = Proposal::form(call, seed).map_err(calls::Refusal::from)?;
        let (rules, name) = (&call.terms().rules, proposal.hash());
        let ask =
            |(place, cluster): (u32, &ProposedCluster)| self.ask(at, name, place, &cluster.operators, rules);
        let asked: Vec<_> = (0..).zip(&proposal.clusters).map(ask).collect::<Result<_, _>>()?;
        let events = std::iter::once(calls::Event::Proposed(proposal)).chain(asked);
        Ok(events.map(|event| Event::Calls(Box::new(event))).collect())
    }

    /// Governance has chosen a cluster: it keeps to every rule, and its operators are asked. Errors: one of them is no
    /// candidate; the first rule that is broken.
    pub(super) fn choose(&self, at: u64, chosen: &Chosen) -> Result<Vec<Event>, calls::Refusal> {
        let Chosen { operators, threshold, keys, stake } = chosen;
        let kind = operators.first().and_then(|id| self.operators.get(*id));
        let kind = kind.and_then(|one| self.policy.operator_type(&one.application.operator_type));
        let public = kind.is_none_or(|kind| kind.public_delegation);
        let wanted = Wanted {
            clusters: 1,
            operators: u8::try_from(operators.len()).unwrap_or(u8::MAX),
            threshold: *threshold,
            keys: *keys,
            stake: *stake,
            // Nothing is drawn, so any epoch does.
            seed_epoch: Epoch(self.epoch_at(at).max(self.chain.finalized.epoch).0.saturating_add(1)),
            intra_operator: kind.is_some_and(|kind| kind.intra_operator),
            delegation: if public { Delegation::Public } else { Delegation::Private },
        };
        let mut terms = self.terms(at, &wanted)?;
        let may = |id: &&OperatorId| terms.candidates.iter().any(|one| one.operator == **id);
        if let Some(id) = operators.iter().find(|id| !may(id)) {
            return Err(calls::Refusal::NoCandidate(*id));
        }
        terms.candidates.retain(|one| operators.contains(&one.operator));
        let call = Call::new(terms)?;
        let kept = ProposedCluster::by_hand(&call, operators);
        kept.map_err(|check| calls::Refusal::Rule(Box::new(check)))?;
        let asked = self.ask(at, canonical::hash(&(chosen, at)), 0, operators, &call.terms().rules)?;
        Ok(vec![Event::Calls(Box::new(asked))])
    }

    /// Asks a cluster's operators.
    fn ask(
        &self,
        at: u64,
        proposal: Root,
        place: u32,
        operators: &[Address],
        rules: &Rules,
    ) -> Result<calls::Event, calls::Refusal> {
        let outline = self.outline(at, proposal, place, operators, rules);
        let definition = outline.definition(&self.charter)?.definition_hash();
        let deadline = at.saturating_add(self.policy.terms().formation.answer_s);
        let operators = operators.to_vec();
        let proposed = accept::Proposed { definition, proposal, cluster: place, operators, deadline };
        let propose = accept::Command::Propose(proposed.clone());
        accept::decide(&self.calls.answers, at, &propose)?;
        Ok(calls::Event::Asked { proposed, outline })
    }

    fn outline(&self, at: u64, proposal: Root, place: u32, operators: &[Address], rules: &Rules) -> Outline {
        let node = |id: &Address| {
            let operator =
                self.operators.get(*id).expect("candidates are operators, and none is ever removed");
            calls::Member { operator: *id, node: operator.application.enr.clone() }
        };
        Outline {
            proposal,
            place,
            at,
            members: operators.iter().map(node).collect(),
            threshold: rules.threshold,
            keys: rules.keys,
            stake: rules.stake,
            deposit: self.policy.terms().deposit,
        }
    }

    /// What an operator, or a deadline, says of a cluster that is asked for. The last that accepts makes it one, if its
    /// operators still may. Errors: nothing is owed there; the cluster cannot be any more.
    pub(super) fn answer(
        &self,
        at: u64,
        signer: Address,
        cluster: ClusterId,
        answer: Answer,
    ) -> Result<Vec<Event>, Refusal> {
        let operator = self.asked(cluster, signer).unwrap_or(signer);
        let command = match answer {
            Answer::Accept => accept::Command::Accept { definition: cluster, operator },
            Answer::Decline => accept::Command::Decline { definition: cluster, operator },
            Answer::Lapse => accept::Command::Lapse { definition: cluster },
        };
        let steps = accept::decide(&self.calls.answers, at, &command).map_err(calls::Refusal::from)?;
        let formed = steps.iter().any(|step| matches!(step, accept::Event::Formed { .. }));
        let outline = self.calls.outlines.get(&cluster).filter(|_| formed);
        let mut events: Vec<_> =
            steps.into_iter().map(|step| Event::Calls(Box::new(calls::Event::Answered(step)))).collect();
        if let Some(outline) = outline {
            let Outline { threshold, keys, stake, .. } = *outline;
            let admission = Admission { cluster, operators: outline.operators(), threshold, keys, stake };
            events.extend(self.admit(&admission)?);
        }
        Ok(events)
    }

    /// The operator of a cluster that is asked for which somebody speaks for.
    pub(super) fn asked(&self, cluster: ClusterId, manager: Address) -> Option<OperatorId> {
        let asked = self.calls.answers.clusters.get(&cluster)?;
        let mut operators = asked.proposed.operators.iter();
        let speaks =
            |id: &&OperatorId| self.operators.get(**id).is_some_and(|operator| operator.manager == manager);
        operators.find(speaks).copied()
    }

    /// The definition of a cluster that is asked for, or was formed by a call. Nothing for others, and for those that have
    /// fallen. Cost: some hashes for every validator.
    pub fn definition(&self, cluster: ClusterId) -> Option<Definition> {
        self.calls.outlines.get(&cluster)?.definition(&self.charter).ok()
    }
}

#[cfg(test)]
mod tests;
