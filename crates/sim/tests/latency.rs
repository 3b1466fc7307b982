//! How many network delays a duty takes: at 20 ms one way and no processing time.

use sim::villains::Habit;
use sim::world::{Setup, World};
use std::collections::BTreeSet;
use types::wire::{Instance, Kind};
use types::{Generation, Millis, ShareIndex, Slot};

/// From `since` to each honest node's group signature of a slot, for every slot in which there was one; all `honest`
/// nodes must have it.
fn delays(
    world: &World,
    honest: usize,
    kind: Kind,
    slots: std::ops::RangeInclusive<u64>,
    since: impl Fn(Slot) -> Millis,
) -> BTreeSet<u64> {
    let mut delays = BTreeSet::new();
    for slot in slots.map(Slot) {
        let instance = Instance::new(Generation(0), slot, kind);
        let signed = world.signed.range((instance, ShareIndex::new(1).unwrap())..);
        let signed: Vec<_> = signed.take_while(|((of, _), _)| *of == instance).collect();
        assert!(signed.is_empty() || signed.len() == honest, "{} nodes signed {instance}", signed.len());
        delays.extend(signed.into_iter().map(|(_, at)| at.since(since(slot)).0));
    }
    delays
}

/// One distributed validator among ordinary ones, whose blocks come 30 ms into the slot.
fn attesting(head_delays: &[u64]) -> Setup {
    let head_delays = head_delays.iter().map(|delay| Millis(*delay)).collect();
    Setup { ordinary: 7, head_delays, ..Setup::new(4, 3, 1) }
}

/// When the last of the beacon nodes of [`attesting`] knows a slot's head.
fn last_head(world: &World, slot: Slot) -> Millis {
    world.imported(slot).unwrap().after(Millis(15))
}

#[test]
fn an_attestation_is_signed_two_delays_after_the_last_beacon_node_knows_the_head() {
    let mut world = World::new(attesting(&[0, 5, 10, 15]));
    world.run_to(Slot(40));
    assert!(world.violations().is_empty() && world.missed(1..=38).is_empty());
    let delays = delays(&world, 4, Kind::Attest, 1..=38, |slot| last_head(&world, slot));
    assert_eq!(delays, BTreeSet::from([40]));
}

#[test]
fn with_one_node_dead_it_takes_three() {
    let habits = vec![Habit::Honest, Habit::Honest, Habit::Mute, Habit::Honest];
    let mut world = World::new(Setup { habits, ..attesting(&[0, 5, 0, 15]) });
    world.run_to(Slot(40));
    assert!(world.violations().is_empty() && world.missed(1..=38).is_empty());
    let delays = delays(&world, 3, Kind::Attest, 1..=38, |slot| last_head(&world, slot));
    assert_eq!(delays, BTreeSet::from([60]));
}

#[test]
fn a_block_is_signed_four_delays_into_its_slot() {
    let mut world = World::new(Setup::new(4, 3, 8));
    world.run_to(Slot(40));
    assert_eq!(world.missed(1..=38), []);
    assert!(world.violations().is_empty());
    assert_eq!(
        delays(&world, 4, Kind::Propose, 1..=38, |slot| world.spec().slot_start(slot)),
        BTreeSet::from([80])
    );
}

#[test]
fn a_block_takes_one_delay_more_with_one_node_dead() {
    let habits = vec![Habit::Honest, Habit::Honest, Habit::Mute, Habit::Honest];
    let mut world = World::new(Setup { habits, ..Setup::new(4, 3, 8) });
    world.run_to(Slot(40));
    assert_eq!(world.missed(1..=38), []);
    assert!(world.violations().is_empty());
    // RANDAO 20 ms, proposal 20, vote 20, commit 20, partial 20. Where the dead node would lead, 50 ms more and
    // the changed round: NEWROUND and proposal.
    let led_by_the_dead = |slot: &Slot| (slot.0 + 1) % 4 == 2;
    for slot in (1..=38).map(Slot) {
        let delays = delays(&world, 3, Kind::Propose, slot.0..=slot.0, |slot| world.spec().slot_start(slot));
        let due = if led_by_the_dead(&slot) { 150 } else { 100 };
        assert_eq!(delays, BTreeSet::from([due]), "slot {slot}");
    }
}
