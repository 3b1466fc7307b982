//! A log with an entry of every kind, and what may be done to it without anybody noticing: nothing.

use super::*;
use crate::canonical;
use crate::ledger::ceremonies::tests as ceremonies;
use crate::ledger::charter::tests::charter;
use crate::ledger::deposits::Stage;
use crate::ledger::governance::Act;
use crate::ledger::head::{Audit, AuditError, Head, SignedHead, audit};
use crate::ledger::incidents::{Downtime, Fault, Slashing};
use crate::ledger::operators::{Kind, Reason};
use crate::ledger::policy::Policy;
use crate::ledger::quorum::Quorum;
use crate::ledger::routes::{KINDS, MANY, ROUTES};
use crate::ledger::state::ActRefusal;
use crate::ledger::testbed::jar::{self, Jar};
use crate::ledger::testbed::{EPOCH, MANAGER, NODE, Pool, REWARD, START, address, balanced, faults, setup};
use crate::ledger::{chain, clusters};
use crate::test_keys::Wallet;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use types::spec::ForkEpoch;
use types::{ClusterId, Epoch, ForkVersion, Gwei, Root, Wei};

use crate::text::Label;

/// Money comes, changes hands, is asked back and paid.
fn money(pool: &mut Pool, jar: &mut Jar) {
    let (one, other) = (address(71), address(72));
    pool.see("network-stake", &json!({"epoch": EPOCH.to_string(), "active": "35000000000000000"})).unwrap();
    pool.pay(71, "80", 1).unwrap();
    let eth = |eth| json!({"eth": Wei::from_eth(eth).unwrap()});
    pool.post(71, "/v1/shares/transfers", &json!({"to": other, "amount": eth("4")})).unwrap();
    pool.post(71, "/v1/withdrawals", &json!({"amount": eth("2")})).unwrap();
    for (kind, index) in [("rewards", 2), ("cover", 3)] {
        pool.arrive(kind, 73, "0.001", index).unwrap();
    }
    pool.now += 7680;
    pool.report(jar).unwrap();
    pool.post(71, "/v1/withdrawals/0/claim", &json!({})).unwrap();
    let due = pool.state().money.payouts()[&0];
    assert_eq!((due.to, due.eth), (one, Wei::from_eth("2").unwrap()));
    let paid = json!({"payout": 0, "payment": Pool::reference(4), "to": one, "eth": due.eth});
    pool.see("paid-out", &paid).unwrap();
}

/// Payments of a block in one observation, one of which was counted before.
fn many(pool: &mut Pool) {
    let payment = |index: u32| {
        let body = json!({"reference": Pool::reference(index), "payer": address(74), "eth": Wei::from_eth("1").unwrap()});
        json!(["payment", body])
    };
    let sealed = pool.see("many", &json!([payment(91), payment(1), payment(92)])).unwrap();
    let passed = |event: &Event| matches!(event, Event::PassedOver { .. });
    assert_eq!(sealed.entry.events.iter().map(passed).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(sealed.entry.events[1], Event::PassedOver { item: 1 });
}

/// A cluster gets a validator, loses a deposit to another's credentials, winds down and is closed.
fn deposits(pool: &mut Pool, jar: &mut Jar) {
    let team = pool.team();
    let cluster = pool.cluster(team, 3);
    let path = |rest: &str| format!("/v1/clusters/{cluster}/{rest}");
    pool.register(cluster, &[1, 2, 3]).unwrap();
    jar.go_on(|_| false);
    pool.look(jar).unwrap();
    // A batch that is given up, and the same again.
    pool.see("plan", &json!({})).unwrap();
    pool.see("given-up", &json!({"batch": 0, "deposit_root": Root([1; 32])})).unwrap();
    pool.see("plan", &json!({})).unwrap();
    pool.approve(1).unwrap();
    // The second key's holders are first with credentials of their own.
    let stolen = pool.offer(2).predeposit;
    jar.deposit(jar::key(2), jar::theirs(), stolen.amount, stolen.signature);
    pool.send_batch(jar, 1).unwrap();
    jar.go_on(|_| false);
    pool.look(jar).unwrap();
    let stage = |pool: &Pool, secret| pool.state().deposits.validators()[&jar::key(secret)].stage;
    assert_eq!([1, 2].map(|secret| stage(pool, secret)), [Stage::Proven, Stage::Foreign]);
    pool.govern(Act::ReleaseValidator { pubkey: jar::key(2) }).unwrap();
    pool.govern(Act::CompensateValidator { pubkey: jar::key(2) }).unwrap();
    for batch in [2, 3] {
        pool.see("plan", &json!({})).unwrap();
        pool.approve(batch).unwrap();
        pool.send_batch(jar, batch).unwrap();
        jar.go_on(|_| false);
        pool.look(jar).unwrap();
    }
    jar.go_on(|_| false);
    pool.look(jar).unwrap();
    assert_eq!([1, 3].map(|secret| stage(pool, secret)), [Stage::Active; 2]);
    assert_eq!(pool.state().clusters.get(cluster).unwrap().stage, clusters::Stage::Active);
    pool.report(jar).unwrap();
    // A frame in which it earns; one of its operators was dark, as another has seen.
    pool.say(101, cluster, &[(address(104), 0)]).unwrap();
    jar.earn(jar::key(1), 500_000);
    pool.report(jar).unwrap();
    pool.post(111, "/v1/rewards/claims", &json!({})).unwrap();
    // Who owes, or is late with an exit, is in no new cluster.
    calls(pool);
    ceremony(pool);
    // Its validators are old enough to exit.
    jar.pass(256);
    pool.look(jar).unwrap();
    exits(pool, cluster);
    losses(pool, cluster);
    pool.adopt(Act::WindDownCluster { cluster });
    assert!(pool.post(99, &path("close"), &json!({})).is_err(), "it holds stake");
    for _ in 0..4 {
        jar.go_on(|_| true);
        pool.look(jar).unwrap();
    }
    pool.post(99, &path("close"), &json!({})).unwrap();
    pool.report(jar).unwrap();
    let backed = pool.state().bonds.account(address(101)).keys;
    assert!(backed.iter().all(|keys| keys.cluster != cluster), "{backed:?}");
}

/// Clusters are called for, and fall: somebody declines, and somebody does not answer.
fn calls(pool: &mut Pool) {
    for declines in [true, false] {
        let now = pool.state().epoch_at(pool.now).max(pool.state().chain.finalized.epoch);
        let asked = pool.drawn(1, now.0 + 1);
        let [cluster] = asked[..] else { panic!("one of four: {asked:?}") };
        let path = |rest: &str| format!("/v1/clusters/{cluster}/{rest}");
        if declines {
            pool.post(103, &path("decline"), &json!({})).unwrap();
        } else {
            pool.post(101, &path("accept"), &json!({})).unwrap();
            pool.now += pool.state().policy.terms().formation.answer_s;
            pool.post(99, &path("lapse"), &json!({})).unwrap();
        }
        assert!(!pool.state().calls.outlines.contains_key(&cluster));
    }
}

/// Governance wants one validator to exit, withdrawals need the other; operators are late with it.
fn exits(pool: &mut Pool, cluster: ClusterId) {
    pool.adopt(Act::ExitValidator { validators: [pool.index(3)].into() });
    let sixty = json!({"amount": {"eth": Wei::from_eth("60").unwrap()}});
    pool.post(71, "/v1/withdrawals", &sixty).unwrap();
    pool.see("exits-plan", &json!({})).unwrap();
    pool.sign_exit(cluster, 3, 1).unwrap();
    pool.now += pool.state().policy.terms().exits.delinquent_s;
    pool.see("exits-review", &json!({})).unwrap();
    for (secret, place) in [(3, 2), (3, 4), (1, 1), (1, 2), (1, 3)] {
        pool.sign_exit(cluster, secret, place).unwrap();
    }
    let validator = pool.index(1);
    pool.see("exit-broadcast", &json!({"validator": validator})).unwrap();
    pool.see("exit-triggered", &json!({"validator": validator, "tx": Root([6; 32])})).unwrap();
}

/// A slashing is proven, and was one of another chain; a block is stolen, a cluster down, an exit missed, and somebody pays.
fn losses(pool: &mut Pool, cluster: ClusterId) {
    pool.arrive("reserve-paid", 73, "0.5", 960).unwrap();
    let epoch = pool.state().chain.finalized.epoch;
    let slashing = Slashing {
        validator: pool.index(1),
        fault: epoch,
        slashed: epoch,
        withdrawable: Epoch(epoch.0 + 8192),
        effective: Gwei(32_000_000_000),
        whistleblower: Gwei(0),
    };
    let down = Downtime { cluster, from: epoch, until: epoch, cost: Gwei(5) };
    let theft = faults::theft(pool.index(3), epoch.0, Wei::from_eth("80").unwrap(), 7);
    for fault in [Fault::Slashing(slashing), theft, Fault::Downtime(down)] {
        let (kind, body) = faults::told(fault);
        pool.see(kind, &body).unwrap();
    }
    let missed = format!("/v1/incidents/missed-exits/{}", pool.index(3));
    pool.post(99, &missed, &json!({})).unwrap();
    let evidence = faults::conflict(pool, 1, epoch.0, [&[1, 2, 3], &[2, 3, 4]]);
    pool.post(99, "/v1/incidents/0/evidence", &evidence).unwrap();
    let looked = json!({"incident": 0, "epoch": epoch, "lost": "1000000000"});
    pool.see("slashing-look", &looked).unwrap();
    let reason = Reason::new("one of another chain").unwrap();
    pool.govern(Act::DismissIncident { incident: 0, reason }).unwrap();
    pool.now += pool.state().policy.terms().losses.objection_s;
    for incident in 1..=3 {
        pool.post(99, &format!("/v1/incidents/{incident}/settle"), &json!({})).unwrap();
    }
    pool.deposit_for(address(101), "0.01", 961).unwrap();
    balanced(pool);
}

/// The same operators make another cluster, of keys that a ceremony has made.
fn ceremony(pool: &mut Pool) {
    let cluster = pool.cluster([101, 102, 103, 104].map(address).to_vec(), 1);
    let lock = ceremonies::lock(&pool.state().definition(cluster).unwrap());
    pool.post(122, &format!("/v1/clusters/{cluster}/lock"), &ceremonies::value(&lock)).unwrap();
    assert_eq!(pool.state().clusters.get(cluster).unwrap().stage, clusters::Stage::Keyed);
}

/// Every route, every kind of sighting and every act, at least once.
fn story() -> Pool {
    let mut charter = charter();
    let known = charter.network.forks.pop().unwrap();
    let mut pool = Pool::of(charter);
    let operator = address(MANAGER);
    let mut jar = Jar::new();
    pool.finalize(EPOCH);
    pool.see("executed", &json!({"number": "7", "hash": Root([5; 32])})).unwrap();
    money(&mut pool, &mut jar);
    many(&mut pool);
    deposits(&mut pool, &mut jar);
    pool.active("5");
    pool.operate(MANAGER, "PUT", "setup", &setup("reth")).unwrap();
    pool.operate(MANAGER, "POST", "services", &json!({"service": "oracle", "amount": "1000"})).unwrap();
    pool.operate(MANAGER, "DELETE", "services/oracle", &json!({})).unwrap();
    pool.operate(REWARD, "POST", "bond/withdrawals", &json!({"amount": "1000"})).unwrap();
    let reference = json!({"hash": Root([3; 32]), "index": 7});
    pool.see("bond-paid", &json!({"claim": 0, "reference": reference})).unwrap();
    // Addresses change, one of them against somebody's will.
    pool.operate(MANAGER, "POST", "announcements", &json!({"reward": address(42)})).unwrap();
    pool.operate(MANAGER, "DELETE", "announcements/reward", &json!({})).unwrap();
    pool.operate(MANAGER, "POST", "announcements", &json!({"manager": address(32)})).unwrap();
    pool.now += pool.state().policy.terms().announcement_s;
    pool.operate(32, "POST", "announcements/manager/effect", &json!({})).unwrap();
    pool.operate(32, "POST", "announcements", &json!({"reward": address(99)})).unwrap();
    pool.adopt(Act::CallOff { operator, what: Kind::Reward });
    pool.govern(Act::ReplaceManager { operator, manager: address(33) }).unwrap();
    pool.adopt(Act::PauseOperator { operator, reason: Reason::new("late exits").unwrap() });
    pool.govern(Act::UnpauseOperator { operator }).unwrap();
    pool.govern(Act::SetStakeCap { operator, stake: Gwei(32_000_000_000) }).unwrap();
    // Deposits stop and go on.
    pool.post(21, "/v1/deposits/pause", &json!({})).unwrap();
    pool.govern(Act::ResumeDeposits).unwrap();
    // Another policy; somebody thinks better of the next.
    let mut terms = pool.state().policy.terms().clone();
    terms.announcement_s = 3600;
    let policy = Box::new(Policy::new(terms).unwrap());
    pool.govern(Act::ChangePolicy(policy.clone())).unwrap();
    let motion = pool.adopt(Act::ChangePolicy(policy));
    for key in [11, 12] {
        pool.post(key, &format!("/v1/governance/proposals/{}/cancel", motion.id()), &json!({})).unwrap();
    }
    pool.govern(Act::AddFork(ForkEpoch { epoch: Epoch(400_000), ..known })).unwrap();
    pool.govern(Act::DismissOperator { operator }).unwrap();
    pool.operate(99, "POST", "depart", &json!({})).unwrap();
    // Everybody goes.
    let quorum = |bytes: &[u8]| Quorum::new(&bytes.iter().map(|byte| address(*byte)).collect::<Vec<_>>(), 2);
    pool.govern(Act::RotateGuardians(quorum(&[23, 24, 25]).unwrap())).unwrap();
    pool.govern(Act::RotateGovernance(quorum(&[13, 14, 15]).unwrap())).unwrap();
    pool.govern(Act::RotateCoordinator { coordinator: address(2) }).unwrap();
    pool.coordinator(2);
    pool.finalize(pool.state().chain.finalized.epoch.0 + 1);
    pool
}

pub(crate) static STORY: LazyLock<Pool> = LazyLock::new(story);

fn signed(ledger: &Ledger, by: u8) -> SignedHead {
    let head = ledger.head();
    SignedHead { head, signature: Wallet::new(by).sign(head.digest(ledger.state().charter.network.chain_id)) }
}

/// The ledger before each entry, and at the end.
fn replays(log: &[Vec<u8>]) -> Vec<Replay> {
    let mut all = vec![Replay::default()];
    for stored in log {
        let mut next = all[all.len() - 1].clone();
        next.next(stored).unwrap();
        all.push(next);
    }
    all
}

#[test]
fn the_story_has_an_entry_of_every_kind() {
    let (mut routes, mut kinds, mut acts, mut events) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for stored in &STORY.log {
        let entry = Sealed::read(stored).unwrap().entry;
        for event in serde_json::to_value(&entry.events).unwrap().as_array().unwrap() {
            let (book, what) = event.as_object().unwrap().iter().next().unwrap();
            events
                .insert(format!("{book} {}", what.as_object().map_or("", |map| map.keys().next().unwrap())));
        }
        match entry.cause {
            Cause::Charter(_) => {}
            Cause::Observation(seen) => drop(kinds.insert(seen.kind.to_string())),
            Cause::Request(request) => {
                let (route, _) = routes::find(&request.method, &request.path).unwrap();
                routes.insert((route.method, route.path));
                if let Ok(motion) = serde_json::from_str::<Value>(&request.body) {
                    let name = |act: &Value| match act {
                        Value::String(name) => name.clone(),
                        act => act.as_object().unwrap().keys().next().unwrap().clone(),
                    };
                    acts.extend(motion.get("act").map(name));
                }
            }
        }
    }
    assert_eq!(routes, ROUTES.iter().map(|route| (route.method, route.path)).collect());
    assert_eq!(kinds, KINDS.iter().chain([&MANY]).map(|kind| (*kind).to_owned()).collect());
    assert_eq!(acts.len(), 19, "{acts:?}");
    assert!(events.len() >= 14, "{events:?}");
    for event in ["reports reported", "reports stated", "reports claimed", "money given"] {
        assert!(events.contains(event), "{event}: {events:?}");
    }
}

#[test]
fn a_log_replays_to_the_same_state_and_a_second_coordinator_goes_on_from_it() {
    let replayed = Ledger::replay(&STORY.log).unwrap();
    assert_eq!(replayed.state(), STORY.state());
    assert_eq!(replayed.head(), STORY.ledger.head());
    let bytes = canonical::bytes(STORY.state());
    assert_eq!(canonical::read::<State>(&bytes).unwrap(), *STORY.state());
    let mut other = story();
    assert_eq!(other.log, STORY.log, "nothing depends on chance");
    other.ledger = replayed;
    other.finalize(other.state().chain.finalized.epoch.0 + 1);
    assert!(Ledger::replay(&other.log).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]
    #[test]
    fn a_bit_that_falls_over_in_any_entry_is_found_there(entry: prop::sample::Index, at: prop::sample::Index) {
        static REPLAYS: LazyLock<Vec<Replay>> = LazyLock::new(|| replays(&STORY.log));
        let seq = entry.index(STORY.log.len());
        let mut stored = STORY.log[seq].clone();
        let bit = at.index(stored.len() * 8);
        stored[bit / 8] ^= 1 << (bit % 8);
        let found = REPLAYS[seq].clone().next(&stored);
        prop_assert!(found.is_err(), "bit {bit} of entry {seq}");
        prop_assert_eq!(found.unwrap_err().seq, seq as u64);
    }
}

/// Whoever keeps the log can compute hashes again. Then signatures and decisions must find what was changed; what they do
/// not cover, the time of some entries, is in the heads.
#[test]
fn whatever_is_changed_and_hashed_again_is_found_there_or_by_a_head() {
    let (mut found, mut only_by_head) = (0, BTreeSet::new());
    for (seq, before) in replays(&STORY.log).iter().take(STORY.log.len()).enumerate() {
        let entry: Value = serde_json::to_value(Sealed::read(&STORY.log[seq]).unwrap().entry).unwrap();
        for pointer in leaves(&entry) {
            let mut changed = entry.clone();
            let leaf = changed.pointer_mut(&pointer).unwrap();
            if !change(leaf) {
                continue;
            }
            let Ok(entry) = serde_json::from_value::<Entry>(changed) else { continue };
            let mut replay = before.clone();
            match replay.next(&entry.seal().bytes()) {
                Err(corrupt) => {
                    assert_eq!(corrupt.seq, seq as u64);
                    found += 1;
                }
                Ok(()) => {
                    let changed = replay.done().unwrap().head();
                    let honest = Ledger::replay(&STORY.log[..=seq]).unwrap().head();
                    assert!(changed.contradicts(&honest) || changed.pool != honest.pool, "{pointer}");
                    only_by_head.insert(pointer);
                }
            }
        }
    }
    assert!(found > 300, "{found}");
    // Another charter is another pool, and nobody has signed for that one; a time that nothing depends on is free.
    let free = |pointer: &String| pointer == "/at" || pointer.starts_with("/cause/charter/");
    assert!(only_by_head.iter().all(free), "{only_by_head:?}");
}

/// Pointers to all that is no list and no map.
fn leaves(value: &Value) -> Vec<String> {
    let under =
        |key: &str, value| leaves(value).into_iter().map(move |rest| format!("/{key}{rest}")).collect();
    match value {
        Value::Array(list) => list
            .iter()
            .enumerate()
            .flat_map(|(at, value)| -> Vec<_> { under(&at.to_string(), value) })
            .collect(),
        Value::Object(map) => map.iter().flat_map(|(key, value)| -> Vec<_> { under(key, value) }).collect(),
        _ => vec![String::new()],
    }
}

/// Makes another value of the same kind.
fn change(leaf: &mut Value) -> bool {
    *leaf = match leaf {
        Value::Bool(is) => json!(!*is),
        Value::Number(number) => json!(number.as_u64().unwrap() + 1),
        Value::String(text) if text.starts_with("0x") => {
            let last = if text.ends_with('0') { '1' } else { '0' };
            json!(format!("{}{last}", &text[..text.len() - 1]))
        }
        Value::String(text) => match text.parse::<u64>() {
            Ok(number) => json!((number + 1).to_string()),
            Err(_) => json!(format!("{text}x")),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => return false,
    };
    true
}

#[test]
fn entries_cannot_be_left_out_repeated_or_exchanged() {
    let log = &STORY.log;
    let replays = replays(log);
    for seq in 0..log.len() - 1 {
        // One that is left out is found at the next, and so is one that changes places with it.
        let without = replays[seq].clone().next(&log[seq + 1]);
        assert_eq!(without.unwrap_err().seq, seq as u64);
        let twice = replays[seq + 1].clone().next(&log[seq]);
        assert_eq!(twice.unwrap_err().seq, seq as u64 + 1);
    }
    let empty: [&[u8]; 0] = [];
    assert_eq!(Ledger::replay(empty).unwrap_err(), Corrupt { seq: 0, why: Why::NoCharter });
}

#[test]
fn a_log_that_was_cut_replays_and_a_head_shows_it() {
    let log = &STORY.log;
    let head = signed(&STORY.ledger, 2);
    assert_eq!(audit(log, &[head]).unwrap().head(), head.head);
    for cut in [1, 5, log.len() - 1] {
        assert!(Ledger::replay(&log[..cut]).is_ok(), "replay alone cannot know");
        let truncated = AuditError::Truncated { have: cut as u64, want: log.len() as u64 };
        assert_eq!(audit(&log[..cut], &[head]).unwrap_err(), truncated);
    }
    // Heads of before hold for what came after, each signed by the coordinator of its time.
    let early = signed(&Ledger::replay(&log[..7]).unwrap(), 1);
    assert!(audit(log, &[early, head]).is_ok());
    let late = signed(&STORY.ledger, 1);
    assert!(matches!(audit(log, &[late]), Err(AuditError::NotTheCoordinator { .. })));
}

#[test]
fn every_word_of_a_head_is_compared_and_two_stories_are_a_proof() {
    type Change = fn(&mut Head);
    let change: [(&str, Change); 5] = [
        ("pool", |head| head.pool = Root::ZERO),
        ("root", |head| head.root = Root::ZERO),
        ("last entry", |head| head.last = Root::ZERO),
        ("state", |head| head.state = Root::ZERO),
        ("time", |head| head.at += 1),
    ];
    let honest = STORY.ledger.head();
    for (word, change) in change {
        let mut head = honest;
        change(&mut head);
        let signature = Wallet::new(2).sign(head.digest(STORY.state().charter.network.chain_id));
        let error = audit(&STORY.log, &[SignedHead { head, signature }]).unwrap_err();
        assert!(error.to_string().ends_with(word), "{word}: {error}");
        assert_eq!(head.contradicts(&honest), word != "pool");
        let chain_id = STORY.state().charter.network.chain_id;
        let countersigned = [31, 32].map(|byte| Wallet::new(byte).sign(honest.digest(chain_id)));
        assert_eq!(honest.signers(chain_id, &countersigned), [address(31), address(32)].into());
        assert!(!head.signers(chain_id, &countersigned).contains(&address(31)));
    }
    let none = SignedHead { head: Head { size: 0, ..honest }, ..signed(&STORY.ledger, 2) };
    assert!(matches!(audit(&STORY.log, &[none]), Err(AuditError::Differs { size: 0, .. })));
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut pool = Pool::new();
    let before = pool.ledger.head();
    let application = pool.application(MANAGER, MANAGER, NODE);
    assert!(pool.post(MANAGER, "/v1/operators", &application).is_err());
    assert!(pool.post(MANAGER, "/v1/nowhere", &json!({})).is_err());
    assert!(pool.see("finalized", &json!({})).is_err());
    assert!(pool.see("rain", &json!({})).is_err());
    pool.now = START - 1;
    let fell = AppendError::ClockFell { at: START - 1, last: START };
    assert_eq!(pool.post(21, "/v1/deposits/pause", &json!({})).unwrap_err(), fell);
    assert_eq!(pool.ledger.head(), before);
    assert!(pool.state().nonces.is_empty(), "a refused request may be sent again");
}

#[test]
fn an_observation_counts_in_one_place_and_from_the_coordinator_only() {
    let mut pool = Pool::new();
    let body = json!({"epoch": "5", "root": Root::ZERO}).to_string();
    let kind = Label::new("finalized").unwrap();
    let sign = |wallet: u8, pool: &Pool, at| {
        let signature = Wallet::new(wallet).sign(pool.ledger.position(at).digest(&kind, &body));
        Observation { kind: kind.clone(), body: body.clone(), signature }
    };
    let stranger = sign(11, &pool, START);
    let refused = AppendError::NotTheCoordinator { recovered: address(11), coordinator: address(1) };
    assert_eq!(pool.ledger.observe(START, stranger).unwrap_err(), refused, "governance sees nothing");
    let early = sign(1, &pool, START);
    let moved = pool.ledger.observe(START + 1, early.clone());
    assert!(matches!(moved, Err(AppendError::NotTheCoordinator { .. })), "another time");
    pool.post(21, "/v1/deposits/pause", &json!({})).unwrap();
    let moved = pool.ledger.observe(START, early);
    assert!(matches!(moved, Err(AppendError::NotTheCoordinator { .. })), "another place");
    let here = sign(1, &pool, START);
    assert!(pool.ledger.observe(START, here).is_ok());
}

#[test]
fn no_epoch_is_final_before_it_has_begun() {
    let mut pool = Pool::new();
    let now = pool.state().epoch_at(pool.now);
    let (genesis_s, epoch_s) = (1_742_213_400, 384);
    assert_eq!(now.0, (START - genesis_s) / epoch_s);
    let tomorrow = Epoch(now.0 + 1);
    let seen = pool.see("finalized", &json!({"epoch": tomorrow, "root": Root::ZERO})).unwrap_err();
    assert_eq!(seen, AppendError::Refused(Refusal::Chain(chain::Refusal::Tomorrow { have: tomorrow, now })));
    assert_eq!(pool.state().epoch_at(genesis_s - 1), Epoch(0));
    pool.finalize(now.0);
}

#[test]
fn a_nonce_that_was_used_is_refused_also_for_another_wish() {
    let mut pool = Pool::new();
    let send = |pool: &mut Pool, nonce| {
        let (id, chain) = (pool.state().pool, pool.state().charter.network.chain_id);
        let route = ("POST", "/v1/deposits/pause");
        let incoming = Wallet::new(21).incoming(id, chain, route, "{}", nonce, pool.now + 1);
        pool.ledger.request(pool.now, &incoming)
    };
    send(&mut pool, 5).unwrap();
    for nonce in [0, 4, 5] {
        let replayed = send(&mut pool, nonce).unwrap_err();
        assert!(
            matches!(replayed, AppendError::Refused(Refusal::Request(RequestRefusal::Replayed { .. }))),
            "{replayed}"
        );
    }
    let paused = send(&mut pool, 6).unwrap_err();
    assert!(matches!(paused, AppendError::Refused(Refusal::Governance(_))), "{paused}");
}

#[test]
fn a_fork_that_comes_to_be_known_is_added_and_none_that_is_past_or_out_of_order() {
    let mut pool = Pool::new();
    pool.finalize(100);
    let fork = |fork, epoch| ForkEpoch { fork, version: ForkVersion([0x70; 4]), epoch: Epoch(epoch) };
    let mut charter = charter();
    let known = charter.network.forks.pop().unwrap();
    let past = pool.try_govern(Act::AddFork(fork(known.fork, 100)));
    let why = ActRefusal::PastFork { epoch: Epoch(100) };
    assert_eq!(past, Err(AppendError::Refused(Refusal::Act(why))));
    let twice = pool.try_govern(Act::AddFork(fork(known.fork, known.epoch.0 + 1)));
    assert!(matches!(twice, Err(AppendError::Refused(Refusal::Act(ActRefusal::Fork(_))))), "{twice:?}");
    // A pool that was founded before.
    let mut pool = Pool::of(charter.clone());
    assert_eq!(pool.state().network, charter.network);
    pool.govern(Act::AddFork(known)).unwrap();
    charter.network.forks.push(known);
    assert_eq!(pool.state().network, charter.network);
    assert_ne!(pool.state().charter.network, charter.network, "a charter never changes");
    assert_eq!(Ledger::replay(&pool.log).unwrap().state(), pool.state());
}

#[test]
fn many_sightings_are_what_each_of_them_is_in_their_order() {
    let mut one_by_one = Pool::new();
    one_by_one.finalize(1000);
    let stake = json!({"epoch": "1000", "active": "35000000000000000"});
    let payment = |index: u32| json!({"reference": Pool::reference(index), "payer": address(74), "eth": Wei::from_eth("3").unwrap()});
    let mut together = one_by_one.clone();
    let mut list = vec![json!(["payment", payment(0)]), json!(["network-stake", stake])];
    assert!(one_by_one.see("payment", &payment(0)).is_err(), "the limit is not known yet");
    one_by_one.see("network-stake", &stake).unwrap();
    for index in 1..50 {
        one_by_one.see("payment", &payment(index)).unwrap();
        list.push(json!(["payment", payment(index)]));
    }
    let sealed = together.see("many", &json!(list)).unwrap();
    assert_eq!(sealed.entry.events.len(), 51);
    assert_eq!(sealed.entry.events[0], Event::PassedOver { item: 0 });
    assert_eq!(together.state(), one_by_one.state());
    assert_eq!(Ledger::replay(&together.log).unwrap().state(), together.state());
}

#[test]
fn many_sightings_of_which_one_cannot_be_read_are_none() {
    let mut pool = Pool::new();
    let before = pool.state().clone();
    let finalized = |epoch: u64| json!(["finalized", {"epoch": epoch.to_string(), "root": Root([7; 32])}]);
    let bad = [
        json!([finalized(1), ["rain", {}]]),
        json!([finalized(1), ["many", []]]),
        json!([finalized(1), ["finalized", {"epoch": "2"}]]),
        json!([finalized(1), finalized(2)[0]]),
        json!({}),
        json!((0..=10_000).map(finalized).collect::<Vec<_>>()),
    ];
    for body in bad {
        let refused = pool.see("many", &body);
        assert!(matches!(refused, Err(AppendError::Refused(Refusal::Route(_)))), "{refused:?}");
        assert_eq!((pool.state(), pool.ledger.tree().size()), (&before, 1));
    }
    pool.coordinator(2);
    let forged = pool.see("many", &json!([finalized(1)]));
    assert!(matches!(forged, Err(AppendError::NotTheCoordinator { .. })));
    assert_eq!(*pool.state(), before);
}

#[test]
fn an_entry_is_hashed_as_it_is_stored() {
    for stored in &STORY.log {
        let (sealed, hash) = Sealed::read_hashed(stored).unwrap();
        assert_eq!((hash, hash), (sealed.hash, sealed.entry.hash()));
    }
}

#[test]
fn every_book_is_served_by_its_name_and_is_the_states() {
    let state = STORY.state();
    let all = serde_json::to_value(state).unwrap();
    for (name, book) in all.as_object().unwrap() {
        let bytes = state.book(name).unwrap_or_default();
        assert_eq!(String::from_utf8(bytes).unwrap(), book.to_string(), "{name}");
    }
    assert_eq!(state.book("rain"), None);
}

#[test]
fn of_an_own_log_the_last_heads_state_is_compared_and_of_another_log_every() {
    let replays = replays(&STORY.log);
    let at = |size: usize| signed(&replays[size].clone().done().unwrap(), 1);
    let wrong = |size: usize, change: fn(&mut Head)| {
        let mut head = at(size).head;
        change(&mut head);
        let chain_id = STORY.state().charter.network.chain_id;
        SignedHead { head, signature: Wallet::new(1).sign(head.digest(chain_id)) }
    };
    let state: fn(&mut Head) = |head| head.state = Root([9; 32]);
    let root: fn(&mut Head) = |head| head.root = Root([9; 32]);
    let finish = |mut audit: Audit| {
        STORY.log.iter().try_for_each(|stored| audit.next(stored))?;
        audit.done()
    };
    let own = |heads: &[SignedHead]| finish(Audit::of_own(Replay::default(), heads)).map(drop);
    let all = |heads: &[SignedHead]| finish(Audit::new(Replay::default(), heads)).map(drop);
    let differs = |found: Result<(), AuditError>, at: u64| {
        assert!(matches!(found, Err(AuditError::Differs { size, .. }) if size == at), "{found:?}");
    };
    assert_eq!((own(&[at(3), at(5)]), all(&[at(3), at(5)])), (Ok(()), Ok(())));
    assert_eq!(own(&[wrong(3, state), at(5)]), Ok(()));
    differs(all(&[wrong(3, state), at(5)]), 3);
    differs(own(&[at(3), wrong(5, state)]), 5);
    differs(own(&[wrong(3, root), at(5)]), 3);
}
