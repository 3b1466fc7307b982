//! Exits: asked for when they are needed, reviewed when they are late, given to beacon nodes when they are signed.

use super::super::due::LOOK_SOON_EPOCHS;
use super::super::*;
use super::chain::{Chain, Round, Takes, further, round};
use crate::ledger::Ledger;
use crate::ledger::charter::tests::contracts;
use crate::ledger::charter::{Charter, Contracts};
use crate::ledger::exits::{Lateness, Stage};
use crate::ledger::governance::Act;
use crate::ledger::testbed::Pool;
use crate::ledger::testbed::jar::{Jar, STAKED, key};
use crate::watch::contracts::abi;
use serde_json::json;
use types::{ClusterId, ValidatorIndex, Wei};

const NOTHING: [&str; 0] = [];

/// No contracts, so nothing of theirs is to be told.
fn charter() -> Charter {
    Charter { contracts: None, ..crate::ledger::charter::tests::charter() }
}

/// A pool with so many validators that are old enough to exit, and its chain.
fn staked(keys: u32) -> (Pool, Chain, ClusterId) {
    let (pool, jar, cluster) = Pool::staked(charter(), keys);
    let mut watched = (pool, of(jar), cluster);
    go(&mut watched.0, &mut watched.1, STAKED + 1);
    round(&mut watched.0, &mut watched.1);
    watched
}

fn of(jar: Jar) -> Chain {
    let mut chain = Chain::new();
    chain.jar = jar;
    chain
}

/// An epoch is final.
fn go(pool: &mut Pool, chain: &mut Chain, epoch: u64) {
    chain.finalize(epoch);
    pool.now = pool.now.max(pool.time_of(32 * (epoch + 2)));
}

/// What of a round is about exits.
fn about_exits(round: Round) -> Vec<&'static str> {
    assert!(round.aside.is_empty(), "{round:?}");
    round.observed.into_iter().filter(|kind| kind.starts_with("exit") || *kind == "many").collect()
}

fn withdraw(pool: &mut Pool, eth: &str) {
    let body = json!({"amount": {"eth": Wei::from_eth(eth).unwrap()}});
    pool.post(71, "/v1/withdrawals", &body).unwrap();
}

fn ask(pool: &mut Pool, secrets: &[u64]) {
    let validators = secrets.iter().map(|secret| pool.index(*secret)).collect();
    pool.try_govern(Act::ExitValidator { validators }).unwrap();
}

fn sign(pool: &mut Pool, cluster: ClusterId, secret: u64) {
    for place in 1..=3 {
        pool.sign_exit(cluster, secret, place).unwrap();
    }
}

fn stage(pool: &Pool, secret: u64) -> Stage {
    pool.state().exits.exits()[&pool.index(secret)].stage
}

fn given(chain: &Chain) -> Vec<ValidatorIndex> {
    chain.exits.iter().map(|exit| exit.message.validator_index).collect()
}

#[test]
fn exits_are_asked_for_when_withdrawals_need_them_and_at_most_once_an_epoch() {
    let (mut pool, mut chain, _) = staked(3);
    assert_eq!(about_exits(round(&mut pool, &mut chain)), NOTHING, "nobody wants ETH");
    withdraw(&mut pool, "2");
    assert_eq!(about_exits(round(&mut pool, &mut chain)), NOTHING, "the buffer has it");
    withdraw(&mut pool, "20");
    assert_eq!(about_exits(round(&mut pool, &mut chain)), ["exits-plan"]);
    assert_eq!(pool.state().exits.exits().len(), 1);
    assert_eq!(about_exits(round(&mut pool, &mut chain)), NOTHING, "it is coming");
    withdraw(&mut pool, "20");
    assert_eq!(about_exits(round(&mut pool, &mut chain)), NOTHING, "not in the same epoch");
    go(&mut pool, &mut chain, STAKED + 2);
    assert_eq!(about_exits(round(&mut pool, &mut chain)), ["exits-plan"]);
    assert_eq!(pool.state().exits.exits().len(), 2);
    go(&mut pool, &mut chain, STAKED + 3);
    assert_eq!(about_exits(round(&mut pool, &mut chain)), NOTHING);
}

#[test]
fn who_could_not_exit_when_its_cluster_ended_is_asked_later() {
    let mut pool = Pool::of(charter());
    let team = pool.team();
    let cluster = pool.cluster(team, 1);
    let mut chain = of(Jar::new());
    let begin = chain.jar.epoch().0;
    go(&mut pool, &mut chain, begin);
    round(&mut pool, &mut chain);
    pool.pay(71, "33", 0).unwrap();
    let mut jar = chain.jar.clone();
    pool.activate(&mut jar, cluster, &[1]);
    chain.jar = jar;
    let young = chain.jar.epoch().0;
    pool.try_govern(Act::WindDownCluster { cluster }).unwrap();
    go(&mut pool, &mut chain, young + 200);
    assert_eq!(about_exits(round(&mut pool, &mut chain)), NOTHING);
    go(&mut pool, &mut chain, young + 260);
    assert_eq!(about_exits(round(&mut pool, &mut chain)), ["exits-plan"]);
    assert!(pool.state().exits.exits().contains_key(&pool.index(1)));
    go(&mut pool, &mut chain, young + 261);
    assert_eq!(about_exits(round(&mut pool, &mut chain)), NOTHING, "once");
}

#[test]
fn who_is_late_is_said_when_it_is_and_once() {
    let (mut pool, mut chain, cluster) = staked(2);
    let terms = pool.state().policy.terms().exits;
    ask(&mut pool, &[1, 2]);
    sign(&mut pool, cluster, 2);
    let asked = pool.now;
    let lateness = |pool: &Pool| pool.state().exits.exits()[&pool.index(1)].lateness;
    let steps = [
        (terms.delayed_s - 1, false, Lateness::InTime),
        (terms.delayed_s, true, Lateness::Delayed),
        (terms.delinquent_s - 1, false, Lateness::Delayed),
        (terms.delinquent_s, true, Lateness::Delinquent),
        (terms.delinquent_s + 100_000, false, Lateness::Delinquent),
    ];
    for (after, said, want) in steps {
        pool.now = asked + after;
        let kinds = about_exits(round(&mut pool, &mut chain));
        assert_eq!((kinds.contains(&"exits-review"), lateness(&pool)), (said, want), "{after}");
        assert_eq!(about_exits(round(&mut pool, &mut chain)), NOTHING);
    }
}

#[test]
fn a_signed_exit_is_published_once_and_again_after_each_look_that_does_not_show_it() {
    let (mut pool, mut chain, cluster) = staked(2);
    let (mut known, index) = (Known::default(), pool.index(1));
    ask(&mut pool, &[1]);
    pool.sign_exit(cluster, 1, 1).unwrap();
    assert_eq!(about_exits(further(&mut pool, &mut chain, &mut known)), NOTHING);
    pool.sign_exit(cluster, 1, 2).unwrap();
    pool.sign_exit(cluster, 1, 3).unwrap();
    let signed = pool.state().exits.to_broadcast().next().unwrap();
    assert_eq!(about_exits(further(&mut pool, &mut chain, &mut known)), ["exit-broadcast"]);
    assert_eq!((&chain.exits[..], stage(&pool, 1)), (&[signed][..], Stage::Broadcast));
    let mut epoch = STAKED;
    for looks in 1..3 {
        for more in [2, LOOK_SOON_EPOCHS - 1] {
            go(&mut pool, &mut chain, epoch + more);
            further(&mut pool, &mut chain, &mut known);
            assert_eq!(given(&chain).len(), looks);
        }
        epoch += LOOK_SOON_EPOCHS;
        go(&mut pool, &mut chain, epoch);
        let kinds = further(&mut pool, &mut chain, &mut known).observed;
        assert!(kinds.ends_with(&["look"]), "told once: {kinds:?}");
        assert_eq!(given(&chain), vec![index; looks + 1]);
    }
    // The chain has it.
    chain.jar.pass(LOOK_SOON_EPOCHS - 1);
    chain.jar.go_on(|exits| exits == index);
    go(&mut pool, &mut chain, epoch + LOOK_SOON_EPOCHS);
    further(&mut pool, &mut chain, &mut known);
    assert!(stage(&pool, 1) >= Stage::Seen);
    assert_eq!(given(&chain).len(), 3);
}

#[test]
fn a_stop_between_publishing_and_observing_publishes_again_and_observes_once() {
    let (mut pool, mut chain, cluster) = staked(1);
    ask(&mut pool, &[1]);
    sign(&mut pool, cluster, 1);
    // Published by an office that stopped before it could say so.
    let mut first = chain.clone();
    round(&mut pool.clone(), &mut first);
    chain.exits = first.exits;
    pool.ledger = Ledger::replay(&pool.log).unwrap();
    assert_eq!(about_exits(round(&mut pool, &mut chain)), ["exit-broadcast"]);
    assert_eq!(given(&chain), vec![pool.index(1); 2]);
    // A restart after it gives it to the nodes once more, and says nothing.
    assert_eq!(about_exits(round(&mut pool, &mut chain)), NOTHING);
    assert_eq!(given(&chain).len(), 3);
}

#[test]
fn an_exit_that_no_node_takes_stops_no_other_and_is_not_said_to_be_broadcast() {
    let (mut pool, mut chain, cluster) = staked(3);
    ask(&mut pool, &[1, 2, 3]);
    (1..=3).for_each(|secret| sign(&mut pool, cluster, secret));
    chain.takes = |index| if index.0 == 1001 { Takes::No } else { Takes::Yes };
    let mut known = Known::default();
    assert_eq!(about_exits(further(&mut pool, &mut chain, &mut known)), ["many"]);
    let of = |index: u64| pool.state().exits.exits()[&ValidatorIndex(index)].stage;
    assert_eq!([1000, 1001, 1002].map(of), [Stage::Broadcast, Stage::Signed, Stage::Broadcast]);
    assert_eq!(about_exits(further(&mut pool, &mut chain, &mut known)), NOTHING);
    assert_eq!(given(&chain).len(), 3, "not before the next look");
    chain.takes = |_| Takes::Yes;
    go(&mut pool, &mut chain, STAKED + 1 + LOOK_SOON_EPOCHS);
    assert_eq!(about_exits(further(&mut pool, &mut chain, &mut known)), ["exit-broadcast"]);
    assert_eq!(given(&chain).len(), 6);
}

#[test]
fn nodes_that_are_silent_are_tried_again() {
    let (mut pool, mut chain, cluster) = staked(1);
    ask(&mut pool, &[1]);
    sign(&mut pool, cluster, 1);
    chain.takes = |_| Takes::Silence;
    let mut known = Known::default();
    let silent = further(&mut pool, &mut chain, &mut known);
    assert!(silent.aside.contains_key(&Task::Publish), "{silent:?}");
    assert_eq!(stage(&pool, 1), Stage::Signed);
    chain.takes = |_| Takes::Yes;
    assert_eq!(about_exits(further(&mut pool, &mut chain, &mut known)), ["exit-broadcast"]);
}

#[test]
fn what_was_taken_is_said_though_the_nodes_are_silent_after_it() {
    let (mut pool, mut chain, cluster) = staked(2);
    ask(&mut pool, &[1, 2]);
    (1..=2).for_each(|secret| sign(&mut pool, cluster, secret));
    chain.takes = |index| if index.0 == 1000 { Takes::Yes } else { Takes::Silence };
    let mut known = Known::default();
    let first = further(&mut pool, &mut chain, &mut known);
    assert!(first.aside.contains_key(&Task::Publish), "{first:?}");
    let second = further(&mut pool, &mut chain, &mut known);
    assert!(second.observed.contains(&"exit-broadcast") && second.aside.contains_key(&Task::Publish));
    assert_eq!((stage(&pool, 1), stage(&pool, 2)), (Stage::Broadcast, Stage::Signed));
    assert_eq!(given(&chain).len(), 1);
}

#[test]
fn a_chain_that_was_asked_for_an_exit_is_looked_at_soon() {
    let (mut pool, mut chain, _) = staked(1);
    ask(&mut pool, &[1]);
    let looks = |pool: &mut Pool, chain: &mut Chain, epoch: u64| {
        go(pool, chain, epoch);
        round(pool, chain).observed.contains(&"look")
    };
    assert!(!looks(&mut pool, &mut chain, STAKED + LOOK_SOON_EPOCHS + 1), "nobody has signed");
    let tx = types::Root([5; 32]);
    pool.see("exit-triggered", &json!({"validator": pool.index(1), "tx": tx})).unwrap();
    assert!(looks(&mut pool, &mut chain, STAKED + LOOK_SOON_EPOCHS + 2));
    assert!(!looks(&mut pool, &mut chain, STAKED + LOOK_SOON_EPOCHS + 3));
}

#[test]
fn a_request_of_the_withdrawal_address_is_told_of_an_exit_that_is_asked_for_and_of_no_other() {
    let contracts = Contracts { since: 32 * STAKED, ..contracts() };
    let (mut pool, jar, _) = Pool::staked(Charter { contracts: Some(contracts), ..charter() }, 2);
    let mut chain = of(jar);
    ask(&mut pool, &[1]);
    let asked = |secret| abi::ExitRequested { pubkey: key(secret).0.to_vec().into(), amount: 0 };
    chain.jar.slot += 1;
    let tx = chain.says(contracts.vault, &asked(1)).hash;
    // A second log of one transaction, and of a validator whose exit nobody wants.
    chain.says(contracts.vault, &asked(1));
    chain.says(contracts.vault, &asked(2));
    go(&mut pool, &mut chain, STAKED + 1);
    let said = round(&mut pool, &mut chain);
    assert_eq!(said.observed.iter().filter(|kind| **kind == "exit-triggered").count(), 1, "{said:?}");
    let nobody = format!("nobody asked for an exit of validator {}", pool.index(2));
    assert_eq!(said.refused, [nobody]);
    assert_eq!(pool.state().exits.exits()[&pool.index(1)].triggers, [tx].into());
    go(&mut pool, &mut chain, STAKED + 2);
    assert_eq!(round(&mut pool, &mut chain).observed, ["finalized"], "nothing twice");
}
