//! Validators leave: asked for, signed, seen, withdrawn; and what that does to clusters, stake and money.

use super::*;
use crate::ledger::Sealed;
use crate::ledger::calls::Chosen;
use crate::ledger::charter::tests::charter;
use crate::ledger::deposits::{Refusal as NoDeposit, Stage as Life};
use crate::ledger::exits::{Lateness, Refusal as NoExit, Stage};
use crate::ledger::governance::Act;
use crate::ledger::log::{AppendError, Ledger};
use crate::ledger::testbed::jar::{Jar, STAKED, key};
use crate::ledger::testbed::{EPOCH, Pool, address};
use serde_json::json;
use types::{PublicKey, Root, ValidatorStatus};

fn eth(amount: &str) -> Wei {
    Wei::from_eth(amount).unwrap()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, AppendError>) -> Refusal {
    let Err(AppendError::Refused(refusal)) = answer else { panic!("not refused: {answer:?}") };
    refusal
}

fn exit<T: std::fmt::Debug>(answer: Result<T, AppendError>) -> NoExit {
    match refused(answer) {
        Refusal::Exits(refusal) | Refusal::Act(ActRefusal::Exits(refusal)) => refusal,
        other => panic!("{other}"),
    }
}

/// Governance asks for exits.
fn ask(pool: &mut Pool, secrets: &[u64]) -> Result<(), AppendError> {
    let validators = secrets.iter().map(|secret| pool.index(*secret)).collect();
    pool.try_govern(Act::ExitValidator { validators })
}

fn asked(sealed: &Sealed) -> Vec<u64> {
    let asked = |event: &Event| match event {
        Event::Exits(exit) => match &**exit {
            exits::Event::Asked(asked) => Some(asked.validator.0),
            _ => None,
        },
        _ => None,
    };
    sealed.entry.events.iter().filter_map(asked).collect()
}

fn plan(pool: &mut Pool) -> Result<Vec<u64>, AppendError> {
    pool.see("exits-plan", &json!({})).map(|sealed| asked(&sealed))
}

fn stages(pool: &Pool, secret: u64) -> (Stage, Life) {
    let exit = &pool.state().exits.exits()[&pool.index(secret)];
    (exit.stage, pool.state().deposits.validators()[&key(secret)].stage)
}

#[test]
fn an_exit_is_asked_for_signed_broadcast_seen_and_withdrawn() {
    let (mut pool, mut jar, cluster) = Pool::staked(charter(), 2);
    let index = pool.index(1);
    ask(&mut pool, &[1]).unwrap();
    assert_eq!(exit(ask(&mut pool, &[1])), NoExit::Known { validator: index });
    assert_eq!(stages(&pool, 1), (Stage::Requested, Life::Active));
    pool.sign_exit(cluster, 1, 1).unwrap();
    pool.sign_exit(cluster, 1, 2).unwrap();
    assert!(matches!(exit(pool.sign_exit(cluster, 1, 2)), NoExit::Twice { .. }));
    // A bad one is refused by name, whatever is wrong with it, and takes nothing away.
    let path = format!("/v1/clusters/{cluster}/exits/{index}/partials");
    let (operator, place) =
        (address(103), super::super::incidents::Place(types::ShareIndex::new(3).unwrap()));
    for by in [1, 4] {
        let body = json!({"generation": 0, "signature": pool.exit_partial(1, by)});
        assert_eq!(exit(pool.post(103, &path, &body)), NoExit::BadPartial { operator, place });
    }
    let body = json!({"generation": 1, "signature": pool.exit_partial(1, 3)});
    assert!(matches!(exit(pool.post(103, &path, &body)), NoExit::Generation { .. }));
    let body = json!({"generation": 0, "signature": pool.exit_partial(1, 3), "place": 3});
    assert!(matches!(refused(pool.post(103, &path, &body)), Refusal::Route(_)), "its place is not said");
    for stranger in [11, 21, 71, 113, 123] {
        let body = json!({"generation": 0, "signature": pool.exit_partial(1, 3)});
        assert!(matches!(refused(pool.post(stranger, &path, &body)), Refusal::Role { .. }), "{stranger}");
    }
    let body = json!({"validator": index});
    let early = NoExit::Stage { validator: index, stage: Stage::Collecting };
    assert_eq!(exit(pool.see("exit-broadcast", &body)), early);
    pool.sign_exit(cluster, 1, 3).unwrap();
    assert_eq!(stages(&pool, 1), (Stage::Signed, Life::Active));
    let signed = pool.state().exits.to_broadcast().next().unwrap();
    let check = cluster::check::check_exit(&signed, &pool.state().network, &[key(1)]);
    assert!(check.holds(), "{check:?}");
    pool.see("exit-triggered", &json!({"validator": index, "tx": Root([5; 32])})).unwrap();
    pool.see("exit-broadcast", &body).unwrap();
    let mut look = |pool: &mut Pool| {
        jar.go_on(|exits| exits == index);
        pool.look(&jar).unwrap();
        stages(pool, 1)
    };
    assert_eq!(look(&mut pool), (Stage::Seen, Life::Exiting));
    assert_eq!(pool.state().exits.to_broadcast().count(), 0);
    assert_eq!(look(&mut pool), (Stage::Exited, Life::Exited));
    assert_eq!(look(&mut pool), (Stage::Exited, Life::Exited), "it can be withdrawn, and is not");
    assert_eq!(look(&mut pool), (Stage::Withdrawn, Life::Withdrawn));
    assert_eq!(exit(ask(&mut pool, &[1])), NoExit::Known { validator: index });
    pool.report(&mut jar).unwrap();
    assert_eq!(Ledger::replay(&pool.log).unwrap().state(), pool.state());
}

#[test]
fn an_exit_is_of_the_cluster_that_the_path_names() {
    let (mut pool, _, cluster) = Pool::staked(charter(), 1);
    let operators = [104, 103, 102, 101].map(address).to_vec();
    let stake = Gwei(32_000_000_000);
    let other = pool.choose(&Chosen { operators, threshold: 3, keys: 1, stake }).unwrap();
    ask(&mut pool, &[1]).unwrap();
    let validator = pool.index(1);
    let elsewhere = NoExit::OtherCluster { validator, cluster: other };
    assert_eq!(exit(pool.sign_exit(other, 1, 1)), elsewhere);
    pool.sign_exit(cluster, 1, 1).unwrap();
    let unknown = format!("/v1/clusters/{cluster}/exits/5/partials");
    let body = json!({"generation": 0, "signature": pool.exit_partial(1, 2)});
    assert_eq!(exit(pool.post(102, &unknown, &body)), NoExit::NotAsked { validator: ValidatorIndex(5) });
    // Who signs is asked for by the book too, not by the route alone.
    let wish = exits::Wish::Sign {
        cluster,
        validator,
        generation: Generation(0),
        signature: pool.exit_partial(1, 2),
    };
    let stranger = pool.state().sign_exit(pool.now, address(99), &wish);
    assert_eq!(stranger, Err(NoExit::Stranger { signer: address(99), cluster }.into()));
}

#[test]
fn who_is_silent_gets_no_stake_until_the_exit_has_come_and_the_cooldown_is_over() {
    let (mut pool, mut jar, cluster) = Pool::staked(charter(), 2);
    let terms = pool.state().policy.terms().exits;
    pool.pay(71, "64", 9).unwrap();
    ask(&mut pool, &[1]).unwrap();
    for place in [1, 2] {
        pool.sign_exit(cluster, 1, place).unwrap();
    }
    let review = |pool: &mut Pool| pool.see("exits-review", &json!({})).map(drop);
    pool.now += terms.delayed_s - 1;
    assert_eq!(exit(review(&mut pool)), NoExit::NobodyLate);
    pool.now += 1;
    review(&mut pool).unwrap();
    let late = |pool: &Pool| pool.state().exits.exits()[&pool.index(1)].lateness;
    assert_eq!(late(&pool), Lateness::Delayed);
    let open = |pool: &Pool| pool.state().cluster_limits(pool.now).contains_key(&cluster);
    assert!(open(&pool));
    pool.now += terms.delinquent_s - terms.delayed_s;
    review(&mut pool).unwrap();
    let silent = [1, 2, 3, 4].map(|at| pool.state().exits.is_delinquent(address(100 + at), pool.now));
    assert_eq!(silent, [false, false, true, true]);
    assert!(!open(&pool));
    assert!(
        matches!(refused(pool.register(cluster, &[3])), Refusal::Clusters(_)),
        "it has as many as it may"
    );
    assert_eq!(refused(pool.see("plan", &json!({}))), NoDeposit::NothingToPlan.into());
    // It comes, by one of the two, and both stay so for a while.
    pool.sign_exit(cluster, 1, 4).unwrap();
    jar.go_on(|exits| exits == pool.index(1));
    pool.look(&jar).unwrap();
    pool.now += terms.cooldown_s - 1;
    assert!(!open(&pool));
    pool.now += 1;
    assert!(open(&pool));
    assert_eq!([3, 4].map(|at| pool.state().exits.strikes(address(100 + at))), [1, 1]);
}

#[test]
fn a_delinquent_operators_cluster_gets_neither_keys_nor_stake() {
    let (mut pool, mut jar, cluster) = Pool::staked(charter(), 1);
    // The same people in another order: another cluster.
    let operators = [104, 103, 102, 101].map(address).to_vec();
    let stake = Gwei(32_000_000_000);
    let other = pool.choose(&Chosen { operators, threshold: 3, keys: 1, stake }).unwrap();
    pool.pay(71, "64", 9).unwrap();
    ask(&mut pool, &[1]).unwrap();
    pool.now += pool.state().policy.terms().exits.delinquent_s;
    pool.see("exits-review", &json!({})).unwrap();
    assert_eq!(refused(pool.register(other, &[2])), NoDeposit::NoCluster { cluster: other }.into());
    (1..=3).for_each(|place| drop(pool.sign_exit(cluster, 1, place).unwrap()));
    jar.go_on(|_| true);
    pool.look(&jar).unwrap();
    pool.now += pool.state().policy.terms().exits.cooldown_s;
    pool.register(other, &[2]).unwrap();
}

/// Row M9: everybody leaves.
#[test]
fn a_run_asks_for_as_many_exits_as_it_needs_in_their_order() {
    let (mut pool, mut jar, cluster) = Pool::staked(charter(), 4);
    // 132 ETH came, 128 are staked: 4 are there.
    pool.report(&mut jar).unwrap();
    assert_eq!(exit(plan(&mut pool)), NoExit::NothingToAsk);
    let withdraw = |pool: &mut Pool, amount: &str| {
        pool.post(71, "/v1/withdrawals", &json!({"amount": {"eth": eth(amount)}})).unwrap();
    };
    let [one, two, three, four] = [1, 2, 3, 4].map(|secret| pool.index(secret).0);
    withdraw(&mut pool, "4");
    assert_eq!(exit(plan(&mut pool)), NoExit::NothingToAsk, "it is there");
    withdraw(&mut pool, "33");
    let mut order = [one, two, three, four];
    order.sort_unstable();
    assert_eq!(plan(&mut pool).unwrap(), order[..2], "33 are more than one has; the lowest indices first");
    assert_eq!(exit(plan(&mut pool)), NoExit::NothingToAsk, "they are on their way");
    let left = pool.state().money.shares().balance(address(71));
    pool.post(71, "/v1/withdrawals", &json!({"amount": {"eth": left}})).unwrap();
    assert_eq!(plan(&mut pool).unwrap(), order[2..]);
    // Everybody signs, and all is served in order, at no better rate.
    for secret in 1..=4 {
        (1..=3).for_each(|place| drop(pool.sign_exit(cluster, secret, place).unwrap()));
        let index = pool.index(secret);
        pool.see("exit-broadcast", &json!({"validator": index})).unwrap();
    }
    pool.now += 7680;
    for _ in 0..4 {
        jar.go_on(|_| true);
        pool.look(&jar).unwrap();
    }
    assert!((1..=4).all(|secret| stages(&pool, secret) == (Stage::Withdrawn, Life::Withdrawn)));
    pool.report(&mut jar).unwrap();
    let served = (0..3).map(|request| pool.state().money.queue().is_served(request));
    assert!(served.into_iter().all(|served| served));
    pool.state().money.audit().unwrap();
    assert_eq!(exit(plan(&mut pool)), NoExit::NothingToAsk);
}

#[test]
fn what_rewards_will_bring_is_not_asked_for() {
    let (mut pool, mut jar, _) = Pool::staked(charter(), 1);
    pool.report(&mut jar).unwrap();
    assert_eq!(pool.state().predicted_rewards(), Ok(Wei::ZERO), "one report tells no pace");
    let frame = pool.state().policy.terms().reports.frame_epochs;
    jar.earn(key(1), 10_000 * i64::from(frame));
    pool.report(&mut jar).unwrap();
    assert_eq!(pool.state().predicted_rewards(), Ok(eth("0.00261")), "0.00001 ETH an epoch, for 261");
    let request = |pool: &mut Pool, amount: &str| {
        pool.post(71, "/v1/withdrawals", &json!({"amount": {"eth": eth(amount)}})).unwrap();
    };
    request(&mut pool, "1.0026");
    assert_eq!(exit(plan(&mut pool)), NoExit::NothingToAsk);
    request(&mut pool, "0.001");
    assert_eq!(plan(&mut pool).unwrap(), [pool.index(1).0]);
}

#[test]
fn a_cluster_that_is_wound_down_is_asked_to_exit_and_closed_when_it_has() {
    let (mut pool, mut jar, cluster) = Pool::staked(charter(), 2);
    let wind_down = Act::WindDownCluster { cluster };
    let motion = pool.motion(wind_down);
    pool.propose(11, &motion).unwrap();
    let sealed = pool.propose(12, &motion).unwrap();
    let mut both = [pool.index(1).0, pool.index(2).0];
    both.sort_unstable();
    let mut have = asked(&sealed);
    have.sort_unstable();
    assert_eq!(have, both);
    assert_eq!(pool.state().exits.exits()[&pool.index(1)].asked.why, Why::Governance);
    assert_eq!(exit(plan(&mut pool)), NoExit::NothingToAsk);
    for secret in [1, 2] {
        (2..=4).for_each(|place| drop(pool.sign_exit(cluster, secret, place).unwrap()));
    }
    for _ in 0..4 {
        jar.go_on(|_| true);
        pool.look(&jar).unwrap();
    }
    pool.post(99, &format!("/v1/clusters/{cluster}/close"), &json!({})).unwrap();
}

#[test]
fn a_young_validator_of_a_cluster_that_ends_is_asked_when_it_is_old_enough() {
    let mut state = Pool::staked(charter(), 2).0.state().clone();
    let (cluster, index) = {
        let (_, one) = state.deposits.by_index(ValidatorIndex(1000)).unwrap();
        (one.cluster, one.index.unwrap())
    };
    // Nobody is 256 epochs old.
    state.chain.finalized.epoch = Epoch(EPOCH + 200);
    let apply = |state: &mut State, events: Vec<Event>| {
        for event in &events {
            state.apply(event).unwrap();
        }
        events.len()
    };
    let events = state.wind_down(5, cluster, Why::Strikes).unwrap();
    assert_eq!(apply(&mut state, events), 1);
    assert_eq!(state.see_exit(5, exits::Seen::Plan), Err(NoExit::NothingToAsk.into()));
    let activation = state.deposits.by_index(index).unwrap().1.activation.unwrap();
    state.chain.finalized.epoch = Epoch(activation.0 + 256);
    let events = state.see_exit(5, exits::Seen::Plan).unwrap();
    assert_eq!(apply(&mut state, events), 2, "both, though no withdrawal needs them");
    assert!(state.exits.exits().values().all(|exit| exit.asked.why == Why::Governance));
    assert!(matches!(state.wind_down(5, cluster, Why::Strikes), Err(ActRefusal::Clusters(_))));
}

#[test]
fn governance_asks_for_the_pools_own_and_for_none_twice() {
    let (mut pool, _, _) = Pool::staked(charter(), 1);
    let act = |validators: &[u64]| Act::ExitValidator {
        validators: validators.iter().map(|index| ValidatorIndex(*index)).collect(),
    };
    assert_eq!(exit(pool.try_govern(act(&[]))), NoExit::Asked { have: 0 });
    let many: Vec<u64> = (0..=exits::PLAN_MAX as u64).collect();
    assert_eq!(exit(pool.try_govern(act(&many))), NoExit::Asked { have: exits::PLAN_MAX + 1 });
    let strange = NoExit::NotOurs { validator: ValidatorIndex(7) };
    assert_eq!(exit(pool.try_govern(act(&[pool.index(1).0, 7]))), strange);
    pool.try_govern(act(&[pool.index(1).0])).unwrap();
}

#[test]
fn an_exit_that_nobody_asked_for_is_found_also_one_of_a_slashed_validator() {
    let (mut pool, mut jar, _) = Pool::staked(charter(), 3);
    jar.slash(2, 7_812_500);
    jar.go_on(|index| index == pool.index(1));
    pool.look(&jar).unwrap();
    let why = |pool: &Pool, secret| pool.state().exits.exits()[&pool.index(secret)].asked.why;
    assert_eq!((why(&pool, 1), why(&pool, 2)), (Why::Own, Why::Slashed));
    assert_eq!(stages(&pool, 1), (Stage::Seen, Life::Exiting));
    assert_eq!(stages(&pool, 2), (Stage::Exited, Life::Slashed));
    assert!(!pool.state().exits.exits().contains_key(&pool.index(3)));
}

#[test]
fn a_state_that_tells_another_exit_epoch_is_an_alarm_and_changes_nothing_else() {
    let (mut pool, mut jar, _) = Pool::staked(charter(), 2);
    jar.go_on(|index| index == pool.index(1));
    pool.look(&jar).unwrap();
    let alarms = |pool: &Pool, key: &PublicKey| pool.state().deposits.validators()[key].alarms.clone();
    assert!(alarms(&pool, &key(1)).is_empty());
    let before = pool.state().exits.clone();
    jar.pass(0);
    jar.slot += 1;
    jar.validators.get_mut(&key(1)).unwrap().exit = Some(Epoch(jar.epoch().0 + 2));
    jar.validators.get_mut(&key(1)).unwrap().withdrawable = Some(Epoch(jar.epoch().0 + 3));
    pool.look(&jar).unwrap();
    assert_eq!(alarms(&pool, &key(1)), [Alarm::Backwards].into());
    assert_eq!(pool.state().exits, before);
    assert!(alarms(&pool, &key(2)).is_empty());
    // Said again, it is no news.
    jar.slot += 1;
    let again = pool.look(&jar).unwrap();
    let alarmed = |event: &Event| matches!(event, Event::Deposits(event) if matches!(**event, deposits::Event::Alarmed { .. }));
    assert!(!again.entry.events.iter().any(alarmed));
}

#[test]
fn a_look_is_at_what_is_final_and_at_nothing_older() {
    let (mut pool, mut jar, _) = Pool::staked(charter(), 1);
    let old = jar.clone();
    jar.go_on(|_| true);
    let far = {
        let mut far = jar.clone();
        far.pass(2_000);
        far
    };
    let refusal = exit(pool.see_look(far.look()));
    assert_eq!(refusal, NoExit::LookEpoch { epoch: far.epoch(), finalized: Epoch(STAKED) });
    pool.look(&jar).unwrap();
    assert_eq!(stages(&pool, 1), (Stage::Seen, Life::Exiting));
    let before = (pool.state().exits.clone(), pool.state().deposits.clone());
    assert!(pool.look(&old).unwrap().entry.events.is_empty());
    // Of a state that is not final alarms only are heard.
    jar.go_on(|_| true);
    let mut early = jar.look();
    early.finalized = false;
    pool.see_look(early).unwrap();
    assert_eq!((&before.0, &before.1), (&pool.state().exits, &pool.state().deposits));
}

/// The coordinator was away for all of a validator's life.
#[test]
fn who_became_active_and_exits_between_two_looks_is_found() {
    let (mut pool, _, _) = Pool::staked(charter(), 1);
    // The log up to the second deposit; then nobody looks.
    let sent =
        pool.log.iter().rposition(|stored| String::from_utf8_lossy(stored).contains("\"kind\":\"sent\""));
    let log = pool.log[..=sent.unwrap()].to_vec();
    pool.ledger = Ledger::replay(&log).unwrap();
    pool.log = log;
    let mut jar = Jar::new();
    jar.slot += 400;
    let of = pool.state().deposits.validators()[&key(1)].clone();
    assert_eq!((of.stage, of.activation), (Life::RestDeposited, None));
    let epoch = jar.epoch().0;
    let seen = SeenValidator {
        pubkey: key(1),
        index: of.index.unwrap(),
        credentials: pool.ours(),
        balance: Gwei(32_000_000_000),
        effective_balance: Gwei(32_000_000_000),
        status: ValidatorStatus::ActiveExiting,
        slashed: false,
        activation: Some(Epoch(epoch - 5)),
        exit: Some(Epoch(epoch + 1)),
        withdrawable: Some(Epoch(epoch + 257)),
    };
    jar.validators.insert(key(1), seen);
    pool.look(&jar).unwrap();
    assert_eq!(stages(&pool, 1), (Stage::Seen, Life::Exiting));
    assert_eq!(pool.state().deposits.validators()[&key(1)].activation, Some(Epoch(epoch - 5)));
}

/// Somebody else has sent the rest, and it leaves before the pool's batch is sent or given up.
#[test]
fn what_deposits_do_not_believe_of_a_validator_exits_are_not_told() {
    let mut pool = Pool::of(charter());
    let mut jar = Jar::new();
    pool.finalize(EPOCH);
    pool.see("network-stake", &json!({"epoch": EPOCH.to_string(), "active": "35000000000000000"})).unwrap();
    let team = pool.team();
    let cluster = pool.cluster(team, 1);
    pool.pay(71, "40", 0).unwrap();
    pool.register(cluster, &[1]).unwrap();
    pool.look(&jar).unwrap();
    pool.see("plan", &json!({})).unwrap();
    pool.approve(0).unwrap();
    pool.send_batch(&mut jar, 0).unwrap();
    jar.go_on(|_| false);
    pool.look(&jar).unwrap();
    pool.see("plan", &json!({})).unwrap();
    let rest = pool.offer(1).rest;
    jar.deposit(key(1), pool.ours(), rest.amount, rest.signature);
    for _ in 0..3 {
        jar.go_on(|_| true);
    }
    pool.look(&jar).unwrap();
    let of = |pool: &Pool| pool.state().deposits.validators()[&key(1)].clone();
    assert_eq!((of(&pool).stage, of(&pool).alarms), (Life::RestPlanned, [Alarm::Backwards].into()));
    assert!(pool.state().exits.exits().is_empty());
    pool.see("given-up", &json!({"batch": 1, "deposit_root": Root([1; 32])})).unwrap();
    jar.slot += 1;
    pool.look(&jar).unwrap();
    assert_eq!(stages(&pool, 1), (Stage::Seen, Life::Exiting));
}

#[test]
fn operators_above_their_stake_are_asked_first() {
    let (mut pool, _, cluster) = Pool::staked(charter(), 4);
    let standing = |pool: &Pool| pool.state().standings()[&cluster];
    assert_eq!(standing(&pool), Standing::default());
    // Each has 32 ETH in the cluster; 25 are left to one, so of each validator an n-th, one must go.
    let (operator, stake) = (address(102), Gwei(25_000_000_000));
    pool.govern(Act::SetStakeCap { operator, stake }).unwrap();
    assert_eq!((standing(&pool).over_forced, standing(&pool).over_soft), (1, 0));
    pool.govern(Act::SetStakeCap { operator, stake: Gwei(23_999_999_999) }).unwrap();
    assert_eq!(standing(&pool).over_forced, 2);
    let mut terms = pool.state().policy.terms().clone();
    terms.operator_caps.stake = Gwei(16_000_000_000);
    let policy = crate::ledger::policy::Policy::new(terms).unwrap();
    pool.govern(Act::ChangePolicy(Box::new(policy))).unwrap();
    assert_eq!((standing(&pool).over_forced, standing(&pool).over_soft), (2, 2));
}
