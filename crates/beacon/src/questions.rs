//! What is asked of the chain in passing.

use crate::ask::rule;
use crate::client::Beacon;
use crate::error::ApiError;
use crate::json::{BlockRoot, Data, FinalityCheckpoints, Genesis, Version};
use futures::StreamExt;
use serde_json::Value;
use std::pin::pin;
use types::{Checkpoint, Root};

impl Beacon {
    /// The chain's beginning, as the first node tells it. See [`Beacon::check_network`] for all nodes'.
    pub async fn genesis(&self) -> Result<Genesis, ApiError> {
        let call = self.0.get("/eth/v1/beacon/genesis");
        self.0.ask_data(call, |_: &Genesis| Ok(())).await
    }

    /// The node's configuration: an object of names and values.
    pub async fn config_spec(&self) -> Result<Value, ApiError> {
        let call = self.0.get("/eth/v1/config/spec");
        self.0.ask_data(call, |spec: &Value| rule(spec.is_object(), || "no object".to_owned())).await
    }

    /// Name and version of the best node.
    pub async fn version(&self) -> Result<String, ApiError> {
        let call = self.0.get("/eth/v1/node/version");
        let version: Version = self.0.ask_data(call, |_| Ok(())).await?;
        Ok(version.version)
    }

    /// Whether any node knows a block. All are asked at once, and the first yes is the answer.
    ///
    /// - Errors: if no node says yes or no.
    pub async fn knows_block(&self, root: Root) -> Result<bool, ApiError> {
        let inner = &self.0;
        let call = inner.probe(format!("/eth/v1/beacon/headers/{root}"));
        let mut answers = pin!(inner.ask_all(inner.in_order(), &call));
        let mut told = Err(ApiError::NoNode);
        while let Some((node, answer)) = answers.next().await {
            let answer = answer.and_then(|reply| node.success(reply)?.json::<Data<BlockRoot>>(node));
            let answer = answer.and_then(|header| {
                let same = header.data.root == root;
                rule(same, || format!("header of {}, asked for {root}", header.data.root))
                    .map_err(|broken| node.wrong(&broken))
            });
            match answer {
                Ok(()) => {
                    inner.note_heard(node);
                    return Ok(true);
                }
                Err(error) if error.is_not_found() => told = Ok(false),
                Err(error) => {
                    inner.note_error(node, &error);
                    told = told.map_err(|earlier: ApiError| earlier.or(error));
                }
            }
        }
        told
    }

    /// The final checkpoint, as the head's state has it.
    pub async fn finalized(&self) -> Result<Checkpoint, ApiError> {
        let call = self.0.get("/eth/v1/beacon/states/head/finality_checkpoints");
        let checkpoints: FinalityCheckpoints = self.0.ask_data(call, |_| Ok(())).await?;
        Ok(checkpoints.finalized)
    }
}
