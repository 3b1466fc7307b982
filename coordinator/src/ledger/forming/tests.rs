//! From a call to a cluster, and everything that can come between.

use super::*;
use crate::formation::call::CallError;
use crate::formation::{Rule, Shortfall};
use crate::formulas::allocation::Credentials;
use crate::ledger::Sealed;
use crate::ledger::calls::{Chosen, Refusal as NoCall};
use crate::ledger::charter::Charter;
use crate::ledger::governance::Act;
use crate::ledger::log::{AppendError, Ledger};
use crate::ledger::operators::Reason;
use crate::ledger::state::ActRefusal;
use crate::ledger::testbed::{Pool, address, unlike};
use serde_json::json;

/// Operators 101 to 100 + `count`, unlike each other in rows of six, on a chain that has finalized epoch 1000 and is later.
fn operators(count: u8) -> Pool {
    let mut pool = Pool::new();
    for manager in 101..101 + count {
        let application = pool.application(manager, manager + 20, manager + 40);
        pool.post(manager, "/v1/operators", &application).unwrap();
        pool.govern(Act::VetOperator { operator: address(manager) }).unwrap();
        pool.deposit_for(address(manager), "20", manager.into()).unwrap();
        pool.post(manager, &format!("/v1/operators/{}/activate", address(manager)), &json!({})).unwrap();
    }
    pool
}

/// An epoch that has not begun.
fn next(pool: &Pool) -> u64 {
    pool.state().epoch_at(pool.now).0 + 1
}

fn refused<T: std::fmt::Debug>(answer: Result<T, AppendError>) -> Refusal {
    let Err(AppendError::Refused(refusal)) = answer else { panic!("not refused: {answer:?}") };
    refusal
}

fn no(refusal: NoCall) -> Refusal {
    refusal.into()
}

fn post(pool: &mut Pool, who: u8, cluster: ClusterId, what: &str) -> Result<(), AppendError> {
    pool.post(who, &format!("/v1/clusters/{cluster}/{what}"), &json!({})).map(drop)
}

#[test]
fn eight_operators_are_drawn_into_two_clusters_which_begin_when_all_have_accepted() {
    let mut pool = operators(8);
    let epoch = next(&pool);
    let asked = pool.drawn(2, epoch);
    assert_eq!(asked.len(), 2);
    let proposal = pool.state().calls.proposal.clone().unwrap();
    assert_eq!(proposal.shortfall, None);
    let seated: Vec<_> = proposal.clusters.iter().flat_map(|cluster| cluster.operators.clone()).collect();
    assert_eq!(seated.iter().collect::<std::collections::BTreeSet<_>>().len(), 8);
    for cluster in &asked {
        assert!(pool.state().clusters.get(*cluster).is_none());
        pool.accept(*cluster).unwrap();
        let found = pool.state().clusters.get(*cluster).unwrap();
        let of = &pool.state().calls.answers.clusters[cluster].proposed;
        assert_eq!(found.operators(), of.operators);
        assert_eq!((found.keys, found.stake, found.stage), (1, Gwei(32_000_000_000), Stage::Accepted));
        for operator in found.operators() {
            let keys = pool.state().bonds.account(*operator).keys;
            assert!(keys.iter().any(|keys| keys.cluster == *cluster && keys.count == 1));
        }
    }
    assert_eq!(Ledger::replay(&pool.log).unwrap().state(), pool.state());
}

#[test]
fn a_definition_is_what_everybody_makes_of_the_log_and_a_ceremony_can_run_on_it() {
    let mut pool = operators(6);
    let epoch = next(&pool);
    let [cluster] = pool.drawn(1, epoch)[..] else { panic!("one") };
    let state = pool.state();
    let definition = state.definition(cluster).unwrap();
    assert_eq!(definition.definition_hash(), cluster);
    let read = Definition::parse(definition.to_json().as_bytes()).unwrap();
    assert_eq!((read.definition_hash(), read.threshold()), (cluster, 3));
    assert_eq!(read.stated_amounts(), [Gwei(1_000_000_000), Gwei(31_000_000_000)]);
    assert_eq!(read.fork_version(), state.network.genesis_fork_version);
    let [validator] = read.validators() else { panic!("one validator") };
    assert_eq!(validator.withdrawal.address(), Some(state.charter.withdrawal_address));
    assert_eq!(validator.fee_recipient.address(), Some(state.charter.fee_recipient));
    let asked = &state.calls.answers.clusters[&cluster].proposed;
    for (operator, node) in asked.operators.iter().zip(read.operators()) {
        let enr = state.operators.get(*operator).unwrap().application.enr.as_str();
        assert_eq!(node.enr_text(), enr);
    }
    assert!(read.name().starts_with("Meadow "), "{}", read.name());
}

#[test]
fn a_call_binds_what_it_says_before_its_seed_can_be_known() {
    let mut pool = operators(6);
    let epoch = next(&pool);
    let seed = |epoch: u64| json!({"epoch": epoch.to_string(), "mix": Root([1; 32])});
    assert_eq!(refused(pool.see("seed", &seed(epoch))), no(NoCall::NotCalled));
    for early in [0, epoch - 2, epoch - 1] {
        let committed = Epoch(epoch - 1);
        let why = CallError::SeedNotLater { committed, seed: Epoch(early) };
        assert_eq!(refused(pool.see("call", &Pool::wanted(1, early))), no(NoCall::Call(why)));
    }
    pool.see("call", &Pool::wanted(1, epoch)).unwrap();
    // What has changed since the call changes nothing of it.
    let setup = unlike(3);
    pool.send(101, "PUT", &format!("/v1/operators/{}/setup", address(101)), &setup).unwrap();
    let again = pool.see("call", &Pool::wanted(1, epoch + 1));
    assert_eq!(refused(again), no(NoCall::Open(Epoch(epoch))));
    for finalized in [epoch - 1, epoch] {
        pool.finalize(finalized);
        let (seed_of, finalized) = (Epoch(epoch), Epoch(finalized));
        let early = NoCall::NotFixed { seed: seed_of, finalized };
        assert_eq!(refused(pool.see("seed", &seed(epoch))), no(early));
    }
    pool.finalize(epoch + 1);
    assert!(matches!(refused(pool.see("seed", &seed(epoch - 1))), Refusal::Calls(_)));
    let call = pool.state().calls.open.clone().unwrap();
    pool.see("seed", &seed(epoch)).unwrap();
    let proposal = pool.state().calls.proposal.clone().unwrap();
    assert_eq!(proposal.verify(&call, Seed { epoch: Epoch(epoch), mix: Root([1; 32]) }), Ok(()));
    assert_eq!(refused(pool.see("seed", &seed(epoch))), no(NoCall::NotCalled));
}

#[test]
fn a_chain_that_is_said_to_be_ahead_of_the_clock_does_not_make_old_randomness_new() {
    let mut pool = operators(4);
    let epoch = next(&pool);
    let ahead = json!({"epoch": epoch.to_string(), "root": Root([7; 32])});
    let refused_ahead = pool.see("finalized", &ahead).unwrap_err().to_string();
    assert!(refused_ahead.contains("is said to be finalized"), "{refused_ahead}");
    let why = CallError::SeedNotLater { committed: Epoch(epoch - 1), seed: Epoch(epoch - 1) };
    assert_eq!(refused(pool.see("call", &Pool::wanted(1, epoch - 1))), no(NoCall::Call(why)));
    pool.see("call", &Pool::wanted(1, epoch)).unwrap();
}

#[test]
fn who_is_paused_leaves_is_not_vetted_or_is_of_another_kind_is_no_candidate() {
    let mut pool = operators(6);
    let candidates = |pool: &mut Pool| {
        let mut again = pool.clone();
        let epoch = next(&again).max(again.state().chain.finalized.epoch.0 + 1);
        again.see("call", &Pool::wanted(1, epoch)).unwrap();
        let call = again.state().calls.open.clone().unwrap();
        call.terms().candidates.iter().map(|one| one.operator).collect::<Vec<_>>()
    };
    let all = candidates(&mut pool);
    assert_eq!(all.len(), 6);
    let application = pool.application(107, 127, 147);
    pool.post(107, "/v1/operators", &application).unwrap();
    assert_eq!(candidates(&mut pool), all, "somebody who has only applied");
    pool.adopt(Act::PauseOperator { operator: address(101), reason: Reason::new("late").unwrap() });
    let leave = format!("/v1/operators/{}/announcements", address(102));
    pool.post(102, &leave, &json!("leave")).unwrap();
    let left: Vec<_> = all.iter().filter(|id| ![address(101), address(102)].contains(id)).copied().collect();
    assert_eq!(candidates(&mut pool), left);
    let private = json!({
        "clusters": 1, "operators": 4, "threshold": 3, "keys": 1, "stake": "32000000000",
        "seed_epoch": next(&pool).to_string(), "intra_operator": false, "delegation": "private",
    });
    let nobody = CallError::Count { what: "candidates", have: 0, most: 1024 };
    assert_eq!(refused(pool.see("call", &private)), no(NoCall::Call(nobody)));
}

#[test]
fn numbers_that_policy_or_charter_do_not_have_are_not_called_for() {
    let mut pool = operators(4);
    let epoch = next(&pool);
    let mut call = |field: &str, value: serde_json::Value| {
        let mut wanted = Pool::wanted(1, epoch);
        wanted[field] = value;
        refused(pool.see("call", &wanted))
    };
    assert_eq!(call("threshold", json!(2)), no(NoCall::Size { operators: 4, threshold: 2 }));
    assert_eq!(call("operators", json!(5)), no(NoCall::Size { operators: 5, threshold: 3 }));
    let (stake, most) = (Gwei(32_000_000_001), Gwei(32_000_000_000));
    assert_eq!(call("stake", json!("32000000001")), no(NoCall::Stake { stake, keys: 1, most }));
    assert!(matches!(call("keys", json!(0)), Refusal::Calls(_)));
    assert!(matches!(call("clusters", json!(0)), Refusal::Calls(_)));
    assert!(matches!(call("lot", json!(1)), Refusal::Route(_)), "no field that is not read");
}

#[test]
fn a_pool_whose_bonds_are_too_small_says_so_and_forms_what_it_can() {
    let mut pool = operators(4);
    let epoch = next(&pool);
    // Twenty ETH of bond are enough for fourteen keys.
    assert_eq!(pool.drawn(20, epoch).len(), 14);
    let proposal = pool.state().calls.proposal.clone().unwrap();
    let Some(Shortfall::Seats { filled, limiting, .. }) = proposal.shortfall else { panic!("{proposal:?}") };
    assert_eq!(filled, 14 * 4);
    assert_eq!(limiting.iter().map(|one| (one.rule, one.operators)).collect::<Vec<_>>(), [(Rule::Bond, 4)]);
    assert_eq!(pool.drawn(1, epoch + 2).len(), 1, "and calls again");
}

#[test]
fn only_who_is_asked_answers_once_and_in_time() {
    let mut pool = operators(6);
    let epoch = next(&pool);
    let [cluster] = pool.drawn(1, epoch)[..] else { panic!("one") };
    let asked = pool.state().calls.answers.clusters[&cluster].proposed.operators.clone();
    let wallet = |id: &Address| (101..107).find(|byte| address(*byte) == *id).unwrap();
    let stranger = (101..107).find(|byte| !asked.contains(&address(*byte))).unwrap();
    for who in [stranger, wallet(&asked[0]) + 20, 11, 1, 99] {
        for what in ["accept", "decline"] {
            let answer = refused(post(&mut pool, who, cluster, what));
            assert!(matches!(answer, Refusal::Role { .. }), "{who} {what}: {answer:?}");
        }
    }
    let first = wallet(&asked[0]);
    post(&mut pool, first, cluster, "accept").unwrap();
    for what in ["accept", "decline"] {
        let twice = accept::Refusal::Answered { operator: asked[0] };
        assert_eq!(refused(post(&mut pool, first, cluster, what)), no(NoCall::Answer(twice)));
    }
    let deadline = pool.state().calls.answers.clusters[&cluster].proposed.deadline;
    assert_eq!(deadline, pool.now + pool.state().policy.terms().formation.answer_s);
    let now = pool.now;
    let early = accept::Refusal::Early { now, deadline };
    assert_eq!(refused(post(&mut pool, 99, cluster, "lapse")), no(NoCall::Answer(early)));
    pool.now = deadline;
    let late = accept::Refusal::Late { now: deadline, deadline };
    assert_eq!(refused(post(&mut pool, wallet(&asked[1]), cluster, "accept")), no(NoCall::Answer(late)));
    post(&mut pool, 99, cluster, "lapse").unwrap();
    let silent = accept::Because::Silent(asked[1..].to_vec());
    assert_eq!(pool.state().calls.answers.clusters[&cluster].stage, accept::Stage::Fallen(silent));
    assert_eq!(pool.state().definition(cluster), None);
    assert!(pool.state().clusters.clusters.is_empty());
}

#[test]
fn the_last_answer_makes_no_cluster_of_operators_that_may_not_be_in_one_any_more() {
    let mut pool = operators(4);
    let epoch = next(&pool);
    let [cluster] = pool.drawn(1, epoch)[..] else { panic!("one") };
    for who in 101..104 {
        post(&mut pool, who, cluster, "accept").unwrap();
    }
    let reason = Reason::new("late exits").unwrap();
    pool.adopt(Act::PauseOperator { operator: address(102), reason });
    let before = pool.state().clone();
    let last = refused(post(&mut pool, 104, cluster, "accept"));
    assert!(matches!(last, Refusal::Act(ActRefusal::Bonds(_))), "{last:?}");
    assert_eq!(*pool.state(), before, "nothing has changed");
    pool.govern(Act::UnpauseOperator { operator: address(102) }).unwrap();
    post(&mut pool, 104, cluster, "accept").unwrap();
    assert!(pool.state().clusters.get(cluster).is_some());
}

#[test]
fn a_cluster_that_governance_chooses_keeps_to_every_rule_and_its_operators_are_asked() {
    let mut pool = operators(7);
    let team = |bytes: [u8; 4]| bytes.map(address).to_vec();
    let good =
        Chosen { operators: team([104, 102, 103, 105]), threshold: 3, keys: 2, stake: Gwei(64_000_000_000) };
    let mut refuse = |change: &dyn Fn(&mut Chosen)| {
        let mut chosen = good.clone();
        change(&mut chosen);
        let motion = pool.motion(Act::ChooseCluster(chosen));
        let Refusal::Act(ActRefusal::Calls(refusal)) = refused(pool.propose(11, &motion)) else {
            panic!("the book of calls refuses it")
        };
        *refusal
    };
    let rule = |refusal: NoCall| {
        let NoCall::Rule(check) = refusal else { panic!("{refusal:?}") };
        check.rule
    };
    assert_eq!(refuse(&|one| one.threshold = 2), NoCall::Size { operators: 4, threshold: 2 });
    assert_eq!(refuse(&|one| one.operators[3] = address(99)), NoCall::NoCandidate(address(99)));
    // 101 and 107 run the same.
    let alike = |one: &mut Chosen| one.operators = team([101, 102, 103, 107]);
    assert!(matches!(rule(refuse(&alike)), Rule::Safety(_) | Rule::Liveness(_)));
    assert_eq!(rule(refuse(&|one| one.operators[3] = one.operators[0])), Rule::OperatorOnce);
    // Twenty ETH of bond are enough for fourteen keys.
    let most = |one: &mut Chosen, keys: u32| {
        (one.keys, one.stake) = (keys, Gwei(u64::from(keys) * 32_000_000_000));
    };
    assert_eq!(rule(refuse(&|one| most(one, 15))), Rule::Bond);
    let cluster = pool.choose(&good).unwrap();
    let found = pool.state().clusters.get(cluster).unwrap();
    assert_eq!(found.operators(), good.operators, "in the order that was chosen");
    assert_eq!(pool.state().definition(cluster).unwrap().definition_hash(), cluster);
    let other =
        Chosen { operators: team([101, 102, 103, 104]), keys: 1, stake: Gwei(32_000_000_000), ..good };
    assert_ne!(pool.choose(&other).unwrap(), cluster);
}

/// What a call of now would say.
fn terms(state: &State, change: impl Fn(&mut Wanted)) -> Result<Terms, NoCall> {
    let at = 2_000_000_000;
    let mut wanted = serde_json::from_value(Pool::wanted(1, state.epoch_at(at).0 + 1)).unwrap();
    change(&mut wanted);
    state.terms(at, &wanted)
}

#[test]
fn who_is_late_with_exits_and_who_is_of_another_kind_is_no_candidate() {
    let pool = operators(6);
    let mut state = pool.state().clone();
    let count = |state: &State, intra: bool| {
        terms(state, |wanted| wanted.intra_operator = intra).unwrap().candidates.len()
    };
    assert_eq!((count(&state, false), count(&state, true)), (6, 0));
    state.exits.cooling.insert(address(103), 2_000_000_001);
    assert_eq!(count(&state, false), 5);
    state.exits.cooling.insert(address(103), 2_000_000_000);
    assert_eq!(count(&state, false), 6, "and is again, when the time is over");
}

#[test]
fn the_same_cluster_is_not_asked_for_twice() {
    let pool = operators(4);
    let mut state = pool.state().clone();
    let operators = [101, 102, 103, 104].map(address).to_vec();
    let chosen = Chosen { operators, threshold: 3, keys: 1, stake: Gwei(32_000_000_000) };
    let events = state.choose(pool.now, &chosen).unwrap();
    events.iter().for_each(|event| state.apply(event).unwrap());
    let again = state.choose(pool.now, &chosen).unwrap_err();
    assert!(matches!(again, NoCall::Answer(accept::Refusal::Known { .. })), "{again}");
    assert!(state.choose(pool.now + 1, &chosen).is_ok());
}

#[test]
fn events_that_do_not_fit_the_book_of_calls_change_nothing() {
    let mut pool = operators(6);
    let epoch = next(&pool);
    pool.drawn(1, epoch);
    let of_calls = |event: Event| match event {
        Event::Calls(event) => Some(*event),
        _ => None,
    };
    let all = pool.log.iter().flat_map(|stored| Sealed::read(stored).unwrap().entry.events);
    let events: Vec<_> = all.filter_map(of_calls).collect();
    let [called, proposed, asked] = &events[..] else { panic!("{events:?}") };
    let mut book = calls::State::default();
    let refused = |book: &calls::State, event: &calls::Event| {
        let mut tried = book.clone();
        let misfit = tried.apply(event).unwrap_err();
        assert_eq!(&tried, book, "{misfit}");
        misfit
    };
    assert_eq!(refused(&book, proposed), calls::Misfit::NotCalled);
    book.apply(called).unwrap();
    assert_eq!(refused(&book, called), calls::Misfit::Open);
    let mut other = proposed.clone();
    let calls::Event::Proposed(proposal) = &mut other else { panic!("{other:?}") };
    proposal.commitment = Root([9; 32]);
    assert_eq!(refused(&book, &other), calls::Misfit::NotCalled);
    book.apply(proposed).unwrap();
    assert_eq!(refused(&book, proposed), calls::Misfit::NotCalled);
    let mut other = asked.clone();
    let calls::Event::Asked { outline, proposed } = &mut other else { panic!("{other:?}") };
    outline.members.reverse();
    let cluster = proposed.definition;
    assert_eq!(refused(&book, &other), calls::Misfit::Outline(cluster));
    book.apply(asked).unwrap();
    assert_eq!(&book, &pool.state().calls);
}

#[test]
fn no_two_clusters_have_one_name_or_one_identifier_and_credentials_are_the_charters() {
    let mut pool = operators(6);
    let epoch = next(&pool);
    let [cluster] = pool.drawn(1, epoch)[..] else { panic!("one") };
    let (outline, charter) = (pool.state().calls.outlines[&cluster].clone(), pool.state().charter.clone());
    let file = |outline: &Outline, charter: &Charter| -> serde_json::Value {
        serde_json::from_str(&outline.definition(charter).unwrap().to_json()).unwrap()
    };
    let differ = |one: &serde_json::Value, other: &serde_json::Value| {
        ["name", "uuid", "compounding"].map(|field| {
            assert!(!one[field].is_null(), "{field}");
            one[field] != other[field]
        })
    };
    let first = file(&outline, &charter);
    let place = file(&Outline { place: 1, ..outline.clone() }, &charter);
    assert_eq!(differ(&first, &place), [true, true, false]);
    let proposal = file(&Outline { proposal: Root([9; 32]), ..outline.clone() }, &charter);
    assert_eq!(differ(&first, &proposal), [true, true, false]);
    let pool = Charter { treasury: address(99), ..charter.clone() };
    assert_eq!(differ(&first, &file(&outline, &pool)), [false, true, false]);
    let compounding = Charter { credentials: Credentials::Compounding, ..charter };
    assert_eq!(differ(&first, &file(&outline, &compounding)), [false, true, true]);
    assert_eq!(first["compounding"], json!(false));
}
