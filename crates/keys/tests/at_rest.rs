//! What lies on a disk, and what secrets say of themselves.

#![expect(clippy::print_stderr, reason = "says what ten thousand halves take")]

use keys::identity::{KeyError, PeersError};
use keys::keystore::EncryptOptions;
use keys::secret_file::{ReadError, WriteError, write_new_secret};
use keys::store::{OpenError, Protection, ReplaceError, SealError, StoredHalf};
use keys::{
    Keystore, NodeHalf, NodeKey, NodeKeys, NodeSigner, NodeStore, Operator, SecretShare, Shift, VcHalf, split,
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use secrecy::SecretString;
use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;
use types::wire::{Sign, Verify};
use types::{Generation, PublicKey, Root, ShareIndex, ValidatorNo};
use zeroize::ZeroizeOnDrop;

/// Cheap, for tests: scrypt with 1 KiB.
const LIGHT: Protection = Protection::Scrypt { log_n: 1, r: 1, p: 1 };

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn random_password() -> SecretString {
    "0123456789abcdef0123456789abcdef".into()
}

/// A store of `count` halves, and the public keys of the halves.
fn store(count: u32) -> (NodeStore, Vec<PublicKey>) {
    let mut rng = rng(7);
    let halves: Vec<StoredHalf> = (0..count)
        .map(|number| {
            let mut group_key = PublicKey([0xa0; 48]);
            group_key.0[..4].copy_from_slice(&number.to_be_bytes());
            let half = if number == 1 {
                NodeHalf::zero_for_import()
            } else {
                split(SecretShare::from_be_bytes(&[5; 32]).unwrap(), &mut rng).1
            };
            StoredHalf { group_key, half }
        })
        .collect();
    let keys = halves.iter().map(|stored| stored.half.public()).collect();
    (NodeStore { cluster: Root([0xc1; 32]), generation: Generation(3), halves }, keys)
}

fn sealed(count: u32) -> Vec<u8> {
    store(count).0.seal(&random_password(), Protection::RandomPassword, &mut rng(1)).unwrap()
}

#[test]
fn a_store_gives_back_every_half_its_cluster_and_generation() {
    for (password, protection) in
        [(random_password(), Protection::RandomPassword), ("ångström".into(), LIGHT)]
    {
        let (written, keys) = store(5);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NodeStore::file_name(written.generation));
        written.write_new(&path, &password, protection, &mut rng(2)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let read = NodeStore::load(&path, &password).unwrap();
        assert_eq!((read.cluster, read.generation), (written.cluster, written.generation));
        let group_keys = |store: &NodeStore| store.halves.iter().map(|one| one.group_key).collect::<Vec<_>>();
        assert_eq!(group_keys(&read), group_keys(&written));
        assert_eq!(read.halves.iter().map(|one| one.half.public()).collect::<Vec<_>>(), keys);
        assert!(read.halves[1].half.is_zero(), "an import's");

        let again = written.write_new(&path, &password, protection, &mut rng(3));
        assert!(matches!(again, Err(SealError::Write(WriteError::Exists { .. }))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let open = NodeStore::load(&path, &password);
        assert!(matches!(open, Err(OpenError::Read(ReadError::OpenToOthers { mode: 0o644, .. }))));
    }
}

/// Bytes of a half beside its validator's key: all that a store has of each.
const ROW_LEN: usize = 48 + 32;

#[test]
fn ten_thousand_halves_are_read_back_with_one_derivation() {
    let (mut large, _) = store(2);
    let empty = store(0).0.seal(&random_password(), LIGHT, &mut rng(1)).unwrap().len();
    large.halves = (0..10_000u32)
        .map(|number| {
            let mut group_key = PublicKey::ZERO;
            group_key.0[..4].copy_from_slice(&number.to_be_bytes());
            StoredHalf { group_key, half: NodeHalf::zero_for_import() }
        })
        .collect();
    // As slow as for a person's password: if each half had its own derivation, this would take an hour.
    for protection in [Protection::RandomPassword, Protection::SCRYPT] {
        let bytes = large.seal(&random_password(), protection, &mut rng(1)).unwrap();
        assert_eq!(bytes.len(), empty + 10_000 * ROW_LEN, "no salt, nonce or tag of a half's own");
        let begun = Instant::now();
        assert_eq!(NodeStore::unseal(&bytes, &random_password()).unwrap().halves.len(), 10_000);
        eprintln!("10,000 halves under {protection:?}: opened in {:?}", begun.elapsed());
    }
}

#[test]
fn a_signer_of_ten_thousand_halves_has_each_at_its_place() {
    let (store, shares) = (0..10_000_u32)
        .map(|number| {
            let mut bytes = [0; 32];
            bytes[28..].copy_from_slice(&(number + 2).to_be_bytes());
            let share = SecretShare::from_be_bytes(&bytes).unwrap();
            let public = share.public();
            (split(share, &mut rng(u64::from(number))), public)
        })
        .unzip::<_, _, Vec<_>, Vec<_>>();
    let (clients, nodes): (Vec<_>, Vec<_>) = store.into_iter().unzip();
    let begun = Instant::now();
    let signer = NodeSigner::new(nodes.into_iter().zip(shares)).unwrap();
    eprintln!("10,000 halves seated in {:?}", begun.elapsed());
    for number in [0, 1, 63, 64, 4_999, 9_999] {
        let client = clients[number as usize].public();
        assert_eq!(signer.vc_key(ValidatorNo(number)), Some(client), "validator {number}");
    }
}

#[test]
fn wrong_password_damage_truncation_and_version_are_told_apart() {
    let whole = sealed(3);
    let open = |bytes: &[u8], password: &str| NodeStore::unseal(bytes, &password.into()).unwrap_err();
    let right = "0123456789abcdef0123456789abcdef";
    assert!(matches!(open(&whole, &right.replace('0', "1")), OpenError::WrongPassword));
    assert!(matches!(open(&whole, "short"), OpenError::WrongPassword));

    let mut newer = whole.clone();
    newer[8] = 2;
    assert!(matches!(open(&newer, right), OpenError::Version(2)));
    assert!(matches!(open(b"PK\x03\x04something", right), OpenError::NotAStore));
    let mut longer = whole.clone();
    longer.push(0);
    assert!(matches!(open(&longer, right), OpenError::Corrupted(_)));
    for len in 0..whole.len() {
        let error = open(&whole[..len], right);
        assert!(matches!(error, OpenError::Truncated { have, .. } if have == len), "{len}: {error}");
    }
}

proptest! {
    #[test]
    fn any_changed_bit_is_noticed_and_never_taken_for_a_wrong_password(place in 10usize..180 + 3 * 80 + 16, bit in 0u8..8) {
        let mut bytes = sealed(3);
        bytes[place] ^= 1 << bit;
        let error = NodeStore::unseal(&bytes, &random_password()).unwrap_err();
        prop_assert!(matches!(error, OpenError::Corrupted(_)), "{place}: {error}");
    }

    #[test]
    fn no_bytes_make_the_store_or_a_keystore_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let password = random_password();
        prop_assert!(NodeStore::unseal(&bytes, &password).is_err());
        let mut named = b"SYMBHALF\x01\x00".to_vec();
        named.extend(&bytes);
        prop_assert!(NodeStore::unseal(&named, &password).is_err());
        prop_assert!(Keystore::parse(&bytes).is_err());
    }
}

/// Puts the header's own hash right again.
fn rehash(bytes: &mut [u8]) {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(&bytes[..148]);
    bytes[148..180].copy_from_slice(&hash);
}

#[test]
fn a_forged_header_is_refused_though_its_hash_is_right() {
    let mut bytes = sealed(1);
    bytes[116..120].copy_from_slice(&[0; 4]);
    rehash(&mut bytes);
    assert!(matches!(NodeStore::unseal(&bytes, &random_password()), Err(OpenError::WrongPassword)));

    for place in [52, 76, 108] {
        let mut other = sealed(1);
        other[place] ^= 1;
        rehash(&mut other);
        let error = NodeStore::unseal(&other, &random_password()).unwrap_err();
        assert!(matches!(error, OpenError::Corrupted(_)), "nonce, cluster or generation: {error}");
    }

    let mut costly = sealed(1);
    costly[10..12].copy_from_slice(&[2, 40]);
    costly[12] = 8;
    costly[16] = 1;
    rehash(&mut costly);
    assert!(matches!(NodeStore::unseal(&costly, &random_password()), Err(OpenError::Corrupted(_))));

    let mut many = sealed(1);
    many[112..116].copy_from_slice(&u32::MAX.to_le_bytes());
    rehash(&mut many);
    assert!(matches!(NodeStore::unseal(&many, &random_password()), Err(OpenError::Corrupted(_))));
}

#[test]
fn weak_passwords_and_doubled_validators_are_not_sealed() {
    let (mut doubled, _) = store(2);
    let seal = |store: &NodeStore, password: &str, protection| {
        store.seal(&password.into(), protection, &mut rng(1)).unwrap_err()
    };
    assert!(matches!(seal(&doubled, "hunter2", Protection::RandomPassword), SealError::ShortPassword));
    assert!(matches!(seal(&doubled, "", LIGHT), SealError::ShortPassword));
    let absurd = Protection::Scrypt { log_n: 63, r: 8, p: 1 };
    assert!(matches!(seal(&doubled, "hunter2", absurd), SealError::Cost));
    doubled.halves[1].group_key = doubled.halves[0].group_key;
    assert!(matches!(seal(&doubled, "hunter2", LIGHT), SealError::Duplicate(_)));
}

#[test]
fn a_key_file_is_made_once_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(keys::identity::KEY_FILE);
    let key = NodeKey::create_new(&path, &mut rng(1)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, hex::encode(key.secret_bytes()), "64 digits, no 0x, no line end");
    assert_eq!(NodeKey::load(&path).unwrap().public(), key.public());
    let again = NodeKey::create_new(&path, &mut rng(2));
    assert!(matches!(again, Err(KeyError::Write(WriteError::Exists { .. }))));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(NodeKey::load(&path), Err(KeyError::Read(ReadError::OpenToOthers { .. }))));
}

#[test]
fn a_key_file_may_end_a_line_and_must_be_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let digits = "41d3ff12045b73c870529fe44f70dca2745bafbe1698ffc3c8759eef3cfbaee1";
    let zero = "0".repeat(64);
    let cases = [format!("{digits}\n"), format!("0x{digits}"), digits[1..].to_owned(), "g".repeat(64), zero];
    let loaded: Vec<_> = (0..)
        .zip(&cases)
        .map(|(number, content)| {
            let path = folder.path().join(format!("{number}"));
            write_new_secret(&path, content.as_bytes()).unwrap();
            NodeKey::load(&path)
        })
        .collect();
    assert!(loaded[0].is_ok());
    assert!(
        loaded[1..4].iter().all(
            |key| matches!(key, Err(KeyError::File { error, .. }) if matches!(**error, KeyError::NotHex))
        )
    );
    assert!(matches!(&loaded[4], Err(KeyError::File { error, .. }) if matches!(**error, KeyError::NotAKey)));
    assert!(
        loaded
            .iter()
            .flat_map(|key| key.as_ref().err())
            .all(|error| !error.to_string().contains(&digits[1..9]))
    );
}

#[test]
fn an_operator_signs_as_itself_among_its_peers() {
    let (a, b) = (NodeKey::generate(&mut rng(1)), NodeKey::generate(&mut rng(2)));
    let [first, second] = [1, 2].map(|index| ShareIndex::new(index).unwrap());
    let (public_a, public_b) = (a.public(), b.public());
    let peers = NodeKeys::new(&[public_a, public_b]).unwrap();
    assert_eq!(peers.index_of(&public_b), Some(second));
    assert_eq!(peers.index_of(&[2; 33]), None);
    assert_eq!(Operator::new(a, second, peers.clone()).unwrap_err(), PeersError::NotOurs(second));

    let operator = Operator::new(b, second, peers).unwrap();
    let signature = operator.sign(&[9; 32]);
    assert_eq!(operator.author(), second);
    assert!(operator.verify(second, &[9; 32], &signature));
    assert!(!operator.verify(first, &[9; 32], &signature));
    assert_eq!(operator.sign(&[9; 32]), signature, "deterministic");

    let duplicate = NodeKeys::new(&[public_a, public_b, public_a]).unwrap_err();
    assert_eq!(duplicate, PeersError::Duplicate { first, second: ShareIndex::new(3).unwrap() });
    assert_eq!(NodeKeys::new(&[[5; 33]]).unwrap_err(), PeersError::NotAKey(first));
    assert_eq!(NodeKeys::new(&[]).unwrap_err(), PeersError::Count { have: 0 });
    assert_eq!(NodeKeys::new(&[public_a; 23]).unwrap_err(), PeersError::Count { have: 23 });
}

/// Any run of four hex digits or three decimal bytes of the secret counts as a leak.
fn leaks(shown: &str, secret: &[u8]) -> bool {
    let hex = hex::encode(secret);
    let in_hex =
        hex.as_bytes().windows(4).any(|run| shown.to_lowercase().contains(std::str::from_utf8(run).unwrap()));
    let listed = |run: &[u8]| format!("{}, {}, {}", run[0], run[1], run[2]);
    in_hex || secret.windows(3).any(|run| shown.contains(&listed(run)))
}

fn shows(value: &impl Debug) -> String {
    format!("{value:?}{value:#?}")
}

#[test]
fn no_secret_type_shows_a_digit_of_its_secret() {
    let secret: [u8; 32] = std::array::from_fn(|place| u8::try_from(place * 7 + 17).unwrap());
    let key = NodeKey::from_bytes(&secret).unwrap();
    let shown = [
        shows(&SecretShare::from_be_bytes(&secret).unwrap()),
        shows(&VcHalf::from_be_bytes(&secret).unwrap()),
        shows(&Shift::from_be_bytes(&secret).unwrap()),
        shows(&key),
    ];
    assert!(leaks(&hex::encode(secret), &secret) && leaks(&shows(&secret), &secret), "the judge sees leaks");
    for text in shown {
        assert!(!leaks(&text, &secret) && text.contains("redacted"), "{text}");
    }

    let share = SecretShare::from_be_bytes(&secret).unwrap();
    let whole = hex::encode(secret);
    let (vc, node) = split(share, &mut rng(1));
    let v = vc.to_be_bytes();
    assert_eq!(shows(&node), "NodeHalf(<redacted>)NodeHalf(<redacted>)");
    let options = EncryptOptions { rounds: 16, ..EncryptOptions::default() };
    let keystore = Keystore::encrypt(&vc, &"hunter2".into(), options, &mut rng(1));
    let shown = format!("{}{keystore}", shows(&keystore));
    assert!(!shown.contains(&hex::encode(&v)) && !shown.contains(&whole) && !shown.contains("hunter2"));
    let stored = shows(&StoredHalf { group_key: PublicKey::ZERO, half: node });
    assert!(stored.contains("half: NodeHalf(<redacted>)"), "{stored}");
}

#[test]
fn every_secret_type_wipes_itself_when_dropped() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<SecretShare>();
    wiped::<VcHalf>();
    wiped::<NodeHalf>();
    wiped::<Shift>();
    wiped::<NodeKey>();
    wiped::<k256::ecdsa::SigningKey>();
    wiped::<chacha20poly1305::XChaCha20Poly1305>();
    wiped::<aes::Aes128>();
    // The cell of a scalar and blst's own key have destructors that wipe; they lack the marker trait.
    assert!(std::mem::needs_drop::<blst::blst_scalar>());
    assert!(std::mem::needs_drop::<blst::min_pk::SecretKey>());
}

#[test]
fn a_store_takes_the_place_of_one_of_the_same_halves_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let password = SecretString::from("0123456789abcdef0123456789abcdef");
    let half = |seed: u8| {
        let (_, half) = split(keys::derive::derive_master(&[seed; 32]).unwrap(), &mut rng(5));
        StoredHalf { group_key: PublicKey([seed; 48]), half }
    };
    let store = |cluster: u8, seeds: &[u8]| NodeStore {
        cluster: Root([cluster; 32]),
        generation: Generation(0),
        halves: seeds.iter().map(|seed| half(*seed)).collect(),
    };
    store(1, &[1, 2]).write_new(&path, &password, Protection::RandomPassword, &mut rng(5)).unwrap();
    let before = fs::read(&path).unwrap();
    let other = SecretString::from("another password of 32 characters");
    assert!(matches!(store(1, &[1, 2]).replace(&path, &other, &mut rng(5)), Err(ReplaceError::Open(_))));
    for stranger in [store(2, &[1, 2]), store(1, &[1]), store(1, &[2, 1])] {
        let refused = stranger.replace(&path, &password, &mut rng(5));
        assert!(matches!(refused, Err(ReplaceError::OtherHalves)), "{refused:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), before, "what is refused changes nothing");
    let new = store(1, &[1, 2]);
    new.replace(&path, &password, &mut rng(5)).unwrap();
    let read = NodeStore::load(&path, &password).unwrap();
    assert!(read.halves.iter().zip(&new.halves).all(|(read, new)| read.half.public() == new.half.public()));
}
