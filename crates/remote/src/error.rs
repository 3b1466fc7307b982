//! What can go wrong between us and a server, whatever it is asked.

use thiserror::Error;

/// Why a server cannot be asked at all. No text holds the address: it may hold secrets.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SetupError {
    /// Not an address of an HTTP server.
    #[error("not a server's address: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// A user or password in the address of a server that wants a token: a request has room for one of them.
    #[error("a user or password in the address: this server is asked with a token instead")]
    UserInUrl,
    /// The address of a relay without its key.
    #[error(
        "no key of the relay before its host: an address is like https://0xKEY@HOST, with a key of 48 bytes in hex"
    )]
    NoRelayKey,
    /// A password in the address of a relay, where there is room for its key only.
    #[error("a password in the address of a relay: it has its key there, and nothing else")]
    RelayPassword,
    /// `http` to another machine.
    #[error(
        "http:// to {host}, which is not this machine: keystores, passwords and the token would travel in clear. \
         Use https://, or allow it with --keymanager-plain-http"
    )]
    PlainHttp {
        /// Where to.
        host: String,
    },
    /// A token for a node, over `http` to another machine.
    #[error("http:// to {host}, which is not this machine: the token would travel in clear. Use https://")]
    PlainToken {
        /// Where to.
        host: String,
    },
    /// A token that no header can carry. The token is not shown.
    #[error(
        "the token is empty, begins or ends with a blank, or has a character that no HTTP header can hold: \
         only visible ASCII can be sent"
    )]
    Token,
    /// The HTTP client could not be made: usually no root certificates for `https`.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// Why a server gave no good answer.
///
/// Texts are at most [`crate::limits::MESSAGE_LEN_MAX`] characters long, free of control characters, and scrubbed of
/// the secrets in the address and in the request.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CallError {
    /// No connection, or it broke.
    #[error("no connection: {0}")]
    Connect(String),
    /// No answer, or only part of one, in time.
    #[error("no answer within {wait_ms} ms")]
    Timeout {
        /// How long it was waited for.
        wait_ms: u128,
    },
    /// The server says no.
    #[error("status {code}: {message}")]
    Status {
        /// HTTP status.
        code: u16,
        /// The server's own words.
        message: String,
    },
    /// The answer is longer than any right one.
    #[error("answer longer than {max} bytes")]
    TooLong {
        /// Most bytes that are read.
        max: usize,
    },
}
