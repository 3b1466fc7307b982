//! The operator's own node, as a command beside it asks it: its validator API, and what is its own there.

use crate::error::{CallError, SetupError};
use crate::keymanager::bearer;
use crate::limits::{ASK_WAIT, NODE_LEN_MAX, YES_LEN_MAX};
use crate::server::Server;
use bytes::Bytes;
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Why a node does not do as it is asked. Texts are those of [`CallError`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NodeError {
    /// No connection, no answer in time, or one that is too long.
    #[error("{0}")]
    Call(CallError),
    /// The node says no.
    #[error("the node refuses (status {code}): {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// Status 401.
    #[error("the node wants its bearer token: name the file of its --validator-api-token-file")]
    Token,
    /// Not an answer to this question.
    #[error("not an answer of a node of this version: {0}")]
    Body(String),
}

impl From<CallError> for NodeError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Status { code: 401, .. } => Self::Token,
            CallError::Status { code, message } => Self::Refused { code, message },
            other => Self::Call(other),
        }
    }
}

/// A running node.
pub struct OwnNode {
    server: Server,
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for OwnNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnNode").field("server", &self.server).finish_non_exhaustive()
    }
}

/// `{"data": ...}`.
#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

impl OwnNode {
    /// The node whose validator API is at an address. Does not speak to it yet.
    ///
    /// - `token`: sent as it is, as `Authorization: Bearer`.
    /// - Errors: `Url`, `Client`; `Token`; `PlainToken` for a token and `http` to another machine.
    pub fn new(url: &str, token: Option<SecretString>) -> Result<Self, SetupError> {
        let server = Server::new(url)?;
        let Some(token) = token else { return Ok(Self { server, authorization: None }) };
        if let Some(host) = server.plain_host() {
            return Err(SetupError::PlainToken { host: host.to_owned() });
        }
        let authorization = Some(bearer(&token).ok_or(SetupError::Token)?);
        Ok(Self { server: server.with_secret(token), authorization })
    }

    /// Scheme, host and port: what may be shown of the address.
    pub fn label(&self) -> &str {
        self.server.label()
    }

    /// The `data` of what the node answers.
    ///
    /// - Errors: all of [`NodeError`].
    /// - Cost: one request, [`ASK_WAIT`] at most.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, NodeError> {
        let request = self.signed(self.server.get(path));
        let body = self.server.call(request, ASK_WAIT, NODE_LEN_MAX, &[]).await?;
        let answer: Result<Data<T>, _> = serde_json::from_slice(&body);
        let answer = answer.map_err(|error| NodeError::Body(self.server.scrub(&error.to_string(), &[])));
        Ok(answer?.data)
    }

    /// Hands the node something.
    ///
    /// - Errors: all of [`NodeError`].
    /// - Cost: one request, [`ASK_WAIT`] at most.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<(), NodeError> {
        let body = serde_json::to_vec(body).map_err(|error| NodeError::Body(error.to_string()))?;
        let request = self.signed(self.server.post(path, Bytes::from(body)));
        self.server.call(request, ASK_WAIT, YES_LEN_MAX, &[]).await?;
        Ok(())
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_travel_in_clear() {
        let token = || Some(SecretString::from("token-1"));
        assert!(OwnNode::new("http://127.0.0.1:3600", token()).is_ok());
        assert!(OwnNode::new("https://node.example:3600", token()).is_ok());
        assert!(OwnNode::new("http://node.example:3600", None).is_ok());
        let error = OwnNode::new("http://node.example:3600", token()).unwrap_err();
        assert_eq!(error, SetupError::PlainToken { host: "node.example".to_owned() });
        assert!(!format!("{:?}", OwnNode::new("http://localhost:1", token())).contains("token-1"));
    }

    #[test]
    fn a_refusal_keeps_the_nodes_words() {
        let status = |code| CallError::Status { code, message: "words".to_owned() };
        let refused = NodeError::Refused { code: 400, message: "words".to_owned() };
        assert_eq!(NodeError::from(status(400)), refused);
        assert_eq!(NodeError::from(status(401)), NodeError::Token);
    }
}
