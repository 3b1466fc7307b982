//! Slashings: seen early, told with the block that has the evidence, and what they cost.

use super::super::*;
use super::chain::{Chain, Round, round, tally};
use super::frames::BEGUN;
use crate::ledger::deposits::SeenValidator;
use crate::ledger::governance::Act;
use crate::ledger::incidents::{Fault, Incident, Key, Slashing};
use crate::ledger::testbed::Pool;
use crate::ledger::{Cause, Sealed};
use crate::text::Text;
use serde_json::{Value, json};
use types::{Epoch, Gwei, PublicKey, Root, Slot, ValidatorIndex};

const ONE: ValidatorIndex = ValidatorIndex(1000);
const TWO: ValidatorIndex = ValidatorIndex(1001);
/// The first report's boundary.
const REPORTED: u64 = 4_725;
/// The epoch of the block.
const SLASHED: u64 = REPORTED + 3;
/// A block in it.
const SLOT: u64 = SLASHED * 32 + 9;
const EFFECTIVE: u64 = 32_000_000_000;
const INITIAL: u64 = EFFECTIVE / 4096;

/// A chain that has slashed the first validator, final two epochs later.
fn slashed() -> (Pool, Chain) {
    let (pool, mut chain) = BEGUN.clone();
    chain.live(SLASHED);
    chain.slash(ONE, INITIAL);
    chain.slashings.insert(SLOT, vec![(ONE, SLASHED - 1)]);
    chain.live(SLASHED + 2);
    (pool, chain)
}

/// The validator leaves behind a queue of exits that is longer than what a slashing waits for.
fn queued(chain: &mut Chain, withdrawable: u64) {
    let held = chain.states.values_mut().chain([&mut chain.jar]);
    for seen in held.flat_map(|jar| jar.validators.values_mut()).filter(|seen| seen.slashed) {
        (seen.exit, seen.withdrawable) = (Some(Epoch(withdrawable - 256)), Some(Epoch(withdrawable)));
    }
}

fn incidents(round: &Round) -> Vec<&'static str> {
    round.observed.iter().copied().filter(|kind| kind.starts_with("slashing")).collect()
}

fn told(pool: &Pool, incident: u64) -> (Slashing, &Incident) {
    let incident = &pool.state().incidents.incidents()[&incident];
    let Fault::Slashing(slashing) = incident.opened.fault else { panic!("{incident:?}") };
    (slashing, incident)
}

/// What the last observation of a kind says.
fn body(pool: &Pool, kind: &str) -> Value {
    let said = pool.log.iter().rev().find_map(|entry| match Sealed::read(entry).unwrap().entry.cause {
        Cause::Observation(seen) if seen.kind.as_str() == kind => Some(seen.body),
        _ => None,
    });
    serde_json::from_str(&said.unwrap()).unwrap()
}

#[test]
fn a_slashing_is_told_in_the_epoch_that_shows_it_with_its_block_and_once() {
    let (mut pool, mut chain) = slashed();
    let looked = pool.state().deposits.looked();
    let first = round(&mut pool, &mut chain);
    assert_eq!(first.observed, ["finalized", "slashing"], "before any look");
    assert_eq!(pool.state().deposits.looked(), looked);
    let want = Slashing {
        validator: ONE,
        fault: Epoch(SLASHED - 1),
        slashed: Epoch(SLASHED),
        withdrawable: Epoch(SLASHED + 8_192),
        effective: Gwei(EFFECTIVE),
        whistleblower: Gwei(INITIAL),
    };
    assert_eq!(told(&pool, 0).0, want);
    assert!(pool.state().incidents.holds_queue());
    let names = body(&pool, "slashing")["evidence"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let state = format!("/eth/v1/beacon/states/{}/validators ", 32 * (SLASHED + 2));
    assert!(names[0].starts_with(&state) && names[1] == format!("/eth/v2/beacon/blocks/{SLOT}"), "{names:?}");
    chain.live(SLASHED + 3);
    assert_eq!(round(&mut pool, &mut chain).observed, ["finalized"], "once");
}

#[test]
fn two_that_are_slashed_together_are_two_incidents() {
    let (mut pool, mut chain) = slashed();
    chain.slash(TWO, INITIAL);
    // It was slashed later, and by another block.
    chain.slashings.insert((SLASHED + 2) * 32, vec![(TWO, SLASHED + 2)]);
    chain.states.insert(SLASHED + 2, chain.jar.clone());
    assert_eq!(incidents(&round(&mut pool, &mut chain)), ["slashing", "slashing"]);
    assert_eq!((told(&pool, 0).0.validator, told(&pool, 1).0.validator), (ONE, TWO));
    assert_eq!(told(&pool, 1).0.slashed, Epoch(SLASHED + 2));
    assert_eq!(told(&pool, 1).0.fault, Epoch(SLASHED + 2));
}

#[test]
fn a_slashing_without_its_block_is_set_aside_and_told_when_the_node_has_it() {
    let (mut pool, mut chain) = slashed();
    let block = std::mem::take(&mut chain.slashings);
    let without = round(&mut pool, &mut chain);
    assert_eq!(without.observed, ["finalized"]);
    let why = format!("validator 1000 was slashed in epoch {SLASHED}, and no block there says so");
    assert_eq!(without.aside[&Task::Slashing], why);
    chain.slashings = block;
    chain.deaf = Some(|question| matches!(question, Question::Slashed { .. }));
    assert!(round(&mut pool, &mut chain).aside.contains_key(&Task::Slashing));
    chain.deaf = None;
    assert_eq!(incidents(&round(&mut pool, &mut chain)), ["slashing"]);
}

#[test]
fn what_it_counted_for_is_what_a_look_before_knew() {
    let (mut pool, mut chain) = slashed();
    let held = chain.states.values_mut().flat_map(|jar| jar.validators.values_mut());
    held.filter(|seen| seen.slashed)
        .for_each(|seen| seen.effective_balance = Gwei(EFFECTIVE - 1_000_000_000));
    assert_eq!(incidents(&round(&mut pool, &mut chain)), ["slashing"]);
    assert_eq!(told(&pool, 0).0.effective, Gwei(EFFECTIVE));
}

#[test]
fn a_slashing_that_cannot_be_told_stops_no_other() {
    let (mut pool, mut chain) = slashed();
    chain.slash(TWO, INITIAL);
    chain.slashings = [((SLASHED + 2) * 32, vec![(TWO, SLASHED + 2)])].into();
    chain.states.insert(SLASHED + 2, chain.jar.clone());
    let round = round(&mut pool, &mut chain);
    assert_eq!(incidents(&round), ["slashing"]);
    assert_eq!(told(&pool, 0).0.validator, TWO);
    assert!(round.aside[&Task::Slashing].starts_with("validator 1000 was slashed"), "{round:?}");
}

#[test]
fn a_node_that_has_another_validator_there_or_one_that_never_leaves_is_not_believed() {
    type Change = fn(&mut SeenValidator);
    let changes: [(Change, &str); 2] = [
        (|seen| seen.pubkey = PublicKey([7; 48]), "for the pool 0x"),
        (|seen| seen.withdrawable = None, "is slashed, and never withdrawable"),
    ];
    for (change, why) in changes {
        let (mut pool, mut chain) = slashed();
        let held = chain.states.values_mut().flat_map(|jar| jar.validators.values_mut());
        held.filter(|seen| seen.slashed).for_each(change);
        let round = round(&mut pool, &mut chain);
        assert_eq!(incidents(&round), Vec::<&str>::new());
        assert!(round.aside[&Task::Slashing].contains(why), "{round:?}");
    }
}

#[test]
fn behind_a_long_queue_of_exits_the_last_epochs_are_searched() {
    let (mut pool, mut chain) = slashed();
    queued(&mut chain, SLASHED + 9_000);
    assert_eq!(incidents(&round(&mut pool, &mut chain)), ["slashing"]);
    let slashing = told(&pool, 0).0;
    assert_eq!((slashing.fault, slashing.slashed), (Epoch(SLASHED - 1), Epoch(SLASHED)));
    // Where nobody finds it the fault is of the last epoch that it can be of.
    let (mut pool, mut chain) = slashed();
    queued(&mut chain, SLASHED + 9_000);
    chain.slashings.clear();
    assert_eq!(incidents(&round(&mut pool, &mut chain)), ["slashing"]);
    let slashing = told(&pool, 0).0;
    assert_eq!((slashing.fault, slashing.slashed), (Epoch(SLASHED + 2), Epoch(SLASHED + 2)));
    let is_final = |question: &&Question| matches!(question, Question::Slashings { slot } if slot.0 > 32 * (SLASHED + 2));
    assert_eq!(chain.asked.iter().find(is_final), None, "nothing is asked that may still change");
}

#[test]
fn a_vote_for_an_epoch_to_come_is_a_fault_of_the_epoch_of_the_block() {
    let (mut pool, mut chain) = slashed();
    chain.slashings.insert(SLOT, vec![(ONE, SLASHED + 1_000)]);
    assert_eq!(incidents(&round(&mut pool, &mut chain)), ["slashing"]);
    assert_eq!(told(&pool, 0).0.fault, Epoch(SLASHED));
}

#[test]
fn what_governance_has_dismissed_is_not_told_again_unless_somebody_does() {
    let (mut pool, mut chain) = slashed();
    round(&mut pool, &mut chain);
    let reason = Text::new("The block was of another chain.").unwrap();
    pool.govern(Act::DismissIncident { incident: 0, reason }).unwrap();
    assert!(!pool.state().incidents.known.contains(&Key::Slashing(ONE)));
    chain.live(SLASHED + 4);
    assert_eq!(incidents(&round(&mut pool, &mut chain)), Vec::<&str>::new());
    let said = body(&pool, "slashing");
    pool.see("slashing", &said).unwrap();
    assert_eq!(told(&pool, 1).0.validator, ONE);
}

#[test]
fn what_a_slashing_costs_is_told_after_each_report_until_it_is_final() {
    let (mut pool, mut chain) = slashed();
    // The second misses whatever it owes from now on: that is no slashing.
    chain.attests = |epoch, index| match index {
        ONE if epoch > SLASHED + 100 => [0, -4_000, -2_000, 0],
        TWO => [0, -4_000, -2_000, 0],
        _ => [2_000, 4_000, 2_000, 0],
    };
    round(&mut pool, &mut chain);
    chain.live(REPORTED + 225);
    let first = round(&mut pool, &mut chain);
    assert!(first.observed.ends_with(&["report", "slashing-look"]), "{first:?}");
    let (epoch, lost) = told(&pool, 0).1.seen.unwrap();
    assert_eq!((epoch, lost), (Epoch(REPORTED + 225), Gwei(INITIAL)), "and not what it missed in that frame");
    assert_eq!(incidents(&round(&mut pool, &mut chain)), Vec::<&str>::new(), "once a report");
    // Half-way the chain takes more.
    chain.jar.validators.values_mut().find(|seen| seen.index == ONE).unwrap().balance.0 -= 500_000_000;
    chain.live(REPORTED + 450);
    assert_eq!(incidents(&round(&mut pool, &mut chain)), ["slashing-look"]);
    let missed = 225 * 6_000;
    let want = (Epoch(REPORTED + 450), Gwei(INITIAL + 500_000_000 + missed));
    assert_eq!(told(&pool, 0).1.seen, Some(want));
    // Before it is final it would be told; after it, it is not.
    let mut state = pool.state().clone();
    let incident = state.incidents.incidents.get_mut(&0).unwrap();
    incident.seen = Some((epoch, lost));
    let step = slashed::cost(&state, tally(&pool, &mut chain), pool.now);
    assert!(matches!(step, Some(Step::Observe(Task::Loss, "slashing-look", _))), "{step:?}");
    let incident = state.incidents.incidents.get_mut(&0).unwrap();
    let Fault::Slashing(slashing) = &mut incident.opened.fault else { panic!("a slashing") };
    slashing.withdrawable = epoch;
    assert_eq!(slashed::cost(&state, tally(&pool, &mut chain), pool.now), None);
}

fn read(question: &Question, data: &Value) -> Result<Said, Wrong> {
    let scope =
        Scope { indices: [11, 12, 15].map(ValidatorIndex).into(), slots_per_epoch: 32, ..Scope::default() };
    let answer = json!({"execution_optimistic": false, "finalized": true, "data": data});
    question.read(&scope, &mut answer.to_string().as_bytes())
}

fn validator(index: u64, slashed: bool) -> Value {
    json!({
        "index": index.to_string(), "balance": "32000000001", "status": "active_slashed",
        "validator": {
            "pubkey": PublicKey([1; 48]), "withdrawal_credentials": Root([3; 32]), "slashed": slashed,
            "effective_balance": "32000000000", "activation_epoch": "5", "exit_epoch": "9",
            "withdrawable_epoch": "8201",
        },
    })
}

#[test]
fn only_those_who_are_slashed_and_were_asked_for_are_read() {
    let question =
        Question::Slashed { slot: Slot(64), indices: vec![ValidatorIndex(11), ValidatorIndex(12)] };
    assert_eq!(question.path(), "/eth/v1/beacon/states/64/validators");
    let statuses = ["active_slashed", "exited_slashed", "withdrawal_possible", "withdrawal_done"];
    let body = json!({"ids": ["11", "12"], "statuses": statuses}).to_string();
    assert_eq!(question.body(), Some(body));
    let said = read(&question, &json!([validator(11, true), validator(12, false)]));
    let Ok(Said::Slashed(found)) = said else { panic!("{said:?}") };
    assert_eq!(found.keys().collect::<Vec<_>>(), [&ValidatorIndex(11)]);
    assert_eq!(found[&ValidatorIndex(11)].withdrawable, Some(Epoch(8_201)));
    let index = ValidatorIndex(13);
    assert_eq!(read(&question, &json!([validator(13, true)])), Err(Wrong::NotAskedIndex { index }));
    let twice = [false, true].map(|slashed| validator(12, slashed));
    assert_eq!(read(&question, &json!(twice)), Err(Wrong::TwiceIndex { index: ValidatorIndex(12) }));
}

#[test]
fn a_block_names_whom_it_slashes_and_the_later_of_the_two_messages() {
    let question = Question::Slashings { slot: Slot(320) };
    assert_eq!(question.path(), "/eth/v2/beacon/blocks/320");
    let vote = |indices: Value, epoch: u64| json!({"attesting_indices": indices, "data": {"target": {"epoch": epoch.to_string()}}});
    let header = |slot: u64, index: u64| json!({"message": {"slot": slot.to_string(), "proposer_index": index.to_string()}});
    let block = |slot: u64, proposers: Value, voters: Value| {
        let body = json!({"proposer_slashings": proposers, "attester_slashings": voters});
        json!({"message": {"slot": slot.to_string(), "body": body}})
    };
    let voters = json!([{
        "attestation_1": vote(json!(["11", "12", "13", "15"]), 5), "attestation_2": vote(json!(["12", "13", "14"]), 7),
    }]);
    let proposers = json!([{"signed_header_1": header(64, 11), "signed_header_2": header(64, 11)}]);
    let both = read(&question, &block(320, proposers.clone(), voters.clone()));
    let of = |epochs: &[(u64, u64)]| {
        let faults = epochs.iter().map(|(index, epoch)| (ValidatorIndex(*index), Epoch(*epoch)));
        Ok(Said::Slashings(faults.collect()))
    };
    assert_eq!(both, of(&[(11, 2), (12, 7)]), "13 and 14 are strangers, 15 signed one of the votes");
    assert_eq!(read(&question, &block(320, json!([]), json!([]))), of(&[]));
    let other = Wrong::Slot { have: Slot(321), want: Slot(320) };
    assert_eq!(read(&question, &block(321, proposers, voters)), Err(other));
    let bare = json!({"message": {"slot": "320", "body": {}}});
    assert!(matches!(read(&question, &bare), Err(Wrong::Shape(_))));
}
