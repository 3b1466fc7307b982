//! Exits: signed when `t` operators have approved the same one, however far apart.

use super::*;
use symbolon_core::Ending;
use types::{Epoch, Millis, ValidatorIndex, ValidatorNo};

const LEAVES: ValidatorNo = ValidatorNo(3);
const INDEX: ValidatorIndex = ValidatorIndex(3);

/// Operators approve in the given slots an exit from the given epochs.
fn approved(approvals: &[(u8, u64, u64)], last: u64) -> World {
    let mut world = World::new(mixed());
    for (who, slot, epoch) in approvals {
        let at = world.spec().slot_start(Slot(*slot)).after(Millis(700));
        world.exit(operator(*who), at, LEAVES, Epoch(*epoch));
    }
    world.run_to(Slot(last + 2));
    world
}

#[test]
fn three_approvals_at_different_times_make_an_exit() {
    let world = approved(&[(1, 2, 0), (4, 11, 0), (2, 20, 0)], 30);
    assert!(world.chain.exit_epoch(INDEX).is_some());
    let exits = world.outcomes.iter().filter(|(_, outcome)| outcome.instance.kind == Kind::Exit);
    let exits: Vec<_> = exits.map(|(_, outcome)| outcome.ending).collect();
    assert!(!exits.is_empty() && exits.iter().all(|ending| *ending == Ending::Done), "{exits:?}");
    assert_all_done(&world, 1..=30);
}

#[test]
fn two_approvals_make_none() {
    let world = approved(&[(1, 2, 0), (4, 11, 0)], 40);
    assert_eq!(world.chain.exit_epoch(INDEX), None);
    assert_all_done(&world, 1..=40);
}

#[test]
fn approvals_of_different_epochs_are_of_different_exits() {
    let world = approved(&[(1, 2, 0), (4, 11, 0), (2, 12, 1), (3, 12, 1)], 30);
    assert_eq!(world.chain.exit_epoch(INDEX), None);
    assert_eq!(world.violations(), []);
    // Who changes its mind approves both.
    let world = approved(&[(1, 2, 0), (4, 11, 0), (2, 12, 1), (3, 12, 1), (1, 13, 1)], 30);
    assert!(world.chain.exit_epoch(INDEX).is_some());
    assert_all_done(&world, 1..=30);
}

#[test]
fn an_approval_outlives_the_restart_of_whoever_gave_it() {
    let mut world = World::new(mixed());
    let at = |world: &World, slot| world.spec().slot_start(Slot(slot)).after(Millis(700));
    let (first, down, up, rest) = (at(&world, 2), at(&world, 4), at(&world, 5), at(&world, 9));
    world.exit(operator(1), first, LEAVES, Epoch(0));
    world.kill(operator(1), down, Some(up));
    for other in [2, 3] {
        world.exit(operator(other), rest, LEAVES, Epoch(0));
    }
    world.run_to(Slot(14));
    assert!(world.chain.exit_epoch(INDEX).is_some());
    assert_eq!(world.violations(), []);
}
