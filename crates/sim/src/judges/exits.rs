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
            Sight::Sent { .. } | Sight::Durable { .. } => {}
        }
    }
}
