//! Verification: every rule a file must obey, as a named check that says what it found.
//!
//! A reader that trusts a file only when all checks hold is right; one that shows them lets people see which failed.

use crate::{
    Definition, Networks, SignedDeposit,
    definition::{Operator, WalletSignature},
    deposit::DepositEntry,
    eip712::Message,
    k1,
    text::{AddressText, Hex},
};
use crypto::PublicKeyPoint;
use std::collections::BTreeMap;
use types::{ForkVersion, Root};

mod lock;

/// What one rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The rule.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was found: the reason of a failure, or what there was to verify.
    pub detail: String,
}

impl Check {
    /// A rule that holds if `found` is `Ok`; either text becomes the detail.
    pub(crate) fn new(name: &'static str, found: Result<String, String>) -> Self {
        let ok = found.is_ok();
        let (Ok(detail) | Err(detail)) = found;
        Self { name, ok, detail }
    }
}

impl Definition {
    /// Verifies hashes, node records and wallets' signatures.
    ///
    /// - `networks`: where the chain id of the fork version is looked up; needed if wallets have signed.
    /// - A contract wallet's signature fails: only an execution node could tell (ERC-1271).
    /// - Cost: two key recoveries an operator.
    pub fn check(&self, networks: &Networks) -> Vec<Check> {
        let mut checks = self.check_hashes();
        checks.push(self.check_nodes());
        checks.extend(self.check_wallets(networks));
        checks
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

    /// Verifies wallets' signatures: `operator_signatures`, `creator_signature`.
    pub(crate) fn check_wallets(&self, networks: &Networks) -> Vec<Check> {
        let unsigned = self.operators().iter().filter(|operator| operator.is_unsigned()).count();
        let chain = networks.by_fork_version(self.fork_version()).map(|network| network.chain_id);
        let signed = Wallets { config_hash: self.config_hash(), fork_version: self.fork_version(), chain };
        let operators = match unsigned {
            all if all == self.operators().len() => Ok("unsigned".to_owned()),
            0 => signed.operators(self.operators()),
            some => Err(format!("{some} operators have not signed and the others have")),
        };
        let creator = self.creator();
        let creator_unsigned = creator.address.as_str().is_empty() && creator.config_signature.is_empty();
        let creator = if creator_unsigned && unsigned == self.operators().len() {
            Ok("unsigned".to_owned())
        } else if creator_unsigned {
            Err("the operators have signed and the creator has not".to_owned())
        } else {
            let message = Message::CreatorConfigHash(signed.config_hash);
            signed
                .verify(message, &creator.address, &creator.config_signature)
                .map(|()| format!("signed by {}", creator.address.as_str()))
        };
        vec![Check::new("operator_signatures", operators), Check::new("creator_signature", creator)]
    }
}

impl Operator {
    fn is_unsigned(&self) -> bool {
        self.address.as_str().is_empty() && self.config_signature.is_empty() && self.enr_signature.is_empty()
    }
}

/// What wallets of one cluster sign.
struct Wallets {
    config_hash: Root,
    fork_version: ForkVersion,
    chain: Option<u64>,
}

impl Wallets {
    fn operators(&self, operators: &[Operator]) -> Result<String, String> {
        for (operator, number) in operators.iter().zip(1..) {
            let config = Message::OperatorConfigHash(self.config_hash);
            self.verify(config, &operator.address, &operator.config_signature)
                .map_err(|error| format!("config signature of operator {number}: {error}"))?;
            self.verify(Message::Enr(operator.enr_text()), &operator.address, &operator.enr_signature)
                .map_err(|error| format!("ENR signature of operator {number}: {error}"))?;
        }
        Ok(format!("{} operators signed", operators.len()))
    }

    fn verify(
        &self,
        message: Message<'_>,
        address: &AddressText,
        signature: &WalletSignature,
    ) -> Result<(), String> {
        let chain =
            self.chain.ok_or_else(|| format!("fork version {} is of no known network", self.fork_version))?;
        let address = address.address().ok_or("no address")?;
        let key =
            k1::recover(message.digest(chain), signature.as_bytes()).map_err(|error| error.to_string())?;
        let signer = k1::address(&key);
        if signer == address {
            return Ok(());
        }
        Err(format!("not by {address} (a contract's signature could only be verified by an execution node)"))
    }
}

/// Verifies what a deposit file claims: `deposit_roots`, `deposit_networks`, `deposit_signatures`.
///
/// - Cost: two pairings a deposit.
pub fn check_deposits(entries: &[DepositEntry], networks: &Networks) -> Vec<Check> {
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
            "entry {position} is for {:?} with fork version {}, which do not belong together",
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
        Check::new("deposit_roots", roots),
        Check::new("deposit_networks", network),
        Check::new("deposit_signatures", signatures),
    ]
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
