//! The JSON-RPC of an execution node: its chain, its past, and what a contract says of a signature.
//!
//! Sources: JSON-RPC 2.0; ethereum/execution-apis, `eth_chainId` and `eth_call`; ERC-1271; Solidity's contract ABI.

use crate::error::{CallError, SetupError};
use crate::limits::{ASK_WAIT, LOOK_WAIT, RPC_LEN_MAX};
use crate::server::Server;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Value, json};
use thiserror::Error;
use types::{Address, Root};

/// What ERC-1271 calls the magic value: the selector of `isValidSignature(bytes32,bytes)`, which is also its "yes".
pub const MAGIC: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];

/// All values of the ABI are padded to this.
const WORD_LEN: usize = 32;

/// The number of every request: HTTP tells already which answer belongs to which.
const ID: u64 = 1;

/// Why an execution node gave no answer of use. Texts are those of [`CallError`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RpcError {
    /// No answer, or one that HTTP says no with.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer is not one of this API.
    #[error("not an answer of the execution API: {0}")]
    Body(String),
    /// The node says no.
    #[error("the execution node refuses: {message} (code {code})")]
    Refused {
        /// JSON-RPC's or the node's own.
        code: i64,
        /// The node's words.
        message: String,
    },
}

/// What an execution node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A result. Both our questions have texts as results.
    Result(String),
    /// An error.
    Refused {
        /// JSON-RPC's or the node's own.
        code: i64,
        /// The node's words, of any length.
        message: String,
        /// Whether the contract reverted: the node is fine, and the contract said no.
        reverted: bool,
    },
}

/// An execution node.
///
/// Its answers are as good as the way to it: over plain `http` whoever sits between can give them.
#[derive(Debug)]
pub struct Execution {
    server: Server,
}

impl Execution {
    /// The execution node at an address. Does not speak to it yet.
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

    /// The chain that the node follows.
    ///
    /// - Errors: all of [`RpcError`].
    pub async fn chain_id(&self) -> Result<u64, RpcError> {
        match self.ask("eth_chainId", json!([])).await? {
            Answer::Result(text) => quantity(&text)
                .ok_or_else(|| self.wrong(&format!("the chain id `{text}` is no quantity of 64 bits"))),
            Answer::Refused { code, message, .. } => Err(self.refused(code, &message)),
        }
    }

    /// Whether the contract at `wallet` calls this its signature of `digest`, in the latest block.
    ///
    /// - `signature`: whatever the contract understands; of any length.
    /// - Returns `false` also when the contract reverts or answers something else than yes, and where no contract is.
    /// - Errors: all of [`RpcError`]: the node could not be asked, or did not run the contract.
    /// - Cost: one request, [`ASK_WAIT`] at most.
    /// - Source: ERC-1271.
    pub async fn is_valid_signature(
        &self,
        wallet: Address,
        digest: Root,
        signature: &[u8],
    ) -> Result<bool, RpcError> {
        let data = format!("0x{}", hex::encode(is_valid_signature_call(digest, signature)));
        match self.ask("eth_call", json!([{"to": wallet, "data": data}, "latest"])).await? {
            Answer::Result(text) => says_valid(&text).ok_or_else(|| self.wrong("the result is not 0x hex")),
            Answer::Refused { reverted: true, .. } => Ok(false),
            Answer::Refused { code, message, reverted: false } => Err(self.refused(code, &message)),
        }
    }

    /// Asks about the chain's past: the result of a method, as JSON.
    ///
    /// - `len_max`: most bytes of the answer.
    /// - Errors: all of [`RpcError`]; `Body` also where the node knows no such thing and says `null`.
    /// - Cost: one request, [`LOOK_WAIT`] at most.
    pub async fn look(&self, method: &str, params: Value, len_max: usize) -> Result<Value, RpcError> {
        let request = json!({"jsonrpc": "2.0", "id": ID, "method": method, "params": params});
        let request = self.server.post("", Bytes::from(request.to_string()));
        let body = self.server.call(request, LOOK_WAIT, len_max, &[]).await?;
        match parse(&body).map_err(|error| self.wrong(&error.to_string()))? {
            Parsed::Result(result) => Ok(result),
            Parsed::Refused(Failure { code, message, .. }) => Err(self.refused(code, &message)),
        }
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Answer, RpcError> {
        let request = json!({"jsonrpc": "2.0", "id": ID, "method": method, "params": params});
        let request = self.server.post("", Bytes::from(request.to_string()));
        let body = self.server.call(request, ASK_WAIT, RPC_LEN_MAX, &[]).await?;
        parse_answer(&body).map_err(|error| self.wrong(&error.to_string()))
    }

    fn wrong(&self, rule: &str) -> RpcError {
        RpcError::Body(self.server.scrub(rule, &[]))
    }

    fn refused(&self, code: i64, message: &str) -> RpcError {
        RpcError::Refused { code, message: self.server.scrub(message, &[]) }
    }
}

/// Reads an answer of an execution node to a question whose result is a text.
///
/// - Errors: not JSON; neither or both of `result` and `error`; a result of another shape or to another question. The
///   text may quote the answer.
pub fn parse_answer(body: &[u8]) -> Result<Answer, serde_json::Error> {
    Ok(match parse(body)? {
        Parsed::Result(result) => Answer::Result(result),
        Parsed::Refused(Failure { code, message, data }) => {
            let reverted = is_revert(code, &message, &data);
            Answer::Refused { code, message, reverted }
        }
    })
}

#[derive(Deserialize)]
struct Failure {
    code: i64,
    message: String,
    #[serde(default)]
    data: Value,
}

/// An answer with a result of any shape.
enum Parsed<T> {
    Result(T),
    Refused(Failure),
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Parsed<T>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(bound = "T: DeserializeOwned")]
    struct Raw<T> {
        #[serde(default)]
        id: Value,
        result: Option<T>,
        error: Option<Failure>,
    }
    let raw: Raw<T> = serde_json::from_slice(body)?;
    match (raw.result, raw.error) {
        (Some(result), None) if raw.id == ID => Ok(Parsed::Result(result)),
        (Some(_), None) => Err(serde_json::Error::custom(format!("id {} instead of {ID}", raw.id))),
        // An error may come with the id `null`: the node could not read the request.
        (None, Some(failure)) => Ok(Parsed::Refused(failure)),
        (None, None) => Err(serde_json::Error::custom("neither result nor error")),
        (Some(_), Some(_)) => Err(serde_json::Error::custom("both result and error")),
    }
}

/// Whether an error of `eth_call` is a contract's own.
///
/// A contract that fails otherwise, by an invalid instruction or without end, has not said yes either.
///
/// Code 3 is that of execution-apis. Other nodes give codes of their own and say it in words, or have what the contract
/// returned as the error's data: hex, in older ones behind `Reverted`. Data of other kinds are about other errors: those
/// who sell access put their limits there.
fn is_revert(code: i64, message: &str, data: &Value) -> bool {
    let returned = data.as_str().is_some_and(|data| data.starts_with("0x") || data.starts_with("Reverted"));
    let message = message.to_ascii_lowercase();
    let failed = message.starts_with("invalid opcode") || message.starts_with("out of gas");
    code == 3 || returned || failed || message.contains("execution reverted")
}

/// Whether the result of the call is "yes": a word with the magic value and zeros. `None` if it is not `0x` hex.
///
/// The result is empty where no contract is.
fn says_valid(result: &str) -> Option<bool> {
    let result = hex::decode(result.strip_prefix("0x")?).ok()?;
    let mut yes = [0; WORD_LEN];
    yes[..MAGIC.len()].copy_from_slice(&MAGIC);
    Some(result == yes)
}

/// Reads a quantity: `0x` and hex digits without leading zeros.
fn quantity(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    let canonical = digits == "0" || !digits.starts_with('0');
    // The standard library would take a sign.
    let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if canonical && hex { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// The call data of `isValidSignature(bytes32,bytes)`.
///
/// Selector; the digest; where the bytes begin, counted from behind the selector; how many they are; the bytes, padded
/// with zeros to whole words.
///
/// - Source: ERC-1271; Solidity's contract ABI specification, dynamic types.
fn is_valid_signature_call(digest: Root, signature: &[u8]) -> Vec<u8> {
    let padding = signature.len().next_multiple_of(WORD_LEN) - signature.len();
    let head_len = 2 * WORD_LEN;
    let mut call = Vec::with_capacity(MAGIC.len() + head_len + WORD_LEN + signature.len() + padding);
    call.extend_from_slice(&MAGIC);
    call.extend_from_slice(&digest.0);
    call.extend_from_slice(&word(head_len));
    call.extend_from_slice(&word(signature.len()));
    call.extend_from_slice(signature);
    call.extend(std::iter::repeat_n(0, padding));
    call
}

/// A number as a word: big-endian.
fn word(number: usize) -> [u8; WORD_LEN] {
    let mut word = [0; WORD_LEN];
    let number = number.to_be_bytes();
    word[WORD_LEN - number.len()..].copy_from_slice(&number);
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::{SolCall as _, sol};

    sol! {
        function isValidSignature(bytes32 digest, bytes signature) returns (bytes4 magic);
    }

    #[test]
    fn a_call_is_encoded_as_by_hand() {
        let call = hex::encode(is_valid_signature_call(Root([0xd1; 32]), &[0x5a; 65]));
        let want = [
            "1626ba7e",
            "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1",
            "0000000000000000000000000000000000000000000000000000000000000040",
            "0000000000000000000000000000000000000000000000000000000000000041",
            "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "5a00000000000000000000000000000000000000000000000000000000000000",
        ];
        assert_eq!(call, want.concat());
    }

    #[test]
    fn a_call_of_any_length_is_encoded_as_by_another_library() {
        assert_eq!(MAGIC, isValidSignatureCall::SELECTOR);
        for len in (0..=130).chain([255, 256, 65_537]) {
            let signature: Vec<u8> = (0..len).map(|at: u32| at.to_le_bytes()[0]).collect();
            let other =
                isValidSignatureCall { digest: [0xab; 32].into(), signature: signature.clone().into() };
            assert_eq!(is_valid_signature_call(Root([0xab; 32]), &signature), other.abi_encode(), "{len}");
        }
    }

    #[test]
    fn only_the_magic_word_is_a_yes() {
        let yes = format!("0x1626ba7e{}", "0".repeat(56));
        assert_eq!(says_valid(&yes), Some(true));
        for no in
            ["0x", "0x1626ba7e", &yes.replace("7e0", "7e1"), &format!("{yes}00"), &yes.replace('7', "6")]
        {
            assert_eq!(says_valid(no), Some(false), "{no}");
        }
        for wrong in ["", "1626ba7e", "0x1", "0xno", "true"] {
            assert_eq!(says_valid(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_quantity_has_a_prefix_and_no_leading_zero() {
        for (text, number) in [("0x0", 0), ("0x1", 1), ("0x88bb0", 560_048), ("0xFFFFFFFFFFFFFFFF", u64::MAX)]
        {
            assert_eq!(quantity(text), Some(number), "{text}");
        }
        for wrong in ["", "1", "0x", "0x01", "0x00", "0x+1", "0x-1", "0xg", "0x10000000000000000", " 0x1"] {
            assert_eq!(quantity(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_has_a_result_to_our_question_or_an_error() {
        let answer = |text: &str| parse_answer(text.as_bytes());
        let result = answer(r#"{"jsonrpc":"2.0","id":1,"result":"0x1","error":null}"#).unwrap();
        assert_eq!(result, Answer::Result("0x1".to_owned()));
        let refused = answer(r#"{"id":null,"error":{"code":-32700,"message":"parse error"}}"#).unwrap();
        let message = "parse error".to_owned();
        assert_eq!(refused, Answer::Refused { code: -32_700, message, reverted: false });
        for wrong in [
            "",
            "<html>",
            r#"{"id":1}"#,
            r#"{"id":1,"result":null}"#,
            r#"{"id":1,"result":{}}"#,
            r#"{"id":2,"result":"0x1"}"#,
            r#"{"result":"0x1"}"#,
            r#"{"id":1,"error":"no"}"#,
            r#"{"id":1,"result":"0x1","error":{"code":3,"message":""}}"#,
        ] {
            assert!(answer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reverts_are_known_by_code_by_words_and_by_what_was_returned() {
        let none = Value::Null;
        assert!(is_revert(3, "", &none));
        assert!(is_revert(-32_000, "Execution reverted: GS026", &none));
        assert!(is_revert(-32_015, "VM execution error.", &json!("Reverted 0x08c379a0")));
        assert!(is_revert(-32_000, "VM Exception", &json!("0x")));
        assert!(!is_revert(-32_005, "limit exceeded", &json!({"see": "https://provider.example"})));
        assert!(!is_revert(-32_601, "the method eth_call does not exist", &json!("eth_call")));
        assert!(!is_revert(-32_000, "header not found", &none));
    }
}
