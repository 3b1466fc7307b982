//! Envelopes of answers, and refusals as the beacon API words them.

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Display;
use std::str::FromStr;

/// What a handler returns.
pub(super) type Reply = Result<Response, Refusal>;

/// Why a request is not granted: `{code, message}`, and `failures` where a list came in.
#[derive(Debug)]
pub(super) struct Refusal {
    code: StatusCode,
    message: String,
    failures: Vec<(usize, String)>,
}

impl Refusal {
    pub(super) fn new(code: StatusCode, message: impl Display) -> Self {
        Self { code, message: message.to_string(), failures: Vec::new() }
    }

    /// The request is wrong.
    pub(super) fn bad(message: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such thing.
    pub(super) fn absent(message: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Some items of a list are wrong; the others were taken.
    pub(super) fn items(failures: Vec<(usize, String)>) -> Self {
        let message = "some items were refused".to_owned();
        Self { code: StatusCode::BAD_REQUEST, message, failures }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "code": self.code.as_u16(), "message": self.message });
        if !self.failures.is_empty() {
            let failure = |(index, message): &(usize, String)| json!({ "index": index, "message": message });
            body["failures"] = self.failures.iter().map(failure).collect();
        }
        (self.code, Json(body)).into_response()
    }
}

/// `{"data": ...}`.
pub(super) fn data(data: Value) -> Reply {
    Ok(Json(json!({ "data": data })).into_response())
}

/// An answer about a state or a block.
pub(super) fn of_state(finalized: bool, data: Value) -> Reply {
    let body = json!({ "execution_optimistic": false, "finalized": finalized, "data": data });
    Ok(Json(body).into_response())
}

/// An empty answer.
pub(super) fn taken() -> Reply {
    Ok(StatusCode::OK.into_response())
}

/// Reads a body of JSON.
///
/// - Errors: 415 for a body of another kind, 400 for one that does not read.
pub(super) fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("application/json");
    if !kind.starts_with("application/json") {
        let message = format!("bodies of {kind} are not read here, only application/json");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    serde_json::from_slice(body).map_err(Refusal::bad)
}

/// Reads a part of the path or the query.
pub(super) fn parse<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error| Refusal::bad(format!("{name} {text:?}: {error}")))
}
