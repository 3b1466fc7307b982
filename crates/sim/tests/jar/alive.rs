//! Everybody alive, some dead, some late, restarts, another sync committee, other duties.

use super::*;
use sim::chain::SYNC_PERIOD_EPOCHS;
use sim::client::Selecting;
use sim::villains::Habit;
use symbolon_core::Ending;
use types::{Epoch, Millis, ValidatorIndex};

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
        assert_all_done(&run(Setup { habits, ordinary: 8, ..Setup::new(n, t, 8) }, 30), 1..=30);
    }
}

#[test]
fn a_late_beacon_node_costs_nothing() {
    // Two seconds: it knows each head in time. Five: it votes without. Ten: when aggregates are due it has none.
    for late_ms in [2_000, 5_000, 10_000] {
        let head_delays = [0, 0, 0, late_ms].map(Millis).to_vec();
        assert_all_done(&run(Setup { head_delays, ..mixed() }, 30), 1..=30);
    }
}

#[test]
fn clients_that_vote_before_the_cluster_has_agreed_are_not_sent_away() {
    // They sign the head of the event stream, which is there a round trip before the agreement on it.
    assert_all_done(&run(Setup { eager: true, ..mixed() }, 30), 1..=30);
    // One of them was told another head: its votes do not count, the others' suffice.
    let head_delays = [0, 0, 0, 5_000].map(Millis).to_vec();
    assert_all_done(&run(Setup { eager: true, head_delays, ..mixed() }, 30), 1..=30);
}

#[test]
fn only_those_aggregate_whose_proof_wins() {
    // Committees of 64 or 65: one proof in four wins.
    let world = run(Setup { ordinary: 500, ..Setup::new(4, 3, 16) }, 24);
    assert_eq!(world.violations(), []);
    assert_eq!(world.missed(1..=24), []);
    assert_eq!(world.chain.rejected(), []);
    let count = counted(&world, 1..=24);
    let (attest, aggregate) = (count[&Kind::Attest], count[&Kind::Aggregate]);
    assert!(aggregate.due > 0 && aggregate.due * 2 < attest.due, "{aggregate:?} of {attest:?}");
}

#[test]
fn the_next_sync_committee_takes_over_without_a_gap() {
    let world = run(mixed(), 32);
    let (before, after) = (Slot(SYNC_PERIOD_EPOCHS * 8 - 2), Slot(SYNC_PERIOD_EPOCHS * 8 - 1));
    let committee = |slot| world.chain.sync_voters(slot);
    assert_ne!(committee(before), committee(after), "the last slot of a period is the next committee's");
    let joins = |slot: Slot| {
        let members = world.chain.sync_duties(world.spec().epoch_of(slot.next()));
        members.into_iter().map(|duty| duty.validator_index).collect::<std::collections::BTreeSet<_>>()
    };
    assert_ne!(joins(before), joins(after), "and has other members");
    assert_all_done(&world, 16..=30);
}

#[test]
fn a_node_that_was_away_does_every_duty_again() {
    for selecting in [Selecting::InSlot, Selecting::SlotAhead, Selecting::EpochAhead] {
        let mut world = World::new(Setup { selecting: vec![selecting; 4], ..mixed() });
        let at = |world: &World, slot| world.spec().slot_start(Slot(slot)).after(Millis(3_000));
        let (down, up, other) = (at(&world, 5), at(&world, 9), at(&world, 24));
        world.kill(operator(2), down, Some(up));
        // Then it is needed.
        world.kill(operator(3), other, None);
        world.run_to(Slot(42));
        assert_all_done(&world, 1..=40);
        let endings = world.outcomes.iter().map(|(_, outcome)| outcome.ending);
        assert!(
            endings.clone().all(|ending| ending != Ending::NotDistributed),
            "all clients are, {selecting:?}"
        );
    }
}

#[test]
fn duties_that_a_reorganisation_changes_are_done_as_they_are_now() {
    for selecting in [Selecting::InSlot, Selecting::SlotAhead, Selecting::EpochAhead] {
        let before = run(Setup { selecting: vec![selecting; 4], ..mixed() }, 30);
        let mut world = World::new(Setup { selecting: vec![selecting; 4], ..mixed() });
        // In the middle of an epoch, and a moment before the epoch that is drawn anew.
        world.reshuffle(world.spec().slot_start(Slot(12)).after(Millis(1_000)), Epoch(2));
        world.reshuffle(world.spec().slot_start(Slot(23)).after(Millis(11_000)), Epoch(3));
        world.run_to(Slot(34));
        for slot in [16, 24].map(Slot) {
            let epoch = world.spec().epoch_of(slot);
            assert_ne!(before.chain.attesters(epoch), world.chain.attesters(epoch), "other duties");
        }
        assert_all_done(&world, 1..=32);
    }
}

#[test]
fn a_validator_that_left_is_due_no_more() {
    let mut world = World::new(mixed());
    let at = world.spec().slot_start(Slot(3));
    for number in 1..=4 {
        world.exit(operator(number), at, types::ValidatorNo(1), Epoch(0));
    }
    world.run_to(Slot(66));
    let gone = world.chain.exit_epoch(ValidatorIndex(1)).expect("the chain has its exit");
    let first = world.spec().epoch_start(gone);
    let due = world.duties(first.0..=64);
    let due = due.iter().filter(|duty| duty.who == ValidatorIndex(1));
    assert!(
        due.clone().all(|duty| matches!(duty.kind, Kind::SyncMessage | Kind::Contribute)),
        "{:?}",
        due.collect::<Vec<_>>()
    );
    assert_all_done(&world, 1..=64);
}
