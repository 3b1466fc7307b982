//! Blocks: the one that the cluster agreed on goes out, the client's half over it comes in.

use super::errors::{ApiError, Reply};
use super::proxy;
use super::request::{Body, Encoding, Parameters, Segment, consensus_version, number};
use super::{Duties, Shared, Upstream};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use symbolon_core::{Answer, Ask};
use types::block::{BlockContents, BlockError, BlockShape, Sidecars, SignedBlockContents};
use types::{Preset, Root, Signature, Slot};

/// `GET blocks/{slot}`.
///
/// - Parameters that a client adds beside the RANDAO reveal do not change the block: the cluster's leader made it.
pub(crate) async fn produce<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    slot: Segment,
    uri: Uri,
) -> Reply {
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
    blocking(move || produced(&contents, preset)).await?
}

fn produced(contents: &BlockContents, preset: Preset) -> Reply {
    let json = contents.to_json(preset).map_err(ApiError::internal)?;
    let (version, blinded) = (contents.block.fork.to_string(), contents.block.blinded);
    let mut response = proxy::json_reply(&json!({
        "version": version,
        "execution_payload_blinded": blinded,
        "execution_payload_value": "0",
        "consensus_block_value": "0",
        "data": json,
    }));
    header(&mut response, "eth-consensus-version", &version);
    header(&mut response, "eth-execution-payload-blinded", if blinded { "true" } else { "false" });
    header(&mut response, "eth-execution-payload-value", "0");
    header(&mut response, "eth-consensus-block-value", "0");
    Ok(response)
}

fn header(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// `POST blocks`, JSON or SSZ. The client's block only says what it signed: what is published is the agreed one.
pub(crate) async fn publish<D: Duties, U: Upstream>(State(desk): Shared<D, U>, body: Body) -> Reply {
    let fork = consensus_version(&body.headers)?;
    let shape = BlockShape::full(desk.spec.preset, fork);
    let signed = blocking(move || read(shape, &body)).await??.signed;
    let ask = Ask::SignedBlock { slot: signed.block.slot, root: signed.block.root, half: signed.signature };
    match desk.ask(ask).await? {
        Answer::Accepted => Ok(StatusCode::OK.into_response()),
        Answer::Refused(refusal) => Err(refusal.into()),
        // A block is a request of one part: the only refusal in the list is the block's.
        Answer::PartlyRefused(refused) => Err(refused.into_iter().next().map_or_else(
            || ApiError::internal("refused a block without saying why"),
            |(_, refusal)| refusal.into(),
        )),
        other => Err(ApiError::unasked(&other)),
    }
}

/// `POST blinded_blocks`.
pub(crate) async fn publish_blinded() -> Reply {
    Err(ApiError::bad("builder blocks are not enabled"))
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
