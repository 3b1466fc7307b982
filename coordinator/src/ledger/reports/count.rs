//! What the chain's numbers of a frame come to: where each gwei of a balance came from or went.
//!
//! ```text
//! rewards = balance + swept + missed + leaked + penalised - balance before - arrived         of each validator
//! ```
//!
//! Rewards are what is left when everything else is told; told penalties that the balances do not bear out make them
//! negative, and told earnings that they do not bear out make them less than what attestations earned. Both are refused.

use super::State;
use super::command::{DUTIES_MAX, Network, Report, SeenCluster, SeenValidator, VALIDATORS_MAX};
use super::decide::Refusal;
use super::event::Categories;
use crate::formulas::allocation::COMPOUNDING_MAX;
use crate::formulas::rewards::ideal_attestations;
use crate::formulas::slashing::INCREMENT;
use std::collections::{BTreeMap, BTreeSet};
use types::{ClusterId, Gwei, ValidatorIndex};

/// A cluster, or all of them, in the frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// Of validators that have one.
    pub(super) balances: BTreeMap<ValidatorIndex, Gwei>,
    /// Effective balances of those with duties.
    pub(super) staked: Vec<Gwei>,
    pub(super) categories: Categories,
    pub(super) attested: Gwei,
    pub(super) ideal: Gwei,
    pub(super) balance: Gwei,
    pub(super) arrived: Gwei,
    pub(super) swept: Gwei,
}

impl Counted {
    /// Effective balance with duties. All ETH is far below the largest number.
    pub(super) fn stake(&self) -> Gwei {
        Gwei(self.staked.iter().fold(0, |sum, one| sum.saturating_add(one.0)))
    }

    /// Adds up sums; not the lists.
    pub(super) fn add(&mut self, other: &Self) -> Result<(), Refusal> {
        let categories = &mut self.categories;
        for (sum, more) in [
            (&mut categories.rewards, other.categories.rewards),
            (&mut categories.missed, other.categories.missed),
            (&mut categories.leaked, other.categories.leaked),
            (&mut categories.slashed, other.categories.slashed),
            (&mut self.attested, other.attested),
            (&mut self.balance, other.balance),
            (&mut self.arrived, other.arrived),
            (&mut self.swept, other.swept),
        ] {
            *sum = Gwei(sum.0.checked_add(more.0).ok_or(Refusal::TooMuch)?);
        }
        Ok(())
    }
}

/// Counts all clusters. Errors: a validator that is missing, told twice, or whose numbers cannot be.
///
/// - `epochs`: of the frame.
pub(super) fn count(
    state: &State,
    report: &Report,
    epochs: u64,
) -> Result<BTreeMap<ClusterId, Counted>, Refusal> {
    network(&report.network)?;
    let mut told = BTreeSet::new();
    let mut clusters = BTreeMap::new();
    for (cluster, seen) in &report.clusters {
        let before = state.balances.get(cluster);
        if seen.duties.made > seen.duties.due || seen.duties.due > DUTIES_MAX {
            return Err(Refusal::Duties { duties: seen.duties });
        }
        if let Some(index) = seen.validators.keys().find(|index| !told.insert(**index)) {
            return Err(Refusal::Twice { index: *index });
        }
        clusters.insert(*cluster, one(seen, before, epochs, &report.network)?);
    }
    if told.len() > VALIDATORS_MAX {
        return Err(Refusal::Validators { have: told.len() });
    }
    let present = |cluster: &ClusterId, index: &ValidatorIndex| {
        report.clusters.get(cluster).is_some_and(|seen| seen.validators.contains_key(index))
    };
    for (cluster, before) in &state.balances {
        if let Some(index) = before.keys().find(|index| !present(cluster, index)) {
            return Err(Refusal::Missing { cluster: *cluster, index: *index });
        }
    }
    Ok(clusters)
}

fn network(network: &Network) -> Result<(), Refusal> {
    let Network { stake, stake_min, duties } = *network;
    if stake_min > stake || stake_min < INCREMENT {
        return Err(Refusal::Network { stake, stake_min });
    }
    if duties.made > duties.due || duties.due > DUTIES_MAX {
        return Err(Refusal::Duties { duties });
    }
    Ok(())
}

fn one(
    seen: &SeenCluster,
    before: Option<&BTreeMap<ValidatorIndex, Gwei>>,
    epochs: u64,
    network: &Network,
) -> Result<Counted, Refusal> {
    let mut all = Counted::default();
    let mut increments = 0_u64;
    for (index, validator) in &seen.validators {
        let before = before.and_then(|before| before.get(index)).copied().unwrap_or_default();
        possible(*index, validator, epochs, network)?;
        let rewards = rewards(*index, validator, before)?;
        all.add(&Counted {
            categories: Categories {
                rewards,
                missed: validator.missed,
                leaked: validator.leaked,
                slashed: validator.penalised,
            },
            attested: validator.attested,
            balance: validator.balance,
            arrived: validator.arrived,
            swept: validator.swept,
            ..Counted::default()
        })?;
        if validator.balance != Gwei(0) {
            all.balances.insert(*index, validator.balance);
        }
        if has_duties(validator) {
            all.staked.push(validator.effective);
        }
        increments = increments.checked_add(validator.increments).ok_or(Refusal::TooMuch)?;
    }
    all.ideal = ideal_attestations(increments, network.stake_min);
    Ok(all)
}

fn is_slashed(validator: &SeenValidator) -> bool {
    validator.slashed || validator.status.is_slashed()
}

fn has_duties(validator: &SeenValidator) -> bool {
    validator.status.is_active() && !is_slashed(validator)
}

/// Numbers that no chain can say.
fn possible(
    index: ValidatorIndex,
    validator: &SeenValidator,
    epochs: u64,
    network: &Network,
) -> Result<(), Refusal> {
    let effective = validator.effective;
    if effective > COMPOUNDING_MAX || !effective.0.is_multiple_of(INCREMENT.0) {
        return Err(Refusal::Effective { index, effective });
    }
    let most = epochs.saturating_mul(COMPOUNDING_MAX.0 / INCREMENT.0);
    if validator.increments > most {
        return Err(Refusal::Increments { index, have: validator.increments, most });
    }
    let (attested, ideal) = (validator.attested, ideal_attestations(validator.increments, network.stake_min));
    if attested > ideal {
        return Err(Refusal::EarnsTooMuch { index, attested, ideal });
    }
    if validator.penalised != Gwei(0) && !is_slashed(validator) {
        return Err(Refusal::NotSlashed { index, penalised: validator.penalised });
    }
    Ok(())
}

fn rewards(index: ValidatorIndex, validator: &SeenValidator, before: Gwei) -> Result<Gwei, Refusal> {
    let SeenValidator { balance, swept, missed, leaked, penalised, arrived, attested, .. } = *validator;
    let total = |parts: &[Gwei]| parts.iter().map(|part| u128::from(part.0)).sum::<u128>();
    let (is, was) = (total(&[balance, swept, missed, leaked, penalised]), total(&[before, arrived]));
    let rewards = is.checked_sub(was).ok_or(Refusal::Unexplained { index, is, was })?;
    if rewards < u128::from(attested.0) {
        return Err(Refusal::Unearned { index, attested, rewards });
    }
    u64::try_from(rewards).map(Gwei).map_err(|_| Refusal::TooMuch)
}
