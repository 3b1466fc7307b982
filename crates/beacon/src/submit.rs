//! What is published: to all beacon nodes, and done when one has taken it.

use crate::client::{Beacon, Inner};
use crate::error::ApiError;
use crate::json::{CONSENSUS_VERSION, CommitteeSubscription, ProposerPreparation, SyncSubscription};
use crate::known::Refusal;
use crate::node::{Call, Node, Reply};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;
use types::{Address, Fork, ValidatorIndex};

/// The header that names a body's fork.
fn version(fork: Fork) -> (HeaderName, HeaderValue) {
    let name = match fork {
        Fork::Capella => "capella",
        Fork::Deneb => "deneb",
        Fork::Electra => "electra",
        Fork::Fulu => "fulu",
    };
    (HeaderName::from_static(CONSENSUS_VERSION), HeaderValue::from_static(name))
}

/// Whether the node has what was published: it took it, or says that it had it already.
fn taken(node: &Node, reply: Reply) -> Result<(), ApiError> {
    let refused = !(200..300).contains(&reply.status);
    if refused && Refusal::read(&reply.body).is_already_known() {
        return Ok(());
    }
    node.success(reply).map(drop)
}

/// Whether an error says that the node is unwell. What it thinks of what was published says nothing of its health.
fn is_down(error: &ApiError) -> bool {
    match error {
        ApiError::Status { code, .. } => matches!(code, 502..=504),
        _ => error.blames_node(),
    }
}

async fn tell(inner: &Inner, node: &Node, call: &Call) -> Result<(), ApiError> {
    let outcome = node.call(call).await.and_then(|reply| taken(node, reply));
    match &outcome {
        Err(error) if is_down(error) => inner.note_error(node, error),
        Ok(()) | Err(_) => inner.note_heard(node),
    }
    if let Err(error) = &outcome {
        tracing::debug!(node = node.label(), path = call.path(), %error, "not taken");
    }
    outcome
}

impl Inner {
    /// Tells all nodes at once; returns when the first has taken it, and goes on telling the others.
    ///
    /// The telling goes on even if the caller stops waiting: it is a task of the runtime, bounded by its time-out.
    async fn tell_all(self: &Arc<Self>, call: Call) -> Result<(), ApiError> {
        let call = Arc::new(self.within(self.limits.submit_bps, call));
        let nodes = self.in_order();
        let (report, mut reports) = mpsc::channel(nodes.len().max(1));
        for node in nodes {
            let (inner, node, call) = (Arc::clone(self), Arc::clone(node), Arc::clone(&call));
            let report = report.clone();
            tokio::spawn(async move {
                let outcome = tell(&inner, &node, &call).await;
                // Nobody listens once another node has taken it.
                let _ = report.try_send(outcome);
            });
        }
        drop(report);
        let mut told = ApiError::NoNode;
        while let Some(outcome) = reports.recv().await {
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) => told = told.or(error),
            }
        }
        Err(told)
    }
}

/// To all nodes; success if one takes it, or has it already. Errors as for questions.
impl Beacon {
    /// Publishes attestations. `body`: a list in the form of the fork, see [`crate::json::PoolAttestations`].
    pub async fn submit_attestations(&self, fork: Fork, body: Value) -> Result<(), ApiError> {
        self.submit("/eth/v2/beacon/pool/attestations", Some(fork), &body).await
    }

    /// Publishes a signed block, with its blobs from Deneb on. A node that cannot import it yet, but has passed it on
    /// (202), has taken it.
    pub async fn submit_block(&self, fork: Fork, body: Value) -> Result<(), ApiError> {
        self.submit("/eth/v2/beacon/blocks?broadcast_validation=gossip", Some(fork), &body).await
    }

    /// Publishes a signed blinded block, for the builder whose payload it is.
    pub async fn submit_blinded_block(&self, fork: Fork, body: Value) -> Result<(), ApiError> {
        self.submit("/eth/v2/beacon/blinded_blocks?broadcast_validation=gossip", Some(fork), &body).await
    }

    /// Publishes aggregates: a list of `SignedAggregateAndProof` of the fork.
    pub async fn submit_aggregates(&self, fork: Fork, body: Value) -> Result<(), ApiError> {
        self.submit("/eth/v2/validator/aggregate_and_proofs", Some(fork), &body).await
    }

    /// Publishes votes of sync committee members: a list of `SyncCommitteeMessage`.
    pub async fn submit_sync_messages(&self, body: Value) -> Result<(), ApiError> {
        self.submit("/eth/v1/beacon/pool/sync_committees", None, &body).await
    }

    /// Publishes contributions: a list of `SignedContributionAndProof`.
    pub async fn submit_contributions(&self, body: Value) -> Result<(), ApiError> {
        self.submit("/eth/v1/validator/contribution_and_proofs", None, &body).await
    }

    /// Publishes a `SignedVoluntaryExit`.
    pub async fn submit_exit(&self, body: Value) -> Result<(), ApiError> {
        self.submit("/eth/v1/beacon/pool/voluntary_exits", None, &body).await
    }

    /// Passes registrations on to builders: a list of `SignedValidatorRegistrationV1`.
    pub async fn register_validators(&self, body: Value) -> Result<(), ApiError> {
        self.submit("/eth/v1/validator/register_validator", None, &body).await
    }

    /// Tells whom payloads should pay. Nodes forget it after some epochs: repeat it each epoch.
    pub async fn prepare_proposers(&self, of: &[(ValidatorIndex, Address)]) -> Result<(), ApiError> {
        let of = of.iter().map(|(validator_index, fee_recipient)| ProposerPreparation {
            validator_index: *validator_index,
            fee_recipient: *fee_recipient,
        });
        let of: Vec<ProposerPreparation> = of.collect();
        let call = self.0.post("/eth/v1/validator/prepare_beacon_proposer", &of);
        self.0.tell_all(call).await
    }

    /// Asks the nodes to follow committees, and to aggregate for those who do.
    pub async fn subscribe_committees(&self, of: &[CommitteeSubscription]) -> Result<(), ApiError> {
        let call = self.0.post("/eth/v1/validator/beacon_committee_subscriptions", &of);
        self.0.tell_all(call).await
    }

    /// Asks the nodes to follow sync committees.
    pub async fn subscribe_sync_committees(&self, of: &[SyncSubscription]) -> Result<(), ApiError> {
        let call = self.0.post("/eth/v1/validator/sync_committee_subscriptions", &of);
        self.0.tell_all(call).await
    }

    async fn submit(&self, path: &str, fork: Option<Fork>, body: &Value) -> Result<(), ApiError> {
        let mut call = self.0.post(path, body);
        call.headers.extend(fork.map(version));
        self.0.tell_all(call).await
    }
}
