//! The seed that a call for clusters waits for.

use super::super::*;
use super::chain::{Chain, mix, round};
use crate::ledger::Ledger;
use crate::ledger::charter::Charter;
use crate::ledger::charter::tests::charter;
use crate::ledger::testbed::{EPOCH, Pool};
use serde_json::json;
use types::{ChainSpec, Epoch, Preset, Slot};

/// Later than governance has let the team in.
const SEED: u64 = EPOCH + 1_000;

/// A pool whose open call waits for the seed of [`SEED`], and a chain that is as far.
fn called() -> (Pool, Chain) {
    let mut pool = Pool::new();
    pool.team();
    pool.see("call", &Pool::wanted(1, SEED)).unwrap();
    pool.now = pool.time_of(32 * (SEED + 100));
    let mut chain = Chain::new();
    chain.finalize(SEED);
    (pool, chain)
}

fn randao(chain: &Chain) -> Vec<Question> {
    let of = |question: &&Question| matches!(question, Question::Randao { .. });
    chain.asked.iter().filter(of).cloned().collect()
}

#[test]
fn a_seed_is_brought_once_when_no_block_can_change_it() {
    let (mut pool, mut chain) = called();
    assert_eq!(round(&mut pool, &mut chain).observed, ["finalized", "network-stake"]);
    assert_eq!(randao(&chain), []);
    chain.finalize(SEED + 1);
    assert_eq!(round(&mut pool, &mut chain).observed, ["finalized", "seed"]);
    assert_eq!(pool.state().calls.proposal.as_ref().unwrap().seed.mix, mix(SEED));
    let asked = Question::Randao { slot: Slot(32 * (SEED + 1)), epoch: Epoch(SEED) };
    assert_eq!(randao(&chain), [asked]);
    chain.finalize(SEED + 2);
    assert_eq!(round(&mut pool, &mut chain).observed, ["finalized"]);
    assert_eq!(randao(&chain).len(), 1, "no call is open");
}

#[test]
fn a_node_that_was_deaf_is_asked_for_the_latest_final_state() {
    let (mut pool, mut chain) = called();
    chain.deaf = Some(|question| matches!(question, Question::Randao { .. }));
    chain.finalize(SEED + 1);
    let deaf = round(&mut pool, &mut chain);
    assert!(deaf.aside.contains_key(&Task::Seed));
    assert_eq!(deaf.observed, ["finalized", "network-stake"], "nothing else waits");
    // Another office with the same log.
    pool.ledger = Ledger::replay(&pool.log).unwrap();
    chain.deaf = None;
    chain.finalize(SEED + 9);
    assert_eq!(round(&mut pool, &mut chain).observed, ["finalized", "seed"]);
    assert_eq!(pool.state().calls.proposal.as_ref().unwrap().seed.mix, mix(SEED));
    let asked = Question::Randao { slot: Slot(32 * (SEED + 9)), epoch: Epoch(SEED) };
    assert_eq!(randao(&chain).last(), Some(&asked));
}

#[test]
fn a_state_that_has_forgotten_the_mix_is_not_asked() {
    let (mut pool, _) = called();
    assert_eq!(due::seed(pool.state()), None);
    for (later, of) in [(1, 1), (65_535, 65_535), (65_536, 65_535), (70_000, 65_535)] {
        pool.finalize(SEED + later);
        assert_eq!(due::seed(pool.state()), Some((Epoch(SEED), Slot(32 * (SEED + of)))));
    }
    let network =
        ChainSpec { preset: Preset::Minimal, chain_id: 1_337, ..ChainSpec::builtin("hoodi").unwrap() };
    let mut small = Pool::of(Charter { network, ..charter() });
    small.team();
    small.see("call", &Pool::wanted(1, SEED)).unwrap();
    small.finalize(SEED + 100);
    assert_eq!(due::seed(small.state()), Some((Epoch(SEED), Slot(32 * (SEED + 63)))));
}

#[test]
fn a_mix_is_read_of_what_is_final_and_verified() {
    let question = Question::Randao { slot: Slot(96), epoch: Epoch(2) };
    assert_eq!(question.path(), "/eth/v1/beacon/states/96/randao?epoch=2");
    assert_eq!((question.body(), question.may_be_absent()), (None, false));
    let said = |optimistic: bool, finalized: bool, data| {
        let answer = json!({"execution_optimistic": optimistic, "finalized": finalized, "data": data});
        question.read(&Scope::default(), &mut answer.to_string().as_bytes())
    };
    let data = || json!({"randao": mix(2)});
    assert_eq!(said(false, true, data()), Ok(Said::Randao(mix(2))));
    assert_eq!(said(true, true, data()), Err(Wrong::Optimistic));
    assert_eq!(said(false, false, data()), Err(Wrong::NotFinal));
    for wrong in [json!({}), json!({"randao": "0x12"}), json!(mix(2))] {
        assert!(matches!(said(false, true, wrong), Err(Wrong::Shape(_))));
    }
}
