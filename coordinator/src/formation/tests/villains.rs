//! Clusters that break one rule each, and what the judge says of them. The judge knows nothing of the search.

use super::*;
use crate::formation::judge::Fault;
use crate::formation::{Proposal, Rule, proposal::Left, proposal::Why};

fn good() -> (Terms, Proposal) {
    let terms = terms(rules(4, 3), (0..5).map(candidate).collect(), 1);
    let proposal = Proposal::form(&Call::new(terms.clone()).unwrap(), seed(0)).unwrap();
    (terms, proposal)
}

/// What the judge says of a proposal that was good, before the world and the proposal were changed.
fn fault(change: impl Fn(&mut Terms, &mut Proposal)) -> Fault {
    let (mut terms, mut proposal) = good();
    // Members come first in the list here, in the order of their shares.
    let place = |of: &Candidate| {
        let members = &proposal.clusters[0].operators;
        members.iter().position(|member| *member == of.operator).unwrap_or(members.len())
    };
    terms.candidates.sort_by_key(place);
    change(&mut terms, &mut proposal);
    let call = Call::new(terms).unwrap();
    proposal.commitment = call.commitment();
    proposal.check(&call).unwrap_err()
}

/// The rule that is broken when members are changed.
fn broken(change: impl Fn(&mut Terms, &mut Proposal)) -> Rule {
    match fault(change) {
        Fault::Broken { cluster, check } => {
            assert!(cluster == 0 && !check.holds());
            check.rule
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_two_members_have_in_common_is_found() {
    let share = |change: fn(&mut Candidate, Candidate)| {
        broken(|terms, _| {
            let one = terms.candidates[0].clone();
            change(&mut terms.candidates[2], one);
        })
    };
    assert_eq!(share(|two, one| two.entity = one.entity), Rule::EntityOnce);
    let liveness = Rule::Liveness;
    assert_eq!(
        share(|two, one| two.execution_client = one.execution_client),
        liveness(Dimension::ExecutionClient)
    );
    assert_eq!(
        share(|two, one| two.consensus_client = one.consensus_client),
        liveness(Dimension::ConsensusClient)
    );
    assert_eq!(
        share(|two, one| two.validator_client = one.validator_client),
        liveness(Dimension::ValidatorClient)
    );
    assert_eq!(share(|two, one| two.hosting_as = one.hosting_as), liveness(Dimension::HostingAs));
    assert_eq!(share(|two, one| two.country = one.country), liveness(Dimension::Country));
    let three = broken(|terms, _| {
        let one = terms.candidates[0].country.clone();
        terms.candidates[1..3].iter_mut().for_each(|two| two.country = one.clone());
    });
    assert_eq!(three, Rule::Safety(Dimension::Country), "three can sign");
}

#[test]
fn what_one_member_may_not_is_found() {
    let of = |change: fn(&mut Candidate)| broken(|terms, _| change(&mut terms.candidates[2]));
    assert_eq!(of(|two| two.clusters_now = 1), Rule::Clusters);
    // An operator's part of 320 ETH is 80; ten keys of its type are 14.1.
    assert_eq!(of(|two| two.stake_cap = Gwei(eth(80).0 - 1)), Rule::StakeCap);
    assert_eq!(of(|two| two.bond_free = Wei(wei(14).0 + wei(1).0 / U256::from(10) - U256::ONE)), Rule::Bond);
    // It answers for a third of the stake.
    let bond = Wei(wei(320).0 / U256::from(3));
    let leverage = broken(|terms, _| {
        terms.rules.leverage_max = Some(Ratio::ONE);
        (terms.candidates[2].bond, terms.candidates[2].bond_free) = (bond, bond);
    });
    assert_eq!(leverage, Rule::Leverage);
    let saturation = broken(|terms, _| {
        let almost = Gwei(eth(100_000 - 80).0 + 1);
        terms.pool.entities.insert(terms.candidates[2].entity.clone(), almost);
    });
    assert_eq!(saturation, Rule::EntitySaturation);
}

#[test]
fn a_limit_that_is_just_met_is_kept() {
    // The numbers above, each with room for nothing more: the only fault left is that other numbers are stated.
    let met = fault(|terms, _| {
        terms.rules.leverage_max = Some(Ratio::ONE);
        let two = &mut terms.candidates[2];
        (two.stake_cap, two.bond_free) = (eth(80), Wei(wei(14).0 + wei(1).0 / U256::from(10)));
        two.bond = Wei(wei(320).0 / U256::from(3) + U256::from(1_000_000_000));
        terms.pool.entities.insert(two.entity.clone(), eth(100_000 - 80));
    });
    assert!(matches!(met, Fault::Stated { cluster: 0, .. }), "{met}");
}

#[test]
fn a_proposal_of_another_kind_or_another_call_is_found() {
    let kind = Fault::Kind { cluster: 0, have: 4 };
    assert_eq!(fault(|_, proposal| proposal.clusters[0].threshold = 4), kind);
    assert_eq!(fault(|_, proposal| proposal.clusters[0].delegation = Delegation::Private), kind);
    assert_eq!(fault(|terms, _| terms.rules.intra_operator = true), kind, "not marked as of one entity");
    let three = fault(|_, proposal| proposal.clusters[0].operators.truncate(3));
    assert_eq!(three, Fault::Kind { cluster: 0, have: 3 });
    let marked = broken(|terms, proposal| {
        terms.rules.intra_operator = true;
        proposal.clusters[0].one_entity = Some(terms.candidates[0].entity.clone());
    });
    assert_eq!(marked, Rule::OneEntity);
    assert!(matches!(fault(|terms, _| terms.demand = 2), Fault::Clusters { have: 1, told: false, .. }));
    assert!(matches!(fault(|_, proposal| proposal.clusters.clear()), Fault::Clusters { have: 0, .. }));
    let again = |_: &mut Terms, proposal: &mut Proposal| proposal.clusters.push(proposal.clusters[0].clone());
    assert!(matches!(fault(again), Fault::Clusters { have: 2, wanted: 1, .. }));
    let (terms, proposal) = good();
    let other = Call::new(Terms { demand: 1, committed_at: Epoch(1001), ..terms }).unwrap();
    assert!(matches!(proposal.check(&other), Err(Fault::OtherCall { .. })));
}

#[test]
fn numbers_that_are_not_so_are_found() {
    let number = fault(|_, proposal| proposal.clusters[0].checks[4].have += U256::ONE);
    assert_eq!(number, Fault::Stated { cluster: 0, at: 4 });
    let missing = fault(|_, proposal| proposal.clusters[0].checks.truncate(32));
    // One entity, ten numbers by dimension, one of the cluster, four for each operator, one for each entity.
    assert_eq!(missing, Fault::Stated { cluster: 0, at: 2 + 10 + 1 + 16 + 3 });
}

#[test]
fn who_sits_twice_or_is_a_stranger_is_found() {
    let twice = |_: &mut Terms, proposal: &mut Proposal| {
        let operators = &mut proposal.clusters[0].operators;
        operators[1] = operators[0];
    };
    assert_eq!(broken(twice), Rule::OperatorOnce);
    let stranger = fault(|_, proposal| proposal.clusters[0].operators[3] = address(99));
    assert_eq!(stranger, Fault::Unknown { operator: address(99) });
    let left = fault(|_, proposal| proposal.left.clear());
    assert!(matches!(left, Fault::Left { .. }));
    let also = |proposal: &Proposal| Left { operator: proposal.clusters[0].operators[0], why: Why::NotDrawn };
    assert!(matches!(fault(|_, proposal| proposal.left.push(also(proposal))), Fault::Left { .. }));
    let ghost = fault(|_, proposal| proposal.left.push(Left { operator: address(99), why: Why::NotDrawn }));
    assert_eq!(ghost, Fault::Unknown { operator: address(99) });
}
