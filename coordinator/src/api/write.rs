//! Writing: what wallets have signed.

use super::{ApiError, Shared, now};
use crate::request::{Incoming, Nonce, Request, WalletSignature};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use std::fmt::Display;
use std::str::FromStr;

/// Any request with a signature: the ledger knows the routes.
pub(super) async fn request(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    if method == Method::GET || method == Method::HEAD {
        return Err(ApiError::absent(format_args!("there is nothing at {}", uri.path())));
    }
    let incoming = incoming(&method, &uri, &headers, body)?;
    let sealed = shared.with(move |office| Ok(office.request(now(), &incoming)?)).await?;
    let path = uri.path();
    tracing::info!(seq = sealed.entry.seq, %method, path, "entry");
    let answer = json!({ "seq": sealed.entry.seq, "hash": sealed.hash, "events": sealed.entry.events });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// What came in, with what its sender says of it. Errors: a query, which would not be signed; no text; a header is missing.
pub(super) fn incoming(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Incoming, ApiError> {
    if uri.query().is_some() {
        return Err(ApiError::bad("a request that writes has no query: it would not be signed"));
    }
    let body = String::from_utf8(body.into()).map_err(|_| ApiError::bad("the body is not UTF-8"))?;
    Ok(Incoming {
        pool: header(headers, "x-pool")?,
        signer: header(headers, "x-signer")?,
        request: Request {
            method: method.as_str().to_owned(),
            path: uri.path().to_owned(),
            body,
            nonce: Nonce(header(headers, "x-nonce")?),
            expiry: header(headers, "x-expiry")?,
            signature: header(headers, "x-signature")?,
        },
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Countersignature {
    signature: WalletSignature,
}

/// `POST /v1/heads/{size}/signatures`.
pub(super) async fn countersign(
    State(shared): State<Shared>,
    Path(size): Path<u64>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let Countersignature { signature } = serde_json::from_slice(&body).map_err(ApiError::bad)?;
    let published = shared.with(move |office| Ok(office.countersign(size, signature)?)).await?;
    Ok(Json(published).into_response())
}

/// A header that a signed request must have.
fn header<T: FromStr<Err: Display>>(headers: &HeaderMap, name: &'static str) -> Result<T, ApiError> {
    let unsigned =
        || ApiError::new(StatusCode::UNAUTHORIZED, format_args!("no {name} header: who writes, signs"));
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(ApiError::bad(format_args!("{name} comes twice")));
    }
    let text = first.ok_or_else(unsigned)?.to_str().unwrap_or_default();
    text.parse().map_err(|error| ApiError::bad(format_args!("{name}: {error}")))
}
