//! Dies often, and comes back with an old disk: a machine that is restored from a snapshot again and again.

use crate::person::Person;
use rand_core::RngCore;
use types::Millis;

/// How long it is away: it starts in the slot in which it died, or in the next.
const AWAY_MAX_MS: u64 = 9_000;

/// What happens to it in a slot: `Some` if it dies, with how long into the slot and how long it is away.
pub(crate) fn whim(person: &mut Person, rng: &mut impl RngCore, slot_ms: u64) -> Option<(Millis, Millis)> {
    person.honest = false;
    match rng.next_u64() % 3 {
        0 => {
            person.disk.back_up();
            None
        }
        1 => Some((Millis(rng.next_u64() % slot_ms), Millis(rng.next_u64() % AWAY_MAX_MS))),
        _ => None,
    }
}
