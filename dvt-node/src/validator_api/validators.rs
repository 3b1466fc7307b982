//! Questions about validators: asked of the beacon nodes under the chain's keys, answered under the client's.
//!
//! The beacon nodes are asked in JSON, where keys can be found; SSZ is written here.

use super::errors::{ApiError, Reply};
use super::negotiate::{self, Accept, Data, Encoding, ToSsz};
use super::proxy::{self, forward_json};
use super::request::{JsonBody, Parameters};
use super::shapes::{Balance, Identity};
use super::{Desk, Duties, ForwardRequest, Shared, Upstream, list};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Display;

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// Passes a question on, always in JSON, and rewrites the keys in what comes back.
    pub(crate) async fn ask_keyed(&self, request: ForwardRequest) -> Result<Keyed, ApiError> {
        let answer = self.upstream.forward(request).await?;
        if answer.status != StatusCode::OK.as_u16() {
            return proxy::respond(answer).map(Keyed::Other);
        }
        let nonsense = |why: &dyn Display| {
            ApiError::bad_gateway(format_args!("the beacon node's answer is not JSON: {why}"))
        };
        let mut fields: BTreeMap<String, &RawValue> =
            serde_json::from_slice(&answer.body).map_err(|error| nonsense(&error))?;
        let data = fields.remove("data").ok_or_else(|| nonsense(&"it has no data"))?;
        let data = self.seats.to_client(data).map_err(|error| nonsense(&error))?;
        let meta = fields.into_iter().map(|(name, value)| Ok((name, serde_json::from_str(value.get())?)));
        let meta: Result<_, serde_json::Error> = meta.collect();
        Ok(Keyed::Told { meta: meta.map_err(|error| nonsense(&error))?, data })
    }

    /// Passes a question on, and answers with keys rewritten in the form that the client wants.
    pub(crate) async fn forward_keyed(&self, request: ForwardRequest, form: Form) -> Reply {
        match self.ask_keyed(request).await? {
            Keyed::Other(response) => Ok(response),
            Keyed::Told { meta, data } => negotiate::answer(meta, form.write(data)?),
        }
    }

    /// A body of ids under the chain's keys: a bare list, or `ids` of an object, of which `statuses` stay as well.
    fn ids_to_chain(&self, body: &JsonBody) -> Result<Bytes, ApiError> {
        let to_chain = |json: &RawValue| -> Result<Vec<String>, ApiError> {
            texts(json, "a validator id")?.map(|id| self.seats.chain_id(&id?)).collect()
        };
        let json = list::text(&body.bytes)?;
        if json.get().starts_with('[') {
            return json_of(&to_chain(json)?);
        }
        let wanted = list::whole(json.get().as_bytes(), "a list of ids, nor an object with one")?;
        let Wanted { ids, statuses } = wanted;
        let statuses = statuses.map(|json| texts(json, "a status")?.collect()).transpose()?;
        json_of(&Wanted { ids: ids.map(to_chain).transpose()?, statuses })
    }
}

/// A question about validators, as `POST states/{state}/validators` takes it.
#[derive(Deserialize, Serialize)]
struct Wanted<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statuses: Option<T>,
}

/// The texts of a list in JSON. `name`: what one is, with its article.
fn texts<'a>(
    json: &'a RawValue,
    name: &'a str,
) -> Result<impl Iterator<Item = Result<String, ApiError>> + 'a, ApiError> {
    Ok(list::items(json.get().as_bytes())?.into_iter().map(move |item| list::read(item, name)))
}

fn json_of(ids: &impl Serialize) -> Result<Bytes, ApiError> {
    serde_json::to_vec(ids).map(Bytes::from).map_err(ApiError::internal)
}

/// What came back from the beacon nodes.
pub(crate) enum Keyed {
    /// An answer, keys rewritten.
    Told {
        /// What is beside the data.
        meta: Map<String, Value>,
        /// The data, as text.
        data: Box<RawValue>,
    },
    /// No success: to be passed on.
    Other(Response),
}

/// The form in which a keyed answer is written.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// As it came.
    Json,
    /// As SSZ.
    Ssz(ToSsz),
}

impl Form {
    /// For lists of `T`, in what the client wants.
    pub(crate) fn of<T: DeserializeOwned + ssz::Encode>(accept: Accept) -> Result<Self, ApiError> {
        match accept.either()? {
            Encoding::Json => Ok(Self::Json),
            Encoding::Ssz => Ok(Self::Ssz(negotiate::list_to_ssz::<T>)),
        }
    }

    fn write(self, data: Box<RawValue>) -> Result<Data, ApiError> {
        match self {
            Self::Json => Ok(Data::Json(data)),
            Self::Ssz(to_ssz) => to_ssz(&data).map(Data::Ssz).map_err(|error| {
                ApiError::bad_gateway(format_args!(
                    "the beacon node's answer is not what was asked for: {error}"
                ))
            }),
        }
    }
}

/// The form of a list of validators, balances or identities. The first has none in SSZ: a validator's status is text.
fn form_of(path: &str, accept: Accept) -> Result<Form, ApiError> {
    match path.rsplit('/').next() {
        Some("validator_balances") => Form::of::<Balance>(accept),
        Some("validator_identities") => Form::of::<Identity>(accept),
        _ => accept.json().map(|()| Form::Json),
    }
}

/// `GET states/{state}/validators` and its like: keys in the query.
pub(crate) async fn list<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    uri: Uri,
) -> Reply {
    let mut query = Vec::new();
    for (name, values) in Parameters::of(&uri)?.iter() {
        for value in values.split(',') {
            match name {
                "id" => query.push(format!("id={}", desk.seats.chain_id(value)?)),
                "status" => query.push(format!("status={}", status(value)?)),
                _ => {}
            }
        }
    }
    let path = proxy::plain(uri.path())?;
    let form = form_of(path, accept)?;
    let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
    desk.forward_keyed(forward_json(Method::GET, path, Bytes::new()), form).await
}

fn status(text: &str) -> Result<&str, ApiError> {
    let proper = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if proper { Ok(text) } else { Err(ApiError::bad(format_args!("invalid status: {text}"))) }
}

/// `POST states/{state}/validators` and its like: keys in `ids`, or in a bare list.
pub(crate) async fn list_of_body<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    uri: Uri,
    body: JsonBody,
) -> Reply {
    let ids = desk.ids_to_chain(&body)?;
    let path = proxy::plain(uri.path())?;
    let form = form_of(path, accept)?;
    let request = forward_json(Method::POST, path.to_owned(), ids);
    desk.forward_keyed(request, form).await
}

/// `POST rewards/attestations/{epoch}` and its like: keys in a bare list; the answer speaks of indices.
pub(crate) async fn rewards<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    headers: HeaderMap,
    uri: Uri,
    body: JsonBody,
) -> Reply {
    let ids = desk.ids_to_chain(&body)?;
    let path = proxy::plain(uri.path())?.to_owned();
    let mut request = forward_json(Method::POST, path, ids);
    request.headers.insert(header::ACCEPT, proxy::accept_of(&headers));
    proxy::respond(desk.upstream.forward(request).await?)
}

/// `GET states/{state}/validators/{id}`.
pub(crate) async fn one<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    uri: Uri,
) -> Reply {
    accept.json()?;
    let path = proxy::plain(uri.path())?;
    let Some((list, id)) = path.rsplit_once('/') else { return Err(ApiError::bad("no validator id")) };
    let chain_id = desk.seats.chain_id(id)?;
    let stranger = chain_id.starts_with("0x") && chain_id == id.to_ascii_lowercase();
    let request = forward_json(Method::GET, format!("{list}/{chain_id}"), Bytes::new());
    let reply = desk.forward_keyed(request, Form::Json).await;
    let missing = match &reply {
        Ok(response) => response.status() == StatusCode::NOT_FOUND,
        Err(error) => error.status() == StatusCode::NOT_FOUND,
    };
    if missing && stranger {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format_args!(
                "{id} is no validator of the chain and no key of this operator's halves: is it another operator's \
                 keystore? Import the keystores that this operator's ceremony wrote for its validator client"
            ),
        ));
    }
    reply
}
