//! Operators that were caught with a bad partial signature: for a while, others' are combined first.
//!
//! A bad partial among those that are combined costs a slot's work several times over, for the search that names it.
//! Who was caught is therefore left out of later slots as long as others can make up the number, so that a broken or hostile
//! operator costs that search once in a while and not every slot. Nobody is shut out: see [`Doubt`].
//!
//! Bound: one entry per operator.

use crate::collect::Doubt;
use std::collections::{BTreeMap, BTreeSet};
use types::{Millis, ShareIndex, Slot};

/// Slots for which a caught operator is left out: two epochs, so that the search, some four slots' work at most, adds less
/// than a sixteenth on the average; short enough that an operator who has mended its node is trusted again within minutes.
pub const QUARANTINE_SLOTS: u64 = 64;

/// Who is left out, and until when.
#[derive(Debug, Default)]
pub struct Quarantine {
    /// The first slot in which an operator is trusted again.
    until: BTreeMap<ShareIndex, Slot>,
}

impl Quarantine {
    /// An operator's partial has proved bad. `now`: the current slot.
    pub fn caught(&mut self, operator: ShareIndex, now: Slot) {
        self.until.insert(operator, Slot(now.0.saturating_add(QUARANTINE_SLOTS)));
    }

    /// Whose partials are doubted in the current slot.
    ///
    /// - `awaited`: operators whose partials may still come.
    /// - `patience`: for how long they are waited for.
    pub fn doubt(&self, now: Slot, awaited: BTreeSet<ShareIndex>, patience: Millis) -> Doubt {
        let caught = self.until.iter().filter(|(_, until)| now < **until).map(|(operator, _)| *operator);
        Doubt { caught: caught.collect(), awaited, patience }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_caught_is_doubted_for_a_while_and_then_trusted_again() {
        let operator = ShareIndex::new(2).unwrap();
        let mut quarantine = Quarantine::default();
        let caught =
            |quarantine: &Quarantine, slot| quarantine.doubt(Slot(slot), BTreeSet::new(), Millis(0)).caught;
        assert!(caught(&quarantine, 10).is_empty());
        quarantine.caught(operator, Slot(10));
        assert_eq!(caught(&quarantine, 10 + QUARANTINE_SLOTS - 1), [operator].into());
        assert!(caught(&quarantine, 10 + QUARANTINE_SLOTS).is_empty());
        quarantine.caught(operator, Slot(20));
        assert_eq!(caught(&quarantine, 10 + QUARANTINE_SLOTS), [operator].into(), "caught again");
    }
}
