//! Whole histories of a pool, in any order: requests and sightings of all kinds, valid and not. Whatever was taken replays,
//! no wei is made or lost, and no bit of it can fall over unseen.

use super::*;
use crate::canonical;
use crate::formulas::ratio::BasisPoints;
use crate::ledger::ceremonies::tests as ceremonies;
use crate::ledger::governance::Act;
use crate::ledger::incidents::{Downtime, Fault};
use crate::ledger::operators::Reason;
use crate::ledger::policy::Policy;
use crate::ledger::testbed::frame::agree;
use crate::ledger::testbed::jar::{Jar, key, theirs};
use crate::ledger::testbed::{EPOCH, Pool, address, balanced, consistent, faults, kinds};
use alloy_primitives::U256;
use cluster::Lock;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use types::{Address, ClusterId, Epoch, Gwei, ValidatorIndex, ValidatorStatus, Wei};

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
    Offer(u8, u64),
    /// The same by all of its operators.
    Register(u64),
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
    /// Governance asks for a key's exit.
    Exit(u64),
    /// An operator signs it; it is asked for before, if it was not.
    SignExit(u64, u8),
    Broadcast(u64),
    PlanExits,
    ReviewExits,
    /// A validator is slashed, and the coordinator says so.
    Slash(u64),
    /// Two of its votes, signed at these places, the one and the other.
    Prove(u64, Vec<u8>, Vec<u8>),
    /// What a slashing has cost, in ETH.
    Loss(u64, u64),
    /// A block of this number paid somebody else, in ETH.
    Steals(u64, u8, u64),
    Down(u64),
    Missed(u64),
    /// At once, or when nobody may object any more.
    Settle(u64, bool),
    /// A slashing from its beginning to its end, with a loss in ETH.
    Lose(u64, u64),
    Dismiss(u64),
    /// All penalties of a slashing have come.
    FinalizeFar,
    /// Something comes for the reserve, in thousandths of an ETH.
    Endow(u16, u32),
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
        2 => (100..106u8, secret()).prop_map(|(who, secret)| Try::Offer(who, secret)),
        2 => secret().prop_map(Try::Register),
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
        4 => (operator(), 1..30u16).prop_map(|(who, eth)| Try::BondBack(who, eth)),
        1 => (20..23u8).prop_map(Try::PauseDeposits),
        1 => Just(Try::ResumeDeposits),
        1 => operator().prop_map(Try::PauseOperator),
        1 => operator().prop_map(Try::UnpauseOperator),
        1 => Just(Try::WindDown),
        2 => (4..7u64).prop_map(Try::Exit),
        6 => (4..7u64, 1..5u8).prop_map(|(secret, place)| Try::SignExit(secret, place)),
        1 => (4..7u64).prop_map(Try::Broadcast),
        2 => Just(Try::PlanExits),
        1 => Just(Try::ReviewExits),
        1 => Just(Try::Close),
        2 => (10..120u8, any::<Index>()).prop_map(|(who, route)| Try::Empty(who, route)),
    ];
    let reports = prop_oneof![
        3 => Just(Try::Idle),
        8 => (-20_000_000..60_000_000i32).prop_map(Try::Earn),
        3 => (100..106u8, operator(), 0..300u64).prop_map(|(by, of, seen)| Try::Say(by, of, seen)),
        6 => (110..116u8).prop_map(Try::ClaimRewards),
    ];
    let (incident, quorum) = (|| 0..4u64, || prop::sample::subsequence(vec![1u8, 2, 3, 4], 2..=4));
    let losses = prop_oneof![
        3 => (4..7u64).prop_map(Try::Slash),
        2 => (incident(), quorum(), quorum()).prop_map(|(no, one, other)| Try::Prove(no, one, other)),
        5 => (incident(), 0..30u64).prop_map(|(no, eth)| Try::Loss(no, eth)),
        2 => (4..7u64, 1..4u8, 1..60u64).prop_map(|(secret, no, eth)| Try::Steals(secret, no, eth)),
        1 => (1..20u64).prop_map(Try::Down),
        1 => (4..7u64).prop_map(Try::Missed),
        5 => (incident(), any::<bool>()).prop_map(|(no, late)| Try::Settle(no, late)),
        8 => (4..7u64, 0..60u64).prop_map(|(secret, eth)| Try::Lose(secret, eth)),
        4 => incident().prop_map(Try::Dismiss),
        2 => Just(Try::FinalizeFar),
        1 => (1..2000u16, 10..40u32).prop_map(|(eth, no)| Try::Endow(eth, no)),
        10 => (operator(), 1..40u16, 10..90u32).prop_map(|(who, eth, no)| Try::Bond(who, eth, no)),
    ];
    prop_oneof![4 => money, 7 => deposits, 3 => office, 4 => reports, 5 => losses]
}

/// A pool with a cluster, and its chain.
struct World {
    pool: Pool,
    jar: Jar,
    cluster: ClusterId,
}

/// What must happen in some of these histories: where nothing does, nothing is proved.
const HAPPENS: [&str; 53] = [
    "bonds/claimed",
    "bonds/credited",
    "bonds/deposited",
    "bonds/penalised",
    "ceremonies/agreed",
    "ceremonies/locked",
    "ceremonies/offered",
    "chain/finalized",
    "chain/stake",
    "clusters/stands",
    "deposits/activates",
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
    "exits/asked",
    "exits/contributed",
    "exits/exited",
    "exits/seen",
    "exits/withdrawn",
    "governance/closed",
    "governance/deposits_paused",
    "incidents/closed",
    "incidents/dismissed",
    "incidents/frozen",
    "incidents/opened",
    "incidents/paid",
    "incidents/proven",
    "incidents/repaid",
    "incidents/seen",
    "money/claimed",
    "money/covered",
    "money/endowed",
    "money/forgiven",
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
    "reports/repaid",
    "reports/reported",
    "reports/stated",
];

/// Bounds that let a report through whatever was lost, and requests be served at once: what is refused is other tests'.
fn charter() -> Charter {
    let mut charter = crate::ledger::charter::tests::charter();
    let mut terms = charter.policy.terms().clone();
    terms.delegations.request_age_min_s = 0;
    terms.losses.cluster_stands = true;
    terms.losses.objection_s = charter.timelock_s + 1;
    (terms.exits.delayed_s, terms.exits.delinquent_s, terms.exits.cooldown_s) = (1, 2, 3);
    terms.reports.bounds.cl_decrease_max = BasisPoints::WHOLE;
    terms.reports.bounds.positive_rebase_max_ppb = 1_000_000_000;
    charter.policy = Policy::new(terms).unwrap();
    charter
}

/// Keys of validators that are active from the beginning.
const ACTIVE: [u64; 2] = [5, 6];

/// A pool, its chain, its log so far, and what was made for a second cluster of it.
struct Begun {
    pool: Pool,
    jar: Jar,
    replay: Replay,
    cluster: ClusterId,
    lock: Lock,
}

/// A pool with a cluster that may have five keys: two have duties, and are old enough to exit; one more may get its deposits.
/// A second cluster has made a lock, which nobody has brought.
static BEGUN: LazyLock<Begun> = LazyLock::new(|| {
    let (mut pool, mut jar) = (Pool::of(charter()), Jar::new());
    pool.finalize(EPOCH);
    pool.see("network-stake", &json!({"epoch": EPOCH.to_string(), "active": "35000000000000000"})).unwrap();
    let team = pool.team();
    let cluster = pool.cluster(team.clone(), 5);
    let second = pool.cluster(team, 1);
    let lock = ceremonies::lock(&pool.state().definition(second).unwrap());
    pool.pay(70, "170", 0).unwrap();
    pool.activate(&mut jar, cluster, &ACTIVE);
    // Bonds are what six keys require, five and one: 8.9 ETH.
    for manager in 101..105 {
        let path = format!("/v1/operators/{}/bond/withdrawals", address(manager));
        pool.post(manager, &path, &json!({"amount": eth("11.1")})).unwrap();
    }
    pool.arrive("reserve-paid", 73, "2", 1).unwrap();
    pool.register(cluster, &[1]).unwrap();
    jar.pass(256);
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
                (1..7).for_each(|secret| self.jar.earn(key(secret), i64::from(*gwei)));
                self.pool.report(&mut self.jar).map(drop)
            }
            Try::Lose(secret, eth) => self.lose(*secret, *eth),
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
        consistent(self.pool.state());
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
            Try::Exit(_) | Try::SignExit(..) | Try::Broadcast(_) | Try::PlanExits | Try::ReviewExits => {
                self.ask_exits(one)
            }
            Try::Slash(_) | Try::Prove(..) | Try::Loss(..) | Try::Steals(..) | Try::Down(_) => {
                self.ask_losses(one)
            }
            Try::Missed(_) | Try::Settle(..) | Try::Dismiss(_) | Try::Endow(..) => self.ask_losses(one),
            Try::Offer(..)
            | Try::Register(_)
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
            Try::Register(secret) => self.pool.register(self.cluster, &[secret]),
            Try::Offer(who, secret) => {
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

    fn lose(&mut self, secret: u64, eth: u64) -> Result<(), AppendError> {
        let incident = self.pool.state().incidents.next();
        self.ask_losses(&Try::Slash(secret))?;
        self.ask_losses(&Try::Prove(incident, vec![1, 2, 3], vec![2, 3, 4]))?;
        self.ask_office(&Try::FinalizeFar)?;
        self.ask_office(&Try::Finalize(1))?;
        self.ask_losses(&Try::Loss(incident, eth))?;
        self.ask_losses(&Try::Settle(incident, false))
    }

    fn index(&self, secret: u64) -> ValidatorIndex {
        let known = self.pool.state().deposits.validators().get(&key(secret));
        known.and_then(|known| known.index).unwrap_or(ValidatorIndex(99))
    }

    fn ask_losses(&mut self, one: &Try) -> Result<(), AppendError> {
        let finalized = self.pool.state().chain.finalized.epoch.0;
        let tell = |pool: &mut Pool, fault: Fault| {
            let (kind, body) = faults::told(fault);
            pool.see(kind, &body).map(drop)
        };
        match *one {
            Try::Slash(secret) => {
                let active = self.jar.validators.get(&key(secret));
                if active.is_some_and(|seen| seen.status == ValidatorStatus::ActiveOngoing) {
                    self.jar.slash(secret, 7_812_500);
                }
                let fault = faults::slashing(self.index(secret), finalized);
                tell(&mut self.pool, fault)
            }
            Try::Prove(incident, ref one, ref other) => {
                let known = self.pool.state().incidents.incidents().get(&incident);
                let epoch = known.map_or(EPOCH, |known| known.opened.epoch.0);
                let index = known.and_then(|known| match known.opened.fault {
                    Fault::Slashing(slashing) => Some(slashing.validator),
                    _ => None,
                });
                let secret = (4..7).find(|secret| Some(self.index(*secret)) == index).unwrap_or(5);
                let body = faults::conflict(&self.pool, secret, epoch, [one, other]);
                self.pool.post(99, &format!("/v1/incidents/{incident}/evidence"), &body).map(drop)
            }
            Try::Loss(incident, eth) => {
                let lost = (eth * 1_000_000_000 + 7_812_500).to_string();
                let body = json!({"incident": incident, "epoch": finalized.to_string(), "lost": lost});
                self.pool.see("slashing-look", &body).map(drop)
            }
            Try::Steals(secret, no, amount) => {
                let fault = faults::theft(self.index(secret), finalized, eth(amount), no);
                tell(&mut self.pool, fault)
            }
            Try::Down(gwei) => {
                let (from, until) = (Epoch(finalized), Epoch(finalized));
                let cost = Gwei(gwei * 100_000_000);
                tell(&mut self.pool, Fault::Downtime(Downtime { cluster: self.cluster, from, until, cost }))
            }
            Try::Missed(secret) => {
                let path = format!("/v1/incidents/missed-exits/{}", self.index(secret));
                self.pool.post(99, &path, &json!({})).map(drop)
            }
            Try::Settle(incident, late) => {
                let wait = if late { self.pool.state().policy.terms().losses.objection_s } else { 0 };
                self.pool.now += wait;
                self.pool.post(99, &format!("/v1/incidents/{incident}/settle"), &json!({})).map(drop)
            }
            Try::Dismiss(incident) => {
                let reason = Reason::new("tried").unwrap();
                self.pool.try_govern(Act::DismissIncident { incident, reason })
            }
            Try::Endow(amount, no) => {
                let amount = format!("{}.{:03}", amount / 1000, amount % 1000);
                self.pool.arrive("reserve-paid", 73, &amount, no).map(drop)
            }
            _ => unreachable!("only what is about losses is asked here"),
        }
    }

    fn ask_exits(&mut self, one: &Try) -> Result<(), AppendError> {
        let (cluster, secret) = match *one {
            Try::Exit(secret) | Try::SignExit(secret, _) | Try::Broadcast(secret) => (self.cluster, secret),
            _ => (self.cluster, ACTIVE[0]),
        };
        let index = self.index(secret);
        let pool = &mut self.pool;
        match *one {
            Try::Exit(_) => {
                let validators = [index].into();
                pool.try_govern(Act::ExitValidator { validators })
            }
            // Who has nothing to sign is asked first, if there is such a validator.
            Try::SignExit(secret, place) => {
                if !pool.state().exits.exits().contains_key(&index) {
                    pool.try_govern(Act::ExitValidator { validators: [index].into() })?;
                }
                pool.sign_exit(cluster, secret, place).map(drop)
            }
            Try::Broadcast(_) => {
                let body = json!({"validator": index});
                pool.see("exit-broadcast", &body).map(drop)
            }
            Try::PlanExits => pool.see("exits-plan", &json!({})).map(drop),
            Try::ReviewExits => pool.see("exits-review", &json!({})).map(drop),
            _ => unreachable!("only what is about exits is asked here"),
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
                pool.finalize(pool.state().chain.finalized.epoch.0 + more);
                Ok(())
            }
            Try::FinalizeFar => {
                pool.finalize(pool.state().chain.finalized.epoch.0 + 8193);
                Ok(())
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
    balanced(&world.pool);
    for stored in new {
        agree(&Sealed::read(stored).unwrap().entry.events);
    }
    Ok(new.iter().flat_map(|stored| kinds(&Sealed::read(stored).unwrap())).collect())
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
    let config = ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() };
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
