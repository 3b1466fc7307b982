//! A signed blinded block goes to the relays that offered its payload, and one of them publishes it.

use super::{Builder, Listed, Noticed};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use remote::BlindedBlock;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use types::block::{BlockError, ProposedBlock, RevealedPayload, SignedBlockParts, UnblindError};
use types::{Fork, Preset};

/// For a relay to take a signed block. It has the payload, a few megabytes, and publishes before it answers.
const PUBLISH_WAIT: Duration = Duration::from_secs(4);
/// How often one relay is tried within that time while it is not reached or fails: a block that stays with us is lost.
const TRIES_MAX: usize = 5;
/// Between two tries.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// Which version of the call: whether the caller wants to see the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// v1: the answer is the payload.
    Reveal,
    /// v2: the relay publishes, and that is all.
    Publish,
}

/// Why a block is with no relay.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum PublishError {
    /// A block of another network's sizes.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// Nobody took it. What each relay said.
    #[error("no relay took the block: {}", said.join("; "))]
    NotTaken {
        /// A sentence each.
        said: Vec<String>,
    },
}

/// Why a revealed payload is not passed on.
#[derive(Debug, Error)]
enum RevealError {
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a payload of {have}, the block is of {want}")]
    Fork { have: Fork, want: Fork },
    #[error(transparent)]
    Payload(#[from] UnblindError),
}

impl Builder {
    /// Hands a signed blinded block to the relays: to those that offered it, or to all if its bid is not from here.
    ///
    /// - The first that takes it ends the waiting; the others are told all the same.
    /// - Returns the relay's JSON for [`Version::Reveal`], of a payload that was checked to be the block's; else nothing.
    /// - Errors: all of [`PublishError`].
    pub(crate) async fn publish(
        &self,
        signed: SignedBlockParts,
        version: Version,
    ) -> Result<Bytes, PublishError> {
        let offered = self.bids.relays_of(signed.block.payload_block_hash);
        let asked = self.relays.iter();
        let asked =
            asked.filter(|listed| offered.as_ref().is_none_or(|keys| keys.contains(&listed.relay.key())));
        let block = BlindedBlock::new(self.spec.preset, &signed)?;
        let handing = Handing { block, proposed: signed.block, preset: self.spec.preset, version };
        let handing = Arc::new(handing);
        let task = |listed: &Arc<Listed>| {
            let (listed, handing) = (listed.clone(), handing.clone());
            // A task of its own: it goes on when another relay was faster.
            tokio::spawn(async move { handing.to(&listed).await })
        };
        let mut tasks: FuturesUnordered<_> = asked.map(task).collect();
        let mut said = Vec::new();
        while let Some(done) = tasks.next().await {
            match done {
                Ok(Ok(revealed)) => {
                    (self.notice)(Noticed::Published { taken: true });
                    return Ok(revealed);
                }
                Ok(Err(words)) => said.push(words),
                Err(error) => said.push(error.to_string()),
            }
        }
        (self.notice)(Noticed::Published { taken: false });
        Err(PublishError::NotTaken { said })
    }
}

/// A block on its way to relays.
struct Handing {
    block: BlindedBlock,
    proposed: ProposedBlock,
    preset: Preset,
    version: Version,
}

impl Handing {
    /// Hands the block to one relay, again while the relay is not there; the error is a sentence about that relay.
    async fn to(self: &Arc<Self>, listed: &Listed) -> Result<Bytes, String> {
        let deadline = Instant::now() + PUBLISH_WAIT;
        let label = listed.relay.label();
        let tried = timeout_at(deadline, self.persist(listed, deadline)).await;
        let taken = tried.unwrap_or_else(|_| Err(format!("no answer within {} s", PUBLISH_WAIT.as_secs())));
        match &taken {
            Ok(_) => tracing::info!(relay = label, block = %self.proposed.root, "a relay took the block"),
            Err(words) => tracing::warn!(relay = label, words, "a relay did not take the block"),
        }
        taken.map_err(|words| format!("{label}: {words}"))
    }

    async fn persist(self: &Arc<Self>, listed: &Listed, deadline: Instant) -> Result<Bytes, String> {
        let mut tries = 1;
        loop {
            let wait = deadline - Instant::now();
            let taken = match self.version {
                // Who asks only for publishing need not see what an older relay reveals.
                Version::Publish => listed.relay.submit_blinded_block(&self.block, wait).await.map(|_| None),
                Version::Reveal => listed.relay.reveal(&self.block, wait).await.map(Some),
            };
            match taken {
                Ok(None) => return Ok(Bytes::new()),
                Ok(Some(json)) => return self.check(json).await,
                Err(error) if error.is_passing() && tries < TRIES_MAX => tries += 1,
                Err(error) => return Err(error.to_string()),
            }
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }

    /// The relay's JSON, once its payload is the block's.
    async fn check(self: &Arc<Self>, json: Bytes) -> Result<Bytes, String> {
        let handing = self.clone();
        let checking = move || check_revealed(&handing.proposed, handing.preset, &json).map(|()| json);
        match tokio::task::spawn_blocking(checking).await {
            Ok(Ok(json)) => Ok(json),
            Ok(Err(error)) => Err(format!("it revealed something else: {error}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn check_revealed(block: &ProposedBlock, preset: Preset, json: &[u8]) -> Result<(), RevealError> {
    #[derive(Deserialize)]
    struct Reply {
        version: Fork,
        data: Value,
    }
    let reply: Reply = serde_json::from_slice(json)?;
    if reply.version != block.fork {
        return Err(RevealError::Fork { have: reply.version, want: block.fork });
    }
    let payload =
        RevealedPayload::from_json(preset, reply.version, &reply.data).map_err(UnblindError::from)?;
    Ok(payload.belongs_to(block)?)
}
