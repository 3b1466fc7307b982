//! What a validator client is told when it does not get what it asked for: always the beacon API's
//! `{code, message}`, with `failures` where a request of several parts was taken in part.

use super::UpstreamError;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::fmt::Display;
use symbolon_core::{Answer, Refusal};

/// Most characters of a message: what a beacon node or a parser says may be long, a log line should not be.
const MESSAGE_LEN_MAX: usize = 1000;

/// One part of a request that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// Its place in the request's list.
    pub(crate) index: usize,
    /// Why.
    pub(crate) message: String,
    /// Whether the client did something wrong, or this cluster could not.
    #[serde(skip)]
    pub(crate) status: StatusCode,
}

impl Failure {
    /// A part that failed as a whole request would.
    pub(crate) fn of(index: usize, error: ApiError) -> Self {
        Self { index, message: error.message, status: error.status }
    }
}

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    failures: Vec<Failure>,
}

/// What a handler gives.
pub(crate) type Reply = Result<Response, ApiError>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Display) -> Self {
        let message = message.to_string().chars().take(MESSAGE_LEN_MAX).collect();
        Self { status, message, failures: Vec::new() }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// 400: the request is wrong.
    pub(crate) fn bad(message: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 501: this node does not do that.
    pub(crate) fn not_served(message: impl Display) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// 503: right question, but this node or its cluster cannot now.
    pub(crate) fn unavailable(message: impl Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// 500: the node contradicts itself.
    pub(crate) fn internal(message: impl Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// 500: core has answered something else than was asked.
    pub(crate) fn unasked(answer: &Answer) -> Self {
        tracing::error!(?answer, "an answer to another question");
        Self::internal("answered something else than was asked")
    }

    /// Why a request of one part was not accepted.
    pub(crate) fn of_one(answer: Answer) -> Self {
        match answer {
            Answer::Refused(refusal) => refusal.into(),
            Answer::PartlyRefused(refused) => refused
                .into_iter()
                .next()
                .map_or_else(|| Self::internal("refused without saying why"), |(_, refusal)| refusal.into()),
            other => Self::unasked(&other),
        }
    }

    /// 502: the beacon node answered something that makes no sense here.
    pub(crate) fn bad_gateway(message: impl Display) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, message)
    }

    /// The loop has ended: nobody is there to decide.
    pub(crate) fn stopping() -> Self {
        Self::unavailable("this node is stopping: nothing is signed any more")
    }

    /// Several parts failed, the others were taken. 400 if the client got any of them wrong, else as the first.
    pub(crate) fn parts(mut failures: Vec<Failure>) -> Self {
        failures.sort_by_key(|failure| failure.index);
        let client = failures.iter().any(|failure| failure.status.is_client_error());
        let first = failures.first().map_or(StatusCode::INTERNAL_SERVER_ERROR, |failure| failure.status);
        let status = if client { StatusCode::BAD_REQUEST } else { first };
        let count = failures.len();
        let why = failures.first().map_or("", |failure| &failure.message);
        let mut error = Self::new(status, format_args!("{count} refused, the first because: {why}"));
        error.failures = failures;
        error
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotDue(_)
            | Refusal::NoDuty(_)
            | Refusal::NothingAgreed(_)
            | Refusal::NotAgreed { .. }
            | Refusal::Slashable(_)
            | Refusal::BadHalf(_)
            | Refusal::NotDistributed
            | Refusal::WrongProof(_)
            | Refusal::WrongIndex { .. }
            | Refusal::NotApproved(_) => Self::bad(refusal),
            Refusal::NoAggregate { .. } => Self::new(StatusCode::NOT_FOUND, refusal),
            Refusal::JournalFailed
            | Refusal::RolledBack { .. }
            | Refusal::Stopped(_)
            | Refusal::TooLate(_)
            | Refusal::TooFewSelections(_) => Self::unavailable(refusal),
        }
    }
}

impl From<UpstreamError> for ApiError {
    /// The beacon node's own error where it gave one; 502 where its status is none of an error.
    fn from(error: UpstreamError) -> Self {
        let status = StatusCode::from_u16(error.status).ok();
        let status = status.filter(|status| status.is_client_error() || status.is_server_error());
        Self::new(status.unwrap_or(StatusCode::BAD_GATEWAY), format_args!("beacon node: {}", error.message))
    }
}

#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    failures: &'a [Failure],
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Body { code: self.status.as_u16(), message: &self.message, failures: &self.failures };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            // The client's next slot is soon enough; a number keeps clients from their own longer back-off.
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
