//! A relay's builder API: what it offers for a slot, and the payload behind an offer.
//!
//! Source: ethereum/builder-specs, Bellatrix to Fulu. The form of addresses is the one that operators have from their
//! relays: the relay's BLS key in the place of the user.

use crate::error::{CallError, SetupError};
use crate::limits::{BID_ANSWER_LEN_MAX, REGISTRATIONS_LEN_MAX, REVEALED_LEN_MAX, YES_LEN_MAX};
use crate::server::{Answer, Server};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{StatusCode, Url};
use std::time::Duration;
use thiserror::Error;
use types::block::{BlockError, SignedBlockParts};
use types::builder::SignedValidatorRegistrationV1;
use types::{Fork, Preset, PublicKey, RelayBid, Root, Slot};

/// SSZ if the relay has it: no hex to read while the slot runs.
const BID_FORMATS: HeaderValue =
    HeaderValue::from_static("application/octet-stream;q=1.0,application/json;q=0.9");
const CONSENSUS_VERSION: &str = "eth-consensus-version";

/// Why a relay gave no answer of use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RelayError {
    /// No answer, or one that HTTP says no with.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer is not one of this API.
    #[error("not an answer of the builder API: {0}")]
    Body(String),
}

impl RelayError {
    /// Whether the same question may well be answered in a moment: the relay was not reached, or is at fault itself.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Call(CallError::Connect(_)) => true,
            Self::Call(CallError::Status { code, .. }) => *code >= 500,
            Self::Call(CallError::Timeout { .. } | CallError::TooLong { .. }) | Self::Body(_) => false,
        }
    }
}

/// A signed blinded block, written once for all relays.
#[derive(Clone, Debug)]
pub struct BlindedBlock {
    fork: Fork,
    json: Bytes,
}

impl BlindedBlock {
    /// Writes the block's JSON.
    ///
    /// - Errors: `Json`, for a block of another preset.
    pub fn new(preset: Preset, signed: &SignedBlockParts) -> Result<Self, BlockError> {
        Ok(Self { fork: signed.block.fork, json: signed.to_json(preset)?.to_string().into() })
    }
}

/// What a relay did with a signed blinded block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It publishes the block itself.
    Published,
    /// It publishes the block, and said what is in it: JSON of `{version, data}`, unread.
    Revealed(Bytes),
}

/// A relay.
#[derive(Debug)]
pub struct Relay {
    key: PublicKey,
    server: Server,
}

impl Relay {
    /// The relay at an address like `https://0xKEY@HOST`. Does not speak to it yet.
    ///
    /// - Path and query are kept and never shown; the key is not sent.
    /// - Errors: `Url`; `NoRelayKey`; `RelayPassword`; `Client`.
    pub fn new(address: &str) -> Result<Self, SetupError> {
        let mut url = Url::parse(address).map_err(|error| SetupError::Url { reason: error.to_string() })?;
        let key = url.username();
        let key: PublicKey = key.parse().map_err(|_| SetupError::NoRelayKey)?;
        if url.password().is_some() {
            return Err(SetupError::RelayPassword);
        }
        url.set_username("").map_err(|()| SetupError::Url { reason: "no host".to_owned() })?;
        Ok(Self { key, server: Server::new(url.as_str())? })
    }

    /// The key that its bids are signed with.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Scheme, host and port: what may be shown of the address.
    pub fn label(&self) -> &str {
        self.server.label()
    }

    /// Whether it is up and speaks this API. `wait`: for the whole of the answer, as everywhere below.
    pub async fn status(&self, wait: Duration) -> Result<(), RelayError> {
        self.server.call(self.server.get("/eth/v1/builder/status"), wait, YES_LEN_MAX, &[]).await?;
        Ok(())
    }

    /// Tells it whom our validators' blocks pay, [`REGISTRATIONS_LEN_MAX`] in a request; the first that fails ends it.
    pub async fn register_validators(
        &self,
        registrations: &[SignedValidatorRegistrationV1],
        wait: Duration,
    ) -> Result<(), RelayError> {
        for some in registrations.chunks(REGISTRATIONS_LEN_MAX) {
            let json = serde_json::to_vec(some).map_err(|error| RelayError::Body(error.to_string()))?;
            let request = self.server.post("/eth/v1/builder/validators", json.into());
            self.server.call(request, wait, YES_LEN_MAX, &[]).await?;
        }
        Ok(())
    }

    /// What it offers for a slot; `None` if nothing.
    ///
    /// - `parent_hash`: the execution block to build on; `validator`: the proposer's key.
    /// - The bid is well-formed and nothing more: whose it is, for what, and its signature are the caller's to check.
    /// - Errors: `Call`; `Body`.
    pub async fn header(
        &self,
        slot: Slot,
        parent_hash: Root,
        validator: PublicKey,
        wait: Duration,
    ) -> Result<Option<RelayBid>, RelayError> {
        let path = format!("/eth/v1/builder/header/{slot}/{parent_hash}/{validator}");
        let request = self.server.get_as(&path, BID_FORMATS);
        let answer = self.server.answer(request, wait, BID_ANSWER_LEN_MAX, &[]).await?;
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        parse_bid(&answer).map(Some).map_err(|rule| RelayError::Body(self.server.scrub(&rule, &[])))
    }

    /// Hands a signed blinded block in: v2 of the call, and v1 where the relay does not know it.
    ///
    /// - From Fulu on there is no v1.
    /// - Errors: `Call`.
    pub async fn submit_blinded_block(
        &self,
        block: &BlindedBlock,
        wait: Duration,
    ) -> Result<Taken, RelayError> {
        match self.submit("/eth/v2/builder/blinded_blocks", block, wait).await {
            Ok(_) => Ok(Taken::Published),
            Err(RelayError::Call(CallError::Status { code: 404 | 405 | 501, .. }))
                if block.fork < Fork::Fulu =>
            {
                self.reveal(block, wait).await.map(Taken::Revealed)
            }
            Err(error) => Err(error),
        }
    }

    /// Hands a signed blinded block in by v1 of the call, whose answer has the payload: JSON, unread.
    pub async fn reveal(&self, block: &BlindedBlock, wait: Duration) -> Result<Bytes, RelayError> {
        self.submit("/eth/v1/builder/blinded_blocks", block, wait).await
    }

    async fn submit(&self, path: &str, block: &BlindedBlock, wait: Duration) -> Result<Bytes, RelayError> {
        let request = self.server.post(path, block.json.clone());
        let request = request.header(CONSENSUS_VERSION, block.fork.to_string());
        Ok(self.server.call(request, wait, REVEALED_LEN_MAX, &[]).await?)
    }
}

/// Reads a bid in either format; the error is the rule that the answer breaks.
fn parse_bid(answer: &Answer) -> Result<RelayBid, String> {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let version = header(CONSENSUS_VERSION);
    let kind = header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/octet-stream") {
        let version = version.ok_or("SSZ, and no Eth-Consensus-Version that names its fork")?;
        let fork = fork_of(version).ok_or_else(|| format!("unknown fork {version:?}"))?;
        return RelayBid::from_ssz(fork, &answer.body).map_err(|error| error.to_string());
    }
    let json = serde_json::from_slice(&answer.body).map_err(|error| format!("not JSON: {error}"))?;
    let bid = RelayBid::from_json(&json).map_err(|error| error.to_string())?;
    match version {
        Some(version) if fork_of(version) != Some(bid.fork) => {
            Err(format!("a bid of {}, Eth-Consensus-Version says {version:?}", bid.fork))
        }
        _ => Ok(bid),
    }
}

fn fork_of(name: &str) -> Option<Fork> {
    let forks = [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu];
    forks.into_iter().find(|fork| fork.to_string().eq_ignore_ascii_case(name))
}
