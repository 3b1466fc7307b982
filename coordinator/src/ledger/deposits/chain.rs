//! What a state of the chain says of the pool's validators.
//!
//! What is not the pool's, and what was told before, changes nothing. What contradicts what was told is an alarm and
//! changes nothing else. Only finalized states move validators on; another can only give an early alarm.

use super::command::{Balance, Event, Rules};
use super::decide::Refusal;
use super::keys::is_signed;
use super::stage::{Life, Stage, Step};
use super::{Alarm, InFlight, State, Validator};
use cluster::deposit::{DepositMessage, SignedDeposit};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{Epoch, Gwei, PublicKey, Root, Signature, Slot, ValidatorIndex, ValidatorStatus};

/// A validator in a state of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenValidator {
    /// Its key.
    pub pubkey: PublicKey,
    /// Its index.
    pub index: ValidatorIndex,
    /// Its withdrawal credentials.
    pub credentials: Root,
    /// What it has.
    pub balance: Gwei,
    /// What it counts for.
    pub effective_balance: Gwei,
    /// How it does.
    pub status: ValidatorStatus,
    /// Whether it was slashed; not every status tells.
    pub slashed: bool,
    /// From when on it has duties; nothing where the chain has `FAR_FUTURE_EPOCH`.
    pub activation: Option<Epoch>,
    /// From when on it has none any more; likewise.
    pub exit: Option<Epoch>,
    /// From when on its balance can be withdrawn; likewise.
    pub withdrawable: Option<Epoch>,
}

impl SeenValidator {
    /// Whether its status is what its epochs make it, in a state of this epoch (beacon API, `ValidatorStatus`).
    fn is_consistent(&self, epoch: Epoch) -> bool {
        let past = |event: Option<Epoch>| event.is_some_and(|event| event <= epoch);
        let (active, left, free) = (past(self.activation), past(self.exit), past(self.withdrawable));
        let leaves = self.exit.is_some() && self.withdrawable.is_some() && self.withdrawable >= self.exit;
        match self.status {
            ValidatorStatus::PendingInitialized => self.activation.is_none() && self.exit.is_none(),
            ValidatorStatus::PendingQueued => !active && self.exit.is_none(),
            ValidatorStatus::ActiveOngoing => active && self.exit.is_none(),
            ValidatorStatus::ActiveExiting | ValidatorStatus::ActiveSlashed => active && leaves && !left,
            ValidatorStatus::ExitedUnslashed | ValidatorStatus::ExitedSlashed => leaves && left && !free,
            ValidatorStatus::WithdrawalPossible | ValidatorStatus::WithdrawalDone => leaves && free,
        }
    }

    fn life(&self) -> Life {
        let life = match self.status {
            ValidatorStatus::PendingInitialized | ValidatorStatus::PendingQueued => Life::Pending,
            ValidatorStatus::ActiveOngoing => Life::Active,
            ValidatorStatus::ActiveExiting => Life::Exiting,
            ValidatorStatus::ExitedUnslashed | ValidatorStatus::WithdrawalPossible => Life::Exited,
            ValidatorStatus::ActiveSlashed | ValidatorStatus::ExitedSlashed => Life::Slashed,
            ValidatorStatus::WithdrawalDone => Life::Withdrawn,
        };
        if self.slashed && life != Life::Withdrawn { Life::Slashed } else { life }
    }
}

/// A deposit that waits in a state's queue (`pending_deposits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingDeposit {
    /// For which key.
    pub pubkey: PublicKey,
    /// To which credentials.
    pub credentials: Root,
    /// How much.
    pub amount: Gwei,
    /// The key's, or anything: the chain looks at it when the deposit would make a validator.
    pub signature: Signature,
    /// The slot of the block that has it.
    pub slot: Slot,
}

/// What a state of the chain has of the pool's keys. Observed as [`super::ObservedLook`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The state's slot.
    pub slot: Slot,
    /// Whether it is final. Of one that is not, alarms only are heard.
    pub finalized: bool,
    /// All of the pool's keys that are validators there.
    pub validators: Vec<SeenValidator>,
    /// All deposits for the pool's keys that wait there.
    pub pending: Vec<PendingDeposit>,
}

/// What follows from a state of the chain. Errors: a key or an index that is told twice.
///
/// Cost: all validators; a pairing check for each deposit that waits for a key that is not proven.
pub(super) fn look(state: &State, rules: &Rules<'_>, look: &Look) -> Result<Vec<Event>, Refusal> {
    let mut seen: BTreeMap<PublicKey, &SeenValidator> = BTreeMap::new();
    let mut indices = BTreeSet::new();
    for one in &look.validators {
        if seen.insert(one.pubkey, one).is_some() || !indices.insert(one.index) {
            return Err(Refusal::Twice { pubkey: one.pubkey, index: one.index });
        }
        if !one.is_consistent(Epoch(look.slot.0 / rules.slots_per_epoch)) {
            return Err(Refusal::Contradiction { pubkey: one.pubkey });
        }
    }
    if !look.finalized {
        return Ok(early(state, rules, &seen));
    }
    if state.looked.is_some_and(|last| last >= look.slot) {
        return Ok(Vec::new());
    }
    let mut pending: BTreeMap<PublicKey, Vec<&PendingDeposit>> = BTreeMap::new();
    for one in &look.pending {
        pending.entry(one.pubkey).or_default().push(one);
    }
    let (mut events, mut balances) = (vec![Event::Looked { slot: look.slot }], BTreeMap::new());
    for (pubkey, validator) in &state.validators {
        let pending = pending.remove(pubkey).unwrap_or_default();
        let mut one =
            One { state, rules, slot: look.slot, pubkey: *pubkey, validator, pending, events: Vec::new() };
        match seen.get(pubkey) {
            Some(seen) => balances.extend(one.seen(seen)),
            None => one.unseen(),
        }
        events.extend(one.events);
    }
    if !balances.is_empty() {
        events.push(Event::Balances(balances));
    }
    Ok(events)
}

impl State {
    /// The validator that a finalized state tells of, if the book goes on by what it says: it is the pool's, and it was
    /// not further on before.
    pub fn believes(&self, seen: &SeenValidator, ours: Root) -> Option<&Validator> {
        let validator = self.validators.get(&seen.pubkey)?;
        let same = validator.index.is_none_or(|index| index == seen.index);
        let owner = self.by_index.get(&seen.index).is_none_or(|key| *key == seen.pubkey);
        let stage = match validator.stage {
            Stage::Predeposited => Stage::Proven,
            stage => stage,
        };
        let follows = stage.after(Step::Live(seen.life())).is_some();
        (same && owner && seen.credentials == ours && follows).then_some(validator)
    }
}

/// Alarms that are worth hearing before a state is final.
fn early(state: &State, rules: &Rules<'_>, seen: &BTreeMap<PublicKey, &SeenValidator>) -> Vec<Event> {
    let mut events = Vec::new();
    for (pubkey, validator) in &state.validators {
        let Some(seen) = seen.get(pubkey) else { continue };
        let mut alarm = |alarm, wrong| {
            if wrong && !validator.alarms.contains(&alarm) {
                events.push(Event::Alarmed { pubkey: *pubkey, alarm });
            }
        };
        let ours = seen.credentials == rules.charter.credentials();
        alarm(Alarm::OtherCredentials, !ours && !validator.is_foreign());
        let new = ours && validator.stage != Stage::Slashed && validator.stage != Stage::Withdrawn;
        alarm(Alarm::Slashed, new && seen.life() == Life::Slashed);
    }
    events
}

/// Whether nothing of the pool's was seen sent to it.
fn is_unsent(validator: &Validator) -> bool {
    matches!(validator.stage, Stage::Ready | Stage::PredepositPlanned)
}

/// One validator in a finalized state, and what follows.
struct One<'a> {
    state: &'a State,
    rules: &'a Rules<'a>,
    slot: Slot,
    pubkey: PublicKey,
    validator: &'a Validator,
    pending: Vec<&'a PendingDeposit>,
    events: Vec<Event>,
}

impl One<'_> {
    /// The chain does not have it.
    fn unseen(&mut self) {
        let validator = self.validator;
        if validator.index.is_some() {
            self.alarm(Alarm::Vanished);
        } else if is_unsent(validator) {
            if self.has_signed_deposit(|_| true) {
                self.disown(Alarm::KnownBefore);
            }
        } else if validator.stage == Stage::Predeposited {
            let ours = self.rules.charter.credentials();
            if self.has_signed_deposit(|deposit| deposit.credentials != ours) {
                self.alarm(Alarm::Rival);
            }
            if !self.arrived().is_empty() {
                self.alarm(Alarm::Vanished);
            }
        }
    }

    /// The chain has it. Gives its balances if they are the pool's and new.
    fn seen(&mut self, seen: &SeenValidator) -> Option<(ValidatorIndex, Balance)> {
        let (pubkey, validator) = (self.pubkey, self.validator);
        let owner = self.state.by_index.get(&seen.index);
        if validator.index.is_some_and(|index| index != seen.index) || owner.is_some_and(|key| *key != pubkey)
        {
            self.alarm(Alarm::Index);
            return None;
        }
        if validator.credentials.is_some_and(|credentials| credentials != seen.credentials) {
            self.alarm(Alarm::CredentialsChanged);
            return None;
        }
        if validator.index.is_none() {
            self.events.push(Event::Known { pubkey, index: seen.index, credentials: seen.credentials });
        }
        let ours = seen.credentials == self.rules.charter.credentials();
        let mut stage = validator.stage;
        if is_unsent(validator) {
            self.disown(Alarm::KnownBefore);
            stage = Stage::Foreign;
        } else if stage == Stage::Predeposited && ours {
            self.events.push(Event::Proven { pubkey });
            stage = Stage::Proven;
        } else if stage == Stage::Predeposited {
            self.disown(Alarm::OtherCredentials);
        }
        if !ours {
            return None;
        }
        if !matches!(stage, Stage::Foreign | Stage::Compensated) {
            self.live(stage, seen.life());
            self.activates(seen);
        }
        for deposit in self.arrived() {
            self.events.push(Event::Arrived { pubkey, amount: deposit.amount, slot: deposit.slot });
        }
        let have = (validator.balance, validator.effective);
        let new = have != (seen.balance, seen.effective_balance);
        let now = Balance { balance: seen.balance, effective: seen.effective_balance };
        new.then_some((seen.index, now))
    }

    fn live(&mut self, stage: Stage, life: Life) {
        match stage.after(Step::Live(life)) {
            Some(next) if next != stage => {
                self.events.push(Event::Lived { pubkey: self.pubkey, stage: next })
            }
            Some(_) => {}
            None => self.alarm(Alarm::Backwards),
        }
    }

    /// When it has duties is told once, and never again otherwise.
    fn activates(&mut self, seen: &SeenValidator) {
        let pubkey = self.pubkey;
        match (self.validator.activation, seen.activation) {
            (None, Some(epoch)) => self.events.push(Event::Activates { pubkey, epoch }),
            (Some(was), is) if is != Some(was) => self.alarm(Alarm::Backwards),
            (None | Some(_), _) => {}
        }
    }

    fn alarm(&mut self, alarm: Alarm) {
        let event = Event::Alarmed { pubkey: self.pubkey, alarm };
        if !self.validator.alarms.contains(&alarm) && !self.events.contains(&event) {
            self.events.push(event);
        }
    }

    fn disown(&mut self, alarm: Alarm) {
        self.alarm(alarm);
        self.events.push(Event::Foreign { pubkey: self.pubkey, lost: self.validator.in_flight() });
    }

    /// Deposits of the pool that the state's blocks have and its queue has not.
    ///
    /// A deposit in the queue is the pool's if amount and slot are those of one that was sent: a stranger's of the same
    /// slot and amount only makes the pool's count as arrived a little later. The pool sends a validator no second deposit
    /// before the first was told, so it has no two of one slot.
    fn arrived(&self) -> Vec<InFlight> {
        let waits = |sent: &InFlight| {
            self.pending.iter().any(|one| (one.amount, one.slot) == (sent.amount, sent.slot))
        };
        let there = self.validator.sent.iter().filter(|sent| sent.slot <= self.slot);
        there.filter(|sent| !waits(sent)).copied().collect()
    }

    /// Whether a deposit waits that the key has signed. Anybody can deposit without a signature: the chain drops it.
    fn has_signed_deposit(&self, which: impl Fn(&PendingDeposit) -> bool) -> bool {
        self.pending.iter().filter(|deposit| which(deposit)).any(|deposit| {
            let message = DepositMessage {
                public_key: deposit.pubkey,
                withdrawal_credentials: deposit.credentials,
                amount: deposit.amount,
            };
            is_signed(&SignedDeposit { message, signature: deposit.signature }, &self.rules.charter)
        })
    }
}
