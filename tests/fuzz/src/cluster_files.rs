//! The files of a cluster: definition, lock, deposits.

use crate::nodes::{node_key, record};
use cluster::{
    Definition, DepositMessage, Lock, Network, Networks, NewAddresses, NewDefinition, NewValidator,
    Registration, SignedDeposit, SignedRegistration, Version, check, define::TARGET_GAS_LIMIT, deposit,
};
use dkg::ceremony::evidence::Conflict;
use dkg::ceremony::wire::{Signed, Statement};
use dkg::ceremony::{Evidence, Fault, ReadyDefinition, Setup, Step};
use dkg::evidence_file as evidence;
use keys::SecretShare;
use std::sync::LazyLock;
use time::OffsetDateTime;
use types::{Gwei, Millis, NodeSignature, PublicKey, Root, ShareIndex, Signature, ValidatorNo};
use uuid::Uuid;

/// Operators up to which everything a definition or lock says is checked: a check costs curve work for each.
const OPERATORS_CHECKED: usize = 7;
/// Validators up to which the same is done.
const VALIDATORS_CHECKED: usize = 2;
/// One lock in so many is checked in full, chosen by its hash: that costs a hundred times its parsing.
const LOCKS_CHECKED: u8 = 16;
/// Deposits whose signatures are verified.
const DEPOSITS_CHECKED: usize = 2;
/// An address in the letters of EIP-55.
const ADDRESS: &str = "0x86B8145c98e5BD25BA722645b15eD65f024a87EC";

pub(crate) fn definition(input: &[u8]) -> bool {
    match Definition::parse(input) {
        Ok(definition) => {
            read_definition(&definition);
            true
        }
        Err(error) => {
            assert!(!error.rule().is_empty() && !error.to_string().is_empty());
            false
        }
    }
}

fn read_definition(definition: &Definition) {
    let text = definition.to_json();
    let again = Definition::parse(text.as_bytes()).expect("what was written is read");
    assert_eq!(again.config_hash(), definition.config_hash());
    assert_eq!(again.definition_hash(), definition.definition_hash());
    assert_eq!(again.to_json(), text);
    assert!(again.check_hashes().iter().all(check::Check::holds), "hashes are written as they are");

    let networks = Networks::public();
    let key = PublicKey([1; 48]);
    let first = ValidatorNo(0);
    let deposits = definition.deposit_messages(first, key).unwrap_or_default();
    assert!(deposits.is_sorted_by(|one, next| one.amount < next.amount), "each amount once, ascending");
    assert!(definition.deposit_messages(ValidatorNo(u32::MAX), key).is_none());
    definition.registration(first, key, u64::MAX);
    if definition.operators().len() <= OPERATORS_CHECKED {
        let claims = definition.contract_claims(&networks);
        let unverified = |check: &check::Check| check.verdict == check::Verdict::Unverified;
        assert!(
            !claims.is_empty() || !again.check(&networks).iter().any(unverified),
            "somebody can be asked"
        );
        if again.ready(&networks).is_ok() {
            assert!(again.size().is_ok() && again.check(&networks).iter().all(check::Check::holds));
        }
    }
}

pub(crate) fn lock(input: &[u8]) -> bool {
    match Lock::parse(input) {
        Ok(lock) => {
            read_lock(&lock);
            true
        }
        Err(error) => {
            assert!(!error.rule().is_empty() && !error.to_string().is_empty());
            false
        }
    }
}

fn read_lock(lock: &Lock) {
    let text = lock.to_json();
    let again = Lock::parse(text.as_bytes()).expect("what was written is read");
    let hash = lock.lock_hash();
    assert_eq!(again.lock_hash(), hash);
    assert_eq!(again.to_json(), text);
    let counted = lock.validators_len() == lock.definition().validators().len();
    let wrong = again.check_hashes().into_iter().find(|check| !check.holds()).map(|check| check.name);
    assert_eq!(wrong, (!counted).then_some("validator_count"), "hashes are written as they are");

    let small = lock.definition().operators().len() <= OPERATORS_CHECKED
        && lock.validators_len() <= VALIDATORS_CHECKED;
    if small
        && hash.0[0].is_multiple_of(LOCKS_CHECKED)
        && again.check(&Networks::public()).iter().all(check::Check::holds)
    {
        lock.cluster().expect("a lock whose checks hold is a cluster");
    }
    if let Ok(cluster) = lock.cluster() {
        assert_eq!((cluster.id, cluster.nodes.len()), (hash, cluster.size.operators()));
        assert!(
            cluster.validators.iter().all(|validator| validator.public_shares.len() == cluster.nodes.len())
        );
    }
    if let Some(deposits) = lock.deposits() {
        write_deposits(&deposits);
    }
}

pub(crate) fn deposit_file(input: &[u8]) -> bool {
    let Ok(entries) = deposit::parse_file(input) else { return false };
    let deposits: Vec<SignedDeposit> = entries.iter().map(|entry| entry.deposit).collect();
    write_deposits(&deposits);
    if entries.len() <= DEPOSITS_CHECKED {
        check::check_deposits(&entries, &Networks::public());
    }
    true
}

/// What is written for one network is read back, each deposit once, with roots and network that hold.
fn write_deposits(deposits: &[SignedDeposit]) {
    let order =
        |deposit: &SignedDeposit| (deposit.message.amount, deposit.message.public_key, deposit.data_root());
    let mut read = Vec::new();
    for file in deposit::files(deposits, &hoodi()) {
        let entries = deposit::parse_file(file.json.as_bytes()).expect("what was written is read");
        for entry in &entries {
            assert_eq!(entry.stated_message_root, entry.deposit.message.root());
            assert_eq!(entry.stated_data_root, entry.deposit.data_root());
            assert_eq!(deposit::file_name(entry.deposit.message.amount), file.name);
        }
        read.extend(entries.into_iter().map(|entry| entry.deposit));
    }
    let mut want = deposits.to_vec();
    want.sort_by_key(order);
    read.sort_by_key(order);
    assert_eq!(read, want);
}

fn hoodi() -> Network {
    Networks::public().by_name("hoodi").expect("hoodi is built in").clone()
}

/// Definitions of one and of two validators, with stated amounts and without.
pub(crate) fn definitions() -> Vec<Vec<u8>> {
    [(1, Vec::new()), (2, vec![Gwei(1_000_000_000), Gwei(31_000_000_000)])]
        .into_iter()
        .map(|(validators, amounts)| defined(validators, amounts).to_json().into_bytes())
        .collect()
}

fn defined(validators: usize, deposit_amounts: Vec<Gwei>) -> Definition {
    let addresses = NewAddresses { fee_recipient: ADDRESS.to_owned(), withdrawal: ADDRESS.to_owned() };
    let new = NewDefinition {
        version: Version::V1_11,
        name: "seven <hills> & more".to_owned(),
        operators: (1..=4).map(record).collect(),
        threshold: 3,
        validators: vec![addresses; validators],
        network: hoodi(),
        compounding: deposit_amounts.is_empty(),
        deposit_amounts,
        target_gas_limit: TARGET_GAS_LIMIT,
        uuid: Uuid::from_u128(0x6da0_c05b_143a_4081_9f67_a7bc_8b4c_484c),
        timestamp: OffsetDateTime::UNIX_EPOCH,
    };
    new.define().expect("the definition keeps to every rule")
}

/// Locks whose keys are keys and whose signatures are not signatures: those are in the vectors.
pub(crate) fn locks() -> Vec<Vec<u8>> {
    let lock = |validators: usize| {
        let definition = defined(validators, Vec::new());
        let validators = (0..validators as u32).map(|number| validator(&definition, number)).collect();
        let lock = Lock::unsigned(definition, validators).expect("a validator for each that was defined");
        lock.with_signatures(Signature([3; 96]), &[[1; 65]; 4]).to_json().into_bytes()
    };
    vec![lock(1), lock(2)]
}

fn validator(definition: &Definition, number: u32) -> NewValidator {
    let key = |seed: u32| {
        let mut scalar = [0; 32];
        scalar[28..].copy_from_slice(&(seed + 1).to_be_bytes());
        SecretShare::from_be_bytes(&scalar).expect("a small number is a key").public()
    };
    let public_key = key(number);
    let number = ValidatorNo(number);
    let messages = definition.deposit_messages(number, public_key).expect("it has an address");
    let message = definition.registration(number, public_key, 0).expect("it has an address");
    NewValidator {
        public_key,
        public_shares: (0..4).map(|share| key(100 * (number.0 + 1) + share)).collect(),
        deposits: messages.into_iter().map(signed).collect(),
        registration: signed_registration(message),
    }
}

fn signed(message: DepositMessage) -> SignedDeposit {
    SignedDeposit { message, signature: Signature([2; 96]) }
}

/// A registration with a signature that is none.
pub(crate) fn signed_registration(message: Registration) -> SignedRegistration {
    SignedRegistration { message, signature: Signature([4; 96]) }
}

/// The definition that evidence is judged by, its setup, and the two words of operator 2 that prove its fault.
fn ceremony_of_four() -> (Definition, Setup, Fault) {
    let definition = defined(1, Vec::new());
    let ready =
        ReadyDefinition::new(definition.clone(), &Networks::public()).expect("nobody has to approve it");
    let culprit = ShareIndex::new(2).expect("2 is an index");
    let setup = ready.setup(culprit, 3, Millis(0));
    let word = |root| {
        let (ceremony, step) = (setup.ceremony_id(), Step::Done);
        let statement =
            Statement { ceremony, author: culprit, step, to: 0, length: 32, root: Root([root; 32]) };
        let signature = NodeSignature(node_key(2).sign_prehash(&statement.digest()).0);
        Signed { statement, signature }
    };
    let evidence = Evidence::Conflict(Conflict { first: word(1), second: word(2) });
    (definition, setup, Fault { culprit, evidence })
}

static CEREMONY: LazyLock<(Definition, Setup, Fault)> = LazyLock::new(ceremony_of_four);
static NETWORKS: LazyLock<Networks> = LazyLock::new(Networks::public);

/// Only operator 2 has signed anything that proves a fault; and a file that holds says of it what is so.
pub(crate) fn evidence_file(input: &[u8]) -> bool {
    let (definition, setup, fault) = &*CEREMONY;
    let checks = evidence::check(input, definition, &NETWORKS);
    let last = checks.last().expect("one rule at least says something");
    if !checks.iter().all(check::Check::holds) {
        assert!(!last.holds() && !last.detail.is_empty(), "the last rule is the broken one");
        return false;
    }
    assert_eq!(last.detail, evidence::named(definition, fault.culprit));
    let file: serde_json::Value = serde_json::from_slice(input).expect("it holds");
    assert_eq!(file["ceremony"], serde_json::json!(setup.ceremony_id()));
    true
}

pub(crate) fn evidence_files() -> Vec<Vec<u8>> {
    let (definition, setup, fault) = &*CEREMONY;
    vec![evidence::render(definition, setup, fault).into_bytes()]
}

/// Deposit files of two validators, one for each amount.
pub(crate) fn deposit_files() -> Vec<Vec<u8>> {
    let deposit = |(validator, gwei): (u8, u64)| {
        signed(DepositMessage {
            public_key: PublicKey([validator; 48]),
            withdrawal_credentials: Root([validator; 32]),
            amount: Gwei(gwei),
        })
    };
    let deposits: Vec<_> =
        [(1, 32_000_000_000), (2, 32_000_000_000), (1, 1_500_000_000)].map(deposit).to_vec();
    deposit::files(&deposits, &hoodi()).into_iter().map(|file| file.json.into_bytes()).collect()
}
