//! An execution node and the two contracts on it: the chain's for deposits, and the pool's vault.
//!
//! Blocks are those that the beacon chain has in its own. What people do with the contracts are logs of the newest block.

use crate::beacon_api::BeaconNode;
use alloy_primitives::{Address as AbiAddress, B256, U256};
use alloy_sol_types::{SolEvent, sol};
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use cluster::SignedDeposit;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use types::{Address, Root, Slot, Wei};

/// The pool's vault.
pub const VAULT: Address = Address([0x5a; 20]);
/// The chain's deposit contract.
pub const DEPOSITS: Address = Address([0xde; 20]);

sol! {
    event Paid(address indexed payer, uint256 amount);
    event Bonded(address indexed operator, uint256 amount);
    event Covered(address indexed payer, uint256 amount);
    event PaidOut(uint256 indexed payout, address to, uint256 amount);
    event BondPaid(uint256 indexed claim, address to, uint256 amount);
    event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index);
}

/// A log.
#[derive(Clone, Debug)]
struct Log {
    address: Address,
    topics: Vec<B256>,
    data: Vec<u8>,
    block: u64,
    index: usize,
    transaction: Root,
}

/// The execution node; it ends with this value.
#[derive(Debug)]
pub struct Execution {
    shared: Arc<Shared>,
    url: String,
    task: JoinHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    node: Arc<BeaconNode>,
    logs: Mutex<Vec<Log>>,
}

impl Drop for Execution {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Execution {
    /// Serves JSON-RPC on a free port of this machine.
    pub async fn start(node: Arc<BeaconNode>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { node, logs: Mutex::default() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new().route("/", post(answer)).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { shared, url, task })
    }

    /// Where it is reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A delegator pays into the vault.
    pub fn pay(&self, payer: Address, amount: Wei) {
        self.vault(&Paid { payer: abi(payer), amount: amount.0 });
    }

    /// Bond comes in for an operator.
    pub fn bond(&self, operator: Address, amount: Wei) {
        self.vault(&Bonded { operator: abi(operator), amount: amount.0 });
    }

    /// Somebody pays for a loss.
    pub fn cover(&self, payer: Address, amount: Wei) {
        self.vault(&Covered { payer: abi(payer), amount: amount.0 });
    }

    /// The vault pays what the pool owes.
    pub fn pay_out(&self, payout: u64, to: Address, amount: Wei) {
        self.vault(&PaidOut { payout: U256::from(payout), to: abi(to), amount: amount.0 });
    }

    /// The vault pays a claim on a bond.
    pub fn pay_bond(&self, claim: u64, to: Address, amount: Wei) {
        self.vault(&BondPaid { claim: U256::from(claim), to: abi(to), amount: amount.0 });
    }

    /// A deposit is made: the chain hears of it, and everybody who listens.
    pub fn deposit(&self, deposit: &SignedDeposit) {
        let message = &deposit.message;
        let event = DepositEvent {
            pubkey: message.public_key.0.to_vec().into(),
            withdrawal_credentials: message.withdrawal_credentials.0.to_vec().into(),
            amount: message.amount.0.to_le_bytes().to_vec().into(),
            signature: deposit.signature.0.to_vec().into(),
            index: 0_u64.to_le_bytes().to_vec().into(),
        };
        self.emit(DEPOSITS, &event);
        self.shared.node.deposit(deposit);
    }

    fn vault(&self, event: &impl SolEvent) {
        self.emit(VAULT, event);
    }

    fn emit(&self, address: Address, event: &impl SolEvent) {
        let block = self.shared.newest();
        let mut logs = self.shared.logs();
        let index = logs.iter().filter(|log| log.block == block).count();
        let mut hasher = Sha256::new();
        hasher.update(b"transaction");
        hasher.update(logs.len().to_le_bytes());
        let transaction = Root(hasher.finalize().into());
        let encoded = event.encode_log_data();
        let topics = encoded.topics().to_vec();
        logs.push(Log { address, topics, data: encoded.data.to_vec(), block, index, transaction });
    }
}

fn abi(address: Address) -> AbiAddress {
    AbiAddress::from(address.0)
}

impl Shared {
    fn logs(&self) -> MutexGuard<'_, Vec<Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the newest block.
    fn newest(&self) -> u64 {
        self.node.look(|chain| chain.executed(&chain.head()).map_or(0, |(number, _)| number))
    }

    /// Hash and slot of a block.
    fn block(&self, wanted: u64) -> Option<(Root, Slot)> {
        self.node.look(|chain| {
            let mut root = chain.head();
            loop {
                let record = chain.block(&root)?;
                match chain.executed(&root) {
                    Some((number, hash)) if number == wanted => return Some((hash, record.slot)),
                    Some(_) => root = record.parent,
                    None => return None,
                }
            }
        })
    }

    fn ask(&self, method: &str, params: &Value) -> Result<Value, String> {
        match method {
            "eth_getBlockByNumber" => {
                let number = quantity(&params[0])?;
                let Some((hash, slot)) = self.block(number) else { return Ok(Value::Null) };
                let at = self.node.spec().slot_start(slot).0 / 1000;
                Ok(json!({ "number": hex(number), "hash": hash, "timestamp": hex(at) }))
            }
            "eth_getLogs" => {
                let filter = &params[0];
                let range = quantity(&filter["fromBlock"])?..=quantity(&filter["toBlock"])?;
                let addresses: Vec<Address> =
                    serde_json::from_value(filter["address"].clone()).map_err(|error| error.to_string())?;
                let logs = self.logs();
                let found =
                    logs.iter().filter(|log| range.contains(&log.block) && addresses.contains(&log.address));
                Ok(found.map(Log::json).collect())
            }
            other => Err(format!("{other} is not served here")),
        }
    }
}

impl Log {
    fn json(&self) -> Value {
        json!({
            "address": self.address, "topics": self.topics, "data": format!("0x{}", hex::encode(&self.data)),
            "blockNumber": hex(self.block), "transactionHash": self.transaction,
            "logIndex": hex(self.index as u64), "removed": false,
        })
    }
}

fn hex(number: u64) -> String {
    format!("0x{number:x}")
}

fn quantity(value: &Value) -> Result<u64, String> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.ok_or_else(|| format!("{value} is no quantity"))
}

async fn answer(State(shared): State<Arc<Shared>>, Json(request): Json<Value>) -> Json<Value> {
    let id = &request["id"];
    let method = request["method"].as_str().unwrap_or_default();
    Json(match shared.ask(method, &request["params"]) {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(message) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32_601, "message": message } })
        }
    })
}
