//! How many colluding equivocators it takes: `2t - n`, and not one fewer.

use sim::network::Delay;
use sim::villains::Habit;
use sim::world::{Setup, World};
use types::{Millis, ShareIndex, Slot};

const EQUIVOCATOR: Habit = Habit::Equivocator;
const HONEST: Habit = Habit::Honest;

/// Two sides that do not hear each other, whose beacon nodes see different heads, and villains with a face for
/// each. Everything else is drawn from the seed. Nobody is slashed but for attestations and blocks, so there is
/// nothing else.
fn divided(seed: u64, operators: usize, threshold: usize, habits: Vec<Habit>) -> Setup {
    let honest = (1..).zip(&habits).filter(|(_, habit)| **habit == HONEST);
    let honest: Vec<_> = honest.filter_map(|(index, _)| ShareIndex::new(index)).collect();
    let right = honest[honest.len() / 2..].iter().copied().collect();
    let mut setup = Setup {
        seed,
        habits,
        right,
        parted: true,
        ordinary: 2,
        plain: true,
        ..Setup::new(operators, threshold, 6)
    };
    setup.delay = Delay { min_ms: 1, max_ms: 1 + seed % 120 };
    let late =
        |index: ShareIndex| if setup.right.contains(&index) { Millis(setup.slot_ms) } else { Millis(0) };
    setup.head_delays = setup.size.indices().map(late).collect();
    setup
}

fn violations(setup: Setup, slots: u64) -> Vec<String> {
    let mut world = World::new(setup);
    world.run_to(Slot(slots));
    world.violations().iter().map(ToString::to_string).collect()
}

fn is_slashing(what: &str) -> bool {
    what.contains("can be slashed for")
}

#[test]
fn as_many_as_two_quorums_share_do_produce_a_slashable_pair_and_the_judge_names_it() {
    for (n, t, habits) in [
        (4, 3, vec![HONEST, HONEST, EQUIVOCATOR, EQUIVOCATOR]),
        (7, 5, [vec![HONEST; 4], vec![EQUIVOCATOR; 3]].concat()),
    ] {
        let found = violations(divided(1, n, t, habits), 12);
        // They break the agreement, too, which the judge of that says.
        let agreed_twice =
            |what: &String| what.contains("has certificates in round") || what.contains("is decided for");
        assert!(found.iter().any(|what| is_slashing(what)), "n = {n}");
        assert!(found.iter().all(|what| is_slashing(what) || agreed_twice(what)), "{found:?}");
    }
}

#[test]
fn one_fewer_produces_none_in_a_thousand_seeds() {
    for seed in 0..1000 {
        let (n, t, habits) = if seed % 4 == 0 {
            (7, 5, [vec![HONEST; 5], vec![EQUIVOCATOR; 2]].concat())
        } else {
            (4, 3, vec![HONEST, HONEST, HONEST, EQUIVOCATOR])
        };
        let found = violations(divided(seed, n, t, habits), 6);
        assert!(found.is_empty(), "seed {seed}: {found:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut world = World::new(divided(seed, 4, 3, vec![HONEST, HONEST, HONEST, EQUIVOCATOR]));
        world.run_to(Slot(6));
        world.trace_hash()
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
