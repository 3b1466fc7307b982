//! What a node tells of its duties: their ends, and the accounts of slots that are over, for operators who ask some
//! minutes later.

use super::{Node, home};
use crate::mutants::Mutant;
use crate::{Account, Output};
use std::collections::BTreeMap;
use types::wire::{Instance, Kind, Verified};
use types::{Generation, Slot};

/// For so many epochs the accounts of a slot can be read, counted from its beginning: 19 minutes of a 12-second slot's
/// network, so that whoever is woken by the metrics of an epoch still finds the slot. A whole mainnet cluster of 22
/// operators keeps some 3 MB for that.
pub const ACCOUNT_EPOCHS: u64 = 3;

/// What is kept of duties that this node has forgotten otherwise.
#[derive(Debug, Default)]
pub(super) struct Past(BTreeMap<Slot, Vec<Account>>);

impl Past {
    /// Keeps an account that nothing is added to any more.
    pub(super) fn add(&mut self, account: Account) {
        self.0.entry(account.instance.slot).or_default().push(account);
    }

    /// Accounts of a slot.
    pub(super) fn of(&self, slot: Slot) -> &[Account] {
        self.0.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// Forgets slots before this one.
    pub(super) fn forget(&mut self, before: Slot) {
        self.0 = self.0.split_off(&before);
    }
}

impl Node {
    /// What is known of a slot's duties and of the steps to them, for operators who ask whose fault it was. Only of
    /// slots that are [`Node::kept`].
    pub fn accounts(&mut self, slot: Slot) -> Vec<Account> {
        let of_slot = self.duties.iter_mut().filter(|(instance, _)| instance.slot == slot);
        let stories = of_slot.flat_map(|(_, duty)| duty.stories()).map(|story| story.account().clone());
        self.past.of(slot).iter().cloned().chain(stories.filter(Account::is_of_interest)).collect()
    }

    /// Slots whose accounts are at hand, the oldest and the present one; `None` before genesis.
    pub fn kept(&self) -> Option<(Slot, Slot)> {
        let spec = &self.setup.spec;
        let present = spec.slot_at(self.now)?;
        let started = spec.slot_at(self.setup.started).unwrap_or(Slot(0));
        Some((self.oldest_account(present).max(started), present))
    }

    fn oldest_account(&self, present: Slot) -> Slot {
        Slot(present.0.saturating_sub(ACCOUNT_EPOCHS * self.setup.spec.slots_per_epoch))
    }

    /// Remembers who said what when, for whoever asks.
    pub(super) fn note(&mut self, instance: Instance, message: &Verified) {
        let now = self.now;
        let Some(duty) = self.duties.get_mut(&Instance { kind: home(instance.kind), ..instance }) else {
            return;
        };
        let story = duty.stories().into_iter().find(|story| story.instance() == instance);
        if let Some(story) = story {
            story.heard(now, message.sender(), message.message());
        }
    }

    /// A slot begins: tells how duties ended that nothing more will come of, and forgets those of an epoch ago.
    pub(super) fn close(&mut self, slot: Slot) {
        let now = self.now;
        for story in self.duties.iter_mut().flat_map(|(_, duty)| duty.stories()) {
            let outcome = if story.is_hopeless(now) { story.outcome(true) } else { None };
            self.out.extend(outcome.map(Output::Outcome));
        }
        let oldest = Slot(slot.0.saturating_sub(self.setup.spec.slots_per_epoch));
        let oldest = if self.setup.rules.break_with(Mutant::NothingForgotten) { Slot(0) } else { oldest };
        for mut duty in self.duties.take_before(&Instance::new(Generation(0), oldest, Kind::Attest)) {
            for story in duty.stories() {
                let outcome = story.outcome(true);
                self.out.extend(outcome.map(Output::Outcome));
                let account = story.close();
                if account.is_of_interest() {
                    self.past.add(account.clone());
                }
                if account.is_due() {
                    self.out.push_back(Output::Closed(account));
                }
            }
        }
        self.board.forget(oldest);
        self.past.forget(self.oldest_account(slot));
    }
}
