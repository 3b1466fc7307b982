//! How the nodes are: their network and their progress.

use crate::ask::{Checked, rule};
use crate::client::Beacon;
use crate::error::ApiError;
use crate::json::{Data, Genesis, SyncStatus};
use futures::StreamExt;
use std::pin::pin;

impl Beacon {
    /// Asks every node for its genesis, and asks those of another network no more.
    ///
    /// - Returns each node's label and `Ok`, or `Body` with the difference to our network's parameters; a node that
    ///   cannot be asked keeps its place.
    pub async fn check_network(&self) -> Vec<(String, Result<(), ApiError>)> {
        let call = self.0.get("/eth/v1/beacon/genesis");
        let mut answers = pin!(self.0.ask_all(&self.0.nodes, &call));
        let mut outcomes = Vec::new();
        while let Some((node, answer)) = answers.next().await {
            let genesis = answer.and_then(|reply| node.success(reply)?.json::<Data<Genesis>>(node));
            let outcome = genesis.and_then(|genesis| {
                let checked = self.check_genesis(&genesis.data);
                node.health().set_foreign(checked.is_err());
                checked.map_err(|difference| node.wrong(&difference))
            });
            outcomes.push((node.label().to_owned(), outcome));
        }
        outcomes
    }

    fn check_genesis(&self, genesis: &Genesis) -> Checked {
        let spec = &self.0.spec;
        let root = genesis.genesis_validators_root;
        rule(root == spec.genesis_validators_root, || {
            format!("another network: genesis_validators_root {root}, ours {}", spec.genesis_validators_root)
        })?;
        let version = genesis.genesis_fork_version;
        rule(version == spec.genesis_fork_version, || {
            format!("another network: genesis_fork_version {version}, ours {}", spec.genesis_fork_version)
        })?;
        let (time, ours) = (genesis.genesis_time, spec.genesis_time_ms / 1_000);
        rule(time == ours, || format!("another network: genesis_time {time}, ours {ours}"))
    }

    /// How far the best node has synced: one that follows the head before others, then the highest head.
    ///
    /// Asks all nodes, and learns how fast and how well they are: call it about once a slot.
    pub async fn syncing(&self) -> Result<SyncStatus, ApiError> {
        let inner = &self.0;
        let call = inner.probe("/eth/v1/node/syncing");
        let start = inner.now();
        let mut answers = pin!(inner.ask_all(inner.in_order(), &call));
        let mut best: Result<SyncStatus, ApiError> = Err(ApiError::NoNode);
        while let Some((node, answer)) = answers.next().await {
            match answer.and_then(|reply| node.success(reply)?.json::<Data<SyncStatus>>(node)) {
                Ok(Data { data: status }) => {
                    inner.note_heard(node);
                    node.health().probed(inner.now().since(start).0, status.is_ready());
                    let rank = |status: &SyncStatus| (status.is_ready(), status.head_slot);
                    if best.as_ref().ok().map(rank) < Some(rank(&status)) {
                        best = Ok(status);
                    }
                }
                Err(error) => {
                    inner.note_error(node, &error);
                    best = best.map_err(|told| told.or(error));
                }
            }
        }
        best
    }
}
