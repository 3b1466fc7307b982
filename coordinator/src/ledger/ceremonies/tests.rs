//! Locks of a pool's clusters, with keys that everybody knows.

use super::decide::Refusal as Broken;
use super::*;
use crate::canonical;
use crate::ledger::clusters::Stage;
use crate::ledger::governance::Act;
use crate::ledger::log::AppendError;
use crate::ledger::policy::{DepositSplit, Policy};
use crate::ledger::state::Refusal;
use crate::ledger::testbed::{Pool, address};
use crate::ledger::{Ledger, Sealed, clusters, deposits};
use crate::store::ENTRY_LEN_MAX;
use crate::test_keys::Wallet;
use cluster::{Definition, Enr, Lock, Networks, NewValidator, SignedDeposit, SignedRegistration};
use crypto::{G1, PublicKeyPoint, Scalar, hash_to_g2};
use serde_json::{Value, json};
use std::sync::LazyLock;
use types::{Address, Gwei, PublicKey, Signature, SigningRoot, ValidatorNo};

/// A cluster's managers, and by 20 more its nodes.
const MANAGERS: [u8; 4] = [101, 102, 103, 104];
const ETH: u64 = 1_000_000_000;

/// What is done to something good.
type Change<'a, T> = &'a dyn Fn(&mut T);

fn node(manager: u8) -> Wallet {
    Wallet::new(manager + 20)
}

/// A definition that is another in some of its fields, with the hashes that it has then.
fn altered(definition: &Definition, change: impl FnOnce(&mut Value)) -> Definition {
    let mut file: Value = serde_json::from_str(&definition.to_json()).unwrap();
    for hash in ["config_hash", "definition_hash"] {
        file.as_object_mut().unwrap().remove(hash).unwrap();
    }
    change(&mut file);
    let unhashed = Definition::parse(file.to_string().as_bytes()).unwrap();
    Definition::parse(unhashed.to_json().as_bytes()).unwrap()
}

fn sign(secret: Scalar, root: SigningRoot) -> Signature {
    Signature((hash_to_g2(root.as_ref()) * secret).compress())
}

fn public(secret: Scalar) -> PublicKey {
    PublicKeyPoint::new(G1::generator() * secret).unwrap().bytes()
}

/// A validator's secret, and its shares.
fn secrets(validator: u64, operators: u64) -> (Scalar, Vec<Scalar>) {
    let [secret, one, two] = [1, 2, 3].map(|number| Scalar::from(1_000 * (validator + 1) + number));
    let share = |x: u64| secret + one * Scalar::from(x) + two * Scalar::from(x * x);
    (secret, (1..=operators).map(share).collect())
}

/// What a ceremony makes of a validator.
fn made(definition: &Definition, validator: u32) -> NewValidator {
    let (secret, shares) = secrets(validator.into(), definition.operators().len() as u64);
    let (number, key) = (ValidatorNo(validator), public(secret));
    let fork = definition.fork_version();
    let deposit = |message: cluster::DepositMessage| SignedDeposit {
        message,
        signature: sign(secret, message.signing_root(fork)),
    };
    let registration = definition.registration(number, key, 1_742_213_400).unwrap();
    NewValidator {
        public_key: key,
        public_shares: shares.into_iter().map(public).collect(),
        deposits: definition.deposit_messages(number, key).unwrap().into_iter().map(deposit).collect(),
        registration: SignedRegistration {
            message: registration,
            signature: sign(secret, registration.signing_root(fork)),
        },
    }
}

/// What a ceremony makes, changed before everybody signs it.
fn lock_of(definition: &Definition, change: impl Fn(&mut Vec<NewValidator>)) -> Lock {
    let count = definition.validators().len() as u32;
    let mut validators: Vec<_> = (0..count).map(|number| made(definition, number)).collect();
    change(&mut validators);
    let lock = Lock::unsigned(definition.clone(), validators).unwrap();
    let operators = definition.operators().len() as u64;
    let shares = (0..count).flat_map(|number| secrets(number.into(), operators).1);
    let sum = shares.fold(Scalar::from(0_u64), |sum, share| sum + share);
    let aggregate = sign(sum, lock.signing_root());
    let nodes: Vec<[u8; 65]> = MANAGERS.iter().map(|manager| bytes(*manager, lock.lock_hash())).collect();
    lock.with_signatures(aggregate, &nodes)
}

fn bytes(manager: u8, digest: Root) -> [u8; 65] {
    let text = node(manager).sign(digest).to_string();
    types::bytes::hex_array(&text).unwrap()
}

/// The lock of a definition.
pub(crate) fn lock(definition: &Definition) -> Lock {
    lock_of(definition, |_| {})
}

pub(crate) fn value(lock: &Lock) -> Value {
    serde_json::from_str(&lock.to_json()).unwrap()
}

/// A pool whose team has accepted a cluster of so many validators, and its definition.
fn pool(keys: u32) -> (Pool, Definition) {
    let mut pool = Pool::new();
    let operators = pool.team();
    let cluster = pool.cluster(operators, keys);
    let definition = pool.state().definition(cluster).unwrap();
    (pool, definition)
}

fn path(cluster: ClusterId, rest: &str) -> String {
    format!("/v1/clusters/{cluster}/{rest}")
}

/// The refusal of this book.
fn broken(refused: Result<Sealed, AppendError>) -> Broken {
    match refused {
        Err(AppendError::Refused(Refusal::Ceremonies(broken))) => *broken,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lock_registers_its_keys_once_whoever_brings_it() {
    let (mut pool, definition) = pool(2);
    let (cluster, lock) = (definition.definition_hash(), lock(&definition));
    let at = path(cluster, "lock");
    // Neither somebody, nor an operator's reward address, nor a node of another cluster.
    for stranger in [99, 111, 51] {
        let refused = pool.post(stranger, &at, &value(&lock));
        assert!(matches!(refused, Err(AppendError::Refused(Refusal::Role { .. }))), "{refused:?}");
    }
    pool.post(122, &at, &value(&lock)).unwrap();
    let state = pool.state();
    let registered: Vec<_> = state.deposits.validators().keys().copied().collect();
    let mut wanted: Vec<_> = lock.group_keys().collect();
    wanted.sort();
    assert_eq!(registered, wanted);
    for deposit in lock.deposits().unwrap() {
        let validator = &state.deposits.validators()[&deposit.message.public_key];
        let signed = if deposit.message.amount == Gwei(ETH) { validator.predeposit } else { validator.rest };
        let want = deposits::Signed { amount: deposit.message.amount, signature: deposit.signature };
        assert_eq!((signed, validator.cluster), (want, cluster));
    }
    assert_eq!(state.clusters.get(cluster).unwrap().stage, Stage::Keyed);
    assert_eq!(state.ceremonies.locks[&cluster], Locked { lock: lock.lock_hash(), generation: 0 });
    let replayed = Ledger::replay(&pool.log).unwrap();
    assert_eq!(replayed.head(), pool.ledger.head());

    let again = pool.post(101, &at, &value(&lock));
    assert_eq!(broken(again), Broken::HaveIt { cluster, lock: lock.lock_hash() });
    let other = lock_of(&definition, |validators| validators.swap(0, 1));
    let (have, known) = (other.lock_hash(), lock.lock_hash());
    assert_eq!(broken(pool.post(101, &at, &value(&other))), Broken::OtherLock { cluster, have, known });
}

#[test]
fn a_lock_of_another_definition_than_was_accepted_is_refused_though_everything_in_it_is_signed() {
    let (mut pool, definition) = pool(2);
    let cluster = definition.definition_hash();
    let theirs = json!(Address([0x66; 20]));
    let changes: [&dyn Fn(&mut Value); 4] = [
        &|file| file["name"] = json!("Meadow 2"),
        &|file| file["validators"][1]["withdrawal_address"] = theirs.clone(),
        &|file| file["threshold"] = json!(4),
        &|file| file["deposit_amounts"] = json!(["1000000000", "32000000000"]),
    ];
    for change in changes {
        let other = altered(&definition, change);
        let refused = pool.post(101, &path(cluster, "lock"), &value(&lock(&other)));
        let have = other.definition_hash();
        assert_eq!(broken(refused), Broken::OtherDefinition { have, want: cluster });
    }
    // Nor where it is another cluster's, or nobody's.
    let nowhere = pool.post(101, &path(Root([9; 32]), "lock"), &value(&lock(&definition)));
    assert!(matches!(nowhere, Err(AppendError::Refused(Refusal::Role { .. }))), "{nowhere:?}");
}

#[test]
fn a_lock_has_the_deposits_that_were_asked_for_whatever_the_policy_says_since() {
    let (mut pool, definition) = pool(2);
    let cluster = definition.definition_hash();
    let mut terms = pool.state().policy.terms().clone();
    terms.deposit = DepositSplit { first: Gwei(2 * ETH), rest: Gwei(30 * ETH) };
    pool.govern(Act::ChangePolicy(Box::new(Policy::new(terms).unwrap()))).unwrap();
    assert_eq!(pool.state().definition(cluster).unwrap().definition_hash(), cluster);
    let lock = lock(&definition);
    pool.post(123, &path(cluster, "lock"), &value(&lock)).unwrap();
    for validator in pool.state().deposits.validators().values() {
        assert_eq!((validator.predeposit.amount, validator.rest.amount), (Gwei(ETH), Gwei(31 * ETH)));
    }
    assert_eq!(Ledger::replay(&pool.log).unwrap().head(), pool.ledger.head());
}

#[test]
fn a_lock_with_anything_wrong_in_it_registers_nothing() {
    let (mut pool, definition) = pool(2);
    let cluster = definition.definition_hash();
    let at = path(cluster, "lock");
    let entries = pool.log.len();
    let check = |refused: Broken| match refused {
        Broken::Check { name, .. } => name,
        other => panic!("{other:?}"),
    };
    // Signed by everybody, and yet wrong.
    let changes: [(&str, Change<'_, Vec<NewValidator>>); 4] = [
        ("public_shares", &|made| made[0].public_shares[3] = made[0].public_shares[2]),
        ("share_interpolation", &|made| made[1].public_shares[3] = public(Scalar::from(5_u64))),
        ("deposit_signatures", &|made| made[1].deposits[0].signature = made[1].deposits[1].signature),
        ("builder_registrations", &|made| made[0].registration.message.fee_recipient = Address([0x66; 20])),
    ];
    for (name, change) in changes {
        let lock = lock_of(&definition, change);
        assert_eq!(check(broken(pool.post(101, &at, &value(&lock)))), name);
    }
    // Changed after it was signed.
    let good = lock(&definition);
    let share = public(Scalar::from(5_u64));
    let other = Signature([0xc0; 96]);
    let changes: [(&str, Change<'_, Value>); 5] = [
        ("lock_hash", &|lock| lock["distributed_validators"][0]["public_shares"][0] = json!(share)),
        ("lock_hash", &|lock| lock["lock_hash"] = json!(Root([1; 32]))),
        ("signature_aggregate", &|lock| lock["signature_aggregate"] = json!(other)),
        ("node_signatures", &|lock| lock["node_signatures"].as_array_mut().unwrap().swap(0, 1)),
        ("config_hash", &|lock| lock["cluster_definition"]["config_hash"] = json!(Root([1; 32]))),
    ];
    for (name, change) in changes {
        let mut lock = value(&good);
        change(&mut lock);
        assert_eq!(check(broken(pool.post(101, &at, &lock))), name);
    }
    // With one deposit fewer, or one more: nobody wants it, and all of it holds.
    let fewer = lock_of(&definition, |made| made[1].deposits.truncate(1));
    let pubkey = fewer.group_keys().nth(1).unwrap();
    assert_eq!(broken(pool.post(101, &at, &value(&fewer))), Broken::Deposits { pubkey, have: 1 });
    let more = lock_of(&definition, |made| {
        let again = made[0].deposits[1];
        let message = cluster::DepositMessage { amount: Gwei(32 * ETH), ..again.message };
        let signature = sign(secrets(0, 4).0, message.signing_root(types::ForkVersion([0x10, 0, 9, 0x10])));
        made[0].deposits.push(SignedDeposit { message, signature });
    });
    let pubkey = more.group_keys().next().unwrap();
    assert_eq!(broken(pool.post(101, &at, &value(&more))), Broken::Deposits { pubkey, have: 3 });
    assert_eq!(pool.log.len(), entries);
    pool.post(101, &at, &value(&good)).unwrap();
}

/// All managers of a cluster say the same key by hand.
fn offered(pool: &mut Pool, cluster: ClusterId, key: &deposits::KeyOffer) {
    for manager in MANAGERS {
        pool.post(manager, &path(cluster, "keys"), &json!({"keys": [key]})).unwrap();
    }
}

#[test]
fn a_lock_whose_keys_have_no_room_or_are_registered_is_refused() {
    let (mut pool, definition) = pool(2);
    let (cluster, lock) = (definition.definition_hash(), lock(&definition));
    let keys = pool
        .state()
        .with_ceremony_facts(cluster, |facts| State::default().deliver(facts, &lock).unwrap().keys);
    let keys = keys.unwrap();
    // Another cluster of the same operators was first.
    let other = pool.cluster(MANAGERS.map(address).to_vec(), 1);
    offered(&mut pool, other, &keys[1]);
    let refused = pool.post(101, &path(cluster, "lock"), &value(&lock));
    let why = deposits::KeyError::Known;
    let known = deposits::Refusal::Key { at: 1, pubkey: keys[1].pubkey, why };
    assert_eq!(refused, Err(AppendError::Refused(known.into())));
    // One of two places is taken.
    offered(&mut pool, cluster, &keys[0]);
    let refused = pool.post(101, &path(cluster, "lock"), &value(&lock));
    let full = clusters::Refusal::TooManyKeys { cluster, have: 3, most: 2 };
    assert_eq!(refused, Err(AppendError::Refused(full.into())));
}

static SMALL: LazyLock<Definition> = LazyLock::new(|| pool(1).1);

/// A file of so many validators among so many operators, whose digits are as many as there can be. Nothing in it is signed.
fn large(operators: usize, validators: usize) -> Lock {
    let enrs = (1..=operators).map(|byte| Wallet::new(byte as u8).enr());
    let operator = |enr: Enr| {
        let signature = format!("0x{}", "ab".repeat(65));
        json!({"address": Address([0xab; 20]), "enr": enr.as_str(), "config_signature": signature, "enr_signature": signature})
    };
    let large = |file: &mut Value| {
        file["name"] = json!("\u{7}".repeat(256));
        file["target_gas_limit"] = json!(u64::MAX);
        file["operators"] = enrs.map(operator).collect();
        file["num_validators"] = json!(validators);
        file["validators"] = json!(vec![file["validators"][0].clone(); validators]);
    };
    let definition = altered(&SMALL, large);
    let key = PublicKey([0xab; 48]);
    let validator = |number| {
        let signature = Signature([0xab; 96]);
        let messages = definition.deposit_messages(ValidatorNo(number), key).unwrap();
        let message = definition.registration(ValidatorNo(number), key, u64::from(u32::MAX)).unwrap();
        NewValidator {
            public_key: key,
            public_shares: vec![key; operators],
            deposits: messages.into_iter().map(|message| SignedDeposit { message, signature }).collect(),
            registration: SignedRegistration { message, signature },
        }
    };
    let made = (0..validators as u32).map(validator).collect();
    let nodes = vec![[0xab; 65]; operators];
    Lock::unsigned(definition.clone(), made).unwrap().with_signatures(Signature([0xab; 96]), &nodes)
}

#[test]
fn the_largest_lock_fits_into_a_request_and_an_entry_and_one_more_is_refused() {
    assert_eq!(validators_max(4), LOCK_VALIDATORS_MAX);
    for operators in [4, 7, 13] {
        let most = validators_max(operators);
        let lock = large(operators, most);
        let body = lock.to_json();
        assert!(body.len() <= LOCK_LEN_MAX, "{operators}: {}", body.len());
        let offered = |amount| deposits::Offered {
            credentials: Root([0xab; 32]),
            amount: Gwei(amount),
            signature: Signature([0xab; 96]),
        };
        let offer = deposits::KeyOffer {
            pubkey: PublicKey([0xab; 48]),
            predeposit: offered(ETH),
            rest: offered(31 * ETH),
            shares: vec![PublicKey([0xab; 48]); operators],
        };
        let cluster = Root([0xab; 32]);
        let event = deposits::Event::Registered { cluster, keys: vec![offer; most] };
        let stored = canonical::bytes(&body).len() + canonical::bytes(&event).len();
        // What is beside body and keys in an entry is some kilobytes.
        assert!(stored + (64 << 10) <= ENTRY_LEN_MAX, "{operators}: {stored}");

        let deposit = DepositSplit { first: Gwei(ETH), rest: Gwei(31 * ETH) };
        let facts = Facts { cluster, networks: &Networks::public(), deposit };
        let fits = State::default().deliver(&facts, &lock);
        assert!(matches!(fits, Err(Broken::OtherDefinition { .. })), "{fits:?}");
        let more = large(operators, most + 1);
        let refused = Broken::TooMany { have: most + 1, operators, most };
        assert_eq!(State::default().deliver(&facts, &more), Err(refused));
    }
}

#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    let cluster = Root([1; 32]);
    let mut state = State::default();
    let locked = Event::Locked { cluster, locked: Locked { lock: Root([2; 32]), generation: 0 } };
    assert_eq!(state.apply(&locked), Ok(()));
    let before = state.clone();
    assert_eq!(state.apply(&locked), Err(Misfit::Locked(cluster)));
    assert_eq!(state, before);
    let operator = address(101);
    let offered = Event::Offered { cluster, operator, keys: Root([3; 32]) };
    assert_eq!(state.apply(&offered), Ok(()));
    let before = state.clone();
    assert_eq!(state.apply(&offered), Err(Misfit::Offered { cluster, operator }));
    assert_eq!(state, before);
}
