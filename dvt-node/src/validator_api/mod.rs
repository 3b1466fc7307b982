//! The beacon API as the operator's validator client sees it.
//!
//! The client signs with its half `v_i` of each share, so it knows the validators by `PK(v_i)`: wherever the chain
//! knows a group key, both directions are rewritten (`keys`). What is signed comes from the cluster, never from a
//! beacon node (`attest`, `propose`): the handlers put the client's wishes to core and turn its answers into HTTP.
//! Reading the chain is passed on (`proxy`). Everything else is answered 501 and counted.
//!
//! - Replies are JSON; `application/octet-stream` requests get 415, except signed blocks.
//! - Every error is `{code, message}`. No input ends the process.
//! - Sync-committee duties are none: the client is told it is in no committee, and does nothing there.
//! - Aggregates of a client that does not ask for combined selection proofs carry its own half's proof, which
//!   nothing can combine: they are acknowledged and dropped, said once in the log.

pub mod approvals;
mod attest;
mod door;
mod duties;
pub(crate) mod errors;
mod keys;
mod propose;
mod proxy;
pub(crate) mod request;
mod upstream;

pub use upstream::{ForwardRequest, ForwardResponse, Upstream, UpstreamError, ValidatorEntry};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use errors::ApiError;
use keys::Seats;
use std::fmt;
use std::sync::Arc;
use symbolon_core::{Answer, Ask};
use tokio::sync::Semaphore;
use types::block::BlockContents;
use types::{ChainSpec, PublicKey, Root, ValidatorNo};

/// Longest body of a request: some 3,000 attestations in JSON, and a slot of 32,000 validators has 1,000.
pub const BODY_LEN_MAX: usize = 2 << 20;
/// Longest body of a signed block: blobs and cell proofs of Fulu in JSON take twice their size.
pub const BLOCK_LEN_MAX: usize = 64 << 20;
/// Requests at once, waiting for an agreement included: some clients ask once for each of 64 committees.
pub const REQUESTS_MAX: usize = 1024;
/// Signed blocks read at once: each may take [`BLOCK_LEN_MAX`], and a slot has one.
pub const BLOCKS_MAX: usize = 4;
/// Event streams at once: a client opens one or two.
pub const STREAMS_MAX: usize = 32;

/// Who decides what the client may sign: core's loop.
pub trait Duties: Send + Sync + 'static {
    /// Puts a wish of the client and waits for the answer; `None` if the loop has ended.
    fn ask(&self, ask: Ask) -> impl Future<Output = Option<Answer>> + Send;
}

/// One validator's place in this cluster and the keys it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// How operators name it.
    pub number: ValidatorNo,
    /// The validator's key on the chain.
    pub group_key: PublicKey,
    /// `PK(v_i)`: of the half that the client holds.
    pub client_key: PublicKey,
    /// `PK(s_i)`: of this operator's whole share; to say what is wrong when a client holds that.
    pub share_key: PublicKey,
}

/// Something worth counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Noticed {
    /// A request to a route that is not served.
    UnknownRoute,
    /// A request above [`REQUESTS_MAX`] and its like, turned away.
    Shed,
    /// Messages of the client that cannot be combined and were dropped.
    Dropped(Dropped),
}

/// Messages that are acknowledged and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dropped {
    /// `aggregate_and_proofs`.
    Aggregates,
    /// `contribution_and_proofs`.
    Contributions,
    /// `pool/sync_committees`.
    SyncMessages,
}

/// Finds the payload and blobs of a block by its root, if this node has them.
pub type FindContents = Box<dyn Fn(&Root) -> Option<BlockContents> + Send + Sync>;
/// Is told what is worth counting.
pub type Notice = Box<dyn Fn(Noticed) + Send + Sync>;

/// What the server works with.
pub struct Api<D, U> {
    /// The cluster's validators.
    pub seats: Vec<Seat>,
    /// The operator's beacon nodes.
    pub upstream: U,
    /// The network.
    pub spec: Arc<ChainSpec>,
    /// Core's loop.
    pub duties: D,
    /// Payloads and blobs of blocks.
    pub contents: FindContents,
    /// Counters.
    pub notice: Notice,
}

impl<D, U> fmt::Debug for Api<D, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("seats", &self.seats).field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// What handlers share.
struct Desk<D, U> {
    seats: Seats,
    upstream: U,
    spec: Arc<ChainSpec>,
    duties: D,
    contents: FindContents,
    notice: Notice,
    committees: attest::Committees,
    dropped: duties::Warned,
    requests: Arc<Semaphore>,
    blocks: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

type Shared<D, U> = State<Arc<Desk<D, U>>>;

/// The server's routes: hand it to [`axum::serve()`].
///
/// - Requests beyond [`REQUESTS_MAX`] at once are answered 503.
pub fn router<D: Duties, U: Upstream>(api: Api<D, U>) -> Router {
    let Api { seats, upstream, spec, duties, contents, notice } = api;
    let desk = Arc::new(Desk {
        seats: Seats::new(seats),
        upstream,
        spec,
        duties,
        contents,
        notice,
        committees: attest::Committees::default(),
        dropped: duties::Warned::default(),
        requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
        blocks: Arc::new(Semaphore::new(BLOCKS_MAX)),
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
    });
    let blocks = Router::new()
        .route("/eth/v2/beacon/blocks", post(propose::publish))
        .layer(from_fn_with_state(desk.clone(), one_of_few_blocks))
        .layer(DefaultBodyLimit::max(BLOCK_LEN_MAX));
    Router::new()
        .merge(keyed())
        .merge(signed())
        .merge(acknowledged())
        .merge(approvals::routes())
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .merge(blocks)
        .fallback(proxy::anything_else)
        .method_not_allowed_fallback(proxy::anything_else)
        .layer(from_fn_with_state(desk.clone(), one_of_many))
        .with_state(desk)
}

/// Passed on, with keys rewritten both ways.
fn keyed<D: Duties, U: Upstream>() -> Router<Arc<Desk<D, U>>> {
    let state = "/eth/v1/beacon/states/{state}";
    Router::new()
        .route(&format!("{state}/validators"), get(keys::list).post(keys::list_of_body))
        .route(&format!("{state}/validators/{{id}}"), get(keys::one))
        .route(&format!("{state}/validator_balances"), get(keys::list).post(keys::list_of_body))
        .route(&format!("{state}/validator_identities"), post(keys::list_of_body))
        .route("/eth/v1/validator/duties/attester/{epoch}", post(duties::attester))
        .route("/eth/v1/validator/duties/proposer/{epoch}", get(duties::proposer))
        .route("/eth/v2/validator/duties/proposer/{epoch}", get(duties::proposer))
        .route("/eth/v1/validator/beacon_committee_subscriptions", post(proxy::post_json))
        .route("/eth/v2/validator/aggregate_attestation", get(proxy::get_upstream))
        .route("/eth/v1/validator/sync_committee_contribution", get(proxy::get_upstream))
        .route("/eth/v1/events", get(proxy::events))
}

/// What is signed: core decides.
fn signed<D: Duties, U: Upstream>() -> Router<Arc<Desk<D, U>>> {
    Router::new()
        .route("/eth/v1/validator/attestation_data", get(attest::data))
        .route("/eth/v2/beacon/pool/attestations", post(attest::attestations).get(proxy::get_upstream))
        .route("/eth/v3/validator/blocks/{slot}", get(propose::produce))
        .route("/eth/v2/beacon/blinded_blocks", post(propose::publish_blinded))
}

/// Answered here: the node does it itself, or it cannot be done with halves of shares.
fn acknowledged<D: Duties, U: Upstream>() -> Router<Arc<Desk<D, U>>> {
    let validator = |name: &str| format!("/eth/v1/validator/{name}");
    Router::new()
        .route(&validator("duties/sync/{epoch}"), post(duties::sync))
        .route(&validator("liveness/{epoch}"), post(duties::liveness))
        .route(&validator("prepare_beacon_proposer"), post(duties::acknowledge))
        .route(&validator("sync_committee_subscriptions"), post(duties::acknowledge))
        .route(&validator("register_validator"), post(duties::acknowledge))
        .route("/eth/v2/validator/aggregate_and_proofs", post(duties::drop_aggregates))
        .route(&validator("contribution_and_proofs"), post(duties::drop_contributions))
        .route(
            "/eth/v1/beacon/pool/sync_committees",
            post(duties::drop_sync_messages).get(proxy::get_upstream),
        )
        .route(&validator("beacon_committee_selections"), post(duties::selections))
        .route(&validator("sync_committee_selections"), post(duties::selections))
}

async fn one_of_many<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_seat) = desk.requests.try_acquire() else { return desk.shed("requests", REQUESTS_MAX) };
    next.run(request).await
}

async fn one_of_few_blocks<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_seat) = desk.blocks.try_acquire() else { return desk.shed("signed blocks", BLOCKS_MAX) };
    next.run(request).await
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    fn shed(&self, what: &str, max: usize) -> Response {
        (self.notice)(Noticed::Shed);
        ApiError::unavailable(format_args!("more than {max} {what} at once")).into_response()
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, ApiError> {
        self.duties.ask(ask).await.ok_or_else(ApiError::stopping)
    }
}
