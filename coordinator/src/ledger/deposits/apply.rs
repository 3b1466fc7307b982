//! What an event changes. An event that cannot have been decided on this state is a corrupt log, and changes nothing.

use super::batch::{Batch, Item};
use super::command::{Balance, Event, SentDeposit};
use super::keys::{KeyOffer, Offered};
use super::stage::{Stage, Step};
use super::{InFlight, Signed, State, Validator, total};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::operators::ClusterId;
use types::{Gwei, PublicKey, Root, ValidatorIndex};

/// Why an event cannot have happened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Corrupt {
    /// A key that is registered, or twice.
    #[error("{pubkey} is registered")]
    Registered {
        /// Which.
        pubkey: PublicKey,
    },
    /// A key that is not.
    #[error("{pubkey} is not registered")]
    Unknown {
        /// Which.
        pubkey: PublicKey,
    },
    /// An index that is another key's, or another than the key's.
    #[error("the index of {pubkey} is another")]
    Index {
        /// Which.
        pubkey: PublicKey,
    },
    /// An epoch of activation that is known already.
    #[error("it is known from when on {pubkey} has duties")]
    Activation {
        /// Which.
        pubkey: PublicKey,
    },
    /// An index that is nobody's.
    #[error("index {index} is of no validator")]
    NoIndex {
        /// Which.
        index: ValidatorIndex,
    },
    /// Other indices than validators that have one.
    #[error("{known} validators have an index, {have} indices are there")]
    Indices {
        /// Validators with one.
        known: usize,
        /// Indices.
        have: usize,
    },
    /// Another number of slashed validators than there are.
    #[error("{want} validators are slashed and have a balance, {have} are counted")]
    Slashed {
        /// Counted.
        have: u64,
        /// There.
        want: u64,
    },
    /// A step that cannot follow.
    #[error("{pubkey} is {stage:?}: {step:?} cannot follow")]
    Stage {
        /// Which.
        pubkey: PublicKey,
        /// How far it is.
        stage: Stage,
        /// What would follow.
        step: Step,
    },
    /// A deposit in two batches, or of none.
    #[error("the deposit that is planned for {pubkey} is another")]
    Planned {
        /// Which.
        pubkey: PublicKey,
    },
    /// A number that is not the next, or names nothing.
    #[error("batch {have}, the next is {next}")]
    Batch {
        /// The event's.
        have: u64,
        /// The state's next.
        next: u64,
    },
    /// Another amount than the state has.
    #[error("{have} gwei, the state has {want}")]
    Amount {
        /// The event's.
        have: Gwei,
        /// The state's.
        want: Gwei,
    },
    /// A state that is not later than the last one.
    #[error("a state that is not later than the last one")]
    Looked,
    /// A deposit that is not on its way.
    #[error("no such deposit of {amount} gwei is on its way to {pubkey}")]
    NotInFlight {
        /// Which.
        pubkey: PublicKey,
        /// How much.
        amount: Gwei,
    },
}

/// Changes the state by one event. Errors: the event cannot have been decided on this state, which is then as it was.
///
/// Cost: logarithmic in validators for each that the event names.
pub fn apply(state: &mut State, event: &Event) -> Result<(), Corrupt> {
    match event {
        Event::Registered { cluster, keys } => registered(state, *cluster, keys),
        Event::Batched { batch, items } => batched(state, *batch, items),
        Event::GivenUp { batch, unsent } => given_up(state, *batch, *unsent),
        Event::Approved { guardian, batch, deposit_root } => {
            let next = state.batch_next;
            let found = state.batches.get_mut(batch).ok_or(Corrupt::Batch { have: *batch, next })?;
            found.approvals.insert(*guardian, *deposit_root);
            Ok(())
        }
        Event::Sent { deposit, amount, lost } => sent(state, deposit, *amount, *lost),
        Event::Looked { slot } => {
            if state.looked.is_some_and(|last| last >= *slot) {
                return Err(Corrupt::Looked);
            }
            (state.looked, state.looks) = (Some(*slot), state.looks.saturating_add(1));
            Ok(())
        }
        Event::Known { pubkey, index, credentials } => known(state, *pubkey, *index, *credentials),
        Event::Activates { pubkey, epoch } => {
            let validator = get(state, *pubkey)?;
            if validator.activation.is_some() {
                return Err(Corrupt::Activation { pubkey: *pubkey });
            }
            validator.activation = Some(*epoch);
            Ok(())
        }
        Event::Proven { pubkey } => step(state, *pubkey, Step::Prove),
        Event::Foreign { pubkey, lost } => foreign(state, *pubkey, *lost),
        Event::Lived { pubkey, stage } => {
            // Whatever the chain said led here: it is one of the stages that something it says leads to.
            let lives = super::stage::LIVES.map(Step::Live);
            let now = get(state, *pubkey)?.stage;
            let by = lives.into_iter().find(|step| now != *stage && now.after(*step) == Some(*stage));
            let refused =
                Corrupt::Stage { pubkey: *pubkey, stage: now, step: Step::Live(super::Life::Pending) };
            step(state, *pubkey, by.ok_or(refused)?)
        }
        Event::Arrived { pubkey, amount, slot } => {
            let validator = get(state, *pubkey)?;
            let arrived = InFlight { amount: *amount, slot: *slot };
            let at = validator.sent.iter().position(|sent| *sent == arrived);
            let at = at.ok_or(Corrupt::NotInFlight { pubkey: *pubkey, amount: *amount })?;
            validator.sent.remove(at);
            Ok(())
        }
        Event::Balances(balances) => counted(state, balances),
        Event::Alarmed { pubkey, alarm } => get(state, *pubkey).map(|validator| {
            validator.alarms.insert(*alarm);
        }),
        Event::Released { pubkey } => get(state, *pubkey).map(|validator| validator.alarms.clear()),
        Event::Compensated { pubkey } => step(state, *pubkey, Step::Compensate),
    }
}

fn get(state: &mut State, pubkey: PublicKey) -> Result<&mut Validator, Corrupt> {
    state.validators.get_mut(&pubkey).ok_or(Corrupt::Unknown { pubkey })
}

/// The stage after a step, or why there is none.
fn after(pubkey: PublicKey, stage: Stage, step: Step) -> Result<Stage, Corrupt> {
    stage.after(step).ok_or(Corrupt::Stage { pubkey, stage, step })
}

fn step(state: &mut State, pubkey: PublicKey, step: Step) -> Result<(), Corrupt> {
    let validator = get(state, pubkey)?;
    let (was, is) = (validator.stage, after(pubkey, validator.stage, step)?);
    validator.stage = is;
    match (was, is) {
        (Stage::Slashed, Stage::Slashed) => {}
        (Stage::Slashed, _) => state.slashed -= 1,
        (_, Stage::Slashed) => state.slashed += 1,
        (_, _) => {}
    }
    Ok(())
}

fn registered(state: &mut State, cluster: ClusterId, keys: &[KeyOffer]) -> Result<(), Corrupt> {
    let mut list = BTreeSet::new();
    for KeyOffer { pubkey, .. } in keys {
        if state.validators.contains_key(pubkey) || !list.insert(*pubkey) {
            return Err(Corrupt::Registered { pubkey: *pubkey });
        }
    }
    let signed = |offered: &Offered| Signed { amount: offered.amount, signature: offered.signature };
    // Nothing is ever taken off the register, so its length is the next place in its order.
    for (no, offer) in (state.validators.len() as u64..).zip(keys) {
        let validator = Validator {
            no,
            cluster,
            predeposit: signed(&offer.predeposit),
            rest: signed(&offer.rest),
            shares: offer.shares.clone(),
            looks: state.looks,
            stage: Stage::Ready,
            index: None,
            activation: None,
            credentials: None,
            balance: Gwei(0),
            effective: Gwei(0),
            planned: None,
            sent: Vec::new(),
            lost: Gwei(0),
            alarms: BTreeSet::new(),
        };
        state.validators.insert(offer.pubkey, validator);
    }
    Ok(())
}

fn batched(state: &mut State, batch: u64, items: &[Item]) -> Result<(), Corrupt> {
    let next = state.batch_next;
    if batch != next || next == u64::MAX {
        return Err(Corrupt::Batch { have: batch, next });
    }
    let mut stages = BTreeMap::new();
    for Item { pubkey, sent, .. } in items {
        let validator = get(state, *pubkey)?;
        let stage = after(*pubkey, validator.stage, Step::Plan)?;
        if *sent || validator.planned.is_some() || stages.insert(*pubkey, stage).is_some() {
            return Err(Corrupt::Planned { pubkey: *pubkey });
        }
    }
    for (pubkey, stage) in stages {
        let validator = get(state, pubkey)?;
        (validator.stage, validator.planned) = (stage, Some(batch));
    }
    state.batches.insert(batch, Batch { items: items.to_vec(), approvals: BTreeMap::new() });
    state.batch_next += 1;
    Ok(())
}

fn given_up(state: &mut State, batch: u64, have: Gwei) -> Result<(), Corrupt> {
    let next = state.batch_next;
    let found = state.batches.get(&batch).ok_or(Corrupt::Batch { have: batch, next })?;
    let want = found.unsent();
    if have != want {
        return Err(Corrupt::Amount { have, want });
    }
    let unsent = found.items.iter().filter(|item| !item.sent);
    let keys: Vec<PublicKey> = unsent.map(|item| item.pubkey).collect();
    let mut stages = Vec::new();
    for pubkey in keys {
        stages.push((pubkey, after(pubkey, get(state, pubkey)?.stage, Step::GiveUp)?));
    }
    for (pubkey, stage) in stages {
        let validator = get(state, pubkey)?;
        (validator.stage, validator.planned) = (stage, None);
    }
    state.batches.remove(&batch);
    Ok(())
}

fn sent(state: &mut State, deposit: &SentDeposit, have: Gwei, lost: bool) -> Result<(), Corrupt> {
    let SentDeposit { pubkey, data_root, slot, .. } = *deposit;
    let not_planned = Corrupt::Planned { pubkey };
    let validator = state.validators.get_mut(&pubkey).ok_or(Corrupt::Unknown { pubkey })?;
    let no = validator.planned.ok_or(not_planned)?;
    let batch = state.batches.get_mut(&no).ok_or(not_planned)?;
    let found = batch.items.iter_mut().find(|item| !item.sent && item.pubkey == pubkey);
    let item = found.filter(|item| item.data_root == data_root).ok_or(not_planned)?;
    if item.amount != have {
        return Err(Corrupt::Amount { have, want: item.amount });
    }
    validator.stage = after(pubkey, validator.stage, Step::Send)?;
    validator.planned = None;
    item.sent = true;
    if lost {
        validator.lost = total([validator.lost, have]);
    } else {
        validator.sent.push(InFlight { amount: have, slot });
    }
    if batch.items.iter().all(|item| item.sent) {
        state.batches.remove(&no);
    }
    Ok(())
}

fn known(
    state: &mut State,
    pubkey: PublicKey,
    index: ValidatorIndex,
    credentials: Root,
) -> Result<(), Corrupt> {
    if state.by_index.contains_key(&index) || get(state, pubkey)?.index.is_some() {
        return Err(Corrupt::Index { pubkey });
    }
    let validator = get(state, pubkey)?;
    (validator.index, validator.credentials) = (Some(index), Some(credentials));
    state.by_index.insert(index, pubkey);
    Ok(())
}

fn foreign(state: &mut State, pubkey: PublicKey, have: Gwei) -> Result<(), Corrupt> {
    let validator = get(state, pubkey)?;
    let want = validator.in_flight();
    if have != want {
        return Err(Corrupt::Amount { have, want });
    }
    validator.stage = after(pubkey, validator.stage, Step::Disown)?;
    validator.lost = total([validator.lost, want]);
    validator.sent.clear();
    Ok(())
}

fn counted(state: &mut State, balances: &BTreeMap<ValidatorIndex, Balance>) -> Result<(), Corrupt> {
    let keys = balances.keys().map(|index| {
        let key = state.by_index.get(index).copied();
        key.filter(|key| state.validators.contains_key(key)).ok_or(Corrupt::NoIndex { index: *index })
    });
    let keys: Vec<PublicKey> = keys.collect::<Result<_, _>>()?;
    for (key, one) in keys.into_iter().zip(balances.values()) {
        let validator = get(state, key)?;
        (validator.balance, validator.effective) = (one.balance, one.effective);
    }
    Ok(())
}
