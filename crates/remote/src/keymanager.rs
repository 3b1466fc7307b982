//! The keymanager API of a validator client: which keys it has, giving it keystores, and having it sign an exit.
//!
//! Source: ethereum/keymanager-APIs, `ListKeys` and `ImportKeystores` of `/eth/v1/keystores`, and `voluntary_exit`.

use crate::error::{CallError, SetupError};
use crate::limits::{ASK_WAIT, BATCH_LEN_MAX, KEYSTORE_WAIT, LIST_LEN_MAX, PUSHED_LEN_MAX, YES_LEN_MAX};
use crate::server::Server;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use thiserror::Error;
use types::operations::SignedVoluntaryExit;
use types::{Epoch, PublicKey};
use zeroize::Zeroizing;

const KEYSTORES: &str = "/eth/v1/keystores";

/// Where a keymanager may be asked without encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// On this machine only.
    LoopbackOnly,
    /// Anywhere: the operator says that the network between is his own.
    Allowed,
}

/// A keystore to be given to a validator client.
#[derive(Clone, Copy)]
pub struct Push<'a> {
    /// The key that it holds. This is not checked here.
    pub key: PublicKey,
    /// The text of the keystore (EIP-2335).
    pub json: &'a str,
    /// What opens it.
    pub password: &'a SecretString,
}

impl fmt::Debug for Push<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("key", &self.key).finish_non_exhaustive()
    }
}

/// How the client has a key that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It took it.
    Imported,
    /// It had it already. The password was perhaps not tried.
    Duplicate,
}

/// What became of one keystore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its key.
    pub key: PublicKey,
    /// How the client has it.
    pub status: Status,
}

/// What a client says of one keystore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// `imported` or `duplicate`.
    Taken(Status),
    /// Anything else: in the client's words, of any length.
    Refused(String),
}

/// Why a validator client does not have the keys, or does not say. Texts are those of [`CallError`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KeymanagerError {
    /// No answer, or one that says no.
    #[error(transparent)]
    Call(CallError),
    /// Status 401 or 403.
    #[error("the token was refused (status {code})")]
    TokenRefused {
        /// HTTP status.
        code: u16,
    },
    /// The answer is not one of this API.
    #[error("not an answer of the keymanager API: {0}")]
    Body(String),
    /// There is not one status for each keystore, so they cannot be told apart.
    #[error("{have} statuses for {want} keystores, of which the first is that of {first}")]
    Count {
        /// Statuses in the answer.
        have: usize,
        /// Keystores in the request.
        want: usize,
        /// The key of the first of them.
        first: PublicKey,
    },
    /// The client does not take a keystore.
    #[error("the keystore of {key} was refused: {message}")]
    Refused {
        /// Its key.
        key: PublicKey,
        /// The client's words.
        message: String,
    },
    /// All keystores were taken, and yet a key is not in the client's list.
    #[error("the keystore of {key} was taken, but the client does not list the key")]
    Missing {
        /// The first such key.
        key: PublicKey,
    },
}

impl From<CallError> for KeymanagerError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Status { code: code @ (401 | 403), .. } => Self::TokenRefused { code },
            other => Self::Call(other),
        }
    }
}

/// A validator client's keymanager API.
///
/// # Security
///
/// The token and the passwords of keystores are sent to that server only and shown nowhere. The body with passwords is
/// wiped when it has been sent, and the token's text when this is dropped. Copies remain that we cannot reach: in the
/// header's value, and in buffers of the HTTP and TLS libraries and of the kernel.
pub struct Keymanager {
    server: Server,
    authorization: HeaderValue,
}

impl fmt::Debug for Keymanager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keymanager").field("server", &self.server).field("token", &"<redacted>").finish()
    }
}

impl Keymanager {
    /// The keymanager at an address. Does not speak to it yet.
    ///
    /// - `url`: `http` or `https`; a path and a query are kept.
    /// - `token`: sent as it is, as `Authorization: Bearer`.
    /// - `plain`: where `http` is good enough.
    /// - Errors: `Url`, `UserInUrl`, `PlainHttp`, `Token`; `Client` when there are no root certificates for `https`.
    pub fn new(url: &str, token: SecretString, plain: Plain) -> Result<Self, SetupError> {
        let server = Server::new(url)?;
        if server.has_user() {
            return Err(SetupError::UserInUrl);
        }
        if let (Plain::LoopbackOnly, Some(host)) = (plain, server.plain_host()) {
            return Err(SetupError::PlainHttp { host: host.to_owned() });
        }
        let authorization = bearer(&token).ok_or(SetupError::Token)?;
        Ok(Self { server: server.with_secret(token), authorization })
    }

    /// Scheme, host and port: what may be shown of the address.
    pub fn label(&self) -> &str {
        self.server.label()
    }

    /// The keys that the client has keystores of. Those of remote signers are not among them.
    ///
    /// - Errors: `Call`, `TokenRefused`, `Body`.
    /// - Cost: one request, [`ASK_WAIT`] at most.
    pub async fn list(&self) -> Result<BTreeSet<PublicKey>, KeymanagerError> {
        let request = self.server.get(KEYSTORES).header(AUTHORIZATION, self.authorization.clone());
        let body = self.server.call(request, ASK_WAIT, LIST_LEN_MAX, &[]).await?;
        parse_list(&body).map_err(|error| KeymanagerError::Body(self.server.scrub(&error.to_string(), &[])))
    }

    /// Gives the client keystores, and looks afterwards that it has all their keys.
    ///
    /// - `keystores`: sent in this order, [`BATCH_LEN_MAX`] a request. For none nothing is sent at all.
    /// - `slashing_protection`: interchange text (EIP-3076). It goes whole with the first request, so that it is known
    ///   before any later key is.
    /// - Returns one outcome a keystore, in order.
    /// - Errors: all of [`KeymanagerError`]. `Refused` names the first of its batch; others of it, and earlier batches,
    ///   may have been taken. Pushing again is safe: those come back as duplicates.
    /// - Cost: a request a batch and one for the list; [`KEYSTORE_WAIT`] for each keystore at most.
    ///
    /// # Security
    ///
    /// Passwords are in the request's body, whose buffer is wiped. The HTTP library may copy it.
    pub async fn push(
        &self,
        keystores: &[Push<'_>],
        slashing_protection: Option<&str>,
    ) -> Result<Vec<Outcome>, KeymanagerError> {
        if keystores.is_empty() {
            return Ok(Vec::new());
        }
        let mut protection = slashing_protection;
        let mut outcomes = Vec::with_capacity(keystores.len());
        for batch in keystores.chunks(BATCH_LEN_MAX) {
            outcomes.extend(self.push_batch(batch, protection.take()).await?);
        }
        let listed = self.list().await?;
        match keystores.iter().find(|push| !listed.contains(&push.key)) {
            Some(push) => Err(KeymanagerError::Missing { key: push.key }),
            None => Ok(outcomes),
        }
    }

    /// Has the client sign an exit with a key of its, which is not published.
    ///
    /// - `epoch`: not before it.
    /// - Returns what the client says that it signed: whether that is what was asked for is not checked here, nor is
    ///   the signature.
    /// - Errors: `Call`, `TokenRefused`, `Body`.
    /// - Cost: one request, [`ASK_WAIT`] at most.
    pub async fn voluntary_exit(
        &self,
        key: &PublicKey,
        epoch: Epoch,
    ) -> Result<SignedVoluntaryExit, KeymanagerError> {
        let path = format!("/eth/v1/validator/{key}/voluntary_exit");
        let request = self.server.post_with(&path, ("epoch", &epoch.to_string()), Bytes::new());
        let request = request.header(AUTHORIZATION, self.authorization.clone());
        let body = self.server.call(request, ASK_WAIT, YES_LEN_MAX, &[]).await?;
        parse_exit(&body).map_err(|error| KeymanagerError::Body(self.server.scrub(&error.to_string(), &[])))
    }

    async fn push_batch(
        &self,
        batch: &[Push<'_>],
        slashing_protection: Option<&str>,
    ) -> Result<Vec<Outcome>, KeymanagerError> {
        let passwords: Vec<&SecretString> = batch.iter().map(|push| push.password).collect();
        let scrub = |text: &str| self.server.scrub(text, &passwords);
        let body = Bytes::from_owner(Import::of(batch, slashing_protection).to_json());
        let request = self.server.post(KEYSTORES, body).header(AUTHORIZATION, self.authorization.clone());
        let wait = batch.iter().fold(ASK_WAIT, |wait, _| wait + KEYSTORE_WAIT);
        let body = self.server.call(request, wait, PUSHED_LEN_MAX, &passwords).await?;
        let said = parse_pushed(&body).map_err(|error| KeymanagerError::Body(scrub(&error.to_string())))?;
        if said.len() != batch.len() {
            return Err(KeymanagerError::Count { have: said.len(), want: batch.len(), first: batch[0].key });
        }
        let outcome = |(push, said): (&Push<'_>, Said)| match said {
            Said::Taken(status) => Ok(Outcome { key: push.key, status }),
            Said::Refused(words) => Err(KeymanagerError::Refused { key: push.key, message: scrub(&words) }),
        };
        batch.iter().zip(said).map(outcome).collect()
    }
}

/// Reads the answer to a request for an exit.
///
/// - Errors: not JSON, not that shape. The text may quote the answer.
pub fn parse_exit(body: &[u8]) -> Result<SignedVoluntaryExit, serde_json::Error> {
    #[derive(Deserialize)]
    struct Signed {
        data: SignedVoluntaryExit,
    }
    let answer: Signed = serde_json::from_slice(body)?;
    Ok(answer.data)
}

/// The header of a token; `None` if no header can carry it and be read back the same.
pub(crate) fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let token = token.expose_secret();
    // The header's type lets bytes beyond ASCII through, which servers read in different ways.
    if token.is_empty() || token.trim() != token || !token.is_ascii() {
        return None;
    }
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The body of a request to import keystores. It has no `Debug`: it holds passwords.
#[derive(Serialize)]
struct Import<'a> {
    keystores: Vec<&'a str>,
    passwords: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slashing_protection: Option<&'a str>,
}

impl<'a> Import<'a> {
    fn of(batch: &[Push<'a>], slashing_protection: Option<&'a str>) -> Self {
        Self {
            keystores: batch.iter().map(|push| push.json).collect(),
            passwords: batch.iter().map(|push| push.password.expose_secret()).collect(),
            slashing_protection,
        }
    }

    /// The JSON, in a buffer that is large enough from the start: one that grew would leave copies behind.
    fn to_json(&self) -> Zeroizing<Vec<u8>> {
        const STRINGS: &str = "lists of strings are JSON, and neither writer fails";
        let mut count = ByteCount(0);
        serde_json::to_writer(&mut count, self).expect(STRINGS);
        let mut body = Zeroizing::new(Vec::with_capacity(count.0));
        serde_json::to_writer(&mut *body, self).expect(STRINGS);
        assert!(body.len() == count.0, "the same strings are as long again");
        body
    }
}

/// A writer that only counts.
struct ByteCount(usize);

impl Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `{"data": [...]}`.
#[derive(Deserialize)]
struct Data<T> {
    data: Vec<T>,
}

/// Reads the answer to a request for the list: the keys in it.
///
/// - Errors: not JSON, not that shape, a key that is not 48 bytes of hex. The text may quote the answer.
pub fn parse_list(body: &[u8]) -> Result<BTreeSet<PublicKey>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Entry {
        validating_pubkey: PublicKey,
    }
    let list: Data<Entry> = serde_json::from_slice(body)?;
    Ok(list.data.into_iter().map(|entry| entry.validating_pubkey).collect())
}

/// Reads the answer to a batch of keystores: what is said of each, in order.
///
/// - Errors: not JSON, not that shape. The text may quote the answer.
pub fn parse_pushed(body: &[u8]) -> Result<Vec<Said>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Entry {
        status: String,
        message: Option<String>,
    }
    let said = |entry: Entry| match (entry.status.as_str(), entry.message) {
        ("imported", _) => Said::Taken(Status::Imported),
        ("duplicate", _) => Said::Taken(Status::Duplicate),
        ("error", Some(message)) if !message.is_empty() => Said::Refused(message),
        ("error", _) => Said::Refused("the client does not say why".to_owned()),
        (other, message) => {
            Said::Refused(format!("unknown status `{other}`: {}", message.unwrap_or_default()))
        }
    };
    let answer: Data<Entry> = serde_json::from_slice(body)?;
    Ok(answer.data.into_iter().map(said).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_no_header_can_carry_is_none() {
        for wrong in
            ["", " ", "token\n", " token", "token ", "to\nken", "to\0ken", "tok\u{e9}n", "to\u{7f}ken"]
        {
            assert_eq!(bearer(&SecretString::from(wrong)), None, "{wrong:?}");
        }
        for right in ["api-token-0x03", "eyJh.eyJp.c2ln", "a b", "!~+/="] {
            let value = bearer(&SecretString::from(right)).unwrap();
            assert_eq!(value, format!("Bearer {right}").as_str());
            assert!(value.is_sensitive());
        }
    }

    #[test]
    fn a_body_is_sized_before_a_password_is_written() {
        let password = SecretString::from("a \"quoted\"\n\u{1f511}\u{1}");
        let push = Push { key: PublicKey([1; 48]), json: "{\"crypto\": {}}", password: &password };
        let body = Import::of(&[push, push], Some("{\"data\": []}")).to_json();
        assert_eq!(body.len(), body.capacity());
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["passwords"][1], password.expose_secret());
        assert_eq!(json["slashing_protection"], "{\"data\": []}");
    }

    #[test]
    fn a_list_is_a_set_of_keys_and_nothing_else_counts() {
        let key = PublicKey([7; 48]);
        let list =
            format!(r#"{{"data":[{{"validating_pubkey":"{key}","derivation_path":null,"readonly":true}}]}}"#);
        assert_eq!(parse_list(list.as_bytes()).unwrap(), BTreeSet::from([key]));
        assert_eq!(parse_list(br#"{"data":[]}"#).unwrap(), BTreeSet::new());
        for wrong in
            ["", "{}", r#"{"data":null}"#, r#"{"data":[{}]}"#, r#"{"data":[{"validating_pubkey":"0x07"}]}"#]
        {
            assert!(parse_list(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_exit_is_read_as_the_beacon_api_writes_it() {
        let signature = types::Signature([7; 96]);
        let message = r#"{"epoch":"90","validator_index":"12"}"#;
        let body = format!(r#"{{"data":{{"message":{message},"signature":"{signature}"}}}}"#);
        let exit = parse_exit(body.as_bytes()).unwrap();
        assert_eq!((exit.message.epoch, exit.message.validator_index.0), (Epoch(90), 12));
        assert_eq!(exit.signature, signature);
        for wrong in ["", "{}", r#"{"data":{}}"#, r#"{"data":{"message":{},"signature":"0x07"}}"#] {
            assert!(parse_exit(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_status_but_two_is_a_refusal() {
        let body = br#"{"data":[{"status":"imported","message":""},{"status":"duplicate"},{"status":"error"},
            {"status":"error","message":"bad password"},{"status":"IMPORTED","message":"?"}]}"#;
        let refused = |words: &str| Said::Refused(words.to_owned());
        let want = [
            Said::Taken(Status::Imported),
            Said::Taken(Status::Duplicate),
            refused("the client does not say why"),
            refused("bad password"),
            refused("unknown status `IMPORTED`: ?"),
        ];
        assert_eq!(parse_pushed(body).unwrap(), want);
        for wrong in ["", "[]", r#"{"data":{}}"#, r#"{"data":[{"message":"imported"}]}"#] {
            assert!(parse_pushed(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
