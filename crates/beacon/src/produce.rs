//! Blocks to propose, as a beacon node makes them.

use crate::client::Beacon;
use crate::error::ApiError;
use crate::json::{
    BLOCK_VALUE, CONSENSUS_VERSION, PAYLOAD_BLINDED, PAYLOAD_VALUE, ProducedBlockReply, fork_from_str,
};
use crate::limits::BLOCK_LEN_MAX;
use crate::node::{Call, Node, Reply};
use std::sync::Arc;
use types::block::{BlockContents, BlockShape, ProposedBlock, Sidecars};
use types::{ChainSpec, Root, Signature, Slot};

/// A block that a beacon node made, checked against what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducedBlock {
    /// The block: full, or blinded where builders' blocks were asked for.
    pub block: ProposedBlock,
    /// Its blobs and their proofs; empty for Capella, and for a blinded block.
    pub contents: Sidecars,
    /// The payload's value in wei, decimal, if the node says it.
    pub payload_value: Option<String>,
    /// Consensus rewards in wei, decimal, if the node says it.
    pub block_value: Option<String>,
}

impl ProducedBlock {
    /// The block with its blobs, as it is signed and published.
    pub fn into_contents(self) -> BlockContents {
        BlockContents { block: self.block, sidecars: self.contents }
    }
}

/// What was asked for.
struct Wish {
    spec: Arc<ChainSpec>,
    slot: Slot,
    randao: Signature,
    /// Whether a blinded block will do.
    blinded_too: bool,
}

impl Beacon {
    /// A full block for a slot, built by the node's own execution client.
    ///
    /// - `randao`: the validator's reveal for the slot's epoch; `graffiti`: the node's own if `None`.
    /// - Errors: `Body` also for a blinded block, another slot or fork than the slot's, another reveal than the one
    ///   sent, and blobs and proofs that do not fit each other. Whether the block is *valid* only its node knows.
    /// - Cost: decodes and hashes the block on the runtime's threads for blocking work, some 10 ms a megabyte.
    pub async fn produce_block(
        &self,
        slot: Slot,
        randao: &Signature,
        graffiti: Option<Root>,
    ) -> Result<ProducedBlock, ApiError> {
        // A factor of 0 has the node prefer its own payload unless it has none.
        self.produce(slot, randao, graffiti, 0, false).await
    }

    /// A block for a slot, full with the node's own payload or blinded with a builder's, as the node prefers.
    ///
    /// - `boost_factor`: percent of a builder's value that counts against the node's own payload's.
    /// - Whether a blinded block has a bid that is worth anything is the caller's to check.
    /// - Otherwise as [`Beacon::produce_block`].
    pub async fn produce_block_or_blinded(
        &self,
        slot: Slot,
        randao: &Signature,
        graffiti: Option<Root>,
        boost_factor: u64,
    ) -> Result<ProducedBlock, ApiError> {
        self.produce(slot, randao, graffiti, boost_factor, true).await
    }

    async fn produce(
        &self,
        slot: Slot,
        randao: &Signature,
        graffiti: Option<Root>,
        boost_factor: u64,
        blinded_too: bool,
    ) -> Result<ProducedBlock, ApiError> {
        let inner = &self.0;
        let mut path = format!(
            "/eth/v3/validator/blocks/{slot}?randao_reveal={randao}&builder_boost_factor={boost_factor}"
        );
        if let Some(graffiti) = graffiti {
            path.push_str(&format!("&graffiti={graffiti}"));
        }
        let call = inner.within(inner.limits.block_bps, inner.get(path));
        let call = Call { len_max: BLOCK_LEN_MAX, ..call };
        let wish = Arc::new(Wish { spec: Arc::clone(&inner.spec), slot, randao: *randao, blinded_too });
        let read = |node: Arc<Node>, reply: Reply| {
            let wish = Arc::clone(&wish);
            async move {
                let reading = tokio::task::spawn_blocking(move || {
                    wish.read(&reply).map_err(|broken| node.wrong(&broken))
                });
                reading.await.unwrap_or_else(|error| Err(ApiError::Body(error.to_string())))
            }
        };
        inner.ask(call, read).await
    }
}

impl Wish {
    /// Reads the answer; the error is the rule it breaks.
    fn read(&self, reply: &Reply) -> Result<ProducedBlock, String> {
        let body: ProducedBlockReply =
            serde_json::from_slice(&reply.body).map_err(|error| format!("not the shape: {error}"))?;
        let blinded = self.blinded(body.execution_payload_blinded, reply.header(PAYLOAD_BLINDED))?;
        let fork = self.spec.fork_at(self.spec.epoch_of(self.slot)).fork;
        let named = reply.header(CONSENSUS_VERSION);
        let named = named.map(|name| fork_from_str(name).ok_or_else(|| format!("unknown fork {name:?}")));
        let named = named.transpose()?;
        if named.is_none() && body.version.is_none() {
            return Err("neither version nor Eth-Consensus-Version names the fork".to_owned());
        }
        if let Some(other) = [named, body.version].into_iter().flatten().find(|said| *said != fork) {
            return Err(format!("a block of {other}, slot {} is of {fork}", self.slot));
        }
        let shape = BlockShape { preset: self.spec.preset, fork, blinded };
        let contents = BlockContents::from_json(shape, &body.data).map_err(|error| error.to_string())?;
        let BlockContents { block, sidecars } = contents;
        if block.slot != self.slot {
            return Err(format!("a block of slot {}, asked for {}", block.slot, self.slot));
        }
        if block.randao_reveal != self.randao {
            return Err("a block with another randao_reveal than the one sent".to_owned());
        }
        let value = |said: Option<String>, name| said.or_else(|| reply.header(name).map(str::to_owned));
        Ok(ProducedBlock {
            block,
            contents: sidecars,
            payload_value: value(body.execution_payload_value, PAYLOAD_VALUE),
            block_value: value(body.consensus_block_value, BLOCK_VALUE),
        })
    }
    /// Whether the block is blinded, by what body and header say; the error is the rule that they break.
    fn blinded(&self, body: Option<bool>, header: Option<&str>) -> Result<bool, String> {
        // What is blinded by either is refused: a builder's block needs the relay's bid beside it.
        if !self.blinded_too && (body == Some(true) || header.is_some_and(|text| text != "false")) {
            return Err("a blinded block, asked for a full one".to_owned());
        }
        let read = |text: &str| text.to_ascii_lowercase().parse::<bool>();
        let header = header.map(|text| read(text).map_err(|_| format!("blinded is {text:?}"))).transpose()?;
        match (body, header) {
            (Some(body), Some(header)) if body != header => {
                Err(format!("blinded is {body} in the body, {header} in the header"))
            }
            (Some(blinded), _) | (None, Some(blinded)) => Ok(blinded),
            (None, None) => Ok(false),
        }
    }
}
