//! The beacon API as a validator client asks it: one URL, JSON, no fallback.

use futures::{Stream, StreamExt as _};
use reqwest::{Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
use types::aggregate::{Aggregate, AggregateShape, SignedAggregate};
use types::attestation::SingleAttestation;
use types::block::{BlockContents, BlockShape, SignedBlockContents};
use types::duty::{AttesterDuty, ProposerDuty, SyncDuty};
use types::spec::{ForkEpoch, SlotTiming};
use types::sync::SyncCommitteeMessage;
use types::{
    Address, AttestationData, ChainSpec, Epoch, Fork, ForkVersion, Preset, PublicKey, Root, Signature, Slot,
    ValidatorIndex,
};

/// How long a connection may take on one machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest answer: a node of a DV may hold a question until its cluster agrees. Slots of the devnet are shorter.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(12);

/// Longest a node holds a question for selection proofs, and some: the slot before, and two thirds of the slot, of 12 s.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest line of the event stream that is read, in bytes: a head has 500.
const LINE_LEN_MAX: usize = 64 << 10;

/// The header that names the fork of a body.
const VERSION_HEADER: &str = "eth-consensus-version";

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum ApiError {
    /// It was refused.
    #[error("{path} answered {code}: {message}")]
    Status {
        /// What was asked.
        path: String,
        /// HTTP status.
        code: u16,
        /// The body.
        message: String,
    },
    /// There was no answer.
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    /// The answer is not what the API says.
    #[error("the answer does not read: {0}")]
    Shape(String),
}

/// A beacon node, or what stands before it.
#[derive(Clone, Debug)]
pub struct Api {
    http: Client,
    url: String,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

/// A selection proof, of an attester or of a member of a subcommittee: a half of it, or the validator's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Whose.
    pub validator_index: ValidatorIndex,
    /// For which slot.
    pub slot: Slot,
    /// For which subcommittee, for members.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "quoted")]
    pub subcommittee_index: Option<u64>,
    /// The signature.
    pub selection_proof: Signature,
}

/// A number as the beacon API writes it, where there is one.
mod quoted {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(number: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => to.collect_str(number),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<u64>, D::Error> {
        String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
struct Genesis {
    genesis_time: String,
    genesis_validators_root: Root,
    genesis_fork_version: ForkVersion,
}

#[derive(Deserialize)]
struct Entry {
    index: ValidatorIndex,
    validator: Validator,
}

#[derive(Deserialize)]
struct Validator {
    pubkey: PublicKey,
}

#[derive(Deserialize)]
struct Produced {
    version: Fork,
    execution_payload_blinded: bool,
    data: Value,
}

impl Api {
    /// For a node at `url`, such as `http://127.0.0.1:3600`.
    pub fn new(url: &str) -> Result<Self, ApiError> {
        // reqwest wants a TLS provider even for plain HTTP; a second installation is refused, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned() })
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Response, ApiError> {
        let response = request.send().await?;
        let code = response.status();
        if code.is_success() {
            return Ok(response);
        }
        let message = response.text().await.unwrap_or_default();
        Err(ApiError::Status { path: path.to_owned(), code: code.as_u16(), message })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let request = self.http.get(format!("{}{path}", self.url)).timeout(ANSWER_TIMEOUT);
        Ok(self.send(path, request).await?.json().await?)
    }

    fn to_post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url)).timeout(ANSWER_TIMEOUT).json(body)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Response, ApiError> {
        self.send(path, self.to_post(path, body)).await
    }

    /// The network, from the node's configuration and genesis.
    pub async fn spec(&self) -> Result<ChainSpec, ApiError> {
        let keys: Data<BTreeMap<String, Value>> = self.get("/eth/v1/config/spec").await?;
        let genesis: Data<Genesis> = self.get("/eth/v1/beacon/genesis").await?;
        read_spec(&keys.data, &genesis.data)
    }

    /// The indices of keys that the chain knows.
    pub async fn indices(&self, keys: &[PublicKey]) -> Result<BTreeMap<PublicKey, ValidatorIndex>, ApiError> {
        let path = "/eth/v1/beacon/states/head/validators";
        let entries: Data<Vec<Entry>> = self.post(path, &json!({ "ids": keys })).await?.json().await?;
        Ok(entries.data.into_iter().map(|entry| (entry.validator.pubkey, entry.index)).collect())
    }

    /// Attestations of an epoch.
    pub async fn attesters(
        &self,
        epoch: Epoch,
        who: &[ValidatorIndex],
    ) -> Result<Vec<AttesterDuty>, ApiError> {
        let path = format!("/eth/v1/validator/duties/attester/{epoch}");
        let duties: Data<_> = self.post(&path, &json!(who)).await?.json().await?;
        Ok(duties.data)
    }

    /// Blocks of an epoch, everybody's.
    pub async fn proposers(&self, epoch: Epoch) -> Result<Vec<ProposerDuty>, ApiError> {
        let duties: Data<_> = self.get(&format!("/eth/v1/validator/duties/proposer/{epoch}")).await?;
        Ok(duties.data)
    }

    /// What to attest.
    pub async fn attestation_data(&self, slot: Slot) -> Result<AttestationData, ApiError> {
        let path = format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index=0");
        Ok(self.get::<Data<_>>(&path).await?.data)
    }

    /// A block to sign, with its blobs.
    pub async fn block(
        &self,
        preset: Preset,
        slot: Slot,
        randao: &Signature,
    ) -> Result<BlockContents, ApiError> {
        let produced: Produced =
            self.get(&format!("/eth/v3/validator/blocks/{slot}?randao_reveal={randao}")).await?;
        let shape =
            BlockShape { preset, fork: produced.version, blinded: produced.execution_payload_blinded };
        BlockContents::from_json(shape, &produced.data).map_err(|error| ApiError::Shape(error.to_string()))
    }

    /// Publishes a block.
    pub async fn publish(&self, preset: Preset, signed: &SignedBlockContents) -> Result<(), ApiError> {
        let body = signed.to_json(preset).map_err(|error| ApiError::Shape(error.to_string()))?;
        let blinded = signed.signed.block.blinded;
        let path = if blinded { "/eth/v2/beacon/blinded_blocks" } else { "/eth/v2/beacon/blocks" };
        let fork = signed.signed.block.fork.to_string();
        self.send(path, self.to_post(path, &body).header(VERSION_HEADER, fork)).await.map(|_| ())
    }

    /// Publishes attestations.
    pub async fn attest(&self, fork: Fork, list: &[SingleAttestation]) -> Result<(), ApiError> {
        let path = "/eth/v2/beacon/pool/attestations";
        let request = self.to_post(path, &json!(list)).header(VERSION_HEADER, fork.to_string());
        self.send(path, request).await.map(|_| ())
    }

    /// Sync committee members of an epoch.
    pub async fn members(&self, epoch: Epoch, who: &[ValidatorIndex]) -> Result<Vec<SyncDuty>, ApiError> {
        let path = format!("/eth/v1/validator/duties/sync/{epoch}");
        let duties: Data<_> = self.post(&path, &json!(who)).await?.json().await?;
        Ok(duties.data)
    }

    /// The head that sync committee members vote for.
    pub async fn head_root(&self) -> Result<Root, ApiError> {
        #[derive(Deserialize)]
        struct Head {
            root: Root,
        }
        Ok(self.get::<Data<Head>>("/eth/v1/beacon/blocks/head/root").await?.data.root)
    }

    /// Publishes votes of sync committee members.
    pub async fn vote_for_head(&self, list: &[SyncCommitteeMessage]) -> Result<(), ApiError> {
        self.post("/eth/v1/beacon/pool/sync_committees", &json!(list)).await.map(|_| ())
    }

    /// Has selection proofs combined; those that are missing in the answer did not combine.
    pub async fn select(&self, list: &[Selection]) -> Result<Vec<Selection>, ApiError> {
        let of_members = list.first().is_some_and(|one| one.subcommittee_index.is_some());
        let kind = if of_members { "sync_committee_selections" } else { "beacon_committee_selections" };
        let path = format!("/eth/v1/validator/{kind}");
        let request = self.to_post(&path, &json!(list)).timeout(SELECTION_TIMEOUT);
        let combined: Data<_> = self.send(&path, request).await?.json().await?;
        Ok(combined.data)
    }

    /// A committee's aggregate. `data_root`: of what was attested.
    pub async fn aggregate(
        &self,
        shape: AggregateShape,
        slot: Slot,
        data_root: Root,
        committee_index: u64,
    ) -> Result<Aggregate, ApiError> {
        let path = format!(
            "/eth/v2/validator/aggregate_attestation?attestation_data_root={data_root}&slot={slot}&committee_index={committee_index}"
        );
        let answer: Data<Value> = self.get(&path).await?;
        shape.from_json(&answer.data).map_err(|error| ApiError::Shape(error.to_string()))
    }

    /// A subcommittee's contribution.
    pub async fn contribution(
        &self,
        shape: AggregateShape,
        slot: Slot,
        subcommittee_index: u64,
        head: Root,
    ) -> Result<Aggregate, ApiError> {
        let path = format!(
            "/eth/v1/validator/sync_committee_contribution?slot={slot}&subcommittee_index={subcommittee_index}&beacon_block_root={head}"
        );
        let answer: Data<Value> = self.get(&path).await?;
        shape.from_json(&answer.data).map_err(|error| ApiError::Shape(error.to_string()))
    }

    /// Publishes aggregates of a fork.
    pub async fn publish_aggregates(&self, fork: Fork, list: &[SignedAggregate]) -> Result<(), ApiError> {
        let path = "/eth/v2/validator/aggregate_and_proofs";
        let body = list.iter().map(SignedAggregate::to_json).collect();
        self.send(path, self.to_post(path, &body).header(VERSION_HEADER, fork.to_string())).await.map(|_| ())
    }

    /// Publishes contributions.
    pub async fn publish_contributions(&self, list: &[SignedAggregate]) -> Result<(), ApiError> {
        let body = list.iter().map(SignedAggregate::to_json).collect();
        self.post("/eth/v1/validator/contribution_and_proofs", &body).await.map(|_| ())
    }

    /// Subscribes to the subcommittees of members, to the end of an epoch.
    pub async fn subscribe_members(&self, duties: &[SyncDuty], epoch: Epoch) -> Result<(), ApiError> {
        let entry = |duty: &SyncDuty| {
            let indices = duty.validator_sync_committee_indices.iter().map(u64::to_string);
            json!({
                "validator_index": duty.validator_index,
                "sync_committee_indices": indices.collect::<Vec<_>>(),
                "until_epoch": epoch.next(),
            })
        };
        let body = duties.iter().map(entry).collect();
        self.post("/eth/v1/validator/sync_committee_subscriptions", &body).await.map(|_| ())
    }

    /// Says whom the validators' payloads should pay.
    pub async fn prepare(&self, who: &[ValidatorIndex], fee_recipient: Address) -> Result<(), ApiError> {
        let entry = |index| json!({ "validator_index": index, "fee_recipient": fee_recipient });
        let body = who.iter().map(entry).collect();
        self.post("/eth/v1/validator/prepare_beacon_proposer", &body).await.map(|_| ())
    }

    /// Subscribes to the committees of duties.
    pub async fn subscribe(&self, duties: &[AttesterDuty]) -> Result<(), ApiError> {
        let entry = |duty: &AttesterDuty| {
            json!({
                "validator_index": duty.validator_index,
                "committee_index": duty.committee_index.to_string(),
                "committees_at_slot": duty.committees_at_slot.to_string(),
                "slot": duty.slot,
                "is_aggregator": false,
            })
        };
        let body = duties.iter().map(entry).collect();
        self.post("/eth/v1/validator/beacon_committee_subscriptions", &body).await.map(|_| ())
    }

    /// Slots of heads as they come, until the stream breaks.
    pub async fn heads(&self) -> Result<impl Stream<Item = Slot> + use<>, ApiError> {
        let path = "/eth/v1/events?topics=head";
        let response = self.send(path, self.http.get(format!("{}{path}", self.url))).await?;
        let chunks = response.bytes_stream().take_while(|chunk| std::future::ready(chunk.is_ok()));
        let slots = chunks.scan(Vec::new(), |line, chunk| {
            let slots = chunk.map(|chunk| feed(line, &chunk)).unwrap_or_default();
            std::future::ready((line.len() <= LINE_LEN_MAX).then_some(slots))
        });
        Ok(Box::pin(slots.flat_map(futures::stream::iter)))
    }
}

/// Adds a chunk to an unfinished line; returns the slots in the `data` lines that ended. Only heads are asked for.
fn feed(line: &mut Vec<u8>, chunk: &[u8]) -> Vec<Slot> {
    #[derive(Deserialize)]
    struct Head {
        slot: Slot,
    }
    line.extend_from_slice(chunk);
    let Some(end) = line.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let whole: Vec<u8> = line.drain(..=end).collect();
    let text = String::from_utf8_lossy(&whole);
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|json| Some(serde_json::from_str::<Head>(json).ok()?.slot)).collect()
}

fn read_spec(keys: &BTreeMap<String, Value>, genesis: &Genesis) -> Result<ChainSpec, ApiError> {
    let text = |key: &str| keys.get(key).and_then(Value::as_str);
    let missing = |key: &str| ApiError::Shape(format!("no {key} in config/spec"));
    let number = |key: &str| text(key).and_then(|text| text.parse::<u64>().ok());
    let slot_ms = number("SLOT_DURATION_MS").or(number("SECONDS_PER_SLOT").map(|seconds| seconds * 1000));
    let preset = match text("PRESET_BASE") {
        Some("mainnet") => Preset::Mainnet,
        Some("minimal") => Preset::Minimal,
        Some("gnosis") => Preset::Gnosis,
        _ => return Err(missing("PRESET_BASE")),
    };
    let fork = |fork: Fork| {
        let name = fork.to_string().to_uppercase();
        let version = text(&format!("{name}_FORK_VERSION"))?.parse().ok()?;
        let epoch = Epoch(number(&format!("{name}_FORK_EPOCH"))?);
        (epoch.0 != u64::MAX).then_some(ForkEpoch { fork, version, epoch })
    };
    let timing = SlotTiming::default();
    let spec = ChainSpec {
        name: text("CONFIG_NAME").unwrap_or_default().to_owned(),
        preset,
        genesis_time_ms: genesis.genesis_time.parse::<u64>().map_err(|_| missing("genesis_time"))? * 1000,
        slot_ms: slot_ms.ok_or_else(|| missing("SECONDS_PER_SLOT"))?,
        slots_per_epoch: number("SLOTS_PER_EPOCH").ok_or_else(|| missing("SLOTS_PER_EPOCH"))?,
        genesis_fork_version: genesis.genesis_fork_version,
        genesis_validators_root: genesis.genesis_validators_root,
        forks: [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu].into_iter().filter_map(fork).collect(),
        timing: SlotTiming {
            attestation_bps: number("ATTESTATION_DUE_BPS").unwrap_or(timing.attestation_bps),
            aggregate_bps: number("AGGREGATE_DUE_BPS").unwrap_or(timing.aggregate_bps),
        },
        chain_id: number("DEPOSIT_CHAIN_ID").ok_or_else(|| missing("DEPOSIT_CHAIN_ID"))?,
    };
    spec.validate().map_err(|error| ApiError::Shape(error.to_string()))?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_wherever_the_chunks_are_cut() {
        let stream =
            b": hello\n\nevent: head\ndata: {\"slot\":\"7\"}\n\nevent: head\ndata:{\"slot\":\"8\"}\n\n";
        for cut in 0..stream.len() {
            let (left, right) = stream.split_at(cut);
            let mut line = Vec::new();
            let mut slots = feed(&mut line, left);
            slots.extend(feed(&mut line, right));
            assert_eq!(slots, [Slot(7), Slot(8)], "cut at {cut}");
        }
    }
}
