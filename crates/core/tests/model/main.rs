//! The rules of agreement, exhausted: four operators, two values, few rounds, and every order in which they can act.
//!
//! - `state`: what has been said; `cluster`: who may say what next, asked of `symbolon_core::agree::rules`; `leader`: rule 9
//!   over all that could be shown; `recovery`: that a duty is never lost for good; `promises`: what is checked of every state.
//! - Not in the model: checks of values and their fetching (a node may abstain, that is all), lengths of timers (any may end
//!   at any time), rounds that are too far ahead to be kept, signatures.
//! - States are told apart by 64 bits of a hash. With ten million of them, that two are taken for one has a chance of
//!   some 3 in a million.
//!
//! Plain tests go through one round less than three; `SYMBOLON_MODEL=whole` goes through three (`.ci/model`).

mod cluster;
mod leader;
mod promises;
mod recovery;
mod state;

use cluster::{Cluster, Restart};
use promises::{NOT_LOST, ONE_CERTIFICATE, ONE_DECISION, ONE_SIGNATURE};
use state::{NODES, Value};
use stateright::{Checker, HasDiscoveries, Model as _, Path};
use std::collections::BTreeMap;
use symbolon_core::mutants::{Mutant, Rules};
use types::wire::Kind;

/// Whether what takes minutes is to be exhausted, too.
#[allow(clippy::disallowed_methods, reason = "a wish of whoever runs the test, not of core")]
fn is_whole() -> bool {
    std::env::var("SYMBOLON_MODEL").is_ok_and(|wish| wish == "whole")
}

/// The last round of an exhaustion.
fn last_round(plain: u32, whole: u32) -> u32 {
    if is_whole() { whole } else { plain }
}

/// What was seen: promises broken, and signs that they were tried, each with the steps that lead there. States are renamed
/// on the way, so a node may change its number from one step to the next.
type Seen = BTreeMap<&'static str, String>;

/// Goes through all states, or until these promises are seen broken.
#[allow(clippy::print_stdout, reason = "the figures are what is looked for")]
fn explore(what: &str, cluster: Cluster, until: &[&'static str]) -> (usize, Seen) {
    let threads = if is_whole() { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let until = match until {
        [] => HasDiscoveries::All,
        broken => HasDiscoveries::AllOf(broken.iter().copied().collect()),
    };
    let checker = cluster.checker().threads(threads).finish_when(until).spawn_dfs().join();
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    println!("{what}: {states} states, {steps} steps, {} deep", checker.max_depth());
    let steps = |path: Path<_, _>| format!("{:?}", path.into_actions());
    (states, checker.discoveries().into_iter().map(|(name, path)| (name, steps(path))).collect())
}

/// All states keep all promises, and everything that shows that these were tried was seen.
fn exhaust(what: &str, cluster: Cluster, states_min: usize) {
    let tried = cluster.signs();
    let (states, seen) = explore(what, cluster, &[]);
    assert!(
        seen.keys().eq(&tried),
        "{what}: of the signs {tried:?}, and no broken promise, was seen {seen:#?}"
    );
    assert!(states >= states_min, "{what}: {states} states, fewer than {states_min}");
}

/// These promises are seen broken.
fn catch(what: &str, cluster: Cluster, broken: &[&'static str]) {
    let (_, seen) = explore(what, cluster, broken);
    for promise in broken {
        assert!(seen.contains_key(promise), "{what}: nobody noticed that there is not {promise}");
    }
}

fn sound(kind: Kind, rounds_end: u32) -> Cluster {
    Cluster::new(kind, rounds_end, Rules::default())
}

fn without(mutant: Mutant, rounds_end: u32) -> Cluster {
    Cluster::new(Kind::Attest, rounds_end, Rules::without(mutant))
}

#[test]
fn an_open_duty_keeps_its_promises_beside_a_byzantine_node_in_any_place() {
    for node in 0..NODES {
        let end = last_round(1, 2);
        let cluster = sound(Kind::Attest, end).with_byzantine(node);
        exhaust(&format!("attest to round {end}, node {node} Byzantine"), cluster, 12_000);
    }
}

#[test]
fn a_led_duty_keeps_its_promises_beside_a_byzantine_node_in_any_place() {
    for node in 0..NODES {
        let end = last_round(2, 3);
        let cluster = sound(Kind::Propose, end).with_byzantine(node);
        exhaust(&format!("propose to round {end}, node {node} Byzantine"), cluster, 12_000);
    }
}

/// That a node has crashed is no step of its own: `recovery`. More rounds would show nothing new: what a node says that keeps
/// to the rules, a Byzantine one in its place may say, and recovery is asked without its help there as well.
#[test]
fn a_duty_keeps_its_promises_when_any_node_crashes_at_any_time() {
    exhaust("attest to round 1, a crash", sound(Kind::Attest, 1), 90_000);
    exhaust("propose to round 2, a crash", sound(Kind::Propose, 2), 150_000);
}

#[test]
fn a_duty_keeps_its_promises_when_any_node_restarts_at_any_time() {
    let (open, led) = (last_round(0, 1), last_round(1, 2));
    let restarting = |kind, end| sound(kind, end).with_restart(Restart::PROPER);
    exhaust(&format!("attest to round {open}, a restart"), restarting(Kind::Attest, open), 500);
    exhaust(&format!("propose to round {led}, a restart"), restarting(Kind::Propose, led), 500);
}

/// Two faults: duties may be lost, and nothing else happens.
#[test]
fn a_restart_beside_a_byzantine_node_breaks_no_agreement() {
    for node in 0..NODES {
        let end = if node == 1 { last_round(1, 2) } else { 1 };
        let cluster = sound(Kind::Attest, end).with_byzantine(node).with_restart(Restart::PROPER);
        exhaust(&format!("attest to round {end}, node {node} Byzantine, a restart"), cluster, 50_000);
    }
}

#[test]
fn a_certificate_of_one_vote_less_is_caught() {
    catch("certificates of q-1 votes", without(Mutant::SmallCertificate, 0), &[ONE_CERTIFICATE]);
}

#[test]
fn a_leader_that_ignores_certificates_is_caught_beside_a_byzantine_node_only() {
    for node in 0..NODES {
        let cluster = without(Mutant::CertificatesIgnored, 1).with_byzantine(node);
        catch(&format!("certificates ignored, node {node} Byzantine"), cluster, &[ONE_DECISION, NOT_LOST]);
    }
    exhaust("certificates ignored, all honest", without(Mutant::CertificatesIgnored, 1), 90_000);
}

/// The leader of round 1 claims to have voted for what it signed itself, after all others voted otherwise (ADR 0003).
#[test]
fn last_votes_of_the_highest_round_first_are_caught() {
    let cluster = without(Mutant::LaterVotesFirst, 2).with_byzantine(1);
    catch("later votes first", cluster.after_first_votes(Value::A), &[ONE_DECISION, NOT_LOST]);
}

/// Its journal still stands between the two decisions and two signatures.
#[test]
fn a_restart_that_votes_twice_is_caught_and_signs_once() {
    for node in 0..NODES {
        let cluster = without(Mutant::VotesAfterRestart, 0).with_byzantine(node);
        let what = format!("votes twice, node {node} Byzantine");
        let (_, seen) = explore(&what, cluster.with_restart(Restart::PROPER), &[]);
        assert!(seen.contains_key(ONE_CERTIFICATE) && seen.contains_key(ONE_DECISION), "{what}: {seen:?}");
        assert!(!seen.contains_key(ONE_SIGNATURE), "{what}: {seen:?}");
    }
}

/// A journal does not only keep from signing twice: it says that this slot was signed, when the clock says that it is to come.
#[test]
fn a_lost_journal_is_caught_when_the_clock_is_wrong_or_the_node_votes_twice() {
    let lost = Restart { journal_lost: true, ..Restart::PROPER };
    for node in 0..NODES {
        let twice = without(Mutant::VotesAfterRestart, 0).with_byzantine(node).with_restart(lost);
        catch(&format!("journal lost, votes twice, node {node} Byzantine"), twice, &[ONE_SIGNATURE]);
        let late = Restart { clock_behind: true, ..lost };
        let late = sound(Kind::Attest, 0).with_byzantine(node).with_restart(late);
        catch(&format!("journal lost, clock behind, node {node} Byzantine"), late, &[ONE_SIGNATURE]);
        // With the clock right, rule 11 keeps the node from voting, and only what is decided is signed.
        let silent = sound(Kind::Attest, 0).with_byzantine(node).with_restart(lost);
        exhaust(&format!("journal lost, clock right, node {node} Byzantine"), silent, 300);
    }
}

#[test]
fn a_clock_behind_alone_lets_nobody_sign_twice() {
    let behind = Restart { clock_behind: true, ..Restart::PROPER };
    for node in 0..NODES {
        let what = format!("clock behind, node {node} Byzantine");
        let cluster = sound(Kind::Attest, 0).with_byzantine(node).with_restart(behind);
        let (_, seen) = explore(&what, cluster, &[]);
        assert!(!seen.contains_key(ONE_SIGNATURE), "{what}: {seen:?}");
        assert!(seen.contains_key(ONE_CERTIFICATE), "{what}: rule 11 takes the clock's word, {seen:?}");
    }
}
