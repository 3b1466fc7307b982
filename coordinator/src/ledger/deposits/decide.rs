//! Whether a command is obeyed, and what follows from it. Nothing changes here.

use super::command::{Command, Event, Rules, SentDeposit};
use super::keys::{KEYS_MAX, KeyError, KeyOffer, SplitError, verify};
use super::stage::{Stage, Step};
use super::{Alarm, State, VALIDATORS_MAX, batch, chain};
use std::collections::BTreeSet;
use thiserror::Error;
use types::operators::ClusterId;
use types::{Address, PublicKey, Root, ValidatorIndex};

/// Why a command is refused. It changes nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// None or too many at once.
    #[error("{have} keys at once, from 1 to {KEYS_MAX} are taken")]
    KeyCount {
        /// How many.
        have: usize,
    },
    /// The pool is full.
    #[error("{have} validators are registered, at most {VALIDATORS_MAX}")]
    Full {
        /// How many.
        have: usize,
    },
    /// A cluster that the other books do not know.
    #[error("there is no cluster {cluster}")]
    NoCluster {
        /// Which.
        cluster: ClusterId,
    },
    /// A key that is not good; none of the list is registered.
    #[error("key {at} of the list, {pubkey}: {why}")]
    Key {
        /// Its place, from 0.
        at: usize,
        /// Which.
        pubkey: PublicKey,
        /// What is wrong.
        why: KeyError,
    },
    /// The policy's amounts make no validator.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// Deposits are stopped.
    #[error("deposits are stopped")]
    Stopped,
    /// Nothing can be sent: no money, no key, or no room.
    #[error("there is nothing to plan")]
    NothingToPlan,
    /// No such batch, or it is sent or given up.
    #[error("there is no batch {batch}, or it is sent or given up")]
    NoBatch {
        /// Which.
        batch: u64,
    },
    /// Somebody else.
    #[error("{who} is no guardian")]
    NoGuardian {
        /// Who.
        who: Address,
    },
    /// An approval of something else.
    #[error("an approval of keys {have}, the batch's are {want}")]
    OtherKeys {
        /// Approved.
        have: Root,
        /// The batch's.
        want: Root,
    },
    /// The same again.
    #[error("{guardian} has approved batch {batch} at this root")]
    Approved {
        /// Who.
        guardian: Address,
        /// Which.
        batch: u64,
    },
    /// Whoever has the approvals can still send it.
    #[error("batch {batch} is approved at this root of the deposit contract, so it can be sent still")]
    StillSendable {
        /// Which.
        batch: u64,
    },
    /// A deposit that no batch has, or that was told.
    #[error("no batch has the deposit {data_root} of {pubkey}, or it was told")]
    NotPlanned {
        /// Of which key.
        pubkey: PublicKey,
        /// Its data's root.
        data_root: Root,
    },
    /// An index that a look tells of as known, and the book does not have.
    #[error("index {index} is of none of the pool's validators")]
    NoIndex {
        /// Which.
        index: ValidatorIndex,
    },
    /// A key or an index that a state has twice.
    #[error("{pubkey} or index {index} is there twice")]
    Twice {
        /// Which.
        pubkey: PublicKey,
        /// Its index.
        index: ValidatorIndex,
    },
    /// A status that is not what the epochs make it.
    #[error("what is said of {pubkey} contradicts itself: its status is not what its epochs make it")]
    Contradiction {
        /// Which.
        pubkey: PublicKey,
    },
    /// A key that is not registered.
    #[error("{pubkey} is not registered")]
    Unknown {
        /// Which.
        pubkey: PublicKey,
    },
    /// Nothing is wrong with it.
    #[error("{pubkey} has no alarm")]
    NotHeld {
        /// Which.
        pubkey: PublicKey,
    },
    /// Nothing of it was lost, or it is paid.
    #[error("nothing that was lost to {pubkey} is unpaid: it is {stage:?}")]
    NothingLost {
        /// Which.
        pubkey: PublicKey,
        /// How far it is.
        stage: Stage,
    },
}

/// What follows from a command: what happens, in order, or why nothing does.
///
/// - [`super::apply`] takes what is decided here, if nothing was applied in between; and so does the pool's book what
///   [`Event::moves`] says, if `rules.depositable` was its own.
pub fn decide(state: &State, rules: &Rules<'_>, command: &Command) -> Result<Vec<Event>, Refusal> {
    let event = match command {
        Command::Register { cluster, keys } => registered(state, rules, *cluster, keys)?,
        Command::Plan => planned(state, rules)?,
        Command::GiveUp { batch, deposit_root } => {
            let found = state.batches.get(batch).ok_or(Refusal::NoBatch { batch: *batch })?;
            if found.approved(rules.guardians, *deposit_root) >= rules.guardians_needed.max(1) {
                return Err(Refusal::StillSendable { batch: *batch });
            }
            Event::GivenUp { batch: *batch, unsent: found.unsent() }
        }
        Command::Approve { guardian, batch, deposit_root, keys_hash } => {
            approved(state, rules, *guardian, *batch, [*deposit_root, *keys_hash])?
        }
        Command::Sent(deposit) => return sent(state, rules, deposit),
        Command::Look(look) => return chain::look(state, rules, look),
        Command::Release { pubkey } => {
            let validator = state.validators.get(pubkey).ok_or(Refusal::Unknown { pubkey: *pubkey })?;
            if !validator.is_held() {
                return Err(Refusal::NotHeld { pubkey: *pubkey });
            }
            Event::Released { pubkey: *pubkey }
        }
        Command::Compensate { pubkey } => {
            let validator = state.validators.get(pubkey).ok_or(Refusal::Unknown { pubkey: *pubkey })?;
            let stage = validator.stage;
            if validator.lost.0 == 0 || stage.after(Step::Compensate).is_none() {
                return Err(Refusal::NothingLost { pubkey: *pubkey, stage });
            }
            Event::Compensated { pubkey: *pubkey }
        }
    };
    Ok(vec![event])
}

fn registered(
    state: &State,
    rules: &Rules<'_>,
    cluster: ClusterId,
    keys: &[KeyOffer],
) -> Result<Event, Refusal> {
    rules.split.check(&rules.charter)?;
    if keys.is_empty() || keys.len() > KEYS_MAX {
        return Err(Refusal::KeyCount { have: keys.len() });
    }
    let size = rules.clusters.get(&cluster).ok_or(Refusal::NoCluster { cluster })?.size;
    taken(state, rules, cluster, keys, |offer| verify(offer, &rules.charter, rules.split, size))?;
    Ok(Event::Registered { cluster, keys: keys.to_vec() })
}

/// That a cluster's keys are registered as its lock has them.
///
/// - `keys`: of a lock whose checks hold, so each key is one and has signed its deposits, which go to the pool, and its shares
///   are shares of it. Amounts are those that were agreed with the cluster, and not perhaps the policy's of now.
/// - Errors: `NoCluster`, `Full`, or `Known` of a key. Cost: no curve work.
pub fn adopt(
    state: &State,
    rules: &Rules<'_>,
    cluster: ClusterId,
    keys: Vec<KeyOffer>,
) -> Result<Event, Refusal> {
    taken(state, rules, cluster, &keys, |_| Ok(()))?;
    Ok(Event::Registered { cluster, keys })
}

/// Whether these keys can be registered, if each of them is good.
fn taken(
    state: &State,
    rules: &Rules<'_>,
    cluster: ClusterId,
    keys: &[KeyOffer],
    good: impl Fn(&KeyOffer) -> Result<(), KeyError>,
) -> Result<(), Refusal> {
    if !rules.clusters.contains_key(&cluster) {
        return Err(Refusal::NoCluster { cluster });
    }
    let have = state.validators.len();
    if have + keys.len() > VALIDATORS_MAX {
        return Err(Refusal::Full { have });
    }
    let mut list = BTreeSet::new();
    for (at, offer) in keys.iter().enumerate() {
        let pubkey = offer.pubkey;
        let refuse = |why| Refusal::Key { at, pubkey, why };
        if state.validators.contains_key(&pubkey) || !list.insert(pubkey) {
            return Err(refuse(KeyError::Known));
        }
        good(offer).map_err(refuse)?;
    }
    Ok(())
}

fn planned(state: &State, rules: &Rules<'_>) -> Result<Event, Refusal> {
    if rules.stopped {
        return Err(Refusal::Stopped);
    }
    let items = batch::plan(state, rules);
    if items.is_empty() {
        return Err(Refusal::NothingToPlan);
    }
    Ok(Event::Batched { batch: state.batch_next, items })
}

fn is_guardian(rules: &Rules<'_>, who: Address) -> Result<(), Refusal> {
    if rules.guardians.contains(&who) { Ok(()) } else { Err(Refusal::NoGuardian { who }) }
}

fn approved(
    state: &State,
    rules: &Rules<'_>,
    guardian: Address,
    batch: u64,
    [deposit_root, have]: [Root; 2],
) -> Result<Event, Refusal> {
    is_guardian(rules, guardian)?;
    let found = state.batches.get(&batch).ok_or(Refusal::NoBatch { batch })?;
    let want = found.keys_hash();
    if have != want {
        return Err(Refusal::OtherKeys { have, want });
    }
    if found.approvals.get(&guardian) == Some(&deposit_root) {
        return Err(Refusal::Approved { guardian, batch });
    }
    Ok(Event::Approved { guardian, batch, deposit_root })
}

/// A deposit that was seen counts, whoever approved it; that nobody did is an alarm.
fn sent(state: &State, rules: &Rules<'_>, deposit: &SentDeposit) -> Result<Vec<Event>, Refusal> {
    let SentDeposit { pubkey, data_root, .. } = *deposit;
    let not_planned = Refusal::NotPlanned { pubkey, data_root };
    let validator = state.validators.get(&pubkey).ok_or(not_planned)?;
    let batch = validator.planned.ok_or(not_planned)?;
    let items = state.batches.get(&batch).map_or(&[][..], |batch| &batch.items);
    let item = items.iter().find(|item| !item.sent && item.pubkey == pubkey && item.data_root == data_root);
    let item = item.ok_or(not_planned)?;
    let foreign = matches!(validator.stage, Stage::Foreign | Stage::Compensated);
    let lost = foreign && validator.credentials != Some(rules.charter.credentials());
    let mut events = vec![Event::Sent { deposit: *deposit, amount: item.amount, lost }];
    let approved = state.batches.get(&batch).is_some_and(|batch| {
        let roots = batch.approvals.values();
        roots.into_iter().any(|root| batch.approved(rules.guardians, *root) >= rules.guardians_needed.max(1))
    });
    if !approved && !validator.alarms.contains(&Alarm::Unapproved) {
        events.push(Event::Alarmed { pubkey, alarm: Alarm::Unapproved });
    }
    Ok(events)
}
