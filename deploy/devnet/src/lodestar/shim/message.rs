//! Requests, replies, and the rules that rewrite them.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use types::{AttestationData, Slot};

/// Names the fork of a block or attestation in its message.
pub const CONSENSUS_VERSION: HeaderName = HeaderName::from_static("eth-consensus-version");

/// The one fork of the chain.
pub const FORK: &str = "capella";

/// Request headers that mean something to a beacon API.
const ASKED_HEADERS: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::ACCEPT, header::AUTHORIZATION, CONSENSUS_VERSION];

/// Prefix of the beacon API's own reply headers.
const API_HEADERS: &str = "eth-";

/// Attestation data a client was given lately: all committees' of several slots.
const GIVEN_MAX: usize = 64;

/// A request, as far as rules look at it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method.
    pub method: Method,
    /// Path, without the query.
    pub path: String,
    /// Query in order, not decoded.
    pub query: Vec<(String, String)>,
    /// The headers that mean something to a beacon API.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Asked {
    /// A request as it came in.
    pub fn new(method: Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Self {
        let query = uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
        let query = query.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let kept = |name: &HeaderName| Some((name.clone(), headers.get(name)?.clone()));
        let headers = ASKED_HEADERS.iter().filter_map(kept).collect();
        Self { method, path: uri.path().to_owned(), query, headers, body }
    }

    /// Path with query.
    pub fn target(&self) -> String {
        let pairs: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.path, pairs.join("&"))
    }

    /// All values of a query parameter, given once with commas or several times.
    pub fn values(&self, name: &str) -> Vec<String> {
        let given = self.query.iter().filter(|(known, _)| known == name);
        let plain = given.map(|(_, value)| value.replace("%2C", ",").replace("%2c", ","));
        plain.flat_map(|value| value.split(',').map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// The only value of a query parameter.
    pub fn value(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next()
    }

    /// Keeps these query parameters only.
    pub fn keep_query(&mut self, names: &[&str]) {
        self.query.retain(|(name, _)| names.contains(&name.as_str()));
    }

    /// The text of a header, empty if absent.
    pub fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body).map_err(|_| Refusal::bad("the body is not JSON"))
    }

    /// Sets a JSON body.
    pub fn set_json(&mut self, body: &Value) {
        self.body = body.to_string().into();
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }

    /// Takes the body away, and says how it was encoded no more.
    pub fn clear_body(&mut self) {
        self.body = Bytes::new();
        self.headers.remove(header::CONTENT_TYPE);
    }
}

/// A request that is not passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status of today's API.
    pub status: StatusCode,
    /// One sentence.
    pub message: String,
}

impl Refusal {
    /// A refusal with any status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// A refusal of a malformed request.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Status.
    pub status: StatusCode,
    /// Content type and the API's own headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answered {
    /// A reply as it came in.
    pub fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let kept = headers
            .iter()
            .filter(|(name, _)| *name == header::CONTENT_TYPE || name.as_str().starts_with(API_HEADERS));
        Self { status, headers: kept.map(|(name, value)| (name.clone(), value.clone())).collect(), body }
    }

    /// A reply with a JSON body.
    pub fn of_json(status: StatusCode, body: &Value) -> Self {
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { status, headers: HeaderMap::from_iter([json]), body: body.to_string().into() }
    }

    /// An error in the words of today's API.
    pub fn error(status: StatusCode, message: &str) -> Self {
        Self::of_json(status, &json!({"code": status.as_u16(), "message": message}))
    }

    /// The body as JSON, `Null` if it is something else.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Sets a JSON body, leaving status and other headers.
    pub fn set_json(&mut self, body: &Value) {
        self.body = body.to_string().into();
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }

    /// Sets a header, unless the text cannot be one.
    pub fn set_header(&mut self, name: HeaderName, text: &str) {
        if let Ok(value) = HeaderValue::from_str(text) {
            self.headers.insert(name, value);
        }
    }
}

/// What a shim remembers of a client's earlier requests: attestation data it was given.
#[derive(Debug, Default)]
pub struct Memory {
    given: VecDeque<AttestationData>,
}

impl Memory {
    /// Notes that the client was given `data`.
    pub fn note(&mut self, data: AttestationData) {
        if !self.given.contains(&data) {
            self.given.push_back(data);
        }
        if self.given.len() > GIVEN_MAX {
            self.given.pop_front();
        }
    }

    /// What the client was given for a slot.
    pub fn given(&self, slot: Slot) -> impl Iterator<Item = AttestationData> {
        self.given.iter().copied().filter(move |data| data.slot == slot)
    }
}

/// Rewrites a request. The second argument holds what the rule's `{}` matched, in order.
pub type Ask = fn(&mut Asked, &[&str], &mut Memory) -> Result<(), Refusal>;

/// Rewrites a reply to what the client asked. Called for errors, too.
pub type Answer = fn(&Asked, &[&str], &mut Answered, &mut Memory);

/// How one route is translated.
#[derive(Debug)]
pub struct Rule {
    /// Method of the route as the client asks.
    pub method: Method,
    /// Its path; `{}` matches one segment.
    pub path: &'static str,
    /// What becomes of the request.
    pub ask: Ask,
    /// What becomes of the reply.
    pub answer: Answer,
}

impl Rule {
    /// What the `{}` of the rule's path match in `path`, or `None` when it is another route.
    fn captures<'a>(&self, path: &'a str) -> Option<Vec<&'a str>> {
        let (mut wanted, mut found) = (self.path.split('/'), path.split('/'));
        let mut captures = Vec::new();
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return Some(captures),
                (Some("{}"), Some(segment)) if !segment.is_empty() => captures.push(segment),
                (Some(wanted), Some(found)) if wanted == found => {}
                _ => return None,
            }
        }
    }

    /// The request to pass on.
    pub fn ask(&self, dialect: &Dialect, asked: &Asked, memory: &mut Memory) -> Result<Asked, Refusal> {
        let mut question = asked.clone();
        (dialect.ask)(&mut question, &[], memory)?;
        (self.ask)(&mut question, &self.captures(&asked.path).unwrap_or_default(), memory)?;
        Ok(question)
    }

    /// The reply to give.
    pub fn answer(
        &self,
        dialect: &Dialect,
        asked: &Asked,
        mut answered: Answered,
        memory: &mut Memory,
    ) -> Answered {
        let captures = self.captures(&asked.path).unwrap_or_default();
        (dialect.answer)(asked, &captures, &mut answered, memory);
        (self.answer)(asked, &captures, &mut answered, memory);
        answered
    }
}

/// One direction of translation.
#[derive(Debug)]
pub struct Dialect {
    /// Routes that need more than the general treatment; the first that matches counts.
    pub rules: &'static [Rule],
    /// Every other route.
    pub otherwise: Rule,
    /// Done to every request first.
    pub ask: Ask,
    /// Done to every reply first.
    pub answer: Answer,
}

impl Dialect {
    /// The rule for a request.
    pub fn rule(&self, asked: &Asked) -> &Rule {
        let fits = |rule: &&Rule| rule.method == asked.method && rule.captures(&asked.path).is_some();
        self.rules.iter().find(fits).unwrap_or(&self.otherwise)
    }
}

/// Leaves a request as it is.
pub fn same_request(_: &mut Asked, _: &[&str], _: &mut Memory) -> Result<(), Refusal> {
    Ok(())
}

/// Leaves a reply as it is.
pub fn same_reply(_: &Asked, _: &[&str], _: &mut Answered, _: &mut Memory) {}

/// Graffiti as today's API has it, from the text of an old client's query: 32 bytes in hex, cut or padded.
pub fn graffiti_hex(query: &str) -> String {
    let mut bytes = [0; 32];
    let mut rest = query.as_bytes();
    for place in &mut bytes {
        let (byte, after) = match rest {
            [] => break,
            [b'%', high, low, after @ ..] => {
                let digits = [*high, *low];
                let byte = std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                (byte.unwrap_or(b'?'), after)
            }
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
        };
        (*place, rest) = (byte, after);
    }
    format!("0x{}", hex::encode(bytes))
}

/// The text for an old node's query, from graffiti in hex. What is no hex passes as it is.
pub fn graffiti_text(hexadecimal: &str) -> String {
    let Ok(bytes) = hex::decode(hexadecimal.trim_start_matches("0x")) else { return hexadecimal.to_owned() };
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    bytes[..end].iter().map(text).collect()
}
