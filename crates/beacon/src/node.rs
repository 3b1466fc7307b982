//! One beacon node: its address, and a request with all its limits.

use crate::error::{ApiError, SetupError};
use crate::health::Health;
use crate::known::Refusal;
use crate::limits::{MESSAGE_LEN_MAX, REFUSAL_LEN_MAX};
use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, Response, Url};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{error, fmt};

/// Parts of an address shorter than this are no secrets, and blotting out every `a` would spoil the words of a node.
const SECRET_LEN_MIN: usize = 4;

/// A request, the same for every node.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// From `/eth/` on.
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// For everything from connecting to the last byte.
    pub(crate) wait: Duration,
    /// How long one node is asked alone.
    pub(crate) hedge: Duration,
    /// Most bytes of a good answer.
    pub(crate) len_max: usize,
}

/// An answer, good or not.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A beacon node.
pub(crate) struct Node {
    /// Scheme, host and port: what may be shown.
    label: String,
    /// The address without the query, with user and password.
    base: Url,
    /// The address's path, without a slash at its end.
    prefix: String,
    /// The address's query.
    query: Option<String>,
    /// Parts of the address that must not be shown.
    secrets: Vec<String>,
    http: Client,
    health: Mutex<Health>,
    /// It has no `POST` for validators. What a node lacks is asked again when we start anew.
    lacks_post_validators: AtomicBool,
    /// It takes no SSZ.
    lacks_ssz: AtomicBool,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl Node {
    /// Reads an address: `http` or `https`; user, password, path and query are kept. `position`: from 1.
    pub(crate) fn new(position: usize, address: &str, http: Client) -> Result<Self, SetupError> {
        let wrong = |reason: &str| SetupError::Url { position, reason: reason.to_owned() };
        let mut base = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("neither http nor https"));
        }
        let host = base.host_str().ok_or_else(|| wrong("no host"))?;
        let port = base.port_or_known_default().ok_or_else(|| wrong("no port"))?;
        let label = format!("{}://{host}:{port}", base.scheme());
        let prefix = base.path().trim_end_matches('/').to_owned();
        let query = base.query().map(str::to_owned);
        let parts =
            [Some(base.username()), base.password(), Some(prefix.trim_matches('/')), query.as_deref()];
        // A node, or what stands before it, may quote a part of them alone: a key in the path, a token in the query.
        let segments = base.path_segments().into_iter().flatten();
        let values: Vec<String> = base.query_pairs().map(|(_, value)| value.into_owned()).collect();
        let pieces = segments.chain(values.iter().map(String::as_str));
        let shown = parts.into_iter().flatten().chain(pieces).map(str::to_owned);
        // It may have decoded them, too.
        let secrets = shown.flat_map(|part| [decoded(&base, &part), part]);
        let mut secrets: Vec<String> = secrets.filter(|part| part.len() >= SECRET_LEN_MIN).collect();
        // The longest first, so that none is cut by another that stands inside it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        base.set_query(None);
        base.set_fragment(None);
        let health = Mutex::new(Health::new());
        let (lacks_post_validators, lacks_ssz) = Default::default();
        Ok(Self { label, base, prefix, query, secrets, http, health, lacks_post_validators, lacks_ssz })
    }

    /// Whether it has shown to have no `POST` for validators.
    pub(crate) fn lacks_post_validators(&self) -> bool {
        self.lacks_post_validators.load(Ordering::Relaxed)
    }

    pub(crate) fn set_lacks_post_validators(&self) {
        self.lacks_post_validators.store(true, Ordering::Relaxed);
    }

    /// Whether it has refused SSZ.
    pub(crate) fn lacks_ssz(&self) -> bool {
        self.lacks_ssz.load(Ordering::Relaxed)
    }

    pub(crate) fn set_lacks_ssz(&self) {
        self.lacks_ssz.store(true, Ordering::Relaxed);
    }

    /// Scheme, host and port.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn is_https(address: &str) -> bool {
        Url::parse(address).is_ok_and(|url| url.scheme() == "https")
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        // Health is plain numbers: a panic elsewhere leaves no half-written state.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and reads the answer whole.
    ///
    /// - Errors: `Timeout`, `Connect`, `TooLong`, `Request`; an answer that says no is a [`Reply`], cut to
    ///   [`REFUSAL_LEN_MAX`].
    pub(crate) async fn call(&self, call: &Call) -> Result<Reply, ApiError> {
        let answer = async {
            let mut response = self.send(call).await?;
            let status = response.status();
            let body = if status.is_success() {
                self.read(&mut response, call.len_max).await?
            } else {
                self.read_some(&mut response, REFUSAL_LEN_MAX).await?
            };
            Ok(Reply { status: status.as_u16(), headers: std::mem::take(response.headers_mut()), body })
        };
        tokio::time::timeout(call.wait, answer).await.unwrap_or(Err(ApiError::Timeout))
    }

    /// Asks, and returns the answer once its head is here; its body is the caller's to read.
    ///
    /// - Errors: as [`Node::call`], and `Status`.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response, ApiError> {
        let answer = async {
            let mut response = self.send(call).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let body = self.read_some(&mut response, REFUSAL_LEN_MAX).await?;
            let reply = Reply { status: status.as_u16(), headers: HeaderMap::new(), body };
            Err(self.refusal(&reply))
        };
        tokio::time::timeout(call.wait, answer).await.unwrap_or(Err(ApiError::Timeout))
    }

    /// The next piece of an open answer; `None` at its end.
    pub(crate) async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, ApiError> {
        response.chunk().await.map_err(|error| self.broken(error))
    }

    /// The answer if the node says yes, its refusal as an error otherwise.
    pub(crate) fn success(&self, reply: Reply) -> Result<Reply, ApiError> {
        if (200..300).contains(&reply.status) { Ok(reply) } else { Err(self.refusal(&reply)) }
    }

    /// A text without control characters and secrets, cut to a line.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let text = self.redact(text);
        let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        line.take(MESSAGE_LEN_MAX).collect()
    }

    /// A text without secrets, as long as it is.
    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), "<redacted>"));
            }
        }
        text
    }

    /// A `Body` error in words fit to be shown.
    pub(crate) fn wrong(&self, rule: &str) -> ApiError {
        ApiError::Body(self.scrub(rule))
    }

    fn refusal(&self, reply: &Reply) -> ApiError {
        ApiError::Status { code: reply.status, message: self.scrub(&Refusal::read(&reply.body).text()) }
    }

    async fn send(&self, call: &Call) -> Result<Response, ApiError> {
        let url = self.url(&call.path_and_query)?;
        let mut request = self.http.request(call.method.clone(), url).headers(call.headers.clone());
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| self.broken(error))
    }

    /// Reads all of a body that is not longer than `len_max`.
    async fn read(&self, response: &mut Response, len_max: usize) -> Result<Bytes, ApiError> {
        let too_long = || ApiError::TooLong { max: len_max };
        // What a node announces is refused at once, but believed only as it comes.
        if response.content_length().is_some_and(|len| len > len_max as u64) {
            return Err(too_long());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk(response).await? {
            if body.len() + chunk.len() > len_max {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Reads the first `len` bytes of a body, or all of a shorter one.
    async fn read_some(&self, response: &mut Response, len: usize) -> Result<Bytes, ApiError> {
        let mut body = BytesMut::new();
        while body.len() < len {
            let Some(chunk) = self.chunk(response).await? else { break };
            body.extend_from_slice(&chunk[..chunk.len().min(len - body.len())]);
        }
        Ok(body.freeze())
    }

    /// The address of a path here. `Request` for a path that is none of the beacon API, dots and all.
    fn url(&self, path_and_query: &str) -> Result<Url, ApiError> {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.prefix));
        let inside = url.path().strip_prefix(&self.prefix).is_some_and(|path| path.starts_with("/eth/"));
        if !inside || !path.starts_with("/eth/") {
            return Err(ApiError::Request("the path does not begin with /eth/".to_owned()));
        }
        let queries: Vec<&str> = [query, self.query.as_deref()].into_iter().flatten().collect();
        url.set_query((!queries.is_empty()).then(|| queries.join("&")).as_deref());
        Ok(url)
    }

    fn broken(&self, error: reqwest::Error) -> ApiError {
        if error.is_timeout() {
            return ApiError::Timeout;
        }
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        ApiError::Connect(self.scrub(&text))
    }
}

impl Reply {
    /// Reads the body as JSON of a shape.
    pub(crate) fn json<T: DeserializeOwned>(&self, node: &Node) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| node.wrong(&format!("not the shape: {error}")))
    }

    /// Whether the body is SSZ.
    pub(crate) fn is_ssz(&self) -> bool {
        self.header(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("application/octet-stream"))
    }

    /// A header's text; `None` if it is not there or no text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A part of an address without percent-encoding. `url`: any, to read the part with.
fn decoded(url: &Url, part: &str) -> String {
    let mut url = url.clone();
    url.set_query(Some(&part.replace('+', "%2B").replace('&', "%26").replace('=', "%3D")));
    url.query_pairs().next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(address: &str) -> Node {
        crate::client::install_tls();
        let http = Client::builder().tls_certs_only([]).build().unwrap();
        Node::new(1, address, http).unwrap()
    }

    #[test]
    fn user_path_and_query_of_an_address_are_kept() {
        let node = node("http://user:pa%20ss@bn.example/key-1/?token=t-1#x");
        let url = node.url("/eth/v1/node/syncing").unwrap();
        assert_eq!(url.as_str(), "http://user:pa%20ss@bn.example/key-1/eth/v1/node/syncing?token=t-1");
        let url = node.url("/eth/v1/events?topics=head").unwrap();
        assert_eq!(url.as_str(), "http://user:pa%20ss@bn.example/key-1/eth/v1/events?topics=head&token=t-1");
    }

    #[test]
    fn no_path_leaves_the_beacon_api() {
        let node = node("http://bn.example/key-1");
        for path in [
            "",
            "eth/v1/x",
            "/lighthouse/x",
            "/eth",
            "/eth/../admin",
            "/eth/%2e%2e/admin",
            "/eth/..%2f../admin/../../..",
            "/eth/../../key-2/eth/v1/x",
            "/eth\\..\\admin",
            "http://other.example/eth/v1/x",
            "//other.example/eth/v1/x",
            "@other.example/eth/",
        ] {
            let refused = matches!(node.url(path), Err(ApiError::Request(_)));
            assert!(refused, "{path} became {:?}", node.url(path).map(String::from));
        }
    }

    #[test]
    fn secrets_of_an_address_are_never_shown() {
        let node = node("https://someone:pass-word@bn.example:5052/api-key-1/x?token=t-123456");
        assert_eq!(format!("{node:?}"), "https://bn.example:5052");
        let echo = "no route /api-key-1/x/eth?token=t-123456 for someone\n(pass-word)";
        let shown = node.scrub(echo);
        for secret in ["someone", "pass-word", "api-key-1", "t-123456", "\n"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(node.scrub(&"x".repeat(9_999)).len(), MESSAGE_LEN_MAX);
        let node = self::node("https://some%20one:p%40ss+w%26rd%3D@bn.example/k%2Fey-1");
        assert_eq!(
            node.scrub("no some one:p@ss+w&rd= for k/ey-1"),
            "no <redacted>:<redacted> for <redacted>"
        );
        let node = self::node("https://someone:pass-word@bn.example:5052/api-key-1/x?token=t-123456");
        let alone = "invalid project api-key-1, token t-123456";
        assert_eq!(node.scrub(alone), "invalid project <redacted>, token <redacted>");
    }

    #[test]
    fn what_is_no_address_of_a_beacon_api_is_refused_by_position() {
        crate::client::install_tls();
        for address in ["", "bn.example:5052", "ftp://bn.example", "http://", "unix:/tmp/secret"] {
            let http = Client::builder().tls_certs_only([]).build().unwrap();
            let error = Node::new(3, address, http).unwrap_err();
            assert!(matches!(error, SetupError::Url { position: 3, .. }), "{address}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
