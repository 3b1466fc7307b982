//! Reading the chain: passed on to the operator's beacon nodes.

use super::errors::{ApiError, Reply};
use super::negotiate::Encoding;
use super::request::{Body as Posted, CONSENSUS_VERSION};
use super::{Duties, ForwardRequest, ForwardResponse, Noticed, STREAMS_MAX, Shared, Upstream};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::Value;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SSZ: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A request whose answer is read here: it must be JSON.
pub(crate) fn forward_json(method: Method, path_and_query: String, body: Bytes) -> ForwardRequest {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, JSON);
    if method == Method::POST {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    ForwardRequest { method, path_and_query, headers, body }
}

/// What the client wants to be answered in, for the beacon node to decide.
pub(crate) fn accept_of(headers: &HeaderMap) -> HeaderValue {
    headers.get(header::ACCEPT).cloned().unwrap_or(JSON)
}

/// A beacon node's answer, as it is: status, content type, the API's own headers, body.
///
/// - An error that is not JSON is made one; 502 for a status that ends no request.
pub(crate) fn respond(answer: ForwardResponse) -> Reply {
    let ForwardResponse { status, headers, body } = answer;
    let status = StatusCode::from_u16(status).ok().filter(|status| !status.is_informational());
    let Some(status) = status else {
        return Err(ApiError::bad_gateway("the beacon node answered with a status that ends no request"));
    };
    let failed = status.is_client_error() || status.is_server_error();
    if failed && !serde_json::from_slice::<Value>(&body).is_ok_and(|json| json.is_object()) {
        let said = String::from_utf8_lossy(&body);
        return Err(ApiError::new(status, format_args!("beacon node: {said}")));
    }
    let mut response = (status, body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    let kept = |name: &HeaderName| *name == header::CONTENT_TYPE || name.as_str().starts_with("eth-");
    let kept = headers.iter().filter(|(name, _)| kept(name));
    response.headers_mut().extend(kept.map(|(name, value)| (name.clone(), value.clone())));
    Ok(response)
}

/// The path, if it is written plainly: nothing encoded, no empty or dotted segment, so that every server on the way
/// reads the same path.
pub(crate) fn plain(path: &str) -> Result<&str, ApiError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let segment = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(word);
    let proper = path.strip_prefix('/').is_some_and(|path| path.split('/').all(segment));
    if proper { Ok(path) } else { Err(ApiError::bad("the path has characters that no route of the API has")) }
}

/// Whether a GET of this path only reads the chain: `/eth/v*/`, but not `validator/`.
fn reads_the_chain(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    let eth = segments.next() == Some("eth");
    let version = segments.next().and_then(|version| version.strip_prefix('v'));
    let version = version.is_some_and(|digits| digits.parse::<u8>().is_ok());
    let area = segments.next();
    eth && version && area.is_some_and(|area| !area.eq_ignore_ascii_case("validator")) && plain(path).is_ok()
}

/// Routes that have no handler: GETs that read the chain are passed on, everything else is 501.
pub(crate) async fn anything_else<D: Duties, U: Upstream>(
    desk: Shared<D, U>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Reply {
    if method == Method::GET && reads_the_chain(uri.path()) {
        return get_upstream(desk, uri, headers).await;
    }
    let State(desk) = desk;
    (desk.notice)(Noticed::UnknownRoute);
    tracing::debug!(%method, path = uri.path(), "unknown route");
    Err(ApiError::not_served(format_args!("this node does not serve {method} {}", uri.path())))
}

/// Passes a GET on.
pub(crate) async fn get_upstream<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    uri: Uri,
    headers: HeaderMap,
) -> Reply {
    plain(uri.path())?;
    let mut kept = HeaderMap::new();
    kept.insert(header::ACCEPT, accept_of(&headers));
    let request = ForwardRequest {
        method: Method::GET,
        path_and_query: path_and_query(&uri),
        headers: kept,
        body: Bytes::new(),
    };
    respond(desk.upstream.forward(request).await?)
}

/// Passes a POST on as it is: what others have signed, and no share of ours.
pub(crate) async fn post_upstream<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    uri: Uri,
    request: Posted,
) -> Reply {
    let path = plain(uri.path())?.to_owned();
    let Posted { encoding, headers, bytes } = request;
    let mut request = forward_json(Method::POST, path, bytes);
    if encoding == Encoding::Ssz {
        request.headers.insert(header::CONTENT_TYPE, SSZ);
    }
    let fork = HeaderName::from_static(CONSENSUS_VERSION);
    if let Some(value) = headers.get(&fork) {
        request.headers.insert(fork, value.clone());
    }
    respond(desk.upstream.forward(request).await?)
}

/// Passes the event stream through, each event as it comes.
pub(crate) async fn events<D: Duties, U: Upstream>(State(desk): Shared<D, U>, uri: Uri) -> Reply {
    let Ok(seat) = desk.streams.clone().try_acquire_owned() else {
        return Ok(desk.shed("event streams", STREAMS_MAX));
    };
    let events = desk.upstream.forward_stream(&path_and_query(&uri)).await?;
    let events = events.map(move |chunk| {
        let _held_as_long_as_the_stream = &seat;
        chunk
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(events)).into_response())
}

fn path_and_query(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string)
}
