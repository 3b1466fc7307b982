//! Lists that may be longer than memory: each entry is read, and given away, before the next.
//!
//! ```text
//! {"execution_optimistic": false, "finalized": true, "data": [ ... ]}        in any order; what else is there is read over
//! ```

use super::said::Wrong;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, de};
use std::fmt;
use std::io::{BufReader, Read};
use std::marker::PhantomData;

/// Reads a list of a final state or block, entry by entry.
///
/// - `each`: what becomes of an entry; the first error ends it.
/// - Errors: not the shape; not final, or not verified yet, also if that is said after the list.
/// - Memory: one entry. Length: the reader's to limit.
pub fn read<T: DeserializeOwned>(
    answer: &mut dyn Read,
    each: impl FnMut(T) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let mut list = List { each, broken: None, entry: PhantomData };
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(answer));
    let read = reader.deserialize_map(Outer(&mut list)).and_then(|says| reader.end().map(|()| says));
    match (list.broken, read) {
        (Some(broken), _) => Err(broken),
        (None, Err(error)) => Err(Wrong::Shape(error.to_string())),
        (None, Ok(says)) => says.check(),
    }
}

/// What an answer says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Says {
    pub(super) execution_optimistic: bool,
    pub(super) finalized: bool,
}

impl Says {
    /// Errors: of what is not final, or not verified.
    pub(super) fn check(self) -> Result<(), Wrong> {
        match self {
            Self { execution_optimistic: true, .. } => Err(Wrong::Optimistic),
            Self { finalized: false, .. } => Err(Wrong::NotFinal),
            Self { execution_optimistic: false, finalized: true } => Ok(()),
        }
    }
}

struct List<T, F> {
    each: F,
    broken: Option<Wrong>,
    entry: PhantomData<T>,
}

/// The object around the list.
struct Outer<'a, T, F>(&'a mut List<T, F>);

impl<'de, T, F> Visitor<'de> for Outer<'_, T, F>
where
    T: DeserializeOwned,
    F: FnMut(T) -> Result<(), Wrong>,
{
    type Value = Says;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Says, A::Error> {
        let (mut execution_optimistic, mut finalized, mut data) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let once = match key.as_str() {
                "execution_optimistic" => execution_optimistic.replace(map.next_value()?).is_none(),
                "finalized" => finalized.replace(map.next_value()?).is_none(),
                "data" => data.replace(map.next_value_seed(Inner(&mut *self.0))?).is_none(),
                _ => map.next_value::<IgnoredAny>().map(|_| true)?,
            };
            if !once {
                return Err(A::Error::custom(format!("`{key}` twice")));
            }
        }
        data.ok_or_else(|| A::Error::missing_field("data"))?;
        Ok(Says {
            execution_optimistic: execution_optimistic
                .ok_or_else(|| A::Error::missing_field("execution_optimistic"))?,
            finalized: finalized.ok_or_else(|| A::Error::missing_field("finalized"))?,
        })
    }
}

/// The list.
struct Inner<'a, T, F>(&'a mut List<T, F>);

impl<'de, T, F> DeserializeSeed<'de> for Inner<'_, T, F>
where
    T: DeserializeOwned,
    F: FnMut(T) -> Result<(), Wrong>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T, F> Visitor<'de> for Inner<'_, T, F>
where
    T: DeserializeOwned,
    F: FnMut(T) -> Result<(), Wrong>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<T>()? {
            if let Err(broken) = (self.0.each)(entry) {
                self.0.broken = Some(broken);
                return Err(de::Error::custom("an entry breaks a rule"));
            }
        }
        Ok(())
    }
}
