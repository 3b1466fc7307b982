//! Clusters whose secrets are known, with full and partial signatures of voluntary exits.

use super::{Ran, all, bytes, entries, read_json, same};
use crypto::hashed::RecentRoots;
use crypto::{G1, Job, PublicKeyPoint, Scalar, combine, combine_public, settle, verify};
use serde_json::Value;
use std::path::Path;
use types::{PublicKey, Root, ShareIndex, Signature, SigningRoot, Threshold};

/// Runs every cluster folder that has `private.json` and `voluntary-exits.json`.
pub(crate) fn run(folder: &Path) -> Ran {
    let whole =
        |path: &Path| path.join("private.json").is_file() && path.join("voluntary-exits.json").is_file();
    let clusters = entries(folder).into_iter().filter(|path| whole(path));
    all(clusters.map(|cluster| run_cluster(&cluster)))
}

fn run_cluster(folder: &Path) -> Ran {
    let private = read_json(&folder.join("private.json"));
    let exits = read_json(&folder.join("voluntary-exits.json"));
    let (validators, exits) = (private["validators"].as_array().unwrap(), exits.as_array().unwrap());
    let name = folder.display();
    let runs = validators.iter().zip(exits).enumerate().map(|(number, (validator, exit))| {
        run_exit(validator, exit).map_err(|why| vec![format!("{name}, validator {number}: {why}")])
    });
    let as_many =
        same(validators.len(), exits.len()).map(|()| 0).map_err(|why| vec![format!("{name}: {why}")]);
    all(runs.chain([as_many]))
}

fn run_exit(validator: &Value, exit: &Value) -> Result<usize, String> {
    let secrets: Vec<_> = validator["shares"].as_array().unwrap().iter().map(scalar).collect();
    let n = secrets.len();
    let threshold = Threshold(validator["coefficients"].as_array().unwrap().len() as u8);
    let root = SigningRoot::lock_hash(exit["signing_root"].as_str().unwrap().parse::<Root>().unwrap());
    let whole: Signature = exit["signed_exit"]["signature"].as_str().unwrap().parse().unwrap();
    let group_key: PublicKey = exit["pubkey"].as_str().unwrap().parse().unwrap();
    let group_key = PublicKeyPoint::parse(&group_key).unwrap();
    let index = |i: usize| ShareIndex::new(u8::try_from(i + 1).unwrap()).unwrap();
    let partial =
        |i: usize| exit["partial_signatures"][(i + 1).to_string()].as_str().unwrap().parse().unwrap();
    let public: Vec<_> = secrets.iter().map(|secret| public_key(*secret)).collect();

    same(public_key(scalar(&validator["group_secret"])), group_key)?;
    same(verify(&group_key, &root.root().0, &whole), true)?;
    let mut ran = 0;
    for mask in (0u32..1 << n).filter(|mask| mask.count_ones() == u32::from(threshold.0)) {
        let chosen: Vec<_> = (0..n).filter(|i| mask >> i & 1 == 1).collect();
        let partials: Vec<(_, Signature)> = chosen.iter().map(|i| (index(*i), partial(*i))).collect();
        let shares: Vec<_> = chosen.iter().map(|i| (index(*i), public[*i])).collect();
        same(combine(&partials, threshold), Ok(whole))?;
        same(combine_public(&shares, threshold), Ok(group_key))?;
        let (public_shares, partials) = (&public[..], &partials[..]);
        let job = Job { root, group_key: &group_key, public_shares, threshold, partials, own: None };
        same(settle(&[job], &RecentRoots::default(), [1; 32]).0[0].signature, Some(whole))?;
        ran += 1;
    }
    Ok(ran)
}

fn scalar(value: &Value) -> Scalar {
    Scalar::from_be_bytes(&bytes(value).try_into().unwrap()).unwrap()
}

fn public_key(secret: Scalar) -> PublicKeyPoint {
    PublicKeyPoint::new(G1::generator() * secret).unwrap()
}
