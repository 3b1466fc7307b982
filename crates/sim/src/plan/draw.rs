//! Plans from seeds: a mix of clients, clocks, delays and weather, and at most `f` faulty operators, or more.
//!
//! Which faults strike at which steps is not left to luck: each seed takes the next [`CELLS`] pairs of the table of all, so
//! that so many seeds cover it as often as they can.

use super::{Bound, Plan, SLOTS};
use crate::client::Selecting;
use crate::clock::Clock;
use crate::fault::{Fault, Step, What};
use crate::network::{Delay, Weather};
use crate::setup::Setup;
use crate::villains::Habit;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use types::{Epoch, Millis, ShareIndex, Slot};

/// Pairs of fault and step that a seed tries.
const CELLS: u64 = 8;
/// So far apart in the table are those of one seed, so that they are of different faults and steps; prime to its length.
const STRIDE: u64 = 89;
/// Every so many seeds more than `f` operators are faulty.
const BEYOND: u64 = 4;
/// Every so many seeds, a multiple of [`BEYOND`], a run is long enough for votes that surround others.
const LONG: u64 = 40;
/// Every so many seeds, a multiple of [`BEYOND`], views are split and leaders are cut off.
const SPLIT: u64 = 12;

/// One in so many of the runs with many faulty operators has a fault at all of them that the table would seldom put there.
const EVERYBODY: u64 = 5;

struct Draw(ChaCha8Rng);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    fn within(&mut self, low: i64, high: i64) -> i64 {
        low + (self.0.next_u64() % (high - low + 1) as u64) as i64
    }

    /// One in so many.
    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
        let (operators, threshold) = if draw.one_in(8) { (7, 5) } else { (4, 3) };
        let mut setup = Setup { seed, ..Setup::new(operators, threshold, 2 + draw.below(3) as u32) };
        surround(&mut draw, &mut setup);
        let bound = if seed % BEYOND == BEYOND - 1 { Bound::Beyond } else { Bound::Within };
        if bound == Bound::Beyond && setup.selecting.contains(&Selecting::EpochAhead) {
            // Who asks once, an epoch ahead, has asked in vain for the epoch if too many were down just then.
            setup.selecting = vec![Selecting::SlotAhead; operators];
        }
        let mut plan = Self { setup, faults: Vec::new(), bound, slots: SLOTS };
        match bound {
            Bound::Within => few(&mut draw, &mut plan),
            Bound::Beyond if seed % LONG == LONG - 1 => astray(&mut draw, &mut plan),
            Bound::Beyond if seed % SPLIT == SPLIT - 1 => split(&mut draw, &mut plan),
            Bound::Beyond => many(&mut draw, &mut plan),
        }
        plan.setup.born = draw.one_in(2) || plan.setup.habits.contains(&Habit::SplitBrain);
        plan
    }
}

/// What is as it may be in any healthy cluster.
fn surround(draw: &mut Draw, setup: &mut Setup) {
    let operators = setup.size.operators();
    setup.ordinary = 2 + draw.below(4) as u32;
    setup.delay = Delay { min_ms: 1, max_ms: 1 + draw.below(120) };
    let chance = |draw: &mut Draw| if draw.one_in(2) { 0 } else { draw.below(40) };
    setup.weather = Weather { lost: chance(draw), doubled: chance(draw), overtaking: chance(draw) };
    setup.sync = Millis(draw.below(30));
    setup.head_delays = (0..operators).map(|_| Millis(draw.below(600))).collect();
    let since = Millis(setup.spec().genesis_time_ms);
    let clock = |draw: &mut Draw| Clock {
        ahead_ms: draw.within(-100, 100),
        drift_ppm: draw.within(-200, 200),
        since,
    };
    setup.clocks = (0..operators).map(|_| clock(draw)).collect();
    setup.eager = draw.one_in(4);
    let together = draw.pick(&[Selecting::InSlot, Selecting::SlotAhead, Selecting::EpochAhead]);
    setup.selecting = vec![together; operators];
    if together != Selecting::EpochAhead {
        setup.selecting =
            (0..operators).map(|_| draw.pick(&[Selecting::InSlot, Selecting::SlotAhead])).collect();
    }
}

/// The table of all pairs of fault and step. Not every operator proposes soon, and whoever has imported a record is silent
/// when the next thing is due: these are in it twice.
fn table() -> Vec<(What, Step)> {
    let steps = || Step::ALL.iter().chain([&Step::Propose]);
    What::ALL.iter().chain([&What::Record]).flat_map(|what| steps().map(move |step| (*what, *step))).collect()
}

/// The pairs of fault and step whose turn it is.
fn cells(seed: u64) -> Vec<(What, Step)> {
    let table = table();
    let count = table.len() as u64;
    let cell = |number| {
        let turn = seed * CELLS + number;
        // Each time around a step further, lest the same seeds always had the same cells.
        table[((turn * STRIDE + turn / count) % count) as usize]
    };
    let mut cells: Vec<_> = (0..CELLS).map(cell).collect();
    // Who has imported a record that reaches ahead is silent from then on, and nothing more would happen to it.
    cells.sort_by_key(|(what, _)| *what == What::Record);
    cells
}

/// How long a fault lasts, in milliseconds: from a moment to some slots.
fn lasts(draw: &mut Draw, what: What, slot_ms: u64) -> Millis {
    let [least, most] = match what {
        What::Crash | What::Record => [1, 30_000],
        What::Reset | What::Cut | What::Stall => [50, 20_000],
        What::Ahead | What::Behind if draw.one_in(4) => [1_000, 40_000],
        What::Ahead | What::Behind => [10, 2_000],
        What::Stop
        | What::BeaconDead
        | What::BeaconLate
        | What::BeaconFork
        | What::BeaconStray
        | What::BeaconPicky
        | What::DiskFails
        | What::DiskSlow
        | What::ClientSilent
        | What::ClientLate
        | What::ClientAsleep
        | What::ClientIdle
        | What::ClientBad
        | What::ClientHalf => [slot_ms / 2, 3 * slot_ms],
    };
    Millis(least + draw.below(most - least))
}

/// At most `f` faulty operators: villains, and others at which one thing after the other goes wrong.
fn few(draw: &mut Draw, plan: &mut Plan) {
    let slot_ms = plan.setup.slot_ms;
    let mut operators: Vec<ShareIndex> = plan.setup.size.indices().collect();
    let mut faulty = Vec::new();
    for _ in 0..plan.setup.size.faults() {
        faulty.push(operators.swap_remove(draw.below(operators.len() as u64) as usize));
    }
    // With one faulty operator it is now the one, now the other; with two often both.
    let villains = if faulty.len() == 1 { usize::from(draw.one_in(3)) } else { draw.below(2) as usize };
    for villain in faulty.drain(..villains) {
        plan.setup.habits[villain.position()] = draw.pick(&Habit::ALL[1..]);
    }
    for (number, (what, step)) in (0..).zip(cells(plan.setup.seed)) {
        if faulty.is_empty() {
            break;
        }
        let (who, from) = (draw.pick(&faulty), Slot(1 + 5 * number / 4 + draw.below(2)));
        plan.faults.push(Fault { who, what, lasts: lasts(draw, what, slot_ms), step, from });
    }
    if let Some(one) = faulty.first().filter(|_| draw.one_in(8)) {
        plan.setup.selecting[one.position()] = Selecting::Never;
    }
}

/// The same thing goes wrong at many operators, or at all, in the same slot.
fn many(draw: &mut Draw, plan: &mut Plan) {
    let (slot_ms, size) = (plan.setup.slot_ms, plan.setup.size);
    if draw.one_in(3) {
        let villain = draw.below(size.operators() as u64) as usize;
        plan.setup.habits[villain] = draw.pick(&Habit::ALL[1..]);
    }
    let faults = usize::from(size.faults());
    let mut count = faults + 1 + draw.below((size.operators() - faults) as u64) as usize;
    let mut cells = cells(plan.setup.seed);
    cells.truncate(2);
    if draw.one_in(EVERYBODY) {
        // What nobody makes up for.
        count = size.operators();
        cells[0] = (draw.pick(&[What::BeaconStray, What::DiskFails]), Step::Begin);
    }
    for (number, (what, step)) in (0..).zip(cells) {
        let mut operators: Vec<ShareIndex> = size.indices().collect();
        let from = Slot(1 + 3 * number + draw.below(3));
        for _ in 0..count {
            let who = operators.swap_remove(draw.below(operators.len() as u64) as usize);
            plan.faults.push(Fault { who, what, lasts: lasts(draw, what, slot_ms), step, from });
        }
    }
    if draw.one_in(8) {
        plan.setup.selecting = vec![Selecting::Never; size.operators()];
    }
}

/// Once epochs have been justified all beacon nodes, or all but one, follow a branch on which they were not.
fn astray(draw: &mut Draw, plan: &mut Plan) {
    let spec = plan.setup.spec();
    let first = spec.epoch_start(Epoch(4));
    for who in plan.setup.size.indices().skip(draw.below(2) as usize) {
        let lasts = Millis(plan.setup.slot_ms * (1 + draw.below(spec.slots_per_epoch)));
        plan.faults.push(Fault { who, what: What::BeaconFork, lasts, step: Step::Begin, from: first });
    }
    plan.slots = first.0 + spec.slots_per_epoch;
}

/// Half of the beacon nodes follow another branch, and whoever is about to propose a way out is cut off.
fn split(draw: &mut Draw, plan: &mut Plan) {
    let (slot_ms, size) = (plan.setup.slot_ms, plan.setup.size);
    let (from, epoch) = (Slot(2 + draw.below(4)), plan.setup.spec().slots_per_epoch);
    for who in size.indices() {
        let lasts = Millis(3 * slot_ms);
        if who.position() < size.operators() / 2 {
            plan.faults.push(Fault { who, what: What::BeaconFork, lasts, step: Step::Begin, from });
        }
        // Longer than votes are of use.
        let lasts = Millis((epoch + 1 + draw.below(3)) * slot_ms);
        plan.faults.push(Fault { who, what: What::Cut, lasts, step: Step::Propose, from });
    }
}
