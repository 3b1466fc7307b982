//! Leaders with two faces.

use super::*;
use sim::villains::Habit;
use types::Millis;

#[test]
fn a_leader_that_proposes_two_sets_of_contributions_does_no_harm() {
    // Ordinary members vote four seconds into a slot. The second face's pool lags by five, so it never has their votes
    // when contributions are due, and proposes others than the first.
    let habits = vec![Habit::Honest, Habit::Honest, Habit::Honest, Habit::Equivocator];
    let right = std::collections::BTreeSet::from([operator(3)]);
    for loud in [false, true] {
        let late = Some(Millis(5_000));
        let world = run(Setup { habits: habits.clone(), right: right.clone(), late, loud, ..mixed() }, 40);
        assert_eq!(world.violations(), []);
        assert_eq!(world.missed(1..=40), []);
        assert!(!loud || world.evidence.keys().all(|author| *author == operator(4)));
        assert!(!loud || world.evidence.contains_key(&operator(4)), "both faces were seen");
    }
}

#[test]
fn a_forger_is_caught_and_then_left_out_of_what_is_combined() {
    let habits = vec![Habit::Honest, Habit::Honest, Habit::Honest, Habit::Forger];
    let world = run(Setup { habits, ..mixed() }, 40);
    assert_eq!(world.violations(), []);
    assert_eq!(world.missed(1..=40), []);
    let blames = world.story.iter().filter(|line| line.what.starts_with("blames #4: BadPartial"));
    let mut slots: BTreeMap<ShareIndex, Vec<Slot>> = BTreeMap::new();
    for line in blames {
        slots.entry(line.who).or_default().push(world.spec().slot_at(line.at).unwrap());
    }
    for honest in (1..=3).map(operator) {
        let caught = &slots[&honest];
        let first = caught[0];
        assert!(caught.iter().all(|slot| *slot == first), "{honest} has looked again: {caught:?}");
    }
}
