//! The ceremonies' board.

use super::write::incoming;
use super::{ApiError, Shared, now};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use types::ClusterId;

fn cluster(text: &str) -> Result<ClusterId, ApiError> {
    text.parse().map_err(|error| ApiError::bad(format_args!("{text:?} in the path is no cluster: {error}")))
}

/// `GET /v1/ceremonies/{cluster}`.
pub(super) async fn notice(
    State(shared): State<Shared>,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = cluster(&text)?;
    shared
        .with(move |office| match office.notice(now(), cluster)? {
            Some(notice) => Ok(Json(notice).into_response()),
            None => Err(ApiError::absent(format_args!("there is no cluster {cluster}"))),
        })
        .await
}

/// `PUT /v1/ceremonies/{cluster}/presence`: a node's word.
pub(super) async fn presence(
    State(shared): State<Shared>,
    Path(text): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let cluster = cluster(&text)?;
    let incoming = incoming(&method, &uri, &headers, body)?;
    shared.with(move |office| Ok(office.hear(now(), cluster, &incoming)?)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
