//! The formats of ethereum/bls12-381-tests.

use super::{Ran, all, bytes, entries, run_folder, same};
use crypto::point::{G1Affine, G2Affine, hash_to_g2_under};
use crypto::{
    PublicKeyPoint, Scalar, aggregate, aggregate_verify, batch_verify, fast_aggregate_verify, hash_to_g2,
    verify,
};
use serde_json::Value;
use std::path::Path;
use types::{PublicKey, Signature};

/// RFC 9380's own tag for its examples of hashing.
const HASH_VECTORS_DST: &[u8] = b"QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_";

/// Runs every folder below.
pub(crate) fn run(folder: &Path) -> Ran {
    let folders = entries(folder).into_iter().filter(|path| path.is_dir());
    all(folders.map(|folder| run_kind(&folder)))
}

fn run_kind(folder: &Path) -> Ran {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap();
    let case: fn(&Value, &Value) -> Result<(), String> = match name {
        "aggregate" => aggregate_case,
        "aggregate_verify" => aggregate_verify_case,
        "batch_verify" => batch_verify_case,
        "deserialization_G1" => deserialization_g1_case,
        "deserialization_G2" => deserialization_g2_case,
        "fast_aggregate_verify" => fast_aggregate_verify_case,
        "hash_to_G2" => hash_to_g2_case,
        "sign" => sign_case,
        "verify" => verify_case,
        _ => return Err(vec![format!("{}: unknown kind of vectors", folder.display())]),
    };
    run_folder(folder, |vector| case(&vector["input"], &vector["output"]))
}

fn array<const N: usize>(value: &Value) -> Option<[u8; N]> {
    bytes(value).try_into().ok()
}

fn key(value: &Value) -> Option<PublicKeyPoint> {
    PublicKeyPoint::parse(&PublicKey(array(value)?)).ok()
}

fn keys(value: &Value) -> Option<Vec<PublicKeyPoint>> {
    list(value).iter().map(key).collect()
}

fn signature(value: &Value) -> Option<Signature> {
    array(value).map(Signature)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("a list instead of {value}"))
}

fn aggregate_case(input: &Value, output: &Value) -> Result<(), String> {
    let signatures: Option<Vec<_>> = list(input).iter().map(signature).collect();
    let sum = signatures.and_then(|signatures| aggregate(&signatures).ok());
    same(sum, if output.is_null() { None } else { signature(output) })
}

fn verify_case(input: &Value, output: &Value) -> Result<(), String> {
    let holds = key(&input["pubkey"])
        .zip(signature(&input["signature"]))
        .is_some_and(|(key, signature)| verify(&key, &bytes(&input["message"]), &signature));
    same(Some(holds), output.as_bool())
}

fn fast_aggregate_verify_case(input: &Value, output: &Value) -> Result<(), String> {
    let holds = keys(&input["pubkeys"])
        .zip(signature(&input["signature"]))
        .is_some_and(|(keys, signature)| fast_aggregate_verify(&keys, &bytes(&input["message"]), &signature));
    same(Some(holds), output.as_bool())
}

fn aggregate_verify_case(input: &Value, output: &Value) -> Result<(), String> {
    let messages: Vec<_> = list(&input["messages"]).iter().map(bytes).collect();
    let holds =
        keys(&input["pubkeys"]).zip(signature(&input["signature"])).is_some_and(|(keys, signature)| {
            let pairs: Vec<_> = keys.iter().copied().zip(messages.iter().map(Vec::as_slice)).collect();
            keys.len() == messages.len() && aggregate_verify(&pairs, &signature)
        });
    same(Some(holds), output.as_bool())
}

fn batch_verify_case(input: &Value, output: &Value) -> Result<(), String> {
    let messages: Vec<_> = list(&input["messages"]).iter().map(bytes).collect();
    let signatures: Option<Vec<_>> = list(&input["signatures"]).iter().map(signature).collect();
    let holds = keys(&input["pubkeys"]).zip(signatures).is_some_and(|(keys, signatures)| {
        let both = keys.iter().zip(&messages).zip(&signatures);
        let claims: Vec<_> =
            both.map(|((key, message), signature)| (*key, message.as_slice(), *signature)).collect();
        keys.len() == messages.len() && keys.len() == signatures.len() && batch_verify(&claims, [7; 32])
    });
    same(Some(holds), output.as_bool())
}

fn deserialization_g1_case(input: &Value, output: &Value) -> Result<(), String> {
    let point = array(&input["pubkey"]).and_then(|bytes| G1Affine::uncompress(&bytes).ok());
    let again = point.map(|point| point.compress().to_vec());
    same(again, output.as_bool().unwrap().then(|| bytes(&input["pubkey"])))
}

fn deserialization_g2_case(input: &Value, output: &Value) -> Result<(), String> {
    let point = array(&input["signature"]).and_then(|bytes| G2Affine::uncompress(&bytes).ok());
    let again = point.map(|point| point.compress().to_vec());
    same(again, output.as_bool().unwrap().then(|| bytes(&input["signature"])))
}

/// Coordinates are written `c0,c1`; serialized points have `c1` first.
fn hash_to_g2_case(input: &Value, output: &Value) -> Result<(), String> {
    let point = hash_to_g2_under(HASH_VECTORS_DST, input["msg"].as_str().unwrap().as_bytes());
    let coordinate = |name: &str| {
        let (c0, c1) = output[name].as_str().unwrap().split_once(',').unwrap();
        [bytes(&Value::from(c1)), bytes(&Value::from(c0))].concat()
    };
    let want = [coordinate("x"), coordinate("y")].concat();
    same(hex::encode(point.to_affine().serialize()), hex::encode(want))
}

/// This crate signs nothing; what a key signs is the hash times the key, and these keys are public.
fn sign_case(input: &Value, output: &Value) -> Result<(), String> {
    let secret = array(&input["privkey"]).and_then(|bytes| Scalar::from_be_bytes(&bytes));
    let secret = secret.filter(|secret| *secret != Scalar::ZERO);
    let signed = secret.map(|secret| Signature((hash_to_g2(&bytes(&input["message"])) * secret).compress()));
    same(signed, if output.is_null() { None } else { signature(output) })
}
