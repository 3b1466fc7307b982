//! The text of a node record: `enr:` and the base64url of an RLP list.
//!
//! Written by hand because the `enr` crate signs with fresh randomness, and a record that Obol's tools accept as
//! the same is deterministic: sequence number 0, the scheme, the key, nothing else. Source: EIP-778.

use alloy_primitives::keccak256;

const PREFIX: &str = "enr:";
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Sequence number 0, as RLP has it: the empty string.
const SEQUENCE: &[u8] = &[];

/// The record of `public`, signed by `sign` over the keccak256 of its content.
pub(crate) fn record(public: &[u8; 33], sign: impl FnOnce(&[u8; 32]) -> [u8; 64]) -> String {
    let content =
        [string(SEQUENCE), string(b"id"), string(b"v4"), string(b"secp256k1"), string(public)].concat();
    let signature = sign(&keccak256(list(&content)));
    let signed = list(&[string(&signature), content].concat());
    format!("{PREFIX}{}", base64url(&signed))
}

/// An RLP string.
fn string(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [one] if *one < 0x80 => vec![*one],
        _ => [header(0x80, bytes.len()), bytes.to_vec()].concat(),
    }
}

/// An RLP list of items already encoded.
fn list(items: &[u8]) -> Vec<u8> {
    [header(0xc0, items.len()), items.to_vec()].concat()
}

/// `base + len` up to 55, else `base + 56` and one byte: no record has more than 300.
fn header(base: u8, len: usize) -> Vec<u8> {
    let len = u8::try_from(len).expect("a record of two pairs has 119 bytes");
    if len <= 55 { vec![base + len] } else { vec![base + 56, len] }
}

/// Without padding.
fn base64url(bytes: &[u8]) -> String {
    let group = |chunk: &[u8]| {
        let bits = (0..3).fold(0u32, |bits, place| bits << 8 | u32::from(*chunk.get(place).unwrap_or(&0)));
        let digits = [18, 12, 6, 0].map(|shift| char::from(BASE64URL[(bits >> shift & 63) as usize]));
        digits.into_iter().take(chunk.len() + 1).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_that_of_rfc_4648_without_padding() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("\u{7ff}?", "378_")]
        {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
    }
}
