//! What is published: to all beacon nodes, and done when one has taken it.

use crate::client::{Beacon, Inner, JSON};
use crate::error::ApiError;
use crate::json::{CONSENSUS_VERSION, CommitteeSubscription, ProposerPreparation, SyncSubscription};
use crate::known::Refusal;
use crate::node::{Call, Node, Reply};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{OnceCell, mpsc};
use types::block::SignedBlockContents;
use types::{Address, Fork, ValidatorIndex};

const BLOCKS: &str = "/eth/v2/beacon/blocks?broadcast_validation=gossip";
const BLINDED_BLOCKS: &str = "/eth/v2/beacon/blinded_blocks?broadcast_validation=gossip";
const SSZ: HeaderValue = HeaderValue::from_static("application/octet-stream");
const BAD_REQUEST: u16 = 400;
const UNSUPPORTED_MEDIA_TYPE: u16 = 415;

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

/// What is published, in the forms that nodes take. All nodes are told the same.
struct Letter {
    form: Form,
    /// How many items there are, if it is a list that may be taken in part.
    items: Option<usize>,
}

enum Form {
    Json(Call),
    /// A block: SSZ, and JSON for nodes that take no SSZ, written once and only if there is such a node.
    Block {
        ssz: Call,
        contents: Arc<SignedBlockContents>,
        json: OnceCell<Call>,
    },
}

/// A node has what was published, but for the items that it refused: their places, and its words.
type Refused = BTreeMap<u64, String>;

impl Letter {
    /// Sends it to one node, in the best form that it takes.
    async fn send(&self, inner: &Inner, node: &Node) -> Result<Reply, ApiError> {
        let (ssz, contents, json) = match &self.form {
            Form::Json(call) => return node.call(call).await,
            Form::Block { ssz, contents, json } => (ssz, contents, json),
        };
        if !node.lacks_ssz() {
            let reply = node.call(ssz).await?;
            if reply.status != UNSUPPORTED_MEDIA_TYPE {
                return Ok(reply);
            }
            tracing::info!(node = node.label(), "the beacon node takes no SSZ: JSON from now on");
            node.set_lacks_ssz();
        }
        let call = json.get_or_try_init(|| block_json(inner, ssz, Arc::clone(contents))).await?;
        node.call(call).await
    }

    /// What the node has not taken; nothing if it took it, or says that it had it already.
    fn refused(&self, node: &Node, reply: Reply) -> Result<Refused, ApiError> {
        if (200..300).contains(&reply.status) {
            return Ok(Refused::new());
        }
        let refusal = Refusal::read(&reply.body);
        if refusal.is_already_known() {
            return Ok(Refused::new());
        }
        // Only this status names items and has taken the others.
        let items = self.items.filter(|_| reply.status == BAD_REQUEST);
        if let Some(items) = items.and_then(|count| refusal.refused_items(count)) {
            return Ok(items.into_iter().map(|(place, words)| (place, node.scrub(&words))).collect());
        }
        node.success(reply).map(|_| Refused::new())
    }

    fn path(&self) -> &str {
        match &self.form {
            Form::Json(call) | Form::Block { ssz: call, .. } => call.path(),
        }
    }

    /// What all nodes together say.
    fn outcome(&self, refused: Option<Refused>, told: ApiError) -> Result<(), ApiError> {
        let Some(refused) = refused else { return Err(told) };
        let Some(message) = refused.values().next().cloned() else { return Ok(()) };
        let count = self.items.unwrap_or(refused.len());
        Err(ApiError::Partly { items: refused.into_keys().collect(), count, message })
    }
}

/// The JSON of a block that goes out as SSZ otherwise. Writing it takes some 10 ms a megabyte.
async fn block_json(inner: &Inner, ssz: &Call, contents: Arc<SignedBlockContents>) -> Result<Call, ApiError> {
    let preset = inner.spec.preset;
    let json = tokio::task::spawn_blocking(move || contents.to_json(preset).map(|json| json.to_string()));
    let json = json.await.map_err(|error| ApiError::Body(error.to_string()))?;
    let json = json.map_err(|error| ApiError::Body(error.to_string()))?;
    let mut call = Call { body: Some(Bytes::from(json)), ..ssz.clone() };
    call.headers.insert(CONTENT_TYPE, JSON);
    Ok(call)
}

/// Whether an error says that the node is unwell. What it thinks of what was published says nothing of its health.
fn is_down(error: &ApiError) -> bool {
    match error {
        ApiError::Status { code, .. } => matches!(code, 502..=504),
        _ => error.blames_node(),
    }
}

async fn tell(inner: &Inner, node: &Node, letter: &Letter) -> Result<Refused, ApiError> {
    let outcome = letter.send(inner, node).await.and_then(|reply| letter.refused(node, reply));
    match &outcome {
        Err(error) if is_down(error) => inner.note_error(node, error),
        Ok(_) | Err(_) => inner.note_heard(node),
    }
    if let Err(error) = &outcome {
        tracing::debug!(node = node.label(), path = letter.path(), %error, "not taken");
    }
    outcome
}

impl Inner {
    /// Tells all nodes at once; returns when the first has taken all of it, and goes on telling the others.
    ///
    /// The telling goes on even if the caller stops waiting: it is a task of the runtime, bounded by its time-out.
    async fn tell_all(self: &Arc<Self>, letter: Letter) -> Result<(), ApiError> {
        let letter = Arc::new(letter);
        let nodes = self.in_order();
        let (report, mut reports) = mpsc::channel(nodes.len().max(1));
        for node in nodes {
            let (inner, node, letter) = (Arc::clone(self), Arc::clone(node), Arc::clone(&letter));
            let report = report.clone();
            tokio::spawn(async move {
                let outcome = tell(&inner, &node, &letter).await;
                // Nobody listens once another node has taken it.
                let _ = report.try_send(outcome);
            });
        }
        drop(report);
        let mut told = ApiError::NoNode;
        // What every node that took any has refused.
        let mut refused: Option<Refused> = None;
        while let Some(outcome) = reports.recv().await {
            match outcome {
                Ok(items) => {
                    let both = |earlier: Refused| {
                        earlier.into_iter().filter(|(place, _)| items.contains_key(place)).collect()
                    };
                    let left = refused.take().map_or_else(|| items.clone(), both);
                    if left.is_empty() {
                        return Ok(());
                    }
                    refused = Some(left);
                }
                Err(error) => told = told.or(error),
            }
        }
        letter.outcome(refused, told)
    }

    /// What is published as JSON.
    fn letter(&self, call: Call, items: Option<usize>) -> Letter {
        Letter { form: Form::Json(self.within(self.limits.submit_bps, call)), items }
    }
}

/// To all nodes; success if one takes it, or has it already. Errors as for questions, and `Partly` for lists of which
/// each node refused the same items.
impl Beacon {
    /// Publishes attestations. `body`: a list in the form of the fork, see [`crate::json::PoolAttestations`].
    pub async fn submit_attestations(&self, fork: Fork, body: Value) -> Result<(), ApiError> {
        self.submit("/eth/v2/beacon/pool/attestations", Some(fork), &body).await
    }

    /// Publishes a signed block: full with its blobs, or blinded for the builder whose payload it is. SSZ, or JSON to
    /// nodes that say that they take no SSZ (415); that is remembered of them. A node that cannot import it yet, but has
    /// passed it on (202), has taken it.
    pub async fn publish_block(&self, contents: SignedBlockContents) -> Result<(), ApiError> {
        let inner = &self.0;
        let block = &contents.signed.block;
        let path = if block.blinded { BLINDED_BLOCKS } else { BLOCKS };
        let mut call = inner.within(inner.limits.submit_bps, inner.post(path, &()));
        call.headers.extend([version(block.fork)]);
        call.headers.insert(CONTENT_TYPE, SSZ);
        call.body = Some(Bytes::from(contents.to_ssz()));
        let form = Form::Block { ssz: call, contents: Arc::new(contents), json: OnceCell::new() };
        inner.tell_all(Letter { form, items: None }).await
    }

    /// Publishes a signed block in JSON, with its blobs from Deneb on. A node that cannot import it yet, but has passed it on
    /// (202), has taken it.
    pub async fn submit_block(&self, fork: Fork, body: Value) -> Result<(), ApiError> {
        self.submit(BLOCKS, Some(fork), &body).await
    }

    /// Publishes a signed blinded block in JSON, for the builder whose payload it is.
    pub async fn submit_blinded_block(&self, fork: Fork, body: Value) -> Result<(), ApiError> {
        self.submit(BLINDED_BLOCKS, Some(fork), &body).await
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
        self.0.tell_all(self.0.letter(call, None)).await
    }

    /// Asks the nodes to follow committees, and to aggregate for those who do.
    pub async fn subscribe_committees(&self, of: &[CommitteeSubscription]) -> Result<(), ApiError> {
        let call = self.0.post("/eth/v1/validator/beacon_committee_subscriptions", &of);
        self.0.tell_all(self.0.letter(call, None)).await
    }

    /// Asks the nodes to follow sync committees.
    pub async fn subscribe_sync_committees(&self, of: &[SyncSubscription]) -> Result<(), ApiError> {
        let call = self.0.post("/eth/v1/validator/sync_committee_subscriptions", &of);
        self.0.tell_all(self.0.letter(call, None)).await
    }

    async fn submit(&self, path: &str, fork: Option<Fork>, body: &Value) -> Result<(), ApiError> {
        let mut call = self.0.post(path, body);
        call.headers.extend(fork.map(version));
        self.0.tell_all(self.0.letter(call, body.as_array().map(Vec::len))).await
    }
}
