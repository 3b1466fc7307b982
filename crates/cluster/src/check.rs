//! Verification: every rule a file must obey, as a named check that says what it found.
//!
//! A reader that trusts a file only when all checks hold is right; one that shows them lets people see which failed.

use crate::{
    Definition, DepositMessage, Networks, SignedDeposit,
    deposit::{self, DepositEntry},
    exit,
    text::Hex,
};
use crypto::PublicKeyPoint;
use std::collections::BTreeMap;
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::{ChainSpec, ForkVersion, PublicKey, Root};

mod lock;
mod shares;
mod wallets;

pub use shares::{SharesError, check_shares};
pub use wallets::{ContractAnswers, ContractClaim};

/// What came of checking one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It could not be checked here: a contract's signature, and nobody asked the contract. Not to be trusted as it is.
    Unverified,
    /// It is broken.
    Broken,
}

/// What one rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The rule.
    pub name: &'static str,
    /// Whether it holds.
    pub verdict: Verdict,
    /// What was found: the reason of a failure, or what there was to verify.
    pub detail: String,
}

impl Check {
    /// A rule that holds if `found` is `Ok`; either text becomes the detail.
    pub(crate) fn new(name: &'static str, found: Result<String, String>) -> Self {
        let verdict = if found.is_ok() { Verdict::Holds } else { Verdict::Broken };
        let (Ok(detail) | Err(detail)) = found;
        Self { name, verdict, detail }
    }

    /// Whether the rule was checked and holds.
    pub fn holds(&self) -> bool {
        self.verdict == Verdict::Holds
    }
}

impl Definition {
    /// Verifies hashes, node records and wallets' signatures.
    ///
    /// - `networks`: where the chain id of the fork version is looked up; needed if wallets have signed.
    /// - A signature that does not recover to its wallet is [`Verdict::Unverified`]: a contract could vouch for it, and
    ///   [`Definition::check_with`] takes what it said.
    /// - Cost: two key recoveries an operator.
    pub fn check(&self, networks: &Networks) -> Vec<Check> {
        self.check_with(networks, &ContractAnswers::default())
    }

    /// The same, with what contracts said of [`Definition::contract_claims`].
    pub fn check_with(&self, networks: &Networks, answers: &ContractAnswers) -> Vec<Check> {
        let mut checks = self.check_hashes();
        checks.push(self.check_nodes());
        checks.extend(self.check_wallets(networks, answers));
        checks.push(Check::new("cluster_numbers", self.find_numbers()));
        checks
    }

    /// Whether there are operators, validators and a threshold that they can reach. What a ceremony and a node ask for
    /// beyond that is [`Definition::ready`]'s and `ClusterSize`'s to say.
    fn find_numbers(&self) -> Result<String, String> {
        let (threshold, operators) = (self.threshold(), self.operators().len());
        let validators = self.validators().len();
        if !(1..=operators as u64).contains(&threshold) {
            return Err(format!("threshold {threshold} of {operators} operators"));
        }
        if validators == 0 {
            return Err("no validators".to_owned());
        }
        Ok(format!("{threshold} of {operators}, {validators} validators"))
    }

    /// Verifies the two hashes: `config_hash`, `definition_hash`.
    pub fn check_hashes(&self) -> Vec<Check> {
        vec![
            hash_check("config_hash", &self.stated.config, self.config_hash()),
            hash_check("definition_hash", &self.stated.definition, self.definition_hash()),
        ]
    }

    /// Whether no two operators name one node. Records that are absent are counted, no failure.
    pub(crate) fn check_nodes(&self) -> Check {
        let mut seen = BTreeMap::new();
        let mut found = Ok(());
        for (key, operator) in self.node_keys().zip(1_usize..) {
            let first = key.and_then(|key| seen.insert(key, operator));
            if let (Some(first), Ok(())) = (first, &found) {
                found = Err(format!("operators {first} and {operator} name the same node"));
            }
        }
        let have = seen.len();
        Check::new("operator_enrs", found.map(|()| format!("{have} of {} nodes", self.operators().len())))
    }
}

/// Verifies what a deposit file claims: `deposit_amounts`, `deposit_credentials`, `deposit_once`, `deposit_roots`,
/// `deposit_networks`, `deposit_signatures`. A file without entries breaks the first.
///
/// - Cost: two pairings a deposit.
pub fn check_deposits(entries: &[DepositEntry], networks: &Networks) -> Vec<Check> {
    let mut seen = BTreeMap::new();
    let once = entries.iter().enumerate().find_map(|(position, entry)| {
        let DepositMessage { public_key, amount, .. } = entry.deposit.message;
        seen.insert((public_key, amount), position).map(|first| (first, position))
    });
    let once = match once {
        Some((first, again)) => Err(format!("entries {first} and {again} are the same deposit")),
        None => Ok(format!("{} entries", entries.len())),
    };
    let wrong_root = entries.iter().position(|entry| {
        entry.deposit.message.root() != entry.stated_message_root
            || entry.deposit.data_root() != entry.stated_data_root
    });
    let roots = match wrong_root {
        Some(position) => Err(format!("roots of entry {position} are not those of its fields")),
        None => Ok(format!("{} entries", entries.len())),
    };
    let wrong_network = entries.iter().position(|entry| {
        networks.by_name(&entry.network_name).map(|network| network.fork_version) != Some(entry.fork_version)
    });
    let network = match wrong_network {
        Some(position) => Err(format!(
            "entry {position} is for {:?} with fork version {}: no network known here has both",
            entries[position].network_name, entries[position].fork_version
        )),
        None => {
            Ok(entries.first().map_or_else(|| "no entries".to_owned(), |entry| entry.network_name.clone()))
        }
    };
    let unsigned = entries.iter().position(|entry| {
        let Ok(key) = PublicKeyPoint::parse(&entry.deposit.message.public_key) else { return true };
        !verify_deposit(&entry.deposit, &key, entry.fork_version)
    });
    let signatures = match unsigned {
        Some(position) => Err(format!("entry {position} does not verify under its key")),
        None => Ok(format!("{} deposits", entries.len())),
    };
    vec![
        Check::new("deposit_amounts", deposit_amounts(entries)),
        Check::new("deposit_credentials", deposit_credentials(entries, networks)),
        Check::new("deposit_once", once),
        Check::new("deposit_roots", roots),
        Check::new("deposit_networks", network),
        Check::new("deposit_signatures", signatures),
    ]
}

/// Whether the deposit contract takes each amount, and a validator with these credentials can stake it.
fn deposit_amounts(entries: &[DepositEntry]) -> Result<String, String> {
    if entries.is_empty() {
        return Err("no entries".to_owned());
    }
    let mut sum = 0_u128;
    for (position, entry) in entries.iter().enumerate() {
        let DepositMessage { withdrawal_credentials, amount, .. } = entry.deposit.message;
        let compounding = withdrawal_credentials.0[0] == deposit::COMPOUNDING_PREFIX;
        deposit::check_amount(amount, compounding).map_err(|error| format!("entry {position}: {error}"))?;
        sum += u128::from(amount.0);
    }
    Ok(format!("{sum} gwei in all"))
}

/// Whether every deposit comes back to somebody: credentials of a known kind, the same for all deposits of a key.
///
/// The first deposit of a key decides for ever, whatever later ones say.
fn deposit_credentials(entries: &[DepositEntry], networks: &Networks) -> Result<String, String> {
    let mut first: BTreeMap<PublicKey, Root> = BTreeMap::new();
    for (position, entry) in entries.iter().enumerate() {
        let DepositMessage { public_key, withdrawal_credentials, .. } = entry.deposit.message;
        let (kind, rest) = withdrawal_credentials.0.split_at(1);
        let (padding, address) = rest.split_at(11);
        let to_address = [deposit::ADDRESS_PREFIX, deposit::COMPOUNDING_PREFIX].contains(&kind[0]);
        if kind[0] != deposit::BLS_PREFIX && !(to_address && padding.iter().all(|byte| *byte == 0)) {
            return Err(format!(
                "entry {position} has credentials {withdrawal_credentials}, which lead to nobody"
            ));
        }
        let network = networks.by_fork_version(entry.fork_version);
        let money = network.is_some_and(crate::Network::holds_money);
        if to_address && money && address.iter().all(|byte| *byte == 0) {
            return Err(format!("entry {position} pays back to the zero address"));
        }
        if *first.entry(public_key).or_insert(withdrawal_credentials) != withdrawal_credentials {
            return Err(format!(
                "entry {position} has other credentials than an earlier one of the same key"
            ));
        }
    }
    Ok(format!("{} keys", first.len()))
}

/// Verifies a voluntary exit under the key of one of a lock's validators: `exit_signature`.
///
/// - `keys`: group keys, in the lock's order. An exit names its validator by the chain's index, so all are tried.
/// - Cost: two pairings a key, until one is right.
pub fn check_exit(exit: &SignedVoluntaryExit, spec: &ChainSpec, keys: &[PublicKey]) -> Check {
    let root = exit::signing_root(spec, &exit.message);
    let signed = |key: &PublicKey| crypto::verify_root(key, &root, &exit.signature);
    let VoluntaryExit { epoch, validator_index } = exit.message;
    let found = match keys.iter().position(signed) {
        Some(number) => Ok(format!(
            "validator {number}, {}: index {validator_index}, not before epoch {epoch}",
            keys[number]
        )),
        None => Err(format!(
            "index {validator_index}, epoch {epoch}: signed by none of {} validators for {}",
            keys.len(),
            spec.name
        )),
    };
    Check::new("exit_signature", found)
}

fn verify_deposit(deposit: &SignedDeposit, key: &PublicKeyPoint, genesis: ForkVersion) -> bool {
    crypto::verify(key, deposit.message.signing_root(genesis).as_ref(), &deposit.signature)
}

pub(crate) fn hash_check(name: &'static str, stated: &Hex<32>, computed: Root) -> Check {
    if stated.as_bytes() == computed.0 {
        return Check::new(name, Ok(computed.to_string()));
    }
    Check::new(name, Err(format!("the file says {:?}, its content hashes to {computed}", stated.to_string())))
}
