//! Round after round: what is asked and observed, and what not.

use super::super::due::{LOOK_EPOCHS, LOOK_SOON_EPOCHS, PATIENCE_EPOCHS};
use super::super::*;
use super::chain::{Chain, Round, STAKE, number_hash, root, round};
use crate::ledger::chain::{Executed, Finalized, Stake};
use crate::ledger::charter::Charter;
use crate::ledger::charter::tests::{charter, contracts};
use crate::ledger::deposits::Stage;
use crate::ledger::testbed::jar::key;
use crate::ledger::testbed::{Pool, address};
use crate::watch::contracts::abi;
use alloy_primitives::U256;
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
    pool.register(cluster, &[1]).unwrap();
    let mut chain = Chain::new();
    chain.finalize(BEGIN);
    (pool, chain)
}

#[test]
fn what_is_finalized_is_observed_when_it_is_later_and_once() {
    let (mut pool, mut chain) = (Pool::new(), Chain::new());
    assert_eq!(round(&mut pool, &mut chain), observed(&[]), "nothing is final at the beginning");
    chain.finalize(7);
    let first = ["finalized", "network-stake", "executed"];
    assert_eq!(round(&mut pool, &mut chain), observed(&first), "the vault is not there yet");
    assert_eq!(pool.state().chain.finalized, Finalized { epoch: Epoch(7), root: root(7) });
    let stake = Stake { epoch: Epoch(7), active: Gwei(STAKE) };
    assert_eq!(pool.state().chain.stake, Some(stake));
    assert_eq!(round(&mut pool, &mut chain), observed(&[]));
    chain.finalized = 6;
    assert_eq!(round(&mut pool, &mut chain), observed(&[]), "a node that lags says nothing new");
    let looks = |question: &&Question| matches!(question, Question::Validators { .. });
    assert_eq!(chain.asked.iter().find(looks), None, "a pool without keys");
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
    assert_eq!(round(&mut pool, &mut chain), observed(&["finalized", "network-stake", "executed", "look"]));
    assert_eq!(pool.state().deposits.looked(), Some(Slot(BEGIN * 32)));
    for epoch in [1, 2, LOOK_SOON_EPOCHS, LOOK_EPOCHS - 1].map(|more| BEGIN + more) {
        chain.finalize(epoch);
        assert_eq!(round(&mut pool, &mut chain), observed(&["finalized"]));
    }
    chain.finalize(BEGIN + LOOK_EPOCHS);
    assert_eq!(round(&mut pool, &mut chain), observed(&["finalized", "executed", "look"]));
    let cluster = *pool.state().clusters.clusters.keys().next().unwrap();
    pool.register(cluster, &[2]).unwrap();
    for epoch in [1, LOOK_SOON_EPOCHS - 1].map(|more| BEGIN + LOOK_EPOCHS + more) {
        chain.finalize(epoch);
        assert_eq!(round(&mut pool, &mut chain), observed(&["finalized"]));
    }
    chain.finalize(BEGIN + LOOK_EPOCHS + LOOK_SOON_EPOCHS);
    assert_eq!(round(&mut pool, &mut chain), observed(&["finalized", "executed", "look"]));
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
    assert_eq!(first.observed, ["finalized", "network-stake", "executed"]);
    assert_eq!(first.aside.keys().collect::<Vec<_>>(), [&Task::Look]);
    chain.finalize(BEGIN + 1);
    assert_eq!(round(&mut pool, &mut chain).observed, ["finalized", "executed"], "the chain goes on");
    chain.deaf = None;
    assert_eq!(round(&mut pool, &mut chain), observed(&["look"]));
    assert_eq!(pool.state().deposits.looked(), Some(Slot((BEGIN + 1) * 32)));
}

/// Guardians approve, and the payer sends.
fn send(pool: &mut Pool, chain: &mut Chain) {
    let batch = *pool.state().deposits.batches().last_key_value().unwrap().0;
    pool.approve(batch).unwrap();
    chain.send(pool, batch);
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
        log.extend(round.observed.into_iter().filter(|kind| ["look", "plan", "sent"].contains(kind)));
    }
    // Proven, and the rest planned; then a look in under two hours until it is active.
    assert_eq!(log.iter().filter(|kind| **kind == "plan").count(), 1);
    assert_eq!(log.iter().filter(|kind| **kind == "sent").count(), 2);
    assert!(log.len() < 12, "{log:?}");
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
    let kinds = ["finalized", "network-stake", "executed", "look", "report"];
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

#[test]
fn what_the_vault_says_is_told_once_and_in_order() {
    let (mut pool, mut chain) = keyed();
    round(&mut pool, &mut chain);
    let vault = contracts().vault;
    let wei = |eth: u64| U256::from(eth) * U256::from(10).pow(U256::from(18));
    let payer = alloy_primitives::Address::from(address(70).0);
    let operator = alloy_primitives::Address::from(address(101).0);
    let nobody = alloy_primitives::Address::from([0x77; 20]);
    chain.jar.slot += 5;
    chain.says(vault, &abi::Paid { payer, amount: wei(3) });
    chain.says(vault, &abi::Bonded { operator, amount: wei(2) });
    chain.says(vault, &abi::Bonded { operator: nobody, amount: wei(2) });
    chain.says(vault, &abi::Covered { payer, amount: wei(1) });
    chain.says(vault, &abi::Collected { from: payer, amount: wei(5) });
    chain.says(vault, &abi::Reserved { payer, amount: wei(6) });
    chain.says(vault, &abi::PaidOut { payout: U256::from(9), to: payer, amount: wei(1) });
    chain.says(vault, &abi::PaidOut { payout: U256::MAX, to: payer, amount: wei(1) });
    let at = chain.jar.slot;
    let bond = pool.state().bonds.account(address(101)).bond;
    // It is not told before its block is final.
    assert_eq!(round(&mut pool, &mut chain).observed, Vec::<&str>::new());
    chain.finalize(BEGIN + 1);
    let said = round(&mut pool, &mut chain);
    let kinds = ["finalized", "payment", "bond-deposited", "cover", "rewards", "reserve-paid"];
    assert_eq!(said.observed[..6], kinds);
    assert_eq!(said.observed[6..], ["executed", "report"]);
    assert_eq!(said.refused.len(), 2, "{said:?}");
    assert!(said.refused[0].contains("there is no operator"), "{said:?}");
    assert!(said.refused[1].contains("there is no payout 9"), "{said:?}");
    assert!(at <= (BEGIN + 1) * 32);
    let number = (BEGIN + 1) * 32;
    assert_eq!(pool.state().chain.executed, Some(Executed { number, hash: number_hash(number) }));
    assert_eq!(pool.state().bonds.account(address(101)).bond.0, bond.0 + wei(2));
    assert!(pool.state().money.reserve().0 > wei(6), "what was paid, and its part of the rewards");
    let all = wei(3) + wei(1) + wei(5) + wei(6);
    let (pooled, books) = (pool.state().money.rate().pooled, pool.state().money.books());
    assert_eq!(pooled.0 + books.rewards.0 + books.cover.0, all, "rewards are let in slowly");
    chain.finalize(BEGIN + 2);
    assert_eq!(round(&mut pool, &mut chain), observed(&["finalized"]), "nothing twice");
}

#[test]
fn a_claim_that_was_paid_to_somebody_else_is_not_told() {
    let (mut pool, mut chain) = keyed();
    round(&mut pool, &mut chain);
    let path = format!("/v1/operators/{}/bond/withdrawals", address(101));
    pool.post(101, &path, &json!({"amount": "1000"})).unwrap();
    let claim = pool.state().bonds.claims[&0];
    let to = alloy_primitives::Address::from(claim.to.0);
    let paid = |to, amount: u64| abi::BondPaid { claim: U256::ZERO, to, amount: U256::from(amount) };
    chain.jar.slot += 1;
    chain.says(contracts().vault, &paid(to, 999));
    chain.says(contracts().vault, &paid(alloy_primitives::Address::from([0x77; 20]), 1000));
    chain.finalize(BEGIN + 1);
    let said = round(&mut pool, &mut chain);
    assert_eq!(said.refused.len(), 2, "{said:?}");
    assert!(said.refused[0].contains("claim 0 is of 1000 wei to"), "{said:?}");
    assert!(pool.state().bonds.claims.contains_key(&0));
    chain.jar.slot += 1;
    chain.says(contracts().vault, &paid(to, 1000));
    chain.finalize(BEGIN + 2);
    assert_eq!(round(&mut pool, &mut chain).observed, ["finalized", "bond-paid", "executed"]);
    assert!(pool.state().bonds.claims.is_empty());
}

#[test]
fn nothing_is_looked_at_before_all_that_was_said_is_told() {
    for deaf in [
        (|question| matches!(question, Question::Logs { .. })) as fn(&Question) -> bool,
        |question| matches!(question, Question::Executed { .. }),
        |question| matches!(question, Question::Active { .. }),
    ] {
        let (mut pool, mut chain) = keyed();
        chain.deaf = Some(deaf);
        let without = round(&mut pool, &mut chain);
        assert!(without.aside.contains_key(&Task::Contracts), "{without:?}");
        assert!(!without.observed.contains(&"look"), "{without:?}");
        chain.deaf = None;
        assert!(round(&mut pool, &mut chain).observed.ends_with(&["executed", "look"]));
    }
    let (mut pool, mut chain) = keyed();
    chain.forked = true;
    let other = round(&mut pool, &mut chain);
    assert!(other.aside[&Task::Contracts].contains("has another block 144000"), "{other:?}");
    assert_eq!(pool.state().deposits.looked(), None);
}

#[test]
fn a_pool_without_contracts_is_looked_at_and_plans_nothing() {
    let mut pool = Pool::of(Charter { contracts: None, ..charter() });
    let mut chain = Chain::new();
    let team = pool.team();
    let cluster = pool.cluster(team, 2);
    pool.register(cluster, &[1]).unwrap();
    chain.finalize(BEGIN);
    assert_eq!(round(&mut pool, &mut chain), observed(&["finalized", "network-stake", "look"]));
    pool.pay(70, "36", 0).unwrap();
    assert_eq!(round(&mut pool, &mut chain), observed(&["report"]));
    assert!(chain.asked.iter().all(|question| question.rpc().is_none()));
}

#[test]
fn a_long_time_is_listened_to_in_parts_and_on_after_a_restart() {
    let (mut pool, mut chain) = keyed();
    chain.finalize(BEGIN + 300);
    round(&mut pool, &mut chain);
    let ranges: Vec<_> = chain
        .asked
        .iter()
        .filter_map(|question| match question {
            Question::Logs { from, to, .. } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(ranges[0], (140_000, 141_999));
    assert!(ranges.windows(2).all(|two| two[0].1 + 1 == two[1].0), "{ranges:?}");
    assert_eq!(ranges.last().unwrap().1, (BEGIN + 300) * 32);
    chain.asked.clear();
    chain.finalize(BEGIN + 301);
    round(&mut pool, &mut chain);
    let next = Question::Logs {
        from: (BEGIN + 300) * 32 + 1,
        to: (BEGIN + 301) * 32,
        addresses: [contracts().vault, contracts().deposits],
    };
    assert!(chain.asked.contains(&next), "{:?}", chain.asked);
}

#[test]
fn what_is_final_is_not_asked_again_in_the_next_round_and_an_absent_block_is() {
    let block = |slot| Question::Block { slot: Slot(slot) };
    let said = |epoch| Said::Finality(Finalized { epoch: Epoch(epoch), root: root(epoch) });
    let answers = [
        (Question::Finality, said(1)),
        (block(1), Said::Block(said::Block::default())),
        (block(2), Said::Nothing),
    ];
    let aside = |task| [(task, "no".to_owned())].into();
    let known = Known { answers: answers.into(), set_aside: aside(Task::Look), ..Known::default() };
    let known = known.again(aside(Task::Stake));
    assert!(known.answers.keys().eq(&[block(1)]), "a node that lags has no block either");
    assert_eq!(known.set_aside, aside(Task::Stake));
}

#[test]
fn what_is_of_a_checkpoint_is_asked_once_whatever_else_is_done_and_again_of_the_next() {
    let slot = Slot(32);
    let of_checkpoint = [
        Question::Payload { root: root(1) },
        Question::Slashed { slot, indices: Vec::new() },
        Question::Slashings { slot },
        Question::Randao { slot, epoch: Epoch(0) },
    ];
    let others = [Question::Finality, Question::Pending { slot }, Question::Block { slot }];
    let answers = of_checkpoint.iter().chain(&others).map(|question| (question.clone(), Said::Nothing));
    let known = Known { answers: answers.collect(), ..Known::default() };
    let after = |task| {
        let mut known = known.clone();
        known.done(task);
        known.answers.into_keys().collect::<Vec<_>>()
    };
    for task in [Task::Look, Task::Stake, Task::Report] {
        let stays = std::iter::once(&Question::Finality).chain(&of_checkpoint);
        assert!(after(task).iter().eq(stays), "{task:?}: {:?}", after(task));
    }
    let mut others = others.to_vec();
    others.sort();
    assert_eq!(after(Task::Finality), others);
}
