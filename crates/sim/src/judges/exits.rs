//! No honest node sends a partial signature for an exit that its own operator did not approve.

use super::{Sight, Violation};
use crate::curve::{Curve as _, Symbolic};
use std::collections::BTreeSet;
use types::operations::VoluntaryExit;
use types::wire::{Kind, Message};
use types::{ChainSpec, Epoch, ShareIndex, SigningRoot, ValidatorIndex, ValidatorNo};

/// The judge.
#[derive(Debug)]
pub struct Exits {
    spec: ChainSpec,
    approved: BTreeSet<(ShareIndex, ValidatorNo, Epoch)>,
    /// What it found.
    pub violations: Vec<Violation>,
}

impl Exits {
    /// For a network.
    pub const fn new(spec: ChainSpec) -> Self {
        Self { spec, approved: BTreeSet::new(), violations: Vec::new() }
    }

    /// Watches.
    pub fn see(&mut self, sight: Sight<'_>) {
        match sight {
            Sight::Approved { operator, validator, epoch } => {
                self.approved.insert((operator, validator, epoch));
            }
            Sight::Sent { at, author, honest: true, message: Message::Partial(partials) } => {
                let instance = partials.signed.statement.instance;
                if instance.kind != Kind::Exit {
                    return;
                }
                let epoch = self.spec.epoch_of(instance.slot);
                for partial in &partials.partials {
                    let validator = partial.item.validator;
                    let validator_index = ValidatorIndex(u64::from(validator.0));
                    let exit = VoluntaryExit { epoch, validator_index };
                    let root = SigningRoot::voluntary_exit(&self.spec, &exit);
                    let share = Symbolic.share_key(validator, author);
                    let names_it = Symbolic.verify(&share, &root, &partial.signature);
                    if !names_it || !self.approved.contains(&(author, validator, epoch)) {
                        let what = format!(
                            "operator {author} signed an exit of {validator} that it did not approve"
                        );
                        self.violations.push(Violation { at: Some(at), what });
                    }
                }
            }
            Sight::Sent { .. } | Sight::Durable { .. } | Sight::Submitted { .. } | Sight::Alarmed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Setup;
    use types::wire::{Instance, Item, PartialSignature, Partials, Statement, Step};
    use types::{Generation, Millis, Root, Slot};

    /// What an operator sends for an exit of validator 2 from the epoch that begins with this slot.
    fn sent(spec: &ChainSpec, author: ShareIndex, slot: u64, signed_epoch: u64) -> Message {
        let validator = ValidatorNo(2);
        let exit = VoluntaryExit { epoch: Epoch(signed_epoch), validator_index: ValidatorIndex(2) };
        let root = SigningRoot::voluntary_exit(spec, &exit);
        let signature = Symbolic.sign(&Symbolic.share_key(validator, author), &root);
        let partials = vec![PartialSignature { item: Item::of(validator), signature }];
        let instance = Instance::new(Generation(0), Slot(slot), Kind::Exit);
        let (hash, extra) = (Root::ZERO, Partials::extra(&partials));
        let statement = Statement { instance, step: Step::Partial, round: 0, hash, extra };
        Message::Partial(Partials { signed: statement.unsigned(author), partials })
    }

    #[test]
    fn a_partial_without_approval_of_that_exit_is_found() {
        let spec = Setup::new(4, 3, 4).spec();
        let [one, two] = [1, 2].map(|number| ShareIndex::new(number).expect("an operator"));
        let found = |author, slot, signed_epoch| {
            let mut judge = Exits::new(spec.clone());
            judge.see(Sight::Approved { operator: one, validator: ValidatorNo(2), epoch: Epoch(1) });
            let message = sent(&spec, author, slot, signed_epoch);
            judge.see(Sight::Sent { at: Millis(5), author, honest: true, message: &message });
            judge.violations.len()
        };
        assert_eq!(found(one, 8, 1), 0, "approved");
        assert_eq!(found(two, 8, 1), 1, "by another operator");
        assert_eq!(found(one, 16, 2), 1, "from another epoch");
        assert_eq!(found(one, 8, 2), 1, "another exit is signed than the message says");
    }
}
