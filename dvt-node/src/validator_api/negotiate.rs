//! JSON or SSZ: what a body is written in (`Content-Type`), and what the client wants to be answered in (`Accept`).
//!
//! JSON where a client does not say, or wants both alike. Errors are JSON always. Source: RFC 9110, sections 8.3 and
//! 12.5.1; beacon-APIs.

use super::errors::{ApiError, Reply};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

const JSON: &str = "application/json";
const SSZ: &str = "application/octet-stream";

/// What an answer says beside its data, as a field of its JSON and as a header.
const META: [(&str, &str); 7] = [
    ("version", "eth-consensus-version"),
    ("execution_optimistic", "eth-execution-optimistic"),
    ("finalized", "eth-consensus-finalized"),
    ("dependent_root", "eth-consensus-dependent-root"),
    ("execution_payload_blinded", "eth-execution-payload-blinded"),
    ("execution_payload_value", "eth-execution-payload-value"),
    ("consensus_block_value", "eth-consensus-block-value"),
];

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// The beacon API's JSON.
    Json,
    /// SSZ.
    Ssz,
}

/// What a request's body is written in; JSON if it does not say.
///
/// - Errors: 415 for anything else.
pub(crate) fn encoding_of(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(Encoding::Json) };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        Ok(Encoding::Json)
    } else if essence.eq_ignore_ascii_case(SSZ) {
        Ok(Encoding::Ssz)
    } else {
        let message = format_args!("this node reads {JSON} and {SSZ}, not {kind}");
        Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
    }
}

/// How much the client wants a form: by the most specific range that names it, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weight {
    specificity: u8,
    quality: u16,
}

impl Weight {
    fn heard(&mut self, specificity: u8, quality: u16) {
        if specificity >= self.specificity {
            *self = Self { specificity, quality };
        }
    }
}

/// `Accept`, weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    json: u16,
    ssz: u16,
}

impl<S: Sync> FromRequestParts<S> for Accept {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self::of(&parts.headers))
    }
}

impl Accept {
    /// Reads all `Accept` headers. What is no media range, or has no proper weight, says nothing.
    fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let mut ranges = lines.flat_map(|line| line.split(',')).filter(|range| !range.trim().is_empty());
        let Some(first) = ranges.next() else { return Self { json: 1000, ssz: 0 } };
        let (mut json, mut ssz) = (Weight::default(), Weight::default());
        for (essence, quality) in std::iter::once(first).chain(ranges).filter_map(range) {
            match essence.as_str() {
                JSON => json.heard(3, quality),
                SSZ => ssz.heard(3, quality),
                "application/*" | "*/*" => {
                    let specificity = if essence == "*/*" { 1 } else { 2 };
                    json.heard(specificity, quality);
                    ssz.heard(specificity, quality);
                }
                _ => {}
            }
        }
        Self { json: json.quality, ssz: ssz.quality }
    }

    /// The better of both forms.
    ///
    /// - Errors: 406 if the client takes neither.
    pub(crate) fn either(self) -> Result<Encoding, ApiError> {
        if self.ssz > self.json { Ok(Encoding::Ssz) } else { self.json().map(|()| Encoding::Json) }
    }

    /// For answers that are JSON only.
    ///
    /// - Errors: 406 if the client does not take it.
    pub(crate) fn json(self) -> Result<(), ApiError> {
        if self.json > 0 {
            return Ok(());
        }
        let message = format_args!("this is answered in {JSON} only, which Accept leaves out");
        Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, message))
    }
}

/// A media range and its weight in thousandths.
fn range(text: &str) -> Option<(String, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let Some(weight) = weight else { return Some((essence, 1000)) };
    let weight: f64 = weight.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
    Some((essence, (weight * 1000.0).round() as u16))
}

/// The data of an answer, in the form that was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// What goes under `data`, as text.
    Json(Box<RawValue>),
    /// The whole body.
    Ssz(Vec<u8>),
}

impl Data {
    /// Writes something as JSON.
    pub(crate) fn json(what: &impl Serialize) -> Result<Self, ApiError> {
        to_raw_value(what).map(Self::Json).map_err(ApiError::internal)
    }

    /// Writes a message.
    pub(crate) fn of(wanted: Encoding, message: &(impl Serialize + ssz::Encode)) -> Result<Self, ApiError> {
        match wanted {
            Encoding::Json => Self::json(message),
            Encoding::Ssz => Ok(Self::Ssz(message.as_ssz_bytes())),
        }
    }
}

/// Writes a list that came as JSON as SSZ.
pub(crate) type ToSsz = fn(&RawValue) -> Result<Vec<u8>, serde_json::Error>;

/// The SSZ of a list of `T`.
pub(crate) fn list_to_ssz<T: DeserializeOwned + ssz::Encode>(
    data: &RawValue,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::from_str::<Vec<T>>(data.get()).map(|list| ssz::Encode::as_ssz_bytes(&list))
}

/// An answer: `meta` in fields beside JSON, and in headers with either.
///
/// - Errors: 500 if the answer cannot be written.
pub(crate) fn answer(meta: Map<String, Value>, data: Data) -> Reply {
    #[derive(Serialize)]
    struct Told {
        #[serde(flatten)]
        meta: Map<String, Value>,
        data: Box<RawValue>,
    }
    let headers = headers_of(&meta);
    let (kind, body) = match data {
        Data::Json(data) => (JSON, serde_json::to_vec(&Told { meta, data }).map_err(ApiError::internal)?),
        Data::Ssz(body) => (SSZ, body),
    };
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().extend(headers);
    Ok(response)
}

fn headers_of(meta: &Map<String, Value>) -> HeaderMap {
    let header = |(field, name): (&str, &'static str)| {
        let value = match meta.get(field)? {
            Value::String(text) => HeaderValue::from_str(text).ok()?,
            Value::Bool(yes) => HeaderValue::from_static(if *yes { "true" } else { "false" }),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((HeaderName::from_static(name), value))
    };
    META.into_iter().filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(lines: &[&str]) -> Accept {
        let headers = lines.iter().map(|line| (header::ACCEPT, HeaderValue::from_str(line).unwrap()));
        Accept::of(&headers.collect())
    }

    #[test]
    fn ssz_is_answered_only_where_it_is_wanted_more_than_json() {
        for (lines, wanted) in [
            (&[][..], Some(Encoding::Json)),
            (&[""], Some(Encoding::Json)),
            (&["*/*"], Some(Encoding::Json)),
            (&["application/json"], Some(Encoding::Json)),
            (&["application/octet-stream"], Some(Encoding::Ssz)),
            (&["application/octet-stream;q=1,application/json;q=0.9"], Some(Encoding::Ssz)),
            (&["application/json;q=1,application/octet-stream;q=0.9"], Some(Encoding::Json)),
            (&["application/octet-stream, application/json"], Some(Encoding::Json)),
            (&["application/octet-stream", "application/json;q=0.5"], Some(Encoding::Ssz)),
            (&["Application/Octet-Stream ; Q=0.3 , */*;q=0.2"], Some(Encoding::Ssz)),
            (&["application/octet-stream;q=0,application/*;q=0.1"], Some(Encoding::Json)),
            (&["application/json;q=0, */*"], Some(Encoding::Ssz)),
            (&["application/octet-stream;v=1;q=0.8, application/json;q=0.7"], Some(Encoding::Ssz)),
            // Weights that are none say nothing.
            (&["application/octet-stream;q=2,application/json;q=0.1"], Some(Encoding::Json)),
            (&["application/octet-stream;q=NaN,application/json;q=0.1"], Some(Encoding::Json)),
            (&["text/html"], None),
            (&["application/json;q=0"], None),
            (&["application/json;q=x"], None),
            (&["*/*;q=0"], None),
        ] {
            assert_eq!(accept(lines).either().ok(), wanted, "{lines:?}");
        }
    }

    #[test]
    fn what_is_json_only_is_refused_to_who_does_not_take_json() {
        assert!(accept(&["application/octet-stream;q=1,application/json;q=0.9"]).json().is_ok());
        for line in ["application/octet-stream", "application/json;q=0,*/*"] {
            assert_eq!(accept(&[line]).json().unwrap_err().status(), StatusCode::NOT_ACCEPTABLE);
        }
    }

    #[test]
    fn what_a_body_is_written_in_is_one_of_two() {
        let of = |kind: &str| {
            let kind = HeaderValue::from_str(kind).unwrap();
            encoding_of(&HeaderMap::from_iter([(header::CONTENT_TYPE, kind)])).ok()
        };
        assert_eq!(encoding_of(&HeaderMap::new()).ok(), Some(Encoding::Json));
        assert_eq!(of("application/json; charset=utf-8"), Some(Encoding::Json));
        assert_eq!(of("Application/Octet-Stream"), Some(Encoding::Ssz));
        assert_eq!((of("text/plain"), of("")), (None, None));
    }
}
