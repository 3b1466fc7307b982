//! What the contracts of a pool's life say, read by who listens to them in earnest.

use super::execution::{DEPOSITS, Execution, VAULT};
use super::house::{House, spec};
use super::people::eth;
use crate::beacon_api::BeaconNode;
use crate::clock::now;
use crate::curve::Bls;
use cluster::{DepositMessage, SignedDeposit};
use coordinator::ledger::charter::Contracts;
use coordinator::watch::contracts::{Log, Says};
use coordinator::watch::question::{Question, Scope};
use coordinator::watch::said::Said;
use serde_json::{Value, json};
use std::sync::Arc;
use types::{Address, Gwei, Root, Signature};

/// A slot takes so long that the chain stays before its first while a test runs.
const SECONDS_PER_SLOT: u64 = 100_000;

struct Site {
    house: House,
    node: Arc<BeaconNode>,
    execution: Execution,
    scope: Scope,
}

impl Site {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let house = House::new().unwrap();
        let chain = house.chain(spec(now().0 / 1000, SECONDS_PER_SLOT, 4));
        let node = Arc::new(BeaconNode::new(chain, Bls::new(&house.keys()).unwrap()));
        let execution = Execution::start(Arc::clone(&node)).await.unwrap();
        let scope = Scope {
            keys: house.keys().into_iter().collect(),
            contracts: Some(Contracts { vault: VAULT, deposits: DEPOSITS, since: 0 }),
            ..Scope::default()
        };
        Self { house, node, execution, scope }
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        http.post(self.execution.url()).json(&body).send().await.unwrap().json().await.unwrap()
    }

    async fn logs(&self, from: u64, to: u64) -> Vec<Log> {
        let question = Question::Logs { from, to, addresses: [VAULT, DEPOSITS] };
        let (method, params) = question.rpc().unwrap();
        let answer = self.ask(method, params).await["result"].to_string();
        let Said::Logs(logs) = question.read(&self.scope, &mut answer.as_bytes()).unwrap() else { panic!() };
        logs
    }
}

#[tokio::test]
async fn an_office_reads_what_the_vault_and_the_deposit_contract_say() {
    let site = Site::new().await;
    let (payer, amount) = (Address([7; 20]), eth("12.5").unwrap());
    site.execution.pay(payer, amount);
    site.execution.bond(payer, amount);
    site.execution.cover(payer, amount);
    site.execution.pay_out(3, payer, amount);
    site.execution.pay_bond(4, payer, amount);
    let message = DepositMessage {
        public_key: site.house.keys()[0],
        withdrawal_credentials: Root([1; 32]),
        amount: Gwei(1_000_000_000),
    };
    let deposit = SignedDeposit { message, signature: Signature([2; 96]) };
    site.execution.deposit(&deposit);
    let logs = site.logs(0, 10).await;
    let says: Vec<_> = logs.iter().map(|log| log.says).collect();
    assert_eq!(
        says,
        [
            Says::Paid(payer, amount),
            Says::Bonded(payer, amount),
            Says::Covered(payer, amount),
            Says::PaidOut(3, payer, amount),
            Says::BondPaid(4, payer, amount),
            Says::Deposit(message.public_key, deposit.data_root()),
        ]
    );
    let references: std::collections::BTreeSet<_> = logs.iter().map(|log| log.reference).collect();
    assert_eq!(references.len(), logs.len(), "each has a place of its own");
    assert_eq!(site.logs(1, 10).await, []);
    // The chain has heard of the deposit; a wrong signature makes no validator of it.
    let pending = site.node.look(|chain| chain.registry().unwrap().pending().copied().collect::<Vec<_>>());
    assert_eq!(pending.len(), 1);
    assert!(!pending[0].is_signed);
}

#[tokio::test]
async fn what_an_execution_node_does_not_have_it_says() {
    let site = Site::new().await;
    assert_eq!(site.ask("eth_getBlockByNumber", json!(["0x7", false])).await["result"], Value::Null);
    let answer = site.ask("eth_mine", json!([])).await;
    assert_eq!(answer["error"]["message"], "eth_mine is not served here");
    let answer = site.ask("eth_getBlockByNumber", json!(["seven", false])).await;
    assert_eq!(answer["error"]["message"], "\"seven\" is no quantity");
}
