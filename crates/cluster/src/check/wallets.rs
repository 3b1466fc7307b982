//! Checks of what wallets signed: by their keys, or by what an execution node says of their contracts (ERC-1271).

use super::{Check, Verdict};
use crate::{
    Definition, Networks,
    definition::{Operator, WalletSignature},
    eip712::Message,
    k1,
    text::AddressText,
};
use std::collections::BTreeMap;
use types::{Address, ForkVersion, Root};

/// A signature that does not recover to its wallet's address: only the wallet's contract could make it valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractClaim {
    /// Which signature, in words.
    pub whose: String,
    /// The wallet.
    pub wallet: Address,
    /// What was signed.
    pub digest: Root,
    /// What the contract would be asked about; a multiple of 65 bytes.
    pub signature: Vec<u8>,
}

/// What contracts said of signatures, as an execution node reports it (ERC-1271). Whoever was not asked is not there.
#[derive(Clone, Debug, Default)]
pub struct ContractAnswers(BTreeMap<(Address, Root, Vec<u8>), Result<bool, String>>);

impl ContractAnswers {
    /// Records what the contract of a claim said.
    pub fn record(&mut self, claim: ContractClaim, valid: bool) {
        self.0.insert((claim.wallet, claim.digest, claim.signature), Ok(valid));
    }

    /// Records that the question was asked in vain, and why.
    pub fn unanswered(&mut self, claim: ContractClaim, why: String) {
        self.0.insert((claim.wallet, claim.digest, claim.signature), Err(why));
    }

    fn of(&self, claim: &ContractClaim) -> Option<&Result<bool, String>> {
        self.0.get(&(claim.wallet, claim.digest, claim.signature.clone()))
    }
}

/// How one signature fares.
enum Found {
    /// The wallet's key made it.
    Recovered,
    /// Nothing could make it valid: why.
    Invalid(String),
    /// A contract could.
    Claim(ContractClaim),
}

impl Definition {
    /// The signatures that only contracts could vouch for, creator's last. Empty where all recover, or none are there.
    ///
    /// - `networks`: where the chain id of the fork version is looked up.
    /// - Cost: a key recovery a signature.
    pub fn contract_claims(&self, networks: &Networks) -> Vec<ContractClaim> {
        let wallets = Wallets::of(self, networks);
        let operators = self.operators().iter().zip(1..);
        let operators = operators.flat_map(|(operator, number)| wallets.of_operator(operator, number));
        let found = operators.chain([wallets.of_creator(self)]);
        let claim = |found| if let Found::Claim(claim) = found { Some(claim) } else { None };
        found.filter_map(claim).collect()
    }

    /// Verifies wallets' signatures: `operator_signatures`, `creator_signature`.
    pub(crate) fn check_wallets(&self, networks: &Networks, answers: &ContractAnswers) -> Vec<Check> {
        let unsigned = self.operators().iter().filter(|operator| operator.is_unsigned()).count();
        let all = self.operators().len();
        let wallets = Wallets::of(self, networks);
        let operators = match unsigned {
            some if some == all => (Verdict::Holds, "unsigned".to_owned()),
            0 => {
                let operators = self.operators().iter().zip(1..);
                let found = operators.flat_map(|(operator, number)| wallets.of_operator(operator, number));
                sum_up(found, answers, format!("{all} operators signed"))
            }
            some => (Verdict::Broken, format!("{some} operators have not signed and the others have")),
        };
        let creator = self.creator();
        let creator_unsigned = creator.address.as_str().is_empty() && creator.config_signature.is_empty();
        let creator = match (creator_unsigned, unsigned == all) {
            (true, true) => (Verdict::Holds, "unsigned".to_owned()),
            (true, false) => {
                (Verdict::Broken, "the operators have signed and the creator has not".to_owned())
            }
            (false, _) => {
                let good = format!("signed by {}", creator.address.as_str());
                sum_up([wallets.of_creator(self)], answers, good)
            }
        };
        let check = |name, (verdict, detail)| Check { name, verdict, detail };
        vec![check("operator_signatures", operators), check("creator_signature", creator)]
    }
}

impl Operator {
    fn is_unsigned(&self) -> bool {
        self.address.as_str().is_empty() && self.config_signature.is_empty() && self.enr_signature.is_empty()
    }
}

/// The worst of what was found, in words: an invalid signature before one that a contract may yet make valid.
fn sum_up(
    found: impl IntoIterator<Item = Found>,
    answers: &ContractAnswers,
    good: String,
) -> (Verdict, String) {
    let (mut asked, mut open) = (0, None);
    for found in found {
        match found {
            Found::Recovered => {}
            Found::Invalid(why) => return (Verdict::Broken, why),
            Found::Claim(claim) => match answers.of(&claim) {
                Some(Ok(true)) => asked += 1,
                Some(Ok(false)) => {
                    let ContractClaim { whose, wallet, .. } = claim;
                    return (Verdict::Broken, format!("{whose}: {wallet} says that it is not its own"));
                }
                Some(Err(why)) => open = open.or(Some((claim, why.clone()))),
                None => open = open.or(Some((claim, String::new()))),
            },
        }
    }
    match open {
        Some((ContractClaim { whose, wallet, .. }, why)) => {
            let words =
                "not by its wallet's key; if it is a contract's, only an execution node can tell (ERC-1271)";
            let why = if why.is_empty() { why } else { format!("; {why}") };
            (Verdict::Unverified, format!("{whose}, wallet {wallet}: {words}{why}"))
        }
        None if asked > 0 => (Verdict::Holds, format!("{good}, {asked} signatures by contracts")),
        None => (Verdict::Holds, good),
    }
}

/// What wallets of one cluster sign.
struct Wallets {
    config_hash: Root,
    fork_version: ForkVersion,
    chain: Option<u64>,
}

impl Wallets {
    fn of(definition: &Definition, networks: &Networks) -> Self {
        let fork_version = definition.fork_version();
        let chain = networks.by_fork_version(fork_version).map(|network| network.chain_id);
        Self { config_hash: definition.config_hash(), fork_version, chain }
    }

    fn of_operator(&self, operator: &Operator, number: usize) -> [Found; 2] {
        let config = Message::OperatorConfigHash(self.config_hash);
        let enr = Message::Enr(operator.enr_text());
        let found = |which, message, signature| {
            self.find(
                format!("{which} signature of operator {number}"),
                message,
                &operator.address,
                signature,
            )
        };
        [found("config", config, &operator.config_signature), found("ENR", enr, &operator.enr_signature)]
    }

    fn of_creator(&self, definition: &Definition) -> Found {
        let creator = definition.creator();
        let message = Message::CreatorConfigHash(self.config_hash);
        let whose = "the creator's signature".to_owned();
        self.find(whose, message, &creator.address, &creator.config_signature)
    }

    fn find(
        &self,
        whose: String,
        message: Message<'_>,
        address: &AddressText,
        signature: &WalletSignature,
    ) -> Found {
        let invalid = |why: String| Found::Invalid(format!("{whose}: {why}"));
        let Some(chain) = self.chain else {
            return invalid(format!(
                "fork version {} is of no known network; --network-config names one",
                self.fork_version
            ));
        };
        let Some(wallet) = address.address() else { return invalid("no address".to_owned()) };
        let bytes = signature.as_bytes();
        if bytes.is_empty() {
            return invalid("it is missing".to_owned());
        }
        if !bytes.len().is_multiple_of(k1::SIGNATURE_LEN) {
            let have = bytes.len();
            return invalid(format!("{have} bytes, which is no multiple of {}", k1::SIGNATURE_LEN));
        }
        let digest = message.digest(chain);
        match k1::recover(digest, bytes) {
            Ok(key) if k1::address(&key) == wallet => Found::Recovered,
            _ => Found::Claim(ContractClaim { whose, wallet, digest, signature: bytes.to_vec() }),
        }
    }
}
