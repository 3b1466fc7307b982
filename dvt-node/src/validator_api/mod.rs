//! The beacon API as the operator's validator client sees it.
//!
//! The client signs with its half `v_i` of each share, so it knows the validators by `PK(v_i)`: wherever the chain
//! knows a group key, both directions are rewritten (`keys`, `validators`, `duties`). What is signed comes from the
//! cluster, never from a beacon node (`attest`, `propose`, `select`, `aggregate`, `sync`, `exit`): the handlers put the
//! client's wishes to core and turn its answers into HTTP. Reading the chain is passed on (`proxy`). Everything else is
//! answered 501 and counted.
//!
//! - Bodies and answers are JSON or SSZ (`negotiate`). Every error is `{code, message}` in JSON. No input ends the
//!   process.
//! - Lists are counted before they are read (`list`), and taken part by part (`parts`): one bad half costs its validator only.
//! - Who is not in distributed mode gets what it asks for from the beacon nodes, and what it signs that cannot be
//!   combined is acknowledged and dropped: said once in the log.
//! - TLS (`tls`) and a bearer token (`token`) stand in front of the routes, if the operator wants them.

mod aggregate;
pub mod approvals;
mod attest;
mod door;
mod duties;
pub(crate) mod errors;
mod exit;
mod keys;
mod list;
mod negotiate;
mod parts;
mod prepare;
mod propose;
mod proxy;
pub(crate) mod request;
mod select;
mod shapes;
mod sync;
mod tls;
mod token;
mod upstream;
mod validators;

pub use list::{ITEM_LEN_MAX, ITEMS_MAX};
pub use tls::{Tls, TlsError};
pub use token::{Token, TokenError, guarded};
pub use upstream::{ForwardRequest, ForwardResponse, Upstream, UpstreamError, ValidatorEntry};

use crate::server;
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
use types::{ChainSpec, Millis, PublicKey, Root, ValidatorNo};

/// Longest body of a request: some 3,000 attestations in JSON, and a slot of 32,000 validators has 1,000.
pub const BODY_LEN_MAX: usize = 2 << 20;
/// Longest list with an item for each validator: 10,000 selection proofs of an epoch ahead take 3 MB in JSON, as many
/// registrations 5 MB.
pub const LIST_LEN_MAX: usize = 8 << 20;
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
}

/// Finds the payload and blobs of a block by its root, if this node has them.
pub type FindContents = Box<dyn Fn(&Root) -> Option<BlockContents> + Send + Sync>;
/// Is told what is worth counting.
pub type Notice = Box<dyn Fn(Noticed) + Send + Sync>;
/// Tells the time.
pub type Clock = Box<dyn Fn() -> Millis + Send + Sync>;

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
    /// To know the slot where a question does not name it.
    pub now: Clock,
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
    now: Clock,
    committees: attest::Committees,
    warned: parts::Warned,
    requests: server::Seats,
    blocks: server::Seats,
    streams: Arc<Semaphore>,
}

type Shared<D, U> = State<Arc<Desk<D, U>>>;

/// The server's routes: hand it to [`server::serve()`].
///
/// - Requests beyond [`REQUESTS_MAX`] at once are answered 503; one that is half here gives way to another before.
pub fn router<D: Duties, U: Upstream>(api: Api<D, U>) -> Router {
    let Api { seats, upstream, spec, duties, contents, notice, now } = api;
    let desk = Arc::new(Desk {
        seats: Seats::new(seats),
        upstream,
        spec,
        duties,
        contents,
        notice,
        now,
        committees: attest::Committees::default(),
        warned: parts::Warned::default(),
        requests: server::Seats::new(REQUESTS_MAX),
        blocks: server::Seats::new(BLOCKS_MAX),
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
    });
    let blocks = Router::new()
        .route("/eth/v2/beacon/blocks", post(propose::publish))
        .route("/eth/v2/beacon/blinded_blocks", post(propose::publish_blinded))
        .layer(from_fn_with_state(desk.clone(), one_of_few_blocks))
        .layer(DefaultBodyLimit::max(BLOCK_LEN_MAX));
    Router::new()
        .merge(keyed())
        .merge(signed())
        .merge(passed_on())
        .merge(approvals::routes())
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .merge(long_lists())
        .merge(blocks)
        .fallback(proxy::anything_else)
        .method_not_allowed_fallback(proxy::anything_else)
        .layer(from_fn_with_state(desk.clone(), one_of_many))
        .with_state(desk)
}

/// Asked of the beacon nodes, with keys rewritten both ways.
fn keyed<D: Duties, U: Upstream>() -> Router<Arc<Desk<D, U>>> {
    let state = "/eth/v1/beacon/states/{state}";
    let listed = || get(validators::list).post(validators::list_of_body);
    Router::new()
        .route(&format!("{state}/validators"), listed())
        .route(&format!("{state}/validators/{{id}}"), get(validators::one))
        .route(&format!("{state}/validator_balances"), listed())
        .route(&format!("{state}/validator_identities"), post(validators::list_of_body))
        .route("/eth/v1/beacon/rewards/attestations/{epoch}", post(validators::rewards))
        .route("/eth/v1/beacon/rewards/sync_committee/{block}", post(validators::rewards))
        .route("/eth/v1/validator/duties/attester/{epoch}", post(duties::attester))
        .route("/eth/v1/validator/duties/sync/{epoch}", post(duties::sync))
        .route("/eth/v1/validator/duties/proposer/{epoch}", get(duties::proposer))
        .route("/eth/v2/validator/duties/proposer/{epoch}", get(duties::proposer))
        .route("/eth/v1/validator/liveness/{epoch}", post(duties::liveness))
}

/// What is signed, and what it takes to sign it: core decides.
fn signed<D: Duties, U: Upstream>() -> Router<Arc<Desk<D, U>>> {
    Router::new()
        .route("/eth/v1/validator/attestation_data", get(attest::data))
        .route("/eth/v2/beacon/pool/attestations", post(attest::attestations))
        .route("/eth/v3/validator/blocks/{slot}", get(propose::produce))
        .route("/eth/v1/beacon/blocks/head/root", get(sync::head_root))
        .route("/eth/v1/beacon/pool/sync_committees", post(sync::messages))
        .route("/eth/v2/validator/aggregate_attestation", get(aggregate::attestation))
        .route("/eth/v2/validator/aggregate_and_proofs", post(aggregate::aggregate_and_proofs))
        .route("/eth/v1/validator/sync_committee_contribution", get(aggregate::contribution))
        .route("/eth/v1/validator/contribution_and_proofs", post(aggregate::contribution_and_proofs))
        .route("/eth/v1/beacon/pool/voluntary_exits", post(exit::approve))
}

/// Lists that may have an item for each validator of the cluster.
fn long_lists<D: Duties, U: Upstream>() -> Router<Arc<Desk<D, U>>> {
    let validator = |name: &str| format!("/eth/v1/validator/{name}");
    let (attesters, members) = ("beacon_committee_selections", "sync_committee_selections");
    Router::new()
        .route(&validator(attesters), post(select::combine::<shapes::CommitteeSelection, D, U>))
        .route(&validator(members), post(select::combine::<shapes::SyncSelection, D, U>))
        .route(&validator("register_validator"), post(prepare::registrations))
        .layer(DefaultBodyLimit::max(LIST_LEN_MAX))
}

/// Passed on as it is, or only acknowledged. Reading the chain is [`proxy::anything_else`]'s.
fn passed_on<D: Duties, U: Upstream>() -> Router<Arc<Desk<D, U>>> {
    let validator = |name: &str| format!("/eth/v1/validator/{name}");
    Router::new()
        .route(&validator("beacon_committee_subscriptions"), post(prepare::committees))
        .route(&validator("sync_committee_subscriptions"), post(prepare::subcommittees))
        .route(&validator("prepare_beacon_proposer"), post(prepare::proposers))
        .route("/eth/v2/beacon/pool/attester_slashings", post(proxy::post_upstream))
        .route("/eth/v1/beacon/pool/proposer_slashings", post(proxy::post_upstream))
        .route("/eth/v1/beacon/pool/bls_to_execution_changes", post(proxy::post_upstream))
        .route("/eth/v1/events", get(proxy::events))
}

async fn one_of_many<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    request: Request,
    next: Next,
) -> Response {
    desk.requests.pass(request, next).await.unwrap_or_else(|| desk.shed("requests", REQUESTS_MAX))
}

async fn one_of_few_blocks<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    request: Request,
    next: Next,
) -> Response {
    desk.blocks.pass(request, next).await.unwrap_or_else(|| desk.shed("signed blocks", BLOCKS_MAX))
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
