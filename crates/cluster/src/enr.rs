//! Node records (EIP-778) as clusters use them: a signed node key, no addresses.

use crate::{k1::NodeKey, text::Text};
use k256::ecdsa::SigningKey;
use std::fmt;
use thiserror::Error;
use types::{NodeSignature, Root};

/// Longest record in a definition, in bytes: what its hash allows.
pub const ENR_LEN_MAX: usize = 1024;
/// The content of our records before the node key: a list of 51 bytes with sequence number 0, `id` and `v4`,
/// then `secp256k1` and the head of 33 bytes.
const CONTENT: &[u8; 18] = b"\x80\x82id\x82v4\x89secp256k1\xa1";
/// RLP's head of a list of 51 bytes, the content alone.
const CONTENT_HEAD: u8 = 0xc0 + (CONTENT.len() + 33) as u8;
/// RLP's head of a list whose length takes one byte more.
const LONG_LIST: u8 = 0xf8;
/// RLP's head of a string of 64 bytes.
const SIGNATURE_HEAD: [u8; 2] = [0xb8, 64];

/// Why text is no node record.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EnrError {
    /// No `enr:` in front.
    #[error("no enr: in front")]
    Prefix,
    /// Longer than definitions allow.
    #[error("{have} bytes where at most {ENR_LEN_MAX} are allowed")]
    TooLong {
        /// Bytes found.
        have: usize,
    },
    /// Not base64, not RLP, keys out of order or repeated, no key, not scheme `v4`, or the signature does not verify.
    #[error("{0}")]
    Record(String),
    /// The public key is not in its compressed form.
    #[error("the public key is not a compressed one of 33 bytes")]
    KeyForm,
    /// Bytes that no writer would have written: a second text for the same record.
    #[error("not in canonical form")]
    NotCanonical,
}

/// A node record whose signature verified.
///
/// Two records of one node may differ: compare [`Enr::key`], never the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Enr {
    text: Text<ENR_LEN_MAX>,
    key: NodeKey,
}

impl Enr {
    /// Reads a record and verifies it.
    ///
    /// - Rules: prefix `enr:`; base64url, `=` at the end tolerated; RLP list of signature, sequence number and pairs
    ///   in ascending order of distinct keys; `id` is `v4`; a compressed `secp256k1` key, whose signature verifies.
    /// - Cost: one ECDSA verification.
    /// - Source: EIP-778; the `enr` crate, whose reading is laxer in prefix, form of key and trailing bytes.
    pub fn parse(text: &str) -> Result<Self, EnrError> {
        let kept = Text::new(text).map_err(|_| EnrError::TooLong { have: text.len() })?;
        if !text.starts_with("enr:") {
            return Err(EnrError::Prefix);
        }
        let bare = text.trim_end_matches('=');
        let record: enr::Enr<SigningKey> = bare.parse().map_err(EnrError::Record)?;
        let raw = record.get_raw_rlp("secp256k1").ok_or(EnrError::KeyForm)?;
        let [0xa1, point @ ..] = raw else { return Err(EnrError::KeyForm) };
        let point = point.try_into().map_err(|_| EnrError::KeyForm)?;
        let key = NodeKey::new(point).map_err(|_| EnrError::KeyForm)?;
        if record.to_base64() != bare {
            return Err(EnrError::NotCanonical);
        }
        Ok(Self { text: kept, key })
    }

    /// The digest that a node signs to make its record: Keccak-256 of the content.
    pub fn digest(key: &NodeKey) -> Root {
        let mut content = vec![CONTENT_HEAD];
        content.extend_from_slice(CONTENT);
        content.extend_from_slice(key.as_bytes());
        Root(alloy_primitives::keccak256(content).0)
    }

    /// The record of a node: sequence number 0, the key, nothing else.
    ///
    /// - `signature`: by `key` over [`Enr::digest`].
    /// - Errors: [`EnrError::Record`] if it does not verify.
    pub fn assemble(key: &NodeKey, signature: &NodeSignature) -> Result<Self, EnrError> {
        let len = SIGNATURE_HEAD.len() + NodeSignature::LEN + CONTENT.len() + key.as_bytes().len();
        let len = u8::try_from(len).map_err(|_| EnrError::NotCanonical)?;
        let mut record = vec![LONG_LIST, len];
        record.extend_from_slice(&SIGNATURE_HEAD);
        record.extend_from_slice(&signature.0);
        record.extend_from_slice(CONTENT);
        record.extend_from_slice(key.as_bytes());
        Self::parse(&format!("enr:{}", base64url(&record)))
    }

    /// The text, with its bound.
    pub(crate) fn text(&self) -> &Text<ENR_LEN_MAX> {
        &self.text
    }

    /// The text, as it was read.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The node's key: who the node is.
    pub const fn key(&self) -> NodeKey {
        self.key
    }
}

impl fmt::Display for Enr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Enr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Enr {
    type Err = EnrError;
    fn from_str(text: &str) -> Result<Self, EnrError> {
        Self::parse(text)
    }
}

/// Base64 with the URL alphabet, without padding (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().zip([16, 8, 0]).fold(0_u32, |bits, (byte, shift)| bits | u32::from(*byte) << shift);
        for shift in [18, 12, 6, 0].into_iter().take(group.len() + 1) {
            text.push(char::from(ALPHABET[(bits >> shift & 63) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "enr:-HW4QMpn09K1BedWsYrWjs5jHwSFiLlxys4YSDrF1SJ0ut85VwGpmqQElGDnaNvsGF--abL_D8j2D_qVN2tCk2EBwTmAgmlkgnY0iXNlY3AyNTZrMaECAhfGRdFPianR8Gus_5mmhaX5-J6hXaYckbC8eP6xGno";

    /// A record signed by a fixed key over arbitrary pairs, so that only the rule under test can refuse it.
    fn signed(pairs: &[u8]) -> String {
        use k256::ecdsa::{Signature, signature::hazmat::PrehashSigner};
        let signer = SigningKey::from_slice(&[7; 32]).unwrap();
        let list = |body: &[u8]| {
            let head = if body.len() < 56 {
                vec![0xc0 + body.len() as u8]
            } else {
                vec![LONG_LIST, body.len() as u8]
            };
            [head, body.to_vec()].concat()
        };
        let digest = alloy_primitives::keccak256(list(pairs));
        let signature: Signature = signer.sign_prehash(digest.as_slice()).unwrap();
        let record = [SIGNATURE_HEAD.to_vec(), signature.to_bytes().to_vec(), pairs.to_vec()].concat();
        format!("enr:{}", base64url(&list(&record)))
    }

    fn key() -> NodeKey {
        NodeKey::from(SigningKey::from_slice(&[7; 32]).unwrap().verifying_key())
    }

    #[test]
    fn each_rule_of_reading_refuses_a_record_that_breaks_only_it() {
        let key = key();
        let pair = [b"\x89secp256k1\xa1".as_slice(), key.as_bytes()].concat();
        let good = [CONTENT.as_slice(), key.as_bytes()].concat();
        assert_eq!(Enr::parse(&signed(&good)).unwrap().key(), key);

        for refused in [
            [b"\x80".as_slice(), &pair].concat(),
            [b"\x80\x82id\x82v5".as_slice(), &pair].concat(),
            [b"\x80\x82id\x82v4\x82id\x82v4".as_slice(), &pair].concat(),
            b"\x80\x82id\x82v4".to_vec(),
            [b"\x80".as_slice(), &pair, b"\x82id\x82v4"].concat(),
            [good.as_slice(), b"\x85extra"].concat(),
        ] {
            assert!(matches!(Enr::parse(&signed(&refused)), Err(EnrError::Record(_))), "{refused:x?}");
        }

        let signer = SigningKey::from_slice(&[7; 32]).unwrap();
        let long = signer.verifying_key().to_sec1_point(false);
        let uncompressed = [b"\x80\x82id\x82v4\x89secp256k1\xb8\x41".as_slice(), long.as_bytes()].concat();
        assert_eq!(Enr::parse(&signed(&uncompressed)), Err(EnrError::KeyForm));
    }

    #[test]
    fn padding_is_tolerated_and_bytes_behind_the_record_are_not() {
        assert_eq!(Enr::parse(&format!("{RECORD}=")).unwrap().key(), Enr::parse(RECORD).unwrap().key());
        assert_eq!(Enr::parse(&format!("{RECORD}AAAA")), Err(EnrError::NotCanonical));
        assert_eq!(Enr::parse(&RECORD[4..]), Err(EnrError::Prefix));
        assert_eq!(Enr::parse(&"enr:".repeat(257)), Err(EnrError::TooLong { have: 1028 }));
        assert!(Enr::parse("enr:").is_err());
        assert!(Enr::parse("").is_err());
    }

    #[test]
    fn an_assembled_record_is_the_one_the_reference_wrote() {
        let record: enr::Enr<SigningKey> = RECORD.parse().unwrap();
        let key = Enr::parse(RECORD).unwrap().key();
        let signature = NodeSignature(record.signature().try_into().unwrap());
        assert_eq!(Enr::assemble(&key, &signature).unwrap().as_str(), RECORD);
        let other = NodeSignature([1; 64]);
        assert!(matches!(Enr::assemble(&key, &other), Err(EnrError::Record(_))));
    }
}
