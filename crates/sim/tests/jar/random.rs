//! Hundreds of worlds with one crash, everything drawn from the seed: delays, late beacon nodes, crashes, when clients ask.
//!
//! `SYMBOLON_SEEDS=first..end` runs others.

use super::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use sim::chain::Rejection;
use sim::client::Selecting;
use sim::network::Delay;
use types::Millis;

/// Seeds of the plain test run; `tests/faults.rs` has a thousand others, with everything that can go wrong.
const SEEDS: std::ops::Range<u64> = 0..200;

const LAST: u64 = 20;

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("SYMBOLON_SEEDS") else { return SEEDS };
    let (first, end) = text.split_once("..").expect("SYMBOLON_SEEDS=first..end");
    first.parse().unwrap()..end.parse().unwrap()
}

/// A world with at most `f` operators faulty, and the mixes of clients in which nothing has to be missed.
fn world(seed: u64) -> World {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |end: u64| rng.next_u64() % end;
    let (n, t) = [(4, 3), (4, 3), (7, 5)][below(3) as usize];
    let mut setup = Setup { seed, ordinary: below(10) as u32, ..Setup::new(n, t, 4 + below(8) as u32) };
    setup.delay = Delay { min_ms: 1, max_ms: 1 + below(120) };
    setup.sync = Millis(below(30));
    setup.head_delays = (0..n).map(|_| Millis(below(600))).collect();
    let together = [Selecting::InSlot, Selecting::SlotAhead, Selecting::EpochAhead][below(3) as usize];
    setup.selecting = vec![together; n];
    if together != Selecting::EpochAhead {
        let either = |more: u64| if more == 0 { Selecting::InSlot } else { Selecting::SlotAhead };
        setup.selecting = (0..n).map(|_| either(below(2))).collect();
    }
    let mut world = World::new(setup);
    // One after the other, so that never more than one is down or has just come back.
    let first = 1 + below(6);
    let at = world.spec().slot_start(Slot(first)).after(Millis(below(12_000)));
    let back = at.after(Millis(below(30_000)));
    world.kill(operator(1 + below(n as u64) as u8), at, (below(3) > 0).then_some(back));
    world
}

#[test]
fn no_duty_of_any_kind_is_missed_and_no_rule_broken() {
    for seed in seeds() {
        let mut world = world(seed);
        world.run_to(Slot(LAST + 2));
        assert_eq!(world.violations(), [], "seed {seed}");
        assert_eq!(world.missed(1..=LAST), [], "seed {seed}");
        // A node that comes back hands in what it finds signed, and some of that is too late by then.
        let wrong = |rejection: &&Rejection| !matches!(rejection, Rejection::Slot(_));
        assert_eq!(world.chain.rejected().iter().find(wrong), None, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut world = world(seed);
        world.run_to(Slot(LAST));
        world.trace_hash()
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
