//! Says everything late, by up to a quarter of a slot and out of order: a machine that swaps, or one that waits on purpose.

use super::{Mischief, Parcel, Scene};
use symbolon_core::To;
use types::Millis;
use types::wire::Message;

/// At most as much: some messages then come when their round is over, some when their slot's deadlines are.
const LATE_MAX_MS: u64 = 3_000;

/// See above.
#[derive(Debug)]
pub(crate) struct Laggard;

impl Mischief for Laggard {
    fn twist(&mut self, scene: &mut Scene<'_>, to: To, message: Message) -> Vec<Parcel> {
        let late = Millis(scene.below(LATE_MAX_MS));
        vec![Parcel { late, ..Parcel::plain(to, message) }]
    }
}
