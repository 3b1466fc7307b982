//! JSON as the cluster files have it: one-space indent, no newline at the end, the escapes of Go's encoder.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter, Serializer};
use std::io;
use thiserror::Error;

/// Why bytes are not a file of the wanted shape.
#[derive(Debug, Error)]
pub enum JsonError {
    /// Larger than any file of its kind.
    #[error("{have} bytes where a file of this kind has at most {max}")]
    TooLarge {
        /// Bytes found.
        have: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not JSON, or not of this shape.
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
}

/// Reads one JSON value from at most `max` bytes. Unknown fields are ignored; a repeated field is an error.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, JsonError> {
    if bytes.len() > max {
        return Err(JsonError::TooLarge { have: bytes.len(), max });
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// Writes a value as Go's `json.MarshalIndent(value, "", " ")` would.
pub(crate) fn write(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut bytes, GoFormatter(PrettyFormatter::with_indent(b" ")));
    // Our types have string keys and their serialization never fails; a Vec takes every write.
    value.serialize(&mut serializer).expect("plain structs serialize into memory");
    String::from_utf8(bytes).expect("serde_json writes UTF-8")
}

/// `PrettyFormatter`, with `<`, `>`, `&`, U+2028 and U+2029 escaped inside strings.
struct GoFormatter<'a>(PrettyFormatter<'a>);

impl Formatter for GoFormatter<'_> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let escaped = |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        let mut rest = text;
        while let Some(at) = rest.find(escaped) {
            let (plain, from) = rest.split_at(at);
            let mut chars = from.chars();
            let code = chars.next().map_or(0, u32::from);
            write!(writer, "{plain}\\u{code:04x}")?;
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let text = write(&json!("a<b>&\u{2028}\u{2029}ä\"\\\n\u{1}"));
        assert_eq!(text, r#""a\u003cb\u003e\u0026\u2028\u2029ä\"\\\n\u0001""#);
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "a<b>&\u{2028}\u{2029}ä\"\\\n\u{1}");
    }

    #[test]
    fn indent_is_one_space_and_empty_lists_stay_on_one_line() {
        assert_eq!(
            write(&json!({"a": [1, {"b": null}], "c": []})),
            "{\n \"a\": [\n  1,\n  {\n   \"b\": null\n  }\n ],\n \"c\": []\n}"
        );
    }

    #[test]
    fn a_file_beyond_its_bound_is_refused_before_it_is_read() {
        assert!(matches!(read::<u8>(b"   1", 3), Err(JsonError::TooLarge { have: 4, max: 3 })));
        assert!(matches!(read::<u8>(b"1 1", 3), Err(JsonError::Shape(_))));
    }
}
