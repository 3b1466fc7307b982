//! Checks of a lock: its hashes, its keys, and everything that was signed with them.

use super::{Check, ContractAnswers, hash_check, verify_deposit};
use crate::{
    Networks, NodeKey, Registration, SignedDeposit,
    deposit::{self, DepositEntry},
    k1,
    lock::{Lock, LockRegistration, Validator},
};
use crypto::{PublicKeyPoint, cores};
use std::collections::{BTreeMap, BTreeSet};
use types::{ClusterSize, PublicKey, ShareIndex, Signature};

/// Detail of checks that need keys which are not there; another check says why.
const MALFORMED: &str = "not verifiable: keys or public shares are malformed";

impl Lock {
    /// Verifies everything a lock says of itself.
    ///
    /// - `networks`: where the chain id of the fork version is looked up; needed if wallets have signed.
    /// - Checks, in order: `config_hash`, `definition_hash`, `lock_hash`, `validator_count`, `operator_enrs`,
    ///   `operator_signatures`, `creator_signature`, `cluster_size`, `group_keys`, `public_shares`,
    ///   `share_interpolation`, `signature_aggregate`, `node_signatures`, `builder_registrations`, `deposit_amounts`,
    ///   `deposit_signatures`, `withdrawal_credentials`.
    /// - The lock may be trusted if every one holds.
    /// - Cost: for every validator `n` subgroup checks, `n - t + 1` interpolations, two pairings for each deposit
    ///   and for the registration, on all cores.
    pub fn check(&self, networks: &Networks) -> Vec<Check> {
        self.check_with(networks, &ContractAnswers::default())
    }

    /// The same, with what contracts said of [`crate::Definition::contract_claims`].
    pub fn check_with(&self, networks: &Networks, answers: &ContractAnswers) -> Vec<Check> {
        let group = cores::map(&self.validators, |validator| point(validator.public_key.exactly()));
        let shares: Vec<Vec<_>> = cores::map(&self.validators, |validator| {
            validator.public_shares.iter().map(|share| point(share.exactly())).collect()
        });
        let mut checks = self.check_hashes();
        checks.push(self.check_joined());
        checks.extend(self.definition.check_wallets(networks, answers));
        checks.extend([
            Check::new(
                "cluster_size",
                self.size().map(|size| format!("{} of {}", size.threshold(), size.operators())),
            ),
            Check::new("group_keys", distinct(&group).map(|keys| format!("{keys} keys"))),
            Check::new("public_shares", self.find_shares(&shares)),
            Check::new("share_interpolation", self.interpolate(&group, &shares)),
            Check::new("signature_aggregate", self.verify_aggregate(&shares)),
            Check::new("node_signatures", self.verify_nodes()),
            Check::new("builder_registrations", self.verify_registrations(&group)),
            Check::new("deposit_amounts", self.find_amounts()),
            Check::new("deposit_signatures", self.verify_deposits(&group)),
            Check::new("withdrawal_credentials", self.find_credentials()),
        ]);
        checks
    }

    /// Verifies what needs no keys: `config_hash`, `definition_hash`, `lock_hash`, `validator_count`.
    pub fn check_hashes(&self) -> Vec<Check> {
        let (have, want) = (self.validators.len(), self.definition.validators().len());
        let count = if have == want {
            Ok(format!("{have} validators"))
        } else {
            Err(format!("{have} distributed validators, {want} were defined"))
        };
        let mut checks = self.definition.check_hashes();
        checks.push(hash_check("lock_hash", &self.stated_hash, self.lock_hash()));
        checks.push(Check::new("validator_count", count));
        checks
    }

    /// Verifies that a deposit file is of this lock: `deposits_of_lock`.
    ///
    /// - Every entry must be, to the letter, one of the deposits that the lock's validators have signed.
    pub fn check_deposit_file(&self, entries: &[DepositEntry]) -> Check {
        let signed = self.validators.iter().flat_map(signed_deposits).flatten();
        let signed: BTreeSet<_> = signed.map(|deposit| deposit.data_root()).collect();
        let fork = self.definition.fork_version();
        let stranger = entries
            .iter()
            .position(|entry| entry.fork_version != fork || !signed.contains(&entry.deposit.data_root()));
        let found = match stranger {
            Some(position) => Err(format!("entry {position} is none of the lock's deposits")),
            None => Ok(format!("{} of the lock's {} deposits", entries.len(), signed.len())),
        };
        Check::new("deposits_of_lock", found)
    }

    /// As for a definition, but every operator must have a node.
    fn check_joined(&self) -> Check {
        let check = self.definition.check_nodes();
        match self.definition.node_keys().position(|key| key.is_none()) {
            Some(position) if check.holds() => {
                Check::new("operator_enrs", Err(format!("operator {} has no ENR", position + 1)))
            }
            _ => check,
        }
    }

    fn size(&self) -> Result<ClusterSize, String> {
        self.definition.size().map_err(|error| error.to_string())
    }

    fn find_shares(&self, shares: &[Vec<Option<PublicKeyPoint>>]) -> Result<String, String> {
        let want = self.definition.operators().len();
        for (number, shares) in shares.iter().enumerate() {
            if shares.len() != want {
                return Err(format!(
                    "validator {number} has {} public shares, {want} operators",
                    shares.len()
                ));
            }
            distinct(shares).map_err(|error| format!("validator {number}: {error}"))?;
        }
        Ok(format!("{want} shares a validator"))
    }

    /// Whether shares `1..=t` make the group key, and for each `k > t` so do `1..t` with `k`.
    ///
    /// Then all of them lie on one polynomial of degree `t - 1`, so any `t` make the key.
    fn interpolate(
        &self,
        group: &[Option<PublicKeyPoint>],
        shares: &[Vec<Option<PublicKeyPoint>>],
    ) -> Result<String, String> {
        let size = self.size()?;
        let threshold = size.threshold();
        let validators: Vec<_> = group.iter().zip(shares).enumerate().collect();
        let made = cores::map(&validators, |(number, (key, shares))| {
            let indexed: Option<Vec<(ShareIndex, PublicKeyPoint)>> =
                size.indices().zip(shares.iter()).map(|(index, share)| Some((index, (*share)?))).collect();
            let (Some(key), Some(indexed)) = (key, indexed) else { return Err(MALFORMED.to_owned()) };
            if shares.len() != size.operators() {
                return Err(MALFORMED.to_owned());
            }
            if let Some(last) = super::shares::odd_one(size, key, &indexed) {
                return Err(format!(
                    "validator {number}: shares 1 to {} with {last} do not make its key",
                    threshold - 1
                ));
            }
            Ok(())
        });
        made.into_iter().collect::<Result<(), _>>()?;
        Ok(format!("any {threshold} shares make the key"))
    }

    /// Whether every share of every validator signed the lock hash.
    fn verify_aggregate(&self, shares: &[Vec<Option<PublicKeyPoint>>]) -> Result<String, String> {
        let Some(signature) = self.signature_aggregate.exactly().map(Signature) else {
            return Err(format!("{} bytes where 96 are wanted", self.signature_aggregate.as_bytes().len()));
        };
        let keys: Option<Vec<_>> = shares.iter().flatten().copied().collect();
        let keys = keys.ok_or(MALFORMED)?;
        if crypto::fast_aggregate_verify(&keys, self.signing_root().as_ref(), &signature) {
            return Ok(format!("by {} shares", keys.len()));
        }
        Err("not the sum of signatures by all shares over the lock hash".to_owned())
    }

    /// Whether every node signed the lock hash, in the order of operators.
    fn verify_nodes(&self) -> Result<String, String> {
        let version = self.definition.version();
        if !version.has_registrations() {
            return Ok(format!("{version} has none"));
        }
        let (have, want) = (self.node_signatures.len(), self.definition.operators().len());
        if have != want {
            return Err(format!("{have} node signatures of {want} operators"));
        }
        let hash = self.lock_hash();
        for ((signature, node), operator) in
            self.node_signatures.iter().zip(self.definition.node_keys()).zip(1..)
        {
            let signer = k1::recover(hash, signature.as_bytes())
                .map_err(|error| format!("operator {operator}: {error}"))?;
            if node != Some(NodeKey::from(&signer)) {
                return Err(format!("the signature of operator {operator} is not by its node"));
            }
        }
        Ok(format!("by {want} nodes"))
    }

    fn verify_registrations(&self, group: &[Option<PublicKeyPoint>]) -> Result<String, String> {
        let version = self.definition.version();
        if !version.has_registrations() {
            return Ok(format!("{version} has none"));
        }
        let validators: Vec<_> = self.validators.iter().zip(group).enumerate().collect();
        let verified = cores::map(&validators, |(number, (validator, key))| {
            let key = key.as_ref().ok_or(MALFORMED)?;
            self.verify_registration(*number, &validator.registration, key)
                .map_err(|error| format!("validator {number}: {error}"))
        });
        verified.into_iter().collect::<Result<(), _>>()?;
        Ok(format!("{} registrations", self.validators.len()))
    }

    /// Verifies a registration under the key that signed it, against what the definition asked for.
    fn verify_registration(
        &self,
        number: usize,
        stated: &LockRegistration,
        key: &PublicKeyPoint,
    ) -> Result<(), String> {
        let signed = stated.signed().ok_or("the registration is incomplete")?;
        let addresses = self.definition.validators().get(number);
        let fee_recipient = addresses.and_then(|addresses| addresses.fee_recipient.address());
        let fee_recipient = fee_recipient.ok_or("the definition has no fee recipient")?;
        let message = Registration { fee_recipient, public_key: key.bytes(), ..signed.message };
        if message != signed.message {
            return Err("the registration is not for this key and the definition's fee recipient".to_owned());
        }
        let root = message.signing_root(self.definition.fork_version());
        if !crypto::verify(key, root.as_ref(), &signed.signature) {
            return Err("the signature does not verify".to_owned());
        }
        Ok(())
    }

    /// Whether the deposit contract takes each amount, and such a validator can stake it.
    fn find_amounts(&self) -> Result<String, String> {
        for (number, validator) in self.validators.iter().enumerate() {
            for deposit in signed_deposits(validator).flatten() {
                deposit::check_amount(deposit.message.amount, self.definition.compounding())
                    .map_err(|error| format!("validator {number}: {error}"))?;
            }
        }
        Ok("within the bounds of a deposit".to_owned())
    }

    fn verify_deposits(&self, group: &[Option<PublicKeyPoint>]) -> Result<String, String> {
        let validators: Vec<_> = self.validators.iter().zip(group).enumerate().collect();
        let counts = cores::map(&validators, |(number, (validator, key))| {
            let key = key.as_ref().ok_or(MALFORMED)?;
            let mut count = 0;
            for deposit in signed_deposits(validator) {
                let verified = deposit
                    .filter(|deposit| deposit.message.public_key == key.bytes())
                    .is_some_and(|deposit| verify_deposit(&deposit, key, self.definition.fork_version()));
                if !verified {
                    return Err(format!("validator {number}: a deposit does not verify under its key"));
                }
                count += 1;
            }
            Ok(count)
        });
        let count: usize = counts.into_iter().sum::<Result<_, String>>()?;
        Ok(format!("{count} deposits"))
    }

    fn find_credentials(&self) -> Result<String, String> {
        for (number, (validator, addresses)) in
            self.validators.iter().zip(self.definition.validators()).enumerate()
        {
            let want = addresses
                .withdrawal
                .address()
                .map(|address| deposit::withdrawal_credentials(address, self.definition.compounding()));
            for deposit in signed_deposits(validator) {
                let have = deposit.map(|deposit| deposit.message.withdrawal_credentials);
                if have.is_none() || have != want {
                    return Err(format!(
                        "validator {number}: a deposit pays back to another than the definition says"
                    ));
                }
            }
        }
        Ok("as defined".to_owned())
    }
}

/// The deposits a validator has; v1.6 and v1.7 write one of empty fields for none.
fn signed_deposits(validator: &Validator) -> impl Iterator<Item = Option<SignedDeposit>> {
    let unset = crate::lock::Deposit::default();
    validator.deposits.iter().filter(move |deposit| **deposit != unset).map(|deposit| deposit.signed())
}

fn point(bytes: Option<[u8; 48]>) -> Option<PublicKeyPoint> {
    PublicKeyPoint::parse(&PublicKey(bytes?)).ok()
}

/// How many keys there are, if all are keys and no two the same.
fn distinct(keys: &[Option<PublicKeyPoint>]) -> Result<usize, String> {
    let mut seen = BTreeMap::new();
    for (position, key) in keys.iter().enumerate() {
        let key = key.ok_or_else(|| format!("number {position} is no public key"))?;
        if let Some(first) = seen.insert(key.bytes(), position) {
            return Err(format!("numbers {first} and {position} are the same key"));
        }
    }
    Ok(keys.len())
}
