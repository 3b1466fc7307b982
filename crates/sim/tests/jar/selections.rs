//! Clients that ask for selection proofs at different times, or not at all.
//!
//! A proof needs halves of `t` operators, so it is there when the `t`-th of their clients has asked; and an aggregate
//! needs `t` operators whose clients had the proof in time. What each mix of four clients gives at `t = 3`:
//!
//! | clients | the third asks | who has the proofs |
//! |---|---|---|
//! | all in the slot, all a slot ahead, all an epoch ahead | with the first | all |
//! | some a slot ahead, the others in the slot | when the slot begins | all: the earlier ones' questions are held till then |
//! | three an epoch ahead, one later | an epoch ahead | all: the later one is answered at once |
//! | one an epoch ahead, three later | later | the three; the early one's question is answered without, after a slot |
//! | two an epoch ahead, two later | later | the two later ones: too few, unless the early ones ask again |
//!
//! The last row is the one in which aggregates are missed, and only those: no answer to a question for a whole epoch can
//! wait for a client that asks slot by slot.

use super::*;
use sim::client::Selecting::{self, EpochAhead, InSlot, Never, SlotAhead};
use symbolon_core::Ending;

const AGGREGATES: [Kind; 2] = [Kind::Aggregate, Kind::Contribute];

fn mix(selecting: [Selecting; 4]) -> World {
    run(Setup { selecting: selecting.to_vec(), ..mixed() }, 30)
}

#[test]
fn nothing_is_missed_where_three_clients_can_have_the_proofs() {
    for selecting in [
        [InSlot; 4],
        [SlotAhead; 4],
        [EpochAhead; 4],
        [SlotAhead, InSlot, InSlot, InSlot],
        [SlotAhead, SlotAhead, InSlot, InSlot],
        [SlotAhead, SlotAhead, SlotAhead, InSlot],
        [EpochAhead, InSlot, InSlot, InSlot],
        [EpochAhead, SlotAhead, InSlot, InSlot],
        [EpochAhead, SlotAhead, SlotAhead, InSlot],
        [EpochAhead, EpochAhead, EpochAhead, InSlot],
        [EpochAhead, EpochAhead, EpochAhead, SlotAhead],
    ] {
        let world = mix(selecting);
        assert_eq!(world.missed(1..=30), [], "{selecting:?}");
        assert_all_done(&world, 1..=30);
    }
}

#[test]
fn two_that_ask_an_epoch_ahead_and_two_that_do_not_have_no_aggregates_and_lose_nothing_else() {
    for later in [InSlot, SlotAhead] {
        let world = mix([EpochAhead, EpochAhead, later, later]);
        let missed = world.missed(16..=30);
        assert!(!missed.is_empty());
        assert_eq!(missed_of(&world, 16..=30, &AGGREGATES), missed);
        assert_eq!(world.violations(), []);
    }
}

#[test]
fn a_client_outside_distributed_mode_keeps_working_and_is_told_so_in_the_outcome() {
    let world = mix([InSlot, InSlot, Never, InSlot]);
    assert_all_done(&world, 1..=30);
    for kind in AGGREGATES {
        let of = |who| {
            let of_kind = world
                .outcomes
                .iter()
                .filter(move |(by, outcome)| *by == who && outcome.instance.kind == kind);
            of_kind.map(|(_, outcome)| outcome.ending).collect::<Vec<_>>()
        };
        assert!(
            of(operator(3)).len() > 10
                && of(operator(3)).iter().all(|ending| *ending == Ending::NotDistributed)
        );
        assert!(of(operator(1)).len() > 10 && of(operator(1)).iter().all(|ending| *ending == Ending::Done));
    }
    let attests = world
        .outcomes
        .iter()
        .filter(|(who, outcome)| *who == operator(3) && outcome.instance.kind == Kind::Attest);
    assert!(
        attests.clone().count() > 10 && attests.clone().all(|(_, outcome)| outcome.ending == Ending::Done)
    );
}

#[test]
fn two_clients_outside_distributed_mode_cost_the_aggregates_and_nothing_else() {
    let world = mix([InSlot, Never, Never, InSlot]);
    let missed = world.missed(1..=30);
    assert_eq!(missed_of(&world, 1..=30, &AGGREGATES), missed);
    let count = counted(&world, 1..=30);
    assert_eq!(AGGREGATES.map(|kind| count[&kind].done), [0, 0]);
    assert_eq!(world.violations(), []);
}

#[test]
fn with_one_dead_the_other_three_have_to_have_the_proofs() {
    let habits = vec![
        sim::villains::Habit::Honest,
        sim::villains::Habit::Mute,
        sim::villains::Habit::Honest,
        sim::villains::Habit::Honest,
    ];
    for selecting in [
        [InSlot; 4],
        [SlotAhead, InSlot, InSlot, InSlot],
        [EpochAhead; 4],
        [SlotAhead, InSlot, SlotAhead, InSlot],
    ] {
        let world = run(Setup { selecting: selecting.to_vec(), habits: habits.clone(), ..mixed() }, 30);
        assert_all_done(&world, 1..=30);
    }
}
