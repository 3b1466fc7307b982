//! The search against one that leaves out nothing.

use super::super::judge;
use super::super::search::{self, STEPS_MAX, Short};
use super::{call, calls, candidate, rules, word};
use crate::formation::{Call, Candidate, Dimension};
use proptest::prelude::*;

/// Every list of clusters, in the order that `search` describes, each judged by the rules as they are written: the first of
/// the longest that are not longer than the demand.
fn slow(call: &Call, drawn: &[&Candidate]) -> Vec<Vec<usize>> {
    let all = |clusters: u32| extended(call, drawn, &mut Vec::new(), clusters as usize);
    (1..=call.terms().demand).rev().find_map(all).unwrap_or_default()
}

fn extended(
    call: &Call,
    drawn: &[&Candidate],
    formed: &mut Vec<Vec<usize>>,
    clusters: usize,
) -> Option<Vec<Vec<usize>>> {
    if formed.len() == clusters {
        return Some(formed.clone());
    }
    let seats = |at: &usize| formed.iter().filter(|members| members.contains(at)).count();
    let mut line: Vec<usize> = (0..drawn.len()).collect();
    line.sort_by_key(|at| (seats(at), *at));
    for members in combinations(&line, call.size().operators()) {
        formed.push(members);
        let seated: Vec<Vec<&Candidate>> =
            formed.iter().map(|members| members.iter().map(|at| drawn[*at]).collect()).collect();
        // No rule that is broken is mended by more clusters.
        if judge::numbers(call, &seated).iter().all(|check| check.have <= check.limit)
            && let Some(found) = extended(call, drawn, formed, clusters)
        {
            return Some(found);
        }
        formed.pop();
    }
    None
}

/// All choices of `count` of a line, in its order.
fn combinations(line: &[usize], count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let with = |(at, first): (usize, &usize)| {
        let rest = combinations(&line[at + 1..], count - 1);
        rest.into_iter().map(|rest| [vec![*first], rest].concat()).collect::<Vec<_>>()
    };
    line.iter().enumerate().flat_map(with).collect()
}

fn drawn(call: &Call) -> Vec<&Candidate> {
    call.terms().candidates.iter().collect()
}

prop_compose! {
    /// Four clusters of three, twelve candidates, four clients of each kind with three operators each: whether there are
    /// four clusters is a puzzle of its own.
    fn needed()(
        kinds in prop::array::uniform3(Just([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]).prop_map(Vec::from).prop_shuffle()),
    ) -> Call {
        let of = |at: u32| Candidate {
            execution_client: word(&format!("el{}", kinds[0][at as usize])),
            consensus_client: word(&format!("cl{}", kinds[1][at as usize])),
            validator_client: word(&format!("vc{}", kinds[2][at as usize])),
            ..candidate(at)
        };
        let mut rules = rules(3, 2);
        rules.diversity.retain(|dimension, _| *dimension < Dimension::HostingAs);
        call(rules, (0..12).map(of).collect(), 4)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_search_finds_the_first_of_the_largest_formations(
        call in calls(&[(3, 2), (4, 3), (5, 4)], 0..4, 3),
    ) {
        let found = search::form(&call, &drawn(&call), STEPS_MAX);
        prop_assert!(!matches!(found.short, Some(Short::Steps(..))), "these calls are small");
        prop_assert_eq!(&found.clusters, &slow(&call, &drawn(&call)));
        prop_assert_eq!(found.short.is_some(), found.clusters.len() < call.terms().demand as usize);
    }

    #[test]
    fn so_it_does_where_two_may_be_alike(call in calls(&[(7, 5)], 0..2, 2)) {
        let found = search::form(&call, &drawn(&call), STEPS_MAX);
        prop_assert_eq!(found.clusters, slow(&call, &drawn(&call)));
    }

    #[test]
    fn whoever_was_not_chosen_does_not_matter_to_those_who_were(
        call in calls(&[(3, 2), (4, 3), (7, 5)], 1..8, 3),
    ) {
        let found = search::form(&call, &drawn(&call), STEPS_MAX);
        prop_assume!(!matches!(found.short, Some(Short::Steps(..))));
        let seated = |at: &usize| found.clusters.iter().any(|members| members.contains(at));
        let names = |clusters: &[Vec<usize>], of: &[&Candidate]| {
            clusters.iter().flatten().map(|at| of[*at].operator).collect::<Vec<_>>()
        };
        let all = drawn(&call);
        if let Some(gone) = (0..all.len()).find(|at| !seated(at)) {
            let rest: Vec<_> = (0..all.len()).filter(|at| *at != gone).map(|at| all[at]).collect();
            let again = search::form(&call, &rest, STEPS_MAX);
            prop_assert_eq!(names(&again.clusters, &rest), names(&found.clusters, &all));
        }
    }

    #[test]
    fn one_more_candidate_or_one_seat_more_never_means_fewer_clusters(
        call in calls(&[(3, 2), (4, 3)], 1..6, 3), at: prop::sample::Index,
    ) {
        let found = search::form(&call, &drawn(&call), STEPS_MAX);
        prop_assume!(!matches!(found.short, Some(Short::Steps(..))));
        let fewer = search::form(&call, &drawn(&call)[1..], STEPS_MAX);
        prop_assert!(fewer.clusters.len() <= found.clusters.len());
        let mut terms = call.terms().clone();
        at.get_mut(&mut terms.candidates[..]).clusters_max += 1;
        let wider = Call::new(terms).unwrap();
        let more = search::form(&wider, &drawn(&wider), STEPS_MAX);
        prop_assert!(more.clusters.len() >= found.clusters.len() || matches!(more.short, Some(Short::Steps(..))));
    }

    #[test]
    fn when_steps_run_out_what_was_found_still_keeps_every_rule(
        call in calls(&[(3, 2), (4, 3), (7, 5)], 0..12, 4), steps in 0u32..40,
    ) {
        let all = drawn(&call);
        let found = search::form(&call, &all, steps);
        let full = search::form(&call, &all, STEPS_MAX);
        let seats = |members: &Vec<usize>| members.iter().map(|at| all[*at]).collect::<Vec<_>>();
        let seated: Vec<Vec<&Candidate>> = found.clusters.iter().map(seats).collect();
        for formed in 1..=seated.len() {
            let numbers = judge::numbers(&call, &seated[..formed]);
            prop_assert!(numbers.iter().all(|check| check.have <= check.limit));
        }
        match found.short {
            Some(Short::Steps(..)) => prop_assert!(found.clusters.len() <= call.terms().demand as usize),
            Some(Short::Counted(..) | Short::Tried(..)) | None => prop_assert_eq!(found.clusters, full.clusters),
        }
    }
}

proptest! {
    // The slow search takes its time.
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn so_it_does_where_everybody_is_needed_and_the_first_try_often_fails(call in needed()) {
        let found = search::form(&call, &drawn(&call), STEPS_MAX);
        prop_assert_eq!(found.clusters, slow(&call, &drawn(&call)));
    }
}

#[test]
fn the_calls_of_these_tests_have_every_ending() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = calls(&[(3, 2), (4, 3), (5, 4)], 0..4, 3);
    let (mut formed, mut counted, mut tried) = ([0; 4], 0, 0);
    for _ in 0..600 {
        let call = strategy.new_tree(&mut runner).unwrap().current();
        let found = search::form(&call, &drawn(&call), STEPS_MAX);
        formed[found.clusters.len()] += 1;
        match found.short {
            Some(Short::Counted(..)) => counted += 1,
            Some(Short::Tried(..)) => tried += 1,
            Some(Short::Steps(..)) | None => (),
        }
    }
    assert!(formed.iter().all(|count| *count > 0), "{formed:?}");
    assert!(counted > 50 && tried > 5, "{formed:?}, {counted} counted, {tried} tried");
}

#[test]
fn a_large_call_is_answered_without_going_back() {
    // Two hundred operators of five clients each, in twelve countries, with four clusters each.
    let operators = (0..200).map(|at| {
        let alike = |what: &str, of: u32| word(&format!("{what}{}", at * 7 % 31 % of));
        let mut candidate = candidate(at);
        (candidate.execution_client, candidate.consensus_client) = (alike("el", 5), alike("cl", 6));
        (candidate.validator_client, candidate.country) = (alike("vc", 5), super::country(at % 12));
        (candidate.hosting_as, candidate.clusters_max) = (at % 20, 4);
        candidate
    });
    let call = call(rules(7, 5), operators.collect(), 64);
    let found = search::form(&call, &drawn(&call), STEPS_MAX);
    assert_eq!((found.clusters.len(), found.short), (64, None));
    let mut seats = [0; 200];
    for at in found.clusters.iter().flatten() {
        seats[*at] += 1;
    }
    // 448 seats for two hundred.
    assert!(
        seats.iter().all(|seats| (1..=4).contains(seats)),
        "everybody gets a seat before the line is walked again"
    );
}
