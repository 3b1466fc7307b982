//! The monitoring port: metrics, and what this node knows of its duties and of those it works with.
//!
//! | route | gives |
//! |---|---|
//! | `/metrics` | Prometheus' text |
//! | `/symbolon/v1/duties/{slot}` | each duty of a slot: its ending, whose fault it was, who said what when |
//! | `/symbolon/v1/duties?from=&to=` | the same in short for at most [`SLOTS_MAX`] slots, the newest if none are named |
//! | `/symbolon/v1/exits` | exits that operators approve: who, signed or not, taken by a beacon node or not |
//! | `/symbolon/v1/peers` | the other operators: connected or not, by which route, how far away |
//! | `/symbolon/v1/beacon-nodes` | the own beacon nodes: set aside or not, and why |
//!
//! Nothing here changes anything, and nothing here is secret; still it tells who works with whom, so it belongs on a port
//! that strangers do not reach. What is wrong with a question is said as `{code, message}`.

mod json;

use crate::engine::{Door, Event, Explanation};
use crate::metrics::Metrics;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use beacon::NodeHealth;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use symbolon_core::node::{ACCOUNT_EPOCHS, ExitApproval};
use tokio::sync::{Semaphore, oneshot};
use types::{ChainSpec, PublicKey, ShareIndex, Slot};

/// Slots of one answer: an epoch of the main network.
pub const SLOTS_MAX: u64 = 32;

/// Questions to the loop at once: a person and some dashboards. It has duties to do.
pub const QUESTIONS_MAX: usize = 4;

/// Who knows what happened: core's loop.
pub trait Witness: Send + Sync + 'static {
    /// What is known of the duties of some slots; `None` if the loop has ended.
    fn explain(&self, slots: RangeInclusive<Slot>) -> impl Future<Output = Option<Explanation>> + Send;

    /// Exits that operators approve; `None` if the loop has ended.
    fn exits(&self) -> impl Future<Output = Option<Vec<ExitApproval>>> + Send;
}

impl Witness for Door {
    async fn explain(&self, slots: RangeInclusive<Slot>) -> Option<Explanation> {
        let (reply, answer) = oneshot::channel();
        self.send(Event::Explain(slots, reply)).await;
        answer.await.ok()
    }

    async fn exits(&self) -> Option<Vec<ExitApproval>> {
        let (reply, answer) = oneshot::channel();
        self.send(Event::Exits(reply)).await;
        answer.await.ok()
    }
}

/// Another operator, as the wire sees it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which one.
    pub operator: ShareIndex,
    /// By which route it is connected, if it is.
    pub route: Option<net::Route>,
    /// The last round trip.
    pub rtt: Option<Duration>,
}

impl Peer {
    /// All operators that a wire knows but the own one.
    pub fn all(wire: &net::Handle, others: &[ShareIndex]) -> Vec<Self> {
        let of = |operator: &ShareIndex| Self {
            operator: *operator,
            route: wire.route(*operator),
            rtt: wire.rtt(*operator),
        };
        others.iter().map(of).collect()
    }
}

/// Tells how something is right now.
pub type Look<T> = Box<dyn Fn() -> Vec<T> + Send + Sync>;

/// What the monitoring port shows.
pub struct Monitor<W> {
    /// Who knows what happened.
    pub witness: W,
    /// The network.
    pub spec: Arc<ChainSpec>,
    /// The validators' keys, in the lock's order.
    pub validators: Vec<PublicKey>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The other operators.
    pub peers: Look<Peer>,
    /// The beacon nodes, in the order of the command line.
    pub beacon_nodes: Look<NodeHealth>,
}

type Shared<W> = State<Arc<Monitor<W>>>;

/// All routes of the monitoring port.
pub fn router<W: Witness>(monitor: Monitor<W>) -> Router {
    let seats = Arc::new(Semaphore::new(QUESTIONS_MAX));
    Router::new()
        .route("/symbolon/v1/duties/{slot}", get(slot::<W>))
        .route("/symbolon/v1/duties", get(slots::<W>))
        .route("/symbolon/v1/exits", get(exits::<W>))
        .route("/symbolon/v1/peers", get(peers::<W>))
        .route("/symbolon/v1/beacon-nodes", get(beacon_nodes::<W>))
        .layer(from_fn_with_state(seats, one_of_few))
        .route("/metrics", get(metrics::<W>))
        .fallback(async || {
            Wrong::not_found("this port has /metrics and /symbolon/v1/duties, exits, peers, beacon-nodes")
        })
        .method_not_allowed_fallback(async || {
            Wrong(StatusCode::METHOD_NOT_ALLOWED, "nothing here is changed: GET".into())
        })
        .with_state(Arc::new(monitor))
}

/// What is wrong with a question.
#[derive(Debug)]
struct Wrong(StatusCode, String);

impl Wrong {
    fn bad(message: impl Display) -> Self {
        Self(StatusCode::BAD_REQUEST, message.to_string())
    }

    fn not_found(message: impl Display) -> Self {
        Self(StatusCode::NOT_FOUND, message.to_string())
    }

    fn unavailable(message: impl Display) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, message.to_string())
    }

    fn stopping() -> Self {
        Self::unavailable("this node is stopping")
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let Self(status, message) = self;
        (status, Json(json!({ "code": status.as_u16(), "message": message }))).into_response()
    }
}

type Reply = Result<Json<Value>, Wrong>;

async fn one_of_few(State(seats): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match seats.try_acquire() {
        Ok(_seat) => next.run(request).await,
        Err(_) => Wrong::unavailable("too many questions at once: ask again").into_response(),
    }
}

async fn metrics<W: Witness>(State(monitor): Shared<W>) -> String {
    monitor.metrics.beacon_nodes(&(monitor.beacon_nodes)());
    monitor.metrics.text()
}

async fn slot<W: Witness>(State(monitor): Shared<W>, Path(slot): Path<String>) -> Reply {
    let slot = parse(&slot)?;
    let explanation = monitor.witness.explain(slot..=slot).await.ok_or_else(Wrong::stopping)?;
    ensure_kept(&explanation, slot, slot)?;
    Ok(Json(json::slot(&monitor.spec, slot, &explanation.accounts)))
}

/// Which slots.
#[derive(Debug, Deserialize)]
struct Span {
    from: Option<String>,
    to: Option<String>,
}

async fn slots<W: Witness>(State(monitor): Shared<W>, span: Result<Query<Span>, QueryRejection>) -> Reply {
    let Query(Span { from, to }) = span.map_err(|error| Wrong::bad(error.body_text()))?;
    let from = from.as_deref().map(parse).transpose()?;
    let to = to.as_deref().map(parse).transpose()?;
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => (from, to),
        (Some(from), None) => (from, Slot(from.0.saturating_add(SLOTS_MAX - 1))),
        (None, Some(to)) => (Slot(to.0.saturating_sub(SLOTS_MAX - 1)), to),
        (None, None) => {
            // Of a slot that never comes nothing is known, but what is kept.
            let never = Slot(u64::MAX);
            let known = monitor.witness.explain(never..=never).await.ok_or_else(Wrong::stopping)?;
            let (_, newest) = known.kept.unwrap_or_default();
            (Slot(newest.0.saturating_sub(SLOTS_MAX - 1)), newest)
        }
    };
    if from > to || to.0 - from.0 >= SLOTS_MAX {
        return Err(Wrong::bad(format_args!(
            "from {from} to {to}: at most {SLOTS_MAX} slots, the first not last"
        )));
    }
    let explanation = monitor.witness.explain(from..=to).await.ok_or_else(Wrong::stopping)?;
    ensure_kept(&explanation, from, to)?;
    Ok(Json(json::slots(&explanation)))
}

fn parse(text: &str) -> Result<Slot, Wrong> {
    text.parse().map(Slot).map_err(|_| Wrong::bad(format_args!("a slot is a number, and {text:?} is none")))
}

/// Whether anything is known of these slots.
fn ensure_kept(explanation: &Explanation, from: Slot, to: Slot) -> Result<(), Wrong> {
    let Some((oldest, newest)) = explanation.kept else {
        return Err(Wrong::not_found("the chain has not begun"));
    };
    if from > newest {
        return Err(Wrong::not_found(format_args!("slot {from} has not begun: the newest is {newest}")));
    }
    if to < oldest {
        return Err(Wrong::not_found(format_args!(
            "slot {to} is not kept: accounts go back to slot {oldest}, {ACCOUNT_EPOCHS} epochs or this node's start"
        )));
    }
    Ok(())
}

async fn exits<W: Witness>(State(monitor): Shared<W>) -> Reply {
    let exits = monitor.witness.exits().await.ok_or_else(Wrong::stopping)?;
    Ok(Json(json::exits(&monitor.validators, &exits)))
}

async fn peers<W: Witness>(State(monitor): Shared<W>) -> Reply {
    Ok(Json(json::peers(&(monitor.peers)())))
}

async fn beacon_nodes<W: Witness>(State(monitor): Shared<W>) -> Reply {
    Ok(Json(json::beacon_nodes(&(monitor.beacon_nodes)())))
}
