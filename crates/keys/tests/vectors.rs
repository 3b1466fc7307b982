//! Official and recorded vectors: EIP-2333, EIP-2335, node keys, records and signatures.

use keys::derive::{derive_child, derive_master};
use keys::keystore::{DecryptError, EncryptOptions, PBKDF2_ROUNDS_MAX, ParseError};
use keys::{Keystore, NodeKey, NodeKeys, SecretShare, VcHalf};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use types::wire::Verify;
use types::{NodeSignature, ShareIndex};

/// A folder of vectors; `None`, said aloud, where it is absent.
#[allow(clippy::print_stderr, reason = "a skip must be seen")]
fn folder(name: &str) -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let beside = above.map(|folder| folder.join("shared/vectors")).find(|folder| folder.is_dir());
    let root = std::env::var_os("SYMBOLON_VECTORS").map(PathBuf::from).or(beside).unwrap_or_default();
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no vectors in {}", folder.display());
    None
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    types::bytes::hex_array(value.as_str().unwrap()).unwrap()
}

/// A decimal number as 32 big-endian bytes.
fn decimal(digits: &str) -> [u8; 32] {
    let mut number = [0u8; 32];
    for digit in digits.bytes() {
        let mut carry = u32::from(digit - b'0');
        for place in number.iter_mut().rev() {
            let value = u32::from(*place) * 10 + carry;
            (*place, carry) = (value.to_le_bytes()[0], value >> 8);
        }
        assert_eq!(carry, 0, "{digits} has more than 256 bits");
    }
    number
}

#[test]
fn eip_2333_masters_and_children_are_derived() {
    let Some(folder) = folder("obol/keystore") else { return };
    let text = fs::read_to_string(folder.join("eip2333-tree-kdf.json")).unwrap();
    // The keys are integers that no JSON number type holds: make them strings.
    let quoted: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("_SK\": ") {
            Some((name, number)) => {
                let (digits, comma) = number.split_at(number.trim_end_matches(',').len());
                format!("{name}_SK\": \"{digits}\"{comma}")
            }
            None => line.to_owned(),
        })
        .collect();
    let cases: Value = serde_json::from_str(&quoted.concat()).unwrap();
    let cases = cases["kdf_tests"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let master = derive_master(&hex::decode(case["seed"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(master.to_be_bytes().as_ref(), decimal(case["master_SK"].as_str().unwrap()));
        let index = u32::try_from(case["child_index"].as_u64().unwrap()).unwrap();
        let child = derive_child(&master, index);
        assert_eq!(child.to_be_bytes().as_ref(), decimal(case["child_SK"].as_str().unwrap()));
    }
    assert_eq!(derive_master(&[1; 31]).unwrap_err().have, 31);
}

#[test]
fn eip_2335_keystores_open_with_their_password_and_no_other() {
    let Some(folder) = folder("obol/keystore") else { return };
    let expected = json(&folder.join("eip2335-expected.json"));
    let password = SecretString::from(expected["password"].as_str().unwrap());
    let normalized = hex::decode(expected["password_nfkd_utf8_hex"].as_str().unwrap()).unwrap();
    let normalized = SecretString::from(String::from_utf8(normalized).unwrap());
    for name in expected["applies_to"].as_array().unwrap() {
        let keystore = Keystore::parse(&fs::read(folder.join(name.as_str().unwrap())).unwrap()).unwrap();
        for password in [&password, &normalized] {
            let share = keystore.decrypt(password).unwrap();
            assert_eq!(share.to_be_bytes().as_ref(), bytes::<32>(&expected["secret"]), "{name}");
        }
        let with_control_codes = format!("\u{0}{}\u{7f}\u{9f}\n", normalized.expose_secret());
        assert!(keystore.decrypt(&with_control_codes.into()).is_ok(), "control codes do not count");
        assert_eq!(keystore.decrypt(&"testpassword".into()).unwrap_err(), DecryptError::WrongPassword);
    }
}

#[test]
fn keystores_of_the_recorded_cluster_hold_the_shares_of_their_operator() {
    let Some(cluster) = folder("obol/synthetic/synthetic-v1.11-hoodi") else { return };
    let private = json(&cluster.join("private.json"));
    let validators = private["validators"].as_array().unwrap();
    for operator in 0..private["node_k1"].as_array().unwrap().len() {
        for (number, validator) in validators.iter().enumerate() {
            let stem = cluster.join(format!("node{operator}/validator_keys/keystore-{number}"));
            let password = fs::read_to_string(stem.with_extension("txt")).unwrap();
            let keystore = Keystore::parse(&fs::read(stem.with_extension("json")).unwrap()).unwrap();
            let share = keystore.decrypt(&password.into()).unwrap();
            assert_eq!(share.to_be_bytes().as_ref(), bytes::<32>(&validator["shares"][operator]));
            assert_eq!(Some(share.public()), keystore.pubkey);
        }
    }
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn quick() -> EncryptOptions {
    EncryptOptions { rounds: 16, ..EncryptOptions::default() }
}

#[test]
fn what_is_encrypted_reads_back_and_is_written_as_the_field_writes_it() {
    let half = VcHalf::from_be_bytes(&[0x21; 32]).unwrap();
    let password = SecretString::from("correct horse battery staple");
    let keystore = Keystore::encrypt(&half, &password, quick(), &mut rng());
    let text = keystore.to_json();
    let again = Keystore::parse(text.as_bytes()).unwrap();
    assert_eq!(again, keystore);
    assert_eq!(again.decrypt_half(&password).unwrap().to_be_bytes(), half.to_be_bytes());
    assert_eq!(again.decrypt(&"Correct horse".into()).unwrap_err(), DecryptError::WrongPassword);
    assert!(!text.contains(&"21".repeat(8)), "no secret in clear");

    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..4], ["{", " \"crypto\": {", "  \"kdf\": {", "   \"function\": \"pbkdf2\","]);
    let order = [
        "\"kdf\"",
        "\"checksum\"",
        "\"cipher\"",
        "\"description\"",
        "\"pubkey\"",
        "\"path\"",
        "\"uuid\"",
        "\"version\": 4",
    ];
    let places: Vec<usize> = order.iter().map(|field| text.find(field).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    assert!(text.contains("\"path\": \"m/12381/3600/0/0/0\"") && text.contains("\"description\": \"\""));
    let id = uuid::Uuid::parse_str(&again.uuid).unwrap();
    assert_eq!(id.get_version_num(), 4);
    assert_eq!(EncryptOptions::default().rounds, 262_144);
}

#[test]
fn an_official_keystore_is_written_back_byte_for_byte() {
    let Some(folder) = folder("obol/keystore") else { return };
    for name in ["eip2335-pbkdf2.json", "eip2335-scrypt.json"] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(Keystore::parse(text.as_bytes()).unwrap().to_json(), text.trim_end(), "{name}");
    }
}

#[test]
fn keystores_that_cost_too_much_or_make_no_sense_are_refused_before_any_work() {
    let password = SecretString::from("p");
    let good =
        Keystore::encrypt(&SecretShare::from_be_bytes(&[3; 32]).unwrap(), &password, quick(), &mut rng());
    let good: Value = serde_json::from_str(&good.to_json()).unwrap();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        Keystore::parse(document.to_string().as_bytes()).unwrap_err()
    };
    let kdf = |function: &'static str, params: Value| {
        refused(&move |document: &mut Value| {
            document["crypto"]["kdf"]["function"] = function.into();
            document["crypto"]["kdf"]["params"] = params.clone();
        })
    };
    let pbkdf2 = |c: u64, dklen: u64, prf: &str| {
        kdf("pbkdf2", serde_json::json!({"c": c, "dklen": dklen, "prf": prf, "salt": "00"}))
    };
    let scrypt = |n: u64, r: u64, p: u64| {
        kdf("scrypt", serde_json::json!({"n": n, "r": r, "p": p, "dklen": 32, "salt": "00"}))
    };
    let parameter = |error: ParseError| assert!(matches!(error, ParseError::Parameter(_)), "{error}");
    parameter(pbkdf2(u64::from(PBKDF2_ROUNDS_MAX) + 1, 32, "hmac-sha256"));
    parameter(pbkdf2(0, 32, "hmac-sha256"));
    parameter(pbkdf2(16, 1 << 30, "hmac-sha256"));
    for (n, r, p) in [
        (1 << 23, 8, 1),
        (262_144, 8, 64),
        (2, 1, 1 << 23),
        (1 << 62, 1 << 30, 1),
        (3, 8, 1),
        (0, 8, 1),
        (1024, 0, 1),
        (1024, 8, 0),
    ] {
        parameter(scrypt(n, r, p));
    }
    assert!(matches!(pbkdf2(16, 32, "hmac-sha512"), ParseError::Function { .. }));
    assert!(matches!(kdf("argon2", good["crypto"]["kdf"]["params"].clone()), ParseError::Function { .. }));
    assert!(matches!(kdf("scrypt", good["crypto"]["kdf"]["params"].clone()), ParseError::Function { .. }));
    assert_eq!(refused(&|document| document["version"] = 3.into()), ParseError::Version(3));
    parameter(refused(&|document| document["crypto"]["cipher"]["message"] = "00".into()));
    parameter(refused(&|document| document["crypto"]["kdf"]["params"]["salt"] = "00".repeat(1000).into()));
    parameter(refused(&|document| document["uuid"] = "../../x".into()));
    assert!(matches!(refused(&|document| document["crypto"] = 1.into()), ParseError::Json(_)));
    assert!(matches!(Keystore::parse(&[b' '; 1 << 17]), Err(ParseError::TooLong { .. })));
}

#[test]
fn a_keystore_that_names_another_key_is_refused() {
    let password = SecretString::from("p");
    let keystore =
        Keystore::encrypt(&VcHalf::from_be_bytes(&[3; 32]).unwrap(), &password, quick(), &mut rng());
    let mut lying = keystore.clone();
    let other = VcHalf::from_be_bytes(&[4; 32]).unwrap().public();
    lying.pubkey = Some(other);
    let actual = keystore.pubkey.unwrap();
    assert_eq!(lying.decrypt(&password).unwrap_err(), DecryptError::OtherKey { stated: other, actual });
    lying.pubkey = None;
    assert!(lying.decrypt(&password).is_ok());
}

#[test]
fn a_node_key_signs_as_recorded_and_only_its_exact_signature_verifies() {
    let Some(folder) = folder("obol/signing") else { return };
    let vector = json(&folder.join("k1.json"));
    let key = NodeKey::from_bytes(&bytes(&vector["privkey"])).unwrap();
    assert_eq!(key.public(), bytes(&vector["pubkey_compressed"]));
    let digest = bytes(&vector["digest"]);
    let signed = key.sign_prehash_recoverable(&digest);
    assert_eq!(signed, bytes(&vector["signature_rsv"]));

    let peers = NodeKeys::new(&[key.public()]).unwrap();
    let me = ShareIndex::new(1).unwrap();
    let signature = key.sign_prehash(&digest);
    assert!(peers.verify(me, &digest, &signature));
    assert!(!peers.verify(ShareIndex::new(2).unwrap(), &digest, &signature));
    assert!(!peers.verify(me, &[0; 32], &signature));
    assert!(!peers.verify(me, &digest, &high_s(&signature)));
    assert!(!peers.verify(me, &digest, &NodeSignature::ZERO));
    assert!(!peers.verify(me, &digest, &NodeSignature([0xff; 64])));
}

/// The same signature with `n - s`, which verifies by the bare equation.
fn high_s(signature: &NodeSignature) -> NodeSignature {
    let order: [u8; 32] =
        types::bytes::hex_array("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
    let mut mirrored = *signature;
    let mut borrow = 0i16;
    for place in (0..32).rev() {
        let digit = i16::from(order[place]) - i16::from(signature.0[32 + place]) - borrow;
        borrow = i16::from(digit < 0);
        mirrored.0[32 + place] = digit.rem_euclid(256).to_le_bytes()[0];
    }
    mirrored
}

#[test]
fn node_records_are_those_recorded() {
    let Some(folder) = folder("obol/signing") else { return };
    let cases = json(&folder.join("enr.json"));
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        let Some(private) = case.get("privkey") else { continue };
        let key = NodeKey::from_bytes(&bytes(private)).unwrap();
        assert_eq!(key.public(), bytes(&case["pubkey"]));
        if case["seq"] == 0 && case["pairs"].as_object().unwrap().len() == 2 {
            assert_eq!(key.enr(), case["enr"].as_str().unwrap());
            compared += 1;
        }
    }
    assert!(compared >= 2, "{compared} records compared");
}

#[test]
fn node_keys_of_the_recorded_cluster_are_those_of_its_definition() {
    let Some(cluster) = folder("obol/synthetic/synthetic-v1.11-hoodi") else { return };
    let private = json(&cluster.join("private.json"));
    let definition = json(&cluster.join("cluster-definition.json"));
    for (operator, secret) in private["node_k1"].as_array().unwrap().iter().enumerate() {
        let key = NodeKey::from_bytes(&bytes(secret)).unwrap();
        assert_eq!(key.enr(), definition["operators"][operator]["enr"].as_str().unwrap());
    }
}
