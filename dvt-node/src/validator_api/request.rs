//! Reading requests: bodies, paths and queries, every failure of which is the API's own error.

use super::errors::ApiError;
use super::list;
pub(crate) use super::negotiate::Encoding;
use super::negotiate::encoding_of;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Path, Query, Request};
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use ssz::Decode as _;
use std::str::FromStr;
use std::time::Duration;
use types::Fork;

/// For a client on the same host or network to send a body: beyond it the client is gone, or no friend.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body, with the headers that say what it is; bounded by the route's limit.
pub(crate) struct Body {
    pub(crate) encoding: Encoding,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

/// A body that is meant to be JSON.
pub(crate) struct JsonBody {
    pub(crate) bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let encoding = encoding_of(&headers)?;
        let reading = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
        let Ok(read) = reading else {
            return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"));
        };
        let bytes = read.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
        Ok(Self { encoding, headers, bytes })
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // Before the body is read: a client that speaks SSZ first learns it here, and falls back to JSON.
        if encoding_of(request.headers())? == Encoding::Ssz {
            let message = "this route takes application/json only";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        Ok(Self { bytes: Body::from_request(request, state).await?.bytes })
    }
}

impl JsonBody {
    /// The body as `T`.
    ///
    /// - `name`: what it is, with its article.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, ApiError> {
        list::whole(&self.bytes, name)
    }
}

impl Body {
    /// The items of a JSON list, as they were sent.
    pub(crate) fn items(&self) -> Result<Vec<&RawValue>, ApiError> {
        list::items(&self.bytes)
    }

    /// The parts of a list of `T`. In JSON each is read, or refused, by itself; SSZ is read as a whole.
    ///
    /// - `name`: what one is, with its article.
    pub(crate) fn parts<T: DeserializeOwned + ssz::Decode>(&self, name: &str) -> Result<Parts<T>, ApiError> {
        match self.encoding {
            Encoding::Json => Ok(self.items()?.into_iter().map(|item| list::read(item, name)).collect()),
            Encoding::Ssz => match Vec::<T>::from_ssz_bytes(&self.bytes) {
                Ok(list) => {
                    list::ensure_few(list.len())?;
                    Ok(list.into_iter().map(Ok).collect())
                }
                Err(error) => {
                    Err(ApiError::bad(format_args!("not the SSZ of a list, each item {name}: {error:?}")))
                }
            },
        }
    }

    /// A list of `T`, all of which have to be right.
    pub(crate) fn list<T: DeserializeOwned + ssz::Decode>(&self, name: &str) -> Result<Vec<T>, ApiError> {
        self.parts(name)?.into_iter().collect()
    }
}

/// Parts of a request, in order, each read or refused.
pub(crate) type Parts<T> = Vec<Result<T, ApiError>>;

/// The header that names a body's fork.
pub(crate) const CONSENSUS_VERSION: &str = "eth-consensus-version";

/// The fork that a request says its body is of.
pub(crate) fn consensus_version(headers: &HeaderMap) -> Result<Fork, ApiError> {
    let name = headers.get(CONSENSUS_VERSION).and_then(|name| name.to_str().ok());
    let Some(name) = name else { return Err(ApiError::bad("no Eth-Consensus-Version header")) };
    let forks = [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu];
    let fork = forks.into_iter().find(|fork| fork.to_string().eq_ignore_ascii_case(name));
    fork.ok_or_else(|| ApiError::bad(format_args!("unknown Eth-Consensus-Version {name}")))
}

/// One segment of a path.
pub(crate) type Segment = Result<Path<String>, PathRejection>;

/// A number in a path.
pub(crate) fn number<T: From<u64>>(name: &str, segment: Segment) -> Result<T, ApiError> {
    let Path(text) = segment.map_err(|error| ApiError::bad(error.body_text()))?;
    parse::<u64>(name, &text).map(T::from)
}

/// Parameters of a query, in order.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn of(uri: &Uri) -> Result<Self, ApiError> {
        let Query(pairs) = Query::try_from_uri(uri).map_err(|error| ApiError::bad(error.body_text()))?;
        Ok(Self(pairs))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A parameter that may be absent; the first where it comes several times.
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let value = self.iter().find(|(found, _)| *found == name);
        value.map(|(_, value)| parse(name, value)).transpose()
    }

    /// A parameter that must be there.
    pub(crate) fn need<T: FromStr>(&self, name: &str) -> Result<T, ApiError> {
        self.get(name)?.ok_or_else(|| ApiError::bad(format_args!("the query has no {name}")))
    }
}

/// A number or a string of bytes.
pub(crate) fn parse<T: FromStr>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::bad(format_args!("invalid {name}: {text}")))
}
