//! No honest node sends a partial signature that its journal did not hold, durably, before.

use super::{Sight, Violation};
use crate::curve::Symbolic;
use std::collections::{BTreeMap, BTreeSet};
use types::wire::Message;
use types::{PublicKey, Root, ShareIndex, Signature};

/// The judge.
#[derive(Debug, Default)]
pub struct Journal {
    /// Signing roots of durable rows, by operator and validator.
    durable: BTreeMap<(ShareIndex, PublicKey), BTreeSet<Root>>,
    /// What it found.
    pub violations: Vec<Violation>,
}

impl Journal {
    /// Watches.
    pub fn see(&mut self, sight: Sight<'_>) {
        match sight {
            Sight::Durable { operator, rows, .. } => {
                for row in rows {
                    let roots = self.durable.entry((operator, row.key)).or_default();
                    roots.extend(row.root.map(|root| root.root()));
                }
            }
            Sight::Sent { at, author, honest: true, message: Message::Partial(partials) } => {
                if !partials.signed.statement.instance.kind.is_slashable() {
                    return;
                }
                for partial in &partials.partials {
                    let key = Symbolic.group_key(partial.item.validator);
                    let share = Symbolic.share_key(partial.item.validator, author);
                    if !self.holds((author, key), &share, &partial.signature) {
                        let validator = partial.item.validator;
                        let what = format!("operator {author} signed for {validator} without a durable row");
                        self.violations.push(Violation { at: Some(at), what });
                    }
                }
            }
            Sight::Sent { .. } | Sight::Approved { .. } | Sight::Submitted { .. } | Sight::Alarmed { .. } => {
            }
        }
    }

    /// Whether one of the durable rows is over what this share has signed.
    fn holds(&self, place: (ShareIndex, PublicKey), share: &PublicKey, signature: &Signature) -> bool {
        let Some(roots) = self.durable.get(&place) else { return false };
        roots.iter().any(|root| Symbolic.sign_bytes(share, root.as_ref()) == *signature)
    }
}
