//! Keys, both ways: the client knows a validator by `PK(v_i)`, the chain by its group key.

use super::errors::{ApiError, Reply};
use super::proxy::{self, forward_json};
use super::request::{JsonBody, Parameters};
use super::{Desk, Duties, Seat, Shared, Upstream};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use bytes::Bytes;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use tokio::sync::Mutex;
use types::{PublicKey, ValidatorIndex};

/// The cluster's validators, by everything they go by.
#[derive(Debug)]
pub(crate) struct Seats {
    seats: Vec<Seat>,
    by_client: BTreeMap<PublicKey, usize>,
    by_group: BTreeMap<PublicKey, usize>,
    by_share: BTreeMap<PublicKey, usize>,
    /// Filled from the chain, when first asked for.
    by_index: RwLock<BTreeMap<ValidatorIndex, usize>>,
    /// Held while the chain is asked.
    learning: Mutex<()>,
    stranger_said: AtomicBool,
}

impl Seats {
    pub(crate) fn new(seats: Vec<Seat>) -> Self {
        let by = |key: fn(&Seat) -> PublicKey| {
            seats.iter().enumerate().map(|(place, seat)| (key(seat), place)).collect()
        };
        Self {
            by_client: by(|seat| seat.client_key),
            by_group: by(|seat| seat.group_key),
            by_share: by(|seat| seat.share_key),
            by_index: RwLock::default(),
            learning: Mutex::default(),
            stranger_said: AtomicBool::new(false),
            seats,
        }
    }

    /// The validator of a group key.
    pub(crate) fn by_group(&self, key: &PublicKey) -> Option<&Seat> {
        self.by_group.get(key).map(|&place| &self.seats[place])
    }

    /// The validator of an index, as far as [`Seats::learn`] has been told.
    pub(crate) fn by_index(&self, index: ValidatorIndex) -> Option<&Seat> {
        let known = self.by_index.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&index).map(|&place| &self.seats[place])
    }

    /// All indices known so far.
    pub(crate) fn indices(&self) -> Vec<ValidatorIndex> {
        self.by_index.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Asks the chain for our validators' indices if one of `wanted` is not known.
    pub(crate) async fn learn(
        &self,
        upstream: &impl Upstream,
        wanted: &[ValidatorIndex],
    ) -> Result<(), ApiError> {
        let known = || wanted.iter().all(|index| self.by_index(*index).is_some());
        if known() {
            return Ok(());
        }
        let _alone = self.learning.lock().await;
        // Whoever held the lock before may have been told it.
        if known() { Ok(()) } else { self.ask(upstream).await }
    }

    /// Asks the chain for our validators' indices unless all are known.
    pub(crate) async fn learn_all(&self, upstream: &impl Upstream) -> Result<(), ApiError> {
        let _alone = self.learning.lock().await;
        if self.indices().len() >= self.seats.len() { Ok(()) } else { self.ask(upstream).await }
    }

    async fn ask(&self, upstream: &impl Upstream) -> Result<(), ApiError> {
        let keys: Vec<_> = self.by_group.keys().copied().collect();
        let entries = upstream.validators(&keys).await?;
        let told = entries.iter().filter_map(|entry| Some((entry.index, *self.by_group.get(&entry.pubkey)?)));
        let told: BTreeMap<_, _> = told.collect();
        *self.by_index.write().unwrap_or_else(PoisonError::into_inner) = told;
        Ok(())
    }

    /// What the chain calls the validator that the client names by key or index.
    ///
    /// - Errors: 400 for what is neither, and for keys of this cluster that no client may hold.
    fn chain_id(&self, id: &str) -> Result<String, ApiError> {
        if id.parse::<u64>().is_ok() && id.bytes().all(|digit| digit.is_ascii_digit()) {
            return Ok(id.to_owned());
        }
        let key: PublicKey = match id.strip_prefix("0x").map(str::parse) {
            Some(Ok(key)) => key,
            _ => return Err(ApiError::bad(format_args!("{id} is neither a public key nor an index"))),
        };
        if let Some(&place) = self.by_client.get(&key) {
            return Ok(self.seats[place].group_key.to_string());
        }
        self.refuse_misplaced(&key)?;
        if !self.stranger_said.swap(true, Ordering::Relaxed) {
            tracing::warn!(%key, "the validator client asks for a key that is none of this operator's halves");
        }
        Ok(key.to_string())
    }

    fn refuse_misplaced(&self, key: &PublicKey) -> Result<(), ApiError> {
        let (place, what) = match (self.by_group.get(key), self.by_share.get(key)) {
            (Some(&place), _) => (place, "the validator's group key"),
            (None, Some(&place)) => (place, "the key of this operator's whole share"),
            (None, None) => return Ok(()),
        };
        let Seat { number, client_key, .. } = &self.seats[place];
        Err(ApiError::bad(format_args!(
            "{key} is {what} (validator {number} of this cluster): import the keystore of this operator's half, \
             whose key is {client_key}"
        )))
    }

    /// Puts client keys where the chain's answer has group keys, in one entry or a list of them.
    fn to_client(&self, entries: &mut Value) {
        match entries {
            Value::Array(entries) => entries.iter_mut().for_each(|entry| self.entry_to_client(entry)),
            entry => self.entry_to_client(entry),
        }
    }

    fn entry_to_client(&self, entry: &mut Value) {
        for place in ["/pubkey", "/validator/pubkey"] {
            let Some(Value::String(text)) = entry.pointer_mut(place) else { continue };
            let seat = text.parse().ok().and_then(|key| self.by_group(&key));
            if let Some(seat) = seat {
                *text = seat.client_key.to_string();
            }
        }
    }
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// Passes a request on and rewrites the keys in what comes back.
    pub(crate) async fn forward_keyed(&self, method: Method, path_and_query: String, body: Bytes) -> Reply {
        let request = forward_json(method, path_and_query, body);
        let answer = self.upstream.forward(request).await?;
        if answer.status != StatusCode::OK.as_u16() {
            return proxy::respond(answer);
        }
        let mut json: Value = serde_json::from_slice(&answer.body).map_err(|error| {
            ApiError::bad_gateway(format_args!("the beacon node's answer is not JSON: {error}"))
        })?;
        if let Some(entries) = json.get_mut("data") {
            self.seats.to_client(entries);
        }
        Ok(proxy::json_reply(&json))
    }
}

/// `GET states/{state}/validators` and its like: keys in the query.
pub(crate) async fn list<D: Duties, U: Upstream>(State(desk): Shared<D, U>, uri: Uri) -> Reply {
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
    let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
    desk.forward_keyed(Method::GET, path, Bytes::new()).await
}

fn status(text: &str) -> Result<&str, ApiError> {
    let proper = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if proper { Ok(text) } else { Err(ApiError::bad(format_args!("invalid status: {text}"))) }
}

/// `POST states/{state}/validators` and its like: keys in `ids`, or in a bare list.
pub(crate) async fn list_of_body<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    uri: Uri,
    body: JsonBody,
) -> Reply {
    let mut json = body.json;
    let ids = match &mut json {
        Value::Object(fields) => match fields.get_mut("ids") {
            None | Some(Value::Null) => None,
            Some(Value::Array(ids)) => Some(ids),
            Some(_) => return Err(ApiError::bad("ids is not a list")),
        },
        Value::Array(ids) => Some(ids),
        _ => return Err(ApiError::bad("the body is neither a list of ids nor an object with one")),
    };
    for id in ids.into_iter().flatten() {
        let Some(text) = id.as_str() else { return Err(ApiError::bad("an id is not a string")) };
        *id = Value::String(desk.seats.chain_id(text)?);
    }
    let path = proxy::plain(uri.path())?;
    desk.forward_keyed(Method::POST, path.to_owned(), json.to_string().into()).await
}

/// `GET states/{state}/validators/{id}`.
pub(crate) async fn one<D: Duties, U: Upstream>(State(desk): Shared<D, U>, uri: Uri) -> Reply {
    let path = proxy::plain(uri.path())?;
    let Some((list, id)) = path.rsplit_once('/') else { return Err(ApiError::bad("no validator id")) };
    let chain_id = desk.seats.chain_id(id)?;
    let stranger = chain_id.starts_with("0x") && chain_id == id.to_ascii_lowercase();
    let reply = desk.forward_keyed(Method::GET, format!("{list}/{chain_id}"), Bytes::new()).await;
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
