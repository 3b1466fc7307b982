//! The execution layer, as far as a beacon node asks for one: it accepts every payload and builds empty ones.
//!
//! Engine API methods V1 to V4. Payload hashes are made up (SHA-256 of the payload), which suits beacon nodes that
//! do not compute them from the payload. The token in requests is not checked: it listens on loopback only.

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle};

/// Hash of the execution block that genesis stands on.
pub const GENESIS_BLOCK_HASH: &str = "0x0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b";

/// Payloads being built at once; a beacon node fetches or forgets each within a slot.
const BUILDING_MAX: usize = 64;

/// Wei for the proposer, reported with every payload.
const BLOCK_VALUE: &str = "0x1";

/// Why the engine does not answer a call.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EngineError {
    /// A method we do not have.
    #[error("method {0} is not known")]
    Method(String),
    /// A parameter is missing or of the wrong shape.
    #[error("parameter {0} is missing or malformed")]
    Parameter(&'static str),
    /// No payload of this identifier is being built.
    #[error("payload {0} is not being built")]
    Payload(String),
}

impl EngineError {
    /// Code of the engine API.
    fn code(&self) -> i32 {
        match self {
            Self::Method(_) => -32601,
            Self::Parameter(_) => -32602,
            Self::Payload(_) => -38001,
        }
    }
}

/// What the engine remembers.
#[derive(Debug)]
struct Chain {
    /// Number of each block heard of.
    numbers: BTreeMap<String, u64>,
    /// Payloads asked for: identifier, parent, attributes; the oldest in front.
    building: VecDeque<(String, String, Value)>,
    /// Payloads asked for so far.
    asked: u64,
}

impl Default for Chain {
    fn default() -> Self {
        let numbers = BTreeMap::from([(GENESIS_BLOCK_HASH.to_owned(), 0)]);
        Self { numbers, building: VecDeque::new(), asked: 0 }
    }
}

impl Chain {
    /// Answers one call.
    fn call(&mut self, method: &str, params: &Value) -> Result<Value, EngineError> {
        match method {
            "engine_forkchoiceUpdatedV1" | "engine_forkchoiceUpdatedV2" | "engine_forkchoiceUpdatedV3" => {
                self.choose(&params[0], &params[1])
            }
            "engine_newPayloadV1" | "engine_newPayloadV2" | "engine_newPayloadV3" | "engine_newPayloadV4" => {
                self.accept(&params[0])
            }
            "engine_getPayloadV1" => self.build(&params[0]),
            "engine_getPayloadV2" => Ok(envelope(self.build(&params[0])?, 2)),
            "engine_getPayloadV3" => Ok(envelope(self.build(&params[0])?, 3)),
            "engine_getPayloadV4" => Ok(envelope(self.build(&params[0])?, 4)),
            "engine_exchangeTransitionConfigurationV1" => Ok(params[0].clone()),
            "engine_exchangeCapabilities" => Ok(capabilities()),
            "engine_getClientVersionV1" => {
                Ok(json!([{"code": "SY", "name": "devnet", "version": "1", "commit": "0x00000000"}]))
            }
            "eth_syncing" => Ok(json!(false)),
            "eth_chainId" => Ok(json!("0x539")),
            other => Err(EngineError::Method(other.to_owned())),
        }
    }

    /// Follows the head, and starts a payload on it when attributes come along.
    fn choose(&mut self, state: &Value, attributes: &Value) -> Result<Value, EngineError> {
        let head = text(state, "headBlockHash")?;
        self.numbers.entry(head.clone()).or_insert(0);
        let mut payload_id = Value::Null;
        if attributes.is_object() {
            self.asked += 1;
            let id = format!("0x{:016x}", self.asked);
            payload_id = json!(id);
            self.building.push_back((id, head.clone(), attributes.clone()));
            if self.building.len() > BUILDING_MAX {
                self.building.pop_front();
            }
        }
        Ok(json!({"payloadStatus": valid(&head), "payloadId": payload_id}))
    }

    fn accept(&mut self, payload: &Value) -> Result<Value, EngineError> {
        let hash = text(payload, "blockHash")?;
        let digits = text(payload, "blockNumber")?;
        let number = u64::from_str_radix(digits.trim_start_matches("0x"), 16);
        self.numbers.insert(hash.clone(), number.map_err(|_| EngineError::Parameter("blockNumber"))?);
        Ok(valid(&hash))
    }

    /// The empty payload of an identifier; asking twice gives the same.
    fn build(&self, id: &Value) -> Result<Value, EngineError> {
        let id = id.as_str().ok_or(EngineError::Parameter("payloadId"))?;
        let row = self.building.iter().find(|(known, _, _)| known == id);
        let (_, parent, attributes) = row.ok_or_else(|| EngineError::Payload(id.to_owned()))?;
        let number = self.numbers.get(parent).copied().unwrap_or(0) + 1;
        let mut payload = Map::from_iter([
            ("parentHash".to_owned(), json!(parent)),
            ("feeRecipient".to_owned(), json!(text(attributes, "suggestedFeeRecipient")?)),
            ("stateRoot".to_owned(), json!(hash(&number.to_be_bytes()))),
            ("receiptsRoot".to_owned(), json!(format!("0x{}", "22".repeat(32)))),
            ("logsBloom".to_owned(), json!(format!("0x{}", "00".repeat(256)))),
            ("prevRandao".to_owned(), json!(text(attributes, "prevRandao")?)),
            ("blockNumber".to_owned(), json!(format!("0x{number:x}"))),
            ("gasLimit".to_owned(), json!("0x1c9c380")),
            ("gasUsed".to_owned(), json!("0x0")),
            ("timestamp".to_owned(), json!(text(attributes, "timestamp")?)),
            ("extraData".to_owned(), json!("0x")),
            ("baseFeePerGas".to_owned(), json!("0x3b9aca00")),
            ("transactions".to_owned(), json!([])),
        ]);
        if attributes["withdrawals"].is_array() {
            payload.insert("withdrawals".into(), attributes["withdrawals"].clone());
        }
        if attributes["parentBeaconBlockRoot"].is_string() {
            payload.insert("blobGasUsed".into(), json!("0x0"));
            payload.insert("excessBlobGas".into(), json!("0x0"));
        }
        let seed = json!([payload, attributes["parentBeaconBlockRoot"]]);
        payload.insert("blockHash".into(), json!(hash(seed.to_string().as_bytes())));
        Ok(Value::Object(payload))
    }
}

/// Wraps a payload as `engine_getPayload` of a version from 2 on returns it.
fn envelope(payload: Value, version: u8) -> Value {
    let mut reply = json!({"executionPayload": payload, "blockValue": BLOCK_VALUE});
    if version >= 3 {
        reply["blobsBundle"] = json!({"commitments": [], "proofs": [], "blobs": []});
        reply["shouldOverrideBuilder"] = json!(false);
    }
    if version >= 4 {
        reply["executionRequests"] = json!([]);
    }
    reply
}

fn capabilities() -> Value {
    let families = [("newPayload", 4), ("forkchoiceUpdated", 3), ("getPayload", 4)];
    let names =
        families.iter().flat_map(|(name, last)| (1..=*last).map(move |v| format!("engine_{name}V{v}")));
    Value::from_iter(names)
}

fn valid(hash: &str) -> Value {
    json!({"status": "VALID", "latestValidHash": hash, "validationError": null})
}

fn text(object: &Value, field: &'static str) -> Result<String, EngineError> {
    object[field].as_str().map(str::to_owned).ok_or(EngineError::Parameter(field))
}

fn hash(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(Sha256::digest(bytes)))
}

/// Answers one JSON-RPC request, or a batch of them.
fn respond(chain: &mut Chain, request: &Value) -> Value {
    if let Some(batch) = request.as_array() {
        return batch.iter().map(|one| respond(chain, one)).collect();
    }
    let outcome = chain.call(request["method"].as_str().unwrap_or(""), &request["params"]);
    let id = &request["id"];
    match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => {
            tracing::warn!(%error, "engine call refused");
            let error = json!({"code": error.code(), "message": error.to_string()});
            json!({"jsonrpc": "2.0", "id": id, "error": error})
        }
    }
}

/// A running engine; ends when dropped.
#[derive(Debug)]
pub struct Engine {
    address: SocketAddr,
    server: JoinHandle<io::Result<()>>,
}

impl Engine {
    /// Starts an engine on a free port of 127.0.0.1.
    ///
    /// - Errors: the system's, when no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let chain = Arc::new(Mutex::new(Chain::default()));
        let answer = async |State(chain): State<Arc<Mutex<Chain>>>, Json(request): Json<Value>| {
            Json(respond(&mut chain.lock().unwrap_or_else(PoisonError::into_inner), &request))
        };
        let router = Router::new().route("/", post(answer)).with_state(chain);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, server: tokio::spawn(axum::serve(listener, router).into_future()) })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> Value {
        json!({"timestamp": "0x10", "prevRandao": "0x01", "suggestedFeeRecipient": "0xfee", "withdrawals": [{"index": "0x0"}]})
    }

    fn started(chain: &mut Chain, head: &str) -> Value {
        let params = json!([{"headBlockHash": head}, attributes()]);
        chain.call("engine_forkchoiceUpdatedV2", &params).unwrap()["payloadId"].clone()
    }

    #[test]
    fn a_payload_honours_its_attributes_and_extends_its_parent() {
        let mut chain = Chain::default();
        let id = started(&mut chain, GENESIS_BLOCK_HASH);
        let reply = chain.call("engine_getPayloadV2", &json!([id])).unwrap();
        let payload = &reply["executionPayload"];
        assert_eq!(payload["feeRecipient"], "0xfee");
        assert_eq!(payload["parentHash"], GENESIS_BLOCK_HASH);
        assert_eq!(payload["blockNumber"], "0x1");
        assert_eq!(payload["withdrawals"], attributes()["withdrawals"]);
        assert!(payload.get("blobGasUsed").is_none(), "no blobs before Deneb");

        let status = chain.call("engine_newPayloadV2", &json!([payload])).unwrap();
        assert_eq!(status["status"], "VALID");
        let id = started(&mut chain, payload["blockHash"].as_str().unwrap());
        let next = chain.call("engine_getPayloadV1", &json!([id])).unwrap();
        assert_eq!(next["blockNumber"], "0x2");
        assert_ne!(next["blockHash"], payload["blockHash"]);
    }

    #[test]
    fn later_versions_carry_later_fields() {
        let mut chain = Chain::default();
        let id = started(&mut chain, GENESIS_BLOCK_HASH);
        let v3 = chain.call("engine_getPayloadV3", &json!([id])).unwrap();
        assert!(v3["blobsBundle"].is_object() && v3.get("executionRequests").is_none());
        let v4 = chain.call("engine_getPayloadV4", &json!([id])).unwrap();
        assert!(v4["executionRequests"].is_array());
        assert_eq!(v3["executionPayload"], v4["executionPayload"], "asking twice gives the same payload");
    }

    #[test]
    fn no_attributes_start_no_payload() {
        let mut chain = Chain::default();
        let reply =
            chain.call("engine_forkchoiceUpdatedV1", &json!([{"headBlockHash": "0xaa"}, null])).unwrap();
        assert_eq!(reply["payloadId"], Value::Null);
        assert_eq!(reply["payloadStatus"]["latestValidHash"], "0xaa");
    }

    #[test]
    fn payloads_in_the_making_are_bounded() {
        let mut chain = Chain::default();
        let first = started(&mut chain, GENESIS_BLOCK_HASH);
        for _ in 0..BUILDING_MAX {
            started(&mut chain, GENESIS_BLOCK_HASH);
        }
        assert_eq!(chain.building.len(), BUILDING_MAX);
        let id = first.as_str().unwrap().to_owned();
        assert_eq!(chain.call("engine_getPayloadV1", &json!([first])), Err(EngineError::Payload(id)));
    }

    #[test]
    fn wrong_calls_are_errors_with_the_codes_of_the_api() {
        let mut chain = Chain::default();
        let code = |chain: &mut Chain, method: &str, params: Value| {
            respond(chain, &json!({"id": 7, "method": method, "params": params}))["error"]["code"].clone()
        };
        assert_eq!(code(&mut chain, "engine_unheardOf", json!([])), -32601);
        assert_eq!(code(&mut chain, "engine_newPayloadV1", json!([{"blockHash": "0x01"}])), -32602);
        assert_eq!(code(&mut chain, "engine_getPayloadV1", json!(["0x09"])), -38001);
    }

    #[tokio::test]
    async fn it_answers_over_http_alone_and_in_batches() {
        let engine = Engine::start().await.unwrap();
        let client = crate::lodestar::http_client().unwrap();
        let one = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_syncing", "params": []});
        let batch = json!([one, one]);
        let ask = async |body: &Value| -> Value {
            client.post(engine.url()).json(body).send().await.unwrap().json().await.unwrap()
        };
        assert_eq!(ask(&one).await, json!({"jsonrpc": "2.0", "id": 1, "result": false}));
        assert_eq!(ask(&batch).await.as_array().unwrap().len(), 2);
    }
}
