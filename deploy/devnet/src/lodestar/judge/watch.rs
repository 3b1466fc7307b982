//! Fetches the record of a chain from its beacon node, while it runs.
//!
//! Duties are fetched in their own epoch (the old node knows no past ones), blocks by following parents from the head,
//! so that only the canonical chain counts. Committees come from everybody's attester duties: the old node's own
//! committee route swaps slots and committee indices.

use super::{Block, Carried, Committee, EpochDuties, Record};
use crate::lodestar::http_client;
use axum::http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::{SystemTime, UNIX_EPOCH},
};
use thiserror::Error;
use types::duty::SyncDuty;
use types::{Epoch, Root, Slot, ValidatorIndex};

/// Why nothing was learnt from the beacon node this time. Asking again later may help.
#[derive(Debug, Error)]
pub enum WatchError {
    /// No answer.
    #[error("the beacon node does not answer: {0}")]
    Silent(#[from] reqwest::Error),
    /// An answer that says no.
    #[error("the beacon node answers {status} to {path}: {body}")]
    Refused {
        /// What was asked.
        path: String,
        /// Its status.
        status: StatusCode,
        /// What it said.
        body: String,
    },
    /// An answer of another shape than the API's.
    #[error("the beacon node's answer to {path} is malformed: {source}")]
    Shape {
        /// What was asked.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A committee with empty places: the validators changed between two questions.
    #[error("the duties of epoch {epoch} do not fill their committees")]
    Unfilled {
        /// Which.
        epoch: Epoch,
    },
    /// The epoch turned between two questions.
    #[error("the duties of epoch {epoch} came with slots of another")]
    OtherEpoch {
        /// Which.
        epoch: Epoch,
    },
}

/// A block, and what it stands on.
#[derive(Debug)]
struct Link {
    slot: Slot,
    parent: Root,
    block: Block,
}

/// Keeps the record of a chain.
#[derive(Debug)]
pub struct Watch {
    api: Api,
    genesis_time_s: u64,
    slot_s: u64,
    slots_per_epoch: u64,
    validators: Vec<String>,
    duties: BTreeMap<Epoch, EpochDuties>,
    genesis_root: Root,
    head: Root,
    links: BTreeMap<Root, Link>,
    finalized: Epoch,
}

impl Watch {
    /// Begins to watch the chain of the beacon node at `url`.
    ///
    /// - Begin before slot 64, while the node can still name its genesis block.
    /// - Errors: see [`WatchError`].
    pub async fn begin(url: &str) -> Result<Self, WatchError> {
        let api = Api { url: url.trim_end_matches('/').to_owned(), client: http_client()? };
        let genesis: Genesis = api.get("/eth/v1/beacon/genesis").await?;
        let spec: Spec = api.get("/eth/v1/config/spec").await?;
        let validators: Vec<Validator> = api.get("/eth/v1/beacon/states/head/validators").await?;
        let genesis_root = api.get::<RootOf>("/eth/v1/beacon/blocks/0/root").await?.root;
        Ok(Self {
            api,
            genesis_time_s: genesis.genesis_time,
            slot_s: spec.seconds_per_slot,
            slots_per_epoch: spec.slots_per_epoch,
            validators: validators.into_iter().map(|validator| validator.index.to_string()).collect(),
            duties: BTreeMap::new(),
            genesis_root,
            head: genesis_root,
            links: BTreeMap::new(),
            finalized: Epoch(0),
        })
    }

    /// The slot of this moment by the machine's clock; 0 before genesis.
    pub fn now(&self) -> Slot {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Slot(now_s.saturating_sub(self.genesis_time_s) / self.slot_s)
    }

    /// Learns what is new. Call it at least once an epoch, at best every slot; after an error call it again.
    ///
    /// - Returns the slot of the head.
    /// - Errors: see [`WatchError`]; what was known stays known.
    /// - Cost: four requests, and one for each new block.
    pub async fn look(&mut self) -> Result<Slot, WatchError> {
        let epoch = Epoch(self.now().0 / self.slots_per_epoch);
        let duties = self.duties_of(epoch).await?;
        self.duties.insert(epoch, duties);
        self.follow().await?;
        let finality: Finality = self.api.get("/eth/v1/beacon/states/head/finality_checkpoints").await?;
        self.finalized = finality.finalized.epoch;
        Ok(self.links.get(&self.head).map_or(Slot(0), |link| link.slot))
    }

    /// Everything learnt so far, as of this moment.
    pub fn record(&self) -> Record {
        let mut chain = BTreeMap::new();
        let mut root = self.head;
        while let Some(link) = self.links.get(&root) {
            chain.insert(link.slot, link.block.clone());
            root = link.parent;
        }
        Record {
            slots_per_epoch: self.slots_per_epoch,
            now: self.now(),
            duties: self.duties.clone(),
            chain,
            finalized: self.finalized,
        }
    }

    /// Follows parents from the head down to what is known, then moves the head.
    async fn follow(&mut self) -> Result<(), WatchError> {
        let head = self.api.get::<RootOf>("/eth/v1/beacon/blocks/head/root").await?.root;
        let mut root = head;
        while root != self.genesis_root {
            let link = match self.links.entry(root) {
                Entry::Occupied(_) => break,
                Entry::Vacant(free) => {
                    let block: SignedBlock = self.api.get(&format!("/eth/v2/beacon/blocks/{root}")).await?;
                    free.insert(link(block.message))
                }
            };
            root = link.parent;
        }
        self.head = head;
        Ok(())
    }

    async fn duties_of(&self, epoch: Epoch) -> Result<EpochDuties, WatchError> {
        let path = format!("/eth/v1/validator/duties/attester/{epoch}");
        let attesters: Vec<AttesterDuty> = self.api.post(&path, &json!(self.validators)).await?;
        let path = format!("/eth/v1/validator/duties/proposer/{epoch}");
        let proposers: Vec<ProposerDuty> = self.api.get(&path).await?;
        let proposers: BTreeMap<_, _> =
            proposers.into_iter().map(|duty| (duty.slot, duty.validator_index)).collect();
        let first = epoch.0 * self.slots_per_epoch;
        let wanted = (first..first + self.slots_per_epoch).map(Slot);
        if !proposers.keys().copied().eq(wanted) {
            return Err(WatchError::OtherEpoch { epoch });
        }
        let committees = committees(&attesters).ok_or(WatchError::Unfilled { epoch })?;
        let path = format!("/eth/v1/validator/duties/sync/{epoch}");
        let members: Vec<SyncDuty> = self.api.post(&path, &json!(self.validators)).await?;
        let seats = |duty: SyncDuty| {
            let who = duty.validator_index;
            duty.validator_sync_committee_indices.into_iter().map(move |seat| (seat, who))
        };
        let sync = members.into_iter().flat_map(seats).collect();
        Ok(EpochDuties { committees, proposers, sync })
    }
}

/// Puts every attester in its place; `None` when a place stays empty.
fn committees(duties: &[AttesterDuty]) -> Option<Vec<Committee>> {
    let mut places: BTreeMap<(Slot, u64), BTreeMap<u64, ValidatorIndex>> = BTreeMap::new();
    let mut lengths = BTreeMap::new();
    for duty in duties {
        let committee = (duty.slot, duty.committee_index);
        places.entry(committee).or_default().insert(duty.validator_committee_index, duty.validator_index);
        lengths.insert(committee, duty.committee_length);
    }
    let full = |(committee, members): ((Slot, u64), BTreeMap<u64, ValidatorIndex>)| {
        let (slot, index) = committee;
        let filled = members.keys().copied().eq(0..lengths[&committee]);
        filled.then(|| Committee { slot, index, members: members.into_values().collect() })
    };
    places.into_iter().map(full).collect()
}

fn link(message: BlockMessage) -> Link {
    let carried = message.body.attestations.into_iter().map(|attestation| Carried {
        slot: attestation.data.slot,
        index: attestation.data.index,
        bits: attestation.aggregation_bits,
    });
    let sync_bits = message.body.sync_aggregate.sync_committee_bits;
    let block = Block { proposer: message.proposer_index, attestations: carried.collect(), sync_bits };
    Link { slot: message.slot, parent: message.parent_root, block }
}

/// The beacon API, as far as it is needed here.
#[derive(Debug)]
struct Api {
    url: String,
    client: reqwest::Client,
}

impl Api {
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, WatchError> {
        Self::data(path, self.client.get(format!("{}{path}", self.url))).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, WatchError> {
        Self::data(path, self.client.post(format!("{}{path}", self.url)).json(body)).await
    }

    async fn data<T: DeserializeOwned>(
        path: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, WatchError> {
        let reply = request.header("accept", "application/json").send().await?;
        let (status, body) = (reply.status(), reply.bytes().await?);
        if !status.is_success() {
            let body = String::from_utf8_lossy(&body).into_owned();
            return Err(WatchError::Refused { path: path.to_owned(), status, body });
        }
        let shape = |source| WatchError::Shape { path: path.to_owned(), source };
        Ok(serde_json::from_slice::<Data<T>>(&body).map_err(shape)?.data)
    }
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Genesis {
    #[serde(deserialize_with = "quoted")]
    genesis_time: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Spec {
    #[serde(deserialize_with = "quoted")]
    seconds_per_slot: u64,
    #[serde(deserialize_with = "quoted")]
    slots_per_epoch: u64,
}

#[derive(Deserialize)]
struct Validator {
    index: ValidatorIndex,
}

#[derive(Deserialize)]
struct RootOf {
    root: Root,
}

#[derive(Deserialize)]
struct Finality {
    finalized: Checkpoint,
}

#[derive(Deserialize)]
struct Checkpoint {
    epoch: Epoch,
}

#[derive(Deserialize)]
struct AttesterDuty {
    slot: Slot,
    validator_index: ValidatorIndex,
    #[serde(deserialize_with = "quoted")]
    committee_index: u64,
    #[serde(deserialize_with = "quoted")]
    committee_length: u64,
    #[serde(deserialize_with = "quoted")]
    validator_committee_index: u64,
}

#[derive(Deserialize)]
struct ProposerDuty {
    slot: Slot,
    validator_index: ValidatorIndex,
}

#[derive(Deserialize)]
struct SignedBlock {
    message: BlockMessage,
}

#[derive(Deserialize)]
struct BlockMessage {
    slot: Slot,
    proposer_index: ValidatorIndex,
    parent_root: Root,
    body: BlockBody,
}

#[derive(Deserialize)]
struct BlockBody {
    attestations: Vec<Attestation>,
    sync_aggregate: SyncAggregate,
}

#[derive(Deserialize)]
struct SyncAggregate {
    #[serde(deserialize_with = "hex_bytes")]
    sync_committee_bits: Vec<u8>,
}

#[derive(Deserialize)]
struct Attestation {
    #[serde(deserialize_with = "hex_bytes")]
    aggregation_bits: Vec<u8>,
    data: AttestationPlace,
}

#[derive(Deserialize)]
struct AttestationPlace {
    slot: Slot,
    #[serde(deserialize_with = "quoted")]
    index: u64,
}

fn quoted<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn hex_bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    hex::decode(text.strip_prefix("0x").unwrap_or(&text)).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, Router, http::Uri};
    use std::sync::{Arc, Mutex};

    fn root(n: u8) -> Root {
        Root([n; 32])
    }

    /// A block of slot `slot` on `parent`, as the API gives it, carrying one attestation.
    fn block(slot: u64, parent: u8) -> Value {
        let data = json!({"slot": (slot - 1).to_string(), "index": "0"});
        let attestation = json!({"aggregation_bits": "0x07", "data": data});
        let body =
            json!({"attestations": [attestation], "sync_aggregate": {"sync_committee_bits": "0x05000000"}});
        let message = json!({"slot": slot.to_string(), "proposer_index": "1", "parent_root": root(parent), "body": body});
        json!({"message": message})
    }

    /// A beacon node of canned answers: a chain of eight-slot epochs in its first, two validators.
    fn answers(head: u8) -> BTreeMap<String, Value> {
        let proposers: Vec<Value> =
            (0..8).map(|slot: u64| json!({"slot": slot.to_string(), "validator_index": "1"})).collect();
        let attester = |place: u64| {
            json!({"slot": "3", "validator_index": (7 - place).to_string(), "committee_index": "0",
                   "committee_length": "2", "validator_committee_index": place.to_string()})
        };
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let rows = [
            ("/eth/v1/beacon/genesis".into(), json!({"genesis_time": now_s.to_string()})),
            // Slots of an hour: the test ends within the first.
            ("/eth/v1/config/spec".into(), json!({"SECONDS_PER_SLOT": "3600", "SLOTS_PER_EPOCH": "8"})),
            ("/eth/v1/beacon/states/head/validators".into(), json!([{"index": "6"}, {"index": "7"}])),
            ("/eth/v1/beacon/blocks/0/root".into(), json!({"root": root(0)})),
            ("/eth/v1/beacon/blocks/head/root".into(), json!({"root": root(head)})),
            (format!("/eth/v2/beacon/blocks/{}", root(1)), block(1, 0)),
            (format!("/eth/v2/beacon/blocks/{}", root(2)), block(2, 1)),
            (format!("/eth/v2/beacon/blocks/{}", root(3)), block(3, 1)),
            ("/eth/v1/validator/duties/attester/0".into(), json!([attester(0), attester(1)])),
            ("/eth/v1/validator/duties/proposer/0".into(), json!(proposers)),
            (
                "/eth/v1/validator/duties/sync/0".into(),
                json!([{"pubkey": format!("0x{}", "00".repeat(48)), "validator_index": "6",
                        "validator_sync_committee_indices": ["2", "9"]}]),
            ),
            ("/eth/v1/beacon/states/head/finality_checkpoints".into(), json!({"finalized": {"epoch": "4"}})),
        ];
        rows.into()
    }

    type Answers = Arc<Mutex<BTreeMap<String, Value>>>;

    async fn node(answers: BTreeMap<String, Value>) -> (String, Answers) {
        let answers = Arc::new(Mutex::new(answers));
        let known = answers.clone();
        let answer = async move |uri: Uri| match known.lock().unwrap().get(uri.path()) {
            Some(data) => Ok(Json(json!({"data": data}))),
            None => Err((StatusCode::NOT_FOUND, "unknown")),
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
        (url, answers)
    }

    #[tokio::test]
    async fn the_record_holds_what_the_node_says() {
        let (url, _) = node(answers(2)).await;
        let mut watch = Watch::begin(&url).await.unwrap();
        assert_eq!(watch.look().await.unwrap(), Slot(2));
        let record = watch.record();
        assert_eq!(record.chain.keys().copied().collect::<Vec<_>>(), [Slot(1), Slot(2)]);
        assert_eq!(record.chain[&Slot(2)].attestations, [Carried { slot: Slot(1), index: 0, bits: vec![7] }]);
        let members = vec![ValidatorIndex(7), ValidatorIndex(6)];
        assert_eq!(record.duties[&Epoch(0)].committees, [Committee { slot: Slot(3), index: 0, members }]);
        assert_eq!(record.duties[&Epoch(0)].proposers.len(), 8);
        assert_eq!(record.chain[&Slot(2)].sync_bits, [5, 0, 0, 0]);
        assert_eq!(record.duties[&Epoch(0)].sync, [(2, ValidatorIndex(6)), (9, ValidatorIndex(6))].into());
        assert_eq!((record.finalized, record.slots_per_epoch, record.now), (Epoch(4), 8, Slot(0)));
    }

    #[tokio::test]
    async fn a_reorganisation_replaces_the_chain() {
        let (url, says) = node(answers(2)).await;
        let mut watch = Watch::begin(&url).await.unwrap();
        watch.look().await.unwrap();
        says.lock().unwrap().insert("/eth/v1/beacon/blocks/head/root".into(), json!({"root": root(3)}));
        assert_eq!(watch.look().await.unwrap(), Slot(3));
        assert_eq!(watch.record().chain.keys().copied().collect::<Vec<_>>(), [Slot(1), Slot(3)]);
    }

    #[tokio::test]
    async fn a_block_that_cannot_be_fetched_leaves_the_record_as_it_was() {
        let (url, says) = node(answers(1)).await;
        let mut watch = Watch::begin(&url).await.unwrap();
        watch.look().await.unwrap();
        says.lock().unwrap().insert("/eth/v1/beacon/blocks/head/root".into(), json!({"root": root(9)}));
        assert!(matches!(watch.look().await, Err(WatchError::Refused { status: StatusCode::NOT_FOUND, .. })));
        assert_eq!(watch.record().chain.keys().copied().collect::<Vec<_>>(), [Slot(1)]);
    }

    #[tokio::test]
    async fn duties_of_another_epoch_or_with_empty_places_are_not_recorded() {
        let (url, says) = node(answers(1)).await;
        let mut watch = Watch::begin(&url).await.unwrap();
        let good = says.lock().unwrap()["/eth/v1/validator/duties/proposer/0"].clone();
        says.lock().unwrap().insert(
            "/eth/v1/validator/duties/proposer/0".into(),
            json!([{"slot": "8", "validator_index": "1"}]),
        );
        assert!(matches!(watch.look().await, Err(WatchError::OtherEpoch { epoch: Epoch(0) })));
        says.lock().unwrap().insert("/eth/v1/validator/duties/proposer/0".into(), good);
        says.lock()
            .unwrap()
            .get_mut("/eth/v1/validator/duties/attester/0")
            .unwrap()
            .as_array_mut()
            .unwrap()
            .pop();
        assert!(matches!(watch.look().await, Err(WatchError::Unfilled { epoch: Epoch(0) })));
        assert!(watch.record().duties.is_empty());
    }
}
