//! Exits: taken into the pool, carried by blocks, and after a while their validators are due no more.

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
        field("exit epoch", exit.message.epoch <= self.spec().epoch_of(now))?;
        let root = SigningRoot::voluntary_exit(self.spec(), &exit.message);
        self.check_signature(curve, who, &root, &exit.signature, "an exit")
    }

    /// Exits for a block.
    pub(super) fn pack_exits(&self) -> Vec<SignedVoluntaryExit> {
        self.exits.values().take(EXITS_MAX).copied().collect()
    }

    pub(super) fn import_exits(&mut self, slot: Slot, exits: &[SignedVoluntaryExit]) {
        let leaves = Epoch(self.spec().epoch_of(slot).0 + EXIT_EPOCHS);
        for exit in exits {
            self.exits.remove(&exit.message.validator_index);
            self.exit_epochs.insert(exit.message.validator_index, leaves);
        }
    }

    /// From which epoch on a validator is gone, if a block has its exit.
    pub fn exit_epoch(&self, who: ValidatorIndex) -> Option<Epoch> {
        self.exit_epochs.get(&who).copied()
    }
}
