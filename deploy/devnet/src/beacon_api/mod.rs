//! The toy chain as a beacon node: the current beacon API over HTTP, in real time.
//!
//! One server stands for the beacon nodes of all operators. It is strict: what does not verify is refused, and
//! counted by the chain. Bodies are JSON; the fork is Electra, and block contents never carry blobs.
//!
//! - [`node`]: the chain, the clock and who waits for heads.
//! - `reads`: genesis, configuration, states and headers. `config`: the configuration's keys.
//! - `validator`: duties, and what there is to sign.
//! - `economy`: balances, deposits, rewards and blocks, of a chain that has them.
//! - `publish`: signed things. `deeds`: whether two of them are slashable.
//! - `events`: heads as they come. `reply`: envelopes and refusals.

mod config;
mod deeds;
mod economy;
mod events;
pub mod node;
mod publish;
mod reads;
mod reply;
mod validator;

pub use node::{BeaconNode, Head, Tally};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use reply::{Refusal, Reply};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longest body taken, in bytes. A block of the toy chain has some 5 KB of JSON, a slot's attestations of a thousand
/// validators 600 KB.
const BODY_LEN_MAX: usize = 8 << 20;

/// A running server; it ends with this value.
#[derive(Debug)]
pub struct Server {
    node: Arc<BeaconNode>,
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Serves a node on a free port of this machine.
    pub async fn start(node: BeaconNode) -> io::Result<Self> {
        let node = Arc::new(node);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let app = router(Arc::clone(&node));
        let task = tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { node, address, task })
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The node it serves.
    pub const fn node(&self) -> &Arc<BeaconNode> {
        &self.node
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All routes.
pub(crate) fn router(node: Arc<BeaconNode>) -> Router {
    reads_routes()
        .merge(validator_routes())
        .merge(publish_routes())
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .with_state(node)
}

fn reads_routes() -> Router<Arc<BeaconNode>> {
    Router::new()
        .route("/eth/v1/beacon/genesis", get(reads::genesis))
        .route("/eth/v1/beacon/states/{id}/root", get(reads::state_root))
        .route("/eth/v1/beacon/states/{id}/fork", get(reads::fork))
        .route("/eth/v1/beacon/states/{id}/finality_checkpoints", get(reads::finality))
        .route("/eth/v1/beacon/states/{id}/validators", get(reads::validators).post(reads::validators_asked))
        .route("/eth/v1/beacon/states/{id}/validators/{who}", get(reads::validator))
        .route("/eth/v1/beacon/headers/{id}", get(reads::header))
        .route("/eth/v1/beacon/blocks/{id}/root", get(reads::block_root))
        .route("/eth/v2/beacon/blocks/{id}", get(economy::block))
        .route("/eth/v1/beacon/states/{id}/pending_deposits", get(economy::pending))
        .route("/eth/v1/beacon/states/{id}/randao", get(economy::randao))
        .route("/eth/v1/beacon/states/{id}/sync_committees", get(economy::sync_committees))
        .route("/eth/v1/beacon/rewards/attestations/{epoch}", post(economy::attestation_rewards))
        .route("/eth/v1/beacon/rewards/sync_committee/{id}", post(economy::sync_rewards))
        .route("/eth/v1/config/spec", get(reads::config_spec))
        .route("/eth/v1/config/fork_schedule", get(reads::fork_schedule))
        .route("/eth/v1/config/deposit_contract", get(reads::deposit_contract))
        .route("/eth/v1/node/version", get(reads::version))
        .route("/eth/v1/node/syncing", get(reads::syncing))
        .route("/eth/v1/node/health", get(reads::health))
        .route("/eth/v1/events", get(events::events))
}

fn validator_routes() -> Router<Arc<BeaconNode>> {
    Router::new()
        .route("/eth/v1/validator/duties/attester/{epoch}", post(validator::attester_duties))
        .route("/eth/v1/validator/duties/proposer/{epoch}", get(validator::proposer_duties))
        .route("/eth/v2/validator/duties/proposer/{epoch}", get(validator::proposer_duties))
        .route("/eth/v1/validator/duties/sync/{epoch}", post(validator::sync_duties))
        .route("/eth/v1/validator/attestation_data", get(validator::attestation_data))
        .route("/eth/v3/validator/blocks/{slot}", get(validator::produce_block))
        .route("/eth/v1/validator/prepare_beacon_proposer", post(validator::prepare_proposers))
        .route("/eth/v1/validator/beacon_committee_subscriptions", post(validator::subscribe))
        .route("/eth/v1/validator/sync_committee_subscriptions", post(validator::subscribe))
        .route("/eth/v1/validator/liveness/{epoch}", post(validator::liveness))
        .route("/eth/v2/validator/aggregate_attestation", get(validator::aggregate))
        .route("/eth/v1/validator/sync_committee_contribution", get(validator::contribution))
}

fn publish_routes() -> Router<Arc<BeaconNode>> {
    Router::new()
        .route("/eth/v2/beacon/blocks", post(publish::block))
        .route("/eth/v2/beacon/pool/attestations", post(publish::attestations))
        .route("/eth/v1/beacon/pool/sync_committees", post(publish::sync_messages))
        .route("/eth/v1/beacon/pool/voluntary_exits", post(publish::exit))
        .route("/eth/v2/beacon/pool/attester_slashings", post(publish::slashing))
        .route("/eth/v2/validator/aggregate_and_proofs", post(publish::aggregates))
        .route("/eth/v1/validator/contribution_and_proofs", post(publish::contributions))
}

/// Reads of what there is not are not found; anything else is not implemented: so are selections, which a beacon node
/// leaves to what stands before it.
async fn unknown(method: Method, uri: axum::http::Uri) -> Reply {
    let code = if method == Method::GET { StatusCode::NOT_FOUND } else { StatusCode::NOT_IMPLEMENTED };
    tracing::debug!(%method, %uri, "unknown route");
    Err(Refusal::new(code, format!("{method} {} is not served here", uri.path())))
}

#[cfg(test)]
mod tests;
