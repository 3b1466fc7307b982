//! Reports in the log: what they are compared with, what follows from one in all books, and what operators get of it.

use super::*;
use crate::formulas::losses::{Loss, Step};
use crate::formulas::ratio::Ratio;
use crate::formulas::wide;
use crate::ledger::bonds;
use crate::ledger::chain::Reference;
use crate::ledger::charter::tests::charter;
use crate::ledger::clusters::Stage;
use crate::ledger::incidents::{self, Downtime, Fault, Key, Opened};
use crate::ledger::money::tests::{activate, balance, eth, keyed, open, refused};
use crate::ledger::policy::{Policy, Terms};
use crate::ledger::reports::{Net, Refusal as NoReport, Report};
use crate::ledger::state::Sighting;
use crate::ledger::testbed::frame::{DUE, agree, reported};
use crate::ledger::testbed::jar::{Jar, key};
use crate::ledger::testbed::{EPOCH, Pool, address};
use alloy_primitives::U256;
use serde_json::json;
use types::{Root, Slot};

/// A pool with a cluster of 101 to 104, with keys 1 and 2 of which 1 has duties, and its first report. One cluster is wanted,
/// and no pledge counts, so that it may earn the whole pot.
fn begun(change: impl FnOnce(&mut Terms)) -> (Pool, Jar, ClusterId) {
    let mut charter = charter();
    let mut terms = charter.policy.terms().clone();
    (terms.saturation.pools_wanted, terms.saturation.pledge_influence) = (1, Ratio::ZERO);
    change(&mut terms);
    charter.policy = Policy::new(terms).unwrap();
    let mut pool = Pool::of(charter);
    pool.finalize(EPOCH);
    let stake = json!({"epoch": EPOCH.to_string(), "active": "35000000000000000"});
    pool.see("network-stake", &stake).unwrap();
    let team = pool.team();
    let cluster = pool.cluster(team, 2);
    pool.pay(71, "80", 1).unwrap();
    pool.register(cluster, &[1]).unwrap();
    let mut jar = Jar::new();
    pool.look(&jar).unwrap();
    activate(&mut pool, &mut jar);
    pool.report(&mut jar).unwrap();
    pool.register(cluster, &[2]).unwrap();
    (pool, jar, cluster)
}

/// The next report, in which the validator with duties gained so much, and what it came to.
fn gain(pool: &mut Pool, jar: &mut Jar, gwei: i64) -> Reported {
    jar.earn(key(1), gwei);
    let sealed = pool.report(jar).unwrap();
    agree(&sealed.entry.events);
    reported(&sealed.entry.events).unwrap().0.clone()
}

fn gwei(amount: u64) -> Wei {
    wide::wei(Gwei(amount))
}

fn earned(reported: &Reported, operator: u8) -> Wei {
    reported.operators.get(&address(operator)).map_or(Wei::ZERO, |earned| earned.kept)
}

/// A statement that an operator saw none of another's signatures.
fn none_of(pool: &mut Pool, by: u8, cluster: ClusterId, of: u8) {
    pool.say(by, cluster, &[(address(of), 0)]).unwrap();
}

#[test]
fn a_report_is_of_what_was_looked_at_and_of_no_time_to_come() {
    let (mut pool, mut jar, _) = keyed();
    pool.reach(&mut jar).unwrap();
    let report = pool.frame(&jar);
    let tell = |pool: &mut Pool, report: &Report| {
        pool.see("report", &serde_json::to_value(report).unwrap()).map(drop)
    };
    let later = Report { slot: Slot(report.slot.0 + 32), ..report.clone() };
    let looked = Some(report.slot);
    assert_eq!(refused(tell(&mut pool, &later)), Refusal::NotLookedAt { report: later.slot, looked });
    // The coordinator's clock is a second late.
    let (mut late, time) = (pool.clone(), pool.time_of(report.slot.0));
    late.now = time;
    tell(&mut late, &report).unwrap();
    let state = pool.state();
    let tomorrow = state.see(time - 1, &Sighting::Report(Box::new(report.clone())));
    assert_eq!(tomorrow, Err(Refusal::ReportOfTomorrow { report: time, at: time - 1 }));
    // Another look, and it is of the past.
    jar.go_on(|_| false);
    pool.look(&jar).unwrap();
    assert!(matches!(refused(tell(&mut pool, &report)), Refusal::NotLookedAt { .. }));
}

#[test]
fn what_a_report_tells_of_each_validator_is_what_was_looked_at() {
    let (mut pool, mut jar, cluster) = begun(|_| {});
    jar.earn(key(1), 1_000_000);
    pool.reach(&mut jar).unwrap();
    let honest = pool.frame(&jar);
    let index = *honest.clusters[&cluster].validators.keys().next().unwrap();
    let has = Some([Gwei(32_001_000_000), Gwei(32_000_000_000)]);
    type Change = fn(&mut Report, ClusterId, ValidatorIndex);
    type Numbers = Option<[Gwei; 2]>;
    let rows: [(Change, Numbers, Numbers); 4] = [
        (
            |report, cluster, index| of(report, cluster, index).balance.0 += 1,
            Some([Gwei(32_001_000_001), Gwei(32_000_000_000)]),
            has,
        ),
        (
            |report, cluster, index| of(report, cluster, index).effective.0 -= 1_000_000_000,
            Some([Gwei(32_001_000_000), Gwei(31_000_000_000)]),
            has,
        ),
        (|report, cluster, _| report.clusters.get_mut(&cluster).unwrap().validators.clear(), None, has),
        // Of a cluster that it is not in, and a stranger without anything.
        (
            |report, cluster, index| {
                let mut seen = *of(report, cluster, index);
                seen.balance = Gwei(0);
                let validators = &mut report.clusters.get_mut(&cluster).unwrap().validators;
                validators.insert(ValidatorIndex(index.0 - 1), seen);
            },
            Some([Gwei(0), Gwei(32_000_000_000)]),
            None,
        ),
    ];
    for (change, told, looked) in rows {
        let mut report = honest.clone();
        change(&mut report, cluster, index);
        let Refusal::OtherBalance(other) = refused(pool.tell(&mut jar, &report)) else {
            panic!("{report:?}")
        };
        let which = if looked.is_some() { index } else { ValidatorIndex(index.0 - 1) };
        assert_eq!(*other, OtherBalance { index: which, cluster, told, looked });
    }
    // What arrived is what the deposits' book counts; told elsewhere it would be a gain, and told twice a loss.
    let mut report = honest.clone();
    report.lost.0 += 1;
    let arrivals = refused(pool.tell(&mut jar, &report));
    assert_eq!(arrivals, Refusal::OtherArrivals { told: Gwei(1), looked: Gwei(0) });
    pool.tell(&mut jar, &honest).unwrap();
}

fn of(report: &mut Report, cluster: ClusterId, index: ValidatorIndex) -> &mut reports::SeenValidator {
    report.clusters.get_mut(&cluster).unwrap().validators.get_mut(&index).unwrap()
}

#[test]
fn both_books_have_one_set_of_numbers_whatever_a_report_counts() {
    let (mut pool, mut jar, _) = begun(|_| {});
    // More of blocks than a frame may gain, a cover, somebody who leaves, and a deposit that another has.
    pool.arrive("rewards", 73, "1", 2).unwrap();
    pool.arrive("cover", 73, "0.5", 3).unwrap();
    pool.post(71, "/v1/withdrawals", &json!({"amount": {"eth": eth("2")}})).unwrap();
    pool.now += 7680;
    jar.earn(key(1), 10_000_000);
    let sealed = pool.report(&mut jar).unwrap();
    agree(&sealed.entry.events);
    let (told, settled) = reported(&sealed.entry.events).unwrap();
    assert!(told.el_rewards > Wei::ZERO && told.el_rewards < eth("1"), "the rest waits");
    assert_eq!((settled.cover, settled.served.len()), (eth("0.5"), 1));
    assert_eq!(told.gain, Wei(gwei(10_000_000).0 + told.el_rewards.0));
    assert_eq!(told.share_rate, settled.after.per(crate::formulas::rebase::SHARE_RATE_UNIT).unwrap());
}

#[test]
fn what_follows_from_a_report_follows_in_one_entry() {
    let (mut pool, mut jar, cluster) = begun(|_| {});
    for by in [101, 102] {
        none_of(&mut pool, by, cluster, 104);
    }
    jar.earn(key(1), 10_000_000);
    let sealed = pool.report(&mut jar).unwrap();
    let name = |event: &Event| match event {
        Event::Reports(_) => "reports",
        Event::Money(event) => match &**event {
            pool::Event::Reported(_) => "money",
            pool::Event::Given { to, .. } if *to == RESERVE_HOLDER => "to the reserve",
            pool::Event::Given { .. } => "to the treasury",
            _ => "other money",
        },
        _ => "other",
    };
    let kinds: Vec<_> = sealed.entry.events.iter().map(name).collect();
    assert_eq!(kinds, ["reports", "money", "to the treasury", "to the reserve"]);
}

/// A fee of 5 % is the operators' here, of which their type gets 3.5.
#[test]
fn who_was_dark_earns_less_and_nobody_gains_by_it_or_by_silence() {
    let (pool, jar, cluster) = begun(|_| {});
    let parts = |said: &[(u8, u64)], due: u64| {
        let (mut pool, mut jar) = (pool.clone(), jar.clone());
        for (by, seen) in said {
            pool.say(*by, cluster, &[(address(104), *seen)]).unwrap();
        }
        jar.earn(key(1), 10_000_000);
        pool.reach(&mut jar).unwrap();
        let mut report = pool.frame(&jar);
        report.clusters.get_mut(&cluster).unwrap().duties.due = due;
        let sealed = pool.tell(&mut jar, &report).unwrap();
        let told = reported(&sealed.entry.events).unwrap().0.clone();
        assert_eq!(pool.state().reports.statements(cluster).count(), 0, "they are of that frame");
        [101, 104].map(|operator| earned(&told, operator))
    };
    // 0.01 ETH, 5 % of it the operators', a quarter each, 3.5 of 5.
    let whole = gwei(10_000_000 / 20 / 4 / 100 * 70);
    assert_eq!(parts(&[], DUE), [whole, whole]);
    // One of the three others can lie, as it likes; two saw half of what was due.
    let half = Wei(whole.0 / U256::from(2));
    let due = DUE + 1;
    let [honest, dark] = parts(&[(101, due / 2), (102, due / 2), (103, 0)], due);
    assert!(dark < honest && dark.0 * U256::from(2) <= honest.0 && dark <= half);
    assert_eq!(parts(&[(101, due / 2), (102, due / 2), (103, u64::MAX)], due)[1], dark);
    assert_eq!(parts(&[(101, due / 2), (102, due / 2)], due)[1], dark, "who is silent is as one who praises");
    // One who speaks ill alone is not believed.
    let [honest, one] = parts(&[(103, 0)], due);
    assert_eq!(honest, one);
}

#[test]
fn a_fee_is_of_a_gain_only_and_a_loss_is_the_delegators() {
    let (mut pool, mut jar, _) = begun(|_| {});
    let treasury = pool.state().charter.treasury;
    let first = gain(&mut pool, &mut jar, 10_000_000);
    assert_eq!(first.result, Net::Gain(gwei(10_000_000)));
    let accounts = [OPERATORS_HOLDER, RESERVE_HOLDER, treasury];
    let shares = |pool: &Pool| accounts.map(|account| pool.state().money.shares().shares(account));
    let before = (shares(&pool), balance(&pool, address(71)), pool.state().money.rate().shares);
    assert!(before.0.iter().all(|shares| *shares > Shares::ZERO));
    let second = gain(&mut pool, &mut jar, -3_000_000);
    assert_eq!(second.result, Net::Loss(gwei(3_000_000)));
    assert_eq!(second.parts.delegators, second.result);
    assert_eq!((shares(&pool), pool.state().money.rate().shares), (before.0, before.2), "nothing is minted");
    assert!(balance(&pool, address(71)) < before.1);
    assert_eq!(second.operators, BTreeMap::new());
}

#[test]
fn what_operators_do_not_earn_of_their_part_goes_to_treasury_and_reserve_at_once() {
    let (mut pool, mut jar, cluster) = begun(|_| {});
    for by in [101, 102, 103] {
        none_of(&mut pool, by, cluster, 104);
    }
    let told = gain(&mut pool, &mut jar, 10_000_000);
    assert_eq!(told.operators.len(), 3, "who was dark earns nothing");
    let unearned = told.unearned;
    // A quarter of the pot nobody earned; of the rest the type gets 3.5 of 5.
    assert_eq!((unearned.reserve, unearned.pool), (gwei(125_000), gwei(112_500)));
    let holds = |account| balance(&pool, account);
    let near = |have: Wei, want: Wei| have.0.abs_diff(want.0) < U256::from(10);
    assert!(near(holds(OPERATORS_HOLDER), told.parts.operators), "what they can claim, and no more");
    assert!(near(holds(RESERVE_HOLDER), told.parts.reserve));
    assert!(near(holds(pool.state().charter.treasury), told.parts.pool));
}

#[test]
fn a_statement_is_of_the_next_frame_about_the_others_and_the_last_one_counts() {
    let (mut pool, mut jar, cluster) = begun(|_| {});
    let path = format!("/v1/clusters/{cluster}/statements");
    let state = |pool: &mut Pool, who: u8, frame: u64, of: u8| {
        let body = json!({"frame": frame, "seen": {(address(of).to_string()): 5}});
        pool.send(who, "PUT", &path, &body).map(drop)
    };
    for stranger in [11, 21, 31, 71, 111, 121] {
        let refusal = refused(state(&mut pool, stranger, 1, 101));
        assert!(matches!(refusal, Refusal::Role { .. }), "{stranger}: {refusal}");
    }
    let no = |refusal: NoReport| Refusal::Reports(Box::new(refusal));
    for have in [0, 2, u64::MAX] {
        let want = no(NoReport::StatementFrame { have, next: 1 });
        assert_eq!(refused(state(&mut pool, 102, have, 101)), want);
    }
    let stranger = no(NoReport::NotInCluster { operator: address(31), cluster });
    assert_eq!(refused(state(&mut pool, 102, 1, 31)), stranger);
    assert_eq!(refused(state(&mut pool, 102, 1, 102)), no(NoReport::OfItself { operator: address(102) }));
    none_of(&mut pool, 102, cluster, 101);
    state(&mut pool, 102, 1, 104).unwrap();
    let said: Vec<_> = pool.state().reports.statements(cluster).collect();
    assert_eq!(said, [(address(102), &[(address(104), 5)].into())]);
    gain(&mut pool, &mut jar, 0);
    assert_eq!(refused(state(&mut pool, 102, 1, 104)), no(NoReport::StatementFrame { have: 1, next: 2 }));
}

#[test]
fn an_account_takes_what_it_earned_once_and_nobody_elses() {
    // A closed pool that names one delegator, and no operator.
    let (mut pool, mut jar, _) = begun(|terms| terms.delegations.named = Some([address(71)].into()));
    let claim = |pool: &mut Pool, who: u8| pool.post(who, "/v1/rewards/claims", &json!({})).map(drop);
    let nothing = |who: u8| {
        let (account, eth, claimable) = (address(who), Wei::ZERO, Wei::ZERO);
        Refusal::Reports(Box::new(NoReport::NotClaimable { account, eth, claimable }))
    };
    assert_eq!(refused(claim(&mut pool, 111)), nothing(111));
    let one = earned(&gain(&mut pool, &mut jar, 10_000_000), 101);
    for who in [101, 71, 11, 1, 99] {
        assert_eq!(refused(claim(&mut pool, who)), nothing(who), "it earned nothing");
    }
    let all = pool.state().money.rate();
    claim(&mut pool, 111).unwrap();
    let have = balance(&pool, address(111));
    let near = |have: Wei, want: Wei| have <= want && want.0 - have.0 <= U256::from(2);
    assert!(near(have, one), "{have} of {one}");
    assert_eq!(pool.state().money.rate(), all, "shares change hands, none are made");
    assert_eq!(refused(claim(&mut pool, 111)), nothing(111));
    let two = earned(&gain(&mut pool, &mut jar, 20_000_000), 101);
    assert_eq!(pool.state().reports.claimable(address(111)), two);
    claim(&mut pool, 111).unwrap();
    assert_eq!(pool.state().reports.claims().unwrap().cumulative(address(111)), Wei(one.0 + two.0));
    // The shares are its own: they are worth ETH like anybody's.
    pool.post(111, "/v1/withdrawals", &json!({"amount": {"eth": one}})).unwrap();
}

#[test]
fn what_the_shares_are_short_of_after_a_loss_stays_claimable() {
    let (mut pool, mut jar, _) = begun(|_| {});
    let each = earned(&gain(&mut pool, &mut jar, 10_000_000), 101);
    // Five thousandths of all that the pool has.
    gain(&mut pool, &mut jar, -400_000_000);
    let claim = |pool: &mut Pool, who: u8| pool.post(who, "/v1/rewards/claims", &json!({})).map(drop);
    for who in [111, 112, 113, 114] {
        claim(&mut pool, who).unwrap();
    }
    let left = pool.state().reports.claimable(address(114));
    assert!(left > Wei::ZERO && left < each, "{left} of {each}");
    assert_eq!([111, 112, 113].map(|who| pool.state().reports.claimable(address(who))), [Wei::ZERO; 3]);
    assert_eq!(balance(&pool, OPERATORS_HOLDER), Wei::ZERO);
    assert_eq!(refused(claim(&mut pool, 114)), Refusal::Money(pool::Refusal::NoShares));
    assert!(balance(&pool, address(114)) <= Wei(each.0 - left.0));
    gain(&mut pool, &mut jar, 10_000_000);
    claim(&mut pool, 114).unwrap();
    assert_eq!(pool.state().reports.claimable(address(114)), Wei::ZERO);
}

#[test]
fn whoever_decides_in_the_pool_delegates_nothing() {
    let mut pool = open(35_000_000);
    pool.team();
    // Managers, governance, guardians, the coordinator.
    for (number, who) in (0..).zip([101, 104, 11, 13, 21, 22, 1]) {
        pool.pay(who, "1", number).unwrap();
        assert_eq!(balance(&pool, address(who)), Wei::ZERO, "{who}");
        let (_, due) = pool.state().money.payouts().last_key_value().unwrap();
        assert_eq!((due.to, due.eth), (address(who), eth("1")));
    }
    assert_eq!(pool.state().money.rate().pooled, Wei::ZERO);
    for (number, who) in (50..).zip([71, 111]) {
        pool.pay(who, "1", number).unwrap();
        assert!(balance(&pool, address(who)) > eth("0.9"), "{who}");
    }
}

#[test]
fn a_cluster_with_too_many_strikes_winds_down_in_the_same_entry() {
    let (mut pool, mut jar, cluster) = begun(|_| {});
    let index = pool.index(1);
    let asked = |pool: &Pool| pool.state().exits.exits().get(&index).map(|exit| exit.asked.why);
    let mut idle = |pool: &mut Pool| {
        pool.reach(&mut jar).unwrap();
        let mut report = pool.frame(&jar);
        report.clusters.get_mut(&cluster).unwrap().duties.made = 0;
        let sealed = pool.tell(&mut jar, &report).unwrap();
        let winds_down = |event: &Event| matches!(event, Event::Clusters(_));
        (
            sealed.entry.events.iter().filter(|event| winds_down(event)).count(),
            pool.state().clusters.get(cluster).unwrap().stage,
        )
    };
    assert_eq!([1, 2].map(|_| idle(&mut pool)), [(0, Stage::Active); 2]);
    assert_eq!(asked(&pool), None);
    assert_eq!(idle(&mut pool), (1, Stage::Exiting));
    assert_eq!(asked(&pool), Some(exits::Why::Strikes), "its validator shall leave");
    assert_eq!(idle(&mut pool), (0, Stage::Exiting), "it does so already");
}

#[test]
fn a_report_is_told_of_a_cluster_what_the_other_books_have() {
    let (mut pool, _, cluster) = begun(|_| {});
    let chosen = crate::ledger::calls::Chosen {
        operators: [104, 103, 102, 101].map(address).to_vec(),
        threshold: 3,
        keys: 3,
        stake: Gwei(96_000_000_000),
    };
    let other = pool.choose(&chosen).unwrap();
    let state = pool.state();
    let (epoch, now) = (state.chain.finalized.epoch, pool.now);
    assert!(state.seats(now).seated(cluster, Epoch(EPOCH - 1)).is_none(), "it had not begun");
    let first = state.seats(now).seated(cluster, epoch).unwrap();
    let seat = |seat: &Seat| (seat.operator, seat.reward, seat.first_key, seat.keys, seat.delinquent);
    assert_eq!(seat(&first.seats[1]), (address(102), address(112), 1, 2, false));
    let second = state.seats(now).seated(other, epoch).unwrap();
    assert_eq!(seat(&second.seats[0]), (address(104), address(114), 3, 3, false));
    let mut late = state.clone();
    late.exits.cooling.insert(address(102), now + 1);
    let delinquent = |time| late.seats(time).seated(cluster, epoch).unwrap().seats[1].delinquent;
    assert_eq!([now, now + 1].map(delinquent), [true, false]);
    let labels: Vec<_> = second.seats[0].labels.values().map(String::as_str).collect();
    assert_eq!(labels, ["Reiter 104", "CL", "AS25044", "nethermind", "teku", "teku"]);
    // Of 2.4 ETH for the first key and 1.3 for each more: two keys, then three.
    assert_eq!((first.pledge, second.pledge), (eth("14.8"), eth("15.6")));
    // A bond that has lost something backs what it backed first.
    let mut poor = state.clone();
    let taken = eth("15");
    let penalty = bonds::Event::Penalised { operator: address(104), taken, owed: Wei::ZERO };
    poor.apply(&Event::Bonds(penalty)).unwrap();
    assert_eq!(poor.seats(now).seated(cluster, epoch).unwrap().pledge, eth("14.8"));
    assert_eq!(poor.seats(now).seated(other, epoch).unwrap().pledge, eth("13"));
    assert!(state.seats(now).seated(Root([0xc3; 32]), epoch).is_none());
}

#[test]
fn a_report_of_before_a_cluster_began_tells_nothing_of_it() {
    let mut pool = open(35_000_000);
    // The coordinator has told how far the chain is, and looks at a state of long before.
    pool.finalize(EPOCH + 1000);
    let team = pool.team();
    let cluster = pool.cluster(team, 1);
    pool.pay(71, "80", 1).unwrap();
    pool.register(cluster, &[1]).unwrap();
    let mut jar = Jar::new();
    pool.look(&jar).unwrap();
    activate(&mut pool, &mut jar);
    jar.slot = 32 * (jar.slot / 32 + 1);
    pool.now = pool.now.max(pool.time_of(jar.slot));
    pool.look(&jar).unwrap();
    let report = pool.frame(&jar);
    let unknown = Refusal::Reports(Box::new(NoReport::UnknownCluster { cluster }));
    assert_eq!(refused(pool.tell(&mut jar, &report)), unknown);
}

/// A state in which 104 owes what others have paid: the reserve, another operator, all delegators.
fn indebted(pool: &Pool, cluster: ClusterId, each: Wei) -> State {
    let mut state = pool.state().clone();
    let members: BTreeSet<_> = [101, 102, 103, 104].map(address).into();
    let opened = Opened {
        incident: 0,
        fault: Fault::Downtime(Downtime { cluster, from: Epoch(1), until: Epoch(2), cost: Gwei(1) }),
        key: Key::Downtime(cluster, Epoch(1)),
        cluster,
        epoch: Epoch(1),
        members,
        guilty: [address(104)].into(),
        evidence: Root::ZERO,
        at: pool.now,
    };
    let loss = Loss {
        amount: Wei(each.0 * U256::from(3)),
        faulty: [(address(104), Wei::ZERO)].into(),
        cluster: [(address(101), each)].into(),
        reserve: each,
        delegated: each,
    };
    let (steps, debts) = loss.waterfall().unwrap();
    let mut events = vec![incidents::Event::Opened(Box::new(opened))];
    events.extend(steps.into_iter().map(|step: Step| incidents::Event::Paid { incident: 0, step }));
    events.push(incidents::Event::Closed { incident: 0, loss: loss.amount, debts });
    for event in events {
        state.apply(&Event::Incidents(Box::new(event))).unwrap();
    }
    let owed = bonds::Event::Penalised { operator: address(104), taken: Wei::ZERO, owed: loss.amount };
    state.apply(&Event::Bonds(owed)).unwrap();
    state
}

#[test]
fn what_an_operator_owes_is_repaid_of_what_it_earns() {
    let (mut pool, mut jar, cluster) = begun(|_| {});
    jar.earn(key(1), 10_000_000);
    pool.reach(&mut jar).unwrap();
    let report = Sighting::Report(Box::new(pool.frame(&jar)));
    let after = |mut state: State| {
        let events = state.see(pool.now, &report).unwrap();
        agree(&events);
        events.iter().for_each(|event| state.apply(event).unwrap());
        state.money.audit().unwrap();
        state
    };
    let plain = after(pool.state().clone());
    let whole = plain.reports.claimable(address(114));
    let shares = |state: &State, account| state.money.shares().balance(account);
    // It owes less than it earns: all of it is repaid, and the incident is over.
    let each = gwei(1_000);
    let paid = after(indebted(&pool, cluster, each));
    assert_eq!(paid.incidents.owed(address(104)), Ok(Wei::ZERO));
    assert_eq!(paid.bonds.account(address(104)).debt, Wei::ZERO);
    assert_eq!(
        paid.bonds.account(address(104)).bond,
        plain.bonds.account(address(104)).bond,
        "no bond is made"
    );
    assert_eq!(paid.bonds.account(address(101)), plain.bonds.account(address(101)));
    let owed = Wei(each.0 * U256::from(3));
    assert_eq!(paid.reports.claimable(address(114)), Wei(whole.0 - owed.0));
    assert_eq!(
        paid.reports.claimable(address(111)),
        Wei(whole.0 + each.0),
        "what its bond paid it can claim"
    );
    // What is the reserve's and the delegators' is due until the next report, and nobody's to claim meanwhile.
    let due = |state: &State| (state.money.due().forgiven.clone(), state.money.due().restored);
    assert_eq!(due(&paid), ([(OPERATORS_HOLDER, each)].into(), each));
    assert_eq!(due(&plain), (BTreeMap::new(), Wei::ZERO));
    for account in [RESERVE_HOLDER, OPERATORS_HOLDER] {
        assert_eq!(shares(&paid, account), shares(&plain, account));
    }
    assert_eq!(paid.money.rate(), plain.money.rate());
    // New bond has paid some of it already, to delegators first: what is repaid is no bond.
    let mut eased = indebted(&pool, cluster, each);
    let reference = Reference { hash: Root([9; 32]), index: 77 };
    let deposited =
        bonds::Deposited { operator: address(104), amount: Wei(each.0 * U256::from(2)), reference };
    let seen = Sighting::Bonds(bonds::Sighting::Deposited(deposited));
    eased.see(pool.now, &seen).unwrap().iter().for_each(|event| eased.apply(event).unwrap());
    assert_eq!(eased.bonds.account(address(104)).debt, each);
    let eased = after(eased);
    let account = eased.bonds.account(address(104));
    assert_eq!((account.debt, account.bond), (Wei::ZERO, plain.bonds.account(address(104)).bond));
    assert_eq!(due(&eased), (BTreeMap::new(), Wei::ZERO));
    assert_eq!(eased.reports.claimable(address(111)), Wei(whole.0 + each.0));
    // Where both books do not say the same is owed, nothing is repaid of what one of them does not know.
    let mut apart = indebted(&pool, cluster, each);
    apart.bonds.accounts.get_mut(&address(104)).unwrap().debt = each;
    let (operator, amount) = (address(104), Wei(each.0 * U256::from(3)));
    let not_owed = incidents::Refusal::NotOwed { operator, amount, owed: each };
    assert_eq!(apart.see(pool.now, &report), Err(not_owed.into()));
    // It owes more: delegators are paid first, and it keeps nothing.
    let poor = after(indebted(&pool, cluster, Wei(whole.0 * U256::from(2))));
    assert_eq!(poor.reports.claimable(address(114)), Wei::ZERO);
    assert_eq!(poor.reports.claimable(address(111)), whole);
    assert_eq!(poor.incidents.owed(address(104)), Ok(poor.bonds.account(address(104)).debt));
    assert_eq!(poor.bonds.account(address(104)).debt.0, whole.0 * U256::from(5));
    assert_eq!(due(&poor), ([(OPERATORS_HOLDER, whole)].into(), Wei::ZERO));
}

#[test]
fn a_claim_takes_nothing_of_what_is_due_for_losses() {
    let (mut pool, mut jar, cluster) = begun(|_| {});
    gain(&mut pool, &mut jar, 10_000_000);
    // The operators' shares are worth less than what operators have earned.
    gain(&mut pool, &mut jar, -400_000_000);
    jar.earn(key(1), 10_000_000);
    pool.reach(&mut jar).unwrap();
    let report = Sighting::Report(Box::new(pool.frame(&jar)));
    let each = gwei(10_000);
    let mut state = indebted(&pool, cluster, each);
    let happen = |state: &mut State, events: Vec<Event>| {
        events.iter().for_each(|event| state.apply(event).unwrap());
    };
    let events = state.see(pool.now, &report).unwrap();
    happen(&mut state, events);
    let due = Wei(each.0 * U256::from(2));
    let left = |state: &State| [111, 112, 113, 114].map(|who| state.reports.claimable(address(who)));
    for who in [111, 112, 113, 114] {
        let events = state.claim_rewards(pool.now, address(who)).unwrap();
        happen(&mut state, events);
    }
    let [first, second, third, last] = left(&state);
    assert_eq!([first, second, third], [Wei::ZERO; 3]);
    assert!(last > Wei::ZERO, "the last one waits");
    assert_eq!(state.money.operators(), Ok(Shares::ZERO));
    let holds = |state: &State| state.money.shares().balance(OPERATORS_HOLDER);
    assert!(due.0.abs_diff(holds(&state).0) <= U256::ONE, "{} of {due}", holds(&state));
    let refused = state.claim_rewards(pool.now, address(114));
    assert_eq!(refused, Err(Refusal::Money(pool::Refusal::NoShares)), "what is there is due");
}
