//! A pool's board of ceremonies: what is to be made, who is there, and where the lock goes.
//!
//! Nothing that it says is trusted here: whoever asks knows the hash of what he approved, and signs what he sends.

use crate::error::{CallError, SetupError};
use crate::limits::{ASK_WAIT, DELIVER_WAIT, DELIVERED_LEN_MAX, NOTICE_LEN_MAX, YES_LEN_MAX};
use crate::server::Server;
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use std::fmt;
use thiserror::Error;
use types::{Address, Root};

/// Why a board gave no answer of use. Texts are those of [`CallError`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BoardError {
    /// No connection, no answer in time, or one that is too long.
    #[error("{0}")]
    Call(CallError),
    /// It says no.
    #[error("the board refuses (status {code}): {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// Not an answer to this question.
    #[error("not an answer of a pool's board: {0}")]
    Body(String),
}

impl BoardError {
    /// Whether the same question may get another answer later: nobody was there, or it was too busy, or broken.
    pub fn passes(&self) -> bool {
        match self {
            Self::Call(_) => true,
            Self::Refused { code, .. } => *code >= 500 || matches!(code, 408 | 429),
            Self::Body(_) => false,
        }
    }
}

impl From<CallError> for BoardError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Status { code, message } => Self::Refused { code, message },
            other => Self::Call(other),
        }
    }
}

/// What a node reads of what a board says of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Notice {
    /// The pool's id.
    pub pool: Root,
    /// The pool's chain: what is sent is signed for it.
    pub chain_id: u64,
    /// The definition's file.
    pub definition: String,
}

/// Something to write to a pool, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// The path.
    pub path: String,
    /// The body, to the byte.
    pub body: Bytes,
    /// The pool's id.
    pub pool: Root,
    /// Who signs.
    pub signer: Address,
    /// Higher than any that it has used.
    pub nonce: u64,
    /// Unix seconds after which it is void.
    pub expiry: u64,
    /// `r || s || v`, `v` 27 or 28.
    pub signature: [u8; 65],
}

/// What a board says to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It has taken it.
    Taken,
    /// It had it: another operator was first.
    Had,
}

/// A pool's board.
pub struct Board {
    server: Server,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("server", &self.server).finish()
    }
}

impl Board {
    /// The method by which a node says how far it is.
    pub const SAY: &'static str = "PUT";
    /// The method by which a lock is delivered.
    pub const DELIVER: &'static str = "POST";

    /// The board at an address. Does not speak to it yet.
    ///
    /// - `url`: `http` or `https`; user, password, path and query are kept and never shown.
    /// - Errors: `Url`; `Client` when there are no root certificates for `https`.
    pub fn new(url: &str) -> Result<Self, SetupError> {
        Ok(Self { server: Server::new(url)? })
    }

    /// Scheme, host and port: what may be shown of the address.
    pub fn label(&self) -> &str {
        self.server.label()
    }

    /// What is said of a cluster's ceremony.
    ///
    /// - Errors: all of [`BoardError`].
    /// - Cost: one request, [`ASK_WAIT`] at most.
    pub async fn notice(&self, cluster: Root) -> Result<Notice, BoardError> {
        let request = self.server.get(&format!("/v1/ceremonies/{cluster}"));
        let body = self.server.call(request, ASK_WAIT, NOTICE_LEN_MAX, &[]).await?;
        serde_json::from_slice(&body)
            .map_err(|error| BoardError::Body(self.server.scrub(&error.to_string(), &[])))
    }

    /// Says how far a node is. The request is signed for [`Self::SAY`].
    ///
    /// - Errors: `Call`, `Refused`.
    /// - Cost: one request, [`ASK_WAIT`] at most.
    pub async fn say(&self, request: &SignedRequest) -> Result<(), BoardError> {
        let request = self.signed(Method::PUT, request);
        self.server.call(request, ASK_WAIT, YES_LEN_MAX, &[]).await?;
        Ok(())
    }

    /// Delivers a lock. The request is signed for [`Self::DELIVER`].
    ///
    /// - Errors: `Call`, `Refused`.
    /// - Cost: one request, [`DELIVER_WAIT`] at most: everything in the lock is verified before the answer.
    pub async fn deliver(&self, request: &SignedRequest) -> Result<Receipt, BoardError> {
        let request = self.signed(Method::POST, request);
        let answer = self.server.answer(request, DELIVER_WAIT, DELIVERED_LEN_MAX, &[]).await?;
        Ok(if answer.status == StatusCode::OK { Receipt::Had } else { Receipt::Taken })
    }

    fn signed(&self, method: Method, request: &SignedRequest) -> RequestBuilder {
        let SignedRequest { path, body, pool, signer, nonce, expiry, signature } = request;
        self.server
            .send(method, path, body.clone())
            .header("x-pool", pool.to_string())
            .header("x-signer", signer.to_string())
            .header("x-nonce", *nonce)
            .header("x-expiry", *expiry)
            .header("x-signature", format!("0x{}", hex::encode(signature)))
    }
}

/// The path at which a node of a cluster says how far it is.
pub fn presence_path(cluster: Root) -> String {
    format!("/v1/ceremonies/{cluster}/presence")
}

/// The path at which a cluster's lock is delivered.
pub fn lock_path(cluster: Root) -> String {
    format!("/v1/clusters/{cluster}/lock")
}
