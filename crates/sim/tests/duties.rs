//! Every duty of a cluster is done: attestations, blocks, sync messages, aggregates, contributions, exits.

use sim::client::Selecting;
use sim::judges::duties::{self, Tally};
use sim::network::Delay;
use sim::villains::Habit;
use sim::world::{Setup, World};
use std::collections::BTreeMap;
use symbolon_core::Ending;
use types::wire::Kind;
use types::{Epoch, Millis, ShareIndex, Slot, ValidatorIndex, ValidatorNo};

const DUTIES: [Kind; 5] = [Kind::Attest, Kind::Propose, Kind::Aggregate, Kind::Contribute, Kind::SyncMessage];

fn operator(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

/// Runs so that everything of the slots judged can be in the chain.
fn run(setup: Setup, last: u64) -> World {
    let mut world = World::new(setup);
    world.run_to(Slot(last + 2));
    world
}

fn counted(world: &World, slots: std::ops::RangeInclusive<u64>) -> BTreeMap<Kind, Tally> {
    duties::count(&world.duties(slots))
}

/// Nothing wrong, nothing refused by the chain, nothing missed, and something due of every kind.
fn assert_all_done(world: &World, slots: std::ops::RangeInclusive<u64>) {
    assert_eq!(world.violations(), []);
    assert_eq!(world.missed(slots.clone()), []);
    assert_eq!(world.chain.rejected(), []);
    assert_eq!(counted(world, slots).into_keys().collect::<Vec<_>>(), DUTIES);
}

fn mixed() -> Setup {
    Setup { ordinary: 8, ..Setup::new(4, 3, 8) }
}

#[test]
fn every_duty_is_done_when_everybody_is_alive() {
    assert_all_done(&run(mixed(), 40), 1..=40);
    // Without other validators the chain has no vote of the sync committee but by the cluster's contributions.
    assert_all_done(&run(Setup::new(4, 3, 8), 40), 1..=40);
}

#[test]
fn every_duty_is_done_with_as_many_dead_as_are_tolerated() {
    for (n, t, dead) in [(4, 3, vec![2]), (7, 5, vec![1, 5])] {
        let mut habits = vec![Habit::Honest; n];
        dead.iter().for_each(|position| habits[*position] = Habit::Mute);
        assert_all_done(&run(Setup { habits, ..Setup { ordinary: 8, ..Setup::new(n, t, 8) } }, 30), 1..=30);
    }
}
