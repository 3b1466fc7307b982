//! What is no call, and what its hash is.

use super::*;
use crate::formation::call::{CANDIDATES_MAX, CallError, KEYS_NOW_MAX, SEED_WAIT_MAX};
use types::operators::SizeError;

fn refused(change: impl Fn(&mut Terms)) -> CallError {
    let mut terms = terms(rules(4, 3), (0..5).map(candidate).collect(), 1);
    change(&mut terms);
    Call::new(terms).unwrap_err()
}

#[test]
fn randomness_that_could_be_known_is_refused() {
    let at = |committed: u64, seed: u64| {
        let mut terms = terms(rules(4, 3), (0..5).map(candidate).collect(), 1);
        (terms.committed_at, terms.seed_epoch) = (Epoch(committed), Epoch(seed));
        Call::new(terms).map(drop)
    };
    let not_later =
        |committed, seed| Err(CallError::SeedNotLater { committed: Epoch(committed), seed: Epoch(seed) });
    assert_eq!(at(7, 6), not_later(7, 6));
    assert_eq!(at(7, 7), not_later(7, 7));
    assert_eq!(at(7, 8), Ok(()));
    assert_eq!(at(7, 7 + SEED_WAIT_MAX), Ok(()));
    let seed = Epoch(8 + SEED_WAIT_MAX);
    assert_eq!(at(7, seed.0), Err(CallError::SeedTooLate { committed: Epoch(7), seed }));
    let words = at(7, 6).unwrap_err().to_string();
    assert_eq!(words, "the seed is of epoch 6, the call of epoch 7: the seed must be of a later one");
}

#[test]
fn rules_without_meaning_are_refused() {
    let size = SizeError::Unsafe { threshold: 2, operators: 4, common: 0 };
    assert_eq!(refused(|terms| terms.rules.threshold = 2), CallError::Size(size));
    let none = CallError::NoneMayFail { operators: 4 };
    assert_eq!(refused(|terms| terms.rules.threshold = 4), none);
    let all = |terms: &mut Terms| {
        terms.rules.threshold = 4;
        terms.rules.diversity.clear();
    };
    let mut terms = terms(rules(4, 3), vec![candidate(0)], 1);
    all(&mut terms);
    assert!(Call::new(terms).is_ok());
    let count = |what, have, most| CallError::Count { what, have, most };
    assert_eq!(refused(|terms| terms.demand = 0), count("clusters", 0, 64));
    assert_eq!(refused(|terms| terms.demand = 65), count("clusters", 65, 64));
    assert_eq!(refused(|terms| terms.rules.keys = 0), count("validators", 0, 10_000));
    assert_eq!(refused(|terms| terms.rules.keys = 10_001), count("validators", 10_001, 10_000));
    assert_eq!(refused(|terms| terms.rules.pools_wanted = 0), count("pools wanted", 0, u32::MAX.into()));
    assert_eq!(refused(|terms| terms.rules.operator_types.clear()), count("operator types", 0, 64));
    let (stake, keys) = (Gwei(eth(320).0 - 1), 10);
    assert_eq!(refused(|terms| terms.rules.stake = stake), CallError::StakeOfKeys { stake, keys });
    let (stake, keys) = (Gwei(eth(20_480).0 + 1), 10);
    assert_eq!(refused(|terms| terms.rules.stake = stake), CallError::StakeOfKeys { stake, keys });
    let saturated = refused(|terms| terms.pool.total = Gwei(eth(3200).0 - 1));
    assert!(matches!(saturated, CallError::ClusterSaturated { pools: 10, .. }), "{saturated}");
    let idle = Diversity { safety: false, liveness: false };
    let dimension = Dimension::Country;
    let nothing = refused(|terms| _ = terms.rules.diversity.insert(dimension, idle));
    assert_eq!(nothing, CallError::IdleDiversity { dimension });
    let cap = Ratio::of(99, 100).unwrap();
    assert_eq!(refused(|terms| terms.rules.leverage_max = Some(cap)), CallError::LeverageBelowOne { cap });
}

#[test]
fn lists_without_meaning_are_refused() {
    let operator = address(3);
    assert_eq!(refused(|terms| terms.candidates[1].operator = operator), CallError::Twice { operator });
    let none = refused(|terms| terms.candidates.clear());
    assert_eq!(none, CallError::Count { what: "candidates", have: 0, most: 1024 });
    let many = refused(|terms| terms.candidates = (0..).map(candidate).take(CANDIDATES_MAX + 1).collect());
    assert_eq!(many, CallError::Count { what: "candidates", have: 1025, most: 1024 });
    let unknown = refused(|terms| terms.candidates[3].operator_type = word("guru"));
    assert_eq!(unknown, CallError::UnknownType { operator, operator_type: word("guru") });
    let have = KEYS_NOW_MAX + 1;
    assert_eq!(refused(|terms| terms.candidates[3].keys_now = have), CallError::Keys { operator, have });
    let less = refused(|terms| terms.candidates[3].stake_now = Gwei(7));
    assert_eq!(less, CallError::Controlled { operator, controlled: Gwei(0), stake: Gwei(7) });
    let (bond, free) = (wei(1000), Wei(wei(1000).0 + U256::ONE));
    assert_eq!(
        refused(|terms| terms.candidates[3].bond_free = free),
        CallError::FreeBond { operator, bond, free }
    );
    let entity = candidate(3).entity;
    let stake = refused(|terms| {
        terms.candidates[2].entity = candidate(3).entity;
        for (at, stake) in [(2, Gwei(2)), (3, Gwei(3))] {
            (terms.candidates[at].stake_now, terms.candidates[at].controlled_now) = (stake, stake);
        }
        terms.pool.entities.insert(candidate(3).entity, Gwei(4));
    });
    assert_eq!(stake, CallError::EntityStake { entity, candidates: 5, stated: Gwei(4) });
}

#[test]
fn the_commitment_is_the_hash_of_the_published_bytes() {
    let mut rules = rules(4, 3);
    rules.operator_types.retain(|name, _| name.as_str() == "csm-idvtc");
    let one = Candidate { operator_type: word("csm-idvtc"), ..candidate(1) };
    let call = call(rules, vec![one], 1);
    assert_eq!(String::from_utf8(call.bytes()).unwrap(), PUBLISHED);
    // printf %s of the above, piped to sha256sum.
    let hash = "0x3ae290a6031dc2634315daeb5a4edac414c049302dff4cfa43e60f636f052820";
    assert_eq!(call.commitment().to_string(), hash);
}

const PUBLISHED: &str = concat!(
    r#"{"committed_at":"1000","seed_epoch":"1003","demand":1,"rules":{"operators":4,"threshold":3,"keys":10,"#,
    r#""stake":"320000000000","leverage_max":"10/1","pools_wanted":10,"diversity":{"#,
    r#""execution_client":{"safety":true,"liveness":true},"consensus_client":{"safety":true,"liveness":true},"#,
    r#""validator_client":{"safety":true,"liveness":true},"hosting_as":{"safety":true,"liveness":true},"#,
    r#""country":{"safety":true,"liveness":true}},"intra_operator":false,"#,
    r#""delegation":"public","operator_types":{"csm-idvtc":[{"from_key":1,"per_key":"1500000000"},"#,
    r#"{"from_key":2,"per_key":"500000000"}]}},"pool":{"total":"1000000000000000","entities":{}},"#,
    r#""candidates":[{"operator":"0x1111111111111111111111111111111100000001","entity":"Entity 1","#,
    r#""country":"AE","hosting_as":1001,"execution_client":"el1","consensus_client":"cl1","#,
    r#""validator_client":"vc1","operator_type":"csm-idvtc","clusters_now":0,"clusters_max":1,"keys_now":0,"#,
    r#""stake_now":"0","stake_cap":"1000000000000000","controlled_now":"0","bond":"1000000000000000000000","#,
    r#""bond_free":"1000000000000000000000"}]}"#,
);
