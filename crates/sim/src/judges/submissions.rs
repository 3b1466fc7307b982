//! No honest node hands a signature to its beacon node that does not verify.

use super::{Sight, Violation};
use crate::chain::Rejection;

/// The judge.
#[derive(Debug, Default)]
pub struct Submissions {
    /// What it found.
    pub violations: Vec<Violation>,
}

impl Submissions {
    /// Watches.
    pub fn see(&mut self, sight: Sight<'_>) {
        let Sight::Submitted { at, author, honest: true, result: Err(rejection) } = sight else { return };
        if !is_honest(rejection) {
            let what = format!("operator {author} submitted what the chain refuses: {rejection}");
            self.violations.push(Violation { at: Some(at), what });
        }
    }
}

/// Whether an honest node can meet with this: it was late, the chain has gone on, or its beacon node is on another branch.
fn is_honest(rejection: &Rejection) -> bool {
    match rejection {
        Rejection::Known | Rejection::Slot(_) | Rejection::Stale(_) => true,
        Rejection::Field { field } if ["head", "source", "target"].contains(field) => true,
        Rejection::Block(_)
        | Rejection::Field { .. }
        | Rejection::Stranger(_)
        | Rejection::Signature(_)
        | Rejection::Parent(_) => false,
    }
}
