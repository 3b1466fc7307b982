//! Thousands of schedules: any delays and orders, up to `f` faulty operators of every sort. No two honest
//! nodes may decide differently, and once messages are in time all must decide.
//!
//! A failure prints its seed; `SYMBOLON_SEEDS=first..end` runs others.

mod net;

use net::chaos::Chaos;
use net::twins::{Face, Twins};
use net::{Event, Lcg, START, World, hash, index};
use std::collections::BTreeSet;
use symbolon_core::agree::Input;
use types::ShareIndex;
use types::wire::Kind;

/// Seeds in a plain test run: some 20 seconds unoptimised.
const SEEDS: std::ops::Range<u64> = 0..2_000;
/// From here on messages take at most 120 ms and villains are quiet.
const CALM: u64 = START + 6_000;
/// By then everybody has decided.
const END: u64 = START + 120_000;

#[allow(clippy::disallowed_methods, reason = "seeds are a wish of whoever runs the test, not of core")]
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("SYMBOLON_SEEDS") else { return SEEDS };
    let (first, end) = text.split_once("..").expect("first..end");
    first.parse().expect("a number")..end.parse().expect("a number")
}

struct Faults {
    villains: Vec<ShareIndex>,
    dead: Vec<ShareIndex>,
    restarted: Vec<ShareIndex>,
}

fn faults(world: &World, rng: &mut Lcg) -> Faults {
    let mut faults = Faults { villains: vec![], dead: vec![], restarted: vec![] };
    let mut taken = BTreeSet::new();
    for _ in 0..world.size.faults() {
        let node = index(1 + rng.below(world.size.operators() as u64) as usize);
        if !taken.insert(node) {
            continue;
        }
        match rng.below(10) {
            0 => faults.dead.push(node),
            1 => faults.restarted.push(node),
            _ => faults.villains.push(node),
        }
    }
    faults
}

fn world(seed: u64) -> World {
    let mut rng = Lcg(seed);
    rng.below(1);
    let kind = if rng.chance(60) { Kind::Attest } else { Kind::Propose };
    let n = if rng.chance(70) { 4 } else { 7 };
    let mut world = World::new(n, kind, rng.below(n as u64));
    world.partials = rng.chance(50);
    world.check_ms = if rng.chance(30) { rng.below(20) } else { 0 };
    let faults = faults(&world, &mut rng);
    for node in world.size.indices().collect::<Vec<_>>() {
        let text = match kind {
            Kind::Attest => ["a", "a", "bb"][rng.below(3) as usize].to_owned(),
            _ => format!("b{node}"),
        };
        world.own.insert(node, (text.clone(), rng.below(300)));
        if kind == Kind::Attest && rng.chance(80) {
            let late = rng.below(600);
            world.own_at(late, node.position() + 1, &text);
            if rng.chance(30) {
                // The head changes.
                world.own_at(late + rng.below(100), node.position() + 1, "bb");
            }
        }
    }
    for node in &faults.restarted {
        world.add(*node, true);
    }
    for node in &faults.villains {
        world.nodes.remove(node);
        enlist(&mut world, *node, &mut rng);
    }
    for node in &faults.dead {
        world.nodes.remove(node);
    }
    presence(&mut world, &mut rng);
    if kind == Kind::Propose {
        confide(&mut world, &mut rng);
    }
    world.delay = weather(&world, rng);
    world
}

fn enlist(world: &mut World, node: ShareIndex, rng: &mut Lcg) {
    let mut moves = 60;
    if rng.chance(50) {
        let texts = ["a", "bb", "x", "bad", "b1", "b2", "yy"].map(str::to_owned).to_vec();
        let own = Lcg(rng.below(u64::MAX));
        world.villains.insert(node, Box::new(Chaos::new(node, world.size, world.instance, own, texts)));
    } else {
        let peers: Vec<_> = world.size.others(node).collect();
        let face = |text: &str, rng: &mut Lcg| {
            let mut some = |share| peers.iter().copied().filter(|_| rng.chance(share)).collect();
            Face::new(world.setup(node, false), text, some(80), some(60))
        };
        let faces = [face("a", rng), face("bb", rng)];
        world.villains.insert(node, Box::new(Twins { me: node, faces, open: true }));
        moves = 300;
    }
    for _ in 0..moves {
        let when = START + rng.below(CALM - START);
        world.at(when, node, Event::Act);
    }
}

/// What belongs to blocks that faulty operators lead with is with some honest nodes only, or with none.
fn confide(world: &mut World, rng: &mut Lcg) {
    let honest: Vec<_> = world.nodes.keys().copied().collect();
    let theirs =
        world.size.indices().filter(|node| !world.nodes.contains_key(node)).map(|node| format!("b{node}"));
    for text in theirs.chain(["a", "bb", "x", "yy"].map(str::to_owned)).collect::<Vec<_>>() {
        let share = rng.below(101);
        let lack = honest.iter().filter(|_| rng.chance(share)).map(|node| (*node, hash(&text)));
        world.lacking.extend(lack.collect::<Vec<_>>());
    }
}

/// Delays of up to 120 ms when calm. Before: some messages are seconds late, how many differs from run to
/// run; and in half of the runs the honest nodes are in two camps which hear each other seconds late.
fn weather(world: &World, mut rng: Lcg) -> net::Delay {
    let (late, split) = (rng.below(30), rng.chance(50));
    let camp: BTreeSet<_> = world.nodes.keys().copied().filter(|_| split && rng.chance(50)).collect();
    let honest: BTreeSet<_> = world.nodes.keys().copied().collect();
    Box::new(move |now, from, to, _| {
        let apart =
            honest.contains(&from) && honest.contains(&to) && camp.contains(&from) != camp.contains(&to);
        let stormy = now.0 < CALM && (rng.chance(late) || (apart && rng.chance(90)));
        let tail = if stormy { rng.below(1 + CALM - now.0.max(START)) } else { 0 };
        Some(1 + rng.below(119) + tail)
    })
}

/// What nodes think of each other's presence is right, or not: it must not matter.
fn presence(world: &mut World, rng: &mut Lcg) {
    let alive: BTreeSet<_> = world.nodes.keys().chain(world.villains.keys()).copied().collect();
    for node in world.nodes.keys().copied().collect::<Vec<_>>() {
        for _ in 0..rng.below(4) {
            let wrong = rng.chance(40);
            let heard = alive.iter().copied().filter(|_| !wrong || rng.chance(60)).collect();
            world.at(rng.below(START + 3_000), node, Event::Input(Input::Heard(heard)));
        }
        world.at(CALM, node, Event::Input(Input::Heard(alive.clone())));
    }
}

#[test]
fn whatever_f_operators_do_the_others_decide_the_same_and_do_decide() {
    for seed in seeds() {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = world(seed);
            world.run(END);
            world.agreed();
        });
        if let Err(reason) = outcome {
            let text = reason.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("seed {seed}: {text}");
        }
    }
}
