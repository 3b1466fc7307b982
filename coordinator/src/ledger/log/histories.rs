//! Whole histories of a pool, in any order: requests and sightings of all kinds, valid and not. Whatever was taken replays,
//! no wei is made or lost, and no bit of it can fall over unseen.

use super::*;
use crate::canonical;
use crate::formulas::ratio::BasisPoints;
use crate::formulas::wide;
use crate::ledger::ceremonies::tests as ceremonies;
use crate::ledger::governance::Act;
use crate::ledger::money::tests::activate;
use crate::ledger::operators::Reason;
use crate::ledger::policy::Policy;
use crate::ledger::testbed::frame::agree;
use crate::ledger::testbed::jar::{Jar, key, theirs};
use crate::ledger::testbed::{EPOCH, Pool, address};
use alloy_primitives::U256;
use cluster::Lock;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use types::{Address, ClusterId, Wei};

/// Something that is tried.
#[derive(Clone, Debug)]
enum Try {
    /// A payment of one of the kinds, in ETH; its number may have been used.
    Arrive(usize, u8, u16, u32),
    Transfer(u8, u8, u16),
    Request(u8, u16),
    /// By its owner, or by somebody else.
    Claim(bool, u64),
    PaidOut(u64, u32),
    /// Keys of the cluster, signed by one of these.
    Register(u8, u64),
    /// The lock of the other cluster, by one of its nodes or somebody else.
    Deliver(u8),
    Plan,
    Approve(u64),
    Send(u64),
    /// Plan, approve, send.
    Fund,
    /// The newest batch but so many, at this root.
    GiveUp(usize, u8),
    /// A key's holders are first, with others' credentials.
    Steal(u64),
    /// The chain goes on, is looked at, and reported.
    Advance(u64),
    /// The same, and the cluster has done none of its duties.
    Idle,
    /// Validators with duties earn something, or lose it, and it is reported.
    Earn(i32),
    /// Somebody says what it saw of a member of the cluster.
    Say(u8, u8, u64),
    ClaimRewards(u8),
    Look,
    /// Of a state that was perhaps not looked at.
    Report,
    Wait(u32),
    Finalize(u64),
    Stake(u64),
    Bond(u8, u16, u32),
    BondBack(u8, u16),
    PauseDeposits(u8),
    ResumeDeposits,
    PauseOperator(u8),
    UnpauseOperator(u8),
    Release(u64),
    Compensate(u64),
    WindDown,
    Close,
    /// One request of one of the routes, with nothing in it, by anybody.
    Empty(u8, Index),
}

fn one() -> impl Strategy<Value = Try> {
    let (who, secret, batch) = (|| 70..74u8, || 1..6u64, || 0..8u64);
    let operator = || 101..105u8;
    let money = prop_oneof![
        6 => (0..3usize, who(), 1..70u16, 10..40u32).prop_map(|(kind, who, eth, no)| Try::Arrive(kind, who, eth, no)),
        2 => (who(), 70..75u8, 1..900u16).prop_map(|(from, to, part)| Try::Transfer(from, to, part)),
        3 => (who(), 1..900u16).prop_map(|(who, part)| Try::Request(who, part)),
        3 => (prop::bool::weighted(0.9), 0..3u64).prop_map(|(owner, request)| Try::Claim(owner, request)),
        2 => (0..4u64, 10..40u32).prop_map(|(payout, no)| Try::PaidOut(payout, no)),
    ];
    let deposits = prop_oneof![
        2 => (100..106u8, secret()).prop_map(|(who, secret)| Try::Register(who, secret)),
        1 => (120..126u8).prop_map(Try::Deliver),
        3 => Just(Try::Plan),
        1 => batch().prop_map(Try::Approve),
        1 => batch().prop_map(Try::Send),
        8 => Just(Try::Fund),
        3 => (0..3usize, 1..3u8).prop_map(|(back, root)| Try::GiveUp(back, root)),
        1 => secret().prop_map(Try::Steal),
        10 => (0..8u64).prop_map(Try::Advance),
        1 => Just(Try::Look),
        2 => Just(Try::Report),
        1 => secret().prop_map(Try::Release),
        1 => secret().prop_map(Try::Compensate),
    ];
    let office = prop_oneof![
        2 => (1..9_000u32).prop_map(Try::Wait),
        1 => (1..5u64).prop_map(Try::Finalize),
        1 => (1..40_000_000u64).prop_map(Try::Stake),
        1 => (operator(), 1..5u16, 10..40u32).prop_map(|(who, eth, no)| Try::Bond(who, eth, no)),
        1 => (operator(), 1..30u16).prop_map(|(who, eth)| Try::BondBack(who, eth)),
        1 => (20..23u8).prop_map(Try::PauseDeposits),
        1 => Just(Try::ResumeDeposits),
        1 => operator().prop_map(Try::PauseOperator),
        1 => operator().prop_map(Try::UnpauseOperator),
        1 => Just(Try::WindDown),
        1 => Just(Try::Close),
        2 => (10..120u8, any::<Index>()).prop_map(|(who, route)| Try::Empty(who, route)),
    ];
    let reports = prop_oneof![
        3 => Just(Try::Idle),
        8 => (-20_000_000..60_000_000i32).prop_map(Try::Earn),
        3 => (100..106u8, operator(), 0..300u64).prop_map(|(by, of, seen)| Try::Say(by, of, seen)),
        6 => (110..116u8).prop_map(Try::ClaimRewards),
    ];
    prop_oneof![4 => money, 7 => deposits, 3 => office, 4 => reports]
}

/// A pool with a cluster, and its chain.
struct World {
    pool: Pool,
    jar: Jar,
    cluster: ClusterId,
}

/// What must happen in some of these histories: where nothing does, nothing is proved.
const HAPPENS: [&str; 32] = [
    "bonds/claimed",
    "bonds/deposited",
    "ceremonies/locked",
    "chain/finalized",
    "chain/stake",
    "clusters/stands",
    "deposits/approved",
    "deposits/arrived",
    "deposits/batched",
    "deposits/given_up",
    "deposits/known",
    "deposits/lived",
    "deposits/looked",
    "deposits/proven",
    "deposits/registered",
    "deposits/sent",
    "governance/closed",
    "governance/deposits_paused",
    "money/claimed",
    "money/covered",
    "money/given",
    "money/paid",
    "money/planned",
    "money/reported",
    "money/requested",
    "money/rewarded",
    "money/sent",
    "money/transferred",
    "money/unplanned",
    "reports/claimed",
    "reports/reported",
    "reports/stated",
];

/// Bounds that let a report through whatever was lost, and requests be served at once: what is refused is other tests'.
fn charter() -> Charter {
    let mut charter = crate::ledger::charter::tests::charter();
    let mut terms = charter.policy.terms().clone();
    terms.delegations.request_age_min_s = 0;
    terms.reports.bounds.cl_decrease_max = BasisPoints::WHOLE;
    terms.reports.bounds.positive_rebase_max_ppb = 1_000_000_000;
    charter.policy = Policy::new(terms).unwrap();
    charter
}

/// A pool, its chain, its log so far, and what was made for a second cluster of it.
struct Begun {
    pool: Pool,
    jar: Jar,
    replay: Replay,
    cluster: ClusterId,
    lock: Lock,
}

/// A pool with a cluster that may have four keys: one has duties, and the next may get its deposits. A second cluster has made
/// a lock, which nobody has brought.
static BEGUN: LazyLock<Begun> = LazyLock::new(|| {
    let mut pool = Pool::of(charter());
    pool.finalize(EPOCH);
    pool.see("network-stake", &json!({"epoch": EPOCH.to_string(), "active": "35000000000000000"})).unwrap();
    let team = pool.team();
    let cluster = pool.cluster(team.clone(), 4);
    let second = pool.cluster(team, 1);
    let lock = ceremonies::lock(&pool.state().definition(second).unwrap());
    pool.pay(70, "140", 0).unwrap();
    let keys = json!({"keys": [pool.offer(1)]});
    pool.post(101, &format!("/v1/clusters/{cluster}/keys"), &keys).unwrap();
    let mut jar = Jar::new();
    pool.look(&jar).unwrap();
    activate(&mut pool, &mut jar);
    let keys = json!({"keys": [pool.offer(2)]});
    pool.post(101, &format!("/v1/clusters/{cluster}/keys"), &keys).unwrap();
    pool.report(&mut jar).unwrap();
    let mut replay = Replay::default();
    for stored in &pool.log {
        replay.next(stored).unwrap();
    }
    Begun { pool, jar, replay, cluster, lock }
});

fn eth(amount: impl std::fmt::Display) -> Wei {
    Wei::from_eth(&amount.to_string()).unwrap()
}

impl World {
    fn begun() -> Self {
        Self { pool: BEGUN.pool.clone(), jar: BEGUN.jar.clone(), cluster: BEGUN.cluster }
    }

    /// Tries it: what is refused changes nothing, what is taken leaves all books in balance.
    fn try_one(&mut self, one: &Try) {
        let (before, entries) = (self.pool.ledger.head(), self.pool.log.len());
        // Most of what is tried is refused; why is other tests'.
        let _: Result<(), AppendError> = match one {
            Try::Fund => self.fund(),
            Try::Advance(exit) => self.advance(*exit),
            Try::Idle => self.idle(),
            Try::Earn(gwei) => {
                (1..6).for_each(|secret| self.jar.earn(key(secret), i64::from(*gwei)));
                self.pool.report(&mut self.jar).map(drop)
            }
            Try::Steal(secret) => {
                let stolen = self.pool.offer(*secret).predeposit;
                self.jar.deposit(key(*secret), theirs(), stolen.amount, stolen.signature);
                Ok(())
            }
            Try::Wait(seconds) => {
                self.pool.now += u64::from(*seconds);
                Ok(())
            }
            other => self.ask(other),
        };
        if self.pool.log.len() == entries {
            assert_eq!(self.pool.ledger.head(), before, "what is refused changes nothing: {one:?}");
        }
        self.audit();
    }

    fn audit(&self) {
        let state = self.pool.state();
        state.money.audit().unwrap();
        state.deposits.audit().unwrap();
        let books = state.money.books();
        assert_eq!(books.planned, wide::wei(state.deposits.planned()), "both books plan the same");
        assert!(wide::wei(state.deposits.in_flight()) <= books.transient, "both books have sent the same");
        assert_eq!(Ok(books.validators), state.reports.balance(), "both books have reported the same");
        let shares = state.money.shares();
        let balances = shares.accounts().map(|(account, _)| shares.balance(account));
        assert!(
            wide::total(balances).unwrap() <= state.money.rate().pooled,
            "no balance is more than there is"
        );
    }

    fn fund(&mut self) -> Result<(), AppendError> {
        self.pool.see("plan", &json!({}))?;
        let batch = *self.pool.state().deposits.batches().last_key_value().unwrap().0;
        self.pool.approve(batch)?;
        self.pool.send_batch(&mut self.jar, batch)
    }

    fn advance(&mut self, exit: u64) -> Result<(), AppendError> {
        self.jar.go_on(|index| index.0 == 1000 + exit);
        self.pool.report(&mut self.jar).map(drop)
    }

    fn idle(&mut self) -> Result<(), AppendError> {
        self.pool.reach(&mut self.jar)?;
        let mut report = self.pool.frame(&self.jar);
        report.clusters.values_mut().for_each(|cluster| cluster.duties.made = 0);
        self.pool.tell(&mut self.jar, &report).map(drop)
    }

    fn ask(&mut self, one: &Try) -> Result<(), AppendError> {
        match one {
            Try::Arrive(..) | Try::Transfer(..) | Try::Request(..) | Try::Claim(..) | Try::PaidOut(..) => {
                self.ask_money(one)
            }
            Try::Register(..)
            | Try::Deliver(_)
            | Try::Plan
            | Try::Approve(_)
            | Try::Send(_)
            | Try::GiveUp(..) => self.ask_deposits(one),
            other => self.ask_office(other),
        }
    }

    /// Shares of an account, in thousandths.
    fn part(&self, who: u8, thousandths: u16) -> Value {
        let balance = self.pool.state().money.shares().balance(address(who)).0;
        let part = balance * U256::from(thousandths);
        json!({"eth": Wei(part / U256::from(1000))})
    }

    fn ask_money(&mut self, one: &Try) -> Result<(), AppendError> {
        let pool = &self.pool;
        match *one {
            Try::Arrive(kind, who, amount, no) => {
                // Blocks and covers pay less.
                let kinds = ["payment", "rewards", "cover"];
                let amount = if kind == 0 { amount.to_string() } else { format!("0.000{amount}") };
                self.pool.arrive(kinds[kind], who, &amount, no).map(drop)
            }
            Try::Transfer(from, to, part) => {
                let body = json!({"to": address(to), "amount": self.part(from, part)});
                self.pool.post(from, "/v1/shares/transfers", &body).map(drop)
            }
            Try::Request(who, part) => {
                let body = json!({"amount": self.part(who, part)});
                self.pool.post(who, "/v1/withdrawals", &body).map(drop)
            }
            Try::Claim(owner, request) => {
                let made = pool.state().money.queue().request(request).map(|request| request.owner);
                let its = |who: &u8| made.is_some_and(|owner| owner == address(*who));
                let who = (70..75).find(its).filter(|_| owner).unwrap_or(69);
                self.pool.post(who, &format!("/v1/withdrawals/{request}/claim"), &json!({})).map(drop)
            }
            Try::PaidOut(payout, no) => {
                let due = pool.state().money.payouts().get(&payout).copied();
                let (to, eth) = due.map_or((Address::ZERO, Wei::ZERO), |due| (due.to, due.eth));
                let body = json!({"payout": payout, "payment": Pool::reference(no), "to": to, "eth": eth});
                self.pool.see("paid-out", &body).map(drop)
            }
            _ => unreachable!("only what is about money is asked here"),
        }
    }

    fn ask_deposits(&mut self, one: &Try) -> Result<(), AppendError> {
        match *one {
            Try::Register(who, secret) => {
                let body = json!({"keys": [self.pool.offer(secret)]});
                self.pool.post(who, &format!("/v1/clusters/{}/keys", self.cluster), &body).map(drop)
            }
            Try::Deliver(who) => {
                let path = format!("/v1/clusters/{}/lock", BEGUN.lock.definition().definition_hash());
                self.pool.post(who, &path, &ceremonies::value(&BEGUN.lock)).map(drop)
            }
            Try::Plan => self.pool.see("plan", &json!({})).map(drop),
            Try::Approve(batch) => self.pool.approve(batch),
            Try::Send(batch) => self.pool.send_batch(&mut self.jar, batch),
            Try::GiveUp(back, root) => {
                let batches = self.pool.state().deposits.batches();
                let batch = batches.keys().rev().nth(back).copied().unwrap_or(99);
                let body = json!({"batch": batch, "deposit_root": Root([root; 32])});
                self.pool.see("given-up", &body).map(drop)
            }
            _ => unreachable!("only what is about deposits is asked here"),
        }
    }

    fn ask_office(&mut self, one: &Try) -> Result<(), AppendError> {
        let cluster = self.cluster;
        let pool = &mut self.pool;
        match one {
            Try::Say(by, of, seen) => pool.say(*by, cluster, &[(address(*of), *seen)]).map(drop),
            Try::ClaimRewards(who) => pool.post(*who, "/v1/rewards/claims", &json!({})).map(drop),
            Try::Look => pool.look(&self.jar).map(drop),
            Try::Report => {
                let report = pool.frame(&self.jar);
                pool.tell(&mut self.jar, &report).map(drop)
            }
            Try::Finalize(more) => {
                let epoch = (pool.state().chain.finalized.epoch.0 + more).to_string();
                pool.see("finalized", &json!({"epoch": epoch, "root": Root([7; 32])})).map(drop)
            }
            Try::Stake(eth) => {
                let epoch = pool.state().chain.finalized.epoch;
                let active = format!("{eth}000000000");
                pool.see("network-stake", &json!({"epoch": epoch, "active": active})).map(drop)
            }
            Try::Bond(who, amount, no) => pool.deposit_for(address(*who), &amount.to_string(), *no).map(drop),
            Try::BondBack(who, amount) => {
                let path = format!("/v1/operators/{}/bond/withdrawals", address(*who));
                pool.post(*who, &path, &json!({"amount": eth(amount)})).map(drop)
            }
            Try::PauseDeposits(who) => pool.post(*who, "/v1/deposits/pause", &json!({})).map(drop),
            Try::ResumeDeposits => pool.try_govern(Act::ResumeDeposits),
            Try::PauseOperator(who) => {
                let reason = Reason::new("tried").unwrap();
                pool.try_govern(Act::PauseOperator { operator: address(*who), reason })
            }
            Try::UnpauseOperator(who) => pool.try_govern(Act::UnpauseOperator { operator: address(*who) }),
            Try::Release(secret) => pool.try_govern(Act::ReleaseValidator { pubkey: key(*secret) }),
            Try::Compensate(secret) => pool.try_govern(Act::CompensateValidator { pubkey: key(*secret) }),
            Try::WindDown => pool.try_govern(Act::WindDownCluster { cluster }),
            Try::Close => pool.post(99, &format!("/v1/clusters/{cluster}/close"), &json!({})).map(drop),
            Try::Empty(who, route) => {
                let route = &routes::ROUTES[route.index(routes::ROUTES.len())];
                let path = route.path.replace("{cluster}", &cluster.to_string());
                let path = path.replace("{operator}", &address(101).to_string()).replace(['{', '}'], "");
                pool.send(*who, route.method, &path, &json!({})).map(drop)
            }
            _ => unreachable!("only what is left is asked here"),
        }
    }
}

/// What a history is of, and which bits of it fall over.
type History = (Vec<Try>, Vec<(Index, Index)>);

/// Lives a history, replays it, and looks at it with each bit fallen over. Gives the kinds of what happened.
fn live((tries, flips): History) -> Result<BTreeSet<String>, TestCaseError> {
    let mut world = World::begun();
    for one in &tries {
        world.try_one(one);
    }
    let begun = BEGUN.pool.log.len();
    let new = &world.pool.log[begun..];
    let mut replays = vec![BEGUN.replay.clone()];
    for stored in new {
        let mut next = replays[replays.len() - 1].clone();
        next.next(stored).unwrap();
        replays.push(next);
    }
    let replayed = replays[new.len()].clone().done().unwrap();
    prop_assert_eq!(replayed.head(), world.pool.ledger.head());
    prop_assert_eq!(replayed.state(), world.pool.state());
    let bytes = canonical::bytes(world.pool.state());
    let state = canonical::read::<State>(&bytes);
    prop_assert_eq!(state.as_ref(), Ok(world.pool.state()));
    for (entry, at) in flips.iter().filter(|_| !new.is_empty()) {
        let entry = entry.index(new.len());
        let mut stored = new[entry].clone();
        let bit = at.index(stored.len() * 8);
        stored[bit / 8] ^= 1 << (bit % 8);
        let found = replays[entry].clone().next(&stored);
        prop_assert_eq!(found.err().map(|corrupt| corrupt.seq), Some((begun + entry) as u64));
    }
    for stored in new {
        agree(&Sealed::read(stored).unwrap().entry.events);
    }
    Ok(new.iter().flat_map(|stored| kinds(stored)).collect())
}

/// Book and kind of all events of an entry.
fn kinds(stored: &[u8]) -> Vec<String> {
    let events = serde_json::to_value(Sealed::read(stored).unwrap().entry.events).unwrap();
    let only = |map: &Value| map.as_object().and_then(|map| map.keys().next().cloned());
    let kind = |event: &Value| {
        let book = only(event)?;
        let what = &event[&book];
        Some(format!("{book}/{}", only(what).or_else(|| what.as_str().map(str::to_owned))?))
    };
    events.as_array().unwrap().iter().filter_map(kind).collect()
}

fn histories() -> impl Strategy<Value = History> {
    let flips = prop::collection::vec((any::<Index>(), any::<Index>()), 8);
    (prop::collection::vec(one(), 1..60), flips)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_replays_and_no_wei_is_lost_and_no_bit_falls_over_unseen(history in histories()) {
        live(history)?;
    }
}

/// The same with chance that is always the same, so that what they come to is, too.
#[test]
fn histories_are_of_all_that_happens_to_a_pool() {
    let seen = RefCell::new(BTreeSet::new());
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let lived = TestRunner::new_with_rng(config, rng).run(&histories(), |history| {
        seen.borrow_mut().extend(live(history)?);
        Ok(())
    });
    if let Err(failure) = lived {
        panic!("{failure}");
    }
    let seen = seen.into_inner();
    let missing: Vec<_> = HAPPENS.iter().filter(|kind| !seen.contains(**kind)).collect();
    assert!(missing.is_empty(), "{missing:?} never happened; {seen:?} did");
}
