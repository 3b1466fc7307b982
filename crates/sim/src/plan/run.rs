//! A plan's run, judged; and the least part of a plan that still breaks a rule.

use super::{Bound, Plan, SLOTS};
use crate::fault::{Step, What};
use crate::judges::Violation;
use crate::judges::bounds;
use crate::judges::duties::{self, Tally};
use crate::network::Weather;
use crate::villains::Habit;
use crate::world::World;
use std::collections::BTreeMap;
use symbolon_core::Ending;
use types::wire::Kind;
use types::{Root, Slot};

/// So many slots after the last fault is over nothing may be missed any more: a node that was started again follows in
/// the slot in which it was and in the next, and one more for what is under way.
const RECOVERY: u64 = 3;
/// So many slots are judged after that.
const CALM: u64 = 3;
/// In every so many runs, and in all long ones, it is measured what a node has on its mind, which takes as long as some
/// slots.
const MIND_EVERY: u64 = 8;

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// What the judges found, by judge.
    pub found: Vec<(&'static str, Violation)>,
    /// A hash of everything that happened, in order.
    pub trace: Root,
    /// What struck.
    pub struck: Vec<(What, Step)>,
    /// How duties ended, at all operators.
    pub endings: BTreeMap<Ending, u64>,
    /// Duties that had to be done.
    pub duties: BTreeMap<Kind, Tally>,
    /// Duties of all slots.
    pub all: BTreeMap<Kind, Tally>,
    /// Frames that doors refused.
    pub turned_away: u64,
    /// Pieces of evidence.
    pub evidence: usize,
    /// The most that a node had on its mind.
    pub mind_len: usize,
    /// The world as it ended.
    pub world: World,
}

impl Plan {
    /// Runs and judges, without a story.
    pub fn run(&self) -> Run {
        let mut world = self.world();
        world.hush();
        self.judge(world)
    }

    /// The same, with its story.
    pub fn tell(&self) -> Run {
        self.judge(self.world())
    }

    fn judge(&self, mut world: World) -> Run {
        world.run_to(Slot(self.slots));
        world.call_off();
        let calm = self.calm(&world);
        let judged = match self.bound {
            Bound::Within => Some(1..=self.slots.saturating_sub(2)),
            Bound::Beyond if self.is_over() => {
                let first = calm + RECOVERY;
                world.run_to(Slot(first + CALM + 2));
                Some(first..=first + CALM)
            }
            Bound::Beyond => None,
        };
        let mut found: Vec<_> = world.found();
        let due = judged.map(|slots| world.duties(slots)).unwrap_or_default();
        found.extend(duties::missed(&due).into_iter().map(|missed| ("duties", missed)));
        let measured = self.setup.seed.is_multiple_of(MIND_EVERY) || self.slots > SLOTS;
        let mind_len = if measured { world.mind_len() } else { 0 };
        let too_much = bounds::judge(self.setup.size, self.setup.validators, mind_len);
        found.extend(too_much.map(|violation| ("bounds", violation)));
        let mut endings = BTreeMap::new();
        for (_, outcome) in &world.outcomes {
            *endings.entry(outcome.ending).or_default() += 1;
        }
        Run {
            found,
            trace: world.trace_hash(),
            struck: world.struck().iter().map(|(fault, _)| (fault.what, fault.step)).collect(),
            endings,
            duties: duties::count(&due),
            all: duties::count(&world.duties(1..=self.slots.saturating_sub(2))),
            turned_away: world.turned_away,
            evidence: world.evidence.values().sum(),
            mind_len,
            world,
        }
    }

    /// Whether all faults come to an end, but for those of at most `f` operators.
    fn is_over(&self) -> bool {
        let villains = self.setup.habits.iter().filter(|habit| **habit != Habit::Honest).count();
        let stays = |what| matches!(what, What::Ahead | What::Behind | What::Record);
        let mut lasting: Vec<_> =
            self.faults.iter().filter(|fault| stays(fault.what)).map(|fault| fault.who).collect();
        lasting.sort_unstable();
        lasting.dedup();
        let distributed = self.setup.selecting.iter().all(|one| *one != crate::client::Selecting::Never);
        villains + lasting.len() <= usize::from(self.setup.size.faults()) && distributed
    }

    /// The slot in which the last fault is over, as far as they have struck.
    fn calm(&self, world: &World) -> u64 {
        let slot_ms = self.setup.slot_ms;
        let over = |(fault, slot): &(crate::fault::Fault, Slot)| slot.0 + 1 + fault.lasts.0.div_ceil(slot_ms);
        world.struck().iter().map(over).max().unwrap_or_default()
    }
}

/// A plan with as little in it as still breaks a rule: faults, villains and weather are taken away one by one.
pub fn minimize(plan: &Plan, breaks: impl Fn(&Plan) -> bool) -> Plan {
    let mut least = plan.clone();
    loop {
        let smaller = smaller(&least).into_iter().find(&breaks);
        match smaller {
            Some(smaller) => least = smaller,
            None => return least,
        }
    }
}

/// Plans with one thing less.
fn smaller(plan: &Plan) -> Vec<Plan> {
    let mut plans = Vec::new();
    for place in 0..plan.faults.len() {
        let mut less = plan.clone();
        less.faults.remove(place);
        plans.push(less);
    }
    for place in 0..plan.setup.habits.len() {
        if plan.setup.habits[place] != Habit::Honest {
            let mut less = plan.clone();
            less.setup.habits[place] = Habit::Honest;
            plans.push(less);
        }
    }
    let mut calm = plan.clone();
    calm.setup.weather = Weather::default();
    let mut right = plan.clone();
    right.setup.clocks.clear();
    let mut ready = plan.clone();
    ready.setup.head_delays.clear();
    let mut plain = plan.clone();
    plain.setup.plain = true;
    let simpler = [
        (plan.setup.weather != Weather::default(), calm),
        (!plan.setup.clocks.is_empty(), right),
        (!plan.setup.head_delays.is_empty(), ready),
        (!plan.setup.plain, plain),
    ];
    plans.extend(simpler.into_iter().filter(|(is_less, _)| *is_less).map(|(_, less)| less));
    plans
}
