//! Losses through the ledger, with signed requests: rows K2, K3, K4 and R3, and what they stop meanwhile.

use super::*;
use crate::formulas::losses::{Party, Step};
use crate::formulas::ratio::BasisPoints;
use crate::formulas::wide;
use crate::ledger::charter::Charter;
use crate::ledger::clusters::{self, Refusal as NoCluster};
use crate::ledger::governance::Act;
use crate::ledger::incidents::{Fault, Refusal as NoIncident, Slashing, Theft};
use crate::ledger::log::{AppendError, Ledger};
use crate::ledger::operators::Refusal as NoOperator;
use crate::ledger::policy::Policy;
use crate::ledger::testbed::faults::{self, conflict, told};
use crate::ledger::testbed::frame::reported;
use crate::ledger::testbed::jar::{Jar, STAKED, key};
use crate::ledger::testbed::{EPOCH, Pool, address, balanced};
use crate::ledger::{Sealed, bonds};
use alloy_primitives::U256;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use types::{Address, Root, ValidatorStatus};

const FAULT: u64 = STAKED + 5;
const WITHDRAWABLE: u64 = FAULT + 1 + 8192;

fn eth(amount: &str) -> Wei {
    Wei::from_eth(amount).unwrap()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, AppendError>) -> Refusal {
    let Err(AppendError::Refused(refusal)) = answer else { panic!("not refused: {answer:?}") };
    refusal
}

fn no_incident<T: std::fmt::Debug>(answer: Result<T, AppendError>) -> NoIncident {
    match refused(answer) {
        Refusal::Incidents(refusal) | Refusal::Act(ActRefusal::Incidents(refusal)) => refusal,
        other => panic!("{other}"),
    }
}

/// Bounds that let a report through whatever was lost, and requests be served at once.
fn charter(cluster_stands: bool) -> Charter {
    let mut charter = crate::ledger::charter::tests::charter();
    let mut terms = charter.policy.terms().clone();
    terms.delegations.request_age_min_s = 0;
    terms.reports.bounds.cl_decrease_max = BasisPoints::WHOLE;
    terms.reports.bounds.positive_rebase_max_ppb = 1_000_000_000;
    terms.losses.cluster_stands = cluster_stands;
    charter.policy = Policy::new(terms).unwrap();
    charter
}

/// Two validators; operators with a bond of 4 ETH, a reserve of 3 ETH.
fn pool(cluster_stands: bool) -> (Pool, Jar, ClusterId) {
    let (mut pool, jar, cluster) = Pool::staked(charter(cluster_stands), 2);
    for manager in 101..=104 {
        take_out(&mut pool, manager, "16").unwrap();
    }
    pool.arrive("reserve-paid", 90, "3", 900).unwrap();
    assert_eq!(pool.state().money.reserve(), eth("3"));
    (pool, jar, cluster)
}

fn take_out(pool: &mut Pool, manager: u8, amount: &str) -> Result<(), AppendError> {
    let path = format!("/v1/operators/{}/bond/withdrawals", address(manager));
    pool.post(manager, &path, &json!({"amount": eth(amount)})).map(drop)
}

fn slashing(pool: &Pool, secret: u64) -> Fault {
    faults::slashing(pool.index(secret), FAULT)
}

fn theft(pool: &Pool, epoch: u64, amount: &str) -> Fault {
    faults::theft(pool.index(1), epoch, eth(amount), 4)
}

fn open(pool: &mut Pool, fault: Fault) -> Result<Sealed, AppendError> {
    let (kind, body) = told(fault);
    pool.see(kind, &body)
}

fn prove(pool: &mut Pool, incident: u64, body: &Value) -> Result<(), AppendError> {
    pool.post(99, &format!("/v1/incidents/{incident}/evidence"), body).map(drop)
}

fn settle(pool: &mut Pool, incident: u64) -> Result<Sealed, AppendError> {
    pool.post(99, &format!("/v1/incidents/{incident}/settle"), &json!({}))
}

fn steps(sealed: &Sealed) -> Vec<Step> {
    let step = |event: &Event| match event {
        Event::Incidents(event) => match &**event {
            incidents::Event::Paid { step, .. } => Some(*step),
            _ => None,
        },
        _ => None,
    };
    sealed.entry.events.iter().filter_map(step).collect()
}

/// Book and kind of what followed.
fn kinds(sealed: &Sealed) -> Vec<String> {
    crate::ledger::testbed::kinds(sealed)
}

fn account(pool: &Pool, manager: u8) -> (Wei, Wei) {
    let bonds::Account { bond, debt, .. } = pool.state().bonds.account(address(manager));
    (bond, debt)
}

/// A slashing of the first key with a loss of so many ETH, over and proven: places 2 and 3 signed both.
fn lost(pool: &mut Pool, jar: &mut Jar, loss: u64) -> u64 {
    let incident = pool.state().incidents.next();
    open(pool, slashing(pool, 1)).unwrap();
    let evidence = conflict(pool, 1, FAULT, [&[1, 2, 3], &[2, 3, 4]]);
    prove(pool, incident, &evidence).unwrap();
    let gwei = loss * 1_000_000_000;
    jar.slash(1, gwei);
    jar.slot += 1;
    pool.look(jar).unwrap();
    pool.report(jar).unwrap();
    pool.finalize(WITHDRAWABLE);
    let body = json!({"incident": incident, "epoch": WITHDRAWABLE.to_string(), "lost": gwei.to_string()});
    pool.see("slashing-look", &body).unwrap();
    incident
}

#[test]
fn a_slashing_stops_its_cluster_the_queue_and_the_bonds_at_once() {
    let (mut pool, mut jar, cluster) = pool(false);
    let open_clusters = |pool: &Pool| pool.state().cluster_limits(pool.now).len();
    assert_eq!(open_clusters(&pool), 1);
    pool.post(71, "/v1/withdrawals", &json!({"amount": {"eth": eth("1")}})).unwrap();
    let fault = slashing(&pool, 1);
    let sealed = open(&mut pool, fault).unwrap();
    assert_eq!(kinds(&sealed), ["incidents/opened", "incidents/frozen", "incidents/queue_held"]);
    assert!(matches!(no_incident(open(&mut pool, fault)), NoIncident::Known { .. }));
    assert_eq!(open_clusters(&pool), 0);
    pool.report(&mut jar).unwrap();
    assert!(!pool.state().money.queue().is_served(0), "nobody leaves");
    let held = bonds::Refusal::Held { operator: address(101), incident: 0 };
    assert_eq!(refused(take_out(&mut pool, 101, "0.1")), held.into());
    pool.govern(Act::DismissOperator { operator: address(101) }).unwrap();
    let depart = pool.post(99, &format!("/v1/operators/{}/depart", address(101)), &json!({}));
    let stays = NoOperator::Held { operator: address(101), incident: 0 };
    assert_eq!(refused(depart), stays.into());
    // Its validators leave meanwhile, and it stays open all the same.
    pool.adopt(Act::WindDownCluster { cluster });
    for _ in 0..4 {
        jar.go_on(|_| true);
        pool.look(&jar).unwrap();
    }
    let close =
        |pool: &mut Pool| pool.post(99, &format!("/v1/clusters/{cluster}/close"), &json!({})).map(drop);
    assert_eq!(refused(close(&mut pool)), NoCluster::Incident { cluster, incident: 0 }.into());
    // Governance says that it was none; that takes its time.
    let reason = Reason::new("one of another chain").unwrap();
    let dismiss = Act::DismissIncident { incident: 0, reason };
    assert!(dismiss.waits());
    let sealed = pool.govern(dismiss.clone()).unwrap();
    let want = ["incidents/dismissed", "incidents/thawed", "incidents/queue_released"];
    assert_eq!(kinds(&sealed)[2..], want);
    assert_eq!(no_incident(pool.try_govern(dismiss)), NoIncident::NotOpen { incident: 0 });
    pool.report(&mut jar).unwrap();
    assert!(pool.state().money.queue().is_served(0));
    close(&mut pool).unwrap();
    take_out(&mut pool, 101, "0.1").unwrap();
    assert_eq!(account(&pool, 101), (eth("3.9"), Wei::ZERO));
    balanced(&pool);
}

#[test]
fn evidence_proves_itself_whoever_sends_it_and_names_two_of_four() {
    let (mut pool, _, _) = pool(false);
    let fault = slashing(&pool, 1);
    open(&mut pool, fault).unwrap();
    let guilty = |pool: &Pool| pool.state().incidents.incidents()[&0].opened.guilty.clone();
    assert_eq!(guilty(&pool).len(), 4, "until something is proven");
    let other = conflict(&pool, 2, FAULT, [&[1, 2, 3], &[2, 3, 4]]);
    assert!(matches!(no_incident(prove(&mut pool, 0, &other)), NoIncident::Conflict(_)), "another key's");
    let early = conflict(&pool, 1, FAULT - 1, [&[1, 2, 3], &[2, 3, 4]]);
    assert!(matches!(no_incident(prove(&mut pool, 0, &early)), NoIncident::Conflict(_)), "another epoch");
    let good = conflict(&pool, 1, FAULT, [&[1, 2, 3], &[2, 3, 4]]);
    prove(&mut pool, 0, &good).unwrap();
    assert_eq!(guilty(&pool), [102, 103].map(address).into());
    assert_eq!(no_incident(prove(&mut pool, 0, &good)), NoIncident::NothingNew);
    assert_eq!(no_incident(prove(&mut pool, 1, &good)), NoIncident::NotOpen { incident: 1 });
}

/// Row K4, each step an event, and what follows from it in the same entry; row K2, the debts.
#[test]
fn a_loss_is_paid_by_the_guilty_then_the_reserve_then_delegators_and_owed() {
    let (mut pool, mut jar, _) = pool(false);
    let incident = lost(&mut pool, &mut jar, 24);
    let before = pool.state().money.rate();
    let sealed = settle(&mut pool, incident).unwrap();
    let reserve = steps(&sealed)[2].amount;
    assert!(reserve > eth("1") && reserve < eth("3"), "what its shares are worth after the loss: {reserve}");
    let rest = wide::sub(eth("16"), reserve).unwrap();
    let step = |party, amount| Step { party, amount };
    let mut guilty = [102, 103].map(|manager| step(Party::Faulty(address(manager)), eth("4")));
    guilty.sort_by_key(|step| step.party);
    let want = [guilty[0], guilty[1], step(Party::Reserve, reserve), step(Party::Delegators, rest)];
    assert_eq!(steps(&sealed), want);
    let (paid, penalised) = ("incidents/paid", "bonds/penalised");
    let kinds = kinds(&sealed);
    assert_eq!(kinds[1..7], [paid, penalised, paid, penalised, paid, paid]);
    assert_eq!(kinds[7..10], ["incidents/closed", penalised, penalised]);
    assert_eq!(kinds[10..], ["incidents/thawed", "incidents/queue_released", "money/forgiven"]);
    let owed = eth("8");
    assert_eq!([102, 103].map(|manager| account(&pool, manager)), [(Wei::ZERO, owed); 2]);
    assert_eq!([101, 104].map(|manager| account(&pool, manager)), [(eth("4"), Wei::ZERO); 2]);
    // What the reserve pays is burnt by the next report, what bonds pay comes as cover; neither pays a fee.
    assert_eq!((pool.state().money.rate(), pool.state().money.reserve()), (before, Wei::ZERO));
    pool.arrive("cover", 91, "8", 901).unwrap();
    pool.report(&mut jar).unwrap();
    let after = pool.state().money.rate();
    assert_eq!(after.pooled, wide::add(before.pooled, eth("8")).unwrap());
    assert_eq!(pool.state().money.shares().balance(RESERVE_HOLDER), Wei::ZERO);
    assert!(after.shares < before.shares);
    let moved = *pool.state().incidents.moved();
    let to_pool = wide::add(eth("8"), reserve).unwrap();
    assert_eq!(moved, Flow { to_pool, to_reserve: Wei::ZERO, from_reserve: reserve });
    // An operator that owes gets no bond free; new bond pays first, delegators first.
    pool.deposit_for(address(102), "5", 902).unwrap();
    assert_eq!(account(&pool, 102), (Wei::ZERO, eth("3")));
    assert_eq!(pool.state().incidents.moved().to_pool, wide::add(to_pool, eth("5")).unwrap());
    let sealed = pool.deposit_for(address(102), "7", 903).unwrap();
    assert_eq!(self::kinds(&sealed), ["bonds/deposited", "incidents/repaid"]);
    assert_eq!(account(&pool, 102), (eth("4"), Wei::ZERO));
    pool.deposit_for(address(103), "8", 904).unwrap();
    assert!(pool.state().incidents.incidents().is_empty(), "all is paid back");
    let moved = *pool.state().incidents.moved();
    assert_eq!(moved.to_reserve, reserve, "the reserve last");
    assert_eq!(moved.to_pool, wide::add(to_pool, rest).unwrap());
    pool.deposit_for(address(103), "1", 905).unwrap();
    assert_eq!(account(&pool, 103), (eth("1"), Wei::ZERO));
    // People send it where it belongs.
    let body = json!({"reference": Pool::reference(906), "payer": address(91), "eth": reserve});
    pool.see("reserve-paid", &body).unwrap();
    assert!(wide::sub(reserve, pool.state().money.reserve()).unwrap().0 <= U256::from(2));
    balanced(&pool);
    assert_eq!(Ledger::replay(&pool.log).unwrap().state(), pool.state());
}

#[test]
fn a_cluster_that_stands_for_its_own_is_paid_back_after_everybody_else() {
    let (mut pool, mut jar, _) = pool(true);
    let incident = lost(&mut pool, &mut jar, 17);
    let sealed = settle(&mut pool, incident).unwrap();
    let four = eth("4");
    let tier = |party: fn(Address) -> Party, managers: [u8; 2]| {
        let mut tier = managers.map(|manager| Step { party: party(address(manager)), amount: four });
        tier.sort_by_key(|step| step.party);
        tier
    };
    let [guilty, others] = [tier(Party::Faulty, [102, 103]), tier(Party::Cluster, [101, 104])];
    let reserve = Step { party: Party::Reserve, amount: eth("1") };
    assert_eq!(steps(&sealed), [guilty[0], guilty[1], others[0], others[1], reserve]);
    assert_eq!([102, 103].map(|manager| account(&pool, manager).1), [eth("4.5"); 2]);
    // The reserve, then the bonds of the others.
    pool.deposit_for(address(102), "1.5", 901).unwrap();
    assert_eq!(pool.state().incidents.moved().to_reserve, eth("1"));
    let credited = [101, 104].map(|manager| account(&pool, manager).0);
    assert_eq!(wide::total(credited).unwrap(), eth("0.5"));
    pool.deposit_for(address(102), "3", 902).unwrap();
    pool.deposit_for(address(103), "4.5", 903).unwrap();
    assert_eq!([101, 104].map(|manager| account(&pool, manager)), [(four, Wei::ZERO); 2]);
    assert!(pool.state().incidents.incidents().is_empty());
    balanced(&pool);
}

#[test]
fn a_bond_that_gets_something_back_pays_its_own_debts_with_it() {
    let (mut pool, mut jar, _) = pool(true);
    let incident = lost(&mut pool, &mut jar, 10);
    settle(&mut pool, incident).unwrap();
    assert_eq!([101, 104].map(|manager| account(&pool, manager)), [(eth("3"), Wei::ZERO); 2]);
    assert_eq!([102, 103].map(|manager| account(&pool, manager)), [(Wei::ZERO, eth("1")); 2]);
    // Then a block pays somebody else, and nobody is known to be guilty of it: all are.
    let fault = theft(&pool, STAKED + 8, "13.8");
    open(&mut pool, fault).unwrap();
    pool.now += pool.state().policy.terms().losses.objection_s;
    settle(&mut pool, 1).unwrap();
    assert_eq!([101, 104].map(|manager| account(&pool, manager)), [(Wei::ZERO, eth("2")); 2]);
    assert_eq!([102, 103].map(|manager| account(&pool, manager)), [(Wei::ZERO, eth("3")); 2]);
    // If rewards pay it, what goes back to the others pays their debts too, and is not theirs to claim.
    let mut state = pool.state().clone();
    let events = state.repaid(pool.now, &[(address(102), eth("1.5"))]).unwrap();
    events.iter().for_each(|event| state.apply(event).unwrap());
    assert_eq!([111, 114].map(|account| state.reports.claimable(address(account))), [Wei::ZERO; 2]);
    let owed = [101, 104].map(|manager| state.bonds.account(address(manager)).debt);
    assert_eq!(wide::total(owed).unwrap(), eth("3"));
    assert_eq!(state.money.due().forgiven[&OPERATORS_HOLDER], eth("1.5"));
    let before = *pool.state().incidents.moved();
    let sealed = pool.deposit_for(address(102), "1.5", 901).unwrap();
    // Its debts in order: one to bonds, which pay theirs to delegators; half an ETH to delegators.
    assert_eq!([101, 104].map(|manager| account(&pool, manager).0), [Wei::ZERO; 2]);
    let owed = [101, 104].map(|manager| account(&pool, manager).1);
    assert_eq!(wide::total(owed).unwrap(), eth("3"));
    assert_eq!(account(&pool, 102), (Wei::ZERO, eth("1.5")));
    let after = *pool.state().incidents.moved();
    assert_eq!(wide::sub(after.to_pool, before.to_pool).unwrap(), eth("1.5"));
    assert!(kinds(&sealed).contains(&"bonds/credited".to_owned()));
    balanced(&pool);
}

/// Row K3: left 100 epochs after it had its stake, fault 10 before, known 500 after.
#[test]
fn who_has_left_pays_for_a_fault_of_its_time_with_the_bond_that_is_locked() {
    let (mut pool, mut jar, cluster) = pool(false);
    let left = STAKED + 100;
    jar.pass(96);
    pool.adopt(Act::WindDownCluster { cluster });
    for _ in 0..4 {
        jar.go_on(|_| true);
        pool.look(&jar).unwrap();
    }
    assert_eq!(pool.state().chain.finalized.epoch, Epoch(left));
    pool.post(99, &format!("/v1/clusters/{cluster}/close"), &json!({})).unwrap();
    let operator = address(104);
    pool.govern(Act::DismissOperator { operator }).unwrap();
    pool.post(99, &format!("/v1/operators/{operator}/depart"), &json!({})).unwrap();
    // All that is free is taken out; 3.7 ETH, what two keys required, stay for the window.
    take_out(&mut pool, 104, "0.3").unwrap();
    assert!(matches!(
        refused(take_out(&mut pool, 104, "0.1")),
        Refusal::Bonds(bonds::Refusal::NotFree { .. })
    ));
    pool.finalize(left + 500);
    let fault = theft(&pool, left - 10, "0.6");
    open(&mut pool, fault).unwrap();
    let incident = &pool.state().incidents.incidents()[&0];
    assert_eq!((incident.opened.epoch, incident.opened.members.len()), (Epoch(left - 10), 4));
    let objection_s = pool.state().policy.terms().losses.objection_s;
    let mut early = pool.clone();
    early.now += objection_s - 1;
    assert!(matches!(no_incident(settle(&mut early, 0)), NoIncident::TooEarly { .. }));
    early.now += 1;
    settle(&mut early, 0).unwrap();
    // Beyond the lock, the bond is held while the incident is open.
    pool.finalize(left + pool.state().policy.terms().bond_lock_epochs);
    let held = bonds::Refusal::Held { operator, incident: 0 };
    assert_eq!(refused(take_out(&mut pool, 104, "1")), held.into());
    let sealed = settle(&mut pool, 0).unwrap();
    let paid: BTreeMap<Party, Wei> = steps(&sealed).iter().map(|step| (step.party, step.amount)).collect();
    assert_eq!(wide::total(paid.values().copied()).unwrap(), eth("0.8"), "the loot, and 0.2");
    let part = paid[&Party::Faulty(operator)];
    assert_eq!(account(&pool, 104).0, wide::sub(eth("3.7"), part).unwrap());
    assert!(part > eth("0.18") && part < eth("0.2"), "by what the bonds are: {part}");
    take_out(&mut pool, 104, "1").unwrap();
    // A fault before there was a cluster is nobody's.
    let Fault::Theft(early) = theft(&pool, EPOCH - 1, "1") else { panic!("a theft") };
    let early = Fault::Theft(Theft { block_root: Root([5; 32]), ..early });
    assert!(matches!(no_incident(open(&mut pool, early)), NoIncident::NoMembers { .. }));
    balanced(&pool);
}

#[test]
fn an_exit_that_does_not_come_costs_those_who_did_not_sign() {
    let (mut pool, _, cluster) = pool(false);
    let validator = pool.index(1);
    let missed = |pool: &mut Pool| {
        pool.post(99, &format!("/v1/incidents/missed-exits/{validator}"), &json!({})).map(drop)
    };
    pool.try_govern(Act::ExitValidator { validators: [validator].into() }).unwrap();
    pool.sign_exit(cluster, 1, 1).unwrap();
    pool.sign_exit(cluster, 1, 2).unwrap();
    assert_eq!(no_incident(missed(&mut pool)), NoIncident::NotMissed { index: validator });
    pool.now += pool.state().policy.terms().exits.delinquent_s;
    assert_eq!(
        no_incident(missed(&mut pool)),
        NoIncident::NotMissed { index: validator },
        "nobody has looked"
    );
    pool.see("exits-review", &json!({})).unwrap();
    missed(&mut pool).unwrap();
    assert!(matches!(no_incident(missed(&mut pool)), NoIncident::Known { .. }));
    assert_eq!(pool.state().incidents.incidents()[&0].opened.guilty, [103, 104].map(address).into());
    assert!(!pool.state().incidents.holds_queue() && !pool.state().incidents.is_frozen(cluster));
    pool.now += pool.state().policy.terms().losses.objection_s;
    settle(&mut pool, 0).unwrap();
    let bonds = [101, 102, 103, 104].map(|manager| account(&pool, manager).0);
    assert_eq!(bonds, [eth("4"), eth("4"), eth("3.95"), eth("3.95")]);
    assert!(pool.state().incidents.incidents().is_empty());
    balanced(&pool);
}

#[test]
fn rewards_pay_debts_in_shares_and_what_is_due_to_the_reserve_moves_there() {
    let (mut pool, mut jar, _) = pool(true);
    let incident = lost(&mut pool, &mut jar, 20);
    let sealed = settle(&mut pool, incident).unwrap();
    let reserve = steps(&sealed).iter().find(|step| step.party == Party::Reserve).unwrap().amount;
    let delegators = wide::sub(eth("4"), reserve).unwrap();
    // 16 were bonds', 4 the reserve's and the delegators'.
    let mut state = pool.state().clone();
    let paid = [(address(102), eth("5")), (address(103), eth("0.25"))];
    let events = state.repaid(pool.now, &paid).unwrap();
    for event in &events {
        state.apply(event).unwrap();
    }
    let owed = [102, 103].map(|manager| state.bonds.account(address(manager)).debt);
    assert_eq!(owed, [eth("1"), eth("5.75")]);
    assert_eq!(owed, [102, 103].map(|manager| state.incidents.owed(address(manager)).unwrap()));
    // What goes back to bonds came in shares: their operators claim it, and no bond is made.
    assert_eq!([101, 104].map(|manager| state.bonds.account(address(manager)).bond), [Wei::ZERO; 2]);
    let claimable = [111, 114].map(|account| state.reports.claimable(address(account)));
    assert_eq!(wide::total(claimable).unwrap(), eth("1.25"), "5.25 less the 4 of reserve and delegators");
    assert_eq!(state.money.due().forgiven[&OPERATORS_HOLDER], delegators);
    assert_eq!(state.money.due().restored, reserve);
    let too_much = state.repaid(pool.now, &[(address(102), eth("1.1"))]);
    let no = NoIncident::NotOwed { operator: address(102), amount: eth("1.1"), owed: eth("1") };
    assert_eq!(too_much, Err(no.into()));
    state.incidents.audit().unwrap();
    state.money.audit().unwrap();
}

/// Debts of a slashing that cost 17 ETH: 8 to the bonds of 101 and 104, and a little each to reserve and delegators, because
/// new bond has paid the delegators nearly all.
#[test]
fn a_report_repays_delegators_reserve_and_bonds_and_the_next_one_moves_their_shares() {
    let (mut pool, mut jar, _) = Pool::staked(charter(true), 2);
    (101..=104).for_each(|manager| take_out(&mut pool, manager, "16").unwrap());
    pool.arrive("reserve-paid", 90, "0.00001", 900).unwrap();
    let incident = lost(&mut pool, &mut jar, 17);
    let sealed = settle(&mut pool, incident).unwrap();
    let paid = |party| steps(&sealed).iter().find(|step| step.party == party).unwrap().amount;
    let (reserve, delegators) = (paid(Party::Reserve), paid(Party::Delegators));
    let left = eth("0.00001");
    let deposit = wide::sub(delegators, left).unwrap();
    let body = json!({"operator": address(102), "amount": deposit, "reference": Pool::reference(901)});
    pool.see("bond-deposited", &body).unwrap();
    // What the reserve paid is burnt first, and the bonds' ETH arrives.
    pool.arrive("cover", 91, "16", 902).unwrap();
    pool.report(&mut jar).unwrap();
    assert_eq!(*pool.state().money.due(), pool::Due::default());
    let before = pool.state().clone();
    jar.earn(key(2), 200_000_000);
    let sealed = pool.report(&mut jar).unwrap();
    balanced(&pool);
    let (told, _) = reported(&sealed.entry.events).unwrap();
    let debts = told.parts.debts;
    let operators = |kept: bool| {
        let part = |earned: &reports::Earned| if kept { earned.kept } else { earned.repaid };
        [101, 102, 103, 104].map(|manager| told.operators.get(&address(manager)).map_or(Wei::ZERO, part))
    };
    let (kept, repaid) = (operators(true), operators(false));
    assert_eq!((kept[1], kept[2], repaid[0], repaid[3]), (Wei::ZERO, Wei::ZERO, Wei::ZERO, Wei::ZERO));
    assert_eq!(wide::total(repaid), Ok(debts));
    // Each creditor has its part, and together they have all of it.
    let due = pool.state().money.due().clone();
    assert_eq!((due.forgiven, due.restored), ([(OPERATORS_HOLDER, left)].into(), reserve));
    let claimable = |state: &State, account| state.reports.claimable(address(account));
    let back = [(111, kept[0]), (114, kept[3])].map(|(account, kept)| {
        let was = wide::add(claimable(&before, account), kept).unwrap();
        wide::sub(claimable(pool.state(), account), was).unwrap()
    });
    // Of the two bonds the first is paid back first.
    assert!(back[0] > Wei::ZERO && back[1] == Wei::ZERO, "{back:?}");
    assert_eq!(wide::total([left, reserve, back[0], back[1]]), Ok(debts));
    let owed = |state: &State| {
        let debts = [102, 103].map(|manager| state.bonds.account(address(manager)).debt);
        wide::total(debts).unwrap()
    };
    assert_eq!(wide::sub(owed(&before), owed(pool.state())), Ok(debts));
    let bonds = |state: &State| [101, 104].map(|manager| state.bonds.account(address(manager)));
    assert_eq!(bonds(&before), bonds(pool.state()), "shares are no bond");
    // The next report moves what is due: shares of the operators' account become the reserve's, or nobody's.
    let then = pool.state().money.clone();
    let sealed = pool.report(&mut jar).unwrap();
    let (_, settled) = reported(&sealed.entry.events).unwrap();
    let now = &pool.state().money;
    assert_eq!(*now.due(), pool::Due::default());
    let of = |money: &pool::State, account| money.shares().shares(account).0;
    let moved = of(now, RESERVE_HOLDER) - of(&then, RESERVE_HOLDER);
    assert_eq!(moved, then.rate().shares_of(reserve).unwrap().0);
    let burnt = settled.forgiven[0].shares.0;
    assert!(then.rate().eth_of(settled.forgiven[0].shares).unwrap() >= left, "rounded up for who stays");
    assert_eq!(of(now, OPERATORS_HOLDER) + moved + burnt, of(&then, OPERATORS_HOLDER));
    assert_eq!(now.rate().pooled, then.rate().pooled);
    assert_eq!(now.rate().shares.0 + burnt, then.rate().shares.0);
    // All that was earned or paid back can be claimed. What is left is the account's own part of what was burnt.
    let (held, pooled) = (now.shares().balance(OPERATORS_HOLDER), now.rate().pooled);
    let part = left.0 * held.0 / pooled.0;
    for account in [111, 114] {
        pool.post(account, "/v1/rewards/claims", &json!({})).unwrap();
    }
    let rest = pool.state().money.shares().balance(OPERATORS_HOLDER);
    assert!(rest.0.abs_diff(part) < U256::from(100), "{rest} of {part}");
    balanced(&pool);
    assert_eq!(Ledger::replay(&pool.log).unwrap().state(), pool.state());
}

#[test]
fn one_slashing_of_two_that_is_over_frees_nobody() {
    let (mut pool, mut jar, cluster) = pool(false);
    let second = slashing(&pool, 2);
    open(&mut pool, second).unwrap();
    let incident = lost(&mut pool, &mut jar, 1);
    settle(&mut pool, incident).unwrap();
    assert!(pool.state().incidents.is_frozen(cluster) && pool.state().incidents.holds_queue());
    assert!(matches!(no_incident(settle(&mut pool, 0)), NoIncident::NotFinal { .. }));
    let body = json!({"incident": 0, "epoch": WITHDRAWABLE.to_string(), "lost": "1000000000"});
    pool.see("slashing-look", &body).unwrap();
    settle(&mut pool, 0).unwrap();
    assert!(!pool.state().incidents.is_frozen(cluster) && !pool.state().incidents.holds_queue());
    // The queue waits for the balance all the same, until it is withdrawn.
    assert!(pool.state().money_rules().unwrap().incident_open);
    jar.pass(8192);
    jar.go_on(|_| false);
    pool.look(&jar).unwrap();
    assert_eq!(jar.validators[&key(1)].status, ValidatorStatus::WithdrawalDone);
    assert!(!pool.state().money_rules().unwrap().incident_open);
    balanced(&pool);
}

#[test]
fn what_turned_out_to_be_anothers_is_nobodys_fault_and_exits_for_nobody() {
    let (pool, _, _) = pool(false);
    let (index, mut state) = (pool.index(1), pool.state().clone());
    let fault = incidents::Told { fault: theft(&pool, STAKED + 8, "1"), evidence: evidence() };
    let seen = incidents::Seen::Fault(Box::new(fault));
    assert!(state.see_incident(pool.now, &seen).is_ok());
    state.deposits.validators.get_mut(&key(1)).unwrap().stage = deposits::Stage::Foreign;
    assert_eq!(state.see_incident(pool.now, &seen), Err(NoIncident::NotOurs { index }.into()));
    let exit = state.ask_exits(pool.now, &[index].into());
    let validator = index;
    assert_eq!(exit, Err(crate::ledger::exits::Refusal::NotOurs { validator }.into()));
}

#[test]
fn evidence_is_judged_by_shares_of_the_faults_sharing_only() {
    let (mut pool, _, cluster) = pool(false);
    let fault = slashing(&pool, 1);
    open(&mut pool, fault).unwrap();
    let conflict = serde_json::from_value(conflict(&pool, 1, FAULT, [&[1, 2, 3], &[2, 3, 4]])).unwrap();
    let wish = incidents::Wish::Prove { incident: 0, conflict: Box::new(conflict) };
    let mut state = pool.state().clone();
    assert!(state.about_incident(pool.now, &wish).is_ok());
    // Shares were made anew since, and the older ones are not kept.
    let members = &mut state.clusters.clusters.get_mut(&cluster).unwrap().members;
    members.push(clusters::Members { generation: 1, from: Epoch(FAULT + 1), ..members[0].clone() });
    let refused = state.about_incident(pool.now, &wish).unwrap_err();
    assert!(refused.to_string().starts_with("nobody had shares"), "{refused}");
}

fn evidence() -> reports::Evidence {
    [(crate::text::Text::new("/eth/v1/beacon/states/head/validators").unwrap(), Root([1; 32]))].into()
}

#[test]
fn faults_are_of_the_pools_own_and_a_policy_leaves_time_to_object() {
    let (mut pool, _, _) = pool(false);
    let Fault::Slashing(one) = slashing(&pool, 1) else { panic!("a slashing") };
    let other = Fault::Slashing(Slashing { validator: ValidatorIndex(7), ..one });
    assert_eq!(no_incident(open(&mut pool, other)), NoIncident::NotOurs { index: ValidatorIndex(7) });
    let Fault::Theft(own) = theft(&pool, STAKED + 8, "1") else { panic!("a theft") };
    let paid_to = pool.state().charter.fee_recipient;
    let none = no_incident(open(&mut pool, Fault::Theft(Theft { paid_to, ..own })));
    assert_eq!(none, NoIncident::NotStolen { to: paid_to });
    let (kind, mut body) = told(theft(&pool, STAKED + 8, "1"));
    body["evidence"] = json!({});
    assert_eq!(no_incident(pool.see(kind, &body)), NoIncident::Evidence { have: 0 });
    let (_, body) = told(theft(&pool, STAKED + 8, "1"));
    assert!(matches!(refused(pool.see("slashing", &body)), Refusal::Route(_)), "one kind is not another");
    let timelock_s = pool.state().governance.timelock_s;
    let mut terms = pool.state().policy.terms().clone();
    terms.losses.objection_s = timelock_s;
    let policy = Box::new(Policy::new(terms.clone()).unwrap());
    let refusal = refused(pool.try_govern(Act::ChangePolicy(policy)));
    assert_eq!(refusal, Refusal::Act(ActRefusal::Objection { objection_s: timelock_s, timelock_s }));
    terms.losses.objection_s = timelock_s + 1;
    pool.try_govern(Act::ChangePolicy(Box::new(Policy::new(terms).unwrap()))).unwrap();
}
