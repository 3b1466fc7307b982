//! The synthetic clusters' public files, made again from their private parts, byte for byte.

use crate::folder::{entries, json, name, subfolder, text};
use cluster::deposit::{self, DepositMessage, SignedDeposit};
use cluster::{Definition, Lock, Networks, NewValidator, SignedRegistration, exit, folder};
use crypto::{aggregate, combine};
use keys::identity::{KEY_FILE, NodeKey};
use keys::keystores::{Passwords, read_folder};
use keys::{SecretShare, shamir::recover};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::{ChainSpec, Gwei, ShareIndex, Signature, SigningRoot, Threshold, ValidatorNo};

/// A cluster all of whose secrets are known.
struct Cluster {
    folder: PathBuf,
    private: Value,
    lock: Lock,
}

fn clusters() -> Vec<Cluster> {
    let Some(obol) = subfolder("obol") else { return Vec::new() };
    let folders =
        entries(&obol.join("synthetic")).into_iter().filter(|path| path.join("private.json").is_file());
    let read = |folder: PathBuf| Cluster {
        private: json(&folder.join("private.json")),
        lock: Lock::parse(&fs::read(folder.join(folder::LOCK)).unwrap()).unwrap(),
        folder,
    };
    let clusters: Vec<_> = folders.map(read).collect();
    assert!(!clusters.is_empty());
    clusters
}

fn secret(digits: &str) -> SecretShare {
    SecretShare::from_be_bytes(&hex::decode(digits).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().unwrap()
}

impl Cluster {
    fn definition(&self) -> &Definition {
        self.lock.definition()
    }

    fn threshold(&self) -> Threshold {
        Threshold(u8::try_from(self.definition().threshold()).unwrap())
    }

    /// Whole keys, validator by validator.
    fn keys(&self) -> Vec<SecretShare> {
        let validators = list(&self.private, "validators").iter();
        validators.map(|validator| secret(text(validator, "group_secret"))).collect()
    }

    /// Shares of one validator by operator.
    fn shares(&self, validator: usize) -> Vec<(ShareIndex, SecretShare)> {
        let shares = list(&list(&self.private, "validators")[validator], "shares").iter().zip(1..);
        let share = |(share, number): (&Value, u8)| (index(number), secret(share.as_str().unwrap()));
        shares.map(share).collect()
    }

    fn deposits(&self) -> Vec<SignedDeposit> {
        let fork = self.definition().fork_version();
        let keys = self.keys();
        let of = |(number, key): (u32, &SecretShare)| {
            let messages = self.definition().deposit_messages(ValidatorNo(number), key.public()).unwrap();
            let sign = |message: DepositMessage| SignedDeposit {
                message,
                signature: key.sign(&message.signing_root(fork)),
            };
            messages.into_iter().map(sign).collect::<Vec<_>>()
        };
        (0..).zip(&keys).flat_map(of).collect()
    }
}

fn index(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

/// Every choice of at least `least` of `count` places.
fn subsets(count: usize, least: u32) -> impl Iterator<Item = Vec<usize>> {
    let chosen = move |bits: u32| (0..count).filter(|at| bits >> at & 1 == 1).collect();
    (0..1 << count).filter(move |bits: &u32| bits.count_ones() >= least).map(chosen)
}

#[test]
fn deposit_files_are_made_again_from_the_keys() {
    for cluster in clusters() {
        let network =
            Networks::public().by_fork_version(cluster.definition().fork_version()).unwrap().clone();
        let made = deposit::files(&cluster.deposits(), &network);
        let published =
            entries(&cluster.folder).into_iter().filter(|path| name(path).starts_with("deposit-data"));
        let published: Vec<_> = published.collect();
        assert_eq!(made.len(), published.len());
        for path in published {
            let file = made.iter().find(|file| file.name == name(&path)).unwrap();
            assert_eq!(file.json, fs::read_to_string(&path).unwrap(), "{}", path.display());
        }
    }
}

#[test]
fn the_compounding_deposits_of_the_reference_are_made_again_from_the_keys() {
    let Some(obol) = subfolder("obol") else { return };
    let inputs = json(&obol.join("deposit/inputs-for-deposit-data-goerli-compounding.json"));
    let network = Networks::public().by_name(text(&inputs, "network")).unwrap().clone();
    let amount = Gwei(inputs["amount_gwei"].as_u64().unwrap());
    let deposit = |input: &Value| {
        let key = secret(text(input, "privkey"));
        let address = text(input, "withdrawal_address").parse().unwrap();
        let withdrawal_credentials = deposit::withdrawal_credentials(address, true);
        let message = DepositMessage { public_key: key.public(), withdrawal_credentials, amount };
        SignedDeposit { message, signature: key.sign(&message.signing_root(network.fork_version)) }
    };
    let deposits: Vec<_> = list(&inputs, "entries").iter().map(deposit).collect();
    let made = deposit::files(&deposits, &network);
    let published = obol.join("deposit/deposit-data-goerli-compounding.json");
    assert_eq!(made[0].json, fs::read_to_string(published).unwrap());
}

#[test]
fn exits_are_made_again_by_the_keys_and_by_every_quorum_of_shares() {
    let mut tried = 0;
    for cluster in clusters() {
        let spec = ChainSpec::builtin("hoodi").unwrap();
        let exits = json(&cluster.folder.join("voluntary-exits.json"));
        for (number, published) in exits.as_array().unwrap().iter().enumerate() {
            let message: VoluntaryExit =
                serde_json::from_value(published["signed_exit"]["message"].clone()).unwrap();
            let root = exit::signing_root(&spec, &message);
            assert_eq!(root.root().to_string(), text(published, "signing_root"));
            let signed = SignedVoluntaryExit { message, signature: cluster.keys()[number].sign(&root) };
            let file = format!("exit-{}.json", text(published, "pubkey"));
            assert_eq!(exit::file_name(&cluster.keys()[number].public()), file);
            // The file is the published object on one line.
            assert_eq!(exit::to_json(&signed), published["signed_exit"].to_string());
            assert_eq!(exit::parse_file(exit::to_json(&signed).as_bytes()).unwrap(), signed);

            let partials: Vec<(ShareIndex, Signature)> =
                cluster.shares(number).iter().map(|(index, share)| (*index, share.sign(&root))).collect();
            for (index, partial) in &partials {
                assert_eq!(partial.to_string(), text(&published["partial_signatures"], &index.to_string()));
            }
            for chosen in subsets(partials.len(), cluster.threshold().0.into()) {
                let chosen: Vec<_> = chosen.into_iter().map(|at| partials[at]).collect();
                assert_eq!(combine(&chosen, cluster.threshold()), Ok(signed.signature));
                tried += 1;
            }
            let few = &partials[..usize::from(cluster.threshold().0) - 1];
            assert!(combine(few, cluster.threshold()).is_err());
        }
    }
    assert!(tried == 0 || tried >= 20, "{tried} quorums");
}

#[test]
fn keys_come_back_from_every_quorum_of_shares() {
    for cluster in clusters() {
        for (number, key) in cluster.keys().iter().enumerate() {
            for chosen in subsets(cluster.shares(number).len(), cluster.threshold().0.into()) {
                let all = cluster.shares(number).into_iter().enumerate();
                let shares: Vec<_> =
                    all.filter(|(at, _)| chosen.contains(at)).map(|(_, share)| share).collect();
                let back = recover(&shares, cluster.threshold()).unwrap();
                assert_eq!(back.to_be_bytes(), key.to_be_bytes());
            }
        }
    }
}

#[test]
fn locks_are_made_again_from_the_keys_and_their_shares() {
    for cluster in clusters() {
        let network =
            Networks::public().by_fork_version(cluster.definition().fork_version()).unwrap().clone();
        let deposits = cluster.deposits();
        let published = cluster.lock.cluster().unwrap();
        let make = |(number, key): (u32, &SecretShare)| {
            let stated = published.validators[number as usize].registration.unwrap().message;
            let message = cluster
                .definition()
                .registration(ValidatorNo(number), key.public(), stated.timestamp_s)
                .unwrap();
            let registration = SignedRegistration {
                message,
                signature: key.sign(&message.signing_root(network.fork_version)),
            };
            NewValidator {
                public_key: key.public(),
                public_shares: cluster
                    .shares(number as usize)
                    .iter()
                    .map(|(_, share)| share.public())
                    .collect(),
                deposits: deposits
                    .iter()
                    .filter(|one| one.message.public_key == key.public())
                    .copied()
                    .collect(),
                registration,
            }
        };
        let validators = (0..).zip(&cluster.keys()).map(make).collect();
        let lock = Lock::unsigned(cluster.definition().clone(), validators).unwrap();
        let hash = lock.lock_hash();
        let root = SigningRoot::lock_hash(hash);
        let signed: Vec<_> = (0..published.validators.len())
            .flat_map(|number| cluster.shares(number))
            .map(|(_, share)| share.sign(&root))
            .collect();
        let node = |digits: &Value| {
            let bytes = hex::decode(digits.as_str().unwrap()).unwrap();
            NodeKey::from_bytes(&bytes.try_into().unwrap()).unwrap().sign_prehash_recoverable(&hash.0)
        };
        let nodes: Vec<_> = list(&cluster.private, "node_k1").iter().map(node).collect();
        let lock = lock.with_signatures(aggregate(&signed).unwrap(), &nodes);
        let file = fs::read_to_string(cluster.folder.join(folder::LOCK)).unwrap();
        assert_eq!(lock.to_json(), file, "{}", cluster.folder.display());
    }
}

#[test]
fn keystores_and_node_keys_hold_what_the_private_parts_say() {
    let mut opened = 0;
    for cluster in clusters() {
        for (position, digits) in list(&cluster.private, "node_k1").iter().enumerate() {
            let node = cluster.folder.join(format!("node{position}"));
            if !node.is_dir() {
                continue;
            }
            let key = fs::read(node.join(KEY_FILE)).unwrap();
            assert_eq!(String::from_utf8(key).unwrap(), digits.as_str().unwrap());
            opened += check_keystores(&cluster, &node, position);
        }
    }
    assert!(opened == 0 || opened >= 8, "{opened} keystores");
}

fn check_keystores(cluster: &Cluster, node: &Path, position: usize) -> usize {
    let keystores = read_folder(&node.join(folder::KEYSTORES), &Passwords::Beside).unwrap();
    for (number, one) in keystores.iter().enumerate() {
        let (_, share) = cluster.shares(number).remove(position);
        assert_eq!(one.secret.to_be_bytes(), share.to_be_bytes(), "{}", one.path.display());
    }
    keystores.len()
}
