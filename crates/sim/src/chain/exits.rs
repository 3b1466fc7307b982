//! Exits: taken into the pool, carried by blocks, and after a while their validators are due no more.

use super::registry::ACTIVE_EPOCHS_MIN;
use super::{Chain, Rejection, field};
use crate::curve::Curve;
use types::operations::SignedVoluntaryExit;
use types::{Epoch, Millis, SigningRoot, Slot, ValidatorIndex};

/// Epochs from the block with an exit to the validator's leave: `1 + MAX_SEED_LOOKAHEAD` of the specification, so that
/// no duty that is known already changes.
pub const EXIT_EPOCHS: u64 = 5;

/// Exits of a block: the specification's limit.
pub(super) const EXITS_MAX: usize = 16;

impl Chain {
    /// Takes an exit into the pool.
    pub fn take_exit(
        &mut self,
        curve: &impl Curve,
        now: Millis,
        exit: &SignedVoluntaryExit,
    ) -> Result<(), Rejection> {
        let result = self.slot_at(now, Slot(0)).and_then(|slot| self.check_exit(curve, slot, exit));
        if result.is_ok() {
            self.exits.insert(exit.message.validator_index, *exit);
        }
        self.note(result)
    }

    pub(super) fn check_exit(
        &self,
        curve: &impl Curve,
        now: Slot,
        exit: &SignedVoluntaryExit,
    ) -> Result<(), Rejection> {
        let who = exit.message.validator_index;
        if self.exit_epochs.contains_key(&who) {
            return Err(Rejection::Known);
        }
        let epoch = self.spec().epoch_of(now);
        field("exit epoch", exit.message.epoch <= epoch)?;
        if let Some(registry) = &self.registry {
            let since = registry.account(who).and_then(|account| account.activation);
            field("exiting validator", since.is_some_and(|since| since.0 + ACTIVE_EPOCHS_MIN <= epoch.0))?;
        }
        let root = SigningRoot::voluntary_exit(self.spec(), &exit.message);
        self.check_signature(curve, who, &root, &exit.signature, "an exit")
    }

    /// Exits for a block.
    pub(super) fn pack_exits(&self) -> Vec<SignedVoluntaryExit> {
        self.exits.values().take(EXITS_MAX).copied().collect()
    }

    pub(super) fn import_exits(&mut self, slot: Slot, exits: &[SignedVoluntaryExit]) {
        let now = self.spec().epoch_of(slot);
        let leaves = Epoch(now.0 + EXIT_EPOCHS);
        for exit in exits {
            let who = exit.message.validator_index;
            self.exits.remove(&who);
            let registered = self.registry.as_mut().and_then(|registry| registry.exit(who, now));
            self.exit_epochs.insert(who, registered.unwrap_or(leaves));
        }
    }

    /// From which epoch on a validator is gone, if a block has its exit.
    pub fn exit_epoch(&self, who: ValidatorIndex) -> Option<Epoch> {
        self.exit_epochs.get(&who).copied()
    }
}
