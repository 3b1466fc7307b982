//! What holds of every proposal.

use super::*;
use crate::formation::proposal::{Proposal, ProposedCluster, VerifyError, Why};
use crate::formation::{accept, judge};
use crate::formulas::bonds;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_proposal_breaks_a_rule_and_everybody_makes_the_same(
        call in calls(&[(3, 2), (4, 3), (5, 4), (7, 5), (10, 7)], 0..25, 6), mix: [u8; 32],
    ) {
        let seed = Seed { epoch: Epoch(1003), mix: Root(mix) };
        let proposal = Proposal::form(&call, seed).unwrap();
        prop_assert_eq!(proposal.check(&call), Ok(()));
        prop_assert_eq!(proposal.verify(&call, seed), Ok(()));
        prop_assert_eq!(proposal.shortfall.is_some(), proposal.clusters.len() < call.terms().demand as usize);
        let read = Proposal::decode(&proposal.bytes()).unwrap();
        prop_assert_eq!(read.hash(), proposal.hash());
        prop_assert_eq!(read, proposal);
        let bytes = call.bytes();
        prop_assert_eq!(crate::canonical::read::<Call>(&bytes).unwrap(), call);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(
        call in calls(&[(4, 3), (7, 5)], 0..12, 4), keys in prop::collection::vec(any::<u64>(), 20),
    ) {
        let mut mixed = call.terms().clone();
        let mut keyed: Vec<_> = keys.iter().cycle().zip(mixed.candidates).collect();
        keyed.sort_by_key(|(key, _)| **key);
        mixed.candidates = keyed.into_iter().map(|(_, candidate)| candidate).collect();
        let mixed = Call::new(mixed).unwrap();
        let form = |call: &Call| Proposal::form(call, seed(7)).unwrap().bytes();
        prop_assert_eq!(form(&mixed), form(&call));
    }

    #[test]
    fn no_coalition_that_can_sign_has_put_up_less_than_the_cap_asks(
        call in calls(&[(3, 2), (4, 3), (7, 5)], 2..20, 6),
    ) {
        let rules = &call.terms().rules;
        prop_assume!(rules.leverage_max.is_some() && rules.delegation == Delegation::Public);
        for cluster in Proposal::form(&call, seed(1)).unwrap().clusters {
            let bond = |operator: &Address| {
                call.terms().candidates.iter().find(|candidate| candidate.operator == *operator).unwrap().bond
            };
            let bonds: Vec<Wei> = cluster.operators.iter().map(bond).collect();
            let stake = crate::formulas::wide::wei(rules.stake);
            let worst = bonds::coalition_leverage(&bonds, rules.threshold.into(), stake).unwrap();
            prop_assert!(worst <= rules.leverage_max.unwrap());
        }
    }

    #[test]
    fn who_is_left_has_the_reason_that_the_judge_finds(call in calls(&[(4, 3), (7, 5)], 0..20, 4)) {
        let proposal = Proposal::form(&call, seed(3)).unwrap();
        let find = |operator: &Address| {
            call.terms().candidates.iter().find(|one| one.operator == *operator).unwrap()
        };
        let seats = |cluster: &ProposedCluster| cluster.operators.iter().map(find).collect::<Vec<_>>();
        for left in &proposal.left {
            let mut seated: Vec<_> = proposal.clusters.iter().map(seats).collect();
            // As if it sat alone in one cluster more: only its own rules and its entity's can be broken there.
            seated.push(vec![find(&left.operator)]);
            let broken = judge::numbers(&call, &seated).into_iter().find(|check| !check.holds());
            prop_assert_eq!(&left.why, &broken.map_or(Why::NotDrawn, Why::Barred));
        }
    }
}

/// Twelve operators for two clusters of four.
fn twelve() -> Terms {
    terms(rules(4, 3), (0..12).map(candidate).collect(), 2)
}

#[test]
fn another_seed_is_another_draw_and_nobody_is_drawn_more_than_others() {
    let call = Call::new(twelve()).unwrap();
    let mut seen = BTreeSet::new();
    let mut seats = BTreeMap::<Address, u32>::new();
    for at in 0..=u8::MAX {
        let proposal = Proposal::form(&call, seed(at)).unwrap();
        seen.insert(proposal.clusters[0].operators.clone());
        for operator in proposal.clusters.iter().flat_map(|cluster| &cluster.operators) {
            *seats.entry(*operator).or_default() += 1;
        }
    }
    // Of 11880 first clusters 256 were drawn: three are expected twice.
    assert!(seen.len() > 240, "{}", seen.len());
    // Two thirds of 256, within five standard deviations of 7.5.
    assert!(seats.len() == 12 && seats.values().all(|count| (133..=208).contains(count)), "{seats:?}");
}

#[test]
fn whatever_a_coordinator_could_grind_is_bound_by_the_commitment() {
    let original = Call::new(twelve()).unwrap();
    let changes: [fn(&mut Terms); 14] = [
        |terms| terms.committed_at = Epoch(999),
        |terms| terms.seed_epoch = Epoch(1004),
        |terms| terms.demand = 3,
        |terms| terms.rules.keys = 9,
        |terms| terms.rules.stake = Gwei(eth(320).0 + 1),
        |terms| terms.rules.leverage_max = None,
        |terms| terms.rules.pools_wanted = 11,
        |terms| terms.rules.delegation = Delegation::Private,
        |terms| assert!(terms.rules.diversity.remove(&Dimension::Country).is_some()),
        |terms| assert!(terms.rules.operator_types.remove(&word("cmv2-pto")).is_some()),
        |terms| terms.pool.total = eth(1_000_001),
        |terms| assert!(terms.pool.entities.insert(Entity::new("Nobody").unwrap(), Gwei(0)).is_none()),
        |terms| terms.candidates[5].hosting_as += 1,
        |terms| terms.candidates.push(candidate(12)),
    ];
    let order = |call: &Call| {
        let proposal = Proposal::form(call, Seed { epoch: call.terms().seed_epoch, ..seed(9) }).unwrap();
        proposal.clusters.into_iter().flat_map(|cluster| cluster.operators).collect::<Vec<_>>()
    };
    let mut seen = BTreeSet::from([original.commitment()]);
    let mut orders = BTreeSet::from([order(&original)]);
    for change in changes {
        let mut terms = twelve();
        change(&mut terms);
        let Ok(call) = Call::new(terms) else { panic!("the change makes a call") };
        seen.insert(call.commitment());
        orders.insert(order(&call));
    }
    assert_eq!((seen.len(), orders.len()), (15, 15));
}

#[test]
fn a_proposal_that_is_not_what_the_seed_came_to_is_found() {
    let call = Call::new(twelve()).unwrap();
    let right = Proposal::form(&call, seed(1)).unwrap();
    let wrong = |change: fn(&mut Proposal)| {
        let mut proposal = right.clone();
        change(&mut proposal);
        proposal.verify(&call, seed(1)).unwrap_err()
    };
    assert_eq!(wrong(|other| other.clusters.swap(0, 1)), VerifyError::Cluster { number: 0 });
    assert_eq!(wrong(|other| other.clusters[1].operators.swap(0, 1)), VerifyError::Cluster { number: 1 });
    assert_eq!(wrong(|other| other.left.swap(0, 1)), VerifyError::Differs { what: "who is left" });
    assert_eq!(wrong(|other| other.seed.mix = Root::ZERO), VerifyError::Differs { what: "the seed" });
    assert_eq!(
        wrong(|other| other.clusters.truncate(1)),
        VerifyError::Differs { what: "the number of clusters" }
    );
    assert_eq!(right.verify(&call, seed(2)), Err(VerifyError::Differs { what: "the seed" }));
    // All rules kept, but another draw: the judge is content, who draws again is not.
    let other = Proposal { seed: seed(1), ..Proposal::form(&call, seed(2)).unwrap() };
    assert_eq!(other.check(&call), Ok(()));
    assert_eq!(other.verify(&call, seed(1)), Err(VerifyError::Cluster { number: 0 }));
    let early = Seed { epoch: Epoch(1002), ..seed(1) };
    let refused = Proposal::form(&call, early).unwrap_err().to_string();
    assert_eq!(refused, "a seed of epoch 1002, the call says 1003");
}

#[test]
fn the_safe_sizes_bind_by_liveness() {
    let alike = |n: u8, t: u8| {
        let call = Call::new(terms(rules(n, t), vec![candidate(0)], 1)).ok()?;
        Some(BOTH.limit(call.size()))
    };
    for (n, t, most) in [(3, 2, 1), (4, 3, 1), (5, 4, 1), (7, 5, 2), (10, 7, 3), (13, 9, 4), (22, 15, 7)] {
        assert_eq!(alike(n, t), Some(most), "{t} of {n}");
    }
    for (n, t) in (3u8..=22).flat_map(|n| (2..n).map(move |t| (n, t))) {
        if let Some(alike) = alike(n, t) {
            assert_eq!(alike, usize::from(n - t).min(usize::from(t - 1)));
            assert!(n - t < t, "what can be spared is the tighter limit: {t} of {n}");
        }
    }
}

#[test]
fn nodes_of_one_entity_are_a_cluster_only_where_the_rules_say_so_and_it_shows() {
    let mut rules = rules(7, 5);
    rules.diversity = by(&[Dimension::ExecutionClient]);
    let nodes = |of: &str, first: u32| {
        let of = Entity::new(of).unwrap();
        (first..first + 7).map(move |at| Candidate { entity: of.clone(), ..candidate(at) })
    };
    let candidates: Vec<_> = nodes("One", 0).chain(nodes("Two", 10)).collect();
    let apart = Proposal::form(&call(rules.clone(), candidates.clone(), 1), seed(0)).unwrap();
    assert!(apart.clusters.is_empty());
    rules.intra_operator = true;
    let call = call(rules, candidates, 2);
    let alone = Proposal::form(&call, seed(0)).unwrap();
    assert_eq!(alone.check(&call), Ok(()));
    let names: BTreeSet<_> =
        alone.clusters.iter().map(|cluster| cluster.one_entity.clone().unwrap().to_string()).collect();
    assert_eq!(names, BTreeSet::from(["One".to_owned(), "Two".to_owned()]));
}

#[test]
fn friends_without_bonds_are_a_cluster_only_without_the_public() {
    let friends: Vec<_> =
        (0..4).map(|at| Candidate { bond: Wei::ZERO, bond_free: Wei::ZERO, ..candidate(at) }).collect();
    let form = |delegation| {
        let call = call(Rules { delegation, ..rules(4, 3) }, friends.clone(), 1);
        Proposal::form(&call, seed(0)).unwrap().clusters
    };
    assert!(form(Delegation::Public).is_empty());
    let private = form(Delegation::Private);
    assert_eq!((private.len(), private[0].delegation), (1, Delegation::Private));
}

#[test]
fn identified_clusters_of_four_are_formed_with_their_bonds_and_each_operator_once() {
    let bond = Wei::from_eth("6").unwrap();
    let operators = (0..9).map(|at| Candidate {
        operator_type: word("csm-idvtc"),
        bond: wei(100),
        // 1.5 for the first key and 0.5 for each of nine more.
        bond_free: bond,
        ..candidate(at)
    });
    let call = call(rules(4, 3), operators.collect(), 2);
    let proposal = Proposal::form(&call, seed(5)).unwrap();
    assert_eq!((proposal.clusters.len(), proposal.left.len(), &proposal.shortfall), (2, 1, &None));
    let bonds = proposal.clusters[0].checks.iter().filter(|check| check.rule == crate::formation::Rule::Bond);
    assert!(bonds.map(|check| (check.have, check.limit)).eq([(bond.0, bond.0); 4]));
}

#[test]
fn operators_are_asked_for_the_cluster_that_was_drawn() {
    let proposal = Proposal::form(&Call::new(twelve()).unwrap(), seed(1)).unwrap();
    let (definition, mut book) = (Root([5; 32]), accept::State::default());
    let operators = proposal.clusters[1].operators.clone();
    let asked =
        accept::Proposed { definition, proposal: proposal.hash(), cluster: 1, operators, deadline: 100 };
    let accept = |operator: &Address| accept::Command::Accept { definition, operator: *operator };
    let commands =
        [accept::Command::Propose(asked.clone())].into_iter().chain(asked.operators.iter().map(accept));
    for command in commands {
        for event in accept::decide(&book, 50, &command).unwrap() {
            accept::apply(&mut book, &event).unwrap();
        }
    }
    assert_eq!(book.clusters[&definition].stage, accept::Stage::Formed);
}
