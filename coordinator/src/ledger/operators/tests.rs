//! Operators: how they come, what they may do, and what a thief with a manager's key may not.

use super::*;
use crate::ledger::governance::Act;
use crate::ledger::log::AppendError;
use crate::ledger::routes::ROUTES;
use crate::ledger::seat::Seat;
use crate::ledger::state::{self, ActRefusal, Event as Happened};
use crate::ledger::testbed::{MANAGER, NODE, Pool, REWARD, START, address, setup};
use crate::ledger::{Sealed, bonds};
use serde_json::{Value, json};
use types::Wei;

fn book<T: std::fmt::Debug>(result: Result<T, AppendError>) -> Refusal {
    match result.unwrap_err() {
        AppendError::Refused(state::Refusal::Operators(refusal))
        | AppendError::Refused(state::Refusal::Act(ActRefusal::Operators(refusal))) => refusal,
        other => panic!("{other}"),
    }
}

fn is_role<T: std::fmt::Debug>(result: Result<T, AppendError>) -> bool {
    matches!(result.unwrap_err(), AppendError::Refused(state::Refusal::Role { .. }))
}

fn apply(pool: &mut Pool, (manager, reward, node): (u8, u8, u8)) -> Result<Sealed, AppendError> {
    let application = pool.application(manager, reward, node);
    pool.post(manager, "/v1/operators", &application)
}

fn operator(pool: &Pool) -> &Operator {
    pool.state().operators.get(address(MANAGER)).unwrap()
}

fn announce(pool: &mut Pool, wallet: u8, what: Value) -> Result<Sealed, AppendError> {
    pool.operate(wallet, "POST", "announcements", &what)
}

fn effect(pool: &mut Pool, wallet: u8, kind: &str) -> Result<Sealed, AppendError> {
    pool.operate(wallet, "POST", &format!("announcements/{kind}/effect"), &json!({}))
}

#[test]
fn an_operator_comes_step_by_step_and_each_step_is_somebodys() {
    let mut pool = Pool::new();
    let id = address(MANAGER);
    let standing = |pool: &Pool| operator(pool).standing;
    apply(&mut pool, (MANAGER, REWARD, NODE)).unwrap();
    assert_eq!((standing(&pool), operator(&pool).applied_at), (Standing::Applied, START));
    let early = Refusal::Standing { operator: id, standing: Standing::Applied };
    assert_eq!(book(pool.operate(MANAGER, "POST", "activate", &json!({}))), early);
    let motion = pool.motion(Act::PauseOperator { operator: id, reason: Reason::new("why").unwrap() });
    assert_eq!(book(pool.propose(11, &motion)), early);
    pool.govern(Act::VetOperator { operator: id }).unwrap();
    assert_eq!(standing(&pool), Standing::Vetted);
    let need = Wei::from_eth("2.4").unwrap();
    let poor = book(pool.operate(MANAGER, "POST", "activate", &json!({})));
    assert_eq!(poor, Refusal::Bond { have: Wei::ZERO, need });
    pool.deposit("2.399999999999999999", 0).unwrap();
    assert!(pool.operate(MANAGER, "POST", "activate", &json!({})).is_err());
    pool.deposit("0.000000000000000001", 1).unwrap();
    assert!(is_role(pool.operate(REWARD, "POST", "activate", &json!({}))));
    pool.operate(MANAGER, "POST", "activate", &json!({})).unwrap();
    assert_eq!(standing(&pool), Standing::Active);
    pool.govern(Act::DismissOperator { operator: id }).unwrap();
    assert_eq!(standing(&pool), Standing::Exiting);
    pool.operate(99, "POST", "depart", &json!({})).unwrap();
    assert_eq!(standing(&pool), Standing::Left);
    let left = Refusal::Standing { operator: id, standing: Standing::Left };
    assert_eq!(book(pool.operate(MANAGER, "PUT", "setup", &setup("reth"))), left);
    assert_eq!(book(pool.operate(99, "POST", "depart", &json!({}))), left);
}

#[test]
fn an_application_binds_manager_and_node_to_each_other_and_to_this_pool() {
    let mut pool = Pool::new();
    let good = pool.application(MANAGER, REWARD, NODE);
    let with = |pointer: &str, value: Value| {
        let mut application = good.clone();
        *application.pointer_mut(pointer).unwrap() = value;
        application
    };
    let disagrees = Refusal::NodeDisagrees { manager: address(MANAGER) };
    // Somebody else's node, and a node that vouched for somebody else, or in another pool.
    let other = pool.application(32, REWARD, NODE);
    let foreign = with("/node_signature", other["node_signature"].clone());
    assert_eq!(book(pool.post(MANAGER, "/v1/operators", &foreign)), disagrees);
    let other = pool.application(MANAGER, REWARD, 52);
    assert_eq!(book(pool.post(MANAGER, "/v1/operators", &with("/enr", other["enr"].clone()))), disagrees);
    let mut charter = crate::ledger::charter::tests::charter();
    charter.timelock_s += 1;
    let elsewhere = Pool::of(charter).application(MANAGER, REWARD, NODE);
    assert_eq!(book(pool.post(MANAGER, "/v1/operators", &elsewhere)), disagrees);
    // Two addresses, never one; a type of the policy.
    let same = with("/reward", json!(address(MANAGER)));
    assert_eq!(book(pool.post(MANAGER, "/v1/operators", &same)), Refusal::SameAddress(address(MANAGER)));
    let zero = with("/reward", json!(Address::ZERO));
    assert_eq!(book(pool.post(MANAGER, "/v1/operators", &zero)), Refusal::Zero);
    let gold = with("/operator_type", json!("gold"));
    assert!(matches!(book(pool.post(MANAGER, "/v1/operators", &gold)), Refusal::NoSuchType(_)));
    for (pointer, value) in [
        ("/entity", json!("x".repeat(crate::text::ENTITY_LEN_MAX + 1))),
        ("/setup/country", json!("UK")),
        ("/setup/execution_client", json!("Geth")),
        ("/enr", json!("enr:-x")),
    ] {
        let read = pool.post(MANAGER, "/v1/operators", &with(pointer, value));
        assert!(matches!(read, Err(AppendError::Refused(state::Refusal::Route(_)))), "{pointer}");
    }
    pool.post(MANAGER, "/v1/operators", &good).unwrap();
}

#[test]
fn a_node_and_an_address_are_one_operators_for_ever() {
    let mut pool = Pool::new();
    apply(&mut pool, (MANAGER, REWARD, NODE)).unwrap();
    let id = address(MANAGER);
    assert_eq!(book(apply(&mut pool, (32, 42, NODE))), Refusal::NodeTaken(id));
    assert!(is_role(apply(&mut pool, (MANAGER, 42, 52))));
    assert!(is_role(apply(&mut pool, (REWARD, 42, 52))));
    let taken = Refusal::Taken { address: id, seat: Seat::Manager(id) };
    assert_eq!(book(apply(&mut pool, (32, MANAGER, 52))), taken);
    apply(&mut pool, (32, REWARD, 52)).unwrap();
    // Also when its manager has changed: the name stays.
    announce(&mut pool, MANAGER, json!({"manager": address(33)})).unwrap();
    pool.now += pool.state().policy.terms().announcement_s;
    effect(&mut pool, 33, "manager").unwrap();
    assert_eq!(pool.state().seat(id), Some(Seat::Founder(id)));
    assert!(is_role(apply(&mut pool, (MANAGER, 42, 53))));
}

#[test]
fn what_is_announced_waits_is_seen_and_can_be_called_off() {
    let mut pool = Pool::new();
    pool.active("5");
    let (id, at) = (address(MANAGER), pool.now);
    let ready_at = at + pool.state().policy.terms().announcement_s;
    let what = Announcement::Manager(address(33));
    announce(&mut pool, MANAGER, json!({"manager": address(33)})).unwrap();
    assert_eq!(operator(&pool).pending[&Kind::Manager], Pending { what, at, ready_at });
    assert_eq!(operator(&pool).alarms, [Alarm { at, cause: AlarmCause::Announced(what) }]);
    let of = Of { operator: id, kind: Kind::Manager };
    let again = book(announce(&mut pool, MANAGER, json!({"manager": address(34)})));
    assert_eq!(again, Refusal::Pending { of, since: at });
    pool.now = ready_at - 1;
    assert_eq!(book(effect(&mut pool, 33, "manager")), Refusal::TooEarly { of, ready_at, at: pool.now });
    for wallet in [33, REWARD, 11, 99] {
        let call_off = pool.operate(wallet, "DELETE", "announcements/manager", &json!({}));
        assert!(is_role(call_off), "{wallet}");
    }
    pool.operate(MANAGER, "DELETE", "announcements/manager", &json!({})).unwrap();
    pool.now = ready_at;
    assert_eq!(book(effect(&mut pool, 33, "manager")), Refusal::NothingPending(of));
    assert_eq!(operator(&pool).alarms.len(), 2, "that it was tried stays to be seen");
    // With nobody against it, it comes; and the new manager shows that it has its key.
    announce(&mut pool, MANAGER, json!({"manager": address(33)})).unwrap();
    pool.now += pool.state().policy.terms().announcement_s;
    for wallet in [MANAGER, 99] {
        let refusal = Refusal::NotTheNewManager { manager: address(33) };
        assert_eq!(book(effect(&mut pool, wallet, "manager")), refusal);
    }
    effect(&mut pool, 33, "manager").unwrap();
    assert_eq!(operator(&pool).manager, address(33));
    assert!(is_role(announce(&mut pool, MANAGER, json!("leave"))));
    announce(&mut pool, 33, json!("leave")).unwrap();
}

#[test]
fn announced_addresses_are_free_when_they_are_announced_and_when_they_are_taken() {
    let mut pool = Pool::new();
    pool.active("5");
    for byte in [1, 11, 21, REWARD] {
        let refusal = book(announce(&mut pool, MANAGER, json!({"manager": address(byte)})));
        assert!(matches!(refusal, Refusal::Taken { .. }), "{byte}: {refusal}");
    }
    for money in [[0xaa; 20], [0xbb; 20]] {
        let refusal = book(announce(&mut pool, MANAGER, json!({"reward": Address(money)})));
        assert!(matches!(refusal, Refusal::Taken { .. }), "{refusal}");
    }
    let same = book(announce(&mut pool, MANAGER, json!({"reward": address(MANAGER)})));
    assert_eq!(same, Refusal::SameAddress(address(MANAGER)));
    announce(&mut pool, MANAGER, json!({"manager": address(33)})).unwrap();
    apply(&mut pool, (33, 43, 53)).unwrap();
    pool.now += pool.state().policy.terms().announcement_s;
    let taken = Refusal::Taken { address: address(33), seat: Seat::Manager(address(33)) };
    assert_eq!(book(effect(&mut pool, 33, "manager")), taken);
}

/// What happened to "Yielding Yellowthroat": the manager's key is stolen, shares and reward key are not. The thief sends
/// everything that there is to send. It moves no principal, asks for no exit, and is paid nothing; then it loses the seat.
#[test]
fn a_thief_with_a_managers_key_forces_no_exit_and_moves_no_money() {
    let mut pool = Pool::new();
    pool.active("5");
    let thief = MANAGER;
    let bodies = [
        json!({}),
        json!({"manager": address(98)}),
        json!({"reward": address(98)}),
        json!("leave"),
        json!({"amount": "1000"}),
        json!({"service": "oracle", "amount": "1000"}),
        setup("reth"),
        pool.application(thief, 98, 52),
    ];
    let id = address(MANAGER).to_string();
    let mut happened = Vec::new();
    for route in ROUTES {
        for kind in ["manager", "reward", "leave", "oracle"] {
            let path = route.path.replace("{operator}", &id).replace("{kind}", kind);
            let path = path.replace("{service}", kind).replace("{id}", &types::Root::ZERO.to_string());
            // Whatever was announced is not called off: it is the worst that can be.
            let bodies = bodies.iter().filter(|_| !(route.method == "DELETE" && kind != "oracle"));
            for body in bodies {
                let sent = pool.send(thief, route.method, &path, body);
                happened.extend(sent.into_iter().flat_map(|sealed| sealed.entry.events));
            }
        }
    }
    assert!(happened.len() > 10, "much of it is taken: {happened:?}");
    for event in &happened {
        match event {
            Happened::Accepted { .. } => {}
            Happened::Operators(Event { what, .. }) => match what {
                What::Announced(_) | What::Updated(_) => {}
                other => panic!("{other:?}"),
            },
            // Whoever asks, the reward address is paid.
            Happened::Bonds(bonds::Event::Claimed { claim, .. }) => assert_eq!(claim.to, address(REWARD)),
            Happened::Bonds(bonds::Event::Served { .. } | bonds::Event::Quit { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let victim = operator(&pool);
    assert_eq!((victim.manager, victim.reward), (address(MANAGER), address(REWARD)));
    assert_eq!((victim.standing, victim.pending.len()), (Standing::Active, 3), "nothing has come yet");
    assert_eq!(victim.alarms.len(), 3, "and everybody sees it coming");
    let before = pool.state().governance.clone();
    // While rewards may go elsewhere soon, nothing is paid at all.
    let paid = pool.operate(thief, "POST", "bond/withdrawals", &json!({"amount": "1"}));
    let pending = bonds::Refusal::RewardPending(address(MANAGER));
    assert_eq!(paid.unwrap_err(), AppendError::Refused(state::Refusal::Bonds(pending)));
    // Governance calls it off at once, and puts in another manager.
    for what in [Kind::Reward, Kind::Leave, Kind::Manager] {
        pool.adopt(Act::CallOff { operator: address(MANAGER), what });
    }
    assert!(operator(&pool).pending.is_empty());
    announce(&mut pool, thief, json!({"reward": address(98)})).unwrap();
    pool.govern(Act::ReplaceManager { operator: address(MANAGER), manager: address(35) }).unwrap();
    assert!(operator(&pool).pending.is_empty(), "what the thief announced meanwhile is gone too");
    assert!(is_role(announce(&mut pool, thief, json!("leave"))));
    assert!(pool.operate(35, "PUT", "setup", &setup("besu")).is_ok());
    assert_eq!(before.keys, pool.state().governance.keys);
}

#[test]
fn leaving_ends_new_stake_and_nobody_leaves_what_it_was_stopped_for() {
    let mut pool = Pool::new();
    pool.active("5");
    let id = address(MANAGER);
    announce(&mut pool, MANAGER, json!("leave")).unwrap();
    pool.now += pool.state().policy.terms().announcement_s;
    pool.adopt(Act::PauseOperator { operator: id, reason: Reason::new("theft of fees").unwrap() });
    assert_eq!(book(effect(&mut pool, 99, "leave")), Refusal::Paused(id));
    let motion = pool.motion(Act::PauseOperator { operator: id, reason: Reason::new("again").unwrap() });
    assert_eq!(book(pool.propose(11, &motion)), Refusal::Paused(id));
    assert_eq!(operator(&pool).paused_for, Some(Reason::new("theft of fees").unwrap()));
    pool.govern(Act::UnpauseOperator { operator: id }).unwrap();
    effect(&mut pool, 99, "leave").unwrap();
    assert_eq!((operator(&pool).standing, &operator(&pool).paused_for), (Standing::Exiting, &None));
    let exiting = Refusal::Standing { operator: id, standing: Standing::Exiting };
    assert_eq!(book(announce(&mut pool, MANAGER, json!("leave"))), exiting);
    let motion = pool.motion(Act::DismissOperator { operator: id });
    assert_eq!(book(pool.propose(11, &motion)), exiting);
    // Also on its way out it can be stopped, and stays.
    let motion = pool.motion(Act::UnpauseOperator { operator: id });
    assert_eq!(book(pool.propose(11, &motion)), Refusal::NotPaused(id));
    pool.adopt(Act::PauseOperator { operator: id, reason: Reason::new("theft of fees").unwrap() });
    assert_eq!(book(pool.operate(99, "POST", "depart", &json!({}))), Refusal::Paused(id));
}

#[test]
fn an_operator_in_a_cluster_does_not_depart() {
    let pool = Pool::new();
    let facts = |clusters: usize, incident: Option<u64>| {
        let mut state = pool.state().operators.clone();
        let mut other = Pool::new();
        apply(&mut other, (MANAGER, REWARD, NODE)).unwrap();
        state.operators.clone_from(&other.state().operators.operators);
        let exiting = Event { operator: address(MANAGER), what: What::Stands(Standing::Exiting) };
        state.apply(&exiting).unwrap();
        let facts = Facts {
            at: START,
            pool: pool.state().pool,
            chain_id: 1,
            policy: &pool.state().policy,
            seat: &|_| None,
            bond: &|_| Wei::ZERO,
            clusters: &|_| clusters,
            held: &|_| incident,
        };
        state.decide(&facts, address(99), &Command::Depart(address(MANAGER)))
    };
    assert!(facts(0, None).is_ok());
    assert_eq!(facts(0, Some(7)), Err(Refusal::Held { operator: address(MANAGER), incident: 7 }));
    assert_eq!(facts(2, None), Err(Refusal::InClusters { operator: address(MANAGER), clusters: 2 }));
}

#[test]
fn the_newest_alarms_are_kept_and_events_that_do_not_fit_are_told() {
    let mut pool = Pool::new();
    pool.active("5");
    for _ in 0..ALARMS_MAX {
        announce(&mut pool, MANAGER, json!("leave")).unwrap();
        pool.now += 1;
        pool.operate(MANAGER, "DELETE", "announcements/leave", &json!({})).unwrap();
    }
    assert_eq!(operator(&pool).alarms.len(), ALARMS_MAX);
    assert_eq!(operator(&pool).alarms[ALARMS_MAX - 1].at, pool.now);
    let mut state = pool.state().operators.clone();
    let called_off = What::CalledOff { kind: Kind::Leave, by: By::Manager, at: 0 };
    let of = Of { operator: address(MANAGER), kind: Kind::Leave };
    let event = Event { operator: address(MANAGER), what: called_off.clone() };
    assert_eq!(state.apply(&event), Err(Misfit::NothingPending(of)));
    let event = Event { operator: address(99), what: called_off };
    assert_eq!(state.apply(&event), Err(Misfit::Unknown(address(99))));
    let application = Box::new(operator(&pool).application.clone());
    let event = Event { operator: address(MANAGER), what: What::Applied { at: 0, application } };
    assert_eq!(state.apply(&event), Err(Misfit::Known(address(MANAGER))));
}
