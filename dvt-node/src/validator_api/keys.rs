//! Keys, both ways: the client knows a validator by `PK(v_i)`, the chain by its group key.

use super::errors::ApiError;
use super::{Desk, Duties, Seat, Upstream};
use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
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
    pub(crate) fn chain_id(&self, id: &str) -> Result<String, ApiError> {
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
    ///
    /// - Cost: the text twice and one entry, however many there are. As a tree ten thousand take tens of megabytes.
    /// - Errors: an entry that is no JSON, which the text as a whole has been read not to have.
    pub(crate) fn to_client(&self, data: &RawValue) -> Result<Box<RawValue>, serde_json::Error> {
        let mut text = String::with_capacity(data.get().len());
        if data.get().starts_with('[') {
            serde_json::Deserializer::from_str(data.get())
                .deserialize_seq(ToClient { seats: self, text: &mut text })?;
        } else {
            self.write_entry(data, &mut text)?;
        }
        RawValue::from_string(text)
    }

    /// Appends an entry with the client's key in it.
    fn write_entry(&self, entry: &RawValue, text: &mut String) -> Result<(), serde_json::Error> {
        let mut entry = serde_json::from_str(entry.get())?;
        self.entry_to_client(&mut entry);
        text.push_str(&entry.to_string());
        Ok(())
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

/// Writes a list of entries with client keys, one after the other.
struct ToClient<'a> {
    seats: &'a Seats,
    text: &'a mut String,
}

impl<'de> Visitor<'de> for ToClient<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut open = '[';
        while let Some(entry) = list.next_element::<&RawValue>()? {
            self.text.push(open);
            self.seats.write_entry(entry, self.text).map_err(A::Error::custom)?;
            open = ',';
        }
        if open == '[' {
            self.text.push('[');
        }
        self.text.push(']');
        Ok(())
    }
}

/// Validators of the client, looked up by index: the chain was asked for those that were not known, at most once.
pub(crate) struct Lookup<'a> {
    seats: &'a Seats,
    learned: Result<(), ApiError>,
}

impl Lookup<'_> {
    /// The validator of an index.
    ///
    /// - Errors: 400 if it is none of ours; what the beacon nodes said, if they could not be asked.
    pub(crate) fn seat(&self, index: ValidatorIndex) -> Result<&Seat, ApiError> {
        match (self.seats.by_index(index), &self.learned) {
            (Some(seat), _) => Ok(seat),
            (None, Ok(())) => Err(stranger(index)),
            (None, Err(error)) => Err(error.clone()),
        }
    }

    /// Whether an index is one of ours.
    ///
    /// - Errors: what the beacon nodes said, if it is unknown and they could not be asked.
    pub(crate) fn is_ours(&self, index: ValidatorIndex) -> Result<bool, ApiError> {
        match (self.seats.by_index(index), &self.learned) {
            (Some(_), _) => Ok(true),
            (None, Ok(())) => Ok(false),
            (None, Err(error)) => Err(error.clone()),
        }
    }
}

/// What a client is told that names a validator of somebody else.
fn stranger(index: ValidatorIndex) -> ApiError {
    ApiError::bad(format_args!(
        "validator index {index} is none of this cluster's: give this node's validator client only the keystores of \
         this operator's halves"
    ))
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// Looks validators up by index.
    pub(crate) async fn look_up(&self, indices: &[ValidatorIndex]) -> Lookup<'_> {
        let learned = self.seats.learn(&self.upstream, indices).await;
        Lookup { seats: &self.seats, learned }
    }
}
