//! Governance: rows R1, R4 and K15, and every way around them.

use super::*;
use crate::canonical;
use crate::ledger::charter::tests::charter;
use crate::ledger::log::AppendError;
use crate::ledger::operators::{Reason, Standing};
use crate::ledger::policy::Policy;
use crate::ledger::seat::Seat;
use crate::ledger::state::{self, ActRefusal};
use crate::ledger::testbed::{MANAGER, NODE, Pool, REWARD, address};
use proptest::prelude::*;
use serde_json::json;
use types::Gwei;

fn refusal(error: AppendError) -> state::Refusal {
    match error {
        AppendError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

fn book(error: AppendError) -> Refusal {
    match refusal(error) {
        state::Refusal::Governance(refusal) => refusal,
        other => panic!("{other}"),
    }
}

fn act(error: AppendError) -> ActRefusal {
    match refusal(error) {
        state::Refusal::Act(refusal) => refusal,
        other => panic!("{other}"),
    }
}

fn is_role(error: AppendError) -> bool {
    matches!(refusal(error), state::Refusal::Role { .. })
}

/// A policy with another number in it.
fn other_policy(pool: &Pool, announcement_s: u64) -> Box<Policy> {
    let mut terms = pool.state().policy.terms().clone();
    terms.announcement_s = announcement_s;
    Box::new(Policy::new(terms).unwrap())
}

/// K15.
#[test]
fn a_policy_changes_after_the_delay_and_is_in_the_log_with_its_signatures() {
    let mut pool = Pool::new();
    let policy = other_policy(&pool, 3600);
    let before = pool.state().policy.clone();
    let motion = pool.motion(Act::ChangePolicy(policy.clone()));
    pool.propose(11, &motion).unwrap();
    let (id, at) = (motion.id(), pool.now);
    let early = book(pool.execute(99, &motion).unwrap_err());
    assert_eq!(early, Refusal::NotAdopted { id, have: 1, need: 2 });
    pool.propose(12, &motion).unwrap();
    let ready_at = at + pool.state().governance.timelock_s;
    for now in [at, ready_at - 1] {
        pool.now = now;
        let early = book(pool.execute(99, &motion).unwrap_err());
        assert_eq!(early, Refusal::TooEarly { id, ready_at, at: now });
    }
    assert_eq!(pool.state().policy, before);
    pool.now = ready_at;
    pool.execute(99, &motion).unwrap();
    assert_eq!(pool.state().policy, *policy);
    assert_eq!(pool.state().governance.closed.get(&id), Some(&Outcome::Executed));
    let over = book(pool.execute(99, &motion).unwrap_err());
    assert_eq!(over, Refusal::Over { id, outcome: Outcome::Executed });
    let log: String = pool.log.iter().map(|stored| String::from_utf8_lossy(stored)).collect();
    assert_eq!(log.matches("policy_changed").count(), 1);
    let again = book(pool.propose(13, &motion).unwrap_err());
    assert_eq!(again, Refusal::Over { id, outcome: Outcome::Executed });
}

/// R4.
#[test]
fn no_operator_is_vetted_and_no_cap_changed_without_m_keys_of_governance() {
    let mut pool = Pool::new();
    pool.active("5");
    let operator = address(MANAGER);
    let motion = pool.motion(Act::SetStakeCap { operator, stake: Gwei(1) });
    // Nobody else may propose: not the operator, the coordinator, a guardian, a stranger.
    for wallet in [MANAGER, REWARD, 1, 21, 99] {
        assert!(is_role(pool.propose(wallet, &motion).unwrap_err()), "{wallet}");
        let cancel = format!("/v1/governance/proposals/{}/cancel", motion.id());
        assert!(is_role(pool.post(wallet, &cancel, &json!({})).unwrap_err()), "{wallet}");
    }
    // One key, however often, is one key.
    pool.propose(11, &motion).unwrap();
    let twice = book(pool.propose(11, &motion).unwrap_err());
    assert_eq!(twice, Refusal::Twice { id: motion.id(), by: address(11) });
    pool.now += pool.state().governance.timelock_s;
    assert!(pool.execute(11, &motion).is_err());
    assert_eq!(pool.state().operators.get(operator).unwrap().stake_cap, None);
    pool.propose(13, &motion).unwrap();
    pool.now += pool.state().governance.timelock_s;
    pool.execute(99, &motion).unwrap();
    assert_eq!(pool.state().operators.get(operator).unwrap().stake_cap, Some(Gwei(1)));
    // The policy's cap binds governance too.
    let most = pool.state().policy.terms().operator_caps.stake;
    let above = pool.motion(Act::SetStakeCap { operator, stake: Gwei(most.0 + 1) });
    assert!(matches!(act(pool.propose(11, &above).unwrap_err()), ActRefusal::Operators(_)));
}

/// R1.
#[test]
fn no_key_has_the_powers_of_two_principals() {
    let mut pool = Pool::new();
    // Who governs, guards, coordinates or receives is no operator.
    for wallet in [1, 11, 21] {
        let application = pool.application(wallet, REWARD, NODE);
        assert!(is_role(pool.post(wallet, "/v1/operators", &application).unwrap_err()), "{wallet}");
        let application = pool.application(MANAGER, wallet, NODE);
        assert!(pool.post(MANAGER, "/v1/operators", &application).is_err(), "paid: {wallet}");
    }
    // An operator guards and governs nothing, and nobody makes it.
    pool.active("5");
    assert!(is_role(pool.post(MANAGER, "/v1/deposits/pause", &json!({})).unwrap_err()));
    assert!(is_role(pool.post(11, "/v1/deposits/pause", &json!({})).unwrap_err()));
    let quorum = |byte: u8| Quorum::new(&[address(byte), address(77)], 1).unwrap();
    let seats = [
        (MANAGER, Seat::Manager(address(MANAGER))),
        (REWARD, Seat::Reward(address(MANAGER))),
        (1, Seat::Coordinator),
    ];
    for (byte, seat) in seats {
        let taken = ActRefusal::Taken { address: address(byte), seat };
        for rotation in [Act::RotateGovernance(quorum(byte)), Act::RotateGuardians(quorum(byte))] {
            let motion = pool.motion(rotation);
            assert_eq!(act(pool.propose(11, &motion).unwrap_err()), taken);
        }
        let motion = pool.motion(Act::RotateCoordinator { coordinator: address(byte) });
        assert_eq!(act(pool.propose(11, &motion).unwrap_err()), taken);
    }
    for (key, seat) in [(11, Seat::Governance), (21, Seat::Guardian)] {
        let motion = pool.motion(Act::RotateCoordinator { coordinator: address(key) });
        let taken = ActRefusal::Taken { address: address(key), seat };
        assert_eq!(act(pool.propose(11, &motion).unwrap_err()), taken);
    }
    let motion = pool.motion(Act::RotateGuardians(quorum(11)));
    assert!(matches!(act(pool.propose(11, &motion).unwrap_err()), ActRefusal::Taken { .. }));
    let motion = pool.motion(Act::RotateCoordinator { coordinator: Address::ZERO });
    assert_eq!(act(pool.propose(11, &motion).unwrap_err()), ActRefusal::Zero);
}

#[test]
fn an_act_is_asked_again_when_it_is_done() {
    let mut pool = Pool::new();
    let application = pool.application(MANAGER, REWARD, NODE);
    pool.post(MANAGER, "/v1/operators", &application).unwrap();
    // A policy without the operator's type cannot be proposed.
    let mut terms = pool.state().policy.terms().clone();
    terms.operator_types.remove(0);
    let forgets = Box::new(Policy::new(terms).unwrap());
    let motion = pool.motion(Act::ChangePolicy(forgets));
    assert!(matches!(act(pool.propose(11, &motion).unwrap_err()), ActRefusal::TypeInUse { .. }));
    // Vetted twice: possible when proposed, not when the second is done.
    let operator = address(MANAGER);
    let (one, other) = (pool.adopt(Act::VetOperator { operator }), pool.adopt(Act::VetOperator { operator }));
    pool.now += pool.state().governance.timelock_s;
    pool.execute(99, &one).unwrap();
    assert!(matches!(act(pool.execute(99, &other).unwrap_err()), ActRefusal::Operators(_)));
    assert!(pool.state().governance.open.contains_key(&other.id()), "and it is open still");
    // The same with a key that has become something else meanwhile.
    let rotation = pool.adopt(Act::RotateCoordinator { coordinator: address(34) });
    let application = pool.application(34, 44, 54);
    pool.post(34, "/v1/operators", &application).unwrap();
    pool.now += pool.state().governance.timelock_s;
    assert!(matches!(act(pool.execute(99, &rotation).unwrap_err()), ActRefusal::Taken { .. }));
}

#[test]
fn pausing_an_operator_does_not_wait_and_going_on_does() {
    let mut pool = Pool::new();
    pool.active("5");
    let operator = address(MANAGER);
    let standing = |pool: &Pool| {
        let operator = pool.state().operators.get(operator).unwrap();
        (operator.standing, operator.paused())
    };
    pool.adopt(Act::PauseOperator { operator, reason: Reason::new("its node signs nothing").unwrap() });
    assert_eq!(standing(&pool), (Standing::Active, true));
    let motion = pool.adopt(Act::UnpauseOperator { operator });
    assert!(matches!(book(pool.execute(99, &motion).unwrap_err()), Refusal::TooEarly { .. }));
    pool.now += pool.state().governance.timelock_s;
    pool.execute(99, &motion).unwrap();
    assert_eq!(standing(&pool), (Standing::Active, false));
}

#[test]
fn any_guardian_stops_deposits_and_only_governance_lets_them_go_on() {
    let mut pool = Pool::new();
    let motion = pool.motion(Act::ResumeDeposits);
    assert_eq!(act(pool.propose(11, &motion).unwrap_err()), ActRefusal::NotPaused);
    for wallet in [1, 11, 99] {
        assert!(is_role(pool.post(wallet, "/v1/deposits/pause", &json!({})).unwrap_err()));
    }
    pool.post(22, "/v1/deposits/pause", &json!({})).unwrap();
    let pause = Pause { by: address(22), at: pool.now };
    assert_eq!(pool.state().governance.deposits_paused, Some(pause));
    let again = book(pool.post(21, "/v1/deposits/pause", &json!({})).unwrap_err());
    assert_eq!(again, Refusal::PausedAlready(pause));
    let motion = pool.adopt(Act::ResumeDeposits);
    assert!(pool.state().governance.deposits_paused.is_some());
    pool.now += pool.state().governance.timelock_s;
    pool.execute(21, &motion).unwrap();
    assert_eq!(pool.state().governance.deposits_paused, None);
}

#[test]
fn m_keys_take_an_adopted_proposal_back_before_it_is_done() {
    let mut pool = Pool::new();
    let policy = other_policy(&pool, 3600);
    let motion = pool.adopt(Act::ChangePolicy(policy));
    let cancel = format!("/v1/governance/proposals/{}/cancel", motion.id());
    pool.post(13, &cancel, &json!({})).unwrap();
    let twice = book(pool.post(13, &cancel, &json!({})).unwrap_err());
    assert_eq!(twice, Refusal::Twice { id: motion.id(), by: address(13) });
    assert!(pool.state().governance.open.contains_key(&motion.id()), "one key stops nothing");
    pool.post(12, &cancel, &json!({})).unwrap();
    pool.now += pool.state().governance.timelock_s;
    let over = book(pool.execute(99, &motion).unwrap_err());
    assert_eq!(over, Refusal::Over { id: motion.id(), outcome: Outcome::Cancelled });
}

#[test]
fn what_nobody_wants_lapses_and_one_key_cannot_fill_the_book() {
    let mut pool = Pool::new();
    let policy = other_policy(&pool, 3600);
    let mut motions = Vec::new();
    for _ in 0..OPEN_PER_KEY_MAX {
        let motion = pool.motion(Act::ChangePolicy(policy.clone()));
        pool.propose(11, &motion).unwrap();
        motions.push(motion);
    }
    let more = pool.motion(Act::ChangePolicy(policy.clone()));
    assert_eq!(book(pool.propose(11, &more).unwrap_err()), Refusal::TooManyOpen { by: address(11) });
    pool.propose(12, &more).unwrap();
    pool.now += LIFE_S + 1;
    let lapsed = book(pool.propose(12, &motions[0]).unwrap_err());
    assert_eq!(lapsed, Refusal::Lapsed { id: motions[0].id(), lapsed_at: pool.now - 1 });
    let fresh = pool.motion(Act::ChangePolicy(policy));
    pool.propose(11, &fresh).unwrap();
    assert_eq!(pool.state().governance.open.len(), 1, "what lapsed is cleared away");
    assert_eq!(pool.state().governance.closed[&motions[0].id()], Outcome::Lapsed);
    // Adopted and forgotten.
    pool.propose(13, &fresh).unwrap();
    pool.now += pool.state().governance.timelock_s + LIFE_S + 1;
    assert!(matches!(book(pool.execute(99, &fresh).unwrap_err()), Refusal::Lapsed { .. }));
}

#[test]
fn keys_that_have_gone_do_not_count_any_more() {
    let mut pool = Pool::new();
    let policy = other_policy(&pool, 3600);
    let rotation =
        pool.adopt(Act::RotateGovernance(Quorum::new(&[address(12), address(13), address(14)], 2).unwrap()));
    pool.now += pool.state().governance.timelock_s;
    let motion = pool.motion(Act::ChangePolicy(policy));
    pool.propose(11, &motion).unwrap();
    pool.execute(99, &rotation).unwrap();
    pool.propose(12, &motion).unwrap();
    let proposal = &pool.state().governance.open[&motion.id()];
    assert_eq!((proposal.supporters.len(), proposal.ready_at), (2, None), "one of the two has gone");
    assert!(is_role(pool.propose(11, &motion).unwrap_err()));
    pool.propose(14, &motion).unwrap();
    assert!(pool.state().governance.open[&motion.id()].ready_at.is_some());
}

#[test]
fn one_proposal_has_many_spellings_and_one_id() {
    let mut pool = Pool::new();
    let motion = pool.motion(Act::ResumeDeposits);
    pool.post(21, "/v1/deposits/pause", &json!({})).unwrap();
    pool.post(11, "/v1/governance/proposals", &json!({"salt": motion.salt, "act": "resume_deposits"}))
        .unwrap();
    pool.post(12, "/v1/governance/proposals", &json!({"act": "resume_deposits", "salt": motion.salt}))
        .unwrap();
    assert!(pool.state().governance.open[&motion.id()].ready_at.is_some());
    let bytes = canonical::bytes(&motion);
    assert_eq!(canonical::read::<Motion>(&bytes).unwrap().id(), motion.id());
}

/// What may be tried at a step: who, and what.
#[derive(Clone, Debug)]
enum Try {
    Propose(u8, u8),
    Cancel(u8, u8),
    Execute(u8),
    Wait(u64),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let one = prop_oneof![
        4 => (11u8..14, 0u8..3).prop_map(|(by, what)| Try::Propose(by, what)),
        1 => (11u8..14, 0u8..3).prop_map(|(by, what)| Try::Cancel(by, what)),
        3 => (0u8..3).prop_map(Try::Execute),
        2 => prop_oneof![Just(1), Just(43_200), Just(86_400), Just(LIFE_S)].prop_map(Try::Wait),
    ];
    prop::collection::vec(one, 1..60)
}

proptest! {
    /// Against a book kept as slowly and obviously as can be: lists of who said what, and when.
    #[test]
    fn whatever_is_tried_only_m_keys_and_the_delay_do_anything(tries in tries()) {
        let charter = charter();
        let mut state =
            State::new(charter.governance.clone(), charter.guardians, charter.coordinator, 86_400);
        let motion = |salt| Motion { act: Act::ResumeDeposits, salt: Root([salt; 32]) };
        let mut now = 0;
        // Of each motion: supports, objections, each once a key; adoption; the end.
        let mut said: [(BTreeSet<u8>, BTreeSet<u8>); 3] = Default::default();
        let (mut born, mut adopted, mut over) = ([None; 3], [None; 3], [false; 3]);
        for each in tries {
            let (by, command) = match each {
                Try::Wait(wait) => {
                    now += wait;
                    continue;
                }
                Try::Propose(by, what) => (by, Command::Propose(motion(what))),
                Try::Cancel(by, what) => (by, Command::Cancel(motion(what).id())),
                Try::Execute(what) => (99, Command::Execute(motion(what).id())),
            };
            let decided = state.decide(now, address(by), &command);
            for event in decided.iter().flatten() {
                state.apply(event).unwrap();
            }
            let executed = decided.iter().flatten().any(
                |event| matches!(event, Event::Closed { outcome: Outcome::Executed, .. }),
            );
            let (Try::Propose(_, what) | Try::Cancel(_, what) | Try::Execute(what)) = each else { continue };
            let what = usize::from(what);
            // A proposal that is proposed when others are cleared away is over for those.
            let alive = |what: usize| !over[what] && born[what].is_some_and(|at: u64| {
                now <= adopted[what].unwrap_or(at) + LIFE_S
            });
            let want = match each {
                Try::Propose(by, _) if born[what].is_none() => {
                    let lapsed: Vec<_> =
                        (0..3).filter(|each| born[*each].is_some() && !over[*each] && !alive(*each)).collect();
                    for each in lapsed {
                        over[each] = true;
                    }
                    born[what] = Some(now);
                    said[what].0.insert(by)
                }
                Try::Propose(by, _) => alive(what) && adopted[what].is_none() && said[what].0.insert(by),
                Try::Cancel(by, _) => alive(what) && said[what].1.insert(by),
                Try::Execute(_) => alive(what) && adopted[what].is_some_and(|at| now >= at),
                Try::Wait(_) => false,
            };
            if want && matches!(each, Try::Propose(..)) && said[what].0.len() == 2 {
                adopted[what] = Some(now + 86_400);
            }
            let done = want && matches!(each, Try::Execute(_));
            over[what] |= done || said[what].1.len() >= 2;
            prop_assert_eq!(decided.is_ok(), want, "{:?} at {}", each, now);
            prop_assert_eq!(executed, done);
        }
    }
}
