//! One server: its address, and a request with all its limits.

use crate::error::{CallError, SetupError};
use crate::limits::{CONNECT_WAIT, MESSAGE_LEN_MAX, REFUSAL_LEN_MAX};
use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;
use std::{error, fmt};
use zeroize::Zeroizing;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Parts of an address shorter than this are no secrets, and blotting out every `a` would spoil a server's words.
const SECRET_LEN_MIN: usize = 4;

/// A server.
pub(crate) struct Server {
    /// Scheme, host and port: what may be shown.
    label: String,
    /// The whole address but for its fragment.
    base: Url,
    /// What must not be shown: parts of the address, and what its owner adds.
    secrets: Vec<SecretString>,
    http: Client,
}

/// An answer that says yes.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl Server {
    /// Reads an address: `http` or `https`; user, password, path and query are kept. Does not connect.
    ///
    /// - Errors: `Url`; `Client`.
    pub(crate) fn new(address: &str) -> Result<Self, SetupError> {
        let wrong = |reason: &str| SetupError::Url { reason: reason.to_owned() };
        let mut base = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("neither http nor https"));
        }
        let host = base.host_str().ok_or_else(|| wrong("no host"))?;
        let port = base.port_or_known_default().ok_or_else(|| wrong("no port"))?;
        let label = format!("{}://{host}:{port}", base.scheme());
        base.set_fragment(None);
        let parts =
            [Some(base.username()), base.password(), Some(base.path().trim_matches('/')), base.query()];
        // A server may quote a part of them alone: a key in the path, a token in the query.
        let segments = base.path_segments().into_iter().flatten();
        let values: Vec<String> = base.query_pairs().map(|(_, value)| value.into_owned()).collect();
        let pieces = segments.chain(values.iter().map(String::as_str));
        let secrets = parts.into_iter().flatten().chain(pieces).filter(|part| part.len() >= SECRET_LEN_MIN);
        let secrets = secrets.map(SecretString::from).collect();
        let http = http_client(base.scheme() == "https")?;
        Ok(Self { label, base, secrets, http })
    }

    /// The server, of whose words this secret is blotted out too.
    pub(crate) fn with_secret(mut self, secret: SecretString) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Scheme, host and port.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Whether the address holds a user or a password.
    pub(crate) fn has_user(&self) -> bool {
        !self.base.username().is_empty() || self.base.password().is_some()
    }

    /// The host that would be asked in clear over a network; `None` for `https`, and on this machine.
    pub(crate) fn plain_host(&self) -> Option<&str> {
        let host = self.base.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = bare.parse().map_or(host == "localhost", |ip: IpAddr| ip.is_loopback());
        (self.base.scheme() == "http" && !is_loopback).then_some(host)
    }

    /// A `GET` of a path, which is appended to the address's own.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.get_as(path, JSON)
    }

    /// The same, of an answer in other formats than JSON.
    pub(crate) fn get_as(&self, path: &str, accept: HeaderValue) -> RequestBuilder {
        self.http.request(Method::GET, self.url(path)).header(ACCEPT, accept)
    }

    /// A `POST` of JSON to a path, which is appended to the address's own; an empty one leaves the address as it is.
    pub(crate) fn post(&self, path: &str, body: Bytes) -> RequestBuilder {
        self.send(Method::POST, path, body)
    }

    /// The same by any method.
    pub(crate) fn send(&self, method: Method, path: &str, body: Bytes) -> RequestBuilder {
        let request = self.http.request(method, self.url(path)).header(ACCEPT, JSON);
        request.header(CONTENT_TYPE, JSON).body(body)
    }

    /// The same with a parameter beside those of the address.
    pub(crate) fn post_with(&self, path: &str, (name, value): (&str, &str), body: Bytes) -> RequestBuilder {
        let mut url = self.url(path);
        url.query_pairs_mut().append_pair(name, value);
        let request = self.http.request(Method::POST, url).header(ACCEPT, JSON);
        request.header(CONTENT_TYPE, JSON).body(body)
    }

    /// Asks, and reads the whole of an answer that says yes.
    ///
    /// - `wait`: for everything from connecting to the last byte.
    /// - `len_max`: most bytes of the answer.
    /// - `sent`: secrets in the request, to be blotted out of the server's words.
    pub(crate) async fn call(
        &self,
        request: RequestBuilder,
        wait: Duration,
        len_max: usize,
        sent: &[&SecretString],
    ) -> Result<Bytes, CallError> {
        Ok(self.answer(request, wait, len_max, sent).await?.body)
    }

    /// The same with the answer's head.
    pub(crate) async fn answer(
        &self,
        request: RequestBuilder,
        wait: Duration,
        len_max: usize,
        sent: &[&SecretString],
    ) -> Result<Answer, CallError> {
        let broken = |error| self.broken(error, wait, sent);
        let mut response = request.timeout(wait).send().await.map_err(broken)?;
        let status = response.status();
        if status.is_success() {
            let body = read_all(&mut response, len_max).await.map_err(broken)?;
            let body = body.ok_or(CallError::TooLong { max: len_max })?;
            return Ok(Answer { status, headers: std::mem::take(response.headers_mut()), body });
        }
        let body = read_some(&mut response, REFUSAL_LEN_MAX).await.map_err(broken)?;
        Err(CallError::Status { code: status.as_u16(), message: self.scrub(&words_of(&body), sent) })
    }

    /// A text without control characters and secrets, cut to a line.
    ///
    /// - `sent`: secrets besides those of the server.
    pub(crate) fn scrub(&self, text: &str, sent: &[&SecretString]) -> String {
        let mut secrets: Vec<&str> =
            self.secrets.iter().chain(sent.iter().copied()).map(|secret| secret.expose_secret()).collect();
        secrets.retain(|secret| !secret.is_empty());
        // A secret may be part of another one, of which the rest would be left.
        secrets.sort_by_key(|secret| Reverse(secret.len()));
        let mut text = text.to_owned();
        for secret in secrets {
            // A server may quote a request as it came, which is with JSON's escapes.
            let quoted = Zeroizing::new(serde_json::to_string(secret).expect("a text is JSON"));
            let escaped = quoted.trim_start_matches('"').strip_suffix('"').unwrap_or(&quoted);
            text = text.replace(secret, "<redacted>").replace(escaped, "<redacted>");
        }
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LEN_MAX).collect()
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if !path.is_empty() {
            url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        }
        url
    }

    fn broken(&self, error: reqwest::Error, wait: Duration, sent: &[&SecretString]) -> CallError {
        if error.is_timeout() {
            return CallError::Timeout { wait_ms: wait.as_millis() };
        }
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        CallError::Connect(self.scrub(&text, sent))
    }
}

fn http_client(with_tls: bool) -> Result<Client, SetupError> {
    // An error says that the process has a provider of TLS already: any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("symbolon/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WAIT)
        .redirect(redirect::Policy::none())
        .no_proxy();
    if !with_tls {
        // A container without root certificates is fine for plain http.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| SetupError::Client(error.without_url().to_string()))
}

/// All of a body; `None` if it is longer than `len_max`.
async fn read_all(response: &mut Response, len_max: usize) -> Result<Option<Bytes>, reqwest::Error> {
    // What a server announces is refused at once, but believed only as it comes.
    if response.content_length().is_some_and(|len| len > len_max as u64) {
        return Ok(None);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > len_max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

/// The first `len` bytes of a body, or all of a shorter one.
async fn read_some(response: &mut Response, len: usize) -> Result<Bytes, reqwest::Error> {
    let mut body = BytesMut::new();
    while body.len() < len {
        let Some(chunk) = response.chunk().await? else { break };
        body.extend_from_slice(&chunk[..chunk.len().min(len - body.len())]);
    }
    Ok(body.freeze())
}

/// What a refusal says: the `message` of its JSON, or of the `error` in it, else all of it.
fn words_of(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let message =
        [&json["message"], &json["error"]["message"], &json["error"]].into_iter().find_map(Value::as_str);
    message.map_or_else(|| String::from_utf8_lossy(body).trim().to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::thread::JoinHandle;

    fn server(address: &str) -> Server {
        Server::new(address).unwrap()
    }

    /// A server that answers one request with these bytes; its connection is open until it is joined and dropped.
    fn saying(answer: &'static str) -> (Server, JoinHandle<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0, "a request");
            stream.write_all(answer.as_bytes()).unwrap();
            stream
        });
        (server(&address), thread)
    }

    async fn ask(server: &Server, wait: Duration, len_max: usize) -> Result<Bytes, CallError> {
        server.call(server.get("/x"), wait, len_max, &[]).await
    }

    #[test]
    fn user_path_and_query_of_an_address_are_kept() {
        let server = server("http://user:pa%20ss@el.example/key-1/?token=t-1#x");
        assert_eq!(server.url("").as_str(), "http://user:pa%20ss@el.example/key-1/?token=t-1");
        assert_eq!(
            server.url("/eth/v1/x").as_str(),
            "http://user:pa%20ss@el.example/key-1/eth/v1/x?token=t-1"
        );
        assert!(server.has_user());
    }

    #[test]
    fn only_this_machine_and_https_are_safe_without_encryption() {
        for safe in
            ["http://localhost:1", "http://127.0.0.1", "http://127.9.9.9:1", "http://[::1]:1", "https://vc"]
        {
            assert_eq!(server(safe).plain_host(), None, "{safe}");
        }
        for (plain, host) in [
            ("http://vc.example:1", "vc.example"),
            ("http://localhost.example", "localhost.example"),
            ("http://localhost@vc.example", "vc.example"),
            ("http://128.0.0.1", "128.0.0.1"),
            ("http://0.0.0.0", "0.0.0.0"),
            ("http://[2001:db8::1]:1", "[2001:db8::1]"),
        ] {
            assert_eq!(server(plain).plain_host(), Some(host), "{plain}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for address in ["", "vc.example:5052", "ftp://secret@vc.example", "http://", "unix:/run/secret"] {
            let error = Server::new(address).unwrap_err();
            assert!(matches!(error, SetupError::Url { .. }), "{address}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn secrets_are_never_shown_whole_in_part_or_escaped() {
        let server = server("https://someone:pass-word@el.example:5052/api-key-1/x?token=t-123456");
        assert_eq!(format!("{server:?}"), "https://el.example:5052");
        let (short, long) = (SecretString::from("horse"), SecretString::from("horse \"battery\""));
        let echo = "no /api-key-1/x?token=t-123456 for someone\n(pass-word): horse \"battery\", horse \\\"battery\\\"";
        let shown = server.scrub(echo, &[&short, &long]);
        assert_eq!(shown, "no /<redacted>?<redacted> for <redacted> (<redacted>): <redacted>, <redacted>");
        let cut = format!("{}horse", "x".repeat(MESSAGE_LEN_MAX - 2));
        assert!(server.scrub(&cut, &[&short]).ends_with("xx<r"), "secrets go before the end is cut");
        assert_eq!(server.scrub("as it is", &[&SecretString::from("")]), "as it is");
    }

    #[test]
    fn the_words_of_a_refusal_are_found_in_json_or_taken_as_they_are() {
        for (body, words) in [
            (r#"{"code": 400, "message": "bad"}"#, "bad"),
            (r#"{"error": {"code": 1, "message": "worse"}}"#, "worse"),
            (r#"{"error": "worst"}"#, "worst"),
            (" <h1>Not found</h1>\n", "<h1>Not found</h1>"),
            ("", ""),
        ] {
            assert_eq!(words_of(body.as_bytes()), words);
        }
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_not_waited_for() {
        let (server, thread) = saying("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        let answer = ask(&server, Duration::from_millis(300), 9).await;
        assert_eq!(answer, Err(CallError::Timeout { wait_ms: 300 }));
        drop(thread.join().unwrap());
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_limit_whether_announced_or_not() {
        let wait = Duration::from_secs(120);
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfour",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
        ] {
            let (server, thread) = saying(answer);
            assert_eq!(ask(&server, wait, 4).await.unwrap(), "four");
            drop(thread.join().unwrap());
            let (server, thread) = saying(answer);
            assert_eq!(ask(&server, wait, 3).await, Err(CallError::TooLong { max: 3 }));
            drop(thread.join().unwrap());
        }
    }
}
