//! Each judge of the world in a jar is able to fail: a broken rule, of the machines or of the shells around them, is found
//! by the judge whose business it is, within a thousand seeds.

use sim::fault::{Fault, Step, What};
use sim::judges::Violation;
use sim::judges::bounds::judge_growth;
use sim::network::Delay;
use sim::plan::{Bound, Plan};
use sim::setup::{Flaw, Setup};
use sim::villains::Habit;
use sim::world::World;
use symbolon_core::mutants::{Mutant, Rules};
use types::{Epoch, Millis, ShareIndex, Slot, ValidatorNo};

/// Seeds in which a mutant must be found.
const SEEDS: u64 = 1000;

/// The first seed in which the judge finds something, of those whose plan `fits`.
fn found(judge: &str, fits: impl Fn(&Plan) -> bool, break_rule: impl Fn(&mut Plan)) -> Option<u64> {
    found_saying((judge, ""), fits, break_rule)
}

/// The same, in which it also says this.
fn found_saying(
    (judge, words): (&str, &str),
    fits: impl Fn(&Plan) -> bool,
    break_rule: impl Fn(&mut Plan),
) -> Option<u64> {
    (0..SEEDS).find(|seed| {
        let mut plan = Plan::draw(*seed);
        if !fits(&plan) {
            return false;
        }
        break_rule(&mut plan);
        plan.run().found.iter().any(|(name, violation)| *name == judge && violation.what.contains(words))
    })
}

/// The first seed in which the judge of alarms says that an honest node believes this without reason.
fn false_alarm(words: &str, mutant: Mutant) -> Option<u64> {
    found_saying(("alarms", words), any, machine(mutant))
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
    assert_eq!(found("slashable", |plan| is_long(plan) && plan.setup.seed < 100, |_| {}), None);
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

#[test]
fn a_shell_whose_clients_all_approve_what_one_does_is_found_by_the_judge_of_exits() {
    let finds = |seed: &u64, flaw| {
        let mut plan = Plan::draw(*seed);
        plan.setup.flaw = flaw;
        let mut world = plan.world();
        world.hush();
        let first = plan.setup.size.indices().next().unwrap();
        let at = world.spec().slot_start(Slot(2)).after(Millis(700));
        world.exit(first, at, ValidatorNo(0), Epoch(0));
        world.run_to(Slot(6));
        world.found().iter().any(|(judge, _)| *judge == "exits")
    };
    assert!((0..SEEDS).any(|seed| finds(&seed, Some(Flaw::ApprovesUnasked))));
    assert_eq!((0..50).find(|seed| finds(seed, None)), None);
}

#[test]
fn a_node_that_forgets_nothing_is_found_by_the_judge_of_bounds() {
    // Four epochs; that nothing is found in as many without a broken rule is among the seeds of `tests/faults.rs`.
    let forgets_nothing = |plan: &mut Plan| {
        plan.slots = 32;
        machine(Mutant::NothingForgotten)(plan);
    };
    assert!(found("bounds", within, forgets_nothing).is_some());
}

/// What the judge of growth says of twelve epochs in which nothing goes wrong.
fn growth(rules: Rules, seed: u64) -> Option<Violation> {
    let mut setup = Setup { rules, seed, ordinary: 3, ..Setup::new(4, 3, 2) };
    setup.delay = Delay { min_ms: 1, max_ms: 1 + seed * 30 };
    let mut world = World::new(setup);
    world.hush();
    let epochs = (1..=12).map(|epoch| world.spec().epoch_start(Epoch(epoch))).collect::<Vec<_>>();
    let mind_lens = epochs.into_iter().map(|end| {
        world.run_to(end);
        world.mind_len()
    });
    judge_growth(&mind_lens.collect::<Vec<_>>())
}

#[test]
fn a_node_that_forgets_nothing_is_found_by_the_judge_of_growth_and_others_stay_as_they_are() {
    assert!(growth(Rules::without(Mutant::NothingForgotten), 0).is_some());
    for seed in 0..3 {
        assert_eq!(growth(Rules::default(), seed), None, "seed {seed}");
    }
}

#[test]
fn a_node_that_blames_what_comes_late_is_found_by_the_judge_of_alarms() {
    assert!(false_alarm("is to blame for BadPartial", Mutant::LateIsBad).is_some());
}

#[test]
fn a_node_that_takes_a_repetition_for_evidence_is_found_by_the_judge_of_alarms() {
    assert!(false_alarm("this proves something", Mutant::RepeatIsEvidence).is_some());
}

#[test]
fn a_restart_that_votes_again_is_found_by_the_judge_of_alarms_too() {
    assert!(false_alarm("said two things", Mutant::VotesAfterRestart).is_some());
}

#[test]
fn a_node_that_takes_a_restart_for_a_second_process_is_found_by_the_judge_of_alarms() {
    assert!(false_alarm("two processes run with the key", Mutant::RestartIsTwin).is_some());
    assert!(false_alarm("another process runs with its key", Mutant::RestartIsTwin).is_some());
}

#[test]
fn a_node_that_believes_whoever_says_that_its_journal_is_old_is_found_by_the_judge_of_alarms() {
    assert!(false_alarm("its journal is an old one", Mutant::HeldBelieved).is_some());
}

/// Whether somebody believes in a doppelganger where an operator was away for longer than the others tell it of again. There
/// is nothing but attestations and blocks, so that what it missed is not excused by what it heard afterwards.
fn cries_wolf(rules: Rules, seed: u64) -> bool {
    let mut world = World::new(Setup { rules, seed, plain: true, ordinary: 3, ..Setup::new(4, 3, 5) });
    world.hush();
    let [down, up] = [7, 20].map(|slot| world.spec().slot_start(Slot(slot)));
    world.kill(ShareIndex::new(1).unwrap(), down, Some(up));
    world.run_to(Slot(24));
    let alarms = world.found().into_iter().filter(|(judge, _)| *judge == "alarms");
    alarms.into_iter().any(|(_, violation)| violation.what.contains("somebody else signs"))
}

#[test]
fn a_node_that_cries_wolf_after_it_was_away_is_found_by_the_judge_of_alarms() {
    assert!((0..SEEDS).any(|seed| cries_wolf(Rules::without(Mutant::UnwatchedJudged), seed)));
    assert_eq!((0..5).find(|seed| cries_wolf(Rules::default(), *seed)), None);
}
