//! Blocks: the one that the cluster agreed on goes out, the client's half over it comes in.

use super::errors::{ApiError, Reply};
use super::negotiate::{Accept, Data, Encoding, answer};
use super::request::{Body, Parameters, Segment, consensus_version, number};
use super::{Desk, Duties, Shared, Upstream};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse as _;
use serde_json::{Map, Value, json};
use symbolon_core::{Answer, Ask};
use types::block::{BlockContents, BlockError, BlockShape, ProposedBlock, Sidecars, SignedBlockContents};
use types::{Fork, Preset, Root, Signature, Slot};

/// `GET blocks/{slot}`: full or blinded, as the cluster agreed on it.
///
/// - Parameters that a client adds beside the RANDAO reveal do not change the block: the cluster's leader made it.
pub(crate) async fn produce<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    slot: Segment,
    uri: Uri,
) -> Reply {
    let wanted = accept.either()?;
    let slot: Slot = number("slot", slot)?;
    let query = Parameters::of(&uri)?;
    let randao_half: Signature = query.need("randao_reveal")?;
    query.get::<Root>("graffiti")?;
    let block = match desk.ask(Ask::Block { slot, randao_half }).await? {
        Answer::Block(block) => block,
        Answer::Refused(refusal) => return Err(refusal.into()),
        other => return Err(ApiError::unasked(&other)),
    };
    // With its payload where that is at hand: every client takes that. A blinded block has the same root.
    let contents = (desk.contents)(&block.root);
    let contents = contents.unwrap_or_else(|| BlockContents { block, sidecars: Sidecars::default() });
    let preset = desk.spec.preset;
    blocking(move || produced(&contents, preset, wanted)).await?
}

fn produced(contents: &BlockContents, preset: Preset, wanted: Encoding) -> Reply {
    let BlockContents { block, .. } = contents;
    let data = match wanted {
        Encoding::Json => Data::json(&contents.to_json(preset).map_err(ApiError::internal)?)?,
        Encoding::Ssz => Data::Ssz(contents.to_ssz()),
    };
    // Whose block is better was decided when the leader's beacon node made it: no client compares any more.
    let meta = Map::from_iter([
        ("version".to_owned(), json!(block.fork.to_string())),
        ("execution_payload_blinded".to_owned(), json!(block.blinded)),
        ("execution_payload_value".to_owned(), json!("0")),
        ("consensus_block_value".to_owned(), json!("0")),
    ]);
    answer(meta, data)
}

/// `POST blocks`. The client's block only says what it signed: what is published is the agreed one.
pub(crate) async fn publish<D: Duties, U: Upstream>(State(desk): Shared<D, U>, body: Body) -> Reply {
    let fork = consensus_version(&body.headers)?;
    desk.take_block(fork, BlockShape::full(desk.spec.preset, fork), body).await
}

/// `POST blinded_blocks`: a blinded block has the root of the full one, so the half over it is the same.
pub(crate) async fn publish_blinded<D: Duties, U: Upstream>(State(desk): Shared<D, U>, body: Body) -> Reply {
    let fork = consensus_version(&body.headers)?;
    desk.take_block(fork, BlockShape::blinded(desk.spec.preset, fork), body).await
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    async fn take_block(&self, fork: Fork, shape: BlockShape, body: Body) -> Reply {
        let signed = blocking(move || read(shape, &body)).await??.signed;
        let ProposedBlock { slot, root, .. } = signed.block;
        self.ensure_fork(fork, slot)?;
        match self.ask(Ask::SignedBlock { slot, root, half: signed.signature }).await? {
            Answer::Accepted => Ok(StatusCode::OK.into_response()),
            answer => Err(ApiError::of_one(answer)),
        }
    }
}

fn read(shape: BlockShape, body: &Body) -> Result<SignedBlockContents, ApiError> {
    let read = match body.encoding {
        Encoding::Ssz => SignedBlockContents::from_ssz(shape, &body.bytes),
        Encoding::Json => serde_json::from_slice::<Value>(&body.bytes)
            .map_err(|error| BlockError::Json { fork: shape.fork, reason: error.to_string() })
            .and_then(|json| SignedBlockContents::from_json(shape, &json)),
    };
    read.map_err(ApiError::bad)
}

/// Runs what takes milliseconds off the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ApiError::internal("reading or writing a block failed"))
}
