//! Every duty of a cluster in the jar: attestations, blocks, sync messages, aggregates, contributions, exits.
//!
//! - [`alive`]: everybody alive, some dead, some late, restarts, another sync committee, other duties.
//! - [`selections`]: clients that ask for selection proofs at different times, or not at all.
//! - [`exits`]: who approves what when. [`villains`]: leaders with two faces.
//! - [`random`]: hundreds of seeds.

mod alive;
mod exits;
mod random;
mod selections;
mod villains;

use sim::judges::Violation;
use sim::judges::duties::{self, Tally};
use sim::world::{Setup, World};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use types::wire::Kind;
use types::{ShareIndex, Slot};

/// Every kind that the chain counts.
const DUTIES: [Kind; 5] = [Kind::Attest, Kind::Propose, Kind::Aggregate, Kind::Contribute, Kind::SyncMessage];

fn operator(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

/// Eight distributed validators among eight others.
fn mixed() -> Setup {
    Setup { ordinary: 8, ..Setup::new(4, 3, 8) }
}

/// Runs so that everything of the slots judged can be in the chain.
fn run(setup: Setup, last: u64) -> World {
    let mut world = World::new(setup);
    world.run_to(Slot(last + 2));
    world
}

fn counted(world: &World, slots: RangeInclusive<u64>) -> BTreeMap<Kind, Tally> {
    duties::count(&world.duties(slots))
}

/// What of some kinds is missed.
fn missed_of(world: &World, slots: RangeInclusive<u64>, kinds: &[Kind]) -> Vec<Violation> {
    let duties = world.duties(slots);
    duties::missed(&duties.into_iter().filter(|duty| kinds.contains(&duty.kind)).collect::<Vec<_>>())
}

/// Nothing wrong, nothing refused by the chain, nothing missed, and something due of every kind.
fn assert_all_done(world: &World, slots: RangeInclusive<u64>) {
    assert_eq!(world.violations(), []);
    assert_eq!(world.missed(slots.clone()), []);
    assert_eq!(world.chain.rejected(), []);
    assert_eq!(counted(world, slots).into_keys().collect::<Vec<_>>(), DUTIES);
}
