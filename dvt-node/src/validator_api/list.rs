//! Lists in JSON, cut into their items before anything is made of them.
//!
//! JSON that is parsed whole takes up to fifty times the room of its text: a list of `{}` takes three bytes an item to
//! send, and more than a hundred to hold. So a list is only cut, which costs two words an item, its items are counted, and each is
//! read straight into what it has to be.

use super::errors::ApiError;
use axum::http::StatusCode;
use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// Items of one list: a cluster of 10,000 validators may have one each, and clients that ask for two epochs two.
pub const ITEMS_MAX: usize = 20_000;
/// Longest item: an aggregate of Electra in JSON has 32 KiB of bits if all of 131,072 attesters of a slot are in it, and
/// less than 2 KiB beside.
pub const ITEM_LEN_MAX: usize = 64 << 10;

/// A list in JSON.
struct Cut<'a> {
    /// As they were sent, the first [`ITEMS_MAX`].
    items: Vec<&'a RawValue>,
    /// All that there are.
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Cut<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Cutter)
    }
}

struct Cutter;

impl<'de> Visitor<'de> for Cutter {
    type Value = Cut<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cut<'de>, A::Error> {
        let mut items = Vec::new();
        while items.len() < ITEMS_MAX {
            let Some(item) = list.next_element()? else { return Ok(Cut { count: items.len(), items }) };
            items.push(item);
        }
        let mut count = items.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Cut { items, count })
    }
}

/// The items of a list in JSON, uncut.
///
/// - Errors: 400 if it is no JSON, or no list; 413 for more than [`ITEMS_MAX`].
pub(crate) fn items(json: &[u8]) -> Result<Vec<&RawValue>, ApiError> {
    let Cut { items, count } = whole(json, "a list")?;
    ensure_few(count)?;
    Ok(items)
}

/// - Errors: 413 for more than [`ITEMS_MAX`].
pub(crate) fn ensure_few(count: usize) -> Result<(), ApiError> {
    if count <= ITEMS_MAX {
        return Ok(());
    }
    let message = format_args!("the list has {count} items, one list may have {ITEMS_MAX}");
    Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message))
}

/// Reads an item.
///
/// - `name`: what it is, with its article.
/// - Errors: 400 if it is something else, or longer than [`ITEM_LEN_MAX`].
pub(crate) fn read<T: DeserializeOwned>(item: &RawValue, name: &str) -> Result<T, ApiError> {
    let text = item.get();
    if text.len() > ITEM_LEN_MAX {
        let len = text.len();
        return Err(ApiError::bad(format_args!("not {name}: {len} bytes, an item may have {ITEM_LEN_MAX}")));
    }
    serde_json::from_str(text).map_err(|error| ApiError::bad(format_args!("not {name}: {error}")))
}

/// A whole body, which is JSON of whatever.
///
/// - Errors: 400 if it is none.
pub(crate) fn text(json: &[u8]) -> Result<&RawValue, ApiError> {
    serde_json::from_slice(json).map_err(|error| ApiError::bad(format_args!("the body is not JSON: {error}")))
}

/// Reads a whole body.
///
/// - `name`: what it is, with its article.
/// - Errors: 400 if it is no JSON, or something else.
pub(crate) fn whole<'de, T: Deserialize<'de>>(json: &'de [u8], name: &str) -> Result<T, ApiError> {
    serde_json::from_str(text(json)?.get())
        .map_err(|error| ApiError::bad(format_args!("the body is not {name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: fmt::Debug>(result: Result<T, ApiError>) -> (u16, String) {
        let error = result.unwrap_err();
        (error.status().as_u16(), format!("{error:?}"))
    }

    #[test]
    fn a_list_is_cut_into_the_text_of_its_items() {
        let texts: Vec<_> =
            items(b" [1, {\"a\": [ ]} ,\"x\"]").unwrap().iter().map(|item| item.get()).collect();
        assert_eq!(texts, ["1", "{\"a\": [ ]}", "\"x\""]);
        assert!(items(b"[]").unwrap().is_empty());
        for (json, said) in [
            ("{}", "not a list"),
            ("[1", "not JSON"),
            ("[1]]", "not JSON"),
            ("[{]", "not JSON"),
            ("", "not JSON"),
        ] {
            let (status, error) = refused(items(json.as_bytes()));
            assert!(status == 400 && error.contains(said), "{json}: {error}");
        }
    }

    #[test]
    fn a_list_is_refused_for_its_items_before_they_are_read() {
        let list = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(items(list(ITEMS_MAX).as_bytes()).unwrap().len(), ITEMS_MAX);
        let (status, error) = refused(items(list(ITEMS_MAX + 7).as_bytes()));
        assert!(status == 413 && error.contains("has 20007 items"), "{error}");
        assert!(items(&[b'['; 1 << 20]).is_err(), "nesting costs no stack");
    }

    #[test]
    fn an_item_is_read_if_it_is_not_too_long() {
        let text = |len: usize| RawValue::from_string(format!("\"{}\"", "x".repeat(len - 2))).unwrap();
        assert_eq!(read::<String>(&text(ITEM_LEN_MAX), "a text").unwrap().len(), ITEM_LEN_MAX - 2);
        let (status, error) = refused(read::<String>(&text(ITEM_LEN_MAX + 1), "a text"));
        assert!(status == 400 && error.contains("not a text: 65537 bytes"), "{error}");
        assert!(refused(read::<u8>(&text(5), "a number")).1.contains("not a number"));
    }
}
