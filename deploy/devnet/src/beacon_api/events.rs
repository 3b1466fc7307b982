//! Heads as they come: `GET /eth/v1/events?topics=head`.

use super::node::{BeaconNode, Head};
use super::reply::{Refusal, Reply};
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream};
use std::sync::Arc;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Topics of the specification. Only heads ever happen here.
const TOPICS: [&str; 12] = [
    "head",
    "block",
    "block_gossip",
    "attestation",
    "single_attestation",
    "voluntary_exit",
    "bls_to_execution_change",
    "proposer_slashing",
    "attester_slashing",
    "finalized_checkpoint",
    "chain_reorg",
    "contribution_and_proof",
];

pub(super) async fn events(State(node): State<Arc<BeaconNode>>, RawQuery(query): RawQuery) -> Reply {
    let query = query.unwrap_or_default().replace("%2C", ",").replace("%2c", ",");
    let values = query.split('&').filter_map(|pair| pair.strip_prefix("topics="));
    let topics: Vec<_> = values.flat_map(|value| value.split(',')).collect();
    if topics.is_empty() {
        return Err(Refusal::bad("no topics"));
    }
    if let Some(unknown) = topics.iter().find(|topic| !TOPICS.contains(*topic)) {
        return Err(Refusal::bad(format!("unknown topic {unknown:?}")));
    }
    let heads = topics.contains(&"head").then(|| node.heads());
    Ok(Sse::new(stream_of(heads)).keep_alive(KeepAlive::default()).into_response())
}

/// Without heads the stream stays open and silent: nothing else happens here.
fn stream_of(heads: Option<Receiver<Head>>) -> impl Stream<Item = Result<Event, axum::Error>> {
    stream::unfold(heads, |heads| async move {
        let Some(mut heads) = heads else { return futures::future::pending().await };
        loop {
            match heads.recv().await {
                Ok(head) => return Some((Event::default().event("head").json_data(head), Some(heads))),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}
