//! What holds between the books.

use super::*;
use crate::formulas::ratio::BasisPoints;
use crate::formulas::wide;
use crate::ledger::Ledger;
use crate::ledger::ceremonies::Refusal as NoOffer;
use crate::ledger::chain::Reference;
use crate::ledger::clusters::{Refusal as NoCluster, Stage as ClusterStage};
use crate::ledger::deposits::Refusal as NoDeposit;
use crate::ledger::governance::Act;
use crate::ledger::log::AppendError;
use crate::ledger::operators::Reason;
use crate::ledger::pool::{OPERATORS_HOLDER, RESERVE_HOLDER, Refusal as NoMoney};
use crate::ledger::testbed::jar::{Jar, key};
use crate::ledger::testbed::{EPOCH, Pool, address, kinds};
use serde_json::json;
use types::{Address, Epoch, Gwei, Root, Wei};

pub(in crate::ledger) fn eth(amount: &str) -> Wei {
    Wei::from_eth(amount).unwrap()
}

pub(in crate::ledger) fn refused<T: std::fmt::Debug>(answer: Result<T, AppendError>) -> Refusal {
    let Err(AppendError::Refused(refusal)) = answer else { panic!("not refused: {answer:?}") };
    refusal
}

/// A pool that takes payments, on a chain with so many ETH of stake.
pub(in crate::ledger) fn open(stake: u64) -> Pool {
    let mut pool = Pool::new();
    pool.finalize(EPOCH);
    let active = format!("{stake}000000000");
    pool.see("network-stake", &json!({"epoch": EPOCH.to_string(), "active": active})).unwrap();
    pool
}

pub(in crate::ledger) fn balance(pool: &Pool, account: Address) -> Wei {
    pool.state().money.shares().balance(account)
}

/// With a cluster of one key, which a look at the chain did not have.
pub(in crate::ledger) fn keyed() -> (Pool, Jar, ClusterId) {
    let mut pool = open(35_000_000);
    let team = pool.team();
    let cluster = pool.cluster(team, 1);
    pool.pay(71, "80", 1).unwrap();
    pool.register(cluster, &[1]).unwrap();
    let jar = Jar::new();
    pool.look(&jar).unwrap();
    (pool, jar, cluster)
}

/// One offers keys, and what followed.
fn offer(pool: &mut Pool, who: u8, cluster: ClusterId, secrets: &[u64]) -> Result<Vec<String>, AppendError> {
    let keys: Vec<_> = secrets.iter().map(|secret| pool.offer(*secret)).collect();
    let sealed = pool.post(who, &format!("/v1/clusters/{cluster}/keys"), &json!({"keys": keys}))?;
    Ok(kinds(&sealed).into_iter().filter(|kind| kind != "accepted/nonce").collect())
}

fn plan(pool: &mut Pool) -> Result<(), AppendError> {
    pool.see("plan", &json!({})).map(drop)
}

/// A validator from its first deposit to its duties.
pub(in crate::ledger) fn activate(pool: &mut Pool, jar: &mut Jar) {
    for batch in 0..2 {
        plan(pool).unwrap();
        pool.approve(batch).unwrap();
        pool.send_batch(jar, batch).unwrap();
        jar.go_on(|_| false);
        pool.look(jar).unwrap();
    }
    jar.go_on(|_| false);
    pool.look(jar).unwrap();
}

#[test]
fn nothing_is_taken_in_before_the_limit_is_known_nor_beyond_it() {
    let mut pool = Pool::new();
    assert_eq!(refused(pool.pay(71, "1", 1)), Refusal::StakeUnknown);
    // 22 percent of a thousand ETH.
    let mut pool = open(1000);
    pool.pay(71, "200", 1).unwrap();
    pool.pay(72, "30", 2).unwrap();
    assert_eq!(pool.state().money.rate().pooled, eth("220"));
    let refund = pool.state().money.payouts()[&0];
    assert_eq!((refund.to, refund.eth), (address(72), eth("10")));
    pool.pay(73, "1", 3).unwrap();
    assert_eq!(balance(&pool, address(73)), Wei::ZERO);
    assert_eq!(pool.state().intake_room(), Gwei(0));
}

#[test]
fn one_log_of_the_chain_counts_in_one_book() {
    let mut pool = open(35_000_000);
    pool.active("5");
    let counted = |index| json!({"reference": {"hash": Root([9; 32]), "index": index}, "payer": address(71), "eth": eth("1")});
    // The operator's bond came with this log.
    let elsewhere = |index| Refusal::CountedElsewhere(Reference { hash: Root([9; 32]), index });
    for kind in ["payment", "rewards", "cover"] {
        assert_eq!(refused(pool.see(kind, &counted(0))), elsewhere(0), "{kind}");
    }
    pool.see("payment", &counted(1)).unwrap();
    assert_eq!(refused(pool.deposit("1", 1)), elsewhere(1));
    pool.deposit("1", 2).unwrap();
}

#[test]
fn shares_are_those_of_whoever_signs() {
    let mut pool = open(35_000_000);
    pool.pay(71, "10", 1).unwrap();
    let all = json!({"eth": eth("9")});
    let to = |to: Address| json!({"to": to, "amount": all.clone()});
    assert_eq!(
        refused(pool.post(72, "/v1/shares/transfers", &to(address(72)))),
        Refusal::Money(NoMoney::NoShares),
        "nobody gives away what is another's"
    );
    let mut named = to(address(72));
    named["owner"] = json!(address(71));
    assert!(matches!(refused(pool.post(72, "/v1/shares/transfers", &named)), Refusal::Route(_)));
    for nobody in [OPERATORS_HOLDER, RESERVE_HOLDER, Address::ZERO] {
        let gift = refused(pool.post(71, "/v1/shares/transfers", &to(nobody)));
        assert_eq!(gift, Refusal::Money(NoMoney::Nobody { account: nobody }));
    }
    pool.post(71, "/v1/withdrawals", &json!({"amount": all})).unwrap();
    let claim = pool.post(72, "/v1/withdrawals/0/claim", &json!({}));
    assert_eq!(refused(claim), Refusal::Money(NoMoney::NotOwner { request: 0, owner: address(72) }));
}

#[test]
fn money_and_deposits_move_in_one_entry() {
    let (mut pool, mut jar, cluster) = keyed();
    let kinds = |sealed: &crate::ledger::Sealed| -> Vec<&'static str> {
        let name = |event: &Event| match event {
            Event::Deposits(_) => "deposits",
            Event::Money(_) => "money",
            Event::Clusters(_) => "clusters",
            _ => "other",
        };
        sealed.entry.events.iter().map(name).collect()
    };
    let planned = pool.see("plan", &json!({})).unwrap();
    assert_eq!(kinds(&planned), ["deposits", "money"]);
    assert_eq!(pool.state().money.books().planned, eth("1"));
    let given_up = pool.see("given-up", &json!({"batch": 0, "deposit_root": Root::ZERO})).unwrap();
    assert_eq!(kinds(&given_up), ["deposits", "money"]);
    assert_eq!(pool.state().money.books().planned, Wei::ZERO);
    plan(&mut pool).unwrap();
    pool.approve(1).unwrap();
    pool.send_batch(&mut jar, 1).unwrap();
    assert_eq!(pool.state().money.books().transient, eth("1"));
    jar.go_on(|_| false);
    pool.look(&jar).unwrap();
    plan(&mut pool).unwrap();
    pool.approve(2).unwrap();
    pool.send_batch(&mut jar, 2).unwrap();
    for _ in 0..2 {
        jar.go_on(|_| false);
        pool.look(&jar).unwrap();
    }
    pool.report(&mut jar).unwrap();
    let books = *pool.state().money.books();
    assert_eq!((books.transient, books.validators), (Wei::ZERO, eth("32")));
    assert_eq!(books.validators, wide::wei(pool.state().deposits.balance()));
    assert_eq!(pool.state().clusters.get(cluster).unwrap().stage, ClusterStage::Active);
}

#[test]
fn keys_are_of_the_clusters_operators_and_no_more_than_it_may_have() {
    let mut pool = open(35_000_000);
    let team = pool.team();
    let cluster = pool.cluster(team, 2);
    for stranger in [11, 21, 31, 71, 111, 121] {
        let refusal = refused(offer(&mut pool, stranger, cluster, &[1]));
        assert!(matches!(refusal, Refusal::Role { .. }), "{stranger}: {refusal}");
    }
    let nowhere = refused(offer(&mut pool, 101, Root::ZERO, &[1]));
    assert!(matches!(nowhere, Refusal::Role { .. }), "{nowhere}");
    pool.register(cluster, &[1]).unwrap();
    let many = refused(offer(&mut pool, 101, cluster, &[2, 3]));
    assert_eq!(many, NoCluster::TooManyKeys { cluster, have: 3, most: 2 }.into());
    pool.register(cluster, &[2]).unwrap();
    // Bonds back the keys that it may have, from the first day on.
    let backed = pool.state().bonds.account(address(101)).keys;
    assert_eq!(backed, [bonds::Keys { cluster, count: 2 }]);
    assert_eq!(pool.state().clusters.get(cluster).unwrap().members_at(Epoch(EPOCH - 1)), None);
    assert_eq!(pool.state().clusters.get(cluster).unwrap().members_at(Epoch(EPOCH)).unwrap().generation, 0);
}

#[test]
fn keys_by_hand_count_when_all_operators_have_offered_the_same() {
    let mut pool = open(35_000_000);
    let team = pool.team();
    let cluster = pool.cluster(team, 2);
    let known = |pool: &Pool| pool.state().deposits.validators().len();
    for manager in [101, 102, 103] {
        assert_eq!(
            offer(&mut pool, manager, cluster, &[1]).unwrap(),
            ["accepted/signer", "ceremonies/offered"]
        );
    }
    let operator = address(102);
    let again = NoOffer::Offered { cluster, operator };
    assert_eq!(refused(offer(&mut pool, 102, cluster, &[1])), again.into());
    // Other keys, more of them, another order: not the same. Nobody's keys are registered by fewer than all.
    for other in [&[2][..], &[1, 2], &[2, 1]] {
        assert_eq!(offer(&mut pool, 104, cluster, other).unwrap(), ["accepted/signer", "ceremonies/offered"]);
    }
    assert_eq!(offer(&mut pool, 103, cluster, &[2, 1]).unwrap(), ["accepted/signer", "ceremonies/offered"]);
    assert_eq!(offer(&mut pool, 104, cluster, &[1]).unwrap(), ["accepted/signer", "ceremonies/offered"]);
    assert_eq!(known(&pool), 0);
    // The third changes its mind: what it says last counts.
    let agreed = offer(&mut pool, 103, cluster, &[1]).unwrap();
    assert_eq!(agreed, ["accepted/signer", "ceremonies/agreed", "deposits/registered", "clusters/stands"]);
    assert_eq!((known(&pool), pool.state().ceremonies.offers.len()), (1, 0));
    // What was agreed is over: for the next all are asked anew.
    for (manager, follows) in (101..104).map(|manager| (manager, "ceremonies/offered")) {
        assert_eq!(offer(&mut pool, manager, cluster, &[2]).unwrap(), ["accepted/signer", follows]);
    }
    assert_eq!(known(&pool), 1);
    assert_eq!(offer(&mut pool, 104, cluster, &[2]).unwrap()[1], "ceremonies/agreed");
    assert_eq!(known(&pool), 2);
    assert_eq!(Ledger::replay(&pool.log).unwrap().state(), pool.state());
}

#[test]
fn whoever_is_stopped_gets_no_stake() {
    type Stop = fn(&mut Pool, ClusterId);
    let stops: [(&str, Stop); 4] = [
        ("a guardian", |pool, _| drop(pool.post(21, "/v1/deposits/pause", &json!({})).unwrap())),
        ("an operator that is paused", |pool, _| {
            let reason = Reason::new("late").unwrap();
            pool.adopt(Act::PauseOperator { operator: address(103), reason });
        }),
        ("an operator with a lower cap", |pool, _| {
            drop(
                pool.govern(Act::SetStakeCap { operator: address(102), stake: Gwei(7_999_999_999) }).unwrap(),
            );
        }),
        ("a cluster that exits", |pool, cluster| drop(pool.adopt(Act::WindDownCluster { cluster }))),
    ];
    for (what, stop) in stops {
        let (mut pool, _, cluster) = keyed();
        stop(&mut pool, cluster);
        let refusal = refused(plan(&mut pool));
        let none = [NoDeposit::Stopped, NoDeposit::NothingToPlan].map(Refusal::from);
        assert!(none.contains(&refusal), "{what}: {refusal}");
    }
    let (mut pool, _, _) = keyed();
    pool.govern(Act::SetStakeCap { operator: address(102), stake: Gwei(8_000_000_000) }).unwrap();
    plan(&mut pool).unwrap();
}

#[test]
fn nobody_leaves_while_a_loss_is_not_known() {
    let (mut pool, mut jar, _) = keyed();
    activate(&mut pool, &mut jar);
    pool.post(71, "/v1/withdrawals", &json!({"amount": {"eth": eth("1")}})).unwrap();
    pool.now += 7680;
    jar.slash(1, 7_812_500);
    jar.go_on(|_| false);
    pool.look(&jar).unwrap();
    pool.report(&mut jar).unwrap();
    assert!(!pool.state().money.queue().is_served(0));
    jar.pass(8192);
    jar.go_on(|_| false);
    pool.look(&jar).unwrap();
    pool.report(&mut jar).unwrap();
    assert!(pool.state().money.queue().is_served(0));
}

#[test]
fn a_cluster_is_closed_when_it_holds_nothing_and_its_bonds_stay_for_the_window() {
    let (mut pool, mut jar, cluster) = keyed();
    let close =
        |pool: &mut Pool| pool.post(99, &format!("/v1/clusters/{cluster}/close"), &json!({})).map(drop);
    let stage = ClusterStage::Keyed;
    assert_eq!(refused(close(&mut pool)), NoCluster::Stage { cluster, stage }.into());
    activate(&mut pool, &mut jar);
    pool.adopt(Act::WindDownCluster { cluster });
    assert_eq!(refused(close(&mut pool)), NoCluster::Holds { cluster, have: 1 }.into());
    for _ in 0..4 {
        jar.go_on(|_| true);
        pool.look(&jar).unwrap();
    }
    close(&mut pool).unwrap();
    let stage = ClusterStage::Closed;
    assert_eq!(refused(close(&mut pool)), NoCluster::Stage { cluster, stage }.into());
    let account = pool.state().bonds.account(address(101));
    assert_eq!(account.keys, []);
    // One key of the default curve, for as long as a fault can come to light.
    let lock_epochs = pool.state().policy.terms().bond_lock_epochs;
    let locks: Vec<_> = account.locks.iter().map(|lock| (lock.amount, lock.until)).collect();
    // From the epoch of the last look on: three until it had duties, four until it was withdrawn.
    assert_eq!(locks, [(eth("2.4"), Epoch(EPOCH + 7 + lock_epochs))]);
}

#[test]
fn a_cluster_that_breaks_a_rule_by_the_time_all_have_accepted_does_not_begin() {
    let mut pool = open(35_000_000);
    let team = pool.team();
    let good = Admission {
        cluster: Root([0xc1; 32]),
        operators: team.clone(),
        threshold: 3,
        keys: 2,
        stake: Gwei(64_000_000_000),
    };
    let refuse = |change: &dyn Fn(&mut Admission)| {
        let mut admission = good.clone();
        change(&mut admission);
        pool.state().admit(&admission).unwrap_err()
    };
    let no = |refusal: NoCluster| ActRefusal::Clusters(refusal);
    assert_eq!(refuse(&|one| one.threshold = 2), no(NoCluster::Size { operators: 4, threshold: 2 }));
    assert_eq!(refuse(&|one| one.keys = 0), no(NoCluster::Keys { have: 0 }));
    let stake = |stake| no(NoCluster::Stake { stake: Gwei(stake), keys: 2, stake_max: Gwei(32_000_000_000) });
    assert_eq!(refuse(&|one| one.stake.0 -= 1), stake(63_999_999_999));
    assert_eq!(refuse(&|one| one.stake.0 += 1), stake(64_000_000_001));
    assert_eq!(refuse(&|one| one.operators[3] = one.operators[0]), no(NoCluster::Twice(address(101))));
    let nobody = address(99);
    assert_eq!(refuse(&|one| one.operators[3] = nobody), no(NoCluster::NoOperator(nobody)));
    // Twenty ETH of bond are enough for fourteen keys.
    let most = |one: &mut Admission, keys: u32| {
        (one.keys, one.stake) = (keys, Gwei(u64::from(keys) * 32_000_000_000));
    };
    assert!(matches!(refuse(&|one| most(one, 15)), ActRefusal::Bonds(bonds::Refusal::NotFree { .. })));
    let cap = Gwei(64_000_000_000_000);
    let have = Gwei(8_001 * 8_000_000_000);
    let over = NoCluster::OverCap { operator: address(101), have, most: cap };
    assert_eq!(refuse(&|one| most(one, 8_001)), no(over));
    let mut most_of_all = good.clone();
    most(&mut most_of_all, 14);
    assert!(pool.state().admit(&most_of_all).is_ok());
    let cluster = pool.cluster(team, 2);
    let again = Admission { cluster, ..good };
    assert_eq!(pool.state().admit(&again), Err(no(NoCluster::Known(cluster))));
}

#[test]
fn the_reserves_part_is_the_delegators_once_it_is_full() {
    let (mut pool, mut jar, _) = keyed();
    let part = |pool: &Pool| pool.state().money_rules().unwrap().fees.reserve.0;
    let want = pool.state().policy.terms().fees.reserve;
    assert_eq!(part(&pool), want);
    // A reserve of a hundredth of 80 ETH would take years of fees; one of nothing is full.
    let mut terms = pool.state().policy.terms().clone();
    terms.reserves.losses = BasisPoints::ZERO;
    let policy = crate::ledger::policy::Policy::new(terms).unwrap();
    activate(&mut pool, &mut jar);
    pool.report(&mut jar).unwrap();
    jar.validators.get_mut(&key(1)).unwrap().balance.0 += 10_000_000;
    jar.go_on(|_| false);
    pool.look(&jar).unwrap();
    pool.report(&mut jar).unwrap();
    let (reserve, operators) = (balance(&pool, RESERVE_HOLDER), balance(&pool, OPERATORS_HOLDER));
    assert!(operators > Wei::ZERO && balance(&pool, pool.state().charter.treasury) > Wei::ZERO);
    assert!(reserve > Wei::ZERO && reserve < operators, "a hundredth, and five");
    pool.govern(Act::ChangePolicy(Box::new(policy))).unwrap();
    assert_eq!(part(&pool), BasisPoints::ZERO);
}
