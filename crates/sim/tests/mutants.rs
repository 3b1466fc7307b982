//! Each judge of the world in a jar is able to fail: a broken rule, of the machines or of the shells around them, is found
//! by the judge whose business it is, within a thousand seeds.

use sim::fault::{Fault, Step, What};
use sim::plan::{Bound, Plan};
use sim::setup::Flaw;
use sim::villains::Habit;
use symbolon_core::mutants::{Mutant, Rules};
use types::{Millis, ShareIndex, Slot};

/// Seeds in which a mutant must be found.
const SEEDS: u64 = 1000;

/// The first seed in which the judge finds something, of those whose plan `fits`.
fn found(judge: &str, fits: impl Fn(&Plan) -> bool, break_rule: impl Fn(&mut Plan)) -> Option<u64> {
    (0..SEEDS).find(|seed| {
        let mut plan = Plan::draw(*seed);
        if !fits(&plan) {
            return false;
        }
        break_rule(&mut plan);
        plan.run().found.iter().any(|(name, _)| *name == judge)
    })
}

fn machine(mutant: Mutant) -> impl Fn(&mut Plan) {
    move |plan| plan.setup.rules = Rules::without(mutant)
}

fn shell(flaw: Flaw) -> impl Fn(&mut Plan) {
    move |plan| plan.setup.flaw = Some(flaw)
}

/// Only in long runs there is an earlier vote to surround.
fn is_long(plan: &Plan) -> bool {
    plan.slots > 20
}

fn any(_: &Plan) -> bool {
    true
}

fn within(plan: &Plan) -> bool {
    plan.bound == Bound::Within
}

#[test]
fn a_guard_that_allows_a_surround_is_found_by_the_judge_of_slashings() {
    assert!(found("slashable", is_long, machine(Mutant::SurroundAllowed)).is_some());
    assert_eq!(found("slashable", |plan| is_long(plan) && plan.setup.seed < 200, |_| {}), None);
}

#[test]
fn a_journal_that_acknowledges_before_the_sync_is_found_by_the_judge_of_journals() {
    assert!(found("journal", any, shell(Flaw::AcksBeforeSync)).is_some());
}

#[test]
fn a_certificate_of_too_few_votes_is_found_by_the_judge_of_agreement() {
    assert!(found("agreement", any, machine(Mutant::SmallCertificate)).is_some());
}

/// The second operator votes for another head. The fourth is cut off when it is about to commit, and the first commits to
/// nothing and denies its vote: so those who change rounds show more last votes for the other head than for the certified one.
fn deny(plan: &mut Plan) {
    machine(Mutant::CertificatesIgnored)(plan);
    plan.setup.plain = true;
    plan.setup.habits = vec![Habit::Honest; 4];
    plan.setup.habits[0] = Habit::Liar;
    plan.setup.head_delays.clear();
    let all = Millis(plan.slots * plan.setup.slot_ms);
    let [second, fourth] = [2, 4].map(|number| ShareIndex::new(number).unwrap());
    let fork = Fault { who: second, what: What::BeaconFork, lasts: all, step: Step::Begin, from: Slot(1) };
    let lasts = Millis(8_000);
    let cut = |slot| Fault { who: fourth, what: What::Cut, lasts, step: Step::Commit, from: Slot(slot) };
    plan.faults = [fork].into_iter().chain((2..plan.slots).step_by(2).map(cut)).collect();
}

#[test]
fn a_leader_that_ignores_certificates_is_found_by_the_judge_of_agreement() {
    let of_four = |plan: &Plan| plan.setup.size.operators() == 4 && within(plan);
    assert!(found("agreement", of_four, deny).is_some());
    let few = |plan: &Plan| of_four(plan) && plan.setup.seed < 100;
    let honest = |plan: &mut Plan| {
        deny(plan);
        plan.setup.rules = Rules::default();
    };
    assert_eq!(found("agreement", few, honest), None);
}

#[test]
fn a_restart_that_votes_again_is_found_by_the_judge_of_words() {
    assert!(found("words", any, machine(Mutant::VotesAfterRestart)).is_some());
}

#[test]
fn a_combiner_that_skips_the_check_is_found_by_the_judge_of_submissions() {
    assert!(found("submissions", any, shell(Flaw::CombinesBlindly)).is_some());
}

#[test]
fn a_shell_that_wakes_its_machine_late_is_found_by_the_judge_of_duties() {
    assert!(found("duties", within, shell(Flaw::WakesLate)).is_some());
}
