use super::world::*;
use crate::ceremony::evidence::Evidence;
use crate::ceremony::{Ceremony, Durable, Input, RecordError, ResumeError, SetupError, Step};
use types::{Root, ShareIndex};

fn undisturbed(n: usize, t: usize, validators: u32) -> World {
    let mut world = World::new(n, t, validators, 1);
    world.start_all();
    world.run();
    world
}

/// Kills some nodes after so many events, with what they were storing kept whole or not at all; starts them again after a
/// pause of as many events, and runs to the end. `None` where nothing is lost because nothing was being stored.
fn killed_at(moment: usize, victims: &[ShareIndex], keep: bool, pause: usize) -> Option<World> {
    let mut world = World::new(3, 2, 1, 1000 + moment as u64);
    world.start_all();
    while world.happened < moment && world.step() {}
    let stores = |event: &Event| matches!(event, Event::Store { at, .. } if victims.contains(at));
    if !keep && !world.events.iter().any(stores) {
        return None;
    }
    victims.iter().for_each(|victim| world.kill_keeping(*victim, keep));
    for _ in 0..pause {
        world.step();
    }
    for victim in victims {
        // A victim that had ended is done with its files: it would only confirm them again.
        world.nodes[victim.position()].end = None;
        world.start(*victim);
    }
    world.run();
    Some(world)
}

#[test]
fn nodes_killed_at_any_event_resume_to_the_same_keys() {
    let plain = undisturbed(3, 2, 1);
    let each = [1, 2, 3].into_iter().flat_map(|number| [(vec![number], true), (vec![number], false)]);
    let each: Vec<_> = each.collect();
    let mut lost = 0;
    for moment in 0..=plain.happened {
        let together = if moment % 2 == 0 { vec![1, 2, 3] } else { vec![1, 3] };
        let together = (together, moment % 4 < 2);
        for (victims, keep) in each.iter().chain([&together]) {
            let victims: Vec<_> = victims.iter().copied().map(index).collect();
            let Some(world) = killed_at(moment, &victims, *keep, moment % 7) else { continue };
            lost += usize::from(!keep);
            for at in world.indices() {
                let end = &world.nodes[at.position()].end;
                let told = format!("{moment}: {victims:?} killed, {at}: {end:?}");
                assert!(matches!(end, Some(End::Finished(missing)) if missing.is_empty()), "{told}");
                assert_eq!(world.lock(at), plain.lock(index(1)), "{told}");
                let machine = world.nodes[at.position()].machine.as_ref().unwrap();
                assert_eq!(machine.unaware(), [], "{told}");
            }
        }
    }
    assert!(lost > 3 * 7, "each of three has lost each of its seven records: {lost}");
}

#[test]
fn all_nodes_killed_at_once_again_and_again_resume_to_the_same_keys() {
    let plain = undisturbed(3, 2, 2);
    for pause in [1, 2, 4, 7, 11] {
        let mut world = World::new(3, 2, 2, pause as u64);
        world.start_all();
        for _ in 0..40 {
            for _ in 0..pause * 3 {
                world.step();
            }
            let all_made = world.nodes.iter().all(|node| node.end.is_some());
            if all_made {
                break;
            }
            let victims = world.indices();
            victims.iter().for_each(|at| world.kill(*at));
            world.nodes.iter_mut().for_each(|node| node.end = None);
            victims.iter().for_each(|at| world.start(*at));
        }
        world.run();
        assert!(world.indices().iter().all(|at| world.lock(*at) == plain.lock(index(1))), "pause {pause}");
    }
}

#[test]
fn the_resumed_halves_are_the_same() {
    let mut world = undisturbed(3, 2, 2);
    let before = world.nodes[0].outcome.take().unwrap().halves;
    world.kill(index(1));
    world.nodes[0].end = None;
    world.start(index(1));
    let after = &world.nodes[0].outcome.as_ref().unwrap().halves;
    for (a, b) in before.iter().zip(after) {
        assert_eq!(*a.vc.to_be_bytes(), *b.vc.to_be_bytes());
        assert_eq!(a.node.public(), b.node.public());
    }
}

#[test]
fn a_node_that_finishes_late_still_gets_what_it_needs_from_the_records_of_others() {
    // The first operator has made its keys, but nobody confirms; it is restarted past its old deadline.
    let mut world = World::new(3, 2, 1, 3);
    world.tamper = Box::new(|from, to, frame| {
        let lost = from == index(1) && to == index(2) && step_of(frame) == Step::Lock;
        if lost { Vec::new() } else { vec![frame.clone()] }
    });
    world.start_all();
    world.run();
    world.deadline();
    let ends: Vec<_> = world.nodes.iter().map(|node| node.end.as_ref().unwrap()).collect();
    assert!(matches!(ends[0], End::Finished(missing) if *missing == [index(2)]));
    assert!(matches!(ends[1], End::Aborted { lock_signed: true, .. }));
    world.tamper = Box::new(|_, _, frame| vec![frame.clone()]);
    for at in world.indices() {
        world.kill(at);
        world.nodes[at.position()].end = None;
        world.nodes[at.position()].setup.deadline = types::Millis(9_000_000);
    }
    world.indices().into_iter().for_each(|at| world.start(at));
    world.run();
    assert_eq!(world.lock(index(2)), world.lock(index(1)));
    assert!(
        world
            .nodes
            .iter()
            .all(|node| matches!(&node.end, Some(End::Finished(missing)) if missing.is_empty()))
    );
}

#[test]
fn damaged_records_are_refused_and_never_panic() {
    let world = undisturbed(3, 2, 1);
    let records: Vec<Vec<u8>> = world.nodes[0].disk.iter().map(|record| record.0.to_vec()).collect();
    assert_eq!(records.len(), 7, "the seed and six steps");
    let resume = |records: &[Vec<u8>]| {
        let setup = setup(3, 2, 1, index(1));
        Ceremony::resume(setup, TestKey(index(1)), TestSealing, records).map(|_| ())
    };
    assert_eq!(resume(&records), Ok(()));
    assert_eq!(resume(&[]), Err(RecordError::NoSeed.into()));
    for number in 0..records.len() {
        let damaged = ResumeError::Record(RecordError::Damaged { number });
        let mut torn = records.clone();
        torn[number].pop();
        assert_eq!(resume(&torn), Err(damaged.clone()));
        let mut other = records.clone();
        other[number][2..34].fill(1);
        let theirs = Root([1; 32]);
        assert_eq!(resume(&other), Err(RecordError::OtherCeremony { theirs }.into()));
        for place in (34..records[number].len()).step_by(97).filter(|_| number > 0) {
            let mut flipped = records.clone();
            flipped[number][place] ^= 1;
            assert_eq!(resume(&flipped), Err(damaged.clone()), "record {number}, byte {place}");
        }
    }
    let mut swapped = records.clone();
    swapped.swap(1, 2);
    assert_eq!(resume(&swapped), Err(RecordError::Damaged { number: 1 }.into()));
    let mut longer = records.clone();
    longer.push(records[6].clone());
    assert_eq!(resume(&longer), Err(RecordError::Damaged { number: 7 }.into()));
}

#[test]
fn records_of_another_seed_are_refused() {
    // Everybody's shares are for the polynomial of our seed; another seed's dealer does not fit its own echo.
    let world = undisturbed(3, 2, 1);
    let mut records: Vec<Vec<u8>> = world.nodes[0].disk.iter().map(|record| record.0.to_vec()).collect();
    *records[0].last_mut().unwrap() ^= 1;
    let resumed = Ceremony::resume(setup(3, 2, 1, index(1)), TestKey(index(1)), TestSealing, &records);
    assert_eq!(resumed.map(|_| ()).unwrap_err(), RecordError::Wrong { step: Step::Echo }.into());
}

#[test]
fn a_second_seed_for_one_ceremony_is_a_proved_contradiction() {
    let mut world = World::new(3, 2, 1, 3);
    world.start_all();
    while !world.nodes[1].printed.contains("step: Echo") && world.step() {}
    world.kill(index(1));
    world.nodes[0].disk.clear();
    // A fresh seed under the old attempt, as if its operator had restored an empty disk.
    let fresh = keys::frost::CeremonySeed::new(zeroize::Zeroizing::new([77; 32]));
    let machine = Ceremony::begin(setup(3, 2, 1, index(1)), fresh, TestKey(index(1)), TestSealing).unwrap();
    world.nodes[0].machine = Some(machine);
    world.handle(index(1), Input::Stored(Durable::Seed));
    for peer in [2, 3].map(index) {
        world.handle(index(1), Input::PeerUp(peer));
        world.handle(peer, Input::PeerUp(index(1)));
    }
    world.run();
    for at in [2, 3].map(index) {
        assert_eq!(world.named_by(at), [index(1)]);
        let Some(End::Aborted { cause: crate::ceremony::Cause::Faults(faults), .. }) =
            &world.nodes[at.position()].end
        else {
            panic!("no fault")
        };
        assert!(matches!(faults[0].evidence, Evidence::Conflict(_)));
    }
}

#[test]
fn a_setup_that_makes_no_ceremony_is_refused() {
    let begin = |setup, key| Ceremony::begin(setup, seed_of(index(1)), key, TestSealing).map(|_| ());
    let good = setup(3, 2, 1, index(1));
    let key = TestKey(index(1));
    let many = crate::ceremony::Setup { validators: 10_001, ..good.clone() };
    assert_eq!(begin(many, key.clone()), Err(SetupError::Validators(10_001)));
    let none = crate::ceremony::Setup { validators: 0, ..good.clone() };
    assert_eq!(begin(none, key.clone()), Err(SetupError::Validators(0)));
    let stranger = crate::ceremony::Setup { me: index(4), ..good.clone() };
    assert_eq!(begin(stranger, key), Err(SetupError::Stranger(index(4))));
    assert_eq!(begin(good, TestKey(index(2))), Err(SetupError::NodeKey(index(2))));
}
