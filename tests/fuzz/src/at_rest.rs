//! Secrets as they lie on a disk: keystores and stores of node halves.

use keys::keystore::{EncryptOptions, KEYSTORE_LEN_MAX, SCRYPT_WORK_MAX};
use keys::store::{Protection, StoredHalf};
use keys::{Keystore, NodeHalf, NodeStore, SecretShare, split};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use secrecy::SecretString;
use serde_json::Value;
use sha2::{Digest, Sha256};
use types::{Generation, PublicKey, Root};

/// Most work for one input: bytes that scrypt mixes. More would be a test of patience.
const WORK_MAX: u128 = 64 << 10;
/// Most PBKDF2 rounds for one input, for the same reason.
const ROUNDS_MAX: u64 = 16;

/// Where a store's parts lie, by the text at the head of `keys::store`.
const KDF_AT: usize = 10;
const SIGNED_LEN: usize = 148;
const HEADER_LEN: usize = SIGNED_LEN + 32;
const SCRYPT: u8 = 2;

fn password() -> SecretString {
    "0123456789abcdef0123456789abcdef".into()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

pub(crate) fn keystore(input: &[u8]) -> bool {
    let Ok(keystore) = Keystore::parse(input) else { return false };
    let text = keystore.to_json();
    // White space of the form it is written in may carry it over the limit.
    if text.len() <= KEYSTORE_LEN_MAX {
        assert_eq!(Keystore::parse(text.as_bytes()).as_ref(), Ok(&keystore));
    }
    if is_cheap(&text)
        && let Ok(secret) = keystore.decrypt(&password())
    {
        assert!(keystore.pubkey.is_none_or(|stated| stated == secret.public()), "it holds what it says");
    }
    true
}

/// Whether a keystore asks for next to no work.
fn is_cheap(json: &str) -> bool {
    let document: Value = serde_json::from_str(json).expect("what was written is JSON");
    let params = &document["crypto"]["kdf"]["params"];
    let number = |name: &str| params[name].as_u64();
    match (number("c"), number("n"), number("r"), number("p")) {
        (Some(rounds), None, None, None) => rounds <= ROUNDS_MAX,
        (None, Some(n), Some(r), Some(p)) => scrypt_work(n, r, p) <= WORK_MAX,
        numbers => panic!("{numbers:?} are not the parameters of one function"),
    }
}

/// Bytes mixed.
fn scrypt_work(n: u64, r: u64, p: u64) -> u128 {
    [r, p].iter().fold(128 * u128::from(n), |work, factor| work.saturating_mul(u128::from(*factor)))
}

pub(crate) fn node_store(input: &[u8]) -> bool {
    let as_it_is = open(input);
    let Some((header, body)) = input.split_at_checked(HEADER_LEN) else { return as_it_is };
    let signed = &header[..SIGNED_LEN];
    let put_right = open(&[signed, Sha256::digest(signed).as_slice(), body].concat());
    as_it_is || put_right
}

fn open(bytes: &[u8]) -> bool {
    let work = store_work(bytes).unwrap_or_default();
    let beyond = work > u128::from(SCRYPT_WORK_MAX);
    if work > WORK_MAX && !beyond {
        return false;
    }
    let Ok(store) = NodeStore::unseal(bytes, &password()) else { return false };
    assert!(!beyond, "a store that asks for {work} bytes of work was opened");
    let again = store.seal(&password(), Protection::RandomPassword, &mut rng());
    let again = NodeStore::unseal(&again.expect("what was opened can be sealed"), &password());
    assert_eq!(content(&again.expect("what was sealed is opened")), content(&store));
    true
}

/// What a header asks of scrypt, if it asks it.
fn store_work(bytes: &[u8]) -> Option<u128> {
    let (parameters, _) = bytes.get(KDF_AT..)?.split_first_chunk::<10>()?;
    let [SCRYPT, log_n, r @ .., p0, p1, p2, p3] = *parameters else { return None };
    let Some(n) = 1_u64.checked_shl(log_n.into()) else { return Some(u128::MAX) };
    Some(scrypt_work(n, u32::from_le_bytes(r).into(), u32::from_le_bytes([p0, p1, p2, p3]).into()))
}

/// All of a store; public keys in place of halves.
fn content(store: &NodeStore) -> (Root, Generation, Vec<(PublicKey, PublicKey)>) {
    let halves = store.halves.iter().map(|stored| (stored.group_key, stored.half.public()));
    (store.cluster, store.generation, halves.collect())
}

/// A key that everybody may know.
fn share() -> SecretShare {
    SecretShare::from_be_bytes(&[5; 32]).expect("below the order of the group")
}

/// Keystores with either function, that open.
pub(crate) fn keystores() -> Vec<Vec<u8>> {
    let options =
        EncryptOptions { rounds: 2, description: "half of \"5\"".to_owned(), ..EncryptOptions::default() };
    let pbkdf2 = Keystore::encrypt(&share(), &password(), options, &mut rng()).to_json();
    let mut scrypt: Value = serde_json::from_str(&pbkdf2).expect("what was written is JSON");
    let salt = scrypt["crypto"]["kdf"]["params"]["salt"].clone();
    scrypt["crypto"]["kdf"]["function"] = "scrypt".into();
    scrypt["crypto"]["kdf"]["params"] =
        serde_json::json!({"dklen": 32, "n": 4, "p": 1, "r": 1, "salt": salt});
    vec![pbkdf2.into_bytes(), scrypt.to_string().into_bytes()]
}

/// Stores of no half and of two, protected either way.
pub(crate) fn node_stores() -> Vec<Vec<u8>> {
    let light = Protection::Scrypt { log_n: 1, r: 1, p: 1 };
    [(0, Protection::RandomPassword), (2, Protection::RandomPassword), (2, light)]
        .map(|(count, protection)| {
            let sealed = store(count).seal(&password(), protection, &mut rng());
            sealed.expect("distinct keys, a long password, a small cost")
        })
        .to_vec()
}

fn store(count: u8) -> NodeStore {
    let half = |number| match number {
        0 => NodeHalf::zero_for_import(),
        _ => split(share(), &mut rng()).1,
    };
    let halves =
        (0..count).map(|number| StoredHalf { group_key: PublicKey([number; 48]), half: half(number) });
    NodeStore { cluster: Root([0xc1; 32]), generation: Generation(3), halves: halves.collect() }
}
