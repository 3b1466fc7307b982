//! What is said where a demand cannot be met.

use super::*;
use crate::formation::{Check, Proposal, proposal::Why};

fn said(call: &Call) -> String {
    let proposal = Proposal::form(call, seed(0)).unwrap();
    assert_eq!(proposal.check(call), Ok(()));
    proposal.shortfall.unwrap().to_string()
}

#[test]
fn a_country_of_too_many() {
    let german = |at| {
        if at < 5 {
            Candidate { country: Country::new("DE").unwrap(), ..candidate(at) }
        } else {
            candidate(at)
        }
    };
    let call = call(rules(4, 3), (0..8).map(german).collect(), 2);
    assert_eq!(
        said(&call),
        "country DE is held by 5 of 8 candidates; a cluster of 4 takes 1: of the 8 seats in 2 clusters 5 can be filled"
    );
}

#[test]
fn an_entity_of_too_many() {
    let alike =
        |at| if at < 6 { Candidate { entity: candidate(0).entity, ..candidate(at) } } else { candidate(at) };
    let mut rules = rules(4, 3);
    rules.diversity.clear();
    assert_eq!(
        said(&call(rules, (0..8).map(alike).collect(), 1)),
        "entity Entity 0 is held by 6 of 8 candidates; a cluster of 4 takes 1: of the 4 seats in 1 cluster 3 can be \
         filled"
    );
}

#[test]
fn operators_without_room() {
    let mut candidates: Vec<_> = (0..8).map(candidate).collect();
    candidates[0].bond_free = Wei::ZERO;
    candidates[1].bond_free = Wei::ZERO;
    candidates[2].clusters_now = 1;
    let call = call(rules(4, 3), candidates, 2);
    assert_eq!(
        said(&call),
        "8 candidates have room for 5 of the 8 seats in 2 clusters of 4; 6 of them are limited by \
         clusters of an operator; 2 of them are limited by free bond"
    );
    let left = Proposal::form(&call, seed(0)).unwrap().left;
    let bonded = left.iter().find(|left| left.operator == address(0)).unwrap();
    assert_eq!(
        bonded.why.to_string(),
        format!("free bond of {}: 14100000000000000000, at most 0", address(0))
    );
    let Why::Barred(Check { have, .. }) = &bonded.why else { panic!("it is barred") };
    assert_eq!(*have, U256::from(141) * U256::from(10).pow(U256::from(17)));
}

#[test]
fn an_entity_near_saturation() {
    let mut rules = rules(4, 3);
    rules.diversity.clear();
    let candidates = (0..4).map(|at| Candidate { clusters_max: 2, ..candidate(at) }).collect();
    let mut terms = terms(rules, candidates, 2);
    // Saturated with 100000 ETH; a seat is 80.
    terms.pool.entities.insert(candidate(2).entity, eth(99_900));
    assert_eq!(
        said(&Call::new(terms).unwrap()),
        "saturation of an entity of Entity 2: 100060000000000, at most 100000000000000; so entity Entity 2 takes 1 \
         seats, its operators have room for 2: of the 8 seats in 2 clusters 7 can be filled"
    );
}

#[test]
fn entities_too_small_to_be_alone() {
    let mut rules = rules(4, 3);
    (rules.intra_operator, rules.diversity) = (true, BTreeMap::new());
    let alike = |at: u32| Candidate { entity: candidate(at % 2).entity, ..candidate(at) };
    assert_eq!(
        said(&call(rules, (0..13).map(alike).collect(), 3)),
        "2 entities have nodes for 8 seats in clusters of 4 that are of one entity; the most, 7, has Entity 0"
    );
}

#[test]
fn rules_that_can_be_kept_alone_but_not_together() {
    // Of no kind is a client of more than two operators: enough by any count. By the first two kinds the first and the fourth
    // operator are in one cluster; by the third they cannot be.
    let mut rules = rules(4, 3);
    rules.diversity.retain(|dimension, _| *dimension < Dimension::HostingAs);
    let clients = [[0, 0, 0], [0, 1, 1], [1, 0, 2], [1, 1, 0], [2, 2, 3], [2, 2, 4], [3, 3, 5], [3, 3, 6]];
    let of = |(at, [el, cl, vc]): (u32, [u32; 3])| Candidate {
        execution_client: word(&format!("el{el}")),
        consensus_client: word(&format!("cl{cl}")),
        validator_client: word(&format!("vc{vc}")),
        ..candidate(at)
    };
    let candidates: Vec<_> = (0..).zip(clients).map(of).collect();
    let said = said(&call(rules, candidates, 2));
    assert!(
        said.starts_with("every arrangement of 2 clusters was tried and none keeps every rule"),
        "{said}"
    );
    assert!(said.ends_with("stood in the way") && said.contains("liveness by"), "{said}");
}

#[test]
fn a_search_that_is_given_up_says_so() {
    // The third client is the sum of the other two, modulo four. Four operators that differ in all three would have third
    // clients of 0 + 1 + 2 + 3 = 2 and of twice that = 0, modulo four: there is no such cluster, and no counting tells.
    let mut rules = rules(4, 3);
    rules.diversity.retain(|dimension, _| *dimension < Dimension::HostingAs);
    let of = |at: u32| Candidate {
        execution_client: word(&format!("el{}", at % 4)),
        consensus_client: word(&format!("cl{}", at / 4 % 4)),
        validator_client: word(&format!("vc{}", (at + at / 4) % 4)),
        ..candidate(at)
    };
    let few = said(&call(rules.clone(), (0..32).map(of).collect(), 1));
    assert!(few.starts_with("every arrangement of 1 cluster was tried"), "{few}");
    let many = said(&call(rules, (0..256).map(of).collect(), 3));
    let given_up =
        "the search was given up after 100000 steps with 0 clusters, more may be possible; most often, ";
    assert!(many.starts_with(given_up), "{many}");
}
