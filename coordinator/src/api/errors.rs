//! What went wrong, for who asked: a status, and one sentence that names the rule.

use crate::board::WordRefusal;
use crate::ledger::AppendError;
use crate::ledger::Refusal;
use crate::ledger::ceremonies;
use crate::ledger::routes::RouteError;
use crate::office::OfficeError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::fmt::Display;

/// An answer that is no success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

impl Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Display) -> Self {
        Self { status, message: message.to_string() }
    }

    pub(super) fn bad(message: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn absent(message: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn internal(message: impl Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.status.as_u16(), "message": self.message });
        (self.status, Json(body)).into_response()
    }
}

impl From<OfficeError> for ApiError {
    fn from(error: OfficeError) -> Self {
        let status = match &error {
            OfficeError::Refused(error) => status_of(error),
            OfficeError::NoHead(_) => StatusCode::NOT_FOUND,
            OfficeError::Stranger(_) | OfficeError::Signature(_) => StatusCode::FORBIDDEN,
            OfficeError::Store(_) | OfficeError::Head(_) | OfficeError::Broken => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            OfficeError::NotTheCoordinator { .. } => StatusCode::SERVICE_UNAVAILABLE,
            OfficeError::Word(refusal) => status_of_word(refusal),
        };
        if status.is_server_error() {
            tracing::error!(%error, "a request could not be served");
        }
        Self::new(status, error)
    }
}

fn status_of_word(refusal: &WordRefusal) -> StatusCode {
    match refusal {
        WordRefusal::Request(_) => StatusCode::UNAUTHORIZED,
        WordRefusal::Stranger(_) => StatusCode::FORBIDDEN,
        WordRefusal::NoCluster(_) => StatusCode::NOT_FOUND,
        WordRefusal::Body(_) | WordRefusal::Places { .. } => StatusCode::BAD_REQUEST,
        WordRefusal::Full => StatusCode::TOO_MANY_REQUESTS,
    }
}

/// 200: it was so before; 401: who are you; 403: not you; 404, 405: not there; 400: not readable; 409: not so, or not now.
fn status_of(error: &AppendError) -> StatusCode {
    match error {
        AppendError::Refused(Refusal::Request(_)) => StatusCode::UNAUTHORIZED,
        AppendError::Refused(Refusal::Role { .. }) => StatusCode::FORBIDDEN,
        AppendError::Refused(Refusal::Route(RouteError::NoPath(_))) => StatusCode::NOT_FOUND,
        AppendError::Refused(Refusal::Route(RouteError::NoMethod { .. })) => StatusCode::METHOD_NOT_ALLOWED,
        AppendError::Refused(Refusal::Route(_)) => StatusCode::BAD_REQUEST,
        AppendError::Refused(Refusal::Ceremonies(refusal)) => match **refusal {
            ceremonies::Refusal::HaveIt { .. } => StatusCode::OK,
            _ => StatusCode::CONFLICT,
        },
        AppendError::Refused(_) => StatusCode::CONFLICT,
        AppendError::Charter(_)
        | AppendError::ClockFell { .. }
        | AppendError::SecondCharter
        | AppendError::NotTheCoordinator { .. }
        | AppendError::SeenTooMuch { .. }
        | AppendError::Signature(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
