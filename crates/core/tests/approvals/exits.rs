//! Exits.

use crate::world::{NOW_EPOCH, World, exit_root, group, half, index, operator};
use std::collections::BTreeSet;
use symbolon_core::approve::NotApproved;
use symbolon_core::{Answer, Ask, Fault, Refusal};
use types::{Epoch, ValidatorNo};

/// What a node has handed in: validator index and epoch.
fn left(world: &World, me: u8) -> Vec<(u64, u64)> {
    let exits = world.person(me).exits.iter();
    exits.map(|exit| (exit.message.validator_index.0, exit.message.epoch.0)).collect()
}

#[test]
fn one_operator_fewer_than_needed_makes_nobody_leave() {
    let mut world = World::new();
    for me in [1, 2] {
        assert_eq!(world.exit(me, 0, 90), Answer::Accepted);
        assert_eq!(world.exit(me, 0, 90), Answer::Accepted, "once more is nothing new");
    }
    assert!((1..=4).all(|me| left(&world, me).is_empty()));
    assert_eq!(world.exit(3, 1, 90), Answer::Accepted, "another validator");
    assert!((1..=4).all(|me| left(&world, me).is_empty()));
    assert_eq!(world.exit(3, 0, 90), Answer::Accepted);
    for me in 1..=4 {
        assert_eq!(left(&world, me), [(1000, 90)], "operator {me} hands it in");
        assert_eq!(world.person(me).exits[0].signature, group(0, &exit_root(0, 90)));
        let approvals = world.person(me).node.approvals();
        let exit = approvals.exits.iter().find(|exit| exit.validator == ValidatorNo(0)).unwrap();
        assert_eq!(exit.operators, BTreeSet::from([1, 2, 3].map(operator)));
        assert!(exit.signed && exit.taken);
    }
}

#[test]
fn different_epochs_do_not_mix_and_who_named_an_earlier_one_can_follow() {
    let mut world = World::new();
    for (me, epoch) in [(1, 90), (2, 90), (3, 91), (4, 92)] {
        assert_eq!(world.exit(me, 0, epoch), Answer::Accepted);
    }
    assert!(left(&world, 1).is_empty());
    let later = NotApproved::LaterExit { validator: ValidatorNo(0), approved: Epoch(91) };
    assert_eq!(world.exit(3, 0, 90), Answer::Refused(Refusal::NotApproved(later)));
    assert_eq!(world.exit(1, 0, 92), Answer::Accepted);
    assert!(left(&world, 1).is_empty());
    assert_eq!(world.exit(2, 0, 92), Answer::Accepted);
    assert!((1..=4).all(|me| left(&world, me) == [(1000, 92)]));
}

#[test]
fn a_wrong_half_a_wrong_index_and_an_epoch_that_has_not_begun_are_refused() {
    let mut world = World::new();
    let ask = |by: u8, named: u32, epoch: u64| Ask::Exit {
        validator: ValidatorNo(0),
        index: index(named),
        epoch: Epoch(epoch),
        half: half(by, 0, &exit_root(0, epoch)),
    };
    let bad_half = Answer::PartlyRefused(vec![(0, Refusal::BadHalf(ValidatorNo(0)))]);
    assert_eq!(world.ask(1, ask(2, 0, 90)), bad_half);
    assert!(matches!(world.ask(1, ask(1, 1, 90)), Answer::Refused(Refusal::WrongIndex { .. })));
    assert!(matches!(world.ask(1, ask(1, 0, NOW_EPOCH + 1)), Answer::Refused(Refusal::NoDuty(_))));
    assert!((1..=4).all(|me| world.person(me).node.approvals().exits.is_empty()), "nobody has heard of it");
    assert_eq!(world.ask(1, ask(1, 0, NOW_EPOCH)), Answer::Accepted);
}

#[test]
fn approvals_survive_a_restart_and_are_said_again() {
    let mut world = World::new();
    world.away.push(4);
    for me in [1, 2] {
        world.exit(me, 0, 90);
    }
    for me in [1, 2] {
        world.restart(me);
    }
    // Operator 4 has heard nothing until now; its own approval is the third.
    for me in 1..=4 {
        world.reconnect(me);
        world.indices(me);
    }
    assert_eq!(world.exit(4, 0, 90), Answer::Accepted);
    assert!((1..=4).all(|me| left(&world, me) == [(1000, 90)]));
}

#[test]
fn an_exit_that_was_taken_is_not_handed_in_again_and_one_that_was_not_is() {
    let mut world = World::new();
    world.persons.get_mut(&1).unwrap().takes = false;
    for me in [1, 2, 3] {
        world.exit(me, 0, 90);
    }
    world.indices(1);
    assert_eq!(left(&world, 1), [(1000, 90), (1000, 90)], "no beacon node took it");
    world.persons.get_mut(&1).unwrap().takes = true;
    world.indices(1);
    world.indices(1);
    assert_eq!(left(&world, 1).len(), 3);
    for me in [1, 2] {
        world.restart(me);
        world.reconnect(me);
        world.indices(me);
        assert!(left(&world, me).is_empty(), "operator {me} remembers that it is over");
        assert!(world.person(me).node.approvals().exits[0].taken);
    }
}

#[test]
fn an_exit_waits_for_the_chain_to_know_the_validator() {
    let mut world = World::unindexed();
    for me in [1, 2, 3] {
        assert_eq!(world.exit(me, 0, 90), Answer::Accepted);
    }
    assert_eq!(left(&world, 1), [(1000, 90)], "its own client has named the index");
    assert!(left(&world, 4).is_empty());
    world.indices(4);
    assert_eq!(left(&world, 4), [(1000, 90)]);
}

#[test]
fn a_forged_partial_is_its_authors_fault_and_stops_nobody() {
    let mut world = World::new();
    world.persons.get_mut(&1).unwrap().forges = true;
    for me in [1, 2, 3] {
        world.exit(me, 0, 90);
    }
    assert!((1..=4).all(|me| left(&world, me).is_empty()));
    world.exit(4, 0, 90);
    for me in 1..=4 {
        assert_eq!(left(&world, me), [(1000, 90)]);
        assert_eq!(world.person(me).faults, [(operator(1), Fault::BadPartial(ValidatorNo(0)))]);
        let approvals = world.person(me).node.approvals();
        assert_eq!(approvals.exits[0].operators, BTreeSet::from([2, 3, 4].map(operator)));
    }
}
