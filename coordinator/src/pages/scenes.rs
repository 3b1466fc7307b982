//! Pools that pages are shown of.

use super::{Digest, Facts, Page, Place, Strips, Sums, page};
use crate::board::Board;
use crate::ledger::charter::{Charter, tests::charter};
use crate::ledger::governance::Act;
use crate::ledger::incidents::{Downtime, Fault};
use crate::ledger::operators::Reason;
use crate::ledger::testbed::jar::{self, Jar, STAKED};
use crate::ledger::testbed::{EPOCH, Pool, START, address, faults};
use crate::ledger::{Entry, Sealed};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use types::{ClusterId, Epoch, ForkVersion, Gwei, Root, ValidatorIndex, Wei};

/// What somebody would write who wishes to write pages.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"'&<img src=x onerror=x>";

/// A pool with content, and the chain that it is of.
pub(crate) struct Scene {
    pub(crate) pool: Pool,
    pub(crate) jar: Jar,
    /// With validators.
    pub(crate) cluster: ClusterId,
    /// Whose ceremony runs.
    pub(crate) ceremony: ClusterId,
    /// Whose operators are asked.
    pub(crate) asked: ClusterId,
    pub(crate) strips: Strips,
}

/// A charter on a chain of its own, on which the testbed's first epoch begins at a time in Unix seconds.
pub(crate) fn charter_since(begin: u64) -> Charter {
    let mut charter = charter();
    let network = &mut charter.network;
    network.genesis_time_ms = begin * 1_000 - EPOCH * network.slots_per_epoch * network.slot_ms;
    (network.name, network.chain_id) = ("meadow".to_owned(), 7_700_077);
    network.genesis_fork_version = ForkVersion([0x77, 0, 0, 1]);
    charter
}

/// How long a scene takes, in seconds.
static LENGTH: LazyLock<u64> = LazyLock::new(|| Scene::since(START).pool.now - START);

impl Scene {
    /// The same, that ends a minute before a time: what pages then say of times is true.
    pub(crate) fn until(now: u64) -> Self {
        Self::since(now - *LENGTH - 60)
    }

    /// Reports, deposits, exits, incidents, announcements, a draw and a ceremony, of some weeks since a time.
    pub(crate) fn since(begin: u64) -> Self {
        let mut pool = Pool::since(charter_since(begin), begin);
        pool.finalize(EPOCH);
        let stake = json!({"epoch": EPOCH.to_string(), "active": "35000000000000000"});
        pool.see("network-stake", &stake).unwrap();
        let team = pool.team();
        let cluster = pool.cluster(team.clone(), 4);
        for (payer, eth, index) in [(71, "96", 1), (72, "64.25", 2), (73, "12.000000000000000001", 3)] {
            pool.pay(payer, eth, index).unwrap();
        }
        let mut jar = Jar::new();
        pool.activate(&mut jar, cluster, &[1, 2, 3, 4]);
        jar.go_to(32 * STAKED);
        pool.look(&jar).unwrap();
        let mut scene =
            Self { pool, jar, cluster, ceremony: cluster, asked: cluster, strips: Strips::default() };
        scene.frames();
        scene.money();
        scene.exits();
        scene.people();
        // Who owes is in no new cluster.
        scene.ceremony = scene.pool.cluster(team, 1);
        scene.trouble();
        scene.draw();
        scene.on_duty();
        scene
    }

    /// Reports in which it earns, now more, now less; an operator was dark for a while, and a cluster lost something.
    fn frames(&mut self) {
        let Self { pool, jar, cluster, .. } = self;
        for frame in 0..14_u64 {
            for secret in 1..=4 {
                let gwei =
                    if frame == 9 { -150_000 } else { 1_600_000 + 60_000 * ((frame * secret) % 7) as i64 };
                jar.earn(jar::key(secret), gwei);
            }
            if (4..7).contains(&frame) {
                for by in 101..104 {
                    pool.say(by, *cluster, &[(address(104), 300 * (frame - 3))]).unwrap();
                }
            }
            if frame % 5 == 2 {
                pool.arrive("rewards", 77, "0.0314", 100 + frame as u32).unwrap();
            }
            pool.report(jar).unwrap();
        }
    }

    fn money(&mut self) {
        let Self { pool, jar, .. } = self;
        let eth = |eth| json!({"amount": {"eth": Wei::from_eth(eth).unwrap()}});
        pool.post(
            71,
            "/v1/shares/transfers",
            &json!({"to": address(74), "amount": {"eth": Wei::from_eth("4").unwrap()}}),
        )
        .unwrap();
        pool.post(71, "/v1/withdrawals", &eth("2")).unwrap();
        pool.post(72, "/v1/withdrawals", &eth("1.5")).unwrap();
        pool.now += 7_680;
        (1..=4).for_each(|secret| jar.earn(jar::key(secret), 1_700_000));
        pool.report(jar).unwrap();
        pool.post(71, "/v1/withdrawals/0/claim", &json!({})).unwrap();
        let due = pool.state().money.payouts()[&0];
        let paid = json!({"payout": 0, "payment": Pool::reference(40), "to": due.to, "eth": due.eth});
        pool.see("paid-out", &paid).unwrap();
        pool.pay(73, "0.0000000005", 41).unwrap();
        pool.post(111, "/v1/rewards/claims", &json!({})).unwrap();
        pool.post(72, "/v1/withdrawals", &eth("40")).unwrap();
    }

    /// Governance asks for an exit, and some have signed.
    fn exits(&mut self) {
        let Self { pool, cluster, .. } = self;
        pool.adopt(Act::ExitValidator { validators: [pool.index(3)].into() });
        for place in [1, 2] {
            pool.sign_exit(*cluster, 3, place).unwrap();
        }
    }

    /// More operators, one with a name that is none; some announce, one is paused for a reason that is none.
    fn people(&mut self) {
        let pool = &mut self.pool;
        for (index, manager) in (200..).zip(141..=146_u8) {
            let mut application = pool.application(manager, manager + 10, manager + 20);
            application["entity"] =
                json!(if manager == 141 { HOSTILE.to_owned() } else { format!("Wiese {manager}") });
            pool.post(manager, "/v1/operators", &application).unwrap();
            pool.govern(Act::VetOperator { operator: address(manager) }).unwrap();
            pool.deposit_for(address(manager), "25", index).unwrap();
            let path = |rest: &str| format!("/v1/operators/{}/{rest}", address(manager));
            pool.post(manager, &path("activate"), &json!({})).unwrap();
        }
        let path = |rest: &str| format!("/v1/operators/{}/{rest}", address(102));
        pool.post(102, &path("services"), &json!({"service": "oracle", "amount": "100000000000000"}))
            .unwrap();
        pool.post(102, &path("announcements"), &json!({"reward": address(42)})).unwrap();
        let reason = Reason::new(HOSTILE).unwrap();
        pool.adopt(Act::PauseOperator { operator: address(141), reason });
    }

    /// One incident is open, one is paid and owed for, one was none.
    fn trouble(&mut self) {
        let Self { pool, cluster, .. } = self;
        let epoch = pool.state().chain.finalized.epoch;
        let down = |cost| Downtime {
            cluster: *cluster,
            from: Epoch(epoch.0 - cost),
            until: epoch,
            cost: Gwei(cost),
        };
        let stolen = faults::theft(pool.index(1), epoch.0, Wei::from_eth("90.5").unwrap(), 7);
        for fault in [stolen, Fault::Downtime(down(2)), Fault::Downtime(down(3))] {
            let (kind, body) = faults::told(fault);
            pool.see(kind, &body).unwrap();
        }
        let reason = Reason::new(HOSTILE).unwrap();
        pool.govern(Act::DismissIncident { incident: 1, reason }).unwrap();
        pool.now += pool.state().policy.terms().losses.objection_s;
        pool.post(99, "/v1/incidents/0/settle", &json!({})).unwrap();
    }

    /// A cluster is drawn, and its operators are asked.
    fn draw(&mut self) {
        let pool = &mut self.pool;
        let now = pool.state().epoch_at(pool.now).max(pool.state().chain.finalized.epoch);
        let asked = pool.drawn(1, now.0 + 1);
        self.asked = asked[0];
        let operators = pool.state().calls.answers.clusters[&self.asked].proposed.operators.clone();
        let first = (1..=u8::MAX).find(|byte| address(*byte) == operators[0]).unwrap();
        pool.post(first, &format!("/v1/clusters/{}/accept", self.asked), &json!({})).unwrap();
    }

    /// A node has said who was on duty: mostly everybody, then one less, then nobody; and not always.
    fn on_duty(&mut self) {
        self.strips.watch();
        let state = self.pool.state();
        let last = state.epoch_at(self.pool.now).0;
        for back in (1..60).filter(|back| back % 17 != 5) {
            let epoch = Epoch(last - back);
            let asked = super::strip::on_duty(state, epoch);
            let live =
                |(at, index): (u64, &ValidatorIndex)| (*index, !(back % 13 == 4 && at < 1 || back == 30));
            let said: BTreeMap<_, _> = (0..).zip(asked.keys()).map(live).collect();
            self.strips.record(epoch, &asked, &said);
        }
    }

    /// All places that have a page.
    pub(crate) fn places(&self) -> Vec<Place> {
        let Self { cluster, ceremony, asked, .. } = *self;
        vec![
            Place::Overview,
            Place::Clusters,
            Place::Cluster(cluster),
            Place::Cluster(ceremony),
            Place::Operators,
            Place::Operator(address(102)),
            Place::Operator(address(104)),
            Place::Operator(address(141)),
            Place::Delegator(address(71)),
            Place::Delegator(address(72)),
            Place::Delegator(address(250)),
            Place::Ceremony(ceremony),
            Place::Ceremony(asked),
            Place::Reports,
            Place::Report(0),
            Place::Report(10),
            Place::Incidents,
        ]
    }

    pub(crate) fn page(&self, place: Place) -> Result<Page, String> {
        shown(&self.pool, &self.strips, place)
    }
}

/// A page of a pool, at its time, with nobody at any ceremony.
pub(crate) fn shown(pool: &Pool, strips: &Strips, place: Place) -> Result<Page, String> {
    let read = |entry: &Vec<u8>| -> Entry { Sealed::read(entry).unwrap().entry };
    let mut digest = Digest::default();
    pool.log.iter().for_each(|entry| digest.take(&read(entry)));
    let (board, sums) = (Board::default(), Sums::of(pool.state()));
    let facts = Facts {
        state: pool.state(),
        entries: pool.log.len() as u64,
        at: pool.ledger.at(),
        now: pool.now,
        digest: &digest,
        sums: &sums,
        strips,
        head: None,
        entry: &|seq| pool.log.get(seq as usize).map(read),
        notice: &|cluster| board.notice(pool.now, pool.state(), cluster),
    };
    page(&facts, &place)
}

/// Nothing that anybody has.
pub(crate) const NOBODY: ClusterId = Root([0x0b; 32]);
