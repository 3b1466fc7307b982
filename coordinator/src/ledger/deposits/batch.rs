//! Which deposits are sent next, who approved them, and what exactly is sent.
//!
//! ```text
//! free = what the pool's book has free
//! 1. rest:     of proven validators, in the order of registration, while it is free
//! 2. top-ups:  0x02 only; free less what begun validators still get; least staked cluster first, to 2048 ETH
//! 3. new keys: as many as the remainder pays both deposits for; least filled cluster first
//! ```

use super::command::{Limit, Rules};
use super::keys::Charter;
use super::stage::Stage;
use super::{Signed, State, Validator, total};
use crate::formulas::allocation::{self, Bucket, Credentials, Target};
use crate::formulas::wide::{self, GWEI_WEI};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::operators::ClusterId;
use types::{Address, Gwei, PublicKey, Root, Signature, ValidatorIndex};

/// The most deposits of one batch: about what one block has room for.
pub const ITEMS_MAX: usize = 128;

/// What a deposit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To make the validator.
    Predeposit,
    /// To activate it.
    Rest,
    /// To add to one that compounds. The chain does not look at the signature, which is all zeros.
    TopUp,
}

/// A deposit of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// For which key.
    pub pubkey: PublicKey,
    /// What for.
    pub purpose: Purpose,
    /// How much.
    pub amount: Gwei,
    /// The key's, over the deposit.
    pub signature: Signature,
    /// The root of its data.
    pub data_root: Root,
    /// Whether it was seen sent.
    pub sent: bool,
}

/// Deposits that are approved together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The deposits.
    pub items: Vec<Item>,
    /// Guardians, and the root of the deposit contract that each checked against, the last one if there were more.
    pub approvals: BTreeMap<Address, Root>,
}

impl Batch {
    /// What guardians sign: SHA-256 over the roots of all its deposits' data, in order.
    pub fn keys_hash(&self) -> Root {
        let mut hash = Sha256::new();
        self.items.iter().for_each(|item| hash.update(item.data_root.0));
        Root(hash.finalize().into())
    }

    /// What of it was not seen sent.
    pub fn unsent(&self) -> Gwei {
        total(self.items.iter().filter(|item| !item.sent).map(|item| item.amount))
    }

    /// How many of the guardians approved it at a root.
    pub fn approved(&self, guardians: &BTreeSet<Address>, deposit_root: Root) -> usize {
        let at =
            |(guardian, root): &(&Address, &Root)| **root == deposit_root && guardians.contains(*guardian);
        self.approvals.iter().filter(at).count()
    }
}

/// One call of the deposit contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calldata {
    /// `pubkey`.
    pub pubkey: PublicKey,
    /// `withdrawal_credentials`.
    pub withdrawal_credentials: Root,
    /// `signature`.
    pub signature: Signature,
    /// The call's value.
    pub amount: Gwei,
    /// `deposit_data_root`.
    pub deposit_data_root: Root,
}

/// Why a batch is not sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotSendable {
    /// No such batch, or all of it is sent, or it is given up.
    #[error("there is no batch {batch} to be sent")]
    NoBatch {
        /// Which.
        batch: u64,
    },
    /// Deposits are stopped, whoever stopped them.
    #[error("deposits are stopped")]
    Stopped,
    /// Too few guardians approved it as it is.
    #[error("{have} guardians approved it at this root, {need} must")]
    TooFew {
        /// Have.
        have: usize,
        /// Must.
        need: usize,
    },
    /// A validator of it is held, or is not any more where its deposit would be right.
    #[error("{pubkey} gets no deposit now: it is {stage:?}")]
    Held {
        /// Which.
        pubkey: PublicKey,
        /// How far it is.
        stage: Stage,
    },
}

/// What exactly is sent for a batch: what of it was not seen sent yet.
///
/// - `deposit_root`: the deposit contract's now. With any deposit since the guardians looked it is another, and they look
///   again; so a deposit that came between their look and the sending is seen.
/// - Errors: stopped; too few approvals; a validator that is held.
pub fn calldata(
    state: &State,
    rules: &Rules<'_>,
    batch: u64,
    deposit_root: Root,
) -> Result<Vec<Calldata>, NotSendable> {
    let found = state.batches.get(&batch).ok_or(NotSendable::NoBatch { batch })?;
    if rules.stopped {
        return Err(NotSendable::Stopped);
    }
    // Without guardians nothing is sent: nobody would have looked.
    let (have, need) = (found.approved(rules.guardians, deposit_root), rules.guardians_needed.max(1));
    if have < need {
        return Err(NotSendable::TooFew { have, need });
    }
    let unsent = found.items.iter().filter(|item| !item.sent);
    let call = |item: &Item| {
        let stage = state.validators.get(&item.pubkey).map_or(Stage::Foreign, |validator| validator.stage);
        if !state.validators.get(&item.pubkey).is_some_and(|validator| fits(item, validator)) {
            return Err(NotSendable::Held { pubkey: item.pubkey, stage });
        }
        Ok(Calldata {
            pubkey: item.pubkey,
            withdrawal_credentials: rules.charter.credentials(),
            signature: item.signature,
            amount: item.amount,
            deposit_data_root: item.data_root,
        })
    };
    unsent.map(call).collect()
}

/// Whether a deposit is still right for its validator.
fn fits(item: &Item, validator: &Validator) -> bool {
    let stage = match item.purpose {
        Purpose::Predeposit => Stage::PredepositPlanned,
        Purpose::Rest => Stage::RestPlanned,
        Purpose::TopUp => Stage::Active,
    };
    validator.stage == stage && !validator.is_held()
}

/// Whether the rest of a validator is still to be planned, after a deposit that is planned or sent.
pub(super) fn has_begun(validator: &Validator) -> bool {
    match validator.stage {
        Stage::PredepositPlanned | Stage::Predeposited | Stage::Proven => true,
        Stage::Ready
        | Stage::RestPlanned
        | Stage::RestDeposited
        | Stage::Active
        | Stage::Exiting
        | Stage::Exited
        | Stage::Withdrawn
        | Stage::Slashed
        | Stage::Foreign
        | Stage::Compensated => false,
    }
}

/// The next batch's deposits; none if there is nothing to send. The order in which keys were registered decides ties.
pub(super) fn plan(state: &State, rules: &Rules<'_>) -> Vec<Item> {
    let mut free = Gwei((rules.depositable.0 / GWEI_WEI).saturating_to());
    let mut ordered: Vec<(&PublicKey, &Validator)> = state.validators.iter().collect();
    ordered.sort_by_key(|(_, validator)| validator.no);
    let mut items = rests(&ordered, rules, &mut free);
    // What is planned now is no longer to come, and what is to come is not free.
    let planned = total(items.iter().map(|item| item.amount));
    let to_come = state.committed().0.saturating_sub(planned.0);
    let mut free = Gwei(free.0.saturating_sub(to_come));
    if rules.charter.kind() == Credentials::Compounding {
        items.extend(top_ups(state, &ordered, rules, &mut free));
    }
    items.extend(new_keys(state, &ordered, rules, free));
    items.truncate(ITEMS_MAX);
    items
}

fn item(charter: &Charter, pubkey: PublicKey, purpose: Purpose, amount: Gwei, signature: Signature) -> Item {
    let data_root = charter.deposit(pubkey, amount, signature).data_root();
    Item { pubkey, purpose, amount, signature, data_root, sent: false }
}

/// Takes an amount if it is there.
fn take(free: &mut Gwei, amount: Gwei) -> bool {
    let left = free.0.checked_sub(amount.0);
    *free = Gwei(left.unwrap_or(free.0));
    left.is_some()
}

fn rests(ordered: &[(&PublicKey, &Validator)], rules: &Rules<'_>, free: &mut Gwei) -> Vec<Item> {
    let proven = ordered.iter().filter(|(_, validator)| {
        validator.stage == Stage::Proven
            && !validator.is_held()
            && rules.clusters.contains_key(&validator.cluster)
    });
    let affordable = proven.take_while(|(_, validator)| take(free, validator.rest.amount));
    affordable
        .map(|(key, validator)| {
            item(&rules.charter, **key, Purpose::Rest, validator.rest.amount, validator.rest.signature)
        })
        .collect()
}

/// What a validator has, or will have with what is planned, on its way and to come.
fn expected(state: &State, pubkey: &PublicKey, validator: &Validator) -> Gwei {
    let batch = validator.planned.and_then(|batch| state.batches.get(&batch));
    let planned =
        batch.and_then(|batch| batch.items.iter().find(|item| item.pubkey == *pubkey && !item.sent));
    let planned = planned.map_or(Gwei(0), |item| item.amount);
    let to_come = if has_begun(validator) { validator.rest.amount } else { Gwei(0) };
    total([validator.balance, validator.in_flight(), planned, to_come])
}

/// Stake and number of each cluster's validators, with what is planned and on its way.
fn staked(state: &State) -> BTreeMap<ClusterId, (Gwei, u64)> {
    let mut clusters: BTreeMap<ClusterId, (Gwei, u64)> = BTreeMap::new();
    for (key, validator) in state.validators.iter().filter(|(_, validator)| validator.stage.is_staked()) {
        let (stake, number) = clusters.entry(validator.cluster).or_default();
        (*stake, *number) = (total([*stake, expected(state, key, validator)]), *number + 1);
    }
    clusters
}

/// Fills up validators that compound. One that is not active yet is counted with what it will take, and not sent to: what
/// it takes waits in the buffer, so that no other validator is begun with it.
fn top_ups(
    state: &State,
    ordered: &[(&PublicKey, &Validator)],
    rules: &Rules<'_>,
    free: &mut Gwei,
) -> Vec<Item> {
    let mut clusters = staked(state);
    let mut open: Vec<_> = ordered
        .iter()
        .filter(|(_, validator)| {
            validator.stage.is_staked() && !validator.is_held() && validator.planned.is_none()
        })
        .collect();
    let stake_of = |validator: &Validator| clusters.get(&validator.cluster).map(|(stake, _)| *stake);
    open.sort_by_key(|(_, validator)| (stake_of(validator), validator.no));
    let mut items = Vec::new();
    for (key, validator) in open {
        let Some(limit) = rules.clusters.get(&validator.cluster) else { continue };
        let (stake, _) = clusters.entry(validator.cluster).or_default();
        let room = limit.stake_max.0.saturating_sub(stake.0);
        let room = room.min(rules.charter.stake_max().0.saturating_sub(expected(state, key, validator).0));
        // The formula's validator has as much less than the most as this one has room.
        let seen = [(ValidatorIndex(0), Gwei(allocation::COMPOUNDING_MAX.0 - room))];
        let batch = allocation::batches(wide::wei(*free), Credentials::Compounding, &seen, 0);
        for deposit in batch.deposits {
            let Target::TopUp(_) = deposit.target else { continue };
            *free = Gwei(free.0.saturating_sub(deposit.amount.0));
            *stake = total([*stake, deposit.amount]);
            if validator.stage == Stage::Active {
                items.push(item(&rules.charter, **key, Purpose::TopUp, deposit.amount, Signature::ZERO));
            }
        }
    }
    items
}

/// Begins new validators: keys that a finalized state, looked at since they were registered, did not have.
fn new_keys(state: &State, ordered: &[(&PublicKey, &Validator)], rules: &Rules<'_>, free: Gwei) -> Vec<Item> {
    let mut ready: BTreeMap<ClusterId, Vec<(&PublicKey, &Validator)>> = BTreeMap::new();
    for (key, validator) in ordered {
        if validator.stage == Stage::Ready && !validator.is_held() && validator.looks < state.looks {
            ready.entry(validator.cluster).or_default().push((key, validator));
        }
    }
    let staked = staked(state);
    let ready: Vec<_> = ready
        .into_iter()
        .filter_map(|(cluster, keys)| Some((cluster, keys, rules.clusters.get(&cluster)?)))
        .collect();
    let bucket = |(cluster, keys, limit): &(ClusterId, Vec<_>, &Limit)| {
        let (stake, filled) = staked.get(cluster).copied().unwrap_or_default();
        let by_stake = limit.stake_max.0.saturating_sub(stake.0) / allocation::ACTIVATION.0;
        let more = by_stake.min(keys.len() as u64);
        Bucket { filled, capacity: limit.validators_max.min(filled + more) }
    };
    let buckets: Vec<Bucket> = ready.iter().map(bucket).collect();
    let room: u64 = buckets.iter().map(|bucket| bucket.capacity.saturating_sub(bucket.filled)).sum();
    let new_max = u32::try_from(room.min(ITEMS_MAX as u64)).unwrap_or_default();
    let begun = allocation::batches(wide::wei(free), rules.charter.kind(), &[], new_max).deposits.len();
    let filled = allocation::min_first(&buckets, begun as u64).filled;
    let mut left = free;
    let mut items = Vec::new();
    for (((_, keys, _), bucket), filled) in ready.iter().zip(&buckets).zip(filled) {
        let new = usize::try_from(filled.saturating_sub(bucket.filled)).unwrap_or_default();
        for (key, validator) in keys.iter().take(new) {
            let both = total([validator.predeposit.amount, validator.rest.amount]);
            if take(&mut left, both) {
                let Signed { amount, signature } = validator.predeposit;
                items.push(item(&rules.charter, **key, Purpose::Predeposit, amount, signature));
            }
        }
    }
    items
}
