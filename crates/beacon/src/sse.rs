//! Server-sent events, read as they come.
//!
//! The stream is lines ended by LF, CRLF or CR; a blank line ends an event. Of the fields, `event` and `data` matter
//! here; `id` and `retry` are read over, comments too. Source: WHATWG HTML, section 9.2.6.

use thiserror::Error;

/// Most bytes of a line. A head takes 500, and the longest events of the beacon API (attestations, sidecars) some 10 KiB.
pub const LINE_LEN_MAX: usize = 64 << 10;
/// Most bytes of an event's data over all its lines.
pub const DATA_LEN_MAX: usize = 256 << 10;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` if it names none.
    pub name: String,
    /// Its data; several lines are joined by LF.
    pub data: String,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SseError {
    /// A line without end.
    #[error("a line of an event stream is longer than {max} bytes")]
    LongLine {
        /// Most bytes of a line.
        max: usize,
    },
    /// An event without end.
    #[error("an event is longer than {max} bytes")]
    LongEvent {
        /// Most bytes of an event's data.
        max: usize,
    },
}

/// Reads events from chunks of any size. After an error it is of no more use.
#[derive(Debug)]
pub struct Parser {
    line: Vec<u8>,
    name: String,
    /// Lines of data so far; `None` before the first.
    data: Option<String>,
    /// The last byte was CR: an LF now belongs to it.
    after_cr: bool,
    /// No line has ended yet: it may begin with a byte order mark.
    first_line: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self { line: Vec::new(), name: String::new(), data: None, after_cr: false, first_line: true }
    }
}

impl Parser {
    /// Reads a chunk; returns the events that ended in it. Bytes that are not UTF-8 become U+FFFD.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Event>, SseError> {
        let mut events = Vec::new();
        for &byte in chunk {
            let crlf = std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
            match byte {
                b'\n' if crlf => {}
                b'\r' | b'\n' => events.extend(self.end_line()?),
                _ if self.line.len() == LINE_LEN_MAX => {
                    return Err(SseError::LongLine { max: LINE_LEN_MAX });
                }
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Result<Option<Event>, SseError> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mut line = text.as_ref();
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.end_event());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "data" => self.add_data(value)?,
            _ => {}
        }
        Ok(None)
    }

    fn add_data(&mut self, value: &str) -> Result<(), SseError> {
        let data = match &mut self.data {
            Some(data) => {
                data.push('\n');
                data
            }
            none => none.insert(String::new()),
        };
        if data.len() + value.len() > DATA_LEN_MAX {
            return Err(SseError::LongEvent { max: DATA_LEN_MAX });
        }
        data.push_str(value);
        Ok(())
    }

    fn end_event(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = self.data.take()?;
        Some(Event { name: if name.is_empty() { "message".to_owned() } else { name }, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned() }
    }

    fn read(chunks: &[&[u8]]) -> Result<Vec<Event>, SseError> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            events.extend(parser.feed(chunk)?);
        }
        Ok(events)
    }

    const STREAM: &str = "\u{feff}: hello\nevent: head\ndata: {\"a\":\ndata:1}\nid: 7\n\n\
                          event: without data\n\ndata\n\nretry: 10\nunknown\ndata:  two é\n\ndata: never ended";

    fn wanted() -> Vec<Event> {
        vec![event("head", "{\"a\":\n1}"), event("message", ""), event("message", " two é")]
    }

    #[test]
    fn events_are_the_same_wherever_the_chunks_are_cut_and_however_lines_end() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = STREAM.replace('\n', end);
            let bytes = stream.as_bytes();
            assert_eq!(read(&[bytes]), Ok(wanted()), "whole, lines ended by {end:?}");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read(&single), Ok(wanted()), "byte by byte, lines ended by {end:?}");
            for cut in 0..bytes.len() {
                let (left, right) = bytes.split_at(cut);
                assert_eq!(read(&[left, right]), Ok(wanted()), "cut at {cut}, lines ended by {end:?}");
            }
        }
    }

    #[test]
    fn lines_and_events_without_end_are_refused() {
        let mut line = b"data:".to_vec();
        line.resize(LINE_LEN_MAX, b'x');
        assert_eq!(read(&[&line, b"\n\n"]).unwrap().len(), 1, "just short enough");
        assert_eq!(read(&[&line, b"x"]), Err(SseError::LongLine { max: LINE_LEN_MAX }));
        line.push(b'\n');
        let lines = line.repeat(5);
        assert_eq!(read(&[&lines]), Err(SseError::LongEvent { max: DATA_LEN_MAX }));
    }

    #[test]
    fn bytes_that_are_not_text_do_no_harm() {
        assert_eq!(read(&[b"data: \xff\n\n"]), Ok(vec![event("message", "\u{fffd}")]));
    }
}
