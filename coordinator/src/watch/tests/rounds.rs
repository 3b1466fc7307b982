//! Round after round: what is asked and observed, and what not.

use super::super::due::{LOOK_EPOCHS, LOOK_SOON_EPOCHS, PATIENCE_EPOCHS};
use super::super::*;
use super::chain::{Chain, Round, STAKE, root, round};
use crate::ledger::chain::{Finalized, Stake};
use crate::ledger::deposits::Stage;
use crate::ledger::testbed::Pool;
use crate::ledger::testbed::jar::key;
use serde_json::json;
use types::{Epoch, Gwei, Slot};

/// Where these chains begin to be watched: a whole number of frames of 225 epochs.
const BEGIN: u64 = 4_500;

fn observed(kinds: &[&'static str]) -> Round {
    Round { observed: kinds.to_vec(), ..Round::default() }
}

/// A pool with a cluster and one key, and nobody's money.
fn keyed() -> (Pool, Chain) {
    let mut pool = Pool::new();
    let team = pool.team();
    let cluster = pool.cluster(team, 2);
    pool.post(101, &format!("/v1/clusters/{cluster}/keys"), &json!({"keys": [pool.offer(1)]})).unwrap();
    let mut chain = Chain::new();
    chain.finalize(BEGIN);
    (pool, chain)
}

#[test]
fn what_is_finalized_is_observed_when_it_is_later_and_once() {
    let (mut pool, mut chain) = (Pool::new(), Chain::new());
    assert_eq!(round(&mut pool, &mut chain), observed(&[]), "nothing is final at the beginning");
    chain.finalize(7);
    assert_eq!(round(&mut pool, &mut chain), observed(&["finalized", "network-stake"]));
    assert_eq!(pool.state().chain.finalized, Finalized { epoch: Epoch(7), root: root(7) });
    let stake = Stake { epoch: Epoch(7), active: Gwei(STAKE) };
    assert_eq!(pool.state().chain.stake, Some(stake));
    assert_eq!(round(&mut pool, &mut chain), observed(&[]));
    chain.finalized = 6;
    assert_eq!(round(&mut pool, &mut chain), observed(&[]), "a node that lags says nothing new");
    let asked = chain.asked.iter().filter(|question| **question != Question::Finality);
    assert!(asked.eq(&[Question::Active { slot: Slot(7 * 32) }]), "a pool without keys");
}

#[test]
fn the_chain_s_stake_is_weighed_once_a_day() {
    let (mut pool, mut chain) = (Pool::new(), Chain::new());
    let days = [(1, true), (2, false), (225, false), (226, true), (227, false), (450, false), (452, true)];
    for (epoch, due) in days {
        chain.finalize(epoch);
        assert_eq!(round(&mut pool, &mut chain).observed.contains(&"network-stake"), due, "{epoch}");
    }
}

#[test]
fn a_node_that_is_ahead_of_the_clock_is_not_believed() {
    let (mut pool, mut chain) = (Pool::new(), Chain::new());
    chain.finalize(pool.state().epoch_at(pool.now).0 + 1);
    let round = round(&mut pool, &mut chain);
    assert_eq!(round.observed, Vec::<&str>::new());
    assert!(round.aside[&Task::Finality].contains("is said to be finalized, it is epoch"), "{round:?}");
}

#[test]
fn a_new_key_is_looked_for_soon_and_then_seldom() {
    let (mut pool, mut chain) = keyed();
    assert_eq!(round(&mut pool, &mut chain), observed(&["finalized", "look", "network-stake"]));
    assert_eq!(pool.state().deposits.looked(), Some(Slot(BEGIN * 32)));
    for epoch in [1, 2, LOOK_SOON_EPOCHS, LOOK_EPOCHS - 1].map(|more| BEGIN + more) {
        chain.finalize(epoch);
        assert_eq!(round(&mut pool, &mut chain), observed(&["finalized"]));
    }
    chain.finalize(BEGIN + LOOK_EPOCHS);
    assert_eq!(round(&mut pool, &mut chain), observed(&["finalized", "look"]));
    let cluster = *pool.state().clusters.clusters.keys().next().unwrap();
    pool.post(101, &format!("/v1/clusters/{cluster}/keys"), &json!({"keys": [pool.offer(2)]})).unwrap();
    for epoch in [1, LOOK_SOON_EPOCHS - 1].map(|more| BEGIN + LOOK_EPOCHS + more) {
        chain.finalize(epoch);
        assert_eq!(round(&mut pool, &mut chain), observed(&["finalized"]));
    }
    chain.finalize(BEGIN + LOOK_EPOCHS + LOOK_SOON_EPOCHS);
    assert_eq!(round(&mut pool, &mut chain), observed(&["finalized", "look"]));
    let asked = chain.asked.iter().rev().find_map(|question| match question {
        Question::Validators { slot, keys } => Some((*slot, keys.len())),
        _ => None,
    });
    assert_eq!(asked, Some((Slot((BEGIN + LOOK_EPOCHS + LOOK_SOON_EPOCHS) * 32), 2)));
}

#[test]
fn a_look_that_nobody_answers_is_set_aside_and_nothing_else_is() {
    let (mut pool, mut chain) = keyed();
    chain.deaf = Some(|question| matches!(question, Question::Pending { .. }));
    let first = round(&mut pool, &mut chain);
    assert_eq!(first.observed, ["finalized", "network-stake"]);
    assert_eq!(first.aside.keys().collect::<Vec<_>>(), [&Task::Look]);
    chain.finalize(BEGIN + 1);
    assert_eq!(round(&mut pool, &mut chain).observed, ["finalized"], "the chain goes on");
    chain.deaf = None;
    assert_eq!(round(&mut pool, &mut chain), observed(&["look"]));
    assert_eq!(pool.state().deposits.looked(), Some(Slot((BEGIN + 1) * 32)));
}

/// Guardians approve, and the payer sends.
fn send(pool: &mut Pool, chain: &mut Chain) {
    let batch = *pool.state().deposits.batches().last_key_value().unwrap().0;
    pool.approve(batch).unwrap();
    pool.send_batch(&mut chain.jar, batch).unwrap();
}

#[test]
fn deposits_are_planned_when_there_is_money_and_each_step_is_seen() {
    let (mut pool, mut chain) = keyed();
    round(&mut pool, &mut chain);
    pool.pay(70, "36", 0).unwrap();
    let stage = |pool: &Pool| pool.state().deposits.validators()[&key(1)].stage;
    assert_eq!(round(&mut pool, &mut chain).observed, ["report", "plan"]);
    assert_eq!(round(&mut pool, &mut chain).observed, Vec::<&str>::new(), "once");
    assert_eq!(stage(&pool), Stage::PredepositPlanned);
    let mut epoch = BEGIN + 2;
    chain.jar.slot = (BEGIN + 1) * 32;
    send(&mut pool, &mut chain);
    let mut log = Vec::new();
    while stage(&pool) != Stage::Active {
        epoch += 1;
        assert!(epoch < BEGIN + 200, "{log:?}");
        if epoch.is_multiple_of(20) {
            chain.jar.go_on(|_| false);
        }
        chain.finalize(epoch);
        let round = round(&mut pool, &mut chain);
        if round.observed.contains(&"plan") {
            send(&mut pool, &mut chain);
        }
        assert!(round.aside.is_empty(), "{round:?}");
        log.extend(round.observed.into_iter().filter(|kind| *kind != "finalized"));
    }
    // Proven, and the rest planned; then a look in under two hours until it is active.
    assert_eq!(log.iter().filter(|kind| **kind == "plan").count(), 1);
    assert!(log.len() < 10, "{log:?}");
    assert_eq!(pool.state().deposits.by_index.len(), 1);
}

#[test]
fn a_restart_goes_on_where_the_log_ends() {
    let (mut pool, mut chain) = keyed();
    let (mut other, mut its) = (pool.clone(), chain.clone());
    for epoch in [BEGIN, BEGIN + 40, BEGIN + 80, BEGIN + 160] {
        chain.finalize(epoch);
        its.finalize(epoch);
        round(&mut pool, &mut chain);
        // Another office with the same log.
        let replayed = crate::ledger::Ledger::replay(&other.log).unwrap();
        other.ledger = replayed;
        round(&mut other, &mut its);
        assert_eq!(pool.ledger.head(), other.ledger.head());
    }
    assert_eq!(chain.asked, its.asked);
}

/// A pool whose first report is made, and the next boundary.
fn reported() -> (Pool, Chain, u64) {
    let (mut pool, mut chain) = keyed();
    round(&mut pool, &mut chain);
    pool.pay(70, "1", 0).unwrap();
    assert_eq!(due::boundary(pool.state()), Some(Epoch(BEGIN)), "the state that was looked at is one");
    assert_eq!(round(&mut pool, &mut chain), observed(&["report"]));
    assert_eq!(pool.state().money.reported(), Some(Epoch(BEGIN)));
    let boundary = BEGIN + u64::from(pool.state().policy.terms().reports.frame_epochs);
    assert_eq!(due::boundary(pool.state()), Some(Epoch(boundary)));
    (pool, chain, boundary)
}

#[test]
fn a_frame_is_reported_of_its_boundary_though_the_chain_is_further() {
    let (mut pool, mut chain, boundary) = reported();
    // The node was not there for a while, and says at once that the chain is past the boundary.
    chain.finalize(boundary);
    chain.finalize(boundary + 3);
    let kinds = ["finalized", "look", "network-stake", "report"];
    assert_eq!(round(&mut pool, &mut chain), observed(&kinds));
    assert_eq!(pool.state().deposits.looked(), Some(Slot(boundary * 32)));
    assert_eq!(pool.state().money.reported(), Some(Epoch(boundary)));
    assert_eq!(round(&mut pool, &mut chain), observed(&[]));
}

#[test]
fn a_report_that_cannot_be_made_is_waited_for_and_not_for_ever() {
    let (mut pool, mut chain, boundary) = reported();
    chain.deaf = Some(|question| matches!(question, Question::Root { .. }));
    let looked = |pool: &Pool| pool.state().deposits.looked();
    for epoch in [0, 1, 50, PATIENCE_EPOCHS - 1].map(|more| boundary + more) {
        chain.finalize(epoch);
        let round = round(&mut pool, &mut chain);
        assert!(round.aside.contains_key(&Task::Report));
        assert_eq!(looked(&pool), Some(Slot(boundary * 32)), "the report waits");
    }
    chain.finalize(boundary + PATIENCE_EPOCHS);
    round(&mut pool, &mut chain);
    assert_eq!(looked(&pool), Some(Slot((boundary + PATIENCE_EPOCHS) * 32)));
    assert_eq!(due::boundary(pool.state()), Some(Epoch(boundary + 225)), "its state is past");
    chain.deaf = None;
    chain.finalize(boundary + 225);
    assert!(round(&mut pool, &mut chain).observed.contains(&"report"));
    assert_eq!(pool.state().money.reported(), Some(Epoch(boundary + 225)));
}

#[test]
fn a_boundary_that_no_node_has_is_passed_over_in_the_end() {
    let (mut pool, mut chain, boundary) = reported();
    assert_eq!(Slot(151_200), Slot(boundary * 32));
    chain.deaf = Some(|question| matches!(question, Question::Validators { slot: Slot(151_200), .. }));
    for epoch in [BEGIN + 1, boundary - 1, boundary, boundary + 1, boundary + PATIENCE_EPOCHS - 1] {
        chain.finalize(epoch);
        round(&mut pool, &mut chain);
    }
    assert!(pool.state().deposits.looked() < Some(Slot(boundary * 32)));
    chain.finalize(boundary + PATIENCE_EPOCHS);
    round(&mut pool, &mut chain);
    assert_eq!(pool.state().deposits.looked(), Some(Slot((boundary + PATIENCE_EPOCHS) * 32)));
}
