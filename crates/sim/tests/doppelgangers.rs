//! Nobody in the jar signs outside its cluster, so every doppelganger that a node believes in is a false alarm.

use sim::network::Delay;
use sim::villains::Habit;
use sim::world::{Setup, World};
use types::{Millis, ShareIndex, Slot};

/// Six epochs: four of them can be judged.
const SLOTS: u64 = 48;

fn operator(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

#[test]
fn nobody_cries_wolf_while_operators_die_restart_and_are_mute() {
    for seed in 0..20 {
        let mut setup = Setup { seed, ordinary: 3, ..Setup::new(4, 3, 5) };
        setup.delay = Delay { min_ms: 1, max_ms: 1 + seed * 30 };
        if seed % 3 == 0 {
            setup.habits[3] = Habit::Mute;
        }
        let slot = Millis(setup.slot_ms);
        let mut world = World::new(setup);
        let start = world.spec().slot_start(Slot(9 + seed));
        world.kill(operator(1 + (seed % 4) as u8), start, Some(start.after(Millis(slot.0 * (1 + seed % 7)))));
        world.run_to(Slot(SLOTS));
        assert_eq!(world.false_alarms, [], "seed {seed}");
    }
}

#[test]
fn nobody_cries_wolf_where_equivocators_part_the_operators() {
    let habits = vec![Habit::Honest, Habit::Honest, Habit::Honest, Habit::Equivocator];
    for seed in 0..20 {
        let right = [operator(3)].into();
        let setup =
            Setup { seed, habits: habits.clone(), right, parted: true, ordinary: 2, ..Setup::new(4, 3, 6) };
        let mut world = World::new(setup);
        world.run_to(Slot(SLOTS));
        assert_eq!(world.false_alarms, [], "seed {seed}");
    }
}
