//! Everybody around a pool: who governs, who guards, who operates, who delegates.

use super::execution::{DEPOSITS, Execution, VAULT};
use super::office::{Office, Wallet, coordinator};
use crate::operators::{FEE_RECIPIENT, ourselves, output_of};
use anyhow::Context as _;
use coordinator::ledger::governance::Act;
use coordinator::ledger::operators::Standing;
use coordinator::ledger::policy::preset;
use keys::identity::{KEY_FILE, NodeKey};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use types::{Address, ClusterSize, Wei};

/// Operators of a cluster that sign together.
pub const THRESHOLD: u8 = 3;
/// Keys of governance that must agree.
pub const GOVERNANCE_NEEDED: usize = 2;
/// Guardians that must approve a batch.
const GUARDIANS_NEEDED: usize = 2;
/// A clock that a charter allows: governance's acts have an effect after a minute.
const TIMELOCK_S: u64 = 60;
/// Where all withdrawals go: to the vault.
const WITHDRAWALS: Address = VAULT;
/// What an operator has as its bond.
const BOND_ETH: &str = "20";
/// Something takes finality, and a report or two: some dozens of slots.
pub(super) const SOON: Duration = Duration::from_secs(180);

/// What operators run, and where: no two have anything in common.
const SETUPS: [[&str; 4]; 6] = [
    ["DE", "geth", "lodestar", "lodestar"],
    ["FI", "reth", "lighthouse", "lighthouse"],
    ["CL", "nethermind", "teku", "teku"],
    ["JP", "besu", "nimbus", "nimbus"],
    ["ZA", "erigon", "prysm", "prysm"],
    ["NZ", "ethrex", "grandine", "vouch"],
];

/// An operator: its keys, and the folder of its node key.
#[derive(Debug)]
pub struct Person {
    /// From 1.
    pub number: usize,
    /// Writes in its name.
    pub manager: Wallet,
    /// Gets what it earns.
    pub reward: Wallet,
    /// Where its node key is.
    pub dir: PathBuf,
    /// Its node's record.
    pub enr: String,
}

/// Everybody.
#[derive(Debug)]
pub struct People {
    /// Keys of governance.
    pub governance: Vec<Wallet>,
    /// Guardians.
    pub guardians: Vec<Wallet>,
    /// Operators.
    pub operators: Vec<Person>,
    /// Delegators.
    pub delegators: Vec<Wallet>,
    treasury: Wallet,
}

fn wallets(count: usize) -> anyhow::Result<Vec<Wallet>> {
    (0..count).map(|_| Wallet::new()).collect()
}

impl People {
    /// Three govern, three guard, six operate, three delegate.
    pub async fn new(run_dir: &Path) -> anyhow::Result<Self> {
        let mut operators = Vec::new();
        for number in 1..=SETUPS.len() {
            let dir = run_dir.join(format!("identity-{number}"));
            let mut command = ourselves("dkg")?;
            command.arg("identity").arg("--data-dir").arg(&dir);
            let enr = String::from_utf8(output_of(command, "identity").await?)?.trim().to_owned();
            let (manager, reward) = (Wallet::new()?, Wallet::new()?);
            operators.push(Person { number, manager, reward, dir, enr });
        }
        Ok(Self {
            governance: wallets(3)?,
            guardians: wallets(3)?,
            operators,
            delegators: wallets(3)?,
            treasury: Wallet::new()?,
        })
    }

    /// The operator with a manager.
    pub fn operator(&self, manager: Address) -> anyhow::Result<&Person> {
        let found = self.operators.iter().find(|person| person.manager.address == manager);
        found.with_context(|| format!("nobody has manager {manager}"))
    }

    /// Drafts the charter with the program's own command, on a policy whose times are short.
    pub async fn charter(&self, run_dir: &Path, network: &Path) -> anyhow::Result<PathBuf> {
        let policy = run_dir.join("policy.json");
        std::fs::write(&policy, serde_json::to_vec_pretty(&short_policy()?)?)?;
        let (dir, out) = (run_dir.join("coordinator"), run_dir.join("charter.json"));
        let dir = dir.display().to_string();
        let address = output_of(coordinator(&["identity", "--data-dir", &dir])?, "identity").await?;
        let address = String::from_utf8(address)?;
        let mut command = coordinator(&["charter", "--name", "Meadow", "--coordinator", address.trim()])?;
        command.arg("--network-config").arg(network).arg("--policy").arg(&policy).arg("--out").arg(&out);
        command.args(["--withdrawal-address", &WITHDRAWALS.to_string(), "--fee-recipient", FEE_RECIPIENT]);
        command.args(["--treasury", &self.treasury.address.to_string()]);
        command.arg("--governance").args(self.governance.iter().map(|key| key.address.to_string()));
        command.args(["--governance-needed", &GOVERNANCE_NEEDED.to_string(), "--guardian"]);
        command.args(self.guardians.iter().map(|key| key.address.to_string()));
        command.args(["--guardians-needed", &GUARDIANS_NEEDED.to_string()]);
        command.args(["--timelock-s", &TIMELOCK_S.to_string()]);
        command.args(["--vault", &VAULT.to_string(), "--deposit-contract", &DEPOSITS.to_string()]);
        command.args(["--vault-since", "1"]);
        output_of(command, "charter").await?;
        Ok(out)
    }

    /// All operators apply, are vetted, bring a bond, and begin.
    pub async fn join(&self, office: &Office, execution: &Execution) -> anyhow::Result<()> {
        for (person, setup) in self.operators.iter().zip(SETUPS) {
            let node = NodeKey::load(&person.dir.join(KEY_FILE))?;
            let [country, el, cl, vc] = setup;
            let setup = json!({
                "country": country, "hosting_as": 24_940 + person.number, "execution_client": el,
                "consensus_client": cl, "validator_client": vc,
            });
            let manager = person.manager.address;
            let application = json!({
                "entity": format!("Operator {}", person.number), "setup": setup, "operator_type": "csm-default",
                "reward": person.reward.address, "enr": person.enr,
                "node_signature": office.binding(&node, manager),
            });
            office.post(&person.manager, "/v1/operators", &application).await?;
        }
        let vet = |person: &Person| Act::VetOperator { operator: person.manager.address };
        let acts = self.operators.iter().map(vet).collect();
        office.govern(&self.governance, GOVERNANCE_NEEDED, acts).await?;
        for person in &self.operators {
            execution.bond(person.manager.address, eth(BOND_ETH)?);
        }
        let all = self.operators.len();
        let bonded = |state: &coordinator::ledger::State| {
            let has = |person: &&Person| state.bonds.account(person.manager.address).bond != Wei::ZERO;
            (self.operators.iter().filter(has).count() == all).then_some(())
        };
        office.until("bonds", SOON, bonded).await?;
        for person in &self.operators {
            let path = format!("/v1/operators/{}/activate", person.manager.address);
            office.post(&person.manager, &path, &json!({})).await?;
        }
        let active = |state: &coordinator::ledger::State| {
            let is_active =
                |one: &&coordinator::ledger::operators::Operator| one.standing == Standing::Active;
            let count = state.operators.operators.values().filter(is_active).count();
            (count == all).then_some(())
        };
        office.until("operators", SOON, active).await
    }
}

/// An amount in ETH.
pub fn eth(eth: &str) -> anyhow::Result<Wei> {
    Wei::from_eth(eth).with_context(|| format!("{eth:?} is no amount of ETH"))
}

/// Lido's policy with the shortest times that are allowed, frames of two epochs, and clusters of four only.
fn short_policy() -> anyhow::Result<Value> {
    let policy = preset("lido").context("a policy to begin with")?;
    let mut policy = serde_json::to_value(policy)?;
    let size = ClusterSize::new_safe(4, THRESHOLD.into())?;
    policy["sizes"] = json!([{ "operators": size.operators(), "threshold": size.threshold() }]);
    policy["formation"]["answer_s"] = json!(120);
    policy["reports"]["frame_epochs"] = json!(2);
    policy["announcement_s"] = json!(60);
    policy["exits"] = json!({ "delayed_s": 120, "delinquent_s": 240, "cooldown_s": 60 });
    policy["delegations"]["request_age_min_s"] = json!(0);
    policy["losses"]["objection_s"] = json!(TIMELOCK_S + 1);
    policy["losses"]["cluster_stands"] = json!(true);
    Ok(policy)
}
