//! The data folder of one operator of four, as a ceremony would have left it, or as Obol's software has it.
#![allow(dead_code, reason = "each test program uses its part")]

use cluster::define::TARGET_GAS_LIMIT;
use cluster::folder;
use cluster::{Definition, Enr, Lock, Networks, NewAddresses, NewDefinition, NewValidator};
use cluster::{SignedDeposit, SignedRegistration};
use crypto::aggregate;
use dvt_node::journal::Journal;
use dvt_node::moving::slashing_protection::Config;
use keys::identity::{KEY_FILE, NodeKey};
use keys::keystores::write_folder;
use keys::secret_file::write_new_secret;
use keys::store::{NodeStore, Protection, StoredHalf};
use keys::{SecretShare, split};
use rand_core::OsRng;
use secrecy::SecretString;
use std::fs;
use std::path::{Path, PathBuf};
use symbolon_core::journal::{History, Row};
use time::OffsetDateTime;
use types::{ChainSpec, ClusterId, Generation, Millis, PublicKey, Slot, ValidatorNo};
use uuid::Uuid;

pub(crate) const VALIDATORS: usize = 2;
const OPERATORS: u64 = 4;
const PASSWORD: &str = "0123456789abcdef0123456789abcdef";
const ADDRESS: &str = "0x86B8145c98e5BD25BA722645b15eD65f024a87EC";

/// The keys under which one validator's history may be written.
pub(crate) struct Keys {
    pub(crate) group: PublicKey,
    /// Of operators 1 to 4; the folder is operator 1's.
    pub(crate) shares: Vec<PublicKey>,
    pub(crate) client: PublicKey,
}

pub(crate) struct Operator {
    folder: tempfile::TempDir,
    pub(crate) cluster: ClusterId,
    pub(crate) validators: Vec<Keys>,
}

/// `f(x) = a + 7x + 5x^2`: shares small enough to be reckoned in 64 bits; `f(0)` is the validator's key.
fn secret(validator: usize, x: u64) -> SecretShare {
    let mut bytes = [0; 32];
    let value = 1000 * (validator as u64 + 1) + 7 * x + 5 * x * x;
    bytes[24..].copy_from_slice(&value.to_be_bytes());
    SecretShare::from_be_bytes(&bytes).unwrap()
}

pub(crate) fn define(nodes: &[NodeKey]) -> Definition {
    let addresses = NewAddresses { fee_recipient: ADDRESS.to_owned(), withdrawal: ADDRESS.to_owned() };
    let new = NewDefinition {
        version: cluster::Version::V1_10,
        name: "history".to_owned(),
        operators: nodes.iter().map(|key| Enr::parse(&key.enr()).unwrap()).collect(),
        threshold: 3,
        validators: vec![addresses; VALIDATORS],
        network: Networks::public().by_name("hoodi").unwrap().clone(),
        deposit_amounts: Vec::new(),
        compounding: false,
        target_gas_limit: TARGET_GAS_LIMIT,
        uuid: Uuid::from_u128(7),
        timestamp: OffsetDateTime::from_unix_timestamp(1_767_323_045).unwrap(),
    };
    new.define().unwrap()
}

fn new_validator(definition: &Definition, number: usize) -> NewValidator {
    let (no, key) = (ValidatorNo(number as u32), secret(number, 0));
    let fork = definition.fork_version();
    let deposits = definition.deposit_messages(no, key.public()).unwrap().into_iter();
    let deposits = deposits
        .map(|message| SignedDeposit { message, signature: key.sign(&message.signing_root(fork)) })
        .collect();
    let message = definition.registration(no, key.public(), 1_767_323_045).unwrap();
    let registration = SignedRegistration { message, signature: key.sign(&message.signing_root(fork)) };
    let public_shares = (1..=OPERATORS).map(|x| secret(number, x).public()).collect();
    NewValidator { public_key: key.public(), public_shares, deposits, registration }
}

fn lock(nodes: &[NodeKey]) -> Lock {
    let definition = define(nodes);
    let validators = (0..VALIDATORS).map(|number| new_validator(&definition, number)).collect();
    let lock = Lock::unsigned(definition, validators).unwrap();
    let root = lock.signing_root();
    let all = (0..VALIDATORS).flat_map(|number| (1..=OPERATORS).map(move |x| secret(number, x)));
    let signed: Vec<_> = all.map(|share| share.sign(&root)).collect();
    let hash = lock.lock_hash();
    let nodes: Vec<_> = nodes.iter().map(|key| key.sign_prehash_recoverable(&hash.0)).collect();
    lock.with_signatures(aggregate(&signed).unwrap(), &nodes)
}

/// The folder of operator 1 as Obol's software has it; with its lock.
pub(crate) fn obol_folder(path: &Path) -> Lock {
    fs::create_dir(path).unwrap();
    let me = NodeKey::create_new(&path.join(KEY_FILE), &mut OsRng).unwrap();
    let others = (2..=OPERATORS).map(|_| NodeKey::generate(&mut OsRng));
    let lock = lock(&[me].into_iter().chain(others).collect::<Vec<_>>());
    fs::write(path.join(folder::LOCK), lock.to_json()).unwrap();
    let shares: Vec<_> = (0..VALIDATORS).map(|number| secret(number, 1)).collect();
    write_folder(&path.join(folder::KEYSTORES), &shares).unwrap();
    lock
}

impl Operator {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let me = NodeKey::create_new(&folder.path().join(KEY_FILE), &mut OsRng).unwrap();
        let others = (2..=OPERATORS).map(|_| NodeKey::generate(&mut OsRng));
        let lock = lock(&[me].into_iter().chain(others).collect::<Vec<_>>());
        fs::write(folder.path().join(folder::LOCK), lock.to_json()).unwrap();
        write_new_secret(&folder.path().join(folder::NODE_PASSWORD), PASSWORD.as_bytes()).unwrap();
        let cluster = lock.lock_hash();
        let (mut validators, mut halves) = (Vec::new(), Vec::new());
        for number in 0..VALIDATORS {
            let (client, half) = split(secret(number, 1), &mut OsRng);
            let group = secret(number, 0).public();
            let shares = (1..=OPERATORS).map(|x| secret(number, x).public()).collect();
            validators.push(Keys { group, shares, client: client.public() });
            halves.push(StoredHalf { group_key: group, half });
        }
        let operator = Self { folder, cluster, validators };
        let store = NodeStore { cluster, generation: Generation(0), halves };
        let password = SecretString::from(PASSWORD);
        store.write_new(&operator.store(), &password, Protection::RandomPassword, &mut OsRng).unwrap();
        operator
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file of the node's halves.
    pub(crate) fn store(&self) -> PathBuf {
        self.path(&NodeStore::file_name(Generation(0)))
    }

    pub(crate) fn config(&self, file: &str) -> Config {
        Config { data_dir: self.path(""), file: self.path(file), reading: Default::default() }
    }

    pub(crate) fn spec(&self) -> ChainSpec {
        ChainSpec::builtin("hoodi").unwrap()
    }

    /// Some time after all that the tests speak of.
    pub(crate) fn now(&self) -> Millis {
        self.spec().slot_start(Slot(100_000))
    }

    /// Opens the journal as a running node does.
    pub(crate) fn journal(&self) -> Journal {
        Journal::open(&self.path(folder::JOURNAL), self.cluster).unwrap()
    }

    pub(crate) fn promise(&self, rows: &[Row]) {
        self.journal().append(rows).unwrap();
    }

    /// What the journal holds for each validator.
    pub(crate) fn histories(&self) -> Vec<History> {
        let keys: Vec<_> = self.validators.iter().map(|keys| keys.group).collect();
        self.journal().histories(&keys)
    }
}
